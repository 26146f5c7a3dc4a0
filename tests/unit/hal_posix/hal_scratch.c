/* SPDX-License-Identifier: Apache-2.0 */
#include "hal_scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[512];

void scratch_create(void)
{
    const char *parent = getenv("TMPDIR");
    int length = snprintf(folder, sizeof(folder), "%s/phantom-hal-XXXXXX",
                          parent != NULL && *parent != '\0' ? parent : "/tmp");
    if (length >= (int)sizeof(folder) || mkdtemp(folder) == NULL) {
        perror("cannot make a folder for the test");
        exit(1);
    }
}

void scratch_remove(void)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(folder);
}

const char *scratch_folder(void)
{
    return folder;
}

const char *scratch_path(const char *name)
{
    static char paths[8][600];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%.80s", folder, name);
    return path;
}
