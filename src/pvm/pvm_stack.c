/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_stack.c - stack segments and frames of VM threads.
 *
 * A thread's stack is a chain of segments, never moved: a frame lies in one segment. A call puts
 * the new frame behind the current one if it fits, else at the start of a newer, larger segment.
 * One segment beyond the current one is kept for reuse, so a call on the edge does not allocate
 * each time.
 *
 * Checked frames (depths not known statically) may have to be widened; only the current frame ever
 * is, so nothing lies behind it and it can be laid out anew in place or moved to the next segment.
 */
#include "bc_opcodes.h"
#include "ph_check.h"
#include "pvm_exec.h"
#include "pvm_stores.h"

#include <string.h>

enum {
    FIRST_SEGMENT_BYTES = 488,       /* with its header a cell of 512 bytes */
    LARGEST_USUAL_SEGMENT = 1 << 20, /* larger only for a frame that needs it */
    CHECKED_SLACK = 24,              /* cells added when a checked frame is widened */
};

struct pvm_frame *pvm_frame_below(pvm_object_t *segment, struct pvm_frame *f)
{
    if (f->flags & PVM_FRAME_ENTRY) {
        return NULL;
    }
    if (f->flags & PVM_FRAME_FIRST_IN_SEGMENT) {
        *segment = ((struct pvm_stack_segment *)(void *)(*segment)->da)->prev;
    }
    return pvm_frame_at(*segment, f->prev);
}

static struct pvm_stack_segment *segment_of(pvm_object_t o)
{
    return (struct pvm_stack_segment *)(void *)o->da;
}

/** The thread's next segment, with room for `bytes`; NULL as pvm_frame_push. */
static pvm_object_t next_segment(struct pvm_worker *worker, struct data_area_4_thread *thread,
                                 uint64_t bytes)
{
    pvm_object_t current = thread->stack;
    uint64_t size = FIRST_SEGMENT_BYTES;
    if (current) {
        pvm_object_t kept = segment_of(current)->next;
        if (kept && kept->_da_size >= PVM_SEGMENT_FIRST_FRAME + bytes) {
            return kept;
        }
        if (kept) {
            thread->stack_bytes -= kept->_da_size;
            pvm_store_ref(worker->pvm, &segment_of(current)->next, NULL);
        }
        size = current->_da_size * 2;
    }
    if (size > LARGEST_USUAL_SEGMENT) {
        size = LARGEST_USUAL_SEGMENT;
    }
    if (size < PVM_SEGMENT_FIRST_FRAME + bytes) {
        size = PVM_SEGMENT_FIRST_FRAME + bytes;
    }
    if (thread->stack_bytes + size > worker->pvm->options.max_stack_bytes) {
        pvm_throw_text(worker, "stack overflow");
        return NULL;
    }
    pvm_object_t segment = pvm_object_create_dynamic(
        worker->pvm->classes[PVM_ROOT_OBJECT_OSTACK_CLASS], (int64_t)size);
    if (segment == NULL) {
        return NULL;
    }
    pvm_store_ref(worker->pvm, &segment_of(segment)->prev, current);
    if (current) {
        pvm_store_ref(worker->pvm, &segment_of(current)->next, segment);
    }
    thread->stack_bytes += size;
    return segment;
}

/** Room for a frame of `bytes` behind the current one; *flags gets FIRST_IN_SEGMENT. */
static struct pvm_frame *place_frame(struct pvm_worker *worker, struct data_area_4_thread *thread,
                                     uint64_t bytes, pvm_object_t *segment, uint32_t *flags)
{
    *segment = thread->stack;
    if (thread->stack) {
        uint64_t offset = thread->frame_offset + pvm_thread_frame(thread)->bytes;
        if (offset + bytes <= thread->stack->_da_size) {
            return pvm_frame_at(thread->stack, offset);
        }
    }
    *segment = next_segment(worker, thread, bytes);
    *flags |= PVM_FRAME_FIRST_IN_SEGMENT;
    return *segment ? pvm_frame_at(*segment, PVM_SEGMENT_FIRST_FRAME) : NULL;
}

