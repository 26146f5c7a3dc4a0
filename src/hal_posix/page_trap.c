/* SPDX-License-Identifier: Apache-2.0
 *
 * page_trap.c - see page_trap.h. Owns a descriptor and a row in the table of trap_signals.c. No
 * locks: handlers of several threads run at the same time, the rest comes one call at a time.
 *
 * In the handler the order is: the guard saves what it needs, then the page becomes writable, then
 * the store is repeated. Two threads may do that for one page; the second finds it done.
 *
 * sigbus. The range is registered MISSING|WP: a store into a protected page raises SIGBUS, and so
 * does any access to a page that is not there. So holes need not be armed (that costs milliseconds
 * and page tables for each GiB, and a kernel of 6.4), and a page that was discarded traps again by
 * itself. A hole that is read gets a protected page of zeros.
 *
 * mprotect. Each block that is opened between protected ones splits a mapping, and a process may
 * have vm.max_map_count of them (65530). We take at most half: when half of that is used up, blocks
 * become larger by and by, and the last resort is the whole range, which is one mapping again. What
 * is opened together counts as changed together.
 */
#include "page_trap.h"

#include "hal_internal.h"
#include "ph_mutant.h"
#include "uapi_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEFAULT_MAP_COUNT = 65530, WIDEN = 16 };

static const uint8_t zeros[HAL_PAGE_SIZE] __attribute__((aligned(HAL_PAGE_SIZE)));

static uint64_t page_of(const struct page_trap *trap, uintptr_t address)
{
    return (address - trap->range.begin) / HAL_PAGE_SIZE;
}

static void before_store(struct page_trap *trap, uint64_t first, uint64_t count)
{
    trap->guard.before_store(trap->guard.context, first, count);
}

/* ---- sigbus --------------------------------------------------------------------------------- */

