/*
 * QMP and HMP queries about PCI.  Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>

#include "hw/pci/pci-private.h"
#include "monitor/hmp.h"
#include "qapi/qapi-commands.h"

static GPtrArray *devices_of(const PCIBus *bus);

static PciMemoryRange *range(uint64_t base, uint64_t limit)
{
    PciMemoryRange *r = g_new0(PciMemoryRange, 1);

    r->base = base;
    r->limit = limit;
    return r;
}

static PciBridgeInfo *bridge_info(const PCIDevice *d)
{
    PciBridgeInfo *info = g_new0(PciBridgeInfo, 1);
    PciBusInfo *bus = g_new0(PciBusInfo, 1);
    const uint8_t *c = d->config;

    bus->number = c[PCI_PRIMARY_BUS];
    bus->secondary = c[PCI_SECONDARY_BUS];
    bus->subordinate = c[PCI_SUBORDINATE_BUS];
    bus->io_range = range((c[PCI_IO_BASE] & 0xf0) << 8, (c[PCI_IO_LIMIT] & 0xf0) << 8 | 0xfff);
    bus->memory_range =
        range((uint64_t)(pci_get16(c + PCI_MEMORY_BASE) & 0xfff0) << 16,
              (uint64_t)(pci_get16(c + PCI_MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff);
    bus->prefetchable_range =
        range((uint64_t)(pci_get16(c + PCI_PREF_MEMORY_BASE) & 0xfff0) << 16 |
                  (uint64_t)pci_get32(c + PCI_PREF_BASE_UPPER32) << 32,
              (uint64_t)(pci_get16(c + PCI_PREF_MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff |
                  (uint64_t)pci_get32(c + PCI_PREF_LIMIT_UPPER32) << 32);
    info->bus = bus;
    info->devices = devices_of(d->secondary);
    return info;
}

static PciMemoryRegion *region_info(const PCIDevice *d, unsigned n)
{
    const PCIBar *bar = &d->bars[n];
    PciMemoryRegion *r = g_new0(PciMemoryRegion, 1);
    uint64_t addr;

    r->bar = n;
    r->size = bar->size;
    r->address = pci_bar_address(d, n, &addr) ? (int64_t)addr : -1;
    r->type = g_strdup(bar->type & PCI_BAR_IO ? "io" : "memory");
    if (!(bar->type & PCI_BAR_IO)) {
        r->has_prefetch = r->has_mem_type_64 = true;
        r->prefetch = bar->type & PCI_BAR_PREFETCH;
        r->mem_type_64 = bar->type & PCI_BAR_64;
    }
    return r;
}

static PciDeviceInfo *device_info(const PCIDevice *d)
{
    PciDeviceInfo *info = g_new0(PciDeviceInfo, 1);
    const uint8_t *c = d->config;

    info->bus = pci_bus_number(d->bus);
    info->slot = PCI_SLOT(d->devfn);
    info->function = PCI_FUNC(d->devfn);
    info->class_info = g_new0(PciDeviceClass, 1);
    info->class_info->class = pci_get16(c + PCI_CLASS_DEVICE);
    info->class_info->desc = g_strdup(pci_device_class(d)->parent.desc);
    info->id = g_new0(PciDeviceId, 1);
    info->id->vendor = pci_get16(c + PCI_VENDOR_ID);
    info->id->device = pci_get16(c + PCI_DEVICE_ID);
    if (!d->secondary) {
        info->id->has_subsystem = info->id->has_subsystem_vendor = true;
        info->id->subsystem = pci_get16(c + PCI_SUBSYSTEM_ID);
        info->id->subsystem_vendor = pci_get16(c + PCI_SUBSYSTEM_VENDOR_ID);
    } else {
        info->pci_bridge = bridge_info(d);
    }
    info->irq_pin = c[PCI_INTERRUPT_PIN];
    info->has_irq = info->irq_pin != 0;
    info->irq = c[PCI_INTERRUPT_LINE];
    info->qdev_id = g_strdup(d->dev.id ? d->dev.id : "");
    info->regions = pci_memory_region_list_new();
    for (unsigned n = 0; n < PCI_NUM_BARS; n++) {
        if (d->bars[n].size) {
            g_ptr_array_add(info->regions, region_info(d, n));
        }
    }
    return info;
}

static GPtrArray *devices_of(const PCIBus *bus)
{
    GPtrArray *list = pci_device_info_list_new();

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        PCIDevice *d = pci_bus_device(bus, devfn);

        if (d) {
            g_ptr_array_add(list, device_info(d));
        }
    }
    return list;
}

GPtrArray *qmp_query_pci(Error **errp)
{
    GPtrArray *list = pci_info_list_new();

    if (pci_root_bus()) {
        PciInfo *info = g_new0(PciInfo, 1);

        info->bus = 0;
        info->devices = devices_of(pci_root_bus());
        g_ptr_array_add(list, info);
    }
    return list;
}

static void show_range(HmpSession *s, const char *what, const PciMemoryRange *r)
{
    hmp_printf(s, "      %s range [0x%04" PRIx64 ", 0x%04" PRIx64 "]\n", what, r->base, r->limit);
}

static void show_device(HmpSession *s, const PciDeviceInfo *d)
{
    hmp_printf(s, "  Bus %2" PRId64 ", device %3" PRId64 ", function %" PRId64 ":\n", d->bus,
               d->slot, d->function);
    hmp_printf(s, "    %s: PCI device %04" PRIx64 ":%04" PRIx64 "\n", d->class_info->desc,
               d->id->vendor, d->id->device);
    if (d->id->has_subsystem) {
        hmp_printf(s, "      PCI subsystem %04" PRIx64 ":%04" PRIx64 "\n",
                   d->id->subsystem_vendor, d->id->subsystem);
    }
    if (d->has_irq) {
        hmp_printf(s, "      IRQ %" PRId64 ", pin %c\n", d->irq, (char)('A' + d->irq_pin - 1));
    }
    if (d->pci_bridge) {
        const PciBusInfo *b = d->pci_bridge->bus;

        hmp_printf(s, "      BUS %" PRId64 ".\n      secondary bus %" PRId64
                   ".\n      subordinate bus %" PRId64 ".\n", b->number, b->secondary,
                   b->subordinate);
        show_range(s, "IO", b->io_range);
        show_range(s, "memory", b->memory_range);
        show_range(s, "prefetchable memory", b->prefetchable_range);
    }
    for (guint i = 0; i < d->regions->len; i++) {
        const PciMemoryRegion *r = g_ptr_array_index(d->regions, i);

        hmp_printf(s, "      BAR%" PRId64 ": %s%s at 0x%" PRIx64 " [0x%" PRIx64 "].\n", r->bar,
                   *r->type == 'i' ? "I/O" : r->mem_type_64 ? "64 bit" : "32 bit",
                   *r->type == 'i' ? "" : r->prefetch ? " prefetchable memory" : " memory",
                   r->address, r->address + r->size - 1);
    }
    hmp_printf(s, "      id \"%s\"\n", d->qdev_id);
    for (guint i = 0; d->pci_bridge && i < d->pci_bridge->devices->len; i++) {
        show_device(s, g_ptr_array_index(d->pci_bridge->devices, i));
    }
}

static void info_pci(HmpSession *s, JsonObject *args)
{
    g_autoptr(GPtrArray) list = qmp_query_pci(NULL);

    if (!list->len) {
        hmp_puts(s, "No PCI buses\n");
    }
    for (guint i = 0; i < list->len; i++) {
        const PciInfo *info = g_ptr_array_index(list, i);

        for (guint j = 0; j < info->devices->len; j++) {
            show_device(s, g_ptr_array_index(info->devices, j));
        }
    }
}

static const HmpCommand pci_info[] = {
    { "pci", "", "", "PCI devices", info_pci },
    { NULL },
};
HMP_INFO(pci_info)
