/* SPDX-License-Identifier: Apache-2.0
 *
 * lazy_kit.h - a small persistent world over kernel-tracked memory and a real file, for tests of
 * lazy restore: mutators that store and discard, a gate that holds the background reader back so
 * that pages stay unloaded for as long as a test wants, and readers that fail.
 *
 * The oracle is a second array, the shadow: every store and every discard is done to it as well.
 * What it held at the cut is what the generation must hold. The heap itself is never read for that,
 * because reading would load it.
 */
#ifndef LAZY_KIT_H
#define LAZY_KIT_H

#include "ph_rng.h"
#include "snap_engine.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LAZY_MUTATORS_MOST = 4, LAZY_READERS = 2, LAZY_BULK_READER = 1 };

/** True: stores are compressed. Set once, before the first. */
extern bool lazy_compressed;

struct lazy_mutator {
    struct lazy_kit *kit;
    pthread_t thread;
    struct ph_rng rng;
    unsigned slot;
    uint64_t own_first, own_pages; /* pages that only this one touches: also discarded */
};

struct lazy_kit {
    char path[128];
    uint64_t pages;      /* of the range */
    uint64_t heap_pages; /* in use */
    struct snap_memory *memory;
    struct snap_io *io;
    struct snap_store *store;
    struct snap_engine *engine;
    struct snap_engine_options options; /* open_reader is filled in */
    struct phantom_diag diag;
    struct snap_report report;
    void (*damaged)(void *context, int error, const struct phantom_diag *diag, bool waiting);

    uint8_t *shadow, *at_cut, *committed; /* heap-sized */

    /* the readers that the engine opened, in this order: for faults, for the background */
    unsigned readers_opened;
    pthread_mutex_t gate_lock;
    pthread_cond_t gate_changed;
    bool gate_closed;        /* under gate_lock: the background reader waits */
    int passes_left;         /* under gate_lock: reads that pass a closed gate */
    _Atomic int read_errors; /* so many of the next reads of any reader fail; -1: all */

    /* the world */
    pthread_mutex_t lock; /* park handshake; a leaf */
    pthread_cond_t changed;
    bool stopping;
    unsigned parked;
    atomic_bool please_park, quit;
    _Atomic uint64_t stores;
    unsigned mutator_count;
    struct lazy_mutator mutators[LAZY_MUTATORS_MOST];
};

/** False: this kernel cannot; the reason was printed. */
bool lazy_kit_possible(void);

/** A new store with an empty heap; strategy async, nothing restored yet. */
void lazy_begin(struct lazy_kit *kit, uint64_t pages);
void lazy_end(struct lazy_kit *kit);

/** Bytes that depend on page and value into heap and shadow. */
void lazy_fill(struct lazy_kit *kit, uint64_t first, uint64_t count, uint64_t value);
void lazy_discard(struct lazy_kit *kit, uint64_t first, uint64_t count);
/** Snapshot with the oracle moved on; returns the engine's answer. */
int lazy_snapshot(struct lazy_kit *kit);
void lazy_snapshot_ok(struct lazy_kit *kit);
/** Close engine, memory and store. The shadow becomes what was committed last. */
void lazy_close(struct lazy_kit *kit);
/** Open them again; the gate is as it was left. Returns the engine's answer. */
int lazy_open(struct lazy_kit *kit, enum snap_restore_mode mode);
/** lazy_close(), lazy_open(), which must succeed. */
void lazy_reopen(struct lazy_kit *kit, enum snap_restore_mode mode);

void lazy_gate(struct lazy_kit *kit, bool closed);
/** Closed, but the next so many reads pass. */
void lazy_gate_after(struct lazy_kit *kit, int reads);
/** With the gate open: wait until everything is loaded. */
void lazy_wait_complete(struct lazy_kit *kit);

/** Touch every page of the heap in a random order and compare with the shadow. */
void lazy_expect_heap(struct lazy_kit *kit, uint64_t seed);
/** The first page at which the current generation in the store is not `expected`; -1: none. */
int64_t lazy_generation_differs(struct lazy_kit *kit, const uint8_t *expected);

/** Mutators store into words of their own all over the heap; each also discards among `own_pages`
 *  pages at the end of the heap. */
void lazy_start_mutators(struct lazy_kit *kit, unsigned count, uint64_t own_pages, uint64_t seed);
void lazy_stop_mutators(struct lazy_kit *kit);
void lazy_let_run(struct lazy_kit *kit, uint64_t stores);

/** Flip one bit of the block that holds this page of the current generation. Store closed. */
void lazy_damage_page(struct lazy_kit *kit, uint64_t page);

#endif /* LAZY_KIT_H */
