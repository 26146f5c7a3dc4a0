/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store_errors.c - I/O that fails, disks that are full, memory that is not there,
 * handles that may not write: nothing acknowledged is lost, nothing doubtful is acknowledged.
 */
#include "ph_killed.h"
#include "store_fixture.h"

#include <limits.h>

enum { LIMIT = 64 << 20, PAGES = 2000 };

/* One commit; `early` pages of it are written before commit() is called. */
static int attempt(struct fixture *f, uint64_t early, uint64_t pages, uint32_t tag)
{
    struct snap_txn *txn = NULL;
    int error = snap_txn_begin(f->store, 512, &txn, &f->diag);
    for (uint64_t i = 0; error == 0 && i < early + pages; i++) {
        void *slot = snap_txn_stage(txn, i);
        if (slot == NULL || i == early) {
            error = snap_txn_write(txn, &f->diag);
            slot = snap_txn_stage(txn, i);
        }
        if (error == 0) {
            fill(tag, i, slot);
            f->now[i] = tag;
        }
    }
    if (txn == NULL) {
        return error;
    }
    if (error != 0) {
        snap_txn_abort(txn);
        return error;
    }
    return fixture_try_commit(f, txn);
}

static void back_to(struct fixture *f, uint64_t generation)
{
    if (generation == 0) {
        memset(f->now, 0, f->pages * sizeof *f->now);
    } else {
        memcpy(f->now, fixture_tags(f, generation), f->pages * sizeof *f->now);
    }
}

static void disarm(struct fixture *f)
{
    f->io->fail_write = f->io->fail_flush = f->io->fail_allocate = f->io->fail_read = 0;
}

/* Everything that writes must refuse now, and close must write nothing. */
static void check_poisoned(struct fixture *f)
{
    struct snap_txn *txn = NULL;
    struct snap_store_usage usage;
    long writes = f->io->writes, flushes = f->io->flushes;
    assert_int_equal(snap_txn_begin(f->store, 512, &txn, &f->diag), PHANTOM_EPOISONED);
    assert_null(txn);
    assert_non_null(strstr(f->diag.text, "failed"));
    snap_store_usage(f->store, &usage);
    assert_true(usage.poisoned);
    fixture_close(f);
    assert_int_equal(f->io->writes, writes);
    assert_int_equal(f->io->flushes, flushes);
}

static const struct shape {
    uint64_t early, pages;
} shapes[] = {{0, 5}, {20, 30}, {0, 400}, {300, 900}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void any_failed_write_or_flush_poisons_and_loses_nothing(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC};
    unsigned failures = 0;
    for (unsigned s = 0; s < SHAPES; s++) {
        for (unsigned variant = 0; variant < 8; variant++) {
            bool flush = variant & 1;
            bool done = false;
            for (long n = 1; !done; n++) {
                struct fixture *f = fixture_new(LIMIT, PAGES);
                fixture_put(f, 0, 100, 1);
                f->io->sticky = variant & 2;
                f->io->error = errors[variant >> 2];
                *(flush ? &f->io->fail_flush : &f->io->fail_write) =
                    (flush ? f->io->flushes : f->io->writes) + n;
                int error = attempt(f, shapes[s].early, shapes[s].pages, 2);
                done = error == 0;
                if (!done) {
                    failures++;
                    assert_int_equal(error, PHANTOM_EPOISONED);
                    check_poisoned(f);
                    disarm(f);
                    fixture_open(f);
                    uint64_t current = snap_store_current(f->store)->number;
                    assert_in_range(current, 1, 2); /* a record may have got there */
                    if (current == 2) {
                        fixture_remember(f, 2);
                    }
                    back_to(f, current);
                } else {
                    disarm(f);
                }
                fixture_check(f);
                fixture_put(f, 50, 60, 3);
                fixture_reopen(f);
                fixture_check(f);
                fixture_free(f);
            }
        }
    }
    assert_true(failures > 40);
}

/* XFS does that: see check_file(). A small commit has one flush, a large one two. */
static void flush_of_a_file_system_that_is_shut_down_is_not_believed(void **state)
{
    (void)state;
    for (unsigned s = 0; s < SHAPES; s++) {
        for (long n = 1; n <= 2; n++) {
            struct fixture *f = fixture_new(LIMIT, PAGES);
            fixture_put(f, 0, 100, 1);
            long before = f->io->flushes;
            f->io->shut_down = before + n;
            int error = attempt(f, shapes[s].early, shapes[s].pages, 2);
            assert_int_equal(error, f->io->is_shut_down ? PHANTOM_EPOISONED : 0);
            assert_true(f->io->is_shut_down || n > 1);
            if (error != 0) {
                assert_non_null(strstr(f->diag.text, "cannot be reached"));
                assert_int_equal(snap_store_current(f->store)->number, 1);
            }
            fixture_free(f);
        }
    }
}

