/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_space.c - the hash map of examples/kvserver in a space, in the clients' own process; a put is
 * durable by phantom_space_commit().
 */
#include "kv_backend.h"

#include "examples/kvserver/kv_map.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct space_state {
    struct phantom_space *space;
    struct kv_map *map;
    pthread_mutex_t lock;
};

static int space_open(const char *directory, unsigned clients, void **state)
{
    (void)clients;
    struct space_state *own = calloc(1, sizeof(*own));
    struct phantom_space_options options;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    char path[4096];
    snprintf(path, sizeof(path), "%s/kv.phantom", directory);
    phantom_space_options_init(&options);
    options.all_stores_announced = true;
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    if (own == NULL || phantom_space_open(path, &options, &own->space, &diag) != 0) {
        free(own);
        return kv_fail("space: %s", diag.text);
    }
    pthread_mutex_init(&own->lock, NULL);
    phantom_space_enter(own->space);
    own->map = phantom_space_root(own->space, "map");
    if (own->map == NULL) {
        own->map = kv_map_create(own->space);
        phantom_space_set_root(own->space, "map", own->map);
    }
    phantom_space_leave(own->space);
    *state = own;
    return own->map != NULL ? 0 : kv_fail("space: full");
}

static int put_only(struct space_state *own, uint32_t key, const uint8_t *value)
{
    pthread_mutex_lock(&own->lock);
    int rc = phantom_space_enter(own->space);
    if (rc == 0) {
        rc = kv_map_put(own->space, own->map, &key, sizeof(key), value, KV_VALUE_BYTES);
        phantom_space_leave(own->space);
    }
    pthread_mutex_unlock(&own->lock);
    return rc;
}

static int commit(struct space_state *own)
{
    int rc = phantom_space_commit(own->space);
    return rc == 0 ? 0 : kv_fail("space: commit: %s", phantom_strerror(rc));
}

static int space_load(void *state, uint32_t count, const uint8_t (*values)[KV_VALUE_BYTES])
{
    int rc = 0;
    for (uint32_t key = 0; rc == 0 && key < count; key++) {
        rc = put_only(state, key, values[key]);
    }
    return rc == 0 ? commit(state) : kv_fail("space: load");
}

static int space_put(void *state, unsigned client, uint32_t key, const uint8_t *value)
{
    (void)client;
    return put_only(state, key, value) == 0 ? commit(state) : kv_fail("space: put");
}

static int space_get(void *state, uint32_t key, uint8_t *value)
{
    struct space_state *own = state;
    struct kv_value found;
    if (!kv_map_get(own->map, &key, sizeof(key), &found) || found.count != KV_VALUE_BYTES) {
        return -1;
    }
    memcpy(value, found.bytes, KV_VALUE_BYTES);
    return 0;
}

static void space_close(void *state)
{
    struct space_state *own = state;
    (void)phantom_space_close(own->space);
    pthread_mutex_destroy(&own->lock);
    free(own);
}

const struct kv_backend kv_space = {
    .name = "space",
    .settings = "hash map in a space, stores announced, phantom_space_commit()",
    .open = space_open,
    .load = space_load,
    .put = space_put,
    .get = space_get,
    .close = space_close,
};
