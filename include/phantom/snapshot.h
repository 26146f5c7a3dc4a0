/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.h - stores without running them: their generations, what differs between two, copies,
 * rescue, and what this machine offers. Stability: see phantom.h.
 *
 * A store opened here is read-only: nothing is written to it, and a running writer is not
 * disturbed. The handle keeps a shared lock on the newest generation it saw, so that its pages
 * stay. Functions that work on an older generation hold it while they do; a running writer may drop
 * one at any time before, which is PHANTOM_ENOTFOUND.
 *
 * Functions that change a store (tag, untag, rollback, compact) take its path: they need to be its
 * only writer, and say PHANTOM_EBUSY after a second if they are not. No world may have it open.
 */
#ifndef PHANTOM_SNAPSHOT_H
#define PHANTOM_SNAPSHOT_H

#include <phantom/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One committed state of a world. Sizes in bytes unless the name says pages (of 4096 bytes). */
struct phantom_generation {
    uint64_t number;
    uint64_t parent;        /* the generation it was made from */
    int64_t time_ns;        /* wall clock at the cut, nanoseconds since 1970 */
    uint64_t pause_ns;      /* how long the world stood still for it */
    uint64_t heap_pages;    /* range in use */
    uint64_t live_pages;    /* of those, not all zero */
    uint64_t pages_written; /* data pages this generation added */
    uint64_t bytes_written; /* all it added, metadata included */
    uint8_t hash[16];       /* of the whole memory: equal hash, equal memory */
    bool sealed;            /* known to be complete without looking at its pages */
};

struct phantom_store;

/** phantom_store_info.heap_layout_version: who understands what is in the memory. */
enum {
    PHANTOM_LAYOUT_WORLD = 1,         /* a world: runtime.h */
    PHANTOM_LAYOUT_SPACE = 0x43000001 /* the heap of a C program: space.h */
};

/** What opening found besides the generation it chose. */
struct phantom_recovery {
    uint64_t opened;     /* generation that counts as current */
    uint64_t incomplete; /* a newer one that a crash left unfinished; 0: none */
    uint32_t torn_records;
};

/**
 * Open a store for reading.
 * @param[out] out       closed by phantom_store_close()
 * @param[out] recovery  may be NULL
 * @param diag           may be NULL; on failure names file, place and cause
 * @return 0, PHANTOM_ENOTFOUND, PHANTOM_EFORMAT, PHANTOM_EVERSION, PHANTOM_ECORRUPT,
 *         PHANTOM_EINVALID (no path), PHANTOM_EBUSY (a writer committed during each of 50 attempts
 *         to read what is retained: try again), or -errno
 * @threads any; one thread at a time per handle
 */
PHANTOM_API int phantom_store_open(const char *path, struct phantom_store **out,
                                   struct phantom_recovery *recovery, struct phantom_diag *diag);
PHANTOM_API void phantom_store_close(struct phantom_store *store);

/** The key of an encrypted store: 32 bytes that nobody else knows. Copied where it is kept. */
struct phantom_key {
    const void *bytes;
    size_t size; /* 32 */
};
/**
 * The functions of this header that take a path, for an encrypted store. A key of NULL means that
 * the store is not encrypted; a store that is not is refused with a key, so that nobody can have a
 * host read a store in plain that it takes for its own. Copies and clones have the key of the store
 * they are made from.
 * @return also PHANTOM_EKEY: the key is missing, is another store's, or the store is not encrypted;
 *         PHANTOM_EINVALID: it has not 32 bytes; PHANTOM_EUNSUPPORTED: this library was built
 *         without libsodium
 */
PHANTOM_API int phantom_store_open_keyed(const char *path, const struct phantom_key *key,
                                         struct phantom_store **out,
                                         struct phantom_recovery *recovery,
                                         struct phantom_diag *diag);

struct phantom_store_info {
    char uuid[37];
    uint32_t format_version, heap_layout_version, native_class_version;
    uint64_t heap_base, heap_size;
    uint64_t file_bytes, data_bytes_used, data_bytes_free, metadata_bytes;
    uint64_t generations; /* retained */
    struct phantom_generation current;
    bool encrypted;
    bool compressed;
    uint64_t unreadable; /* retained, and not among `generations`: see phantom_store_lost() */
};
PHANTOM_API void phantom_store_info(const struct phantom_store *store,
                                    struct phantom_store_info *out);

/** Call visit for each retained generation, oldest first; non-zero from visit stops and is
 * returned. */
