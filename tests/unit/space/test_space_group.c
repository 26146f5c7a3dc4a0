/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_group.c - group commit with a store that is one number: who is told what, and when.
 */
#include "ph_killed.h"

#include "ph_memory.h"
#include "space_group.h"
#include "space_scenarios.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { PATIENCE_MS = 60000, THREADS = 16, ROUNDS = 300 };

static void who_asks_after_the_cut_is_not_told_too_early(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_true(scenario_who_asks_after_the_cut_is_not_told_too_early(PATIENCE_MS));
    }
}

static void who_comes_during_a_commit_gets_a_leader(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_true(scenario_who_comes_during_a_commit_gets_a_leader(PATIENCE_MS));
    }
}

static void the_end_waits_for_who_waits(void **state)
{
    (void)state;
    assert_true(scenario_the_end_waits_for_who_waits(20));
}

struct bank {
    struct space_group group;
    atomic_int done[THREADS];    /* what each thread has done */
    atomic_int durable[THREADS]; /* what was committed; only leaders write, one at a time */
    unsigned commits, refuse_every;
    int refused_with;
    atomic_uint refusals, leaders;
};

static int bank_commit(void *context)
{
    struct bank *bank = context;
    if (atomic_fetch_add(&bank->leaders, 1) != 0) {
        return -EDEADLK; /* two at a time */
    }
    bank->commits++;
    int rc = 0;
    if (bank->refuse_every != 0 && bank->commits % bank->refuse_every == 0) {
        rc = bank->refused_with; /* before the cut */
    } else {
        /* Nobody is stopped here: what is looked at after the round is closed has all of it. */
        space_group_close_round(&bank->group);
        for (int i = 0; i < THREADS; i++) {
            atomic_store_explicit(&bank->durable[i], atomic_load(&bank->done[i]),
                                  memory_order_relaxed);
        }
        hal_yield();
    }
    atomic_fetch_sub(&bank->leaders, 1);
    return rc;
}

struct client {
    struct bank *bank;
    int number;
    pthread_t thread;
    bool good;
};

static void *be_a_client(void *argument)
{
    struct client *client = argument;
    struct bank *bank = client->bank;
    client->good = true;
    for (int i = 1; client->good && i <= ROUNDS; i++) {
        atomic_store(&bank->done[client->number], i);
        int rc;
        do { /* refused: all who waited hear of it, and asking again is right */
            uint64_t round = 0;
            rc = space_group_join(&bank->group, &round);
            if (rc == 0) {
                rc = space_group_wait(&bank->group, round, -1);
            }
            atomic_fetch_add(&bank->refusals, rc == bank->refused_with && rc != 0);
        } while (rc != 0 && rc == bank->refused_with);
        client->good = rc == 0 && atomic_load_explicit(&bank->durable[client->number],
                                                       memory_order_relaxed) >= i;
    }
    return NULL;
}

static struct bank *new_bank(void)
{
    struct bank *bank = ph_zalloc(1, sizeof(*bank));
    bank->group.commit = bank_commit;
    bank->group.context = bank;
    bank->group.gather_ns = 100000;
    assert_int_equal(space_group_init(&bank->group), 0);
    return bank;
}

static void free_bank(struct bank *bank)
{
    space_group_finish(&bank->group);
    ph_free(bank);
}

