/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_verifier.c - the checks of bc_verify.h. No state outside struct verifier.
 *
 * Pass 1 (structure) marks one byte of `map` per code byte: start of an instruction, inside of
 * one, target of a jump. It walks from each target in a straight line until a path ends or code is
 * met that was walked before; such a meeting place is always a target, because two walks that met
 * elsewhere would overlap, which is refused.
 *
 * Pass 2 (depths) therefore needs depths only at targets. It walks from each target once, carrying
 * the depths, and compares them where a walk arrives at a target that has depths already. The first
 * disagreement or impossible pop ends the pass: the method is irregular. Nothing is iterated, so
 * both passes are linear in the size of the code (plus a binary search per jump).
 *
 * Int constants are carried along a straight line only (struct constants), for the argument count
 * of dynamic_invoke and sys_8bit; at a target nothing is known.
 */
#include "bc_opcodes.h"
#include "bc_verify.h"
#include "bytecode_internal.h"
#include "ph_error.h"
#include "ph_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { MAP_START = 1, MAP_INSIDE = 2, MAP_TARGET = 4 };

/* A growing list of code offsets. */
struct offsets {
    uint32_t *items;
    uint32_t count;
    uint32_t capacity;
};

/* The frame at one point of the code. 64 bits: sums of operands cannot wrap. */
struct depths {
    uint64_t objects;
    uint64_t ints;
    uint32_t catchers;
};

struct target {
    uint32_t offset;
    bool is_known;
    struct depths depths;
};

enum { CONSTANTS_KEPT = 8 };

/* The int cells whose value is known, lowest cell first. */
struct constants {
    uint32_t count;
    struct {
        uint64_t cell;
        int32_t value;
    } known[CONSTANTS_KEPT];
};

struct verifier {
    const struct bc_verify_context *context;
    const uint8_t *code;
    uint32_t size;
    struct phantom_diag *diag;
    uint8_t *map;
    struct offsets work;
    struct target *targets; /* sorted by offset */
    uint32_t target_count;
    bool jumps_to_start; /* offset 0 is not only the entry */
    struct bc_code_facts facts;
};

static int refuse(struct verifier *verifier, uint32_t offset, const char *cause)
{
    const struct bc_verify_context *context = verifier->context;
    return ph_fail(verifier->diag, PHANTOM_EVERIFY,
                   "class %.160s, method %.100s (ordinal %" PRIu32 "), code offset %" PRIu32 ": %s",
                   context->class_name ? context->class_name : "?",
                   context->method_name ? context->method_name : "?", context->ordinal, offset,
                   cause);
}

static int push_work(struct verifier *verifier, uint32_t offset)
{
    struct offsets *work = &verifier->work;
    if (work->count == work->capacity) {
        uint32_t wanted = work->capacity ? work->capacity * 2 : 32;
        uint32_t *grown = ph_realloc(work->items, (size_t)wanted * sizeof *grown);
        if (!grown) {
            return ph_fail(verifier->diag, -ENOMEM, "out of memory");
        }
        work->items = grown;
        work->capacity = wanted;
    }
    work->items[work->count++] = offset;
    return 0;
}

static bool ends_path(uint8_t opcode)
{
    return opcode == BC_OP_jmp || opcode == BC_OP_ret || opcode == BC_OP_throw;
}

/* ---- pass 1: structure ---- */

static const char *call_problem(int64_t ordinal, int64_t argument_count)
{
    if (ordinal < 0 || ordinal >= BC_MAX_METHOD_SLOTS) {
        return "call ordinal out of range";
    }
    if (argument_count < 0 || argument_count > BC_MAX_ARGUMENTS) {
        return "argument count of the call out of range";
    }
    return NULL;
}

