/* SPDX-License-Identifier: Apache-2.0
 *
 * port_window.c - the screen, the windows on it, and events for all.
 *
 * Owns the process's one screen: a picture in memory, bottom line first, and the list of windows,
 * the topmost last. Lock order: screen_lock is a leaf; the host's callbacks run without it.
 * Between calls: each window in the list is attached and has pixels of its size; the picture shows,
 * at each place, the topmost window as it was at its last update, or black.
 */
#include "event.h"
#include "video/screen.h"
#include "video/vops.h"
#include "video/window.h"
#include "video/zbuf.h"

#include "hal_ours.h"
#include "ph_memory.h"
#include "spinlock.h"

#include <errno.h>
#include <string.h>

#define MOST_PIXELS 16384 /* in each direction */

static hal_spinlock_t screen_lock;
static queue_head_t windows = {(queue_entry_t)&windows, (queue_entry_t)&windows};
static rgba_t *picture; /* NULL: nobody has drawn yet */
static int screen_xsize = 1024;
static int screen_ysize = 768;
static drv_video_window_t *background;

static void (*on_change)(void *context, const rect_t *part);
static void *on_change_context;
static void (*on_event)(void *context, const ui_event_t *event);
static void *on_event_context;

int scr_get_xsize(void)
{
    hal_spin_lock(&screen_lock);
    int size = screen_xsize;
    hal_spin_unlock(&screen_lock);
    return size;
}

int scr_get_ysize(void)
{
    hal_spin_lock(&screen_lock);
    int size = screen_ysize;
    hal_spin_unlock(&screen_lock);
    return size;
}

void phantom_screen_on_change(void (*changed)(void *context, const rect_t *part), void *context)
{
    on_change = changed;
    on_change_context = context;
}

void phantom_on_event(void (*handle)(void *context, const ui_event_t *event), void *context)
{
    on_event = handle;
    on_event_context = context;
}

/* Cut to the screen; false: nothing is left. Lock held. */
static bool on_screen(rect_t *part)
{
    int64_t right = (int64_t)part->x + part->xsize;
    int64_t top = (int64_t)part->y + part->ysize;
    int64_t left = part->x < 0 ? 0 : part->x;
    int64_t bottom = part->y < 0 ? 0 : part->y;
    right = right > screen_xsize ? screen_xsize : right;
    top = top > screen_ysize ? screen_ysize : top;
    if (left >= right || bottom >= top) {
        return false;
    }
    *part = (rect_t){(int)left, (int)bottom, (int)(right - left), (int)(top - bottom)};
    return true;
}

/* Draw a part of the screen from the windows, bottom up. Lock held. False: nothing was drawn. */
static bool compose(rect_t *part)
{
    if (!on_screen(part)) {
        return false;
    }
    if (picture == NULL) {
        picture = ph_zalloc((size_t)screen_xsize * (size_t)screen_ysize, sizeof(rgba_t));
        if (picture == NULL) {
            return false; /* the screen stays black; the windows have their pixels */
        }
    }
    for (int row = part->y; row < part->y + part->ysize; row++) {
        rgba_t *line = picture + (size_t)row * (size_t)screen_xsize;
        for (int i = part->x; i < part->x + part->xsize; i++) {
            line[i] = COLOR_BLACK;
        }
    }
    drv_video_window_t *w;
    queue_iterate(&windows, w, drv_video_window_t *, chain)
    {
        int64_t source_x = (int64_t)part->x - w->x;
        int64_t source_y = (int64_t)part->y - w->y;
        if (source_x > INT32_MAX || source_y > INT32_MAX || source_x < INT32_MIN ||
            source_y < INT32_MIN) {
            continue;
        }
        /* the part only: where the window begins later, the destination moves with it */
        int xs = part->xsize;
        int ys = part->ysize;
        bitmap2bitmap(picture, screen_xsize, screen_ysize, part->x, part->y, w->w_pixel, w->xsize,
                      w->ysize, (int)source_x, (int)source_y, xs, ys);
    }
    return true;
}

/* Draw, then tell the host. */
static void show(rect_t part)
{
    hal_spin_lock(&screen_lock);
    bool drawn = compose(&part);
    hal_spin_unlock(&screen_lock);
    if (drawn && on_change != NULL) {
        on_change(on_change_context, &part);
    }
}

static rect_t place_of(const drv_video_window_t *w)
{
    return (rect_t){w->x, w->y, w->xsize, w->ysize};
}

int phantom_screen_resize(int xsize, int ysize)
{
    if (xsize < 1 || ysize < 1 || xsize > MOST_PIXELS || ysize > MOST_PIXELS) {
        return EINVAL;
    }
    rgba_t *new_picture = ph_zalloc((size_t)xsize * (size_t)ysize, sizeof(rgba_t));
    if (new_picture == NULL) {
        return ENOMEM;
    }
    hal_spin_lock(&screen_lock);
    rgba_t *old = picture;
    picture = new_picture;
    screen_xsize = xsize;
    screen_ysize = ysize;
    hal_spin_unlock(&screen_lock);
    ph_free(old);
    show((rect_t){0, 0, xsize, ysize});
    return 0;
}

void phantom_screen_read(const rect_t *part, rgba_t *pixels)
{
    hal_spin_lock(&screen_lock);
    if (picture != NULL) {
        for (int row = 0; row < part->ysize; row++) { /* the host's pictures begin at the top */
            int64_t from = (int64_t)part->y + part->ysize - 1 - row;
            if (from >= 0 && from < screen_ysize) {
                bitmap2bitmap(pixels, part->xsize, part->ysize, 0, row, picture, screen_xsize,
                              screen_ysize, part->x, (int)from, part->xsize, 1);
            }
        }
    }
    hal_spin_unlock(&screen_lock);
}

