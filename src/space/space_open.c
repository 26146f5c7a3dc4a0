/* SPDX-License-Identifier: Apache-2.0
 *
 * space_open.c - birth, opening and end of a space.
 *
 * Birth happens in a file of another name in the same directory; it gets its own name when its
 * first generation is durable. So a store that can be seen is always a store that can be opened.
 */
#include "space_internal.h"

#include "hal_files.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAP_MOST  (UINT64_C(64) << 30)
#define HEAP_LEAST (UINT64_C(4) << 20)

enum {
    ADDRESS_ATTEMPTS = 16,
    DEFAULT_INTERVAL_MS = 1000,
    DEFAULT_STOP_TIMEOUT_MS = 1000,
    DEFAULT_GATHER_US = 150
};

void phantom_space_options_init(struct phantom_space_options *options)
{
    memset(options, 0, sizeof(*options));
    options->size = sizeof(*options);
}

/* ---- options ------------------------------------------------------------------------------------
 */

static int check_options(struct phantom_space_options *o, struct phantom_diag *diag)
{
    if (o->key == NULL && o->key_size != 0) {
        return ph_fail(diag, PHANTOM_EINVALID, "options: a key without bytes");
    }
    if (o->heap_size == 0) {
        o->heap_size = HEAP_MOST;
    }
    if (o->heap_size < HEAP_LEAST || o->heap_size > HEAP_MOST) {
        return ph_fail(diag, PHANTOM_EINVALID, "heap size must be 4 MiB to 64 GiB");
    }
    o->heap_size = (o->heap_size + SPACE_BLOCK - 1) / SPACE_BLOCK * SPACE_BLOCK;
    if (o->existing_only && o->create_only) {
        return ph_fail(diag, PHANTOM_EINVALID, "existing_only and create_only exclude each other");
    }
    if (o->strategy != NULL &&
        strlen(o->strategy) >= sizeof(((struct phantom_space *)0)->strategy)) {
        return ph_fail(diag, PHANTOM_EINVALID, "no snapshot strategy is called '%s'", o->strategy);
    }
    o->interval_ms = o->interval_ms != 0 ? o->interval_ms : DEFAULT_INTERVAL_MS;
    o->stop_timeout_ms = o->stop_timeout_ms != 0 ? o->stop_timeout_ms : DEFAULT_STOP_TIMEOUT_MS;
    if (o->stop_timeout_ms > INT32_MAX) {
        o->stop_timeout_ms = INT32_MAX;
    }
    o->gather_us = o->gather_us != 0 ? o->gather_us : DEFAULT_GATHER_US;
    return 0;
}

static int take_options(struct phantom_space *space, const struct phantom_space_options *options,
                        struct phantom_diag *diag)
{
    struct phantom_space_options *o = &space->options;
    phantom_space_options_init(o);
    if (options != NULL) {
        if (options->size == 0 || options->size > sizeof(*options) ||
            options->size % _Alignof(struct phantom_space_options) != 0) {
            return ph_fail(diag, PHANTOM_EINVALID,
                           "options: size is %zu; call phantom_space_options_init() first",
                           options->size);
        }
        memcpy(o, options, options->size);
        o->size = sizeof(*o);
    }
    int rc = check_options(o, diag);
    if (rc == 0 && o->strategy != NULL) {
        snprintf(space->strategy, sizeof(space->strategy), "%s", o->strategy);
        o->strategy = space->strategy; /* the caller's string may not live as long as the space */
    }
    return rc;
}

/* ---- taking down --------------------------------------------------------------------------------
 */

static void close_storage(struct phantom_space *space)
{
    space_alloc_close(space->alloc);
    space->alloc = NULL;
    space->marks = NULL;
    space->epoch = NULL;
    snap_engine_close(space->engine);
    space->engine = NULL;
    if (space->memory != NULL) {
        space->memory->ops->close(space->memory);
        space->memory = NULL;
    }
    snap_store_close(space->store);
    space->store = NULL;
    if (space->io != NULL) {
        space->io->ops->close(space->io);
        space->io = NULL;
    }
}