/* What is wrong with the operands themselves, whatever the stacks look like; NULL: nothing. */
static const char *operand_problem(const struct bc_verify_context *context,
                                   const struct bc_instruction *instruction)
{
    switch (instruction->opcode) {
    case BC_OP_os_load8:
    case BC_OP_os_save8:
    case BC_OP_os_load32:
    case BC_OP_os_save32:
    case BC_OP_is_load8:
    case BC_OP_is_save8:
        return instruction->first < 0 || instruction->first >= context->field_limit
                   ? "field slot out of range"
                   : NULL;
    case BC_OP_const_pool:
        return instruction->first < 0 || instruction->first >= context->constant_limit
                   ? "constant index out of range"
                   : NULL;
    case BC_OP_os_get32:
    case BC_OP_os_set32:
    case BC_OP_os_pull32:
    case BC_OP_is_get32:
    case BC_OP_is_set32: return instruction->first < 0 ? "negative cell index" : NULL;
    case BC_OP_call_8bit:
    case BC_OP_call_32bit:
    case BC_OP_static_invoke: return call_problem(instruction->first, instruction->second);
    case BC_OP_sys_8bit: return context->allow_sys ? NULL : "sys_8bit is not allowed here";
    default: return NULL;
    }
}

static int mark_target(struct verifier *verifier, uint32_t target, uint32_t from)
{
    uint8_t *mark = &verifier->map[target];
    if (target == 0 && verifier->map[0] != 0) {
        verifier->jumps_to_start = true;
    }
    if (*mark & MAP_INSIDE) {
        return refuse(verifier, from, "jump into the middle of an instruction");
    }
    if (*mark & MAP_TARGET) {
        return 0;
    }
    *mark |= MAP_TARGET;
    verifier->target_count++;
    /* Walked already: only the mark was missing. */
    return *mark & MAP_START ? 0 : push_work(verifier, target);
}

static int mark_targets(struct verifier *verifier, const struct bc_instruction *instruction)
{
    if (instruction->kind == BC_OPERAND_REL) {
        return mark_target(verifier, instruction->target, instruction->offset);
    }
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < instruction->switch_count; i++) {
        result = mark_target(verifier, bc_switch_target(instruction, i), instruction->offset);
    }
    return result;
}

/* Bytes [start, end) belong to one instruction (with its prefix). */
static int mark_instruction(struct verifier *verifier, uint32_t start, uint32_t end)
{
    for (uint32_t i = start; i < end; i++) {
        bool clash = i == start ? verifier->map[i] & MAP_INSIDE : verifier->map[i] != 0;
        if (clash) {
            return refuse(verifier, start,
                          "jump into the middle of an instruction, or between prefix and "
                          "instruction");
        }
        verifier->map[i] |= i == start ? MAP_START : MAP_INSIDE;
    }
    return 0;
}

static int refuse_decode(struct verifier *verifier, enum bc_decode_status status, uint32_t offset)
{
    if (status == BC_DECODE_END) {
        return refuse(verifier, offset, "execution runs off the end of the code");
    }
    return refuse(verifier, offset, bc_decode_status_text(status));
}

/*
 * The instruction at offset, after its prefix if it has one.
 * @param[out] prefix  0 or the prefix opcode
 */
static int decode_prefixed(struct verifier *verifier, uint32_t offset, uint8_t *prefix,
                           struct bc_instruction *out)
{
    *prefix = 0;
    enum bc_decode_status status = bc_decode(verifier->code, verifier->size, offset, out);
    if (status == BC_DECODE_OK && bc_opcode_is_prefix(out->opcode)) {
        *prefix = out->opcode;
        status = bc_decode(verifier->code, verifier->size, ++offset, out);
        if (status == BC_DECODE_OK && bc_opcode_is_prefix(out->opcode)) {
            return refuse(verifier, offset, "prefix before a prefix");
        }
    }
    return status == BC_DECODE_OK ? 0 : refuse_decode(verifier, status, offset);
}

