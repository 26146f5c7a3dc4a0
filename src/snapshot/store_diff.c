/* SPDX-License-Identifier: Apache-2.0
 *
 * store_diff.c - walks over page maps for those who need no page: the difference of two
 * generations, and all that a damaged generation's map still names.
 *
 * Both hold one node (or two) for each level, and the delta runs that are laid over the tree. Equal
 * sums are equal subtrees, since a node's sum covers the sums of all that is below it: the
 * difference is found without reading them, except where the runs of the two differ.
 */
#include "ph_memory.h"
#include "snap_transfer.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int no_generation(const struct snap_store *store, uint64_t generation,
                         struct phantom_diag *diag)
{
    return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no generation %" PRIu64,
                   store_file_name(&store->file), generation);
}

/* ---- two maps ------------------------------------------------------------------------------ */

struct place { /* where a page or node is; block 0: a hole */
    uint64_t block;
    struct store_sum sum;
};

struct comparison {
    const struct store_file *file;
    struct store_overlay from, to; /* delta runs laid over the two trees */
    uint64_t *page; /* ascending: where the overlays do not say the same, so sums tell nothing */
    size_t count;
    struct store_node *nodes; /* two for each level */
    snap_diff_visitor visit;
    void *context;
    struct phantom_diag *diag;
};

static bool same_entry(const struct store_delta_entry *a, const struct store_delta_entry *b)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): both overlays have the entry */
    return a->block == b->block && store_sum_equal(a->sum, b->sum);
}

/* The pages about which the two overlays differ. 0 or -ENOMEM. */
static int compare_overlays(struct comparison *c)
{
    size_t a = 0, b = 0;
    c->page = ph_zalloc(c->from.count + c->to.count + 1, sizeof *c->page);
    if (c->page == NULL) {
        return -ENOMEM;
    }
    while (a < c->from.count || b < c->to.count) {
        const struct store_delta_entry *old = a < c->from.count ? &c->from.entry[a] : NULL;
        const struct store_delta_entry *new = b < c->to.count ? &c->to.entry[b] : NULL;
        bool take_old = new == NULL || (old != NULL && old->page <= new->page);
        bool take_new = old == NULL || (new != NULL &&new->page <= old->page);
        if (!(take_old && take_new && same_entry(old, new))) {
            c->page[c->count++] = take_old ? old->page : new->page;
        }
        a += take_old;
        b += take_new;
    }
    return 0;
}

/* Is any page that a node covers among those about which the overlays differ? */
static bool overlays_differ(const struct comparison *c, uint32_t level, uint64_t index)
{
    uint64_t first = index << store_level_shift(level + 1);
    uint64_t end = (index + 1) << store_level_shift(level + 1);
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->page[middle] < first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < c->count && c->page[low] < end;
}

static void make_hole(struct store_node *node, uint32_t level, uint64_t index)
{
    memset(node, 0, sizeof *node);
    node->magic = STORE_NODE_MAGIC;
    node->level = level;
    node->index = index;
}

static int load(const struct store_file *file, uint32_t level, uint64_t index, struct place place,
                const struct store_overlay *overlay, struct store_node *node,
                struct phantom_diag *diag)
{
    int error = 0;
    make_hole(node, level, index);
    if (place.block != 0) {
        error = store_file_read_node(file, level, index, place.block, place.sum, node, diag);
    }
    if (error == 0 && level == 0) {
        (void)store_overlay_patch(overlay, node);
    }
    return error;
}

static int compare(const struct comparison *c, uint32_t level, uint64_t index, struct place from,
                   struct place to)
{
    struct store_node *a = &c->nodes[2 * (size_t)level], *b = a + 1;
    int error = load(c->file, level, index, from, &c->from, a, c->diag);
    error = error != 0 ? error : load(c->file, level, index, to, &c->to, b, c->diag);
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        uint64_t below = (index << STORE_FANOUT_BITS) + i;
        bool same = store_sum_equal(a->sum[i], b->sum[i]); /* a hole's sum is zero */
        struct place old = {a->block[i], a->sum[i]}, new = {b->block[i], b->sum[i]};
        if (level != 0) {
            if (!same || overlays_differ(c, level - 1, below)) {
                error = compare(c, level - 1, below, old, new);
            }
        } else if (!same) {
            error = c->visit(c->context, below,
                             old.block == 0   ? SNAP_PAGE_ADDED
                             : new.block == 0 ? SNAP_PAGE_REMOVED
                                              : SNAP_PAGE_CHANGED);
        }
    }
    return error;
}

