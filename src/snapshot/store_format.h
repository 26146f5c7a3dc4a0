/* SPDX-License-Identifier: Apache-2.0
 *
 * store_format.h - what is in the store file, format version 1 (docs/formats/store.md has the
 * pictures). Everything is little-endian and in blocks of 4096 bytes.
 *
 *     block 0      superblock      written once, at birth
 *     block 1      its copy
 *     block 2      seal            overwritten in place, a torn one is no seal
 *     blocks 3-7   zero, reserved
 *     blocks 8-15  working set     overwritten in place, loss costs nothing but speed
 *     block 16...  record ring     ring_slots blocks, contiguous
 *     data_start...                pages, packs, map nodes, delta runs and catalog, copy on write
 *
 * A structure here is exactly one block, but for a delta run, which is a few blocks in a row. Each
 * ends up on disk with a 128-bit sum over the whole of it in which the sum itself counts as zeros
 * (superblock, seal, record) or with its sum kept by its parent (map node, page, delta run). In an
 * encrypted store what is described here is what is encrypted, where it is.
 */
#ifndef SNAP_STORE_FORMAT_H
#define SNAP_STORE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORE_BLOCK_SIZE = 4096,
    STORE_SECTOR_SIZE = 512,
    STORE_SECTORS = STORE_BLOCK_SIZE / STORE_SECTOR_SIZE,
    STORE_FORMAT_VERSION = 1,
    STORE_SUPERBLOCK = 0, /* block numbers */
    STORE_SUPERBLOCK_COPY = 1,
    STORE_SEAL = 2,
    STORE_WANTED = 8,
    STORE_WANTED_BLOCKS = 8,
    STORE_WANTED_ENTRIES = 508, /* in one block */
    STORE_RING_START = 16,
    STORE_RING_SLOTS = 256, /* default and most */
    STORE_RING_SLOTS_LEAST = 16,
    STORE_SEGMENT_BYTES = 16 << 20,
    STORE_SEGMENT_BYTES_LEAST = 64 << 10,
    STORE_FANOUT_BITS = 7,
    STORE_FANOUT = 1 << STORE_FANOUT_BITS,
    STORE_LEVELS_MOST = 6, /* 128^6 pages are 16 PiB: more than an address space */
    STORE_EXTENTS_PER_SECTOR = 31,
    STORE_EXTENT_SECTORS = 6,
    STORE_EXTENTS = STORE_EXTENTS_PER_SECTOR * STORE_EXTENT_SECTORS,
    STORE_SMALL_BLOCKS = 2048,     /* most blocks that a commit with one flush writes */
    STORE_CHAIN_RUNS = 16,         /* most delta runs on top of one checkpoint */
    STORE_CHAIN_ENTRIES = 1 << 15, /* most entries in all of them */
};

#define STORE_SUPERBLOCK_MAGIC UINT64_C(0x31454d4f544e4850) /* "PHNTOME1" */
#define STORE_SEAL_MAGIC       UINT64_C(0x314c4145534e4850) /* "PHNSEAL1" */
#define STORE_RECORD_MAGIC     UINT64_C(0x3144524f434e4850) /* "PHNCORD1" */
#define STORE_WANTED_MAGIC     UINT64_C(0x314b524f574e4850) /* "PHNWORK1" */
#define STORE_NODE_MAGIC       UINT64_C(0x3145444f4e4e4850) /* "PHNNODE1" */
#define STORE_DELTA_MAGIC      UINT64_C(0x31544c44444e4850) /* "PHNDDLT1" */
#define STORE_PACK_MAGIC       UINT64_C(0x314b4341504e4850) /* "PHNPACK1" */

/* Generations are numbered below this, so that lock bytes and sums of numbers never overflow. */
#define STORE_GENERATION_LIMIT (UINT64_C(1) << 60)

/*
 * The *place* of a page: the block word of its map entry, in a leaf or in a delta run.
 *
 *     63      56 55    52 51                                         0
 *     | slot + 1 | blocks-1 |              block                      |
 *
 * Zero in bits 63..52: the page is in this block as it is. Else it is compressed, in slot `slot` of
 * the pack that begins there; only in a store with the feature COMPRESSION.
 */
