/* SPDX-License-Identifier: Apache-2.0
 *
 * space_writer.c STORE SEED THREADS [NAME=VALUE]... - a C program over a space that says what was
 * acknowledged, to be killed by strategy_kills.py; each opening may have other options.
 *
 * Each thread has an owner in the space. What an owner holds after n operations is a function of
 * SEED, its number and n alone, so an opening first does all of them again in ordinary memory and
 * compares: a lost, doubled, torn or foreign store shows. Then it prints `s OWNER OPERATIONS` for
 * each owner, and `a OWNER OPERATIONS` whenever so many are known to be durable.
 *
 * THREADS 0: look, and end. Options: see take_option().
 */
#include <phantom/space.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OWNERS = 6, CELLS = 1500, RING = 23, UNSUPPORTED = 3 };

/** In the space. */
struct owner {
    uint64_t operations;
    uint64_t cell[CELLS]; /* on several pages */
    struct {
        uint8_t *bytes;
        uint64_t size;
    } ring[RING]; /* operation n: at n % RING, filled with its low byte */
};

/** What one operation changes. */
struct change {
    unsigned cell[2], at;
    uint64_t value, size;
};

struct job {
    struct phantom_space *space;
    struct owner *owner;
    unsigned number;
    pthread_t thread;
};

static uint64_t seed, most_operations = UINT64_MAX;

static void give_up(const char *what, int rc, const char *text)
{
    fprintf(stderr, "space_writer: %s: %s: %s\n", what, phantom_err_name(rc), text);
    exit(rc == PHANTOM_EUNSUPPORTED ? UNSUPPORTED : 1);
}

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static struct change change_of(unsigned number, uint64_t operation)
{
    uint64_t r = mixed(mixed(seed * OWNERS + number) + operation);
    uint64_t size = r % 40 == 0 ? mixed(r) % 100000 : mixed(r) % (r % 7 == 0 ? 6000 : 200);
    return (struct change){.cell = {(unsigned)((r >> 20) % CELLS), (unsigned)((r >> 40) % CELLS)},
                           .at = (unsigned)(operation % RING),
                           .value = r,
                           .size = size + 1};
}

/* ---- what must be there ---------------------------------------------------------------------- */

static void differs(unsigned number, uint64_t operations, const char *what, uint64_t at)
{
    fprintf(stderr, "space_writer: owner %u after %" PRIu64 " operations: %s %" PRIu64 " differs\n",
            number, operations, what, at);
    exit(1);
}

static void check_owner(unsigned number, const struct owner *owner)
{
    static uint64_t cell[CELLS];
    struct {
        uint64_t size;
        uint8_t byte;
    } ring[RING] = {0};
    memset(cell, 0, sizeof(cell));
    for (uint64_t n = 1; n <= owner->operations; n++) {
        struct change change = change_of(number, n);
        cell[change.cell[0]] = change.value;
        cell[change.cell[1]] = n;
        ring[change.at].size = change.size;
        ring[change.at].byte = (uint8_t)n;
    }
    for (uint64_t i = 0; i < CELLS; i++) {
        if (owner->cell[i] != cell[i]) {
            differs(number, owner->operations, "cell", i);
        }
    }
    for (uint64_t i = 0; i < RING; i++) {
        if (owner->ring[i].size != ring[i].size) {
            differs(number, owner->operations, "size of block", i);
        }
        for (uint64_t k = 0; k < ring[i].size; k++) {
            if (owner->ring[i].bytes[k] != ring[i].byte) {
                differs(number, owner->operations, "block", i);
            }
        }
    }
}

static void check_blocks(struct phantom_space *space, uint64_t blocks)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = phantom_space_check(space, &diag);
    if (rc != 0) {
        give_up("check", rc, diag.text);
    }
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    rc = phantom_space_usage(space, &usage);
    if (rc != 0 || usage.blocks != blocks) {
        fprintf(stderr, "space_writer: %" PRIu64 " blocks, not %" PRIu64 "\n", usage.blocks,
                blocks);
        exit(1);
    }
}

/* ---- operations ------------------------------------------------------------------------------ */

static struct owner *owner_of(struct phantom_space *space, unsigned number)
{
    char name[20];
    snprintf(name, sizeof(name), "owner %u", number);
    struct owner *owner = phantom_space_root(space, name);
    if (owner == NULL) {
        phantom_space_enter(space);
        owner = phantom_space_calloc(space, 1, sizeof(*owner));
        if (owner == NULL || phantom_space_set_root(space, name, owner) != 0) {
            give_up(name, PHANTOM_ENOSPACE, "no room");
        }
        phantom_space_leave(space);
    }
    return owner;
}

static void put(struct phantom_space *space, uint64_t *at, uint64_t value)
{
    phantom_space_will_write(space, at, sizeof(*at));
    *at = value;
    phantom_space_wrote(space, at, sizeof(*at));
}

static void operate(struct job *job)
{
    struct phantom_space *space = job->space;
    struct owner *owner = job->owner;
    phantom_space_enter(space);
    uint64_t n = owner->operations + 1;
    struct change change = change_of(job->number, n);
    put(space, &owner->cell[change.cell[0]], change.value);
    phantom_space_free(space, owner->ring[change.at].bytes);
    uint8_t *bytes = phantom_space_malloc(space, change.size);
    if (bytes == NULL) {
        give_up("operation", PHANTOM_ENOSPACE, "no room");
    }
    phantom_space_will_write(space, bytes, change.size);
    memset(bytes, (uint8_t)n, change.size);
    phantom_space_wrote(space, bytes, change.size);
    phantom_space_will_write(space, &owner->ring[change.at], sizeof(owner->ring[0]));
    owner->ring[change.at].bytes = bytes;
    owner->ring[change.at].size = change.size;
    phantom_space_wrote(space, &owner->ring[change.at], sizeof(owner->ring[0]));
    put(space, &owner->cell[change.cell[1]], n);
    put(space, &owner->operations, n);
    phantom_space_leave(space);
}

