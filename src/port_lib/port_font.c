/* SPDX-License-Identifier: Apache-2.0
 *
 * port_font.c - <video/font.h>: text in windows. No state but the constant font.
 */
#include "video/font.h"

#include "port_font_data.h"
#include "video/vops.h"

#include <string.h>

const struct drv_video_font_t drv_video_8x16san_font = {
    .xsize = 8,
    .ysize = 16,
    .first = ' ',
    .count = 95,
    .glyph = port_font_glyphs,
};

static void draw_cell(drv_video_window_t *win, const struct drv_video_font_t *font, unsigned char c,
                      rgba_t color, rgba_t back, int x, int y)
{
    int index = c - font->first;
    const unsigned char *glyph = index >= 0 && index < font->count
                                     ? font->glyph + (size_t)index * (size_t)font->ysize
                                     : NULL;
    w_fill_box(win, x, y, font->xsize, font->ysize, back);
    for (int row = 0; row < font->ysize && glyph != NULL; row++) {
        for (int column = 0; column < font->xsize; column++) {
            if ((glyph[row] >> (7 - column) & 1) != 0) {
                w_draw_pixel(win, x + column, y + font->ysize - 1 - row, color);
            }
        }
    }
}

/* To the left end of the next line; the window scrolls where there is none. */
static void new_line(drv_video_window_t *win, const struct drv_video_font_t *font, rgba_t back,
                     int *x, int *y)
{
    *x = 0;
    *y -= font->ysize;
    if (*y < 0) {
        int up = -*y < win->ysize ? -*y : win->ysize;
        bitmap2bitmap(win->w_pixel, win->xsize, win->ysize, 0, up, win->w_pixel, win->xsize,
                      win->ysize, 0, 0, win->xsize, win->ysize - up);
        w_fill_box(win, 0, 0, win->xsize, up, back);
        *y = 0;
    }
}

void w_font_tty_string(drv_video_window_t *win, const struct drv_video_font_t *font, const char *s,
                       const rgba_t color, const rgba_t back, int *x, int *y)
{
    for (; *s != '\0'; s++) {
        if (*s == '\n') {
            new_line(win, font, back, x, y);
            continue;
        }
        if (*s == '\r') {
            *x = 0;
            continue;
        }
        if (*s == '\t') {
            int tab = 8 * font->xsize;
            *x = *x < win->xsize ? (*x / tab + 1) * tab : *x;
            continue;
        }
        if (*x > win->xsize - font->xsize) {
            new_line(win, font, back, x, y);
        }
        draw_cell(win, font, (unsigned char)*s, color, back, *x, *y);
        *x += font->xsize;
    }
}
