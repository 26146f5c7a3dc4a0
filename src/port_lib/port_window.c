/* SPDX-License-Identifier: Apache-2.0
 *
 * port_window.c - the screen, the windows on it, and events for all.
 *
 * Owns the screen of an instance: a picture in memory, bottom line first, and the list of windows,
 * the topmost last. Lock order: the screen's lock is a leaf; the host's callbacks run without it.
 * Between calls: each window in the list is attached, knows its screen, and has pixels of its size;
 * the picture shows, at each place, the topmost window as it was at its last update, or black.
 */
#include "event.h"
#include "video/screen.h"
#include "video/vops.h"
#include "video/window.h"
#include "video/zbuf.h"

#include "hal_ours.h"
#include "ph_memory.h"
#include "port_state.h"
#include "spinlock.h"

#include <errno.h>
#include <string.h>

#define MOST_PIXELS 16384 /* in each direction */

struct port_screen {
    hal_spinlock_t lock;
    queue_head_t windows;
    rgba_t *picture; /* NULL: nobody has drawn yet */
    int xsize;
    int ysize;
    drv_video_window_t *background;
    void (*on_change)(void *context, const rect_t *part);
    void *on_change_context;
    void (*on_event)(void *context, const ui_event_t *event);
    void *on_event_context;
};

int port_screen_open(struct port_lib_state *state)
{
    struct port_screen *screen = ph_zalloc(1, sizeof(*screen));
    if (screen == NULL) {
        return ENOMEM;
    }
    hal_spin_init(&screen->lock);
    queue_init(&screen->windows);
    screen->xsize = 1024;
    screen->ysize = 768;
    state->screen = screen;
    return 0;
}

void port_screen_close(struct port_lib_state *state)
{
    struct port_screen *screen = state->screen;
    drv_video_window_t *w;
    queue_iterate(&screen->windows, w, drv_video_window_t *, chain)
    {
        w->attached = 0; /* their memory stays the callers' */
        w->screen = NULL;
    }
    if (screen->background != NULL) {
        ph_free(screen->background->w_pixel);
        ph_free(screen->background);
    }
    ph_free(screen->picture);
    ph_free(screen);
}

static struct port_screen *my_screen(void)
{
    return port_lib_state()->screen;
}

/* Where the window is, or where it would be. */
static struct port_screen *screen_of(const drv_video_window_t *w)
{
    return w->attached ? w->screen : my_screen();
}

int scr_get_xsize(void)
{
    struct port_screen *screen = my_screen();
    hal_spin_lock(&screen->lock);
    int size = screen->xsize;
    hal_spin_unlock(&screen->lock);
    return size;
}

int scr_get_ysize(void)
{
    struct port_screen *screen = my_screen();
    hal_spin_lock(&screen->lock);
    int size = screen->ysize;
    hal_spin_unlock(&screen->lock);
    return size;
}

void phantom_screen_on_change(void (*changed)(void *context, const rect_t *part), void *context)
{
    struct port_screen *screen = my_screen();
    screen->on_change = changed;
    screen->on_change_context = context;
}

void phantom_on_event(void (*handle)(void *context, const ui_event_t *event), void *context)
{
    struct port_screen *screen = my_screen();
    screen->on_event = handle;
    screen->on_event_context = context;
}

/* Cut to the screen; false: nothing is left. Lock held. */
static bool on_screen(const struct port_screen *screen, rect_t *part)
{
    int64_t right = (int64_t)part->x + part->xsize;
    int64_t top = (int64_t)part->y + part->ysize;
    int64_t left = part->x < 0 ? 0 : part->x;
    int64_t bottom = part->y < 0 ? 0 : part->y;
    right = right > screen->xsize ? screen->xsize : right;
    top = top > screen->ysize ? screen->ysize : top;
    if (left >= right || bottom >= top) {
        return false;
    }
    *part = (rect_t){(int)left, (int)bottom, (int)(right - left), (int)(top - bottom)};
    return true;
}

/* Draw a part of the screen from the windows, bottom up. Lock held. False: nothing was drawn. */
static bool compose(struct port_screen *screen, rect_t *part)
{
    if (!on_screen(screen, part)) {
        return false;
    }
    if (screen->picture == NULL) {
        screen->picture = ph_zalloc((size_t)screen->xsize * (size_t)screen->ysize, sizeof(rgba_t));
        if (screen->picture == NULL) {
            return false; /* the screen stays black; the windows have their pixels */
        }
    }
    for (int row = part->y; row < part->y + part->ysize; row++) {
        rgba_t *line = screen->picture + (size_t)row * (size_t)screen->xsize;
        for (int i = part->x; i < part->x + part->xsize; i++) {
            line[i] = COLOR_BLACK;
        }
    }
    drv_video_window_t *w;
    queue_iterate(&screen->windows, w, drv_video_window_t *, chain)
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
        bitmap2bitmap(screen->picture, screen->xsize, screen->ysize, part->x, part->y, w->w_pixel,
                      w->xsize, w->ysize, (int)source_x, (int)source_y, xs, ys);
    }
    return true;
}

