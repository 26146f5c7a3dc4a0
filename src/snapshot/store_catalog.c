/* SPDX-License-Identifier: Apache-2.0 - see store_catalog.h */
#include "store_catalog.h"

#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int store_catalog_no_memory(const struct snap_store *store, struct phantom_diag *diag)
{
    return ph_fail(diag, -ENOMEM, "%s: no memory for the catalog", store_file_name(&store->file));
}

void store_catalog_finish(struct snap_store *store)
{
    struct store_catalog *catalog = &store->catalog;
    ph_free(catalog->now);
    ph_free(catalog->next);
    ph_free(catalog->tag);
    block_list_finish(&catalog->replaced);
    *catalog = (struct store_catalog){0};
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Leaf and node begin alike. */
struct head {
    uint64_t magic;
    uint32_t level, used;
    uint64_t index;
};

static int check_block(const struct store_file *file, uint32_t level, uint64_t index,
                       const struct store_catalog_place *place, void *block,
                       struct phantom_diag *diag)
{
    const struct head *head = block;
    uint64_t magic =
        level == STORE_CATALOG_LEVEL_LEAF ? STORE_CATALOG_LEAF_MAGIC : STORE_CATALOG_NODE_MAGIC;
    bool equal = store_decode(file, STORE_SUM_CATALOG + level, index, place->sum, block, 1) ||
                 PH_MUTANT(CATALOG_NOT_CHECKED);
    if (equal && head->magic == magic && head->level == level && head->index == index) {
        return 0;
    }
    return ph_fail(diag, PHANTOM_ECORRUPT,
                   "%s: catalog of generations: block %" PRIu64 " is damaged (level %" PRIu32
                   ", index %" PRIu64 ")",
                   store_file_name(file), place->block, level, index);
}

static int check_place(const struct store_file *file, const struct store_catalog_place *place,
                       struct phantom_diag *diag)
{
    if (store_file_has_data_block(file, place->block)) {
        return 0;
    }
    return ph_fail(diag, PHANTOM_ECORRUPT,
                   "%s: catalog of generations: block %" PRIu64 " is not in the data area",
                   store_file_name(file), place->block);
}

static int read_block(const struct store_file *file, uint32_t level, uint64_t index,
                      const struct store_catalog_place *place, void *block,
                      struct phantom_diag *diag)
{
    int error = check_place(file, place, diag);
    error = error != 0 ? error : store_file_read(file, place->block, 1, block, diag);
    return error != 0 ? error : check_block(file, level, index, place, block, diag);
}

/* Read the entries of the root (`first` 0) or of a node into `places`. */
static int read_places(const struct store_file *file, uint32_t level, uint64_t index,
                       const struct store_catalog_place *from, struct store_catalog_node *buffer,
                       struct store_catalog_place *places, uint32_t count,
                       struct phantom_diag *diag)
{
    int error = read_block(file, level, index, from, buffer, diag);
    for (uint32_t i = 0; error == 0 && i < STORE_CATALOG_FANOUT; i++) {
        if (i < count) {
            places[i] = (struct store_catalog_place){buffer->block[i], buffer->sum[i]};
        } else if (buffer->block[i] != 0) {
            error = ph_fail(diag, PHANTOM_ECORRUPT,
                            "%s: catalog of generations: it has more leaves than it may",
                            store_file_name(file));
        }
    }
    return error;
}

/* Visit every leaf of an image, whose nodes are in memory, with its verified content. */
typedef int (*leaf_visitor)(void *context, uint32_t index, const struct store_catalog_leaf *leaf);

struct leaf_batch {
    const struct store_file *file;
    uint8_t *data; /* STORE_READ_RUNS blocks */
    struct store_run run[STORE_READ_RUNS];
    uint32_t index[STORE_READ_RUNS];
    unsigned count;
};

static int show_leaves(struct leaf_batch *batch, const struct store_catalog_image *image,
                       leaf_visitor visit, void *context, struct phantom_diag *diag)
{
    int error = store_file_read_runs(batch->file, batch->run, batch->count, diag);
    for (unsigned i = 0; error == 0 && i < batch->count; i++) {
        uint32_t index = batch->index[i];
        void *leaf = batch->run[i].buffer;
        error = check_block(batch->file, STORE_CATALOG_LEVEL_LEAF, index, &image->leaf[index], leaf,
                            diag);
        error = error != 0 ? error : visit(context, index, leaf);
    }
    batch->count = 0;
    return error;
}

static int each_leaf(const struct store_file *file, const struct store_catalog_image *image,
                     uint8_t *data, leaf_visitor visit, void *context, struct phantom_diag *diag)
{
    struct leaf_batch batch = {.file = file, .data = data};
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < STORE_CATALOG_LEAVES; i++) {
        if (image->leaf[i].block == 0) {
            continue;
        }
        error = check_place(file, &image->leaf[i], diag);
        batch.index[batch.count] = i;
        batch.run[batch.count] = (struct store_run){image->leaf[i].block, 1,
                                                    data + (size_t)batch.count * STORE_BLOCK_SIZE};
        if (error == 0 && ++batch.count == STORE_READ_RUNS) {
            error = show_leaves(&batch, image, visit, context, diag);
        }
    }
    return error != 0 ? error : show_leaves(&batch, image, visit, context, diag);
}

