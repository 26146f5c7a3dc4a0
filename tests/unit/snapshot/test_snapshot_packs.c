/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_packs.c - compressed pages: packs are made and read, they live exactly as long as
 * one of their pages is needed, damage of one stays with its pages and is named, and nothing in one
 * is believed because a sum says so. Linked with the room compiled with -DPH_MUTANTS: the rules
 * that protect packs are broken one by one, and the loss must be seen.
 */
#include "ph_mutant.h"
#include "snap_transfer.h"
#include "store_fixture.h"
#include "store_pack.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t LIMIT = UINT64_C(256) << 20;

static int compressed(void **state)
{
    (void)state;
    fixture_compress = true;
    fixture_key = NULL;
    ph_active_mutant = PH_MUTANT_NONE;
    return 0;
}

/* ---- the codec ------------------------------------------------------------------------------- */

static const uint8_t uuid[16] = {1, 2, 3, 4};

/* A page of which every `step`-th byte is random. */
static void make_page(struct ph_rng *rng, unsigned step, uint8_t *page)
{
    memset(page, (int)step, STORE_BLOCK_SIZE);
    for (unsigned i = 0; i < STORE_BLOCK_SIZE; i += step) {
        page[i] = (uint8_t)ph_rng_next(rng);
    }
}

struct codec {
    struct store_file file;
    struct store_packer *packer;
    struct store_unpacker unpacker;
    _Alignas(4096) uint8_t image[STORE_PACK_BLOCKS * STORE_BLOCK_SIZE];
    uint8_t page[STORE_PACK_SLOTS][STORE_BLOCK_SIZE];
    struct phantom_diag diag;
};

enum { PACK_AT = 300, FIRST_PAGE = 1000 };

static struct codec *codec_new(void)
{
    struct codec *c = aligned_alloc(4096, (sizeof *c + 4095) / 4096 * 4096);
    assert_non_null(c);
    memset(c, 0, sizeof *c);
    c->file = (struct store_file){.io = &trick_create(1 << 20)->io,
                                  .page_count = 5000,
                                  .data_start = 272,
                                  .block_count = 400};
    c->file.has_packs = true;
    c->diag = (struct phantom_diag)PHANTOM_DIAG_INIT;
    memcpy(c->file.uuid, uuid, sizeof uuid);
    c->packer = store_packer_create();
    assert_non_null(c->packer);
    return c;
}

static void codec_free(struct codec *c)
{
    store_packer_destroy(c->packer);
    store_unpacker_finish(&c->unpacker);
    c->file.io->ops->close(c->file.io);
    free(c);
}

static struct store_sum sum_of(const struct codec *c, uint32_t slot)
{
    return store_sum_block(uuid, STORE_SUM_PAGE, FIRST_PAGE + slot, c->page[slot]);
}

static int unpack(struct codec *c, uint32_t blocks, uint32_t slot, const uint8_t **out)
{
    return store_unpack_page(&c->file, &c->unpacker, 1, FIRST_PAGE + slot,
                             store_place_in_pack(PACK_AT, blocks, slot), sum_of(c, slot), c->image,
                             out, &c->diag);
}

/* As many pages as go into one pack. Returns its blocks. */
static uint32_t fill_pack(struct codec *c, struct ph_rng *rng, unsigned step)
{
    store_packer_empty(c->packer);
    for (;;) {
        uint8_t page[STORE_BLOCK_SIZE];
        make_page(rng, step != 0 ? step : 1 + (unsigned)ph_rng_below(rng, 40), page);
        enum store_packed packed = store_packer_add(c->packer, page);
        if (packed == STORE_PACK_FULL) {
            break;
        }
        if (packed == STORE_PACK_ADDED) {
            memcpy(c->page[c->packer->count - 1], page, sizeof page);
        }
    }
    uint32_t blocks = store_packer_blocks(c->packer);
    if (blocks != 0) {
        store_packer_finish(&c->file, c->packer, PACK_AT, c->image);
    }
    return blocks;
}

