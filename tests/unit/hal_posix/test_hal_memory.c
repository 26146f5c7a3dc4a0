/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_memory.c - the heap range: `test_hal_memory tracked` (exit 77 where the kernel cannot)
 * and `test_hal_memory untracked`.
 */
#include "hal_posix.h"
#include "ph_rng.h"
#include "ph_test.h"

#include <hal.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };
/* Free plainly and under the sanitizers. */
static const uint64_t base_address = UINT64_C(0x7e8000000000);
static bool track;

static struct snap_memory *reserve(uint64_t pages)
{
    struct snap_memory *memory = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = hal_memory_reserve(base_address, pages * PAGE, track, &memory, &diag);
    if (rc != 0) {
        print_message("%s: %s\n", phantom_err_name(rc), diag.text);
    }
    assert_int_equal(rc, 0);
    assert_true(memory->base == (uint8_t *)(uintptr_t)base_address);
    assert_int_equal(memory->page_count, pages);
    return memory;
}

typedef int (*scanner)(struct snap_memory *memory, struct snap_range *ranges, size_t capacity,
                       uint64_t first, uint64_t count, uint64_t *resume);

static int scan_dirty(struct snap_memory *memory, struct snap_range *ranges, size_t capacity,
                      uint64_t first, uint64_t count, uint64_t *resume)
{
    return memory->ops->scan(memory, first, count, 0, ranges, capacity, resume);
}

static int scan_and_protect(struct snap_memory *memory, struct snap_range *ranges, size_t capacity,
                            uint64_t first, uint64_t count, uint64_t *resume)
{
    return memory->ops->scan(memory, first, count, SNAP_SCAN_PROTECT, ranges, capacity, resume);
}

static int scan_resident(struct snap_memory *memory, struct snap_range *ranges, size_t capacity,
                         uint64_t first, uint64_t count, uint64_t *resume)
{
    return memory->ops->resident(memory, first, count, ranges, capacity, resume);
}

/* The whole range as a string of '0' and '1', asked `capacity` ranges at a time; checks the
 * protocol. */
static const char *map_of(struct snap_memory *memory, scanner scan, size_t capacity, char *out)
{
    memset(out, '0', memory->page_count);
    out[memory->page_count] = '\0';
    struct snap_range *ranges = calloc(capacity, sizeof(*ranges));
    assert_non_null(ranges);
    uint64_t next = 0;
    while (next < memory->page_count) {
        uint64_t resume = UINT64_MAX;
        int count = scan(memory, ranges, capacity, next, memory->page_count - next, &resume);
        assert_in_range(count, 0, capacity);
        assert_in_range(resume, next, memory->page_count);
        uint64_t from = next;
        for (int i = 0; i < count; i++) {
            assert_true(ranges[i].first >= from && ranges[i].count > 0);
            assert_true(ranges[i].first + ranges[i].count <= resume);
            memset(out + ranges[i].first, '1', ranges[i].count);
            from = ranges[i].first + ranges[i].count + 1; /* merged: never adjacent */
        }
        assert_true(count == (int)capacity || resume == memory->page_count);
        assert_true(resume > next);
        next = resume;
    }
    free(ranges);
    return out;
}

static void assert_dirty(struct snap_memory *memory, const char *expected)
{
    char map[64];
    assert_string_equal(map_of(memory, scan_dirty, 16, map), expected);
}

static void assert_resident(struct snap_memory *memory, const char *expected)
{
    char map[64];
    assert_string_equal(map_of(memory, scan_resident, 16, map), expected);
}

static void protect(struct snap_memory *memory)
{
    char map[64];
    (void)map_of(memory, scan_and_protect, 16, map);
}

static void touch(struct snap_memory *memory, uint64_t page, uint8_t value)
{
    *(volatile uint8_t *)(memory->base + page * PAGE + page % PAGE) = value;
}

static uint8_t look(struct snap_memory *memory, uint64_t page)
{
    return *(volatile uint8_t *)(memory->base + page * PAGE + page % PAGE);
}

/* ---- tracked -------------------------------------------------------------------------------- */

