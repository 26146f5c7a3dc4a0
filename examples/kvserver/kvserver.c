/* SPDX-License-Identifier: Apache-2.0
 *
 * kvserver.c - a small key-value server whose only storage code is a space. It speaks enough of the
 * Redis protocol for redis-cli and redis-benchmark, on the loopback interface:
 *
 *     kvserver STORE [--port N] [--heap-mib N] [--interval MS] [--announced 0|1]
 *
 * Every reply that depends on a change goes out after the change is durable. With --interval
 * changes are acknowledged at once instead, and a snapshot is taken every so often (0: only when a
 * client says BGSAVE), as Redis does with RDB files: a crash loses what came after the last one.
 * With --announced 0 the kernel finds what was written; the calls that say so then mean nothing.
 *
 * All connections share one thread, and there is one commit at a time: while a generation is being
 * written, commands go on and collect for the next one, so that many clients share each flush.
 *
 *     commands --> collecting --(commit begins)--> committing --(durable)--> out
 *
 * True between callbacks: bytes in a connection's `committing` are older than those in its
 * `collecting`; `collecting` of any connection is empty unless server.changed; `committing` is
 * empty unless server.round_open.
 */
#include "kv_commands.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    READ_BYTES = 64 << 10,
    HELD_MOST = 16 << 20, /* replies a connection may have waiting before it is no longer read */
    RETRY_MS = 100,
};

struct server;

struct connection {
    uv_tcp_t tcp; /* first: handles are cast to connections */
    struct server *server;
    struct connection *next, **link; /* in server.connections */
    struct resp_buffer in, collecting, committing;
    unsigned writes; /* under way */
    bool closing;    /* when everything is out */
    bool paused;
};

struct server {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_async_t safe; /* a commit has ended */
    uv_check_t after_poll;
    uv_timer_t retry;
    uv_signal_t stop[2];
    struct connection *connections;
    struct phantom_space *space;
    struct kv_map *map;
    bool changed;    /* since the last commit began */
    bool round_open; /* a commit is under way */
    bool at_once;    /* changes are acknowledged at once */
    bool save;       /* a client has asked for a snapshot */
    atomic_int result;
    bool stopping;
    int exit_code;
};

struct outgoing {
    uv_write_t request;
    struct connection *connection;
    char *bytes;
};

/* ---- connections --------------------------------------------------------------------------- */

static void connection_closed(uv_handle_t *handle)
{
    struct connection *c = (struct connection *)handle;
    resp_free(&c->in);
    resp_free(&c->collecting);
    resp_free(&c->committing);
    free(c);
}

static void drop(struct connection *c)
{
    if (uv_is_closing((uv_handle_t *)&c->tcp)) {
        return;
    }
    *c->link = c->next;
    if (c->next != NULL) {
        c->next->link = c->link;
    }
    uv_close((uv_handle_t *)&c->tcp, connection_closed);
}

static void start_reading(struct connection *c);

static void settle(struct connection *c)
{
    size_t held = c->collecting.count + c->committing.count;
    if (c->closing && held == 0 && c->writes == 0) {
        drop(c);
    } else if (c->paused && held < HELD_MOST && c->writes == 0) {
        c->paused = false;
        start_reading(c);
    }
}

static void write_done(uv_write_t *request, int status)
{
    struct outgoing *outgoing = (struct outgoing *)request;
    struct connection *c = outgoing->connection;
    free(outgoing->bytes);
    free(outgoing);
    c->writes--;
    if (status < 0) {
        drop(c);
    } else if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
        settle(c);
    }
}

