/* SPDX-License-Identifier: Apache-2.0
 *
 * hal.h - the machine interface of the Genode port: memory, sleep, interrupts. What every file of
 * the port includes; brings locks, errno, assert and the basic types along.
 *
 * Stability: names, signatures and semantics are kept from the port; what it got wrong is right
 * here (docs/port-differences.md). errno_t is int: 0 success, positive errno on failure.
 *
 * Everything acts on the HAL instance of the calling thread, which is the process's default one
 * unless phantom_hal_enter() chose another (phantom_hal.h). "Fatal" means panic(): a broken
 * invariant of the caller. In all headers of this folder a function "blocks" if it may wait for
 * another thread, for a device or for time to pass. A lock that others hold for a few instructions
 * or a copy, memory that must be had and a line to the log do not count. Nothing in this folder may
 * be called in a signal handler.
 *
 * @threads any, unless said otherwise
 * Never blocks, unless said otherwise.
 */
#ifndef PHANTOM_PORT_HAL_H
#define PHANTOM_PORT_HAL_H

#include <arch/arch-page.h>
#include <errno.h>
#include <kernel/cond.h>
#include <kernel/mutex.h>
#include <kernel/sem.h>
#include <machdep.h>
#include <phantom_assert.h>
#include <phantom_types.h>
#include <spinlock.h>

#define __MEM_PAGE PAGE_SIZE
/** Where the object space of the port begins; only the default (hal_init() may be told another). */
#define PHANTOM_AMAP_START_VM_POOL 0x80000000UL

/* ---- object space -------------------------------------------------------------------------- */

struct hardware_abstraction_level {
    vmem_ptr_t object_vspace; /* first byte; NULL before hal_init() */
    long object_vsize;        /* bytes */
};
/** The object space of the process's default instance. Written by hal_init() only. */
extern struct hardware_abstraction_level hal;

/** Say where the object space is. An address range that is not mapped yet is reserved; pages of it
 *  are mapped with hal_page_control(). Never blocks.
 *  @param va  first byte, page-aligned
 *  @param vs  bytes, > 0, a multiple of the page size
 *  @pre first call for this instance. Fatal if the range is in use by another mapping, or twice
 *  @post hal_object_space_address() is va; no page of the space can be accessed
 *  @threads one, before others of the instance use the object space */
void hal_init(vmem_ptr_t va, long vs);
/** A hook for an address space that starts; nothing to do here. */
void hal_init_object_vmem(void *start_of_virtual_address_space);
/** The first byte of the object space. @pre after hal_init(); fatal before. Never blocks. */
vmem_ptr_t hal_object_space_address(void);
/** 1 if the address is in [object_vspace, object_vspace + object_vsize). */
int hal_addr_is_in_object_vmem(void *address);
/** Fatal if it is not. */
void hal_check_addr_is_in_object_vmem(void *address);
/** 1 unless the calling thread took it away with t_set_paged_mem(false). */
int arch_is_object_land_access_enabled(void);
/** Boot hooks; nothing to do here. */
void phantom_paging_init(void);
void phantom_paging_start(void);

/* ---- mapping ------------------------------------------------------------------------------- */

typedef enum page_mapped { page_unmap = 0, page_map = 1, page_map_io = 2 } page_mapped_t;
typedef enum page_access {
    page_noaccess = 0,
    page_readonly = 1,
    page_ro = 1,
    page_readwrite = 2,
    page_rw = 2
} page_access_t;

/**
 * Map one frame of "physical" memory at an address, change its access, or unmap it. Replacing a
 * mapping is one step for other threads: none of them faults in between. Synchronous, visible to
 * all threads on return.
 *
 * @param p                frame, page-aligned; ignored when unmapping
 * @param page_start_addr  page-aligned, in the object space or from hal_alloc_vaddress()
 * @param mapped           page_unmap, page_map; page_map_io is fatal: there is no such memory here
 * @param access           page_noaccess, page_ro, page_rw
 * Fatal: a frame or an address outside those ranges, misalignment, or the system's limit of
 * mappings (vm.max_map_count; neighbours that map neighbours count once).
 */
void hal_page_control(physaddr_t p, void *page_start_addr, page_mapped_t mapped,
                      page_access_t access);
/** The same; flags is not used, as in the port. */
void hal_page_control_etc(physaddr_t p, void *page_start_addr, page_mapped_t mapped,
                          page_access_t access, u_int32_t flags);
/** The same for n neighbouring pages and frames, in one step. n_pages < 1 is fatal, too. */
void hal_pages_control(physaddr_t p, void *page_start_addr, int n_pages, page_mapped_t mapped,
                       page_access_t access);
