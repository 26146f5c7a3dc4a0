/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bytecode_model.c - is the verifier right when it says "regular"? Random methods are
 * verified; those called regular are then executed many times by a small machine that knows nothing
 * of the verifier: it has its own table of stack effects, takes random branches, and throws
 * exceptions at random places inside catchers. It must never pop below the frame, reach a cell that
 * is not there, leave the code, exceed the reported maxima, or meet one instruction at two
 * different depths.
 */
#include "ph_test.h"

#include "bc_opcodes.h"
#include "bc_verify.h"
#include "ph_rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Stack pictures as in the instruction set's description. Ints: i one cell, l two cells, T as wide
 * as the prefix says, t likewise but no float or double; objects: o. "before>after".
 */
struct model_row {
    uint8_t opcode;
    const char *ints;
    const char *objects;
};

static const struct model_row model[] = {
    {BC_OP_nop, ">", ">"},
    {BC_OP_djnz, "i>i", ">"},
    {BC_OP_jz, "i>", ">"},
    {BC_OP_jmp, ">", ">"},
    {BC_OP_switch, "i>", ">"},
    {BC_OP_ret, ">", ">"},
    {BC_OP_short_call_0, ">", "o>o"},
    {BC_OP_short_call_3, ">", "o>o"},
    {BC_OP_is_dup, "T>TT", ">"},
    {BC_OP_is_drop, "T>", ">"},
    {BC_OP_os_dup, ">", "o>oo"},
    {BC_OP_os_drop, ">", "o>"},
    {BC_OP_os_load8, ">", ">o"},
    {BC_OP_os_save8, ">", "o>"},
    {BC_OP_new, ">", "o>o"},
    {BC_OP_os_pull32, ">", ">o"},
    {BC_OP_os_get32, ">", ">o"},
    {BC_OP_os_set32, ">", "o>"},
    {BC_OP_iconst_0, ">T", ">"},
    {BC_OP_iconst_1, ">T", ">"},
    {BC_OP_iconst_8bit, ">T", ">"},
    {BC_OP_iconst_32bit, ">T", ">"},
    {BC_OP_iconst_64bit, ">l", ">"},
    {BC_OP_is_get32, ">T", ">"},
    {BC_OP_is_set32, "T>", ">"},
    {BC_OP_const_pool, ">", ">o"},
    {BC_OP_stack_reserve, ">", ">"},
    {BC_OP_cast, ">", "oo>o"},
    {BC_OP_push_catcher, ">", "o>"},
    {BC_OP_pop_catcher, ">", ">"},
    {BC_OP_throw, ">", "o>"},
    {BC_OP_summon_thread, ">", ">o"},
    {BC_OP_summon_this, ">", ">o"},
    {BC_OP_summon_null, ">", ">o"},
    {BC_OP_summon_string_class, ">", ">o"},
    {BC_OP_i2o, "T>", ">o"},
    {BC_OP_o2i, ">T", "o>"},
    {BC_OP_isum, "TT>T", ">"},
    {BC_OP_imul, "TT>T", ">"},
    {BC_OP_isubul, "TT>T", ">"},
    {BC_OP_isublu, "TT>T", ">"},
    {BC_OP_idivul, "TT>T", ">"},
    {BC_OP_idivlu, "TT>T", ">"},
    {BC_OP_iremul, "TT>T", ">"},
    {BC_OP_iremlu, "TT>T", ">"},
    {BC_OP_ior, "tt>t", ">"},
    {BC_OP_iand, "tt>t", ">"},
    {BC_OP_ixor, "tt>t", ">"},
    {BC_OP_inot, "t>t", ">"},
    {BC_OP_log_or, "tt>t", ">"},
    {BC_OP_log_and, "tt>t", ">"},
    {BC_OP_log_xor, "tt>t", ">"},
    {BC_OP_log_not, "t>t", ">"},
    {BC_OP_is_load8, ">i", ">"},
    {BC_OP_is_save8, "i>", ">"},
    {BC_OP_ige, "TT>i", ">"},
    {BC_OP_ile, "TT>i", ">"},
    {BC_OP_igt, "TT>i", ">"},
    {BC_OP_ilt, "TT>i", ">"},
    {BC_OP_os_eq, ">i", "oo>"},
    {BC_OP_os_neq, ">i", "oo>"},
    {BC_OP_os_isnull, ">i", "o>"},
    {BC_OP_general_lock, ">", "o>"},
    {BC_OP_general_unlock, ">", "o>"},
    {BC_OP_static_invoke, ">", ">"},  /* objects by operand */
    {BC_OP_call_8bit, ">", ">"},      /* likewise */
    {BC_OP_call_12, ">", ">"},        /* likewise */
    {BC_OP_dynamic_invoke, ">", ">"}, /* objects by value of the top int */
    {BC_OP_ishl, "it>t", ">"},
    {BC_OP_ishr, "it>t", ">"},
    {BC_OP_ushr, "it>t", ">"},
    {BC_OP_arg_count, "i>", ">"},
    {BC_OP_fromi, "i>T", ">"},
    {BC_OP_froml, "l>T", ">"},
    {BC_OP_fromf, "i>T", ">"},
    {BC_OP_fromd, "l>T", ">"},
};

