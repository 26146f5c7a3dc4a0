/* SPDX-License-Identifier: Apache-2.0
 *
 * tasks_test.c - proves that tasks.c keeps its promises: killed, without power, with a failing or
 * full disk, without memory, at every point at which that can happen.
 *
 *     cc tasks.c tasks_test.c $(pkg-config --cflags --libs phantom-testing) && ./a.out
 */
#include "tasks.h"

#include <phantom/testing.h>

#include <stdio.h>
#include <string.h>

enum { TASKS = 6 };

/* What the program was told. It is the test's memory: it stays when the machine dies. */
struct promises {
    bool tried[TASKS + 1], added[TASKS + 1];
    bool finishing[TASKS + 1], finished[TASKS + 1];
};

static void forget(void *context)
{
    memset(context, 0, sizeof(struct promises));
}

/* On the machine that is going to die. Every call may fail; the first error ends it. */
static void program(void *context)
{
    struct promises *promises = context;
    struct tasks *tasks;
    if (tasks_open("tasks.phantom", &tasks) != 0) {
        return;
    }
    for (uint64_t i = 1; i <= TASKS; i++) {
        char text[32];
        uint64_t number;
        snprintf(text, sizeof(text), "task %llu", (unsigned long long)i);
        promises->tried[i] = true;
        if (tasks_add(tasks, text, &number) != 0) {
            break;
        }
        PHANTOM_TESTING_EXPECT(number == i);
        promises->added[i] = true;
        if (i % 3 == 0) {
            promises->finishing[i - 1] = true;
            if (tasks_finish(tasks, i - 1) != 0) {
                break;
            }
            promises->finished[i - 1] = true;
        }
    }
    tasks_close(tasks);
}

/* On the next machine, with what is left on the disk. */
static void verify(void *context)
{
    struct promises *promises = context;
    struct tasks *tasks;
    PHANTOM_TESTING_EXPECT(tasks_open("tasks.phantom", &tasks) == 0);
    PHANTOM_TESTING_EXPECT(tasks_are_sound(tasks));
    for (uint64_t i = 1; i <= TASKS; i++) {
        const char *text = tasks_text(tasks, i);
        if (promises->added[i] && !promises->finishing[i]) {
            PHANTOM_TESTING_EXPECT(text != NULL); /* what was promised is there */
        }
        if (promises->finished[i] || !promises->tried[i]) {
            PHANTOM_TESTING_EXPECT(text == NULL); /* and nothing else is */
        }
        if (text != NULL) {
            char expected[32];
            snprintf(expected, sizeof(expected), "task %llu", (unsigned long long)i);
            PHANTOM_TESTING_EXPECT(strcmp(text, expected) == 0);
        }
    }
    uint64_t number;
    PHANTOM_TESTING_EXPECT(tasks_add(tasks, "life goes on", &number) == 0);
    tasks_close(tasks);
}

int main(void)
{
    static const struct {
        enum phantom_testing_event event;
        const char *name;
    } events[] = {
        {PHANTOM_TESTING_KILL, "killed at each disk operation"},
        {PHANTOM_TESTING_POWER_CUT, "power cut at each disk operation"},
        {PHANTOM_TESTING_COMMIT_CUT, "power cut in each flush"},
        {PHANTOM_TESTING_WRITE_ERROR, "each write fails"},
        {PHANTOM_TESTING_FLUSH_ERROR, "each flush fails"},
        {PHANTOM_TESTING_DISK_FULL, "no room, from each request on"},
        {PHANTOM_TESTING_NO_MEMORY, "each allocation fails"},
    };
    struct promises promises;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct phantom_testing_sweep sweep;
        struct phantom_testing_report report = {.size = sizeof(report)};
        phantom_testing_sweep_init(&sweep);
        sweep.program = program;
        sweep.verify = verify;
        sweep.begin = forget;
        sweep.context = &promises;
        sweep.event = events[i].event;
        if (phantom_testing_sweep(&sweep, &report) != 0) {
            printf("%s: %s\n", events[i].name, report.text);
            return 1;
        }
        printf("%s: %llu points, all is well\n", events[i].name, (unsigned long long)report.points);
    }
    return 0;
}
