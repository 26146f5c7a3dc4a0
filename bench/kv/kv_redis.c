/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_redis.c - a redis-server of our own on a Unix socket, append-only file with appendfsync
 * always, no rewriting, no RDB files; a connection for each client.
 */
#include "kv_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct redis_state {
    pid_t server;
    unsigned count;
    redisContext *connection[];
};

static pid_t start_server(const char *directory, const char *socket)
{
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket, "--dir",
               directory, "--appendonly", "yes", "--appendfsync", "always", "--save", "",
               "--auto-aof-rewrite-percentage", "0", "--daemonize", "no", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void redis_close(void *state)
{
    struct redis_state *own = state;
    for (unsigned i = 0; i < own->count; i++) {
        if (own->connection[i] != NULL) {
            redisFree(own->connection[i]);
        }
    }
    kill(own->server, SIGTERM);
    waitpid(own->server, NULL, 0);
    free(own);
}

/** The server is ready when it answers PING: it loads its file first. */
static redisContext *connect_when_ready(const char *socket, pid_t server)
{
    for (int attempt = 0; attempt < 3000; attempt++) {
        redisContext *c = redisConnectUnix(socket);
        redisReply *reply = c != NULL && c->err == 0 ? redisCommand(c, "PING") : NULL;
        bool ready = reply != NULL && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        if (ready) {
            return c;
        }
        if (c != NULL) {
            redisFree(c);
        }
        if (waitpid(server, NULL, WNOHANG) != 0) {
            return NULL;
        }
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return NULL;
}

static int redis_open(const char *directory, unsigned clients, void **state)
{
    struct redis_state *own = calloc(1, sizeof(*own) + clients * sizeof(redisContext *));
    char socket[108];
    if (own == NULL ||
        snprintf(socket, sizeof(socket), "%s/kv.sock", directory) >= (int)sizeof(socket)) {
        free(own);
        return kv_fail("redis: no memory, or the folder's name is too long for a socket");
    }
    own->server = start_server(directory, socket);
    own->count = clients;
    for (unsigned i = 0; i < clients; i++) {
        own->connection[i] = connect_when_ready(socket, own->server);
        if (own->connection[i] == NULL) {
            redis_close(own);
            return kv_fail("redis-server did not start");
        }
    }
    *state = own;
    return 0;
}

static int redis_put(void *state, unsigned client, uint32_t key, const uint8_t *value)
{
    struct redis_state *own = state;
    redisReply *reply =
        redisCommand(own->connection[client], "SET %u %b", key, value, (size_t)KV_VALUE_BYTES);
    int rc = reply != NULL && reply->type == REDIS_REPLY_STATUS
                 ? 0
                 : kv_fail("redis: put: %s", reply != NULL ? reply->str : "connection lost");
    freeReplyObject(reply);
    return rc;
}

static int redis_load(void *state, uint32_t count, const uint8_t (*values)[KV_VALUE_BYTES])
{
    struct redis_state *own = state;
    for (uint32_t key = 0; key < count;) {
        uint32_t batch = count - key < 1000 ? count - key : 1000;
        for (uint32_t i = 0; i < batch; i++) {
            redisAppendCommand(own->connection[0], "SET %u %b", key + i, values[key + i],
                               (size_t)KV_VALUE_BYTES);
        }
        for (uint32_t i = 0; i < batch; i++, key++) {
            redisReply *reply = NULL;
            if (redisGetReply(own->connection[0], (void **)&reply) != REDIS_OK) {
                return kv_fail("redis: load: connection lost");
            }
            freeReplyObject(reply);
        }
    }
    return 0;
}

static int redis_get(void *state, uint32_t key, uint8_t *value)
{
    struct redis_state *own = state;
    redisReply *reply = redisCommand(own->connection[0], "GET %u", key);
    int rc = -1;
    if (reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == KV_VALUE_BYTES) {
        memcpy(value, reply->str, KV_VALUE_BYTES);
        rc = 0;
    }
    freeReplyObject(reply);
    return rc;
}

const struct kv_backend kv_redis = {
    .name = "redis",
    .settings = "appendonly yes, appendfsync always, Unix socket",
    .open = redis_open,
    .load = redis_load,
    .put = redis_put,
    .get = redis_get,
    .close = redis_close,
};
