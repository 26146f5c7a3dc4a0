/* SPDX-License-Identifier: Apache-2.0
 *
 * video/rect.h - rectangles of pixels. Stability: kept from the Genode port.
 *
 * A rectangle has the pixels x <= px < x + xsize, y <= py < y + ysize; with a size of 0 or less it
 * has none. Rectangles are the caller's.
 *
 * @threads any. Arithmetic: never blocks.
 */
#ifndef PHANTOM_PORT_VIDEO_RECT_H
#define PHANTOM_PORT_VIDEO_RECT_H

#include "../phantom_types.h"

typedef struct rect {
    int x;
    int y;
    int xsize;
    int ysize;
} rect_t;

/** Are all pixels of b in a? (An empty b is in everything.) */
int rect_includes(rect_t *a, rect_t *b);
/** Have they a pixel in common? */
int rect_intersects(rect_t *a, rect_t *b);
/**
 * What of old_rect is uncovered when it moves to new_rect, of the same size: at most two pieces,
 * which may overlap. Without an intersection out1 is all of old_rect.
 * @return nonzero: out2 counts, too. What does not count is empty.
 */
int rect_sub(rect_t *out1, rect_t *out2, rect_t *old_rect, rect_t *new_rect);

#endif /* PHANTOM_PORT_VIDEO_RECT_H */
