/* SPDX-License-Identifier: Apache-2.0
 *
 * power_shim.c - a file system that loses what was not made durable: the power-cut laboratory.
 *
 *     power_shim BACKING MOUNTPOINT
 *
 * Shows the files of the directory BACKING at MOUNTPOINT. Writes and changes of size stay in memory
 * until fsync() of their file; names made or changed stay revocable until fsync() of their
 * directory. SIGUSR1, or the word "cut" written to MOUNTPOINT/.power, is the power cut: what is not
 * durable is gone, new names are taken back, and every operation after it fails with EIO.
 *
 * Other words for .power, each about the N-th such operation from now on:
 *     cut N                                     power cut just after the N-th write
 *     fail write|flush N EIO|ENOSPC|short [sticky]
 * Reading .power gives the counters:  writes=N flushes=N dropped=N undone=N failed=N cut=0|1
 *
 * It runs in the foreground until it is unmounted. One lock guards everything. True while it is
 * free: a file's list holds its changes since its last fsync, oldest first; `size` is its length
 * with them.
 */
#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char control_path[] = "/.power";

struct change {
    struct change *next;
    off_t offset;  /* of a write; the new length */
    size_t length; /* of a write */
    bool is_size;
    uint8_t data[];
};

struct shim_file {
    struct shim_file *next;
    ino_t inode;
    int fd; /* read-write, own */
    off_t size;
    struct change *first, **last;
};

/** A name that the directory's fsync has not made durable yet. */
struct name_change {
    struct name_change *next; /* the one before */
    char *from;               /* NULL: `to` was created */
    char *to;
};

struct fault {
    uint64_t at; /* 0: none; counts down */
    int error;   /* 0: a short write */
    bool sticky;
};