enum {
    STORE_PLACE_BLOCKS_SHIFT = 52,
    STORE_PLACE_SLOT_SHIFT = 56,
    STORE_PACK_SLOTS = 32, /* most pages in one pack */
    STORE_PACK_BLOCKS = 16 /* most blocks of one; what is written has fewer (store_pack.h) */
};

static inline uint64_t store_place_block(uint64_t place)
{
    return place & ((UINT64_C(1) << STORE_PLACE_BLOCKS_SHIFT) - 1);
}
static inline bool store_place_is_packed(uint64_t place)
{
    return place >> STORE_PLACE_SLOT_SHIFT != 0;
}
/** Of a packed page. */
static inline unsigned store_place_slot(uint64_t place)
{
    return (unsigned)(place >> STORE_PLACE_SLOT_SHIFT) - 1;
}
static inline uint32_t store_place_blocks(uint64_t place)
{
    return (uint32_t)(place >> STORE_PLACE_BLOCKS_SHIFT & 15) + 1;
}
/** The place of slot 0 of the same pack: equal for all its pages. */
static inline uint64_t store_place_pack(uint64_t place)
{
    return (place & ((UINT64_C(1) << STORE_PLACE_SLOT_SHIFT) - 1)) | UINT64_C(1)
                                                                         << STORE_PLACE_SLOT_SHIFT;
}
static inline uint64_t store_place_in_pack(uint64_t block, uint32_t blocks, unsigned slot)
{
    return block | (uint64_t)(blocks - 1) << STORE_PLACE_BLOCKS_SHIFT |
           (uint64_t)(slot + 1) << STORE_PLACE_SLOT_SHIFT;
}

/* Incompatible features: a reader that does not know one must refuse. MAP_RUNS is set in every new
 * store: generations may have delta runs on top of their map. ENCRYPTION: the sums are keyed, and
 * pages, nodes, delta runs and catalog are encrypted (store_secret.h). COMPRESSION: there may be
 * packs. One bit is reserved by name. */
#define STORE_FEATURE_COMPRESSION UINT64_C(1)
#define STORE_FEATURE_PAGE_DELTAS UINT64_C(2)
#define STORE_FEATURE_ENCRYPTION  UINT64_C(4)
#define STORE_FEATURE_MAP_RUNS    UINT64_C(8)
#define STORE_FEATURES_KNOWN                                                                       \
    (STORE_FEATURE_MAP_RUNS | STORE_FEATURE_ENCRYPTION | STORE_FEATURE_COMPRESSION)

struct store_sum {
    uint64_t low, high;
};

struct store_superblock {
    uint64_t magic;
    uint32_t format_version;
    uint32_t block_size;
    uint64_t features_compatible; /* unknown bits may be ignored */
    uint64_t features_read_only;  /* unknown bits: open read-only */
    uint64_t features_incompatible;
    uint8_t uuid[16];
    uint64_t heap_base;
    uint64_t heap_size;
    uint32_t map_height; /* levels of nodes, from heap_size */
    uint32_t ring_slots;
    uint64_t ring_start; /* block */
    uint64_t seal_block;
    uint64_t data_start; /* block */
    uint64_t segment_bytes;
    uint64_t retain_bytes;
    struct store_sum sum;
    /* Of an encrypted store, else zeros. */
    struct store_sum key_check; /* which key it is */
    struct store_sum keyed_sum; /* over all but the two sums */
    uint8_t zero[STORE_BLOCK_SIZE - 168];
};

struct store_seal {
    uint64_t magic;
    uint64_t generation;
    struct store_sum record_sum;
    struct store_sum sum;
    uint8_t zero[STORE_BLOCK_SIZE - 48];
};

/* A part of the working set. Entry: first page (44 bits), pages - 1 (12), age (8). */
struct store_wanted {
    uint64_t magic;
    uint32_t used;
    uint32_t zero;
    struct store_sum sum;
    uint64_t entry[STORE_WANTED_ENTRIES];
};

