/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_support.c - exit codes, argument parsing and printing for the subcommands.
 */
#include "cli.h"

#include "cli_signals.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* What this run of the tool has said: one command a process. */
static struct {
    bool document; /* something was printed as JSON */
    char name[64], message[600];
} said;

int cli_exit_code(int error)
{
    switch (error) {
    case 0: return CLI_OK;
    case PHANTOM_EPROGRAM:
    case PHANTOM_EVERIFY:
    case PHANTOM_EQUOTA:
    case PHANTOM_EHEAPFULL: return CLI_PROGRAM_FAILED;
    case PHANTOM_EINVALID:
    case PHANTOM_EKEY:
    case -EEXIST:
    case PHANTOM_ENOTFOUND: return CLI_USAGE;
    case PHANTOM_EBUSY: return CLI_BUSY;
    case PHANTOM_ECORRUPT:
    case PHANTOM_EFORMAT: return CLI_DAMAGED;
    case PHANTOM_EVERSION:
    case PHANTOM_EUNSUPPORTED:
    case PHANTOM_EADDRESS: return CLI_UNSUPPORTED;
    default: return CLI_IO;
    }
}

static void remember(const char *name, const char *message)
{
    snprintf(said.name, sizeof said.name, "%s", name);
    snprintf(said.message, sizeof said.message, "%s", message);
}

void cli_print_clean(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            fprintf(out, "\\x%02x", c);
        } else {
            putc(c, out);
        }
    }
}

int cli_fail(int error, const struct phantom_diag *diag)
{
    const char *text = diag != NULL && diag->text[0] != '\0' ? diag->text : phantom_strerror(error);
    fprintf(stderr, "phantom: ");
    cli_print_clean(stderr, text);
    fprintf(stderr, " (%s)\n", phantom_err_name(error));
    remember(phantom_err_name(error), text);
    return cli_exit_code(error);
}

int cli_usage(const struct cli_command *command, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "phantom %s: ", command->name);
    cli_print_clean(stderr, text);
    fprintf(stderr, "\nusage: phantom %s %s\n", command->name, command->usage);
    remember("usage", text);
    return CLI_USAGE;
}

int cli_bad_option(const struct cli_command *command, char **argv)
{
    return cli_usage(command, "option '%s' is unknown or lacks its value", argv[optind - 1]);
}

void cli_help(const struct cli_command *command)
{
    bool takes_store = strstr(command->usage, "STORE") != NULL;
    printf("usage: phantom %s %s\n%s\n\n%s%s\nSee phantom(1).\n", command->name, command->usage,
           command->summary, command->options,
           takes_store
               ? "  --key-file FILE   key of an encrypted store: 32 bytes or 64 hex digits\n"
               : "");
}

int cli_parse_store_arguments(const struct cli_command *command, int argc, char **argv,
                              struct cli_store_arguments *out, bool *done)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"key-file", required_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    *out = (struct cli_store_arguments){0};
    *done = false;
    optind = 1;
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'j': out->json = true; break;
        case 'k': {
            int result = cli_take_key_file(command, optarg);
            if (result != CLI_OK) {
                return result;
            }
            break;
        }
        case 'h':
            cli_help(command);
            *done = true;
            return cli_finish_output();
        default: return cli_bad_option(command, argv);
        }
    }
    if (optind + 1 != argc) {
        return cli_usage(command, optind == argc ? "no store given" : "more than one store given");
    }
    out->path = argv[optind];
    return CLI_OK;
}

bool cli_parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < low || value > high) {
        return false;
    }
    *out = value;
    return true;
}

bool cli_parse_size(const char *text, uint64_t *out)
{
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    static const char units[] = "KMGT";
    unsigned shift = 0;
    if (*end != '\0') {
        const char *unit = strchr(units, toupper((unsigned char)*end));
        if (unit == NULL ||
            (end[1] != '\0' && strcasecmp(end + 1, "b") != 0 && strcasecmp(end + 1, "ib") != 0)) {
            return false;
        }
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (value > UINT64_MAX >> shift) {
        return false;
    }
    *out = (uint64_t)value << shift;
    return true;
}

int cli_finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return CLI_OK;
    }
    if (errno != EPIPE) {
        fprintf(stderr, "phantom: cannot write to stdout: %s\n", strerror(errno));
    }
    return CLI_IO;
}

int cli_print_json(json_t *document)
{
    said.document = true;
    bool dumped = document != NULL && json_dumpf(document, stdout, JSON_INDENT(2)) == 0;
    int saved = errno;
    json_decref(document);
    if (dumped) {
        putchar('\n');
    }
    errno = dumped ? errno : saved;
    int result = cli_finish_output();
    if (result == CLI_OK && !dumped) {
        fprintf(stderr, "phantom: cannot make the JSON document: %s\n", strerror(ENOMEM));
        result = CLI_IO;
    }
    return result;
}

void cli_hash_text(const struct phantom_generation *generation, char text[33])
{
    for (int i = 0; i < 16; i++) {
        snprintf(text + (ptrdiff_t)2 * i, 3, "%02x", generation->hash[i]);
    }
}

json_t *cli_generation_json(const struct phantom_generation *g)
{
    char hash[33];
    cli_hash_text(g, hash);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "generation",
                     (json_int_t)g->number, "parent", (json_int_t)g->parent, "time_ns",
                     (json_int_t)g->time_ns, "pause_ns", (json_int_t)g->pause_ns, "heap_pages",
                     (json_int_t)g->heap_pages, "live_pages", (json_int_t)g->live_pages,
                     "pages_written", (json_int_t)g->pages_written, "bytes_written",
                     (json_int_t)g->bytes_written, "hash", hash, "sealed", (int)g->sealed);
}

void cli_time_text(int64_t time_ns, char text[40])
{
    time_t seconds = (time_t)(time_ns / 1000000000);
    struct tm parts;
    char date[24];
    if (localtime_r(&seconds, &parts) == NULL ||
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        snprintf(text, 40, "?");
        return;
    }
    snprintf(text, 40, "%s.%03d", date, (int)(time_ns / 1000000 % 1000));
}

void cli_bytes_text(uint64_t bytes, char text[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(text, 24, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

json_t *cli_path_json(const char *path)
{
    json_t *text = json_string(path);
    if (text != NULL) {
        return text;
    }
    /* Byte by byte: whatever does not begin a valid sequence is replaced. */
    size_t length = strlen(path), used = 0;
    char *clean = malloc(3 * length + 1);
    if (clean == NULL) {
        return NULL;
    }
    for (size_t at = 0; at < length;) {
        size_t take = 0;
        for (size_t n = 1; n <= 4 && at + n <= length && take == 0; n++) {
            json_t *part = json_stringn(path + at, n);
            take = part != NULL ? n : 0;
            json_decref(part);
        }
        memcpy(clean + used, take != 0 ? path + at : "\xef\xbf\xbd", take != 0 ? take : 3);
        used += take != 0 ? take : 3;
        at += take != 0 ? take : 1;
    }
    text = json_stringn(clean, used);
    free(clean);
    return text;
}

static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        size_t length = strlen(argv[i]);
        if (length > 2 && strncmp(argv[i], "--json", length) == 0) {
            return true;
        }
    }
    return false;
}

int cli_end(int code, int argc, char **argv)
{
    cli_forget_key();
    cli_die_if_stopped();
    if (code != CLI_OK && !said.document && wants_json(argc, argv)) {
        json_t *message = cli_path_json(said.message);
        json_t *document = json_pack("{s:{s:s, s:o, s:i}}", "error", "name", said.name, "message",
                                     message, "exit", code);
        (void)cli_print_json(document);
    }
    return code;
}
