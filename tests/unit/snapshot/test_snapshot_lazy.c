/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_lazy.c - lazy restore over real memory and a real file. Skipped where the kernel
 * cannot track written pages.
 */
#include "hal_posix.h"
#include "lazy_kit.h"
#include "ph_check.h"
#include "ph_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = SNAP_PAGE_SIZE, PAGES = 2000 };

static uint64_t seed_for(uint64_t fallback)
{
    uint64_t seed = ph_rng_seed_from_environment(fallback);
    print_message("PH_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/** Dense, sparse and empty parts; closed and opened again. */
static void begin_with_content(struct lazy_kit *kit)
{
    lazy_begin(kit, PAGES);
    lazy_fill(kit, 0, 700, 1);
    for (uint64_t page = 900; page < 1500; page += 7) {
        lazy_fill(kit, page, 1, 2);
    }
    lazy_fill(kit, 1600, 400, 3);
    lazy_snapshot_ok(kit);
    lazy_fill(kit, 100, 20, 4); /* blocks elsewhere */
    lazy_snapshot_ok(kit);
}

static struct snap_restore_progress progress_of(struct lazy_kit *kit)
{
    struct snap_restore_progress progress;
    snap_engine_restore_progress(kit->engine, &progress);
    return progress;
}

static void restored_on_demand_is_what_was_committed(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    struct snap_store_usage usage;
    snap_store_usage(kit.store, &usage); /* a compressed store has packs, or this tells nothing */
    assert_int_equal(usage.data_bytes_used < UINT64_C(900) * SNAP_PAGE_SIZE, lazy_compressed);
    lazy_gate(&kit, true);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    assert_true(progress_of(&kit).lazy);
    assert_int_equal(progress_of(&kit).pages_loaded, 0);
    lazy_expect_heap(&kit, seed_for(1));
    assert_int_equal(progress_of(&kit).pages_loaded, 700 + 86 + 400);
    assert_int_equal(progress_of(&kit).pages_demanded, PAGES); /* every page was waited for */
    lazy_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.pages_written, 0); /* a restored heap is clean */
    lazy_end(&kit);
}

static void restored_in_the_background_is_what_was_committed(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    lazy_wait_complete(&kit);
    struct snap_restore_progress progress = progress_of(&kit);
    assert_int_equal(progress.pages_unloaded, 0);
    assert_int_equal(progress.pages_demanded, 0);
    assert_int_equal(progress.pages_loaded, 700 + 86 + 400);
    lazy_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.pages_written, 0);
    lazy_expect_heap(&kit, 1);
    lazy_reopen(&kit, SNAP_RESTORE_EAGER);
    assert_false(progress_of(&kit).lazy);
    assert_true(progress_of(&kit).complete);
    lazy_expect_heap(&kit, 2);
    lazy_end(&kit);
}

/** Both at once, from several threads, again and again. */
static void faults_and_background_reader_meet(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    uint64_t seed = seed_for(5);
    for (uint64_t i = 0; i < 8; i++) {
        lazy_reopen(&kit, SNAP_RESTORE_LAZY);
        lazy_start_mutators(&kit, 3, 0, seed + i);
        lazy_let_run(&kit, 200);
        lazy_stop_mutators(&kit);
        lazy_expect_heap(&kit, i);
        lazy_snapshot_ok(&kit);
        lazy_wait_complete(&kit);
        assert_int_equal(lazy_generation_differs(&kit, kit.committed), -1);
    }
    lazy_end(&kit);
}

static void stores_before_a_page_is_loaded_are_kept(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    lazy_gate(&kit, true);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    uint64_t value = 77;
    uint64_t pages[] = {0, 5, 699, 750 /* hole */, 907, 1999};
    for (unsigned i = 0; i < 6; i++) { /* one word: the rest must come from the store */
        memcpy(kit.memory->base + pages[i] * PAGE + 64, &value, 8);
        memcpy(kit.shadow + pages[i] * PAGE + 64, &value, 8);
    }
    lazy_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.pages_written, 6);
    lazy_gate(&kit, false);
    lazy_wait_complete(&kit);
    lazy_expect_heap(&kit, 3);
    lazy_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.pages_written, 0);
    lazy_reopen(&kit, SNAP_RESTORE_EAGER);
    lazy_expect_heap(&kit, 4);
    lazy_end(&kit);
}

