/* SPDX-License-Identifier: Apache-2.0
 *
 * kit_kernel_memory.h - real memory for the engine kit. Stores are plain ones, so that what the
 * processor may reorder is reordered.
 */
#ifndef KIT_KERNEL_MEMORY_H
#define KIT_KERNEL_MEMORY_H

#include "engine_kit.h"

extern const struct kit_memory kit_kernel_tracked;   /* needs userfaultfd and PAGEMAP_SCAN */
extern const struct kit_memory kit_kernel_untracked; /* anywhere */

#endif /* KIT_KERNEL_MEMORY_H */
