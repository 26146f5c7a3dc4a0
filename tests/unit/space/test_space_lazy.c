/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_lazy.c - a space whose pages come when they are touched: used, changed, committed,
 * closed, killed and forked while most of it is still in the store, and damage that is met late.
 *
 * The linker sends the room's hal_file_open() here (--wrap): a gate holds the background reader
 * back for as long as a test wants.
 *
 *     test_space_lazy touch|kill STORE ANNOUNCED    is the process that is ended
 */
#include "ph_killed.h"
#include "space_kit.h"

#include "hal_posix.h"
#include "io_forward.h"
#include "ph_check.h"
#include "space_internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    NODES = 300,
    LARGE_PAGES = 3000,
    DAMAGED_PAGE = 1234,
    COMMITS_BEFORE_DEATH = 5
};
enum { TOLD = 4, FATAL = 42, WRONG = 43 };

static void skip_unless_lazy(void)
{
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    if (!probe.userfaultfd || !probe.wp_async || !probe.pagemap_scan) {
        printf("SKIP: this kernel (%s) does not load pages on demand for us\n", probe.kernel);
        exit(PH_TEST_SKIPPED);
    }
}

/* ---- the gate ------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed, held; /* held: the background reader waits at it */
    unsigned opened;   /* readers: one for faults, one for the background, and so on */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void close_gate(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    gate.held = false;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void wait_until_held(void)
{
    pthread_mutex_lock(&gate.lock);
    while (!gate.held) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static void pass(void)
{
    char name[16] = "";
    (void)pthread_getname_np(pthread_self(), name, sizeof(name));
    pthread_mutex_lock(&gate.lock);
    while (gate.closed && strcmp(name, "page reader") == 0) { /* opening reads with it, too */
        gate.held = true;
        pthread_cond_broadcast(&gate.changed);
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static int gated_read(struct snap_io *io, uint64_t offset, void *buffer, uint32_t length)
{
    pass();
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->read(inner, offset, buffer, length);
}

static int gated_submit(struct snap_io *io, struct snap_io_request *request)
{
    pass();
    struct snap_io *inner = io_forward_inner(io);
    return inner->ops->submit(inner, request);
}

static void gated_close(struct snap_io *io)
{
    struct snap_io *inner = io_forward_inner(io);
    inner->ops->close(inner);
    free(io);
}

int __real_hal_file_open(const char *path, unsigned flags, struct snap_io **out,
                         struct phantom_diag *diag);
int __wrap_hal_file_open(const char *path, unsigned flags, struct snap_io **out,
                         struct phantom_diag *diag);

int __wrap_hal_file_open(const char *path, unsigned flags, struct snap_io **out,
                         struct phantom_diag *diag)
{
    struct snap_io *inner;
    int rc = __real_hal_file_open(path, flags, &inner, diag);
    if (rc == 0 && (flags & HAL_FILE_READ_ONLY) != 0 && gate.opened++ % 2 == 1) {
        struct io_forward *forward = calloc(1, sizeof(*forward));
        assert_non_null(forward);
        io_forward_init(forward, "gated", inner);
        forward->ops.read = gated_read;
        forward->ops.submit = gated_submit;
        forward->ops.close = gated_close;
        inner = &forward->io;
    }
    if (rc == 0) {
        *out = inner;
    }
    return rc;
}

/* ---- content -------------------------------------------------------------------------------- */

struct node {
    struct node *next;
    uint64_t number;
};

static void push_node(struct phantom_space *space)
{
    kit_assert_result(phantom_space_enter(space), 0);
    struct node *node = phantom_space_malloc(space, sizeof(*node));
    node->next = phantom_space_root(space, "list");
    node->number = node->next != NULL ? node->next->number + 1 : 1;
    phantom_space_wrote(space, node, sizeof(*node));
    kit_assert_result(phantom_space_set_root(space, "list", node), 0);
    phantom_space_leave(space);
}

static uint64_t count_nodes(struct phantom_space *space)
{
    uint64_t count = 0;
    const struct node *first = phantom_space_root(space, "list");
    for (const struct node *node = first; node != NULL; node = node->next) {
        assert_int_equal(node->number + count, first->number);
        count++;
    }
    return count;
}

static uint64_t *large_page(struct phantom_space *space, uint64_t page)
{
    return (uint64_t *)phantom_space_root(space, "large") + page * (PAGE / 8);
}

static void fill_page(struct phantom_space *space, uint64_t page, uint64_t value)
{
    uint64_t *word = large_page(space, page);
    kit_assert_result(phantom_space_enter(space), 0);
    for (uint64_t i = 0; i < PAGE / 8; i++) {
        word[i] = value * 1000003 + page * 4099 + i;
    }
    phantom_space_wrote(space, word, PAGE);
    phantom_space_leave(space);
}

static bool page_is(struct phantom_space *space, uint64_t page, uint64_t value)
{
    const uint64_t *word = large_page(space, page);
    bool equal = true;
    for (uint64_t i = 0; i < PAGE / 8; i++) {
        equal = equal && word[i] == value * 1000003 + page * 4099 + i;
    }
    return equal;
}

static struct phantom_space_options options_of(bool announced)
{
    struct phantom_space_options options = kit_options();
    options.all_stores_announced = announced;
    return options;
}

/** A closed store with a list and a large block. */
static void make_store(bool announced)
{
    struct phantom_space_options options = options_of(announced);
    options.check_snapshots = false;
    struct phantom_space *space = kit_open("lazy.phantom", &options);
    for (int i = 0; i < NODES; i++) {
        push_node(space);
    }
    void *large = phantom_space_malloc(space, LARGE_PAGES * PAGE);
    kit_assert_result(phantom_space_set_root(space, "large", large), 0);
    for (uint64_t page = 0; page < LARGE_PAGES; page++) {
        fill_page(space, page, 1);
    }
    kit_close(space);
}

static struct phantom_space *open_behind_gate(const struct phantom_space_options *options)
{
    close_gate(true);
    struct phantom_space *space = kit_open("lazy.phantom", options);
    wait_until_held();
    return space;
}

static struct snap_restore_progress progress_of(struct phantom_space *space)
{
    struct snap_restore_progress progress;
    snap_engine_restore_progress(space->engine, &progress);
    return progress;
}

static void wait_until_loaded(struct phantom_space *space)
{
    close_gate(false);
    while (!progress_of(space).complete) {
        sched_yield();
    }
}

static int clean(void **state)
{
    (void)state;
    close_gate(false);
    kit_clean();
    return 0;
}

/* ---- use ------------------------------------------------------------------------------------ */

static void opening_reads_next_to_nothing(void **state)
{
    (void)state;
    for (int announced = 0; announced < 2; announced++) {
        make_store(announced);
        struct phantom_space_options options = options_of(announced);
        struct phantom_space *space = open_behind_gate(&options);
        struct snap_restore_progress progress = progress_of(space);
        assert_true(progress.lazy && !progress.complete);
        assert_true(progress.pages_loaded <= 2); /* header and roots */
        void *block = phantom_space_malloc(space, 100);
        assert_non_null(block);
        assert_int_equal(count_nodes(space), NODES);
        assert_true(page_is(space, 77, 1));
        /* descriptors that the allocator looked at, the list, the page */
        assert_true(progress_of(space).pages_loaded <= 2 + 8 + NODES * 16 / PAGE + 2 + 1);
        close_gate(false);
        kit_close(space);
        options.eager = true;
        space = kit_open("lazy.phantom", &options);
        assert_false(progress_of(space).lazy);
        kit_close(space);
        kit_clean();
    }
}

/** Change, commit, free and allocate while almost nothing is loaded; then again with the rest. */
static void change_and_commit(bool announced, bool finish_loading)
{
    make_store(announced);
    struct phantom_space_options options = options_of(announced);
    struct phantom_space *space = open_behind_gate(&options);
    uint64_t written = 0;
    for (uint64_t page = 3; page < LARGE_PAGES; page += 500, written++) {
        fill_page(space, page, 2);
        large_page(space, page + 1)[7] = 7; /* one word: the rest comes from the store */
        phantom_space_wrote(space, &large_page(space, page + 1)[7], 8);
    }
    push_node(space);
    struct phantom_generation generation;
    kit_assert_result(phantom_space_snapshot(space, &generation), 0);
    assert_true(generation.pages_written >= 2 * written && generation.pages_written < 30);
    assert_false(progress_of(space).complete);
    void *other = phantom_space_malloc(space, 64 * PAGE);
    memset(other, 5, 64 * PAGE);
    phantom_space_wrote(space, other, 64 * PAGE);
    phantom_space_free(space, other);
    kit_assert_result(phantom_space_commit(space), 0);
    if (finish_loading) {
        wait_until_loaded(space);
        kit_assert_result(phantom_space_snapshot(space, &generation), 0);
        kit_check(space);
        kit_close(space);
    } else { /* close does not wait for the rest */
        assert_false(progress_of(space).complete);
        close_gate(false);
        kit_close(space);
    }
    space = open_behind_gate(&options);
    assert_int_equal(count_nodes(space), NODES + 1);
    for (uint64_t page = 0; page < LARGE_PAGES; page += 25) {
        uint64_t place = page % 500;
        assert_true(place == 3 || place == 4 || page_is(space, page, 1));
    }
    for (uint64_t page = 3; page < LARGE_PAGES; page += 500) {
        assert_true(page_is(space, page, 2));
        assert_int_equal(large_page(space, page + 1)[7], 7);
        assert_int_equal(large_page(space, page + 1)[8], 1000003 + (page + 1) * 4099 + 8);
    }
    kit_check(space);
    close_gate(false);
    phantom_space_abandon(space);
    kit_clean();
}

static void commits_while_pages_are_missing_are_whole(void **state)
{
    (void)state;
    for (int announced = 0; announced < 2; announced++) {
        change_and_commit(announced, false);
        change_and_commit(announced, true);
    }
}

static void what_is_freed_unread_never_comes_back(void **state)
{
    (void)state;
    for (int announced = 0; announced < 2; announced++) {
        make_store(announced);
        struct phantom_space_options options = options_of(announced);
        struct phantom_space *space = open_behind_gate(&options);
        void *large = phantom_space_root(space, "large");
        kit_assert_result(phantom_space_enter(space), 0);
        phantom_space_free(space, large);
        kit_assert_result(phantom_space_set_root(space, "large", NULL), 0);
        phantom_space_leave(space);
        kit_assert_result(phantom_space_commit(space), 0);
        wait_until_loaded(space);
        uint8_t *zeros = phantom_space_calloc(space, LARGE_PAGES, PAGE);
        assert_ptr_equal(zeros, large);
        for (size_t i = 0; i < (size_t)LARGE_PAGES * PAGE; i += 512) {
            assert_int_equal(zeros[i], 0);
        }
        kit_close(space);
        kit_clean();
    }
}

static void the_kernel_reaches_what_was_loaded(void **state)
{
    (void)state;
    make_store(false);
    struct phantom_space_options options = options_of(false);
    struct phantom_space *space = open_behind_gate(&options);
    uint8_t *new = phantom_space_malloc(space, 9 * PAGE);
    int zero = open("/dev/zero", O_RDONLY), out = open(kit_path("out"), O_CREAT | O_RDWR, 0600);
    kit_assert_result(phantom_space_load(space, new, 9 * PAGE), 0);
    kit_assert_result(phantom_space_load(space, large_page(space, 10), 5 * PAGE), 0);
    kit_assert_result(phantom_space_load(space, large_page(space, 10), 0), 0);
    kit_assert_result(phantom_space_load(space, &options, 1), PHANTOM_EINVALID);
    kit_assert_result(phantom_space_enter(space), 0);
    assert_int_equal(read(zero, new, 9 * PAGE), 9 * PAGE);
    assert_int_equal(write(out, large_page(space, 10), 5 * PAGE), 5 * PAGE);
    phantom_space_leave(space);
    close(zero);
    close(out);
    assert_true(page_is(space, 12, 1));
    close_gate(false);
    kit_close(space);
}

static void a_forked_child_lets_go_of_a_space_that_is_being_loaded(void **state)
{
    (void)state;
    make_store(false);
    struct phantom_space_options options = options_of(false);
    struct phantom_space *space = open_behind_gate(&options);
    for (int i = 0; i < 12; i++) { /* whatever the other threads are at: loading, accounting */
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            int load = phantom_space_load(space, phantom_space_base(space), PAGE);
            int commit = phantom_space_commit(space);
            int closed = phantom_space_close(space);
            _exit(load == PHANTOM_EFORKED && commit == PHANTOM_EFORKED && closed == PHANTOM_EFORKED
                      ? 0
                      : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(count_nodes(space), NODES);
    push_node(space);
    close_gate(false);
    kit_close(space);
    space = kit_open("lazy.phantom", &options);
    assert_int_equal(count_nodes(space), NODES + 1);
    kit_close(space);
}

static void closing_does_not_wait_for_the_rest(void **state)
{
    (void)state;
    make_store(false);
    struct phantom_space_options options = options_of(false);
    for (uint64_t i = 0; i < 20; i++) { /* wherever the readers are */
        struct phantom_space *space = kit_open("lazy.phantom", &options);
        for (uint64_t page = 0; page < i * 10; page++) {
            assert_true(page_is(space, page * 7 % LARGE_PAGES, 1));
        }
        if (i % 2 == 0) {
            push_node(space);
            kit_close(space);
        } else {
            phantom_space_abandon(space);
        }
    }
    struct phantom_space *space = kit_open("lazy.phantom", &options);
    assert_int_equal(count_nodes(space), NODES + 10);
    kit_close(space);
}

/* ---- reading is not writing ------------------------------------------------------------------ */

static void read_only_operations_make_no_generation(void **state)
{
    (void)state;
    enum { TICKS = 12 };
    for (int announced = 0; announced < 2; announced++) {
        make_store(announced);
        struct phantom_space_options options = options_of(announced);
        options.interval_ms = 1;
        struct phantom_space *space = kit_open("lazy.phantom", &options);
        struct phantom_space_counters counters = {.size = sizeof(counters)};
        uint64_t before = space->last_generation.number;
        do { /* each periodic snapshot that finds ended operations is acknowledged to the helper */
            kit_assert_result(phantom_space_enter(space), 0);
            assert_true(page_is(space, kit_random(LARGE_PAGES), 1));
            phantom_space_leave(space);
            kit_assert_result(phantom_space_counters(space, &counters), 0);
        } while (counters.acknowledged < TICKS);
        assert_int_equal(counters.generations, 0);
        struct phantom_generation generation;
        kit_assert_result(phantom_space_snapshot(space, &generation), 0);
        assert_int_equal(generation.number, before);
        push_node(space); /* and one that changes something does */
        kit_assert_result(phantom_space_snapshot(space, &generation), 0);
        assert_int_equal(generation.number, before + 1);
        kit_close(space);
        space = kit_open("lazy.phantom", &options);
        assert_int_equal(space->last_generation.number, before + 1);
        kit_close(space);
        kit_clean();
    }
}

/* ---- killed --------------------------------------------------------------------------------- */

static pid_t start_child(const char *what, bool announced, int *ack_fd)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char mutant[16];
        (void)snprintf(mutant, sizeof(mutant), "%d", (int)ph_active_mutant);
        (void)dup2(ends[1], 3);
        execl("/proc/self/exe", "test_space_lazy", what, kit_path("lazy.phantom"),
              announced ? "1" : "0", mutant, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *ack_fd = ends[0];
    return child;
}

/** In a process of its own: commit with the restore unfinished, say so, die. */
static int commit_and_die(struct phantom_space *space)
{
    wait_until_held();
    for (int i = 0; i < COMMITS_BEFORE_DEATH; i++) {
        push_node(space);
        fill_page(space, kit_random(LARGE_PAGES), 1);
        if (phantom_space_commit(space) != 0 || write(3, "!", 1) != 1) {
            return 1;
        }
    }
    push_node(space); /* acknowledged to nobody */
    return kill(getpid(), SIGKILL);
}

static void killed_while_restoring_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    enum { ROUNDS = 4 };
    for (int announced = 0; announced < 2; announced++) {
        make_store(announced);
        for (uint64_t round = 1; round <= ROUNDS; round++) {
            int acks;
            pid_t child = start_child("kill", announced, &acks);
            char byte;
            uint64_t acked = 0;
            while (read(acks, &byte, 1) == 1) {
                acked++;
            }
            close(acks);
            int status = 0;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            assert_int_equal(acked, COMMITS_BEFORE_DEATH);
            struct phantom_space_options options = options_of(announced);
            struct phantom_space *space = open_behind_gate(&options);
            assert_int_equal(count_nodes(space), NODES + round * COMMITS_BEFORE_DEATH);
            for (uint64_t page = round; page < LARGE_PAGES; page += 10) {
                assert_true(page_is(space, page, 1));
            }
            kit_check(space);
            close_gate(false);
            phantom_space_abandon(space);
        }
        kit_clean();
    }
}

/* ---- damage --------------------------------------------------------------------------------- */

/** Flip a bit in every block of the file that begins with these bytes. */
static void damage_blocks(const void *begin, size_t bytes)
{
    int fd = open(kit_path("lazy.phantom"), O_RDWR);
    assert_true(fd >= 0);
    uint8_t block[PAGE];
    unsigned found = 0;
    for (off_t at = 0; pread(fd, block, PAGE, at) == PAGE; at += PAGE) {
        if (memcmp(block, begin, bytes) == 0) {
            block[PAGE - 5] ^= 16;
            assert_int_equal(pwrite(fd, block, PAGE, at), PAGE);
            found++;
        }
    }
    close(fd);
    assert_true(found > 0);
}

static void damage_large_page(void)
{
    const uint64_t words[2] = {1000003 + DAMAGED_PAGE * 4099, 1000003 + DAMAGED_PAGE * 4099 + 1};
    damage_blocks(words, sizeof(words));
}

static struct phantom_space *_Atomic touched; /* in a process of its own; the kernel orders them */

/** Tidying up from here would wait for the thread that is here: it is refused. */
static void exit_told(void *context, int error, const char *text)
{
    (void)context;
    bool refused = phantom_space_commit(touched) == PHANTOM_EINVALID &&
                   phantom_space_close(touched) == PHANTOM_EINVALID;
    if (refused) {
        phantom_space_abandon(touched);
    }
    bool told = error == PHANTOM_ECORRUPT && strstr(text, "expected ") != NULL;
    _exit(told && refused ? TOLD : 1);
}

static void exit_fatal(const char *file, int line, const char *what)
{
    (void)file;
    (void)line;
    _exit(strstr(what, "expected ") != NULL ? FATAL : 2);
}

static int status_of_touching(bool with_callback)
{
    int unused;
    pid_t child = start_child("touch", with_callback, &unused);
    close(unused);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void damage_that_somebody_touches_ends_the_process(void **state)
{
    (void)state;
    make_store(false);
    assert_int_equal(status_of_touching(true), 0);
    damage_large_page();
    assert_int_equal(status_of_touching(true), TOLD);
    assert_int_equal(status_of_touching(false), FATAL);
}

static _Atomic unsigned messages;

static void count_message(void *context, const char *text)
{
    (void)context;
    if (strstr(text, "nothing is committed any more") != NULL && strstr(text, "expected ")) {
        atomic_fetch_add(&messages, 1);
    }
}

static void damage_that_nobody_touches_stops_commits(void **state)
{
    (void)state;
    make_store(false);
    damage_large_page();
    struct phantom_space_options options = options_of(false);
    options.check_snapshots = false;
    options.message = count_message;
    atomic_store(&messages, 0);
    struct phantom_space *space = kit_open("lazy.phantom", &options);
    uint64_t before = space->last_generation.number;
    while (atomic_load(&messages) == 0) { /* the background reader comes to it */
        sched_yield();
    }
    assert_int_equal(count_nodes(space), NODES); /* what is there can be read */
    push_node(space);
    for (int i = 0; i < 2; i++) {
        kit_assert_result(phantom_space_commit(space), PHANTOM_ECORRUPT);
    }
    kit_assert_result(phantom_space_load(space, large_page(space, DAMAGED_PAGE), 1),
                      PHANTOM_ECORRUPT);
    assert_int_equal(atomic_load(&messages), 1);
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    phantom_space_message(space, &diag);
    assert_non_null(strstr(diag.text, "expected "));
    kit_assert_result(phantom_space_close(space), PHANTOM_ECORRUPT);
    close_gate(true);
    space = kit_open("lazy.phantom", &options);
    assert_int_equal(space->last_generation.number, before);
    close_gate(false);
    phantom_space_abandon(space);
    options.eager = true;
    struct phantom_space *none = NULL;
    kit_assert_result(phantom_space_open(kit_path("lazy.phantom"), &options, &none, &diag),
                      PHANTOM_ECORRUPT);
}

static void damage_in_the_header_is_an_error_of_opening(void **state)
{
    (void)state;
    make_store(false);
    uint64_t magic = SPACE_MAGIC;
    damage_blocks(&magic, sizeof(magic));
    struct phantom_space_options options = options_of(false);
    struct phantom_space *space = NULL;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    kit_assert_result(phantom_space_open(kit_path("lazy.phantom"), &options, &space, &diag),
                      PHANTOM_ECORRUPT);
    assert_non_null(strstr(diag.text, "page 0 in block "));
}

/** In a process of its own. */
static int touch_damage(struct phantom_space *space)
{
    touched = space;
    bool good = page_is(space, DAMAGED_PAGE, 1);
    _exit(good ? 0 : WRONG);
}

static int be_child(const char *what, const char *path, bool flag)
{
    bool touch = strcmp(what, "touch") == 0;
    struct phantom_space_options options = options_of(!touch && flag);
    options.check_snapshots = false;
    if (touch) {
        ph_set_fatal_hook(exit_fatal);
        options.damaged = flag ? exit_told : NULL;
    }
    close_gate(true);
    struct phantom_space *space;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (phantom_space_open(path, &options, &space, &diag) != 0) {
        fprintf(stderr, "child: %s\n", diag.text);
        return 3;
    }
    return touch ? touch_damage(space) : commit_and_die(space);
}

int main(int argc, char **argv)
{
    if (argc == 5) {
        ph_active_mutant = (enum ph_mutant)atoi(argv[4]);
        return be_child(argv[1], argv[2], argv[3][0] == '1');
    }
    skip_unless_lazy();
    kit_begin();
#define CASE(name) cmocka_unit_test_teardown(name, clean)
    const struct CMUnitTest tests[] = {
        CASE(opening_reads_next_to_nothing),
        CASE(commits_while_pages_are_missing_are_whole),
        CASE(what_is_freed_unread_never_comes_back),
        CASE(the_kernel_reaches_what_was_loaded),
        CASE(a_forked_child_lets_go_of_a_space_that_is_being_loaded),
        CASE(closing_does_not_wait_for_the_rest),
        CASE(read_only_operations_make_no_generation),
        CASE(killed_while_restoring_nothing_acknowledged_is_lost),
        CASE(damage_that_somebody_touches_ends_the_process),
        CASE(damage_that_nobody_touches_stops_commits),
        CASE(damage_in_the_header_is_an_error_of_opening),
    };
    static const struct ph_killing killings[] = {
        {PH_MUTANT_DAMAGED_MAY_WAIT, CASE(damage_that_somebody_touches_ends_the_process)},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return kit_end(ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0])));
}
