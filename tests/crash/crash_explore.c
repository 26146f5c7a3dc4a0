/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_explore.c - see crash_explore.h.
 *
 * The log is cut at every flush. What lies between is an epoch: the writes and changes of size that
 * were begun and not yet made durable. They are split into units of one block, because a power cut
 * respects blocks (mostly) and not the lengths of requests. From the units we make subsets,
 * prefixes, torn blocks and garbage, on top of the durable image that the disk holds; each state is
 * built by pokes and taken back by undo.
 *
 * The strongest moment for a crash in an epoch is its end, just before the flush completes: all of
 * its writes may or may not be there, and everything acknowledged so far is acknowledged. So each
 * epoch is explored once, at its end.
 */
#include "crash_check.h"

#include "ph_check.h"
#include "store_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull; /* for %llu */

enum { BLOCK = SNAP_PAGE_SIZE, SECTOR = 512, SECTORS = BLOCK / SECTOR, SUBSET_UNITS = 10 };

/* ---- images seen ------------------------------------------------------------------------------
 */

struct seen_entry {
    uint64_t hash;   /* 0: free */
    uint64_t opened; /* what it recovered to */
    uint64_t workload;
};

struct crash_seen {
    struct seen_entry *entries;
    size_t count, capacity; /* a power of two */
};

static struct seen_entry *seen_slot(struct crash_seen *seen, uint64_t hash)
{
    size_t at = (size_t)(hash * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (seen->capacity - 1);
    while (seen->entries[at].hash != 0 && seen->entries[at].hash != hash) {
        at = (at + 1) & (seen->capacity - 1);
    }
    return &seen->entries[at];
}

static void seen_grow(struct crash_seen *seen)
{
    struct crash_seen old = *seen;
    seen->capacity = old.capacity != 0 ? old.capacity * 2 : 1 << 16;
    seen->entries = calloc(seen->capacity, sizeof(*seen->entries));
    PH_CHECK(seen->entries != NULL);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].hash != 0) {
            *seen_slot(seen, old.entries[i].hash) = old.entries[i];
        }
    }
    free(old.entries);
}

/** The entry for an image; a free one is taken. `*known` tells which. */
static struct seen_entry *seen_get(struct crash_seen *seen, uint64_t hash, bool *known)
{
    if (seen->count * 2 >= seen->capacity) {
        seen_grow(seen);
    }
    hash = hash != 0 ? hash : 1;
    struct seen_entry *entry = seen_slot(seen, hash);
    *known = entry->hash != 0;
    if (!*known) {
        entry->hash = hash;
        seen->count++;
    }
    return entry;
}

/* ---- life of an explorer ----------------------------------------------------------------------
 */

bool crash_explorer_init(struct crash_explorer *explorer, uint64_t capacity)
{
    *explorer = (struct crash_explorer){0};
    explorer->disk = io_scratch_create(capacity);
    explorer->seen = calloc(1, sizeof(*explorer->seen));
    if (explorer->disk == NULL || explorer->seen == NULL) {
        crash_explorer_finish(explorer);
        return false;
    }
    explorer->io = io_scratch_io(explorer->disk);
    explorer->density = 16;
    return true;
}

void crash_explorer_finish(struct crash_explorer *explorer)
{
    io_scratch_destroy(explorer->disk);
    crash_oracle_finish(&explorer->oracle);
    if (explorer->seen != NULL) {
        free(explorer->seen->entries);
    }
    free(explorer->seen);
    *explorer = (struct crash_explorer){0};
}

void crash_explorer_begin(struct crash_explorer *explorer, uint64_t workload, uint64_t seed,
                          const void *image, uint64_t size)
{
    explorer->workload = workload;
    explorer->state = 0;
    explorer->depth = 0;
    ph_rng_init(&explorer->rng, seed ^ (workload * UINT64_C(0xD1342543DE82EF95)));
    io_scratch_seed(explorer->disk, ph_rng_next(&explorer->rng));
    io_scratch_set_hashing(explorer->disk, true);
    PH_CHECK(io_scratch_assign(explorer->disk, image, size) == 0);
}

