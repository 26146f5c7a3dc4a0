/* SPDX-License-Identifier: Apache-2.0
 *
 * world_open.c - birth, opening and end of a world.
 *
 * Birth happens in a file of another name in the same directory; it gets its own name when its
 * first generation, taken before the first instruction runs, is durable. So a store that can be
 * seen is always a store that can be opened.
 */
#include "store_view.h"

#include "hal_files.h"
#include "ph_memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_BOOT_CLASS ".ru.dz.phantom.system.boot"
#define MAX_HEAP_SIZE      (UINT64_C(64) << 30)

enum { ADDRESS_ATTEMPTS = 16, DEFAULT_INTERVAL_MS = 1000 };

void phantom_options_init(struct phantom_options *options)
{
    memset(options, 0, sizeof(*options));
    options->size = sizeof(*options);
}

void world_message(struct phantom_world *world, const char *format, ...)
{
    if (world->options.message == NULL) {
        return;
    }
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    world->options.message(world->options.context, text);
}

void world_remember(struct phantom_world *world, const struct phantom_diag *diag)
{
    hal_mutex_lock(&world->lock);
    memcpy(&world->diag, diag, sizeof(*diag));
    hal_mutex_unlock(&world->lock);
}

static unsigned file_flags(const struct phantom_world *world)
{
    return world->options.without_io_uring ? HAL_FILE_NO_URING : 0;
}

/* ---- the host's side of the machine --------------------------------------------------------- */

/** A page that is not loaded yet comes when it is touched, but not for a system call of the host.
 */
static void touch_bytes(const volatile char *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += SNAP_PAGE_SIZE) {
        (void)bytes[at];
    }
    if (size > 0) {
        (void)bytes[size - 1];
    }
}

static void console_write(void *context, const char *bytes, size_t size)
{
    struct phantom_world *world = context;
    if (world->options.console != NULL) {
        touch_bytes(bytes, size);
        world->options.console(world->options.context, bytes, size);
    }
}

static void thread_failed(void *context, const char *text)
{
    struct phantom_world *world = context;
    if (world->options.thread_failed != NULL) {
        world->options.thread_failed(world->options.context, text);
    }
}

static void discard_pages(void *context, void *start, uint64_t bytes)
{
    struct phantom_world *world = context;
    uint64_t first = (uint64_t)((uint8_t *)start - world->memory->base) / SNAP_PAGE_SIZE;
    snap_engine_discard(world->engine, first, bytes / SNAP_PAGE_SIZE);
}

static int stop_world(void *context, int timeout_ms)
{
    struct phantom_world *world = context;
    return world->pvm != NULL ? pvm_stop_world(world->pvm, timeout_ms) : 0;
}

static void resume_world(void *context)
{
    struct phantom_world *world = context;
    if (world->pvm != NULL) {
        pvm_resume_world(world->pvm);
    }
}

static uint64_t heap_pages(void *context)
{
    struct phantom_world *world = context;
    return heap_committed_bytes(world->heap) / SNAP_PAGE_SIZE;
}

/** Called on a thread of the engine, at any time after the engine began to open. */
static void world_damaged(void *context, int error, const struct phantom_diag *diag, bool waiting)
{
    struct phantom_world *world = context;
    int none = 0;
    if (atomic_compare_exchange_strong(&world->damaged, &none, error)) {
        world_remember(world, diag);
    }
    if (waiting) {
        if (world->options.damaged != NULL) {
            world->options.damaged(world->options.context, error, diag->text);
        }
    } else if (atomic_load(&world->running)) { /* else begin_running() will look */
        pvm_request_stop(world->pvm);
    }
}

static int open_reader(void *context, struct snap_io **out, struct phantom_diag *diag)
{
    struct phantom_world *world = context;
    return hal_file_open(world->path, file_flags(world) | HAL_FILE_READ_ONLY, out, diag);
}

/* ---- options -------------------------------------------------------------------------------- */

static void free_strings(char **strings)
{
    if (strings != NULL) {
        for (char **s = strings; *s != NULL; s++) {
            ph_free(*s);
        }
        ph_free(strings);
    }
}

static char **copy_strings(const char *const *strings)
{
    size_t count = 0;
    while (strings != NULL && strings[count] != NULL) {
        count++;
    }
    char **copy = ph_zalloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = ph_strdup(strings[i]);
        if (copy[i] == NULL) {
            free_strings(copy);
            return NULL;
        }
    }
    return copy;
}

