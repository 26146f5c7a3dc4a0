/* SPDX-License-Identifier: Apache-2.0
 *
 * port_persistence.c - a program of the port's that is killed and started again, by
 * port_persistence.py: a long sum, and objects that are changed and checked, in the bound space. It
 * takes snapshots until it is killed. In each snapshot: objects[i] is made from the steps that were
 * done, and the sum is that of 1..steps; a life that finds anything else panics.
 * One thread changes it; the other reads the number of steps only.
 * Prints "begins STEPS" when it has found and checked what there was, "snapshot STEPS" after each
 * snapshot.
 *
 * usage: port_persistence STORE [STRATEGY|-] [shutdown|nosync]. With the third the thread ends
 * after a number of steps, nothing is saved meanwhile, and the program shuts down: "shutdown
 * STEPS".
 */
#include <hal.h>

#include <init_routines.h>
#include <kernel/init.h>
#include <kernel/snap_sync.h>
#include <kernel/vm.h>
#include <ph_io.h>
#include <phantom/space.h>
#include <phantom_assert.h>
#include <phantom_persistence.h>
#include <snap_internal.h>
#include <string.h>
#include <threads.h>
#include <vm_map.h>

enum { OBJECTS = 64, STEPS_BEFORE_SHUTDOWN = 300 };

struct state {
    u_int64_t steps, sum;
    u_int64_t *objects[OBJECTS]; /* each in a block of its own */
};

static struct phantom_space *space;
static struct state *state;
static hal_sem_t stepped;
static bool ends; /* the thread that works */

static u_int64_t value_of(u_int64_t steps, int object)
{
    return steps * 2654435761u + (u_int64_t)object;
}

static void check(void)
{
    if (state->sum != state->steps * (state->steps + 1) / 2) {
        panic("the sum is wrong after %ld steps", (long)state->steps);
    }
    for (int i = 0; i < OBJECTS; i++) {
        if (*state->objects[i] != value_of(state->steps, i)) {
            panic("object %d is wrong after %ld steps", i, (long)state->steps);
        }
    }
}

static void birth(void)
{
    state = phantom_space_calloc(space, 1, sizeof(*state));
    for (int i = 0; i < OBJECTS; i++) {
        state->objects[i] = phantom_space_malloc(space, 5000);
        *state->objects[i] = value_of(0, i);
    }
    if (phantom_space_set_root(space, "state", state) != 0) {
        panic("no root");
    }
}

/* A step is one operation: a snapshot has all of it or nothing. */
static void work(void *argument)
{
    (void)argument;
    for (int done = 0; !ends || done < STEPS_BEFORE_SHUTDOWN; done++) {
        vm_lock_persistent_memory();
        __atomic_store_n(&state->steps, state->steps + 1, __ATOMIC_RELAXED);
        state->sum += state->steps;
        for (int i = 0; i < OBJECTS; i++) {
            *state->objects[i] = value_of(state->steps, i);
        }
        vm_unlock_persistent_memory();
        if (!ends) {
            hal_sem_release(&stepped);
        }
    }
    hal_sem_release(&stepped);
}

/* What was done and never saved must be there in the next life, unless the caller wants no sync. */
static void shut_down(int flags)
{
    (void)hal_sem_acquire(&stepped);
    ph_printf("shutdown %ld\n", (long)__atomic_load_n(&state->steps, __ATOMIC_RELAXED));
    phantom_shutdown(flags);
}

int main(int argc, char **argv)
{
    struct phantom_space_options options;
    phantom_space_options_init(&options);
    options.heap_size = 8u << 20;
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    options.strategy = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    ends = argc > 3;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (argc < 2 || phantom_space_open(argv[1], &options, &space, &diag) != 0) {
        panic("no space: %s", diag.text);
    }
    phantom_port_bind_space(space);
    vm_map_pre_init();
    vm_lock_persistent_memory();
    state = phantom_space_root(space, "state");
    if (state == NULL) {
        birth();
    }
    check();
    ph_printf("begins %ld\n", (long)state->steps);
    vm_unlock_persistent_memory();
    if (hal_sem_init(&stepped, "stepped") != 0 || hal_start_kernel_thread_arg(work, NULL) < 0) {
        panic("no thread");
    }
    if (ends) {
        shut_down(strcmp(argv[3], "nosync") == 0 ? PHANTOM_SHUTDOWN_FLAG_NOSYNC : 0);
    }
    for (;;) {
        (void)hal_sem_acquire(&stepped);
        hal_sem_zero(&stepped);
        vm_lock_persistent_memory(); /* keeps snapshots out, not the other thread */
        long before = (long)__atomic_load_n(&state->steps, __ATOMIC_RELAXED);
        vm_unlock_persistent_memory();
        do_snapshot();
        if (phantom_port_snapshot_result() != 0) {
            panic("a snapshot failed");
        }
        ph_printf("snapshot %ld\n", before);
    }
}
