/* SPDX-License-Identifier: Apache-2.0
 *
 * port_faults.c - page faults of the object space, given to a handler on a thread of its own.
 *
 * A thread that touches a page of an object space that is not mapped for that gets SIGSEGV. The
 * signal handler puts a record on its own stack into the list of the space, wakes the fault thread
 * and sleeps until it has an answer: futexes and atomics only, so it is safe in a signal handler.
 *
 * Process-wide, because signal handlers are: which ranges are object spaces, and the handler that
 * was there before, to which all other faults go on.
 */
#include "port_memory.h"

#include <arch/arch_vmem_util.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAX_SPACES = 64, PAGE_FAULT_WRITE = 2 };

enum answer { WAITING, HANDLED, REFUSED };

struct fault { /* on the stack of the thread that faulted */
    struct fault *next;
    uintptr_t offset;
    int write;
    _Atomic uint32_t answer;
};

typedef int (*fault_handler)(void *address, int write, int ip, struct trap_state *state);

struct port_faults {
    uintptr_t base, size;
    _Atomic(fault_handler) handler;
    struct fault *_Atomic list; /* newest first */
    _Atomic uint32_t posted;    /* futex: changes with each record */
    atomic_int thread;          /* which one serves, for the kernel */
    atomic_bool stop;
    hal_sem_t ended;
};

static struct port_faults *_Atomic spaces[MAX_SPACES];
static struct sigaction before;
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- in the thread that faulted ------------------------------------------------------------- */

static struct port_faults *space_of(uintptr_t address)
{
    for (size_t i = 0; i < MAX_SPACES; i++) {
        struct port_faults *faults = atomic_load(&spaces[i]);
        if (faults != NULL && address - faults->base < faults->size) {
            return faults;
        }
    }
    return NULL;
}

static bool ask(struct port_faults *faults, uintptr_t address, int write)
{
    if (atomic_load(&faults->handler) == NULL || atomic_load(&faults->thread) == (int)gettid()) {
        return false; /* the handler itself must not fault: nobody would answer */
    }
    struct fault fault = {.offset = address - faults->base, .write = write};
    fault.next = atomic_load(&faults->list);
    while (!atomic_compare_exchange_weak(&faults->list, &fault.next, &fault)) {
    }
    (void)atomic_fetch_add(&faults->posted, 1);
    hal_futex_wake(&faults->posted, INT_MAX);
    while (atomic_load(&fault.answer) == WAITING) {
        (void)hal_futex_wait(&fault.answer, WAITING, -1);
    }
    return atomic_load(&fault.answer) == HANDLED;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        (void)signal(number, SIG_DFL); /* the instruction is tried again, and is the end */
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    struct port_faults *faults = info->si_code > 0 ? space_of(address) : NULL;
    const ucontext_t *state = context;
    int write = (state->uc_mcontext.gregs[REG_ERR] & PAGE_FAULT_WRITE) != 0;
    bool handled = faults != NULL && ask(faults, address, write);
    errno = saved;
    if (!handled) {
        pass_on(number, info, context);
    }
}

/* Each time a handler is registered: the host may have set another one since the last time. */
static void install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK}, old;
    action.sa_sigaction = on_fault;
    (void)sigemptyset(&action.sa_mask);
    (void)pthread_mutex_lock(&install_lock);
    bool ours = sigaction(SIGSEGV, NULL, &old) == 0 && (old.sa_flags & SA_SIGINFO) != 0 &&
                old.sa_sigaction == on_fault;
    if (!ours) {
        before = old;
        (void)sigaction(SIGSEGV, &action, NULL);
    }
    (void)pthread_mutex_unlock(&install_lock);
}

/* ---- the fault thread ----------------------------------------------------------------------- */

struct question {
    fault_handler handler;
    const struct fault *fault;
    int rc;
};

