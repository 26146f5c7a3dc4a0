/* SPDX-License-Identifier: Apache-2.0
 *
 * hostile_store.c - stores made by an enemy: fields of good stores changed, all sums right again.
 *
 *     hostile_store [--seed S] [--cases N] [--first I] [--compressed] [--verbose]
 *     hostile_store --mutate FILE [--seed S]          change a file on the disk, for tools
 *
 * Two images of one store with a history (catalog of generations, tags, a rollback, delta runs,
 * checkpoints, a working set): one sealed, one not. Each case changes one to four fields, chosen by
 * structure, makes every sum right, and then does with the store whatever can be done: open,
 * verify, list, read, walk, compare, copy, clone, salvage, and as a writer account, audit, tag,
 * untag, commit, roll back and open again.
 *
 * A case may end in any error that has a sentence. It must not crash, hang or leak, and:
 *   - what verify finds whole can be read, and can be compared, copied and salvaged;
 *   - a copy, a view of the difference and a rollback show the content that reading shows;
 *   - what a writer committed is there after opening again, and other generations are unchanged.
 *
 * State: the images, made once. Exit status: 0, or 1 with a line REPRO.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_rng.h"
#include "snap_transfer.h"
#include "store_reseal.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long long ull; /* for %llu */

enum {
    SLOTS = 16,
    PAGES = 300,
    GENERATIONS = 44,
    LIMIT = 8 << 20,
    HANG_SECONDS = 60,
    LIST_MOST = STORE_CATALOG_GENERATIONS + STORE_RING_SLOTS
};

struct image {
    uint8_t *bytes;
    uint64_t size;
};

struct campaign {
    uint64_t seed, number;
    struct ph_rng rng;
    struct image good[2]; /* closed; cut off after its last commit */
    bool verbose, compressed;
    uint64_t refused, damaged, whole, written, rolled_back, copied, salvaged;
    struct snap_generation *list; /* LIST_MOST */
    char did[400], why[900];
};

static bool wrong(struct campaign *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool wrong(struct campaign *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->why, sizeof c->why, format, args);
    va_end(args);
    return false;
}

static uint64_t below(struct campaign *c, uint64_t bound)
{
    return ph_rng_below(&c->rng, bound);
}

/* ---- the good store ----------------------------------------------------------------------------
 */

static int put(struct snap_store *store, uint64_t first, uint64_t count, unsigned value,
               int64_t time_ns, struct phantom_diag *diag)
{
    struct snap_txn *txn = NULL;
    int error = snap_txn_begin(store, 256, &txn, diag);
    if (error != 0) {
        return error;
    }
    error = snap_txn_reserve(txn, count, diag);
    if (error != 0) {
        snap_txn_abort(txn);
        return error;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *page = snap_txn_stage(txn, first + i);
        PH_CHECK(page != NULL);
        memset(page, (int)value, SNAP_PAGE_SIZE);
        memcpy(page, &first, value != 0 ? sizeof first : 0);
    }
    struct snap_commit commit = {.heap_pages = PAGES, .time_ns = time_ns};
    return snap_txn_commit(txn, &commit, NULL, diag);
}

static void keep(struct image *image, struct snap_io *io)
{
    const uint8_t *bytes = snap_io_memory_bytes(io, &image->size);
    image->bytes = malloc(image->size);
    PH_CHECK(image->bytes != NULL);
    memcpy(image->bytes, bytes, image->size);
}

static void make_good(struct campaign *c)
{
    struct snap_store_params params = {.heap_base = UINT64_C(0x200000000000),
                                       .heap_size = (uint64_t)PAGES * SNAP_PAGE_SIZE,
                                       .uuid = {1, 2, 3},
                                       .segment_bytes = 64 << 10,
                                       .ring_slots = SLOTS};
    struct snap_io *io = snap_io_memory_create(LIMIT);
    struct snap_store *store = NULL;
    params.compression = c->compressed ? SNAP_COMPRESSION_LZ4 : SNAP_COMPRESSION_NONE;
    PH_CHECK(io != NULL && snap_store_create(io, &params, NULL) == 0);
    PH_CHECK(snap_store_open(io, 0, &store, NULL, NULL) == 0);
    for (unsigned i = 0; i < GENERATIONS; i++) {
        int64_t now = (int64_t)i * 200000000;
        uint64_t count = i % 11 == 0 ? 120 : 1 + i % 4;
        PH_CHECK(put(store, i * 37 % (PAGES - count), count, i % 9 == 8 ? 0 : i + 1, now, NULL) ==
                 0);
        uint64_t current = snap_store_current(store)->number;
        PH_CHECK(i != 9 || snap_store_tag(store, current, "early", NULL) == 0);
        PH_CHECK(i != 30 || snap_store_tag(store, current - 8, "middle", NULL) == 0);
        PH_CHECK(i != 33 || snap_store_rollback(store, current - 6, NULL, NULL) == 0);
    }
    struct snap_wanted wanted[] = {{0, 20, 0}, {200, 100, 1}, {40, 2, 3}};
    PH_CHECK(snap_store_write_wanted(store, wanted, 3) == 0);
    keep(&c->good[1], io);
    snap_store_close(store);
    keep(&c->good[0], io);
    io->ops->close(io);
}

