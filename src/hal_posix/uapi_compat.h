/* SPDX-License-Identifier: Apache-2.0
 *
 * uapi_compat.h - kernel interfaces that are younger than the headers we build with (Debian 12 has
 * those of Linux 6.1). The only file that repeats kernel definitions. What is here is ABI: numbers
 * and layouts never change, and the assertions below would notice a typing error. Whether the
 * running kernel knows them is decided by trying (page_tracker.c), never by version.
 *
 *   UFFD_FEATURE_WP_UNPOPULATED  6.4   write-protect works on pages that do not exist yet
 *   UFFD_FEATURE_WP_ASYNC        6.7   the kernel resolves the write fault and remembers "written"
 *   PAGEMAP_SCAN                 6.7   list pages by category, and protect them, in one walk
 */
#ifndef HAL_UAPI_COMPAT_H
#define HAL_UAPI_COMPAT_H

#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <sys/ioctl.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

/* Own names, so that newer system headers cannot clash with them. */
struct hal_page_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};

struct hal_scan_argument {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end; /* out: where the walk stopped */
    uint64_t regions;  /* pointer to struct hal_page_region */
    uint64_t region_capacity;
    uint64_t page_limit;
    uint64_t inverted;
    uint64_t all_of;
    uint64_t any_of;
    uint64_t returned;
};

_Static_assert(sizeof(struct hal_page_region) == 24, "kernel ABI");
_Static_assert(sizeof(struct hal_scan_argument) == 96, "kernel ABI");
_Static_assert(sizeof(struct uffdio_api) == 24, "kernel ABI");
_Static_assert(sizeof(struct uffdio_register) == 32, "kernel ABI");
_Static_assert(sizeof(struct uffdio_copy) == 40, "kernel ABI");

enum hal_page_category { /* PAGE_IS_... */
                         HAL_PAGE_WRITTEN = 1 << 1,
                         HAL_PAGE_PRESENT = 1 << 3,
                         HAL_PAGE_SWAPPED = 1 << 4,
                         HAL_PAGE_ZERO =
                             1 << 5 /* mapped to the shared zero page: read, never written */
};

enum hal_scan_argument_flags { /* PM_SCAN_... */
                               HAL_SCAN_PROTECT_MATCHING = 1 << 0,
                               HAL_SCAN_CHECK_ASYNC =
                                   1 << 1 /* fail with EPERM on memory that is not under WP_ASYNC */
};

#define HAL_PAGEMAP_SCAN _IOWR('f', 16, struct hal_scan_argument)
_Static_assert(HAL_PAGEMAP_SCAN == 0xc0606610u, "kernel ABI");
#ifdef PAGEMAP_SCAN
_Static_assert(HAL_PAGEMAP_SCAN == PAGEMAP_SCAN, "kernel ABI");
_Static_assert(sizeof(struct hal_scan_argument) == sizeof(struct pm_scan_arg), "kernel ABI");
#endif

#endif /* HAL_UAPI_COMPAT_H */
