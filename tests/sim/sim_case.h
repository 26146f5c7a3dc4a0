/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_case.h - one seed of the simulated campaigns: a disk, a log, and lives of machines on it that
 * are killed, lose power or meet a failing disk, until the last one, which must come to its end.
 */
#ifndef SIM_CASE_H
#define SIM_CASE_H

#include "hal_sim.h"
#include "ph_rng.h"
#include "ph_sanitizer.h"

#include <phantom/phantom.h>

enum { SIM_GENERATIONS = 4096, SIM_TAGS = 6 };

/* Of the strategies that campaigns draw from: under ThreadSanitizer a handler of SIGSEGV that waits
 * is not possible, which the last two need. */
enum { SIM_STRATEGIES = PH_UNDER_TSAN ? 6 : 8 };

struct sim_totals {
    uint64_t runs, lives, kills, cuts, faults, generations, steps, points, transfers, switches;
    uint64_t tags, rollbacks, readings, copies, compared; /* that succeeded */
    uint64_t audits;
    uint64_t flips, flips_told;       /* bytes changed, and where somebody was told */
    struct hal_sim_coverage coverage; /* kinds of switches seen */
    uint64_t schedule;                /* of the last case: a sum over its lives */
};

struct sim_case {
    uint64_t seed;
    struct ph_rng rng;
    struct hal_sim_disk *disk;
    struct hal_sim_log *log;
    struct sim_totals *totals;
    char why[1600]; /* "": no violation so far */

    /* The life that runs. */
    unsigned life;
    bool last;           /* no kill, no fault: it must come to its end */
    bool finished;       /* the program has come to its end */
    bool poisoned;       /* no generation may be acknowledged any more */
    bool fault_is_final; /* the disk is to fail a write or a flush */

    /* The oracle of P2 and P3: what was committed, as its committer was told. */
    struct phantom_generation known[SIM_GENERATIONS];
    size_t known_count;
    uint64_t base; /* the newest generation that is acknowledged or was recovered; 0: none */
    struct phantom_generation
        seen; /* by a reader: the newest one, durable or not; number 0: none */
    struct phantom_generation
        maybe; /* seen, and a change that died may have built on it; number 0: none */

    /* sim_admin.c */
    struct phantom_tag tags[SIM_TAGS]; /* acknowledged */
    unsigned tag_count, tags_seen;
    struct phantom_generation rolling; /* somebody tried to roll back to it; number 0: nobody */
    bool rolled;                       /* and that is what is there */
    int reader;                        /* a thread beside the program; -1: none */
    bool reader_ends;
    const char *reader_path;
};

struct sim_campaign {
    const char *name;
    /** Runs on the machine; ends by returning, or the machine ends. */
    void (*live)(void *context);
    void *(*begin)(struct sim_case *c); /* the context of live() */
    /** After each life, outside of machines; says by sim_violation() what is wrong. */
    void (*judge)(void *context, bool finished);
    void (*end)(void *context);
    const char *path;          /* of the store */
    unsigned points[3];        /* a life has one in so many of the fine points, or none at all */
    uint64_t steps, transfers; /* of a life that is not disturbed; measured at the first seed */
};

/** False: no switch points but the calls of the HAL, and sizes as in the product; for comparing. */
extern bool sim_with_points;

extern struct sim_campaign sim_world_campaign, sim_bank_campaign;

/** True: no violation. keep_log: the case's text is returned (free() it), for comparing. */
bool sim_case_run(struct sim_campaign *campaign, uint64_t seed, struct sim_totals *totals,
                  bool keep_log, char **log_text, char *why, size_t why_size);

/** On a machine: ends it as failed. */
#define SIM_EXPECT(e)                                                                              \
    do {                                                                                           \
        if (!(e)) {                                                                                \
            hal_sim_fail("%s:%d: %s", __func__, __LINE__, #e);                                     \
        }                                                                                          \
    } while (0)

/** Outside of machines. */
void sim_violation(struct sim_case *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* On a machine. */

/** Callback `committed`: P7, and the oracle. */
void sim_committed(struct sim_case *c, const struct phantom_generation *generation);
/** Before the store is opened for writing: P2 to P5 by a reader. False: there is no store yet. */
bool sim_check_store(struct sim_case *c, const char *path);
/** It was opened for writing: the same generation as the reader saw. */
void sim_check_opened(struct sim_case *c, uint64_t opened);
/** An opening or a snapshot failed: allowed only if the disk was made to. */
void sim_check_error(struct sim_case *c, int error, const char *text);

/** sim_flip.c, outside of machines: P4 on copies of the store, sometimes. */
void sim_flip_bytes(struct sim_case *c, const char *path);

/* sim_admin.c, on a machine */

/** Before the store is opened for writing, sometimes: tag, untag, roll back. True: look again. */
bool sim_administer(struct sim_case *c, const char *path);
void sim_check_tags(struct sim_case *c, const struct phantom_store *store);
/** P1: nobody has stored anything since this generation was opened: the memory is that, page by
 * page.
 */
void sim_compare_memory(struct sim_case *c, const char *path, uint64_t generation);
/** While the program runs, sometimes: a thread that reads and copies. */
void sim_start_reader(struct sim_case *c, const char *path);
void sim_end_reader(struct sim_case *c);

#endif /* SIM_CASE_H */
