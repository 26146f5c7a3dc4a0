/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_trap.c - copy on write by catching first stores in the storing thread: `sigbus` and
 * `mprotect`. The memory catches (snap_memory_ops.guard), cow_pages.c keeps the before-images.
 *
 * True while mutators run: a page that is writable is open in the current epoch. (The converse does
 * not hold: an open page that is protected costs one more fault.) So the cut, after it has frozen
 * the changed set, protects all of it before the world resumes.
 *
 * Everything that holds for stores of the program holds for nobody else: the kernel's own stores
 * are refused by the kernel (hal_posix.h, "the rule of the bounce buffer").
 */
#include "cow_snapshot.h"
#include "ph_memory.h"

#include <errno.h>
#include <string.h>

/* Protected pages that a run may cross, if that makes one call of two. */
enum { RUN_GAP = 16 };

static void before_store(void *context, uint64_t first, uint64_t count)
{
    struct cow_snapshot *cow = context;
    for (uint64_t page = first; page < first + count; page++) {
        cow_pages_before_store(&cow->pages, page);
    }
}

static void trap_close(void *state)
{
    struct cow_snapshot *cow = state;
    if (cow == NULL) {
        return;
    }
    struct snap_memory *memory = cow->engine->memory;
    (void)memory->ops->guard(memory, NULL); /* a forked child does not have the range at all */
    cow_snapshot_finish(cow);
    ph_free(cow);
}

/** What came from the store is clean and must be caught; the rest counts as changed anyway. */
static int protect_restored(struct snap_engine *engine)
{
    const struct page_set *restored = &engine->restored;
    uint64_t end = restored->page_count;
    uint64_t page = page_set_next(restored, 0, end);
    int rc = 0;
    while (rc == 0 && page != PAGE_SET_END) {
        uint64_t first = page;
        uint64_t last;
        do {
            last = page;
            page = page_set_next(restored, page + 1, end);
        } while (page != PAGE_SET_END && page == last + 1);
        rc = engine->memory->ops->protect_all(engine->memory, first, last - first + 1);
    }
    return rc;
}

static int trap_open(struct snap_engine *engine, void **state, struct phantom_diag *diag)
{
    struct snap_memory *memory = engine->memory;
    struct cow_snapshot *cow = ph_zalloc(1, sizeof(*cow));
    if (cow == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the snapshot engine");
    }
    cow->stores_are_noticed = memory->ops->trap_pages <= 1;
    int rc = cow_snapshot_init(cow, engine, diag);
    if (rc != 0) {
        cow_snapshot_finish(cow);
        ph_free(cow);
        return rc;
    }
    const struct snap_page_guard guard = {.context = cow, .before_store = before_store};
    rc = memory->ops->guard(memory, &guard);
    if (rc == 0) {
        rc = protect_restored(engine);
    }
    if (rc != 0) {
        trap_close(cow);
        return ph_fail(diag, rc, "catching stores into the heap: %s", phantom_strerror(rc));
    }
    *state = cow;
    return 0;
}

/** World stopped: the frozen set becomes protected, in few calls. */
static int protect_frozen(struct cow_snapshot *cow)
{
    struct snap_memory *memory = cow->engine->memory;
    const struct atomic_page_set *frozen = cow_pages_frozen(&cow->pages);
    /* Blocks: one call for the span makes one mapping of it again; that is cheaper by far. */
    uint64_t gap = memory->ops->trap_pages > 1 ? UINT64_MAX : RUN_GAP;
    uint64_t page = atomic_page_set_next(frozen, 0);
    int rc = 0;
    while (rc == 0 && page != UINT64_MAX) {
        uint64_t first = page;
        uint64_t last;
        do {
            last = page;
            page = atomic_page_set_next(frozen, page + 1);
        } while (page != UINT64_MAX && page - last <= gap);
        rc = memory->ops->protect_all(memory, first, last - first + 1);
    }
    return rc;
}

static int trap_cut(void *state, struct snap_txn *txn, struct snap_report *report,
                    struct phantom_diag *diag)
{
    int rc = cow_snapshot_cut(state, txn, report, diag);
    if (rc == 0) {
        rc = protect_frozen(state);
        if (rc != 0) {
            /* Some of the set is writable. It becomes the changed set again, whatever is stored. */
            return ph_fail(diag, rc, "protecting changed pages: %s", phantom_strerror(rc));
        }
    }
    return rc;
}

static const char *why_not_caught(const struct snap_conditions *conditions, const char *name)
{
    bool caught = conditions->trap != NULL && conditions->waits &&
                  (strcmp(conditions->trap, name) == 0 || strcmp(conditions->trap, "any") == 0);
    return caught ? NULL
                  : "its memory does not catch stores; it has to be asked for, as it installs a "
                    "signal handler";
}

static const char *sigbus_why_not(const struct snap_conditions *conditions)
{
    return why_not_caught(conditions, "sigbus");
}

static const char *mprotect_why_not(const struct snap_conditions *conditions)
{
    return why_not_caught(conditions, "mprotect");
}

/* All that this file does, whichever way the memory catches. */
#define TRAP_PHASES                                                                                \
    .open = trap_open, .close = trap_close, .estimate = cow_snapshot_estimate,                     \
    .precopy = cow_snapshot_precopy, .cut = trap_cut, .capture = cow_snapshot_nothing,             \
    .drain = cow_snapshot_drain, .retire = cow_snapshot_retire,                                    \
    .before_discard = cow_snapshot_before_discard, .before_store = cow_snapshot_before_store

const struct snap_strategy snap_strategy_sigbus = {
    .name = "sigbus",
    .why_not = sigbus_why_not,
    .needs = "Linux 5.11, a handler of SIGBUS",
    TRAP_PHASES,
};

const struct snap_strategy snap_strategy_mprotect = {
    .name = "mprotect",
    .why_not = mprotect_why_not,
    .needs = "a handler of SIGSEGV; any kernel",
    TRAP_PHASES,
};
