/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_address.c - which virtual addresses a heap gets at its birth.
 *
 * Between 0x200000000000 and 0x500000000000 nothing is mapped in an ordinary process, nor under
 * AddressSanitizer. The range is cut into slots of the heap's size and the store's UUID picks one,
 * so that two stores made separately can be open in one process. ThreadSanitizer leaves only one
 * place free, 0x7e8000000000, and little of it.
 */
#include "hal_posix.h"
#include "ph_sanitizer.h"

#include <string.h>

#define SLOTS_BEGIN UINT64_C(0x200000000000)
#define SLOTS_END   UINT64_C(0x500000000000)
#define TSAN_BASE   UINT64_C(0x7e8000000000)

uint64_t hal_heap_base(const uint8_t uuid[16], uint64_t size, unsigned attempt)
{
    uint64_t slot_bytes = UINT64_C(64) << 30;
    if (size > slot_bytes) {
        slot_bytes = size;
    }
    if (PH_UNDER_TSAN) {
        return TSAN_BASE + attempt * slot_bytes;
    }
    uint64_t word;
    memcpy(&word, uuid, sizeof(word));
    uint64_t slots = (SLOTS_END - SLOTS_BEGIN) / slot_bytes;
    return SLOTS_BEGIN + (word + attempt) % slots * slot_bytes;
}
