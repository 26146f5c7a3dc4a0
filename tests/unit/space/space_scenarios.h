/* SPDX-License-Identifier: Apache-2.0
 *
 * space_scenarios.h - what the gate, the group and the allocator's caches must do, each as a
 * function that says whether they did. The tests expect true; the mutants' test runs the same with
 * a seeded defect and expects false.
 */
#ifndef SPACE_SCENARIOS_H
#define SPACE_SCENARIOS_H

#include <stdbool.h>
#include <stdint.h>

/** patience_ms: how long a sleeper may sleep before he counts as forgotten. */
bool scenario_stop_ends_when_the_last_operation_ends(int patience_ms, bool cheap);
bool scenario_no_operation_is_cut(unsigned threads, unsigned stops, bool cheap);
bool scenario_who_asks_after_the_cut_is_not_told_too_early(int patience_ms);
bool scenario_who_comes_during_a_commit_gets_a_leader(int patience_ms);
/** Looks for so long whether the end comes before its time. */
bool scenario_the_end_waits_for_who_waits(int patience_ms);
bool scenario_cached_slots_are_free_after_a_restart(void);

#endif /* SPACE_SCENARIOS_H */