static void reap_that_fails_once_is_tried_again(void **state)
{
    (void)state;
    for (long n = 1; n <= 3; n++) {
        struct fixture *f = fixture_new(LIMIT, PAGES);
        f->io->fail_reap = f->io->reaps + n;
        assert_int_equal(attempt(f, 300, 900, 1), 0);
        assert_true(f->io->reaps >= f->io->fail_reap);
        fixture_check(f);
        f->io->fail_reap = f->io->reaps + n; /* the same for reading */
        fixture_check(f);
        assert_true(f->io->reaps >= f->io->fail_reap);
        fixture_reopen(f);
        fixture_check(f);
        fixture_free(f);
    }
}

static void refused_submission_is_a_failed_write(void **state)
{
    (void)state;
    bool done = false;
    long n = 1;
    for (; !done; n++) {
        struct fixture *f = fixture_new(LIMIT, PAGES);
        fixture_put(f, 0, 100, 1);
        f->io->fail_submit = f->io->submits + n;
        int error = attempt(f, 100, 700, 2);
        f->io->fail_submit = 0;
        done = error == 0;
        if (!done) {
            assert_int_equal(error, PHANTOM_EPOISONED);
            check_poisoned(f);
            fixture_open(f);
            assert_int_equal(f->recovery.opened, 1); /* the record is the last to go out */
            back_to(f, 1);
        }
        fixture_check(f);
        fixture_free(f);
    }
    assert_true(n > 4);
}

static void refused_read_is_reported_and_the_handle_stays_usable(void **state)
{
    (void)state;
    fixture_plain = true; /* so that there are nodes to be read */
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_plain = false;
    fixture_put(f, 0, 1000, 1);
    struct expected e = {.tags = fixture_tags(f, 1), .pages = f->pages};
    f->io->fail_submit = f->io->submits + 2;
    assert_int_equal(snap_store_for_each_page(f->store, 1, compare_page, &e, &f->diag), -EIO);
    fixture_check(f);
    fixture_reopen(f);
    f->io->fail_read = f->io->reads + 1; /* of a map node, by the first change */
    assert_int_equal(attempt(f, 0, 5, 2), -EIO);
    disarm(f);
    back_to(f, 1);
    fixture_check(f);
    fixture_put(f, 0, 5, 3);
    fixture_check(f);
    fixture_free(f);
}

static void failed_seal_poisons(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 5, 1);
    f->io->fail_write = f->io->writes + 1;
    assert_int_equal(snap_store_seal(f->store), PHANTOM_EPOISONED);
    check_poisoned(f);
    disarm(f);
    fixture_open(f);
    fixture_check(f);
    fixture_free(f);
}

static void open_reports_failing_reads_flushes_and_writes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 100, 1);
    fixture_put(f, 40, 100, 2);
    fixture_put(f, 140, 100, 3);
    fixture_crash(f);
    memset(fixture_record(f, 4), 0x77, STORE_BLOCK_SIZE); /* something to retire */
    unsigned failures = 0;
    for (int kind = 0; kind < 3; kind++) {
        for (long n = 1;; n++) {
            f->io->fail_read = kind == 0 ? f->io->reads + n : 0;
            f->io->fail_flush = kind == 1 ? f->io->flushes + n : 0;
            f->io->fail_write = kind == 2 ? f->io->writes + n : 0;
            struct snap_store *store = NULL;
            int error = snap_store_open(&f->io->io, 0, &store, &f->recovery, &f->diag);
            disarm(f);
            if (error == 0) {
                snap_store_close(store);
                break;
            }
            assert_int_equal(error, -EIO);
            assert_null(store);
            failures++;
        }
        memset(fixture_record(f, 4), 0x77, STORE_BLOCK_SIZE);
    }
    assert_true(failures >= 6);
    fixture_open(f);
    assert_int_equal(f->recovery.opened, 3);
    fixture_check(f);
    fixture_free(f);
}

