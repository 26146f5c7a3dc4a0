/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_store.c - libFuzzer harness: a store file made by an enemy. It is opened read-only,
 * verified, read whole, audited, compared, copied, cloned and salvaged; then opened for writing
 * and, if that succeeds and nothing is damaged, it must be rolled back, take tags and a commit, and
 * give all back after reopening. What is copied or salvaged must verify.
 *
 * Input: one byte of flags, then
 *     RAW      the bytes of the file itself (the rest is zeros)
 *     else     edits of 12 bytes applied to a good store of four generations:
 *              operation, target (superblocks, seal, slot, data block), offset (2; what is beyond
 *              4095 reaches more data blocks), value (8)
 *     RESEAL   all sums are made right afterwards, so that more than the sums is tested
 *     UNSEALED the good store ended in a crash, not in a close
 *     HISTORY  the good store has more generations than its ring, so a catalog, and tags
 *     PACKED   the good store is a compressed one
 *
 * State: the four good stores, made once.
 */
#include "ph_check.h"
#include "ph_memory.h"
#include "snap_transfer.h"
#include "store_reseal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW = 1, RESEAL = 2, UNSEALED = 4, HISTORY = 8, PACKED = 16 };
enum { SLOTS = 16, HEAP_PAGES = 20000, LIMIT = 2 << 20, EDIT_BYTES = 12 };

static struct image {
    uint8_t *bytes;
    uint64_t size;
} good[4];

static void commit(struct snap_store *store, uint64_t first, uint64_t count, uint8_t byte)
{
    const struct snap_generation *before = snap_store_current(store);
    struct snap_txn *txn = NULL;
    PH_CHECK(snap_txn_begin(store, 256, &txn, NULL) == 0);
    for (uint64_t i = 0; i < count; i++) {
        memset(snap_txn_stage(txn, first + i), byte, SNAP_PAGE_SIZE);
    }
    const int64_t tick = 200000000;
    struct snap_commit commit = {
        .heap_pages = HEAP_PAGES,
        .time_ns = before->time_ns < INT64_MAX - tick ? before->time_ns + tick : INT64_MAX};
    PH_CHECK(snap_txn_commit(txn, &commit, NULL, NULL) == 0);
}

static void keep(struct image *image, struct snap_io *io)
{
    uint8_t *bytes = snap_io_memory_bytes(io, &image->size);
    image->bytes = malloc(image->size);
    PH_CHECK(image->bytes != NULL);
    memcpy(image->bytes, bytes, image->size);
}

static struct snap_store *new_store(struct snap_io *io, enum snap_compression compression)
{
    struct snap_store_params params = {.heap_base = UINT64_C(0x200000000000),
                                       .heap_size = (uint64_t)HEAP_PAGES * SNAP_PAGE_SIZE,
                                       .uuid = {1, 2, 3},
                                       .segment_bytes = 64 << 10,
                                       .ring_slots = SLOTS,
                                       .compression = compression};
    struct snap_store *store = NULL;
    PH_CHECK(io != NULL && snap_store_create(io, &params, NULL) == 0);
    PH_CHECK(snap_store_open(io, 0, &store, NULL, NULL) == 0);
    return store;
}

static void make_history(void)
{
    struct snap_io *io = snap_io_memory_create(LIMIT);
    struct snap_store *store = new_store(io, SNAP_COMPRESSION_NONE);
    commit(store, 0, 10, 1);
    for (unsigned i = 0; i < SLOTS + 6; i++) {
        commit(store, i % 12, 2, (uint8_t)(i + 2));
        if (i == 1 || i == 7) {
            PH_CHECK(snap_store_tag(store, snap_store_current(store)->number,
                                    i == 1 ? "first" : "second", NULL) == 0);
        }
    }
    PH_CHECK(snap_store_list(store, NULL, 0) > SLOTS && snap_store_tags(store, NULL, 0) == 2);
    snap_store_close(store);
    keep(&good[2], io);
    io->ops->close(io);
}

