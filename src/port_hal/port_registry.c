/* SPDX-License-Identifier: Apache-2.0
 *
 * port_registry.c - which disks and partitions an instance knows: opening files as disks, reading
 * partition tables, finding Phantom's partition.
 *
 * Owns the partition structures and the disks; both live until the instance ends, so what was
 * found in the table may be used without its lock. The lock is a leaf: it is not held while a disk
 * is read.
 */
#include "port_registry.h"
#include "port_machine.h"

#include <fs_map.h>
#include <genode_disk.h>
#include <pc/disk_partition.h>
#include <ph_io.h>
#include <phantom_disk.h>
#include <stdio.h>
#include <string.h>

enum { TABLE_OFFSET = 446, TABLE_ENTRIES = 4, SECTORS_PER_BLOCK = PAGE_SIZE / PORT_SECTOR };

/* ---- open and close ------------------------------------------------------------------------- */

int port_disks_open(struct phantom_hal *instance)
{
    struct port_disks *disks = ph_zalloc(1, sizeof(*disks));
    if (disks == NULL) {
        return ENOMEM;
    }
    (void)pthread_mutex_init(&disks->lock, NULL);
    instance->disks = disks;
    return 0;
}

void port_disks_stop(struct phantom_hal *instance)
{
    struct port_disks *disks = instance->disks;
    while (port_disks_requests(instance) >
           0) { /* a callback may queue more, on another disk, too */
        for (int i = 0; i < disks->file_count; i++) {
            port_disk_drain(disks->files[i]);
        }
    }
}

void port_disks_close(struct phantom_hal *instance)
{
    struct port_disks *disks = instance->disks;
    for (int i = 0; i < disks->file_count; i++) {
        port_disk_close(disks->files[i]);
    }
    for (int i = 0; i < disks->count; i++) {
        ph_free(disks->known[i]);
    }
    (void)pthread_mutex_destroy(&disks->lock);
    ph_free(disks);
}

size_t port_disks_requests(struct phantom_hal *instance)
{
    struct port_disks *disks = instance->disks;
    size_t count = 0;
    (void)pthread_mutex_lock(&disks->lock);
    for (int i = 0; i < disks->file_count; i++) {
        count += port_disk_requests(disks->files[i]);
    }
    (void)pthread_mutex_unlock(&disks->lock);
    return count;
}

errno_t port_disks_fence(struct phantom_hal *instance)
{
    errno_t first = 0;
    for (int i = 0;; i++) {
        phantom_disk_partition_t *p = phantom_disk_partition_number(i);
        if (p == NULL) {
            break;
        }
        errno_t rc = p->base == NULL ? disk_fence(p) : 0;
        first = first == 0 && rc != ENODEV ? rc : first;
    }
    (void)instance;
    return first;
}

/* ---- the table ------------------------------------------------------------------------------ */

phantom_disk_partition_t *phantom_disk_partition_number(int n)
{
    struct port_disks *disks = port_hal()->disks;
    (void)pthread_mutex_lock(&disks->lock);
    phantom_disk_partition_t *p = n >= 0 && n < disks->count ? disks->known[n] : NULL;
    (void)pthread_mutex_unlock(&disks->lock);
    return p;
}

/* Takes *p over. 0, or ENOSPC: p is freed. */
static errno_t add(struct port_disks *disks, phantom_disk_partition_t *p)
{
    (void)pthread_mutex_lock(&disks->lock);
    bool room = disks->count < MAX_DISK_PARTITIONS;
    if (room) {
        p->self.h = disks->count;
        disks->known[disks->count++] = p;
    }
    (void)pthread_mutex_unlock(&disks->lock);
    if (!room) {
        ph_free(p);
    }
    return room ? 0 : ENOSPC;
}

/* Not yet in the table. NULL: no memory. */
static phantom_disk_partition_t *new_slice(phantom_disk_partition_t *base, long shift, long size)
{
    phantom_disk_partition_t *p = ph_zalloc(1, sizeof(*p));
    if (p != NULL) {
        p->block_size = PORT_SECTOR;
        p->shift = shift;
        p->size = size;
        p->base = base;
        p->baseh = base->self;
        p->self.h = -1;
        port_partition_methods(p);
        (void)snprintf(p->name, sizeof(p->name), "+%ld", shift);
    }
    return p;
}

