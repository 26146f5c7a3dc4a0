/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_diff.h - a comparison of two generations, shared by the files of `phantom diff`.
 */
#ifndef CMD_DIFF_H
#define CMD_DIFF_H

#include "cli.h"

#include <errno.h>

struct cli_diff {
    struct phantom_store *store;
    uint64_t from, to, heap_base;
    struct phantom_page_range *range;
    size_t count, capacity;
    uint64_t pages[4]; /* by enum phantom_change */
};

/** Objects that differ: into the document, or, if that is NULL, printed. 0 or an error. */
int cli_diff_objects(struct cli_diff *diff, json_t *document, struct phantom_diag *diag);

#endif /* CMD_DIFF_H */
