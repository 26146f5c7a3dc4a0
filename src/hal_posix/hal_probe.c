/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_probe.c - what this kernel, file system and container allow, found out by trying. Versions
 * are reported but never believed: distributions patch kernels and containers filter them.
 *
 * Owns nothing: everything that is opened or mapped is gone when hal_probe() returns; the probe
 * file never has a name. No locks; any thread.
 */
#include "hal_posix.h"

#include "file_queue.h"
#include "hal_barrier.h"
#include "hal_internal.h"
#include "page_tracker.h"
#include "page_trap.h"
#include "ph_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <hal.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Append one answer: error 0 means that it works. */
static void answer(struct hal_probe *probe, const char *name, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void answer(struct hal_probe *probe, const char *name, int error, const char *format, ...)
{
    if (probe->item_count == HAL_PROBE_ITEMS) {
        return;
    }
    struct hal_probe_item *item = &probe->items[probe->item_count++];
    item->name = name;
    item->works = error == 0;
    item->error = error;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(item->detail, sizeof(item->detail), format, arguments);
    va_end(arguments);
}

/* "denied (EPERM)", "failed (EIO)": what happened, before why. */
static const char *verdict(int error, char *out, size_t size)
{
    bool denied = error == -EPERM || error == -EACCES;
    (void)snprintf(out, size, "%s (%s)", denied ? "denied" : "failed", phantom_err_name(error));
    return out;
}

/* ---- tracking ------------------------------------------------------------------------------- */

/* Does a scan find exactly the written one of two pages? 0 or -errno. */
static int scan_is_exact(struct page_tracker *tracker, uint8_t *pages)
{
    struct snap_range span = {0, 2}, found;
    uint64_t resume;
    *(volatile uint8_t *)(pages + HAL_PAGE_SIZE) = 1;
    int rc = page_tracker_scan(tracker->pagemap, pages, PAGE_TRACKER_DIRTY, true, span, &found, 1,
                               &resume);
    if (rc < 0) {
        return rc;
    }
    if (rc != 1 || found.first != 1 || found.count != 1) {
        return -EIO;
    }
    rc = page_tracker_scan(tracker->pagemap, pages, PAGE_TRACKER_DIRTY, true, span, &found, 1,
                           &resume);
    return rc < 0 ? rc : rc == 0 ? 0 : -EIO;
}

static void probe_tracking(struct hal_probe *probe)
{
    static const char *const names[PAGE_TRACKER_STEPS] = {"userfaultfd", "wp_async",
                                                          "pagemap_scan"};
    static const char *const good[PAGE_TRACKER_STEPS] = {"user-mode faults, no privilege needed",
                                                         "writes are tracked by the kernel",
                                                         "written pages are found exactly"};
    enum page_tracker_step failed = PAGE_TRACKER_STEPS;
    struct page_tracker tracker;
    int error = 0;
    size_t size = 2 * HAL_PAGE_SIZE;
    uint8_t *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        failed = PAGE_TRACKER_USERFAULTFD;
        error = -errno;
    } else {
        (void)madvise(pages, size, MADV_NOHUGEPAGE);
        error = page_tracker_open(&tracker, pages, size, &failed);
        if (error == 0) {
            error = scan_is_exact(&tracker, pages);
            failed = error == 0 ? PAGE_TRACKER_STEPS : PAGE_TRACKER_PAGEMAP_SCAN;
            page_tracker_close(&tracker);
        }
        (void)munmap(pages, size);
    }
    bool *flags[PAGE_TRACKER_STEPS] = {&probe->userfaultfd, &probe->wp_async, &probe->pagemap_scan};
    for (enum page_tracker_step step = 0; step < PAGE_TRACKER_STEPS; step++) {
        char text[48];
        *flags[step] = step < failed;
        if (step < failed) {
            answer(probe, names[step], 0, "%s", good[step]);
        } else if (step == failed) {
            answer(probe, names[step], error, "%s: %s", verdict(error, text, sizeof(text)),
                   page_tracker_explain(step, error));
        } else {
            answer(probe, names[step], error, "not tried: needs %s", names[failed]);
        }
    }
}

