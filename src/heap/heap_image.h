/* SPDX-License-Identifier: Apache-2.0
 *
 * heap_image.h - a heap that is not in memory: its tables and objects, read page by page from
 * wherever it is kept, and what differs between two states of it.
 *
 * Nothing that is read is believed: tables are checked as heap_attach() does, every bit of a bitmap
 * against the size class of its block, every object's marker and size against its place. What does
 * not fit is PHANTOM_ECORRUPT with the place in words, never an access outside the heap. Addresses
 * are those of the heap (its base is where it was mapped when it lived), not of this process.
 *
 * Memory: a fixed number of pages and tables for each image, and four bytes for each chunk.
 * Threads: one at a time per image.
 */
#ifndef HEAP_IMAGE_H
#define HEAP_IMAGE_H

#include "heap.h"

/** Where the pages come from. Page n is at byte 4096 * n of the heap. */
struct heap_page_source {
    void *context;
    /** 1: filled; 0: the page is all zero; or a negative error with diag. */
    int (*read)(void *context, uint64_t page, void *buffer, struct phantom_diag *diag);
};

struct heap_image_params {
    struct heap_page_source source;
    const char *name;    /* begins every message; copied */
    uint64_t base, size; /* of the range; the heap inside may be smaller */
    uint32_t native_class_version;
};

struct heap_image;

/** Reads the header and one page of each chunk. PHANTOM_EVERSION, PHANTOM_EINVALID (another base),
 *  PHANTOM_ECORRUPT, -ENOMEM, or what the source returned. */
int heap_image_open(const struct heap_image_params *params, struct heap_image **out,
                    struct phantom_diag *diag);
/** NULL allowed. */
void heap_image_close(struct heap_image *image);

struct heap_image_object {
    uint64_t address;
    uint64_t class; /* address; 0: the root object */
    uint64_t da_size;
    uint32_t flags;
};

/** Does an allocated object begin at this address, which may be any number? 1 and the object, 0, or
 *  an error of heap_image_open(). */
int heap_image_find(struct heap_image *image, uint64_t address, struct heap_image_object *out,
                    struct phantom_diag *diag);
/** Bytes [offset, offset + size) of an object's data area. 0 or an error; PHANTOM_ECORRUPT also
 * when the object is smaller. */
int heap_image_data(struct heap_image *image, const struct heap_image_object *object,
                    uint64_t offset, void *out, size_t size, struct phantom_diag *diag);

enum heap_change { HEAP_OBJECT_CREATED = 1, HEAP_OBJECT_FREED, HEAP_OBJECT_CHANGED };

/**
 * Visit, by ascending address, each object that is in one of two states of a heap only, or has
 * other bytes in them. An object that gave its place to one of another class or size counts as
 * freed and then created; one that gave it to another of the same class and size cannot be told
 * from one that changed. The object passed is that of `to`, if freed that of `from`.
 * @param pages  ascending numbers of all pages that differ; pages not among them are taken to be
 *               equal and hardly read
 * @return 0, what visit returned if that was not 0, or an error of heap_image_open()
 */
int heap_image_compare(struct heap_image *from, struct heap_image *to, const uint64_t *pages,
                       size_t page_count,
                       int (*visit)(void *context, enum heap_change change,
                                    const struct heap_image_object *object),
                       void *context, struct phantom_diag *diag);

#endif /* HEAP_IMAGE_H */
