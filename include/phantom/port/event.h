/* SPDX-License-Identifier: Apache-2.0
 *
 * event.h - events of the user interface. Stability: kept from the Genode port.
 *
 * Events and who hears of them are of the instance of the calling thread.
 */
#ifndef PHANTOM_PORT_EVENT_H
#define PHANTOM_PORT_EVENT_H

#include "phantom_types.h"
#include "video/rect.h"

struct drv_video_window;

#define UI_EVENT_TYPE_MOUSE  1
#define UI_EVENT_TYPE_KEY    2
#define UI_EVENT_TYPE_WIN    4
#define UI_EVENT_TYPE_GLOBAL 8 /* w counts: for all windows */

#define UI_EVENT_GLOBAL_REPAINT_ALL  0xFF00
#define UI_EVENT_GLOBAL_REPAINT_RECT 0xFF01 /* w.rect of the screen is to be drawn again */

typedef struct ui_event {
    int type;       /* UI_EVENT_TYPE_ */
    bigtime_t time; /* when; set by ev_q_put_global() */
    struct drv_video_window *focus;
    struct {
        int info; /* UI_EVENT_GLOBAL_ */
        rect_t rect;
    } w;
} ui_event_t;

/** An event for everybody: the library draws the screen again if the event says so, then tells the
 *  host, on the calling thread: blocks only as the host's callbacks do. The event is copied.
 *  @threads any */
void ev_q_put_global(ui_event_t *e);
/** Called with each event, in the thread that put it, perhaps by several at once; it may block.
 *  NULL: nobody. Never blocks itself. @threads one: not synchronised, call it before events are put
 */
void phantom_on_event(void (*handle)(void *context, const ui_event_t *event), void *context);

#endif /* PHANTOM_PORT_EVENT_H */
