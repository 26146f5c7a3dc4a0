/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_object.c - making objects, asking what they are, and arrays.
 *
 * A new object is complete (class, flags, data) before its reference is stored anywhere, and
 * references are stored with release, so no other thread sees half an object.
 *
 * Array growth: a new page is filled from the old one and then published. Readers load `page` once
 * and take the bound from the page itself, so they are always inside one page. `used_slots` changes
 * only under the object lock; a reader that sees the new count with the old page gets C NULL.
 */
#include "ph_check.h"
#include "pvm_exec.h"
#include "pvm_stores.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NOTICE_ALLOCATED = 64 * 1024, /* bytes between looks at the collector's threshold */
    FIRST_PAGE_SLOTS = 16,
};

/** Every allocation of the room. Heap full: noted in the worker, C NULL. */
static pvm_object_t allocate(pvm_object_t class, uint32_t flags, uint64_t da_size)
{
    struct pvm_worker *worker = pvm_current_worker();
    pvm_object_t o = heap_alloc(worker->allocator, class, flags, da_size);
    if (PVM_UNLIKELY(o == NULL)) {
        worker->out_of_memory = true;
        return NULL;
    }
    worker->allocated += da_size + sizeof(struct pvm_object_storage);
    if (PVM_UNLIKELY(worker->allocated >= NOTICE_ALLOCATED)) {
        worker->allocated = 0;
        pvm_collect_if_due(worker->pvm);
    }
    return o;
}

static uint32_t class_flags(pvm_object_t class)
{
    return pvm_object_da(class, class)->object_flags;
}

static pvm_object_t create_internal(int root_index, uint64_t da_size)
{
    pvm_object_t class = pvm_root_class(root_index);
    return allocate(class, class_flags(class), da_size);
}

pvm_object_t pvm_object_create_dynamic(pvm_object_t class, int64_t da_size)
{
    const struct data_area_4_class *c = pvm_object_da(class, class);
    uint64_t size = da_size < 0 ? c->object_data_area_size : (uint64_t)da_size;
    return allocate(class, c->object_flags, size);
}

pvm_object_t pvm_create_object(pvm_object_t class)
{
    pvm_object_t o = pvm_object_create_dynamic(class, -1);
    uint32_t row = pvm_object_da(class, class)->sys_table_id;
    if (o && row != PVM_NOT_INTERNAL && pvm_internal_classes[row].init) {
        pvm_internal_classes[row].init(o);
    }
    return o;
}

pvm_object_t pvm_create_null_object(void)
{
    return pvm_current()->null_object;
}

pvm_object_t pvm_create_int_object(int32_t value)
{
    const pvm_object_t *small = pvm_current()->small_ints;
    if (value >= PVM_SMALL_INT_LEAST && value <= PVM_SMALL_INT_MOST && small != NULL) {
        return small[value - PVM_SMALL_INT_LEAST];
    }
    pvm_object_t o = create_internal(PVM_ROOT_OBJECT_INT_CLASS, sizeof(struct data_area_4_int));
    if (o) {
        pvm_before(pvm_current(), o->da, sizeof(struct data_area_4_int));
        pvm_get_int(o) = value;
        pvm_after(pvm_current(), o->da, sizeof(struct data_area_4_int));
    }
    return o;
}

pvm_object_t pvm_create_long_object(int64_t value)
{
    pvm_object_t o = create_internal(PVM_ROOT_OBJECT_LONG_CLASS, sizeof(struct data_area_4_long));
    if (o) {
        pvm_before(pvm_current(), o->da, sizeof(struct data_area_4_long));
        pvm_get_long(o) = value;
        pvm_after(pvm_current(), o->da, sizeof(struct data_area_4_long));
    }
    return o;
}

pvm_object_t pvm_create_float_object(float value)
{
    pvm_object_t o = create_internal(PVM_ROOT_OBJECT_FLOAT_CLASS, sizeof(struct data_area_4_float));
    if (o) {
        pvm_before(pvm_current(), o->da, sizeof(struct data_area_4_float));
        pvm_get_float(o) = value;
        pvm_after(pvm_current(), o->da, sizeof(struct data_area_4_float));
    }
    return o;
}

pvm_object_t pvm_create_double_object(double value)
{
    pvm_object_t o =
        create_internal(PVM_ROOT_OBJECT_DOUBLE_CLASS, sizeof(struct data_area_4_double));
    if (o) {
        pvm_before(pvm_current(), o->da, sizeof(struct data_area_4_double));
        pvm_get_double(o) = value;
        pvm_after(pvm_current(), o->da, sizeof(struct data_area_4_double));
    }
    return o;
}

