/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/profile.h - how busy the machine is, names of the Genode port. Stability: kept.
 */
#ifndef PHANTOM_PORT_KERNEL_PROFILE_H
#define PHANTOM_PORT_KERNEL_PROFILE_H

#include "smp.h"

/** Per cent of the last second. The whole machine of the port is CPU 0 here: what this process used
 *  of all CPUs it may use. Written by the timer thread of the default instance. */
extern int percpu_cpu_load[MAX_CPUS];

#endif /* PHANTOM_PORT_KERNEL_PROFILE_H */