static void full_disk_refuses_the_reservation_and_later_works_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 30, 1);
    struct snap_txn *txn = fixture_begin(f);
    f->io->fail_allocate = f->io->allocations + 1;
    f->io->sticky = true;
    f->io->error = -ENOSPC;
    assert_int_equal(snap_txn_reserve(txn, 1500, &f->diag), PHANTOM_ENOSPACE);
    assert_int_equal(snap_txn_reserve(txn, UINT64_MAX, &f->diag), PHANTOM_ENOSPACE);
    snap_txn_abort(txn);
    fixture_check(f);
    fixture_put(f, 0, 5, 2);                                   /* what fits goes on */
    assert_int_equal(attempt(f, 0, 400, 3), PHANTOM_ENOSPACE); /* unreserved: refused half-way */
    back_to(f, 2);
    fixture_check(f);
    disarm(f);
    assert_int_equal(attempt(f, 0, 400, 3), 0);
    fixture_check(f);
    fixture_reopen(f);
    fixture_check(f);
    fixture_free(f);
}

static void create_on_a_full_or_failing_disk_makes_no_store(void **state)
{
    (void)state;
    struct snap_store_params params = fixture_params();
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    unsigned failures = 0;
    for (int kind = 0; kind < 3; kind++) {
        for (long n = 1;; n++) {
            struct trick_io *t = trick_create(LIMIT);
            t->sticky = true;
            t->error = kind == 0 ? -ENOSPC : -EIO;
            t->fail_allocate = kind == 0 ? n : 0;
            t->fail_write = kind == 1 ? n : 0;
            t->fail_flush = kind == 2 ? n : 0;
            int error = snap_store_create(&t->io, &params, &diag);
            if (error != 0) {
                failures++;
                assert_int_equal(error, kind == 0 ? PHANTOM_ENOSPACE : -EIO);
                assert_int_equal(snap_store_probe(&t->io), kind == 2 && n == 2);
            }
            t->io.ops->close(&t->io);
            if (error == 0) {
                break;
            }
        }
    }
    assert_int_equal(failures, 6);
    struct trick_io *t = trick_create(LIMIT);
    assert_int_equal(snap_store_create(&t->io, &params, &diag), 0);
    assert_int_equal(snap_store_create(&t->io, &params, &diag), PHANTOM_EINVALID); /* not empty */
    t->io.ops->close(&t->io);
}

static void impossible_parameters_are_refused(void **state)
{
    (void)state;
    struct trick_io *t = trick_create(LIMIT);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store_params good = fixture_params();
    for (int i = 0; i < 8; i++) {
        struct snap_store_params p = good;
        p.heap_base += i == 0 ? 1 : 0;
        p.heap_size = i == 1 ? 0 : i == 2 ? p.heap_size + 1 : p.heap_size;
        p.heap_base = i == 3 ? UINT64_MAX - 4095 : p.heap_base;
        p.ring_slots = i == 4 ? 8 : i == 5 ? 260 : p.ring_slots;
        p.segment_bytes = i == 6 ? 4096 : i == 7 ? p.segment_bytes + 1 : p.segment_bytes;
        assert_int_equal(snap_store_create(&t->io, &p, &diag), PHANTOM_EINVALID);
    }
    t->io.ops->close(&t->io);
}

static void failed_allocation_at_any_point_is_survived(void **state)
{
    (void)state;
    unsigned points = 0, refused = 0;
    for (int sticky = 0; sticky < 2; sticky++) {
        bool complete = false;
        for (int64_t n = 0; !complete; n++) {
            struct trick_io *t = trick_create(LIMIT);
            struct fixture *f = calloc(1, sizeof *f);
            assert_non_null(f);
            f->diag = (struct phantom_diag)PHANTOM_DIAG_INIT;
            f->io = t;
            f->pages = PAGES;
            f->now = calloc(PAGES, sizeof *f->now);
            assert_non_null(f->now);
            struct snap_store_params params = fixture_params();
            ph_memory_fail_after(n, sticky);
            int error = snap_store_create(&t->io, &params, &f->diag);
            error = error != 0 ? error : snap_store_open(&t->io, 0, &f->store, NULL, &f->diag);
            error = error != 0 ? error : attempt(f, 0, 40, 1);
            error = error != 0 ? error : attempt(f, 30, 300, 2);
            complete = !ph_memory_has_failed();
            points += !complete;
            ph_memory_fail_after(-1, false);
            assert_true(error == 0 || error == -ENOMEM);
            assert_true(error == 0 || !complete);
            refused += error != 0;
            if (f->store == NULL) {
                uint64_t size = 0;
                snap_io_memory_bytes(t->base, &size);
                if (size == 0) { /* create had not begun */
                    assert_int_equal(snap_store_create(&t->io, &params, &f->diag), 0);
                }
                fixture_open(f);
            }
            /* The same handle goes on as if nothing had happened. */
            back_to(f, snap_store_current(f->store)->number);
            fixture_check(f);
            fixture_put(f, 100, 20, 5);
            fixture_check(f);
            fixture_reopen(f);
            fixture_check(f);
            fixture_free(f);
        }
    }
    /* Filling new segments with zeros is the one thing that is done without if memory is short. */
    assert_true(points > 60 && refused > points - 20);
}

