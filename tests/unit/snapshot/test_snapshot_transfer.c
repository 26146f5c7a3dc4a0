/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_transfer.c - whole generations: compared, held, copied, rescued. Linked with a copy
 * of the rooms snapshot and hal_posix that has its seeded defects compiled in.
 *
 * Content is one number for each page, derived from the generation that wrote it, so that the tests
 * know what must be where. Real files are used where locks count, memory elsewhere.
 */
#include "hal_files.h"
#include "hal_posix.h"
#include "ph_killed.h"
#include "ph_memory.h"
#include "ph_rng.h"
#include "snap_transfer.h"
#include "store_format.h"
#include "store_sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGES = 40000, MODEL_PAGES = 1200, GENERATIONS = 10, SLOTS = 64, HOUR = 3600 };

struct model {
    uint32_t tag[GENERATIONS + 1][MODEL_PAGES]; /* 0: a hole */
    uint64_t number[GENERATIONS + 1];
    unsigned count;
};

static struct phantom_diag diag = PHANTOM_DIAG_INIT;
static int64_t clock_ns = 1000;

static struct snap_store_params params_of_tests(void)
{
    struct snap_store_params params = {.heap_base = UINT64_C(0x200000000000),
                                       .heap_size = (uint64_t)PAGES * SNAP_PAGE_SIZE,
                                       .segment_bytes = 64 << 10,
                                       .ring_slots = SLOTS};
    memset(params.uuid, 0x5a, sizeof params.uuid);
    return params;
}

/* Model pages are spread over the range so that the map has several leaves and inner nodes. */
static uint64_t place_of(unsigned page)
{
    return page < 400 ? page : page < 800 ? 16000 + page : 38000 + page;
}

static void fill(uint32_t tag, uint64_t page, void *data)
{
    uint32_t *word = data;
    for (unsigned i = 0; i < SNAP_PAGE_SIZE / sizeof *word; i++) {
        word[i] = tag * 2654435761u + (uint32_t)page * 40503u + i + 1;
    }
}

static int check_error(int error)
{
    if (error < 0) {
        fprintf(stderr, "%s (%s)\n", diag.text, phantom_err_name(error));
    }
    return error;
}

static uint64_t commit_pages(struct snap_store *store, const uint32_t *tags, const uint32_t *before)
{
    struct snap_txn *txn = NULL;
    assert_int_equal(check_error(snap_txn_begin(store, 256, &txn, &diag)), 0);
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        if (before != NULL && tags[i] == before[i]) {
            continue;
        }
        if (tags[i] == 0) {
            assert_int_equal(snap_txn_hole(txn, place_of(i)), 0);
            continue;
        }
        void *slot = snap_txn_stage(txn, place_of(i));
        if (slot == NULL) {
            assert_int_equal(snap_txn_write(txn, &diag), 0);
            slot = snap_txn_stage(txn, place_of(i));
        }
        assert_non_null(slot);
        fill(tags[i], place_of(i), slot);
    }
    struct snap_commit commit = {.heap_pages = PAGES,
                                 .time_ns = clock_ns += HOUR * INT64_C(1000000000),
                                 .pause_ns = 7,
                                 .version = {1, 2}};
    struct snap_generation made;
    assert_int_equal(check_error(snap_txn_commit(txn, &commit, &made, &diag)), 0);
    return made.number;
}

/* A store with GENERATIONS generations, each some random changes after the one before. */
static struct model *build(struct snap_io *io, uint64_t seed)
{
    struct snap_store_params params = params_of_tests();
    struct snap_store *store = NULL;
    struct model *model = calloc(1, sizeof *model);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    assert_non_null(model);
    assert_int_equal(check_error(snap_store_create(io, &params, &diag)), 0);
    assert_int_equal(check_error(snap_store_open(io, 0, &store, NULL, &diag)), 0);
    for (unsigned g = 1; g <= GENERATIONS; g++) {
        memcpy(model->tag[g], model->tag[g - 1], sizeof model->tag[g]);
        unsigned changes = g == 1 ? 900 : 1 + (unsigned)ph_rng_below(&rng, 40);
        for (unsigned i = 0; i < changes; i++) {
            unsigned page = (unsigned)ph_rng_below(&rng, MODEL_PAGES);
            model->tag[g][page] = ph_rng_below(&rng, 5) == 0 ? 0 : g;
        }
        model->number[g] = commit_pages(store, model->tag[g], model->tag[g - 1]);
        model->count = g;
    }
    snap_store_close(store);
    return model;
}

static struct snap_io *memory(void)
{
    struct snap_io *io = snap_io_memory_create(256 << 20);
    assert_non_null(io);
    return io;
}

static void drop(struct snap_io *io)
{
    io->ops->close(io);
}

struct seen {
    const uint32_t *tags;
    unsigned next; /* model page that must come next */
};

