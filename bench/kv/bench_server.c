/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_server.c - what continuous snapshots cost a key-value server under load: four reads to one
 * write (80/20) of random keys over loopback, as many as the server takes, without snapshots, with
 * one a second, with a hundred a second. The servers: the example kvserver, its stores found by the
 * kernel (async) and announced (cards), changes acknowledged at once; and Redis, whose snapshots
 * are made by a forked child (BGSAVE), changes acknowledged at once as well.
 *
 *     bench_server --kvserver PATH [--dir D] [--keys N] [--turn-s S] [--rounds R] [--clients N]
 *                  [--pipeline N] [--json FILE] [--quick]
 *
 * One thread drives all connections; each sends `pipeline` commands and waits for the replies. The
 * turns (none, 1/s, 100/s, none) alternate in one server process; a figure is the median over the
 * rounds of throughput / mean of the two turns without. Beside it: how many snapshots a second were
 * made, the server's processor time for an operation, and the longest wait for replies.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_BYTES = 100, ROUNDS_MOST = 64, CLIENTS_MOST = 256, PIPELINE_MOST = 64 };
enum { RATES = 3, COMMAND_BYTES = 192, REPLY_BYTES = 1 << 16 };
static const unsigned rate_per_s[RATES] = {0, 1, 100};

struct settings {
    const char *directory, *json, *kvserver;
    uint32_t keys;
    double turn_s;
    unsigned rounds, clients, pipeline;
};

/** A server process and the connections to it; the last one gives orders only. */
struct server {
    const char *name;
    pid_t pid;
    int port;
    int socket[CLIENTS_MOST + 1];
};

struct connection {
    int socket;
    unsigned waiting; /* replies */
    size_t skip;      /* bytes of a reply's body still to come */
    char line[64];    /* a reply's first line, as far as it has come */
    unsigned line_bytes;
    double sent_s;
};

