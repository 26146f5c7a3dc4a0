/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_run.c - `phantom run`: give birth to a world or let it go on.
 *
 * SIGINT, SIGTERM and SIGHUP stop the machine; a last snapshot is taken and the exit code is 0. A
 * second such signal while that snapshot is written kills at once (and loses nothing that was
 * committed). They are held back while the store is being opened or born.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run_state {
    const char *path;
    const char **class_paths;
    const char **environment;
    struct phantom_options options;
    struct phantom_world *world;
    int ack_fd;
    bool verbose;
    atomic_int output_error; /* errno of the first failed write to stdout or the ack descriptor */
};

static struct phantom_world *volatile world_to_stop;

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { STOP_SIGNALS = sizeof(stop_signals) / sizeof(stop_signals[0]) };

/** The next one of these signals kills, if it was ours to handle at all (nohup ignores SIGHUP). */
static void restore_signals(void)
{
    for (int i = 0; i < STOP_SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(stop_signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) {
            signal(stop_signals[i], SIG_DFL);
        }
    }
}

static void on_signal(int number)
{
    (void)number;
    struct phantom_world *world = world_to_stop;
    if (world != NULL) {
        phantom_stop(world);
    }
    restore_signals();
}

static void hold_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < STOP_SIGNALS; i++) {
        sigaddset(&set, stop_signals[i]);
    }
    sigprocmask(how, &set, NULL);
}

/** All of it, or the errno. */
static int write_fully(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n >= 0) {
            bytes += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static void output(struct run_state *state, int fd, const char *bytes, size_t size)
{
    int error = write_fully(fd, bytes, size);
    if (error == 0) {
        return;
    }
    int none = 0;
    atomic_compare_exchange_strong(&state->output_error, &none, error);
    if (world_to_stop != NULL) {
        phantom_stop(world_to_stop);
    }
}

static void on_console(void *context, const char *bytes, size_t size)
{
    output(context, STDOUT_FILENO, bytes, size);
}

static void on_message(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "phantom: ");
    cli_print_clean(stderr, text);
    fprintf(stderr, "\n");
}

static void on_committed(void *context, const struct phantom_generation *generation)
{
    struct run_state *state = context;
    char hash[33];
    cli_hash_text(generation, hash);
    if (state->ack_fd >= 0) {
        char line[80];
        int length = snprintf(line, sizeof(line), "ack %llu %s\n",
                              (unsigned long long)generation->number, hash);
        output(state, state->ack_fd, line, (size_t)length);
    }
    if (state->verbose) {
        char bytes[24];
        cli_bytes_text(generation->bytes_written, bytes);
        fprintf(stderr, "phantom: generation %llu, pause %.3f ms, %llu pages, %s written\n",
                (unsigned long long)generation->number, (double)generation->pause_ns / 1e6,
                (unsigned long long)generation->pages_written, bytes);
    }
}

static void on_thread_failed(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
}

/** A thread waits for a page that cannot be had; everything that was committed is safe. */
static void on_damaged(void *context, int error, const char *text)
{
    (void)context;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    snprintf(diag.text, sizeof(diag.text), "%s", text);
    _exit(cli_fail(error, &diag));
}

enum {
    OPT_BOOT = 256,
    OPT_CLASSES,
    OPT_INTERVAL,
    OPT_STRATEGY,
    OPT_ENV,
    OPT_HEAP,
    OPT_ACK_FD,
    OPT_WORKERS,
    OPT_NO_URING,
    OPT_EAGER,
    OPT_KEY_FILE,
    OPT_COMPRESS,
    OPT_CHECK
};

static const struct option run_options[] = {
    {"boot", required_argument, NULL, OPT_BOOT},
    {"classes", required_argument, NULL, OPT_CLASSES},
    {"interval", required_argument, NULL, OPT_INTERVAL},
    {"strategy", required_argument, NULL, OPT_STRATEGY},
    {"env", required_argument, NULL, OPT_ENV},
    {"heap", required_argument, NULL, OPT_HEAP},
    {"ack-fd", required_argument, NULL, OPT_ACK_FD},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"no-io-uring", no_argument, NULL, OPT_NO_URING},
    {"eager", no_argument, NULL, OPT_EAGER},
    {"key-file", required_argument, NULL, OPT_KEY_FILE},
    {"compress", required_argument, NULL, OPT_COMPRESS},
    {"check", no_argument, NULL, OPT_CHECK},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int set_number(const char *name, uint64_t low, uint64_t high, uint64_t *out)
{
    if (!cli_parse_number(optarg, low, high, out)) {
        return cli_usage(&cli_command_run, "--%s: '%s' is not a number from %llu to %llu", name,
                         optarg, (unsigned long long)low, (unsigned long long)high);
    }
    return CLI_OK;
}

