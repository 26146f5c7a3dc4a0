/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_compact.c - `phantom compact`: the same generations in as few bytes as they take.
 */
#include "cli.h"

static int print_outcome(const struct cli_arguments *arguments,
                         const struct phantom_compacted *outcome)
{
    const char *path = arguments->operand[0];
    if ((arguments->given & CLI_JSON) != 0) {
        return cli_print_json(json_pack(
            "{s:o, s:I, s:I, s:I, s:I, s:I}", "store", cli_path_json(path), "bytes_before",
            (json_int_t)outcome->bytes_before, "bytes_after", (json_int_t)outcome->bytes_after,
            "generations_before", (json_int_t)outcome->generations_before, "generations_after",
            (json_int_t)outcome->generations_after, "tags", (json_int_t)outcome->tags));
    }
    char before[24], after[24];
    cli_bytes_text(outcome->bytes_before, before);
    cli_bytes_text(outcome->bytes_after, after);
    cli_print_clean(stdout, path);
    printf(": %s, was %s; %llu generations, were %llu; %llu tags\n", after, before,
           (unsigned long long)outcome->generations_after,
           (unsigned long long)outcome->generations_before, (unsigned long long)outcome->tags);
    return cli_finish_output();
}

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result = cli_parse(&cli_command_compact, argc, argv, CLI_JSON | CLI_PROGRESS | CLI_COMPRESS,
                           1, 1, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_compacted outcome = {0};
    struct cli_progress progress;
    cli_catch_signals();
    cli_progress_init(&progress, "compact", (arguments.given & CLI_PROGRESS) != 0);
    int error = phantom_store_compact_flags(arguments.operand[0], cli_key(), arguments.compress,
                                            &progress.progress, &outcome, &diag);
    cli_progress_end(&progress);
    return error != 0 ? cli_fail(error, &diag) : print_outcome(&arguments, &outcome);
}

const struct cli_command cli_command_compact = {
    "compact", "[--compress lz4|none] [--progress] [--json] STORE",
    "rewrite a store in as few bytes as it takes",
    "  --compress WHAT   lz4 or none, for all it retains; default: as it is\n"
    "  --progress        say how far it is, also if stderr is no terminal\n"
    "  --json            one JSON document\n",
    run};