/* Draw, then tell the host. */
static void show(struct port_screen *screen, rect_t part)
{
    hal_spin_lock(&screen->lock);
    bool drawn = compose(screen, &part);
    hal_spin_unlock(&screen->lock);
    if (drawn && screen->on_change != NULL) {
        screen->on_change(screen->on_change_context, &part);
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
    struct port_screen *screen = my_screen();
    hal_spin_lock(&screen->lock);
    rgba_t *old = screen->picture;
    screen->picture = new_picture;
    screen->xsize = xsize;
    screen->ysize = ysize;
    hal_spin_unlock(&screen->lock);
    ph_free(old);
    show(screen, (rect_t){0, 0, xsize, ysize});
    return 0;
}

void phantom_screen_read(const rect_t *part, rgba_t *pixels)
{
    struct port_screen *screen = my_screen();
    hal_spin_lock(&screen->lock);
    if (screen->picture != NULL) {
        for (int row = 0; row < part->ysize; row++) { /* the host's pictures begin at the top */
            int64_t from = (int64_t)part->y + part->ysize - 1 - row;
            if (from >= 0 && from < screen->ysize) {
                bitmap2bitmap(pixels, part->xsize, part->ysize, 0, row, screen->picture,
                              screen->xsize, screen->ysize, part->x, (int)from, part->xsize, 1);
            }
        }
    }
    hal_spin_unlock(&screen->lock);
}

void scr_zbuf_reset_square(int x, int y, int xsize, int ysize)
{
    show(my_screen(), (rect_t){x, y, xsize, ysize});
}

void ev_q_put_global(ui_event_t *e)
{
    struct port_screen *screen = my_screen();
    ui_event_t event = *e;
    event.time = hal_monotonic_ns() / 1000;
    if (event.type == UI_EVENT_TYPE_GLOBAL && event.w.info == UI_EVENT_GLOBAL_REPAINT_RECT) {
        show(screen, event.w.rect);
    } else if (event.type == UI_EVENT_TYPE_GLOBAL && event.w.info == UI_EVENT_GLOBAL_REPAINT_ALL) {
        show(screen, (rect_t){0, 0, MOST_PIXELS, MOST_PIXELS});
    }
    if (screen->on_event != NULL) {
        screen->on_event(screen->on_event_context, &event);
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
    struct port_screen *screen = screen_of(w);
    hal_spin_lock(&screen->lock);
    if (!w->attached) {
        w->attached = 1;
        w->screen = screen;
        if (in_front) {
            queue_enter(&screen->windows, w, drv_video_window_t *, chain);
        } else {
            queue_enter_first(&screen->windows, w, drv_video_window_t *, chain);
        }
    }
    hal_spin_unlock(&screen->lock);
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
    struct port_screen *screen = screen_of(w);
    hal_spin_lock(&screen->lock);
    bool was_there = w->attached;
    if (was_there) {
        queue_remove(&screen->windows, w, drv_video_window_t *, chain);
        w->attached = 0;
    }
    hal_spin_unlock(&screen->lock);
    if (was_there) {
        show(screen, place_of(w));
    }
}

void drv_video_window_free(drv_video_window_t *w)
{
    if (w == NULL) {
        return;
    }
    struct port_screen *screen = screen_of(w);
    drv_video_window_destroy(w);
    hal_spin_lock(&screen->lock);
    if (w == screen->background) {
        screen->background = NULL;
    }
    hal_spin_unlock(&screen->lock);
    ph_free(w->w_pixel);
    ph_free(w);
}

void w_restart_init(window_handle_t w, void *pixels)
{
    w->w_pixel = pixels;
    w->bitmap = pixels;
    w->attached = 0; /* the screen it was on is gone */
    w->screen = NULL;
    w->chain = (queue_chain_t){0};
}

void w_restart_attach(window_handle_t w)
{
    attach(w, true);
    show(screen_of(w), place_of(w));
}

void w_update(drv_video_window_t *w)
{
    show(screen_of(w), place_of(w));
}

void w_move(window_handle_t w, int x, int y)
{
    struct port_screen *screen = screen_of(w);
    hal_spin_lock(&screen->lock);
    rect_t before = place_of(w);
    w->x = x;
    w->y = y;
    hal_spin_unlock(&screen->lock);
    show(screen, before);
    show(screen, place_of(w));
}

void w_to_top(window_handle_t w)
{
    struct port_screen *screen = screen_of(w);
    hal_spin_lock(&screen->lock);
    if (w->attached) {
        queue_remove(&screen->windows, w, drv_video_window_t *, chain);
        queue_enter(&screen->windows, w, drv_video_window_t *, chain);
    }
    hal_spin_unlock(&screen->lock);
    show(screen, place_of(w));
}

void w_set_title(window_handle_t w, const char *title)
{
    w->title = title;
}

window_handle_t w_get_bg_window(void)
{
    struct port_screen *screen = my_screen();
    hal_spin_lock(&screen->lock);
    drv_video_window_t *found = screen->background;
    hal_spin_unlock(&screen->lock);
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
    hal_spin_lock(&screen->lock);
    found = screen->background;
    if (found == NULL) {
        screen->background = made;
        queue_remove(&screen->windows, made, drv_video_window_t *, chain);
        queue_enter_first(&screen->windows, made, drv_video_window_t *, chain);
    }
    hal_spin_unlock(&screen->lock);
    if (found != NULL) { /* another thread was first */
        drv_video_window_free(made);
        return found;
    }
    show(screen, place_of(made));
    return made;
}
