/* SPDX-License-Identifier: Apache-2.0
 *
 * store_file.h - the file as blocks: its shape, reading with checks, writing in large requests.
 *
 * struct store_file says what the superblock fixed; every block number that comes from the file is
 * held against it before it is used. struct store_output gathers neighbouring blocks into runs of
 * up to 1 MiB and keeps several in flight.
 */
#ifndef SNAP_STORE_FILE_H
#define SNAP_STORE_FILE_H

#include "ph_error.h"
#include "snap_io.h"
#include "store_format.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_secret;
struct store_output;

struct store_file {
    struct snap_io *io;
    uint8_t uuid[16];
    struct store_output *output; /* writes of it may be in flight; NULL: there are none */
    struct store_secret *secret; /* keys of an encrypted store, else NULL (store_codec.h) */
    uint64_t page_count;         /* of the heap's range */
    uint64_t data_start;         /* first block of the data area */
    uint64_t block_count;        /* of the file, whole blocks */
    uint64_t segment_blocks;
    uint64_t ring_start, seal_block;
    uint32_t ring_slots;
    uint32_t height;
    bool has_runs;  /* the store may have delta runs (it says so in its features) */
    bool has_packs; /* and compressed pages */
    bool lost; /* writes that never came back may still do: reads are synchronous from then on */
};

/** For messages; never NULL. */
const char *store_file_name(const struct store_file *file);

static inline bool store_file_has_data_block(const struct store_file *file, uint64_t block)
{
    return block >= file->data_start && block < file->block_count;
}

/** Could a page be there? (store_format.h, "place") */
static inline bool store_file_has_place(const struct store_file *file, uint64_t place)
{
    if (!file->has_packs || place >> STORE_PLACE_BLOCKS_SHIFT == 0) {
        return store_file_has_data_block(file, place);
    }
    uint64_t block = store_place_block(place);
    return store_place_is_packed(place) && store_place_slot(place) < STORE_PACK_SLOTS &&
           store_file_has_data_block(file, block) &&
           store_place_blocks(place) <= file->block_count - block;
}

/** Pages (level 0) or nodes that one entry of a node at `level` covers, as a shift of page numbers.
 */
static inline unsigned store_level_shift(uint32_t level)
{
    return STORE_FANOUT_BITS * level;
}

/** Levels that a map of so many pages needs; at least 1. */
uint32_t store_height_for(uint64_t page_count);

/** Read whole blocks into an aligned buffer. 0, PHANTOM_ECORRUPT (out of the file) or -errno. */
int store_file_read(const struct store_file *file, uint64_t block, uint32_t count, void *buffer,
                    struct phantom_diag *diag);

struct store_run { /* one read request of whole blocks */
    uint64_t block;
    uint32_t count;
    void *buffer;
};
enum { STORE_READ_RUNS = 64 };
/** Read several runs, a few at a time in flight. At most STORE_READ_RUNS. Writes in flight are
 * waited for first: completions say no whose they are. */
int store_file_read_runs(const struct store_file *file, const struct store_run *runs,
                         unsigned run_count, struct phantom_diag *diag);

/** Read a map node and check everything about it but what it points to. `sum` is its parent's word.
 */
int store_file_read_node(const struct store_file *file, uint32_t level, uint64_t index,
                         uint64_t block, struct store_sum sum, struct store_node *node,
                         struct phantom_diag *diag);
/** The same for a node that is in memory as it is in the file; it is decrypted in place. */
int store_file_check_node(const struct store_file *file, uint32_t level, uint64_t index,
                          uint64_t block, struct store_sum sum, struct store_node *node,
                          struct phantom_diag *diag);
/** Check the content of a page, as read from the file, against its sum; it is decrypted in place.
 */
int store_file_check_page(const struct store_file *file, uint64_t generation, uint64_t page,
                          uint64_t block, struct store_sum sum, void *data,
                          struct phantom_diag *diag);

/* Make the file `from + *more` blocks long, or, if the disk has no room for that, shorter, but with
 * `least` blocks beyond `from`; *more says what it became. -ENOSPC: not even that. */
int store_file_extend(const struct store_file *file, uint64_t from, uint64_t least, uint64_t *more);

/**
 * Write zeros over blocks that were only allocated. The first write to an allocated block changes
 * the file system's own records, which makes the flush of a small commit about twice as slow. 0 or
 * -errno: a failed write, as final as any other.
 */
int store_file_fill(const struct store_file *file, uint64_t block, uint64_t count);

enum { STORE_RUN_BLOCKS = 256, STORE_OUTPUT_REQUESTS = 8 };

/* True between calls: at most one run is being gathered, the others are in flight. After an error
 * nothing new is sent. */
struct store_output {
    struct snap_io *io;
    struct snap_io_request request[STORE_OUTPUT_REQUESTS];
    struct snap_io_request *idle;
    unsigned in_flight; /* those with a length that are not idle */
    bool together;      /* small commits: a few runs, all sent when they are drained */
    int error;          /* the first */
    bool lost; /* reap() failed: requests may be in flight for ever, buffers must not be freed */
    uint64_t block; /* the run being gathered */
    uint8_t *buffer;
    uint32_t count;
};

void store_output_init(struct store_output *output, struct snap_io *io);
/** Write one block some time before the next drain. The buffer must stay as it is until then. */
void store_output_put(struct store_output *output, uint64_t block, void *buffer);
/** Send what is gathered; wait until no write in flight reads from [from, to). */
void store_output_leave(struct store_output *output, const uint8_t *from, const uint8_t *to);
/** Send what is gathered, take back every completion. 0 or the first error since init. */
int store_output_drain(struct store_output *output);

/** Why a file could not grow: three limits look alike. */
static inline const char *store_room_text(int error)
{
    return error == -ENOSPC
               ? "no space: the disk is full, or a quota or a limit of file sizes (ulimit -f)"
               : phantom_strerror(error);
}

#endif /* SNAP_STORE_FILE_H */
