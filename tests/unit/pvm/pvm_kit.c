/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_kit.c - see pvm_kit.h.
 */
#include "pvm_kit.h"

#include "bc_opcodes.h"
#include "ph_memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- assembler ------------------------------------------------------------------------------- */

enum {
    MAX_LABELS = 128,
    MAX_FIXUPS = 512,
    WORD_BYTES = 2048,
};

struct label {
    char name[48];
    uint32_t offset;
};

struct assembler {
    const char *at;
    uint8_t *code;
    uint32_t size;
    uint32_t capacity;
    struct label labels[MAX_LABELS];
    int n_labels;
    struct label fixups[MAX_FIXUPS];
    int n_fixups;
};

static bool next_word(struct assembler *a, char *word)
{
    for (;;) {
        while (isspace((unsigned char)*a->at)) {
            a->at++;
        }
        if (*a->at != '#') {
            break;
        }
        while (*a->at && *a->at != '\n') {
            a->at++;
        }
    }
    size_t n = 0;
    if (*a->at == '\'') {
        a->at++;
        word[n++] = '\'';
        while (*a->at && *a->at != '\'' && n < WORD_BYTES - 1) {
            word[n++] = *a->at++;
        }
        a->at++;
    } else {
        while (*a->at && !isspace((unsigned char)*a->at) && n < WORD_BYTES - 1) {
            word[n++] = *a->at++;
        }
    }
    word[n] = '\0';
    return n > 0;
}

static void put(struct assembler *a, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        assert_true(a->size < a->capacity);
        a->code[a->size++] = (uint8_t)(value >> (8 * i));
    }
}

static int64_t number(struct assembler *a)
{
    char word[WORD_BYTES];
    assert_true(next_word(a, word));
    char *end;
    int64_t value = strtoll(word, &end, 0);
    if (*end) {
        fail_msg("assembler: '%s' is not a number", word);
    }
    return value;
}

static void string_operand(struct assembler *a)
{
    char word[WORD_BYTES];
    assert_true(next_word(a, word) && word[0] == '\'');
    uint32_t size = (uint32_t)strlen(word + 1);
    put(a, size, 4);
    for (uint32_t i = 0; i < size; i++) {
        put(a, (uint8_t)word[1 + i], 1);
    }
}

static void label_operand(struct assembler *a)
{
    char word[WORD_BYTES];
    assert_true(next_word(a, word));
    assert_true(a->n_fixups < MAX_FIXUPS);
    struct label *f = &a->fixups[a->n_fixups++];
    snprintf(f->name, sizeof(f->name), "%.40s", word);
    f->offset = a->size;
    put(a, 0, 4);
}

static void operands(struct assembler *a, enum bc_operand_kind kind)
{
    switch (kind) {
    case BC_OPERAND_NONE: break;
    case BC_OPERAND_U8: put(a, (uint64_t)number(a), 1); break;
    case BC_OPERAND_I32: put(a, (uint64_t)number(a), 4); break;
    case BC_OPERAND_I64: put(a, (uint64_t)number(a), 8); break;
    case BC_OPERAND_STRING: string_operand(a); break;
    case BC_OPERAND_REL: label_operand(a); break;
    case BC_OPERAND_U8_U8:
        put(a, (uint64_t)number(a), 1);
        put(a, (uint64_t)number(a), 1);
        break;
    case BC_OPERAND_U8_I32:
        put(a, (uint64_t)number(a), 1);
        put(a, (uint64_t)number(a), 4);
        break;
    case BC_OPERAND_I32_I32:
        put(a, (uint64_t)number(a), 4);
        put(a, (uint64_t)number(a), 4);
        break;
    case BC_OPERAND_DEBUG: {
        int64_t type = number(a);
        put(a, (uint64_t)type, 1);
        if (type & 0x80) {
            string_operand(a);
        }
        break;
    }
    case BC_OPERAND_SWITCH: {
        int64_t count = number(a);
        put(a, (uint64_t)count, 4);
        put(a, (uint64_t)number(a), 4);
        put(a, (uint64_t)number(a), 4);
        for (int64_t i = 0; i < count; i++) {
            label_operand(a);
        }
        break;
    }
    }
}