/** One option; CLI_OK or CLI_USAGE after a message. */
static int take_option(struct run_state *state, int option, size_t *classes, size_t *variables)
{
    struct phantom_options *options = &state->options;
    uint64_t number = 0;
    int result = CLI_OK;
    switch (option) {
    case OPT_BOOT: options->boot_class = optarg; break;
    case OPT_CLASSES: state->class_paths[(*classes)++] = optarg; break;
    case OPT_STRATEGY: options->strategy = optarg; break;
    case OPT_NO_URING: options->without_io_uring = true; break;
    case OPT_EAGER: options->eager = true; break;
    case OPT_KEY_FILE: result = cli_take_key_file(&cli_command_run, optarg); break;
    case OPT_COMPRESS:
        options->compression = optarg;
        if (strcmp(optarg, "lz4") != 0 && strcmp(optarg, "none") != 0) {
            return cli_usage(&cli_command_run, "--compress: '%s' is neither lz4 nor none", optarg);
        }
        break;
    case OPT_CHECK: options->check_snapshots = true; break;
    case 'v': state->verbose = true; break;
    case OPT_INTERVAL:
        result = set_number("interval", 0, 86400000, &number);
        options->interval_ms = number == 0 ? PHANTOM_NO_INTERVAL : (uint32_t)number;
        break;
    case OPT_WORKERS:
        result = set_number("workers", 1, 1024, &number);
        options->workers = (unsigned)number;
        break;
    case OPT_ACK_FD:
        result = set_number("ack-fd", 0, 1 << 20, &number);
        state->ack_fd = (int)number;
        if (result == CLI_OK && fcntl(state->ack_fd, F_GETFD) < 0) {
            result =
                cli_usage(&cli_command_run, "--ack-fd: descriptor %d is not open", state->ack_fd);
        }
        break;
    case OPT_ENV:
        if (strchr(optarg, '=') == NULL || optarg[0] == '=') {
            return cli_usage(&cli_command_run, "--env: '%s' is not NAME=VALUE", optarg);
        }
        state->environment[(*variables)++] = optarg;
        break;
    case OPT_HEAP:
        if (!cli_parse_size(optarg, &options->heap_size) || options->heap_size == 0) {
            return cli_usage(&cli_command_run, "--heap: '%s' is not a size", optarg);
        }
        break;
    default: break;
    }
    return result;
}

static int parse(struct run_state *state, int argc, char **argv, bool *done)
{
    size_t classes = 0;
    size_t variables = 0;
    optind = 1;
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, "vh", run_options, NULL)) != -1) {
        if (option == 'h') {
            cli_help(&cli_command_run);
            *done = true;
            return cli_finish_output();
        }
        if (option == '?') {
            return cli_bad_option(&cli_command_run, argv);
        }
        int result = take_option(state, option, &classes, &variables);
        if (result != CLI_OK) {
            return result;
        }
    }
    if (optind + 1 != argc) {
        return cli_usage(&cli_command_run,
                         optind == argc ? "no store given" : "more than one store given");
    }
    state->path = argv[optind];
    return CLI_OK;
}

static void install_signals(struct phantom_world *world)
{
    world_to_stop = world;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < STOP_SIGNALS; i++) {
        struct sigaction old;
        if (sigaction(stop_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(stop_signals[i], &action, NULL);
        }
    }
}

static void print_store(const struct run_state *state)
{
    fprintf(stderr, "phantom: ");
    cli_print_clean(stderr, state->path);
    fprintf(stderr, ": ");
}

static void report_opening(const struct run_state *state)
{
    struct phantom_recovery recovery;
    phantom_recovered(state->world, &recovery);
    if (recovery.incomplete != 0) {
        print_store(state);
        fprintf(stderr, "generation %llu incomplete, opened %llu\n",
                (unsigned long long)recovery.incomplete, (unsigned long long)recovery.opened);
    }
    if (state->verbose) {
        print_store(state);
        if (recovery.opened != 0) {
            fprintf(stderr, "resuming generation %llu", (unsigned long long)recovery.opened);
        } else {
            fprintf(stderr, "born");
        }
        fprintf(stderr, " (strategy %s, %s)\n", phantom_strategy(state->world),
                phantom_io_backend(state->world));
    }
}

