/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store_golden.c - stores of several shapes, written once and kept for ever: whatever
 * becomes of the writer, these files open, list, verify and live on. (The store of the first
 * writer, without delta runs, is in test_snapshot_store_format.c.)
 *
 *     test_snapshot_store_golden DIRECTORY        golden_SHAPE_v1.packed are read from there
 *     test_snapshot_store_golden --make DIRECTORY writes those that are missing, and no others
 *
 * Each shape has a recipe. The recipe is run in each test as well, which tells what every
 * generation must contain and what its sum must be. The bytes of the file are not compared: where
 * a writer puts things is its own business.
 *
 * The store "encrypted" has the key below, which is no secret and never changes.
 */
#include "store_fixture.h"

#include <stdio.h>

enum { LIMIT = 32 << 20, PAGES = 2000, NUMBERS = 128 };

static const struct snap_key golden_key = {"the fixed key of golden stores 1", SNAP_KEY_SIZE};
static const struct snap_key other_key = {"the fixed key of golden stores 2", SNAP_KEY_SIZE};

static const char *directory;

struct recipe_store {
    struct snap_io *io;
    struct snap_store *store;
    struct phantom_diag diag;
    int64_t time_ns;
    bool varied; /* not every page is made of one byte */
    uint8_t now[PAGES];
    bool known[NUMBERS];
    uint8_t at[NUMBERS][PAGES]; /* the byte that fills each page, by generation; 0: a hole */
};

/* ---- recipes --------------------------------------------------------------------------------- */

/* Generations that were not there before have the content of now. */
static void remember(struct recipe_store *r)
{
    struct snap_generation list[NUMBERS];
    size_t count = snap_store_list(r->store, list, NUMBERS);
    assert_in_range(count, 1, NUMBERS);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(list[i].number, 1, NUMBERS - 1);
        if (!r->known[list[i].number]) {
            r->known[list[i].number] = true;
            memcpy(r->at[list[i].number], r->now, PAGES);
        }
    }
}

/* A page made of one byte, or, if `varied`, of that and of noise: none, every sixth byte, or all.
 */
static void draw(bool varied, uint64_t page, uint8_t byte, uint8_t *out)
{
    static const unsigned steps[] = {SNAP_PAGE_SIZE, 6, 1};
    unsigned step = varied && byte != 0 ? steps[page % 3] : SNAP_PAGE_SIZE;
    uint64_t noise = page << 8 | byte;
    memset(out, byte, SNAP_PAGE_SIZE);
    for (unsigned i = step; i < SNAP_PAGE_SIZE; i += step) {
        noise = noise * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(noise >> 40);
    }
}

/* `count` pages from `first` on, `step` apart. */
static void put(struct recipe_store *r, uint64_t first, uint64_t count, uint64_t step, uint8_t byte)
{
    struct snap_txn *txn = NULL;
    assert_int_equal(snap_txn_begin(r->store, SNAP_SMALL_COMMIT_PAGES, &txn, &r->diag), 0);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = first + i * step;
        void *slot = snap_txn_stage(txn, page);
        if (slot == NULL) {
            assert_int_equal(snap_txn_write(txn, &r->diag), 0);
            slot = snap_txn_stage(txn, page);
        }
        draw(r->varied, page, byte, slot);
        r->now[page] = byte;
    }
    r->time_ns += INT64_C(10000000000);
    struct snap_commit commit = {.heap_pages = PAGES, .time_ns = r->time_ns, .version = {1, 2}};
    assert_int_equal(snap_txn_commit(txn, &commit, NULL, &r->diag), 0);
    remember(r);
}

static void cook_fresh(struct recipe_store *r)
{
    (void)r;
}

static void cook_chain(struct recipe_store *r)
{
    static const unsigned pages[] = {1200, 500, 130, 40, 9, 1};
    for (unsigned i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        put(r, 7 * i, pages[i], 1, (uint8_t)(0x10 + i));
    }
    put(r, 100, 50, 1, 0); /* holes */
    assert_true(r->store->map.chain.runs > 1);
}