static int compare_page(void *context, uint64_t page, const void *data)
{
    struct seen *seen = context;
    uint8_t wanted[SNAP_PAGE_SIZE];
    while (seen->next < MODEL_PAGES && seen->tags[seen->next] == 0) {
        seen->next++;
    }
    assert_in_range(seen->next, 0, MODEL_PAGES - 1);
    assert_int_equal(page, place_of(seen->next));
    fill(seen->tags[seen->next], page, wanted);
    assert_memory_equal(data, wanted, sizeof wanted);
    seen->next++;
    return 0;
}

static void check_memory(struct snap_store *store, uint64_t number, const uint32_t *tags)
{
    struct seen seen = {.tags = tags};
    assert_int_equal(
        check_error(snap_store_for_each_page(store, number, compare_page, &seen, &diag)), 0);
    while (seen.next < MODEL_PAGES && tags[seen.next] == 0) {
        seen.next++;
    }
    assert_int_equal(seen.next, MODEL_PAGES);
}

/* The store in io has exactly these generations of the model, whole and with balanced accounts. */
static void check_store(struct snap_io *io, const struct model *model, const unsigned *wanted,
                        unsigned count)
{
    struct snap_store *store = NULL;
    struct snap_generation list[SLOTS];
    assert_int_equal(check_error(snap_store_open(io, 0, &store, NULL, &diag)), 0);
    assert_int_equal(snap_store_list(store, list, SLOTS), count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(list[i].number, model->number[wanted[i]]);
        assert_int_equal(list[i].version.native_classes, 2);
        assert_int_equal(list[i].pause_ns, 7);
        check_memory(store, list[i].number, model->tag[wanted[i]]);
    }
    assert_int_equal(check_error(snap_store_verify(store, true, NULL, NULL, NULL, &diag)), 0);
    assert_int_equal(check_error(snap_store_audit(store, &diag)), 0);
    snap_store_close(store);
}

static struct snap_store *open_reader(struct snap_io *io)
{
    struct snap_store *store = NULL;
    assert_int_equal(check_error(snap_store_open(io, SNAP_OPEN_READ_ONLY, &store, NULL, &diag)), 0);
    return store;
}

/* ---- diff ----------------------------------------------------------------------------------- */

struct difference {
    const uint32_t *from, *to;
    unsigned next;
};

static int compare_change(void *context, uint64_t page, enum snap_change change)
{
    struct difference *d = context;
    while (d->next < MODEL_PAGES && d->from[d->next] == d->to[d->next]) {
        d->next++;
    }
    assert_in_range(d->next, 0, MODEL_PAGES - 1);
    assert_int_equal(page, place_of(d->next));
    assert_int_equal(change, d->from[d->next] == 0 ? SNAP_PAGE_ADDED
                             : d->to[d->next] == 0 ? SNAP_PAGE_REMOVED
                                                   : SNAP_PAGE_CHANGED);
    d->next++;
    return 0;
}

static void diff_tells_exactly_what_changed_between_any_two(void **state)
{
    (void)state;
    struct snap_io *io = memory();
    struct model *model = build(io, 11);
    struct snap_store *store = open_reader(io);
    for (unsigned a = 1; a <= GENERATIONS; a++) {
        for (unsigned b = 1; b <= GENERATIONS; b++) {
            struct difference d = {model->tag[a], model->tag[b], 0};
            assert_int_equal(check_error(snap_store_diff(store, model->number[a], model->number[b],
                                                         compare_change, &d, &diag)),
                             0);
            while (d.next < MODEL_PAGES && d.from[d.next] == d.to[d.next]) {
                d.next++;
            }
            assert_int_equal(d.next, MODEL_PAGES);
        }
    }
    assert_int_equal(snap_store_diff(store, 999, 1, compare_change, NULL, &diag),
                     PHANTOM_ENOTFOUND);
    snap_store_close(store);
    free(model);
    drop(io);
}

static struct {
    struct snap_io io;
    struct snap_io_ops ops;
    struct snap_io *base;
    unsigned reads;
} counting;

static int count_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    (void)io;
    counting.reads++;
    return counting.base->ops->read(counting.base, offset, buffer, length);
}

static int count_submit(struct snap_io *io, struct snap_io_request *request)
{
    (void)io;
    counting.reads++;
    return counting.base->ops->submit(counting.base, request);
}

static int pass_reap(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    (void)io;
    return counting.base->ops->reap(counting.base, minimum, done);
}

static int pass_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    (void)io;
    return counting.base->ops->lock(counting.base, byte, kind);
}

static int pass_size(struct snap_io *io, uint64_t *bytes)
{
    (void)io;
    return counting.base->ops->size(counting.base, bytes);
}

static int note_change(void *context, uint64_t page, enum snap_change change)
{
    (void)page;
    (void)change;
    ++*(unsigned *)context;
    return 0;
}

