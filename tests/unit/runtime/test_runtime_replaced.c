/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime_replaced.c - copy, clone and salvage in place of a file: not while anybody has it
 * open, in another process (this program once more, as the holder) or in this one, at the beginning
 * or meanwhile. With the seeded defect of store_replaced.c.
 */
#include "ph_killed.h"

#include "hal_files.h"
#include "hal_posix.h"
#include "snap_store.h"

#include <phantom/snapshot.h>

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

static const char *self;
static char folder[256], path_a[300], path_b[300], path_c[300];

/* ---- stores --------------------------------------------------------------------------------- */

static void make_store(const char *path, uint8_t byte)
{
    const struct snap_store_params params = {
        .heap_base = UINT64_C(1) << 44, .heap_size = UINT64_C(1) << 24, .uuid = {byte}};
    const struct snap_commit commit = {.heap_pages = 4, .time_ns = byte, .version = {1, 1}};
    struct snap_io *io = NULL;
    struct snap_store *store = NULL;
    struct snap_txn *txn = NULL;
    assert_int_equal(hal_file_open(path, HAL_FILE_CREATE | HAL_FILE_NO_URING, &io, NULL), 0);
    assert_int_equal(snap_store_create(io, &params, NULL), 0);
    assert_int_equal(snap_store_open(io, 0, &store, NULL, NULL), 0);
    assert_int_equal(snap_txn_begin(store, SNAP_SMALL_COMMIT_PAGES, &txn, NULL), 0);
    memset(snap_txn_stage(txn, 2), byte, SNAP_PAGE_SIZE);
    assert_int_equal(snap_txn_commit(txn, &commit, NULL, NULL), 0);
    snap_store_close(store);
    io->ops->close(io);
}

/* The byte that fills the store's page. */
static uint8_t content_of(const char *path)
{
    struct phantom_store *store = NULL;
    uint8_t page[SNAP_PAGE_SIZE];
    assert_int_equal(phantom_store_open(path, &store, NULL, NULL), 0);
    assert_int_equal(phantom_store_read_page(store, 1, 2, page, NULL), 1);
    phantom_store_close(store);
    return page[0];
}

static unsigned files(void)
{
    struct stat info;
    const char *const all[] = {path_a, path_b, path_c};
    unsigned count = 0;
    for (unsigned i = 0; i < 3; i++) {
        count += stat(all[i], &info) == 0;
    }
    return count;
}

static int set_up(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/phantom-replaced-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path_a, sizeof path_a, "%s/a.phantom", folder);
    snprintf(path_b, sizeof path_b, "%s/b.phantom", folder);
    snprintf(path_c, sizeof path_c, "%s/c", folder);
    make_store(path_a, 0xA1);
    make_store(path_b, 0xB2);
    return 0;
}

/* The folder is empty then: no temporary file was left. */
static int tear_down(void **state)
{
    (void)state;
    unlink(path_a);
    unlink(path_b);
    unlink(path_c);
    return rmdir(folder);
}

/* ---- a holder ------------------------------------------------------------------------------- */

/* The other process: hold the store until stdin ends. */
static int hold(const char *path, bool writer)
{
    struct snap_io *io = NULL;
    struct snap_store *store = NULL;
    char byte = 'h';
    if (hal_file_open(path, writer ? 0 : HAL_FILE_READ_ONLY, &io, NULL) != 0 ||
        snap_store_open(io, writer ? 0 : SNAP_OPEN_READ_ONLY, &store, NULL, NULL) != 0 ||
        write(STDOUT_FILENO, &byte, 1) != 1) {
        return 1;
    }
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    snap_store_close(store);
    io->ops->close(io);
    return 0;
}

struct holder {
    pid_t process;
    int end; /* closing it ends the holder */
};

static struct holder start_holder(const char *path, bool writer)
{
    int in[2], out[2];
    char byte = 0;
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO), 0);
    char own[4096], file[300], how[] = "--write";
    snprintf(own, sizeof own, "%s", self);
    snprintf(file, sizeof file, "%s", path);
    snprintf(how, sizeof how, "%s", writer ? "--write" : "--read");
    char *const arguments[] = {own, how, file, NULL};
    struct holder holder = {.end = in[1]};
    assert_int_equal(posix_spawn(&holder.process, self, &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    assert_int_equal(read(out[0], &byte, 1), 1);
    assert_int_equal(byte, 'h');
    close(out[0]);
    return holder;
}

static void end_holder(const struct holder *holder)
{
    int status = -1;
    close(holder->end);
    assert_int_equal(waitpid(holder->process, &status, 0), holder->process);
    assert_int_equal(status, 0);
}

/* ---- what replaces -------------------------------------------------------------------------- */

enum what { COPY, CLONE, SALVAGE, WAYS };

/* Store a in place of store b. */
static int replace(enum what what, const struct phantom_progress *progress,
                   struct phantom_diag *diag)
{
    if (what == SALVAGE) {
        return phantom_store_salvage(path_a, path_b, PHANTOM_REPLACE, NULL, NULL, progress, NULL,
                                     diag);
    }
    struct phantom_store *store = NULL;
    assert_int_equal(phantom_store_open(path_a, &store, NULL, NULL), 0);
    int result = (what == COPY ? phantom_store_copy : phantom_store_clone)(
        store, 0, path_b, PHANTOM_REPLACE, progress, NULL, diag);
    phantom_store_close(store);
    return result;
}

/* A holder that will not go away is not waited for: the second that an opening waits for what a
 * killed writer left is another test's. */
static void do_not_wait(void)
{
    ph_active_mutant =
        ph_active_mutant == PH_MUTANT_NONE ? PH_MUTANT_DEAD_WRITER_NOT_AWAITED : ph_active_mutant;
}

static void refused_while_held(enum what what, bool writer, const char *why)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct holder holder = start_holder(path_b, writer);
    int result = replace(what, NULL, &diag);
    end_holder(&holder);
    assert_int_equal(result, PHANTOM_EBUSY);
    assert_non_null(strstr(diag.text, path_b));
    assert_non_null(strstr(diag.text, why));
    assert_int_equal(content_of(path_b), 0xB2);
}

