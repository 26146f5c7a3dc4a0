/* SPDX-License-Identifier: Apache-2.0
 *
 * video/vops.h - copying pictures. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_VIDEO_VOPS_H
#define PHANTOM_PORT_VIDEO_VOPS_H

#include "color.h"

/** Copy a part of one picture into another; what lies outside either is left out. Pictures are
 *  lines of pixels without gaps; sizes and places in pixels. They may be the same one. Touches the
 *  caller's memory only, never blocks. @threads one for each picture that is written */
void bitmap2bitmap(rgba_t *dest, int destWidth, int destHeight, int destX, int destY,
                   const rgba_t *src, int srcWidth, int srcHeight, int srcX, int srcY,
                   int moveWidth, int moveHeight);

#endif /* PHANTOM_PORT_VIDEO_VOPS_H */
