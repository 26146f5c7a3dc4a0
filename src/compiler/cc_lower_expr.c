/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_lower_expr.c - expressions to bytecode. See cc_lower.h.
 */
#include "cc_lower.h"

#include "ph_check.h"

#include <string.h>

static uint32_t cells(const struct cc_type *type)
{
    return type->kind == CC_KIND_LONG || type->kind == CC_KIND_DOUBLE ? 2 : 1;
}

static void prefix(struct cc_lowering *l, const struct cc_type *type)
{
    if (type->kind == CC_KIND_LONG) {
        cc_op(&l->code, BC_OP_prefix_long, (struct cc_effect){0});
    } else if (type->kind == CC_KIND_FLOAT) {
        cc_op(&l->code, BC_OP_prefix_float, (struct cc_effect){0});
    } else if (type->kind == CC_KIND_DOUBLE) {
        cc_op(&l->code, BC_OP_prefix_double, (struct cc_effect){0});
    }
}

/* ---- instructions by name ---- */

static void box(struct cc_lowering *l, const struct cc_type *type)
{
    prefix(l, type);
    cc_op(&l->code, BC_OP_i2o, (struct cc_effect){cells(type), 0, 0, 1});
}

static void unbox(struct cc_lowering *l, const struct cc_type *type)
{
    prefix(l, type);
    cc_op(&l->code, BC_OP_o2i, (struct cc_effect){0, cells(type), 1, 0});
}

static void object_drop(struct cc_lowering *l)
{
    cc_op(&l->code, BC_OP_os_drop, (struct cc_effect){0, 0, 1, 0});
}

static void object_dup(struct cc_lowering *l)
{
    cc_op(&l->code, BC_OP_os_dup, (struct cc_effect){0, 0, 1, 2});
}

void cc_int_constant(struct cc_lowering *l, int64_t value)
{
    struct cc_effect push = {0, 1, 0, 0};
    if (value == 0) {
        cc_op(&l->code, BC_OP_iconst_0, push);
    } else if (value == 1) {
        cc_op(&l->code, BC_OP_iconst_1, push);
    } else if (value > 1 && value < 256) {
        cc_op(&l->code, BC_OP_iconst_8bit, push);
        cc_byte(&l->code, (uint32_t)value);
    } else {
        cc_op(&l->code, BC_OP_iconst_32bit, push);
        cc_word(&l->code, (uint32_t)value);
    }
}

static void wide_constant(struct cc_lowering *l, uint64_t bits)
{
    cc_op(&l->code, BC_OP_iconst_64bit, (struct cc_effect){0, 2, 0, 0});
    cc_word(&l->code, (uint32_t)(bits >> 32));
    cc_word(&l->code, (uint32_t)bits);
}

/* A number as its type: the bit patterns of float and double are ordinary int cells. */
static void number_constant(struct cc_lowering *l, const struct cc_type *type, int64_t integer,
                            double real)
{
    if (type->kind == CC_KIND_INT) {
        cc_int_constant(l, integer);
    } else if (type->kind == CC_KIND_LONG) {
        wide_constant(l, (uint64_t)integer);
    } else if (type->kind == CC_KIND_FLOAT) {
        float narrow = (float)real;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof(bits));
        cc_int_constant(l, (int32_t)bits);
    } else {
        uint64_t bits;
        memcpy(&bits, &real, sizeof(bits));
        wide_constant(l, bits);
    }
}

void cc_summon_class(struct cc_lowering *l, const char *name)
{
    static const struct {
        const char *name;
        enum bc_opcode opcode;
    } short_forms[] = {
        {".internal.class", BC_OP_summon_class_class},
        {".internal.interface", BC_OP_summon_interface_class},
        {".internal.code", BC_OP_summon_code_class},
        {".internal.int", BC_OP_summon_int_class},
        {".internal.string", BC_OP_summon_string_class},
        {".internal.container.array", BC_OP_summon_array_class},
    };
    struct cc_effect push = {0, 0, 0, 1};
    for (size_t i = 0; i < sizeof(short_forms) / sizeof(short_forms[0]); i++) {
        if (strcmp(short_forms[i].name, name) == 0) {
            cc_op(&l->code, short_forms[i].opcode, push);
            return;
        }
    }
    cc_op(&l->code, BC_OP_summon_by_name, push);
    cc_word(&l->code, (uint32_t)strlen(name));
    cc_bytes(&l->code, name, (uint32_t)strlen(name));
}

