/*
 * Guest-physical memory and I/O ports: the map and dispatch.
 *
 * Changes happen under the machine lock: a new sorted array replaces the old one,
 * which stays valid for readers that still look at it (it is kept until exit; the
 * map changes a handful of times in a machine's life).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/address-space.h"

#include <inttypes.h>
#include <string.h>

#include "system/dirty.h"
#include "system/machine-lock.h"
#include "util/log.h"
#include "util/util.h"

typedef struct IORegion {
    const char *name;
    const IORegionOps *ops;
    void *opaque;
    unsigned max_default;
} IORegion;

typedef struct MapEntry {
    RamRegion ram;   /* rb is NULL for an IO region; gpa and size are always set */
    IORegion io;
} MapEntry;

typedef struct Map {
    unsigned n;
    MapEntry e[];
} Map;

typedef struct PortRegion {
    uint16_t first;
    uint16_t size;
    IORegion io;
} PortRegion;

static Map *map;              /* atomic pointer; written under the machine lock */
static unsigned generation;   /* atomic */
static GPtrArray *old_maps;   /* machine lock */
static MemoryListener listener; /* machine lock */
static PortRegion *ports[0x10000]; /* machine lock */
static PortRegion *dword_port;    /* machine lock; NULL: none */
static IOPortBackground background; /* machine lock */
static bool a20 = true;       /* machine lock */

static const Map empty_map;

static const Map *map_get(void)
{
    const Map *m = __atomic_load_n(&map, __ATOMIC_ACQUIRE);

    return m ? m : &empty_map;
}

static void map_publish(Map *m)
{
    Map *old = map;

    __atomic_store_n(&map, m, __ATOMIC_RELEASE);
    __atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST);
    if (old) {
        if (!old_maps) {
            old_maps = g_ptr_array_new();
        }
        g_ptr_array_add(old_maps, old);
    }
}

static Map *map_alloc(unsigned n)
{
    Map *m = g_malloc0(sizeof(Map) + n * sizeof(MapEntry));

    m->n = n;
    return m;
}

static void map_insert(const MapEntry *e)
{
    const Map *old = map_get();
    Map *m = map_alloc(old->n + 1);
    unsigned i = 0;

    while (i < old->n && old->e[i].ram.gpa < e->ram.gpa) {
        m->e[i] = old->e[i];
        i++;
    }
    g_assert(i == 0 || old->e[i - 1].ram.gpa + old->e[i - 1].ram.size <= e->ram.gpa);
    g_assert(i == old->n || e->ram.gpa + e->ram.size <= old->e[i].ram.gpa);
    m->e[i] = *e;
    memcpy(&m->e[i + 1], &old->e[i], (old->n - i) * sizeof(MapEntry));
    map_publish(m);
}

void memory_map_ram(uint64_t gpa, uint64_t size, RAMBlock *rb, uint64_t offset, bool readonly)
{
    MapEntry e = { .ram = { gpa, size, rb, offset, readonly } };

    g_assert(IS_ALIGNED(gpa | size | offset, TARGET_PAGE_SIZE) && size > 0);
    g_assert(ramblock_contains(rb, offset, size));
    map_insert(&e);
    if (listener.added) {
        listener.added(listener.opaque, &e.ram);
    }
}

void memory_map_io(uint64_t gpa, uint64_t size, const char *name, const IORegionOps *ops,
                   void *opaque)
{
    MapEntry e = { .ram = { .gpa = gpa, .size = size }, .io = { name, ops, opaque, 8 } };

    map_insert(&e);
}

static const MapEntry *map_find(const Map *m, uint64_t gpa)
{
    unsigned lo = 0, hi = m->n;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (gpa - m->e[mid].ram.gpa < m->e[mid].ram.size) {
            return &m->e[mid];
        }
        if (gpa < m->e[mid].ram.gpa) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return NULL;
}

