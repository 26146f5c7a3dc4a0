/* SPDX-License-Identifier: Apache-2.0
 *
 * i_void.c - .internal.void, also known as .internal.object: the methods every class inherits.
 * Other classes put them into their own tables. The null object is of this class too, so `me` may
 * be it.
 */
#include "pvm_stores.h"

PVM_NATIVE(invalid_syscall)
{
    SYSCALL_THROW_STRING("invalid syscall called");
}

PVM_NATIVE(si_void_0_construct)
{
    SYSCALL_RETURN_NOTHING;
}

PVM_NATIVE(si_void_1_destruct)
{
    SYSCALL_RETURN_NOTHING;
}

PVM_NATIVE(si_void_2_class)
{
    SYSCALL_RETURN(me->_class);
}

PVM_NATIVE(si_void_3_clone)
{
    SYSCALL_THROW_STRING("void clone called");
}

PVM_NATIVE(si_void_4_equals)
{
    CHECK_PARAM_COUNT(1);
    bool same = pvm_is_null(me) ? pvm_is_null(args[0]) : me == args[0];
    SYSCALL_RETURN(pvm_create_int_object(same));
}

PVM_NATIVE(si_void_5_tostring)
{
    SYSCALL_RETURN_STRING("(void)");
}

PVM_NATIVE(si_void_6_toXML)
{
    SYSCALL_RETURN_STRING("<void>");
}

PVM_NATIVE(si_void_7_fromXML)
{
    SYSCALL_RETURN_STRING("(void)");
}

/* setImmutable has no argument. The port's compiler calls method 14 of the object, with a class,
 * for `object instanceof class` (its receiver and argument are exchanged): that is what it then
 * means. */
PVM_NATIVE(si_void_14_setimmutable)
{
    if (n_args == 1 && pvm_is_class(args[0])) {
        SYSCALL_RETURN(pvm_create_int_object(pvm_object_class_is_or_parent(me, args[0])));
    }
    if (!(pvm_flags(me) & PHANTOM_OBJECT_STORAGE_FLAG_IS_IMMUTABLE)) { /* else do not dirty it */
        pvm_before(pvm_current(), &me->_flags, sizeof(me->_flags));
        __atomic_fetch_or(&me->_flags, PHANTOM_OBJECT_STORAGE_FLAG_IS_IMMUTABLE, __ATOMIC_RELAXED);
        pvm_after(pvm_current(), &me->_flags, sizeof(me->_flags));
    }
    SYSCALL_RETURN(pvm_create_int_object(0));
}

/* By identity for everything that can change, by value for numbers and strings: so equal values
 * have equal hashes, and the hash of an object never changes. Addresses are the same after a
 * restore. */
PVM_NATIVE(si_void_15_hashcode)
{
    const uint32_t value_class =
        PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERNAL | PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE;
    pvm_object_t class = me->_class;
    if ((pvm_object_da(class, class)->object_flags & value_class) == value_class &&
        (pvm_object_da(class, class)->object_flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_IMMUTABLE)) {
        SYSCALL_RETURN(pvm_create_int_object((int32_t)pvm_hash_bytes(me->da, me->_da_size)));
    }
    uint64_t address = (uint64_t)(uintptr_t)me;
    SYSCALL_RETURN(
        pvm_create_int_object((int32_t)(pvm_hash_bytes(&address, sizeof(address)) & INT32_MAX)));
}

const syscall_func_t syscall_table_4_void[16] = {
    si_void_0_construct, si_void_1_destruct, si_void_2_class,         si_void_3_clone,
    si_void_4_equals,    si_void_5_tostring, si_void_6_toXML,         si_void_7_fromXML,
    invalid_syscall,     invalid_syscall,    invalid_syscall,         invalid_syscall,
    invalid_syscall,     invalid_syscall,    si_void_14_setimmutable, si_void_15_hashcode,
};
DECLARE_SIZE(void);
