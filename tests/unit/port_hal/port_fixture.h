/* SPDX-License-Identifier: Apache-2.0
 *
 * port_fixture.h - a fresh HAL instance for each test, which must be empty again afterwards.
 */
#ifndef PORT_FIXTURE_H
#define PORT_FIXTURE_H

#include "ph_memory.h"
#include "ph_mutant.h"
#include "ph_rng.h"
#include "ph_test.h"

#include <phantom_hal.h>
#include <stdbool.h>

#undef run_test /* a macro of cmocka, a function of the port */

/** cmocka setup and teardown: *state is the instance, and the calling thread is inside it. */
int port_setup(void **state);
int port_teardown(void **state);
/** The same by hand. */
struct phantom_hal *port_begin(const struct phantom_hal_options *options);
void port_end(struct phantom_hal *instance);

/** Switch a seeded defect on until the end of the test. False, and nothing done, in builds where
 * that proves nothing: ThreadSanitizer would see the switch itself as a race. */
bool port_mutant(enum ph_mutant mutant);

/** PH_SEED, or a new seed; printed. */
uint64_t port_seed(void);

/** A test with a fresh instance. */
#define port_test(name) cmocka_unit_test_setup_teardown(name, port_setup, port_teardown)

#endif /* PORT_FIXTURE_H */
