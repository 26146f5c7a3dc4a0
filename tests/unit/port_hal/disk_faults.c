/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_faults.c - clients of a disk of the port's HAL, and the model of what must be on it.
 *
 * Each client has pages of its own, so the order of its calls is the order of what overlaps. The
 * model is a list of its writes: when each was queued, what became of it, and up to where a fence
 * that succeeded was called after it. Of each sector that says which contents are possible: the
 * last write that is certain, and all after it. A sector's content is a number, over and over.
 *
 * Owned by the process: it outlives the machine. One thread has the baton, so there are no races.
 */
#include "disk_faults.h"

#include "port_fixture.h"
#include "port_on_sim.h"

#include <disk.h>
#include <phantom_disk.h>
#include <stdio.h>
#include <string.h>
#include <threads.h>

enum { CLIENTS = 3, REGION = 4, SECTORS = REGION * 8, STEPS = 22, SLOTS = 4, MOST = STEPS + SLOTS };
enum { SECTOR_BYTES = 512, SECTOR_WORDS = SECTOR_BYTES / sizeof(uint64_t) };

enum fate { UNDER_WAY, DONE, FAILED, TAKEN_OUT };

struct write {
    unsigned first, count; /* sectors of the region */
    uint64_t content;      /* of the first; 0: all are zeros */
    enum fate fate;
};

struct client;

struct slot {
    pager_io_request rq; /* first: the callback casts it back */
    struct client *client;
    void *va;
    hal_sem_t done;
    bool busy, write;
    unsigned at; /* index of the write, or how many were queued before the read */
    unsigned first, count, calls;
};

struct client {
    struct ph_rng rng;
    long base; /* sector of the disk */
    uint64_t before[SECTORS];
    struct write writes[MOST];
    unsigned count;  /* begun */
    unsigned queued; /* queued for certain */
    unsigned fenced; /* covered by a fence that succeeded */
    struct slot slots[SLOTS];
    hal_sem_t *over;
};

static struct faults_plan plan;
static struct client clients[CLIENTS];
static struct faults_totals life;
static bool fence_has_failed;
static uint64_t last_content;
static phantom_disk_partition_t *disk;

/* ---- the model ------------------------------------------------------------------------------ */

static uint64_t content_at(const struct write *w, unsigned sector)
{
    return w->content != 0 ? w->content + (sector - w->first) : 0;
}

static bool is_in(const struct write *w, unsigned sector)
{
    return sector >= w->first && sector < w->first + w->count && w->fate != TAKEN_OUT;
}

/* May this sector hold that, if the first `seen` writes were queued before, those below `certain`
 * have ended for certain, and none beyond `certain` need be there? */
static bool is_possible(const struct client *c, unsigned sector, uint64_t content, unsigned seen,
                        unsigned certain)
{
    bool possible = c->before[sector] == content;
    for (unsigned i = 0; i < seen; i++) {
        const struct write *w = &c->writes[i];
        if (!is_in(w, sector)) {
            continue;
        }
        bool is_certain =
            i < certain && (w->fate == DONE || (w->fate == UNDER_WAY && !plan.writes_may_fail));
        bool equal = content_at(w, sector) == content;
        possible = is_certain ? equal : possible || equal;
    }
    return possible;
}

/* After the process was killed: what was reported as done is there. */
static bool is_possible_in_cache(const struct client *c, unsigned sector, uint64_t content)
{
    bool possible = c->before[sector] == content;
    for (unsigned i = 0; i < c->count; i++) {
        const struct write *w = &c->writes[i];
        if (is_in(w, sector)) {
            bool equal = content_at(w, sector) == content;
            possible = w->fate == DONE ? equal : possible || equal;
        }
    }
    return possible;
}

/* The number that a sector consists of. False: it is torn. */
static bool read_content(const void *bytes, uint64_t *content)
{
    uint64_t words[SECTOR_WORDS];
    memcpy(words, bytes, sizeof(words));
    *content = words[0];
    for (unsigned i = 1; i < SECTOR_WORDS; i++) {
        if (words[i] != words[0]) {
            return false;
        }
    }
    return true;
}

