/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_diff.c - `phantom diff`: what differs between two generations, as pages and bytes; as objects
 * in diff_objects.c.
 */
#include "cli_diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 4096 };

struct cli_diff {
    struct phantom_store *store;
    uint64_t from, to, heap_base;
    struct phantom_page_range *range;
    size_t count, capacity;
    uint64_t pages[4]; /* by enum phantom_change */
};

static const char *const change_names[] = {"", "added", "removed", "changed"};

static int collect_range(void *context, const struct phantom_page_range *range)
{
    struct cli_diff *diff = context;
    if (diff->count == diff->capacity) {
        size_t capacity = diff->capacity != 0 ? 2 * diff->capacity : 256;
        void *more = realloc(diff->range, capacity * sizeof(*diff->range));
        if (more == NULL) {
            return -ENOMEM;
        }
        diff->range = more;
        diff->capacity = capacity;
    }
    diff->range[diff->count++] = *range;
    diff->pages[range->change] += range->count;
    return cli_stopped() ? -ECANCELED : 0;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

struct byte_run {
    struct cli_diff *diff;
    json_t *rows; /* NULL: print */
    uint64_t first, count;
    uint64_t total;
};

static void end_run(struct byte_run *run)
{
    if (run->count == 0) {
        return;
    }
    if (run->rows != NULL) {
        json_array_append_new(run->rows, json_pack("{s:I, s:I}", "offset", (json_int_t)run->first,
                                                   "bytes", (json_int_t)run->count));
    } else {
        printf("  bytes 0x%llx + %llu\n", (unsigned long long)run->diff->heap_base + run->first,
               (unsigned long long)run->count);
    }
    run->total += run->count;
    run->count = 0;
}

static int compare_page(struct byte_run *run, uint64_t page, struct phantom_diag *diag)
{
    static const size_t join = 8; /* equal bytes between two differences that are not worth a row */
    uint8_t from[PAGE_BYTES], to[PAGE_BYTES];
    struct cli_diff *diff = run->diff;
    int result = phantom_store_read_page(diff->store, diff->from, page, from, diag);
    result = result < 0 ? result : phantom_store_read_page(diff->store, diff->to, page, to, diag);
    for (size_t i = 0; result >= 0 && i < PAGE_BYTES; i++) {
        uint64_t at = page * PAGE_BYTES + i;
        if (from[i] == to[i]) {
            continue;
        }
        if (run->count != 0 && at - (run->first + run->count) > join) {
            end_run(run);
        }
        run->first = run->count == 0 ? at : run->first;
        run->count = at + 1 - run->first;
    }
    return result < 0 ? result : 0;
}

static int compare_bytes(struct byte_run *run, const struct phantom_page_range *range,
                         struct phantom_diag *diag)
{
    for (uint64_t i = 0; i < range->count; i++) {
        int result = cli_stopped() ? -ECANCELED : compare_page(run, range->first + i, diag);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

/* ---- printing ------------------------------------------------------------------------------- */

static int print_text(struct cli_diff *diff, unsigned given, struct phantom_diag *diag)
{
    struct byte_run run = {.diff = diff};
    for (size_t i = 0; i < diff->count; i++) {
        const struct phantom_page_range *range = &diff->range[i];
        printf("%-8s pages %llu-%llu (%llu)\n", change_names[range->change],
               (unsigned long long)range->first,
               (unsigned long long)(range->first + range->count - 1),
               (unsigned long long)range->count);
        if ((given & CLI_BYTES) != 0) {
            int error = compare_bytes(&run, range, diag);
            end_run(&run);
            if (error != 0) {
                return cli_fail(error, diag);
            }
        }
    }
    char bytes[24];
    cli_bytes_text((diff->pages[1] + diff->pages[2] + diff->pages[3]) * PAGE_BYTES, bytes);
    printf("%llu pages added, %llu removed, %llu changed: %s", (unsigned long long)diff->pages[1],
           (unsigned long long)diff->pages[2], (unsigned long long)diff->pages[3], bytes);
    if ((given & CLI_BYTES) != 0) {
        printf(", of which %llu bytes differ", (unsigned long long)run.total);
    }
    printf("\n");
    return cli_finish_output();
}

static int print_document(struct cli_diff *diff, const char *path, unsigned given,
                          struct phantom_diag *diag)
{
    json_t *ranges = json_array();
    struct byte_run run = {.diff = diff, .rows = json_array()};
    int error = 0;
    for (size_t i = 0; i < diff->count && error == 0; i++) {
        const struct phantom_page_range *range = &diff->range[i];
        json_array_append_new(ranges,
                              json_pack("{s:s, s:I, s:I}", "change", change_names[range->change],
                                        "first_page", (json_int_t)range->first, "pages",
                                        (json_int_t)range->count));
        if ((given & CLI_BYTES) != 0) {
            error = compare_bytes(&run, range, diag);
        }
    }
    end_run(&run);
    json_t *document = json_pack(
        "{s:o, s:I, s:I, s:I, s:{s:I, s:I, s:I}, s:O}", "store", cli_path_json(path), "from",
        (json_int_t)diff->from, "to", (json_int_t)diff->to, "heap_base",
        (json_int_t)diff->heap_base, "pages", "added", (json_int_t)diff->pages[1], "removed",
        (json_int_t)diff->pages[2], "changed", (json_int_t)diff->pages[3], "ranges", ranges);
    if ((given & CLI_BYTES) != 0) {
        json_object_set(document, "byte_ranges", run.rows);
        json_object_set_new(document, "bytes_changed", json_integer((json_int_t)run.total));
    }
    json_decref(ranges);
    json_decref(run.rows);
    if (error != 0) {
        json_decref(document);
        return cli_fail(error, diag);
    }
    return cli_print_json(document);
}

static int compare(struct cli_diff *diff, const struct cli_arguments *arguments)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_store_info info;
    phantom_store_info(diff->store, &info);
    diff->heap_base = info.heap_base;
    int result = cli_find_generation(diff->store, arguments->operand[1], &diff->from);
    if (result == CLI_OK) {
        result = cli_find_generation(
            diff->store, arguments->count > 2 ? arguments->operand[2] : NULL, &diff->to);
    }
    if (result != CLI_OK) {
        return result;
    }
    if ((arguments->given & CLI_OBJECTS) != 0) {
        return cli_diff_objects(diff->store, diff->from, diff->to, arguments);
    }
    int error = phantom_store_diff(diff->store, diff->from, diff->to, collect_range, diff, &diag);
    if (error != 0) {
        return cli_fail(error, &diag);
    }
    return (arguments->given & CLI_JSON) != 0
               ? print_document(diff, arguments->operand[0], arguments->given, &diag)
               : print_text(diff, arguments->given, &diag);
}

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result = cli_parse(&cli_command_diff, argc, argv,
                           CLI_JSON | CLI_BYTES | CLI_OBJECTS | CLI_LIST, 2, 3, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    if ((arguments.given & CLI_BYTES) != 0 && (arguments.given & CLI_OBJECTS) != 0) {
        return cli_usage(&cli_command_diff, "--bytes and --objects do not go together");
    }
    if ((arguments.given & CLI_LIST) != 0 && (arguments.given & CLI_OBJECTS) == 0) {
        return cli_usage(&cli_command_diff, "--list needs --objects");
    }
    struct cli_diff diff = {0};
    cli_catch_signals();
    result = cli_open_store(arguments.operand[0], &diff.store);
    if (result == CLI_OK) {
        result = compare(&diff, &arguments);
        phantom_store_close(diff.store);
    }
    free(diff.range);
    return result;
}

const struct cli_command cli_command_diff = {
    "diff", "[--bytes | --objects [--list]] [--json] STORE FROM [TO]",
    "show what differs between two generations",
    "  FROM, TO          numbers or tags; TO is the newest by default\n"
    "  --bytes           also which bytes differ\n"
    "  --objects         which objects were created, freed and changed, by class\n"
    "  --list            with --objects: each of them\n"
    "  --json            one JSON document\n",
    run};