void cc_lower_call(struct cc_lowering *l, uint32_t ordinal, uint32_t argument_count)
{
    struct cc_code *code = &l->code;
    struct cc_effect effect = {0, 0, argument_count + 1, 1};
    if (argument_count == 0 && ordinal <= 3) {
        cc_op(code, (enum bc_opcode)(BC_OP_short_call_0 + ordinal), effect);
    } else if (argument_count <= 15 && ordinal <= 31) {
        cc_op(code, (enum bc_opcode)(BC_OP_call_00 + ordinal), effect);
        cc_byte(code, argument_count);
    } else if (ordinal <= 15) {
        cc_op(code, BC_OP_call_8bit, effect);
        cc_byte(code, ordinal);
        cc_word(code, argument_count);
    } else {
        cc_op(code, BC_OP_call_32bit, effect);
        cc_word(code, ordinal);
        cc_word(code, argument_count);
    }
}

void cc_static_invoke(struct cc_lowering *l, const char *class_name, uint32_t ordinal,
                      uint32_t argument_count)
{
    cc_summon_class(l, class_name);
    cc_op(&l->code, BC_OP_static_invoke, (struct cc_effect){0, 0, argument_count + 2, 1});
    cc_word(&l->code, ordinal);
    cc_word(&l->code, argument_count);
}

void cc_get_variable(struct cc_lowering *l, const struct cc_variable *v)
{
    if (v->on_int_stack) {
        prefix(l, v->type);
        cc_op(&l->code, BC_OP_is_get32, (struct cc_effect){0, cells(v->type), 0, 0});
    } else {
        cc_op(&l->code, BC_OP_os_get32, (struct cc_effect){0, 0, 0, 1});
    }
    cc_word(&l->code, v->slot);
}

void cc_set_variable(struct cc_lowering *l, const struct cc_variable *v)
{
    if (v->on_int_stack) {
        prefix(l, v->type);
        cc_op(&l->code, BC_OP_is_set32, (struct cc_effect){cells(v->type), 0, 0, 0});
    } else {
        cc_op(&l->code, BC_OP_os_set32, (struct cc_effect){0, 0, 1, 0});
    }
    cc_word(&l->code, v->slot);
}

/* Temporaries nest like the expressions that use them: taken and given back in reverse order. */
static struct cc_variable take_temporary(struct cc_lowering *l, const struct cc_type *type)
{
    struct cc_variable v = {.type = type, .on_int_stack = cc_is_numeric(type)};
    if (v.on_int_stack) {
        v.slot = l->frame.int_slots + l->temporaries_in_use;
        l->temporaries_in_use += cells(type);
        if (l->temporaries_in_use > l->temporaries) {
            l->temporaries = l->temporaries_in_use;
        }
    } else {
        v.slot = l->method->parameter_count + l->frame.object_slots + l->object_temporaries_in_use;
        if (++l->object_temporaries_in_use > l->object_temporaries) {
            l->object_temporaries = l->object_temporaries_in_use;
        }
    }
    return v;
}

static void give_back(struct cc_lowering *l, const struct cc_variable *v)
{
    if (v->on_int_stack) {
        l->temporaries_in_use -= cells(v->type);
    } else {
        l->object_temporaries_in_use--;
    }
}

/* ---- constants of the class ---- */

static uint32_t hash_text(struct cc_text text)
{
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < text.size; i++) {
        hash = (hash ^ (unsigned char)text.data[i]) * 16777619u;
    }
    return hash;
}

