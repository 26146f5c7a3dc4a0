/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_memory.c - hal_memory_reserve() on a simulated machine: an ordinary mapping at the address
 * asked for. What was stored into is known exactly and on any kernel: a page that is clean or a
 * hole is read-only, the first store into it faults, and the handler (trap_signals.h) notes it and
 * opens the page. (Not taken: comparing with a shadow copy, which reads the whole heap at each scan
 * and does not see a store of the same bytes.)
 *
 * A fault is a switch point, before and after the page is opened: the one place between two plain
 * stores of a C program where another thread can go on.
 *
 * Where first stores are to be announced (guard), the handler does that, in the storing thread.
 * A frozen copy (freeze) is a copy.
 *
 * Pages on demand (serve): what is ABSENT cannot be read either. Who touches it tells the loader, a
 * thread of the machine, and sleeps, inside the handler; another thread works ahead.
 *
 * Owns the mapping and one byte for each page. True between calls: a page is writable exactly when
 * its state is DIRTY, and readable unless it is ABSENT.
 */
#include "sim_internal.h"

#include "ph_check.h"
#include "ph_sanitizer.h"
#include "trap_signals.h"

#include <hal.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ABSENT: a touch waits until somebody has installed the page. */
enum { HOLE, CLEAN, DIRTY, ABSENT };
enum { REQUESTS = 64, BLOCK_PAGES = 16 };

struct sim_memory {
    struct snap_memory memory; /* first */
    struct snap_memory_ops ops;
    struct trap_range range;
    struct hal_sim *sim;
    uint8_t *pages; /* states */
    uint64_t size;
    struct sim_memory *next;
    /* Serving pages on demand. */
    struct snap_page_source source;
    uint64_t served;            /* pages [0, served) can be ABSENT; 0: serve() was not called */
    uint64_t request[REQUESTS]; /* that threads wait for */
    unsigned requests, servers; /* servers: threads that run */
    bool stopping;
    struct snap_page_guard guard; /* before_store NULL: stores are not announced */
    uint8_t *frozen;              /* a copy of the range; NULL: none */
};

static struct sim_memory *memory_of(struct snap_memory *memory)
{
    return (struct sim_memory *)memory;
}

static void protect(struct sim_memory *own, uint64_t first, uint64_t count, int how)
{
    int rc = mprotect(own->memory.base + first * SIM_PAGE, count * SIM_PAGE, how);
    PH_CHECK(rc == 0); /* too many mappings: a heap of a test that is too scattered */
}

static void wait_for_page(struct sim_memory *own, uint64_t page)
{
    PH_CHECK(own->requests < REQUESTS); /* one for each thread that waits */
    own->request[own->requests++] = page;
    sim_wake(own->request, 1);
    while (own->pages[page] == ABSENT) {
        (void)sim_sleep("page", NULL, &own->pages[page], SIM_NEVER);
    }
}

/** Not a stray store of a thread outside, and not at the end of a machine. */
static bool may_switch(const struct sim_memory *own)
{
    return !PH_UNDER_TSAN && hal_sim_inside() && sim_here() == own->sim && !own->sim->silent;
}

/** A store is coming: the page becomes dirty and writable, and those that go with it. */
static void open_pages(struct sim_memory *own, uint64_t page)
{
    uint64_t first = page, count = 1;
    if (own->guard.before_store != NULL) {
        uint64_t unit = own->ops.trap_pages, end = own->memory.page_count;
        first = page / unit * unit;
        count = end - first < unit ? end - first : unit;
        own->guard.before_store(own->guard.context, first, count);
    }
    memset(own->pages + first, DIRTY, count);
    protect(own, first, count, PROT_READ | PROT_WRITE);
}

/** In the storing thread, inside the signal handler. */
static bool first_store(struct trap_range *range, const struct trap_fault *fault)
{
    struct sim_memory *own =
        (struct sim_memory *)((char *)range - offsetof(struct sim_memory, range));
    uint64_t page = (fault->address - range->begin) / SIM_PAGE;
    if (own->pages[page] == ABSENT && hal_sim_inside()) {
        wait_for_page(own, page);
        return true; /* a store faults once more, into a page that is there */
    }
    if (!fault->store || own->pages[page] == DIRTY) {
        return false; /* a wild access, or somebody has changed the protection */
    }
    if (may_switch(own)) {
        sim_point("first store", NULL);
    }
    if (own->pages[page] == ABSENT) { /* discarded meanwhile */
        return true;
    }
    open_pages(own, page);
    if (may_switch(own)) {
        sim_point("page opened", NULL);
    }
    return true;
}

