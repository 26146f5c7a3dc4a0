/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_interp.c - the reference interpreter: plain, complete, a byte at a time over verified code.
 *
 * It is the oracle for faster tiers, so each instruction does here exactly what it means.
 *
 * Each handler jumps to the next by itself through a table made from opcodes.def (`labels`); frames
 * whose cells are checked, and every frame in test builds, pass by checked_next instead.
 *
 * State of the current frame lives in C locals: pc, os and is (first free object and int cell).
 * FLUSH() stores them into the frame; after it the thread is canonical. It comes before every call,
 * native, throw and exit. Exits happen only at safepoints: method entry, backward jumps, around
 * natives, full heap. None lies between a prefix and its instruction: an instruction that has to be
 * executed again (full heap, blocked native) stores the offset of its prefix.
 *
 * Verified code cannot leave its bytes. Regular methods cannot leave their cells either; in checked
 * frames pvm_frame_check() looks at every instruction before it is executed. What depends on values
 * - classes, nulls, bounds, division - is checked by the instruction and throws.
 *
 * Int cells are 32 bits; long and double are two, high word below, low word on top. Integer
 * arithmetic wraps; MIN / -1 is MIN; shift counts are masked; shifts take the value from below and
 * the count, one int cell, from the top. Conversions of float and double to integers saturate, NaN
 * gives 0.
 */
#include "bc_opcodes.h"
#include "ph_check.h"
#include "ph_points.h"
#include "ph_sanitizer.h"
#include "pvm_exec.h"
#include "pvm_stores.h"

#include <math.h>
#include <string.h>

#if PH_UNDER_ASAN || defined(PVM_CHECK_CELLS)
#define CELLS_CHECKED 1 /* test builds: the verifier's promise about regular methods is checked */
#else
#define CELLS_CHECKED 0
#endif

/* ---- values ---------------------------------------------------------------------------------- */

static inline uint64_t get64(const uint32_t *cell)
{
    return (uint64_t)cell[0] << 32 | cell[1];
}

static inline void put64(uint32_t *cell, uint64_t value)
{
    cell[0] = (uint32_t)(value >> 32);
    cell[1] = (uint32_t)value;
}

static inline float as_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static inline double as_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint64_t double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static int32_t double_to_int(double d)
{
    if (isnan(d)) {
        return 0;
    }
    return d <= INT32_MIN ? INT32_MIN : d >= INT32_MAX ? INT32_MAX : (int32_t)d;
}

static int64_t double_to_long(double d)
{
    if (isnan(d)) {
        return 0;
    }
    return d <= (double)INT64_MIN ? INT64_MIN : d >= (double)INT64_MAX ? INT64_MAX : (int64_t)d;
}

/* Divisor not 0. */
static inline int32_t divide_int(int32_t a, int32_t b)
{
    return b == -1 ? (int32_t)(0u - (uint32_t)a) : a / b;
}

static inline int32_t remainder_int(int32_t a, int32_t b)
{
    return b == -1 ? 0 : a % b;
}

static inline int64_t divide_long(int64_t a, int64_t b)
{
    return b == -1 ? (int64_t)(0u - (uint64_t)a) : a / b;
}

static inline int64_t remainder_long(int64_t a, int64_t b)
{
    return b == -1 ? 0 : a % b;
}

/* ---- what instructions do with objects: false or NULL means worker->thrown is set ------------ */

static bool load_field(struct pvm_worker *worker, pvm_object_t this_object, uint32_t slot,
                       pvm_object_t *out)
{
    if (PVM_UNLIKELY(pvm_is_internal(this_object) || slot >= pvm_slot_count(this_object))) {
        pvm_throw_text(worker, "no such field: slot %u", slot);
        return false;
    }
    *out = heap_load_ref(&pvm_slots(this_object)[slot]);
    return true;
}

static bool store_field(struct pvm_worker *worker, pvm_object_t this_object, uint32_t slot,
                        pvm_object_t value)
{
    uint32_t flags = pvm_flags(this_object);
    if (PVM_UNLIKELY(flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_IMMUTABLE)) {
        pvm_throw_text(worker, "object is immutable");
        return false;
    }
    if (PVM_UNLIKELY((flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_INTERNAL) ||
                     slot >= pvm_slot_count(this_object))) {
        pvm_throw_text(worker, "no such field: slot %u", slot);
        return false;
    }
    pvm_store_ref(worker->pvm, &pvm_slots(this_object)[slot], value);
    return true;
}

/** The object's data area if it is exactly of that class. */
static void *unbox(struct pvm_worker *worker, pvm_object_t o, int root_index)
{
    if (PVM_LIKELY(o && o->_class == worker->pvm->classes[root_index])) {
        return o->da;
    }
    if (pvm_is_null(o)) {
        pvm_throw_text(worker, "null reference used as a number");
    } else {
        pvm_throw_text(worker, "type assert failed");
    }
    return NULL;
}

static bool constant(struct pvm_worker *worker, const struct data_area_4_code *code, uint32_t index,
                     pvm_object_t *out)
{
    pvm_object_t pool =
        code->owner_class ? pvm_object_da(code->owner_class, class)->const_pool : NULL;
    *out = pool ? pvm_get_array_ofield(pool, index) : NULL;
    if (*out == NULL) {
        pvm_throw_text(worker, "no such constant: %u", index);
        return false;
    }
    return true;
}

/* Classes whose instances only the machine itself makes: half-made ones would not be safe. */
static bool is_made_by_machine_only(struct pvm *pvm, pvm_object_t class)
{
    static const uint8_t roots[] = {
        PVM_ROOT_OBJECT_CLASS_CLASS,  PVM_ROOT_OBJECT_INTERFACE_CLASS,
        PVM_ROOT_OBJECT_CODE_CLASS,   PVM_ROOT_OBJECT_PAGE_CLASS,
        PVM_ROOT_OBJECT_THREAD_CLASS, PVM_ROOT_OBJECT_CALL_FRAME_CLASS,
        PVM_ROOT_OBJECT_ISTACK_CLASS, PVM_ROOT_OBJECT_OSTACK_CLASS,
        PVM_ROOT_OBJECT_ESTACK_CLASS,
    };
    for (size_t i = 0; i < sizeof(roots); i++) {
        if (class == pvm->classes[roots[i]]) {
            return true;
        }
    }
    return false;
}

