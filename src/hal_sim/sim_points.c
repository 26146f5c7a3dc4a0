/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_points.c - the points between two calls of the HAL (ph_points.h) on a simulated machine:
 * which of them are switch points, and how large the sizes are that can be chosen. Owns nothing but
 * the hook. All state belongs to the thread with the baton.
 */
#include "ph_points.h"
#include "sim_internal.h"

/** Most are counted down and nothing else: an interpreter comes by millions of times. */
void sim_reached(const char *what)
{
    struct sim_thread *thread = sim_self();
    if (thread == NULL) {
        return;
    }
    struct hal_sim *sim = thread->sim;
    if (sim->options.point_every == 0 || sim->silent || sim->points_left-- > 0) {
        return;
    }
    sim->points_left = ph_rng_below(&sim->rng, 2 * (uint64_t)sim->options.point_every);
    sim_fine_point(what);
}

/** By the machine's seed and the name: no state, and another choice leaves this one as it is. */
static uint64_t choice(const char *what, uint64_t normal, uint64_t least)
{
    struct sim_thread *thread = sim_self();
    if (thread == NULL || !thread->sim->options.vary || normal <= least) {
        return normal;
    }
    uint64_t sum = thread->sim->options.seed;
    for (; *what != '\0'; what++) {
        sum = (sum ^ (uint8_t)*what) * UINT64_C(0x100000001b3);
    }
    struct ph_rng rng;
    ph_rng_init(&rng, sum);
    if (ph_rng_below(&rng, 4) == 0) {
        return normal;
    }
    unsigned bits = 0;
    while ((normal - least) >> bits > 1) {
        bits++;
    }
    uint64_t span = (normal - least) >> ph_rng_below(&rng, bits + 1);
    return least + ph_rng_below(&rng, span + 1); /* each order of magnitude as often */
}

void sim_points_install(void)
{
    static const struct ph_points_hook hook = {sim_reached, choice};
    ph_points_set_hook(&hook);
}
