/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/smp.h - CPUs as the Genode port counts them. Stability: kept.
 */
#ifndef PHANTOM_PORT_KERNEL_SMP_H
#define PHANTOM_PORT_KERNEL_SMP_H

#define MAX_CPUS 16

/** An index into tables with an entry for each CPU. The machine of the port has one CPU, whatever
 *  runs below it: always 0. @threads any; does not block */
int GET_CPU_ID(void);

#endif /* PHANTOM_PORT_KERNEL_SMP_H */