PHANTOM_API int phantom_store_log(const struct phantom_store *store,
                                  int (*visit)(void *context,
                                               const struct phantom_generation *generation),
                                  void *context);

/** Retained generations that phantom_store_log() cannot show, because the record of one is damaged,
 *  or the catalog that lists the older ones. */
struct phantom_lost {
    uint64_t generation; /* 0: its record does not say any more, or it is the catalog */
    uint64_t block;      /* that is damaged, of 4096 bytes in the file; PHANTOM_NO_BLOCK: the
                            catalog, it may have listed any number of generations */
    const char *text;    /* a sentence; until the call returns */
};
/**
 * Call visit for each; non-zero from visit stops and is returned. Damage elsewhere is found by
 * phantom_store_examine() only.
 * @return 0 or -ENOMEM
 */
PHANTOM_API int phantom_store_lost(const struct phantom_store *store,
                                   int (*visit)(void *context, const struct phantom_lost *lost),
                                   void *context);

struct phantom_verify_report {
    uint64_t generations, pages, nodes, damaged;
};
/**
 * Check every checksum of the current generation, or of all retained ones. Beside a running writer
 * check the current one only: the handle holds nothing else, older ones may be dropped and their
 * pages used again meanwhile, which looks like damage.
 * @param damage  called for each finding with a sentence that names page and generation; may be
 * NULL
 * @return 0 nothing damaged, PHANTOM_ECORRUPT, or an I/O error
 */
PHANTOM_API int phantom_store_verify(struct phantom_store *store, bool all_generations,
                                     struct phantom_verify_report *report,
                                     void (*damage)(void *context, const char *what), void *context,
                                     struct phantom_diag *diag);

/** What verifying found. */
enum phantom_finding_kind {
    PHANTOM_FINDING_SUPERBLOCK = 1,
    PHANTOM_FINDING_RECORD = 2,  /* of a commit */
    PHANTOM_FINDING_CATALOG = 3, /* of generations */
    PHANTOM_FINDING_RUNS = 4,    /* delta runs: no page of the generation is known */
    PHANTOM_FINDING_NODE = 5,    /* of the map: the pages below it are not known */
    PHANTOM_FINDING_PAGE = 6,
    PHANTOM_FINDING_TOTALS = 7 /* every part is good, together they are not what the record says */
};
#define PHANTOM_NO_BLOCK UINT64_MAX
struct phantom_finding {
    enum phantom_finding_kind kind;
    uint64_t generation; /* in which it was found first (the newest is looked at first); 0: it
                            belongs to no single one */
    uint64_t first_page, page_count; /* that cannot be read because of it; count 0: none */
    uint64_t block;                  /* of 4096 bytes in the file, or PHANTOM_NO_BLOCK */
    const char *text;                /* as phantom_store_verify() says it; until the call returns */
};

/** Zero is the default of each member but size. */
struct phantom_verify_options {
    size_t size;          /* sizeof(struct phantom_verify_options) */
    bool all_generations; /* not only the current one */
    /** For each finding. NULL: none is told. */
    void (*finding)(void *context, const struct phantom_finding *finding);
    void *context;
    const struct phantom_progress *progress; /* defined below */
};
/**
 * As phantom_store_verify(), with findings that say where they are, and with progress.
 * @param options  NULL: the current generation, silently
 * @param[out] report  NULL allowed
 * @return as phantom_store_verify(); -ECANCELED: the report is about what was checked until then
 */
PHANTOM_API int phantom_store_examine(struct phantom_store *store,
                                      const struct phantom_verify_options *options,
                                      struct phantom_verify_report *report,
                                      struct phantom_diag *diag);

/* ---- generations and tags ------------------------------------------------------------------- */

/** A name for a generation: 1 to 63 of [A-Za-z0-9._-]. A tagged generation is not dropped. */
struct phantom_tag {
    char name[64];
    uint64_t generation;
};
/** Call visit for each tag, by name; non-zero from visit stops and is returned. */
PHANTOM_API int phantom_store_tags(const struct phantom_store *store,
                                   int (*visit)(void *context, const struct phantom_tag *tag),
                                   void *context);

/**
 * The generation that a person means: a tag, a number, or "newest".
 * @param[out] generation  number of a retained generation
 * @return 0, PHANTOM_ENOTFOUND, -ENOMEM
 */
PHANTOM_API int phantom_store_find(const struct phantom_store *store, const char *name,
                                   uint64_t *generation, struct phantom_diag *diag);