static void cook_checkpoint(struct recipe_store *r)
{
    r->store->map.runs_most = 2; /* so that a small store has one */
    r->store->map.entries_most = 256;
    put(r, 0, 600, 3, 0x21);
    put(r, 0, 200, 1, 0x22);
    put(r, 50, 100, 1, 0x23);
    put(r, 60, 4, 1, 0);
    put(r, 1999, 1, 1, 0x24);
    assert_true(r->store->map.disk.root_block != 0);
}

static void cook_aged(struct recipe_store *r)
{
    for (unsigned i = 0; i < 30; i++) {
        put(r, i * 13, 1 + i % 5 * 20, 1 + i % 3, (uint8_t)(0x30 + i));
        if (i == 4 || i == 20) {
            const char *name = i == 4 ? "first" : "second-one";
            assert_int_equal(
                snap_store_tag(r->store, snap_store_current(r->store)->number, name, &r->diag), 0);
            remember(r);
        }
    }
    uint64_t back = snap_store_current(r->store)->number - 6;
    memcpy(r->now, r->at[back], PAGES);
    assert_int_equal(snap_store_rollback(r->store, back, NULL, &r->diag), 0);
    remember(r);
    put(r, 3, 2, 1, 0x77);
    assert_true(store_ring_first(r->store) > 4);
}

/* Packs of one block and of two, pages that are not packed, packs that are partly replaced, a
 * rollback that needs old ones. (Which bytes a pack has is LZ4's business.) */
static void cook_packs(struct recipe_store *r)
{
    put(r, 0, 60, 1, 0x41);
    put(r, 0, 20, 7, 0x42);
    put(r, 3, 1, 1, 0x43);
    put(r, 10, 4, 1, 0);
    put(r, 2, 30, 2, 0x44);
    uint64_t back = snap_store_current(r->store)->number - 2;
    memcpy(r->now, r->at[back], PAGES);
    assert_int_equal(snap_store_rollback(r->store, back, NULL, &r->diag), 0);
    remember(r);
    put(r, 0, 9, 5, 0x45);
}

/* All that is encrypted, in few blocks, since each of them is noise: pages, nodes, runs, a catalog
 * with tags. */
static void cook_encrypted(struct recipe_store *r)
{
    r->store->map.runs_most = 2;
    r->store->map.entries_most = 16;
    put(r, 0, 20, 1, 0x51);
    put(r, 5, 4, 90, 0x52);
    put(r, 3, 2, 1, 0x53);
    assert_int_equal(
        snap_store_tag(r->store, snap_store_current(r->store)->number, "kept", &r->diag), 0);
    remember(r);
    put(r, 2, 5, 1, 0);
    uint64_t back = snap_store_current(r->store)->number - 2;
    memcpy(r->now, r->at[back], PAGES);
    assert_int_equal(snap_store_rollback(r->store, back, NULL, &r->diag), 0);
    remember(r);
    put(r, 7, 3, 2, 0x54);
    assert_true(r->store->map.disk.root_block != 0 && r->store->map.chain.runs != 0);
    assert_true(store_catalog_root(r->store).block != 0);
    assert_true(snap_store_is_encrypted(r->store));
}

