/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_encryption.c - encrypted stores: the same as others in all they do; nothing of the
 * content can be read in the file; nothing can be changed in it without the key; no nonce is used
 * for two contents.
 */
#include "ph_test.h"

#include "ph_mutant.h"
#include "snap_transfer.h"
#include "store_codec.h"
#include "store_fixture.h"

enum { LIMIT = 64 << 20, PAGES = 600 };

static const struct snap_key key = {"thirty-two bytes that are a key!", SNAP_KEY_SIZE};
static const struct snap_key other_key = {"thirty-two bytes, another key!!!", SNAP_KEY_SIZE};

static int encrypt(void **state)
{
    (void)state;
    fixture_key = &key;
    ph_active_mutant = PH_MUTANT_NONE;
    return 0;
}

static uint64_t current(struct fixture *f)
{
    return snap_store_current(f->store)->number;
}

static void commit_many(struct fixture *f, uint32_t first_tag, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        fixture_put(f, (first_tag + i) * 7 % PAGES, 3, first_tag + i);
    }
}

/* Every kind of commit: small, large, many delta runs and so a checkpoint, holes, a tag, a
 * rollback, a catalog, after a crash. */
static void live(struct fixture *f)
{
    fixture_put(f, 0, 5, 1);
    fixture_put(f, 0, PAGES, 2); /* large */
    commit_many(f, 10, 30);
    assert_int_equal(snap_store_tag(f->store, current(f) - 3, "a-name-to-be-hidden", &f->diag), 0);
    fixture_remember(f, current(f));
    fixture_put(f, 20, 10, 0);
    uint64_t back = current(f) - 2;
    memcpy(f->now, fixture_tags(f, back), PAGES * sizeof *f->now);
    assert_int_equal(snap_store_rollback(f->store, back, NULL, &f->diag), 0);
    fixture_remember(f, current(f));
    commit_many(f, 100, 10);
    fixture_crash(f);
    fixture_open(f);
    fixture_put(f, 0, PAGES / 2, 200);
    commit_many(f, 300, 5);
    fixture_reopen(f);
}

static void every_kind_of_commit_comes_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    live(f);
    assert_true(snap_store_is_encrypted(f->store));
    assert_true(store_catalog_root(f->store).block != 0);
    assert_true(store_current(f->store)->map.delta.block != 0);
    fixture_check(f);
    struct snap_store *view = NULL;
    assert_int_equal(snap_store_open_view(f->store, f->io->base, &view, &f->diag), 0);
    check_generation(view, current(f), f->now, PAGES);
    snap_store_close(view);
    struct snap_wanted wanted = {.first = 17, .count = 4, .age = 1}, again;
    assert_int_equal(snap_store_write_wanted(f->store, &wanted, 1), 0);
    assert_int_equal(snap_store_read_wanted(f->store, &again, 1), 1);
    assert_int_equal(again.first, 17);
    fixture_free(f);
}

/* ---- nothing can be read --------------------------------------------------------------------- */

/* How many 16-byte pieces of the pages' content, and names of tags, the file shows. */
static unsigned found_in_file(struct fixture *f)
{
    uint64_t size = 0, word[SNAP_PAGE_SIZE / 8];
    const uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    unsigned found = memmem(bytes, size, "to-be-hidden", 12) != NULL;
    for (uint64_t page = 0; page < PAGES; page += 50) {
        fill(f->now[page], page, word);
        found += f->now[page] != 0 && memmem(bytes, size, word + 100, 16) != NULL;
    }
    return found;
}

/* Magics of what is encrypted: no block of the data area begins with one. */
static unsigned magics_in_data(struct fixture *f)
{
    uint64_t size = 0;
    const uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    unsigned found = 0;
    for (uint64_t at = f->store->file.data_start * STORE_BLOCK_SIZE; at < size;
         at += STORE_BLOCK_SIZE) {
        uint64_t magic;
        memcpy(&magic, bytes + at, sizeof magic);
        found += magic == STORE_NODE_MAGIC || magic == STORE_DELTA_MAGIC ||
                 magic == STORE_CATALOG_LEAF_MAGIC || magic == STORE_CATALOG_NODE_MAGIC;
    }
    return found;
}

