/* SPDX-License-Identifier: Apache-2.0
 *
 * trap_signals.c - see trap_signals.h.
 *
 * Owns the handlers of SIGBUS and SIGSEGV, once somebody asked for them, what was installed before,
 * and the table of ranges. All of it is process-wide because signal handlers are; there is no way
 * to give one a context. The table is read by handlers without a lock: a row is filled in before it
 * is published and never changes but to empty.
 * Locks: table_lock for everybody but handlers; a leaf.
 *
 * A fault that is not ours is passed on: to the handler that was there before, by its address, or,
 * if there was none, to the default action: the handler is taken away and the instruction repeated,
 * so that the process ends with the right signal, at the right instruction, with a core of it. The
 * previous handler runs with our mask, not with its own sa_mask. A handler that somebody installs
 * later comes before ours and must pass on what it does not know; we never put ours back in front.
 * With the last range our handler goes, if it is still the one installed.
 */
#include "trap_signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { RANGES = 64, BUS = 0, SEGV = 1, SIGNALS = 2 };

enum { FAULT_PRESENT = 1, FAULT_STORE = 2 }; /* bits of the x86 page fault error code */

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct trap_range *) ranges[SIGNALS][RANGES];
static struct sigaction previous[SIGNALS];
static bool installed[SIGNALS];

static int index_of(int signal)
{
    return signal == SIGBUS ? BUS : SEGV;
}

static void take_default_action(int signal, const siginfo_t *info)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    (void)sigaction(signal, &action, NULL);
    if (info->si_code <= 0) { /* sent by somebody: nothing would be repeated */
        (void)syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), signal);
    }
}

static void pass_on(int signal, siginfo_t *info, void *context)
{
    const struct sigaction *before = &previous[index_of(signal)];
    if ((before->sa_flags & SA_SIGINFO) != 0) {
        before->sa_sigaction(signal, info, context);
    } else if (before->sa_handler == SIG_DFL ||
               (before->sa_handler == SIG_IGN && info->si_code > 0)) {
        take_default_action(signal, info); /* a fault cannot be ignored */
    } else if (before->sa_handler != SIG_IGN) {
        before->sa_handler(signal);
    }
}

static bool serve(int signal, const struct trap_fault *fault)
{
    for (int i = 0; i < RANGES; i++) {
        struct trap_range *range =
            atomic_load_explicit(&ranges[index_of(signal)][i], memory_order_acquire);
        if (range != NULL && fault->address >= range->begin && fault->address < range->end) {
            return range->fault(range, fault);
        }
    }
    return false;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    bool served = false;
    if (info->si_code > 0) { /* by the kernel, for an instruction of this thread */
        const ucontext_t *machine = context;
        unsigned long long error = (unsigned long long)machine->uc_mcontext.gregs[REG_ERR];
        struct trap_fault fault = {.address = (uintptr_t)info->si_addr,
                                   .code = info->si_code,
                                   .store = (error & FAULT_STORE) != 0,
                                   .present = (error & FAULT_PRESENT) != 0};
        served = serve(signal, &fault);
    }
    errno = saved;
    if (!served) {
        pass_on(signal, info, context);
    }
}

static int install(int signal)
{
    if (installed[index_of(signal)]) {
        return 0;
    }
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK; /* faults inside the handler stay fatal */
    (void)sigemptyset(&action.sa_mask);
    /* Asked first, so that the handler never runs without knowing whom to pass on to. */
    if (sigaction(signal, NULL, &previous[index_of(signal)]) != 0 ||
        sigaction(signal, &action, &previous[index_of(signal)]) != 0) {
        return -errno;
    }
    installed[index_of(signal)] = true;
    return 0;
}

/* The last range of the signal is gone: what was there before comes back, unless somebody has
 * installed a handler after us, who may know our address. */
static void uninstall(int signal)
{
    struct sigaction now;
    for (int i = 0; i < RANGES; i++) {
        if (atomic_load(&ranges[index_of(signal)][i]) != NULL) {
            return;
        }
    }
    if (installed[index_of(signal)] && sigaction(signal, NULL, &now) == 0 &&
        (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_signal) {
        (void)sigaction(signal, &previous[index_of(signal)], NULL);
        installed[index_of(signal)] = false;
    }
}

int trap_signals_watch(int signal, struct trap_range *range)
{
    (void)pthread_mutex_lock(&table_lock);
    int rc = install(signal);
    for (int i = 0; rc == 0 && i <= RANGES; i++) {
        if (i == RANGES) {
            rc = -ENOSPC;
        } else if (atomic_load(&ranges[index_of(signal)][i]) == NULL) {
            atomic_store(&ranges[index_of(signal)][i], range);
            break;
        }
    }
    if (rc != 0) {
        uninstall(signal);
    }
    (void)pthread_mutex_unlock(&table_lock);
    return rc;
}

void trap_signals_forget(struct trap_range *range)
{
    (void)pthread_mutex_lock(&table_lock);
    for (int i = 0; i < SIGNALS * RANGES; i++) {
        if (atomic_load(&ranges[i / RANGES][i % RANGES]) == range) {
            atomic_store(&ranges[i / RANGES][i % RANGES], NULL);
        }
    }
    uninstall(SIGBUS);
    uninstall(SIGSEGV);
    (void)pthread_mutex_unlock(&table_lock);
}