/* ---- mutations ---------------------------------------------------------------------------------
 */

struct target {
    uint8_t *bytes;
    uint64_t blocks;
};

static bool is_magic(const struct target *t, uint64_t block, uint64_t magic)
{
    return memcmp(t->bytes + block * STORE_BLOCK_SIZE, &magic, sizeof magic) == 0;
}

/** A block that begins so, or block 0. */
static uint64_t find(struct campaign *c, const struct target *t, uint64_t magic)
{
    uint64_t start = below(c, t->blocks);
    for (uint64_t i = 0; i < t->blocks; i++) {
        uint64_t block = (start + i) % t->blocks;
        if (is_magic(t, block, magic)) {
            return block;
        }
    }
    return 0;
}

/** The record with the highest number, mostly: others are mostly not looked at. */
static uint64_t find_record(struct campaign *c, const struct target *t)
{
    uint64_t best = STORE_RING_START, highest = 0;
    if (below(c, 4) == 0) {
        return STORE_RING_START + below(c, SLOTS);
    }
    for (uint64_t b = STORE_RING_START; b < STORE_RING_START + SLOTS && b < t->blocks; b++) {
        const struct store_record *record = (void *)(t->bytes + b * STORE_BLOCK_SIZE);
        if (record->kind == STORE_RECORD_COMMIT && record->stamp.generation > highest) {
            highest = record->stamp.generation;
            best = b;
        }
    }
    return best;
}

struct field {
    uint16_t offset;
    uint8_t bytes;
};

#define FIELD(type, member)                                                                        \
    {                                                                                              \
        offsetof(struct type, member), sizeof(((struct type *)0)->member)                          \
    }

static const struct field superblock_fields[] = {FIELD(store_superblock, features_compatible),
                                                 FIELD(store_superblock, features_read_only),
                                                 FIELD(store_superblock, features_incompatible),
                                                 FIELD(store_superblock, heap_base),
                                                 FIELD(store_superblock, heap_size),
                                                 FIELD(store_superblock, map_height),
                                                 FIELD(store_superblock, ring_slots),
                                                 FIELD(store_superblock, data_start),
                                                 FIELD(store_superblock, segment_bytes),
                                                 FIELD(store_superblock, retain_bytes)};

static const struct field record_fields[] = {FIELD(store_record, stamp.generation),
                                             FIELD(store_record, kind),
                                             FIELD(store_record, flags),
                                             FIELD(store_record, parent),
                                             FIELD(store_record, incarnation),
                                             FIELD(store_record, time_ns),
                                             FIELD(store_record, pause_ns),
                                             FIELD(store_record, heap_pages),
                                             FIELD(store_record, live_pages),
                                             FIELD(store_record, root_block),
                                             FIELD(store_record, pages_written),
                                             FIELD(store_record, memory_sum.low),
                                             FIELD(store_record, blocks_written),
                                             FIELD(store_record, blocks_used),
                                             FIELD(store_record, catalog_block),
                                             FIELD(store_record, delta_bytes),
                                             FIELD(store_record, extent_count),
                                             FIELD(store_record, delta.block),
                                             FIELD(store_record, delta.generation),
                                             FIELD(store_record, delta.blocks),
                                             FIELD(store_record, delta.entries),
                                             FIELD(store_record, high_water),
                                             FIELD(store_record, retained[0]),
                                             FIELD(store_record, extents[0].extent[0].first),
                                             FIELD(store_record, extents[0].extent[0].count),
                                             FIELD(store_record, extents[0].extent[1].first),
                                             FIELD(store_record, extents[0].extent[1].count)};

static const struct field delta_fields[] = {
    FIELD(store_delta_head, generation), FIELD(store_delta_head, entries),
    FIELD(store_delta_head, blocks), FIELD(store_delta_head, older),
    FIELD(store_delta_head, root_block)};

static const struct field ref_fields[] = {
    FIELD(store_delta_ref, block), FIELD(store_delta_ref, generation),
    FIELD(store_delta_ref, blocks), FIELD(store_delta_ref, entries)};

static const struct field entry_fields[] = {FIELD(store_delta_entry, page),
                                            FIELD(store_delta_entry, block)};