static void content_map_and_names_cannot_be_read_in_the_file(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    live(f);
    assert_int_equal(found_in_file(f), 0);
    assert_int_equal(magics_in_data(f), 0);
    fixture_free(f);
    fixture_key = NULL; /* the search finds all that in a store that is not encrypted */
    f = fixture_new(LIMIT, PAGES);
    live(f);
    assert_true(found_in_file(f) > 5);
    assert_true(magics_in_data(f) > 5);
    fixture_free(f);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int open_with(struct fixture *f, const struct snap_key *with, unsigned flags)
{
    struct snap_store *store = NULL;
    f->diag.text[0] = '\0';
    int error = snap_store_open_keyed(&f->io->io, with, flags, &store, &f->recovery, &f->diag);
    assert_true((error == 0) == (store != NULL));
    assert_true(error == 0 || f->diag.text[0] != '\0');
    snap_store_close(store);
    return error;
}

static void a_wrong_or_missing_key_is_no_damage(void **state)
{
    (void)state;
    static const struct snap_key shorter = {"too short", 9}, nothing = {NULL, 0};
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 5, 1);
    fixture_close(f);
    for (unsigned flags = 0; flags <= SNAP_OPEN_READ_ONLY; flags++) {
        assert_int_equal(open_with(f, &other_key, flags), PHANTOM_EKEY);
        assert_non_null(strstr(f->diag.text, "not the one of this store"));
        assert_int_equal(open_with(f, NULL, flags), PHANTOM_EKEY);
        assert_non_null(strstr(f->diag.text, "needs its key"));
        assert_int_equal(open_with(f, &nothing, flags), PHANTOM_EKEY);
        assert_int_equal(open_with(f, &shorter, flags), PHANTOM_EINVALID);
        assert_int_equal(open_with(f, &key, flags), 0);
    }
    struct snap_salvage_report report;
    struct trick_io *target = trick_create(LIMIT);
    assert_int_equal(snap_store_salvage(&f->io->io, &other_key, true, &target->io, NULL, NULL, NULL,
                                        &report, &f->diag),
                     PHANTOM_EKEY);
    target->io.ops->close(&target->io);
    fixture_free(f);
    struct snap_store_params params = fixture_params();
    struct trick_io *t = trick_create(LIMIT);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    params.key = shorter;
    assert_int_equal(snap_store_create(&t->io, &params, &diag), PHANTOM_EINVALID);
    t->io.ops->close(&t->io);
}

/* Who can exchange the file cannot make a host with a key read, and write, a plain one. */
static void a_key_is_refused_for_a_store_that_is_not_encrypted(void **state)
{
    (void)state;
    fixture_key = NULL;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 5, 1);
    fixture_close(f);
    assert_int_equal(open_with(f, &key, 0), PHANTOM_EKEY);
    assert_int_equal(open_with(f, &key, SNAP_OPEN_READ_ONLY), PHANTOM_EKEY);
    assert_int_equal(open_with(f, NULL, 0), 0);
    fixture_free(f);
}

/* The same memory under two keys, or two UUIDs, has no sum and no block in common. */
static void keys_and_uuids_give_other_blocks(void **state)
{
    (void)state;
    static const uint8_t uuid[2][16] = {{1}, {2}};
    struct store_secret *secret[3];
    uint8_t block[3][64];
    struct store_sum sum[3];
    const struct snap_key *keys[3] = {&key, &other_key, &key};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(store_secret_make(keys[i], uuid[i / 2], &secret[i], NULL), 0);
        memset(block[i], 7, sizeof block[i]);
        sum[i] = store_secret_sum(secret[i], STORE_SUM_PAGE, 3, block[i], sizeof block[i]);
        struct store_sum elsewhere =
            store_secret_sum(secret[i], STORE_SUM_PAGE, 4, block[i], sizeof block[i]);
        assert_false(store_sum_equal(sum[i], elsewhere));
        elsewhere = store_secret_sum(secret[i], STORE_SUM_NODE, 3, block[i], sizeof block[i]);
        assert_false(store_sum_equal(sum[i], elsewhere));
        /* The cipher's key differs too, even if the nonce were the same. */
        store_secret_cipher(secret[i], (struct store_sum){1, 1}, STORE_SUM_PAGE, 3, block[i],
                            sizeof block[i]);
        for (unsigned k = 0; k < i; k++) {
            assert_false(store_sum_equal(sum[i], sum[k]));
            assert_memory_not_equal(block[i], block[k], sizeof block[i]);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        store_secret_free(secret[i]);
    }
}