static void diff_reads_only_what_leads_to_a_difference(void **state)
{
    (void)state;
    struct snap_io *io = memory();
    struct snap_store_params params = params_of_tests();
    struct snap_store *store = NULL;
    static uint32_t tags[MODEL_PAGES], later[MODEL_PAGES];
    assert_int_equal(snap_store_create(io, &params, &diag), 0);
    assert_int_equal(snap_store_open(io, 0, &store, NULL, &diag), 0);
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        tags[i] = later[i] = 1;
    }
    uint64_t first = commit_pages(store, tags, NULL);
    later[700] = 2;
    uint64_t second = commit_pages(store, later, tags);
    snap_store_close(store);
    counting.base = io;
    counting.ops = *io->ops;
    counting.ops.read = count_read;
    counting.ops.submit = count_submit;
    counting.ops.reap = pass_reap;
    counting.ops.lock = pass_lock;
    counting.ops.size = pass_size;
    counting.io = (struct snap_io){.ops = &counting.ops, .read_only = true};
    store = open_reader(&counting.io);
    unsigned changes = 0;
    counting.reads = 0;
    assert_int_equal(snap_store_diff(store, first, second, note_change, &changes, &diag), 0);
    assert_int_equal(changes, 1);
    /* One delta run and two paths of three nodes; the whole map has 12 nodes a generation. */
    assert_in_range(counting.reads, 1, 8);
    counting.reads = 0;
    assert_int_equal(snap_store_diff(store, second, second, note_change, &changes, &diag), 0);
    assert_int_equal(counting.reads, 0);
    snap_store_close(store);
    drop(io);
}

/* ---- copy ----------------------------------------------------------------------------------- */

static void a_copy_is_its_generation_and_nothing_else(void **state)
{
    (void)state;
    struct snap_io *io = memory();
    struct model *model = build(io, 12);
    struct snap_store *store = open_reader(io);
    struct snap_generation list[SLOTS];
    size_t count = snap_store_list(store, list, SLOTS);
    assert_int_equal(count, GENERATIONS);
    for (unsigned g = 1; g <= GENERATIONS; g += 3) {
        struct snap_io *target = memory();
        struct snap_copied copied;
        assert_int_equal(check_error(snap_store_copy(store, &model->number[g], 1, NULL, target,
                                                     NULL, &copied, &diag)),
                         0);
        assert_int_equal(copied.newest.number, model->number[g]);
        assert_int_equal(copied.newest.time_ns, list[g - 1].time_ns);
        assert_int_equal(copied.newest.root_sum.low, list[g - 1].root_sum.low);
        assert_int_equal(copied.newest.root_sum.high, list[g - 1].root_sum.high);
        check_store(target, model, &g, 1);
        /* What lies behind the bytes in use is not needed. */
        uint64_t size = 0;
        uint8_t *bytes = snap_io_memory_bytes(target, &size);
        struct snap_io *cut = memory();
        assert_in_range(copied.bytes, 1, size);
        assert_int_equal(snap_io_memory_assign(cut, bytes, copied.bytes), 0);
        check_store(cut, model, &g, 1);
        drop(cut);
        drop(target);
    }
    uint64_t unknown = 12345;
    struct snap_io *target = memory();
    assert_int_equal(snap_store_copy(store, &unknown, 1, NULL, target, NULL, NULL, &diag),
                     PHANTOM_ENOTFOUND);
    drop(target);
    snap_store_close(store);
    free(model);
    drop(io);
}

static void a_whole_history_is_copied_under_its_numbers(void **state)
{
    (void)state;
    struct snap_io *io = memory(), *target = memory();
    struct model *model = build(io, 13);
    struct snap_store *store = open_reader(io);
    static const unsigned wanted[] = {2, 3, 7, 9, 10};
    uint64_t numbers[5];
    struct snap_copied copied;
    for (unsigned i = 0; i < 5; i++) {
        numbers[i] = model->number[wanted[i]];
    }
    assert_int_equal(
        check_error(snap_store_copy(store, numbers, 5, NULL, target, NULL, &copied, &diag)), 0);
    assert_int_equal(copied.generations, 5);
    check_store(target, model, wanted, 5);
    /* It goes on as any store: the next generation has a new number. */
    struct snap_store *writer = NULL;
    assert_int_equal(snap_store_open(target, 0, &writer, NULL, &diag), 0);
    uint64_t next = commit_pages(writer, model->tag[1], model->tag[10]);
    assert_true(next > model->number[10]);
    check_memory(writer, next, model->tag[1]);
    check_memory(writer, model->number[2], model->tag[2]);
    snap_store_close(writer);
    snap_store_close(store);
    free(model);
    drop(io);
    drop(target);
}

static void clone_into(struct snap_store *store, const struct model *model, struct snap_io *target,
                       uint8_t uuid[16])
{
    static const uint8_t other[16] = {9, 8, 7, 6, 5};
    assert_int_equal(check_error(snap_store_copy(store, &model->number[GENERATIONS], 1, other,
                                                 target, NULL, NULL, &diag)),
                     0);
    struct snap_store *clone = open_reader(target);
    memcpy(uuid, snap_store_params(clone)->uuid, 16);
    assert_int_equal(snap_store_params(clone)->heap_base, snap_store_params(store)->heap_base);
    snap_store_close(clone);
}

/* Numbers that fall into one slot of the ring, the parent's among them, and a tag that alone keeps
 * its generation. */
