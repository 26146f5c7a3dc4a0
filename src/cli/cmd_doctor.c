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
    bool tracking, io_uring;
};

static void add_item(void *context, const struct phantom_probe_item *item)
{
    struct findings *findings = context;
    json_array_append_new(findings->items, json_pack("{s:s, s:b, s:s}", "name", item->name, "works",
                                                     (int)item->works, "detail", item->detail));
    if (!item->works &&
        (strcmp(item->name, "userfaultfd") == 0 || strcmp(item->name, "wp_async") == 0 ||
         strcmp(item->name, "pagemap_scan") == 0)) {
        findings->tracking = false;
    }
    if (!item->works && strcmp(item->name, "io_uring") == 0) {
        findings->io_uring = false;
    }
}

static int report(struct findings *findings, bool json)
{
    const char *strategy = findings->tracking ? "async" : "full";
    const char *io = findings->io_uring ? "io_uring" : "pwrite threads";
    if (json) {
        return cli_print_json(
            json_pack("{s:O, s:s, s:s}", "items", findings->items, "strategy", strategy, "io", io));
    }
    size_t i;
    json_t *item;
    json_array_foreach(findings->items, i, item)
    {
        printf("%-4s %-22s %s\n", json_is_true(json_object_get(item, "works")) ? "ok" : "no",
               json_string_value(json_object_get(item, "name")),
               json_string_value(json_object_get(item, "detail")));
    }
    printf("\nstrategy: %s%s\n", strategy,
           findings->tracking ? ""
                              : " (dirty pages cannot be tracked here: each snapshot reads the "
                                "whole heap)");
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
    struct findings findings = {.items = json_array(), .tracking = true, .io_uring = true};
    phantom_probe(optind < argc ? argv[optind] : ".", add_item, &findings);
    int result = report(&findings, json);
    json_decref(findings.items);
    return result;
}

const struct cli_command cli_command_doctor = {"doctor", "[--json] [DIRECTORY]",
                                               "say what this machine allows and what will be used",
                                               "  --json            one JSON document\n", run};
