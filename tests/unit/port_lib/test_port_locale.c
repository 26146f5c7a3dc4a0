/* SPDX-License-Identifier: Apache-2.0
 *
 * test_port_locale.c - numbers have a point in a host whose locale has a comma. Skipped, with the
 * reason, where such a locale cannot be made.
 */
#include "comma_locale.h"
#include "ph_test.h"

#include <ph_io.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void numbers_have_a_point(void **state)
{
    char text[80];
    (void)state;
    (void)snprintf(text, sizeof(text), "%.1f", 0.5);
    assert_string_equal(text, "0,5"); /* the C library: or nothing would be shown here */
    assert_int_equal(ph_snprintf(text, sizeof(text), "%.1f %e %g %#.0f", 0.5, 0.25, 1.5, 2.0), 23);
    assert_string_equal(text, "0.5 2.500000e-01 1.5 2.");
    (void)snprintf(text, sizeof(text), "%.1f", 0.5);
    assert_string_equal(text, "0,5"); /* the host's locale is what it was */
}

static void numbers_are_read_with_a_point(void **state)
{
    double value = 0;
    (void)state;
    assert_int_equal(ph_sscanf("0.5", "%lf", &value), 1);
    assert_true(value == 0.5);
    assert_int_equal(sscanf("0,5", "%lf", &value), 1);
    assert_true(value == 0.5);
}

static void *print_much(void *argument)
{
    char text[40];
    for (int i = 0; i < 2000; i++) {
        (void)ph_snprintf(text, sizeof(text), "%.2f", i / 4.0);
        if (strchr(text, '.') == NULL || strchr(text, ',') != NULL) {
            *(int *)argument = 1;
        }
    }
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    pthread_t thread[4];
    int wrong[4] = {0};
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, print_much, &wrong[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

int main(void)
{
    if (!comma_locale_set()) {
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_a_point),
        cmocka_unit_test(numbers_are_read_with_a_point),
        cmocka_unit_test(threads_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
