/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_verify.c - `phantom verify`: check every checksum of a store.
 */
#include "cli.h"

#include <errno.h>

struct check {
    const char *path;
    struct cli_progress progress;
    json_t *findings; /* NULL: print them as they come */
};

static const char *kind_name(enum phantom_finding_kind kind)
{
    switch (kind) {
    case PHANTOM_FINDING_SUPERBLOCK: return "superblock";
    case PHANTOM_FINDING_RECORD: return "record";
    case PHANTOM_FINDING_CATALOG: return "catalog";
    case PHANTOM_FINDING_RUNS: return "runs";
    case PHANTOM_FINDING_NODE: return "node";
    case PHANTOM_FINDING_PAGE: return "page";
    case PHANTOM_FINDING_TOTALS: return "totals";
    }
    return "unknown";
}

/* A number, or null where there is none. */
static json_t *number_or_null(bool is, uint64_t number)
{
    return is ? json_integer((json_int_t)number) : json_null();
}

static void note_finding(void *context, const struct phantom_finding *finding)
{
    struct check *check = context;
    if (check->findings == NULL) {
        cli_progress_end(&check->progress);
        printf("damaged: ");
        cli_print_clean(stdout, finding->text);
        putchar('\n');
        return;
    }
    bool pages = finding->page_count != 0;
    json_array_append_new(
        check->findings,
        json_pack("{s:s, s:o, s:o, s:I, s:o, s:o}", "kind", kind_name(finding->kind), "generation",
                  number_or_null(finding->generation != 0, finding->generation), "page",
                  number_or_null(pages, finding->first_page), "pages",
                  (json_int_t)finding->page_count, "block",
                  number_or_null(finding->block != PHANTOM_NO_BLOCK, finding->block), "text",
                  cli_path_json(finding->text)));
}

static int print_document(const struct check *check, const struct phantom_verify_report *report)
{
    return cli_print_json(
        json_pack("{s:o, s:I, s:I, s:I, s:I, s:O}", "store", cli_path_json(check->path),
                  "generations", (json_int_t)report->generations, "pages",
                  (json_int_t)report->pages, "nodes", (json_int_t)report->nodes, "damaged",
                  (json_int_t)report->damaged, "findings", check->findings));
}

static int print_text(const struct check *check, const struct phantom_verify_report *report)
{
    cli_print_clean(stdout, check->path);
    printf(": %llu generations, %llu pages, %llu map nodes checked, %llu damaged\n",
           (unsigned long long)report->generations, (unsigned long long)report->pages,
           (unsigned long long)report->nodes, (unsigned long long)report->damaged);
    return cli_finish_output();
}

static int verify(const struct cli_arguments *arguments, struct phantom_store *store)
{
    bool json = (arguments->given & CLI_JSON) != 0;
    struct check check = {.path = arguments->operand[0], .findings = json ? json_array() : NULL};
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_verify_report report = {0};
    cli_progress_init(&check.progress, "verify", (arguments->given & CLI_PROGRESS) != 0);
    const struct phantom_verify_options options = {
        .size = sizeof(options),
        .all_generations = (arguments->given & CLI_DEEP) != 0,
        .finding = note_finding,
        .context = &check,
        .progress = &check.progress.progress,
    };
    int error = phantom_store_examine(store, &options, &report, &diag);
    cli_progress_end(&check.progress);
    int result = error == -ECANCELED ? CLI_OK
                 : json              ? print_document(&check, &report)
                                     : print_text(&check, &report);
    json_decref(check.findings);
    return error != 0 ? cli_fail(error, &diag) : result;
}

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result = cli_parse(&cli_command_verify, argc, argv, CLI_JSON | CLI_PROGRESS | CLI_DEEP, 1,
                           1, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    const char *path = arguments.operand[0];
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_recovery recovery;
    struct phantom_store *store;
    cli_catch_signals();
    int error = phantom_store_open_keyed(path, cli_key(), &store, &recovery, &diag);
    if (error != 0) {
        return cli_fail(error, &diag);
    }
    if (recovery.incomplete != 0) {
        fprintf(stderr, "phantom: ");
        cli_print_clean(stderr, path);
        fprintf(stderr, ": generation %llu incomplete, verifying %llu\n",
                (unsigned long long)recovery.incomplete, (unsigned long long)recovery.opened);
    }
    result = verify(&arguments, store);
    phantom_store_close(store);
    return result;
}

const struct cli_command cli_command_verify = {
    "verify", "[--deep] [--progress] [--json] STORE",
    "check all sums of the newest generation (--deep: of every one)",
    "  --deep            all retained generations, not only the newest\n"
    "  --progress        say how far it is, also if stderr is no terminal\n"
    "  --json            one JSON document\n",
    run};
