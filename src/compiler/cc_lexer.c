/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_lexer.c - see cc_lexer.h. The scanner never reads past the text and always moves forward.
 */
#include "cc_lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct scanner {
    struct cc_session *session;
    struct cc_source *source;
    const char *text;
    uint32_t size;
    uint32_t at;
    enum cc_token_kind previous; /* decides whether `12.5` after a dot is a fraction */
};

static const struct {
    enum cc_token_kind kind;
    const char *spelling;
} operators[] = {
#define ROW(name, spelling) {CC_TOKEN_##name, spelling},
    CC_OPERATORS(ROW)
#undef ROW
};

static const struct {
    enum cc_token_kind kind;
    const char *spelling;
} keywords[] = {
#define ROW(name, spelling) {CC_TOKEN_##name, spelling},
    CC_KEYWORDS(ROW)
#undef ROW
};

static struct cc_place place_at(const struct scanner *s, uint32_t offset)
{
    return (struct cc_place){.source = s->source, .offset = offset};
}

static char peek(const struct scanner *s, uint32_t ahead)
{
    return s->size - s->at > ahead ? s->text[s->at + ahead] : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static bool is_name_part(char c)
{
    return is_name_start(c) || is_digit(c);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
}

static void skip_block_comment(struct scanner *s)
{
    uint32_t start = s->at;
    s->at += 2;
    while (s->at < s->size) {
        if (peek(s, 0) == '*' && peek(s, 1) == '/') {
            s->at += 2;
            return;
        }
        s->at++;
    }
    cc_error(s->session, place_at(s, start), "comment is not closed");
}

static void skip_blanks(struct scanner *s)
{
    while (s->at < s->size) {
        if (is_space(s->text[s->at])) {
            s->at++;
        } else if (peek(s, 0) == '/' && peek(s, 1) == '/') {
            while (s->at < s->size && s->text[s->at] != '\n' && s->text[s->at] != '\r') {
                s->at++;
            }
        } else if (peek(s, 0) == '/' && peek(s, 1) == '*') {
            skip_block_comment(s);
        } else {
            return;
        }
    }
}

static void scan_word(struct scanner *s, struct cc_token *token)
{
    uint32_t start = s->at;
    while (s->at < s->size && is_name_part(s->text[s->at])) {
        s->at++;
    }
    uint32_t size = s->at - start;
    token->kind = CC_TOKEN_IDENTIFIER;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (strlen(keywords[i].spelling) == size &&
            memcmp(keywords[i].spelling, s->text + start, size) == 0) {
            token->kind = keywords[i].kind;
        }
    }
    token->text = cc_copy_text(s->session, s->text + start, size);
    if (token->kind == CC_TOKEN_IDENTIFIER && size > 255) {
        cc_error(s->session, place_at(s, start), "name is longer than 255 characters");
    }
}

/* Digits of one base into *value. Returns false when there is no digit or it does not fit. */
static bool scan_digits(struct scanner *s, unsigned base, uint64_t *value)
{
    bool any = false;
    bool fits = true;
    for (;; s->at++) {
        int digit = hex_value(peek(s, 0));
        if (digit < 0 || (unsigned)digit >= base) {
            break;
        }
        any = true;
        fits = fits && !__builtin_mul_overflow(*value, (uint64_t)base, value) &&
               !__builtin_add_overflow(*value, (uint64_t)digit, value);
    }
    return any && fits;
}

static bool real_follows(const struct scanner *s)
{
    uint32_t ahead = 0;
    while (is_digit(peek(s, ahead))) {
        ahead++;
    }
    if (peek(s, ahead) == '.') {
        return is_digit(peek(s, ahead + 1));
    }
    if (peek(s, ahead) != 'e' && peek(s, ahead) != 'E') {
        return peek(s, ahead) == 'f' && !is_name_part(peek(s, ahead + 1));
    }
    char sign = peek(s, ahead + 1);
    return is_digit(sign) || ((sign == '-' || sign == '+') && is_digit(peek(s, ahead + 2)));
}

