/* SPDX-License-Identifier: Apache-2.0
 *
 * i_directory.c - .internal.directory: a map from strings to objects. The map itself is in
 * pvm_directory.c; put does not overwrite, as in the port.
 */
#include "pvm_internal.h"

static PVM_NATIVE(si_directory_4_equals)
{
    CHECK_PARAM_COUNT(1);
    SYSCALL_RETURN(pvm_create_int_object(args[0] == me));
}

static PVM_NATIVE(si_directory_5_tostring)
{
    SYSCALL_RETURN_STRING("(directory)");
}

static PVM_NATIVE(si_directory_8_put)
{
    CHECK_PARAM_COUNT(2);
    ASSERT_STRING(args[0]);
    /* The result is made first: after a change this must not be executed again for lack of room. */
    pvm_object_t added = pvm_create_int_object(0);
    if (added == NULL) {
        SYSCALL_RETURN_NOTHING;
    }
    int error = hdir_add(pvm_object_da(me, directory), pvm_get_str_data(args[0]),
                         (size_t)pvm_get_str_len(args[0]), args[1]);
    SYSCALL_RETURN(error == 0 ? added : pvm_create_int_object(error));
}

static PVM_NATIVE(si_directory_9_get)
{
    CHECK_PARAM_COUNT(1);
    ASSERT_STRING(args[0]);
    pvm_object_t found = NULL;
    if (hdir_find(pvm_object_da(me, directory), pvm_get_str_data(args[0]),
                  (size_t)pvm_get_str_len(args[0]), &found, 0) != 0) {
        SYSCALL_RETURN_NOTHING;
    }
    SYSCALL_RETURN(found);
}

static PVM_NATIVE(si_directory_10_remove)
{
    CHECK_PARAM_COUNT(1);
    ASSERT_STRING(args[0]);
    /* Likewise. */
    pvm_object_t removed = pvm_create_int_object(0);
    if (removed == NULL) {
        SYSCALL_RETURN_NOTHING;
    }
    pvm_object_t found = NULL;
    int error = hdir_find(pvm_object_da(me, directory), pvm_get_str_data(args[0]),
                          (size_t)pvm_get_str_len(args[0]), &found, 1);
    SYSCALL_RETURN(error == 0 ? removed : pvm_create_int_object(error));
}

static PVM_NATIVE(si_directory_11_size)
{
    SYSCALL_RETURN(
        pvm_create_int_object((int32_t)PVM_LOAD(&pvm_object_da(me, directory)->nEntries)));
}

/** Not an iterator as in the port (which has none): a new array with all keys. */
static PVM_NATIVE(si_directory_12_keys)
{
    pvm_object_t keys = NULL;
    if (hdir_keys(pvm_object_da(me, directory), &keys) != 0) {
        SYSCALL_RETURN_NOTHING;
    }
    SYSCALL_RETURN(keys);
}

const syscall_func_t syscall_table_4_directory[] = {
    si_void_0_construct,   si_void_1_destruct,      si_void_2_class,        si_void_3_clone,
    si_directory_4_equals, si_directory_5_tostring, si_void_6_toXML,        si_void_7_fromXML,
    si_directory_8_put,    si_directory_9_get,      si_directory_10_remove, si_directory_11_size,
    si_directory_12_keys,  invalid_syscall,         invalid_syscall,        si_void_15_hashcode,
};
DECLARE_SIZE(directory);
