/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot_store_model.c - random histories of a store against a model in plain memory.
 *
 * A world is a store of random shape: compressed or not, encrypted or not, with delta runs or
 * without, with much room or little. It goes through commits of every size, aborts, holes,
 * rollbacks, tags, changes of the budget, readers that hold generations, accounting in slices (also
 * in the middle of a transaction), trims, openings with and without a farewell, and, in some
 * worlds, allocations, reads and memory that fail. Now and then a copy of the file is opened by a
 * second writer, who commits before accounting is complete, and whose accounts must then balance.
 *
 * After each step every retained generation that is looked at has the content of its commit; what a
 * tag, a reader or being the parent holds is there; the sums hold and the walk agrees with the
 * accounts.
 *
 *     test_snapshot_store_model [long]       PH_SEED=n: the world n alone
 */
#include "snap_transfer.h"
#include "store_fixture.h"

#include <stdio.h>

enum { TAGS = 6, HELD = 4, STAGING = 256, WORLDS = 12 };

struct world {
    struct fixture *f;
    struct ph_rng rng;
    uint64_t limit;
    bool faults;
    unsigned inherited; /* entries of f->past that belong to another world */
    uint32_t tag;       /* of the next content */
    uint64_t current;   /* generation that must be shown */
    struct {
        bool used;
        char name[16];
        uint64_t generation;
    } names[TAGS];
    unsigned commits, early, refused, rollbacks, copies;
};

static const struct snap_key test_key = {"thirty-two bytes of a test's key", SNAP_KEY_SIZE};

static uint64_t below(struct world *w, uint64_t bound)
{
    return ph_rng_below(&w->rng, bound);
}

static bool chance(struct world *w, unsigned of)
{
    return ph_rng_below(&w->rng, of) == 0;
}

/* ---- outcomes -------------------------------------------------------------------------------- */

/* The memory is that of the current generation again. */
static void forget_changes(struct world *w)
{
    if (w->current != 0) {
        memcpy(w->f->now, fixture_tags(w->f, w->current), w->f->pages * sizeof *w->f->now);
    } else {
        memset(w->f->now, 0, w->f->pages * sizeof *w->f->now);
    }
}

static void disarm(struct world *w)
{
    struct trick_io *io = w->f->io;
    io->fail_write = io->fail_flush = io->fail_allocate = io->fail_read = 0;
    io->fail_submit = io->fail_reap = 0;
    ph_memory_fail_after(-1, false);
}

/* Something is about to fail, perhaps. */
static void arm(struct world *w)
{
    struct trick_io *io = w->f->io;
    io->error = -EIO;
    if (!w->faults || !chance(w, 4)) {
        return;
    }
    switch (below(w, 6)) {
    case 0: io->fail_read = io->reads + 1 + (long)below(w, 30); break;
    case 1:
        io->error = -ENOSPC;
        io->fail_allocate = io->allocations + 1 + (long)below(w, 2);
        break;
    case 2: io->fail_write = io->writes + 1 + (long)below(w, 6); break;
    case 3: io->fail_flush = io->flushes + 1 + (long)below(w, 2); break;
    default: ph_memory_fail_after((int64_t)below(w, 40), chance(w, 2)); break;
    }
}

/* May this go wrong in this way? What failed did nothing, or poisoned the handle. */
static void judge(struct world *w, const char *what, int error)
{
    bool bad = error == -EINVAL || error == PHANTOM_EINVALID || error == PHANTOM_ENOTFOUND ||
               error == PHANTOM_ECORRUPT;
    bool fault = error == -EIO || error == -ENOMEM || error == PHANTOM_EPOISONED;
    if (error == 0) {
        return;
    }
    w->refused++;
    if (bad || (fault && !w->faults)) {
        fail_msg("%s: %s: %s", what, phantom_err_name(error), w->f->diag.text);
    }
}

/* The store as it is shown after an opening: the current generation or, where the outcome of the
 * last commit is not known, that one. */
