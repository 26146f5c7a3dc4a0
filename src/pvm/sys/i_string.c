/* SPDX-License-Identifier: Apache-2.0
 * i_string.c - .internal.string: bytes with a length; positions and lengths count bytes. */
#include "pvm_internal.h"

#include <string.h>

static PVM_NATIVE(si_string_3_clone)
{
    SYSCALL_RETURN(pvm_create_string_object_binary(pvm_get_str_data(me), pvm_get_str_len(me)));
}

static PVM_NATIVE(si_string_4_equals)
{
    CHECK_PARAM_COUNT(1);
    if (pvm_is_null(args[0])) {
        SYSCALL_RETURN(pvm_create_int_object(0));
    }
    ASSERT_STRING(args[0]);
    bool same =
        pvm_get_str_len(me) == pvm_get_str_len(args[0]) &&
        memcmp(pvm_get_str_data(me), pvm_get_str_data(args[0]), (size_t)pvm_get_str_len(me)) == 0;
    SYSCALL_RETURN(pvm_create_int_object(same));
}

static PVM_NATIVE(si_string_5_tostring)
{
    SYSCALL_RETURN(me);
}

static PVM_NATIVE(si_string_8_substring)
{
    CHECK_PARAM_COUNT(2);
    int32_t index = AS_INT(args[0]);
    int32_t length = AS_INT(args[1]);
    int32_t size = pvm_get_str_len(me);
    if (index < 0 || index >= size) {
        SYSCALL_THROW_STRING("string.substring index is out of bounds");
    }
    if (length < 0) {
        SYSCALL_THROW_STRING("string.substring length is negative");
    }
    if (length > size - index) {
        length = size - index;
    }
    SYSCALL_RETURN(pvm_create_string_object_binary(pvm_get_str_data(me) + index, length));
}

static PVM_NATIVE(si_string_9_charat)
{
    CHECK_PARAM_COUNT(1);
    int32_t index = AS_INT(args[0]);
    if (index < 0 || index >= pvm_get_str_len(me)) {
        SYSCALL_THROW_STRING("string.charAt index is out of bounds");
    }
    SYSCALL_RETURN(pvm_create_int_object((uint8_t)pvm_get_str_data(me)[index]));
}

static PVM_NATIVE(si_string_10_concat)
{
    CHECK_PARAM_COUNT(1);
    ASSERT_STRING(args[0]);
    SYSCALL_RETURN(pvm_create_string_object_binary_cat(pvm_get_str_data(me), pvm_get_str_len(me),
                                                       pvm_get_str_data(args[0]),
                                                       pvm_get_str_len(args[0])));
}

static PVM_NATIVE(si_string_11_length)
{
    SYSCALL_RETURN(pvm_create_int_object(pvm_get_str_len(me)));
}

static PVM_NATIVE(si_string_12_find)
{
    CHECK_PARAM_COUNT(1);
    ASSERT_STRING(args[0]);
    const char *data = pvm_get_str_data(me);
    size_t wanted = (size_t)pvm_get_str_len(args[0]);
    size_t size = (size_t)pvm_get_str_len(me);
    int32_t position = -1;
    for (size_t i = 0; position < 0 && i + wanted <= size; i++) {
        if (memcmp(data + i, pvm_get_str_data(args[0]), wanted) == 0) {
            position = (int32_t)i;
        }
    }
    SYSCALL_RETURN(pvm_create_int_object(position));
}

/** Optional sign and leading decimal digits; wraps. */
static int64_t leading_number(pvm_object_t string)
{
    const char *c = pvm_get_str_data(string);
    const char *end = c + pvm_get_str_len(string);
    bool negative = c < end && *c == '-';
    if (c < end && (*c == '-' || *c == '+')) {
        c++;
    }
    uint64_t value = 0;
    while (c < end && *c >= '0' && *c <= '9') {
        value = value * 10 + (uint64_t)(*c++ - '0');
    }
    return (int64_t)(negative ? 0 - value : value);
}

static PVM_NATIVE(si_string_16_toint)
{
    SYSCALL_RETURN(pvm_create_int_object((int32_t)leading_number(me)));
}

static PVM_NATIVE(si_string_17_tolong)
{
    SYSCALL_RETURN(pvm_create_long_object(leading_number(me)));
}

const syscall_func_t syscall_table_4_string[18] = {
    si_void_0_construct,   si_void_1_destruct,   si_void_2_class,         si_string_3_clone,
    si_string_4_equals,    si_string_5_tostring, si_void_6_toXML,         si_void_7_fromXML,
    si_string_8_substring, si_string_9_charat,   si_string_10_concat,     si_string_11_length,
    si_string_12_find,     invalid_syscall,      si_void_14_setimmutable, si_void_15_hashcode,
    si_string_16_toint,    si_string_17_tolong,
};
DECLARE_SIZE(string);
