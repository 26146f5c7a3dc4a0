/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_rollback.c - `phantom rollback`: an earlier generation becomes the newest, undoably.
 */
#include "cli.h"

static int print_outcome(const struct cli_arguments *arguments, uint64_t wanted,
                         const struct phantom_rollback *outcome)
{
    const char *path = arguments->operand[0];
    if ((arguments->given & CLI_JSON) != 0) {
        return cli_print_json(json_pack("{s:o, s:I, s:o, s:I, s:s}", "store", cli_path_json(path),
                                        "rolled_back_to", (json_int_t)wanted, "generation",
                                        cli_generation_json(&outcome->made), "undo",
                                        (json_int_t)outcome->undo, "undo_tag", outcome->undo_tag));
    }
    printf("generation %llu has the memory of generation %llu\n",
           (unsigned long long)outcome->made.number, (unsigned long long)wanted);
    printf("to undo: phantom rollback ");
    cli_print_clean(stdout, path);
    if (outcome->undo_tag[0] != '\0') {
        printf(" %s\n", outcome->undo_tag);
    } else {
        printf(" %llu\n", (unsigned long long)outcome->undo);
    }
    return cli_finish_output();
}

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result = cli_parse(&cli_command_rollback, argc, argv, CLI_JSON, 2, 2, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    struct phantom_store *store;
    uint64_t generation = 0;
    result = cli_open_store(arguments.operand[0], &store);
    if (result != CLI_OK) {
        return result;
    }
    result = cli_find_generation(store, arguments.operand[1], &generation);
    phantom_store_close(store);
    if (result != CLI_OK) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_rollback outcome = {0};
    int error =
        phantom_store_rollback_keyed(arguments.operand[0], cli_key(), generation, &outcome, &diag);
    return error != 0 ? cli_fail(error, &diag) : print_outcome(&arguments, generation, &outcome);
}

const struct cli_command cli_command_rollback = {"rollback", "[--json] STORE GENERATION",
                                                 "make an earlier generation the newest one",
                                                 "  GENERATION        a number or a tag\n"
                                                 "  --json            one JSON document\n",
                                                 run};
