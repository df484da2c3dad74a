/*
 * virtio-rng: random bytes for the guest (virtio 1.1, 5.4).  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/virtio/rng.h"
#include "hw/virtio/virtio.h"
#include "system/clock.h"
#include "util/util.h"

typedef struct VirtIORng {
    VirtIODevice vdev;
    char *rng;              /* property: id of the source; NULL: one of its own */
    uint64_t max_bytes;     /* ... in each period */
    uint32_t period_ms;
    VirtQueue *vq;
    RngBackend *backend;
    uint64_t quota;         /* bytes left in this period */
    Timer refill;
} VirtIORng;

static void rng_handle(VirtIODevice *vdev, VirtQueue *vq);

/* The source has more. */
static void rng_ready(void *opaque)
{
    VirtIORng *r = opaque;

    rng_handle(&r->vdev, r->vq);
}

/* Fill one chain; bytes written, 0 when nothing is to be had now. */
static size_t fill(VirtIORng *r, VirtQueueElement *elem)
{
    size_t done = 0;

    for (unsigned i = 0; i < elem->in_num && done < r->quota; i++) {
        size_t want = MIN(elem->in_sg[i].iov_len, r->quota - done);
        size_t got = rng_backend_read(r->backend, elem->in_sg[i].iov_base, want);

        done += got;
        if (got < want) {
            break;
        }
    }
    return done;
}

static void rng_handle(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIORng *r = (VirtIORng *)vdev;
    VirtQueueElement *elem;
    bool used = false;

    while (r->quota && (elem = virtqueue_pop(vq))) {
        size_t n = elem->in_num ? fill(r, elem) : 0;

        if (!n && elem->in_num) { /* rng_ready() comes back to it */
            virtqueue_unpop(vq, elem);
            break;
        }
        r->quota -= n;
        virtqueue_push(vq, elem, n);
        used = true;
    }
    if (used) {
        virtio_notify(vdev, vq);
    }
    if (!r->quota && !timer_pending(&r->refill)) {
        timer_mod(&r->refill, virtual_clock_ns() + r->period_ms * (NS_PER_SEC / 1000));
    }
}

static void refill(void *opaque)
{
    VirtIORng *r = opaque;

    r->quota = r->max_bytes;
    rng_handle(&r->vdev, r->vq);
}

static uint64_t rng_features(VirtIODevice *vdev)
{
    return 0;
}

static bool rng_realize(VirtIODevice *vdev, Error **errp)
{
    VirtIORng *r = (VirtIORng *)vdev;

    if (!r->period_ms) {
        error_setg(errp, "'period' parameter expects a positive integer");
        return false;
    }
    r->backend = rng_backend_get(r->rng, rng_ready, r, errp);
    if (!r->backend) {
        return false;
    }
    virtio_init(vdev, 0);
    r->vq = virtio_add_queue(vdev, 8, rng_handle);
    r->quota = r->max_bytes;
    timer_init(&r->refill, refill, r);
    return true;
}

static void rng_unrealize(VirtIODevice *vdev)
{
    VirtIORng *r = (VirtIORng *)vdev;

    timer_del(&r->refill);
    rng_backend_put(r->backend);
}

static const VMStateDescription vmstate_rng = {
    .name = "virtio-rng",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){ VMSTATE_VIRTIO_DEVICE, VMSTATE_END_OF_LIST() },
};

static const PropertyInfo rng_props[] = {
    { .name = "rng", .kind = PROP_STRING, .offset = offsetof(VirtIORng, rng),
      .type_name = "link<rng-backend>", .description = "id of the -object that random bytes come "
      "from (default: an rng-builtin)" },
    { .name = "max-bytes", .kind = PROP_UINT64, .offset = offsetof(VirtIORng, max_bytes),
      .def = "9223372036854775807", .description = "most bytes in a period" },
    { .name = "period", .kind = PROP_UINT32, .offset = offsetof(VirtIORng, period_ms),
      .def = "65536", .description = "milliseconds" },
    { .name = NULL },
};

static const VirtIODeviceClass rng_class = {
    VIRTIO_DEVICE_CLASS(&vmstate_rng, .desc = "random number generator"),
    .device_id = VIRTIO_ID_RNG,
    .get_features = rng_features,
    .realize = rng_realize,
    .unrealize = rng_unrealize,
};

static const TypeInfo rng_type = {
    .name = "virtio-rng-device",
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VirtIORng),
    .props = rng_props,
    .class_data = &rng_class,
};
TYPE_REGISTER(rng_type)
VIRTIO_PCI_TYPE(rng, "virtio-rng-pci", rng_type, 0x00ff, 2, "random number generator",
                "Misc devices")
