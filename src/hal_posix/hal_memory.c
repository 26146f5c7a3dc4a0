/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_memory.c - the heap's address range as snap_memory, tracked by the kernel or not.
 *
 * Owns the mapping [base, base+size), the tracker's descriptors, and an entry in the fork list. No
 * locks of its own: scans may run beside mutators, the rest of the calls come one at a time.
 * Always true: the range is one anonymous private mapping without huge pages that no fork inherits;
 * nothing in it is ever remapped or moved (that would lose the tracking silently).
 *
 * A forked child does not have the range: touching it there is a segmentation fault, and the
 * operations return PHANTOM_EFORKED.
 */
#include "hal_posix.h"

#include "frozen_copy.h"
#include "hal_barrier.h"
#include "hal_internal.h"
#include "page_server.h"
#include "page_tracker.h"
#include "page_trap.h"
#include "ph_memory.h"
#include "word_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct hal_memory {
    struct snap_memory memory;
    struct page_tracker tracker; /* userfaultfd -1: untracked */
    struct page_server *server;  /* NULL: pages are not served on demand */
    bool trapped;                /* serve() was called: missing pages wait for a server for good */
    struct page_trap *trap;      /* NULL: first stores are not caught */
    bool forked;
    struct hal_fork_entry fork_entry;
};

static struct hal_memory *memory_of(struct snap_memory *memory)
{
    return (struct hal_memory *)memory;
}

/* 0, or why the call cannot be made. */
static int check_span(const struct hal_memory *own, uint64_t first, uint64_t count)
{
    if (own->forked) {
        return PHANTOM_EFORKED;
    }
    if (first > own->memory.page_count || count > own->memory.page_count - first) {
        return -EINVAL;
    }
    return 0;
}

/* ---- operations ----------------------------------------------------------------------------- */

static int tracked_scan(struct snap_memory *memory, uint64_t first, uint64_t count, unsigned flags,
                        struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    struct hal_memory *own = memory_of(memory);
    int rc = check_span(own, first, count);
    if (rc != 0) {
        return rc;
    }
    return page_tracker_scan(own->tracker.pagemap, memory->base, PAGE_TRACKER_DIRTY,
                             (flags & SNAP_SCAN_PROTECT) != 0, (struct snap_range){first, count},
                             ranges, capacity, resume);
}

static int untracked_scan(struct snap_memory *memory, uint64_t first, uint64_t count,
                          unsigned flags, struct snap_range *ranges, size_t capacity,
                          uint64_t *resume)
{
    (void)memory, (void)first, (void)count, (void)flags;
    (void)ranges, (void)capacity, (void)resume;
    return PHANTOM_EUNSUPPORTED;
}

/* One range page by page from the plain pagemap, for kernels without PAGEMAP_SCAN. Does not know
 * the zero page from others: a hole that was read counts as resident, with zeros in it. */
static int resident_by_reading(int pagemap, const uint8_t *base, struct snap_range span,
                               struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    const uint64_t present_or_swapped = UINT64_C(3) << 62;
    uint64_t entries[512];
    uint64_t end = span.first + span.count;
    uint64_t next = span.first;
    size_t used = 0;
    while (next < end) {
        uint64_t want = end - next < 512 ? end - next : 512;
        off_t at = (off_t)(((uintptr_t)base / HAL_PAGE_SIZE + next) * sizeof(entries[0]));
        ssize_t got = pread(pagemap, entries, want * sizeof(entries[0]), at);
        if (got < (ssize_t)sizeof(entries[0])) {
            return got < 0 ? -errno : -EIO;
        }
        uint64_t pages = (uint64_t)got / sizeof(entries[0]);
        for (uint64_t i = 0; i < pages; i++, next++) {
            if ((entries[i] & present_or_swapped) == 0) {
                continue;
            }
            if (used > 0 && ranges[used - 1].first + ranges[used - 1].count == next) {
                ranges[used - 1].count++;
            } else if (used == capacity) {
                *resume = next;
                return (int)used;
            } else {
                ranges[used++] = (struct snap_range){next, 1};
            }
        }
    }
    *resume = next;
    return (int)used;
}

static int memory_resident(struct snap_memory *memory, uint64_t first, uint64_t count,
                           struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    struct hal_memory *own = memory_of(memory);
    int rc = check_span(own, first, count);
    if (rc != 0) {
        return rc;
    }
    struct snap_range span = {first, count};
    rc = page_tracker_scan(own->tracker.pagemap, memory->base, PAGE_TRACKER_RESIDENT, false, span,
                           ranges, capacity, resume);
    if (rc == -ENOTTY) {
        rc =
            resident_by_reading(own->tracker.pagemap, memory->base, span, ranges, capacity, resume);
    }
    return rc;
}

