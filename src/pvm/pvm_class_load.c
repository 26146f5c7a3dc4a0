/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_class_load.c - from the bytes of a class file to a class object.
 *
 * bc_class_read() has checked the file by itself; here it is joined with what is in the heap: the
 * parent (loaded first), its interface and its number of slots. Methods are verified later, when
 * they are called for the first time: a class with one bad method is of use without it.
 */
#include "ph_memory.h"
#include "pvm_exec.h"
#include "pvm_stores.h"

#include <string.h>

static uint64_t fnv1a(const uint8_t *bytes, size_t size)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < size; i++) {
        h = (h ^ bytes[i]) * UINT64_C(0x100000001B3);
    }
    return h;
}

/** Internal classes cannot be extended: what is said to inherit from one gets .internal.void. */
static int find_parent(const struct bc_class *file, unsigned depth, pvm_object_t *out,
                       struct phantom_diag *diag)
{
    size_t size = strlen(file->parent);
    if (size == 0) {
        *out = pvm_root_class(PVM_ROOT_OBJECT_NULL_CLASS);
        return 0;
    }
    int rc = pvm_class_find_at_depth(file->parent, size, depth + 1, out, diag);
    if (rc == 0 && pvm_object_da(*out, class)->sys_table_id != PVM_NOT_INTERNAL) {
        *out = pvm_root_class(PVM_ROOT_OBJECT_NULL_CLASS);
    }
    return rc;
}

/** Fields of an instance: the parent's are never cut off, however the compiler counted. */
static uint32_t object_slots(const struct bc_class *file, pvm_object_t parent)
{
    uint32_t inherited = 0;
    if (pvm_object_da(parent, class)->sys_table_id == PVM_NOT_INTERNAL) {
        inherited =
            pvm_object_da(parent, class)->object_data_area_size / (uint32_t)sizeof(pvm_object_t);
    }
    return file->object_slots > inherited ? file->object_slots : inherited;
}

static uint32_t method_slots(const struct bc_class *file, pvm_object_t parent)
{
    uint64_t inherited = PVM_INHERITED_METHODS;
    if (pvm_object_da(parent, class)->sys_table_id == PVM_NOT_INTERNAL) {
        inherited = pvm_slot_count(pvm_object_da(parent, class)->object_default_interface);
    }
    return file->method_slots > inherited ? file->method_slots : (uint32_t)inherited;
}

static pvm_object_t line_map(const struct bc_method *method)
{
    pvm_object_t map = pvm_create_binary_object(
        (int32_t)(method->line_count * sizeof(struct pvm_line_entry)), NULL);
    if (map == NULL) {
        return NULL;
    }
    pvm_before(pvm_current(), map->da, map->_da_size);
    for (uint32_t i = 0; i < method->line_count; i++) {
        struct pvm_line_entry entry = {method->lines[i].offset, method->lines[i].line};
        memcpy(pvm_object_da(map, binary)->data + i * sizeof(entry), &entry, sizeof(entry));
    }
    pvm_after(pvm_current(), map->da, map->_da_size);
    return map;
}

static bool put_string(pvm_object_t array, uint32_t index, const void *bytes, size_t size)
{
    pvm_object_t string = pvm_create_string_object_binary(bytes, (int32_t)size);
    return string && pvm_set_array_ofield(array, index, string);
}

static bool add_methods(const struct bc_class *file, pvm_object_t class)
{
    struct data_area_4_class *da = pvm_object_da(class, class);
    for (uint32_t i = 0; i < file->method_count; i++) {
        const struct bc_method *m = &file->methods[i];
        int32_t arguments = m->has_signature ? (int32_t)m->parameter_count : -1;
        pvm_object_t code =
            pvm_create_code_object(class, m->ordinal, arguments, m->code.data, m->code.size);
        if (code == NULL || !put_string(da->method_names, m->ordinal, m->name, strlen(m->name))) {
            return false;
        }
        pvm_store_ref(pvm_current(), &pvm_slots(da->object_default_interface)[m->ordinal], code);
        if (m->line_count) {
            pvm_object_t map = line_map(m);
            if (map == NULL || !pvm_set_array_ofield(da->ip2line_maps, m->ordinal, map)) {
                return false;
            }
        }
    }
    return true;
}

static bool add_fields_and_constants(const struct bc_class *file, pvm_object_t class)
{
    struct data_area_4_class *da = pvm_object_da(class, class);
    for (uint32_t i = 0; i < file->field_count; i++) {
        const struct bc_field *f = &file->fields[i];
        if (!put_string(da->field_names, f->slot, f->name, strlen(f->name))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < file->constant_count; i++) {
        const struct bc_constant *c = &file->constants[i];
        if (!put_string(da->const_pool, c->index, c->bytes.data, c->bytes.size)) {
            return false;
        }
    }
    return true;
}

/** C NULL: the heap is full. */
static pvm_object_t make_class(const struct bc_class *file, pvm_object_t parent)
{
    uint32_t slots = object_slots(file, parent);
    pvm_object_t name = pvm_create_string_object(file->name);
    pvm_object_t interface = pvm_create_interface_object(method_slots(file, parent), parent);
    if (name == NULL || interface == NULL) {
        return NULL;
    }
    pvm_object_t class =
        pvm_create_class_object(name, interface, slots * (uint32_t)sizeof(pvm_object_t));
    if (class == NULL) {
        return NULL;
    }
    struct data_area_4_class *da = pvm_object_da(class, class);
    PVM_BEFORE(pvm_current(), da);
    da->class_parent = parent;
    da->ip2line_maps = pvm_create_array_object();
    da->method_names = pvm_create_array_object();
    da->field_names = pvm_create_array_object();
    da->const_pool = pvm_create_array_object();
    PVM_AFTER(pvm_current(), da);
    bool complete = da->ip2line_maps && da->method_names && da->field_names && da->const_pool &&
                    add_methods(file, class) && add_fields_and_constants(file, class);
    return complete ? class : NULL;
}

int pvm_class_load(const char *file_name, const void *bytes, size_t size, unsigned depth,
                   pvm_object_t *out, struct phantom_diag *diag)
{
    struct bc_class *file = NULL;
    int rc = bc_class_read(file_name, bytes, size, &file, diag);
    if (rc != 0) {
        return rc;
    }
    pvm_object_t parent = NULL;
    rc = find_parent(file, depth, &parent, diag);
    pvm_object_t class = rc == 0 ? make_class(file, parent) : NULL;
    if (class) {
        struct data_area_4_class *da = pvm_object_da(class, class);
        PVM_BEFORE(pvm_current(), da);
        da->file_hash = fnv1a(bytes, size);
        da->file_size = size;
        PVM_AFTER(pvm_current(), da);
        __atomic_fetch_add(&pvm_current()->classes_loaded, 1, __ATOMIC_RELAXED);
        *out = class;
    } else if (rc == 0) {
        rc = ph_fail(diag, PHANTOM_EHEAPFULL, "class %s: out of memory", file->name);
    }
    bc_class_destroy(file);
    return rc;
}
