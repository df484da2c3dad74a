/*
 * Virtio over PCI: registers of modern drivers, BAR 4, and the window into them through
 * configuration space (virtio 1.1, 4.1.4).  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/virtio/virtio-pci.h"

#include <string.h>

#include "util/util.h"

#define MODERN_BAR 4
#define MODERN_BAR_SIZE (4 * REGION_SIZE)
#define REGION_SIZE 0x1000u
#define NOTIFY_MULTIPLIER 4

/* Where each structure is in the BAR; VIRTIO_PCI_CAP_*. */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_WINDOW };
#define COMMON_OFFSET (0 * REGION_SIZE)
#define ISR_OFFSET (1 * REGION_SIZE)
#define DEVICE_OFFSET (2 * REGION_SIZE)
#define NOTIFY_OFFSET (3 * REGION_SIZE)

/* struct virtio_pci_cap and what follows it. */
#define CAP_LENGTH 2
#define CAP_CFG_TYPE 3
#define CAP_BAR 4
#define CAP_OFFSET 8
#define CAP_SIZE 12
#define CAP_EXTRA 16 /* notify: multiplier; window: data */

/* struct virtio_pci_common_cfg */
enum {
    DFSELECT = 0, DF = 4, GFSELECT = 8, GF = 12, MSIX_CONFIG = 16, NUMQ = 18, STATUS = 20,
    CFGGENERATION = 21, Q_SELECT = 22, Q_SIZE = 24, Q_MSIX = 26, Q_ENABLE = 28, Q_NOFF = 30,
    Q_DESCLO = 32, Q_DESCHI = 36, Q_AVAILLO = 40, Q_AVAILHI = 44, Q_USEDLO = 48, Q_USEDHI = 52,
};

static VirtIOPCIQueue *queue_regs(VirtIOPCI *p)
{
    return virtio_pci_selected(p) ? &p->queues[p->vdev->queue_sel] : NULL;
}

/* NULL: not one of the six address registers. */
static uint32_t *address_reg(VirtIOPCIQueue *q, uint64_t addr)
{
    if (addr < Q_DESCLO || addr > Q_USEDHI || !IS_ALIGNED(addr, 4)) {
        return NULL;
    }
    uint32_t *const regs[] = { q->desc, q->avail, q->used };
    return &regs[(addr - Q_DESCLO) / 8][(addr - Q_DESCLO) / 4 % 2];
}

static uint32_t queue_read(VirtIOPCI *p, uint64_t addr)
{
    VirtQueue *vq = virtio_pci_selected(p);
    VirtIOPCIQueue *q = queue_regs(p);

    if (!q) {
        return addr == Q_MSIX ? VIRTIO_NO_VECTOR : 0;
    }
    switch (addr) {
    case Q_SIZE:
        return vq->num;
    case Q_MSIX:
        return vq->vector;
    case Q_ENABLE:
        return q->enabled;
    case Q_NOFF:
        return vq->index;
    default: {
        const uint32_t *reg = address_reg(q, addr);
        return reg ? *reg : 0;
    }
    }
}

static uint64_t common_read(VirtIOPCI *p, uint64_t addr)
{
    VirtIODevice *vdev = p->vdev;

    switch (addr) {
    case DFSELECT:
        return p->dfselect;
    case DF: {
        /* What only legacy drivers know is not offered here. */
        uint64_t f = vdev->host_features & ~VIRTIO_FEATURE(VIRTIO_F_NOTIFY_ON_EMPTY) &
                     ~VIRTIO_FEATURE(VIRTIO_F_ANY_LAYOUT);
        return p->dfselect <= 1 ? f >> 32 * p->dfselect & 0xffffffff : 0;
    }
    case GFSELECT:
        return p->gfselect;
    case GF:
        return p->gfselect <= 1 ? p->guest_features[p->gfselect] : 0;
    case MSIX_CONFIG:
        return vdev->config_vector;
    case NUMQ:
        return vdev->n_queues;
    case STATUS:
        return vdev->status;
    case CFGGENERATION:
        return vdev->generation & 0xff;
    case Q_SELECT:
        return vdev->queue_sel;
    default:
        return queue_read(p, addr);
    }
}

static uint64_t joined(const uint32_t reg[2])
{
    return reg[0] | (uint64_t)reg[1] << 32;
}

static void enable_queue(VirtIOPCI *p, VirtQueue *vq, VirtIOPCIQueue *q)
{
    uint64_t desc = joined(q->desc), avail = joined(q->avail), used = joined(q->used);

    if (!desc || !IS_ALIGNED(desc, 16) || !IS_ALIGNED(avail, 2) || !IS_ALIGNED(used, 4)) {
        virtio_error(p->vdev, "queue %u: rings at 0x%" G_GINT64_MODIFIER "x, 0x%"
                     G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x are not aligned",
                     vq->index, desc, avail, used);
        return;
    }
    q->num = vq->num;
    q->enabled = true;
    virtqueue_set_rings(vq, desc, avail, used);
}

static void set_queue_size(VirtIOPCI *p, VirtQueue *vq, VirtIOPCIQueue *q, uint16_t size)
{
    if (size && size <= vq->num_default && !(size & (size - 1)) && !q->enabled) {
        vq->num = q->num = size;
    }
}

