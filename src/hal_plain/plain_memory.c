/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_memory.c - the range of a heap: private memory at a fixed address, and first stores caught
 * by mprotect() and SIGSEGV where the host consents.
 *
 * POSIX does not say which pages exist. But a page of zeros and a page that was never written are
 * the same to a program, so a page is resident here if it has a byte that is not zero. That costs
 * reading the range that is asked about.
 *
 * While stores are caught (guard), protection goes by blocks of 64 KiB. True then: a block that is
 * not `open` is read-only; an open one is writable, or becomes it at the next fault.
 *
 * Owns the list of guarded ranges, which the signal handler reads: entries are set and cleared
 * while nobody stores into their range. Locks: none but the fork list's.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS: everywhere, in the standard since 2024; MAP_NORESERVE */
#include "hal_posix.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "plain_frozen.h"
#include "plain_internal.h"

#include <hal.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

enum { PAGE = 4096, BLOCK_PAGES = 16, RANGES_GUARDED = 64 };

struct plain_memory {
    struct snap_memory memory;
    struct plain_forkable forkable;
    struct snap_page_guard guard;
    atomic_bool guarded;
    atomic_bool *open;    /* blocks; NULL: stores are never caught here */
    atomic_bool freezing; /* `freezer` forks, and its child keeps the range */
    pthread_t freezer;
};

static struct plain_memory *plain_of(struct snap_memory *memory)
{
    return (struct plain_memory *)memory;
}

static int check(const struct snap_memory *memory, uint64_t first, uint64_t count)
{
    if (atomic_load(&((const struct plain_memory *)memory)->forkable.forked)) {
        return PHANTOM_EFORKED;
    }
    return first > memory->page_count || count > memory->page_count - first ? -EINVAL : 0;
}

static uint8_t *page_at(const struct snap_memory *memory, uint64_t page)
{
    return memory->base + page * PAGE;
}

/* ---- protection ----------------------------------------------------------------------------- */

static uint64_t block_count(const struct snap_memory *memory)
{
    return (memory->page_count + BLOCK_PAGES - 1) / BLOCK_PAGES;
}

/** All blocks in [from, to) become writable, or read-only. */
static int set_open(struct snap_memory *memory, uint64_t from, uint64_t to, bool open)
{
    struct plain_memory *plain = plain_of(memory);
    uint64_t first = from * BLOCK_PAGES, end = to * BLOCK_PAGES;
    end = end > memory->page_count ? memory->page_count : end;
    if (first >= end) {
        return 0;
    }
    for (uint64_t block = from; !open && block < to; block++) {
        atomic_store(&plain->open[block], false);
    }
    if (mprotect(page_at(memory, first), (end - first) * PAGE,
                 open ? PROT_READ | PROT_WRITE : PROT_READ) != 0) {
        return -errno;
    }
    for (uint64_t block = from; open && block < to; block++) {
        atomic_store(&plain->open[block], true);
    }
    return 0;
}

static void announce(struct plain_memory *plain, uint64_t block)
{
    uint64_t first = block * BLOCK_PAGES, left = plain->memory.page_count - first;
    if (!atomic_load(&plain->open[block])) {
        plain->guard.before_store(plain->guard.context, first,
                                  left < BLOCK_PAGES ? left : BLOCK_PAGES);
    }
}

/** In the thread that stores. False: the system refuses. */
static bool open_for_store(struct plain_memory *plain, uint64_t block)
{
    if (PH_MUTANT(UNPROTECT_BEFORE_COPY)) {
        (void)mprotect(page_at(&plain->memory, block * BLOCK_PAGES), PAGE, PROT_READ | PROT_WRITE);
    }
    announce(plain, block);
    if (set_open(&plain->memory, block, block + 1, true) == 0) {
        return true;
    }
    /* Too many mappings: grow the writable one that comes next, which makes no new one. */
    uint64_t end = block + 1;
    while (end < block_count(&plain->memory) && !atomic_load(&plain->open[end])) {
        announce(plain, end++);
    }
    return set_open(&plain->memory, block, end, true) == 0;
}

static _Atomic(struct plain_memory *) guarded_ranges[RANGES_GUARDED];
static pthread_mutex_t handler_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned handler_users;
static struct sigaction handler_before;

