/* SPDX-License-Identifier: Apache-2.0
 *
 * store_verify.c - check every byte that something reachable depends on.
 *
 * Unlike reading, it does not stop at the first damage: each bad superblock, record, node and page
 * is counted and reported, and the walk goes on beside it. A subtree that an earlier walk has seen
 * (same block, so same content) is not walked again.
 */
#include "ph_memory.h"
#include "snap_verify.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct verify {
    struct snap_store *store;
    struct snap_verify_report *report;
    const struct snap_verify_options *options;
    const struct store_generation *generation;
    struct store_overlay overlay; /* of its delta runs */
    struct store_node *nodes;     /* one for each level */
    uint8_t *pages;               /* STORE_FANOUT pages */
    uint64_t *seen;               /* for each block what it was last seen as; 0: not yet */
    uint64_t *seen_packed;        /* the same for SEEN_PACKED packed pages at most */
    struct store_unpacker unpacker;
    struct store_sum memory_sum;
    uint64_t live_pages;
    bool complete; /* every page of this generation was counted, none was seen before */
    uint64_t pages_done, pages_total;
};

/* Count what was found, and tell it. The generation is the one that is being looked at. */
static void report(struct verify *verify, struct snap_finding finding)
{
    finding.generation = verify->generation != NULL ? verify->generation->info.number : 0;
    if (verify->report->damaged++ == 0) {
        verify->report->first_damaged_page = finding.first_page;
        verify->report->first_damaged_generation = finding.generation;
    }
    if (verify->options->finding != NULL) {
        verify->options->finding(verify->options->context, &finding);
    }
}

static void report_block(struct verify *verify, enum snap_finding_kind kind, uint64_t block,
                         const char *what)
{
    report(verify, (struct snap_finding){.kind = kind, .block = block, .text = what});
}

/* 0, or -ECANCELED. */
static int step(const struct verify *verify)
{
    const struct snap_progress *progress = verify->options->progress;
    return progress != NULL &&
                   progress->step(progress->context, verify->pages_done, verify->pages_total) != 0
               ? -ECANCELED
               : 0;
}

/*
 * Was this block found good (or reported) before, as the same thing in the same place? A block that
 * turns up in another place is looked at again: it cannot be both.
 */
static bool see(struct verify *verify, unsigned kind, uint64_t index, uint64_t block,
                struct store_sum sum)
{
    uint64_t what = (sum.low ^ (sum.high << 1 | sum.high >> 63) ^
                     (index * UINT64_C(0x9E3779B97F4A7C15) + kind)) |
                    1;
    bool before = verify->seen[block] == what;
    verify->seen[block] = what;
    return before;
}

enum { SEEN_PACKED = 1 << 16 };

/* The same for a page in a pack, whose block has several. */
static bool see_packed(struct verify *verify, uint64_t page, uint64_t place, struct store_sum sum)
{
    uint64_t what = (sum.low ^ (sum.high << 1 | sum.high >> 63) ^
                     (page * UINT64_C(0x9E3779B97F4A7C15) + place)) |
                    1;
    uint64_t *seen = &verify->seen_packed[what >> 32 & (SEEN_PACKED - 1)];
    bool before = *seen == what;
    *seen = what;
    return before;
}

static bool see_page(struct verify *verify, uint64_t page, uint64_t place, struct store_sum sum)
{
    return store_place_is_packed(place) ? see_packed(verify, page, place, sum)
                                        : see(verify, STORE_SUM_PAGE, page, place, sum);
}

static int verify_page(struct verify *verify, uint64_t page, uint64_t place, struct store_sum sum,
                       struct phantom_diag *diag)
{
    const struct store_file *file = &verify->store->file;
    uint64_t generation = verify->generation->info.number;
    if (store_place_is_packed(place)) {
        const uint8_t *content = NULL;
        return store_unpack_page(file, &verify->unpacker, generation, page, place, sum, NULL,
                                 &content, diag);
    }
    int error = store_file_read(file, place, 1, verify->pages, diag);
    return error != 0
               ? error
               : store_file_check_page(file, generation, page, place, sum, verify->pages, diag);
}

/* The pages of one leaf: neighbouring blocks in one read; a read that fails is tried page by page.
 */
