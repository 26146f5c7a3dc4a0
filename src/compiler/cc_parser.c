/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_parser.c - declarations, types, attributes and statements. Recursive descent over the token
 * array; see cc_parser.h for how errors are survived.
 */
#include "cc_parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct cc_token *cc_ahead(const struct cc_parser *p, uint32_t distance)
{
    uint32_t left = p->count - 1 - p->at; /* tokens after the current one */
    return &p->tokens[distance < left ? p->at + distance : p->count - 1];
}

struct cc_place cc_here(const struct cc_parser *p)
{
    return (struct cc_place){.source = p->unit->source, .offset = cc_ahead(p, 0)->offset};
}

bool cc_at(const struct cc_parser *p, enum cc_token_kind kind)
{
    return cc_ahead(p, 0)->kind == kind;
}

/* The END token is never stepped over, so `at` stays inside the array. */
static void step(struct cc_parser *p)
{
    if (p->at < p->count - 1) {
        p->at++;
    }
}

bool cc_accept(struct cc_parser *p, enum cc_token_kind kind)
{
    if (!cc_at(p, kind)) {
        return false;
    }
    step(p);
    return true;
}

void cc_syntax_error(struct cc_parser *p, const char *format, ...)
{
    if (p->panic) {
        return;
    }
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    p->panic = true;
    cc_error(p->session, cc_here(p), "%s", text);
}

bool cc_expect(struct cc_parser *p, enum cc_token_kind kind, const char *where)
{
    if (!p->panic && cc_accept(p, kind)) {
        return true;
    }
    cc_syntax_error(p, "%s is expected %s, not %s", cc_kind_text(kind), where,
                    cc_token_text(p->session, cc_ahead(p, 0)));
    return false;
}

const char *cc_expect_name(struct cc_parser *p, const char *what)
{
    const struct cc_token *token = cc_ahead(p, 0);
    if (!p->panic && cc_accept(p, CC_TOKEN_IDENTIFIER)) {
        return token->text.data;
    }
    cc_syntax_error(p, "%s is expected here, not %s", what, cc_token_text(p->session, token));
    return "?";
}

void cc_enter(struct cc_parser *p)
{
    if (++p->depth > CC_MAX_DEPTH) {
        cc_error(p->session, cc_here(p), "nested too deeply (more than %d levels)", CC_MAX_DEPTH);
        cc_escape(p->session, PHANTOM_ESOURCE);
    }
}

void cc_leave(struct cc_parser *p)
{
    p->depth--;
}

/* A part of a class name written as a string may be a reserved word, but nothing a file name could
   be made to misbehave with. */
static bool good_name_part(const struct cc_text *text)
{
    for (uint32_t i = 0; i < text->size; i++) {
        char c = text->data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
        if (!letter && !(c >= '0' && c <= '9')) {
            return false;
        }
    }
    return text->size > 0;
}

bool cc_parse_name(struct cc_parser *p, struct cc_name *name)
{
    static const char *const whole[] = {"int", "string", "long", "float", "double"};
    name->place = cc_here(p);
    name->absolute = cc_accept(p, CC_TOKEN_DOT);
    const char *text = "";
    for (bool first = true;; first = false) {
        const struct cc_token *token = cc_ahead(p, 0);
        bool quoted = token->kind == CC_TOKEN_STRING;
        if ((token->kind != CC_TOKEN_IDENTIFIER && !quoted) || p->panic) {
            cc_syntax_error(p, "a class name is expected here, not %s",
                            cc_token_text(p->session, token));
            break;
        }
        if (quoted && !good_name_part(&token->text)) {
            cc_syntax_error(p, "a class name holds only letters, digits, '_' and '$'");
            break;
        }
        step(p);
        text = cc_format(p->session, "%s%s%s", text, first && !name->absolute ? "" : ".",
                         token->text.data);
        bool ends = strlen(text) > BC_MAX_NAME_BYTES / 4;
        if (ends) {
            cc_syntax_error(p, "class name is too long");
        }
        for (size_t i = 0; first && !name->absolute && i < sizeof(whole) / sizeof(whole[0]); i++) {
            ends = ends || strcmp(text, whole[i]) == 0;
        }
        if (ends || !cc_accept(p, CC_TOKEN_DOT)) {
            break;
        }
    }
    name->text = text;
    return !p->panic;
}

