/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_exception.c - throwing, finding the handler, and telling what happened when there is none.
 *
 * An exception is any object. Handlers are searched from the newest catcher of the current frame
 * outwards. Entering one drops it and all newer ones and cuts both stacks to the depths at its
 * push_catcher, plus the thrown object. A search that finds nothing changes nothing, so the
 * backtrace still shows where the exception came from.
 */
#include "ph_memory.h"
#include "pvm_exec.h"
#include "pvm_stores.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    REPORT_BYTES = 8192,
    REPORT_FRAMES = 40,
};

void pvm_throw_text(struct pvm_worker *worker, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    bool before = worker->out_of_memory;
    pvm_object_t string = pvm_create_string_object(text);
    worker->out_of_memory = before; /* an exception that cannot be made is one about memory */
    worker->thrown = string ? string : pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
}

static struct pvm_catcher *find_catcher(struct pvm_frame *f, pvm_object_t thrown)
{
    for (uint32_t i = f->catch_depth; i > 0; i--) {
        struct pvm_catcher *c = &pvm_frame_catchers(f)[i - 1];
        if (pvm_object_class_is_or_parent(thrown, c->class)) {
            return c;
        }
    }
    return NULL;
}

bool pvm_unwind(struct pvm_worker *worker, struct data_area_4_thread *thread)
{
    pvm_object_t segment = thread->stack;
    struct pvm_frame *f = pvm_thread_frame(thread);
    struct pvm_catcher *c = NULL;
    while (f && (c = find_catcher(f, worker->thrown)) == NULL) {
        f = pvm_frame_below(&segment, f);
    }
    if (c == NULL) {
        return false;
    }
    while (pvm_thread_frame(thread) != f) {
        (void)pvm_frame_pop(worker, thread);
    }
    pvm_before(worker->pvm, f, f->bytes);
    f->catch_depth = (uint16_t)(c - pvm_frame_catchers(f));
    f->ip = c->target;
    f->int_depth = c->int_depth;
    f->object_depth = c->object_depth;
    /* There is room: the catcher's class was in this cell or above it. */
    pvm_frame_objects(f)[f->object_depth++] = worker->thrown;
    pvm_after(worker->pvm, f, f->bytes);
    worker->thrown = NULL;
    return true;
}

void pvm_object_text(pvm_object_t o, char *text, size_t size)
{
    struct pvm *pvm = pvm_current();
    if (pvm_is_null(o)) {
        snprintf(text, size, "null");
    } else if (IS_PHANTOM_STRING(o)) {
        int32_t length = pvm_get_str_len(o);
        snprintf(text, size, "%.*s", length, pvm_get_str_data(o));
    } else if (IS_PHANTOM_INT(o)) {
        snprintf(text, size, "%" PRId32, pvm_get_int(o));
    } else if (o->_class == pvm->classes[PVM_ROOT_OBJECT_LONG_CLASS]) {
        snprintf(text, size, "%" PRId64, pvm_get_long(o));
    } else {
        char name[256];
        snprintf(text, size, "<%s>", pvm_class_name_text(o->_class, name, sizeof(name)));
    }
}

static size_t add_frame_line(char *text, size_t size, struct pvm_frame *f)
{
    const struct data_area_4_code *code = pvm_object_da(f->code, code);
    char class_name[256] = ".internal";
    char method_name[128] = "";
    uint32_t line = 0;
    if (code->owner_class) {
        pvm_class_name_text(code->owner_class, class_name, sizeof(class_name));
        pvm_object_t name = pvm_get_method_name(code->owner_class, code->ordinal);
        if (name) {
            pvm_object_text(name, method_name, sizeof(method_name));
        }
        line = pvm_ip_to_linenum(code->owner_class, code->ordinal, f->ip);
    }
    int n = snprintf(text, size, "\n  at %s.%s [%" PRIu32 "] line %" PRIu32 " (offset %" PRIu32 ")",
                     class_name, method_name, f->ordinal, line, f->ip);
    return n < 0 || (size_t)n >= size ? size - 1 : (size_t)n;
}

void pvm_report_failure(struct pvm_worker *worker, struct data_area_4_thread *thread)
{
    struct pvm_host *host = &worker->pvm->host;
    char *text = host->thread_failed ? ph_alloc(REPORT_BYTES) : NULL;
    if (text == NULL) {
        if (host->thread_failed) {
            host->thread_failed(host->context, "unhandled exception (no memory for its text)");
        }
        return;
    }
    char thrown[1024];
    pvm_object_text(worker->thrown, thrown, sizeof(thrown));
    int head = snprintf(text, REPORT_BYTES, "thread %" PRIu64 ": unhandled exception: %s",
                        thread->tid, thrown);
    size_t used = head < 0 ? 0 : (size_t)head;
    pvm_object_t segment = thread->stack;
    struct pvm_frame *f = pvm_thread_frame(thread);
    for (int i = 0; f && i < REPORT_FRAMES; i++) {
        used += add_frame_line(text + used, REPORT_BYTES - used, f);
        f = pvm_frame_below(&segment, f);
    }
    if (f) {
        snprintf(text + used, REPORT_BYTES - used, "\n  ...");
    }
    host->thread_failed(host->context, text);
    ph_free(text);
}
