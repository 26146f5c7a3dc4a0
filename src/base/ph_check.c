/* SPDX-License-Identifier: Apache-2.0 */
#include "ph_check.h"

#include <stdio.h>
#include <stdlib.h>

static void default_hook(const char *file, int line, const char *what)
{
    fprintf(stderr, "phantom: broken invariant at %s:%d: %s\n", file, line, what);
    abort();
}

static ph_fatal_hook current_hook = default_hook;

ph_fatal_hook ph_set_fatal_hook(ph_fatal_hook hook)
{
    ph_fatal_hook old = current_hook;
    current_hook = hook != NULL ? hook : default_hook;
    return old;
}

void ph_check_failed(const char *file, int line, const char *what)
{
    current_hook(file, line, what);
    abort();
}
