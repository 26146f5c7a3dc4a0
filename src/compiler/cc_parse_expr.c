/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_parse_expr.c - expressions. Binary operators by precedence climbing; the levels are those of
 * the old dialect: `| & ^` bind tighter than `*`, reference comparison tighter than value
 * comparison, and an assignment is an operand (`a + b = c` is `a + (b = c)`).
 */
#include "cc_parser.h"

#include <string.h>

static struct cc_expr *new_expr(struct cc_parser *p, enum cc_expr_kind kind, struct cc_place place)
{
    struct cc_expr *e = cc_alloc(p->session, sizeof(*e));
    e->kind = kind;
    e->place = place;
    e->depth = 1;
    return e;
}

static void adopt(struct cc_parser *p, struct cc_expr *parent, const struct cc_expr *child)
{
    if (child->depth + 1 > parent->depth) {
        parent->depth = child->depth + 1;
    }
    if (parent->depth > CC_MAX_DEPTH) {
        cc_error(p->session, parent->place, "expression is too long or too deeply nested");
        cc_escape(p->session, PHANTOM_ESOURCE);
    }
}

static bool is_target(const struct cc_expr *e)
{
    return e->kind == CC_EXPR_NAME || e->kind == CC_EXPR_INDEX || e->kind == CC_EXPR_MEMBER;
}

/* The operation of `op=`; CC_TOKEN_END when the token is no assignment. */
static enum cc_token_kind assignment_operation(enum cc_token_kind kind)
{
    switch ((int)kind) {
    case CC_TOKEN_SET: return CC_TOKEN_SET;
    case CC_TOKEN_PLUS_SET: return CC_TOKEN_PLUS;
    case CC_TOKEN_MINUS_SET: return CC_TOKEN_MINUS;
    case CC_TOKEN_TIMES_SET: return CC_TOKEN_TIMES;
    case CC_TOKEN_DIVIDE_SET: return CC_TOKEN_DIVIDE;
    case CC_TOKEN_REMAINDER_SET: return CC_TOKEN_REMAINDER;
    case CC_TOKEN_OR_SET: return CC_TOKEN_OR;
    case CC_TOKEN_AND_SET: return CC_TOKEN_AND;
    case CC_TOKEN_XOR_SET: return CC_TOKEN_XOR;
    case CC_TOKEN_SHL_SET: return CC_TOKEN_SHL;
    case CC_TOKEN_SHR_SET: return CC_TOKEN_SHR;
    case CC_TOKEN_USHR_SET: return CC_TOKEN_USHR;
    default: return CC_TOKEN_END;
    }
}

static bool begins_operand(enum cc_token_kind kind)
{
    switch ((int)kind) {
    case CC_TOKEN_IDENTIFIER:
    case CC_TOKEN_STRING:
    case CC_TOKEN_INT:
    case CC_TOKEN_LONG:
    case CC_TOKEN_FLOAT:
    case CC_TOKEN_DOUBLE:
    case CC_TOKEN_NEW:
    case CC_TOKEN_THIS:
    case CC_TOKEN_NULL:
    case CC_TOKEN_IMPORT:
    case CC_TOKEN_PAREN_OPEN: return true;
    default: return false;
    }
}

