/*
 * A driver for virtio PCI devices that works through qtest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_VIRTIO_DRIVER_H
#define FERRY_TESTS_VIRTIO_DRIVER_H

#include "libqtest.h"

/* Where the one queue and its buffers are in guest memory. */
#define VQ_SIZE 8
#define VQ_DESC 0x100000
#define VQ_AVAIL 0x101000
#define VQ_USED 0x102000
#define VQ_DATA 0x110000

enum { VQ_NEXT = 1, VQ_WRITE = 2, VQ_INDIRECT = 4 };

/* Registers of the common configuration in BAR 4. */
enum { VC_DFSELECT = 0, VC_DF = 4, VC_GFSELECT = 8, VC_GF = 12, VC_MSIX = 16, VC_NUMQ = 18,
       VC_STATUS = 20, VC_QSELECT = 22, VC_QSIZE = 24, VC_QMSIX = 26, VC_QENABLE = 28,
       VC_QDESC = 32, VC_QAVAIL = 40, VC_QUSED = 48, VC_ISR = 0x1000, VC_DEVICE = 0x2000,
       VC_NOTIFY = 0x3000 };

typedef struct VDev {
    QTestState *s;
    unsigned bus, devfn;
    uint64_t bar;        /* 4: modern registers */
    uint16_t seen;       /* used buffers that were taken */
} VDev;

uint32_t pci_read(QTestState *s, unsigned bus, unsigned devfn, unsigned reg);
void pci_write(QTestState *s, unsigned bus, unsigned devfn, unsigned reg, uint32_t value);

/* The device there, whose BARs were placed by the machine. */
VDev vdev_at(QTestState *s, unsigned bus, unsigned devfn);
/* A 64-bit address in two registers of the common configuration. */
void vdev_set_address(VDev *d, unsigned reg, uint64_t addr);
/* Reset, then up to FEATURES_OK with these features, which must be offered, and version 1. */
void vdev_negotiate(VDev *d, uint64_t features);
/* Reset, negotiate VERSION_1 and these features, set up queue 0, DRIVER_OK. */
void vdev_start(VDev *d, uint64_t features);
void vq_desc(VDev *d, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
/* Make the chain available, without and with a kick. */
void vq_offer(VDev *d, uint16_t head);
void vq_kick(VDev *d);
/* The next used buffer must be there: its head; bytes written. */
uint16_t vq_take(VDev *d, uint32_t *ret_len);
/* A request of a disk: status byte.  write: data goes to it. */
uint8_t vblk_request(VDev *d, uint32_t type, uint64_t sector, void *data, uint32_t len, bool write);

#endif