/* ---- nothing can be changed ------------------------------------------------------------------ */

/* Opens without a remark, verifies, and has the content it was committed with. A record that is not
 * the current one's is only counted as torn. */
static bool is_good(struct fixture *f)
{
    struct snap_store *store = NULL;
    struct snap_verify_report report = {0};
    int error = snap_store_open_keyed(&f->io->io, &key, SNAP_OPEN_READ_ONLY, &store, &f->recovery,
                                      &f->diag);
    if (error != 0) {
        assert_true(error == PHANTOM_ECORRUPT || error == PHANTOM_EKEY ||
                    error == PHANTOM_EFORMAT || error == PHANTOM_EVERSION);
        return false;
    }
    uint64_t number = snap_store_current(store)->number;
    error = snap_store_verify(store, true, &report, NULL, NULL, &f->diag);
    if (error == 0) {
        check_generation(store, number, fixture_tags(f, number), PAGES);
    }
    snap_store_close(store);
    return error == 0 && f->recovery.records_torn == 0;
}

/* Blocks that matter: superblocks, current records, and all in use. */
static uint64_t *blocks_in_use(struct fixture *f, size_t *count)
{
    const struct store_file *file = &f->store->file;
    uint64_t *list = calloc(file->block_count, sizeof *list);
    assert_non_null(list);
    *count = 0;
    list[(*count)++] = STORE_SUPERBLOCK;
    list[(*count)++] = STORE_SUPERBLOCK_COPY;
    for (unsigned i = store_ring_first(f->store); i < f->store->generation_count; i++) {
        list[(*count)++] =
            file->ring_start + store_slot_of(file, f->store->generation[i].info.number);
    }
    for (uint64_t b = file->data_start; b < file->block_count; b++) {
        if (block_space_is_used(&f->store->space, b)) {
            list[(*count)++] = b;
        }
    }
    return list;
}

static uint8_t *copy_of_file(struct fixture *f, uint64_t *size)
{
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, size);
    uint8_t *copy = malloc(*size);
    assert_non_null(copy);
    memcpy(copy, bytes, *size);
    return copy;
}

static struct fixture *small_world(uint64_t **blocks, size_t *count, uint8_t **image,
                                   uint64_t *size)
{
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 60, 1);
    commit_many(f, 10, 20);
    assert_int_equal(snap_store_tag(f->store, current(f) - 1, "tag", &f->diag), 0);
    fixture_remember(f, current(f));
    commit_many(f, 50, 3);
    fixture_reopen(f);
    assert_int_equal(snap_store_account(f->store, UINT64_MAX, &f->diag), 0);
    *blocks = blocks_in_use(f, count);
    fixture_close(f);
    *image = copy_of_file(f, size);
    assert_true(is_good(f));
    return f;
}

/* The sums that need no key are made right again: that is what an attacker can do. */
static void reseal_without_key(struct fixture *f, uint64_t block)
{
    struct snap_store_params params = fixture_params();
    uint8_t *bytes = fixture_block(f, block);
    if (block <= STORE_SUPERBLOCK_COPY) {
        store_superblock_seal((struct store_superblock *)bytes);
    } else if (block >= STORE_RING_START && block < STORE_RING_START + FIXTURE_SLOTS) {
        store_record_seal(params.uuid, (uint32_t)(block - STORE_RING_START),
                          (struct store_record *)bytes);
    }
}

