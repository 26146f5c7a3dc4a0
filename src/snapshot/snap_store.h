/* SPDX-License-Identifier: Apache-2.0
 *
 * snap_store.h - the store: generations of a paged memory in one file (docs/formats/store.md).
 *
 * The store knows pages, never objects. A generation is a root: a commit record that names a page
 * map, a radix tree of copy-on-write nodes with the 128-bit sum of every child, so that a valid
 * record vouches for every byte below it. Nothing reachable from a durable record that may still be
 * opened is ever overwritten.
 *
 * Life of a commit (struct snap_txn):
 *     begin -> reserve(pages) -> { stage -> (caller copies a page) } ... write ... -> commit |
 * abort Order that holds inside: a page's copy < its sum < its write completion < flush completion
 * < publish. One flush for a small commit (the record goes out with the data and open verifies
 * those pages), data flushed first for a larger one (and the record says so).
 *
 * Errors: reserve() may refuse with PHANTOM_ENOSPACE and nothing has happened. Any failed write or
 * flush poisons the store: every later call that writes returns PHANTOM_EPOISONED. A failed read, a
 * refused allocation of file space or no memory does not: the transaction fails, the current
 * generation stands, and the next transaction may succeed.
 *
 * Numbers of generations grow and may have gaps: a number that was ever written anywhere, even
 * torn, is not used again, and one whose ring slot holds a retained generation is skipped.
 *
 * Threads: one thread at a time per store, except snap_store_info() and snap_store_read_page() on
 * handles of their own.
 */
#ifndef SNAP_STORE_H
#define SNAP_STORE_H

#include "ph_error.h"
#include "snap_io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SNAP_PAGE_SIZE = 4096, SNAP_SMALL_COMMIT_PAGES = 256 };
#ifdef PH_POINTS /* of a staging area */
enum { SNAP_STAGING_LEAST = 16 };
#else
enum { SNAP_STAGING_LEAST = SNAP_SMALL_COMMIT_PAGES };
#endif

struct snap_store;
struct snap_txn;

struct snap_sum { /* 128 bits over a page, its number and the store's UUID; see store_sum.h */
    uint64_t low, high;
};

/** The host's key of an encrypted store; bytes NULL: none. Copied where it is kept. */
enum { SNAP_KEY_SIZE = 32 };
struct snap_key {
    const void *bytes;
    size_t size; /* SNAP_KEY_SIZE */
};

/** What becomes of pages on their way into the store. */
enum snap_compression { SNAP_COMPRESSION_NONE, SNAP_COMPRESSION_LZ4 };
/** "lz4", or "none" or NULL. 0, or PHANTOM_EINVALID: the name is unknown. */
int snap_compression_named(const char *name, enum snap_compression *out, struct phantom_diag *diag);

/** Fixed at birth. */
struct snap_store_params {
    uint64_t heap_base; /* virtual address, page-aligned */
    uint64_t heap_size; /* bytes of the reserved range, a multiple of the page size */
    uint8_t uuid[16];
    uint64_t retain_bytes;  /* budget for retained generations; 0: max(2 x live, 1 GiB) */
    uint64_t segment_bytes; /* the file grows by this much; 0: 16 MiB. Least 64 KiB */
    uint32_t ring_slots;    /* commit records in the ring, 16..256, times 4; 0: 256 */
    enum snap_compression compression;
    struct snap_key key; /* encrypt with this; not in what snap_store_params() returns */
};

/** What the host says about the heap's content; stored in every commit record. */
struct snap_heap_version {
    uint32_t heap_layout;
    uint32_t native_classes;
};

struct snap_generation {
    uint64_t number;
    uint64_t parent;
    uint64_t heap_pages;    /* pages of the range in use at the cut */
    uint64_t live_pages;    /* of those, not holes */
    uint64_t pages_written; /* data pages this generation wrote */
    uint64_t bytes_written; /* everything this generation wrote, record included */
    int64_t time_ns;        /* wall clock at the cut */
    uint64_t pause_ns;      /* how long the world was stopped, as the engine reported it */
    uint64_t incarnation;   /* random number of the writer's opening */
    struct snap_sum
        root_sum; /* of the content: equal memory (in stores of one UUID) <=> equal sum */
    struct snap_sum record_sum;
    struct snap_heap_version version;
    bool sealed;
};

