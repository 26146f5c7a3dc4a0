/* SPDX-License-Identifier: Apache-2.0
 *
 * Shortest round-tripping text by trying precisions in turn; 17 and 9 significant digits always
 * suffice (IEEE 754-2008, 5.12.2).
 */
#include "pvm_number_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLE_DIGITS = 17, FLOAT_DIGITS = 9 };

static void make_recognisable(char *text)
{
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
