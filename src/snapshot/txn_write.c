/* SPDX-License-Identifier: Apache-2.0
 *
 * txn_write.c - staged pages on their way out: holes found, pages packed or not, entered into the
 * map and handed to the output; how the arena streams is told in snap_txn.c.
 */
#include "ph_mutant.h"
#include "store_codec.h"
#include "txn_internal.h"

#include <string.h>

/* Staged pages on their way out. `left`: those not yet in the map; `run`: blocks that will be
 * wanted right behind the pages. With compression the arena is written anew from its beginning:
 * what goes out is always behind what is still to be read, since no pack has more blocks than
 * pages. */
struct outgoing {
    struct snap_txn *txn;
    uint32_t left, run;
    uint32_t out;                    /* next arena slot */
    uint64_t page[STORE_PACK_SLOTS]; /* of the pack being filled */
    struct store_sum sum[STORE_PACK_SLOTS];
    struct phantom_diag *diag;
};

static int make_hole(const struct outgoing *o, uint64_t page)
{
    return page_map_set(&o->txn->store->map, page, 0, (struct store_sum){0}, o->diag);
}

/* A page goes out as it is. */
static int put_page(struct outgoing *o, uint64_t page, const uint8_t *content)
{
    struct snap_txn *txn = o->txn;
    struct snap_store *store = txn->store;
    uint8_t *data = txn_slot_data(txn, o->out++);
    uint64_t block = 0;
    if (data != content) {
        memmove(data, content, SNAP_PAGE_SIZE);
    }
    int error = txn_take_block(txn, o->run + o->left, &block, o->diag);
    if (error != 0) {
        return error;
    }
    struct store_sum sum = store_encode(&store->file, STORE_SUM_PAGE, page, data, 1);
    store_output_put(&txn->output, block, data);
    txn->pages_written++;
    o->left--;
    return page_map_set(&store->map, page, block, sum, o->diag);
}

/* `blocks` blocks in a row; *first is 0 if there are none. */
static int take_together(struct outgoing *o, uint32_t blocks, uint64_t *first)
{
    struct snap_txn *txn = o->txn;
    if (txn->run_left < blocks) {
        txn_return_run(txn); /* the next one begins there again, if it is long enough */
    }
    int error = txn_take_block(txn, o->run + o->left, first, o->diag);
    if (error == 0 && txn->run_left < blocks - 1) {
        txn->run_block--;
        txn->run_left++;
        *first = 0;
    } else if (error == 0) {
        txn->run_block += blocks - 1;
        txn->run_left -= blocks - 1;
    }
    return error;
}

/* The pack being filled goes out; its pages as they are if nothing would be gained. */
static int put_pack(struct outgoing *o)
{
    struct snap_txn *txn = o->txn;
    struct store_packer *packer = txn->packer;
    uint32_t blocks = store_packer_blocks(packer);
    uint64_t first = 0;
    int error = blocks != 0 ? take_together(o, blocks, &first) : 0;
    if (error == 0 && first == 0) {
        for (uint32_t i = 0; error == 0 && i < packer->count; i++) {
            error = put_page(o, o->page[i], packer->pages + (size_t)i * SNAP_PAGE_SIZE);
        }
        store_packer_empty(packer);
        return error;
    }
    if (error == 0) {
        store_packer_finish(&txn->store->file, packer, first, txn_slot_data(txn, o->out));
    }
    for (uint32_t i = 0; error == 0 && i < blocks; i++) {
        store_output_put(&txn->output, first + i, txn_slot_data(txn, o->out++));
    }
    for (uint32_t i = 0; error == 0 && i < packer->count; i++) {
        uint64_t place = store_place_in_pack(first, blocks, i);
        error = store_txn_enter_slot(txn, place, o->diag);
        error = error != 0 ? error
                           : page_map_set(&txn->store->map, o->page[i], place, o->sum[i], o->diag);
        txn->pages_written++;
        o->left--;
    }
    store_packer_empty(packer);
    return error;
}

static int pack_page(struct outgoing *o, uint64_t page, const uint8_t *content)
{
    struct store_packer *packer = o->txn->packer;
    enum store_packed packed = store_packer_add(packer, content);
    if (packed == STORE_PACK_FULL) {
        int error = put_pack(o);
        if (error != 0) {
            return error;
        }
        packed = store_packer_add(packer, content);
    }
    if (packed != STORE_PACK_ADDED) {
        return put_page(o, page, content);
    }
    o->page[packer->count - 1] = page;
    o->sum[packer->count - 1] =
        store_sum_in_memory(&o->txn->store->file, STORE_SUM_PAGE, page, content, 1);
    return 0;
}

