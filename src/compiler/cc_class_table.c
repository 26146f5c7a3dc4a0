/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_class_table.c - all classes of a run by name, and the meaning of names in sources.
 *
 * A class of the sources wins over a class file of the same name. A source that defines a native
 * class (the port's library does) is compiled, but everybody else keeps using the built-in
 * description: its class stands beside the table.
 */
#include "cc_types.h"

#include <string.h>

enum { CC_MAX_MEMBERS = 4096 }; /* of one class; keeps quadratic searches harmless */

static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    }
    return hash;
}

static struct cc_class *new_class(struct cc_session *session, const char *name)
{
    struct cc_class *class = cc_alloc(session, sizeof(*class));
    class->name = cc_format(session, "%s", name);
    class->type.kind = CC_KIND_CLASS;
    class->type.name = class->name;
    class->type.class = class;
    class->value_type = &class->type;
    return class;
}

struct cc_class *cc_class_named(struct cc_session *session, const char *name)
{
    struct cc_class **bucket = &session->class_buckets[hash_name(name) % CC_CLASS_BUCKETS];
    for (struct cc_class *class = *bucket; class; class = class->next_in_bucket) {
        if (strcmp(class->name, name) == 0) {
            return class;
        }
    }
    struct cc_class *class = new_class(session, name);
    class->next_in_bucket = *bucket;
    *bucket = class;
    return class;
}

static const char *absolute_name(struct cc_session *session, const struct cc_unit *unit,
                                 const struct cc_name *name)
{
    if (name->absolute) {
        return name->text;
    }
    return unit->package ? cc_format(session, "%s.%s", unit->package, name->text) : NULL;
}

static void warn_of_capitals(struct cc_session *session, const struct cc_class *class)
{
    for (const char *c = class->name; *c; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            cc_hint(session, class->place,
                    "capitals in the class name '%s': older compilers ask for it in lower case",
                    class->name);
            return;
        }
    }
}

static void declare_class(struct cc_session *session, struct cc_unit *unit,
                          struct cc_class_syntax *syntax)
{
    const char *name = absolute_name(session, unit, &syntax->name);
    if (!name) {
        cc_error(session, syntax->name.place,
                 "class name '%s' is relative and the file has no package", syntax->name.text);
        return;
    }
    struct cc_class *class = cc_class_named(session, name);
    if (class->origin == CC_ORIGIN_SOURCE) {
        cc_error(session, syntax->name.place, "class '%s' is defined twice", name);
        return;
    }
    if (class->origin == CC_ORIGIN_BUILTIN || class->origin == CC_ORIGIN_FILE) {
        class = new_class(session, name);
    }
    class->origin = unit->is_builtin ? CC_ORIGIN_BUILTIN : CC_ORIGIN_SOURCE;
    class->is_interface = syntax->is_interface;
    class->syntax = syntax;
    class->unit = unit;
    class->place = syntax->name.place;
    if (!unit->is_builtin) {
        warn_of_capitals(session, class);
        CC_PUSH(session, session->own_classes, session->own_class_count,
                session->own_class_capacity, class);
    }
}

void cc_declare_unit(struct cc_session *session, struct cc_unit *unit)
{
    for (struct cc_class_syntax *syntax = unit->classes; syntax; syntax = syntax->next) {
        declare_class(session, unit, syntax);
    }
}

void cc_add_unit(struct cc_session *session, const char *file_name, const char *text, uint32_t size)
{
    struct cc_source *source = cc_add_source(session, file_name, text, size);
    struct cc_unit *unit = cc_parse(session, source, false);
    CC_PUSH(session, session->units, session->unit_count, session->unit_capacity, unit);
    cc_declare_unit(session, unit);
}

static bool class_exists(struct cc_session *session, struct cc_class *class)
{
    if (class->origin == CC_ORIGIN_NAMED && !cc_import_class(session, class)) {
        class->origin = CC_ORIGIN_MISSING;
    }
    return class->origin != CC_ORIGIN_MISSING;
}

