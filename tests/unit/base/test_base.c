/* SPDX-License-Identifier: Apache-2.0 */
#include "ph_error.h"
#include "ph_log.h"
#include "ph_memory.h"
#include "ph_rng.h"
#include "ph_test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void every_error_has_its_own_name_and_text(void **state)
{
    (void)state;
#define CHECK_ROW(name, number, text)                                                              \
    assert_string_equal(phantom_err_name(PHANTOM_##name), "PHANTOM_" #name);                       \
    assert_string_equal(phantom_strerror(PHANTOM_##name), text);
    PHANTOM_ERROR_MAP(CHECK_ROW)
#undef CHECK_ROW
    assert_string_equal(phantom_err_name(-EIO), "EIO");
    assert_string_equal(phantom_strerror(-77777), "unknown error");
}

static void fail_fills_the_message_and_returns_the_code(void **state)
{
    (void)state;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(ph_fail(&diag, -EIO, "page %d", 7), -EIO);
    assert_string_equal(diag.text, "page 7");
    assert_int_equal(ph_fail(NULL, PHANTOM_EINVALID, "nobody listens"), PHANTOM_EINVALID);
    assert_int_equal(ph_fail(&diag, -EIO, "%s: again", diag.text), -EIO); /* its own text in it */
    assert_string_equal(diag.text, "page 7: again");
}

static void a_message_with_a_long_path_names_the_cause(void **state)
{
    (void)state;
    static const size_t lengths[] = {480, 490, 500, 503, 504, 600, 4095, 8190, 9000};
    static char path[9001];
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct {
            struct phantom_diag diag;
            char guard[16];
        } room = {PHANTOM_DIAG_INIT, "untouched"};
        memset(path, 'a', lengths[i]);
        path[lengths[i]] = '\0';
        (void)ph_fail(&room.diag, -EIO, "/%s: no such thing", path);
        size_t length = strlen(room.diag.text);
        assert_true(length < sizeof(room.diag.text));
        assert_memory_equal(room.diag.text, "/aaa", 4);
        if (lengths[i] < 8000) { /* beyond, the beginning at least */
            assert_string_equal(room.diag.text + length - 15, ": no such thing");
        }
        assert_string_equal(room.guard, "untouched");
    }
}

static void armed_allocation_fails_once_or_for_ever(void **state)
{
    (void)state;
    int64_t before = ph_memory_live_blocks();
    ph_memory_fail_after(1, false);
    void *first = ph_alloc(10);
    assert_non_null(first);
    assert_null(ph_alloc(10));
    assert_true(ph_memory_has_failed());
    void *third = ph_alloc(10);
    assert_non_null(third);
    ph_free(first);
    ph_free(third);
    ph_memory_fail_after(0, true);
    assert_null(ph_zalloc(1, 10));
    assert_null(ph_alloc_aligned(64, 64));
    ph_memory_fail_after(-1, false);
    assert_int_equal(ph_memory_live_blocks(), before);
}

static void keep_message(void *context, enum ph_log_level level, const char *message)
{
    (void)level;
    snprintf(context, 64, "%s", message);
}

static void log_sink_hears_what_is_serious_enough(void **state)
{
    (void)state;
    char heard[64] = "";
    ph_log(PH_LOG_ERROR, "nobody listens");
    ph_log_set_sink(keep_message, heard, PH_LOG_WARNING);
    ph_log(PH_LOG_WARNING, "page %d", 7);
    ph_log(PH_LOG_INFO, "too small");
    ph_log_set_sink(NULL, NULL, PH_LOG_ERROR);
    ph_log(PH_LOG_ERROR, "nobody listens");
    assert_string_equal(heard, "page 7");
}

static void random_numbers_repeat_with_their_seed(void **state)
{
    (void)state;
    struct ph_rng a, b;
    ph_rng_init(&a, 42);
    ph_rng_init(&b, 42);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = ph_rng_below(&a, 10);
        assert_in_range(x, 0, 9);
        assert_int_equal(x, ph_rng_below(&b, 10));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_own_name_and_text),
        cmocka_unit_test(fail_fills_the_message_and_returns_the_code),
        cmocka_unit_test(a_message_with_a_long_path_names_the_cause),
        cmocka_unit_test(armed_allocation_fails_once_or_for_ever),
        cmocka_unit_test(log_sink_hears_what_is_serious_enough),
        cmocka_unit_test(random_numbers_repeat_with_their_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
