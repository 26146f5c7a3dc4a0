/* SPDX-License-Identifier: Apache-2.0
 * i_array.c - .internal.container.array. Element store takes the value first, the index second. */
#include "pvm_internal.h"

static PVM_NATIVE(si_array_5_tostring)
{
    SYSCALL_RETURN_STRING("array");
}

static PVM_NATIVE(si_array_8_get_iterator)
{
    SYSCALL_THROW_STRING("get iterator is not implemented yet");
}

static PVM_NATIVE(si_array_9_get_subarray)
{
    CHECK_PARAM_COUNT(2);
    int32_t base = AS_INT(args[0]);
    int32_t length = AS_INT(args[1]);
    if (base < 0 || length < 0 || (int64_t)base + length > pvm_get_array_size(me)) {
        SYSCALL_THROW_STRING("array subarray - index is out of bounds");
    }
    pvm_object_t part = pvm_create_array_object();
    for (int32_t i = 0; part && i < length; i++) {
        if (!pvm_append_array(part, pvm_get_array_ofield(me, (uint32_t)(base + i)))) {
            break; /* out of memory is noted */
        }
    }
    SYSCALL_RETURN(part);
}

static PVM_NATIVE(si_array_10_get)
{
    CHECK_PARAM_COUNT(1);
    int32_t index = AS_INT(args[0]);
    if (index < 0 || index >= pvm_get_array_size(me)) {
        SYSCALL_THROW_STRING("array get - index is out of bounds");
    }
    SYSCALL_RETURN(pvm_get_array_ofield(me, (uint32_t)index));
}

static PVM_NATIVE(si_array_11_set)
{
    CHECK_PARAM_COUNT(2);
    int32_t index = AS_INT(args[1]);
    if (pvm_flags(me) & PHANTOM_OBJECT_STORAGE_FLAG_IS_IMMUTABLE) {
        SYSCALL_THROW_STRING("object is immutable");
    }
    if (index < 0 || index >= PVM_MAX_ARRAY_SLOTS) {
        SYSCALL_THROW_STRING("array set - index is out of bounds");
    }
    (void)pvm_set_array_ofield(me, (uint32_t)index, args[0]); /* full heap is noted */
    SYSCALL_RETURN(args[0]);
}

static PVM_NATIVE(si_array_12_size)
{
    SYSCALL_RETURN(pvm_create_int_object(pvm_get_array_size(me)));
}

const syscall_func_t syscall_table_4_array[16] = {
    si_void_0_construct,     si_void_1_destruct,      si_void_2_class,         si_void_3_clone,
    si_void_4_equals,        si_array_5_tostring,     si_void_6_toXML,         si_void_7_fromXML,
    si_array_8_get_iterator, si_array_9_get_subarray, si_array_10_get,         si_array_11_set,
    si_array_12_size,        invalid_syscall,         si_void_14_setimmutable, si_void_15_hashcode,
};
DECLARE_SIZE(array);

void pvm_gc_iter_array(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    func(pvm_object_da(os, array)->page, arg);
}
