/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_kit.h - what the tests of the pvm room share: a small assembler, classes made from its text,
 * a world over a private mapping, a captured console.
 *
 * Assembler text: words separated by white space. `name:` is a label; an opcode by its name in
 * opcodes.def, then its operands: numbers, a 'string' in quotes, a label for a relative jump. For
 * switch: count shift divisor label... A word that starts with # ends at the end of the line.
 */
#ifndef PVM_KIT_H
#define PVM_KIT_H

#include "bc_class.h"
#include "pvm.h"
#include "pvm_exec.h"
#include "store_watch.h"

#include <ph_test.h>
#include <pthread.h>

enum {
    KIT_MAX_CLASSES = 32,
    KIT_CONSOLE_BYTES = 1 << 20,
};
#define KIT_HEAP_BYTES (UINT64_C(256) << 20)

struct kit_method {
    uint32_t ordinal;
    int32_t arguments; /* -1: no signature record */
    const char *text;
    const char *name; /* NULL: "m<ordinal>" */
};

struct kit_class_file {
    char name[64];
    void *bytes;
    size_t size;
};

struct kit {
    void *memory;
    uint64_t size;
    struct heap *heap;
    struct pvm *pvm;
    struct store_watch *watch; /* looks at every kit_run(), reattach and close */
    struct pvm_options options;
    struct kit_class_file files[KIT_MAX_CLASSES];
    int n_files;
    pthread_mutex_t lock;
    char *console;
    size_t console_size;
    char failure[4096]; /* text of the last thread_failed */
    int failures;
    int loads;
};

/** Empty world memory; options may be changed before kit_boot(). */
struct kit *kit_open(void);
struct kit *kit_open_sized(uint64_t bytes);
void kit_close(struct kit *kit);

/** Machine code of an assembler text; NULL code: how many bytes. Fails the test on bad text. */
uint32_t kit_assemble(const char *text, uint8_t *code, uint32_t capacity);

/** A class file the host will offer. Constants (NULL-terminated list) may be NULL. */
void kit_class(struct kit *kit, const char *name, const char *parent, uint32_t slots,
               const struct kit_method *methods, uint32_t n_methods, const char *const *constants);
void kit_class_bytes(struct kit *kit, const char *name, const void *bytes, size_t size);

/** The steps of kit_boot() one by one: empty heap; machine over it, which may fail. */
void kit_make_heap(struct kit *kit);
int kit_try_machine(struct kit *kit, struct phantom_diag *diag);
/** Birth with that boot class; fails the test if refused. */
void kit_boot(struct kit *kit, const char *boot_class);
/** The same, but returns the error. */
int kit_try_boot(struct kit *kit, const char *boot_class, struct phantom_diag *diag);
/** Throw machine and heap away and make new ones over the same memory, as after a restart. */
void kit_reattach(struct kit *kit);
/** pvm_run() to the end; returns its result. */
int kit_run(struct kit *kit);
/** The console so far, terminated. */
const char *kit_console(struct kit *kit);

/**
 * Run a boot class whose method 8 is `text` (cell 0 is the boot object) in a fresh world.
 * kit_expect: the console is then `expected` and nothing failed.
 * kit_expect_throw: the thread fails with a text that contains `expected`.
 */
void kit_expect(const char *text, const char *expected);
void kit_expect_throw(const char *text, const char *expected);

/* Pieces of text. PRINT: value on top of an object stack whose next cell is the boot object. */
#define BOOT      " os_get32 0 "
#define PRINT     " call_10 1 os_drop "
#define INT(n)    " iconst_32bit " #n " "
#define LONG(n)   " iconst_64bit " #n " "
#define SAY(text) BOOT " sconst_bin '" text "' " PRINT

#endif /* PVM_KIT_H */
