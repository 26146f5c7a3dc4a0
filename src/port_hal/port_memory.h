/* SPDX-License-Identifier: Apache-2.0
 *
 * port_memory.h - the memory of an instance, shared by port_memory.c and port_faults.c.
 */
#ifndef PORT_MEMORY_H
#define PORT_MEMORY_H

#include "port_internal.h"

struct port_faults;

struct port_memory {
    int frames_fd;  /* a memfd: a frame can be mapped at several places */
    uint8_t *arena; /* all frames; physaddr_t is an offset into it */
    size_t arena_bytes;
    physalloc_t frames;
    uint8_t *window; /* addresses for hal_alloc_vaddress() */
    size_t window_bytes;
    physalloc_t window_pages;
    hal_mutex_t faults_lock;    /* of the next */
    struct port_faults *faults; /* NULL: no handler was ever registered */
};

void port_faults_close(struct port_faults *faults);

#endif /* PORT_MEMORY_H */
