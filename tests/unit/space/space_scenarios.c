/* SPDX-License-Identifier: Apache-2.0
 *
 * space_scenarios.c - see space_scenarios.h.
 */
#include "space_scenarios.h"

#include "space_alloc.h"
#include "space_gate.h"
#include "space_group.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_THREADS = 16 };

/* ---- the gate -------------------------------------------------------------------------------- */

struct visitor {
    struct space_gate *gate;
    struct space_gate_slot slot;
    pthread_t thread;
    atomic_bool in, end;
    uint64_t first, second; /* equal outside operations; plain on purpose: TSan looks */
};

static void gate_init(struct space_gate *gate, bool cheap)
{
    if (space_gate_init(gate) != 0) {
        abort();
    }
    gate->cheap = gate->cheap && cheap;
}

static void *leave_late(void *argument)
{
    struct visitor *visitor = argument;
    space_gate_add(visitor->gate, &visitor->slot);
    space_gate_enter(visitor->gate, &visitor->slot);
    atomic_store(&visitor->in, true);
    while (atomic_load(&visitor->gate->stop) == 0) {
        hal_yield();
    }
    for (int i = 0; i < 200; i++) { /* most likely it sleeps by then */
        hal_yield();
    }
    space_gate_leave(visitor->gate, &visitor->slot);
    space_gate_remove(visitor->gate, &visitor->slot);
    return NULL;
}

bool scenario_stop_ends_when_the_last_operation_ends(int patience_ms, bool cheap)
{
    struct space_gate gate;
    gate_init(&gate, cheap);
    bool good = true;
    for (int round = 0; good && round < 30; round++) {
        struct visitor visitor = {.gate = &gate};
        pthread_create(&visitor.thread, NULL, leave_late, &visitor);
        while (!atomic_load(&visitor.in)) {
            hal_yield();
        }
        good = space_gate_stop(&gate, patience_ms) == 0;
        if (good) {
            space_gate_resume(&gate);
        }
        pthread_join(visitor.thread, NULL);
    }
    space_gate_finish(&gate);
    return good;
}

static void *come_and_go(void *argument)
{
    struct visitor *visitor = argument;
    space_gate_add(visitor->gate, &visitor->slot);
    for (unsigned i = 0; !atomic_load(&visitor->end); i++) {
        space_gate_enter(visitor->gate, &visitor->slot);
        visitor->first++;
        space_gate_enter(visitor->gate, &visitor->slot); /* nested: still one operation */
        if (i % 64 == 0) {
            hal_yield();
        }
        space_gate_leave(visitor->gate, &visitor->slot);
        visitor->second++;
        if (i % 16 == 0) {
            space_gate_safepoint(visitor->gate, &visitor->slot);
        }
        visitor->first++;
        visitor->second++;
        space_gate_leave(visitor->gate, &visitor->slot);
        if (i % 1000 == 999) { /* threads come and go, too */
            space_gate_remove(visitor->gate, &visitor->slot);
            atomic_store(&visitor->slot.operations, 0);
            space_gate_add(visitor->gate, &visitor->slot);
        }
    }
    space_gate_remove(visitor->gate, &visitor->slot);
    return NULL;
}

bool scenario_no_operation_is_cut(unsigned threads, unsigned stops, bool cheap)
{
    static struct visitor visitors[MOST_THREADS];
    memset(visitors, 0, sizeof(visitors));
    struct space_gate gate;
    gate_init(&gate, cheap);
    for (unsigned i = 0; i < threads; i++) {
        visitors[i].gate = &gate;
        pthread_create(&visitors[i].thread, NULL, come_and_go, &visitors[i]);
    }
    bool good = true;
    for (unsigned stop = 0; good && stop < stops; stop++) {
        good = space_gate_stop(&gate, 60000) == 0;
        if (good) {
            for (int look = 0; look < 3; look++) {
                for (unsigned i = 0; i < threads; i++) {
                    good = good && visitors[i].first == visitors[i].second;
                }
                hal_yield();
            }
            space_gate_resume(&gate);
        }
        hal_yield();
    }
    for (unsigned i = 0; i < threads; i++) {
        atomic_store(&visitors[i].end, true);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(visitors[i].thread, NULL);
    }
    space_gate_finish(&gate);
    return good;
}

/* ---- the group ------------------------------------------------------------------------------- */

/** A store with one number in it, whose first commit waits at a point that the scenario chooses. */
struct ledger {
    struct space_group group;
    atomic_int value, durable;
    atomic_int commits;
    atomic_bool cut_done;   /* the first commit has made its cut */
    unsigned wait_sleepers; /* it goes on when so many sleep for the next round */
    int patience_ms;
    atomic_int told; /* threads that were told that they are durable */
    atomic_bool told_too_early;
};

static unsigned sleepers(struct ledger *ledger)
{
    hal_mutex_lock(&ledger->group.lock);
    unsigned count = ledger->group.sleeping[0] + ledger->group.sleeping[1];
    hal_mutex_unlock(&ledger->group.lock);
    return count;
}

static int ledger_commit(void *context)
{
    struct ledger *ledger = context;
    space_group_close_round(&ledger->group); /* the cut: */
    int value = atomic_load(&ledger->value);
    if (atomic_fetch_add(&ledger->commits, 1) == 0) {
        atomic_store(&ledger->cut_done, true);
        while (sleepers(ledger) < ledger->wait_sleepers) {
            hal_yield();
        }
    }
    atomic_store(&ledger->durable, value);
    return 0;
}

