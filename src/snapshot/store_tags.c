/* SPDX-License-Identifier: Apache-2.0
 *
 * store_tags.c - the tags of a store: looked up, noted for the next commit, listed. In
 * store->catalog.tag, in the order of names.
 */
#include "store_catalog.h"

#include "ph_memory.h"
#include "store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int store_tag_reserve(struct snap_store *store, struct phantom_diag *diag)
{
    struct store_catalog *catalog = &store->catalog;
    if (catalog->tag_count < catalog->tag_capacity) {
        return 0;
    }
    unsigned capacity = catalog->tag_capacity != 0 ? 2 * catalog->tag_capacity : 16;
    struct store_tag *tag = ph_realloc(catalog->tag, capacity * sizeof *tag);
    if (tag == NULL) {
        return store_catalog_no_memory(store, diag);
    }
    catalog->tag = tag;
    catalog->tag_capacity = capacity;
    return 0;
}

bool store_tag_name_is_valid(const char *name)
{
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        char c = name[length];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        if (!fits || length + 1 >= sizeof((struct snap_tag *)0)->name) {
            return false;
        }
    }
    return length != 0;
}

struct store_tag *store_tag_find(const struct snap_store *store, const char *name)
{
    const struct store_catalog *catalog = &store->catalog;
    for (unsigned i = 0; i < catalog->tag_count; i++) {
        if (strcmp(catalog->tag[i].tag.name, name) == 0) {
            return &catalog->tag[i];
        }
    }
    return NULL;
}

int store_tag_note_add(struct snap_store *store, uint64_t generation, const char *name,
                       struct phantom_diag *diag)
{
    struct store_catalog *catalog = &store->catalog;
    struct store_generation *g = store_find(store, generation);
    if (!store_tag_name_is_valid(name)) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "%s: a tag is 1 to 63 letters, digits, dots, underscores and hyphens",
                       store_file_name(&store->file));
    }
    if (g == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no generation %" PRIu64,
                       store_file_name(&store->file), generation);
    }
    const struct store_tag *same = store_tag_find(store, name);
    if (same != NULL) {
        return ph_fail(diag, -EEXIST, "%s: generation %" PRIu64 " is tagged %s already",
                       store_file_name(&store->file), same->tag.generation, name);
    }
    if (catalog->tag_count == STORE_CATALOG_TAGS) {
        return ph_fail(diag, PHANTOM_EINVALID, "%s: a store has at most %d tags",
                       store_file_name(&store->file), STORE_CATALOG_TAGS);
    }
    int error = store_tag_reserve(store, diag);
    if (error != 0) {
        return error;
    }
    unsigned at = catalog->tag_count++;
    for (; at != 0 && strcmp(catalog->tag[at - 1].tag.name, name) > 0; at--) {
        catalog->tag[at] = catalog->tag[at - 1];
    }
    struct store_tag *tag = &catalog->tag[at];
    *tag = (struct store_tag){.tag.generation = generation, .add = true};
    memcpy(tag->tag.name, name, strlen(name));
    g->tags++;
    return 0;
}

int store_tag_note_remove(struct snap_store *store, const char *name, struct phantom_diag *diag)
{
    struct store_tag *tag = store_tag_find(store, name);
    if (tag == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no tag %s", store_file_name(&store->file),
                       name);
    }
    struct store_generation *g = store_find(store, tag->tag.generation);
    tag->remove = true;
    if (g != NULL) {
        g->tags--;
    }
    return 0;
}

size_t snap_store_tags(const struct snap_store *store, struct snap_tag *out, size_t capacity)
{
    const struct store_catalog *catalog = &store->catalog;
    for (unsigned i = 0; i < catalog->tag_count && i < capacity; i++) {
        out[i] = catalog->tag[i].tag;
    }
    return catalog->tag_count;
}