static void instruction(struct assembler *a, const char *word)
{
    for (unsigned op = 0; op < 256; op++) {
        if (bc_opcode_status((uint8_t)op) != BC_OPCODE_UNASSIGNED &&
            strcmp(bc_opcode_name((uint8_t)op), word) == 0) {
            put(a, op, 1);
            operands(a, bc_opcode_operands((uint8_t)op));
            return;
        }
    }
    fail_msg("assembler: no opcode '%s'", word);
}

uint32_t kit_assemble(const char *text, uint8_t *code, uint32_t capacity)
{
    struct assembler *a = calloc(1, sizeof(*a));
    assert_non_null(a);
    a->at = text;
    a->code = code;
    a->capacity = capacity;
    char word[WORD_BYTES];
    while (next_word(a, word)) {
        size_t n = strlen(word);
        if (word[n - 1] == ':') {
            assert_true(a->n_labels < MAX_LABELS && n < sizeof(a->labels[0].name));
            word[n - 1] = '\0';
            struct label *l = &a->labels[a->n_labels++];
            snprintf(l->name, sizeof(l->name), "%.40s", word);
            l->offset = a->size;
        } else {
            instruction(a, word);
        }
    }
    for (int i = 0; i < a->n_fixups; i++) {
        int j = 0;
        while (j < a->n_labels && strcmp(a->labels[j].name, a->fixups[i].name) != 0) {
            j++;
        }
        if (j == a->n_labels) {
            fail_msg("assembler: no label '%s'", a->fixups[i].name);
        }
        uint32_t end = a->size;
        a->size = a->fixups[i].offset;
        put(a, a->labels[j].offset - a->fixups[i].offset, 4);
        a->size = end;
    }
    uint32_t size = a->size;
    free(a);
    return size;
}

/* ---- classes --------------------------------------------------------------------------------- */

void kit_class_bytes(struct kit *kit, const char *name, const void *bytes, size_t size)
{
    assert_true(kit->n_files < KIT_MAX_CLASSES);
    struct kit_class_file *f = &kit->files[kit->n_files++];
    snprintf(f->name, sizeof(f->name), "%s", name);
    f->bytes = malloc(size ? size : 1);
    assert_non_null(f->bytes);
    memcpy(f->bytes, bytes, size);
    f->size = size;
}

void kit_class(struct kit *kit, const char *name, const char *parent, uint32_t slots,
               const struct kit_method *methods, uint32_t n_methods, const char *const *constants)
{
    enum { CODE_BYTES = 1 << 16 };
    struct bc_class class = {.name = (char *)(uintptr_t)name,
                             .parent = (char *)(uintptr_t)parent,
                             .version = (char *)(uintptr_t) "",
                             .object_slots = slots,
                             .method_slots = 16};
    struct bc_type untyped = {false, (char *)(uintptr_t) "", (char *)(uintptr_t) ""};
    struct bc_method *m = calloc(n_methods + 1, sizeof(*m));
    struct bc_constant list[16];
    struct bc_parameter parameters[16];
    char names[32][16];
    assert_true(m && n_methods <= 32);
    for (size_t i = 0; i < 16; i++) {
        parameters[i] = (struct bc_parameter){(char *)(uintptr_t) "a", untyped};
    }
    for (uint32_t i = 0; i < n_methods; i++) {
        snprintf(names[i], sizeof(names[i]), "m%u", methods[i].ordinal);
        m[i].name = methods[i].name ? (char *)(uintptr_t)methods[i].name : names[i];
        m[i].ordinal = methods[i].ordinal;
        m[i].code.data = malloc(CODE_BYTES);
        m[i].code.size = kit_assemble(methods[i].text, m[i].code.data, CODE_BYTES);
        m[i].has_signature = methods[i].arguments >= 0;
        m[i].result = untyped;
        m[i].parameters = parameters;
        m[i].parameter_count = methods[i].arguments > 0 ? (uint32_t)methods[i].arguments : 0;
        if (class.method_slots <= m[i].ordinal) {
            class.method_slots = m[i].ordinal + 1;
        }
    }
    class.methods = m;
    class.method_count = n_methods;
    for (uint32_t i = 0; constants && constants[i]; i++) {
        list[i].index = i;
        list[i].bytes.data = (uint8_t *)(uintptr_t)constants[i];
        list[i].bytes.size = (uint32_t)strlen(constants[i]);
        class.constant_count++;
    }
    class.constants = list;
    struct bc_bytes file;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (bc_class_write(&class, &file, &diag) != 0) {
        fail_msg("class %s: %s", name, diag.text);
    }
    kit_class_bytes(kit, name, file.data, file.size);
    ph_free(file.data);
    for (uint32_t i = 0; i < n_methods; i++) {
        free(m[i].code.data);
    }
    free(m);
}

