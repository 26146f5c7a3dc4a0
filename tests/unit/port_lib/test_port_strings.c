/* SPDX-License-Identifier: Apache-2.0
 * Strings, numbers in strings, formats and memory of the port. */
#include "ph_test.h"

#include <hashfunc.h>
#include <limits.h>
#include <math.h>
#include <ph_io.h>
#include <ph_malloc.h>
#include <ph_random.h>
#include <ph_string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void strncpy_zeroes_the_rest_and_takes_no_negative_count(void **state)
{
    (void)state;
    char to[8];
    memset(to, 'x', sizeof(to));
    assert_ptr_equal(ph_strncpy(to, "ab", 5), to);
    assert_memory_equal(to, "ab\0\0\0xxx", 8);
    memset(to, 'x', sizeof(to));
    ph_strncpy(to, "abcdefgh", 3);
    assert_memory_equal(to, "abcxxxxx", 8);
    ph_strncpy(to, "q", -5);
    assert_memory_equal(to, "abcxxxxx", 8);
}

static void strlcpy_and_strlcat_always_terminate_and_say_what_was_needed(void **state)
{
    (void)state;
    char to[6] = "?????";
    assert_int_equal(ph_strlcpy(to, "abcdefgh", sizeof(to)), 8);
    assert_string_equal(to, "abcde");
    assert_int_equal(ph_strlcpy(to, "z", 0), 1);
    assert_string_equal(to, "abcde");
    assert_int_equal(ph_strlcpy(to, "ab", sizeof(to)), 2);
    assert_int_equal(ph_strlcat(to, "cdefg", sizeof(to)), 7);
    assert_string_equal(to, "abcde");
    char full[3] = {'a', 'b', 'c'}; /* not terminated: nothing is written */
    assert_int_equal(ph_strlcat(full, "d", sizeof(full)), 4);
    assert_memory_equal(full, "abc", 3);
}

static void counted_numbers_read_their_last_digit_and_stop_at_the_count(void **state)
{
    (void)state;
    assert_int_equal(ph_atoin("123", 3), 123);
    assert_int_equal(ph_atoin("123", 2), 12);
    assert_int_equal(ph_atoin("-7x", 3), -7);
    assert_int_equal(ph_atoin("  +42", 5), 42);
    assert_int_equal(ph_atoin("", 0), 0);
    assert_int_equal(ph_atoin("-", 1), 0);
    char unterminated[3] = {'9', '8', '7'};
    assert_int_equal(ph_atoin(unterminated, sizeof(unterminated)), 987);
    assert_int_equal(ph_atol("12345678901"), 12345678901);
}

static void numbers_that_do_not_fit_become_the_limit(void **state)
{
    (void)state;
    assert_int_equal(ph_atoin("99999999999", 11), INT_MAX);
    assert_int_equal(ph_atoin("-99999999999", 12), INT_MIN);
    assert_int_equal(ph_atoin("-2147483648", 11), INT_MIN);
    assert_int_equal(ph_atoin("2147483648", 10), INT_MAX);
    assert_true(ph_atoln("9223372036854775807", 19) == LONG_MAX);
    assert_true(ph_atoln("9223372036854775808", 19) == LONG_MAX);
    assert_true(ph_atoln("-9223372036854775808", 20) == LONG_MIN);
    assert_true(ph_atoln("-99999999999999999999999", 24) == LONG_MIN);
}

static void counted_search_finds_only_what_is_inside(void **state)
{
    (void)state;
    const char *text = "abcabd";
    assert_ptr_equal(ph_strnstrn(text, 6, "abd", 3), text + 3);
    assert_null(ph_strnstrn(text, 5, "abd", 3));
    assert_ptr_equal(ph_strnstrn(text, 6, "", 0), text);
    assert_null(ph_strnstrn(text, -1, "a", 1));
    assert_null(ph_strnstrn(text, 6, "a", -1));
    assert_null(ph_strnstrn(text, 0, "a", 1));
}

static void libc_under_other_names_behaves_like_libc(void **state)
{
    (void)state;
    char *end = NULL;
    assert_int_equal(ph_strtol("0x1fz", &end, 0), 31);
    assert_int_equal(*end, 'z');
    assert_true(ph_strtouq("18446744073709551615", NULL, 10) == UINT64_MAX);
    assert_true(ph_pow(2, 10) == 1024.0 && ph_pow(9, 0.5) == 3.0);
    char buffer[16] = "ab";
    assert_string_equal(ph_strcat(buffer, "cd"), "abcd");
    assert_ptr_equal(ph_strchr(buffer, 'c'), buffer + 2);
    assert_null(ph_strchr(buffer, 'z'));
    assert_true(ph_strcmp("a", "b") < 0 && ph_strncmp("ab", "ac", 1) == 0);
    assert_int_equal(ph_memcmp("ab", "ab", 2), 0);
    char *copy = ph_strdup("copy");
    assert_string_equal(copy, "copy");
    ph_free(copy);
}

