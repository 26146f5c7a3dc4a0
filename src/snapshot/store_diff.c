/* SPDX-License-Identifier: Apache-2.0
 *
 * store_diff.c - walks over page maps for those who need no page: the difference of two
 * generations, and all that a damaged generation's map still names.
 *
 * Both hold one node (or two) for each level and nothing else. Equal sums are equal subtrees, since
 * a node's sum covers the sums of all that is below it: the difference is found without reading
 * them.
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
    struct store_node *nodes; /* two for each level */
    snap_diff_visitor visit;
    void *context;
    struct phantom_diag *diag;
};

static int load(const struct comparison *c, uint32_t level, uint64_t index, struct place place,
                struct store_node *node)
{
    if (place.block == 0) {
        memset(node, 0, sizeof *node); /* all holes */
        return 0;
    }
    return store_file_read_node(c->file, level, index, place.block, place.sum, node, c->diag);
}

static int compare(const struct comparison *c, uint32_t level, uint64_t index, struct place from,
                   struct place to)
{
    struct store_node *a = &c->nodes[2 * (size_t)level], *b = a + 1;
    int error = load(c, level, index, from, a);
    error = error != 0 ? error : load(c, level, index, to, b);
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        if (store_sum_equal(a->sum[i], b->sum[i])) { /* a hole's sum is zero */
            continue;
        }
        uint64_t below = (index << STORE_FANOUT_BITS) + i;
        struct place old = {a->block[i], a->sum[i]}, new = {b->block[i], b->sum[i]};
        if (level != 0) {
            error = compare(c, level - 1, below, old, new);
        } else {
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
    const struct store_generation *a = store_find(store, from), *b = store_find(store, to);
    if (a == NULL || b == NULL) {
        return no_generation(store, a == NULL ? from : to, diag);
    }
    if (store_sum_equal(a->root_sum, b->root_sum)) {
        return 0;
    }
    struct comparison c = {.file = &store->file, .visit = visit, .context = context, .diag = diag};
    c.nodes =
        ph_alloc_aligned(STORE_BLOCK_SIZE, 2 * store->file.height * sizeof(struct store_node));
    if (c.nodes == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to compare", store_file_name(&store->file));
    }
    int error = compare(&c, store->file.height - 1, 0, (struct place){a->root_block, a->root_sum},
                        (struct place){b->root_block, b->root_sum});
    ph_free(c.nodes);
    return error;
}

/* ---- one map, whole or not ----------------------------------------------------------------- */

struct walk {
    const struct store_file *file;
    struct store_node *nodes; /* one for each level */
    const struct snap_map_visitor *visitor;
};

/* Pages that a node covers, cut off at the end of the heap. */
static uint64_t covered(const struct store_file *file, uint32_t level, uint64_t index)
{
    uint64_t first = index << store_level_shift(level + 1);
    uint64_t count = UINT64_C(1) << store_level_shift(level + 1);
    return count < file->page_count - first ? count : file->page_count - first;
}

static int walk_node(const struct walk *walk, uint32_t level, uint64_t index, uint64_t block,
                     struct store_sum sum)
{
    const struct snap_map_visitor *visitor = walk->visitor;
    struct store_node *node = &walk->nodes[level];
    struct phantom_diag why = PHANTOM_DIAG_INIT;
    int error = store_file_read_node(walk->file, level, index, block, sum, node, &why);
    if (error == -ENOMEM) {
        return error;
    }
    if (error != 0) {
        return visitor->lost(visitor->context, index << store_level_shift(level + 1),
                             covered(walk->file, level, index), why.text);
    }
    for (unsigned i = 0; error == 0 && i < STORE_FANOUT; i++) {
        uint64_t below = (index << STORE_FANOUT_BITS) + i;
        if (node->block[i] == 0) {
            continue;
        }
        error = level == 0 ? visitor->page(visitor->context, below)
                           : walk_node(walk, level - 1, below, node->block[i], node->sum[i]);
    }
    return error;
}

int snap_store_walk(struct snap_store *store, uint64_t generation,
                    const struct snap_map_visitor *visitor, struct phantom_diag *diag)
{
    const struct store_generation *g = store_find(store, generation);
    if (g == NULL) {
        return no_generation(store, generation, diag);
    }
    if (g->root_block == 0) {
        return 0;
    }
    struct walk walk = {.file = &store->file, .visitor = visitor};
    walk.nodes = ph_alloc_aligned(STORE_BLOCK_SIZE, store->file.height * sizeof(struct store_node));
    if (walk.nodes == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to walk", store_file_name(&store->file));
    }
    int error = walk_node(&walk, store->file.height - 1, 0, g->root_block, g->root_sum);
    ph_free(walk.nodes);
    return error;
}
