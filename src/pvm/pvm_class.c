/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_class.c - classes by name, and what a class knows about its methods.
 *
 * The class cache is the directory in root slot CLASS_DIR: full name -> class object. A class
 * enters it once and stays. Two threads that load the same class at once both make one; the
 * directory takes the first, the other's becomes garbage (pvm_class_cache_add returns the winner).
 */
#include "ph_memory.h"
#include "pvm_exec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_PARENTS = 200, /* of one class; also ends cycles between class files */
};

const char *pvm_class_name_text(pvm_object_t class, char *buffer, size_t size)
{
    pvm_object_t name = pvm_is_class(class) ? pvm_object_da(class, class)->class_name : NULL;
    if (IS_PHANTOM_STRING(name)) {
        snprintf(buffer, size, "%.*s", pvm_get_str_len(name), pvm_get_str_data(name));
    } else {
        snprintf(buffer, size, "?");
    }
    return buffer;
}

/* ---- lookup -------------------------------------------------------------------------------------
 */

static hashdir_t *class_dir(void)
{
    return pvm_object_da(pvm_root_slot(PVM_ROOT_OBJECT_CLASS_DIR), directory);
}

static bool same_ignoring_case(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char x = (unsigned char)a[i];
        unsigned char y = (unsigned char)b[i];
        x = x >= 'A' && x <= 'Z' ? (unsigned char)(x + 32) : x;
        y = y >= 'A' && y <= 'Z' ? (unsigned char)(y + 32) : y;
        if (x != y) {
            return false;
        }
    }
    return true;
}

/** Old compilers wrote class names in lower case wherever a class is used. */
static pvm_object_t find_ignoring_case(const char *name, size_t size)
{
    hashdir_t *dir = class_dir();
    pvm_object_t found = NULL;
    pvm_lock_object(dir);
    for (uint32_t i = 0; dir->keys && i < dir->capacity && found == NULL; i++) {
        pvm_object_t key = pvm_slots(dir->keys)[i];
        if (IS_PHANTOM_STRING(key) && (size_t)pvm_get_str_len(key) == size &&
            same_ignoring_case(pvm_get_str_data(key), name, size)) {
            found = pvm_slots(dir->values)[i];
        }
    }
    pvm_unlock_object(dir);
    return found;
}

static pvm_object_t find_exact(const char *name, size_t size)
{
    int row = pvm_iclass_by_name(name, size);
    if (row >= 0) {
        return pvm_root_class(pvm_internal_classes[row].root_index);
    }
    pvm_object_t class = NULL;
    return hdir_find(class_dir(), name, size, &class, 0) == 0 ? class : NULL;
}

pvm_object_t pvm_class_find_loaded(const char *name, size_t size)
{
    pvm_object_t class = find_exact(name, size);
    return class ? class : find_ignoring_case(name, size);
}

pvm_object_t pvm_class_cache_add(pvm_object_t class, const char *alias, size_t alias_size)
{
    pvm_object_t name = pvm_object_da(class, class)->class_name;
    const char *text = pvm_get_str_data(name);
    size_t size = (size_t)pvm_get_str_len(name);
    if (pvm_iclass_by_name(text, size) >= 0) {
        return class; /* cannot be found by that name anyway */
    }
    int rc = hdir_add(class_dir(), text, size, class);
    if (rc == EEXIST) {
        (void)hdir_find(class_dir(), text, size, &class, 0);
    } else if (rc != 0) {
        return NULL;
    }
    if (alias && (alias_size != size || memcmp(alias, text, size) != 0)) {
        (void)hdir_add(class_dir(), alias, alias_size, class); /* only saves a search */
    }
    return class;
}