static void hash_is_the_one_of_class_files(void **state)
{
    (void)state;
    const char *text = "abcdefghij";
    assert_int_equal(calc_hash("", NULL), 0);
    assert_int_equal(calc_hash("a", NULL), 'a');
    assert_int_equal(calc_hash("ab", NULL), ('a' << 4) + 'b');
    assert_int_equal(calc_hash(text, NULL), calc_hash(text, text + 10));
    assert_int_not_equal(calc_hash(text, text + 9), calc_hash(text, NULL));
    unsigned int expected = 0; /* the definition, computed the long way */
    for (const char *at = text; *at != '\0'; at++) {
        uint64_t wide = ((uint64_t)expected << 4) + (uint64_t)*at;
        unsigned int h = (unsigned int)wide;
        unsigned int high = h & 0xF0000000u;
        expected = high != 0 ? (h ^ (high >> 24)) & 0x0FFFFFFFu : h;
    }
    assert_int_equal(calc_hash(text, NULL), expected);
    char negative[2] = {(char)0xFF, 0};
    assert_int_equal(calc_hash(negative, NULL), 0x0FFFFF0Fu); /* bytes are signed */
}

static void blocks_keep_their_patterns_while_others_are_freed(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    unsigned char *blocks[COUNT];
    int64_t before = phantom_heap_bytes_consumed();
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = ph_malloc((size_t)(13 * (i + 1)));
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        memset(blocks[i], i, (size_t)(13 * (i + 1)));
    }
    for (int i = 0; i < COUNT; i += 2) {
        ph_free(blocks[i]);
    }
    for (int i = 1; i < COUNT; i += 2) {
        for (int k = 0; k < 13 * (i + 1); k++) {
            assert_int_equal(blocks[i][k], i);
        }
        ph_free(blocks[i]);
    }
    (void)before;
    assert_true(phantom_heap_bytes_consumed() >= 0);
    assert_null(ph_calloc(SIZE_MAX / 2, 3));
    ph_free(NULL);
}

static void random_numbers_differ_and_are_not_negative(void **state)
{
    (void)state;
    long first = ph_random();
    bool differs = false;
    for (int i = 0; i < 20; i++) {
        long next = ph_random();
        assert_true(next >= 0);
        differs |= next != first;
    }
    assert_true(differs);
}

/* ---- formats ------------------------------------------------------------------------------- */