/* From offset until the path ends or meets walked code. */
static int walk_structure(struct verifier *verifier, uint32_t offset)
{
    for (;;) {
        if (offset < verifier->size && verifier->map[offset] & MAP_START) {
            return 0;
        }
        struct bc_instruction instruction;
        uint8_t prefix = 0;
        int result = decode_prefixed(verifier, offset, &prefix, &instruction);
        if (result < 0) {
            return result;
        }
        const char *problem = operand_problem(verifier->context, &instruction);
        if (problem) {
            return refuse(verifier, instruction.offset, problem);
        }
        uint32_t end = instruction.offset + instruction.length;
        /* A target just marked inside these bytes is found by mark_target. */
        result = mark_instruction(verifier, offset, end);
        if (result == 0) {
            result = mark_targets(verifier, &instruction);
        }
        if (result < 0 || ends_path(instruction.opcode)) {
            return result;
        }
        offset = end;
    }
}

static int check_structure(struct verifier *verifier)
{
    int result = 0;
    if (verifier->size == 0) {
        return refuse(verifier, 0, "method without code");
    }
    verifier->map = ph_zalloc(verifier->size, 1);
    if (!verifier->map) {
        return ph_fail(verifier->diag, -ENOMEM, "out of memory");
    }
    result = mark_target(verifier, 0, 0);
    while (result == 0 && verifier->work.count > 0) {
        result = walk_structure(verifier, verifier->work.items[--verifier->work.count]);
    }
    return result;
}

/* ---- pass 2: depths ---- */

/* Change of the frame by one instruction: pops first, then pushes. */
struct effect {
    uint32_t object_pops;
    uint32_t object_pushes;
    uint32_t int_pops;
    uint32_t int_pushes;
    const char *problem; /* irregular for this cause */
};

static int irregular(struct verifier *verifier, uint32_t offset, const char *cause)
{
    verifier->facts = (struct bc_code_facts){
        .regular = false,
        .irregular_cause = cause,
        .irregular_offset = offset,
    };
    return 1;
}

static void note_constant(struct constants *constants, uint64_t cell, int32_t value)
{
    if (constants->count == CONSTANTS_KEPT) { /* forget the lowest */
        memmove(&constants->known[0], &constants->known[1],
                (CONSTANTS_KEPT - 1) * sizeof constants->known[0]);
        constants->count--;
    }
    constants->known[constants->count].cell = cell;
    constants->known[constants->count].value = value;
    constants->count++;
}

/* Cells [cell, cell + count) got an unknown value; all above `depth` are gone. */
static void forget_cells(struct constants *constants, uint64_t cell, uint64_t count, uint64_t depth)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < constants->count; i++) {
        uint64_t at = constants->known[i].cell;
        if (at < depth && (at < cell || at >= cell + count)) {
            constants->known[kept++] = constants->known[i];
        }
    }
    constants->count = kept;
}

/* The value of the top int cell, or -1 when unknown or not a possible argument count. */
static int32_t top_count(const struct constants *constants, const struct depths *depths)
{
    if (constants->count == 0 || depths->ints == 0 ||
        constants->known[constants->count - 1].cell != depths->ints - 1) {
        return -1;
    }
    int32_t value = constants->known[constants->count - 1].value;
    return value <= BC_MAX_ARGUMENTS ? value : -1;
}

static struct effect objects(uint32_t pops, uint32_t pushes)
{
    return (struct effect){.object_pops = pops, .object_pushes = pushes};
}

static struct effect ints(uint32_t pops, uint32_t pushes)
{
    return (struct effect){.int_pops = pops, .int_pushes = pushes};
}

static struct effect both(uint32_t object_pops, uint32_t object_pushes, uint32_t int_pops,
                          uint32_t int_pushes)
{
    return (struct effect){object_pops, object_pushes, int_pops, int_pushes, NULL};
}

static struct effect unknown_effect(const char *problem)
{
    return (struct effect){.problem = problem};
}

