/*
 * What firmware does with PCI before it starts a guest, at each reset: numbers of buses,
 * addresses, bridges, interrupt lines.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/pci/pci-private.h"
#include "util/log.h"
#include "util/util.h"

/* Granularity of a bridge's windows (PCI-to-PCI Bridge Architecture 1.2, 3.2.5). */
#define BRIDGE_MEM_UNIT MiB
#define BRIDGE_IO_UNIT (4 * KiB)

typedef struct Setup {
    uint64_t mem, mem_end; /* next free, end */
    uint64_t io, io_end;
    uint8_t last_bus;
    uint8_t (*line_of)(unsigned line);
} Setup;

static bool place(uint64_t *next, uint64_t end, uint64_t size, uint64_t *ret_addr)
{
    uint64_t at = ROUND_UP(*next, size);

    if (at < *next || at > end || size > end - at) {
        return false;
    }
    *ret_addr = at;
    *next = at + size;
    return true;
}

/* A BAR that finds no room keeps no address and answers nowhere. */
static void place_bars(Setup *s, PCIDevice *d)
{
    uint16_t command = pci_get16(d->config + PCI_COMMAND) | PCI_COMMAND_MASTER | PCI_COMMAND_SERR;

    for (unsigned n = 0; n < PCI_NUM_BARS; n++) {
        PCIBar *bar = &d->bars[n];
        bool io = bar->type & PCI_BAR_IO;
        uint64_t at;

        if (!bar->size) {
            continue;
        }
        if (!place(io ? &s->io : &s->mem, io ? s->io_end : s->mem_end, bar->size, &at)) {
            warn_report("PCI: no room for BAR %u of %s", n, d->dev.obj.type->name);
            continue;
        }
        uint8_t *reg = d->config + PCI_BASE_ADDRESS_0 + 4 * n;
        pci_set32(reg, at | bar->type);
        command |= io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    }
    pci_set16(d->config + PCI_COMMAND, command & pci_get16(d->wmask + PCI_COMMAND));
}

static void set_line(Setup *s, PCIDevice *d)
{
    unsigned pin = d->config[PCI_INTERRUPT_PIN];

    if (pin) {
        d->config[PCI_INTERRUPT_LINE] = s->line_of(pci_host_line(d, pin - 1));
    }
}

static void setup_bus(Setup *s, PCIBus *bus);

/* Base and limit in the bridge's units; base above limit is closed. */
static void open_bridge(PCIDevice *d, uint64_t mem, uint64_t mem_end, uint64_t io, uint64_t io_end)
{
    uint8_t *c = d->config;

    pci_set16(c + PCI_MEMORY_BASE, mem < mem_end ? mem >> 16 : 0xfff0);
    pci_set16(c + PCI_MEMORY_LIMIT, mem < mem_end ? (mem_end - 1) >> 16 & 0xfff0 : 0);
    c[PCI_IO_BASE] = (c[PCI_IO_BASE] & 0x0f) | (io < io_end ? io >> 8 & 0xf0 : 0xf0);
    c[PCI_IO_LIMIT] = (c[PCI_IO_LIMIT] & 0x0f) | (io < io_end ? (io_end - 1) >> 8 & 0xf0 : 0);
    pci_set16(c + PCI_PREF_MEMORY_BASE, 0xfff1);
    pci_set16(c + PCI_PREF_MEMORY_LIMIT, 1);
    pci_set32(c + PCI_PREF_BASE_UPPER32, 0);
    pci_set32(c + PCI_PREF_LIMIT_UPPER32, 0);
    pci_set16(c + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                   PCI_COMMAND_SERR);
}

static void setup_bridge(Setup *s, PCIDevice *d)
{
    uint64_t mem = s->mem = ROUND_UP(s->mem, BRIDGE_MEM_UNIT);
    uint64_t io = s->io = ROUND_UP(s->io, BRIDGE_IO_UNIT);

    d->config[PCI_PRIMARY_BUS] = pci_bus_number(d->bus);
    d->config[PCI_SECONDARY_BUS] = ++s->last_bus;
    setup_bus(s, d->secondary);
    d->config[PCI_SUBORDINATE_BUS] = s->last_bus;
    s->mem = ROUND_UP(s->mem, BRIDGE_MEM_UNIT);
    s->io = ROUND_UP(s->io, BRIDGE_IO_UNIT);
    open_bridge(d, mem, MIN(s->mem, s->mem_end), io, MIN(s->io, s->io_end));
}

static void setup_bus(Setup *s, PCIBus *bus)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        PCIDevice *d = pci_bus_device(bus, devfn);

        if (d) {
            place_bars(s, d);
            set_line(s, d);
        }
        if (d && d->secondary) {
            setup_bridge(s, d);
        }
    }
}

void pci_setup(PCIBus *root, uint8_t (*line_of)(unsigned line))
{
    const PCIWindows *w = root->windows;
    Setup s = { .mem = w->bar_start, .mem_end = w->mem_end, .io = w->io_start, .io_end = 0x10000,
                .line_of = line_of };

    setup_bus(&s, root);
}
