/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_sqlite.c - SQLite in WAL mode with synchronous=FULL, in two ways: a connection for each client
 * (they queue at the file lock), and one connection that clients share under a mutex.
 */
#include "kv_backend.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct connection {
    sqlite3 *db;
    sqlite3_stmt *put;
};

struct sqlite_state {
    unsigned count;
    bool shared;
    pthread_mutex_t lock; /* shared only */
    struct connection connection[];
};

static int run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK) {
        return 0;
    }
    kv_fail("sqlite: %s: %s", sql, message != NULL ? message : "?");
    sqlite3_free(message);
    return -1;
}

static int connect_to(const char *path, struct connection *out)
{
    if (sqlite3_open(path, &out->db) != SQLITE_OK) {
        return kv_fail("sqlite: cannot open %s", path);
    }
    sqlite3_busy_timeout(out->db, 60000);
    if (run(out->db, "PRAGMA journal_mode=WAL") != 0 ||
        run(out->db, "PRAGMA synchronous=FULL") != 0 ||
        run(out->db, "CREATE TABLE IF NOT EXISTS kv(k INTEGER PRIMARY KEY, v BLOB)") != 0) {
        return -1;
    }
    const char *sql = "INSERT OR REPLACE INTO kv VALUES(?, ?)";
    return sqlite3_prepare_v2(out->db, sql, -1, &out->put, NULL) == SQLITE_OK
               ? 0
               : kv_fail("sqlite: cannot prepare: %s", sqlite3_errmsg(out->db));
}

static void sqlite_close(void *state)
{
    struct sqlite_state *own = state;
    for (unsigned i = 0; i < own->count; i++) {
        sqlite3_finalize(own->connection[i].put);
        sqlite3_close(own->connection[i].db);
    }
    pthread_mutex_destroy(&own->lock);
    free(own);
}

static int open_with(const char *directory, unsigned connections, bool shared, void **state)
{
    struct sqlite_state *own = calloc(1, sizeof(*own) + connections * sizeof(struct connection));
    if (own == NULL) {
        return kv_fail("no memory");
    }
    char path[4096];
    snprintf(path, sizeof(path), "%s/kv.sqlite", directory);
    own->shared = shared;
    pthread_mutex_init(&own->lock, NULL);
    for (unsigned i = 0; i < connections; i++) {
        own->count = i + 1;
        if (connect_to(path, &own->connection[i]) != 0) {
            sqlite_close(own);
            return -1;
        }
    }
    *state = own;
    return 0;
}

static int sqlite_open(const char *directory, unsigned clients, void **state)
{
    return open_with(directory, clients, false, state);
}

static int sqlite_open_shared(const char *directory, unsigned clients, void **state)
{
    (void)clients;
    return open_with(directory, 1, true, state);
}

static int put_with(struct connection *c, uint32_t key, const uint8_t *value)
{
    sqlite3_bind_int64(c->put, 1, key);
    sqlite3_bind_blob(c->put, 2, value, KV_VALUE_BYTES, SQLITE_STATIC);
    int rc = sqlite3_step(c->put);
    sqlite3_reset(c->put);
    return rc == SQLITE_DONE ? 0 : kv_fail("sqlite: put: %s", sqlite3_errmsg(c->db));
}

static int sqlite_put(void *state, unsigned client, uint32_t key, const uint8_t *value)
{
    struct sqlite_state *own = state;
    if (!own->shared) {
        return put_with(&own->connection[client], key, value);
    }
    pthread_mutex_lock(&own->lock);
    int rc = put_with(&own->connection[0], key, value);
    pthread_mutex_unlock(&own->lock);
    return rc;
}

static int sqlite_load(void *state, uint32_t count, const uint8_t (*values)[KV_VALUE_BYTES])
{
    struct sqlite_state *own = state;
    int rc = run(own->connection[0].db, "BEGIN");
    for (uint32_t key = 0; rc == 0 && key < count; key++) {
        rc = put_with(&own->connection[0], key, values[key]);
    }
    rc = rc == 0 ? run(own->connection[0].db, "COMMIT") : rc;
    return rc == 0 ? run(own->connection[0].db, "PRAGMA wal_checkpoint(TRUNCATE)") : rc;
}

static int sqlite_get(void *state, uint32_t key, uint8_t *value)
{
    struct sqlite_state *own = state;
    sqlite3_stmt *get = NULL;
    int rc = -1;
    if (sqlite3_prepare_v2(own->connection[0].db, "SELECT v FROM kv WHERE k=?", -1, &get, NULL) ==
        SQLITE_OK) {
        sqlite3_bind_int64(get, 1, key);
        if (sqlite3_step(get) == SQLITE_ROW && sqlite3_column_bytes(get, 0) == KV_VALUE_BYTES) {
            memcpy(value, sqlite3_column_blob(get, 0), KV_VALUE_BYTES);
            rc = 0;
        }
    }
    sqlite3_finalize(get);
    return rc;
}

const struct kv_backend kv_sqlite = {
    .name = "sqlite",
    .settings = "WAL, synchronous=FULL, a connection for each client",
    .open = sqlite_open,
    .load = sqlite_load,
    .put = sqlite_put,
    .get = sqlite_get,
    .close = sqlite_close,
};

const struct kv_backend kv_sqlite_shared = {
    .name = "sqlite-shared",
    .settings = "WAL, synchronous=FULL, one connection under a mutex",
    .open = sqlite_open_shared,
    .load = sqlite_load,
    .put = sqlite_put,
    .get = sqlite_get,
    .close = sqlite_close,
};