static int tracked_populate(struct snap_memory *memory, uint64_t first, uint64_t count,
                            const void *data)
{
    struct hal_memory *own = memory_of(memory);
    int rc = check_span(own, first, count);
    return rc != 0 ? rc : page_tracker_install(&own->tracker, memory->base, first, count, data);
}

static int untracked_populate(struct snap_memory *memory, uint64_t first, uint64_t count,
                              const void *data)
{
    int rc = check_span(memory_of(memory), first, count);
    if (rc == 0) {
        memcpy(memory->base + first * HAL_PAGE_SIZE, data, count * HAL_PAGE_SIZE);
    }
    return rc;
}

static int tracked_protect_all(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    struct hal_memory *own = memory_of(memory);
    int rc = check_span(own, first, count);
    return rc != 0 ? rc
                   : page_tracker_protect(own->tracker.pagemap, memory->base,
                                          (struct snap_range){first, count});
}

static int untracked_protect_all(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    return check_span(memory_of(memory), first, count); /* nothing is dirty, nothing is to clear */
}

static int memory_freeze(struct snap_memory *memory, void **frozen)
{
    struct hal_memory *own = memory_of(memory);
    struct frozen_copy *copy;
    if (own->forked) {
        return PHANTOM_EFORKED;
    }
    int rc = frozen_copy_make(memory->base, memory->page_count * HAL_PAGE_SIZE, &copy);
    if (rc == 0) {
        *frozen = copy;
    }
    return rc;
}

static int memory_read_frozen(struct snap_memory *memory, void *frozen, uint64_t first,
                              uint64_t count, void *out)
{
    int rc = check_span(memory_of(memory), first, count);
    return rc != 0 ? rc
                   : frozen_copy_read(frozen, first * HAL_PAGE_SIZE, count * HAL_PAGE_SIZE, out);
}

static void memory_thaw(struct snap_memory *memory, void *frozen)
{
    (void)memory;
    frozen_copy_end(frozen);
}

static int trapped_guard(struct snap_memory *memory, const struct snap_page_guard *guard)
{
    struct hal_memory *own = memory_of(memory);
    return own->forked ? PHANTOM_EFORKED : page_trap_guard(own->trap, guard);
}

static int trapped_protect_all(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    struct hal_memory *own = memory_of(memory);
    int rc = check_span(own, first, count);
    return rc != 0 || count == 0 ? rc : page_trap_protect(own->trap, first, count);
}

static int memory_discard(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    int rc = check_span(memory_of(memory), first, count);
    if (rc != 0 || count == 0) {
        return rc;
    }
    while (madvise(memory->base + first * HAL_PAGE_SIZE, count * HAL_PAGE_SIZE, MADV_DONTNEED) !=
           0) {
        if (errno != EINTR && errno != EAGAIN) {
            return -errno;
        }
    }
    return 0;
}

static int tracked_serve(struct snap_memory *memory, uint64_t count,
                         const struct snap_page_source *source)
{
    struct hal_memory *own = memory_of(memory);
    int rc = check_span(own, 0, count);
    if (rc != 0 || count == 0 || own->trapped) {
        return rc != 0 ? rc : -EINVAL;
    }
    rc = hal_fork_hold();
    if (rc == 0) {
        rc = page_server_start(&own->tracker, memory->base, count, source, &own->server);
        own->trapped = rc == 0;
        hal_fork_release();
    }
    return rc;
}

static int tracked_install(struct snap_memory *memory, uint64_t first, uint64_t count,
                           const void *data)
{
    struct hal_memory *own = memory_of(memory);
    int rc = check_span(own, first, count);
    return rc != 0 ? rc : page_tracker_supply(&own->tracker, memory->base, first, count, data);
}

static void tracked_stop_serving(struct snap_memory *memory)
{
    struct hal_memory *own = memory_of(memory);
    if (own->server == NULL || own->forked) {
        return;
    }
    page_server_stop(own->server);
    bool held = hal_fork_hold() == 0; /* a child being made must not look at what goes */
    page_server_free(own->server);
    own->server = NULL;
    if (held) {
        hal_fork_release();
    }
}

static void memory_close(struct snap_memory *memory)
{
    struct hal_memory *own = memory_of(memory);
    if (own->forked) {
        return; /* see hal_fork.c: nothing is freed there, and the range is not there */
    }
    tracked_stop_serving(memory);
    bool held = hal_fork_hold() == 0; /* it was held once, so handlers exist and this succeeds */
    hal_fork_delist(&own->fork_entry);
    if (own->trap != NULL) {
        page_trap_close(own->trap);
        ph_free(own->trap);
    }
    (void)munmap(memory->base, memory->page_count * HAL_PAGE_SIZE);
    page_tracker_close(&own->tracker);
    if (held) {
        hal_fork_release();
    }
    ph_free(own);
}

