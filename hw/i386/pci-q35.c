/*
 * PCI of machine `q35`: the Q35 host bridge with memory-mapped configuration space, and the LPC
 * bridge of an ICH9, which routes eight PCI interrupts to the 8259 pair and, untouched, to
 * inputs 16 to 23 of the I/O APIC.  Machine lock.
 *
 * Registers: Intel 3 Series (G/Q35 MCH) and ICH9 data sheets.  Memory attributes, SMRAM and the
 * root complex registers do nothing; power management is where machine `pc` has it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/i386/pci-pc.h"
#include "hw/i386/x86-irq.h"
#include "util/util.h"

#define MCH_PCIEXBAR 0x60
#define PCIEXBAR_ENABLE 1u
#define PCIEXBAR_DEFAULT 0xb0000000u
#define ICH9_NUM_PIRQS 8
#define ICH9_PIRQA 0x60 /* A to D, E to H at 0x68 */
#define ICH9_PIRQE 0x68

typedef struct MCHState {
    PCIDevice pci;
} MCHState;

typedef struct LPCState {
    PCIDevice pci;
} LPCState;

static MCHState *mch;
static LPCState *lpc;
static bool ecam_fits; /* memory ends below PCIEXBAR_DEFAULT */

/* ICH9: devices 25 to 31 have A to D by their pin, all others E to H turned by the slot. */
static unsigned map_irq(unsigned devfn, unsigned pin)
{
    unsigned slot = PCI_SLOT(devfn);

    return slot >= 25 && slot != 30 ? pin : 4 + (slot + pin) % 4;
}

static void route(PCIDevice *d)
{
    uint8_t regs[ICH9_NUM_PIRQS];

    for (unsigned i = 0; i < 4; i++) {
        regs[i] = d->config[ICH9_PIRQA + i];
        regs[4 + i] = d->config[ICH9_PIRQE + i];
    }
    pirq_update(regs, ICH9_NUM_PIRQS);
}

static void set_irq(void *opaque, unsigned line, int level)
{
    irq_set(x86_gsi(16 + line), level);
    if (lpc) {
        route(&lpc->pci);
    }
}

static const PCIHostOps host_ops = {
    .map_irq = map_irq,
    .set_irq = set_irq,
    .msi_send = x86_msi_send,
    .n_irqs = ICH9_NUM_PIRQS,
};

static uint8_t line_of(unsigned line)
{
    return line & 2 ? 11 : 10;
}

static void set_ecam(const PCIDevice *d)
{
    uint64_t bar = pci_get64(d->config + MCH_PCIEXBAR);
    uint64_t size = (256 * MiB) >> (bar >> 1 & 3); /* 256, 128, 64 MiB; 3 is reserved */

    if ((bar & PCIEXBAR_ENABLE) && (bar >> 1 & 3) != 3) {
        pci_host_set_ecam(bar & 0xfffffffffull & ~(size - 1), size);
    } else {
        pci_host_set_ecam(0, 0);
    }
}

static void firmware(void)
{
    for (unsigned i = 0; i < 4; i++) {
        lpc->pci.config[ICH9_PIRQA + i] = line_of(i);
        lpc->pci.config[ICH9_PIRQE + i] = line_of(4 + i);
    }
    pic_set_elcr(x86_pic(), 1u << 10 | 1u << 11);
    route(&lpc->pci);
    if (ecam_fits) {
        pci_set64(mch->pci.config + MCH_PCIEXBAR, PCIEXBAR_DEFAULT | PCIEXBAR_ENABLE);
    }
    set_ecam(&mch->pci);
}

static bool create_lpc(Error **errp)
{
    DeviceState *dev = device_new("ICH9-LPC");
    bool ok = object_property_parse(&dev->obj, "addr", "1f.0", errp) && device_realize(dev, errp);

    object_unref(&dev->obj); /* the tree holds it when it was realized */
    return ok;
}

