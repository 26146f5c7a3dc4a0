/* SPDX-License-Identifier: Apache-2.0
 *
 * store_prometheus.c - what a store says about itself, as Prometheus reads it.
 */
#include "prometheus.h"
#include "store_view.h"

#include "ph_memory.h"

#include <errno.h>

static void put_space(struct prometheus *p, const struct phantom_store_info *info)
{
    prometheus_gauge(p, "phantom_store_file_bytes", "Length of the store file.", info->file_bytes);
    prometheus_gauge(p, "phantom_store_data_used_bytes",
                     "Data area in use by retained generations.", info->data_bytes_used);
    prometheus_gauge(p, "phantom_store_data_free_bytes", "Data area that can be used again.",
                     info->data_bytes_free);
    prometheus_gauge(p, "phantom_store_metadata_bytes", "Superblocks, seal and record ring.",
                     info->metadata_bytes);
    prometheus_gauge(p, "phantom_store_heap_bytes", "Address range of the heap.", info->heap_size);
    prometheus_gauge(p, "phantom_store_live_bytes",
                     "Pages of the newest generation that are not "
                     "all zeros.",
                     info->current.live_pages * 4096);
}

static void put_newest(struct prometheus *p, const struct phantom_generation *g, int64_t now_ns)
{
    uint64_t time = g->time_ns > 0 ? (uint64_t)g->time_ns : 0;
    uint64_t age = now_ns > g->time_ns && g->time_ns >= 0 ? (uint64_t)(now_ns - g->time_ns) : 0;
    prometheus_gauge(p, "phantom_store_generation_number", "Number of the newest generation.",
                     g->number);
    prometheus_family(p, "phantom_store_generation_timestamp_seconds", "gauge",
                      "Wall clock at the cut of the newest generation, since 1970.");
    prometheus_seconds(p, "phantom_store_generation_timestamp_seconds", NULL, time);
    prometheus_family(p, "phantom_store_generation_age_seconds", "gauge",
                      "Time since the cut of the newest generation.");
    prometheus_seconds(p, "phantom_store_generation_age_seconds", NULL, age);
    prometheus_gauge(p, "phantom_store_generation_written_bytes",
                     "What the newest generation wrote, metadata included.", g->bytes_written);
    prometheus_gauge(p, "phantom_store_sealed", "1 if the newest generation is sealed.",
                     g->sealed ? 1 : 0);
}

static void put_history(struct prometheus *p, const struct snap_generation *list, size_t count,
                        size_t tags, uint64_t unreadable)
{
    uint64_t pauses[PROMETHEUS_PAUSES] = {0}, sum = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned bucket = 0;
        while (bucket + 1 < PROMETHEUS_PAUSES &&
               list[i].pause_ns > prometheus_pause_most_ns[bucket]) {
            bucket++;
        }
        pauses[bucket]++;
        sum += list[i].pause_ns;
        bytes += list[i].bytes_written;
    }
    prometheus_gauge(p, "phantom_store_generations", "Retained generations.", count);
    prometheus_gauge(p, "phantom_store_unreadable_generations",
                     "Retained generations whose records, or catalog, are damaged.", unreadable);
    prometheus_gauge(p, "phantom_store_tags", "Tags that pin generations.", tags);
    prometheus_gauge(p, "phantom_store_retained_written_bytes",
                     "What all retained generations wrote.", bytes);
    prometheus_pauses(p, "phantom_store_pause_seconds",
                      "How long the world stood still for each retained generation.", pauses, sum);
}

int phantom_store_prometheus(const struct phantom_store *store,
                             const struct phantom_recovery *recovery, int64_t now_ns, char *text,
                             size_t size, struct phantom_diag *diag)
{
    struct prometheus p;
    struct phantom_store_info info;
    size_t count = 0, tags = 0;
    struct snap_generation *list = store_generations(store->store, &count);
    struct snap_tag *tag = store_tags(store->store, &tags);
    if (list == NULL || tag == NULL) {
        ph_free(list);
        ph_free(tag);
        return ph_fail(diag, -ENOMEM, "no memory for the generations");
    }
    phantom_store_info(store, &info);
    prometheus_init(&p, text, size, "store", store->io->path);
    put_space(&p, &info);
    put_newest(&p, &info.current, now_ns);
    put_history(&p, list, count, tags, info.unreadable);
    if (recovery != NULL) {
        prometheus_gauge(&p, "phantom_store_incomplete_generation",
                         "Number of a newer generation that a crash left unfinished, 0: none.",
                         recovery->incomplete);
        prometheus_gauge(&p, "phantom_store_torn_records", "Commit records found torn at opening.",
                         recovery->torn_records);
    }
    ph_free(list);
    ph_free(tag);
    return p.used <= INT32_MAX ? (int)p.used : -EOVERFLOW;
}
