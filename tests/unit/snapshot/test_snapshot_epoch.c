/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_epoch.c - what is particular to strategy `epoch`: when it refuses, that a storing
 * thread waits rather than lose a before-image, that a cut does not grow with the set, and many
 * threads over many snapshots. The rest is the conformance suite's.
 */
#include "engine_kit.h"
#include "ph_killed.h"
#include "ph_test.h"
#include "snap_epoch.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

enum { PAGES = 2000, STAGING = 256 };

static const struct kit_kind epoch_kind = {"epoch", "epoch", &kit_fake_untracked_memory};

static void it_is_refused_where_stores_are_not_announced(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &epoch_kind, PAGES);
    snap_engine_close(kit.engine);
    kit.engine = NULL;
    kit.options.all_stores_announced = false;
    kit.options.all_stores_marked = true; /* a mark comes after the store: no substitute */
    assert_int_equal(kit_open_engine(&kit), PHANTOM_EUNSUPPORTED);
    assert_non_null(strstr(kit.diag.text, "announced"));
    kit.options.strategy = NULL; /* nor is it chosen by itself then */
    assert_int_equal(kit_open_engine(&kit), 0);
    assert_string_not_equal(snap_engine_strategy(kit.engine), "epoch");
    assert_null(snap_engine_epoch(kit.engine));
    kit_end(&kit);
}

static void an_unannounced_writer_ends_it(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &epoch_kind, PAGES);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    snap_engine_unmarked_writer(kit.engine);
    kit.kind->memory->write(kit.handle, 3 * SNAP_PAGE_SIZE, "foreign", 7);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kit_snapshot(&kit), PHANTOM_EUNSUPPORTED);
        assert_int_equal(kit.stops, kit.resumes);
    }
    kit_reopen(&kit); /* the last good generation */
    kit_end(&kit);
}

static void write_without_announcing(struct kit *kit)
{
    kit->after_cut = NULL;
    snap_engine_unmarked_writer(kit->engine);
    kit->kind->memory->write(kit->handle, 3 * SNAP_PAGE_SIZE, "foreign", 7);
}

static void an_unannounced_writer_spoils_the_unfinished_snapshot(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &epoch_kind, PAGES);
    kit_fill_range(&kit, 0, 10, 1);
    kit_snapshot_ok(&kit);
    kit_fill_range(&kit, 0, 10, 2);
    kit.after_cut = write_without_announcing;
    assert_int_equal(kit_snapshot(&kit), PHANTOM_EUNSUPPORTED);
    kit_reopen(&kit);
    kit_end(&kit);
}

/* ---- back-pressure ------------------------------------------------------------------------- */

struct storer {
    struct kit *kit;
    pthread_t thread;
    _Atomic uint64_t done; /* pages stored into */
};

static struct storer storer;

static void *store_everywhere(void *argument)
{
    struct storer *self = argument;
    for (uint64_t page = 0; page < PAGES; page++) {
        kit_fill(self->kit, PAGES - 1 - page, 7); /* the writer comes from the other end */
        atomic_store(&self->done, page + 1);
    }
    return NULL;
}

/** Nobody writes yet, so exactly as many stores get through as there are before-images. */
static void let_it_run_out_of_images(struct kit *kit)
{
    kit->after_cut = NULL;
    storer.kit = kit;
    atomic_store(&storer.done, 0);
    assert_int_equal(pthread_create(&storer.thread, NULL, store_everywhere, &storer), 0);
    while (atomic_load(&storer.done) < STAGING) {
        sched_yield();
    }
    for (int i = 0; i < 100; i++) {
        sched_yield();
    }
    assert_int_equal(atomic_load(&storer.done), STAGING);
}

static void a_thread_without_room_for_an_image_waits(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &epoch_kind, PAGES);
    kit_fill_range(&kit, 0, PAGES, 1);
    kit.after_cut = let_it_run_out_of_images;
    kit_snapshot_ok(&kit); /* compared with the heap at the cut */
    pthread_join(storer.thread, NULL);
    assert_int_equal(atomic_load(&storer.done), PAGES);
    kit_snapshot_ok(&kit);
    assert_int_equal(kit.report.generation.pages_written, PAGES);
    kit_reopen(&kit);
    kit_end(&kit);
}

static void let_it_run_out_and_fail_the_writes(struct kit *kit)
{
    let_it_run_out_of_images(kit);
    struct io_fault fault = {.ops = IO_OP_WRITE, .at = 1, .error = EIO};
    io_faulty_set(kit->faulty, &fault);
}

