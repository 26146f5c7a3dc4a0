/* SPDX-License-Identifier: Apache-2.0
 *
 * i_binary.c - .internal.binary: a fixed number of bytes.
 */
#include "pvm_stores.h"

#include <string.h>

static PVM_NATIVE(si_binary_5_tostring)
{
    SYSCALL_RETURN_STRING("(binary)");
}

static PVM_NATIVE(si_binary_8_getbyte)
{
    CHECK_PARAM_COUNT(1);
    int32_t index = AS_INT(args[0]);
    struct data_area_4_binary *da = pvm_object_da(me, binary);
    if (index < 0 || index >= da->data_size) {
        SYSCALL_THROW_STRING("binary index out of bounds");
    }
    SYSCALL_RETURN(pvm_create_int_object(PVM_LOAD(&da->data[index])));
}

static PVM_NATIVE(si_binary_9_setbyte)
{
    CHECK_PARAM_COUNT(2);
    int32_t index = AS_INT(args[0]);
    int32_t value = AS_INT(args[1]);
    struct data_area_4_binary *da = pvm_object_da(me, binary);
    if (index < 0 || index >= da->data_size) {
        SYSCALL_THROW_STRING("binary index out of bounds");
    }
    PVM_STORE_TOLD(pvm_current(), &da->data[index], (uint8_t)value);
    SYSCALL_RETURN_NOTHING;
}

/** Copy bytes one by one with relaxed atomics: both sides may be in use by other VM threads. */
static void copy_bytes(uint8_t *to, const uint8_t *from, int32_t count)
{
    if (to <= from) {
        for (int32_t i = 0; i < count; i++) {
            PVM_STORE(&to[i], PVM_LOAD(&from[i]));
        }
    } else {
        for (int32_t i = count; i-- > 0;) {
            PVM_STORE(&to[i], PVM_LOAD(&from[i]));
        }
    }
}

static PVM_NATIVE(si_binary_10_setrange)
{
    CHECK_PARAM_COUNT(4);
    if (pvm_is_null(args[0])) {
        SYSCALL_THROW_STRING("binary copy: no source");
    }
    ASSERT_CLASS(args[0], BINARY);
    int32_t to = AS_INT(args[1]);
    int32_t from = AS_INT(args[2]);
    int32_t count = AS_INT(args[3]);
    struct data_area_4_binary *dest = pvm_object_da(me, binary);
    struct data_area_4_binary *src = pvm_object_da(args[0], binary);
    if (from < 0 || count < 0 || (int64_t)from + count > src->data_size) {
        SYSCALL_THROW_STRING("binary copy src index/len out of bounds");
    }
    if (to < 0 || (int64_t)to + count > dest->data_size) {
        SYSCALL_THROW_STRING("binary copy dest index/len out of bounds");
    }
    pvm_before(pvm_current(), dest->data + to, (uint64_t)count);
    copy_bytes(dest->data + to, src->data + from, count);
    pvm_after(pvm_current(), dest->data + to, (uint64_t)count);
    SYSCALL_RETURN_NOTHING;
}

const syscall_func_t syscall_table_4_binary[] = {
    si_void_0_construct, si_void_1_destruct,   si_void_2_class,       si_void_3_clone,
    si_void_4_equals,    si_binary_5_tostring, si_void_6_toXML,       si_void_7_fromXML,
    si_binary_8_getbyte, si_binary_9_setbyte,  si_binary_10_setrange, invalid_syscall,
    invalid_syscall,     invalid_syscall,      invalid_syscall,       si_void_15_hashcode,
};
DECLARE_SIZE(binary);