static void a_discarded_page_never_comes_back(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    lazy_gate(&kit, true);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    lazy_discard(&kit, 10, 50);  /* never loaded */
    lazy_fill(&kit, 300, 10, 9); /* loaded, written, discarded */
    lazy_discard(&kit, 300, 10);
    lazy_discard(&kit, 1650, 20); /* discarded, then written */
    lazy_fill(&kit, 1655, 3, 9);
    lazy_gate(&kit, false);
    lazy_wait_complete(&kit);
    lazy_expect_heap(&kit, 1);
    lazy_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.live_pages, 1186 - 50 - 10 - 17);
    lazy_discard(&kit, 20, 600); /* everything loaded: still a hole when it is touched again */
    lazy_expect_heap(&kit, 2);
    lazy_snapshot_ok(&kit);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    lazy_expect_heap(&kit, 3);
    lazy_end(&kit);
}

static void snapshots_and_discards_are_legal_during_restore(void **state)
{
    const unsigned runs = *(const unsigned *)*state;
    struct lazy_kit kit;
    uint64_t seed = seed_for(42);
    begin_with_content(&kit);
    unsigned generations = 0, compared = 0, unfinished = 0;
    for (uint64_t run = 0; run < runs; run++) {
        lazy_gate(&kit, true);
        kit.options.check_against_heap = run % 2 == 0;
        lazy_reopen(&kit, SNAP_RESTORE_LAZY);
        lazy_start_mutators(&kit, 2, 100, seed + run * 10);
        for (unsigned i = 0; i < 30; i++) {
            lazy_let_run(&kit, 10);
            unfinished += !progress_of(&kit).complete;
            lazy_snapshot_ok(&kit);
            generations++;
            if (i % 6 == 5) {
                assert_int_equal(lazy_generation_differs(&kit, kit.committed), -1);
                compared++;
            }
            if (i == 20) {
                lazy_gate(&kit, false);
            }
        }
        lazy_stop_mutators(&kit);
        lazy_snapshot_ok(&kit);
        lazy_wait_complete(&kit);
        lazy_expect_heap(&kit, run);
    }
    print_message("%u generations, %u of them while pages were missing, %u compared whole\n",
                  generations, unfinished, compared);
    assert_true(unfinished >= runs * 20); /* the gate opens after the twentieth */
    lazy_reopen(&kit, SNAP_RESTORE_EAGER);
    lazy_expect_heap(&kit, 9);
    assert_int_equal(snap_store_audit(kit.store, &kit.diag), 0);
    lazy_end(&kit);
}

/* ---- the kernel's accesses ------------------------------------------------------------------ */

static void the_kernel_reaches_loaded_pages(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    lazy_gate(&kit, true);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    uint8_t *target = kit.memory->base + 650 * PAGE;
    int zero = open("/dev/zero", O_RDONLY);
    assert_true(zero >= 0);
    assert_int_equal(read(zero, target, 100 * PAGE), -1);
    assert_int_equal(errno, EFAULT);
    lazy_gate(&kit, false); /* the same reader loads in bulk */
    assert_int_equal(snap_engine_load(kit.engine, 650, 100, &kit.diag), 0);
    assert_int_equal(read(zero, target + 8, 100 * PAGE - 8), 100 * PAGE - 8); /* data and holes */
    memset(kit.shadow + 650 * PAGE + 8, 0, 100 * PAGE - 8);
    close(zero);
    lazy_snapshot_ok(&kit);
    assert_int_equal(snap_engine_load(kit.engine, PAGES, 1, &kit.diag), PHANTOM_EINVALID);
    assert_int_equal(snap_engine_load(kit.engine, 0, PAGES, &kit.diag), 0);
    lazy_expect_heap(&kit, 1);
    lazy_reopen(&kit, SNAP_RESTORE_EAGER);
    assert_int_equal(snap_engine_load(kit.engine, 0, PAGES, &kit.diag), 0);
    const uint64_t list[] = {5, 1999, 800 /* hole */, 5, 1200, PAGES};
    assert_int_equal(snap_engine_load_list(kit.engine, list, 5, &kit.diag), 0);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    assert_int_equal(snap_engine_load_list(kit.engine, list, 6, &kit.diag), PHANTOM_EINVALID);
    assert_int_equal(snap_engine_load_list(kit.engine, list, 5, &kit.diag), 0);
    uint64_t waited = progress_of(&kit).pages_demanded;
    assert_int_equal(kit.memory->base[1999 * PAGE], kit.shadow[1999 * PAGE]);
    assert_int_equal(kit.memory->base[800 * PAGE], 0);
    assert_int_equal(progress_of(&kit).pages_demanded, waited);
    lazy_expect_heap(&kit, 1);
    lazy_end(&kit);
}

