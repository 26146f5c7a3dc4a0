/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store_format.c - the bytes of the file: a golden store that must open for ever and
 * that the writer must reproduce; versions and features; damage to every block; hostile content
 * behind good sums.
 *
 *     test_snapshot_store_format GOLDEN            (--rewrite GOLDEN writes it anew)
 */
#include "ph_killed.h"
#include "store_fixture.h"
#include "store_reseal.h"

#include <stdio.h>

enum { LIMIT = 4 << 20, PAGES = 500 };

static const char *golden_path;

/* ---- golden ---------------------------------------------------------------------------------- */

enum { GOLDEN_GENERATIONS = 5 };

/* First page, count and byte of each golden commit. */
static const struct golden {
    uint64_t first, count;
    uint8_t byte;
} golden[GOLDEN_GENERATIONS] = {
    {0, 10, 0x11}, {8, 4, 0x22}, {16385, 2, 0x33}, {9, 1, 0}, {100, 300, 0x44}};

static struct snap_store_params golden_params(void)
{
    struct snap_store_params params = fixture_params();
    params.segment_bytes = STORE_SEGMENT_BYTES_LEAST;
    params.retain_bytes = 1 << 20;
    return params;
}

static struct snap_io *golden_make(void)
{
    struct snap_io *io = snap_io_memory_create(LIMIT);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store_params params = golden_params();
    struct snap_store *store = NULL;
    assert_non_null(io);
    assert_int_equal(snap_store_create(io, &params, &diag), 0);
    fixture_make_plain(io); /* it is from before there were delta runs */
    assert_int_equal(snap_store_open(io, 0, &store, NULL, &diag), 0);
    for (unsigned i = 0; i < GOLDEN_GENERATIONS; i++) {
        struct snap_txn *txn = NULL;
        assert_int_equal(snap_txn_begin(store, 512, &txn, &diag), 0);
        for (uint64_t k = 0; k < golden[i].count; k++) {
            memset(snap_txn_stage(txn, golden[i].first + k), golden[i].byte, SNAP_PAGE_SIZE);
        }
        struct snap_commit commit = {
            .heap_pages = 20000, .time_ns = 1000 + i, .pause_ns = 10 * i, .version = {1, 2}};
        assert_int_equal(snap_txn_commit(txn, &commit, NULL, &diag), 0);
    }
    snap_store_close(store);
    return io;
}

/*
 * The golden file is packed, since most of a store is empty: for each block a 0 and the byte that
 * fills it, or a 1 and the block itself.
 */
static bool block_is_uniform(const uint8_t *block)
{
    return memcmp(block, block + 1, STORE_BLOCK_SIZE - 1) == 0;
}

static bool golden_pack(FILE *file, const uint8_t *bytes, uint64_t size)
{
    bool ok = true;
    for (uint64_t at = 0; ok && at < size; at += STORE_BLOCK_SIZE) {
        bool uniform = block_is_uniform(bytes + at);
        ok = fputc(uniform ? 0 : 1, file) != EOF &&
             fwrite(bytes + at, uniform ? 1 : STORE_BLOCK_SIZE, 1, file) == 1;
    }
    return ok;
}

static uint8_t *golden_read(size_t *size)
{
    FILE *file = fopen(golden_path, "rb");
    assert_non_null(file);
    uint8_t *bytes = malloc(LIMIT);
    assert_non_null(bytes);
    *size = 0;
    for (int tag; (tag = fgetc(file)) != EOF; *size += STORE_BLOCK_SIZE) {
        assert_true(*size < LIMIT);
        if (tag == 0) {
            memset(bytes + *size, fgetc(file), STORE_BLOCK_SIZE);
        } else {
            assert_int_equal(fread(bytes + *size, STORE_BLOCK_SIZE, 1, file), 1);
        }
    }
    fclose(file);
    assert_true(*size != 0);
    return bytes;
}

static int count_and_compare(void *context, uint64_t page, const void *data)
{
    const unsigned *state = context; /* number of the generation */
    uint8_t want = 0;
    for (unsigned i = 0; i < state[0]; i++) {
        if (page >= golden[i].first && page - golden[i].first < golden[i].count) {
            want = golden[i].byte;
        }
    }
    for (size_t i = 0; i < SNAP_PAGE_SIZE; i++) {
        assert_int_equal(((const uint8_t *)data)[i], want);
    }
    ((unsigned *)context)[1]++;
    return 0;
}

