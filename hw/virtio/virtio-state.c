/*
 * The section of a virtio device, in the layout observed on the wire: one blob without a
 * description of its own, then subsections.  Machine lock.
 *
 *     transport's configuration, status u8, isr u8, queue_sel be16, features 31:0 be32
 *     length of the configuration be32, configuration
 *     queues be32; each: entries be32, descriptors be64, next available be16, vector be16 if any
 *     the device's own part
 *     subsections: features 63:0, rings of modern drivers, sizes, broken, transport, started
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "hw/virtio/virtio-private.h"
#include "util/util.h"

static bool has_vectors(const VirtIODevice *vdev)
{
    return vdev->ops && vdev->ops->has_vectors && vdev->ops->has_vectors(vdev->transport);
}

/* Subsections. */

static bool features_needed(void *opaque)
{
    return ((VirtIODevice *)opaque)->host_features >> 32;
}

static const VMStateDescription vmstate_features = {
    .name = "virtio/64bit_features",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = features_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64(guest_features, VirtIODevice),
        VMSTATE_END_OF_LIST(),
    },
};

/* Arrays over VIRTIO_WIRE_QUEUES queues, of which the device has the first few. */
static void put_rings(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    const VirtIODevice *vdev = pv;

    for (unsigned i = 0; i < VIRTIO_WIRE_QUEUES; i++) {
        stream_put_be64(s, i < vdev->n_queues ? vdev->vq[i]->avail : 0);
        stream_put_be64(s, i < vdev->n_queues ? vdev->vq[i]->used : 0);
    }
}

static bool get_rings(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    VirtIODevice *vdev = pv;

    for (unsigned i = 0; i < VIRTIO_WIRE_QUEUES; i++) {
        uint64_t avail = stream_get_be64(s), used = stream_get_be64(s);

        if (i < vdev->n_queues) {
            vdev->vq[i]->avail = avail;
            vdev->vq[i]->used = used;
        }
    }
    return !stream_error(s, errp);
}

static const VMStateInfo info_rings = { "virtqueue_state", get_rings, put_rings };

static bool rings_needed(void *opaque)
{
    return ((VirtIODevice *)opaque)->host_features & VIRTIO_FEATURE(VIRTIO_F_VERSION_1);
}

static const VMStateDescription vmstate_rings = {
    .name = "virtio/virtqueues",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = rings_needed,
    .fields = (const VMStateField[]){
        { .name = "vq", .info = &info_rings, .size = 16 },
        VMSTATE_END_OF_LIST(),
    },
};

static void put_sizes(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    const VirtIODevice *vdev = pv;

    for (unsigned i = 0; i < VIRTIO_WIRE_QUEUES; i++) {
        stream_put_be32(s, i < vdev->n_queues ? vdev->vq[i]->num_default : 0);
    }
}

static bool get_sizes(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    VirtIODevice *vdev = pv;

    for (unsigned i = 0; i < VIRTIO_WIRE_QUEUES; i++) {
        uint32_t num = stream_get_be32(s);

        if (stream_error(s, errp)) {
            return false;
        }
        if (i < vdev->n_queues && (num > VIRTQUEUE_MAX_SIZE || (num & (num - 1)))) {
            error_setg(errp, "queue %u offers %u entries", i, num);
            return false;
        }
        if (i < vdev->n_queues) {
            vdev->vq[i]->num_default = num;
        }
    }
    return true;
}

static const VMStateInfo info_sizes = { "ringsize_state", get_sizes, put_sizes };

static bool sizes_needed(void *opaque)
{
    const VirtIODevice *vdev = opaque;

    for (unsigned i = 0; i < vdev->n_queues; i++) {
        if (vdev->vq[i]->num != vdev->vq[i]->num_default) {
            return true;
        }
    }
    return false;
}

static const VMStateDescription vmstate_sizes = {
    .name = "virtio/ringsize",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sizes_needed,
    .fields = (const VMStateField[]){
        { .name = "vq", .info = &info_sizes, .size = 4 },
        VMSTATE_END_OF_LIST(),
    },
};

static bool broken_needed(void *opaque)
{
    return ((VirtIODevice *)opaque)->broken;
}

static const VMStateDescription vmstate_broken = {
    .name = "virtio/broken",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = broken_needed,
    .fields = (const VMStateField[]){
        VMSTATE_BOOL(broken, VirtIODevice),
        VMSTATE_END_OF_LIST(),
    },
};

static void put_extra(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    const VirtIODevice *vdev = pv;

    vmstate_save(s, vdev->ops->extra_state, vdev->transport, NULL);
}

static bool get_extra(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    VirtIODevice *vdev = pv;

    if (!vdev->ops || !vdev->ops->extra_state) {
        error_setg(errp, "the transport has no state here");
        return false;
    }
    return vmstate_load(s, vdev->ops->extra_state, vdev->transport, 1, errp);
}

static const VMStateInfo info_extra = { "virtqueue_extra_state", get_extra, put_extra };

static bool extra_needed(void *opaque)
{
    const VirtIODevice *vdev = opaque;

    return vdev->ops && vdev->ops->extra_state;
}

static const VMStateDescription vmstate_extra = {
    .name = "virtio/extra_state",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = extra_needed,
    .fields = (const VMStateField[]){
        { .name = "extra_state", .info = &info_extra },
        VMSTATE_END_OF_LIST(),
    },
};

