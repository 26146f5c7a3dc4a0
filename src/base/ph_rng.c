/* SPDX-License-Identifier: Apache-2.0 */
#include "ph_rng.h"

#include <stdlib.h>

uint64_t ph_rng_next(struct ph_rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t ph_rng_below(struct ph_rng *rng, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)ph_rng_next(rng) * bound) >> 64);
}

uint64_t ph_rng_seed_from_environment(uint64_t fallback)
{
    const char *text = getenv("PH_SEED");
    return text != NULL ? strtoull(text, NULL, 0) : fallback;
}