static bool is_short_type_name(const struct cc_token *token)
{
    static const char *const names[] = {"int", "long", "float", "double", "string"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (token->kind == CC_TOKEN_IDENTIFIER && strcmp(token->text.data, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* At "(": is it a cast? A name in parentheses is one when it can be nothing else: it is absolute,
   an array or a built-in type, or an operand follows the closing parenthesis. */
static bool cast_ahead(const struct cc_parser *p)
{
    uint32_t i = 1;
    bool certain = is_short_type_name(cc_ahead(p, i)) || cc_ahead(p, i)->kind == CC_TOKEN_VOID;
    if (cc_ahead(p, i)->kind == CC_TOKEN_DOT) {
        certain = true;
        i++;
    }
    for (;;) {
        enum cc_token_kind kind = cc_ahead(p, i)->kind;
        if (kind != CC_TOKEN_IDENTIFIER && kind != CC_TOKEN_VOID &&
            !(kind == CC_TOKEN_STRING && i > 1)) {
            return false;
        }
        i++;
        if (cc_ahead(p, i)->kind != CC_TOKEN_DOT) {
            break;
        }
        i++;
    }
    if (cc_ahead(p, i)->kind == CC_TOKEN_BRACKET_OPEN &&
        cc_ahead(p, i + 1)->kind == CC_TOKEN_BRACKET_CLOSE) {
        certain = true;
        i += 2;
    }
    return cc_ahead(p, i)->kind == CC_TOKEN_PAREN_CLOSE &&
           (certain || begins_operand(cc_ahead(p, i + 1)->kind));
}

static void parse_arguments(struct cc_parser *p, struct cc_expr *call)
{
    uint32_t capacity = 0;
    if (!cc_expect(p, CC_TOKEN_PAREN_OPEN, "before the arguments")) {
        return;
    }
    while (!p->panic && !cc_at(p, CC_TOKEN_PAREN_CLOSE)) {
        if (call->argument_count > 0 && !cc_accept(p, CC_TOKEN_COMMA)) {
            if (!begins_operand(cc_ahead(p, 0)->kind)) {
                break;
            }
            cc_warning(p->session, cc_here(p), "comma is missing between two arguments");
        }
        struct cc_expr *argument = cc_parse_expression(p);
        adopt(p, call, argument);
        CC_PUSH(p->session, call->arguments, call->argument_count, capacity, argument);
    }
    if (call->argument_count > CC_MAX_ARGUMENTS) {
        cc_syntax_error(p, "more than %d arguments", CC_MAX_ARGUMENTS);
    }
    cc_expect(p, CC_TOKEN_PAREN_CLOSE, "after the arguments");
}

static struct cc_expr *parse_new(struct cc_parser *p)
{
    struct cc_expr *e = new_expr(p, CC_EXPR_NEW, cc_here(p));
    p->at++;
    if (cc_accept(p, CC_TOKEN_TIMES)) {
        e->kind = CC_EXPR_NEW_DYNAMIC;
        cc_expect(p, CC_TOKEN_PAREN_OPEN, "after 'new *'");
        e->left = cc_parse_expression(p);
        adopt(p, e, e->left);
        cc_expect(p, CC_TOKEN_PAREN_CLOSE, "after the class expression");
        if (cc_accept(p, CC_TOKEN_COLON)) {
            cc_parse_type(p, &e->syntax);
        }
    } else {
        cc_parse_type(p, &e->syntax);
    }
    parse_arguments(p, e);
    return e;
}

static struct cc_expr *parse_number(struct cc_parser *p, bool negative)
{
    const struct cc_token *token = cc_ahead(p, 0);
    struct cc_expr *e = new_expr(p, CC_EXPR_INT, cc_here(p));
    if (token->kind == CC_TOKEN_FLOAT || token->kind == CC_TOKEN_DOUBLE) {
        e->kind = CC_EXPR_REAL;
        e->wide = token->kind == CC_TOKEN_DOUBLE;
        e->real = negative ? -token->real : token->real;
    } else {
        e->wide = token->kind == CC_TOKEN_LONG;
        uint64_t value = negative ? 0 - token->integer : token->integer;
        e->integer = (int64_t)value;
        if (token->only_negative) {
            if (negative && e->integer == INT32_MIN) {
                e->wide = false;
            } else if (!negative && token->integer == (uint64_t)1 << 63) {
                cc_syntax_error(p, "number does not fit in 64 bits");
            }
        }
        if (!e->wide) {
            e->integer = (int32_t)e->integer;
        }
    }
    p->at++;
    return e;
}

static struct cc_expr *parse_primary(struct cc_parser *p)
{
    const struct cc_token *token = cc_ahead(p, 0);
    struct cc_place place = cc_here(p);
    struct cc_expr *e;
    switch ((int)token->kind) {
    case CC_TOKEN_INT:
    case CC_TOKEN_LONG:
    case CC_TOKEN_FLOAT:
    case CC_TOKEN_DOUBLE: return parse_number(p, false);
    case CC_TOKEN_STRING:
        p->at++;
        e = new_expr(p, CC_EXPR_STRING, place);
        e->text = token->text;
        return e;
    case CC_TOKEN_IMPORT:
        p->at++;
        e = new_expr(p, CC_EXPR_FILE, place);
        if (cc_at(p, CC_TOKEN_STRING)) {
            e->text = cc_ahead(p, 0)->text;
        }
        cc_expect(p, CC_TOKEN_STRING, "after 'import' in an expression");
        return e;
    case CC_TOKEN_NULL:
    case CC_TOKEN_THIS:
        p->at++;
        return new_expr(p, token->kind == CC_TOKEN_NULL ? CC_EXPR_NULL : CC_EXPR_THIS, place);
    case CC_TOKEN_NEW: return parse_new(p);
    case CC_TOKEN_IDENTIFIER:
        p->at++;
        e = new_expr(p, CC_EXPR_NAME, place);
        e->name = token->text.data;
        if (cc_at(p, CC_TOKEN_PAREN_OPEN)) {
            e->kind = CC_EXPR_CALL;
            parse_arguments(p, e);
        }
        return e;
    case CC_TOKEN_PAREN_OPEN:
        p->at++;
        e = cc_parse_expression(p);
        e->parenthesised = true;
        cc_expect(p, CC_TOKEN_PAREN_CLOSE, "to match '('");
        return e;
    default:
        cc_syntax_error(p, "an expression is expected here, not %s",
                        cc_token_text(p->session, token));
        return new_expr(p, CC_EXPR_NULL, place);
    }
}

/* After a dot: a method or field name, or the number of a method. */
static struct cc_expr *parse_member(struct cc_parser *p, struct cc_expr *left)
{
    const struct cc_token *token = cc_ahead(p, 0);
    struct cc_expr *e = new_expr(p, CC_EXPR_MEMBER, cc_here(p));
    e->left = left;
    adopt(p, e, left);
    if (token->kind == CC_TOKEN_INT) {
        e->by_ordinal = true;
        e->ordinal = (uint32_t)token->integer;
        if (token->integer >= BC_MAX_METHOD_SLOTS) {
            cc_syntax_error(p, "method number is too large");
        }
        p->at++;
        if (!cc_at(p, CC_TOKEN_PAREN_OPEN)) {
            cc_syntax_error(p, "'(' is expected after a method number");
        }
    } else {
        e->name = cc_expect_name(p, "a method name or number after '.'");
    }
    if (!p->panic && cc_at(p, CC_TOKEN_PAREN_OPEN)) {
        e->kind = CC_EXPR_CALL;
        parse_arguments(p, e);
    }
    return e;
}

static struct cc_expr *parse_postfix(struct cc_parser *p)
{
    struct cc_expr *e = parse_primary(p);
    while (!p->panic) {
        struct cc_place place = cc_here(p);
        if (cc_accept(p, CC_TOKEN_DOT)) {
            e = parse_member(p, e);
        } else if (cc_accept(p, CC_TOKEN_BRACKET_OPEN)) {
            struct cc_expr *index = new_expr(p, CC_EXPR_INDEX, place);
            index->left = e;
            index->right = cc_parse_expression(p);
            adopt(p, index, index->left);
            adopt(p, index, index->right);
            cc_expect(p, CC_TOKEN_BRACKET_CLOSE, "after the index");
            e = index;
        } else if ((cc_at(p, CC_TOKEN_PLUS_PLUS) || cc_at(p, CC_TOKEN_MINUS_MINUS)) &&
                   is_target(e)) {
            struct cc_expr *step = new_expr(p, CC_EXPR_STEP, place);
            step->operation = cc_at(p, CC_TOKEN_PLUS_PLUS) ? CC_TOKEN_PLUS : CC_TOKEN_MINUS;
            step->left = e;
            adopt(p, step, e);
            p->at++;
            e = step;
        } else {
            break;
        }
    }
    if (cc_at(p, CC_TOKEN_DOT_SET)) {
        cc_syntax_error(p, "'.=' is not supported");
    }
    enum cc_token_kind operation = assignment_operation(cc_ahead(p, 0)->kind);
    if (operation == CC_TOKEN_END || p->panic) {
        return e;
    }
    if (!is_target(e)) {
        cc_syntax_error(p, "only a variable, a field or an array element can be assigned to");
        return e;
    }
    struct cc_expr *assign = new_expr(p, CC_EXPR_ASSIGN, cc_here(p));
    p->at++;
    assign->operation = operation;
    assign->left = e;
    assign->right = cc_parse_expression(p);
    adopt(p, assign, e);
    adopt(p, assign, assign->right);
    return assign;
}

static struct cc_expr *parse_unary(struct cc_parser *p);

static struct cc_expr *parse_prefix_operator(struct cc_parser *p)
{
    enum cc_token_kind kind = cc_ahead(p, 0)->kind;
    enum cc_token_kind after = cc_ahead(p, 1)->kind;
    struct cc_expr *e = new_expr(p, CC_EXPR_UNARY, cc_here(p));
    p->at++;
    if (kind == CC_TOKEN_MINUS && (after == CC_TOKEN_INT || after == CC_TOKEN_LONG ||
                                   after == CC_TOKEN_FLOAT || after == CC_TOKEN_DOUBLE)) {
        return parse_number(p, true);
    }
    e->operation = kind;
    e->left = parse_unary(p);
    adopt(p, e, e->left);
    if (kind == CC_TOKEN_PLUS_PLUS || kind == CC_TOKEN_MINUS_MINUS) {
        e->kind = CC_EXPR_STEP;
        e->is_prefix = true;
        e->operation = kind == CC_TOKEN_PLUS_PLUS ? CC_TOKEN_PLUS : CC_TOKEN_MINUS;
        if (!is_target(e->left)) {
            cc_syntax_error(p, "%s needs a variable, a field or an array element",
                            cc_kind_text(kind));
        }
    }
    return e;
}

static struct cc_expr *parse_unary(struct cc_parser *p)
{
    struct cc_expr *e;
    cc_enter(p);
    switch ((int)cc_ahead(p, 0)->kind) {
    case CC_TOKEN_NOT:
    case CC_TOKEN_MINUS:
    case CC_TOKEN_TILDE:
    case CC_TOKEN_PLUS_PLUS:
    case CC_TOKEN_MINUS_MINUS: e = parse_prefix_operator(p); break;
    default:
        if (cc_at(p, CC_TOKEN_PAREN_OPEN) && cast_ahead(p)) {
            e = new_expr(p, CC_EXPR_CAST, cc_here(p));
            p->at++;
            cc_parse_type(p, &e->syntax);
            cc_expect(p, CC_TOKEN_PAREN_CLOSE, "after the type of a cast");
            e->left = parse_unary(p);
            adopt(p, e, e->left);
        } else {
            e = parse_postfix(p);
        }
        break;
    }
    cc_leave(p);
    return e;
}

enum {
    LEVEL_OR = 1,
    LEVEL_AND,
    LEVEL_COMPARE,
    LEVEL_SAME,
    LEVEL_SHIFT,
    LEVEL_SUM,
    LEVEL_PRODUCT,
    LEVEL_BITS
};

static int level_of(enum cc_token_kind kind)
{
    switch ((int)kind) {
    case CC_TOKEN_OR_OR: return LEVEL_OR;
    case CC_TOKEN_AND_AND: return LEVEL_AND;
    case CC_TOKEN_EQUAL:
    case CC_TOKEN_NOT_EQUAL:
    case CC_TOKEN_LESS:
    case CC_TOKEN_GREATER:
    case CC_TOKEN_LESS_EQUAL:
    case CC_TOKEN_GREATER_EQUAL: return LEVEL_COMPARE;
    case CC_TOKEN_SAME:
    case CC_TOKEN_NOT_SAME: return LEVEL_SAME;
    case CC_TOKEN_SHL:
    case CC_TOKEN_SHR:
    case CC_TOKEN_USHR: return LEVEL_SHIFT;
    case CC_TOKEN_PLUS:
    case CC_TOKEN_MINUS: return LEVEL_SUM;
    case CC_TOKEN_TIMES:
    case CC_TOKEN_DIVIDE:
    case CC_TOKEN_REMAINDER: return LEVEL_PRODUCT;
    case CC_TOKEN_OR:
    case CC_TOKEN_AND:
    case CC_TOKEN_XOR: return LEVEL_BITS;
    default: return 0;
    }
}

/* Programs of the old dialect read some expressions differently; say so where it matters. */
static void warn_of_old_reading(struct cc_parser *p, const struct cc_expr *e)
{
    const struct cc_expr *left = e->left;
    if (left->kind == CC_EXPR_UNARY && left->operation == CC_TOKEN_NOT && !left->parenthesised) {
        cc_warning(p->session, left->place,
                   "'!' applies to its operand only, older compilers applied it to everything that "
                   "follows; use parentheses");
    } else if (left->kind == CC_EXPR_CAST && !left->parenthesised) {
        cc_warning(p->session, left->place,
                   "the cast applies to its operand only, older compilers applied it to everything "
                   "that follows; use parentheses");
    } else if (e->operation == CC_TOKEN_OR_OR && e->right->kind == CC_EXPR_BINARY &&
               e->right->operation == CC_TOKEN_AND_AND && !e->right->parenthesised) {
        cc_warning(p->session, e->place,
                   "'&&' binds tighter than '||', older compilers took both from left to right; "
                   "use parentheses");
    }
}

static struct cc_expr *parse_binary(struct cc_parser *p, int lowest)
{
    cc_enter(p);
    struct cc_expr *left = parse_unary(p);
    while (!p->panic) {
        enum cc_token_kind kind = cc_ahead(p, 0)->kind;
        int level = level_of(kind);
        struct cc_expr *e;
        if (kind == CC_TOKEN_TILDE) { /* the old postfix complement, of the level of `|` */
            e = new_expr(p, CC_EXPR_UNARY, cc_here(p));
            p->at++;
        } else if (level >= lowest && level > 0) {
            e = new_expr(p, CC_EXPR_BINARY, cc_here(p));
            p->at++;
            e->right = parse_binary(p, level + 1);
            adopt(p, e, e->right);
        } else {
            break;
        }
        e->operation = kind;
        e->left = left;
        adopt(p, e, left);
        if (e->right) {
            warn_of_old_reading(p, e);
        }
        left = e;
    }
    cc_leave(p);
    return left;
}

struct cc_expr *cc_parse_expression(struct cc_parser *p)
{
    return parse_binary(p, LEVEL_OR);
}
