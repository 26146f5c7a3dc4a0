/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_map.c - chained hashing with two tables while it grows: `old` is emptied bucket by bucket into
 * `now`. True between calls: an entry is in exactly one chain; chains of `old` below `moved` are
 * empty; `old` is NULL when nothing is being moved.
 *
 * The hash is FNV-1a with a final mix. An index that strangers can fill should use a keyed hash.
 */
#include "kv_map.h"

#include <string.h>

enum { BUCKETS_FIRST = 1024, MOVED_PER_CHANGE = 4 };

struct entry {
    struct entry *next;
    uint64_t hash;
    uint32_t key_bytes, value_bytes, value_room;
    uint8_t bytes[]; /* key, then value */
};

struct table {
    uint64_t buckets;
    struct entry *chain[];
};

struct kv_map {
    uint64_t count;
    uint64_t moved; /* buckets of old that are empty for good */
    struct table *now, *old;
};

static uint64_t hash_of(const void *key, size_t bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const uint8_t *at = key;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    hash ^= hash >> 32;
    return hash * UINT64_C(0x9e3779b97f4a7c15);
}

static struct entry **chain_of(struct table *table, uint64_t hash)
{
    return &table->chain[hash >> 32 & (table->buckets - 1)];
}

static struct table *make_table(struct phantom_space *space, uint64_t buckets)
{
    size_t bytes = sizeof(struct table) + buckets * sizeof(struct entry *);
    struct table *table = phantom_space_calloc(space, 1, bytes);
    if (table != NULL) {
        table->buckets = buckets;
        phantom_space_wrote(space, table, sizeof(*table));
    }
    return table;
}

struct kv_map *kv_map_create(struct phantom_space *space)
{
    struct kv_map *map = phantom_space_calloc(space, 1, sizeof(*map));
    struct table *table = map != NULL ? make_table(space, BUCKETS_FIRST) : NULL;
    if (table == NULL) {
        phantom_space_free(space, map);
        return NULL;
    }
    map->now = table;
    phantom_space_wrote(space, map, sizeof(*map));
    return map;
}

/** Where the pointer to the entry is; it points to NULL at the end of a chain if there is none. */
static struct entry **find(const struct kv_map *map, const void *key, size_t key_bytes,
                           uint64_t hash)
{
    struct table *tables[2] = {map->old, map->now};
    struct entry **link = NULL;
    for (int i = 0; i < 2; i++) {
        if (tables[i] == NULL) {
            continue;
        }
        for (link = chain_of(tables[i], hash); *link != NULL; link = &(*link)->next) {
            struct entry *entry = *link;
            if (entry->hash == hash && entry->key_bytes == key_bytes &&
                memcmp(entry->bytes, key, key_bytes) == 0) {
                return link;
            }
        }
    }
    return link;
}

bool kv_map_get(const struct kv_map *map, const void *key, size_t key_bytes, struct kv_value *out)
{
    struct entry *entry = *find(map, key, key_bytes, hash_of(key, key_bytes));
    if (entry == NULL) {
        return false;
    }
    *out = (struct kv_value){entry->bytes + entry->key_bytes, entry->value_bytes};
    return true;
}

/* ---- growing ------------------------------------------------------------------------------- */

static void move_bucket(struct phantom_space *space, struct kv_map *map)
{
    struct entry **from = &map->old->chain[map->moved];
    while (*from != NULL) {
        struct entry *entry = *from;
        struct entry **to = chain_of(map->now, entry->hash);
        *from = entry->next;
        entry->next = *to;
        *to = entry;
        phantom_space_wrote(space, &entry->next, sizeof(entry->next));
        phantom_space_wrote(space, to, sizeof(*to));
    }
    phantom_space_wrote(space, from, sizeof(*from));
    map->moved++;
}