/* Arithmetic, comparison, conversion: int stack only. width: cells of the prefix type. */
static struct effect int_effect(uint8_t opcode, uint32_t width, bool is_floating)
{
    switch (opcode) {
    case BC_OP_isum:
    case BC_OP_imul:
    case BC_OP_isubul:
    case BC_OP_isublu:
    case BC_OP_idivul:
    case BC_OP_idivlu:
    case BC_OP_iremul:
    case BC_OP_iremlu: return ints(2 * width, width);
    case BC_OP_ige:
    case BC_OP_ile:
    case BC_OP_igt:
    case BC_OP_ilt: return ints(2 * width, 1);
    case BC_OP_fromi:
    case BC_OP_fromf: return ints(1, width);
    case BC_OP_froml:
    case BC_OP_fromd: return ints(2, width);
    default: break;
    }
    if (is_floating) {
        return unknown_effect("integer instruction with float or double prefix");
    }
    switch (opcode) {
    case BC_OP_ior:
    case BC_OP_iand:
    case BC_OP_ixor:
    case BC_OP_log_or:
    case BC_OP_log_and:
    case BC_OP_log_xor: return ints(2 * width, width);
    case BC_OP_inot:
    case BC_OP_log_not: return ints(width, width);
    case BC_OP_ishl:
    case BC_OP_ishr:
    case BC_OP_ushr: return ints(width + 1, width);
    default: return unknown_effect("instruction without known effect");
    }
}

/* Instructions that work on the object stack, some of them on one int as well. */
static struct effect object_effect(uint8_t opcode, uint32_t width, bool is_floating)
{
    switch (opcode) {
    case BC_OP_os_dup: return objects(1, 2);
    case BC_OP_os_drop:
    case BC_OP_os_save8:
    case BC_OP_os_save32:
    case BC_OP_os_set32:
    case BC_OP_push_catcher:
    case BC_OP_throw:
    case BC_OP_general_lock:
    case BC_OP_general_unlock: return objects(1, 0);
    case BC_OP_os_load8:
    case BC_OP_os_load32:
    case BC_OP_os_pull32:
    case BC_OP_os_get32:
    case BC_OP_sconst_bin:
    case BC_OP_const_pool:
    case BC_OP_summon_thread:
    case BC_OP_summon_this:
    case BC_OP_summon_null:
    case BC_OP_summon_class_class:
    case BC_OP_summon_int_class:
    case BC_OP_summon_string_class:
    case BC_OP_summon_interface_class:
    case BC_OP_summon_code_class:
    case BC_OP_summon_array_class:
    case BC_OP_summon_by_name: return objects(0, 1);
    case BC_OP_new: return objects(1, 1);
    case BC_OP_cast: return objects(2, 1);
    case BC_OP_i2o: return both(0, 1, width, 0);
    case BC_OP_o2i: return both(1, 0, 0, width);
    case BC_OP_os_eq:
    case BC_OP_os_neq: return both(2, 0, 0, 1);
    case BC_OP_os_isnull: return both(1, 0, 0, 1);
    default: return int_effect(opcode, width, is_floating);
    }
}

/* Control flow, constants and int locals. */
static struct effect plain_effect(const struct bc_instruction *instruction, uint32_t width,
                                  bool is_floating)
{
    switch (instruction->opcode) {
    case BC_OP_nop:
    case BC_OP_debug:
    case BC_OP_jmp:
    case BC_OP_ret:
    case BC_OP_pop_catcher: return objects(0, 0);
    case BC_OP_djnz: return ints(1, 1);
    case BC_OP_jz:
    case BC_OP_switch:
    case BC_OP_arg_count:
    case BC_OP_is_save8: return ints(1, 0);
    case BC_OP_is_dup: return ints(width, 2 * width);
    case BC_OP_is_drop:
    case BC_OP_is_set32: return ints(width, 0);
    case BC_OP_iconst_0:
    case BC_OP_iconst_1:
    case BC_OP_iconst_8bit:
    case BC_OP_iconst_32bit:
    case BC_OP_is_get32: return ints(0, width);
    case BC_OP_iconst_64bit: return ints(0, 2);
    case BC_OP_is_load8: return ints(0, 1);
    case BC_OP_stack_reserve:
        return both(0, (uint32_t)instruction->first, 0, (uint32_t)instruction->second);
    default: return object_effect(instruction->opcode, width, is_floating);
    }
}