static void queue_write(VirtIOPCI *p, uint64_t addr, uint32_t value)
{
    VirtQueue *vq = virtio_pci_selected(p);
    VirtIOPCIQueue *q = queue_regs(p);

    if (!q) {
        return;
    }
    switch (addr) {
    case Q_SIZE:
        set_queue_size(p, vq, q, value);
        break;
    case Q_MSIX:
        vq->vector = virtio_pci_check_vector(p, value);
        break;
    case Q_ENABLE:
        if (value == 1 && !q->enabled) {
            enable_queue(p, vq, q);
        }
        break;
    default: {
        uint32_t *reg = address_reg(q, addr);
        if (reg && !q->enabled) {
            *reg = value;
        }
    }
    }
}

static void common_write(VirtIOPCI *p, uint64_t addr, uint32_t value)
{
    switch (addr) {
    case DFSELECT:
        p->dfselect = value;
        break;
    case GFSELECT:
        p->gfselect = value;
        break;
    case GF:
        if (p->gfselect <= 1 && !(p->vdev->status & VIRTIO_STATUS_FEATURES_OK)) {
            p->guest_features[p->gfselect] = value;
            virtio_set_features(p->vdev, joined(p->guest_features));
        }
        break;
    case MSIX_CONFIG:
        p->vdev->config_vector = virtio_pci_check_vector(p, value);
        break;
    case STATUS:
        virtio_pci_set_status(p, value);
        break;
    case Q_SELECT:
        p->vdev->queue_sel = value;
        break;
    default:
        queue_write(p, addr, value);
    }
}

static uint64_t modern_read(void *opaque, uint64_t addr, unsigned size)
{
    VirtIOPCI *p = opaque;

    switch (addr / REGION_SIZE) {
    case COMMON_OFFSET / REGION_SIZE:
        return common_read(p, addr);
    case ISR_OFFSET / REGION_SIZE:
        return addr == ISR_OFFSET ? virtio_pci_read_isr(p) : 0;
    case DEVICE_OFFSET / REGION_SIZE:
        return virtio_config_read(p->vdev, addr - DEVICE_OFFSET, size);
    default:
        return 0;
    }
}

static void modern_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    VirtIOPCI *p = opaque;

    switch (addr / REGION_SIZE) {
    case COMMON_OFFSET / REGION_SIZE:
        common_write(p, addr, value);
        break;
    case DEVICE_OFFSET / REGION_SIZE:
        virtio_config_write(p->vdev, addr - DEVICE_OFFSET, value, size);
        break;
    case NOTIFY_OFFSET / REGION_SIZE:
        virtio_kick(p->vdev, (addr - NOTIFY_OFFSET) / NOTIFY_MULTIPLIER);
        break;
    default:
        break;
    }
}

static const IORegionOps modern_ops = { modern_read, modern_write, 1, 4 };

/* Capabilities. */

static unsigned add_cap(PCIDevice *d, uint8_t type, uint32_t offset, uint32_t size, unsigned len)
{
    unsigned at = pci_add_capability(d, PCI_CAP_ID_VENDOR, len);
    uint8_t *c = d->config + at;

    c[CAP_LENGTH] = len;
    c[CAP_CFG_TYPE] = type;
    c[CAP_BAR] = size ? MODERN_BAR : 0;
    pci_set32(c + CAP_OFFSET, offset);
    pci_set32(c + CAP_SIZE, size);
    return at;
}

void virtio_pci_modern_init(VirtIOPCI *p)
{
    PCIDevice *d = &p->pci;
    unsigned at;

    add_cap(d, CAP_COMMON, COMMON_OFFSET, REGION_SIZE, CAP_EXTRA);
    add_cap(d, CAP_ISR, ISR_OFFSET, REGION_SIZE, CAP_EXTRA);
    add_cap(d, CAP_DEVICE, DEVICE_OFFSET, REGION_SIZE, CAP_EXTRA);
    at = add_cap(d, CAP_NOTIFY, NOTIFY_OFFSET, REGION_SIZE, CAP_EXTRA + 4);
    pci_set32(d->config + at + CAP_EXTRA, NOTIFY_MULTIPLIER);
    at = add_cap(d, CAP_WINDOW, 0, 0, CAP_EXTRA + 4);
    d->wmask[at + CAP_BAR] = 0xff;
    memset(d->wmask + at + CAP_OFFSET, 0xff, CAP_EXTRA + 4 - CAP_OFFSET);
    p->window_cap = at;
    pci_add_bar(d, MODERN_BAR, PCI_BAR_64 | PCI_BAR_PREFETCH, MODERN_BAR_SIZE, &modern_ops, p);
}

void virtio_pci_window_access(VirtIOPCI *p, unsigned addr, unsigned size, bool write)
{
    unsigned data = p->window_cap + CAP_EXTRA;
    uint8_t *c = p->pci.config + p->window_cap;

    if (!p->window_cap || addr + size <= data || addr >= data + 4) {
        return;
    }
    uint32_t offset = pci_get32(c + CAP_OFFSET), len = pci_get32(c + CAP_SIZE);
    if (c[CAP_BAR] != MODERN_BAR || (len != 1 && len != 2 && len != 4) ||
        !IS_ALIGNED(offset, len) || offset > MODERN_BAR_SIZE - len) {
        return;
    }
    if (write) {
        uint32_t value = pci_get32(c + CAP_EXTRA) & (~0u >> (32 - 8 * len));
        io_region_write(&modern_ops, p, offset, value, len);
    } else {
        pci_set32(c + CAP_EXTRA, io_region_read(&modern_ops, p, offset, len));
    }
}
