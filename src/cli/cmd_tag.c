/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_tag.c - `phantom tag` and `phantom untag`: names that keep generations.
 */
#include "cli.h"

/* The number behind what the user called the generation. */
static int find(const char *path, const char *name, uint64_t *generation)
{
    struct phantom_store *store;
    int result = cli_open_store(path, &store);
    if (result == CLI_OK) {
        result = cli_find_generation(store, name, generation);
        phantom_store_close(store);
    }
    return result;
}

static int print_tag(const struct cli_arguments *arguments, const char *name, uint64_t generation)
{
    if ((arguments->given & CLI_JSON) != 0) {
        return cli_print_json(json_pack("{s:o, s:s, s:I}", "store",
                                        cli_path_json(arguments->operand[0]), "tag", name,
                                        "generation", (json_int_t)generation));
    }
    printf("generation %llu is '%s'\n", (unsigned long long)generation, name);
    return cli_finish_output();
}

static int run_tag(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result = cli_parse(&cli_command_tag, argc, argv, CLI_JSON, 2, 3, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    const char *path = arguments.operand[0], *name = arguments.operand[arguments.count - 1];
    uint64_t generation = 0;
    result = find(path, arguments.count == 3 ? arguments.operand[1] : NULL, &generation);
    if (result != CLI_OK) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int error = phantom_store_tag_keyed(path, cli_key(), generation, name, &diag);
    return error != 0 ? cli_fail(error, &diag) : print_tag(&arguments, name, generation);
}

static int run_untag(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result = cli_parse(&cli_command_untag, argc, argv, CLI_JSON, 2, 2, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int error =
        phantom_store_untag_keyed(arguments.operand[0], cli_key(), arguments.operand[1], &diag);
    if (error != 0) {
        return cli_fail(error, &diag);
    }
    if ((arguments.given & CLI_JSON) != 0) {
        return cli_print_json(json_pack("{s:o, s:s}", "store", cli_path_json(arguments.operand[0]),
                                        "untagged", arguments.operand[1]));
    }
    return CLI_OK;
}

const struct cli_command cli_command_tag = {
    "tag", "[--json] STORE [GENERATION] NAME", "name a generation and so keep it",
    "  GENERATION        a number or a tag; default: the newest\n"
    "  --json            one JSON document\n",
    run_tag};
const struct cli_command cli_command_untag = {"untag", "[--json] STORE NAME",
                                              "take a name away from a generation",
                                              "  --json            one JSON document\n", run_untag};
