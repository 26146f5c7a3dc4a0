/* SPDX-License-Identifier: Apache-2.0 - see store_file.h */
#include "store_file.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

const char *store_file_name(const struct store_file *file)
{
    return file->io->path != NULL ? file->io->path : "(store)";
}

/* Nodes that a level of the map can have. */
static uint64_t level_nodes(const struct store_file *file, uint32_t level)
{
    return ((file->page_count - 1) >> store_level_shift(level + 1)) + 1;
}

uint32_t store_height_for(uint64_t page_count)
{
    uint32_t height = 1;
    while (height < STORE_LEVELS_MOST && ((page_count - 1) >> store_level_shift(height)) != 0) {
        height++;
    }
    return height;
}

/* ---- reading ------------------------------------------------------------------------------- */

int store_file_read(const struct store_file *file, uint64_t block, uint32_t count, void *buffer,
                    struct phantom_diag *diag)
{
    if (block >= file->block_count || count > file->block_count - block) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: block %" PRIu64 " is past the end of the file (%" PRIu64 " blocks)",
                       store_file_name(file), block + count - 1, file->block_count);
    }
    int error =
        file->io->ops->read(file->io, block * STORE_BLOCK_SIZE, buffer, count * STORE_BLOCK_SIZE);
    if (error != 0) {
        return ph_fail(diag, error, "%s: reading block %" PRIu64 ": %s", store_file_name(file),
                       block, phantom_strerror(error));
    }
    return 0;
}

/* One completed read: the missing rest of a short one is read at once. */
static int finish_read(const struct store_file *file, const struct snap_io_request *request,
                       struct phantom_diag *diag)
{
    if (request->result == (int32_t)request->length) {
        return 0;
    }
    uint64_t block = request->offset / STORE_BLOCK_SIZE;
    if (request->result < 0) {
        return ph_fail(diag, request->result, "%s: reading block %" PRIu64 ": %s",
                       store_file_name(file), block, phantom_strerror(request->result));
    }
    uint32_t got = (uint32_t)request->result / STORE_BLOCK_SIZE;
    return store_file_read(file, block + got, request->length / STORE_BLOCK_SIZE - got,
                           (uint8_t *)request->buffer + (size_t)got * STORE_BLOCK_SIZE, diag);
}

/*
 * reap() that fails tells nothing about the requests; only a second try can take them back. An
 * error that passes is no error here: what counts is the result of each request.
 */
static int reap_patiently(struct snap_io *io, unsigned minimum, struct snap_io_request **done)
{
    int count = 0;
    for (int attempt = 0; attempt < 1000; attempt++) {
        count = io->ops->reap(io, minimum, done);
        if (count >= 0) {
            break;
        }
    }
    return count;
}

static int read_one_by_one(const struct store_file *file, const struct store_run *runs,
                           unsigned run_count, struct phantom_diag *diag)
{
    int error = 0;
    for (unsigned i = 0; error == 0 && i < run_count; i++) {
        error = store_file_read(file, runs[i].block, runs[i].count, runs[i].buffer, diag);
    }
    return error;
}

int store_file_read_runs(const struct store_file *file, const struct store_run *runs,
                         unsigned run_count, struct phantom_diag *diag)
{
    struct snap_io *io = file->io;
    struct snap_io_request request[STORE_READ_RUNS];
    unsigned sent = 0, in_flight = 0;
    int error = 0;
    PH_CHECK(run_count <= STORE_READ_RUNS);
    if (file->output != NULL) {
        (void)store_output_drain(file->output); /* who writes next learns of an error */
    }
    if (file->lost || (file->output != NULL && file->output->lost)) {
        return read_one_by_one(file, runs, run_count, diag);
    }
    while (in_flight != 0 || (error == 0 && sent < run_count)) {
        bool full = false;
        while (error == 0 && !full && sent < run_count) {
            const struct store_run *run = &runs[sent];
            if (run->block >= file->block_count || run->count > file->block_count - run->block) {
                error = ph_fail(diag, PHANTOM_ECORRUPT,
                                "%s: block %" PRIu64 " is past the end of the file",
                                store_file_name(file), run->block);
                break;
            }
            request[sent] = (struct snap_io_request){.offset = run->block * STORE_BLOCK_SIZE,
                                                     .buffer = run->buffer,
                                                     .length = run->count * STORE_BLOCK_SIZE,
                                                     .direction = SNAP_IO_READ};
            int status = io->ops->submit(io, &request[sent]);
            if (status == 0) {
                sent++;
                in_flight++;
            } else if (status == -EAGAIN && in_flight != 0) {
                full = true;
            } else {
                error = ph_fail(diag, status, "%s: cannot start a read: %s", store_file_name(file),
                                phantom_strerror(status));
            }
        }
        if (in_flight == 0) {
            continue;
        }
        struct snap_io_request *done = NULL;
        int count = reap_patiently(io, 1, &done);
        if (count < 0) {
            /* The requests are on this stack: going on would let the back end write into it. */
            PH_CHECK(!"the I/O back end cannot return its requests");
        }
        for (struct snap_io_request *next; done != NULL; done = next) {
            next = done->next;
            in_flight--;
            int status = finish_read(file, done, error == 0 ? diag : NULL);
            error = error == 0 ? status : error;
        }
    }
    return error;
}