void memory_unmap(uint64_t gpa)
{
    const Map *old = map_get();
    const MapEntry *e = map_find(old, gpa);
    Map *m;
    unsigned i;

    g_assert(e && e->ram.gpa == gpa);
    i = e - old->e;
    m = map_alloc(old->n - 1);
    memcpy(m->e, old->e, i * sizeof(MapEntry));
    memcpy(&m->e[i], &old->e[i + 1], (old->n - i - 1) * sizeof(MapEntry));
    map_publish(m);
    if (e->ram.rb && listener.removed) {
        listener.removed(listener.opaque, &e->ram);
    }
}

void memory_set_listener(const MemoryListener *l)
{
    const Map *m = map_get();

    listener = *l;
    for (unsigned i = 0; i < m->n; i++) {
        if (m->e[i].ram.rb) {
            listener.added(listener.opaque, &m->e[i].ram);
        }
    }
}

const RamRegion *memory_find_ram(uint64_t gpa)
{
    const MapEntry *e = map_find(map_get(), gpa);

    return e && e->ram.rb ? &e->ram : NULL;
}

unsigned memory_map_generation(void)
{
    return __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
}

void memory_foreach_ram(void (*fn)(const RamRegion *r, void *opaque), void *opaque)
{
    const Map *m = map_get();

    for (unsigned i = 0; i < m->n; i++) {
        if (m->e[i].ram.rb) {
            fn(&m->e[i].ram, opaque);
        }
    }
}

void memory_set_a20(bool on)
{
    if (a20 != on) {
        a20 = on;
        __atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST);
    }
}

bool memory_get_a20(void)
{
    return a20;
}

/* Split or widen an access to what the region takes. */
static uint64_t io_read(const IORegion *io, uint64_t offset, unsigned size)
{
    unsigned max = io->ops->max_size ? io->ops->max_size : io->max_default;
    unsigned min = io->ops->min_size ? io->ops->min_size : 1;
    unsigned step = MIN(size, max);
    uint64_t value = 0;

    if (!io->ops->read) {
        return ~0ULL >> (64 - 8 * size);
    }
    if (size < min) {
        uint64_t base = ROUND_DOWN(offset, (uint64_t)min);
        value = io->ops->read(io->opaque, base, min) >> (8 * (offset - base));
        return value & (~0ULL >> (64 - 8 * size));
    }
    for (unsigned i = 0; i < size; i += step) {
        uint64_t part = io->ops->read(io->opaque, offset + i, step);
        value |= (part & (~0ULL >> (64 - 8 * step))) << (8 * i);
    }
    return value;
}

static void io_write(const IORegion *io, uint64_t offset, uint64_t value, unsigned size)
{
    unsigned max = io->ops->max_size ? io->ops->max_size : io->max_default;
    unsigned step = MIN(size, max);

    if (!io->ops->write) {
        return;
    }
    for (unsigned i = 0; i < size; i += step) {
        io->ops->write(io->opaque, offset + i, (value >> (8 * i)) & (~0ULL >> (64 - 8 * step)),
                       step);
    }
}

uint64_t io_region_read(const IORegionOps *ops, void *opaque, uint64_t offset, unsigned size)
{
    IORegion io = { .ops = ops, .opaque = opaque, .max_default = 8 };

    return io_read(&io, offset, size);
}

void io_region_write(const IORegionOps *ops, void *opaque, uint64_t offset, uint64_t value,
                     unsigned size)
{
    IORegion io = { .ops = ops, .opaque = opaque, .max_default = 8 };

    io_write(&io, offset, value, size);
}

/* Largest naturally aligned access at gpa that fits into len bytes. */
static unsigned access_size(uint64_t gpa, uint64_t len)
{
    unsigned size = 8;

    while (size > len || !IS_ALIGNED(gpa, (uint64_t)size)) {
        size /= 2;
    }
    return size;
}

static void io_read_bytes(const MapEntry *e, uint64_t gpa, uint8_t *buf, uint64_t len)
{
    MACHINE_LOCK_GUARD();

    while (len) {
        unsigned size = access_size(gpa, len);
        uint64_t v = io_read(&e->io, gpa - e->ram.gpa, size);
        memcpy(buf, &v, size);
        gpa += size;
        buf += size;
        len -= size;
    }
}