static int check_span(const struct sim_memory *own, uint64_t first, uint64_t count)
{
    return first > own->memory.page_count || count > own->memory.page_count - first ? -EINVAL : 0;
}

static bool matches(uint8_t state, bool dirty)
{
    return dirty ? state == DIRTY : state == CLEAN || state == DIRTY;
}

/** Ranges of pages that are dirty, or not holes. */
static int collect(struct sim_memory *own, bool dirty, bool clean_them, struct snap_range span,
                   struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    size_t used = 0;
    uint64_t end = span.first + span.count, page = span.first;
    while (page < end) {
        if (!matches(own->pages[page], dirty)) {
            page++;
            continue;
        }
        if (used == capacity) {
            break;
        }
        struct snap_range *range = &ranges[used++];
        range->first = page;
        while (page < end && matches(own->pages[page], dirty)) {
            own->pages[page] = clean_them ? CLEAN : own->pages[page];
            page++;
        }
        range->count = page - range->first;
        if (clean_them) {
            protect(own, range->first, range->count, PROT_READ);
            sim_reached("range protected");
        }
    }
    *resume = page;
    return (int)used;
}

static int memory_scan(struct snap_memory *memory, uint64_t first, uint64_t count, unsigned flags,
                       struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    struct sim_memory *own = memory_of(memory);
    sim_point("scan", NULL);
    int rc = check_span(own, first, count);
    return rc != 0 ? rc
                   : collect(own, true, (flags & SNAP_SCAN_PROTECT) != 0,
                             (struct snap_range){first, count}, ranges, capacity, resume);
}

static int memory_resident(struct snap_memory *memory, uint64_t first, uint64_t count,
                           struct snap_range *ranges, size_t capacity, uint64_t *resume)
{
    struct sim_memory *own = memory_of(memory);
    sim_point("resident", NULL);
    int rc = check_span(own, first, count);
    return rc != 0 ? rc
                   : collect(own, false, false, (struct snap_range){first, count}, ranges, capacity,
                             resume);
}

static int memory_populate(struct snap_memory *memory, uint64_t first, uint64_t count,
                           const void *data)
{
    struct sim_memory *own = memory_of(memory);
    int rc = check_span(own, first, count);
    if (rc == 0 && count > 0) {
        protect(own, first, count, PROT_READ | PROT_WRITE);
        memcpy(memory->base + first * SIM_PAGE, data, count * SIM_PAGE);
        protect(own, first, count, PROT_READ);
        memset(own->pages + first, CLEAN, count);
    }
    return rc;
}

static int memory_protect_all(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    struct sim_memory *own = memory_of(memory);
    struct snap_range ranges[64];
    uint64_t at = first, resume = first;
    int rc = check_span(own, first, count);
    while (rc == 0 && at < first + count) {
        (void)collect(own, true, true, (struct snap_range){at, first + count - at}, ranges, 64,
                      &resume);
        at = resume;
    }
    return rc;
}

static int memory_discard(struct snap_memory *memory, uint64_t first, uint64_t count)
{
    struct sim_memory *own = memory_of(memory);
    sim_point("give back", NULL);
    int rc = check_span(own, first, count);
    if (rc == 0 && count > 0) {
        uint64_t absent = first < own->served ? own->served - first : 0;
        absent = absent < count ? absent : count;
        rc = madvise(memory->base + first * SIM_PAGE, count * SIM_PAGE, MADV_DONTNEED);
        PH_CHECK(rc == 0);
        if (absent > 0) {
            protect(own, first, absent, PROT_NONE);
            memset(own->pages + first, ABSENT, absent);
        }
        if (absent < count) {
            protect(own, first + absent, count - absent, PROT_READ);
            memset(own->pages + first + absent, HOLE, count - absent);
        }
    }
    return rc;
}

/* ---- pages on demand ------------------------------------------------------------------------ */

static void server_ends(struct sim_memory *own)
{
    own->servers--;
    sim_wake(&own->servers, UINT_MAX);
}

static void load_pages(void *context)
{
    struct sim_memory *own = context;
    (void)t_current_set_name("page loader");
    while (!own->stopping) {
        if (own->requests == 0) {
            (void)sim_sleep("page requests", NULL, own->request, SIM_NEVER);
            continue;
        }
        uint64_t page = own->request[0];
        own->requests--;
        memmove(&own->request[0], &own->request[1], own->requests * sizeof(own->request[0]));
        own->source.demand(own->source.context, page);
    }
    server_ends(own);
}

