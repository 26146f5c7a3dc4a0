/* SPDX-License-Identifier: Apache-2.0
 *
 * port_format.c - ph_vsnprintf: formats as <ph_io.h> describes them. No state, no allocation; the
 * time is bounded by the length of format and arguments and by the size of the buffer, whatever
 * width and precision say. Numbers look the same whatever locale the host has set.
 */
#include "ph_io.h"

#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* More digits than that no double has: what follows is zeros. */
#define MOST_DIGITS 1100
/* Before the point: 309. Sign, point and exponent: 8. */
#define FLOAT_TEXT (MOST_DIGITS + 320)

struct output {
    char *to;
    size_t size;
    size_t count; /* characters so far, whether there was room or not */
};

struct conversion {
    bool left, plus, space, alternative, zero;
    int width;
    int precision; /* -1: none given */
    char size;     /* 0, 'h', 'H' (hh), 'l', 'q' (ll), 'j', 'z', 't' */
    char letter;
};

static void put(struct output *out, const char *text, size_t length)
{
    if (out->count < out->size) {
        size_t room = out->size - out->count;
        memcpy(out->to + out->count, text, length < room ? length : room);
    }
    out->count += length;
}

static void put_many(struct output *out, char c, size_t times)
{
    if (out->count < out->size) {
        size_t room = out->size - out->count;
        memset(out->to + out->count, c, times < room ? times : room);
    }
    out->count += times;
}

/* A field: spaces, prefix, zeros, body, spaces. zeros: how many the precision asks for. */
static void put_field(struct output *out, const struct conversion *c, const char *prefix,
                      size_t zeros, const char *body, size_t length, size_t trailing_zeros)
{
    size_t prefix_length = strlen(prefix);
    size_t taken = prefix_length + zeros + length + trailing_zeros;
    size_t padding = (size_t)c->width > taken ? (size_t)c->width - taken : 0;
    if (!c->left && !c->zero) {
        put_many(out, ' ', padding);
    }
    put(out, prefix, prefix_length);
    if (!c->left && c->zero) {
        put_many(out, '0', padding);
    }
    put_many(out, '0', zeros);
    put(out, body, length);
    put_many(out, '0', trailing_zeros);
    if (c->left) {
        put_many(out, ' ', padding);
    }
}

/* The digits of value from the end of buffer backwards; where they begin. */
static char *digits_of(uint64_t value, unsigned base, bool capitals, char *end)
{
    const char *digits = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
    do {
        *--end = digits[value % base];
        value /= base;
    } while (value != 0);
    return end;
}

static void put_number(struct output *out, struct conversion *c, uint64_t value, bool negative,
                       unsigned base)
{
    char buffer[72];
    char *end = buffer + sizeof(buffer);
    char *begin = digits_of(value, base, c->letter == 'X', end);
    if (value == 0 && c->precision == 0) {
        begin = end;
    }
    size_t length = (size_t)(end - begin);
    size_t zeros =
        c->precision > 0 && (size_t)c->precision > length ? (size_t)c->precision - length : 0;
    const char *prefix = "";
    if (negative) {
        prefix = "-";
    } else if (c->plus && (c->letter == 'd' || c->letter == 'i')) {
        prefix = "+";
    } else if (c->space && (c->letter == 'd' || c->letter == 'i')) {
        prefix = " ";
    } else if ((c->alternative && base == 16 && value != 0) || c->letter == 'p') {
        prefix = c->letter == 'X' ? "0X" : "0x";
    } else if (c->alternative && base == 8 && zeros == 0 && (length == 0 || *begin != '0')) {
        prefix = "0";
    }
    if (c->precision >= 0) {
        c->zero = false;
    }
    put_field(out, c, prefix, zeros, begin, length, 0);
}

static uint64_t unsigned_argument(const struct conversion *c, va_list *ap)
{
    switch (c->size) {
    case 'H': return (unsigned char)va_arg(*ap, unsigned int);
    case 'h': return (unsigned short)va_arg(*ap, unsigned int);
    case 'l':
    case 'q':
    case 'j':
    case 'z':
    case 't': return va_arg(*ap, uint64_t);
    default: return va_arg(*ap, unsigned int);
    }
}

static int64_t signed_argument(const struct conversion *c, va_list *ap)
{
    switch (c->size) {
    case 'H': return (signed char)va_arg(*ap, int);
    case 'h': return (short)va_arg(*ap, int);
    case 'l':
    case 'q':
    case 'j':
    case 'z':
    case 't': return va_arg(*ap, int64_t);
    default: return va_arg(*ap, int);
    }
}