int store_file_check_node(const struct store_file *file, uint32_t level, uint64_t index,
                          uint64_t block, struct store_sum sum, struct store_node *node,
                          struct phantom_diag *diag)
{
    if (!store_decode(file, STORE_SUM_NODE + level, index, sum, node, 1) &&
        !PH_MUTANT(NODE_SUM_IGNORED)) {
        char why[STORE_WRONG_SUM_TEXT];
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: map node %" PRIu64 " of level %" PRIu32 " in block %" PRIu64 ": %s",
                       store_file_name(file), index, level, block,
                       store_wrong_sum(file, STORE_SUM_NODE + level, index, sum, node, 1, why));
    }
    uint32_t used = 0;
    bool sane = node->magic == STORE_NODE_MAGIC && node->level == level && node->index == index &&
                node->generation != 0 && node->generation < STORE_GENERATION_LIMIT;
    uint64_t below = level == 0 ? file->page_count : level_nodes(file, level - 1);
    for (unsigned i = 0; sane && i < STORE_FANOUT; i++) {
        if (node->block[i] == 0) {
            sane = store_sum_is_zero(node->sum[i]);
        } else {
            used++;
            sane = (level == 0 ? store_file_has_place(file, node->block[i])
                               : store_file_has_data_block(file, node->block[i])) &&
                   !store_sum_is_zero(node->sum[i]) && (index << STORE_FANOUT_BITS) + i < below;
        }
    }
    if (!sane || node->used != used || used == 0) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "%s: map node %" PRIu64 " of level %" PRIu32 " in block %" PRIu64
                       " has a good sum but impossible content",
                       store_file_name(file), index, level, block);
    }
    return 0;
}

int store_file_read_node(const struct store_file *file, uint32_t level, uint64_t index,
                         uint64_t block, struct store_sum sum, struct store_node *node,
                         struct phantom_diag *diag)
{
    if (!store_file_has_data_block(file, block)) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "%s: block %" PRIu64 " is not in the data area",
                       store_file_name(file), block);
    }
    int error = store_file_read(file, block, 1, node, diag);
    return error != 0 ? error : store_file_check_node(file, level, index, block, sum, node, diag);
}

int store_file_check_page(const struct store_file *file, uint64_t generation, uint64_t page,
                          uint64_t block, struct store_sum sum, void *data,
                          struct phantom_diag *diag)
{
    if (store_decode(file, STORE_SUM_PAGE, page, sum, data, 1)) {
        return 0;
    }
    char why[STORE_WRONG_SUM_TEXT];
    return ph_fail(diag, PHANTOM_ECORRUPT,
                   "%s: generation %" PRIu64 ", page %" PRIu64 " in block %" PRIu64 ": %s",
                   store_file_name(file), generation, page, block,
                   store_wrong_sum(file, STORE_SUM_PAGE, page, sum, data, 1, why));
}

/* ---- writing ------------------------------------------------------------------------------- */

int store_file_extend(const struct store_file *file, uint64_t from, uint64_t least, uint64_t *more)
{
    for (uint64_t count = *more;; count = count / 2 > least ? count / 2 : least) {
        int error = file->io->ops->allocate(file->io, (from + count) * STORE_BLOCK_SIZE);
        if (error == -EDQUOT || error == -EFBIG) {
            error = -ENOSPC;
        }
        if (error == 0) {
            *more = count;
        }
        if (error != -ENOSPC || count <= least) {
            return error;
        }
    }
}

int store_file_fill(const struct store_file *file, uint64_t block, uint64_t count)
{
    size_t bytes = (size_t)STORE_RUN_BLOCKS * STORE_BLOCK_SIZE;
    uint8_t *zeros = ph_alloc_aligned(STORE_BLOCK_SIZE, bytes);
    int error = 0;
    if (zeros == NULL) {
        return 0; /* only slower */
    }
    memset(zeros, 0, bytes);
    while (error == 0 && count != 0) {
        uint32_t run = count < STORE_RUN_BLOCKS ? (uint32_t)count : STORE_RUN_BLOCKS;
        error =
            file->io->ops->write(file->io, block * STORE_BLOCK_SIZE, zeros, run * STORE_BLOCK_SIZE);
        block += run;
        count -= run;
    }
    ph_free(zeros);
    return error;
}

