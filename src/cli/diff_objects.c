/* SPDX-License-Identifier: Apache-2.0
 *
 * diff_objects.c - `phantom diff --objects`: how many objects of which class differ.
 *
 * Counts per class while the library visits; single objects are printed, or kept for the document,
 * only with --list.
 */
#include "cli_diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct class_count {
    char *name;
    uint64_t objects[4], bytes[4]; /* by enum phantom_change */
};

struct object_report {
    struct class_count *class;
    size_t count, capacity;
    json_t *places;  /* class name, made printable -> index in class */
    json_t *objects; /* NULL: not wanted */
    bool print;      /* each object as it comes */
    uint64_t total[4];
};

static const char *const change_names[] = {"", "created", "freed", "changed"};

static struct class_count *count_of(struct object_report *report, const char *name)
{
    json_t *place = json_object_get(report->places, name);
    if (place != NULL) {
        return &report->class[json_integer_value(place)];
    }
    if (report->count == report->capacity) {
        size_t capacity = report->capacity != 0 ? 2 * report->capacity : 64;
        void *more = realloc(report->class, capacity * sizeof(*report->class));
        if (more == NULL) {
            return NULL;
        }
        report->class = more;
        report->capacity = capacity;
    }
    struct class_count *class = &report->class[report->count];
    *class = (struct class_count){.name = strdup(name)};
    if (class->name == NULL ||
        json_object_set_new(report->places, name, json_integer((json_int_t)report->count)) != 0) {
        free(class->name);
        return NULL;
    }
    report->count++;
    return class;
}

static int add_object(void *context, const struct phantom_object_change *object)
{
    struct object_report *report = context;
    if (cli_stopped()) {
        return -ECANCELED;
    }
    json_t *name = cli_path_json(object->class_name);
    struct class_count *class = name != NULL ? count_of(report, json_string_value(name)) : NULL;
    if (class == NULL) {
        json_decref(name);
        return -ENOMEM;
    }
    class->objects[object->change]++;
    class->bytes[object->change] += object->bytes;
    report->total[object->change]++;
    if (report->print) {
        printf("%-7s 0x%llx %s, %llu bytes\n", change_names[object->change],
               (unsigned long long)object->address, class->name, (unsigned long long)object->bytes);
    }
    if (report->objects != NULL) {
        json_array_append_new(report->objects, json_pack("{s:s, s:I, s:O, s:I}", "change",
                                                         change_names[object->change], "address",
                                                         (json_int_t)object->address, "class", name,
                                                         "bytes", (json_int_t)object->bytes));
    }
    json_decref(name);
    return 0;
}

/* Classes with the most objects first, then by name. */
static int by_count(const void *left, const void *right)
{
    const struct class_count *a = left, *b = right;
    uint64_t in_a = a->objects[1] + a->objects[2] + a->objects[3];
    uint64_t in_b = b->objects[1] + b->objects[2] + b->objects[3];
    return in_a != in_b ? (in_a < in_b ? 1 : -1) : strcmp(a->name, b->name);
}

static int print_text(const struct object_report *report)
{
    if (report->count != 0) {
        printf("%10s %10s %10s  %s\n", "created", "freed", "changed", "class");
    }
    for (size_t i = 0; i < report->count; i++) {
        const struct class_count *class = &report->class[i];
        printf("%10llu %10llu %10llu  %s\n", (unsigned long long)class->objects[1],
               (unsigned long long)class->objects[2], (unsigned long long)class->objects[3],
               class->name);
    }
    printf("%llu objects created, %llu freed, %llu changed\n", (unsigned long long)report->total[1],
           (unsigned long long)report->total[2], (unsigned long long)report->total[3]);
    return cli_finish_output();
}

static json_t *counts_json(const uint64_t counts[4])
{
    return json_pack("{s:I, s:I, s:I}", change_names[1], (json_int_t)counts[1], change_names[2],
                     (json_int_t)counts[2], change_names[3], (json_int_t)counts[3]);
}

static int print_document(const struct object_report *report, const char *path, uint64_t from,
                          uint64_t to)
{
    json_t *classes = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const struct class_count *class = &report->class[i];
        json_array_append_new(classes, json_pack("{s:s, s:o, s:o}", "class", class->name, "objects",
                                                 counts_json(class->objects), "bytes",
                                                 counts_json(class->bytes)));
    }
    json_t *document = json_pack("{s:o, s:I, s:I, s:o, s:o}", "store", cli_path_json(path), "from",
                                 (json_int_t)from, "to", (json_int_t)to, "objects",
                                 counts_json(report->total), "classes", classes);
    if (report->objects != NULL) {
        json_object_set(document, "list", report->objects);
    }
    return cli_print_json(document);
}

int cli_diff_objects(struct phantom_store *store, uint64_t from, uint64_t to,
                     const struct cli_arguments *arguments)
{
    bool json = (arguments->given & CLI_JSON) != 0, list = (arguments->given & CLI_LIST) != 0;
    struct object_report report = {.places = json_object(),
                                   .objects = json && list ? json_array() : NULL,
                                   .print = !json && list};
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int error = phantom_store_diff_objects(store, from, to, add_object, &report, &diag);
    int result = 0;
    if (error != 0) {
        result = cli_fail(error, &diag);
    } else {
        if (report.count != 0) {
            qsort(report.class, report.count, sizeof(*report.class), by_count);
        }
        result =
            json ? print_document(&report, arguments->operand[0], from, to) : print_text(&report);
    }
    for (size_t i = 0; i < report.count; i++) {
        free(report.class[i].name);
    }
    free(report.class);
    json_decref(report.places);
    json_decref(report.objects);
    return result;
}
