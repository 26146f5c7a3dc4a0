/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_files.c - hal_files.h on a simulated disk. A file that is not on it is looked for on the
 * host's, for reading only: that is how class files come in. Owns nothing.
 */
#include "sim_disk.h"

#include "hal_files.h"
#include "ph_memory.h"

#include <hal.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct sim_file *find(const char *path)
{
    struct hal_sim *sim = sim_here();
    return sim->options.disk != NULL ? sim_disk_find(sim->options.disk, path) : NULL;
}

static void begin(const char *what)
{
    struct hal_sim *sim = sim_here();
    if (sim->options.disk != NULL) {
        sim->options.disk->operations++;
    }
    sim_count_transfer(sim);
    sim_point(what, NULL);
}

static int read_host(const char *path, size_t limit, void **bytes, size_t *size,
                     struct phantom_diag *diag)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no such file", path);
    }
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size > limit) {
        return ph_fail(diag, PHANTOM_EFORMAT, "%s: not a regular file of at most %zu bytes", path,
                       limit);
    }
    FILE *file = fopen(path, "rb");
    void *content = file != NULL ? ph_alloc((size_t)status.st_size + 1) : NULL;
    bool good = content != NULL &&
                fread(content, 1, (size_t)status.st_size, file) == (size_t)status.st_size;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!good) {
        ph_free(content);
        return ph_fail(diag, -EIO, "%s: cannot be read", path);
    }
    *bytes = content;
    *size = (size_t)status.st_size;
    return 0;
}

int hal_file_read_whole(const char *path, size_t limit, void **bytes, size_t *size,
                        struct phantom_diag *diag)
{
    const struct sim_file *file = find(path);
    if (file == NULL) {
        return read_host(path, limit, bytes, size, diag);
    }
    if (file->seen_size > limit) {
        return ph_fail(diag, PHANTOM_EFORMAT, "%s: %" PRIu64 " bytes", path, file->seen_size);
    }
    void *content = ph_alloc((size_t)file->seen_size + 1);
    if (content == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    memcpy(content, file->seen, (size_t)file->seen_size);
    *bytes = content;
    *size = (size_t)file->seen_size;
    return 0;
}

int hal_file_exists(const char *path)
{
    sim_point("exists", NULL);
    return find(path) != NULL;
}

int hal_file_is_regular(const char *path)
{
    return find(path) != NULL;
}

int hal_file_same(const char *a, const char *b)
{
    const struct sim_file *file = find(a);
    return file != NULL && file == find(b);
}

int hal_file_resolve(const char *path, char resolved[4096], struct phantom_diag *diag)
{
    if (find(path) == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "%s: no such file", path);
    }
    snprintf(resolved, 4096, "%s", path);
    return 0;
}

/** The content first, then the name: a crash between them leaves the old name. */
static int settle_and_rename(struct sim_file *file, const char *to)
{
    begin("sync file");
    sim_disk_settle(file, sim_disk_moment(file));
    begin("rename");
    sim_disk_rename(file, to);
    sim_point("renamed", NULL);
    return 0;
}

int hal_file_publish(const char *from, const char *to, struct phantom_diag *diag)
{
    struct sim_file *file = find(from);
    if (file == NULL) {
        return ph_fail(diag, -ENOENT, "%s: no such file", from);
    }
    if (find(to) != NULL) {
        return ph_fail(diag, -EEXIST, "%s: there is such a file", to);
    }
    return settle_and_rename(file, to);
}

int hal_file_replace(const char *from, const char *to, struct phantom_diag *diag)
{
    struct sim_file *file = find(from);
    return file != NULL ? settle_and_rename(file, to)
                        : ph_fail(diag, -ENOENT, "%s: no such file", from);
}

int hal_file_cut(const char *path, uint64_t bytes, struct phantom_diag *diag)
{
    struct sim_file *file = find(path);
    if (file == NULL) {
        return ph_fail(diag, -ENOENT, "%s: no such file", path);
    }
    begin("cut");
    if (file->seen_size > bytes) {
        sim_disk_settle(file, sim_disk_moment(file)); /* so that no listed write lies beyond */
        sim_disk_resize(file, bytes);
        sim_disk_settle(file, sim_disk_moment(file));
    }
    return 0;
}

void hal_file_discard(const char *path)
{
    struct sim_file *file = find(path);
    begin("discard");
    if (file != NULL) {
        sim_disk_unlink(file);
    }
}

int64_t hal_process_id(void)
{
    return 1;
}

void hal_probe(const char *directory, struct hal_probe *out)
{
    (void)directory;
    *out = (struct hal_probe){.userfaultfd = true,
                              .wp_async = true,
                              .pagemap_scan = true,
                              .membarrier = true,
                              .mprotect = true,
                              .freezes = true};
    snprintf(out->kernel, sizeof(out->kernel), "simulated");
}
