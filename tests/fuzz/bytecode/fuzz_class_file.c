/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_class_file.c - libFuzzer harness for class files: read, verify each method, write, read,
 * write again, disassemble. Besides not crashing it demands that an accepted class can be written,
 * that the written file is accepted, and that writing it again gives the same bytes.
 *
 * It is linked with libFuzzer (-Dfuzz=true, clang) or with tests/support/fuzz_corpus_main.c.
 */
#include "bc_class.h"
#include "bc_disasm.h"
#include "bc_verify.h"
#include "ph_check.h"
#include "ph_memory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One method's code also as if the VM had made it, and as if its signature were missing. */
static void verify_method(const struct bc_class *class, uint32_t index)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_code_facts facts;
    struct bc_verify_context context;
    const struct bc_method *method = &class->methods[index];
    int strict = bc_verify_method(class, index, &facts, &diag);
    PH_CHECK(strict == 0 || strict == PHANTOM_EVERIFY);
    PH_CHECK(strict == 0 || diag.text[0] != '\0');
    PH_CHECK(strict != 0 || facts.regular == (facts.irregular_cause == NULL));
    bc_method_context(class, index, &context);
    context.allow_sys = true;
    context.argument_count = -1;
    int loose = bc_verify_code(&context, method->code.data, method->code.size, &facts, NULL);
    PH_CHECK(loose == 0 || strict != 0); /* allowing more never refuses more */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct bc_class *class = NULL;
    struct bc_class *again = NULL;
    struct bc_bytes written = {0};
    struct bc_bytes rewritten = {0};
    struct bc_bytes text = {0};
    int64_t blocks = ph_memory_live_blocks();
    int result = bc_class_read("fuzz", data, size, &class, &diag);
    if (result < 0) {
        PH_CHECK(result == PHANTOM_EVERIFY && diag.text[0] != '\0');
        PH_CHECK(ph_memory_live_blocks() == blocks);
        return 0;
    }
    for (uint32_t i = 0; i < class->method_count; i++) {
        verify_method(class, i);
    }
    PH_CHECK(bc_class_write(class, &written, &diag) == 0);
    PH_CHECK(bc_class_read("again", written.data, written.size, &again, &diag) == 0);
    PH_CHECK(bc_class_write(again, &rewritten, &diag) == 0);
    PH_CHECK(written.size == rewritten.size);
    PH_CHECK(memcmp(written.data, rewritten.data, written.size) == 0);
    PH_CHECK(bc_disassemble(class, BC_DISASM_FACTS, &text) == 0);
    PH_CHECK(strlen((const char *)text.data) == text.size);
    ph_free(text.data);
    ph_free(rewritten.data);
    ph_free(written.data);
    bc_class_destroy(again);
    bc_class_destroy(class);
    PH_CHECK(ph_memory_live_blocks() == blocks);
    return 0;
}
