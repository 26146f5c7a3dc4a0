/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_copy.c - `phantom copy` and `phantom clone`: one generation as a store of its own.
 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_stdout(void *context, const void *bytes, size_t size)
{
    (void)context;
    const char *at = bytes;
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, at, size);
        if (n < 0 && (errno != EINTR || cli_stopped())) {
            return errno == EINTR ? -ECANCELED : -errno;
        }
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static int print_copied(const struct cli_arguments *arguments, const char *what,
                        const struct phantom_copied *copied)
{
    if ((arguments->given & CLI_JSON) != 0) {
        return cli_print_json(json_pack(
            "{s:o, s:s, s:o, s:I, s:I, s:I, s:s}", "store", cli_path_json(arguments->operand[0]),
            "made", what, "file", cli_path_json(arguments->operand[1]), "generation",
            (json_int_t)copied->generation, "pages", (json_int_t)copied->pages, "file_bytes",
            (json_int_t)copied->file_bytes, "uuid", copied->uuid));
    }
    char bytes[24];
    cli_bytes_text(copied->file_bytes, bytes);
    cli_print_clean(stdout, arguments->operand[1]);
    printf(": %s of generation %llu, %llu pages, %s\n", what,
           (unsigned long long)copied->generation, (unsigned long long)copied->pages, bytes);
    return cli_finish_output();
}

static int make(struct phantom_store *store, const struct cli_arguments *arguments, bool clone)
{
    const char *to = arguments->operand[1];
    bool to_stdout = !clone && strcmp(to, "-") == 0;
    uint64_t generation = 0;
    int result = cli_find_generation(store, arguments->generation, &generation);
    if (result != CLI_OK) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_copied copied = {0};
    struct cli_progress progress;
    unsigned flags =
        ((arguments->given & CLI_FORCE) != 0 ? PHANTOM_REPLACE : 0) | arguments->compress;
    cli_progress_init(&progress, clone ? "clone" : "copy", (arguments->given & CLI_PROGRESS) != 0);
    int error =
        to_stdout ? phantom_store_copy_stream(store, generation, getenv("TMPDIR"), write_stdout,
                                              NULL, &progress.progress, &copied, &diag)
        : clone
            ? phantom_store_clone(store, generation, to, flags, &progress.progress, &copied, &diag)
            : phantom_store_copy(store, generation, to, flags, &progress.progress, &copied, &diag);
    cli_progress_end(&progress);
    if (error != 0) {
        return cli_fail(error, &diag);
    }
    return to_stdout ? CLI_OK : print_copied(arguments, clone ? "clone" : "copy", &copied);
}

static int run(const struct cli_command *command, int argc, char **argv, bool clone)
{
    struct cli_arguments arguments;
    int result = cli_parse(command, argc, argv,
                           CLI_JSON | CLI_PROGRESS | CLI_FORCE | CLI_GENERATION | CLI_COMPRESS, 2,
                           2, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    if (!clone && strcmp(arguments.operand[1], "-") == 0) {
        if ((arguments.given & CLI_JSON) != 0) {
            return cli_usage(command, "stdout cannot take the copy and a JSON document");
        }
        if ((arguments.given & CLI_COMPRESS) != 0) {
            return cli_usage(command, "a copy to stdout is compressed as the store is");
        }
        if (isatty(STDOUT_FILENO) == 1) {
            return cli_usage(command, "stdout is a terminal; a copy is not text");
        }
    }
    if (clone && strcmp(arguments.operand[1], "-") == 0) {
        return cli_usage(command,
                         "a clone cannot be written to stdout; ./- is a file of that name");
    }
    struct phantom_store *store;
    cli_catch_signals();
    result = cli_open_store(arguments.operand[0], &store);
    if (result == CLI_OK) {
        result = make(store, &arguments, clone);
        phantom_store_close(store);
    }
    return result;
}

static int run_copy(int argc, char **argv)
{
    return run(&cli_command_copy, argc, argv, false);
}

static int run_clone(int argc, char **argv)
{
    return run(&cli_command_clone, argc, argv, true);
}

const struct cli_command cli_command_copy = {
    "copy", "[--generation G] [--compress lz4|none] [--force] [--progress] [--json] STORE FILE|-",
    "copy one generation into a store of its own, also beside a running world",
    "  --generation G    a number or a tag; default: the newest\n"
    "  --compress WHAT   lz4 or none; default: as STORE\n"
    "  --force           replace FILE if it exists\n"
    "  --progress        say how far it is, also if stderr is no terminal\n"
    "  --json            one JSON document\n",
    run_copy};
const struct cli_command cli_command_clone = {
    "clone", "[--generation G] [--compress lz4|none] [--force] [--progress] [--json] STORE NEW",
    "make a store with an identity of its own from a generation",
    "  --generation G    a number or a tag; default: the newest\n"
    "  --compress WHAT   lz4 or none; default: as STORE\n"
    "  --force           replace NEW if it exists\n"
    "  --progress        say how far it is, also if stderr is no terminal\n"
    "  --json            one JSON document\n",
    run_clone};
