/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_audit.c - is everything in the heap what the machine believes it is? World stopped.
 *
 * Order matters: first that every object has a class object with a sane shape, then that the stacks
 * of live threads can be walked at all, and only then the heap's own audit, which traces.
 */
#include "pvm_exec.h"

#include <inttypes.h>

struct audit {
    struct pvm *pvm;
    struct phantom_diag *diag;
};

static int bad(const struct audit *audit, const void *o, const char *what)
{
    return ph_fail(audit->diag, PHANTOM_ECORRUPT, "object %p: %s", o, what);
}

static bool is_object(const struct audit *audit, pvm_object_t o)
{
    return heap_is_object(audit->pvm->heap, o) && o->_marker == PVM_OBJECT_START_MARKER;
}

/** Enough of a class object to look at its instances. */
static bool is_class_object(const struct audit *audit, pvm_object_t o)
{
    if (!is_object(audit, o) || !pvm_is_class(o) ||
        o->_da_size != sizeof(struct data_area_4_class)) {
        return false;
    }
    uint32_t row = pvm_object_da(o, class)->sys_table_id;
    return row == PVM_NOT_INTERNAL || row < (uint32_t)pvm_n_internal_classes;
}

/** Sizes written inside internal objects against the size of the object. */
static bool inner_size_fits(const struct audit *audit, pvm_object_t o, int root_index)
{
    uint64_t size = o->_da_size;
    switch (root_index) {
    case PVM_ROOT_OBJECT_STRING_CLASS:
        return pvm_get_str_len(o) >= 0 &&
               (uint64_t)pvm_get_str_len(o) + sizeof(struct data_area_4_string) <= size;
    case PVM_ROOT_OBJECT_BINARY_CLASS:
        return pvm_object_da(o, binary)->data_size >= 0 &&
               (uint64_t)pvm_object_da(o, binary)->data_size + sizeof(struct data_area_4_binary) <=
                   size;
    case PVM_ROOT_OBJECT_CODE_CLASS:
        return pvm_object_da(o, code)->code_size +
                   (uint64_t)offsetof(struct data_area_4_code, code) <=
               size;
    case PVM_ROOT_OBJECT_ARRAY_CLASS: {
        const struct data_area_4_array *da = pvm_object_da(o, array);
        uint64_t room = da->page && is_object(audit, da->page) ? pvm_slot_count(da->page) : 0;
        return da->used_slots >= 0 && (uint64_t)da->used_slots <= room;
    }
    case PVM_ROOT_OBJECT_DIRECTORY_CLASS: {
        const struct data_area_4_directory *da = pvm_object_da(o, directory);
        if (da->keys == NULL) {
            return da->nEntries == 0;
        }
        return is_object(audit, da->keys) && is_object(audit, da->values) &&
               pvm_slot_count(da->keys) == da->capacity &&
               pvm_slot_count(da->values) == da->capacity && da->nEntries <= da->n_used &&
               da->n_used < da->capacity;
    }
    default: return true;
    }
}

static int audit_object(void *context, pvm_object_t o)
{
    const struct audit *audit = context;
    if (o == audit->pvm->root) {
        return o->_class ? bad(audit, o, "root object has a class") : 0;
    }
    if (o->_marker != PVM_OBJECT_START_MARKER) {
        return bad(audit, o, "no object marker");
    }
    if (!is_class_object(audit, o->_class)) {
        return bad(audit, o, "its class is not a class");
    }
    const struct data_area_4_class *class = pvm_object_da(o->_class, class);
    if (class->sys_table_id == PVM_NOT_INTERNAL) {
        return o->_da_size == class->object_data_area_size
                   ? 0
                   : bad(audit, o, "size differs from what its class says");
    }
    const struct internal_class *row = &pvm_internal_classes[class->sys_table_id];
    bool open_ended = row->root_index == PVM_ROOT_OBJECT_INTERFACE_CLASS ||
                      row->root_index == PVM_ROOT_OBJECT_PAGE_CLASS;
    /* The flexible data of strings begins inside the structure's padding-free size. */
    uint64_t least = row->root_index == PVM_ROOT_OBJECT_CODE_CLASS
                         ? offsetof(struct data_area_4_code, code)
                         : row->da_size;
    if (!open_ended && o->_da_size < least) {
        return bad(audit, o, "smaller than its internal class needs");
    }
    return inner_size_fits(audit, o, row->root_index) ? 0 : bad(audit, o, "inner size is wrong");
}