static const struct snap_memory_ops tracked_ops = {
    .name = "userfaultfd",
    .tracks = true,
    .scan = tracked_scan,
    .resident = memory_resident,
    .populate = tracked_populate,
    .protect_all = tracked_protect_all,
    .discard = memory_discard,
    .serve = tracked_serve,
    .install = tracked_install,
    .stop_serving = tracked_stop_serving,
    .wait = word_wait,
    .wake = word_wake,
    .close = memory_close,
    .barrier = hal_barrier,
    .faults = hal_faults,
    .prepare_staging = hal_prepare_staging,
};

/* What the memories have in common that nobody tracks: each differs in how it protects. */
#define UNTRACKED_OPS                                                                              \
    .tracks = false, .scan = untracked_scan, .resident = memory_resident,                          \
    .populate = untracked_populate, .discard = memory_discard, .wait = word_wait,                  \
    .wake = word_wake, .close = memory_close, .barrier = hal_barrier,                              \
    .prepare_staging = hal_prepare_staging

static const struct snap_memory_ops untracked_ops = {
    .name = "untracked",
    UNTRACKED_OPS,
    .protect_all = untracked_protect_all,
    .freeze = memory_freeze,
    .read_frozen = memory_read_frozen,
    .thaw = memory_thaw,
};

static const struct snap_memory_ops sigbus_ops = {
    .name = "userfaultfd with SIGBUS",
    UNTRACKED_OPS,
    .protect_all = trapped_protect_all,
    .trap = "sigbus",
    .trap_pages = 1,
    .guard = trapped_guard,
};

static const struct snap_memory_ops mprotect_ops = {
    .name = "mprotect",
    UNTRACKED_OPS,
    .protect_all = trapped_protect_all,
    .trap = "mprotect",
    .trap_pages = PAGE_TRAP_BLOCK,
    .guard = trapped_guard,
};

/* By enum hal_tracking. */
static const struct snap_memory_ops *const operations[] = {
    [HAL_TRACK_NONE] = &untracked_ops,
    [HAL_TRACK_ASYNC] = &tracked_ops,
    [HAL_TRACK_SIGBUS] = &sigbus_ops,
    [HAL_TRACK_MPROTECT] = &mprotect_ops,
};

/* ---- reserve -------------------------------------------------------------------------------- */

/* If the line of /proc/self/maps overlaps [base, base+size). */
static bool line_overlaps(const char *line, uint64_t base, uint64_t size)
{
    char *end;
    uint64_t from = strtoull(line, &end, 16);
    uint64_t to = *end == '-' ? strtoull(end + 1, NULL, 16) : 0;
    return from < base + size && to > base;
}

/* The first mapping in the way, as /proc/self/maps describes it: "from-to rwxp offset dev inode
 * name", runs of blanks made one. Empty when it cannot be told. */
static void find_mapping(uint64_t base, uint64_t size, char *out, size_t out_size)
{
    char line[256], chunk[1024];
    size_t length = 0;
    out[0] = '\0';
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t got;
    while (fd >= 0 && (got = read(fd, chunk, sizeof(chunk))) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            if (chunk[i] != '\n') {
                bool extra_blank = chunk[i] == ' ' && length > 0 && line[length - 1] == ' ';
                if (length < sizeof(line) - 1 && !extra_blank) {
                    line[length++] = chunk[i];
                }
                continue;
            }
            line[length] = '\0';
            length = 0;
            if (line_overlaps(line, base, size)) {
                (void)snprintf(out, out_size, "%s", line);
                hal_close(fd);
                return;
            }
        }
    }
    hal_close(fd);
}

static int map_failed(uint64_t base, uint64_t size, int error, struct phantom_diag *diag)
{
    if (error == EEXIST) {
        char mapping[256];
        find_mapping(base, size, mapping, sizeof(mapping));
        return ph_fail(diag, PHANTOM_EADDRESS,
                       "heap range 0x%" PRIx64 "-0x%" PRIx64 " is taken by mapping %s", base,
                       base + size, mapping[0] != '\0' ? mapping : "(unknown)");
    }
    if (error == ENOMEM) {
        return ph_fail(diag, -ENOMEM,
                       "cannot reserve %" PRIu64 " MiB of addresses: limited by RLIMIT_AS (ulimit "
                       "-v), RLIMIT_DATA (-d), vm.overcommit_memory=2 or vm.max_map_count",
                       size >> 20);
    }
    return ph_fail(diag, -error, "cannot map heap range 0x%" PRIx64 "-0x%" PRIx64 ": %s", base,
                   base + size, strerror(error));
}

