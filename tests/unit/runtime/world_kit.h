/* SPDX-License-Identifier: Apache-2.0
 *
 * world_kit.h - what the tests of the public interface share: a folder of their own, options with
 * every callback connected to a log, and the shortest ways to open, finish and look at a world.
 */
#ifndef WORLD_KIT_H
#define WORLD_KIT_H

#include "ph_sanitizer.h"
#include "ph_test.h"

#include <phantom/phantom.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { KIT_TEXT = 1 << 20, KIT_SENTENCE = 8192 };

/** What the callbacks of one world said. `lock` guards all but the atomic members. */
struct kit_log {
    pthread_mutex_t lock;
    char *console; /* KIT_TEXT bytes, always terminated */
    size_t console_size;
    char failure[KIT_SENTENCE]; /* the last one */
    char message[KIT_SENTENCE]; /* the last one */
    unsigned failures, messages;
    struct phantom_generation last;
    bool numbers_increased;
    atomic_uint commits;
    /* phantom_stop() this world when so many commits, or so many console bytes, have been seen. */
    struct phantom_world *_Atomic stopped;
    atomic_uint stop_at_commits;
    atomic_size_t stop_at_console;
};

/** Call first in main(): argv is PROGRAM, folder of the examples' classes, folder of ours, ... */
void kit_begin(int argc, char **argv);
/** Call last: removes the folder. Returns what main() shall return. */
int kit_end(int failed);

/** A path in the folder; valid until the eighth call after this one. */
const char *kit_path(const char *name);
const char *kit_folder(void);
/** Number of files in the folder. Subfolders count too. */
unsigned kit_files(void);
/** Remove every file in the folder (no subfolders). */
void kit_clean(void);
const char *const *kit_class_paths(void);
void kit_sleep_ms(unsigned milliseconds);
/** A number from the seeded generator (PH_SEED). */
uint64_t kit_random(uint64_t below);

void kit_log_init(struct kit_log *log);
void kit_log_finish(struct kit_log *log);
void kit_log_clear_console(struct kit_log *log);

/** A small heap, checked snapshots, no periodic ones, the class folders, callbacks into log. */
struct phantom_options kit_options(struct kit_log *log, const char *boot_class);

/** Open; a failure ends the test with the sentence of the diag. */
struct phantom_world *kit_open(const char *name, const struct phantom_options *options);
/** phantom_open(), expected to fail with `error` and to leave *out alone. Returns the sentence. */
const char *kit_open_fails(const char *path, const struct phantom_options *options, int error);
/** Open, run to its end, close; what the program printed is in the log. */
void kit_run_to_end(const char *name, const struct phantom_options *options, int result);
/** Verify all generations of the store; returns the current one. */
struct phantom_generation kit_verify(const char *name);
/** The same for the current generation only: also beside a running writer. */
struct phantom_generation kit_verify_current(const char *name);

/** phantom_run() in a thread of its own. */
struct kit_runner {
    pthread_t thread;
    struct phantom_world *world;
    int result;
};
void kit_runner_start(struct kit_runner *runner, struct phantom_world *world);
int kit_runner_join(struct kit_runner *runner);

#define kit_assert_result(actual, expected)                                                        \
    do {                                                                                           \
        int kit_actual = (actual);                                                                 \
        if (kit_actual != (expected)) {                                                            \
            print_error("%s is %s, not %s\n", #actual, phantom_err_name(kit_actual),               \
                        phantom_err_name(expected));                                               \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

#endif /* WORLD_KIT_H */