struct pvm_frame *pvm_frame_push(struct pvm_worker *worker, struct data_area_4_thread *thread,
                                 const struct pvm_method *m, pvm_object_t code,
                                 pvm_object_t this_object, uint32_t ordinal, uint32_t n_args,
                                 pvm_object_t const *args, uint32_t flags)
{
    uint32_t object_cap = m->object_cap;
    uint32_t bytes = m->frame_bytes;
    if (!m->regular || m->argument_count != n_args) {
        flags |= PVM_FRAME_CHECKED;
        object_cap += n_args;
        bytes = pvm_frame_bytes(object_cap, m->int_cap, m->catch_cap);
    }
    pvm_object_t segment;
    struct pvm_frame *f = place_frame(worker, thread, bytes, &segment, &flags);
    if (f == NULL) {
        return NULL;
    }
    pvm_before(worker->pvm, f, bytes);
    f->code = code;
    f->this_object = this_object;
    f->prev = (uint32_t)thread->frame_offset;
    f->ip = 0;
    f->object_depth = n_args;
    f->int_depth = 1;
    f->object_cap = object_cap;
    f->int_cap = m->int_cap;
    f->catch_depth = 0;
    f->catch_cap = (uint16_t)m->catch_cap;
    f->flags = flags;
    f->bytes = bytes;
    f->ordinal = ordinal;
    for (uint32_t i = 0; i < n_args; i++) {
        pvm_frame_objects(f)[i] = args[i];
    }
    pvm_frame_ints(f)[0] = n_args;
    pvm_after(worker->pvm, f, bytes);
    thread->stack = segment;
    thread->frame_offset = (uint64_t)((uint8_t *)f - segment->da);
    return f;
}

struct pvm_frame *pvm_frame_pop(struct pvm_worker *worker, struct data_area_4_thread *thread)
{
    struct pvm_frame *f = pvm_thread_frame(thread);
    PH_CHECK(!(f->flags & PVM_FRAME_ENTRY));
    if (f->flags & PVM_FRAME_LOADER) {
        thread->loader_depth--;
    }
    if (f->flags & PVM_FRAME_FIRST_IN_SEGMENT) {
        struct pvm_stack_segment *left = segment_of(thread->stack);
        if (left->next) { /* keep one spare segment, not two */
            thread->stack_bytes -= left->next->_da_size;
            pvm_store_ref(worker->pvm, &left->next, NULL);
        }
        thread->stack = left->prev;
    }
    thread->frame_offset = f->prev;
    return pvm_thread_frame(thread);
}

