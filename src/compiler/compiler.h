/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler.h - Phantom source text to class files, in memory.
 *
 * One call compiles a set of sources that may refer to each other in any order. The compiler
 * touches no file itself: other classes and imported files are asked for through the caller's
 * reader, so that a test or a fuzzer can run it on bytes alone. It keeps no state between calls and
 * has none outside the call; any number of calls may run at the same time.
 *
 * Source text is untrusted input: every length is bounded, nesting is limited, and the number of
 * errors is capped, so the call ends for any bytes.
 */
#ifndef COMPILER_H
#define COMPILER_H

#include "bc_class.h"
#include "ph_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COMPILER_MAX_ERRORS = 20,             /* then the run is given up */
    COMPILER_MAX_WARNINGS = 100,          /* further ones are counted, not shown */
    COMPILER_MAX_SOURCE_BYTES = 16 << 20, /* one source, or one `import "file"` */
};

/** One source text. The bytes are borrowed until compiler_run() returns. */
struct compiler_source {
    const char *file_name; /* as it shall appear in messages */
    const char *text;
    size_t size;
};

/**
 * Read a whole file for the compiler.
 * @param[out] out  ph_alloc'ed bytes, freed by the compiler; written only on success
 * @return 0, -ENOENT when there is no such file, or another error
 */
typedef int (*compiler_read_file)(void *context, const char *path, struct bc_bytes *out);

struct compiler_options {
    const struct compiler_source *sources;
    size_t source_count;
    const char *const *import_folders; /* searched in order for NAME.pc, then NAME.ph */
    size_t import_folder_count;
    compiler_read_file read_file; /* NULL: nothing outside the sources exists */
    void *context;                /* handed to read_file */
    const char *version;          /* 17 digits written into the class files; NULL: zeros */
    bool all_warnings;            /* also what is legal and usual in old programs */
    bool no_warnings;
};

/** One compiled class. */
struct compiler_class {
    char *name; /* without the leading dot: the file is NAME.pc */
    struct bc_bytes file;
};

struct compiler_result {
    struct compiler_class *classes; /* empty when there was an error */
    size_t class_count;
    char *messages; /* errors and warnings in source order of each phase; "" when none */
    unsigned error_count;
    unsigned warning_count;
};

/**
 * Compile.
 * @param[out] out  always written on 0 and PHANTOM_ESOURCE; the caller destroys it
 * @return 0, PHANTOM_ESOURCE when the sources have errors (out->messages says which), or -ENOMEM
 * @threads any
 */
int compiler_run(const struct compiler_options *options, struct compiler_result **out);

/** Free a result. NULL allowed. */
void compiler_result_destroy(struct compiler_result *result);

#endif /* COMPILER_H */
