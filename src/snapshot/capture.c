/* SPDX-License-Identifier: Apache-2.0
 *
 * capture.c - see capture.h. Owns nothing.
 *
 * A loop of its own instead of memcpy(): the sanitizers replace memcpy() by a checked one whatever
 * attributes the caller has, and a compiler may assume that what memcpy() reads does not change.
 * The source is volatile, so every byte is read exactly once and the loop is not turned back into
 * a memcpy().
 */
#include "capture.h"

#include "ph_points.h"
#include "snap_store.h"

#include <stdint.h>

#if defined(__clang__)
#define CAPTURE_UNCHECKED __attribute__((no_sanitize("address", "thread", "memory"), noinline))
#else
#define CAPTURE_UNCHECKED __attribute__((no_sanitize_address, no_sanitize_thread, noinline))
#endif

typedef uint64_t capture_word __attribute__((vector_size(16)));

enum { WORDS_PER_PAGE = SNAP_PAGE_SIZE / sizeof(capture_word) };

CAPTURE_UNCHECKED void capture_copy(void *to, const void *live_page)
{
    capture_word *target = to;
    const volatile capture_word *source = live_page;
    for (int i = 0; i < WORDS_PER_PAGE; i += 4) {
        capture_word a = source[i];
        capture_word b = source[i + 1];
        capture_word c = source[i + 2];
        capture_word d = source[i + 3];
        target[i] = a;
        target[i + 1] = b;
        target[i + 2] = c;
        target[i + 3] = d;
        if (i == WORDS_PER_PAGE / 2) {
            PH_POINT("half a page copied");
        }
    }
}