void cc_parse_attributes(struct cc_parser *p)
{
    if (!cc_accept(p, CC_TOKEN_AT) && !cc_accept(p, CC_TOKEN_ATTRIBUTE)) {
        return;
    }
    for (;;) {
        struct cc_name name;
        cc_accept(p, CC_TOKEN_TILDE);
        if (!cc_parse_name(p, &name)) {
            return;
        }
        while (cc_accept(p, CC_TOKEN_PLUS) || cc_accept(p, CC_TOKEN_TIMES) ||
               cc_accept(p, CC_TOKEN_ARROW_OUT) || cc_accept(p, CC_TOKEN_ARROW_IN) ||
               cc_accept(p, CC_TOKEN_NOT)) {
        }
        enum cc_token_kind after = cc_ahead(p, 1)->kind;
        if (!cc_at(p, CC_TOKEN_COMMA) ||
            (after != CC_TOKEN_IDENTIFIER && after != CC_TOKEN_DOT && after != CC_TOKEN_TILDE)) {
            return;
        }
        step(p);
    }
}

void cc_parse_type(struct cc_parser *p, struct cc_type_syntax *type)
{
    type->place = cc_here(p);
    if (cc_at(p, CC_TOKEN_STATIC)) {
        cc_syntax_error(p, "static members are not supported");
    }
    if (cc_at(p, CC_TOKEN_TIMES)) {
        cc_syntax_error(p, "a type computed at run time is possible only as 'new *(class)()'");
    }
    if (cc_accept(p, CC_TOKEN_VOID)) {
        type->form = CC_TYPE_VOID;
    } else {
        type->form = CC_TYPE_NAMED;
        cc_parse_name(p, &type->name);
    }
    if (!p->panic && cc_accept(p, CC_TOKEN_BRACKET_OPEN)) {
        type->is_array = true;
        if (!cc_at(p, CC_TOKEN_BRACKET_CLOSE)) {
            cc_syntax_error(p, "containers of a class of their own are not supported, only 'T[]'");
        }
        cc_expect(p, CC_TOKEN_BRACKET_CLOSE, "after '['");
        if (cc_at(p, CC_TOKEN_BRACKET_OPEN)) {
            cc_syntax_error(p, "arrays of arrays are not supported: use 'T[]' with T = "
                               ".internal.object");
        }
    }
    cc_parse_attributes(p);
}

/* Skip what cannot be understood: to just behind a ';', or to a '}' that closes something outside.
   Blocks met on the way are skipped whole. */
static void recover(struct cc_parser *p)
{
    uint32_t open = 0;
    p->panic = false;
    while (!cc_at(p, CC_TOKEN_END)) {
        if (cc_at(p, CC_TOKEN_BRACE_OPEN)) {
            open++;
        } else if (cc_at(p, CC_TOKEN_BRACE_CLOSE)) {
            if (open == 0) {
                return;
            }
            open--;
            if (open == 0) {
                step(p);
                return;
            }
        } else if (cc_at(p, CC_TOKEN_SEMICOLON) && open == 0) {
            step(p);
            return;
        }
        step(p);
    }
    p->panic = true; /* the end of the file has been complained about */
}

/* ---- statements ---- */

static struct cc_stmt *new_stmt(struct cc_parser *p, enum cc_stmt_kind kind)
{
    struct cc_stmt *s = cc_alloc(p->session, sizeof(*s));
    s->kind = kind;
    s->place = cc_here(p);
    return s;
}

static struct cc_stmt *parse_statement(struct cc_parser *p);

static struct cc_expr *parse_condition(struct cc_parser *p)
{
    cc_expect(p, CC_TOKEN_PAREN_OPEN, "before the condition");
    struct cc_expr *e = cc_parse_expression(p);
    cc_expect(p, CC_TOKEN_PAREN_CLOSE, "after the condition");
    return e;
}

