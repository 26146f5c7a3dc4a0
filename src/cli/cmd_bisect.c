/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_bisect.c - `phantom bisect`: the first bad generation, by halves. A command decides: it is
 * given a copy of a generation as a store of its own, and its exit code is the verdict, as for
 * other tools that bisect: 0 good, 1 to 124 bad, 125 cannot tell; anything else ends the search.
 *
 * The copies lie in a directory of their own, which is removed at every end but a kill -9.
 */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum verdict { UNKNOWN, GOOD, BAD, SKIPPED, GIVE_UP };
static const char *const verdict_names[] = {"unknown", "good", "bad", "skipped", "gave up"};

struct bisect {
    struct phantom_store *store;
    uint64_t *number; /* candidates, ascending */
    enum verdict *verdict;
    size_t count, capacity;
    size_t good, bad; /* indices of the newest good and the oldest bad one known */
    char **command;
    int command_count;
    bool quiet;
    char directory[512];
    char path[600];
    json_t *steps;
};

/* ---- one generation ------------------------------------------------------------------------- */

/* The command with the path in place of each "{}", or at its end. free() it. */
static char **command_for(struct bisect *b)
{
    char **arguments = calloc((size_t)b->command_count + 2, sizeof(*arguments));
    bool placed = false;
    for (int i = 0; arguments != NULL && i < b->command_count; i++) {
        bool here = strcmp(b->command[i], "{}") == 0;
        arguments[i] = here ? b->path : b->command[i];
        placed = placed || here;
    }
    if (arguments != NULL && !placed) {
        arguments[b->command_count] = b->path;
    }
    return arguments;
}

/* From before the command starts until it has ended, what may end the wait is blocked but for the
 * moments when we sleep: a signal that comes between a look and the sleep after it is not lost. */
struct watch {
    sigset_t before; /* the mask to go back to, and the command's */
    sigset_t asleep; /* while we sleep: the same, but the command's end is let through */
    struct sigaction child_before;
};

static void child_ended(int number)
{
    (void)number; /* sigsuspend() returns, that is all */
}

static void watch_begin(struct watch *watch)
{
    struct sigaction action = {.sa_handler = child_ended};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, &watch->child_before);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    sigprocmask(SIG_BLOCK, &blocked, &watch->before);
    watch->asleep = watch->before;
    sigdelset(&watch->asleep, SIGCHLD);
}

static void watch_end(const struct watch *watch)
{
    sigprocmask(SIG_SETMASK, &watch->before, NULL);
    sigaction(SIGCHLD, &watch->child_before, NULL);
}

/* Start it with its output on our stderr: stdout is for the outcome. 0 or an errno. */
static int start(char **arguments, const struct watch *watch, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &watch->before);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawnp(child, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

/* Wait for it; a signal that asks us to stop is passed on once. The wait status, or -1. */
static int wait_for(const struct watch *watch, pid_t child)
{
    int status = 0;
    bool told = false;
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended != 0) {
            return ended == child ? status : -1;
        }
        if (cli_stopped() && !told) {
            kill(child, SIGTERM);
            told = true;
        }
        sigsuspend(&watch->asleep);
    }
}

/* Run the command once. Its wait status, -1 or, where it could not be started, -2 and *error. */
static int run_command(char **arguments, int *error)
{
    struct watch watch;
    pid_t child = 0;
    watch_begin(&watch);
    *error = start(arguments, &watch, &child);
    int status = *error == 0 ? wait_for(&watch, child) : -2;
    watch_end(&watch);
    return status;
}

