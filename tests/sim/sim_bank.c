/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_bank.c - the campaign with a C heap: threads move money between accounts, keep receipts in
 * allocated blocks, and commit, each in its own way: waiting, by ticket, by callback. What is
 * checked besides sim_case.c: what is there is what a prefix of the history of all transfers gives,
 * byte for byte (P1, strict serializability: the lock's order is the order of the operations), and
 * the prefix is not shorter than what each thread was promised (P2); receipts whole (P1); allocator
 * and roots (P8).
 */
#include "sim_case.h"
#include "space_internal.h"

#include "ph_check.h"
#include "ph_memory.h"

#include <hal.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TELLERS = 4, ACCOUNTS = 40, MONEY = 1000, TRANSFERS = 25, RECEIPTS = 8 };

struct receipt {
    uint64_t number, check;
    struct receipt *next;
    char text[200];
};

/** In the space. Account i lies on a page of its own together with its neighbours modulo 8. */
struct bank {
    uint64_t made[TELLERS];
    struct receipt *receipts[TELLERS]; /* at most RECEIPTS each, newest first */
    struct {
        int64_t balance;
        char gap[500];
    } accounts[ACCOUNTS];
};

struct bank_case;

/** One transfer, in the order in which the accounts' lock was taken. */
struct event {
    uint8_t teller, from, to;
    int8_t amount;
};

struct history {
    struct event event[TELLERS * TRANSFERS];
    unsigned count;
};

enum { UNDONE = 8 };

struct teller {
    struct bank_case *b;
    unsigned number;
    struct ph_rng rng;
};

struct promise {
    struct bank_case *b;
    unsigned teller;
    uint64_t made;
};

struct bank_case {
    struct sim_case *c;
    uint64_t promised[TELLERS]; /* transfers that were acknowledged as durable */
    struct history history;
    struct history undone[UNDONE]; /* by rollbacks */
    unsigned undone_count;
    uint32_t interval_ms;
    const char *strategy;
    bool announced, check, eager;
    unsigned tellers;
    /* Of the life that runs. */
    struct phantom_space *space;
    struct bank *bank;
    hal_mutex_t lock; /* around the accounts; taken inside operations */
    bool failed;      /* the disk was made to fail: this life gives up */
    struct teller teller[TELLERS];
    tid_t thread[TELLERS];
};

/** Stores are announced if the options say so. */
static void wrote(struct bank_case *b, const void *address, size_t size)
{
    if (b->announced) {
        phantom_space_wrote(b->space, address, size);
    }
}

static uint64_t check_of(const struct receipt *receipt)
{
    return receipt->number * UINT64_C(0x9E3779B97F4A7C15) ^ (uint8_t)receipt->text[199];
}

/** A receipt for the transfer; the oldest one goes. Inside the operation. */
static bool keep_receipt(struct teller *t, uint64_t number)
{
    struct bank_case *b = t->b;
    struct receipt *receipt = phantom_space_malloc(b->space, sizeof(*receipt));
    if (receipt == NULL) {
        return false;
    }
    receipt->number = number;
    memset(receipt->text, (int)(number & 0x7F), sizeof(receipt->text));
    hal_sim_point("half a receipt");
    receipt->check = check_of(receipt);
    receipt->next = b->bank->receipts[t->number];
    wrote(b, receipt, sizeof(*receipt));
    b->bank->receipts[t->number] = receipt;
    wrote(b, &b->bank->receipts[t->number], sizeof(receipt));
    for (int i = 1; receipt != NULL && i < RECEIPTS; i++) {
        receipt = receipt->next;
    }
    if (receipt != NULL && receipt->next != NULL) {
        phantom_space_free(b->space, receipt->next);
        receipt->next = NULL;
        wrote(b, receipt, sizeof(*receipt));
    }
    return true;
}

static bool transfer(struct teller *t)
{
    struct bank_case *b = t->b;
    struct bank *bank = b->bank;
    uint64_t from = ph_rng_below(&t->rng, ACCOUNTS), to = ph_rng_below(&t->rng, ACCOUNTS);
    int64_t amount = (int64_t)ph_rng_below(&t->rng, 100);
    SIM_EXPECT(phantom_space_enter(b->space) == 0);
    hal_mutex_lock(&b->lock);
    bank->accounts[from].balance -= amount;
    wrote(b, &bank->accounts[from], 8);
    hal_sim_point("money on its way");
    bank->accounts[to].balance += amount;
    wrote(b, &bank->accounts[to], 8);
    SIM_EXPECT(b->history.count < TELLERS * TRANSFERS);
    b->history.event[b->history.count++] =
        (struct event){(uint8_t)t->number, (uint8_t)from, (uint8_t)to, (int8_t)amount};
    hal_mutex_unlock(&b->lock);
    bool good = keep_receipt(t, bank->made[t->number] + 1);
    bank->made[t->number]++;
    wrote(b, &bank->made[t->number], 8);
    phantom_space_leave(b->space);
    return good;
}

/* ---- durability ----------------------------------------------------------------------------- */

/** What a commit returned. False: this life is over. */
static bool told(struct bank_case *b, unsigned teller, uint64_t made, int rc)
{
    if (rc == 0) {
        if (b->c->poisoned) {
            hal_sim_fail("P7: acknowledged after a failed write or flush");
        }
        if (made > b->promised[teller]) {
            b->promised[teller] = made;
        }
        return true;
    }
    if (rc == PHANTOM_ETIMEOUT) {
        hal_sim_fail("the space did not stop in time: a wake-up is lost");
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_space_message(b->space, &diag);
    if (rc != PHANTOM_ESTOPPED || !b->failed) {
        sim_check_error(b->c, rc, diag.text);
    }
    if (rc == -EIO && b->c->fault_is_final) {
        b->c->poisoned = true;
        if (phantom_space_commit(b->space) == 0) {
            hal_sim_fail("P7: a commit succeeds after one that could not be written");
        }
    }
    b->failed = b->failed || rc != PHANTOM_ENOSPACE;
    return rc == PHANTOM_ENOSPACE;
}

static void safe(void *context, int result)
{
    struct promise *promise = context;
    if (result == 0) {
        (void)told(promise->b, promise->teller, promise->made, result);
    }
    ph_free(promise);
}

/** Callbacks come only to a life that goes on: those of a killed one are given back with it. */
static bool ask_for_callback(struct teller *t)
{
    struct promise *promise = ph_alloc(sizeof(*promise));
    SIM_EXPECT(promise != NULL);
    *promise = (struct promise){t->b, t->number, t->b->bank->made[t->number]};
    int rc = phantom_space_when_safe(t->b->space, safe, promise);
    if (rc != 0) {
        ph_free(promise);
    }
    return rc == 0 || told(t->b, t->number, 0, rc);
}

static bool make_durable(struct teller *t)
{
    struct bank_case *b = t->b;
    struct phantom_space_ticket ticket;
    uint64_t made = b->bank->made[t->number];
    int rc;
    switch (ph_rng_below(&t->rng, 6)) {
    case 0:
    case 1: return told(b, t->number, made, phantom_space_commit(b->space));
    case 2:
        rc = phantom_space_commit_begin(b->space, &ticket);
        hal_yield();
        rc = rc == 0 ? phantom_space_wait(b->space, ticket, -1) : rc;
        return told(b, t->number, made, rc);
    case 3: return ask_for_callback(t);
    default: return true;
    }
}

static void teller_main(void *context)
{
    struct teller *t = context;
    struct bank_case *b = t->b;
    while (!b->failed && b->bank->made[t->number] < TRANSFERS && transfer(t) && make_durable(t)) {
    }
    if (ph_rng_below(&t->rng, 2) == 0) {
        phantom_space_unregister_thread(b->space);
    }
}

/* ---- a life --------------------------------------------------------------------------------- */

static void committed(void *context, const struct phantom_generation *generation)
{
    struct bank_case *b = context;
    sim_committed(b->c, generation);
}

static void message(void *context, const char *text)
{
    (void)context;
    hal_sim_note("message: %s", text);
}

/** In one operation: either all of it is in a generation or nothing. */
static void found(struct bank_case *b)
{
    SIM_EXPECT(phantom_space_enter(b->space) == 0);
    struct bank *bank = phantom_space_calloc(b->space, 1, sizeof(*bank));
    SIM_EXPECT(bank != NULL);
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        bank->accounts[i].balance = MONEY;
    }
    wrote(b, bank, sizeof(*bank));
    SIM_EXPECT(phantom_space_set_root(b->space, "bank", bank) == 0);
    phantom_space_leave(b->space);
}

/** NULL: the first so many transfers of the history give exactly what is there. */
static const char *compare_with(const struct bank *bank, const struct history *history,
                                uint64_t *total)
{
    int64_t balance[ACCOUNTS];
    uint64_t made[TELLERS] = {0};
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        balance[i] = MONEY;
    }
    *total = 0;
    for (unsigned t = 0; t < TELLERS; t++) {
        *total += bank->made[t];
    }
    if (*total > history->count) {
        return "P3: more transfers are there than were made";
    }
    for (uint64_t i = 0; i < *total; i++) {
        const struct event *event = &history->event[i];
        balance[event->from] -= event->amount;
        balance[event->to] += event->amount;
        made[event->teller]++;
    }
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        if (bank->accounts[i].balance != balance[i]) {
            return "P1: balances are those of no prefix of the history";
        }
    }
    return memcmp(made, bank->made, sizeof(made)) == 0
               ? NULL
               : "P1: whose transfers are there is no prefix of the history";
}