static void read_ahead(void *context)
{
    struct sim_memory *own = context;
    (void)t_current_set_name("page reader");
    while (!own->stopping && own->source.background(own->source.context)) {
    }
    server_ends(own);
}

static void memory_stop_serving(struct snap_memory *memory)
{
    struct sim_memory *own = memory_of(memory);
    own->stopping = true;
    sim_wake(own->request, UINT_MAX);
    while (own->servers > 0) {
        (void)sim_sleep("page servers", NULL, &own->servers, SIM_NEVER);
    }
}

static int memory_serve(struct snap_memory *memory, uint64_t count,
                        const struct snap_page_source *source)
{
    struct sim_memory *own = memory_of(memory);
    int rc = check_span(own, 0, count);
    if (rc != 0 || count == 0) {
        return rc;
    }
    own->source = *source;
    own->served = count;
    memset(own->pages, ABSENT, count);
    protect(own, 0, count, PROT_NONE);
    void (*const threads[])(void *) = {load_pages, read_ahead};
    for (int i = 0; i < 2 && rc == 0; i++) {
        own->servers++;
        int started = sim_start(threads[i], own);
        if (started < 0) {
            own->servers--;
            rc = started;
            memory_stop_serving(memory);
        }
    }
    return rc;
}

static int memory_install(struct snap_memory *memory, uint64_t first, uint64_t count,
                          const void *data)
{
    struct sim_memory *own = memory_of(memory);
    int rc = check_span(own, first, count);
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        uint64_t page = first + i;
        if (own->pages[page] != ABSENT) {
            continue;
        }
        if (data != NULL) {
            protect(own, page, 1, PROT_READ | PROT_WRITE);
            memcpy(memory->base + page * SIM_PAGE, (const uint8_t *)data + i * SIM_PAGE, SIM_PAGE);
        }
        protect(own, page, 1, PROT_READ);
        own->pages[page] = data != NULL ? CLEAN : HOLE;
        sim_wake(&own->pages[page], UINT_MAX);
    }
    return rc;
}

static int memory_barrier(struct snap_memory *memory)
{
    (void)memory;
    sim_point("barrier", NULL);
    return 0;
}

static void memory_wait(struct snap_memory *memory, _Atomic uint32_t *word, uint32_t expected)
{
    (void)memory;
    if (atomic_load(word) == expected) {
        (void)sim_sleep("word", NULL, word, SIM_NEVER);
    }
}

static void memory_wake(struct snap_memory *memory, _Atomic uint32_t *word)
{
    (void)memory;
    sim_wake(word, UINT_MAX);
}

static void drop_frozen(struct sim_memory *own)
{
    if (own->frozen != NULL) {
        (void)munmap(own->frozen, own->size);
        own->frozen = NULL;
    }
}

static void unmap(struct sim_memory *own)
{
    struct sim_memory **link = &own->sim->memories;
    while (*link != own) {
        link = &(*link)->next;
    }
    *link = own->next;
    own->sim->silent = true;
    trap_signals_forget(&own->range);
    own->sim->silent = false;
    drop_frozen(own);
    (void)munmap(own->memory.base, own->size);
    (void)munmap(own->pages, own->memory.page_count);
    free(own);
}

static void memory_close(struct snap_memory *memory)
{
    memory_stop_serving(memory);
    unmap(memory_of(memory));
}

void sim_memory_unmap_all(struct hal_sim *sim)
{
    while (sim->memories != NULL) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): unmap() takes it off the list */
        unmap(sim->memories);
    }
}

/* ---- announcing first stores, frozen copies ------------------------------------------------- */

static int memory_guard(struct snap_memory *memory, const struct snap_page_guard *guard)
{
    struct sim_memory *own = memory_of(memory);
    own->guard = guard != NULL ? *guard : (struct snap_page_guard){0};
    for (uint64_t page = 0; page < memory->page_count; page++) {
        if (own->pages[page] == CLEAN) { /* it has never been protected */
            own->pages[page] = DIRTY;
            protect(own, page, 1, PROT_READ | PROT_WRITE);
        }
    }
    return 0;
}

static void memory_thaw(struct snap_memory *memory, void *frozen)
{
    (void)frozen;
    drop_frozen(memory_of(memory));
}

