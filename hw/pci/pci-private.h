/*
 * PCI: what the files of hw/pci share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_PCI_PRIVATE_H
#define FERRY_HW_PCI_PRIVATE_H

#include "hw/pci/pci.h"

#define PCI_MAX_LINES 8

struct PCIBus {
    Bus *bus;
    PCIDevice *parent;            /* bridge; NULL: root */
    bool express;
    PCIDevice *devices[256];      /* by devfn */
    const PCIHostOps *ops;        /* root bus only */
    void *opaque;
    const PCIWindows *windows;    /* root bus only, from pci_host_init() */
    int irq_count[PCI_MAX_LINES]; /* root bus: devices that assert a line */
    int32_t saved_lines;          /* section PCIBUS */
    int32_t saved_count[PCI_MAX_LINES];
};

/* pci-vmstate.c */
void pci_bus_register_state(PCIBus *bus);
/* pci.c: new levels of all pins; the wires follow.  was_disabled: INTX_DISABLE before. */
void pci_load_irq_state(PCIDevice *d, uint32_t state, bool was_disabled);

#endif
