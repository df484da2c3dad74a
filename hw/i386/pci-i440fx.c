/*
 * PCI of machine `pc`: the i440FX host bridge and the ISA bridge of a PIIX3, which routes
 * the four PCI interrupts to lines of the 8259 pair.  Machine lock.
 *
 * Registers: Intel 82441FX and 82371SB (PIIX3) data sheets.  Memory attributes, SMRAM and
 * the DRAM registers hold what is written to them and do nothing: there is no ROM to shadow.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/i386/pci-pc.h"
#include "hw/i386/x86-irq.h"
#include "util/util.h"

#define PIIX_NUM_PIRQS 4
#define PIIX_PIRQRCA 0x60

typedef struct I440FXState {
    PCIDevice pci;
} I440FXState;

typedef struct PIIX3State {
    PCIDevice pci;
    int32_t levels[PIIX_NUM_PIRQS]; /* section PIIX3 */
} PIIX3State;

static PIIX3State *piix3;

/* Slot and pin are turned so that the first slots have different lines. */
static unsigned map_irq(unsigned devfn, unsigned pin)
{
    return (pin + PCI_SLOT(devfn) - 1) & 3;
}

static void route(PCIDevice *d)
{
    pirq_update(d->config + PIIX_PIRQRCA, PIIX_NUM_PIRQS);
}

static void set_irq(void *opaque, unsigned line, int level)
{
    if (piix3) {
        route(&piix3->pci);
    }
}

static const PCIHostOps host_ops = {
    .map_irq = map_irq,
    .set_irq = set_irq,
    .msi_send = x86_msi_send,
    .n_irqs = PIIX_NUM_PIRQS,
};

/* Firmware's choice: A and B to line 10, C and D to 11, which are level-triggered. */
static uint8_t line_of(unsigned line)
{
    return line < 2 ? 10 : 11;
}

static void firmware(void)
{
    for (unsigned i = 0; i < PIIX_NUM_PIRQS; i++) {
        piix3->pci.config[PIIX_PIRQRCA + i] = line_of(i);
    }
    pic_set_elcr(x86_pic(), 1u << 10 | 1u << 11);
    route(&piix3->pci);
}

bool i440fx_init(uint64_t below, uint64_t ram_size, Error **errp)
{
    PCIBus *bus = pci_root_bus_new("pci.0", /* express= */ false, &host_ops, NULL);

    return device_create("i440FX", errp) && device_create("PIIX3", errp) &&
           pc_pci_host_init(bus, below, ram_size, line_of, firmware, errp);
}

/* Host bridge. */

static void i440fx_reset(PCIDevice *d)
{
    d->config[0x57] = 0x10; /* DRAM rows: as firmware reads them, 8 MiB units */
    d->config[0x72] = 0x02; /* SMRAM */
}

static const VMStateDescription vmstate_i440fx = {
    .name = "I440FX",
    .version_id = 3,
    .minimum_version_id = 3,
    .fields = (const VMStateField[]){
        VMSTATE_PCI_DEVICE(pci, I440FXState),
        VMSTATE_UNUSED(1),
        VMSTATE_END_OF_LIST(),
    },
};

static const PCIDeviceClass i440fx_class = {
    PCI_DEVICE_CLASS(.desc = "Host bridge", .category = "Controller/Bridge/Hub devices",
                     .vmsd = &vmstate_i440fx),
    .vendor_id = PCI_VENDOR_ID_INTEL,
    .device_id = 0x1237,
    .class_id = 0x0600,
    .revision = 2,
    .reset = i440fx_reset,
};

static const TypeInfo i440fx_type = {
    .name = "i440FX",
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(I440FXState),
    .class_data = &i440fx_class,
};
TYPE_REGISTER(i440fx_type)

/* ISA bridge. */

static bool piix3_realize(PCIDevice *d, Error **errp)
{
    piix3 = (PIIX3State *)d;
    d->config[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_MULTI;
    return true;
}

static void piix3_reset(PCIDevice *d)
{
    pci_set16(d->config + PCI_COMMAND,
              PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_set16(d->config + PCI_STATUS, 0x0200); /* medium DEVSEL */
    d->config[0x4c] = 0x4d;
    d->config[0x4e] = 0x03;
    for (unsigned i = 0; i < PIIX_NUM_PIRQS; i++) {
        d->config[PIIX_PIRQRCA + i] = 0x80;
    }
    route(d);
}

static void piix3_written(PCIDevice *d, unsigned addr, unsigned size)
{
    if (addr < PIIX_PIRQRCA + PIIX_NUM_PIRQS && addr + size > PIIX_PIRQRCA) {
        route(d);
    }
}

static bool piix3_pre_save(void *opaque, Error **errp)
{
    PIIX3State *s = opaque;

    for (unsigned i = 0; i < PIIX_NUM_PIRQS; i++) {
        s->levels[i] = pci_root_irq_level(i);
    }
    return true;
}

/* Devices that are loaded later route what they assert. */
static bool piix3_post_load(void *opaque, int version_id, Error **errp)
{
    route(&((PIIX3State *)opaque)->pci);
    return true;
}

static const VMStateDescription vmstate_piix3 = {
    .name = "PIIX3",
    .version_id = 3,
    .minimum_version_id = 2,
    .pre_save = piix3_pre_save,
    .post_load = piix3_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_PCI_DEVICE(pci, PIIX3State),
        VMSTATE_ARRAY_FULL(levels, PIIX3State, PIIX_NUM_PIRQS, NULL, 3, vmstate_info_int32,
                           int32_t),
        VMSTATE_END_OF_LIST(),
    },
};

static const PCIDeviceClass piix3_class = {
    PCI_DEVICE_CLASS(.desc = "ISA bridge", .category = "Controller/Bridge/Hub devices",
                     .vmsd = &vmstate_piix3),
    .vendor_id = PCI_VENDOR_ID_INTEL,
    .device_id = 0x7000,
    .class_id = 0x0601,
    .realize = piix3_realize,
    .reset = piix3_reset,
    .config_written = piix3_written,
};

static const TypeInfo piix3_type = {
    .name = "PIIX3",
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(PIIX3State),
    .class_data = &piix3_class,
};
TYPE_REGISTER(piix3_type)