static void a_file_that_somebody_holds_is_not_replaced(void **state)
{
    (void)state;
    do_not_wait();
    for (enum what what = COPY; what < WAYS; what++) {
        refused_while_held(what, true, "the writer's lock");
        refused_while_held(what, false, "the lock of its generation 1");
    }
    for (enum what what = COPY; what < WAYS; what++) { /* nobody holds it any more */
        assert_int_equal(replace(what, NULL, NULL), 0);
        assert_int_equal(content_of(path_b), 0xA1);
        unlink(path_b);
        make_store(path_b, 0xB2);
    }
    assert_int_equal(files(), 2);
    ph_active_mutant = PH_MUTANT_NONE;
}

/* ---- meanwhile ------------------------------------------------------------------------------ */

struct meanwhile {
    unsigned steps;
    bool writer, reader, moves;
    int writer_result;
    struct snap_io *io;
    struct snap_store *store;
};

static int step(void *context, uint64_t done, uint64_t total)
{
    struct meanwhile *m = context;
    (void)done;
    (void)total;
    if (m->steps++ != 0) {
        return 0;
    }
    if (m->moves) {
        make_store(path_c, 0xC3);
        assert_int_equal(rename(path_c, path_b), 0);
        return 0;
    }
    unsigned flags = m->reader ? SNAP_OPEN_READ_ONLY : 0;
    assert_int_equal(hal_file_open(path_b, m->reader ? HAL_FILE_READ_ONLY : 0, &m->io, NULL), 0);
    m->writer_result = snap_store_open(m->io, flags, &m->store, NULL, NULL);
    return 0;
}

static int replace_and_meanwhile(struct meanwhile *m, struct phantom_diag *diag)
{
    const struct phantom_progress progress = {sizeof progress, m, step};
    int result = replace(COPY, &progress, diag);
    assert_true(m->steps != 0);
    if (m->io != NULL) {
        snap_store_close(m->store);
        m->io->ops->close(m->io);
    }
    return result;
}

static void who_comes_meanwhile_is_not_lost(void **state)
{
    (void)state;
    do_not_wait();
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct meanwhile reads = {.reader = true}, moves = {.moves = true}, writes = {.writer = true};
    assert_int_equal(replace_and_meanwhile(&reads, &diag), PHANTOM_EBUSY);
    assert_int_equal(reads.writer_result, 0);
    assert_non_null(strstr(diag.text, "generation 1"));
    assert_int_equal(content_of(path_b), 0xB2);

    assert_int_equal(replace_and_meanwhile(&moves, &diag), PHANTOM_EBUSY);
    assert_non_null(strstr(diag.text, "meanwhile"));
    assert_int_equal(content_of(path_b), 0xC3);

    assert_int_equal(replace_and_meanwhile(&writes, &diag), 0); /* who is refused is no holder */
    assert_int_equal(writes.writer_result, PHANTOM_EBUSY);
    assert_int_equal(content_of(path_b), 0xA1);
    ph_active_mutant = PH_MUTANT_NONE;
}

/* A writer that had opened the file before it was replaced, and got the lock after that. */
static void a_writer_that_waited_for_a_replaced_file_is_told(void **state)
{
    (void)state;
    struct snap_io *io = NULL;
    struct snap_store *store = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    assert_int_equal(hal_file_open(path_b, 0, &io, NULL), 0);
    assert_int_equal(replace(COPY, NULL, NULL), 0);
    assert_int_equal(snap_store_open(io, 0, &store, NULL, &diag), -ESTALE);
    assert_non_null(strstr(diag.text, "replaced"));
    io->ops->close(io);
}

/* What is no store, and what only its owner may read, can be replaced. */
static void any_regular_file_that_nobody_holds_is_replaced(void **state)
{
    (void)state;
    unlink(path_b);
    FILE *file = fopen(path_b, "w");
    assert_non_null(file);
    assert_int_equal(fputs("no store", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_b, 0400), 0);
    assert_int_equal(replace(CLONE, NULL, NULL), 0);
    assert_int_equal(content_of(path_b), 0xA1);
}

int main(int count, char **arguments)
{
    if (count == 3) {
        return hold(arguments[2], strcmp(arguments[1], "--write") == 0);
    }
    self = arguments[0];
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_somebody_holds_is_not_replaced),
        TEST(who_comes_meanwhile_is_not_lost),
        TEST(a_writer_that_waited_for_a_replaced_file_is_told),
        TEST(any_regular_file_that_nobody_holds_is_replaced),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_REPLACED_UNDER_HOLDER, TEST(a_file_that_somebody_holds_is_not_replaced), NULL,
         NULL},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return ph_kill_all(failed, killings, sizeof killings / sizeof killings[0]);
}
