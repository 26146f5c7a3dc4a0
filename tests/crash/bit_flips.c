/* SPDX-License-Identifier: Apache-2.0
 *
 * bit_flips.c - damage to a store file, at random but repeatable places.
 *
 *     bit_flips [--seed S] [--flips N] [--verbose]
 *
 * Two images of one store that has every kind of block (superblocks, seal, commit records,
 * tombstones, map nodes, delta runs, pages of current and of older generations, free blocks): one
 * sealed, one cut off after its last commit. N damages are made without, and N with the sums above
 * the damaged block made good again (a hostile file). After each the store is opened, verified and
 * read.
 *
 * Without resealing: whatever is read as good must be what was committed, damage in a block that is
 * in use must be reported, damage in a live page must be named by page and generation, and falling
 * back to an older generation must be said. With resealing the content may be another, but nothing
 * may crash, hang or leak.
 *
 * Exit status: 0, or 1 with a line REPRO.
 */
#include "crash_check.h"
#include "crash_mutants.h"
#include "crash_workload.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "store_delta.h"
#include "store_format.h"
#include "store_sum.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long long ull; /* for %llu */

enum {
    CAPACITY = 32 << 20,
    BLOCK = STORE_BLOCK_SIZE,
    SECTOR = STORE_SECTOR_SIZE,
    HANG_SECONDS = 60
};

/* ---- what each block is ------------------------------------------------------------------------
 */

enum block_kind {
    KIND_FREE, /* or reserved */
    KIND_SUPERBLOCK,
    KIND_SEAL,
    KIND_RECORD,
    KIND_NODE,
    KIND_DELTA, /* of a delta run */
    KIND_PAGE,
    KINDS
};

static const char *const kind_names[KINDS] = {"free", "superblock", "seal", "record",
                                              "node", "delta run",  "page"};

struct block_use {
    enum block_kind kind;
    uint32_t level; /* of a node */
    uint64_t index; /* of a node; page number; slot of a record */
    bool current;   /* reachable from the newest generation */
    bool retained;  /* a record of a retained generation, or reachable from one */
};

/** An image and what its blocks are. */
struct image {
    const char *name;
    bool sealed;
    uint8_t *bytes;
    uint64_t size;
    struct block_use *use; /* one per block */
    uint64_t current;
};

static struct store_superblock *superblock_of(uint8_t *bytes)
{
    return (struct store_superblock *)bytes;
}

/** The record in a slot of the image or of a damaged copy, whose own superblock may say anything.
 */
static struct store_record *record_in_slot(const struct image *image, uint8_t *bytes, uint32_t slot)
{
    uint64_t start = superblock_of(image->bytes)->ring_start;
    return (struct store_record *)(bytes + (start + slot) * BLOCK);
}

/** The delta runs of a generation, oldest first, as the image has them. */
static unsigned chain_of(const struct image *image, const struct store_record *record,
                         struct store_delta_ref *ref)
{
    if (record->delta.block == 0) {
        return 0;
    }
    const struct store_delta_head *head =
        (const struct store_delta_head *)(image->bytes + record->delta.block * BLOCK);
    PH_CHECK(head->magic == STORE_DELTA_MAGIC && head->older < STORE_CHAIN_RUNS);
    memcpy(ref, head + 1, head->older * sizeof(*ref));
    ref[head->older] = record->delta;
    return head->older + 1;
}

/** The pages that the runs of one generation speak of. */
struct laid {
    bool over[CRASH_PAGES];
    bool current;
};

static void use_block(struct image *image, uint64_t block, enum block_kind kind, uint64_t index,
                      bool current)
{
    struct block_use *use = &image->use[block];
    use->kind = kind;
    use->index = index;
    use->retained = true;
    use->current |= current;
}

static void walk(struct image *image, uint32_t level, uint64_t index, uint64_t block,
                 const struct laid *laid)
{
    use_block(image, block, KIND_NODE, index, laid->current);
    image->use[block].level = level;
    const struct store_node *node = (const struct store_node *)(image->bytes + block * BLOCK);
    PH_CHECK(node->magic == STORE_NODE_MAGIC && node->level == level && node->index == index);
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        uint64_t child = (index << STORE_FANOUT_BITS) + i;
        if (node->block[i] == 0) {
            continue;
        }
        if (level > 0) {
            walk(image, level - 1, child, node->block[i], laid);
        } else if (!laid->over[child]) { /* else the block may be anything by now */
            use_block(image, node->block[i], KIND_PAGE, child, laid->current);
        }
    }
}

