/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_verify.h - checking a store with more to say than snap_store_verify(): each finding with its
 * place, and how far it is.
 */
#ifndef SNAP_VERIFY_H
#define SNAP_VERIFY_H

#include "snap_transfer.h"

enum snap_finding_kind {
    SNAP_FINDING_SUPERBLOCK = 1,
    SNAP_FINDING_RECORD,  /* of a commit */
    SNAP_FINDING_CATALOG, /* of generations */
    SNAP_FINDING_RUNS,    /* delta runs: what the generation's pages are is not known */
    SNAP_FINDING_NODE,    /* of the map: its pages are not known */
    SNAP_FINDING_PAGE,
    SNAP_FINDING_TOTALS /* each part is good, but they do not add up to what the record says */
};

struct snap_finding {
    enum snap_finding_kind kind;
    uint64_t generation;             /* 0: of no single one */
    uint64_t first_page, page_count; /* that cannot be read because of it; count 0: none */
    uint64_t block;                  /* where the damage is, or SNAP_NO_BLOCK */
    const char *text;                /* a sentence that names place and cause */
};

struct snap_verify_options {
    bool deep; /* all retained generations */
    /** For each bad thing; NULL allowed. */
    void (*finding)(void *context, const struct snap_finding *finding);
    void *context;
    const struct snap_progress *progress; /* NULL allowed; total is an estimate */
};

/** As snap_store_verify(); also -ECANCELED, when the progress said so: then the report covers what
 * was checked until then. */
int snap_store_examine(struct snap_store *store, const struct snap_verify_options *options,
                       struct snap_verify_report *report, struct phantom_diag *diag);

#endif /* SNAP_VERIFY_H */
