/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_check_stmt.c - statements, scopes and variables. A variable belongs to the block it is
 * declared in and has a slot of its own for the whole method; nothing resets it, so a declaration
 * without a first value inside a loop keeps the value of the turn before, as it always did.
 */
#include "cc_check.h"

#include <string.h>

enum { MAX_VARIABLES = 4096, MAX_CASES = 4096 };

static struct cc_variable *new_variable(struct cc_checker *c, const char *name,
                                        struct cc_place place, const struct cc_type *type,
                                        bool on_int_stack)
{
    struct cc_variable *v = cc_alloc(c->session, sizeof(*v));
    v->name = name;
    v->place = place;
    v->type = type;
    v->on_int_stack = on_int_stack;
    v->scope = c->scope_depth;
    if (++c->variable_count > MAX_VARIABLES) {
        cc_error(c->session, place, "method has more than %d variables", MAX_VARIABLES);
        cc_escape(c->session, PHANTOM_ESOURCE);
    }
    if (on_int_stack) {
        v->slot = c->frame.int_slots;
        c->frame.int_slots += type->kind == CC_KIND_LONG || type->kind == CC_KIND_DOUBLE ? 2 : 1;
    } else {
        v->slot = c->method->parameter_count + c->frame.object_slots++;
    }
    return v;
}

struct cc_variable *cc_hidden_variable(struct cc_checker *c, const struct cc_type *type,
                                       bool on_int_stack)
{
    return new_variable(c, "", (struct cc_place){0}, type, on_int_stack);
}

static void enter_scope(struct cc_checker *c, struct cc_variable *v)
{
    for (struct cc_variable *other = c->scope; other && other->scope == v->scope;
         other = other->outer) {
        if (strcmp(other->name, v->name) == 0) {
            cc_error(c->session, v->place, "'%s' is declared twice in the same block", v->name);
            return;
        }
    }
    v->outer = c->scope;
    c->scope = v;
}

static struct cc_variable *declare(struct cc_checker *c, const char *name, struct cc_place place,
                                   const struct cc_type *type, bool on_int_stack)
{
    struct cc_variable *v = new_variable(c, name, place, type, on_int_stack);
    enter_scope(c, v);
    return v;
}

static void check_stmt(struct cc_checker *c, struct cc_stmt *s);

static struct cc_variable *open_block(struct cc_checker *c)
{
    c->scope_depth++;
    return c->scope;
}

static void close_block(struct cc_checker *c, struct cc_variable *outer)
{
    c->scope_depth--;
    c->scope = outer;
}

static void check_list(struct cc_checker *c, struct cc_stmt *first)
{
    struct cc_variable *outer = open_block(c);
    for (struct cc_stmt *s = first; s; s = s->next) {
        check_stmt(c, s);
    }
    close_block(c, outer);
}

/* A statement that is a block of its own, braces or not. */
static void check_body(struct cc_checker *c, struct cc_stmt *s)
{
    if (s) {
        struct cc_variable *outer = open_block(c);
        check_stmt(c, s);
        close_block(c, outer);
    }
}

static void check_loop_body(struct cc_checker *c, struct cc_stmt *s)
{
    c->loops++;
    check_body(c, s);
    c->loops--;
}

static void check_variable(struct cc_checker *c, struct cc_stmt *s)
{
    const struct cc_type *type = cc_resolve_type(c->session, c->class->unit, &s->syntax);
    if (s->value) {
        s->value = cc_check_value(c, s->value);
        if (s->syntax.form == CC_TYPE_NONE) {
            type = s->value->type->kind == CC_KIND_NULL ? c->session->type_unknown : s->value->type;
        }
    }
    if (type->kind == CC_KIND_VOID) {
        cc_error(c->session, s->place, "a variable cannot be void");
        type = c->session->type_error;
    }
    if (s->value) {
        s->value = cc_coerce(c, s->value, type, cc_format(c->session, "variable '%s'", s->name));
    }
    s->variable = declare(c, s->name, s->place, type, cc_is_numeric(type));
}