static void rehash(struct cc_lowering *l)
{
    struct cc_pool *pool = l->pool;
    pool->bucket_count = pool->bucket_count ? pool->bucket_count * 2 : 64;
    pool->buckets = cc_alloc(l->session, pool->bucket_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < pool->count; i++) {
        uint32_t at = hash_text(pool->texts[i]) & (pool->bucket_count - 1);
        while (pool->buckets[at]) {
            at = (at + 1) & (pool->bucket_count - 1);
        }
        pool->buckets[at] = i + 1;
    }
}

static uint32_t pool_index(struct cc_lowering *l, struct cc_text text)
{
    struct cc_pool *pool = l->pool;
    if (pool->count * 2 >= pool->bucket_count) {
        rehash(l);
    }
    uint32_t at = hash_text(text) & (pool->bucket_count - 1);
    for (; pool->buckets[at]; at = (at + 1) & (pool->bucket_count - 1)) {
        const struct cc_text *other = &pool->texts[pool->buckets[at] - 1];
        if (other->size == text.size && memcmp(other->data, text.data, text.size) == 0) {
            return pool->buckets[at] - 1;
        }
    }
    if (pool->count >= BC_MAX_CONSTANTS) {
        cc_error(l->session, l->class->place, "class has more than %d different strings",
                 BC_MAX_CONSTANTS);
        cc_escape(l->session, PHANTOM_ESOURCE);
    }
    pool->buckets[at] = pool->count + 1;
    CC_PUSH(l->session, pool->texts, pool->count, pool->capacity, text);
    return pool->count - 1;
}

/* ---- numbers ---- */

static void convert(struct cc_lowering *l, const struct cc_type *from, const struct cc_type *to)
{
    static const enum bc_opcode opcodes[] = {BC_OP_fromi, BC_OP_froml, BC_OP_fromf, BC_OP_fromd};
    if (from == to) {
        return;
    }
    prefix(l, to);
    cc_op(&l->code, opcodes[from->kind - CC_KIND_INT],
          (struct cc_effect){cells(from), cells(to), 0, 0});
}

/* Both operands of type `type` are on the int stack; leaves 0 or 1. For int by subtraction, as
   ever; for the others that would lose bits, so a >= b and a <= b are both asked. */
static void equal_numbers(struct cc_lowering *l, const struct cc_type *type)
{
    struct cc_effect compare = {2 * cells(type), 1, 0, 0};
    if (type->kind == CC_KIND_INT) {
        cc_op(&l->code, BC_OP_isublu, compare);
        cc_op(&l->code, BC_OP_log_not, (struct cc_effect){1, 1, 0, 0});
        return;
    }
    struct cc_variable b = take_temporary(l, type);
    struct cc_variable a = take_temporary(l, type);
    cc_set_variable(l, &b);
    cc_set_variable(l, &a);
    cc_get_variable(l, &a);
    cc_get_variable(l, &b);
    prefix(l, type);
    cc_op(&l->code, BC_OP_ige, compare);
    cc_get_variable(l, &a);
    cc_get_variable(l, &b);
    prefix(l, type);
    cc_op(&l->code, BC_OP_ile, compare);
    cc_op(&l->code, BC_OP_iand, (struct cc_effect){2, 1, 0, 0});
    give_back(l, &a);
    give_back(l, &b);
}

/* A number on the int stack becomes an int that is 0 only for 0. */
static void truth_of_number(struct cc_lowering *l, const struct cc_type *type)
{
    if (type->kind != CC_KIND_INT) {
        number_constant(l, type, 0, 0.0);
        equal_numbers(l, type);
        cc_op(&l->code, BC_OP_log_not, (struct cc_effect){1, 1, 0, 0});
    }
}

