/* SPDX-License-Identifier: Apache-2.0
 *
 * port_misc.c - small things of the port: random numbers, the version, message levels, debugger
 * commands.
 *
 * Owns the process's list of commands. Lock order: commands_lock is a leaf;
 * commands run without it. Commands are never taken away.
 */
#include "kernel/debug.h"
#include "ph_io.h"
#include "ph_malloc.h"
#include "ph_random.h"
#include "ph_string.h"
#include "spinlock.h"
#include "svn_version.h"

#include "hal_ours.h"

#include <errno.h>
#include <phantom/phantom.h>

#include <limits.h>

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

/* ---- commands ------------------------------------------------------------------------------ */

struct command {
    struct command *next;
    void (*run)(int argc, char **argv);
    const char *name;
    const char *description;
};

static hal_spinlock_t commands_lock;
static struct command *commands;

/* Lock held. */
static struct command *find_command(const char *name)
{
    struct command *at = commands;
    while (at != NULL && ph_strcmp(at->name, name) != 0) {
        at = at->next;
    }
    return at;
}

int dbg_add_command(void (*func)(int, char **), const char *name, const char *desc)
{
    struct command *command = ph_malloc(sizeof(*command));
    if (command == NULL) {
        return -ENOMEM;
    }
    *command = (struct command){.run = func, .name = name, .description = desc};
    hal_spin_lock(&commands_lock);
    bool taken = find_command(name) != NULL;
    if (!taken) {
        command->next = commands;
        commands = command;
    }
    hal_spin_unlock(&commands_lock);
    if (taken) {
        ph_free(command);
        return -EEXIST;
    }
    return 0;
}

static void print_commands(void)
{
    hal_spin_lock(&commands_lock);
    struct command *at = commands;
    hal_spin_unlock(&commands_lock);
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
    hal_spin_lock(&commands_lock);
    struct command *command = find_command(words[0]);
    hal_spin_unlock(&commands_lock);
    if (command != NULL) {
        command->run(count, words);
        return 0;
    }
    if (ph_strcmp(words[0], "help") == 0) {
        print_commands();
        return 0;
    }
    return -ENOENT;
}
