/* SPDX-License-Identifier: Apache-2.0
 *
 * video/internal.h - pictures from text. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_VIDEO_INTERNAL_H
#define PHANTOM_PORT_VIDEO_INTERNAL_H

#include "color.h"
#include "rect.h"
#include "vops.h"
#include "window.h"

struct data_area_4_bitmap;

/**
 * Read a PPM picture (P6, 8 bits a colour), terminated or not, into a bitmap object's pixels. The
 * library of the port has no such objects: whoever has them defines it. Never blocks.
 * @threads those that may touch the object
 * @return 0, or nonzero
 */
int drv_video_string2bmp(struct data_area_4_bitmap *bmp, void *_from);

#endif /* PHANTOM_PORT_VIDEO_INTERNAL_H */
