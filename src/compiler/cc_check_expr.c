/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_check_expr.c - types of expressions and the conversions between them. See cc_check.h.
 */
#include "cc_check.h"

#include <errno.h>
#include <string.h>

struct cc_expr *cc_poison(struct cc_checker *c, struct cc_expr *e)
{
    e->type = c->session->type_error;
    return e;
}

static bool is_error(const struct cc_expr *e)
{
    return e->type->kind == CC_KIND_ERROR;
}

static bool is_string(const struct cc_checker *c, const struct cc_type *type)
{
    return type == &c->session->class_string->type;
}

static bool is_object(const struct cc_checker *c, const struct cc_type *type)
{
    return type == &c->session->class_object->type;
}

/* Of unknown class or .internal.object: may turn out to be a boxed number. */
static bool may_hold_number(const struct cc_checker *c, const struct cc_type *type)
{
    return type->kind == CC_KIND_UNKNOWN || is_object(c, type);
}

struct cc_expr *cc_wrap(struct cc_checker *c, enum cc_expr_kind kind, struct cc_expr *e,
                        const struct cc_type *type)
{
    struct cc_expr *outer = cc_alloc(c->session, sizeof(*outer));
    outer->kind = kind;
    outer->place = e->place;
    outer->left = e;
    outer->type = type;
    return outer;
}

struct cc_expr *cc_check_value(struct cc_checker *c, struct cc_expr *e)
{
    e = cc_check_expr(c, e);
    if (e->type->kind == CC_KIND_VOID) {
        cc_error(c->session, e->place, "this has no value (void)");
        return cc_poison(c, e);
    }
    return e;
}

struct cc_expr *cc_check_condition(struct cc_checker *c, struct cc_expr *e)
{
    e = cc_check_value(c, e);
    if (is_error(e) || cc_is_numeric(e->type)) {
        return e;
    }
    if (may_hold_number(c, e->type)) {
        return cc_wrap(c, CC_EXPR_UNBOX, e, c->session->type_int);
    }
    cc_error(c->session, e->place, "a condition is a number, not %s", e->type->name);
    return cc_poison(c, e);
}

/* Number given, `to` is any type. */
static struct cc_expr *coerce_number(struct cc_checker *c, struct cc_expr *e,
                                     const struct cc_type *to)
{
    if (cc_is_numeric(to)) {
        if (e->kind == CC_EXPR_INT && to->kind <= CC_KIND_LONG) {
            if (to->kind == CC_KIND_LONG || e->integer == (int32_t)e->integer) {
                e->wide = to->kind == CC_KIND_LONG;
                e->type = to;
                return e;
            }
        }
        if (to->kind < e->type->kind && !c->explicit_cast) {
            cc_hint(c->session, e->place, "%s becomes %s", e->type->name, to->name);
        }
        return cc_wrap(c, CC_EXPR_CONVERT, e, to);
    }
    if (to->kind == CC_KIND_UNKNOWN || is_object(c, to)) {
        return cc_wrap(c, CC_EXPR_RETYPE, e, to);
    }
    return NULL;
}

/* Reference given. NULL: it can never fit. */
static struct cc_expr *coerce_reference(struct cc_checker *c, struct cc_expr *e,
                                        const struct cc_type *to)
{
    struct cc_session *session = c->session;
    const struct cc_type *from = e->type;
    if (cc_is_numeric(to)) {
        if (!may_hold_number(c, from)) {
            return NULL;
        }
        return cc_wrap(c, CC_EXPR_UNBOX, e, to);
    }
    if (cc_assignable(session, to, from)) {
        return cc_wrap(c, CC_EXPR_RETYPE, e, to);
    }
    if (from->kind == CC_KIND_UNKNOWN) {
        return cc_wrap(c, CC_EXPR_CHECKED, e, to);
    }
    if (to->kind == CC_KIND_ARRAY && from->kind == CC_KIND_ARRAY) {
        if (!c->explicit_cast) {
            cc_hint(session, e->place, "%s becomes %s: arrays do not know their element type",
                    from->name, to->name);
        }
        return cc_wrap(c, CC_EXPR_RETYPE, e, to);
    }
    bool plain = to->kind == CC_KIND_CLASS && from->kind == CC_KIND_CLASS;
    if (is_object(c, from) || (plain && cc_descends(session, to->class, from->class))) {
        if (!c->explicit_cast) {
            cc_hint(session, e->place, "%s becomes %s: checked when the program runs", from->name,
                    to->name);
        }
        return cc_wrap(c, CC_EXPR_CHECKED, e, to);
    }
    if (plain && !is_string(c, to) && !is_string(c, from)) {
        bool by_interface = to->class->is_interface || from->class->is_interface;
        if (!by_interface) {
            cc_warning(session, e->place, "%s is not related to %s: this fails unless it is null",
                       from->name, to->name);
        }
        return cc_wrap(c, CC_EXPR_CHECKED, e, to);
    }
    return NULL;
}