static struct shim {
    pthread_mutex_t lock;
    int backing;
    bool cut;
    struct shim_file *files;
    struct name_change *names;
    struct fault write_fault, flush_fault;
    uint64_t cut_at; /* writes until the cut; 0: none */
    uint64_t writes, flushes, dropped, undone, failed;
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *relative(const char *path)
{
    return path[1] != 0 ? path + 1 : ".";
}

static bool is_control(const char *path)
{
    return strcmp(path, control_path) == 0;
}

/** Taken by every operation. -EIO after the cut, with the lock not held. */
static int enter(void)
{
    pthread_mutex_lock(&shim.lock);
    if (shim.cut) {
        pthread_mutex_unlock(&shim.lock);
        return -EIO;
    }
    return 0;
}

static int leave(int result)
{
    pthread_mutex_unlock(&shim.lock);
    return result;
}

static int of_errno(int rc)
{
    return rc < 0 ? -errno : rc;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static struct shim_file *find(ino_t inode)
{
    struct shim_file *file = shim.files;
    while (file != NULL && file->inode != inode) {
        file = file->next;
    }
    return file;
}

/** The file behind an open descriptor, made when it is first changed. NULL: errno says why. */
static struct shim_file *file_of(const char *path)
{
    struct stat status;
    if (fstatat(shim.backing, relative(path), &status, 0) < 0) {
        return NULL;
    }
    struct shim_file *file = find(status.st_ino);
    if (file != NULL) {
        return file;
    }
    file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return NULL;
    }
    file->fd = openat(shim.backing, relative(path), O_RDWR | O_CLOEXEC);
    if (file->fd < 0) {
        free(file);
        return NULL;
    }
    file->inode = status.st_ino;
    file->size = status.st_size;
    file->last = &file->first;
    file->next = shim.files;
    shim.files = file;
    return file;
}

static size_t forget_changes(struct shim_file *file)
{
    size_t count = 0;
    while (file->first != NULL) {
        struct change *next = file->first->next;
        free(file->first);
        file->first = next;
        count++;
    }
    file->last = &file->first;
    return count;
}

static int add_change(struct shim_file *file, bool is_size, off_t offset, const void *data,
                      size_t length)
{
    struct change *change = malloc(sizeof(*change) + length);
    if (change == NULL) {
        return -ENOMEM;
    }
    *change = (struct change){.offset = offset, .length = length, .is_size = is_size};
    if (length > 0) {
        memcpy(change->data, data, length);
    }
    *file->last = change;
    file->last = &change->next;
    if (is_size || offset + (off_t)length > file->size) {
        file->size = offset + (off_t)length;
    }
    return 0;
}

/** Lay the changes of a file over what was read from below. */
static void overlay(const struct shim_file *file, off_t offset, uint8_t *buffer, size_t length)
{
    for (const struct change *c = file->first; c != NULL; c = c->next) {
        if (c->is_size) { /* cut off, it reads as zeros when the file is longer again */
            off_t from = c->offset > offset ? c->offset : offset;
            if (from < offset + (off_t)length) {
                memset(buffer + (from - offset), 0, (size_t)(offset + (off_t)length - from));
            }
            continue;
        }
        off_t end = c->offset + (off_t)c->length;
        off_t from = c->offset > offset ? c->offset : offset;
        off_t to = end < offset + (off_t)length ? end : offset + (off_t)length;
        if (from < to) {
            memcpy(buffer + (from - offset), c->data + (from - c->offset), (size_t)(to - from));
        }
    }
}

static int write_down(const struct shim_file *file, const struct change *change)
{
    if (change->is_size) {
        return of_errno(ftruncate(file->fd, change->offset));
    }
    for (size_t done = 0; done < change->length;) {
        ssize_t n = pwrite(file->fd, change->data + done, change->length - done,
                           change->offset + (off_t)done);
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        done += (size_t)n;
    }
    return 0;
}

static bool strikes(struct fault *fault)
{
    if (fault->at == 0 || (fault->at > 1 && fault->at-- > 1)) {
        return false;
    }
    if (!fault->sticky) {
        fault->at = 0;
    }
    shim.failed++;
    return true;
}

/** Make the changes of a file durable. After an error they are gone, as on Linux. */
static int flush_file(struct shim_file *file)
{
    shim.flushes++;
    if (strikes(&shim.flush_fault)) {
        shim.dropped += forget_changes(file);
        return -shim.flush_fault.error;
    }
    int rc = 0;
    for (const struct change *c = file->first; c != NULL && rc == 0; c = c->next) {
        rc = write_down(file, c);
    }
    shim.dropped += rc != 0 ? forget_changes(file) : 0;
    (void)forget_changes(file);
    return rc != 0 ? rc : of_errno(fdatasync(file->fd));
}

/* ---- names ------------------------------------------------------------------------------------
 */

static int remember_name(const char *from, const char *to)
{
    struct name_change *name = calloc(1, sizeof(*name));
    if (name == NULL) {
        return -ENOMEM;
    }
    name->from = from != NULL ? strdup(relative(from)) : NULL;
    name->to = strdup(relative(to));
    name->next = shim.names;
    shim.names = name;
    return 0;
}

static void forget_names(bool take_back)
{
    while (shim.names != NULL) {
        struct name_change *name = shim.names;
        shim.names = name->next;
        if (take_back) {
            shim.undone++;
            (void)!(name->from != NULL ? renameat(shim.backing, name->to, shim.backing, name->from)
                                       : unlinkat(shim.backing, name->to, 0));
        }
        free(name->from);
        free(name->to);
        free(name);
    }
}

/* ---- the cut ----------------------------------------------------------------------------------
 */

static void cut_power(void)
{
    if (!shim.cut) {
        shim.cut = true;
        for (struct shim_file *file = shim.files; file != NULL; file = file->next) {
            shim.dropped += forget_changes(file);
        }
        forget_names(true);
        (void)!syncfs(shim.backing);
    }
}

static void *wait_for_cut(void *argument)
{
    sigset_t *signals = argument;
    for (int number; sigwait(signals, &number) == 0;) {
        pthread_mutex_lock(&shim.lock);
        cut_power();
        pthread_mutex_unlock(&shim.lock);
    }
    return NULL;
}

static int counters(char *text, size_t size)
{
    return snprintf(text, size,
                    "writes=%llu flushes=%llu dropped=%llu undone=%llu failed=%llu cut=%d\n",
                    (unsigned long long)shim.writes, (unsigned long long)shim.flushes,
                    (unsigned long long)shim.dropped, (unsigned long long)shim.undone,
                    (unsigned long long)shim.failed, shim.cut);
}

/** Words for .power. */
static int obey(const char *words)
{
    char what[16] = "", how[16] = "", sticky[16] = "";
    unsigned long long at = 0;
    if (sscanf(words, "cut %llu", &at) == 1) {
        shim.cut_at = at;
        return 0;
    }
    if (strncmp(words, "cut", 3) == 0) {
        cut_power();
        return 0;
    }
    if (sscanf(words, "fail %15s %llu %15s %15s", what, &at, how, sticky) < 3) {
        return -EINVAL;
    }
    struct fault fault = {.at = at, .sticky = strcmp(sticky, "sticky") == 0};
    fault.error = strcmp(how, "ENOSPC") == 0 ? ENOSPC : strcmp(how, "short") == 0 ? 0 : EIO;
    if (strcmp(what, "write") == 0) {
        shim.write_fault = fault;
    } else if (strcmp(what, "flush") == 0 && fault.error != 0) {
        shim.flush_fault = fault;
    } else {
        return -EINVAL;
    }
    return 0;
}

/* ---- operations -------------------------------------------------------------------------------
 */

static int op_getattr(const char *path, struct stat *out, struct fuse_file_info *info)
{
    (void)info;
    if (is_control(path)) {
        *out = (struct stat){.st_mode = S_IFREG | 0600, .st_nlink = 1, .st_size = 4096};
        return 0;
    }
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    rc = of_errno(fstatat(shim.backing, relative(path), out, AT_SYMLINK_NOFOLLOW));
    struct shim_file *file = rc == 0 ? find(out->st_ino) : NULL;
    if (file != NULL) {
        out->st_size = file->size;
    }
    return leave(rc);
}

static int op_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)offset, (void)info, (void)flags;
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    int fd = openat(shim.backing, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        return leave(-errno);
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        fill(buffer, entry->d_name, NULL, 0, 0);
    }
    closedir(directory);
    return leave(0);
}

