/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_long.c - what commands that take long, or take more than a store's name, have in common:
 * options, signals and telling how far they are.
 */
#include "cli.h"

#include "cli_signals.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- signals -------------------------------------------------------------------------------- */

static volatile sig_atomic_t caught_signal;

static void on_signal(int number)
{
    caught_signal = number;
}

void cli_catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action = {.sa_handler = on_signal};
        struct sigaction before;
        sigemptyset(&action.sa_mask);
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(numbers[i], &action, NULL); /* no SA_RESTART: a blocked write() returns */
        }
    }
}

bool cli_stopped(void)
{
    return caught_signal != 0;
}

void cli_die_if_stopped(void)
{
    if (caught_signal != 0) {
        int number = caught_signal;
        signal(number, SIG_DFL);
        raise(number);
    }
}

/* ---- progress ------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int show_step(void *context, uint64_t done, uint64_t total)
{
    struct cli_progress *p = context;
    if (cli_stopped()) {
        return 1;
    }
    int64_t now = p->shown ? now_ns() : 0;
    if (!p->shown || now - p->last_ns < INT64_C(200000000)) {
        return 0;
    }
    p->last_ns = now;
    unsigned percent = total != 0 && done <= total ? (unsigned)(done * 100 / total) : 100;
    fprintf(stderr,
            p->terminal ? "\rphantom: %s: %3u %%, %llu pages " : "phantom: %s: %u %%, %llu pages\n",
            p->what, percent, (unsigned long long)done);
    p->drawn = true;
    return 0;
}

void cli_progress_init(struct cli_progress *p, const char *what, bool wanted)
{
    *p = (struct cli_progress){.what = what, .terminal = isatty(STDERR_FILENO) == 1};
    p->shown = wanted || p->terminal;
    p->progress = (struct phantom_progress){sizeof(p->progress), p, show_step};
    if (wanted) {
        p->last_ns = 0; /* the first step is told at once */
    } else {
        p->last_ns = now_ns();
    }
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->drawn && p->terminal) {
        fprintf(stderr, "\r%60s\r", "");
    }
    p->drawn = false;
}

/* ---- arguments ------------------------------------------------------------------------------ */

static const struct option all_options[] = {{"json", no_argument, NULL, CLI_JSON},
                                            {"progress", no_argument, NULL, CLI_PROGRESS},
                                            {"force", no_argument, NULL, CLI_FORCE},
                                            {"partial", no_argument, NULL, CLI_PARTIAL},
                                            {"bytes", no_argument, NULL, CLI_BYTES},
                                            {"deep", no_argument, NULL, CLI_DEEP},
                                            {"generation", required_argument, NULL, CLI_GENERATION},
                                            {"good", required_argument, NULL, CLI_GOOD_BAD},
                                            {"bad", required_argument, NULL, CLI_GOOD_BAD},
                                            {"prometheus", no_argument, NULL, CLI_PROMETHEUS},
                                            {"objects", no_argument, NULL, CLI_OBJECTS},
                                            {"list", no_argument, NULL, CLI_LIST},
                                            {"compress", required_argument, NULL, CLI_COMPRESS},
                                            {"key-file", required_argument, NULL, CLI_KEY_FILE},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
enum { OPTION_COUNT = sizeof(all_options) / sizeof(all_options[0]) };

/* The options a command knows; getopt_long() says the rest is unknown. */
static void choose_options(unsigned known, struct option out[OPTION_COUNT])
{
    unsigned count = 0;
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (all_options[i].name == NULL || all_options[i].val == 'h' ||
            ((known | CLI_KEY_FILE) & (unsigned)all_options[i].val) != 0) {
            out[count++] = all_options[i];
        }
    }
}

int cli_parse(const struct cli_command *command, int argc, char **argv, unsigned known, int least,
              int most, struct cli_arguments *out)
{
    struct option options[OPTION_COUNT];
    choose_options(known, options);
    *out = (struct cli_arguments){0};
    optind = 1;
    opterr = 0;
    int option, which = 0;
    while ((option = getopt_long(argc, argv, "h", options, &which)) != -1) {
        switch (option) {
        case 'h':
            cli_help(command);
            out->done = true;
            return cli_finish_output();
        case '?': return cli_bad_option(command, argv);
        case CLI_KEY_FILE: {
            int result = cli_take_key_file(command, optarg);
            if (result != CLI_OK) {
                return result;
            }
            continue; /* what is given says what the command is to do */
        }
        case CLI_COMPRESS:
            out->compress = strcmp(optarg, "lz4") == 0    ? PHANTOM_COMPRESS_LZ4
                            : strcmp(optarg, "none") == 0 ? PHANTOM_COMPRESS_NONE
                                                          : 0;
            if (out->compress == 0) {
                return cli_usage(command, "--compress: '%s' is neither lz4 nor none", optarg);
            }
            break;
        case CLI_GENERATION: out->generation = optarg; break;
        case CLI_GOOD_BAD:
            if (strcmp(options[which].name, "good") == 0) {
                out->good = optarg;
            } else {
                out->bad = optarg;
            }
            break;
        default: break;
        }
        out->given |= (unsigned)option;
    }
    out->operand = argv + optind;
    out->count = argc - optind;
    if (out->count < least) {
        return cli_usage(command, out->count == 0 ? "no store given" : "something is missing");
    }
    if (out->count > most) {
        return cli_usage(command, "'%s' is one too many", out->operand[most]);
    }
    return CLI_OK;
}

int cli_open_store(const char *path, struct phantom_store **out)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int error = phantom_store_open_keyed(path, cli_key(), out, NULL, &diag);
    return error == 0 ? CLI_OK : cli_fail(error, &diag);
}

int cli_find_generation(struct phantom_store *store, const char *name, uint64_t *out)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int error = phantom_store_find(store, name != NULL ? name : "newest", out, &diag);
    return error == 0 ? CLI_OK : cli_fail(error, &diag);
}
