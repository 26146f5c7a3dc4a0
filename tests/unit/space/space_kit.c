/* SPDX-License-Identifier: Apache-2.0
 *
 * space_kit.c - see space_kit.h. Owns the test's folder from kit_begin() to kit_end().
 */
#include "space_kit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256];
static uint64_t random_state;

void kit_begin(void)
{
    /* A killed process does not need a disk, and memory is faster. */
    const char *parent = getenv("TMPDIR");
    if (parent == NULL) {
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    }
    snprintf(folder, sizeof(folder), "%s/phantom-space-XXXXXX", parent);
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        exit(2);
    }
    const char *seed = getenv("PH_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 0) : 20261122;
    printf("PH_SEED=%llu\n", (unsigned long long)random_state);
    fflush(stdout);
}

void kit_clean(void)
{
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.') {
            unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    closedir(directory);
}

int kit_end(int failed)
{
    kit_clean();
    if (rmdir(folder) != 0) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return 1;
    }
    return failed != 0;
}

const char *kit_path(const char *name)
{
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

uint64_t kit_random(uint64_t below)
{
    random_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % below;
}

struct phantom_space_options kit_options(void)
{
    struct phantom_space_options options;
    phantom_space_options_init(&options);
    options.heap_size = UINT64_C(64) << 20;
    options.interval_ms = PHANTOM_SPACE_NO_INTERVAL;
    options.stop_timeout_ms = 60000;
    options.check_snapshots = true;
    return options;
}

struct phantom_space *kit_open(const char *name, const struct phantom_space_options *options)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct phantom_space *space = NULL;
    int rc = phantom_space_open(kit_path(name), options, &space, &diag);
    if (rc != 0) {
        fail_msg("%s: %s: %s", name, phantom_err_name(rc), diag.text);
    }
    return space;
}

void kit_close(struct phantom_space *space)
{
    kit_assert_result(phantom_space_close(space), 0);
}

void kit_check(struct phantom_space *space)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    if (phantom_space_check(space, &diag) != 0) {
        fail_msg("%s", diag.text);
    }
}

uint64_t kit_blocks(struct phantom_space *space)
{
    struct phantom_space_usage usage = {.size = sizeof(usage)};
    kit_assert_result(phantom_space_usage(space, &usage), 0);
    return usage.blocks;
}