/* ---- damage and errors ---------------------------------------------------------------------- */

enum { DAMAGED = 4, FATAL = 42, WRONG_BYTES = 43 };

static void tell_and_exit(void *context, int error, const struct phantom_diag *diag, bool waiting)
{
    (void)context;
    char needle[32];
    (void)snprintf(needle, sizeof(needle), "page %d in block ", 333);
    bool named = strstr(diag->text, needle) != NULL && strstr(diag->text, "generation 2") != NULL &&
                 strstr(diag->text, "expected ") != NULL;
    _exit(error == PHANTOM_ECORRUPT && waiting && named ? DAMAGED : 1);
}

static void fatal_exit(const char *file, int line, const char *what)
{
    (void)file;
    (void)line;
    _exit(strstr(what, "page 333 in block ") != NULL || strstr(what, "read") != NULL ? FATAL : 2);
}

/** In a child: open lazily with a closed gate, touch page 333. Its exit status. */
static int status_of_touching(struct lazy_kit *kit, int read_errors,
                              void (*damaged)(void *, int, const struct phantom_diag *, bool))
{
    lazy_close(kit);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ph_set_fatal_hook(fatal_exit);
        kit->damaged = damaged;
        lazy_gate(kit, true);
        if (lazy_open(kit, SNAP_RESTORE_LAZY) != 0) {
            _exit(3);
        }
        atomic_store(&kit->read_errors, read_errors);
        volatile const uint8_t *page = kit->memory->base + 333 * PAGE;
        bool right = page[17] == kit->shadow[333 * PAGE + 17] &&
                     memcmp((const void *)(uintptr_t)page, kit->shadow + 333 * PAGE, PAGE) == 0;
        _exit(right ? 0 : WRONG_BYTES);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void damage_found_on_demand_ends_the_process(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    assert_int_equal(status_of_touching(&kit, 0, tell_and_exit), 0);
    lazy_damage_page(&kit, 333);
    assert_int_equal(status_of_touching(&kit, 0, tell_and_exit), DAMAGED);
    assert_int_equal(status_of_touching(&kit, 0, NULL), FATAL);
    lazy_end(&kit);
}

static void a_read_error_is_retried_and_then_fatal(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    assert_int_equal(status_of_touching(&kit, 1, NULL), 0);
    assert_int_equal(status_of_touching(&kit, 2, NULL), 0);
    assert_int_equal(status_of_touching(&kit, -1, NULL), FATAL);
    lazy_end(&kit);
}

static _Atomic int told_error;

static void tell(void *context, int error, const struct phantom_diag *diag, bool waiting)
{
    (void)context;
    (void)diag;
    atomic_store(&told_error, waiting ? 1 : error);
}

static void damage_found_in_the_background_stops_all_commits(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    lazy_close(&kit);
    lazy_damage_page(&kit, 333);
    atomic_store(&told_error, 0);
    kit.damaged = tell;
    assert_int_equal(lazy_open(&kit, SNAP_RESTORE_LAZY), 0);
    while (atomic_load(&told_error) == 0) {
        sched_yield();
    }
    assert_int_equal(atomic_load(&told_error), PHANTOM_ECORRUPT);
    lazy_fill(&kit, 710, 5, 1);
    uint64_t before = snap_store_current(kit.store)->number;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lazy_snapshot(&kit), PHANTOM_ECORRUPT);
        assert_non_null(strstr(kit.diag.text, "page 333 in block "));
    }
    assert_int_equal(snap_store_current(kit.store)->number, before);
    lazy_close(&kit);
    /* Eagerly the damage is found before anything runs. */
    assert_int_equal(lazy_open(&kit, SNAP_RESTORE_EAGER), PHANTOM_ECORRUPT);
    lazy_end(&kit);
}

static void a_load_says_what_is_damaged(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    lazy_close(&kit);
    lazy_damage_page(&kit, 1800);
    kit.damaged = tell;
    assert_int_equal(lazy_open(&kit, SNAP_RESTORE_LAZY), 0);
    assert_int_equal(snap_engine_load(kit.engine, 1790, 20, &kit.diag), PHANTOM_ECORRUPT);
    assert_non_null(strstr(kit.diag.text, "page 1800 in block "));
    lazy_end(&kit);
}

