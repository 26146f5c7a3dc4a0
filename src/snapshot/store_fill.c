/* SPDX-License-Identifier: Apache-2.0
 *
 * store_fill.c - see store_fill.h.
 *
 * Owns one request and the zeros that it writes, which nobody ever writes to: untouched memory
 * costs no pages. True between calls: slice_count != 0 <=> the request is in flight, for blocks
 * [slice, slice + slice_count); no slice begins before `next`, none reaches beyond `end`.
 */
#include "store_fill.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_file.h"

#include <errno.h>

enum {
    SLICE_BLOCKS = 256, /* 1 MiB: each makes one flush slower, so not many small ones */
    AHEAD_BLOCKS = 256  /* a slice begins when blocks are given out so close before it */
};

struct store_fill {
    struct snap_io *io;
    struct snap_io_request request;
    void *memory;   /* NULL until first used */
    uint8_t *zeros; /* aligned, in `memory` */
    uint64_t most;  /* blocks in a slice */
    uint64_t next, end;
    uint64_t slice, slice_count;
    int error;
};

struct store_fill *store_fill_create(struct snap_io *io, uint64_t segment_blocks)
{
    struct store_fill *fill = ph_zalloc(1, sizeof *fill);
    if (fill != NULL) {
        fill->io = io;
        fill->most = segment_blocks < SLICE_BLOCKS ? segment_blocks : SLICE_BLOCKS;
    }
    return fill;
}

/* The zeros, when they are first needed. */
static bool have_zeros(struct store_fill *fill)
{
    if (fill->memory == NULL) {
        fill->memory = ph_zalloc(fill->most + 1, STORE_BLOCK_SIZE);
        uintptr_t start = (uintptr_t)fill->memory;
        fill->zeros = (uint8_t *)fill->memory + (STORE_BLOCK_SIZE - start % STORE_BLOCK_SIZE);
    }
    return fill->memory != NULL;
}

bool store_fill_took(const struct snap_io_request *request)
{
    struct store_fill *fill = request->owner;
    if (fill == NULL) {
        return false;
    }
    PH_CHECK(request == &fill->request && fill->slice_count != 0);
    fill->slice_count = 0;
    int result = request->result;
    if (result < 0 && result != -ECANCELED && fill->error == 0 && !PH_MUTANT(FAILED_FILL_ACKNOWLEDGED)) {
        fill->error = result;
    }
    return true;
}

void store_fill_poll(struct store_fill *fill)
{
    struct snap_io_request *lost = NULL; /* by a transaction whose store is poisoned: nobody's */
    if (fill != NULL && fill->slice_count != 0) {
        (void)store_file_reap(fill->io, 0, &lost);
    }
}

int store_fill_destroy(struct store_fill *fill)
{
    if (fill == NULL) {
        return 0;
    }
    struct snap_io_request *lost = NULL;
    int count = 0;
    while (fill->slice_count != 0 && count >= 0) {
        count = store_file_reap(fill->io, 1, &lost);
    }
    int error = fill->error != 0 ? fill->error : count < 0 ? count : 0;
    if (fill->slice_count == 0) { /* else the kernel may still use it: leak rather than corrupt */
        ph_free(fill->memory);
        ph_free(fill);
    }
    return error;
}

void store_fill_add(struct store_fill *fill, uint64_t first, uint64_t count)
{
    if (fill != NULL) {
        fill->next = fill->next == fill->end ? first : fill->next;
        fill->end = first + count;
    }
}

void store_fill_skip(struct store_fill *fill)
{
    if (fill != NULL) {
        fill->next = fill->end;
    }
}

bool store_fill_has(const struct store_fill *fill, uint64_t first, uint64_t count)
{
    return fill != NULL && fill->slice_count != 0 && fill->slice < first + count &&
           first < fill->slice + fill->slice_count;
}

int store_fill_error(const struct store_fill *fill)
{
    return fill != NULL ? fill->error : 0;
}

/* The next blocks that are free, at most a slice of them; false: there are none. */
static bool choose(struct store_fill *fill, const struct block_space *space)
{
    uint64_t first = fill->next > space->cursor ? fill->next : space->cursor;
    while (first < fill->end && block_space_is_used(space, first) && !PH_MUTANT(FILL_OVER_DATA)) {
        first++;
    }
    uint64_t end = first;
    while (end < fill->end && end - first < fill->most &&
           (!block_space_is_used(space, end) || PH_MUTANT(FILL_OVER_DATA))) {
        end++;
    }
    fill->slice = first < end ? first : 0;
    fill->next = end < fill->end ? end : fill->end;
    return first < end;
}

void store_fill_advance(struct store_fill *fill, const struct block_space *space)
{
    store_fill_poll(fill);
    if (fill == NULL || fill->slice_count != 0 || fill->error != 0 || fill->next == fill->end ||
        fill->next >= space->cursor + AHEAD_BLOCKS || !have_zeros(fill) || !choose(fill, space)) {
        return;
    }
    uint64_t count = fill->next - fill->slice;
    fill->request = (struct snap_io_request){.offset = fill->slice * STORE_BLOCK_SIZE,
                                             .buffer = fill->zeros,
                                             .length = (uint32_t)count * STORE_BLOCK_SIZE,
                                             .direction = SNAP_IO_WRITE,
                                             .owner = fill};
    if (fill->io->ops->submit(fill->io, &fill->request) == 0) {
        fill->slice_count = count;
    } /* else nothing was started: these blocks stay as they are */
}
