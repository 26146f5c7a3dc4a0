/* SPDX-License-Identifier: Apache-2.0
 *
 * video/color.h - colours. Stability: kept from the Genode port; the layout is part of the heap
 * format (pixels of windows).
 */
#ifndef PHANTOM_PORT_VIDEO_COLOR_H
#define PHANTOM_PORT_VIDEO_COLOR_H

#include "../phantom_types.h"

/** A pixel: four bytes in memory order blue, green, red, opacity (255: opaque). */
typedef struct rgba_t {
    unsigned char b, g, r, a;
} __attribute__((packed)) rgba_t;

typedef struct rgba_t color_t;

extern const rgba_t COLOR_BLACK;
extern const rgba_t COLOR_WHITE;
extern const rgba_t COLOR_BLUE;
extern const rgba_t COLOR_LIGHTGREEN;
extern const rgba_t COLOR_LIGHTRED;
extern const rgba_t COLOR_YELLOW;

/** rgba = the bytes of the int variable i: 0xAARRGGBB. Copies four bytes, never blocks. @threads
 *  any */
#define INT32_TO_RGBA(rgba, i) __builtin_memcpy(&(rgba), &(i), sizeof(rgba))

#endif /* PHANTOM_PORT_VIDEO_COLOR_H */
