/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_change.c - how a commit changes the catalog: what is noted gets slots, the leaves that
 * changed and the nodes above them are written anew, and the whole is applied or forgotten.
 */
#include "store_catalog.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "store_internal.h"

#include <errno.h>
#include <string.h>

bool store_catalog_changes(const struct snap_store *store)
{
    const struct store_catalog *catalog = &store->catalog;
    for (unsigned i = 0; i < catalog->tag_count; i++) {
        if (catalog->tag[i].add || catalog->tag[i].remove) {
            return true;
        }
    }
    return store->catalog_enters != 0 || store->catalog_drops != 0;
}

uint64_t store_catalog_allowance(const struct snap_store *store)
{
    const struct store_catalog *catalog = &store->catalog;
    bool in_use = catalog->now != NULL && catalog->now->root.block != 0;
    return in_use || catalog->tag_count != 0 ? 16 + catalog->tag_count : 0;
}

static void give_slot(struct store_catalog *catalog, uint32_t slot, bool used)
{
    bits_set(catalog->next->used, slot - 1, used);
    bits_set(catalog->dirty, store_leaf_of(slot), true);
}

/* The lowest free slot at or after *from. */
static uint32_t take_slot(struct store_catalog *catalog, uint32_t *from)
{
    uint32_t i = *from;
    while (bits_have(catalog->next->used, i)) {
        i++;
        PH_CHECK(i < STORE_CATALOG_SLOTS);
    }
    *from = i;
    give_slot(catalog, i + 1, true);
    return i + 1;
}

/* Give slots to what comes, take them from what goes. */
static void arrange(struct snap_store *store)
{
    struct store_catalog *catalog = &store->catalog;
    uint32_t from = 0;
    for (unsigned i = 0; i < store->generation_count; i++) {
        struct store_generation *g = &store->generation[i];
        if (g->drop && g->slot != STORE_NO_SLOT) {
            give_slot(catalog, g->slot, false);
        }
    }
    for (unsigned i = 0; i < catalog->tag_count; i++) {
        if (catalog->tag[i].remove && !catalog->tag[i].add) {
            give_slot(catalog, catalog->tag[i].slot, false);
        }
    }
    for (unsigned i = 0; i < store->generation_count; i++) {
        struct store_generation *g = &store->generation[i];
        if (g->enter && !g->drop) {
            g->next_slot = take_slot(catalog, &from);
        }
    }
    for (unsigned i = 0; i < catalog->tag_count; i++) {
        if (catalog->tag[i].add) {
            catalog->tag[i].slot = take_slot(catalog, &from);
        }
    }
}

static void fill_generation(const struct store_generation *g, struct store_catalog_slot *slot)
{
    slot->kind = STORE_CATALOG_GENERATION;
    slot->generation = g->info.number;
    slot->u.entry = (struct store_catalog_generation){
        .parent = g->info.parent,
        .incarnation = g->info.incarnation,
        .time_ns = g->info.time_ns,
        .pause_ns = g->info.pause_ns,
        .heap_pages = g->info.heap_pages,
        .live_pages = g->info.live_pages,
        .root_block = g->map.root_block,
        .root_sum = g->map.root_sum,
        .delta = g->map.delta,
        .memory_sum = g->memory_sum,
        .record_sum = {g->info.record_sum.low, g->info.record_sum.high},
        .pages_written = g->info.pages_written,
        .blocks_written = g->info.bytes_written / STORE_BLOCK_SIZE - 1,
        .heap_layout = g->info.version.heap_layout,
        .native_classes = g->info.version.native_classes,
    };
}

/* Where slot `slot` goes among the leaves that are written; NULL: its leaf does not change. */
static struct store_catalog_slot *slot_in(const struct store_catalog *catalog,
                                          struct store_catalog_leaf *leaves, const uint16_t *order,
                                          uint32_t slot)
{
    if (slot == STORE_NO_SLOT || !bits_have(catalog->dirty, store_leaf_of(slot))) {
        return NULL;
    }
    struct store_catalog_leaf *leaf = &leaves[order[store_leaf_of(slot)]];
    leaf->used++;
    return &leaf->slot[(slot - 1) % STORE_CATALOG_LEAF_SLOTS];
}

