/* SPDX-License-Identifier: Apache-2.0
 *
 * spinlock.h - locks for short critical sections, names of the Genode port.
 *
 * Stability: kept, size included: a hal_spinlock_t may live in the object heap, so its 12 bytes are
 * part of stored worlds. A lock that was held when a snapshot was taken comes back held: whoever
 * restores such an object calls hal_spin_init() on it.
 *
 * A waiter spins for a while and then gives its CPU away between attempts, so a holder that is not
 * running does not make others burn a whole time slice. Not recursive: a second lock by the same
 * thread waits for ever. Not fair.
 *
 * @threads any. What locks blocks, spinning, while another thread holds the lock; the rest never
 *   blocks. Hold one for a few instructions only, and never across a function that blocks.
 */
#ifndef PHANTOM_PORT_SPINLOCK_H
#define PHANTOM_PORT_SPINLOCK_H

struct hal_spinlock {
    volatile int lock; /* 0 free, 1 held; touch it with the functions only */
    volatile int ebp;  /* kept for the layout; not used */
    volatile int ei;   /* what hal_save_cli() said when hal_wired_spin_lock() took the lock */
};
typedef struct hal_spinlock hal_spinlock_t;

/** A spin lock of an object of the virtual machine. */
struct pvm_spinlock {
    hal_spinlock_t sl;
    int wait_spin_flag;
};
typedef struct pvm_spinlock pvm_spinlock_t;

_Static_assert(sizeof(hal_spinlock_t) == 12, "part of the format of stored worlds");

#define HAL_SPIN_INIT                                                                              \
    {                                                                                              \
        0, 0, 0                                                                                    \
    }

/** Set to free, whatever it was. No other thread uses it meanwhile. */
void hal_spin_init(hal_spinlock_t *sl);
/** Take it; blocks until it is free. What the last holder wrote is visible afterwards. @pre the
 *  calling thread does not hold it (not checked: it would wait for ever) */
void hal_spin_lock(hal_spinlock_t *sl);
/** Give it back. Any thread may, not only the one that took it (an I/O completion does). Never
 *  blocks. @pre it is held (checked: fatal otherwise) */
void hal_spin_unlock(hal_spinlock_t *sl);

/** The same for a lock in pageable memory: interrupts are masked for the calling thread
 *  (hal_save_cli) and preemption is disabled until the unlock, which the same thread does. The lock
 *  blocks until it is free. */
void hal_wired_spin_lock(hal_spinlock_t *l);
void hal_wired_spin_unlock(hal_spinlock_t *l);

/** Lock with interrupts masked; unlock, and unmask if they were unmasked before. On one thread, as
 *  the flag is the thread's. NULL: only the interrupts. The lock blocks until it is free. */
void hal_spin_lock_cli(hal_spinlock_t *sl);
void hal_spin_unlock_sti(hal_spinlock_t *sl);

/** As hal_spin_init(), hal_spin_lock() (blocks), hal_spin_unlock(). The second argument is
 *  documentation for readers of the source. */
#define spinlock_init(l)         hal_spin_init(l)
#define spinlock_lock(l, text)   hal_spin_lock(l)
#define spinlock_unlock(l, text) hal_spin_unlock(l)

#endif /* PHANTOM_PORT_SPINLOCK_H */
