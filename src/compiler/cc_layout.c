/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_layout.c - field slots and method numbers.
 *
 * Fields go on after those of the whole chain of bases. A method takes, in this order of
 * precedence: its written number; the number of the method it overrides; the number of the
 * interface method it implements; the next free one above the base class.
 *
 * Interfaces: a call through an interface is an ordinary call by number, so every implementing
 * class must have the method in the interface's slot. Numbers of an interface's methods come from a
 * block chosen by the hash of its name (slots 64..1023), so that two interfaces made apart rarely
 * meet. Where an implementing method already has another number, a bridge in the interface's slot
 * passes the call on. When two methods want one slot the compiler says so; a written number settles
 * it.
 */
#include "cc_types.h"

#include <string.h>

enum { INTERFACE_FIRST = 64, INTERFACE_BLOCKS = 120, INTERFACE_BLOCK = 8, MAX_CHAIN = 256 };

static bool constructors_count(const struct cc_session *session, const struct cc_class *class)
{
    return class != session->class_object;
}

struct cc_method *cc_find_exact(struct cc_session *session, struct cc_class *class,
                                const struct cc_method *like)
{
    for (; class && cc_complete(session, class); class = class->base) {
        if (like->is_constructor && !constructors_count(session, class)) {
            return NULL;
        }
        for (uint32_t i = 0; i < class->method_count; i++) {
            if (class->methods[i] != like && !class->methods[i]->bridge_to &&
                cc_same_parameters(session, class->methods[i], like)) {
                return class->methods[i];
            }
        }
    }
    return NULL;
}

struct cc_method *cc_find_ordinal(struct cc_session *session, struct cc_class *class,
                                  uint32_t ordinal)
{
    for (; class && cc_complete(session, class); class = class->base) {
        for (uint32_t i = 0; i < class->method_count; i++) {
            if (class->methods[i]->has_ordinal && class->methods[i]->ordinal == ordinal) {
                return class->methods[i];
            }
        }
    }
    return NULL;
}

static struct cc_method *own_in_slot(struct cc_class *class, uint32_t ordinal)
{
    for (uint32_t i = 0; i < class->method_count; i++) {
        if (class->methods[i]->has_ordinal && class->methods[i]->ordinal == ordinal) {
            return class->methods[i];
        }
    }
    return NULL;
}

static struct cc_method *add_made_method(struct cc_session *session, struct cc_class *class,
                                         const struct cc_method *like, uint32_t ordinal)
{
    struct cc_method *method = cc_alloc(session, sizeof(*method));
    *method = *like;
    method->owner = class;
    method->syntax = NULL;
    method->place = class->place;
    method->ordinal = ordinal;
    method->has_ordinal = true;
    CC_PUSH(session, class->methods, class->method_count, class->method_capacity, method);
    return method;
}

static void layout_fields(struct cc_session *session, struct cc_class *class)
{
    uint32_t inherited = class->base ? class->base->field_slots : 0;
    if (class->origin == CC_ORIGIN_FILE) {
        class->field_slots = class->field_slots > inherited ? class->field_slots : inherited;
        return;
    }
    class->field_slots = inherited;
    for (uint32_t i = 0; i < class->field_count; i++) {
        struct cc_field *field = class->fields[i];
        field->slot = class->field_slots++;
        if (class->base && cc_find_field(session, class->base, field->name)) {
            cc_error(session, field->place, "field '%s' is already in a base class", field->name);
        }
    }
    if (class->field_slots > BC_MAX_FIELD_SLOTS) {
        cc_error(session, class->place, "class has too many fields");
    }
}

static void check_written_numbers(struct cc_session *session, struct cc_class *class)
{
    for (uint32_t i = 0; i < class->method_count; i++) {
        struct cc_method *method = class->methods[i];
        for (uint32_t k = 0; method->has_ordinal && k < i; k++) {
            if (class->methods[k]->has_ordinal && class->methods[k]->ordinal == method->ordinal) {
                cc_error(session, method->place, "method number [%u] is used twice",
                         method->ordinal);
                break;
            }
        }
    }
}

static void check_override(struct cc_session *session, const struct cc_method *method,
                           const struct cc_method *base)
{
    const struct cc_type *a = method->result;
    const struct cc_type *b = base->result;
    bool native = base->owner->origin == CC_ORIGIN_BUILTIN;
    if (a == b || a->kind == CC_KIND_ERROR || b->kind == CC_KIND_ERROR ||
        strcmp(a->name, b->name) == 0) {
        return;
    }
    if (native || a->kind == CC_KIND_UNKNOWN || b->kind == CC_KIND_UNKNOWN) {
        cc_hint(session, method->place, "'%s' returns %s, in class '%s' it returns %s",
                cc_signature_text(session, method), a->name, base->owner->name, b->name);
    } else {
        cc_error(session, method->place,
                 "'%s' returns %s, but it overrides a method of '%s' that "
                 "returns %s",
                 cc_signature_text(session, method), a->name, base->owner->name, b->name);
    }
}

static void layout_overrides(struct cc_session *session, struct cc_class *class)
{
    uint32_t own = class->method_count; /* bridges are appended meanwhile */
    for (uint32_t i = 0; i < own; i++) {
        struct cc_method *method = class->methods[i];
        struct cc_method *base = class->base ? cc_find_exact(session, class->base, method) : NULL;
        if (!base) {
            continue;
        }
        if (!method->is_constructor) {
            check_override(session, method, base);
        }
        uint32_t written = method->ordinal;
        bool second_number = method->has_ordinal && written != base->ordinal;
        struct cc_method *holder = own_in_slot(class, base->ordinal);
        if (holder && holder != method) {
            cc_error(session, method->place,
                     "'%s' overrides method [%u] of '%s', but another method has that number",
                     cc_signature_text(session, method), base->ordinal, base->owner->name);
            continue;
        }
        method->ordinal = base->ordinal;
        method->has_ordinal = true;
        if (second_number) {
            add_made_method(session, class, method, written)->bridge_to = method;
        }
    }
}

