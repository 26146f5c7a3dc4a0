/* SPDX-License-Identifier: Apache-2.0
 *
 * cli.h - what the subcommands of `phantom` share. Data goes to stdout, messages to stderr.
 */
#ifndef CLI_H
#define CLI_H

#include <phantom/phantom.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** Exit codes, part of the interface (man phantom). */
enum cli_exit {
    CLI_OK = 0,
    CLI_PROGRAM_FAILED = 1,
    CLI_USAGE = 2,
    CLI_BUSY = 3,
    CLI_DAMAGED = 4,
    CLI_IO = 5,
    CLI_UNSUPPORTED = 6
};

struct cli_command {
    const char *name;
    const char *usage;                 /* one line after the name */
    const char *summary;               /* one line */
    const char *options;               /* a line for each, for --help */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

extern const struct cli_command cli_command_run, cli_command_stat, cli_command_log,
    cli_command_verify, cli_command_doctor, cli_command_tag, cli_command_untag, cli_command_diff,
    cli_command_rollback, cli_command_copy, cli_command_clone, cli_command_bisect,
    cli_command_salvage, cli_command_compact;

/** The exit code that belongs to an error of the library. */
int cli_exit_code(int error);
/** "phantom: " and the message on stderr; returns the exit code for error. */
int cli_fail(int error, const struct phantom_diag *diag);
/** A usage message on stderr; returns CLI_USAGE. */
int cli_usage(const struct cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** After getopt_long() returned '?': names the option; returns CLI_USAGE. */
int cli_bad_option(const struct cli_command *command, char **argv);
/** Usage of one command on stdout, for --help. */
void cli_help(const struct cli_command *command);

/**
 * The end of a command: when it failed before it printed a document and one was asked for, print
 * {"error": {...}}. When a signal asked it to stop, die by that signal. Returns the exit code.
 */
int cli_end(int code, int argc, char **argv);

/**
 * The key of the store, from the file that --key-file names: 32 bytes, or 64 hexadecimal digits and
 * perhaps the end of a line. Others must not be able to read the file. CLI_OK, or the code to end
 * with after a message. The key is kept until cli_end() wipes it.
 */
int cli_take_key_file(const struct cli_command *command, const char *path);
/** NULL: none was given. */
const struct phantom_key *cli_key(void);
void cli_forget_key(void);

/** What commands may be given besides operands; each knows some. */
enum cli_option {
    CLI_JSON = 1,
    CLI_PROGRESS = 2,
    CLI_FORCE = 4,
    CLI_PARTIAL = 8,
    CLI_BYTES = 16,
    CLI_DEEP = 64,
    CLI_GENERATION = 128,
    CLI_GOOD_BAD = 256,
    CLI_PROMETHEUS = 512,
    CLI_OBJECTS = 1024,
    CLI_LIST = 2048,
    CLI_COMPRESS = 8192,
    CLI_KEY_FILE = 4096 /* every command that takes a store knows it */
};
struct cli_arguments {
    unsigned given; /* enum cli_option */
    const char *generation, *good, *bad;
    unsigned compress; /* PHANTOM_COMPRESS_LZ4, PHANTOM_COMPRESS_NONE or 0 */
    char **operand;
    int count;
    bool done; /* help was printed */
};
/** Parse what `known` allows, with `least` to `most` operands. CLI_OK, or the code to end with. */
int cli_parse(const struct cli_command *command, int argc, char **argv, unsigned known, int least,
              int most, struct cli_arguments *out);

/** Open the first operand, or fail as cli_fail() does. */
int cli_open_store(const char *path, struct phantom_store **out);
/** A generation or tag that the user named; NULL: the newest. As cli_fail() on failure. */
int cli_find_generation(struct phantom_store *store, const char *name, uint64_t *out);

/** From now on SIGINT, SIGTERM and SIGHUP only ask for an end, which cli_stopped() tells. */
void cli_catch_signals(void);
bool cli_stopped(void);

/** Tells on stderr how far a long command is, if that is a terminal or --progress was given. */
struct cli_progress {
    struct phantom_progress progress; /* for the library */
    const char *what;
    bool shown, drawn, terminal;
    int64_t last_ns;
};
void cli_progress_init(struct cli_progress *progress, const char *what, bool wanted);
void cli_progress_end(struct cli_progress *progress);

/** A path (any bytes) as JSON text: what is not UTF-8 becomes U+FFFD. */
json_t *cli_path_json(const char *path);
/** Text for people, with control characters made visible. */
void cli_print_clean(FILE *out, const char *text);

/** Commands that look at one store take [--json] STORE. */
struct cli_store_arguments {
    const char *path;
    bool json;
};
/** CLI_OK, or the exit code to end with; *done: help was printed, end with CLI_OK. */
int cli_parse_store_arguments(const struct cli_command *command, int argc, char **argv,
                              struct cli_store_arguments *out, bool *done);

/** Whole number in [low, high]; false on anything else (sign, spaces, junk, overflow). */
bool cli_parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *out);
/** Bytes: digits and an optional suffix K, M, G, T (powers of 1024), also as KiB, KB, ... */
bool cli_parse_size(const char *text, uint64_t *out);

/** Print a document on stdout and free it; returns CLI_OK or CLI_IO. */
int cli_print_json(json_t *document);
/** Flush stdout; a failed write (full disk, closed pipe) is CLI_IO. */
int cli_finish_output(void);
/** A generation as a JSON object. */
json_t *cli_generation_json(const struct phantom_generation *generation);
/** 32 hex digits of a generation's hash. */
void cli_hash_text(const struct phantom_generation *generation, char text[33]);
/** Local time with milliseconds, for people. */
void cli_time_text(int64_t time_ns, char text[40]);
/** "12.3 MiB", for people. */
void cli_bytes_text(uint64_t bytes, char text[24]);

#endif /* CLI_H */