static void check_golden(struct snap_io *io, unsigned flags)
{
    static const unsigned live[GOLDEN_GENERATIONS] = {10, 12, 14, 13, 313};
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store *store = NULL;
    struct snap_recovery recovery;
    struct snap_verify_report report;
    assert_int_equal(snap_store_open(io, flags, &store, &recovery, &diag), 0);
    assert_int_equal(recovery.opened, GOLDEN_GENERATIONS);
    assert_int_equal(recovery.incomplete + recovery.records_torn + recovery.records_retired, 0);
    assert_int_equal(snap_store_verify(store, true, &report, NULL, NULL, &diag), 0);
    assert_int_equal(snap_store_audit(store, &diag), 0);
    struct snap_store_params params = golden_params();
    assert_memory_equal(snap_store_params(store)->uuid, params.uuid, 16);
    assert_int_equal(snap_store_params(store)->heap_base, params.heap_base);
    assert_int_equal(snap_store_params(store)->heap_size, params.heap_size);
    assert_int_equal(snap_store_params(store)->retain_bytes, params.retain_bytes);
    struct snap_generation list[GOLDEN_GENERATIONS];
    assert_int_equal(snap_store_list(store, list, GOLDEN_GENERATIONS), GOLDEN_GENERATIONS);
    for (unsigned i = 0; i < GOLDEN_GENERATIONS; i++) {
        unsigned state[2] = {i + 1, 0};
        assert_int_equal(list[i].number, i + 1);
        assert_int_equal(list[i].time_ns, 1000 + i);
        assert_int_equal(list[i].live_pages, live[i]);
        assert_int_equal(snap_store_for_each_page(store, i + 1, count_and_compare, state, &diag),
                         0);
        assert_int_equal(state[1], live[i]);
    }
    snap_store_close(store);
}

static void golden_store_opens_for_ever(void **state)
{
    (void)state;
    size_t size = 0;
    uint8_t *bytes = golden_read(&size);
    struct snap_io *io = snap_io_memory_create(LIMIT);
    assert_non_null(io);
    assert_int_equal(snap_io_memory_assign(io, bytes, size), 0);
    check_golden(io, SNAP_OPEN_READ_ONLY);
    check_golden(io, 0);
    io->ops->close(io);
    free(bytes);
}

static void writer_reproduces_the_golden_store_byte_by_byte(void **state)
{
    (void)state;
    size_t size = 0;
    uint64_t made_size = 0;
    uint8_t *bytes = golden_read(&size);
    struct snap_io *io = golden_make();
    uint8_t *made = snap_io_memory_bytes(io, &made_size);
    assert_int_equal(made_size, size);
    for (size_t block = 0; block < size / STORE_BLOCK_SIZE; block++) {
        if (memcmp(made + block * STORE_BLOCK_SIZE, bytes + block * STORE_BLOCK_SIZE,
                   STORE_BLOCK_SIZE) != 0) {
            fail_msg("block %zu differs: a change of the format needs a new version", block);
        }
    }
    io->ops->close(io);
    free(bytes);
}

/* ---- versions and features ------------------------------------------------------------------- */

static struct fixture *two_generations(void)
{
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 20, 1);
    fixture_put(f, 10, 20, 2);
    fixture_close(f);
    return f;
}

static void reseal(struct fixture *f)
{
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    reseal_image(bytes, size, fixture_params().uuid, FIXTURE_SLOTS);
}

/* Change both superblocks. */
#define CHANGE_SUPERBLOCK(f, change)                                                               \
    do {                                                                                           \
        for (uint64_t b_ = 0; b_ < 2; b_++) {                                                      \
            struct store_superblock *s = (struct store_superblock *)fixture_block(f, b_);          \
            change;                                                                                \
            store_superblock_seal(s);                                                              \
        }                                                                                          \
    } while (0)

