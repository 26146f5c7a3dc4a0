/* SPDX-License-Identifier: Apache-2.0
 *
 * pc/disk_partition.h - an entry of the partition table of a PC. Stability: kept.
 */
#ifndef PHANTOM_PORT_PC_DISK_PARTITION_H
#define PHANTOM_PORT_PC_DISK_PARTITION_H

#include <phantom_types.h>

struct pc_partition {
    u_int8_t boot; /* 0x80: bootable */
    u_int8_t start_chs[3];
    u_int8_t type; /* 0: none */
    u_int8_t end_chs[3];
    u_int32_t start; /* sectors of 512 bytes */
    u_int32_t size;
};

_Static_assert(sizeof(struct pc_partition) == 16, "as it is on disk");

#endif /* PHANTOM_PORT_PC_DISK_PARTITION_H */