/** NULL with worker->out_of_memory: the heap is full. */
static pvm_object_t new_object(struct pvm_worker *worker, pvm_object_t class)
{
    if (!pvm_is_class(class)) {
        pvm_throw_text(worker, "new: not a class");
        return NULL;
    }
    if (pvm_object_da(class, class)->sys_table_id != PVM_NOT_INTERNAL &&
        is_made_by_machine_only(worker->pvm, class)) {
        pvm_throw_text(worker, "new: class cannot be instantiated");
        return NULL;
    }
    return pvm_create_object(class);
}

static bool cast_is_right(struct pvm_worker *worker, pvm_object_t o, pvm_object_t class)
{
    if (!pvm_is_class(class)) {
        pvm_throw_text(worker, "cast: not a class");
        return false;
    }
    if (!pvm_is_null(o) && !pvm_class_is_or_descends(o->_class, class)) {
        pvm_throw_text(worker, "cast to not parent");
        return false;
    }
    return true;
}

/** The code in slot `ordinal` of a class's interface. */
static pvm_object_t find_code(struct pvm_worker *worker, pvm_object_t class, uint32_t ordinal)
{
    pvm_object_t interface = pvm_object_da(class, class)->object_default_interface;
    if (PVM_LIKELY(interface && ordinal < pvm_slot_count(interface))) {
        pvm_object_t code = heap_load_ref(&pvm_slots(interface)[ordinal]);
        if (PVM_LIKELY(code && (pvm_flags(code) & PHANTOM_OBJECT_STORAGE_FLAG_IS_CODE))) {
            return code;
        }
    }
    char name[256];
    pvm_throw_text(worker, "no such method: %u of %s", ordinal,
                   pvm_class_name_text(class, name, sizeof(name)));
    return NULL;
}

/** Ordinal of the first method of that name in the class, else in its parents; -1: none. */
static int find_by_name(pvm_object_t class, pvm_object_t name)
{
    int ordinal = -1;
    while (ordinal < 0 && pvm_object_da(class, class)->sys_table_id == PVM_NOT_INTERNAL) {
        ordinal = pvm_get_method_ordinal(class, name);
        class = pvm_object_da(class, class)->class_parent;
    }
    return ordinal;
}

/* ---- natives --------------------------------------------------------------------------------- */

/** Native k of the object's class; user classes have those of .internal.void. */
static syscall_func_t find_native(pvm_object_t o, uint32_t k)
{
    uint32_t row = pvm_object_da(o->_class, class)->sys_table_id;
    if (row >= (uint32_t)pvm_n_internal_classes) {
        row = 0; /* .internal.void: the root of every user class */
    }
    const struct internal_class *c = &pvm_internal_classes[row];
    return k < (uint32_t)*c->syscalls_table_size_ptr ? c->syscalls_table[k] : NULL;
}

enum native_result {
    NATIVE_RETURNED,
    NATIVE_THREW,    /* worker->thrown */
    NATIVE_BLOCKED,  /* hands off the thread */
    NATIVE_HEAP_FULL /* execute it again after a collection */
};

/** The thread is canonical, its frame at the instruction that calls. */
static enum native_result call_native(struct pvm_worker *worker, struct data_area_4_thread *thread,
                                      pvm_object_t o, uint32_t k, uint32_t n_args,
                                      pvm_object_t *args, pvm_object_t *result)
{
    syscall_func_t native = find_native(o, k);
    if (PVM_UNLIKELY(native == NULL || native == invalid_syscall) &&
        o == worker->pvm->null_object) {
        pvm_throw_text(worker, "null reference: method %u called", k);
        return NATIVE_THREW;
    }
    if (native == NULL) {
        pvm_throw_text(worker, "no syscall");
        return NATIVE_THREW;
    }
    worker->natives++;
    worker->out_of_memory = false;
    pvm_object_t ret = NULL;
    int rc = native(o, &ret, thread, (int)n_args, args);
    if (rc == PVM_SYSCALL_BLOCKED) {
        return NATIVE_BLOCKED;
    }
    if (PVM_UNLIKELY(worker->out_of_memory)) {
        worker->out_of_memory = false;
        if (!pvm_heap_exhausted(worker->pvm)) {
            return NATIVE_HEAP_FULL;
        }
        worker->thrown = pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
        return NATIVE_THREW;
    }
    if (rc == PVM_SYSCALL_RETURN) {
        *result = ret;
        return NATIVE_RETURNED;
    }
    if (ret == NULL) {
        pvm_throw_text(worker, "syscall thrown null");
    } else {
        worker->thrown = ret;
    }
    return NATIVE_THREW;
}

/* ---- classes by name ------------------------------------------------------------------------- */

/** Internal, cached, or from the host. NULL: worker->thrown is set, or the heap is full. */
static pvm_object_t find_class(struct pvm_worker *worker, const char *name, uint32_t size)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    pvm_object_t class = NULL;
    worker->out_of_memory = false;
    int rc = pvm_class_find(name, size, &class, &diag);
    if (rc == PHANTOM_EHEAPFULL) {
        worker->out_of_memory = true;
        return NULL;
    }
    if (rc != 0) {
        pvm_throw_text(worker, "class %.*s: %s", (int)(size < 200 ? size : 200), name,
                       diag.text[0] ? diag.text : phantom_strerror(rc));
        return NULL;
    }
    return class;
}

static struct pvm_site *site_of(struct pvm_worker *worker, const uint8_t *place)
{
    return &worker->sites[((uintptr_t)place * 0x9E3779B1u >> 8) % PVM_SITE_CACHE];
}

/** The userland class loader, if it is to be asked for this name now. */
static pvm_object_t loader_to_ask(struct data_area_4_thread *thread, const char *name,
                                  uint32_t size)
{
    pvm_object_t loader = pvm_root_slot(PVM_ROOT_OBJECT_CLASS_LOADER);
    if (pvm_is_null(loader) || thread->loader_depth || pvm_class_find_loaded(name, size)) {
        return NULL;
    }
    return loader;
}

/* ---- the interpreter ------------------------------------------------------------------------- */

/* Leave the fast path; the thread is flushed where it says so. */
#define FLUSH_AT(place)                                                                            \
    do {                                                                                           \
        fp->ip = (uint32_t)((place)-code->code);                                                   \
        fp->object_depth = (uint32_t)(os - pvm_frame_objects(fp));                                 \
        fp->int_depth = (uint32_t)(is - ints);                                                     \
    } while (0)

