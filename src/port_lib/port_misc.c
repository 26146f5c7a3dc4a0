/* SPDX-License-Identifier: Apache-2.0
 *
 * port_misc.c - small things of the port: random numbers, the version, message levels, debugger
 * commands.
 *
 * Owns the instance's list of commands. Lock order: its lock is a leaf; commands run without it.
 * Commands are never taken away. The three levels are the program's, as in the port.
 */
#include "kernel/debug.h"
#include "kernel/init.h"
#include "kernel/smp.h"
#include "ph_io.h"
#include "ph_memory.h"
#include "ph_random.h"
#include "ph_string.h"
#include "port_state.h"
#include "spinlock.h"
#include "svn_version.h"

#include "hal_ours.h"

#include <errno.h>
#include <phantom/phantom.h>

#include <limits.h>

int phantom_is_a_real_kernel(void); /* of <hal.h>, whose rest is not needed here */

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)
#define PHANTOM_PORT_VERSION                                                                       \
    TEXT_OF(PHANTOM_VERSION_MAJOR)                                                                 \
    "." TEXT_OF(PHANTOM_VERSION_MINOR) "." TEXT_OF(PHANTOM_VERSION_PATCH)

#define DEBUG_MSG_PREFIX "port"
#include "debug_ext.h"

int debug_max_level_flow = 255;
int debug_max_level_info = 255;
int debug_max_level_error = 255;

long ph_random(void)
{
    return (long)(hal_random() & LONG_MAX);
}

const char *svn_version(void)
{
    return PHANTOM_PORT_VERSION;
}

/* ---- what the machine is ------------------------------------------------------------------- */

const char board_name[] = "Linux";
#if defined(__x86_64__)
const char arch_name[] = "x86-64";
#else
const char arch_name[] = "unknown";
#endif

int phantom_is_a_real_kernel(void)
{
    return 1;
}

int GET_CPU_ID(void)
{
    return 0;
}

/* ---- commands ------------------------------------------------------------------------------ */

struct command {
    struct command *next;
    void (*run)(int argc, char **argv);
    const char *name;
    const char *description;
};

struct port_commands {
    hal_spinlock_t lock;
    struct command *first;
};

int port_commands_open(struct port_lib_state *state)
{
    state->commands = ph_zalloc(1, sizeof(*state->commands));
    if (state->commands == NULL) {
        return ENOMEM;
    }
    hal_spin_init(&state->commands->lock);
    return 0;
}

void port_commands_close(struct port_lib_state *state)
{
    struct command *at = state->commands->first;
    while (at != NULL) {
        struct command *next = at->next;
        ph_free(at);
        at = next;
    }
    ph_free(state->commands);
}

/* Lock held. */
static struct command *find_command(const struct port_commands *commands, const char *name)
{
    struct command *at = commands->first;
    while (at != NULL && ph_strcmp(at->name, name) != 0) {
        at = at->next;
    }
    return at;
}

int dbg_add_command(void (*func)(int, char **), const char *name, const char *desc)
{
    struct port_commands *commands = port_lib_state()->commands;
    struct command *command = ph_alloc(sizeof(*command));
    if (command == NULL) {
        return -ENOMEM;
    }
    *command = (struct command){.run = func, .name = name, .description = desc};
    hal_spin_lock(&commands->lock);
    bool taken = find_command(commands, name) != NULL;
    if (!taken) {
        command->next = commands->first;
        commands->first = command;
    }
    hal_spin_unlock(&commands->lock);
    if (taken) {
        ph_free(command);
        return -EEXIST;
    }
    return 0;
}

static void print_commands(struct port_commands *commands)
{
    hal_spin_lock(&commands->lock);
    struct command *at = commands->first;
    hal_spin_unlock(&commands->lock);
    for (; at != NULL; at = at->next) {
        ph_printf("%-16s %s\n", at->name, at->description != NULL ? at->description : "");
    }
}

int phantom_dbg_run(const char *text)
{
    char line[256];
    char *words[32];
    int count = 0;
    ph_strlcpy(line, text, sizeof(line));
    for (char *at = line; *at != '\0' && count < 31;) {
        while (*at == ' ' || *at == '\t' || *at == '\n') {
            *at++ = '\0';
        }
        if (*at != '\0') {
            words[count++] = at;
        }
        while (*at != '\0' && *at != ' ' && *at != '\t' && *at != '\n') {
            at++;
        }
    }
    words[count] = NULL;
    if (count == 0) {
        return -ENOENT;
    }
    struct port_commands *commands = port_lib_state()->commands;
    hal_spin_lock(&commands->lock);
    struct command *command = find_command(commands, words[0]);
    hal_spin_unlock(&commands->lock);
    if (command != NULL) {
        command->run(count, words);
        return 0;
    }
    if (ph_strcmp(words[0], "help") == 0) {
        print_commands(commands);
        return 0;
    }
    return -ENOENT;
}