enum {
    ROWS = sizeof model / sizeof model[0],
    MAX_CODE = 1024,
    MAX_INSTRUCTIONS = 40,
    MAX_CATCHERS = MAX_INSTRUCTIONS + 1,
    MAX_CELLS = 4096,
    RUNS = 16,
    STEPS = 400,
    ARGUMENTS = 2,
    FIELDS = 3,
    CONSTANTS = 3
};

static const struct model_row *find_row(uint8_t opcode)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (model[i].opcode == opcode) {
            return &model[i];
        }
    }
    return NULL;
}

/* Cells of one side of a picture. */
static void count_cells(const char *picture, uint8_t prefix, int64_t *before, int64_t *after)
{
    int64_t wide = prefix == BC_OP_prefix_long || prefix == BC_OP_prefix_double ? 2 : 1;
    int64_t *side = before;
    *before = 0;
    *after = 0;
    for (; *picture; picture++) {
        switch (*picture) {
        case '>': side = after; break;
        case 'i':
        case 'o': *side += 1; break;
        case 'l': *side += 2; break;
        default: *side += wide; break;
        }
    }
}

/* ---- random methods ---- */

struct program {
    uint8_t code[MAX_CODE];
    uint32_t size;
    uint32_t starts[MAX_INSTRUCTIONS + 1];
    uint32_t count;
};

static void emit(struct program *program, uint64_t value, unsigned bytes)
{
    while (bytes-- > 0) {
        program->code[program->size++] = (uint8_t)(value >> (8 * bytes));
    }
}

static void emit_operands(struct program *program, struct ph_rng *rng, uint8_t opcode)
{
    switch (bc_opcode_operands(opcode)) {
    case BC_OPERAND_NONE: break;
    case BC_OPERAND_U8:
        emit(program, opcode == BC_OP_arg_count ? ARGUMENTS : ph_rng_below(rng, 3), 1);
        break;
    case BC_OPERAND_I32:
        emit(program, ph_rng_below(rng, opcode == BC_OP_iconst_32bit ? 4 : 3), 4);
        break;
    case BC_OPERAND_I64: emit(program, ph_rng_next(rng), 8); break;
    case BC_OPERAND_REL: /* filled in later */ emit(program, 0, 4); break;
    case BC_OPERAND_U8_U8:
        emit(program, ph_rng_below(rng, 4), 1);
        emit(program, ph_rng_below(rng, 4), 1);
        break;
    case BC_OPERAND_U8_I32:
        emit(program, ph_rng_below(rng, 40), 1);
        emit(program, ph_rng_below(rng, 3), 4);
        break;
    case BC_OPERAND_I32_I32:
        emit(program, ph_rng_below(rng, 40), 4);
        emit(program, ph_rng_below(rng, 3), 4);
        break;
    case BC_OPERAND_SWITCH:
        emit(program, 2, 4);
        emit(program, 0, 4);
        emit(program, 1, 4);
        emit(program, 0, 8);
        break;
    case BC_OPERAND_STRING:
    case BC_OPERAND_DEBUG: fail();
    }
}

static void store_rel(struct program *program, uint32_t at, uint32_t target)
{
    uint32_t displacement = target - at;
    for (unsigned i = 0; i < 4; i++) {
        program->code[at + i] = (uint8_t)(displacement >> (24 - 8 * i));
    }
}