static void only_written_pages_are_dirty(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(8);
    assert_true(memory->ops->tracks);
    assert_dirty(memory, "00000000"); /* holes */
    touch(memory, 2, 1);
    assert_dirty(memory, "00100000");
    assert_dirty(memory, "00100000"); /* looking changes nothing */
    assert_int_equal(look(memory, 5), 0);
    assert_dirty(memory, "00100000"); /* a hole that was read */
    assert_resident(memory, "00100000");
    touch(memory, 5, 1);
    touch(memory, 3, 1);
    assert_dirty(memory, "00110100");
    char map[16];
    assert_string_equal(map_of(memory, scan_and_protect, 16, map), "00110100");
    assert_dirty(memory, "00000000");
    assert_resident(memory, "00110100");
    assert_int_equal(look(memory, 2), 1);
    assert_dirty(memory, "00000000");
    touch(memory, 2, 2);
    touch(memory, 0, 2);
    assert_dirty(memory, "10100000");
    assert_int_equal(look(memory, 3), 1);
    memory->ops->close(memory);
}

static void a_small_array_gets_all_ranges_in_turns(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(60);
    for (uint64_t page = 0; page < 60; page += 2) {
        touch(memory, page, 1);
    }
    touch(memory, 41, 1);
    char expected[64], map[64];
    map_of(memory, scan_dirty, 16, expected);
    for (size_t capacity = 1; capacity <= 31; capacity++) {
        assert_string_equal(map_of(memory, scan_dirty, capacity, map), expected);
        assert_string_equal(map_of(memory, scan_resident, capacity, map), expected);
    }
    /* Protecting in turns loses nothing, and protects only what was reported. */
    struct snap_range ranges[3];
    uint64_t resume;
    assert_int_equal(scan_and_protect(memory, ranges, 3, 0, 60, &resume), 3);
    assert_int_equal(ranges[2].first, 4);
    map_of(memory, scan_dirty, 16, map);
    assert_memory_equal(map, "000000", 6);
    assert_string_equal(map + 6, expected + 6);
    memory->ops->close(memory);
}

static void populated_pages_are_clean_until_written(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(8);
    uint8_t *data = aligned_alloc(PAGE, 4 * PAGE);
    assert_non_null(data);
    for (int i = 0; i < 4 * PAGE; i++) {
        data[i] = (uint8_t)(i / PAGE + i);
    }
    assert_int_equal(look(memory, 2), 0); /* in the way: the zero page */
    touch(memory, 3, 9);                  /* in the way: a page of its own */
    assert_int_equal(memory->ops->populate(memory, 1, 4, data), 0);
    assert_dirty(memory, "00000000");
    assert_resident(memory, "01111000");
    assert_memory_equal(memory->base + PAGE, data, 4 * PAGE);
    touch(memory, 4, 1);
    assert_dirty(memory, "00001000");
    assert_int_equal(memory->ops->populate(memory, 6, 3, data), -EINVAL);
    free(data);
    memory->ops->close(memory);
}

static void protect_all_makes_everything_clean_and_nothing_resident(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(8);
    touch(memory, 1, 1);
    touch(memory, 6, 1);
    assert_int_equal(memory->ops->protect_all(memory, 0, 4), 0);
    assert_dirty(memory, "00000010");
    assert_int_equal(memory->ops->protect_all(memory, 0, 8), 0);
    assert_dirty(memory, "00000000");
    assert_resident(memory, "01000010");
    touch(memory, 6, 2);
    touch(memory, 2, 2); /* was a hole while protect_all ran */
    assert_dirty(memory, "00100010");
    memory->ops->close(memory);
}

static void discarded_pages_are_holes_again(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(8);
    for (uint64_t page = 0; page < 8; page++) {
        touch(memory, page, 7);
    }
    protect(memory);
    touch(memory, 3, 8);
    assert_int_equal(memory->ops->discard(memory, 2, 3), 0);
    assert_dirty(memory, "00000000");
    assert_resident(memory, "11000111");
    assert_int_equal(look(memory, 2), 0);
    assert_int_equal(look(memory, 3), 0);
    assert_dirty(memory, "00000000");
    touch(memory, 3, 1); /* after a read */
    touch(memory, 4, 1); /* straight after the discard */
    assert_dirty(memory, "00011000");
    assert_int_equal(memory->ops->discard(memory, 7, 2), -EINVAL);
    memory->ops->close(memory);
}

static void what_the_kernel_writes_is_dirty_too(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(8);
    touch(memory, 1, 1);
    touch(memory, 2, 1);
    protect(memory);
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(write(pipe_ends[1], "abc", 3), 3);
    assert_int_equal(read(pipe_ends[0], memory->base + 2 * PAGE, 3), 3); /* protected page */
    assert_int_equal(write(pipe_ends[1], "abc", 3), 3);
    assert_int_equal(read(pipe_ends[0], memory->base + 4 * PAGE, 3), 3); /* hole */
    assert_dirty(memory, "00101000");
    assert_memory_equal(memory->base + 2 * PAGE, "abc", 3);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    memory->ops->close(memory);
}

