/* SPDX-License-Identifier: Apache-2.0
 *
 * kit_kernel_memory.c - see kit_kernel_memory.h. Owns nothing beyond the memories it hands out.
 */
#include "kit_kernel_memory.h"

#include "hal_posix.h"
#include "ph_test.h"

#include <string.h>

/* Free with and without the address and thread sanitizers. */
static const uint64_t BASE = UINT64_C(0x7e8000000000);

static struct snap_memory *reserve(void **handle, uint64_t pages, bool track)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_memory *memory = NULL;
    int rc = hal_memory_reserve(BASE, pages * SNAP_PAGE_SIZE, track, &memory, &diag);
    if (rc != 0) {
        print_message("no memory: %s: %s\n", phantom_err_name(rc), diag.text);
        return NULL;
    }
    *handle = memory;
    return memory;
}

static struct snap_memory *create_tracked(void **handle, uint64_t pages)
{
    return reserve(handle, pages, true);
}

static struct snap_memory *create_untracked(void **handle, uint64_t pages)
{
    return reserve(handle, pages, false);
}

static void destroy(void *handle)
{
    struct snap_memory *memory = handle;
    memory->ops->close(memory);
}

static struct snap_memory *restart_tracked(void **handle, uint64_t pages)
{
    destroy(*handle);
    return create_tracked(handle, pages);
}

static struct snap_memory *restart_untracked(void **handle, uint64_t pages)
{
    destroy(*handle);
    return create_untracked(handle, pages);
}

static void write_plainly(void *handle, uint64_t offset, const void *data, size_t length)
{
    struct snap_memory *memory = handle;
    memcpy(memory->base + offset, data, length);
}

const struct kit_memory kit_kernel_tracked = {"kernel-tracked memory", create_tracked,
                                              restart_tracked, write_plainly, destroy};
const struct kit_memory kit_kernel_untracked = {"untracked memory", create_untracked,
                                                restart_untracked, write_plainly, destroy};
