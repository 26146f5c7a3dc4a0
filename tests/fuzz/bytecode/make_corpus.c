/* SPDX-License-Identifier: Apache-2.0
 *
 * make_corpus.c - writes the seed files of the class-file corpus into the directory given. The
 * files in corpus/ were made with it; the test "fuzz_class_file_corpus_is_current" compares.
 *
 *     make_corpus DIRECTORY            write
 *     make_corpus --check DIRECTORY    compare, exit 1 on a difference
 */
#include "bc_opcodes.h"
#include "class_file_builder.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every defined opcode once, operands zero; nothing the verifier would call regular. */
static void build_all_opcodes(struct builder *file)
{
    static const uint8_t zeros[16] = {0};
    struct builder code = {0};
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        enum bc_operand_kind kind = bc_opcode_operands((uint8_t)opcode);
        bool is_path_end = opcode == BC_OP_ret || opcode == BC_OP_throw || kind == BC_OPERAND_REL ||
                           kind == BC_OPERAND_SWITCH || bc_opcode_is_prefix((uint8_t)opcode);
        if (bc_opcode_status((uint8_t)opcode) != BC_OPCODE_DEFINED || is_path_end) {
            continue;
        }
        struct bc_instruction instruction;
        uint8_t bytes[16] = {0};
        bytes[0] = (uint8_t)opcode;
        bc_decode(bytes, sizeof bytes, 0, &instruction);
        build_u8(&code, opcode);
        build_bytes(&code, zeros, instruction.length - 1);
    }
    build_u8(&code, BC_OP_ret);
    build_class_record(file, ".fuzz.all", 1, 17, ".internal.object");
    build_method_record(file, "all", 16, code.data, code.size);
    build_signature_record(file, "all", 16);
    build_finish(&code);
}

/* Paths that join, loop and overlap: jz, djnz, jmp, nested catchers, a prefix as target. */
static void build_jumps(struct builder *file)
{
    static const uint8_t code[] = {
        0x73, 0,                          /* 00 arg_count 0 */
        0x29, 2,    2,                    /* 02 stack_reserve 2, 2 */
        0x23, 0,    0,    0,    9,        /* 05 iconst_32bit 9 */
        0x04, 0,    0,    0,    9,        /* 0a djnz 14 */
        0x06, 0,    0,    0,    9,        /* 0f jmp 19 */
        0x06, 0xff, 0xff, 0xff, 0xf5,     /* 14 jmp 0a */
        0x3a, 0x2d, 0,    0,    0,    13, /* 19 push_catcher 28 */
        0x39, 0x2d, 0,    0,    0,    6,  /* 1f push_catcher 27 */
        0x2e, 0x2e,                       /* 25 pop_catcher x 2 */
        0x08,                             /* 27 ret */
        0x5c, 0x26, 0,    0,    0,    0,  /* 28 prefix_long is_get32 0 */
        0x5c, 0x40,                       /* 2e prefix_long i2o */
        0x08,                             /* 30 ret */
    };
    build_class_record(file, ".fuzz.jumps", 0, 17, ".internal.object");
    build_method_record(file, "jumps", 16, code, sizeof code);
    build_signature_record(file, "jumps", 16);
}

static void build_smallest(struct builder *file)
{
    build_class_record(file, ".a", 0, 0, ".internal.object");
}

static const struct {
    const char *name;
    void (*build)(struct builder *);
} seeds[] = {
    {"sample.pc", build_sample},           {"old_sample.pc", build_old_sample},
    {"all_opcodes.pc", build_all_opcodes}, {"jumps.pc", build_jumps},
    {"smallest.pc", build_smallest},
};

static bool write_seed(const char *path, const struct builder *seed)
{
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(seed->data, 1, seed->size, file) == seed->size;
    if (file && fclose(file) != 0) {
        ok = false;
    }
    return ok;
}

static bool is_current(const char *path, const struct builder *seed)
{
    uint8_t *found = malloc(seed->size + 1);
    FILE *file = fopen(path, "rb");
    bool ok = found && file && fread(found, 1, seed->size + 1, file) == seed->size &&
              memcmp(found, seed->data, seed->size) == 0;
    if (file) {
        fclose(file);
    }
    free(found);
    return ok;
}

int main(int count, char **arguments)
{
    bool check = count == 3 && strcmp(arguments[1], "--check") == 0;
    if (!check && count != 2) {
        fprintf(stderr, "usage: %s [--check] DIRECTORY\n", arguments[0]);
        return 2;
    }
    int status = 0;
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        char path[4096];
        struct builder seed = {0};
        seeds[i].build(&seed);
        snprintf(path, sizeof path, "%s/%s", arguments[count - 1], seeds[i].name);
        bool ok = check ? is_current(path, &seed) : write_seed(path, &seed);
        if (!ok) {
            fprintf(stderr, "%s: %s\n", path, check ? "differs" : "cannot be written");
            status = 1;
        }
        build_finish(&seed);
    }
    return status;
}