/* ---- the property: a protecting scan loses no write ----------------------------------------- */

/* Between two stops: scan until so many pages were seen changing (a fast machine needs many rounds,
 * a sanitizer few), but not for ever. */
enum {
    STRESS_PAGES = 512,
    STRESS_THREADS = 2,
    STRESS_STOPS = 60,
    STRESS_PAGES_PER_STOP = 1000,
    STRESS_ROUNDS_AT_MOST = 5000
};

struct stress {
    struct snap_memory *memory;
    atomic_bool stop;
    atomic_uint parked, epoch;
    hal_mutex_t lock;
    hal_cond_t changed;
    bool park;
    unsigned waiting;
    bool end;
};

struct writer {
    struct stress *stress;
    uint64_t seed;
    hal_sem_t finished;
};

/* Each writer has its own half of each page, so that plain comparison is exact. Stores are relaxed
 * atomics, as the virtual machine's are. */
static void write_at_random(void *argument)
{
    struct writer *writer = argument;
    struct stress *stress = writer->stress;
    struct ph_rng rng;
    ph_rng_init(&rng, writer->seed);
    uint64_t half = writer->seed % STRESS_THREADS * (PAGE / STRESS_THREADS);
    for (bool end = false; !end;) {
        for (int i = 0; i < 200; i++) {
            uint64_t random = ph_rng_next(&rng);
            /* Mostly a few hot pages, now and then any. */
            uint64_t page = random % 16 != 0 ? random / 16 % 24 * 7 : random / 16 % STRESS_PAGES;
            uint64_t slot = random >> 40 & (PAGE / STRESS_THREADS / 8 - 1);
            _Atomic uint64_t *word =
                (_Atomic uint64_t *)(stress->memory->base + page * PAGE + half + slot * 8);
            atomic_store_explicit(word, random, memory_order_relaxed);
        }
        (void)hal_mutex_lock(&stress->lock);
        while (stress->park && !stress->end) {
            stress->waiting++;
            (void)hal_cond_broadcast(&stress->changed);
            (void)hal_cond_wait(&stress->changed, &stress->lock);
            stress->waiting--;
        }
        end = stress->end;
        (void)hal_mutex_unlock(&stress->lock);
    }
    hal_sem_release(&writer->finished);
}

static void copy_atomically(uint8_t *to, const uint8_t *from)
{
    for (size_t i = 0; i < PAGE; i += 8) {
        uint64_t word = atomic_load_explicit((const _Atomic uint64_t *)(const void *)(from + i),
                                             memory_order_relaxed);
        memcpy(to + i, &word, 8);
    }
}

static uint64_t copy_dirty(struct stress *stress, uint8_t *copy)
{
    struct snap_range ranges[32];
    uint64_t copied = 0;
    for (uint64_t next = 0; next < STRESS_PAGES;) {
        int count = scan_and_protect(stress->memory, ranges, 32, next, STRESS_PAGES - next, &next);
        assert_true(count >= 0);
        for (int i = 0; i < count; i++) {
            for (uint64_t page = ranges[i].first; page < ranges[i].first + ranges[i].count;
                 page++) {
                copy_atomically(copy + page * PAGE, stress->memory->base + page * PAGE);
                copied++;
            }
        }
    }
    return copied;
}

static void set_parked(struct stress *stress, bool park)
{
    (void)hal_mutex_lock(&stress->lock);
    stress->park = park;
    (void)hal_cond_broadcast(&stress->changed);
    while (park && stress->waiting < STRESS_THREADS) {
        (void)hal_cond_wait(&stress->changed, &stress->lock);
    }
    (void)hal_mutex_unlock(&stress->lock);
}