/* EAGAIN: the kernel is changing the address space at this moment. */
static int control(int fd, unsigned long request, void *argument)
{
    while (ioctl(fd, request, argument) != 0) {
        if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static int write_protect(struct page_trap *trap, uint64_t first, uint64_t count, uint64_t mode)
{
    struct uffdio_writeprotect change = {
        .range = {.start = trap->range.begin + first * HAL_PAGE_SIZE, .len = count * HAL_PAGE_SIZE},
        .mode = mode,
    };
    return control(trap->userfaultfd, UFFDIO_WRITEPROTECT, &change);
}

/* A page of zeros where there is none. -EEXIST: there is one. */
static int fill_hole(struct page_trap *trap, uint64_t page, uint64_t mode)
{
    struct uffdio_copy copy = {
        .dst = trap->range.begin + page * HAL_PAGE_SIZE,
        .src = (uintptr_t)zeros,
        .len = HAL_PAGE_SIZE,
        .mode = mode,
    };
    return control(trap->userfaultfd, UFFDIO_COPY, &copy);
}

static bool sigbus_fault(struct trap_range *range, const struct trap_fault *fault)
{
    struct page_trap *trap = (struct page_trap *)range;
    uint64_t page = page_of(trap, fault->address);
    if (trap->forked) {
        return false;
    }
    if (!fault->store) { /* a protected page can be read, so there was none */
        int rc = fill_hole(trap, page, UFFDIO_COPY_MODE_WP);
        return rc == 0 || rc == -EEXIST;
    }
    if (PH_MUTANT(UNPROTECT_BEFORE_COPY)) {
        (void)write_protect(trap, page, 1, 0);
    }
    /* The guard may read the page, and a fault in this handler would end the process: so it is
     * there first. What is not in the page table may be a hole or swapped out. */
    if (!fault->present && !PH_MUTANT(GUARD_MEETS_HOLE)) {
        int rc = fill_hole(trap, page, UFFDIO_COPY_MODE_WP);
        if (rc != 0 && rc != -EEXIST) {
            return false;
        }
    }
    before_store(trap, page, 1);
    return write_protect(trap, page, 1, 0) == 0;
}

static int sigbus_open(struct page_trap *trap, const char **step)
{
    *step = "userfaultfd";
    trap->userfaultfd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (trap->userfaultfd < 0) {
        return -errno;
    }
    *step = "write protection with SIGBUS";
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_SIGBUS,
    };
    int rc = control(trap->userfaultfd, UFFDIO_API, &api);
    if (rc != 0) {
        hal_close(trap->userfaultfd);
        trap->userfaultfd = -1;
    }
    return rc;
}

static int sigbus_start(struct page_trap *trap)
{
    struct uffdio_register range = {
        .range = {.start = trap->range.begin, .len = trap->range.end - trap->range.begin},
        .mode = UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING,
    };
    return control(trap->userfaultfd, UFFDIO_REGISTER, &range);
}

static int sigbus_end(struct page_trap *trap)
{
    struct uffdio_range range = {.start = trap->range.begin,
                                 .len = trap->range.end - trap->range.begin};
    return control(trap->userfaultfd, UFFDIO_UNREGISTER, &range);
}

/* ---- mprotect ------------------------------------------------------------------------------- */

static int set_access(struct page_trap *trap, uint64_t first, uint64_t count, int access)
{
    void *start = (void *)(trap->range.begin + first * HAL_PAGE_SIZE);
    return mprotect(start, count * HAL_PAGE_SIZE, access) == 0 ? 0 : -errno;
}

/* How many pages the next opening takes: the more mappings are in use, the more. */
static uint64_t width_now(struct page_trap *trap, uint64_t page_count)
{
    uint32_t opened = atomic_fetch_add(&trap->opened, 1);
    uint64_t width = PAGE_TRAP_BLOCK;
    uint32_t left = trap->most_opened > opened ? trap->most_opened - opened : 0;
    for (uint32_t share = trap->most_opened / 2; left <= share; share /= 2) {
        width *= WIDEN;
        if (width >= page_count || share == 0) {
            return page_count;
        }
    }
    return width;
}

static bool mprotect_fault(struct trap_range *range, const struct trap_fault *fault)
{
    struct page_trap *trap = (struct page_trap *)range;
    if (trap->forked || fault->code != SEGV_ACCERR) { /* not mapped: a child, or a real defect */
        return false;
    }
    uint64_t page_count = (trap->range.end - trap->range.begin) / HAL_PAGE_SIZE;
    uint64_t page = page_of(trap, fault->address);
    for (uint64_t width = width_now(trap, page_count);; width *= WIDEN) {
        uint64_t first = width < page_count ? page / width * width : 0;
        uint64_t count = width < page_count - first ? width : page_count - first;
        if (PH_MUTANT(UNPROTECT_BEFORE_COPY)) {
            (void)set_access(trap, first, count, PROT_READ | PROT_WRITE);
        }
        before_store(trap, first, count);
        int rc = set_access(trap, first, count, PROT_READ | PROT_WRITE);
        if (rc == 0 || count == page_count) {
            return rc == 0;
        } /* else too many mappings: more pages in one */
    }
}

static int mprotect_open(struct page_trap *trap)
{
    char text[32];
    hal_read_line("/proc/sys/vm/max_map_count", text, sizeof(text));
    long most = strtol(text, NULL, 10);
    most = most > 0 ? most : DEFAULT_MAP_COUNT;
    trap->most_opened =
        (uint32_t)(most < (1 << 30) ? most : 1 << 30) / 4; /* an opening makes two */
    trap->most_opened += trap->most_opened == 0;
    return 0;
}

/* ---- both ----------------------------------------------------------------------------------- */

int page_trap_open(struct page_trap *trap, enum page_trap_kind kind, void *base, uint64_t size,
                   const char **step)
{
    *trap = (struct page_trap){.kind = kind, .userfaultfd = -1};
    trap->range = (struct trap_range){
        .begin = (uintptr_t)base,
        .end = (uintptr_t)base + size,
        .fault = kind == PAGE_TRAP_SIGBUS ? sigbus_fault : mprotect_fault,
    };
    *step = "";
    return kind == PAGE_TRAP_SIGBUS ? sigbus_open(trap, step) : mprotect_open(trap);
}

void page_trap_close(struct page_trap *trap)
{
    if (trap->watching) {
        trap_signals_forget(&trap->range);
        trap->watching = false;
    }
    hal_close(trap->userfaultfd);
    trap->userfaultfd = -1;
}

void page_trap_in_child(struct page_trap *trap)
{
    trap->forked = true;
    hal_close(trap->userfaultfd);
    trap->userfaultfd = -1;
}

static int stop_guarding(struct page_trap *trap)
{
    if (!trap->watching) {
        return 0;
    }
    uint64_t page_count = (trap->range.end - trap->range.begin) / HAL_PAGE_SIZE;
    int rc = trap->kind == PAGE_TRAP_SIGBUS
                 ? sigbus_end(trap)
                 : set_access(trap, 0, page_count, PROT_READ | PROT_WRITE);
    trap_signals_forget(&trap->range);
    trap->watching = false;
    return rc;
}

int page_trap_guard(struct page_trap *trap, const struct snap_page_guard *guard)
{
    if (guard == NULL) {
        return stop_guarding(trap);
    }
    trap->guard = *guard;
    int rc = trap_signals_watch(trap->kind == PAGE_TRAP_SIGBUS ? SIGBUS : SIGSEGV, &trap->range);
    if (rc != 0) {
        return rc;
    }
    trap->watching = true;
    uint64_t page_count = (trap->range.end - trap->range.begin) / HAL_PAGE_SIZE;
    rc = trap->kind == PAGE_TRAP_SIGBUS ? sigbus_start(trap)
                                        : page_trap_protect(trap, 0, page_count);
    if (rc != 0) {
        trap_signals_forget(&trap->range);
        trap->watching = false;
    }
    return rc;
}

int page_trap_protect(struct page_trap *trap, uint64_t first, uint64_t count)
{
    if (trap->kind == PAGE_TRAP_SIGBUS) {
        return write_protect(trap, first, count, UFFDIO_WRITEPROTECT_MODE_WP);
    }
    int rc = set_access(trap, first, count, PROT_READ);
    if (rc == 0) {
        atomic_store(&trap->opened, 0);
    }
    return rc;
}
