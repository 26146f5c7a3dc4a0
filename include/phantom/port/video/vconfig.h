/* SPDX-License-Identifier: Apache-2.0
 *
 * video/vconfig.h - switches of the windows. Stability: kept from the Genode port.
 */
#ifndef PHANTOM_PORT_VIDEO_VCONFIG_H
#define PHANTOM_PORT_VIDEO_VCONFIG_H

/** The background is a window. */
#define VIDEO_NEW_BG_WIN 1

#endif /* PHANTOM_PORT_VIDEO_VCONFIG_H */
