/* SPDX-License-Identifier: Apache-2.0
 *
 * page_tracker.c - dirty tracking by the kernel: userfaultfd in WP_ASYNC mode remembers writes in
 * the page table, PAGEMAP_SCAN reads and clears that memory.
 *
 * Owns two descriptors. No locks: the kernel serialises. Everything works without privilege
 * (UFFD_USER_MODE_ONLY; WP_ASYNC lets system calls write into the range and marks those pages too).
 *
 * How a page is classified. The range is registered once and never armed: protecting holes would
 * cost milliseconds per GiB and page tables for nothing. The kernel calls an unprotected hole
 * "written", so the scan filters:
 *
 *     page                         WRITTEN  PRESENT|SWAPPED  ZERO    dirty   resident
 *     hole                            1           0            0      no       no
 *     hole that was read              1           1            1      no       no
 *     written since protected         1           1            0      yes      yes
 *     protected                       0           1            0      no       yes
 *
 * Blind spot: MADV_DONTNEED turns any page into a hole silently. Whoever discards knows it.
 */
#include "page_tracker.h"

#include "hal_internal.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "uapi_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- open ----------------------------------------------------------------------------------- */

static int ask_for_async(int fd)
{
    struct uffdio_api api = {
        .api = UFFD_API,
        .features =
            UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
    };
    return ioctl(fd, UFFDIO_API, &api) == 0 ? 0 : -errno;
}