static bool is_code(const struct audit *audit, pvm_object_t o)
{
    return is_object(audit, o) && (pvm_flags(o) & PHANTOM_OBJECT_STORAGE_FLAG_IS_CODE);
}

static int audit_frame(const struct audit *audit, pvm_object_t segment, uint64_t offset)
{
    if (!is_object(audit, segment) ||
        segment->_class != audit->pvm->classes[PVM_ROOT_OBJECT_OSTACK_CLASS]) {
        return bad(audit, segment, "not a stack segment");
    }
    if (offset < PVM_SEGMENT_FIRST_FRAME || offset % sizeof(uint64_t) ||
        offset + sizeof(struct pvm_frame) > segment->_da_size) {
        return bad(audit, segment, "frame outside of its segment");
    }
    const struct pvm_frame *f = pvm_frame_at(segment, offset);
    if (f->bytes > segment->_da_size - offset || f->object_cap > f->bytes ||
        f->int_cap > f->bytes ||
        pvm_frame_bytes(f->object_cap, f->int_cap, f->catch_cap) != f->bytes ||
        f->object_depth > f->object_cap || f->int_depth > f->int_cap ||
        f->catch_depth > f->catch_cap) {
        return bad(audit, f, "frame with impossible sizes");
    }
    if (!is_code(audit, f->code) || f->ip >= pvm_object_da(f->code, code)->code_size) {
        return bad(audit, f, "frame without code, or past its end");
    }
    if (!is_object(audit, f->this_object)) {
        return bad(audit, f, "frame without this");
    }
    return 0;
}

static int audit_thread(const struct audit *audit, pvm_object_t o)
{
    const struct data_area_4_thread *t = pvm_object_da(o, thread);
    pvm_object_t segment = t->stack;
    uint64_t offset = t->frame_offset;
    if (t->state != PVM_THREAD_RUNNABLE && t->state != PVM_THREAD_BLOCKED &&
        t->state != PVM_THREAD_NEW) {
        return bad(audit, o, "live thread in a wrong state");
    }
    if (t->state == PVM_THREAD_BLOCKED && t->waiting_on == NULL && t->deadline_us == 0) {
        return bad(audit, o, "blocked thread that nobody can wake");
    }
    for (;;) {
        int rc = audit_frame(audit, segment, offset);
        if (rc != 0) {
            return rc;
        }
        struct pvm_frame *f = pvm_frame_at(segment, offset);
        if (f->flags & PVM_FRAME_ENTRY) {
            return 0;
        }
        if (f->flags & PVM_FRAME_FIRST_IN_SEGMENT) {
            segment = ((struct pvm_stack_segment *)(void *)segment->da)->prev;
        } else if (f->prev >= offset) {
            return bad(audit, f, "frame links do not go down");
        }
        offset = f->prev;
    }
}

static int audit_threads(const struct audit *audit)
{
    uint64_t count = 0;
    pvm_object_t last = NULL;
    for (pvm_object_t o = pvm_slots(audit->pvm->root)[PVM_ROOT_OBJECT_THREAD_LIST]; o;
         o = pvm_object_da(o, thread)->next) {
        if (!is_object(audit, o) ||
            o->_class != audit->pvm->classes[PVM_ROOT_OBJECT_THREAD_CLASS]) {
            return bad(audit, o, "not a thread, but in the list of threads");
        }
        if (pvm_object_da(o, thread)->prev != last) {
            return bad(audit, o, "list of threads is not linked both ways");
        }
        int rc = audit_thread(audit, o);
        if (rc != 0) {
            return rc;
        }
        last = o;
        count++;
    }
    if (count != audit->pvm->threads_live) {
        return ph_fail(audit->diag, PHANTOM_ECORRUPT,
                       "%" PRIu64 " threads in the list, %" PRIu64 " are alive", count,
                       audit->pvm->threads_live);
    }
    return 0;
}

int pvm_audit(struct pvm *pvm, struct phantom_diag *diag)
{
    struct audit audit = {pvm, diag};
    int rc = heap_walk(pvm->heap, audit_object, &audit);
    if (rc == 0) {
        rc = audit_threads(&audit);
    }
    return rc ? rc : heap_audit(pvm->heap, pvm_trace_object, pvm, diag);
}