/** A store is one instruction of the program: what it interrupts is no call of the system. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    for (int i = 0; i < RANGES_GUARDED; i++) {
        struct plain_memory *plain = atomic_load(&guarded_ranges[i]);
        uintptr_t base = plain == NULL ? 0 : (uintptr_t)plain->memory.base;
        if (plain == NULL || address < base || address - base >= plain->memory.page_count * PAGE ||
            info->si_code != SEGV_ACCERR) {
            continue;
        }
        if (open_for_store(plain, (address - base) / PAGE / BLOCK_PAGES)) {
            errno = saved;
            return;
        }
    }
    errno = saved;
    if ((handler_before.sa_flags & SA_SIGINFO) != 0) {
        handler_before.sa_sigaction(signal, info, context);
    } else if (handler_before.sa_handler != SIG_DFL && handler_before.sa_handler != SIG_IGN) {
        handler_before.sa_handler(signal);
    } else if (info->si_code > 0 || handler_before.sa_handler == SIG_DFL) {
        struct sigaction plainly = {.sa_handler = SIG_DFL};
        (void)sigaction(signal, &plainly, NULL); /* the instruction runs again */
        if (info->si_code <= 0) {                /* there is none: somebody sent it */
            (void)raise(signal);
        }
    }
}

static int watch(struct plain_memory *plain)
{
    int rc = -ENOSPC;
    (void)pthread_mutex_lock(&handler_lock);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    for (int i = 0; i < RANGES_GUARDED && rc == -ENOSPC; i++) {
        if (atomic_load(&guarded_ranges[i]) == NULL) {
            rc = handler_users == 0 && sigaction(SIGSEGV, &action, &handler_before) != 0 ? -errno
                                                                                         : 0;
            if (rc == 0) {
                handler_users++;
                atomic_store(&guarded_ranges[i], plain);
            }
        }
    }
    (void)pthread_mutex_unlock(&handler_lock);
    return rc;
}

static void forget(struct plain_memory *plain)
{
    (void)pthread_mutex_lock(&handler_lock);
    for (int i = 0; i < RANGES_GUARDED; i++) {
        if (atomic_load(&guarded_ranges[i]) == plain) {
            atomic_store(&guarded_ranges[i], NULL);
            if (--handler_users == 0) {
                (void)sigaction(SIGSEGV, &handler_before, NULL);
            }
        }
    }
    (void)pthread_mutex_unlock(&handler_lock);
}

static int memory_guard(struct snap_memory *memory, const struct snap_page_guard *guard)
{
    struct plain_memory *plain = plain_of(memory);
    int rc = check(memory, 0, 0);
    if (rc != 0) {
        return rc;
    }
    if (atomic_exchange(&plain->guarded, false)) {
        rc = set_open(memory, 0, block_count(memory), true);
        forget(plain);
    }
    if (rc != 0 || guard == NULL) {
        return rc;
    }
    plain->guard = *guard;
    rc = watch(plain);
    if (rc != 0) {
        return rc;
    }
    /* Pages that exist as well: that costs them a fault and nothing else. */
    rc = set_open(memory, 0, block_count(memory), false);
    if (rc != 0) {
        (void)set_open(memory, 0, block_count(memory), true);
        forget(plain);
        return rc;
    }
    atomic_store(&plain->guarded, true);
    return 0;
}

/* ---- the operations of all ranges ----------------------------------------------------------- */

