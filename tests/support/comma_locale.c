/* SPDX-License-Identifier: Apache-2.0
 *
 * comma_locale.c - see comma_locale.h.
 */
#include "comma_locale.h"

#include <fcntl.h>
#include <ftw.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* localedef says, on stderr and in its status, that most of a locale is missing; so it is. */
static void run_localedef(const char *source, const char *locale)
{
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        (void)execlp("localedef", "localedef", "-c", "-i", source, "-f", "ANSI_X3.4-1968", locale,
                     (char *)NULL);
        _exit(127);
    }
    int status;
    (void)waitpid(child, &status, 0);
}

static int remove_one(const char *path, const struct stat *data, int kind, struct FTW *where)
{
    (void)data;
    (void)kind;
    (void)where;
    return remove(path);
}

static bool set_from(const char *folder)
{
    char source[320], locale[320];
    (void)snprintf(source, sizeof(source), "%s/source", folder);
    (void)snprintf(locale, sizeof(locale), "%s/comma", folder);
    FILE *file = fopen(source, "w");
    if (file == NULL) {
        return false;
    }
    (void)fputs("LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \"\"\ngrouping -1\n"
                "END LC_NUMERIC\n",
                file);
    (void)fclose(file);
    run_localedef(source, locale);
    (void)setenv("LOCPATH", folder, 1);
    return setlocale(LC_NUMERIC, "comma") != NULL && strcmp(localeconv()->decimal_point, ",") == 0;
}

bool comma_locale_set(void)
{
    char folder[256]; /* LOCPATH has to be absolute */
    const char *parent = getenv("TMPDIR");
    (void)snprintf(folder, sizeof(folder), "%s/comma-locale-XXXXXX",
                   parent != NULL && parent[0] == '/' ? parent : "/tmp");
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return false;
    }
    bool set = set_from(folder);
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    if (!set) {
        printf("no locale with a comma: localedef(1) is not here, or makes none\n");
    }
    return set;
}
