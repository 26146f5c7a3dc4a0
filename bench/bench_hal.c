/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_hal.c - what a call of the port's HAL costs beside the raw facility of Linux.
 *
 * usage: bench_hal [--rounds N] [--json FILE] [--dir FOLDER]
 *
 * Ours and the peer take turns, several times; the median of each is printed, in nanoseconds for
 * one operation, and their ratio. The disk is a file in FOLDER, without flushes: what is measured
 * is the way to the page cache and back.
 */
#include <disk.h>
#include <fcntl.h>
#include <jansson.h>
#include <kernel/atomic.h>
#include <kernel/dpc.h>
#include <kernel/net_timer.h>
#include <kernel/stats.h>
#include <liburing.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <thread_private.h>
#include <time.h>
#include <unistd.h>

#include <phantom_hal.h>

enum { REPEATS = 7, DEPTH = 32 };

struct row {
    const char *name, *peer;
    void (*ours)(long rounds);
    void (*theirs)(long rounds);
    long divisor; /* rounds are divided by this: the operation is dear */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- locks ---------------------------------------------------------------------------------- */

static hal_mutex_t mutex;
static hal_sem_t sem, sem_back;
static hal_spinlock_t spin;
static volatile int counter;
static pthread_mutex_t raw_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_spinlock_t raw_spin;
static sem_t raw_sem, raw_back;

static void ours_mutex(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)hal_mutex_lock(&mutex);
        (void)hal_mutex_unlock(&mutex);
    }
}

static void raw_mutex_run(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)pthread_mutex_lock(&raw_mutex);
        (void)pthread_mutex_unlock(&raw_mutex);
    }
}

static void ours_spin(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        hal_spin_lock(&spin);
        hal_spin_unlock(&spin);
    }
}

static void raw_spin_run(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)pthread_spin_lock(&raw_spin);
        (void)pthread_spin_unlock(&raw_spin);
    }
}

static void ours_sem(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        hal_sem_release(&sem);
        (void)hal_sem_acquire(&sem);
    }
}

static void raw_sem_run(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)sem_post(&raw_sem);
        (void)sem_wait(&raw_sem);
    }
}

static void ours_atomic(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)atomic_add(&counter, 1);
    }
}

static void raw_atomic(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)__atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
    }
}

/* ---- two threads ----------------------------------------------------------------------------- */

static void answer_ours(void *rounds)
{
    for (long i = *(long *)rounds; i > 0; i--) {
        (void)hal_sem_acquire(&sem);
        hal_sem_release(&sem_back);
    }
}

static void ours_ping_pong(long rounds)
{
    (void)hal_start_thread(answer_ours, &rounds, THREAD_FLAG_KERNEL);
    for (long i = 0; i < rounds; i++) {
        hal_sem_release(&sem);
        (void)hal_sem_acquire(&sem_back);
    }
}

static void *answer_raw(void *rounds)
{
    for (long i = *(long *)rounds; i > 0; i--) {
        (void)sem_wait(&raw_sem);
        (void)sem_post(&raw_back);
    }
    return NULL;
}

static void raw_ping_pong(long rounds)
{
    pthread_t thread;
    (void)pthread_create(&thread, NULL, answer_raw, &rounds);
    for (long i = 0; i < rounds; i++) {
        (void)sem_post(&raw_sem);
        (void)sem_wait(&raw_back);
    }
    (void)pthread_join(thread, NULL);
}

static void release_ours(void *argument)
{
    hal_sem_release(argument);
}

static void ours_thread(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)hal_start_thread(release_ours, &sem, THREAD_FLAG_KERNEL);
        (void)hal_sem_acquire(&sem);
    }
}

static void *release_raw(void *argument)
{
    (void)sem_post(argument);
    return NULL;
}

static void raw_thread(long rounds)
{
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (long i = 0; i < rounds; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, release_raw, &raw_sem) == 0) {
            (void)sem_wait(&raw_sem);
        }
    }
    (void)pthread_attr_destroy(&attributes);
}

static void ours_dpc(long rounds)
{
    dpc_request request;
    dpc_request_init(&request, release_ours);
    for (long i = 0; i < rounds; i++) {
        dpc_request_trigger(&request, &sem);
        (void)hal_sem_acquire(&sem);
    }
}

/* ---- small calls ----------------------------------------------------------------------------- */

static void ours_clock(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        counter ^= (int)hal_system_time();
    }
}

static void raw_clock(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        counter ^= (int)now_ns();
    }
}

