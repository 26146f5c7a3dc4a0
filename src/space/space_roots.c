/* SPDX-License-Identifier: Apache-2.0
 *
 * space_roots.c - the table of named roots. The first root_count entries are in use, in no order;
 * every name is in it once. The caller serialises.
 */
#include "space_alloc.h"

#include <inttypes.h>
#include <string.h>

static struct space_root *table(const struct space_header *header)
{
    return (struct space_root *)((uintptr_t)header + SPACE_ROOTS_AT);
}

static uint64_t root_check(const struct space_root *root)
{
    uint64_t sum = root->value ^ UINT64_C(0x726F6F74);
    for (size_t i = 0; i < sizeof(root->name); i++) {
        sum = (sum ^ (uint8_t)root->name[i]) * UINT64_C(0x100000001B3);
    }
    return sum;
}

static struct space_root *find(const struct space_header *header, const char *name)
{
    struct space_root *root = table(header);
    for (uint64_t i = 0; i < header->root_count && i < PHANTOM_SPACE_ROOTS; i++) {
        if (strncmp(root[i].name, name, sizeof(root[i].name)) == 0) {
            return &root[i];
        }
    }
    return NULL;
}

uint64_t space_root_get(const struct space_header *header, const char *name)
{
    const struct space_root *root = find(header, name);
    return root != NULL ? root->value : 0;
}

static void fill(struct space_root *root, const char *name, size_t length, uint64_t value)
{
    memset(root, 0, sizeof(*root));
    memcpy(root->name, name, length);
    root->value = value;
    root->check = root_check(root);
}

int space_root_put(struct space_header *header, const struct space_alloc_host *host,
                   const char *name, uint64_t value)
{
    size_t length = name != NULL ? strlen(name) : 0;
    if (length == 0 || length > PHANTOM_SPACE_ROOT_NAME ||
        (value != 0 && (value < header->base || value - header->base >= header->size))) {
        return PHANTOM_EINVALID;
    }
    struct space_root *root = find(header, name);
    if (root == NULL && value == 0) {
        return 0;
    }
    if (root == NULL && header->root_count == PHANTOM_SPACE_ROOTS) {
        return PHANTOM_EQUOTA;
    }
    if (host->will_write != NULL) {
        struct space_root *first = root != NULL ? root : &table(header)[header->root_count];
        host->will_write(host->context, header, sizeof(*header));
        host->will_write(host->context, first, sizeof(*first));
        if (value == 0) {
            struct space_root *moves = &table(header)[header->root_count - 1];
            host->will_write(host->context, moves, sizeof(*moves));
        }
    }
    if (value == 0) { /* the last one takes its place */
        struct space_root *last = &table(header)[--header->root_count];
        *root = *last;
        memset(last, 0, sizeof(*last));
        if (host->wrote != NULL) {
            host->wrote(host->context, last, sizeof(*last));
        }
    } else {
        if (root == NULL) {
            root = &table(header)[header->root_count++];
        }
        fill(root, name, length, value);
    }
    if (host->wrote != NULL) {
        host->wrote(host->context, root, sizeof(*root));
        host->wrote(host->context, header, sizeof(*header));
    }
    return 0;
}

int space_root_each(const struct space_header *header,
                    int (*visit)(void *context, const char *name, void *value), void *context)
{
    const struct space_root *root = table(header);
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < header->root_count; i++) {
        rc = visit(context, root[i].name, (void *)(uintptr_t)root[i].value);
    }
    return rc;
}

int space_root_audit(const struct space_header *header, struct phantom_diag *diag)
{
    const struct space_root *root = table(header);
    if (header->root_count > PHANTOM_SPACE_ROOTS) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "%" PRIu64 " roots", header->root_count);
    }
    for (uint64_t i = 0; i < header->root_count; i++) {
        if (root[i].check != root_check(&root[i])) {
            return ph_fail(diag, PHANTOM_ECORRUPT, "root %" PRIu64 " is damaged", i);
        }
    }
    return 0;
}
