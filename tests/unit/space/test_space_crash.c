/* SPDX-License-Identifier: Apache-2.0
 *
 * test_space_crash.c [ROUNDS] - a process with eight committing threads is killed again and again;
 * whatever it acknowledged through a pipe is there afterwards, no operation is cut, nothing leaks.
 * And: each retained generation of a space whose threads allocated while it was cut is whole.
 *
 *     test_space_crash child STORE ACK_FD SEED    is the process that is killed
 */
#include "space_kit.h"

#include "hal_posix.h"
#include "ph_rng.h"
#include "snap_store.h"
#include "space_alloc.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, RING = 37, ROUNDS = 20 };

static int rounds = ROUNDS;

/** What one thread keeps in the space. `twin` is in a block of its own, on another page. */
struct owner {
    uint64_t operations;
    uint64_t *twin; /* equal to operations outside an operation */
    struct {
        uint8_t *block;
        uint64_t size, number;
    } ring[RING];
};

struct job {
    struct phantom_space *space;
    struct owner *owner;
    int number, ack_fd;
    uint64_t seed;
    atomic_bool *end;
    pthread_t thread;
};

static void root_name(int number, char name[20])
{
    snprintf(name, 20, "owner %d", number);
}

static struct owner *owner_of(struct phantom_space *space, int number)
{
    char name[20];
    root_name(number, name);
    struct owner *owner = phantom_space_root(space, name);
    if (owner == NULL) {
        phantom_space_enter(space);
        owner = phantom_space_calloc(space, 1, sizeof(*owner));
        owner->twin = phantom_space_aligned_alloc(space, 4096, 4096);
        *owner->twin = 0;
        phantom_space_wrote(space, owner, sizeof(*owner));
        phantom_space_wrote(space, owner->twin, sizeof(*owner->twin));
        phantom_space_set_root(space, name, owner);
        phantom_space_leave(space);
    }
    return owner;
}

static uint64_t some_size(struct ph_rng *rng)
{
    uint64_t kind = ph_rng_below(rng, 30);
    return kind == 0 ? ph_rng_below(rng, 150000) : 1 + ph_rng_below(rng, kind < 5 ? 5000 : 300);
}

/** One operation: the oldest block of the ring is freed, a new one takes its place. */
static bool operate(struct phantom_space *space, struct owner *owner, struct ph_rng *rng)
{
    phantom_space_enter(space);
    uint64_t number = owner->operations + 1, size = some_size(rng);
    unsigned at = number % RING;
    phantom_space_free(space, owner->ring[at].block);
    owner->operations = number;
    owner->ring[at].block = phantom_space_malloc(space, size);
    owner->ring[at].size = size;
    owner->ring[at].number = number;
    bool good = owner->ring[at].block != NULL;
    if (good) {
        memset(owner->ring[at].block, (int)(number & 0xFF), size);
        phantom_space_wrote(space, owner->ring[at].block, size);
    }
    *owner->twin = number;
    phantom_space_wrote(space, owner->twin, sizeof(*owner->twin));
    phantom_space_wrote(space, owner, sizeof(*owner));
    phantom_space_leave(space);
    return good;
}

/** Everything that must hold of one owner at any cut. Returns how many blocks it has. */
static uint64_t check_owner(const struct owner *owner)
{
    uint64_t blocks = 2;
    assert_int_equal(*owner->twin, owner->operations);
    for (unsigned at = 0; at < RING; at++) {
        uint64_t number = owner->ring[at].number;
        if (owner->ring[at].block == NULL) {
            assert_int_equal(number, 0);
            continue;
        }
        assert_true(number % RING == at && number <= owner->operations &&
                    number + RING > owner->operations);
        for (uint64_t i = 0; i < owner->ring[at].size; i++) {
            if (owner->ring[at].block[i] != (uint8_t)number) {
                fail_msg("operation %llu: byte %llu of its block changed",
                         (unsigned long long)number, (unsigned long long)i);
            }
        }
        blocks++;
    }
    return blocks;
}

/* ---- killed ---------------------------------------------------------------------------------- */

struct ack {
    uint64_t thread, operations;
};

static void *load(void *argument)
{
    struct job *job = argument;
    struct ph_rng rng;
    ph_rng_init(&rng, job->seed);
    for (;;) {
        uint64_t burst = 1 + ph_rng_below(&rng, 3);
        for (uint64_t i = 0; i < burst; i++) {
            if (!operate(job->space, job->owner, &rng)) {
                abort();
            }
        }
        if (phantom_space_commit(job->space) != 0) {
            abort();
        }
        struct ack ack = {(uint64_t)job->number, job->owner->operations};
        if (write(job->ack_fd, &ack, sizeof(ack)) != sizeof(ack)) {
            abort();
        }
    }
    return NULL;
}

static int be_killed(const char *path, int ack_fd, uint64_t seed)
{
    struct phantom_space_options options = kit_options();
    options.all_stores_announced = seed % 2 == 0;
    options.check_snapshots = false;
    options.interval_ms = 3;
    struct phantom_space *space;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (phantom_space_open(path, &options, &space, &diag) != 0) {
        fprintf(stderr, "child: %s\n", diag.text);
        return 1;
    }
    struct job job[THREADS];
    for (int i = 0; i < THREADS; i++) {
        job[i] = (struct job){space, owner_of(space, i), i, ack_fd, seed * THREADS + (uint64_t)i};
        pthread_create(&job[i].thread, NULL, load, &job[i]);
    }
    pthread_join(job[0].thread, NULL);
    return 1;
}

static pid_t start_child(const char *path, uint64_t seed, int *acks)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char fd[20], number[30];
        snprintf(fd, sizeof(fd), "%d", ends[1]);
        snprintf(number, sizeof(number), "%llu", (unsigned long long)seed);
        close(ends[0]);
        execl("/proc/self/exe", "test_space_crash", "child", path, fd, number, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *acks = ends[0];
    return child;
}

