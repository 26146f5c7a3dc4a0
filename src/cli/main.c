/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - `phantom`: finds the subcommand and calls it. One file per subcommand: cmd_NAME.c.
 */
#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command *const commands[] = {
    &cli_command_run,    &cli_command_stat,     &cli_command_log,     &cli_command_tag,
    &cli_command_untag,  &cli_command_diff,     &cli_command_verify,  &cli_command_copy,
    &cli_command_clone,  &cli_command_rollback, &cli_command_salvage, &cli_command_compact,
    &cli_command_bisect, &cli_command_doctor,
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_overview(FILE *out)
{
    fprintf(out, "usage: phantom COMMAND [OPTION]... [STORE]\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++) {
        fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    }
    fprintf(out, "\n`phantom COMMAND --help` shows its options; phantom(1) explains all.\n"
                 "exit codes: 0 ok, 1 program failed, 2 usage, 3 busy, 4 damaged, 5 I/O, "
                 "6 unsupported here\n");
}

/**
 * Whoever closed stdin, stdout or stderr must not get the store's descriptor in its place: console
 * output would go into the store. Opened for reading, so that writes to them fail as they should.
 */
static bool occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!occupy_standard_descriptors()) {
        return CLI_IO;
    }
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write(), not a death */
    if (argc < 2) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_overview(stdout);
        return cli_finish_output();
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("phantom %d.%d.%d\n", PHANTOM_VERSION_MAJOR, PHANTOM_VERSION_MINOR,
               PHANTOM_VERSION_PATCH);
        return cli_finish_output();
    }
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i]->name) == 0) {
            return cli_end(commands[i]->run(argc - 1, argv + 1), argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "phantom: unknown command '%s'\n\n", argv[1]);
    print_overview(stderr);
    return CLI_USAGE;
}
