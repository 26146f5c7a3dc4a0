/* SPDX-License-Identifier: Apache-2.0
 *
 * port_internal.h - what the files of room port_hal share and nobody else sees.
 */
#ifndef PORT_INTERNAL_H
#define PORT_INTERNAL_H

#include "hal_internal.h" /* hal_thread_create */
#include "hal_ours.h"     /* clocks, random numbers */
#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <hal.h>

#endif /* PORT_INTERNAL_H */