/** Ask the host. Called with nothing of the heap half done; a stop of the world waits for it. */
static int load_from_host(const char *name, size_t size, unsigned depth, pvm_object_t *out,
                          struct phantom_diag *diag)
{
    struct pvm_host *host = &pvm_current()->host;
    char text[BC_MAX_NAME_BYTES + 1];
    if (size > BC_MAX_NAME_BYTES || memchr(name, '\0', size) || host->load_class == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "class %.*s not found",
                       (int)(size < 200 ? size : 200), name);
    }
    memcpy(text, name, size);
    text[size] = '\0';
    void *bytes = NULL;
    size_t n_bytes = 0;
    char file_name[256] = "";
    int rc =
        host->load_class(host->context, text, &bytes, &n_bytes, file_name, sizeof(file_name), diag);
    if (rc != 0) {
        return rc;
    }
    pvm_object_t class;
    rc = pvm_class_load(file_name, bytes, n_bytes, depth, &class, diag);
    ph_free(bytes);
    if (rc != 0) {
        return rc;
    }
    pvm_object_t real = pvm_object_da(class, class)->class_name;
    if ((size_t)pvm_get_str_len(real) != size ||
        !same_ignoring_case(pvm_get_str_data(real), name, size)) {
        return ph_fail(diag, PHANTOM_EVERIFY, "%s: holds class %.*s, not %s", file_name,
                       pvm_get_str_len(real), pvm_get_str_data(real), text);
    }
    *out = pvm_class_cache_add(class, name, size);
    return *out ? 0 : ph_fail(diag, PHANTOM_EHEAPFULL, "class %s: out of memory", text);
}

int pvm_class_find_at_depth(const char *name, size_t size, unsigned depth, pvm_object_t *out,
                            struct phantom_diag *diag)
{
    pvm_object_t class = find_exact(name, size);
    if (class) {
        *out = class;
        return 0;
    }
    if (depth > MAX_PARENTS) {
        return ph_fail(diag, PHANTOM_EVERIFY, "class %.*s: too many parents, or its own ancestor",
                       (int)(size < 200 ? size : 200), name);
    }
    int rc = load_from_host(name, size, depth, out, diag);
    if (rc == PHANTOM_ENOTFOUND) {
        class = find_ignoring_case(name, size);
        if (class) {
            (void)hdir_add(class_dir(), name, size, class); /* the host need not be asked again */
            *out = class;
            return 0;
        }
    }
    return rc;
}

int pvm_class_find(const char *name, size_t size, pvm_object_t *out, struct phantom_diag *diag)
{
    return pvm_class_find_at_depth(name, size, 0, out, diag);
}

/* ---- methods of a class ---------------------------------------------------------------------- */

pvm_object_t pvm_get_method_name(pvm_object_t class, uint32_t ordinal)
{
    pvm_object_t names = pvm_object_da(class, class)->method_names;
    pvm_object_t name = names ? pvm_get_array_ofield(names, ordinal) : NULL;
    return IS_PHANTOM_STRING(name) ? name : NULL;
}

int pvm_get_method_ordinal(pvm_object_t class, pvm_object_t name)
{
    pvm_object_t names = pvm_object_da(class, class)->method_names;
    int n = names && IS_PHANTOM_STRING(name) ? pvm_get_array_size(names) : 0;
    for (int i = 0; i < n; i++) {
        pvm_object_t candidate = pvm_get_array_ofield(names, (uint32_t)i);
        if (IS_PHANTOM_STRING(candidate) && pvm_get_str_len(candidate) == pvm_get_str_len(name) &&
            memcmp(pvm_get_str_data(candidate), pvm_get_str_data(name),
                   (size_t)pvm_get_str_len(name)) == 0) {
            return i;
        }
    }
    return -1;
}

uint32_t pvm_ip_to_linenum(pvm_object_t class, uint32_t ordinal, uint32_t ip)
{
    pvm_object_t maps = pvm_object_da(class, class)->ip2line_maps;
    pvm_object_t map = maps ? pvm_get_array_ofield(maps, ordinal) : NULL;
    if (map == NULL || map->_class != pvm_root_class(PVM_ROOT_OBJECT_BINARY_CLASS)) {
        return 0;
    }
    const uint8_t *bytes = pvm_object_da(map, binary)->data;
    uint32_t low = 0;
    uint32_t high =
        (uint32_t)pvm_object_da(map, binary)->data_size / (uint32_t)sizeof(struct pvm_line_entry);
    uint32_t line = 0;
    while (low < high) { /* the last entry at or before ip */
        uint32_t middle = low + (high - low) / 2;
        struct pvm_line_entry entry;
        memcpy(&entry, bytes + (size_t)middle * sizeof(entry), sizeof(entry));
        if (entry.offset <= ip) {
            line = entry.line;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return line;
}
