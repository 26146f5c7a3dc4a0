/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_disk.c - the simulated disk: files, what was flushed of them, and what a crash leaves.
 *
 * The model is that of the crash explorer (tests/crash): a write is durable when it had completed
 * before a flush began that succeeded. Until then a power cut leaves each of its sectors as it was
 * or as it was written, whatever happened to other writes. Names are durable when the call that
 * made them returns, as hal_files.h promises. Sizes are part of the file and follow its flushes.
 *
 * Owns the files; they outlive machines. One thread at a time. True between calls: outside of the
 * listed writes `seen` and `durable` are equal up to the smaller size.
 */
#include "sim_disk.h"

#include "ph_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- files ---------------------------------------------------------------------------------- */

struct sim_file *sim_disk_find(const struct hal_sim_disk *disk, const char *path)
{
    for (struct sim_file *file = disk->files; file != NULL; file = file->next) {
        if (file->path != NULL && strcmp(file->path, path) == 0) {
            return file;
        }
    }
    return NULL;
}

static uint8_t *map_image(uint64_t bytes)
{
    void *image = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return image != MAP_FAILED ? image : NULL;
}

static void forget_writes(struct sim_file *file)
{
    while (file->writes != NULL) {
        struct sim_write *write = file->writes;
        file->writes = write->next;
        free(write->bytes);
        free(write);
    }
    file->last_write = &file->writes;
}

static void free_file(struct sim_file *file)
{
    forget_writes(file);
    if (file->seen != NULL) {
        (void)munmap(file->seen, file->disk->options.file_bytes);
    }
    if (file->durable != NULL) {
        (void)munmap(file->durable, file->disk->options.file_bytes);
    }
    free(file->locks);
    free(file->path);
    free(file);
}

struct sim_file *sim_disk_make(struct hal_sim_disk *disk, const char *path)
{
    struct sim_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return NULL;
    }
    file->disk = disk;
    file->last_write = &file->writes;
    file->path = strdup(path);
    file->seen = map_image(disk->options.file_bytes);
    file->durable = map_image(disk->options.file_bytes);
    if (file->path == NULL || file->seen == NULL || file->durable == NULL) {
        free_file(file);
        return NULL;
    }
    file->next = disk->files;
    disk->files = file;
    return file;
}

static void drop_if_unused(struct sim_file *file)
{
    if (file->path != NULL || file->handles > 0) {
        return;
    }
    struct sim_file **link = &file->disk->files;
    while (*link != file) {
        link = &(*link)->next;
    }
    *link = file->next;
    free_file(file);
}

void sim_disk_unlink(struct sim_file *file)
{
    free(file->path);
    file->path = NULL;
    drop_if_unused(file);
}

void sim_disk_rename(struct sim_file *file, const char *path)
{
    struct sim_file *there = sim_disk_find(file->disk, path);
    if (there != NULL && there != file) {
        sim_disk_unlink(there);
    }
    char *name = strdup(path);
    PH_CHECK(name != NULL);
    free(file->path);
    file->path = name;
}

void sim_disk_release(struct sim_file *file)
{
    file->handles--;
    drop_if_unused(file);
}

/* ---- content -------------------------------------------------------------------------------- */

void sim_disk_resize(struct sim_file *file, uint64_t size)
{
    PH_CHECK(size <= file->disk->options.file_bytes);
    if (size < file->seen_size) {
        memset(file->seen + size, 0, file->seen_size - size);
    }
    file->seen_size = size;
}

void sim_disk_write(struct sim_file *file, uint64_t offset, const void *bytes, uint32_t length)
{
    if (length == 0) {
        return;
    }
    struct sim_write *write = calloc(1, sizeof(*write));
    uint8_t *copy = malloc(length);
    PH_CHECK(write != NULL && copy != NULL);
    memcpy(copy, bytes, length);
    *write = (struct sim_write){
        .offset = offset, .number = ++file->disk->write_numbers, .length = length, .bytes = copy};
    *file->last_write = write;
    file->last_write = &write->next;
    if (offset + length > file->seen_size) {
        sim_disk_resize(file, offset + length);
    }
    memcpy(file->seen + offset, bytes, length);
}