static void ledger_ask(struct ledger *ledger)
{
    int mine = atomic_fetch_add(&ledger->value, 1) + 1;
    if (space_group_commit(&ledger->group) != 0 || atomic_load(&ledger->durable) < mine) {
        atomic_store(&ledger->told_too_early, true);
    }
    atomic_fetch_add(&ledger->told, 1);
}

static void *ask_first(void *context)
{
    ledger_ask(context);
    return NULL;
}

static void *ask_after_the_cut(void *context)
{
    struct ledger *ledger = context;
    while (!atomic_load(&ledger->cut_done)) {
        hal_yield();
    }
    ledger_ask(ledger);
    return NULL;
}

/** One leads; `others` ask while he writes. False: somebody sleeps for ever. */
static bool run_ledger(struct ledger *ledger, unsigned others)
{
    pthread_t thread[MOST_THREADS + 1];
    pthread_create(&thread[0], NULL, ask_first, ledger);
    for (unsigned i = 1; i <= others; i++) {
        pthread_create(&thread[i], NULL, ask_after_the_cut, ledger);
    }
    uint64_t deadline = hal_monotonic_ns() + (uint64_t)ledger->patience_ms * 1000000;
    while (atomic_load(&ledger->told) < (int)others + 1 && hal_monotonic_ns() < deadline) {
        hal_sleep_msec(1);
    }
    bool good = atomic_load(&ledger->told) == (int)others + 1;
    while (atomic_load(&ledger->told) < (int)others + 1) { /* shake those who were forgotten */
        atomic_fetch_add(&ledger->group.word[0], 1);
        atomic_fetch_add(&ledger->group.word[1], 1);
        hal_futex_wake(&ledger->group.word[0], INT_MAX);
        hal_futex_wake(&ledger->group.word[1], INT_MAX);
        hal_sleep_msec(1);
    }
    for (unsigned i = 0; i <= others; i++) {
        pthread_join(thread[i], NULL);
    }
    return good;
}

static struct ledger *new_ledger(unsigned wait_sleepers, int patience_ms)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    ledger->group.commit = ledger_commit;
    ledger->group.context = ledger;
    ledger->wait_sleepers = wait_sleepers;
    ledger->patience_ms = patience_ms;
    if (space_group_init(&ledger->group) != 0) {
        abort();
    }
    return ledger;
}

static bool finish_ledger(struct ledger *ledger, bool good)
{
    good = good && !atomic_load(&ledger->told_too_early);
    space_group_finish(&ledger->group);
    free(ledger);
    return good;
}

bool scenario_who_asks_after_the_cut_is_not_told_too_early(int patience_ms)
{
    struct ledger *ledger = new_ledger(1, patience_ms);
    return finish_ledger(ledger, run_ledger(ledger, 1));
}

bool scenario_who_comes_during_a_commit_gets_a_leader(int patience_ms)
{
    struct ledger *ledger = new_ledger(5, patience_ms);
    return finish_ledger(ledger, run_ledger(ledger, 5));
}

struct ending {
    struct space_group group;
    atomic_bool ended;
};

static void *end_group(void *context)
{
    struct ending *ending = context;
    space_group_end(&ending->group);
    atomic_store(&ending->ended, true);
    return NULL;
}

bool scenario_the_end_waits_for_who_waits(int patience_ms)
{
    struct ending ending = {.group = {.commit = ledger_commit}};
    pthread_t thread;
    if (space_group_init(&ending.group) != 0 || space_group_hold(&ending.group) != 0) {
        abort();
    }
    pthread_create(&thread, NULL, end_group, &ending);
    uint64_t deadline = hal_monotonic_ns() + (uint64_t)patience_ms * 1000000;
    while (!atomic_load(&ending.ended) && hal_monotonic_ns() < deadline) {
        hal_sleep_msec(1);
    }
    bool early = atomic_load(&ending.ended);
    space_group_let_go(&ending.group);
    pthread_join(thread, NULL);
    bool stopped = space_group_commit(&ending.group) == PHANTOM_ESTOPPED &&
                   space_group_hold(&ending.group) == PHANTOM_ESTOPPED;
    space_group_finish(&ending.group);
    return !early && stopped;
}

/* ---- caches ---------------------------------------------------------------------------------- */

static void forget(void *context, void *start, uint64_t bytes)
{
    (void)context;
    memset(start, 0, bytes);
}

static uint64_t blocks_in(struct space_alloc *alloc)
{
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    space_count(alloc, &usage);
    return usage.blocks;
}

bool scenario_cached_slots_are_free_after_a_restart(void)
{
    enum { SIZE = 8 << 20, BLOCKS = 101 };
    const struct space_alloc_host host = {.discard = forget};
    uint8_t *raw =
        mmap(NULL, SIZE + SPACE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *base = raw + (SPACE_BLOCK - (uintptr_t)raw % SPACE_BLOCK) % SPACE_BLOCK;
    struct space_cache cache = {0};
    struct space_alloc *alloc;
    bool good = space_format(base, SIZE, NULL) == 0 &&
                space_alloc_open(base, SIZE, &host, &alloc, NULL) == 0;
    for (int i = 0; good && i < BLOCKS; i++) {
        good = space_malloc(alloc, &cache, 100) != NULL;
    }
    space_alloc_close(alloc); /* the process dies; its cache is gone */
    good = good && space_alloc_open(base, SIZE, &host, &alloc, NULL) == 0;
    good = good && blocks_in(alloc) == BLOCKS && space_audit(alloc, NULL) == 0;
    space_alloc_close(alloc);
    munmap(raw, SIZE + SPACE_BLOCK);
    return good;
}