/* This thread's locale, until plain_end(): numbers have a point. The C library has this object
 * already, so that nothing is allocated and nothing can fail. */
struct plain {
    locale_t c, before;
};

static struct plain plain_begin(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return (struct plain){c, uselocale(c)};
}

static void plain_end(struct plain plain)
{
    (void)uselocale(plain.before);
    if (plain.c != (locale_t)0) {
        freelocale(plain.c);
    }
}

static void put_float(struct output *out, struct conversion *c, double value)
{
    char text[FLOAT_TEXT];
    int precision = c->precision < 0 ? 6 : c->precision;
    size_t more = 0;
    if (precision > MOST_DIGITS) {
        more = (size_t)(precision - MOST_DIGITS);
        precision = MOST_DIGITS;
    }
    bool special = isnan(value) || isinf(value);
    double size = fabs(value);
    int length = 0;
    struct plain plain = plain_begin();
    switch (c->letter) {
    case 'f':
    case 'F':
        length = c->alternative ? snprintf(text, sizeof(text), "%#.*f", precision, size)
                                : snprintf(text, sizeof(text), "%.*f", precision, size);
        break;
    case 'e':
    case 'E':
        more = 0; /* the exponent comes last */
        length = c->alternative ? snprintf(text, sizeof(text), "%#.*e", precision, size)
                                : snprintf(text, sizeof(text), "%.*e", precision, size);
        break;
    default:
        more = 0;
        length = c->alternative ? snprintf(text, sizeof(text), "%#.*g", precision, size)
                                : snprintf(text, sizeof(text), "%.*g", precision, size);
        break;
    }
    plain_end(plain);
    for (int i = 0; (c->letter == 'E' || c->letter == 'F' || c->letter == 'G') && i < length; i++) {
        if (text[i] >= 'a' && text[i] <= 'z') {
            text[i] = (char)(text[i] - 'a' + 'A');
        }
    }
    if (special) {
        c->zero = false;
        more = 0;
    }
    const char *sign = signbit(value) ? "-" : c->plus ? "+" : c->space ? " " : "";
    put_field(out, c, sign, 0, text, (size_t)length, more);
}

/* %b: a number and the names of its bits. */
static void put_bits(struct output *out, unsigned int value, const char *names)
{
    if (names == NULL || *names == '\0') {
        return;
    }
    char buffer[40];
    char *end = buffer + sizeof(buffer);
    unsigned base = (unsigned char)*names++;
    if (base < 2 || base > 16) {
        base = 16;
    }
    char *begin = digits_of(value, base, false, end);
    put(out, begin, (size_t)(end - begin));
    bool any = false;
    while (*names != '\0') {
        unsigned bit = (unsigned char)*names++;
        const char *name = names;
        while ((unsigned char)*names > ' ') {
            names++;
        }
        if (bit >= 1 && bit <= 32 && (value >> (bit - 1) & 1) != 0) {
            put(out, any ? "," : "<", 1);
            put(out, name, (size_t)(names - name));
            any = true;
        }
        if (bit > ' ' && names == name) {
            break; /* not a table of bits */
        }
    }
    if (any) {
        put(out, ">", 1);
    }
}

/* %D: bytes in hexadecimal with a separator. */
static void put_dump(struct output *out, const struct conversion *c, const unsigned char *bytes,
                     const char *separator)
{
    static const char digits[] = "0123456789abcdef";
    int count = c->width > 0 ? c->width : 16;
    if (bytes == NULL) {
        put(out, "(null)", 6);
        return;
    }
    for (int i = 0; i < count; i++) {
        char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        if (i > 0 && separator != NULL) {
            put(out, separator, strlen(separator));
        }
        put(out, pair, 2);
    }
}

static void put_string(struct output *out, struct conversion *c, const char *text)
{
    if (text == NULL) {
        text = "(null)";
    }
    size_t length = c->precision < 0 ? strlen(text) : strnlen(text, (size_t)c->precision);
    c->zero = false;
    put_field(out, c, "", 0, text, length, 0);
}

/* Digits of width or precision; more than an int holds counts as the largest. */
static int parse_count(const char **format)
{
    int count = 0;
    while (**format >= '0' && **format <= '9') {
        int digit = *(*format)++ - '0';
        if (__builtin_mul_overflow(count, 10, &count) ||
            __builtin_add_overflow(count, digit, &count)) {
            count = INT_MAX;
            while (**format >= '0' && **format <= '9') {
                (*format)++;
            }
        }
    }
    return count;
}

