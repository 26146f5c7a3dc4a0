/* SPDX-License-Identifier: Apache-2.0
 *
 * store_transfer.c - stores made from stores: copy, clone, salvage, compact.
 *
 * Each writes a file under a temporary name beside the wanted one and gives it its own name only
 * when it is complete and durable: content, cut to length, fsync, rename, fsync of the directory.
 * After an error the temporary file is gone. Nothing is kept between calls.
 */
#include "store_view.h"

#include "hal_files.h"
#include "ph_memory.h"
#include "ph_mutant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, STREAM_BYTES = 1 << 20 };

/* A file being made. */
struct making {
    char temporary[PATH_BYTES];
    struct snap_io *io;
    struct snap_io *replaced; /* what has the name now, held; NULL: nothing, or the caller's */
    bool replaces;            /* something has the name */
};

static void close_making(struct making *making)
{
    if (making->io != NULL) {
        making->io->ops->close(making->io);
        making->io = NULL;
    }
    if (making->replaced != NULL) {
        making->replaced->ops->close(making->replaced);
        making->replaced = NULL;
    }
}

/* A file beside `path`, under a name of its own. */
static int make_beside(struct making *making, const char *path, const char *what,
                       struct phantom_diag *diag)
{
    int length = snprintf(making->temporary, sizeof(making->temporary), "%s.%s-%016llx", path, what,
                          (unsigned long long)hal_random());
    if (length < 0 || (size_t)length >= sizeof(making->temporary)) {
        making->temporary[0] = '\0';
        return ph_fail(diag, -ENAMETOOLONG, "%s: the path is too long", path);
    }
    int result = hal_file_open(making->temporary, HAL_FILE_CREATE, &making->io, diag);
    if (result != 0) {
        making->temporary[0] = '\0'; /* nothing to remove */
    }
    return result;
}

/* For a file of the caller's choice. */
static int begin_making(struct making *making, const char *path, const char *what, unsigned flags,
                        struct phantom_diag *diag)
{
    *making = (struct making){0};
    if (path == NULL || path[0] == '\0') {
        return ph_fail(diag, PHANTOM_EINVALID, "no path given for the new store");
    }
    int exists = hal_file_exists(path);
    if (exists < 0) {
        return ph_fail(diag, exists, "%s: %s", path, phantom_strerror(exists));
    }
    if (exists > 0 && (flags & PHANTOM_REPLACE) == 0) {
        return ph_fail(diag, -EEXIST, "%s: exists already", path);
    }
    if (exists > 0 && !hal_file_is_regular(path)) {
        return ph_fail(diag, -EEXIST, "%s: exists and is no regular file", path);
    }
    making->replaces = exists > 0;
    int result = exists > 0 ? store_replaced_hold(path, &making->replaced, diag) : 0;
    result = result == 0 ? make_beside(making, path, what, diag) : result;
    if (result != 0) {
        close_making(making);
    }
    return result;
}

/* It gets its name. Where nothing was to be replaced, nothing is, whoever made such a file
 * meanwhile. */
static int give_name(struct making *making, const char *path, struct phantom_diag *diag)
{
    int result = making->replaced != NULL ? store_replaced_check(making->replaced, diag) : 0;
    if (result == 0) {
        result = making->replaces ? hal_file_replace(making->temporary, path, diag)
                                  : hal_file_publish(making->temporary, path, diag);
    }
    return result;
}

/* The content is complete: `bytes` of it. `result` is how making it went. */
static int end_making(struct making *making, int result, const char *path, uint64_t bytes,
                      struct phantom_diag *diag)
{
    if (making->io != NULL) {
        making->io->ops->close(making->io);
        making->io = NULL;
    }
    if (result == 0) {
        result = hal_file_cut(making->temporary, bytes, diag);
    }
    result = result == 0 ? give_name(making, path, diag) : result;
    if (result != 0 && making->temporary[0] != '\0') {
        hal_file_discard(making->temporary);
    }
    close_making(making);
    return result;
}