static void a_flipped_bit_is_seen_in_every_block(void **state)
{
    (void)state;
    uint64_t *blocks, size;
    size_t count;
    uint8_t *image;
    struct ph_rng rng;
    uint64_t seed = ph_rng_seed_from_environment(1);
    print_message("seed %" PRIu64 "\n", seed);
    ph_rng_init(&rng, seed);
    struct fixture *f = small_world(&blocks, &count, &image, &size);
    assert_true(count > 60);
    for (size_t i = 0; i < count; i++) {
        for (unsigned again = 0; again < 4; again++) {
            uint64_t bit = ph_rng_below(&rng, (uint64_t)STORE_BLOCK_SIZE * 8);
            fixture_block(f, blocks[i])[bit / 8] ^= (uint8_t)(1U << bit % 8);
            if (again % 2 == 1) {
                reseal_without_key(f, blocks[i]);
            }
            if (is_good(f)) {
                fail_msg("block %" PRIu64 ", bit %" PRIu64 " is not seen", blocks[i], bit);
            }
            assert_int_equal(snap_io_memory_assign(f->io->base, image, size), 0);
        }
    }
    /* Every bit of one page. */
    fixture_open(f);
    struct store_place place;
    uint8_t page[SNAP_PAGE_SIZE];
    assert_int_equal(store_find_page(f->store, current(f), 0, &place, &f->diag), 0);
    for (unsigned bit = 0; bit < STORE_BLOCK_SIZE * 8; bit++) {
        uint8_t *byte = fixture_block(f, place.block) + bit / 8;
        *byte ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(snap_store_read_page(f->store, current(f), 0, page, &f->diag),
                         PHANTOM_ECORRUPT);
        assert_null(strstr(f->diag.text, "sum is")); /* it tells nobody what the sum would be */
        *byte ^= (uint8_t)(1U << bit % 8);
    }
    assert_int_equal(snap_store_read_page(f->store, current(f), 0, page, &f->diag), 1);
    free(blocks);
    free(image);
    fixture_free(f);
}

/* One superblock that somebody changed, with a good plain sum: the other one counts. */
static void a_forged_superblock_is_not_believed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 5, 1);
    fixture_close(f);
    uint64_t size;
    uint8_t *image = copy_of_file(f, &size);
    struct store_superblock *s = (struct store_superblock *)fixture_block(f, 0);
    s->heap_base += 4096;
    store_superblock_seal(s);
    struct store_superblock forged = *s;
    struct snap_store *reader = NULL;
    struct snap_verify_report report;
    assert_int_equal(
        snap_store_open_keyed(&f->io->io, &key, SNAP_OPEN_READ_ONLY, &reader, NULL, &f->diag), 0);
    assert_int_equal(snap_store_params(reader)->heap_base, fixture_params().heap_base);
    assert_int_equal(snap_store_verify(reader, false, &report, NULL, NULL, &f->diag),
                     PHANTOM_ECORRUPT);
    snap_store_close(reader);
    fixture_open(f); /* a writer puts the good one there again */
    assert_true(f->recovery.superblock_mended);
    assert_int_equal(snap_store_verify(f->store, false, &report, NULL, NULL, &f->diag), 0);
    fixture_close(f);
    memcpy(fixture_block(f, 0), &forged, STORE_BLOCK_SIZE);
    memcpy(fixture_block(f, 1), &forged, STORE_BLOCK_SIZE);
    assert_int_equal(open_with(f, &key, 0), PHANTOM_ECORRUPT);
    /* "not encrypted any more" */
    assert_int_equal(snap_io_memory_assign(f->io->base, image, size), 0);
    for (unsigned i = 0; i < 2; i++) {
        s = (struct store_superblock *)fixture_block(f, i);
        s->features_incompatible &= ~STORE_FEATURE_ENCRYPTION;
        store_superblock_seal(s);
    }
    assert_int_equal(open_with(f, &key, 0), PHANTOM_EKEY);
    assert_int_equal(open_with(f, NULL, SNAP_OPEN_READ_ONLY), PHANTOM_ECORRUPT);
    free(image);
    fixture_free(f);
}

/* Blocks that the store itself wrote, in another place or from another time. */
static void old_and_moved_blocks_are_not_believed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    struct store_place a, b, newer;
    uint8_t page[SNAP_PAGE_SIZE];
    fixture_put(f, 0, 5, 1);
    assert_int_equal(store_find_page(f->store, current(f), 0, &a, &f->diag), 0);
    assert_int_equal(store_find_page(f->store, current(f), 1, &b, &f->diag), 0);
    fixture_put(f, 0, 1, 2);
    assert_int_equal(store_find_page(f->store, current(f), 0, &newer, &f->diag), 0);
    memcpy(page, fixture_block(f, newer.block), sizeof page);
    memcpy(fixture_block(f, newer.block), fixture_block(f, a.block), STORE_BLOCK_SIZE);
    assert_int_equal(snap_store_read_page(f->store, current(f), 0, page, &f->diag),
                     PHANTOM_ECORRUPT);
    memcpy(fixture_block(f, newer.block), fixture_block(f, b.block), STORE_BLOCK_SIZE);
    assert_int_equal(snap_store_read_page(f->store, current(f), 0, page, &f->diag),
                     PHANTOM_ECORRUPT);
    fixture_free(f);
}