/* Begins every sector of a record, so that a torn one is recognised whichever sector survived. */
struct store_stamp {
    uint64_t magic;
    uint64_t generation;
};

struct store_extent {
    uint64_t first, count; /* blocks */
};

/* Where a delta run is and what it must be. All zeros: none. */
struct store_delta_ref {
    uint64_t block;      /* the first */
    uint64_t generation; /* that wrote it; each writes at most one */
    uint32_t blocks;
    uint32_t entries;
    struct store_sum sum; /* over all its blocks, keyed by its generation */
};

enum store_record_kind { STORE_RECORD_COMMIT = 1, STORE_RECORD_TOMBSTONE = 2 };

enum store_record_flags {
    STORE_RECORD_FLUSHED_FIRST = 1 /* all else was durable before this record was written */
};

struct store_record_sector { /* of extents */
    struct store_stamp stamp;
    struct store_extent extent[STORE_EXTENTS_PER_SECTOR];
};

/*
 * A generation. In slot `generation mod ring_slots` of the ring. A tombstone says "no record of
 * this number or a smaller one belongs here"; it has number 0 when nothing was ever here, and
 * nothing but kind, number, version and UUID filled in.
 */
struct store_record {
    /* sector 0 */
    struct store_stamp stamp;
    uint32_t kind;
    uint32_t flags;
    uint32_t record_version;
    uint32_t tree_height;
    uint8_t uuid[16];
    uint64_t parent;
    struct store_sum parent_sum; /* of the parent's record */
    uint64_t incarnation;
    int64_t time_ns;
    uint64_t pause_ns;
    uint64_t heap_pages;
    uint64_t live_pages;
    uint64_t root_block; /* 0: the memory is all holes */
    struct store_sum root_sum;
    struct store_sum
        memory_sum; /* of the content: sum of the sums of all pages that are not holes */
    uint64_t pages_written;
    uint64_t blocks_written; /* pages, nodes and delta run */
    uint64_t blocks_used;    /* in the data area, with this generation and all it retains */
    uint32_t heap_layout;
    uint32_t native_classes;
    uint64_t catalog_block; /* root of the catalog; 0: it is empty */
    struct store_sum catalog_sum;
    uint64_t delta_bytes; /* of all the delta runs of this generation, its own included */
    uint32_t extent_count;
    uint32_t zero0;
    struct store_sum sum;
    struct store_delta_ref delta; /* the newest delta run; it names the older ones */
    uint64_t high_water;          /* no retained generation has a block from here on; 0: not said */
    uint8_t zero1[STORE_SECTOR_SIZE - 288];
    /* sector 1 */
    struct store_stamp stamp1;
    uint64_t retained[STORE_RING_SLOTS / 64]; /* bit s: the record in slot s is still retained */
    uint8_t zero2[STORE_SECTOR_SIZE - 48];
    /* sectors 2 to 7; used only if not FLUSHED_FIRST */
    struct store_record_sector extents[STORE_EXTENT_SECTORS];
};

/*
 * A node of the page map. Level 0 points to pages, level n to nodes of level n-1; node `index` of
 * level n covers the pages [index << 7(n+1), (index+1) << 7(n+1)). An entry is a hole when its
 * block is 0; its sum is then 0 as well. A node without any entry is never written: its parent has
 * a hole.
 */
struct store_node {
    uint64_t magic;
    uint32_t level;
    uint32_t used; /* entries that are not holes */
    uint64_t index;
    uint64_t generation; /* that wrote it */
    uint8_t zero[STORE_BLOCK_SIZE - 32 - STORE_FANOUT * 24];
    uint64_t block[STORE_FANOUT];
    struct store_sum sum[STORE_FANOUT];
};

/*
 * A delta run: what changed in the map since the last checkpoint (the map's nodes), or since the
 * run before it. In consecutive blocks:
 *
 *     head | refs of the older runs of the chain, oldest first | zeros to a multiple of 32 |
 *     entries, ascending by page | zeros
 *
 * To find a page: the newest run that has it, else the map. An entry with block 0 is a hole.
 */
