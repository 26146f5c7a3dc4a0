/* SPDX-License-Identifier: Apache-2.0
 *
 * tasks.c - the program under test: a linked list in a space. One thread.
 */
#include "tasks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the space. */
struct task {
    uint64_t number;
    struct task *next;
    char text[56];
};

struct list {
    uint64_t last_number, count;
    struct task *first;
};

struct tasks {
    struct phantom_space *space;
    struct list *list;
};

static int make_list(struct tasks *tasks)
{
    if (phantom_space_enter(tasks->space) != 0) {
        return -ENOMEM;
    }
    struct list *list = phantom_space_calloc(tasks->space, 1, sizeof(*list));
    int rc = list != NULL ? phantom_space_set_root(tasks->space, "tasks", list) : -ENOMEM;
    phantom_space_leave(tasks->space);
    tasks->list = rc == 0 ? list : NULL;
    return rc;
}

int tasks_open(const char *path, struct tasks **out)
{
    struct phantom_space_options options;
    phantom_space_options_init(&options);
    options.heap_size = 64 << 20;
    struct tasks *tasks = calloc(1, sizeof(*tasks));
    if (tasks == NULL) {
        return -ENOMEM;
    }
    int rc = phantom_space_open(path, &options, &tasks->space, NULL);
    if (rc == 0) {
        tasks->list = phantom_space_root(tasks->space, "tasks");
        rc = tasks->list != NULL ? 0 : make_list(tasks);
    }
    if (rc != 0) {
        phantom_space_abandon(tasks->space);
        free(tasks);
        return rc;
    }
    *out = tasks;
    return 0;
}

void tasks_close(struct tasks *tasks)
{
    (void)phantom_space_close(tasks->space); /* what was promised is durable already */
    free(tasks);
}

int tasks_add(struct tasks *tasks, const char *text, uint64_t *number)
{
    if (phantom_space_enter(tasks->space) != 0) {
        return -ENOMEM;
    }
    struct task *task = phantom_space_calloc(tasks->space, 1, sizeof(*task));
    if (task == NULL) {
        phantom_space_leave(tasks->space);
        return -ENOMEM;
    }
    strncpy(task->text, text, sizeof(task->text) - 1);
    task->number = ++tasks->list->last_number;
    task->next = tasks->list->first;
    tasks->list->first = task;
    tasks->list->count++;
    *number = task->number;
    phantom_space_leave(tasks->space);
    return phantom_space_commit(tasks->space);
}

int tasks_finish(struct tasks *tasks, uint64_t number)
{
    if (phantom_space_enter(tasks->space) != 0) {
        return -ENOMEM;
    }
    struct task **link = &tasks->list->first;
    while (*link != NULL && (*link)->number != number) {
        link = &(*link)->next;
    }
    struct task *task = *link;
    if (task != NULL) {
        *link = task->next;
        tasks->list->count--;
        phantom_space_free(tasks->space, task);
    }
    phantom_space_leave(tasks->space);
    return task != NULL ? phantom_space_commit(tasks->space) : PHANTOM_ENOTFOUND;
}

const char *tasks_text(struct tasks *tasks, uint64_t number)
{
    for (struct task *task = tasks->list->first; task != NULL; task = task->next) {
        if (task->number == number) {
            return task->text;
        }
    }
    return NULL;
}

bool tasks_are_sound(struct tasks *tasks)
{
    uint64_t count = 0, above = UINT64_MAX;
    for (struct task *task = tasks->list->first; task != NULL; task = task->next, count++) {
        if (task->number >= above || task->number > tasks->list->last_number) {
            return false;
        }
        above = task->number;
    }
    return count == tasks->list->count && phantom_space_check(tasks->space, NULL) == 0;
}