/**
 * Name a retained generation; it stays until the name is taken away. Durable when 0 is returned.
 * @param name  not "newest" and not digits only, which phantom_store_find() takes for a number
 * @return 0; -EEXIST the name is in use; PHANTOM_EINVALID not a name, or too many tags;
 *         PHANTOM_ENOTFOUND no such generation; PHANTOM_EBUSY; errors of phantom_store_open()
 * @threads any
 */
PHANTOM_API int phantom_store_tag(const char *path, uint64_t generation, const char *name,
                                  struct phantom_diag *diag);
/** Take a name away. PHANTOM_ENOTFOUND: no such name. */
PHANTOM_API int phantom_store_untag(const char *path, const char *name, struct phantom_diag *diag);
/** For an encrypted store: phantom_store_open_keyed(). */
PHANTOM_API int phantom_store_tag_keyed(const char *path, const struct phantom_key *key,
                                        uint64_t generation, const char *name,
                                        struct phantom_diag *diag);
PHANTOM_API int phantom_store_untag_keyed(const char *path, const struct phantom_key *key,
                                          const char *name, struct phantom_diag *diag);

struct phantom_rollback {
    struct phantom_generation made; /* the new newest one; equal memory to the one asked for */
    uint64_t undo;                  /* roll back to this to undo it */
    char undo_tag[64];              /* the tag that keeps it */
};
/**
 * Make a retained generation the newest one, as a new generation with its content. Nothing is lost:
 * the generation that was the newest is kept under a tag.
 * @return as phantom_store_tag(); PHANTOM_ECORRUPT: the generation fails its sums
 */
PHANTOM_API int phantom_store_rollback(const char *path, uint64_t generation,
                                       struct phantom_rollback *out, struct phantom_diag *diag);
/** For an encrypted store: phantom_store_open_keyed(). */
PHANTOM_API int phantom_store_rollback_keyed(const char *path, const struct phantom_key *key,
                                             uint64_t generation, struct phantom_rollback *out,
                                             struct phantom_diag *diag);

/* ---- differences ---------------------------------------------------------------------------- */

enum phantom_change { PHANTOM_ADDED = 1, PHANTOM_REMOVED = 2, PHANTOM_CHANGED = 3 };

/** Neighbouring pages that changed in the same way. Page n is at byte 4096 * n of the heap. */
struct phantom_page_range {
    uint64_t first, count;
    enum phantom_change change; /* ADDED: was all zero before; REMOVED: is all zero now */
};
/**
 * Call visit for each range of pages that differs between two retained generations, ascending.
 * Costs as much as differs, not as much as there is. Non-zero from visit stops and is returned.
 * visit must not use this store.
 * @return 0, PHANTOM_ENOTFOUND, PHANTOM_ECORRUPT, -ENOMEM, -errno
 */
PHANTOM_API int phantom_store_diff(struct phantom_store *store, uint64_t from, uint64_t to,
                                   int (*visit)(void *context,
                                                const struct phantom_page_range *range),
                                   void *context, struct phantom_diag *diag);

/** An object of a world's program that differs between two generations. */
struct phantom_object_change {
    enum phantom_change change; /* ADDED: created; REMOVED: freed; CHANGED: other bytes */
    uint64_t address;
    uint64_t bytes;         /* of its data, in `to`; of a freed one in `from` */
    const char *class_name; /* until the call returns; what cannot be printed is '?'. Of a class
                               that has no name that can be read: "(class 0x...)" */
};
/**
 * Call visit for each object that differs between two retained generations of a world, by ascending
 * address. Non-zero from visit stops and is returned. visit must not use this store.
 *
 * An object is where it is: one that was freed and its place given to another of the same class and
 * size shows as changed; of another class or size, as freed and created. "Created" and "freed" mean
 * allocated, or no more, in the heap: an object nobody refers to counts until it is collected.
 * Reads the pages that differ and the heap's tables; nothing that is read is believed.
 * @return 0; PHANTOM_EUNSUPPORTED not a world but the space of a C program, whose memory has no
 *         classes; PHANTOM_EVERSION a heap of another version; PHANTOM_ENOTFOUND,
 *         PHANTOM_ECORRUPT (also: tables or objects that cannot be), -ENOMEM, -errno
 */
PHANTOM_API int phantom_store_diff_objects(struct phantom_store *store, uint64_t from, uint64_t to,
                                           int (*visit)(void *context,
                                                        const struct phantom_object_change *object),
                                           void *context, struct phantom_diag *diag);

