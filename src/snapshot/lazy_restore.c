/* SPDX-License-Identifier: Apache-2.0
 *
 * lazy_restore.c - see lazy_restore.h.
 *
 *            demand() / background() / load()                     forget()
 *   file ---- read, verify, install, protected ----> memory    unloaded ----> hole
 *
 * Owns two readers of the generation, each a file handle and a view of the store for one thread at
 * a time, and the set of pages that are not loaded. `unloaded` begins as the whole used part of the
 * range, holes included: nothing is walked at the start, and what is a hole is found out when it is
 * looked at.
 *
 * Truth over all pages: a page of `unloaded` is not present in memory, and what it holds is what
 * the generation says; for any other page the memory is right, and if it is not present it is a
 * hole. A page leaves `unloaded` under `lock`, after it was installed (load) or before it is given
 * back (forget), and never comes back. So an old page can not follow a discard: who installs looks
 * at `unloaded` in the same step.
 *
 * Lock order: the engine's discard_lock, a reader's mutex, `lock`. `lock` is a leaf and is held for
 * the installation of a few pages, never for I/O. The threads here never wait for the engine, and
 * never touch the memory by loads and stores.
 *
 * Errors: a read that fails is tried again; a page that stays unreadable or does not verify is
 * never installed. The first such failure is kept, the host is told, and no snapshot is committed
 * from then on. If a thread waits for the page it can not go on, so the host must end the process;
 * if it does not, the fatal hook does.
 */
#include "lazy_restore.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_points.h"
#include "ph_probe.h"
#include "snapshot_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    READ_ATTEMPTS = 3,
    BUSY_PAGES = 64,              /* read in the background at once while faults come: 256 KiB */
    IDLE_PAGES = SNAP_READ_PAGES, /* and while none does */
    IDLE_AFTER = 4,               /* requests without a fault between them */
    INSTALL_PAGES = 16,           /* under the lock at once: a fault waits for them */
    HOLE_PAGES = 32, /* given to a thread that touches a hole, so that it comes seldom */
};

/** One reader of the generation. */
struct reader {
    pthread_mutex_t mutex; /* all else here is under it */
    struct snap_io *io;
    struct snap_store *view; /* NULL: everything is loaded */
    uint64_t *page;          /* SNAP_READ_PAGES of each */
    bool *data;
    uint8_t *buffer;
    struct phantom_diag diag;
};

struct lazy_restore {
    struct lazy_source source;
    struct snap_wanted *wanted_first;
    uint64_t generation;
    struct reader demand, bulk;

    /* background thread only */
    size_t wanted_at;     /* in wanted_first */
    uint64_t wanted_page; /* next one in that range */
    uint64_t cursor;      /* everything below is loaded */
    uint64_t faults_seen; /* when the last request was made */
    unsigned quiet;       /* requests since the last fault */

    _Atomic uint64_t faults, holes;
    atomic_bool complete;

    pthread_mutex_t lock; /* a leaf; guards the rest */
    struct page_set unloaded;
    struct page_set demanded;
    uint64_t loaded;
    int failure;
    struct phantom_diag diag;
};

/** In a forked child nothing is there any more, and its locks may be held by threads that are not:
 *  the memory knows without any lock. 0 or PHANTOM_EFORKED. */
static int check_process(struct lazy_restore *lazy)
{
    return lazy->source.memory->ops->install(lazy->source.memory, 0, 0, NULL);
}

/* ---- failure ------------------------------------------------------------------------------- */

/** Give the world up. Returns only if nobody waits for the page. */
static void give_up(struct lazy_restore *lazy, int error, const struct phantom_diag *diag,
                    bool waiting)
{
    pthread_mutex_lock(&lazy->lock);
    bool first = lazy->failure == 0;
    if (first) {
        memcpy(&lazy->diag, diag, sizeof(lazy->diag));
        lazy->failure = error;
    }
    pthread_mutex_unlock(&lazy->lock);
    if ((first || waiting) && lazy->source.damaged != NULL) {
        lazy->source.damaged(lazy->source.damaged_context, error, diag, waiting);
    }
    if (waiting) {
        /* The thread must neither see wrong bytes nor wait for ever. */
        ph_check_failed(__FILE__, __LINE__, diag->text);
    }
}