struct pvm_frame *pvm_frame_widen(struct pvm_worker *worker, struct data_area_4_thread *thread,
                                  uint32_t objects, uint32_t ints, uint32_t catchers)
{
    struct pvm_frame *f = pvm_thread_frame(thread);
    struct pvm_frame old = *f;
    struct pvm_frame wide = old;
    if (objects > old.object_cap) {
        wide.object_cap = objects + objects / 2 + CHECKED_SLACK; /* by a factor: few moves */
    }
    if (ints > old.int_cap) {
        wide.int_cap = ints + ints / 2 + CHECKED_SLACK;
    }
    if (catchers > old.catch_cap) {
        if (catchers >= UINT16_MAX) {
            pvm_throw_text(worker, "too many catchers");
            return NULL;
        }
        wide.catch_cap = (uint16_t)(catchers < UINT16_MAX / 2 ? catchers * 2 : UINT16_MAX);
    }
    if ((uint64_t)wide.object_cap + wide.int_cap > (UINT32_C(1) << 26)) {
        pvm_throw_text(worker, "stack overflow");
        return NULL;
    }
    wide.bytes = pvm_frame_bytes(wide.object_cap, wide.int_cap, wide.catch_cap);
    struct pvm_frame *to = f;
    pvm_object_t segment = thread->stack;
    if (thread->frame_offset + wide.bytes > segment->_da_size) {
        segment = next_segment(worker, thread, wide.bytes);
        if (segment == NULL) {
            return NULL;
        }
        to = pvm_frame_at(segment, PVM_SEGMENT_FIRST_FRAME);
        if (!(old.flags & PVM_FRAME_FIRST_IN_SEGMENT)) {
            wide.flags |= PVM_FRAME_FIRST_IN_SEGMENT;
        } else { /* it was alone in its segment: that one goes out of the chain */
            pvm_object_t older = segment_of(thread->stack)->prev;
            pvm_store_ref(worker->pvm, &segment_of(segment)->prev, older);
            thread->stack_bytes -= thread->stack->_da_size;
            if (older) {
                pvm_store_ref(worker->pvm, &segment_of(older)->next, segment);
            }
        }
    }
    /* Highest part first: in place, each part moves up over the next one's old room. */
    const struct pvm_catcher *old_catchers = pvm_frame_catchers(f);
    const uint32_t *old_ints = pvm_frame_ints(f);
    const pvm_object_t *old_objects = pvm_frame_objects(f);
    pvm_after(worker->pvm, f, old.bytes); /* what was stored into it until now */
    pvm_before(worker->pvm, to, wide.bytes);
    *to = wide;
    memmove(pvm_frame_catchers(to), old_catchers, sizeof(*old_catchers) * old.catch_depth);
    memmove(pvm_frame_ints(to), old_ints, sizeof(*old_ints) * old.int_depth);
    memmove(pvm_frame_objects(to), old_objects, sizeof(*old_objects) * old.object_depth);
    pvm_after(worker->pvm, to, wide.bytes);
    thread->stack = segment;
    thread->frame_offset = (uint64_t)((uint8_t *)to - segment->da);
    return to;
}

/* ---- checked frames -------------------------------------------------------------------------- */

/** What one instruction needs of the cells of its frame. */
struct need {
    uint64_t objects_below, ints_below; /* cells that must be there before */
    uint64_t objects_room, ints_room;   /* cells that it may push beyond the present depth */
};

/** Needs of calls and of other instructions whose needs depend on operands or cells. */
static void need_of_operands(const struct bc_instruction *i, uint32_t width,
                             const struct pvm_frame *f, struct need *need)
{
    const uint32_t *ints =
        (const uint32_t *)(const void *)((const pvm_object_t *)(f + 1) + f->object_cap);
    uint32_t top = f->int_depth ? ints[f->int_depth - 1] : 0;
    if (i->opcode >= BC_OP_call_00 && i->opcode <= BC_OP_call_1F) {
        need->objects_below = (uint64_t)i->first + 1;
        return;
    }
    switch (i->opcode) {
    case BC_OP_call_8bit:
    case BC_OP_call_32bit: need->objects_below = (uint64_t)i->second + 1; break;
    case BC_OP_static_invoke: need->objects_below = (uint64_t)i->second + 2; break;
    case BC_OP_dynamic_invoke: need->objects_below = (uint64_t)top + 2; break;
    case BC_OP_sys_8bit: need->objects_below = top; break;
    case BC_OP_stack_reserve:
        need->objects_room = (uint64_t)i->first;
        need->ints_room = (uint64_t)i->second;
        break;
    case BC_OP_os_get32:
    case BC_OP_os_pull32: need->objects_below = (uint64_t)i->first + 1; break;
    case BC_OP_os_set32: need->objects_below = (uint64_t)i->first + 2; break;
    case BC_OP_is_get32: need->ints_below = (uint64_t)i->first + width; break;
    case BC_OP_is_set32: need->ints_below = (uint64_t)i->first + 2 * (uint64_t)width; break;
    default: break;
    }
}

/* Cells that an instruction of the int stack takes at most; none puts back more than it takes,
 * dup, get, constants and conversions aside, which never push more than two. */
