/* SPDX-License-Identifier: Apache-2.0
 *
 * class_path.c - where class files come from: NAME.pc (the class name without its leading dot) in
 * the directories the host named, in their order. Nothing else on the machine is looked at.
 */
#include "world_internal.h"

#include "hal_files.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { CLASS_FILE_LIMIT = 256 << 20 };

static bool name_is_safe(const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '/' || (unsigned char)*c < 0x20) {
            return false;
        }
    }
    return name[0] == '.' && name[1] != '\0' && name[1] != '.';
}

static int try_file(const char *directory, const char *name, bool lower_case, void **bytes,
                    size_t *size, char *file_name, size_t file_name_size, struct phantom_diag *diag)
{
    int length = snprintf(file_name, file_name_size, "%s/%s.pc", directory, name + 1);
    if (length < 0 || (size_t)length >= file_name_size) {
        return ph_fail(diag, PHANTOM_EINVALID, "%s/%s.pc: name too long", directory, name + 1);
    }
    if (lower_case) {
        for (char *c = file_name + strlen(directory); *c != '\0'; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
    }
    return hal_file_read_whole(file_name, CLASS_FILE_LIMIT, bytes, size, diag);
}

int world_load_class(void *context, const char *name, void **bytes, size_t *size, char *file_name,
                     size_t file_name_size, struct phantom_diag *diag)
{
    struct phantom_world *world = context;
    if (!name_is_safe(name)) {
        return ph_fail(diag, PHANTOM_EINVALID, "'%s' is not a class name", name);
    }
    if (world->class_paths == NULL || world->class_paths[0] == NULL) {
        return ph_fail(diag, PHANTOM_ENOTFOUND, "class %s: no class directory was given", name);
    }
    for (int lower_case = 0; lower_case < 2; lower_case++) {
        for (char **path = world->class_paths; *path != NULL; path++) {
            int result = try_file(*path, name, lower_case != 0, bytes, size, file_name,
                                  file_name_size, diag);
            if (result != PHANTOM_ENOTFOUND) {
                return result;
            }
        }
    }
    return ph_fail(diag, PHANTOM_ENOTFOUND, "class %s: no file %s.pc in the class directories",
                   name, name + 1);
}