int lazy_restore_failure(struct lazy_restore *lazy, struct phantom_diag *diag)
{
    pthread_mutex_lock(&lazy->lock);
    int error = lazy->failure;
    if (error != 0) {
        ph_fail(diag, error, "%s", lazy->diag.text);
    }
    pthread_mutex_unlock(&lazy->lock);
    return error;
}

/* ---- reading and installing ---------------------------------------------------------------- */

static bool is_unloaded(struct lazy_restore *lazy, uint64_t page)
{
    pthread_mutex_lock(&lazy->lock);
    bool yes = page < lazy->unloaded.page_count && page_set_has(&lazy->unloaded, page);
    pthread_mutex_unlock(&lazy->lock);
    return yes;
}

/** Read and verify the first `count` pages of the reader's list. Under its mutex. */
static int read_list(struct lazy_restore *lazy, struct reader *reader, unsigned count)
{
    int rc = -EIO;
    for (int attempt = 0; rc != 0 && attempt < READ_ATTEMPTS; attempt++) {
        reader->diag.text[0] = '\0';
        rc = snap_store_read_pages(reader->view, lazy->generation, reader->page, count,
                                   reader->buffer, reader->data, &reader->diag);
    }
    return rc;
}

/** Length of the run of list entries from `at` that are neighbours and equal in `data`. */
static unsigned run_length(const struct reader *reader, unsigned at, unsigned count)
{
    unsigned length = 1;
    while (at + length < count && length < INSTALL_PAGES &&
           reader->page[at + length] == reader->page[at] + length &&
           reader->data[at + length] == reader->data[at]) {
        length++;
    }
    return length;
}

/** Install the part of [at, at+count) of the list that is still unloaded. Under `lock`. */
static int install_run(struct lazy_restore *lazy, struct reader *reader, unsigned at,
                       unsigned count, bool holes_too)
{
    struct snap_memory *memory = lazy->source.memory;
    int rc = 0;
    for (unsigned i = at; rc == 0 && i < at + count; i++) {
        unsigned first = i;
        while (i < at + count && page_set_has(&lazy->unloaded, reader->page[i])) {
            i++;
        }
        if (i == first) {
            continue;
        }
        uint64_t page = reader->page[first];
        if (reader->data[first]) {
            rc = memory->ops->install(memory, page, i - first,
                                      reader->buffer + (size_t)first * SNAP_PAGE_SIZE);
            lazy->loaded += i - first;
        } else if (holes_too) {
            rc = memory->ops->install(memory, page, i - first, NULL);
        }
        if (rc == 0) {
            page_set_remove_range(&lazy->unloaded, page, i - first);
        }
    }
    return rc;
}

/** Put what was read into memory, unless it has been loaded or discarded meanwhile. */
static int install_list(struct lazy_restore *lazy, struct reader *reader, unsigned count,
                        bool holes_too)
{
    int rc = 0;
    for (unsigned at = 0; rc == 0 && at < count;) {
        unsigned length = run_length(reader, at, count);
        PH_POINT("read, not installed");
        pthread_mutex_lock(&lazy->lock);
        rc = install_run(lazy, reader, at, length, holes_too);
        pthread_mutex_unlock(&lazy->lock);
        at += length;
    }
    return rc == 0 ? 0
                   : ph_fail(&reader->diag, rc, "putting page %" PRIu64 " of %s into memory: %s",
                             reader->page[0], lazy->source.memory->ops->name, phantom_strerror(rc));
}

/** Pages of zeros for a thread that touches a hole, and for the holes behind it. */
static int supply_hole(struct lazy_restore *lazy, uint64_t page)
{
    struct snap_memory *memory = lazy->source.memory;
    uint64_t count = 1;
    pthread_mutex_lock(&lazy->lock);
    while (count < HOLE_PAGES && page + count < lazy->unloaded.page_count &&
           !page_set_has(&lazy->unloaded, page + count)) {
        count++;
    }
    pthread_mutex_unlock(&lazy->lock);
    PH_POINT("hole not installed");
    /* Not unloaded now is not unloaded for ever: no lock is needed any more. */
    return memory->ops->install(memory, page, count, NULL);
}

/* ---- on demand ----------------------------------------------------------------------------- */