struct cc_expr *cc_coerce(struct cc_checker *c, struct cc_expr *e, const struct cc_type *to,
                          const char *what)
{
    if (is_error(e) || to->kind == CC_KIND_ERROR || e->type == to) {
        return e;
    }
    struct cc_expr *result = NULL;
    if (cc_is_numeric(e->type)) {
        result = coerce_number(c, e, to);
    } else if (cc_is_reference(e->type)) {
        result = coerce_reference(c, e, to);
    }
    if (!result) {
        cc_error(c->session, e->place, "%s is %s, but %s is given", what, to->name, e->type->name);
        return cc_poison(c, e);
    }
    return result;
}

/* An operand of arithmetic: a number, or something unboxed as `wanted` with a run-time check. */
static struct cc_expr *numeric_operand(struct cc_checker *c, struct cc_expr *e,
                                       const struct cc_type *wanted)
{
    if (is_error(e)) {
        return e;
    }
    if (!cc_is_numeric(e->type)) {
        return cc_wrap(c, CC_EXPR_UNBOX, e, wanted);
    }
    return cc_coerce(c, e, wanted, "operand");
}

/* Give both operands of e their common numeric type. NULL after a message. */
static const struct cc_type *unify_numbers(struct cc_checker *c, struct cc_expr *e)
{
    const struct cc_type *a = e->left->type;
    const struct cc_type *b = e->right->type;
    const struct cc_type *common = NULL;
    if (cc_is_numeric(a) && cc_is_numeric(b)) {
        common = cc_common_numeric(a, b);
    } else if (cc_is_numeric(a) && may_hold_number(c, b)) {
        common = a;
    } else if (cc_is_numeric(b) && may_hold_number(c, a)) {
        common = b;
    }
    if (!common) {
        bool both = may_hold_number(c, a) && may_hold_number(c, b);
        cc_error(c->session, e->place,
                 both ? "%s needs numbers; cast one side, the types are %s and %s"
                      : "%s cannot work on %s and %s",
                 cc_kind_text(e->operation), a->name, b->name);
        return NULL;
    }
    e->left = numeric_operand(c, e->left, common);
    e->right = numeric_operand(c, e->right, common);
    return common;
}

static struct cc_expr *to_text(struct cc_checker *c, struct cc_expr *e)
{
    if (is_string(c, e->type) || is_error(e)) {
        return e;
    }
    struct cc_expr *call = cc_wrap(c, CC_EXPR_CALL, e, &c->session->class_string->type);
    call->ordinal = 5; /* toString */
    return call;
}

static struct cc_expr *check_arithmetic(struct cc_checker *c, struct cc_expr *e)
{
    if (e->operation == CC_TOKEN_PLUS &&
        (is_string(c, e->left->type) || is_string(c, e->right->type))) {
        e->left = to_text(c, e->left);
        e->right = to_text(c, e->right);
        e->type = &c->session->class_string->type;
        return e;
    }
    bool shift = e->operation == CC_TOKEN_SHL || e->operation == CC_TOKEN_SHR ||
                 e->operation == CC_TOKEN_USHR;
    bool whole = shift || e->operation == CC_TOKEN_REMAINDER || e->operation == CC_TOKEN_OR ||
                 e->operation == CC_TOKEN_AND || e->operation == CC_TOKEN_XOR;
    const struct cc_type *type;
    if (shift && cc_is_numeric(e->left->type)) {
        type = e->left->type;
        e->right = cc_coerce(c, e->right, c->session->type_int, "a shift count");
    } else {
        type = unify_numbers(c, e);
    }
    if (!type) {
        return cc_poison(c, e);
    }
    if (whole && type->kind > CC_KIND_LONG) {
        cc_error(c->session, e->place, "%s needs whole numbers, not %s", cc_kind_text(e->operation),
                 type->name);
        return cc_poison(c, e);
    }
    e->type = type;
    return e;
}

