/* SPDX-License-Identifier: Apache-2.0 */
#include "ph_memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int64_t fail_countdown = -1;
static atomic_bool fail_sticky;
static atomic_bool has_failed;
static _Atomic int64_t live_blocks;
static const struct ph_memory_observer *_Atomic observer;

static bool refuse(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) < 0) {
        return false;
    }
    int64_t before = atomic_fetch_sub(&fail_countdown, 1);
    if (before > 0) {
        return false;
    }
    if (before < 0) { /* armed earlier and already fired */
        atomic_store(&fail_countdown, -1);
        return false;
    }
    if (atomic_load(&fail_sticky)) {
        atomic_store(&fail_countdown, 0);
    }
    atomic_store(&has_failed, true);
    return true;
}

static void tell_made(void *block)
{
    const struct ph_memory_observer *told = atomic_load_explicit(&observer, memory_order_acquire);
    if (told != NULL) {
        told->made(block);
    }
}

static void tell_gone(void *block)
{
    const struct ph_memory_observer *told = atomic_load_explicit(&observer, memory_order_acquire);
    if (told != NULL) {
        told->gone(block);
    }
}

static void *counted(void *block)
{
    if (block != NULL) {
        atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
        tell_made(block);
    }
    return block;
}

void *ph_alloc(size_t size)
{
    return refuse() ? NULL : counted(malloc(size != 0 ? size : 1));
}

void *ph_zalloc(size_t count, size_t size)
{
    return refuse() ? NULL : counted(calloc(count != 0 ? count : 1, size != 0 ? size : 1));
}

void *ph_realloc(void *old, size_t size)
{
    if (old == NULL) {
        return ph_alloc(size);
    }
    if (refuse()) {
        return NULL;
    }
    tell_gone(old);
    void *block = realloc(old, size);
    tell_made(block != NULL ? block : old);
    return block;
}

void *ph_alloc_aligned(size_t alignment, size_t size)
{
    void *block = NULL;
    if (refuse() || posix_memalign(&block, alignment, size) != 0) {
        return NULL;
    }
    return counted(block);
}

char *ph_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = ph_alloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void ph_free(void *block)
{
    if (block != NULL) {
        atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
        tell_gone(block);
        free(block);
    }
}

void ph_memory_fail_after(int64_t countdown, bool sticky)
{
    atomic_store(&has_failed, false);
    atomic_store(&fail_sticky, sticky);
    atomic_store(&fail_countdown, countdown);
}

bool ph_memory_has_failed(void)
{
    return atomic_load(&has_failed);
}

void ph_memory_observe(const struct ph_memory_observer *told)
{
    atomic_store_explicit(&observer, told, memory_order_release);
}

int64_t ph_memory_live_blocks(void)
{
    return atomic_load(&live_blocks);
}