/* Arguments and receiver (and class or name) are popped, the result is pushed. */
static struct effect effect_of(const struct bc_instruction *instruction, uint8_t prefix,
                               const struct constants *constants, const struct depths *depths)
{
    uint8_t opcode = instruction->opcode;
    if (opcode >= BC_OP_call_00 && opcode <= BC_OP_call_1F) {
        return objects((uint32_t)instruction->first + 1, 1);
    }
    switch (opcode) {
    case BC_OP_short_call_0:
    case BC_OP_short_call_1:
    case BC_OP_short_call_2:
    case BC_OP_short_call_3: return objects(1, 1);
    case BC_OP_call_8bit:
    case BC_OP_call_32bit: return objects((uint32_t)instruction->second + 1, 1);
    case BC_OP_static_invoke: return objects((uint32_t)instruction->second + 2, 1);
    case BC_OP_dynamic_invoke:
    case BC_OP_sys_8bit: {
        int32_t count = top_count(constants, depths);
        if (count < 0) {
            return unknown_effect("argument count is not a known constant");
        }
        return both((uint32_t)count + (opcode == BC_OP_sys_8bit ? 0 : 2), 1, 1, 0);
    }
    default:
        return plain_effect(instruction,
                            prefix == BC_OP_prefix_long || prefix == BC_OP_prefix_double ? 2 : 1,
                            prefix == BC_OP_prefix_float || prefix == BC_OP_prefix_double);
    }
}

/* A cell index above the stack; the depths are those before the instruction. NULL: none. */
static const char *cell_problem(const struct bc_instruction *instruction, uint8_t prefix,
                                const struct depths *depths)
{
    uint64_t cell = (uint64_t)instruction->first; /* pass 1: not negative */
    uint64_t width = prefix == BC_OP_prefix_long || prefix == BC_OP_prefix_double ? 2 : 1;
    bool is_above = false;
    switch (instruction->opcode) {
    case BC_OP_os_get32:
    case BC_OP_os_pull32: is_above = cell >= depths->objects; break;
    case BC_OP_os_set32: /* the value is popped first; its own cell is gone then */
        is_above = cell + 1 >= depths->objects;
        break;
    case BC_OP_is_get32: is_above = cell + width > depths->ints; break;
    case BC_OP_is_set32: is_above = cell + 2 * width > depths->ints; break;
    default: break;
    }
    return is_above ? "cell index above the stack" : NULL;
}

static void update_constants(struct constants *constants, const struct bc_instruction *instruction,
                             uint8_t prefix, const struct effect *effect,
                             const struct depths *after)
{
    uint64_t kept = after->ints - effect->int_pushes; /* cells not touched by pops */
    forget_cells(constants, kept, effect->int_pushes, kept);
    if (instruction->opcode == BC_OP_is_set32) {
        uint64_t width = prefix == BC_OP_prefix_long || prefix == BC_OP_prefix_double ? 2 : 1;
        forget_cells(constants, (uint64_t)instruction->first, width, after->ints);
    }
    if (prefix == 0) {
        switch (instruction->opcode) {
        case BC_OP_iconst_0:
        case BC_OP_iconst_1:
            note_constant(constants, kept, instruction->opcode == BC_OP_iconst_1);
            break;
        case BC_OP_iconst_8bit:
        case BC_OP_iconst_32bit: note_constant(constants, kept, (int32_t)instruction->first); break;
        default: break;
        }
    }
}

