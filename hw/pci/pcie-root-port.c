/*
 * pcie-root-port: a bridge with one slot behind it, whose bus is named after its id.
 * Machine lock.
 *
 * There is no hotplug and no error reporting, so the port interrupts nobody and announces
 * neither.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/pci/pci-private.h"
#include "util/util.h"

#define BRIDGE_CONTROL_BUS_RESET 0x40
#define BRIDGE_CONTROL_WRITABLE 0x5f
#define AER_LOG_MAX 8

typedef struct RootPort {
    PCIDevice pci;
    uint8_t port, chassis;
    uint16_t slot;
    bool hotplug;
    uint16_t aer_num, aer_max; /* section: a log that stays empty */
} RootPort;

static void init_bridge_registers(PCIDevice *d)
{
    memset(d->wmask + PCI_PRIMARY_BUS, 0xff, 4);
    d->wmask[PCI_IO_BASE] = d->wmask[PCI_IO_LIMIT] = 0xf0;
    pci_set16(d->w1cmask + PCI_SEC_STATUS, PCI_STATUS_W1C);
    pci_set16(d->wmask + PCI_MEMORY_BASE, 0xfff0);
    pci_set16(d->wmask + PCI_MEMORY_LIMIT, 0xfff0);
    pci_set16(d->wmask + PCI_PREF_MEMORY_BASE, 0xfff0);
    pci_set16(d->wmask + PCI_PREF_MEMORY_LIMIT, 0xfff0);
    pci_set64(d->wmask + PCI_PREF_BASE_UPPER32, UINT64_MAX);
    pci_set16(d->wmask + PCI_BRIDGE_CONTROL, BRIDGE_CONTROL_WRITABLE);
    pci_set16(d->config + PCI_PREF_MEMORY_BASE, 1); /* 64 bits */
    pci_set16(d->config + PCI_PREF_MEMORY_LIMIT, 1);
}

static bool port_realize(PCIDevice *d, Error **errp)
{
    RootPort *p = (RootPort *)d;
    static unsigned counter;
    g_autofree char *name = d->dev.id ? g_strdup(d->dev.id)
                                      : g_strdup_printf("root-port.%u", counter++);

    if (!pci_bus_is_express(d->bus) || pci_bus_parent(d->bus)) {
        error_setg(errp, "pcie-root-port goes on bus 'pcie.0' of machine q35, not on '%s'",
                   d->bus->bus->name);
        return false;
    }
    if (p->hotplug) {
        error_setg(errp, "pcie-root-port: 'hotplug=on' is not supported");
        return false;
    }
    init_bridge_registers(d);
    unsigned at = pci_add_capability(d, PCI_CAP_ID_SSVID, 8);
    pci_set16(d->config + at + 4, PCI_VENDOR_ID_REDHAT);
    pci_add_express(d, PCI_EXP_TYPE_ROOT_PORT, p->port);
    p->aer_max = AER_LOG_MAX;
    pci_secondary_bus_new(d, name);
    return true;
}

static void port_written(PCIDevice *d, unsigned addr, unsigned size)
{
    if (addr > PCI_BRIDGE_CONTROL || addr + size <= PCI_BRIDGE_CONTROL ||
        !(d->config[PCI_BRIDGE_CONTROL] & BRIDGE_CONTROL_BUS_RESET)) {
        return;
    }
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        PCIDevice *behind = pci_bus_device(d->secondary, devfn);

        if (behind) {
            pci_device_reset(&behind->dev);
        }
    }
}

static void port_init(Object *obj)
{
    ((PCIDevice *)obj)->express = true;
}

static const VMStateDescription vmstate_aer_log = {
    .name = "PCIE_AER_ERROR_LOG",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16(aer_num, RootPort),
        VMSTATE_UINT16_EQUAL(aer_max, RootPort),
        VMSTATE_END_OF_LIST(),
    },
};

static bool port_post_load(void *opaque, int version_id, Error **errp)
{
    RootPort *p = opaque;

    if (p->aer_num) {
        error_setg(errp, "the port has logged %u errors: not supported", p->aer_num);
        return false;
    }
    return true;
}

static const VMStateDescription vmstate_port = {
    .name = "pcie-root-port",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = port_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_PCI_DEVICE(pci, RootPort),
        { .name = "aer_log", .vmsd = &vmstate_aer_log, .size = sizeof(RootPort),
          .flags = VMS_STRUCT },
        VMSTATE_END_OF_LIST(),
    },
};

#define FIELD(f) .offset = offsetof(RootPort, f)

static const PropertyInfo port_props[] = {
    { .name = "port", .kind = PROP_UINT8, FIELD(port), .description = "number of the link" },
    { .name = "chassis", .kind = PROP_UINT8, FIELD(chassis),
      .description = "accepted for managers: there is no chassis" },
    { .name = "slot", .kind = PROP_UINT16, FIELD(slot),
      .description = "accepted for managers: there is no chassis" },
    { .name = "hotplug", .kind = PROP_BOOL, FIELD(hotplug), .description = "must be off" },
    { .name = NULL },
};

static const PCIDeviceClass port_class = {
    PCI_DEVICE_CLASS(.desc = "PCI Express Root Port", .category = "Controller/Bridge/Hub devices",
                     .user_creatable = true, .vmsd = &vmstate_port),
    .vendor_id = PCI_VENDOR_ID_REDHAT,
    .device_id = 0x000c,
    .class_id = 0x0604,
    .bridge = true,
    .realize = port_realize,
    .config_written = port_written,
};

static const TypeInfo port_type = {
    .name = "pcie-root-port",
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(RootPort),
    .props = port_props,
    .init = port_init,
    .class_data = &port_class,
};
TYPE_REGISTER(port_type)
