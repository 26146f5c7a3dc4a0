/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_fixture.c - see heap_fixture.h.
 */
#include "heap_fixture.h"
#include "ph_memory.h"
#include "ph_sanitizer.h"

#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static void discard(void *context, void *start, uint64_t bytes)
{
    struct fixture *f = context;
    assert_int_equal((uintptr_t)start % PAGE, 0);
    assert_int_equal(bytes % PAGE, 0);
    assert_true((uint8_t *)start >= f->base && (uint8_t *)start + bytes <= f->base + f->size);
    assert_int_equal(madvise(start, bytes, MADV_DONTNEED), 0);
    store_watch_discarded(f->watch, start, bytes);
    f->discard_calls++;
    f->discarded_bytes += bytes;
}

void fixture_map(struct fixture *f, uint64_t size, bool discards)
{
    memset(f, 0, sizeof *f);
    f->size = size;
    f->discards = discards;
    f->mapping_bytes = size + HEAP_CHUNK_BYTES;
    f->mapping = mmap(NULL, f->mapping_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(f->mapping, MAP_FAILED);
    uintptr_t start = ((uintptr_t)f->mapping + HEAP_CHUNK_BYTES - 1) & ~(HEAP_CHUNK_BYTES - 1);
    f->base = (uint8_t *)start;
    assert_int_equal(madvise(f->base, size, MADV_NOHUGEPAGE), 0);
    f->watch = store_watch_open(f->base, size - size % PAGE, STORE_WATCH_BYTES);
    f->unwatched = PH_UNDER_TSAN; /* it would look for minutes */
    f->params = (struct heap_params){.base = f->base,
                                     .size_limit = size,
                                     .native_class_version = 7,
                                     .os = {.context = f,
                                            .discard = discards ? discard : NULL,
                                            .stores = store_watch_stores(f->watch)}};
}

void fixture_unmap(struct fixture *f)
{
    store_watch_close(f->watch);
    f->watch = NULL;
    assert_int_equal(munmap(f->mapping, f->mapping_bytes), 0);
}

void fixture_populate(struct fixture *f)
{
    assert_int_equal(heap_allocator_create(f->heap, &f->allocator), 0);
    f->root = heap_alloc(f->allocator, NULL, 0, FIXTURE_ROOT_SLOTS * sizeof(pvm_object_t));
    assert_non_null(f->root);
    heap_set_root(f->heap, f->root);
    f->class = heap_alloc(f->allocator, NULL, PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE, 0);
    assert_non_null(f->class);
    fixture_put(f, &f->class->_class, f->class);
    fixture_put(f, &fixture_slots(f->root)[FIXTURE_ROOT_SLOTS - 1], f->class);
}

void fixture_open(struct fixture *f, uint64_t size, bool discards)
{
    fixture_map(f, size, discards);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (heap_create(&f->params, &f->heap, &diag) != 0) {
        fail_msg("%s", diag.text);
    }
    fixture_populate(f);
}

void fixture_close(struct fixture *f)
{
    heap_allocator_destroy(f->allocator);
    heap_detach(f->heap);
    fixture_look(f);
    fixture_unmap(f);
}

void fixture_reattach(struct fixture *f)
{
    heap_allocator_destroy(f->allocator);
    heap_detach(f->heap);
    f->heap = NULL;
    fixture_look(f);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (heap_attach(&f->params, &f->heap, &diag) != 0) {
        fail_msg("%s", diag.text);
    }
    assert_int_equal(heap_allocator_create(f->heap, &f->allocator), 0);
    assert_ptr_equal(heap_root(f->heap), f->root);
}

pvm_object_t fixture_node(struct fixture *f, uint64_t slots)
{
    return heap_alloc(f->allocator, f->class, 0, slots * sizeof(pvm_object_t));
}

pvm_object_t fixture_leaf(struct fixture *f, uint64_t bytes)
{
    return heap_alloc(f->allocator, f->class, PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE, bytes);
}

pvm_object_t *fixture_slots(pvm_object_t o)
{
    return (pvm_object_t *)o->da;
}

void fixture_put(struct fixture *f, pvm_object_t *slot, pvm_object_t value)
{
    const struct heap_stores *stores = store_watch_stores(f->watch);
    heap_before_store(stores, slot, sizeof(*slot));
    heap_store_ref(slot, value);
    heap_after_store(stores, slot, sizeof(*slot));
}

void fixture_fill(struct fixture *f, void *start, int byte, uint64_t bytes)
{
    const struct heap_stores *stores = store_watch_stores(f->watch);
    heap_before_store(stores, start, bytes);
    memset(start, byte, bytes);
    heap_after_store(stores, start, bytes);
}

void fixture_look(struct fixture *f)
{
    if (!f->unwatched) {
        store_watch_look(f->watch);
    }
}

void fixture_trace(void *context, pvm_object_t o, struct heap_visitor *visitor)
{
    (void)context;
    assert_int_equal(o->_flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE, 0);
    for (uint64_t i = 0; i < o->_da_size / sizeof(pvm_object_t); i++) {
        heap_visit(visitor, heap_load_ref(&fixture_slots(o)[i]));
    }
}

struct heap_collect_report fixture_collect(struct fixture *f)
{
    struct heap_collect_report report;
    assert_int_equal(heap_collect(f->heap, fixture_trace, NULL, NULL, &report), 0);
    fixture_look(f);
    return report;
}

void fixture_audit(struct fixture *f)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (heap_audit(f->heap, fixture_trace, NULL, &diag) != 0) {
        fail_msg("%s", diag.text);
    }
}

static int count_one(void *context, pvm_object_t o)
{
    assert_int_equal(o->_marker, PVM_OBJECT_START_MARKER);
    ++*(uint64_t *)context;
    return 0;
}

uint64_t fixture_count_objects(struct fixture *f)
{
    uint64_t count = 0;
    assert_int_equal(heap_walk(f->heap, count_one, &count), 0);
    return count;
}

bool fixture_is_zero(const void *start, uint64_t bytes)
{
    const uint8_t *p = start;
    return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

struct page_counts {
    uint64_t resident, nonzero;
};

static struct page_counts count_pages(const struct fixture *f)
{
    uint64_t pages = f->size / PAGE;
    struct page_counts counts = {0, 0};
    unsigned char *resident = ph_alloc(pages);
    assert_non_null(resident);
    assert_int_equal(mincore(f->base, f->size, resident), 0);
    for (uint64_t i = 0; i < pages; i++) {
        if ((resident[i] & 1) != 0) {
            counts.resident++;
            counts.nonzero += !fixture_is_zero(f->base + i * PAGE, PAGE);
        }
    }
    ph_free(resident);
    return counts;
}

uint64_t fixture_nonzero_pages(const struct fixture *f)
{
    return count_pages(f).nonzero;
}

uint64_t fixture_resident_pages(const struct fixture *f)
{
    return count_pages(f).resident;
}