uint64_t sim_disk_moment(const struct sim_file *file)
{
    return file->disk->write_numbers;
}

void sim_disk_settle(struct sim_file *file, uint64_t moment)
{
    while (file->writes != NULL && file->writes->number <= moment) {
        struct sim_write *write = file->writes;
        memcpy(file->durable + write->offset, write->bytes, write->length);
        file->writes = write->next;
        if (file->writes == NULL) {
            file->last_write = &file->writes;
        }
        free(write->bytes);
        free(write);
    }
    file->durable_size = file->seen_size;
}

/* ---- crashes -------------------------------------------------------------------------------- */

/** Some sectors of a write, by a pattern: all, none, the first ones, the last ones, any. */
static void tear(struct ph_rng *rng, const struct sim_write *write, uint8_t *image)
{
    uint64_t sectors = (write->length + SIM_SECTOR - 1) / SIM_SECTOR;
    uint64_t pattern = ph_rng_below(rng, 6), cut = ph_rng_below(rng, sectors + 1);
    for (uint64_t s = 0; s < sectors; s++) {
        bool there = pattern < 2    ? pattern == 0
                     : pattern == 2 ? s < cut
                     : pattern == 3 ? s >= cut
                     : pattern == 4 ? s != cut
                                    : ph_rng_below(rng, 2) == 0;
        uint64_t at = s * SIM_SECTOR;
        uint64_t length = write->length - at < SIM_SECTOR ? write->length - at : SIM_SECTOR;
        if (there) {
            memcpy(image + write->offset + at, write->bytes + at, length);
        }
    }
}

/** Writes that overlap reach the disk in any order: exchange neighbours at random. */
static struct sim_write **in_some_order(struct sim_file *file, size_t *count)
{
    size_t n = 0;
    for (const struct sim_write *w = file->writes; w != NULL; w = w->next) {
        n++;
    }
    struct sim_write **list = calloc(n + 1, sizeof(struct sim_write *));
    PH_CHECK(list != NULL);
    size_t i = 0;
    for (struct sim_write *w = file->writes; w != NULL; w = w->next) {
        list[i++] = w;
    }
    for (i = n; i > 1; i--) {
        size_t other = (size_t)ph_rng_below(&file->disk->rng, i);
        struct sim_write *kept = list[i - 1];
        list[i - 1] = list[other];
        list[other] = kept;
    }
    *count = n;
    return list;
}

void sim_disk_lose(struct sim_file *file)
{
    struct ph_rng *rng = &file->disk->rng;
    size_t count = 0;
    struct sim_write **writes = in_some_order(file, &count);
    uint64_t fate = ph_rng_below(rng, 4); /* all lost, all there, or each its own */
    bool grown = fate == 1 || (fate > 1 && ph_rng_below(rng, 2) == 0);
    for (size_t i = 0; i < count; i++) {
        if (fate == 1) {
            memcpy(file->durable + writes[i]->offset, writes[i]->bytes, writes[i]->length);
        } else if (fate > 1) {
            tear(rng, writes[i], file->durable);
        }
    }
    if (grown) {
        file->durable_size = file->seen_size;
    }
    /* What lies beyond the size is not in the file. */
    for (size_t i = 0; i < count; i++) {
        uint64_t from = writes[i]->offset, to = from + writes[i]->length;
        if (to > file->durable_size) {
            from = from > file->durable_size ? from : file->durable_size;
            memset(file->durable + from, 0, to - from);
        }
        memcpy(file->seen + writes[i]->offset, file->durable + writes[i]->offset,
               writes[i]->length);
    }
    free(writes);
    forget_writes(file);
    file->seen_size = file->durable_size;
}