struct phantom_generation;
/** One of them as the public interface shows it; *to is written as a whole. */
void snap_generation_view(const struct snap_generation *from, struct phantom_generation *to);

/** What open found and did. */
struct snap_recovery {
    uint64_t opened;          /* generation that is now current; 0: the store is still empty */
    uint64_t incomplete;      /* newest generation whose own pages were missing, 0: none */
    uint32_t records_torn;    /* recognisable but invalid records */
    uint32_t records_retired; /* records overwritten so that they can never come back */
    bool superblock_mended;   /* one of the two copies was damaged; it is whole again, durably */
    uint64_t next_generation;
};

enum snap_open_flags { SNAP_OPEN_READ_ONLY = 1 };

/** Is this file a store? Reads the superblock or its copy. 1 yes, 0 no (also for an empty file), or
 * -errno. */
int snap_store_probe(struct snap_io *io);

/** Write an empty store into an empty file: superblocks, cleared record ring, first segment, flush.
 *  With a key also PHANTOM_EINVALID (its size) and PHANTOM_EUNSUPPORTED (no libsodium here). */
int snap_store_create(struct snap_io *io, const struct snap_store_params *params,
                      struct phantom_diag *diag);

/**
 * Open, recover (see docs/formats/store.md, "Recovery"), take the writer lock unless read-only.
 * A read-only open writes nothing and keeps a shared lock on the generation it shows; the older
 * ones that it lists may be dropped by a writer at any time and then fail their sums. Which blocks
 * are free is derived later: snap_store_account(). The store borrows
 * io: the caller closes it after snap_store_close().
 * @return 0; PHANTOM_EFORMAT, PHANTOM_EVERSION, PHANTOM_EBUSY, PHANTOM_ECORRUPT (sealed generation
 *         fails its sums; diag names block, page and generation), -EIO, -ENOMEM
 */
int snap_store_open(struct snap_io *io, unsigned flags, struct snap_store **out,
                    struct snap_recovery *recovery, struct phantom_diag *diag);

/**
 * As snap_store_open() with the key of an encrypted store. A store that is not encrypted is refused
 * if a key is given: else who can exchange the file could have it read in plain.
 * @param key  NULL, or its bytes NULL: none
 * @return also PHANTOM_EKEY: the key is not this store's, or is missing, or the store needs none;
 *         PHANTOM_EUNSUPPORTED: it is encrypted and this build has no libsodium
 */
int snap_store_open_keyed(struct snap_io *io, const struct snap_key *key, unsigned flags,
                          struct snap_store **out, struct snap_recovery *recovery,
                          struct phantom_diag *diag);

/** Seal if needed and possible, release locks, wipe the keys, free. NULL allowed. */
void snap_store_close(struct snap_store *store);

const struct snap_store_params *snap_store_params(const struct snap_store *store);
bool snap_store_is_encrypted(const struct snap_store *store);
/** The newest committed generation; number 0 when nothing was ever committed. */
const struct snap_generation *snap_store_current(const struct snap_store *store);
/** Retained generations, oldest first. Returns the count; fills at most `capacity`. */
size_t snap_store_list(const struct snap_store *store, struct snap_generation *out,
                       size_t capacity);

#define SNAP_NO_BLOCK UINT64_MAX

/** A retained generation that a handle cannot show. */
struct snap_lost {
    uint64_t generation; /* 0: what is left of its record does not say */
    uint64_t block;      /* of its record; SNAP_NO_BLOCK: the catalog is damaged, and with it all
                            generations that have no record in the ring are lost */
};
/** What a read-only opening had to leave out of snap_store_list(), by block. A writer does not open
 * such a store. Beside a running writer that committed meanwhile it may be none. Returns the count;
 * fills at most `capacity`. */
size_t snap_store_lost(const struct snap_store *store, struct snap_lost *out, size_t capacity);

