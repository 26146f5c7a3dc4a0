/* SPDX-License-Identifier: Apache-2.0
 *
 * world_kit.c - see world_kit.h. Owns the test's folder, which exists from kit_begin() to
 * kit_end().
 */
#include "world_kit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char folder[256];
static const char *class_paths[3];
static uint64_t random_state;

void kit_begin(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s EXAMPLE_CLASSES TEST_CLASSES\n", argv[0]);
        exit(2);
    }
    class_paths[0] = argv[1];
    class_paths[1] = argv[2];
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/phantom-runtime-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        exit(2);
    }
    const char *seed = getenv("PH_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 0) : 20250101;
    printf("PH_SEED=%llu\n", (unsigned long long)random_state);
}

int kit_end(int failed)
{
    kit_clean();
    if (rmdir(folder) != 0) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return 1;
    }
    return failed != 0;
}

const char *kit_path(const char *name)
{
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

const char *kit_folder(void)
{
    return folder;
}

static unsigned each_file(bool remove_it)
{
    unsigned count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            count++;
            if (remove_it) {
                unlinkat(dirfd(directory), entry->d_name, 0);
            }
        }
    }
    closedir(directory);
    return count;
}

unsigned kit_files(void)
{
    return each_file(false);
}

void kit_clean(void)
{
    each_file(true);
}

const char *const *kit_class_paths(void)
{
    return class_paths;
}

void kit_sleep_ms(unsigned milliseconds)
{
    struct timespec time = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

uint64_t kit_random(uint64_t below)
{
    random_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % below;
}

/* ---- the log -------------------------------------------------------------------------------- */

void kit_log_init(struct kit_log *log)
{
    memset(log, 0, sizeof(*log));
    pthread_mutex_init(&log->lock, NULL);
    log->console = calloc(1, KIT_TEXT);
    log->numbers_increased = true;
    assert_non_null(log->console);
}

void kit_log_finish(struct kit_log *log)
{
    free(log->console);
    pthread_mutex_destroy(&log->lock);
}

void kit_log_clear_console(struct kit_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->console_size = 0;
    log->console[0] = '\0';
    pthread_mutex_unlock(&log->lock);
}

static void stop_if(struct kit_log *log, bool reached)
{
    struct phantom_world *world = atomic_load(&log->stopped);
    if (reached && world != NULL) {
        phantom_stop(world);
    }
}

static void on_console(void *context, const char *bytes, size_t size)
{
    struct kit_log *log = context;
    pthread_mutex_lock(&log->lock);
    if (log->console_size + size < KIT_TEXT) {
        memcpy(log->console + log->console_size, bytes, size);
        log->console_size += size;
        log->console[log->console_size] = '\0';
    }
    size_t limit = atomic_load(&log->stop_at_console);
    bool reached = limit != 0 && log->console_size >= limit;
    pthread_mutex_unlock(&log->lock);
    stop_if(log, reached);
}

static void on_message(void *context, const char *text)
{
    struct kit_log *log = context;
    pthread_mutex_lock(&log->lock);
    log->messages++;
    snprintf(log->message, sizeof(log->message), "%s", text);
    pthread_mutex_unlock(&log->lock);
}

static void on_commit(void *context, const struct phantom_generation *generation)
{
    struct kit_log *log = context;
    pthread_mutex_lock(&log->lock);
    log->numbers_increased = log->numbers_increased && generation->number > log->last.number;
    log->last = *generation;
    pthread_mutex_unlock(&log->lock);
    unsigned commits = atomic_fetch_add(&log->commits, 1) + 1;
    unsigned limit = atomic_load(&log->stop_at_commits);
    stop_if(log, limit != 0 && commits >= limit);
}

static void on_failure(void *context, const char *text)
{
    struct kit_log *log = context;
    pthread_mutex_lock(&log->lock);
    log->failures++;
    snprintf(log->failure, sizeof(log->failure), "%s", text);
    pthread_mutex_unlock(&log->lock);
}

/* ---- worlds --------------------------------------------------------------------------------- */

struct phantom_options kit_options(struct kit_log *log, const char *boot_class)
{
    struct phantom_options options;
    phantom_options_init(&options);
    options.boot_class = boot_class;
    options.heap_size = UINT64_C(256) << 20;
    options.class_paths = class_paths;
    options.interval_ms = PHANTOM_NO_INTERVAL;
    options.check_snapshots = true;
    options.context = log;
    options.console = on_console;
    options.message = on_message;
    options.committed = on_commit;
    options.thread_failed = on_failure;
    return options;
}

struct phantom_world *kit_open(const char *name, const struct phantom_options *options)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_world *world = NULL;
    int result = phantom_open(kit_path(name), options, &world, &diag);
    if (result != 0) {
        print_error("%s: %s: %s\n", name, phantom_err_name(result), diag.text);
        fail();
    }
    assert_non_null(world);
    assert_string_equal(diag.text, ""); /* nothing to report */
    return world;
}

const char *kit_open_fails(const char *path, const struct phantom_options *options, int error)
{
    static struct phantom_diag diag;
    diag = (struct phantom_diag)PHANTOM_DIAG_INIT;
    struct phantom_world *untouched = (struct phantom_world *)&diag;
    struct phantom_world *world = untouched;
    int result = phantom_open(path, options, &world, &diag);
    if (result != error) {
        print_error("%s gives %s (%s), not %s\n", path, phantom_err_name(result), diag.text,
                    phantom_err_name(error));
        fail();
    }
    assert_ptr_equal(world, untouched);
    assert_true(diag.text[0] != '\0');
    return diag.text;
}

void kit_run_to_end(const char *name, const struct phantom_options *options, int result)
{
    struct phantom_world *world = kit_open(name, options);
    kit_assert_result(phantom_run(world), result);
    kit_assert_result(phantom_close(world), 0);
}

static void report_damage(void *context, const char *what)
{
    (void)context;
    print_error("damage: %s\n", what);
}

static struct phantom_generation verify(const char *name, bool all)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_store *store = NULL;
    struct phantom_verify_report report;
    struct phantom_store_info info;
    int result = phantom_store_open(kit_path(name), &store, NULL, &diag);
    if (result == 0) {
        result = phantom_store_verify(store, all, &report, report_damage, NULL, &diag);
    }
    if (result != 0) {
        print_error("%s: %s: %s\n", name, phantom_err_name(result), diag.text);
        fail();
    }
    assert_int_equal(report.damaged, 0);
    assert_true(report.generations > 0 && report.pages > 0);
    phantom_store_info(store, &info);
    phantom_store_close(store);
    return info.current;
}

struct phantom_generation kit_verify(const char *name)
{
    return verify(name, true);
}

struct phantom_generation kit_verify_current(const char *name)
{
    return verify(name, false);
}

static void *runner_main(void *argument)
{
    struct kit_runner *runner = argument;
    runner->result = phantom_run(runner->world);
    return NULL;
}

void kit_runner_start(struct kit_runner *runner, struct phantom_world *world)
{
    runner->world = world;
    assert_int_equal(pthread_create(&runner->thread, NULL, runner_main, runner), 0);
}

int kit_runner_join(struct kit_runner *runner)
{
    assert_int_equal(pthread_join(runner->thread, NULL), 0);
    return runner->result;
}
