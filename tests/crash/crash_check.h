/* SPDX-License-Identifier: Apache-2.0
 *
 * crash_check.h - the promises, checked on one image. crash_check.c checks, crash_explore.c makes
 * the images.
 */
#ifndef CRASH_CHECK_H
#define CRASH_CHECK_H

#include "crash_explore.h"

/** What an image recovered to. */
struct crash_outcome {
    uint64_t opened; /* CRASH_UNBORN: no store, and that is allowed */
    uint64_t incomplete;
    uint32_t torn, retired;
    bool wrote; /* recovery wrote to the file */
};

#define CRASH_UNBORN UINT64_MAX

/** How much is checked: everything is checked in some of the states, the essence in all. */
struct crash_thorough {
    bool read_only; /* a read-only open writes nothing and shows the same */
    bool retained;  /* every retained generation, not only the current one */
    bool twice;     /* P5: recover twice */
    bool after;     /* P6: commit, close or lose power, open again */
    bool by_page;   /* read page by page as well */
};

/** True when the image keeps the promises; else explorer->why. Leaves the disk as it was. */
bool crash_check_image(struct crash_explorer *explorer, const struct crash_thorough *thorough,
                       struct crash_outcome *outcome);

/** Is `opened` one of the generations that a crash may leave? */
bool crash_expect_allows(const struct crash_expect *expect, uint64_t opened);

/** Note a violation; returns false. */
bool crash_violation(struct crash_explorer *explorer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* CRASH_CHECK_H */
