/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store_fill.c - zeros over new blocks: written behind the back of commits, never
 * over what a commit has written, and no commit waits for more than one slice of them.
 */
#include "ph_killed.h"
#include "store_fixture.h"

enum { LIMIT = 64 << 20, PAGES = 300, SEGMENT_BLOCKS = FIXTURE_SEGMENT / STORE_BLOCK_SIZE };

/* ---- what is written, by whom -------------------------------------------------------------- */

static struct watch {
    struct snap_io_ops ops;
    uint64_t zeros_written; /* bytes that the caller waited for */
    uint64_t fills, begun, waited;
    bool in_flight;
} watch;

static int watch_write(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    const uint8_t *byte = buffer;
    bool zeros = byte[0] == 0 && memcmp(byte, byte + 1, length - 1) == 0;
    watch.zeros_written += zeros ? length : 0;
    return trick_write(io, offset, buffer, length);
}

static int watch_submit(struct snap_io *io, struct snap_io_request *request)
{
    if (request->owner != NULL) {
        assert_false(watch.in_flight); /* one at a time */
        assert_true(request->length <= FIXTURE_SEGMENT);
        watch.in_flight = true;
        watch.begun++;
    }
    return trick_submit(io, request);
}

/* A fill comes back only when somebody waits for something. */
static int watch_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    if (minimum == 0) {
        *done = NULL;
        return 0;
    }
    int count = trick_reap(io, minimum, done);
    for (struct snap_io_request *r = count > 0 ? *done : NULL; r != NULL; r = r->next) {
        watch.fills += r->owner != NULL;
        watch.in_flight = r->owner != NULL ? false : watch.in_flight;
    }
    return count;
}

static struct fixture *watched(void)
{
    struct fixture *f = fixture_new(LIMIT, PAGES);
    watch = (struct watch){.ops = trick_ops};
    watch.ops.write = watch_write;
    watch.ops.submit = watch_submit;
    watch.ops.reap = watch_reap;
    f->io->io.ops = &watch.ops;
    return f;
}

/* ---- tests --------------------------------------------------------------------------------- */

/* The memory back end does a request when it is reaped, so a slice that nobody waits for comes
 * after what a small commit has written at once. */
static void blocks_are_given_out_when_their_zeros_are_written(void **state)
{
    (void)state;
    struct fixture *f = watched();
    for (uint32_t round = 1; round <= 200; round++) {
        fixture_put(f, (round * 7) % (PAGES - 5), 1 + round % 5, round);
        if (round % 50 == 0) {
            fixture_check(f);
        }
    }
    assert_true(watch.fills > 3);
    assert_int_equal(watch.zeros_written, 0); /* no commit did it itself */
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

/* One life of a store, while it grows. Returns how many slices were begun. */
static uint64_t grow_up(struct ph_rng *rng)
{
    struct fixture *f = watched();
    fixture_budget(f, (1 + ph_rng_below(rng, 4)) << 18);
    for (uint32_t round = 1; round <= 40; round++) {
        bool large = ph_rng_below(rng, 3) == 0;
        uint64_t count = large ? 64 + ph_rng_below(rng, 100) : 1 + ph_rng_below(rng, 30);
        fixture_put(f, ph_rng_below(rng, PAGES - count), count, round);
        if (round % 10 == 0) {
            fixture_check(f);
        }
    }
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
    return watch.begun;
}

/* Commits too large to be filled for use up what was just added, between small ones that have more
 * of it filled; little history, so that the search for free blocks begins anew again and again. */
static void zeros_are_written_to_free_blocks_only(void **state)
{
    (void)state;
    struct ph_rng rng;
    uint64_t begun = 0;
    ph_rng_init(&rng, ph_rng_seed_from_environment(11));
    for (unsigned life = 0; life < 12; life++) {
        begun += grow_up(&rng);
    }
    assert_true(begun > 12);
}

/* What the last writer did not get to is filled by the next one; what it committed stays. */
static void the_rest_is_filled_after_the_next_opening(void **state)
{
    (void)state;
    struct fixture *f = watched();
    for (uint32_t round = 1; round <= 40; round++) {
        uint64_t before = watch.begun;
        fixture_put(f, 0, 70, 2 * round); /* grows the file now and then, fills nothing */
        assert_int_equal(watch.begun, before);
        if (round % 2 == 0) {
            fixture_crash(f);
        } else {
            fixture_close(f);
        }
        fixture_open(f);
        fixture_put(f, round % PAGES, 1, 2 * round + 1);
        fixture_check(f);
    }
    assert_true(watch.begun > 3);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_given_out_when_their_zeros_are_written),
        cmocka_unit_test(zeros_are_written_to_free_blocks_only),
        cmocka_unit_test(the_rest_is_filled_after_the_next_opening),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_FILL_NOT_AWAITED,
         cmocka_unit_test(blocks_are_given_out_when_their_zeros_are_written)},
        {PH_MUTANT_FILL_OVER_DATA, cmocka_unit_test(zeros_are_written_to_free_blocks_only)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