static void ours_current(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        counter ^= (int)get_current_tid();
    }
}

static void raw_current(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        counter ^= (int)pthread_self();
    }
}

static void ours_stat(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        STAT_INC_CNT(STAT_CNT_WIRE);
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void *window;
static physaddr_t frames;
static int raw_memory;

static void ours_map(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        hal_page_control(frames + (physaddr_t)(i % 2) * PAGE_SIZE, window, page_map, page_rw);
    }
}

static void raw_map(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)mmap(window, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, raw_memory,
                   (off_t)(i % 2) * PAGE_SIZE);
    }
}

/* ---- disk ------------------------------------------------------------------------------------ */

static phantom_disk_partition_t *disk;
static pager_io_request requests[DEPTH];
static int raw_file;
static struct io_uring raw_ring;
static void *raw_buffer;

static void released(pager_io_request *rq, int write)
{
    (void)rq;
    (void)write;
    hal_sem_release(&sem);
}

/* DEPTH writes of a block at once, and all of their completions. */
static void ours_writes(long rounds)
{
    for (long i = 0; i < rounds; i += DEPTH) {
        for (int j = 0; j < DEPTH; j++) {
            requests[j].disk_page = (disk_page_no_t)j;
            requests[j].flag_pageout = 1;
            disk_enqueue(disk, &requests[j]);
        }
        (void)hal_sem_acquire_etc(&sem, DEPTH, 0, 0);
    }
}

/* As ours: one submission for each, one at a time. */
static void raw_writes(long rounds)
{
    for (long i = 0; i < rounds; i += DEPTH) {
        for (int j = 0; j < DEPTH; j++) {
            struct io_uring_sqe *sqe = io_uring_get_sqe(&raw_ring);
            io_uring_prep_write(sqe, raw_file, raw_buffer, PAGE_SIZE, (__u64)j * PAGE_SIZE);
            (void)io_uring_submit(&raw_ring);
        }
        for (int j = 0; j < DEPTH; j++) {
            struct io_uring_cqe *cqe;
            if (io_uring_wait_cqe(&raw_ring, &cqe) == 0) {
                io_uring_cqe_seen(&raw_ring, cqe);
            }
        }
    }
}

static char block[PAGE_SIZE];

static void ours_read(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)phantom_sync_read_block(disk, block, i % DEPTH, 1);
    }
}

static void raw_read(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        counter ^= (int)pread(raw_file, block, PAGE_SIZE, (off_t)(i % DEPTH) * PAGE_SIZE);
    }
}

/* ---- timers ---------------------------------------------------------------------------------- */

static net_timer_event event;
static int raw_timer;

static void nothing(void *args)
{
    (void)args;
}

static void ours_arm(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)set_net_timer(&event, 100000, nothing, NULL, 0);
        (void)cancel_net_timer(&event);
    }
}

static void raw_arm(long rounds)
{
    struct itimerspec in_100_s = {.it_value.tv_sec = 100}, off = {0};
    for (long i = 0; i < rounds; i++) {
        (void)timerfd_settime(raw_timer, 0, &in_100_s, NULL);
        (void)timerfd_settime(raw_timer, 0, &off, NULL);
    }
}

/* From arming with 1 ms to the callback. */
static void ours_fire(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        (void)set_net_timer(&event, 1, release_ours, &sem, 0);
        (void)hal_sem_acquire(&sem);
    }
}

static void raw_fire(long rounds)
{
    struct itimerspec in_1_ms = {.it_value.tv_nsec = 1000000};
    for (long i = 0; i < rounds; i++) {
        uint64_t times;
        (void)timerfd_settime(raw_timer, 0, &in_1_ms, NULL);
        counter ^= (int)read(raw_timer, &times, sizeof(times));
    }
}

/* ---- run ------------------------------------------------------------------------------------- */

