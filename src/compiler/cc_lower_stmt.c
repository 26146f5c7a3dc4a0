/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_lower_stmt.c - statements and whole methods to bytecode. Between statements both stacks hold
 * the locals only.
 */
#include "cc_lower.h"

#include "ph_check.h"

#include <string.h>

enum { MAX_RESERVE = 255 };

static void lower_stmt(struct cc_lowering *l, struct cc_stmt *s);

static void lower_list(struct cc_lowering *l, struct cc_stmt *first)
{
    for (struct cc_stmt *s = first; s; s = s->next) {
        lower_stmt(l, s);
    }
}

static void pop_catchers(struct cc_lowering *l, uint32_t remaining)
{
    for (uint32_t i = l->catchers; i > remaining; i--) {
        cc_op(&l->code, BC_OP_pop_catcher, (struct cc_effect){0});
    }
}

static void return_null(struct cc_lowering *l)
{
    cc_op(&l->code, BC_OP_summon_null, (struct cc_effect){0, 0, 0, 1});
    cc_op(&l->code, BC_OP_ret, (struct cc_effect){0});
    cc_end_path(&l->code);
}

static void lower_if(struct cc_lowering *l, struct cc_stmt *s)
{
    struct cc_label otherwise = {0};
    struct cc_label end = {0};
    cc_lower_branch(l, s->condition, false, &otherwise);
    lower_stmt(l, s->body);
    if (s->otherwise) {
        cc_jump(&l->code, BC_OP_jmp, &end);
    }
    cc_place_label(&l->code, &otherwise);
    if (s->otherwise) {
        lower_stmt(l, s->otherwise);
        cc_place_label(&l->code, &end);
    }
}

static void lower_loop_body(struct cc_lowering *l, struct cc_stmt *body, struct cc_label *on_break,
                            struct cc_label *on_continue)
{
    struct cc_target target = {.break_label = on_break,
                               .continue_label = on_continue,
                               .catchers = l->catchers,
                               .outer = l->target};
    l->target = &target;
    lower_stmt(l, body);
    l->target = target.outer;
}

static void lower_while(struct cc_lowering *l, struct cc_stmt *s)
{
    struct cc_label again = {0};
    struct cc_label end = {0};
    cc_place_label(&l->code, &again);
    cc_mark_line(&l->code, cc_line_of(s->place));
    cc_lower_branch(l, s->condition, false, &end);
    lower_loop_body(l, s->body, &end, &again);
    cc_jump(&l->code, BC_OP_jmp, &again);
    cc_place_label(&l->code, &end);
}

/* do A while( e ) B: A, then the test, then B, then again. */
static void lower_do(struct cc_lowering *l, struct cc_stmt *s)
{
    struct cc_label again = {0};
    struct cc_label test = {0};
    struct cc_label end = {0};
    cc_place_label(&l->code, &again);
    lower_loop_body(l, s->body, &end, &test);
    cc_place_label(&l->code, &test);
    cc_mark_line(&l->code, cc_line_of(s->condition->place));
    if (s->otherwise) {
        cc_lower_branch(l, s->condition, false, &end);
        lower_loop_body(l, s->otherwise, &end, &again);
        cc_jump(&l->code, BC_OP_jmp, &again);
    } else {
        cc_lower_branch(l, s->condition, true, &again);
    }
    cc_place_label(&l->code, &end);
}

static void lower_for(struct cc_lowering *l, struct cc_stmt *s)
{
    struct cc_label again = {0};
    struct cc_label next = {0};
    struct cc_label end = {0};
    if (s->initial) {
        lower_stmt(l, s->initial);
    }
    cc_place_label(&l->code, &again);
    if (s->condition) {
        cc_mark_line(&l->code, cc_line_of(s->place));
        cc_lower_branch(l, s->condition, false, &end);
    }
    lower_loop_body(l, s->body, &end, &next);
    cc_place_label(&l->code, &next);
    if (s->value) {
        cc_mark_line(&l->code, cc_line_of(s->place));
        cc_lower_effect(l, s->value);
    }
    cc_jump(&l->code, BC_OP_jmp, &again);
    cc_place_label(&l->code, &end);
}