/* The present frame is stored into no more, or not until ENTER_FRAME(); and begins to be. */
#define LEFT_FRAME() pvm_after(pvm, fp, fp->bytes)
/* Also before what may hand the thread to another worker: then it is not ours to look at. */
#define LEFT_THREAD()                                                                              \
    do {                                                                                           \
        LEFT_FRAME();                                                                              \
        PVM_AFTER(pvm, thread);                                                                    \
    } while (0)
#define ENTER_FRAME()                                                                              \
    do {                                                                                           \
        pvm_before(pvm, fp, fp->bytes);                                                            \
        RELOAD();                                                                                  \
    } while (0)
#define RELOAD()                                                                                   \
    do {                                                                                           \
        code = pvm_object_da(fp->code, code);                                                      \
        pc = code->code + fp->ip;                                                                  \
        os = pvm_frame_objects(fp) + fp->object_depth;                                             \
        ints = pvm_frame_ints(fp);                                                                 \
        is = ints + fp->int_depth;                                                                 \
        checked = CELLS_CHECKED || (fp->flags & PVM_FRAME_CHECKED) != 0;                           \
    } while (0)

#define DISPATCH() goto *labels[*pc++]
#define NEXT                                                                                       \
    do {                                                                                           \
        start = pc;                                                                                \
        budget--;                                                                                  \
        PH_POINT("instruction");                                                                   \
        if (PVM_UNLIKELY(checked)) {                                                               \
            goto checked_next;                                                                     \
        }                                                                                          \
        DISPATCH();                                                                                \
    } while (0)
#define SAFEPOINT_PENDING()                                                                        \
    PVM_UNLIKELY(budget <= 0 || __atomic_load_n(&pvm->poll, __ATOMIC_RELAXED) != 0)

/* In a handler `start` is the offset to execute again: of the prefix, if there is one. */
#define THROW(...)                                                                                 \
    do {                                                                                           \
        pvm_throw_text(worker, __VA_ARGS__);                                                       \
        goto thrown;                                                                               \
    } while (0)

#define JUMP(operand)                                                                              \
    do {                                                                                           \
        const uint8_t *from_ = (operand);                                                          \
        const uint8_t *to_ = from_ + bc_read_i32(from_);                                           \
        bool back_ = to_ <= from_;                                                                 \
        pc = to_;                                                                                  \
        if (back_ && SAFEPOINT_PENDING()) {                                                        \
            goto safepoint;                                                                        \
        }                                                                                          \
        NEXT;                                                                                      \
    } while (0)

#define I(n)  ((int32_t)is[n])
#define L(n)  ((int64_t)get64(is + (n)))
#define FL(n) as_float(is[n])
#define D(n)  as_double(get64(is + (n)))

/* a is the lower operand, b the upper one. */
#define BINARY(type, width, get, put, expression)                                                  \
    do {                                                                                           \
        type a = get(-2 * (width));                                                                \
        type b = get(-(width));                                                                    \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        is -= (width);                                                                             \
        put(expression);                                                                           \
        NEXT;                                                                                      \
    } while (0)
#define COMPARE(type, width, get, expression)                                                      \
    do {                                                                                           \
        type a = get(-2 * (width));                                                                \
        type b = get(-(width));                                                                    \
        is -= 2 * (width);                                                                         \
        *is++ = (uint32_t)(expression);                                                            \
        NEXT;                                                                                      \
    } while (0)
#define PUT_I(v)     is[-1] = (uint32_t)(v)
#define PUT_L(v)     put64(is - 2, (uint64_t)(v))
#define PUT_F(v)     is[-1] = float_bits(v)
#define PUT_D(v)     put64(is - 2, double_bits(v))
#define INT_OP(e)    BINARY(int32_t, 1, I, PUT_I, e)
#define LONG_OP(e)   BINARY(int64_t, 2, L, PUT_L, e)
#define FLOAT_OP(e)  BINARY(float, 1, FL, PUT_F, e)
#define DOUBLE_OP(e) BINARY(double, 2, D, PUT_D, e)
#define U(x)         ((uint32_t)(x))
#define UL(x)        ((uint64_t)(x))

#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

enum pvm_exit pvm_exec(struct pvm_worker *worker, pvm_object_t thread_object, int64_t *budget_left)
{
    /* Every handler jumps to the next one by itself: branch predictors see pairs of opcodes. */
    static const void *const labels[256] = {
        [0 ... 255] = &&op_unknown,
#define BC_OPCODE(number, name, operands) [number] = &&op_##name,
#include "opcodes.def"
#undef BC_OPCODE
    };
    struct pvm *pvm = worker->pvm;
    struct data_area_4_thread *thread = pvm_object_da(thread_object, thread);
    int64_t budget = *budget_left;
    enum pvm_exit result = PVM_EXIT_YIELD;

    struct pvm_frame *fp = pvm_thread_frame(thread);
    const struct data_area_4_code *code;
    const uint8_t *pc;
    const uint8_t *start; /* of the present instruction with its prefix */
    pvm_object_t *os;
    uint32_t *is;
    uint32_t *ints;
    bool checked;

    /* Operands of the shared parts below. */
    pvm_object_t callee_code;
    pvm_object_t receiver;
    uint32_t ordinal;
    uint32_t n_args;
    uint32_t extra; /* object cells that the call takes besides the arguments */
    uint32_t native_number;
    pvm_object_t *args;
    pvm_object_t value;

    if (!PH_MUTANT(THREAD_UNTOLD)) {
        PVM_BEFORE(pvm, thread);
    }
    ENTER_FRAME();

