/* SPDX-License-Identifier: Apache-2.0
 *
 * port_malloc.c - <ph_malloc.h> on the base room's memory, whose ph_free, ph_realloc and ph_strdup
 * are the port's already. No state of its own.
 */
#include "ph_malloc.h"

#include "ph_memory.h"

#include <malloc.h>

void *ph_malloc(size_t size)
{
    return ph_alloc(size);
}

void *ph_calloc(size_t n_elem, size_t elem_size)
{
    size_t all;
    return __builtin_mul_overflow(n_elem, elem_size, &all) ? NULL : ph_zalloc(n_elem, elem_size);
}

int64_t phantom_heap_bytes_consumed(void)
{
    struct mallinfo2 info = mallinfo2();
    return (int64_t)(info.uordblks + info.hblkhd);
}
