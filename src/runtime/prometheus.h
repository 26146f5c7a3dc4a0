/* SPDX-License-Identifier: Apache-2.0
 *
 * prometheus.h - text in the exposition format 0.0.4, written into a caller's buffer.
 *
 * snprintf's contract: `used` counts what there would be, so that a buffer that was too small shows
 * how large it must be. Each family is begun once, before its samples.
 */
#ifndef PROMETHEUS_H
#define PROMETHEUS_H

#include <stddef.h>
#include <stdint.h>

struct prometheus {
    char *text;
    size_t size, used;
    const char *label, *value; /* of every sample; value is escaped on the way */
};

void prometheus_init(struct prometheus *p, char *text, size_t size, const char *label,
                     const char *value);
/** HELP and TYPE of a family. `type`: "gauge", "counter" (then the name ends in _total) or
 * "histogram". */
void prometheus_family(struct prometheus *p, const char *name, const char *type, const char *help);
/** One sample; `more` is more labels, as text, or NULL. */
void prometheus_integer(struct prometheus *p, const char *name, const char *more, uint64_t value);
void prometheus_seconds(struct prometheus *p, const char *name, const char *more, uint64_t ns);
/** A family of one sample. */
void prometheus_gauge(struct prometheus *p, const char *name, const char *help, uint64_t value);
void prometheus_counter(struct prometheus *p, const char *name, const char *help, uint64_t value);

/** Buckets of a histogram of pauses: upper ends in nanoseconds, the last one is infinite. */
enum { PROMETHEUS_PAUSES = 15 };
extern const uint64_t prometheus_pause_most_ns[PROMETHEUS_PAUSES - 1];
/** A whole histogram family of times; count[] is not cumulative. */
void prometheus_pauses(struct prometheus *p, const char *name, const char *help,
                       const uint64_t count[PROMETHEUS_PAUSES], uint64_t sum_ns);

#endif /* PROMETHEUS_H */