/**
 * Read one page (4096 bytes) of a retained generation; its sum is checked on the way.
 * @return 1; 0: all zero; PHANTOM_ENOTFOUND, PHANTOM_EINVALID (no such page), PHANTOM_ECORRUPT,
 *         -ENOMEM, -errno
 */
PHANTOM_API int phantom_store_read_page(struct phantom_store *store, uint64_t generation,
                                        uint64_t page, void *buffer, struct phantom_diag *diag);

/* ---- copies --------------------------------------------------------------------------------- */

/** How a long call tells how far it is. NULL or step NULL: it does not. */
struct phantom_progress {
    size_t size; /* sizeof(struct phantom_progress) */
    void *context;
    /** Called now and then, in the calling thread. Anything but 0: stop; the call cleans up and
     * returns -ECANCELED. `total` is an estimate. */
    int (*step)(void *context, uint64_t pages_done, uint64_t pages_total);
};

enum phantom_transfer_flags {
    /* A file of that name is replaced; else it is -EEXIST. One that somebody has open as a store,
     * in this process or another, writing or reading, is not: PHANTOM_EBUSY, after a second */
    PHANTOM_REPLACE = 1,
    PHANTOM_PARTIAL = 2, /* salvage: if nothing is whole, rescue with holes */
    /* copy, clone, compact: whether the new store is compressed; default: as the old one is */
    PHANTOM_COMPRESS_LZ4 = 4,
    PHANTOM_COMPRESS_NONE = 8
};

struct phantom_copied {
    uint64_t generation;  /* newest in the new store */
    uint64_t generations; /* in it */
    uint64_t pages;
    uint64_t file_bytes;
    char uuid[37];
};

/**
 * Write a store with one generation of this one: same identity (UUID), same number, time and hash.
 * May run beside a writer, and shows one consistent moment. The file appears under its name only
 * when it is complete and durable; after an error nothing of it is left.
 * @param generation  0: the one this handle shows as current
 * @param out         NULL allowed
 * @return 0; -EEXIST; PHANTOM_EBUSY (PHANTOM_REPLACE says when); PHANTOM_EINVALID (the path is this
 *         store's own); PHANTOM_ENOTFOUND (no such generation or directory), PHANTOM_ECORRUPT,
 *         PHANTOM_ENOSPACE, -ECANCELED, -ENOMEM, -errno
 */
PHANTOM_API int phantom_store_copy(struct phantom_store *store, uint64_t generation,
                                   const char *path, unsigned flags,
                                   const struct phantom_progress *progress,
                                   struct phantom_copied *out, struct phantom_diag *diag);
/**
 * The same as a stream of bytes, for a pipe. It is made in a temporary file first.
 * @param directory  for the temporary file; NULL: /var/tmp
 * @param write      takes all the bytes and returns 0, or a negative error that is then returned
 */
PHANTOM_API int
phantom_store_copy_stream(struct phantom_store *store, uint64_t generation, const char *directory,
                          int (*write)(void *context, const void *bytes, size_t size),
                          void *context, const struct phantom_progress *progress,
                          struct phantom_copied *out, struct phantom_diag *diag);
/**
 * As phantom_store_copy(), but with an identity of its own: a new UUID, with which all sums are
 * computed anew, so that no block of one store is ever taken for one of the other. The heap's base
 * address stays, since references are addresses: store and clone cannot be open at the same time in
 * one process.
 */
PHANTOM_API int phantom_store_clone(struct phantom_store *store, uint64_t generation,
                                    const char *path, unsigned flags,
                                    const struct phantom_progress *progress,
                                    struct phantom_copied *out, struct phantom_diag *diag);

struct phantom_salvage_report {
    uint64_t generation;    /* rescued; 0: none */
    uint64_t newest_seen;   /* highest number among the records that can be read */
    uint64_t records_found; /* commit records that can be read */
    uint64_t records_bad;   /* slots of the ring that cannot */
    uint64_t pages;         /* rescued */
    uint64_t pages_lost;    /* replaced by holes; only with PHANTOM_PARTIAL */
    uint64_t file_bytes;    /* of the new store */
};
/**
 * Rescue from a damaged store, which is only read, into a new one: the newest generation that can
 * be read completely. With PHANTOM_PARTIAL, if there is none: the newest that can be read at all,
 * with holes where it cannot; that memory was never there, so its program may fail in any way.
 * @param lost  called for each range of pages lost, with the reason; NULL allowed
 * @return 0; PHANTOM_ECORRUPT nothing could be rescued, or neither superblock can be read;
 *         PHANTOM_ENOTFOUND no such file; PHANTOM_EFORMAT, PHANTOM_EVERSION; as
 *         phantom_store_copy()
 * @threads any
 */
