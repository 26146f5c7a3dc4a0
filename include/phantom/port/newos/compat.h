/* SPDX-License-Identifier: Apache-2.0
 *
 * newos/compat.h - words of another kernel that files of the Genode port use. Stability: kept.
 */
#ifndef PHANTOM_PORT_NEWOS_COMPAT_H
#define PHANTOM_PORT_NEWOS_COMPAT_H

#include "../kernel/mutex.h"
#include "../phantom_types.h"

#include <stddef.h> /* offsetof */

typedef hal_mutex_t mutex;

#define mutex_init    hal_mutex_init
#define mutex_destroy hal_mutex_destroy
#define mutex_lock    hal_mutex_lock
#define mutex_unlock  hal_mutex_unlock

#endif /* PHANTOM_PORT_NEWOS_COMPAT_H */
