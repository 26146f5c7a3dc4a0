/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_errors.c - what a store does when the disk or the memory fails: for every operation number
 * N, until a run comes to its end without reaching N, that operation fails, once or from then on.
 *
 * Demanded of every run: no crash, no leak; a commit that failed in a write or a flush poisons the
 * handle and nothing is acknowledged on it any more (P7); a poisoned handle writes nothing, not
 * even at close; and whatever of the unflushed writes a power cut then takes, the file opens and
 * P1-P6 hold. A flush that failed makes nothing durable, also if a later one succeeds, as Linux
 * does it.
 */
#include "crash_check.h"
#include "crash_mutants.h"
#include "crash_workload.h"

#include "io_faulty.h"
#include "ph_check.h"
#include "ph_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull; /* for %llu */

enum { CAPACITY = 32 << 20, POSITIONS_MOST = 100000, FIRST_PART = 8 };

struct bench { /* what one run needs, made once */
    struct crash_explorer explorer;
    struct crash_aged aged;
    struct io_scratch *disk;
    struct snap_io *faulty, *record;
    struct crash_session *session;
    enum crash_aged_state state; /* of the store that a run begins with */
    uint64_t seed;
    uint64_t runs, failures, poisoned, refused;
};

static bool bench_init(struct bench *bench, uint64_t seed, char *why, size_t why_size)
{
    *bench = (struct bench){.seed = seed};
    bench->session = calloc(1, sizeof(*bench->session));
    bench->disk = io_scratch_create(CAPACITY);
    PH_CHECK(bench->session != NULL && bench->disk != NULL &&
             crash_explorer_init(&bench->explorer, CAPACITY));
    return crash_age(&bench->aged, CAPACITY, seed, why, why_size);
}

static void bench_finish(struct bench *bench)
{
    free(bench->session);
    io_scratch_destroy(bench->disk);
    crash_aged_finish(&bench->aged);
    crash_explorer_finish(&bench->explorer);
}

/** The script under fault: each kind of commit, a clean reopen, growth, a give-up. */
static const enum crash_op script[] = {
    CRASH_OP_WRITE_FEW,  CRASH_OP_COMMIT,    CRASH_OP_HOLES,     CRASH_OP_REWRITE,
    CRASH_OP_COMMIT,     CRASH_OP_REOPEN,    CRASH_OP_WRITE_FEW, CRASH_OP_ABORT,
    CRASH_OP_WRITE_MANY, CRASH_OP_COMMIT,    CRASH_OP_COMMIT,    CRASH_OP_GROW,
    CRASH_OP_COMMIT,     CRASH_OP_TAG,       CRASH_OP_ROLLBACK,  CRASH_OP_WRITE_FEW,
    CRASH_OP_COMMIT,     CRASH_OP_TAG,       CRASH_OP_TRIM,      CRASH_OP_WRITE_SOME,
    CRASH_OP_REOPEN,     CRASH_OP_WRITE_FEW, CRASH_OP_COMMIT};

static int ignore_page(void *context, uint64_t page, const void *data)
{
    (void)context, (void)page, (void)data;
    return 0;
}

/** List, read and verify what is there: the reading roads must survive every failure as well. */
static int read_back(struct crash_session *session)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_generation list[8];
    struct snap_verify_report report = {0};
    _Alignas(SNAP_PAGE_SIZE) uint8_t page[SNAP_PAGE_SIZE];
    size_t count = snap_store_list(session->store, list, 8);
    int rc = 0;
    for (size_t i = 0; i < count && i < 8 && i < 2 && rc >= 0; i++) {
        rc = snap_store_read_page(session->store, list[i].number, 3, page, &diag);
        rc = rc < 0 ? rc
                    : snap_store_for_each_page(session->store, list[i].number, ignore_page, NULL,
                                               &diag);
    }
    rc = rc < 0 ? rc : snap_store_verify(session->store, false, &report, NULL, NULL, &diag);
    rc = rc < 0 ? rc : snap_store_audit(session->store, &diag);
    if (rc < 0) {
        snprintf(session->why, sizeof(session->why), "reading back: %s: %s", phantom_err_name(rc),
                 diag.text);
    }
    return rc;
}