static struct snap_progress progress_of(const struct phantom_progress *progress)
{
    return progress == NULL ? (struct snap_progress){0}
                            : (struct snap_progress){progress->step, progress->context};
}

static void tell_copied(const struct snap_copied *from, const uint8_t uuid[16],
                        struct phantom_copied *out)
{
    if (out != NULL) {
        *out = (struct phantom_copied){.generation = from->newest.number,
                                       .generations = from->generations,
                                       .pages = from->pages,
                                       .file_bytes = from->bytes};
        store_uuid_text(uuid, out->uuid);
    }
}

static enum snap_compression compression_of(const struct snap_store *store, unsigned flags)
{
    return (flags & PHANTOM_COMPRESS_LZ4) != 0    ? SNAP_COMPRESSION_LZ4
           : (flags & PHANTOM_COMPRESS_NONE) != 0 ? SNAP_COMPRESSION_NONE
                                                  : snap_store_params(store)->compression;
}

/* One generation of a store into `making`. */
static int make_copy(struct phantom_store *store, uint64_t generation, const uint8_t *uuid,
                     unsigned flags, struct making *making, const struct phantom_progress *progress,
                     struct snap_copied *copied, struct phantom_diag *diag)
{
    const struct snap_progress steps = progress_of(progress);
    generation = generation != 0 ? generation : snap_store_current(store->store)->number;
    return snap_store_copy_as(store->store, &generation, 1, uuid,
                              compression_of(store->store, flags), making->io, &steps, copied,
                              diag);
}

static int copy_as(struct phantom_store *store, uint64_t generation, const uint8_t *uuid,
                   const char *what, const char *path, unsigned flags,
                   const struct phantom_progress *progress, struct phantom_copied *out,
                   struct phantom_diag *diag)
{
    struct making making;
    struct snap_copied copied = {0};
    if (path != NULL && hal_file_same(store->io->path, path)) {
        return ph_fail(diag, PHANTOM_EINVALID,
                       "%s is the store itself: a copy in its place would have no history; see "
                       "phantom compact",
                       path);
    }
    int result = begin_making(&making, path, what, flags, diag);
    if (result == 0) {
        result = make_copy(store, generation, uuid, flags, &making, progress, &copied, diag);
        result = end_making(&making, result, path, copied.bytes, diag);
    }
    if (result == 0) {
        tell_copied(&copied, uuid != NULL ? uuid : snap_store_params(store->store)->uuid, out);
    }
    return result;
}

int phantom_store_copy(struct phantom_store *store, uint64_t generation, const char *path,
                       unsigned flags, const struct phantom_progress *progress,
                       struct phantom_copied *out, struct phantom_diag *diag)
{
    return copy_as(store, generation, NULL, "copy", path, flags, progress, out, diag);
}

int phantom_store_clone(struct phantom_store *store, uint64_t generation, const char *path,
                        unsigned flags, const struct phantom_progress *progress,
                        struct phantom_copied *out, struct phantom_diag *diag)
{
    uint8_t uuid[16];
    store_uuid_random(uuid);
    return copy_as(store, generation, uuid, "clone", path, flags, progress, out, diag);
}

/* The first `bytes` of the file to the caller's function. */
static int stream(struct snap_io *io, uint64_t bytes,
                  int (*write)(void *context, const void *bytes, size_t size), void *context,
                  struct phantom_diag *diag)
{
    void *buffer = ph_alloc_aligned(4096, STREAM_BYTES);
    if (buffer == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory to copy");
    }
    int result = 0;
    for (uint64_t at = 0; result == 0 && at < bytes; at += STREAM_BYTES) {
        uint32_t part = bytes - at < STREAM_BYTES ? (uint32_t)(bytes - at) : STREAM_BYTES;
        result = io->ops->read(io, at, buffer, part);
        if (result != 0) {
            ph_fail(diag, result, "%s: %s", io->path, phantom_strerror(result));
            break;
        }
        result = write(context, buffer, part);
        if (result != 0) {
            ph_fail(diag, result, "writing the copy: %s", phantom_strerror(result));
        }
    }
    ph_free(buffer);
    return result;
}

