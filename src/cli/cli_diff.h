/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_diff.h - what cmd_diff.c hands to diff_objects.c.
 */
#ifndef CLI_DIFF_H
#define CLI_DIFF_H

#include "cli.h"

/** Print which objects differ, as text or a document; returns the exit code. */
int cli_diff_objects(struct phantom_store *store, uint64_t from, uint64_t to,
                     const struct cli_arguments *arguments);

#endif /* CLI_DIFF_H */