PHANTOM_API int phantom_store_salvage(const char *path, const char *new_path, unsigned flags,
                                      void (*lost)(void *context, uint64_t first_page,
                                                   uint64_t count, const char *why),
                                      void *context, const struct phantom_progress *progress,
                                      struct phantom_salvage_report *report,
                                      struct phantom_diag *diag);
/** For an encrypted store: phantom_store_open_keyed(). The new store has the same key. */
PHANTOM_API int phantom_store_salvage_keyed(
    const char *path, const struct phantom_key *key, const char *new_path, unsigned flags,
    void (*lost)(void *context, uint64_t first_page, uint64_t count, const char *why),
    void *context, const struct phantom_progress *progress, struct phantom_salvage_report *report,
    struct phantom_diag *diag);

struct phantom_compacted {
    uint64_t bytes_before, bytes_after;
    uint64_t generations_before, generations_after;
    uint64_t tags;
};
/**
 * Rewrite a store in as few bytes as it takes, with all generations it retains and their tags. The
 * old file is replaced in one step when the new one is complete and durable: after a crash at any
 * time there is the one or the other. Needs room for both.
 * @return 0; PHANTOM_EBUSY, PHANTOM_ENOSPACE, PHANTOM_ECORRUPT, -ECANCELED and so on: the store is
 *         as it was
 * @threads any
 */
PHANTOM_API int phantom_store_compact(const char *path, const struct phantom_progress *progress,
                                      struct phantom_compacted *out, struct phantom_diag *diag);
/** For an encrypted store: phantom_store_open_keyed(). */
PHANTOM_API int phantom_store_compact_keyed(const char *path, const struct phantom_key *key,
                                            const struct phantom_progress *progress,
                                            struct phantom_compacted *out,
                                            struct phantom_diag *diag);
/** The same with flags: PHANTOM_COMPRESS_LZ4 or PHANTOM_COMPRESS_NONE, for all that it retains. */
PHANTOM_API int phantom_store_compact_flags(const char *path, const struct phantom_key *key,
                                            unsigned flags, const struct phantom_progress *progress,
                                            struct phantom_compacted *out,
                                            struct phantom_diag *diag);

/**
 * What a store says about itself, in the text format that Prometheus reads; the label `store` is
 * its path.
 * @param recovery  what opening found; NULL: leave it out
 * @param now_ns    wall clock, for the age of the newest generation
 * @param text      NULL allowed when size is 0
 * @return bytes of the text without its terminator, also when they did not fit into `size`; or
 *         -ENOMEM
 */
PHANTOM_API int phantom_store_prometheus(const struct phantom_store *store,
                                         const struct phantom_recovery *recovery, int64_t now_ns,
                                         char *text, size_t size, struct phantom_diag *diag);

/** One thing the library would like from the machine. */
struct phantom_probe_item {
    const char *name;
    bool works;
    const char *detail; /* a sentence: why not, or what exactly */
};
/**
 * Ask the kernel, the file system of `directory` (NULL: do not) and this container what they allow.
 * Changes nothing. Calls visit for each item. @threads any
 */
PHANTOM_API void phantom_probe(const char *directory,
                               void (*visit)(void *context, const struct phantom_probe_item *item),
                               void *context);

/** One way of taking snapshots: how changed pages are found and kept while they are written. */
struct phantom_strategy {
    const char *name;    /* as in phantom_options.strategy */
    const char *needs;   /* what it asks of machine and host, in a few words */
    const char *why_not; /* NULL: usable here; else the reason, as the end of a sentence */
    bool chosen;         /* what is taken when the host asks for none */
    bool on_request;     /* usable, but never taken unless the host asks for it by name */
};
/** Whose memory is to be saved: strategies differ in what they ask of who stores into it. */
enum phantom_probed_for {
    PHANTOM_FOR_SPACES,        /* C spaces that say nothing of their stores */
    PHANTOM_FOR_MARKED_SPACES, /* with phantom_space_options.all_stores_announced */
    PHANTOM_FOR_WORLDS         /* Phantom programs: the machine tells of its stores when asked */
};
/**
 * The ladder of strategies on this machine, the one to be preferred first.
 * @threads any
 */
PHANTOM_API void phantom_probe_strategies(enum phantom_probed_for kind,
                                          void (*visit)(void *context,
                                                        const struct phantom_strategy *strategy),
                                          void *context);

#ifdef __cplusplus
}
#endif
#endif /* PHANTOM_SNAPSHOT_H */
