/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom_disk.h - what the port's persistence layer writes on disk. Stability: kept;
 * little-endian.
 */
#ifndef PHANTOM_PORT_PHANTOM_DISK_H
#define PHANTOM_PORT_PHANTOM_DISK_H

#include <phantom_types.h>

#define PHANTOM_PARTITION_TYPE_ID 0xD3

#define DISK_STRUCT_BS              4096
#define DISK_STRUCT_N_MODULES       30
#define DISK_STRUCT_VERSION_MAJOR   1
#define DISK_STRUCT_VERSION_MINOR   3
#define DISK_STRUCT_SB_SYSNAME_SIZE 64
#define N_REF_PER_BLOCK             1008
#define PHANTOM_DEFAULT_DISK_START  0x10
#define DISK_STRUCT_SB_OFFSET_LIST                                                                 \
    {                                                                                              \
        0x10, 0x100, 0x220, 0x333, 0x500, 0x666                                                    \
    }

#define DISK_STRUCT_MAGIC_SUPERBLOCK    0xC001AC1D
#define DISK_STRUCT_MAGIC_SUPER_2       0xB0B0ADAD
#define DISK_STRUCT_MAGIC_FREEHEAD      0xC001FBFB
#define DISK_STRUCT_MAGIC_SNAP_LIST     0xC001C0C0
#define DISK_STRUCT_MAGIC_CONST_LIST    0xC001CBCB
#define DISK_STRUCT_MAGIC_BAD_LIST      0xC001BAD0
#define DISK_STRUCT_MAGIC_LOG_LIST      0xC001100C
#define DISK_STRUCT_MAGIC_PROGRESS_PAGE 0xDADADADA
#define DISK_STRUCT_MAGIC_BOOT_MODULE   0xC001B001
#define DISK_STRUCT_MAGIC_BOOT_LOADER   0xB001B001
#define DISK_STRUCT_MAGIC_BOOT_KERNEL   0xB001AC1D

/* Copies are at the blocks of DISK_STRUCT_SB_OFFSET_LIST. 816 bytes of a block are used. */
struct phantom_disk_superblock {
    u_int32_t magic;
    u_int32_t version;  /* minor in the low 16 bits */
    u_int32_t checksum; /* sum of all 816 bytes, this field as 0 */
    u_int32_t blocksize;
    disk_page_no_t sb2_addr;
    disk_page_no_t sb3_addr;
    disk_page_no_t disk_start_page;
    disk_page_no_t disk_page_count; /* first unusable block */
    disk_page_no_t free_start;      /* first block never used */
    disk_page_no_t free_list;       /* its first node */
    char fs_is_clean;
    char general_flags_1, general_flags_2, general_flags_3;
    disk_page_no_t last_snap;
    u_int32_t last_snap_time, last_snap_crc32;
    disk_page_no_t prev_snap;
    u_int32_t prev_snap_time, prev_snap_crc32;
    disk_page_no_t snap_to_free;
    u_int32_t magic2;
    disk_page_no_t boot_list;
    disk_page_no_t kernel_list;
    disk_page_no_t boot_progress_page;
    disk_page_no_t boot_module[DISK_STRUCT_N_MODULES];
    u_int32_t last_boot_time;
    disk_page_no_t bad_list;
    disk_page_no_t log_list;
    char sys_name[DISK_STRUCT_SB_SYSNAME_SIZE];
    u_int32_t object_space_address;
    disk_page_no_t last_short_journal_blocks[64];
    disk_page_no_t last_long_journal_root;
    u_int8_t last_short_journal_flags, last_long_journal_flags;
    u_int16_t reserved_1;
    disk_page_no_t prev_short_journal_blocks[64];
    disk_page_no_t prev_long_journal_root;
    u_int8_t prev_short_journal_flags, prev_long_journal_flags;
    u_int16_t reserved_2;
};
typedef struct phantom_disk_superblock phantom_disk_superblock;

_Static_assert(sizeof(phantom_disk_superblock) == 816, "as it is on disk");

struct phantom_disk_blocklist_head {
    u_int32_t magic;
    u_int32_t used; /* entries */
    disk_page_no_t next;
    disk_page_no_t _reserved;
};

struct phantom_disk_blocklist {
    struct phantom_disk_blocklist_head head;
    disk_page_no_t list[N_REF_PER_BLOCK];
};

/** Store the checksum; nonzero if it was right already and both magic numbers are. The caller's
 *  memory, no disk: never blocks. @threads one for each structure */
int phantom_calc_sb_checksum(struct phantom_disk_superblock *sb);
/** Nonzero if equal, but for the checksum, the module list, the name and the journals. Both stay as
 *  they are. Never blocks. @threads any */
int superblocks_are_equal(const struct phantom_disk_superblock *a,
                          const struct phantom_disk_superblock *b);

#endif /* PHANTOM_PORT_PHANTOM_DISK_H */