static void pages_come_out_of_a_pack_as_they_went_in(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(20261201);
    print_message("PH_SEED=%" PRIu64 "\n", seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct codec *c = codec_new();
    unsigned packs = 0, pages = 0, blocks_in_all = 0;
    for (unsigned round = 0; round < 200; round++) {
        uint32_t blocks = fill_pack(c, &rng, round % 3 == 0 ? 0 : 5 + round % 50);
        if (blocks == 0) {
            continue;
        }
        assert_true(blocks < c->packer->count && blocks <= STORE_PACK_BLOCKS_WRITTEN);
        c->unpacker.pack = 0;
        uint32_t first = (uint32_t)ph_rng_below(&rng, c->packer->count); /* in any order */
        for (uint32_t i = 0; i < c->packer->count; i++) {
            uint32_t slot = (first + i) % c->packer->count;
            const uint8_t *out = NULL;
            assert_int_equal(unpack(c, blocks, slot, &out), 0);
            assert_memory_equal(out, c->page[slot], STORE_BLOCK_SIZE);
        }
        packs++;
        pages += c->packer->count;
        blocks_in_all += blocks;
    }
    assert_true(packs > 100 && pages > 2 * blocks_in_all);
    codec_free(c);
}

static void page_that_stays_large_is_left_as_it_is(void **state)
{
    (void)state;
    struct codec *c = codec_new();
    struct ph_rng rng;
    ph_rng_init(&rng, 7);
    uint8_t random[STORE_BLOCK_SIZE], flat[STORE_BLOCK_SIZE];
    make_page(&rng, 1, random);
    assert_int_equal(store_packer_add(c->packer, random), STORE_PACK_RAW);
    assert_int_equal(c->packer->count, 0);
    assert_int_equal(store_packer_blocks(c->packer), 0);
    make_page(&rng, 16, flat);
    assert_int_equal(store_packer_add(c->packer, flat), STORE_PACK_ADDED);
    assert_int_equal(store_packer_blocks(c->packer), 0); /* alone it saves nothing */
    assert_int_equal(store_packer_add(c->packer, random), STORE_PACK_RAW);
    assert_int_equal(store_packer_add(c->packer, flat), STORE_PACK_ADDED);
    assert_int_equal(store_packer_blocks(c->packer), 1);
    memcpy(c->page[0], flat, sizeof flat);
    memcpy(c->page[1], flat, sizeof flat);
    store_packer_finish(&c->file, c->packer, PACK_AT, c->image);
    const uint8_t *out = NULL;
    assert_int_equal(unpack(c, 1, 1, &out), 0);
    assert_memory_equal(out, flat, sizeof flat);
    codec_free(c);
}

static void reseal_pack(struct codec *c, uint32_t blocks)
{
    struct store_pack_head *head = (struct store_pack_head *)c->image;
    head->sum = (struct store_sum){0};
    head->sum = store_sum_blocks(uuid, STORE_SUM_PACK, PACK_AT, c->image, blocks);
}

/* Every kind of nonsense that a head can hold, its sum made right. True: there is such a kind. */
static bool spoil_head(struct store_pack_head *head, uint32_t blocks, unsigned how)
{
    switch (how) {
    case 0: head->magic ^= 1; return true;
    case 1: head->blocks = 0; return true;
    case 2: head->blocks = blocks + 1; return true;
    case 3: head->blocks = UINT32_MAX; return true;
    case 4: head->slots = 0; return true;
    case 5: head->slots = STORE_PACK_SLOTS + 1; return true;
    case 6: head->slots = UINT32_MAX; return true;
    case 7: head->slots--; return true;
    case 8: head->slots++; return true;
    case 9: head->length[0] = 0; return true;
    case 10: head->length[0] = UINT16_MAX; return true;
    case 11: head->length[head->slots - 1] = UINT16_MAX; return true;
    case 12: head->length[head->slots - 1] = (uint16_t)(blocks * STORE_BLOCK_SIZE); return true;
    case 13: head->length[STORE_PACK_SLOTS - 1] = 1; return true;
    case 14:
        for (unsigned i = 0; i < STORE_PACK_SLOTS; i++) {
            head->length[i] = UINT16_MAX;
        }
        head->slots = STORE_PACK_SLOTS;
        return true;
    default: return false;
    }
}

static void hostile_heads_are_refused(void **state)
{
    (void)state;
    struct codec *c = codec_new();
    struct ph_rng rng;
    ph_rng_init(&rng, 3);
    uint32_t blocks = fill_pack(c, &rng, 9);
    assert_int_equal(blocks, 2);
    uint8_t *good = malloc(sizeof c->image);
    assert_non_null(good);
    memcpy(good, c->image, sizeof c->image);
    for (unsigned how = 0;; how++) {
        memcpy(c->image, good, sizeof c->image);
        if (!spoil_head((struct store_pack_head *)c->image, blocks, how)) {
            break;
        }
        reseal_pack(c, blocks);
        const uint8_t *out = NULL;
        assert_int_equal(unpack(c, blocks, 0, &out), PHANTOM_ECORRUPT);
        assert_non_null(strstr(c->diag.text, how == 0 ? "no pack" : "impossible content"));
    }
    free(good);
    codec_free(c);
}

/* Lengths that add up and mean nothing, and data that decompresses to anything: the sum of the
 * content decides, page by page. */
static void hostile_data_never_becomes_a_page(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(20261202);
    print_message("PH_SEED=%" PRIu64 "\n", seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct codec *c = codec_new();
    unsigned refused = 0, unharmed = 0;
    for (unsigned round = 0; round < 400; round++) {
        uint32_t blocks = fill_pack(c, &rng, 5 + round % 30);
        if (blocks == 0) {
            continue;
        }
        struct store_pack_head *head = (struct store_pack_head *)c->image;
        uint32_t end = blocks * STORE_BLOCK_SIZE;
        for (unsigned k = 0; k < 1 + round % 4; k++) {
            if (round % 3 == 0) { /* what one slot gains another loses */
                uint32_t a = (uint32_t)ph_rng_below(&rng, head->slots);
                uint32_t b = (uint32_t)ph_rng_below(&rng, head->slots);
                uint16_t moved = (uint16_t)ph_rng_below(&rng, head->length[a]);
                head->length[a] = (uint16_t)(head->length[a] - moved);
                head->length[b] = (uint16_t)(head->length[b] + moved);
            } else {
                uint32_t at =
                    (uint32_t)sizeof *head + (uint32_t)ph_rng_below(&rng, end - sizeof *head);
                c->image[at] = (uint8_t)ph_rng_next(&rng);
            }
        }
        reseal_pack(c, blocks);
        c->unpacker.pack = 0;
        for (uint32_t slot = 0; slot < c->packer->count; slot++) {
            const uint8_t *out = NULL;
            int error = unpack(c, blocks, slot, &out);
            assert_true(error == 0 || error == PHANTOM_ECORRUPT);
            refused += error != 0;
            unharmed += error == 0;
            if (error == 0) {
                assert_memory_equal(out, c->page[slot], STORE_BLOCK_SIZE);
            }
        }
    }
    assert_true(refused > 200 && unharmed > 200);
    codec_free(c);
}

/* ---- in the store ---------------------------------------------------------------------------- */

static uint64_t place_of(struct fixture *f, uint64_t page)
{
    struct store_place place;
    uint64_t current = snap_store_current(f->store)->number;
    assert_int_equal(store_find_page(f->store, current, page, &place, &f->diag), 0);
    return place.block;
}

static void compressed_store_takes_less_and_reads_the_same(void **state)
{
    (void)state;
    uint64_t used[2];
    for (unsigned i = 0; i < 2; i++) {
        fixture_compress = true;
        struct snap_store_params params = fixture_params();
        struct fixture *f = fixture_new(LIMIT, 3000);
        assert_int_equal(snap_store_params(f->store)->compression, SNAP_COMPRESSION_LZ4);
        if (i == 1) { /* the same content without */
            snap_store_close(f->store);
            assert_int_equal(snap_io_memory_assign(f->io->base, NULL, 0), 0);
            assert_int_equal(snap_store_create(&f->io->io, &params, &f->diag), 0);
            fixture_open(f);
        }
        fixture_put(f, 0, 3000, 1);
        fixture_put(f, 100, 200, 2);
        fixture_put(f, 0, 1, 3);
        fixture_put(f, 50, 30, 0);
        fixture_check(f);
        fixture_reopen(f);
        fixture_check(f);
        struct snap_store_usage usage;
        snap_store_usage(f->store, &usage);
        used[i] = usage.data_bytes_used;
        fixture_free(f);
    }
    print_message("%" PRIu64 " bytes with, %" PRIu64 " without\n", used[0], used[1]);
    assert_true(used[0] < used[1] * 3 / 4);
}

static void page_alone_is_not_packed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_put(f, 0, 200, 1);
    fixture_put(f, 7, 1, 2);
    assert_false(store_place_is_packed(place_of(f, 7)));
    unsigned packed = 0;
    for (uint64_t page = 0; page < 200; page++) {
        packed += store_place_is_packed(place_of(f, page));
    }
    assert_in_range(packed, 90, 140); /* three pages of five can be compressed */
    fixture_check(f);
    fixture_free(f);
}

/* The blocks of a pack are free when none of its pages is retained, and not before. */
static void pack_lives_as_long_as_one_of_its_pages(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    f->tick = INT64_C(100000000000);
    fixture_budget(f, 1);
    fixture_put(f, 0, 40, 1);
    uint64_t page = 0;
    while (!store_place_is_packed(place_of(f, page))) {
        page++;
    }
    uint64_t pack = store_place_pack(place_of(f, page)), last = page;
    for (uint64_t p = 0; p < 40; p++) {
        uint64_t place = place_of(f, p);
        last = store_place_is_packed(place) && store_place_pack(place) == pack ? p : last;
    }
    assert_true(last > page);
    uint32_t tag = 2;
    for (uint64_t p = 0; p < last; p++) { /* all its pages but one get new content */
        fixture_put(f, p, 1, tag++);
        assert_true(block_space_is_used(&f->store->space, store_place_block(pack)));
        fixture_check(f);
    }
    assert_true(store_place_pack(place_of(f, last)) == pack);
    uint64_t used = f->store->space.used;
    fixture_put(f, last, 1, tag++);
    uint32_t blocks = store_place_blocks(pack);
    assert_int_equal(store_current(f->store)->dead.count >= blocks, true);
    fixture_put(f, 200, 1, tag++);
    fixture_put(f, 200, 1, tag++);
    assert_true(f->store->space.used < used + 3);
    assert_int_equal(f->store->slots.slots[store_place_block(pack)], 0);
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

/* The next page is read from the file. */
static void forget_packs(struct fixture *f)
{
    if (f->store->packs != NULL) {
        f->store->packs->unpacker.pack = 0;
    }
}

/* Damage in a pack is found, told with its place, and does no harm to pages elsewhere. */
static void damage_in_a_pack_stays_with_its_pages(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_put(f, 0, 200, 1);
    uint64_t page = 20;
    while (!store_place_is_packed(place_of(f, page))) {
        page++;
    }
    uint64_t pack = store_place_pack(place_of(f, page)), number = f->past[0].number;
    unsigned mates = 0;
    for (uint64_t p = 0; p < 200; p++) {
        uint64_t place = place_of(f, p);
        mates += store_place_is_packed(place) && store_place_pack(place) == pack;
    }
    assert_int_equal(snap_store_seal(f->store), 0);
    uint8_t *bytes = fixture_block(f, store_place_block(pack));
    for (unsigned at = 0; at < store_place_blocks(pack) * STORE_BLOCK_SIZE; at += 61) {
        bytes[at] ^= 0x10;
        unsigned lost = 0;
        for (uint64_t p = 0; p < 200; p++) {
            uint8_t got[SNAP_PAGE_SIZE], want[SNAP_PAGE_SIZE];
            forget_packs(f);
            int found = snap_store_read_page(f->store, number, p, got, &f->diag);
            if (found == 1) {
                fill(1, p, want);
                assert_memory_equal(got, want, SNAP_PAGE_SIZE);
                continue;
            }
            char name[64];
            snprintf(name, sizeof name, "the pack in block %" PRIu64, store_place_block(pack));
            assert_int_equal(found, PHANTOM_ECORRUPT);
            assert_non_null(strstr(f->diag.text, name));
            assert_true(store_place_pack(place_of(f, p)) == pack);
            lost++;
        }
        assert_int_equal(lost, mates);
        struct snap_verify_report report;
        assert_int_equal(snap_store_verify(f->store, true, &report, NULL, NULL, &f->diag),
                         PHANTOM_ECORRUPT);
        assert_int_equal(report.damaged, mates);
        bytes[at] ^= 0x10;
    }
    fixture_check(f);
    fixture_free(f);
}

/* A write that never reached the disk: where the new pack should be there is the old one, whole. */
static int read_old_pack(enum ph_mutant mutant)
{
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_put(f, 0, 40, 1);
    uint64_t page = 0;
    while (!store_place_is_packed(place_of(f, page))) {
        page++;
    }
    uint64_t place = place_of(f, page), number = f->past[0].number;
    struct codec *c = codec_new();
    struct snap_store_params params = fixture_params();
    memcpy(c->file.uuid, params.uuid, 16);
    /* Another pack of the same size, as it may have been there before. */
    for (uint64_t p = 0; store_packer_blocks(c->packer) != store_place_blocks(place) ||
                         c->packer->count <= store_place_slot(place);
         p++) {
        uint8_t content[SNAP_PAGE_SIZE];
        fill(77, p, content);
        assert_int_not_equal(store_packer_add(c->packer, content), STORE_PACK_FULL);
    }
    store_packer_finish(&c->file, c->packer, store_place_block(place),
                        fixture_block(f, store_place_block(place)));
    codec_free(c);
    uint8_t got[SNAP_PAGE_SIZE], want[SNAP_PAGE_SIZE];
    ph_active_mutant = mutant;
    int found = snap_store_read_page(f->store, number, page, got, &f->diag);
    ph_active_mutant = PH_MUTANT_NONE;
    fill(1, page, want);
    int silent = found == 1 && memcmp(got, want, sizeof got) != 0;
    assert_true(found == 1 || found == PHANTOM_ECORRUPT);
    fixture_free(f);
    return silent;
}

static void old_pack_in_the_place_of_a_new_one_is_not_believed(void **state)
{
    (void)state;
    assert_int_equal(read_old_pack(PH_MUTANT_NONE), 0);
    assert_int_equal(read_old_pack(PH_MUTANT_PACKED_PAGE_UNCHECKED), 1);
    print_message("mutant PACKED_PAGE_UNCHECKED: killed\n");
}

/* Map entries of an enemy, in a run whose sums are right. */
static bool spoil_entries(struct store_delta_entry *a, struct store_delta_entry *b, unsigned how)
{
    uint64_t block = store_place_block(a->block);
    uint32_t blocks = store_place_blocks(a->block);
    switch (how) {
    case 0: b->block = a->block; return true; /* two pages in one slot */
    case 1: b->block = block; return true;    /* and in a block of its own */
    case 2: b->block = store_place_in_pack(block, blocks % 2 + 1, 20); return true;
    case 3: b->block = store_place_in_pack(block + 1, 1, 0); return true;
    case 4: b->block = store_place_in_pack(block, STORE_PACK_BLOCKS, 1); return true;
    case 5: b->block = store_place_in_pack(block, blocks, STORE_PACK_SLOTS); return true;
    case 6: b->block = store_place_in_pack(block, blocks, 254); return true;
    case 7: b->block = block | UINT64_C(3) << STORE_PLACE_BLOCKS_SHIFT; return true;
    case 8: b->block = store_place_in_pack(5, 1, 0); return true;
    case 9: b->block = store_place_in_pack(UINT64_C(1) << 51, 1, 0); return true;
    default: return false;
    }
}

static void hostile_places_are_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_put(f, 0, 100, 1);
    fixture_close(f);
    struct store_record *record = fixture_record(f, 1);
    uint8_t *image = fixture_block(f, record->delta.block);
    struct store_delta_entry *entry = (struct store_delta_entry *)(image + store_delta_offset(0)),
                             *a = entry;
    while (!store_place_is_packed(a->block) || store_place_blocks(a->block) != 2) {
        a++;
    }
    struct store_delta_entry *b = a + 7;
    struct store_delta_entry good = *b;
    for (unsigned how = 0;; how++) {
        *b = good;
        bool more = spoil_entries(a, b, how);
        struct snap_store_params params = fixture_params();
        record->delta.sum =
            store_sum_blocks(params.uuid, STORE_SUM_DELTA, 1, image, record->delta.blocks);
        fixture_reseal(f, record);
        memset(fixture_block(f, STORE_SEAL), 0, STORE_BLOCK_SIZE);
        if (!more) {
            break;
        }
        record->flags |= STORE_RECORD_FLUSHED_FIRST; /* or it would be an incomplete commit */
        record->extent_count = 0;
        fixture_reseal(f, record);
        assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
        struct snap_store *store = NULL;
        if (snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &store, NULL, &f->diag) == 0) {
            uint8_t got[SNAP_PAGE_SIZE];
            struct snap_verify_report report;
            (void)snap_store_read_page(store, 1, b->page, got, &f->diag);
            assert_int_not_equal(snap_store_verify(store, true, &report, NULL, NULL, &f->diag), 0);
            assert_int_not_equal(snap_store_audit(store, &f->diag), 0);
            snap_store_close(store);
        }
    }
    fixture_open(f);
    fixture_check(f);
    fixture_free(f);
}