/* An index loop: the array is evaluated once, its size at every turn. */
static void lower_foreach(struct cc_lowering *l, struct cc_stmt *s)
{
    struct cc_code *code = &l->code;
    struct cc_label again = {0};
    struct cc_label next = {0};
    struct cc_label end = {0};
    struct cc_effect two_to_one = {2, 1, 0, 0};
    cc_lower_expr(l, s->condition, CC_WANT_OBJECT);
    cc_set_variable(l, s->held_array);
    cc_int_constant(l, 0);
    cc_set_variable(l, s->held_index);
    cc_place_label(code, &again);
    cc_mark_line(code, cc_line_of(s->place));
    cc_get_variable(l, s->held_index);
    cc_get_variable(l, s->held_array);
    cc_lower_call(l, 12, 0);
    cc_op(code, BC_OP_o2i, (struct cc_effect){0, 1, 1, 0});
    cc_op(code, BC_OP_ilt, two_to_one);
    cc_jump(code, BC_OP_jz, &end);
    cc_lower_expr(l, s->value, CC_WANT_OBJECT);
    cc_set_variable(l, s->variable);
    lower_loop_body(l, s->body, &end, &next);
    cc_place_label(code, &next);
    cc_get_variable(l, s->held_index);
    cc_int_constant(l, 1);
    cc_op(code, BC_OP_isum, two_to_one);
    cc_set_variable(l, s->held_index);
    cc_jump(code, BC_OP_jmp, &again);
    cc_place_label(code, &end);
}

/* The value is kept in a hidden variable and compared with each case; nothing is on the stacks when
   a case is entered, so falling through, break and continue need no care. */
static void lower_switch(struct cc_lowering *l, struct cc_stmt *s)
{
    struct cc_label end = {0};
    struct cc_label *otherwise = &end;
    uint32_t count = 0;
    for (struct cc_stmt *part = s->body; part; part = part->next) {
        count++;
    }
    struct cc_label *labels = cc_alloc(l->session, sizeof(*labels) * count);
    cc_lower_expr(l, s->condition, CC_WANT_INT);
    cc_set_variable(l, s->held_index);
    uint32_t i = 0;
    for (struct cc_stmt *part = s->body; part; part = part->next, i++) {
        if (part->kind == CC_STMT_DEFAULT) {
            otherwise = &labels[i];
        } else if (part->kind == CC_STMT_CASE) {
            cc_mark_line(&l->code, cc_line_of(part->place));
            cc_get_variable(l, s->held_index);
            cc_lower_expr(l, part->value, CC_WANT_INT);
            cc_op(&l->code, BC_OP_isublu, (struct cc_effect){2, 1, 0, 0});
            cc_jump(&l->code, BC_OP_jz, &labels[i]);
        }
    }
    cc_jump(&l->code, BC_OP_jmp, otherwise);
    struct cc_target target = {.break_label = &end,
                               .continue_label = l->target ? l->target->continue_label : NULL,
                               .catchers = l->catchers,
                               .outer = l->target};
    l->target = &target;
    i = 0;
    for (struct cc_stmt *part = s->body; part; part = part->next, i++) {
        if (part->kind == CC_STMT_DEFAULT || part->kind == CC_STMT_CASE) {
            cc_place_label(&l->code, &labels[i]);
        } else {
            lower_stmt(l, part);
        }
    }
    l->target = target.outer;
    cc_place_label(&l->code, &end);
}