static void run_clients(struct bank *bank)
{
    struct client client[THREADS];
    for (int i = 0; i < THREADS; i++) {
        client[i] = (struct client){.bank = bank, .number = i};
        assert_int_equal(pthread_create(&client[i].thread, NULL, be_a_client, &client[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(client[i].thread, NULL);
        assert_true(client[i].good);
    }
}

/* durable[] is read and written relaxed: the group alone orders it. */
static void sixteen_threads_are_told_only_what_is_durable(void **state)
{
    (void)state;
    struct bank *bank = new_bank();
    run_clients(bank);
    assert_true(bank->commits < THREADS * ROUNDS); /* they shared */
    assert_int_equal(bank->group.acknowledged, THREADS * ROUNDS);
    free_bank(bank);
}

static void everybody_hears_of_a_refusal_and_may_ask_again(void **state)
{
    (void)state;
    struct bank *bank = new_bank();
    bank->refuse_every = 3;
    bank->refused_with = PHANTOM_ENOSPACE;
    run_clients(bank);
    assert_true(atomic_load(&bank->refusals) >= bank->commits / 3);
    free_bank(bank);
}

/* A snapshot outside any group, as at birth, must not make later rounds be closed late. */
static void a_cut_without_a_leader_closes_nothing(void **state)
{
    (void)state;
    struct bank *bank = new_bank();
    space_group_close_round(&bank->group);
    assert_int_equal(bank->group.open_round, 1);
    uint64_t round;
    assert_int_equal(space_group_join(&bank->group, &round), 0);
    assert_int_equal(round, 1);
    assert_int_equal(space_group_wait(&bank->group, round, -1), 0);
    space_group_close_round(&bank->group);
    assert_int_equal(bank->group.open_round, 2);
    free_bank(bank);
}

static void a_ticket_is_asked_for_and_outlives_its_round(void **state)
{
    (void)state;
    struct bank *bank = new_bank();
    uint64_t first, second;
    assert_int_equal(space_group_join(&bank->group, &first), 0);
    assert_int_equal(space_group_wait(&bank->group, first, 0), PHANTOM_ETIMEOUT);
    assert_int_equal(space_group_wait(&bank->group, first, -1), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(space_group_join(&bank->group, &second), 0);
        assert_int_equal(space_group_wait(&bank->group, second, 1000), 0);
    }
    assert_int_equal(space_group_wait(&bank->group, first, 0), 0);
    assert_int_equal(space_group_wait(&bank->group, second + 100, 0), PHANTOM_EINVALID);
    assert_int_equal(space_group_wait(&bank->group, 0, 0), PHANTOM_EINVALID);
    free_bank(bank);
}

static int told[4], tells;

static void tell(void *context, int result)
{
    assert_int_equal(*(int *)context, tells); /* in order, once */
    told[tells++] = result;
}

static void call(struct bank *bank, int *number)
{
    struct space_safe_call *safe = ph_zalloc(1, sizeof(*safe));
    safe->safe = tell;
    safe->context = number;
    assert_int_equal(space_group_call(&bank->group, safe), 0);
}

static void calls_are_made_once_and_at_the_latest_at_the_end(void **state)
{
    (void)state;
    struct bank *bank = new_bank();
    int numbers[] = {0, 1, 2};
    call(bank, &numbers[0]);
    call(bank, &numbers[1]);
    assert_int_equal(tells, 0);
    space_group_help(&bank->group);
    assert_int_equal(tells, 2);
    call(bank, &numbers[2]);
    space_group_end(&bank->group);
    uint64_t round;
    assert_int_equal(space_group_join(&bank->group, &round), PHANTOM_ESTOPPED);
    space_group_tell_all(&bank->group, PHANTOM_EPOISONED);
    assert_int_equal(tells, 3);
    assert_int_equal(told[0], 0);
    assert_int_equal(told[1], 0);
    assert_int_equal(told[2], PHANTOM_EPOISONED);
    free_bank(bank);
}

/* Whoever ends the group writes once more himself: nobody may come to write beside him. */
static void after_the_end_nobody_comes_to_write(void **state)
{
    (void)state;
    struct bank *bank = new_bank();
    uint64_t done, open;
    assert_int_equal(space_group_join(&bank->group, &done), 0);
    assert_int_equal(space_group_wait(&bank->group, done, -1), 0);
    assert_int_equal(space_group_join(&bank->group, &open), 0);
    space_group_end(&bank->group);
    assert_int_equal(space_group_wait(&bank->group, open, -1), PHANTOM_ESTOPPED);
    assert_int_equal(space_group_wait(&bank->group, open, 10), PHANTOM_ESTOPPED);
    space_group_help(&bank->group);
    assert_int_equal(bank->commits, 1);
    assert_int_equal(space_group_wait(&bank->group, done, -1), 0);
    free_bank(bank);
}

/* ---- who asks without waiting, and the end --------------------------------------------------- */

struct asking {
    struct space_group group;
    pthread_t ender;
    atomic_bool ended;
    unsigned helped, ended_early;
};

static void *end_the_group(void *context)
{
    struct asking *asking = context;
    space_group_end(&asking->group);
    atomic_store(&asking->ended, true);
    return NULL;
}

static bool is_closing(struct asking *asking)
{
    hal_mutex_lock(&asking->group.lock);
    bool closing = asking->group.closing;
    hal_mutex_unlock(&asking->group.lock);
    return closing;
}

/** The end comes while the asker is still in the group, about to tell the helper. */
static void ended_meanwhile(void *context)
{
    struct asking *asking = context;
    asking->helped++;
    assert_int_equal(pthread_create(&asking->ender, NULL, end_the_group, asking), 0);
    while (!is_closing(asking)) {
        hal_yield();
    }
    int patience_ms = ph_active_mutant == PH_MUTANT_NONE ? 20 : PATIENCE_MS;
    for (int ms = 0; ms < patience_ms && !atomic_load(&asking->ended); ms++) {
        hal_sleep_msec(1);
    }
    asking->ended_early += atomic_load(&asking->ended);
}

static void count_call(void *context, int result)
{
    (void)result;
    ++*(unsigned *)context;
}

static void the_end_waits_for_who_asks_without_waiting(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        struct asking asking = {.group = {.help = ended_meanwhile}};
        asking.group.context = &asking;
        assert_int_equal(space_group_init(&asking.group), 0);
        uint64_t round;
        unsigned calls = 0;
        if (way == 0) {
            assert_int_equal(space_group_join(&asking.group, &round), 0);
        } else {
            struct space_safe_call *call = ph_zalloc(1, sizeof(*call));
            assert_non_null(call);
            *call = (struct space_safe_call){.safe = count_call, .context = &calls};
            assert_int_equal(space_group_call(&asking.group, call), 0);
        }
        pthread_join(asking.ender, NULL);
        assert_int_equal(asking.helped, 1);
        assert_int_equal(asking.ended_early, 0);
        assert_int_equal(space_group_join(&asking.group, &round), PHANTOM_ESTOPPED);
        space_group_tell_all(&asking.group, 0);
        assert_int_equal(calls, way);
        space_group_finish(&asking.group);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_after_the_cut_is_not_told_too_early),
        cmocka_unit_test(who_comes_during_a_commit_gets_a_leader),
        cmocka_unit_test(the_end_waits_for_who_waits),
        cmocka_unit_test(sixteen_threads_are_told_only_what_is_durable),
        cmocka_unit_test(everybody_hears_of_a_refusal_and_may_ask_again),
        cmocka_unit_test(a_cut_without_a_leader_closes_nothing),
        cmocka_unit_test(a_ticket_is_asked_for_and_outlives_its_round),
        cmocka_unit_test(calls_are_made_once_and_at_the_latest_at_the_end),
        cmocka_unit_test(after_the_end_nobody_comes_to_write),
        cmocka_unit_test(the_end_waits_for_who_asks_without_waiting),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_GROUP_ASKER_UNCOUNTED,
         cmocka_unit_test(the_end_waits_for_who_asks_without_waiting)},
        {PH_MUTANT_GROUP_ENDED_WRITES, cmocka_unit_test(after_the_end_nobody_comes_to_write)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
