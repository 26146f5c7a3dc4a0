/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pvm_fuzz.c - random bytecode: whatever the verifier lets pass must not leave its memory.
 * Each method runs under an instruction quota; afterwards the whole heap is audited. The same
 * method is run a second time with the machine thrown away after every few instructions: console
 * and failure must be the same as those of the uninterrupted run.
 *
 * PH_FUZZ_ROUNDS changes the number of programs, PH_SEED the programs.
 */
#include "pvm_kit.h"

#include "bc_opcodes.h"
#include "ph_memory.h"
#include "ph_rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PROGRAM_INSTRUCTIONS = 60,
    CODE_BYTES = 4096,
};

struct program {
    uint8_t code[CODE_BYTES];
    uint32_t size;
    uint32_t starts[PROGRAM_INSTRUCTIONS + 8];
    uint32_t n_starts;
    uint32_t jumps[PROGRAM_INSTRUCTIONS + 8]; /* places of operands to be pointed somewhere */
    uint32_t n_jumps;
};

static void put(struct program *p, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        p->code[p->size++] = (uint8_t)(value >> (8 * i));
    }
}

static void put_string(struct program *p, const char *text)
{
    put(p, strlen(text), 4);
    memcpy(p->code + p->size, text, strlen(text));
    p->size += (uint32_t)strlen(text);
}

static void put_jump(struct program *p)
{
    p->jumps[p->n_jumps++] = p->size;
    put(p, 0, 4);
}

static const char *const names[] = {
    ".boot",
    ".internal.mutex",
    ".internal.container.array",
    ".internal.directory",
    ".none",
    ".internal.cond",
    ".internal.sema",
    "m8",
    "m16",
    ".internal.binary",
    ".internal.long",
};

/** Something useful to the instructions that follow: objects, boxes, numbers. */
static bool put_seed_value(struct program *p, struct ph_rng *rng)
{
    switch (ph_rng_below(rng, 8)) {
    case 0: put(p, BC_OP_summon_this, 1); return true;
    case 1: put(p, BC_OP_summon_null, 1); return true;
    case 2:
        put(p, BC_OP_sconst_bin, 1);
        put_string(p, names[ph_rng_below(rng, sizeof(names) / sizeof(names[0]))]);
        return true;
    case 3:
        put(p, BC_OP_summon_by_name, 1);
        put_string(p, names[ph_rng_below(rng, sizeof(names) / sizeof(names[0]))]);
        return true;
    case 4:
        put(p, BC_OP_iconst_32bit, 1);
        put(p, ph_rng_below(rng, 12) - 3, 4);
        return true;
    case 5:
        put(p, BC_OP_iconst_8bit, 1);
        put(p, ph_rng_below(rng, 4), 1);
        put(p, BC_OP_i2o, 1);
        return true;
    default: return false;
    }
}

static void put_instruction(struct program *p, struct ph_rng *rng)
{
    p->starts[p->n_starts++] = p->size;
    if (put_seed_value(p, rng)) {
        return;
    }
    uint8_t op;
    do {
        op = (uint8_t)ph_rng_next(rng);
    } while (bc_opcode_status(op) != BC_OPCODE_DEFINED || op == BC_OP_sys_8bit ||
             (op >= BC_OP_call_00 && ph_rng_below(rng, 2)));
    put(p, op, 1);
    if (bc_opcode_is_prefix(op)) { /* the next one must not be a prefix */
        put(p, BC_OP_isum + ph_rng_below(rng, 8), 1);
        return;
    }
    switch (bc_opcode_operands(op)) {
    case BC_OPERAND_NONE: break;
    case BC_OPERAND_U8: put(p, ph_rng_below(rng, 4), 1); break;
    case BC_OPERAND_I32: put(p, ph_rng_below(rng, 4), 4); break;
    case BC_OPERAND_I64: put(p, ph_rng_next(rng), 8); break;
    case BC_OPERAND_STRING:
        put_string(p, names[ph_rng_below(rng, sizeof(names) / sizeof(names[0]))]);
        break;
    case BC_OPERAND_REL: put_jump(p); break;
    case BC_OPERAND_U8_U8:
        put(p, ph_rng_below(rng, 5), 1);
        put(p, ph_rng_below(rng, 5), 1);
        break;
    case BC_OPERAND_U8_I32:
        put(p, ph_rng_below(rng, 24), 1);
        put(p, ph_rng_below(rng, 3), 4);
        break;
    case BC_OPERAND_I32_I32:
        put(p, ph_rng_below(rng, 24), 4);
        put(p, ph_rng_below(rng, 3), 4);
        break;
    case BC_OPERAND_DEBUG: put(p, 0, 1); break;
    case BC_OPERAND_SWITCH:
        put(p, 2, 4);
        put(p, 0, 4);
        put(p, 1, 4);
        put_jump(p);
        put_jump(p);
        break;
    }
}

