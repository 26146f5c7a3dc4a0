/* SPDX-License-Identifier: Apache-2.0
 *
 * port_state.c - an instance's part of this room: made from its own parts, ended in the opposite
 * order. No state.
 */
#include "port_state.h"

#include <stddef.h>

struct part {
    int (*open)(struct port_lib_state *state);
    void (*close)(struct port_lib_state *state);
};

/* The console is first, so that all others may print to their end. */
static const struct part parts[] = {
    {port_console_open, port_console_close},     {port_screen_open, port_screen_close},
    {port_commands_open, port_commands_close},   {port_file_systems_open, port_file_systems_close},
    {port_heap_open, port_heap_close},           {port_interlock_open, port_interlock_close},
    {port_snapshots_open, port_snapshots_close}, {port_pager_open, port_pager_close},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static void close_parts(struct port_lib_state *state, size_t opened)
{
    while (opened > 0) {
        opened--;
        parts[opened].close(state);
    }
}

int port_lib_open(struct port_lib_state *state)
{
    for (size_t i = 0; i < PARTS; i++) {
        int rc = parts[i].open(state);
        if (rc != 0) {
            close_parts(state, i);
            return rc;
        }
    }
    return 0;
}

void port_lib_close(struct port_lib_state *state)
{
    close_parts(state, PARTS);
}
