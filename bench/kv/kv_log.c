/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_log.c - the least a durable put can cost: a table in memory and a log in a file that was
 * preallocated and written once. Group commit: the first waiter writes for all, in its own thread.
 * It is the ruler, not a database: nothing reads it back.
 */
#include "kv_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOG_BYTES = 1 << 30,
    BLOCK = 4096,
    GROUP_BYTES = 64 * BLOCK,
    ENTRIES_PER_BLOCK = (BLOCK - 8) / (4 + KV_VALUE_BYTES),
};

struct entry {
    uint32_t key;
    uint8_t value[KV_VALUE_BYTES];
};

struct block {
    uint64_t count;
    struct entry entry[ENTRIES_PER_BLOCK];
    uint8_t zero[BLOCK - 8 - ENTRIES_PER_BLOCK * sizeof(struct entry)];
};
_Static_assert(sizeof(struct block) == BLOCK, "a block of the log");

struct log_state {
    int fd;
    uint64_t offset; /* of the leader */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool leading;
    uint64_t group, durable; /* group: the one that collects; durable: the newest one on disk */
    unsigned waiting, last_size;
    bool failed;
    struct block *block[2]; /* collecting and being written, by parity of the group */
};

static int log_open(const char *directory, unsigned clients, void **state)
{
    (void)clients;
    struct log_state *own = calloc(1, sizeof(*own));
    char path[4096];
    snprintf(path, sizeof(path), "%s/kv.log", directory);
    if (own == NULL || posix_memalign((void **)&own->block[0], BLOCK, GROUP_BYTES) != 0 ||
        posix_memalign((void **)&own->block[1], BLOCK, GROUP_BYTES) != 0) {
        return kv_fail("log: no memory");
    }
    memset(own->block[0], 0, GROUP_BYTES);
    memset(own->block[1], 0, GROUP_BYTES);
    own->fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (own->fd < 0) {
        return kv_fail("log: %s: %s", path, strerror(errno));
    }
    own->group = 1;
    pthread_mutex_init(&own->lock, NULL);
    pthread_cond_init(&own->changed, NULL);
    *state = own;
    return 0;
}

/** Preallocates and writes the file once; the table that a real program would have is not kept. */
static int log_load(void *state, uint32_t count, const uint8_t (*values)[KV_VALUE_BYTES])
{
    struct log_state *own = state;
    (void)count;
    (void)values;
    enum { CHUNK = 1 << 20 };
    uint8_t *zeros;
    if (posix_memalign((void **)&zeros, BLOCK, CHUNK) != 0) {
        return kv_fail("log: no memory");
    }
    memset(zeros, 0, CHUNK);
    int rc = 0;
    for (off_t at = 0; rc == 0 && at < LOG_BYTES; at += CHUNK) {
        rc = pwrite(own->fd, zeros, CHUNK, at) == CHUNK ? 0 : kv_fail("log: no space");
    }
    free(zeros);
    return rc == 0 ? fdatasync(own->fd) : rc;
}

static void append(struct log_state *own, uint32_t key, const uint8_t *value)
{
    struct block *block = &own->block[own->group % 2][own->waiting / ENTRIES_PER_BLOCK];
    struct entry *entry = &block->entry[block->count++];
    entry->key = key;
    memcpy(entry->value, value, KV_VALUE_BYTES);
    own->waiting++;
}

/** Write the collected group. Lock held; released while the disk works. */
static void lead(struct log_state *own)
{
    own->leading = true;
    for (int turn = 0; turn < 16 && own->waiting < own->last_size; turn++) {
        pthread_mutex_unlock(&own->lock);
        sched_yield();
        pthread_mutex_lock(&own->lock);
    }
    uint64_t group = own->group++;
    unsigned size = own->waiting;
    own->last_size = size;
    own->waiting = 0;
    size_t bytes = (size_t)(size + ENTRIES_PER_BLOCK - 1) / ENTRIES_PER_BLOCK * BLOCK;
    if (own->offset + bytes > LOG_BYTES) {
        own->offset = 0;
    }
    pthread_mutex_unlock(&own->lock);
    bool good =
        pwrite(own->fd, own->block[group % 2], bytes, (off_t)own->offset) == (ssize_t)bytes &&
        fdatasync(own->fd) == 0;
    memset(own->block[group % 2], 0, bytes);
    pthread_mutex_lock(&own->lock);
    own->offset += bytes;
    own->failed = own->failed || !good;
    own->durable = group;
    own->leading = false;
    pthread_cond_broadcast(&own->changed);
}

static int log_put(void *state, unsigned client, uint32_t key, const uint8_t *value)
{
    (void)client;
    struct log_state *own = state;
    pthread_mutex_lock(&own->lock);
    append(own, key, value);
    uint64_t mine = own->group;
    while (own->durable < mine && !own->failed) {
        if (!own->leading) {
            lead(own);
        } else {
            pthread_cond_wait(&own->changed, &own->lock);
        }
    }
    bool failed = own->failed;
    pthread_mutex_unlock(&own->lock);
    return failed ? kv_fail("log: write failed") : 0;
}

static void log_close(void *state)
{
    struct log_state *own = state;
    close(own->fd);
    pthread_mutex_destroy(&own->lock);
    pthread_cond_destroy(&own->changed);
    free(own->block[0]);
    free(own->block[1]);
    free(own);
}

const struct kv_backend kv_log = {
    .name = "log",
    .settings = "the ruler: preallocated O_DIRECT log, group commit, pwrite + fdatasync",
    .open = log_open,
    .load = log_load,
    .put = log_put,
    .close = log_close,
};