static int copy_aged(enum ph_mutant mutant)
{
    struct snap_io *io = memory(), *target = memory();
    struct model *model = build(io, 14);
    struct snap_store *store = NULL;
    assert_int_equal(snap_store_open(io, 0, &store, NULL, &diag), 0);
    struct snap_retention all = {
        .all_s = UINT32_MAX, .per_second_s = UINT32_MAX, .per_minute_s = UINT32_MAX};
    assert_int_equal(snap_store_set_retention(store, &all), 0);
    assert_int_equal(check_error(snap_store_tag(store, model->number[3], "old", &diag)), 0);
    for (unsigned i = 0; i < 3 * SLOTS; i++) {
        (void)commit_pages(store, model->tag[1 + i % 2], model->tag[i == 0 ? 10 : 2 - i % 2]);
    }
    uint64_t last = snap_store_current(store)->number;
    uint64_t numbers[] = {model->number[3], model->number[5], model->number[3] + SLOTS,
                          last - SLOTS - 1, last - SLOTS,     last};
    struct snap_generation list[6];
    struct snap_copied copied;
    size_t count = sizeof numbers / sizeof numbers[0], tags = 0;
    ph_active_mutant = mutant;
    int error =
        check_error(snap_store_copy(store, numbers, count, NULL, target, NULL, &copied, &diag));
    ph_active_mutant = PH_MUTANT_NONE;
    error = error != 0 ? error : snap_store_copy_tags(store, target, &tags, &diag);
    snap_store_close(store);
    store = NULL;
    error = error != 0 ? error : snap_store_open(target, 0, &store, NULL, &diag);
    if (error == 0) {
        size_t found = snap_store_list(store, list, 6);
        error = found == count + 1 ? 0 : PHANTOM_ENOTFOUND; /* one more: of the tag */
        for (size_t i = 0; error == 0 && i < 6; i++) {
            error = list[i].number == numbers[i] ? 0 : PHANTOM_ENOTFOUND;
        }
    }
    if (error == 0) {
        struct snap_verify_report report;
        struct snap_tag tag;
        error = snap_store_verify(store, true, &report, NULL, NULL, &diag);
        assert_int_equal(snap_store_audit(store, &diag), 0);
        check_memory(store, numbers[0], model->tag[3]);
        check_memory(store, numbers[1], model->tag[5]);
        assert_int_equal(snap_store_tags(store, &tag, 1), 1);
        assert_int_equal(tag.generation, model->number[3]);
    }
    snap_store_close(store);
    free(model);
    drop(io);
    drop(target);
    return error;
}

static void a_copied_history_keeps_what_shares_a_slot_and_what_is_tagged(void **state)
{
    (void)state;
    assert_int_equal(check_error(copy_aged(PH_MUTANT_NONE)), 0);
    assert_int_not_equal(copy_aged(PH_MUTANT_COPY_TAKES_SLOT), 0);
    ph_mutant_killed(PH_MUTANT_COPY_TAKES_SLOT);
}

static void a_clone_has_an_identity_of_its_own(void **state)
{
    (void)state;
    struct snap_io *io = memory(), *target = memory(), *spoiled = memory();
    struct model *model = build(io, 14);
    struct snap_store *store = open_reader(io);
    uint8_t uuid[16];
    const unsigned newest = GENERATIONS;
    clone_into(store, model, target, uuid);
    assert_memory_not_equal(uuid, snap_store_params(store)->uuid, 16);
    check_store(target, model, &newest, 1);
    struct snap_store *clone = open_reader(target);
    assert_true(snap_store_current(clone)->root_sum.low != snap_store_current(store)->root_sum.low);
    snap_store_close(clone);
    ph_active_mutant = PH_MUTANT_CLONE_KEEPS_UUID;
    clone_into(store, model, spoiled, uuid);
    ph_active_mutant = PH_MUTANT_NONE;
    assert_memory_equal(uuid, snap_store_params(store)->uuid, 16); /* seen */
    ph_mutant_killed(PH_MUTANT_CLONE_KEEPS_UUID);
    snap_store_close(store);
    free(model);
    drop(io);
    drop(target);
    drop(spoiled);
}

static int stop_at_once(void *context, uint64_t done, uint64_t total)
{
    ++*(unsigned *)context;
    assert_true(done <= total);
    return 1;
}

static void a_copy_stops_when_it_is_told_to(void **state)
{
    (void)state;
    struct snap_io *io = memory(), *target = memory();
    struct model *model = build(io, 15);
    struct snap_store *store = open_reader(io);
    unsigned calls = 0;
    const struct snap_progress progress = {stop_at_once, &calls};
    assert_int_equal(
        snap_store_copy(store, &model->number[1], 1, NULL, target, &progress, NULL, &diag),
        -ECANCELED);
    assert_int_equal(calls, 1);
    snap_store_close(store);
    free(model);
    drop(io);
    drop(target);
}