/** Send what is in the buffer; it is empty afterwards. */
static void send_out(struct connection *c, struct resp_buffer *buffer)
{
    if (buffer->count == 0) {
        return;
    }
    uv_buf_t bytes = uv_buf_init(buffer->bytes, (unsigned)buffer->count);
    int sent = c->writes == 0 ? uv_try_write((uv_stream_t *)&c->tcp, &bytes, 1) : 0;
    if (sent == (int)buffer->count) { /* the usual case: keep the memory */
        buffer->count = 0;
        return;
    }
    resp_drop(buffer, sent > 0 ? (size_t)sent : 0);
    struct outgoing *outgoing = malloc(sizeof(*outgoing));
    if (outgoing == NULL) {
        drop(c);
        return;
    }
    outgoing->connection = c;
    outgoing->bytes = buffer->bytes;
    bytes = uv_buf_init(buffer->bytes, (unsigned)buffer->count);
    *buffer = (struct resp_buffer){0};
    c->writes++;
    if (uv_write(&outgoing->request, (uv_stream_t *)&c->tcp, &bytes, 1, write_done) != 0) {
        c->writes--;
        free(outgoing->bytes);
        free(outgoing);
        drop(c);
    }
}

/* ---- commands ------------------------------------------------------------------------------ */

/** A snapshot that a client has asked for; of a failure the space has told already (say()). */
static void saved(void *context, int result)
{
    (void)context;
    (void)result;
}

/** Execute every whole command that has arrived. */
static void execute_all(struct connection *c)
{
    struct server *server = c->server;
    static struct resp_command command; /* one thread */
    size_t done = 0;
    if (phantom_space_enter(server->space) != 0) {
        drop(c);
        return;
    }
    /* A reply waits for the newest change it may have seen. */
    struct resp_buffer *reply = server->changed ? &c->collecting : &c->committing;
    while (!c->closing) {
        const char *why = "";
        long taken = resp_read(c->in.bytes + done, c->in.count - done, &command, &why);
        if (taken == 0) {
            break;
        }
        if (taken < 0) {
            char text[96];
            snprintf(text, sizeof(text), "ERR Protocol error: %s", why);
            (void)resp_error(reply, text);
            c->closing = true;
            break;
        }
        done += (size_t)taken;
        if (command.count == 0) {
            continue;
        }
        if (!server->changed) { /* if this command writes, its own reply must wait already */
            reply = &c->collecting;
        }
        size_t before = reply->count;
        int effect = kv_execute(server->space, server->map, &command, reply);
        if (effect == KV_WROTE && !server->at_once) {
            server->changed = true;
        } else if (!server->changed) { /* nothing new to wait for: go with the older ones */
            if (resp_add(&c->committing, reply->bytes + before, reply->count - before) != 0) {
                effect = KV_NO_MEMORY;
            }
            reply->count = before;
        }
        c->closing = effect == KV_QUIT;
        server->save = server->save || effect == KV_SAVE;
        if (effect == KV_NO_MEMORY) {
            drop(c);
            break;
        }
    }
    phantom_space_leave(server->space);
    if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
        resp_drop(&c->in, done);
    }
    if (server->save) { /* one that is asked for while another is taken follows it */
        server->save = false;
        (void)phantom_space_when_safe(server->space, saved, server);
    }
}

static void bytes_came(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct connection *c = (struct connection *)stream;
    if (count < 0) {
        drop(c);
        return;
    }
    if (resp_add(&c->in, buffer->base, (size_t)count) != 0) {
        drop(c);
        return;
    }
    execute_all(c);
    if (uv_is_closing((uv_handle_t *)stream)) {
        return;
    }
    if (!c->server->round_open) { /* nothing that these replies could have to wait for */
        send_out(c, &c->committing);
    }
    if (c->collecting.count + c->committing.count >= HELD_MOST || c->closing || c->writes > 0) {
        uv_read_stop(stream);
        c->paused = true;
    }
    settle(c);
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char room[READ_BYTES]; /* one thread, and bytes_came() copies at once */
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(room, sizeof(room));
}

static void start_reading(struct connection *c)
{
    if (uv_read_start((uv_stream_t *)&c->tcp, give_room, bytes_came) != 0) {
        drop(c);
    }
}