/* ---- host ------------------------------------------------------------------------------------ */

static void console_write(void *context, const char *bytes, size_t size)
{
    struct kit *kit = context;
    pthread_mutex_lock(&kit->lock);
    if (kit->console_size + size < KIT_CONSOLE_BYTES) {
        memcpy(kit->console + kit->console_size, bytes, size);
        kit->console_size += size;
        kit->console[kit->console_size] = '\0';
    }
    pthread_mutex_unlock(&kit->lock);
}

static int load_class(void *context, const char *name, void **bytes, size_t *size, char *file_name,
                      size_t file_name_size, struct phantom_diag *diag)
{
    struct kit *kit = context;
    snprintf(file_name, file_name_size, "%s.pc", name + 1);
    pthread_mutex_lock(&kit->lock);
    kit->loads++;
    pthread_mutex_unlock(&kit->lock);
    for (int i = 0; i < kit->n_files; i++) {
        if (strcmp(kit->files[i].name, name) == 0) {
            *bytes = ph_alloc(kit->files[i].size ? kit->files[i].size : 1);
            if (*bytes == NULL) {
                return ph_fail(diag, -12, "no memory");
            }
            memcpy(*bytes, kit->files[i].bytes, kit->files[i].size);
            *size = kit->files[i].size;
            return 0;
        }
    }
    return ph_fail(diag, PHANTOM_ENOTFOUND, "class %s: no file", name);
}

static void thread_failed(void *context, const char *text)
{
    struct kit *kit = context;
    pthread_mutex_lock(&kit->lock);
    snprintf(kit->failure, sizeof(kit->failure), "%s", text);
    kit->failures++;
    pthread_mutex_unlock(&kit->lock);
}

/* ---- world ----------------------------------------------------------------------------------- */

/* Free under all sanitizers; tests run one world at a time. */
#define KIT_BASE ((void *)(uintptr_t)UINT64_C(0x7e8000000000))

static void open_heap(struct kit *kit, bool fresh)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    kit->watch = store_watch_open(
        kit->memory, kit->size, kit->options.workers == 1 ? STORE_WATCH_BYTES : STORE_WATCH_PAGES);
    struct heap_params params = {.base = kit->memory,
                                 .size_limit = kit->size,
                                 .native_class_version = PVM_NATIVE_CLASS_VERSION,
                                 .os = {.stores = store_watch_stores(kit->watch)}};
    int rc =
        fresh ? heap_create(&params, &kit->heap, &diag) : heap_attach(&params, &kit->heap, &diag);
    if (rc != 0) {
        fail_msg("heap: %d %s", rc, diag.text);
    }
}

void kit_make_heap(struct kit *kit)
{
    open_heap(kit, true);
}

int kit_try_machine(struct kit *kit, struct phantom_diag *diag)
{
    struct pvm_host host = {.context = kit,
                            .console_write = console_write,
                            .load_class = load_class,
                            .thread_failed = thread_failed};
    return pvm_create(kit->heap, &host, &kit->options, &kit->pvm, diag);
}