phantom_disk_partition_t *phantom_create_partition_struct(phantom_disk_partition_t *base,
                                                          long shift, long size)
{
    if (base == NULL || shift < 0 || size < 1 || shift >= base->size || size > base->size - shift) {
        return NULL;
    }
    phantom_disk_partition_t *p = new_slice(base, shift, size);
    return p != NULL && add(port_hal()->disks, p) == 0 ? p : NULL;
}

phantom_disk_partition_t *select_phantom_partition(void)
{
    phantom_disk_partition_t *p;
    for (int i = 0; (p = phantom_disk_partition_number(i)) != NULL; i++) {
        if ((p->flags & (PART_FLAG_IS_PHANTOM_TYPE | PART_FLAG_IS_PHANTOM_FSSB)) != 0 &&
            (p->flags & PART_FLAG_IS_DIVIDED) == 0) {
            return p;
        }
    }
    panic("no disk has a partition for Phantom");
}

/* ---- what is on a disk ---------------------------------------------------------------------- */

static bool is_superblock(const u_int8_t *block)
{
    struct phantom_disk_superblock sb;
    memcpy(&sb, block, sizeof(sb));
    u_int32_t sum = 0;
    for (size_t i = 0; i < sizeof(sb); i++) {
        bool in_sum = i - offsetof(struct phantom_disk_superblock, checksum) >= sizeof(sb.checksum);
        sum += in_sum ? block[i] : 0;
    }
    return sb.magic == DISK_STRUCT_MAGIC_SUPERBLOCK && sb.magic2 == DISK_STRUCT_MAGIC_SUPER_2 &&
           sb.checksum == sum;
}

static bool has_superblock(phantom_disk_partition_t *p)
{
    static const disk_page_no_t places[] = DISK_STRUCT_SB_OFFSET_LIST;
    u_int8_t block[PAGE_SIZE];
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (((long)places[i] + 1) * SECTORS_PER_BLOCK <= p->size &&
            phantom_sync_read_block(p, block, places[i], 1) == 0 && is_superblock(block)) {
            return true;
        }
    }
    return false;
}

static void look_into(phantom_disk_partition_t *p)
{
    if (has_superblock(p)) {
        p->flags |= PART_FLAG_IS_PHANTOM_FSSB;
    }
    if ((p->flags & (PART_FLAG_IS_PHANTOM_TYPE | PART_FLAG_IS_PHANTOM_FSSB)) == 0) {
        (void)lookup_fs(p);
    }
}

static bool overlaps_another(struct port_disks *disks, const phantom_disk_partition_t *disk,
                             const struct pc_partition *entry)
{
    bool found = false;
    (void)pthread_mutex_lock(&disks->lock);
    for (int i = 0; i < disks->count; i++) {
        const phantom_disk_partition_t *p = disks->known[i];
        found = found || (p->base == disk && p->shift < (long)entry->start + entry->size &&
                          (long)entry->start < p->shift + p->size);
    }
    (void)pthread_mutex_unlock(&disks->lock);
    return found;
}

/* Entry number n of the table in sector 0; one that is not within the disk, or overlaps one before,
 * is left out: what was written to it would destroy something else. */
static errno_t add_entry(struct port_disks *disks, phantom_disk_partition_t *disk,
                         const struct pc_partition *entry, int n)
{
    long end = (long)entry->start + entry->size;
    if (entry->type == 0 || entry->size == 0) {
        return 0;
    }
    if (entry->start == 0 || end > disk->size || overlaps_another(disks, disk, entry)) {
        ph_log(PH_LOG_WARNING, "%s: partition %d (%u sectors from %u) is %s", disk->name, n,
               entry->size, entry->start,
               entry->start == 0 || end > disk->size ? "not within the disk"
                                                     : "in another partition, too");
        return 0;
    }
    phantom_disk_partition_t *p = new_slice(disk, entry->start, entry->size);
    if (p == NULL) {
        return ENOMEM;
    }
    p->type = entry->type;
    p->flags = (entry->type == PHANTOM_PARTITION_TYPE_ID ? PART_FLAG_IS_PHANTOM_TYPE : 0) |
               (entry->boot == 0x80 ? PART_FLAG_IS_BOOTABLE : 0);
    (void)snprintf(p->name, sizeof(p->name), "p%d", n);
    look_into(p);
    disk->flags |= PART_FLAG_IS_DIVIDED;
    return add(disks, p);
}

