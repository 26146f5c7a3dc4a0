/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_root.c - the root object: its birth, its check after a restore, environment, restart list.
 *
 * The root is a plain object without a class; its slots are numbered in pvm_objects.h. Class
 * objects of the internal classes are made once, at birth; the mirror of their addresses in struct
 * pvm is volatile. Before the classes of class, interface, code, string and array exist, objects
 * are made with heap_alloc() directly; nothing here depends on the order of rows beyond that.
 */
#include "ph_check.h"
#include "pvm_exec.h"
#include "pvm_stores.h"

#include <errno.h>
#include <string.h>

static pvm_object_t *slot(struct pvm *pvm, int index)
{
    return &pvm_slots(pvm->root)[index];
}

/* ---- birth -------------------------------------------------------------------------------------
 */

static int no_room(struct phantom_diag *diag)
{
    return ph_fail(diag, PHANTOM_EHEAPFULL, "the heap is too small for a new world");
}

/** The bare class objects: flags and sizes, so that instances can be made. */
static int make_classes(struct pvm *pvm, struct heap_allocator *allocator,
                        struct phantom_diag *diag)
{
    const uint32_t flags =
        PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERNAL | PHANTOM_OBJECT_STORAGE_FLAG_IS_CLASS;
    pvm_object_t class_class = heap_alloc(allocator, NULL, flags, sizeof(struct data_area_4_class));
    for (int i = 0; i < pvm_n_internal_classes; i++) {
        const struct internal_class *row = &pvm_internal_classes[i];
        pvm_object_t o =
            row->root_index == PVM_ROOT_OBJECT_CLASS_CLASS
                ? class_class
                : heap_alloc(allocator, class_class, flags, sizeof(struct data_area_4_class));
        if (o == NULL) {
            return no_room(diag);
        }
        struct data_area_4_class *da = pvm_object_da(o, class);
        pvm_store_ref(pvm, &o->_class, class_class);
        PVM_BEFORE(pvm, da);
        da->object_flags = row->flags;
        da->object_data_area_size = row->da_size;
        da->sys_table_id = (uint32_t)i;
        PVM_AFTER(pvm, da);
        pvm->classes[row->root_index] = o;
        pvm_store_ref(pvm, slot(pvm, row->root_index), o);
    }
    return 0;
}

/** The interface that all internal classes share: method k is the code `sys k; ret`. */
static pvm_object_t make_sys_interface(void)
{
    pvm_object_t class = pvm_root_class(PVM_ROOT_OBJECT_INTERFACE_CLASS);
    pvm_object_t interface =
        pvm_object_create_dynamic(class, PVM_SYS_METHODS * (int64_t)sizeof(pvm_object_t));
    for (uint32_t k = 0; interface && k < PVM_SYS_METHODS; k++) {
        const uint8_t code[] = {0x0F, (uint8_t)k, 0x08};
        pvm_store_ref(pvm_current(), &pvm_slots(interface)[k],
                      pvm_create_code_object(NULL, k, -1, code, sizeof(code)));
    }
    return interface;
}

static void complete_classes(struct pvm *pvm, pvm_object_t interface)
{
    for (int i = 0; i < pvm_n_internal_classes; i++) {
        const struct internal_class *row = &pvm_internal_classes[i];
        struct data_area_4_class *da = pvm_object_da(pvm->classes[row->root_index], class);
        PVM_BEFORE(pvm, da);
        da->object_default_interface = interface;
        da->class_name = pvm_create_string_object(row->name);
        da->class_parent = pvm->classes[PVM_ROOT_OBJECT_NULL_CLASS];
        da->static_vars = pvm_create_array_object();
        PVM_AFTER(pvm, da);
    }
}

/** The shared boxes of small ints. pvm->small_ints is set last: until then each box is made anew.
 */
static void make_small_ints(struct pvm *pvm)
{
    const int32_t count = PVM_SMALL_INT_MOST - PVM_SMALL_INT_LEAST + 1;
    pvm_object_t page = pvm_create_page_object((uint64_t)count);
    for (int32_t i = 0; page && i < count; i++) {
        pvm_store_ref(pvm, &pvm_slots(page)[i], pvm_create_int_object(i + PVM_SMALL_INT_LEAST));
    }
    pvm_set_root_slot(PVM_ROOT_OBJECT_SMALL_INTS, page);
    pvm->small_ints = page ? pvm_slots(page) : NULL;
}