static int read_image(const struct store_file *file, struct store_catalog_image *image,
                      struct store_catalog_node *buffer, struct phantom_diag *diag)
{
    int error = read_places(file, STORE_CATALOG_LEVEL_ROOT, 0, &image->root, buffer, image->node,
                            STORE_CATALOG_NODES, diag);
    for (uint32_t i = 0; error == 0 && i < STORE_CATALOG_NODES; i++) {
        if (image->node[i].block != 0) {
            error =
                read_places(file, STORE_CATALOG_LEVEL_NODE, i, &image->node[i], buffer,
                            &image->leaf[i * STORE_CATALOG_FANOUT], store_leaves_below(i), diag);
        }
    }
    return error;
}

/* ---- loading ------------------------------------------------------------------------------- */

struct load {
    struct snap_store *store;
    struct store_catalog_image *image;
    struct phantom_diag *diag;
};

static int impossible(const struct load *load, uint32_t slot, const char *what)
{
    return ph_fail(load->diag, PHANTOM_ECORRUPT, "%s: catalog of generations: slot %" PRIu32 " %s",
                   store_file_name(&load->store->file), slot, what);
}

/* The ref of a delta run is all there or not at all, as in a record. */
static bool is_delta_possible(const struct store_catalog_slot *slot)
{
    const struct store_delta_ref *delta = &slot->u.entry.delta;
    if (delta->block == 0) {
        return (delta->generation | delta->blocks | delta->entries) == 0 &&
               store_sum_is_zero(delta->sum);
    }
    return delta->generation != 0 && delta->generation <= slot->generation && delta->entries != 0 &&
           delta->blocks != 0 && !store_sum_is_zero(delta->sum);
}

static int load_generation(struct load *load, uint32_t slot, const struct store_catalog_slot *from)
{
    struct snap_store *store = load->store;
    const struct store_catalog_generation *entry = &from->u.entry;
    uint64_t number = from->generation;
    if (number == 0 || number >= STORE_GENERATION_LIMIT || entry->parent >= number ||
        (entry->root_block == 0) != store_sum_is_zero(entry->root_sum) ||
        !is_delta_possible(from) || entry->heap_pages > store->file.page_count ||
        entry->live_pages > store->file.page_count ||
        entry->blocks_written >= UINT64_MAX / STORE_BLOCK_SIZE) {
        return impossible(load, slot, "holds an impossible generation");
    }
    int error = store_generations_reserve(store, store->generation_count + 1, load->diag);
    if (error != 0) {
        return error;
    }
    store->generation[store->generation_count++] = (struct store_generation){
        .info =
            {
                .number = number,
                .parent = entry->parent,
                .heap_pages = entry->heap_pages,
                .live_pages = entry->live_pages,
                .pages_written = entry->pages_written,
                .bytes_written = (entry->blocks_written + 1) * STORE_BLOCK_SIZE,
                .time_ns = entry->time_ns,
                .pause_ns = entry->pause_ns,
                .incarnation = entry->incarnation,
                .root_sum = snap_sum_of(entry->memory_sum),
                .record_sum = snap_sum_of(entry->record_sum),
                .version = {entry->heap_layout, entry->native_classes},
                .sealed = true,
            },
        .map = {entry->root_block, entry->root_sum, entry->delta},
        .memory_sum = entry->memory_sum,
        .slot = slot,
    };
    return 0;
}