struct turn {
    uint64_t operations;
    double seconds, longest_s, server_cpu_s;
    uint64_t snapshots;
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- servers ------------------------------------------------------------------------------- */

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (socket_fd < 0 || connect(socket_fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (socket_fd >= 0) {
            close(socket_fd);
        }
        return -1;
    }
    setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return socket_fd;
}

static void start_kvserver(const struct settings *set, struct server *server, const char *store,
                           bool announced)
{
    int pipe_fd[2];
    if (pipe(pipe_fd) != 0 || (server->pid = fork()) < 0) {
        give_up("starting kvserver");
    }
    if (server->pid == 0) {
        dup2(pipe_fd[1], STDOUT_FILENO);
        execl(set->kvserver, "kvserver", store, "--interval", "0", "--announced",
              announced ? "1" : "0", (char *)NULL);
        _exit(127);
    }
    close(pipe_fd[1]);
    FILE *said = fdopen(pipe_fd[0], "r");
    if (said == NULL || fscanf(said, "listening on 127.0.0.1:%d", &server->port) != 1) {
        give_up("kvserver did not start");
    }
    fclose(said);
}

/** A port that was free a moment ago: redis-server cannot say which one it chose. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        give_up("looking for a free port");
    }
    close(listener);
    return ntohs(address.sin_port);
}

static void start_redis(const struct settings *set, struct server *server)
{
    char port[16];
    server->port = free_port();
    snprintf(port, sizeof(port), "%d", server->port);
    server->pid = fork();
    if (server->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir",
               set->directory, "--dbfilename", "server.rdb", "--save", "", "--appendonly", "no",
               "--daemonize", "no", (char *)NULL);
        _exit(127);
    }
}

/** False: there is no such server here. */
static bool connect_all(const struct settings *set, struct server *server)
{
    for (int attempt = 0; attempt < 500; attempt++) {
        server->socket[set->clients] = connect_to(server->port);
        if (server->socket[set->clients] >= 0) {
            break;
        }
        if (waitpid(server->pid, NULL, WNOHANG) != 0) {
            return false;
        }
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    for (unsigned i = 0; i < set->clients; i++) {
        server->socket[i] = connect_to(server->port);
        if (server->socket[i] < 0) {
            give_up("connecting");
        }
    }
    return true;
}

static void end_server(const struct settings *set, struct server *server)
{
    for (unsigned i = 0; i <= set->clients; i++) {
        close(server->socket[i]);
    }
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

/** Processor time of the process so far. */
static double cpu_of(pid_t pid)
{
    char path[64], text[1024] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    size_t count = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    unsigned long user = 0, system = 0;
    const char *rest = count != 0 ? strrchr(text, ')') : NULL;
    if (rest == NULL || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                               &system) != 2) {
        give_up(path);
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/** An order on the connection for orders; the whole reply is in `reply`. */
static void order(const struct settings *set, const struct server *server, const char *command,
                  char *reply, size_t room)
{
    int socket_fd = server->socket[set->clients];
    size_t count = 0;
    if (write(socket_fd, command, strlen(command)) != (ssize_t)strlen(command)) {
        give_up(command);
    }
    for (;;) {
        ssize_t got = read(socket_fd, reply + count, room - 1 - count);
        if (got <= 0) {
            give_up("the server has closed the connection");
        }
        count += (size_t)got;
        reply[count] = '\0';
        const char *line_end = strstr(reply, "\r\n");
        size_t body = reply[0] == '$' ? strtoul(reply + 1, NULL, 10) + 2 : 0;
        if (line_end != NULL && count >= (size_t)(line_end + 2 - reply) + body) {
            return;
        }
    }
}

/** Snapshots made so far. */
static uint64_t snapshots_of(const struct settings *set, const struct server *server)
{
    char reply[16384];
    order(set, server, "INFO\r\n", reply, sizeof(reply));
    const char *at = strstr(reply, "generations:");
    at = at != NULL ? at : strstr(reply, "rdb_saves:");
    return at != NULL ? strtoull(strchr(at, ':') + 1, NULL, 10) : 0;
}

/* ---- load ---------------------------------------------------------------------------------- */

static size_t put_set(char *out, uint32_t key, uint64_t *random)
{
    size_t count =
        (size_t)sprintf(out, "*3\r\n$3\r\nSET\r\n$8\r\n%08u\r\n$%d\r\n", key, VALUE_BYTES);
    for (unsigned i = 0; i < VALUE_BYTES; i += 4, count += 4) {
        uint32_t word = (uint32_t)next_random(random);
        memcpy(out + count, &word, 4);
    }
    memcpy(out + count, "\r\n", 2);
    return count + 2;
}

static void send_all(int socket_fd, const char *bytes, size_t count)
{
    while (count != 0) {
        ssize_t sent = write(socket_fd, bytes, count);
        if (sent < 0) {
            give_up("sending");
        }
        bytes += sent;
        count -= (size_t)sent;
    }
}

/** The next commands of a connection. */
static void send_commands(const struct settings *set, struct connection *c, bool skewed,
                          uint64_t *random)
{
    char out[PIPELINE_MOST * COMMAND_BYTES];
    size_t count = 0;
    for (unsigned i = 0; i < set->pipeline; i++) {
        uint64_t drawn = next_random(random);
        bool hot = skewed && drawn % 10 != 0;
        uint32_t key = (uint32_t)((drawn >> 8) % (hot ? set->keys / 100 + 1 : set->keys));
        if (next_random(random) % 5 == 0) {
            count += put_set(out + count, key, random);
        } else {
            count += (size_t)sprintf(out + count, "*2\r\n$3\r\nGET\r\n$8\r\n%08u\r\n", key);
        }
    }
    c->waiting = set->pipeline;
    c->sent_s = now_s();
    send_all(c->socket, out, count);
}

/** A reply's first line is complete. */
static void take_line(struct connection *c)
{
    c->line[c->line_bytes] = '\0';
    c->line_bytes = 0;
    c->waiting--;
    if (c->line[0] == '$' && c->line[1] != '-') {
        c->skip = strtoul(c->line + 1, NULL, 10) + 2;
    } else if (c->line[0] == '-') {
        fprintf(stderr, "bench_server: the server says %s", c->line);
        exit(1);
    }
}

static void take_bytes(struct connection *c, const char *bytes, size_t count)
{
    while (count != 0) {
        size_t part = c->skip < count ? c->skip : count;
        bytes += part;
        count -= part;
        c->skip -= part;
        while (count != 0 && c->skip == 0) {
            char byte = *bytes++;
            count--;
            if (c->line_bytes < sizeof(c->line) - 1) {
                c->line[c->line_bytes++] = byte;
            }
            if (byte == '\n') {
                take_line(c);
                break;
            }
        }
    }
}

/** What has come on one connection; true: all replies are here. */
static bool receive(struct connection *c)
{
    static char bytes[REPLY_BYTES];
    ssize_t count = read(c->socket, bytes, sizeof(bytes));
    if (count <= 0) {
        give_up("the server has closed a connection");
    }
    take_bytes(c, bytes, (size_t)count);
    return c->waiting == 0 && c->skip == 0;
}

static void load(const struct settings *set, const struct server *server)
{
    static char out[256 * COMMAND_BYTES];
    uint64_t random = 1;
    struct connection c = {.socket = server->socket[0]};
    for (uint32_t key = 0; key < set->keys;) {
        size_t count = 0;
        for (unsigned i = 0; i < 256 && key < set->keys; i++, key++) {
            count += put_set(out + count, key, &random);
            c.waiting++;
        }
        send_all(c.socket, out, count);
        while (!receive(&c)) {
        }
    }
}

/** One turn: all connections busy, BGSAVE at this rate. */
static struct turn take_turn(const struct settings *set, const struct server *server, bool skewed,
                             unsigned rate, uint64_t seed)
{
    static struct connection connection[CLIENTS_MOST];
    struct epoll_event event, ready[CLIENTS_MOST];
    struct turn turn = {.snapshots = snapshots_of(set, server),
                        .server_cpu_s = cpu_of(server->pid)};
    char reply[512];
    uint64_t random = seed;
    unsigned running = set->clients, taken = 0;
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    double begin = now_s(), end = begin + set->turn_s;
    for (unsigned i = 0; i < set->clients; i++) {
        connection[i] = (struct connection){.socket = server->socket[i]};
        event = (struct epoll_event){.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, server->socket[i], &event) != 0) {
            give_up("epoll");
        }
        send_commands(set, &connection[i], skewed, &random);
    }
    while (running != 0) {
        int count = epoll_wait(poll_fd, ready, CLIENTS_MOST, 100);
        double now = now_s();
        for (int i = 0; i < count; i++) {
            struct connection *c = &connection[ready[i].data.u32];
            if (!receive(c)) {
                continue;
            }
            turn.operations += set->pipeline;
            turn.longest_s = now - c->sent_s > turn.longest_s ? now - c->sent_s : turn.longest_s;
            if (now < end) {
                send_commands(set, c, skewed, &random);
            } else {
                running--;
            }
        }
        if (rate != 0 && now >= begin + (taken + 0.5) / rate && now < end) {
            taken = (unsigned)((now - begin) * rate + 0.5);
            order(set, server, "BGSAVE\r\n", reply, sizeof(reply)); /* "in progress" is fine */
        }
    }
    close(poll_fd);
    turn.seconds = now_s() - begin;
    turn.server_cpu_s = cpu_of(server->pid) - turn.server_cpu_s;
    turn.snapshots = snapshots_of(set, server) - turn.snapshots;
    return turn;
}

/* ---- the table ----------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *of, unsigned count)
{
    qsort(of, count, sizeof(double), ascending);
    return of[count / 2];
}

static double rate_of(const struct turn *turn)
{
    return (double)turn->operations / turn->seconds;
}

/** All figures of the turns with one rate of snapshots. */
struct figures {
    double cost[ROUNDS_MOST], reached[ROUNDS_MOST], cpu_us[ROUNDS_MOST], longest_ms[ROUNDS_MOST];
};

static void note(struct figures *figures, unsigned round, const struct turn *turn, double base)
{
    figures->cost[round] = 1 - rate_of(turn) / base;
    figures->reached[round] = (double)turn->snapshots / turn->seconds;
    figures->cpu_us[round] = turn->server_cpu_s * 1e6 / (double)turn->operations;
    figures->longest_ms[round] = turn->longest_s * 1e3;
}

static void compare(const struct settings *set, const struct server *server, bool skewed,
                    json_t *report)
{
    static struct figures figures[RATES];
    double base[ROUNDS_MOST];
    for (unsigned round = 0; round < set->rounds; round++) {
        struct turn turn[RATES];
        for (unsigned r = 0; r < RATES; r++) {
            turn[r] = take_turn(set, server, skewed, rate_per_s[r], round * 31 + r);
        }
        struct turn after = take_turn(set, server, skewed, 0, round * 31 + RATES);
        base[round] = (rate_of(&turn[0]) + rate_of(&after)) / 2;
        for (unsigned r = 0; r < RATES; r++) {
            note(&figures[r], round, &turn[r], base[round]);
        }
    }
    double without = median(base, set->rounds);
    printf("%-7s %-8s %9.0f", server->name, skewed ? "skewed" : "uniform", without);
    for (unsigned r = 0; r < RATES; r++) {
        struct figures *f = &figures[r];
        double cost = median(f->cost, set->rounds), reached = median(f->reached, set->rounds);
        double cpu_us = median(f->cpu_us, set->rounds);
        double longest_ms = median(f->longest_ms, set->rounds);
        if (r == 0) {
            printf(" %6.2f %7.1f", cpu_us, longest_ms);
        } else {
            printf("  | %6.1f %% %6.1f %6.2f %7.1f", cost * 100, reached, cpu_us, longest_ms);
        }
        json_array_append_new(
            report,
            json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f}", "server", server->name, "keys",
                      skewed ? "skewed" : "uniform", "snapshots_per_s", (int)rate_per_s[r],
                      "operations_per_s_without", without, "cost", cost, "snapshots_per_s_reached",
                      reached, "server_cpu_us", cpu_us, "longest_ms", longest_ms));
    }
    printf("\n");
    fflush(stdout);
}

static void measure(const struct settings *set, struct server *server, json_t *report)
{
    if (!connect_all(set, server)) {
        printf("%-7s not here\n", server->name);
        return;
    }
    load(set, server);
    for (int skewed = 0; skewed < 2; skewed++) {
        compare(set, server, skewed, report);
    }
    end_server(set, server);
}

static void measure_all(const struct settings *set, json_t *report)
{
    char store[4096], dump[4096];
    snprintf(store, sizeof(store), "%s/server.phantom", set->directory);
    snprintf(dump, sizeof(dump), "%s/server.rdb", set->directory);
    for (int announced = 0; announced < 2; announced++) {
        struct server server = {.name = announced ? "cards" : "async"};
        unlink(store);
        start_kvserver(set, &server, store, announced);
        measure(set, &server, report);
    }
    unlink(store);
    struct server redis = {.name = "Redis"};
    start_redis(set, &redis);
    measure(set, &redis, report);
    unlink(dump);
}

static void usage(void)
{
    fputs("usage: bench_server --kvserver PATH [--dir D] [--keys N] [--turn-s S] [--rounds R]\n"
          "                    [--clients N] [--pipeline N] [--json FILE] [--quick]\n",
          stderr);
    exit(2);
}

static bool number_option(struct settings *set, const char *name, const char *value)
{
    unsigned number = (unsigned)strtoul(value, NULL, 10);
    if (strcmp(name, "--keys") == 0) {
        set->keys = number;
    } else if (strcmp(name, "--rounds") == 0) {
        set->rounds = number;
    } else if (strcmp(name, "--clients") == 0) {
        set->clients = number;
    } else if (strcmp(name, "--pipeline") == 0) {
        set->pipeline = number;
    } else if (strcmp(name, "--turn-s") == 0) {
        set->turn_s = strtod(value, NULL);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct settings set = {
        .directory = ".", .keys = 1000000, .turn_s = 2, .rounds = 5, .clients = 50, .pipeline = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            set.keys = 5000;
            set.turn_s = 0.1;
            set.rounds = 1;
        } else if (i + 1 == argc) {
            usage();
        } else if (strcmp(argv[i], "--dir") == 0) {
            set.directory = argv[++i];
        } else if (strcmp(argv[i], "--kvserver") == 0) {
            set.kvserver = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0) {
            set.json = argv[++i];
        } else if (number_option(&set, argv[i], argv[i + 1])) {
            i++;
        } else {
            usage();
        }
    }
    if (set.kvserver == NULL || set.keys == 0 || set.keys > 99999999 || !(set.turn_s > 0) ||
        set.rounds == 0 || set.rounds > ROUNDS_MOST || set.clients == 0 ||
        set.clients > CLIENTS_MOST || set.pipeline == 0 || set.pipeline > PIPELINE_MOST) {
        usage();
    }
    signal(SIGPIPE, SIG_IGN);
    json_t *report = json_array();
    printf("%u keys, %u connections, %u commands at a time, %u rounds of %.1f s; operations/s, CPU "
           "time of the server in us/operation, longest wait in ms\n"
           "%-7s %-8s %9s %6s %7s  | %-31s  | %s\n",
           set.keys, set.clients, set.pipeline, set.rounds, set.turn_s, "server", "keys", "without",
           "CPU", "longest", "1/s: cost, reached, CPU, longest", "100/s: the same");
    measure_all(&set, report);
    int rc = set.json == NULL || json_dump_file(report, set.json, JSON_INDENT(2)) == 0 ? 0 : 1;
    json_decref(report);
    return rc;
}