/** P1. What a crash has undone leaves the history. After a rollback, what is there may be a prefix
 * of a history that another rollback had undone. */
static void replay(struct bank_case *b)
{
    uint64_t total;
    if (b->c->rolled && b->undone_count < UNDONE) {
        b->undone[b->undone_count++] = b->history;
    }
    const char *wrong = compare_with(b->bank, &b->history, &total);
    for (unsigned i = 0; wrong != NULL && b->c->rolled && i < b->undone_count; i++) {
        b->history = b->undone[i];
        wrong = compare_with(b->bank, &b->history, &total);
    }
    if (wrong != NULL) {
        hal_sim_fail("%s", wrong);
    }
    b->history.count = (unsigned)total;
}

/** After a rollback what was promised later is undone, as was asked for. */
static void forget_promises(struct bank_case *b)
{
    for (unsigned t = 0; b->c->rolled && t < TELLERS; t++) {
        if (b->promised[t] > b->bank->made[t]) {
            b->promised[t] = b->bank->made[t];
        }
    }
    b->c->rolled = false;
}

/** While nobody writes: who would must be the leader, and that is this thread. */
static void audit_store(void *context)
{
    struct bank_case *b = context;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = snap_store_audit(b->space->store, &diag);
    if (rc != 0 && rc != -EIO) {
        hal_sim_fail("P8: accounting: %s: %s", phantom_err_name(rc), diag.text);
    }
    b->c->totals->audits += rc == 0;
}

