/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime_prometheus.c - the counters of a world as text: values, units, escapes, lengths.
 */
#include "ph_test.h"

#include <phantom/phantom.h>

#include <stdlib.h>
#include <string.h>

static void sample(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    if (at == NULL || at[-1] != '\n') {
        fail_msg("not there: %s", line);
    }
    assert_null(strstr(at + 1, line)); /* and only once */
}

static void counters_are_told_in_base_units_and_once(void **state)
{
    (void)state;
    struct phantom_counters counters = {
        .size = sizeof(counters), .snapshots = 7, .refused_space = 2};
    counters.bytes_written = 4096;
    counters.pause_ns = 1500000000;
    counters.phase_ns[4] = 250000000;
    counters.pause_histogram[0] = 3;                         /* the shortest */
    counters.pause_histogram[PHANTOM_PAUSE_BUCKETS - 1] = 1; /* without end */
    int length = phantom_counters_prometheus(&counters, "a\"b\\c\nd", NULL, 0);
    assert_true(length > 0);
    char *text = malloc((size_t)length + 1);
    assert_non_null(text);
    assert_int_equal(phantom_counters_prometheus(&counters, "a\"b\\c\nd", text, (size_t)length + 1),
                     length);
    assert_int_equal(strlen(text), length);
#define LABEL "{world=\"a\\\"b\\\\c\\nd\""
    sample(text, "phantom_snapshots_total" LABEL "} 7\n");
    sample(text, "phantom_snapshots_refused_total" LABEL ",reason=\"space\"} 2\n");
    sample(text, "phantom_written_bytes_total" LABEL "} 4096\n");
    sample(text, "phantom_pause_seconds_bucket" LABEL ",le=\"0.000010\"} 3\n");
    sample(text, "phantom_pause_seconds_bucket" LABEL ",le=\"1.000000\"} 3\n");
    sample(text, "phantom_pause_seconds_bucket" LABEL ",le=\"+Inf\"} 4\n");
    sample(text, "phantom_pause_seconds_sum" LABEL "} 1.500000000\n");
    sample(text, "phantom_pause_seconds_count" LABEL "} 4\n");
    sample(text, "phantom_phase_seconds_total" LABEL ",phase=\"commit\"} 0.250000000\n");
    sample(text, "# TYPE phantom_pause_seconds histogram\n");
    free(text);
}

static void a_short_buffer_is_filled_and_not_overrun(void **state)
{
    (void)state;
    struct phantom_counters counters = {.size = sizeof(counters)};
    char text[64];
    memset(text, 'x', sizeof(text));
    assert_true(phantom_counters_prometheus(&counters, "w", text, 32) > 64);
    assert_int_equal(strlen(text), 31);
    assert_int_equal(text[32], 'x');
    counters.size = 8;
    assert_int_equal(phantom_counters_prometheus(&counters, "w", text, 32), PHANTOM_EINVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_told_in_base_units_and_once),
        cmocka_unit_test(a_short_buffer_is_filled_and_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
