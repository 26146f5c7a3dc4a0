/* SPDX-License-Identifier: Apache-2.0
 *
 * port_state.h - what this room keeps for each HAL instance, and how it is found.
 *
 * Each part belongs to one file, which makes it (port_X_open), ends it (port_X_close) and locks it
 * itself. The instance (room port_hal) has one struct port_lib_state and says which one counts for
 * the calling thread. An instance closes it when none of its threads is left.
 */
#ifndef PORT_STATE_H
#define PORT_STATE_H

#include <stdbool.h>

struct port_lib_state {
    bool is_default; /* its parts use the port's global variables, as the port's own code does */
    struct port_console *console;           /* port_console.c */
    struct port_screen *screen;             /* port_window.c */
    struct port_commands *commands;         /* port_misc.c */
    struct port_file_systems *file_systems; /* port_fs.c */
    struct port_heap *heap;                 /* port_heap.c */
    struct port_interlock *interlock;       /* port_interlock.c */
    struct port_snapshots *snapshots;       /* port_snapshots.c */
    struct pager *pager;                    /* port_pager.c */
};

/** Of the instance on which the calling thread acts; the default one is made if necessary. Defined
 *  by whoever has instances. */
struct port_lib_state *port_lib_state(void);

/** Make all parts. 0, or an errno: nothing was made. is_default is set by the caller. */
int port_lib_open(struct port_lib_state *state);
void port_lib_close(struct port_lib_state *state);

/** Before the end: the snapshot thread's last snapshot, or one by the calling thread, if a heap is
 *  bound. 0, or an error of phantom/error.h. */
int port_last_snapshot(void);

/* ---- parts: 0 or an errno; close is for what was opened -------------------------------------- */

int port_console_open(struct port_lib_state *state);
void port_console_close(struct port_lib_state *state);
int port_screen_open(struct port_lib_state *state);
void port_screen_close(struct port_lib_state *state);
int port_commands_open(struct port_lib_state *state);
void port_commands_close(struct port_lib_state *state);
int port_file_systems_open(struct port_lib_state *state);
void port_file_systems_close(struct port_lib_state *state);
int port_heap_open(struct port_lib_state *state);
void port_heap_close(struct port_lib_state *state);
int port_interlock_open(struct port_lib_state *state);
void port_interlock_close(struct port_lib_state *state);
int port_snapshots_open(struct port_lib_state *state);
void port_snapshots_close(struct port_lib_state *state);
int port_pager_open(struct port_lib_state *state);
void port_pager_close(struct port_lib_state *state);

#endif /* PORT_STATE_H */