struct snap_store_usage {
    uint64_t file_bytes, data_bytes_used, data_bytes_free, metadata_bytes;
    bool poisoned;
};
void snap_store_usage(const struct snap_store *store, struct snap_store_usage *out);

/**
 * Read one page of a retained generation and verify its sum on the way.
 * @return 1 page data in buffer; 0 the page is a hole (buffer zeroed); PHANTOM_ENOTFOUND no such
 *         generation; PHANTOM_ECORRUPT with diag naming generation, page, block, expected and
 * actual
 */
int snap_store_read_page(struct snap_store *store, uint64_t generation, uint64_t page, void *buffer,
                         struct phantom_diag *diag);

/**
 * Visit every non-hole page of a generation in ascending order with its verified content, reading
 * ahead with large requests. `visit` returns 0 to go on, anything else stops and is returned.
 */
typedef int (*snap_page_visitor)(void *context, uint64_t page, const void *data);
int snap_store_for_each_page(struct snap_store *store, uint64_t generation, snap_page_visitor visit,
                             void *context, struct phantom_diag *diag);

/* ---- from another thread ------------------------------------------------------------------- */

/**
 * The current generation of an open store for another thread, through a handle of its own on the
 * same file (read-only will do). Reads nothing. The generation stays retained until the view is
 * closed with snap_store_close(); the store may commit and close meanwhile. Borrows io.
 * @return 0, PHANTOM_ENOTFOUND nothing was ever committed, -ENOMEM, -errno of the lock
 */
int snap_store_open_view(struct snap_store *store, struct snap_io *io, struct snap_store **out,
                         struct phantom_diag *diag);

/** The first page at or after `from` that is not a hole: 1; 0 there is none; or an error. */
int snap_store_next_page(struct snap_store *store, uint64_t generation, uint64_t from,
                         uint64_t *page, struct phantom_diag *diag);

enum { SNAP_READ_PAGES = 256 };
/**
 * Read up to SNAP_READ_PAGES pages, neighbouring blocks in one request, and verify each.
 * @param buffer    aligned to 4096; page i of the list goes to its i-th 4096 bytes, zeros for a
 * hole
 * @param[out] data  data[i]: page i is not a hole
 * @return 0, or the errors of snap_store_read_page(): the buffer is then not to be used
 */
int snap_store_read_pages(struct snap_store *store, uint64_t generation, const uint64_t *pages,
                          unsigned count, void *buffer, bool *data, struct phantom_diag *diag);

/* ---- working set --------------------------------------------------------------------------- */

struct snap_wanted { /* pages [first, first + count) */
    uint64_t first;
    uint32_t count; /* 1..SNAP_WANTED_PAGES */
    uint8_t age;    /* the caller's: in how many openings nobody was seen to use it */
};
enum { SNAP_WANTED_MOST = 8 * 508, SNAP_WANTED_PAGES = 4096 };
/**
 * Replace the list of pages that the next opening should read first. Not flushed, not part of any
 * generation; a crash or damage may lose it or parts of it, which costs speed and nothing else. A
 * failed write does not poison the store. Not during a transaction. 0 or an error
 */
int snap_store_write_wanted(struct snap_store *store, const struct snap_wanted *wanted,
                            size_t count);
/** The list as far as it can be believed; each range lies in the heap. Returns its length. */
size_t snap_store_read_wanted(struct snap_store *store, struct snap_wanted *out, size_t capacity);

/* ---- checking ------------------------------------------------------------------------------ */

struct snap_verify_report {
    uint64_t generations, pages, nodes, damaged;
    uint64_t first_damaged_page;
    uint64_t first_damaged_generation;
};
/**
 * Check sums of everything reachable: superblocks, records, map nodes and pages of the current
 * generation, or of all retained ones when deep. Calls `damage` (may be NULL) for each bad page or
 * node with a sentence. @return 0 nothing damaged, PHANTOM_ECORRUPT, or an I/O error
 */
int snap_store_verify(struct snap_store *store, bool deep, struct snap_verify_report *report,
                      void (*damage)(void *context, const char *what), void *context,
                      struct phantom_diag *diag);
