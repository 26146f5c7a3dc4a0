/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_file.c - the file behind a store: `test_hal_file io_uring` (exit 77 where it is denied)
 * and `test_hal_file threads`.
 */
#include "hal_posix.h"
#include "hal_scratch.h"
#include "ph_killed.h"
#include "ph_memory.h"
#include "ph_rng.h"
#include "ph_test.h"

#include <hal.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 4096, DEPTH = 64 };

static unsigned back_end; /* HAL_FILE_NO_URING or 0 */

static int try_open(const char *path, unsigned flags, struct snap_io **io)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = hal_file_open(path, flags | back_end, io, &diag);
    if (rc != 0) {
        assert_non_null(strstr(diag.text, path)); /* the message names the file */
    }
    return rc;
}

static struct snap_io *open_file(const char *path, unsigned flags)
{
    struct snap_io *io = NULL;
    assert_int_equal(try_open(path, flags, &io), 0);
    assert_non_null(io);
    return io;
}

static void *blocks_of(uint8_t value, size_t count)
{
    void *blocks = aligned_alloc(BLOCK, count * BLOCK);
    assert_non_null(blocks);
    memset(blocks, value, count * BLOCK);
    return blocks;
}

/* ---- opening -------------------------------------------------------------------------------- */

static void a_new_file_is_private_and_empty(void **state)
{
    (void)state;
    const char *path = scratch_path("new");
    struct snap_io *io = open_file(path, HAL_FILE_CREATE);
#ifndef TEST_PORTABLE
    assert_string_equal(io->ops->name, back_end != 0 ? "pwrite threads" : "io_uring");
#endif
    print_message("%s, %s\n", io->ops->name, hal_file_is_direct(io) ? "O_DIRECT" : "buffered");
    assert_string_equal(io->path, path);
    assert_false(io->read_only);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    uint64_t size = 1;
    assert_int_equal(io->ops->size(io, &size), 0);
    assert_int_equal(size, 0);
    io->ops->close(io);
    assert_int_equal(try_open(path, HAL_FILE_CREATE, &io), -EEXIST);
}

static void only_regular_files_are_opened(void **state)
{
    (void)state;
    struct snap_io *io = NULL;
    assert_int_equal(try_open(scratch_path("absent"), 0, &io), PHANTOM_ENOTFOUND);
    assert_int_equal(try_open(scratch_path("no/such/folder"), HAL_FILE_CREATE, &io),
                     PHANTOM_ENOTFOUND);
    assert_int_equal(try_open(scratch_folder(), 0, &io), PHANTOM_EFORMAT);
    assert_int_equal(try_open("/dev/null", 0, &io), PHANTOM_EFORMAT);
    const char *fifo = scratch_path("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(try_open(fifo, 0, &io), PHANTOM_EFORMAT); /* and does not wait for a writer */
    assert_int_equal(try_open(fifo, HAL_FILE_READ_ONLY, &io), PHANTOM_EFORMAT);
    assert_int_equal(hal_file_open("", 0, &io, NULL), PHANTOM_EINVALID);
    assert_int_equal(hal_file_open("x", HAL_FILE_CREATE | HAL_FILE_READ_ONLY, &io, NULL),
                     PHANTOM_EINVALID);
    assert_null(io);
}

static void a_link_is_followed_but_never_created_through(void **state)
{
    (void)state;
    const char *path = scratch_path("real"), *link = scratch_path("link");
    struct snap_io *io = open_file(path, HAL_FILE_CREATE);
    io->ops->close(io);
    assert_int_equal(symlink(path, link), 0);
    io = open_file(link, 0);
    io->ops->close(io);
    const char *dangling = scratch_path("dangling");
    assert_int_equal(symlink(scratch_path("nowhere"), dangling), 0);
    assert_int_equal(try_open(dangling, HAL_FILE_CREATE, &io), -EEXIST);
    assert_int_equal(access(scratch_path("nowhere"), F_OK), -1);
}

/* Descriptors of this process, and whether an exec would inherit any but 0, 1, 2. */
static int count_descriptors(bool *inheritable)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    struct dirent *entry;
    *inheritable = false;
    while ((entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(dir)) {
            continue;
        }
        count++;
        char target[256] = {0};
        if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0 &&
            (strstr(target, scratch_folder()) != NULL || strstr(target, "io_uring") != NULL)) {
            *inheritable |= (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
        }
    }
    closedir(dir);
    return count;
}

