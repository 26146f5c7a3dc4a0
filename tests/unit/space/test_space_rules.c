/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_rules.c - rules of the room that only show at one moment, which these tests make: the
 * link puts a wrapper around the fence on all CPUs and around sleeping. Each test passes, and then
 * has to fail with the defect that breaks its rule.
 */
#include "ph_killed.h"
#include "space_kit.h"

#include "ph_memory.h"
#include "space_alloc.h"
#include "space_gate.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the fence of the gate ------------------------------------------------------------------- */

void __real_hal_fence_all(void);
void __wrap_hal_fence_all(void);

static struct space_gate_slot *held_back; /* its `inside` is still in the queue of its processor */

void __wrap_hal_fence_all(void)
{
    if (held_back != NULL) {
        atomic_store(&held_back->inside, 1);
        held_back = NULL;
    }
    __real_hal_fence_all();
}

/** A thread has stored "inside" and read that no stop is wanted, but nobody sees its store yet. */
static void a_stop_waits_for_who_was_about_to_enter(void **state)
{
    (void)state;
    struct space_gate gate;
    struct space_gate_slot slot = {0};
    assert_int_equal(space_gate_init(&gate), 0);
    if (!gate.cheap) {
        space_gate_finish(&gate);
        print_message("no membarrier here: entering has a fence of its own\n");
        skip();
    }
    space_gate_add(&gate, &slot);
    assert_int_equal(atomic_load(&gate.stop), 0);
    held_back = &slot;
    assert_int_equal(space_gate_stop(&gate, 0), PHANTOM_ETIMEOUT);
    assert_int_equal(atomic_load(&slot.inside), 1);
    atomic_store(&slot.inside, 0); /* it leaves */
    assert_int_equal(space_gate_stop(&gate, 0), 0);
    space_gate_resume(&gate);
    space_gate_remove(&gate, &slot);
    space_gate_finish(&gate);
}

/* ---- a dead writer's lock -------------------------------------------------------------------- */

void __real_hal_sleep_msec(int milliseconds);
void __wrap_hal_sleep_msec(int milliseconds);

static _Thread_local struct phantom_space *lets_go_when_we_sleep;

void __wrap_hal_sleep_msec(int milliseconds)
{
    if (lets_go_when_we_sleep != NULL) {
        phantom_space_abandon(lets_go_when_we_sleep);
        lets_go_when_we_sleep = NULL;
    }
    __real_hal_sleep_msec(milliseconds);
}