static void unknown_versions_and_features_are_named(void **state)
{
    (void)state;
    struct fixture *f = two_generations();
    CHANGE_SUPERBLOCK(f, s->format_version = 2);
    assert_int_equal(fixture_refused(f, 0), PHANTOM_EVERSION);
    assert_non_null(strstr(f->diag.text, "store format 2"));
    CHANGE_SUPERBLOCK(f, (s->format_version = 1, s->features_incompatible = 2));
    assert_int_equal(fixture_refused(f, SNAP_OPEN_READ_ONLY), PHANTOM_EVERSION);
    assert_non_null(strstr(f->diag.text, "page deltas"));
    CHANGE_SUPERBLOCK(f, s->features_incompatible = 0x40);
    assert_int_equal(fixture_refused(f, 0), PHANTOM_EVERSION);
    assert_non_null(strstr(f->diag.text, "0x40"));
    CHANGE_SUPERBLOCK(f, (s->features_incompatible = 0, s->features_read_only = 8));
    assert_int_equal(fixture_refused(f, 0), PHANTOM_EVERSION);
    assert_int_equal(snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &f->store, NULL, &f->diag),
                     0);
    check_generation(f->store, 2, fixture_tags(f, 2), f->pages);
    fixture_close(f);
    CHANGE_SUPERBLOCK(f, (s->features_read_only = 0, s->features_compatible = 0xF0));
    fixture_open(f);
    fixture_check(f);
    fixture_free(f);
}

static void files_that_are_no_store_are_refused(void **state)
{
    (void)state;
    struct fixture *f = two_generations();
    uint8_t *junk = calloc(1, 1 << 20);
    assert_non_null(junk);
    static const uint64_t sizes[] = {0, 1, 511, 4095, 4096, 4097, 8192, 100000, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(snap_io_memory_assign(f->io->base, junk, sizes[i]), 0);
        assert_int_equal(fixture_refused(f, 0), PHANTOM_EFORMAT);
        assert_int_equal(snap_store_probe(&f->io->io), 0);
    }
    free(junk);
    fixture_free(f);
}

/* ---- damage -----------------------------------------------------------------------------------
 */

static int compare_or_stop(void *context, uint64_t page, const void *data)
{
    return compare_page(context, page, data);
}

enum outcome { UNHARMED, FELL_BACK, REFUSED, SILENT };

/* Open and read everything; whatever opens must have the content of a generation that was made. */
static enum outcome judge(struct fixture *f, unsigned flags)
{
    struct snap_store *store = NULL;
    struct snap_recovery recovery;
    int error = snap_store_open(&f->io->io, flags, &store, &recovery, &f->diag);
    if (error != 0) {
        assert_true(error == PHANTOM_ECORRUPT || error == PHANTOM_EFORMAT ||
                    error == PHANTOM_EVERSION);
        return REFUSED;
    }
    enum outcome outcome = UNHARMED;
    struct snap_generation list[STORE_RING_SLOTS];
    size_t count = snap_store_list(store, list, STORE_RING_SLOTS);
    struct snap_verify_report report;
    error = snap_store_verify(store, true, &report, NULL, NULL, &f->diag);
    if (error == PHANTOM_ECORRUPT) {
        outcome = REFUSED;
    } else {
        assert_int_equal(error, 0);
        uint64_t current = snap_store_current(store)->number;
        uint64_t newest = f->past[f->past_count - 1].number;
        if (current != newest) {
            outcome = recovery.incomplete != 0 || recovery.records_torn != 0 ? FELL_BACK : SILENT;
        }
        for (size_t i = 0; i < count; i++) {
            struct expected e = {.tags = fixture_tags(f, list[i].number), .pages = f->pages};
            assert_int_equal(
                snap_store_for_each_page(store, list[i].number, compare_or_stop, &e, &f->diag), 0);
        }
    }
    snap_store_close(store);
    return outcome;
}

static void changed_bytes_are_never_silent(void **state)
{
    (void)state;
    struct ph_rng rng;
    ph_rng_init(&rng, ph_rng_seed_from_environment(7));
    unsigned counts[4] = {0}, unsealed_counts[4] = {0};
    for (int sealed = 0; sealed < 2; sealed++) {
        struct fixture *f = fixture_new(LIMIT, PAGES);
        fixture_put(f, 0, 6, 1);
        fixture_put(f, 3, 6, 2);
        sealed ? fixture_close(f) : fixture_crash(f);
        uint64_t size = 0, used = STORE_RING_START + FIXTURE_SLOTS + 20;
        uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
        for (uint64_t at = 0; at < used * STORE_BLOCK_SIZE; at += 1 + ph_rng_below(&rng, 60)) {
            uint8_t saved = bytes[at];
            bytes[at] ^= (uint8_t)(1 + ph_rng_below(&rng, 255));
            (sealed ? counts : unsealed_counts)[judge(f, SNAP_OPEN_READ_ONLY)]++;
            bytes[at] = saved;
        }
        fixture_free(f);
    }
    print_message("sealed: unharmed=%u fell back=%u refused=%u silent=%u\n", counts[0], counts[1],
                  counts[2], counts[3]);
    print_message("unsealed: unharmed=%u fell back=%u refused=%u silent=%u\n", unsealed_counts[0],
                  unsealed_counts[1], unsealed_counts[2], unsealed_counts[3]);
    assert_int_equal(counts[SILENT] + unsealed_counts[SILENT], 0);
    assert_int_equal(counts[FELL_BACK], 0); /* what is sealed is never given up silently or not */
    assert_true(counts[REFUSED] > 500 && unsealed_counts[FELL_BACK] > 100);
}

