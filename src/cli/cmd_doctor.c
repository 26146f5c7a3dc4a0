/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_doctor.c - `phantom doctor`: what this kernel, file system and container allow, and what will
 * be used instead of what they do not.
 */
#include "cli.h"

#include <getopt.h>
#include <string.h>

struct findings {
    json_t *items;
    json_t *strategies, *marked; /* the ladder for worlds, and where every store is marked */
    bool io_uring;
};

static void add_item(void *context, const struct phantom_probe_item *item)
{
    struct findings *findings = context;
    json_array_append_new(findings->items, json_pack("{s:s, s:b, s:s}", "name", item->name, "works",
                                                     (int)item->works, "detail", item->detail));
    if (!item->works && strcmp(item->name, "io_uring") == 0) {
        findings->io_uring = false;
    }
}

static void add_strategy(void *context, const struct phantom_strategy *strategy)
{
    json_array_append_new(
        context, json_pack("{s:s, s:b, s:s, s:s?, s:b, s:b}", "name", strategy->name, "usable",
                           (int)(strategy->why_not == NULL), "needs", strategy->needs, "why_not",
                           strategy->why_not, "chosen", (int)strategy->chosen, "on_request",
                           (int)strategy->on_request));
}

/** The name of the strategy that would be taken from such a list. */
static const char *chosen(json_t *strategies)
{
    size_t i;
    json_t *strategy;
    json_array_foreach(strategies, i, strategy)
    {
        if (json_is_true(json_object_get(strategy, "chosen"))) {
            return json_string_value(json_object_get(strategy, "name"));
        }
    }
    return "none";
}

static void print_strategies(json_t *strategies)
{
    size_t i;
    json_t *strategy;
    json_array_foreach(strategies, i, strategy)
    {
        const char *why_not = json_string_value(json_object_get(strategy, "why_not"));
        const char *needs = json_string_value(json_object_get(strategy, "needs"));
        bool asked = json_is_true(json_object_get(strategy, "on_request"));
        printf("%-4s %-9s %s%sneeds %s\n",
               why_not != NULL ? "no"
               : asked         ? "ask"
                               : "ok",
               json_string_value(json_object_get(strategy, "name")),
               why_not != NULL ? why_not
               : asked         ? "works, but only if it is asked for by name"
                               : "",
               why_not != NULL || asked ? "; " : "", needs);
    }
}

static int report(struct findings *findings, bool json)
{
    const char *io = findings->io_uring ? "io_uring" : "pwrite threads";
    const char *strategy = chosen(findings->strategies);
    const char *marked = chosen(findings->marked);
    if (json) {
        return cli_print_json(json_pack("{s:O, s:s, s:O, s:s, s:O, s:s}", "items", findings->items,
                                        "strategy", strategy, "strategies", findings->strategies,
                                        "strategy_marked", marked, "strategies_marked",
                                        findings->marked, "io", io));
    }
    size_t i;
    json_t *item;
    json_array_foreach(findings->items, i, item)
    {
        printf("%-4s %-22s %s\n", json_is_true(json_object_get(item, "works")) ? "ok" : "no",
               json_string_value(json_object_get(item, "name")),
               json_string_value(json_object_get(item, "detail")));
    }
    printf("\nsnapshot strategies for worlds, best first:\n");
    print_strategies(findings->strategies);
    printf("\nstrategy: %s for worlds and C spaces, %s for C spaces that say what they write\n",
           strategy, marked);
    if (strcmp(strategy, "full") == 0) {
        printf("          (dirty pages cannot be tracked here: each snapshot reads the whole "
               "heap)\n");
    }
    printf("store I/O: %s%s\n", io, findings->io_uring ? "" : " (io_uring is denied here)");
    return cli_finish_output();
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool json = false;
    optind = 1;
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            cli_help(&cli_command_doctor);
            return cli_finish_output();
        }
        if (option != 'j') {
            return cli_bad_option(&cli_command_doctor, argv);
        }
        json = true;
    }
    if (optind + 1 < argc) {
        return cli_usage(&cli_command_doctor, "more than one directory given");
    }
    struct findings findings = {.items = json_array(),
                                .strategies = json_array(),
                                .marked = json_array(),
                                .io_uring = true};
    phantom_probe_strategies(PHANTOM_FOR_WORLDS, add_strategy, findings.strategies);
    phantom_probe_strategies(PHANTOM_FOR_MARKED_SPACES, add_strategy, findings.marked);
    phantom_probe(optind < argc ? argv[optind] : ".", add_item, &findings);
    int result = report(&findings, json);
    json_decref(findings.items);
    json_decref(findings.strategies);
    json_decref(findings.marked);
    return result;
}

const struct cli_command cli_command_doctor = {"doctor", "[--json] [DIRECTORY]",
                                               "say what this machine allows and what will be used",
                                               "  --json            one JSON document\n", run};