/** The kernel lets go of a killed writer's lock when its last writes are done: a little later. */
static void a_lock_that_is_let_go_meanwhile_is_waited_for(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    struct phantom_space *first = kit_open("a.phantom", &options);
    kit_assert_result(phantom_space_commit(first), 0);
    struct phantom_space *second = NULL;
    lets_go_when_we_sleep = first;
    kit_assert_result(phantom_space_open(kit_path("a.phantom"), &options, &second, NULL), 0);
    assert_null(lets_go_when_we_sleep);
    kit_close(second);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static _Atomic unsigned freed;

static void count_freed(void *block)
{
    (void)block;
    atomic_fetch_add(&freed, 1);
}

static void made_nothing(void *block)
{
    (void)block;
}

/** What another thread was releasing when the parent forked would be released twice. */
static void closing_in_a_forked_child_frees_nothing(void **state)
{
    (void)state;
    static const struct ph_memory_observer observer = {.made = made_nothing, .gone = count_freed};
    struct phantom_space_options options = kit_options();
    struct phantom_space *space = kit_open("a.phantom", &options);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        ph_memory_observe(&observer);
        int closed = phantom_space_close(space);
        bool good = closed == PHANTOM_EFORKED && atomic_load(&freed) == 0;
        if (good) {
            phantom_space_abandon(space);
        }
        _exit(good && atomic_load(&freed) == 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    kit_close(space);
    assert_int_equal(status, 0);
}

/* ---- announcements --------------------------------------------------------------------------- */

enum { SIZE = 8 << 20, OPERATIONS = 600, HELD = 64 };

/** What a snapshot would have that copies each page the moment it is announced, and never again. */
struct mirror {
    uint8_t *base, *copy;
    struct space_alloc *alloc;
    struct space_cache cache;
    unsigned operation;                 /* from 1 */
    unsigned before[SIZE / SPACE_PAGE]; /* in which operation a store was announced before it */
    unsigned stored_silently, stored_early;
};

static void copy_announced(void *context, const void *start, size_t bytes)
{
    struct mirror *mirror = context;
    size_t at = (size_t)((const uint8_t *)start - mirror->base);
    memcpy(mirror->copy + at, start, bytes);
    for (size_t page = at / SPACE_PAGE; page <= (at + bytes - 1) / SPACE_PAGE; page++) {
        mirror->stored_silently += mirror->before[page] != mirror->operation;
    }
}

/** Nothing of it was stored yet: it is what it was when its last store was announced. */
static void note_before(void *context, const void *start, size_t bytes)
{
    struct mirror *mirror = context;
    size_t at = (size_t)((const uint8_t *)start - mirror->base);
    for (size_t page = at / SPACE_PAGE; page <= (at + bytes - 1) / SPACE_PAGE; page++) {
        if (mirror->before[page] != mirror->operation) { /* as the barrier: the first one counts */
            mirror->before[page] = mirror->operation;
            mirror->stored_early += memcmp(mirror->base + page * SPACE_PAGE,
                                           mirror->copy + page * SPACE_PAGE, SPACE_PAGE) != 0;
        }
    }
}

static void give_back(void *context, void *start, uint64_t bytes)
{
    struct mirror *mirror = context;
    memset(start, 0, bytes);
    memset(mirror->copy + ((uint8_t *)start - mirror->base), 0, bytes);
}

static void operate(struct mirror *mirror, void *held[HELD])
{
    uint64_t at = kit_random(HELD);
    size_t size = 1 + kit_random(kit_random(8) == 0 ? 300000 : 2000);
    uint64_t what = kit_random(4);
    if (held[at] == NULL) {
        held[at] = what == 0 ? space_calloc(mirror->alloc, &mirror->cache, 1, size)
                             : space_malloc(mirror->alloc, &mirror->cache, size);
    } else if (what == 0) {
        void *moved = space_realloc(mirror->alloc, &mirror->cache, held[at], size);
        held[at] = moved != NULL ? moved : held[at];
    } else {
        space_free(mirror->alloc, held[at]);
        held[at] = NULL;
    }
}

static void every_store_of_the_allocator_is_announced_before_and_after_it(void **state)
{
    (void)state;
    size_t bytes = 2 * (SIZE + SPACE_BLOCK);
    uint8_t *raw = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(raw, MAP_FAILED);
    static struct mirror mirror;
    mirror = (struct mirror){
        .base = raw + (SPACE_BLOCK - (uintptr_t)raw % SPACE_BLOCK) % SPACE_BLOCK, .operation = 1};
    mirror.copy = mirror.base + SIZE;
    const struct space_alloc_host host = {.context = &mirror,
                                          .discard = give_back,
                                          .will_write = note_before,
                                          .wrote = copy_announced};
    assert_int_equal(space_format(mirror.base, SIZE, NULL), 0);
    memcpy(mirror.copy, mirror.base, SIZE); /* whoever opens a space announces its header */
    assert_int_equal(space_alloc_open(mirror.base, SIZE, &host, &mirror.alloc, NULL), 0);
    void *held[HELD] = {NULL};
    for (int i = 0; i < OPERATIONS; i++) {
        mirror.operation++;
        operate(&mirror, held);
        assert_int_equal(memcmp(mirror.base, mirror.copy, SIZE), 0);
        assert_int_equal(mirror.stored_silently, 0);
        assert_int_equal(mirror.stored_early, 0);
    }
    space_cache_flush(mirror.alloc, &mirror.cache);
    assert_int_equal(memcmp(mirror.base, mirror.copy, SIZE), 0);
    space_alloc_close(mirror.alloc);
    munmap(raw, bytes);
}

/* Strategy epoch compares each generation with the memory at its cut: what nobody announced shows.
 */
static void what_the_allocator_does_is_in_the_snapshots_of_epoch(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    options.strategy = "epoch";
    options.announced_before = true;
    struct phantom_space *space = kit_open("a.phantom", &options);
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "root %u", i);
        void *block = phantom_space_calloc(space, 1, 100 + kit_random(100000));
        assert_non_null(block);
        kit_assert_result(phantom_space_set_root(space, name, block), 0);
        kit_assert_result(phantom_space_snapshot(space, NULL), 0);
        if (i % 3 == 0) {
            kit_assert_result(phantom_space_set_root(space, name, NULL), 0);
            phantom_space_free(space, block);
            kit_assert_result(phantom_space_snapshot(space, NULL), 0);
        }
    }
    kit_close(space);
}

static int clean(void **state)
{
    (void)state;
    kit_clean();
    return 0;
}

int main(void)
{
    kit_begin();
#define CASE(name) cmocka_unit_test_teardown(name, clean)
    const struct CMUnitTest tests[] = {
        CASE(a_stop_waits_for_who_was_about_to_enter),
        CASE(a_lock_that_is_let_go_meanwhile_is_waited_for),
        CASE(closing_in_a_forked_child_frees_nothing),
        CASE(every_store_of_the_allocator_is_announced_before_and_after_it),
        CASE(what_the_allocator_does_is_in_the_snapshots_of_epoch),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_ALLOCATOR_STORES_SILENTLY,
         CASE(what_the_allocator_does_is_in_the_snapshots_of_epoch)},
        {PH_MUTANT_GATE_NOT_FENCED, CASE(a_stop_waits_for_who_was_about_to_enter)},
        {PH_MUTANT_DEAD_WRITER_NOT_AWAITED, CASE(a_lock_that_is_let_go_meanwhile_is_waited_for)},
        {PH_MUTANT_FORKED_CHILD_FREES, CASE(closing_in_a_forked_child_frees_nothing)},
        {PH_MUTANT_MARKED_BEFORE_STORE,
         CASE(every_store_of_the_allocator_is_announced_before_and_after_it)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return kit_end(ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0])));
}