static void make_good(void)
{
    struct snap_io *io = snap_io_memory_create(LIMIT);
    struct snap_store *store = new_store(io, SNAP_COMPRESSION_NONE);
    commit(store, 0, 6, 1);
    commit(store, 17000, 3, 2);
    commit(store, 2, 2, 0);
    commit(store, 1, 5, 3);
    keep(&good[1], io); /* the last generation is not sealed */
    snap_store_close(store);
    keep(&good[0], io);
    io->ops->close(io);
}

static void make_packed(void)
{
    struct snap_io *io = snap_io_memory_create(LIMIT);
    struct snap_store *store = new_store(io, SNAP_COMPRESSION_LZ4);
    commit(store, 0, 60, 1);
    commit(store, 17000, 3, 2);
    commit(store, 2, 20, 0);
    commit(store, 1, 40, 3);
    snap_store_close(store);
    keep(&good[3], io);
    io->ops->close(io);
}

static uint64_t number_at(const uint8_t *data, size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, data, bytes);
    return value;
}

/* Which block a target byte names: half of them the metadata, half the data area. */
static uint64_t target_block(uint8_t target, unsigned more, uint64_t block_count)
{
    uint64_t metadata = STORE_RING_START + SLOTS;
    if (target < 3) {
        return target;
    }
    if (target < 128) {
        return STORE_RING_START + target % SLOTS;
    }
    return metadata + (target + 128 * more) % (block_count - metadata);
}

static void edit(uint8_t *bytes, uint64_t *size, const uint8_t *e)
{
    uint64_t block_count = *size / STORE_BLOCK_SIZE;
    unsigned more = e[3] >> 4;
    uint8_t *block = bytes + target_block(e[1], more, block_count) * STORE_BLOCK_SIZE;
    size_t offset = number_at(e + 2, 2) % STORE_BLOCK_SIZE;
    uint64_t value = number_at(e + 4, 8), word = offset & ~(size_t)7;
    uint8_t *other = bytes + target_block(e[4], more, block_count) * STORE_BLOCK_SIZE;
    uint8_t saved[STORE_BLOCK_SIZE];
    switch (e[0] % 8) {
    case 0: block[offset] ^= (uint8_t)value; break;
    case 1: memcpy(block + word, &value, 8); break;
    case 2: memcpy(block + (offset & ~(size_t)3) % (STORE_BLOCK_SIZE - 3), &value, 4); break;
    case 3: memset(block + offset / 512 * 512, (int)value, 512); break;
    case 4: memmove(block, other, STORE_BLOCK_SIZE); break;
    case 5:
        memcpy(saved, block, sizeof saved);
        memmove(block, other, sizeof saved);
        memcpy(other, saved, sizeof saved);
        break;
    case 6:
        value = number_at(block + word, 8) + value % 16 - 8;
        memcpy(block + word, &value, 8);
        break;
    default:
        if (block_count > STORE_RING_START + SLOTS + 8) {
            *size -= STORE_BLOCK_SIZE; /* cut short */
        }
        break;
    }
}

static int read_all(void *context, uint64_t page, const void *data)
{
    uint64_t *sum = context;
    *sum += page + ((const uint8_t *)data)[page % SNAP_PAGE_SIZE];
    return 0;
}

static int inspect(struct snap_store *store)
{
    struct snap_generation list[STORE_RING_SLOTS];
    struct snap_verify_report report;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    uint64_t sum = 0;
    uint8_t page[SNAP_PAGE_SIZE];
    int error = snap_store_verify(store, true, &report, NULL, NULL, &diag);
    size_t count = snap_store_list(store, list, STORE_RING_SLOTS);
    for (size_t i = 0; i < count && i < STORE_RING_SLOTS; i++) {
        int status = snap_store_for_each_page(store, list[i].number, read_all, &sum, &diag);
        PH_CHECK(status == 0 || error != 0); /* what verify passes can be read */
        (void)snap_store_read_page(store, list[i].number, 3, page, &diag);
        (void)snap_store_read_page(store, list[i].number, 17001, page, &diag);
    }
    int audit = snap_store_audit(store, &diag);
    return error != 0 ? error : audit;
}

