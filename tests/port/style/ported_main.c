/* SPDX-License-Identifier: Apache-2.0
 * Runs them; each twice, so that what one leaves behind is seen by the next. */
#include "ported.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <hal.h> /* behind the host's headers, and it works */

static int failed;

static void say(const char *name, int rc)
{
    printf("%s: %d\n", name, rc);
    failed += rc != 0;
}

int main(void)
{
    char image[] = "ported_XXXXXX";
    int fd = mkstemp(image);
    if (fd < 0 || ftruncate(fd, 64 * PAGE_SIZE) != 0) {
        return 1;
    }
    close(fd);
    say("disk", ported_disk(image));
    unlink(image);
    say("workers", ported_workers());
    say("clockwork", ported_clockwork());
    say("memory", ported_memory());
    say("memory", ported_memory());
    say("names", ported_names());
    return failed != 0;
}