/* ---- working set ----------------------------------------------------------------------------- */

static bool is_wanted(const struct snap_wanted *wanted, size_t count, uint64_t page, uint8_t age)
{
    for (size_t i = 0; i < count; i++) {
        if (page >= wanted[i].first && page < wanted[i].first + wanted[i].count &&
            wanted[i].age == age) {
            return true;
        }
    }
    return false;
}

static void what_a_run_used_comes_first_in_the_next(void **state)
{
    (void)state;
    struct lazy_kit kit;
    static struct snap_wanted wanted[SNAP_WANTED_MOST];
    begin_with_content(&kit);
    /* Everything was dirty until here; let the list say nothing. */
    lazy_gate(&kit, true);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    assert_int_equal(snap_store_write_wanted(kit.store, NULL, 0), 0);
    lazy_reopen(&kit, SNAP_RESTORE_EAGER); /* does not record */
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    const uint64_t used[] = {1650, 333, 907, 1999};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(kit.memory->base[used[i] * PAGE], kit.shadow[used[i] * PAGE]);
    }
    lazy_fill(&kit, 1800, 5, 8);
    lazy_snapshot_ok(&kit);
    lazy_close(&kit);
    for (uint8_t age = 0; age < 10; age++) { /* nobody waits for them any more: they grow old */
        lazy_gate(&kit, true);
        assert_int_equal(lazy_open(&kit, SNAP_RESTORE_LAZY), 0);
        size_t count = snap_store_read_wanted(kit.store, wanted, SNAP_WANTED_MOST);
        assert_int_equal(is_wanted(wanted, count, 333, age), age <= 8);
        assert_int_equal(is_wanted(wanted, count, 1999, age), age <= 8);
        assert_int_equal(is_wanted(wanted, count, 1802, age), age <= 8);
        assert_false(is_wanted(wanted, count, 334, age));
        assert_int_equal(count == 0, age > 8);
        lazy_close(&kit);
    }
    lazy_end(&kit);
}

static void the_background_reader_begins_with_the_working_set(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    const struct snap_wanted wanted[] = {{1900, 50, 0}, {1200, 3, 1}};
    assert_int_equal(snap_store_write_wanted(kit.store, wanted, 2), 0);
    lazy_close(&kit);
    lazy_gate(&kit, true);
    assert_int_equal(lazy_open(&kit, SNAP_RESTORE_LAZY), 0);
    while (progress_of(&kit).pages_loaded < 50) { /* some for the map, then the first request */
        lazy_gate_after(&kit, 1);
        sched_yield();
    }
    lazy_gate_after(&kit, 0);
    struct snap_restore_progress before = progress_of(&kit);
    for (uint64_t page = 1900; page < 1950; page++) {
        assert_int_equal(kit.memory->base[page * PAGE], kit.shadow[page * PAGE]);
    }
    assert_int_equal(progress_of(&kit).pages_demanded, before.pages_demanded);
    assert_int_equal(before.pages_demanded, 0);
    lazy_end(&kit);
}

static void a_hostile_working_set_costs_nothing_but_speed(void **state)
{
    (void)state;
    struct lazy_kit kit;
    static struct snap_wanted wanted[SNAP_WANTED_MOST];
    begin_with_content(&kit);
    for (size_t i = 0; i < SNAP_WANTED_MOST; i++) { /* far outside, overlapping, all the same */
        wanted[i] = (struct snap_wanted){i * 1000003, SNAP_WANTED_PAGES, 255};
    }
    wanted[5] = (struct snap_wanted){PAGES - 1, 1, 3};
    wanted[6] = (struct snap_wanted){PAGES - 1, 2, 3}; /* one page too long */
    wanted[7] = (struct snap_wanted){0, PAGES, 200};
    assert_int_equal(snap_store_write_wanted(kit.store, wanted, SNAP_WANTED_MOST), 0);
    size_t count = snap_store_read_wanted(kit.store, wanted, SNAP_WANTED_MOST);
    assert_int_equal(count, 2);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    lazy_wait_complete(&kit);
    lazy_expect_heap(&kit, 1);
    lazy_close(&kit);
    /* Every byte of the area wrong in turn, a block at a time: never an error. */
    for (unsigned block = 8; block < 16; block++) {
        int fd = open(kit.path, O_RDWR);
        uint8_t bytes[PAGE];
        assert_int_equal(pread(fd, bytes, PAGE, block * PAGE), PAGE);
        bytes[block * 200] ^= 1;
        assert_int_equal(pwrite(fd, bytes, PAGE, block * PAGE), PAGE);
        close(fd);
        assert_int_equal(lazy_open(&kit, SNAP_RESTORE_LAZY), 0);
        lazy_expect_heap(&kit, block);
        lazy_close(&kit);
    }
    lazy_end(&kit);
}