static void a_copy_without_memory_or_disk_says_so(void **state)
{
    (void)state;
    struct snap_io *io = memory();
    struct model *model = build(io, 16);
    struct snap_store *store = open_reader(io);
    struct snap_io *small = snap_io_memory_create(1 << 20);
    assert_int_equal(snap_store_copy(store, &model->number[1], 1, NULL, small, NULL, NULL, &diag),
                     PHANTOM_ENOSPACE);
    drop(small);
    int error = -ENOMEM;
    for (long n = 0; error != 0; n++) {
        struct snap_io *target = memory();
        ph_memory_fail_after(n, false);
        error = snap_store_copy(store, &model->number[1], 1, NULL, target, NULL, NULL, &diag);
        ph_memory_fail_after(-1, false);
        assert_true(error == 0 || error == -ENOMEM);
        drop(target);
        assert_true(n < 10000);
    }
    snap_store_close(store);
    free(model);
    drop(io);
}

/* ---- beside a writer ------------------------------------------------------------------------ */

static char folder[] = "/tmp/phantom-transfer-XXXXXX";

static struct snap_io *open_file(const char *name, unsigned flags)
{
    char path[128];
    struct snap_io *io = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(check_error(hal_file_open(path, flags, &io, &diag)), 0);
    return io;
}

struct beside {
    struct snap_store *writer;
    uint32_t tags[2][MODEL_PAGES];
    unsigned commits;
};

/* The writer rewrites everything, again and again, while a copy is under way. */
static int write_beside(void *context, uint64_t done, uint64_t total)
{
    struct beside *b = context;
    (void)done;
    (void)total;
    for (; b->commits < 30; b->commits++) {
        unsigned now = b->commits % 2;
        for (unsigned i = 0; i < MODEL_PAGES; i++) {
            b->tags[now][i] = 1000 + b->commits;
        }
        commit_pages(b->writer, b->tags[now], NULL);
    }
    return 0;
}

static int copy_beside_a_writer(enum ph_mutant mutant)
{
    struct snap_io *io = open_file("written", HAL_FILE_CREATE), *target = memory();
    struct snap_store_params params = params_of_tests();
    params.retain_bytes = 1 << 20;
    struct beside *b = calloc(1, sizeof *b);
    struct model *model = calloc(1, sizeof *model);
    assert_true(b != NULL && model != NULL);
    assert_int_equal(snap_store_create(io, &params, &diag), 0);
    assert_int_equal(snap_store_open(io, 0, &b->writer, NULL, &diag), 0);
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        model->tag[1][i] = 5;
        model->tag[2][i] = 6; /* shares no block with the first */
    }
    model->number[1] = commit_pages(b->writer, model->tag[1], NULL);
    model->number[2] = commit_pages(b->writer, model->tag[2], model->tag[1]);
    struct snap_io *read_io = open_file("written", HAL_FILE_READ_ONLY);
    struct snap_store *reader = open_reader(read_io); /* shows, and locks, the second one */
    const struct snap_progress progress = {write_beside, b};
    ph_active_mutant = mutant;
    int error = snap_store_copy(reader, &model->number[1], 1, NULL, target, &progress, NULL, &diag);
    ph_active_mutant = PH_MUTANT_NONE;
    assert_int_equal(b->commits, 30);
    const unsigned first = 1;
    if (error == 0) {
        check_store(target, model, &first, 1);
    }
    snap_store_close(reader);
    drop(read_io);
    snap_store_close(b->writer);
    drop(io);
    drop(target);
    char path[128];
    snprintf(path, sizeof path, "%s/written", folder);
    assert_int_equal(unlink(path), 0);
    free(b);
    free(model);
    return error;
}

static void a_copy_is_held_against_the_writer(void **state)
{
    (void)state;
    assert_int_equal(copy_beside_a_writer(PH_MUTANT_NONE), 0);
    assert_int_equal(copy_beside_a_writer(PH_MUTANT_COPY_WITHOUT_LOCK), PHANTOM_ECORRUPT);
    ph_mutant_killed(PH_MUTANT_COPY_WITHOUT_LOCK);
}

static void a_dropped_generation_is_not_found(void **state)
{
    (void)state;
    struct snap_io *io = open_file("dropped", HAL_FILE_CREATE);
    struct snap_store_params params = params_of_tests();
    params.retain_bytes = 1 << 20;
    struct beside *b = calloc(1, sizeof *b);
    assert_non_null(b);
    assert_int_equal(snap_store_create(io, &params, &diag), 0);
    assert_int_equal(snap_store_open(io, 0, &b->writer, NULL, &diag), 0);
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        b->tags[0][i] = 1;
    }
    uint64_t first = commit_pages(b->writer, b->tags[0], NULL);
    commit_pages(b->writer, b->tags[0], b->tags[0]);
    struct snap_io *read_io = open_file("dropped", HAL_FILE_READ_ONLY);
    struct snap_store *reader = open_reader(read_io);
    assert_int_equal(check_error(snap_store_hold(reader, first, &diag)), 0);
    snap_store_unhold(reader, first);
    write_beside(b, 0, 0);
    assert_int_equal(snap_store_hold(reader, first, &diag), PHANTOM_ENOTFOUND);
    assert_non_null(strstr(diag.text, "dropped"));
    snap_store_close(reader);
    drop(read_io);
    snap_store_close(b->writer);
    drop(io);
    char path[128];
    snprintf(path, sizeof path, "%s/dropped", folder);
    assert_int_equal(unlink(path), 0);
    free(b);
}

