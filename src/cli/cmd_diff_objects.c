/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_diff_objects.c - `phantom diff --objects`.
 */
#include "cmd_diff.h"

int cli_diff_objects(struct cli_diff *diff, json_t *document, struct phantom_diag *diag)
{
    (void)diff;
    (void)document;
    (void)diag;
    return PHANTOM_EUNSUPPORTED;
}