/** Every block of [from, to) written over every other, or exchanged with it. */
static void exchange_blocks(struct fixture *f, uint64_t from, uint64_t to, unsigned counts[4])
{
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    uint8_t a[STORE_BLOCK_SIZE], b[STORE_BLOCK_SIZE];
    for (uint64_t i = from; i < to; i++) {
        for (uint64_t k = from; k < to; k++) {
            memcpy(a, bytes + i * STORE_BLOCK_SIZE, sizeof a);
            memcpy(b, bytes + k * STORE_BLOCK_SIZE, sizeof b);
            memcpy(bytes + i * STORE_BLOCK_SIZE, b, sizeof a); /* a block written elsewhere */
            if (i < k) {
                memcpy(bytes + k * STORE_BLOCK_SIZE, a, sizeof b); /* or exchanged */
            }
            counts[judge(f, SNAP_OPEN_READ_ONLY)]++;
            memcpy(bytes + i * STORE_BLOCK_SIZE, a, sizeof a);
            memcpy(bytes + k * STORE_BLOCK_SIZE, b, sizeof b);
        }
    }
}

static void exchanged_and_stale_blocks_are_found(void **state)
{
    (void)state;
    const uint64_t data = STORE_RING_START + FIXTURE_SLOTS;
    for (int nodes = 0; nodes < 2; nodes++) { /* maps of delta runs, maps of nodes */
        unsigned counts[4] = {0};
        fixture_plain = nodes;
        struct fixture *f = fixture_new(LIMIT, PAGES);
        fixture_put(f, 0, 6, 1);
        fixture_put(f, 0, 6, 1); /* the same content: only place and generation differ */
        fixture_put(f, 1, 6, 2);
        fixture_close(f);
        fixture_plain = false;
        exchange_blocks(f, nodes ? data : STORE_RING_START, data + 27, counts);
        assert_int_equal(counts[SILENT], 0);
        assert_true(counts[REFUSED] > 250);
        fixture_free(f);
    }
}

static int read_nothing(void *context, uint64_t page, const void *data)
{
    (void)context;
    (void)page;
    (void)data;
    return 0;
}

/* Its pages are good and where it says: only its own sum tells. And the totals, if somebody adds
 * up; who only reads does not. */
static void stale_map_node_is_not_read(void **state)
{
    (void)state;
    fixture_plain = true;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 6, 1);
    fixture_put(f, 0, 6, 2);
    fixture_close(f);
    fixture_plain = false;
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size), *leaf[2] = {NULL};
    for (uint64_t at = (STORE_RING_START + FIXTURE_SLOTS) * STORE_BLOCK_SIZE; at < size;
         at += STORE_BLOCK_SIZE) {
        const struct store_node *node = (const struct store_node *)(bytes + at);
        if (node->magic == STORE_NODE_MAGIC && node->level == 0) {
            leaf[node->generation - 1] = bytes + at;
        }
    }
    assert_non_null(leaf[0]);
    assert_non_null(leaf[1]);
    memcpy(leaf[1], leaf[0], STORE_BLOCK_SIZE);
    struct snap_store *store = NULL;
    assert_int_equal(snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &store, NULL, &f->diag), 0);
    assert_int_equal(snap_store_for_each_page(store, 2, read_nothing, NULL, &f->diag),
                     PHANTOM_ECORRUPT);
    assert_int_equal(snap_store_for_each_page(store, 1, read_nothing, NULL, &f->diag), 0);
    snap_store_close(store);
    fixture_free(f);
}

