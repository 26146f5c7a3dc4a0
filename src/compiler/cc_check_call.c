/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_check_call.c - which method a call means.
 *
 * The class is searched before its base. Within one class an exact match wins; else every method
 * whose parameters take the arguments is weighed, and the cheapest conversion wins; two equally
 * cheap ones are ambiguous. Only when nothing fits anywhere may a value of unknown type be passed
 * with a run-time check.
 */
#include "cc_check.h"

#include <string.h>

enum { COST_NEVER = -1, COST_OBJECT = 50, COST_UNKNOWN = 60, COST_NARROW = 30, COST_CHECKED = 20 };

static int upcast_cost(struct cc_checker *c, const struct cc_type *to, const struct cc_type *from)
{
    int cost = 1;
    struct cc_class *class = cc_class_of(c->session, from);
    for (; class && to->class != class && cost < COST_NARROW - 1; class = class->base) {
        cost++;
    }
    return class ? cost : 2; /* 2: through an interface */
}

static int cost_of(struct cc_checker *c, const struct cc_type *to, const struct cc_type *from,
                   bool loose)
{
    if (to == from || to->kind == CC_KIND_ERROR || from->kind == CC_KIND_ERROR) {
        return 0;
    }
    if (from->kind == CC_KIND_UNKNOWN && to->kind != CC_KIND_UNKNOWN) {
        return loose ? COST_CHECKED : COST_NEVER;
    }
    if (!cc_assignable(c->session, to, from)) {
        return COST_NEVER;
    }
    if (to->kind == CC_KIND_UNKNOWN) {
        return COST_UNKNOWN;
    }
    if (cc_is_numeric(to)) {
        int distance = (int)to->kind - (int)from->kind;
        return distance > 0 ? distance : COST_NARROW - distance;
    }
    if (to == &c->session->class_object->type) {
        return COST_OBJECT;
    }
    if (to->kind == CC_KIND_CLASS && from->kind == CC_KIND_CLASS) {
        return upcast_cost(c, to, from);
    }
    return 1;
}

static int total_cost(struct cc_checker *c, const struct cc_method *method, const struct cc_expr *e,
                      bool loose)
{
    int total = 0;
    if (method->parameter_count != e->argument_count) {
        return COST_NEVER;
    }
    for (uint32_t i = 0; i < e->argument_count; i++) {
        int cost = cost_of(c, method->parameters[i].type, e->arguments[i]->type, loose);
        if (cost == COST_NEVER) {
            return COST_NEVER;
        }
        total += cost;
    }
    return total;
}

/* The best method of that name in one class. *rival: another one that is as good. */
static struct cc_method *best_in_class(struct cc_checker *c, struct cc_class *class,
                                       const char *name, const struct cc_expr *e, bool loose,
                                       struct cc_method **rival)
{
    struct cc_method *best = NULL;
    int best_cost = 0;
    *rival = NULL;
    for (uint32_t i = 0; i < class->method_count; i++) {
        struct cc_method *method = class->methods[i];
        if (method->bridge_to || strcmp(method->name, name) != 0) {
            continue;
        }
        int cost = total_cost(c, method, e, loose);
        if (cost == COST_NEVER || (best && cost > best_cost)) {
            continue;
        }
        *rival = best && cost == best_cost ? best : NULL;
        best = method;
        best_cost = cost;
    }
    return best;
}

static void note_candidates(struct cc_checker *c, struct cc_class *class, const char *name)
{
    uint32_t shown = 0;
    bool constructor = strcmp(name, "<init>") == 0;
    for (; class && cc_complete(c->session, class); class = class->base) {
        if (constructor && class == c->session->class_object) {
            break;
        }
        for (uint32_t i = 0; i < class->method_count && shown < 8; i++) {
            if (strcmp(class->methods[i]->name, name) == 0 && !class->methods[i]->bridge_to) {
                cc_note(c->session, "candidate: %s in %s",
                        cc_signature_text(c->session, class->methods[i]), class->name);
                shown++;
            }
        }
    }
}