static uint64_t below(struct crash_explorer *explorer, uint64_t bound)
{
    return ph_rng_below(&explorer->rng, bound);
}

static bool done(const struct crash_explorer *explorer)
{
    return explorer->failed || explorer->stopped;
}

/* ---- one state --------------------------------------------------------------------------------
 */

static bool explore_recovery(struct crash_explorer *explorer, const struct crash_outcome *outcome);

static struct crash_thorough how_thorough(struct crash_explorer *explorer)
{
    return (struct crash_thorough){.read_only = below(explorer, 8) == 0,
                                   .retained = below(explorer, 16) == 0,
                                   .twice = below(explorer, 8) == 0,
                                   .after = below(explorer, 8) == 0,
                                   .by_page = below(explorer, 32) == 0};
}

bool crash_check_state(struct crash_explorer *explorer, const char *format, ...)
{
    if (done(explorer)) {
        return false;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(explorer->image, sizeof(explorer->image), format, args);
    va_end(args);
    explorer->counts.states++;
    explorer->state++;
    explorer->counts.in_recovery += explorer->depth != 0;
    explorer->counts.in_second += explorer->depth > 1;
    struct crash_thorough thorough = how_thorough(explorer); /* always: keeps the random stream */
    bool known = false;
    uint64_t hash = io_scratch_hash(explorer->disk);
    struct seen_entry *entry = seen_get(explorer->seen, hash, &known);
    if (known && entry->workload == explorer->workload) {
        return crash_expect_allows(&explorer->expect, entry->opened) ||
               crash_violation(explorer,
                               "P2: image seen before opens generation %llu, but %llu is "
                               "acknowledged, %llu in flight",
                               (ull)entry->opened, (ull)explorer->expect.acked,
                               (ull)explorer->expect.attempt);
    }
    explorer->counts.distinct += !known;
    struct crash_outcome outcome = {0};
    bool good = crash_check_image(explorer, &thorough, &outcome);
    if (explorer->verbose) {
        printf("state %llu: %s: opened %llu incomplete %llu torn %u retired %u%s\n",
               (ull)explorer->state, explorer->image, (ull)outcome.opened, (ull)outcome.incomplete,
               outcome.torn, outcome.retired, good ? "" : ": VIOLATION");
    }
    if (!good) {
        return false;
    }
    entry->opened = outcome.opened;
    entry->workload = explorer->workload;
    explorer->counts.incomplete += outcome.incomplete != 0;
    explorer->counts.retired += outcome.retired != 0;
    if (explorer->stop_after_state != 0 && explorer->state >= explorer->stop_after_state) {
        explorer->stopped = true;
        return false;
    }
    return explore_recovery(explorer, &outcome);
}

/* ---- units of an epoch ------------------------------------------------------------------------
 */

/** One block of a write, or a change of size, that a power cut may lose. */
struct unit {
    bool is_size;
    bool extends; /* a write past the end of a file that nobody allocated */
    bool first_of_write;
    uint64_t offset; /* of the block; the new size */
    const uint8_t *data;
    uint8_t *old; /* what the block holds in the durable image */
    uint64_t end; /* moment of completion; UINT64_MAX: never */
};

struct epoch {
    struct unit *units; /* in the order of submission */
    size_t count, capacity;
    uint8_t *old_bytes;
    bool overlap;   /* two units are the same block */
    bool *pick;     /* one flag per unit, for subsets */
    size_t *by_end; /* unit numbers in the order of completion */
};

static struct unit *add_unit(struct epoch *epoch)
{
    if (epoch->count == epoch->capacity) {
        epoch->capacity = epoch->capacity != 0 ? epoch->capacity * 2 : 32;
        epoch->units = realloc(epoch->units, epoch->capacity * sizeof(*epoch->units));
        PH_CHECK(epoch->units != NULL);
    }
    struct unit *unit = &epoch->units[epoch->count++];
    *unit = (struct unit){0};
    return unit;
}

/** Bytes that a write may have left: all, unless it came back short. A failed one may be anywhere.
 */
static uint32_t written(const struct io_event *event)
{
    return event->end != 0 && event->result >= 0 ? (uint32_t)event->result : event->length;
}

static void add_event(struct epoch *epoch, const struct io_event *event, uint64_t *size)
{
    uint64_t end = event->end != 0 ? event->end : UINT64_MAX;
    if (event->kind == IO_EVENT_ALLOCATE) {
        if (event->offset > *size) {
            *size = event->offset;
            *add_unit(epoch) = (struct unit){.is_size = true, .offset = event->offset, .end = end};
        }
        return;
    }
    for (uint32_t at = 0; at + BLOCK <= written(event); at += BLOCK) {
        bool extends = event->offset + at + BLOCK > *size;
        *add_unit(epoch) = (struct unit){.extends = extends,
                                         .first_of_write = at == 0,
                                         .offset = event->offset + at,
                                         .data = event->data + at,
                                         .end = end};
        *size = extends ? event->offset + at + BLOCK : *size;
    }
}

static int compare_offset(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void find_overlap(struct epoch *epoch)
{
    uint64_t *offsets = malloc((epoch->count + 1) * sizeof(*offsets));
    PH_CHECK(offsets != NULL);
    size_t count = 0;
    for (size_t i = 0; i < epoch->count; i++) {
        if (!epoch->units[i].is_size) {
            offsets[count++] = epoch->units[i].offset;
        }
    }
    qsort(offsets, count, sizeof(*offsets), compare_offset);
    for (size_t i = 1; i < count; i++) {
        epoch->overlap |= offsets[i] == offsets[i - 1];
    }
    free(offsets);
}

/** Insertion sort: nearly sorted already. */
static void sort_by_end(struct epoch *epoch)
{
    for (size_t i = 0; i < epoch->count; i++) {
        size_t at = i;
        while (at > 0 && epoch->units[epoch->by_end[at - 1]].end > epoch->units[i].end) {
            epoch->by_end[at] = epoch->by_end[at - 1];
            at--;
        }
        epoch->by_end[at] = i;
    }
}

static void epoch_prepare(struct crash_explorer *explorer, struct epoch *epoch)
{
    size_t count = epoch->count + 1;
    epoch->old_bytes = calloc(count, BLOCK);
    epoch->pick = calloc(count, sizeof(*epoch->pick));
    epoch->by_end = calloc(count, sizeof(*epoch->by_end));
    PH_CHECK(epoch->old_bytes != NULL && epoch->pick != NULL && epoch->by_end != NULL);
    uint64_t size = 0;
    const uint8_t *bytes = io_scratch_bytes(explorer->disk, &size);
    for (size_t i = 0; i < epoch->count; i++) {
        struct unit *unit = &epoch->units[i];
        unit->old = epoch->old_bytes + i * BLOCK;
        if (!unit->is_size && unit->offset + BLOCK <= size) {
            memcpy(unit->old, bytes + unit->offset, BLOCK);
        }
    }
    find_overlap(epoch);
    sort_by_end(epoch);
}

static void epoch_finish(struct epoch *epoch)
{
    free(epoch->units);
    free(epoch->old_bytes);
    free(epoch->pick);
    free(epoch->by_end);
}

static void apply(struct crash_explorer *explorer, const struct unit *unit)
{
    uint64_t size = 0;
    (void)io_scratch_bytes(explorer->disk, &size);
    if (unit->is_size || unit->extends) {
        uint64_t wanted = unit->is_size ? unit->offset : unit->offset + BLOCK;
        if (wanted > size) {
            io_scratch_resize(explorer->disk, wanted);
        }
    }
    if (!unit->is_size) {
        io_scratch_poke(explorer->disk, unit->offset, unit->data, BLOCK);
    }
}

static void apply_all(struct crash_explorer *explorer, const struct epoch *epoch)
{
    for (size_t i = 0; i < epoch->count; i++) {
        apply(explorer, &epoch->units[i]);
    }
}

/** All units, then the old bytes where unit `at` was. Exact unless blocks overlap. */
static void apply_all_but(struct crash_explorer *explorer, const struct epoch *epoch, size_t at)
{
    for (size_t i = 0; i < epoch->count; i++) {
        if (i != at) {
            apply(explorer, &epoch->units[i]);
        }
    }
}

/* ---- crash in and after recovery --------------------------------------------------------------
 */

/** Open the image through a recording; with `again` commit what the attempt in flight held. */
static bool run_recovery(struct crash_explorer *explorer, struct crash_session *session, bool again)
{
    if (crash_session_open(session) < 0) {
        return crash_violation(explorer, "recovery, recorded: %s", session->why);
    }
    uint64_t opened = session->recovery.opened, attempt = explorer->expect.attempt;
    if (again) {
        const struct crash_content *to = crash_oracle_get(&explorer->oracle, attempt);
        crash_session_load(session, crash_oracle_get(&explorer->oracle, opened));
        if (attempt != 0 && to != NULL && opened != attempt) { /* the very same bytes */
            session->now = *to;
        } else {
            crash_session_set(session, below(explorer, session->now.heap_pages),
                              ph_rng_next(&explorer->rng) | 1);
        }
        explorer->branch = session->store->next_generation;
        explorer->branch_content = session->now;
        uint64_t number = 0;
        if (crash_session_commit(session, &number) < 0) {
            return crash_violation(explorer, "P6: re-execution: %s", session->why);
        }
    }
    crash_session_close(session);
    return true;
}

/**
 * Record what recovery (and with `again` a commit after it) does to the image on the disk, then cut
 * the power at each of its flushes, starting from the image that is durable (`durable`; writes of
 * the dead process that are only in the page cache are in the record already).
 */
static bool explore_after(struct crash_explorer *explorer, struct snap_io *record,
                          struct io_scratch_mark durable, const struct crash_expect *expect,
                          bool again)
{
    struct crash_session *session = calloc(1, sizeof(*session));
    PH_CHECK(session != NULL);
    char image[sizeof(explorer->image)];
    memcpy(image, explorer->image, sizeof(image));
    session->io = session->record = record;
    io_scratch_set_hashing(explorer->disk, false);
    bool good = run_recovery(explorer, session, again);
    crash_session_close(session);
    explorer->counts.commits += session->commits;
    explorer->counts.early += session->early_commits;
    io_scratch_undo(explorer->disk, durable);
    io_scratch_set_hashing(explorer->disk, true);
    if (good) {
        struct crash_expect before = explorer->expect;
        explorer->depth++;
        good = crash_explore_log(explorer, io_record_log(record), expect, CRASH_LIGHT);
        explorer->depth--;
        explorer->expect = before;
        io_scratch_undo(explorer->disk, durable);
    }
    if (explorer->failed) { /* say what was recovered from */
        size_t used = strlen(explorer->why);
        snprintf(explorer->why + used, sizeof(explorer->why) - used,
                 "\n  in %s after a recovery from: %s", again ? "a re-execution" : "a second crash",
                 image);
    }
    if (explorer->depth == 0) {
        explorer->branch = 0;
    }
    free(session);
    return good;
}

static bool record_recovery(struct crash_explorer *explorer, bool again)
{
    struct snap_io *record = io_record_create(explorer->io);
    PH_CHECK(record != NULL);
    /* Until this recovery returns nobody knows its answer: both generations are still allowed. */
    struct crash_expect expect = explorer->expect;
    bool good = explore_after(explorer, record, io_scratch_mark(explorer->disk), &expect, again);
    io_record_destroy(record);
    return good;
}

/** The image on the disk is durable and recovers as `outcome` says: crash in that recovery. */
static bool explore_recovery(struct crash_explorer *explorer, const struct crash_outcome *outcome)
{
    if (outcome->opened == CRASH_UNBORN || explorer->depth > 1) {
        return true;
    }
    if (explorer->depth == 1) { /* samples only, and no second life on top of a second life */
        if (!outcome->wrote || explorer->second_left == 0) {
            return true;
        }
        explorer->second_left--;
        return record_recovery(explorer, false);
    }
    bool torn = outcome->incomplete != 0 || outcome->torn != 0 || outcome->retired != 0;
    bool again = torn && explorer->reexecutions_left > 0 &&
                 (explorer->reexecutions_left > 2 || below(explorer, 8) == 0);
    bool recovery = outcome->wrote && explorer->recoveries_left > 0;
    if (!again && !recovery) {
        return true;
    }
    explorer->reexecutions_left -= again;
    explorer->recoveries_left -= !again;
    explorer->counts.reexecutions += again;
    return record_recovery(explorer, again);
}

/**
 * The process dies, not the machine: what it wrote is in the page cache, and a later power cut may
 * still lose it. Open (and commit) on top of that, then cut the power.
 */
static bool explore_kill(struct crash_explorer *explorer, const struct epoch *epoch, size_t units)
{
    struct io_scratch_mark durable = io_scratch_mark(explorer->disk);
    struct snap_io *record = io_record_create(explorer->io);
    PH_CHECK(record != NULL);
    for (size_t i = 0; i < units; i++) {
        const struct unit *unit = &epoch->units[i];
        apply(explorer, unit);
        if (unit->is_size) {
            io_record_inject(record, unit->offset, NULL, 0);
        } else {
            io_record_inject(record, unit->offset, unit->data, BLOCK);
        }
    }
    snprintf(explorer->image, sizeof(explorer->image), "killed after %zu of %zu blocks", units,
             epoch->count);
    explorer->counts.kills++;
    struct crash_expect expect = explorer->expect;
    bool good =
        expect.unborn || explore_after(explorer, record, durable, &expect, below(explorer, 2) == 0);
    io_scratch_undo(explorer->disk, durable);
    io_record_destroy(record);
    return good;
}

/* ---- families of states -----------------------------------------------------------------------
 */

/** Check what is on the disk and take back everything since the mark. */
#define CHECK_AND_UNDO(explorer, mark, ...)                                                        \
    do {                                                                                           \
        (void)crash_check_state((explorer), __VA_ARGS__);                                          \
        io_scratch_undo((explorer)->disk, (mark));                                                 \
    } while (0)

static void check_picked(struct crash_explorer *explorer, const struct epoch *epoch,
                         const char *family, size_t number)
{
    struct io_scratch_mark mark = io_scratch_mark(explorer->disk);
    for (size_t i = 0; i < epoch->count; i++) {
        if (epoch->pick[i]) {
            apply(explorer, &epoch->units[i]);
        }
    }
    CHECK_AND_UNDO(explorer, mark, "%s %zu of %zu blocks", family, number, epoch->count);
}

static void all_subsets(struct crash_explorer *explorer, const struct epoch *epoch)
{
    explorer->counts.all_subsets += explorer->depth == 0;
    for (size_t set = 0; set < (size_t)1 << epoch->count && !done(explorer); set++) {
        for (size_t i = 0; i < epoch->count; i++) {
            epoch->pick[i] = (set >> i & 1) != 0;
        }
        check_picked(explorer, epoch, "subset", set);
    }
}

/** none, all, each alone, each missing, pairs, random; at most `limit` of each. */
static void some_subsets(struct crash_explorer *explorer, const struct epoch *epoch, size_t limit)
{
    size_t n = epoch->count;
    for (int present = 0; present <= 1 && !done(explorer); present++) {
        memset(epoch->pick, present, n * sizeof(*epoch->pick));
        check_picked(explorer, epoch, present ? "all" : "none", 0);
        for (size_t i = 0; i < n && i < limit && !done(explorer); i++) {
            size_t at = n <= limit ? i : (size_t)below(explorer, n);
            epoch->pick[at] = !present;
            check_picked(explorer, epoch, present ? "all without" : "only", at);
            size_t other = (size_t)below(explorer, n);
            bool before = epoch->pick[other];
            epoch->pick[other] = !present;
            check_picked(explorer, epoch, present ? "all without a pair" : "only a pair", at);
            epoch->pick[other] = before;
            epoch->pick[at] = present;
        }
    }
    for (size_t i = 0; i < limit * 2 && !done(explorer); i++) {
        uint64_t share = 1 + below(explorer, 15);
        for (size_t k = 0; k < n; k++) {
            epoch->pick[k] = below(explorer, 16) < share;
        }
        check_picked(explorer, epoch, "random subset", i);
    }
}

/** The first k in the order of submission, of completion, and backwards. */
static void prefixes(struct crash_explorer *explorer, const struct epoch *epoch, size_t limit)
{
    size_t n = epoch->count;
    for (size_t i = 0; i < n && i < limit && !done(explorer); i++) {
        size_t length = n <= limit ? i + 1 : 1 + (size_t)below(explorer, n);
        struct io_scratch_mark mark = io_scratch_mark(explorer->disk);
        for (size_t k = 0; k < length; k++) {
            apply(explorer, &epoch->units[k]);
        }
        CHECK_AND_UNDO(explorer, mark, "first %zu of %zu blocks as submitted", length, n);
        for (size_t k = 0; k < length; k++) {
            apply(explorer, &epoch->units[epoch->by_end[k]]);
        }
        CHECK_AND_UNDO(explorer, mark, "first %zu of %zu blocks as completed", length, n);
        for (size_t k = 0; k < length; k++) {
            apply(explorer, &epoch->units[n - 1 - k]);
        }
        CHECK_AND_UNDO(explorer, mark, "last %zu of %zu blocks, backwards", length, n);
    }
}

enum tear {
    TEAR_AFTER_SECTOR, /* the sectors up to `at` are new */
    TEAR_SECTOR_OLD,   /* all but sector `at` are new */
    TEAR_SECTOR_NEW,   /* only sector `at` is new */
    TEAR_GARBAGE,      /* sector `at` holds neither */
    TEAR_AFTER_WORD,   /* the first 8 x `at` bytes are new */
    TEAR_KINDS
};

static const char *const tear_names[TEAR_KINDS] = {"torn after sector", "old sector", "only sector",
                                                   "garbage sector", "torn after word"};

static void poke_torn(struct crash_explorer *explorer, const struct unit *unit, enum tear tear,
                      unsigned at)
{
    uint8_t block[BLOCK];
    const uint8_t *old = unit->old, *data = unit->data;
    uint64_t sector = (uint64_t)at * SECTOR;
    memcpy(block, tear == TEAR_SECTOR_OLD || tear == TEAR_GARBAGE ? data : old, BLOCK);
    switch (tear) {
    case TEAR_AFTER_SECTOR: memcpy(block, data, sector + SECTOR); break;
    case TEAR_SECTOR_OLD: memcpy(block + sector, old + sector, SECTOR); break;
    case TEAR_SECTOR_NEW: memcpy(block + sector, data + sector, SECTOR); break;
    case TEAR_GARBAGE:
        for (unsigned i = 0; i < SECTOR; i += 8) {
            uint64_t word = ph_rng_next(&explorer->rng);
            memcpy(block + sector + i, &word, 8);
        }
        break;
    case TEAR_AFTER_WORD: memcpy(block, data, (size_t)at * 8); break;
    case TEAR_KINDS: break;
    }
    io_scratch_poke(explorer->disk, unit->offset, block, BLOCK);
}

/** One tear with the other blocks absent, then with them present. */
static void check_tear(struct crash_explorer *explorer, const struct epoch *epoch, size_t index,
                       enum tear tear, unsigned at)
{
    struct io_scratch_mark mark = io_scratch_mark(explorer->disk);
    for (int present = 0; present <= 1 && !done(explorer); present++) {
        if (present) {
            apply_all_but(explorer, epoch, index);
        }
        poke_torn(explorer, &epoch->units[index], tear, at);
        CHECK_AND_UNDO(explorer, mark, "block %zu of %zu: %s %u, the others %s", index,
                       epoch->count, tear_names[tear], at, present ? "present" : "absent");
    }
}

static bool kept(struct crash_explorer *explorer)
{
    return below(explorer, 16) < explorer->density;
}

static void tears_of_unit(struct crash_explorer *explorer, const struct epoch *epoch, size_t index)
{
    for (unsigned at = 0; at < SECTORS && !done(explorer); at++) {
        for (enum tear tear = TEAR_AFTER_SECTOR; tear <= TEAR_GARBAGE; tear++) {
            if (kept(explorer) && !done(explorer)) {
                check_tear(explorer, epoch, index, tear, at);
            }
        }
    }
    for (unsigned at = 1; at <= 16 && !done(explorer); at++) {
        if (kept(explorer) && kept(explorer)) {
            check_tear(explorer, epoch, index, TEAR_AFTER_WORD, at);
        }
    }
}

static void tears(struct crash_explorer *explorer, const struct epoch *epoch, size_t limit)
{
    size_t n = epoch->count;
    for (size_t i = 0; i < n && i < limit && !done(explorer); i++) {
        /* Sampled: the ends first, because a record is the first or the last of its extent. */
        size_t at = n <= limit || i == 0 ? i : i == 1 ? n - 1 : (size_t)below(explorer, n);
        if (!epoch->units[at].is_size) {
            tears_of_unit(explorer, epoch, at);
        }
    }
    /* A prefix whose last block is torn: a request that was under way. */
    for (size_t i = 0; i < limit && n > 0 && !done(explorer); i++) {
        size_t at = (size_t)below(explorer, n);
        struct io_scratch_mark mark = io_scratch_mark(explorer->disk);
        for (size_t k = 0; k < at; k++) {
            apply(explorer, &epoch->units[k]);
        }
        if (!epoch->units[at].is_size) {
            poke_torn(explorer, &epoch->units[at], TEAR_AFTER_SECTOR,
                      (unsigned)below(explorer, SECTORS));
        }
        CHECK_AND_UNDO(explorer, mark, "first %zu of %zu blocks, then a torn one", at, n);
    }
}

static void few_tears(struct crash_explorer *explorer, const struct epoch *epoch, size_t count)
{
    for (size_t i = 0; i < count && epoch->count > 0 && !done(explorer); i++) {
        size_t at = (size_t)below(explorer, epoch->count);
        enum tear tear = (enum tear)below(explorer, TEAR_KINDS);
        unsigned place = (unsigned)below(explorer, SECTORS);
        if (!epoch->units[at].is_size) {
            check_tear(explorer, epoch, at, tear, place);
        }
    }
}

/** A grown file whose new part holds garbage where nothing was written. */
static void garbage_beyond(struct crash_explorer *explorer, const struct epoch *epoch)
{
    struct io_scratch_mark mark = io_scratch_mark(explorer->disk);
    uint64_t old_size = 0, new_size = 0;
    (void)io_scratch_bytes(explorer->disk, &old_size);
    for (size_t i = 0; i < epoch->count; i++) {
        if (epoch->units[i].is_size) {
            apply(explorer, &epoch->units[i]);
        }
    }
    (void)io_scratch_bytes(explorer->disk, &new_size);
    if (new_size <= old_size) {
        return;
    }
    uint64_t words[SECTOR / 8];
    for (unsigned i = 0; i < 200; i++) {
        for (unsigned k = 0; k < SECTOR / 8; k++) {
            words[k] = ph_rng_next(&explorer->rng);
        }
        uint64_t sector = old_size / SECTOR + below(explorer, (new_size - old_size) / SECTOR);
        io_scratch_poke(explorer->disk, sector * SECTOR, words, SECTOR);
    }
    struct io_scratch_mark grown = io_scratch_mark(explorer->disk);
    CHECK_AND_UNDO(explorer, grown, "grown with garbage, no writes");
    if (!done(explorer)) {
        apply_all(explorer, epoch);
        (void)crash_check_state(explorer, "grown with garbage, all writes");
    }
    io_scratch_undo(explorer->disk, mark);
}

static void explore_units(struct crash_explorer *explorer, const struct epoch *epoch,
                          enum crash_effort effort)
{
    size_t n = epoch->count;
    bool full = effort == CRASH_FULL;
    if (effort == CRASH_LAST) {
        some_subsets(explorer, epoch, 2);
        return;
    }
    if (n <= (full ? (size_t)SUBSET_UNITS : 5)) {
        all_subsets(explorer, epoch);
    } else {
        some_subsets(explorer, epoch, full ? 48 : 5);
    }
    prefixes(explorer, epoch, full ? 40 : 4);
    garbage_beyond(explorer, epoch);
    if (full) {
        tears(explorer, epoch, 16);
    } else {
        few_tears(explorer, epoch, 4);
    }
    if (explorer->depth == 0 && n > 0 && !done(explorer)) {
        (void)(explore_kill(explorer, epoch, n) && /* all written, and somewhere in between */
               explore_kill(explorer, epoch, (size_t)below(explorer, n + 1)));
    }
}

/* ---- the log ----------------------------------------------------------------------------------
 */

enum fate { FATE_NONE, FATE_PENDING, FATE_DOOMED /* its flush failed */, FATE_DURABLE };

static bool is_covered(const struct io_event *event, uint64_t flush_begin)
{
    return event->end != 0 && event->end < flush_begin && event->result >= 0;
}

static void explore_epoch(struct crash_explorer *explorer, const struct io_log *log,
                          const uint8_t *fate, size_t until, enum crash_effort effort)
{
    struct epoch epoch = {0};
    uint64_t size = 0;
    (void)io_scratch_bytes(explorer->disk, &size);
    for (size_t i = 0; i < until; i++) {
        if (fate[i] == FATE_PENDING || fate[i] == FATE_DOOMED) {
            add_event(&epoch, &log->events[i], &size);
        }
    }
    epoch_prepare(explorer, &epoch);
    explorer->counts.epochs += explorer->depth == 0;
    if (explorer->depth == 0) {
        explorer->reexecutions_left = 4;
        /* One workload in eight: every recovery that writes, not some of each epoch. */
        explorer->recoveries_left = explorer->workload % 8 < 2 ? UINT32_MAX : 6;
        explorer->second_left = 4;
    }
    explore_units(explorer, &epoch, effort);
    epoch_finish(&epoch);
}

/** The flush at `flush` succeeded: what it covers is durable from now on. */
static void make_durable(struct crash_explorer *explorer, const struct io_log *log, uint8_t *fate,
                         size_t flush)
{
    struct epoch covered = {0};
    uint64_t size = 0;
    (void)io_scratch_bytes(explorer->disk, &size);
    bool good = log->events[flush].result == 0;
    for (size_t i = 0; i < flush; i++) {
        if (fate[i] == FATE_PENDING && is_covered(&log->events[i], log->events[flush].begin)) {
            fate[i] = good ? FATE_DURABLE : FATE_DOOMED;
            if (good) {
                add_event(&covered, &log->events[i], &size);
            }
        }
    }
    apply_all(explorer, &covered);
    epoch_finish(&covered);
}

static void note_mark(struct crash_expect *expect, const struct io_event *event)
{
    switch (event->mark) {
    case IO_MARK_ATTEMPT: expect->attempt = event->value; break;
    case IO_MARK_ACK:
    case IO_MARK_OPENED: /* the host has seen it, so it counts as acknowledged */
        expect->acked = event->value;
        expect->attempt = 0;
        break;
    case IO_MARK_CREATED: expect->unborn = false; break;
    }
}

bool crash_explore_log(struct crash_explorer *explorer, const struct io_log *log,
                       const struct crash_expect *expect, enum crash_effort effort)
{
    uint8_t *fate = calloc(log->count + 1, 1);
    PH_CHECK(fate != NULL);
    explorer->expect = *expect;
    for (size_t i = 0; i < log->count && !done(explorer); i++) {
        const struct io_event *event = &log->events[i];
        switch (event->kind) {
        case IO_EVENT_MARK: note_mark(&explorer->expect, event); break;
        case IO_EVENT_WRITE: fate[i] = FATE_PENDING; break;
        case IO_EVENT_ALLOCATE: fate[i] = event->result == 0 ? FATE_PENDING : FATE_NONE; break;
        case IO_EVENT_FLUSH:
            if (effort != CRASH_LAST) {
                explore_epoch(explorer, log, fate, i, effort);
            }
            make_durable(explorer, log, fate, i);
            break;
        }
    }
    if (!done(explorer)) {
        explore_epoch(explorer, log, fate, log->count, effort);
    }
    free(fate);
    return !done(explorer);
}