pvm_object_t pvm_create_string_object_binary_cat(const char *v1, int32_t n1, const char *v2,
                                                 int32_t n2)
{
    PH_CHECK(n1 >= 0 && n2 >= 0);
    int64_t length = (int64_t)n1 + n2;
    if (length > INT32_MAX) {
        pvm_current_worker()->out_of_memory = true;
        return NULL;
    }
    pvm_object_t o = create_internal(PVM_ROOT_OBJECT_STRING_CLASS,
                                     sizeof(struct data_area_4_string) + (uint64_t)length);
    if (o) {
        pvm_before(pvm_current(), o->da, o->_da_size);
        pvm_get_str_len(o) = (int32_t)length;
        if (v1 && n1) {
            memcpy(pvm_get_str_data(o), v1, (size_t)n1);
        }
        if (v2 && n2) {
            memcpy(pvm_get_str_data(o) + n1, v2, (size_t)n2);
        }
        pvm_after(pvm_current(), o->da, o->_da_size);
    }
    return o;
}

pvm_object_t pvm_create_string_object_binary(const char *value, int32_t length)
{
    return pvm_create_string_object_binary_cat(value, length, NULL, 0);
}

pvm_object_t pvm_create_string_object(const char *value)
{
    return pvm_create_string_object_binary(value, (int32_t)strlen(value));
}

pvm_object_t pvm_string_format(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return pvm_create_string_object(text);
}

pvm_object_t pvm_create_binary_object(int32_t size, const void *init)
{
    PH_CHECK(size >= 0);
    pvm_object_t o = create_internal(PVM_ROOT_OBJECT_BINARY_CLASS,
                                     sizeof(struct data_area_4_binary) + (uint64_t)size);
    if (o) {
        uint64_t written = init ? o->_da_size : sizeof(struct data_area_4_binary);
        pvm_before(pvm_current(), o->da, written);
        pvm_object_da(o, binary)->data_size = size;
        if (init && size) {
            memcpy(pvm_object_da(o, binary)->data, init, (size_t)size);
        }
        pvm_after(pvm_current(), o->da, written);
    }
    return o;
}

pvm_object_t pvm_create_page_object(uint64_t n_slots)
{
    return create_internal(PVM_ROOT_OBJECT_PAGE_CLASS, n_slots * sizeof(pvm_object_t));
}

pvm_object_t pvm_create_array_object(void)
{
    pvm_object_t o = create_internal(PVM_ROOT_OBJECT_ARRAY_CLASS, sizeof(struct data_area_4_array));
    if (o) {
        PVM_STORE_TOLD(pvm_current(), &pvm_object_da(o, array)->page_size, FIRST_PAGE_SLOTS);
    }
    return o;
}

pvm_object_t pvm_create_code_object(pvm_object_t owner_class, uint32_t ordinal,
                                    int32_t argument_count, const void *code, uint32_t size)
{
    pvm_object_t o =
        create_internal(PVM_ROOT_OBJECT_CODE_CLASS, sizeof(struct data_area_4_code) + size);
    if (o) {
        struct data_area_4_code *da = pvm_object_da(o, code);
        pvm_before(pvm_current(), da, o->_da_size);
        da->owner_class = owner_class;
        da->ordinal = ordinal;
        da->argument_count = argument_count;
        da->code_size = size;
        memcpy(da->code, code, size);
        pvm_after(pvm_current(), da, o->_da_size);
    }
    return o;
}

pvm_object_t pvm_create_interface_object(uint32_t n_methods, pvm_object_t parent_class)
{
    pvm_object_t o = create_internal(PVM_ROOT_OBJECT_INTERFACE_CLASS,
                                     (uint64_t)n_methods * sizeof(pvm_object_t));
    if (o == NULL) {
        return NULL;
    }
    pvm_object_t parent = pvm_object_da(parent_class, class)->object_default_interface;
    uint64_t inherited = pvm_slot_count(parent);
    if (pvm_object_da(parent_class, class)->sys_table_id != PVM_NOT_INTERNAL) {
        inherited = PVM_INHERITED_METHODS;
    }
    pvm_before(pvm_current(), o->da, o->_da_size);
    for (uint32_t i = 0; i < n_methods; i++) {
        pvm_slots(o)[i] =
            i < inherited ? heap_load_ref(&pvm_slots(parent)[i]) : pvm_create_null_object();
    }
    pvm_after(pvm_current(), o->da, o->_da_size);
    return o;
}

pvm_object_t pvm_create_class_object(pvm_object_t name, pvm_object_t interface, uint32_t da_size)
{
    pvm_object_t statics = pvm_create_array_object();
    pvm_object_t o = create_internal(PVM_ROOT_OBJECT_CLASS_CLASS, sizeof(struct data_area_4_class));
    if (o == NULL || statics == NULL) {
        return NULL;
    }
    struct data_area_4_class *da = pvm_object_da(o, class);
    PVM_BEFORE(pvm_current(), da);
    da->object_data_area_size = da_size;
    da->object_default_interface = interface;
    da->sys_table_id = PVM_NOT_INTERNAL;
    da->class_name = name;
    da->class_parent = pvm_root_class(PVM_ROOT_OBJECT_NULL_CLASS);
    da->static_vars = statics;
    PVM_AFTER(pvm_current(), da);
    return o;
}