static void say(char what, unsigned number, uint64_t operations)
{
    char line[60];
    int length = snprintf(line, sizeof(line), "%c %u %" PRIu64 "\n", what, number, operations);
    if (write(STDOUT_FILENO, line, (size_t)length) != length) {
        exit(1);
    }
}

/** Make what was done durable, in one of three ways; how many operations that are. */
static uint64_t commit(struct job *job, unsigned way)
{
    uint64_t operations = job->owner->operations;
    struct phantom_generation generation;
    struct phantom_space_ticket ticket;
    int rc;
    if (way == 0) {
        rc = phantom_space_snapshot(job->space, &generation);
    } else if (way == 1) {
        rc = phantom_space_commit_begin(job->space, &ticket);
        if (rc == 0) {
            operate(job); /* may be in that generation, or not */
            rc = phantom_space_wait(job->space, ticket, -1);
        }
    } else {
        rc = phantom_space_commit(job->space);
    }
    if (rc != 0) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        phantom_space_message(job->space, &diag);
        give_up("commit", rc, diag.text);
    }
    return operations;
}

static void *work(void *argument)
{
    struct job *job = argument;
    uint64_t until = most_operations;
    for (uint64_t done = 0; done < until;) {
        uint64_t r = mixed(job->owner->operations + job->number);
        for (uint64_t burst = 1 + r % 4; burst > 0; burst--, done++) {
            operate(job);
        }
        say('a', job->number, commit(job, (unsigned)(r >> 8) % 8));
    }
    return NULL;
}

/* ---- one life -------------------------------------------------------------------------------- */

static void take_option(struct phantom_space_options *options, char *text)
{
    char *value = strchr(text, '=');
    if (value == NULL) {
        give_up(text, PHANTOM_EINVALID, "not NAME=VALUE");
        return;
    }
    *value++ = 0;
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(text, "strategy") == 0) {
        options->strategy = value;
        options->allow_signal_handlers = true;
        options->announced_before = true; /* all are, before and after: see put() */
    } else if (strcmp(text, "compression") == 0) {
        options->compression = value;
    } else if (strcmp(text, "announced") == 0) {
        options->all_stores_announced = number != 0;
    } else if (strcmp(text, "eager") == 0) {
        options->eager = number != 0;
    } else if (strcmp(text, "check") == 0) {
        options->check_snapshots = number != 0;
    } else if (strcmp(text, "without-io-uring") == 0) {
        options->without_io_uring = number != 0;
    } else if (strcmp(text, "interval-ms") == 0) {
        options->interval_ms = number != 0 ? (uint32_t)number : PHANTOM_SPACE_NO_INTERVAL;
    } else if (strcmp(text, "gather-us") == 0) {
        options->gather_us = number != 0 ? (uint32_t)number : PHANTOM_SPACE_NO_GATHER;
    } else if (strcmp(text, "retain-bytes") == 0) {
        options->retain_bytes = number;
    } else if (strcmp(text, "retain-all-s") == 0) {
        options->retain_all_s = (uint32_t)number;
    } else if (strcmp(text, "retain-most-per-second") == 0) {
        options->retain_most_per_second = (uint32_t)number;
    } else if (strcmp(text, "operations") == 0) {
        most_operations = number; /* of each thread; then the space is closed */
    } else {
        give_up(text, PHANTOM_EINVALID, "no such option");
    }
}

static void message(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "space_writer: %s\n", text);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: space_writer STORE SEED THREADS [NAME=VALUE]...\n");
        return 2;
    }
    seed = strtoull(argv[2], NULL, 10);
    unsigned threads = (unsigned)strtoul(argv[3], NULL, 10);
    struct phantom_space_options options;
    phantom_space_options_init(&options);
    options.heap_size = UINT64_C(64) << 20;
    options.stop_timeout_ms = 60000;
    options.message = message;
    for (int i = 4; i < argc; i++) {
        take_option(&options, argv[i]);
    }
    struct phantom_space *space;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = phantom_space_open(argv[1], &options, &space, &diag);
    if (rc != 0) {
        give_up(argv[1], rc, diag.text);
    }
    struct job job[OWNERS];
    uint64_t blocks = 0;
    for (unsigned i = 0; i < OWNERS; i++) {
        job[i] = (struct job){.space = space, .owner = owner_of(space, i), .number = i};
        check_owner(i, job[i].owner);
        for (unsigned at = 0; at < RING; at++) {
            blocks += job[i].owner->ring[at].bytes != NULL;
        }
        say('s', i, job[i].owner->operations);
    }
    check_blocks(space, blocks + OWNERS);
    if (threads == 0) {
        phantom_space_abandon(space);
        return 0;
    }
    for (unsigned i = 0; i < threads && i < OWNERS; i++) {
        if (pthread_create(&job[i].thread, NULL, work, &job[i]) != 0) {
            give_up("thread", -1, "cannot be created");
        }
    }
    for (unsigned i = 0; i < threads && i < OWNERS; i++) {
        (void)pthread_join(job[i].thread, NULL);
    }
    rc = phantom_space_close(space);
    if (rc != 0) {
        give_up("close", rc, "");
    }
    return 0;
}