static const struct field slot_fields[] = {FIELD(store_catalog_slot, kind),
                                           FIELD(store_catalog_slot, generation),
                                           FIELD(store_catalog_slot, u.entry.parent),
                                           FIELD(store_catalog_slot, u.entry.time_ns),
                                           FIELD(store_catalog_slot, u.entry.heap_pages),
                                           FIELD(store_catalog_slot, u.entry.live_pages),
                                           FIELD(store_catalog_slot, u.entry.root_block),
                                           FIELD(store_catalog_slot, u.entry.memory_sum.low),
                                           FIELD(store_catalog_slot, u.entry.blocks_written),
                                           FIELD(store_catalog_slot, u.entry.delta.block),
                                           FIELD(store_catalog_slot, u.entry.delta.generation),
                                           FIELD(store_catalog_slot, u.entry.delta.blocks),
                                           FIELD(store_catalog_slot, u.entry.delta.entries)};

static const struct field pack_fields[] = {FIELD(store_pack_head, blocks),
                                           FIELD(store_pack_head, slots)};

static const struct field head_fields[] = {/* of a node, in the map or in the catalog */
                                           FIELD(store_node, level), FIELD(store_node, used),
                                           FIELD(store_node, index), FIELD(store_node, generation)};

/** A value that a careless check lets through. */
static uint64_t value_for(struct campaign *c, const struct target *t, uint64_t old)
{
    static const uint64_t extreme[] = {0,
                                       1,
                                       2,
                                       UINT64_MAX,
                                       UINT64_MAX - 1,
                                       UINT64_C(1) << 63,
                                       (UINT64_C(1) << 63) - 1,
                                       UINT64_C(1) << 32,
                                       UINT32_MAX,
                                       UINT64_C(1) << 60,
                                       (UINT64_C(1) << 60) - 1,
                                       UINT64_C(1) << 56,
                                       UINT64_C(1) << 52,
                                       UINT64_C(0x0110000000000113),
                                       STORE_CHAIN_ENTRIES,
                                       STORE_CHAIN_RUNS};
    switch (below(c, 6)) {
    case 0: return extreme[below(c, sizeof extreme / sizeof extreme[0])];
    case 1: return old + 1 + below(c, 3);
    case 2: return old - 1 - below(c, 3);
    case 3: return below(c, t->blocks + 2); /* a block */
    case 4: return below(c, 80);
    default: return old ^ (UINT64_C(1) << below(c, 64));
    }
}

static void change(struct campaign *c, const struct target *t, const char *what, uint64_t at,
                   const struct field *fields, size_t count)
{
    const struct field *field = &fields[below(c, count)];
    uint64_t value = 0;
    at += field->offset;
    memcpy(&value, t->bytes + at, field->bytes);
    uint64_t wanted = value_for(c, t, value);
    memcpy(t->bytes + at, &wanted, field->bytes);
    size_t used = strlen(c->did);
    snprintf(c->did + used, sizeof c->did - used, " %s in block %llu at %llu: %llx -> %llx;", what,
             (ull)(at / STORE_BLOCK_SIZE), (ull)(at % STORE_BLOCK_SIZE), (ull)value, (ull)wanted);
}

/** Copy or swap two parts of equal size: duplicates, disorder, two owners, cycles. */
static void move(struct campaign *c, const struct target *t, const char *what, uint64_t to,
                 uint64_t from, size_t bytes)
{
    uint8_t saved[STORE_BLOCK_SIZE];
    memcpy(saved, t->bytes + to, bytes);
    memcpy(t->bytes + to, t->bytes + from, bytes);
    bool swap = below(c, 2) == 0;
    if (swap) {
        memcpy(t->bytes + from, saved, bytes);
    }
    size_t used = strlen(c->did);
    snprintf(c->did + used, sizeof c->did - used, " %s %s: block %llu at %llu, block %llu at %llu;",
             what, swap ? "swapped" : "copied", (ull)(to / STORE_BLOCK_SIZE),
             (ull)(to % STORE_BLOCK_SIZE), (ull)(from / STORE_BLOCK_SIZE),
             (ull)(from % STORE_BLOCK_SIZE));
}

#define CHANGE(what, at, fields) change(c, t, what, at, fields, sizeof fields / sizeof fields[0])

static void change_record(struct campaign *c, const struct target *t)
{
    uint64_t at = find_record(c, t) * STORE_BLOCK_SIZE;
    uint64_t other = find_record(c, t) * STORE_BLOCK_SIZE;
    const size_t ref = offsetof(struct store_record, delta);
    if (below(c, 8) == 0) {
        move(c, t, "delta ref of record", at + ref,
             (STORE_RING_START + below(c, SLOTS)) * STORE_BLOCK_SIZE + ref,
             sizeof(struct store_delta_ref));
    } else if (below(c, 10) == 0) {
        move(c, t, "sector of record", at + below(c, 2) * STORE_SECTOR_SIZE,
             other + below(c, 2) * STORE_SECTOR_SIZE, STORE_SECTOR_SIZE);
    } else {
        CHANGE("record", at, record_fields);
    }
}

