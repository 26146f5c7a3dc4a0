/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_workload.c - see crash_workload.h. A workload runs once on a live disk under the recording
 * wrapper; the explorer then works on a disk of its own.
 */
#include "crash_workload.h"

#include "crash_check.h"
#include "io_faulty.h"
#include "ph_check.h"
#include "store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AGED_COMMITS = 3 * 16, /* three times around the smallest ring */
    AGED_IN_RING = 8,
    AGED_RETAIN_BYTES = 64 << 10,
    LARGE_BUDGET = 64 << 20,
    RANDOM_OPS_MOST = 12
};

/** The disk below a workload: scratch, shuffled completions, recording. */
struct live {
    struct io_scratch *disk;
    struct snap_io *faulty, *record;
};

static bool live_init(struct live *live, uint64_t capacity, enum io_order order)
{
    *live = (struct live){.disk = io_scratch_create(capacity)};
    live->faulty = live->disk != NULL ? io_faulty_create(io_scratch_io(live->disk)) : NULL;
    live->record = live->faulty != NULL ? io_record_create(live->faulty) : NULL;
    if (live->record == NULL) {
        return false;
    }
    io_faulty_set_order(live->faulty, order);
    return true;
}

static void live_finish(struct live *live)
{
    io_record_destroy(live->record);
    io_faulty_destroy(live->faulty);
    io_scratch_destroy(live->disk);
}

/* ---- aging ------------------------------------------------------------------------------------
 */

/** One commit of a random kind; now and then a clean reopen, or a torn commit and its recovery. */
static int age_once(struct crash_session *session, struct io_scratch *disk, struct ph_rng *rng)
{
    uint64_t kind = ph_rng_below(rng, 16), number = 0;
    int rc = 0;
    if (kind == 0) {
        rc = crash_op_run(session, CRASH_OP_HOLES, rng);
    } else if (kind == 1) {
        rc = crash_op_run(session, CRASH_OP_REOPEN, rng);
    } else if (kind == 2) {
        rc = crash_session_torn_commit(session, disk, rng, &number);
        rc = rc < 0 ? rc : crash_session_open(session);
    } else {
        rc = crash_op_run(session, CRASH_OP_WRITE_FEW, rng);
    }
    return rc < 0 ? rc : crash_op_run(session, CRASH_OP_COMMIT, rng);
}

static int age(struct crash_session *session, struct io_scratch *disk, struct ph_rng *rng)
{
    crash_session_load(session, NULL);
    for (unsigned i = 0; i < AGED_COMMITS; i++) {
        int rc = age_once(session, disk, rng);
        if (rc < 0) {
            return rc;
        }
    }
    /* Room in the ring: else the first commit after an opening has to wait for accounting. */
    while (session->store->generation_count - store_ring_first(session->store) > AGED_IN_RING) {
        int rc = crash_op_run(session, CRASH_OP_WRITE_FEW, rng);
        rc = rc < 0 ? rc : crash_op_run(session, CRASH_OP_COMMIT, rng);
        if (rc < 0) {
            return rc;
        }
    }
    size_t retained = snap_store_list(session->store, NULL, 0);
    if (retained >= AGED_COMMITS) {
        snprintf(session->why, sizeof(session->why), "not aged: all %u generations are retained",
                 AGED_COMMITS);
        return -1;
    }
    return 0;
}

static void take_image(struct crash_aged *aged, enum crash_aged_state state,
                       const struct io_scratch *disk)
{
    const uint8_t *bytes = io_scratch_bytes(disk, &aged->size[state]);
    aged->image[state] = malloc(aged->size[state]);
    PH_CHECK(aged->image[state] != NULL);
    memcpy(aged->image[state], bytes, aged->size[state]);
}

/** From the aged store, open, its images in the three states; closed afterwards. */
static int take_images(struct crash_aged *aged, struct crash_session *session,
                       struct io_scratch *disk, struct ph_rng *rng)
{
    aged->current = snap_store_current(session->store)->number;
    take_image(aged, CRASH_AGED_UNSEALED, disk);
    crash_session_close(session);
    take_image(aged, CRASH_AGED_CLOSED, disk);
    int rc = crash_session_open(session);
    rc = rc < 0 ? rc : crash_session_torn_commit(session, disk, rng, &aged->torn);
    if (rc >= 0) {
        take_image(aged, CRASH_AGED_TORN, disk);
    }
    return rc;
}

bool crash_age(struct crash_aged *aged, uint64_t capacity, uint64_t seed, char *why,
               size_t why_size)
{
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    *aged = (struct crash_aged){0};
    struct io_scratch *disk = io_scratch_create(capacity);
    struct crash_session *session = calloc(1, sizeof(*session));
    PH_CHECK(disk != NULL && session != NULL);
    io_scratch_seed(disk, ph_rng_next(&rng));
    session->io = io_scratch_io(disk);
    session->oracle = &aged->oracle;
    bool good = crash_session_create(session, AGED_RETAIN_BYTES, &rng) >= 0 &&
                crash_session_open(session) >= 0 && age(session, disk, &rng) >= 0 &&
                take_images(aged, session, disk, &rng) >= 0;
    if (!good) {
        snprintf(why, why_size, "aging a store: %s", session->why);
    }
    crash_session_close(session);
    free(session);
    io_scratch_destroy(disk);
    return good;
}

void crash_aged_finish(struct crash_aged *aged)
{
    for (unsigned i = 0; i < CRASH_AGED_STATES; i++) {
        free(aged->image[i]);
    }
    crash_oracle_finish(&aged->oracle);
    *aged = (struct crash_aged){0};
}

