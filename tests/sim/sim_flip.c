/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_flip.c - P4 on what a life has left: copies of the store on a disk of their own, with one
 * byte changed each, are opened and verified. Allowed: an error, damage that is reported, an older
 * generation with a report that the newer one is incomplete, or all of it as it was.
 */
#include "ph_check.h"
#include "sim_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLIPS = 4 };

struct look {
    const char *path;
    struct phantom_generation newest;
    struct phantom_recovery recovery;
    struct phantom_verify_report report;
    int rc;
    uint64_t hashes; /* over all retained generations */
};

static int add_hash(void *context, const struct phantom_generation *generation)
{
    struct look *look = context;
    look->newest = *generation;
    for (size_t i = 0; i < sizeof(generation->hash); i++) {
        look->hashes = (look->hashes ^ generation->hash[i]) * UINT64_C(0x100000001b3);
    }
    return 0;
}

static void look_main(void *context)
{
    struct look *look = context;
    struct phantom_store *store = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    look->rc = phantom_store_open(look->path, &store, &look->recovery, &diag);
    if (look->rc == 0) {
        (void)phantom_store_log(store, add_hash, look);
        look->rc = phantom_store_verify(store, true, &look->report, NULL, NULL, &diag);
        phantom_store_close(store);
    }
    SIM_EXPECT(look->rc == 0 || diag.text[0] != '\0');
}

/** False: a violation was said. */
static bool look_at(struct sim_case *c, struct hal_sim_disk *disk, struct look *look)
{
    const struct hal_sim_options options = {
        .seed = ph_rng_next(&c->rng), .disk = disk, .log = c->log, .steps_most = 400000};
    struct hal_sim_outcome outcome;
    *look = (struct look){.path = look->path};
    PH_CHECK(hal_sim_run(&options, look_main, look, &outcome) == 0);
    if (outcome.end != HAL_SIM_ENDED || outcome.leftover_blocks != 0) {
        sim_violation(c, "P4: reading a changed store: %s: %s, %" PRIu64 " blocks left",
                      hal_sim_end_name(outcome.end), outcome.text, outcome.leftover_blocks);
        return false;
    }
    return true;
}

static bool flip_one(struct sim_case *c, struct hal_sim_disk *disk, const struct look *good,
                     uint64_t size)
{
    uint64_t length, offset = 0;
    const uint8_t *bytes = hal_sim_disk_file(disk, good->path, &length);
    for (int tries = 0; tries < 32; tries++) { /* most of the file is room that holds nothing */
        offset = ph_rng_below(&c->rng, size);
        if (bytes[offset] != 0) {
            break;
        }
    }
    uint8_t was = bytes[offset];
    uint8_t is = was ^ (uint8_t)(1U << ph_rng_below(&c->rng, 8));
    struct look look = {.path = good->path};
    PH_CHECK(hal_sim_disk_poke(disk, good->path, offset, &is, 1));
    bool fine = look_at(c, disk, &look);
    PH_CHECK(hal_sim_disk_poke(disk, good->path, offset, &was, 1));
    bool told = look.rc != 0 || look.report.damaged != 0 || look.recovery.incomplete != 0 ||
                look.recovery.torn_records > good->recovery.torn_records;
    if (fine && !told &&
        (look.newest.number != good->newest.number || look.hashes != good->hashes)) {
        sim_violation(c,
                      "P4: byte %" PRIu64 " changed: generation %" PRIu64
                      " is shown instead of %" PRIu64 ", and nothing is said",
                      offset, look.newest.number, good->newest.number);
        return false;
    }
    c->totals->flips++;
    c->totals->flips_told += told;
    return fine;
}

void sim_flip_bytes(struct sim_case *c, const char *path)
{
    uint64_t size = 0;
    const uint8_t *bytes = hal_sim_disk_file(c->disk, path, &size);
    if (bytes == NULL || size == 0 || ph_rng_below(&c->rng, 3) != 0) {
        return;
    }
    const struct hal_sim_disk_options options = {.seed = ph_rng_next(&c->rng),
                                                 .file_bytes = UINT64_C(64) << 20};
    struct hal_sim_disk *disk = hal_sim_disk_create(&options);
    PH_CHECK(disk != NULL && hal_sim_disk_put(disk, path, bytes, size) == 0);
    struct look good = {.path = path};
    if (look_at(c, disk, &good) && good.rc == 0) {
        for (int i = 0; i < FLIPS && flip_one(c, disk, &good, size); i++) {
        }
    }
    hal_sim_disk_destroy(disk);
}
