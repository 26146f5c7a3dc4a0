/* SPDX-License-Identifier: Apache-2.0
 *
 * port_fixture.h - a fresh HAL instance for each case, which must be empty again afterwards; on the
 * real machine and on the simulated one (on_machine.h).
 */
#ifndef PORT_FIXTURE_H
#define PORT_FIXTURE_H

#include "on_machine.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <phantom_hal.h>
#include <stdbool.h>

#undef run_test /* a macro of cmocka, a function of the port */

/** Setup and teardown of a case: *state is the instance, and the calling thread is inside it. */
int port_setup(void **state);
int port_teardown(void **state);
/** The same by hand. */
struct phantom_hal *port_begin(const struct phantom_hal_options *options);
void port_end(struct phantom_hal *instance);

/** What goes on around each case on a simulated machine. */
extern const struct machine_hooks port_hooks;

/** A case with a fresh instance. */
#define port_test(test)                                                                            \
    (struct machine_case)                                                                          \
    {                                                                                              \
        .name = #test, .run = (test), .setup = port_setup, .teardown = port_teardown               \
    }
#define port_test_posix(test, because)                                                             \
    (struct machine_case)                                                                          \
    {                                                                                              \
#test, (test), port_setup, port_teardown, because, 0                                       \
    }
/** With fewer or more seeds than usual on the simulated machine. */
#define port_test_seeds(test, count)                                                               \
    (struct machine_case)                                                                          \
    {                                                                                              \
#test, (test), port_setup, port_teardown, NULL, count                                      \
    }

#endif /* PORT_FIXTURE_H */