static void failed_allocation_while_opening_reading_or_verifying_is_reported(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    for (uint32_t i = 1; i < 20; i++) {
        fixture_put(f, i * 50, 70, i);
    }
    fixture_crash(f);
    bool complete = false;
    for (int64_t n = 0; !complete; n++) {
        struct snap_store *store = NULL;
        struct snap_verify_report report;
        uint8_t page[SNAP_PAGE_SIZE];
        ph_memory_fail_after(n, true);
        int error = snap_store_open(&f->io->io, n % 2, &store, NULL, &f->diag);
        error = error != 0 ? error : snap_store_verify(store, true, &report, NULL, NULL, &f->diag);
        error = error != 0 ? error : snap_store_audit(store, &f->diag);
        int got = error != 0 ? error : snap_store_read_page(store, 19, 955, page, &f->diag);
        struct expected e = {.tags = fixture_tags(f, 19), .pages = f->pages};
        error = got < 0 ? got : snap_store_for_each_page(store, 19, compare_page, &e, &f->diag);
        complete = !ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        assert_int_equal(error, complete ? 0 : -ENOMEM);
        snap_store_close(store);
    }
    fixture_open(f);
    fixture_check(f);
    fixture_free(f);
}

static void no_block_of_memory_is_left_behind(void **state)
{
    (void)state;
    int64_t before = ph_memory_live_blocks();
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 400, 1);
    fixture_put(f, 3, 40, 2);
    fixture_check(f);
    fixture_free(f);
    assert_int_equal(ph_memory_live_blocks(), before);
}

/* ---- who may write -------------------------------------------------------------------------- */

static void read_only_open_writes_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 40, 1);
    fixture_put(f, 3, 40, 2);
    fixture_crash(f);
    fixture_block(f, fixture_map_block(f, 2))[77] ^= 1; /* 2 is incomplete */
    uint64_t size = 0, after = 0;
    uint8_t *bytes = snap_io_memory_bytes(f->io->base, &size);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    long writes = f->io->writes, flushes = f->io->flushes;
    assert_int_equal(
        snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &f->store, &f->recovery, &f->diag), 0);
    assert_int_equal(f->recovery.opened, 1);
    assert_int_equal(f->recovery.incomplete, 2);
    assert_int_equal(f->recovery.records_retired, 0);
    assert_int_equal(f->io->last_lock, SNAP_LOCK_GENERATION(1));
    check_generation(f->store, 1, fixture_tags(f, 1), f->pages);
    assert_int_equal(snap_store_audit(f->store, &f->diag), 0);
    struct snap_store_usage usage;
    snap_store_usage(f->store, &usage);
    assert_int_equal(usage.data_bytes_used, 41 * SNAP_PAGE_SIZE);
    struct snap_txn *txn = NULL;
    assert_int_equal(snap_txn_begin(f->store, 512, &txn, &f->diag), PHANTOM_EREADONLY);
    assert_int_equal(snap_store_seal(f->store), 0);
    fixture_close(f);
    assert_int_equal(f->io->last_lock, 0);
    assert_int_equal(f->io->writes, writes);
    assert_int_equal(f->io->flushes, flushes);
    bytes = snap_io_memory_bytes(f->io->base, &after);
    assert_int_equal(after, size);
    assert_memory_equal(bytes, copy, size);
    free(copy);
    fixture_free(f);
}

static void second_writer_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 40, 1);
    fixture_close(f);
    f->io->locked[0] = SNAP_LOCK_WRITER;
    long writes = f->io->writes;
    assert_int_equal(fixture_refused(f, 0), PHANTOM_EBUSY);
    assert_int_equal(f->io->writes, writes);
    assert_int_equal(snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &f->store, NULL, &f->diag),
                     0);
    check_generation(f->store, 1, fixture_tags(f, 1), f->pages);
    fixture_free(f);
}

