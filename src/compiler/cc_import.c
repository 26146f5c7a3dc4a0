/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_import.c - classes from outside the run: NAME.pc or NAME.ph in the import folders.
 *
 * A class file gives names, slots and types; classes it mentions stay known by name until somebody
 * asks for their members. A source found this way joins the run: it is compiled and written like
 * the others.
 */
#include "cc_types.h"

#include <errno.h>
#include <string.h>

static const struct cc_type *file_type(struct cc_session *session, const struct bc_type *type)
{
    if (type->is_container) {
        const char *name = type->element_name;
        return cc_array_of(session, *name == '.' ? cc_class_named(session, name)->value_type
                                                 : session->type_unknown);
    }
    const char *name = type->class_name;
    return *name == '.' ? cc_class_named(session, name)->value_type : session->type_unknown;
}

static const char *keep(struct cc_session *session, const char *text)
{
    return cc_copy_text(session, text, strlen(text)).data;
}

static void take_method(struct cc_session *session, struct cc_class *class,
                        const struct bc_method *from)
{
    struct cc_method *method = cc_alloc(session, sizeof(*method));
    if (!from->has_signature || from->parameter_count > CC_MAX_ARGUMENTS) {
        return; /* cannot be called by name; the slot is used all the same */
    }
    method->name = keep(session, from->name);
    method->owner = class;
    method->ordinal = from->ordinal;
    method->has_ordinal = true;
    method->is_constructor = strcmp(from->name, "<init>") == 0;
    method->result = file_type(session, &from->result);
    method->parameter_count = from->parameter_count;
    method->parameters = cc_alloc(session, sizeof(*method->parameters) * from->parameter_count);
    for (uint32_t i = 0; i < from->parameter_count; i++) {
        method->parameters[i].name = keep(session, from->parameters[i].name);
        method->parameters[i].type = file_type(session, &from->parameters[i].type);
    }
    CC_PUSH(session, class->methods, class->method_count, class->method_capacity, method);
}

/* Refuse a base that would close a circle of class files. */
static struct cc_class *checked_base(struct cc_session *session, struct cc_class *class,
                                     const char *name)
{
    struct cc_class *base = cc_class_named(session, name);
    for (struct cc_class *c = base; c; c = c->base) {
        if (c == class) {
            return session->class_object;
        }
    }
    return base;
}

static void take_class(struct cc_session *session, struct cc_class *class,
                       const struct bc_class *from)
{
    class->origin = CC_ORIGIN_FILE;
    class->members_state = CC_STATE_DONE;
    class->base = checked_base(session, class, from->parent);
    class->field_slots = from->object_slots;
    class->method_slots = from->method_slots;
    for (uint32_t i = 0; i < from->method_count; i++) {
        take_method(session, class, &from->methods[i]);
    }
    for (uint32_t i = 0; i < from->field_count; i++) {
        struct cc_field *field = cc_alloc(session, sizeof(*field));
        field->name = keep(session, from->fields[i].name);
        field->owner = class;
        field->slot = from->fields[i].slot;
        field->type = file_type(session, &from->fields[i].type);
        if (field->slot >= class->field_slots) {
            class->field_slots = field->slot + 1;
        }
        CC_PUSH(session, class->fields, class->field_count, class->field_capacity, field);
    }
}

static bool take_class_file(struct cc_session *session, struct cc_class *class, const char *path,
                            const struct cc_text *bytes)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int error = bc_class_read(path, bytes->data, bytes->size, &session->file_class, &diag);
    if (error == -ENOMEM) {
        cc_escape(session, error);
    }
    if (error) {
        cc_error(session, (struct cc_place){0}, "%s", diag.text);
        return false;
    }
    bool right = strcmp(session->file_class->name, class->name) == 0;
    if (right) {
        take_class(session, class, session->file_class);
    } else {
        cc_error(session, (struct cc_place){0}, "%s holds class '%s', not '%s'", path,
                 session->file_class->name, class->name);
    }
    bc_class_destroy(session->file_class);
    session->file_class = NULL;
    return right;
}

static bool try_file(struct cc_session *session, struct cc_class *class, const char *folder,
                     const char *ending)
{
    struct cc_text bytes;
    char *path = cc_format(session, "%s/%s%s", folder, class->name + 1, ending);
    int error = cc_read_file(session, path, &bytes);
    if (error == -ENOENT) {
        return false;
    }
    if (error) {
        cc_error(session, (struct cc_place){0}, "%s: %s", path, phantom_strerror(error));
        return false;
    }
    if (strcmp(ending, ".pc") == 0) {
        return take_class_file(session, class, path, &bytes);
    }
    unsigned errors = session->error_count;
    cc_add_unit(session, path, bytes.data, bytes.size);
    if (class->origin != CC_ORIGIN_SOURCE && session->error_count == errors) {
        cc_error(session, (struct cc_place){0}, "%s does not define class '%s'", path, class->name);
    }
    return class->origin == CC_ORIGIN_SOURCE;
}

bool cc_import_class(struct cc_session *session, struct cc_class *class)
{
    const struct compiler_options *options = session->options;
    class->origin = CC_ORIGIN_MISSING; /* a source looked at now may ask for it again */
    if (strlen(class->name) > BC_MAX_NAME_BYTES || strchr(class->name, '/')) {
        return false;
    }
    static const char *const endings[] = {".pc", ".ph"};
    for (size_t e = 0; e < sizeof(endings) / sizeof(endings[0]); e++) {
        for (size_t i = 0; i < options->import_folder_count; i++) {
            if (try_file(session, class, options->import_folders[i], endings[e])) {
                return true;
            }
        }
    }
    return false;
}