int snap_store_diff(struct snap_store *store, uint64_t from, uint64_t to, snap_diff_visitor visit,
                    void *context, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    const struct store_generation *g = store_find(store, from), *h = store_find(store, to);
    if (g == NULL || h == NULL) {
        return no_generation(store, g == NULL ? from : to, diag);
    }
    const struct store_map a = g->map, b = h->map;
    bool same_tree = store_sum_equal(a.root_sum, b.root_sum);
    if (same_tree && store_sum_equal(a.delta.sum, b.delta.sum)) {
        return 0;
    }
    struct comparison c = {.file = file, .visit = visit, .context = context, .diag = diag};
    int error = store_overlay_load(file, &a, &c.from, diag);
    error = error != 0 ? error : store_overlay_load(file, &b, &c.to, diag);
    if (error == 0) {
        error = compare_overlays(&c);
        c.nodes = ph_alloc_aligned(STORE_BLOCK_SIZE, 2 * file->height * sizeof *c.nodes);
        if (error != 0 || c.nodes == NULL) {
            error = ph_fail(diag, -ENOMEM, "%s: no memory to compare", store_file_name(file));
        }
    }
    if (error == 0 && (!same_tree || c.count != 0)) {
        error = compare(&c, file->height - 1, 0, (struct place){a.root_block, a.root_sum},
                        (struct place){b.root_block, b.root_sum});
    }
    ph_free(c.nodes);
    ph_free(c.page);
    store_overlay_finish(&c.from);
    store_overlay_finish(&c.to);
    return error;
}

/* ---- one map, whole or not ----------------------------------------------------------------- */

struct walk {
    const struct store_file *file;
    struct store_overlay overlay;
    struct store_node *nodes; /* one for each level */
    const struct snap_map_visitor *visitor;
};

static uint64_t first_of(uint32_t level, uint64_t index)
{
    return index << store_level_shift(level + 1);
}

/* End of what a node covers, cut off at the end of the heap. */
static uint64_t end_of(const struct store_file *file, uint32_t level, uint64_t index)
{
    uint64_t end = first_of(level, index + 1);
    return end < file->page_count ? end : file->page_count;
}

/* A node cannot be read: of its pages only those that the delta runs name are known. */
static int lose_node(const struct walk *walk, uint32_t level, uint64_t index, const char *why)
{
    const struct snap_map_visitor *visitor = walk->visitor;
    uint64_t at = first_of(level, index), end = end_of(walk->file, level, index);
    int error = 0;
    for (size_t i = store_overlay_find(&walk->overlay, at);
         error == 0 && i < walk->overlay.count && walk->overlay.entry[i].page < end; i++) {
        const struct store_delta_entry *entry = &walk->overlay.entry[i];
        if (entry->page > at) {
            error = visitor->lost(visitor->context, at, entry->page - at, why);
        }
        if (error == 0 && entry->block != 0) {
            error = visitor->page(visitor->context, entry->page);
        }
        at = entry->page + 1;
    }
    return error == 0 && at < end ? visitor->lost(visitor->context, at, end - at, why) : error;
}

static bool is_laid_over(const struct walk *walk, uint32_t level, uint64_t index)
{
    size_t at = store_overlay_find(&walk->overlay, first_of(level, index));
    return at < walk->overlay.count &&
           walk->overlay.entry[at].page < end_of(walk->file, level, index);
}

static int walk_node(const struct walk *walk, uint32_t level, uint64_t index, struct place place)
{
    const struct snap_map_visitor *visitor = walk->visitor;
    struct store_node *node = &walk->nodes[level];
    struct phantom_diag why = PHANTOM_DIAG_INIT;
    int error = load(walk->file, level, index, place, &walk->overlay, node, &why);
    if (error == -ENOMEM) {
        return error;
    }
    if (error != 0) {
        return lose_node(walk, level, index, why.text);
    }
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        uint64_t below = (index << STORE_FANOUT_BITS) + i;
        if (level == 0) {
            error = node->block[i] != 0 ? visitor->page(visitor->context, below) : 0;
        } else if (node->block[i] != 0 || is_laid_over(walk, level - 1, below)) {
            error = walk_node(walk, level - 1, below, (struct place){node->block[i], node->sum[i]});
        }
    }
    return error;
}

int snap_store_walk(struct snap_store *store, uint64_t generation,
                    const struct snap_map_visitor *visitor, struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    const struct store_generation *g = store_find(store, generation);
    if (g == NULL) {
        return no_generation(store, generation, diag);
    }
    const struct store_map map = g->map;
    struct walk walk = {.file = file, .visitor = visitor};
    struct phantom_diag why = PHANTOM_DIAG_INIT;
    int error = store_overlay_load(file, &map, &walk.overlay, &why);
    if (error != 0 && error != -ENOMEM) {
        /* The tree alone would show pages as they were at the checkpoint: nothing is known. */
        return visitor->lost(visitor->context, 0, file->page_count, why.text);
    }
    walk.nodes = ph_alloc_aligned(STORE_BLOCK_SIZE, file->height * sizeof *walk.nodes);
    if (error != 0 || walk.nodes == NULL) {
        error = ph_fail(diag, -ENOMEM, "%s: no memory to walk", store_file_name(file));
    } else if (map.root_block != 0 || walk.overlay.count != 0) {
        error = walk_node(&walk, file->height - 1, 0, (struct place){map.root_block, map.root_sum});
    }
    ph_free(walk.nodes);
    store_overlay_finish(&walk.overlay);
    return error;
}
