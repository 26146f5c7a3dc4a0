/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_open.c - the public interface of spaces on real files: what comes back after a
 * restart, what is refused and why, callbacks, tickets, fork.
 */
#include "space_kit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct node {
    struct node *next;
    uint64_t number;
    char text[40];
};

static int clean(void **state)
{
    (void)state;
    kit_clean();
    return 0;
}

static void push_node(struct phantom_space *space, const char *root, uint64_t number)
{
    kit_assert_result(phantom_space_enter(space), 0);
    struct node *node = phantom_space_malloc(space, sizeof(*node));
    assert_non_null(node);
    phantom_space_will_write(space, node, sizeof(*node));
    node->next = phantom_space_root(space, root);
    node->number = number;
    snprintf(node->text, sizeof(node->text), "node %llu", (unsigned long long)number);
    phantom_space_wrote(space, node, sizeof(*node));
    kit_assert_result(phantom_space_set_root(space, root, node), 0);
    phantom_space_leave(space);
}

static uint64_t count_nodes(struct phantom_space *space, const char *root)
{
    uint64_t count = 0;
    for (struct node *node = phantom_space_root(space, root); node != NULL; node = node->next) {
        char text[40];
        snprintf(text, sizeof(text), "node %llu", (unsigned long long)node->number);
        assert_string_equal(node->text, text);
        count++;
    }
    return count;
}

static void come_back(const char *strategy, bool announced)
{
    struct phantom_space_options options = kit_options();
    options.strategy = strategy;
    options.all_stores_announced = announced;
    options.allow_signal_handlers = true;
    options.announced_before = true;
    void *base = NULL;
    for (uint64_t life = 0; life < 4; life++) {
        struct phantom_space *space = kit_open("a.phantom", &options);
        assert_true(life == 0 || phantom_space_base(space) == base);
        base = phantom_space_base(space);
        assert_int_equal(phantom_space_size(space), options.heap_size);
        if (strategy != NULL && strcmp(strategy, "auto") != 0) {
            assert_string_equal(phantom_space_strategy(space), strategy);
        } else if (announced) {
            assert_string_equal(phantom_space_strategy(space), "cards");
        }
        kit_check(space);
        assert_int_equal(count_nodes(space, "list"), life * 100);
        for (uint64_t i = 0; i < 100; i++) {
            push_node(space, "list", life * 100 + i);
        }
        if (life % 2 == 0) {
            kit_close(space);
        } else { /* as if it had crashed after a commit */
            kit_assert_result(phantom_space_commit(space), 0);
            push_node(space, "list", 12345);
            phantom_space_abandon(space);
        }
    }
    kit_clean();
}

static void pointers_come_back_with_each_strategy(void **state)
{
    (void)state;
    come_back(NULL, false);
    come_back("full", false);
    come_back("auto", false);
    come_back("epoch", false);
    come_back("mprotect", false);
    come_back("fork", false);
    come_back(NULL, true);
    come_back("auto", true);
    come_back("cards", true);
    struct phantom_space_options options = kit_options();
    options.strategy = "sigbus";
    options.allow_signal_handlers = true;
    struct phantom_space *space;
    if (phantom_space_open(kit_path("sigbus.phantom"), &options, &space, NULL) == 0) {
        kit_close(space);
        come_back("sigbus", false);
    } else {
        print_message("sigbus is left out: this kernel does not allow it\n");
    }
}

struct busy {
    struct phantom_space *space;
    atomic_bool enough;
};

/* Stores all the time, also while a snapshot is being written. */
static void *store_meanwhile(void *argument)
{
    struct busy *busy = argument;
    uint64_t *numbers = phantom_space_calloc(busy->space, 4096, sizeof(*numbers));
    for (uint64_t i = 0; numbers != NULL && !atomic_load(&busy->enough); i++) {
        uint64_t *number = &numbers[i * 509 % 4096];
        phantom_space_enter(busy->space);
        phantom_space_will_write(busy->space, number, sizeof(*number));
        *number = i;
        phantom_space_leave(busy->space);
    }
    phantom_space_free(busy->space, numbers);
    return NULL;
}