static void free_space(struct phantom_space *space)
{
    if (space->key_ready) {
        hal_thread_key_delete(space->key);
    }
    close_storage(space);
    space_threads_free(space);
    if (space->group_ready) {
        space_group_finish(&space->group);
    }
    if (space->gate_ready) {
        space_gate_finish(&space->gate);
    }
    if (space->roots_lock_ready) {
        hal_mutex_destroy(&space->roots_lock);
    }
    if (space->lock_ready) {
        hal_mutex_destroy(&space->lock);
    }
    hal_fork_flag_destroy(space->forked);
    ph_free(space->path);
    ph_free(space);
}

void phantom_space_abandon(struct phantom_space *space)
{
    if (space == NULL) {
        return;
    }
    if (atomic_load(space->forked)) {
        return; /* see phantom_space_close() */
    }
    if (space_is_in_callback(space)) {
        return; /* the thread would wait for itself */
    }
    space_group_end(&space->group);
    space_helper_stop(space);
    space_group_tell_all(&space->group, PHANTOM_ESTOPPED);
    free_space(space);
}

int phantom_space_close(struct phantom_space *space)
{
    if (atomic_load(space->forked)) {
        /* Threads that are not in this process may have been in the middle of anything, the release
         * of a buffer included: what they left is not touched. It ends with the child. */
        if (PH_MUTANT(FORKED_CHILD_FREES)) {
            free_space(space);
        }
        return PHANTOM_EFORKED;
    }
    if (space_is_inside(space) || space_gate_occupied(&space->gate) ||
        space_is_in_callback(space)) {
        return PHANTOM_EINVALID;
    }
    space_group_end(&space->group);
    space_helper_stop(space);
    int rc = atomic_load(&space->poisoned) ? PHANTOM_EPOISONED : atomic_load(&space->damaged);
    if (rc == 0 && (space_changed(space) || space->group.first_call != NULL)) {
        rc = space_take_snapshot(space);
    }
    space_group_tell_all(&space->group, rc);
    free_space(space);
    return rc;
}

/* ---- coming up ----------------------------------------------------------------------------------
 */

static int make_locks(struct phantom_space *space)
{
    space->lock_ready = hal_mutex_init(&space->lock, "space") == 0;
    space->roots_lock_ready = hal_mutex_init(&space->roots_lock, "space roots") == 0;
    space->gate_ready = space_gate_init(&space->gate) == 0;
    space->group.commit = space_take_snapshot;
    space->group.help = space_helper_poke;
    space->group.context = space;
    space->group.gather_ns = space->options.gather_us == PHANTOM_SPACE_NO_GATHER
                                 ? 0
                                 : (uint64_t)space->options.gather_us * 1000;
    space->group_ready = space_group_init(&space->group) == 0;
    space->key_ready = hal_thread_key_create(&space->key, space_thread_end) == 0;
    bool made = space->lock_ready && space->roots_lock_ready && space->gate_ready &&
                space->group_ready && space->key_ready;
    return made ? 0 : -ENOMEM;
}

static unsigned file_flags(const struct phantom_space *space)
{
    return space->options.without_io_uring ? HAL_FILE_NO_URING : 0;
}

static void discard_pages(void *context, void *start, uint64_t bytes)
{
    struct phantom_space *space = context;
    uint64_t first = (uint64_t)((uint8_t *)start - space->memory->base) / SNAP_PAGE_SIZE;
    (void)snap_engine_discard(space->engine, first, bytes / SNAP_PAGE_SIZE); /* zeros in any case */
}

/** Called on a thread of the engine or of the host, at any time after the engine began to open. */
static void page_damaged(void *context, int error, const struct phantom_diag *diag, bool waiting)
{
    struct phantom_space *space = context;
    int none = 0;
    if (atomic_compare_exchange_strong(&space->damaged, &none, error)) {
        hal_mutex_lock(&space->lock);
        space->diag = *diag;
        hal_mutex_unlock(&space->lock);
        space_message(space, "%s: nothing is committed any more: %s", space->path, diag->text);
    }
    if (waiting && space->options.damaged != NULL) {
        struct space_callback callback; /* nobody's engine closes under its own thread */
        if (PH_MUTANT(DAMAGED_MAY_WAIT)) {
            space->options.damaged(space->options.context, error, diag->text);
            return;
        }
        space_callback_begin(space, &callback);
        space->options.damaged(space->options.context, error, diag->text);
        space_callback_end(space, &callback);
    }
}