static enum bc_opcode arithmetic_opcode(enum cc_token_kind operation)
{
    switch ((int)operation) {
    case CC_TOKEN_PLUS: return BC_OP_isum;
    case CC_TOKEN_MINUS: return BC_OP_isublu;
    case CC_TOKEN_TIMES: return BC_OP_imul;
    case CC_TOKEN_DIVIDE: return BC_OP_idivlu;
    case CC_TOKEN_REMAINDER: return BC_OP_iremlu;
    case CC_TOKEN_OR: return BC_OP_ior;
    case CC_TOKEN_AND: return BC_OP_iand;
    case CC_TOKEN_XOR: return BC_OP_ixor;
    case CC_TOKEN_SHL: return BC_OP_ishl;
    case CC_TOKEN_SHR: return BC_OP_ishr;
    case CC_TOKEN_USHR: return BC_OP_ushr;
    case CC_TOKEN_LESS: return BC_OP_ilt;
    case CC_TOKEN_GREATER: return BC_OP_igt;
    case CC_TOKEN_LESS_EQUAL: return BC_OP_ile;
    case CC_TOKEN_GREATER_EQUAL: return BC_OP_ige;
    default: PH_CHECK(!"an operator that is not arithmetic"); return BC_OP_nop;
    }
}

static bool is_shift(enum cc_token_kind operation)
{
    return operation == CC_TOKEN_SHL || operation == CC_TOKEN_SHR || operation == CC_TOKEN_USHR;
}

static bool is_comparison(enum cc_token_kind operation)
{
    return operation == CC_TOKEN_LESS || operation == CC_TOKEN_GREATER ||
           operation == CC_TOKEN_LESS_EQUAL || operation == CC_TOKEN_GREATER_EQUAL;
}

static void lower_arithmetic(struct cc_lowering *l, struct cc_expr *e)
{
    const struct cc_type *operand = e->left->type;
    cc_lower_expr(l, e->left, CC_WANT_INT);
    cc_lower_expr(l, e->right, CC_WANT_INT);
    prefix(l, operand); /* of a shift the count, on top, is an int whatever the value is */
    uint32_t popped = cells(operand) + (is_shift(e->operation) ? 1 : cells(operand));
    cc_op(&l->code, arithmetic_opcode(e->operation),
          (struct cc_effect){popped, is_comparison(e->operation) ? 1 : cells(operand), 0, 0});
}

/* ---- conditions ---- */

int cc_constant_truth(const struct cc_expr *e)
{
    if (e->kind == CC_EXPR_INT) {
        return e->integer != 0;
    }
    if (e->kind == CC_EXPR_UNARY && e->operation == CC_TOKEN_NOT) {
        int truth = cc_constant_truth(e->left);
        return truth < 0 ? -1 : !truth;
    }
    return -1;
}

static bool is_logical(const struct cc_expr *e)
{
    return e->kind == CC_EXPR_BINARY &&
           (e->operation == CC_TOKEN_AND_AND || e->operation == CC_TOKEN_OR_OR);
}

static bool is_equality(const struct cc_expr *e)
{
    return e->kind == CC_EXPR_BINARY &&
           (e->operation == CC_TOKEN_EQUAL || e->operation == CC_TOKEN_NOT_EQUAL);
}

/* && and ||: the second operand is evaluated only if the first does not decide. */
static void branch_logical(struct cc_lowering *l, struct cc_expr *e, bool sense,
                           struct cc_label *label)
{
    bool deciding = e->operation == CC_TOKEN_OR_OR; /* the truth that decides at once */
    if (deciding == sense) {
        cc_lower_branch(l, e->left, sense, label);
        cc_lower_branch(l, e->right, sense, label);
    } else {
        struct cc_label decided = {0};
        cc_lower_branch(l, e->left, deciding, &decided);
        cc_lower_branch(l, e->right, sense, label);
        cc_place_label(&l->code, &decided);
    }
}

