/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap_property.c - a random object graph in a heap and in a model beside it. After each
 * collection the heap holds exactly what the model says is reachable, with its content. Seeded:
 * PH_SEED repeats a run.
 */
#include "heap_fixture.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <stdio.h>
#include <string.h>

enum { MAX_OBJECTS = 4000, ROOTS = 32, MAX_SLOTS = 12 };

struct model_object {
    pvm_object_t o; /* NULL: this place is unused */
    uint64_t bytes; /* of a leaf; 0 for a node */
    uint64_t stamp;
    int slot_count;
    int slots[MAX_SLOTS]; /* -1: empty */
    bool reachable;
};

struct model {
    struct fixture f;
    struct ph_rng rng;
    struct model_object objects[MAX_OBJECTS];
    int roots[ROOTS];
    int pending[MAX_OBJECTS];
    uint64_t born, freed;
};

static uint64_t pick(struct model *m, uint64_t bound)
{
    return ph_rng_below(&m->rng, bound);
}

/** Mostly small, sometimes large, rarely huge. */
static uint64_t random_size(struct model *m)
{
    uint64_t r = pick(m, 1000);
    if (r < 700) {
        return 1 + pick(m, 256);
    }
    if (r < 960) {
        return 1 + pick(m, 40000);
    }
    if (r < 997) {
        return 1 + pick(m, 3000000);
    }
    return 60000000 + pick(m, 100000000);
}

/** A leaf carries its stamp at both ends and at a few places between. */
static uint64_t stamp_step(uint64_t bytes)
{
    return bytes / 7 + 1;
}

static void write_stamp(struct fixture *f, struct model_object *mo)
{
    for (uint64_t i = 0; i < mo->bytes; i += stamp_step(mo->bytes)) {
        fixture_fill(f, &mo->o->da[i], (uint8_t)(mo->stamp + i), 1);
    }
    fixture_fill(f, &mo->o->da[mo->bytes - 1], (uint8_t)~mo->stamp, 1);
}

static void check_content(struct model *m, const struct model_object *mo)
{
    assert_true(heap_is_object(m->f.heap, mo->o));
    assert_ptr_equal(mo->o->_class, m->f.class);
    if (mo->bytes == 0) {
        for (int i = 0; i < mo->slot_count; i++) {
            pvm_object_t expected = mo->slots[i] < 0 ? NULL : m->objects[mo->slots[i]].o;
            assert_ptr_equal(fixture_slots(mo->o)[i], expected);
        }
        return;
    }
    assert_int_equal(mo->o->_da_size, mo->bytes);
    assert_int_equal(mo->o->da[mo->bytes - 1], (uint8_t)~mo->stamp);
    for (uint64_t i = 0; i < mo->bytes - 1; i += stamp_step(mo->bytes)) {
        assert_int_equal(mo->o->da[i], (uint8_t)(mo->stamp + i));
    }
}

static bool is_new_memory_zero(const struct model_object *mo)
{
    uint64_t bytes = mo->o->_da_size;
    if (bytes < 100000) {
        return fixture_is_zero(mo->o->da, bytes);
    }
    return fixture_is_zero(mo->o->da, 4096) && fixture_is_zero(mo->o->da + bytes / 2, 4096) &&
           fixture_is_zero(mo->o->da + bytes - 4096, 4096);
}

static int step_alloc(struct model *m)
{
    int place = (int)pick(m, MAX_OBJECTS);
    struct model_object *mo = &m->objects[place];
    if (mo->o != NULL) {
        return -1;
    }
    struct model_object fresh = {.stamp = ph_rng_next(&m->rng)};
    if (pick(m, 3) != 0) {
        fresh.slot_count = (int)pick(m, MAX_SLOTS + 1);
        fresh.o = fixture_node(&m->f, (uint64_t)fresh.slot_count);
    } else {
        fresh.bytes = random_size(m);
        fresh.o = fixture_leaf(&m->f, fresh.bytes);
    }
    if (fresh.o == NULL) {
        return -1; /* full: allowed, the next collection makes room */
    }
    assert_true(is_new_memory_zero(&fresh));
    for (int i = 0; i < MAX_SLOTS; i++) {
        fresh.slots[i] = -1;
    }
    *mo = fresh;
    if (mo->bytes != 0) {
        write_stamp(&m->f, mo);
    }
    m->born++;
    return place;
}

static void set_root(struct model *m, int slot, int target)
{
    m->roots[slot] = target;
    fixture_put(&m->f, &fixture_slots(m->f.root)[slot], target < 0 ? NULL : m->objects[target].o);
}