/* Catching stores in the storing thread; no handler is installed to find out. */
static void probe_sigbus(struct hal_probe *probe)
{
    struct page_trap trap;
    const char *step;
    char text[48];
    int rc = page_trap_open(&trap, PAGE_TRAP_SIGBUS, NULL, HAL_PAGE_SIZE, &step);
    probe->sigbus = rc == 0;
    if (rc == 0) {
        page_trap_close(&trap);
        answer(probe, "sigbus", 0, "first stores can be caught, with a handler of SIGBUS");
    } else {
        answer(probe, "sigbus", rc, "%s: %s: needs Linux 5.11 and no filter",
               verdict(rc, text, sizeof(text)), step);
    }
}

/* ---- io_uring ------------------------------------------------------------------------------- */

/* One real read through a ring of the kind that stores use. */
static int read_by_uring(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    struct file_queue *queue;
    int rc = file_queue_uring.open(fd, &queue);
    if (rc == 0) {
        void *page = ph_alloc_aligned(HAL_PAGE_SIZE, HAL_PAGE_SIZE);
        struct snap_io_request request = {
            .buffer = page, .length = HAL_PAGE_SIZE, .direction = SNAP_IO_READ};
        struct snap_io_request *done;
        rc = page == NULL ? -ENOMEM : queue->ops->submit(queue, &request);
        if (rc == 0) {
            rc = queue->ops->reap(queue, 1, &done);
            rc = rc < 0 ? rc : request.result < 0 ? request.result : 0;
        }
        queue->ops->close(queue);
        ph_free(page);
    }
    hal_close(fd);
    return rc;
}

static void probe_uring(struct hal_probe *probe)
{
    int error = read_by_uring();
    probe->io_uring = error == 0;
    if (error == 0) {
        answer(probe, "io_uring", 0, "used for snapshot streams");
        return;
    }
    char text[48], sysctl[16];
    hal_read_line("/proc/sys/kernel/io_uring_disabled", sysctl, sizeof(sysctl));
    const char *why = error == -EPERM && sysctl[0] != '\0' && sysctl[0] != '0'
                          ? "sysctl kernel.io_uring_disabled"
                      : error == -EPERM  ? "seccomp filter or security module"
                      : error == -ENOSYS ? "not in this kernel, or hidden by a seccomp filter"
                      : error == -ENOMEM ? "RLIMIT_MEMLOCK (ulimit -l) is too small"
                      : error == -EMFILE ? "RLIMIT_NOFILE (ulimit -n) is too small"
                                         : "the kernel refused it";
    answer(probe, "io_uring", error, "%s: %s; pwrite threads are used instead",
           verdict(error, text, sizeof(text)), why);
}

/* ---- directory ------------------------------------------------------------------------------ */

static const char *file_system_name(int fd, char *out, size_t size)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {
        {0xef53, "ext4"},      {0x58465342, "xfs"}, {0x9123683e, "btrfs"},
        {0x01021994, "tmpfs"}, {0x6969, "nfs"},     {0x794c7630, "overlayfs"},
        {0x65735546, "fuse"},  {0x2fc12fc1, "zfs"}, {0xf2f52010, "f2fs"},
        {0xfe534d42, "smb"},   {0x01021997, "9p"},
    };
    struct statfs status;
    if (fstatfs(fd, &status) != 0) {
        return "unknown";
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if ((unsigned long)status.f_type == known[i].magic) {
            return known[i].name;
        }
    }
    (void)snprintf(out, size, "type 0x%lx", (unsigned long)status.f_type);
    return out;
}

/* A file in the directory that has no name, or loses it at once. -errno on failure. */
static int open_probe_file(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return fd >= 0 ? fd : -errno;
    }
    char *name = ph_alloc(strlen(directory) + 32);
    if (name == NULL) {
        return -ENOMEM;
    }
    (void)sprintf(name, "%s/.phantom-probe-XXXXXX", directory);
    fd = mkostemp(name, O_CLOEXEC);
    int rc = fd >= 0 ? fd : -errno;
    if (fd >= 0) {
        (void)unlink(name);
    }
    ph_free(name);
    return rc;
}

static int try_direct(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) {
        return -errno;
    }
    void *page = ph_alloc_aligned(HAL_PAGE_SIZE, HAL_PAGE_SIZE);
    if (page == NULL) {
        return -ENOMEM;
    }
    memset(page, 1, HAL_PAGE_SIZE);
    struct snap_io_request request = {
        .buffer = page, .length = HAL_PAGE_SIZE, .direction = SNAP_IO_WRITE};
    int32_t moved = file_transfer_once(fd, &request);
    (void)fcntl(fd, F_SETFL, flags);
    ph_free(page);
    return moved == HAL_PAGE_SIZE ? 0 : moved < 0 ? moved : -EIO;
}

