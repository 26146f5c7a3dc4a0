/* SPDX-License-Identifier: Apache-2.0 - see store_pack.h. Owns nothing but what the caller holds.
 */
#include "store_pack.h"

#include "ph_check.h"
#include "ph_memory.h"
#include "ph_mutant.h"
#include "store_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { IMAGE_BYTES = STORE_PACK_BLOCKS_WRITTEN * STORE_BLOCK_SIZE };

/* ---- making -------------------------------------------------------------------------------- */

struct store_packer *store_packer_create(void)
{
    struct store_packer *packer = ph_zalloc(1, sizeof *packer);
    if (packer == NULL) {
        return NULL;
    }
    packer->pages = ph_alloc_aligned(STORE_BLOCK_SIZE,
                                     (size_t)STORE_PACK_SLOTS * STORE_BLOCK_SIZE + IMAGE_BYTES);
    if (packer->pages == NULL) {
        ph_free(packer);
        return NULL;
    }
    packer->image = packer->pages + (size_t)STORE_PACK_SLOTS * STORE_BLOCK_SIZE;
    store_packer_empty(packer);
    return packer;
}

void store_packer_destroy(struct store_packer *packer)
{
    if (packer != NULL) {
        ph_free(packer->pages);
        ph_free(packer);
    }
}

void store_packer_empty(struct store_packer *packer)
{
    packer->count = 0;
    packer->fill = sizeof(struct store_pack_head);
    packer->stale = true;
    memset(packer->image, 0, IMAGE_BYTES);
}

/* The compressor knows the pages of the pack and nothing else: not one that was turned away. */
static void refresh(struct store_packer *packer)
{
    if (packer->stale) {
        LZ4_initStream(&packer->stream, sizeof packer->stream);
        if (packer->count != 0) {
            (void)LZ4_loadDict(&packer->stream, (const char *)packer->pages,
                               (int)packer->count * STORE_BLOCK_SIZE);
        }
        packer->stale = false;
    }
}

enum store_packed store_packer_add(struct store_packer *packer, const void *page)
{
    uint32_t room = IMAGE_BYTES - packer->fill;
    if (packer->count == STORE_PACK_SLOTS) {
        return STORE_PACK_FULL;
    }
    bool enough = room >= STORE_PACK_PAGE_MOST;
    uint8_t *copy = packer->pages + (size_t)packer->count * STORE_BLOCK_SIZE;
    memcpy(copy, page, STORE_BLOCK_SIZE);
    refresh(packer);
    int size = LZ4_compress_fast_continue(&packer->stream, (const char *)copy,
                                          (char *)packer->image + packer->fill, STORE_BLOCK_SIZE,
                                          enough ? STORE_PACK_PAGE_MOST : (int)room, 1);
    if (size <= 0) {
        memset(packer->image + packer->fill, 0, room); /* what it had begun to write */
        packer->stale = true;
        return enough ? STORE_PACK_RAW : STORE_PACK_FULL;
    }
    struct store_pack_head *head = (struct store_pack_head *)packer->image;
    head->length[packer->count++] = (uint16_t)size;
    packer->fill += (uint32_t)size;
    return STORE_PACK_ADDED;
}

uint32_t store_packer_blocks(const struct store_packer *packer)
{
    uint32_t blocks = (packer->fill + STORE_BLOCK_SIZE - 1) / STORE_BLOCK_SIZE;
    return blocks < packer->count ? blocks : 0;
}

/* The sum over a pack in which the sum itself counts as zeros; it is zeros then. */
static struct store_sum sum_without_itself(const struct store_file *file, uint64_t block,
                                           uint8_t *image, uint32_t blocks)
{
    memset(image + offsetof(struct store_pack_head, sum), 0, sizeof(struct store_sum));
    return store_sum_in_memory(file, STORE_SUM_PACK, block, image, blocks);
}

static void cipher(const struct store_file *file, uint64_t block, struct store_sum sum,
                   uint8_t *image, uint32_t blocks)
{
    const size_t from = offsetof(struct store_pack_head, blocks);
    if (file->secret != NULL) {
        store_secret_cipher(file->secret, sum, STORE_SUM_PACK, block, image + from,
                            (size_t)blocks * STORE_BLOCK_SIZE - from);
    }
}

void store_packer_finish(const struct store_file *file, struct store_packer *packer, uint64_t block,
                         void *out)
{
    struct store_pack_head *head = (struct store_pack_head *)packer->image;
    head->magic = STORE_PACK_MAGIC;
    head->blocks = store_packer_blocks(packer);
    head->slots = packer->count;
    PH_CHECK(head->blocks != 0);
    memcpy(out, packer->image, (size_t)head->blocks * STORE_BLOCK_SIZE);
    struct store_sum sum = sum_without_itself(file, block, out, head->blocks);
    cipher(file, block, sum, out, head->blocks);
    memcpy((uint8_t *)out + offsetof(struct store_pack_head, sum), &sum, sizeof sum);
}

/* ---- reading ------------------------------------------------------------------------------- */

void store_unpacker_finish(struct store_unpacker *unpacker)
{
    ph_free(unpacker->image);
    ph_free(unpacker->pages);
    *unpacker = (struct store_unpacker){0};
}

