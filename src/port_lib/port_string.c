/* SPDX-License-Identifier: Apache-2.0
 *
 * port_string.c - <ph_string.h>: the C library under the port's names, and the counted functions
 * that it lacks. No state.
 */
#include "ph_string.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t ph_strlen(const char *string)
{
    return strlen(string);
}

int ph_strcmp(const char *s1, const char *s2)
{
    return strcmp(s1, s2);
}

int ph_strncmp(const char *s1, const char *s2, size_t n)
{
    return strncmp(s1, s2, n);
}

char *ph_strchr(const char *p, int ch)
{
    return strchr(p, ch);
}

char *ph_strrchr(const char *p, int ch)
{
    return strrchr(p, ch);
}

char *ph_strstr(const char *s, const char *find)
{
    return strstr(s, find);
}

char *ph_strcpy(char *to, const char *from)
{
    return strcpy(to, from);
}

char *ph_strcat(char *s, const char *add)
{
    return strcat(s, add);
}

char *ph_strncpy(char *to, const char *from, ssize_t count)
{
    size_t room = count > 0 ? (size_t)count : 0;
    size_t length = strnlen(from, room);
    memcpy(to, from, length);
    memset(to + length, 0, room - length);
    return to;
}

size_t ph_strlcpy(char *dst, const char *src, size_t siz)
{
    size_t length = strlen(src);
    if (siz > 0) {
        size_t fits = length < siz ? length : siz - 1;
        memcpy(dst, src, fits);
        dst[fits] = '\0';
    }
    return length;
}

size_t ph_strlcat(char *dst, const char *src, size_t siz)
{
    size_t used = strnlen(dst, siz);
    return used + ph_strlcpy(dst + used, src, siz - used);
}

void *ph_memcpy(void *dst0, const void *src0, size_t length)
{
    return memcpy(dst0, src0, length);
}

void *ph_memmove(void *dst0, const void *src0, size_t length)
{
    return memmove(dst0, src0, length);
}

void *ph_memset(void *dst0, int c0, size_t length)
{
    return memset(dst0, c0, length);
}

int ph_memcmp(const void *s1v, const void *s2v, size_t size)
{
    return memcmp(s1v, s2v, size);
}

void *ph_memchr(const void *s, int c, size_t n)
{
    return memchr(s, c, n);
}

long ph_strtol(const char *nptr, char **endptr, int base)
{
    return strtol(nptr, endptr, base);
}

unsigned long ph_strtoul(const char *nptr, char **endptr, int base)
{
    return strtoul(nptr, endptr, base);
}

int64_t ph_strtoq(const char *nptr, char **endptr, int base)
{
    return strtoll(nptr, endptr, base);
}

u_int64_t ph_strtouq(const char *nptr, char **endptr, int base)
{
    return strtoull(nptr, endptr, base);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The decimal number at the start of the n bytes; kept between the limits. */
static long counted_number(const char *str, size_t n, long least, long most)
{
    size_t at = 0;
    bool negative = false;
    while (at < n && is_space(str[at])) {
        at++;
    }
    if (at < n && (str[at] == '-' || str[at] == '+')) {
        negative = str[at] == '-';
        at++;
    }
    long value = 0; /* negative or 0: the range is larger there */
    for (; at < n && str[at] >= '0' && str[at] <= '9'; at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, str[at] - '0', &value)) {
            return negative ? least : most;
        }
    }
    if (!negative) {
        return value < -most ? most : -value;
    }
    return value < least ? least : value;
}

long ph_atoln(const char *str, size_t n)
{
    return counted_number(str, n, LONG_MIN, LONG_MAX);
}

int ph_atoin(const char *str, size_t n)
{
    return (int)counted_number(str, n, INT_MIN, INT_MAX);
}

long ph_atol(const char *nptr)
{
    return ph_atoln(nptr, strlen(nptr));
}

int ph_atoi(const char *nptr)
{
    return ph_atoin(nptr, strlen(nptr));
}

char *ph_strnstrn(const char *s1, int l1, const char *s2, int l2)
{
    if (l1 < 0 || l2 < 0) {
        return NULL;
    }
    return memmem(s1, (size_t)l1, s2, (size_t)l2);
}

void ph_qsort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *))
{
    qsort(base, n, size, compare);
}

double ph_pow(double x, double y)
{
    return pow(x, y);
}
