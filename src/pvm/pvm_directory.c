/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_directory.c - the string -> object map behind .internal.directory and the class cache.
 *
 * Open addressing with linear probing over two parallel pages. Of a key's place: C NULL never used,
 * null object removed, string in use. At most three quarters of the places are not C NULL, so every
 * search ends. All under the object lock of the directory.
 */
#include "pvm_stores.h"

#include <errno.h>
#include <string.h>

enum {
    FIRST_CAPACITY = 16,
    MAX_CAPACITY = 1 << 28,
};

uint32_t pvm_hash_bytes(const void *bytes, size_t size)
{
    const signed char *c = bytes;
    uint32_t h = 0;
    for (size_t i = 0; i < size; i++) {
        h = (h << 4) + (uint32_t)(int32_t)c[i];
        uint32_t high = h & 0xF0000000u;
        if (high) {
            h = (h ^ (high >> 24)) & 0x0FFFFFFFu;
        }
    }
    return h;
}

/* PJW leaves neighbouring keys in neighbouring places: spread them before probing. */
static uint32_t first_place(const struct data_area_4_directory *dir, const void *key, size_t size)
{
    return (pvm_hash_bytes(key, size) * 0x9E3779B9u) & (dir->capacity - 1);
}

static bool key_is(pvm_object_t k, const char *key, size_t size)
{
    return IS_PHANTOM_STRING(k) && (size_t)pvm_get_str_len(k) == size &&
           memcmp(pvm_get_str_data(k), key, size) == 0;
}

/** Place of the key, or -1; *free_place: where it could go. */
static int64_t find_place(const struct data_area_4_directory *dir, const char *key, size_t size,
                          int64_t *free_place)
{
    *free_place = -1;
    if (dir->keys == NULL) {
        return -1;
    }
    uint32_t place = first_place(dir, key, size);
    for (uint32_t i = 0; i < dir->capacity; i++, place = (place + 1) & (dir->capacity - 1)) {
        pvm_object_t k = pvm_slots(dir->keys)[place];
        if (k == NULL) {
            if (*free_place < 0) {
                *free_place = place;
            }
            return -1;
        }
        if (key_is(k, key, size)) {
            return place;
        }
        if (*free_place < 0 && !IS_PHANTOM_STRING(k)) {
            *free_place = place;
        }
    }
    return -1;
}

/** The caller tells of *dir itself, which may be none of the heap. */
static void put_new(struct data_area_4_directory *dir, uint32_t place, pvm_object_t key,
                    pvm_object_t value)
{
    const struct pvm *pvm = pvm_current();
    bool used_before = pvm_slots(dir->keys)[place] != NULL;
    pvm_store_ref(pvm, &pvm_slots(dir->values)[place], value);
    pvm_store_ref(pvm, &pvm_slots(dir->keys)[place], key);
    dir->n_used += !used_before;
    dir->nEntries++;
}

/** Room for one more entry: the same or twice the capacity, without removed places. */
static bool make_room(struct data_area_4_directory *dir)
{
    if (dir->keys && (uint64_t)(dir->n_used + 1) * 4 <= (uint64_t)dir->capacity * 3) {
        return true;
    }
    uint32_t capacity = FIRST_CAPACITY;
    while ((uint64_t)(dir->nEntries + 1) * 2 > capacity) {
        if (capacity >= MAX_CAPACITY) {
            pvm_current_worker()->out_of_memory = true;
            return false;
        }
        capacity *= 2;
    }
    struct data_area_4_directory bigger = {.capacity = capacity};
    bigger.keys = pvm_create_page_object(capacity);
    bigger.values = pvm_create_page_object(capacity);
    if (bigger.keys == NULL || bigger.values == NULL) {
        return false;
    }
    for (uint32_t i = 0; dir->keys && i < dir->capacity; i++) {
        pvm_object_t key = pvm_slots(dir->keys)[i];
        if (IS_PHANTOM_STRING(key)) {
            int64_t place;
            (void)find_place(&bigger, pvm_get_str_data(key), (size_t)pvm_get_str_len(key), &place);
            put_new(&bigger, (uint32_t)place, key, pvm_slots(dir->values)[i]);
        }
    }
    PVM_BEFORE(pvm_current(), dir);
    dir->capacity = capacity;
    PVM_STORE(&dir->nEntries, bigger.nEntries);
    dir->n_used = bigger.n_used;
    heap_store_ref(&dir->keys, bigger.keys);
    heap_store_ref(&dir->values, bigger.values);
    PVM_AFTER(pvm_current(), dir);
    return true;
}

int hdir_add(hashdir_t *dir, const char *key, size_t key_size, pvm_object_t value)
{
    if (key_size > INT32_MAX) {
        return EINVAL;
    }
    pvm_object_t name = pvm_create_string_object_binary(key, (int32_t)key_size);
    if (name == NULL) {
        return ENOMEM;
    }
    int result = 0;
    int64_t free_place;
    pvm_lock_object(dir);
    if (find_place(dir, key, key_size, &free_place) >= 0) {
        result = EEXIST;
    } else if (!make_room(dir)) {
        result = ENOMEM;
    } else {
        (void)find_place(dir, key, key_size, &free_place);
        PVM_BEFORE(pvm_current(), dir);
        put_new(dir, (uint32_t)free_place, name, value);
        PVM_AFTER(pvm_current(), dir);
    }
    pvm_unlock_object(dir);
    return result;
}

int hdir_find(hashdir_t *dir, const char *key, size_t key_size, pvm_object_t *out, int remove)
{
    int64_t unused;
    pvm_lock_object(dir);
    int64_t place = find_place(dir, key, key_size, &unused);
    if (place >= 0) {
        *out = pvm_slots(dir->values)[place];
        if (remove) {
            const struct pvm *pvm = pvm_current();
            pvm_store_ref(pvm, &pvm_slots(dir->keys)[place], pvm->null_object);
            pvm_store_ref(pvm, &pvm_slots(dir->values)[place], NULL);
            PVM_BEFORE(pvm, dir);
            dir->nEntries--;
            PVM_AFTER(pvm, dir);
        }
    }
    pvm_unlock_object(dir);
    return place >= 0 ? 0 : ENOENT;
}

int hdir_keys(hashdir_t *dir, pvm_object_t *out)
{
    pvm_object_t array = pvm_create_array_object();
    if (array == NULL) {
        return ENOMEM;
    }
    /* Take the page under the lock, walk it outside: appending takes the array's own lock. */
    pvm_lock_object(dir);
    pvm_object_t keys = dir->keys;
    pvm_unlock_object(dir);
    for (uint64_t i = 0; keys && i < pvm_slot_count(keys); i++) {
        pvm_object_t key = heap_load_ref(&pvm_slots(keys)[i]);
        if (IS_PHANTOM_STRING(key) && !pvm_append_array(array, key)) {
            return ENOMEM;
        }
    }
    *out = array;
    return 0;
}

void hdir_clear(hashdir_t *dir)
{
    pvm_lock_object(dir);
    PVM_BEFORE(pvm_current(), dir);
    dir->capacity = 0;
    dir->nEntries = 0;
    dir->n_used = 0;
    heap_store_ref(&dir->keys, NULL);
    heap_store_ref(&dir->values, NULL);
    PVM_AFTER(pvm_current(), dir);
    pvm_unlock_object(dir);
}

pvm_object_t pvm_create_directory_object(void)
{
    return pvm_create_object(pvm_root_class(PVM_ROOT_OBJECT_DIRECTORY_CLASS));
}