static void nothing_leaks_on_close_exec_or_failure(void **state)
{
    (void)state;
    bool inheritable;
    int before = count_descriptors(&inheritable);
    int64_t blocks = ph_memory_live_blocks();
    struct snap_io *io = open_file(scratch_path("descriptors"), HAL_FILE_CREATE);
    assert_true(count_descriptors(&inheritable) > before);
    assert_false(inheritable);
    io->ops->close(io);
    assert_int_equal(count_descriptors(&inheritable), before);
    /* Every allocation of open fails once; a failed creation leaves no file behind. */
    int rc = -ENOMEM, failures = 0;
    for (int allowed = 0; rc != 0; allowed++) {
        ph_memory_fail_after(allowed, true);
        rc = hal_file_open(scratch_path("starved"), HAL_FILE_CREATE | back_end, &io, NULL);
        ph_memory_fail_after(-1, false);
        if (rc != 0) {
            assert_int_equal(rc, -ENOMEM);
            assert_int_equal(access(scratch_path("starved"), F_OK), -1);
            assert_int_equal(count_descriptors(&inheritable), before);
            assert_int_equal(ph_memory_live_blocks(), blocks);
            failures++;
        }
    }
    assert_true(failures >= 2);
    io->ops->close(io);
    assert_int_equal(ph_memory_live_blocks(), blocks);
}

/* ---- transfers ------------------------------------------------------------------------------ */

static void what_is_written_is_read(void **state)
{
    (void)state;
    const char *path = scratch_path("sync");
    struct snap_io *io = open_file(path, HAL_FILE_CREATE);
    uint8_t *out = blocks_of(0, 3), *in = blocks_of(0, 3);
    for (int i = 0; i < 3 * BLOCK; i++) {
        out[i] = (uint8_t)(i * 7 + i / BLOCK);
    }
    assert_int_equal(io->ops->write(io, 2 * BLOCK, out, 3 * BLOCK), 0);
    assert_int_equal(io->ops->flush(io), 0);
    uint64_t size;
    assert_int_equal(io->ops->size(io, &size), 0);
    assert_int_equal(size, 5 * BLOCK);
    assert_int_equal(io->ops->read(io, 2 * BLOCK, in, 3 * BLOCK), 0);
    assert_memory_equal(in, out, 3 * BLOCK);
    assert_int_equal(io->ops->read(io, 3 * BLOCK, in, 3 * BLOCK), -EIO); /* crosses the end */
    assert_int_equal(io->ops->read(io, 5 * BLOCK, in, BLOCK), -EIO);
    assert_int_equal(io->ops->read(io, 1 << 30, in, BLOCK), -EIO);
    io->ops->close(io);
    assert_int_equal(truncate(path, 4 * BLOCK + 100), 0); /* the end inside a block */
    io = open_file(path, HAL_FILE_READ_ONLY);
    assert_true(io->read_only);
    assert_int_equal(io->ops->read(io, 3 * BLOCK, in, BLOCK), 0);
    assert_memory_equal(in, out + BLOCK, BLOCK);
    assert_int_equal(io->ops->read(io, 4 * BLOCK, in, BLOCK), -EIO);
    assert_int_equal(io->ops->write(io, 0, out, BLOCK), -EBADF);
    io->ops->close(io);
    free(out);
    free(in);
}

static void misaligned_transfers_are_refused(void **state)
{
    (void)state;
    struct snap_io *io = open_file(scratch_path("aligned"), HAL_FILE_CREATE);
    uint8_t *block = blocks_of(1, 2);
    assert_int_equal(io->ops->write(io, 1, block, BLOCK), -EINVAL);
    assert_int_equal(io->ops->write(io, 0, block + 8, BLOCK), -EINVAL);
    assert_int_equal(io->ops->write(io, 0, block, BLOCK + 512), -EINVAL);
    assert_int_equal(io->ops->read(io, 512, block, BLOCK), -EINVAL);
    assert_int_equal(io->ops->read(io, UINT64_MAX - BLOCK + 1, block, BLOCK), -EINVAL);
    struct snap_io_request request = {.offset = 12, .buffer = block, .length = BLOCK};
    struct snap_io_request *done;
    assert_int_equal(io->ops->submit(io, &request), -EINVAL);
    request.offset = 0;
    request.length = 0;
    assert_int_equal(io->ops->submit(io, &request), -EINVAL);
    assert_int_equal(io->ops->reap(io, 1, &done), 0); /* nothing was started: nothing to wait for */
    assert_null(done);
    io->ops->close(io);
    free(block);
}

