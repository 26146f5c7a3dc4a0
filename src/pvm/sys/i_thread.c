/* SPDX-License-Identifier: Apache-2.0
 * i_thread.c - .internal.thread as programs see it. */
#include "pvm_stores.h"

static PVM_NATIVE(si_thread_5_tostring)
{
    SYSCALL_RETURN_STRING("thread");
}

static PVM_NATIVE(si_thread_10_pause)
{
    SYSCALL_THROW_STRING("Thread can pause itself only");
}

static PVM_NATIVE(si_thread_11_continue)
{
    SYSCALL_THROW_STRING("Not this way");
}

/* An object of the userland class .phantom.environment, made on first use. */
static PVM_NATIVE(si_thread_12_getEnvironment)
{
    static const char name[] = ".phantom.environment";
    struct data_area_4_thread *da = pvm_object_da(me, thread);
    pvm_object_t environment = heap_load_ref(&da->environment);
    if (environment == NULL) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        pvm_object_t class;
        if (pvm_class_find(name, sizeof(name) - 1, &class, &diag) != 0) {
            SYSCALL_THROW(pvm_string_format("%s - class load error", name));
        }
        environment = pvm_create_object(class);
        pvm_store_ref(pvm_current(), &da->environment, environment);
    }
    SYSCALL_RETURN(environment);
}

static PVM_NATIVE(si_thread_13_getUser)
{
    SYSCALL_RETURN(heap_load_ref(&pvm_object_da(me, thread)->owner));
}

static PVM_NATIVE(si_thread_14_getOsInterface)
{
    SYSCALL_RETURN(pvm_root_slot(PVM_ROOT_OBJECT_OS_ENTRY));
}

const syscall_func_t syscall_table_4_thread[16] = {
    si_void_0_construct,
    si_void_1_destruct,
    si_void_2_class,
    si_void_3_clone,
    si_void_4_equals,
    si_thread_5_tostring,
    si_void_6_toXML,
    si_void_7_fromXML,
    invalid_syscall,
    invalid_syscall,
    si_thread_10_pause,
    si_thread_11_continue,
    si_thread_12_getEnvironment,
    si_thread_13_getUser,
    si_thread_14_getOsInterface,
    si_void_15_hashcode,
};
DECLARE_SIZE(thread);
