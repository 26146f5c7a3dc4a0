/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_world.c - see crash_world.h. Owns the contents in an oracle. Memory comes from malloc: the
 * tests that make allocations fail aim at the store.
 */
#include "crash_world.h"

#include "io_record.h"
#include "ph_check.h"
#include "store_internal.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = SNAP_PAGE_SIZE / 8, FIRST_HEAP_PAGES = 64 };

const struct snap_key *crash_key;
bool crash_compress;
const struct snap_key crash_test_key = {"the key of the stores of a test!", SNAP_KEY_SIZE};

void crash_keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

static const uint64_t FACTOR = UINT64_C(0x9E3779B97F4A7C15);

/** Of how many words one differs from the others. */
static uint64_t stride_of(uint64_t version)
{
    static const uint64_t strides[] = {1, 3, 5, 12};
    return crash_compress ? strides[version % 4] : 1;
}

void crash_page_fill(uint64_t version, void *page)
{
    uint64_t *words = page;
    if (version == 0) {
        memset(page, 0, SNAP_PAGE_SIZE);
        return;
    }
    for (uint64_t i = 0; i < WORDS; i++) {
        words[i] = version ^ (i % stride_of(version) == 0 ? i * FACTOR : 0);
    }
}

bool crash_page_is(uint64_t version, const void *page)
{
    const uint64_t *words = page;
    uint64_t factor = version == 0 ? 0 : FACTOR, stride = stride_of(version);
    uint64_t difference = 0;
    for (uint64_t i = 0; i < WORDS; i++) {
        difference |= words[i] ^ version ^ (stride == 1 || i % stride == 0 ? i * factor : 0);
    }
    return difference == 0;
}

/* ---- oracle ---------------------------------------------------------------------------------- */

const struct crash_content *crash_oracle_get(const struct crash_oracle *oracle, uint64_t number)
{
    return number < oracle->capacity ? oracle->by_number[number] : NULL;
}

void crash_oracle_put(struct crash_oracle *oracle, uint64_t number,
                      const struct crash_content *content)
{
    if (number >= oracle->capacity) {
        size_t capacity = (size_t)number * 2 + 64;
        oracle->by_number = realloc(oracle->by_number, capacity * sizeof(*oracle->by_number));
        PH_CHECK(oracle->by_number != NULL);
        memset(oracle->by_number + oracle->capacity, 0,
               (capacity - oracle->capacity) * sizeof(*oracle->by_number));
        oracle->capacity = capacity;
    }
    if (oracle->by_number[number] == NULL) {
        oracle->by_number[number] = malloc(sizeof(*content));
        PH_CHECK(oracle->by_number[number] != NULL);
    }
    *oracle->by_number[number] = *content;
}

void crash_oracle_copy(struct crash_oracle *to, const struct crash_oracle *from)
{
    for (size_t i = 0; i < from->capacity; i++) {
        if (from->by_number[i] != NULL) {
            crash_oracle_put(to, i, from->by_number[i]);
        }
    }
}

void crash_oracle_finish(struct crash_oracle *oracle)
{
    for (size_t i = 0; i < oracle->capacity; i++) {
        free(oracle->by_number[i]);
    }
    free(oracle->by_number);
    *oracle = (struct crash_oracle){0};
}

struct compare {
    const struct crash_content *content;
    uint64_t next; /* pages below it have been seen */
    char *why;
    size_t why_size;
};

/** Pages [compare->next, end) were not visited, so they must be holes. */
static int expect_holes(struct compare *compare, uint64_t end)
{
    for (; compare->next < end; compare->next++) {
        if (compare->content->version[compare->next] != 0) {
            snprintf(compare->why, compare->why_size,
                     "page %llu is a hole, but should have content",
                     (unsigned long long)compare->next);
            return -1;
        }
    }
    return 0;
}