/* A set of requests that covers a file, in random order, each block marked with its number. */
struct traffic {
    uint8_t *memory;
    struct snap_io_request requests[256];
    unsigned count, returned[256];
};

static void plan(struct traffic *traffic, uint64_t seed, uint32_t file_blocks)
{
    struct ph_rng rng;
    ph_rng_init(&rng, seed);
    memset(traffic, 0, sizeof(*traffic));
    traffic->memory = blocks_of(0, file_blocks);
    for (uint32_t block = 0; block < file_blocks;) {
        uint32_t length = 1 + (uint32_t)ph_rng_below(&rng, 16);
        length = length > file_blocks - block ? file_blocks - block : length;
        struct snap_io_request *request = &traffic->requests[traffic->count];
        request->offset = (uint64_t)block * BLOCK;
        request->buffer = traffic->memory + (size_t)block * BLOCK;
        request->length = length * BLOCK;
        request->more = ph_rng_below(&rng, 2) != 0; /* a hint, never more */
        block += length;
        traffic->count++;
    }
    for (unsigned i = traffic->count - 1; i > 0; i--) { /* shuffle */
        unsigned other = (unsigned)ph_rng_below(&rng, i + 1);
        struct snap_io_request moved = traffic->requests[i];
        traffic->requests[i] = traffic->requests[other];
        traffic->requests[other] = moved;
    }
}

static void take(struct traffic *traffic, struct snap_io *io, unsigned minimum, unsigned *in_flight)
{
    struct snap_io_request *done;
    int count = io->ops->reap(io, minimum, &done);
    assert_in_range(count, minimum < *in_flight ? minimum : *in_flight, *in_flight);
    int listed = 0;
    for (; done != NULL; done = done->next, listed++) {
        ptrdiff_t index = done - traffic->requests;
        assert_true(done->owner == &traffic->returned[index]);
        assert_int_equal(traffic->returned[index]++, 0); /* exactly once */
        assert_int_equal(done->result, done->length);
    }
    assert_int_equal(listed, count);
    *in_flight -= (unsigned)count;
}

static void run(struct traffic *traffic, struct snap_io *io, enum snap_io_direction direction)
{
    unsigned in_flight = 0;
    memset(traffic->returned, 0, sizeof(traffic->returned));
    for (unsigned i = 0; i < traffic->count; i++) {
        struct snap_io_request *request = &traffic->requests[i];
        request->direction = direction;
        request->owner = &traffic->returned[i];
        int rc = io->ops->submit(io, request);
        if (rc == -EAGAIN) { /* full: exactly when 64 are in flight */
            assert_int_equal(in_flight, DEPTH);
            take(traffic, io, i % 5, &in_flight);
            if (in_flight == DEPTH) {
                take(traffic, io, 1, &in_flight);
            }
            rc = io->ops->submit(io, request);
        }
        assert_int_equal(rc, 0);
        in_flight++;
    }
    while (in_flight > 0) {
        take(traffic, io, in_flight > 3 ? 3 : 1000, &in_flight);
    }
}

static void write_then_read(struct snap_io *io, uint64_t seed, uint32_t file_blocks)
{
    struct traffic *out = malloc(sizeof(*out)), *in = malloc(sizeof(*in));
    assert_true(out != NULL && in != NULL);
    plan(out, seed, file_blocks);
    plan(in, seed + 1, file_blocks);
    for (uint32_t i = 0; i < file_blocks * (BLOCK / 8); i++) {
        ((uint64_t *)(void *)out->memory)[i] = i * seed;
    }
    run(out, io, SNAP_IO_WRITE);
    run(in, io, SNAP_IO_READ);
    assert_memory_equal(in->memory, out->memory, (size_t)file_blocks * BLOCK);
    free(out->memory);
    free(in->memory);
    free(out);
    free(in);
}

static void every_request_comes_back_once_with_its_data(void **state)
{
    (void)state;
    struct snap_io *io = open_file(scratch_path("traffic"), HAL_FILE_CREATE);
    uint64_t seed = ph_rng_seed_from_environment(3);
    print_message("PH_SEED=%" PRIu64 "\n", seed);
    for (uint64_t round = 0; round < 5; round++) {
        write_then_read(io, seed + round * 10, 1000);
        assert_int_equal(io->ops->flush(io), 0);
    }
    io->ops->close(io);
}

