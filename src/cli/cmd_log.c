/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_log.c - `phantom log`: the retained generations, newest last.
 */
#include "cli.h"

static int print_row(void *context, const struct phantom_generation *g)
{
    (void)context;
    char time[40], hash[33], bytes[24];
    cli_time_text(g->time_ns, time);
    cli_hash_text(g, hash);
    cli_bytes_text(g->bytes_written, bytes);
    printf("%10llu  %s  pause %8.3f ms  %8llu pages  %10s  %.16s%s\n",
           (unsigned long long)g->number, time, (double)g->pause_ns / 1e6,
           (unsigned long long)g->pages_written, bytes, hash, g->sealed ? "" : "  unsealed");
    return 0;
}

static int add_row(void *context, const struct phantom_generation *g)
{
    return json_array_append_new(context, cli_generation_json(g));
}

static int run(int argc, char **argv)
{
    struct cli_store_arguments arguments;
    bool done;
    int result = cli_parse_store_arguments(&cli_command_log, argc, argv, false, &arguments, &done);
    if (result != CLI_OK || done) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_store *store;
    int error = phantom_store_open(arguments.path, &store, NULL, &diag);
    if (error != 0) {
        return cli_fail(error, &diag);
    }
    if (arguments.json) {
        json_t *rows = json_array();
        error = phantom_store_log(store, add_row, rows);
        result = cli_print_json(rows);
    } else {
        error = phantom_store_log(store, print_row, NULL);
        result = cli_finish_output();
    }
    phantom_store_close(store);
    return error != 0 ? cli_fail(error, NULL) : result;
}

const struct cli_command cli_command_log = {"log", "[--json] STORE",
                                            "list the generations a store retains",
                                            "  --json            one JSON document\n", run};