static int op_open(const char *path, struct fuse_file_info *info)
{
    if (is_control(path)) {
        info->direct_io = 1;
        return 0;
    }
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    struct shim_file *file = file_of(path);
    rc = file != NULL ? 0 : -errno;
    if (rc == 0 && (info->flags & O_TRUNC) != 0 && file->size != 0) {
        rc = add_change(file, true, 0, NULL, 0);
    }
    return leave(rc);
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)info;
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    int fd = openat(shim.backing, relative(path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return leave(-errno);
    }
    close(fd);
    return leave(remember_name(NULL, path));
}

static int op_read(const char *path, char *buffer, size_t length, off_t offset,
                   struct fuse_file_info *info)
{
    (void)info;
    if (is_control(path)) {
        char text[256];
        pthread_mutex_lock(&shim.lock);
        int size = counters(text, sizeof(text));
        pthread_mutex_unlock(&shim.lock);
        int count = offset < size ? size - (int)offset : 0;
        count = count < (int)length ? count : (int)length;
        memcpy(buffer, text + (offset < size ? offset : 0), (size_t)count);
        return count;
    }
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    struct shim_file *file = file_of(path);
    if (file == NULL) {
        return leave(-errno);
    }
    if (offset >= file->size) {
        return leave(0);
    }
    if ((off_t)length > file->size - offset) {
        length = (size_t)(file->size - offset);
    }
    memset(buffer, 0, length);
    if (pread(file->fd, buffer, length, offset) < 0) {
        return leave(-errno);
    }
    overlay(file, offset, (uint8_t *)buffer, length);
    return leave((int)length);
}