static const struct shape {
    const char *name;
    void (*cook)(struct recipe_store *r);
    unsigned tags;
    bool compressed;
    const struct snap_key *key;
} shapes[] = {{"fresh", cook_fresh, 0, false, NULL},
              {"chain", cook_chain, 0, false, NULL},
              {"checkpoint", cook_checkpoint, 0, false, NULL},
              {"aged", cook_aged, 3, false, NULL},
              {"packs", cook_packs, 1, true, NULL},
#if PH_SODIUM
              {"encrypted", cook_encrypted, 2, false, &golden_key}
#endif
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static struct recipe_store *cook(const struct shape *shape)
{
    struct recipe_store *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->diag = (struct phantom_diag)PHANTOM_DIAG_INIT;
    r->io = snap_io_memory_create(LIMIT);
    assert_non_null(r->io);
    struct snap_store_params params = fixture_params();
    params.segment_bytes = STORE_SEGMENT_BYTES_LEAST;
    params.retain_bytes = 4 << 20;
    params.compression = shape->compressed ? SNAP_COMPRESSION_LZ4 : SNAP_COMPRESSION_NONE;
    params.key = shape->key != NULL ? *shape->key : (struct snap_key){0};
    assert_int_equal(snap_store_create(r->io, &params, &r->diag), 0);
    assert_int_equal(snap_store_open_keyed(r->io, shape->key, 0, &r->store, NULL, &r->diag), 0);
    r->varied = shape->compressed;
    shape->cook(r);
    return r;
}

static void throw_away(struct recipe_store *r)
{
    snap_store_close(r->store);
    r->io->ops->close(r->io);
    free(r);
}

/* ---- the packed form: for each block a 0 and the byte that fills it, or a 1 and the block ---- */

static void path_of(const struct shape *shape, char *path, size_t size)
{
    snprintf(path, size, "%s/golden_%s_v1.packed", directory, shape->name);
}

static bool pack(FILE *file, const uint8_t *bytes, uint64_t size)
{
    bool ok = true;
    for (const uint8_t *block = bytes; ok && block < bytes + size; block += STORE_BLOCK_SIZE) {
        bool uniform = memcmp(block, block + 1, STORE_BLOCK_SIZE - 1) == 0;
        ok = fputc(uniform ? 0 : 1, file) != EOF &&
             fwrite(block, uniform ? 1 : STORE_BLOCK_SIZE, 1, file) == 1;
    }
    return ok;
}

static struct snap_io *unpack(const struct shape *shape)
{
    char path[4096];
    path_of(shape, path, sizeof path);
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(LIMIT);
    size_t size = 0;
    assert_non_null(file);
    assert_non_null(bytes);
    for (int tag; (tag = fgetc(file)) != EOF; size += STORE_BLOCK_SIZE) {
        assert_true(size < LIMIT && tag <= 1);
        if (tag == 0) {
            memset(bytes + size, fgetc(file), STORE_BLOCK_SIZE);
        } else {
            assert_int_equal(fread(bytes + size, STORE_BLOCK_SIZE, 1, file), 1);
        }
    }
    fclose(file);
    assert_true(size != 0);
    struct snap_io *io = snap_io_memory_create(LIMIT);
    assert_non_null(io);
    assert_int_equal(snap_io_memory_assign(io, bytes, size), 0);
    free(bytes);
    return io;
}

/* ---- tests ----------------------------------------------------------------------------------- */

struct seen {
    bool varied;
    const uint8_t *want;
    uint64_t next, live;
};

static int compare_byte(void *context, uint64_t page, const void *data)
{
    struct seen *seen = context;
    uint8_t want[SNAP_PAGE_SIZE];
    for (; seen->next < page; seen->next++) {
        assert_int_equal(seen->want[seen->next], 0);
    }
    assert_in_range(page, 0, PAGES - 1);
    assert_int_not_equal(seen->want[page], 0);
    draw(seen->varied, page, seen->want[page], want);
    assert_memory_equal(data, want, SNAP_PAGE_SIZE);
    seen->next = page + 1;
    seen->live++;
    return 0;
}

/* Each generation of the golden store has the content that the recipe gave it, and the sum that the
 * same memory has today. */
static void check(struct snap_store *store, struct recipe_store *r, const struct shape *shape)
{
    struct snap_generation list[NUMBERS], today[NUMBERS];
    struct snap_verify_report report;
    size_t count = snap_store_list(store, list, NUMBERS);
    size_t todays = snap_store_list(r->store, today, NUMBERS);
    assert_int_equal(snap_store_verify(store, true, &report, NULL, NULL, &r->diag), 0);
    assert_int_equal(report.generations, count);
    assert_int_equal(snap_store_audit(store, &r->diag), 0);
    assert_int_equal(count != 0, todays != 0);
    assert_int_equal(snap_store_tags(store, NULL, 0), shape->tags);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(list[i].number, 1, NUMBERS - 1);
        assert_true(r->known[list[i].number]);
        struct seen seen = {.varied = r->varied, .want = r->at[list[i].number]};
        assert_int_equal(
            snap_store_for_each_page(store, list[i].number, compare_byte, &seen, &r->diag), 0);
        for (; seen.next < PAGES; seen.next++) {
            assert_int_equal(seen.want[seen.next], 0);
        }
        assert_int_equal(list[i].live_pages, seen.live);
    }
    if (count != 0) {
        assert_int_equal(list[count - 1].number, today[todays - 1].number);
        assert_true(list[count - 1].root_sum.low == today[todays - 1].root_sum.low &&
                    list[count - 1].root_sum.high == today[todays - 1].root_sum.high);
    }
}

