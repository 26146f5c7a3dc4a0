/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_map.h - a hash map from bytes to bytes that lives in a space. It contains no word about
 * saving or loading: plain pointers, plain structures, allocated in the space.
 *
 * It grows by moving a bucket or two with each change, so that no operation is long. Every write
 * is announced with phantom_space_wrote(), as a space opened with all_stores_announced wants it.
 * The caller does the locking and brackets each call with phantom_space_enter() and leave().
 */
#ifndef KV_MAP_H
#define KV_MAP_H

#include <phantom/space.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv_map;

struct kv_value {
    const void *bytes; /* in the space; valid until the next change of the map */
    size_t count;
};

/** An empty map, or NULL: the space is full. */
struct kv_map *kv_map_create(struct phantom_space *space);
bool kv_map_get(const struct kv_map *map, const void *key, size_t key_bytes, struct kv_value *out);
/** Put or replace. 0, or -1: the space is full, nothing changed. */
int kv_map_put(struct phantom_space *space, struct kv_map *map, const void *key, size_t key_bytes,
               const void *value, size_t value_bytes);
/** True if it was there. */
bool kv_map_delete(struct phantom_space *space, struct kv_map *map, const void *key,
                   size_t key_bytes);
uint64_t kv_map_count(const struct kv_map *map);
void kv_map_clear(struct phantom_space *space, struct kv_map *map);

#endif /* KV_MAP_H */
