/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_parser.h - what the two halves of the parser share. Not used outside cc_parse*.c.
 *
 * Recovery: a function that meets an error says so once and sets `panic`. While panic is set,
 * expectations fail silently and every loop ends; the statement or member loop then skips to a safe
 * token and clears it. Each of those loops moves forward at least one token per turn.
 */
#ifndef CC_PARSER_H
#define CC_PARSER_H

#include "cc_tree.h"

struct cc_parser {
    struct cc_session *session;
    struct cc_unit *unit;
    const struct cc_token *tokens;
    uint32_t count;
    uint32_t at;
    uint32_t depth; /* of the parser's own recursion */
    bool panic;
};

const struct cc_token *cc_ahead(const struct cc_parser *p, uint32_t distance);
struct cc_place cc_here(const struct cc_parser *p);
bool cc_at(const struct cc_parser *p, enum cc_token_kind kind);
/** If the next token is of this kind, step over it. */
bool cc_accept(struct cc_parser *p, enum cc_token_kind kind);
/** Step over this token or report that it is missing. */
bool cc_expect(struct cc_parser *p, enum cc_token_kind kind, const char *where);
/** Report at the next token, unless an error is being recovered from. */
void cc_syntax_error(struct cc_parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *cc_expect_name(struct cc_parser *p, const char *what);
/** Guard of the recursion: reports and leaves the run when nesting is too deep. */
void cc_enter(struct cc_parser *p);
void cc_leave(struct cc_parser *p);

struct cc_expr *cc_parse_expression(struct cc_parser *p);
struct cc_stmt *cc_parse_block(struct cc_parser *p);
bool cc_parse_name(struct cc_parser *p, struct cc_name *name);
void cc_parse_type(struct cc_parser *p, struct cc_type_syntax *type);
void cc_parse_attributes(struct cc_parser *p);

#endif /* CC_PARSER_H */
