/* SPDX-License-Identifier: Apache-2.0
 *
 * phc_main.c - the command `phc`: reads sources, runs the compiler, writes class files.
 *
 * Every class file is first written under a temporary name in its folder and renamed when all of
 * them are complete, so a failed run leaves nothing behind and never half a file.
 */
#include "compiler.h"

#include "ph_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_SOURCE = 1, EXIT_USAGE = 2 };

struct arguments {
    const char *output;
    const char **folders;
    size_t folder_count;
    const char **files;
    size_t file_count;
    bool all_warnings;
    bool no_warnings;
};

static const char usage_text[] =
    "usage: phc [-o DIR] [-I DIR]... [-Wall] [-w] FILE.ph...\n"
    "  -o DIR   put the class files there (default: the current folder)\n"
    "  -I DIR   look there for classes: NAME.pc, then NAME.ph\n"
    "  -Wall    also warn of what is usual in old programs\n"
    "  -w       no warnings\n"
    "  --version, --help\n";

/* Read to the end: the size of a file may change, and pipes have none. */
static int read_stream(FILE *stream, struct bc_bytes *out)
{
    size_t size = 0;
    size_t capacity = 64 << 10;
    uint8_t *data = ph_alloc(capacity);
    while (data) {
        size += fread(data + size, 1, capacity - size, stream);
        if (size < capacity || size > COMPILER_MAX_SOURCE_BYTES) {
            break;
        }
        capacity *= 2;
        uint8_t *larger = ph_realloc(data, capacity);
        if (!larger) {
            ph_free(data);
        }
        data = larger;
    }
    if (!data) {
        return -ENOMEM;
    }
    int error = ferror(stream) ? -EIO : size > COMPILER_MAX_SOURCE_BYTES ? -EFBIG : 0;
    if (error) {
        ph_free(data);
        return error;
    }
    *out = (struct bc_bytes){.data = data, .size = (uint32_t)size};
    return 0;
}

static int read_file(void *context, const char *path, struct bc_bytes *out)
{
    (void)context;
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        return -errno;
    }
    int error = read_stream(stream, out);
    fclose(stream);
    return error;
}

/* Value of an option given as `-oDIR` or `-o DIR`; NULL when there is none. */
static const char *option_value(char **argv, int argc, int *i)
{
    if (argv[*i][2]) {
        return argv[*i] + 2;
    }
    return *i + 1 < argc ? argv[++*i] : NULL;
}

/* 0: go on; else leave with status *status. */
static int parse_arguments(int argc, char **argv, struct arguments *a, int *status)
{
    bool options = true;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!options || arg[0] != '-' || !arg[1]) {
            a->files[a->file_count++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            options = false;
        } else if (strcmp(arg, "--help") == 0 || strcmp(arg, "--version") == 0) {
            fputs(arg[2] == 'h' ? usage_text : "phc " PHC_VERSION "\n", stdout);
            *status = EXIT_OK;
            return -1;
        } else if (arg[1] == 'o') {
            a->output = option_value(argv, argc, &i);
        } else if (arg[1] == 'I') {
            a->folders[a->folder_count++] = option_value(argv, argc, &i);
        } else if (strcmp(arg, "-Wall") == 0) {
            a->all_warnings = true;
        } else if (strcmp(arg, "-w") == 0) {
            a->no_warnings = true;
        } else {
            fprintf(stderr, "phc: unknown option '%s'\n%s", arg, usage_text);
            *status = EXIT_USAGE;
            return -1;
        }
    }
    bool missing = !a->output || (a->folder_count && !a->folders[a->folder_count - 1]);
    if (missing || a->file_count == 0) {
        fprintf(stderr, "phc: %s\n%s", missing ? "an option needs a folder" : "no source file",
                usage_text);
        *status = EXIT_USAGE;
        return -1;
    }
    return 0;
}

static void format_version(char *out, size_t size)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    struct timespec now = {0};
    struct tm tm;
    if (epoch && *epoch) {
        now.tv_sec = (time_t)strtoll(epoch, NULL, 10);
    } else if (clock_gettime(CLOCK_REALTIME, &now)) {
        now.tv_sec = 0;
    }
    if (!gmtime_r(&now.tv_sec, &tm) || tm.tm_year + 1900 > 9999 || tm.tm_year + 1900 < 0) {
        now = (struct timespec){0};
        gmtime_r(&now.tv_sec, &tm);
    }
    char text[64];
    snprintf(text, sizeof(text), "%04d%02d%02d%02d%02d%02d%03d", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now.tv_nsec / 1000000));
    snprintf(out, size, "%.17s", text);
}