static void lower_try(struct cc_lowering *l, struct cc_stmt *s)
{
    struct cc_label handler = {0};
    struct cc_label end = {0};
    const char *class_name = cc_runtime_class(l->session, s->variable->type);
    cc_summon_class(l, *class_name ? class_name : ".internal.object");
    cc_jump(&l->code, BC_OP_push_catcher, &handler);
    l->catchers++;
    lower_stmt(l, s->body);
    cc_op(&l->code, BC_OP_pop_catcher, (struct cc_effect){0});
    l->catchers--;
    cc_jump(&l->code, BC_OP_jmp, &end);
    cc_place_label(&l->code, &handler);
    cc_mark_line(&l->code, cc_line_of(s->place));
    cc_set_variable(l, s->variable);
    lower_stmt(l, s->otherwise);
    cc_place_label(&l->code, &end);
}

static void lower_leave(struct cc_lowering *l, struct cc_stmt *s)
{
    struct cc_target *target = l->target;
    if (s->kind == CC_STMT_CONTINUE) { /* to the innermost loop, through the switches in it */
        while (target->outer && target->outer->continue_label == target->continue_label) {
            target = target->outer;
        }
    }
    pop_catchers(l, target->catchers);
    cc_jump(&l->code, BC_OP_jmp,
            s->kind == CC_STMT_BREAK ? target->break_label : target->continue_label);
}

static void lower_return(struct cc_lowering *l, struct cc_stmt *s)
{
    if (!s->value) {
        pop_catchers(l, 0);
        return_null(l);
        return;
    }
    cc_lower_expr(l, s->value, CC_WANT_OBJECT);
    pop_catchers(l, 0);
    cc_op(&l->code, BC_OP_ret, (struct cc_effect){0});
    cc_end_path(&l->code);
}

static void lower_stmt(struct cc_lowering *l, struct cc_stmt *s)
{
    if (s->kind != CC_STMT_BLOCK && s->kind != CC_STMT_DO && s->kind != CC_STMT_EMPTY) {
        cc_mark_line(&l->code, cc_line_of(s->place));
    }
    switch (s->kind) {
    case CC_STMT_BLOCK: lower_list(l, s->body); break;
    case CC_STMT_VAR:
        if (s->value) {
            cc_lower_expr(l, s->value, s->variable->on_int_stack ? CC_WANT_INT : CC_WANT_OBJECT);
            cc_set_variable(l, s->variable);
        }
        break;
    case CC_STMT_IF: lower_if(l, s); break;
    case CC_STMT_WHILE: lower_while(l, s); break;
    case CC_STMT_DO: lower_do(l, s); break;
    case CC_STMT_FOR: lower_for(l, s); break;
    case CC_STMT_FOREACH: lower_foreach(l, s); break;
    case CC_STMT_SWITCH: lower_switch(l, s); break;
    case CC_STMT_TRY: lower_try(l, s); break;
    case CC_STMT_THROW:
        cc_lower_expr(l, s->value, CC_WANT_OBJECT);
        cc_op(&l->code, BC_OP_throw, (struct cc_effect){0, 0, 1, 0});
        cc_end_path(&l->code);
        break;
    case CC_STMT_RETURN: lower_return(l, s); break;
    case CC_STMT_BREAK:
    case CC_STMT_CONTINUE: lower_leave(l, s); break;
    case CC_STMT_EXPR: cc_lower_effect(l, s->value); break;
    case CC_STMT_CASE:
    case CC_STMT_DEFAULT:
    case CC_STMT_EMPTY: break;
    }
}

/* ---- methods ---- */

static void lower_constructor_start(struct cc_lowering *l)
{
    struct cc_method *base = cc_base_constructor(l->session, l->class, false);
    if (base) {
        cc_op(&l->code, BC_OP_summon_this, (struct cc_effect){0, 0, 0, 1});
        cc_static_invoke(l, l->class->base->name, base->ordinal, 0);
        cc_op(&l->code, BC_OP_os_drop, (struct cc_effect){0, 0, 1, 0});
    }
}

