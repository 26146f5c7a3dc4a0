/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel/debug_graphical.h - the state of the machine as a picture. Stability: kept from the Genode
 * port.
 */
#ifndef PHANTOM_PORT_KERNEL_DEBUG_GRAPHICAL_H
#define PHANTOM_PORT_KERNEL_DEBUG_GRAPHICAL_H

#include "../video/rect.h"
#include "../video/window.h"

/** Draw, in that part of the window, how much of the bound space is in use: from the left, green
 *  the blocks in use, yellow what is reserved for more of them, blue the rest (all of it if no
 *  space is bound). w_update() is the caller's. Never blocks. @threads one for each window */
void paint_persistent_memory_map(window_handle_t w, rect_t *r);

#endif /* PHANTOM_PORT_KERNEL_DEBUG_GRAPHICAL_H */
