/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_preload.c - at birth, load every class that the boot class names in its code, that those
 * name, and so on. So a world has its whole program inside from the first generation, and is
 * resumed without class files; only names that are made at run time still need them later.
 *
 * A class that cannot be found or is not valid is left for the moment when it is used, if ever:
 * then the program gets its exception. Only lack of memory is an error here.
 */
#include "ph_memory.h"
#include "pvm_exec.h"

#include "bc_opcodes.h"

#include <errno.h>

enum { MOST_CLASSES = 1 << 16 };

/** Classes seen; those from `next` on have not been looked into. No collection runs during birth.
 */
struct worklist {
    pvm_object_t *class;
    size_t count, capacity, next;
};

static int add(struct worklist *list, pvm_object_t class)
{
    if (!pvm_is_class(class) || pvm_object_da(class, class)->sys_table_id != PVM_NOT_INTERNAL) {
        return 0;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->class[i] == class) {
            return 0;
        }
    }
    if (list->count == MOST_CLASSES) {
        return 0;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity != 0 ? 2 * list->capacity : 64;
        pvm_object_t *grown = ph_realloc(list->class, capacity * sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        list->class = grown;
        list->capacity = capacity;
    }
    list->class[list->count++] = class;
    return 0;
}

/** The classes that one method's code names. */
static int look_into_code(struct worklist *list, const struct data_area_4_code *code,
                          struct phantom_diag *diag)
{
    struct bc_instruction instruction;
    for (uint32_t at = 0; bc_decode(code->code, code->code_size, at, &instruction) == BC_DECODE_OK;
         at += instruction.length) {
        if (instruction.opcode != BC_OP_summon_by_name) {
            continue;
        }
        pvm_object_t class = NULL;
        struct phantom_diag unwanted = PHANTOM_DIAG_INIT;
        int rc = pvm_class_find((const char *)instruction.text, instruction.text_size, &class,
                                &unwanted);
        if (rc == 0) {
            rc = add(list, class);
        }
        if (rc == PHANTOM_EHEAPFULL) {
            return ph_fail(diag, rc, "%s", unwanted.text);
        }
        if (rc == -ENOMEM) {
            return rc;
        }
    }
    return 0;
}

static int look_into_class(struct worklist *list, pvm_object_t class, struct phantom_diag *diag)
{
    pvm_object_t code_class = pvm_root_class(PVM_ROOT_OBJECT_CODE_CLASS);
    pvm_object_t interface = pvm_object_da(class, class)->object_default_interface;
    for (uint64_t i = 0; i < pvm_slot_count(interface); i++) {
        pvm_object_t method = pvm_slots(interface)[i];
        if (method == NULL || method->_class != code_class ||
            pvm_object_da(method, code)->owner_class != class) {
            continue;
        }
        int rc = look_into_code(list, pvm_object_da(method, code), diag);
        if (rc != 0) {
            return rc;
        }
    }
    return add(list, pvm_object_da(class, class)->class_parent);
}

int pvm_preload(pvm_object_t class, struct phantom_diag *diag)
{
    struct worklist list = {0};
    int rc = add(&list, class);
    while (rc == 0 && list.next < list.count) {
        rc = look_into_class(&list, list.class[list.next++], diag);
    }
    ph_free(list.class);
    return rc == -ENOMEM ? ph_fail(diag, rc, "loading the program's classes: out of memory") : rc;
}