static int take_options(struct phantom_world *world, const struct phantom_options *options,
                        struct phantom_diag *diag)
{
    phantom_options_init(&world->options);
    if (options != NULL) {
        /* An older host has a shorter struct; no compiler makes one that ends inside a pointer. */
        if (options->size == 0 || options->size > sizeof(*options) ||
            options->size % _Alignof(struct phantom_options) != 0) {
            return ph_fail(diag, PHANTOM_EINVALID,
                           "options: size is %zu; call phantom_options_init() first",
                           options->size);
        }
        memcpy(&world->options, options, options->size);
    }
    struct phantom_options *o = &world->options;
    o->size = sizeof(*o);
    if (o->boot_class == NULL) {
        o->boot_class = DEFAULT_BOOT_CLASS;
    }
    if (o->key == NULL && o->key_size != 0) {
        return ph_fail(diag, PHANTOM_EINVALID, "options: a key without bytes");
    }
    if (o->boot_class[0] != '.') {
        return ph_fail(diag, PHANTOM_EINVALID, "boot class '%s' must begin with a dot",
                       o->boot_class);
    }
    if (o->heap_size == 0) {
        o->heap_size = MAX_HEAP_SIZE;
    }
    if (o->heap_size > MAX_HEAP_SIZE || o->heap_size < HEAP_CHUNK_BYTES) {
        return ph_fail(diag, PHANTOM_EINVALID, "heap size must be 64 MiB to 64 GiB");
    }
    o->heap_size = (o->heap_size + HEAP_CHUNK_BYTES - 1) / HEAP_CHUNK_BYTES * HEAP_CHUNK_BYTES;
    if (o->interval_ms == 0) {
        o->interval_ms = DEFAULT_INTERVAL_MS;
    }
    world->class_paths = copy_strings(o->class_paths);
    o->class_paths = NULL; /* the caller's array may not live as long as the world */
    if (world->class_paths == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    return 0;
}

/* ---- taking down ---------------------------------------------------------------------------- */

static void close_machine(struct phantom_world *world)
{
    pvm_destroy(world->pvm);
    world->pvm = NULL;
    heap_detach(world->heap);
    world->heap = NULL;
    snap_engine_close(world->engine);
    world->engine = NULL;
    if (world->memory != NULL) {
        world->memory->ops->close(world->memory);
        world->memory = NULL;
    }
    snap_store_close(world->store);
    world->store = NULL;
    if (world->io != NULL) {
        world->io->ops->close(world->io);
        world->io = NULL;
    }
}

static void free_world(struct phantom_world *world)
{
    close_machine(world);
    if (world->lock_ready) {
        hal_cond_destroy(&world->changed);
        hal_mutex_destroy(&world->lock);
    }
    free_strings(world->class_paths);
    ph_free(world->path);
    ph_free(world);
}

void phantom_abandon(struct phantom_world *world)
{
    if (world != NULL && world->owner_process == hal_process_id()) {
        free_world(world);
    }
}

int phantom_close(struct phantom_world *world)
{
    if (world->owner_process != hal_process_id()) {
        return PHANTOM_EFORKED;
    }
    int result = 0;
    if (atomic_load(&world->poisoned)) {
        result = PHANTOM_EPOISONED;
    } else if (atomic_load(&world->damaged) != 0) {
        result = atomic_load(&world->damaged);
    } else if (!world_is_unchanged(world, world->has_run)) {
        result = world_snapshot(world, NULL, &world->diag);
    }
    if (result < 0 && world->options.message != NULL) {
        world_message(world, "%s: the last snapshot failed: %s", world->path, world->diag.text);
    }
    free_world(world);
    return result;
}

/* ---- coming up ------------------------------------------------------------------------------ */

static int make_locks(struct phantom_world *world, struct phantom_diag *diag)
{
    if (hal_mutex_init(&world->lock, "world") != 0) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    if (hal_cond_init(&world->changed, "world") != 0) {
        hal_mutex_destroy(&world->lock);
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    world->lock_ready = true;
    return 0;
}

static int open_engine(struct phantom_world *world, struct phantom_diag *diag)
{
    const struct snap_world host = {.context = world,
                                    .stop = stop_world,
                                    .resume = resume_world,
                                    .heap_pages = heap_pages,
                                    .damaged = world_damaged};
    const struct snap_engine_options options = {
        .strategy = world->options.strategy,
        .version = {HEAP_LAYOUT_VERSION, PVM_NATIVE_CLASS_VERSION},
        .all_stores_marked = world_tells_stores(world),
        .all_stores_announced = world_tells_stores(world),
        .check_against_heap = world->options.check_snapshots,
        .restore = world->options.eager ? SNAP_RESTORE_EAGER : SNAP_RESTORE_LAZY,
        .open_reader = open_reader,
        .reader_context = world,
    };
    return snap_engine_open(world->memory, world->store, &host, &options, &world->engine, diag);
}

static int create_machine(struct phantom_world *world, struct phantom_diag *diag)
{
    const struct pvm_host host = {.context = world,
                                  .console_write = console_write,
                                  .load_class = world_load_class,
                                  .thread_failed = thread_failed};
    const struct pvm_options options = {.workers = world->options.workers,
                                        .max_threads = world->options.max_threads,
                                        .max_stack_bytes = world->options.max_stack_bytes,
                                        .max_instructions = world->options.max_instructions,
                                        .environment = world->options.environment};
    return pvm_create(world->heap, &host, &options, &world->pvm, diag);
}

static struct heap_params heap_params(struct phantom_world *world)
{
    return (struct heap_params){
        .base = world->memory->base,
        .size_limit = world->memory->page_count * SNAP_PAGE_SIZE,
        .native_class_version = PVM_NATIVE_CLASS_VERSION,
        .os = {.context = world, .discard = discard_pages, .stores = world_stores(world)}};
}

/** Attaching the heap reads the tables at the front of each chunk: bring them in together, and
 * learn of damage in them while it can still be returned. */
static int load_heap_tables(struct phantom_world *world, struct phantom_diag *diag)
{
    enum { TABLE_PAGES = 3 }; /* header and block table */
    const uint64_t chunk_pages = HEAP_CHUNK_BYTES / SNAP_PAGE_SIZE;
    uint64_t end = snap_store_current(world->store)->heap_pages;
    size_t count = 0, most = (size_t)((end + chunk_pages - 1) / chunk_pages * TABLE_PAGES);
    uint64_t *pages = ph_alloc((most + 1) * sizeof(*pages));
    if (pages == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    for (uint64_t chunk = 0; chunk < end; chunk += chunk_pages) {
        for (uint64_t page = chunk; page < end && page < chunk + TABLE_PAGES; page++) {
            pages[count++] = page;
        }
    }
    int result = snap_engine_load_list(world->engine, pages, count, diag);
    ph_free(pages);
    return result;
}

/** From an open store with a generation to a machine ready to run. */
static int resume(struct phantom_world *world, struct phantom_diag *diag)
{
    const struct snap_store_params *params = snap_store_params(world->store);
    const struct snap_heap_version *version = &snap_store_current(world->store)->version;
    if (version->heap_layout == PHANTOM_LAYOUT_SPACE) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "%s: this is a space, the heap of a C program (phantom_space_open), not a "
                       "world",
                       world->path);
    }
    if (version->heap_layout != HEAP_LAYOUT_VERSION) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "%s: heap layout %u; this library knows heap layout %u", world->path,
                       version->heap_layout, HEAP_LAYOUT_VERSION);
    }
    if (version->native_classes != PVM_NATIVE_CLASS_VERSION) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "%s: native classes version %u; this library has version %u", world->path,
                       version->native_classes, PVM_NATIVE_CLASS_VERSION);
    }
    int result = world_reserve_memory(world, params->heap_base, params->heap_size, diag);
    if (result == 0) {
        result = open_engine(world, diag);
    }
    if (result == 0) {
        result = load_heap_tables(world, diag);
    }
    if (result == 0) {
        const struct heap_params heap = heap_params(world);
        result = heap_attach(&heap, &world->heap, diag);
    }
    if (result == 0) {
        result = create_machine(world, diag);
    }
    return result == 0 ? pvm_attach(world->pvm, diag) : result;
}

