/* SPDX-License-Identifier: Apache-2.0
 * i_int.c - .internal.int */
#include "pvm_internal.h"

#include <inttypes.h>

static PVM_NATIVE(si_int_3_clone)
{
    SYSCALL_RETURN(pvm_create_int_object(pvm_get_int(me)));
}

static PVM_NATIVE(si_int_4_equals)
{
    CHECK_PARAM_COUNT(1);
    bool same = IS_PHANTOM_INT(args[0]) && pvm_get_int(args[0]) == pvm_get_int(me);
    SYSCALL_RETURN(pvm_create_int_object(same));
}

static PVM_NATIVE(si_int_5_tostring)
{
    SYSCALL_RETURN(pvm_string_format("%" PRId32, pvm_get_int(me)));
}

static PVM_NATIVE(si_int_6_toXML)
{
    SYSCALL_RETURN(pvm_string_format("<int>%" PRId32 "</int>", pvm_get_int(me)));
}

const syscall_func_t syscall_table_4_int[16] = {
    si_void_0_construct, si_void_1_destruct, si_void_2_class,         si_int_3_clone,
    si_int_4_equals,     si_int_5_tostring,  si_int_6_toXML,          si_void_7_fromXML,
    invalid_syscall,     invalid_syscall,    invalid_syscall,         invalid_syscall,
    invalid_syscall,     invalid_syscall,    si_void_14_setimmutable, si_void_15_hashcode,
};
DECLARE_SIZE(int);