void faults_begin(const struct faults_plan *of_life, const uint8_t *content)
{
    plan = *of_life;
    memset(clients, 0, sizeof(clients));
    memset(&life, 0, sizeof(life));
    fence_has_failed = false;
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        ph_rng_init(&c->rng, plan.seed * CLIENTS + i);
        c->base = (1 + (long)i * REGION) * 8;
        for (unsigned s = 0; s < SECTORS; s++) {
            (void)read_content(content + ((size_t)c->base + s) * SECTOR_BYTES, &c->before[s]);
        }
    }
}

bool faults_check(const uint8_t *content, bool power_cut, char *why, size_t size)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = &clients[i];
        for (unsigned s = 0; s < SECTORS; s++) {
            uint64_t there = 0;
            bool whole = read_content(content + ((size_t)c->base + s) * SECTOR_BYTES, &there);
            bool possible = power_cut ? is_possible(c, s, there, c->count, c->fenced)
                                      : is_possible_in_cache(c, s, there);
            if (!whole || !possible) {
                (void)snprintf(why, size,
                               "client %u sector %u holds %llu%s: not possible (%u writes, %u "
                               "before a fence)",
                               i, s, (unsigned long long)there, whole ? "" : ", torn", c->count,
                               c->fenced);
                return false;
            }
        }
    }
    return true;
}

void faults_count(struct faults_totals *totals)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        life.fenced += clients[i].fenced;
        life.open += clients[i].count - clients[i].fenced;
    }
    const uint64_t *from = (const uint64_t *)&life;
    uint64_t *to = (uint64_t *)totals;
    for (size_t i = 0; i < sizeof(life) / sizeof(uint64_t); i++) {
        to[i] += from[i];
    }
}

/* ---- requests ------------------------------------------------------------------------------- */

static void range(struct client *c, unsigned *first, unsigned *count)
{
    *first = (unsigned)ph_rng_below(&c->rng, SECTORS);
    bool whole = ph_rng_below(&c->rng, 2) == 0; /* a page, as the pager writes */
    *first = whole ? *first / 8 * 8 : *first;
    unsigned most = SECTORS - *first < 8 ? SECTORS - *first : 8;
    *count = whole ? 8 : 1 + (unsigned)ph_rng_below(&c->rng, most);
}

static struct write *new_write(struct client *c, unsigned first, unsigned count, bool zeros)
{
    struct write *w = &c->writes[c->count++];
    *w = (struct write){.first = first, .count = count};
    if (!zeros) {
        w->content = last_content + 1;
        last_content += 8;
    }
    return w;
}

static void fill(void *bytes, const struct write *w)
{
    for (unsigned i = 0; i < w->count * SECTOR_WORDS; i++) {
        ((uint64_t *)bytes)[i] = w->content + i / SECTOR_WORDS;
    }
}

static void examine_read(const struct slot *s)
{
    const struct client *c = s->client;
    for (unsigned i = 0; s->rq.rc == 0 && i < s->count; i++) {
        uint64_t there = 0;
        bool whole = read_content((const char *)s->va + (size_t)i * SECTOR_BYTES, &there);
        assert_true(whole && "a sector was read whole");
        assert_true(is_possible(c, s->first + i, there, s->at, s->at) && "what was read last");
    }
}

static void on_done(pager_io_request *rq, int write)
{
    struct slot *s = (struct slot *)rq;
    s->calls++;
    assert_true(s->busy && s->calls == 1 && write == s->write);
    if (s->write) {
        s->client->writes[s->at].fate = rq->rc == 0 ? DONE : FAILED;
    }
    life.failed += rq->rc != 0;
    hal_sem_release(&s->done);
}

static void await(struct slot *s)
{
    if (s->busy) {
        (void)hal_sem_acquire(&s->done);
        if (!s->write) {
            examine_read(s);
        }
        s->busy = false;
    }
}

static void await_all(struct client *c)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        await(&c->slots[i]);
    }
}

static void queue_one(struct client *c, struct slot *s, bool write)
{
    await(s);
    range(c, &s->first, &s->count);
    s->write = write;
    s->at = c->count;
    s->calls = 0;
    s->busy = true;
    if (write) {
        fill(s->va, new_write(c, s->first, s->count, false));
    }
    s->rq.blockNo = (u_int64_t)(c->base + s->first);
    s->rq.nSect = (int)s->count;
    s->rq.rc = 0;
    s->rq.flag_urgent = ph_rng_below(&c->rng, 4) == 0;
    s->rq.flag_pageout = write;
    s->rq.flag_pagein = !write;
    assert_int_equal(disk->asyncIo(disk, &s->rq), 0);
    c->queued = c->count;
    life.requests++;
    life.reads += !write;
}