static struct cc_expr *check_comparison(struct cc_checker *c, struct cc_expr *e)
{
    const struct cc_type *a = e->left->type;
    const struct cc_type *b = e->right->type;
    bool equality = e->operation == CC_TOKEN_EQUAL || e->operation == CC_TOKEN_NOT_EQUAL;
    e->type = c->session->type_int;
    if (!equality || (cc_is_numeric(a) && cc_is_numeric(b))) {
        return unify_numbers(c, e) ? e : cc_poison(c, e);
    }
    bool number = cc_is_numeric(a) || cc_is_numeric(b);
    const struct cc_type *other = cc_is_numeric(a) ? b : a;
    if (number && !may_hold_number(c, other)) {
        cc_error(c->session, e->place, "%s can never be equal to %s", a->name, b->name);
        return cc_poison(c, e);
    }
    return e;
}

static struct cc_expr *check_binary(struct cc_checker *c, struct cc_expr *e)
{
    if (e->operation == CC_TOKEN_AND_AND || e->operation == CC_TOKEN_OR_OR) {
        e->left = cc_check_condition(c, e->left);
        e->right = cc_check_condition(c, e->right);
        e->type = c->session->type_int;
        return e;
    }
    e->left = cc_check_value(c, e->left);
    e->right = cc_check_value(c, e->right);
    if (is_error(e->left) || is_error(e->right)) {
        return cc_poison(c, e);
    }
    switch ((int)e->operation) {
    case CC_TOKEN_EQUAL:
    case CC_TOKEN_NOT_EQUAL:
    case CC_TOKEN_LESS:
    case CC_TOKEN_GREATER:
    case CC_TOKEN_LESS_EQUAL:
    case CC_TOKEN_GREATER_EQUAL: return check_comparison(c, e);
    case CC_TOKEN_SAME:
    case CC_TOKEN_NOT_SAME:
        if (cc_is_numeric(e->left->type) && cc_is_numeric(e->right->type)) {
            cc_warning(c->session, e->place, "%s compares the boxes of numbers, not the numbers",
                       cc_kind_text(e->operation));
        }
        e->type = c->session->type_int;
        return e;
    default: return check_arithmetic(c, e);
    }
}

static struct cc_expr *check_unary(struct cc_checker *c, struct cc_expr *e)
{
    if (e->operation == CC_TOKEN_NOT) {
        e->left = cc_check_condition(c, e->left);
        e->type = c->session->type_int;
        return e;
    }
    e->left = cc_check_value(c, e->left);
    if (is_error(e->left)) {
        return cc_poison(c, e);
    }
    bool whole = e->operation == CC_TOKEN_TILDE;
    if (!cc_is_numeric(e->left->type) || (whole && e->left->type->kind > CC_KIND_LONG)) {
        cc_error(c->session, e->place, "%s needs a %snumber, not %s", cc_kind_text(e->operation),
                 whole ? "whole " : "", e->left->type->name);
        return cc_poison(c, e);
    }
    e->type = e->left->type;
    return e;
}