static void set_environment(struct pvm *pvm)
{
    pvm_object_t environment = pvm_create_array_object();
    for (const char *const *item = pvm->options.environment; environment && item && *item; item++) {
        pvm_object_t string = pvm_create_string_object(*item);
        if (string) {
            (void)pvm_append_array(environment, string);
        }
    }
    pvm_set_root_slot(PVM_ROOT_OBJECT_KERNEL_ENVIRONMENT, environment);
}

static void make_state(struct pvm *pvm)
{
    const int32_t size = (int32_t)(sizeof(struct pvm_vm_state) - sizeof(int32_t));
    pvm_object_t state = pvm_create_binary_object(size, NULL);
    pvm_set_root_slot(PVM_ROOT_OBJECT_VM_STATE, state);
    pvm->state = state ? (struct pvm_vm_state *)(void *)state->da : NULL;
}

int pvm_root_birth(struct pvm *pvm, struct phantom_diag *diag)
{
    struct pvm_worker *worker = pvm_current_worker();
    pvm->root =
        heap_alloc(worker->allocator, NULL, 0, PVM_ROOT_SLOTS * (uint64_t)sizeof(pvm_object_t));
    if (pvm->root == NULL) {
        return no_room(diag);
    }
    int rc = make_classes(pvm, worker->allocator, diag);
    if (rc != 0) {
        return rc;
    }
    worker->out_of_memory = false;
    pvm->null_object = pvm_object_create_dynamic(pvm->classes[PVM_ROOT_OBJECT_NULL_CLASS], 0);
    pvm_set_root_slot(PVM_ROOT_OBJECT_NULL, pvm->null_object);
    pvm_object_t interface = make_sys_interface();
    pvm_set_root_slot(PVM_ROOT_OBJECT_SYSINTERFACE, interface);
    complete_classes(pvm, interface);
    make_small_ints(pvm);
    pvm_set_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY, pvm_create_string_object("out of memory"));
    pvm_set_root_slot(PVM_ROOT_OBJECT_RESTART_LIST, pvm_create_array_object());
    pvm_set_root_slot(PVM_ROOT_OBJECT_USERS_LIST, pvm_create_array_object());
    pvm_set_root_slot(PVM_ROOT_OBJECT_ROOT_DIR, pvm_create_directory_object());
    pvm_set_root_slot(PVM_ROOT_OBJECT_CLASS_DIR, pvm_create_directory_object());
    pvm_set_root_slot(PVM_ROOT_OBJECT_KERNEL_STATISTICS,
                      pvm_create_binary_object(128 * 2 * (int32_t)sizeof(uint64_t), NULL));
    set_environment(pvm);
    make_state(pvm);
    return worker->out_of_memory ? no_room(diag) : 0;
}

/* ---- attach ------------------------------------------------------------------------------------
 */

static int damaged(struct phantom_diag *diag, const char *what)
{
    return ph_fail(diag, PHANTOM_ECORRUPT, "root object: %s", what);
}

static bool is_complete_class(struct pvm *pvm, pvm_object_t o)
{
    return heap_is_object(pvm->heap, o) && pvm_is_class(o) &&
           o->_da_size == sizeof(struct data_area_4_class);
}

static int attach_class(struct pvm *pvm, const struct internal_class *row, uint32_t number,
                        struct phantom_diag *diag)
{
    pvm_object_t o = *slot(pvm, row->root_index);
    if (!is_complete_class(pvm, o)) {
        return damaged(diag, row->name);
    }
    const struct data_area_4_class *da = pvm_object_da(o, class);
    if (da->sys_table_id != number || da->object_flags != row->flags ||
        da->object_data_area_size != row->da_size || !pvm_string_is(da->class_name, row->name)) {
        return ph_fail(diag, PHANTOM_EVERSION, "internal class %s is not as this version knows it",
                       row->name);
    }
    pvm->classes[row->root_index] = o;
    return 0;
}

static int attach_small_ints(struct pvm *pvm, struct phantom_diag *diag)
{
    const int32_t count = PVM_SMALL_INT_MOST - PVM_SMALL_INT_LEAST + 1;
    pvm_object_t page = *slot(pvm, PVM_ROOT_OBJECT_SMALL_INTS);
    if (!heap_is_object(pvm->heap, page) ||
        page->_da_size != (uint64_t)count * sizeof(pvm_object_t)) {
        return damaged(diag, "small integers");
    }
    for (int32_t i = 0; i < count; i++) {
        pvm_object_t o = pvm_slots(page)[i];
        if (!heap_is_object(pvm->heap, o) || o->_class != pvm->classes[PVM_ROOT_OBJECT_INT_CLASS] ||
            pvm_get_int(o) != i + PVM_SMALL_INT_LEAST) {
            return damaged(diag, "small integers");
        }
    }
    pvm->small_ints = pvm_slots(page);
    return 0;
}