/* ---- nonces ---------------------------------------------------------------------------------- */

/* What the cipher did to one block: its stream is known from content and block, and two equal ones
 * come from one nonce. */
struct use {
    uint8_t stream[32];
    struct store_sum content; /* of the plain content, by another function */
};

struct uses {
    struct use *use;
    size_t count, capacity;
};

static void note_use(struct uses *uses, const uint8_t *secret, const uint8_t *plain,
                     uint32_t blocks)
{
    static const uint8_t uuid[16];
    if (uses->count == uses->capacity) {
        uses->capacity = uses->capacity != 0 ? 2 * uses->capacity : 1024;
        uses->use = realloc(uses->use, uses->capacity * sizeof *uses->use);
        assert_non_null(uses->use);
    }
    struct use *use = &uses->use[uses->count++];
    for (unsigned i = 0; i < sizeof use->stream; i++) {
        use->stream[i] = secret[i] ^ plain[i];
    }
    use->content = store_sum_blocks(uuid, 0, 0, plain, blocks);
}

/* A block of metadata, decrypted to see what it says. */
static void note_metadata(struct fixture *f, struct uses *uses, unsigned kind, uint64_t index,
                          uint64_t block, uint32_t blocks, struct store_sum sum)
{
    if (block == 0) {
        return;
    }
    size_t size = (size_t)blocks * STORE_BLOCK_SIZE;
    uint8_t *plain = malloc(size);
    assert_non_null(plain);
    memcpy(plain, fixture_block(f, block), size);
    assert_true(store_decode(&f->store->file, kind, index, sum, plain, blocks));
    note_use(uses, fixture_block(f, block), plain, blocks);
    free(plain);
}

/* The blocks of the current generation. */
static void note_generation(struct fixture *f, struct uses *uses)
{
    const struct store_generation *g = store_current(f->store);
    const struct store_file *file = &f->store->file;
    _Alignas(8) uint8_t plain[SNAP_PAGE_SIZE];
    for (uint64_t page = 0; page < PAGES; page++) {
        if (f->now[page] != 0) {
            struct store_place place;
            assert_int_equal(store_find_page(f->store, g->info.number, page, &place, &f->diag), 0);
            fill(f->now[page], page, plain);
            note_use(uses, fixture_block(f, place.block), plain, 1);
        }
    }
    note_metadata(f, uses, STORE_SUM_NODE + file->height - 1, 0, g->map.root_block, 1,
                  g->map.root_sum);
    note_metadata(f, uses, STORE_SUM_DELTA, g->map.delta.generation, g->map.delta.block,
                  g->map.delta.blocks, g->map.delta.sum);
    struct store_catalog_place root = store_catalog_root(f->store);
    note_metadata(f, uses, STORE_SUM_CATALOG + STORE_CATALOG_LEVEL_ROOT, 0, root.block, 1,
                  root.sum);
}

static int compare_uses(const void *a, const void *b)
{
    return memcmp(((const struct use *)a)->stream, ((const struct use *)b)->stream,
                  sizeof((const struct use *)a)->stream);
}

/* Times that one stream met two contents. */
static unsigned repeated(struct uses *uses)
{
    unsigned count = 0;
    qsort(uses->use, uses->count, sizeof *uses->use, compare_uses);
    for (size_t i = 1; i < uses->count; i++) {
        count += compare_uses(&uses->use[i - 1], &uses->use[i]) == 0 &&
                 !store_sum_equal(uses->use[i - 1].content, uses->use[i].content);
    }
    return count;
}

/* Commits, rollbacks, and the same numbers and blocks once more with other content: the file goes
 * back to what it was, as after a crash, a restored backup or a copied machine. */
