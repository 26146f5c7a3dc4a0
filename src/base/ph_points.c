/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_points.c - see ph_points.h. Owns the pointer to the hook.
 */
#include "ph_points.h"

#include <stdatomic.h>
#include <stddef.h>

static const struct ph_points_hook *_Atomic hook;

void ph_points_set_hook(const struct ph_points_hook *told)
{
    atomic_store_explicit(&hook, told, memory_order_release);
}

/* Called by rooms that were compiled with -DPH_POINTS; this file is compiled only once. */
void ph_point(const char *what);
uint64_t ph_choice(const char *what, uint64_t normal, uint64_t least);

void ph_point(const char *what)
{
    const struct ph_points_hook *told = atomic_load_explicit(&hook, memory_order_acquire);
    if (told != NULL) {
        told->reached(what);
    }
}

uint64_t ph_choice(const char *what, uint64_t normal, uint64_t least)
{
    const struct ph_points_hook *told = atomic_load_explicit(&hook, memory_order_acquire);
    return told != NULL ? told->choice(what, normal, least) : normal;
}
