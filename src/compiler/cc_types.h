/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_types.h - types, classes and their members, and the questions asked about them.
 *
 * A type is one object, compared by address. A class is known by its name from the first mention;
 * its members become known when somebody asks (cc_complete), which may read a class file or bring
 * another source into the run. Layout (field slots, method numbers) is done base class first.
 */
#ifndef CC_TYPES_H
#define CC_TYPES_H

#include "cc_tree.h"

enum cc_type_kind {
    CC_KIND_ERROR, /* of what was already complained about; fits everything silently */
    CC_KIND_UNKNOWN,
    CC_KIND_VOID,
    CC_KIND_NULL,
    CC_KIND_INT,
    CC_KIND_LONG,
    CC_KIND_FLOAT,
    CC_KIND_DOUBLE,
    CC_KIND_CLASS,
    CC_KIND_ARRAY
};

struct cc_frame;

struct cc_type {
    enum cc_type_kind kind;
    const char *name;              /* as shown in messages */
    struct cc_class *class;        /* CLASS */
    const struct cc_type *element; /* ARRAY */
    struct cc_type *array;         /* the type "array of this", made when needed */
};

struct cc_parameter {
    const char *name;
    struct cc_place place;
    const struct cc_type *type;
};

struct cc_method {
    const char *name; /* "<init>" for a constructor */
    struct cc_place place;
    struct cc_class *owner;
    const struct cc_type *result;
    struct cc_parameter *parameters;
    uint32_t parameter_count;
    uint32_t ordinal;
    bool has_ordinal; /* number known: written, inherited or assigned */
    bool is_constructor;
    const struct cc_member_syntax *syntax; /* NULL: made by the compiler, or not from source */
    struct cc_method *bridge_to;           /* body: call that method with the same arguments */
    struct cc_frame *frame; /* checker; NULL: nothing was checked (bridges, no body) */
};

struct cc_field {
    const char *name;
    struct cc_place place;
    struct cc_class *owner;
    const struct cc_type *type;
    uint32_t slot;
};

enum cc_class_origin {
    CC_ORIGIN_NAMED, /* only the name is known so far */
    CC_ORIGIN_MISSING,
    CC_ORIGIN_BUILTIN,
    CC_ORIGIN_SOURCE,
    CC_ORIGIN_FILE /* from a class file */
};

enum cc_class_state { CC_STATE_NEW, CC_STATE_BUSY, CC_STATE_DONE };

struct cc_class {
    const char *name; /* with leading dot */
    enum cc_class_origin origin;
    bool is_interface;
    enum cc_class_state members_state;
    enum cc_class_state layout_state;
    struct cc_class *base; /* NULL only for .internal.object */
    struct cc_class **interfaces;
    uint32_t interface_count;
    uint32_t interface_capacity;
    struct cc_method **methods;
    uint32_t method_count;
    uint32_t method_capacity;
    struct cc_field **fields; /* own ones */
    uint32_t field_count;
    uint32_t field_capacity;
    uint32_t field_slots;  /* with inherited ones; layout */
    uint32_t method_slots; /* likewise */
    struct cc_class_syntax *syntax;
    struct cc_unit *unit;
    struct cc_place place;
    struct cc_type type;              /* the class as a type */
    const struct cc_type *value_type; /* what the name means: int for .internal.int and so on */
    struct cc_class *next_in_bucket;
};

/* ---- cc_types.c ---- */

void cc_init_types(struct cc_session *session);
bool cc_is_numeric(const struct cc_type *type);
/** CLASS, ARRAY, UNKNOWN or NULL: what lives on the object stack only. */
bool cc_is_reference(const struct cc_type *type);
const struct cc_type *cc_array_of(struct cc_session *session, const struct cc_type *element);
/** The class whose methods a value of this type has; NULL for unknown, void, null. */
struct cc_class *cc_class_of(struct cc_session *session, const struct cc_type *type);
/** Name of the class at run time, for casts, catchers and signatures. "" for unknown. */
const char *cc_runtime_class(struct cc_session *session, const struct cc_type *type);
/** Is `class` the same as, or a descendant or implementation of `other`? */
bool cc_descends(struct cc_session *session, struct cc_class *class, struct cc_class *other);
/** May a value of `from` be given to `to` without any doubt? */
bool cc_assignable(struct cc_session *session, const struct cc_type *to,
                   const struct cc_type *from);
/** Int, long, float, double: the larger. Both must be numeric. */
const struct cc_type *cc_common_numeric(const struct cc_type *a, const struct cc_type *b);
/** "name(int, .a.b[])" */
const char *cc_signature_text(struct cc_session *session, const struct cc_method *method);
bool cc_same_parameters(const struct cc_session *session, const struct cc_method *a,
                        const struct cc_method *b);

/* ---- cc_class_table.c ---- */

/** The class of that absolute name; made (NAMED) when it is not there yet. */
struct cc_class *cc_class_named(struct cc_session *session, const char *name);
/** Declare the classes of a parsed unit. */
void cc_declare_unit(struct cc_session *session, struct cc_unit *unit);
/** Make sure that members and base of the class are known. False: there is no such class. */
bool cc_complete(struct cc_session *session, struct cc_class *class);
/** The class a name in a source means, or NULL after a message. */
struct cc_class *cc_resolve_name(struct cc_session *session, struct cc_unit *unit,
                                 const struct cc_name *name);
/** The type written; type_error after a message. NONE means unknown. */
const struct cc_type *cc_resolve_type(struct cc_session *session, struct cc_unit *unit,
                                      const struct cc_type_syntax *syntax);
/** Base, interfaces, fields and method signatures of a class from source. */
void cc_resolve_members(struct cc_session *session, struct cc_class *class);
struct cc_field *cc_find_field(struct cc_session *session, struct cc_class *class,
                               const char *name);
/** Parse a source and declare it. */
void cc_add_unit(struct cc_session *session, const char *file_name, const char *text,
                 uint32_t size);

/* ---- cc_import.c ---- */

/** Look for NAME.pc, then NAME.ph, in the import folders. False: neither is there. */
bool cc_import_class(struct cc_session *session, struct cc_class *class);

/* ---- cc_layout.c ---- */

/** Field slots and method numbers, base class first. */
void cc_layout_class(struct cc_session *session, struct cc_class *class);
/** The method with exactly these parameters in the class or above; constructors only if asked. */
struct cc_method *cc_find_exact(struct cc_session *session, struct cc_class *class,
                                const struct cc_method *like);
/** The method in that slot as the class sees it, or NULL. */
struct cc_method *cc_find_ordinal(struct cc_session *session, struct cc_class *class,
                                  uint32_t ordinal);

/* ---- cc_builtin.c ---- */

/** The native classes, as Phantom source with method numbers and without bodies. */
extern const char cc_builtin_text[];

#endif /* CC_TYPES_H */