/** Free-space accounting against a full walk of all retained roots (promise P8). 0 or ECORRUPT. */
int snap_store_audit(struct snap_store *store, struct phantom_diag *diag);

/**
 * Go on deriving which blocks are free. A writable open does not: it reads the current generation's
 * record, runs and what it must verify. Commits are possible before, as long as there is room
 * behind what is in use and nothing is to be dropped; else snap_txn_begin(), or what asks for room,
 * does what is left. A host that has idle time calls this in pieces, also between commits.
 * @param budget  map nodes to visit; UINT64_MAX: all
 * @return 0 done (at once, if it was), 1 there is more; PHANTOM_ECORRUPT a node of a retained
 *         generation is damaged or a block has two owners: no commit is possible from now on,
 * reading is; -EIO, -ENOMEM: may be tried again
 */
int snap_store_account(struct snap_store *store, uint64_t budget, struct phantom_diag *diag);

/* ---- writing ------------------------------------------------------------------------------- */

/**
 * Where transactions of this capacity will stage: slots of one page are handed out from the
 * beginning of the area on; once all of them have been used, from anywhere. The area stays
 * until a transaction of another capacity begins or the store is closed. No transaction is open.
 * @return 0 or -ENOMEM
 */
int snap_store_staging(struct snap_store *store, uint32_t staging_pages, void **area, size_t *bytes,
                       struct phantom_diag *diag);

/** staging_pages: capacity of the staging area, bounded memory; at least SNAP_SMALL_COMMIT_PAGES.
 */
int snap_txn_begin(struct snap_store *store, uint32_t staging_pages, struct snap_txn **out,
                   struct phantom_diag *diag);
/**
 * Make sure that a commit of `pages` data pages (and its map nodes) has room, growing the file if
 * needed. May be called again with a larger number. @return 0 or PHANTOM_ENOSPACE,
 * PHANTOM_EPOISONED
 */
int snap_txn_reserve(struct snap_txn *txn, uint64_t pages, struct phantom_diag *diag);
/** The same for a commit that also makes `holes` pages holes: they need room in the map only. */
int snap_txn_reserve_holes(struct snap_txn *txn, uint64_t pages, uint64_t holes,
                           struct phantom_diag *diag);
/**
 * A 4096-byte slot for the new content of `page`. A page staged again in the same transaction is
 * superseded: only the last version counts. NULL when the staging area is full: call write().
 * Bounded time, no I/O, no allocation: may be called while the world is stopped.
 */
void *snap_txn_stage(struct snap_txn *txn, uint64_t page);
/** Nothing was staged, written or made a hole: a commit would repeat the current generation. */
bool snap_txn_is_empty(const struct snap_txn *txn);
/** The page becomes a hole (reads as zeros). A zero page that was staged becomes one by itself. */
int snap_txn_hole(struct snap_txn *txn, uint64_t page);
/** Sum and write out what is staged, in large requests; waits so that staging slots become free.
 * When the area was full it waits for half of it only: the other half is written while pages are
 * staged, and stage() says that the area is full after half of it. An error of such a write is
 * reported by the next call. */
int snap_txn_write(struct snap_txn *txn, struct phantom_diag *diag);
/** The next new page has no slot: write() is due. */
bool snap_txn_is_full(const struct snap_txn *txn);
/** Wait for all writes, so that all slots that hold no staged page are free: at most the capacity
 * can be staged. 0 or PHANTOM_EPOISONED */
int snap_txn_settle(struct snap_txn *txn, struct phantom_diag *diag);

struct snap_commit {
    uint64_t heap_pages;
    int64_t time_ns;
    uint64_t pause_ns;
    struct snap_heap_version version;
};
/**
 * Write the rest, the map nodes and the record; make all durable; publish; free the transaction.
 * A transaction that changed nothing still commits a generation.
 * @param[out] out  the new generation; durable when 0 is returned. NULL allowed
 * @return 0; PHANTOM_EPOISONED and the cause in diag: the generation may or may not be there after
 *         reopening; PHANTOM_ENOSPACE, PHANTOM_EBUSY (readers hold so many old generations that the
 *         ring is full), PHANTOM_ECORRUPT, -EIO (reading the map), -ENOMEM: no record was written,
 *         the store goes on. The transaction is gone in every case
 */