static void reader_beside_a_writer_keeps_its_generation(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 40, 1);
    fixture_put(f, 20, 40, 2);
    struct snap_store *reader = NULL;
    assert_int_equal(
        snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &reader, &f->recovery, &f->diag), 0);
    assert_int_equal(f->recovery.opened, 2);
    assert_int_equal(f->io->last_lock, SNAP_LOCK_GENERATION(2));
    f->io->locked[0] = SNAP_LOCK_GENERATION(2); /* what another process would see */
    for (uint32_t i = 3; i < 60; i++) {
        fixture_put(f, i, 60, i);
        check_generation(reader, 2, fixture_tags(f, 2), f->pages);
        struct snap_store *late = NULL;
        assert_int_equal(
            snap_store_open(&f->io->io, SNAP_OPEN_READ_ONLY, &late, &f->recovery, &f->diag), 0);
        uint64_t number = snap_store_current(late)->number;
        assert_int_equal(number, snap_store_current(f->store)->number);
        check_generation(late, number, f->now, f->pages);
        snap_store_close(late);
    }
    snap_store_close(reader);
    fixture_check(f);
    fixture_free(f);
}

/* The reader's own door to the file; whenever it is about to read the seal, the writer is faster by
 * one commit that is sealed, too: the ring that was read does not have it. One at a time. */
static struct overtaking {
    struct snap_io_ops ops;
    struct trick_io reader; /* on the writer's file */
    struct fixture *writer;
    unsigned times, done;
} overtaking;

static int read_overtaken(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    struct fixture *f = overtaking.writer;
    if (offset == f->store->file.seal_block * STORE_BLOCK_SIZE &&
        overtaking.done < overtaking.times) {
        overtaking.done++;
        fixture_put(f, overtaking.done % 50, 3, 1000 + overtaking.done);
        assert_int_equal(snap_store_seal(f->store), 0);
    }
    return trick_read(io, offset, buffer, length);
}

static int open_overtaken(struct fixture *f, unsigned times, struct snap_store **reader)
{
    overtaking = (struct overtaking){.ops = trick_ops, .writer = f, .times = times};
    overtaking.ops.read = read_overtaken;
    overtaking.reader.io =
        (struct snap_io){.ops = &overtaking.ops, .path = "the same store", .read_only = true};
    overtaking.reader.base = f->io->base;
    return snap_store_open(&overtaking.reader.io, SNAP_OPEN_READ_ONLY, reader, NULL, &f->diag);
}

static void reader_that_is_overtaken_often_sees_no_damage(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(LIMIT, PAGES);
    fixture_put(f, 0, 40, 1);
    for (unsigned times = 0; times <= 30; times += 5) {
        struct snap_store *reader = NULL;
        assert_int_equal(open_overtaken(f, times, &reader), 0);
        assert_int_equal(overtaking.done, times);
        uint64_t number = snap_store_current(f->store)->number;
        assert_int_equal(snap_store_current(reader)->number, number);
        check_generation(reader, number, f->now, f->pages);
        snap_store_close(reader);
    }
    /* By a writer that never pauses it is told so, and what it saw; it is not called damage. */
    struct snap_store *reader = NULL;
    assert_int_equal(open_overtaken(f, UINT_MAX, &reader), PHANTOM_EBUSY);
    assert_null(reader);
    assert_non_null(strstr(f->diag.text, "the writer is faster than this reader"));
    assert_non_null(strstr(f->diag.text, "was committed and sealed, but the newest record"));
    fixture_check(f);
    fixture_free(f);
}

static void two_transactions_in_one_process_belong_to_two_stores(void **state)
{
    (void)state;
    struct fixture *a = fixture_new(LIMIT, PAGES), *b = fixture_new(LIMIT, PAGES);
    struct snap_txn *in_a = fixture_begin(a), *in_b = fixture_begin(b);
    fixture_stage(a, in_a, 3, 5);
    fixture_stage(b, in_b, 3, 6);
    fixture_commit(a, in_a);
    fixture_commit(b, in_b);
    fixture_check(a);
    fixture_check(b);
    fixture_free(a);
    fixture_free(b);
}

/* ---- the file grows, and the zeros that fill it cannot be written ------------------------------
 */

/* One at a time. */
static struct filling {
    struct snap_io_ops ops;
    long fills, fail_fill; /* this one fails */
} filling;