/* ---- salvage -------------------------------------------------------------------------------- */

static const struct store_record *record_of(struct snap_io *io, uint64_t number)
{
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(io, &size);
    return (const struct store_record *)(bytes +
                                         (STORE_RING_START + number % SLOTS) * STORE_BLOCK_SIZE);
}

static void spoil(struct snap_io *io, uint64_t block)
{
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(io, &size);
    assert_true((block + 1) * STORE_BLOCK_SIZE <= size);
    bytes[block * STORE_BLOCK_SIZE + 1000] ^= 0x10;
}

struct losses {
    uint64_t ranges, pages, first;
};

static void note_lost(void *context, uint64_t first, uint64_t count, const char *why)
{
    struct losses *losses = context;
    assert_true(why[0] != '\0');
    losses->first = losses->ranges++ == 0 ? first : losses->first;
    losses->pages += count;
}

static int salvage(struct snap_io *io, bool partial, struct snap_io *target,
                   struct snap_salvage_report *report, struct losses *losses)
{
    uint64_t size = 0, after = 0;
    uint8_t *bytes = snap_io_memory_bytes(io, &size);
    uint8_t *before = malloc(size);
    assert_non_null(before);
    memcpy(before, bytes, size);
    *losses = (struct losses){0};
    int error =
        snap_store_salvage(io, NULL, partial, target, note_lost, losses, NULL, report, &diag);
    bytes = snap_io_memory_bytes(io, &after);
    assert_int_equal(size, after);
    assert_memory_equal(before, bytes, size); /* the source is only read */
    free(before);
    return error;
}

static void salvage_takes_the_newest_whole_generation(void **state)
{
    (void)state;
    struct snap_io *io = memory();
    struct model *model = build(io, 21);
    struct snap_salvage_report report;
    struct losses losses;
    uint64_t block = 0;
    for (unsigned lost = 0; lost <= 3; lost++) {
        struct snap_io *target = memory();
        const unsigned wanted = GENERATIONS - lost;
        if (lost != 0) { /* what the newest one that is left begins with */
            const struct store_record *record =
                record_of(io, model->number[GENERATIONS + 1 - lost]);
            block = record->delta.block != 0 ? record->delta.block : record->root_block;
            assert_true(block != 0);
            spoil(io, block);
        }
        assert_int_equal(check_error(salvage(io, false, target, &report, &losses)), 0);
        assert_int_equal(report.generation, model->number[wanted]);
        assert_int_equal(report.newest_seen, model->number[GENERATIONS]);
        assert_int_equal(report.records_found, GENERATIONS);
        assert_int_equal(losses.ranges, 0);
        check_store(target, model, &wanted, 1);
        drop(target);
    }
    free(model);
    drop(io);
}

/* The record of the newest generation says what its pages do not add up to; all sums are right. */
static int salvage_around_a_wrong_record(bool count, enum ph_mutant mutant)
{
    struct snap_io *io = memory(), *target = memory();
    struct model *model = build(io, 25);
    struct snap_salvage_report report;
    struct losses losses;
    const unsigned wanted = GENERATIONS - 1;
    uint64_t size = 0, slot = model->number[GENERATIONS] % SLOTS;
    uint8_t *bytes = snap_io_memory_bytes(io, &size);
    struct store_record *record =
        (struct store_record *)(bytes + (STORE_RING_START + slot) * STORE_BLOCK_SIZE);
    if (count) {
        record->live_pages++;
    } else {
        record->memory_sum.low ^= 1;
    }
    store_record_seal(params_of_tests().uuid, (uint32_t)slot, record);
    ph_active_mutant = mutant;
    int error = salvage(io, false, target, &report, &losses);
    ph_active_mutant = PH_MUTANT_NONE;
    assert_int_equal(report.newest_seen, model->number[GENERATIONS]);
    assert_int_equal(report.records_bad, 0);
    if (error == 0) {
        assert_int_equal(report.generation, model->number[wanted]);
        check_store(target, model, &wanted, 1);
    }
    free(model);
    drop(io);
    drop(target);
    return error;
}

static void salvage_goes_on_behind_a_record_that_does_not_add_up(void **state)
{
    (void)state;
    for (unsigned count = 0; count < 2; count++) {
        assert_int_equal(check_error(salvage_around_a_wrong_record(count, PH_MUTANT_NONE)), 0);
        assert_int_equal(salvage_around_a_wrong_record(count, PH_MUTANT_SALVAGE_COUNT_BELIEVED),
                         PHANTOM_ECORRUPT);
    }
    ph_mutant_killed(PH_MUTANT_SALVAGE_COUNT_BELIEVED);
}

