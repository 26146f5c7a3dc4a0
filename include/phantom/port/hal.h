/* SPDX-License-Identifier: Apache-2.0
 *
 * hal.h - the machine interface of the Genode port: what every file of the port includes.
 *
 * Stability: names, signatures and semantics are kept from the port; what it got wrong is right
 * here (docs/port-differences.md). errno_t is int: 0 success, positive errno on failure.
 */
#ifndef PHANTOM_PORT_HAL_H
#define PHANTOM_PORT_HAL_H

#include <errno.h>
#include <kernel/cond.h>
#include <kernel/mutex.h>
#include <kernel/sem.h>
#include <machdep.h>
#include <phantom_assert.h>
#include <phantom_types.h>
#include <spinlock.h>

#endif /* PHANTOM_PORT_HAL_H */
