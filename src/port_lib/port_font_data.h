/* SPDX-License-Identifier: Apache-2.0
 *
 * port_font_data.h - cells of 8 by 16 for the characters from space to tilde, 16 bytes each, the
 * topmost line first, bit 7 left.
 */
#ifndef PORT_FONT_DATA_H
#define PORT_FONT_DATA_H

extern const unsigned char port_font_glyphs[95 * 16];

#endif /* PORT_FONT_DATA_H */