static int compare_page(void *context, uint64_t page, const void *data)
{
    struct compare *compare = context;
    if (page < compare->next || page >= CRASH_PAGES) {
        snprintf(compare->why, compare->why_size, "page %llu visited out of order or range",
                 (unsigned long long)page);
        return -1;
    }
    if (expect_holes(compare, page) < 0) {
        return -1;
    }
    if (!crash_page_is(compare->content->version[page], data)) {
        snprintf(compare->why, compare->why_size, "page %llu has wrong content",
                 (unsigned long long)page);
        return -1;
    }
    compare->next = page + 1;
    return 0;
}

int crash_content_check(struct snap_store *store, uint64_t number,
                        const struct crash_content *content, char *why, size_t why_size)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct compare compare = {.content = content, .why = why, .why_size = why_size};
    why[0] = 0;
    int rc = snap_store_for_each_page(store, number, compare_page, &compare, &diag);
    if (rc == 0) {
        rc = expect_holes(&compare, CRASH_PAGES);
    } else if (why[0] == 0) {
        snprintf(why, why_size, "reading generation %llu: %s: %s", (unsigned long long)number,
                 phantom_err_name(rc), diag.text);
    }
    return rc == 0 ? 0 : -1;
}

/* ---- session --------------------------------------------------------------------------------- */

static int failed(struct crash_session *session, const char *what, int rc,
                  const struct phantom_diag *diag)
{
    snprintf(session->why, sizeof(session->why), "%s: %s: %s", what, phantom_err_name(rc),
             diag != NULL ? diag->text : "");
    return rc;
}

static void mark(struct crash_session *session, enum io_mark kind, uint64_t value)
{
    if (session->record != NULL) {
        io_record_mark(session->record, kind, value);
    }
}

int crash_session_create(struct crash_session *session, uint64_t retain_bytes, struct ph_rng *rng)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store_params params = {.heap_base = UINT64_C(0x200000000000),
                                       .heap_size = (uint64_t)CRASH_PAGES * SNAP_PAGE_SIZE,
                                       .retain_bytes = retain_bytes,
                                       .segment_bytes = STORE_SEGMENT_BYTES_LEAST,
                                       .ring_slots = STORE_RING_SLOTS_LEAST};
    for (size_t i = 0; i < sizeof(params.uuid); i++) {
        params.uuid[i] = (uint8_t)ph_rng_next(rng);
    }
    params.compression = crash_compress ? SNAP_COMPRESSION_LZ4 : SNAP_COMPRESSION_NONE;
    if (crash_key != NULL) {
        params.key = *crash_key;
    }
    int rc = snap_store_create(session->io, &params, &diag);
    if (rc < 0) {
        return failed(session, "create", rc, &diag);
    }
    mark(session, IO_MARK_CREATED, 0);
    return 0;
}

/** As an idle host does: accounting in pieces. How many and how large differs with what comes next,
 * so that it ends before the first commit, between two, in the midst of one, or never. */
static int account_some(struct crash_session *session, struct phantom_diag *diag)
{
    uint64_t mix = (session->store->next_generation + 1) * UINT64_C(0x9E3779B97F4A7C15) >> 32;
    int rc = 0;
    for (uint64_t i = mix % 4; i > 0 && rc >= 0; i--) {
        rc = snap_store_account(session->store, 1 + (mix >> 8) % 3, diag);
    }
    return rc < 0 ? rc : 0;
}

int crash_session_open(struct crash_session *session)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    session->store = NULL;
    session->recovery = (struct snap_recovery){0};
    int rc = snap_store_open_keyed(session->io, crash_key, 0, &session->store, &session->recovery,
                                   &diag);
    if (rc < 0) {
        session->store = NULL;
        return failed(session, "open", rc, &diag);
    }
    if (session->chain_runs != 0) { /* so that a small world has checkpoints as well */
        session->store->map.runs_most = session->chain_runs;
        session->store->map.entries_most = session->chain_entries;
    }
    if (session->budget_bytes != 0) {
        struct snap_retention policy = {.budget_bytes = session->budget_bytes};
        PH_CHECK(snap_store_set_retention(session->store, &policy) == 0);
    }
    rc = account_some(session, &diag);
    if (rc < 0) {
        crash_session_close(session);
        return failed(session, "account", rc, &diag);
    }
    mark(session, IO_MARK_OPENED, session->recovery.opened);
    return 0;
}

