/*
 * PCI devices and buses: slots, configuration space, capabilities, BARs, INTx.
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/pci/pci.h"

#include <inttypes.h>
#include <string.h>

#include "hw/pci/pci-private.h"
#include "trace/hw.h"
#include "util/util.h"

static PCIBus *root_bus;

uint16_t pci_get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

uint32_t pci_get32(const uint8_t *p)
{
    return pci_get16(p) | (uint32_t)pci_get16(p + 2) << 16;
}

uint64_t pci_get64(const uint8_t *p)
{
    return pci_get32(p) | (uint64_t)pci_get32(p + 4) << 32;
}

void pci_set16(uint8_t *p, uint16_t v)
{
    p[0] = v;
    p[1] = v >> 8;
}

void pci_set32(uint8_t *p, uint32_t v)
{
    pci_set16(p, v);
    pci_set16(p + 2, v >> 16);
}

void pci_set64(uint8_t *p, uint64_t v)
{
    pci_set32(p, v);
    pci_set32(p + 4, v >> 32);
}

/* Buses. */

/* "0000:00:02.0", behind bridges the slots on the way down; names saved state. */
static char *dev_path(const DeviceState *dev)
{
    const PCIDevice *d = (const PCIDevice *)dev;
    g_autofree char *slots = g_strdup("");

    for (const PCIDevice *at = d; at; at = at->bus->parent) {
        char *longer = g_strdup_printf(":%02x.%x%s", PCI_SLOT(at->devfn), PCI_FUNC(at->devfn),
                                       slots);
        g_free(slots);
        slots = longer;
    }
    return g_strconcat("0000:00", slots, NULL);
}

static PCIBus *bus_make(const char *name, bool express)
{
    PCIBus *bus = g_new0(PCIBus, 1);

    bus->bus = bus_new("PCI", name);
    bus->bus->opaque = bus;
    bus->bus->dev_path = dev_path;
    bus->express = express;
    return bus;
}

PCIBus *pci_root_bus_new(const char *name, bool express, const PCIHostOps *ops, void *opaque)
{
    PCIBus *bus = bus_make(name, express);

    g_assert(!root_bus && ops->n_irqs <= PCI_MAX_LINES);
    bus->ops = ops;
    bus->opaque = opaque;
    root_bus = bus;
    pci_bus_register_state(bus);
    return bus;
}

PCIBus *pci_secondary_bus_new(PCIDevice *bridge, const char *name)
{
    PCIBus *bus = bus_make(name, /* express= */ true);

    bus->parent = bridge;
    bus->bus->parent = &bridge->dev;
    bridge->secondary = bus;
    pci_bus_register_state(bus);
    return bus;
}

PCIBus *pci_root_bus(void)
{
    return root_bus;
}

PCIDevice *pci_bus_device(const PCIBus *bus, unsigned devfn)
{
    return bus->devices[devfn & 0xff];
}

PCIDevice *pci_bus_parent(const PCIBus *bus)
{
    return bus->parent;
}

bool pci_bus_is_express(const PCIBus *bus)
{
    return bus->express;
}

unsigned pci_bus_number(const PCIBus *bus)
{
    return bus->parent ? bus->parent->config[PCI_SECONDARY_BUS] : 0;
}

PCIBus *pci_bus_by_number(PCIBus *bus, unsigned number)
{
    if (pci_bus_number(bus) == number && (number || !bus->parent)) {
        return bus;
    }
    for (unsigned i = 0; i < 256; i++) {
        PCIDevice *d = bus->devices[i];

        if (d && d->secondary && number >= d->config[PCI_SECONDARY_BUS] &&
            number <= d->config[PCI_SUBORDINATE_BUS]) {
            PCIBus *found = pci_bus_by_number(d->secondary, number);

            if (found) {
                return found;
            }
        }
    }
    return NULL;
}

/* Interrupt pins. */

/* A bridge passes pins on, turned by the slot; the root bus has the host's lines. */
unsigned pci_host_line(const PCIDevice *d, unsigned pin)
{
    for (; d->bus->parent; d = d->bus->parent) {
        pin = (pin + PCI_SLOT(d->devfn)) % PCI_NUM_PINS;
    }
    return root_bus->ops->map_irq(d->devfn, pin);
}

/* One device more or less asserts the line behind the pin. */
static void line_changed(PCIDevice *d, unsigned pin, int change)
{
    unsigned line = pci_host_line(d, pin);
    bool before = root_bus->irq_count[line] != 0;

    root_bus->irq_count[line] += change;
    bool after = root_bus->irq_count[line] != 0;
    if (before != after) {
        trace_pci_line(line, after);
        root_bus->ops->set_irq(root_bus->opaque, line, after);
    }
}