static void find_current(struct world *w, const uint32_t *unsure)
{
    const struct snap_generation *current = snap_store_current(w->f->store);
    if (unsure != NULL && current->number != w->current) {
        memcpy(w->f->now, unsure, w->f->pages * sizeof *unsure);
        fixture_remember(w->f, current->number);
        w->current = current->number;
    }
    assert_int_equal(current->number, w->current);
    forget_changes(w);
}

static void open_again(struct world *w, const uint32_t *unsure)
{
    disarm(w);
    fixture_open(w->f);
    find_current(w, unsure);
    if (chance(w, 3)) {
        w->f->store->map.runs_most = 1 + (unsigned)below(w, 4);
    }
}

/* Names as the store has them; a failed tag may be there or not when the handle was poisoned. */
static void read_names(struct world *w)
{
    struct snap_tag list[64];
    size_t count = snap_store_tags(w->f->store, list, 64);
    assert_true(count <= 64);
    for (unsigned i = 0; i < TAGS; i++) {
        w->names[i].used = false;
        for (size_t k = 0; k < count; k++) {
            if (strcmp(list[k].name, w->names[i].name) == 0) {
                w->names[i].used = true;
                w->names[i].generation = list[k].generation;
            }
        }
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint32_t *copy_of_now(const struct world *w)
{
    uint32_t *copy = malloc(w->f->pages * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, w->f->now, w->f->pages * sizeof *copy);
    return copy;
}

/* Stage one page, a hole, or zeros. An error of a write that had to come first. */
static int stage_one(struct world *w, struct snap_txn *txn, uint64_t page, uint32_t tag)
{
    if (tag == 0 && chance(w, 2)) {
        int error = snap_txn_hole(txn, page);
        w->f->now[page] = error == 0 ? 0 : w->f->now[page];
        return error;
    }
    void *slot = snap_txn_stage(txn, page);
    if (slot == NULL) {
        int error = snap_txn_write(txn, &w->f->diag);
        slot = error == 0 ? snap_txn_stage(txn, page) : NULL;
        if (slot == NULL) {
            assert_int_not_equal(error, 0);
            return error;
        }
    }
    if (tag != 0) {
        fill(tag, page, slot);
    } else {
        memset(slot, 0, SNAP_PAGE_SIZE);
    }
    w->f->now[page] = tag;
    return 0;
}

/* A stretch of pages, or strewn ones; with tags that differ, that are all the same, or none. */
static int stage_some(struct world *w, struct snap_txn *txn)
{
    struct fixture *f = w->f;
    uint64_t most = chance(w, 12) ? f->pages : chance(w, 3) ? 100 : 6;
    uint64_t count = 1 + below(w, most < f->pages ? most : f->pages);
    uint64_t first = below(w, f->pages), step = chance(w, 3) ? 1 + below(w, 50) : 1;
    unsigned kind = (unsigned)below(w, 8);
    int error = 0;
    for (uint64_t i = 0; error == 0 && i < count; i++) {
        uint32_t tag = kind == 0                   ? 0
                       : kind == 1 && chance(w, 3) ? 0
                       : kind == 2                 ? f->now[(first + i * step) % f->pages]
                                                   : w->tag + (uint32_t)(i % 7);
        error = stage_one(w, txn, (first + i * step) % f->pages, tag);
    }
    w->tag += 7;
    return error;
}

static void commit(struct world *w)
{
    struct fixture *f = w->f;
    struct snap_txn *txn = NULL;
    arm(w);
    int error = snap_txn_begin(f->store, STAGING, &txn, &f->diag);
    if (error == 0 && !chance(w, 3)) {
        error = snap_txn_reserve(txn, 1 + below(w, chance(w, 10) ? 4000 : 50), &f->diag);
    }
    for (uint64_t part = 0, parts = 1 + below(w, 3); txn != NULL && error == 0 && part < parts;
         part++) {
        error = stage_some(w, txn);
        if (error == 0 && chance(w, 4)) {
            error = snap_txn_write(txn, &f->diag);
        }
        if (error == 0 && chance(w, 6)) {
            error = snap_store_account(f->store, below(w, 20), &f->diag);
            error = error > 0 ? 0 : error;
        }
    }
    uint32_t *wanted = NULL;
    bool early = !f->store->accounted;
    if (txn != NULL && (error != 0 || chance(w, 10))) {
        snap_txn_abort(txn);
        forget_changes(w);
    } else if (txn != NULL) {
        wanted = copy_of_now(w);
        error = fixture_try_commit(f, txn);
        if (error == 0) {
            w->current = snap_store_current(f->store)->number;
            w->commits++;
            w->early += early && !f->store->accounted;
        } else {
            forget_changes(w);
        }
    }
    disarm(w);
    judge(w, "commit", error);
    if (f->store->poison != 0) {
        fixture_crash(f);
        open_again(w, wanted);
    }
    free(wanted);
}

static uint64_t any_generation(struct world *w)
{
    struct snap_generation list[600];
    size_t count = snap_store_list(w->f->store, list, 600);
    assert_true(count <= 600);
    return count != 0 ? list[below(w, count)].number : 0;
}

/* A commit that the store makes of what it has: its number is that of the content `tags`. */
static void made_by_store(struct world *w, const uint32_t *tags, int error, const char *what)
{
    struct fixture *f = w->f;
    disarm(w);
    judge(w, what, error);
    memcpy(f->now, tags, f->pages * sizeof *tags);
    if (f->store->poison != 0) {
        uint32_t *wanted = copy_of_now(w);
        fixture_crash(f);
        open_again(w, wanted);
        free(wanted);
        read_names(w);
        return;
    }
    uint64_t number = snap_store_current(f->store)->number;
    if (number != w->current) {
        fixture_remember(f, number);
        w->current = number;
        w->commits++;
    }
    forget_changes(w);
}

static void roll_back(struct world *w)
{
    uint64_t to = any_generation(w);
    if (to == 0) {
        return;
    }
    uint32_t *tags = malloc(w->f->pages * sizeof *tags);
    assert_non_null(tags);
    memcpy(tags, fixture_tags(w->f, to), w->f->pages * sizeof *tags);
    arm(w);
    int error = snap_store_rollback(w->f->store, to, NULL, &w->f->diag);
    w->rollbacks += error == 0;
    made_by_store(w, tags, error, "rollback");
    free(tags);
}

/* The names that rollbacks leave would hold everything. */
static void drop_names_of_rollbacks(struct world *w)
{
    struct snap_tag list[200];
    size_t count = snap_store_tags(w->f->store, list, 200);
    for (size_t i = 0; i < count && i < 200; i++) {
        if (strncmp(list[i].name, "before-", 7) == 0 && chance(w, 2)) {
            uint32_t *tags = copy_of_now(w);
            arm(w);
            made_by_store(w, tags, snap_store_untag(w->f->store, list[i].name, &w->f->diag),
                          "untag");
            free(tags);
        }
    }
}

static void name_or_forget(struct world *w)
{
    unsigned i = (unsigned)below(w, TAGS);
    uint64_t generation = any_generation(w);
    if (generation == 0) {
        return;
    }
    uint32_t *tags = copy_of_now(w);
    int error;
    snprintf(w->names[i].name, sizeof w->names[i].name, "name-%u", i);
    arm(w);
    if (w->names[i].used) {
        error = snap_store_untag(w->f->store, w->names[i].name, &w->f->diag);
        w->names[i].used = w->names[i].used && error != 0;
    } else {
        error = snap_store_tag(w->f->store, generation, w->names[i].name, &w->f->diag);
        w->names[i].used = error == 0;
        w->names[i].generation = generation;
    }
    made_by_store(w, tags, error, "tag");
    free(tags);
}

static void trim(struct world *w)
{
    uint32_t *tags = copy_of_now(w);
    arm(w);
    int error = snap_store_trim(w->f->store, &w->f->diag);
    made_by_store(w, tags, error > 0 ? 0 : error, "trim");
    free(tags);
}

static void hold_or_release(struct world *w)
{
    uint64_t *byte = &w->f->io->locked[below(w, HELD)];
    uint64_t generation = any_generation(w);
    *byte = *byte != 0 || generation == 0 ? 0 : SNAP_LOCK_GENERATION(generation);
}

static void account(struct world *w)
{
    arm(w);
    int error = snap_store_account(w->f->store, 1 + below(w, 40), &w->f->diag);
    disarm(w);
    judge(w, "account", error > 0 ? 0 : error);
}

static void new_opening(struct world *w)
{
    if (chance(w, 2)) {
        fixture_crash(w->f);
    } else {
        fixture_close(w->f);
    }
    open_again(w, NULL);
}

static void new_budget(struct world *w)
{
    static const uint64_t pages[] = {1, 20, 300, 100000};
    fixture_budget(w->f, pages[below(w, 4)] * SNAP_PAGE_SIZE);
    w->f->tick = chance(w, 2) ? INT64_C(300000000) : INT64_C(90000000000);
}

/* ---- looking --------------------------------------------------------------------------------- */

struct difference {
    const uint32_t *from, *to;
    uint64_t next, pages;
};

static int see_difference(void *context, uint64_t page, enum snap_change change)
{
    struct difference *d = context;
    for (; d->next < page; d->next++) {
        assert_int_equal(d->from[d->next], d->to[d->next]);
    }
    assert_true(page == d->next && page < d->pages);
    assert_int_not_equal(d->from[page], d->to[page]);
    assert_int_equal(change, d->from[page] == 0 ? SNAP_PAGE_ADDED
                             : d->to[page] == 0 ? SNAP_PAGE_REMOVED
                                                : SNAP_PAGE_CHANGED);
    d->next = page + 1;
    return 0;
}

static void compare_two(struct world *w, struct snap_store *store)
{
    struct fixture *f = w->f;
    uint64_t from = any_generation(w), to = any_generation(w);
    if (from == 0) {
        return;
    }
    struct difference d = {fixture_tags(f, from), fixture_tags(f, to), 0, f->pages};
    assert_int_equal(snap_store_diff(store, from, to, see_difference, &d, &f->diag), 0);
    for (; d.next < d.pages; d.next++) {
        assert_int_equal(d.from[d.next], d.to[d.next]);
    }
}

/* Pages in any order, as a reader who is in a hurry asks for them. */
static void read_some(struct world *w, struct snap_store *store, uint64_t generation)
{
    struct fixture *f = w->f;
    uint64_t page[SNAP_READ_PAGES];
    bool data[SNAP_READ_PAGES];
    unsigned count = 1 + (unsigned)below(w, SNAP_READ_PAGES);
    const uint32_t *tags = fixture_tags(f, generation);
    uint8_t *buffer = aligned_alloc(4096, (size_t)count * SNAP_PAGE_SIZE);
    assert_non_null(buffer);
    uint64_t first = below(w, f->pages);
    bool ordered = chance(w, 2);
    for (unsigned i = 0; i < count; i++) {
        page[i] = ordered ? (first + i) % f->pages : below(w, f->pages);
    }
    int error = snap_store_read_pages(store, generation, page, count, buffer, data, &f->diag);
    if (error != 0) {
        fail_msg("reading: %s", f->diag.text);
    }
    for (unsigned i = 0; i < count; i++) {
        _Alignas(8) uint8_t want[SNAP_PAGE_SIZE] = {0};
        assert_int_equal(data[i], tags[page[i]] != 0);
        if (data[i]) {
            fill(tags[page[i]], page[i], want);
        }
        assert_memory_equal(buffer + (size_t)i * SNAP_PAGE_SIZE, want, SNAP_PAGE_SIZE);
        assert_int_equal(snap_store_read_page(store, generation, page[i], want, &f->diag), data[i]);
        assert_memory_equal(buffer + (size_t)i * SNAP_PAGE_SIZE, want, SNAP_PAGE_SIZE);
    }
    free(buffer);
}

/* What must be retained is. */
static void check_held(struct world *w)
{
    struct fixture *f = w->f;
    for (unsigned i = 0; i < TAGS; i++) {
        if (w->names[i].used && store_find(f->store, w->names[i].generation) == NULL) {
            fail_msg("a tag does not hold generation %" PRIu64, w->names[i].generation);
        }
    }
    const struct store_generation *current = store_current(f->store);
    if (current != NULL && current->info.parent != 0) {
        assert_non_null(store_find(f->store, current->info.parent));
    }
}

/* Another handle that only reads, and sees the same without having been told. */
static void look_from_outside(struct world *w)
{
    struct fixture *f = w->f;
    struct snap_store *view = NULL;
    if (w->current == 0) {
        return;
    }
    int error = chance(w, 2) ? snap_store_open_view(f->store, &f->io->io, &view, &f->diag)
                             : snap_store_open_keyed(&f->io->io, fixture_key, SNAP_OPEN_READ_ONLY,
                                                     &view, NULL, &f->diag);
    assert_int_equal(error, 0);
    assert_int_equal(snap_store_current(view)->number, w->current);
    read_some(w, view, w->current);
    check_generation(view, w->current, fixture_tags(f, w->current), f->pages);
    snap_store_close(view);
}

/* All that is retained, or the newest alone, in a file of its own. */
static void copy_out(struct world *w)
{
    struct fixture *f = w->f;
    struct snap_generation list[600];
    uint64_t number[600];
    size_t count = snap_store_list(f->store, list, 600);
    unsigned from = chance(w, 2) || count == 0 ? 0 : (unsigned)count - 1;
    if (count == 0) {
        return;
    }
    for (size_t i = from; i < count; i++) {
        number[i - from] = list[i].number;
    }
    count -= from;
    struct snap_io *target = snap_io_memory_create(UINT64_C(512) << 20);
    struct snap_copied copied;
    struct snap_store *store = NULL;
    size_t names = 0;
    int error = snap_store_copy(f->store, number, count, NULL, target, NULL, &copied, &f->diag);
    error =
        error == 0 && from == 0 ? snap_store_copy_tags(f->store, target, &names, &f->diag) : error;
    error =
        error != 0 ? error : snap_store_open_keyed(target, fixture_key, 0, &store, NULL, &f->diag);
    error = error != 0 ? error : snap_store_verify(store, true, NULL, NULL, NULL, &f->diag);
    error = error != 0 ? error : snap_store_audit(store, &f->diag);
    if (error != 0) {
        fail_msg("copy: %s: %s", phantom_err_name(error), f->diag.text);
    }
    for (size_t i = 0; i < count; i++) {
        check_generation(store, number[i], fixture_tags(f, number[i]), f->pages);
    }
    w->copies++;
    snap_store_close(store);
    target->ops->close(target);
}

/* ---- worlds ---------------------------------------------------------------------------------- */

static void step(struct world *w)
{
    switch (below(w, 24)) {
    case 0: roll_back(w); break;
    case 1: name_or_forget(w); break;
    case 2: trim(w); break;
    case 3: hold_or_release(w); break;
    case 4: account(w); break;
    case 6: new_budget(w); break;
    case 5:
    case 7:
    case 8: new_opening(w); break;
    case 9: drop_names_of_rollbacks(w); break;
    case 10: (void)snap_store_seal(w->f->store); break;
    default: commit(w); break;
    }
    if (w->current != 0) {
        check_held(w);
        check_generation(w->f->store, w->current, fixture_tags(w->f, w->current), w->f->pages);
        if (chance(w, 4)) {
            uint64_t generation = any_generation(w);
            check_generation(w->f->store, generation, fixture_tags(w->f, generation), w->f->pages);
            read_some(w, w->f->store, generation);
            compare_two(w, w->f->store);
        }
    }
}

/* The file as it is now, with another future: opened by a writer who commits at once. */
static void other_future(struct world *w, unsigned steps)
{
    struct world other = *w;
    uint64_t size = 0;
    const uint8_t *bytes = snap_io_memory_bytes(w->f->io->base, &size);
    other.f = calloc(1, sizeof *other.f);
    assert_non_null(other.f);
    *other.f = *w->f;
    other.f->io = trick_create(w->limit);
    assert_int_equal(snap_io_memory_assign(other.f->io->base, bytes, size), 0);
    other.f->now = copy_of_now(w);
    other.faults = false;
    other.inherited = w->f->past_count;
    other.commits = other.early = other.refused = 0;
    fixture_open(other.f);
    find_current(&other, NULL);
    for (unsigned i = 0; i < steps; i++) {
        chance(&other, 3) ? account(&other) : commit(&other);
    }
    fixture_check(other.f);
    fixture_reopen(other.f);
    fixture_check(other.f);
    w->early += other.early;
    w->commits += other.commits;
    fixture_close(other.f);
    for (unsigned i = other.inherited; i < other.f->past_count; i++) {
        free(other.f->past[i].tags);
    }
    other.f->io->io.ops->close(&other.f->io->io);
    free(other.f->now);
    free(other.f);
}

static void make_world(struct world *w, uint64_t seed)
{
    *w = (struct world){.tag = 1};
    ph_rng_init(&w->rng, seed);
    fixture_compress = chance(w, 2);
    fixture_key = chance(w, 4) && PH_SODIUM ? &test_key : NULL;
    fixture_plain = !fixture_compress && fixture_key == NULL && chance(w, 8);
    w->faults = chance(w, 3);
    w->limit = chance(w, 3) ? UINT64_C(6) << 20 : UINT64_C(256) << 20;
    struct fixture *f = fixture_new(w->limit, 20 + (uint32_t)below(w, chance(w, 3) ? 1500 : 300));
    w->f = f;
    if (!fixture_plain && chance(w, 2)) { /* smaller segments: the file grows often */
        struct snap_store_params params = fixture_params();
        params.compression = fixture_compress ? SNAP_COMPRESSION_LZ4 : SNAP_COMPRESSION_NONE;
        params.segment_bytes = 64 << 10;
        if (fixture_key != NULL) {
            params.key = *fixture_key;
        }
        fixture_close(f);
        assert_int_equal(snap_io_memory_assign(f->io->base, NULL, 0), 0);
        assert_int_equal(snap_store_create(&f->io->io, &params, &f->diag), 0);
        fixture_open(f);
    }
    f->tick = INT64_C(300000000);
}

static void live(struct world *w, unsigned steps)
{
    for (unsigned i = 0; i < steps && w->f->past_count < MODEL_GENERATIONS - 200; i++) {
        step(w);
        if (chance(w, 16)) {
            fixture_check(w->f);
        }
        if (chance(w, 10)) {
            other_future(w, 1 + (unsigned)below(w, 6));
        }
        if (chance(w, 8)) {
            look_from_outside(w);
        }
        if (chance(w, 40)) {
            copy_out(w);
        }
    }
    memset(w->f->io->locked, 0, sizeof w->f->io->locked);
    fixture_check(w->f);
    fixture_reopen(w->f);
    fixture_check(w->f);
}

static unsigned worlds = WORLDS, steps_each = 60;

static void random_worlds_match_the_model(void **state)
{
    (void)state;
    const char *one = getenv("PH_SEED");
    uint64_t first = ph_rng_seed_from_environment(1);
    unsigned commits = 0, early = 0, refused = 0, rollbacks = 0, copies = 0;
    unsigned count = one != NULL && worlds == WORLDS ? 1 : worlds;
    for (unsigned i = 0; i < count; i++) {
        struct world w;
        make_world(&w, first + i);
        fprintf(stderr, "PH_SEED=%" PRIu64 "%s%s%s%s\n", first + i, fixture_compress ? " lz4" : "",
                fixture_key != NULL ? " key" : "", fixture_plain ? " plain" : "",
                w.faults ? " faults" : "");
        live(&w, steps_each);
        commits += w.commits;
        early += w.early;
        refused += w.refused;
        rollbacks += w.rollbacks;
        copies += w.copies;
        fixture_free(w.f);
    }
    print_message("%u commits, %u of them early, %u refused, %u rollbacks, %u copies\n", commits,
                  early, refused, rollbacks, copies);
    if (count > 1) {
        assert_true(early > commits / 20 && rollbacks > count / 4 && copies > count / 4);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "long") == 0) {
        worlds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 600;
        steps_each = 120;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_worlds_match_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