/* Changed, freed and new pages between snapshots, by every way that keeps before-images. */
static void store_all_the_time(const char *strategy)
{
    struct phantom_space_options options = kit_options(); /* compares each generation */
    options.strategy = strategy;
    options.allow_signal_handlers = true;
    options.announced_before = true;
    struct phantom_space *space;
    if (phantom_space_open(kit_path("a.phantom"), &options, &space, NULL) != 0) {
        print_message("%s is left out: this kernel does not allow it\n", strategy);
        return;
    }
    kit_close(space);
    uint64_t pushed = 0;
    for (unsigned life = 0; life < 2; life++) {
        space = kit_open("a.phantom", &options);
        assert_int_equal(count_nodes(space, "list"), pushed);
        struct busy busy = {.space = space};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, store_meanwhile, &busy), 0);
        for (unsigned round = 0; round < 4; round++) {
            char *large = phantom_space_malloc(space, 300000);
            assert_non_null(large);
            for (unsigned i = 0; i < 50; i++) {
                size_t at = kit_random(300000);
                phantom_space_enter(space);
                phantom_space_will_write(space, large + at, 1);
                large[at] = 1;
                phantom_space_leave(space);
                push_node(space, "list", pushed++);
            }
            kit_assert_result(phantom_space_snapshot(space, NULL), 0);
            phantom_space_free(space, large);
        }
        atomic_store(&busy.enough, true);
        pthread_join(thread, NULL);
        kit_close(space);
    }
    kit_clean();
}

static void stores_that_are_caught_are_all_in_the_snapshot(void **state)
{
    (void)state;
    store_all_the_time("epoch");
    store_all_the_time("sigbus");
    store_all_the_time("mprotect");
    store_all_the_time("fork");
}

static void what_was_freed_is_gone_and_what_was_cached_is_free(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    void *kept = phantom_space_malloc(space, 100);
    void *large = phantom_space_malloc(space, 5 << 20);
    memset(large, 7, 5 << 20);
    phantom_space_set_root(space, "kept", kept);
    phantom_space_free(space, phantom_space_malloc(space, 100));
    struct phantom_generation with, without;
    kit_assert_result(phantom_space_snapshot(space, &with), 0);
    phantom_space_free(space, large);
    kit_assert_result(phantom_space_snapshot(space, &without), 0);
    assert_true(without.live_pages + (5 << 20) / 4096 <= with.live_pages);
    kit_close(space);
    space = kit_open("a.phantom", &options);
    assert_int_equal(kit_blocks(space), 1);
    assert_ptr_not_equal(phantom_space_malloc(space, 100), kept);
    kit_check(space);
    kit_close(space);
}

