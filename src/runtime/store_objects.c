/* SPDX-License-Identifier: Apache-2.0
 *
 * store_objects.c - which objects of a world differ between two generations, with the names of
 * their classes.
 *
 * The store says which pages differ, the heap room which objects that means (heap_image.h); here
 * the two meet, and names are looked up, by the layout of class objects (pvm_objects.h). A name is
 * taken from the generation that the object is taken from. Both generations are held meanwhile.
 *
 * Memory: the numbers of the pages that differ, two images, and a fixed number of names.
 */
#include "store_view.h"

#include "heap_image.h"
#include "ph_memory.h"
#include "pvm.h"
#include "pvm_objects.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAMES = 128, NAME_BYTES = 256 };

struct class_name {
    uint64_t class; /* address; 0: empty */
    char text[NAME_BYTES];
};

/* One of the two generations. */
struct state {
    struct snap_store *store;
    uint64_t generation;
    struct heap_image *image;
    struct class_name names[NAMES]; /* direct-mapped by address */
};

struct object_diff {
    struct state from, to;
    uint64_t *page; /* ascending: the pages that differ */
    size_t count, capacity;
    int (*visit)(void *context, const struct phantom_object_change *object);
    void *context;
    struct phantom_diag *diag;
};

/* ---- names ---------------------------------------------------------------------------------- */

/* A string object's text into out. 1; 0 it is no string; or an error. */
static int read_string(struct heap_image *image, uint64_t address, char out[NAME_BYTES],
                       struct phantom_diag *diag)
{
    const uint64_t start = offsetof(struct data_area_4_string, data);
    struct heap_image_object string;
    int32_t length;
    int found = heap_image_find(image, address, &string, diag);
    if (found != 1 || (string.flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_STRING) == 0 ||
        string.da_size < start) {
        return found < 0 ? found : 0;
    }
    int rc = heap_image_data(image, &string, 0, &length, sizeof length, diag);
    if (rc != 0) {
        return rc;
    }
    if (length <= 0 || (uint64_t)length > string.da_size - start) {
        return 0;
    }
    size_t take = length < NAME_BYTES ? (size_t)length : NAME_BYTES - 1;
    rc = heap_image_data(image, &string, start, out, take, diag);
    for (size_t i = 0; i < take; i++) {
        out[i] = (unsigned char)out[i] < 0x20 || out[i] == 0x7F ? '?' : out[i];
    }
    out[take] = '\0';
    return rc != 0 ? rc : 1;
}

static int read_class_name(struct heap_image *image, uint64_t address, char out[NAME_BYTES],
                           struct phantom_diag *diag)
{
    struct heap_image_object class;
    struct data_area_4_class data;
    int found = heap_image_find(image, address, &class, diag);
    if (found == 1 && (class.flags & PHANTOM_OBJECT_STORAGE_FLAG_IS_CLASS) != 0 &&
        class.da_size >= sizeof data) {
        found = heap_image_data(image, &class, 0, &data, sizeof data, diag);
        found = found != 0 ? found : read_string(image, (uintptr_t)data.class_name, out, diag);
    } else if (found == 1) {
        found = 0;
    }
    if (found == 0) {
        snprintf(out, NAME_BYTES, "(class 0x%" PRIx64 ")", address);
    }
    return found < 0 ? found : 0;
}

/* 0 or an error. */
static int name_of(struct state *state, uint64_t class, const char **out, struct phantom_diag *diag)
{
    if (class == 0) {
        *out = "(root)";
        return 0;
    }
    struct class_name *name = &state->names[class / HEAP_CELL % NAMES];
    if (name->class != class) {
        name->class = 0;
        int rc = read_class_name(state->image, class, name->text, diag);
        if (rc != 0) {
            return rc;
        }
        name->class = class;
    }
    *out = name->text;
    return 0;
}

/* ---- the two states ------------------------------------------------------------------------- */

static int read_page(void *context, uint64_t page, void *buffer, struct phantom_diag *diag)
{
    struct state *state = context;
    return snap_store_read_page(state->store, state->generation, page, buffer, diag);
}

static int collect_page(void *context, uint64_t page, enum snap_change change)
{
    (void)change;
    struct object_diff *diff = context;
    if (diff->count == diff->capacity) {
        size_t capacity = diff->capacity != 0 ? 2 * diff->capacity : 1024;
        uint64_t *more = ph_zalloc(capacity, sizeof *more);
        if (more == NULL) {
            return ph_fail(diff->diag, -ENOMEM, "no memory for the numbers of %zu pages", capacity);
        }
        if (diff->count != 0) {
            memcpy(more, diff->page, diff->count * sizeof *more);
        }
        ph_free(diff->page);
        diff->page = more;
        diff->capacity = capacity;
    }
    diff->page[diff->count++] = page;
    return 0;
}