static void check_foreach(struct cc_checker *c, struct cc_stmt *s)
{
    struct cc_session *session = c->session;
    const struct cc_type *element = session->type_unknown;
    s->condition = cc_check_value(c, s->condition);
    const struct cc_type *type = s->condition->type;
    if (type->kind == CC_KIND_ARRAY) {
        element = type->element;
    } else if (type->kind != CC_KIND_ERROR && type->kind != CC_KIND_UNKNOWN) {
        cc_error(session, s->condition->place, "'foreach' needs an array, not %s", type->name);
    }
    if (s->syntax.form != CC_TYPE_NONE) {
        element = cc_resolve_type(session, c->class->unit, &s->syntax);
    }
    if (element->kind == CC_KIND_VOID) {
        cc_error(session, s->place, "a variable cannot be void");
        element = session->type_error;
    }
    struct cc_variable *outer = open_block(c);
    s->held_array = cc_hidden_variable(c, type, false);
    s->held_index = cc_hidden_variable(c, session->type_int, true);
    const struct cc_type *natural =
        type->kind == CC_KIND_ARRAY ? type->element : session->type_unknown;
    s->value = cc_element_of(c, s->held_array, s->held_index, natural);
    s->value->place = s->place;
    s->value = cc_coerce(c, s->value, element, "the variable of 'foreach'");
    s->variable = declare(c, s->name, s->place, element, false);
    check_loop_body(c, s->body);
    close_block(c, outer);
}

static void check_for(struct cc_checker *c, struct cc_stmt *s)
{
    struct cc_variable *outer = open_block(c);
    if (s->initial) {
        check_stmt(c, s->initial);
    }
    if (s->condition) {
        s->condition = cc_check_condition(c, s->condition);
    }
    if (s->value) {
        s->value = cc_check_expr(c, s->value);
    }
    check_loop_body(c, s->body);
    close_block(c, outer);
}

static void check_case_twice(struct cc_checker *c, const struct cc_stmt *first,
                             const struct cc_stmt *s)
{
    for (const struct cc_stmt *other = first; other != s; other = other->next) {
        if (s->kind == CC_STMT_DEFAULT && other->kind == CC_STMT_DEFAULT) {
            cc_error(c->session, s->place, "'default' occurs twice");
            return;
        }
        if (s->kind == CC_STMT_CASE && other->kind == CC_STMT_CASE &&
            s->value->kind == CC_EXPR_INT && other->value->kind == CC_EXPR_INT &&
            s->value->integer == other->value->integer) {
            cc_error(c->session, s->place, "case %lld occurs twice", (long long)s->value->integer);
            return;
        }
    }
}

static void check_switch(struct cc_checker *c, struct cc_stmt *s)
{
    struct cc_session *session = c->session;
    s->condition = cc_check_value(c, s->condition);
    s->condition = cc_coerce(c, s->condition, session->type_int, "the value of 'switch'");
    s->held_index = cc_hidden_variable(c, session->type_int, true);
    struct cc_variable *outer = open_block(c);
    uint32_t cases = 0;
    c->switches++;
    for (struct cc_stmt *part = s->body; part; part = part->next) {
        if (part->kind == CC_STMT_CASE) {
            part->value = cc_check_value(c, part->value);
            part->value = cc_coerce(c, part->value, session->type_int, "a case");
        }
        if (part->kind == CC_STMT_CASE || part->kind == CC_STMT_DEFAULT) {
            if (++cases > MAX_CASES) {
                cc_error(session, part->place, "more than %d cases", MAX_CASES);
                break;
            }
            check_case_twice(c, s->body, part);
        } else {
            check_stmt(c, part);
        }
    }
    c->switches--;
    close_block(c, outer);
}

