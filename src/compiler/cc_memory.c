/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_memory.c - the arena of one compiler run, and files read into it. See cc_session.h.
 */
#include "cc_session.h"

#include "ph_memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Blocks form a list, newest first; only the newest has free room that is still handed out. */
struct cc_arena_block {
    struct cc_arena_block *older;
    size_t used;
    size_t size;
    _Alignas(16) unsigned char data[];
};

enum { CC_BLOCK_BYTES = 64 << 10 };

_Noreturn void cc_escape(struct cc_session *session, int error)
{
    longjmp(session->escape, error);
}

static struct cc_arena_block *add_block(struct cc_session *session, size_t size)
{
    size_t room = size > CC_BLOCK_BYTES ? size : CC_BLOCK_BYTES;
    struct cc_arena_block *block = ph_alloc(sizeof(*block) + room);
    if (!block) {
        cc_escape(session, -ENOMEM);
    }
    block->older = session->blocks;
    block->used = 0;
    block->size = room;
    session->blocks = block;
    return block;
}

void *cc_alloc(struct cc_session *session, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct cc_arena_block *block = session->blocks;
    if (!block || block->size - block->used < size) {
        block = add_block(session, size);
    }
    void *result = block->data + block->used;
    block->used += size;
    memset(result, 0, size);
    return result;
}

void cc_free_arena(struct cc_session *session)
{
    while (session->blocks) {
        struct cc_arena_block *older = session->blocks->older;
        ph_free(session->blocks);
        session->blocks = older;
    }
}

struct cc_text cc_copy_text(struct cc_session *session, const char *data, size_t size)
{
    char *copy = cc_alloc(session, size + 1);
    if (size) {
        memcpy(copy, data, size);
    }
    return (struct cc_text){.data = copy, .size = (uint32_t)size};
}

char *cc_format(struct cc_session *session, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = cc_alloc(session, (size_t)(size > 0 ? size : 0) + 1);
    if (size > 0) {
        vsnprintf(text, (size_t)size + 1, format, again);
    }
    va_end(again);
    return text;
}

void *cc_grow(struct cc_session *session, void *array, uint32_t count, uint32_t *capacity,
              size_t element_size)
{
    if (count < *capacity) {
        return array;
    }
    uint32_t wanted = *capacity ? *capacity * 2 : 8;
    if (wanted <= *capacity) {
        cc_escape(session, -ENOMEM);
    }
    void *larger = cc_alloc(session, wanted * element_size);
    if (count) {
        memcpy(larger, array, count * element_size);
    }
    *capacity = wanted;
    return larger;
}

int cc_read_file(struct cc_session *session, const char *path, struct cc_text *out)
{
    if (!session->options->read_file) {
        return -ENOENT;
    }
    struct bc_bytes bytes = {0};
    int error = session->options->read_file(session->options->context, path, &bytes);
    if (error) {
        return error;
    }
    session->file_bytes = bytes.data; /* owned by the run, should the copy below fail */
    if (bytes.size > COMPILER_MAX_SOURCE_BYTES) {
        error = -EFBIG;
    } else {
        *out = cc_copy_text(session, (const char *)bytes.data, bytes.size);
    }
    ph_free(session->file_bytes);
    session->file_bytes = NULL;
    return error;
}
