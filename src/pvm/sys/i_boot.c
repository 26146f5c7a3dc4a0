/* SPDX-License-Identifier: Apache-2.0
 *
 * i_boot.c - .internal.boot: the one object a program is given, and through it the world.
 *
 * consolePrint writes ints and strings as they are and other objects of internal classes as their
 * native toString() gives them. An object of a user class is written as its class's name in angle
 * brackets: calling its method 5 would run bytecode inside a native, and the native could then
 * neither block nor be executed again. Programs write o.toString() for that.
 */
#include "pvm_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static PVM_NATIVE(si_bootstrap_5_tostring)
{
    SYSCALL_RETURN_STRING("bootstrap");
}

static PVM_NATIVE(si_bootstrap_8_load_class)
{
    CHECK_PARAM_COUNT(1);
    ASSERT_STRING(args[0]);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    pvm_object_t class = NULL;
    size_t size = (size_t)pvm_get_str_len(args[0]);
    int rc = pvm_class_find(pvm_get_str_data(args[0]), size, &class, &diag);
    if (rc != 0) {
        SYSCALL_THROW(pvm_string_format("%.*s - class load error%s%s",
                                        (int)(size < 256 ? size : 256), pvm_get_str_data(args[0]),
                                        rc == PHANTOM_ENOTFOUND ? "" : ": ",
                                        rc == PHANTOM_ENOTFOUND ? "" : diag.text));
    }
    SYSCALL_RETURN(class);
}

static void write_bytes(const char *bytes, size_t size)
{
    struct pvm_host *host = &pvm_current()->host;
    if (host->console_write && size) {
        host->console_write(host->context, bytes, size);
    }
}

/** Bytes to print for an object. Strings: themselves; others: into buffer. */
static const char *printed_form(pvm_object_t o, char *buffer, size_t buffer_size, size_t *size)
{
    if (IS_PHANTOM_STRING(o)) {
        *size = (size_t)pvm_get_str_len(o);
        return pvm_get_str_data(o);
    }
    if (IS_PHANTOM_INT(o)) {
        snprintf(buffer, buffer_size, "%" PRId32, pvm_get_int(o));
    } else if (pvm_is_null(o)) {
        snprintf(buffer, buffer_size, "null");
    } else {
        char name[256];
        snprintf(buffer, buffer_size, "<%s>", pvm_class_name_text(o->_class, name, sizeof(name)));
    }
    *size = strlen(buffer);
    return buffer;
}

/** The string that toString() of an internal class gives; o itself otherwise. */
static pvm_object_t to_string(pvm_object_t o, struct data_area_4_thread *tc)
{
    if (pvm_is_null(o) || IS_PHANTOM_STRING(o) || IS_PHANTOM_INT(o)) {
        return o;
    }
    uint32_t row = pvm_object_da(o->_class, class)->sys_table_id;
    if (row == PVM_NOT_INTERNAL || *pvm_internal_classes[row].syscalls_table_size_ptr <= 5) {
        return o;
    }
    pvm_object_t string = NULL;
    int rc = pvm_internal_classes[row].syscalls_table[5](o, &string, tc, 0, NULL);
    return rc == PVM_SYSCALL_RETURN && IS_PHANTOM_STRING(string) ? string : o;
}

enum {
    PRINTED_ARGUMENTS = 32,
};

/* The last argument is written first, as in the port. */
static PVM_NATIVE(si_bootstrap_16_print)
{
    pvm_object_t texts[PRINTED_ARGUMENTS];
    if (n_args > PRINTED_ARGUMENTS) {
        SYSCALL_THROW_STRING("print: too many arguments");
    }
    for (int i = 0; i < n_args; i++) {
        texts[i] = to_string(args[i], tc);
    }
    if (pvm_current_worker()->out_of_memory) {
        SYSCALL_RETURN_NOTHING; /* executed again: nothing may be written twice */
    }
    for (int i = n_args; i > 0; i--) {
        char buffer[300];
        size_t size;
        const char *bytes = printed_form(texts[i - 1], buffer, sizeof(buffer), &size);
        write_bytes(bytes, size);
    }
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_bootstrap_17_register_class_loader)
{
    CHECK_PARAM_COUNT(1);
    pvm_set_root_slot(PVM_ROOT_OBJECT_CLASS_LOADER, args[0]);
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_bootstrap_18_thread)
{
    CHECK_PARAM_COUNT(1);
    if (pvm_is_null(args[0])) {
        SYSCALL_THROW_STRING("startThread: null");
    }
    pvm_object_t failure = NULL;
    pvm_object_t thread = pvm_create_thread_object(args[0], 8, 1, &me, &failure);
    if (thread == NULL) {
        SYSCALL_THROW(failure);
    }
    phantom_activate_thread(thread);
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_bootstrap_19_create_binary)
{
    CHECK_PARAM_COUNT(1);
    int32_t size = AS_INT(args[0]);
    if (size < 0) {
        SYSCALL_THROW_STRING("createBinary: negative size");
    }
    SYSCALL_RETURN(pvm_create_binary_object(size, NULL));
}

static PVM_NATIVE(si_bootstrap_20_set_screen_background)
{
    CHECK_PARAM_COUNT(1);
    if (!pvm_object_class_exactly_is(args[0], pvm_root_class(PVM_ROOT_OBJECT_BITMAP_CLASS))) {
        SYSCALL_THROW_STRING("not a bitmap");
    }
    SYSCALL_RETURN_NOTHING; /* there is no screen */
}

static PVM_NATIVE(si_bootstrap_21_sleep)
{
    CHECK_PARAM_COUNT(1);
    int32_t milliseconds = AS_INT(args[0]);
    *ret = pvm_create_null_object();
    return pvm_wait_sleep(tc, me, milliseconds > 0 ? (uint64_t)milliseconds * 1000 : 0);
}

static PVM_NATIVE(si_bootstrap_22_set_os_interface)
{
    CHECK_PARAM_COUNT(1);
    pvm_set_root_slot(PVM_ROOT_OBJECT_OS_ENTRY, args[0]);
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_bootstrap_23_getenv)
{
    SYSCALL_RETURN(pvm_root_slot(PVM_ROOT_OBJECT_KERNEL_ENVIRONMENT));
}

/* A program cannot reset the machine it runs on; its world is left as it is, all threads at rest.
 */
static PVM_NATIVE(si_bootstrap_24_reboot)
{
    pvm_request_stop(pvm_current());
    SYSCALL_RETURN_NOTHING;
}

const syscall_func_t syscall_table_4_boot[25] = {
    si_void_0_construct,
    si_void_1_destruct,
    si_void_2_class,
    si_void_3_clone,
    si_void_4_equals,
    si_bootstrap_5_tostring,
    si_void_6_toXML,
    si_void_7_fromXML,
    si_bootstrap_8_load_class,
    invalid_syscall,
    invalid_syscall,
    invalid_syscall,
    invalid_syscall,
    invalid_syscall,
    invalid_syscall,
    si_void_15_hashcode,
    si_bootstrap_16_print,
    si_bootstrap_17_register_class_loader,
    si_bootstrap_18_thread,
    si_bootstrap_19_create_binary,
    si_bootstrap_20_set_screen_background,
    si_bootstrap_21_sleep,
    si_bootstrap_22_set_os_interface,
    si_bootstrap_23_getenv,
    si_bootstrap_24_reboot,
};
DECLARE_SIZE(boot);
