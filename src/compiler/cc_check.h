/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_check.h - names and types of one method body. The checker resolves every name, picks every
 * method, and puts conversion nodes where a value changes its type, so that the lowering has no
 * decision left. Errors are reported and poison the expression (type_error), which then fits
 * everything, so that one mistake gives one message.
 */
#ifndef CC_CHECK_H
#define CC_CHECK_H

#include "cc_types.h"

/** What the lowering must know of a method besides its tree. */
struct cc_frame {
    struct cc_variable **parameters;
    uint32_t object_slots; /* locals, without the parameters */
    uint32_t int_slots;
};

struct cc_checker {
    struct cc_session *session;
    struct cc_class *class;
    struct cc_method *method;
    struct cc_variable *scope; /* innermost variable; they form a list outwards */
    uint32_t scope_depth;
    uint32_t loops;    /* enclosing loops: `continue` is possible */
    uint32_t switches; /* enclosing switches: `break` is possible */
    uint32_t variable_count;
    bool explicit_cast; /* what is written as a cast needs no hint */
    struct cc_frame frame;
};

/** Check a method with a body, or a constructor made by the compiler. */
void cc_check_method(struct cc_session *session, struct cc_class *class, struct cc_method *method,
                     struct cc_frame *frame);

/** The constructor a constructor of `class` begins with; NULL when there is none to call. */
struct cc_method *cc_base_constructor(struct cc_session *session, struct cc_class *class,
                                      bool report);

/* ---- shared by cc_check_*.c ---- */

struct cc_expr *cc_check_expr(struct cc_checker *c, struct cc_expr *e);
/** As cc_check_expr; a void result is an error. */
struct cc_expr *cc_check_value(struct cc_checker *c, struct cc_expr *e);
/** A condition: any number. */
struct cc_expr *cc_check_condition(struct cc_checker *c, struct cc_expr *e);
/** Make a checked expression fit the type, or complain that `what` does not. */
struct cc_expr *cc_coerce(struct cc_checker *c, struct cc_expr *e, const struct cc_type *to,
                          const char *what);
struct cc_expr *cc_wrap(struct cc_checker *c, enum cc_expr_kind kind, struct cc_expr *e,
                        const struct cc_type *type);
struct cc_expr *cc_poison(struct cc_checker *c, struct cc_expr *e);
void cc_check_call(struct cc_checker *c, struct cc_expr *e);
void cc_check_new(struct cc_checker *c, struct cc_expr *e);
void cc_check_new_dynamic(struct cc_checker *c, struct cc_expr *e);
/** A variable nobody can name, with its own slot. */
struct cc_variable *cc_hidden_variable(struct cc_checker *c, const struct cc_type *type,
                                       bool on_int_stack);
/** The element array[index] of two hidden variables, of a type that is known already. */
struct cc_expr *cc_element_of(struct cc_checker *c, struct cc_variable *array,
                              struct cc_variable *index, const struct cc_type *type);

#endif /* CC_CHECK_H */