static void ignore_signal(int signal)
{
    (void)signal;
}

static void signals_disturb_no_transfer(void **state)
{
    (void)state;
    struct snap_io *io = open_file(scratch_path("signals"), HAL_FILE_CREATE);
    struct sigaction action = {.sa_handler = ignore_signal}, before; /* no SA_RESTART: EINTR */
    struct itimerval fast = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &fast, NULL), 0);
    for (uint64_t round = 0; round < 5; round++) {
        write_then_read(io, 77 + round, 1000);
        assert_int_equal(io->ops->flush(io), 0);
        assert_int_equal(io->ops->allocate(io, (1100 + round) * BLOCK), 0);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    io->ops->close(io);
}

static void a_read_past_the_end_comes_back_short(void **state)
{
    (void)state;
    struct snap_io *io = open_file(scratch_path("short"), HAL_FILE_CREATE);
    uint8_t *blocks = blocks_of(9, 4);
    assert_int_equal(io->ops->write(io, 0, blocks, 2 * BLOCK), 0);
    struct snap_io_request request = {
        .offset = BLOCK, .buffer = blocks, .length = 4 * BLOCK, .direction = SNAP_IO_READ};
    struct snap_io_request *done;
    assert_int_equal(io->ops->submit(io, &request), 0);
    assert_int_equal(io->ops->reap(io, 1, &done), 1);
    assert_true(done == &request);
    assert_null(done->next);
    assert_int_equal(done->result, BLOCK);
    io->ops->close(io);
    free(blocks);
}

static void an_error_comes_back_with_its_request(void **state)
{
    (void)state;
    const char *path = scratch_path("refused");
    struct snap_io *io = open_file(path, HAL_FILE_CREATE);
    io->ops->close(io);
    io = open_file(path, HAL_FILE_READ_ONLY);
    uint8_t *block = blocks_of(1, 1);
    struct snap_io_request request = {.buffer = block, .length = BLOCK, .direction = SNAP_IO_WRITE};
    struct snap_io_request *done;
    assert_int_equal(io->ops->submit(io, &request), 0);
    assert_int_equal(io->ops->reap(io, 1, &done), 1);
    assert_int_equal(done->result, -EBADF);
    io->ops->close(io);
    free(block);
}

static void close_waits_for_what_is_in_flight(void **state)
{
    (void)state;
    const char *path = scratch_path("closing");
    struct snap_io *io = open_file(path, HAL_FILE_CREATE);
    enum { COUNT = 16, LENGTH = 64 * BLOCK };
    uint8_t *out = blocks_of(0x5a, COUNT * 64), *in = blocks_of(0, 64);
    struct snap_io_request requests[COUNT];
    for (int i = 0; i < COUNT; i++) {
        requests[i] = (struct snap_io_request){.offset = (uint64_t)i * LENGTH,
                                               .buffer = out + (size_t)i * LENGTH,
                                               .length = LENGTH,
                                               .direction = SNAP_IO_WRITE};
        assert_int_equal(io->ops->submit(io, &requests[i]), 0);
    }
    io->ops->close(io);
    memset(out, 0, (size_t)COUNT * LENGTH); /* nobody reads the buffers any more */
    io = open_file(path, 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(io->ops->read(io, (uint64_t)i * LENGTH, in, LENGTH), 0);
        for (int k = 0; k < LENGTH; k++) {
            assert_int_equal(in[k], 0x5a);
        }
    }
    io->ops->close(io);
    free(out);
    free(in);
}

/* ---- growth --------------------------------------------------------------------------------- */