/** Read acknowledgements; kill after `most`; what is in the pipe then counts, too. */
static void kill_after(pid_t child, int acks, uint64_t most, uint64_t acked[THREADS])
{
    struct ack ack;
    for (uint64_t count = 0; read(acks, &ack, sizeof(ack)) == sizeof(ack); count++) {
        assert_true(ack.thread < THREADS && ack.operations > acked[ack.thread]);
        acked[ack.thread] = ack.operations;
        if (count == most) {
            kill(child, SIGKILL);
        }
    }
    close(acks);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void what_was_acknowledged_survives_every_kill(void **state)
{
    (void)state;
    struct phantom_space_options options = kit_options();
    uint64_t acked[THREADS] = {0}, sum = 0;
    for (int round = 0; round < rounds; round++) {
        int acks;
        pid_t child = start_child(kit_path("killed.phantom"), kit_random(1000000), &acks);
        kill_after(child, acks, kit_random(120), acked);
        struct phantom_space *space = kit_open("killed.phantom", &options);
        kit_check(space);
        uint64_t blocks = 0;
        for (int i = 0; i < THREADS; i++) {
            char name[20];
            root_name(i, name);
            const struct owner *owner = phantom_space_root(space, name);
            if (owner == NULL) { /* the child was killed before this one was committed */
                assert_int_equal(acked[i], 0);
                continue;
            }
            assert_true(owner->operations >= acked[i]);
            acked[i] = owner->operations;
            blocks += check_owner(owner);
        }
        assert_int_equal(kit_blocks(space), blocks);
        phantom_space_abandon(space);
    }
    for (int i = 0; i < THREADS; i++) {
        sum += acked[i];
    }
    printf("kills=%d operations=%llu lost=0\n", rounds, (unsigned long long)sum);
}

/* ---- cut while threads allocate -------------------------------------------------------------- */

static void *churn(void *argument)
{
    struct job *job = argument;
    struct ph_rng rng;
    ph_rng_init(&rng, job->seed);
    while (!atomic_load(job->end)) {
        if (!operate(job->space, job->owner, &rng)) {
            abort();
        }
    }
    return NULL;
}

static void make_generations(unsigned count)
{
    struct phantom_space_options options = kit_options();
    options.check_snapshots = false;
    struct phantom_space *space = kit_open("cut.phantom", &options);
    atomic_bool end = false;
    struct job job[THREADS];
    for (int i = 0; i < THREADS; i++) {
        job[i] = (struct job){space, owner_of(space, i), i, -1, kit_random(1000000), &end};
        pthread_create(&job[i].thread, NULL, churn, &job[i]);
    }
    struct phantom_generation generation;
    for (uint64_t made = 0, last = 0; made < count; last = generation.number) {
        kit_assert_result(phantom_space_snapshot(space, &generation), 0);
        made += generation.number != last; /* the threads may not have done anything */
    }
    atomic_store(&end, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(job[i].thread, NULL);
    }
    kit_close(space);
}

static int put_page(void *base, uint64_t page, const void *data)
{
    memcpy((uint8_t *)base + page * SNAP_PAGE_SIZE, data, SNAP_PAGE_SIZE);
    return 0;
}

static void no_discard(void *context, void *start, uint64_t bytes)
{
    (void)context;
    memset(start, 0, bytes);
}

/** The memory of one generation, as a restart from it would find it. */
static void check_generation(struct snap_store *store, uint64_t number)
{
    const struct snap_store_params *params = snap_store_params(store);
    void *base =
        mmap((void *)(uintptr_t)params->heap_base, params->heap_size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    kit_assert_result(snap_store_for_each_page(store, number, put_page, base, NULL), 0);
    const struct space_alloc_host host = {.discard = no_discard};
    struct space_alloc *alloc;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    kit_assert_result(space_alloc_open(base, params->heap_size, &host, &alloc, &diag), 0);
    if (space_audit(alloc, &diag) != 0) {
        fail_msg("generation %llu: %s", (unsigned long long)number, diag.text);
    }
    uint64_t blocks = 0;
    for (int i = 0; i < THREADS; i++) {
        char name[20];
        root_name(i, name);
        const struct owner *owner = (const struct owner *)(uintptr_t)space_root_get(base, name);
        blocks += owner != NULL ? check_owner(owner) : 0;
    }
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    space_count(alloc, &usage);
    assert_int_equal(usage.blocks, blocks);
    space_alloc_close(alloc);
    munmap(base, params->heap_size);
}

static void every_retained_generation_is_whole(void **state)
{
    (void)state;
    make_generations(25);
    struct snap_io *io;
    struct snap_store *store;
    struct snap_recovery recovery;
    kit_assert_result(hal_file_open(kit_path("cut.phantom"), HAL_FILE_READ_ONLY, &io, NULL), 0);
    kit_assert_result(snap_store_open(io, SNAP_OPEN_READ_ONLY, &store, &recovery, NULL), 0);
    static struct snap_generation generation[256];
    size_t count = snap_store_list(store, generation, 256);
    assert_true(count >= 3 && count <= 256);
    for (size_t i = 0; i < count; i++) {
        check_generation(store, generation[i].number);
    }
    printf("generations=%zu\n", count);
    snap_store_close(store);
    io->ops->close(io);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "child") == 0) {
        return be_killed(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10));
    }
    if (argc > 1) {
        rounds = atoi(argv[1]);
    }
    kit_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_retained_generation_is_whole),
        cmocka_unit_test(what_was_acknowledged_survives_every_kill),
    };
    return kit_end(cmocka_run_group_tests(tests, NULL, NULL));
}