bool q35_init(uint64_t below, uint64_t ram_size, Error **errp)
{
    PCIBus *bus = pci_root_bus_new("pcie.0", /* express= */ true, &host_ops, NULL);

    ecam_fits = below <= PCIEXBAR_DEFAULT;
    return device_create("mch", errp) && create_lpc(errp) &&
           pc_pci_host_init(bus, below, ram_size, line_of, firmware, errp);
}

/* Host bridge. */

static bool mch_realize(PCIDevice *d, Error **errp)
{
    mch = (MCHState *)d;
    return true;
}

static void mch_reset(PCIDevice *d)
{
    pci_set64(d->config + MCH_PCIEXBAR, PCIEXBAR_DEFAULT);
    d->config[0x9d] = 0x02; /* SMRAM */
    d->config[0x9e] = 0x38; /* ESMRAMC */
    set_ecam(d);
}

static void mch_written(PCIDevice *d, unsigned addr, unsigned size)
{
    if (addr < MCH_PCIEXBAR + 8 && addr + size > MCH_PCIEXBAR) {
        set_ecam(d);
    }
}

static bool mch_post_load(void *opaque, int version_id, Error **errp)
{
    set_ecam(&((MCHState *)opaque)->pci);
    return true;
}

static const VMStateDescription vmstate_mch = {
    .name = "mch",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = mch_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_PCI_DEVICE(pci, MCHState),
        VMSTATE_UNUSED(1),
        VMSTATE_END_OF_LIST(),
    },
};

static const PCIDeviceClass mch_class = {
    PCI_DEVICE_CLASS(.desc = "Host bridge", .category = "Controller/Bridge/Hub devices",
                     .vmsd = &vmstate_mch),
    .vendor_id = PCI_VENDOR_ID_INTEL,
    .device_id = 0x29c0,
    .class_id = 0x0600,
    .realize = mch_realize,
    .reset = mch_reset,
    .config_written = mch_written,
};

static const TypeInfo mch_type = {
    .name = "mch",
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(MCHState),
    .class_data = &mch_class,
};
TYPE_REGISTER(mch_type)

/* LPC bridge. */

static bool lpc_realize(PCIDevice *d, Error **errp)
{
    lpc = (LPCState *)d;
    d->config[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_MULTI;
    return true;
}

static void lpc_reset(PCIDevice *d)
{
    pci_set16(d->config + PCI_COMMAND,
              PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_set16(d->config + PCI_STATUS, 0x0200); /* medium DEVSEL */
    for (unsigned i = 0; i < 4; i++) {
        d->config[ICH9_PIRQA + i] = 0x80;
        d->config[ICH9_PIRQE + i] = 0x80;
    }
    route(d);
}

static void lpc_written(PCIDevice *d, unsigned addr, unsigned size)
{
    if (addr < ICH9_PIRQE + 4 && addr + size > ICH9_PIRQA) {
        route(d);
    }
}

/* Devices that are loaded later route what they assert. */
static bool lpc_post_load(void *opaque, int version_id, Error **errp)
{
    route(&((LPCState *)opaque)->pci);
    return true;
}

/* Not the section ICH9LPC of other emulators, which holds power management too. */
static const VMStateDescription vmstate_lpc = {
    .name = "ich9-lpc",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = lpc_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_PCI_DEVICE(pci, LPCState),
        VMSTATE_END_OF_LIST(),
    },
};

static const PCIDeviceClass lpc_class = {
    PCI_DEVICE_CLASS(.desc = "LPC bridge", .category = "Controller/Bridge/Hub devices",
                     .vmsd = &vmstate_lpc),
    .vendor_id = PCI_VENDOR_ID_INTEL,
    .device_id = 0x2918,
    .class_id = 0x0601,
    .revision = 2,
    .realize = lpc_realize,
    .reset = lpc_reset,
    .config_written = lpc_written,
};

static const TypeInfo lpc_type = {
    .name = "ICH9-LPC",
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(LPCState),
    .class_data = &lpc_class,
};
TYPE_REGISTER(lpc_type)
