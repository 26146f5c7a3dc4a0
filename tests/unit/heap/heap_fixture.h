/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_fixture.h - a heap in anonymous memory with a tiny object model for the tests.
 *
 * Test objects: the data area is an array of references, unless the object is CHILDFREE. There is
 * one class object, its own class, referenced by the root object, whose slots are free for tests.
 *
 * Each heap is under the watch (store_watch.h), which looks after each collection, before the
 * volatile part is thrown away and at the end. So tests store into the heap with fixture_put() and
 * fixture_fill() only.
 */
#ifndef HEAP_FIXTURE_H
#define HEAP_FIXTURE_H

#include "heap.h"
#include "ph_test.h"
#include "store_watch.h"

enum { FIXTURE_ROOT_SLOTS = 64 };

struct fixture {
    void *mapping;
    size_t mapping_bytes;
    uint8_t *base;
    uint64_t size;
    bool discards; /* the heap is given a discard */
    struct heap_params params;
    struct heap *heap;
    struct heap_allocator *allocator;
    pvm_object_t root, class;
    uint64_t discard_calls, discarded_bytes;
    struct store_watch *watch;
    bool unwatched; /* the watch does not look */
};

/** A fresh heap of `size` bytes with root and class. */
void fixture_open(struct fixture *f, uint64_t size, bool discards);
void fixture_close(struct fixture *f);
/** Only the memory; heap and allocator are NULL. */
void fixture_map(struct fixture *f, uint64_t size, bool discards);
void fixture_unmap(struct fixture *f);
/** Throw the volatile part away and attach again. */
void fixture_reattach(struct fixture *f);
/** Root and class in a fresh heap. */
void fixture_populate(struct fixture *f);

/** An object with so many reference slots / of so many plain bytes; NULL when the heap is full. */
pvm_object_t fixture_node(struct fixture *f, uint64_t slots);
pvm_object_t fixture_leaf(struct fixture *f, uint64_t bytes);
pvm_object_t *fixture_slots(pvm_object_t o);
/** The test's own stores, told. */
void fixture_put(struct fixture *f, pvm_object_t *slot, pvm_object_t value);
void fixture_fill(struct fixture *f, void *start, int byte, uint64_t bytes);
/** Fails the test if the heap stored what it did not tell. */
void fixture_look(struct fixture *f);

void fixture_trace(void *context, pvm_object_t o, struct heap_visitor *visitor);
struct heap_collect_report fixture_collect(struct fixture *f);
void fixture_audit(struct fixture *f);
uint64_t fixture_count_objects(struct fixture *f);
/** Pages of the range that hold anything but zeros (only pages in memory are looked at). */
uint64_t fixture_nonzero_pages(const struct fixture *f);
/** Pages of the range that were written, or even read. */
uint64_t fixture_resident_pages(const struct fixture *f);
bool fixture_is_zero(const void *start, uint64_t bytes);

#endif /* HEAP_FIXTURE_H */
