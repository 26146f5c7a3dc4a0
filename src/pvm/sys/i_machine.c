/* SPDX-License-Identifier: Apache-2.0
 *
 * i_machine.c - objects of the machine itself that programs can at most look at: interface, code,
 * page, call_frame, istack, ostack, estack. They differ only in their toString.
 */
#include "pvm_internal.h"

#define MACHINE_CLASS(X)                                                                           \
    static PVM_NATIVE(si_##X##_5_tostring)                                                         \
    {                                                                                              \
        SYSCALL_RETURN_STRING(#X);                                                                 \
    }                                                                                              \
    const syscall_func_t syscall_table_4_##X[16] = {                                               \
        si_void_0_construct, si_void_1_destruct,  si_void_2_class, si_void_3_clone,                \
        si_void_4_equals,    si_##X##_5_tostring, si_void_6_toXML, si_void_7_fromXML,              \
        invalid_syscall,     invalid_syscall,     invalid_syscall, invalid_syscall,                \
        invalid_syscall,     invalid_syscall,     invalid_syscall, si_void_15_hashcode,            \
    };                                                                                             \
    DECLARE_SIZE(X)

MACHINE_CLASS(interface);
MACHINE_CLASS(code);
MACHINE_CLASS(page);
MACHINE_CLASS(call_frame);
MACHINE_CLASS(istack);
MACHINE_CLASS(ostack);
MACHINE_CLASS(estack);