/* `Type name;` or `Type name = value;`: the other way to write `var name : Type`. */
static bool typed_variable_ahead(const struct cc_parser *p)
{
    uint32_t i = 0;
    if (cc_ahead(p, i)->kind == CC_TOKEN_DOT) {
        i++;
    }
    for (;;) {
        enum cc_token_kind kind = cc_ahead(p, i)->kind;
        if (kind != CC_TOKEN_IDENTIFIER && !(kind == CC_TOKEN_STRING && i > 0)) {
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
        i += 2;
    }
    enum cc_token_kind after = cc_ahead(p, i + 1)->kind;
    return cc_ahead(p, i)->kind == CC_TOKEN_IDENTIFIER &&
           (after == CC_TOKEN_SEMICOLON || after == CC_TOKEN_SET);
}

static struct cc_stmt *parse_variable(struct cc_parser *p)
{
    struct cc_stmt *s = new_stmt(p, CC_STMT_VAR);
    if (cc_accept(p, CC_TOKEN_VAR)) {
        s->place = cc_here(p);
        s->name = cc_expect_name(p, "the name of a variable");
        if (cc_accept(p, CC_TOKEN_COLON)) {
            cc_parse_type(p, &s->syntax);
        }
        cc_parse_attributes(p);
    } else {
        cc_parse_type(p, &s->syntax);
        s->place = cc_here(p);
        s->name = cc_expect_name(p, "the name of a variable");
    }
    if (cc_accept(p, CC_TOKEN_SET)) {
        s->value = cc_parse_expression(p);
    } else if (s->syntax.form == CC_TYPE_NONE) {
        cc_syntax_error(p, "variable '%s' needs a type or a first value", s->name);
    }
    cc_expect(p, CC_TOKEN_SEMICOLON, "after the declaration of a variable");
    return s;
}

static struct cc_stmt *parse_if(struct cc_parser *p)
{
    struct cc_stmt *s = new_stmt(p, CC_STMT_IF);
    step(p);
    s->condition = parse_condition(p);
    s->body = parse_statement(p);
    if (!p->panic && cc_accept(p, CC_TOKEN_ELSE)) {
        s->otherwise = parse_statement(p);
    }
    return s;
}

static struct cc_stmt *parse_do(struct cc_parser *p)
{
    struct cc_stmt *s = new_stmt(p, CC_STMT_DO);
    step(p);
    s->body = parse_statement(p);
    cc_expect(p, CC_TOKEN_WHILE, "after the body of 'do'");
    s->condition = parse_condition(p);
    if (!p->panic && !cc_accept(p, CC_TOKEN_SEMICOLON)) {
        s->otherwise = parse_statement(p);
    }
    return s;
}

static struct cc_stmt *parse_for(struct cc_parser *p)
{
    struct cc_stmt *s = new_stmt(p, CC_STMT_FOR);
    step(p);
    cc_expect(p, CC_TOKEN_PAREN_OPEN, "after 'for'");
    if (cc_at(p, CC_TOKEN_VAR) || typed_variable_ahead(p)) {
        s->initial = parse_variable(p);
    } else if (!cc_accept(p, CC_TOKEN_SEMICOLON)) {
        s->initial = new_stmt(p, CC_STMT_EXPR);
        s->initial->value = cc_parse_expression(p);
        cc_expect(p, CC_TOKEN_SEMICOLON, "after the first part of 'for'");
    }
    if (!p->panic && !cc_at(p, CC_TOKEN_SEMICOLON)) {
        s->condition = cc_parse_expression(p);
    }
    cc_expect(p, CC_TOKEN_SEMICOLON, "after the condition of 'for'");
    if (!p->panic && !cc_at(p, CC_TOKEN_PAREN_CLOSE)) {
        s->value = cc_parse_expression(p);
    }
    cc_expect(p, CC_TOKEN_PAREN_CLOSE, "after the head of 'for'");
    s->body = parse_statement(p);
    return s;
}

static struct cc_stmt *parse_foreach(struct cc_parser *p)
{
    struct cc_stmt *s = new_stmt(p, CC_STMT_FOREACH);
    step(p);
    cc_expect(p, CC_TOKEN_PAREN_OPEN, "after 'foreach'");
    cc_accept(p, CC_TOKEN_VAR);
    s->place = cc_here(p);
    s->name = cc_expect_name(p, "the name of a variable");
    if (cc_accept(p, CC_TOKEN_COLON)) {
        cc_parse_type(p, &s->syntax);
    }
    cc_expect(p, CC_TOKEN_IN, "after the variable of 'foreach'");
    s->condition = cc_parse_expression(p);
    cc_expect(p, CC_TOKEN_PAREN_CLOSE, "after the head of 'foreach'");
    s->body = parse_statement(p);
    return s;
}

static struct cc_stmt *parse_try(struct cc_parser *p)
{
    struct cc_stmt *s = new_stmt(p, CC_STMT_TRY);
    step(p);
    s->body = parse_statement(p);
    cc_expect(p, CC_TOKEN_CATCH, "after the body of 'try'");
    cc_expect(p, CC_TOKEN_PAREN_OPEN, "after 'catch'");
    if (cc_accept(p, CC_TOKEN_VAR)) {
        s->place = cc_here(p);
        s->name = cc_expect_name(p, "the name of a variable");
        cc_expect(p, CC_TOKEN_COLON, "after the variable of 'catch'");
        cc_parse_type(p, &s->syntax);
    } else {
        cc_parse_type(p, &s->syntax);
        s->place = cc_here(p);
        s->name = cc_expect_name(p, "the name of a variable");
    }
    cc_expect(p, CC_TOKEN_PAREN_CLOSE, "after the variable of 'catch'");
    s->otherwise = parse_statement(p);
    if (cc_at(p, CC_TOKEN_CATCH)) {
        cc_syntax_error(p, "only one 'catch' may follow a 'try'");
    }
    return s;
}

/* Statements up to the closing brace, which is stepped over. */
static struct cc_stmt *parse_list(struct cc_parser *p, bool in_switch)
{
    struct cc_stmt *first = NULL;
    struct cc_stmt **last = &first;
    if (!cc_expect(p, CC_TOKEN_BRACE_OPEN, "here")) {
        return NULL;
    }
    while (!cc_at(p, CC_TOKEN_BRACE_CLOSE)) {
        if (cc_at(p, CC_TOKEN_END)) {
            cc_syntax_error(p, "'}' is missing at the end of the file");
            return first;
        }
        uint32_t before = p->at;
        struct cc_stmt *s;
        if (in_switch && (cc_at(p, CC_TOKEN_CASE) || cc_at(p, CC_TOKEN_DEFAULT))) {
            s = new_stmt(p, cc_at(p, CC_TOKEN_CASE) ? CC_STMT_CASE : CC_STMT_DEFAULT);
            step(p);
            if (s->kind == CC_STMT_CASE) {
                s->value = cc_parse_expression(p);
            }
            cc_expect(p, CC_TOKEN_COLON, "after a case label");
        } else {
            s = parse_statement(p);
        }
        *last = s;
        last = &s->next;
        if (p->panic) {
            recover(p);
            if (p->at == before) {
                step(p);
            }
        }
    }
    step(p);
    return first;
}

struct cc_stmt *cc_parse_block(struct cc_parser *p)
{
    struct cc_stmt *s = new_stmt(p, CC_STMT_BLOCK);
    s->body = parse_list(p, false);
    return s;
}

static struct cc_stmt *parse_simple(struct cc_parser *p, enum cc_stmt_kind kind)
{
    struct cc_stmt *s = new_stmt(p, kind);
    if (kind != CC_STMT_EXPR) {
        step(p);
    }
    bool needs_value = kind == CC_STMT_EXPR || kind == CC_STMT_THROW;
    bool takes_value = needs_value || kind == CC_STMT_RETURN;
    if (needs_value || (takes_value && !cc_at(p, CC_TOKEN_SEMICOLON))) {
        s->value = cc_parse_expression(p);
    }
    cc_expect(p, CC_TOKEN_SEMICOLON, "at the end of the statement");
    return s;
}

static struct cc_stmt *parse_other_statement(struct cc_parser *p)
{
    const struct cc_token *token = cc_ahead(p, 0);
    if (token->kind == CC_TOKEN_IDENTIFIER && strcmp(token->text.data, "for") == 0 &&
        cc_ahead(p, 1)->kind == CC_TOKEN_PAREN_OPEN) {
        return parse_for(p);
    }
    if (typed_variable_ahead(p)) {
        return parse_variable(p);
    }
    return parse_simple(p, CC_STMT_EXPR);
}

static struct cc_stmt *parse_statement(struct cc_parser *p)
{
    struct cc_stmt *s;
    cc_enter(p);
    switch ((int)cc_ahead(p, 0)->kind) {
    case CC_TOKEN_BRACE_OPEN: s = cc_parse_block(p); break;
    case CC_TOKEN_SEMICOLON:
        s = new_stmt(p, CC_STMT_EMPTY);
        step(p);
        break;
    case CC_TOKEN_VAR: s = parse_variable(p); break;
    case CC_TOKEN_IF: s = parse_if(p); break;
    case CC_TOKEN_WHILE:
        s = new_stmt(p, CC_STMT_WHILE);
        step(p);
        s->condition = parse_condition(p);
        s->body = parse_statement(p);
        break;
    case CC_TOKEN_DO: s = parse_do(p); break;
    case CC_TOKEN_FOREACH: s = parse_foreach(p); break;
    case CC_TOKEN_SWITCH:
        s = new_stmt(p, CC_STMT_SWITCH);
        step(p);
        s->condition = parse_condition(p);
        s->body = parse_list(p, true);
        break;
    case CC_TOKEN_TRY: s = parse_try(p); break;
    case CC_TOKEN_THROW: s = parse_simple(p, CC_STMT_THROW); break;
    case CC_TOKEN_RETURN: s = parse_simple(p, CC_STMT_RETURN); break;
    case CC_TOKEN_BREAK: s = parse_simple(p, CC_STMT_BREAK); break;
    case CC_TOKEN_CONTINUE: s = parse_simple(p, CC_STMT_CONTINUE); break;
    case CC_TOKEN_CASE:
    case CC_TOKEN_DEFAULT:
        s = new_stmt(p, CC_STMT_EMPTY);
        cc_syntax_error(p, "a case label may stand only directly inside a 'switch'");
        break;
    default: s = parse_other_statement(p); break;
    }
    cc_leave(p);
    return s;
}

/* ---- classes ---- */

static void parse_parameters(struct cc_parser *p, struct cc_member_syntax *member)
{
    cc_expect(p, CC_TOKEN_PAREN_OPEN, "before the parameters");
    while (!p->panic && !cc_at(p, CC_TOKEN_PAREN_CLOSE)) {
        struct cc_parameter_syntax parameter = {0};
        if (member->parameter_count > 0) {
            cc_expect(p, CC_TOKEN_COMMA, "between parameters");
        }
        cc_expect(p, CC_TOKEN_VAR, "before a parameter");
        parameter.place = cc_here(p);
        parameter.name = cc_expect_name(p, "the name of a parameter");
        if (cc_accept(p, CC_TOKEN_COLON)) {
            cc_parse_type(p, &parameter.type);
        }
        cc_parse_attributes(p);
        CC_PUSH(p->session, member->parameters, member->parameter_count, member->parameter_capacity,
                parameter);
    }
    if (member->parameter_count > CC_MAX_ARGUMENTS) {
        cc_syntax_error(p, "more than %d parameters", CC_MAX_ARGUMENTS);
    }
    cc_expect(p, CC_TOKEN_PAREN_CLOSE, "after the parameters");
}

static void parse_method(struct cc_parser *p, struct cc_member_syntax *member, bool is_interface)
{
    member->is_method = true;
    parse_parameters(p, member);
    if (!p->panic && cc_accept(p, CC_TOKEN_BRACKET_OPEN)) {
        const struct cc_token *token = cc_ahead(p, 0);
        if (token->kind == CC_TOKEN_INT && token->integer >= BC_MAX_METHOD_SLOTS) {
            cc_syntax_error(p, "method number is too large");
        }
        cc_expect(p, CC_TOKEN_INT, "as the number of the method");
        member->has_ordinal = true;
        member->ordinal = (uint32_t)token->integer;
        cc_expect(p, CC_TOKEN_BRACKET_CLOSE, "after the number of the method");
    }
    cc_parse_attributes(p);
    if (p->panic) {
        return;
    }
    if (cc_at(p, CC_TOKEN_BRACE_OPEN)) {
        member->has_body = true;
        member->body = cc_parse_block(p);
        member->end =
            (struct cc_place){.source = p->unit->source, .offset = p->tokens[p->at - 1].offset};
        if (is_interface && member->body->body) {
            cc_error(p->session, member->place, "a method of an interface has no body");
        }
    } else if (is_interface || p->unit->is_builtin) {
        cc_expect(p, CC_TOKEN_SEMICOLON, "after a method without a body");
    } else {
        cc_syntax_error(p, "method '%s' needs a body", member->name);
    }
}

/* Words of other languages in front of a member: better a clear refusal than a strange type error.
 */
static void refuse_foreign_modifier(struct cc_parser *p)
{
    static const char *const words[] = {"private", "protected", "final", "abstract", "const"};
    const struct cc_token *token = cc_ahead(p, 0);
    enum cc_token_kind next = cc_ahead(p, 1)->kind;
    enum cc_token_kind after = cc_ahead(p, 2)->kind;
    bool modifies =
        next == CC_TOKEN_VAR || next == CC_TOKEN_VOID ||
        (next == CC_TOKEN_IDENTIFIER &&
         (after == CC_TOKEN_IDENTIFIER || after == CC_TOKEN_BRACKET_OPEN || after == CC_TOKEN_DOT));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (modifies && token->kind == CC_TOKEN_IDENTIFIER &&
            strcmp(token->text.data, words[i]) == 0) {
            cc_syntax_error(p,
                            "'%s' is not supported: fields are seen by their class and its "
                            "descendants, methods by everybody",
                            words[i]);
        }
    }
}

