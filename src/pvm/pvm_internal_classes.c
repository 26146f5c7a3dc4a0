/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_internal_classes.c - the table of internal classes.
 *
 * A row's number is stored in the heap as sys_table_id, so rows never move; a new class is appended
 * and PVM_NATIVE_CLASS_VERSION changes. Names, root slots and flags are those of the port
 * (CHILDFREE only where it is true). A class without natives of its own uses those of
 * .internal.void.
 */
#include "pvm_internal.h"

#include <string.h>

enum {
    N = PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERNAL,
    F = PHANTOM_OBJECT_STORAGE_FLAG_IS_CHILDFREE,
    M = PHANTOM_OBJECT_STORAGE_FLAG_IS_IMMUTABLE,
    Z = PHANTOM_OBJECT_STORAGE_FLAG_IS_FINALIZER,
    CODE = PHANTOM_OBJECT_STORAGE_FLAG_IS_CODE,
    INTERFACE = PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERFACE,
    CLASS = PHANTOM_OBJECT_STORAGE_FLAG_IS_CLASS,
    INT = PHANTOM_OBJECT_STORAGE_FLAG_IS_INT,
    STRING = PHANTOM_OBJECT_STORAGE_FLAG_IS_STRING,
    ARRAY =
        PHANTOM_OBJECT_STORAGE_FLAG_IS_DECOMPOSEABLE | PHANTOM_OBJECT_STORAGE_FLAG_IS_RESIZEABLE,
    THREAD = PHANTOM_OBJECT_STORAGE_FLAG_IS_THREAD,
    CALL_FRAME = PHANTOM_OBJECT_STORAGE_FLAG_IS_CALL_FRAME,
    STACK_FRAME = PHANTOM_OBJECT_STORAGE_FLAG_IS_STACK_FRAME,
};

#define TABLE(X) syscall_table_4_##X, &n_syscall_table_4_##X
#define DA(X)    sizeof(struct data_area_4_##X)

