/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_table.c - the first sectors of a disk as anybody may have written them: partition table and
 * superblocks. What becomes known must lie within the disk and have names that end.
 *
 *     input: u16 sectors of the disk, sector 0, then the sectors from the first superblock's place;
 *     all others read as zeros
 */
#include "fuzz_port.h"

#include <disk.h>
#include <errno.h>
#include <fs_map.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SUPERBLOCK = 0x10 * 8 };

struct contents {
    struct fuzz_bytes bytes;
    long sectors;
};

static errno_t read_bytes(struct phantom_disk_partition *p, pager_io_request *rq)
{
    const struct contents *contents = p->specific;
    FUZZ_FACT(rq->flag_pagein != 0 && rq->nSect > 0);
    FUZZ_FACT(rq->blockNo + (u_int64_t)rq->nSect <= (u_int64_t)contents->sectors);
    for (int i = 0; i < rq->nSect; i++) {
        uint8_t sector[512] = {0};
        size_t at = (size_t)rq->blockNo + (size_t)i;
        if (at == 0 || at >= SUPERBLOCK) {
            at = (at == 0 ? 0 : at - SUPERBLOCK + 1) * sizeof(sector);
            if (at < contents->bytes.size) {
                size_t left = contents->bytes.size - at;
                memcpy(sector, contents->bytes.data + at,
                       left < sizeof(sector) ? left : sizeof(sector));
            }
        }
        memcpy_v2p(rq->phys_page + (physaddr_t)i * sizeof(sector), sector, sizeof(sector));
    }
    rq->rc = 0;
    pager_io_request_done(rq);
    return 0;
}

static errno_t take_some(phantom_disk_partition_t *p)
{
    return p->type % 2;
}

static void register_disk(void *context)
{
    struct contents *contents = context;
    phantom_disk_partition_t disk = {.block_size = 512,
                                     .size = contents->sectors,
                                     .flags = PART_FLAG_IS_WHOLE_DISK,
                                     .specific = contents,
                                     .asyncIo = read_bytes};
    FUZZ_FACT(phantom_register_fs(take_some) == 0);
    FUZZ_FACT(phantom_register_disk_drive(&disk) == 0);
    phantom_disk_partition_t *whole = phantom_disk_partition_number(0);
    FUZZ_FACT(whole != NULL && whole->size == contents->sectors);
    bool found = false;
    phantom_disk_partition_t *p;
    for (int i = 0; (p = phantom_disk_partition_number(i)) != NULL; i++) {
        char name[2 * PARTITION_NAME_LEN];
        FUZZ_FACT(i <= 4); /* the disk and four entries */
        FUZZ_FACT(i == 0 || p->base == whole);
        FUZZ_FACT(p->shift >= 0 && p->size > 0 && p->shift <= whole->size - p->size);
        FUZZ_FACT(memchr(p->name, '\0', sizeof(p->name)) != NULL);
        FUZZ_FACT(memchr(p->label, '\0', sizeof(p->label)) != NULL);
        FUZZ_FACT(partGetName(p, name, sizeof(name)) == 0);
        dump_partition(p);
        int phantom = PART_FLAG_IS_PHANTOM_TYPE | PART_FLAG_IS_PHANTOM_FSSB;
        found = found || ((p->flags & phantom) != 0 && (p->flags & PART_FLAG_IS_DIVIDED) == 0);
    }
    FUZZ_FACT(!found || select_phantom_partition() != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct contents contents = {.bytes = {data, size}};
    contents.sectors = fuzz_u16(&contents.bytes) + 1L;
    FUZZ_FACT(fuzz_inside(register_disk, &contents));
    return 0;
}
