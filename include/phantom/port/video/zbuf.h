/* SPDX-License-Identifier: Apache-2.0
 *
 * video/zbuf.h - which window a pixel of the screen shows. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_VIDEO_ZBUF_H
#define PHANTOM_PORT_VIDEO_ZBUF_H

#include "../phantom_types.h"

/** The screen has no copy of its own for shadows. */
#define USE_ZBUF_SHADOW 0

/** Forget which window the pixels of that part show: the next w_update() draws them. */
void scr_zbuf_reset_square(int x, int y, int xsize, int ysize);

#endif /* PHANTOM_PORT_VIDEO_ZBUF_H */
