/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_compiler.c - compiles each NAME.ph given and compares what comes out with NAME.expected:
 * the messages, then the disassembly of every class with the verifier's verdict. A class the
 * verifier refuses, or finds irregular, fails whatever the expected text says. The folder `import`
 * beside the source is searched for other classes. All warnings are on.
 *
 *     golden_compiler [--rewrite] FILE.ph...
 *
 * --rewrite writes the .expected files anew instead; read the difference before committing it.
 * First line of a source `// quiet`: compile without -Wall.
 */
#include "bc_disasm.h"
#include "bc_verify.h"
#include "compiler.h"

#include "ph_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *data;
    size_t size;
};

static void append(struct text *text, const char *data, size_t size)
{
    text->data = realloc(text->data, text->size + size + 1);
    if (!text->data) {
        perror("golden_compiler");
        exit(2);
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

static int read_file(void *context, const char *path, struct bc_bytes *out)
{
    (void)context;
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        return -errno;
    }
    struct text text = {0};
    char buffer[4096];
    size_t got;
    append(&text, "", 0);
    while ((got = fread(buffer, 1, sizeof(buffer), stream)) > 0) {
        append(&text, buffer, got);
    }
    fclose(stream);
    out->data = ph_alloc(text.size + 1);
    if (out->data) {
        memcpy(out->data, text.data, text.size + 1);
        out->size = (uint32_t)text.size;
    }
    free(text.data);
    return out->data ? 0 : -ENOMEM;
}

/* All methods must be regular: the compiler knows the stack depths everywhere. */
static bool is_regular(const struct bc_class *class)
{
    bool good = true;
    for (uint32_t i = 0; i < class->method_count; i++) {
        const struct bc_method *method = &class->methods[i];
        struct bc_verify_context context = {.class_name = class->name,
                                            .method_name = method->name,
                                            .ordinal = method->ordinal,
                                            .argument_count = (int32_t)method->parameter_count,
                                            .constant_limit = class->constant_count,
                                            .field_limit = class->object_slots};
        struct bc_code_facts facts;
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        if (bc_verify_code(&context, method->code.data, method->code.size, &facts, &diag)) {
            printf("verifier: %s\n", diag.text);
            good = false;
        } else if (!facts.regular) {
            printf("%s.%s: irregular code\n", class->name, method->name);
            good = false;
        }
    }
    return good;
}

static bool add_class(struct text *actual, const struct compiler_class *made)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_class *class = NULL;
    struct bc_bytes listing = {0};
    if (bc_class_read(made->name, made->file.data, made->file.size, &class, &diag)) {
        printf("%s\n", diag.text);
        return false;
    }
    bool good = is_regular(class);
    if (bc_disassemble(class, BC_DISASM_FACTS, &listing) == 0) {
        append(actual, (const char *)listing.data, listing.size);
        ph_free(listing.data);
    }
    bc_class_destroy(class);
    return good;
}

/* Messages name the source by its last component, so that the text is the same everywhere. */
static bool compile(const char *path, struct text *actual)
{
    struct bc_bytes source = {0};
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    char folder[1024];
    snprintf(folder, sizeof(folder), "%.*simport", (int)(base - path), path);
    if (read_file(NULL, path, &source)) {
        printf("%s: cannot read\n", path);
        return false;
    }
    const char *folders[] = {folder};
    struct compiler_source input = {
        .file_name = base, .text = (const char *)source.data, .size = source.size};
    struct compiler_options options = {.sources = &input,
                                       .source_count = 1,
                                       .import_folders = folders,
                                       .import_folder_count = 1,
                                       .read_file = read_file,
                                       .all_warnings = source.size < 8 ||
                                                       memcmp(source.data, "// quiet", 8) != 0};
    struct compiler_result *result = NULL;
    int error = compiler_run(&options, &result);
    bool good = result != NULL && (error == 0) == (result->error_count == 0);
    append(actual, "", 0);
    if (result) {
        append(actual, result->messages, strlen(result->messages));
        for (size_t i = 0; i < result->class_count; i++) {
            good = add_class(actual, &result->classes[i]) && good;
        }
    }
    compiler_result_destroy(result);
    ph_free(source.data);
    return good;
}

static bool rewrite(const char *path, const struct text *actual)
{
    FILE *stream = fopen(path, "wb");
    bool good = stream && (actual->size == 0 || fwrite(actual->data, actual->size, 1, stream) == 1);
    if (stream && fclose(stream)) {
        good = false;
    }
    return good;
}

static bool compare(const char *path, const struct text *actual)
{
    struct bc_bytes expected = {0};
    if (read_file(NULL, path, &expected)) {
        printf("%s: cannot read\n", path);
        return false;
    }
    bool same =
        expected.size == actual->size && memcmp(expected.data, actual->data, actual->size) == 0;
    if (!same) {
        uint32_t line = 1;
        for (size_t i = 0;
             i < actual->size && i < expected.size && actual->data[i] == (char)expected.data[i];
             i++) {
            line += actual->data[i] == '\n';
        }
        printf("%s:%u: differs; what was made is:\n%s\n", path, line, actual->data);
    }
    ph_free(expected.data);
    return same;
}

int main(int argc, char **argv)
{
    bool rewriting = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    int failures = 0;
    for (int i = rewriting ? 2 : 1; i < argc; i++) {
        struct text actual = {0};
        char path[1024];
        snprintf(path, sizeof(path), "%.*s.expected", (int)strlen(argv[i]) - 3, argv[i]);
        bool good = compile(argv[i], &actual);
        good = good && (rewriting ? rewrite(path, &actual) : compare(path, &actual));
        if (!good) {
            printf("FAILED: %s\n", argv[i]);
            failures++;
        }
        free(actual.data);
    }
    if (argc <= (rewriting ? 2 : 1)) {
        fprintf(stderr, "usage: golden_compiler [--rewrite] FILE.ph...\n");
        return 2;
    }
    return failures ? 1 : 0;
}