/* Lengths that a pack of so many blocks can have. */
static bool is_possible(const struct store_pack_head *head, uint32_t blocks)
{
    uint32_t fill = sizeof *head;
    if (head->blocks != blocks || head->slots == 0 || head->slots > STORE_PACK_SLOTS) {
        return false;
    }
    for (uint32_t i = 0; i < STORE_PACK_SLOTS; i++) {
        if ((head->length[i] != 0) != (i < head->slots)) {
            return false;
        }
        fill += head->length[i];
    }
    /* The mutant stays inside the buffer, which is as long as the longest pack. */
    uint32_t most = PH_MUTANT(PACK_LENGTHS_BELIEVED) ? STORE_PACK_BLOCKS : blocks;
    return fill <= most * STORE_BLOCK_SIZE;
}

/* Verify the image and decompress it. NULL, or what is wrong. */
static const char *decompress(const struct store_file *file, struct store_unpacker *u,
                              uint64_t block, uint32_t blocks)
{
    struct store_pack_head *head = (struct store_pack_head *)u->image;
    struct store_sum sum = head->sum;
    if (head->magic != STORE_PACK_MAGIC) {
        return "it is no pack";
    }
    cipher(file, block, sum, u->image, blocks);
    struct store_sum actual = sum_without_itself(file, block, u->image, blocks);
    if (!(file->secret != NULL ? store_secret_equal(sum, actual) : store_sum_equal(sum, actual))) {
        return "the sum of the pack is wrong";
    }
    if (!is_possible(head, blocks)) {
        return "the pack has a good sum but impossible content";
    }
    u->slots = head->slots;
    const char *from = (const char *)(head + 1);
    for (u->good = 0; u->good < u->slots; u->good++) {
        char *to = (char *)u->pages + (size_t)u->good * STORE_BLOCK_SIZE;
        int size =
            LZ4_decompress_safe_usingDict(from, to, head->length[u->good], STORE_BLOCK_SIZE,
                                          (const char *)u->pages, (int)u->good * STORE_BLOCK_SIZE);
        if (size != STORE_BLOCK_SIZE) {
            break; /* the pages before it are as good as ever */
        }
        from += head->length[u->good];
    }
    return NULL;
}

static int damaged(const struct store_file *file, uint64_t generation, uint64_t page,
                   uint64_t place, const char *what, struct phantom_diag *diag)
{
    return ph_fail(diag, PHANTOM_ECORRUPT,
                   "%s: generation %" PRIu64 ", page %" PRIu64 " in slot %u of the pack in block "
                   "%" PRIu64 ": %s",
                   store_file_name(file), generation, page, store_place_slot(place),
                   store_place_block(place), what);
}

/* Get the pack. 0, 1 (*what is wrong with it), or an error. */
static int load(const struct store_file *file, struct store_unpacker *u, uint64_t place,
                const void *image, const char **what, struct phantom_diag *diag)
{
    uint64_t block = store_place_block(place);
    uint32_t blocks = store_place_blocks(place);
    u->pack = 0;
    u->good = u->slots = 0;
    if (u->image == NULL) {
        u->image = ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)STORE_PACK_BLOCKS * STORE_BLOCK_SIZE);
    }
    if (u->pages == NULL) {
        u->pages = ph_alloc_aligned(STORE_BLOCK_SIZE, (size_t)STORE_PACK_SLOTS * STORE_BLOCK_SIZE);
    }
    if (u->image == NULL || u->pages == NULL) {
        return ph_fail(diag, -ENOMEM, "%s: no memory to decompress", store_file_name(file));
    }
    if (image != NULL) {
        memcpy(u->image, image, (size_t)blocks * STORE_BLOCK_SIZE);
    } else {
        int error = store_file_read(file, block, blocks, u->image, diag);
        if (error != 0) {
            return error;
        }
    }
    *what = decompress(file, u, block, blocks);
    u->pack = *what == NULL ? store_place_pack(place) : 0;
    return *what != NULL;
}

static bool holds(const struct store_file *file, const struct store_unpacker *u, uint64_t page,
                  unsigned slot, struct store_sum sum)
{
    const uint8_t *data = u->pages + (size_t)slot * STORE_BLOCK_SIZE;
    if (slot >= u->good) {
        return false;
    }
    struct store_sum actual = store_sum_in_memory(file, STORE_SUM_PAGE, page, data, 1);
    return (file->secret != NULL ? store_secret_equal(sum, actual)
                                 : store_sum_equal(sum, actual)) ||
           PH_MUTANT(PACKED_PAGE_UNCHECKED);
}

int store_unpack_page(const struct store_file *file, struct store_unpacker *unpacker,
                      uint64_t generation, uint64_t page, uint64_t place, struct store_sum sum,
                      const void *image, const uint8_t **out, struct phantom_diag *diag)
{
    unsigned slot = store_place_slot(place);
    PH_CHECK(slot < STORE_PACK_SLOTS);
    if (unpacker->pack == store_place_pack(place) && holds(file, unpacker, page, slot, sum)) {
        *out = unpacker->pages + (size_t)slot * STORE_BLOCK_SIZE;
        return 0;
    }
    const char *what = NULL;
    int error = load(file, unpacker, place, image, &what, diag);
    if (error != 0) {
        return error < 0 ? error : damaged(file, generation, page, place, what, diag);
    }
    *out = unpacker->pages + (size_t)slot * STORE_BLOCK_SIZE;
    if (holds(file, unpacker, page, slot, sum)) {
        return 0;
    }
    if (slot >= unpacker->good) {
        what = slot >= unpacker->slots ? "it has fewer slots" : "it does not decompress";
        return damaged(file, generation, page, place, what, diag);
    }
    char why[STORE_WRONG_SUM_TEXT];
    what = store_wrong_sum(file, STORE_SUM_PAGE, page, sum, *out, 1, why);
    return damaged(file, generation, page, place, what, diag);
}
