/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_counters.c - keeps the engine's counters (snap_counters.h). Written with relaxed atomics
 * by the thread that takes the snapshot, and a few by any thread; read by any thread.
 */
#include "snapshot_internal.h"

#include <string.h>

_Static_assert(sizeof(struct snap_counters) % sizeof(uint64_t) == 0, "counters are words only");

static void count_result(struct snap_counters *counters, int result)
{
    uint64_t *counter = &counters->refused_other;
    switch (result) {
    case 0: counter = &counters->snapshots; break;
    case PHANTOM_ENOSPACE: counter = &counters->refused_space; break;
    case PHANTOM_ETIMEOUT: counter = &counters->refused_timeout; break;
    case PHANTOM_EPOISONED: counter = &counters->failed; break;
    default: break;
    }
    snap_engine_count(counter, 1);
}

void snap_engine_count_snapshot(struct snap_engine *engine, int result,
                                const struct snap_report *report)
{
    struct snap_counters *counters = &engine->counters;
    if (!report->unchanged) {
        count_result(counters, result);
    }
    snap_engine_count(&counters->pages_live, report->pages_live);
    snap_engine_count(&counters->pages_stopped, report->pages_stopped);
    snap_engine_count(&counters->live_rounds, report->live_rounds);
    snap_engine_count(&counters->writes_stopped, report->writes_stopped);
    snap_engine_count_most(&counters->staging_most, engine->round.staging_most);
    if (result == 0 && !report->unchanged) {
        snap_engine_count(&counters->pages_written, report->generation.pages_written);
        snap_engine_count(&counters->bytes_written, report->generation.bytes_written);
    }
    if (report->pause_ns != 0) { /* the world was stopped */
        snap_engine_count(report->by_marks ? &counters->stops_by_marks : &counters->stops_by_scan,
                          1);
        snap_engine_count(&counters->pause_ns, report->pause_ns);
        snap_engine_count_most(&counters->pause_most_ns, report->pause_ns);
        snap_engine_count(&counters->pause_histogram[snap_pause_bucket(report->pause_ns)], 1);
    }
    snap_engine_count(&counters->stop_wait_ns, report->stop_wait_ns);
    snap_engine_count_most(&counters->stop_wait_most_ns, report->stop_wait_ns);
}

void snap_engine_counters(const struct snap_engine *engine, struct snap_counters *out)
{
    const uint64_t *from = (const uint64_t *)(const void *)&engine->counters;
    uint64_t words[sizeof(*out) / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
    memcpy(out, words, sizeof(*out));
}

void snap_engine_count_coalesced(struct snap_engine *engine)
{
    snap_engine_count(&engine->counters.coalesced, 1);
}