/* A store that was made without compression has no packs, whatever its map says. */
static void plain_store_has_no_packs(void **state)
{
    (void)state;
    fixture_compress = false;
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_put(f, 0, 100, 1);
    assert_int_equal(f->store->slots.block_count, 0);
    fixture_close(f);
    struct store_record *record = fixture_record(f, 1);
    uint8_t *image = fixture_block(f, record->delta.block);
    struct store_delta_entry *entry = (struct store_delta_entry *)(image + store_delta_offset(0));
    entry[5].block = store_place_in_pack(entry[5].block, 1, 0);
    struct snap_store_params params = fixture_params();
    record->delta.sum =
        store_sum_blocks(params.uuid, STORE_SUM_DELTA, 1, image, record->delta.blocks);
    record->flags |= STORE_RECORD_FLUSHED_FIRST;
    record->extent_count = 0;
    fixture_reseal(f, record);
    assert_int_equal(fixture_refused(f, 0), PHANTOM_ECORRUPT);
    fixture_free(f);
}

/* ---- history --------------------------------------------------------------------------------- */

/* What is there must be what was committed; tells instead of failing, for mutants. */
static int is_good(struct fixture *f)
{
    uint64_t number = snap_store_current(f->store)->number;
    const uint32_t *tags = fixture_tags(f, number);
    int error = snap_store_verify(f->store, true, NULL, NULL, NULL, &f->diag);
    error = error != 0 ? error : snap_store_audit(f->store, &f->diag);
    for (uint64_t page = 0; error == 0 && page < f->pages; page++) {
        uint8_t got[SNAP_PAGE_SIZE], want[SNAP_PAGE_SIZE];
        int found = snap_store_read_page(f->store, number, page, got, &f->diag);
        fill(tags[page], page, want);
        bool same =
            found == (tags[page] != 0) && (found != 1 || memcmp(got, want, sizeof got) == 0);
        error = found < 0 ? found : same ? 0 : PHANTOM_ECORRUPT;
    }
    return error;
}

