/* SPDX-License-Identifier: Apache-2.0
 * i_long.c - .internal.long */
#include "pvm_internal.h"

#include <inttypes.h>

static bool is_long(pvm_object_t o)
{
    return pvm_object_class_exactly_is(o, pvm_root_class(PVM_ROOT_OBJECT_LONG_CLASS));
}

static PVM_NATIVE(si_long_3_clone)
{
    SYSCALL_RETURN(pvm_create_long_object(pvm_get_long(me)));
}

static PVM_NATIVE(si_long_4_equals)
{
    CHECK_PARAM_COUNT(1);
    bool same = is_long(args[0]) && pvm_get_long(args[0]) == pvm_get_long(me);
    SYSCALL_RETURN(pvm_create_int_object(same));
}

static PVM_NATIVE(si_long_5_tostring)
{
    SYSCALL_RETURN(pvm_string_format("%" PRId64, pvm_get_long(me)));
}

static PVM_NATIVE(si_long_6_toXML)
{
    SYSCALL_RETURN(pvm_string_format("<long>%" PRId64 "</long>", pvm_get_long(me)));
}

const syscall_func_t syscall_table_4_long[16] = {
    si_void_0_construct, si_void_1_destruct, si_void_2_class,         si_long_3_clone,
    si_long_4_equals,    si_long_5_tostring, si_long_6_toXML,         si_void_7_fromXML,
    invalid_syscall,     invalid_syscall,    invalid_syscall,         invalid_syscall,
    invalid_syscall,     invalid_syscall,    si_void_14_setimmutable, si_void_15_hashcode,
};
DECLARE_SIZE(long);