/* Jumps go to the start of an instruction, mostly a near one: depths agree there more often. */
static uint32_t pick_target(const struct program *program, struct ph_rng *rng, uint32_t from)
{
    uint64_t index = ph_rng_below(rng, program->count);
    if (ph_rng_below(rng, 4) != 0) {
        index = from + ph_rng_below(rng, 5);
        index = index >= 2 ? index - 2 : 0;
    }
    return program->starts[index < program->count ? index : program->count - 1];
}

static void fix_jumps(struct program *program, struct ph_rng *rng)
{
    for (uint32_t i = 0; i < program->count; i++) {
        uint32_t at = program->starts[i];
        at += bc_opcode_is_prefix(program->code[at]) ? 1 : 0;
        enum bc_operand_kind kind = bc_opcode_operands(program->code[at]);
        if (kind == BC_OPERAND_REL) {
            store_rel(program, at + 1, pick_target(program, rng, i));
        } else if (kind == BC_OPERAND_SWITCH) {
            store_rel(program, at + 13, pick_target(program, rng, i));
            store_rel(program, at + 17, pick_target(program, rng, i));
        }
    }
}

/* A start that gives every method cells to work with; then anything; then ret. */
static void make_program(struct program *program, struct ph_rng *rng)
{
    program->size = 0;
    program->count = 0;
    uint64_t length = 1 + ph_rng_below(rng, MAX_INSTRUCTIONS - 3);
    for (uint64_t i = 0; i < length + 2; i++) {
        program->starts[program->count++] = program->size;
        if (i == 0) {
            emit(program, BC_OP_stack_reserve, 1);
            emit(program, 4, 1);
            emit(program, 6, 1);
            continue;
        }
        if (i == length + 1) {
            emit(program, BC_OP_ret, 1);
            continue;
        }
        if (ph_rng_below(rng, 4) == 0) {
            emit(program, BC_OP_prefix_long + ph_rng_below(rng, 3), 1);
        }
        uint8_t opcode = model[ph_rng_below(rng, ROWS)].opcode;
        emit(program, opcode, 1);
        emit_operands(program, rng, opcode);
    }
    fix_jumps(program, rng);
}

/* ---- the machine ---- */

struct catcher {
    uint32_t target;
    int64_t objects;
    int64_t ints;
};

struct machine {
    const struct program *program;
    const struct bc_code_facts *facts;
    struct ph_rng *rng;
    int64_t objects;
    int64_t ints;
    int32_t cells[MAX_CELLS]; /* values of the int cells */
    struct catcher catchers[MAX_CATCHERS];
    uint32_t catcher_count;
    uint32_t offset;
    bool has_ended;
};

static void require(const struct machine *machine, bool condition, const char *what)
{
    if (!condition) {
        print_error("offset %u: %s; objects %lld, ints %lld, code:\n", machine->offset, what,
                    (long long)machine->objects, (long long)machine->ints);
        for (uint32_t i = 0; i < machine->program->size; i++) {
            print_error("%02x ", machine->program->code[i]);
        }
        print_error("\n");
        fail();
    }
}

static void require_depths(const struct machine *machine)
{
    require(machine, machine->objects >= 0 && machine->ints >= 0, "popped below the frame");
    require(machine, machine->objects <= machine->facts->max_object_cells, "object maximum");
    require(machine, machine->ints <= machine->facts->max_int_cells, "int maximum");
    require(machine, machine->catcher_count <= machine->facts->max_catchers, "catcher maximum");
}

static void change(struct machine *machine, int64_t object_pops, int64_t object_pushes,
                   int64_t int_pops, int64_t int_pushes)
{
    machine->objects -= object_pops;
    machine->ints -= int_pops;
    require_depths(machine);
    for (int64_t i = 0; i < int_pushes; i++) {
        require(machine, machine->ints + i < MAX_CELLS, "more cells than the model has");
        machine->cells[machine->ints + i] = (int32_t)ph_rng_next(machine->rng);
    }
    machine->objects += object_pushes;
    machine->ints += int_pushes;
    require_depths(machine);
}

static void unwind(struct machine *machine)
{
    if (machine->catcher_count == 0) {
        machine->has_ended = true;
        return;
    }
    const struct catcher *catcher = &machine->catchers[--machine->catcher_count];
    machine->objects = catcher->objects + 1;
    machine->ints = catcher->ints;
    machine->offset = catcher->target;
    require_depths(machine);
}

