/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hal_trap.c - catching first stores: order, who gets a signal that is not ours, what the
 * kernel refuses, too many mappings. usage: test_hal_trap sigbus|mprotect. Compiled with the seeded
 * defects. Whatever ends a process happens in a child.
 */
#include "hal_posix.h"
#include "ph_killed.h"
#ifndef TEST_PORTABLE
#include "page_trap.h"
#endif

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 256, NOT_KILLED = 40, WRONG = 41 };

static const uint64_t BASE = UINT64_C(0x7e8000000000);

static enum hal_tracking tracking;

struct seen {
    struct snap_memory *memory;
    volatile unsigned calls; /* changes in the middle of a store */
    uint64_t first, count;
    volatile bool was_writable; /* during the call, the kernel could store into the page */
    int pipe[2];
};

/** The kernel is asked whether the page is protected: its store into it must fail. */
static bool kernel_can_store(struct seen *seen, uint64_t page)
{
    char byte = 1;
    bool sent = write(seen->pipe[1], &byte, 1) == 1;
    if (sent && read(seen->pipe[0], seen->memory->base + page * PAGE + 100, 1) == 1) {
        return true;
    }
    bool refused = errno == EFAULT;
    return !(refused && read(seen->pipe[0], &byte, 1) == 1);
}

static void note(void *context, uint64_t first, uint64_t count)
{
    struct seen *seen = context;
    seen->calls++;
    seen->first = first;
    seen->count = count;
    seen->was_writable |= kernel_can_store(seen, first);
}

static struct snap_memory *begin(struct seen *seen)
{
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    memset(seen, 0, sizeof(*seen));
    if (hal_memory_reserve(BASE, (uint64_t)PAGES * PAGE, tracking, &seen->memory, &diag) != 0) {
        print_message("%s\n", diag.text);
        return NULL;
    }
    assert_int_equal(pipe(seen->pipe), 0);
    memset(seen->memory->base, 1, 32 * PAGE);
    const struct snap_page_guard guard = {seen, note};
    assert_int_equal(seen->memory->ops->guard(seen->memory, &guard), 0);
    assert_int_equal(seen->memory->ops->protect_all(seen->memory, 0, 32), 0);
    return seen->memory;
}

static void end(struct seen *seen)
{
    assert_int_equal(seen->memory->ops->guard(seen->memory, NULL), 0);
    seen->memory->ops->close(seen->memory);
    close(seen->pipe[0]);
    close(seen->pipe[1]);
}

/** The store runs the guard, which the compiler cannot know: signal fences. */
static void store(struct snap_memory *memory, uint64_t page)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint8_t *)(memory->base + page * PAGE + 8) = 7;
    atomic_signal_fence(memory_order_seq_cst);
}

static void the_first_store_is_announced_while_the_page_is_protected(void **state)
{
    (void)state;
    struct seen seen;
    struct snap_memory *memory = begin(&seen);
    errno = 1234;
    store(memory, 3);
    assert_int_equal(errno, 1234);
    store(memory, 3);
    assert_int_equal(seen.calls, 1);
    assert_true(seen.first <= 3 && 3 < seen.first + seen.count);
    assert_int_equal(seen.count, memory->ops->trap_pages);
    store(memory, 200); /* a hole */
    assert_int_equal(seen.calls, 2);
    assert_false(seen.was_writable);
    volatile uint8_t byte = memory->base[100 * PAGE]; /* reading is not announced */
    assert_int_equal(byte, 0);
    assert_int_equal(seen.calls, 2);
    store(memory, 100); /* and does not hide the store */
    assert_int_equal(seen.calls, 3);
    assert_int_equal(memory->base[3 * PAGE + 8], 7);
    assert_int_equal(memory->base[3 * PAGE], 1);
    assert_int_equal(memory->ops->protect_all(memory, 0, PAGES), 0);
    store(memory, 3);
    assert_int_equal(seen.calls, 4);
    end(&seen);
}

static void a_page_opened_before_it_is_saved_is_noticed(void **state)
{
    (void)state;
    struct seen seen;
    struct snap_memory *memory = begin(&seen);
    ph_active_mutant = PH_MUTANT_UNPROTECT_BEFORE_COPY;
    store(memory, 3);
    ph_active_mutant = PH_MUTANT_NONE;
    assert_true(seen.was_writable);
    print_message("mutant UNPROTECT_BEFORE_COPY: killed\n");
    end(&seen);
}