static struct cc_member_syntax *parse_member(struct cc_parser *p, bool is_interface)
{
    struct cc_member_syntax *member = cc_alloc(p->session, sizeof(*member));
    cc_accept(p, CC_TOKEN_PUBLIC);
    refuse_foreign_modifier(p);
    if (cc_accept(p, CC_TOKEN_VAR)) {
        member->place = cc_here(p);
        member->name = cc_expect_name(p, "the name of a field");
        if (cc_accept(p, CC_TOKEN_COLON)) {
            cc_parse_type(p, &member->type);
        }
        cc_parse_attributes(p);
    } else {
        cc_parse_type(p, &member->type);
        member->place = cc_here(p);
        member->name = cc_expect_name(p, "the name of a member");
        if (!p->panic && cc_at(p, CC_TOKEN_PAREN_OPEN)) {
            parse_method(p, member, is_interface);
            return member;
        }
    }
    if (cc_at(p, CC_TOKEN_SET)) {
        cc_syntax_error(p, "a field cannot have a first value: set it in a constructor");
    }
    if (is_interface) {
        cc_syntax_error(p, "an interface cannot have fields");
    }
    cc_expect(p, CC_TOKEN_SEMICOLON, "after a field");
    return member;
}

static void parse_class_head(struct cc_parser *p, struct cc_class_syntax *class)
{
    cc_parse_name(p, &class->name);
    cc_parse_attributes(p);
    while (!p->panic) {
        if (cc_accept(p, CC_TOKEN_EXTENDS)) {
            if (class->has_base) {
                cc_syntax_error(p, "a class has only one base class");
            } else if (class->is_interface) {
                cc_syntax_error(p, "an interface cannot extend anything");
            }
            class->has_base = true;
            cc_parse_name(p, &class->base);
        } else if (cc_accept(p, CC_TOKEN_IMPLEMENTS)) {
            do {
                struct cc_name name = {0};
                cc_parse_name(p, &name);
                CC_PUSH(p->session, class->interfaces, class->interface_count,
                        class->interface_capacity, name);
            } while (!p->panic && cc_accept(p, CC_TOKEN_COMMA));
        } else {
            break;
        }
    }
}

