/* SPDX-License-Identifier: Apache-2.0
 *
 * port_hash.c - <kernel/khash.h>: a chained table whose link is a member of the element, and
 * <hashfunc.h>: the hash of strings that the port's class files and directories use.
 *
 * Owns the table, never the elements. No lock: the caller's.
 */
#include "hashfunc.h"
#include "kernel/khash.h"

#include "ph_memory.h"

struct hash_table {
    unsigned int size;
    int next_offset;
    int (*compare)(void *element, const void *key);
    unsigned int (*hash)(void *element, const void *key, unsigned int range);
    void *chains[];
};

/* The 32-bit hash of P. J. Weinberger: four bits a byte, the top four folded back. */
unsigned int calc_hash(const char *datum, const char *datum_end)
{
    unsigned int hash = 0;
    for (const char *at = datum; datum_end != NULL ? at < datum_end : *at != '\0'; at++) {
        hash = (hash << 4) + (unsigned int)(int)*at;
        unsigned int top = hash & 0xF0000000u;
        if (top != 0) {
            hash ^= top >> 24;
            hash ^= top;
        }
    }
    return hash;
}

static void **link_of(const struct hash_table *table, void *element)
{
    return (void **)(void *)((char *)element + table->next_offset);
}

void *hash_init(unsigned int table_size, int next_ptr_offset,
                int (*compare_func)(void *, const void *),
                unsigned int (*hash_func)(void *, const void *, unsigned int))
{
    if (table_size == 0 || compare_func == NULL || hash_func == NULL) {
        return NULL;
    }
    struct hash_table *table =
        ph_zalloc(1, sizeof(*table) + (size_t)table_size * sizeof(table->chains[0]));
    if (table != NULL) {
        table->size = table_size;
        table->next_offset = next_ptr_offset;
        table->compare = compare_func;
        table->hash = hash_func;
    }
    return table;
}

int hash_uninit(void *_hash_table)
{
    ph_free(_hash_table);
    return 0;
}

static void **chain_of(struct hash_table *table, void *element, const void *key)
{
    return &table->chains[table->hash(element, key, table->size) % table->size];
}

int hash_insert(void *_hash_table, void *_elem)
{
    struct hash_table *table = _hash_table;
    void **chain = chain_of(table, _elem, NULL);
    *link_of(table, _elem) = *chain;
    *chain = _elem;
    return 0;
}

int hash_remove(void *_hash_table, void *_elem)
{
    struct hash_table *table = _hash_table;
    for (void **at = chain_of(table, _elem, NULL); *at != NULL; at = link_of(table, *at)) {
        if (*at == _elem) {
            *at = *link_of(table, _elem);
            *link_of(table, _elem) = NULL;
            return 0;
        }
    }
    return -1;
}

void *hash_lookup(void *_hash_table, const void *key)
{
    struct hash_table *table = _hash_table;
    for (void *at = *chain_of(table, NULL, key); at != NULL; at = *link_of(table, at)) {
        if (table->compare(at, key) == 0) {
            return at;
        }
    }
    return NULL;
}