static enum verdict judge(struct bisect *b)
{
    char **arguments = command_for(b);
    int error = ENOMEM;
    int status = arguments != NULL ? run_command(arguments, &error) : -2;
    free(arguments);
    if (status == -2) {
        fprintf(stderr, "phantom: %s: %s\n", b->command[0], strerror(error));
        return GIVE_UP;
    }
    if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) > 125) {
        if (!cli_stopped()) {
            fprintf(stderr, "phantom: %s ended with %s %d, which is no verdict\n", b->command[0],
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        return GIVE_UP;
    }
    int code = WEXITSTATUS(status);
    return code == 0 ? GOOD : code == 125 ? SKIPPED : BAD;
}

/* Also what the command made beside the copy. */
static void empty_directory(const char *directory)
{
    DIR *entries = opendir(directory);
    if (entries == NULL) {
        return;
    }
    for (struct dirent *e; (e = readdir(entries)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            unlinkat(dirfd(entries), e->d_name, 0);
        }
    }
    closedir(entries);
}

/* 0 or an error; the verdict is noted. */
static int try_one(struct bisect *b, size_t i, struct phantom_diag *diag)
{
    struct cli_progress progress;
    cli_progress_init(&progress, "copy", false);
    int error = cli_stopped() ? -ECANCELED
                              : phantom_store_copy(b->store, b->number[i], b->path, PHANTOM_REPLACE,
                                                   &progress.progress, NULL, diag);
    cli_progress_end(&progress);
    if (error == PHANTOM_ENOTFOUND) { /* dropped by a running writer meanwhile */
        b->verdict[i] = SKIPPED;
        return 0;
    }
    if (error != 0) {
        return error;
    }
    b->verdict[i] = judge(b);
    empty_directory(b->directory);
    json_array_append_new(b->steps, json_pack("{s:I, s:s}", "generation", (json_int_t)b->number[i],
                                              "verdict", verdict_names[b->verdict[i]]));
    if (!b->quiet) {
        fprintf(stderr, "phantom: generation %llu: %s\n", (unsigned long long)b->number[i],
                verdict_names[b->verdict[i]]);
    }
    return b->verdict[i] == GIVE_UP ? cli_stopped() ? -ECANCELED : PHANTOM_EPROGRAM : 0;
}

/* ---- the search ----------------------------------------------------------------------------- */

/* The candidate nearest to the middle of (good, bad) that was not skipped; 0: none is left. */
static size_t next_candidate(const struct bisect *b)
{
    size_t middle = b->good + (b->bad - b->good) / 2;
    for (size_t away = 0; away < b->bad - b->good; away++) {
        if (middle + away < b->bad && b->verdict[middle + away] == UNKNOWN) {
            return middle + away;
        }
        if (middle > b->good + away && b->verdict[middle - away] == UNKNOWN) {
            return middle - away;
        }
    }
    return 0;
}

static int search(struct bisect *b, struct phantom_diag *diag)
{
    for (size_t i; (i = next_candidate(b)) != 0;) {
        int error = try_one(b, i, diag);
        if (error != 0) {
            return error;
        }
        b->good = b->verdict[i] == GOOD ? i : b->good;
        b->bad = b->verdict[i] == BAD ? i : b->bad;
    }
    return 0;
}

static int collect(void *context, const struct phantom_generation *g)
{
    struct bisect *b = context;
    if (b->count == b->capacity) {
        b->capacity = b->capacity != 0 ? 2 * b->capacity : 256;
        uint64_t *more = realloc(b->number, b->capacity * sizeof(*more));
        if (more == NULL) {
            return -ENOMEM;
        }
        b->number = more;
    }
    b->number[b->count++] = g->number;
    return 0;
}

static int index_of(const struct bisect *b, const char *name, size_t *out)
{
    uint64_t number = 0;
    int result = cli_find_generation(b->store, name, &number);
    for (size_t i = 0; result == CLI_OK && i < b->count; i++) {
        *out = b->number[i] == number ? i : *out;
    }
    return result;
}

/* Both ends as the user gave them; those not given are the oldest and the newest, and are tried. */
static int find_ends(struct bisect *b, const struct cli_arguments *arguments,
                     struct phantom_diag *diag)
{
    b->bad = b->count - 1;
    int result = arguments->good != NULL ? index_of(b, arguments->good, &b->good) : CLI_OK;
    if (result == CLI_OK && arguments->bad != NULL) {
        result = index_of(b, arguments->bad, &b->bad);
    }
    if (result != CLI_OK) {
        return result;
    }
    if (b->good >= b->bad) {
        return cli_usage(&cli_command_bisect, "the good generation must be older than the bad one");
    }
    int error = arguments->good == NULL ? try_one(b, b->good, diag) : 0;
    error = error == 0 && arguments->bad == NULL ? try_one(b, b->bad, diag) : error;
    if (error != 0) {
        return cli_fail(error, diag);
    }
    if (arguments->good == NULL && b->verdict[b->good] != GOOD) {
        return cli_usage(
            &cli_command_bisect, "the oldest generation %llu is %s; name one with --good",
            (unsigned long long)b->number[b->good], verdict_names[b->verdict[b->good]]);
    }
    if (arguments->bad == NULL && b->verdict[b->bad] != BAD) {
        return cli_usage(&cli_command_bisect,
                         "the newest generation %llu is %s; name one with --bad",
                         (unsigned long long)b->number[b->bad], verdict_names[b->verdict[b->bad]]);
    }
    return CLI_OK;
}

static int print_outcome(const struct bisect *b, const struct cli_arguments *arguments)
{
    json_t *skipped = json_array();
    for (size_t i = b->good + 1; i < b->bad; i++) { /* all that is left between was skipped */
        json_array_append_new(skipped, json_integer((json_int_t)b->number[i]));
    }
    if ((arguments->given & CLI_JSON) != 0) {
        return cli_print_json(json_pack(
            "{s:o, s:I, s:I, s:o, s:O}", "store", cli_path_json(arguments->operand[0]), "first_bad",
            (json_int_t)b->number[b->bad], "last_good", (json_int_t)b->number[b->good],
            "skipped_between", skipped, "steps", b->steps));
    }
    printf("generation %llu is the first bad one; %llu is good\n",
           (unsigned long long)b->number[b->bad], (unsigned long long)b->number[b->good]);
    if (json_array_size(skipped) != 0) {
        printf("or one of the %zu between them, about which the command could not tell\n",
               json_array_size(skipped));
    }
    json_decref(skipped);
    return cli_finish_output();
}

static int make_directory(struct bisect *b)
{
    const char *base = getenv("TMPDIR");
    int length = snprintf(b->directory, sizeof(b->directory), "%s/phantom-bisect-XXXXXX",
                          base != NULL && base[0] != '\0' ? base : "/var/tmp");
    if (length < 0 || (size_t)length >= sizeof(b->directory) || mkdtemp(b->directory) == NULL) {
        struct phantom_diag diag = PHANTOM_DIAG_INIT;
        snprintf(diag.text, sizeof(diag.text), "no temporary directory: %s", strerror(errno));
        b->directory[0] = '\0';
        return cli_fail(-errno, &diag);
    }
    snprintf(b->path, sizeof(b->path), "%s/generation.phantom", b->directory);
    return CLI_OK;
}

static int bisect(struct bisect *b, const struct cli_arguments *arguments)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int error = phantom_store_log(b->store, collect, b);
    b->verdict = error == 0 ? calloc(b->count + 1, sizeof(*b->verdict)) : NULL;
    if (b->verdict == NULL || b->count < 2) {
        return b->verdict != NULL
                   ? cli_usage(&cli_command_bisect, "the store has fewer than two generations")
                   : cli_fail(-ENOMEM, NULL);
    }
    int result = make_directory(b);
    result = result == CLI_OK ? find_ends(b, arguments, &diag) : result;
    if (result != CLI_OK) {
        return result;
    }
    error = search(b, &diag);
    return error != 0 ? cli_fail(error, &diag) : print_outcome(b, arguments);
}

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int result =
        cli_parse(&cli_command_bisect, argc, argv, CLI_JSON | CLI_GOOD_BAD, 2, argc, &arguments);
    if (result != CLI_OK || arguments.done) {
        return result;
    }
    struct bisect b = {.command = arguments.operand + 1,
                       .command_count = arguments.count - 1,
                       .steps = json_array()};
    cli_catch_signals();
    result = cli_open_store(arguments.operand[0], &b.store);
    if (result == CLI_OK) {
        result = bisect(&b, &arguments);
        phantom_store_close(b.store);
    }
    if (b.directory[0] != '\0') {
        empty_directory(b.directory);
        rmdir(b.directory);
    }
    json_decref(b.steps);
    free(b.number);
    free(b.verdict);
    return result;
}

const struct cli_command cli_command_bisect = {
    "bisect", "[--good G] [--bad G] [--json] STORE -- COMMAND [ARGUMENT]...",
    "find the first generation that a command calls bad",
    "  --good G          known to be good; default: the oldest, which is tried\n"
    "  --bad G           known to be bad; default: the newest, which is tried\n"
    "  COMMAND           gets the path of a copy of the generation in place of {}, or at its end;\n"
    "                    exit code 0 good, 1 to 124 bad, 125 cannot tell\n"
    "  --json            one JSON document\n",
    run};
