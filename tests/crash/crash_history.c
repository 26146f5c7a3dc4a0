/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_history.c - what a store retains: a tagged generation and one that a reader has locked
 * outlive any budget, a rollback is a new generation, and damage to the catalog is seen. One script
 * on a store with the smallest ring; content is compared with what was committed.
 */
#include "crash_check.h"
#include "crash_mutants.h"

#include "io_forward.h"
#include "ph_check.h"
#include "store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 32 << 20, TAGGED = 2, LOCKED = 3, COMMITS = 60, EARLY_ROUNDS = 24 };

/** A disk on which somebody else reads one generation. */
struct reading {
    struct io_forward forward; /* first */
    uint64_t generation;       /* 0: nobody */
};

static int reading_lock(struct snap_io *io, uint64_t byte, enum snap_io_lock kind)
{
    const struct reading *reading = (const struct reading *)io;
    bool taken = reading->generation != 0 && byte == SNAP_LOCK_GENERATION(reading->generation);
    return taken && kind == SNAP_IO_LOCK_EXCLUSIVE ? -EAGAIN : 0;
}

struct history {
    struct io_scratch *disk;
    struct reading reading;
    struct crash_session session;
    struct crash_oracle oracle;
    struct ph_rng rng;
};

static bool commit_some(struct history *history, unsigned commits)
{
    struct crash_session *session = &history->session;
    for (unsigned i = 0; i < commits; i++) {
        uint64_t number = 0;
        for (unsigned k = 0; k < 4; k++) {
            crash_session_set(session, ph_rng_below(&history->rng, session->now.heap_pages),
                              ph_rng_next(&history->rng) | 1);
        }
        if (crash_session_commit(session, &number) < 0) {
            return false;
        }
    }
    return true;
}

static bool holds(struct history *history, uint64_t number)
{
    struct crash_session *session = &history->session;
    return crash_content_check(session->store, number, crash_oracle_get(&history->oracle, number),
                               session->why, sizeof(session->why)) == 0;
}

static bool reopen(struct history *history)
{
    crash_session_close(&history->session);
    return crash_session_open(&history->session) >= 0;
}

static bool pins_hold(struct history *history)
{
    struct crash_session *session = &history->session;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (!commit_some(history, TAGGED)) {
        return false;
    }
    crash_oracle_put(&history->oracle, session->store->next_generation, &session->now);
    if (snap_store_tag(session->store, TAGGED, "keep", &diag) != 0) {
        snprintf(session->why, sizeof(session->why), "tag: %s", diag.text);
        return false;
    }
    history->reading.generation = LOCKED;
    bool good = commit_some(history, COMMITS) && holds(history, TAGGED) && holds(history, LOCKED);
    good = good && reopen(history) && holds(history, TAGGED) && holds(history, LOCKED);
    if (good && snap_store_audit(session->store, &diag) != 0) {
        snprintf(session->why, sizeof(session->why), "audit: %s", diag.text);
        good = false;
    }
    return good;
}

static bool rollback_is_new(struct history *history)
{
    struct crash_session *session = &history->session;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_generation made = {0};
    uint64_t before = snap_store_current(session->store)->number;
    const struct crash_content *old = crash_oracle_get(&history->oracle, TAGGED);
    if (snap_store_rollback(session->store, TAGGED, &made, &diag) != 0) {
        snprintf(session->why, sizeof(session->why), "rollback: %s", diag.text);
        return false;
    }
    if (made.number <= before) {
        snprintf(session->why, sizeof(session->why), "rollback made generation %llu after %llu",
                 (unsigned long long)made.number, (unsigned long long)before);
        return false;
    }
    return crash_content_check(session->store, made.number, old, session->why,
                               sizeof(session->why)) == 0 &&
           holds(history, before) && reopen(history) &&
           crash_content_check(session->store, made.number, old, session->why,
                               sizeof(session->why)) == 0;
}

static int note_block(void *context, uint64_t block)
{
    return block_list_add(context, block);
}

