/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_rng.h - seeded pseudo-random numbers for tests and for choices that need no secrecy
 * (splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
 */
#ifndef PH_RNG_H
#define PH_RNG_H

#include <stdint.h>

struct ph_rng {
    uint64_t state;
};

static inline void ph_rng_init(struct ph_rng *rng, uint64_t seed)
{
    rng->state = seed;
}

uint64_t ph_rng_next(struct ph_rng *rng);
/** Uniform in [0, bound); bound > 0. */
uint64_t ph_rng_below(struct ph_rng *rng, uint64_t bound);
/** Seed for a test: the environment variable PH_SEED if set, else `fallback`. */
uint64_t ph_rng_seed_from_environment(uint64_t fallback);

#endif /* PH_RNG_H */