static void file_cut_short_anywhere_is_refused_or_falls_back(void **state)
{
    (void)state;
    unsigned counts[4] = {0};
    fixture_plain = true;
    struct fixture *f = two_generations();
    fixture_plain = false;
    uint64_t size = 0, full = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &full);
    uint8_t *copy = malloc(full);
    assert_non_null(copy);
    memcpy(copy, bytes, full);
    uint64_t last = (STORE_RING_START + FIXTURE_SLOTS + 46) * STORE_BLOCK_SIZE;
    for (size = 0; size < full; size += STORE_SECTOR_SIZE) {
        assert_int_equal(snap_io_memory_assign(f->io->base, copy, size), 0);
        enum outcome outcome = judge(f, SNAP_OPEN_READ_ONLY);
        counts[outcome]++;
        assert_true(size < last ? outcome == REFUSED : outcome == UNHARMED);
    }
    assert_true(counts[REFUSED] > 0 && counts[UNHARMED] > 0);
    free(copy);
    fixture_free(f);
}

static void page_of_another_store_or_place_never_verifies(void **state)
{
    (void)state;
    uint8_t page[STORE_BLOCK_SIZE], other[16], uuid[16];
    memcpy(uuid, fixture_params().uuid, sizeof uuid);
    memcpy(other, uuid, sizeof other);
    other[15] ^= 1;
    fill(1, 1, page);
    struct store_sum sum = store_sum_block(uuid, STORE_SUM_PAGE, 5, page);
    assert_false(store_sum_equal(sum, store_sum_block(other, STORE_SUM_PAGE, 5, page)));
    assert_false(store_sum_equal(sum, store_sum_block(uuid, STORE_SUM_PAGE, 6, page)));
    assert_false(store_sum_equal(sum, store_sum_block(uuid, STORE_SUM_NODE, 5, page)));
    assert_true(store_sum_equal(sum, store_sum_block(uuid, STORE_SUM_PAGE, 5, page)));
}

/* ---- hostile files -----------------------------------------------------------------------------
 */

static struct store_node *root_of(struct fixture *f, uint64_t generation)
{
    return (struct store_node *)fixture_block(f, fixture_record(f, generation)->root_block);
}

static struct store_node *leaf_of(struct fixture *f, uint64_t generation)
{
    struct store_node *node = root_of(f, generation);
    while (node->level != 0) {
        node = (struct store_node *)fixture_block(f, node->block[0]);
    }
    return node;
}

/* Each case spoils a good store of two generations in one way; all sums are right afterwards. */
static void spoil(struct fixture *f, int which)
{
    struct store_record *record = fixture_record(f, 2);
    struct store_node *root = root_of(f, 2), *leaf = leaf_of(f, 2);
    switch (which) {
    case 0: leaf->block[11] = STORE_SUPERBLOCK_COPY; break; /* into the metadata */
    case 1: leaf->block[11] = record->root_block; break;    /* a page that is the root */
    case 2: leaf->block[11] = leaf->block[12]; break;       /* two owners */
    case 3: leaf->block[11] = UINT64_MAX; break;
    case 4: root->block[1] = record->root_block, root->used = 2; break; /* a cycle */
    case 5: root->level = 0; break;
    case 6: leaf->level = 1; break;
    case 7: leaf->index = 7; break;
    case 8: leaf->used = 0; break;
    case 9: root->block[127] = root->block[0], root->used = 2; break; /* past the heap's end */
    case 10: record->root_block = fixture_record(f, 1)->root_block + 1; break;
    case 11: record->tree_height = 2; break;
    case 12: record->tree_height = UINT32_MAX; break;
    case 13: record->heap_pages = UINT64_MAX; break;
    case 14: record->live_pages = UINT64_MAX; break;
    case 15: record->extent_count = UINT32_MAX; break;
    case 16: record->extents[0].extent[0].count = UINT64_MAX; break;
    case 17: record->extents[0].extent[0].count = 0; break;
    case 18: memset(record->retained, 0xFF, sizeof record->retained); break;
    case 19: memset(record->retained, 0, sizeof record->retained); break;
    case 20: record->retained[0] |= 1 << 9; break; /* a slot without a record */
    case 21: record->parent = 2; break;
    case 22: record->parent = UINT64_MAX; break;
    case 23: record->kind = 77; break;
    case 24: record->record_version = 2; break;
    case 25: record->stamp.generation = UINT64_MAX - 13; break; /* fits the slot */
    case 26: record->stamp.generation = 3; break;               /* does not */
    case 27: leaf->generation = 0; break;
    case 28: leaf->sum[100].low = 1; break; /* a hole with a sum */
    case 29: record->uuid[3] ^= 1; break;
    case 30: record->blocks_written = UINT64_MAX; break; /* its catalog entry would be refused */
    case 31: record->blocks_written = UINT64_MAX / STORE_BLOCK_SIZE; break;
    default: break;
    }
}
enum { SPOILERS = 32 };

