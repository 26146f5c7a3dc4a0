/* SPDX-License-Identifier: Apache-2.0
 *
 * cpu_state.h - what a processor keeps of a thread that does not run. Stability: kept from the
 * Genode port.
 */
#ifndef PHANTOM_PORT_CPU_STATE_H
#define PHANTOM_PORT_CPU_STATE_H

#include "arch/arch-cpu_state.h"

#endif /* PHANTOM_PORT_CPU_STATE_H */