void crash_session_close(struct crash_session *session)
{
    snap_store_close(session->store);
    session->store = NULL;
}

void crash_session_load(struct crash_session *session, const struct crash_content *content)
{
    if (content != NULL) {
        session->now = *content;
        memset(session->now.staged, 0, sizeof(session->now.staged));
    } else {
        session->now = (struct crash_content){.heap_pages = FIRST_HEAP_PAGES};
    }
}

void crash_session_set(struct crash_session *session, uint64_t page, uint64_t version)
{
    session->now.version[page] = version;
    session->now.staged[page] = true;
}

static uint64_t dirty_count(const struct crash_session *session)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < CRASH_PAGES; i++) {
        count += session->now.staged[i];
    }
    return count;
}

/** A staging slot for a page, writing out when the area is full. */
static int stage_slot(struct snap_txn *txn, uint64_t page, void **slot, struct phantom_diag *diag)
{
    *slot = snap_txn_stage(txn, page);
    if (*slot != NULL) {
        return 0;
    }
    int rc = snap_txn_write(txn, diag);
    if (rc < 0) {
        return rc;
    }
    *slot = snap_txn_stage(txn, page);
    return *slot != NULL ? 0 : ph_fail(diag, -ENOMEM, "no staging slot after a write");
}

/**
 * Stage one page. Some pages are staged with other content first, and of those some are written out
 * in between: only the last version may count.
 */
static int stage_one(const struct crash_session *session, struct snap_txn *txn, uint64_t page,
                     struct phantom_diag *diag)
{
    uint64_t version = session->now.version[page];
    uint64_t mix = ((version ^ page) * UINT64_C(0x9E3779B97F4A7C15)) >> 58;
    void *slot = NULL;
    int rc = 0;
    if (mix < 8) {
        rc = stage_slot(txn, page, &slot, diag);
        if (rc == 0) {
            crash_page_fill(~version, slot);
        }
        if (rc == 0 && mix < 2) {
            rc = snap_txn_write(txn, diag);
        }
    }
    if (rc == 0 && version == 0) {
        return snap_txn_hole(txn, page);
    }
    rc = rc < 0 ? rc : stage_slot(txn, page, &slot, diag);
    if (rc == 0) {
        crash_page_fill(version, slot);
    }
    return rc;
}

/** A transaction with everything dirty staged. On failure it is gone. */
static int begin_and_stage(struct crash_session *session, struct snap_txn **out)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    uint32_t staging =
        session->staging_pages != 0 ? session->staging_pages : SNAP_SMALL_COMMIT_PAGES;
    int rc = snap_txn_begin(session->store, staging, out, &diag);
    if (rc < 0) {
        return failed(session, "begin", rc, &diag);
    }
    /* Twice: see stage_one(). */
    rc = snap_txn_reserve(*out, 2 * dirty_count(session) + session->extra_reserve, &diag);
    for (uint64_t page = 0; page < CRASH_PAGES && rc >= 0; page++) {
        if (session->now.staged[page]) {
            rc = stage_one(session, *out, page, &diag);
        }
    }
    if (rc < 0) {
        snap_txn_abort(*out);
        return failed(session, "reserve and stage", rc, &diag);
    }
    session->extra_reserve = 0;
    return 0;
}