static void scan_real(struct scanner *s, struct cc_token *token)
{
    uint32_t start = s->at;
    while (is_digit(peek(s, 0)) || peek(s, 0) == '.' || peek(s, 0) == 'e' || peek(s, 0) == 'E' ||
           ((peek(s, 0) == '-' || peek(s, 0) == '+') && (s->text[s->at - 1] | 32) == 'e')) {
        s->at++;
    }
    struct cc_text digits = cc_copy_text(s->session, s->text + start, s->at - start);
    token->kind = CC_TOKEN_DOUBLE;
    if (peek(s, 0) == 'f') {
        s->at++;
        token->kind = CC_TOKEN_FLOAT;
    }
    /* The tool never calls setlocale(), so the decimal point is a dot. */
    char *end = NULL;
    token->real =
        token->kind == CC_TOKEN_FLOAT ? strtof(digits.data, &end) : strtod(digits.data, &end);
    if (end != digits.data + digits.size) {
        cc_error(s->session, place_at(s, start), "malformed number");
    } else if (token->real > 1.7976931348623157e308 ||
               (token->kind == CC_TOKEN_FLOAT && token->real > 3.4028234663852886e38)) {
        cc_error(s->session, place_at(s, start), "number is too large for its type");
    }
}

static void scan_integer(struct scanner *s, struct cc_token *token)
{
    uint32_t start = s->at;
    unsigned base = 10;
    if (peek(s, 0) == '0' && peek(s, 1) == 'x') {
        base = 16;
        s->at += 2;
    } else if (peek(s, 0) == '0') {
        base = 8;
    }
    uint64_t value = 0;
    bool good = scan_digits(s, base, &value);
    bool wide = peek(s, 0) == 'L';
    if (wide) {
        s->at++;
    }
    if (is_name_part(peek(s, 0))) {
        while (is_name_part(peek(s, 0))) {
            s->at++;
        }
        cc_error(s->session, place_at(s, start), "malformed number%s",
                 base == 8 ? " (a leading 0 means octal)" : "");
    } else if (!good && s->at - start <= 2) {
        cc_error(s->session, place_at(s, start), "malformed number: no digits");
    } else if (!good || (base == 10 && value > (uint64_t)1 << 63)) {
        cc_error(s->session, place_at(s, start), "number does not fit in 64 bits");
        value = 0;
    }
    uint64_t int_limit = base == 10 ? INT32_MAX : UINT32_MAX;
    token->kind = wide || value > int_limit ? CC_TOKEN_LONG : CC_TOKEN_INT;
    token->integer = token->kind == CC_TOKEN_INT ? (uint64_t)(int64_t)(int32_t)value : value;
    token->only_negative =
        base == 10 && (value == (uint64_t)1 << 63 || (!wide && value == (uint64_t)INT32_MAX + 1));
}

static void scan_number(struct scanner *s, struct cc_token *token)
{
    bool hex = peek(s, 0) == '0' && peek(s, 1) == 'x';
    if (s->previous != CC_TOKEN_DOT && !hex && real_follows(s)) {
        scan_real(s, token);
    } else {
        scan_integer(s, token);
    }
}

static uint32_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    out[0] = (char)(0xE0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
}

static int scan_hex(struct scanner *s, unsigned digits)
{
    int value = 0;
    for (unsigned i = 0; i < digits; i++) {
        int digit = hex_value(peek(s, 0));
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
        s->at++;
    }
    return value;
}

/* After the backslash. Writes at most 3 bytes; returns how many. */
static uint32_t scan_escape(struct scanner *s, char *out)
{
    uint32_t start = s->at - 1;
    char c = peek(s, 0);
    s->at++;
    switch (c) {
    case 'n': *out = '\n'; return 1;
    case 'r': *out = '\r'; return 1;
    case 't': *out = '\t'; return 1;
    case 'a': *out = 7; return 1;
    case 'e': *out = 27; return 1;
    case '0': *out = 0; return 1;
    case '"':
    case '\'':
    case '\\': *out = c; return 1;
    case 'b':
        cc_hint(s->session, place_at(s, start), "\\b is the bell (7) here, not backspace");
        *out = 7;
        return 1;
    case 'x':
    case 'u': {
        int value = scan_hex(s, c == 'x' ? 2 : 4);
        if (value < 0) {
            cc_error(s->session, place_at(s, start), "\\%c needs %s hexadecimal digits", c,
                     c == 'x' ? "two" : "four");
            return 0;
        }
        if (c == 'x') {
            *out = (char)value;
            return 1;
        }
        return put_utf8(out, (uint32_t)value);
    }
    default: cc_error(s->session, place_at(s, start), "unknown escape in a string"); return 0;
    }
}