static struct cc_class_syntax *parse_class(struct cc_parser *p)
{
    struct cc_class_syntax *class = cc_alloc(p->session, sizeof(*class));
    struct cc_member_syntax **last = &class->members;
    class->is_interface = cc_at(p, CC_TOKEN_INTERFACE);
    step(p);
    parse_class_head(p, class);
    if (!cc_expect(p, CC_TOKEN_BRACE_OPEN, "before the members of a class")) {
        return class;
    }
    while (!cc_at(p, CC_TOKEN_BRACE_CLOSE)) {
        if (cc_at(p, CC_TOKEN_END)) {
            cc_syntax_error(p, "'}' is missing at the end of the file");
            return class;
        }
        uint32_t before = p->at;
        if (cc_accept(p, CC_TOKEN_SEMICOLON)) {
            continue;
        }
        if (cc_at(p, CC_TOKEN_ATTRIBUTE) || cc_at(p, CC_TOKEN_AT)) {
            cc_parse_attributes(p);
            cc_expect(p, CC_TOKEN_SEMICOLON, "after attributes");
        } else {
            struct cc_member_syntax *member = parse_member(p, class->is_interface);
            *last = member;
            last = &member->next;
        }
        if (p->panic) {
            recover(p);
            if (p->at == before) {
                step(p);
            }
        }
    }
    step(p);
    return class;
}