int snap_txn_commit(struct snap_txn *txn, const struct snap_commit *commit,
                    struct snap_generation *out, struct phantom_diag *diag);
/** Nothing happened, except that reserved space may stay with the file. NULL allowed. */
void snap_txn_abort(struct snap_txn *txn);

/**
 * The disk is full: give up history to make room. Commits a generation with the content of the
 * current one that retains only itself, its parent and what readers use; it needs no data block.
 * @return 1 something was given up, 0 there was nothing to give up, or an error of
 * snap_txn_commit()
 */
int snap_store_trim(struct snap_store *store, struct phantom_diag *diag);

/* ---- history ------------------------------------------------------------------------------- */

/** A name that pins a generation: retention never drops it. */
struct snap_tag {
    char name[64]; /* 1..63 bytes of [A-Za-z0-9._-] */
    uint64_t generation;
};

/**
 * Name a retained generation and so keep it until the name is taken away. Commits a generation with
 * the content of the current one; durable when 0 is returned. A generation may have several names.
 * @return 0; -EEXIST (the name is in use), PHANTOM_EINVALID (not a name, or too many tags),
 *         PHANTOM_ENOTFOUND (no such generation), or an error of snap_txn_commit()
 */
int snap_store_tag(struct snap_store *store, uint64_t generation, const char *name,
                   struct phantom_diag *diag);
/** Take a name away; the generation itself stays as long as retention likes. As snap_store_tag();
 *  PHANTOM_ENOTFOUND: no such name. */
int snap_store_untag(struct snap_store *store, const char *name, struct phantom_diag *diag);
/** All tags, by name. Returns the count; fills at most `capacity`. */
size_t snap_store_tags(const struct snap_store *store, struct snap_tag *out, size_t capacity);

/**
 * Commit a new generation whose memory is that of a retained one. No page is copied. The generation
 * that was current stays and is tagged "before-rollback-N", N being its number, so rolling back to
 * that undoes this. No engine may be open on the store meanwhile: its memory would not follow.
 * @param[out] out  the new generation; durable when 0 is returned. NULL allowed
 * @return 0; PHANTOM_ENOTFOUND (no such generation), PHANTOM_ECORRUPT (it fails its sums), or an
 *         error of snap_txn_commit(): nothing happened
 */
int snap_store_rollback(struct snap_store *store, uint64_t generation, struct snap_generation *out,
                        struct phantom_diag *diag);

/** What retention keeps. A member that is zero means its default, or what the others leave of it.
 */
struct snap_retention {
    uint64_t budget_bytes; /* for blocks that only history needs; default: what the store was made
                              with, or max(2 x live, 1 GiB) */
    uint32_t all_s;        /* so long everything is kept, most_per_second at most; 60 */
    uint32_t per_second_s; /* so long one generation a second is kept; 3600 */
    uint32_t per_minute_s; /* so long one a minute, after that one a day; 86400 */
    uint32_t most_per_second; /* 10; 1000000000: all */
};
/** For this handle, from its next commit on. 0, or PHANTOM_EINVALID: a longer time for a finer
 * step. */
int snap_store_set_retention(struct snap_store *store, const struct snap_retention *retention);

/** Write the seal of the current generation if it has none: not flushed. Call when idle (~10 ms).
 *  0, or PHANTOM_EPOISONED. */
int snap_store_seal(struct snap_store *store);

/* ---- memory back end (product code: used by tests, tools and in-memory worlds) -------------- */

struct snap_io *snap_io_memory_create(uint64_t size_limit);
/** Direct access for tests: the bytes of the "file" and their count. */
uint8_t *snap_io_memory_bytes(struct snap_io *io, uint64_t *size);
/** Replace the content (copied). 0 or -ENOMEM. */
int snap_io_memory_assign(struct snap_io *io, const void *bytes, uint64_t size);

#endif /* SNAP_STORE_H */