/** Every block of the catalog, damaged in turn: no open may believe it. */
static bool catalog_damage_is_seen(struct history *history)
{
    struct crash_session *session = &history->session;
    struct block_list blocks = {0};
    PH_CHECK(store_catalog_each_block(session->store, note_block, &blocks) == 0);
    crash_session_close(session);
    bool good = blocks.count >= 3;
    if (!good) {
        snprintf(session->why, sizeof(session->why), "there is no catalog");
    }
    for (size_t i = 0; i < blocks.count && good; i++) {
        uint64_t size = 0, at = blocks.block[i] * STORE_BLOCK_SIZE + 200; /* reserved: zeros */
        uint8_t byte = io_scratch_bytes(history->disk, &size)[at] ^ 1;
        struct io_scratch_mark mark = io_scratch_mark(history->disk);
        io_scratch_poke(history->disk, at, &byte, 1);
        if (crash_session_open(session) >= 0) {
            crash_session_close(session);
            snprintf(session->why, sizeof(session->why),
                     "damage in block %llu of the catalog was not seen",
                     (unsigned long long)blocks.block[i]);
            good = false;
        }
        io_scratch_undo(history->disk, mark);
    }
    block_list_finish(&blocks);
    return good;
}

/** A checkpoint has what only delta runs said, also about leaves that it did not touch itself. */
static bool checkpoint_has_all(struct history *history)
{
    struct crash_session *session = &history->session;
    uint64_t number = 0;
    crash_session_close(session);
    session->chain_runs = session->chain_entries = 0; /* everything goes into runs */
    crash_session_load(session, crash_oracle_get(&history->oracle, TAGGED)); /* rolled back to */
    if (crash_session_open(session) < 0) {
        return false;
    }
    session->now.heap_pages = CRASH_PAGES;
    for (uint64_t page = 0; page < CRASH_PAGES; page += 60) {
        crash_session_set(session, page, ph_rng_next(&history->rng) | 1);
    }
    if (crash_session_commit(session, &number) < 0) {
        return false;
    }
    crash_session_close(session);
    session->chain_runs = session->chain_entries = 1; /* nothing does */
    if (crash_session_open(session) < 0) {
        return false;
    }
    crash_session_set(session, 1, 77);
    if (crash_session_commit(session, &number) < 0) {
        return false;
    }
    if (store_current(session->store)->map.delta.block != 0) {
        snprintf(session->why, sizeof(session->why), "the commit was no checkpoint");
        return false;
    }
    return holds(history, number);
}

/** What died in commits before accounting was complete is known when it is, and becomes free. */
static bool early_dead_become_free(struct history *history)
{
    struct crash_session *session = &history->session;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    unsigned early = 0;
    bool good = true;
    session->budget_bytes = CAPACITY; /* nothing has to be dropped before */
    for (unsigned round = 0; good && round < EARLY_ROUNDS; round++) {
        good = reopen(history) && commit_some(history, 2);
        early += good && !session->store->accounted;
        for (unsigned trims = 0; good && trims < 4; trims++) {
            if (snap_store_audit(session->store, &diag) != 0 ||
                snap_store_trim(session->store, &diag) < 0) {
                snprintf(session->why, sizeof(session->why), "audit, trim: %s", diag.text);
                good = false;
            }
        }
    }
    session->budget_bytes = 0;
    good =
        good && commit_some(history, 1); /* one that the oracle knows; it has none of the trims */
    if (good && early < 2 && !crash_compress) { /* a compressed store has none */
        snprintf(session->why, sizeof(session->why), "only %u early commits", early);
        good = false;
    }
    return good;
}

bool crash_history_detect(const struct crash_budget *budget, char *why, size_t why_size)
{
    struct history *history = calloc(1, sizeof(*history));
    PH_CHECK(history != NULL);
    ph_rng_init(&history->rng, budget->seed);
    history->disk = io_scratch_create(CAPACITY);
    PH_CHECK(history->disk != NULL);
    io_forward_init(&history->reading.forward, "reading", io_scratch_io(history->disk));
    history->reading.forward.ops.lock = reading_lock;
    history->session.io = &history->reading.forward.io;
    history->session.oracle = &history->oracle;
    crash_session_load(&history->session, NULL);
    bool good = crash_session_create(&history->session, 1, &history->rng) >= 0 &&
                crash_session_open(&history->session) >= 0 && pins_hold(history) &&
                early_dead_become_free(history) && rollback_is_new(history) &&
                checkpoint_has_all(history) && catalog_damage_is_seen(history);
    snprintf(why, why_size, "%.500s",
             good ? "pins hold, early dead become free, rollback is new, damage seen"
                  : history->session.why);
    crash_session_close(&history->session);
    crash_oracle_finish(&history->oracle);
    io_scratch_destroy(history->disk);
    free(history);
    return good;
}