static void change_delta(struct campaign *c, const struct target *t)
{
    uint64_t block = find(c, t, STORE_DELTA_MAGIC), at = block * STORE_BLOCK_SIZE;
    const struct store_delta_head *head = (void *)(t->bytes + at);
    uint32_t older = head->older < STORE_CHAIN_RUNS ? head->older : 0;
    uint64_t refs = at + sizeof *head, entries = at + store_delta_offset(older);
    uint64_t room =
        (STORE_BLOCK_SIZE - store_delta_offset(older)) / sizeof(struct store_delta_entry);
    uint64_t count = head->entries < room ? head->entries : room;
    count += count == 0;
    uint64_t ref = refs + (older != 0 ? below(c, older) : 0) * sizeof(struct store_delta_ref);
    uint64_t entry = entries + below(c, count) * sizeof(struct store_delta_entry);
    switch (below(c, 5)) {
    case 0: CHANGE("delta head", at, delta_fields); break;
    case 1: CHANGE("delta ref", ref, ref_fields); break;
    case 2: CHANGE("delta entry", entry, entry_fields); break;
    case 3:
        move(c, t, "delta entry", entry,
             entries + below(c, count) * sizeof(struct store_delta_entry),
             sizeof(struct store_delta_entry));
        break;
    default:
        move(c, t, "delta ref", ref,
             refs + (older != 0 ? below(c, older) : 0) * sizeof(struct store_delta_ref),
             sizeof(struct store_delta_ref));
    }
}

static void change_catalog(struct campaign *c, const struct target *t)
{
    bool in_leaf = below(c, 4) != 0;
    uint64_t at = find(c, t, in_leaf ? STORE_CATALOG_LEAF_MAGIC : STORE_CATALOG_NODE_MAGIC) *
                  STORE_BLOCK_SIZE;
    const size_t slot = sizeof(struct store_catalog_slot), slots = at + 256;
    if (below(c, 10) == 0) {
        CHANGE("catalog block", at, head_fields);
    } else if (!in_leaf) {
        struct field entry = {(uint16_t)(1024 + 8 * below(c, below(c, 2) == 0 ? 3 : 128)), 8};
        change(c, t, "catalog node", at, &entry, 1);
    } else if (below(c, 4) == 0) {
        move(c, t, "catalog slot", slots + below(c, STORE_CATALOG_LEAF_SLOTS) * slot,
             slots + below(c, STORE_CATALOG_LEAF_SLOTS) * slot, slot);
    } else if (below(c, 8) == 0) { /* of a tag, perhaps */
        uint64_t name = slots + below(c, STORE_CATALOG_LEAF_SLOTS) * slot + 16;
        size_t length = below(c, 65);
        memset(t->bytes + name, below(c, 3) == 0 ? 'x' : (int)below(c, 256), length);
        snprintf(c->did + strlen(c->did), 40, " name;");
    } else {
        CHANGE("catalog slot", slots + below(c, STORE_CATALOG_LEAF_SLOTS) * slot, slot_fields);
    }
}

static void change_node(struct campaign *c, const struct target *t)
{
    uint64_t at = find(c, t, STORE_NODE_MAGIC) * STORE_BLOCK_SIZE;
    struct field entry = {(uint16_t)(1024 + 8 * below(c, 128)), 8};
    if (below(c, 5) == 0) {
        CHANGE("node", at, head_fields);
    } else {
        change(c, t, "node", at, &entry, 1);
    }
}

static void change_wanted(struct campaign *c, const struct target *t)
{
    struct store_wanted *wanted =
        (void *)(t->bytes + (STORE_WANTED + below(c, 2)) * STORE_BLOCK_SIZE);
    wanted->magic = STORE_WANTED_MAGIC;
    wanted->used = (uint32_t)value_for(c, t, STORE_WANTED_ENTRIES);
    for (unsigned i = 0; i < STORE_WANTED_ENTRIES; i++) {
        wanted->entry[i] = below(c, 2) == 0 ? ph_rng_next(&c->rng) : below(c, PAGES + 4);
    }
    snprintf(c->did + strlen(c->did), 40, " wanted;");
}