struct store_delta_head {
    uint64_t magic;
    uint64_t generation;
    uint32_t entries;
    uint32_t blocks;
    uint32_t older; /* refs that follow */
    uint32_t zero0;
    uint64_t root_block; /* the map below: as in the record */
    struct store_sum root_sum;
    uint64_t zero1;
};

struct store_delta_entry {
    uint64_t page;
    uint64_t block;
    struct store_sum sum;
};

/*
 * A pack: pages that were compressed, in consecutive blocks. Behind the head follow, without gaps,
 * the compressed pages in the order of their slots, then zeros. Each is an LZ4 block that becomes
 * 4096 bytes; the pages of the slots before it, in their order, are its dictionary. In an encrypted
 * store all behind the sum is encrypted.
 */
struct store_pack_head {
    uint64_t magic;
    struct store_sum sum; /* over all blocks, itself as zeros, keyed by the first block's number */
    uint32_t blocks;
    uint32_t slots;
    uint16_t length[STORE_PACK_SLOTS]; /* of each compressed page, in bytes; 0 beyond `slots` */
};

/** Where the entries begin, in bytes, and how many blocks a run takes. */
static inline uint64_t store_delta_offset(uint32_t older)
{
    return (sizeof(struct store_delta_head) + older * sizeof(struct store_delta_ref) + 31) / 32 *
           32;
}
static inline uint64_t store_delta_blocks(uint32_t older, uint64_t entries)
{
    return (store_delta_offset(older) + entries * sizeof(struct store_delta_entry) +
            STORE_BLOCK_SIZE - 1) /
           STORE_BLOCK_SIZE;
}

/*
 * The catalog: generations that are retained although their records have left the ring, and tags.
 * A table of slots that never move; 15 slots are a leaf, up to 128 leaves hang below a node, the
 * nodes below the root. The record names the root. Copy on write, like the page map: a change
 * writes the leaves it touches, their nodes and the root.
 */
enum {
    STORE_CATALOG_GENERATIONS = 16384, /* most */
    STORE_CATALOG_TAGS = 1024,         /* most */
    STORE_CATALOG_LEAF_SLOTS = 15,
    STORE_CATALOG_FANOUT = 128,
    STORE_CATALOG_SLOTS = 17415, /* enough for both, whole leaves */
    STORE_CATALOG_LEAVES = STORE_CATALOG_SLOTS / STORE_CATALOG_LEAF_SLOTS,
    STORE_CATALOG_NODES = (STORE_CATALOG_LEAVES + STORE_CATALOG_FANOUT - 1) / STORE_CATALOG_FANOUT,
    STORE_CATALOG_LEVEL_LEAF = 0, /* also what is added to STORE_SUM_CATALOG */
    STORE_CATALOG_LEVEL_NODE = 1,
    STORE_CATALOG_LEVEL_ROOT = 2,
};

#define STORE_CATALOG_LEAF_MAGIC UINT64_C(0x314c5441434e4850) /* "PHNCATL1" */
#define STORE_CATALOG_NODE_MAGIC UINT64_C(0x314e5441434e4850) /* "PHNCATN1" */

enum store_catalog_kind {
    STORE_CATALOG_FREE = 0, /* all of the slot is zero */
    STORE_CATALOG_GENERATION = 1,
    STORE_CATALOG_TAG = 2
};

/* What the generation's record said. */
struct store_catalog_generation {
    uint64_t parent;
    uint64_t incarnation;
    int64_t time_ns;
    uint64_t pause_ns;
    uint64_t heap_pages;
    uint64_t live_pages;
    uint64_t root_block;
    struct store_sum root_sum;
    struct store_sum memory_sum;
    struct store_sum record_sum;
    uint64_t pages_written;
    uint64_t blocks_written;
    uint32_t heap_layout;
    uint32_t native_classes;
    struct store_delta_ref delta;
};

