/* SPDX-License-Identifier: Apache-2.0
 *
 * i_float.c - .internal.float: IEEE single. Text is the shortest that reads back as the same
 * number, with a point or an exponent in it always (the port's printing is defective).
 */
#include "pvm_internal.h"

#include "pvm_number_text.h"

static PVM_NATIVE(si_float_3_clone)
{
    SYSCALL_RETURN(pvm_create_float_object(pvm_get_float(me)));
}

static PVM_NATIVE(si_float_4_equals)
{
    CHECK_PARAM_COUNT(1);
    bool same = !pvm_is_null(args[0]) &&
                pvm_object_class_exactly_is(args[0], pvm_root_class(PVM_ROOT_OBJECT_FLOAT_CLASS)) &&
                pvm_get_float(args[0]) == pvm_get_float(me);
    SYSCALL_RETURN(pvm_create_int_object(same));
}

static PVM_NATIVE(si_float_5_tostring)
{
    char text[PVM_NUMBER_TEXT];
    pvm_float_text(pvm_get_float(me), text);
    SYSCALL_RETURN_STRING(text);
}

static PVM_NATIVE(si_float_6_toXML)
{
    char text[PVM_NUMBER_TEXT];
    pvm_float_text(pvm_get_float(me), text);
    SYSCALL_RETURN(pvm_string_format("<float>%s</float>", text));
}

const syscall_func_t syscall_table_4_float[] = {
    si_void_0_construct, si_void_1_destruct,  si_void_2_class,         si_float_3_clone,
    si_float_4_equals,   si_float_5_tostring, si_float_6_toXML,        si_void_7_fromXML,
    invalid_syscall,     invalid_syscall,     invalid_syscall,         invalid_syscall,
    invalid_syscall,     invalid_syscall,     si_void_14_setimmutable, si_void_15_hashcode,
};
DECLARE_SIZE(float);
