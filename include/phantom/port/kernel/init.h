/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/init.h - what runs at boot and at the end, names of the Genode port. Stability: kept.
 */
#ifndef PHANTOM_PORT_KERNEL_INIT_H
#define PHANTOM_PORT_KERNEL_INIT_H

#include <phantom_types.h>

#define INIT_LEVEL_PREPARE 1 /* before threads */
#define INIT_LEVEL_INIT    2 /* with threads */
#define INIT_LEVEL_LATE    3 /* with the virtual machine */

/** What INIT_ME makes. The functions run on the thread that calls run_init_functions(); they may
 *  block. @threads one: the list is not synchronised */
struct init_record {
    struct init_record *next;
    void (*init_1)(void);
    int flags_1;
    void (*init_2)(void);
    int flags_2;
    void (*init_3)(void);
    int flags_3;
};

/**
 * At file scope, once per file: functions to call at levels 1, 2 and 3; 0: none. The record is
 * enlisted before main(); the list is the process's. Never blocks. @threads the one that loads the
 * program or library
 */
#define INIT_ME(init1, init2, init3)                                                               \
    static struct init_record phantom_init_record_ = {0, (init1), 0, (init2), 0, (init3), 0};      \
    static void __attribute__((constructor, used)) phantom_init_enlist_(void)                      \
    {                                                                                              \
        register_init_record(&phantom_init_record_);                                               \
    }
/** Put a record at the end of the list; it stays the caller's, and where it is, for ever. Never
 *  blocks. @threads one: not synchronised */
void register_init_record(struct init_record *record);
/** Call the functions of one level, in the order in which they were enlisted; each only once.
 *  Blocks as they do. An unknown level: nothing. @threads one: not synchronised */
void run_init_functions(int level);

#define PHANTOM_SHUTDOWN_FLAG_REBOOT 1
#define PHANTOM_SHUTDOWN_FLAG_NOSYNC 2

/**
 * End in good order: no timed call, net timer or DPC begins any more (DPCs that were triggered are
 * waited for, but not longer than two seconds); the last snapshot (phantom_hal_options.on_sync, or
 * of the bound heap) unless NOSYNC; each disk is fenced; and on_exit ends the process (default:
 * exit; its status says whether the snapshot and the fences worked). Other threads go on until
 * then.
 *
 * @threads any, callbacks too. Blocks, and never returns. A second call waits for the end of the
 * process; a call from within on_sync goes on with the fences.
 */
void phantom_shutdown(int flags) __attribute__((noreturn));
/** End at once, without any of that: on_exit(1), default _exit(0). Never returns; blocks only as
 *  on_exit does. @threads any */
void hal_cpu_reset_real(void) __attribute__((noreturn));

/** What the machine is: "Linux", and "x86-64" or the like. */
extern const char board_name[];
extern const char arch_name[];

/** Boot hooks; each may be called more than once, and need not be: nothing to do here. Never
 *  blocks. @threads any */
void phantom_init_part_pool(void);
void phantom_timed_call_init(void);

/** Run a test of test.h by name, or "all", on the calling thread, with test_parm as its argument,
 *  and print which passed and failed. Blocks as they do. @threads any; several tests may run at
 *  once */
void run_test(const char *test_name, const char *test_parm);

#endif /* PHANTOM_PORT_KERNEL_INIT_H */