bool cc_complete(struct cc_session *session, struct cc_class *class)
{
    if (!class_exists(session, class)) {
        return false;
    }
    if (class->members_state == CC_STATE_NEW) {
        cc_resolve_members(session, class);
    }
    return true;
}

/* The imported class whose name ends in `.text`. */
static struct cc_class *find_import(struct cc_session *session, struct cc_unit *unit,
                                    const char *text)
{
    size_t size = strlen(text);
    for (uint32_t i = 0; i < unit->import_count; i++) {
        const char *name = unit->imports[i].text;
        size_t name_size = strlen(name);
        if (name_size > size && name[name_size - size - 1] == '.' &&
            strcmp(name + name_size - size, text) == 0) {
            return cc_class_named(session, name);
        }
    }
    return NULL;
}

struct cc_class *cc_resolve_name(struct cc_session *session, struct cc_unit *unit,
                                 const struct cc_name *name)
{
    const char *absolute = absolute_name(session, unit, name);
    struct cc_class *class = absolute ? cc_class_named(session, absolute) : NULL;
    if (class && class_exists(session, class)) {
        return class;
    }
    class = name->absolute ? NULL : find_import(session, unit, name->text);
    if (class && class_exists(session, class)) {
        return class;
    }
    if (absolute) {
        cc_error(session, name->place, "class '%s' is not known", absolute);
    } else {
        cc_error(session, name->place,
                 "class '%s' is not known (the name is relative and the file has no package)",
                 name->text);
    }
    return NULL;
}

static const struct cc_type *short_type(struct cc_session *session, const struct cc_name *name)
{
    if (name->absolute) {
        return NULL;
    }
    const struct {
        const char *name;
        const struct cc_type *type;
    } table[] = {
        {"int", session->type_int},
        {"long", session->type_long},
        {"float", session->type_float},
        {"double", session->type_double},
        {"string", &session->class_string->type},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(name->text, table[i].name) == 0) {
            return table[i].type;
        }
    }
    return NULL;
}

const struct cc_type *cc_resolve_type(struct cc_session *session, struct cc_unit *unit,
                                      const struct cc_type_syntax *syntax)
{
    const struct cc_type *type = session->type_unknown;
    if (syntax->form == CC_TYPE_VOID) {
        type = session->type_void;
    } else if (syntax->form == CC_TYPE_NAMED) {
        type = short_type(session, &syntax->name);
        if (!type && unit->is_builtin && syntax->name.absolute) {
            /* Native classes may mention library classes that are not there: known by name. */
            type = cc_class_named(session, syntax->name.text)->value_type;
        } else if (!type) {
            struct cc_class *class = cc_resolve_name(session, unit, &syntax->name);
            if (!class) {
                return session->type_error;
            }
            type = class->value_type;
        }
    }
    return syntax->is_array ? cc_array_of(session, type) : type;
}

static void set_base(struct cc_session *session, struct cc_class *class, struct cc_class *base,
                     struct cc_place place)
{
    bool own_native = strncmp(class->name, ".internal.", 10) == 0;
    if (base->is_interface) {
        cc_error(session, place, "'%s' is an interface: use 'implements'", base->name);
        return;
    }
    if (base != session->class_object && strncmp(base->name, ".internal.", 10) == 0 &&
        !own_native) {
        cc_error(session, place, "the native class '%s' cannot be extended", base->name);
        return;
    }
    for (struct cc_class *c = base; c; c = c->base) {
        if (c == class) {
            cc_error(session, place, "class '%s' would be its own ancestor", class->name);
            return;
        }
    }
    class->base = base;
}

static void resolve_ancestors(struct cc_session *session, struct cc_class *class)
{
    const struct cc_class_syntax *syntax = class->syntax;
    if (strcmp(class->name, ".internal.object") != 0) {
        class->base = session->class_object;
    }
    if (syntax->has_base) {
        struct cc_class *base = cc_resolve_name(session, class->unit, &syntax->base);
        if (base) {
            set_base(session, class, base, syntax->base.place);
        }
    }
    for (uint32_t i = 0; i < syntax->interface_count; i++) {
        struct cc_class *other = cc_resolve_name(session, class->unit, &syntax->interfaces[i]);
        if (!other) {
            continue;
        }
        if (class->is_interface) {
            cc_error(session, syntax->interfaces[i].place,
                     "an interface cannot implement another one");
        } else if (!other->is_interface && other->origin != CC_ORIGIN_FILE) {
            cc_error(session, syntax->interfaces[i].place, "'%s' is not an interface", other->name);
        } else {
            CC_PUSH(session, class->interfaces, class->interface_count, class->interface_capacity,
                    other);
        }
    }
}