/* @return NULL, or why the depths are not known afterwards */
static const char *apply(struct verifier *verifier, const struct bc_instruction *instruction,
                         uint8_t prefix, struct depths *depths, struct constants *constants)
{
    struct effect effect = effect_of(instruction, prefix, constants, depths);
    const char *problem = effect.problem;
    if (!problem) {
        problem = cell_problem(instruction, prefix, depths);
    }
    if (problem) {
        return problem;
    }
    if (depths->objects < effect.object_pops) {
        return "object stack underflow";
    }
    if (depths->ints < effect.int_pops) {
        return "int stack underflow";
    }
    depths->objects += effect.object_pushes;
    depths->objects -= effect.object_pops;
    depths->ints += effect.int_pushes;
    depths->ints -= effect.int_pops;
    if (depths->objects > BC_MAX_REGULAR_CELLS || depths->ints > BC_MAX_REGULAR_CELLS) {
        return "frame too large";
    }
    update_constants(constants, instruction, prefix, &effect, depths);
    if (instruction->opcode == BC_OP_arg_count &&
        instruction->first != (int64_t)verifier->facts.argument_count) {
        return "arg_count differs from the declared argument count";
    }
    if (instruction->opcode == BC_OP_pop_catcher) {
        if (depths->catchers == 0) {
            return "pop_catcher without push_catcher";
        }
        depths->catchers--;
    }
    return NULL;
}

static void note_maximum(struct bc_code_facts *facts, const struct depths *depths)
{
    if (depths->objects > facts->max_object_cells) {
        facts->max_object_cells = (uint32_t)depths->objects;
    }
    if (depths->ints > facts->max_int_cells) {
        facts->max_int_cells = (uint32_t)depths->ints;
    }
    if (depths->catchers > facts->max_catchers) {
        facts->max_catchers = depths->catchers;
    }
}