static int commit_some(struct fixture *f, uint64_t first, uint64_t count, uint32_t tag)
{
    struct snap_txn *txn = NULL;
    int error = snap_txn_begin(f->store, 512, &txn, &f->diag);
    if (error != 0) {
        return error;
    }
    for (uint64_t i = 0; i < count; i++) {
        fixture_stage(f, txn, first + i, tag);
    }
    return fixture_try_commit(f, txn);
}

static int roll_back(struct fixture *f, uint64_t number)
{
    struct snap_generation made;
    int error = snap_store_rollback(f->store, number, &made, &f->diag);
    if (error == 0) {
        memcpy(f->now, fixture_tags(f, number), f->pages * sizeof *f->now);
        fixture_remember(f, made.number);
    }
    return error;
}

/* A transaction that writes and is given up. */
static int give_up(struct fixture *f, uint64_t first, uint64_t count)
{
    struct snap_txn *txn = NULL;
    int error = snap_txn_begin(f->store, 512, &txn, &f->diag);
    for (uint64_t i = 0; error == 0 && i < count; i++) {
        fill(9999, first + i, snap_txn_stage(txn, first + i));
    }
    error = error != 0 ? error : snap_txn_write(txn, &f->diag);
    snap_txn_abort(txn);
    return error;
}