static void scan_string(struct scanner *s, struct cc_token *token)
{
    uint32_t start = s->at;
    char quote = s->text[s->at++];
    uint32_t end = s->at; /* the token is never longer than the text up to its closing quote */
    while (end < s->size && s->text[end] != quote) {
        end += s->text[end] == '\\' ? 2 : 1;
    }
    if (end >= s->size) {
        s->at = s->size;
        cc_error(s->session, place_at(s, start), "string is not closed");
        token->kind = CC_TOKEN_STRING;
        token->text = cc_copy_text(s->session, "", 0);
        return;
    }
    char *bytes = cc_alloc(s->session, end - s->at + 4);
    uint32_t size = 0;
    while (s->at < end) {
        char c = s->text[s->at++];
        if (c == '\\') {
            size += scan_escape(s, bytes + size);
        } else {
            bytes[size++] = c;
        }
    }
    s->at = end + 1;
    token->kind = CC_TOKEN_STRING;
    token->text = (struct cc_text){.data = bytes, .size = size};
    if (quote == '\'') {
        if (size != 1) {
            cc_error(s->session, place_at(s, start), "a character literal is one byte");
        }
        token->kind = CC_TOKEN_INT;
        token->integer = size ? (unsigned char)bytes[0] : 0;
    }
}

static bool scan_operator(struct scanner *s, struct cc_token *token)
{
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        size_t size = strlen(operators[i].spelling);
        if (s->size - s->at >= size && memcmp(s->text + s->at, operators[i].spelling, size) == 0) {
            token->kind = operators[i].kind;
            s->at += (uint32_t)size;
            return true;
        }
    }
    return false;
}

/* One byte no token begins with: said once per run of such bytes. */
static void skip_garbage(struct scanner *s)
{
    uint32_t start = s->at;
    unsigned char byte = (unsigned char)s->text[s->at];
    if (byte >= 0x80) {
        while (s->at < s->size && (unsigned char)s->text[s->at] >= 0x80) {
            s->at++;
        }
        cc_error(s->session, place_at(s, start),
                 "only ASCII may be used outside strings and comments");
    } else {
        s->at++;
        if (byte > 0x20 && byte < 0x7F) {
            cc_error(s->session, place_at(s, start), "'%c' has no meaning here", byte);
        } else {
            cc_error(s->session, place_at(s, start), "byte 0x%02x has no meaning here", byte);
        }
    }
}

struct cc_token *cc_lex(struct cc_session *session, struct cc_source *source, uint32_t *count)
{
    struct scanner s = {
        .session = session, .source = source, .text = source->text, .size = source->size};
    struct cc_token *tokens = NULL;
    uint32_t capacity = 0;
    *count = 0;
    for (;;) {
        skip_blanks(&s);
        struct cc_token token = {.kind = CC_TOKEN_END, .offset = s.at};
        if (s.at < s.size) {
            char c = s.text[s.at];
            if (is_name_start(c)) {
                scan_word(&s, &token);
            } else if (is_digit(c)) {
                scan_number(&s, &token);
            } else if (c == '"' || c == '\'') {
                scan_string(&s, &token);
            } else if (!scan_operator(&s, &token)) {
                skip_garbage(&s);
                continue;
            }
        }
        CC_PUSH(session, tokens, *count, capacity, token);
        s.previous = token.kind;
        if (token.kind == CC_TOKEN_END) {
            return tokens;
        }
    }
}

const char *cc_kind_text(enum cc_token_kind kind)
{
    switch ((int)kind) {
    case CC_TOKEN_END: return "end of file";
    case CC_TOKEN_IDENTIFIER: return "a name";
    case CC_TOKEN_STRING: return "a string";
    case CC_TOKEN_INT:
    case CC_TOKEN_LONG:
    case CC_TOKEN_FLOAT:
    case CC_TOKEN_DOUBLE: return "a number";
#define ROW(name, spelling)                                                                        \
    case CC_TOKEN_##name: return "'" spelling "'";
        CC_KEYWORDS(ROW)
        CC_OPERATORS(ROW)
#undef ROW
    default: return "?";
    }
}

const char *cc_token_text(struct cc_session *session, const struct cc_token *token)
{
    if (token->kind == CC_TOKEN_IDENTIFIER) {
        return cc_format(session, "'%s'", token->text.data);
    }
    return cc_kind_text(token->kind);
}
