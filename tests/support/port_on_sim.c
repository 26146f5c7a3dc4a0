/* SPDX-License-Identifier: Apache-2.0
 *
 * port_on_sim.c - port_machine.h on the simulated machine: the files of the port (src/port_hal) are
 * linked with this and with room hal_sim instead of their Linux part and hal_posix.
 *
 * Threads are the machine's. The alarm sleeps on a futex, in the machine's time. Files that are
 * disks are files of the simulated disk, with its latency, order, errors and loss; it moves whole
 * pages, so what begins or ends within one is read first. Of pages that are moved in part two
 * transfers may be under way, so these take turns.
 *
 * Owns the table of open files and the key of thread ends, of one machine at a time, and of it the
 * thread with the baton.
 */
#include "port_on_sim.h"

#include "hal_files.h"
#include "hal_sim.h"
#include "on_machine.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "port_machine.h"

#include <hal.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { FILES = 128, HANDLES = 8, PAGE = 4096, SECTOR = 512 };

struct file {
    char *path; /* NULL: this number is free */
    bool read_only;
    struct snap_io *lock; /* keeps the lock of the file, and says how long it is */
    struct snap_io *idle[HANDLES];
    unsigned idle_count;
    hal_mutex_t partial; /* a transfer of a part of a page is under way */
};

static struct file files[FILES];
static hal_thread_key_t end_key;
static void (*call_at_end)(void);
static void (*write_hook)(uint64_t offset);
static int (*flush_hook)(int file);
static unsigned short_permille;        /* so many transfers move a part only */
static uint64_t flushes, shut_down_at; /* shut down while the so many-th flush goes on; 0: never */

static void thread_ends(void *value)
{
    (void)value;
    if (call_at_end != NULL) {
        call_at_end();
    }
}

void port_on_sim_begin(void)
{
    memset(files, 0, sizeof(files));
    call_at_end = NULL;
    write_hook = NULL;
    flush_hook = NULL;
    short_permille = 0;
    flushes = shut_down_at = 0;
    errno_t rc = hal_thread_key_create(&end_key, thread_ends);
    PH_CHECK(rc == 0);
}

void port_on_sim_hooks(void (*before_write)(uint64_t offset), int (*before_flush)(int file))
{
    write_hook = before_write;
    flush_hook = before_flush;
}

void port_machine_point(const char *what)
{
    hal_sim_point(what);
}

/* ---- threads -------------------------------------------------------------------------------- */

struct start {
    void *(*run)(void *argument);
    void *argument;
};

static void started(void *argument)
{
    struct start start = *(struct start *)argument;
    ph_free(argument);
    (void)start.run(start.argument);
}

int port_machine_start(void *(*run)(void *), void *argument)
{
    struct start *start = ph_zalloc(1, sizeof(*start));
    if (start == NULL) {
        return ENOMEM;
    }
    *start = (struct start){run, argument};
    int number = hal_sim_start_thread(started, start);
    if (number < 0) {
        ph_free(start);
        return -number;
    }
    return 0;
}

_Noreturn void port_machine_exit_thread(void)
{
    hal_sim_exit_thread();
}

void port_machine_at_thread_end(void (*ended)(void))
{
    call_at_end = ended;
    errno_t rc = hal_thread_key_set(end_key, &end_key);
    PH_CHECK(rc == 0);
}

/* ---- alarm ---------------------------------------------------------------------------------- */

struct port_alarm {
    const struct port_alarm_calls *calls;
    void *context;
    _Atomic uint32_t changed; /* futex */
    atomic_bool stop;
    uint64_t next_second;
};

int port_alarm_open(const struct port_alarm_calls *calls, void *context, struct port_alarm **out)
{
    struct port_alarm *alarm = ph_zalloc(1, sizeof(*alarm));
    if (alarm == NULL) {
        return ENOMEM;
    }
    alarm->calls = calls;
    alarm->context = context;
    alarm->next_second = hal_system_time() + 1000000;
    *out = alarm;
    return 0;
}

void port_alarm_run(struct port_alarm *alarm)
{
    for (;;) {
        uint32_t seen = atomic_load(&alarm->changed);
        if (atomic_load(&alarm->stop)) {
            return;
        }
        uint64_t next = alarm->calls->next(alarm->context);
        uint64_t now = hal_system_time();
        uint64_t first = next < alarm->next_second ? next : alarm->next_second;
        if (first > now) {
            (void)hal_futex_wait(&alarm->changed, seen, (int64_t)(first - now) * 1000);
        } else if (first == next) {
            alarm->calls->due(alarm->context);
        } else {
            alarm->next_second += 1000000;
            alarm->calls->second(alarm->context);
        }
    }
}