int pvm_root_attach(struct pvm *pvm, struct phantom_diag *diag)
{
    pvm->root = heap_root(pvm->heap);
    if (pvm->root == NULL || !heap_is_object(pvm->heap, pvm->root) ||
        pvm->root->_da_size != PVM_ROOT_SLOTS * sizeof(pvm_object_t)) {
        return damaged(diag, "missing or of the wrong size");
    }
    for (int i = 0; i < pvm_n_internal_classes; i++) {
        int rc = attach_class(pvm, &pvm_internal_classes[i], (uint32_t)i, diag);
        if (rc != 0) {
            return rc;
        }
    }
    pvm->null_object = *slot(pvm, PVM_ROOT_OBJECT_NULL);
    pvm_object_t state = *slot(pvm, PVM_ROOT_OBJECT_VM_STATE);
    if (!heap_is_object(pvm->heap, pvm->null_object) || !heap_is_object(pvm->heap, state) ||
        state->_da_size != sizeof(struct pvm_vm_state)) {
        return damaged(diag, "null object or machine state");
    }
    pvm->state = (struct pvm_vm_state *)(void *)state->da;
    return attach_small_ints(pvm, diag);
}

/* ---- restart list ---------------------------------------------------------------------------- */

static bool list_contains(pvm_object_t list, pvm_object_t o)
{
    for (int i = 0; i < pvm_get_array_size(list); i++) {
        if (pvm_get_array_ofield(list, (uint32_t)i) == o) {
            return true;
        }
    }
    return false;
}

void pvm_add_object_to_restart_list(pvm_object_t o)
{
    pvm_object_t list = pvm_root_slot(PVM_ROOT_OBJECT_RESTART_LIST);
    if (!list_contains(list, o)) {
        (void)pvm_append_array(list, o);
    }
}

void pvm_remove_object_from_restart_list(pvm_object_t o)
{
    pvm_object_t list = pvm_root_slot(PVM_ROOT_OBJECT_RESTART_LIST);
    for (int i = 0; i < pvm_get_array_size(list); i++) {
        if (pvm_get_array_ofield(list, (uint32_t)i) == o) {
            (void)pvm_set_array_ofield(list, (uint32_t)i, pvm_create_null_object());
        }
    }
}

void pvm_root_restart_objects(struct pvm *pvm)
{
    pvm_object_t old = pvm_root_slot(PVM_ROOT_OBJECT_RESTART_LIST);
    pvm_object_t fresh = pvm_create_array_object();
    if (fresh == NULL) {
        return; /* heap full: the list stays as it is, for the next restart */
    }
    pvm_set_root_slot(PVM_ROOT_OBJECT_RESTART_LIST, fresh);
    for (int i = 0; i < pvm_get_array_size(old); i++) {
        pvm_object_t o = pvm_get_array_ofield(old, (uint32_t)i);
        if (o == NULL || o == pvm->null_object || !pvm_is_internal(o)) {
            continue;
        }
        uint32_t row = pvm_object_da(o->_class, class)->sys_table_id;
        if (row < (uint32_t)pvm_n_internal_classes && pvm_internal_classes[row].restart) {
            pvm_internal_classes[row].restart(o);
        }
    }
}

/* ---- environment ----------------------------------------------------------------------------- */

int phantom_getenv(const char *name, char *value, int value_size)
{
    size_t size = strlen(name);
    pvm_object_t environment = pvm_root_slot(PVM_ROOT_OBJECT_KERNEL_ENVIRONMENT);
    for (int i = environment ? pvm_get_array_size(environment) : 0; i > 0; i--) {
        pvm_object_t item = pvm_get_array_ofield(environment, (uint32_t)i - 1);
        if (!IS_PHANTOM_STRING(item)) {
            continue;
        }
        size_t length = (size_t)pvm_get_str_len(item);
        const char *text = pvm_get_str_data(item);
        if (length > size && text[size] == '=' && memcmp(text, name, size) == 0) {
            size_t n = length - size - 1;
            if (value_size > 0) {
                n = n < (size_t)value_size - 1 ? n : (size_t)value_size - 1;
                memcpy(value, text + size + 1, n);
                value[n] = '\0';
            }
            return 1;
        }
    }
    return 0;
}