/** Run until the program or somebody else ends it. No signal touches the world afterwards. */
static int run_world(struct run_state *state)
{
    install_signals(state->world);
    hold_signals(SIG_UNBLOCK);
    int result = PHANTOM_ESTOPPED;
    if (atomic_load(&state->output_error) == 0) { /* the acknowledgement of the birth was written */
        result = phantom_run(state->world);
    }
    hold_signals(SIG_BLOCK);
    world_to_stop = NULL;
    restore_signals();
    hold_signals(SIG_UNBLOCK);
    return result;
}

static int exit_code(const struct run_state *state, int result, int closed)
{
    int output_error = atomic_load(&state->output_error);
    if (output_error != 0) {
        if (output_error != EPIPE) {
            fprintf(stderr, "phantom: cannot write output: %s\n", strerror(output_error));
        }
        return CLI_IO;
    }
    if (closed != 0) {
        return cli_exit_code(closed);
    }
    if (result == PHANTOM_EINVALID) { /* all threads wait for each other */
        return CLI_PROGRAM_FAILED;
    }
    return result == PHANTOM_ESTOPPED ? CLI_OK : cli_exit_code(result);
}

static int open_and_run(struct run_state *state)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    hold_signals(SIG_BLOCK);
    int result = phantom_open(state->path, &state->options, &state->world, &diag);
    if (result != 0) {
        bool missing = result == PHANTOM_ENOTFOUND;
        result = cli_fail(result, &diag);
        if (state->options.existing_only && missing) {
            fprintf(stderr,
                    "phantom: to give birth to a world there, say --boot CLASS --classes DIR\n");
        }
        return result;
    }
    report_opening(state);
    result = run_world(state);
    if (result != 0 && result != PHANTOM_ESTOPPED && result != PHANTOM_EPROGRAM) {
        snprintf(diag.text, sizeof(diag.text), "%s", phantom_message(state->world));
        cli_fail(result, &diag);
    }
    int closed = phantom_close(state->world);
    return exit_code(state, result, closed);
}

static int run(int argc, char **argv)
{
    struct run_state state = {.ack_fd = -1};
    phantom_options_init(&state.options);
    state.class_paths = calloc((size_t)argc + 1, sizeof(char *));
    state.environment = calloc((size_t)argc + 1, sizeof(char *));
    int result;
    if (state.class_paths == NULL || state.environment == NULL) {
        result = cli_fail(-ENOMEM, NULL);
        goto out;
    }
    state.options.class_paths = state.class_paths;
    state.options.environment = state.environment;
    state.options.context = &state;
    state.options.allow_signal_handlers = true; /* this process is ours */
    state.options.console = on_console;
    state.options.message = on_message;
    state.options.committed = on_committed;
    state.options.thread_failed = on_thread_failed;
    state.options.damaged = on_damaged;
    bool done = false;
    result = parse(&state, argc, argv, &done);
    state.options.existing_only = state.options.boot_class == NULL && state.class_paths[0] == NULL;
    if (cli_key() != NULL) {
        state.options.key = cli_key()->bytes;
        state.options.key_size = cli_key()->size;
    }
    if (result == CLI_OK && !done) {
        result = open_and_run(&state);
    }
out:
    free(state.class_paths);
    free(state.environment);
    return result;
}

const struct cli_command cli_command_run = {
    "run",
    "STORE [--boot CLASS] [--classes DIR]... [--interval MS] [--strategy NAME] [--env K=V]...\n"
    "           [--heap SIZE] [--workers N] [--ack-fd N] [--no-io-uring] [--eager] [--check]\n"
    "           [--compress lz4|none] [-v]",
    "create the world in STORE, or let it go on where it stopped",
    "  --boot CLASS      class whose method 8 gets the boot object (birth only)\n"
    "  --classes DIR     where class files are; may be repeated\n"
    "  --env K=V         entry of the kernel environment (birth only)\n"
    "  --heap SIZE       address range of the heap, 64M to 64G, default 64G (birth only)\n"
    "  --compress WHAT   lz4: compress pages; default none (birth only)\n"
    "  --interval MS     milliseconds between snapshots, default 1000; 0: only first and last\n"
    "  --strategy NAME   async, epoch, cards, sigbus, mprotect, fork or full; default:\n"
    "                    the best of async and full\n"
    "  --workers N       OS threads for the world's threads, default: one per CPU\n"
    "  --ack-fd N        write \"ack GENERATION HASH\" there when a generation is durable\n"
    "  --no-io-uring     write the store with ordinary threads\n"
    "  --eager           read and verify the whole world before it goes on\n"
    "  --check           compare each generation with the memory (slow, for tests)\n"
    "  -v, --verbose     one line per snapshot on stderr\n",
    run};