/* ---- the file ---- */

static void parse_package(struct cc_parser *p)
{
    struct cc_name name;
    step(p);
    if (p->unit->package) {
        cc_syntax_error(p, "a file has only one package");
        return;
    }
    if (p->unit->classes) {
        cc_syntax_error(p, "the package must be named before the first class");
        return;
    }
    cc_parse_name(p, &name);
    p->unit->package = name.absolute ? name.text : cc_format(p->session, ".%s", name.text);
}

static void parse_import(struct cc_parser *p)
{
    struct cc_name name = {0};
    step(p);
    if (!cc_at(p, CC_TOKEN_DOT)) {
        cc_syntax_error(p, "an import is an absolute class name: it begins with '.'");
        return;
    }
    for (uint32_t i = 1; cc_ahead(p, i)->kind != CC_TOKEN_SEMICOLON && i < 64; i++) {
        if (cc_ahead(p, i)->kind == CC_TOKEN_TIMES) {
            cc_syntax_error(p, "import of all classes of a package is not supported");
            return;
        }
    }
    if (cc_parse_name(p, &name)) {
        CC_PUSH(p->session, p->unit->imports, p->unit->import_count, p->unit->import_capacity,
                name);
    }
}

/* One thing on the outermost level. Returns the class if it was one. */
static struct cc_class_syntax *parse_toplevel(struct cc_parser *p)
{
    struct cc_class_syntax *class = NULL;
    switch ((int)cc_ahead(p, 0)->kind) {
    case CC_TOKEN_SEMICOLON: step(p); return NULL;
    case CC_TOKEN_CLASS:
    case CC_TOKEN_INTERFACE:
        class = parse_class(p);
        if (!p->panic) {
            cc_accept(p, CC_TOKEN_SEMICOLON);
        }
        return class;
    case CC_TOKEN_PACKAGE: parse_package(p); break;
    case CC_TOKEN_IMPORT: parse_import(p); break;
    case CC_TOKEN_AT:
    case CC_TOKEN_ATTRIBUTE: cc_parse_attributes(p); break;
    default:
        cc_syntax_error(p, "a class is expected here, not %s",
                        cc_token_text(p->session, cc_ahead(p, 0)));
        return NULL;
    }
    cc_expect(p, CC_TOKEN_SEMICOLON, "here");
    return NULL;
}

struct cc_unit *cc_parse(struct cc_session *session, struct cc_source *source, bool is_builtin)
{
    struct cc_unit *unit = cc_alloc(session, sizeof(*unit));
    unit->source = source;
    unit->is_builtin = is_builtin;
    struct cc_parser p = {.session = session, .unit = unit};
    p.tokens = cc_lex(session, source, &p.count);
    struct cc_class_syntax **last = &unit->classes;
    while (!cc_at(&p, CC_TOKEN_END)) {
        uint32_t before = p.at;
        struct cc_class_syntax *class = parse_toplevel(&p);
        if (class) {
            *last = class;
            last = &class->next;
        }
        if (p.panic) {
            recover(&p);
            if (cc_accept(&p, CC_TOKEN_BRACE_CLOSE)) {
                cc_accept(&p, CC_TOKEN_SEMICOLON);
            }
            if (p.at == before) {
                step(&p);
            }
        }
    }
    return unit;
}