static errno_t add_entries(struct port_disks *disks, phantom_disk_partition_t *disk,
                           const u_int8_t *sector)
{
    if (sector[PORT_SECTOR - 2] != 0x55 || sector[PORT_SECTOR - 1] != 0xAA) {
        return 0;
    }
    errno_t rc = 0;
    for (int i = 0; i < TABLE_ENTRIES && rc == 0; i++) {
        struct pc_partition entry;
        memcpy(&entry, sector + TABLE_OFFSET + (size_t)i * sizeof(entry), sizeof(entry));
        rc = add_entry(disks, disk, &entry, i + 1);
    }
    return rc;
}

errno_t phantom_register_disk_drive(phantom_disk_partition_t *p)
{
    if (p->specific == NULL || p->shift != 0 || p->size <= 0 || p->base != NULL ||
        p->block_size != PORT_SECTOR || (p->flags & PART_FLAG_IS_WHOLE_DISK) == 0) {
        panic("phantom_register_disk_drive: %s is no whole disk", p->name);
    }
    struct port_disks *disks = port_hal()->disks;
    u_int8_t sector[PORT_SECTOR];
    errno_t rc = phantom_sync_read_sector(p, sector, 0, 1);
    if (rc != 0) {
        return rc;
    }
    phantom_disk_partition_t *disk = ph_zalloc(1, sizeof(*disk));
    if (disk == NULL) {
        return ENOMEM;
    }
    *disk = *p;
    (void)pthread_mutex_lock(&disks->lock);
    int number = disks->drives++;
    (void)pthread_mutex_unlock(&disks->lock);
    if (disk->name[0] == '\0') {
        (void)snprintf(disk->name, sizeof(disk->name), "disk%d", number);
    }
    look_into(disk);
    rc = add(disks, disk);
    return rc == 0 ? add_entries(disks, disk, sector) : rc;
}

/* ---- files as disks ------------------------------------------------------------------------- */

static errno_t disk_dequeue_method(struct phantom_disk_partition *p, pager_io_request *rq)
{
    return port_disk_dequeue(p->specific, rq);
}

static errno_t disk_raise_method(struct phantom_disk_partition *p, pager_io_request *rq)
{
    return port_disk_raise(p->specific, rq);
}

static errno_t disk_trim_method(struct phantom_disk_partition *p, pager_io_request *rq)
{
    return rq->nSect > 0 ? port_disk_trim(p->specific, rq->blockNo, (uint64_t)rq->nSect) : EINVAL;
}

/* No partition knows it. */
static void forget(struct port_disks *disks, struct port_disk *file)
{
    (void)pthread_mutex_lock(&disks->lock);
    int i = disks->file_count;
    while (disks->files[--i] != file) {
    }
    disks->files[i] = disks->files[--disks->file_count];
    (void)pthread_mutex_unlock(&disks->lock);
    port_disk_close(file);
}

/* Into the list of those that the instance closes. */
static errno_t keep(struct port_disks *disks, struct port_disk *file)
{
    (void)pthread_mutex_lock(&disks->lock);
    bool room = disks->file_count < MAX_DISK_PARTITIONS && disks->count < MAX_DISK_PARTITIONS;
    if (room) {
        disks->files[disks->file_count++] = file;
    }
    (void)pthread_mutex_unlock(&disks->lock);
    return room ? 0 : ENOSPC;
}

static phantom_disk_partition_t *whole_disk_of(const struct port_disk *file)
{
    phantom_disk_partition_t *p;
    for (int i = 0; (p = phantom_disk_partition_number(i)) != NULL; i++) {
        if (p->specific == file) {
            return p;
        }
    }
    return NULL;
}

