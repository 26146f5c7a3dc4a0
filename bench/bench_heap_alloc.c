/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_heap_alloc.c - what does one 32-byte object cost, beside malloc in the same run?
 *
 * Each line is the median of several rounds, in nanoseconds per object. "fresh" means memory never
 * touched before, so the page faults are part of it on both sides; "recycled" means memory that was
 * used and freed before: by a collection here, by free() there. In all cases the header (24 bytes)
 * and the data (8 bytes) are written. Nothing is asserted.
 *
 *     bench_heap_alloc [OBJECTS] [ROUNDS]
 */
#include "heap.h"

#include <hal.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MAX_ROUNDS = 101 };

struct bench {
    uint64_t objects;
    int rounds;
    struct heap *heap;
    struct heap_allocator *allocator;
    void *mapping;
    size_t mapping_bytes;
    void **blocks; /* of malloc */
};

static void die(const char *what)
{
    fprintf(stderr, "bench_heap_alloc: %s\n", what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

static void open_heap(struct bench *b)
{
    uint64_t bytes = b->objects * 33 / HEAP_CHUNK_BYTES * HEAP_CHUNK_BYTES + 2 * HEAP_CHUNK_BYTES;
    b->mapping_bytes = bytes + HEAP_CHUNK_BYTES;
    b->mapping = mmap(NULL, b->mapping_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->mapping == MAP_FAILED) {
        die("no memory");
    }
    uintptr_t base = ((uintptr_t)b->mapping + HEAP_CHUNK_BYTES - 1) & ~(HEAP_CHUNK_BYTES - 1);
    struct heap_params params = {.base = (void *)base, .size_limit = bytes};
    madvise(params.base, bytes, MADV_NOHUGEPAGE); /* as the tracked range of a store */
    if (heap_create(&params, &b->heap, NULL) != 0 ||
        heap_allocator_create(b->heap, &b->allocator) != 0) {
        die("cannot make a heap");
    }
}

static void close_heap(struct bench *b)
{
    heap_allocator_destroy(b->allocator);
    heap_detach(b->heap);
    munmap(b->mapping, b->mapping_bytes);
}

/** Allocate them all; every keep-th is linked into a list that hangs on the root. */
static double heap_round(struct bench *b, uint64_t keep)
{
    pvm_object_t list = heap_root(b->heap);
    uint64_t start = hal_monotonic_ns();
    for (uint64_t i = 0; i < b->objects; i++) {
        pvm_object_t o = heap_alloc(b->allocator, NULL, 0, 8);
        if (o == NULL) {
            die("heap full");
        }
        *(pvm_object_t *)o->da = list;
        if (keep != 0 && i % keep == 0) {
            list = o;
        }
    }
    uint64_t end = hal_monotonic_ns();
    heap_set_root(b->heap, list);
    return (double)(end - start) / (double)b->objects;
}

static void trace(void *context, pvm_object_t o, struct heap_visitor *visitor)
{
    (void)context;
    heap_visit(visitor, *(pvm_object_t *)o->da);
}

static double collect(struct bench *b, uint64_t per)
{
    uint64_t start = hal_monotonic_ns();
    if (heap_collect(b->heap, trace, NULL, NULL, NULL) != 0) {
        die("collection failed");
    }
    return (double)(hal_monotonic_ns() - start) / (double)per;
}

static double malloc_round(struct bench *b)
{
    uint64_t start = hal_monotonic_ns();
    for (uint64_t i = 0; i < b->objects; i++) {
        struct pvm_object_storage *o = malloc(32);
        if (o == NULL) {
            die("no memory");
        }
        *o = (struct pvm_object_storage){._marker = PVM_OBJECT_START_MARKER, ._da_size = 8};
        *(pvm_object_t *)o->da = NULL;
        b->blocks[i] = o;
    }
    return (double)(hal_monotonic_ns() - start) / (double)b->objects;
}

static double free_round(struct bench *b)
{
    uint64_t start = hal_monotonic_ns();
    for (uint64_t i = 0; i < b->objects; i++) {
        free(b->blocks[i]);
    }
    return (double)(hal_monotonic_ns() - start) / (double)b->objects;
}

static void bench_heap(struct bench *b)
{
    double fresh[MAX_ROUNDS], recycled[MAX_ROUNDS], holes[MAX_ROUNDS], sweep[MAX_ROUNDS],
        mark[MAX_ROUNDS];
    for (int i = 0; i < b->rounds; i++) {
        open_heap(b);
        fresh[i] = heap_round(b, 0);
        sweep[i] = collect(b, b->objects);
        recycled[i] = heap_round(b, 2);
        collect(b, b->objects);
        heap_set_root(b->heap, NULL);
        close_heap(b);
        open_heap(b);
        heap_round(b, 2);
        mark[i] = collect(b, b->objects / 2);
        b->objects /= 2;
        holes[i] = heap_round(b, 0);
        b->objects *= 2;
        close_heap(b);
    }
    printf("heap_alloc, fresh                 %7.2f ns\n", median(fresh, b->rounds));
    printf("heap_alloc, recycled blocks       %7.2f ns\n", median(recycled, b->rounds));
    printf("heap_alloc, every second cell free %6.2f ns\n", median(holes, b->rounds));
    printf("collection, all dead              %7.2f ns per dead object\n",
           median(sweep, b->rounds));
    printf("collection, half dead, one list   %7.2f ns per live object\n", median(mark, b->rounds));
}

static void bench_malloc(struct bench *b)
{
    double fresh[MAX_ROUNDS], recycled[MAX_ROUNDS], release[MAX_ROUNDS];
    b->blocks = malloc(b->objects * sizeof *b->blocks);
    if (b->blocks == NULL) {
        die("no memory");
    }
    memset(b->blocks, 1, b->objects * sizeof *b->blocks);
    for (int i = 0; i < b->rounds; i++) {
        malloc_trim(0); /* gives the pages of the last round back: fresh again */
        fresh[i] = malloc_round(b);
        release[i] = free_round(b);
        recycled[i] = malloc_round(b);
        free_round(b);
    }
    printf("malloc, fresh                     %7.2f ns\n", median(fresh, b->rounds));
    printf("malloc, recycled                  %7.2f ns\n", median(recycled, b->rounds));
    printf("free                              %7.2f ns\n", median(release, b->rounds));
    free(b->blocks);
}

int main(int argc, char **argv)
{
    struct bench b = {.objects = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000,
                      .rounds = argc > 2 ? atoi(argv[2]) : 9};
    if (b.objects < 2 || b.rounds < 1 || b.rounds > MAX_ROUNDS) {
        die("usage: bench_heap_alloc [OBJECTS] [ROUNDS (1..101)]");
    }
    printf("%llu objects of 32 bytes, median of %d rounds\n", (unsigned long long)b.objects,
           b.rounds);
    bench_heap(&b);
    bench_malloc(&b);
    return 0;
}
