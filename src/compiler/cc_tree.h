/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_tree.h - the syntax tree. The parser builds it; the checker fills in what is marked
 * "checker:", possibly putting conversion nodes between others; the lowering only reads it.
 *
 * A tree is never deeper than CC_MAX_DEPTH, so walks may recurse.
 */
#ifndef CC_TREE_H
#define CC_TREE_H

#include "cc_lexer.h"

struct cc_type;
struct cc_class;
struct cc_method;
struct cc_field;
struct cc_expr;

enum {
    CC_MAX_DEPTH = 400,     /* of a tree, and of nested statements */
    CC_MAX_ARGUMENTS = 254, /* of one method: the count is one byte in arg_count */
};

/** A class name as written. */
struct cc_name {
    struct cc_place place;
    const char *text; /* with the leading dot when absolute; "a.b" when relative */
    bool absolute;
};

enum cc_type_form { CC_TYPE_NONE, CC_TYPE_VOID, CC_TYPE_NAMED, CC_TYPE_COMPUTED };

/** A type as written. */
struct cc_type_syntax {
    enum cc_type_form form;
    struct cc_place place;
    struct cc_name name; /* NAMED */
    bool is_array;
};

/** A local variable or parameter. Made by the checker. */
struct cc_variable {
    const char *name;
    struct cc_place place;
    const struct cc_type *type;
    bool on_int_stack; /* a numeric `var`; else one cell of the object stack */
    uint32_t slot;
    struct cc_variable *outer; /* next one in scope, innermost first */
    uint32_t scope;            /* nesting depth of the block it belongs to */
};

enum cc_expr_kind {
    CC_EXPR_INT,    /* integer; type int or long by `wide` */
    CC_EXPR_REAL,   /* real; float or double by `wide` */
    CC_EXPR_STRING, /* text */
    CC_EXPR_FILE,   /* text is the path; checker: replaced by STRING */
    CC_EXPR_NULL,
    CC_EXPR_THIS,
    CC_EXPR_NAME,        /* name; checker: becomes LOCAL or FIELD */
    CC_EXPR_LOCAL,       /* checker: variable */
    CC_EXPR_FIELD,       /* checker: field of this */
    CC_EXPR_MEMBER,      /* left . name, no call */
    CC_EXPR_INDEX,       /* left [ right ] */
    CC_EXPR_CALL,        /* left (NULL: this) . name or ordinal ( arguments ); checker: ordinal */
    CC_EXPR_NEW,         /* syntax, arguments; checker: class, method (NULL: no constructor call) */
    CC_EXPR_NEW_DYNAMIC, /* left is the class object; syntax may be given */
    CC_EXPR_ASSIGN,      /* left = right; operation is CC_TOKEN_SET or that of `+=` */
    CC_EXPR_STEP,        /* ++ and --: left, operation PLUS or MINUS, is_prefix */
    CC_EXPR_BINARY,      /* left operation right */
    CC_EXPR_UNARY,       /* operation left: MINUS, NOT, TILDE */
    CC_EXPR_CAST,        /* (syntax) left; checker: becomes CONVERT or CHECKED */
    CC_EXPR_CONVERT,     /* checker: number to number, type is the target */
    CC_EXPR_CHECKED,     /* checker: object to class with a run-time check, null allowed */
    CC_EXPR_UNBOX,       /* checker: object of unknown class to number, checked */
    CC_EXPR_RETYPE       /* checker: the same object, known as `type` */
};

struct cc_expr {
    enum cc_expr_kind kind;
    struct cc_place place;
    uint32_t depth;     /* 1 + deepest child */
    bool parenthesised; /* written in parentheses */
    bool wide;
    bool is_prefix;
    bool by_ordinal;
    enum cc_token_kind operation;
    const struct cc_type *type; /* checker */
    int64_t integer;
    double real;
    struct cc_text text;
    const char *name;
    uint32_t ordinal;
    struct cc_expr *left;
    struct cc_expr *right;
    struct cc_expr **arguments;
    uint32_t argument_count;
    struct cc_type_syntax syntax;
    struct cc_variable *variable;
    struct cc_variable *held_array; /* checker: of `a[i] += x` and `a[i]++`, evaluated once */
    struct cc_variable *held_index;
    struct cc_field *field;
    struct cc_method *method;
    struct cc_class *class;
};

enum cc_stmt_kind {
    CC_STMT_BLOCK, /* body list */
    CC_STMT_VAR,   /* name, syntax, value may be NULL; checker: variable */
    CC_STMT_IF,    /* condition, body, otherwise */
    CC_STMT_WHILE,
    CC_STMT_DO,  /* body, condition, otherwise: the statement after the test, may be NULL */
    CC_STMT_FOR, /* initial, condition, value: step, body */
    CC_STMT_FOREACH,
    CC_STMT_SWITCH, /* condition, body list with CASE and DEFAULT among it */
    CC_STMT_CASE,   /* value */
    CC_STMT_DEFAULT,
    CC_STMT_TRY, /* body, name, syntax, otherwise: handler; checker: variable */
    CC_STMT_THROW,
    CC_STMT_RETURN, /* value may be NULL */
    CC_STMT_BREAK,
    CC_STMT_CONTINUE,
    CC_STMT_EXPR,
    CC_STMT_EMPTY
};

struct cc_stmt {
    enum cc_stmt_kind kind;
    struct cc_place place;
    const char *name;
    struct cc_type_syntax syntax;
    struct cc_expr *condition;
    struct cc_expr *value;
    struct cc_stmt *initial;
    struct cc_stmt *body; /* single statement, or the first of a list for BLOCK and SWITCH */
    struct cc_stmt *otherwise;
    struct cc_stmt *next; /* in its list */
    struct cc_variable *variable;
    struct cc_variable *held_array; /* checker: hidden variables of FOREACH */
    struct cc_variable *held_index; /* checker: FOREACH, and the value of SWITCH */
};

struct cc_parameter_syntax {
    const char *name;
    struct cc_place place;
    struct cc_type_syntax type;
};

struct cc_member_syntax {
    struct cc_member_syntax *next;
    const char *name;
    struct cc_place place;
    struct cc_type_syntax type; /* of the field, or result */
    bool is_method;
    bool has_ordinal;
    uint32_t ordinal;
    struct cc_parameter_syntax *parameters;
    uint32_t parameter_count;
    uint32_t parameter_capacity;
    bool has_body;
    struct cc_stmt *body; /* a BLOCK */
    struct cc_place end;  /* of the closing brace */
};

struct cc_class_syntax {
    struct cc_class_syntax *next;
    struct cc_name name;
    bool is_interface;
    bool has_base;
    struct cc_name base;
    struct cc_name *interfaces;
    uint32_t interface_count;
    uint32_t interface_capacity;
    struct cc_member_syntax *members;
};

/** One source file. */
struct cc_unit {
    struct cc_source *source;
    const char *package; /* with leading dot; NULL before or without `package` */
    struct cc_name *imports;
    uint32_t import_count;
    uint32_t import_capacity;
    struct cc_class_syntax *classes;
    bool is_builtin;
};

/** Parse a text. Errors are reported; what could be understood is in the unit. */
struct cc_unit *cc_parse(struct cc_session *session, struct cc_source *source, bool is_builtin);

#endif /* CC_TREE_H */