static struct cc_expr *check_cast(struct cc_checker *c, struct cc_expr *e)
{
    struct cc_session *session = c->session;
    const struct cc_type *to = cc_resolve_type(session, c->class->unit, &e->syntax);
    struct cc_expr *value = cc_check_value(c, e->left);
    if (to->kind == CC_KIND_ERROR || is_error(value)) {
        return cc_poison(c, e);
    }
    if (to->kind == CC_KIND_VOID) {
        cc_error(session, e->place, "nothing can be cast to void");
        return cc_poison(c, e);
    }
    if (value->type == to) {
        return cc_wrap(c, CC_EXPR_RETYPE, value, to);
    }
    if (is_string(c, to) && cc_is_numeric(value->type)) {
        cc_error(session, e->place, "a cast does not make a string of a number: call toString()");
        return cc_poison(c, e);
    }
    if (is_string(c, value->type) && cc_is_numeric(to)) {
        cc_error(session, e->place, "a cast does not read a number: call toInt() or toLong()");
        return cc_poison(c, e);
    }
    c->explicit_cast = true;
    struct cc_expr *result =
        cc_is_numeric(value->type) ? coerce_number(c, value, to) : coerce_reference(c, value, to);
    c->explicit_cast = false;
    if (!result) {
        cc_error(session, e->place, "%s cannot be cast to %s", value->type->name, to->name);
        return cc_poison(c, e);
    }
    return result;
}

static struct cc_expr *check_name(struct cc_checker *c, struct cc_expr *e)
{
    for (struct cc_variable *v = c->scope; v; v = v->outer) {
        if (strcmp(v->name, e->name) == 0) {
            e->kind = CC_EXPR_LOCAL;
            e->variable = v;
            e->type = v->type;
            return e;
        }
    }
    e->field = cc_find_field(c->session, c->class, e->name);
    if (!e->field) {
        cc_error(c->session, e->place, "'%s' is not known here", e->name);
        return cc_poison(c, e);
    }
    e->kind = CC_EXPR_FIELD;
    e->type = e->field->type;
    return e;
}

static struct cc_expr *check_member(struct cc_checker *c, struct cc_expr *e)
{
    if (e->left->kind != CC_EXPR_THIS) {
        cc_error(c->session, e->place,
                 "fields of other objects cannot be reached: give the class methods for '%s'",
                 e->name);
        return cc_poison(c, e);
    }
    e->field = cc_find_field(c->session, c->class, e->name);
    if (!e->field) {
        cc_error(c->session, e->place, "class '%s' has no field '%s'", c->class->name, e->name);
        return cc_poison(c, e);
    }
    e->kind = CC_EXPR_FIELD;
    e->type = e->field->type;
    return e;
}

static struct cc_expr *check_index(struct cc_checker *c, struct cc_expr *e)
{
    e->left = cc_check_value(c, e->left);
    e->right = cc_check_value(c, e->right);
    e->right = cc_coerce(c, e->right, c->session->type_int, "an index");
    const struct cc_type *type = e->left->type;
    if (is_error(e->left) || is_error(e->right)) {
        return cc_poison(c, e);
    }
    if (type->kind == CC_KIND_ARRAY) {
        e->type = type->element;
    } else if (type->kind == CC_KIND_UNKNOWN) {
        e->type = type;
    } else {
        cc_error(c->session, e->place, "%s is not an array", type->name);
        return cc_poison(c, e);
    }
    return e;
}

static struct cc_expr *local_value(struct cc_checker *c, struct cc_variable *variable)
{
    struct cc_expr *e = cc_alloc(c->session, sizeof(*e));
    e->kind = CC_EXPR_LOCAL;
    e->variable = variable;
    e->type = variable->type;
    return e;
}

struct cc_expr *cc_element_of(struct cc_checker *c, struct cc_variable *array,
                              struct cc_variable *index, const struct cc_type *type)
{
    struct cc_expr *element = cc_wrap(c, CC_EXPR_INDEX, local_value(c, array), type);
    element->right = local_value(c, index);
    return element;
}

/* For `a[i] op= x` and `a[i]++`: a and i are kept in hidden variables, so that they are evaluated
   once. Returns the element as a value read from these. */
static struct cc_expr *hold_element(struct cc_checker *c, struct cc_expr *e)
{
    struct cc_expr *target = e->left;
    e->held_array = cc_hidden_variable(c, target->left->type, false);
    e->held_index = cc_hidden_variable(c, c->session->type_int, true);
    struct cc_expr *element = cc_element_of(c, e->held_array, e->held_index, target->type);
    element->place = target->place;
    return element;
}

