/* SPDX-License-Identifier: Apache-2.0
 *
 * trap_signals.h - who gets a SIGBUS or a SIGSEGV: the range that its address lies in, or whoever
 * handled that signal before.
 */
#ifndef TRAP_SIGNALS_H
#define TRAP_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

struct trap_fault {
    uintptr_t address;
    int code;     /* si_code */
    bool store;   /* the instruction stores */
    bool present; /* the page was there, and protected */
};

struct trap_range {
    uintptr_t begin, end;
    /** Make the access possible and return true, or false: not ours after all. In the thread that
     *  faulted, inside the handler. */
    bool (*fault)(struct trap_range *range, const struct trap_fault *fault);
};

/**
 * From now on faults of this signal inside the range go to it. The first range of a signal installs
 * the handler, the last one takes it away; what it does not know it passes on.
 * @return 0, -ENOSPC too many ranges, or another -errno
 */
int trap_signals_watch(int signal, struct trap_range *range);
/** No longer. Nobody may be faulting in it. */
void trap_signals_forget(struct trap_range *range);

#endif /* TRAP_SIGNALS_H */
