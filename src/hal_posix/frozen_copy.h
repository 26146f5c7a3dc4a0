/* SPDX-License-Identifier: Apache-2.0
 *
 * frozen_copy.h - a range of memory as it was at one moment, in a child process that hands it out.
 */
#ifndef FROZEN_COPY_H
#define FROZEN_COPY_H

#include <stddef.h>
#include <stdint.h>

struct frozen_copy;

/** Freeze [base, base+size), which forks do not inherit otherwise. Nobody stores into it meanwhile.
 *  The calling thread lives until frozen_copy_end(). 0 or -errno. */
int frozen_copy_make(uint8_t *base, size_t size, struct frozen_copy **out);
/** Copy bytes out of it. 0; -EIO the child is gone (killed for lack of memory, say); or -errno. */
int frozen_copy_read(struct frozen_copy *copy, size_t offset, size_t length, void *out);
void frozen_copy_end(struct frozen_copy *copy);

#endif /* FROZEN_COPY_H */
