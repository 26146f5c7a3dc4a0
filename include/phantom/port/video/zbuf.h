/* SPDX-License-Identifier: Apache-2.0
 *
 * video/zbuf.h - which window a pixel of the screen shows. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_VIDEO_ZBUF_H
#define PHANTOM_PORT_VIDEO_ZBUF_H

#include "../phantom_types.h"

/** The screen has no copy of its own for shadows. */
#define USE_ZBUF_SHADOW 0

/** Draw that part of the screen again from its windows, in pixels, and tell the host, on the
 *  calling thread: blocks only as its callback does. What is not on the screen is left out.
 *  @threads any */
void scr_zbuf_reset_square(int x, int y, int xsize, int ysize);

#endif /* PHANTOM_PORT_VIDEO_ZBUF_H */
