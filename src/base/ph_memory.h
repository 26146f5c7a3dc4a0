/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_memory.h - volatile memory of the library (never the persistent heap). Every allocation of
 * every room goes through here, so that a test can make the N-th one fail and can count leaks.
 */
#ifndef PH_MEMORY_H
#define PH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *ph_alloc(size_t size);                /* uninitialised; NULL when out of memory */
void *ph_zalloc(size_t count, size_t size); /* zeroed, overflow-checked */
void *ph_realloc(void *old, size_t size);   /* as realloc; size > 0 */
void *ph_alloc_aligned(size_t alignment, size_t size);
char *ph_strdup(const char *text);
void ph_free(void *block); /* also for aligned blocks; NULL allowed */

/**
 * Test hook: let `countdown` more allocations succeed, then fail one (sticky: all that follow).
 * countdown < 0 switches the hook off. Process-wide, atomic.
 */
void ph_memory_fail_after(int64_t countdown, bool sticky);
/** True if the hook has made an allocation fail since it was last armed. */
bool ph_memory_has_failed(void);
/** Blocks allocated and not yet freed. */
int64_t ph_memory_live_blocks(void);

/** Test hook: told of each block after it was made and before it is freed, in the thread that does
 *  it. May not allocate through this header. Process-wide, atomic; NULL: nobody. */
struct ph_memory_observer {
    void (*made)(void *block);
    void (*gone)(void *block);
};
void ph_memory_observe(const struct ph_memory_observer *observer);

#endif /* PH_MEMORY_H */