void hal_pages_control_etc(physaddr_t p, void *page_start_addr, int n_pages, page_mapped_t mapped,
                           page_access_t access, u_int32_t flags);

/** Reserve addresses without memory.
 *  @param[out] result  first byte; written on success only
 *  @post nothing can be accessed there before hal_page_control() maps something. The caller ends it
 *    with hal_free_vaddress()
 *  @return 0, ENOMEM (none left), EINVAL (n_pages < 1) */
errno_t hal_alloc_vaddress(void **result, int n_pages);
/** Give addresses back, also in pieces; mappings there end. Refused (with a log line, nothing
 *  done) for what is not reserved. */
void hal_free_vaddress(void *addr, int n_pages);

/* ---- "physical" memory: an arena of frames; a physaddr_t is an offset into it ---------------- */

/** One frame, or n contiguous ones, not mapped, not zeroed; *result: written on success only. The
 *  caller gives them back with hal_free_phys_page(), hal_free_phys_pages(). Does not wait for
 *  others to give frames back: never blocks. @return 0, ENOMEM, EINVAL (npages < 1) */
errno_t hal_alloc_phys_page(physaddr_t *result);
errno_t hal_alloc_phys_pages(physaddr_t *result, int npages);
/** Give back exactly what one call allocated. Refused (with a log line, nothing done) otherwise.
 *  Mappings that still show the frames are the caller's to end before. */
void hal_free_phys_page(physaddr_t page);
void hal_free_phys_pages(physaddr_t page, int npages);

/** Frames with a read-write mapping, rounded up to pages, not zeroed. Fatal when out of memory or
 *  size_bytes < 1. */
void hal_pv_alloc(physaddr_t *pa, void **va, int size_bytes);
/** Give back what hal_pv_alloc() gave, with the same size. Refused otherwise, as above. */
void hal_pv_free(physaddr_t pa, void *va, int size_bytes);

/** Copy a page, or any number of bytes at any alignment, to or from frames, mapped or not. Fatal
 *  when the frames are not within the arena; size 0 is fine. The other side must be accessible
 *  memory; the caller orders copies that overlap. */
void hal_copy_page_v2p(physaddr_t to, void *from);
void memcpy_v2p(physaddr_t to, void *from, size_t size);
void memcpy_p2v(void *to, physaddr_t from, size_t size);

/** Boot hooks; nothing to do here. */
void hal_init_physmem_alloc(void);
void hal_init_physmem_alloc_thread(void);

/* ---- time ---------------------------------------------------------------------------------- */

/** Sleep at least that long; negative counts as 0. Blocks. Does not return if t_kill_thread() names
 *  the thread, before or meanwhile: it ends. */
void hal_sleep_msec(int miliseconds);
/** Microseconds since an arbitrary zero, monotonic (lores: the same). */
bigtime_t hal_system_time(void);
bigtime_t hal_system_time_lores(void);
/** Wall clock, microseconds since 1970; it may be set. Never blocks. */
bigtime_t hal_local_time(void);
/** Boot hook, 0. Nothing to do here. */
int hal_time_init(void);
/** For machines whose tick comes from outside: make the timed calls that are due, on the calling
 *  thread; tick_usec is not used. Here a thread of ours does. Blocks as those calls do, which
 *  should not. As phantom_process_timed_calls(). */
void hal_time_tick(int tick_usec);

/* ---- interrupts: a flag of the calling thread ------------------------------------------------ */

/** Mask, unmask; is it unmasked (1, 0); mask and say whether it was unmasked. Nothing interrupts
 *  threads here; the flag is the calling thread's, kept so that save and restore pair up. Starts
 *  unmasked. Never blocks, and excludes nobody. */
void hal_cli(void);
void hal_sti(void);
int hal_is_sti(void);
int hal_save_cli(void);
/** Nestable, per thread; no exclusion of other threads: use a lock. Never blocks. Fatal when
 *  unbalanced. */
void hal_disable_preemption(void);
void hal_enable_preemption(void);

/* ---- console and end ----------------------------------------------------------------------- */

/** As ph_printf() (ph_io.h): to the console, as one piece. Blocks as the console's sink does.
 *  @threads any */
void hal_printf(char *format, ...);
/** The same for what is only of interest later: as lprintf() (debug_ext.h). Blocks as hal_printf().
 *  @threads any */
void hal_log(char *format, ...);
/** 1: what runs here runs on the machine of the port, not in a simulation of it for class files. */
int phantom_is_a_real_kernel(void);
/** A panic that says "halt": see phantom_assert.h. @threads any. Never returns. */
void hal_halt(void) __attribute__((noreturn));

#endif /* PHANTOM_PORT_HAL_H */
