/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_stat.c - `phantom stat`: what a store is and how full it is.
 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

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
    printf("store          ");
    cli_print_clean(stdout, path);
    printf("\nuuid           %s%s%s\n", info->uuid, info->encrypted ? ", encrypted" : "",
           info->compressed ? ", compressed (lz4)" : "");
    if (info->heap_layout_version == PHANTOM_LAYOUT_SPACE) {
        printf("versions       store %u, the space of a C program, layout %u\n",
               info->format_version, info->heap_layout_version & 0xffff);
    } else {
        printf("versions       store %u, heap layout %u, native classes %u\n", info->format_version,
               info->heap_layout_version, info->native_class_version);
    }
    printf("file           %s: %s used, %s free, %s metadata\n", file, used, spare, metadata);
    printf("heap           %llu MiB at 0x%llx, %s live\n",
           (unsigned long long)(info->heap_size >> 20), (unsigned long long)info->heap_base, live);
    printf("generation     %llu of %s%s\n", (unsigned long long)g->number, time,
           g->sealed ? ", sealed" : "");
    printf("hash           %s\n", hash);
    printf("last snapshot  pause %.3f ms, %llu pages, %llu bytes\n", (double)g->pause_ns / 1e6,
           (unsigned long long)g->pages_written, (unsigned long long)g->bytes_written);
    printf("retained       %llu generations", (unsigned long long)info->generations);
    if (info->unreadable != 0) {
        printf(", %llu unreadable: see phantom log", (unsigned long long)info->unreadable);
    }
    printf("\n");
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
        "{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:b, s:b}",
        "store", cli_path_json(path), "uuid", info->uuid, "format_version",
        (json_int_t)info->format_version, "heap_layout_version",
        (json_int_t)info->heap_layout_version, "native_class_version",
        (json_int_t)info->native_class_version, "heap_base", (json_int_t)info->heap_base,
        "heap_size", (json_int_t)info->heap_size, "file_bytes", (json_int_t)info->file_bytes,
        "data_bytes_used", (json_int_t)info->data_bytes_used, "data_bytes_free",
        (json_int_t)info->data_bytes_free, "metadata_bytes", (json_int_t)info->metadata_bytes,
        "generations", (json_int_t)info->generations, "unreadable", (json_int_t)info->unreadable,
        "incomplete", (json_int_t)recovery->incomplete, "current",
        cli_generation_json(&info->current), "encrypted", (int)info->encrypted, "compressed",
        (int)info->compressed);
    return cli_print_json(document);
}

static int print_metrics(const struct phantom_store *store, const struct phantom_recovery *recovery)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    int length = phantom_store_prometheus(store, recovery, now_ns, NULL, 0, &diag);
    char *text = length >= 0 ? malloc((size_t)length + 1) : NULL;
    if (text != NULL) {
        length = phantom_store_prometheus(store, recovery, now_ns, text, (size_t)length + 1, &diag);
    } else if (length >= 0) {
        length = -ENOMEM;
    }
    if (length >= 0) {
        fputs(text, stdout);
    }
    free(text);
    return length >= 0 ? cli_finish_output() : cli_fail(length, &diag);
}

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result =
        cli_parse(&cli_command_stat, argc, argv, CLI_JSON | CLI_PROMETHEUS, 1, 1, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    if (arguments.given == (CLI_JSON | CLI_PROMETHEUS)) {
        return cli_usage(&cli_command_stat, "--json or --prometheus, not both");
    }
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_recovery recovery;
    struct phantom_store *store;
    const char *path = arguments.operand[0];
    int error = phantom_store_open_keyed(path, cli_key(), &store, &recovery, &diag);
    if (error != 0) {
        return cli_fail(error, &diag);
    }
    struct phantom_store_info info;
    phantom_store_info(store, &info);
    result = (arguments.given & CLI_PROMETHEUS) != 0 ? print_metrics(store, &recovery)
             : (arguments.given & CLI_JSON) != 0     ? print_document(path, &info, &recovery)
                                                     : print_text(path, &info, &recovery);
    phantom_store_close(store);
    return result;
}

const struct cli_command cli_command_stat = {"stat", "[--json | --prometheus] STORE",
                                             "show what a store is and how full it is",
                                             "  --json            one JSON document\n"
                                             "  --prometheus      text that Prometheus reads\n",
                                             run};