void store_output_init(struct store_output *output, struct snap_io *io)
{
    *output = (struct store_output){.io = io};
    for (unsigned i = 0; i < STORE_OUTPUT_REQUESTS; i++) {
        output->request[i].next = output->idle;
        output->idle = &output->request[i];
    }
}

static void note_error(struct store_output *output, int error)
{
    if (output->error == 0 && !PH_MUTANT(WRITE_ERROR_IGNORED)) {
        output->error = error;
    }
}

static void send(struct store_output *output, struct snap_io_request *request);

/* A request came back: complete, short (send the rest), or failed. */
static void take_back(struct store_output *output, struct snap_io_request *request)
{
    if (request->result >= 0 && (uint32_t)request->result < request->length &&
        !PH_MUTANT(SHORT_WRITE_IGNORED)) {
        uint32_t whole = (uint32_t)request->result / STORE_BLOCK_SIZE * STORE_BLOCK_SIZE;
        if (request->result == 0) {
            note_error(output, -EIO); /* a device that takes nothing would keep us here for ever */
        } else if (whole == 0 && output->error == 0 && !PH_MUTANT(STUCK_WRITE_RESENT)) {
            /* Sent again it may end there again, for ever: a limit of the file's size can lie
             * inside a block. A write that goes on where it stopped ends. */
            note_error(output, output->io->ops->write(output->io, request->offset, request->buffer,
                                                      request->length));
        } else if (output->error == 0) {
            request->offset += whole;
            request->buffer = (uint8_t *)request->buffer + whole;
            request->length -= whole;
            send(output, request);
            return;
        }
    } else if (request->result < 0) {
        note_error(output, request->result);
    }
    request->length = 0;
    request->next = output->idle;
    output->idle = request;
}

/* Take back at least so many of the requests in flight. */
static void reap_some(struct store_output *output, unsigned minimum)
{
    struct snap_io_request *done = NULL;
    int count = reap_patiently(output->io, minimum, &done);
    if (count < 0) {
        output->lost = true;
        output->in_flight = 0;
        output->error = output->error != 0 ? output->error : count;
        return;
    }
    for (struct snap_io_request *next; done != NULL; done = next) {
        next = done->next;
        output->in_flight--;
        take_back(output, done);
    }
}

static void send(struct store_output *output, struct snap_io_request *request)
{
    for (;;) {
        int status = output->io->ops->submit(output->io, request);
        if (status == 0) {
            output->in_flight++;
            return;
        }
        if (status != -EAGAIN || output->in_flight == 0) {
            note_error(output, status);
            request->length = 0;
            request->next = output->idle;
            output->idle = request;
            return;
        }
        reap_some(output, 1);
    }
}

static void send_run(struct store_output *output)
{
    if (output->count == 0) {
        return;
    }
    while (output->idle == NULL && !output->lost) {
        reap_some(output, 1);
    }
    if (output->error == 0) {
        struct snap_io_request *request = output->idle;
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): idle, or lost and an error */
        output->idle = request->next;
        *request = (struct snap_io_request){.offset = output->block * STORE_BLOCK_SIZE,
                                            .buffer = output->buffer,
                                            .length = output->count * STORE_BLOCK_SIZE,
                                            .direction = SNAP_IO_WRITE,
                                            .more = output->together};
        send(output, request);
    }
    output->count = 0;
}

void store_output_put(struct store_output *output, uint64_t block, void *buffer)
{
    bool joins = output->count != 0 && output->count < STORE_RUN_BLOCKS &&
                 block == output->block + output->count &&
                 buffer == output->buffer + (size_t)output->count * STORE_BLOCK_SIZE;
    if (!joins) {
        send_run(output);
        output->block = block;
        output->buffer = buffer;
    }
    output->count++;
}

static bool reads_from(const struct store_output *output, const uint8_t *from, const uint8_t *to)
{
    for (unsigned i = 0; i < STORE_OUTPUT_REQUESTS; i++) {
        const struct snap_io_request *request = &output->request[i];
        const uint8_t *buffer = request->buffer;
        if (request->length != 0 && buffer < to && buffer + request->length > from) {
            return true;
        }
    }
    return false;
}

void store_output_leave(struct store_output *output, const uint8_t *from, const uint8_t *to)
{
    send_run(output);
    while (output->in_flight != 0 && reads_from(output, from, to)) {
        reap_some(output, 1);
    }
}

int store_output_drain(struct store_output *output)
{
    if (output->together && output->in_flight == 0 && output->count != 0 && output->error == 0) {
        /* One write alone: this thread wakes up soonest. */
        note_error(output,
                   output->io->ops->write(output->io, output->block * STORE_BLOCK_SIZE,
                                          output->buffer, output->count * STORE_BLOCK_SIZE));
        output->count = 0;
    }
    send_run(output);
    while (output->in_flight != 0) {
        reap_some(output, output->in_flight); /* one sleep for all of them */
    }
    return output->error;
}