bool pci_root_irq_level(unsigned line)
{
    return root_bus->irq_count[line] != 0;
}

static bool intx_disabled(const PCIDevice *d)
{
    return pci_get16(d->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
}

/* irq_state is what the device says; the wire carries it unless the guest disabled it. */
void pci_set_irq(PCIDevice *d, int level)
{
    unsigned pin = d->config[PCI_INTERRUPT_PIN] - 1u;

    g_assert(pin < PCI_NUM_PINS);
    if (!!(d->irq_state & 1u << pin) == !!level) {
        return;
    }
    d->irq_state ^= 1u << pin;
    if (level) {
        d->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    } else {
        d->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    }
    if (!intx_disabled(d)) {
        line_changed(d, pin, level ? 1 : -1);
    }
}

/* The guest switched PCI_COMMAND_INTX_DISABLE. */
static void intx_switch(PCIDevice *d, bool was_disabled)
{
    bool disabled = intx_disabled(d);

    for (unsigned pin = 0; disabled != was_disabled && pin < PCI_NUM_PINS; pin++) {
        if (d->irq_state & 1u << pin) {
            line_changed(d, pin, disabled ? -1 : 1);
        }
    }
}

void pci_load_irq_state(PCIDevice *d, uint32_t state, bool was_disabled)
{
    for (unsigned pin = 0; pin < PCI_NUM_PINS; pin++) {
        bool before = (d->irq_state & 1u << pin) && !was_disabled;
        bool after = (state & 1u << pin) && !intx_disabled(d);

        if (before != after) {
            line_changed(d, pin, after ? 1 : -1);
        }
    }
    d->irq_state = state;
    if (state) {
        d->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    } else {
        d->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    }
}

/* Configuration space. */

uint32_t pci_config_read(PCIDevice *d, unsigned addr, unsigned size)
{
    const PCIDeviceClass *pc = pci_device_class(d);
    uint32_t value = 0;

    if (addr + size > pci_config_size(d)) {
        return ~0u >> (32 - 8 * size);
    }
    if (pc->config_reading) {
        pc->config_reading(d, addr, size);
    }
    memcpy(&value, d->config + addr, size);
    return GUINT32_FROM_LE(value);
}

void pci_config_write(PCIDevice *d, unsigned addr, uint32_t value, unsigned size)
{
    const PCIDeviceClass *pc = pci_device_class(d);
    bool was_disabled = intx_disabled(d);

    if (addr + size > pci_config_size(d)) {
        return;
    }
    for (unsigned i = 0; i < size; i++, value >>= 8) {
        uint8_t *byte = &d->config[addr + i];
        uint8_t mask = d->wmask[addr + i];

        *byte = (*byte & ~mask) | (value & mask);
        *byte &= ~(value & d->w1cmask[addr + i]);
    }
    intx_switch(d, was_disabled);
    msix_config_written(d, addr, size);
    if (pc->config_written) {
        pc->config_written(d, addr, size);
    }
}

static void claim(PCIDevice *d, unsigned offset, unsigned size)
{
    memset(d->used + offset, 0xff, size);
    memset(d->wmask + offset, 0, size);
    memset(d->cmask + offset, 0xff, size);
}

/* First free place, on a dword. */
static unsigned find_space(const PCIDevice *d, unsigned size)
{
    unsigned run = 0;

    for (unsigned at = 0x40; at < PCI_CONFIG_SIZE; at++) {
        run = d->used[at] ? 0 : run + 1;
        if (run == ROUND_UP(size, 4u)) {
            return at + 1 - run;
        }
        if (d->used[at]) {
            at |= 3;
        }
    }
    g_assert_not_reached();
}

unsigned pci_add_capability(PCIDevice *d, uint8_t id, unsigned size)
{
    unsigned at = find_space(d, size);

    claim(d, at, size);
    d->config[at] = id;
    d->config[at + 1] = d->config[PCI_CAPABILITY_LIST];
    d->config[PCI_CAPABILITY_LIST] = at;
    d->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    return at;
}

unsigned pci_find_capability(const PCIDevice *d, uint8_t id)
{
    unsigned at = d->config[PCI_CAPABILITY_LIST];

    while (at && d->config[at] != id) {
        at = d->config[at + 1];
    }
    return at;
}

unsigned pci_add_express(PCIDevice *d, uint8_t port_type, uint8_t port)
{
    unsigned at = pci_add_capability(d, PCI_CAP_ID_EXPRESS, 0x3c);
    uint8_t *p = d->config + at;
    bool slot = port_type == PCI_EXP_TYPE_ROOT_PORT;

    pci_set16(p + 2, 2 | port_type << 4 | slot << 8);
    pci_set32(p + 4, 1 << 15);                               /* role-based error reporting */
    pci_set32(p + 12, 1 | 1 << 4 | 1 << 10 | (uint32_t)port << 24); /* 2.5 GT/s, x1 */
    pci_set16(p + 18, 1 | 1 << 4);                           /* the same, negotiated */
    if (slot) {
        pci_set32(p + 20, 1u << 18 | 1u << 17 | (uint32_t)port << 19); /* no hotplug */
        pci_set16(p + 26, 1 << 6);                           /* a card is there */
    }
    pci_set16(d->wmask + at + 8, 0x000f);                    /* error reporting switches */
    return at;
}

void pci_add_bar(PCIDevice *d, unsigned n, uint8_t type, uint64_t size, const IORegionOps *ops,
                 void *opaque)
{
    unsigned at = PCI_BASE_ADDRESS_0 + 4 * n;

    g_assert(n < PCI_NUM_BARS && size >= 16 && !(size & (size - 1)) && !d->bars[n].size);
    d->bars[n] = (PCIBar){ size, type, ops, opaque };
    pci_set32(d->config + at, type);
    if (type & PCI_BAR_64) {
        pci_set64(d->wmask + at, ~(size - 1));
        pci_set64(d->cmask + at, 0xf);
    } else {
        pci_set32(d->wmask + at, ~(size - 1));
        pci_set32(d->cmask + at, type & PCI_BAR_IO ? 3 : 0xf);
    }
}

bool pci_bar_address(const PCIDevice *d, unsigned n, uint64_t *ret_addr)
{
    const PCIBar *bar = &d->bars[n];
    const uint8_t *reg = d->config + PCI_BASE_ADDRESS_0 + 4 * n;
    uint16_t command = pci_get16(d->config + PCI_COMMAND);
    bool io = bar->type & PCI_BAR_IO;

    if (!bar->size || !(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY))) {
        return false;
    }
    *ret_addr = (bar->type & PCI_BAR_64 ? pci_get64(reg) : pci_get32(reg)) & ~(bar->size - 1);
    return *ret_addr != 0;
}

