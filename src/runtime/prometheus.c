/* SPDX-License-Identifier: Apache-2.0 - see prometheus.h. No state but the caller's. */
#include "prometheus.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

const uint64_t prometheus_pause_most_ns[PROMETHEUS_PAUSES - 1] = {
    10000,   25000,   50000,    100000,   250000,    500000,    1000000,
    2500000, 5000000, 10000000, 25000000, 100000000, 250000000, 1000000000,
};

static void put(struct prometheus *p, char c)
{
    if (p->used + 1 < p->size) {
        p->text[p->used] = c;
        p->text[p->used + 1] = '\0';
    }
    p->used++;
}

static void __attribute__((format(printf, 2, 3)))
print(struct prometheus *p, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (const char *at = line; *at != '\0'; at++) {
        put(p, *at);
    }
}

void prometheus_init(struct prometheus *p, char *text, size_t size, const char *label,
                     const char *value)
{
    *p = (struct prometheus){text, size, 0, label, value};
    if (size != 0) {
        text[0] = '\0';
    }
}

void prometheus_family(struct prometheus *p, const char *name, const char *type, const char *help)
{
    print(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Name and labels, up to the space before the value. */
static void begin(struct prometheus *p, const char *name, const char *more)
{
    print(p, "%s{%s=\"", name, p->label);
    for (const char *at = p->value; *at != '\0'; at++) {
        if (*at == '\n') {
            print(p, "\\n");
        } else {
            if (*at == '\\' || *at == '"') {
                put(p, '\\');
            }
            put(p, *at);
        }
    }
    print(p, more != NULL ? "\",%s} " : "\"%s} ", more != NULL ? more : "");
}

void prometheus_integer(struct prometheus *p, const char *name, const char *more, uint64_t value)
{
    begin(p, name, more);
    print(p, "%" PRIu64 "\n", value);
}

void prometheus_seconds(struct prometheus *p, const char *name, const char *more, uint64_t ns)
{
    begin(p, name, more);
    print(p, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
}

void prometheus_gauge(struct prometheus *p, const char *name, const char *help, uint64_t value)
{
    prometheus_family(p, name, "gauge", help);
    prometheus_integer(p, name, NULL, value);
}

void prometheus_counter(struct prometheus *p, const char *name, const char *help, uint64_t value)
{
    prometheus_family(p, name, "counter", help);
    prometheus_integer(p, name, NULL, value);
}

void prometheus_pauses(struct prometheus *p, const char *name, const char *help,
                       const uint64_t count[PROMETHEUS_PAUSES], uint64_t sum_ns)
{
    char full[128], bucket[64];
    uint64_t cumulative = 0;
    prometheus_family(p, name, "histogram", help);
    snprintf(full, sizeof full, "%s_bucket", name);
    for (unsigned i = 0; i < PROMETHEUS_PAUSES; i++) {
        cumulative += count[i];
        if (i + 1 < PROMETHEUS_PAUSES) {
            uint64_t most = prometheus_pause_most_ns[i];
            snprintf(bucket, sizeof bucket, "le=\"%" PRIu64 ".%06" PRIu64 "\"", most / 1000000000,
                     most % 1000000000 / 1000);
        } else {
            snprintf(bucket, sizeof bucket, "le=\"+Inf\"");
        }
        prometheus_integer(p, full, bucket, cumulative);
    }
    snprintf(full, sizeof full, "%s_sum", name);
    prometheus_seconds(p, full, NULL, sum_ns);
    snprintf(full, sizeof full, "%s_count", name);
    prometheus_integer(p, full, NULL, cumulative);
}