/* ---- scripts ----------------------------------------------------------------------------------
 */

struct script {
    bool aged;
    enum crash_op op[RANDOM_OPS_MOST];
    unsigned count;
};

/** Sequence number -> operations: numbers in base CRASH_OP_COUNT, shortest first. */
static void sequence(struct script *script, uint64_t number)
{
    uint64_t of_length = CRASH_OP_COUNT;
    script->count = 1;
    while (number >= of_length) {
        number -= of_length;
        of_length *= CRASH_OP_COUNT;
        script->count++;
    }
    for (unsigned i = 0; i < script->count; i++) {
        script->op[i] = (enum crash_op)(number % CRASH_OP_COUNT);
        number /= CRASH_OP_COUNT;
    }
}

static struct script script_of(uint64_t workload)
{
    struct script script = {.aged = (workload & 1) != 0};
    if (workload < CRASH_EXHAUSTIVE) {
        sequence(&script, workload / 2);
        return script;
    }
    struct ph_rng rng;
    ph_rng_init(&rng, workload);
    script.count = 4 + (unsigned)ph_rng_below(&rng, RANDOM_OPS_MOST - 3);
    for (unsigned i = 0; i < script.count; i++) {
        enum crash_op op = (enum crash_op)ph_rng_below(&rng, CRASH_OP_COUNT + 3);
        op = op >= CRASH_OP_COUNT ? CRASH_OP_COMMIT : op;
        if (op == CRASH_OP_WRITE_MANY && ph_rng_below(&rng, 4) != 0) { /* big: not so often */
            op = CRASH_OP_WRITE_FEW;
        }
        script.op[i] = op;
    }
    return script;
}

void crash_workload_describe(uint64_t workload, char *text, size_t size)
{
    struct script script = script_of(workload);
    size_t used = (size_t)snprintf(text, size, "%s:", script.aged ? "aged" : "new");
    for (unsigned i = 0; i < script.count && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, " %s", crash_op_name(script.op[i]));
    }
}

/* ---- running ----------------------------------------------------------------------------------
 */

/** A budget that drops generations soon, or later. */
static uint64_t retain_bytes(struct ph_rng *rng)
{
    return UINT64_C(65536) << ph_rng_below(rng, 8);
}

static int run_script(struct crash_session *session, const struct script *script,
                      const struct crash_aged *aged, struct ph_rng *rng)
{
    int rc = script->aged ? 0 : crash_session_create(session, retain_bytes(rng), rng);
    rc = rc < 0 ? rc : crash_session_open(session);
    if (rc < 0) {
        return rc;
    }
    crash_session_load(session,
                       script->aged ? crash_oracle_get(&aged->oracle, aged->current) : NULL);
    for (unsigned i = 0; i < script->count && rc >= 0; i++) {
        rc = crash_op_run(session, script->op[i], rng);
    }
    rc = rc < 0 ? rc : crash_op_run(session, CRASH_OP_COMMIT, rng);
    crash_session_close(session);
    return rc;
}

bool crash_workload_run(struct crash_explorer *explorer, const struct crash_aged *aged,
                        uint64_t workload, uint64_t seed, uint64_t capacity)
{
    struct script script = script_of(workload);
    struct ph_rng rng;
    ph_rng_init(&rng, seed * UINT64_C(0xA24BAED4963EE407) + workload);
    struct live live;
    struct crash_session *session = calloc(1, sizeof(*session));
    PH_CHECK(live_init(&live, capacity, (enum io_order)ph_rng_below(&rng, 3)) && session != NULL);
    enum crash_aged_state state = (enum crash_aged_state)ph_rng_below(&rng, CRASH_AGED_STATES);
    const uint8_t *image = script.aged ? aged->image[state] : NULL;
    uint64_t size = script.aged ? aged->size[state] : 0;
    PH_CHECK(io_scratch_assign(live.disk, image, size) == 0);
    io_scratch_seed(live.disk, ph_rng_next(&rng));
    crash_oracle_finish(&explorer->oracle);
    if (script.aged) {
        crash_oracle_copy(&explorer->oracle, &aged->oracle);
    }
    session->io = session->record = live.record;
    session->oracle = &explorer->oracle;
    session->staging_pages = SNAP_SMALL_COMMIT_PAGES << ph_rng_below(&rng, 2);
    if (ph_rng_below(&rng, 4) != 0) { /* chains that end soon, in a few runs or a few entries */
        session->chain_runs = 1 + (uint32_t)ph_rng_below(&rng, 4);
        session->chain_entries = 4U << ph_rng_below(&rng, 6);
    }
    if (ph_rng_below(&rng, 2) == 0) { /* nothing to drop: commits before accounting are possible */
        session->budget_bytes = LARGE_BUDGET;
    }
    int rc = run_script(session, &script, aged, &rng);
    crash_session_close(session);
    explorer->counts.commits += session->commits;
    explorer->counts.early += session->early_commits;
    crash_explorer_begin(explorer, workload, seed, image, size);
    bool good = true;
    if (rc < 0) {
        good =
            crash_violation(explorer, "the workload itself, without any crash: %s", session->why);
    } else {
        struct crash_expect expect = {.unborn = !script.aged};
        if (script.aged) {
            expect.acked = aged->current;
            /* A torn tombstone over a torn record may make it whole, until recovery has returned.
             */
            expect.attempt = state == CRASH_AGED_TORN ? aged->torn : 0;
        }
        good = crash_explore_log(explorer, io_record_log(live.record), &expect, CRASH_FULL);
    }
    free(session);
    live_finish(&live);
    return good;
}
