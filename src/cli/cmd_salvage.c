/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_salvage.c - `phantom salvage`: what can be read of a damaged store, into a new one.
 */
#include "cli.h"

static void collect_lost(void *context, uint64_t first, uint64_t count, const char *why)
{
    json_array_append_new(context,
                          json_pack("{s:I, s:I, s:o}", "first_page", (json_int_t)first, "pages",
                                    (json_int_t)count, "why", cli_path_json(why)));
}

static void print_lost(json_t *lost)
{
    size_t i;
    json_t *row;
    json_array_foreach(lost, i, row)
    {
        json_int_t first = json_integer_value(json_object_get(row, "first_page"));
        json_int_t count = json_integer_value(json_object_get(row, "pages"));
        printf("lost: pages %lld-%lld: ", (long long)first, (long long)(first + count - 1));
        cli_print_clean(stdout, json_string_value(json_object_get(row, "why")));
        printf("\n");
    }
}

static int print_outcome(const struct cli_arguments *arguments,
                         const struct phantom_salvage_report *report, json_t *lost)
{
    if ((arguments->given & CLI_JSON) != 0) {
        return cli_print_json(json_pack(
            "{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "store",
            cli_path_json(arguments->operand[0]), "file", cli_path_json(arguments->operand[1]),
            "generation", (json_int_t)report->generation, "newest_seen",
            (json_int_t)report->newest_seen, "records_found", (json_int_t)report->records_found,
            "records_bad", (json_int_t)report->records_bad, "pages", (json_int_t)report->pages,
            "pages_lost", (json_int_t)report->pages_lost, "file_bytes",
            (json_int_t)report->file_bytes, "lost", lost));
    }
    print_lost(lost);
    printf("%llu commit records found, the newest of generation %llu; %llu slots unreadable\n",
           (unsigned long long)report->records_found, (unsigned long long)report->newest_seen,
           (unsigned long long)report->records_bad);
    cli_print_clean(stdout, arguments->operand[1]);
    printf(": generation %llu, %llu pages", (unsigned long long)report->generation,
           (unsigned long long)report->pages);
    if (report->pages_lost != 0) {
        printf(", %llu pages lost (they read as zeros)", (unsigned long long)report->pages_lost);
    }
    printf("\n");
    return cli_finish_output();
}

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result = cli_parse(&cli_command_salvage, argc, argv,
                           CLI_JSON | CLI_PROGRESS | CLI_FORCE | CLI_PARTIAL, 2, 2, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    unsigned flags = ((arguments.given & CLI_FORCE) != 0 ? PHANTOM_REPLACE : 0) |
                     ((arguments.given & CLI_PARTIAL) != 0 ? PHANTOM_PARTIAL : 0);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_salvage_report report = {0};
    struct cli_progress progress;
    json_t *lost = json_array();
    cli_catch_signals();
    cli_progress_init(&progress, "salvage", (arguments.given & CLI_PROGRESS) != 0);
    int error =
        phantom_store_salvage_keyed(arguments.operand[0], cli_key(), arguments.operand[1], flags,
                                    collect_lost, lost, &progress.progress, &report, &diag);
    cli_progress_end(&progress);
    result = error != 0 ? cli_fail(error, &diag) : print_outcome(&arguments, &report, lost);
    json_decref(lost);
    return result;
}

const struct cli_command cli_command_salvage = {
    "salvage", "[--partial] [--force] [--progress] [--json] STORE NEW",
    "rescue what can be read of a damaged store into a new one",
    "  --partial         if no generation is whole, the newest with holes, listing what is lost\n"
    "  --force           replace NEW if it exists\n"
    "  --progress        say how far it is, also if stderr is no terminal\n"
    "  --json            one JSON document\n",
    run};