static void allocation_grows_the_file_with_blocks_of_zeros(void **state)
{
    (void)state;
    const char *path = scratch_path("growing");
    struct snap_io *io = open_file(path, HAL_FILE_CREATE);
    uint8_t *block = blocks_of(7, 1);
    assert_int_equal(io->ops->write(io, 9 * BLOCK, block, BLOCK), 0); /* holes before it */
    assert_int_equal(io->ops->allocate(io, 100 * BLOCK), 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 100 * BLOCK);
    assert_true(status.st_blocks * 512 >= 100 * BLOCK);
    assert_int_equal(io->ops->read(io, 50 * BLOCK, block, BLOCK), 0);
    for (int i = 0; i < BLOCK; i++) {
        assert_int_equal(block[i], 0);
    }
    assert_int_equal(io->ops->read(io, 9 * BLOCK, block, BLOCK), 0);
    assert_int_equal(block[0], 7); /* what was there stays */
    assert_int_equal(io->ops->allocate(io, 10 * BLOCK), 0);
    assert_int_equal(io->ops->allocate(io, 100 * BLOCK), 0);
    assert_int_equal(io->ops->allocate(io, 100 * BLOCK + 1), -EINVAL);
    uint64_t size;
    assert_int_equal(io->ops->size(io, &size), 0);
    assert_int_equal(size, 100 * BLOCK);            /* never shrinks */
    assert_int_equal(truncate(path, 5 * BLOCK), 0); /* by somebody else */
    assert_int_equal(io->ops->allocate(io, 20 * BLOCK), 0);
    assert_int_equal(io->ops->size(io, &size), 0);
    assert_int_equal(size, 20 * BLOCK);
    io->ops->close(io);
    free(block);
}