static unsigned repeated_in_a_life(size_t *used)
{
    struct uses uses = {0};
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 40, 1);
    note_generation(f, &uses);
    uint64_t size;
    uint8_t *image = copy_of_file(f, &size);
    uint32_t now[PAGES];
    memcpy(now, f->now, sizeof now);
    uint64_t numbers[2] = {0};
    for (uint32_t life = 0; life < 3; life++) {
        for (uint32_t i = 0; i < 20; i++) {
            fixture_put(f, i % 5 * 3, 4, 1000 * life + i + 2);
            note_generation(f, &uses);
            if (i % 7 == 6) {
                uint64_t back = current(f) - 3;
                memcpy(f->now, fixture_tags(f, back), sizeof now);
                assert_int_equal(snap_store_rollback(f->store, back, NULL, &f->diag), 0);
                fixture_remember(f, current(f));
                note_generation(f, &uses);
            }
        }
        numbers[life % 2] = current(f);
        fixture_close(f);
        assert_int_equal(snap_io_memory_assign(f->io->base, image, size), 0);
        memcpy(f->now, now, sizeof now);
        fixture_open(f);
    }
    assert_int_equal(numbers[0], numbers[1]); /* the lives did use the same numbers */
    unsigned count = repeated(&uses);
    *used = uses.count;
    free(uses.use);
    free(image);
    fixture_free(f);
    return count;
}

static void no_nonce_meets_two_contents(void **state)
{
    (void)state;
    size_t used = 0;
    assert_int_equal(repeated_in_a_life(&used), 0);
    print_message("%zu blocks encrypted, no nonce twice for different content\n", used);
    assert_true(used > 1000);
    ph_active_mutant = PH_MUTANT_ENCRYPTION_NONCE_REUSED;
    assert_true(repeated_in_a_life(&used) > 100);
    ph_active_mutant = PH_MUTANT_NONE;
    print_message("mutant ENCRYPTION_NONCE_REUSED: killed\n");
}

/* ---- stores made from stores ----------------------------------------------------------------- */

static void check_copy(struct fixture *f, struct trick_io *target, uint64_t number)
{
    struct snap_store *store = NULL;
    assert_int_equal(
        snap_store_open_keyed(&target->io, NULL, SNAP_OPEN_READ_ONLY, &store, NULL, &f->diag),
        PHANTOM_EKEY);
    assert_int_equal(
        snap_store_open_keyed(&target->io, &key, SNAP_OPEN_READ_ONLY, &store, NULL, &f->diag), 0);
    check_generation(store, number, fixture_tags(f, number), PAGES);
    snap_store_close(store);
}

static void copies_clones_and_what_is_salvaged_keep_the_key(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    live(f);
    uint64_t number = current(f);
    static const uint8_t uuid[16] = {9, 9, 9};
    struct snap_copied copied;
    for (unsigned i = 0; i < 2; i++) {
        struct trick_io *target = trick_create(LIMIT);
        assert_int_equal(snap_store_copy(f->store, &number, 1, i != 0 ? uuid : NULL, &target->io,
                                         NULL, &copied, &f->diag),
                         0);
        check_copy(f, target, number);
        target->io.ops->close(&target->io);
    }
    fixture_close(f);
    for (unsigned slot = 0; slot < FIXTURE_SLOTS; slot++) { /* the newest record is lost */
        if (slot == number % FIXTURE_SLOTS) {
            fixture_block(f, STORE_RING_START + slot)[300] ^= 1;
        }
    }
    struct snap_salvage_report report;
    struct trick_io *target = trick_create(LIMIT);
    assert_int_equal(snap_store_salvage(&f->io->io, &key, false, &target->io, NULL, NULL, NULL,
                                        &report, &f->diag),
                     0);
    assert_true(report.generation != 0 && report.generation < number);
    check_copy(f, target, report.generation);
    target->io.ops->close(&target->io);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_kind_of_commit_comes_back, encrypt),
        cmocka_unit_test_setup(content_map_and_names_cannot_be_read_in_the_file, encrypt),
        cmocka_unit_test_setup(a_wrong_or_missing_key_is_no_damage, encrypt),
        cmocka_unit_test_setup(a_key_is_refused_for_a_store_that_is_not_encrypted, encrypt),
        cmocka_unit_test_setup(keys_and_uuids_give_other_blocks, encrypt),
        cmocka_unit_test_setup(a_flipped_bit_is_seen_in_every_block, encrypt),
        cmocka_unit_test_setup(a_forged_superblock_is_not_believed, encrypt),
        cmocka_unit_test_setup(old_and_moved_blocks_are_not_believed, encrypt),
        cmocka_unit_test_setup(no_nonce_meets_two_contents, encrypt),
        cmocka_unit_test_setup(copies_clones_and_what_is_salvaged_keep_the_key, encrypt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