static int run_script(struct bench *bench, struct ph_rng *rng)
{
    struct crash_session *session = bench->session;
    int rc = crash_session_open(session);
    /* The whole of it once; what differs after an unclean end shows in the first part. */
    bool whole = bench->state == CRASH_AGED_CLOSED;
    size_t steps = whole ? sizeof(script) / sizeof(script[0]) : FIRST_PART;
    for (size_t i = 0; i < steps && rc >= 0; i++) {
        rc = crash_op_run(session, script[i], rng);
        if (rc >= 0 && i % 3 == 0) {
            rc = snap_store_seal(session->store);
        }
    }
    return rc < 0 || !whole ? rc : read_back(session);
}

/** Put the aged store on the disk and set up the wrappers. */
static void run_begin(struct bench *bench)
{
    PH_CHECK(io_scratch_assign(bench->disk, bench->aged.image[bench->state],
                               bench->aged.size[bench->state]) == 0);
    io_scratch_seed(bench->disk, bench->seed);
    bench->faulty = io_faulty_create(io_scratch_io(bench->disk));
    bench->record = bench->faulty != NULL ? io_record_create(bench->faulty) : NULL;
    PH_CHECK(bench->record != NULL);
    io_faulty_set_order(bench->faulty, (enum io_order)(bench->runs % 3));
    io_faulty_set_depth(bench->faulty, bench->runs % 4 == 3 ? 2 : 0);
    crash_oracle_finish(&bench->explorer.oracle);
    crash_oracle_copy(&bench->explorer.oracle, &bench->aged.oracle);
    struct crash_session *session = bench->session;
    *session = (struct crash_session){
        .io = bench->record, .record = bench->record, .oracle = &bench->explorer.oracle};
    crash_session_load(session, crash_oracle_get(&bench->aged.oracle, bench->aged.current));
    bench->runs++;
}

/** P7: two more tries on a poisoned handle, with a disk that is well again. */
static bool check_poisoned(struct bench *bench)
{
    struct crash_session *session = bench->session;
    uint64_t number = 0;
    for (unsigned i = 0; i < 2; i++) {
        int rc = crash_session_commit(session, &number);
        if (rc != PHANTOM_EPOISONED) {
            return crash_violation(&bench->explorer, "P7: commit on a poisoned handle says %s",
                                   phantom_err_name(rc));
        }
    }
    return true;
}

/** After a failure: is the handle in the state that it must be in? */
static bool check_failed_handle(struct bench *bench, int rc, bool durability_in_doubt)
{
    struct crash_session *session = bench->session;
    struct snap_store_usage usage = {0};
    bench->failures++;
    if (session->store == NULL) {
        return true; /* open failed, there is no handle */
    }
    snap_store_usage(session->store, &usage);
    bench->poisoned += usage.poisoned;
    bench->refused += !usage.poisoned;
    if (rc == PHANTOM_EPOISONED && !usage.poisoned) {
        return crash_violation(&bench->explorer, "P7: a poisoned handle does not say so");
    }
    if (durability_in_doubt && !usage.poisoned) {
        return crash_violation(&bench->explorer, "P7: a write or flush failed (%s), not poisoned",
                               session->why);
    }
    if (usage.poisoned) {
        return check_poisoned(bench);
    }
    uint64_t number = 0; /* refused: nothing happened, so it works now */
    if (crash_session_commit(session, &number) < 0) {
        return crash_violation(&bench->explorer, "a refused commit, tried again: %s", session->why);
    }
    return true;
}

static bool close_handle(struct bench *bench)
{
    struct crash_session *session = bench->session;
    struct snap_store_usage usage = {0};
    if (session->store != NULL) {
        snap_store_usage(session->store, &usage);
    }
    uint64_t before = io_scratch_writes(bench->disk);
    crash_session_close(session);
    if (usage.poisoned && io_scratch_writes(bench->disk) != before) {
        return crash_violation(&bench->explorer, "P7: a poisoned handle wrote at close");
    }
    return true;
}

/** Cut the power at the end of the log, check, and take the wrappers down. */
static bool run_end(struct bench *bench, bool good)
{
    struct crash_explorer *explorer = &bench->explorer;
    good = close_handle(bench) && good;
    crash_explorer_begin(explorer, bench->runs, bench->seed, bench->aged.image[bench->state],
                         bench->aged.size[bench->state]);
    if (good) {
        struct crash_expect expect = {.acked = bench->aged.current};
        if (bench->state == CRASH_AGED_TORN) { /* a torn tombstone may make it whole */
            expect.attempt = bench->aged.torn;
        }
        explorer->depth = 1; /* no recovery inside recovery here */
        good = crash_explore_log(explorer, io_record_log(bench->record), &expect, CRASH_LAST);
        explorer->depth = 0;
    }
    io_record_destroy(bench->record);
    io_faulty_destroy(bench->faulty);
    return good;
}