static int load_tag(struct load *load, uint32_t slot, const struct store_catalog_slot *from)
{
    struct store_catalog *catalog = &load->store->catalog;
    int error = store_tag_reserve(load->store, load->diag);
    if (error != 0) {
        return error;
    }
    if (memchr(from->u.name, 0, sizeof from->u.name) == NULL ||
        !store_tag_name_is_valid(from->u.name)) {
        return impossible(load, slot, "holds a tag whose name is none");
    }
    struct store_tag *tag = &catalog->tag[catalog->tag_count++];
    *tag = (struct store_tag){.tag.generation = from->generation, .slot = slot};
    memcpy(tag->tag.name, from->u.name, sizeof tag->tag.name);
    return 0;
}

static int load_leaf(void *context, uint32_t index, const struct store_catalog_leaf *leaf)
{
    struct load *load = context;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < STORE_CATALOG_LEAF_SLOTS; i++) {
        uint32_t slot = index * STORE_CATALOG_LEAF_SLOTS + i + 1;
        const struct store_catalog_slot *from = &leaf->slot[i];
        if (from->kind == STORE_CATALOG_FREE) {
            continue;
        }
        bits_set(load->image->used, slot - 1, true);
        if (from->kind == STORE_CATALOG_GENERATION) {
            error = load_generation(load, slot, from);
        } else if (from->kind == STORE_CATALOG_TAG) {
            error = load_tag(load, slot, from);
        } else {
            error = impossible(load, slot, "holds something unknown");
        }
    }
    return error;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct store_generation *)a)->info.number;
    uint64_t y = ((const struct store_generation *)b)->info.number;
    return x < y ? -1 : x > y;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct store_tag *)a)->tag.name, ((const struct store_tag *)b)->tag.name);
}

/* Put all in order; what must be true between entries. `ring`: how many came from the ring. */
static int join(struct load *load, unsigned ring)
{
    struct snap_store *store = load->store;
    struct store_catalog *catalog = &store->catalog;
    qsort(store->generation, store->generation_count, sizeof *store->generation, by_number);
    unsigned catalogued = store->generation_count - ring;
    if (catalogued > STORE_CATALOG_GENERATIONS || catalog->tag_count > STORE_CATALOG_TAGS) {
        return impossible(load, 0, "and the others are too many");
    }
    for (unsigned i = 0; i < store->generation_count; i++) {
        const struct store_generation *g = &store->generation[i];
        if ((i != 0 && g[-1].info.number == g->info.number) ||
            (g->slot != STORE_NO_SLOT) != (i < catalogued)) {
            return impossible(load, g->slot, "holds a generation that does not belong there");
        }
    }
    if (catalog->tag_count != 0) {
        qsort(catalog->tag, catalog->tag_count, sizeof *catalog->tag, by_name);
    }
    for (unsigned i = 0; i < catalog->tag_count; i++) {
        struct store_tag *tag = &catalog->tag[i];
        struct store_generation *g = store_find(store, tag->tag.generation);
        if (i != 0 && strcmp(tag[-1].tag.name, tag->tag.name) == 0) {
            return impossible(load, tag->slot, "holds a tag that is there twice");
        }
        if (g == NULL && !store->read_only) {
            return impossible(load, tag->slot, "holds a tag of a generation that is not there");
        }
        if (g != NULL) {
            g->tags++;
        }
    }
    return 0;
}

int store_catalog_load(struct snap_store *store, const struct store_record *record,
                       struct phantom_diag *diag)
{
    store_catalog_finish(store);
    if (record->catalog_block == 0) {
        return 0;
    }
    struct load load = {.store = store, .diag = diag};
    unsigned ring = store->generation_count;
    uint8_t *data = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_READ_RUNS * STORE_BLOCK_SIZE);
    load.image = ph_zalloc(1, sizeof *load.image);
    if (data == NULL || load.image == NULL) {
        ph_free(data);
        ph_free(load.image);
        return store_catalog_no_memory(store, diag);
    }
    store->catalog.now = load.image;
    load.image->root = (struct store_catalog_place){record->catalog_block, record->catalog_sum};
    int error = read_image(&store->file, load.image, (struct store_catalog_node *)data, diag);
    error = error != 0 ? error : each_leaf(&store->file, load.image, data, load_leaf, &load, diag);
    error = error != 0 ? error : join(&load, ring);
    ph_free(data);
    return error;
}

