/* SPDX-License-Identifier: Apache-2.0
 *
 * plain_frozen.h - memory as it was at one moment: a forked child has it and hands out pieces.
 */
#ifndef PLAIN_FROZEN_H
#define PLAIN_FROZEN_H

#include <stddef.h>
#include <sys/types.h>

struct plain_frozen {
    pid_t child;
    int socket;
};

/** Copy this process. 0 or -errno. What shall be in the copy must survive the fork: see
 *  plain_memory.c. */
int plain_frozen_make(struct plain_frozen *frozen);
/** Read bytes of the copy. One thread at a time. 0 or -errno. */
int plain_frozen_read(struct plain_frozen *frozen, const void *from, size_t bytes, void *out);
/** The child is gone when this returns. */
void plain_frozen_end(struct plain_frozen *frozen);

#endif /* PLAIN_FROZEN_H */