/* ---- the disk fails ---------------------------------------------------------------------------
 */

/** One run; `*reached` is false when the fault never struck. */
static bool run_with_fault(struct bench *bench, const struct io_fault *fault, bool *reached)
{
    static const struct io_fault none = {0};
    struct ph_rng rng;
    ph_rng_init(&rng, bench->seed);
    run_begin(bench);
    io_faulty_set(bench->faulty, fault);
    int64_t blocks = ph_memory_live_blocks();
    int rc = run_script(bench, &rng);
    *reached = io_faulty_fired(bench->faulty) > 0;
    io_faulty_set(bench->faulty, &none);
    bool good = true;
    if (rc < 0 && !*reached) {
        good = crash_violation(&bench->explorer, "without a fault: %s", bench->session->why);
    } else if (rc < 0) {
        bool in_doubt = (fault->ops & ~(unsigned)(IO_OP_WRITE | IO_OP_FLUSH)) == 0;
        good = check_failed_handle(bench, rc, in_doubt);
    }
    good = run_end(bench, good);
    if (good && ph_memory_live_blocks() != blocks) {
        good = crash_violation(&bench->explorer, "%lld blocks of memory leaked",
                               (long long)(ph_memory_live_blocks() - blocks));
    }
    return good;
}

static const struct {
    const char *name;
    struct io_fault fault;
} faults[] = {
    {"write EIO", {.ops = IO_OP_WRITE, .error = EIO}},
    {"write ENOSPC", {.ops = IO_OP_WRITE, .error = ENOSPC}},
    {"write EINTR", {.ops = IO_OP_WRITE, .error = EINTR}},
    {"write EAGAIN", {.ops = IO_OP_WRITE, .error = EAGAIN}},
    {"short write", {.ops = IO_OP_WRITE, .kind = IO_FAULT_SHORT, .error = EIO}},
    {"flush EIO", {.ops = IO_OP_FLUSH, .error = EIO}},
    {"flush ENOSPC", {.ops = IO_OP_FLUSH, .error = ENOSPC}},
    {"flush EINTR", {.ops = IO_OP_FLUSH, .error = EINTR}},
    {"submit EIO", {.ops = IO_OP_SUBMIT, .error = EIO}},
    {"submit EAGAIN", {.ops = IO_OP_SUBMIT, .error = EAGAIN}},
    {"allocate ENOSPC", {.ops = IO_OP_ALLOCATE, .error = ENOSPC}},
    {"allocate EIO", {.ops = IO_OP_ALLOCATE, .error = EIO}},
    {"read EIO", {.ops = IO_OP_READ, .error = EIO}},
    {"short read", {.ops = IO_OP_READ, .kind = IO_FAULT_SHORT, .error = EIO}},
    {"any EIO", {.ops = IO_OP_ANY, .error = EIO}},
};

/** One fault at every position, once and sticky. */
static bool every_position(struct bench *bench, size_t which, bool sticky, char *why,
                           size_t why_size)
{
    struct io_fault fault = faults[which].fault;
    fault.sticky = sticky;
    bool reached = true;
    for (fault.at = 1; reached && fault.at < POSITIONS_MOST; fault.at++) {
        if (!run_with_fault(bench, &fault, &reached)) {
            snprintf(why, why_size, "%s at %llu%s: %.900s", faults[which].name, (ull)fault.at,
                     sticky ? " and after" : "", bench->explorer.why);
            return false;
        }
    }
    return true;
}

static bool disk_fails(struct bench *bench, char *why, size_t why_size)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        /* A queue that stays full with nothing in flight would break the contract of snap_io. */
        bool endless = faults[i].fault.error == EAGAIN && faults[i].fault.ops == IO_OP_SUBMIT;
        if (!every_position(bench, i, false, why, why_size) ||
            (!endless && !every_position(bench, i, true, why, why_size))) {
            return false;
        }
    }
    return true;
}

/* ---- memory fails -----------------------------------------------------------------------------
 */

