/*
 * What the CPUs see of PCI: configuration ports and memory, and accesses to BARs.
 * Machine lock.
 *
 * BARs have no entries in the map of memory and ports: a guest moves them as it likes, onto
 * each other or onto other devices, and may do so for ever.  Windows of memory, and all
 * ports that nobody else has, come here and are looked up in what the devices say.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/pci/pci-private.h"
#include "trace/hw.h"
#include "util/util.h"

#define CONFIG_ADDRESS_PORT 0xcf8
#define CONFIG_DATA_PORT 0xcfc
#define CONFIG_ENABLE 0x80000000u

uint32_t pci_config_address;
static struct {
    uint64_t addr, size; /* size 0: off */
} ecam;

/* Configuration space. */

static PCIDevice *find_device(unsigned bus_number, unsigned devfn)
{
    PCIBus *bus = pci_bus_by_number(pci_root_bus(), bus_number);

    return bus ? pci_bus_device(bus, devfn) : NULL;
}

static uint32_t config_read(unsigned bus, unsigned devfn, unsigned addr, unsigned size)
{
    PCIDevice *d = find_device(bus, devfn);
    uint32_t value = d ? pci_config_read(d, addr, size) : ~0u >> (32 - 8 * size);

    trace_pci_config_read(bus, PCI_SLOT(devfn), PCI_FUNC(devfn), addr, value);
    return value;
}

static void config_write(unsigned bus, unsigned devfn, unsigned addr, uint32_t value,
                         unsigned size)
{
    PCIDevice *d = find_device(bus, devfn);

    trace_pci_config_write(bus, PCI_SLOT(devfn), PCI_FUNC(devfn), addr, value);
    if (d) {
        pci_config_write(d, addr, value, size);
    }
}

static uint64_t address_read(void *opaque, uint64_t offset, unsigned size)
{
    return pci_config_address;
}

static void address_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    pci_config_address = value;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    if (!(pci_config_address & CONFIG_ENABLE)) {
        return ~0ULL;
    }
    return config_read(pci_config_address >> 16 & 0xff, pci_config_address >> 8 & 0xff,
                       (pci_config_address & 0xfc) + offset, size);
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    if (pci_config_address & CONFIG_ENABLE) {
        config_write(pci_config_address >> 16 & 0xff, pci_config_address >> 8 & 0xff,
                     (pci_config_address & 0xfc) + offset, value, size);
    }
}

static const IORegionOps address_ops = { address_read, address_write, 4, 4 };
static const IORegionOps data_ops = { data_read, data_write, 1, 4 };

/* BARs. */