static void io_write_bytes(const MapEntry *e, uint64_t gpa, const uint8_t *buf, uint64_t len)
{
    MACHINE_LOCK_GUARD();

    while (len) {
        unsigned size = access_size(gpa, len);
        uint64_t v = 0;
        memcpy(&v, buf, size);
        io_write(&e->io, gpa - e->ram.gpa, v, size);
        gpa += size;
        buf += size;
        len -= size;
    }
}

/* Bytes from gpa up to the end of e, or (e NULL) to the next entry; at most len. */
static uint64_t span(const Map *m, const MapEntry *e, uint64_t gpa, uint64_t len)
{
    if (e) {
        return MIN(len, e->ram.size - (gpa - e->ram.gpa));
    }
    for (unsigned i = 0; i < m->n; i++) {
        if (m->e[i].ram.gpa > gpa) {
            return MIN(len, m->e[i].ram.gpa - gpa);
        }
    }
    return len;
}

bool memory_read(uint64_t gpa, void *buf, uint64_t len)
{
    const Map *m = map_get();
    uint8_t *p = buf;
    bool all = true;

    while (len) {
        const MapEntry *e = map_find(m, gpa);
        uint64_t n = span(m, e, gpa, len);
        if (!e) {
            memset(p, 0xff, n);
            all = false;
        } else if (e->ram.rb) {
            memcpy(p, e->ram.rb->host + e->ram.rb_offset + (gpa - e->ram.gpa), n);
        } else {
            io_read_bytes(e, gpa, p, n);
        }
        gpa += n;
        p += n;
        len -= n;
    }
    return all;
}

bool memory_write(uint64_t gpa, const void *buf, uint64_t len)
{
    const Map *m = map_get();
    const uint8_t *p = buf;
    bool all = true;

    while (len) {
        const MapEntry *e = map_find(m, gpa);
        uint64_t n = span(m, e, gpa, len);
        if (!e) {
            all = false;
        } else if (e->ram.rb) {
            uint64_t off = e->ram.rb_offset + (gpa - e->ram.gpa);
            if (!e->ram.readonly) {
                memcpy(e->ram.rb->host + off, p, n);
                ram_mark_dirty(e->ram.rb, off, n);
            }
        } else {
            io_write_bytes(e, gpa, p, n);
        }
        gpa += n;
        p += n;
        len -= n;
    }
    return all;
}

uint64_t memory_load(uint64_t gpa, unsigned size)
{
    const MapEntry *e = map_find(map_get(), gpa);
    uint64_t v = 0;

    if (e && !e->ram.rb && gpa - e->ram.gpa + size <= e->ram.size) {
        MACHINE_LOCK_GUARD();
        return io_read(&e->io, gpa - e->ram.gpa, size);
    }
    memory_read(gpa, &v, size);
    return v;
}

void memory_store(uint64_t gpa, uint64_t value, unsigned size)
{
    const MapEntry *e = map_find(map_get(), gpa);

    if (e && !e->ram.rb && gpa - e->ram.gpa + size <= e->ram.size) {
        MACHINE_LOCK_GUARD();
        io_write(&e->io, gpa - e->ram.gpa, value, size);
        return;
    }
    memory_write(gpa, &value, size);
}

void ioport_map(uint16_t port, uint16_t size, const char *name, const IORegionOps *ops, void *opaque)
{
    PortRegion *r = g_new(PortRegion, 1);

    *r = (PortRegion){ port, size, { name, ops, opaque, 4 } };
    for (unsigned i = 0; i < size; i++) {
        g_assert(!ports[port + i]);
        ports[port + i] = r;
    }
}