/** P1, P2: sums, promises, receipts. Nobody else uses the space. */
static void examine(struct bank_case *b)
{
    struct bank *bank = b->bank;
    int64_t sum = 0;
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        sum += bank->accounts[i].balance;
    }
    replay(b);
    forget_promises(b);
    if (sum != ACCOUNTS * MONEY) {
        hal_sim_fail("P1: there is %" PRId64 " in the bank, not %d", sum, ACCOUNTS * MONEY);
    }
    for (unsigned t = 0; t < TELLERS; t++) {
        if (bank->made[t] < b->promised[t]) {
            hal_sim_fail("P2: teller %u made %" PRIu64 " transfers, %" PRIu64 " were acknowledged",
                         t, bank->made[t], b->promised[t]);
        }
        uint64_t number = bank->made[t], receipts = 0;
        for (struct receipt *r = bank->receipts[t]; r != NULL; r = r->next, receipts++) {
            SIM_EXPECT(r->number == number-- && r->check == check_of(r));
        }
        SIM_EXPECT(receipts == (bank->made[t] < RECEIPTS ? bank->made[t] : RECEIPTS));
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = phantom_space_check(b->space, &diag);
    (void)space_group_alone(&b->space->group, audit_store, b);
    if (rc != 0) {
        hal_sim_fail("P8: %s: %s", phantom_err_name(rc), diag.text);
    }
}