static int write_or_fill(struct snap_io *io, uint64_t offset, const void *buffer, uint32_t length)
{
    const uint8_t *byte = buffer;
    bool zeros = byte[0] == 0 && memcmp(byte, byte + 1, length - 1) == 0;
    if (zeros && ++filling.fills == filling.fail_fill) {
        return -EIO;
    }
    return trick_write(io, offset, buffer, length);
}

/* Also where the file would only grow to find longer runs. */
static void failed_fill_of_new_blocks_acknowledges_nothing(void **state)
{
    (void)state;
    enum { FILLS = 24, ROUNDS = 40 };
    unsigned failed = 0;
    for (long at = 1; at <= FILLS; at++) {
        struct fixture *f = fixture_new(LIMIT, PAGES);
        filling = (struct filling){.ops = trick_ops};
        filling.ops.write = write_or_fill;
        f->io->io.ops = &filling.ops;
        struct ph_rng rng;
        ph_rng_init(&rng, 7);
        uint64_t number = 0;
        int error = 0;
        for (uint32_t round = 1; error == 0 && round <= ROUNDS; round++) {
            struct snap_txn *txn = fixture_begin(f);
            filling.fail_fill = at;
            uint64_t count = round == 1 ? PAGES : 40 + ph_rng_below(&rng, 100);
            for (uint64_t i = 0; error == 0 && i < count; i++) {
                uint64_t page = round == 1 ? i : ph_rng_below(&rng, PAGES);
                void *slot = snap_txn_stage(txn, page);
                if (slot == NULL) {
                    error = snap_txn_write(txn, &f->diag);
                    slot = error == 0 ? snap_txn_stage(txn, page) : NULL;
                }
                if (slot != NULL) {
                    fill(round, page, slot);
                    f->now[page] = round;
                }
            }
            if (error != 0) {
                snap_txn_abort(txn);
            } else {
                error = fixture_try_commit(f, txn);
            }
            assert_int_equal(error, filling.fills >= at ? PHANTOM_EPOISONED : 0);
            number = error == 0 ? snap_store_current(f->store)->number : number;
        }
        failed += error != 0;
        back_to(f, number);
        if (error != 0) {
            check_poisoned(f);
        }
        fixture_crash(f);
        fixture_open(f);
        assert_int_equal(
            number, f->store->generation_count != 0 ? snap_store_current(f->store)->number : 0);
        fixture_check(f);
        fixture_free(f);
    }
    print_message("%u fills failed\n", failed);
    assert_true(failed > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_failed_write_or_flush_poisons_and_loses_nothing),
        cmocka_unit_test(flush_of_a_file_system_that_is_shut_down_is_not_believed),
        cmocka_unit_test(reap_that_fails_once_is_tried_again),
        cmocka_unit_test(refused_submission_is_a_failed_write),
        cmocka_unit_test(refused_read_is_reported_and_the_handle_stays_usable),
        cmocka_unit_test(failed_fill_of_new_blocks_acknowledges_nothing),
        cmocka_unit_test(failed_seal_poisons),
        cmocka_unit_test(open_reports_failing_reads_flushes_and_writes),
        cmocka_unit_test(full_disk_refuses_the_reservation_and_later_works_again),
        cmocka_unit_test(create_on_a_full_or_failing_disk_makes_no_store),
        cmocka_unit_test(impossible_parameters_are_refused),
        cmocka_unit_test(failed_allocation_at_any_point_is_survived),
        cmocka_unit_test(failed_allocation_while_opening_reading_or_verifying_is_reported),
        cmocka_unit_test(no_block_of_memory_is_left_behind),
        cmocka_unit_test(read_only_open_writes_nothing),
        cmocka_unit_test(second_writer_is_refused),
        cmocka_unit_test(reader_beside_a_writer_keeps_its_generation),
        cmocka_unit_test(reader_that_is_overtaken_often_sees_no_damage),
        cmocka_unit_test(two_transactions_in_one_process_belong_to_two_stores),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_FAILED_FILL_ACKNOWLEDGED,
         cmocka_unit_test(failed_fill_of_new_blocks_acknowledges_nothing)},
        {PH_MUTANT_NOTHING_RESERVED,
         cmocka_unit_test(full_disk_refuses_the_reservation_and_later_works_again)},
        {PH_MUTANT_FLUSH_BELIEVED,
         cmocka_unit_test(flush_of_a_file_system_that_is_shut_down_is_not_believed)},
        {PH_MUTANT_SECOND_WRITER, cmocka_unit_test(second_writer_is_refused)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
}