static uint32_t int_pops(uint8_t opcode, uint32_t width)
{
    switch (opcode) {
    case BC_OP_djnz:
    case BC_OP_jz:
    case BC_OP_switch:
    case BC_OP_arg_count:
    case BC_OP_dynamic_invoke:
    case BC_OP_sys_8bit:
    case BC_OP_is_save8:
    case BC_OP_fromi:
    case BC_OP_fromf: return 1;
    case BC_OP_froml:
    case BC_OP_fromd: return 2;
    case BC_OP_is_dup:
    case BC_OP_is_drop:
    case BC_OP_is_set32:
    case BC_OP_i2o:
    case BC_OP_inot:
    case BC_OP_log_not: return width;
    case BC_OP_ishl:
    case BC_OP_ishr:
    case BC_OP_ushr: return width + 1;
    case BC_OP_isum:
    case BC_OP_imul:
    case BC_OP_isubul:
    case BC_OP_isublu:
    case BC_OP_idivul:
    case BC_OP_idivlu:
    case BC_OP_iremul:
    case BC_OP_iremlu:
    case BC_OP_ior:
    case BC_OP_iand:
    case BC_OP_ixor:
    case BC_OP_log_or:
    case BC_OP_log_and:
    case BC_OP_log_xor:
    case BC_OP_ige:
    case BC_OP_ile:
    case BC_OP_igt:
    case BC_OP_ilt: return 2 * width;
    default: return 0;
    }
}

static uint32_t object_pops(uint8_t opcode)
{
    switch (opcode) {
    case BC_OP_os_dup:
    case BC_OP_os_drop:
    case BC_OP_os_save8:
    case BC_OP_os_save32:
    case BC_OP_new:
    case BC_OP_o2i:
    case BC_OP_push_catcher:
    case BC_OP_throw:
    case BC_OP_os_isnull:
    case BC_OP_general_lock:
    case BC_OP_general_unlock:
    case BC_OP_short_call_0:
    case BC_OP_short_call_1:
    case BC_OP_short_call_2:
    case BC_OP_short_call_3: return 1;
    case BC_OP_cast:
    case BC_OP_os_eq:
    case BC_OP_os_neq: return 2;
    default: return 0;
    }
}

struct pvm_frame *pvm_frame_check(struct pvm_worker *worker, struct data_area_4_thread *thread)
{
    struct pvm_frame *f = pvm_thread_frame(thread);
    const struct data_area_4_code *code = pvm_object_da(f->code, code);
    struct bc_instruction i;
    enum bc_decode_status status = bc_decode(code->code, code->code_size, f->ip, &i);
    uint32_t width = 1;
    if (status == BC_DECODE_OK && bc_opcode_is_prefix(i.opcode)) {
        width = i.opcode == BC_OP_prefix_float ? 1 : 2;
        status = bc_decode(code->code, code->code_size, f->ip + 1, &i);
    }
    PH_CHECK(status == BC_DECODE_OK); /* verified: every reachable instruction decodes */
    struct need need = {
        .objects_below = object_pops(i.opcode),
        .ints_below = int_pops(i.opcode, width),
        .objects_room = 2,
        .ints_room = 2,
    };
    need_of_operands(&i, width, f, &need);
    if (need.objects_below > f->object_depth) {
        pvm_throw_text(worker, "object stack underflow");
        return NULL;
    }
    if (need.ints_below > f->int_depth) {
        pvm_throw_text(worker, "int stack underflow");
        return NULL;
    }
    if (i.opcode == BC_OP_pop_catcher && f->catch_depth == 0) {
        pvm_throw_text(worker, "pop_catcher without push_catcher");
        return NULL;
    }
    uint64_t objects = f->object_depth + need.objects_room;
    uint64_t ints = f->int_depth + need.ints_room;
    uint32_t catchers = f->catch_depth + 1u;
    if (objects > f->object_cap || ints > f->int_cap || catchers > f->catch_cap) {
        return pvm_frame_widen(worker, thread, (uint32_t)objects, (uint32_t)ints, catchers);
    }
    return f;
}
