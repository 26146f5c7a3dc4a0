/* SPDX-License-Identifier: Apache-2.0
 *
 * port_memory.c - frames, addresses, and what is mapped where.
 *
 * "Physical" memory is a memory file that is mapped once as a whole, the arena: a frame is an
 * offset into it, and mapping a frame elsewhere is mapping that part of the file again. The first
 * frames are never given out, so 0 is no frame. Addresses that nothing is mapped at stay reserved.
 *
 * Locks: those of the two allocators, leaves. Mapping itself is one mmap() over what was there,
 * which other threads see as one step.
 */
#include "port_memory.h"

#include <arch/arch_vmem_util.h>
#include <kernel/page.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FIRST_FRAME = 16 };
#define DEFAULT_PHYS   ((size_t)64 << 20)
#define DEFAULT_WINDOW ((size_t)1 << 30)

/* ---- open and close ------------------------------------------------------------------------- */

/* mmap() over what is there. By number, because tools that follow memory accesses (TSan) take the
 * library's mmap() for a store into the range, which this is not. */
static void *map_over(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    long got = syscall(SYS_mmap, at, bytes, prot, flags | MAP_FIXED, fd, offset);
    return got == -1 ? MAP_FAILED : (void *)got; // NOLINT
}

/* Nothing there, nothing allowed. at NULL: anywhere, else exactly there over whatever is mapped. */
static void *reserve(void *at, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *got = at == NULL ? mmap(NULL, bytes, PROT_NONE, flags, -1, 0)
                           : map_over(at, bytes, PROT_NONE, flags, -1, 0);
    return got == MAP_FAILED ? NULL : got;
}

static int open_arena(struct port_memory *memory)
{
    memory->frames_fd = memfd_create("phantom-frames", MFD_CLOEXEC);
    if (memory->frames_fd < 0) {
        return errno;
    }
    if (ftruncate(memory->frames_fd, (off_t)memory->arena_bytes) != 0) {
        return errno;
    }
    void *arena = mmap(NULL, memory->arena_bytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_NORESERVE, memory->frames_fd, 0);
    if (arena == MAP_FAILED) {
        return errno;
    }
    memory->arena = arena;
    (void)madvise(arena, memory->arena_bytes, MADV_DONTFORK); /* a child must not write into it */
    return port_pages_open(&memory->frames, (u_int32_t)(memory->arena_bytes / PAGE_SIZE),
                           FIRST_FRAME, false);
}

static int open_window(struct port_memory *memory)
{
    memory->window = reserve(NULL, memory->window_bytes);
    if (memory->window == NULL) {
        return errno;
    }
    return port_pages_open(&memory->window_pages, (u_int32_t)(memory->window_bytes / PAGE_SIZE), 0,
                           true);
}

static void free_memory(struct port_memory *memory)
{
    port_faults_close(memory->faults);
    (void)hal_mutex_destroy(&memory->faults_lock);
    if (memory->window_pages.map != NULL) {
        port_pages_close(&memory->window_pages);
    }
    if (memory->window != NULL) {
        (void)munmap(memory->window, memory->window_bytes);
    }
    if (memory->frames.map != NULL) {
        port_pages_close(&memory->frames);
    }
    if (memory->arena != NULL) {
        (void)munmap(memory->arena, memory->arena_bytes);
    }
    hal_close(memory->frames_fd);
    ph_free(memory);
}

int port_memory_open(struct phantom_hal *instance)
{
    struct port_memory *memory = ph_zalloc(1, sizeof(*memory));
    if (memory == NULL) {
        return ENOMEM;
    }
    const struct phantom_hal_options *options = &instance->options;
    memory->arena_bytes = options->phys_bytes != 0 ? options->phys_bytes : DEFAULT_PHYS;
    memory->window_bytes = options->window_bytes != 0 ? options->window_bytes : DEFAULT_WINDOW;
    memory->frames_fd = -1;
    int rc = hal_mutex_init(&memory->faults_lock, "fault handler");
    rc = rc == 0 ? open_arena(memory) : rc;
    if (rc == 0) {
        rc = open_window(memory);
    }
    if (rc != 0) {
        free_memory(memory);
        return rc;
    }
    instance->memory = memory;
    return 0;
}

void port_memory_close(struct phantom_hal *instance)
{
    free_memory(instance->memory);
    if (instance->space->object_vspace != NULL) {
        (void)munmap(instance->space->object_vspace, (size_t)instance->space->object_vsize);
    }
}

void port_memory_usage(struct phantom_hal *instance, struct phantom_hal_usage *out)
{
    struct port_memory *memory = instance->memory;
    (void)hal_mutex_lock(&memory->frames.mutex);
    out->phys_pages_used = memory->frames.n_used_pages;
    out->phys_pages_total = memory->frames.allocable_size;
    (void)hal_mutex_unlock(&memory->frames.mutex);
    (void)hal_mutex_lock(&memory->window_pages.mutex);
    out->window_pages_used = memory->window_pages.n_used_pages;
    (void)hal_mutex_unlock(&memory->window_pages.mutex);
}