/** Point a random slot of a random object, or of the root, at target (-1: nothing). */
static void step_link(struct model *m, int target)
{
    struct model_object *from = &m->objects[pick(m, MAX_OBJECTS)];
    if (from->o != NULL && from->slot_count != 0) {
        int slot = (int)pick(m, (uint64_t)from->slot_count);
        from->slots[slot] = target;
        fixture_put(&m->f, &fixture_slots(from->o)[slot], target < 0 ? NULL : m->objects[target].o);
    } else {
        set_root(m, (int)pick(m, ROOTS), target);
    }
}

static void mark_model(struct model *m)
{
    int depth = 0;
    for (int i = 0; i < MAX_OBJECTS; i++) {
        m->objects[i].reachable = false;
    }
    for (int i = 0; i < ROOTS; i++) {
        if (m->roots[i] >= 0 && !m->objects[m->roots[i]].reachable) {
            m->objects[m->roots[i]].reachable = true;
            m->pending[depth++] = m->roots[i];
        }
    }
    while (depth != 0) {
        const struct model_object *mo = &m->objects[m->pending[--depth]];
        for (int i = 0; i < mo->slot_count; i++) {
            if (mo->slots[i] >= 0 && !m->objects[mo->slots[i]].reachable) {
                m->objects[mo->slots[i]].reachable = true;
                m->pending[depth++] = mo->slots[i];
            }
        }
    }
}

static void collect_and_compare(struct model *m)
{
    mark_model(m);
    uint64_t before = fixture_count_objects(&m->f), reachable = 2, dead = 0;
    struct heap_collect_report report = fixture_collect(&m->f);
    for (int i = 0; i < MAX_OBJECTS; i++) {
        struct model_object *mo = &m->objects[i];
        if (mo->o != NULL && mo->reachable) {
            reachable++;
            check_content(m, mo);
        } else if (mo->o != NULL) {
            dead++;
            assert_false(heap_is_object(m->f.heap, mo->o));
            mo->o = NULL;
            mo->slot_count = 0;
        }
    }
    assert_int_equal(report.live_objects, reachable);
    assert_int_equal(report.freed_objects, dead);
    assert_int_equal(before, reachable + dead);
    assert_int_equal(fixture_count_objects(&m->f), reachable);
    assert_int_equal(heap_used_bytes(m->f.heap), report.live_bytes);
    m->freed += dead;
    fixture_audit(&m->f);
}

static void run(uint64_t seed, bool discards, uint64_t size)
{
    struct model *m = ph_zalloc(1, sizeof *m);
    assert_non_null(m);
    ph_rng_init(&m->rng, seed);
    fixture_open(&m->f, size, discards);
    m->f.unwatched |= size > UINT64_C(256) << 20; /* looking at much memory takes long */
    memset(m->roots, -1, sizeof m->roots);
    for (int round = 0; round < 60; round++) {
        uint64_t steps = 1 + pick(m, 3000);
        for (uint64_t i = 0; i < steps; i++) {
            int target = pick(m, 10) < 7 ? step_alloc(m) : (int)pick(m, MAX_OBJECTS);
            if (target < 0 || m->objects[target].o == NULL) {
                target = -1;
            }
            step_link(m, target);
        }
        if (pick(m, 4) == 0) {
            fixture_reattach(&m->f);
            fixture_audit(&m->f);
        }
        collect_and_compare(m);
        if (pick(m, 3) == 0) {
            uint64_t used = heap_used_bytes(m->f.heap);
            fixture_reattach(&m->f);
            assert_int_equal(heap_used_bytes(m->f.heap), used);
        }
    }
    assert_true(m->freed > 1000);
    memset(m->roots, -1, sizeof m->roots);
    fixture_fill(&m->f, fixture_slots(m->f.root), 0, ROOTS * sizeof(pvm_object_t));
    collect_and_compare(m);
    assert_int_equal(fixture_count_objects(&m->f), 2);
    fixture_close(&m->f);
    ph_free(m);
}

static void the_heap_holds_exactly_what_the_model_reaches(void **state)
{
    (void)state;
    uint64_t seed = ph_rng_seed_from_environment(20261122);
    printf("PH_SEED=%llu\n", (unsigned long long)seed);
    run(seed, true, UINT64_C(1) << 30);
    run(seed + 1, false, UINT64_C(1) << 30);
    run(seed + 2, true, UINT64_C(40) << 20); /* often full */
    run(seed + 3, false, UINT64_C(200) << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heap_holds_exactly_what_the_model_reaches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