/* A bridge hands its arguments on to the method with the other number. */
static void lower_bridge(struct cc_lowering *l)
{
    cc_op(&l->code, BC_OP_summon_this, (struct cc_effect){0, 0, 0, 1});
    for (uint32_t i = 0; i < l->method->parameter_count; i++) {
        struct cc_variable argument = {.slot = i, .type = l->session->type_unknown};
        cc_get_variable(l, &argument);
    }
    cc_lower_call(l, l->method->bridge_to->ordinal, l->method->parameter_count);
    cc_op(&l->code, BC_OP_ret, (struct cc_effect){0});
    cc_end_path(&l->code);
}

static void lower_body(struct cc_lowering *l)
{
    const struct cc_member_syntax *syntax = l->method->syntax;
    if (l->method->bridge_to) {
        lower_bridge(l);
        return;
    }
    if (l->method->is_constructor) {
        lower_constructor_start(l);
    }
    if (syntax && syntax->body) {
        lower_list(l, syntax->body->body);
    }
    if (!l->code.reachable) {
        return;
    }
    enum cc_type_kind result = l->method->result->kind;
    bool empty = !syntax || !syntax->body || !syntax->body->body;
    if (result != CC_KIND_VOID && result != CC_KIND_UNKNOWN && !empty) {
        cc_warning(l->session, syntax->end, "'%s' can end without a result: it returns null then",
                   cc_signature_text(l->session, l->method));
    }
    if (syntax && syntax->body) {
        cc_mark_line(&l->code, cc_line_of(syntax->end));
    }
    return_null(l);
}

/* Argument check and room for the locals; known only when the body is. */
static void lower_prologue(struct cc_lowering *l, struct cc_code *prologue)
{
    uint32_t objects = l->frame.object_slots + l->object_temporaries;
    uint32_t ints = l->frame.int_slots + l->temporaries;
    cc_code_begin(prologue, l->session);
    cc_op(prologue, BC_OP_arg_count, (struct cc_effect){0});
    cc_byte(prologue, l->method->parameter_count);
    while (objects + ints > 0) {
        uint32_t some_objects = objects < MAX_RESERVE ? objects : MAX_RESERVE;
        uint32_t some_ints = ints < MAX_RESERVE ? ints : MAX_RESERVE;
        cc_op(prologue, BC_OP_stack_reserve, (struct cc_effect){0});
        cc_byte(prologue, some_objects);
        cc_byte(prologue, some_ints);
        objects -= some_objects;
        ints -= some_ints;
    }
}

/* Entries in front of code that was not written are dropped; the rest moves by the prologue. */
static void finish_lines(struct cc_lowering *l, uint32_t shift, struct cc_method_code *out)
{
    uint32_t first_line = cc_line_of(l->method->place);
    out->lines = cc_alloc(l->session, sizeof(*out->lines) * (l->code.line_count + 1));
    if (first_line) {
        out->lines[out->line_count++] = (struct bc_line){.offset = 0, .line = first_line};
    }
    for (uint32_t i = 0; i < l->code.line_count; i++) {
        struct bc_line entry = l->code.lines[i];
        entry.offset += shift;
        if (entry.offset < out->size) {
            out->lines[out->line_count++] = entry;
        }
    }
}

void cc_lower_method(struct cc_session *session, struct cc_class *class, struct cc_method *method,
                     const struct cc_frame *frame, struct cc_pool *pool, struct cc_method_code *out)
{
    struct cc_lowering l = {
        .session = session, .class = class, .method = method, .pool = pool, .frame = *frame};
    struct cc_code prologue;
    cc_code_begin(&l.code, session);
    lower_body(&l);
    PH_CHECK(!l.code.reachable && l.temporaries_in_use == 0 && l.object_temporaries_in_use == 0);
    lower_prologue(&l, &prologue);
    *out = (struct cc_method_code){.size = prologue.size + l.code.size};
    out->bytes = cc_alloc(session, out->size);
    memcpy(out->bytes, prologue.bytes, prologue.size);
    memcpy(out->bytes + prologue.size, l.code.bytes, l.code.size);
    finish_lines(&l, prologue.size, out);
}
