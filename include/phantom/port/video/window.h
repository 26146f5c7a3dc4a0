/* SPDX-License-Identifier: Apache-2.0
 *
 * video/window.h - windows: pictures with a place on the screen. Stability: kept from the Genode
 * port.
 *
 * Coordinates begin at the lower left, as in the port: y grows upwards, and line 0 of w_pixel is
 * the lowest. Drawing changes the window's pixels, w_update() shows them on the screen; what lies
 * outside the window is left out. A window may live in memory of the caller's that is restored from
 * a snapshot: then w_restart_init() and w_restart_attach() make it a window again.
 *
 * @threads any; calls on windows are serialised inside; who draws into one window from two threads
 *   orders the drawing itself. What draws never blocks; what shows, moves or takes away calls the
 *   host's callback (screen.h) and blocks as that does.
 */
#ifndef PHANTOM_PORT_VIDEO_WINDOW_H
#define PHANTOM_PORT_VIDEO_WINDOW_H

#include "../phantom_types.h"
#include "../queue.h"
#include "color.h"
#include "rect.h"

#include <errno.h>

#define WFLAG_WIN_DECORATED 1 /* has a title and a frame; kept and told, not drawn */

struct port_screen;

typedef struct drv_video_window {
    int xsize; /* pixels */
    int ysize;
    int x; /* of the lower left corner on the screen; may lie outside */
    int y;
    rgba_t *w_pixel;   /* xsize * ysize pixels */
    rgba_t *bitmap;    /* the same */
    rgba_t bg;         /* what w_clear() fills with */
    int flags;         /* WFLAG_ */
    const char *title; /* by reference */
    int attached;      /* it is on the screen; anything after a restart */
    queue_chain_t chain;
    struct port_screen *screen; /* that of the HAL instance where it was attached */
} drv_video_window_t;

typedef struct drv_video_window *window_handle_t;

/** Bytes that w_pixel of a window of this size needs; 0: the size is not possible (each from 1 to
 *  16384). */
int drv_video_window_bytes(int xsize, int ysize);
/** A window on top of the others, filled with bg. Ended by drv_video_window_free(). NULL: out of
 *  memory, or an impossible size. title is kept by reference. */
drv_video_window_t *drv_video_window_create(int xsize, int ysize, int x, int y, rgba_t bg,
                                            const char *title, int flags);
/** As create, in memory of the caller's: the struct, and pixels of drv_video_window_bytes(). Ended
 *  by drv_video_window_destroy(). */
void drv_video_window_init(drv_video_window_t *w, void *pixels, int xsize, int ysize, int x, int y,
                           rgba_t bg, int flags, const char *title);
/** Take it off the screen; the memory stays the caller's. */
void drv_video_window_destroy(drv_video_window_t *w);
/** Destroy and release what create made. NULL allowed. */
void drv_video_window_free(drv_video_window_t *w);

/** After a restart: the struct was restored, its pixels are there. Pointers are set again; it is
 * not on the screen before w_restart_attach(). */
void w_restart_init(window_handle_t w, void *pixels);
void w_restart_attach(window_handle_t w);

/** Show what was drawn: blocks only as the host's callback does. */
void w_update(drv_video_window_t *w);
/** Draw, in the window's pixels: all of it in bg, in a colour; one pixel. Never blocks. */
void w_clear(window_handle_t win);
void w_fill(window_handle_t win, rgba_t color);
void w_draw_pixel(window_handle_t w, int x, int y, rgba_t color);
/** Both ends included. */
void w_draw_line(window_handle_t w, int x1, int y1, int x2, int y2, rgba_t c);
/** lx by ly pixels from x, y: the border, or all of it. */
void w_draw_box(window_handle_t w, int x, int y, int lx, int ly, rgba_t c);
void w_fill_box(window_handle_t w, int x, int y, int lx, int ly, rgba_t c);
/** The ellipse in that box. */
void w_fill_ellipse(window_handle_t w, int x, int y, int lx, int ly, rgba_t c);
/** Move the pixels of a part by s to the right (s < 0: left). What is uncovered stays as it was.
 *  @return 0, or EINVAL: the part is not in the window */
errno_t w_scroll_hor(window_handle_t w, int x, int y, int xs, int ys, int s);

/** Another place for its lower left corner; before all others. Both are shown: blocks only as the
 *  host's callback does. */
void w_move(window_handle_t w, int x, int y);
void w_to_top(window_handle_t w);
/** Another title, by reference; not drawn. Never blocks. */
void w_set_title(window_handle_t w, const char *title);
/** The window behind all others, as large as the screen. Made at the first call; NULL: out of
 *  memory. */
window_handle_t w_get_bg_window(void);

#endif /* PHANTOM_PORT_VIDEO_WINDOW_H */
