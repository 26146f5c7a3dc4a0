/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pvm_number_text.c - texts of numbers, which a world keeps, do not depend on the locale of
 * the host that it runs in. Skipped, with the reason, where a locale with a comma cannot be made.
 */
#include "comma_locale.h"
#include "ph_test.h"
#include "pvm_number_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void check(double value, const char *expected)
{
    char text[PVM_NUMBER_TEXT];
    pvm_double_text(value, text);
    assert_string_equal(text, expected);
    pvm_float_text((float)value, text);
    assert_string_equal(text, expected);
}

static void texts_have_a_point(void **state)
{
    char text[PVM_NUMBER_TEXT];
    (void)state;
    (void)snprintf(text, sizeof(text), "%g", 0.5);
    assert_string_equal(text, "0,5"); /* the C library: or nothing would be shown here */
    check(0.5, "0.5");
    check(-2.25, "-2.25");
    check(3, "3.0");
    check(0, "0.0");
    check(1e30, "1e+30");
    check(-1.5e-20, "-1.5e-20");
    check(INFINITY, "inf");
    check(-INFINITY, "-inf");
    pvm_double_text(0.1 + 0.2, text); /* all digits */
    assert_string_equal(text, "0.30000000000000004");
}

int main(void)
{
    if (!comma_locale_set()) {
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_a_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