static void change_pack(struct campaign *c, const struct target *t)
{
    uint64_t at = find(c, t, STORE_PACK_MAGIC) * STORE_BLOCK_SIZE;
    const struct store_pack_head *head = (void *)(t->bytes + at);
    uint64_t lengths = at + offsetof(struct store_pack_head, length);
    uint32_t slots = head->slots >= 1 && head->slots <= STORE_PACK_SLOTS ? head->slots : 1;
    struct field length = {(uint16_t)(2 * below(c, slots + (slots < STORE_PACK_SLOTS))), 2};
    struct field data = {(uint16_t)(sizeof *head + below(c, 200)), 1};
    switch (below(c, 4)) {
    case 0: CHANGE("pack", at, pack_fields); break;
    case 1: change(c, t, "length in pack", lengths, &length, 1); break;
    case 2: move(c, t, "length in pack", lengths, lengths + length.offset, 2); break;
    default: change(c, t, "data in pack", at, &data, 1);
    }
}

static void mutate(struct campaign *c, const struct target *t)
{
    for (uint64_t left = 1 + below(c, below(c, 3) == 0 ? 4 : 1); left > 0; left--) {
        if (strlen(c->did) > sizeof c->did - 100) {
            return;
        }
        switch (below(c, c->compressed ? 16 : 12)) {
        case 0: CHANGE("superblock", 0, superblock_fields); break;
        case 1:
        case 2:
        case 3: change_record(c, t); break;
        case 4:
        case 5:
        case 6: change_delta(c, t); break;
        case 7:
        case 8:
        case 9: change_catalog(c, t); break;
        case 10: change_node(c, t); break;
        case 11: change_wanted(c, t); break;
        default: change_pack(c, t);
        }
    }
}

static void reseal_all(const struct target *t, uint32_t slots)
{
    struct store_superblock *superblock = (void *)t->bytes;
    uint8_t uuid[16];
    memcpy(uuid, superblock->uuid, sizeof uuid);
    superblock[1] = superblock[0];
    for (unsigned i = 0; i < STORE_WANTED_BLOCKS; i++) {
        struct store_wanted *wanted = (void *)(t->bytes + (STORE_WANTED + i) * STORE_BLOCK_SIZE);
        wanted->sum = (struct store_sum){0};
        wanted->sum = store_sum_block(uuid, STORE_SUM_WANTED, i, wanted);
    }
    reseal_image(t->bytes, t->blocks * STORE_BLOCK_SIZE, uuid, slots);
}

/* ---- looking ------------------------------------------------------------------------------------
 */

struct content { /* of one generation: a number for each page, 0 for a hole */
    int status;
    uint64_t page[PAGES + 1];
};

static uint64_t fingerprint(const void *data)
{
    uint64_t word[2]; /* pages of the good store are alike but for their first word */
    memcpy(word, data, sizeof word);
    return (word[0] * UINT64_C(0x9E3779B97F4A7C15) ^ word[1]) | 1;
}

static int note_page(void *context, uint64_t page, const void *data)
{
    struct content *content = context;
    content->page[page < PAGES ? page : PAGES] = fingerprint(data);
    return 0;
}

static void read_content(struct snap_store *store, uint64_t generation, struct content *content)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    memset(content, 0, sizeof *content);
    content->status = snap_store_for_each_page(store, generation, note_page, content, &diag);
}

static bool same_content(const struct content *a, const struct content *b)
{
    return a->status == 0 && b->status == 0 && memcmp(a->page, b->page, sizeof a->page) == 0;
}

struct difference {
    const struct content *from, *to;
    uint64_t seen, wrong;
};

static int note_difference(void *context, uint64_t page, enum snap_change change)
{
    struct difference *d = context;
    uint64_t p = page < PAGES ? page : PAGES, old = d->from->page[p], new = d->to->page[p];
    d->seen++;
    d->wrong += change == SNAP_PAGE_ADDED     ? old != 0 || new == 0
                : change == SNAP_PAGE_REMOVED ? old == 0 || new != 0
                                              : old == 0 || new == 0;
    return 0;
}

static bool compare_two(struct campaign *c, struct snap_store *store, uint64_t a, uint64_t b,
                        const struct content *from, const struct content *to, bool whole)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct difference d = {.from = from, .to = to};
    uint64_t differ = 0;
    int error = snap_store_diff(store, a, b, note_difference, &d, &diag);
    if (error != 0 && (whole || diag.text[0] == 0)) {
        return wrong(c, "diff %llu %llu: %s (%s)", (ull)a, (ull)b, phantom_err_name(error),
                     diag.text);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        differ += from->page[i] != to->page[i];
    }
    return error != 0 || from->status != 0 || to->status != 0 ||
           (d.wrong == 0 && d.seen >= differ) ||
           wrong(c, "diff %llu %llu: %llu pages, %llu of them wrongly; %llu differ", (ull)a, (ull)b,
                 (ull)d.seen, (ull)d.wrong, (ull)differ);
}

static uint64_t any_generation(struct campaign *c, struct snap_store *store)
{
    size_t count = snap_store_list(store, c->list, LIST_MOST);
    return count == 0 ? 0 : c->list[below(c, 3) == 0 ? count - 1 : below(c, count)].number;
}