static int open_reader(void *context, struct snap_io **out, struct phantom_diag *diag)
{
    struct phantom_space *space = context;
    return hal_file_open(space->path, file_flags(space) | HAL_FILE_READ_ONLY, out, diag);
}

static int open_engine(struct phantom_space *space, struct phantom_diag *diag)
{
    const struct snap_world host = {.context = space,
                                    .stop = space_stop,
                                    .resume = space_resume,
                                    .heap_pages = space_pages,
                                    .damaged = page_damaged};
    const struct snap_engine_options options = {
        .strategy = space_strategy(space),
        .stop_timeout_ms = (int)space->options.stop_timeout_ms,
        .version = {.heap_layout = PHANTOM_LAYOUT_SPACE},
        .all_stores_marked = space->options.all_stores_announced,
        .all_stores_announced = space->options.announced_before,
        .check_against_heap = space->options.check_snapshots,
        .skip_unchanged = true,
        .restore = space->options.eager ? SNAP_RESTORE_EAGER : SNAP_RESTORE_LAZY,
        .open_reader = open_reader,
        .reader_context = space,
    };
    int rc = snap_engine_open(space->memory, space->store, &host, &options, &space->engine, diag);
    if (rc == 0 && space->options.all_stores_announced) {
        space->marks = snap_engine_marks(space->engine);
    }
    if (rc == 0) {
        space->epoch = snap_engine_epoch(space->engine);
    }
    return rc;
}

static int open_allocator(struct phantom_space *space, struct phantom_diag *diag)
{
    const struct space_alloc_host host = {
        .context = space,
        .discard = discard_pages,
        .will_write = space->epoch != NULL ? space_announce_before : NULL,
        .wrote = space->options.all_stores_announced ? space_announce : NULL};
    return space_alloc_open(space->memory->base, space->memory->page_count * SNAP_PAGE_SIZE, &host,
                            &space->alloc, diag);
}

/** What the first calls look at: header and roots. Damage there can still be returned. */
static int load_tables(struct phantom_space *space, struct phantom_diag *diag)
{
    int rc = snap_engine_load(space->engine, 0, 1, diag);
    if (rc != 0) {
        return rc;
    }
    uint64_t roots = ((const struct space_header *)(void *)space->memory->base)->root_count;
    roots = roots < PHANTOM_SPACE_ROOTS ? roots : PHANTOM_SPACE_ROOTS; /* judged when it is used */
    uint64_t pages = (roots * sizeof(struct space_root) + SPACE_PAGE - 1) / SPACE_PAGE;
    return snap_engine_load(space->engine, SPACE_ROOTS_AT / SPACE_PAGE, pages, diag);
}

static int set_retention(struct phantom_space *space, struct phantom_diag *diag)
{
    const struct phantom_space_options *o = &space->options;
    const struct snap_retention retention = {.budget_bytes = o->retain_bytes,
                                             .all_s = o->retain_all_s,
                                             .per_second_s = o->retain_per_second_s,
                                             .per_minute_s = o->retain_per_minute_s,
                                             .most_per_second = o->retain_most_per_second};
    bool asked = o->retain_bytes != 0 || o->retain_all_s != 0 || o->retain_per_second_s != 0 ||
                 o->retain_per_minute_s != 0 || o->retain_most_per_second != 0;
    int rc = asked ? snap_store_set_retention(space->store, &retention) : 0;
    return rc == 0 ? 0
                   : ph_fail(diag, rc, "%s: options: %s", space->path,
                             rc == PHANTOM_EINVALID
                                 ? "retain_all_s must not be longer than retain_per_second_s, nor "
                                   "that longer than retain_per_minute_s, and "
                                   "retain_most_per_second not above 1000000000"
                                 : phantom_strerror(rc));
}