int crash_session_commit(struct crash_session *session, uint64_t *number)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    /* The number is fixed before the first byte goes out; the oracle must know it by then. */
    uint64_t predicted = session->store->next_generation;
    if (session->oracle != NULL) {
        crash_oracle_put(session->oracle, predicted, &session->now);
    }
    mark(session, IO_MARK_ATTEMPT, predicted);
    struct snap_txn *txn = NULL;
    int rc = begin_and_stage(session, &txn);
    if (rc < 0) {
        return rc;
    }
    rc = predicted % 3 == 0 ? account_some(session, &diag) : 0;
    if (rc < 0) {
        snap_txn_abort(txn);
        return failed(session, "account", rc, &diag);
    }
    struct snap_commit commit = {.heap_pages = session->now.heap_pages,
                                 .time_ns = (int64_t)(predicted % 1000000000) * 1000000000,
                                 .version = {.heap_layout = 1, .native_classes = 1}};
    struct snap_generation generation = {0};
    rc = snap_txn_commit(txn, &commit, &generation, &diag);
    if (rc < 0) {
        return failed(session, "commit", rc, &diag);
    }
    if (generation.number != predicted) {
        snprintf(session->why, sizeof(session->why), "generation %llu committed, %llu expected",
                 (unsigned long long)generation.number, (unsigned long long)predicted);
        return -1;
    }
    mark(session, IO_MARK_ACK, predicted);
    memset(session->now.staged, 0, sizeof(session->now.staged));
    *number = predicted;
    session->commits++;
    session->early_commits += !session->store->accounted;
    rc = predicted % 3 == 1 ? account_some(session, &diag) : 0;
    return rc == PHANTOM_ECORRUPT ? failed(session, "account", rc, &diag) : 0; /* else: later */
}

/** Lose power: nothing that close() writes reaches the disk. */
static void lose_power(struct crash_session *session, struct io_scratch *disk)
{
    struct io_scratch_mark mark_before = io_scratch_mark(disk);
    crash_session_close(session);
    io_scratch_undo(disk, mark_before);
}

int crash_session_torn_commit(struct crash_session *session, struct io_scratch *disk,
                              struct ph_rng *rng, uint64_t *number)
{
    struct crash_content *before = malloc(sizeof(*before));
    PH_CHECK(before != NULL);
    *before = session->now;
    crash_session_set(session, ph_rng_below(rng, session->now.heap_pages), ph_rng_next(rng) | 1);
    int rc = crash_session_commit(session, number);
    if (rc >= 0) {
        lose_power(session, disk);
        uint64_t size = 0;
        const struct store_superblock *s =
            (const struct store_superblock *)io_scratch_bytes(disk, &size);
        static const uint8_t zeros[STORE_SECTOR_SIZE];
        uint64_t record = (s->ring_start + *number % s->ring_slots) * STORE_BLOCK_SIZE;
        io_scratch_poke(disk, record + ph_rng_below(rng, STORE_SECTORS) * STORE_SECTOR_SIZE, zeros,
                        sizeof(zeros));
    }
    session->now = *before;
    free(before);
    return rc;
}

int crash_session_abort(struct crash_session *session)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_txn *txn = NULL;
    int rc = begin_and_stage(session, &txn);
    if (rc < 0) {
        return rc;
    }
    rc = snap_txn_write(txn, &diag);
    snap_txn_abort(txn);
    return rc < 0 ? failed(session, "write", rc, &diag) : 0;
}

/* ---- operations -------------------------------------------------------------------------------
 */

const char *crash_op_name(enum crash_op op)
{
    static const char *const names[CRASH_OP_COUNT] = {
        "write-few", "write-some", "write-many", "rewrite", "holes", "commit",
        "reopen",    "grow",       "abort",      "trim",    "tag",   "rollback"};
    return names[op];
}

static uint64_t random_page(const struct crash_session *session, struct ph_rng *rng)
{
    return ph_rng_below(rng, session->now.heap_pages);
}

static void write_pages(struct crash_session *session, uint64_t count, struct ph_rng *rng)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = random_page(session, rng);
        /* Now and then the bytes of another page: equal content at two places. */
        uint64_t version = ph_rng_below(rng, 16) == 0
                               ? session->now.version[random_page(session, rng)]
                               : ph_rng_next(rng) | 1;
        crash_session_set(session, page, version);
    }
}

