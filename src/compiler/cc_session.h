/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_session.h - one compiler run: its memory, its sources and its messages.
 *
 * Everything a run makes (tokens, trees, types, code) lives in one arena and dies with it, so no
 * part of the compiler frees anything. When memory runs out, or the error limit is reached, the run
 * is left by a jump to compiler_run(); because only the arena and the few blocks listed in struct
 * cc_session own memory, nothing leaks. Single-threaded; no state outside the struct.
 */
#ifndef CC_SESSION_H
#define CC_SESSION_H

#include "compiler.h"

#include <setjmp.h>

struct cc_arena_block;
struct cc_class;
struct cc_unit;

/** A source text with its line table; lives as long as the run. */
struct cc_source {
    const char *file_name;
    const char *text;
    uint32_t size;
    uint32_t *line_starts; /* offset of the first byte of each line; entry 0 is 0 */
    uint32_t line_count;
};

/** A place in a source. source == NULL: the compiler's own text or a class file, no place. */
struct cc_place {
    struct cc_source *source;
    uint32_t offset;
};

/** Bytes in the arena; always followed by a NUL that is not counted. */
struct cc_text {
    const char *data;
    uint32_t size;
};

enum { CC_CLASS_BUCKETS = 256 };

struct cc_session {
    const struct compiler_options *options;
    struct cc_arena_block *blocks; /* newest first */
    jmp_buf escape;                /* where cc_escape() goes */

    char *messages; /* ph_alloc'ed, handed to the result */
    size_t message_size;
    size_t message_capacity;
    unsigned error_count;
    unsigned warning_count;

    struct bc_class *file_class; /* a class file being taken over; freed at the end of the run */
    uint8_t *file_bytes;         /* file contents being taken over; likewise */

    struct cc_unit **units; /* parsed sources, in order of arrival */
    uint32_t unit_count;
    uint32_t unit_capacity;

    struct cc_class *class_buckets[CC_CLASS_BUCKETS];
    struct cc_class **own_classes; /* defined by the sources, in order of definition */
    uint32_t own_class_count;
    uint32_t own_class_capacity;

    /* Types that have no class, and the numeric ones; one object per type, compared by address. */
    struct cc_type *type_error;
    struct cc_type *type_unknown;
    struct cc_type *type_void;
    struct cc_type *type_null;
    struct cc_type *type_int;
    struct cc_type *type_long;
    struct cc_type *type_float;
    struct cc_type *type_double;
    struct cc_class *class_object;
    struct cc_class *class_string;
    struct cc_class *class_array;
};

/** Leave the run with this result (negative). Does not return. */
_Noreturn void cc_escape(struct cc_session *session, int error);

/** Zeroed memory, aligned for anything; never NULL. */
void *cc_alloc(struct cc_session *session, size_t size);
/** A terminated copy. */
struct cc_text cc_copy_text(struct cc_session *session, const char *data, size_t size);
char *cc_format(struct cc_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));
void cc_free_arena(struct cc_session *session);

/**
 * Make room for one more element. Returns the array, moved if it had to grow. Use CC_PUSH.
 */
void *cc_grow(struct cc_session *session, void *array, uint32_t count, uint32_t *capacity,
              size_t element_size);

#define CC_PUSH(session, array, count, capacity, item)                                             \
    do {                                                                                           \
        (array) = cc_grow((session), (array), (count), &(capacity), sizeof((array)[0]));           \
        (array)[(count)++] = (item);                                                               \
    } while (0)

/** Register a text; builds the line table. CR, LF and CR LF each end one line. */
struct cc_source *cc_add_source(struct cc_session *session, const char *file_name, const char *text,
                                uint32_t size);
uint32_t cc_line_of(struct cc_place place); /* from 1; 0 when the place is nowhere */

/** One message `file:line:column: error: ...`, the source line and a caret. */
void cc_error(struct cc_session *session, struct cc_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cc_warning(struct cc_session *session, struct cc_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** A warning shown only with all_warnings. */
void cc_hint(struct cc_session *session, struct cc_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** A line that explains the message before it. */
void cc_note(struct cc_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * Read a file through the caller's reader into the arena.
 * @return 0, -ENOENT, or another error
 */
int cc_read_file(struct cc_session *session, const char *path, struct cc_text *out);

#endif /* CC_SESSION_H */
