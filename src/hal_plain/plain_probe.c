/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_probe.c - what works here; nothing that a system adds to POSIX is asked for. The items
 * keep the names and the order that `phantom doctor` shows elsewhere.
 */
#include "hal_posix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static const char *const absent[] = {"userfaultfd", "wp_async", "pagemap_scan", "io_uring"};

void hal_probe(const char *directory, struct hal_probe *out)
{
    struct utsname system;
    (void)directory;
    memset(out, 0, sizeof(*out));
    out->mprotect = true;
    out->freezes = true;
    if (uname(&system) >= 0) {
        (void)snprintf(out->kernel, sizeof(out->kernel), "%.30s %.30s", system.sysname,
                       system.release);
    }
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        struct hal_probe_item *item = &out->items[out->item_count++];
        item->name = absent[i];
        item->error = -ENOSYS;
        (void)snprintf(item->detail, sizeof(item->detail), "not part of POSIX");
    }
}