static struct cc_expr *check_assign(struct cc_checker *c, struct cc_expr *e)
{
    e->left = cc_check_expr(c, e->left);
    struct cc_expr *value = cc_check_value(c, e->right);
    if (is_error(e->left) || is_error(value)) {
        return cc_poison(c, e);
    }
    e->type = e->left->type;
    if (e->operation != CC_TOKEN_SET) {
        struct cc_expr *old = e->left->kind == CC_EXPR_INDEX ? hold_element(c, e) : e->left;
        struct cc_expr *binary = cc_wrap(c, CC_EXPR_BINARY, old, NULL);
        binary->place = e->place;
        binary->operation = e->operation;
        binary->right = value;
        value = check_arithmetic(c, binary);
        if (is_error(value)) {
            return cc_poison(c, e);
        }
    }
    e->right = cc_coerce(c, value, e->left->type, "the target");
    return e;
}

static struct cc_expr *check_step(struct cc_checker *c, struct cc_expr *e)
{
    e->left = cc_check_expr(c, e->left);
    if (is_error(e->left)) {
        return cc_poison(c, e);
    }
    if (!cc_is_numeric(e->left->type)) {
        cc_error(c->session, e->place, "%s needs a number, not %s",
                 e->operation == CC_TOKEN_PLUS ? "'++'" : "'--'", e->left->type->name);
        return cc_poison(c, e);
    }
    e->type = e->left->type;
    if (e->left->kind == CC_EXPR_INDEX) {
        e->right = hold_element(c, e);
    }
    return e;
}

/* The path taken from the folder of the source. */
static const char *beside_source(struct cc_checker *c, const char *path)
{
    const char *source = c->class->unit->source->file_name;
    const char *slash = strrchr(source, '/');
    return cc_format(c->session, "%.*s%s", slash ? (int)(slash - source) + 1 : 0, source, path);
}

static struct cc_expr *check_file(struct cc_checker *c, struct cc_expr *e)
{
    if (memchr(e->text.data, 0, e->text.size)) {
        cc_error(c->session, e->place, "file name holds a zero byte");
        return cc_poison(c, e);
    }
    const char *path = e->text.data;
    int error = cc_read_file(c->session, path, &e->text);
    if (error == -ENOENT && path[0] != '/') {
        error = cc_read_file(c->session, beside_source(c, path), &e->text);
    }
    if (error) {
        cc_error(c->session, e->place, "cannot read '%s': %s", path, phantom_strerror(error));
        return cc_poison(c, e);
    }
    e->kind = CC_EXPR_STRING;
    e->type = &c->session->class_string->type;
    return e;
}

struct cc_expr *cc_check_expr(struct cc_checker *c, struct cc_expr *e)
{
    struct cc_session *session = c->session;
    switch (e->kind) {
    case CC_EXPR_INT: e->type = e->wide ? session->type_long : session->type_int; return e;
    case CC_EXPR_REAL: e->type = e->wide ? session->type_double : session->type_float; return e;
    case CC_EXPR_STRING: e->type = &session->class_string->type; return e;
    case CC_EXPR_FILE: return check_file(c, e);
    case CC_EXPR_NULL: e->type = session->type_null; return e;
    case CC_EXPR_THIS: e->type = &c->class->type; return e;
    case CC_EXPR_NAME: return check_name(c, e);
    case CC_EXPR_MEMBER: return check_member(c, e);
    case CC_EXPR_INDEX: return check_index(c, e);
    case CC_EXPR_CALL: cc_check_call(c, e); return e;
    case CC_EXPR_NEW: cc_check_new(c, e); return e;
    case CC_EXPR_NEW_DYNAMIC: cc_check_new_dynamic(c, e); return e;
    case CC_EXPR_ASSIGN: return check_assign(c, e);
    case CC_EXPR_STEP: return check_step(c, e);
    case CC_EXPR_BINARY: return check_binary(c, e);
    case CC_EXPR_UNARY: return check_unary(c, e);
    case CC_EXPR_CAST: return check_cast(c, e);
    case CC_EXPR_LOCAL:
    case CC_EXPR_FIELD:
    case CC_EXPR_CONVERT:
    case CC_EXPR_CHECKED:
    case CC_EXPR_UNBOX:
    case CC_EXPR_RETYPE: break; /* made by the checker itself, complete */
    }
    return e;
}