/* Does a bridge pass the address on?  Base and limit are whole units of 1 << shift. */
static bool bridge_forwards(const PCIDevice *d, bool io, uint64_t addr)
{
    const uint8_t *c = d->config;
    uint16_t command = pci_get16(c + PCI_COMMAND);

    if (io) {
        uint64_t base = (c[PCI_IO_BASE] & 0xf0) << 8, limit = (c[PCI_IO_LIMIT] & 0xf0) << 8 | 0xfff;

        return (command & PCI_COMMAND_IO) && addr >= base && addr <= limit;
    }
    if (!(command & PCI_COMMAND_MEMORY)) {
        return false;
    }
    uint64_t base = (uint64_t)(pci_get16(c + PCI_MEMORY_BASE) & 0xfff0) << 16;
    uint64_t limit = (uint64_t)(pci_get16(c + PCI_MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff;
    if (addr >= base && addr <= limit) {
        return true;
    }
    base = (uint64_t)(pci_get16(c + PCI_PREF_MEMORY_BASE) & 0xfff0) << 16 |
           (uint64_t)pci_get32(c + PCI_PREF_BASE_UPPER32) << 32;
    limit = (uint64_t)(pci_get16(c + PCI_PREF_MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff |
            (uint64_t)pci_get32(c + PCI_PREF_LIMIT_UPPER32) << 32;
    return addr >= base && addr <= limit;
}

static PCIBar *find_in_device(PCIDevice *d, bool io, uint64_t addr, unsigned size,
                              uint64_t *ret_offset)
{
    for (unsigned n = 0; n < PCI_NUM_BARS; n++) {
        PCIBar *bar = &d->bars[n];
        uint64_t at;

        if (!!(bar->type & PCI_BAR_IO) == io && pci_bar_address(d, n, &at) && addr >= at &&
            addr - at < bar->size && size <= bar->size - (addr - at)) {
            *ret_offset = addr - at;
            return bar;
        }
    }
    return NULL;
}

PCIBar *pci_find_bar(PCIBus *bus, bool io, uint64_t addr, unsigned size, uint64_t *ret_offset)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        PCIDevice *d = pci_bus_device(bus, devfn);
        PCIBar *bar = d ? find_in_device(d, io, addr, size, ret_offset) : NULL;

        if (!bar && d && d->secondary && bridge_forwards(d, io, addr)) {
            bar = pci_find_bar(d->secondary, io, addr, size, ret_offset);
        }
        if (bar) {
            return bar;
        }
    }
    return NULL;
}

static bool in_ecam(uint64_t addr)
{
    return addr >= ecam.addr && addr - ecam.addr < ecam.size;
}

/* ECAM: bus 27:20, device 19:15, function 14:12, register 11:0. */
static uint64_t ecam_read(uint64_t offset, unsigned size)
{
    if (size > 4) {
        return ecam_read(offset, 4) | ecam_read(offset + 4, 4) << 32;
    }
    return config_read(offset >> 20 & 0xff, offset >> 12 & 0xff, offset & 0xfff, size);
}

static void ecam_write(uint64_t offset, uint64_t value, unsigned size)
{
    if (size > 4) {
        ecam_write(offset, value & 0xffffffff, 4);
        ecam_write(offset + 4, value >> 32, 4);
        return;
    }
    config_write(offset >> 20 & 0xff, offset >> 12 & 0xff, offset & 0xfff, value, size);
}

/* opaque is the window's first address. */
static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t addr = *(uint64_t *)opaque + offset, at;

    if (in_ecam(addr)) {
        return ecam_read(addr - ecam.addr, size);
    }
    PCIBar *bar = pci_find_bar(pci_root_bus(), /* io= */ false, addr, size, &at);
    return bar ? io_region_read(bar->ops, bar->opaque, at, size) : ~0ULL;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    uint64_t addr = *(uint64_t *)opaque + offset, at;

    if (in_ecam(addr)) {
        ecam_write(addr - ecam.addr, value, size);
        return;
    }
    PCIBar *bar = pci_find_bar(pci_root_bus(), /* io= */ false, addr, size, &at);
    if (bar) {
        io_region_write(bar->ops, bar->opaque, at, value, size);
    }
}

static const IORegionOps window_ops = { window_read, window_write, 1, 8 };

static bool port_read(void *opaque, uint16_t port, unsigned size, uint32_t *ret_value)
{
    uint64_t at;
    PCIBar *bar = pci_find_bar(opaque, /* io= */ true, port, size, &at);

    if (bar) {
        *ret_value = io_region_read(bar->ops, bar->opaque, at, size);
    }
    return bar != NULL;
}

static bool port_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    uint64_t at;
    PCIBar *bar = pci_find_bar(opaque, /* io= */ true, port, size, &at);

    if (bar) {
        io_region_write(bar->ops, bar->opaque, at, value, size);
    }
    return bar != NULL;
}

void pci_host_set_ecam(uint64_t addr, uint64_t size)
{
    ecam.addr = addr;
    ecam.size = addr ? size : 0;
}

void pci_host_init(PCIBus *root, const PCIWindows *w)
{
    IOPortBackground background = { port_read, port_write, root };
    PCIWindows *own = g_memdup2(w, sizeof(*w)); /* lives as long as the machine */

    root->windows = own;
    ioport_map_dword(CONFIG_ADDRESS_PORT, "pci-conf-idx", &address_ops, NULL);
    ioport_map(CONFIG_DATA_PORT, 4, "pci-conf-data", &data_ops, NULL);
    ioport_set_background(&background);
    memory_map_io(own->mem_start, own->mem_end - own->mem_start, "pci-memory", &window_ops,
                  &own->mem_start);
    memory_map_io(own->mem64_start, own->mem64_end - own->mem64_start, "pci-memory-64",
                  &window_ops, &own->mem64_start);
}
