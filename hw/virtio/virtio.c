/*
 * Virtio devices: status, features, configuration, interrupts.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/virtio/virtio.h"

#include <string.h>

#include "hw/virtio/virtio-private.h"
#include "trace/hw.h"
#include "util/log.h"
#include "util/util.h"

void virtio_init(VirtIODevice *vdev, uint32_t config_len)
{
    vdev->config_len = config_len;
    vdev->config = g_malloc0(MAX(config_len, 1));
    vdev->config_vector = VIRTIO_NO_VECTOR;
}

void virtio_error(VirtIODevice *vdev, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    if (vdev->broken) {
        return;
    }
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    warn_report("%s: %s; the device waits for a reset by its driver", vdev->dev.obj.type->name,
                text);
    vdev->broken = true;
    if (virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
        vdev->status |= VIRTIO_STATUS_NEEDS_RESET;
        virtio_notify_config(vdev);
    }
}

/* Interrupts. */

static void interrupt(VirtIODevice *vdev, uint8_t isr, uint16_t vector)
{
    vdev->isr |= isr;
    if (vdev->ops) {
        vdev->ops->interrupt(vdev->transport, vector);
    }
}

void virtio_notify(VirtIODevice *vdev, VirtQueue *vq)
{
    if (virtqueue_should_notify(vq)) {
        trace_virtio_notify(vdev->dev.obj.type->name, vq->index);
        interrupt(vdev, 1, vq->vector);
    }
}

void virtio_notify_config(VirtIODevice *vdev)
{
    if (vdev->status & VIRTIO_STATUS_DRIVER_OK) {
        vdev->generation++;
        interrupt(vdev, 2, vdev->config_vector);
    }
}

/* Configuration. */

uint64_t virtio_config_read(VirtIODevice *vdev, uint64_t addr, unsigned size)
{
    const VirtIODeviceClass *vc = virtio_device_class(vdev);
    uint64_t value = 0;

    if (addr >= vdev->config_len || size > vdev->config_len - addr) {
        return ~0ULL;
    }
    if (vc->get_config) {
        vc->get_config(vdev, vdev->config);
    }
    memcpy(&value, vdev->config + addr, size);
    return GUINT64_FROM_LE(value);
}

void virtio_config_write(VirtIODevice *vdev, uint64_t addr, uint64_t value, unsigned size)
{
    const VirtIODeviceClass *vc = virtio_device_class(vdev);

    if (addr >= vdev->config_len || size > vdev->config_len - addr) {
        return;
    }
    value = GUINT64_TO_LE(value);
    memcpy(vdev->config + addr, &value, size);
    if (vc->set_config) {
        vc->set_config(vdev, vdev->config);
    }
}

/* Status. */

void virtio_set_features(VirtIODevice *vdev, uint64_t features)
{
    const VirtIODeviceClass *vc = virtio_device_class(vdev);

    vdev->guest_features = features & vdev->host_features;
    if (vc->set_features) {
        vc->set_features(vdev, vdev->guest_features);
    }
}

void virtio_reset(VirtIODevice *vdev)
{
    const VirtIODeviceClass *vc = virtio_device_class(vdev);

    if (vc->set_status) {
        vc->set_status(vdev, 0);
    }
    vdev->status = vdev->isr = 0;
    vdev->queue_sel = 0;
    vdev->broken = vdev->started = false;
    vdev->config_vector = VIRTIO_NO_VECTOR;
    vdev->generation = 0;
    for (unsigned i = 0; i < vdev->n_queues; i++) {
        virtqueue_reset(vdev->vq[i]);
    }
    if (vc->reset) {
        vc->reset(vdev);
    }
    virtio_set_features(vdev, 0);
    if (vdev->ops) {
        vdev->ops->interrupt(vdev->transport, VIRTIO_NO_VECTOR);
    }
}