static void take_out(struct client *c, struct slot *s)
{
    if (s->busy && disk_dequeue(disk, &s->rq) == 0) {
        assert_int_equal(s->calls, 0);
        if (s->write) {
            c->writes[s->at].fate = TAKEN_OUT;
        }
        s->busy = false;
        life.dequeued++;
    }
}

static void write_synchronously(struct client *c)
{
    unsigned first, count;
    static uint64_t bytes[CLIENTS][8 * SECTOR_WORDS];
    range(c, &first, &count);
    struct write *w = new_write(c, first, count, false);
    fill(bytes[c - clients], w);
    errno_t rc = phantom_sync_write_sector(disk, bytes[c - clients], c->base + first, (int)count);
    w->fate = rc == 0 ? DONE : FAILED;
    c->queued = c->count;
    life.requests++;
    life.failed += rc != 0;
}

/* Trims are not in the queue. */
static void trim(struct client *c)
{
    pager_io_request rq;
    unsigned first, count;
    await_all(c);
    range(c, &first, &count);
    struct write *w = new_write(c, first, count, true);
    pager_io_request_init(&rq);
    rq.blockNo = (u_int64_t)(c->base + first);
    rq.nSect = (int)count;
    w->fate = disk_trim(disk, &rq) == 0 ? DONE : FAILED;
    c->queued = c->count;
    life.trims++;
}

static void fence(void)
{
    unsigned queued[CLIENTS];
    bool must_fail = fence_has_failed;
    for (unsigned i = 0; i < CLIENTS; i++) {
        queued[i] = clients[i].queued;
    }
    errno_t rc = disk_fence(disk);
    life.fences++;
    if (rc != 0) {
        fence_has_failed = true;
        life.failed_fences++;
        return;
    }
    assert_false(must_fail);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        c->fenced = queued[i] > c->fenced ? queued[i] : c->fenced;
    }
}

/* ---- lives ---------------------------------------------------------------------------------- */

static void take_a_step(struct client *c)
{
    uint64_t choice = ph_rng_below(&c->rng, 100);
    struct slot *s = &c->slots[ph_rng_below(&c->rng, SLOTS)];
    if (choice < 55) {
        queue_one(c, s, true);
    } else if (choice < 70) {
        queue_one(c, s, false);
    } else if (choice < 76) {
        take_out(c, s);
    } else if (choice < 82) {
        if (s->busy) {
            assert_int_equal(disk_raise_priority(disk, &s->rq), 0);
            life.raised++;
        }
    } else if (choice < 86) {
        write_synchronously(c);
    } else if (choice < 89) {
        trim(c);
    } else {
        fence();
    }
}

static void be_client(void *argument)
{
    struct client *c = argument;
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *s = &c->slots[i];
        pager_io_request_init(&s->rq);
        s->client = c;
        s->rq.pager_callback = on_done;
        hal_pv_alloc(&s->rq.phys_page, &s->va, PAGE_SIZE);
        assert_int_equal(hal_sem_init(&s->done, "done"), 0);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        take_a_step(c);
    }
    await_all(c);
    for (unsigned i = 0; i < SLOTS; i++) {
        hal_pv_free(c->slots[i].rq.phys_page, c->slots[i].va, PAGE_SIZE);
        hal_sem_destroy(&c->slots[i].done);
    }
    hal_sem_release(c->over);
}

void faults_life(void *ignored)
{
    (void)ignored;
    void *instance = NULL;
    hal_sem_t over;
    port_on_sim_begin();
    assert_int_equal(port_setup(&instance), 0);
    assert_int_equal(phantom_hal_add_disk(FAULTS_FILE, PHANTOM_HAL_DISK_THREADS, &disk), 0);
    port_on_sim_shorten(plan.short_permille);
    if (plan.shut_down_at != 0) {
        port_on_sim_shut_down_at_flush(plan.shut_down_at);
    }
    assert_int_equal(hal_sem_init(&over, "clients"), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i].over = &over;
        assert_true(hal_start_kernel_thread_arg(be_client, &clients[i]) >= 0);
    }
    assert_int_equal(hal_sem_acquire_etc(&over, CLIENTS, 0, 0), 0);
    hal_sem_destroy(&over);
    port_end(instance);
    port_hooks.end();
}