static uint32_t interface_block(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    }
    return INTERFACE_FIRST + hash % INTERFACE_BLOCKS * INTERFACE_BLOCK;
}

static void implement_method(struct cc_session *session, struct cc_class *class,
                             struct cc_class *interface, struct cc_method *wanted)
{
    struct cc_method *found = cc_find_exact(session, class, wanted);
    if (!found || found->bridge_to) {
        cc_error(session, class->place, "class '%s' has no method '%s' of interface '%s'",
                 class->name, cc_signature_text(session, wanted), interface->name);
        return;
    }
    check_override(session, found, wanted);
    if (found->has_ordinal && found->ordinal == wanted->ordinal) {
        return;
    }
    struct cc_method *holder = cc_find_ordinal(session, class, wanted->ordinal);
    if (holder && holder->bridge_to && cc_same_parameters(session, holder, wanted)) {
        return;
    }
    if (holder && holder->owner != session->class_object) {
        cc_error(session, class->place,
                 "method '%s' of interface '%s' needs slot [%u], which method '%s' of '%s' has; "
                 "write another number behind one of them",
                 cc_signature_text(session, wanted), interface->name, wanted->ordinal,
                 cc_signature_text(session, holder), holder->owner->name);
        return;
    }
    if (!found->has_ordinal && found->owner == class) {
        found->ordinal = wanted->ordinal;
        found->has_ordinal = true;
        return;
    }
    add_made_method(session, class, found, wanted->ordinal)->bridge_to = found;
}

static void layout_interfaces(struct cc_session *session, struct cc_class *class)
{
    for (uint32_t i = 0; i < class->interface_count; i++) {
        struct cc_class *interface = class->interfaces[i];
        cc_layout_class(session, interface);
        for (uint32_t k = 0; k < interface->method_count; k++) {
            if (!interface->methods[k]->is_constructor) {
                implement_method(session, class, interface, interface->methods[k]);
            }
        }
    }
}

static void number_methods(struct cc_session *session, struct cc_class *class)
{
    uint32_t slots = class->base ? class->base->method_slots : 0;
    slots = slots > BC_INHERITED_METHOD_SLOTS ? slots : BC_INHERITED_METHOD_SLOTS;
    uint32_t next = class->is_interface ? interface_block(class->name) : slots;
    for (uint32_t i = 0; i < class->method_count; i++) {
        struct cc_method *method = class->methods[i];
        if (!method->has_ordinal) {
            while (own_in_slot(class, next)) {
                next++;
            }
            method->ordinal = next++;
            method->has_ordinal = true;
        }
        if (method->ordinal >= slots) {
            slots = method->ordinal + 1;
        }
    }
    class->method_slots = slots;
    if (slots > BC_MAX_METHOD_SLOTS) {
        cc_error(session, class->place, "class has too many methods");
    }
}

static void add_default_constructor(struct cc_session *session, struct cc_class *class)
{
    for (uint32_t i = 0; i < class->method_count; i++) {
        if (class->methods[i]->is_constructor) {
            return;
        }
    }
    if (class->is_interface || strncmp(class->name, ".internal.", 10) == 0) {
        return;
    }
    struct cc_method *method = cc_alloc(session, sizeof(*method));
    method->name = "<init>";
    method->is_constructor = true;
    method->owner = class;
    method->place = class->place;
    method->result = session->type_void;
    CC_PUSH(session, class->methods, class->method_count, class->method_capacity, method);
}

static void layout_one(struct cc_session *session, struct cc_class *class)
{
    class->layout_state = CC_STATE_BUSY;
    layout_fields(session, class);
    if (class->origin == CC_ORIGIN_SOURCE) {
        add_default_constructor(session, class);
        check_written_numbers(session, class);
        layout_overrides(session, class);
        layout_interfaces(session, class);
        number_methods(session, class);
    } else {
        uint32_t slots = class->base ? class->base->method_slots : BC_INHERITED_METHOD_SLOTS;
        slots = class->method_slots > slots ? class->method_slots : slots;
        for (uint32_t i = 0; i < class->method_count; i++) {
            slots = class->methods[i]->ordinal >= slots ? class->methods[i]->ordinal + 1 : slots;
        }
        class->method_slots = slots;
    }
    class->layout_state = CC_STATE_DONE;
}

void cc_layout_class(struct cc_session *session, struct cc_class *class)
{
    struct cc_class *chain[MAX_CHAIN];
    uint32_t count = 0;
    for (; class && class->layout_state == CC_STATE_NEW; class = class->base) {
        if (count == MAX_CHAIN) {
            cc_error(session, chain[0]->place, "more than %d classes above each other", MAX_CHAIN);
            cc_escape(session, PHANTOM_ESOURCE);
        }
        if (!cc_complete(session, class)) {
            cc_error(session, count ? chain[count - 1]->place : class->place,
                     "base class '%s' is not known", class->name);
            class->layout_state = CC_STATE_DONE;
            class->method_slots = BC_INHERITED_METHOD_SLOTS;
            break;
        }
        chain[count++] = class;
    }
    while (count > 0) {
        layout_one(session, chain[--count]);
    }
}