/* Commits, rollbacks, failed transactions, crashes at random; 0 all is as the model says. */
static int random_history(enum ph_mutant mutant, unsigned rounds, uint64_t seed)
{
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    struct fixture *f = fixture_new(LIMIT, 600);
    f->tick = INT64_C(700000000);
    ph_active_mutant = mutant;
    int error = commit_some(f, 0, 600, 1);
    for (uint32_t round = 2; error == 0 && round < rounds + 2; round++) {
        fixture_budget(f, (uint64_t)(1 + ph_rng_below(&rng, 800)) * SNAP_PAGE_SIZE);
        uint64_t first = ph_rng_below(&rng, 500), count = 1 + ph_rng_below(&rng, 90);
        struct snap_generation list[64];
        size_t retained = snap_store_list(f->store, list, 64);
        retained = retained < 64 ? retained : 64;
        switch (ph_rng_below(&rng, 12)) {
        case 0: error = roll_back(f, list[ph_rng_below(&rng, retained)].number); break;
        case 1: error = give_up(f, first, count); break;
        case 2:
            fixture_crash(f);
            fixture_open(f);
            break;
        case 3: error = commit_some(f, first, count, 0); break;
        default: error = commit_some(f, first, count, round); break;
        }
        error = error != 0 || round % 4 != 0 ? error : is_good(f);
    }
    ph_active_mutant = PH_MUTANT_NONE;
    if (error == 0) {
        fixture_check(f);
        fixture_reopen(f);
        fixture_check(f);
    } else if (mutant == PH_MUTANT_NONE) {
        print_error("%s\n", f->diag.text);
    }
    fixture_free(f);
    return error;
}