/* Path of a class file, or of its temporary. ph_alloc'ed. */
static char *output_path(const char *folder, const char *name, bool temporary)
{
    size_t size = strlen(folder) + strlen(name) + 48;
    char *path = ph_alloc(size);
    if (path && temporary) {
        snprintf(path, size, "%s/%s.pc.%ld.tmp", folder, name, (long)getpid());
    } else if (path) {
        snprintf(path, size, "%s/%s.pc", folder, name);
    }
    return path;
}

static int write_file(const char *path, const struct bc_bytes *bytes)
{
    FILE *stream = fopen(path, "wb");
    if (!stream) {
        return -errno;
    }
    int error = 0;
    if (bytes->size && fwrite(bytes->data, bytes->size, 1, stream) != 1) {
        error = -EIO;
    }
    if (fclose(stream) && !error) {
        error = -errno;
    }
    return error;
}

static int for_temporary(const char *folder, const struct compiler_class *class, bool finish)
{
    char *from = output_path(folder, class->name, true);
    char *to = output_path(folder, class->name, false);
    int error = from && to ? 0 : -ENOMEM;
    if (!error && finish && rename(from, to)) {
        error = -errno;
    }
    if (!error && !finish) {
        error = write_file(from, &class->file);
    }
    if (error) {
        fprintf(stderr, "phc: %s: %s\n", to ? to : class->name, phantom_strerror(error));
    }
    ph_free(from);
    ph_free(to);
    return error;
}

static void remove_temporaries(const char *folder, const struct compiler_result *result)
{
    for (size_t i = 0; i < result->class_count; i++) {
        char *path = output_path(folder, result->classes[i].name, true);
        if (path) {
            remove(path);
        }
        ph_free(path);
    }
}

static int write_classes(const char *folder, const struct compiler_result *result)
{
    int error = 0;
    for (size_t i = 0; i < result->class_count && !error; i++) {
        error = for_temporary(folder, &result->classes[i], false);
    }
    for (size_t i = 0; i < result->class_count && !error; i++) {
        error = for_temporary(folder, &result->classes[i], true);
    }
    if (error) {
        remove_temporaries(folder, result);
    }
    return error;
}

static int read_sources(const struct arguments *a, struct compiler_source *sources,
                        struct bc_bytes *texts)
{
    for (size_t i = 0; i < a->file_count; i++) {
        int error = read_file(NULL, a->files[i], &texts[i]);
        if (error) {
            fprintf(stderr, "phc: %s: %s\n", a->files[i], phantom_strerror(error));
            return error;
        }
        sources[i] = (struct compiler_source){
            .file_name = a->files[i], .text = (const char *)texts[i].data, .size = texts[i].size};
    }
    return 0;
}

static int compile(const struct arguments *a, const struct compiler_source *sources)
{
    char version[18];
    struct compiler_result *result = NULL;
    format_version(version, sizeof(version));
    struct compiler_options options = {.sources = sources,
                                       .source_count = a->file_count,
                                       .import_folders = a->folders,
                                       .import_folder_count = a->folder_count,
                                       .read_file = read_file,
                                       .version = version,
                                       .all_warnings = a->all_warnings,
                                       .no_warnings = a->no_warnings};
    int error = compiler_run(&options, &result);
    if (!result) {
        fprintf(stderr, "phc: %s\n", phantom_strerror(error));
        return error;
    }
    fputs(result->messages, stderr);
    if (!error) {
        error = write_classes(a->output, result);
    }
    compiler_result_destroy(result);
    return error;
}

int main(int argc, char **argv)
{
    size_t count = (size_t)argc + 1;
    struct arguments a = {.output = "."};
    struct compiler_source *sources = ph_zalloc(count, sizeof(*sources));
    struct bc_bytes *texts = ph_zalloc(count, sizeof(*texts));
    a.folders = ph_zalloc(count, sizeof(*a.folders));
    a.files = ph_zalloc(count, sizeof(*a.files));
    int status = EXIT_SOURCE;
    if (!sources || !texts || !a.folders || !a.files) {
        fprintf(stderr, "phc: %s\n", phantom_strerror(-ENOMEM));
    } else if (parse_arguments(argc, argv, &a, &status) == 0) {
        bool failed = read_sources(&a, sources, texts) || compile(&a, sources);
        status = failed ? EXIT_SOURCE : EXIT_OK;
    }
    for (size_t i = 0; texts && i < a.file_count; i++) {
        ph_free(texts[i].data);
    }
    ph_free(texts);
    ph_free(sources);
    ph_free(a.folders);
    ph_free(a.files);
    return status;
}