void cc_lower_branch(struct cc_lowering *l, struct cc_expr *e, bool sense, struct cc_label *label)
{
    int constant = cc_constant_truth(e);
    if (constant >= 0) {
        if ((constant != 0) == sense) {
            cc_jump(&l->code, BC_OP_jmp, label);
        }
        return;
    }
    if (e->kind == CC_EXPR_UNARY && e->operation == CC_TOKEN_NOT) {
        cc_lower_branch(l, e->left, !sense, label);
        return;
    }
    if (is_logical(e)) {
        branch_logical(l, e, sense, label);
        return;
    }
    bool ints =
        is_equality(e) && e->left->type->kind == CC_KIND_INT && e->right->type->kind == CC_KIND_INT;
    bool jump_if_zero = !sense;
    if (ints) { /* the difference itself is tested */
        cc_lower_expr(l, e->left, CC_WANT_INT);
        cc_lower_expr(l, e->right, CC_WANT_INT);
        cc_op(&l->code, BC_OP_isublu, (struct cc_effect){2, 1, 0, 0});
        jump_if_zero = (e->operation == CC_TOKEN_EQUAL) == sense;
    } else {
        cc_lower_expr(l, e, CC_WANT_INT);
        truth_of_number(l, e->type);
    }
    if (!jump_if_zero) {
        cc_op(&l->code, BC_OP_log_not, (struct cc_effect){1, 1, 0, 0});
    }
    cc_jump(&l->code, BC_OP_jz, label);
}

/* A condition as a value: 0 or 1. */
static void lower_truth(struct cc_lowering *l, struct cc_expr *e)
{
    struct cc_label no = {0};
    struct cc_label end = {0};
    cc_lower_branch(l, e, false, &no);
    cc_int_constant(l, 1);
    cc_jump(&l->code, BC_OP_jmp, &end);
    cc_place_label(&l->code, &no);
    cc_int_constant(l, 0);
    cc_place_label(&l->code, &end);
}

static void lower_equality(struct cc_lowering *l, struct cc_expr *e)
{
    bool negated = e->operation == CC_TOKEN_NOT_EQUAL;
    const struct cc_type *a = e->left->type;
    const struct cc_type *b = e->right->type;
    if (cc_is_numeric(a) && cc_is_numeric(b)) {
        cc_lower_expr(l, e->left, CC_WANT_INT);
        cc_lower_expr(l, e->right, CC_WANT_INT);
        equal_numbers(l, a);
    } else if (a->kind == CC_KIND_NULL || b->kind == CC_KIND_NULL) {
        struct cc_expr *other = a->kind == CC_KIND_NULL ? e->right : e->left;
        cc_lower_expr(l, other, CC_WANT_OBJECT);
        cc_op(&l->code, BC_OP_os_isnull, (struct cc_effect){0, 1, 1, 0});
    } else {
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
        cc_lower_expr(l, e->right, CC_WANT_OBJECT);
        cc_lower_call(l, 4, 1); /* equals */
        unbox(l, l->session->type_int);
    }
    if (negated) {
        cc_op(&l->code, BC_OP_log_not, (struct cc_effect){1, 1, 0, 0});
    }
}

static void lower_binary(struct cc_lowering *l, struct cc_expr *e)
{
    switch ((int)e->operation) {
    case CC_TOKEN_AND_AND:
    case CC_TOKEN_OR_OR: lower_truth(l, e); return;
    case CC_TOKEN_EQUAL:
    case CC_TOKEN_NOT_EQUAL: lower_equality(l, e); return;
    case CC_TOKEN_SAME:
    case CC_TOKEN_NOT_SAME:
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
        cc_lower_expr(l, e->right, CC_WANT_OBJECT);
        cc_op(&l->code, e->operation == CC_TOKEN_SAME ? BC_OP_os_eq : BC_OP_os_neq,
              (struct cc_effect){0, 1, 2, 0});
        return;
    default: break;
    }
    if (!cc_is_numeric(e->type)) { /* + on strings */
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
        cc_lower_expr(l, e->right, CC_WANT_OBJECT);
        cc_lower_call(l, 10, 1); /* concat */
        return;
    }
    lower_arithmetic(l, e);
}