static void parse_flags(const char **format, struct conversion *c)
{
    for (;; (*format)++) {
        switch (**format) {
        case '-': c->left = true; break;
        case '+': c->plus = true; break;
        case ' ': c->space = true; break;
        case '#': c->alternative = true; break;
        case '0': c->zero = true; break;
        case '\'': break;
        default: return;
        }
    }
}

static void parse_size(const char **format, struct conversion *c)
{
    char first = **format;
    if (first != '\0' && strchr("hlqjzt", first) != NULL) {
        c->size = first;
        (*format)++;
        if (**format == first && first == 'h') {
            c->size = 'H';
            (*format)++;
        } else if (**format == first && first == 'l') {
            c->size = 'q';
            (*format)++;
        }
    }
}

static void parse_conversion(const char **format, struct conversion *c, va_list *ap)
{
    parse_flags(format, c);
    if (**format == '*') {
        (*format)++;
        int width = va_arg(*ap, int);
        if (width < 0) {
            c->left = true;
            width = width == INT_MIN ? INT_MAX : -width;
        }
        c->width = width;
    } else {
        c->width = parse_count(format);
    }
    c->precision = -1;
    if (**format == '.') {
        (*format)++;
        if (**format == '*') {
            (*format)++;
            int precision = va_arg(*ap, int);
            c->precision = precision < 0 ? -1 : precision;
        } else {
            c->precision = parse_count(format);
        }
    }
    parse_size(format, c);
    c->letter = **format;
    if (c->letter != '\0') {
        (*format)++;
    }
}

static void put_integer(struct output *out, struct conversion *c, va_list *ap)
{
    if (c->letter == 'd' || c->letter == 'i') {
        int64_t value = signed_argument(c, ap);
        put_number(out, c, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, 10);
    } else {
        unsigned base = c->letter == 'o' ? 8 : c->letter == 'u' ? 10 : 16;
        put_number(out, c, unsigned_argument(c, ap), false, base);
    }
}

/* One conversion; false: it is none. */
static bool put_conversion(struct output *out, struct conversion *c, va_list *ap)
{
    switch (c->letter) {
    case 'd':
    case 'i':
    case 'o':
    case 'u':
    case 'x':
    case 'X': put_integer(out, c, ap); return true;
    case 'p': put_number(out, c, (uintptr_t)va_arg(*ap, void *), false, 16); return true;
    case 'c': {
        char character = (char)va_arg(*ap, int);
        c->zero = false;
        put_field(out, c, "", 0, &character, 1, 0);
        return true;
    }
    case 's': put_string(out, c, va_arg(*ap, const char *)); return true;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': put_float(out, c, va_arg(*ap, double)); return true;
    case 'b': {
        unsigned int value = va_arg(*ap, unsigned int);
        put_bits(out, value, va_arg(*ap, const char *));
        return true;
    }
    case 'D': {
        const unsigned char *bytes = va_arg(*ap, const unsigned char *);
        put_dump(out, c, bytes, va_arg(*ap, const char *));
        return true;
    }
    default: return false;
    }
}

int ph_vsnprintf(char *str, size_t size, const char *format, va_list arguments)
{
    struct output out = {.to = str, .size = size};
    va_list ap;
    va_copy(ap, arguments);
    while (*format != '\0') {
        const char *percent = strchrnul(format, '%');
        put(&out, format, (size_t)(percent - format));
        if (*percent == '\0') {
            break;
        }
        format = percent + 1;
        if (*format == '%') {
            put(&out, "%", 1);
            format++;
            continue;
        }
        struct conversion c = {0};
        parse_conversion(&format, &c, &ap);
        if (!put_conversion(&out, &c, &ap)) {
            put(&out, percent, (size_t)(format - percent));
        }
    }
    va_end(ap);
    if (size > 0) {
        str[out.count < size ? out.count : size - 1] = '\0';
    }
    return out.count > INT_MAX ? INT_MAX : (int)out.count;
}

int ph_snprintf(char *str, size_t size, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int count = ph_vsnprintf(str, size, format, ap);
    va_end(ap);
    return count;
}

int ph_sscanf(const char *str, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    struct plain plain = plain_begin();
    int count = vsscanf(str, format, ap);
    plain_end(plain);
    va_end(ap);
    return count;
}