/* ---- whole generations ---------------------------------------------------------------------- */

static int see_page(void *context, uint64_t page, enum snap_change change)
{
    uint64_t *sum = context;
    *sum += page + change;
    return 0;
}

static int walk_page(void *context, uint64_t page)
{
    return see_page(context, page, SNAP_PAGE_ADDED);
}

static int walk_lost(void *context, uint64_t first, uint64_t count, const char *why)
{
    PH_CHECK(count != 0 && why[0] != '\0');
    return see_page(context, first + count, SNAP_PAGE_REMOVED);
}

static void note_lost(void *context, uint64_t first, uint64_t count, const char *why)
{
    (void)walk_lost(context, first, count, why);
}

/* A file that was made from a store is a whole store. */
static void check_made(struct snap_io *made, uint64_t generation)
{
    struct snap_store *store = NULL;
    PH_CHECK(snap_store_open(made, 0, &store, NULL, NULL) == 0);
    PH_CHECK(snap_store_current(store)->number == generation);
    PH_CHECK(snap_store_verify(store, true, NULL, NULL, NULL, NULL) == 0);
    PH_CHECK(snap_store_audit(store, NULL) == 0);
    snap_store_close(store);
}

static void copy(struct snap_store *store, const uint64_t *numbers, size_t count,
                 const uint8_t *uuid, bool whole)
{
    struct snap_copied copied;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_io *made = snap_io_memory_create(2 * LIMIT);
    PH_CHECK(made != NULL);
    int error = snap_store_copy(store, numbers, count, uuid, made, NULL, &copied, &diag);
    PH_CHECK(error == 0 || !whole || error == PHANTOM_ENOSPACE);
    if (error == 0) {
        check_made(made, numbers[count - 1]);
    }
    made->ops->close(made);
}

static void transfer(struct snap_store *store, bool whole)
{
    enum { MOST = 64 };
    static const uint8_t uuid[16] = {9, 9, 9};
    struct snap_generation list[MOST];
    uint64_t numbers[MOST], sum = 0;
    size_t count = snap_store_list(store, list, MOST);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (count == 0 || count > MOST) {
        return;
    }
    const struct snap_map_visitor visitor = {&sum, walk_page, walk_lost};
    for (size_t i = 0; i < count; i++) {
        numbers[i] = list[i].number;
    }
    for (size_t i = 0; i < count; i++) {
        int error = snap_store_diff(store, numbers[0], numbers[i], see_page, &sum, &diag);
        error = error != 0
                    ? error
                    : snap_store_diff(store, numbers[i], numbers[count - 1], see_page, &sum, &diag);
        PH_CHECK(error == 0 || !whole);
        PH_CHECK(snap_store_walk(store, numbers[i], &visitor, &diag) == 0 || !whole);
    }
    copy(store, &numbers[count - 1], 1, NULL, whole);
    copy(store, numbers, count, NULL, whole);
    copy(store, &numbers[0], 1, uuid, whole);
}

static void salvage(struct snap_io *io, bool partial)
{
    struct snap_salvage_report report;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    uint64_t sum = 0;
    struct snap_io *made = snap_io_memory_create(2 * LIMIT);
    PH_CHECK(made != NULL);
    if (snap_store_salvage(io, NULL, partial, made, note_lost, &sum, NULL, &report, &diag) == 0) {
        PH_CHECK(partial || report.pages_lost == 0);
        check_made(made, report.generation);
    }
    made->ops->close(made);
}

