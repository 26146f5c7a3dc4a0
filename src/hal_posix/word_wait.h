/* SPDX-License-Identifier: Apache-2.0
 *
 * word_wait.h - wait() and wake() of snap_memory_ops, by futex.
 */
#ifndef WORD_WAIT_H
#define WORD_WAIT_H

#include "snap_memory.h"

void word_wait(struct snap_memory *memory, _Atomic uint32_t *word, uint32_t expected);
void word_wake(struct snap_memory *memory, _Atomic uint32_t *word);

#endif /* WORD_WAIT_H */