static void note_demand(struct lazy_restore *lazy, uint64_t page)
{
    atomic_fetch_add(&lazy->faults, 1);
    pthread_mutex_lock(&lazy->lock);
    page_set_add(&lazy->demanded, page);
    pthread_mutex_unlock(&lazy->lock);
}

static void demand(void *context, uint64_t page)
{
    struct lazy_restore *lazy = context;
    struct reader *reader = &lazy->demand;
    int rc = 0;
    pthread_mutex_lock(&reader->mutex);
    if (is_unloaded(lazy, page)) {
        note_demand(lazy, page);
        PH_PROBE1(restore_fault, page);
        reader->page[0] = page;
        rc = read_list(lazy, reader, 1);
        rc = rc != 0 ? rc : install_list(lazy, reader, 1, true);
    }
    if (rc == 0) {
        /* A hole, or loaded or discarded by somebody else meanwhile: then this only wakes. */
        rc = supply_hole(lazy, page);
        if (rc != 0) {
            ph_fail(&reader->diag, rc, "no page of zeros for page %" PRIu64 ": %s", page,
                    phantom_strerror(rc));
        }
    }
    if (rc != 0 && rc != PHANTOM_EFORKED) {
        give_up(lazy, rc, &reader->diag, true);
    }
    pthread_mutex_unlock(&reader->mutex);
}

/** Somebody waits for these pages: a few are not to wait for what the background reads. */
static struct reader *reader_for(struct lazy_restore *lazy, uint64_t count)
{
    return count <= BUSY_PAGES ? &lazy->demand : &lazy->bulk;
}

int lazy_restore_load(struct lazy_restore *lazy, uint64_t first, uint64_t count,
                      struct phantom_diag *diag)
{
    struct reader *reader = reader_for(lazy, count);
    uint64_t end = lazy->unloaded.page_count;
    end = first + count < end ? first + count : end; /* behind it no page is ever missing */
    int rc = check_process(lazy);
    if (rc != 0) {
        return ph_fail(diag, rc, "loading pages: %s", phantom_strerror(rc));
    }
    pthread_mutex_lock(&reader->mutex);
    while (rc == 0 && first < end) {
        unsigned list = 0;
        uint64_t from = first;
        for (; first < end && list < SNAP_READ_PAGES; first++) {
            if (is_unloaded(lazy, first)) {
                reader->page[list++] = first;
            }
        }
        if (list != 0) {
            rc = read_list(lazy, reader, list);
            rc = rc != 0 ? rc : install_list(lazy, reader, list, true);
        }
        if (rc != 0) {
            give_up(lazy, rc, &reader->diag, false);
            ph_fail(diag, rc, "%s", reader->diag.text);
            break;
        }
        /* Holes among them, old and new: present from now on, as zeros. */
        rc = lazy->source.memory->ops->install(lazy->source.memory, from, first - from, NULL);
        if (rc != 0) {
            ph_fail(diag, rc, "no pages of zeros: %s", phantom_strerror(rc));
        }
    }
    pthread_mutex_unlock(&reader->mutex);
    return rc;
}

int lazy_restore_load_list(struct lazy_restore *lazy, const uint64_t *pages, size_t count,
                           struct phantom_diag *diag)
{
    struct reader *reader = reader_for(lazy, count);
    int rc = check_process(lazy);
    if (rc != 0) {
        return ph_fail(diag, rc, "loading pages: %s", phantom_strerror(rc));
    }
    pthread_mutex_lock(&reader->mutex);
    for (size_t at = 0; rc == 0 && at < count;) {
        unsigned list = 0;
        for (; at < count && list < SNAP_READ_PAGES; at++) {
            if (is_unloaded(lazy, pages[at])) {
                reader->page[list++] = pages[at];
            }
        }
        if (list != 0) {
            rc = read_list(lazy, reader, list);
            rc = rc != 0 ? rc : install_list(lazy, reader, list, true);
        }
    }
    if (rc != 0) {
        give_up(lazy, rc, &reader->diag, false);
        ph_fail(diag, rc, "%s", reader->diag.text);
    }
    pthread_mutex_unlock(&reader->mutex);
    return rc;
}

/* ---- in the background --------------------------------------------------------------------- */

