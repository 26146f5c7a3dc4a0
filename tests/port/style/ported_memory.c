/* SPDX-License-Identifier: Apache-2.0
 * Two frames behind one address, as the port's COW has it: the page is copied to a second frame,
 * which takes the first one's place, and the first keeps what was there. */
#include "ported.h"

#include <hal.h>
#include <ph_string.h>

int ported_memory(void)
{
    physaddr_t first, second;
    void *at;
    char back[8] = {0};
    if (hal_alloc_phys_page(&first) != 0 || hal_alloc_phys_page(&second) != 0 ||
        hal_alloc_vaddress(&at, 1) != 0) {
        return 1;
    }
    hal_page_control(first, at, page_map, page_rw);
    ph_strlcpy(at, "before", PAGE_SIZE);
    hal_page_control(first, at, page_map, page_ro);
    hal_copy_page_v2p(second, at);
    hal_page_control(second, at, page_map, page_rw);
    if (ph_strcmp(at, "before") != 0) {
        return 2;
    }
    ph_strlcpy(at, "after", PAGE_SIZE);
    memcpy_p2v(back, first, sizeof(back));
    int kept = ph_strcmp(back, "before") == 0;
    hal_page_control(0, at, page_unmap, page_noaccess);
    memcpy_p2v(back, second, sizeof(back));
    int changed = ph_strcmp(back, "after") == 0;
    hal_free_vaddress(at, 1);
    hal_free_phys_page(first);
    hal_free_phys_page(second);
    return kept && changed ? 0 : 3;
}