static void client_came(uv_stream_t *listener, int status)
{
    struct server *server = listener->data;
    struct connection *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;
    if (c == NULL) {
        return;
    }
    c->server = server;
    if (uv_tcp_init(&server->loop, &c->tcp) != 0) {
        free(c);
        return;
    }
    c->next = server->connections;
    c->link = &server->connections;
    if (c->next != NULL) {
        c->next->link = &c->next;
    }
    server->connections = c;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0) {
        drop(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    start_reading(c);
}

/* ---- commits ------------------------------------------------------------------------------- */

/** From whatever thread wrote the generation. */
static void is_safe(void *context, int result)
{
    struct server *server = context;
    atomic_store(&server->result, result);
    uv_async_send(&server->safe);
}

static void stop_everything(struct server *server, int exit_code)
{
    server->stopping = true;
    server->exit_code = exit_code;
    uv_stop(&server->loop);
}

static void begin_commit(struct server *server)
{
    server->changed = false;
    server->round_open = true;
    for (struct connection *c = server->connections; c != NULL; c = c->next) {
        struct resp_buffer empty = c->committing; /* its memory is used again */
        c->committing = c->collecting;
        c->collecting = empty;
    }
    int rc = phantom_space_when_safe(server->space, is_safe, server);
    if (rc != 0) {
        is_safe(server, rc);
    }
}

static void maybe_begin_commit(uv_check_t *check)
{
    struct server *server = check->data;
    if (server->changed && !server->round_open) {
        begin_commit(server);
    }
}

static void try_again(uv_timer_t *timer)
{
    struct server *server = timer->data;
    int rc = phantom_space_when_safe(server->space, is_safe, server);
    if (rc != 0) {
        is_safe(server, rc);
    }
}

static void commit_ended(uv_async_t *async)
{
    struct server *server = async->data;
    int result = atomic_load(&server->result);
    if (!server->round_open) {
        return;
    }
    if (result == PHANTOM_EPOISONED || result == PHANTOM_ESTOPPED) {
        fprintf(stderr, "kvserver: nothing can be saved any more: %s\n", phantom_strerror(result));
        stop_everything(server, 5);
        return;
    }
    if (result != 0) { /* refused: nobody has been told anything yet, so try until it works */
        fprintf(stderr, "kvserver: not saved yet: %s\n", phantom_strerror(result));
        uv_timer_start(&server->retry, try_again, RETRY_MS, 0);
        return;
    }
    server->round_open = false;
    for (struct connection *c = server->connections, *next; c != NULL; c = next) {
        next = c->next;
        send_out(c, &c->committing);
        if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
            settle(c);
        }
    }
    maybe_begin_commit(&server->after_poll);
}

/* ---- start and end ------------------------------------------------------------------------- */

static void signal_came(uv_signal_t *handle, int number)
{
    (void)number;
    stop_everything(handle->data, 0);
}

static void say(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "kvserver: %s\n", text);
}

struct settings {
    long port, heap_mib, interval_ms, announced; /* interval_ms < 0: each change is committed */
};

static int open_space(struct server *server, const char *path, const struct settings *set)
{
    struct phantom_space_options options;
    phantom_space_options_init(&options);
    options.heap_size = (uint64_t)set->heap_mib << 20;
    options.all_stores_announced = set->announced != 0;
    options.interval_ms =
        set->interval_ms > 0 ? (unsigned)set->interval_ms : PHANTOM_SPACE_NO_INTERVAL;
    server->at_once = set->interval_ms >= 0;
    options.message = say;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = phantom_space_open(path, &options, &server->space, &diag);
    if (rc != 0) {
        fprintf(stderr, "kvserver: %s\n", diag.text);
        return rc;
    }
    rc = phantom_space_enter(server->space);
    if (rc == 0) {
        server->map = phantom_space_root(server->space, "kvserver");
        if (server->map == NULL) {
            server->map = kv_map_create(server->space);
            rc = server->map != NULL
                     ? phantom_space_set_root(server->space, "kvserver", server->map)
                     : PHANTOM_ENOSPACE;
        }
        phantom_space_leave(server->space);
    }
    if (rc != 0) {
        fprintf(stderr, "kvserver: %s: %s\n", path, phantom_strerror(rc));
    }
    return rc;
}

