/* SPDX-License-Identifier: Apache-2.0
 *
 * store_view.c - the read-only side of the public interface: what is in a store and whether it is
 * whole, and what this machine allows.
 */
#include "store_view.h"

#include "snap_verify.h"

#include "ph_memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { STORE_FORMAT_VERSION = 1 };

int store_check_key(const struct phantom_key *key, struct phantom_diag *diag)
{
    return key == NULL || key->bytes != NULL
               ? 0
               : ph_fail(diag, PHANTOM_EINVALID, "a key without bytes was given");
}

int phantom_store_open(const char *path, struct phantom_store **out,
                       struct phantom_recovery *recovery, struct phantom_diag *diag)
{
    return phantom_store_open_keyed(path, NULL, out, recovery, diag);
}

int phantom_store_open_keyed(const char *path, const struct phantom_key *key,
                             struct phantom_store **out, struct phantom_recovery *recovery,
                             struct phantom_diag *diag)
{
    const struct snap_key secret = store_key(key);
    if (path == NULL || path[0] == '\0' || out == NULL) {
        return ph_fail(diag, PHANTOM_EINVALID, "no path given");
    }
    int wrong = store_check_key(key, diag);
    if (wrong != 0) {
        return wrong;
    }
    struct phantom_store *view = ph_zalloc(1, sizeof(*view));
    if (view == NULL) {
        return ph_fail(diag, -ENOMEM, "out of memory");
    }
    struct snap_recovery found = {0};
    int result = hal_file_open(path, HAL_FILE_READ_ONLY, &view->io, diag);
    if (result == 0) {
        result = snap_store_open_keyed(view->io, &secret, SNAP_OPEN_READ_ONLY, &view->store, &found,
                                       diag);
    }
    if (result != 0) {
        phantom_store_close(view);
        return result;
    }
    if (recovery != NULL) {
        *recovery = (struct phantom_recovery){.opened = found.opened,
                                              .incomplete = found.incomplete,
                                              .torn_records = found.records_torn};
    }
    *out = view;
    return 0;
}

void phantom_store_close(struct phantom_store *store)
{
    if (store == NULL) {
        return;
    }
    snap_store_close(store->store);
    if (store->io != NULL) {
        store->io->ops->close(store->io);
    }
    ph_free(store);
}

void store_uuid_text(const uint8_t uuid[16], char text[37])
{
    char *out = text;
    for (int i = 0; i < 16; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        out += snprintf(out, 4, dash ? "-%02x" : "%02x", uuid[i]);
    }
}

void store_uuid_random(uint8_t uuid[16])
{
    uint64_t words[2] = {hal_random(), hal_random()};
    memcpy(uuid, words, 16);
    uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x40); /* version 4, variant 1 (RFC 4122) */
    uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80);
}

void phantom_store_info(const struct phantom_store *store, struct phantom_store_info *out)
{
    memset(out, 0, sizeof(*out));
    const struct snap_store_params *params = snap_store_params(store->store);
    const struct snap_generation *current = snap_store_current(store->store);
    struct snap_store_usage usage;
    snap_store_usage(store->store, &usage);
    store_uuid_text(params->uuid, out->uuid);
    out->format_version = STORE_FORMAT_VERSION;
    out->heap_layout_version = current->version.heap_layout;
    out->native_class_version = current->version.native_classes;
    out->heap_base = params->heap_base;
    out->heap_size = params->heap_size;
    out->file_bytes = usage.file_bytes;
    out->data_bytes_used = usage.data_bytes_used;
    out->data_bytes_free = usage.data_bytes_free;
    out->metadata_bytes = usage.metadata_bytes;
    out->generations = snap_store_list(store->store, NULL, 0);
    out->encrypted = snap_store_is_encrypted(store->store);
    out->compressed = params->compression != SNAP_COMPRESSION_NONE;
    out->unreadable = snap_store_lost(store->store, NULL, 0);
    snap_generation_view(current, &out->current);
}

struct snap_generation *store_generations(const struct snap_store *store, size_t *count)
{
    size_t capacity = snap_store_list(store, NULL, 0);
    struct snap_generation *list = ph_zalloc(capacity + 1, sizeof(*list));
    if (list != NULL) {
        *count = snap_store_list(store, list, capacity);
        *count = *count < capacity ? *count : capacity;
    }
    return list;
}

struct snap_tag *store_tags(const struct snap_store *store, size_t *count)
{
    size_t capacity = snap_store_tags(store, NULL, 0);
    struct snap_tag *list = ph_zalloc(capacity + 1, sizeof(*list));
    if (list != NULL) {
        *count = snap_store_tags(store, list, capacity);
        *count = *count < capacity ? *count : capacity;
    }
    return list;
}

int phantom_store_log(const struct phantom_store *store,
                      int (*visit)(void *context, const struct phantom_generation *generation),
                      void *context)
{
    size_t count = 0;
    struct snap_generation *list = store_generations(store->store, &count);
    if (list == NULL) {
        return -ENOMEM;
    }
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct phantom_generation generation;
        snap_generation_view(&list[i], &generation);
        result = visit(context, &generation);
    }
    ph_free(list);
    return result;
}

static void tell_lost(const struct snap_lost *from, char *text, size_t size)
{
    if (from->block == SNAP_NO_BLOCK) {
        snprintf(text, size, "the catalog is damaged: all generations that only it lists are lost");
    } else if (from->generation == 0) {
        snprintf(text, size,
                 "the record of a retained generation (block %llu) is damaged: it is lost",
                 (unsigned long long)from->block);
    } else {
        snprintf(text, size, "the record of generation %llu (block %llu) is damaged: it is lost",
                 (unsigned long long)from->generation, (unsigned long long)from->block);
    }
}

