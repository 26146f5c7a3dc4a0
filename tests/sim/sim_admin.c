/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_admin.c - what people do with a store between two runs and during one: name a generation,
 * take the name away, roll back, and read and copy beside the program. What is checked: a name that
 * was acknowledged is there in all later lives and its generation with it (retention); a rollback
 * has the hash of what it returned to; a reader sees at least what was acknowledged before it came,
 * and a copy is a whole store with one generation that verifies.
 *
 * The case owns everything; one thread at a time, that with the baton.
 */
#include "hal_files.h"
#include "ph_check.h"
#include "sim_case.h"

#include <hal.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 4096 };

/* ---- names ---------------------------------------------------------------------------------- */

static int check_tag(void *context, const struct phantom_tag *tag)
{
    struct sim_case *c = context;
    for (unsigned i = 0; i < c->tag_count; i++) {
        if (strcmp(c->tags[i].name, tag->name) == 0) {
            if (c->tags[i].generation != tag->generation) {
                hal_sim_fail("P3: tag %s names generation %" PRIu64 ", not %" PRIu64, tag->name,
                             tag->generation, c->tags[i].generation);
            }
            c->tags_seen++;
        }
    }
    return 0;
}

static int look_for(void *context, const struct phantom_generation *generation)
{
    uint64_t *number = context;
    return generation->number == *number;
}

void sim_check_tags(struct sim_case *c, const struct phantom_store *store)
{
    c->tags_seen = 0;
    (void)phantom_store_tags(store, check_tag, c);
    if (c->tags_seen != c->tag_count) {
        hal_sim_fail("P2: %u of %u tags that were acknowledged are there", c->tags_seen,
                     c->tag_count);
    }
    for (unsigned i = 0; i < c->tag_count; i++) {
        if (phantom_store_log(store, look_for, &c->tags[i].generation) != 1) {
            hal_sim_fail("P2: generation %" PRIu64 ", which tag %s names, is gone",
                         c->tags[i].generation, c->tags[i].name);
        }
    }
}

static int add_tag(struct sim_case *c, const char *path, struct phantom_diag *diag)
{
    struct phantom_tag *tag = &c->tags[c->tag_count];
    if (c->tag_count == SIM_TAGS) {
        return 0;
    }
    snprintf(tag->name, sizeof(tag->name), "life%u", c->life);
    tag->generation = c->seen.number;
    int rc = phantom_store_tag(path, tag->generation, tag->name, diag);
    c->tag_count += rc == 0;
    c->totals->tags += rc == 0;
    return rc;
}

/** From the moment it is tried nobody knows whether the name is there. */
static int take_tag(struct sim_case *c, const char *path, struct phantom_diag *diag)
{
    if (c->tag_count == 0) {
        return 0;
    }
    char name[64];
    snprintf(name, sizeof(name), "%s", c->tags[--c->tag_count].name);
    return phantom_store_untag(path, name, diag);
}

/* ---- rollback ------------------------------------------------------------------------------- */

struct nth {
    uint64_t left;
    struct phantom_generation found;
};

static int pick(void *context, const struct phantom_generation *generation)
{
    struct nth *nth = context;
    nth->found = *generation;
    return nth->left-- == 0;
}

/** To any retained generation. What becomes of it is seen by the next reader. */
static int roll_back(struct sim_case *c, const char *path, struct phantom_diag *diag)
{
    struct phantom_store *store = NULL;
    struct phantom_recovery recovery;
    int rc = phantom_store_open(path, &store, &recovery, diag);
    if (rc != 0) {
        return rc;
    }
    struct nth nth = {.left = ph_rng_below(&c->rng, 6)};
    (void)phantom_store_log(store, pick, &nth);
    phantom_store_close(store);
    c->rolling = nth.found;
    struct phantom_rollback out;
    rc = phantom_store_rollback(path, nth.found.number, &out, diag);
    c->totals->rollbacks += rc == 0;
    if (rc == 0 && memcmp(out.made.hash, nth.found.hash, sizeof(out.made.hash)) != 0) {
        hal_sim_fail("P1: rolled back to generation %" PRIu64 ", and the content is another",
                     nth.found.number);
    }
    return rc;
}

bool sim_administer(struct sim_case *c, const char *path)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc;
    switch (ph_rng_below(&c->rng, 8)) {
    case 0: rc = add_tag(c, path, &diag); break;
    case 1: rc = take_tag(c, path, &diag); break;
    case 2: rc = roll_back(c, path, &diag); break;
    default: return false;
    }
    if (rc != 0) {
        sim_check_error(c, rc, diag.text);
    }
    return true;
}