static struct target *find_target(struct verifier *verifier, uint32_t offset)
{
    uint32_t low = 0;
    uint32_t high = verifier->target_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (verifier->targets[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return &verifier->targets[low]; /* pass 1 marked every target */
}

/* A path arrives at a target. @return 0, 1 when irregular, -ENOMEM */
static int arrive(struct verifier *verifier, uint32_t offset, const struct depths *depths)
{
    struct target *target = find_target(verifier, offset);
    if (!target->is_known) {
        target->is_known = true;
        target->depths = *depths;
        note_maximum(&verifier->facts, depths);
        return push_work(verifier, offset);
    }
    if (target->depths.objects != depths->objects) {
        return irregular(verifier, offset, "paths join with different object depths");
    }
    if (target->depths.ints != depths->ints) {
        return irregular(verifier, offset, "paths join with different int depths");
    }
    if (target->depths.catchers != depths->catchers) {
        return irregular(verifier, offset, "paths join with different numbers of catchers");
    }
    return 0;
}

static int follow_jumps(struct verifier *verifier, const struct bc_instruction *instruction,
                        struct depths *depths)
{
    if (instruction->opcode == BC_OP_push_catcher) {
        struct depths at_catch = *depths;
        at_catch.objects++; /* the thrown object; the catcher itself is dropped */
        int result = arrive(verifier, instruction->target, &at_catch);
        depths->catchers++;
        return result;
    }
    if (instruction->kind == BC_OPERAND_REL) {
        return arrive(verifier, instruction->target, depths);
    }
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < instruction->switch_count; i++) {
        result = arrive(verifier, bc_switch_target(instruction, i), depths);
    }
    return result;
}

/* From a target in a straight line to the end of the path or the next target. */
static int walk_depths(struct verifier *verifier, uint32_t offset)
{
    struct depths depths = find_target(verifier, offset)->depths;
    struct constants constants = {0};
    if (offset == 0 && !verifier->jumps_to_start) {
        note_constant(&constants, 0, (int32_t)verifier->facts.argument_count);
    }
    for (;;) {
        struct bc_instruction instruction;
        uint8_t prefix = 0;
        int result = decode_prefixed(verifier, offset, &prefix, &instruction);
        if (result < 0) {
            return result;
        }
        const char *problem = apply(verifier, &instruction, prefix, &depths, &constants);
        if (problem) {
            return irregular(verifier, offset, problem);
        }
        result = follow_jumps(verifier, &instruction, &depths);
        if (result != 0) {
            return result;
        }
        note_maximum(&verifier->facts, &depths);
        if (ends_path(instruction.opcode)) {
            return 0;
        }
        offset = instruction.offset + instruction.length;
        if (verifier->map[offset] & MAP_TARGET) {
            return arrive(verifier, offset, &depths);
        }
    }
}

static int collect_targets(struct verifier *verifier)
{
    verifier->targets = ph_zalloc(verifier->target_count, sizeof *verifier->targets);
    if (!verifier->targets) {
        return ph_fail(verifier->diag, -ENOMEM, "out of memory");
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < verifier->size; i++) {
        if (verifier->map[i] & MAP_TARGET) {
            verifier->targets[count++].offset = i;
        }
    }
    return 0;
}

static int find_depths(struct verifier *verifier)
{
    int32_t declared = verifier->context->argument_count;
    struct bc_instruction first;
    if (declared < 0 && bc_decode(verifier->code, verifier->size, 0, &first) == BC_DECODE_OK &&
        first.opcode == BC_OP_arg_count) {
        declared = (int32_t)first.first; /* no other call gets past it */
    }
    if (declared < 0) {
        return irregular(verifier, 0, "argument count is not known");
    }
    verifier->facts.regular = true;
    verifier->facts.argument_count = (uint32_t)declared;
    int result = collect_targets(verifier);
    if (result == 0) {
        struct depths entry = {.objects = (uint32_t)declared, .ints = 1};
        result = arrive(verifier, 0, &entry);
    }
    while (result == 0 && verifier->work.count > 0) {
        result = walk_depths(verifier, verifier->work.items[--verifier->work.count]);
    }
    return result;
}

int bc_verify_code(const struct bc_verify_context *context, const uint8_t *code, uint32_t size,
                   struct bc_code_facts *facts, struct phantom_diag *diag)
{
    struct verifier verifier = {.context = context, .code = code, .size = size, .diag = diag};
    int result = check_structure(&verifier);
    if (result == 0) {
        result = find_depths(&verifier);
    }
    ph_free(verifier.map);
    ph_free(verifier.work.items);
    ph_free(verifier.targets);
    if (result < 0) {
        return result;
    }
    *facts = verifier.facts;
    return 0;
}

void bc_fill_context(const struct bc_class *class, const struct bc_method *method,
                     uint32_t constant_limit, struct bc_verify_context *context)
{
    *context = (struct bc_verify_context){
        .class_name = class->name,
        .method_name = method->name,
        .ordinal = method->ordinal,
        .argument_count = method->has_signature ? (int32_t)method->parameter_count : -1,
        .constant_limit = constant_limit,
        .field_limit = class->object_slots,
        .allow_sys = false,
    };
}

void bc_method_context(const struct bc_class *class, uint32_t index,
                       struct bc_verify_context *context)
{
    bc_fill_context(class, &class->methods[index], bc_class_constant_limit(class), context);
}

int bc_verify_method(const struct bc_class *class, uint32_t index, struct bc_code_facts *facts,
                     struct phantom_diag *diag)
{
    struct bc_verify_context context;
    const struct bc_method *method = &class->methods[index];
    bc_method_context(class, index, &context);
    return bc_verify_code(&context, method->code.data, method->code.size, facts, diag);
}

int bc_verify_class(const struct bc_class *class, struct phantom_diag *diag)
{
    uint32_t constant_limit = bc_class_constant_limit(class); /* once, not per method */
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < class->method_count; i++) {
        const struct bc_method *method = &class->methods[i];
        struct bc_verify_context context;
        struct bc_code_facts facts;
        bc_fill_context(class, method, constant_limit, &context);
        result = bc_verify_code(&context, method->code.data, method->code.size, &facts, diag);
    }
    return result;
}
