/* SPDX-License-Identifier: Apache-2.0
 *
 * video/font.h - text in windows. Stability: kept from the Genode port; the shapes of the letters
 * are others.
 *
 * @threads one for each window at a time. Nothing here blocks: it draws into the window's pixels;
 *   w_update() shows them.
 */
#ifndef PHANTOM_PORT_VIDEO_FONT_H
#define PHANTOM_PORT_VIDEO_FONT_H

#include "window.h"

struct drv_video_font_t {
    int xsize; /* of a cell, at most 8 */
    int ysize;
    int first;                  /* the character of the first cell */
    int count;                  /* cells */
    const unsigned char *glyph; /* ysize bytes each, the topmost line first; bit 7 is left */
};

typedef struct drv_video_font_t drv_video_font_t;

/** ASCII in cells of 8 by 16. */
extern const struct drv_video_font_t drv_video_8x16san_font;

/**
 * Write a string as on a terminal: from *x, *y (lower left corner of a cell) to the right, on to
 * the next line where a line is full or at \n; at the bottom the window scrolls up. \r and \t mean
 * what they say. *x and *y are where the next string goes on.
 */
void w_font_tty_string(drv_video_window_t *win, const struct drv_video_font_t *font, const char *s,
                       const rgba_t color, const rgba_t back, int *x, int *y);

#endif /* PHANTOM_PORT_VIDEO_FONT_H */