static int verify_pages(struct verify *verify, const struct store_node *leaf)
{
    for (unsigned i = 0; i < STORE_FANOUT; i++) {
        if (leaf->block[i] == 0) {
            continue;
        }
        uint64_t page = (leaf->index << STORE_FANOUT_BITS) + i;
        verify->memory_sum = store_sum_add(verify->memory_sum, leaf->sum[i]);
        verify->live_pages++;
        verify->pages_done++;
        if (see_page(verify, page, leaf->block[i], leaf->sum[i])) {
            continue;
        }
        verify->report->pages++;
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        int error = verify_page(verify, page, leaf->block[i], leaf->sum[i], &diag);
        if (error == -ENOMEM) {
            return error;
        }
        if (error != 0) {
            report(verify, (struct snap_finding){.kind = SNAP_FINDING_PAGE,
                                                 .first_page = page,
                                                 .page_count = 1,
                                                 .block = store_place_block(leaf->block[i]),
                                                 .text = diag.text});
        }
    }
    return step(verify);
}

/* A node that cannot be read, with the pages it covers. */
static void report_node(struct verify *verify, uint32_t level, uint64_t index, uint64_t block,
                        const char *what)
{
    uint64_t first = index << store_level_shift(level + 1);
    uint64_t end = (index + 1) << store_level_shift(level + 1);
    uint64_t pages = verify->store->file.page_count;
    report(verify, (struct snap_finding){.kind = SNAP_FINDING_NODE,
                                         .first_page = first,
                                         .page_count = (end < pages ? end : pages) - first,
                                         .block = block,
                                         .text = what});
}

/* The node, or what a hole is when delta runs lie over it. 1 verified, 0 damaged and reported, or
 * an error. */
static int fetch_node(struct verify *verify, uint32_t level, uint64_t index, uint64_t block,
                      struct store_sum sum)
{
    struct store_node *node = &verify->nodes[level];
    if (block == 0) {
        memset(node, 0, sizeof *node);
        node->level = level;
        node->index = index;
        return 1;
    }
    verify->report->nodes++;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int error = store_file_read_node(&verify->store->file, level, index, block, sum, node, &diag);
    if (error == 0) {
        return 1;
    }
    verify->complete = false;
    if (error != -ENOMEM) {
        report_node(verify, level, index, block, diag.text);
    }
    return error != -ENOMEM ? 0 : error;
}

static int verify_node(struct verify *verify, uint32_t level, uint64_t index, uint64_t block,
                       struct store_sum sum)
{
    const struct store_file *file = &verify->store->file;
    /* What was seen without runs over it need not be seen again; with runs over it pages are left
     * out that another generation needs. */
    if (!store_overlay_covers(&verify->overlay, level, index) &&
        store_file_has_data_block(file, block) &&
        see(verify, STORE_SUM_NODE + level, index, block, sum)) {
        verify->complete = false;
        return 0;
    }
    int error = fetch_node(verify, level, index, block, sum);
    if (error != 1) {
        return error;
    }
    struct store_node *node = &verify->nodes[level];
    if (level == 0) {
        (void)store_overlay_patch(&verify->overlay, node);
        return verify_pages(verify, node);
    }
    error = 0;
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        uint64_t child = (index << STORE_FANOUT_BITS) + i;
        if (node->block[i] != 0 || store_overlay_covers(&verify->overlay, level - 1, child)) {
            error = verify_node(verify, level - 1, child, node->block[i], node->sum[i]);
        }
    }
    return error;
}

/* The delta runs of a generation: 1 good, 0 damaged and reported, or an error. */
static int load_overlay(struct verify *verify, const struct store_generation *generation)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    store_overlay_finish(&verify->overlay);
    int error = store_overlay_load(&verify->store->file, &generation->map, &verify->overlay, &diag);
    if (error == -ENOMEM) {
        return error;
    }
    if (error != 0) {
        report(verify, (struct snap_finding){.kind = SNAP_FINDING_RUNS,
                                             .page_count = verify->store->file.page_count,
                                             .block = SNAP_NO_BLOCK,
                                             .text = diag.text});
    }
    return error == 0;
}

