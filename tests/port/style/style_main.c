/* SPDX-License-Identifier: Apache-2.0
 * A program of the port: its tests, run by the port's own run_test(). Nothing but the port's
 * headers is on the include path. Exit status 0: the console says that all passed. */
#include <console.h>
#include <kernel/init.h>
#include <ph_io.h>
#include <ph_string.h>
#include <test.h>

static int failed;
static int passed;
static int finished;

/* What scripts of the port do: look for lines. */
static void watch(void *context, const char *text, size_t length)
{
    (void)context;
    char line[512];
    ph_strlcpy(line, text, length + 1 < sizeof(line) ? length + 1 : sizeof(line));
    failed += ph_strstr(line, "!!! KERNEL TEST FAILED: ") != NULL;
    passed += ph_strstr(line, "KERNEL TEST PASSED: ") != NULL;
    finished += ph_strstr(line, "Phantom test suite FINISHED") != NULL;
    phantom_console_set_sink(NULL, NULL);
    ph_printf("%s", line);
    phantom_console_set_sink(watch, NULL);
}

int main(int argc, char **argv)
{
    phantom_console_set_sink(watch, NULL);
    run_test(argc > 1 ? argv[1] : "all", "");
    phantom_console_set_sink(NULL, NULL);
    ph_printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 && (argc > 1 || finished == 1) ? 0 : 1;
}