static void salvage_needs_one_superblock_and_one_record(void **state)
{
    (void)state;
    struct snap_io *io = memory();
    struct model *model = build(io, 22);
    struct snap_salvage_report report;
    struct losses losses;
    spoil(io, STORE_SUPERBLOCK);
    spoil(io, STORE_SEAL);
    for (unsigned g = 2; g <= GENERATIONS; g++) { /* the ring loses all records but one */
        spoil(io, STORE_RING_START + model->number[g] % SLOTS);
    }
    struct snap_store *store = NULL;
    assert_int_equal(snap_store_open(io, SNAP_OPEN_READ_ONLY, &store, NULL, &diag),
                     PHANTOM_ECORRUPT);
    struct snap_io *target = memory();
    const unsigned first = 1;
    assert_int_equal(check_error(salvage(io, false, target, &report, &losses)), 0);
    assert_int_equal(report.generation, model->number[1]);
    assert_int_equal(report.records_bad, GENERATIONS - 1);
    check_store(target, model, &first, 1);
    drop(target);
    spoil(io, STORE_RING_START + model->number[1] % SLOTS);
    target = memory();
    assert_int_equal(salvage(io, true, target, &report, &losses), PHANTOM_ECORRUPT);
    drop(target);
    spoil(io, STORE_SUPERBLOCK_COPY);
    target = memory();
    assert_int_equal(salvage(io, true, target, &report, &losses), PHANTOM_ECORRUPT);
    drop(target);
    free(model);
    drop(io);
}

/* Flip a byte in every copy of one page's content that is in the file. */
static unsigned spoil_page(struct snap_io *io, uint32_t tag, uint64_t page)
{
    uint64_t size = 0;
    uint8_t *bytes = snap_io_memory_bytes(io, &size), wanted[SNAP_PAGE_SIZE];
    unsigned found = 0;
    fill(tag, page, wanted);
    for (uint64_t at = 0; at + sizeof wanted <= size; at += sizeof wanted) {
        if (memcmp(bytes + at, wanted, sizeof wanted) == 0) {
            bytes[at] ^= 1;
            found++;
        }
    }
    return found;
}

static int salvage_around_a_bad_page(enum ph_mutant mutant)
{
    struct snap_io *io = memory(), *target = memory();
    struct model *model = build(io, 23);
    struct snap_salvage_report report;
    struct losses losses;
    unsigned bad = 0; /* written by the first generation and never again: in all of them */
    while (model->tag[GENERATIONS][bad] != 1) {
        bad++;
    }
    for (unsigned g = 1; g <= GENERATIONS; g++) {
        assert_int_equal(model->tag[g][bad], 1);
    }
    assert_int_equal(spoil_page(io, 1, place_of(bad)), 1);
    assert_int_equal(salvage(io, false, target, &report, &losses), PHANTOM_ECORRUPT);
    drop(target);
    target = memory();
    ph_active_mutant = mutant;
    int error = check_error(salvage(io, true, target, &report, &losses));
    ph_active_mutant = PH_MUTANT_NONE;
    assert_int_equal(error, 0);
    assert_int_equal(report.generation, model->number[GENERATIONS]);
    struct snap_store *store = open_reader(target);
    uint8_t page[SNAP_PAGE_SIZE];
    int found = snap_store_read_page(store, report.generation, place_of(bad), page, &diag);
    snap_store_close(store);
    if (mutant == PH_MUTANT_NONE) {
        const unsigned newest = GENERATIONS;
        assert_int_equal(losses.ranges, 1);
        assert_int_equal(losses.pages, 1);
        assert_int_equal(losses.first, place_of(bad));
        assert_int_equal(report.pages_lost, 1);
        model->tag[GENERATIONS][bad] = 0; /* a hole, and all the rest as it was */
        check_store(target, model, &newest, 1);
    }
    free(model);
    drop(io);
    drop(target);
    return found;
}

static void salvage_leaves_a_hole_where_a_page_is_damaged(void **state)
{
    (void)state;
    assert_int_equal(salvage_around_a_bad_page(PH_MUTANT_NONE), 0);
    assert_int_equal(salvage_around_a_bad_page(PH_MUTANT_SALVAGE_UNVERIFIED), 1);
    ph_mutant_killed(PH_MUTANT_SALVAGE_UNVERIFIED);
}

static void salvage_survives_any_byte_of_damage(void **state)
{
    (void)state;
    struct ph_rng rng;
    ph_rng_init(&rng, 24);
    for (unsigned round = 0; round < 40; round++) {
        struct snap_io *io = memory(), *target = memory();
        struct model *model = build(io, 100 + round);
        uint64_t size = 0;
        uint8_t *bytes = snap_io_memory_bytes(io, &size);
        for (unsigned i = 0; i < 60; i++) {
            bytes[ph_rng_below(&rng, size)] ^= (uint8_t)(1 + ph_rng_below(&rng, 255));
        }
        struct snap_salvage_report report;
        struct losses losses;
        int error = salvage(io, true, target, &report, &losses);
        assert_true(error == 0 || error == PHANTOM_ECORRUPT || error == PHANTOM_EFORMAT);
        if (error == 0) { /* every page is that of the generation, or lost and said to be */
            struct snap_store *store = open_reader(target);
            unsigned g = 1, missing = 0;
            while (model->number[g] != report.generation) {
                assert_true(++g <= GENERATIONS);
            }
            for (unsigned i = 0; i < MODEL_PAGES; i++) {
                uint8_t page[SNAP_PAGE_SIZE], wanted[SNAP_PAGE_SIZE] = {0};
                int found =
                    snap_store_read_page(store, report.generation, place_of(i), page, &diag);
                assert_in_range(found, 0, 1);
                if (model->tag[g][i] != 0 && found == 0) {
                    missing++;
                    continue;
                }
                if (model->tag[g][i] != 0) {
                    fill(model->tag[g][i], place_of(i), wanted);
                }
                assert_memory_equal(page, wanted, sizeof page);
            }
            assert_true(missing <= report.pages_lost);
            assert_int_equal(losses.pages, report.pages_lost);
            snap_store_close(store);
        }
        free(model);
        drop(io);
        drop(target);
    }
}