void port_alarm_look(struct port_alarm *alarm)
{
    (void)atomic_fetch_add(&alarm->changed, 1);
    hal_futex_wake(&alarm->changed, 1);
}

void port_alarm_stop(struct port_alarm *alarm)
{
    atomic_store(&alarm->stop, true);
    port_alarm_look(alarm);
}

void port_alarm_close(struct port_alarm *alarm)
{
    ph_free(alarm);
}

/* ---- files that are disks ------------------------------------------------------------------- */

static int open_handle(const struct file *file, struct snap_io **out)
{
    struct phantom_diag diag;
    int rc = hal_file_open(file->path, file->read_only ? HAL_FILE_READ_ONLY : 0, out, &diag);
    return rc == 0 ? 0 : rc == PHANTOM_ENOTFOUND ? ENOENT : rc > -200 ? -rc : EINVAL;
}

static struct file *free_file(void)
{
    struct file *file = files;
    while (file < files + FILES && file->path != NULL) {
        file++;
    }
    return file < files + FILES ? file : NULL;
}

static int lock_and_measure(struct file *file, uint64_t *sectors)
{
    int rc = open_handle(file, &file->lock);
    if (rc != 0) {
        return rc;
    }
    uint64_t bytes = 0;
    rc = file->lock->ops->lock(file->lock, SNAP_LOCK_WRITER,
                               file->read_only ? SNAP_IO_LOCK_SHARED : SNAP_IO_LOCK_EXCLUSIVE);
    rc = rc != 0 ? rc : file->lock->ops->size(file->lock, &bytes);
    *sectors = bytes / SECTOR;
    if (rc == 0 && bytes < PAGE) {
        rc = -EINVAL;
    }
    if (rc != 0) {
        file->lock->ops->close(file->lock);
    }
    return -rc;
}

int port_file_open(const char *path, bool read_only, int *out, uint64_t *sectors)
{
    struct file *file = free_file();
    if (file == NULL) {
        return EMFILE;
    }
    *file = (struct file){.path = ph_strdup(path), .read_only = read_only};
    if (file->path == NULL || hal_mutex_init(&file->partial, "part of a page") != 0) {
        ph_free(file->path);
        file->path = NULL;
        return ENOMEM;
    }
    int rc = lock_and_measure(file, sectors);
    if (rc != 0) {
        (void)hal_mutex_destroy(&file->partial);
        ph_free(file->path);
        file->path = NULL;
        return rc;
    }
    *out = (int)(file - files);
    return 0;
}

void port_file_close(int number)
{
    if (number < 0) {
        return;
    }
    struct file *file = &files[number];
    while (file->idle_count > 0) {
        struct snap_io *io = file->idle[--file->idle_count];
        io->ops->close(io);
    }
    file->lock->ops->close(file->lock);
    (void)hal_mutex_destroy(&file->partial);
    ph_free(file->path);
    file->path = NULL;
}

/* A handle is used by one thread at a time. */
static int borrow(struct file *file, struct snap_io **out)
{
    if (file->idle_count > 0) {
        *out = file->idle[--file->idle_count];
        return 0;
    }
    return open_handle(file, out);
}

static void give_back(struct file *file, struct snap_io *io)
{
    if (file->idle_count < HANDLES) {
        file->idle[file->idle_count++] = io;
    } else {
        io->ops->close(io);
    }
}

/* Pages [from, from + count) into or out of `pages`. */
static int move_pages(struct snap_io *io, uint64_t from, uint8_t *pages, uint32_t count, bool write)
{
    return write ? io->ops->write(io, from * PAGE, pages, count * PAGE)
                 : io->ops->read(io, from * PAGE, pages, count * PAGE);
}

static bool is_shut_down(void)
{
    return shut_down_at != 0 && flushes >= shut_down_at;
}

/* Of a transfer of several sectors perhaps some; or it is interrupted before the first. */
static ssize_t shortened(size_t size)
{
    if (short_permille == 0 || hal_sim_random_below(1000) >= short_permille) {
        return (ssize_t)size;
    }
    size_t sectors = size / SECTOR;
    uint64_t now = hal_sim_random_below(sectors + 1);
    return now > 0 ? (ssize_t)(now * SECTOR) : hal_sim_random_below(2) == 0 ? -EINTR : -EAGAIN;
}

