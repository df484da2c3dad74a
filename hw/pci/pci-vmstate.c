/*
 * Saved state of PCI devices and of the bus.  Machine lock.
 *
 * Layouts as observed on the wire: a device is the version, its configuration space and
 * the levels of four pins; the bus is the number of lines and how many devices assert each.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/pci/pci-private.h"
#include "util/util.h"

static bool load_config(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    PCIDevice *d = pv;
    bool was_disabled = pci_get16(d->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
    g_autofree uint8_t *there = g_malloc(size);

    if (!stream_get_bytes(s, there, size)) {
        stream_error(s, errp);
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if ((there[i] ^ d->config[i]) & d->cmask[i] & ~d->wmask[i] & ~d->w1cmask[i]) {
            error_setg(errp, "configuration byte 0x%zx: the stream has 0x%02x, this device 0x%02x",
                       i, there[i], d->config[i]);
            return false;
        }
    }
    pci_load_irq_state(d, 0, was_disabled);
    memcpy(d->config, there, size);
    return true;
}

/* The interrupt bit of the status is implied by the pins, which are saved. */
static void save_config(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    const PCIDevice *d = pv;
    g_autofree uint8_t *copy = g_memdup2(d->config, size);

    copy[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    stream_put_bytes(s, copy, size);
}

static bool load_pins(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    PCIDevice *d = pv;
    uint32_t state = 0;

    for (unsigned pin = 0; pin < PCI_NUM_PINS; pin++) {
        uint32_t level = stream_get_be32(s);

        if (level > 1) {
            error_setg(errp, "pin %u has level %u", pin, level);
            return false;
        }
        state |= level << pin;
    }
    if (stream_error(s, errp)) {
        return false;
    }
    pci_load_irq_state(d, state, /* was_disabled= */ true);
    return true;
}

static void save_pins(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    const PCIDevice *d = pv;

    for (unsigned pin = 0; pin < PCI_NUM_PINS; pin++) {
        stream_put_be32(s, d->irq_state >> pin & 1);
    }
}

static const VMStateInfo info_config = { "pci config", load_config, save_config };
static const VMStateInfo info_pins = { "pci irq state", load_pins, save_pins };

static bool is_express(void *opaque, int version_id)
{
    return ((PCIDevice *)opaque)->express;
}

static bool is_conventional(void *opaque, int version_id)
{
    return !((PCIDevice *)opaque)->express;
}

const VMStateDescription vmstate_pci_device = {
    .name = "PCIDevice",
    .version_id = 2,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_SINGLE_FULL(version_id, PCIDevice, NULL, 0, vmstate_info_int32_le, int32_t),
        { .name = "config", .info = &info_config, .size = PCI_CONFIG_SIZE,
          .field_exists = is_conventional },
        { .name = "config", .info = &info_config, .size = PCIE_CONFIG_SIZE,
          .field_exists = is_express },
        { .name = "irq_state", .info = &info_pins, .size = PCI_NUM_PINS * sizeof(int32_t),
          .version_id = 2 },
        VMSTATE_END_OF_LIST(),
    },
};

/* What devices assert is their own state; the counts are sent because peers want them. */
static bool bus_pre_save(void *opaque, Error **errp)
{
    PCIBus *bus = opaque;

    for (unsigned i = 0; i < PCI_MAX_LINES; i++) {
        bus->saved_count[i] = bus->irq_count[i];
    }
    return true;
}

static const VMStateDescription vmstate_bus = {
    .name = "PCIBUS",
    .version_id = 1,
    .minimum_version_id = 1,
    .priority = MIG_PRI_PCI_BUS,
    .pre_save = bus_pre_save,
    .fields = (const VMStateField[]){
        { .name = "nirq", .info = &vmstate_info_int32_equal, .size = sizeof(int32_t),
          .offset = vmstate_offset(PCIBus, saved_lines, int32_t) },
        VMSTATE_VARRAY_FULL(saved_count, PCIBus, saved_lines, PCI_MAX_LINES, 0, vmstate_info_int32,
                            int32_t),
        VMSTATE_END_OF_LIST(),
    },
};

void pci_bus_register_state(PCIBus *bus)
{
    bus->saved_lines = bus->ops ? bus->ops->n_irqs : 0;
    g_assert(vmstate_register(NULL, VMSTATE_INSTANCE_ID_ANY, &vmstate_bus, bus, NULL));
}
