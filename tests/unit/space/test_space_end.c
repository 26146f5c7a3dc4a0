/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_end.c - the end of a space while others wait for a commit, hold tickets or are called
 * back: who is told what, and that a callback can neither wait nor end the space.
 */
#include "space_internal.h"
#include "space_kit.h"

#include <pthread.h>
#include <stdio.h>

enum { CLIENTS = 4, TRIES = 4 };

/** Everything of one test; `context` of the callbacks. */
struct scene {
    struct phantom_space *space;
    atomic_bool armed, reached, open; /* the gate in `committed` */
    atomic_int results[TRIES];        /* of what callbacks tried */
    atomic_int tried, told, told_with;
};

static void add_one(struct phantom_space *space, int number)
{
    char name[16];
    snprintf(name, sizeof(name), "client %d", number);
    assert_int_equal(phantom_space_enter(space), 0);
    int *value = phantom_space_malloc(space, sizeof(*value));
    assert_non_null(value);
    *value = number;
    kit_assert_result(phantom_space_set_root(space, name, value), 0);
    phantom_space_leave(space);
}

static void expect_all(const char *path, int count)
{
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open(path, &options);
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "client %d", i);
        const int *value = phantom_space_root(space, name);
        assert_non_null(value);
        assert_int_equal(*value, i);
    }
    kit_check(space);
    kit_close(space);
}

/* ---- others wait --------------------------------------------------------------------------- */

/** The first generation after `armed` stays in its callback until the gate opens. */
static void wait_at_the_gate(void *context, const struct phantom_generation *generation)
{
    struct scene *scene = context;
    (void)generation;
    if (atomic_exchange(&scene->armed, false)) {
        atomic_store(&scene->reached, true);
        while (!atomic_load(&scene->open)) {
            hal_sleep_msec(1);
        }
    }
}

struct client {
    struct scene *scene;
    pthread_t thread;
    int number, result;
    struct phantom_generation generation;
};

/** Of the clients the even ones call commit, the odd ones snapshot. */
static void *commit_once(void *argument)
{
    struct client *client = argument;
    struct phantom_space *space = client->scene->space;
    add_one(space, client->number);
    phantom_space_unregister_thread(space); /* a thread that ends later would need the space */
    client->result = client->number % 2 == 0 ? phantom_space_commit(space)
                                             : phantom_space_snapshot(space, &client->generation);
    return NULL;
}

static unsigned waiting(struct phantom_space *space)
{
    hal_mutex_lock(&space->group.lock);
    unsigned count = space->group.waiting;
    hal_mutex_unlock(&space->group.lock);
    return count;
}

static bool is_closing(struct phantom_space *space)
{
    hal_mutex_lock(&space->group.lock);
    bool closing = space->group.closing;
    hal_mutex_unlock(&space->group.lock);
    return closing;
}

struct ender {
    struct phantom_space *space;
    bool abandon;
    int result;
};

static void *end_space(void *argument)
{
    struct ender *ender = argument;
    if (ender->abandon) {
        phantom_space_abandon(ender->space);
    } else {
        ender->result = phantom_space_close(ender->space);
    }
    return NULL;
}

/** One client leads, the others sleep for the next round; then the space ends. */
static void end_while_clients_wait(const char *path, bool abandon)
{
    static struct scene scene;
    static struct client client[CLIENTS];
    scene = (struct scene){0};
    struct phantom_space_options options = kit_options();
    options.context = &scene;
    options.committed = wait_at_the_gate;
    struct phantom_space *space = scene.space = kit_open(path, &options);
    atomic_store(&scene.armed, true);
    for (int i = 0; i < CLIENTS; i++) {
        client[i] = (struct client){.scene = &scene, .number = i, .result = 1};
        assert_int_equal(pthread_create(&client[i].thread, NULL, commit_once, &client[i]), 0);
        while (i == 0 && !atomic_load(&scene.reached)) {
            hal_sleep_msec(1);
        }
    }
    /* A snapshot counts twice while it waits: for the wait, and for what it reads afterwards. */
    while (waiting(space) < CLIENTS + CLIENTS / 2) {
        hal_sleep_msec(1);
    }
    struct ender ender = {.space = space, .abandon = abandon, .result = 1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_space, &ender), 0);
    while (!is_closing(space)) {
        hal_sleep_msec(1);
    }
    struct phantom_space_ticket ticket;
    kit_assert_result(phantom_space_commit(space), PHANTOM_ESTOPPED);
    kit_assert_result(phantom_space_snapshot(space, NULL), PHANTOM_ESTOPPED);
    kit_assert_result(phantom_space_commit_begin(space, &ticket), PHANTOM_ESTOPPED);
    atomic_store(&scene.open, true);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(client[i].thread, NULL);
        kit_assert_result(client[i].result, 0);
        assert_true(i % 2 == 0 || client[i].generation.number != 0);
    }
    pthread_join(thread, NULL);
    assert_true(abandon || ender.result == 0);
    expect_all(path, CLIENTS);
}

