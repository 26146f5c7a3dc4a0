/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_class.h - a Phantom class in memory, and the `.pc` class file it comes from and goes to.
 *
 * The file is a sequence of big-endian records (docs/formats/class-file.md). It is untrusted input:
 * the reader checks every length, count and index against the bytes that are there and against the
 * limits below, and says what is wrong and where. It accepts what the port's compilers of
 * generations B and C wrote (with or without version string and constructor word) and repairs
 * nothing silently.
 *
 * Ownership: a struct bc_class owns everything it points to (copied out of the file, so the bytes
 * may be freed); bc_class_destroy() frees it. The structure is plain data: the compiler fills one
 * in and calls bc_class_write().
 */
#ifndef BC_CLASS_H
#define BC_CLASS_H

#include "ph_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BC_MAX_METHOD_SLOTS = 65536,
    BC_MAX_FIELD_SLOTS = 65536,
    BC_MAX_CONSTANTS = 1 << 20,
    BC_MAX_ARGUMENTS = 255,
    BC_MAX_NAME_BYTES = 1024,
    BC_INHERITED_METHOD_SLOTS = 16 /* slots 0..15 of .internal.object */
};

/** Bytes with a length; not necessarily terminated, may contain NUL. */
struct bc_bytes {
    uint8_t *data;
    uint32_t size;
};

/** A type as written in signatures. Unknown type: not a container, empty name. */
struct bc_type {
    bool is_container;
    char *class_name;   /* terminated, "" for unknown; also of a container in generation B files */
    char *element_name; /* of a container; "" when void or not written */
};

struct bc_parameter {
    char *name;
    struct bc_type type;
};

struct bc_line {
    uint32_t offset; /* of an instruction, from the first byte of the method's code */
    uint32_t line;   /* source line, from 1 */
};

struct bc_method {
    char *name; /* "<init>" for a constructor */
    uint32_t ordinal;
    struct bc_bytes code;
    /* From the signature record; has_signature is false when the file holds none. */
    bool has_signature;
    bool is_constructor;
    struct bc_type result;
    struct bc_parameter *parameters;
    uint32_t parameter_count;
    /* From the line record, sorted by offset. */
    struct bc_line *lines;
    uint32_t line_count;
};

struct bc_field {
    char *name;
    uint32_t slot;
    struct bc_type type;
};

struct bc_constant { /* always a string: nothing else occurs in class files */
    uint32_t index;
    struct bc_bytes bytes;
};

struct bc_class {
    char *name;            /* with leading dot */
    char *parent;          /* with leading dot */
    char *version;         /* "" when absent */
    uint32_t object_slots; /* fields including inherited, as the compiler counted them */
    uint32_t method_slots; /* ordinals are below this */
    struct bc_method *methods;
    uint32_t method_count;
    struct bc_field *fields;
    uint32_t field_count;
    struct bc_constant *constants;
    uint32_t constant_count;
};

/**
 * Parse a class file.
 * @param file_name  for messages only
 * @param[out] out   the class; the caller destroys it
 * @return 0, -ENOMEM, or PHANTOM_EVERIFY with diag naming file, byte offset and cause
 */
int bc_class_read(const char *file_name, const void *data, size_t size, struct bc_class **out,
                  struct phantom_diag *diag);

/**
 * Serialise as generation C, in the order C; per method M, S, l; all f; all c. Refuses whatever
 * bc_class_read() would refuse. A NULL name means "".
 * @param[out] out   ph_alloc'ed bytes; the caller ph_frees them
 * @return 0, -ENOMEM, or PHANTOM_EINVALID when the class breaks a limit
 */
int bc_class_write(const struct bc_class *class, struct bc_bytes *out, struct phantom_diag *diag);

/** Free the class and all it owns (each pointer ph_alloc'ed or NULL). NULL allowed. */
void bc_class_destroy(struct bc_class *class);

/** One more than the highest constant index: the size of the pool. Indices may have gaps. */
uint32_t bc_class_constant_limit(const struct bc_class *class);

/** Source line of the instruction at offset: that of the last entry at or before it; 0: unknown. */
uint32_t bc_method_line(const struct bc_method *method, uint32_t offset);

#endif /* BC_CLASS_H */
