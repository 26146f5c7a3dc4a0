/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_types.c - relations between types. See cc_types.h.
 */
#include "cc_types.h"

#include <string.h>

static struct cc_type *simple(struct cc_session *session, enum cc_type_kind kind, const char *name)
{
    struct cc_type *type = cc_alloc(session, sizeof(*type));
    type->kind = kind;
    type->name = name;
    return type;
}

void cc_init_types(struct cc_session *session)
{
    session->type_error = simple(session, CC_KIND_ERROR, "?");
    session->type_unknown = simple(session, CC_KIND_UNKNOWN, "unknown");
    session->type_void = simple(session, CC_KIND_VOID, "void");
    session->type_null = simple(session, CC_KIND_NULL, "null");
    session->type_int = simple(session, CC_KIND_INT, "int");
    session->type_long = simple(session, CC_KIND_LONG, "long");
    session->type_float = simple(session, CC_KIND_FLOAT, "float");
    session->type_double = simple(session, CC_KIND_DOUBLE, "double");
    session->class_object = cc_class_named(session, ".internal.object");
    session->class_string = cc_class_named(session, ".internal.string");
    session->class_array = cc_class_named(session, ".internal.container.array");
    session->class_string->type.name = "string";
    cc_class_named(session, ".internal.int")->value_type = session->type_int;
    cc_class_named(session, ".internal.long")->value_type = session->type_long;
    cc_class_named(session, ".internal.float")->value_type = session->type_float;
    cc_class_named(session, ".internal.double")->value_type = session->type_double;
    cc_class_named(session, ".internal.void")->value_type = session->type_void;
    session->class_array->value_type = cc_array_of(session, session->type_unknown);
}

bool cc_is_numeric(const struct cc_type *type)
{
    return type->kind >= CC_KIND_INT && type->kind <= CC_KIND_DOUBLE;
}

bool cc_is_reference(const struct cc_type *type)
{
    return type->kind == CC_KIND_CLASS || type->kind == CC_KIND_ARRAY ||
           type->kind == CC_KIND_UNKNOWN || type->kind == CC_KIND_NULL;
}

const struct cc_type *cc_array_of(struct cc_session *session, const struct cc_type *element)
{
    if (element->kind == CC_KIND_ERROR) {
        return element;
    }
    if (element->kind == CC_KIND_VOID) {
        element = session->type_unknown; /* `void[]` is the old way to say: array of anything */
    }
    struct cc_type *made_from = (struct cc_type *)element;
    if (!made_from->array) {
        struct cc_type *array = simple(session, CC_KIND_ARRAY, "");
        array->element = element;
        array->name =
            cc_format(session, "%s[]", element->kind == CC_KIND_UNKNOWN ? "void" : element->name);
        made_from->array = array;
    }
    return made_from->array;
}

struct cc_class *cc_class_of(struct cc_session *session, const struct cc_type *type)
{
    switch (type->kind) {
    case CC_KIND_INT: return cc_class_named(session, ".internal.int");
    case CC_KIND_LONG: return cc_class_named(session, ".internal.long");
    case CC_KIND_FLOAT: return cc_class_named(session, ".internal.float");
    case CC_KIND_DOUBLE: return cc_class_named(session, ".internal.double");
    case CC_KIND_CLASS: return type->class;
    case CC_KIND_ARRAY: return session->class_array;
    case CC_KIND_ERROR:
    case CC_KIND_UNKNOWN:
    case CC_KIND_VOID:
    case CC_KIND_NULL: break;
    }
    return NULL;
}

const char *cc_runtime_class(struct cc_session *session, const struct cc_type *type)
{
    struct cc_class *class = cc_class_of(session, type);
    if (class) {
        return class->name;
    }
    return type->kind == CC_KIND_VOID ? ".internal.void" : "";
}

bool cc_descends(struct cc_session *session, struct cc_class *class, struct cc_class *other)
{
    if (strcmp(other->name, ".internal.object") == 0) {
        return true;
    }
    while (class) {
        if (class == other || strcmp(class->name, other->name) == 0) {
            return true;
        }
        if (!cc_complete(session, class)) {
            return false;
        }
        for (uint32_t i = 0; i < class->interface_count; i++) {
            if (class->interfaces[i] == other) {
                return true;
            }
        }
        class = class->base;
    }
    return false;
}

bool cc_assignable(struct cc_session *session, const struct cc_type *to, const struct cc_type *from)
{
    if (to == from || to->kind == CC_KIND_ERROR || from->kind == CC_KIND_ERROR) {
        return true;
    }
    if (to->kind == CC_KIND_VOID || from->kind == CC_KIND_VOID) {
        return false;
    }
    if (to->kind == CC_KIND_UNKNOWN) {
        return true;
    }
    if (from->kind == CC_KIND_UNKNOWN) {
        return false;
    }
    if (from->kind == CC_KIND_NULL) {
        return !cc_is_numeric(to);
    }
    if (cc_is_numeric(to) && cc_is_numeric(from)) {
        return true;
    }
    if (to->kind == CC_KIND_ARRAY || from->kind == CC_KIND_ARRAY) {
        if (to->kind == from->kind) {
            return to->element->kind == CC_KIND_UNKNOWN || from->element->kind == CC_KIND_UNKNOWN;
        }
        return to->kind == CC_KIND_CLASS && to->class == session->class_object;
    }
    if (to->kind != CC_KIND_CLASS) {
        return false;
    }
    return cc_descends(session, cc_class_of(session, from), to->class);
}

const struct cc_type *cc_common_numeric(const struct cc_type *a, const struct cc_type *b)
{
    return a->kind > b->kind ? a : b;
}

const char *cc_signature_text(struct cc_session *session, const struct cc_method *method)
{
    const char *name = method->name;
    if (method->is_constructor) {
        const char *dot = strrchr(method->owner->name, '.');
        name = dot ? dot + 1 : method->owner->name;
    }
    const char *text = cc_format(session, "%s(", name);
    for (uint32_t i = 0; i < method->parameter_count && i < 20; i++) {
        text = cc_format(session, "%s%s%s", text, i ? ", " : "", method->parameters[i].type->name);
    }
    return cc_format(session, "%s)", text);
}

/* `.internal.object` and no type at all accept the same things, so they count as one here. */
static bool same_type(const struct cc_session *session, const struct cc_type *a,
                      const struct cc_type *b)
{
    bool any_a = a->kind == CC_KIND_UNKNOWN || a == &session->class_object->type;
    bool any_b = b->kind == CC_KIND_UNKNOWN || b == &session->class_object->type;
    if (a->kind == CC_KIND_CLASS && b->kind == CC_KIND_CLASS) {
        return strcmp(a->class->name, b->class->name) == 0;
    }
    return a == b || (any_a && any_b);
}

bool cc_same_parameters(const struct cc_session *session, const struct cc_method *a,
                        const struct cc_method *b)
{
    if (strcmp(a->name, b->name) != 0 || a->parameter_count != b->parameter_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->parameter_count; i++) {
        if (!same_type(session, a->parameters[i].type, b->parameters[i].type)) {
            return false;
        }
    }
    return true;
}
