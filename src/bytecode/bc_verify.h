/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_verify.h - what must be true of a method's bytecode before the interpreter may run it.
 *
 * Checked: every instruction on a reachable path is known and complete; operands lie inside the
 * code; jump, switch and catch targets are instruction starts; constant, field and local indices
 * are in range; execution cannot run off the end. The stack depths of both stacks are computed by
 * abstract interpretation (worklist over instruction starts; Lindholm and Yellin, "The Java Virtual
 * Machine Specification", 4.10.2, is the model). Where two paths join at different depths, or a pop
 * could go below the frame, the method is *irregular*: still memory-safe, because the interpreter
 * checks each push and pop of an irregular method at run time, and never refused, because the
 * port's compiler emits such code.
 */
#ifndef BC_VERIFY_H
#define BC_VERIFY_H

#include "bc_class.h"

/** What the verifier found out about one method. Plain data, volatile, never stored in the heap. */
struct bc_code_facts {
    bool regular;              /* both depths are statically known at every instruction */
    uint32_t max_object_cells; /* regular: exact maximum, arguments included */
    uint32_t max_int_cells;    /* likewise; a long or double counts two cells, as in bytecode */
    uint32_t max_catchers;     /* nesting of push_catcher */
};

struct bc_verify_context {
    const char *class_name;  /* for messages */
    const char *method_name; /* for messages */
    uint32_t ordinal;
    int32_t argument_count;  /* declared; -1 when unknown (no signature record) */
    uint32_t constant_limit; /* size of the class's constant pool */
    uint32_t field_limit;    /* slots of `this` */
    bool allow_sys;          /* sys_8bit occurs only in code the VM itself generated */
};

/**
 * @return 0 and *facts, -ENOMEM, or PHANTOM_EVERIFY with diag naming class, method, code offset
 *         and cause
 * @threads any; touches only its arguments
 */
int bc_verify_code(const struct bc_verify_context *context, const uint8_t *code, uint32_t size,
                   struct bc_code_facts *facts, struct phantom_diag *diag);

/** All methods of a class that was read: each verified against the class's own pool and fields. */
int bc_verify_class(const struct bc_class *class, struct phantom_diag *diag);

#endif /* BC_VERIFY_H */
