/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_points.h - places between two calls of the HAL at which a simulated machine may let another
 * thread go on, and sizes that it may make small, so that rare paths are taken often. In the
 * product both are nothing: PH_POINT() is empty and PH_CHOICE() is the size. The rooms are compiled
 * again with -DPH_POINTS for the tests and for libphantom-testing.
 *
 * A place is worth a point where the order of threads can matter: between an announcement and what
 * it announces, between two stores that others may see one of, between a look and what is done
 * about it. Not where a thread would have to wait for another one without a call of the HAL: on the
 * machine that would last for ever.
 */
#ifndef PH_POINTS_H
#define PH_POINTS_H

#include <stdint.h>

struct ph_points_hook {
    /** The calling thread is at a point. */
    void (*reached)(const char *what);
    /** A size between `least` and `normal`, the same at each call by the same machine. */
    uint64_t (*choice)(const char *what, uint64_t normal, uint64_t least);
};

/** NULL: none. Set before threads that reach points are started, never changed to another one. */
void ph_points_set_hook(const struct ph_points_hook *hook);

#ifdef PH_POINTS
void ph_point(const char *what);
uint64_t ph_choice(const char *what, uint64_t normal, uint64_t least);
#define PH_POINT(what)                 ph_point(what)
#define PH_CHOICE(what, normal, least) ph_choice(what, normal, least)
#else
#define PH_POINT(what)                 ((void)0)
#define PH_CHOICE(what, normal, least) (normal)
#endif

#endif /* PH_POINTS_H */