/** Copy or clone one or two generations; what comes out must be what reading shows. */
static bool copy_some(struct campaign *c, struct snap_store *store, bool whole)
{
    static const uint8_t other[16] = {9, 9};
    uint64_t number[2] = {any_generation(c, store), any_generation(c, store)};
    size_t count = number[0] < number[1] ? 2 : 1;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_io *io = snap_io_memory_create(2 * LIMIT);
    struct snap_copied copied;
    struct snap_store *target = NULL;
    bool clone = below(c, 2) == 0, good = true;
    int error =
        snap_store_copy(store, number, count, clone ? other : NULL, io, NULL, &copied, &diag);
    if (error != 0) {
        good = (!whole && diag.text[0] != 0) || wrong(c, "copy of %llu: %s (%s)", (ull)number[0],
                                                      phantom_err_name(error), diag.text);
    } else if (snap_store_open(io, 0, &target, NULL, &diag) != 0) {
        good = wrong(c, "the copy does not open: %s", diag.text);
    } else {
        struct content a, b;
        read_content(store, number[count - 1], &a);
        read_content(target, number[count - 1], &b);
        good = same_content(&a, &b) || wrong(c, "the copy of %llu differs", (ull)number[count - 1]);
        c->copied++;
    }
    snap_store_close(target);
    io->ops->close(io);
    return good;
}

static bool salvage(struct campaign *c, struct snap_io *io, bool whole)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_io *target = snap_io_memory_create(2 * LIMIT);
    struct snap_salvage_report report;
    struct snap_store *store = NULL;
    bool good = true;
    int error =
        snap_store_salvage(io, NULL, below(c, 2) == 0, target, NULL, NULL, NULL, &report, &diag);
    if (error != 0) {
        good = (!whole && diag.text[0] != 0) ||
               wrong(c, "salvage: %s (%s)", phantom_err_name(error), diag.text);
    } else if (snap_store_open(target, 0, &store, NULL, &diag) != 0) {
        good = wrong(c, "what was salvaged does not open: %s", diag.text);
    } else {
        struct snap_verify_report verified;
        good = snap_store_verify(store, true, &verified, NULL, NULL, &diag) == 0 ||
               wrong(c, "what was salvaged is damaged: %s", diag.text);
        c->salvaged++;
    }
    snap_store_close(store);
    target->ops->close(target);
    return good;
}

static bool read_wanted(struct campaign *c, struct snap_store *store)
{
    struct snap_wanted wanted[SNAP_WANTED_MOST];
    size_t count = snap_store_read_wanted(store, wanted, SNAP_WANTED_MOST);
    uint64_t pages = snap_store_params(store)->heap_size / SNAP_PAGE_SIZE;
    for (size_t i = 0; i < count; i++) {
        if (wanted[i].count == 0 || wanted[i].count > pages ||
            wanted[i].first > pages - wanted[i].count) {
            return wrong(c, "wanted pages %llu + %llu are out of range", (ull)wanted[i].first,
                         (ull)wanted[i].count);
        }
    }
    return true;
}

/** What needs no writer. `*whole`: verify finds nothing. */
static bool look(struct campaign *c, struct snap_store *store, bool *whole)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_verify_report report;
    struct snap_tag tags[8];
    struct content a, b;
    int error = snap_store_verify(store, true, &report, NULL, NULL, &diag);
    *whole = error == 0;
    size_t count = snap_store_list(store, c->list, LIST_MOST);
    if (count > LIST_MOST || (error != 0 && diag.text[0] == 0 && report.damaged == 0)) {
        return wrong(c, "verify: %s without a sentence", phantom_err_name(error));
    }
    size_t step = below(c, 4) == 0 ? 1 : 7;
    for (size_t i = 0; i < count; i += step) {
        if (i != 0 && c->list[i - 1].number >= c->list[i].number) {
            return wrong(c, "generations are listed out of order");
        }
        read_content(store, c->list[i].number, &a);
        if (*whole && a.status != 0) {
            return wrong(c, "verify finds nothing, but generation %llu cannot be read: %s",
                         (ull)c->list[i].number, phantom_err_name(a.status));
        }
    }
    for (unsigned i = 0; i < 4 && count != 0; i++) {
        uint64_t from = any_generation(c, store), to = any_generation(c, store);
        read_content(store, from, &a);
        read_content(store, to, &b);
        if (!compare_two(c, store, from, to, &a, &b, *whole)) {
            return false;
        }
    }
    size_t tagged = snap_store_tags(store, tags, 8);
    for (size_t i = 0; i < tagged && i < 8; i++) {
        if (memchr(tags[i].name, 0, sizeof tags[i].name) == NULL) {
            return wrong(c, "a tag without an end");
        }
    }
    return read_wanted(c, store) && (count == 0 || copy_some(c, store, *whole));
}