static int listen_on(struct server *server, int port)
{
    struct sockaddr_in address;
    struct sockaddr_storage bound;
    int length = sizeof(bound);
    uv_ip4_addr("127.0.0.1", port, &address);
    int rc = uv_tcp_init(&server->loop, &server->listener);
    server->listener.data = server;
    rc = rc == 0 ? uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0) : rc;
    rc = rc == 0 ? uv_listen((uv_stream_t *)&server->listener, 511, client_came) : rc;
    rc = rc == 0 ? uv_tcp_getsockname(&server->listener, (struct sockaddr *)&bound, &length) : rc;
    if (rc != 0) {
        fprintf(stderr, "kvserver: port %d: %s\n", port, uv_strerror(rc));
        return rc;
    }
    printf("listening on 127.0.0.1:%d, %" PRIu64 " keys\n",
           ntohs(((struct sockaddr_in *)&bound)->sin_port), kv_map_count(server->map));
    fflush(stdout);
    return 0;
}

static int make_handles(struct server *server)
{
    static const int signals[2] = {SIGINT, SIGTERM};
    int rc = uv_async_init(&server->loop, &server->safe, commit_ended);
    rc = rc == 0 ? uv_check_init(&server->loop, &server->after_poll) : rc;
    rc = rc == 0 ? uv_timer_init(&server->loop, &server->retry) : rc;
    server->safe.data = server->after_poll.data = server->retry.data = server;
    rc = rc == 0 ? uv_check_start(&server->after_poll, maybe_begin_commit) : rc;
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = uv_signal_init(&server->loop, &server->stop[i]);
        server->stop[i].data = server;
        rc = rc == 0 ? uv_signal_start(&server->stop[i], signal_came, signals[i]) : rc;
    }
    return rc;
}

static void close_handle(uv_handle_t *handle, void *connections)
{
    if (uv_is_closing(handle)) {
        return;
    }
    bool connection = handle->type == UV_TCP && handle->data == NULL;
    uv_close(handle, connection ? connection_closed : NULL);
    (void)connections;
}

/** The last snapshot, then the loop: a commit that ends meanwhile finds no handle closed. */
static int end(struct server *server)
{
    int rc = phantom_space_close(server->space);
    uv_walk(&server->loop, close_handle, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    return server->exit_code != 0 ? server->exit_code : rc != 0 ? 5 : 0;
}

static int usage(void)
{
    fputs("usage: kvserver STORE [--port N] [--heap-mib N] [--interval MS] [--announced 0|1]\n",
          stderr);
    return 2;
}

static bool read_option(struct settings *set, const char *name, const char *value)
{
    char *rest;
    long number = strtol(value, &rest, 10);
    if (*rest != '\0' || rest == value || number < 0) {
        return false;
    }
    if (strcmp(name, "--port") == 0 && number < 65536) {
        set->port = number;
    } else if (strcmp(name, "--heap-mib") == 0 && number >= 4 && number <= 65536) {
        set->heap_mib = number;
    } else if (strcmp(name, "--interval") == 0 && number <= 3600000) {
        set->interval_ms = number;
    } else if (strcmp(name, "--announced") == 0 && number <= 1) {
        set->announced = number;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct server server;
    struct settings set = {.heap_mib = 1024, .interval_ms = -1, .announced = 1};
    if (argc < 2 || argc % 2 != 0 || argv[1][0] == '-') {
        return usage();
    }
    for (int i = 2; i < argc; i += 2) {
        if (!read_option(&set, argv[i], argv[i + 1])) {
            return usage();
        }
    }
    signal(SIGPIPE, SIG_IGN);
    if (open_space(&server, argv[1], &set) != 0) {
        phantom_space_abandon(server.space);
        return 5;
    }
    if (uv_loop_init(&server.loop) != 0 || make_handles(&server) != 0 ||
        listen_on(&server, (int)set.port) != 0) {
        phantom_space_abandon(server.space);
        return 5;
    }
    uv_run(&server.loop, UV_RUN_DEFAULT);
    return end(&server);
}
