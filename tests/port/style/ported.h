/* SPDX-License-Identifier: Apache-2.0
 * ported.h - small users of the port's machine, each in a file of its own. 0: as it should be. */
#ifndef PORTED_H
#define PORTED_H

int ported_disk(const char *image);
int ported_workers(void);
int ported_clockwork(void);
int ported_memory(void);
int ported_names(void);

#endif /* PORTED_H */