/* ---- writing ------------------------------------------------------------------------------------
 */

/** Commits before anybody knows what is in use. A high water that is a lie has them written over
 * what is needed: that is damage like any other, and no reason to fall over. */
static bool write_early(struct campaign *c, struct snap_store *store)
{
    for (uint64_t left = 1 + below(c, 4); left > 0; left--) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        int error = below(c, 3) == 0 ? snap_store_account(store, 1 + below(c, 6), &diag)
                                     : put(store, below(c, PAGES - 130), below(c, 4) == 0 ? 120 : 3,
                                           (unsigned)below(c, 256), 1, &diag);
        if (error < 0 && diag.text[0] == 0) {
            return wrong(c, "an early commit: %s", phantom_err_name(error));
        }
    }
    return true;
}

/** Commit, roll back, tag; each must hold what it promises after opening again. */
static bool write_some(struct campaign *c, struct snap_io *io, struct snap_store **store,
                       bool whole)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct content wanted, other_before, other_after, found;
    uint64_t target = any_generation(c, *store), other = any_generation(c, *store);
    uint64_t before = snap_store_current(*store)->number, first = below(c, PAGES - 4);
    unsigned action = (unsigned)below(c, 4);
    int error = 0;
    bool fits = snap_store_params(*store)->heap_size == (uint64_t)PAGES * SNAP_PAGE_SIZE;
    if (fits && below(c, 2) == 0 && !write_early(c, *store)) {
        return false;
    }
    before = snap_store_current(*store)->number;
    if (snap_store_audit(*store, &diag) != 0) {
        return diag.text[0] != 0 || wrong(c, "audit: no sentence");
    }
    if (target == 0 || !fits) {
        return true;
    }
    read_content(*store, other, &other_before);
    read_content(*store, action == 0 ? target : before, &wanted);
    if (action == 0) {
        error = snap_store_rollback(*store, target, NULL, &diag);
    } else if (action == 1) {
        error = snap_store_tag(*store, target, "here", &diag);
    } else if (action == 2) {
        error = snap_store_untag(*store, "middle", &diag);
    } else {
        error = put(*store, first, 4, 0xC4, 1, &diag);
        uint8_t page[SNAP_PAGE_SIZE];
        memset(page, 0xC4, sizeof page);
        memcpy(page, &first, sizeof first);
        for (unsigned i = 0; i < 4; i++) {
            wanted.page[first + i] = fingerprint(page);
        }
    }
    if (error != 0) {
        return diag.text[0] != 0 || wrong(c, "action %u: %s", action, phantom_err_name(error));
    }
    c->written++;
    c->rolled_back += action == 0;
    uint64_t number = snap_store_current(*store)->number;
    if (number <= before) {
        return wrong(c, "generation %llu follows %llu", (ull)number, (ull)before);
    }
    if (snap_store_audit(*store, &diag) != 0) {
        return wrong(c, "audit after action %u: %s", action, diag.text);
    }
    snap_store_close(*store);
    *store = NULL;
    error = snap_store_open(io, 0, store, NULL, &diag);
    if (error != 0) {
        return wrong(c, "after action %u it does not open: %s", action, diag.text);
    }
    if (snap_store_current(*store)->number != number) {
        return wrong(c, "generation %llu is gone", (ull)number);
    }
    read_content(*store, number, &found);
    if (wanted.status == 0 && !same_content(&wanted, &found)) {
        return wrong(c, "action %u (%llu): the content of %llu is wrong (%s)", action, (ull)target,
                     (ull)number, phantom_err_name(found.status));
    }
    size_t count = snap_store_list(*store, c->list, LIST_MOST);
    for (size_t i = 0; i < count; i++) {
        if (c->list[i].number == other && other_before.status == 0) {
            read_content(*store, other, &other_after);
            if (!same_content(&other_before, &other_after)) {
                return wrong(c, "action %u changed generation %llu (%s)", action, (ull)other,
                             phantom_err_name(other_after.status));
            }
        }
    }
    struct snap_verify_report report;
    return !whole || snap_store_verify(*store, true, &report, NULL, NULL, &diag) == 0 ||
           wrong(c, "action %u on a whole store left a damaged one: %s", action, diag.text);
}

static bool examine(struct campaign *c, struct snap_io *io)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store *store = NULL;
    bool whole = false, good = true;
    (void)snap_store_probe(io);
    int error = snap_store_open(io, SNAP_OPEN_READ_ONLY, &store, NULL, &diag);
    if (error == 0) {
        good = look(c, store, &whole);
        snap_store_close(store);
    } else {
        good =
            diag.text[0] != 0 || wrong(c, "open: %s without a sentence", phantom_err_name(error));
    }
    good = good && salvage(c, io, whole);
    diag.text[0] = 0;
    store = NULL;
    error = good ? snap_store_open(io, 0, &store, NULL, &diag) : -1;
    if (good && error != 0) {
        c->refused++;
        return diag.text[0] != 0 ||
               wrong(c, "open: %s without a sentence", phantom_err_name(error));
    }
    c->whole += whole;
    c->damaged += !whole;
    good = good && write_some(c, io, &store, whole);
    snap_store_close(store);
    return good;
}