/* clang-format off */
const struct internal_class pvm_internal_classes[] = {
    /* name, root slot, flags, da size, natives, init, iter, finalizer, restart */
    {".internal.void", PVM_ROOT_OBJECT_NULL_CLASS, N | F | M, 0, TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.class", PVM_ROOT_OBJECT_CLASS_CLASS, N | CLASS, DA(class), TABLE(class), NULL, pvm_gc_iter_class, NULL, NULL},
    {".internal.interface", PVM_ROOT_OBJECT_INTERFACE_CLASS, INTERFACE, 0, TABLE(interface), NULL, NULL, NULL, NULL},
    {".internal.code", PVM_ROOT_OBJECT_CODE_CLASS, N | CODE, DA(code), TABLE(code), NULL, pvm_gc_iter_code, NULL, NULL},
    {".internal.int", PVM_ROOT_OBJECT_INT_CLASS, N | F | M | INT, DA(int), TABLE(int), NULL, NULL, NULL, NULL},
    {".internal.long", PVM_ROOT_OBJECT_LONG_CLASS, N | F | M, DA(long), TABLE(long), NULL, NULL, NULL, NULL},
    {".internal.string", PVM_ROOT_OBJECT_STRING_CLASS, N | F | M | STRING, DA(string), TABLE(string), NULL, NULL, NULL, NULL},
    {".internal.container.array", PVM_ROOT_OBJECT_ARRAY_CLASS, N | ARRAY, DA(array), TABLE(array), NULL, pvm_gc_iter_array, NULL, NULL},
    {".internal.container.page", PVM_ROOT_OBJECT_PAGE_CLASS, 0, 0, TABLE(page), NULL, NULL, NULL, NULL},
    {".internal.thread", PVM_ROOT_OBJECT_THREAD_CLASS, N | THREAD, DA(thread), TABLE(thread), NULL, pvm_gc_iter_thread, NULL, NULL},
    {".internal.call_frame", PVM_ROOT_OBJECT_CALL_FRAME_CLASS, N | CALL_FRAME | F, 0, TABLE(call_frame), NULL, NULL, NULL, NULL},
    {".internal.istack", PVM_ROOT_OBJECT_ISTACK_CLASS, N | STACK_FRAME | F, 0, TABLE(istack), NULL, NULL, NULL, NULL},
    {".internal.ostack", PVM_ROOT_OBJECT_OSTACK_CLASS, N | STACK_FRAME, sizeof(struct pvm_stack_segment), TABLE(ostack), NULL, pvm_gc_iter_ostack, NULL, NULL},
    {".internal.estack", PVM_ROOT_OBJECT_ESTACK_CLASS, N | STACK_FRAME | F, 0, TABLE(estack), NULL, NULL, NULL, NULL},
    {".internal.boot", PVM_ROOT_OBJECT_BOOT_CLASS, N | F, 0, TABLE(boot), NULL, NULL, NULL, NULL},
    {".internal.io.tty", PVM_ROOT_OBJECT_TTY_CLASS, N | F, 0, TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.mutex", PVM_ROOT_OBJECT_MUTEX_CLASS, N, DA(mutex), TABLE(mutex), NULL, pvm_gc_iter_mutex, NULL, NULL},
    {".internal.cond", PVM_ROOT_OBJECT_COND_CLASS, N, DA(cond), TABLE(cond), NULL, pvm_gc_iter_cond, NULL, NULL},
    {".internal.sema", PVM_ROOT_OBJECT_SEMA_CLASS, N, DA(sema), TABLE(sema), NULL, pvm_gc_iter_sema, NULL, NULL},
    {".internal.binary", PVM_ROOT_OBJECT_BINARY_CLASS, N | F, DA(binary), TABLE(binary), NULL, NULL, NULL, NULL},
    {".internal.bitmap", PVM_ROOT_OBJECT_BITMAP_CLASS, N, DA(bitmap), TABLE(bitmap), NULL, pvm_gc_iter_bitmap, NULL, NULL},
    {".internal.closure", PVM_ROOT_OBJECT_CLOSURE_CLASS, N, DA(closure), TABLE(closure), NULL, pvm_gc_iter_closure, NULL, NULL},
    {".internal.world", PVM_ROOT_OBJECT_WORLD_CLASS, N | F, DA(world), TABLE(world), NULL, NULL, NULL, NULL},
    {".internal.udp", PVM_ROOT_OBJECT_UDP_CLASS, N | F, DA(udp), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.tcp", PVM_ROOT_OBJECT_TCP_CLASS, N | F, DA(tcp), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.window", PVM_ROOT_OBJECT_WINDOW_CLASS, N | F, 0, TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.directory", PVM_ROOT_OBJECT_DIRECTORY_CLASS, N, DA(directory), TABLE(directory), NULL, pvm_gc_iter_directory, NULL, NULL},
    {".internal.connection", PVM_ROOT_OBJECT_CONNECTION_CLASS, N, DA(connection), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.float", PVM_ROOT_OBJECT_FLOAT_CLASS, N | F | M, DA(float), TABLE(float), NULL, NULL, NULL, NULL},
    {".internal.double", PVM_ROOT_OBJECT_DOUBLE_CLASS, N | F | M, DA(double), TABLE(double), NULL, NULL, NULL, NULL},
    {".internal.net", PVM_ROOT_OBJECT_NET_CLASS, N | F, DA(placeholder), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.http", PVM_ROOT_OBJECT_HTTP_CLASS, N | F, DA(placeholder), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.time", PVM_ROOT_OBJECT_TIME_CLASS, N | F, DA(placeholder), TABLE(time), NULL, NULL, NULL, NULL},
    {".internal.stat", PVM_ROOT_OBJECT_STAT_CLASS, N | F, DA(placeholder), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.io", PVM_ROOT_OBJECT_IO_CLASS, N, DA(io), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.port", PVM_ROOT_OBJECT_PORT_CLASS, N | F, DA(placeholder), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.ui.control", PVM_ROOT_OBJECT_UI_CONTROL_CLASS, N | F, DA(placeholder), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.ui.font", PVM_ROOT_OBJECT_UI_FONT_CLASS, N | F, DA(placeholder), TABLE(void), NULL, NULL, NULL, NULL},
    {".internal.wasm", PVM_ROOT_OBJECT_WASM_CLASS, N | F, 0, TABLE(void), NULL, NULL, NULL, NULL},
};
/* clang-format on */

const int pvm_n_internal_classes =
    (int)(sizeof(pvm_internal_classes) / sizeof(pvm_internal_classes[0]));

int pvm_iclass_by_root_index(int root_index)
{
    for (int i = 0; i < pvm_n_internal_classes; i++) {
        if (pvm_internal_classes[i].root_index == root_index) {
            return i;
        }
    }
    return -1;
}

int pvm_iclass_by_name(const char *name, size_t size)
{
    static const char object[] = ".internal.object";
    if (size == sizeof(object) - 1 && memcmp(name, object, size) == 0) {
        return pvm_iclass_by_root_index(PVM_ROOT_OBJECT_NULL_CLASS);
    }
    for (int i = 0; i < pvm_n_internal_classes; i++) {
        const char *candidate = pvm_internal_classes[i].name;
        if (strlen(candidate) == size && memcmp(candidate, name, size) == 0) {
            return i;
        }
    }
    return -1;
}