static ssize_t move(int number, uint8_t *bytes, size_t size, uint64_t offset, bool write)
{
    ssize_t wanted = shortened(size);
    if (wanted < 0 || is_shut_down()) {
        return wanted < 0 ? wanted : -EIO;
    }
    size = (size_t)wanted;
    struct file *file = &files[number];
    struct snap_io *io;
    uint64_t length = 0;
    int rc = -borrow(file, &io);
    if (rc != 0) {
        return rc;
    }
    rc = io->ops->size(io, &length);
    if (rc == 0 && offset >= length) {
        give_back(file, io);
        return 0;
    }
    uint64_t first = offset / PAGE, end = (offset + size + PAGE - 1) / PAGE;
    uint32_t count = (uint32_t)(end - first);
    bool whole = offset % PAGE == 0 && size % PAGE == 0;
    uint8_t *pages = ph_alloc_aligned(PAGE, (size_t)count * PAGE);
    rc = rc != 0 ? rc : pages == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        if (write && !whole) {
            (void)hal_mutex_lock(&file->partial);
            rc = move_pages(io, first, pages, count, false);
        }
        if (rc == 0 && write) {
            memcpy(pages + offset % PAGE, bytes, size);
        }
        rc = rc != 0 ? rc : move_pages(io, first, pages, count, write);
        if (rc == 0 && !write) {
            memcpy(bytes, pages + offset % PAGE, size);
        }
        if (write && !whole) {
            (void)hal_mutex_unlock(&file->partial);
        }
    }
    ph_free(pages);
    give_back(file, io);
    return rc == 0 ? (ssize_t)size : rc;
}

ssize_t port_file_read(int file, void *bytes, size_t size, uint64_t offset)
{
    return move(file, bytes, size, offset, false);
}

ssize_t port_file_write(int file, const void *bytes, size_t size, uint64_t offset)
{
    if (write_hook != NULL) {
        write_hook(offset);
    }
    return move(file, (uint8_t *)(uintptr_t)bytes, size, offset, true);
}

int port_file_flush(int number)
{
    struct file *file = &files[number];
    struct snap_io *io;
    int error = flush_hook != NULL ? flush_hook(number) : 0;
    if (is_shut_down()) {
        return EIO;
    }
    flushes++;
    if (is_shut_down()) {
        return 0; /* as XFS says it to a flush that is under way then */
    }
    int rc = error != 0 ? error : borrow(file, &io);
    if (rc == 0) {
        rc = -io->ops->flush(io);
        give_back(file, io);
    }
    return rc;
}

int port_file_check(int number, uint64_t sectors)
{
    const struct snap_io *lock = files[number].lock;
    uint64_t bytes = 0;
    int rc = is_shut_down() ? -EIO : lock->ops->size(files[number].lock, &bytes);
    return rc != 0 && rc != -ESTALE ? -rc : rc == 0 && bytes / SECTOR < sectors ? EIO : 0;
}

/* As pages of zeros, one after the other; a short one goes on where it ended. */
int port_file_trim(int file, uint64_t offset, uint64_t size)
{
    static uint8_t zeros[PAGE];
    while (size > 0) {
        uint64_t now = size < PAGE ? size : PAGE;
        now = now < PAGE - offset % PAGE ? now : PAGE - offset % PAGE;
        ssize_t moved = move(file, zeros, now, offset, true);
        if (moved == -EINTR || moved == -EAGAIN) {
            continue;
        }
        if (moved <= 0) {
            return moved == 0 ? EIO : (int)-moved;
        }
        offset += (uint64_t)moved;
        size -= (uint64_t)moved;
    }
    return 0;
}

const struct port_disk_backend *port_file_fast_backend(void)
{
    return NULL;
}

/* ---- from outside --------------------------------------------------------------------------- */

bool port_on_sim_make(const char *path, uint64_t bytes)
{
    uint8_t *zeros = ph_zalloc(1, bytes);
    bool made = zeros != NULL && hal_sim_disk_put(machine_disk(), path, zeros, bytes) == 0;
    ph_free(zeros);
    return made;
}

bool port_on_sim_put(const char *path, uint64_t offset, const void *bytes, size_t size)
{
    return hal_sim_disk_poke(machine_disk(), path, offset, bytes, size);
}

bool port_on_sim_get(const char *path, uint64_t offset, void *bytes, size_t size)
{
    uint64_t length = 0;
    const uint8_t *content = hal_sim_disk_file(machine_disk(), path, &length);
    if (content == NULL || offset > length || size > length - offset) {
        return false;
    }
    memcpy(bytes, content + offset, size);
    return true;
}

bool port_on_sim_cut(const char *path, uint64_t bytes)
{
    struct phantom_diag diag;
    return hal_file_cut(path, bytes, &diag) == 0;
}

void port_on_sim_remove(const char *path)
{
    hal_file_discard(path);
}

void port_on_sim_fail_write(uint64_t at)
{
    const struct hal_sim_fault fault = {HAL_SIM_FAULT_WRITE_ERROR, at, 1};
    hal_sim_disk_set_fault(machine_disk(), &fault);
}

void port_on_sim_shorten(unsigned permille)
{
    short_permille = permille;
}

void port_on_sim_shut_down_at_flush(uint64_t at)
{
    shut_down_at = flushes + at;
}