static void a_discarded_page_announces_its_next_store(void **state)
{
    (void)state;
    struct seen seen;
    struct snap_memory *memory = begin(&seen);
    store(memory, 3);
    assert_int_equal(memory->ops->discard(memory, 0, 16), 0);
    if (memory->ops->trap_pages == 1) { /* by blocks: open until the next protection */
        store(memory, 3);
        assert_int_equal(seen.calls, 2);
    }
    assert_int_equal(memory->base[3 * PAGE], 0);
    end(&seen);
}

/** The rule of the bounce buffer: this is what it is for. */
static void the_kernel_cannot_store_into_protected_pages(void **state)
{
    (void)state;
    struct seen seen;
    struct snap_memory *memory = begin(&seen);
    char *bytes = calloc(1, 2 * PAGE);
    store(memory, 15); /* its block ends with it */
    unsigned calls = seen.calls;
    assert_int_equal(write(seen.pipe[1], bytes, 2 * PAGE), 2 * PAGE);
    /* Into an open page and on into a protected one: short. Then nothing at all: EFAULT. */
    assert_int_equal(read(seen.pipe[0], memory->base + 15 * PAGE, 2 * PAGE), PAGE);
    assert_int_equal(read(seen.pipe[0], memory->base + 16 * PAGE, PAGE), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(seen.calls, calls); /* nobody was asked */
    assert_int_equal(memory->base[16 * PAGE], 1);
    free(bytes);
    end(&seen);
}

/* ---- signals that are not ours --------------------------------------------------------------- */

static int outcome(void (*crash)(struct snap_memory *memory))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct seen seen;
        (void)signal(SIGSEGV, SIG_DFL); /* not a sanitizer's, not the test framework's */
        (void)signal(SIGBUS, SIG_DFL);
        crash(begin(&seen));
        _exit(NOT_KILLED);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void store_into_nothing(struct snap_memory *memory)
{
    volatile uint8_t *volatile nowhere = (volatile uint8_t *)8;
    (void)memory;
    *nowhere = 1;
}

static void store_into_read_only(struct snap_memory *memory)
{
    (void)memory;
    char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
}

static void read_beyond_a_file(struct snap_memory *memory)
{
    (void)memory;
    FILE *file = tmpfile();
    char *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fileno(file), 0);
    _exit(*(volatile char *)page);
}

static void send_itself_a_bus_error(struct snap_memory *memory)
{
    (void)memory;
    (void)raise(SIGBUS);
}

static void send_itself_a_violation(struct snap_memory *memory)
{
    (void)memory;
    (void)raise(SIGSEGV);
}

static void a_crash_elsewhere_ends_the_process_with_its_signal(void **state)
{
    (void)state;
    assert_int_equal(outcome(store_into_nothing), SIGSEGV);
    assert_int_equal(outcome(store_into_read_only), SIGSEGV);
    assert_int_equal(outcome(read_beyond_a_file), SIGBUS);
    assert_int_equal(outcome(send_itself_a_bus_error), SIGBUS);
    assert_int_equal(outcome(send_itself_a_violation), SIGSEGV);
}

static void store_in_a_child(struct snap_memory *memory)
{
    pid_t child = fork();
    if (child == 0) {
        store(memory, 3); /* the range is not inherited */
        _exit(NOT_KILLED);
    }
    int status = 0;
    (void)waitpid(child, &status, 0);
    _exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : WRONG);
}

static void a_forked_child_that_touches_the_range_crashes(void **state)
{
    (void)state;
    assert_int_equal(outcome(store_in_a_child), 0);
}

static sigjmp_buf escape;

static void jump_out(int signal, siginfo_t *info, void *context)
{
    (void)context;
    siglongjmp(escape, info->si_addr == (void *)8 && signal == SIGSEGV ? 1 : 2);
}

static void the_handler_that_was_there_before_gets_what_is_not_ours(void **state)
{
    (void)state;
    struct sigaction before, mine, after;
    memset(&mine, 0, sizeof(mine));
    mine.sa_sigaction = jump_out;
    mine.sa_flags = SA_SIGINFO | SA_NODEFER;
    assert_int_equal(sigaction(SIGSEGV, &mine, &before), 0);
    struct seen seen;
    struct snap_memory *memory = begin(&seen);
    int jumped = sigsetjmp(escape, 1);
    if (jumped == 0) {
        store_into_nothing(memory);
    }
    assert_int_equal(jumped, 1);
    store(memory, 3);
    assert_int_equal(seen.calls, 1);
    end(&seen);
    assert_int_equal(sigaction(SIGSEGV, &before, &after), 0);
    assert_true(after.sa_sigaction == jump_out); /* we left as we came */
}