/** The runs of a generation and the pages they name, then the map below. */
static void map_generation(struct image *image, const struct store_record *record, bool current)
{
    const struct store_superblock *s = superblock_of(image->bytes);
    struct store_delta_ref ref[STORE_CHAIN_RUNS];
    struct laid laid = {.current = current};
    for (unsigned run = chain_of(image, record, ref); run-- > 0;) {
        for (uint32_t i = 0; i < ref[run].blocks; i++) {
            use_block(image, ref[run].block + i, KIND_DELTA, ref[run].generation, current);
        }
        const struct store_delta_entry *entry =
            store_delta_entries(image->bytes + ref[run].block * BLOCK);
        for (uint32_t i = 0; i < ref[run].entries; i++) {
            if (!laid.over[entry[i].page] && entry[i].block != 0) {
                use_block(image, entry[i].block, KIND_PAGE, entry[i].page, current);
            }
            laid.over[entry[i].page] = true;
        }
    }
    if (record->root_block != 0) {
        walk(image, s->map_height - 1, 0, record->root_block, &laid);
    }
}

/** Fill in image->use from the ring and the maps of the retained generations. */
static void map_image(struct image *image)
{
    const struct store_superblock *s = superblock_of(image->bytes);
    image->use = calloc(image->size / BLOCK + 1, sizeof(*image->use));
    PH_CHECK(image->use != NULL);
    image->use[STORE_SUPERBLOCK].kind = image->use[STORE_SUPERBLOCK_COPY].kind = KIND_SUPERBLOCK;
    image->use[STORE_SEAL].kind = KIND_SEAL;
    const struct store_record *newest =
        record_in_slot(image, image->bytes, (uint32_t)(image->current % s->ring_slots));
    PH_CHECK(newest->stamp.generation == image->current);
    for (uint32_t slot = 0; slot < s->ring_slots; slot++) {
        const struct store_record *record = record_in_slot(image, image->bytes, slot);
        struct block_use *use = &image->use[s->ring_start + slot];
        use->kind = KIND_RECORD;
        use->index = slot;
        use->retained = (newest->retained[slot / 64] >> slot % 64 & 1) != 0;
        use->current = record == newest;
        if (use->retained) {
            map_generation(image, record, record == newest);
        }
    }
    unsigned blocks[KINDS] = {0};
    for (uint64_t block = 0; block < image->size / BLOCK; block++) {
        blocks[image->use[block].kind]++;
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        PH_CHECK(blocks[kind] != 0);
    }
}

/* ---- the store under test ----------------------------------------------------------------------
 */

struct campaign {
    struct crash_aged aged;
    struct crash_oracle oracle;
    struct image image[2];
    struct io_scratch *disk;
    struct crash_session *session;
    struct ph_rng rng;
    uint64_t seed, number; /* of the flip */
    bool verbose;
    uint64_t unused, fell_back, detected, resealed_opened, resealed_refused, silent;
    uint64_t of_kind[KINDS];
    char damage[200]; /* what was done */
    char why[900];
};