static void reading_makes_no_page_dirty(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    for (uint64_t i = 0; i < 1000; i++) {
        push_node(space, "list", i);
    }
    kit_close(space);
    space = kit_open("a.phantom", &options);
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    assert_int_equal(count_nodes(space, "list"), 1000);
    assert_int_equal(phantom_space_usable_size(space, phantom_space_root(space, "list")), 64);
    kit_assert_result(phantom_space_usage(space, &usage), 0);
    kit_assert_result(
        phantom_space_load(space, phantom_space_base(space), phantom_space_size(space)), 0);
    kit_check(space);
    struct phantom_recovery recovery;
    phantom_space_recovered(space, &recovery);
    struct phantom_generation generation;
    kit_assert_result(phantom_space_snapshot(space, &generation), 0);
    assert_int_equal(generation.number, recovery.opened); /* there was nothing to write */
    kit_close(space);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void open_fails(const char *name, const struct phantom_space_options *options, int error,
                       const char *text)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_space *space = (struct phantom_space *)(void *)&diag;
    kit_assert_result(phantom_space_open(kit_path(name), options, &space, &diag), error);
    assert_ptr_equal(space, &diag);
    if (strstr(diag.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", diag.text, text);
    }
}

static void what_is_asked_wrongly_is_refused_by_name(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    options.existing_only = true;
    open_fails("none.phantom", &options, PHANTOM_ENOTFOUND, "none.phantom");
    options.create_only = true;
    open_fails("none.phantom", &options, PHANTOM_EINVALID, "exclude");
    options = kit_options();
    options.size = 3;
    open_fails("none.phantom", &options, PHANTOM_EINVALID, "size is 3");
    options = kit_options();
    options.heap_size = 100;
    open_fails("none.phantom", &options, PHANTOM_EINVALID, "heap size");
    options = kit_options();
    options.strategy = "magic";
    open_fails("none.phantom", &options, PHANTOM_EINVALID, "magic");
    options.strategy = "epoch"; /* nobody promised a call before each store */
    options.all_stores_announced = true;
    open_fails("none.phantom", &options, PHANTOM_EUNSUPPORTED, "epoch");
    options = kit_options();
    options.strategy = "mprotect"; /* nobody allowed the handler */
    open_fails("none.phantom", &options, PHANTOM_EUNSUPPORTED, "allow_signal_handlers");
    options = kit_options();
    options.retain_all_s = 100;
    options.retain_per_second_s = 50;
    open_fails("none.phantom", &options, PHANTOM_EINVALID, "retain_per_second_s");
    options = kit_options();
    options.strategy = "cards"; /* nobody promised to announce */
    open_fails("none.phantom", &options, PHANTOM_EUNSUPPORTED, "marked");
    options = kit_options();
    options.retain_all_s = 7200; /* longer than the default of the next step */
    kit_close(kit_open("a.phantom", &options));
    options.create_only = true;
    open_fails("a.phantom", &options, -EEXIST, "exists");
    FILE *file = fopen(kit_path("text.phantom"), "w");
    fputs("not a store", file);
    fclose(file);
    options = kit_options();
    open_fails("text.phantom", &options, PHANTOM_EFORMAT, "text.phantom");
}

static void a_space_is_no_world(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    kit_close(kit_open("a.phantom", &options));
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_world *world;
    kit_assert_result(phantom_open(kit_path("a.phantom"), NULL, &world, &diag), PHANTOM_EVERSION);
    assert_non_null(strstr(diag.text, "is a space"));
    struct phantom_store *store;
    kit_assert_result(phantom_store_open(kit_path("a.phantom"), &store, NULL, NULL), 0);
    struct phantom_store_info info;
    phantom_store_info(store, &info);
    assert_int_equal(info.heap_layout_version, PHANTOM_LAYOUT_SPACE);
    struct phantom_verify_report report;
    kit_assert_result(phantom_store_verify(store, true, &report, NULL, NULL, NULL), 0);
    phantom_store_close(store);
}

static void a_range_that_is_taken_is_refused_and_named(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    uint8_t *base = phantom_space_base(space);
    open_fails("a.phantom", &options, PHANTOM_EBUSY, "a.phantom");
    kit_close(space);
    void *wall = mmap(base + 4096, 4096, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(wall, base + 4096);
#ifdef TEST_PORTABLE /* only Linux says by what */
    open_fails("a.phantom", &options, PHANTOM_EADDRESS, "in use");
#else
    open_fails("a.phantom", &options, PHANTOM_EADDRESS, "taken by mapping");
#endif
    munmap(wall, 4096);
    kit_close(kit_open("a.phantom", &options));
}

static void calls_inside_an_operation_that_would_wait_for_themselves_are_refused(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    kit_assert_result(phantom_space_enter(space), 0);
    struct phantom_space_ticket ticket;
    kit_assert_result(phantom_space_commit(space), PHANTOM_EINVALID);
    kit_assert_result(phantom_space_snapshot(space, NULL), PHANTOM_EINVALID);
    kit_assert_result(phantom_space_commit_begin(space, &ticket), PHANTOM_EINVALID);
    kit_assert_result(phantom_space_check(space, NULL), PHANTOM_EINVALID);
    kit_assert_result(phantom_space_close(space), PHANTOM_EINVALID);
    phantom_space_leave(space);
    kit_close(space);
}

static void *commit_elsewhere(void *argument)
{
    return (void *)(intptr_t)phantom_space_commit(argument);
}

static void an_operation_that_does_not_end_makes_a_commit_time_out(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    options.stop_timeout_ms = 20;
    struct phantom_space *space = kit_open("a.phantom", &options);
    push_node(space, "list", 1);
    kit_assert_result(phantom_space_enter(space), 0);
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, commit_elsewhere, space);
    pthread_join(thread, &result);
    kit_assert_result((int)(intptr_t)result, PHANTOM_ETIMEOUT);
    phantom_space_leave(space);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_space_message(space, &diag);
    assert_non_null(strstr(diag.text, "did not stop"));
    kit_assert_result(phantom_space_commit(space), 0);
    kit_close(space);
}

/* ---- callbacks and tickets ------------------------------------------------------------------- */

struct log {
    int before, after, committed;
    void *base;
    uint64_t generation;
};

static void before_restore(void *context, void *base, uint64_t size)
{
    struct log *log = context;
    assert_int_equal(size, 64 << 20);
    log->base = base;
    log->before++;
}

static void after_restore(void *context, struct phantom_space *space,
                          const struct phantom_generation *generation)
{
    struct log *log = context;
    assert_ptr_equal(log->base, phantom_space_base(space));
    log->generation = generation->number;
    push_node(space, "list", 77); /* may use operations */
    log->after++;
}

static void committed(void *context, const struct phantom_generation *generation)
{
    struct log *log = context;
    assert_true(generation->number > 0);
    log->committed++;
}

static void callbacks_frame_a_restore_and_follow_commits(void **state)
{
    (void)state;
    struct log log = {0};
    struct phantom_space_options options = kit_options();
    options.context = &log;
    options.before_restore = before_restore;
    options.after_restore = after_restore;
    options.committed = committed;
    struct phantom_space *space = kit_open("a.phantom", &options);
    assert_int_equal(log.before + log.after, 0);
    assert_int_equal(log.committed, 1); /* birth */
    push_node(space, "list", 1);
    struct phantom_generation generation;
    kit_assert_result(phantom_space_snapshot(space, &generation), 0);
    assert_int_equal(log.committed, 2);
    kit_close(space); /* nothing ended since */
    assert_int_equal(log.committed, 2);
    space = kit_open("a.phantom", &options);
    assert_int_equal(log.before, 1);
    assert_int_equal(log.after, 1);
    assert_int_equal(log.generation, generation.number);
    assert_int_equal(count_nodes(space, "list"), 2);
    kit_close(space);
}

static _Atomic int safe_results;

static void now_safe(void *context, int result)
{
    assert_int_equal(result, 0);
    atomic_fetch_add(&safe_results, *(int *)context);
}

static void tickets_and_calls_need_no_waiter(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    struct phantom_space_ticket ticket[20];
    int weight = 1;
    for (int i = 0; i < 20; i++) {
        push_node(space, "list", (uint64_t)i);
        kit_assert_result(phantom_space_commit_begin(space, &ticket[i]), 0);
        kit_assert_result(phantom_space_when_safe(space, now_safe, &weight), 0);
    }
    int rc;
    do { /* the space's own thread commits; a timeout of 0 never does */
        rc = phantom_space_wait(space, ticket[0], 0);
    } while (rc == PHANTOM_ETIMEOUT);
    kit_assert_result(rc, 0);
    for (int i = 19; i >= 0; i--) {
        kit_assert_result(phantom_space_wait(space, ticket[i], 60000), 0);
    }
    phantom_space_abandon(space);
    assert_int_equal(atomic_load(&safe_results), 20);
    space = kit_open("a.phantom", &options);
    assert_int_equal(count_nodes(space, "list"), 20);
    kit_close(space);
}

static void periodic_snapshots_are_taken_when_something_ended(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    options.interval_ms = 1;
    struct phantom_space *space = kit_open("a.phantom", &options);
    struct phantom_space_counters counters = {.size = sizeof(counters)};
    push_node(space, "list", 1);
    do {
        kit_assert_result(phantom_space_counters(space, &counters), 0);
    } while (counters.generations < 2);
    assert_true(counters.operations >= 1);
    phantom_space_abandon(space);
    space = kit_open("a.phantom", &options);
    assert_int_equal(count_nodes(space, "list"), 1);
    kit_close(space);
}

/* ---- several, and none ----------------------------------------------------------------------- */

static void several_spaces_live_in_one_process(void **state)
{
    (void)state;
    enum { SPACES = 3 };
    struct phantom_space_options options = kit_options();
    struct phantom_space *space[SPACES];
    char name[20];
    for (int i = 0; i < SPACES; i++) {
        snprintf(name, sizeof(name), "%d.phantom", i);
        space[i] = kit_open(name, &options);
        for (int j = 0; j < i; j++) {
            assert_ptr_not_equal(phantom_space_base(space[i]), phantom_space_base(space[j]));
        }
    }
    for (int i = 0; i < SPACES; i++) {
        for (int j = 0; j <= i; j++) {
            push_node(space[i], "list", (uint64_t)j);
        }
        kit_assert_result(phantom_space_commit(space[i]), 0);
    }
    for (int i = 0; i < SPACES; i++) {
        kit_close(space[i]);
    }
    for (int i = 0; i < SPACES; i++) {
        snprintf(name, sizeof(name), "%d.phantom", i);
        space[i] = kit_open(name, &options);
        assert_int_equal(count_nodes(space[i], "list"), i + 1);
        kit_close(space[i]);
    }
}

/** In the child. Returns a number that says which of the expectations failed; 0: none. */
static int child_expectations(struct phantom_space *space)
{
    struct phantom_space_ticket ticket = {1};
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    if (phantom_space_enter(space) != PHANTOM_EFORKED ||
        phantom_space_commit(space) != PHANTOM_EFORKED ||
        phantom_space_commit_begin(space, &ticket) != PHANTOM_EFORKED ||
        phantom_space_wait(space, ticket, 0) != PHANTOM_EFORKED) {
        return 1;
    }
    if (phantom_space_malloc(space, 10) != NULL || phantom_space_root(space, "list") != NULL ||
        phantom_space_set_root(space, "x", NULL) != PHANTOM_EFORKED ||
        phantom_space_usage(space, &usage) != PHANTOM_EFORKED ||
        phantom_space_check(space, NULL) != PHANTOM_EFORKED) {
        return 2;
    }
    phantom_space_leave(space);
    phantom_space_free(space, NULL);
    unsigned char resident;
    if (mincore(phantom_space_base(space), 4096, &resident) == 0 || errno != ENOMEM) {
        return 3; /* the range exists */
    }
    return phantom_space_close(space) == PHANTOM_EFORKED ? 0 : 4;
}

static void a_forked_child_has_no_space(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    push_node(space, "list", 1);
    pid_t child = fork();
    if (child == 0) {
        _exit(child_expectations(space));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    push_node(space, "list", 2); /* the parent does not care */
    kit_close(space);
    space = kit_open("a.phantom", &options);
    assert_int_equal(count_nodes(space, "list"), 2);
    kit_close(space);
}

/* ---- trouble with the file ------------------------------------------------------------------- */

static void a_store_that_was_deleted_is_not_acknowledged(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    push_node(space, "list", 1);
    kit_assert_result(phantom_space_commit(space), 0);
    assert_int_equal(unlink(kit_path("a.phantom")), 0);
    push_node(space, "list", 2);
    kit_assert_result(phantom_space_commit(space), PHANTOM_EPOISONED);
    kit_assert_result(phantom_space_commit(space), PHANTOM_EPOISONED);
    kit_assert_result(phantom_space_close(space), PHANTOM_EPOISONED);
}

struct worker {
    struct phantom_space *space;
    pthread_t thread;
    int number;
    bool good;
};

static void *commit_often(void *argument)
{
    struct worker *worker = argument;
    char root[20];
    snprintf(root, sizeof(root), "list %d", worker->number);
    worker->good = true;
    for (uint64_t i = 0; worker->good && i < 12; i++) {
        push_node(worker->space, root, i);
        worker->good = phantom_space_commit(worker->space) == 0;
    }
    return NULL;
}

static void sixteen_threads_share_their_commits(void **state)
{
    (void)state;
    enum { THREADS = 16 };
    struct phantom_space_options options = kit_options();
    options.all_stores_announced = true;
    struct phantom_space *space = kit_open("a.phantom", &options);
    struct worker worker[THREADS];
    for (int i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){.space = space, .number = i};
        pthread_create(&worker[i].thread, NULL, commit_often, &worker[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(worker[i].thread, NULL);
        assert_true(worker[i].good);
    }
    struct phantom_space_counters counters = {.size = sizeof(counters)};
    kit_assert_result(phantom_space_counters(space, &counters), 0);
    assert_int_equal(counters.acknowledged, THREADS * 12);
    assert_true(counters.generations < THREADS * 12);
    struct phantom_counters detail = {.size = sizeof(detail)};
    kit_assert_result(phantom_space_snapshot_counters(space, &detail), 0);
    assert_int_equal(detail.snapshots, counters.generations);
    assert_int_equal(detail.pause_most_ns, counters.pause_max_ns);
    uint64_t pauses = 0;
    for (unsigned i = 0; i < PHANTOM_PAUSE_BUCKETS; i++) {
        pauses += detail.pause_histogram[i];
    }
    assert_true(pauses >= detail.snapshots); /* one that found nothing new has stopped, too */
    char text[8192];
    int length = phantom_counters_prometheus(&detail, "a.phantom", text, sizeof(text));
    assert_true(length > 0 && (size_t)length < sizeof(text));
    assert_non_null(strstr(text, "phantom_snapshots_total{world=\"a.phantom\"} "));
    detail.size = sizeof(detail) + 8;
    kit_assert_result(phantom_space_snapshot_counters(space, &detail), PHANTOM_EINVALID);
    phantom_space_abandon(space); /* what was acknowledged is there all the same */
    space = kit_open("a.phantom", &options);
    for (int i = 0; i < THREADS; i++) {
        char root[20];
        snprintf(root, sizeof(root), "list %d", i);
        assert_int_equal(count_nodes(space, root), 12);
    }
    assert_int_equal(kit_blocks(space), THREADS * 12);
    kit_check(space);
    kit_close(space);
}

int main(void)
{
    kit_begin();
#define CASE(name) cmocka_unit_test_teardown(name, clean)
    const struct CMUnitTest tests[] = {
        CASE(pointers_come_back_with_each_strategy),
        CASE(stores_that_are_caught_are_all_in_the_snapshot),
        CASE(what_was_freed_is_gone_and_what_was_cached_is_free),
        CASE(reading_makes_no_page_dirty),
        CASE(what_is_asked_wrongly_is_refused_by_name),
        CASE(a_space_is_no_world),
        CASE(a_range_that_is_taken_is_refused_and_named),
        CASE(calls_inside_an_operation_that_would_wait_for_themselves_are_refused),
        CASE(an_operation_that_does_not_end_makes_a_commit_time_out),
        CASE(callbacks_frame_a_restore_and_follow_commits),
        CASE(tickets_and_calls_need_no_waiter),
        CASE(periodic_snapshots_are_taken_when_something_ended),
        CASE(several_spaces_live_in_one_process),
        CASE(a_forked_child_has_no_space),
        CASE(a_store_that_was_deleted_is_not_acknowledged),
        CASE(sixteen_threads_share_their_commits),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