static void a_protecting_scan_beside_writers_loses_no_write(void **state)
{
    (void)state;
    struct stress stress = {.memory = reserve(STRESS_PAGES)};
    uint8_t *copy = calloc(STRESS_PAGES, PAGE);
    assert_non_null(copy);
    assert_int_equal(hal_mutex_init(&stress.lock, "stress"), 0);
    assert_int_equal(hal_cond_init(&stress.changed, "stress"), 0);
    uint64_t seed = ph_rng_seed_from_environment(20);
    print_message("PH_SEED=%" PRIu64 "\n", seed);
    struct writer writers[STRESS_THREADS];
    for (unsigned i = 0; i < STRESS_THREADS; i++) {
        writers[i].stress = &stress;
        writers[i].seed = seed * STRESS_THREADS + i;
        assert_int_equal(hal_sem_init(&writers[i].finished, "writer"), 0);
        assert_true(hal_start_thread(write_at_random, &writers[i], 0) >= 0);
    }
    uint64_t live = 0, stopped = 0, rounds = 0;
    for (int stop = 0; stop < STRESS_STOPS; stop++) {
        uint64_t seen = 0;
        for (int round = 0; round < STRESS_ROUNDS_AT_MOST && seen < STRESS_PAGES_PER_STOP;
             round++) {
            seen += copy_dirty(&stress, copy);
            rounds++;
        }
        live += seen;
        set_parked(&stress, true);
        stopped += copy_dirty(&stress, copy);
        assert_memory_equal(copy, stress.memory->base, (size_t)STRESS_PAGES * PAGE);
        set_parked(&stress, false);
    }
    print_message("%" PRIu64 " rounds beside writers copied %" PRIu64 " pages, %d stops %" PRIu64
                  "\n",
                  rounds, live, STRESS_STOPS, stopped);
    assert_true(live > STRESS_STOPS && stopped > 0);
    (void)hal_mutex_lock(&stress.lock);
    stress.end = true;
    (void)hal_cond_broadcast(&stress.changed);
    (void)hal_mutex_unlock(&stress.lock);
    for (unsigned i = 0; i < STRESS_THREADS; i++) {
        (void)hal_sem_acquire(&writers[i].finished);
        hal_sem_destroy(&writers[i].finished);
    }
    (void)hal_cond_destroy(&stress.changed);
    (void)hal_mutex_destroy(&stress.lock);
    free(copy);
    stress.memory->ops->close(stress.memory);
}

/* Not asserted: machines differ. It shows whether a scan walks what exists or what is reserved. */
static void a_sparse_gibibyte_scans_quickly(void **state)
{
    (void)state;
    uint64_t pages =
        UINT64_C(64) << 18; /* 64 GiB reserved, one page in each MiB of the first GiB */
    uint64_t start = hal_monotonic_ns();
    struct snap_memory *memory = reserve(pages);
    uint64_t reserved = hal_monotonic_ns();
    for (uint64_t page = 0; page < 1 << 18; page += 256) {
        touch(memory, page, 1);
    }
    struct snap_range ranges[1024];
    uint64_t resume;
    uint64_t before = hal_monotonic_ns();
    assert_int_equal(scan_and_protect(memory, ranges, 1024, 0, pages, &resume), 1024);
    uint64_t scanned = hal_monotonic_ns();
    assert_int_equal(scan_dirty(memory, ranges, 1024, 0, pages, &resume), 0);
    uint64_t again = hal_monotonic_ns();
    print_message("64 GiB: reserve and track %" PRIu64 " us; 1024 dirty pages in 512 regions: "
                  "scan and protect %" PRIu64 " us, clean scan %" PRIu64 " us\n",
                  (reserved - start) / 1000, (scanned - before) / 1000, (again - scanned) / 1000);
    memory->ops->close(memory);
}

/* ---- both ----------------------------------------------------------------------------------- */

static void a_range_in_use_is_refused_and_named(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(16);
    struct snap_memory *second = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    touch(memory, 4, 5);
    assert_int_equal(hal_memory_reserve(base_address + 4 * PAGE, 64 * PAGE, track, &second, &diag),
                     PHANTOM_EADDRESS);
    assert_null(second);
    print_message("%s\n", diag.text);
    assert_non_null(strstr(diag.text, "7e8000000000-7e8000010000"));
    assert_int_equal(look(memory, 4), 5); /* nothing was replaced */
    memory->ops->close(memory);
    assert_int_equal(hal_memory_reserve(base_address + 4 * PAGE, 64 * PAGE, track, &second, &diag),
                     0);
    second->ops->close(second);
}

static void impossible_ranges_are_refused(void **state)
{
    (void)state;
    struct snap_memory *memory = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(hal_memory_reserve(base_address + 1, PAGE, track, &memory, &diag),
                     PHANTOM_EINVALID);
    assert_int_equal(hal_memory_reserve(base_address, 0, track, &memory, &diag), PHANTOM_EINVALID);
    assert_int_equal(hal_memory_reserve(base_address, UINT64_MAX - 4095, track, &memory, &diag),
                     PHANTOM_EINVALID);
    assert_int_equal(hal_memory_reserve(0, PAGE, track, &memory, &diag), PHANTOM_EINVALID);
    assert_null(memory);
}

