/*
 * Virtio: what the files of hw/virtio share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_VIRTIO_PRIVATE_H
#define FERRY_HW_VIRTIO_PRIVATE_H

#include "hw/virtio/virtio.h"

#define VIRTIO_WIRE_QUEUES 1024 /* entries of the arrays in saved state */
#define VIRTIO_LEGACY_ALIGN 4096

struct VirtQueue {
    VirtIODevice *vdev;
    VirtQueueHandler *handler;
    unsigned index;
    uint32_t num;              /* entries; what the driver chose, 0: none */
    uint32_t num_default;      /* what the device offers */
    uint64_t desc, avail, used; /* guest-physical; desc 0: not set up */
    uint16_t last_avail_idx;   /* next to pop */
    uint16_t used_idx;         /* next to fill */
    bool used_known;           /* used_idx is what the ring says (not after a load) */
    uint16_t signalled_used;   /* used_idx at the last interrupt */
    bool signalled_valid;
    bool notification;         /* the driver is asked to kick */
    uint16_t vector;
    unsigned inuse;            /* popped, not yet pushed */
    bool fetching;             /* pages that it needs are on their way (postcopy) */
};

/* virtio.c */
void virtio_reset(VirtIODevice *vdev);
void virtio_set_status(VirtIODevice *vdev, uint8_t status);
/* The driver's choice, 32 bits of it; bits that were not offered are dropped. */
void virtio_set_features(VirtIODevice *vdev, uint64_t features);
uint64_t virtio_config_read(VirtIODevice *vdev, uint64_t addr, unsigned size);
void virtio_config_write(VirtIODevice *vdev, uint64_t addr, uint64_t value, unsigned size);
/* The driver kicked queue n. */
void virtio_kick(VirtIODevice *vdev, unsigned n);

/* virtqueue.c */
void virtqueue_reset(VirtQueue *vq);
/* One page frame, as legacy drivers give it; 0 takes the queue away. */
void virtqueue_set_legacy(VirtQueue *vq, uint64_t desc);
void virtqueue_set_rings(VirtQueue *vq, uint64_t desc, uint64_t avail, uint64_t used);
bool virtqueue_should_notify(VirtQueue *vq);
/* After a load: false when the rings cannot be. */
bool virtqueue_check(const VirtQueue *vq, Error **errp);

#endif
