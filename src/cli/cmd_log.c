/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_log.c - `phantom log`: the retained generations, newest last.
 */
#include "cli.h"

/* Tags as an array of {tag, generation}. */
static int add_tag(void *context, const struct phantom_tag *tag)
{
    return json_array_append_new(context, json_pack("{s:s, s:I}", "tag", tag->name, "generation",
                                                    (json_int_t)tag->generation));
}

/* The names of one generation. */
static json_t *tags_of(json_t *tags, uint64_t generation)
{
    json_t *names = json_array(), *tag;
    size_t i;
    json_array_foreach(tags, i, tag)
    {
        if ((uint64_t)json_integer_value(json_object_get(tag, "generation")) == generation) {
            json_array_append(names, json_object_get(tag, "tag"));
        }
    }
    return names;
}

struct listing {
    json_t *tags;
    json_t *rows; /* NULL: print */
};

static int show_row(void *context, const struct phantom_generation *g)
{
    const struct listing *listing = context;
    json_t *names = tags_of(listing->tags, g->number);
    if (listing->rows != NULL) {
        json_t *row = cli_generation_json(g);
        json_object_set_new(row, "tags", names);
        return json_array_append_new(listing->rows, row);
    }
    char time[40], hash[33], bytes[24];
    cli_time_text(g->time_ns, time);
    cli_hash_text(g, hash);
    cli_bytes_text(g->bytes_written, bytes);
    printf("%10llu  %s  pause %8.3f ms  %8llu pages  %10s  %.16s%s", (unsigned long long)g->number,
           time, (double)g->pause_ns / 1e6, (unsigned long long)g->pages_written, bytes, hash,
           g->sealed ? "" : "  unsealed");
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        printf("  [%s]", json_string_value(name));
    }
    printf("\n");
    json_decref(names);
    return 0;
}

static int show_lost(void *context, const struct phantom_lost *lost)
{
    const struct listing *listing = context;
    if (listing->rows != NULL) {
        return json_array_append_new(
            listing->rows,
            json_pack("{s:o, s:b, s:o, s:s}", "generation",
                      lost->generation != 0 ? json_integer((json_int_t)lost->generation)
                                            : json_null(),
                      "unreadable", 1, "block",
                      lost->block != PHANTOM_NO_BLOCK ? json_integer((json_int_t)lost->block)
                                                      : json_null(),
                      "text", lost->text));
    }
    if (lost->generation != 0) {
        printf("%10llu", (unsigned long long)lost->generation);
    } else {
        printf("%10s", "?");
    }
    printf("  unreadable: %s\n", lost->text);
    return 0;
}

static int run(int argc, char **argv)
{
    struct cli_store_arguments arguments;
    bool done;
    int result = cli_parse_store_arguments(&cli_command_log, argc, argv, &arguments, &done);
    if (result != CLI_OK || done) {
        return result;
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_store *store;
    int error = phantom_store_open_keyed(arguments.path, cli_key(), &store, NULL, &diag);
    if (error != 0) {
        return cli_fail(error, &diag);
    }
    struct listing listing = {json_array(), arguments.json ? json_array() : NULL};
    error = phantom_store_tags(store, add_tag, listing.tags);
    /* What cannot be read comes first: the newest generation stays last. */
    error = error == 0 ? phantom_store_lost(store, show_lost, &listing) : error;
    error = error == 0 ? phantom_store_log(store, show_row, &listing) : error;
    result = listing.rows != NULL ? cli_print_json(listing.rows) : cli_finish_output();
    json_decref(listing.tags);
    phantom_store_close(store);
    return error != 0 ? cli_fail(error, NULL) : result;
}

const struct cli_command cli_command_log = {"log", "[--json] STORE",
                                            "list the generations a store retains, with their tags",
                                            "  --json            one JSON document\n", run};
