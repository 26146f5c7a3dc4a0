/* SPDX-License-Identifier: Apache-2.0
 *
 * space_kit.h - what the tests of spaces on real files share: a folder of their own, options with a
 * small heap, and the shortest ways to open and close.
 */
#ifndef SPACE_KIT_H
#define SPACE_KIT_H

#include "ph_test.h"

#include <phantom/phantom.h>

#include <stdbool.h>

/** Make the folder, print the seed. */
void kit_begin(void);
/** Remove the folder; returns what main() shall return. */
int kit_end(int failed);
/** A path in the folder; valid until the eighth call after this one. */
const char *kit_path(const char *name);
/** Remove what is in the folder. */
void kit_clean(void);
uint64_t kit_random(uint64_t below);

/** 64 MiB, every generation compared with the memory, no periodic snapshots. */
struct phantom_space_options kit_options(void);
/** Open or end the test with the sentence of the diag. */
struct phantom_space *kit_open(const char *name, const struct phantom_space_options *options);
void kit_close(struct phantom_space *space);
void kit_check(struct phantom_space *space);
uint64_t kit_blocks(struct phantom_space *space);

#define kit_assert_result(actual, expected)                                                        \
    do {                                                                                           \
        int kit_actual = (actual);                                                                 \
        if (kit_actual != (expected)) {                                                            \
            print_error("%s is %s, not %s\n", #actual, phantom_err_name(kit_actual),               \
                        phantom_err_name(expected));                                               \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

#endif /* SPACE_KIT_H */
