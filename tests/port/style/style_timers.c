/* SPDX-License-Identifier: Apache-2.0
 * In the style of the port's own tests: timed calls and deferred procedure calls. */
#include <hal.h>
#include <kernel/dpc.h>
#include <kernel/timedcall.h>
#include <ph_time.h>
#include <test.h>

static hal_sem_t fired;
static volatile int undone;

static void fire(void *arg)
{
    (void)arg;
    hal_sem_release(&fired);
}

static void must_not_fire(void *arg)
{
    (void)arg;
    undone = 1;
}

int do_test_timed_call(const char *test_parm)
{
    timedcall_t soon = {fire, 0, 5, 0, 0, {0, 0}, 0};
    timedcall_t later = {fire, 0, 40, 0, 0, {0, 0}, 0};
    timedcall_t never = {must_not_fire, 0, 20, 0, 0, {0, 0}, 0};
    bigtime_t begin = hal_system_time();
    (void)test_parm;
    test_check_eq(hal_sem_init(&fired, "fired"), 0);
    phantom_request_timed_call(&soon, 0);
    phantom_request_timed_call(&later, 0);
    phantom_request_timed_call(&never, 0);
    phantom_undo_timed_call(&never);
    phantom_undo_timed_call(&never); /* idempotent */
    test_check_eq(hal_sem_acquire(&fired), 0);
    test_check_ge(hal_system_time() - begin, 5000);
    test_check_eq(hal_sem_acquire(&fired), 0);
    test_check_ge(hal_system_time() - begin, 40000);
    test_check_eq(undone, 0); /* its time was before that of the last one */
    hal_sem_destroy(&fired);
    return 0;
}

static hal_sem_t ran;
static hal_sem_t go_on;
static void *arguments[2];

static void blocks(void *arg)
{
    arguments[0] = arg;
    hal_sem_acquire(&go_on);
    hal_sem_release(&ran);
}

static void runs(void *arg)
{
    arguments[1] = arg;
    hal_sem_release(&ran);
}

int do_test_dpc(const char *test_parm)
{
    dpc_request first, second;
    (void)test_parm;
    test_check_eq(hal_sem_init(&ran, "ran"), 0);
    test_check_eq(hal_sem_init(&go_on, "go on"), 0);
    dpc_init();
    dpc_request_init(&first, blocks);
    dpc_request_init(&second, runs);
    dpc_request_trigger(&first, &first);
    dpc_request_trigger(&second, &second);
    test_check_eq(hal_sem_acquire(&ran), 0); /* the second, while the first one is blocked */
    test_check_true(arguments[1] == &second);
    hal_sem_release(&go_on);
    test_check_eq(hal_sem_acquire(&ran), 0);
    test_check_true(arguments[0] == &first);
    dpc_finish();
    hal_sem_destroy(&ran);
    hal_sem_destroy(&go_on);
    return 0;
}
