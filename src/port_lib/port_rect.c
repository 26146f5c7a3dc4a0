/* SPDX-License-Identifier: Apache-2.0
 *
 * port_rect.c - <video/rect.h> and the colours. Arithmetic only, in 64 bits: no rectangle of ints
 * overflows.
 */
#include "video/rect.h"

#include "video/color.h"

const rgba_t COLOR_BLACK = {.a = 255};
const rgba_t COLOR_WHITE = {.b = 255, .g = 255, .r = 255, .a = 255};
const rgba_t COLOR_BLUE = {.b = 128, .a = 255};
const rgba_t COLOR_LIGHTGREEN = {.g = 255, .a = 255};
const rgba_t COLOR_LIGHTRED = {.r = 255, .a = 255};
const rgba_t COLOR_YELLOW = {.g = 255, .r = 255, .a = 255};

static bool is_empty(const rect_t *r)
{
    return r->xsize <= 0 || r->ysize <= 0;
}

static int64_t right_of(const rect_t *r)
{
    return (int64_t)r->x + r->xsize;
}

static int64_t top_of(const rect_t *r)
{
    return (int64_t)r->y + r->ysize;
}

int rect_includes(rect_t *a, rect_t *b)
{
    return is_empty(b) || (!is_empty(a) && b->x >= a->x && b->y >= a->y &&
                           right_of(b) <= right_of(a) && top_of(b) <= top_of(a));
}

int rect_intersects(rect_t *a, rect_t *b)
{
    return !is_empty(a) && !is_empty(b) && b->x < right_of(a) && a->x < right_of(b) &&
           b->y < top_of(a) && a->y < top_of(b);
}

int rect_sub(rect_t *out1, rect_t *out2, rect_t *old_rect, rect_t *new_rect)
{
    rect_t from = *old_rect;
    rect_t to = *new_rect;
    *out1 = (rect_t){.x = from.x, .y = from.y};
    *out2 = (rect_t){.x = from.x, .y = from.y};
    if (!rect_intersects(&from, &to)) {
        *out1 = from;
        return 0;
    }
    if (to.x > from.x) { /* a column at the side that it left */
        *out1 = (rect_t){from.x, from.y, to.x - from.x, from.ysize};
    } else if (to.x < from.x) {
        *out1 = (rect_t){(int)right_of(&to), from.y, (int)(right_of(&from) - right_of(&to)),
                         from.ysize};
    }
    rect_t row = {.x = from.x, .y = from.y};
    if (to.y > from.y) {
        row = (rect_t){from.x, from.y, from.xsize, to.y - from.y};
    } else if (to.y < from.y) {
        row = (rect_t){from.x, (int)top_of(&to), from.xsize, (int)(top_of(&from) - top_of(&to))};
    }
    if (is_empty(out1)) {
        *out1 = row;
        return 0;
    }
    *out2 = row;
    return !is_empty(&row);
}