static void close_finishes_what_others_wait_for(void **state)
{
    (void)state;
    end_while_clients_wait("close", false);
}

static void abandon_finishes_what_others_wait_for(void **state)
{
    (void)state;
    end_while_clients_wait("abandon", true);
}

/* ---- callbacks ----------------------------------------------------------------------------- */

/** What would wait for the thread itself is refused. */
static void try_all(struct scene *scene)
{
    if (scene->space == NULL) {
        return; /* birth */
    }
    struct phantom_space_ticket first = {.round = 1};
    atomic_store(&scene->results[0], phantom_space_commit(scene->space));
    atomic_store(&scene->results[1], phantom_space_snapshot(scene->space, NULL));
    atomic_store(&scene->results[2], phantom_space_wait(scene->space, first, -1));
    atomic_store(&scene->results[3], phantom_space_close(scene->space));
    phantom_space_abandon(scene->space); /* does nothing */
    atomic_fetch_add(&scene->tried, 1);
}

static void committed(void *context, const struct phantom_generation *generation)
{
    (void)generation;
    try_all(context);
}

static void safe(void *context, int result)
{
    struct scene *scene = context;
    try_all(scene);
    atomic_store(&scene->told_with, result);
    atomic_fetch_add(&scene->told, 1);
}

static void expect_refusals(struct scene *scene)
{
    for (int i = 0; i < TRIES; i++) {
        kit_assert_result(atomic_load(&scene->results[i]), PHANTOM_EINVALID);
        atomic_store(&scene->results[i], 0);
    }
}

static void a_callback_can_neither_wait_nor_end_the_space(void **state)
{
    (void)state;
    static struct scene scene;
    struct phantom_space_options options = kit_options();
    options.context = &scene;
    options.committed = committed;
    struct phantom_space *space = kit_open("callback", &options);
    scene.space = space;
    add_one(space, 0);
    kit_assert_result(phantom_space_commit(space), 0);
    assert_int_equal(atomic_load(&scene.tried), 1);
    expect_refusals(&scene);
    add_one(space, 1);
    kit_assert_result(phantom_space_when_safe(space, safe, &scene), 0);
    kit_assert_result(phantom_space_commit(space), 0);
    while (atomic_load(&scene.told) == 0) { /* the space's own thread may be the one that tells */
        hal_sleep_msec(1);
    }
    kit_assert_result(atomic_load(&scene.told_with), 0);
    expect_refusals(&scene);
    kit_assert_result(phantom_space_commit(space), 0); /* outside of them it works again */
    kit_close(space);
    expect_all("callback", 2);
}

/** Tickets nobody waits for, and a call that is made at the latest by the end. */
static void end_with_tickets(const char *path, bool abandon)
{
    static struct scene scene;
    scene = (struct scene){.told_with = 1};
    struct phantom_space_options options = kit_options();
    options.context = &scene;
    struct phantom_space *space = scene.space = kit_open(path, &options);
    struct phantom_space_ticket ticket;
    add_one(space, 0);
    kit_assert_result(phantom_space_commit(space), 0);
    add_one(space, 1);
    for (int i = 0; i < 100; i++) {
        kit_assert_result(phantom_space_commit_begin(space, &ticket), 0);
    }
    kit_assert_result(phantom_space_when_safe(space, safe, &scene), 0);
    if (abandon) {
        phantom_space_abandon(space);
    } else {
        kit_assert_result(phantom_space_close(space), 0);
    }
    assert_int_equal(atomic_load(&scene.told), 1);
    expect_refusals(&scene);
    int told_with = atomic_load(&scene.told_with);
    assert_true(told_with == 0 || (abandon && told_with == PHANTOM_ESTOPPED));
    expect_all(path, told_with == 0 ? 2 : 1);
}

static void tickets_need_no_end(void **state)
{
    (void)state;
    end_with_tickets("tickets", false);
    end_with_tickets("tickets abandoned", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_finishes_what_others_wait_for),
        cmocka_unit_test(abandon_finishes_what_others_wait_for),
        cmocka_unit_test(a_callback_can_neither_wait_nor_end_the_space),
        cmocka_unit_test(tickets_need_no_end),
    };
    kit_begin();
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