/* Nobody without the key of a golden store opens it, and trying changes no byte of it. */
static void refused_without_key(struct snap_io *io, const struct shape *shape)
{
    if (shape->key == NULL) {
        return;
    }
    uint64_t size = 0, size_after = 0;
    const uint8_t *bytes = snap_io_memory_bytes(io, &size);
    uint8_t *before = malloc(size);
    assert_non_null(before);
    memcpy(before, bytes, size);
    for (unsigned flags = 0; flags <= SNAP_OPEN_READ_ONLY; flags++) {
        const struct snap_key *const wrong[] = {&other_key, NULL};
        for (unsigned i = 0; i < 2; i++) {
            struct phantom_diag diag = PHANTOM_DIAG_INIT;
            struct snap_store *store = NULL;
            assert_int_equal(snap_store_open_keyed(io, wrong[i], flags, &store, NULL, &diag),
                             PHANTOM_EKEY);
            assert_null(store);
            assert_non_null(strstr(diag.text, "key"));
        }
    }
    bytes = snap_io_memory_bytes(io, &size_after);
    assert_int_equal(size_after, size);
    assert_memory_equal(bytes, before, size);
    free(before);
}

/* Opened by a reader, then by a writer that goes on from there. */
static void golden_store_lives_for_ever(void **state)
{
    const struct shape *shape = *state;
    struct recipe_store *r = cook(shape);
    struct snap_io *io = unpack(shape);
    struct snap_store *store = NULL;
    struct snap_recovery recovery;
    refused_without_key(io, shape);
    assert_int_equal(
        snap_store_open_keyed(io, shape->key, SNAP_OPEN_READ_ONLY, &store, &recovery, &r->diag), 0);
    assert_int_equal(recovery.incomplete + recovery.records_torn, 0);
    check(store, r, shape);
    snap_store_close(store);
    assert_int_equal(snap_store_open_keyed(io, shape->key, 0, &store, &recovery, &r->diag), 0);
    assert_int_equal(recovery.incomplete + recovery.records_torn + recovery.records_retired, 0);
    assert_int_equal(recovery.opened, snap_store_current(r->store)->number);
    check(store, r, shape);
    struct snap_store *reference = r->store;
    r->store = store;
    for (unsigned i = 0; i < 40; i++) { /* far enough for what the ring has to reach the catalog */
        put(r, i * 17, 1 + i % 7, 2, (uint8_t)(0x80 + i));
    }
    assert_int_equal(snap_store_audit(store, &r->diag), 0);
    snap_store_close(store);
    assert_int_equal(snap_store_open_keyed(io, shape->key, 0, &r->store, &recovery, &r->diag), 0);
    check(r->store, r, shape);
    snap_store_close(r->store);
    r->store = reference;
    throw_away(r);
    io->ops->close(io);
}

static int make_missing(void)
{
    for (unsigned i = 0; i < SHAPES; i++) {
        char path[4096];
        path_of(&shapes[i], path, sizeof path);
        FILE *file = fopen(path, "wbx"); /* what is there stays as it is */
        if (file == NULL) {
            printf("%s: %s\n", path, strerror(errno));
            continue;
        }
        struct recipe_store *r = cook(&shapes[i]);
        snap_store_close(r->store);
        r->store = NULL;
        uint64_t size = 0;
        uint8_t *bytes = snap_io_memory_bytes(r->io, &size);
        bool ok = pack(file, bytes, size);
        ok = fclose(file) == 0 && ok;
        throw_away(r);
        if (!ok) {
            perror(path);
            return 1;
        }
    }
    return 0;
}

int main(int count, char **arguments)
{
    bool make = count == 3 && strcmp(arguments[1], "--make") == 0;
    if (count != 2 && !make) {
        fprintf(stderr, "usage: %s [--make] DIRECTORY\n", arguments[0]);
        return 2;
    }
    directory = arguments[count - 1];
    if (make) {
        return make_missing();
    }
    struct CMUnitTest tests[SHAPES];
    for (unsigned i = 0; i < SHAPES; i++) {
        tests[i] = (struct CMUnitTest){.name = shapes[i].name,
                                       .test_func = golden_store_lives_for_ever,
                                       .initial_state = (void *)(uintptr_t)&shapes[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
