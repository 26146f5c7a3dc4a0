/* SPDX-License-Identifier: Apache-2.0
 * A directory as the port would write one: elements in a pool, found by name in a hash table, and
 * listed as JSON that the port's parser reads back. */
#include "ported.h"

#include <errno.h>
#include <hashfunc.h>
#include <kernel/json.h>
#include <kernel/khash.h>
#include <kernel/pool.h>
#include <ph_io.h>
#include <ph_malloc.h>
#include <ph_string.h>
#include <phantom_assert.h>

enum { NAMES = 40 };

struct entry {
    char name[16];
    struct entry *next;
};

static int gone;

static int same_name(void *element, const void *key)
{
    return ph_strcmp(((struct entry *)element)->name, key);
}

static unsigned hash_name(void *element, const void *key, unsigned range)
{
    return calc_hash(element != 0 ? ((struct entry *)element)->name : key, 0) % range;
}

static void *make_entry(void *name)
{
    struct entry *e = ph_calloc(1, sizeof(*e));
    ph_strlcpy(e->name, name, sizeof(e->name));
    return e;
}

static void free_entry(void *element)
{
    gone++;
    ph_free(element);
}

int ported_names(void)
{
    pool_handle_t handles[NAMES];
    pool_t *pool = create_pool();
    pool->init = make_entry;
    pool->destroy = free_entry;
    void *table = hash_init(7, __builtin_offsetof(struct entry, next), same_name, hash_name);
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        ph_snprintf(name, sizeof(name), "name %d", i);
        handles[i] = pool_create_el(pool, name);
        assert(handles[i] >= 0 && hash_insert(table, pool_get_el(pool, handles[i])) == 0);
    }
    struct entry *found = hash_lookup(table, "name 17");
    int good = found != 0 && ph_strcmp(found->name, "name 17") == 0;
    good = good && hash_lookup(table, "name 40") == 0 && hash_remove(table, found) == 0;
    good = good && hash_lookup(table, "name 17") == 0;
    for (int i = 0; i < NAMES; i++) {
        good = good && pool_release_el(pool, handles[i]) == 0 &&
               pool_release_el(pool, handles[i]) == 0 && pool_el_refcount(pool, handles[i]) == -1;
    }
    static const char list[] = "{\"names\": [\"name 1\", \"name 2\"], \"count\": 2}";
    json_value *value = json_parse(list, sizeof(list) - 1);
    good = good && value != 0 && value->type == json_object && value->u.object.length == 2 &&
           value->u.object.values[0].value->u.array.length == 2;
    json_value_free(value);
    hash_uninit(table);
    return good && gone == NAMES && destroy_pool(pool) == 0 ? 0 : 1;
}