static void check_cells(struct machine *machine, const struct bc_instruction *instruction,
                        int64_t width)
{
    switch (instruction->opcode) {
    case BC_OP_os_get32:
    case BC_OP_os_pull32:
        require(machine, instruction->first < machine->objects, "object cell");
        break;
    case BC_OP_os_set32:
        require(machine, instruction->first < machine->objects - 1, "object cell");
        break;
    case BC_OP_is_get32:
        require(machine, instruction->first + width <= machine->ints, "int cell");
        break;
    case BC_OP_is_set32:
        require(machine, instruction->first + width <= machine->ints - width, "int cell");
        for (int64_t i = 0; i < width; i++) {
            machine->cells[instruction->first + i] = (int32_t)ph_rng_next(machine->rng);
        }
        break;
    default: break;
    }
}

/* Instructions whose effect depends on operands or values. @return false: not such a one */
static bool run_special(struct machine *machine, const struct bc_instruction *instruction)
{
    switch (instruction->opcode) {
    case BC_OP_call_8bit: change(machine, instruction->second + 1, 1, 0, 0); return true;
    case BC_OP_call_12: change(machine, instruction->first + 1, 1, 0, 0); return true;
    case BC_OP_static_invoke: change(machine, instruction->second + 2, 1, 0, 0); return true;
    case BC_OP_dynamic_invoke: {
        require(machine, machine->ints > 0, "count of dynamic_invoke");
        int32_t count = machine->cells[machine->ints - 1];
        require(machine, count >= 0 && count <= BC_MAX_ARGUMENTS, "count of dynamic_invoke");
        change(machine, count + 2, 1, 1, 0);
        return true;
    }
    case BC_OP_stack_reserve:
        change(machine, 0, instruction->first, 0, instruction->second);
        return true;
    default: return false;
    }
}

/* Values that matter later: constants. */
static void note_value(struct machine *machine, const struct bc_instruction *instruction,
                       uint8_t prefix)
{
    if (prefix != 0) {
        return;
    }
    switch (instruction->opcode) {
    case BC_OP_iconst_0: machine->cells[machine->ints - 1] = 0; break;
    case BC_OP_iconst_1: machine->cells[machine->ints - 1] = 1; break;
    case BC_OP_iconst_8bit:
    case BC_OP_iconst_32bit: machine->cells[machine->ints - 1] = (int32_t)instruction->first; break;
    default: break;
    }
}

static void run_control(struct machine *machine, const struct bc_instruction *instruction)
{
    uint64_t coin = ph_rng_below(machine->rng, 3);
    machine->offset = instruction->offset + instruction->length;
    switch (instruction->opcode) {
    case BC_OP_jmp: machine->offset = instruction->target; break;
    case BC_OP_jz:
    case BC_OP_djnz: machine->offset = coin ? instruction->target : machine->offset; break;
    case BC_OP_switch:
        machine->offset =
            coin < 2 ? bc_switch_target(instruction, (uint32_t)coin) : machine->offset;
        break;
    case BC_OP_ret: machine->has_ended = true; break;
    case BC_OP_throw: unwind(machine); break;
    case BC_OP_push_catcher:
        require(machine, machine->catcher_count < machine->facts->max_catchers, "catcher maximum");
        machine->catchers[machine->catcher_count++] =
            (struct catcher){instruction->target, machine->objects, machine->ints};
        break;
    case BC_OP_pop_catcher:
        require(machine, machine->catcher_count > 0, "no catcher to pop");
        machine->catcher_count--;
        break;
    default:
        if (coin == 0 && ph_rng_below(machine->rng, 4) == 0) {
            unwind(machine); /* it threw, after its pops and pushes: they must not matter */
        }
        break;
    }
}

static void step(struct machine *machine)
{
    const struct program *program = machine->program;
    struct bc_instruction instruction;
    uint8_t prefix = 0;
    enum bc_decode_status status =
        bc_decode(program->code, program->size, machine->offset, &instruction);
    if (status == BC_DECODE_OK && bc_opcode_is_prefix(instruction.opcode)) {
        prefix = instruction.opcode;
        status = bc_decode(program->code, program->size, machine->offset + 1, &instruction);
    }
    require(machine, status == BC_DECODE_OK, "cannot be decoded");
    const struct model_row *row = find_row(instruction.opcode);
    require(machine, row != NULL, "instruction of another program");
    if (strchr(row->ints, 't') && prefix != BC_OP_prefix_long) {
        require(machine, prefix == 0, "float or double prefix where there is none");
    }
    int64_t int_pops = 0;
    int64_t int_pushes = 0;
    int64_t object_pops = 0;
    int64_t object_pushes = 0;
    int64_t wide = prefix == BC_OP_prefix_long || prefix == BC_OP_prefix_double ? 2 : 1;
    count_cells(row->ints, prefix, &int_pops, &int_pushes);
    count_cells(row->objects, 0, &object_pops, &object_pushes);
    check_cells(machine, &instruction, wide);
    if (!run_special(machine, &instruction)) {
        change(machine, object_pops, object_pushes, int_pops, int_pushes);
        note_value(machine, &instruction, prefix);
    }
    run_control(machine, &instruction);
}