/* ---- replacing a file ----------------------------------------------------------------------- */

static char order[16];
static size_t order_length;

int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);

static void note(char what)
{
    if (order_length + 1 < sizeof order) {
        order[order_length++] = what;
    }
}

int __wrap_fsync(int fd)
{
    struct stat info;
    note(fstat(fd, &info) == 0 && S_ISDIR(info.st_mode) ? 'd' : 'f');
    return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    note('r');
    return __real_rename(from, to);
}

static void replace(enum ph_mutant mutant, const char *from, const char *to)
{
    int fd = open(from, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "new", 3), 3);
    close(fd);
    fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    assert_true(fd >= 0 && fchmod(fd, 0640) == 0);
    close(fd);
    memset(order, 0, sizeof order);
    order_length = 0;
    ph_active_mutant = mutant;
    assert_int_equal(check_error(hal_file_replace(from, to, &diag)), 0);
    ph_active_mutant = PH_MUTANT_NONE;
    struct stat info;
    assert_int_equal(stat(to, &info), 0);
    assert_int_equal(info.st_size, 3);
    assert_int_equal(info.st_mode & 0777, mutant == PH_MUTANT_NONE ? 0640 : 0600);
    assert_int_equal(access(from, F_OK), -1);
}

static void a_file_is_durable_before_it_takes_the_place_of_another(void **state)
{
    (void)state;
    char from[128], to[128];
    snprintf(from, sizeof from, "%s/from", folder);
    snprintf(to, sizeof to, "%s/to", folder);
    replace(PH_MUTANT_NONE, from, to);
    assert_string_equal(order, "frd");
    replace(PH_MUTANT_RENAME_BEFORE_SYNC, from, to);
    assert_string_not_equal(order, "frd");
    ph_mutant_killed(PH_MUTANT_RENAME_BEFORE_SYNC);
    assert_int_equal(unlink(to), 0);
}

static void create(enum ph_mutant mutant)
{
    char path[128];
    snprintf(path, sizeof path, "%s/new", folder);
    memset(order, 0, sizeof order);
    order_length = 0;
    struct snap_io *io = NULL;
    ph_active_mutant = mutant;
    assert_int_equal(check_error(hal_file_open(path, HAL_FILE_CREATE, &io, &diag)), 0);
    ph_active_mutant = PH_MUTANT_NONE;
    io->ops->close(io);
    assert_int_equal(unlink(path), 0);
}

static void a_new_file_has_a_durable_name(void **state)
{
    (void)state;
    create(PH_MUTANT_NONE);
    assert_string_equal(order, "d");
    create(PH_MUTANT_DIRECTORY_NOT_SYNCED);
    assert_string_equal(order, "");
    ph_mutant_killed(PH_MUTANT_DIRECTORY_NOT_SYNCED);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diff_tells_exactly_what_changed_between_any_two),
        cmocka_unit_test(diff_reads_only_what_leads_to_a_difference),
        cmocka_unit_test(a_copy_is_its_generation_and_nothing_else),
        cmocka_unit_test(a_whole_history_is_copied_under_its_numbers),
        cmocka_unit_test(a_copied_history_keeps_what_shares_a_slot_and_what_is_tagged),
        cmocka_unit_test(a_clone_has_an_identity_of_its_own),
        cmocka_unit_test(a_new_file_has_a_durable_name),
        cmocka_unit_test(a_copy_stops_when_it_is_told_to),
        cmocka_unit_test(a_copy_without_memory_or_disk_says_so),
        cmocka_unit_test(a_copy_is_held_against_the_writer),
        cmocka_unit_test(a_dropped_generation_is_not_found),
        cmocka_unit_test(salvage_takes_the_newest_whole_generation),
        cmocka_unit_test(salvage_goes_on_behind_a_record_that_does_not_add_up),
        cmocka_unit_test(salvage_needs_one_superblock_and_one_record),
        cmocka_unit_test(salvage_leaves_a_hole_where_a_page_is_damaged),
        cmocka_unit_test(salvage_survives_any_byte_of_damage),
        cmocka_unit_test(a_file_is_durable_before_it_takes_the_place_of_another),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