/* ---- the campaign -------------------------------------------------------------------------------
 */

static bool run_case(struct campaign *c)
{
    ph_rng_init(&c->rng, c->seed ^ c->number * UINT64_C(0xD1342543DE82EF95));
    const struct image *image = &c->good[below(c, 2)];
    struct snap_io *io = snap_io_memory_create(LIMIT);
    struct target t = {.bytes = malloc(image->size), .blocks = image->size / STORE_BLOCK_SIZE};
    PH_CHECK(io != NULL && t.bytes != NULL);
    memcpy(t.bytes, image->bytes, image->size);
    c->did[0] = 0;
    if (c->number != 0) { /* case 0: nothing is wrong, and all must succeed */
        mutate(c, &t);
    }
    reseal_all(&t, SLOTS);
    PH_CHECK(snap_io_memory_assign(io, t.bytes, image->size) == 0);
    free(t.bytes);
    if (c->verbose) {
        printf("case %llu:%s\n", (ull)c->number, c->did);
        fflush(stdout);
    }
    alarm(HANG_SECONDS);
    bool good = examine(c, io);
    alarm(0);
    io->ops->close(io);
    return good;
}

static int mutate_file(struct campaign *c, const char *path)
{
    FILE *file = fopen(path, "r+b");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        return 2;
    }
    size_t size = (size_t)ftell(file);
    struct target t = {.bytes = malloc(size), .blocks = size / STORE_BLOCK_SIZE};
    rewind(file);
    PH_CHECK(t.bytes != NULL && fread(t.bytes, 1, size, file) == size);
    uint32_t slots = ((struct store_superblock *)t.bytes)->ring_slots;
    ph_rng_init(&c->rng, c->seed);
    mutate(c, &t);
    reseal_all(&t, slots);
    rewind(file);
    PH_CHECK(fwrite(t.bytes, 1, size, file) == size && fclose(file) == 0);
    free(t.bytes);
    printf("seed %llu:%s\n", (ull)c->seed, c->did);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},
        {"cases", required_argument, NULL, 'n'},
        {"first", required_argument, NULL, 'f'},
        {"mutate", required_argument, NULL, 'm'},
        {"verbose", no_argument, NULL, 'v'},
        {"compressed", no_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    static struct campaign c;
    const char *path = NULL;
    uint64_t cases = 1000;
    int option;
    c.seed = ph_rng_seed_from_environment(1);
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 's': c.seed = strtoull(optarg, NULL, 0); break;
        case 'n': cases = strtoull(optarg, NULL, 0); break;
        case 'f': c.number = strtoull(optarg, NULL, 0); break;
        case 'm': path = optarg; break;
        case 'v': c.verbose = true; break;
        case 'c': c.compressed = true; break;
        default:
            fprintf(stderr, "usage: hostile_store [--seed S] [--cases N] [--first I] [--verbose] "
                            "[--mutate FILE]\n");
            return 2;
        }
    }
    if (path != NULL) {
        return mutate_file(&c, path);
    }
    c.list = calloc(LIST_MOST, sizeof *c.list);
    PH_CHECK(c.list != NULL);
    make_good(&c);
    int64_t blocks = ph_memory_live_blocks();
    bool good = true;
    for (uint64_t end = c.number + cases; good && c.number < end; c.number++) {
        good = run_case(&c);
        if (good && ph_memory_live_blocks() != blocks) {
            good = wrong(&c, "%lld blocks of memory leaked",
                         (long long)(ph_memory_live_blocks() - blocks));
        }
        if (!good) {
            printf("VIOLATION: case %llu:%s\n  %s\nREPRO: hostile_store --seed %llu --first %llu "
                   "--cases 1 --verbose\n",
                   (ull)c.number, c.did, c.why, (ull)c.seed, (ull)c.number);
        }
    }
    printf(
        "seed=%llu cases=%llu refused=%llu damaged=%llu whole=%llu written=%llu rolled_back=%llu "
        "copied=%llu salvaged=%llu\n",
        (ull)c.seed, (ull)cases, (ull)c.refused, (ull)c.damaged, (ull)c.whole, (ull)c.written,
        (ull)c.rolled_back, (ull)c.copied, (ull)c.salvaged);
    free(c.good[0].bytes);
    free(c.good[1].bytes);
    free(c.list);
    return good ? 0 : 1;
}
