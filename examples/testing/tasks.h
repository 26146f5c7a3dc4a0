/* SPDX-License-Identifier: Apache-2.0
 *
 * tasks.h - a list of things to do that survives crashes. What returned 0 is durable.
 */
#ifndef TASKS_H
#define TASKS_H

#include <phantom/space.h>

#include <stdbool.h>

struct tasks;

int tasks_open(const char *path, struct tasks **out);
void tasks_close(struct tasks *tasks);
/** The new task gets a number. 0 or a negative error: then it may be there or not. */
int tasks_add(struct tasks *tasks, const char *text, uint64_t *number);
/** 0, PHANTOM_ENOTFOUND, or another error: then it may be there or not. */
int tasks_finish(struct tasks *tasks, uint64_t number);
/** NULL: no such task. */
const char *tasks_text(struct tasks *tasks, uint64_t number);
/** Walk all of it: is it consistent? */
bool tasks_are_sound(struct tasks *tasks);

#endif /* TASKS_H */
