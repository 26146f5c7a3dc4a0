/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_class.c - freeing a class, and the rules that reader and writer share.
 */
#include "bc_class.h"

#include "bytecode_internal.h"
#include "ph_memory.h"

#include <errno.h>
#include <string.h>

static void type_finish(struct bc_type *type)
{
    ph_free(type->class_name);
    ph_free(type->element_name);
}

static void method_finish(struct bc_method *method)
{
    ph_free(method->name);
    ph_free(method->code.data);
    type_finish(&method->result);
    for (uint32_t i = 0; i < method->parameter_count; i++) {
        ph_free(method->parameters[i].name);
        type_finish(&method->parameters[i].type);
    }
    ph_free(method->parameters);
    ph_free(method->lines);
}

void bc_class_destroy(struct bc_class *class)
{
    if (!class) {
        return;
    }
    ph_free(class->name);
    ph_free(class->parent);
    ph_free(class->version);
    for (uint32_t i = 0; i < class->method_count; i++) {
        method_finish(&class->methods[i]);
    }
    for (uint32_t i = 0; i < class->field_count; i++) {
        ph_free(class->fields[i].name);
        type_finish(&class->fields[i].type);
    }
    for (uint32_t i = 0; i < class->constant_count; i++) {
        ph_free(class->constants[i].bytes.data);
    }
    ph_free(class->methods);
    ph_free(class->fields);
    ph_free(class->constants);
    ph_free(class);
}

uint32_t bc_class_constant_limit(const struct bc_class *class)
{
    uint32_t limit = 0;
    for (uint32_t i = 0; i < class->constant_count; i++) {
        if (class->constants[i].index >= limit) {
            limit = class->constants[i].index + 1;
        }
    }
    return limit;
}

uint32_t bc_method_line(const struct bc_method *method, uint32_t offset)
{
    uint32_t low = 0;
    uint32_t high = method->line_count;
    while (low < high) { /* first entry past offset */
        uint32_t middle = low + (high - low) / 2;
        if (method->lines[middle].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? method->lines[low - 1].line : 0;
}

int bc_bitset_add(struct bc_bitset *set, uint32_t number)
{
    size_t index = number / 8;
    uint8_t bit = (uint8_t)(1u << (number % 8));
    if (index >= set->size) {
        size_t size = set->size * 2 > index + 64 ? set->size * 2 : index + 64;
        uint8_t *bytes = ph_realloc(set->bytes, size);
        if (!bytes) {
            return -ENOMEM;
        }
        memset(bytes + set->size, 0, size - set->size);
        set->bytes = bytes;
        set->size = size;
    }
    if (set->bytes[index] & bit) {
        return 1;
    }
    set->bytes[index] |= bit;
    return 0;
}

void bc_bitset_finish(struct bc_bitset *set)
{
    ph_free(set->bytes);
    *set = (struct bc_bitset){0};
}

const char *bc_name_problem(const uint8_t *bytes, size_t size)
{
    if (size > BC_MAX_NAME_BYTES) {
        return "name too long";
    }
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == 0) {
            return "name contains NUL";
        }
        if (bytes[i] < 0x20 || bytes[i] == 0x7f) {
            return "name contains a control character";
        }
    }
    return NULL;
}

const char *bc_class_name_problem(const char *name)
{
    if (name[0] == '\0') {
        return "class name is empty";
    }
    return name[0] == '.' ? NULL : "class name does not begin with a dot";
}

const char *bc_parent_problem(const char *name, const char *parent)
{
    const char *problem = bc_class_name_problem(parent);
    if (problem) {
        return parent[0] == '\0' ? "parent name is empty" : "parent name does not begin with a dot";
    }
    if (strcmp(name, parent) == 0 && strcmp(name, BC_OBJECT_CLASS) != 0) {
        return "class is its own parent";
    }
    return NULL;
}

const char *bc_type_problem(bool is_container, const char *element_name)
{
    if (!is_container && element_name[0] != '\0') {
        return "type has an element class but is not a container";
    }
    return NULL; /* a container may lack class, element or both: generation B wrote such types */
}