static void grow_a_little(struct phantom_space *space, struct kv_map *map)
{
    if (map->old == NULL && map->count > map->now->buckets) {
        struct table *larger = make_table(space, map->now->buckets * 2);
        if (larger == NULL) {
            return; /* longer chains are no error */
        }
        map->old = map->now;
        map->now = larger;
        map->moved = 0;
    }
    for (int i = 0; map->old != NULL && i < MOVED_PER_CHANGE; i++) {
        move_bucket(space, map);
        if (map->moved == map->old->buckets) {
            phantom_space_free(space, map->old);
            map->old = NULL;
        }
    }
}

/* ---- changing ------------------------------------------------------------------------------ */

static bool put_in_place(struct phantom_space *space, struct entry *entry, const void *value,
                         size_t value_bytes)
{
    if (value_bytes > entry->value_room) {
        return false;
    }
    memcpy(entry->bytes + entry->key_bytes, value, value_bytes);
    if (entry->value_bytes != value_bytes) {
        entry->value_bytes = (uint32_t)value_bytes;
        phantom_space_wrote(space, entry, sizeof(*entry));
    }
    phantom_space_wrote(space, entry->bytes + entry->key_bytes, value_bytes);
    return true;
}

int kv_map_put(struct phantom_space *space, struct kv_map *map, const void *key, size_t key_bytes,
               const void *value, size_t value_bytes)
{
    uint64_t hash = hash_of(key, key_bytes);
    struct entry **link = find(map, key, key_bytes, hash);
    if (*link != NULL && put_in_place(space, *link, value, value_bytes)) {
        return 0;
    }
    if (key_bytes > UINT32_MAX || value_bytes > UINT32_MAX) {
        return -1;
    }
    struct entry *entry = phantom_space_malloc(space, sizeof(*entry) + key_bytes + value_bytes);
    if (entry == NULL) {
        return -1;
    }
    struct entry *former = *link;
    entry->next = former != NULL ? former->next : NULL;
    entry->hash = hash;
    entry->key_bytes = (uint32_t)key_bytes;
    entry->value_bytes = entry->value_room = (uint32_t)value_bytes;
    memcpy(entry->bytes, key, key_bytes);
    memcpy(entry->bytes + key_bytes, value, value_bytes);
    phantom_space_wrote(space, entry, sizeof(*entry) + key_bytes + value_bytes);
    *link = entry;
    phantom_space_wrote(space, link, sizeof(*link));
    if (former != NULL) {
        phantom_space_free(space, former);
        return 0;
    }
    map->count++;
    grow_a_little(space, map);
    phantom_space_wrote(space, map, sizeof(*map));
    return 0;
}

bool kv_map_delete(struct phantom_space *space, struct kv_map *map, const void *key,
                   size_t key_bytes)
{
    struct entry **link = find(map, key, key_bytes, hash_of(key, key_bytes));
    struct entry *entry = *link;
    if (entry == NULL) {
        return false;
    }
    *link = entry->next;
    phantom_space_wrote(space, link, sizeof(*link));
    phantom_space_free(space, entry);
    map->count--;
    phantom_space_wrote(space, map, sizeof(*map));
    return true;
}

uint64_t kv_map_count(const struct kv_map *map)
{
    return map->count;
}

static void clear_table(struct phantom_space *space, struct table *table)
{
    for (uint64_t i = 0; i < table->buckets; i++) {
        for (struct entry *entry = table->chain[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            phantom_space_free(space, entry);
        }
        if (table->chain[i] != NULL) {
            table->chain[i] = NULL;
            phantom_space_wrote(space, &table->chain[i], sizeof(table->chain[i]));
        }
    }
}

void kv_map_clear(struct phantom_space *space, struct kv_map *map)
{
    clear_table(space, map->now);
    if (map->old != NULL) {
        clear_table(space, map->old);
        phantom_space_free(space, map->old);
        map->old = NULL;
    }
    map->count = 0;
    phantom_space_wrote(space, map, sizeof(*map));
}
