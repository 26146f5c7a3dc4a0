/* SPDX-License-Identifier: Apache-2.0
 *
 * port_panic.c - panic() for as long as no HAL brings its own: message, abort. Weak. No state.
 */
#include "console.h"
#include "ph_io.h"
#include "phantom_assert.h"

#include <stdlib.h>

__attribute__((weak)) void panic(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    ph_printf("\nPanic: ");
    ph_vprintf(format, ap);
    ph_printf("\n");
    va_end(ap);
    abort();
}
