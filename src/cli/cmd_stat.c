/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_stat.c - `phantom stat`: what a store is and how full it is.
 */
#include "cli.h"

static int print_text(const char *path, const struct phantom_store_info *info,
                      const struct phantom_recovery *recovery)
{
    const struct phantom_generation *g = &info->current;
    char time[40], hash[33], file[24], used[24], spare[24], metadata[24], live[24];
    cli_time_text(g->time_ns, time);
    cli_hash_text(g, hash);
    cli_bytes_text(info->file_bytes, file);
    cli_bytes_text(info->data_bytes_used, used);
    cli_bytes_text(info->data_bytes_free, spare);
    cli_bytes_text(info->metadata_bytes, metadata);
    cli_bytes_text(g->live_pages * 4096, live);
    printf("store          %s\n", path);
    printf("uuid           %s\n", info->uuid);
    printf("versions       store %u, heap layout %u, native classes %u\n", info->format_version,
           info->heap_layout_version, info->native_class_version);
    printf("file           %s: %s used, %s free, %s metadata\n", file, used, spare, metadata);
    printf("heap           %llu MiB at 0x%llx, %s live\n",
           (unsigned long long)(info->heap_size >> 20), (unsigned long long)info->heap_base, live);
    printf("generation     %llu of %s%s\n", (unsigned long long)g->number, time,
           g->sealed ? ", sealed" : "");
    printf("hash           %s\n", hash);
    printf("last snapshot  pause %.3f ms, %llu pages, %llu bytes\n", (double)g->pause_ns / 1e6,
           (unsigned long long)g->pages_written, (unsigned long long)g->bytes_written);
    printf("retained       %llu generations\n", (unsigned long long)info->generations);
    if (recovery->incomplete != 0) {
        printf("incomplete     generation %llu was not finished\n",
               (unsigned long long)recovery->incomplete);
    }
    return cli_finish_output();
}

static int print_document(const char *path, const struct phantom_store_info *info,
                          const struct phantom_recovery *recovery)
{
    json_t *document = json_pack(
        "{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "store",
        cli_path_json(path), "uuid", info->uuid, "format_version", (json_int_t)info->format_version,
        "heap_layout_version", (json_int_t)info->heap_layout_version, "native_class_version",
        (json_int_t)info->native_class_version, "heap_base", (json_int_t)info->heap_base,
        "heap_size", (json_int_t)info->heap_size, "file_bytes", (json_int_t)info->file_bytes,
        "data_bytes_used", (json_int_t)info->data_bytes_used, "data_bytes_free",
        (json_int_t)info->data_bytes_free, "metadata_bytes", (json_int_t)info->metadata_bytes,
        "generations", (json_int_t)info->generations, "incomplete",
        (json_int_t)recovery->incomplete, "current", cli_generation_json(&info->current));
    return cli_print_json(document);
}

static int run(int argc, char **argv)
{
    struct cli_store_arguments arguments;
    bool done;
    int result = cli_parse_store_arguments(&cli_command_stat, argc, argv, false, &arguments, &done);
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
    struct phantom_store_info info;
    phantom_store_info(store, &info);
    result = arguments.json ? print_document(arguments.path, &info, &recovery)
                            : print_text(arguments.path, &info, &recovery);
    phantom_store_close(store);
    return result;
}

const struct cli_command cli_command_stat = {"stat", "[--json] STORE",
                                             "show what a store is and how full it is",
                                             "  --json            one JSON document\n", run};
