/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_lower.h - checked trees to bytecode. Numbers in expressions and numeric locals live on the int
 * stack; everything else, and every number in a field, parameter, element, argument or result, is
 * an object. Each expression has a stack its value arrives on by nature; the consumer says where it
 * wants it and the difference is one boxing instruction.
 */
#ifndef CC_LOWER_H
#define CC_LOWER_H

#include "cc_check.h"
#include "cc_code.h"

enum cc_want { CC_WANT_INT, CC_WANT_OBJECT };

/** Strings of one class; equal ones are kept once. */
struct cc_pool {
    struct cc_text *texts;
    uint32_t count;
    uint32_t capacity;
    uint32_t *buckets; /* open hash of indexes + 1 */
    uint32_t bucket_count;
};

/** What `break` and `continue` refer to. */
struct cc_target {
    struct cc_label *break_label;
    struct cc_label *continue_label; /* NULL for switch */
    uint32_t catchers;               /* in force where the label is */
    struct cc_target *outer;
};

struct cc_lowering {
    struct cc_session *session;
    struct cc_class *class;
    struct cc_method *method;
    struct cc_pool *pool;
    struct cc_code code;
    struct cc_frame frame;
    struct cc_target *target;
    uint32_t catchers;
    uint32_t temporaries_in_use; /* int cells above the locals */
    uint32_t temporaries;        /* most that were in use */
    uint32_t object_temporaries_in_use;
    uint32_t object_temporaries;
};

/** Finished code of one method. */
struct cc_method_code {
    uint8_t *bytes;
    uint32_t size;
    struct bc_line *lines;
    uint32_t line_count;
};

/** Lower one checked method. The pool collects the strings of its class. */
void cc_lower_method(struct cc_session *session, struct cc_class *class, struct cc_method *method,
                     const struct cc_frame *frame, struct cc_pool *pool,
                     struct cc_method_code *out);

/* ---- shared by cc_lower_*.c ---- */

void cc_lower_expr(struct cc_lowering *l, struct cc_expr *e, enum cc_want want);
/** For its effect only; leaves nothing. */
void cc_lower_effect(struct cc_lowering *l, struct cc_expr *e);
/** Jump to the label if the truth of e is `sense`, else go on. */
void cc_lower_branch(struct cc_lowering *l, struct cc_expr *e, bool sense, struct cc_label *label);
/** If e is constant: 0 or 1; else -1. */
int cc_constant_truth(const struct cc_expr *e);
void cc_lower_call(struct cc_lowering *l, uint32_t ordinal, uint32_t argument_count);
void cc_summon_class(struct cc_lowering *l, const char *name);
void cc_get_variable(struct cc_lowering *l, const struct cc_variable *v);
void cc_set_variable(struct cc_lowering *l, const struct cc_variable *v);
void cc_int_constant(struct cc_lowering *l, int64_t value);
void cc_static_invoke(struct cc_lowering *l, const char *class_name, uint32_t ordinal,
                      uint32_t argument_count);

#endif /* CC_LOWER_H */
