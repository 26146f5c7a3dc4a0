/* SPDX-License-Identifier: Apache-2.0
 *
 * bytecode_internal.h - what reader, writer and verifier of this room share. Not for other rooms.
 *
 * Reader and writer use the same checks, so whatever the writer writes the reader accepts.
 */
#ifndef BYTECODE_INTERNAL_H
#define BYTECODE_INTERNAL_H

#include "bc_class.h"
#include "bc_verify.h"

enum {
    BC_RECORD_HEADER_BYTES = 10, /* "phfr:", letter, int32 length */
    BC_LINE_ENTRY_BYTES = 12     /* int64 offset, int32 line */
};

#define BC_RECORD_MARKER    "phfr:"
#define BC_CONSTRUCTOR_NAME "<init>"
#define BC_STRING_CLASS     ".internal.string"
#define BC_OBJECT_CLASS     ".internal.object"

/** A growing set of small numbers, to find duplicates. Zero-initialise; finish frees. */
struct bc_bitset {
    uint8_t *bytes;
    size_t size;
};

/** Add a number. @return 1 if it was in the set already, 0 if it is new, -ENOMEM */
int bc_bitset_add(struct bc_bitset *set, uint32_t number);
void bc_bitset_finish(struct bc_bitset *set);

/** NULL if the bytes may be a name (of anything; possibly empty), else the cause. */
const char *bc_name_problem(const uint8_t *bytes, size_t size);
/** Likewise for the name of a class: not empty, leading dot. */
const char *bc_class_name_problem(const char *name);
/** Likewise for the pair class, parent. */
const char *bc_parent_problem(const char *name, const char *parent);
/** Likewise for a type. */
const char *bc_type_problem(bool is_container, const char *element_name);

/** bc_method_context() for one that knows bc_class_constant_limit() already. */
void bc_fill_context(const struct bc_class *class, const struct bc_method *method,
                     uint32_t constant_limit, struct bc_verify_context *context);

#endif /* BYTECODE_INTERNAL_H */
