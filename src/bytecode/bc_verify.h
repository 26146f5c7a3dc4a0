/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_verify.h - what must be true of a method's bytecode before the interpreter may run it.
 *
 * Two passes. The first walks everything reachable from the first byte; unreachable bytes are not
 * looked at. It refuses (PHANTOM_EVERIFY) what cannot be executed by anybody: an unassigned or
 * reserved opcode, an operand cut off, running off the end, a jump, switch or catch target outside
 * the code or inside another instruction, a prefix before a prefix, a constant index, field slot,
 * call ordinal or argument count out of range, a negative cell index, sys_8bit where not allowed.
 * A prefix and the instruction after it count as one instruction, so a jump between them is
 * refused.
 *
 * The second computes the depths of both stacks by abstract interpretation (Lindholm and Yellin,
 * "The Java Virtual Machine Specification", 4.10.2, is the model). Where two paths join at
 * different depths, where a pop could go below the frame, a cell index lies above the stack, or the
 * argument count of a dynamic_invoke is not a constant, the method is *irregular*: still safe,
 * because the interpreter checks each push, pop and cell index of an irregular method at run time;
 * never refused, because the port's compilers emit such code.
 *
 * What the interpreter may rely on, and what it must still do:
 *   regular    no check of depths, cell indices, targets, operands. Only in a frame that was
 *              entered with exactly facts.argument_count objects and the count as the only int
 *              cell; a frame entered with another number runs as irregular.
 *   irregular  targets and operands are valid; depths and cell indices are checked at run time.
 *   both       types of objects are never known: class and null checks stay. An exception cuts both
 *              stacks back to their depths at push_catcher, drops that catcher and all newer ones,
 *              and pushes the thrown object.
 *
 * One bad method does not condemn its class: a class whose file is well-formed is loaded, each
 * method is verified when it is first prepared for execution (bc_verify_method), and calling a
 * refused one throws the string "method does not verify". bc_verify_class() is for tools that want
 * the verdict on the whole class.
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
    uint32_t argument_count;   /* regular: the facts hold only for a call with so many arguments */
    const char *irregular_cause; /* NULL when regular; static storage */
    uint32_t irregular_offset;   /* of the instruction where the cause was found first */
};

/** Depth of one stack beyond which a method is irregular: the interpreter's quota decides. */
enum { BC_MAX_REGULAR_CELLS = 1 << 20 };

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

/**
 * The context of method `index` of a class that was read: its own pool, fields and signature. Looks
 * at every constant; a loader that prepares many methods keeps constant_limit and fills it in
 * itself.
 */
void bc_method_context(const struct bc_class *class, uint32_t index,
                       struct bc_verify_context *context);

/** bc_verify_code() of method `index` < class->method_count, in its bc_method_context(). */
int bc_verify_method(const struct bc_class *class, uint32_t index, struct bc_code_facts *facts,
                     struct phantom_diag *diag);

/**
 * All methods of a class that was read. Stops at the first refused method; diag names it.
 * @return 0, -ENOMEM or PHANTOM_EVERIFY
 */
int bc_verify_class(const struct bc_class *class, struct phantom_diag *diag);

#endif /* BC_VERIFY_H */
