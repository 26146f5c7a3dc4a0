/* SPDX-License-Identifier: Apache-2.0
 *
 * video/screen.h - the screen: a picture in memory that windows are drawn into. Stability: the scr_
 * names are kept from the Genode port, the phantom_ names are ours.
 *
 * The library has no display. A host that has one looks at the picture. Each HAL instance has a
 * screen; functions without a window act on that of the calling thread's.
 */
#ifndef PHANTOM_PORT_VIDEO_SCREEN_H
#define PHANTOM_PORT_VIDEO_SCREEN_H

#include "color.h"
#include "rect.h"

/** Pixels. 1024 x 768 unless the host said otherwise. */
int scr_get_xsize(void);
int scr_get_ysize(void);

/** Give the screen another size, at most 16384 in each direction; windows are drawn again.
 *  @return 0, EINVAL or ENOMEM (then nothing changes) */
int phantom_screen_resize(int xsize, int ysize);
/** Copy a part of the picture, line by line from the top, to pixels[ysize][xsize]. What lies
 * outside the screen is not touched. */
void phantom_screen_read(const rect_t *part, rgba_t *pixels);
/** Called after a part of the picture changed, in the thread that changed it; NULL: nobody. */
void phantom_screen_on_change(void (*changed)(void *context, const rect_t *part), void *context);

#endif /* PHANTOM_PORT_VIDEO_SCREEN_H */