static void call_handler(void *argument)
{
    struct question *question = argument;
    /* An offset, in a pointer's clothes: that is how the port has it. */
    void *offset = (void *)question->fault->offset; // NOLINT
    question->rc = question->handler(offset, question->fault->write, -1, NULL);
}

static void answer_one(struct port_faults *faults, struct fault *fault)
{
    struct question question = {atomic_load(&faults->handler), fault, 1};
    if (question.handler != NULL) {
        (void)port_call_back(call_handler, &question);
    }
    /* From here on it may be gone. */
    atomic_store(&fault->answer, question.rc == 0 ? HANDLED : REFUSED);
    hal_futex_wake(&fault->answer, INT_MAX);
}

static void serve(void *argument)
{
    struct port_faults *faults = argument;
    (void)t_current_set_name("PageFaults");
    atomic_store(&faults->thread, (int)gettid());
    while (!atomic_load(&faults->stop)) {
        uint32_t seen = atomic_load(&faults->posted);
        struct fault *newest = atomic_exchange(&faults->list, NULL);
        if (newest == NULL) {
            (void)hal_futex_wait(&faults->posted, seen, -1);
            continue;
        }
        struct fault *oldest = NULL;
        while (newest != NULL) { /* turn it round: first come, first served */
            struct fault *next = newest->next;
            newest->next = oldest;
            oldest = newest;
            newest = next;
        }
        while (oldest != NULL) {
            struct fault *next = oldest->next; /* before the answer: then it is gone */
            answer_one(faults, oldest);
            oldest = next;
        }
    }
    hal_sem_release(&faults->ended);
}

/* ---- register ------------------------------------------------------------------------------- */

static bool publish(struct port_faults *faults)
{
    for (size_t i = 0; i < MAX_SPACES; i++) {
        struct port_faults *none = NULL;
        if (atomic_compare_exchange_strong(&spaces[i], &none, faults)) {
            return true;
        }
    }
    return false;
}

static void withdraw(struct port_faults *faults)
{
    for (size_t i = 0; i < MAX_SPACES; i++) {
        struct port_faults *own = faults;
        (void)atomic_compare_exchange_strong(&spaces[i], &own, NULL);
    }
}

static errno_t open_faults(struct phantom_hal *instance)
{
    struct port_faults *faults = ph_zalloc(1, sizeof(*faults));
    if (faults == NULL || hal_sem_init(&faults->ended, "fault thread ended") != 0) {
        ph_free(faults);
        return ENOMEM;
    }
    faults->base = (uintptr_t)instance->space->object_vspace;
    faults->size = (uintptr_t)instance->space->object_vsize;
    int rc = publish(faults) ? 0 : ENOMEM;
    if (rc == 0 && port_threads_start(instance, serve, faults) < 0) {
        withdraw(faults);
        rc = EAGAIN;
    }
    if (rc != 0) {
        hal_sem_destroy(&faults->ended);
        ph_free(faults);
        return rc;
    }
    instance->memory->faults = faults;
    return 0;
}

void port_faults_close(struct port_faults *faults)
{
    if (faults == NULL) {
        return;
    }
    withdraw(faults);
    atomic_store(&faults->stop, true);
    (void)atomic_fetch_add(&faults->posted, 1);
    hal_futex_wake(&faults->posted, INT_MAX);
    (void)hal_sem_acquire(&faults->ended);
    hal_sem_destroy(&faults->ended);
    ph_free(faults);
}

int genode_register_page_fault_handler(int (*handler)(void *, int, int, struct trap_state *))
{
    struct phantom_hal *instance = port_hal();
    if (instance->space->object_vspace == NULL) {
        return EINVAL;
    }
    (void)hal_mutex_lock(&instance->memory->faults_lock); /* several threads may register */
    errno_t rc = instance->memory->faults == NULL ? open_faults(instance) : 0;
    if (rc == 0) {
        install();
        atomic_store(&instance->memory->faults->handler, handler);
    }
    (void)hal_mutex_unlock(&instance->memory->faults_lock);
    return rc;
}