void virtio_set_status(VirtIODevice *vdev, uint8_t status)
{
    const VirtIODeviceClass *vc = virtio_device_class(vdev);

    trace_virtio_set_status(vdev->dev.obj.type->name, status);
    if (vc->set_status) {
        vc->set_status(vdev, status);
    }
    vdev->status = status | (vdev->status & VIRTIO_STATUS_NEEDS_RESET);
    vdev->started = status & VIRTIO_STATUS_DRIVER_OK;
}

void virtio_kick(VirtIODevice *vdev, unsigned n)
{
    VirtQueue *vq = n < vdev->n_queues ? vdev->vq[n] : NULL;

    if (vq && virtqueue_ready(vq)) {
        trace_virtio_kick(vdev->dev.obj.type->name, n);
        vq->handler(vdev, vq);
    }
}

/* What the driver made available while the machine stood still, or before it was moved. */
static void on_run(void *opaque, bool running, RunState s)
{
    VirtIODevice *vdev = opaque;

    for (unsigned i = 0; running && i < vdev->n_queues; i++) {
        virtio_kick(vdev, i);
    }
}

/* Life. */

bool virtio_device_realize(DeviceState *dev, Error **errp)
{
    VirtIODevice *vdev = (VirtIODevice *)dev;
    const VirtIODeviceClass *vc = virtio_device_class(vdev);

    if (!vc->realize(vdev, errp)) {
        virtio_device_unrealize(dev);
        return false;
    }
    g_assert(vdev->config); /* virtio_init() */
    vdev->host_features |= vc->get_features(vdev);
    vdev->run_notify = vm_state_change_add(on_run, vdev, 0);
    return true;
}

void virtio_device_unrealize(DeviceState *dev)
{
    VirtIODevice *vdev = (VirtIODevice *)dev;
    const VirtIODeviceClass *vc = virtio_device_class(vdev);

    if (vdev->run_notify) {
        vm_state_change_remove(vdev->run_notify);
        vdev->run_notify = NULL;
        if (vc->unrealize) {
            vc->unrealize(vdev);
        }
    }
    for (unsigned i = 0; i < vdev->n_queues; i++) {
        g_free(vdev->vq[i]);
    }
    vdev->n_queues = 0;
    g_clear_pointer(&vdev->config, g_free);
}

static void virtio_obj_init(Object *obj)
{
    VirtIODevice *vdev = (VirtIODevice *)obj;

    vdev->host_features = VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
                          VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX) |
                          VIRTIO_FEATURE(VIRTIO_F_NOTIFY_ON_EMPTY) |
                          VIRTIO_FEATURE(VIRTIO_F_ANY_LAYOUT);
}

static const TypeInfo virtio_type = {
    .name = TYPE_VIRTIO_DEVICE,
    .parent = TYPE_DEVICE,
    .abstract = true,
    .instance_size = sizeof(VirtIODevice),
    .init = virtio_obj_init,
};
TYPE_REGISTER(virtio_type)

/* Scattered buffers. */

size_t iov_size(const struct iovec *iov, unsigned n)
{
    size_t size = 0;

    for (unsigned i = 0; i < n; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

static size_t iov_copy(const struct iovec *iov, unsigned n, size_t offset, uint8_t *buf, size_t len,
                       bool into_iov)
{
    size_t done = 0;

    for (unsigned i = 0; i < n && done < len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        uint8_t *at = (uint8_t *)iov[i].iov_base + offset;
        size_t part = MIN(iov[i].iov_len - offset, len - done);
        memcpy(into_iov ? at : buf + done, into_iov ? buf + done : at, part);
        done += part;
        offset = 0;
    }
    return done;
}

size_t iov_to_buf(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len)
{
    return iov_copy(iov, n, offset, buf, len, /* into_iov= */ false);
}

size_t iov_from_buf(const struct iovec *iov, unsigned n, size_t offset, const void *buf,
                    size_t len)
{
    return iov_copy(iov, n, offset, (uint8_t *)buf, len, /* into_iov= */ true);
}
