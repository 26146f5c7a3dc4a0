/* SPDX-License-Identifier: Apache-2.0
 *
 * i_class.c - .internal.class: static fields, instanceof; and what the collector finds in classes,
 * code objects and directories.
 */
#include "pvm_internal.h"

static PVM_NATIVE(si_class_5_tostring)
{
    SYSCALL_RETURN_STRING("class");
}

/* name, number of fields, class whose methods the new one has */
static PVM_NATIVE(si_class_8_new_class)
{
    CHECK_PARAM_COUNT(3);
    ASSERT_STRING(args[0]);
    int32_t slots = AS_INT(args[1]);
    pvm_object_t interface = args[2];
    if (interface == NULL || !(pvm_flags(interface) & PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERFACE)) {
        SYSCALL_THROW_STRING("class.newClass: not an interface");
    }
    if (slots < 0 || slots > BC_MAX_FIELD_SLOTS) {
        SYSCALL_THROW_STRING("class.newClass: number of fields is out of bounds");
    }
    SYSCALL_RETURN(pvm_create_class_object(args[0], interface,
                                           (uint32_t)slots * (uint32_t)sizeof(pvm_object_t)));
}

static PVM_NATIVE(si_class_10_set_static)
{
    CHECK_PARAM_COUNT(2);
    int32_t slot = AS_INT(args[0]);
    pvm_object_t statics = pvm_object_da(me, class)->static_vars;
    if (slot < 0 || slot >= BC_MAX_FIELD_SLOTS || statics == NULL) {
        SYSCALL_THROW_STRING("class.setStatic: slot is out of bounds");
    }
    (void)pvm_set_array_ofield(statics, (uint32_t)slot, args[1]); /* full heap is noted */
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_class_11_get_static)
{
    CHECK_PARAM_COUNT(1);
    int32_t slot = AS_INT(args[0]);
    pvm_object_t statics = pvm_object_da(me, class)->static_vars;
    if (slot < 0 || slot >= BC_MAX_FIELD_SLOTS || statics == NULL) {
        SYSCALL_THROW_STRING("class.getStatic: slot is out of bounds");
    }
    SYSCALL_RETURN(pvm_get_array_ofield(statics, (uint32_t)slot));
}

static PVM_NATIVE(si_class_14_instanceof)
{
    CHECK_PARAM_COUNT(1);
    SYSCALL_RETURN(pvm_create_int_object(pvm_object_class_is_or_parent(args[0], me)));
}

const syscall_func_t syscall_table_4_class[16] = {
    si_void_0_construct,  si_void_1_destruct,  si_void_2_class,        si_void_3_clone,
    si_void_4_equals,     si_class_5_tostring, si_void_6_toXML,        si_void_7_fromXML,
    si_class_8_new_class, invalid_syscall,     si_class_10_set_static, si_class_11_get_static,
    invalid_syscall,      invalid_syscall,     si_class_14_instanceof, si_void_15_hashcode,
};
DECLARE_SIZE(class);

void pvm_gc_iter_class(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    struct data_area_4_class *da = pvm_object_da(os, class);
    func(da->object_default_interface, arg);
    func(da->class_name, arg);
    func(da->class_parent, arg);
    func(da->static_vars, arg);
    func(da->ip2line_maps, arg);
    func(da->method_names, arg);
    func(da->field_names, arg);
    func(da->const_pool, arg);
}

void pvm_gc_iter_code(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    func(pvm_object_da(os, code)->owner_class, arg);
}

void pvm_gc_iter_directory(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    func(pvm_object_da(os, directory)->keys, arg);
    func(pvm_object_da(os, directory)->values, arg);
}