/* Build every dirty leaf; order[leaf]: which of `leaves` it is. */
static void build_leaves(const struct snap_store *store, struct store_catalog_leaf *leaves,
                         const uint16_t *order)
{
    const struct store_catalog *catalog = &store->catalog;
    for (unsigned i = 0; i < store->generation_count; i++) {
        const struct store_generation *g = &store->generation[i];
        uint32_t place = g->drop ? STORE_NO_SLOT : g->enter ? g->next_slot : g->slot;
        struct store_catalog_slot *slot = slot_in(catalog, leaves, order, place);
        if (slot != NULL) {
            fill_generation(g, slot);
        }
    }
    for (unsigned i = 0; i < catalog->tag_count; i++) {
        const struct store_tag *tag = &catalog->tag[i];
        struct store_catalog_slot *slot =
            tag->remove ? NULL : slot_in(catalog, leaves, order, tag->slot);
        if (slot != NULL) {
            slot->kind = STORE_CATALOG_TAG;
            slot->generation = tag->tag.generation;
            memcpy(slot->u.name, tag->tag.name, sizeof slot->u.name);
        }
    }
}

struct emit {
    struct snap_store *store;
    uint64_t generation;
    store_block_putter put;
    void *context;
};

/* Write one block of the new catalog and note that the old one is not needed any more. */
static int emit_block(const struct emit *emit, uint32_t level, uint64_t index, const void *block,
                      uint32_t used, struct store_catalog_place *place)
{
    struct store_catalog *catalog = &emit->store->catalog;
    int error = place->block != 0 ? block_list_add(&catalog->replaced, place->block) : 0;
    *place = (struct store_catalog_place){0};
    if (error != 0 || used == 0) {
        return error;
    }
    return emit->put(emit->context, STORE_SUM_CATALOG + level, index, block, &place->block,
                     &place->sum);
}

static int emit_leaves(const struct emit *emit)
{
    struct store_catalog *catalog = &emit->store->catalog;
    uint16_t order[STORE_CATALOG_LEAVES];
    uint16_t count = 0;
    for (uint32_t i = 0; i < STORE_CATALOG_LEAVES; i++) {
        order[i] = count;
        count += bits_have(catalog->dirty, i);
    }
    size_t bytes = (size_t)count * STORE_BLOCK_SIZE;
    struct store_catalog_leaf *leaves = ph_alloc_aligned(STORE_BLOCK_SIZE, bytes);
    if (leaves == NULL) {
        return -ENOMEM;
    }
    memset(leaves, 0, bytes);
    build_leaves(emit->store, leaves, order);
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < STORE_CATALOG_LEAVES; i++) {
        if (bits_have(catalog->dirty, i)) {
            struct store_catalog_leaf *leaf = &leaves[order[i]];
            leaf->magic = STORE_CATALOG_LEAF_MAGIC;
            leaf->index = i;
            leaf->generation = emit->generation;
            error = emit_block(emit, STORE_CATALOG_LEVEL_LEAF, i, leaf, leaf->used,
                               &catalog->next->leaf[i]);
        }
    }
    ph_free(leaves);
    return error;
}

/* A node over `count` places. */
static int emit_node(const struct emit *emit, uint32_t level, uint64_t index,
                     const struct store_catalog_place *below, uint32_t count,
                     struct store_catalog_place *place)
{
    struct store_catalog_node *node = ph_alloc_aligned(STORE_BLOCK_SIZE, sizeof *node);
    if (node == NULL) {
        return -ENOMEM;
    }
    memset(node, 0, sizeof *node);
    node->magic = STORE_CATALOG_NODE_MAGIC;
    node->level = level;
    node->index = index;
    node->generation = emit->generation;
    for (uint32_t i = 0; i < count; i++) {
        node->block[i] = below[i].block;
        node->sum[i] = below[i].sum;
        node->used += below[i].block != 0;
    }
    int error = emit_block(emit, level, index, node, node->used, place);
    ph_free(node);
    return error;
}

