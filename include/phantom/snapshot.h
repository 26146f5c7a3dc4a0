/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.h - look at a store without running it: its generations, their integrity, and what this
 * machine offers. Stability: see phantom.h.
 *
 * A store opened here is read-only: nothing is written to it, and a running writer is not
 * disturbed. The handle keeps a shared lock on the newest generation it saw, so that its pages
 * stay.
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
 *         PHANTOM_EINVALID (no path), or -errno
 * @threads any; one thread at a time per handle
 */
PHANTOM_API int phantom_store_open(const char *path, struct phantom_store **out,
                                   struct phantom_recovery *recovery, struct phantom_diag *diag);
PHANTOM_API void phantom_store_close(struct phantom_store *store);

struct phantom_store_info {
    char uuid[37];
    uint32_t format_version, heap_layout_version, native_class_version;
    uint64_t heap_base, heap_size;
    uint64_t file_bytes, data_bytes_used, data_bytes_free, metadata_bytes;
    uint64_t generations; /* retained */
    struct phantom_generation current;
};
PHANTOM_API void phantom_store_info(const struct phantom_store *store,
                                    struct phantom_store_info *out);

/** Call visit for each retained generation, oldest first; non-zero from visit stops and is
 * returned. */
PHANTOM_API int phantom_store_log(const struct phantom_store *store,
                                  int (*visit)(void *context,
                                               const struct phantom_generation *generation),
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

#ifdef __cplusplus
}
#endif
#endif /* PHANTOM_SNAPSHOT_H */