static void lower_unary(struct cc_lowering *l, struct cc_expr *e)
{
    struct cc_effect same = {cells(e->type), cells(e->type), 0, 0};
    if (e->operation == CC_TOKEN_NOT) {
        cc_lower_expr(l, e->left, CC_WANT_INT);
        truth_of_number(l, e->left->type);
        cc_op(&l->code, BC_OP_log_not, (struct cc_effect){1, 1, 0, 0});
    } else if (e->operation == CC_TOKEN_TILDE) {
        cc_lower_expr(l, e->left, CC_WANT_INT);
        prefix(l, e->type);
        cc_op(&l->code, BC_OP_inot, same);
    } else { /* -1 * x, so that the sign of a floating zero comes out right too */
        cc_lower_expr(l, e->left, CC_WANT_INT);
        number_constant(l, e->type, -1, -1.0);
        prefix(l, e->type);
        cc_op(&l->code, BC_OP_imul, (struct cc_effect){2 * cells(e->type), cells(e->type), 0, 0});
    }
}

/* ---- objects ---- */

static void field_instruction(struct cc_lowering *l, const struct cc_field *field, bool save)
{
    struct cc_effect effect =
        save ? (struct cc_effect){0, 0, 1, 0} : (struct cc_effect){0, 0, 0, 1};
    if (field->slot < 256) {
        cc_op(&l->code, save ? BC_OP_os_save8 : BC_OP_os_load8, effect);
        cc_byte(&l->code, field->slot);
    } else {
        cc_op(&l->code, save ? BC_OP_os_save32 : BC_OP_os_load32, effect);
        cc_word(&l->code, field->slot);
    }
}

static void lower_arguments(struct cc_lowering *l, struct cc_expr *e)
{
    for (uint32_t i = 0; i < e->argument_count; i++) {
        cc_lower_expr(l, e->arguments[i], CC_WANT_OBJECT);
    }
}

static void lower_call(struct cc_lowering *l, struct cc_expr *e)
{
    if (e->left) {
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
    } else {
        cc_op(&l->code, BC_OP_summon_this, (struct cc_effect){0, 0, 0, 1});
    }
    lower_arguments(l, e);
    cc_mark_line(&l->code, cc_line_of(e->place));
    cc_lower_call(l, e->ordinal, e->argument_count);
}

static void lower_new(struct cc_lowering *l, struct cc_expr *e)
{
    cc_mark_line(&l->code, cc_line_of(e->place));
    cc_summon_class(l, e->class->name);
    cc_op(&l->code, BC_OP_new, (struct cc_effect){0, 0, 1, 1});
    if (!e->method) {
        return;
    }
    lower_arguments(l, e);
    cc_op(&l->code, BC_OP_os_pull32, (struct cc_effect){0, 0, 0, 1});
    cc_word(&l->code, e->argument_count);
    cc_mark_line(&l->code, cc_line_of(e->place));
    cc_static_invoke(l, e->class->name, e->method->ordinal, e->argument_count);
    object_drop(l);
}

/* The object on top must be null or of the class. An interface is no class at run time: the call
   itself finds out. */
static void check_class(struct cc_lowering *l, const struct cc_type *type, bool null_allowed)
{
    struct cc_label is_null = {0};
    if (type->kind == CC_KIND_CLASS && type->class->is_interface) {
        return;
    }
    if (null_allowed) {
        object_dup(l);
        cc_op(&l->code, BC_OP_os_isnull, (struct cc_effect){0, 1, 1, 0});
        cc_op(&l->code, BC_OP_log_not, (struct cc_effect){1, 1, 0, 0});
        cc_jump(&l->code, BC_OP_jz, &is_null);
    }
    cc_summon_class(l, cc_runtime_class(l->session, type));
    cc_op(&l->code, BC_OP_cast, (struct cc_effect){0, 0, 2, 1});
    cc_place_label(&l->code, &is_null);
}

/* ---- assignment ---- */

/* Stack on which a variable or field of the target takes its value. */
static bool target_on_int_stack(const struct cc_expr *target)
{
    return target->kind == CC_EXPR_LOCAL && target->variable->on_int_stack;
}

static void store(struct cc_lowering *l, const struct cc_expr *target)
{
    if (target->kind == CC_EXPR_LOCAL) {
        cc_set_variable(l, target->variable);
    } else {
        field_instruction(l, target->field, true);
    }
}