static int open_store_patiently(struct phantom_world *world, struct phantom_diag *diag)
{
    const struct snap_key key = {world->options.key, world->options.key_size};
    int result, waited_ms = 0;
    do {
        result = snap_store_open_keyed(world->io, &key, 0, &world->store, &world->recovery, diag);
    } while (hal_file_open_again(result, &waited_ms));
    return result;
}

static int open_existing(struct phantom_world *world, struct phantom_diag *diag)
{
    int result = hal_file_open(world->path, file_flags(world), &world->io, diag);
    if (result == 0) {
        result = open_store_patiently(world, diag);
    }
    if (result == 0 && world->recovery.opened == 0) {
        result = ph_fail(diag, PHANTOM_EFORMAT, "%s: a store without any committed generation",
                         world->path);
    }
    return result == 0 ? resume(world, diag) : result;
}

/** Find a free slot for the heap, then write an empty store that says so. */
static int create_store(struct phantom_world *world, const char *birth_path,
                        struct phantom_diag *diag)
{
    const struct snap_key key = {world->options.key, world->options.key_size};
    struct snap_store_params params = {.heap_size = world->options.heap_size, .key = key};
    store_uuid_random(params.uuid);
    int result = snap_compression_named(world->options.compression, &params.compression, diag);
    result = result == 0 ? PHANTOM_EADDRESS : result;
    for (unsigned attempt = 0; attempt < ADDRESS_ATTEMPTS && result == PHANTOM_EADDRESS;
         attempt++) {
        params.heap_base = hal_heap_base(params.uuid, params.heap_size, attempt);
        result = world_reserve_memory(world, params.heap_base, params.heap_size, diag);
    }
    if (result == 0) {
        result = hal_file_open(birth_path, file_flags(world) | HAL_FILE_CREATE, &world->io, diag);
    }
    if (result == 0) {
        result = snap_store_create(world->io, &params, diag);
    }
    if (result == 0) {
        result = snap_store_open_keyed(world->io, &key, 0, &world->store, &world->recovery, diag);
    }
    return result;
}

