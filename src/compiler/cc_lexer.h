/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_lexer.h - source text to tokens. The whole text is cut up at once, so that the parser may look
 * ahead as far as it likes. The last token is always CC_TOKEN_END.
 */
#ifndef CC_LEXER_H
#define CC_LEXER_H

#include "cc_session.h"

/* Reserved words and operators: X(NAME, spelling). */
#define CC_KEYWORDS(X)                                                                             \
    X(ATTRIBUTE, "attribute")                                                                      \
    X(PACKAGE, "package")                                                                          \
    X(IMPORT, "import")                                                                            \
    X(CLASS, "class")                                                                              \
    X(INTERFACE, "interface")                                                                      \
    X(PUBLIC, "public")                                                                            \
    X(STATIC, "static")                                                                            \
    X(EXTENDS, "extends")                                                                          \
    X(IMPLEMENTS, "implements")                                                                    \
    X(IF, "if")                                                                                    \
    X(ELSE, "else")                                                                                \
    X(WHILE, "while")                                                                              \
    X(DO, "do")                                                                                    \
    X(FOREACH, "foreach")                                                                          \
    X(IN, "in")                                                                                    \
    X(RETURN, "return")                                                                            \
    X(SWITCH, "switch")                                                                            \
    X(CASE, "case")                                                                                \
    X(DEFAULT, "default")                                                                          \
    X(BREAK, "break")                                                                              \
    X(CONTINUE, "continue")                                                                        \
    X(TRY, "try")                                                                                  \
    X(CATCH, "catch")                                                                              \
    X(THROW, "throw")                                                                              \
    X(VAR, "var")                                                                                  \
    X(VOID, "void")                                                                                \
    X(NULL, "null")                                                                                \
    X(NEW, "new")                                                                                  \
    X(THIS, "this")

/* Where one spelling begins another, the longer one comes first. */
#define CC_OPERATORS(X)                                                                            \
    X(USHR_SET, ">>>=")                                                                            \
    X(ARROW_OUT, "!->")                                                                            \
    X(ARROW_IN, "->!")                                                                             \
    X(SAME, ":==")                                                                                 \
    X(NOT_SAME, ":!=")                                                                             \
    X(USHR, ">>>")                                                                                 \
    X(SHL_SET, "<<=")                                                                              \
    X(SHR_SET, ">>=")                                                                              \
    X(OR_OR, "||")                                                                                 \
    X(AND_AND, "&&")                                                                               \
    X(EQUAL, "==")                                                                                 \
    X(NOT_EQUAL, "!=")                                                                             \
    X(GREATER_EQUAL, ">=")                                                                         \
    X(LESS_EQUAL, "<=")                                                                            \
    X(SHL, "<<")                                                                                   \
    X(SHR, ">>")                                                                                   \
    X(DOT_SET, ".=")                                                                               \
    X(PLUS_PLUS, "++")                                                                             \
    X(MINUS_MINUS, "--")                                                                           \
    X(PLUS_SET, "+=")                                                                              \
    X(MINUS_SET, "-=")                                                                             \
    X(TIMES_SET, "*=")                                                                             \
    X(DIVIDE_SET, "/=")                                                                            \
    X(REMAINDER_SET, "%=")                                                                         \
    X(OR_SET, "|=")                                                                                \
    X(AND_SET, "&=")                                                                               \
    X(XOR_SET, "^=")                                                                               \
    X(AT, "@")                                                                                     \
    X(BRACE_OPEN, "{")                                                                             \
    X(BRACE_CLOSE, "}")                                                                            \
    X(PLUS, "+")                                                                                   \
    X(MINUS, "-")                                                                                  \
    X(TIMES, "*")                                                                                  \
    X(DIVIDE, "/")                                                                                 \
    X(REMAINDER, "%")                                                                              \
    X(NOT, "!")                                                                                    \
    X(OR, "|")                                                                                     \
    X(AND, "&")                                                                                    \
    X(XOR, "^")                                                                                    \
    X(TILDE, "~")                                                                                  \
    X(GREATER, ">")                                                                                \
    X(LESS, "<")                                                                                   \
    X(SET, "=")                                                                                    \
    X(COLON, ":")                                                                                  \
    X(DOT, ".")                                                                                    \
    X(SEMICOLON, ";")                                                                              \
    X(COMMA, ",")                                                                                  \
    X(BRACKET_OPEN, "[")                                                                           \
    X(BRACKET_CLOSE, "]")                                                                          \
    X(PAREN_OPEN, "(")                                                                             \
    X(PAREN_CLOSE, ")")

enum cc_token_kind {
    CC_TOKEN_END,
    CC_TOKEN_IDENTIFIER,
    CC_TOKEN_STRING,
    CC_TOKEN_INT,  /* fits a 32-bit int, or hex/octal of at most 32 bits */
    CC_TOKEN_LONG, /* does not, or has the suffix L */
    CC_TOKEN_FLOAT,
    CC_TOKEN_DOUBLE,
#define CC_TOKEN_ENUM(name, spelling) CC_TOKEN_##name,
    CC_KEYWORDS(CC_TOKEN_ENUM) CC_OPERATORS(CC_TOKEN_ENUM)
#undef CC_TOKEN_ENUM
        CC_TOKEN_COUNT
};

struct cc_token {
    enum cc_token_kind kind;
    uint32_t offset;
    struct cc_text text; /* identifier: its spelling; string: the bytes it denotes */
    uint64_t integer;    /* INT, LONG; a decimal 2^63 is kept for a minus sign in front */
    bool only_negative;  /* INT/LONG of decimal 2^31 without L, or 2^63: legal after a minus */
    double real;         /* FLOAT, DOUBLE */
};

/** Cut up the text. Errors are reported and skipped. Returns the tokens; *count includes END. */
struct cc_token *cc_lex(struct cc_session *session, struct cc_source *source, uint32_t *count);

/** How the token looks in a message, e.g. "';'" or "identifier 'x'". */
const char *cc_token_text(struct cc_session *session, const struct cc_token *token);
const char *cc_kind_text(enum cc_token_kind kind);

#endif /* CC_LEXER_H */
