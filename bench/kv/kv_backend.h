/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_backend.h - one store of keys and values in the durable-commit bench: 32-bit keys, values of
 * a fixed size, every put durable when it returns.
 */
#ifndef KV_BACKEND_H
#define KV_BACKEND_H

#include <stddef.h>
#include <stdint.h>

enum { KV_VALUE_BYTES = 100 };

struct kv_backend {
    const char *name;
    const char *settings; /* what makes it durable, for the report */
    /** Make or open the store in an existing folder. 0, or a message was printed. */
    int (*open)(const char *directory, unsigned clients, void **state);
    /** Fill keys 0..count-1; durable as a whole when it returns, however it gets there. */
    int (*load)(void *state, uint32_t count, const uint8_t (*values)[KV_VALUE_BYTES]);
    /** One operation of one client: durable when 0 is returned. Clients call at the same time,
     *  each from its own thread. */
    int (*put)(void *state, unsigned client, uint32_t key, const uint8_t *value);
    /** Read back, for the check after reopening. 0 and the value, or -1. Client 0 only. */
    int (*get)(void *state, uint32_t key, uint8_t *value);
    void (*close)(void *state);
};

extern const struct kv_backend kv_sqlite, kv_sqlite_shared, kv_lmdb, kv_redis, kv_log, kv_space;

/** Say what went wrong and return -1. */
int kv_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* KV_BACKEND_H */