static void impossible_content_behind_good_sums_is_refused(void **state)
{
    (void)state;
    for (int which = 0; which < SPOILERS; which++) {
        fixture_plain = true;
        struct fixture *f = two_generations();
        fixture_plain = false;
        spoil(f, which);
        reseal(f);
        int error = fixture_refused(f, 0);
        if (error != PHANTOM_ECORRUPT) {
            fail_msg("case %d: %s", which, phantom_err_name(error));
        }
        /* A reader may get further, but not past verify; and it always comes back. */
        struct snap_store *store = NULL;
        if (snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &store, NULL, &f->diag) == 0) {
            (void)snap_store_verify(store, true, NULL, NULL, NULL, &f->diag);
            if (which != 20) { /* there only the list of old generations is wrong: not shown */
                assert_int_equal(snap_store_audit(store, &f->diag), PHANTOM_ECORRUPT);
            }
            snap_store_close(store);
        }
        fixture_free(f);
    }
}

/* Each case spoils the delta runs of a good store in one way; all sums are right afterwards. The
 * chain of generation 5 has two runs: 300 pages, and pages 0 to 2 with 600 to 602. */
static void spoil_run(struct fixture *f, int which)
{
    struct store_record *record = fixture_record(f, 5);
    struct store_delta_head *head = (void *)fixture_block(f, record->delta.block);
    struct store_delta_ref *older = (struct store_delta_ref *)(head + 1);
    struct store_delta_entry *entry =
        (void *)(fixture_block(f, record->delta.block) + store_delta_offset(head->older));
    assert_int_equal(head->older, 1);
    assert_int_equal(head->entries, 6);
    switch (which) {
    case 0: head->magic ^= 1; break;
    case 1: head->generation = 4; break;
    case 2: head->entries = record->delta.entries = 7; break;
    case 3: head->entries = 0; break;
    case 4: head->entries = record->delta.entries = UINT32_MAX; break;
    case 5: head->blocks = record->delta.blocks = 2; break;
    case 6: head->blocks = record->delta.blocks = UINT32_MAX; break;
    case 7: head->older = UINT32_MAX; break;
    case 8: head->older = STORE_CHAIN_RUNS; break;
    case 9: head->root_block = record->delta.block; break;
    case 10: older->block = UINT64_MAX; break;
    case 11: older->block = record->delta.block; break;
    case 12: older->block = STORE_SUPERBLOCK; break;
    case 13: older->generation = 5; break;
    case 14: older->generation = 0; break;
    case 15: older->entries = STORE_CHAIN_ENTRIES; break;
    case 16: older->blocks = 0; break;
    case 17: entry[1].page = entry[0].page; break;
    case 18: entry[5].page = UINT64_MAX; break;
    case 19: entry[5].page = FIXTURE_PAGES; break;
    case 20: entry[2].page = 700; break; /* not in order */
    case 21: entry[1].block = UINT64_MAX; break;
    case 22: entry[1].block |= UINT64_C(1) << 56; break; /* reserved */
    case 23: entry[1].block |= UINT64_C(1) << 63; break;
    case 24: entry[1].block = entry[2].block; break; /* two owners */
    case 25: entry[1].block = record->delta.block; break;
    case 26: entry[1].block = 0; break; /* a hole with a sum */
    case 27: entry[1].block = STORE_SEAL; break;
    case 28: record->delta.block = UINT64_MAX; break;
    case 29: record->delta.generation = 6; break;
    case 30: record->delta.generation = 0; break;
    case 31: record->delta.block = 0; break;
    case 32: record->delta.blocks = 0; break;
    case 33: record->delta.entries = 0; break;
    case 34: record->delta_bytes = 0, record->delta.block = 0; break;
    case 35: record->root_block = record->delta.block; break; /* a run is no node */
    default: break;
    }
}
enum { RUN_SPOILERS = 36 };