static int verify_generation(struct verify *verify, const struct store_generation *generation)
{
    const struct store_file *file = &verify->store->file;
    verify->generation = generation;
    verify->memory_sum = (struct store_sum){0};
    verify->live_pages = 0;
    verify->complete = true;
    verify->report->generations++;
    int error = load_overlay(verify, generation);
    if (error != 1) {
        return error; /* without its runs the map shows pages of another time */
    }
    error = generation->map.root_block == 0 && verify->overlay.count == 0
                ? 0
                : verify_node(verify, file->height - 1, 0, generation->map.root_block,
                              generation->map.root_sum);
    if (error == 0 && verify->complete &&
        (!store_sum_equal(verify->memory_sum, generation->memory_sum) ||
         verify->live_pages != generation->info.live_pages)) {
        char text[256];
        snprintf(text, sizeof text,
                 "%s: generation %" PRIu64 ": the record counts %" PRIu64
                 " pages, the map has %" PRIu64 ", or their sums do not add up",
                 store_file_name(file), generation->info.number, generation->info.live_pages,
                 verify->live_pages);
        report_block(verify, SNAP_FINDING_TOTALS, SNAP_NO_BLOCK, text);
    }
    return error;
}

static void note_catalog(void *verify, uint64_t block, const char *what)
{
    report_block(verify, SNAP_FINDING_CATALOG, block, what);
}

/* A running writer may have used the blocks of the catalog again once it has committed. */
static bool is_newest(struct snap_store *store)
{
    return store_current(store) == NULL || store_is_newest(store, NULL) == 1;
}

/* One that opening had to leave out. */
static void verify_lost(struct verify *verify)
{
    const struct snap_store *store = verify->store;
    for (size_t i = 0; i < store->lost_count; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "%s: the record of a retained generation (slot %" PRIu64
                 " of the ring) is damaged: that generation is lost",
                 store_file_name(&store->file), store->lost[i].block - store->file.ring_start);
        report_block(verify, SNAP_FINDING_RECORD, store->lost[i].block, text);
    }
}

/* Superblocks and the records of the retained generations, read again. */
static int verify_metadata(struct verify *verify)
{
    struct snap_store *store = verify->store;
    const struct store_file *file = &store->file;
    char text[256];
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    for (uint64_t block = STORE_SUPERBLOCK; block <= STORE_SUPERBLOCK_COPY; block++) {
        int error = store_file_read(file, block, 1, verify->pages, &diag);
        if (error != 0 ||
            !store_file_superblock_holds(file, (struct store_superblock *)verify->pages)) {
            snprintf(text, sizeof text, "%s: superblock in block %" PRIu64 " is damaged",
                     store_file_name(file), block);
            report_block(verify, SNAP_FINDING_SUPERBLOCK, block, text);
        }
    }
    for (unsigned i = 0; i < store->generation_count; i++) {
        const struct store_generation *generation = &store->generation[i];
        if (generation->slot != STORE_NO_SLOT) {
            continue; /* it has no record any more */
        }
        uint32_t slot = store_slot_of(file, generation->info.number);
        const struct store_record *record = (const struct store_record *)verify->pages;
        int error = store_file_read(file, file->ring_start + slot, 1, verify->pages, &diag);
        if (error != 0 || !store_file_record_holds(file, slot, record) ||
            record->sum.low != generation->info.record_sum.low ||
            record->sum.high != generation->info.record_sum.high) {
            if (store->read_only && generation != store_current(store) &&
                store_is_retained(store, generation, &diag) == 0) {
                continue; /* a running writer has dropped it and used its slot */
            }
            verify->generation = generation;
            snprintf(text, sizeof text, "%s: the record of generation %" PRIu64 " is damaged",
                     store_file_name(file), generation->info.number);
            report_block(verify, SNAP_FINDING_RECORD, file->ring_start + slot, text);
        }
    }
    verify->generation = NULL;
    verify_lost(verify);
    if (store->catalog.damaged) {
        report_block(verify, SNAP_FINDING_CATALOG, SNAP_NO_BLOCK,
                     "the catalog of generations is damaged");
    }
    return store->read_only && !is_newest(store)
               ? 0
               : store_catalog_verify(store, note_catalog, verify);
}

/* Beside a running writer an older generation may be dropped while it is read, and its blocks given
 * out again. So it is locked first, and left alone if it was dropped already. 1 verify it, 0 do
 * not. */