static int register_range(int fd, void *base, uint64_t size)
{
    struct uffdio_register range = {
        .range = {.start = (uintptr_t)base, .len = size},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    return ioctl(fd, UFFDIO_REGISTER, &range) == 0 ? 0 : -errno;
}

/* Protecting what is dirty in a range that holds nothing yet: the same call as later, on nothing.
 */
static int try_scan(int pagemap, void *base, uint64_t size)
{
    return page_tracker_protect(pagemap, base, (struct snap_range){0, size / HAL_PAGE_SIZE});
}

int page_tracker_open(struct page_tracker *tracker, void *base, uint64_t size,
                      enum page_tracker_step *failed)
{
    tracker->pagemap = -1;
    *failed = PAGE_TRACKER_USERFAULTFD;
    tracker->userfaultfd =
        (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (tracker->userfaultfd < 0) {
        return -errno;
    }
    *failed = PAGE_TRACKER_WP_ASYNC;
    int rc = ask_for_async(tracker->userfaultfd);
    if (rc == 0) {
        rc = register_range(tracker->userfaultfd, base, size);
    }
    if (rc == 0) {
        *failed = PAGE_TRACKER_PAGEMAP_SCAN;
        tracker->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        rc = tracker->pagemap >= 0 ? try_scan(tracker->pagemap, base, size) : -errno;
    }
    if (rc != 0) {
        page_tracker_close(tracker);
    }
    return rc;
}

void page_tracker_close(struct page_tracker *tracker)
{
    hal_close(tracker->pagemap);
    hal_close(tracker->userfaultfd);
    tracker->pagemap = tracker->userfaultfd = -1;
}

const char *page_tracker_explain(enum page_tracker_step step, int error)
{
    switch (step) {
    case PAGE_TRACKER_USERFAULTFD:
        return error == -ENOSYS   ? "not in this kernel, or hidden by a seccomp filter"
               : error == -EPERM  ? "a seccomp filter or security module forbids it"
               : error == -EINVAL ? "kernel too old: unprivileged use needs Linux 5.11"
                                  : "the kernel refused it";
    case PAGE_TRACKER_WP_ASYNC:
        return error == -EINVAL ? "kernel too old: asynchronous write tracking needs Linux 6.7"
                                : "the kernel refused to track the range";
    case PAGE_TRACKER_PAGEMAP_SCAN:
        return error == -ENOTTY   ? "kernel too old: PAGEMAP_SCAN needs Linux 6.7"
               : error == -ENOENT ? "/proc is not mounted"
               : error == -EACCES
                   ? "/proc/self/pagemap belongs to another user (process not dumpable)"
                   : "/proc/self/pagemap cannot be scanned";
    case PAGE_TRACKER_STEPS:
    default: return "";
    }
}

/* ---- scan ----------------------------------------------------------------------------------- */

enum { SCAN_CHUNK = 128 }; /* ranges per system call: 3 KiB of stack */

static struct hal_scan_argument scan_argument(const uint8_t *base, enum page_tracker_filter filter,
                                              bool protect, struct snap_range span)
{
    struct hal_scan_argument scan = {
        .size = sizeof(scan),
        .flags = protect ? HAL_SCAN_PROTECT_MATCHING | HAL_SCAN_CHECK_ASYNC : 0,
        .start = (uintptr_t)base + span.first * HAL_PAGE_SIZE,
        .end = (uintptr_t)base + (span.first + span.count) * HAL_PAGE_SIZE,
        .inverted = HAL_PAGE_ZERO,
        .all_of = HAL_PAGE_ZERO, /* inverted: must not be the zero page */
        .any_of = HAL_PAGE_PRESENT | HAL_PAGE_SWAPPED,
    };
    if (filter == PAGE_TRACKER_DIRTY) {
        scan.all_of |= HAL_PAGE_WRITTEN;
    }
    /* The same answer for every page that matches, so that neighbours come merged. */
    scan.returned = HAL_PAGE_ZERO;
    return scan;
}

/* Regions arrive in ascending order, never more of them than there is room for. */
static void add_region(const uint8_t *base, const struct hal_page_region *region,
                       struct snap_range *ranges, size_t *used)
{
    uint64_t first = (region->start - (uintptr_t)base) / HAL_PAGE_SIZE;
    uint64_t count = (region->end - region->start) / HAL_PAGE_SIZE;
    if (*used > 0 && ranges[*used - 1].first + ranges[*used - 1].count == first) {
        ranges[*used - 1].count += count;
    } else {
        ranges[(*used)++] = (struct snap_range){first, count};
    }
}

int page_tracker_scan(int pagemap, const uint8_t *base, enum page_tracker_filter filter,
                      bool protect, struct snap_range span, struct snap_range *ranges,
                      size_t capacity, uint64_t *resume)
{
    uint64_t end = span.first + span.count;
    uint64_t next = span.first;
    size_t used = 0;
    while (next < end && used < capacity) {
        struct hal_page_region regions[SCAN_CHUNK];
        struct hal_scan_argument scan =
            scan_argument(base, filter, protect, (struct snap_range){next, end - next});
        scan.regions = (uintptr_t)regions;
        /* Never more regions than there is room for: what is reported is already protected. */
        scan.region_capacity = capacity - used < SCAN_CHUNK ? capacity - used : SCAN_CHUNK;
        int found = ioctl(pagemap, HAL_PAGEMAP_SCAN, &scan);
        if (found < 0) {
            if (used > 0) {
                break; /* what was protected must be reported; the next call meets the error */
            }
            return -errno;
        }
        for (int i = 0; i < found; i++) {
            add_region(base, &regions[i], ranges, &used);
        }
        uint64_t reached = (scan.walk_end - (uintptr_t)base) / HAL_PAGE_SIZE;
        if (reached <= next) { /* no progress: cannot happen, and must not become a loop */
            return -EIO;
        }
        next = reached;
    }
    *resume = next;
    return (int)used;
}

/* The regions are asked for although nobody wants them: without room for an answer the kernel (seen
 * on 6.18) skips the filter and protects whatever it walks over, holes included, which then count
 * as swapped pages for ever. */
int page_tracker_protect(int pagemap, const uint8_t *base, struct snap_range span)
{
    uint64_t end = span.first + span.count;
    while (span.first < end) {
        struct snap_range protected[SCAN_CHUNK];
        span.count = end - span.first;
        int rc = page_tracker_scan(pagemap, base, PAGE_TRACKER_DIRTY, true, span, protected,
                                   SCAN_CHUNK, &span.first);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- install -------------------------------------------------------------------------------- */

/* UFFDIO_COPY in bulk: measured at 0.6 times the cost of memcpy into fresh pages plus a protecting
 * scan (64 pages a call; 0.85 times for single pages), because pages are not zeroed first. */
int page_tracker_install(struct page_tracker *tracker, uint8_t *base, uint64_t first,
                         uint64_t count, const void *data)
{
    uint64_t size = count * HAL_PAGE_SIZE;
    uint64_t moved = 0;
    while (moved < size) {
        struct uffdio_copy copy = {
            .dst = (uintptr_t)base + first * HAL_PAGE_SIZE + moved,
            .src = (uintptr_t)data + moved,
            .len = size - moved,
            .mode = UFFDIO_COPY_MODE_WP,
        };
        if (ioctl(tracker->userfaultfd, UFFDIO_COPY, &copy) == 0) {
            return 0;
        }
        int error = errno;
        if (copy.copy > 0) {
            moved += (uint64_t)copy.copy;
        } else if (error == EEXIST) { /* the page exists: overwrite, then protect it */
            uint8_t *page = base + first * HAL_PAGE_SIZE + moved;
            memcpy(page, (const uint8_t *)data + moved, HAL_PAGE_SIZE);
            struct snap_range one = {first + moved / HAL_PAGE_SIZE, 1};
            int rc = page_tracker_protect(tracker->pagemap, base, one);
            if (rc != 0) {
                return rc;
            }
            moved += HAL_PAGE_SIZE;
        } else if (error != EAGAIN && error != EINTR) {
            return -error;
        }
    }
    return 0;
}

/* ---- missing pages -------------------------------------------------------------------------- */

/* Registering a range again adds to its modes: protection that is there is kept (checked on Linux
 * 6.18). Taking MISSING away again is not possible without losing the protection, so it stays. */
int page_tracker_trap_missing(struct page_tracker *tracker, uint8_t *base, struct snap_range span)
{
    struct uffdio_register range = {
        .range = {.start = (uintptr_t)base + span.first * HAL_PAGE_SIZE,
                  .len = span.count * HAL_PAGE_SIZE},
        .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
    };
    return ioctl(tracker->userfaultfd, UFFDIO_REGISTER, &range) == 0 ? 0 : -errno;
}

/* One attempt; *done: bytes that were supplied. 0 or -errno. */
static int supply_once(int fd, uint64_t to, const void *data, uint64_t size, uint64_t *done)
{
    int64_t supplied;
    int rc;
    if (data != NULL) {
        struct uffdio_copy copy = {
            .dst = to, .src = (uintptr_t)data, .len = size, .mode = UFFDIO_COPY_MODE_WP};
        if (PH_MUTANT(RESTORED_UNPROTECTED)) {
            copy.mode = 0;
        }
        rc = ioctl(fd, UFFDIO_COPY, &copy) == 0 ? 0 : -errno;
        supplied = copy.copy;
    } else {
        struct uffdio_zeropage zeros = {.range = {.start = to, .len = size}};
        rc = ioctl(fd, UFFDIO_ZEROPAGE, &zeros) == 0 ? 0 : -errno;
        supplied = zeros.zeropage;
    }
    *done = rc == 0 ? size : supplied > 0 ? (uint64_t)supplied : 0;
    return rc;
}

int page_tracker_supply(struct page_tracker *tracker, uint8_t *base, uint64_t first, uint64_t count,
                        const void *data)
{
    uint64_t at = (uintptr_t)base + first * HAL_PAGE_SIZE;
    uint64_t end = at + count * HAL_PAGE_SIZE;
    while (at < end) {
        uint64_t done = 0;
        int rc = supply_once(tracker->userfaultfd, at, data, end - at, &done);
        if (rc == -EEXIST && done == 0) {
            /* There already; a thread that began to wait just before that is not woken by it. */
            struct uffdio_range range = {.start = at, .len = HAL_PAGE_SIZE};
            (void)ioctl(tracker->userfaultfd, UFFDIO_WAKE, &range);
            done = HAL_PAGE_SIZE;
        } else if (rc != 0 && done == 0 && rc != -EAGAIN && rc != -EINTR) {
            return rc;
        }
        at += done;
        data = data != NULL ? (const char *)data + done : NULL;
    }
    return 0;
}