int phantom_store_copy_stream(struct phantom_store *store, uint64_t generation,
                              const char *directory,
                              int (*write)(void *context, const void *bytes, size_t size),
                              void *context, const struct phantom_progress *progress,
                              struct phantom_copied *out, struct phantom_diag *diag)
{
    char path[PATH_BYTES];
    struct making making = {0};
    struct snap_copied copied = {0};
    directory = directory != NULL && directory[0] != '\0' ? directory : "/var/tmp";
    int length = snprintf(path, sizeof(path), "%s/phantom", directory);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return ph_fail(diag, -ENAMETOOLONG, "%s: the path is too long", directory);
    }
    int result = make_beside(&making, path, "stream", diag);
    if (result == 0) {
        result = make_copy(store, generation, NULL, 0, &making, progress, &copied, diag);
        hal_file_discard(making.temporary); /* its name: the open file is all that is needed now */
    }
    if (result == 0) {
        result = stream(making.io, copied.bytes, write, context, diag);
    }
    close_making(&making);
    if (result == 0) {
        tell_copied(&copied, snap_store_params(store->store)->uuid, out);
    }
    return result;
}

/* ---- salvage -------------------------------------------------------------------------------- */

int phantom_store_salvage(const char *path, const char *new_path, unsigned flags,
                          void (*lost)(void *context, uint64_t first_page, uint64_t count,
                                       const char *why),
                          void *context, const struct phantom_progress *progress,
                          struct phantom_salvage_report *out, struct phantom_diag *diag)
{
    return phantom_store_salvage_keyed(path, NULL, new_path, flags, lost, context, progress, out,
                                       diag);
}

int phantom_store_salvage_keyed(const char *path, const struct phantom_key *key,
                                const char *new_path, unsigned flags,
                                void (*lost)(void *context, uint64_t first_page, uint64_t count,
                                             const char *why),
                                void *context, const struct phantom_progress *progress,
                                struct phantom_salvage_report *out, struct phantom_diag *diag)
{
    const struct snap_key secret = store_key(key);
    struct snap_salvage_report report = {0};
    struct snap_io *source = NULL;
    struct making making;
    const struct snap_progress steps = progress_of(progress);
    if (path == NULL || new_path == NULL || strcmp(path, new_path) == 0) {
        return ph_fail(diag, PHANTOM_EINVALID, "two different paths are needed");
    }
    int result = store_check_key(key, diag);
    result = result == 0 ? hal_file_open(path, HAL_FILE_READ_ONLY, &source, diag) : result;
    if (result != 0) {
        return result;
    }
    result = hal_file_same(path, new_path)
                 ? ph_fail(diag, PHANTOM_EINVALID, "%s and %s are the same file", path, new_path)
                 : begin_making(&making, new_path, "salvage", flags, diag);
    if (result == 0) {
        result = snap_store_salvage(source, &secret, (flags & PHANTOM_PARTIAL) != 0, making.io,
                                    lost, context, &steps, &report, diag);
        result = end_making(&making, result, new_path, report.copied.bytes, diag);
    }
    source->ops->close(source);
    if (out != NULL) {
        *out = (struct phantom_salvage_report){.generation = result == 0 ? report.generation : 0,
                                               .newest_seen = report.newest_seen,
                                               .records_found = report.records_found,
                                               .records_bad = report.records_bad,
                                               .pages = report.pages,
                                               .pages_lost = report.pages_lost,
                                               .file_bytes = report.copied.bytes};
    }
    return result;
}

/* ---- compact -------------------------------------------------------------------------------- */

