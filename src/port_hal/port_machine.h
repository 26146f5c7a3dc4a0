/* SPDX-License-Identifier: Apache-2.0
 *
 * port_machine.h - what this room asks of the machine beyond the rooms' own hal.h and hal_ours.h
 * (locks, futex, clocks, random numbers), POSIX memory mapping and leaf locks (pthread_mutex_t,
 * pthread_cond_t): start and end a thread, an alarm, files that are disks.
 *
 * Implemented for Linux in port_machine_linux.c, port_alarm_uv.c, port_file_linux.c and
 * port_disk_uring.c, and for the simulated machine of room hal_sim in tests/support/port_on_sim.c.
 * A program is linked with one of them; the rest of the room does not know which.
 */
#ifndef PORT_MACHINE_H
#define PORT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- threads -------------------------------------------------------------------------------- */

/** Start a detached thread with all asynchronous signals blocked. 0 or a positive errno. */
int port_machine_start(void *(*run)(void *argument), void *argument);
/** End the calling thread here. */
_Noreturn void port_machine_exit_thread(void);
/** When the calling thread ends, in whatever way, `ended` is called in it, once. The same function
 *  for all threads of the process; to ask again changes nothing. */
void port_machine_at_thread_end(void (*ended)(void));

/** In test builds a place at which a simulated machine may let another thread go on, between two
 *  instructions that are no call of the machine; nothing in the product. */
#ifdef PH_MUTANTS
void port_machine_point(const char *what);
#else
static inline void port_machine_point(const char *what)
{
    (void)what;
}
#endif

/* ---- alarm ---------------------------------------------------------------------------------- */

/** What an alarm calls, in the thread that runs it, one at a time. */
struct port_alarm_calls {
    uint64_t (*next)(void *context); /* when due() is wanted, in microseconds of
                                        hal_system_time(); UINT64_MAX: not at all */
    void (*due)(void *context);      /* it is time, or a little later */
    void (*second)(void *context);   /* once a second */
};

struct port_alarm;

/** 0 or a positive errno. `calls` is borrowed. */
int port_alarm_open(const struct port_alarm_calls *calls, void *context, struct port_alarm **out);
/** Make the calls until port_alarm_stop(). One thread. */
void port_alarm_run(struct port_alarm *alarm);
/** Ask for the next time again: it may be earlier now. Any thread. */
void port_alarm_look(struct port_alarm *alarm);
/** port_alarm_run() returns soon. Any thread. */
void port_alarm_stop(struct port_alarm *alarm);
/** It does not run, or not any more. */
void port_alarm_close(struct port_alarm *alarm);

/* ---- files that are disks ------------------------------------------------------------------- */

/** Open, lock and measure: 0 and a number for the file, or a positive errno (EINVAL: it is nothing
 *  that can be a disk). The size is in sectors of 512 bytes. */
int port_file_open(const char *path, bool read_only, int *file, uint64_t *sectors);
/** The lock goes with it; -1 is ignored. */
void port_file_close(int file);
/** Bytes moved, perhaps fewer than asked for, 0 at the end of the file, or a negative errno. */
ssize_t port_file_read(int file, void *bytes, size_t size, uint64_t offset);
ssize_t port_file_write(int file, const void *bytes, size_t size, uint64_t offset);
/** All that was written is on stable storage. 0 or a positive errno. */
int port_file_flush(int file);
/** The file can be reached and is at least that many sectors long: 0, or a positive errno. */
int port_file_check(int file, uint64_t sectors);
/** That range reads as zeros afterwards and needs no space. 0 or a positive errno. */
int port_file_trim(int file, uint64_t offset, uint64_t size);

/** A back end (port_disk.h) that is faster than threads which read and write, or NULL. */
struct port_disk_backend;
const struct port_disk_backend *port_file_fast_backend(void);

#endif /* PORT_MACHINE_H */
