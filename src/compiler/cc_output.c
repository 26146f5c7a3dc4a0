/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_output.c - see cc_output.h. The struct bc_class filled in here borrows everything from the
 * arena; it is only read by bc_class_write() and never destroyed.
 */
#include "cc_output.h"

#include "cc_lower.h"

#include "ph_memory.h"

#include <errno.h>
#include <string.h>

static char *borrow(const char *text)
{
    return (char *)text; /* bc_class_write() takes const */
}

static struct bc_type output_type(struct cc_session *session, const struct cc_type *type)
{
    struct bc_type out = {.class_name = borrow(cc_runtime_class(session, type)),
                          .element_name = borrow("")};
    if (type->kind == CC_KIND_ARRAY) {
        const char *element = cc_runtime_class(session, type->element);
        out.is_container = true;
        out.element_name = borrow(*element ? element : ".internal.void");
    }
    return out;
}

static void output_method(struct cc_session *session, struct cc_class *class,
                          struct cc_method *method, struct cc_pool *pool, struct bc_method *out)
{
    struct cc_method_code code;
    struct cc_frame none = {0};
    cc_lower_method(session, class, method, method->frame ? method->frame : &none, pool, &code);
    out->name = borrow(method->name);
    out->ordinal = method->ordinal;
    out->code = (struct bc_bytes){.data = code.bytes, .size = code.size};
    out->has_signature = true;
    out->is_constructor = method->is_constructor;
    out->result = output_type(session, method->result);
    out->parameter_count = method->parameter_count;
    out->parameters = cc_alloc(session, sizeof(*out->parameters) * method->parameter_count);
    for (uint32_t i = 0; i < method->parameter_count; i++) {
        out->parameters[i].name = borrow(method->parameters[i].name);
        out->parameters[i].type = output_type(session, method->parameters[i].type);
    }
    out->lines = code.lines;
    out->line_count = code.line_count;
}

static void fill_class(struct cc_session *session, struct cc_class *class, struct bc_class *out)
{
    struct cc_pool pool = {0};
    const char *version = session->options->version;
    out->name = borrow(class->name);
    out->parent = borrow(class->base ? class->base->name : class->name);
    out->version = borrow(version ? version : "00000000000000000");
    out->object_slots = class->field_slots;
    out->method_slots = class->method_slots;
    out->method_count = class->method_count;
    out->methods = cc_alloc(session, sizeof(*out->methods) * class->method_count);
    for (uint32_t i = 0; i < class->method_count; i++) {
        output_method(session, class, class->methods[i], &pool, &out->methods[i]);
    }
    out->field_count = class->field_count;
    out->fields = cc_alloc(session, sizeof(*out->fields) * class->field_count);
    for (uint32_t i = 0; i < class->field_count; i++) {
        out->fields[i].name = borrow(class->fields[i]->name);
        out->fields[i].slot = class->fields[i]->slot;
        out->fields[i].type = output_type(session, class->fields[i]->type);
    }
    out->constant_count = pool.count;
    out->constants = cc_alloc(session, sizeof(*out->constants) * pool.count);
    for (uint32_t i = 0; i < pool.count; i++) {
        out->constants[i].index = i;
        out->constants[i].bytes =
            (struct bc_bytes){.data = (uint8_t *)pool.texts[i].data, .size = pool.texts[i].size};
    }
}

void cc_output_class(struct cc_session *session, struct cc_class *class, struct compiler_class *out)
{
    struct bc_class file = {0};
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    fill_class(session, class, &file);
    if (session->error_count > 0) {
        return;
    }
    out->name = ph_strdup(class->name + 1);
    int error = out->name ? bc_class_write(&file, &out->file, &diag) : -ENOMEM;
    if (error == -ENOMEM) {
        cc_escape(session, error);
    }
    if (error) {
        cc_error(session, class->place, "%s", diag.text);
    }
}