static int rewrite(struct snap_store *store, unsigned flags, struct snap_io *target,
                   const struct phantom_progress *progress, struct phantom_compacted *out,
                   struct snap_copied *copied, struct phantom_diag *diag)
{
    const struct snap_progress steps = progress_of(progress);
    size_t count = 0;
    struct snap_generation *list = store_generations(store, &count);
    uint64_t *numbers = ph_zalloc(count + 1, sizeof(*numbers));
    if (list == NULL || numbers == NULL) {
        ph_free(list);
        ph_free(numbers);
        return ph_fail(diag, -ENOMEM, "no memory to compact");
    }
    for (size_t i = 0; i < count; i++) {
        numbers[i] = list[i].number;
    }
    out->generations_before = count;
    int result = snap_store_copy_as(store, numbers, count, NULL, compression_of(store, flags),
                                    target, &steps, copied, diag);
    ph_free(list);
    ph_free(numbers);
    if (result == 0) {
        size_t tags = 0;
        result = snap_store_copy_tags(store, target, &tags, diag);
        out->tags = tags;
    }
    return result;
}

/* What is in the new file after its tags: its generations, and where it may be cut. */
static int look_at(struct snap_io *io, const struct snap_key *key, struct phantom_compacted *out,
                   uint64_t *bytes, struct phantom_diag *diag)
{
    struct snap_store *store = NULL;
    int result = snap_store_open_keyed(io, key, 0, &store, NULL, diag);
    result = result == 0 ? snap_store_account(store, UINT64_MAX, diag) : result;
    if (result == 0) {
        out->generations_after = snap_store_list(store, NULL, 0);
        *bytes = snap_store_bytes_in_use(store);
    }
    snap_store_close(store);
    return result;
}

int phantom_store_compact(const char *path, const struct phantom_progress *progress,
                          struct phantom_compacted *out, struct phantom_diag *diag)
{
    return phantom_store_compact_keyed(path, NULL, progress, out, diag);
}

int phantom_store_compact_keyed(const char *path, const struct phantom_key *key,
                                const struct phantom_progress *progress,
                                struct phantom_compacted *out, struct phantom_diag *diag)
{
    return phantom_store_compact_flags(path, key, 0, progress, out, diag);
}

int phantom_store_compact_flags(const char *name, const struct phantom_key *key, unsigned flags,
                                const struct phantom_progress *progress,
                                struct phantom_compacted *out, struct phantom_diag *diag)
{
    const struct snap_key secret = store_key(key);
    char path[PATH_BYTES]; /* a link stays what it is; the file behind it is replaced */
    struct phantom_compacted report = {0};
    struct snap_copied copied = {0};
    struct snap_store *store;
    struct snap_io *io;
    struct making making = {0};
    if (name == NULL || name[0] == '\0') {
        return ph_fail(diag, PHANTOM_EINVALID, "no path given");
    }
    int result = hal_file_resolve(name, path, diag);
    result = result == 0 ? store_open_for_change(path, key, &io, &store, diag) : result;
    if (result != 0) {
        return result;
    }
    struct snap_store_usage usage;
    snap_store_usage(store, &usage);
    report.bytes_before = usage.file_bytes;
    if (snap_store_current(store)->number == 0) {
        result =
            ph_fail(diag, PHANTOM_EFORMAT, "%s: a store without any committed generation", path);
    } else {
        result = make_beside(&making, path, "compact", diag);
    }
    if (result == 0) {
        result = rewrite(store, flags, making.io, progress, &report, &copied, diag);
        result =
            result == 0 ? look_at(making.io, &secret, &report, &report.bytes_after, diag) : result;
        /* The writer's lock on the old file is held until the new one has its name. */
        making.replaces = true;
        result = end_making(&making, result, path, report.bytes_after, diag);
    }
    store_close_both(io, store);
    if (result == 0 && out != NULL) {
        *out = report;
    }
    return result;
}