    NEXT;

checked_next:
    if (!(fp->flags & PVM_FRAME_CHECKED)) { /* test builds */
        PH_CHECK(os >= pvm_frame_objects(fp) && os <= pvm_frame_objects(fp) + fp->object_cap);
        PH_CHECK(is >= ints && is <= ints + fp->int_cap);
    } else {
        FLUSH_AT(pc);
        worker->out_of_memory = false;
        struct pvm_frame *f = pvm_frame_check(worker, thread);
        if (f == NULL) {
            goto failed;
        }
        fp = f;
        RELOAD(); /* told of by pvm_frame_check(), if it was moved */
        start = pc;
    }
    DISPATCH();
    {
    op_nop:
        NEXT;
    op_debug : {
        uint8_t type = *pc++;
        if (type & 0x80) {
            pc += 4 + bc_read_i32(pc);
        }
        NEXT;
    }

        /* ---- jumps ---- */

    op_djnz:
        is[-1]--;
        if (is[-1] != 0) {
            JUMP(pc);
        }
        pc += 4;
        NEXT;
    op_jz:
        if (*--is == 0) {
            JUMP(pc);
        }
        pc += 4;
        NEXT;
    op_jmp:
        JUMP(pc);
    op_switch : {
        uint32_t count = (uint32_t)bc_read_i32(pc);
        uint32_t shift = (uint32_t)bc_read_i32(pc + 4);
        uint32_t divisor = (uint32_t)bc_read_i32(pc + 8);
        uint32_t index = (*--is + shift) / divisor;
        pc += 12;
        if (index < count) {
            JUMP(pc + 4 * (size_t)index);
        }
        pc += 4 * (size_t)count;
        NEXT;
    }

        /* ---- int stack ---- */

    op_is_dup:
        is[0] = is[-1];
        is++;
        NEXT;
    op_is_drop:
        is--;
        NEXT;
    op_iconst_0:
        *is++ = 0;
        NEXT;
    op_iconst_1:
        *is++ = 1;
        NEXT;
    op_iconst_8bit:
        *is++ = *pc++;
        NEXT;
    op_iconst_32bit:
        *is++ = (uint32_t)bc_read_i32(pc);
        pc += 4;
        NEXT;
    op_iconst_64bit:
        put64(is, (uint64_t)bc_read_i64(pc));
        is += 2;
        pc += 8;
        NEXT;
    op_is_get32:
        *is++ = ints[bc_read_i32(pc)];
        pc += 4;
        NEXT;
    op_is_set32:
        is--;
        ints[bc_read_i32(pc)] = *is;
        pc += 4;
        NEXT;

    op_isum:
        INT_OP(U(a) + U(b));
    op_imul:
        INT_OP(U(a) * U(b));
    op_isubul:
        INT_OP(U(b) - U(a));
    op_isublu:
        INT_OP(U(a) - U(b));
    op_idivul:
        if (I(-2) == 0) {
            goto division_by_zero;
        }
        INT_OP(divide_int(b, a));
    op_idivlu:
        if (I(-1) == 0) {
            goto division_by_zero;
        }
        INT_OP(divide_int(a, b));
    op_iremul:
        if (I(-2) == 0) {
            goto division_by_zero;
        }
        INT_OP(remainder_int(b, a));
    op_iremlu:
        if (I(-1) == 0) {
            goto division_by_zero;
        }
        INT_OP(remainder_int(a, b));
    op_ior:
        INT_OP(a | b);
    op_iand:
        INT_OP(a & b);
    op_ixor:
        INT_OP(a ^ b);
    op_inot:
        is[-1] = ~is[-1];
        NEXT;
    op_log_or:
        INT_OP(a != 0 || b != 0);
    op_log_and:
        INT_OP(a != 0 && b != 0);
    op_log_xor:
        INT_OP((a != 0) != (b != 0));
    op_log_not:
        is[-1] = is[-1] == 0;
        NEXT;
    op_ige:
        COMPARE(int32_t, 1, I, a >= b);
    op_ile:
        COMPARE(int32_t, 1, I, a <= b);
    op_igt:
        COMPARE(int32_t, 1, I, a > b);
    op_ilt:
        COMPARE(int32_t, 1, I, a < b);
    op_ishl:
        INT_OP(U(a) << (U(b) & 31));
    op_ishr:
        INT_OP(a >> (U(b) & 31));
    op_ushr:
        INT_OP(U(a) >> (U(b) & 31));
    op_fromi:
        NEXT;
    op_froml:
        is -= 1;
        is[-1] = is[0];
        NEXT;
    op_fromf:
        is[-1] = (uint32_t)double_to_int((double)FL(-1));
        NEXT;
    op_fromd : {
        double d = D(-2);
        is -= 1;
        is[-1] = (uint32_t)double_to_int(d);
        NEXT;
    }

        /* ---- prefixes ---- */

    op_prefix_long:
        switch (*pc) {
        case BC_OP_is_dup: goto dup64;
        case BC_OP_is_drop: goto drop64;
        case BC_OP_iconst_0:
        case BC_OP_iconst_1:
        case BC_OP_iconst_8bit:
        case BC_OP_iconst_32bit: goto constant64;
        case BC_OP_is_get32: goto get_local64;
        case BC_OP_is_set32: goto set_local64;
        case BC_OP_i2o:
            pc++;
            value = pvm_create_long_object(L(-2));
            if (PVM_UNLIKELY(value == NULL)) {
                goto heap_full;
            }
            is -= 2;
            *os++ = value;
            NEXT;
        case BC_OP_o2i: {
            pc++;
            const struct data_area_4_long *da = unbox(worker, os[-1], PVM_ROOT_OBJECT_LONG_CLASS);
            if (PVM_UNLIKELY(da == NULL)) {
                goto thrown;
            }
            os--;
            put64(is, (uint64_t)da->value);
            is += 2;
            NEXT;
        }
        case BC_OP_isum: pc++; LONG_OP(UL(a) + UL(b));
        case BC_OP_imul: pc++; LONG_OP(UL(a) * UL(b));
        case BC_OP_isubul: pc++; LONG_OP(UL(b) - UL(a));
        case BC_OP_isublu: pc++; LONG_OP(UL(a) - UL(b));
        case BC_OP_idivul:
            if (L(-4) == 0) {
                goto division_by_zero;
            }
            pc++;
            LONG_OP(divide_long(b, a));
        case BC_OP_idivlu:
            if (L(-2) == 0) {
                goto division_by_zero;
            }
            pc++;
            LONG_OP(divide_long(a, b));
        case BC_OP_iremul:
            if (L(-4) == 0) {
                goto division_by_zero;
            }
            pc++;
            LONG_OP(remainder_long(b, a));
        case BC_OP_iremlu:
            if (L(-2) == 0) {
                goto division_by_zero;
            }
            pc++;
            LONG_OP(remainder_long(a, b));
        case BC_OP_ior: pc++; LONG_OP(a | b);
        case BC_OP_iand: pc++; LONG_OP(a & b);
        case BC_OP_ixor: pc++; LONG_OP(a ^ b);
        case BC_OP_log_or: pc++; LONG_OP(a != 0 || b != 0);
        case BC_OP_log_and: pc++; LONG_OP(a != 0 && b != 0);
        case BC_OP_log_xor: pc++; LONG_OP((a != 0) != (b != 0));
        case BC_OP_inot:
            pc++;
            put64(is - 2, ~get64(is - 2));
            NEXT;
        case BC_OP_log_not:
            pc++;
            put64(is - 2, get64(is - 2) == 0);
            NEXT;
        case BC_OP_ige: pc++; COMPARE(int64_t, 2, L, a >= b);
        case BC_OP_ile: pc++; COMPARE(int64_t, 2, L, a <= b);
        case BC_OP_igt: pc++; COMPARE(int64_t, 2, L, a > b);
        case BC_OP_ilt: pc++; COMPARE(int64_t, 2, L, a < b);
        case BC_OP_ishl:
            pc++;
            is--;
            put64(is - 2, get64(is - 2) << (is[0] & 63));
            NEXT;
        case BC_OP_ishr:
            pc++;
            is--;
            put64(is - 2, (uint64_t)(L(-2) >> (is[0] & 63)));
            NEXT;
        case BC_OP_ushr:
            pc++;
            is--;
            put64(is - 2, get64(is - 2) >> (is[0] & 63));
            NEXT;
        case BC_OP_fromi: {
            pc++;
            int64_t v = I(-1);
            is++;
            put64(is - 2, (uint64_t)v);
            NEXT;
        }
        case BC_OP_froml: pc++; NEXT;
        case BC_OP_fromf: {
            pc++;
            int64_t v = double_to_long((double)FL(-1));
            is++;
            put64(is - 2, (uint64_t)v);
            NEXT;
        }
        case BC_OP_fromd:
            pc++;
            put64(is - 2, (uint64_t)double_to_long(D(-2)));
            NEXT;
        default: goto unprefixed;
        }

    op_prefix_double:
        switch (*pc) {
        case BC_OP_is_dup: goto dup64;
        case BC_OP_is_drop: goto drop64;
        case BC_OP_iconst_0:
        case BC_OP_iconst_1:
        case BC_OP_iconst_8bit:
        case BC_OP_iconst_32bit: goto constant64;
        case BC_OP_is_get32: goto get_local64;
        case BC_OP_is_set32: goto set_local64;
        case BC_OP_i2o:
            pc++;
            value = pvm_create_double_object(D(-2));
            if (PVM_UNLIKELY(value == NULL)) {
                goto heap_full;
            }
            is -= 2;
            *os++ = value;
            NEXT;
        case BC_OP_o2i: {
            pc++;
            const struct data_area_4_double *da =
                unbox(worker, os[-1], PVM_ROOT_OBJECT_DOUBLE_CLASS);
            if (PVM_UNLIKELY(da == NULL)) {
                goto thrown;
            }
            os--;
            put64(is, double_bits(da->value));
            is += 2;
            NEXT;
        }
        case BC_OP_isum: pc++; DOUBLE_OP(a + b);
        case BC_OP_imul: pc++; DOUBLE_OP(a * b);
        case BC_OP_isubul: pc++; DOUBLE_OP(b - a);
        case BC_OP_isublu: pc++; DOUBLE_OP(a - b);
        case BC_OP_idivul: pc++; DOUBLE_OP(b / a);
        case BC_OP_idivlu: pc++; DOUBLE_OP(a / b);
        case BC_OP_iremul: pc++; DOUBLE_OP(fmod(b, a));
        case BC_OP_iremlu: pc++; DOUBLE_OP(fmod(a, b));
        case BC_OP_ige: pc++; COMPARE(double, 2, D, a >= b);
        case BC_OP_ile: pc++; COMPARE(double, 2, D, a <= b);
        case BC_OP_igt: pc++; COMPARE(double, 2, D, a > b);
        case BC_OP_ilt: pc++; COMPARE(double, 2, D, a < b);
        case BC_OP_ior:
        case BC_OP_iand:
        case BC_OP_ixor:
        case BC_OP_inot:
        case BC_OP_log_or:
        case BC_OP_log_and:
        case BC_OP_log_xor:
        case BC_OP_log_not:
        case BC_OP_ishl:
        case BC_OP_ishr:
        case BC_OP_ushr: goto not_for_floating;
        case BC_OP_fromi: {
            pc++;
            double d = I(-1);
            is++;
            put64(is - 2, double_bits(d));
            NEXT;
        }
        case BC_OP_froml: {
            pc++;
            double d = (double)L(-2);
            put64(is - 2, double_bits(d));
            NEXT;
        }
        case BC_OP_fromf: {
            pc++;
            double d = (double)FL(-1);
            is++;
            put64(is - 2, double_bits(d));
            NEXT;
        }
        case BC_OP_fromd: pc++; NEXT;
        default: goto unprefixed;
        }

    op_prefix_float:
        switch (*pc) {
        case BC_OP_i2o:
            pc++;
            value = pvm_create_float_object(FL(-1));
            if (PVM_UNLIKELY(value == NULL)) {
                goto heap_full;
            }
            is--;
            *os++ = value;
            NEXT;
        case BC_OP_o2i: {
            pc++;
            const struct data_area_4_float *da = unbox(worker, os[-1], PVM_ROOT_OBJECT_FLOAT_CLASS);
            if (PVM_UNLIKELY(da == NULL)) {
                goto thrown;
            }
            os--;
            *is++ = float_bits(da->value);
            NEXT;
        }
        case BC_OP_isum: pc++; FLOAT_OP(a + b);
        case BC_OP_imul: pc++; FLOAT_OP(a * b);
        case BC_OP_isubul: pc++; FLOAT_OP(b - a);
        case BC_OP_isublu: pc++; FLOAT_OP(a - b);
        case BC_OP_idivul: pc++; FLOAT_OP(b / a);
        case BC_OP_idivlu: pc++; FLOAT_OP(a / b);
        case BC_OP_iremul: pc++; FLOAT_OP((float)fmod((double)b, (double)a));
        case BC_OP_iremlu: pc++; FLOAT_OP((float)fmod((double)a, (double)b));
        case BC_OP_ige: pc++; COMPARE(float, 1, FL, a >= b);
        case BC_OP_ile: pc++; COMPARE(float, 1, FL, a <= b);
        case BC_OP_igt: pc++; COMPARE(float, 1, FL, a > b);
        case BC_OP_ilt: pc++; COMPARE(float, 1, FL, a < b);
        case BC_OP_ior:
        case BC_OP_iand:
        case BC_OP_ixor:
        case BC_OP_inot:
        case BC_OP_log_or:
        case BC_OP_log_and:
        case BC_OP_log_xor:
        case BC_OP_log_not:
        case BC_OP_ishl:
        case BC_OP_ishr:
        case BC_OP_ushr: goto not_for_floating;
        case BC_OP_fromi:
            pc++;
            PUT_F((float)I(-1));
            NEXT;
        case BC_OP_froml: {
            pc++;
            float f = (float)L(-2);
            is--;
            PUT_F(f);
            NEXT;
        }
        case BC_OP_fromf: pc++; NEXT;
        case BC_OP_fromd: {
            pc++;
            float f = (float)D(-2);
            is--;
            PUT_F(f);
            NEXT;
        }
        default: goto unprefixed;
        }

    unprefixed:
        /* The instruction has no use for the prefix: execute it alone. Then `start` is the
         * instruction itself, and it does not matter that the prefix is gone if it is done again.
         */
        budget++;
        NEXT;

    dup64:
        pc++;
        is[0] = is[-2];
        is[1] = is[-1];
        is += 2;
        NEXT;
    drop64:
        pc++;
        is -= 2;
        NEXT;
    constant64:
        switch (*pc++) {
        case BC_OP_iconst_0: put64(is, 0); break;
        case BC_OP_iconst_1: put64(is, 1); break;
        case BC_OP_iconst_8bit: put64(is, *pc++); break;
        default:
            put64(is, (uint64_t)(int64_t)bc_read_i32(pc));
            pc += 4;
            break;
        }
        is += 2;
        NEXT;
    get_local64 : {
        const uint32_t *from = ints + bc_read_i32(pc + 1);
        is[0] = from[0];
        is[1] = from[1];
        is += 2;
        pc += 5;
        NEXT;
    }
    set_local64 : {
        uint32_t *to = ints + bc_read_i32(pc + 1);
        is -= 2;
        to[0] = is[0];
        to[1] = is[1];
        pc += 5;
        NEXT;
    }

        /* ---- object stack ---- */

    op_os_dup:
        os[0] = os[-1];
        os++;
        NEXT;
    op_os_drop:
        os--;
        NEXT;
    op_os_pull32:
        os[0] = os[-1 - bc_read_i32(pc)];
        os++;
        pc += 4;
        NEXT;
    op_os_get32:
        *os++ = pvm_frame_objects(fp)[bc_read_i32(pc)];
        pc += 4;
        NEXT;
    op_os_set32:
        os--;
        pvm_frame_objects(fp)[bc_read_i32(pc)] = *os;
        pc += 4;
        NEXT;
    op_os_load8:
        if (!load_field(worker, fp->this_object, *pc, os)) {
            goto thrown;
        }
        os++;
        pc++;
        NEXT;
    op_os_load32:
        if (!load_field(worker, fp->this_object, (uint32_t)bc_read_i32(pc), os)) {
            goto thrown;
        }
        os++;
        pc += 4;
        NEXT;
    op_os_save8:
        if (!store_field(worker, fp->this_object, *pc, os[-1])) {
            goto thrown;
        }
        os--;
        pc++;
        NEXT;
    op_os_save32:
        if (!store_field(worker, fp->this_object, (uint32_t)bc_read_i32(pc), os[-1])) {
            goto thrown;
        }
        os--;
        pc += 4;
        NEXT;
    op_is_load8 : {
        pvm_object_t field;
        if (!load_field(worker, fp->this_object, *pc, &field)) {
            goto thrown;
        }
        const struct data_area_4_int *da = unbox(worker, field, PVM_ROOT_OBJECT_INT_CLASS);
        if (da == NULL) {
            goto thrown;
        }
        *is++ = (uint32_t)da->value;
        pc++;
        NEXT;
    }
    op_is_save8:
        value = pvm_create_int_object(I(-1));
        if (value == NULL) {
            goto heap_full;
        }
        if (!store_field(worker, fp->this_object, *pc, value)) {
            goto thrown;
        }
        is--;
        pc++;
        NEXT;
    op_stack_reserve : {
        uint32_t n_objects = pc[0];
        uint32_t n_ints = pc[1];
        pc += 2;
        memset(os, 0, n_objects * sizeof(*os));
        memset(is, 0, n_ints * sizeof(*is));
        os += n_objects;
        is += n_ints;
        NEXT;
    }
    op_new:
        worker->out_of_memory = false;
        value = new_object(worker, os[-1]);
        if (PVM_UNLIKELY(value == NULL || worker->out_of_memory)) {
            goto failed_at_start;
        }
        os[-1] = value;
        NEXT;
    op_cast:
        if (!cast_is_right(worker, os[-2], os[-1])) {
            goto thrown;
        }
        os--;
        NEXT;
    op_sconst_bin : {
        int32_t size = bc_read_i32(pc);
        value = pvm_create_string_object_binary((const char *)pc + 4, size);
        if (value == NULL) {
            goto heap_full;
        }
        *os++ = value;
        pc += 4 + size;
        NEXT;
    }
    op_const_pool:
        if (!constant(worker, code, (uint32_t)bc_read_i32(pc), os)) {
            goto thrown;
        }
        os++;
        pc += 4;
        NEXT;
    op_summon_thread:
        *os++ = thread_object;
        NEXT;
    op_summon_this:
        *os++ = fp->this_object;
        NEXT;
    op_summon_null:
        *os++ = pvm->null_object;
        NEXT;
    op_summon_class_class:
        *os++ = pvm->classes[PVM_ROOT_OBJECT_CLASS_CLASS];
        NEXT;
    op_summon_int_class:
        *os++ = pvm->classes[PVM_ROOT_OBJECT_INT_CLASS];
        NEXT;
    op_summon_string_class:
        *os++ = pvm->classes[PVM_ROOT_OBJECT_STRING_CLASS];
        NEXT;
    op_summon_interface_class:
        *os++ = pvm->classes[PVM_ROOT_OBJECT_INTERFACE_CLASS];
        NEXT;
    op_summon_code_class:
        *os++ = pvm->classes[PVM_ROOT_OBJECT_CODE_CLASS];
        NEXT;
    op_summon_array_class:
        *os++ = pvm->classes[PVM_ROOT_OBJECT_ARRAY_CLASS];
        NEXT;
    op_summon_by_name : {
        struct pvm_site *site = site_of(worker, start);
        uint32_t size = (uint32_t)bc_read_i32(pc);
        if (PVM_UNLIKELY(site->place != start)) {
            const char *name = (const char *)pc + 4;
            receiver = loader_to_ask(thread, name, size);
            if (receiver) {
                goto call_loader;
            }
            FLUSH_AT(start);
            value = find_class(worker, name, size);
            if (value == NULL) {
                goto failed_at_start;
            }
            site->place = start;
            site->class = value;
        }
        *os++ = site->class;
        pc += 4 + size;
        NEXT;
    }
    op_i2o:
        value = pvm_create_int_object(I(-1));
        if (PVM_UNLIKELY(value == NULL)) {
            goto heap_full;
        }
        is--;
        *os++ = value;
        NEXT;
    op_o2i : {
        const struct data_area_4_int *da = unbox(worker, os[-1], PVM_ROOT_OBJECT_INT_CLASS);
        if (PVM_UNLIKELY(da == NULL)) {
            goto thrown;
        }
        os--;
        *is++ = (uint32_t)da->value;
        NEXT;
    }
    op_os_eq:
    op_os_neq : {
        pvm_object_t a = os[-2] ? os[-2] : pvm->null_object;
        pvm_object_t b = os[-1] ? os[-1] : pvm->null_object;
        os -= 2;
        *is++ = (a == b) == (*start == BC_OP_os_eq);
        NEXT;
    }
    op_os_isnull:
        os--;
        *is++ = *os == NULL || *os == pvm->null_object;
        NEXT;

        /* ---- exceptions, monitors ---- */

    op_push_catcher : {
        if (!pvm_is_class(os[-1])) {
            THROW("push_catcher: not a class");
        }
        os--;
        struct pvm_catcher *c = &pvm_frame_catchers(fp)[fp->catch_depth++];
        c->class = *os;
        c->target = (uint32_t)(pc + bc_read_i32(pc) - code->code);
        c->object_depth = (uint32_t)(os - pvm_frame_objects(fp));
        c->int_depth = (uint32_t)(is - ints);
        pc += 4;
        NEXT;
    }
    op_pop_catcher:
        fp->catch_depth--;
        NEXT;
    op_throw:
        if (os[-1] == NULL || os[-1] == pvm->null_object) {
            THROW("null thrown");
        }
        worker->thrown = *--os;
        goto thrown;
    op_general_lock:
        if (os[-1] == NULL || os[-1] == pvm->null_object) {
            THROW("null reference locked");
        }
        FLUSH_AT(start);
        worker->out_of_memory = false;
        LEFT_THREAD();
        switch (pvm_wait_monitor(thread, os[-1])) {
        case PVM_SYSCALL_RETURN: os--; NEXT;
        case PVM_SYSCALL_BLOCKED: result = PVM_EXIT_BLOCKED; goto handed_over;
        default: goto failed;
        }
    op_general_unlock:
        if (os[-1] == NULL || !pvm_monitor_unlock(thread, os[-1])) {
            THROW("unlock of an object that is not locked by this thread");
        }
        os--;
        NEXT;
    op_arg_count : {
        uint32_t want = *pc++;
        if (PVM_UNLIKELY(*--is != want)) {
            THROW("invalid arg count");
        }
        NEXT;
    }

        /* ---- calls ---- */

    op_short_call_0:
    op_short_call_1:
    op_short_call_2:
    op_short_call_3:
        ordinal = (uint32_t)(pc[-1] - BC_OP_short_call_0);
        n_args = 0;
        goto virtual_call;
    op_call_8bit:
        ordinal = pc[0];
        n_args = (uint32_t)bc_read_i32(pc + 1);
        pc += 5;
        goto virtual_call;
    op_call_32bit:
        ordinal = (uint32_t)bc_read_i32(pc);
        n_args = (uint32_t)bc_read_i32(pc + 4);
        pc += 8;
        goto virtual_call;
    op_call_00:
    op_call_01:
    op_call_02:
    op_call_03:
    op_call_04:
    op_call_05:
    op_call_06:
    op_call_07:
    op_call_08:
    op_call_09:
    op_call_0A:
    op_call_0B:
    op_call_0C:
    op_call_0D:
    op_call_0E:
    op_call_0F:
    op_call_10:
    op_call_11:
    op_call_12:
    op_call_13:
    op_call_14:
    op_call_15:
    op_call_16:
    op_call_17:
    op_call_18:
    op_call_19:
    op_call_1A:
    op_call_1B:
    op_call_1C:
    op_call_1D:
    op_call_1E:
    op_call_1F:
        ordinal = (uint32_t)(pc[-1] - BC_OP_call_00);
        n_args = *pc++;
    virtual_call:
        /* this, a0 .. an-1 -> r */
        args = os - n_args;
        receiver = args[-1] ? args[-1] : pvm->null_object;
        extra = 1; /* `this`, below the arguments */
        callee_code = find_code(worker, receiver->_class, ordinal);
        if (PVM_UNLIKELY(callee_code == NULL)) {
            goto thrown;
        }
        goto call;
    op_static_invoke : {
        /* a0 .. an-1, this, class -> r */
        ordinal = (uint32_t)bc_read_i32(pc);
        n_args = (uint32_t)bc_read_i32(pc + 4);
        pc += 8;
        pvm_object_t class = os[-1];
        args = os - 2 - n_args;
        receiver = os[-2] ? os[-2] : pvm->null_object;
        extra = 2;
        if (!pvm_is_class(class) || !pvm_class_is_or_descends(receiver->_class, class)) {
            THROW("static_invoke: object is not of that class");
        }
        callee_code = find_code(worker, class, ordinal);
        if (callee_code == NULL) {
            goto thrown;
        }
        goto call;
    }
    op_dynamic_invoke : {
        /* a0 .. an-1, this, name -> r; the count is on the int stack */
        n_args = is[-1];
        if (n_args > BC_MAX_ARGUMENTS) {
            THROW("dynamic_invoke: too many arguments");
        }
        args = os - 2 - n_args;
        receiver = os[-2] ? os[-2] : pvm->null_object;
        extra = 2;
        int found = find_by_name(receiver->_class, os[-1]);
        if (found < 0) {
            char text[200];
            pvm_object_text(os[-1], text, sizeof(text));
            THROW("dynamic_invoke: no method %s", text);
        }
        ordinal = (uint32_t)found;
        callee_code = find_code(worker, receiver->_class, ordinal);
        if (callee_code == NULL) {
            goto thrown;
        }
        goto call;
    }
    op_sys_8bit : {
        /* Only in the stubs of internal classes, when one is the first frame of a thread: calls
         * reach natives without a frame. */
        uint32_t k = *pc++;
        n_args = is[-1];
        if (n_args > fp->object_depth) {
            THROW("sys: need more parameters");
        }
        FLUSH_AT(start);
        LEFT_THREAD();
        switch (call_native(worker, thread, fp->this_object, k, n_args, os - n_args, &value)) {
        case NATIVE_RETURNED: break;
        case NATIVE_BLOCKED: result = PVM_EXIT_BLOCKED; goto handed_over;
        case NATIVE_HEAP_FULL: result = PVM_EXIT_HEAP_FULL; goto leave;
        case NATIVE_THREW: goto thrown_flushed;
        }
        is--;
        os -= n_args;
        *os++ = value;
        if (SAFEPOINT_PENDING()) {
            goto safepoint;
        }
        NEXT;
    }

    call : {
        const struct pvm_method *m = pvm_method_of(worker, callee_code);
        if (PVM_UNLIKELY(m == NULL)) {
            goto thrown;
        }
        if (m->native >= 0) {
            native_number = (uint32_t)m->native;
            goto native_call;
        }
        worker->calls++;
        /* Flush as it is before the call: if there is no room the instruction is done again. */
        FLUSH_AT(start);
        worker->out_of_memory = false;
        struct pvm_frame *callee =
            pvm_frame_push(worker, thread, m, callee_code, receiver, ordinal, n_args, args, 0);
        if (PVM_UNLIKELY(callee == NULL)) {
            goto failed;
        }
        fp->ip = (uint32_t)(pc - code->code);
        fp->object_depth -= n_args + extra;
        fp->int_depth -= *start == BC_OP_dynamic_invoke;
        if (!PH_MUTANT(FRAME_UNTOLD)) {
            LEFT_FRAME();
        }
        fp = callee;
        ENTER_FRAME();
        if (SAFEPOINT_PENDING()) {
            goto leave_flushed;
        }
        NEXT;
    }

    native_call:
        FLUSH_AT(start);
        LEFT_THREAD();
        switch (call_native(worker, thread, receiver, native_number, n_args, args, &value)) {
        case NATIVE_RETURNED: break;
        case NATIVE_BLOCKED: result = PVM_EXIT_BLOCKED; goto handed_over;
        case NATIVE_HEAP_FULL: result = PVM_EXIT_HEAP_FULL; goto leave;
        case NATIVE_THREW: goto thrown_flushed;
        }
        os -= n_args + extra;
        *os++ = value;
        is -= *start == BC_OP_dynamic_invoke;
        if (SAFEPOINT_PENDING()) {
            goto safepoint;
        }
        NEXT;

    call_loader : {
        /* summon_by_name asks method 8 of the userland loader; see `ret` for the other half. */
        FLUSH_AT(start);
        worker->out_of_memory = false;
        pvm_object_t name = pvm_create_string_object_binary((const char *)pc + 4, bc_read_i32(pc));
        if (name == NULL) {
            goto failed;
        }
        callee_code = find_code(worker, receiver->_class, 8);
        const struct pvm_method *m = callee_code ? pvm_method_of(worker, callee_code) : NULL;
        struct pvm_frame *callee = m ? pvm_frame_push(worker, thread, m, callee_code, receiver, 8,
                                                      1, &name, PVM_FRAME_LOADER)
                                     : NULL;
        if (callee == NULL) {
            goto failed;
        }
        thread->loader_depth++;
        LEFT_FRAME();
        fp = callee;
        ENTER_FRAME();
        NEXT;
    }

    op_ret : {
        value = os > pvm_frame_objects(fp) ? os[-1] : pvm->null_object;
        uint32_t flags = fp->flags;
        if (PVM_UNLIKELY(flags & PVM_FRAME_ENTRY)) {
            FLUSH_AT(start);
            result = PVM_EXIT_FINISHED;
            goto leave;
        }
        LEFT_FRAME();
        if (PVM_LIKELY((flags & (PVM_FRAME_FIRST_IN_SEGMENT | PVM_FRAME_LOADER)) == 0)) {
            thread->frame_offset = fp->prev;
            fp = pvm_thread_frame(thread);
        } else {
            fp = pvm_frame_pop(worker, thread);
        }
        ENTER_FRAME();
        if (PVM_LIKELY(!(flags & PVM_FRAME_LOADER))) {
            *os++ = value;
            NEXT;
        }
        /* The frame below is at its summon_by_name, which ends here. */
        start = pc++;
        uint32_t size = (uint32_t)bc_read_i32(pc);
        const char *name = (const char *)pc + 4;
        worker->out_of_memory = false;
        if (pvm_is_class(value)) {
            value = pvm_class_cache_add(value, name, size);
        } else {
            value = find_class(worker, name, size);
        }
        if (value == NULL) {
            goto failed_at_start;
        }
        *os++ = value;
        pc += 4 + size;
        NEXT;
    }

    op_unknown:
        PH_CHECK(!"verified code holds an unknown opcode");
    }

division_by_zero:
    pvm_throw_text(worker, "division by zero");
    goto thrown;
not_for_floating:
    pvm_throw_text(worker, "integer operation on a floating point value");
    goto thrown;

failed_at_start:
    FLUSH_AT(start);
failed:
    /* Flushed at the instruction. Either it threw, or the heap is full. */
    if (!worker->out_of_memory) {
        goto thrown_flushed;
    }
    worker->out_of_memory = false;
    if (!pvm_heap_exhausted(pvm)) {
        result = PVM_EXIT_HEAP_FULL;
        goto leave;
    }
    worker->thrown = pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
    goto thrown_flushed;

heap_full:
    worker->out_of_memory = true;
    goto failed_at_start;

thrown:
    FLUSH_AT(start);
thrown_flushed:
    LEFT_FRAME();
    if (!pvm_unwind(worker, thread)) {
        result = PVM_EXIT_FAILED;
        goto leave;
    }
    fp = pvm_thread_frame(thread);
    ENTER_FRAME();
    if (SAFEPOINT_PENDING()) {
        goto leave_flushed;
    }
    NEXT;

safepoint:
    FLUSH_AT(pc);
leave_flushed:
leave:
    LEFT_THREAD();
handed_over:
    *budget_left = budget;
    return result;
}

#pragma GCC diagnostic pop
