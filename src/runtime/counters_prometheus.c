/* SPDX-License-Identifier: Apache-2.0
 *
 * counters_prometheus.c - the counters of a running world, as Prometheus reads them. No state.
 */
#include "prometheus.h"

#include <phantom/runtime.h>

#include <errno.h>

/* Pauses in the engine's fine buckets, added up in the coarse ones that are exported: a bucket goes
 * where its longest pause belongs, so that none is told shorter than it was. */
static void coarsen(const struct phantom_counters *counters, uint64_t out[PROMETHEUS_PAUSES])
{
    for (unsigned i = 0; i < PHANTOM_PAUSE_BUCKETS; i++) {
        unsigned bucket = 0;
        while (bucket + 1 < PROMETHEUS_PAUSES &&
               phantom_pause_bucket_most(i) > prometheus_pause_most_ns[bucket]) {
            bucket++;
        }
        out[bucket] += counters->pause_histogram[i];
    }
}

static void put_phases(struct prometheus *p, const uint64_t phase_ns[PHANTOM_PHASES])
{
    static const char *const phases[PHANTOM_PHASES] = {"phase=\"reserve\"", "phase=\"precopy\"",
                                                       "phase=\"stop\"",    "phase=\"write\"",
                                                       "phase=\"commit\"",  "phase=\"retire\""};
    prometheus_family(p, "phantom_phase_seconds_total", "counter", "Time in each phase.");
    for (unsigned i = 0; i < PHANTOM_PHASES; i++) {
        prometheus_seconds(p, "phantom_phase_seconds_total", phases[i], phase_ns[i]);
    }
}

int phantom_counters_prometheus(const struct phantom_counters *counters, const char *label,
                                char *text, size_t size)
{
    struct prometheus p;
    uint64_t pauses[PROMETHEUS_PAUSES] = {0};
    if (counters->size != sizeof(*counters) || label == NULL) {
        return PHANTOM_EINVALID;
    }
    prometheus_init(&p, text, size, "world", label);
    prometheus_counter(&p, "phantom_snapshots_total", "Committed.", counters->snapshots);
    prometheus_family(&p, "phantom_snapshots_refused_total", "counter",
                      "Not taken; the world ran on.");
    prometheus_integer(&p, "phantom_snapshots_refused_total", "reason=\"space\"",
                       counters->refused_space);
    prometheus_integer(&p, "phantom_snapshots_refused_total", "reason=\"timeout\"",
                       counters->refused_timeout);
    prometheus_integer(&p, "phantom_snapshots_refused_total", "reason=\"other\"",
                       counters->refused_other);
    prometheus_counter(&p, "phantom_snapshots_failed_total", "A write or flush failed.",
                       counters->failed);
    prometheus_counter(&p, "phantom_snapshots_coalesced_total",
                       "Requests that shared the snapshot of another.", counters->coalesced);
    prometheus_counter(&p, "phantom_copied_live_pages_total", "Copied while the world ran.",
                       counters->pages_live);
    prometheus_counter(&p, "phantom_copied_stopped_pages_total", "Copied while it was stopped.",
                       counters->pages_stopped);
    prometheus_counter(&p, "phantom_left_open_pages_total",
                       "Of those, left unprotected: no fault when written again.",
                       counters->pages_left_open);
    prometheus_counter(&p, "phantom_written_pages_total", "Data pages of committed generations.",
                       counters->pages_written);
    prometheus_counter(&p, "phantom_written_bytes_total", "All that committed generations wrote.",
                       counters->bytes_written);
    coarsen(counters, pauses);
    prometheus_pauses(&p, "phantom_pause_seconds", "How long the world stood still.", pauses,
                      counters->pause_ns);
    put_phases(&p, counters->phase_ns);
    return p.used <= INT32_MAX ? (int)p.used : -EOVERFLOW;
}
