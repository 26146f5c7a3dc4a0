/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_world.h - a small memory whose content is known: what the crash tests commit, and the
 * oracle that remembers what every generation held.
 *
 * A page's content is a function of one 64-bit word, its version; version 0 is a page of zeros
 * (a hole). So a whole generation is an array of words, kept outside the store.
 */
#ifndef CRASH_WORLD_H
#define CRASH_WORLD_H

#include "io_scratch.h"
#include "ph_rng.h"
#include "snap_store.h"

enum { CRASH_PAGES = 640 }; /* pages of the reserved range */

/** What one generation holds, and which pages its commit staged. */
struct crash_content {
    uint64_t version[CRASH_PAGES];
    bool staged[CRASH_PAGES];
    uint64_t heap_pages;
};

/** Contents by generation number; NULL: never attempted. Owns the contents. */
struct crash_oracle {
    struct crash_content **by_number;
    size_t capacity;
};

/** The key of every store that is made or opened here; NULL: they are not encrypted. Set once,
 * before the first. */
extern const struct snap_key *crash_key;
/** True: every store that is made here is compressed, and three pages of four have content that
 * can be. Set once, before the first. */
extern bool crash_compress;
/** A key for tests. */
extern const struct snap_key crash_test_key;

/** Every state opens a store: keep its buffers instead of asking the kernel for them each time. */
void crash_keep_memory(void);

void crash_page_fill(uint64_t version, void *page);
bool crash_page_is(uint64_t version, const void *page);

const struct crash_content *crash_oracle_get(const struct crash_oracle *oracle, uint64_t number);
/** Remember a copy of `content`; an older one of that number is replaced. */
void crash_oracle_put(struct crash_oracle *oracle, uint64_t number,
                      const struct crash_content *content);
/** Remember copies of all that `from` holds. */
void crash_oracle_copy(struct crash_oracle *to, const struct crash_oracle *from);
void crash_oracle_finish(struct crash_oracle *oracle);

/**
 * Does generation `number` of the store hold exactly `content`? 0 or -1 with a sentence in `why`.
 */
int crash_content_check(struct snap_store *store, uint64_t number,
                        const struct crash_content *content, char *why, size_t why_size);

/* ---- a session: a store that is open, and the memory above it ---------------------------------
 */

struct crash_session {
    struct snap_io *io;
    struct snap_io *record;      /* marks go there; NULL: none */
    struct crash_oracle *oracle; /* attempts go there; NULL: none */
    struct snap_store *store;
    struct snap_recovery recovery;
    struct crash_content now; /* memory content; staged[] = dirty since the last commit */
    uint64_t extra_reserve;   /* asked from the next commit, so that the file grows */
    uint32_t staging_pages;
    uint64_t commits, early_commits;    /* how many; and of those, before accounting was complete */
    uint64_t budget_bytes;              /* of retention, instead of the store's own; 0: that */
    uint32_t chain_runs, chain_entries; /* bounds of the chain of delta runs; 0: the store's own */
    char why[700];                      /* the sentence of the last failure */
};

/**
 * Write an empty store of a shape that wraps soon: the smallest record ring and segments. 0 or a
 * negative error with `why`.
 */
int crash_session_create(struct crash_session *session, uint64_t retain_bytes, struct ph_rng *rng);
/** Open; memory content stays as it is, the caller sets `now`. */
int crash_session_open(struct crash_session *session);
void crash_session_close(struct crash_session *session);
/** Set memory to a known content with nothing dirty; NULL: all zeros. */
void crash_session_load(struct crash_session *session, const struct crash_content *content);
/** New content for a page, marked dirty. Version 0: a hole. */
void crash_session_set(struct crash_session *session, uint64_t page, uint64_t version);
/** Commit what is dirty; writes the number, which the store must have predicted. */
int crash_session_commit(struct crash_session *session, uint64_t *number);
/**
 * Commit one page, then lose power with a sector of the record torn and nothing sealed. The store
 * is closed afterwards and memory is as it was before; the next open must say that the commit is
 * incomplete. `disk` is what the session's store lies on.
 */
int crash_session_torn_commit(struct crash_session *session, struct io_scratch *disk,
                              struct ph_rng *rng, uint64_t *number);
/** Stage, write and give up: nothing may have happened. */
int crash_session_abort(struct crash_session *session);

/* ---- operations of a workload -----------------------------------------------------------------
 */

enum crash_op {
    CRASH_OP_WRITE_FEW,
    CRASH_OP_WRITE_SOME,
    CRASH_OP_WRITE_MANY, /* more than SNAP_SMALL_COMMIT_PAGES: the large-commit road */
    CRASH_OP_REWRITE,    /* pages get the bytes they have */
    CRASH_OP_HOLES,
    CRASH_OP_COMMIT, /* what is dirty, perhaps nothing */
    CRASH_OP_REOPEN,
    CRASH_OP_GROW, /* heap and file */
    CRASH_OP_ABORT,
    CRASH_OP_TRIM,     /* a commit of what is committed already, that drops old generations */
    CRASH_OP_TAG,      /* a name for a retained generation, or one taken away; likewise a commit */
    CRASH_OP_ROLLBACK, /* to a retained generation; memory follows */
    CRASH_OP_COUNT
};

const char *crash_op_name(enum crash_op op);
/** 0 or a negative error with session->why. */
int crash_op_run(struct crash_session *session, enum crash_op op, struct ph_rng *rng);

#endif /* CRASH_WORLD_H */