static bool wrong(struct campaign *campaign, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool wrong(struct campaign *campaign, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(campaign->why, sizeof(campaign->why), format, args);
    va_end(args);
    return false;
}

static void take_image(struct campaign *campaign, struct image *image, const char *name,
                       bool sealed)
{
    const uint8_t *bytes = io_scratch_bytes(campaign->disk, &image->size);
    image->name = name;
    image->sealed = sealed;
    image->bytes = aligned_alloc(BLOCK, image->size);
    PH_CHECK(image->bytes != NULL);
    memcpy(image->bytes, bytes, image->size);
}

/** A commit whose record is torn, and the recovery that puts a tombstone in its place. */
static int make_tombstone(struct campaign *campaign)
{
    struct crash_session *session = campaign->session;
    uint64_t number = 0;
    int rc = crash_session_torn_commit(session, campaign->disk, &campaign->rng, &number);
    rc = rc < 0 ? rc : crash_session_open(session);
    if (rc == 0 && (session->recovery.opened >= number || session->recovery.records_retired == 0)) {
        snprintf(session->why, sizeof(session->why), "no tombstone was made");
        rc = -1;
    }
    return rc;
}

/** Commits on top of the aged store: holes, one page, several, and the last one small. */
static int make_history(struct campaign *campaign)
{
    static const enum crash_op script[] = {CRASH_OP_WRITE_FEW,  CRASH_OP_COMMIT, CRASH_OP_HOLES,
                                           CRASH_OP_COMMIT,     CRASH_OP_GROW,   CRASH_OP_COMMIT,
                                           CRASH_OP_WRITE_SOME, CRASH_OP_COMMIT, CRASH_OP_WRITE_FEW,
                                           CRASH_OP_COMMIT};
    struct crash_session *session = campaign->session;
    int rc = crash_session_open(session);
    crash_session_load(session, crash_oracle_get(&campaign->oracle, campaign->aged.current));
    rc = rc < 0 ? rc : make_tombstone(campaign);
    for (size_t i = 0; i < sizeof(script) / sizeof(script[0]) && rc >= 0; i++) {
        rc = crash_op_run(session, script[i], &campaign->rng);
    }
    return rc;
}

static bool campaign_init(struct campaign *campaign)
{
    campaign->disk = io_scratch_create(CAPACITY);
    campaign->session = calloc(1, sizeof(*campaign->session));
    PH_CHECK(campaign->disk != NULL && campaign->session != NULL);
    if (!crash_age(&campaign->aged, CAPACITY, campaign->seed, campaign->why,
                   sizeof(campaign->why))) {
        return false;
    }
    crash_oracle_copy(&campaign->oracle, &campaign->aged.oracle);
    PH_CHECK(io_scratch_assign(campaign->disk, campaign->aged.image[CRASH_AGED_CLOSED],
                               campaign->aged.size[CRASH_AGED_CLOSED]) == 0);
    struct crash_session *session = campaign->session;
    session->io = io_scratch_io(campaign->disk);
    session->oracle = &campaign->oracle;
    session->chain_runs = 3; /* so that there are nodes as well as runs */
    session->chain_entries = 48;
    if (make_history(campaign) < 0) {
        return wrong(campaign, "making the store: %s", session->why);
    }
    uint64_t current = snap_store_current(session->store)->number;
    take_image(campaign, &campaign->image[0], "unsealed", false);
    crash_session_close(session);
    take_image(campaign, &campaign->image[1], "sealed", true);
    for (unsigned i = 0; i < 2; i++) {
        campaign->image[i].current = current;
        map_image(&campaign->image[i]);
    }
    return true;
}

static void campaign_finish(struct campaign *campaign)
{
    for (unsigned i = 0; i < 2; i++) {
        free(campaign->image[i].bytes);
        free(campaign->image[i].use);
    }
    crash_session_close(campaign->session);
    free(campaign->session);
    io_scratch_destroy(campaign->disk);
    crash_oracle_finish(&campaign->oracle);
    crash_aged_finish(&campaign->aged);
}

/* ---- damage ------------------------------------------------------------------------------------
 */

static uint64_t below(struct campaign *campaign, uint64_t bound)
{
    return ph_rng_below(&campaign->rng, bound);
}

/** A block of a kind chosen first, so that the few superblocks are hit as well as the many pages.
 */
static uint64_t pick_block(struct campaign *campaign, const struct image *image)
{
    static const enum block_kind weighted[16] = {
        KIND_PAGE,   KIND_PAGE, KIND_PAGE,  KIND_PAGE,      KIND_PAGE,   KIND_NODE,
        KIND_NODE,   KIND_NODE, KIND_DELTA, KIND_DELTA,     KIND_RECORD, KIND_RECORD,
        KIND_RECORD, KIND_SEAL, KIND_FREE,  KIND_SUPERBLOCK};
    enum block_kind kind = weighted[below(campaign, 16)];
    for (;;) {
        uint64_t block = below(campaign, image->size / BLOCK);
        if (image->use[block].kind == kind) {
            return block;
        }
    }
}

enum damage {
    DAMAGE_BIT,
    DAMAGE_BYTE_00,
    DAMAGE_BYTE_FF,
    DAMAGE_BYTE_INVERTED,
    DAMAGE_SECTOR_ZERO,
    DAMAGE_SECTOR_SWAPPED,
    DAMAGE_SECTOR_STALE,
    DAMAGE_SECTOR_RANDOM,
    DAMAGE_WORD,
    DAMAGES
};

static const char *const damage_names[DAMAGES] = {
    "bit flipped",     "byte 00",      "byte FF",       "byte inverted",      "sector zeroed",
    "sectors swapped", "stale sector", "random sector", "extreme 64-bit word"};

/** A field set to what a careless check lets through. */
static uint64_t extreme_word(struct campaign *campaign)
{
    static const uint64_t words[] = {
        0,          1,    2,  UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, UINT64_C(1) << 32,
        UINT32_MAX, 4096, 272};
    uint64_t pick = below(campaign, sizeof(words) / sizeof(words[0]) + 2);
    return pick < sizeof(words) / sizeof(words[0]) ? words[pick] : below(campaign, 400);
}

/** Make one damage in a block of the copy; the second block of a swap is returned in `*other`. */
static void make_damage(struct campaign *campaign, const struct image *image, uint8_t *copy,
                        uint64_t block, uint64_t *other)
{
    enum damage damage = (enum damage)below(campaign, DAMAGES);
    uint64_t at = block * BLOCK + below(campaign, BLOCK);
    if (image->use[block].kind != KIND_PAGE && below(campaign, 2) == 0) {
        at = block * BLOCK + below(campaign, 256); /* where the fields are */
    }
    uint64_t sector = at / SECTOR * SECTOR;
    *other = block;
    switch (damage) {
    case DAMAGE_BIT: copy[at] ^= (uint8_t)(1u << below(campaign, 8)); break;
    case DAMAGE_BYTE_00: copy[at] = 0; break;
    case DAMAGE_BYTE_FF: copy[at] = 0xff; break;
    case DAMAGE_BYTE_INVERTED: copy[at] ^= 0xff; break;
    case DAMAGE_SECTOR_ZERO: memset(copy + sector, 0, SECTOR); break;
    case DAMAGE_SECTOR_SWAPPED: {
        uint64_t from = pick_block(campaign, image) * BLOCK + below(campaign, 8) * SECTOR;
        memcpy(copy + sector, image->bytes + from, SECTOR);
        memcpy(copy + from, image->bytes + sector, SECTOR);
        *other = from / BLOCK;
        break;
    }
    case DAMAGE_SECTOR_STALE: /* as it was before the last commits */
        if (sector + SECTOR <= campaign->aged.size[CRASH_AGED_CLOSED]) {
            memcpy(copy + sector, campaign->aged.image[CRASH_AGED_CLOSED] + sector, SECTOR);
        }
        break;
    case DAMAGE_SECTOR_RANDOM:
        for (unsigned i = 0; i < SECTOR; i += 8) {
            uint64_t word = ph_rng_next(&campaign->rng);
            memcpy(copy + sector + i, &word, 8);
        }
        break;
    case DAMAGE_WORD: {
        uint64_t word = extreme_word(campaign);
        memcpy(copy + at / 8 * 8, &word, 8);
        break;
    }
    case DAMAGES: break;
    }
    snprintf(campaign->damage, sizeof(campaign->damage),
             "%s image, %s in block %llu (%s), byte %llu", image->name, damage_names[damage],
             (ull)block, kind_names[image->use[block].kind], (ull)at);
}

/* ---- resealing ---------------------------------------------------------------------------------
 */

/** Make the sums good on the way from a node down to the block, whose place in the map is known. */
static struct store_sum reseal_path(const struct image *image, uint8_t *copy, uint32_t level,
                                    uint64_t index, uint64_t block, uint64_t damaged)
{
    const struct store_superblock *s = superblock_of(image->bytes);
    const struct block_use *use = &image->use[damaged];
    struct store_node *node = (struct store_node *)(copy + block * BLOCK);
    /* The way down is that of the image: the copy may point anywhere. */
    const struct store_node *was = (const struct store_node *)(image->bytes + block * BLOCK);
    uint32_t stop = use->kind == KIND_PAGE ? 0 : use->level + 1;
    if (block != damaged && level >= stop) {
        uint64_t shift = (uint64_t)STORE_FANOUT_BITS * (level - stop);
        uint64_t child = use->index >> shift;
        unsigned slot = (unsigned)(child & (STORE_FANOUT - 1));
        uint64_t below_it = was->block[slot];
        if (child >> STORE_FANOUT_BITS == index && below_it != 0) {
            if (level > 0) {
                node->sum[slot] = reseal_path(image, copy, level - 1, child, below_it, damaged);
            } else {
                node->sum[slot] =
                    store_sum_block(s->uuid, STORE_SUM_PAGE, child, copy + below_it * BLOCK);
            }
        }
    }
    return store_sum_block(s->uuid, STORE_SUM_NODE + level, index, node);
}

/** The runs of a generation: sums of their pages, then of the runs, then in those that name them.
 */
static void reseal_runs(const struct image *image, uint8_t *copy, uint32_t slot, uint64_t damaged)
{
    const struct store_superblock *s = superblock_of(image->bytes);
    const struct store_record *was = record_in_slot(image, image->bytes, slot);
    struct store_record *record = record_in_slot(image, copy, slot);
    struct store_delta_ref ref[STORE_CHAIN_RUNS];
    unsigned runs = chain_of(image, was, ref);
    for (unsigned i = 0; i < runs; i++) {
        uint8_t *run = copy + ref[i].block * BLOCK;
        const struct store_delta_entry *entry =
            store_delta_entries(image->bytes + ref[i].block * BLOCK);
        ((struct store_delta_head *)run)->root_sum = record->root_sum;
        for (uint32_t k = 0; k < ref[i].entries; k++) {
            uint64_t offset = (uint64_t)((const uint8_t *)&entry[k] - image->bytes);
            if (entry[k].block == damaged && image->use[damaged].kind == KIND_PAGE) {
                ((struct store_delta_entry *)(copy + offset))->sum =
                    store_sum_block(s->uuid, STORE_SUM_PAGE, entry[k].page, copy + damaged * BLOCK);
            }
        }
        struct store_sum sum =
            store_sum_blocks(s->uuid, STORE_SUM_DELTA, ref[i].generation, run, ref[i].blocks);
        struct store_delta_head *newest =
            (struct store_delta_head *)(copy + ref[runs - 1].block * BLOCK);
        if (i + 1 == runs) {
            record->delta.sum = sum;
        } else {
            ((struct store_delta_ref *)(newest + 1))[i].sum = sum;
        }
    }
}

/** Records name their parent's sum: mend them from old to young, then the seal. */
static void reseal_records(const struct image *image, uint8_t *copy)
{
    const struct store_superblock *s = superblock_of(image->bytes);
    uint64_t first = image->current > s->ring_slots ? image->current - s->ring_slots : 0;
    for (uint64_t g = first + 1; g <= image->current; g++) {
        uint32_t slot = (uint32_t)(g % s->ring_slots);
        const struct store_record *was = record_in_slot(image, image->bytes, slot);
        struct store_record *record = record_in_slot(image, copy, slot);
        if (was->stamp.generation != g) {
            continue;
        }
        const struct store_record *parent =
            record_in_slot(image, copy, (uint32_t)(was->parent % s->ring_slots));
        if (was->kind == STORE_RECORD_COMMIT &&
            record_in_slot(image, image->bytes, (uint32_t)(was->parent % s->ring_slots))
                    ->stamp.generation == was->parent) {
            record->parent_sum = parent->sum;
        }
        store_record_seal(s->uuid, slot, record);
    }
    struct store_seal *seal = (struct store_seal *)(copy + (uint64_t)STORE_SEAL * BLOCK);
    if (image->sealed) {
        seal->record_sum =
            record_in_slot(image, copy, (uint32_t)(image->current % s->ring_slots))->sum;
        store_seal_seal(s->uuid, seal);
    }
}

/** Every sum from the damaged block up to the newest record is right again. */
static void reseal(const struct image *image, uint8_t *copy, uint64_t damaged)
{
    const struct store_superblock *s = superblock_of(image->bytes);
    if (image->use[damaged].kind == KIND_SUPERBLOCK) {
        struct store_superblock *copies = superblock_of(copy);
        copies[damaged == 0 ? 1 : 0] = copies[damaged == 0 ? 0 : 1]; /* both say the same */
        store_superblock_seal(&copies[0]);
        store_superblock_seal(&copies[1]);
        return;
    }
    for (uint32_t slot = 0; slot < s->ring_slots; slot++) {
        const struct store_record *was = record_in_slot(image, image->bytes, slot);
        struct store_record *record = record_in_slot(image, copy, slot);
        enum block_kind kind = image->use[damaged].kind;
        bool in_tree = kind == KIND_NODE || kind == KIND_PAGE;
        bool retained = image->use[s->ring_start + slot].retained;
        if (retained && was->root_block != 0 && in_tree) {
            record->root_sum =
                reseal_path(image, copy, s->map_height - 1, 0, was->root_block, damaged);
        }
        if (retained && (in_tree || kind == KIND_DELTA)) {
            reseal_runs(image, copy, slot, damaged);
        }
    }
    reseal_records(image, copy);
}

/* ---- opening what is damaged -------------------------------------------------------------------
 */

/** What was seen of a damaged image. */
struct findings {
    bool refused;  /* open said no */
    bool reported; /* recovery says that something was torn or incomplete */
    bool verify_damaged;
    bool read_error; /* a page of the current generation could not be read */
    uint64_t opened;
    char said[2000]; /* sentences of verify, or of open */
};

static void note_sentence(void *context, const char *what)
{
    struct findings *findings = context;
    size_t used = strlen(findings->said);
    snprintf(findings->said + used, sizeof(findings->said) - used, "%s\n", what);
}

/** Read every page of a generation; content that is returned as good must be right. */
static bool read_all(struct campaign *campaign, uint64_t generation, bool trust, bool *error)
{
    _Alignas(BLOCK) uint8_t page[BLOCK];
    const struct crash_content *content = crash_oracle_get(&campaign->oracle, generation);
    if (content == NULL && trust) {
        return wrong(campaign, "generation %llu was never committed", (ull)generation);
    }
    for (uint64_t p = 0; p < CRASH_PAGES; p++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        int rc = snap_store_read_page(campaign->session->store, generation, p, page, &diag);
        if (rc < 0) {
            *error = true;
            if (diag.text[0] == 0) {
                return wrong(campaign, "page %llu: error %s without a sentence", (ull)p,
                             phantom_err_name(rc));
            }
        } else if (trust && !crash_page_is(content->version[p], page)) {
            campaign->silent++;
            return wrong(campaign,
                         "SILENT: page %llu of generation %llu is wrong and said to be good",
                         (ull)p, (ull)generation);
        }
    }
    return true;
}

static int skip_page(void *context, uint64_t page, const void *data)
{
    *(uint64_t *)context += page + ((const uint8_t *)data)[17]; /* touch it */
    return 0;
}

static bool look(struct campaign *campaign, bool trust, struct findings *findings)
{
    struct snap_store *store = campaign->session->store;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_verify_report report = {0};
    int rc = snap_store_verify(store, true, &report, note_sentence, findings, &diag);
    findings->verify_damaged = rc != 0;
    if ((rc == PHANTOM_ECORRUPT) != (report.damaged != 0)) {
        return wrong(campaign, "verify says %s but counts %llu damaged", phantom_err_name(rc),
                     (ull)report.damaged);
    }
    if (findings->opened != 0 &&
        !read_all(campaign, findings->opened, trust, &findings->read_error)) {
        return false;
    }
    struct snap_generation list[STORE_RING_SLOTS];
    size_t count = snap_store_list(store, list, STORE_RING_SLOTS);
    for (size_t i = 0; i < count; i++) {
        bool error = false;
        uint64_t sum = 0;
        (void)snap_store_for_each_page(store, list[i].number, skip_page, &sum, &diag);
        if (below(campaign, 8) == 0 && !read_all(campaign, list[i].number, trust, &error)) {
            return false;
        }
    }
    return true;
}

/** Open, verify, read; fills in what was found. False when something is wrong with the store. */
static bool examine(struct campaign *campaign, bool trust, bool read_only,
                    struct findings *findings)
{
    struct crash_session *session = campaign->session;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_recovery recovery = {0};
    struct io_scratch_mark mark = io_scratch_mark(campaign->disk);
    int64_t blocks = ph_memory_live_blocks();
    *findings = (struct findings){0};
    alarm(HANG_SECONDS);
    int rc = snap_store_open(session->io, read_only ? SNAP_OPEN_READ_ONLY : 0, &session->store,
                             &recovery, &diag);
    bool good = true;
    if (rc < 0) {
        session->store = NULL;
        findings->refused = true;
        note_sentence(findings, diag.text);
        good = diag.text[0] != 0 ||
               wrong(campaign, "open: %s without a sentence", phantom_err_name(rc));
    } else {
        findings->opened = recovery.opened;
        findings->reported =
            recovery.incomplete != 0 || recovery.records_torn != 0 || recovery.superblock_mended;
        good = look(campaign, trust, findings);
    }
    crash_session_close(session);
    alarm(0);
    if (good && ph_memory_live_blocks() != blocks) {
        good = wrong(campaign, "%lld blocks of memory leaked",
                     (long long)(ph_memory_live_blocks() - blocks));
    }
    io_scratch_undo(campaign->disk, mark);
    return good;
}

/** A damaged page of the current generation is named: which page, of which generation. */
static bool is_named(struct campaign *campaign, const struct findings *findings,
                     const struct block_use *use)
{
    char page[40];
    snprintf(page, sizeof(page), "page %llu", (ull)use->index);
    const char *at = strstr(findings->said, page);
    if (strstr(findings->said, "map node") != NULL || strstr(findings->said, "delta run") != NULL) {
        return true; /* two blocks are damaged, and this one's page is below the other */
    }
    if (at == NULL || strstr(findings->said, "generation ") == NULL) {
        return wrong(campaign, "page %llu is damaged, but verify says only: %.400s",
                     (ull)use->index, findings->said);
    }
    return true;
}

/** Not resealed: is what was found the right answer to this damage? Counts it. */
static bool judge(struct campaign *campaign, const struct image *image, uint64_t block,
                  uint64_t other, const struct findings *findings)
{
    const struct block_use *use = &image->use[block];
    bool fell_back = !findings->refused && findings->opened < image->current;
    /* A swap of the seal with a block of the newest commit: a torn seal is no seal. */
    bool sealed = image->sealed && use->kind != KIND_SEAL && image->use[other].kind != KIND_SEAL;
    if (fell_back && (sealed || !findings->reported)) {
        return wrong(campaign, "generation %llu was opened instead of %llu%s",
                     (ull)findings->opened, (ull)image->current,
                     findings->reported ? "" : ", and nobody was told");
    }
    bool seen = findings->refused || findings->verify_damaged || findings->read_error;
    bool in_map = use->kind == KIND_PAGE || use->kind == KIND_NODE || use->kind == KIND_DELTA;
    /* A swap may also hit a record: a reader then reports it and shows the other generations. */
    if (in_map && !seen && !fell_back && !findings->reported) {
        return wrong(campaign, "a %s in use is damaged and nobody saw it", kind_names[use->kind]);
    }
    if (use->kind == KIND_SUPERBLOCK && !seen && !findings->reported) {
        return wrong(campaign, "a superblock is damaged and nobody saw it");
    }
    if (use->kind == KIND_PAGE && use->current && !fell_back && !findings->refused &&
        !is_named(campaign, findings, use)) {
        return false;
    }
    if (fell_back) {
        campaign->fell_back++;
    } else if (seen || findings->reported) {
        campaign->detected++;
    } else {
        campaign->unused++;
    }
    return true;
}

/* ---- the campaign ------------------------------------------------------------------------------
 */

static void poke_changed(struct campaign *campaign, const struct image *image, const uint8_t *copy)
{
    for (uint64_t at = 0; at < image->size; at += BLOCK) {
        if (memcmp(copy + at, image->bytes + at, BLOCK) != 0) {
            io_scratch_poke(campaign->disk, at, copy + at, BLOCK);
        }
    }
}

/** One damage. Repeats until it changes something. */
static bool flip(struct campaign *campaign, uint8_t *copy, bool resealed)
{
    ph_rng_init(&campaign->rng, campaign->seed ^ (campaign->number * UINT64_C(0xD1342543DE82EF95)) ^
                                    (resealed ? UINT64_C(1) << 40 : 0));
    const struct image *image = &campaign->image[below(campaign, 2)];
    PH_CHECK(io_scratch_assign(campaign->disk, image->bytes, image->size) == 0);
    memcpy(copy, image->bytes, image->size);
    uint64_t block = 0, other = 0;
    do {
        block = pick_block(campaign, image);
        make_damage(campaign, image, copy, block, &other);
    } while (memcmp(copy + block * BLOCK, image->bytes + block * BLOCK, BLOCK) == 0);
    campaign->of_kind[image->use[block].kind]++;
    if (resealed) {
        reseal(image, copy, block);
        if (other != block) {
            reseal(image, copy, other);
        }
    }
    poke_changed(campaign, image, copy);
    struct findings findings;
    bool good = examine(campaign, !resealed, below(campaign, 2) == 0, &findings);
    if (campaign->verbose) {
        printf("flip %llu: %s: %s %s", (ull)campaign->number, campaign->damage,
               findings.refused          ? "refused"
               : findings.verify_damaged ? "damaged"
                                         : "opened",
               findings.said[0] != 0 ? findings.said : "\n");
    }
    if (resealed) {
        campaign->resealed_refused += findings.refused || findings.verify_damaged;
        campaign->resealed_opened += !findings.refused && !findings.verify_damaged;
        return good;
    }
    return good && judge(campaign, image, block, other, &findings);
}

static bool run(struct campaign *campaign, uint64_t first, uint64_t flips)
{
    uint64_t most = campaign->image[0].size > campaign->image[1].size ? campaign->image[0].size
                                                                      : campaign->image[1].size;
    uint8_t *copy = aligned_alloc(BLOCK, most);
    PH_CHECK(copy != NULL);
    bool good = true;
    for (uint64_t i = 0; i < flips * 2 && good; i++) {
        campaign->number = first + i / 2;
        good = flip(campaign, copy, (i & 1) != 0);
        if (!good) {
            printf("VIOLATION: flip %llu%s: %s:\n  %s\nREPRO: bit_flips --seed %llu --first %llu "
                   "--flips 1 --verbose\n",
                   (ull)campaign->number, (i & 1) != 0 ? " (resealed)" : "", campaign->damage,
                   campaign->why, (ull)campaign->seed, (ull)campaign->number);
        }
    }
    free(copy);
    return good;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},
        {"flips", required_argument, NULL, 'n'},
        {"first", required_argument, NULL, 'f'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    static struct campaign campaign;
    campaign.seed = ph_rng_seed_from_environment(1);
    uint64_t flips = 10000, first = 0;
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 's': campaign.seed = strtoull(optarg, NULL, 0); break;
        case 'n': flips = strtoull(optarg, NULL, 0); break;
        case 'f': first = strtoull(optarg, NULL, 0); break;
        case 'v': campaign.verbose = true; break;
        default:
            fprintf(stderr, "usage: bit_flips [--seed S] [--flips N] [--first I] [--verbose]\n");
            return 2;
        }
    }
    crash_keep_memory();
    ph_rng_init(&campaign.rng, campaign.seed);
    bool good = campaign_init(&campaign);
    if (!good) {
        printf("VIOLATION: %s\n", campaign.why);
    }
    good = good && run(&campaign, first, flips);
    printf("hit, twice %llu times:", (ull)flips);
    for (int kind = 0; kind < KINDS; kind++) {
        printf(" %s %llu", kind_names[kind], (ull)campaign.of_kind[kind]);
    }
    printf("\nresealed: refused or damaged %llu, opened and consistent %llu\n",
           (ull)campaign.resealed_refused, (ull)campaign.resealed_opened);
    printf("flips=%llu resealed=%llu detected=%llu fell_back_and_reported=%llu unused=%llu "
           "silent=%llu\n",
           (ull)(campaign.detected + campaign.fell_back + campaign.unused),
           (ull)(campaign.resealed_refused + campaign.resealed_opened), (ull)campaign.detected,
           (ull)campaign.fell_back, (ull)campaign.unused, (ull)campaign.silent);
    campaign_finish(&campaign);
    return good ? 0 : 1;
}