static int map_range(uint64_t base, uint64_t size, uint8_t **out, struct phantom_diag *diag)
{
    void *want = (void *)(uintptr_t)base;
    void *got = mmap(want, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED) {
        return map_failed(base, size, errno, diag);
    }
    if (got != want) { /* a kernel before 4.17 takes the address as a wish */
        (void)munmap(got, size);
        return map_failed(base, size, EEXIST, diag);
    }
    /* Huge pages would make one store dirty 2 MiB or split; EINVAL: this kernel has none. */
    if ((madvise(got, size, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) ||
        madvise(got, size, MADV_DONTFORK) != 0 || madvise(got, size, MADV_DONTDUMP) != 0) {
        int error = errno;
        (void)munmap(got, size);
        return map_failed(base, size, error, diag);
    }
    /* A name in /proc/PID/maps, where the kernel can; for whoever finds the range in the way. */
    (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, base, size, "phantom heap");
    *out = got;
    return 0;
}

static void memory_in_child(struct hal_fork_entry *entry)
{
    struct hal_memory *own =
        (struct hal_memory *)((char *)entry - offsetof(struct hal_memory, fork_entry));
    page_tracker_close(&own->tracker);
    if (own->trap != NULL) {
        page_trap_in_child(own->trap);
    }
    if (own->server != NULL) {
        page_server_in_child(own->server);
    }
    own->forked = true;
}

/* Track the mapped range, or open what resident() needs. */
static int open_tracker(struct hal_memory *own, uint64_t size, bool track,
                        struct phantom_diag *diag)
{
    static const char *const steps[PAGE_TRACKER_STEPS] = {"userfaultfd", "write tracking",
                                                          "page scan"};
    if (track) {
        enum page_tracker_step failed;
        int rc = page_tracker_open(&own->tracker, own->memory.base, size, &failed);
        return rc == 0 ? 0
                       : ph_fail(diag, PHANTOM_EUNSUPPORTED, "%s: %s (%s)", steps[failed],
                                 page_tracker_explain(failed, rc), strerror(-rc));
    }
    own->tracker.userfaultfd = -1;
    own->tracker.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (own->tracker.pagemap < 0) {
        int rc = -errno;
        return ph_fail(diag, PHANTOM_EUNSUPPORTED, "/proc/self/pagemap: %s", strerror(-rc));
    }
    return 0;
}

/* What catches first stores in the mapped range. */
static int open_trap(struct hal_memory *own, uint64_t size, enum hal_tracking tracking,
                     struct phantom_diag *diag)
{
    const char *step;
    own->trap = ph_alloc(sizeof(*own->trap));
    if (own->trap == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    enum page_trap_kind kind = tracking == HAL_TRACK_SIGBUS ? PAGE_TRAP_SIGBUS : PAGE_TRAP_MPROTECT;
    int rc = page_trap_open(own->trap, kind, own->memory.base, size, &step);
    if (rc != 0) {
        ph_free(own->trap);
        own->trap = NULL;
        return ph_fail(diag, PHANTOM_EUNSUPPORTED, "%s: needs Linux 5.11 and no filter: %s", step,
                       strerror(-rc));
    }
    return 0;
}

static int reserve_held(struct hal_memory *own, uint64_t base, uint64_t size,
                        enum hal_tracking tracking, struct phantom_diag *diag)
{
    int rc = map_range(base, size, &own->memory.base, diag);
    if (rc != 0) {
        return rc;
    }
    rc = open_tracker(own, size, tracking == HAL_TRACK_ASYNC, diag);
    if (rc == 0 && (tracking == HAL_TRACK_SIGBUS || tracking == HAL_TRACK_MPROTECT)) {
        rc = open_trap(own, size, tracking, diag);
        if (rc != 0) {
            page_tracker_close(&own->tracker);
        }
    }
    if (rc != 0) {
        (void)munmap(own->memory.base, size);
        return rc;
    }
    own->memory.page_count = size / HAL_PAGE_SIZE;
    own->memory.ops = operations[tracking];
    own->fork_entry.in_child = memory_in_child;
    hal_fork_enlist(&own->fork_entry);
    return 0;
}

int hal_memory_reserve(uint64_t base, uint64_t size, enum hal_tracking tracking,
                       struct snap_memory **out, struct phantom_diag *diag)
{
    const uint64_t address_limit = UINT64_C(1) << 47; /* user half of x86-64 */
    if (base == 0 || base % HAL_PAGE_SIZE != 0 || size == 0 || size % HAL_PAGE_SIZE != 0 ||
        base >= address_limit || size > address_limit - base) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "heap range 0x%" PRIx64 " + 0x%" PRIx64 " is not possible here", base, size);
    }
    struct hal_memory *own = ph_zalloc(1, sizeof(*own));
    if (own == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    int rc = hal_fork_hold();
    if (rc == 0) {
        rc = reserve_held(own, base, size, tracking, diag);
        hal_fork_release();
    } else {
        (void)ph_fail(diag, rc, "out of memory");
    }
    if (rc != 0) {
        ph_free(own);
        return rc;
    }
    *out = &own->memory;
    return 0;
}
