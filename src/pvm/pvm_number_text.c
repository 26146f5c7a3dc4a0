/* SPDX-License-Identifier: Apache-2.0
 *
 * Shortest round-tripping text by trying precisions in turn; 17 and 9 significant digits always
 * suffice (IEEE 754-2008, 5.12.2). Digits are tried in the locale of the host, for both
 * directions are the C library's; what is kept in the world has a point.
 */
#include "pvm_number_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLE_DIGITS = 17, FLOAT_DIGITS = 9 };

static void put_point(char *text)
{
    char *at = text;
    while (*at == '-' || (*at >= '0' && *at <= '9')) {
        at++;
    }
    if (*at != '\0' && strchr(".eni", *at) == NULL) { /* what the host has instead, some bytes */
        const char *digits = strpbrk(at, "0123456789");
        memmove(at + 1, digits, strlen(digits) + 1);
        *at = '.';
    }
}

static void make_recognisable(char *text)
{
    put_point(text);
    if (strpbrk(text, ".enif") == NULL) { /* neither point nor exponent, nan, inf */
        strcat(text, ".0");
    }
}

void pvm_double_text(double value, char text[PVM_NUMBER_TEXT])
{
    for (int digits = 1; digits <= DOUBLE_DIGITS; digits++) {
        snprintf(text, PVM_NUMBER_TEXT - 2, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    make_recognisable(text);
}

void pvm_float_text(float value, char text[PVM_NUMBER_TEXT])
{
    for (int digits = 1; digits <= FLOAT_DIGITS; digits++) {
        snprintf(text, PVM_NUMBER_TEXT - 2, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) {
            break;
        }
    }
    make_recognisable(text);
}
