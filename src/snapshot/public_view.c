/* SPDX-License-Identifier: Apache-2.0
 *
 * public_view.c - generations and the engine's counters as the public interface shows them, of a
 * world and of a space. Owns nothing.
 */
#include "snap_counters.h"
#include "snap_store.h"

#include <phantom/runtime.h>

#include <string.h>

_Static_assert((int)PHANTOM_PAUSE_BUCKETS == (int)SNAP_PAUSE_BUCKETS, "one histogram");
_Static_assert((int)PHANTOM_PHASES == (int)SNAP_PHASES, "the same phases");

void snap_counters_view(const struct snap_counters *from, struct phantom_counters *to)
{
    *to = (struct phantom_counters){
        .size = sizeof(*to),
        .snapshots = from->snapshots,
        .refused_space = from->refused_space,
        .refused_timeout = from->refused_timeout,
        .refused_other = from->refused_other,
        .failed = from->failed,
        .coalesced = from->coalesced,
        .pages_live = from->pages_live,
        .pages_stopped = from->pages_stopped,
        .pages_written = from->pages_written,
        .bytes_written = from->bytes_written,
        .live_rounds = from->live_rounds,
        .stops_by_marks = from->stops_by_marks,
        .stops_by_scan = from->stops_by_scan,
        .unmarked_found = from->unmarked_found,
        .pages_left_open = from->pages_left_open,
        .writes_stopped = from->writes_stopped,
        .staging_pages_most = from->staging_most,
        .pause_ns = from->pause_ns,
        .pause_most_ns = from->pause_most_ns,
        .pause_p50_ns = snap_counters_pause(from, 50),
        .pause_p99_ns = snap_counters_pause(from, 99),
        .stop_wait_ns = from->stop_wait_ns,
        .stop_wait_most_ns = from->stop_wait_most_ns,
    };
    memcpy(to->phase_ns, from->phase_ns, sizeof(to->phase_ns));
    memcpy(to->pause_histogram, from->pause_histogram, sizeof(to->pause_histogram));
}

void snap_generation_view(const struct snap_generation *from, struct phantom_generation *to)
{
    _Static_assert(sizeof(to->hash) == sizeof(from->root_sum), "all of the sum is shown");
    *to = (struct phantom_generation){.number = from->number,
                                      .parent = from->parent,
                                      .time_ns = from->time_ns,
                                      .pause_ns = from->pause_ns,
                                      .heap_pages = from->heap_pages,
                                      .live_pages = from->live_pages,
                                      .pages_written = from->pages_written,
                                      .bytes_written = from->bytes_written,
                                      .sealed = from->sealed};
    memcpy(to->hash, &from->root_sum, sizeof(to->hash));
}
