/* SPDX-License-Identifier: Apache-2.0
 *
 * space_audit.c - walk a space: count what is in it, and check that everything agrees.
 *
 * The walk needs only the descriptors. Counting may run beside other calls and takes the lock for a
 * piece at a time; auditing wants quiet.
 */
#include "space_blocks.h"

#include "ph_check.h"

#include <inttypes.h>
#include <string.h>

enum { COUNT_PIECE = 1024 };

static void count_small(const struct space_alloc *alloc, uint64_t number, unsigned class,
                        struct phantom_space_usage *out)
{
    const struct space_class *c = &alloc->class[class];
    _Atomic uint64_t *bits = space_bits(alloc, number, class);
    uint64_t slots = 0;
    for (uint32_t word = 0; word < c->words; word++) {
        slots += (uint64_t)__builtin_popcountll(atomic_load(&bits[word]));
    }
    out->blocks += slots;
    out->block_bytes += slots * c->size;
    out->reserved_bytes += SPACE_BLOCK;
}

/** Lock held. Returns how many blocks this one speaks for. */
static uint64_t count_block(const struct space_alloc *alloc, uint64_t number,
                            struct phantom_space_usage *out)
{
    const struct space_block *block = &alloc->block[number];
    uint32_t head = atomic_load(&block->head);
    if (!space_head_valid(number, head)) {
        return 1;
    }
    if (space_head_kind(head) == SPACE_SMALL) {
        count_small(alloc, number, space_head_class(head), out);
        return 1;
    }
    out->blocks++;
    out->large_blocks++;
    out->block_bytes += block->bytes;
    out->large_block_bytes += block->bytes;
    uint64_t run = block->run != 0 ? block->run : 1;
    out->reserved_bytes += run * SPACE_BLOCK; /* pages behind the last one are nobody else's */
    return run;
}

void space_count(struct space_alloc *alloc, struct phantom_space_usage *out)
{
    *out =
        (struct phantom_space_usage){.size = out->size, .metadata_bytes = alloc->header->blocks_at};
    uint64_t top = 1;
    for (uint64_t number = 0; number < top;) {
        hal_mutex_lock(&alloc->lock);
        top = alloc->header->top;
        for (int i = 0; i < COUNT_PIECE && number < top; i++) {
            number += count_block(alloc, number, out);
        }
        hal_mutex_unlock(&alloc->lock);
    }
    uint64_t all = alloc->block_count * SPACE_BLOCK;
    out->available_bytes = all > out->reserved_bytes ? all - out->reserved_bytes : 0;
    out->roots = alloc->header->root_count;
}

/* ---- audit --------------------------------------------------------------------------------------
 */

static int audit_small(struct space_alloc *alloc, uint64_t number, unsigned class,
                       struct phantom_diag *diag)
{
    const struct space_class *c = &alloc->class[class];
    const struct space_block *block = &alloc->block[number];
    _Atomic uint64_t *bits = space_bits(alloc, number, class);
    for (uint32_t word = 0; word < c->words; word++) {
        if ((atomic_load(&bits[word]) & ~space_valid_bits(c, word)) != 0) {
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "block %" PRIu64 " of slots of %u bytes: impossible slots are allocated",
                           number, c->size);
        }
    }
    uint32_t unused = c->words > SPACE_BITS_WORDS ? 0 : c->words;
    for (uint32_t word = unused; word < SPACE_BITS_WORDS; word++) {
        if (atomic_load(&block->bits[word]) != 0) {
            return ph_fail(diag, PHANTOM_ECORRUPT, "block %" PRIu64 ": bits beyond its slots",
                           number);
        }
    }
    uint8_t state = atomic_load(&alloc->state[number]);
    bool listed = state == SPACE_PARTIAL;
    if (state == SPACE_UNUSED || state == SPACE_RUN || block->run != 0 || block->bytes != 0 ||
        (state == SPACE_FULL && space_block_has_free(alloc, number, class)) ||
        (listed && !space_block_has_free(alloc, number, class))) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "block %" PRIu64 " of slots of %u bytes: state %u",
                       number, c->size, state);
    }
    return 0;
}