/** From an open store with a generation to a space ready to use. */
static int resume(struct phantom_space *space, struct phantom_diag *diag)
{
    const struct snap_store_params *params = snap_store_params(space->store);
    uint32_t layout = snap_store_current(space->store)->version.heap_layout;
    if (layout == PHANTOM_LAYOUT_WORLD) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "%s: this is a world (phantom run, phantom_open), not a space", space->path);
    }
    if (layout != PHANTOM_LAYOUT_SPACE) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "%s: heap layout %u; spaces of this library have heap layout %u",
                       space->path, layout, (unsigned)PHANTOM_LAYOUT_SPACE);
    }
    if (space->options.before_restore != NULL) {
        space->options.before_restore(space->options.context, (void *)(uintptr_t)params->heap_base,
                                      params->heap_size);
    }
    int rc = space_reserve_memory(space, params->heap_base, params->heap_size, diag);
    if (rc == 0) {
        rc = set_retention(space, diag);
    }
    if (rc == 0) {
        rc = open_engine(space, diag);
    }
    if (rc == 0) {
        rc = load_tables(space, diag);
    }
    return rc == 0 ? open_allocator(space, diag) : rc;
}

static int open_existing(struct phantom_space *space, struct phantom_diag *diag)
{
    const struct snap_key key = {space->options.key, space->options.key_size};
    int rc = hal_file_open(space->path, file_flags(space), &space->io, diag);
    if (rc == 0) {
        int waited_ms = 0;
        do {
            rc = snap_store_open_keyed(space->io, &key, 0, &space->store, &space->recovery, diag);
        } while (hal_file_open_again(rc, &waited_ms));
    }
    if (rc == 0 && space->recovery.opened == 0) {
        rc = ph_fail(diag, PHANTOM_EFORMAT, "%s: a store without any committed generation",
                     space->path);
    }
    return rc == 0 ? resume(space, diag) : rc;
}

static void random_uuid(uint8_t uuid[16])
{
    uint64_t words[2] = {hal_random(), hal_random()};
    memcpy(uuid, words, 16);
    uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x40); /* version 4, variant 1 (RFC 4122) */
    uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80);
}

/** Find a free slot for the heap, then write an empty store that says so. */
static int create_store(struct phantom_space *space, const char *birth_path,
                        struct phantom_diag *diag)
{
    const struct snap_key key = {space->options.key, space->options.key_size};
    struct snap_store_params params = {.heap_size = space->options.heap_size,
                                       .retain_bytes = space->options.retain_bytes,
                                       .key = key};
    random_uuid(params.uuid);
    int rc = snap_compression_named(space->options.compression, &params.compression, diag);
    rc = rc == 0 ? PHANTOM_EADDRESS : rc;
    for (unsigned attempt = 0; attempt < ADDRESS_ATTEMPTS && rc == PHANTOM_EADDRESS; attempt++) {
        params.heap_base = hal_heap_base(params.uuid, params.heap_size, attempt);
        rc = space_reserve_memory(space, params.heap_base, params.heap_size, diag);
    }
    if (rc == 0) {
        rc = hal_file_open(birth_path, file_flags(space) | HAL_FILE_CREATE, &space->io, diag);
    }
    if (rc == 0) {
        rc = snap_store_create(space->io, &params, diag);
    }
    if (rc == 0) {
        rc = snap_store_open_keyed(space->io, &key, 0, &space->store, &space->recovery, diag);
    }
    return rc == 0 ? set_retention(space, diag) : rc;
}

/** The first generation, then the name. The host hears of it last: without the name nothing is
 *  durable that anybody could find. */
static int first_snapshot(struct phantom_space *space, const char *birth_path,
                          struct phantom_diag *diag)
{
    void (*committed)(void *, const struct phantom_generation *) = space->options.committed;
    space->options.committed = NULL;
    int rc = space_take_snapshot(space);
    space->options.committed = committed;
    if (rc != 0) {
        return ph_fail(diag, rc, "%s", space->diag.text);
    }
    rc = hal_file_publish(birth_path, space->path, diag);
    if (rc == 0) {
        space->io->path = space->path; /* the name that messages are to use from now on */
        if (committed != NULL) {
            committed(space->options.context, &space->last_generation);
        }
    }
    return rc;
}