/** Dozens of pages, or just as many as a small commit may have. */
static void write_some(struct crash_session *session, struct ph_rng *rng)
{
    if (ph_rng_below(rng, 4) != 0) {
        write_pages(session, 8 + ph_rng_below(rng, 50), rng);
        return;
    }
    for (unsigned i = 0; i < SNAP_SMALL_COMMIT_PAGES; i++) {
        crash_session_set(session, i, ph_rng_next(rng) | 1);
    }
    if (session->now.heap_pages < SNAP_SMALL_COMMIT_PAGES) {
        session->now.heap_pages = SNAP_SMALL_COMMIT_PAGES;
    }
}

static void write_many(struct crash_session *session, struct ph_rng *rng)
{
    uint64_t count = SNAP_SMALL_COMMIT_PAGES + 1 + ph_rng_below(rng, 40);
    if (session->now.heap_pages < count + 20) {
        session->now.heap_pages = count + 20;
    }
    uint64_t first = ph_rng_below(rng, session->now.heap_pages - count + 1);
    for (uint64_t i = 0; i < count; i++) {
        crash_session_set(session, first + i, ph_rng_next(rng) | 1);
    }
}

static void rewrite_pages(struct crash_session *session, struct ph_rng *rng)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t page = random_page(session, rng);
        crash_session_set(session, page, session->now.version[page]);
    }
}

static void make_holes(struct crash_session *session, struct ph_rng *rng)
{
    for (unsigned i = 0; i < 4; i++) {
        crash_session_set(session, random_page(session, rng), 0);
    }
}

static int reopen(struct crash_session *session)
{
    uint64_t expected = session->store->next_generation;
    uint64_t current = snap_store_current(session->store)->number;
    crash_session_close(session);
    int rc = crash_session_open(session);
    if (rc < 0) {
        return rc;
    }
    if (session->recovery.opened != current || session->recovery.next_generation != expected ||
        session->recovery.incomplete != 0) {
        snprintf(session->why, sizeof(session->why),
                 "clean reopen: opened %llu of %llu, next %llu of %llu, incomplete %llu",
                 (unsigned long long)session->recovery.opened, (unsigned long long)current,
                 (unsigned long long)session->recovery.next_generation,
                 (unsigned long long)expected, (unsigned long long)session->recovery.incomplete);
        return -1;
    }
    return 0;
}

static void grow(struct crash_session *session, struct ph_rng *rng)
{
    session->now.heap_pages += ph_rng_below(rng, 3) == 0 ? 200 : 16;
    if (session->now.heap_pages > CRASH_PAGES) {
        session->now.heap_pages = CRASH_PAGES;
    }
    session->extra_reserve = 1500;
    crash_session_set(session, session->now.heap_pages - 1, ph_rng_next(rng) | 1);
}

static int trim(struct crash_session *session)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    uint64_t current = snap_store_current(session->store)->number;
    uint64_t predicted = session->store->next_generation;
    const struct crash_content *committed = crash_oracle_get(session->oracle, current);
    if (committed != NULL) {
        struct crash_content *copy = malloc(sizeof(*copy)); /* put() may move what get() gave */
        PH_CHECK(copy != NULL);
        *copy = *committed;
        memset(copy->staged, 0, sizeof(copy->staged));
        crash_oracle_put(session->oracle, predicted, copy);
        free(copy);
        mark(session, IO_MARK_ATTEMPT, predicted);
    }
    int rc = snap_store_trim(session->store, &diag);
    if (rc < 0) {
        return failed(session, "trim", rc, &diag);
    }
    if (snap_store_current(session->store)->number != current) {
        mark(session, IO_MARK_ACK, predicted);
    }
    return 0;
}

/**
 * The next number will be committed with `content`, or nothing happens. The oracle hears of it
 * before the first byte goes out.
 */
static uint64_t announce(struct crash_session *session, const struct crash_content *content)
{
    uint64_t predicted = session->store->next_generation;
    uint64_t current = snap_store_current(session->store)->number;
    struct crash_content *copy = malloc(sizeof(*copy)); /* put() may move what get() gave */
    PH_CHECK(copy != NULL);
    *copy = *content;
    const struct crash_content *now =
        session->oracle != NULL ? crash_oracle_get(session->oracle, current) : NULL;
    for (unsigned page = 0; page < CRASH_PAGES; page++) {
        copy->staged[page] = now == NULL || now->version[page] != copy->version[page];
    }
    if (session->oracle != NULL) {
        crash_oracle_put(session->oracle, predicted, copy);
    }
    free(copy);
    mark(session, IO_MARK_ATTEMPT, predicted);
    return predicted;
}