bool ioport_check_free(unsigned port, unsigned size, Error **errp)
{
    if (port >= G_N_ELEMENTS(ports) || size > G_N_ELEMENTS(ports) - port) {
        error_setg(errp, "%u I/O ports from 0x%x on do not fit below 0x10000", size, port);
        return false;
    }
    for (unsigned i = port; i < port + size; i++) {
        if (ports[i]) {
            error_setg(errp, "I/O port 0x%x belongs to '%s'", i, ports[i]->io.name);
            return false;
        }
    }
    return true;
}

void ioport_unmap(uint16_t port)
{
    PortRegion *r = ports[port];

    g_assert(r && r->first == port);
    for (unsigned i = 0; i < r->size; i++) {
        ports[port + i] = NULL;
    }
    g_free(r);
}

void ioport_map_dword(uint16_t port, const char *name, const IORegionOps *ops, void *opaque)
{
    g_assert(!dword_port);
    dword_port = g_new(PortRegion, 1);
    *dword_port = (PortRegion){ port, 4, { name, ops, opaque, 4 } };
}

void ioport_set_background(const IOPortBackground *b)
{
    background = *b;
}

/* The region that takes the whole access, or NULL. */
static PortRegion *port_region(unsigned port, unsigned size)
{
    PortRegion *r = ports[port];

    if (dword_port && size == 4 && port == dword_port->first) {
        return dword_port;
    }
    return r && port - r->first + size <= r->size ? r : NULL;
}

/* Nobody mapped any of the ports. */
static bool ports_free(unsigned port, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        if (port + i > 0xffff || ports[port + i]) {
            return false;
        }
    }
    return true;
}

uint32_t ioport_read(uint16_t port, unsigned size)
{
    MACHINE_LOCK_GUARD();
    PortRegion *r = port_region(port, size);
    uint32_t value = 0;

    if (r) {
        return (uint32_t)io_read(&r->io, port - r->first, size);
    }
    if (background.read && ports_free(port, size) &&
        background.read(background.opaque, port, size, &value)) {
        return value;
    }
    if (size == 1) {
        log_debug(LOG_UNIMP, "read of port %#x: nothing there\n", port);
        return 0xff;
    }
    for (unsigned i = 0; i < size; i++) {
        value |= ioport_read((uint16_t)(port + i), 1) << (8 * i);
    }
    return value;
}

void ioport_write(uint16_t port, uint32_t value, unsigned size)
{
    MACHINE_LOCK_GUARD();
    PortRegion *r = port_region(port, size);

    if (r) {
        io_write(&r->io, port - r->first, value, size);
        return;
    }
    if (background.write && ports_free(port, size) &&
        background.write(background.opaque, port, value, size)) {
        return;
    }
    if (size == 1) {
        log_debug(LOG_UNIMP, "write of %#x to port %#x: nothing there\n", value, port);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        ioport_write((uint16_t)(port + i), (value >> (8 * i)) & 0xff, 1);
    }
}

char *memory_map_describe(void)
{
    g_autoptr(GString) s = g_string_new("memory:\n");
    const Map *m = map_get();

    for (unsigned i = 0; i < m->n; i++) {
        const MapEntry *e = &m->e[i];
        g_string_append_printf(s, "  %016" PRIx64 "-%016" PRIx64 " ", e->ram.gpa,
                               e->ram.gpa + e->ram.size - 1);
        if (e->ram.rb) {
            g_string_append_printf(s, "%s %s @%016" PRIx64 "\n", e->ram.readonly ? "rom" : "ram",
                                   e->ram.rb->idstr, e->ram.rb_offset);
        } else {
            g_string_append_printf(s, "i/o %s\n", e->io.name);
        }
    }
    g_string_append(s, "I/O ports:\n");
    if (dword_port) {
        g_string_append_printf(s, "  %04x-%04x %s (dwords)\n", dword_port->first,
                               dword_port->first + 3, dword_port->io.name);
    }
    for (unsigned p = 0; p < 0x10000; p++) {
        if (ports[p] && ports[p]->first == p) {
            g_string_append_printf(s, "  %04x-%04x %s\n", p, p + ports[p]->size - 1,
                                   ports[p]->io.name);
        }
    }
    return g_string_free(g_steal_pointer(&s), false);
}
