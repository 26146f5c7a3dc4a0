/* SPDX-License-Identifier: Apache-2.0
 *
 * class_file_builder.h - class files and code made by hand, byte by byte, without the writer under
 * test. Also the sample class that several tests and the fuzz corpus share.
 */
#ifndef CLASS_FILE_BUILDER_H
#define CLASS_FILE_BUILDER_H

#include "bc_class.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/** Growing bytes; zero-initialise. Aborts when out of memory: only for tests. */
struct builder {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t record; /* start of the open record */
};

void build_bytes(struct builder *builder, const void *bytes, size_t count);
void build_u8(struct builder *builder, unsigned value);
void build_i32(struct builder *builder, int64_t value);
void build_i64(struct builder *builder, int64_t value);
void build_text(struct builder *builder, const char *text);
void build_type(struct builder *builder, int is_container, const char *class_name,
                const char *element_name);
void build_record_begin(struct builder *builder, char letter);
void build_record_end(struct builder *builder);
void build_finish(struct builder *builder);

/** A whole C record, generation C. */
void build_class_record(struct builder *builder, const char *name, int64_t object_slots,
                        int64_t method_slots, const char *parent);
/** A whole M record. */
void build_method_record(struct builder *builder, const char *name, int64_t ordinal,
                         const void *code, size_t code_size);
/** A whole S record without parameters, result void, generation C. */
void build_signature_record(struct builder *builder, const char *name, int64_t ordinal);

/** The sample class file: every record type, every operand kind, constructor, catch, loops. */
void build_sample(struct builder *builder);
/** The same class as old compilers wrote it: no version, no constructor word, unsorted lines. */
void build_old_sample(struct builder *builder);

#endif /* CLASS_FILE_BUILDER_H */