static int emit_all(const struct emit *emit)
{
    struct store_catalog *catalog = &emit->store->catalog;
    struct store_catalog_image *next = catalog->next;
    int error = emit_leaves(emit);
    for (uint32_t i = 0; error == 0 && i < STORE_CATALOG_NODES; i++) {
        bool dirty = false;
        for (uint32_t k = 0; k < store_leaves_below(i); k++) {
            dirty = dirty || bits_have(catalog->dirty, i * STORE_CATALOG_FANOUT + k);
        }
        if (dirty) {
            error =
                emit_node(emit, STORE_CATALOG_LEVEL_NODE, i, &next->leaf[i * STORE_CATALOG_FANOUT],
                          store_leaves_below(i), &next->node[i]);
        }
    }
    return error != 0 ? error
                      : emit_node(emit, STORE_CATALOG_LEVEL_ROOT, 0, next->node,
                                  STORE_CATALOG_NODES, &next->root);
}

int store_catalog_emit(struct snap_store *store, uint64_t generation, store_block_putter put,
                       void *context, struct phantom_diag *diag)
{
    struct store_catalog *catalog = &store->catalog;
    if (!store_catalog_changes(store)) {
        return 0;
    }
    struct emit emit = {store, generation, put, context};
    PH_CHECK(catalog->next == NULL);
    catalog->next = ph_zalloc(1, sizeof *catalog->next);
    if (catalog->next == NULL) {
        return store_catalog_no_memory(store, diag);
    }
    if (catalog->now != NULL) {
        *catalog->next = *catalog->now;
    }
    memset(catalog->dirty, 0, sizeof catalog->dirty);
    catalog->replaced.count = 0;
    arrange(store);
    int error = emit_all(&emit);
    return error == -ENOMEM ? store_catalog_no_memory(store, diag) : error;
}

struct store_catalog_place store_catalog_root(const struct snap_store *store)
{
    const struct store_catalog *catalog = &store->catalog;
    const struct store_catalog_image *image = catalog->next != NULL ? catalog->next : catalog->now;
    return image != NULL ? image->root : (struct store_catalog_place){0};
}

void store_catalog_apply(struct snap_store *store)
{
    struct store_catalog *catalog = &store->catalog;
    if (catalog->next == NULL) {
        return;
    }
    for (size_t i = 0; i < catalog->replaced.count; i++) {
        block_space_release(&store->space, catalog->replaced.block[i]);
    }
    ph_free(catalog->now);
    catalog->now = catalog->next;
    catalog->next = NULL;
    for (unsigned i = 0; i < store->generation_count; i++) {
        struct store_generation *g = &store->generation[i];
        g->slot = g->enter ? g->next_slot : g->slot;
        g->enter = false;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < catalog->tag_count; i++) {
        if (!catalog->tag[i].remove) {
            catalog->tag[kept] = catalog->tag[i];
            catalog->tag[kept++].add = false;
        }
    }
    catalog->tag_count = kept;
    store->catalog_enters = store->catalog_drops = 0;
}

void store_catalog_cancel(struct snap_store *store)
{
    struct store_catalog *catalog = &store->catalog;
    ph_free(catalog->next);
    catalog->next = NULL;
    for (unsigned i = 0; store->catalog_enters != 0 && i < store->generation_count; i++) {
        store->generation[i].enter = false;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < catalog->tag_count; i++) {
        struct store_tag *tag = &catalog->tag[i];
        struct store_generation *g =
            tag->add != tag->remove ? store_find(store, tag->tag.generation) : NULL;
        if (g != NULL) {
            g->tags += tag->remove ? 1U : -1U;
        }
        if (!tag->add) {
            tag->remove = false;
            catalog->tag[kept++] = *tag;
        }
    }
    catalog->tag_count = kept;
    store->catalog_enters = store->catalog_drops = 0;
}