static void make_program(struct program *p, struct ph_rng *rng)
{
    memset(p, 0, sizeof(*p));
    uint64_t n = 3 + ph_rng_below(rng, PROGRAM_INSTRUCTIONS - 10);
    p->starts[p->n_starts++] = 0;
    put(p, BC_OP_stack_reserve, 1);
    put(p, ph_rng_below(rng, 4), 1);
    put(p, ph_rng_below(rng, 6), 1);
    for (uint64_t i = 0; i < n && p->n_jumps < PROGRAM_INSTRUCTIONS; i++) {
        put_instruction(p, rng);
    }
    p->starts[p->n_starts++] = p->size;
    put(p, BC_OP_ret, 1);
    for (uint32_t i = 0; i < p->n_jumps; i++) {
        uint32_t target = p->starts[ph_rng_below(rng, p->n_starts)];
        uint32_t end = p->size;
        p->size = p->jumps[i];
        put(p, target - p->jumps[i], 4);
        p->size = end;
    }
}

static struct kit *open_program(const struct program *p, const struct program *q)
{
    struct kit *kit = kit_open_sized(UINT64_C(64) << 20);
    struct bc_type untyped = {false, (char *)(uintptr_t) "", (char *)(uintptr_t) ""};
    struct bc_parameter parameter = {(char *)(uintptr_t) "a", untyped};
    struct bc_method methods[2] = {
        {.name = (char *)(uintptr_t) "m8",
         .ordinal = 8,
         .code = {(uint8_t *)(uintptr_t)p->code, p->size},
         .has_signature = true,
         .result = untyped,
         .parameters = &parameter,
         .parameter_count = 1},
        {.name = (char *)(uintptr_t) "m16",
         .ordinal = 16,
         .code = {(uint8_t *)(uintptr_t)q->code, q->size},
         .has_signature = true,
         .result = untyped,
         .parameters = &parameter,
         .parameter_count = 1},
    };
    struct bc_class class = {.name = (char *)(uintptr_t) ".boot",
                             .parent = (char *)(uintptr_t) ".internal.object",
                             .version = (char *)(uintptr_t) "",
                             .object_slots = 4,
                             .method_slots = 18,
                             .methods = methods,
                             .method_count = 2};
    struct bc_bytes file;
    assert_int_equal(bc_class_write(&class, &file, NULL), 0);
    kit_class_bytes(kit, ".boot", file.data, file.size);
    ph_free(file.data);
    kit->options.max_stack_bytes = 256 * 1024;
    kit->options.max_threads = 8;
    return kit;
}

/** False: the verifier refused method 8. */
static bool boot(struct kit *kit)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = kit_try_boot(kit, ".boot", &diag);
    assert_true(rc == 0 || rc == PHANTOM_EVERIFY);
    return rc == 0;
}

static void audit(struct kit *kit, uint64_t round)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = pvm_audit(kit->pvm, &diag);
    if (rc != 0) {
        fail_msg("round %llu: %d %s", (unsigned long long)round, rc, diag.text);
    }
}

static void random_bytecode_never_leaves_its_memory(void **state)
{
    (void)state;
    struct ph_rng rng;
    uint64_t seed = ph_rng_seed_from_environment(8151);
    const char *rounds_text = getenv("PH_FUZZ_ROUNDS");
    uint64_t rounds = rounds_text ? strtoull(rounds_text, NULL, 10) : 1500;
    print_message("PH_SEED=%llu\n", (unsigned long long)seed);
    ph_rng_init(&rng, seed);
    uint64_t ran = 0;
    uint64_t finished = 0;
    struct program *p = calloc(2, sizeof(*p));
    assert_non_null(p);
    for (uint64_t round = 0; round < rounds; round++) {
        make_program(&p[0], &rng);
        make_program(&p[1], &rng);
        struct kit *kit = open_program(&p[0], &p[1]);
        kit->options.max_instructions = 20000;
        if (!boot(kit)) {
            kit_close(kit);
            continue;
        }
        ran++;
        int rc = pvm_run(kit->pvm, NULL);
        audit(kit, round);
        char console[512];
        char failure[512];
        snprintf(console, sizeof(console), "%.511s", kit_console(kit));
        snprintf(failure, sizeof(failure), "%.511s", kit->failure);
        bool ended = rc == 0 || rc == PHANTOM_EPROGRAM;
        bool comparable = ended && kit->failures <= 1 && strstr(failure, "memory") == NULL;
        struct pvm_stats stats;
        pvm_stats(kit->pvm, &stats);
        comparable = comparable && stats.threads_started == 1 && stats.instructions < 3000;
        kit_close(kit);
        if (!comparable) {
            continue;
        }
        finished++;
        kit = open_program(&p[0], &p[1]);
        assert_true(boot(kit));
        for (int steps = 0;
             (rc = pvm_step(kit->pvm, 1 + ph_rng_below(&rng, 20), NULL)) == PHANTOM_ETIMEOUT &&
             steps < 4000;
             steps++) {
            kit_reattach(kit);
        }
        audit(kit, round);
        failure[511] = console[511] = '\0';
        if (strncmp(console, kit_console(kit), 511) != 0 ||
            strncmp(failure, kit->failure, 511) != 0) {
            fail_msg("round %llu: '%s' / '%s' became '%s' / '%s'", (unsigned long long)round,
                     console, failure, kit_console(kit), kit->failure);
        }
        kit_close(kit);
    }
    free(p);
    print_message("%llu programs ran, %llu of them compared with a restarted run\n",
                  (unsigned long long)ran, (unsigned long long)finished);
    assert_true(ran * 3 > rounds);
    assert_true(finished * 4 > ran);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytecode_never_leaves_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
