/* SPDX-License-Identifier: Apache-2.0
 *
 * arch/arch-cpu_state.h - saved registers of an x86-64 thread. Stability: the layout is kept from
 * the Genode port; neither its code nor this library saves anything there.
 */
#ifndef PHANTOM_PORT_ARCH_CPU_STATE_H
#define PHANTOM_PORT_ARCH_CPU_STATE_H

#include "../phantom_types.h"

struct cpu_state_save {
    register_t flags;
    register_t rip;
    register_t rsp;
    register_t rbp;
    u_int8_t fxstate[512]; /* floating point */
};

typedef struct cpu_state_save cpu_state_save_t;

/* Where they are in it. */
#define CSTATE_FLAGS   0
#define CSTATE_EIP     8
#define CSTATE_ESP     16
#define CSTATE_EBP     24
#define CSTATE_FXSTATE 32

_Static_assert(sizeof(struct cpu_state_save) == 544, "the port's layout");

#endif /* PHANTOM_PORT_ARCH_CPU_STATE_H */