struct store_catalog_slot {
    uint32_t kind;
    uint32_t flags; /* 0 */
    uint64_t generation;
    union {
        struct store_catalog_generation entry;
        char name[64]; /* of a tag, with zeros behind */
        uint8_t whole[240];
    } u;
};

struct store_catalog_leaf {
    uint64_t magic;
    uint32_t level;
    uint32_t used; /* slots that are not free */
    uint64_t index;
    uint64_t generation; /* that wrote it */
    uint8_t zero[256 - 32];
    struct store_catalog_slot slot[STORE_CATALOG_LEAF_SLOTS];
};

struct store_catalog_node {
    uint64_t magic;
    uint32_t level;
    uint32_t used; /* entries whose block is not 0 */
    uint64_t index;
    uint64_t generation;
    uint8_t zero[STORE_BLOCK_SIZE - 32 - STORE_CATALOG_FANOUT * 24];
    uint64_t block[STORE_CATALOG_FANOUT]; /* 0: nothing below */
    struct store_sum sum[STORE_CATALOG_FANOUT];
};

/** The i-th extent of a record. */
static inline const struct store_extent *store_record_extent(const struct store_record *record,
                                                             uint32_t i)
{
    return &record->extents[i / STORE_EXTENTS_PER_SECTOR].extent[i % STORE_EXTENTS_PER_SECTOR];
}

_Static_assert(sizeof(struct store_superblock) == STORE_BLOCK_SIZE, "superblock is one block");
_Static_assert(offsetof(struct store_superblock, sum) == 120, "superblock layout");
_Static_assert(offsetof(struct store_superblock, key_check) == 136,
               "superblock layout, keyed part");
_Static_assert(sizeof(struct store_seal) == STORE_BLOCK_SIZE, "seal is one block");
_Static_assert(sizeof(struct store_wanted) == STORE_BLOCK_SIZE, "working set block");
_Static_assert(sizeof(struct store_record) == STORE_BLOCK_SIZE, "record is one block");
_Static_assert(offsetof(struct store_record, sum) == 224, "record layout, sector 0");
_Static_assert(offsetof(struct store_record, delta) == 240, "record layout, delta run");
_Static_assert(offsetof(struct store_record, high_water) == 280, "record layout, high water");
_Static_assert(offsetof(struct store_record, stamp1) == 512, "record layout, sector 1");
_Static_assert(offsetof(struct store_record, extents) == 1024, "record layout, sector 2");
_Static_assert(sizeof(struct store_record_sector) == STORE_SECTOR_SIZE, "a sector of extents");
_Static_assert(sizeof(struct store_pack_head) == 96, "pack head");
_Static_assert(sizeof(struct store_delta_ref) == 40, "delta ref");
_Static_assert(sizeof(struct store_delta_head) == 64, "delta head");
_Static_assert(sizeof(struct store_delta_entry) == 32, "delta entry");
_Static_assert(sizeof(struct store_node) == STORE_BLOCK_SIZE, "node is one block");
_Static_assert(offsetof(struct store_node, block) == 1024, "node layout: blocks");
_Static_assert(offsetof(struct store_node, sum) == 2048, "node layout: sums");
_Static_assert(sizeof(struct store_catalog_generation) == 168, "catalog layout: entry");
_Static_assert(sizeof(struct store_catalog_slot) == 256, "catalog layout: slot");
_Static_assert(sizeof(struct store_catalog_leaf) == STORE_BLOCK_SIZE, "catalog leaf is one block");
_Static_assert(sizeof(struct store_catalog_node) == STORE_BLOCK_SIZE, "catalog node is one block");
_Static_assert(offsetof(struct store_catalog_node, block) == 1024, "catalog layout: blocks");
_Static_assert(STORE_CATALOG_SLOTS >= STORE_CATALOG_GENERATIONS + STORE_CATALOG_TAGS &&
                   STORE_CATALOG_SLOTS % STORE_CATALOG_LEAF_SLOTS == 0,
               "catalog has room for all, in whole leaves");

#endif /* SNAP_STORE_FORMAT_H */
