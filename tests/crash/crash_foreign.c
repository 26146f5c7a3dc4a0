/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_foreign.c - blocks that are whole but do not belong where they are: a record of another
 * line of generations, of another store, of an older time; pages whose bytes are equal but whose
 * places are not.
 */
#include "crash_check.h"
#include "crash_mutants.h"

#include "ph_check.h"
#include "store_format.h"
#include "store_sum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 16 << 20 };

/** A store on a disk of its own. */
struct place {
    struct io_scratch *disk;
    struct crash_session *session;
};

static void place_init(struct place *place)
{
    place->disk = io_scratch_create(CAPACITY);
    place->session = calloc(1, sizeof(*place->session));
    PH_CHECK(place->disk != NULL && place->session != NULL);
    place->session->io = io_scratch_io(place->disk);
}

static void place_finish(struct place *place)
{
    crash_session_close(place->session);
    io_scratch_destroy(place->disk);
    free(place->session);
}

/** Copy the image and the memory of one place to another; nothing may be open. */
static void place_copy(struct place *to, const struct place *from)
{
    uint64_t size = 0;
    const uint8_t *bytes = io_scratch_bytes(from->disk, &size);
    PH_CHECK(io_scratch_assign(to->disk, bytes, size) == 0);
    to->session->now = from->session->now;
}

/** Create, open, empty memory. */
static bool place_start(struct place *place, uint64_t seed)
{
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    crash_session_load(place->session, NULL);
    return crash_session_create(place->session, 64 << 20, &rng) >= 0 &&
           crash_session_open(place->session) >= 0;
}

static bool commit_page(struct place *place, uint64_t page, uint64_t version)
{
    uint64_t number = 0;
    crash_session_set(place->session, page, version);
    return crash_session_commit(place->session, &number) >= 0;
}

static uint64_t slot_offset(const struct place *place, uint64_t generation)
{
    uint64_t size = 0;
    const struct store_superblock *s =
        (const struct store_superblock *)io_scratch_bytes(place->disk, &size);
    return (s->ring_start + generation % s->ring_slots) * STORE_BLOCK_SIZE;
}

/** Put the record of `generation` of one image into the other; whole blocks, sums and all. */
static void graft_record(struct place *to, const struct place *from, uint64_t generation)
{
    uint64_t size = 0;
    const uint8_t *bytes = io_scratch_bytes(from->disk, &size);
    uint64_t at = slot_offset(from, generation);
    io_scratch_poke(to->disk, at, bytes + at, STORE_BLOCK_SIZE);
}

/** Everything but the records and the superblocks: pages, nodes, and no seal. */
static void graft_data(struct place *to, const struct place *from)
{
    uint64_t size = 0;
    const uint8_t *bytes = io_scratch_bytes(from->disk, &size);
    const struct store_superblock *s = (const struct store_superblock *)bytes;
    static const uint8_t zeros[STORE_BLOCK_SIZE];
    uint64_t start = s->data_start * STORE_BLOCK_SIZE;
    io_scratch_resize(to->disk, size);
    io_scratch_poke(to->disk, start, bytes + start, size - start);
    io_scratch_poke(to->disk, (uint64_t)STORE_SEAL * STORE_BLOCK_SIZE, zeros, sizeof(zeros));
}

/** Open; the content must be `content` if it opens at all. False with `why` otherwise. */
static bool never_shows_another(struct place *place, const struct crash_content *content,
                                const char *what, char *why, size_t why_size)
{
    char text[400];
    if (crash_session_open(place->session) < 0) {
        return true; /* refused: detected */
    }
    uint64_t number = snap_store_current(place->session->store)->number;
    bool good = number != 0 && crash_content_check(place->session->store, number, content, text,
                                                   sizeof(text)) == 0;
    if (!good) {
        snprintf(why, why_size, "%s: generation %llu was accepted: %.300s", what,
                 (unsigned long long)number, number != 0 ? text : "empty");
    }
    crash_session_close(place->session);
    return good;
}

/**
 * Two lines of generations from one parent, in copies of one store: 3a, 4a and 3b. The record and
 * the data of 4a, grafted over the line of 3b, name a parent that is not there.
 */
static bool other_line(uint64_t seed, char *why, size_t why_size)
{
    struct place a, b;
    uint64_t nothing = 0;
    place_init(&a);
    place_init(&b);
    bool made = place_start(&a, seed) && commit_page(&a, 1, 11) && commit_page(&a, 2, 22);
    crash_session_close(a.session);
    place_copy(&b, &a);
    made = made && crash_session_open(a.session) >= 0 && commit_page(&a, 1, 101) &&
           commit_page(&a, 2, 202);
    uint64_t newest = made ? snap_store_current(a.session->store)->number : 0;
    crash_session_close(a.session);
    /* 3b writes nothing but its record, so that no block of it is under the graft. */
    made = made && crash_session_open(b.session) >= 0 &&
           crash_session_commit(b.session, &nothing) >= 0;
    crash_session_close(b.session);
    bool good = made;
    if (!made) {
        snprintf(why, why_size, "making two lines: %.300s %.300s", a.session->why, b.session->why);
    } else {
        struct crash_content content = b.session->now;
        graft_data(&b, &a);
        graft_record(&b, &a, newest);
        good = never_shows_another(&b, &content, "a record of another line", why, why_size);
    }
    place_finish(&a);
    place_finish(&b);
    return good;
}