/* ---- mappings -------------------------------------------------------------------------------- */

#ifndef TEST_PORTABLE /* the guts of hal_posix */
static volatile uint64_t widest;

static void note_width(void *context, uint64_t first, uint64_t count)
{
    (void)context;
    (void)first;
    widest = count > widest ? count : widest;
}

static void blocks_become_larger_before_mappings_run_out(void **state)
{
    (void)state;
    enum { MANY = 16384, ALLOWED = 8 };
    if (tracking != HAL_TRACK_MPROTECT) {
        return;
    }
    struct page_trap trap;
    const char *step;
    size_t size = (size_t)MANY * PAGE;
    uint8_t *area = mmap(NULL, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(area != MAP_FAILED);
    assert_int_equal(page_trap_open(&trap, PAGE_TRAP_MPROTECT, area, size, &step), 0);
    trap.most_opened = ALLOWED;
    const struct snap_page_guard guard = {NULL, note_width};
    assert_int_equal(page_trap_guard(&trap, &guard), 0);
    widest = 0;
    for (uint64_t page = 0; page < MANY; page += 32) { /* every other block */
        area[page * PAGE] = 1;
        uint32_t opened = atomic_load(&trap.opened);
        assert_true(opened <= ALLOWED + 1);
        assert_true(opened < ALLOWED / 2 ? widest == PAGE_TRAP_BLOCK : true);
    }
    assert_int_equal(widest, MANY); /* in the end all of it, which is one mapping */
    assert_int_equal(page_trap_guard(&trap, NULL), 0);
    page_trap_close(&trap);
    munmap(area, size);
}
#endif

/* ---- a guard that reads --------------------------------------------------------------------- */

static void read_the_page(void *context, uint64_t first, uint64_t count)
{
    struct seen *seen = context;
    seen->calls++;
    for (uint64_t page = first; page < first + count; page++) {
        const volatile uint8_t *bytes = seen->memory->base + page * PAGE;
        seen->was_writable |= bytes[8] == 7; /* the store has happened already */
    }
}

static void store_into_holes(struct snap_memory *memory)
{
    struct seen seen = {.memory = memory};
    const struct snap_page_guard guard = {&seen, read_the_page};
    assert_int_equal(memory->ops->guard(memory, NULL), 0);
    assert_int_equal(memory->ops->guard(memory, &guard), 0);
    store(memory, 100);
    assert_int_equal(memory->ops->discard(memory, 3, 1), 0);
    store(memory, 3);
    _exit(seen.calls == 2 && !seen.was_writable && memory->base[3 * PAGE] == 0 ? NOT_KILLED
                                                                               : WRONG);
}

/** Copy on write saves what is in a page before its first store: also in one that is a hole. */
static void the_guard_can_read_a_hole(void **state)
{
    (void)state;
    assert_int_equal(outcome(store_into_holes), -NOT_KILLED);
    if (tracking == HAL_TRACK_SIGBUS) {
        ph_active_mutant = PH_MUTANT_GUARD_MEETS_HOLE;
        int killed = outcome(store_into_holes);
        ph_active_mutant = PH_MUTANT_NONE;
        assert_int_equal(killed, SIGBUS);
        ph_mutant_killed(PH_MUTANT_GUARD_MEETS_HOLE);
    }
}

int main(int argc, char **argv)
{
    tracking = argc > 1 && strcmp(argv[1], "sigbus") == 0 ? HAL_TRACK_SIGBUS : HAL_TRACK_MPROTECT;
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    struct snap_memory *memory;
    if (hal_memory_reserve(BASE, PAGE, tracking, &memory, &diag) != 0) {
        printf("SKIP: %s\n", diag.text);
        return PH_TEST_SKIPPED;
    }
    memory->ops->close(memory);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_store_is_announced_while_the_page_is_protected),
        cmocka_unit_test(a_page_opened_before_it_is_saved_is_noticed),
        cmocka_unit_test(a_discarded_page_announces_its_next_store),
        cmocka_unit_test(the_kernel_cannot_store_into_protected_pages),
        cmocka_unit_test(a_crash_elsewhere_ends_the_process_with_its_signal),
        cmocka_unit_test(a_forked_child_that_touches_the_range_crashes),
        cmocka_unit_test(the_handler_that_was_there_before_gets_what_is_not_ours),
#ifndef TEST_PORTABLE
        cmocka_unit_test(blocks_become_larger_before_mappings_run_out),
#endif
        cmocka_unit_test(the_guard_can_read_a_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
