/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_port.c - see fuzz_port.h. A panic leaves by longjmp and with it whatever the room had
 * allocated, so all blocks that one call made are noted, and freed at its end.
 */
#include "fuzz_port.h"

#include "ph_memory.h"

#include <console.h>
#include <phantom_hal.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BLOCKS = 1 << 16 };

static jmp_buf out;
static void *blocks[MOST_BLOCKS];
static size_t block_count;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER; /* service threads allocate, too */

_Noreturn void fuzz_broken(const char *fact, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, fact);
    abort();
}

uint8_t fuzz_u8(struct fuzz_bytes *bytes)
{
    if (bytes->size == 0) {
        return 0;
    }
    bytes->size--;
    return *bytes->data++;
}

uint16_t fuzz_u16(struct fuzz_bytes *bytes)
{
    uint16_t low = fuzz_u8(bytes);
    return (uint16_t)(low | fuzz_u8(bytes) << 8);
}

uint64_t fuzz_u64(struct fuzz_bytes *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value |= (uint64_t)fuzz_u8(bytes) << (8 * i);
    }
    return value;
}

size_t fuzz_copy(struct fuzz_bytes *bytes, void *to, size_t most)
{
    size_t count = bytes->size < most ? bytes->size : most;
    if (count > 0) {
        memcpy(to, bytes->data, count);
        bytes->data += count;
        bytes->size -= count;
    }
    return count;
}

char *fuzz_text(struct fuzz_bytes *bytes)
{
    size_t length = bytes->size > 0 ? strnlen((const char *)bytes->data, bytes->size) : 0;
    char *text = malloc(length + 1);
    FUZZ_FACT(text != NULL);
    text[fuzz_copy(bytes, text, length)] = '\0';
    (void)fuzz_u8(bytes);
    return text;
}

static void note(void *block)
{
    (void)pthread_mutex_lock(&blocks_lock);
    FUZZ_FACT(block_count < MOST_BLOCKS);
    blocks[block_count++] = block;
    (void)pthread_mutex_unlock(&blocks_lock);
}

static void forget(void *block)
{
    (void)pthread_mutex_lock(&blocks_lock);
    for (size_t i = block_count; i-- > 0;) {
        if (blocks[i] == block) {
            blocks[i] = blocks[--block_count];
            break;
        }
    }
    (void)pthread_mutex_unlock(&blocks_lock);
}

static void leave_by_panic(void *context, const char *message)
{
    (void)context;
    (void)message;
    longjmp(out, 1);
}

static void swallow(void *context, const char *text, size_t length)
{
    (void)context;
    (void)text;
    (void)length;
}

bool fuzz_inside(void (*body)(void *context), void *context)
{
    static const struct ph_memory_observer observer = {note, forget};
    struct phantom_hal_options options;
    struct phantom_hal *volatile instance = NULL;
    struct phantom_hal *made = NULL;
    volatile bool whole = false;
    ph_memory_observe(&observer);
    phantom_hal_options_init(&options);
    options.phys_bytes = 1u << 20;
    options.window_bytes = 1u << 20;
    options.on_panic = leave_by_panic;
    FUZZ_FACT(phantom_hal_create(&options, &made) == 0);
    instance = made;
    FUZZ_FACT(phantom_hal_enter(instance) == 0);
    phantom_console_set_sink(swallow, NULL);
    if (setjmp(out) == 0) {
        body(context);
        whole = true;
    }
    phantom_hal_leave();
    FUZZ_FACT(phantom_hal_destroy(instance) == 0);
    ph_memory_observe(NULL);
    FUZZ_FACT(block_count == 0 || !whole); /* nothing is left behind by what went well */
    while (block_count > 0) {
        ph_free(blocks[--block_count]);
    }
    return whole;
}
