/* SPDX-License-Identifier: Apache-2.0
 *
 * i_world.c - .internal.world: the way to the current thread.
 */
#include "pvm_internal.h"

static PVM_NATIVE(si_world_5_tostring)
{
    SYSCALL_RETURN_STRING("(world)");
}

static PVM_NATIVE(si_world_8_getmythread)
{
    SYSCALL_RETURN(pvm_da_to_object(tc));
}

const syscall_func_t syscall_table_4_world[] = {
    si_void_0_construct,    si_void_1_destruct,  si_void_2_class, si_void_3_clone,
    si_void_4_equals,       si_world_5_tostring, si_void_6_toXML, si_void_7_fromXML,
    si_world_8_getmythread, invalid_syscall,     invalid_syscall, invalid_syscall,
    invalid_syscall,        invalid_syscall,     invalid_syscall, si_void_15_hashcode,
};
DECLARE_SIZE(world);