static int memory_freeze(struct snap_memory *memory, void **frozen)
{
    struct sim_memory *own = memory_of(memory);
    sim_point("freeze", NULL);
    PH_CHECK(own->frozen == NULL);
    uint8_t *copy = mmap(NULL, own->size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy == MAP_FAILED) {
        return -ENOMEM;
    }
    for (uint64_t page = 0; page < memory->page_count; page++) {
        if (matches(own->pages[page], false)) {
            memcpy(copy + page * SIM_PAGE, memory->base + page * SIM_PAGE, SIM_PAGE);
        }
    }
    *frozen = own->frozen = copy;
    return 0;
}

static int memory_read_frozen(struct snap_memory *memory, void *frozen, uint64_t first,
                              uint64_t count, void *out)
{
    sim_point("read frozen", NULL);
    int rc = check_span(memory_of(memory), first, count);
    if (rc == 0) {
        memcpy(out, (const uint8_t *)frozen + first * SIM_PAGE, count * SIM_PAGE);
    }
    return rc;
}

static const struct snap_memory_ops sim_memory_ops = {
    .name = "simulated",
    .resident = memory_resident,
    .scan = memory_scan,
    .populate = memory_populate,
    .protect_all = memory_protect_all,
    .discard = memory_discard,
    .close = memory_close,
    .barrier = memory_barrier,
    .wait = memory_wait,
    .wake = memory_wake,
    .freeze = memory_freeze,
    .read_frozen = memory_read_frozen,
    .thaw = memory_thaw,
};

/** trap_signals.c has a lock of the process, which is none of the machine's. */
static int watch(struct sim_memory *own)
{
    own->sim->silent = true;
    int rc = trap_signals_watch(SIGSEGV, &own->range);
    own->sim->silent = false;
    return rc;
}

static int map(struct sim_memory *own, uint64_t base, uint64_t size, struct phantom_diag *diag)
{
    void *at = mmap((void *)(uintptr_t)base, size, PROT_READ,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == MAP_FAILED) {
        return errno == EEXIST ? ph_fail(diag, PHANTOM_EADDRESS,
                                         "the heap's range at 0x%" PRIx64 " is in use", base)
                               : ph_fail(diag, -errno, "mapping the heap: %s", strerror(errno));
    }
    own->memory.base = at;
    own->size = size;
    own->memory.page_count = size / SIM_PAGE;
    /* Collections give back huge parts and scans look at all states: present only where used. */
    own->pages = mmap(NULL, own->memory.page_count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    own->range = (struct trap_range){(uintptr_t)at, (uintptr_t)at + size, first_store};
    int rc = own->pages != MAP_FAILED ? watch(own) : -ENOMEM;
    if (rc != 0) {
        if (own->pages != MAP_FAILED) {
            (void)munmap(own->pages, own->memory.page_count);
        }
        (void)munmap(at, size);
        return ph_fail(diag, rc, "catching stores into the heap: %s", phantom_strerror(rc));
    }
    return 0;
}

int hal_memory_reserve(uint64_t base, uint64_t size, enum hal_tracking tracking,
                       struct snap_memory **out, struct phantom_diag *diag)
{
    struct hal_sim *sim = sim_here();
    bool announces = tracking == HAL_TRACK_SIGBUS || tracking == HAL_TRACK_MPROTECT;
    if (announces && PH_UNDER_TSAN) {
        return ph_fail(diag, PHANTOM_EUNSUPPORTED,
                       "under ThreadSanitizer a simulated machine does not announce first stores");
    }
    struct sim_memory *own = calloc(1, sizeof(*own));
    if (own == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    own->sim = sim;
    own->ops = sim_memory_ops;
    own->ops.tracks = tracking == HAL_TRACK_ASYNC;
    if (own->ops.tracks && !PH_UNDER_TSAN) { /* which forbids much of it in a signal handler */
        own->ops.serve = memory_serve;
        own->ops.install = memory_install;
        own->ops.stop_serving = memory_stop_serving;
    }
    if (announces) {
        own->ops.trap = tracking == HAL_TRACK_SIGBUS ? "sigbus" : "mprotect";
        own->ops.trap_pages = tracking == HAL_TRACK_SIGBUS ? 1 : BLOCK_PAGES;
        own->ops.guard = memory_guard;
        own->ops.freeze = NULL;
    }
    own->memory.ops = &own->ops;
    int rc = map(own, base, size, diag);
    if (rc != 0) {
        free(own);
        return rc;
    }
    own->next = sim->memories;
    sim->memories = own;
    *out = &own->memory;
    return 0;
}