/* ---- looking at it again ------------------------------------------------------------------- */

int store_catalog_each_block(const struct snap_store *store,
                             int (*visit)(void *context, uint64_t block), void *context)
{
    const struct store_catalog_image *now = store->catalog.now;
    if (now == NULL || now->root.block == 0) {
        return 0;
    }
    int error = visit(context, now->root.block);
    for (uint32_t i = 0; error == 0 && i < STORE_CATALOG_NODES; i++) {
        error = now->node[i].block != 0 ? visit(context, now->node[i].block) : 0;
    }
    for (uint32_t i = 0; error == 0 && i < STORE_CATALOG_LEAVES; i++) {
        error = now->leaf[i].block != 0 ? visit(context, now->leaf[i].block) : 0;
    }
    return error;
}

int store_catalog_has(const struct snap_store *store, const struct store_record *record,
                      const struct snap_generation *generation, uint32_t slot,
                      struct phantom_diag *diag)
{
    const struct store_file *file = &store->file;
    const struct store_catalog_image *now = store->catalog.now;
    if (slot == STORE_NO_SLOT || record->catalog_block == 0) {
        return 0; /* it was in the ring when this handle was opened: say that it has gone */
    }
    if (now != NULL && now->root.block == record->catalog_block &&
        store_sum_equal(now->root.sum, record->catalog_sum)) {
        return 1;
    }
    uint8_t *block = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    if (block == NULL) {
        return store_catalog_no_memory(store, diag);
    }
    struct store_catalog_node *node = (struct store_catalog_node *)block;
    const struct store_catalog_leaf *leaf = (const struct store_catalog_leaf *)block;
    uint32_t index = store_leaf_of(slot);
    struct store_catalog_place place = {record->catalog_block, record->catalog_sum};
    int error = 0;
    const uint32_t path[] = {0, index / STORE_CATALOG_FANOUT, index};
    for (int level = STORE_CATALOG_LEVEL_ROOT; error == 0 && place.block != 0; level--) {
        error = read_block(file, (uint32_t)level, path[STORE_CATALOG_LEVEL_ROOT - level], &place,
                           block, diag);
        if (level == STORE_CATALOG_LEVEL_LEAF) {
            break;
        }
        uint32_t entry = path[STORE_CATALOG_LEVEL_ROOT - level + 1] % STORE_CATALOG_FANOUT;
        place = (struct store_catalog_place){node->block[entry], node->sum[entry]};
    }
    const struct store_catalog_slot *found = &leaf->slot[(slot - 1) % STORE_CATALOG_LEAF_SLOTS];
    int has = error != 0 ? error
                         : place.block != 0 && found->kind == STORE_CATALOG_GENERATION &&
                               found->generation == generation->number;
    ph_free(block);
    return has;
}

int store_catalog_verify(const struct snap_store *store,
                         void (*damage)(void *context, uint64_t block, const char *what),
                         void *context)
{
    const struct store_catalog_image *now = store->catalog.now;
    const struct store_file *file = &store->file;
    if (now == NULL || now->root.block == 0) {
        return 0;
    }
    uint8_t *block = ph_alloc_aligned(STORE_BLOCK_SIZE, STORE_BLOCK_SIZE);
    if (block == NULL) {
        return -ENOMEM;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (read_block(file, STORE_CATALOG_LEVEL_ROOT, 0, &now->root, block, &diag) != 0) {
        damage(context, now->root.block, diag.text);
    }
    for (uint32_t i = 0; i < STORE_CATALOG_NODES; i++) {
        if (now->node[i].block != 0 &&
            read_block(file, STORE_CATALOG_LEVEL_NODE, i, &now->node[i], block, &diag) != 0) {
            damage(context, now->node[i].block, diag.text);
        }
    }
    for (uint32_t i = 0; i < STORE_CATALOG_LEAVES; i++) {
        if (now->leaf[i].block != 0 &&
            read_block(file, STORE_CATALOG_LEVEL_LEAF, i, &now->leaf[i], block, &diag) != 0) {
            damage(context, now->leaf[i].block, diag.text);
        }
    }
    ph_free(block);
    return 0;
}