static int report_object(void *context, enum heap_change change,
                         const struct heap_image_object *object)
{
    static const enum phantom_change changes[] = {[HEAP_OBJECT_CREATED] = PHANTOM_ADDED,
                                                  [HEAP_OBJECT_FREED] = PHANTOM_REMOVED,
                                                  [HEAP_OBJECT_CHANGED] = PHANTOM_CHANGED};
    struct object_diff *diff = context;
    struct phantom_object_change found = {
        .change = changes[change], .address = object->address, .bytes = object->da_size};
    int rc = name_of(change == HEAP_OBJECT_FREED ? &diff->from : &diff->to, object->class,
                     &found.class_name, diff->diag);
    return rc != 0 ? rc : diff->visit(diff->context, &found);
}

/* Is this generation one of a world whose objects this build understands? */
static int check_version(const struct phantom_store *store, uint64_t generation,
                         struct phantom_diag *diag)
{
    size_t count = 0;
    struct snap_generation *list = store_generations(store->store, &count);
    if (list == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory for its generations", store->io->path);
    }
    struct snap_heap_version version = {0};
    for (size_t i = 0; i < count; i++) {
        if (list[i].number == generation) {
            version = list[i].version;
        }
    }
    ph_free(list);
    if (version.heap_layout == PHANTOM_LAYOUT_SPACE) {
        return ph_fail(diag, PHANTOM_EUNSUPPORTED,
                       "%s: is the space of a C program, whose memory has no classes; only a world "
                       "has objects to compare",
                       store->io->path);
    }
    if (version.heap_layout != HEAP_LAYOUT_VERSION ||
        version.native_classes != PVM_NATIVE_CLASS_VERSION) {
        return ph_fail(diag, PHANTOM_EVERSION,
                       "%s: generation %" PRIu64 " has heap layout %" PRIu32
                       " and native classes %" PRIu32 ", this library reads %d and %d",
                       store->io->path, generation, version.heap_layout, version.native_classes,
                       HEAP_LAYOUT_VERSION, PVM_NATIVE_CLASS_VERSION);
    }
    return 0;
}

static int open_state(struct state *state, const struct phantom_store *store, uint64_t generation,
                      struct phantom_diag *diag)
{
    const struct snap_store_params *params = snap_store_params(store->store);
    char name[200];
    snprintf(name, sizeof name, "%s: generation %" PRIu64, store->io->path, generation);
    state->store = store->store;
    state->generation = generation;
    const struct heap_image_params image = {.source = {state, read_page},
                                            .name = name,
                                            .base = params->heap_base,
                                            .size = params->heap_size,
                                            .native_class_version = PVM_NATIVE_CLASS_VERSION};
    return heap_image_open(&image, &state->image, diag);
}

static int compare(struct object_diff *diff, struct phantom_store *store, uint64_t from,
                   uint64_t to)
{
    int rc = check_version(store, from, diff->diag);
    rc = rc != 0 ? rc : check_version(store, to, diff->diag);
    rc = rc != 0 ? rc : snap_store_diff(store->store, from, to, collect_page, diff, diff->diag);
    if (rc != 0 || diff->count == 0) {
        return rc;
    }
    rc = open_state(&diff->from, store, from, diff->diag);
    rc = rc != 0 ? rc : open_state(&diff->to, store, to, diff->diag);
    return rc != 0 ? rc
                   : heap_image_compare(diff->from.image, diff->to.image, diff->page, diff->count,
                                        report_object, diff, diff->diag);
}

int phantom_store_diff_objects(struct phantom_store *store, uint64_t from, uint64_t to,
                               int (*visit)(void *context,
                                            const struct phantom_object_change *object),
                               void *context, struct phantom_diag *diag)
{
    int rc = store_hold_both(store, from, to, diag);
    if (rc != 0) {
        return rc;
    }
    struct object_diff *diff = ph_zalloc(1, sizeof *diff);
    if (diff == NULL) {
        rc = ph_fail(diag, -ENOMEM, "%s: no memory to compare objects", store->io->path);
    } else {
        diff->visit = visit;
        diff->context = context;
        diff->diag = diag;
        rc = compare(diff, store, from, to);
        heap_image_close(diff->from.image);
        heap_image_close(diff->to.image);
        ph_free(diff->page);
    }
    ph_free(diff);
    store_unhold_both(store, from, to);
    return rc;
}
