/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_lmdb.c - LMDB with its default, synchronous commits; writers queue at its own mutex.
 */
#include "kv_backend.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lmdb_state {
    MDB_env *env;
    MDB_dbi dbi;
};

static void lmdb_close(void *state)
{
    struct lmdb_state *own = state;
    mdb_env_close(own->env);
    free(own);
}

static int put_in(struct lmdb_state *own, MDB_txn *txn, uint32_t key, const uint8_t *value)
{
    MDB_val k = {sizeof(key), &key};
    MDB_val v = {KV_VALUE_BYTES, (void *)(uintptr_t)value};
    return mdb_put(txn, own->dbi, &k, &v, 0);
}

static int lmdb_open(const char *directory, unsigned clients, void **state)
{
    (void)clients;
    struct lmdb_state *own = calloc(1, sizeof(*own));
    MDB_txn *txn;
    if (own == NULL || mdb_env_create(&own->env) != 0) {
        free(own);
        return kv_fail("lmdb: no memory");
    }
    int rc = mdb_env_set_mapsize(own->env, (size_t)4 << 30);
    rc = rc == 0 ? mdb_env_open(own->env, directory, 0, 0600) : rc;
    rc = rc == 0 ? mdb_txn_begin(own->env, NULL, 0, &txn) : rc;
    if (rc == 0) {
        rc = mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &own->dbi);
        rc = rc == 0 ? mdb_txn_commit(txn) : (mdb_txn_abort(txn), rc);
    }
    if (rc != 0) {
        lmdb_close(own);
        return kv_fail("lmdb: open: %s", mdb_strerror(rc));
    }
    *state = own;
    return 0;
}

static int lmdb_load(void *state, uint32_t count, const uint8_t (*values)[KV_VALUE_BYTES])
{
    struct lmdb_state *own = state;
    MDB_txn *txn;
    int rc = mdb_txn_begin(own->env, NULL, 0, &txn);
    for (uint32_t key = 0; rc == 0 && key < count; key++) {
        rc = put_in(own, txn, key, values[key]);
    }
    rc = rc == 0 ? mdb_txn_commit(txn) : rc;
    return rc == 0 ? 0 : kv_fail("lmdb: load: %s", mdb_strerror(rc));
}

static int lmdb_put(void *state, unsigned client, uint32_t key, const uint8_t *value)
{
    (void)client;
    struct lmdb_state *own = state;
    MDB_txn *txn;
    int rc = mdb_txn_begin(own->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = put_in(own, txn, key, value);
        rc = rc == 0 ? mdb_txn_commit(txn) : (mdb_txn_abort(txn), rc);
    }
    return rc == 0 ? 0 : kv_fail("lmdb: put: %s", mdb_strerror(rc));
}

static int lmdb_get(void *state, uint32_t key, uint8_t *value)
{
    struct lmdb_state *own = state;
    MDB_txn *txn;
    if (mdb_txn_begin(own->env, NULL, MDB_RDONLY, &txn) != 0) {
        return -1;
    }
    MDB_val k = {sizeof(key), &key}, v;
    int rc = mdb_get(txn, own->dbi, &k, &v);
    if (rc == 0 && v.mv_size == KV_VALUE_BYTES) {
        memcpy(value, v.mv_data, KV_VALUE_BYTES);
    }
    mdb_txn_abort(txn);
    return rc == 0 ? 0 : -1;
}

const struct kv_backend kv_lmdb = {
    .name = "lmdb",
    .settings = "default flags: each commit synchronous",
    .open = lmdb_open,
    .load = lmdb_load,
    .put = lmdb_put,
    .get = lmdb_get,
    .close = lmdb_close,
};