static void a_thread_that_waits_goes_on_when_the_snapshot_fails(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &epoch_kind, PAGES);
    kit_fill_range(&kit, 0, PAGES, 1);
    kit.after_cut = let_it_run_out_and_fail_the_writes;
    assert_int_equal(kit_snapshot(&kit), PHANTOM_EPOISONED);
    pthread_join(storer.thread, NULL);
    assert_int_equal(atomic_load(&storer.done), PAGES);
    io_faulty_set(kit.faulty, &(struct io_fault){0});
    kit_end(&kit);
}

/* ---- many threads, many snapshots ---------------------------------------------------------- */

static void no_generation_of_hundreds_differs_from_its_cut(void **state)
{
    (void)state;
    struct kit kit;
    uint64_t seed = kit_seed(4711);
    kit_begin(&kit, &epoch_kind, 700);
    kit_let_discard(&kit, 50);
    kit_start_mutators(&kit, 4, 500, 60, seed);
    for (int i = 0; i < 200; i++) {
        kit_let_run(&kit, 100);
        kit_snapshot_ok(&kit); /* compared with the heap at the cut */
    }
    kit_stop_mutators(&kit);
    kit_reopen(&kit);
    kit_end(&kit);
}

/* ---- room ------------------------------------------------------------------------------------ */

enum { ROOM_FIRST = 20, ROOM_STEP = 600 };

/** The file's owner grows it: the world runs, and changes more meanwhile; or it does not run. */
static struct {
    struct kit *kit;
    struct snap_io_ops ops;
    int (*allocate)(struct snap_io *io, uint64_t bytes);
    uint64_t changed;
    bool stopped;
    unsigned grown, grown_stopped;
} growth;

static int change_more_and_allocate(struct snap_io *io, uint64_t bytes)
{
    growth.grown++;
    growth.grown_stopped += growth.stopped;
    if (!growth.stopped && growth.changed + ROOM_STEP <= PAGES) {
        kit_fill_range(growth.kit, growth.changed, ROOM_STEP, 3);
        growth.changed += ROOM_STEP;
    }
    return growth.allocate(io, bytes);
}

static void note_stop(struct kit *kit)
{
    (void)kit;
    growth.stopped = true;
}

static void note_cut(struct kit *kit)
{
    (void)kit;
    growth.stopped = false;
}

static void room_for_what_was_changed_while_room_was_made_is_not_made_in_the_stop(void **state)
{
    (void)state;
    struct kit kit;
    kit_begin(&kit, &epoch_kind, PAGES);
    kit_fill_range(&kit, 0, ROOM_FIRST, 1);
    kit_snapshot_ok(&kit);
    memset(&growth, 0, sizeof(growth));
    growth.kit = &kit;
    growth.ops = *kit.faulty->ops;
    growth.allocate = growth.ops.allocate;
    growth.ops.allocate = change_more_and_allocate;
    const struct snap_io_ops *before = kit.faulty->ops;
    kit.faulty->ops = &growth.ops;
    kit.before_stop = note_stop;
    kit.after_cut = note_cut;
    kit_fill_range(&kit, 0, ROOM_STEP, 2);
    growth.changed = ROOM_STEP;
    kit_snapshot_ok(&kit);
    kit.faulty->ops = before;
    assert_true(growth.grown > 1); /* for the first pages, and for those that came meanwhile */
    assert_int_equal(growth.grown_stopped, 0);
    assert_int_equal(kit.report.generation.pages_written, growth.changed);
    kit_end(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_refused_where_stores_are_not_announced),
        cmocka_unit_test(an_unannounced_writer_ends_it),
        cmocka_unit_test(an_unannounced_writer_spoils_the_unfinished_snapshot),
        cmocka_unit_test(a_thread_without_room_for_an_image_waits),
        cmocka_unit_test(a_thread_that_waits_goes_on_when_the_snapshot_fails),
        cmocka_unit_test(no_generation_of_hundreds_differs_from_its_cut),
        cmocka_unit_test(room_for_what_was_changed_while_room_was_made_is_not_made_in_the_stop),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_EPOCH_GUESSES, cmocka_unit_test(an_unannounced_writer_ends_it)},
        {PH_MUTANT_ROOM_ONLY_ONCE,
         cmocka_unit_test(room_for_what_was_changed_while_room_was_made_is_not_made_in_the_stop)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
