/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_barrier.h - optional members of snap_memory_ops that do not touch the range. Inside this
 * room.
 */
#ifndef HAL_BARRIER_H
#define HAL_BARRIER_H

#include "snap_memory.h"

/** snap_memory_ops.barrier: membarrier(2). -errno where the kernel has none or a filter denies it.
 */
int hal_barrier(struct snap_memory *memory);
/** snap_memory_ops.faults. */
uint64_t hal_faults(struct snap_memory *memory);
/** snap_memory_ops.prepare_staging. */
void hal_prepare_staging(struct snap_memory *memory, void *area, size_t bytes);

#endif /* HAL_BARRIER_H */