/* ---- questions ------------------------------------------------------------------------------- */

bool pvm_is_null(pvm_object_t o)
{
    return o == NULL || o == pvm_current()->null_object;
}

bool pvm_string_is(pvm_object_t string, const char *text)
{
    size_t size = strlen(text);
    return IS_PHANTOM_STRING(string) && (size_t)pvm_get_str_len(string) == size &&
           memcmp(pvm_get_str_data(string), text, size) == 0;
}

bool pvm_object_class_exactly_is(pvm_object_t o, pvm_object_t class)
{
    return o && o->_class == class;
}

bool pvm_class_is_or_descends(pvm_object_t class, pvm_object_t ancestor)
{
    while (class) {
        if (class == ancestor) {
            return true;
        }
        pvm_object_t parent = pvm_object_da(class, class)->class_parent;
        if (parent == class) { /* .internal.void is its own parent */
            return false;
        }
        class = parent;
    }
    return false;
}

bool pvm_object_class_is_or_parent(pvm_object_t o, pvm_object_t class)
{
    return !pvm_is_null(o) && pvm_class_is_or_descends(o->_class, class);
}

/* ---- arrays ------------------------------------------------------------------------------------
 */

int pvm_get_array_size(pvm_object_t array)
{
    return PVM_LOAD(&pvm_object_da(array, array)->used_slots);
}

pvm_object_t pvm_get_array_ofield(pvm_object_t array, uint32_t index)
{
    const struct data_area_4_array *da = pvm_object_da(array, array);
    if (index >= (uint32_t)PVM_LOAD(&da->used_slots)) {
        return NULL;
    }
    pvm_object_t page = heap_load_ref(&da->page);
    if (page == NULL || index >= pvm_slot_count(page)) {
        return NULL;
    }
    return heap_load_ref(&pvm_slots(page)[index]);
}

/** A page with room for `index`, published in the array. The object lock is held. */
static pvm_object_t grow(struct data_area_4_array *da, uint32_t index)
{
    pvm_object_t old = da->page;
    uint64_t slots = index < 512 ? 2 * (uint64_t)index : (uint64_t)index + index / 2;
    if (slots < FIRST_PAGE_SLOTS) {
        slots = FIRST_PAGE_SLOTS;
    }
    pvm_object_t page = pvm_create_page_object(slots);
    if (page == NULL) {
        return NULL;
    }
    const struct pvm *pvm = pvm_current();
    uint64_t old_slots = old ? pvm_slot_count(old) : 0;
    pvm_before(pvm, page->da, old_slots * sizeof(pvm_object_t));
    for (uint64_t i = 0; i < old_slots; i++) {
        pvm_slots(page)[i] = heap_load_ref(&pvm_slots(old)[i]);
    }
    pvm_after(pvm, page->da, old_slots * sizeof(pvm_object_t));
    PVM_STORE_TOLD(pvm, &da->page_size, (int32_t)slots);
    pvm_store_ref(pvm, &da->page, page);
    return page;
}

/** Store at `index`; index UINT32_MAX: at the end. The object lock is held. */
static bool store_locked(struct data_area_4_array *da, uint32_t index, pvm_object_t value)
{
    uint32_t used = (uint32_t)da->used_slots;
    if (index == UINT32_MAX) {
        index = used;
    }
    if (index >= PVM_MAX_ARRAY_SLOTS) {
        return false;
    }
    pvm_object_t page = da->page;
    if (page == NULL || index >= pvm_slot_count(page)) {
        page = grow(da, index);
        if (page == NULL) {
            return false;
        }
    }
    const struct pvm *pvm = pvm_current();
    for (uint32_t i = used; i < index; i++) {
        pvm_store_ref(pvm, &pvm_slots(page)[i], pvm->null_object);
    }
    pvm_store_ref(pvm, &pvm_slots(page)[index], value);
    if (index >= used) {
        PVM_STORE_TOLD(pvm, &da->used_slots, (int32_t)(index + 1));
    }
    return true;
}

bool pvm_set_array_ofield(pvm_object_t array, uint32_t index, pvm_object_t value)
{
    struct data_area_4_array *da = pvm_object_da(array, array);
    pvm_object_t page = heap_load_ref(&da->page);
    if (page && index < (uint32_t)PVM_LOAD(&da->used_slots) && index < pvm_slot_count(page)) {
        pvm_store_ref(pvm_current(), &pvm_slots(page)[index], value);
        return true;
    }
    if (index >= PVM_MAX_ARRAY_SLOTS) {
        return false;
    }
    pvm_lock_object(array);
    bool stored = store_locked(da, index, value);
    pvm_unlock_object(array);
    return stored;
}

bool pvm_append_array(pvm_object_t array, pvm_object_t value)
{
    pvm_lock_object(array);
    bool stored = store_locked(pvm_object_da(array, array), UINT32_MAX, value);
    pvm_unlock_object(array);
    return stored;
}
