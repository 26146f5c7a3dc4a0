/* SPDX-License-Identifier: Apache-2.0 - machdep.h - must be found; nothing of it is used. */
#ifndef PHANTOM_PORT_MACHDEP_H
#define PHANTOM_PORT_MACHDEP_H

#endif /* PHANTOM_PORT_MACHDEP_H */