static const struct row rows[] = {
    {"mutex lock, unlock", "pthread_mutex", ours_mutex, raw_mutex_run, 1},
    {"spin lock, unlock", "pthread_spin", ours_spin, raw_spin_run, 1},
    {"semaphore release, acquire", "sem_t", ours_sem, raw_sem_run, 1},
    {"atomic_add", "the instruction", ours_atomic, raw_atomic, 1},
    {"hal_system_time", "clock_gettime", ours_clock, raw_clock, 1},
    {"get_current_tid", "pthread_self", ours_current, raw_current, 1},
    {"STAT_INC_CNT", "the instruction", ours_stat, raw_atomic, 1},
    {"semaphore to a thread and back", "sem_t", ours_ping_pong, raw_ping_pong, 50},
    {"thread start, run, wait", "pthread_create", ours_thread, raw_thread, 200},
    {"DPC trigger, run, wait", "sem_t to a thread and back", ours_dpc, raw_ping_pong, 50},
    {"hal_page_control", "mmap", ours_map, raw_map, 20},
    {"disk write, 32 at once", "io_uring", ours_writes, raw_writes, 100},
    {"disk read, synchronous", "pread", ours_read, raw_read, 100},
    {"net timer arm, cancel", "timerfd", ours_arm, raw_arm, 10},
    {"net timer of 1 ms", "timerfd", ours_fire, raw_fire, 20000},
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double measure(void (*run)(long rounds), long rounds)
{
    uint64_t begin = now_ns();
    run(rounds);
    return (double)(now_ns() - begin) / (double)rounds;
}

static void run_row(const struct row *row, long rounds, json_t *out)
{
    double ours[REPEATS], theirs[REPEATS];
    long count = rounds / row->divisor < DEPTH ? DEPTH : rounds / row->divisor / DEPTH * DEPTH;
    for (int i = 0; i < REPEATS; i++) { /* in turns: what disturbs one disturbs the other */
        ours[i] = measure(row->ours, count);
        theirs[i] = measure(row->theirs, count);
    }
    qsort(ours, REPEATS, sizeof(double), by_value);
    qsort(theirs, REPEATS, sizeof(double), by_value);
    double a = ours[REPEATS / 2], b = theirs[REPEATS / 2];
    printf("%-32s %10.1f ns   %-28s %10.1f ns   %5.2f\n", row->name, a, row->peer, b, a / b);
    (void)json_object_set_new(
        out, row->name,
        json_pack("{s:f,s:s,s:f,s:f}", "ns", a, "peer", row->peer, "peer_ns", b, "ratio", a / b));
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_hal: %s failed\n", what);
    exit(1);
}

static void set_up(const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/bench_hal_XXXXXX", folder);
    raw_file = mkstemp(path);
    if (raw_file < 0 || ftruncate(raw_file, (off_t)DEPTH * PAGE_SIZE) != 0 ||
        phantom_hal_add_disk(path, 0, &disk) != 0) {
        fail("a file for the disk");
    }
    (void)unlink(path);
    if (hal_mutex_init(&mutex, "bench") != 0 || hal_sem_init(&sem, "bench") != 0 ||
        hal_sem_init(&sem_back, "bench") != 0 || sem_init(&raw_sem, 0, 0) != 0 ||
        sem_init(&raw_back, 0, 0) != 0 || pthread_spin_init(&raw_spin, 0) != 0) {
        fail("a lock");
    }
    hal_spin_init(&spin);
    raw_memory = memfd_create("bench_hal", MFD_CLOEXEC);
    raw_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (hal_alloc_vaddress(&window, 1) != 0 || hal_alloc_phys_pages(&frames, 2) != 0 ||
        raw_memory < 0 || ftruncate(raw_memory, (off_t)2 * PAGE_SIZE) != 0 || raw_timer < 0) {
        fail("memory or timer");
    }
    raw_buffer = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    if (raw_buffer == NULL || io_uring_queue_init(DEPTH, &raw_ring, 0) != 0) {
        fail("io_uring");
    }
    memset(raw_buffer, 1, PAGE_SIZE);
    for (int i = 0; i < DEPTH; i++) {
        void *va;
        pager_io_request_init(&requests[i]);
        hal_pv_alloc(&requests[i].phys_page, &va, PAGE_SIZE);
        memset(va, 1, PAGE_SIZE);
        requests[i].pager_callback = released;
    }
    dpc_init();
}

int main(int argc, char **argv)
{
    long rounds = 2000000;
    const char *json_path = NULL, *folder = ".";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0) {
            rounds = strtol(argv[i + 1], NULL, 0);
        } else if (strcmp(argv[i], "--json") == 0) {
            json_path = argv[i + 1];
        } else if (strcmp(argv[i], "--dir") == 0) {
            folder = argv[i + 1];
        }
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    set_up(folder);
    json_t *out = json_object();
    printf("disk: %s; median of %d\n", phantom_hal_disk_backend(disk), REPEATS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        run_row(&rows[i], rounds, out);
    }
    if (json_path != NULL && json_dump_file(out, json_path, JSON_INDENT(2)) != 0) {
        fail("writing the figures");
    }
    json_decref(out);
    dpc_finish();
    return 0;
}
