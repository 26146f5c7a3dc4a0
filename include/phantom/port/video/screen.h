/* SPDX-License-Identifier: Apache-2.0
 *
 * video/screen.h - the screen: a picture in memory that windows are drawn into. Stability: the scr_
 * names are kept from the Genode port, the phantom_ names are ours.
 *
 * The library has no display. A host that has one looks at the picture. Each HAL instance has a
 * screen; functions without a window act on that of the calling thread's.
 *
 * @threads any, unless said otherwise. Nothing here blocks, but as the host's callback does where
 *   the screen is drawn again.
 */
#ifndef PHANTOM_PORT_VIDEO_SCREEN_H
#define PHANTOM_PORT_VIDEO_SCREEN_H

#include "color.h"
#include "rect.h"

/** Pixels. 1024 x 768 unless the host said otherwise. */
int scr_get_xsize(void);
int scr_get_ysize(void);

/** Give the screen another size, 1 to 16384 in each direction; windows are drawn again, and the
 *  host's callback is called: blocks only as that does. @return 0, EINVAL or ENOMEM (then nothing
 *  changes) */
int phantom_screen_resize(int xsize, int ysize);
/** Copy a part of the picture, line by line from the top, to pixels[ysize][xsize], the caller's.
 *  What lies outside the screen is not touched, nor is anything before something was drawn. Never
 *  blocks. */
void phantom_screen_read(const rect_t *part, rgba_t *pixels);
/** Called after a part of the picture changed, in the thread that changed it, perhaps by several at
 *  once; it may block, and read the screen. NULL: nobody. Never blocks itself. @threads one: not
 *  synchronised, call it before something is drawn */
void phantom_screen_on_change(void (*changed)(void *context, const rect_t *part), void *context);

#endif /* PHANTOM_PORT_VIDEO_SCREEN_H */