static void hold_element(struct cc_lowering *l, const struct cc_expr *e)
{
    cc_lower_expr(l, e->left->left, CC_WANT_OBJECT);
    cc_set_variable(l, e->held_array);
    cc_lower_expr(l, e->left->right, CC_WANT_INT);
    cc_set_variable(l, e->held_index);
}

/* a[i] = v. The machine takes value, then index. Leaves v if used. */
static void assign_element(struct cc_lowering *l, struct cc_expr *e, bool used)
{
    struct cc_variable kept = {0};
    if (e->held_array) {
        hold_element(l, e);
        cc_get_variable(l, e->held_array);
    } else {
        cc_lower_expr(l, e->left->left, CC_WANT_OBJECT);
    }
    cc_lower_expr(l, e->right, CC_WANT_OBJECT);
    if (used) {
        kept = take_temporary(l, l->session->type_unknown);
        object_dup(l);
        cc_set_variable(l, &kept);
    }
    if (e->held_array) {
        cc_get_variable(l, e->held_index);
        box(l, l->session->type_int);
    } else {
        cc_lower_expr(l, e->left->right, CC_WANT_OBJECT);
    }
    cc_mark_line(&l->code, cc_line_of(e->place));
    cc_lower_call(l, 11, 2);
    object_drop(l);
    if (used) {
        cc_get_variable(l, &kept);
        give_back(l, &kept);
    }
}

static void lower_assign(struct cc_lowering *l, struct cc_expr *e, bool used)
{
    if (e->left->kind == CC_EXPR_INDEX) {
        assign_element(l, e, used);
        return;
    }
    bool on_int_stack = target_on_int_stack(e->left);
    cc_lower_expr(l, e->right, on_int_stack ? CC_WANT_INT : CC_WANT_OBJECT);
    if (used && on_int_stack) {
        prefix(l, e->type);
        cc_op(&l->code, BC_OP_is_dup, (struct cc_effect){cells(e->type), 2 * cells(e->type), 0, 0});
    } else if (used) {
        object_dup(l);
    }
    store(l, e->left);
}

static void add_step(struct cc_lowering *l, const struct cc_expr *e)
{
    number_constant(l, e->type, 1, 1.0);
    prefix(l, e->type);
    cc_op(&l->code, e->operation == CC_TOKEN_PLUS ? BC_OP_isum : BC_OP_isublu,
          (struct cc_effect){2 * cells(e->type), cells(e->type), 0, 0});
}

/* ++ and --. If used, the old or the new value stays on the int stack. */
static void lower_step(struct cc_lowering *l, struct cc_expr *e, bool used)
{
    struct cc_effect dup = {cells(e->type), 2 * cells(e->type), 0, 0};
    bool element = e->left->kind == CC_EXPR_INDEX;
    if (element) {
        hold_element(l, e);
    }
    cc_lower_expr(l, element ? e->right : e->left, CC_WANT_INT);
    if (used && !e->is_prefix) {
        prefix(l, e->type);
        cc_op(&l->code, BC_OP_is_dup, dup);
    }
    add_step(l, e);
    if (used && e->is_prefix) {
        prefix(l, e->type);
        cc_op(&l->code, BC_OP_is_dup, dup);
    }
    if (!element) {
        if (!target_on_int_stack(e->left)) {
            box(l, e->type);
        }
        store(l, e->left);
        return;
    }
    struct cc_variable value = take_temporary(l, e->type);
    cc_set_variable(l, &value);
    cc_get_variable(l, e->held_array);
    cc_get_variable(l, &value);
    box(l, e->type);
    cc_get_variable(l, e->held_index);
    box(l, l->session->type_int);
    cc_lower_call(l, 11, 2);
    object_drop(l);
    give_back(l, &value);
}

/* ---- one expression ---- */

