/*
 * Guest-physical memory and x86 I/O ports: what answers at an address.
 *
 * RAM regions point into RAMBlocks; MMIO and port regions have callbacks, which
 * run under the machine lock.  Regions are added and removed under the machine
 * lock; look-ups may come from any thread (the map is replaced whole, old
 * versions are kept until the process ends or all vCPUs have been kicked).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_ADDRESS_SPACE_H
#define FERRY_SYSTEM_ADDRESS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "system/ramblock.h"
#include "util/error.h"

typedef struct IORegionOps {
    /* size is 1, 2, 4 or 8 bytes; offset is from the region's start. */
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
    unsigned min_size, max_size; /* accesses outside are split; 0 means 1 / 8 (ports: 4) */
} IORegionOps;

/* Map [gpa, gpa+size) to rb at offset.  Overlap is a programming error (asserts). */
void memory_map_ram(uint64_t gpa, uint64_t size, RAMBlock *rb, uint64_t offset, bool readonly);
void memory_map_io(uint64_t gpa, uint64_t size, const char *name, const IORegionOps *ops,
                   void *opaque);
void memory_unmap(uint64_t gpa);
void ioport_map(uint16_t port, uint16_t size, const char *name, const IORegionOps *ops,
                void *opaque);
void ioport_unmap(uint16_t port);
/* Are there these ports, and does no device have one?  For addresses that users choose. */
bool ioport_check_free(unsigned port, unsigned size, Error **errp);
/*
 * Answers 4-byte accesses at exactly this port, ahead of whatever has its bytes (once in a
 * machine: PCI's address register shares its bytes with others).
 */
void ioport_map_dword(uint16_t port, const char *name, const IORegionOps *ops, void *opaque);
/*
 * Answers at every port that nobody mapped, with the port as offset; read and write say
 * whether somebody was there.
 */
typedef struct IOPortBackground {
    bool (*read)(void *opaque, uint16_t port, unsigned size, uint32_t *ret_value);
    bool (*write)(void *opaque, uint16_t port, uint32_t value, unsigned size);
    void *opaque;
} IOPortBackground;
void ioport_set_background(const IOPortBackground *b);

/*
 * An access as a map entry with these ops would get it, split or widened to min_size and
 * max_size: for what dispatches by itself (PCI BARs).  Machine lock held.
 */
uint64_t io_region_read(const IORegionOps *ops, void *opaque, uint64_t offset, unsigned size);
void io_region_write(const IORegionOps *ops, void *opaque, uint64_t offset, uint64_t value,
                     unsigned size);

/* A20 gate: when off, address bit 20 reads as 0.  Machine lock held. */
void memory_set_a20(bool on);
bool memory_get_a20(void);

/* RAM region, for the accelerators. */
typedef struct RamRegion {
    uint64_t gpa, size;
    RAMBlock *rb;
    uint64_t rb_offset;
    bool readonly;
} RamRegion;

/*
 * Tell `added`/`removed` about every present and future RAM region; called under
 * the machine lock.  One listener (the accelerator).
 */
typedef struct MemoryListener {
    void (*added)(void *opaque, const RamRegion *r);
    void (*removed)(void *opaque, const RamRegion *r);
    void *opaque;
} MemoryListener;
void memory_set_listener(const MemoryListener *l);

/* RAM region at gpa, or NULL.  Any thread; valid until the next map change. */
const RamRegion *memory_find_ram(uint64_t gpa);
/* Incremented at each change of the map: software TLBs compare it. */
unsigned memory_map_generation(void);
/* Call fn for each RAM region, ascending. */
void memory_foreach_ram(void (*fn)(const RamRegion *r, void *opaque), void *opaque);

/*
 * Read or write guest-physical memory as a device or a monitor would: RAM is
 * copied (and marked dirty), MMIO goes to its callbacks (machine lock is taken
 * if not held).  Unmapped bytes read as 0xff and swallow writes; false tells
 * that some were.
 */
bool memory_read(uint64_t gpa, void *buf, uint64_t len);
bool memory_write(uint64_t gpa, const void *buf, uint64_t len);
uint64_t memory_load(uint64_t gpa, unsigned size);             /* little endian, 1..8 */
void memory_store(uint64_t gpa, uint64_t value, unsigned size);

/* Port access of a vCPU or qtest; takes the machine lock if not held. */
uint32_t ioport_read(uint16_t port, unsigned size);
void ioport_write(uint16_t port, uint32_t value, unsigned size);

/* Text of the map for HMP `info mtree`; free with g_free(). */
char *memory_map_describe(void);

#endif
