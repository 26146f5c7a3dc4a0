/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_string.h - the C library's string functions under the Genode port's names. Stability: kept
 * from the port. As the C library's, where it has one of that name, preconditions included.
 *
 * @threads any; memory that others change meanwhile is the callers' to lock
 * Never blocks.
 */
#ifndef PHANTOM_PORT_PH_STRING_H
#define PHANTOM_PORT_PH_STRING_H

#include "phantom_types.h"

/** Terminated strings; results are places in them, NULL: not found. strcat, strcpy: the caller has
 *  the room. */
size_t ph_strlen(const char *string);
int ph_strcmp(const char *s1, const char *s2);
int ph_strncmp(const char *s1, const char *s2, size_t n);
char *ph_strchr(const char *p, int ch);
char *ph_strrchr(const char *p, int ch);
char *ph_strstr(const char *s, const char *find);
char *ph_strcat(char *s, const char *add);
char *ph_strcpy(char *to, const char *from);
/** Copy at most count bytes, the rest is zeroed; count <= 0: nothing. Not terminated if full. */
char *ph_strncpy(char *to, const char *from, ssize_t count);
/** Copy or append what fits into siz bytes, always terminated (siz 0: not touched). @return the
 *  length of what was to be made; >= siz: it was cut off */
size_t ph_strlcpy(char *dst, const char *src, size_t siz);
size_t ph_strlcat(char *dst, const char *src, size_t siz);
/** A copy, ended by ph_free(). NULL: out of memory. */
char *ph_strdup(const char *);

/** Bytes, counted. memcpy: the two must not overlap. memchr: a place in s, or NULL. */
void *ph_memcpy(void *dst0, const void *src0, size_t length);
void *ph_memmove(void *dst0, const void *src0, size_t length);
void *ph_memset(void *dst0, int c0, size_t length);
int ph_memcmp(const void *s1v, const void *s2v, size_t size);
void *ph_memchr(const void *s, int c, size_t n);

/** Numbers in text. atoi and atol keep to the type's limits where the C library's are undefined;
 *  strtoq and strtouq have 64 bits. */
int ph_atoi(const char *nptr);
long ph_atol(const char *nptr);
long ph_strtol(const char *nptr, char **endptr, int base);
unsigned long ph_strtoul(const char *nptr, char **endptr, int base);
int64_t ph_strtoq(const char *nptr, char **endptr, int base);
u_int64_t ph_strtouq(const char *nptr, char **endptr, int base);
/** The number that the first n bytes say, in decimal: white space, a sign, digits; it ends at n,
 *  at a NUL or at what is no digit. What does not fit becomes the type's limit. */
int ph_atoin(const char *str, size_t n);
long ph_atoln(const char *str, size_t n);

/** First place in the l1 bytes of s1 where the l2 bytes of s2 are; NULL: none. l2 0: s1. */
char *ph_strnstrn(const char *s1, int l1, const char *s2, int l2);

/** Sort n elements of that size in place, with compare called on the calling thread; x to the power
 *  of y. */
void ph_qsort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *));
double ph_pow(double x, double y);

#endif /* PHANTOM_PORT_PH_STRING_H */