/* The value on the stack it arrives on by nature. Returns that stack. */
static enum cc_want lower_natural(struct cc_lowering *l, struct cc_expr *e)
{
    struct cc_code *code = &l->code;
    switch (e->kind) {
    case CC_EXPR_INT: number_constant(l, e->type, e->integer, 0.0); return CC_WANT_INT;
    case CC_EXPR_REAL: number_constant(l, e->type, 0, e->real); return CC_WANT_INT;
    case CC_EXPR_STRING:
        cc_op(code, BC_OP_const_pool, (struct cc_effect){0, 0, 0, 1});
        cc_word(code, pool_index(l, e->text));
        return CC_WANT_OBJECT;
    case CC_EXPR_NULL:
        cc_op(code, BC_OP_summon_null, (struct cc_effect){0, 0, 0, 1});
        return CC_WANT_OBJECT;
    case CC_EXPR_THIS:
        cc_op(code, BC_OP_summon_this, (struct cc_effect){0, 0, 0, 1});
        return CC_WANT_OBJECT;
    case CC_EXPR_LOCAL:
        cc_get_variable(l, e->variable);
        return e->variable->on_int_stack ? CC_WANT_INT : CC_WANT_OBJECT;
    case CC_EXPR_FIELD: field_instruction(l, e->field, false); return CC_WANT_OBJECT;
    case CC_EXPR_INDEX:
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
        cc_lower_expr(l, e->right, CC_WANT_OBJECT);
        cc_lower_call(l, 10, 1);
        return CC_WANT_OBJECT;
    case CC_EXPR_CALL: lower_call(l, e); return CC_WANT_OBJECT;
    case CC_EXPR_NEW: lower_new(l, e); return CC_WANT_OBJECT;
    case CC_EXPR_NEW_DYNAMIC:
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
        cc_op(code, BC_OP_new, (struct cc_effect){0, 0, 1, 1});
        return CC_WANT_OBJECT;
    case CC_EXPR_ASSIGN:
        lower_assign(l, e, true);
        return target_on_int_stack(e->left) ? CC_WANT_INT : CC_WANT_OBJECT;
    case CC_EXPR_STEP: lower_step(l, e, true); return CC_WANT_INT;
    case CC_EXPR_BINARY:
        lower_binary(l, e);
        return cc_is_numeric(e->type) ? CC_WANT_INT : CC_WANT_OBJECT;
    case CC_EXPR_UNARY: lower_unary(l, e); return CC_WANT_INT;
    case CC_EXPR_CONVERT:
        cc_lower_expr(l, e->left, CC_WANT_INT);
        convert(l, e->left->type, e->type);
        return CC_WANT_INT;
    case CC_EXPR_CHECKED:
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
        check_class(l, e->type, true);
        return CC_WANT_OBJECT;
    case CC_EXPR_UNBOX:
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
        check_class(l, e->type, false);
        return CC_WANT_OBJECT;
    case CC_EXPR_RETYPE:
        if (cc_is_numeric(e->left->type) && cc_is_numeric(e->type)) {
            return lower_natural(l, e->left);
        }
        cc_lower_expr(l, e->left, CC_WANT_OBJECT);
        return CC_WANT_OBJECT;
    case CC_EXPR_NAME:
    case CC_EXPR_MEMBER:
    case CC_EXPR_FILE:
    case CC_EXPR_CAST: break;
    }
    PH_CHECK(!"an expression the checker did not finish");
    return CC_WANT_OBJECT;
}

void cc_lower_expr(struct cc_lowering *l, struct cc_expr *e, enum cc_want want)
{
    enum cc_want natural = lower_natural(l, e);
    if (natural == want) {
        return;
    }
    PH_CHECK(cc_is_numeric(e->type));
    if (want == CC_WANT_OBJECT) {
        box(l, e->type);
    } else {
        unbox(l, e->type);
    }
}

void cc_lower_effect(struct cc_lowering *l, struct cc_expr *e)
{
    if (e->kind == CC_EXPR_ASSIGN) {
        lower_assign(l, e, false);
    } else if (e->kind == CC_EXPR_STEP) {
        lower_step(l, e, false);
    } else if (lower_natural(l, e) == CC_WANT_OBJECT) {
        object_drop(l);
    } else {
        prefix(l, e->type);
        cc_op(&l->code, BC_OP_is_drop, (struct cc_effect){cells(e->type), 0, 0, 0});
    }
}