static void a_file_size_limit_is_no_space_and_no_signal(void **state)
{
    (void)state;
    struct snap_io *io = open_file(scratch_path("limited"), HAL_FILE_CREATE);
    assert_int_equal(io->ops->allocate(io, 8 * BLOCK), 0);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {.rlim_cur = 16 * BLOCK, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int over = io->ops->allocate(io, 17 * BLOCK); /* SIGXFSZ would end the test here */
    int exact = io->ops->allocate(io, 16 * BLOCK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(over, -ENOSPC);
    assert_int_equal(exact, 0);
    uint64_t size;
    assert_int_equal(io->ops->size(io, &size), 0);
    assert_int_equal(size, 16 * BLOCK);
    io->ops->close(io);
}

/* ---- locks and fork ------------------------------------------------------------------------- */

/* Another process, asking the kernel itself: 0 or -errno. */
static int lock_in_child(const char *path, uint64_t byte, short kind)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct flock lock = {
            .l_type = kind, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
        int fd = open(path, O_RDWR | O_CLOEXEC);
        _exit(fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) != 0 ? errno : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void locks_exclude_other_processes_and_other_openings(void **state)
{
    (void)state;
    const char *path = scratch_path("locked");
    struct snap_io *first = open_file(path, HAL_FILE_CREATE), *second = open_file(path, 0);
    const uint64_t writer = SNAP_LOCK_WRITER, reader = SNAP_LOCK_GENERATION(12345678901);
    assert_int_equal(first->ops->lock(first, writer, SNAP_IO_LOCK_EXCLUSIVE), 0);
    assert_int_equal(first->ops->lock(first, writer, SNAP_IO_LOCK_EXCLUSIVE), 0); /* has it */
    assert_int_equal(second->ops->lock(second, writer, SNAP_IO_LOCK_EXCLUSIVE), -EAGAIN);
    assert_int_equal(second->ops->lock(second, writer, SNAP_IO_LOCK_SHARED), -EAGAIN);
    assert_int_equal(lock_in_child(path, writer, F_WRLCK), -EAGAIN);
    assert_int_equal(second->ops->lock(second, reader, SNAP_IO_LOCK_SHARED), 0); /* other byte */
    assert_int_equal(first->ops->lock(first, reader, SNAP_IO_LOCK_SHARED), 0);
    assert_int_equal(lock_in_child(path, reader, F_RDLCK), 0);
    assert_int_equal(lock_in_child(path, reader, F_WRLCK), -EAGAIN);
    assert_int_equal(first->ops->lock(first, reader, SNAP_IO_UNLOCK), 0);
    assert_int_equal(second->ops->lock(second, reader, SNAP_IO_LOCK_EXCLUSIVE), 0);
    first->ops->close(first); /* drops what it holds */
    assert_int_equal(second->ops->lock(second, writer, SNAP_IO_LOCK_EXCLUSIVE), 0);
    second->ops->close(second);
    struct snap_io *viewer = open_file(path, HAL_FILE_READ_ONLY);
    assert_int_equal(viewer->ops->lock(viewer, reader, SNAP_IO_LOCK_SHARED), 0);
    viewer->ops->close(viewer);
}

static bool child_is_refused(struct snap_io *io, void *block)
{
    struct snap_io_request request = {.buffer = block, .length = BLOCK, .direction = SNAP_IO_WRITE};
    struct snap_io_request *done;
    uint64_t size;
    return io->ops->read(io, 0, block, BLOCK) == PHANTOM_EFORKED &&
           io->ops->write(io, 0, block, BLOCK) == PHANTOM_EFORKED &&
           io->ops->flush(io) == PHANTOM_EFORKED &&
           io->ops->submit(io, &request) == PHANTOM_EFORKED &&
           io->ops->reap(io, 0, &done) == PHANTOM_EFORKED &&
           io->ops->size(io, &size) == PHANTOM_EFORKED &&
           io->ops->allocate(io, BLOCK) == PHANTOM_EFORKED &&
           io->ops->lock(io, SNAP_LOCK_WRITER, SNAP_IO_UNLOCK) == PHANTOM_EFORKED;
}

static void a_forked_child_is_refused_and_keeps_no_lock(void **state)
{
    (void)state;
    const char *path = scratch_path("forked");
    struct snap_io *io = open_file(path, HAL_FILE_CREATE);
    assert_int_equal(io->ops->lock(io, SNAP_LOCK_WRITER, SNAP_IO_LOCK_EXCLUSIVE), 0);
    uint8_t *block = blocks_of(3, 1);
    assert_int_equal(io->ops->write(io, 0, block, BLOCK), 0);
    int go[2];
    assert_int_equal(pipe(go), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        bool inheritable, ok = child_is_refused(io, block);
        int before = count_descriptors(&inheritable);
        io->ops->close(io);
        ok = ok && count_descriptors(&inheritable) == before;
        close(go[1]);
        (void)!read(go[0], &byte, 1); /* live on until the parent has tried */
        _exit(ok ? 0 : 1);
    }
    /* The parent is not disturbed ... */
    assert_int_equal(io->ops->read(io, 0, block, BLOCK), 0);
    write_then_read(io, 5, 200);
    struct snap_io *second = open_file(path, 0);
    assert_int_equal(second->ops->lock(second, SNAP_LOCK_WRITER, SNAP_IO_LOCK_EXCLUSIVE), -EAGAIN);
    /* ... and when it lets go, the child does not hold on. */
    io->ops->close(io);
    assert_int_equal(second->ops->lock(second, SNAP_LOCK_WRITER, SNAP_IO_LOCK_EXCLUSIVE), 0);
    second->ops->close(second);
    close(go[0]);
    close(go[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(block);
}

static int group_setup(void **state)
{
    (void)state;
    scratch_create();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int main(int argc, char **argv)
{
    bool uring = argc == 2 && strcmp(argv[1], "io_uring") == 0;
    if (!uring && (argc != 2 || strcmp(argv[1], "threads") != 0)) {
        fprintf(stderr, "usage: test_hal_file io_uring|threads\n");
        return 2;
    }
    back_end = uring ? 0 : HAL_FILE_NO_URING;
    struct hal_probe probe;
    hal_probe(NULL, &probe);
    if (uring && !probe.io_uring) {
        printf("skipped: io_uring: %s\n", probe.items[3].detail);
        return PH_TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_file_is_private_and_empty),
        cmocka_unit_test(only_regular_files_are_opened),
        cmocka_unit_test(a_link_is_followed_but_never_created_through),
        cmocka_unit_test(nothing_leaks_on_close_exec_or_failure),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(misaligned_transfers_are_refused),
        cmocka_unit_test(every_request_comes_back_once_with_its_data),
        cmocka_unit_test(signals_disturb_no_transfer),
        cmocka_unit_test(a_read_past_the_end_comes_back_short),
        cmocka_unit_test(an_error_comes_back_with_its_request),
        cmocka_unit_test(close_waits_for_what_is_in_flight),
        cmocka_unit_test(allocation_grows_the_file_with_blocks_of_zeros),
        cmocka_unit_test(a_file_size_limit_is_no_space_and_no_signal),
        cmocka_unit_test(locks_exclude_other_processes_and_other_openings),
        cmocka_unit_test(a_forked_child_is_refused_and_keeps_no_lock),
    };
#ifdef TEST_PORTABLE /* its locks are the process's: no descriptor of a child holds them */
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
#else
    static const struct ph_killing killings[] = {
        {PH_MUTANT_CHILD_KEEPS_LOCK, cmocka_unit_test(a_forked_child_is_refused_and_keeps_no_lock),
         group_setup, group_teardown},
    };
    int failed = cmocka_run_group_tests(tests, group_setup, group_teardown);
    return ph_kill_all(failed, killings, sizeof(killings) / sizeof(killings[0]));
#endif
}