/* ---- object space --------------------------------------------------------------------------- */

void hal_init(vmem_ptr_t va, long vs)
{
    struct hardware_abstraction_level *space = port_hal()->space;
    if (space->object_vspace != NULL) {
        panic("hal_init: the object space is at %p already", space->object_vspace);
    }
    if (va == NULL || vs <= 0 || (uintptr_t)va % PAGE_SIZE != 0 || vs % PAGE_SIZE != 0) {
        panic("hal_init: %ld bytes at %p are no object space", vs, va);
    }
    void *got = mmap(va, (size_t)vs, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != va) {
        panic("hal_init: %ld bytes at %p: %s", vs, va,
              got == MAP_FAILED ? strerror(errno) : "placed elsewhere");
    }
    (void)madvise(va, (size_t)vs, MADV_DONTFORK);
    space->object_vspace = va;
    space->object_vsize = vs;
}

void hal_init_object_vmem(void *start_of_virtual_address_space)
{
    (void)start_of_virtual_address_space;
}

vmem_ptr_t hal_object_space_address(void)
{
    vmem_ptr_t address = port_hal()->space->object_vspace;
    if (address == NULL) {
        panic("hal_object_space_address before hal_init");
    }
    return address;
}

int hal_addr_is_in_object_vmem(void *address)
{
    struct hardware_abstraction_level *space = port_hal()->space;
    return (uintptr_t)address - (uintptr_t)space->object_vspace < (uintptr_t)space->object_vsize;
}

void hal_check_addr_is_in_object_vmem(void *address)
{
    if (!hal_addr_is_in_object_vmem(address)) {
        panic("%p is not in the object space", address);
    }
}

void phantom_paging_init(void)
{
}

void phantom_paging_start(void)
{
}

/* ---- mapping -------------------------------------------------------------------------------- */

static bool may_be_mapped(struct phantom_hal *instance, const uint8_t *start, size_t bytes)
{
    const struct hardware_abstraction_level *space = instance->space;
    uintptr_t offset = (uintptr_t)start - (uintptr_t)space->object_vspace;
    if (offset < (uintptr_t)space->object_vsize) {
        return bytes <= (uintptr_t)space->object_vsize - offset;
    }
    struct port_memory *memory = instance->memory;
    offset = (uintptr_t)start - (uintptr_t)memory->window;
    return offset < memory->window_bytes &&
           port_pages_used(&memory->window_pages, (u_int32_t)(offset / PAGE_SIZE),
                           (u_int32_t)(bytes / PAGE_SIZE));
}

static int protection(page_access_t access)
{
    switch (access) {
    case page_noaccess: return PROT_NONE;
    case page_readonly: return PROT_READ;
    case page_readwrite: return PROT_READ | PROT_WRITE;
    default: panic("page access %d", (int)access);
    }
}

void hal_pages_control_etc(physaddr_t p, void *page_start_addr, int n_pages, page_mapped_t mapped,
                           page_access_t access, u_int32_t flags)
{
    (void)flags;
    struct phantom_hal *instance = port_hal();
    size_t bytes = n_pages > 0 ? (size_t)n_pages * PAGE_SIZE : 0;
    if (bytes == 0 || (uintptr_t)page_start_addr % PAGE_SIZE != 0 ||
        !may_be_mapped(instance, page_start_addr, bytes)) {
        panic("hal_page_control: %d pages at %p", n_pages, page_start_addr);
    }
    if (mapped == page_unmap) {
        if (reserve(page_start_addr, bytes) == NULL) {
            panic("hal_page_control: unmap %p: %s", page_start_addr, strerror(errno));
        }
        return;
    }
    if (mapped != page_map || p % PAGE_SIZE != 0 || port_memory_at(instance, p, bytes) == NULL) {
        panic("hal_page_control: map (%d) frame %#lx", (int)mapped, (unsigned long)p);
    }
    void *got = map_over(page_start_addr, bytes, protection(access), MAP_SHARED,
                         instance->memory->frames_fd, (off_t)p);
    if (got != page_start_addr) {
        panic("hal_page_control: map %p: %s", page_start_addr, strerror(errno));
    }
    (void)madvise(page_start_addr, bytes, MADV_DONTFORK);
}

void hal_pages_control(physaddr_t p, void *page_start_addr, int n_pages, page_mapped_t mapped,
                       page_access_t access)
{
    hal_pages_control_etc(p, page_start_addr, n_pages, mapped, access, 0);
}

void hal_page_control_etc(physaddr_t p, void *page_start_addr, page_mapped_t mapped,
                          page_access_t access, u_int32_t flags)
{
    hal_pages_control_etc(p, page_start_addr, 1, mapped, access, flags);
}