static int try_lock(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)SNAP_LOCK_WRITER, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
}

static void probe_space(struct hal_probe *probe, int fd)
{
    struct statvfs status;
    if (fstatvfs(fd, &status) != 0) {
        int error = -errno;
        answer(probe, "free_space", error, "cannot be told: %s", strerror(-error));
        return;
    }
    uint64_t bytes = (uint64_t)status.f_bavail * status.f_frsize;
    answer(probe, "free_space", bytes > 0 ? 0 : -ENOSPC, "%" PRIu64 " MiB free", bytes >> 20);
}

static void probe_directory(struct hal_probe *probe, const char *directory)
{
    char text[48], kind[32];
    int fd = open_probe_file(directory);
    if (fd < 0) {
        answer(probe, "directory", fd, "%.80s: cannot create files: %s", directory, strerror(-fd));
        return;
    }
    const char *system = file_system_name(fd, kind, sizeof(kind));
    answer(probe, "directory", 0, "%.80s: %s%s", directory, system,
           strcmp(system, "tmpfs") == 0 ? ", in memory: nothing here survives a reboot" : "");
    int error = try_direct(fd);
    if (error == 0) {
        answer(probe, "o_direct", 0, "writes bypass the page cache");
    } else {
        answer(probe, "o_direct", error, "%s on %s: buffered writes are used instead",
               verdict(error, text, sizeof(text)), system);
    }
    error = fallocate(fd, 0, 0, 65536) == 0 ? 0 : -errno;
    if (error == 0) {
        answer(probe, "fallocate", 0, "space is reserved before it is needed");
    } else {
        answer(probe, "fallocate", error, "%s on %s: files grow by writing zeros",
               verdict(error, text, sizeof(text)), system);
    }
    error = try_lock(fd);
    if (error == 0) {
        answer(probe, "locks", 0, "one writer per store is enforced");
    } else {
        answer(probe, "locks", error, "%s on %s: stores cannot be opened here",
               verdict(error, text, sizeof(text)), system);
    }
    probe_space(probe, fd);
    hal_close(fd);
}

/* ---- limits --------------------------------------------------------------------------------- */

static void probe_limit(struct hal_probe *probe, const char *name, __rlimit_resource_t resource,
                        const char *flag)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) {
        int error = -errno;
        answer(probe, name, error, "cannot be told: %s", strerror(-error));
    } else if (limit.rlim_cur == RLIM_INFINITY) {
        answer(probe, name, 0, "unlimited");
    } else {
        answer(probe, name, 0, "%" PRIu64 " KiB (ulimit -%s)", (uint64_t)limit.rlim_cur >> 10,
               flag);
    }
}

static void probe_barrier(struct hal_probe *probe)
{
    int rc = hal_barrier(NULL);
    char text[64];
    probe->membarrier = rc == 0;
    if (rc == 0) {
        answer(probe, "membarrier", 0, "marks of written pages can be cleared while threads run");
    } else {
        answer(probe, "membarrier", rc, "%s: marks are used in the stop only",
               verdict(rc, text, sizeof(text)));
    }
}

void hal_probe(const char *directory, struct hal_probe *out)
{
    memset(out, 0, sizeof(*out));
    struct utsname system;
    if (uname(&system) == 0) {
        (void)snprintf(out->kernel, sizeof(out->kernel), "%.20s %.40s", system.sysname,
                       system.release);
    }
    probe_tracking(out);
    probe_sigbus(out);
    out->mprotect = true; /* neither can be denied by itself */
    out->freezes = true;
    probe_barrier(out);
    probe_uring(out);
    answer(out, "cpus", 0, "%d usable", hal_cpu_count());
    probe_limit(out, "address_space", RLIMIT_AS, "v");
    probe_limit(out, "locked_memory", RLIMIT_MEMLOCK, "l");
    probe_limit(out, "file_size", RLIMIT_FSIZE, "f");
    if (directory != NULL) {
        probe_directory(out, directory);
    }
}