/** The first generation, then the name. The host hears of it last: without the name nothing is
 *  durable that anybody could find. */
static int first_snapshot(struct phantom_world *world, const char *birth_path,
                          struct phantom_diag *diag)
{
    void (*committed)(void *, const struct phantom_generation *) = world->options.committed;
    world->options.committed = NULL;
    int result = world_snapshot(world, NULL, diag);
    world->options.committed = committed;
    if (result == 0) {
        result = hal_file_publish(birth_path, world->path, diag);
    }
    if (result == 0) {
        world->io->path = world->path; /* the name that messages are to use from now on */
    }
    if (result == 0 && committed != NULL) {
        committed(world->options.context, &world->last_generation);
    }
    return result;
}

static int give_birth(struct phantom_world *world, struct phantom_diag *diag)
{
    char birth_path[4096];
    int length = snprintf(birth_path, sizeof(birth_path), "%s.birth-%016llx", world->path,
                          (unsigned long long)hal_random());
    if (length < 0 || (size_t)length >= sizeof(birth_path)) {
        return ph_fail(diag, PHANTOM_EINVALID, "the path of the store is too long");
    }
    int result = create_store(world, birth_path, diag);
    if (result == 0) {
        result = open_engine(world, diag);
    }
    if (result == 0) {
        result = load_heap_tables(world, diag);
    }
    if (result == 0) {
        const struct heap_params heap = heap_params(world);
        result = heap_create(&heap, &world->heap, diag);
    }
    if (result == 0) {
        result = create_machine(world, diag);
    }
    if (result == 0) {
        result = pvm_boot(world->pvm, world->options.boot_class, diag);
    }
    if (result == 0) {
        result = first_snapshot(world, birth_path, diag);
    }
    if (result != 0 && world->io != NULL) {
        hal_file_discard(birth_path);
    }
    return result;
}

/** Everything between an empty world and one ready to run. */
static int bring_up(struct phantom_world *world, const struct phantom_options *options,
                    struct phantom_diag *diag)
{
    int result = take_options(world, options, diag);
    if (result == 0) {
        result = make_locks(world, diag);
    }
    if (result != 0) {
        return result;
    }
    int exists = hal_file_exists(world->path);
    if (exists < 0) {
        return ph_fail(diag, exists, "%s: %s", world->path, phantom_strerror(exists));
    }
    if (exists > 0) {
        return open_existing(world, diag);
    }
    if (world->options.existing_only) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no such store", world->path);
    }
    return give_birth(world, diag);
}

int phantom_open(const char *path, const struct phantom_options *options,
                 struct phantom_world **out, struct phantom_diag *diag)
{
    if (path == NULL || path[0] == '\0' || out == NULL) {
        return ph_fail(diag, PHANTOM_EINVALID, "no path given");
    }
    struct phantom_world *world = ph_zalloc(1, sizeof(*world));
    if (world == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    world->diag.size = sizeof(world->diag);
    world->owner_process = hal_process_id();
    world->path = ph_strdup(path);
    /* On the way to success things fail too (a class is not in the first directory, an address is
     * taken): the caller hears only of what made the call fail. */
    struct phantom_diag cause = PHANTOM_DIAG_INIT;
    int result = world->path != NULL ? bring_up(world, options, &cause)
                                     : ph_fail(&cause, -ENOMEM, "out of memory");
    if (result != 0) {
        free_world(world);
        return ph_fail(diag, result, "%s", cause.text);
    }
    world->options.environment = NULL;
    world->options.key = NULL;
    world->options.compression = NULL;
    world->options.boot_class = NULL;
    *out = world;
    return 0;
}

void phantom_recovered(const struct phantom_world *world, struct phantom_recovery *out)
{
    *out = (struct phantom_recovery){.opened = world->recovery.opened,
                                     .incomplete = world->recovery.incomplete,
                                     .torn_records = world->recovery.records_torn};
}

const char *phantom_message(const struct phantom_world *world)
{
    return world->diag.text;
}

const char *phantom_strategy(const struct phantom_world *world)
{
    return snap_engine_strategy(world->engine);
}

const char *phantom_io_backend(const struct phantom_world *world)
{
    return world->io->ops->name;
}