static int give_birth(struct phantom_space *space, struct phantom_diag *diag)
{
    char birth_path[4096];
    int length = snprintf(birth_path, sizeof(birth_path), "%s.birth-%016llx", space->path,
                          (unsigned long long)hal_random());
    if (length < 0 || (size_t)length >= sizeof(birth_path)) {
        return ph_fail(diag, PHANTOM_EINVALID, "the path of the store is too long");
    }
    int rc = create_store(space, birth_path, diag);
    if (rc == 0) {
        rc = space_format(space->memory->base, space->memory->page_count * SNAP_PAGE_SIZE, diag);
    }
    if (rc == 0) {
        rc = open_engine(space, diag);
    }
    if (rc == 0) {
        rc = open_allocator(space, diag);
    }
    if (rc == 0) {
        space_announce_before(space, space->memory->base, sizeof(struct space_header));
        space_announce(space, space->memory->base, sizeof(struct space_header));
        rc = first_snapshot(space, birth_path, diag);
    }
    if (rc != 0 && space->io != NULL) {
        hal_file_discard(birth_path);
    }
    return rc;
}

/** Tell the host that its memory is there; then others may come. */
static int finish_opening(struct phantom_space *space, bool restored, struct phantom_diag *diag)
{
    if (restored) {
        struct snap_generation current = *snap_store_current(space->store);
        snap_generation_view(&current, &space->last_generation);
    }
    int rc = space_helper_start(space, diag);
    if (rc == 0 && restored && space->options.after_restore != NULL) {
        struct phantom_generation generation = space->last_generation;
        struct space_callback callback;
        space_callback_begin(space, &callback);
        space->options.after_restore(space->options.context, space, &generation);
        space_callback_end(space, &callback);
    }
    return rc;
}

static int bring_up(struct phantom_space *space, const struct phantom_space_options *options,
                    struct phantom_diag *diag)
{
    int rc = take_options(space, options, diag);
    if (rc == 0 && make_locks(space) != 0) {
        rc = ph_fail(diag, -ENOMEM, "out of memory");
    }
    if (rc != 0) {
        return rc;
    }
    int exists = hal_file_exists(space->path);
    if (exists < 0) {
        return ph_fail(diag, exists, "%s: %s", space->path, phantom_strerror(exists));
    }
    if (exists > 0 && space->options.create_only) {
        return ph_fail(diag, -EEXIST, "%s: exists", space->path);
    }
    if (exists == 0 && space->options.existing_only) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no such store", space->path);
    }
    rc = exists > 0 ? open_existing(space, diag) : give_birth(space, diag);
    return rc == 0 ? finish_opening(space, exists > 0, diag) : rc;
}

int phantom_space_open(const char *path, const struct phantom_space_options *options,
                       struct phantom_space **out, struct phantom_diag *diag)
{
    if (path == NULL || path[0] == '\0' || out == NULL) {
        return ph_fail(diag, PHANTOM_EINVALID, "no path given");
    }
    struct phantom_space *space = ph_alloc_aligned(_Alignof(struct phantom_space), sizeof(*space));
    if (space == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    memset(space, 0, sizeof(*space));
    space->diag.size = sizeof(space->diag);
    space->path = ph_strdup(path);
    if (space->path == NULL || hal_fork_flag_create(&space->forked) != 0) {
        ph_free(space->path);
        ph_free(space);
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    /* On the way to success things fail too (an address is taken): the caller hears only of what
     * made the call fail. */
    struct phantom_diag cause = PHANTOM_DIAG_INIT;
    int rc = bring_up(space, options, &cause);
    space->options.key = NULL;
    space->options.compression = NULL;
    if (rc != 0) {
        free_space(space);
        return ph_fail(diag, rc, "%s", cause.text);
    }
    *out = space;
    return 0;
}

/* ---- asking -------------------------------------------------------------------------------------
 */

void phantom_space_recovered(const struct phantom_space *space, struct phantom_recovery *out)
{
    *out = (struct phantom_recovery){.opened = space->recovery.opened,
                                     .incomplete = space->recovery.incomplete,
                                     .torn_records = space->recovery.records_torn};
}

void *phantom_space_base(const struct phantom_space *space)
{
    return space->memory->base;
}

uint64_t phantom_space_size(const struct phantom_space *space)
{
    return space->memory->page_count * SNAP_PAGE_SIZE;
}

const char *phantom_space_strategy(const struct phantom_space *space)
{
    return snap_engine_strategy(space->engine);
}

const char *phantom_space_io_backend(const struct phantom_space *space)
{
    return space->io->ops->name;
}
