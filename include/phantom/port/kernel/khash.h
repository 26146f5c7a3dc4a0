/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/khash.h - a chained hash table of the caller's elements. Stability: kept from the Genode
 * port.
 *
 * Elements are linked through a pointer of their own, at an offset that the table is told. The
 * table has a fixed number of chains and never moves or frees an element.
 *
 * @threads one for each table at a time: none of this locks, the caller serialises. Nothing here
 *   blocks; the caller's functions are called on the calling thread and must not change the table.
 */
#ifndef PHANTOM_PORT_KERNEL_KHASH_H
#define PHANTOM_PORT_KERNEL_KHASH_H

#include "../newos/compat.h"

/**
 * Make a table; ended by hash_uninit(). Never blocks.
 *
 * @param table_size       chains, > 0
 * @param next_ptr_offset  of a `void *` in the element that is the table's
 * @param compare_func     0: the element has that key
 * @param hash_func        the chain, below range (more is reduced), of an element, or of a key if
 *                         the element is NULL
 * @return the table, or NULL: out of memory or a bad argument
 */
void *hash_init(unsigned int table_size, int next_ptr_offset,
                int (*compare_func)(void *element, const void *key),
                unsigned int (*hash_func)(void *element, const void *key, unsigned int range));
/** Free the table; elements stay. NULL is fine. Returns 0. */
int hash_uninit(void *_hash_table);

/** Put an element in, before others of the same key. Needs no memory. Returns 0. @pre it is in no
 *  table by that pointer */
int hash_insert(void *_hash_table, void *_elem);
/** Take that element out. 0, or -1: it is not in the table. */
int hash_remove(void *_hash_table, void *_elem);
/** An element with that key, the newest one, or NULL. It stays the caller's. */
void *hash_lookup(void *_hash_table, const void *key);

#endif /* PHANTOM_PORT_KERNEL_KHASH_H */