/** Next unloaded page of the working set, or PAGE_SET_END. */
static uint64_t next_wanted(struct lazy_restore *lazy)
{
    for (; lazy->wanted_at < lazy->source.wanted_count; lazy->wanted_at++) {
        struct snap_wanted range = lazy->wanted_first[lazy->wanted_at];
        uint64_t from = lazy->wanted_page > range.first ? lazy->wanted_page : range.first;
        pthread_mutex_lock(&lazy->lock);
        uint64_t page = page_set_next(&lazy->unloaded, from, range.first + range.count);
        pthread_mutex_unlock(&lazy->lock);
        if (page != PAGE_SET_END) {
            lazy->wanted_page = page + 1;
            return page;
        }
        lazy->wanted_page = 0;
    }
    return PAGE_SET_END;
}

/** Next unloaded page with data, in ascending order, or PAGE_SET_END; holes are taken off the set.
 *  Negative in *rc: reading the map failed. */
static uint64_t next_in_order(struct lazy_restore *lazy, int *rc)
{
    struct reader *reader = &lazy->bulk;
    for (;;) {
        pthread_mutex_lock(&lazy->lock);
        uint64_t page = page_set_next(&lazy->unloaded, lazy->cursor, UINT64_MAX);
        pthread_mutex_unlock(&lazy->lock);
        if (page == PAGE_SET_END) {
            return page;
        }
        uint64_t next = page;
        for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
            *rc = snap_store_next_page(reader->view, lazy->generation, page, &next, &reader->diag);
            if (*rc >= 0) {
                break;
            }
        }
        if (*rc < 0) {
            return PAGE_SET_END;
        }
        uint64_t end =
            *rc == 1 && next < lazy->unloaded.page_count ? next : lazy->unloaded.page_count;
        pthread_mutex_lock(&lazy->lock);
        page_set_remove_range(&lazy->unloaded, page, end - page);
        bool unloaded = end < lazy->unloaded.page_count && page_set_has(&lazy->unloaded, end);
        pthread_mutex_unlock(&lazy->lock);
        lazy->cursor = end;
        if (unloaded) {
            lazy->cursor = end + 1;
            return end;
        }
    }
}

/** How much to read at once: a fault waits behind it. */
static unsigned request_pages(struct lazy_restore *lazy)
{
    uint64_t faults = atomic_load(&lazy->faults);
    lazy->quiet = faults == lazy->faults_seen ? lazy->quiet + 1 : 0;
    lazy->faults_seen = faults;
    return lazy->quiet > IDLE_AFTER ? IDLE_PAGES : BUSY_PAGES;
}

/** Fill the list. 0: everything is loaded; negative: an error. */
static int choose_list(struct lazy_restore *lazy)
{
    struct reader *reader = &lazy->bulk;
    unsigned most = request_pages(lazy), count = 0;
    while (count < most) {
        int rc = 0;
        uint64_t page = next_wanted(lazy);
        if (page == PAGE_SET_END) {
            page = next_in_order(lazy, &rc);
        }
        if (rc < 0) {
            return rc;
        }
        if (page == PAGE_SET_END) {
            break;
        }
        reader->page[count++] = page;
    }
    return (int)count;
}

static void close_reader(struct reader *reader)
{
    snap_store_close(reader->view);
    reader->view = NULL;
    if (reader->io != NULL) {
        reader->io->ops->close(reader->io);
        reader->io = NULL;
    }
    ph_free(reader->page);
    ph_free(reader->data);
    ph_free(reader->buffer);
    reader->page = NULL;
    reader->data = NULL;
    reader->buffer = NULL;
}

/** Nothing is unloaded any more, so no reader is needed; the generation may be dropped. */
static void finish(struct lazy_restore *lazy)
{
    struct reader *readers[] = {&lazy->demand, &lazy->bulk};
    for (unsigned i = 0; i < 2; i++) {
        pthread_mutex_lock(&readers[i]->mutex);
        close_reader(readers[i]);
        pthread_mutex_unlock(&readers[i]->mutex);
    }
    atomic_store(&lazy->complete, true);
}