/* Ours against the C library's. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        char ours_[2048], theirs_[2048];                                                           \
        int a_ = ph_snprintf(ours_, sizeof(ours_), __VA_ARGS__);                                   \
        int b_ = snprintf(theirs_, sizeof(theirs_), __VA_ARGS__);                                  \
        assert_string_equal(ours_, theirs_);                                                       \
        assert_int_equal(a_, b_);                                                                  \
    } while (0)

#define GIVES(expected, ...)                                                                       \
    do {                                                                                           \
        char ours_[512];                                                                           \
        int length_ = ph_snprintf(ours_, sizeof(ours_), __VA_ARGS__);                              \
        assert_string_equal(ours_, expected);                                                      \
        assert_int_equal(length_, (int)strlen(expected));                                          \
    } while (0)

static void formats_of_c_are_those_of_c(void **state)
{
    (void)state;
    SAME("plain %% text");
    SAME("%d %i %u %o %x %X", -5, 6, 7u, 8u, 255u, 255u);
    SAME("[%5d] [%-5d] [%05d] [%+d] [% d] [%5.3d] [%.0d]", 42, 42, 42, 42, 42, 42, 1);
    SAME("[%#x] [%#o] [%#X] [%#x] [%08x] [%#.4o]", 255u, 8u, 255u, 0u, 48879u, 8u);
    SAME("%hhd %hd %ld %lld %jd %zd %td", (signed char)-1, (short)-2, -3L, -4LL, (intmax_t)-5,
         (ssize_t)-6, (ptrdiff_t)-7);
    SAME("%hhu %hu %lu %llu %zu", (unsigned char)255, (unsigned short)65535, ULONG_MAX, ULLONG_MAX,
         SIZE_MAX);
    SAME("%ld %ld", LONG_MIN, LONG_MAX);
    SAME("[%s] [%10s] [%-10s] [%.2s] [%c] [%3c]", "abc", "abc", "abc", "abc", 'x', 'y');
    SAME("%p", (void *)0x1234abcd);
    SAME("%f %.0f %.10f %5.1f %-8.2f| %+f %08.3f", 3.14159, 2.5, 1.0 / 3, 2.25, 1.5, 1.0, -1.5);
    SAME("%e %.3E %g %G %g %g %#g", 12345.678, 0.00012, 0.0001, 1e10, 1e-5, 100000.0, 1.0);
    SAME("%f %F %e %5.1f %g", INFINITY, NAN, -INFINITY, INFINITY, -0.0);
    SAME("%.3s%*d%-*d|", "abcdef", 5, 1, 4, 2);
    SAME("%f %.20f", 1e308, 1e-10);
}

static void bits_are_named(void **state)
{
    (void)state;
    GIVES("3<two,one>", "%b", 3u, "\10\2two\1one");
    GIVES("0", "%b", 0u, "\20\1one");
    GIVES("80000001<top,low>", "%b", 0x80000001u, "\20\40top\1low");
    GIVES("c<3,2>!", "%b!", 12u,
          "\20\4"
          "3"
          "\3"
          "2");
}

static void bytes_are_dumped(void **state)
{
    (void)state;
    const unsigned char bytes[6] = {0, 1, 0xAB, 0xCD, 0xEF, 0x10};
    GIVES("00:01:ab:cd:ef:10", "%6D", bytes, ":");
    GIVES("00", "%1D", bytes, ":");
    GIVES("(null)", "%6D", (void *)NULL, ":");
}

static void hostile_formats_do_no_harm(void **state)
{
    (void)state;
    char small[8];
    memset(small, 'x', sizeof(small));
    /* a conversion that is none is printed; %n writes nowhere */
    GIVES("%y", "%y");
    GIVES("100%", "100%");
    GIVES("%5", "%5");
    GIVES("%n", "%n");
    GIVES("%.*Q", "%.*Q", 5);
    GIVES("(null)", "%s", (char *)NULL);
    /* widths beyond all bounds cost no time and no memory */
    assert_int_equal(ph_snprintf(small, sizeof(small), "%999999999d", 1), 999999999);
    assert_string_equal(small, "       ");
    assert_int_equal(ph_snprintf(small, sizeof(small), "%99999999999999999999d", 1), INT_MAX);
    assert_int_equal(ph_snprintf(small, sizeof(small), "%*d", INT_MIN, 1), INT_MAX);
    assert_string_equal(small, "1      ");
    assert_int_equal(ph_snprintf(small, sizeof(small), "%.999999999d", 1), 999999999);
    assert_true(ph_snprintf(small, sizeof(small), "%.999999999f", 1.0) == 1000000001);
    assert_int_equal(ph_snprintf(small, sizeof(small), "%.2147483647s", "ab"), 2);
    /* more than an int: the count says INT_MAX, the text is cut */
    assert_int_equal(ph_snprintf(small, sizeof(small), "%2147483647d%2147483647d", 1, 2), INT_MAX);
    /* a tiny buffer, none at all */
    assert_int_equal(ph_snprintf(small, 1, "abc"), 3);
    assert_int_equal(small[0], '\0');
    small[0] = 'q';
    assert_int_equal(ph_snprintf(small, 0, "abc"), 3);
    assert_int_equal(small[0], 'q');
    /* a string that is not terminated, read up to its precision only */
    char three[3] = {'a', 'b', 'c'};
    GIVES("abc", "%.3s", three);
    /* a table of bits that is none */
    GIVES("ff", "%b", 255u, "\20zzz");
}

static void scanning_works(void **state)
{
    (void)state;
    int number = 0;
    char word[8];
    assert_int_equal(ph_sscanf("17 abc", "%d %7s", &number, word), 2);
    assert_int_equal(number, 17);
    assert_string_equal(word, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strncpy_zeroes_the_rest_and_takes_no_negative_count),
        cmocka_unit_test(strlcpy_and_strlcat_always_terminate_and_say_what_was_needed),
        cmocka_unit_test(counted_numbers_read_their_last_digit_and_stop_at_the_count),
        cmocka_unit_test(numbers_that_do_not_fit_become_the_limit),
        cmocka_unit_test(counted_search_finds_only_what_is_inside),
        cmocka_unit_test(libc_under_other_names_behaves_like_libc),
        cmocka_unit_test(hash_is_the_one_of_class_files),
        cmocka_unit_test(blocks_keep_their_patterns_while_others_are_freed),
        cmocka_unit_test(random_numbers_differ_and_are_not_negative),
        cmocka_unit_test(formats_of_c_are_those_of_c),
        cmocka_unit_test(bits_are_named),
        cmocka_unit_test(bytes_are_dumped),
        cmocka_unit_test(hostile_formats_do_no_harm),
        cmocka_unit_test(scanning_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