/* ---- the memory ----------------------------------------------------------------------------- */

void sim_compare_memory(struct sim_case *c, const char *path, uint64_t generation)
{
    static const uint8_t zeros[PAGE];
    uint8_t page[PAGE];
    struct phantom_store *store = NULL;
    struct phantom_recovery recovery;
    struct phantom_store_info info;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = phantom_store_open(path, &store, &recovery, &diag);
    if (rc != 0) {
        sim_check_error(c, rc, diag.text);
        return;
    }
    phantom_store_info(store, &info);
    for (uint64_t i = 0; rc >= 0 && i < info.current.heap_pages; i++) {
        rc = phantom_store_read_page(store, generation, i, page, &diag);
        const void *memory = (const void *)(uintptr_t)(info.heap_base + i * PAGE);
        if (rc >= 0 && memcmp(rc == 1 ? page : zeros, memory, PAGE) != 0) {
            hal_sim_fail("P1: page %" PRIu64 " in memory is not that of generation %" PRIu64, i,
                         generation);
        }
    }
    c->totals->compared += rc >= 0;
    phantom_store_close(store);
    if (rc < 0 && rc != PHANTOM_ENOTFOUND) { /* a snapshot by the clock may have dropped it */
        sim_check_error(c, rc, diag.text);
    }
}

/* ---- beside the program --------------------------------------------------------------------- */

static void check_copy(struct sim_case *c, const struct phantom_generation *generation)
{
    struct phantom_store *store = NULL;
    struct phantom_recovery recovery;
    struct phantom_verify_report report = {0};
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = phantom_store_open("copy.phantom", &store, &recovery, &diag);
    if (rc == 0) {
        rc = phantom_store_verify(store, true, &report, NULL, NULL, &diag);
        if (recovery.opened != generation->number) {
            hal_sim_fail("P3: a copy of generation %" PRIu64 " opens as %" PRIu64,
                         generation->number, recovery.opened);
        }
        phantom_store_close(store);
    }
    if (rc != 0) {
        sim_check_error(c, rc, diag.text);
    } else if (report.damaged != 0) {
        hal_sim_fail("P1: a copy that was made beside the program is damaged");
    }
}

static int keep_newest(void *context, const struct phantom_generation *generation)
{
    *(struct phantom_generation *)context = *generation;
    return 0;
}

static void read_once(struct sim_case *c, const char *path, bool copy)
{
    struct phantom_store *store = NULL;
    struct phantom_recovery recovery;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_generation newest = {0};
    struct phantom_copied copied;
    uint64_t acknowledged = c->base;
    hal_file_discard("copy.phantom");
    int rc = phantom_store_open(path, &store, &recovery, &diag);
    if (rc == 0) {
        (void)phantom_store_log(store, keep_newest, &newest);
        if (newest.number < acknowledged) {
            hal_sim_fail("P2: a reader sees generation %" PRIu64 ", %" PRIu64 " was acknowledged",
                         newest.number, acknowledged);
        }
        if (copy) {
            rc = phantom_store_copy(store, newest.number, "copy.phantom", 0, NULL, &copied, &diag);
        } else {
            struct phantom_verify_report report = {0};
            rc = phantom_store_verify(store, false, &report, NULL, NULL, &diag);
            rc = rc == 0 && report.damaged != 0 ? PHANTOM_ECORRUPT : rc;
        }
        phantom_store_close(store);
    }
    c->totals->readings += rc == 0;
    c->totals->copies += rc == 0 && copy;
    if (rc != 0) {
        sim_check_error(c, rc, diag.text);
    } else if (copy) {
        check_copy(c, &newest);
    }
    hal_file_discard("copy.phantom");
}

static void reader_main(void *context)
{
    struct sim_case *c = context;
    (void)t_current_set_name("reader");
    for (unsigned i = 0; !c->reader_ends && i < 6; i++) {
        hal_sleep_msec(1 + (int)hal_sim_random_below(4));
        read_once(c, c->reader_path, hal_sim_random_below(2) == 0);
    }
}

void sim_start_reader(struct sim_case *c, const char *path)
{
    c->reader = -1;
    c->reader_ends = false;
    c->reader_path = path;
    if (ph_rng_below(&c->rng, 3) == 0) {
        c->reader = hal_start_thread(reader_main, c, THREAD_FLAG_NATIVE);
        SIM_EXPECT(c->reader >= 0);
    }
}

void sim_end_reader(struct sim_case *c)
{
    c->reader_ends = true;
    if (c->reader >= 0) {
        hal_sim_join(c->reader);
    }
    c->reader = -1;
}
