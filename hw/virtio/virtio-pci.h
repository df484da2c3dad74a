/*
 * Virtio over PCI: what the files of the transport share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_VIRTIO_VIRTIO_PCI_H
#define FERRY_HW_VIRTIO_VIRTIO_PCI_H

#include "hw/pci/pci.h"
#include "hw/virtio/virtio-private.h"

#define TYPE_VIRTIO_PCI "virtio-pci"

/* Registers of one queue, as a modern driver writes them. */
typedef struct VirtIOPCIQueue {
    uint16_t num;
    bool enabled;
    uint32_t desc[2], avail[2], used[2]; /* low, high */
} VirtIOPCIQueue;

typedef struct VirtIOPCI {
    PCIDevice pci;
    VirtIODevice *vdev;        /* child "virtio-backend" */
    uint32_t vectors;
    int disable_legacy;
    bool disable_modern;
    bool legacy;               /* has BAR 0 */
    unsigned window_cap;       /* VIRTIO_PCI_CAP_PCI_CFG; 0: none */
    uint32_t dfselect, gfselect;
    uint32_t guest_features[2]; /* as written */
    VirtIOPCIQueue queues[VIRTIO_WIRE_QUEUES];
} VirtIOPCI;

/* virtio-pci.c */
void virtio_pci_set_status(VirtIOPCI *p, uint8_t status);
uint8_t virtio_pci_read_isr(VirtIOPCI *p); /* clears it */
uint16_t virtio_pci_check_vector(const VirtIOPCI *p, uint16_t vector);
VirtQueue *virtio_pci_selected(const VirtIOPCI *p); /* NULL: no such queue */
char *virtio_pci_dev_path(const DeviceState *dev);

/* virtio-pci-modern.c */
void virtio_pci_modern_init(VirtIOPCI *p);
/* The guest reads or has written configuration space: is it the window into BAR 4? */
void virtio_pci_window_access(VirtIOPCI *p, unsigned addr, unsigned size, bool write);

/* virtio-pci-legacy.c */
void virtio_pci_legacy_init(VirtIOPCI *p);

#endif
