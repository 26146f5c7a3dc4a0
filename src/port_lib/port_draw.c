/* SPDX-License-Identifier: Apache-2.0
 *
 * port_draw.c - drawing into a window's pixels, and bitmap2bitmap(). No state: nothing appears on
 * the screen before w_update(). Coordinates outside are cut off in 64 bits, so every int is
 * allowed.
 */
#include "video/vops.h"
#include "video/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A range [from, from + length) cut to [0, limit); false: nothing is left. */
static bool cut(int *from, int *length, int limit)
{
    int64_t low = *from < 0 ? 0 : *from;
    int64_t high = (int64_t)*from + *length;
    if (high > limit) {
        high = limit;
    }
    if (*length <= 0 || low >= high) {
        return false;
    }
    *from = (int)low;
    *length = (int)(high - low);
    return true;
}

static rgba_t *pixel_at(drv_video_window_t *w, int x, int y)
{
    return &w->w_pixel[(size_t)y * (size_t)w->xsize + (size_t)x];
}

void w_fill_box(window_handle_t w, int x, int y, int lx, int ly, rgba_t c)
{
    if (!cut(&x, &lx, w->xsize) || !cut(&y, &ly, w->ysize)) {
        return;
    }
    for (int row = 0; row < ly; row++) {
        rgba_t *line = pixel_at(w, x, y + row);
        for (int i = 0; i < lx; i++) {
            line[i] = c;
        }
    }
}

void w_fill(window_handle_t win, rgba_t color)
{
    w_fill_box(win, 0, 0, win->xsize, win->ysize, color);
}

void w_clear(window_handle_t win)
{
    w_fill(win, win->bg);
}

void w_draw_pixel(window_handle_t w, int x, int y, rgba_t color)
{
    w_fill_box(w, x, y, 1, 1, color);
}

/* Parts of the line outside the window are left out without walking them pixel by pixel: the line
 * is walked along its longer axis, cut to the window first. */
void w_draw_line(window_handle_t w, int x1, int y1, int x2, int y2, rgba_t c)
{
    int64_t dx = (int64_t)x2 - x1;
    int64_t dy = (int64_t)y2 - y1;
    bool flat = llabs(dx) >= llabs(dy);
    int64_t steps = flat ? llabs(dx) : llabs(dy);
    int64_t start = flat ? x1 : y1;
    int64_t direction = (flat ? dx : dy) < 0 ? -1 : 1;
    int64_t limit = flat ? w->xsize : w->ysize;
    int64_t first, last;
    if (direction > 0) {
        first = start < 0 ? -start : 0;
        last = limit - 1 - start < steps ? limit - 1 - start : steps;
    } else {
        first = start > limit - 1 ? start - (limit - 1) : 0;
        last = start < steps ? start : steps;
    }
    for (int64_t i = first; i <= last; i++) {
        __int128 other = (__int128)(flat ? dy : dx) * i;
        __int128 half = other < 0 ? -(steps / 2) : steps / 2;
        int64_t across = steps > 0 ? (int64_t)((other + half) / steps) : 0;
        int64_t x = flat ? x1 + direction * i : x1 + across;
        int64_t y = flat ? y1 + across : y1 + direction * i;
        if (x >= 0 && x < w->xsize && y >= 0 && y < w->ysize) {
            *pixel_at(w, (int)x, (int)y) = c;
        }
    }
}

void w_draw_box(window_handle_t w, int x, int y, int lx, int ly, rgba_t c)
{
    if (lx <= 0 || ly <= 0) {
        return;
    }
    int64_t right = (int64_t)x + lx - 1;
    int64_t top = (int64_t)y + ly - 1;
    w_fill_box(w, x, y, lx, 1, c);
    w_fill_box(w, x, y, 1, ly, c);
    if (top < w->ysize) {
        w_fill_box(w, x, (int)top, lx, 1, c);
    }
    if (right < w->xsize) {
        w_fill_box(w, (int)right, y, 1, ly, c);
    }
}

/* A pixel is in the ellipse if its middle is; twice the distances, to stay with whole numbers. */
void w_fill_ellipse(window_handle_t w, int x, int y, int lx, int ly, rgba_t c)
{
    int left = x;
    int bottom = y;
    int width = lx;
    int height = ly;
    if (!cut(&left, &width, w->xsize) || !cut(&bottom, &height, w->ysize)) {
        return;
    }
    for (int py = bottom; py < bottom + height; py++) {
        double dy = (2.0 * ((double)py - y) + 1 - ly) / ly;
        for (int px = left; px < left + width; px++) {
            double dx = (2.0 * ((double)px - x) + 1 - lx) / lx;
            if (dx * dx + dy * dy <= 1.0) {
                *pixel_at(w, px, py) = c;
            }
        }
    }
}

errno_t w_scroll_hor(window_handle_t w, int x, int y, int xs, int ys, int s)
{
    if (x < 0 || y < 0 || xs < 0 || ys < 0 || xs > w->xsize || ys > w->ysize || x > w->xsize - xs ||
        y > w->ysize - ys) {
        return EINVAL;
    }
    if (s == 0 || s >= xs || s <= -xs) {
        return 0;
    }
    size_t count = (size_t)(s > 0 ? xs - s : xs + s) * sizeof(rgba_t);
    for (int row = y; row < y + ys; row++) {
        rgba_t *line = pixel_at(w, x, row);
        memmove(s > 0 ? line + s : line, s > 0 ? line : line - s, count);
    }
    return 0;
}

/* Cut a move so that it stays in [0, limit) at this end, and move the other end as much. */
static bool cut_move(int *at, int limit, int *other, int *count)
{
    int64_t skip = *at < 0 ? -(int64_t)*at : 0;
    int64_t left = *count - skip;
    if (left > limit - (*at + skip)) {
        left = limit - (*at + skip);
    }
    if (left <= 0 || *other + skip > INT32_MAX) {
        return false;
    }
    *at = (int)(*at + skip);
    *other = (int)(*other + skip);
    *count = (int)left;
    return true;
}

void bitmap2bitmap(rgba_t *dest, int destWidth, int destHeight, int destX, int destY,
                   const rgba_t *src, int srcWidth, int srcHeight, int srcX, int srcY,
                   int moveWidth, int moveHeight)
{
    if (!cut_move(&destX, destWidth, &srcX, &moveWidth) ||
        !cut_move(&srcX, srcWidth, &destX, &moveWidth) ||
        !cut_move(&destY, destHeight, &srcY, &moveHeight) ||
        !cut_move(&srcY, srcHeight, &destY, &moveHeight)) {
        return;
    }
    bool upwards = dest <= src; /* in one picture, no line is overwritten before it was copied */
    if (dest == src && destY > srcY) {
        upwards = false;
    }
    for (int i = 0; i < moveHeight; i++) {
        int row = upwards ? i : moveHeight - 1 - i;
        memmove(dest + (size_t)(destY + row) * (size_t)destWidth + destX,
                src + (size_t)(srcY + row) * (size_t)srcWidth + srcX,
                (size_t)moveWidth * sizeof(rgba_t));
    }
}