static void add_field(struct cc_session *session, struct cc_class *class,
                      const struct cc_member_syntax *member)
{
    for (uint32_t i = 0; i < class->field_count; i++) {
        if (strcmp(class->fields[i]->name, member->name) == 0) {
            cc_error(session, member->place, "field '%s' is defined twice", member->name);
            return;
        }
    }
    struct cc_field *field = cc_alloc(session, sizeof(*field));
    field->name = member->name;
    field->place = member->place;
    field->owner = class;
    field->type = cc_resolve_type(session, class->unit, &member->type);
    if (field->type->kind == CC_KIND_VOID) {
        cc_error(session, member->place, "a field cannot be void");
        field->type = session->type_error;
    }
    CC_PUSH(session, class->fields, class->field_count, class->field_capacity, field);
}

static void add_method(struct cc_session *session, struct cc_class *class,
                       const struct cc_member_syntax *member)
{
    struct cc_method *method = cc_alloc(session, sizeof(*method));
    const char *last = strrchr(class->name, '.');
    method->name = member->name;
    method->place = member->place;
    method->owner = class;
    method->syntax = member;
    method->has_ordinal = member->has_ordinal;
    method->ordinal = member->ordinal;
    method->result = cc_resolve_type(session, class->unit, &member->type);
    if (last && strcmp(last + 1, member->name) == 0) {
        method->name = "<init>";
        method->is_constructor = true;
        if (method->result->kind != CC_KIND_VOID) {
            cc_error(session, member->place, "a constructor returns void");
        }
    }
    method->parameter_count = member->parameter_count;
    method->parameters = cc_alloc(session, sizeof(*method->parameters) * member->parameter_count);
    for (uint32_t i = 0; i < member->parameter_count; i++) {
        struct cc_parameter *parameter = &method->parameters[i];
        parameter->name = member->parameters[i].name;
        parameter->place = member->parameters[i].place;
        parameter->type = cc_resolve_type(session, class->unit, &member->parameters[i].type);
        if (parameter->type->kind == CC_KIND_VOID) {
            cc_error(session, parameter->place, "a parameter cannot be void");
            parameter->type = session->type_error;
        }
    }
    for (uint32_t i = 0; i < class->method_count; i++) {
        if (cc_same_parameters(session, class->methods[i], method)) {
            cc_error(session, member->place, "method '%s' is defined twice",
                     cc_signature_text(session, method));
            return;
        }
    }
    CC_PUSH(session, class->methods, class->method_count, class->method_capacity, method);
}

void cc_resolve_members(struct cc_session *session, struct cc_class *class)
{
    if (class->members_state != CC_STATE_NEW || !class->syntax) {
        return;
    }
    class->members_state = CC_STATE_BUSY;
    resolve_ancestors(session, class);
    for (const struct cc_member_syntax *m = class->syntax->members; m; m = m->next) {
        if (class->field_count >= CC_MAX_MEMBERS || class->method_count >= CC_MAX_MEMBERS) {
            cc_error(session, m->place, "class has more than %d fields or methods", CC_MAX_MEMBERS);
            break;
        }
        if (m->is_method) {
            add_method(session, class, m);
        } else {
            add_field(session, class, m);
        }
    }
    class->members_state = CC_STATE_DONE;
}

struct cc_field *cc_find_field(struct cc_session *session, struct cc_class *class, const char *name)
{
    for (; class && cc_complete(session, class); class = class->base) {
        for (uint32_t i = 0; i < class->field_count; i++) {
            if (strcmp(class->fields[i]->name, name) == 0) {
                return class->fields[i];
            }
        }
    }
    return NULL;
}