static int hold(struct snap_store *store, const struct store_generation *generation,
                struct phantom_diag *diag)
{
    if (!store->read_only || generation == store_current(store)) {
        return 1;
    }
    uint64_t byte = SNAP_LOCK_GENERATION(generation->info.number);
    if (store->io->ops->lock(store->io, byte, SNAP_IO_LOCK_SHARED) != 0) {
        return 0;
    }
    int retained = store_is_retained(store, generation, diag);
    if (retained != 1) {
        (void)store->io->ops->lock(store->io, byte, SNAP_IO_UNLOCK);
    }
    return retained;
}

static void release(struct snap_store *store, const struct store_generation *generation)
{
    if (store->read_only && generation != store_current(store)) {
        (void)store->io->ops->lock(store->io, SNAP_LOCK_GENERATION(generation->info.number),
                                   SNAP_IO_UNLOCK);
    }
}

/* What there is to read, if each generation shares all it did not write with the next one. */
static uint64_t estimate(const struct snap_store *store, bool deep)
{
    uint64_t pages = 0;
    for (unsigned i = store->generation_count; i > 0; i--) {
        const struct snap_generation *info = &store->generation[i - 1].info;
        pages += i == store->generation_count ? info->live_pages : info->pages_written;
        if (!deep) {
            break;
        }
    }
    return pages;
}

int snap_store_examine(struct snap_store *store, const struct snap_verify_options *options,
                       struct snap_verify_report *out, struct phantom_diag *diag)
{
    struct snap_verify_report unwanted;
    out = out != NULL ? out : &unwanted;
    *out = (struct snap_verify_report){0};
    struct verify verify = {.store = store,
                            .report = out,
                            .options = options,
                            .pages_total = estimate(store, options->deep)};
    verify.nodes =
        ph_alloc_aligned(STORE_BLOCK_SIZE, store->file.height * sizeof(struct store_node));
    verify.pages = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    verify.seen = ph_zalloc((size_t)store->file.block_count, sizeof *verify.seen);
    bool enough = verify.nodes != NULL && verify.pages != NULL && verify.seen != NULL;
    if (store->file.has_packs) {
        verify.seen_packed = ph_zalloc(SEEN_PACKED, sizeof *verify.seen_packed);
        enough = enough && verify.seen_packed != NULL;
    }
    int error = 0;
    if (!enough) {
        error = ph_fail(diag, -ENOMEM, "%s: no memory to verify", store_file_name(&store->file));
        goto out;
    }
    error = verify_metadata(&verify);
    for (unsigned i = store->generation_count; error == 0 && i > 0; i--) {
        const struct store_generation *generation = &store->generation[i - 1];
        error = hold(store, generation, diag);
        if (error == 1) {
            error = verify_generation(&verify, generation);
            release(store, generation);
        }
        if (!options->deep) {
            break;
        }
    }
    if (error == -ECANCELED) {
        (void)ph_fail(diag, error, "%s: stopped before all was verified",
                      store_file_name(&store->file));
    }
    if (error == 0 && out->damaged != 0) {
        error = ph_fail(diag, PHANTOM_ECORRUPT, "%s: %" PRIu64 " damaged blocks",
                        store_file_name(&store->file), out->damaged);
    }
out:
    store_overlay_finish(&verify.overlay);
    ph_free(verify.nodes);
    ph_free(verify.pages);
    ph_free(verify.seen);
    ph_free(verify.seen_packed);
    store_unpacker_finish(&verify.unpacker);
    return error;
}

struct sentences {
    void (*damage)(void *context, const char *what);
    void *context;
};

static void pass_sentence(void *context, const struct snap_finding *finding)
{
    const struct sentences *sentences = context;
    sentences->damage(sentences->context, finding->text);
}

int snap_store_verify(struct snap_store *store, bool deep, struct snap_verify_report *report,
                      void (*damage)(void *context, const char *what), void *context,
                      struct phantom_diag *diag)
{
    struct sentences sentences = {damage, context};
    const struct snap_verify_options options = {
        .deep = deep, .finding = damage != NULL ? pass_sentence : NULL, .context = &sentences};
    return snap_store_examine(store, &options, report, diag);
}
