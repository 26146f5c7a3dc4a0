/* SPDX-License-Identifier: Apache-2.0
 *
 * port_machine_linux.c - threads of port_machine.h on Linux. Owns one thread key of the process.
 */
#include "port_machine.h"

#include "hal_internal.h"
#include "ph_check.h"

#include <pthread.h>
#include <stdatomic.h>

static pthread_key_t end_key;
static pthread_once_t end_key_once = PTHREAD_ONCE_INIT;
static void (*_Atomic call_at_end)(void);

int port_machine_start(void *(*run)(void *), void *argument)
{
    return hal_thread_create(run, argument, NULL);
}

_Noreturn void port_machine_exit_thread(void)
{
    pthread_exit(NULL);
}

#ifdef PH_MUTANTS
void port_machine_point(const char *what)
{
    (void)what; /* here threads are interrupted anyway */
}
#endif

static void thread_ends(void *value)
{
    (void)value;
    atomic_load (&call_at_end)();
}

static void make_end_key(void)
{
    int rc = pthread_key_create(&end_key, thread_ends);
    PH_CHECK(rc == 0); /* a process has 1024 of them */
}

void port_machine_at_thread_end(void (*ended)(void))
{
    (void)pthread_once(&end_key_once, make_end_key);
    atomic_store(&call_at_end, ended);
    int rc = pthread_setspecific(end_key, &end_key); /* anything but NULL */
    PH_CHECK(rc == 0);
}