void hal_page_control(physaddr_t p, void *page_start_addr, page_mapped_t mapped,
                      page_access_t access)
{
    hal_pages_control_etc(p, page_start_addr, 1, mapped, access, 0);
}

errno_t hal_alloc_vaddress(void **result, int n_pages)
{
    if (n_pages < 1) {
        return EINVAL;
    }
    struct port_memory *memory = port_hal()->memory;
    u_int32_t first;
    errno_t rc = port_pages_take(&memory->window_pages, (u_int32_t)n_pages, &first);
    if (rc == 0) {
        *result = memory->window + (size_t)first * PAGE_SIZE;
    }
    return rc;
}

void hal_free_vaddress(void *addr, int n_pages)
{
    struct phantom_hal *instance = port_hal();
    struct port_memory *memory = instance->memory;
    size_t bytes = n_pages > 0 ? (size_t)n_pages * PAGE_SIZE : 0;
    uintptr_t offset = (uintptr_t)addr - (uintptr_t)memory->window;
    bool ours = bytes > 0 && offset % PAGE_SIZE == 0 && offset < memory->window_bytes &&
                may_be_mapped(instance, addr, bytes);
    /* Unmapped first: once given back, another thread may map something there. */
    if (!ours || reserve(addr, bytes) == NULL ||
        port_pages_give(&memory->window_pages, (u_int32_t)(offset / PAGE_SIZE),
                        (u_int32_t)n_pages) != 0) {
        ph_log(PH_LOG_ERROR, "hal_free_vaddress: %d pages at %p are not reserved", n_pages, addr);
    }
}

/* ---- frames --------------------------------------------------------------------------------- */

void *port_memory_at(struct phantom_hal *instance, physaddr_t pa, size_t size)
{
    struct port_memory *memory = instance->memory;
    if (pa < (physaddr_t)FIRST_FRAME * PAGE_SIZE || pa > memory->arena_bytes ||
        size > memory->arena_bytes - pa) {
        return NULL;
    }
    return memory->arena + pa;
}

errno_t hal_alloc_phys_pages(physaddr_t *result, int npages)
{
    if (npages < 1) {
        return EINVAL;
    }
    u_int32_t first;
    errno_t rc = port_pages_take(&port_hal()->memory->frames, (u_int32_t)npages, &first);
    if (rc == 0) {
        *result = (physaddr_t)first * PAGE_SIZE;
    }
    return rc;
}

errno_t hal_alloc_phys_page(physaddr_t *result)
{
    return hal_alloc_phys_pages(result, 1);
}

void hal_free_phys_pages(physaddr_t page, int npages)
{
    struct port_memory *memory = port_hal()->memory;
    if (npages < 1 || page % PAGE_SIZE != 0 || page / PAGE_SIZE >= memory->frames.total_size ||
        port_pages_give(&memory->frames, (u_int32_t)(page / PAGE_SIZE), (u_int32_t)npages) != 0) {
        ph_log(PH_LOG_ERROR, "hal_free_phys_pages: %d frames at %#lx were not allocated so", npages,
               (unsigned long)page);
    }
}

void hal_free_phys_page(physaddr_t page)
{
    hal_free_phys_pages(page, 1);
}

static int pages_for(int size_bytes)
{
    return (int)(((long)size_bytes + PAGE_SIZE - 1) / PAGE_SIZE);
}

void hal_pv_alloc(physaddr_t *pa, void **va, int size_bytes)
{
    physaddr_t got = 0;
    errno_t rc = size_bytes < 1 ? EINVAL : hal_alloc_phys_pages(&got, pages_for(size_bytes));
    if (rc != 0) {
        panic("hal_pv_alloc: %d bytes: %s", size_bytes, strerror(rc));
    }
    *pa = got;
    *va = port_hal()->memory->arena + got;
}

void hal_pv_free(physaddr_t pa, void *va, int size_bytes)
{
    struct port_memory *memory = port_hal()->memory;
    if (size_bytes < 1 || (uint8_t *)va != memory->arena + pa) {
        ph_log(PH_LOG_ERROR, "hal_pv_free: %p is not where frame %#lx is", va, (unsigned long)pa);
        return;
    }
    hal_free_phys_pages(pa, pages_for(size_bytes));
}

static void *frames_at(physaddr_t pa, size_t size)
{
    void *at = port_memory_at(port_hal(), pa, size);
    if (at == NULL) {
        panic("%zu bytes at frame address %#lx are outside of memory", size, (unsigned long)pa);
    }
    return at;
}

void memcpy_v2p(physaddr_t to, void *from, size_t size)
{
    memcpy(frames_at(to, size), from, size);
}

void memcpy_p2v(void *to, physaddr_t from, size_t size)
{
    memcpy(to, frames_at(from, size), size);
}

void hal_copy_page_v2p(physaddr_t to, void *from)
{
    memcpy_v2p(to, from, PAGE_SIZE);
}

void hal_init_physmem_alloc(void)
{
}

void hal_init_physmem_alloc_thread(void)
{
}
