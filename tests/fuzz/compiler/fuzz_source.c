/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source.c - arbitrary bytes as Phantom source. The compiler must end, must not crash, must
 * say something exactly when it refuses, and whatever it accepts must pass the verifier as regular
 * code. The text is also what any file it asks for holds, so that imports are exercised; no real
 * file is touched.
 */
#include "bc_verify.h"
#include "compiler.h"

#include "ph_check.h"
#include "ph_memory.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
    unsigned reads; /* files handed out so far: few, or one text could import itself for ever */
};

static int read_input(void *context, const char *path, struct bc_bytes *out)
{
    struct input *input = context;
    size_t length = strlen(path);
    if (input->reads >= 4 || (length > 3 && strcmp(path + length - 3, ".pc") == 0)) {
        return -ENOENT;
    }
    input->reads++;
    out->data = ph_alloc(input->size + 1);
    if (!out->data) {
        return -ENOMEM;
    }
    if (input->size) {
        memcpy(out->data, input->data, input->size);
    }
    out->size = (uint32_t)input->size;
    return 0;
}

static void check_method(const struct bc_class *class, const struct bc_method *method)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_code_facts facts;
    struct bc_verify_context context = {.class_name = class->name,
                                        .method_name = method->name,
                                        .ordinal = method->ordinal,
                                        .argument_count = (int32_t)method->parameter_count,
                                        .constant_limit = class->constant_count,
                                        .field_limit = class->object_slots};
    PH_CHECK(bc_verify_code(&context, method->code.data, method->code.size, &facts, &diag) == 0);
    PH_CHECK(facts.regular);
}

static void check_class(const struct compiler_class *made)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_class *class = NULL;
    PH_CHECK(bc_class_read(made->name, made->file.data, made->file.size, &class, &diag) == 0);
    for (uint32_t i = 0; i < class->method_count; i++) {
        check_method(class, &class->methods[i]);
    }
    bc_class_destroy(class);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const folders[] = {"folder"};
    struct input input = {.data = data, .size = size};
    struct compiler_source source = {
        .file_name = "input.ph", .text = (const char *)data, .size = size};
    struct compiler_options options = {.sources = &source,
                                       .source_count = 1,
                                       .import_folders = folders,
                                       .import_folder_count = 1,
                                       .read_file = read_input,
                                       .context = &input,
                                       .all_warnings = true};
    struct compiler_result *result = NULL;
    int error = compiler_run(&options, &result);
    PH_CHECK(error == 0 || error == PHANTOM_ESOURCE);
    PH_CHECK((error == 0) == (result->error_count == 0));
    PH_CHECK(error == 0 || (result->class_count == 0 && result->messages[0]));
    for (size_t i = 0; i < result->class_count; i++) {
        check_class(&result->classes[i]);
    }
    compiler_result_destroy(result);
    return 0;
}