static bool started_needed(void *opaque)
{
    return ((VirtIODevice *)opaque)->started;
}

static const VMStateDescription vmstate_started = {
    .name = "virtio/started",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = started_needed,
    .fields = (const VMStateField[]){
        VMSTATE_BOOL(started, VirtIODevice),
        VMSTATE_END_OF_LIST(),
    },
};

static const VMStateDescription vmstate_virtio = {
    .name = "virtio",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){ VMSTATE_END_OF_LIST() },
    .subsections = (const VMStateDescription *const[]){ &vmstate_features, &vmstate_rings,
                                                        &vmstate_sizes, &vmstate_broken,
                                                        &vmstate_extra, &vmstate_started, NULL },
};

/* The blob. */

static void put_queues(Stream *s, const VirtIODevice *vdev)
{
    stream_put_be32(s, vdev->n_queues);
    for (unsigned i = 0; i < vdev->n_queues; i++) {
        const VirtQueue *vq = vdev->vq[i];

        stream_put_be32(s, vq->num);
        stream_put_be64(s, vq->desc);
        stream_put_be16(s, vq->last_avail_idx);
        if (has_vectors(vdev)) {
            stream_put_be16(s, vq->vector);
        }
    }
}

static void put_virtio(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    VirtIODevice *vdev = (VirtIODevice *)pv;
    const VirtIODeviceClass *vc = virtio_device_class(vdev);

    if (vdev->ops) {
        vdev->ops->save_config(vdev->transport, s);
    }
    stream_put_u8(s, vdev->status);
    stream_put_u8(s, vdev->isr);
    stream_put_be16(s, vdev->queue_sel);
    stream_put_be32(s, vdev->guest_features);
    stream_put_be32(s, vdev->config_len);
    stream_put_bytes(s, vdev->config, vdev->config_len);
    put_queues(s, vdev);
    if (vc->save) {
        vc->save(vdev, s);
    }
    if (vc->state) {
        vmstate_save(s, vc->state, vdev, NULL);
    }
    vmstate_save(s, &vmstate_virtio, vdev, NULL);
}

static bool get_queues(Stream *s, VirtIODevice *vdev, Error **errp)
{
    uint32_t n = stream_get_be32(s);

    if (stream_error(s, errp)) {
        return false;
    }
    if (n > vdev->n_queues) {
        error_setg(errp, "the stream has %u queues, this device %u", n, vdev->n_queues);
        return false;
    }
    for (unsigned i = 0; i < vdev->n_queues; i++) {
        VirtQueue *vq = vdev->vq[i];

        virtqueue_reset(vq);
        if (i >= n) {
            vq->num = 0;
            continue;
        }
        vq->num = stream_get_be32(s);
        virtqueue_set_legacy(vq, stream_get_be64(s));
        vq->last_avail_idx = stream_get_be16(s);
        vq->used_known = false;
        if (has_vectors(vdev)) {
            vq->vector = stream_get_be16(s);
        }
        if (stream_error(s, errp) || !virtqueue_check(vq, errp)) {
            return false;
        }
    }
    return true;
}

static bool get_config(Stream *s, VirtIODevice *vdev, Error **errp)
{
    uint32_t len = stream_get_be32(s);

    if (stream_error(s, errp)) {
        return false;
    }
    stream_get_bytes(s, vdev->config, MIN(len, vdev->config_len));
    stream_skip(s, len > vdev->config_len ? len - vdev->config_len : 0);
    return !stream_error(s, errp);
}

static bool check_features(VirtIODevice *vdev, Error **errp)
{
    const VirtIODeviceClass *vc = virtio_device_class(vdev);
    uint64_t unknown = vdev->guest_features & ~vdev->host_features;

    if (unknown) {
        error_setg(errp, "the guest uses features 0x%" PRIx64 " that this device does not have "
                   "(it has 0x%" PRIx64 ")", unknown, vdev->host_features);
        return false;
    }
    if (vc->set_features) {
        vc->set_features(vdev, vdev->guest_features);
    }
    return !vc->post_load || vc->post_load(vdev, errp);
}

static bool get_virtio(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    VirtIODevice *vdev = pv;
    const VirtIODeviceClass *vc = virtio_device_class(vdev);

    vdev->broken = vdev->started = false;
    if (vdev->ops && !vdev->ops->load_config(vdev->transport, s, errp)) {
        return false;
    }
    vdev->status = stream_get_u8(s);
    vdev->isr = stream_get_u8(s);
    vdev->queue_sel = stream_get_be16(s);
    vdev->guest_features = stream_get_be32(s);
    if (!get_config(s, vdev, errp) || !get_queues(s, vdev, errp) ||
        (vc->load && !vc->load(vdev, s, errp)) ||
        (vc->state && !vmstate_load(s, vc->state, vdev, vc->state->version_id, errp)) ||
        !vmstate_load(s, &vmstate_virtio, vdev, 1, errp)) {
        return false;
    }
    for (unsigned i = 0; i < vdev->n_queues; i++) {
        if (!virtqueue_check(vdev->vq[i], errp)) {
            return false;
        }
    }
    return check_features(vdev, errp);
}

const VMStateInfo vmstate_info_virtio = { "virtio", get_virtio, put_virtio };