static struct fixture *two_runs(void)
{
    struct fixture *f = fixture_new(LIMIT, 1000);
    fixture_put(f, 0, 300, 1);
    for (uint64_t i = 0; i < 3; i++) {
        fixture_put(f, 600 + i, 1, 2);
    }
    struct snap_txn *txn = fixture_begin(f);
    for (uint64_t i = 0; i < 3; i++) {
        fixture_stage(f, txn, i, 3);
    }
    fixture_commit(f, txn);
    fixture_close(f);
    return f;
}

static void impossible_runs_behind_good_sums_are_refused(void **state)
{
    (void)state;
    for (int which = 0; which < RUN_SPOILERS; which++) {
        struct fixture *f = two_runs();
        spoil_run(f, which);
        reseal(f);
        int error = fixture_refused(f, 0);
        if (error != PHANTOM_ECORRUPT) {
            fail_msg("case %d: %s", which, phantom_err_name(error));
        }
        struct snap_store *store = NULL;
        if (snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &store, NULL, &f->diag) == 0) {
            (void)snap_store_verify(store, true, NULL, NULL, NULL, &f->diag);
            assert_int_equal(snap_store_audit(store, &f->diag), PHANTOM_ECORRUPT);
            snap_store_close(store);
        }
        fixture_free(f);
    }
    struct fixture *f = two_runs(); /* resealing alone harms nothing */
    reseal(f);
    fixture_open(f);
    fixture_check(f);
    fixture_free(f);
}

static void impossible_superblocks_behind_good_sums_are_refused(void **state)
{
    (void)state;
    for (int which = 0; which < 12; which++) {
        struct fixture *f = two_generations();
        CHANGE_SUPERBLOCK(f, {
            switch (which) {
            case 0: s->heap_size = 0; break;
            case 1: s->heap_size = UINT64_MAX; break;
            case 2: s->heap_base = UINT64_MAX & ~UINT64_C(4095); break;
            case 3: s->map_height = 0; break;
            case 4: s->map_height = UINT32_MAX; break;
            case 5: s->ring_slots = 0; break;
            case 6: s->ring_slots = UINT32_MAX; break;
            case 7: s->ring_start = UINT64_MAX; break;
            case 8: s->data_start = 0; break;
            case 9: s->seal_block = UINT64_MAX; break;
            case 10: s->segment_bytes = 0; break;
            default: s->block_size = 512; break;
            }
        });
        assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
        assert_int_equal(fixture_refused(f, SNAP_OPEN_READ_ONLY), PHANTOM_ECORRUPT);
        fixture_free(f);
    }
}

static int rewrite_golden(const char *path)
{
    struct snap_io *io = golden_make();
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(io, &size);
    FILE *file = fopen(path, "wb");
    bool ok = file != NULL && golden_pack(file, bytes, size);
    ok = file != NULL && fclose(file) == 0 && ok;
    io->ops->close(io);
    return ok ? 0 : 1;
}

int main(int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[1], "--rewrite") == 0) {
        return rewrite_golden(arguments[2]);
    }
    if (count != 2) {
        fprintf(stderr, "usage: %s [--rewrite] GOLDEN\n", arguments[0]);
        return 2;
    }
    golden_path = arguments[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_store_opens_for_ever),
        cmocka_unit_test(writer_reproduces_the_golden_store_byte_by_byte),
        cmocka_unit_test(unknown_versions_and_features_are_named),
        cmocka_unit_test(files_that_are_no_store_are_refused),
        cmocka_unit_test(changed_bytes_are_never_silent),
        cmocka_unit_test(exchanged_and_stale_blocks_are_found),
        cmocka_unit_test(stale_map_node_is_not_read),
        cmocka_unit_test(file_cut_short_anywhere_is_refused_or_falls_back),
        cmocka_unit_test(page_of_another_store_or_place_never_verifies),
        cmocka_unit_test(impossible_content_behind_good_sums_is_refused),
        cmocka_unit_test(impossible_runs_behind_good_sums_are_refused),
        cmocka_unit_test(impossible_superblocks_behind_good_sums_are_refused),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_NODE_SUM_IGNORED, cmocka_unit_test(stale_map_node_is_not_read)},
        {PH_MUTANT_FEATURES_IGNORED, cmocka_unit_test(unknown_versions_and_features_are_named)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