static bool memory_fails(struct bench *bench, bool sticky, char *why, size_t why_size)
{
    bool reached = true;
    for (int64_t at = 0; reached && at < POSITIONS_MOST; at++) {
        struct ph_rng rng;
        ph_rng_init(&rng, bench->seed);
        run_begin(bench);
        int64_t blocks = ph_memory_live_blocks();
        ph_memory_fail_after(at, sticky);
        int rc = run_script(bench, &rng);
        reached = ph_memory_has_failed();
        ph_memory_fail_after(-1, false);
        bool good = rc >= 0 || check_failed_handle(bench, rc, false);
        good = run_end(bench, good);
        if (good && ph_memory_live_blocks() != blocks) {
            good = crash_violation(&bench->explorer, "%lld blocks of memory leaked",
                                   (long long)(ph_memory_live_blocks() - blocks));
        }
        if (!good) {
            snprintf(why, why_size, "allocation %lld%s fails: %.900s", (long long)at,
                     sticky ? " and all after" : "", bench->explorer.why);
            return false;
        }
    }
    return true;
}

/* ---- the disk is full -------------------------------------------------------------------------
 */

/** Commit until refused; then read; then more room: commits go on. */
static bool disk_full(struct bench *bench, char *why, size_t why_size)
{
    struct ph_rng rng;
    ph_rng_init(&rng, bench->seed);
    run_begin(bench);
    io_scratch_set_limit(bench->disk, bench->aged.size[bench->state]);
    struct crash_session *session = bench->session;
    uint64_t number = 0;
    int rc = crash_session_open(session);
    for (unsigned i = 0; i < 100 && rc >= 0; i++) {
        rc = crash_op_run(session, CRASH_OP_WRITE_MANY, &rng);
        rc = rc < 0 ? rc : crash_session_commit(session, &number);
    }
    bool good =
        rc == PHANTOM_ENOSPACE || crash_violation(&bench->explorer, "a full disk says %s: %s",
                                                  phantom_err_name(rc), session->why);
    if (good) {
        uint64_t current = snap_store_current(session->store)->number;
        const struct crash_content *content = crash_oracle_get(&bench->explorer.oracle, current);
        char text[400];
        good = crash_content_check(session->store, current, content, text, sizeof(text)) == 0 ||
               crash_violation(&bench->explorer, "reading a full store: %s", text);
    }
    io_scratch_set_limit(bench->disk, CAPACITY);
    if (good && crash_session_commit(session, &number) < 0) {
        good = crash_violation(&bench->explorer, "with room again: %s", session->why);
    }
    good = run_end(bench, good);
    if (!good) {
        snprintf(why, why_size, "full disk: %.900s", bench->explorer.why);
    }
    return good;
}

bool crash_errors_detect_few(const struct crash_budget *budget, char *why, size_t why_size)
{
    static const char *const few[] = {"write EIO", "short write", "flush EIO"};
    struct bench bench;
    bool clean = bench_init(&bench, budget->seed, why, why_size);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (size_t k = 0; k < sizeof(few) / sizeof(few[0]) && clean; k++) {
            clean = strcmp(faults[i].name, few[k]) != 0 ||
                    every_position(&bench, i, false, why, why_size);
        }
    }
    if (clean) {
        snprintf(why, why_size, "runs=%llu failed=%llu poisoned=%llu", (ull)bench.runs,
                 (ull)bench.failures, (ull)bench.poisoned);
    }
    bench_finish(&bench);
    return clean;
}

bool crash_errors_detect(const struct crash_budget *budget, char *why, size_t why_size)
{
    struct bench bench;
    bool clean = bench_init(&bench, budget->seed, why, why_size);
    for (int state = 0; state < CRASH_AGED_STATES && clean; state++) {
        bench.state = (enum crash_aged_state)state;
        clean = disk_fails(&bench, why, why_size) && disk_full(&bench, why, why_size) &&
                memory_fails(&bench, false, why, why_size) &&
                memory_fails(&bench, true, why, why_size);
    }
    if (clean) {
        snprintf(why, why_size, "runs=%llu failed=%llu poisoned=%llu refused=%llu states=%llu",
                 (ull)bench.runs, (ull)bench.failures, (ull)bench.poisoned, (ull)bench.refused,
                 (ull)bench.explorer.counts.states);
    }
    bench_finish(&bench);
    return clean;
}