static bool background(void *context)
{
    struct lazy_restore *lazy = context;
    struct reader *reader = &lazy->bulk;
    pthread_mutex_lock(&reader->mutex);
    reader->diag.text[0] = '\0';
    int count = choose_list(lazy);
    int rc = count < 0 ? count : 0;
    if (count > 0) {
        rc = read_list(lazy, reader, (unsigned)count);
        rc = rc != 0 ? rc : install_list(lazy, reader, (unsigned)count, false);
    }
    if (rc != 0 && rc != PHANTOM_EFORKED) {
        give_up(lazy, rc, &reader->diag, false);
    }
    pthread_mutex_unlock(&reader->mutex);
    if (rc == 0 && count == 0) {
        finish(lazy);
    }
    return rc == 0 && count != 0;
}

/* ---- the engine's questions ---------------------------------------------------------------- */

void lazy_restore_forget(struct lazy_restore *lazy, uint64_t first, uint64_t count)
{
    uint64_t end = lazy->unloaded.page_count;
    if (first >= end || check_process(lazy) != 0 || PH_MUTANT(RESTORED_OVER_DISCARD)) {
        return;
    }
    pthread_mutex_lock(&lazy->lock);
    page_set_remove_range(&lazy->unloaded, first, count < end - first ? count : end - first);
    pthread_mutex_unlock(&lazy->lock);
}

void lazy_restore_progress(struct lazy_restore *lazy, struct snap_restore_progress *out)
{
    pthread_mutex_lock(&lazy->lock);
    *out = (struct snap_restore_progress){.lazy = true,
                                          .complete = atomic_load(&lazy->complete),
                                          .pages_unloaded = lazy->unloaded.members,
                                          .pages_loaded = lazy->loaded,
                                          .pages_demanded = atomic_load(&lazy->faults)};
    pthread_mutex_unlock(&lazy->lock);
}

int lazy_restore_each_unloaded(struct lazy_restore *lazy, uint64_t end, snap_page_visitor visit,
                               void *context, struct phantom_diag *diag)
{
    struct reader *reader = &lazy->demand;
    end = end < lazy->unloaded.page_count ? end : lazy->unloaded.page_count;
    int rc = 0;
    pthread_mutex_lock(&reader->mutex);
    for (uint64_t page = 0; rc == 0 && reader->view != NULL && page < end; page++) {
        if (!is_unloaded(lazy, page)) {
            continue;
        }
        int got = snap_store_read_page(reader->view, lazy->generation, page, reader->buffer, diag);
        rc = got < 0 ? got : got == 1 ? visit(context, page, reader->buffer) : 0;
    }
    pthread_mutex_unlock(&reader->mutex);
    return rc;
}

void lazy_restore_demanded(struct lazy_restore *lazy, struct page_set *set)
{
    pthread_mutex_lock(&lazy->lock);
    for (uint64_t page = page_set_next(&lazy->demanded, 0, UINT64_MAX); page != PAGE_SET_END;
         page = page_set_next(&lazy->demanded, page + 1, UINT64_MAX)) {
        page_set_add(set, page);
    }
    pthread_mutex_unlock(&lazy->lock);
}

void lazy_restore_mistake(struct lazy_restore *lazy, struct page_set *discarded)
{
    pthread_mutex_lock(&lazy->lock);
    for (uint64_t page = page_set_next(&lazy->unloaded, 0, UINT64_MAX); page != PAGE_SET_END;
         page = page_set_next(&lazy->unloaded, page + 1, UINT64_MAX)) {
        page_set_add(discarded, page);
    }
    pthread_mutex_unlock(&lazy->lock);
}

/* ---- start and stop ------------------------------------------------------------------------ */

static int open_reader(struct lazy_restore *lazy, struct reader *reader, struct phantom_diag *diag)
{
    reader->diag = (struct phantom_diag)PHANTOM_DIAG_INIT;
    reader->page = ph_zalloc(SNAP_READ_PAGES, sizeof(*reader->page));
    reader->data = ph_zalloc(SNAP_READ_PAGES, sizeof(*reader->data));
    reader->buffer = ph_alloc_aligned(SNAP_PAGE_SIZE, (size_t)SNAP_READ_PAGES * SNAP_PAGE_SIZE);
    if (reader->page == NULL || reader->data == NULL || reader->buffer == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory to restore generation %" PRIu64, lazy->generation);
    }
    int rc = lazy->source.open_reader(lazy->source.reader_context, &reader->io, diag);
    return rc != 0 ? rc : snap_store_open_view(lazy->source.store, reader->io, &reader->view, diag);
}

