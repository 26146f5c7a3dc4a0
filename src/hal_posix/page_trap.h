/* SPDX-License-Identifier: Apache-2.0
 *
 * page_trap.h - catching the first store into a page, in the storing thread: userfaultfd
 * write-protection with SIGBUS, or mprotect with SIGSEGV.
 */
#ifndef PAGE_TRAP_H
#define PAGE_TRAP_H

#include "snap_memory.h"
#include "trap_signals.h"

enum page_trap_kind { PAGE_TRAP_SIGBUS, PAGE_TRAP_MPROTECT };

/** Pages that mprotect opens together, normally. */
enum { PAGE_TRAP_BLOCK = 16 };

struct page_trap {
    struct trap_range range; /* first: the handler hands back its address */
    enum page_trap_kind kind;
    struct snap_page_guard guard;
    bool watching;
    bool forked;
    int userfaultfd;         /* sigbus; else -1 */
    _Atomic uint32_t opened; /* mprotect: blocks opened since the last protection */
    uint32_t most_opened;    /* mprotect: as many mappings as we allow ourselves, halved */
};

/** 0, or -errno: what the mechanism needs is not there. *step says in a word what was tried. */
int page_trap_open(struct page_trap *trap, enum page_trap_kind kind, void *base, uint64_t size,
                   const char **step);
void page_trap_close(struct page_trap *trap);
/** In a forked child: let go of the descriptor. */
void page_trap_in_child(struct page_trap *trap);

/** The members of snap_memory_ops. */
int page_trap_guard(struct page_trap *trap, const struct snap_page_guard *guard);
int page_trap_protect(struct page_trap *trap, uint64_t first, uint64_t count);

#endif /* PAGE_TRAP_H */
