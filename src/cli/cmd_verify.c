/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_verify.c - `phantom verify`: check every checksum of a store.
 */
#include "cli.h"

static void collect_damage(void *context, const char *what)
{
    json_array_append_new(context, cli_path_json(what));
}

static int print_text(const char *path, const struct phantom_verify_report *report,
                      json_t *findings)
{
    size_t i;
    json_t *finding;
    json_array_foreach(findings, i, finding)
    {
        printf("damaged: %s\n", json_string_value(finding));
    }
    printf("%s: %llu generations, %llu pages, %llu map nodes checked, %llu damaged\n", path,
           (unsigned long long)report->generations, (unsigned long long)report->pages,
           (unsigned long long)report->nodes, (unsigned long long)report->damaged);
    return cli_finish_output();
}

static int verify(const struct cli_store_arguments *arguments, struct phantom_store *store)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_verify_report report = {0};
    json_t *findings = json_array();
    int error =
        phantom_store_verify(store, arguments->deep, &report, collect_damage, findings, &diag);
    int result;
    if (arguments->json) {
        result = cli_print_json(
            json_pack("{s:o, s:I, s:I, s:I, s:I, s:O}", "store", cli_path_json(arguments->path),
                      "generations", (json_int_t)report.generations, "pages",
                      (json_int_t)report.pages, "nodes", (json_int_t)report.nodes, "damaged",
                      (json_int_t)report.damaged, "findings", findings));
    } else {
        result = print_text(arguments->path, &report, findings);
    }
    json_decref(findings);
    return error != 0 ? cli_fail(error, &diag) : result;
}

static int run(int argc, char **argv)
{
    struct cli_store_arguments arguments;
    bool done;
    int result =
        cli_parse_store_arguments(&cli_command_verify, argc, argv, true, &arguments, &done);
    if (result != CLI_OK || done) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_recovery recovery;
    struct phantom_store *store;
    int error = phantom_store_open(arguments.path, &store, &recovery, &diag);
    if (error != 0) {
        return cli_fail(error, &diag);
    }
    if (recovery.incomplete != 0) {
        fprintf(stderr, "phantom: %s: generation %llu incomplete, verifying %llu\n", arguments.path,
                (unsigned long long)recovery.incomplete, (unsigned long long)recovery.opened);
    }
    result = verify(&arguments, store);
    phantom_store_close(store);
    return result;
}

const struct cli_command cli_command_verify = {
    "verify", "[--deep] [--json] STORE",
    "check all sums of the newest generation (--deep: of every one)",
    "  --deep            all retained generations, not only the newest\n"
    "  --json            one JSON document\n",
    run};