/** How much of the range may hold data: what was in use, or all of it should there be more. */
static int used_pages(struct lazy_restore *lazy, uint64_t *pages, struct phantom_diag *diag)
{
    uint64_t all = lazy->source.memory->page_count;
    uint64_t used = snap_store_current(lazy->source.store)->heap_pages;
    *pages = used < all ? used : all;
    uint64_t page = 0;
    int more = snap_store_next_page(lazy->bulk.view, lazy->generation, *pages, &page, diag);
    if (more == 1) {
        *pages = all;
    }
    return more < 0 ? more : 0;
}

static int copy_wanted(struct lazy_restore *lazy, struct phantom_diag *diag)
{
    size_t count = lazy->source.wanted_count;
    if (count != 0) {
        lazy->wanted_first = ph_zalloc(count, sizeof(*lazy->wanted_first));
        if (lazy->wanted_first == NULL) {
            return ph_fail(diag, -ENOMEM, "no memory for the working set");
        }
        memcpy(lazy->wanted_first, lazy->source.wanted_first, count * sizeof(*lazy->wanted_first));
        lazy->source.wanted_first = NULL; /* the caller's */
    }
    return 0;
}

static int prepare(struct lazy_restore *lazy, struct phantom_diag *diag)
{
    uint64_t pages = 0;
    int rc = open_reader(lazy, &lazy->demand, diag);
    rc = rc != 0 ? rc : open_reader(lazy, &lazy->bulk, diag);
    rc = rc != 0 ? rc : used_pages(lazy, &pages, diag);
    rc = rc != 0 ? rc : copy_wanted(lazy, diag);
    if (rc != 0) {
        return rc;
    }
    if (page_set_init(&lazy->unloaded, pages) != 0 || page_set_init(&lazy->demanded, pages) != 0) {
        return ph_fail(diag, -ENOMEM, "no memory for the set of pages to restore");
    }
    page_set_add_range(&lazy->unloaded, 0, pages);
    if (pages == 0) {
        return 0;
    }
    const struct snap_page_source source = {
        .context = lazy, .demand = demand, .background = background};
    struct snap_memory *memory = lazy->source.memory;
    rc = memory->ops->serve(memory, pages, &source);
    return rc == 0
               ? 0
               : ph_fail(diag, rc, "pages cannot be loaded on demand: %s", phantom_strerror(rc));
}

static void free_all(struct lazy_restore *lazy)
{
    close_reader(&lazy->demand);
    close_reader(&lazy->bulk);
    page_set_finish(&lazy->unloaded);
    page_set_finish(&lazy->demanded);
    ph_free(lazy->wanted_first);
    pthread_mutex_destroy(&lazy->demand.mutex);
    pthread_mutex_destroy(&lazy->bulk.mutex);
    pthread_mutex_destroy(&lazy->lock);
    ph_free(lazy);
}

int lazy_restore_start(const struct lazy_source *source, struct lazy_restore **out,
                       struct phantom_diag *diag)
{
    struct lazy_restore *lazy = ph_zalloc(1, sizeof(*lazy));
    if (lazy == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory to restore");
    }
    lazy->source = *source;
    lazy->generation = snap_store_current(source->store)->number;
    lazy->diag = (struct phantom_diag)PHANTOM_DIAG_INIT;
    /* With default attributes these cannot fail on Linux. */
    int rc = pthread_mutex_init(&lazy->lock, NULL);
    rc = rc != 0 ? rc : pthread_mutex_init(&lazy->demand.mutex, NULL);
    rc = rc != 0 ? rc : pthread_mutex_init(&lazy->bulk.mutex, NULL);
    PH_CHECK(rc == 0);
    rc = prepare(lazy, diag);
    if (rc != 0) {
        free_all(lazy);
        return rc;
    }
    *out = lazy;
    return 0;
}

void lazy_restore_stop(struct lazy_restore *lazy)
{
    if (lazy == NULL) {
        return;
    }
    lazy->source.memory->ops->stop_serving(lazy->source.memory);
    free_all(lazy);
}