static void random_history_matches_the_model(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(20261203);
    print_message("PH_SEED=%" PRIu64 "\n", seed);
    assert_int_equal(random_history(PH_MUTANT_NONE, 400, seed), 0);
}

/* In a child: a broken invariant stops it. */
static bool is_killed(enum ph_mutant mutant)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        FILE *quiet = freopen("/dev/null", "w", stderr);
        (void)quiet;
        alarm(60);
        _exit(random_history(mutant, 200, 20261204) == 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
           !(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

static void broken_rules_of_packs_are_seen(void **state)
{
    (void)state;
    static const enum ph_mutant mutants[] = {PH_MUTANT_PACK_FREED_EARLY,
                                             PH_MUTANT_PACK_SLOTS_FORGOTTEN};
    assert_false(is_killed(PH_MUTANT_NONE));
    for (unsigned i = 0; i < sizeof mutants / sizeof mutants[0]; i++) {
        if (!is_killed(mutants[i])) {
            fail_msg("mutant %s survived", ph_mutant_name(mutants[i]));
        }
        print_message("mutant %s: killed\n", ph_mutant_name(mutants[i]));
    }
}

static void lengths_are_held_against_the_size_of_the_pack(void **state)
{
    (void)state;
    struct codec *c = codec_new();
    struct ph_rng rng;
    ph_rng_init(&rng, 5);
    uint32_t blocks = fill_pack(c, &rng, 9);
    struct store_pack_head *head = (struct store_pack_head *)c->image;
    head->length[head->slots - 1] = (uint16_t)(blocks * STORE_BLOCK_SIZE);
    reseal_pack(c, blocks);
    const uint8_t *out = NULL;
    assert_int_equal(unpack(c, blocks, 0, &out), PHANTOM_ECORRUPT);
    ph_active_mutant = PH_MUTANT_PACK_LENGTHS_BELIEVED;
    assert_int_equal(unpack(c, blocks, 0, &out), 0); /* it looked beyond the end */
    ph_active_mutant = PH_MUTANT_NONE;
    print_message("mutant PACK_LENGTHS_BELIEVED: killed\n");
    codec_free(c);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void failure_at_any_point_leaves_a_good_store(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 3; what++) {
        bool done = false;
        for (long n = 1; !done; n++) {
            struct fixture *f = fixture_new(LIMIT, 300);
            fixture_put(f, 0, 120, 1);
            fixture_put(f, 30, 60, 2);
            fixture_crash(f);
            fixture_open(f);
            uint32_t before[300];
            memcpy(before, f->now, sizeof before);
            f->io->fail_read = what == 0 ? f->io->reads + n : 0;
            f->io->fail_write = what == 1 ? f->io->writes + n : 0;
            ph_memory_fail_after(what == 2 ? n - 1 : -1, false);
            struct snap_txn *txn = NULL;
            int error = snap_txn_begin(f->store, 512, &txn, &f->diag);
            for (uint64_t p = 10; error == 0 && p < 90; p++) {
                fixture_stage(f, txn, p, 3);
            }
            struct snap_commit commit = {.heap_pages = 300, .time_ns = 1};
            struct snap_generation made = {0};
            error = error != 0 ? error : snap_txn_commit(txn, &commit, &made, &f->diag);
            done = what == 2 ? !ph_memory_has_failed() : error == 0;
            ph_memory_fail_after(-1, false);
            f->io->fail_read = f->io->fail_write = 0;
            if (error != 0) {
                memcpy(f->now, before, sizeof before);
                if (error != PHANTOM_EPOISONED) { /* the store goes on */
                    fixture_check(f);
                    fixture_put(f, 0, 50, 4);
                    fixture_check(f);
                }
            } else {
                fixture_remember(f, made.number);
            }
            if (error != PHANTOM_EPOISONED) {
                fixture_reopen(f);
                fixture_check(f);
            }
            fixture_free(f);
        }
    }
}

/* The same for reading, all the ways. */
static int read_all_ways(struct fixture *f)
{
    uint64_t number = snap_store_current(f->store)->number, pages[SNAP_READ_PAGES];
    bool data[SNAP_READ_PAGES];
    uint8_t *buffer = aligned_alloc(4096, (size_t)SNAP_READ_PAGES * SNAP_PAGE_SIZE);
    assert_non_null(buffer);
    for (unsigned i = 0; i < SNAP_READ_PAGES; i++) {
        pages[i] = (uint64_t)i * 89 % 300;
    }
    int error =
        snap_store_read_pages(f->store, number, pages, SNAP_READ_PAGES, buffer, data, &f->diag);
    for (unsigned i = 0; error == 0 && i < SNAP_READ_PAGES; i++) {
        uint8_t want[SNAP_PAGE_SIZE] = {0}, *got = buffer + (size_t)i * SNAP_PAGE_SIZE;
        uint32_t tag = f->now[pages[i]];
        if (tag != 0) {
            fill(tag, pages[i], want);
        }
        assert_int_equal(data[i], tag != 0);
        assert_memory_equal(got, want, SNAP_PAGE_SIZE);
        int found = snap_store_read_page(f->store, number, pages[i], got, &f->diag);
        assert_true(found < 0 || found == (tag != 0));
        error = found < 0 ? found : 0;
        if (error == 0) {
            assert_memory_equal(got, want, SNAP_PAGE_SIZE);
        }
    }
    free(buffer);
    return error;
}

static void failed_reads_of_packs_are_reported(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 2; what++) {
        bool done = false;
        for (long n = 1; !done; n += 1 + n / 20) {
            struct fixture *f = fixture_new(LIMIT, 300);
            fixture_put(f, 0, 250, 1);
            fixture_put(f, 30, 60, 2);
            fixture_put(f, 70, 10, 0);
            fixture_reopen(f);
            f->io->fail_read = what == 0 ? f->io->reads + n : 0;
            ph_memory_fail_after(what == 1 ? n - 1 : -1, false);
            int error = read_all_ways(f);
            done = what == 1 ? !ph_memory_has_failed() : error == 0;
            ph_memory_fail_after(-1, false);
            f->io->fail_read = 0;
            assert_true(error == 0 || error == (what == 0 ? -EIO : -ENOMEM));
            assert_int_equal(read_all_ways(f), 0);
            fixture_free(f);
        }
    }
}

/* ---- copies, and with a key ------------------------------------------------------------------ */

static void copies_and_rescues_are_compressed_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_put(f, 0, 250, 1);
    fixture_put(f, 30, 60, 2);
    struct snap_generation list[4];
    size_t count = snap_store_list(f->store, list, 4);
    uint64_t numbers[4];
    for (size_t i = 0; i < count; i++) {
        numbers[i] = list[i].number;
    }
    struct snap_io *target = snap_io_memory_create(LIMIT);
    struct snap_copied copied;
    assert_int_equal(
        snap_store_copy(f->store, numbers, count, NULL, target, NULL, &copied, &f->diag), 0);
    struct snap_store *store = NULL;
    assert_int_equal(snap_store_open(target, 0, &store, NULL, &f->diag), 0);
    assert_int_equal(snap_store_params(store)->compression, SNAP_COMPRESSION_LZ4);
    for (size_t i = 0; i < count; i++) {
        check_generation(store, numbers[i], fixture_tags(f, numbers[i]), f->pages);
    }
    assert_int_equal(snap_store_audit(store, &f->diag), 0);
    snap_store_close(store);
    target->ops->close(target);
    fixture_close(f);
    target = snap_io_memory_create(LIMIT);
    struct snap_salvage_report report;
    assert_int_equal(
        snap_store_salvage(&f->io->io, NULL, false, target, NULL, NULL, NULL, &report, &f->diag),
        0);
    assert_int_equal(snap_store_open(target, 0, &store, NULL, &f->diag), 0);
    check_generation(store, numbers[count - 1], fixture_tags(f, numbers[count - 1]), f->pages);
    snap_store_close(store);
    target->ops->close(target);
    fixture_free(f);
}

