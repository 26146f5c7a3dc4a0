/* SPDX-License-Identifier: Apache-2.0
 *
 * kv_commands.c - the commands, one function each, and the table that names them. The names and
 * replies are those of Redis, for strings and what redis-cli and redis-benchmark ask at their
 * start.
 */
#include "kv_commands.h"

#include <phantom/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct call {
    struct phantom_space *space;
    struct kv_map *map;
    unsigned count;
    const struct resp_argument *argument;
    struct resp_buffer *reply;
    bool wrote, save;
};

static const char full[] = "OOM the space is full";

/* ---- talk ---------------------------------------------------------------------------------- */

static int do_ping(struct call *call)
{
    return call->count > 1
               ? resp_bulk(call->reply, call->argument[1].bytes, call->argument[1].count)
               : resp_status(call->reply, "PONG");
}

static int do_echo(struct call *call)
{
    return resp_bulk(call->reply, call->argument[1].bytes, call->argument[1].count);
}

static int do_ok(struct call *call)
{
    return resp_status(call->reply, "OK");
}

static int do_bgsave(struct call *call)
{
    call->save = true;
    return resp_status(call->reply, "Background saving started");
}

static int do_command(struct call *call)
{
    return resp_array(call->reply, 0);
}

static int do_info(struct call *call)
{
    char text[240];
    struct phantom_counters counters = {.size = sizeof(counters)};
    phantom_space_snapshot_counters(call->space, &counters);
    int length = snprintf(text, sizeof(text),
                          "# Phantom\r\nkeys:%" PRIu64 "\r\ngenerations:%" PRIu64
                          "\r\npause_p99_us:%" PRIu64 "\r\npause_max_us:%" PRIu64 "\r\n",
                          kv_map_count(call->map), counters.snapshots, counters.pause_p99_ns / 1000,
                          counters.pause_most_ns / 1000);
    return resp_bulk(call->reply, text, (size_t)length);
}

/** Benchmarks ask how durable we are. */
static int do_config(struct call *call)
{
    static const char *const settings[][2] = {
        {"save", ""}, {"appendonly", "yes"}, {"appendfsync", "always"}};
    if (call->count != 3 || call->argument[1].count != 3 ||
        strncasecmp(call->argument[1].bytes, "get", 3) != 0) {
        return resp_error(call->reply, "ERR only CONFIG GET name");
    }
    const struct resp_argument *name = &call->argument[2];
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (strlen(settings[i][0]) == name->count &&
            strncasecmp(settings[i][0], name->bytes, name->count) == 0) {
            int rc = resp_array(call->reply, 2);
            rc = rc == 0 ? resp_bulk(call->reply, name->bytes, name->count) : rc;
            return rc == 0 ? resp_bulk(call->reply, settings[i][1], strlen(settings[i][1])) : rc;
        }
    }
    return resp_array(call->reply, 0);
}

/* ---- read ---------------------------------------------------------------------------------- */

static int reply_value(struct call *call, const struct resp_argument *key)
{
    struct kv_value value;
    return kv_map_get(call->map, key->bytes, key->count, &value)
               ? resp_bulk(call->reply, value.bytes, value.count)
               : resp_null(call->reply);
}

static int do_get(struct call *call)
{
    return reply_value(call, &call->argument[1]);
}

static int do_mget(struct call *call)
{
    int rc = resp_array(call->reply, call->count - 1);
    for (unsigned i = 1; rc == 0 && i < call->count; i++) {
        rc = reply_value(call, &call->argument[i]);
    }
    return rc;
}

static int do_exists(struct call *call)
{
    long long found = 0;
    struct kv_value value;
    for (unsigned i = 1; i < call->count; i++) {
        found += kv_map_get(call->map, call->argument[i].bytes, call->argument[i].count, &value);
    }
    return resp_integer(call->reply, found);
}

static int do_strlen(struct call *call)
{
    struct kv_value value = {NULL, 0};
    kv_map_get(call->map, call->argument[1].bytes, call->argument[1].count, &value);
    return resp_integer(call->reply, (long long)value.count);
}

static int do_dbsize(struct call *call)
{
    return resp_integer(call->reply, (long long)kv_map_count(call->map));
}

/* ---- change -------------------------------------------------------------------------------- */

static int put(struct call *call, const struct resp_argument *key, const void *value, size_t bytes)
{
    int rc = kv_map_put(call->space, call->map, key->bytes, key->count, value, bytes);
    call->wrote = call->wrote || rc == 0;
    return rc;
}

static int do_set(struct call *call)
{
    const struct resp_argument *value = &call->argument[2];
    return put(call, &call->argument[1], value->bytes, value->count) == 0
               ? resp_status(call->reply, "OK")
               : resp_error(call->reply, full);
}

static int do_mset(struct call *call)
{
    if (call->count % 2 == 0) {
        return resp_error(call->reply, "ERR wrong number of arguments for 'mset' command");
    }
    for (unsigned i = 1; i < call->count; i += 2) {
        const struct resp_argument *value = &call->argument[i + 1];
        if (put(call, &call->argument[i], value->bytes, value->count) != 0) {
            return resp_error(call->reply, full);
        }
    }
    return resp_status(call->reply, "OK");
}

static int do_del(struct call *call)
{
    long long gone = 0;
    for (unsigned i = 1; i < call->count; i++) {
        gone +=
            kv_map_delete(call->space, call->map, call->argument[i].bytes, call->argument[i].count);
    }
    call->wrote = gone != 0;
    return resp_integer(call->reply, gone);
}