static void make_machine(struct kit *kit, bool fresh)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    open_heap(kit, fresh);
    int rc = kit_try_machine(kit, &diag);
    if (rc != 0) {
        fail_msg("pvm_create: %d %s", rc, diag.text);
    }
}

static void take_down(struct kit *kit)
{
    pvm_destroy(kit->pvm);
    heap_detach(kit->heap);
    if (kit->watch != NULL) {
        store_watch_look(kit->watch);
    }
    store_watch_close(kit->watch);
    kit->watch = NULL;
}

static struct kit *left_open; /* by a test that failed */

struct kit *kit_open_sized(uint64_t bytes)
{
    if (left_open) {
        munmap(left_open->memory, left_open->size);
    }
    struct kit *kit = calloc(1, sizeof(*kit));
    assert_non_null(kit);
    kit->size = bytes;
    kit->memory = mmap(KIT_BASE, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(kit->memory, KIT_BASE);
    kit->console = calloc(1, KIT_CONSOLE_BYTES);
    assert_non_null(kit->console);
    pthread_mutex_init(&kit->lock, NULL);
    kit->options.workers = 1;
    left_open = kit;
    return kit;
}

struct kit *kit_open(void)
{
    return kit_open_sized(KIT_HEAP_BYTES);
}

void kit_close(struct kit *kit)
{
    left_open = NULL;
    take_down(kit);
    munmap(kit->memory, kit->size);
    for (int i = 0; i < kit->n_files; i++) {
        free(kit->files[i].bytes);
    }
    pthread_mutex_destroy(&kit->lock);
    free(kit->console);
    free(kit);
}

int kit_try_boot(struct kit *kit, const char *boot_class, struct phantom_diag *diag)
{
    make_machine(kit, true);
    return pvm_boot(kit->pvm, boot_class, diag);
}

void kit_boot(struct kit *kit, const char *boot_class)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = kit_try_boot(kit, boot_class, &diag);
    if (rc != 0) {
        fail_msg("pvm_boot: %d %s", rc, diag.text);
    }
}

void kit_reattach(struct kit *kit)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    take_down(kit);
    make_machine(kit, false);
    int rc = pvm_attach(kit->pvm, &diag);
    if (rc != 0) {
        fail_msg("pvm_attach: %d %s", rc, diag.text);
    }
}

static void audit(struct kit *kit)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(pvm_stop_world(kit->pvm, -1), 0);
    int rc = pvm_audit(kit->pvm, &diag);
    store_watch_look(kit->watch);
    pvm_resume_world(kit->pvm);
    if (rc != 0) {
        fail_msg("audit: %d %s", rc, diag.text);
    }
}

int kit_run(struct kit *kit)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = pvm_run(kit->pvm, &diag);
    audit(kit);
    return rc;
}

const char *kit_console(struct kit *kit)
{
    return kit->console;
}

static struct kit *run_text(const char *text, int *result)
{
    struct kit *kit = kit_open();
    struct kit_method method = {8, 1, text, NULL};
    kit_class(kit, ".boot", ".internal.object", 4, &method, 1, NULL);
    kit->options.max_instructions = 20000000;
    kit_boot(kit, ".boot");
    *result = kit_run(kit);
    return kit;
}

void kit_expect(const char *text, const char *expected)
{
    int rc;
    struct kit *kit = run_text(text, &rc);
    if (rc != 0 || strcmp(kit->console, expected) != 0) {
        fail_msg("result %d, console '%s' instead of '%s', %s\nin: %s", rc, kit->console, expected,
                 kit->failure, text);
    }
    kit_close(kit);
}

void kit_expect_throw(const char *text, const char *expected)
{
    int rc;
    struct kit *kit = run_text(text, &rc);
    if (rc != PHANTOM_EPROGRAM || strstr(kit->failure, expected) == NULL) {
        fail_msg("result %d, failure '%s' instead of '%s'\nin: %s", rc, kit->failure, expected,
                 text);
    }
    kit_close(kit);
}