/* Back to the oldest generation and forward again; a tag. */
static void go_back(struct snap_store *store)
{
    struct snap_generation oldest, made;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (snap_store_list(store, &oldest, 1) == 0) {
        return;
    }
    int error = snap_store_rollback(store, oldest.number, &made, &diag);
    PH_CHECK(error == 0 || error == PHANTOM_ENOSPACE || error == PHANTOM_EINVALID ||
             error == -EEXIST);
    if (error == 0) {
        PH_CHECK(memcmp(&made.root_sum, &oldest.root_sum, sizeof made.root_sum) == 0);
    }
    error = snap_store_tag(store, snap_store_current(store)->number, "fuzz", &diag);
    PH_CHECK(error == 0 || error == PHANTOM_ENOSPACE || error == PHANTOM_EINVALID ||
             error == -EEXIST);
    PH_CHECK(error != 0 || snap_store_untag(store, "fuzz", &diag) == 0);
}

/* A store that opened for writing and is whole must work. */
static void live_on(struct snap_io *io, struct snap_store *store)
{
    uint64_t before = snap_store_current(store)->number;
    uint8_t page[SNAP_PAGE_SIZE];
    commit(store, 5, 3, 0x77);
    uint64_t number = snap_store_current(store)->number;
    PH_CHECK(number > before);
    PH_CHECK(snap_store_audit(store, NULL) == 0);
    snap_store_close(store);
    PH_CHECK(snap_store_open(io, 0, &store, NULL, NULL) == 0);
    PH_CHECK(snap_store_current(store)->number == number);
    PH_CHECK(snap_store_read_page(store, number, 6, page, NULL) == 1 && page[9] == 0x77);
    snap_store_close(store);
}

static void run(struct snap_io *io)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_store *store = NULL;
    struct snap_recovery recovery;
    (void)snap_store_probe(io);
    if (snap_store_open(io, SNAP_OPEN_READ_ONLY, &store, &recovery, &diag) == 0) {
        bool whole = inspect(store) == 0;
        transfer(store, whole);
        snap_store_close(store);
    }
    salvage(io, false);
    salvage(io, true);
    if (snap_store_open(io, 0, &store, &recovery, &diag) == 0) {
        if (inspect(store) == 0 && snap_store_params(store)->heap_size > 20 * SNAP_PAGE_SIZE &&
            snap_store_params(store)->segment_bytes <= LIMIT / 4 &&
            snap_store_params(store)->heap_size >= (uint64_t)HEAP_PAGES * SNAP_PAGE_SIZE) {
            go_back(store);
            live_on(io, store);
        } else {
            snap_store_close(store);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good[0].bytes == NULL) {
        make_good();
        make_history();
        make_packed();
    }
    if (size == 0) {
        return 0;
    }
    const struct image *image = &good[(data[0] & PACKED) != 0     ? 3
                                      : (data[0] & HISTORY) != 0  ? 2
                                      : (data[0] & UNSEALED) != 0 ? 1
                                                                  : 0];
    uint64_t length = image->size;
    uint8_t *bytes = malloc(length);
    struct snap_io *io = snap_io_memory_create(LIMIT);
    PH_CHECK(bytes != NULL && io != NULL);
    memcpy(bytes, image->bytes, length);
    if ((data[0] & RAW) != 0) {
        uint64_t raw = size - 1 < length ? size - 1 : length;
        memset(bytes, 0, length);
        memcpy(bytes, data + 1, raw);
    } else {
        for (size_t at = 1; at + EDIT_BYTES <= size && at < 64 * EDIT_BYTES; at += EDIT_BYTES) {
            edit(bytes, &length, data + at);
        }
    }
    if ((data[0] & RESEAL) != 0) {
        uint8_t uuid[16] = {1, 2, 3};
        reseal_image(bytes, length, uuid, SLOTS);
    }
    if (snap_io_memory_assign(io, bytes, length) == 0) {
        run(io);
    }
    free(bytes);
    io->ops->close(io);
    return 0;
}