static int do_append(struct call *call)
{
    const struct resp_argument *key = &call->argument[1], *more = &call->argument[2];
    struct kv_value value = {NULL, 0};
    kv_map_get(call->map, key->bytes, key->count, &value);
    size_t bytes = value.count + more->count;
    char *joined = malloc(bytes != 0 ? bytes : 1);
    if (joined == NULL) {
        return -1;
    }
    memcpy(joined, value.bytes != NULL ? value.bytes : "", value.count);
    memcpy(joined + value.count, more->bytes, more->count);
    int rc = put(call, key, joined, bytes);
    free(joined);
    return rc == 0 ? resp_integer(call->reply, (long long)bytes) : resp_error(call->reply, full);
}

/** A whole number in decimal, nothing around it. */
static bool parse_integer(const void *bytes, size_t count, long long *out)
{
    char text[24], *end;
    if (count == 0 || count >= sizeof(text)) {
        return false;
    }
    memcpy(text, bytes, count);
    text[count] = '\0';
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
}

static int add_to(struct call *call, long long by)
{
    const struct resp_argument *key = &call->argument[1];
    struct kv_value value;
    long long number = 0;
    if (kv_map_get(call->map, key->bytes, key->count, &value) &&
        !parse_integer(value.bytes, value.count, &number)) {
        return resp_error(call->reply, "ERR value is not an integer or out of range");
    }
    if (__builtin_add_overflow(number, by, &number)) {
        return resp_error(call->reply, "ERR increment or decrement would overflow");
    }
    char text[24];
    int length = snprintf(text, sizeof(text), "%lld", number);
    return put(call, key, text, (size_t)length) == 0 ? resp_integer(call->reply, number)
                                                     : resp_error(call->reply, full);
}

static int do_incr(struct call *call)
{
    return add_to(call, 1);
}

static int do_decr(struct call *call)
{
    return add_to(call, -1);
}

static int do_incrby(struct call *call)
{
    long long by;
    if (!parse_integer(call->argument[2].bytes, call->argument[2].count, &by)) {
        return resp_error(call->reply, "ERR value is not an integer or out of range");
    }
    return add_to(call, by);
}

static int do_flush(struct call *call)
{
    kv_map_clear(call->space, call->map);
    call->wrote = true;
    return resp_status(call->reply, "OK");
}

/* ---- the table ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned least, most; /* words, the name included */
    int (*execute)(struct call *call);
} commands[] = {
    {"get", 2, 2, do_get},
    {"set", 3, 3, do_set},
    {"del", 2, RESP_ARGUMENTS_MOST, do_del},
    {"exists", 2, RESP_ARGUMENTS_MOST, do_exists},
    {"mget", 2, RESP_ARGUMENTS_MOST, do_mget},
    {"mset", 3, RESP_ARGUMENTS_MOST, do_mset},
    {"append", 3, 3, do_append},
    {"strlen", 2, 2, do_strlen},
    {"incr", 2, 2, do_incr},
    {"decr", 2, 2, do_decr},
    {"incrby", 3, 3, do_incrby},
    {"dbsize", 1, 1, do_dbsize},
    {"flushall", 1, 2, do_flush},
    {"flushdb", 1, 2, do_flush},
    {"ping", 1, 2, do_ping},
    {"echo", 2, 2, do_echo},
    {"select", 2, 2, do_ok},
    {"client", 2, RESP_ARGUMENTS_MOST, do_ok},
    {"command", 1, RESP_ARGUMENTS_MOST, do_command},
    {"config", 2, RESP_ARGUMENTS_MOST, do_config},
    {"bgsave", 1, 2, do_bgsave},
    {"info", 1, RESP_ARGUMENTS_MOST, do_info},
    {"quit", 1, 1, do_ok},
};

static int execute(struct call *call)
{
    char text[96];
    const struct resp_argument *name = &call->argument[0];
    int shown = name->count < 32 ? (int)name->count : 32;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strlen(commands[i].name) != name->count ||
            strncasecmp(commands[i].name, name->bytes, name->count) != 0) {
            continue;
        }
        if (call->count >= commands[i].least && call->count <= commands[i].most) {
            return commands[i].execute(call);
        }
        snprintf(text, sizeof(text), "ERR wrong number of arguments for '%s' command",
                 commands[i].name);
        return resp_error(call->reply, text);
    }
    snprintf(text, sizeof(text), "ERR unknown command '%.*s'", shown, name->bytes);
    for (char *at = text; *at != '\0'; at++) { /* an error is one line */
        *at = *at < ' ' ? '?' : *at;
    }
    return resp_error(call->reply, text);
}

int kv_execute(struct phantom_space *space, struct kv_map *map, const struct resp_command *command,
               struct resp_buffer *reply)
{
    struct call call = {.space = space,
                        .map = map,
                        .count = command->count,
                        .argument = command->argument,
                        .reply = reply};
    int rc = execute(&call);
    const struct resp_argument *name = &command->argument[0];
    if (rc != 0) {
        return KV_NO_MEMORY;
    }
    if (name->count == 4 && strncasecmp(name->bytes, "quit", 4) == 0) {
        return KV_QUIT;
    }
    return call.save ? KV_SAVE : call.wrote ? KV_WROTE : KV_READ;
}