static bool open_bank(struct bank_case *b)
{
    struct phantom_space_options options;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_space_options_init(&options);
    options.heap_size = UINT64_C(8) << 20;
    options.interval_ms = b->interval_ms;
    options.strategy = b->strategy;
    options.allow_signal_handlers = true;
    options.all_stores_announced = b->announced;
    options.check_snapshots = b->check;
    options.eager = b->eager;
    options.context = b;
    options.committed = committed;
    options.message = message;
    bool exists = sim_check_store(b->c, "bank.phantom");
    int rc = phantom_space_open("bank.phantom", &options, &b->space, &diag);
    if (rc != 0) {
        sim_check_error(b->c, rc, diag.text);
        return false;
    }
    struct phantom_recovery recovery;
    phantom_space_recovered(b->space, &recovery);
    if (exists) {
        sim_check_opened(b->c, recovery.opened);
        if (ph_rng_below(&b->c->rng, 3) == 0) {
            sim_compare_memory(b->c, "bank.phantom", recovery.opened);
        }
    }
    b->bank = phantom_space_root(b->space, "bank");
    if (b->bank == NULL) {
        found(b);
        b->bank = phantom_space_root(b->space, "bank");
    }
    examine(b);
    return true;
}

static void live_bank(void *context)
{
    struct bank_case *b = context;
    if (!open_bank(b)) {
        return;
    }
    SIM_EXPECT(hal_mutex_init(&b->lock, "accounts") == 0);
    for (unsigned i = 0; i < b->tellers; i++) {
        b->teller[i] = (struct teller){.b = b, .number = i};
        ph_rng_init(&b->teller[i].rng, hal_random());
        b->thread[i] = hal_start_thread(teller_main, &b->teller[i], THREAD_FLAG_NATIVE);
        SIM_EXPECT(b->thread[i] >= 0);
    }
    sim_start_reader(b->c, "bank.phantom");
    for (unsigned i = 0; i < b->tellers; i++) {
        hal_sim_join(b->thread[i]);
    }
    sim_end_reader(b->c);
    examine(b);
    bool all = !b->failed;
    for (unsigned i = 0; i < b->tellers; i++) {
        all = all && b->bank->made[i] == TRANSFERS;
    }
    SIM_EXPECT(hal_mutex_destroy(&b->lock) == 0);
    uint64_t made[TELLERS];
    memcpy(made, b->bank->made, sizeof(made));
    int rc = phantom_space_close(b->space);
    if (rc != 0) {
        sim_check_error(b->c, rc, "closing");
        return;
    }
    memcpy(b->promised, made, sizeof(made));
    b->c->finished = all;
}

static void judge_bank(void *context, bool finished)
{
    struct bank_case *b = context;
    b->failed = false;
    (void)finished; /* live_bank() has looked */
}

static void *begin_bank(struct sim_case *c)
{
    static const uint32_t intervals[] = {1, 10, PHANTOM_SPACE_NO_INTERVAL};
    static const char *const strategies[] = {NULL,   NULL,   "async",  "cards",
                                             "full", "fork", "sigbus", "mprotect"};
    struct bank_case *b = calloc(1, sizeof(*b));
    PH_CHECK(b != NULL);
    b->c = c;
    b->interval_ms = intervals[ph_rng_below(&c->rng, 3)];
    b->strategy = strategies[ph_rng_below(&c->rng, SIM_STRATEGIES)];
    b->announced = (b->strategy != NULL && b->strategy[0] == 'c') || ph_rng_below(&c->rng, 2) == 0;
    b->check = ph_rng_below(&c->rng, 2) == 0;
    b->eager = ph_rng_below(&c->rng, 3) == 0;
    b->tellers = 1 + (unsigned)ph_rng_below(&c->rng, TELLERS);
    return b;
}

struct sim_campaign sim_bank_campaign = {
    .name = "bank",
    .path = "bank.phantom",
    .live = live_bank,
    .begin = begin_bank,
    .judge = judge_bank,
    .end = free,
    .points = {1, 2, 8},
    .steps = 1,
};
