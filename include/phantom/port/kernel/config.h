/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/config.h - the switches with which files of the port are compiled (-include). Stability:
 * kept.
 */
#ifndef PHANTOM_PORT_KERNEL_CONFIG_H
#define PHANTOM_PORT_KERNEL_CONFIG_H

#ifndef KERNEL
#define KERNEL 1
#endif
#ifndef PHANTOM_GENODE
#define PHANTOM_GENODE 1
#endif
#ifndef NO_NETWORK
#define NO_NETWORK 1
#endif
#ifndef PHANTOM_NO_DISPLAY
#define PHANTOM_NO_DISPLAY 0
#endif

#define COMPILE_PERSISTENT_STATS 1
#define COMPILE_WEAKREF          0
#define CONF_DUAL_PAGEMAP        1
#define HAVE_NET                 0
#define HAVE_UNIX                0
#define MEM_RECLAIM              1
#define NEW_SNAP_SYNC            0
#define NEW_VM_SLEEP             1
#define PAGING_PARTITION         1
#define PVM_GC_ENABLE            0
#define USE_SYNC_IO              0
#define VERIFY_SNAP              1
#define VERIFY_VM_SNAP           0
#define VM_INSTOF_RECURSIVE      1
#define VM_UNMAP_UNUSED_OBJECTS  0

#define PHANTOM_SYS_THREAD_PRIO (0x10 | 0xC) /* real-time, high: see threads.h */

#endif /* PHANTOM_PORT_KERNEL_CONFIG_H */