static void check_try(struct cc_checker *c, struct cc_stmt *s)
{
    check_body(c, s->body);
    const struct cc_type *type = cc_resolve_type(c->session, c->class->unit, &s->syntax);
    if (type->kind == CC_KIND_VOID || (type->kind == CC_KIND_CLASS && type->class->is_interface)) {
        cc_error(c->session, s->place, "'catch' needs a class, not %s", type->name);
        type = c->session->type_error;
    }
    struct cc_variable *outer = open_block(c);
    s->variable = declare(c, s->name, s->place, type, false);
    check_body(c, s->otherwise);
    close_block(c, outer);
}

static void check_return(struct cc_checker *c, struct cc_stmt *s)
{
    const struct cc_type *result = c->method->result;
    if (!s->value) {
        if (result->kind != CC_KIND_VOID && result->kind != CC_KIND_ERROR) {
            cc_warning(c->session, s->place, "'return' without a value gives null");
        }
        return;
    }
    if (result->kind == CC_KIND_VOID) {
        s->value = cc_check_expr(c, s->value);
        if (s->value->type->kind != CC_KIND_ERROR) {
            cc_error(c->session, s->place, "a void method returns no value");
        }
        return;
    }
    s->value = cc_check_value(c, s->value);
    s->value = cc_coerce(c, s->value, result, "the result");
}

static void check_stmt(struct cc_checker *c, struct cc_stmt *s)
{
    switch (s->kind) {
    case CC_STMT_BLOCK: check_list(c, s->body); break;
    case CC_STMT_VAR: check_variable(c, s); break;
    case CC_STMT_IF:
        s->condition = cc_check_condition(c, s->condition);
        check_body(c, s->body);
        check_body(c, s->otherwise);
        break;
    case CC_STMT_WHILE:
        s->condition = cc_check_condition(c, s->condition);
        check_loop_body(c, s->body);
        break;
    case CC_STMT_DO:
        check_loop_body(c, s->body);
        s->condition = cc_check_condition(c, s->condition);
        check_loop_body(c, s->otherwise);
        break;
    case CC_STMT_FOR: check_for(c, s); break;
    case CC_STMT_FOREACH: check_foreach(c, s); break;
    case CC_STMT_SWITCH: check_switch(c, s); break;
    case CC_STMT_TRY: check_try(c, s); break;
    case CC_STMT_THROW:
        s->value = cc_check_value(c, s->value);
        if (s->value->type->kind == CC_KIND_NULL) {
            cc_error(c->session, s->place, "null cannot be thrown");
        }
        break;
    case CC_STMT_RETURN: check_return(c, s); break;
    case CC_STMT_BREAK:
        if (c->loops + c->switches == 0) {
            cc_error(c->session, s->place, "'break' outside a loop or 'switch'");
        }
        break;
    case CC_STMT_CONTINUE:
        if (c->loops == 0) {
            cc_error(c->session, s->place, "'continue' outside a loop");
        }
        break;
    case CC_STMT_EXPR: s->value = cc_check_expr(c, s->value); break;
    case CC_STMT_CASE:
    case CC_STMT_DEFAULT:
    case CC_STMT_EMPTY: break;
    }
}

void cc_check_method(struct cc_session *session, struct cc_class *class, struct cc_method *method,
                     struct cc_frame *frame)
{
    struct cc_checker c = {.session = session, .class = class, .method = method};
    c.frame.parameters = cc_alloc(session, sizeof(*c.frame.parameters) * method->parameter_count);
    for (uint32_t i = 0; i < method->parameter_count; i++) {
        const struct cc_parameter *parameter = &method->parameters[i];
        struct cc_variable *v = cc_alloc(session, sizeof(*v));
        v->name = parameter->name;
        v->place = parameter->place;
        v->type = parameter->type;
        v->slot = i;
        enter_scope(&c, v);
        c.frame.parameters[i] = v;
    }
    if (method->syntax && method->syntax->body) {
        check_list(&c, method->syntax->body->body);
    }
    *frame = c.frame;
}