static void a_limit_on_addresses_is_named(void **state)
{
    (void)state;
    struct snap_memory *memory = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    int rc = hal_memory_reserve(base_address, UINT64_C(1) << 30, track, &memory, &diag);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(rc, -ENOMEM);
    assert_null(memory);
    assert_non_null(strstr(diag.text, "RLIMIT_AS"));
    assert_non_null(strstr(diag.text, "RLIMIT_DATA"));
}

static void a_forked_child_has_no_range_and_no_descriptors(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(8);
    touch(memory, 1, 1);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct snap_range range;
        uint64_t resume;
        unsigned char resident;
        bool ok = memory->ops->resident(memory, 0, 8, &range, 1, &resume) == PHANTOM_EFORKED &&
                  memory->ops->discard(memory, 1, 1) == PHANTOM_EFORKED &&
                  mincore(memory->base, PAGE, &resident) != 0 && errno == ENOMEM;
        memory->ops->close(memory);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(look(memory, 1), 1);
    assert_resident(memory, "01000000");
    memory->ops->close(memory);
}

/* ---- untracked ------------------------------------------------------------------------------ */

static void an_untracked_range_knows_its_resident_pages(void **state)
{
    (void)state;
    struct snap_memory *memory = reserve(8);
    assert_false(memory->ops->tracks);
    struct snap_range range;
    uint64_t resume;
    assert_int_equal(scan_dirty(memory, &range, 1, 0, 8, &resume), PHANTOM_EUNSUPPORTED);
    assert_resident(memory, "00000000");
    touch(memory, 2, 1);
    touch(memory, 3, 1);
    touch(memory, 7, 1);
    assert_resident(memory, "00110001");
    uint8_t data[PAGE];
    memset(data, 3, sizeof(data));
    assert_int_equal(memory->ops->populate(memory, 5, 1, data), 0);
    assert_int_equal(memory->ops->protect_all(memory, 0, 8), 0);
    assert_resident(memory, "00110101");
    assert_int_equal(look(memory, 5), 3);
    assert_int_equal(memory->ops->discard(memory, 3, 3), 0);
    assert_resident(memory, "00100001");
    assert_int_equal(look(memory, 5), 0);
    memory->ops->close(memory);
}

/* The kernel says no: a reason to skip. It says yes and the answer is wrong (EIO): a reason to
 * fail. */
static bool kernel_can_track(const struct hal_probe *probe)
{
    for (size_t i = 0; i < 3; i++) {
        const struct hal_probe_item *item = &probe->items[i];
        if (!item->works && item->error != -EIO) {
            printf("skipped: %s: %s\n", item->name, item->detail);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    track = argc == 2 && strcmp(argv[1], "tracked") == 0;
    if (!track && (argc != 2 || strcmp(argv[1], "untracked") != 0)) {
        fprintf(stderr, "usage: test_hal_memory tracked|untracked\n");
        return 2;
    }
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    if (track && !kernel_can_track(&probe)) {
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest tracked[] = {
        cmocka_unit_test(only_written_pages_are_dirty),
        cmocka_unit_test(a_small_array_gets_all_ranges_in_turns),
        cmocka_unit_test(populated_pages_are_clean_until_written),
        cmocka_unit_test(protect_all_makes_everything_clean_and_nothing_resident),
        cmocka_unit_test(discarded_pages_are_holes_again),
        cmocka_unit_test(what_the_kernel_writes_is_dirty_too),
        cmocka_unit_test(a_protecting_scan_beside_writers_loses_no_write),
        cmocka_unit_test(a_sparse_gibibyte_scans_quickly),
        cmocka_unit_test(a_range_in_use_is_refused_and_named),
        cmocka_unit_test(impossible_ranges_are_refused),
        cmocka_unit_test(a_limit_on_addresses_is_named),
        cmocka_unit_test(a_forked_child_has_no_range_and_no_descriptors),
    };
    const struct CMUnitTest untracked[] = {
        cmocka_unit_test(an_untracked_range_knows_its_resident_pages),
        cmocka_unit_test(a_range_in_use_is_refused_and_named),
        cmocka_unit_test(impossible_ranges_are_refused),
        cmocka_unit_test(a_limit_on_addresses_is_named),
        cmocka_unit_test(a_forked_child_has_no_range_and_no_descriptors),
    };
    return track ? cmocka_run_group_tests(tracked, NULL, NULL)
                 : cmocka_run_group_tests(untracked, NULL, NULL);
}