static int op_write(const char *path, const char *data, size_t length, off_t offset,
                    struct fuse_file_info *info)
{
    (void)info;
    if (is_control(path)) {
        char words[128];
        snprintf(words, sizeof(words), "%.*s", (int)length, data);
        pthread_mutex_lock(&shim.lock);
        int rc = obey(words);
        return leave(rc != 0 ? rc : (int)length);
    }
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    shim.writes++;
    if (strikes(&shim.write_fault)) {
        if (shim.write_fault.error != 0) {
            return leave(-shim.write_fault.error);
        }
        length /= 2; /* a short write */
    }
    struct shim_file *file = file_of(path);
    if (file == NULL) {
        return leave(-errno);
    }
    rc = add_change(file, false, offset, data, length);
    if (shim.cut_at > 0 && --shim.cut_at == 0) {
        cut_power();
    }
    return leave(rc != 0 ? rc : (int)length);
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
    (void)info;
    if (is_control(path)) {
        return 0;
    }
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    struct shim_file *file = file_of(path);
    return leave(file != NULL ? add_change(file, true, size, NULL, 0) : -errno);
}

static int op_fallocate(const char *path, int mode, off_t offset, off_t length,
                        struct fuse_file_info *info)
{
    (void)info;
    if (mode != 0) {
        return -EOPNOTSUPP;
    }
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    struct shim_file *file = file_of(path);
    if (file == NULL) {
        return leave(-errno);
    }
    return leave(offset + length > file->size ? add_change(file, true, offset + length, NULL, 0)
                                              : 0);
}

static int op_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)data_only, (void)info;
    if (is_control(path)) {
        return 0;
    }
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    struct shim_file *file = file_of(path);
    return leave(file != NULL ? flush_file(file) : -errno);
}

static int op_fsyncdir(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)path, (void)data_only, (void)info;
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    forget_names(false);
    return leave(0);
}

static int op_rename(const char *from, const char *to, unsigned flags)
{
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    bool replaces = faccessat(shim.backing, relative(to), F_OK, 0) == 0;
    rc = of_errno(renameat2(shim.backing, relative(from), shim.backing, relative(to), flags));
    if (rc == 0 && !replaces) { /* what was replaced cannot be brought back: counts as durable */
        rc = remember_name(from, to);
    }
    return leave(rc);
}

static int op_link(const char *from, const char *to)
{
    int rc = enter();
    if (rc != 0) {
        return rc;
    }
    rc = of_errno(linkat(shim.backing, relative(from), shim.backing, relative(to), 0));
    return leave(rc == 0 ? remember_name(NULL, to) : rc);
}

static int op_unlink(const char *path)
{
    int rc = enter();
    return rc != 0 ? rc : leave(of_errno(unlinkat(shim.backing, relative(path), 0)));
}

static int op_mkdir(const char *path, mode_t mode)
{
    int rc = enter();
    return rc != 0 ? rc : leave(of_errno(mkdirat(shim.backing, relative(path), mode)));
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)info;
    int rc = enter();
    return rc != 0 ? rc : leave(of_errno(fchmodat(shim.backing, relative(path), mode, 0)));
}

static int op_statfs(const char *path, struct statvfs *out)
{
    (void)path;
    int rc = enter();
    return rc != 0 ? rc : leave(of_errno(fstatvfs(shim.backing, out)));
}

static void *op_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    (void)connection;
    static sigset_t signals;
    static pthread_t thread;
    config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
    config->use_ino = 1;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    if (pthread_create(&thread, NULL, wait_for_cut, &signals) != 0) {
        fprintf(stderr, "power_shim: no thread for SIGUSR1\n");
        exit(1);
    }
    return NULL;
}

static const struct fuse_operations operations = {
    .init = op_init,
    .getattr = op_getattr,
    .readdir = op_readdir,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .truncate = op_truncate,
    .fallocate = op_fallocate,
    .fsync = op_fsync,
    .fsyncdir = op_fsyncdir,
    .rename = op_rename,
    .link = op_link,
    .unlink = op_unlink,
    .mkdir = op_mkdir,
    .chmod = op_chmod,
    .statfs = op_statfs,
};

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: power_shim BACKING MOUNTPOINT\n");
        return 2;
    }
    shim.backing = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (shim.backing < 0) {
        perror(argv[1]);
        return 1;
    }
    sigset_t signals; /* before any thread, so that only wait_for_cut() takes it */
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    char foreground[] = "-f";
    char *arguments[] = {argv[0], foreground, argv[2], NULL};
    int rc = fuse_main(3, arguments, &operations, NULL);
    char text[256];
    counters(text, sizeof(text));
    printf("%s", text);
    return rc;
}