bool pci_bus_master(const PCIDevice *d)
{
    return pci_get16(d->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* Life. */

static void config_init(PCIDevice *d)
{
    const PCIDeviceClass *pc = pci_device_class(d);
    unsigned size = pci_config_size(d);
    bool common = !pc->subsystem_vendor_id && !pc->subsystem_id;

    d->config = g_malloc0(size);
    d->wmask = g_malloc0(size);
    d->w1cmask = g_malloc0(size);
    d->cmask = g_malloc0(size);
    d->used = g_malloc0(size);
    pci_set16(d->config + PCI_VENDOR_ID, pc->vendor_id);
    pci_set16(d->config + PCI_DEVICE_ID, pc->device_id);
    pci_set16(d->config + PCI_CLASS_DEVICE, pc->class_id);
    d->config[PCI_REVISION_ID] = pc->revision;
    d->config[PCI_HEADER_TYPE] = (pc->bridge ? PCI_HEADER_TYPE_BRIDGE : 0) |
                                 (d->multifunction ? PCI_HEADER_TYPE_MULTI : 0);
    if (!pc->bridge) {
        pci_set16(d->config + PCI_SUBSYSTEM_VENDOR_ID,
                  common ? PCI_VENDOR_ID_VIRTIO : pc->subsystem_vendor_id);
        pci_set16(d->config + PCI_SUBSYSTEM_ID, common ? PCI_SUBDEVICE_ID_COMMON
                                                       : pc->subsystem_id);
    }
    memset(d->cmask, 0xff, 4);
    memset(d->cmask + PCI_REVISION_ID, 0xff, 4);
    d->cmask[PCI_HEADER_TYPE] = 0xff;
    d->cmask[PCI_CAPABILITY_LIST] = 0xff;
    d->cmask[PCI_STATUS] = PCI_STATUS_CAP_LIST;
    pci_set16(d->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                          PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
    pci_set16(d->w1cmask + PCI_STATUS, PCI_STATUS_W1C);
    d->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
    d->wmask[PCI_INTERRUPT_LINE] = 0xff;
    memset(d->wmask + 0x40, 0xff, PCI_CONFIG_SIZE - 0x40);
}

static void config_free(PCIDevice *d)
{
    g_clear_pointer(&d->config, g_free);
    g_clear_pointer(&d->wmask, g_free);
    g_clear_pointer(&d->w1cmask, g_free);
    g_clear_pointer(&d->cmask, g_free);
    g_clear_pointer(&d->used, g_free);
}

/* "SLOT" or "SLOT.FUNCTION", hexadecimal with or without 0x. */
static bool parse_addr(PCIDevice *d, Error **errp)
{
    char *end;
    uint64_t slot = g_ascii_strtoull(d->addr, &end, 16), func = 0;
    bool ok = end != d->addr;

    if (ok && *end == '.') {
        const char *text = end + 1;

        func = g_ascii_strtoull(text, &end, 16);
        ok = end != text;
    }
    if (!ok || *end || slot > 31 || func > 7) {
        error_setg(errp, "%s: addr '%s' is not SLOT or SLOT.FUNCTION (00 to 1f, 0 to 7)",
                   d->dev.obj.type->name, d->addr);
        return false;
    }
    d->devfn = PCI_DEVFN(slot, func);
    return true;
}

static bool choose_slot(PCIDevice *d, Error **errp)
{
    PCIBus *bus = d->bus;
    const char *type = d->dev.obj.type->name;

    if (d->addr && !parse_addr(d, errp)) {
        return false;
    }
    for (unsigned slot = 0; d->devfn == PCI_DEVFN_AUTO && slot < 32; slot++) {
        if (!bus->devices[PCI_DEVFN(slot, 0)]) {
            d->devfn = PCI_DEVFN(slot, 0);
        }
    }
    if (d->devfn == PCI_DEVFN_AUTO) {
        error_setg(errp, "PCI: no slot/function available for %s, all in use or reserved", type);
        return false;
    }
    if (bus->parent && PCI_SLOT(d->devfn)) {
        error_setg(errp, "PCI: slot %d of bus '%s' cannot be: there is only slot 0 behind a port",
                   PCI_SLOT(d->devfn), bus->bus->name);
        return false;
    }
    if (bus->devices[d->devfn]) {
        error_setg(errp, "PCI: slot %d function %d not available for %s, in use by %s",
                   PCI_SLOT(d->devfn), PCI_FUNC(d->devfn), type,
                   bus->devices[d->devfn]->dev.obj.type->name);
        return false;
    }
    PCIDevice *first = bus->devices[d->devfn & ~7];
    if (PCI_FUNC(d->devfn) && first && !first->multifunction) {
        error_setg(errp, "PCI: %x.0 indicates single function, but %x.%x is already populated.",
                   PCI_SLOT(d->devfn), PCI_SLOT(d->devfn), PCI_FUNC(d->devfn));
        return false;
    }
    return true;
}

bool pci_device_realize(DeviceState *dev, Error **errp)
{
    PCIDevice *d = (PCIDevice *)dev;
    const PCIDeviceClass *pc = pci_device_class(d);

    if (!dev->bus) {
        error_setg(errp, "No 'PCI' bus found for device '%s'", dev->obj.type->name);
        return false;
    }
    d->bus = dev->bus->opaque;
    d->version_id = 2;
    if (!choose_slot(d, errp)) {
        return false;
    }
    config_init(d);
    if (pc->realize && !pc->realize(d, errp)) {
        msix_free(d);
        config_free(d);
        return false;
    }
    d->bus->devices[d->devfn] = d;
    return true;
}

void pci_device_unrealize(DeviceState *dev)
{
    PCIDevice *d = (PCIDevice *)dev;
    const PCIDeviceClass *pc = pci_device_class(d);

    if (pc->unrealize) {
        pc->unrealize(d);
    }
    pci_load_irq_state(d, 0, intx_disabled(d));
    d->bus->devices[d->devfn] = NULL;
    msix_free(d);
    config_free(d);
}

/* What the guest may change goes back to zero; BARs keep their type. */
void pci_device_reset(DeviceState *dev)
{
    PCIDevice *d = (PCIDevice *)dev;
    const PCIDeviceClass *pc = pci_device_class(d);

    pci_load_irq_state(d, 0, intx_disabled(d));
    for (unsigned i = 0; i < 0x40; i++) {
        d->config[i] &= ~(d->wmask[i] | d->w1cmask[i]);
    }
    msix_reset(d);
    if (pc->reset) {
        pc->reset(d);
    }
}

static void pci_init(Object *obj)
{
    ((PCIDevice *)obj)->devfn = PCI_DEVFN_AUTO;
}

static void pci_finalize(Object *obj)
{
    config_free((PCIDevice *)obj);
}

static const PropertyInfo pci_props[] = {
    { .name = "addr", .kind = PROP_STRING, .offset = offsetof(PCIDevice, addr),
      .type_name = "str", .description = "Slot and optional function number, example: 06.0 or 06" },
    { .name = "multifunction", .kind = PROP_BOOL, .offset = offsetof(PCIDevice, multifunction),
      .description = "on/off" },
    { .name = NULL },
};

static const TypeInfo pci_type = {
    .name = TYPE_PCI_DEVICE,
    .parent = TYPE_DEVICE,
    .abstract = true,
    .instance_size = sizeof(PCIDevice),
    .props = pci_props,
    .init = pci_init,
    .finalize = pci_finalize,
};
TYPE_REGISTER(pci_type)