void hal_sim_disk_crash(struct hal_sim_disk *disk, enum hal_sim_crash how, struct hal_sim_log *log)
{
    struct sim_file *next;
    for (struct sim_file *file = disk->files; file != NULL; file = next) {
        next = file->next;
        PH_CHECK(file->handles == 0);
        size_t unflushed = 0;
        for (const struct sim_write *w = file->writes; w != NULL; w = w->next) {
            unflushed++;
        }
        if (log != NULL) {
            hal_sim_log_line(log, "crash %s %s: %zu writes not flushed",
                             how == HAL_SIM_POWER_CUT ? "power" : "process",
                             file->path != NULL ? file->path : "(no name)", unflushed);
        }
        if (how == HAL_SIM_POWER_CUT) {
            sim_disk_lose(file);
        }
    }
}

/* ---- the disk ------------------------------------------------------------------------------- */

struct hal_sim_disk *hal_sim_disk_create(const struct hal_sim_disk_options *options)
{
    struct hal_sim_disk *disk = calloc(1, sizeof(*disk));
    if (disk != NULL) {
        disk->options = *options;
        struct hal_sim_disk_options *o = &disk->options;
        o->file_bytes = o->file_bytes != 0 ? o->file_bytes : UINT64_C(256) << 20;
        o->latency_most_us = o->latency_most_us != 0 ? o->latency_most_us : 200;
        o->flush_most_us = o->flush_most_us != 0 ? o->flush_most_us : 2000;
        ph_rng_init(&disk->rng, options->seed);
    }
    return disk;
}

void hal_sim_disk_destroy(struct hal_sim_disk *disk)
{
    while (disk != NULL && disk->files != NULL) {
        struct sim_file *file = disk->files;
        disk->files = file->next;
        free_file(file);
    }
    free(disk);
}

void hal_sim_disk_set_fault(struct hal_sim_disk *disk, const struct hal_sim_fault *fault)
{
    disk->fault = *fault;
    disk->fault.count = fault->count != 0 ? fault->count : 1;
    disk->fault_seen = disk->fired = 0;
}

uint64_t hal_sim_disk_fired(const struct hal_sim_disk *disk)
{
    return disk->fired;
}

bool sim_disk_fails(struct hal_sim_disk *disk, enum hal_sim_fault_kind kind)
{
    if (disk->fault.kind != kind) {
        return false;
    }
    disk->fault_seen++;
    bool fails =
        disk->fault_seen >= disk->fault.at && disk->fault_seen < disk->fault.at + disk->fault.count;
    disk->fired += fails;
    return fails;
}

uint64_t hal_sim_disk_operations(const struct hal_sim_disk *disk)
{
    return disk->operations;
}

const uint8_t *hal_sim_disk_file(const struct hal_sim_disk *disk, const char *path, uint64_t *size)
{
    const struct sim_file *file = sim_disk_find(disk, path);
    if (file == NULL) {
        return NULL;
    }
    *size = file->seen_size;
    return file->seen;
}

int hal_sim_disk_put(struct hal_sim_disk *disk, const char *path, const void *bytes, uint64_t size)
{
    if (size > disk->options.file_bytes) {
        return PHANTOM_EINVALID;
    }
    struct sim_file *file = sim_disk_find(disk, path);
    if (file != NULL) {
        sim_disk_unlink(file);
    }
    file = sim_disk_make(disk, path);
    if (file == NULL) {
        return -ENOMEM;
    }
    memcpy(file->seen, bytes, size);
    memcpy(file->durable, bytes, size);
    file->seen_size = file->durable_size = size;
    return 0;
}

bool hal_sim_disk_poke(struct hal_sim_disk *disk, const char *path, uint64_t offset,
                       const void *bytes, size_t size)
{
    struct sim_file *file = sim_disk_find(disk, path);
    if (file == NULL || offset > file->seen_size || size > file->seen_size - offset) {
        return false;
    }
    memcpy(file->seen + offset, bytes, size);
    memcpy(file->durable + offset, bytes, size);
    return true;
}

unsigned hal_sim_disk_files(const struct hal_sim_disk *disk)
{
    unsigned files = 0;
    for (const struct sim_file *file = disk->files; file != NULL; file = file->next) {
        files += file->path != NULL;
    }
    return files;
}