static bool is_zero(const void *memory, size_t bytes)
{
    const uint8_t *byte = memory;
    return bytes == 0 || (byte[0] == 0 && memcmp(byte, byte + 1, bytes - 1) == 0);
}

static int audit_run(struct space_alloc *alloc, uint64_t number, struct phantom_diag *diag)
{
    const struct space_block *block = &alloc->block[number];
    uint64_t run = block->run;
    if (run == 0 || run > alloc->header->top - number || block->bytes % SPACE_PAGE != 0 ||
        block->bytes > run * SPACE_BLOCK || block->bytes <= (run - 1) * SPACE_BLOCK) {
        return ph_fail(diag, PHANTOM_ECORRUPT,
                       "block %" PRIu64 ": a run of %" PRIu64 " blocks with %" PRIu64 " bytes",
                       number, run, block->bytes);
    }
    for (uint64_t i = 1; i < run; i++) {
        if (!is_zero(&alloc->block[number + i], sizeof(struct space_block))) {
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "block %" PRIu64 " is in the run of block %" PRIu64
                           " and has a descriptor of its own",
                           number + i, number);
        }
    }
    return 0;
}

static int audit_block(struct space_alloc *alloc, uint64_t number, uint64_t *speaks_for,
                       struct phantom_diag *diag)
{
    const struct space_block *block = &alloc->block[number];
    uint32_t head = atomic_load(&block->head);
    *speaks_for = 1;
    if (head == 0) {
        uint8_t state = atomic_load(&alloc->state[number]);
        if (!is_zero(block, sizeof(*block)) || (state != SPACE_UNKNOWN && state != SPACE_UNUSED)) {
            return ph_fail(diag, PHANTOM_ECORRUPT,
                           "block %" PRIu64 " is free and its descriptor is not (state %u)", number,
                           state);
        }
        return 0;
    }
    if (!space_head_valid(number, head)) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "block %" PRIu64 ": damaged descriptor %08x", number,
                       head);
    }
    if (space_head_kind(head) == SPACE_SMALL) {
        return audit_small(alloc, number, space_head_class(head), diag);
    }
    int rc = audit_run(alloc, number, diag);
    *speaks_for = rc == 0 ? block->run : 1;
    return rc;
}

/** The volatile lists against the states. */
static int audit_lists(struct space_alloc *alloc, struct phantom_diag *diag)
{
    for (unsigned class = 0; class < SPACE_CLASSES; class ++) {
        uint32_t count = 0;
        for (uint32_t at = alloc->partial[class]; at != 0; at = alloc->next[at - 1]) {
            uint32_t head = atomic_load(&alloc->block[at - 1].head);
            if (atomic_load(&alloc->state[at - 1]) != SPACE_PARTIAL ||
                head != space_head(at - 1, SPACE_SMALL, class) ||
                ++count > alloc->partial_count[class]) {
                return ph_fail(diag, PHANTOM_ECORRUPT, "block %u is wrongly in a list", at - 1);
            }
        }
        if (count != alloc->partial_count[class]) {
            return ph_fail(diag, PHANTOM_ECORRUPT, "the list of class %u is too short", class);
        }
    }
    return 0;
}

int space_audit(struct space_alloc *alloc, struct phantom_diag *diag)
{
    uint64_t top = alloc->header->top;
    if (top > alloc->block_count) {
        return ph_fail(diag, PHANTOM_ECORRUPT, "%" PRIu64 " of %" PRIu64 " blocks are used", top,
                       alloc->block_count);
    }
    for (uint64_t number = 0; number < top;) {
        uint64_t speaks_for;
        int rc = audit_block(alloc, number, &speaks_for, diag);
        if (rc != 0) {
            return rc;
        }
        bool used = (alloc->used[number / 64] >> (number % 64) & 1) != 0;
        bool taken = atomic_load(&alloc->block[number].head) != 0;
        bool known = atomic_load(&alloc->state[number]) != SPACE_UNKNOWN;
        if (known && used != taken) {
            return ph_fail(diag, PHANTOM_ECORRUPT, "block %" PRIu64 ": used %d, taken %d", number,
                           used, taken);
        }
        number += speaks_for;
    }
    int rc = audit_lists(alloc, diag);
    return rc != 0 ? rc : space_root_audit(alloc->header, diag);
}