#if PH_SODIUM
static void pack_of_an_encrypted_store_tells_nothing_and_cannot_be_forged(void **state)
{
    (void)state;
    static const uint8_t bytes[SNAP_KEY_SIZE] = "a key of thirty-two bytes, no le";
    static const struct snap_key key = {bytes, sizeof bytes};
    fixture_key = &key;
    struct fixture *f = fixture_new(LIMIT, 300);
    fixture_put(f, 0, 200, 1);
    fixture_check(f);
    fixture_crash(f);
    fixture_open(f);
    fixture_check(f);
    uint64_t page = 0;
    while (!store_place_is_packed(place_of(f, page))) {
        page++;
    }
    uint64_t place = place_of(f, page);
    uint8_t *image = fixture_block(f, store_place_block(place));
    size_t size = (size_t)store_place_blocks(place) * STORE_BLOCK_SIZE;
    unsigned histogram[256] = {0}, most = 0;
    for (size_t i = offsetof(struct store_pack_head, blocks); i < size; i++) {
        most = ++histogram[image[i]] > most ? histogram[image[i]] : most;
    }
    assert_true(most < size / 256 * 3);          /* else it is no cipher */
    for (unsigned at = 0; at < size; at += 37) { /* whatever is changed, the page is refused */
        uint8_t got[SNAP_PAGE_SIZE];
        image[at] ^= 4;
        forget_packs(f);
        assert_int_equal(snap_store_read_page(f->store, f->past[0].number, page, got, &f->diag),
                         PHANTOM_ECORRUPT);
        image[at] ^= 4;
    }
    fixture_free(f);
    fixture_key = &key;
    assert_int_equal(random_history(PH_MUTANT_NONE, 60, 5), 0);
    fixture_key = NULL;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pages_come_out_of_a_pack_as_they_went_in, compressed),
        cmocka_unit_test_setup(page_that_stays_large_is_left_as_it_is, compressed),
        cmocka_unit_test_setup(hostile_heads_are_refused, compressed),
        cmocka_unit_test_setup(hostile_data_never_becomes_a_page, compressed),
        cmocka_unit_test_setup(lengths_are_held_against_the_size_of_the_pack, compressed),
        cmocka_unit_test_setup(compressed_store_takes_less_and_reads_the_same, compressed),
        cmocka_unit_test_setup(page_alone_is_not_packed, compressed),
        cmocka_unit_test_setup(pack_lives_as_long_as_one_of_its_pages, compressed),
        cmocka_unit_test_setup(damage_in_a_pack_stays_with_its_pages, compressed),
        cmocka_unit_test_setup(old_pack_in_the_place_of_a_new_one_is_not_believed, compressed),
        cmocka_unit_test_setup(hostile_places_are_refused, compressed),
        cmocka_unit_test_setup(plain_store_has_no_packs, compressed),
        cmocka_unit_test_setup(random_history_matches_the_model, compressed),
        cmocka_unit_test_setup(broken_rules_of_packs_are_seen, compressed),
        cmocka_unit_test_setup(failure_at_any_point_leaves_a_good_store, compressed),
        cmocka_unit_test_setup(failed_reads_of_packs_are_reported, compressed),
        cmocka_unit_test_setup(copies_and_rescues_are_compressed_too, compressed),
#if PH_SODIUM
        cmocka_unit_test_setup(pack_of_an_encrypted_store_tells_nothing_and_cannot_be_forged,
                               compressed),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