/** A retained generation by chance; 0 when there is none. */
static uint64_t some_generation(const struct crash_session *session, struct ph_rng *rng)
{
    struct snap_generation list[STORE_RING_SLOTS];
    size_t count = snap_store_list(session->store, list, STORE_RING_SLOTS);
    count = count < STORE_RING_SLOTS ? count : STORE_RING_SLOTS;
    return count != 0 ? list[ph_rng_below(rng, count)].number : 0;
}

static int tag(struct crash_session *session, struct ph_rng *rng)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_tag tags[4];
    size_t count = snap_store_tags(session->store, tags, 4);
    uint64_t generation = some_generation(session, rng);
    const struct crash_content *content =
        crash_oracle_get(session->oracle, snap_store_current(session->store)->number);
    bool take_away = count > 0 && (count >= 3 || ph_rng_below(rng, 3) == 0);
    if (generation == 0 || content == NULL) {
        return 0;
    }
    char name[32];
    snprintf(name, sizeof(name), "mark-%llu", (unsigned long long)ph_rng_next(rng));
    uint64_t predicted = announce(session, content);
    int rc = take_away ? snap_store_untag(session->store, tags[0].name, &diag)
                       : snap_store_tag(session->store, generation, name, &diag);
    if (rc < 0) {
        return failed(session, take_away ? "untag" : "tag", rc, &diag);
    }
    mark(session, IO_MARK_ACK, predicted);
    return 0;
}

static int roll_back(struct crash_session *session, struct ph_rng *rng)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    uint64_t generation = some_generation(session, rng);
    const struct crash_content *found =
        session->oracle != NULL ? crash_oracle_get(session->oracle, generation) : NULL;
    if (generation == 0 || found == NULL) {
        return 0;
    }
    struct crash_content *content = malloc(sizeof(*content));
    PH_CHECK(content != NULL);
    *content = *found;
    uint64_t predicted = announce(session, content);
    struct snap_generation made = {0};
    int rc = snap_store_rollback(session->store, generation, &made, &diag);
    if (rc >= 0 && made.number == predicted) {
        mark(session, IO_MARK_ACK, predicted);
        crash_session_load(session, content); /* a host opens again and finds this */
    } else if (rc >= 0) {
        snprintf(session->why, sizeof(session->why), "rollback made %llu, not %llu",
                 (unsigned long long)made.number, (unsigned long long)predicted);
        rc = -1;
    } else {
        (void)failed(session, "rollback", rc, &diag);
    }
    free(content);
    return rc;
}

int crash_op_run(struct crash_session *session, enum crash_op op, struct ph_rng *rng)
{
    uint64_t number = 0;
    switch (op) {
    case CRASH_OP_WRITE_FEW: write_pages(session, 1 + ph_rng_below(rng, 4), rng); return 0;
    case CRASH_OP_WRITE_SOME: write_some(session, rng); return 0;
    case CRASH_OP_WRITE_MANY: write_many(session, rng); return 0;
    case CRASH_OP_REWRITE: rewrite_pages(session, rng); return 0;
    case CRASH_OP_HOLES: make_holes(session, rng); return 0;
    case CRASH_OP_COMMIT: return crash_session_commit(session, &number);
    case CRASH_OP_REOPEN: return reopen(session);
    case CRASH_OP_GROW: grow(session, rng); return 0;
    case CRASH_OP_ABORT: return crash_session_abort(session);
    case CRASH_OP_TRIM: return trim(session);
    case CRASH_OP_TAG: return tag(session, rng);
    case CRASH_OP_ROLLBACK: return roll_back(session, rng);
    case CRASH_OP_COUNT: break;
    }
    return -1;
}