int phantom_hal_add_disk(const char *path, unsigned flags, struct phantom_disk_partition **out)
{
    struct phantom_hal *instance = port_hal();
    struct port_disk *file;
    uint64_t sectors = 0;
    int fd = -1;
    int rc = port_file_open(path, (flags & PHANTOM_HAL_DISK_READ_ONLY) != 0, &fd, &sectors);
    if (rc == 0) {
        rc = port_disk_open(instance, fd, sectors, flags, &file);
    }
    if (rc != 0) {
        return rc;
    }
    rc = keep(instance->disks, file);
    if (rc != 0) {
        port_disk_close(file);
        return rc;
    }
    phantom_disk_partition_t disk = {.block_size = PORT_SECTOR,
                                     .size = (long)sectors,
                                     .flags = PART_FLAG_IS_WHOLE_DISK,
                                     .self = {-1},
                                     .baseh = {-1},
                                     .specific = file,
                                     .asyncIo = driver_genode_disk_asyncIO,
                                     .dequeue = disk_dequeue_method,
                                     .raise = disk_raise_method,
                                     .fence = driver_genode_disk_fence,
                                     .trim = disk_trim_method};
    rc = phantom_register_disk_drive(&disk);
    phantom_disk_partition_t *known = whole_disk_of(file);
    if (known == NULL) {
        forget(instance->disks, file);
    } else if (rc == 0 && out != NULL) {
        *out = known;
    }
    return rc;
}

const char *phantom_hal_disk_backend(const struct phantom_disk_partition *partition)
{
    long shift;
    struct port_disk *file =
        port_partition_file((struct phantom_disk_partition *)(uintptr_t)partition, &shift);
    return file != NULL ? file->backend->name : NULL;
}

errno_t driver_genode_disk_init(void)
{
    struct phantom_hal *instance = port_hal();
    (void)pthread_mutex_lock(&instance->disks->lock);
    bool open_it = instance->disk_path != NULL && !instance->disks->own_disk_opened;
    instance->disks->own_disk_opened = true;
    (void)pthread_mutex_unlock(&instance->disks->lock);
    if (instance->disk_path == NULL) {
        return ENODEV;
    }
    errno_t rc =
        open_it ? phantom_hal_add_disk(instance->disk_path, instance->options.disk_flags, NULL) : 0;
    if (rc != 0) { /* the next one tries again, instead of being told that all is well */
        (void)pthread_mutex_lock(&instance->disks->lock);
        instance->disks->own_disk_opened = false;
        (void)pthread_mutex_unlock(&instance->disks->lock);
    }
    return rc;
}

void *driver_genode_disk_probe(void)
{
    return driver_genode_disk_init() == 0 ? phantom_disk_partition_number(0) : NULL;
}

/* ---- names ---------------------------------------------------------------------------------- */

errno_t partGetName(phantom_disk_partition_t *p, char *buf, size_t bufsz)
{
    if (bufsz == 0) {
        return EINVAL;
    }
    buf[0] = '\0';
    errno_t rc = p->base != NULL ? partGetName(p->base, buf, bufsz) : 0;
    size_t used = strlen(buf);
    int length = snprintf(buf + used, bufsz - used, "%s", p->name);
    return rc == 0 && (size_t)length < bufsz - used ? 0 : EINVAL;
}

void print_partition(phantom_disk_partition_t *p)
{
    char name[4 * PARTITION_NAME_LEN];
    (void)partGetName(p, name, sizeof(name));
    ph_printf("%s: %ld sectors from %ld, type 0x%02x, flags 0x%02x\n", name, p->size, p->shift,
              (unsigned)p->type, (unsigned)p->flags);
}

void dump_partition(phantom_disk_partition_t *p)
{
    print_partition(p);
    ph_printf("  label '%s', %s%s%s%s%s, back end %s\n", p->label,
              (p->flags & PART_FLAG_IS_WHOLE_DISK) != 0 ? "whole disk" : "slice",
              (p->flags & PART_FLAG_IS_DIVIDED) != 0 ? ", divided" : "",
              (p->flags & PART_FLAG_IS_PHANTOM_TYPE) != 0 ? ", Phantom's type" : "",
              (p->flags & PART_FLAG_IS_PHANTOM_FSSB) != 0 ? ", Phantom's superblock" : "",
              (p->flags & PART_FLAG_IS_BOOTABLE) != 0 ? ", bootable" : "",
              phantom_hal_disk_backend(p) != NULL ? phantom_hal_disk_backend(p) : "not ours");
}
