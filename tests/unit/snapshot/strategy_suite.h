/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy_suite.h - the conformance suite that every strategy passes on every memory.
 */
#ifndef STRATEGY_SUITE_H
#define STRATEGY_SUITE_H

#include "engine_kit.h"

/** Run the whole suite for one kind; returns the number of tests that failed. */
int strategy_suite_run(const struct kit_kind *kind);

#endif /* STRATEGY_SUITE_H */
