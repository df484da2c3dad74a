/*
 * Virtio over PCI: the I/O registers of legacy drivers, BAR 0 (virtio 1.1, 4.1.4.8).
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/virtio/virtio-pci.h"

#include "util/util.h"

enum { HOST_FEATURES = 0, GUEST_FEATURES = 4, QUEUE_PFN = 8, QUEUE_NUM = 12, QUEUE_SEL = 14,
       QUEUE_NOTIFY = 16, STATUS = 18, ISR = 19, CONFIG_VECTOR = 20, QUEUE_VECTOR = 22 };
#define HEADER_SIZE 20      /* the device's configuration follows, */
#define HEADER_SIZE_MSIX 24 /* or this while MSI-X is on */
#define PFN_SHIFT 12

static unsigned header_size(const VirtIOPCI *p)
{
    return msix_enabled(&p->pci) ? HEADER_SIZE_MSIX : HEADER_SIZE;
}

static uint32_t register_read(VirtIOPCI *p, uint64_t addr)
{
    VirtIODevice *vdev = p->vdev;
    const VirtQueue *vq = virtio_pci_selected(p);

    switch (addr) {
    case HOST_FEATURES:
        return vdev->host_features;
    case GUEST_FEATURES:
        return vdev->guest_features;
    case QUEUE_PFN:
        return vq ? vq->desc >> PFN_SHIFT : 0;
    case QUEUE_NUM:
        return vq ? vq->num : 0;
    case QUEUE_SEL:
        return vdev->queue_sel;
    case STATUS:
        return vdev->status;
    case ISR:
        return virtio_pci_read_isr(p);
    case CONFIG_VECTOR:
        return vdev->config_vector;
    case QUEUE_VECTOR:
        return vq ? vq->vector : VIRTIO_NO_VECTOR;
    default:
        return ~0u;
    }
}

static void register_write(VirtIOPCI *p, uint64_t addr, uint32_t value)
{
    VirtQueue *vq = virtio_pci_selected(p);

    switch (addr) {
    case GUEST_FEATURES:
        virtio_set_features(p->vdev, value);
        break;
    case QUEUE_PFN:
        if (!value) {
            virtio_pci_set_status(p, 0); /* so drivers of old reset a device */
        } else if (vq) {
            virtqueue_set_legacy(vq, (uint64_t)value << PFN_SHIFT);
        }
        break;
    case QUEUE_SEL:
        p->vdev->queue_sel = value;
        break;
    case QUEUE_NOTIFY:
        virtio_kick(p->vdev, value);
        break;
    case STATUS:
        virtio_pci_set_status(p, value);
        break;
    case CONFIG_VECTOR:
        p->vdev->config_vector = virtio_pci_check_vector(p, value);
        break;
    case QUEUE_VECTOR:
        if (vq) {
            vq->vector = virtio_pci_check_vector(p, value);
        }
        break;
    default:
        break;
    }
}

static uint64_t legacy_read(void *opaque, uint64_t addr, unsigned size)
{
    VirtIOPCI *p = opaque;

    if (addr >= header_size(p)) {
        return virtio_config_read(p->vdev, addr - header_size(p), size);
    }
    return register_read(p, addr);
}

static void legacy_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    VirtIOPCI *p = opaque;

    if (addr >= header_size(p)) {
        virtio_config_write(p->vdev, addr - header_size(p), value, size);
    } else {
        register_write(p, addr, value);
    }
}

static const IORegionOps legacy_ops = { legacy_read, legacy_write, 1, 4 };

void virtio_pci_legacy_init(VirtIOPCI *p)
{
    uint64_t want = (p->pci.msix ? HEADER_SIZE_MSIX : HEADER_SIZE) + p->vdev->config_len;
    uint64_t size = 32;

    while (size < want) {
        size *= 2;
    }
    pci_add_bar(&p->pci, 0, PCI_BAR_IO, size, &legacy_ops, p);
}
