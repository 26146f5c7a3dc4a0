/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime_open.c - birth, opening and options. Usage: see kit_begin().
 */
#include "world_kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUM ".test.runtime.sum"

static int setup(void **state)
{
    struct kit_log *log = calloc(1, sizeof(*log));
    kit_log_init(log);
    *state = log;
    return 0;
}

static int teardown(void **state)
{
    struct kit_log *log = *state;
    kit_log_finish(log);
    free(log);
    kit_clean();
    return 0;
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void birth_leaves_one_private_file_with_a_first_generation(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, SUM);
    struct phantom_world *world = kit_open("a.phantom", &options);
    assert_int_equal(kit_files(), 1);
    struct stat info;
    assert_int_equal(stat(kit_path("a.phantom"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(log->commits, 1);
    assert_int_equal(log->last.number, 1);
    assert_int_equal(log->console_size, 0); /* nothing runs before phantom_run() */
    struct phantom_recovery recovery;
    phantom_recovered(world, &recovery);
    assert_int_equal(recovery.incomplete, 0);
    assert_string_equal(phantom_message(world), "");
    assert_true(strlen(phantom_strategy(world)) > 0 && strlen(phantom_io_backend(world)) > 0);
    kit_assert_result(phantom_close(world), 0);
    assert_int_equal(log->commits, 1); /* nothing ran: no last snapshot */
    assert_int_equal(kit_files(), 1);
    assert_int_equal(kit_verify("a.phantom").number, 1);
}

static void a_birth_that_fails_leaves_no_file(void **state)
{
    struct phantom_options options = kit_options(*state, ".test.runtime.absent");
    const char *path = kit_path("a.phantom");
    assert_non_null(strstr(kit_open_fails(path, &options, PHANTOM_ENOTFOUND), "absent"));
    assert_int_equal(kit_files(), 0);
    options.class_paths = NULL;
    kit_open_fails(path, &options, PHANTOM_ENOTFOUND);
    options.class_paths = (const char *const[]){"/nonexistent", NULL};
    kit_open_fails(path, &options, PHANTOM_ENOTFOUND);
    options = kit_options(*state, NULL); /* the default boot class is not among the tests' */
    assert_non_null(strstr(kit_open_fails(path, &options, PHANTOM_ENOTFOUND), "system.boot"));
    options = kit_options(*state, SUM);
    options.strategy = "telepathy";
    kit_open_fails(path, &options, PHANTOM_EINVALID);
    assert_int_equal(kit_files(), 0);
    assert_int_equal(((struct kit_log *)*state)->commits, 0);
}

static void a_boot_class_that_is_not_valid_is_refused(void **state)
{
    struct phantom_options options = kit_options(*state, ".broken");
    options.class_paths = (const char *const[]){kit_folder(), NULL};
    write_file(kit_path("broken.pc"), "this is no class file", 21);
    assert_non_null(
        strstr(kit_open_fails(kit_path("a.phantom"), &options, PHANTOM_EVERIFY), "broken.pc"));
    write_file(kit_path("broken.pc"), "", 0);
    kit_open_fails(kit_path("a.phantom"), &options, PHANTOM_EVERIFY);
    assert_int_equal(kit_files(), 1);
}

static void bad_options_are_refused_and_create_nothing(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    const char *path = kit_path("a.phantom");
    struct phantom_world *world = NULL;
    kit_assert_result(phantom_open(NULL, &options, &world, NULL), PHANTOM_EINVALID);
    kit_assert_result(phantom_open("", &options, &world, NULL), PHANTOM_EINVALID);
    kit_assert_result(phantom_open(path, &options, NULL, NULL), PHANTOM_EINVALID);
    options.size = 0;
    kit_open_fails(path, &options, PHANTOM_EINVALID);
    options.size = sizeof(options) + 8; /* a newer caller */
    kit_open_fails(path, &options, PHANTOM_EINVALID);
    options.size = offsetof(struct phantom_options, class_paths) + 4; /* half a pointer */
    kit_open_fails(path, &options, PHANTOM_EINVALID);
    options = kit_options(*state, "test.runtime.sum");
    kit_open_fails(path, &options, PHANTOM_EINVALID);
    options = kit_options(*state, SUM);
    options.heap_size = 4096;
    kit_open_fails(path, &options, PHANTOM_EINVALID);
    options.heap_size = (UINT64_C(64) << 30) + 1;
    kit_open_fails(path, &options, PHANTOM_EINVALID);
    options.heap_size = UINT64_MAX;
    kit_open_fails(path, &options, PHANTOM_EINVALID);
    assert_null(world);
    assert_int_equal(kit_files(), 0);
}

static void a_shorter_struct_of_an_older_host_is_read_to_its_end_only(void **state)
{
    struct kit_log *log = *state;
    union {
        struct phantom_options options;
        unsigned char bytes[sizeof(struct phantom_options)];
    } old;
    old.options = kit_options(log, SUM);
    size_t end = offsetof(struct phantom_options, strategy);
    memset(old.bytes + end, 0x5A, sizeof(old) - end); /* not the host's: never looked at */
    old.options.size = end;
    kit_run_to_end("a.phantom", &old.options, 0);
    assert_int_equal(log->console_size, 0); /* the callback was behind the end */
}

static void existing_only_never_gives_birth(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    options.existing_only = true;
    kit_open_fails(kit_path("a.phantom"), &options, PHANTOM_ENOTFOUND);
    assert_int_equal(kit_files(), 0);
    options.existing_only = false;
    kit_assert_result(phantom_close(kit_open("a.phantom", &options)), 0);
    options.existing_only = true;
    kit_run_to_end("a.phantom", &options, 0);
}

static void birth_options_do_not_matter_to_an_existing_world(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.environment");
    options.environment = (const char *const[]){"first=1", "second=a b=c", "empty=", NULL};
    struct phantom_world *world = kit_open("a.phantom", &options);
    kit_assert_result(phantom_close(world), 0);
    options.environment = (const char *const[]){"third=3", NULL};
    options.boot_class = ".test.runtime.absent";
    options.class_paths = NULL; /* all classes are in the world by now */
    options.heap_size = UINT64_C(128) << 20;
    kit_run_to_end("a.phantom", &options, 0);
    assert_string_equal(log->console, "first=1\nsecond=a b=c\nempty=\n");
}

static void a_second_opening_is_busy(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, SUM);
    struct phantom_world *world = kit_open("a.phantom", &options);
    assert_non_null(
        strstr(kit_open_fails(kit_path("a.phantom"), &options, PHANTOM_EBUSY), "a.phantom"));
    pid_t child = fork();
    if (child == 0) {
        struct phantom_world *other = NULL;
        _exit(phantom_open(kit_path("a.phantom"), &options, &other, NULL) == PHANTOM_EBUSY ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    kit_assert_result(phantom_run(world), 0); /* unharmed */
    kit_assert_result(phantom_close(world), 0);
    kit_run_to_end("a.phantom", &options, 0); /* and free again */
}

static void what_is_not_a_store_is_refused_and_left_alone(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    const char *path = kit_path("a.phantom");
    struct phantom_store *store = NULL;
    write_file(path, "", 0);
    kit_open_fails(path, &options, PHANTOM_EFORMAT);
    char text[8192];
    memset(text, 'x', sizeof(text));
    write_file(path, text, sizeof(text));
    kit_open_fails(path, &options, PHANTOM_EFORMAT);
    kit_assert_result(phantom_store_open(path, &store, NULL, NULL), PHANTOM_EFORMAT);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, sizeof(text));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    kit_open_fails(path, &options, PHANTOM_EFORMAT);
    unlink(path);
    kit_open_fails(kit_folder(), &options, PHANTOM_EFORMAT);
    kit_assert_result(phantom_store_open(kit_folder(), &store, NULL, NULL), PHANTOM_EFORMAT);
    kit_assert_result(phantom_store_open(path, &store, NULL, NULL), PHANTOM_ENOTFOUND);
    kit_assert_result(phantom_store_open(NULL, &store, NULL, NULL), PHANTOM_EINVALID);
    assert_null(store);
}

static void strange_paths_fail_and_name_their_cause(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    kit_open_fails(kit_path("absent/a.phantom"), &options, PHANTOM_ENOTFOUND);
    char name[300];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    kit_open_fails(kit_path(name), &options, -ENAMETOOLONG);
    char path[6000];
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    kit_open_fails(path, &options, -ENAMETOOLONG);
    kit_assert_result(symlink("nowhere", kit_path("dangling.phantom")), 0);
    kit_open_fails(kit_path("dangling.phantom"), &options, PHANTOM_ENOTFOUND);
    assert_int_equal(kit_files(), 1);
}

static void a_link_to_a_store_opens_the_store(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    kit_assert_result(phantom_close(kit_open("a.phantom", &options)), 0);
    kit_assert_result(symlink("a.phantom", kit_path("b.phantom")), 0);
    struct phantom_world *world = kit_open("b.phantom", &options);
    kit_open_fails(kit_path("a.phantom"), &options, PHANTOM_EBUSY);
    kit_assert_result(phantom_run(world), 0);
    kit_assert_result(phantom_close(world), 0);
    assert_true(kit_verify("a.phantom").number > 1);
}

static void a_name_without_a_folder_is_in_the_current_one(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    char before[4096];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(kit_folder()), 0);
    struct phantom_world *world = NULL;
    kit_assert_result(phantom_open("plain", &options, &world, NULL), 0);
    assert_int_equal(chdir(before), 0);
    kit_assert_result(phantom_run(world), 0);
    kit_assert_result(phantom_close(world), 0);
    assert_true(kit_verify("plain").number > 1);
}

static void the_strategy_asked_for_is_used(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    options.strategy = "full";
    options.without_io_uring = true;
    struct phantom_world *world = kit_open("a.phantom", &options);
    assert_string_equal(phantom_strategy(world), "full");
    assert_null(strstr(phantom_io_backend(world), "uring"));
    kit_assert_result(phantom_step(world, 100000), PHANTOM_ETIMEOUT);
    kit_assert_result(phantom_close(world), 0);
    options.strategy = NULL; /* the file does not depend on it */
    kit_run_to_end("a.phantom", &options, 0);
    options.strategy = "async";
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int result = phantom_open(kit_path("a.phantom"), &options, &world, &diag);
    if (result == 0) {
        assert_string_equal(phantom_strategy(world), "async");
        phantom_abandon(world);
    } else {
        kit_assert_result(result, PHANTOM_EUNSUPPORTED);
        assert_true(diag.text[0] != '\0');
    }
}

static void defaults_open_a_world_and_the_heap_size_is_kept(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    struct phantom_store *store = NULL;
    struct phantom_store_info info;
    options.heap_size = (UINT64_C(64) << 20) + 1; /* rounded up */
    kit_run_to_end("a.phantom", &options, 0);
    kit_assert_result(phantom_store_open(kit_path("a.phantom"), &store, NULL, NULL), 0);
    phantom_store_info(store, &info);
    phantom_store_close(store);
    assert_true(info.heap_size > UINT64_C(64) << 20 && info.heap_size <= UINT64_C(128) << 20);
    assert_int_equal(info.format_version, 1);
    assert_int_equal(strlen(info.uuid), 36);
    if (PH_UNDER_TSAN) {
        return; /* no room for 64 GiB of addresses */
    }
    options = kit_options(*state, SUM);
    options.heap_size = 0;
    kit_run_to_end("b.phantom", &options, 0);
    kit_assert_result(phantom_store_open(kit_path("b.phantom"), &store, NULL, NULL), 0);
    phantom_store_info(store, &info);
    phantom_store_close(store);
    assert_int_equal(info.heap_size, UINT64_C(64) << 30);
}

static void a_full_heap_throws_and_the_world_lives_on(void **state)
{
    struct kit_log *log = *state;
    struct phantom_options options = kit_options(log, ".test.runtime.hoarder");
    options.heap_size = UINT64_C(64) << 20;
    options.check_snapshots = false;
    struct phantom_world *world = kit_open("a.phantom", &options);
    int result = phantom_run(world);
    if (result != 0) {
        print_error("%s: %s\n", phantom_message(world), log->failure);
    }
    kit_assert_result(result, 0);
    assert_string_equal(log->console, "full\n");
    kit_assert_result(phantom_close(world), 0);
    kit_verify("a.phantom");
}

static void a_diag_without_a_size_is_left_alone(void **state)
{
    struct phantom_options options = kit_options(*state, ".test.runtime.absent");
    struct phantom_diag diag;
    struct phantom_world *world = NULL;
    memset(&diag, 'd', sizeof(diag));
    diag.size = 0;
    struct phantom_diag before = diag;
    kit_assert_result(phantom_open(kit_path("a.phantom"), &options, &world, &diag),
                      PHANTOM_ENOTFOUND);
    assert_memory_equal(&diag, &before, sizeof(diag));
}

static void every_error_has_a_name_and_a_text(void **state)
{
    (void)state;
    assert_string_equal(phantom_err_name(PHANTOM_ECORRUPT), "PHANTOM_ECORRUPT");
    assert_string_equal(phantom_err_name(-EIO), "EIO");
    for (int error = -6000; error < 300; error++) {
        assert_true(strlen(phantom_strerror(error)) > 0);
        assert_true(strlen(phantom_err_name(error)) > 0);
    }
    assert_string_equal(phantom_strerror(INT32_MIN), phantom_strerror(-4999));
}

static void look_at_item(void *context, const struct phantom_probe_item *item)
{
    unsigned *count = context;
    assert_true(strlen(item->name) > 0 && item->detail != NULL);
    ++*count;
}

static void probing_changes_nothing(void **state)
{
    (void)state;
    unsigned bare = 0, with_folder = 0;
    phantom_probe(NULL, look_at_item, &bare);
    phantom_probe(kit_folder(), look_at_item, &with_folder);
    assert_true(bare >= 4 && with_folder >= bare);
    assert_int_equal(kit_files(), 0);
}

struct ladder {
    unsigned strategies, chosen;
    bool above_is_usable;
    char name[32];
};

static void look_at_strategy(void *context, const struct phantom_strategy *strategy)
{
    struct ladder *ladder = context;
    assert_true(strlen(strategy->name) > 0 && strlen(strategy->needs) > 0);
    ladder->strategies++;
    ladder->chosen += strategy->chosen;
    assert_true(!strategy->chosen ||
                (strategy->why_not == NULL && !ladder->above_is_usable && !strategy->on_request));
    assert_true(!strategy->on_request || strategy->why_not == NULL);
    ladder->above_is_usable =
        ladder->above_is_usable || (strategy->why_not == NULL && !strategy->on_request);
    if (strategy->chosen) {
        snprintf(ladder->name, sizeof(ladder->name), "%s", strategy->name);
    }
    if (strcmp(strategy->name, "full") == 0 || strcmp(strategy->name, "fork") == 0 ||
        strcmp(strategy->name, "mprotect") == 0) { /* any kernel */
        assert_null(strategy->why_not);
    }
}

static void exactly_one_strategy_is_chosen_and_it_is_the_first_usable_one(void **state)
{
    (void)state;
    for (int kind = PHANTOM_FOR_SPACES; kind <= PHANTOM_FOR_WORLDS; kind++) {
        struct ladder ladder = {0};
        phantom_probe_strategies((enum phantom_probed_for)kind, look_at_strategy, &ladder);
        assert_true(ladder.strategies >= 3);
        assert_int_equal(ladder.chosen, 1);
        assert_true(kind != PHANTOM_FOR_MARKED_SPACES || strcmp(ladder.name, "cards") == 0);
    }
}

struct promise {
    const char *chosen;
    struct promised {
        char name[32];
        bool usable;
    } all[16];
    unsigned count;
};

static void note_strategy(void *context, const struct phantom_strategy *strategy)
{
    struct promise *promise = context;
    struct promised *row = &promise->all[promise->count++];
    snprintf(row->name, sizeof(row->name), "%s", strategy->name);
    row->usable = strategy->why_not == NULL;
    promise->chosen = strategy->chosen ? row->name : promise->chosen;
}

/* What `phantom doctor` says is what opening does, for each strategy and for the automatic choice,
 * of worlds and of spaces. */
static void the_ladder_says_what_opening_does(void **state)
{
    struct promise world_promise = {0};
    phantom_probe_strategies(PHANTOM_FOR_WORLDS, note_strategy, &world_promise);
    for (unsigned i = 0; i < world_promise.count; i++) {
        struct phantom_options options = kit_options(*state, SUM);
        options.strategy = world_promise.all[i].name;
        options.allow_signal_handlers = true;
        struct phantom_world *world = NULL;
        int rc = phantom_open(kit_path("w.phantom"), &options, &world, NULL);
        assert_int_equal(rc, world_promise.all[i].usable ? 0 : PHANTOM_EUNSUPPORTED);
        if (rc == 0) {
            assert_int_equal(phantom_close(world), 0);
        }
    }
    for (int marked = 0; marked < 2; marked++) {
        struct promise promise = {0};
        phantom_probe_strategies(marked ? PHANTOM_FOR_MARKED_SPACES : PHANTOM_FOR_SPACES,
                                 note_strategy, &promise);
        for (unsigned i = 0; i <= promise.count; i++) { /* the last time: unasked */
            bool asked = i < promise.count;
            struct phantom_space_options options;
            phantom_space_options_init(&options);
            options.heap_size = 8 << 20;
            options.all_stores_announced = marked != 0;
            options.allow_signal_handlers = true;
            options.strategy = asked ? promise.all[i].name : NULL;
            struct phantom_space *space = NULL;
            int rc = phantom_space_open(kit_path("s.phantom"), &options, &space, NULL);
            assert_int_equal(rc, !asked || promise.all[i].usable ? 0 : PHANTOM_EUNSUPPORTED);
            if (rc == 0) {
                assert_string_equal(phantom_space_strategy(space),
                                    asked ? promise.all[i].name : promise.chosen);
                assert_int_equal(phantom_space_close(space), 0);
            }
        }
    }
}

static void counters_tell_of_the_snapshots_taken(void **state)
{
    struct phantom_options options = kit_options(*state, SUM);
    struct phantom_world *world = NULL;
    assert_int_equal(phantom_open(kit_path("w.phantom"), &options, &world, NULL), 0);
    assert_int_equal(phantom_snapshot(world, NULL), 0);
    struct phantom_counters counters = {.size = sizeof(counters)};
    assert_int_equal(phantom_counters(world, &counters), 0);
    assert_true(counters.snapshots >= 1 && counters.bytes_written > 0);
    uint64_t pauses = 0;
    for (unsigned i = 0; i < PHANTOM_PAUSE_BUCKETS; i++) {
        pauses += counters.pause_histogram[i];
        assert_true(i == 0 || phantom_pause_bucket_most(i) > phantom_pause_bucket_most(i - 1));
    }
    assert_int_equal(pauses, counters.snapshots);
    assert_in_range(counters.pause_p50_ns, 1, counters.pause_most_ns);
    /* A host that was built when there were fewer members. */
    struct phantom_counters few = {.size = offsetof(struct phantom_counters, refused_space)};
    assert_int_equal(phantom_counters(world, &few), 0);
    assert_int_equal(few.snapshots, counters.snapshots);
    assert_int_equal(few.bytes_written, 0);
    counters.size = sizeof(counters) + 8;
    assert_int_equal(phantom_counters(world, &counters), PHANTOM_EINVALID);
    assert_int_equal(phantom_close(world), 0);
}

int main(int argc, char **argv)
{
    kit_begin(argc, argv);
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(birth_leaves_one_private_file_with_a_first_generation),
        CASE(a_birth_that_fails_leaves_no_file),
        CASE(a_boot_class_that_is_not_valid_is_refused),
        CASE(bad_options_are_refused_and_create_nothing),
        CASE(a_shorter_struct_of_an_older_host_is_read_to_its_end_only),
        CASE(existing_only_never_gives_birth),
        CASE(birth_options_do_not_matter_to_an_existing_world),
        CASE(a_second_opening_is_busy),
        CASE(exactly_one_strategy_is_chosen_and_it_is_the_first_usable_one),
        CASE(the_ladder_says_what_opening_does),
        CASE(counters_tell_of_the_snapshots_taken),
        CASE(what_is_not_a_store_is_refused_and_left_alone),
        CASE(strange_paths_fail_and_name_their_cause),
        CASE(a_link_to_a_store_opens_the_store),
        CASE(a_name_without_a_folder_is_in_the_current_one),
        CASE(the_strategy_asked_for_is_used),
        CASE(defaults_open_a_world_and_the_heap_size_is_kept),
        CASE(a_full_heap_throws_and_the_world_lives_on),
        CASE(a_diag_without_a_size_is_left_alone),
        CASE(every_error_has_a_name_and_a_text),
        CASE(probing_changes_nothing),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