static bool has_name(struct cc_checker *c, struct cc_class *class, const char *name)
{
    for (; class && cc_complete(c->session, class); class = class->base) {
        for (uint32_t i = 0; i < class->method_count; i++) {
            if (strcmp(class->methods[i]->name, name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void report_no_method(struct cc_checker *c, struct cc_class *class, const char *name,
                             const struct cc_expr *e)
{
    bool constructor = strcmp(name, "<init>") == 0;
    if (!has_name(c, class, name)) {
        cc_error(c->session, e->place, "class '%s' has no %s%s%s", class->name,
                 constructor ? "constructor" : "method '", constructor ? "" : name,
                 constructor ? "" : "'");
        return;
    }
    const char *types = "";
    for (uint32_t i = 0; i < e->argument_count && i < 20; i++) {
        types = cc_format(c->session, "%s%s%s", types, i ? ", " : "", e->arguments[i]->type->name);
    }
    cc_error(c->session, e->place, "%s%s of class '%s' takes (%s)",
             constructor ? "no constructor" : "no method ", constructor ? "" : name, class->name,
             types);
    note_candidates(c, class, name);
}

/* NULL after a message. Constructors of .internal.object are not looked at. */
static struct cc_method *choose(struct cc_checker *c, struct cc_class *class, const char *name,
                                const struct cc_expr *e)
{
    bool constructor = strcmp(name, "<init>") == 0;
    for (int loose = 0; loose <= 1; loose++) {
        for (struct cc_class *level = class; level && cc_complete(c->session, level);
             level = level->base) {
            struct cc_method *rival;
            if (constructor && level == c->session->class_object) {
                break;
            }
            cc_layout_class(c->session, level);
            struct cc_method *best = best_in_class(c, level, name, e, loose, &rival);
            if (best && rival) {
                cc_error(c->session, e->place, "the call is ambiguous");
                cc_note(c->session, "candidate: %s", cc_signature_text(c->session, rival));
                cc_note(c->session, "candidate: %s", cc_signature_text(c->session, best));
                return NULL;
            }
            if (best) {
                return best;
            }
        }
    }
    report_no_method(c, class, name, e);
    return NULL;
}

static bool check_arguments(struct cc_checker *c, struct cc_expr *e)
{
    bool good = true;
    for (uint32_t i = 0; i < e->argument_count; i++) {
        e->arguments[i] = cc_check_value(c, e->arguments[i]);
        good = good && e->arguments[i]->type->kind != CC_KIND_ERROR;
    }
    return good;
}

static void convert_arguments(struct cc_checker *c, struct cc_expr *e,
                              const struct cc_method *method)
{
    for (uint32_t i = 0; i < e->argument_count; i++) {
        const char *what = cc_format(c->session, "argument %u of %s", i + 1,
                                     cc_signature_text(c->session, method));
        e->arguments[i] = cc_coerce(c, e->arguments[i], method->parameters[i].type, what);
    }
}

/* The class to search, or NULL after a message. */
static struct cc_class *receiver_class(struct cc_checker *c, struct cc_expr *e)
{
    if (!e->left) {
        if (strcmp(e->name, "super") == 0) {
            cc_error(c->session, e->place,
                     "'super' is not supported: the constructor of the base class without "
                     "parameters runs by itself");
            return NULL;
        }
        return c->class;
    }
    const struct cc_type *type = e->left->type;
    if (type->kind == CC_KIND_NULL) {
        cc_error(c->session, e->place, "null has no methods");
        return NULL;
    }
    struct cc_class *class = cc_class_of(c->session, type);
    if (!class) {
        class = c->session->class_object;
        if (!e->by_ordinal && !has_name(c, class, e->name)) {
            cc_error(c->session, e->place,
                     "the class of the object is not known here: cast it before calling '%s'",
                     e->name);
            return NULL;
        }
    }
    if (!cc_complete(c->session, class)) {
        cc_error(c->session, e->place, "class '%s' is not known", class->name);
        return NULL;
    }
    return class;
}

static void check_numbered_call(struct cc_checker *c, struct cc_expr *e, struct cc_class *class)
{
    cc_layout_class(c->session, class);
    struct cc_method *method = cc_find_ordinal(c->session, class, e->ordinal);
    e->type = c->session->type_unknown;
    if (!method || e->left->type->kind == CC_KIND_UNKNOWN) {
        return;
    }
    if (method->result->kind != CC_KIND_VOID) {
        e->type = method->result;
    }
    for (uint32_t i = 0; i < e->argument_count && i < method->parameter_count; i++) {
        const struct cc_type *to = method->parameters[i].type;
        if (cc_is_numeric(to) && cc_is_numeric(e->arguments[i]->type)) {
            e->arguments[i] = cc_coerce(c, e->arguments[i], to, "argument");
        }
    }
}

void cc_check_call(struct cc_checker *c, struct cc_expr *e)
{
    e->type = c->session->type_error;
    bool good = true;
    if (e->left) {
        e->left = cc_check_value(c, e->left);
        good = e->left->type->kind != CC_KIND_ERROR;
    }
    good = check_arguments(c, e) && good;
    struct cc_class *class = good ? receiver_class(c, e) : NULL;
    if (!class) {
        return;
    }
    if (e->by_ordinal) {
        check_numbered_call(c, e, class);
        return;
    }
    struct cc_method *method = choose(c, class, e->name, e);
    if (method) {
        convert_arguments(c, e, method);
        e->method = method;
        e->ordinal = method->ordinal;
        e->type = method->result;
    }
}

void cc_check_new(struct cc_checker *c, struct cc_expr *e)
{
    struct cc_session *session = c->session;
    const struct cc_type *type = cc_resolve_type(session, c->class->unit, &e->syntax);
    bool good = check_arguments(c, e);
    e->type = session->type_error;
    if (type->kind == CC_KIND_ERROR || !good) {
        return;
    }
    if (type->kind == CC_KIND_VOID || cc_is_numeric(type)) {
        cc_error(session, e->place, "an object of type %s cannot be made with 'new'", type->name);
        return;
    }
    e->class = cc_class_of(session, type);
    if (!cc_complete(session, e->class)) {
        cc_error(session, e->place, "class '%s' is not known", e->class->name);
        return;
    }
    if (e->class->is_interface) {
        cc_error(session, e->place, "'%s' is an interface: it has no objects", e->class->name);
        return;
    }
    e->type = type;
    if (strncmp(e->class->name, ".internal.", 10) == 0) {
        if (e->argument_count > 0) {
            cc_error(session, e->place, "the constructor of %s takes no arguments", type->name);
        }
        return;
    }
    e->method = choose(c, e->class, "<init>", e);
    if (e->method) {
        convert_arguments(c, e, e->method);
    } else {
        e->type = session->type_error;
    }
}

void cc_check_new_dynamic(struct cc_checker *c, struct cc_expr *e)
{
    struct cc_session *session = c->session;
    e->left = cc_check_value(c, e->left);
    bool good = check_arguments(c, e);
    const struct cc_type *type = cc_resolve_type(session, c->class->unit, &e->syntax);
    e->type = session->type_error;
    if (type->kind == CC_KIND_ERROR || !good || e->left->type->kind == CC_KIND_ERROR) {
        return;
    }
    if (!cc_is_reference(e->left->type) || type->kind == CC_KIND_VOID || cc_is_numeric(type)) {
        cc_error(session, e->place, "'new *' needs an object that is a class");
        return;
    }
    if (e->argument_count > 0) {
        cc_warning(session, e->place,
                   "no constructor runs for a class known only at run time; the arguments are "
                   "not passed");
    }
    e->type = type;
}

struct cc_method *cc_base_constructor(struct cc_session *session, struct cc_class *class,
                                      bool report)
{
    struct cc_class *base = class->base;
    if (!base || base == session->class_object) {
        return NULL;
    }
    bool any = false;
    for (struct cc_class *level = base; level && level != session->class_object;
         level = level->base) {
        for (uint32_t i = 0; i < level->method_count; i++) {
            if (level->methods[i]->is_constructor) {
                any = true;
                if (level->methods[i]->parameter_count == 0) {
                    return level->methods[i];
                }
            }
        }
    }
    if (any && report) {
        cc_error(session, class->place,
                 "base class '%s' has no constructor without parameters, which every constructor "
                 "of '%s' must call",
                 base->name, class->name);
    }
    return NULL;
}