static void run_program(const struct program *program, const struct bc_code_facts *facts,
                        struct ph_rng *rng)
{
    static int64_t seen_objects[MAX_CODE]; /* depth plus one at each offset; 0: not seen */
    static int64_t seen_ints[MAX_CODE];
    static struct machine machine;
    memset(seen_objects, 0, sizeof seen_objects);
    memset(seen_ints, 0, sizeof seen_ints);
    for (int run = 0; run < RUNS; run++) {
        machine = (struct machine){.program = program, .facts = facts, .rng = rng};
        machine.objects = ARGUMENTS;
        machine.ints = 1;
        machine.cells[0] = ARGUMENTS;
        for (int i = 0; i < STEPS && !machine.has_ended; i++) {
            require(&machine, machine.offset < program->size, "left the code");
            int64_t *objects = &seen_objects[machine.offset];
            int64_t *ints = &seen_ints[machine.offset];
            require(&machine, *objects == 0 || *objects == machine.objects + 1, "object depth");
            require(&machine, *ints == 0 || *ints == machine.ints + 1, "int depth");
            *objects = machine.objects + 1;
            *ints = machine.ints + 1;
            step(&machine);
        }
    }
}

static void regular_methods_run_within_their_facts(void **state)
{
    (void)state;
    static const struct bc_verify_context context = {
        .class_name = ".model",
        .argument_count = ARGUMENTS,
        .constant_limit = CONSTANTS,
        .field_limit = FIELDS,
    };
    uint64_t seed = ph_rng_seed_from_environment(8128);
    print_message("PH_SEED=%llu\n", (unsigned long long)seed);
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    static struct program program;
    uint32_t regular = 0;
    uint32_t refused = 0;
    uint32_t invoked = 0;
    uint32_t caught = 0;
    for (int round = 0; round < 200000; round++) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        struct bc_code_facts facts;
        make_program(&program, &rng);
        int result = bc_verify_code(&context, program.code, program.size, &facts, &diag);
        if (result != 0) {
            print_error("%s\n", diag.text); /* the generator makes only valid structure */
            refused++;
        } else if (facts.regular) {
            regular++;
            invoked += memchr(program.code, BC_OP_dynamic_invoke, program.size) != NULL;
            caught += facts.max_catchers > 0;
            run_program(&program, &facts, &rng);
        }
    }
    print_message("%u regular, %u with catchers\n", regular, caught);
    assert_int_equal(refused, 0);
    assert_true(regular > 20000);
    assert_true(caught > 500);
    assert_true(invoked > 100);
}

static void model_knows_every_kind_of_instruction(void **state)
{
    (void)state;
    /* Not in the model: calls and summons that are like another one there, and what needs strings.
     */
    static const uint8_t like_others[] = {
        BC_OP_debug,
        BC_OP_short_call_1,
        BC_OP_short_call_2,
        BC_OP_call_32bit,
        BC_OP_sys_8bit,
        BC_OP_os_load32,
        BC_OP_os_save32,
        BC_OP_sconst_bin,
        BC_OP_summon_class_class,
        BC_OP_summon_by_name,
        BC_OP_summon_int_class,
        BC_OP_summon_interface_class,
        BC_OP_summon_code_class,
        BC_OP_summon_array_class,
    };
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        bool is_call = opcode >= BC_OP_call_00 && opcode <= BC_OP_call_1F;
        if (bc_opcode_status((uint8_t)opcode) == BC_OPCODE_DEFINED && !is_call &&
            !bc_opcode_is_prefix((uint8_t)opcode) &&
            !memchr(like_others, (int)opcode, sizeof like_others) && !find_row((uint8_t)opcode)) {
            print_error("opcode %02x is not in the model\n", opcode);
            fail();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_knows_every_kind_of_instruction),
        cmocka_unit_test(regular_methods_run_within_their_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