/**
 * Two lines that went on from one image with the very same bytes, then parted: only the incarnation
 * in the records tells them apart, so a later record of the one must not follow the other's.
 */
static bool same_bytes_other_line(uint64_t seed, char *why, size_t why_size)
{
    struct place a, b;
    place_init(&a);
    place_init(&b);
    io_scratch_seed(b.disk, seed + 17); /* another process, other incarnations */
    bool made = place_start(&a, seed) && commit_page(&a, 1, 11);
    crash_session_close(a.session);
    place_copy(&b, &a);
    made = made && crash_session_open(a.session) >= 0 && commit_page(&a, 2, 22) &&
           commit_page(&a, 3, 33);
    uint64_t newest = made ? snap_store_current(a.session->store)->number : 0;
    crash_session_close(a.session);
    made = made && crash_session_open(b.session) >= 0 && commit_page(&b, 2, 22);
    crash_session_close(b.session);
    bool good = made;
    if (!made) {
        snprintf(why, why_size, "making two lines: %.300s %.300s", a.session->why, b.session->why);
    } else {
        struct crash_content content = b.session->now;
        graft_data(&b, &a);
        graft_record(&b, &a, newest);
        good = never_shows_another(&b, &content, "a successor from another line of equal bytes",
                                   why, why_size);
    }
    place_finish(&a);
    place_finish(&b);
    return good;
}

/** Another store, with its own UUID and the same history: its newest record and data grafted. */
static bool other_store(uint64_t seed, char *why, size_t why_size)
{
    struct place a, b;
    place_init(&a);
    place_init(&b);
    bool made = place_start(&a, seed) && place_start(&b, seed + 1) && commit_page(&a, 1, 11) &&
                commit_page(&b, 1, 12) && commit_page(&a, 2, 22);
    uint64_t newest = made ? snap_store_current(a.session->store)->number : 0;
    crash_session_close(a.session);
    crash_session_close(b.session);
    bool good = made;
    if (!made) {
        snprintf(why, why_size, "making two stores: %.300s %.300s", a.session->why, b.session->why);
    } else {
        struct crash_content content = b.session->now;
        graft_data(&b, &a);
        for (uint64_t g = 1; g <= newest; g++) {
            graft_record(&b, &a, g);
        }
        good = never_shows_another(&b, &content, "records of another store", why, why_size);
    }
    place_finish(&a);
    place_finish(&b);
    return good;
}

/**
 * Sums say where a page belongs: two pages that change places give another sum of the memory, and
 * so does the same memory in another store.
 */
static bool sums_know_their_place(uint64_t seed, char *why, size_t why_size)
{
    struct place a, b;
    place_init(&a);
    place_init(&b);
    bool made = place_start(&a, seed) && place_start(&b, seed + 1) && commit_page(&a, 1, 11) &&
                commit_page(&a, 2, 22) && commit_page(&b, 1, 11) && commit_page(&b, 2, 22);
    bool good = made;
    if (!made) {
        snprintf(why, why_size, "making stores: %.300s %.300s", a.session->why, b.session->why);
    } else {
        struct snap_sum here = snap_store_current(a.session->store)->root_sum;
        struct snap_sum there = snap_store_current(b.session->store)->root_sum;
        uint64_t number = 0;
        crash_session_set(a.session, 1, 22);
        crash_session_set(a.session, 2, 11);
        made = crash_session_commit(a.session, &number) >= 0;
        struct snap_sum swapped = snap_store_current(a.session->store)->root_sum;
        bool same_store = here.low == there.low && here.high == there.high;
        bool same_place = here.low == swapped.low && here.high == swapped.high;
        good = made && !same_store && !same_place;
        if (!good) {
            snprintf(why, why_size, "sums do not know %s",
                     same_store ? "their store" : "their page");
        }
    }
    place_finish(&a);
    place_finish(&b);
    return good;
}

bool crash_foreign_detect(const struct crash_budget *budget, char *why, size_t why_size)
{
    why[0] = 0;
    return other_line(budget->seed, why, why_size) &&
           same_bytes_other_line(budget->seed, why, why_size) &&
           other_store(budget->seed, why, why_size) &&
           sums_know_their_place(budget->seed, why, why_size);
}
