/* SPDX-License-Identifier: Apache-2.0
 *
 * i_time.c - .internal.time. Uptime is microseconds on the machine's monotonic clock, which starts
 * anew with each process; wall clock is seconds since 1970.
 */
#include "pvm_internal.h"

static PVM_NATIVE(si_time_5_tostring)
{
    SYSCALL_RETURN_STRING("time");
}

static PVM_NATIVE(si_time_9_uptime)
{
    SYSCALL_RETURN(pvm_create_long_object((int64_t)hal_system_time()));
}

static PVM_NATIVE(si_time_16_time)
{
    SYSCALL_RETURN(pvm_create_long_object((int64_t)fast_time()));
}

const syscall_func_t syscall_table_4_time[] = {
    si_void_0_construct, si_void_1_destruct, si_void_2_class,   si_void_3_clone, si_void_4_equals,
    si_time_5_tostring,  si_void_6_toXML,    si_void_7_fromXML, invalid_syscall, si_time_9_uptime,
    invalid_syscall,     invalid_syscall,    invalid_syscall,   invalid_syscall, invalid_syscall,
    si_void_15_hashcode, si_time_16_time,
};
DECLARE_SIZE(time);
