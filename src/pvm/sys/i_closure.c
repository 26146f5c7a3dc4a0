/* SPDX-License-Identifier: Apache-2.0
 *
 * i_closure.c - .internal.closure: an object and the ordinal of one of its methods.
 */
#include "pvm_stores.h"

static PVM_NATIVE(si_closure_5_tostring)
{
    SYSCALL_RETURN_STRING("(closure)");
}

static PVM_NATIVE(si_closure_9_getordinal)
{
    SYSCALL_RETURN(pvm_create_int_object(PVM_LOAD(&pvm_object_da(me, closure)->ordinal)));
}

static PVM_NATIVE(si_closure_10_setordinal)
{
    CHECK_PARAM_COUNT(1);
    int32_t ordinal = AS_INT(args[0]);
    PVM_STORE_TOLD(pvm_current(), &pvm_object_da(me, closure)->ordinal, ordinal);
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_closure_11_setobject)
{
    CHECK_PARAM_COUNT(1);
    pvm_store_ref(pvm_current(), &pvm_object_da(me, closure)->object, args[0]);
    SYSCALL_RETURN_NOTHING;
}

void pvm_gc_iter_closure(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    func(heap_load_ref(&pvm_object_da(os, closure)->object), arg);
}

const syscall_func_t syscall_table_4_closure[] = {
    si_void_0_construct, si_void_1_destruct,      si_void_2_class,          si_void_3_clone,
    si_void_4_equals,    si_closure_5_tostring,   si_void_6_toXML,          si_void_7_fromXML,
    invalid_syscall,     si_closure_9_getordinal, si_closure_10_setordinal, si_closure_11_setobject,
    invalid_syscall,     invalid_syscall,         invalid_syscall,          si_void_15_hashcode,
};
DECLARE_SIZE(closure);