/* Enter holes and staged pages into the map and hand the pages to the output. */
int txn_enter_staged(struct snap_txn *txn, uint32_t run, struct phantom_diag *diag)
{
    struct outgoing o = {.txn = txn, .run = run, .diag = diag};
    int error = 0;
    txn->touched = txn->touched || txn->holes.count != 0 || txn->used != 0;
    for (size_t i = 0; error == 0 && i < txn->holes.count; i++) {
        error = make_hole(&o, txn->holes.block[i]);
    }
    for (uint32_t i = 0; i < txn->used; i++) {
        txn->slot[i].hole = txn->slot[i].hole || store_block_is_zero(txn_slot_data(txn, i));
        o.left += !txn->slot[i].hole;
    }
    bool pack = txn->packer != NULL && o.left > 1; /* a page alone has nobody to share with */
    for (uint32_t i = 0; error == 0 && i < txn->used; i++) {
        o.out = pack ? o.out : i;
        error = txn->slot[i].hole ? make_hole(&o, txn->slot[i].page)
                : pack            ? pack_page(&o, txn->slot[i].page, txn_slot_data(txn, i))
                                  : put_page(&o, txn->slot[i].page, txn_slot_data(txn, i));
    }
    if (pack) {
        error = error != 0 ? error : put_pack(&o);
        store_packer_empty(txn->packer);
    }
    txn->node_slot = pack ? o.out : txn->used;
    return error;
}

/* Nothing may be in flight when a call returns. A failed write is final: poison. */
int txn_settle(struct snap_txn *txn, int error, struct phantom_diag *diag)
{
    struct snap_store *store = txn->store;
    int failed = store_output_drain(&txn->output);
    if (failed != 0) {
        store->poison = store->poison != 0 ? store->poison : failed;
        store->file.lost = store->file.lost || txn->output.lost;
        error = store_poisoned(store, diag);
    }
    txn->error = txn->error != 0 ? txn->error : error;
    return error;
}

int txn_refuse(const struct snap_txn *txn, struct phantom_diag *diag)
{
    if (txn->store->poison != 0) {
        return store_poisoned(txn->store, diag);
    }
    return txn->error == 0
               ? 0
               : ph_fail(diag, txn->error, "%s: the transaction has failed already: %s",
                         store_file_name(&txn->store->file), phantom_strerror(txn->error));
}

bool snap_txn_is_full(const struct snap_txn *txn)
{
    return txn->used == txn->limit;
}

/* All that was staged is on its way: go on in the half that is, or will be, written first. */
static void change_halves(struct snap_txn *txn)
{
    uint32_t half = txn->capacity / 2;
    bool upper = txn->limit < txn->capacity && txn->base == 0; /* it was full in the lower one */
    txn->base = upper ? half : 0;
    txn->limit = upper ? txn->capacity - half : half;
    if (!PH_MUTANT(STREAM_OVERTAKES)) {
        store_output_leave(&txn->output, txn_slot_data(txn, 0),
                           txn->arena + (size_t)(txn->base + txn->limit) * SNAP_PAGE_SIZE);
    }
}

int snap_txn_write(struct snap_txn *txn, struct phantom_diag *diag)
{
    int error = txn_refuse(txn, diag);
    if (error != 0) {
        return error;
    }
    txn->diag = diag;
    bool full = snap_txn_is_full(txn);
    error = txn_enter_staged(txn, 0, diag);
    txn_return_run(txn);
    txn_empty_index(txn);
    if (full && error == 0) {
        change_halves(txn);
    }
    if (full && error == 0 && txn->output.error == 0) {
        return 0;
    }
    txn->base = 0;
    txn->limit = txn->capacity;
    return txn_settle(txn, error, diag);
}

int snap_txn_settle(struct snap_txn *txn, struct phantom_diag *diag)
{
    int error = txn_refuse(txn, diag);
    if (error == 0) {
        error = txn_settle(txn, 0, diag);
        if (txn->base != 0) {
            memmove(txn->arena, txn_slot_data(txn, 0), (size_t)txn->used * SNAP_PAGE_SIZE);
        }
        txn->base = 0;
        txn->limit = txn->capacity;
    }
    return error;
}