static int memory_scan(struct snap_memory *memory, uint64_t first, uint64_t count, unsigned flags,
                       struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    (void)memory;
    (void)first;
    (void)count;
    (void)flags;
    (void)ranges;
    (void)capacity;
    (void)resume;
    return PHANTOM_EUNSUPPORTED;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

static int memory_resident(struct snap_memory *memory, uint64_t first, uint64_t count,
                           struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    int rc = check(memory, first, count);
    if (rc != 0) {
        return rc;
    }
    size_t found = 0;
    bool inside = false;
    uint64_t page = first;
    for (; page < first + count; page++) {
        bool resident = !is_zero(page_at(memory, page));
        if (resident && !inside) {
            ranges[found++] = (struct snap_range){page, 0};
        }
        if (resident) {
            ranges[found - 1].count++;
        } else if (found == capacity) {
            break;
        }
        inside = resident;
    }
    *resume = page;
    return (int)found;
}

static int memory_protect_all(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    int rc = check(memory, first, count);
    if (rc != 0 || count == 0 || !atomic_load(&plain_of(memory)->guarded)) {
        return rc;
    }
    return set_open(memory, first / BLOCK_PAGES, (first + count - 1) / BLOCK_PAGES + 1, false);
}

static int memory_populate(struct snap_memory *memory, uint64_t first, uint64_t count,
                           const void *data)
{
    int rc = check(memory, first, count);
    if (rc == 0 && count > 0 && atomic_load(&plain_of(memory)->guarded)) {
        rc = set_open(memory, first / BLOCK_PAGES, (first + count - 1) / BLOCK_PAGES + 1, true);
    }
    if (rc != 0) {
        return rc;
    }
    memcpy(page_at(memory, first), data, count * PAGE);
    return memory_protect_all(memory, first, count);
}

/** New memory in the place of the old: with the protection that the block has now. */
static int memory_discard(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    struct plain_memory *plain = plain_of(memory);
    int rc = check(memory, first, count);
    for (uint64_t page = first, end = first + count; rc == 0 && page < end;) {
        uint64_t next = end;
        int protection = PROT_READ | PROT_WRITE;
        if (atomic_load(&plain->guarded)) {
            bool open = atomic_load(&plain->open[page / BLOCK_PAGES]);
            protection = open ? protection : PROT_READ;
            next = page - page % BLOCK_PAGES + BLOCK_PAGES;
            while (next < end && atomic_load(&plain->open[next / BLOCK_PAGES]) == open) {
                next += BLOCK_PAGES;
            }
            next = next < end ? next : end;
        }
        if (mmap(page_at(memory, page), (next - page) * PAGE, protection,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
            rc = -errno;
        }
        page = next;
    }
    return rc;
}

/* ---- a frozen copy -------------------------------------------------------------------------- */

/** World stopped. The flag is seen by handlers of fork(), and only this thread's means it. */
static int memory_freeze(struct snap_memory *memory, void **frozen)
{
    struct plain_memory *plain = plain_of(memory);
    int rc = check(memory, 0, 0);
    struct plain_frozen *made = rc == 0 ? ph_alloc(sizeof(*made)) : NULL;
    if (made == NULL) {
        return rc != 0 ? rc : -ENOMEM;
    }
    plain->freezer = pthread_self();
    atomic_store(&plain->freezing, true);
    rc = plain_frozen_make(made);
    atomic_store(&plain->freezing, false);
    if (rc != 0) {
        ph_free(made);
        return rc;
    }
    *frozen = made;
    return 0;
}

static int memory_read_frozen(struct snap_memory *memory, void *frozen, uint64_t first,
                              uint64_t count, void *out)
{
    int rc = check(memory, first, count);
    return rc != 0 ? rc : plain_frozen_read(frozen, page_at(memory, first), count * PAGE, out);
}

static void memory_thaw(struct snap_memory *memory, void *frozen)
{
    if (check(memory, 0, 0) == 0) {
        plain_frozen_end(frozen);
        ph_free(frozen);
    }
}

/* ---- the end; waiting ----------------------------------------------------------------------- */

static void memory_close(struct snap_memory *memory)
{
    struct plain_memory *plain = plain_of(memory);
    if (atomic_load(&plain->forkable.forked)) {
        return;
    }
    (void)memory_guard(memory, NULL);
    plain_fork_delist(&plain->forkable);
    (void)munmap(memory->base, memory->page_count * PAGE);
    ph_free(plain->open);
    ph_free(plain);
}

/* Also in the handler: the store that it interrupts holds none of the locks of these. */
static void memory_wait(struct snap_memory *memory, _Atomic uint32_t *word, uint32_t expected)
{
    (void)memory;
    (void)hal_futex_wait(word, expected, -1);
}

static void memory_wake(struct snap_memory *memory, _Atomic uint32_t *word)
{
    (void)memory;
    hal_futex_wake(word, INT_MAX);
}

#define PLAIN_MEMORY_OPS                                                                           \
    .name = "plain", .tracks = false, .scan = memory_scan, .resident = memory_resident,            \
    .populate = memory_populate, .protect_all = memory_protect_all, .discard = memory_discard,     \
    .close = memory_close, .wait = memory_wait, .wake = memory_wake, .freeze = memory_freeze,      \
    .read_frozen = memory_read_frozen, .thaw = memory_thaw

static const struct snap_memory_ops untracked_ops = {PLAIN_MEMORY_OPS};
static const struct snap_memory_ops catching_ops = {
    PLAIN_MEMORY_OPS, .trap = "mprotect", .trap_pages = BLOCK_PAGES, .guard = memory_guard};

/* ---- reserving ------------------------------------------------------------------------------ */

static void memory_in_child(struct plain_forkable *forkable)
{
    struct plain_memory *plain =
        (struct plain_memory *)((char *)forkable - offsetof(struct plain_memory, forkable));
    if (!atomic_load(&plain->freezing) || !pthread_equal(plain->freezer, pthread_self())) {
        (void)munmap(plain->memory.base, plain->memory.page_count * PAGE);
    }
}

struct span {
    uint64_t base, size;
    uint64_t other_base, other_size;
};

static bool overlaps(struct plain_forkable *forkable, void *context)
{
    struct span *span = context;
    const struct plain_memory *plain =
        (struct plain_memory *)((char *)forkable - offsetof(struct plain_memory, forkable));
    span->other_base = (uintptr_t)plain->memory.base;
    span->other_size = plain->memory.page_count * PAGE;
    return span->base < span->other_base + span->other_size &&
           span->other_base < span->base + span->size;
}

static int refuse_address(uint64_t base, uint64_t size, struct phantom_diag *diag)
{
    struct span span = {.base = base, .size = size};
    if (plain_fork_each(memory_in_child, overlaps, &span)) {
        return ph_fail(diag, PHANTOM_EADDRESS,
                       "the heap's range %" PRIx64 "-%" PRIx64
                       " is in use by another heap, %" PRIx64 "-%" PRIx64,
                       base, base + size, span.other_base, span.other_base + span.other_size);
    }
    return ph_fail(diag, PHANTOM_EADDRESS, "the heap's range %" PRIx64 "-%" PRIx64 " is in use",
                   base, base + size);
}

static bool is_limited(void)
{
    struct rlimit addresses, data;
    return (getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY) ||
           (getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_cur != RLIM_INFINITY);
}

static int map_at(uint64_t base, uint64_t size, struct phantom_diag *diag)
{
    void *wanted = (void *)(uintptr_t)base; /* a wish, which replaces nothing */
    void *got = mmap(wanted, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) {
        int error = errno;
        return ph_fail(diag, -error, "reserving %" PRIu64 " bytes for the heap: %s%s", size,
                       strerror(error),
                       is_limited() ? "; a limit is set (RLIMIT_AS, RLIMIT_DATA)" : "");
    }
    if (got != wanted) {
        (void)munmap(got, size);
        return refuse_address(base, size, diag);
    }
    return 0;
}

int hal_memory_reserve(uint64_t base, uint64_t size, enum hal_tracking tracking,
                       struct snap_memory **out, struct phantom_diag *diag)
{
    if (base == 0 || size == 0 || base % PAGE != 0 || size % PAGE != 0 ||
        base > UINTPTR_MAX - size) {
        return ph_fail(diag, PHANTOM_EINVALID, "not a range of pages: %" PRIx64 ", %" PRIu64, base,
                       size);
    }
    if (tracking != HAL_TRACK_NONE && tracking != HAL_TRACK_MPROTECT) {
        return ph_fail(diag, PHANTOM_EUNSUPPORTED,
                       "the system does not say which pages were written");
    }
    if (sysconf(_SC_PAGESIZE) != PAGE) {
        return ph_fail(diag, PHANTOM_EUNSUPPORTED,
                       "the pages of this system are not of 4096 bytes");
    }
    struct plain_memory *plain = ph_zalloc(1, sizeof(*plain));
    if (plain == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the heap's range");
    }
    plain->memory.base = (uint8_t *)(uintptr_t)base;
    plain->memory.page_count = size / PAGE;
    plain->memory.ops = &untracked_ops;
    int rc = 0;
    if (tracking == HAL_TRACK_MPROTECT) {
        plain->memory.ops = &catching_ops;
        plain->open = ph_zalloc(block_count(&plain->memory), sizeof(*plain->open));
        rc = plain->open == NULL ? ph_fail(diag, -ENOMEM, "no memory for the heap's range") : 0;
    }
    rc = rc == 0 ? map_at(base, size, diag) : rc;
    if (rc != 0) {
        ph_free(plain->open);
        ph_free(plain);
        return rc;
    }
    plain->forkable.in_child = memory_in_child;
    plain_fork_enlist(&plain->forkable);
    *out = &plain->memory;
    return 0;
}