int phantom_store_lost(const struct phantom_store *store,
                       int (*visit)(void *context, const struct phantom_lost *lost), void *context)
{
    size_t count = snap_store_lost(store->store, NULL, 0);
    struct snap_lost *list = ph_zalloc(count + 1, sizeof(*list));
    if (list == NULL) {
        return -ENOMEM;
    }
    count = snap_store_lost(store->store, list, count);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        char text[160];
        tell_lost(&list[i], text, sizeof(text));
        const struct phantom_lost lost = {list[i].generation, list[i].block, text};
        result = visit(context, &lost);
    }
    ph_free(list);
    return result;
}

int phantom_store_tags(const struct phantom_store *store,
                       int (*visit)(void *context, const struct phantom_tag *tag), void *context)
{
    size_t count = 0;
    struct snap_tag *list = store_tags(store->store, &count);
    if (list == NULL) {
        return -ENOMEM;
    }
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct phantom_tag tag = {.generation = list[i].generation};
        memcpy(tag.name, list[i].name, sizeof(tag.name));
        result = visit(context, &tag);
    }
    ph_free(list);
    return result;
}

/* Digits only, and no overflow. */
static bool is_number(const char *text, uint64_t *number)
{
    uint64_t value = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
            return false;
        }
    }
    *number = value;
    return text[0] != '\0';
}

int phantom_store_find(const struct phantom_store *store, const char *name, uint64_t *generation,
                       struct phantom_diag *diag)
{
    size_t generations = 0, tags = 0;
    struct snap_generation *list = store_generations(store->store, &generations);
    struct snap_tag *tag = store_tags(store->store, &tags);
    int result = list != NULL && tag != NULL ? PHANTOM_ENOTFOUND : -ENOMEM;
    uint64_t number = 0;
    bool newest = strcmp(name, "newest") == 0;
    bool numeric = !newest && is_number(name, &number);
    for (size_t i = 0; result == PHANTOM_ENOTFOUND && !newest && i < tags; i++) {
        if (strcmp(tag[i].name, name) == 0 && !numeric) {
            number = tag[i].generation;
            numeric = true;
        }
    }
    for (size_t i = 0; result == PHANTOM_ENOTFOUND && i < generations; i++) {
        if ((numeric && list[i].number == number) || (newest && i + 1 == generations)) {
            *generation = list[i].number;
            result = 0;
        }
    }
    ph_free(list);
    ph_free(tag);
    return result == 0 ? 0
                       : ph_fail(diag, result,
                                 result == -ENOMEM ? "%s: no memory to look for '%s'"
                                                   : "%s: no generation '%s' is retained; "
                                                     "`phantom log` lists what is",
                                 store->io->path, name);
}

static void pass_finding(void *context, const struct snap_finding *found)
{
    const struct phantom_verify_options *options = context;
    const struct phantom_finding finding = {.kind = (enum phantom_finding_kind)found->kind,
                                            .generation = found->generation,
                                            .first_page = found->first_page,
                                            .page_count = found->page_count,
                                            .block = found->block,
                                            .text = found->text};
    options->finding(options->context, &finding);
}

int phantom_store_examine(struct phantom_store *store, const struct phantom_verify_options *options,
                          struct phantom_verify_report *report, struct phantom_diag *diag)
{
    struct phantom_verify_options taken = {.size = sizeof(taken)};
    if (options != NULL) {
        if (options->size == 0 || options->size > sizeof(taken)) {
            return ph_fail(diag, PHANTOM_EINVALID,
                           "phantom_verify_options.size is %zu, this library knows up to %zu",
                           options->size, sizeof(taken));
        }
        memcpy(&taken, options, options->size);
    }
    options = &taken;
    const struct phantom_progress *progress = options->progress;
    const struct snap_progress steps = {progress != NULL ? progress->step : NULL,
                                        progress != NULL ? progress->context : NULL};
    const struct snap_verify_options wanted = {.deep = options->all_generations,
                                               .finding =
                                                   options->finding != NULL ? pass_finding : NULL,
                                               .context = (void *)(uintptr_t)options,
                                               .progress = steps.step != NULL ? &steps : NULL};
    struct snap_verify_report found = {0};
    int result = snap_store_examine(store->store, &wanted, &found, diag);
    if (report != NULL) {
        *report = (struct phantom_verify_report){.generations = found.generations,
                                                 .pages = found.pages,
                                                 .nodes = found.nodes,
                                                 .damaged = found.damaged};
    }
    return result;
}

struct sentences {
    void (*damage)(void *context, const char *what);
    void *context;
};

static void pass_sentence(void *context, const struct phantom_finding *finding)
{
    const struct sentences *sentences = context;
    sentences->damage(sentences->context, finding->text);
}

int phantom_store_verify(struct phantom_store *store, bool all_generations,
                         struct phantom_verify_report *report,
                         void (*damage)(void *context, const char *what), void *context,
                         struct phantom_diag *diag)
{
    struct sentences sentences = {damage, context};
    const struct phantom_verify_options options = {
        .size = sizeof(options),
        .all_generations = all_generations,
        .finding = damage != NULL ? pass_sentence : NULL,
        .context = &sentences,
    };
    return phantom_store_examine(store, &options, report, diag);
}

void phantom_probe(const char *directory,
                   void (*visit)(void *context, const struct phantom_probe_item *item),
                   void *context)
{
    struct hal_probe probe;
    hal_probe(directory, &probe);
    for (size_t i = 0; i < probe.item_count; i++) {
        const struct phantom_probe_item item = {.name = probe.items[i].name,
                                                .works = probe.items[i].works,
                                                .detail = probe.items[i].detail};
        visit(context, &item);
    }
}