/* ---- life and death ------------------------------------------------------------------------- */

static void closing_does_not_wait_for_the_rest(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    for (int i = 0; i < 20; i++) {
        lazy_reopen(&kit, SNAP_RESTORE_LAZY);
        for (int page = 0; page < i * 10; page++) {
            assert_int_equal(kit.memory->base[page * PAGE], kit.shadow[page * PAGE]);
        }
    }
    lazy_end(&kit);
}

static void a_forked_child_lets_go(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    lazy_gate(&kit, true);
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    assert_int_equal(kit.memory->base[0], kit.shadow[0]);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool refused = snap_engine_load(kit.engine, 0, 10, NULL) != 0 &&
                       snap_engine_discard(kit.engine, 0, 1) == PHANTOM_EFORKED;
        kit.memory->ops->close(kit.memory); /* waits for no thread, frees nothing */
        _exit(refused ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    lazy_gate(&kit, false);
    lazy_expect_heap(&kit, 1);
    lazy_end(&kit);
}

static void what_cannot_be_lazy_is_eager(void **state)
{
    (void)state;
    struct lazy_kit kit;
    begin_with_content(&kit);
    kit.options.strategy = "full"; /* looks at every page */
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    assert_false(progress_of(&kit).lazy);
    lazy_expect_heap(&kit, 1);
    kit.options.strategy = "async";
    kit.options.open_reader = NULL;
    lazy_reopen(&kit, SNAP_RESTORE_LAZY);
    assert_false(progress_of(&kit).lazy);
    lazy_expect_heap(&kit, 1);
    lazy_end(&kit);
}

int main(int argc, char **argv)
{
    bool long_run = argc > 1 && strcmp(argv[1], "long") == 0;
    unsigned runs = long_run ? 20 : 2;
    if (!lazy_kit_possible()) {
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest campaign[] = {
        cmocka_unit_test_prestate(snapshots_and_discards_are_legal_during_restore, &runs),
    };
    if (long_run) {
        return cmocka_run_group_tests(campaign, NULL, NULL);
    }
    const struct CMUnitTest packed[] = {
        cmocka_unit_test(restored_on_demand_is_what_was_committed),
        cmocka_unit_test(restored_in_the_background_is_what_was_committed),
        cmocka_unit_test(faults_and_background_reader_meet),
        cmocka_unit_test(what_a_run_used_comes_first_in_the_next),
    };
    if (argc > 1 && strcmp(argv[1], "compressed") == 0) {
        lazy_compressed = true;
        return cmocka_run_group_tests(packed, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restored_on_demand_is_what_was_committed),
        cmocka_unit_test(restored_in_the_background_is_what_was_committed),
        cmocka_unit_test(faults_and_background_reader_meet),
        cmocka_unit_test(stores_before_a_page_is_loaded_are_kept),
        cmocka_unit_test(a_discarded_page_never_comes_back),
        cmocka_unit_test_prestate(snapshots_and_discards_are_legal_during_restore, &runs),
        cmocka_unit_test(the_kernel_reaches_loaded_pages),
        cmocka_unit_test(damage_found_on_demand_ends_the_process),
        cmocka_unit_test(a_read_error_is_retried_and_then_fatal),
        cmocka_unit_test(damage_found_in_the_background_stops_all_commits),
        cmocka_unit_test(a_load_says_what_is_damaged),
        cmocka_unit_test(what_a_run_used_comes_first_in_the_next),
        cmocka_unit_test(the_background_reader_begins_with_the_working_set),
        cmocka_unit_test(a_hostile_working_set_costs_nothing_but_speed),
        cmocka_unit_test(closing_does_not_wait_for_the_rest),
        cmocka_unit_test(a_forked_child_lets_go),
        cmocka_unit_test(what_cannot_be_lazy_is_eager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