void scr_zbuf_reset_square(int x, int y, int xsize, int ysize)
{
    show((rect_t){x, y, xsize, ysize});
}

void ev_q_put_global(ui_event_t *e)
{
    ui_event_t event = *e;
    event.time = hal_monotonic_ns() / 1000;
    if (event.type == UI_EVENT_TYPE_GLOBAL && event.w.info == UI_EVENT_GLOBAL_REPAINT_RECT) {
        show(event.w.rect);
    } else if (event.type == UI_EVENT_TYPE_GLOBAL && event.w.info == UI_EVENT_GLOBAL_REPAINT_ALL) {
        show((rect_t){0, 0, MOST_PIXELS, MOST_PIXELS});
    }
    if (on_event != NULL) {
        on_event(on_event_context, &event);
    }
}

/* ---- windows ------------------------------------------------------------------------------- */

int drv_video_window_bytes(int xsize, int ysize)
{
    if (xsize < 1 || ysize < 1 || xsize > MOST_PIXELS || ysize > MOST_PIXELS) {
        return 0;
    }
    return xsize * ysize * (int)sizeof(rgba_t);
}

/* Put it on the screen, in front or behind all. */
static void attach(drv_video_window_t *w, bool in_front)
{
    hal_spin_lock(&screen_lock);
    if (!w->attached) {
        w->attached = 1;
        if (in_front) {
            queue_enter(&windows, w, drv_video_window_t *, chain);
        } else {
            queue_enter_first(&windows, w, drv_video_window_t *, chain);
        }
    }
    hal_spin_unlock(&screen_lock);
}

void drv_video_window_init(drv_video_window_t *w, void *pixels, int xsize, int ysize, int x, int y,
                           rgba_t bg, int flags, const char *title)
{
    memset(w, 0, sizeof(*w));
    w->xsize = xsize;
    w->ysize = ysize;
    w->x = x;
    w->y = y;
    w->w_pixel = pixels;
    w->bitmap = pixels;
    w->bg = bg;
    w->flags = flags;
    w->title = title;
    w_clear(w);
    attach(w, true);
}

drv_video_window_t *drv_video_window_create(int xsize, int ysize, int x, int y, rgba_t bg,
                                            const char *title, int flags)
{
    int bytes = drv_video_window_bytes(xsize, ysize);
    if (bytes == 0) {
        return NULL;
    }
    drv_video_window_t *w = ph_alloc(sizeof(*w));
    void *pixels = ph_alloc((size_t)bytes);
    if (w == NULL || pixels == NULL) {
        ph_free(w);
        ph_free(pixels);
        return NULL;
    }
    drv_video_window_init(w, pixels, xsize, ysize, x, y, bg, flags, title);
    return w;
}

void drv_video_window_destroy(drv_video_window_t *w)
{
    hal_spin_lock(&screen_lock);
    bool was_there = w->attached;
    if (was_there) {
        queue_remove(&windows, w, drv_video_window_t *, chain);
        w->attached = 0;
    }
    hal_spin_unlock(&screen_lock);
    if (was_there) {
        show(place_of(w));
    }
}

void drv_video_window_free(drv_video_window_t *w)
{
    if (w == NULL) {
        return;
    }
    drv_video_window_destroy(w);
    hal_spin_lock(&screen_lock);
    if (w == background) {
        background = NULL;
    }
    hal_spin_unlock(&screen_lock);
    ph_free(w->w_pixel);
    ph_free(w);
}

void w_restart_init(window_handle_t w, void *pixels)
{
    w->w_pixel = pixels;
    w->bitmap = pixels;
    w->attached = 0; /* the screen it was on is gone */
    w->chain = (queue_chain_t){0};
}

void w_restart_attach(window_handle_t w)
{
    attach(w, true);
    show(place_of(w));
}

void w_update(drv_video_window_t *w)
{
    show(place_of(w));
}

void w_move(window_handle_t w, int x, int y)
{
    hal_spin_lock(&screen_lock);
    rect_t before = place_of(w);
    w->x = x;
    w->y = y;
    hal_spin_unlock(&screen_lock);
    show(before);
    show(place_of(w));
}

void w_to_top(window_handle_t w)
{
    hal_spin_lock(&screen_lock);
    if (w->attached) {
        queue_remove(&windows, w, drv_video_window_t *, chain);
        queue_enter(&windows, w, drv_video_window_t *, chain);
    }
    hal_spin_unlock(&screen_lock);
    show(place_of(w));
}

void w_set_title(window_handle_t w, const char *title)
{
    w->title = title;
}

window_handle_t w_get_bg_window(void)
{
    hal_spin_lock(&screen_lock);
    drv_video_window_t *found = background;
    hal_spin_unlock(&screen_lock);
    if (found != NULL) {
        return found;
    }
    int xsize = scr_get_xsize();
    int ysize = scr_get_ysize();
    drv_video_window_t *made =
        drv_video_window_create(xsize, ysize, 0, 0, COLOR_BLACK, "background", 0);
    if (made == NULL) {
        return NULL;
    }
    hal_spin_lock(&screen_lock);
    found = background;
    if (found == NULL) {
        background = made;
        queue_remove(&windows, made, drv_video_window_t *, chain);
        queue_enter_first(&windows, made, drv_video_window_t *, chain);
    }
    hal_spin_unlock(&screen_lock);
    if (found != NULL) { /* another thread was first */
        drv_video_window_free(made);
        return found;
    }
    show(place_of(made));
    return made;
}
