/*
 * Virtio devices: features, status, configuration, split virtqueues (virtio 1.1, chapter 2).
 *
 * A device is two types: "virtio-X-device", a TypeInfo with parent TYPE_VIRTIO_DEVICE and a
 * VirtIODeviceClass, which knows nothing of its transport; and "virtio-X-pci", made of it by
 * VIRTIO_PCI_TYPE(), which the user asks for and which takes every property of the former.
 * docs/developer/virtio.md walks through one.
 *
 * Everything runs under the machine lock.  Rings and buffers are guest memory: a touch may
 * sleep until a page arrives (postcopy), never on this lock.  What the guest says is checked
 * by virtqueue_pop(); a guest that breaks the rules gets a device that needs a reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_VIRTIO_VIRTIO_H
#define FERRY_HW_VIRTIO_VIRTIO_H

#include <sys/uio.h>

#include "hw/core/device.h"
#include "system/runstate.h"

#define TYPE_VIRTIO_DEVICE "virtio-device"
#define VIRTIO_DEVICE(obj) ((VirtIODevice *)object_check((obj), TYPE_VIRTIO_DEVICE))

/* Device ids (virtio 1.1, 5). */
#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLOCK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_RNG 4
#define VIRTIO_ID_BALLOON 5

/* Device status (2.1). */
#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER 2
#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_NEEDS_RESET 64
#define VIRTIO_STATUS_FAILED 128

/* Features of every device, as bit numbers (6, and 6.3 for legacy). */
#define VIRTIO_F_NOTIFY_ON_EMPTY 24
#define VIRTIO_F_ANY_LAYOUT 27
#define VIRTIO_RING_F_INDIRECT_DESC 28
#define VIRTIO_RING_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_FEATURE(bit) (1ULL << (bit))

#define VIRTIO_MAX_QUEUES 64
#define VIRTQUEUE_MAX_SIZE 1024
#define VIRTIO_NO_VECTOR 0xffff

typedef struct VirtIODevice VirtIODevice;
typedef struct VirtQueue VirtQueue;
typedef void VirtQueueHandler(VirtIODevice *vdev, VirtQueue *vq);

typedef struct VirtIODeviceClass {
    DeviceClass parent;        /* with VIRTIO_DEVICE_CLASS() */
    uint16_t device_id;        /* VIRTIO_ID_... */
    /* Device features, without those of the transport and of the rings. */
    uint64_t (*get_features)(VirtIODevice *vdev);
    /* The guest has chosen; may be NULL. */
    void (*set_features)(VirtIODevice *vdev, uint64_t features);
    /* virtio_init(), queues, own things.  Properties are set. */
    bool (*realize)(VirtIODevice *vdev, Error **errp);
    void (*unrealize)(VirtIODevice *vdev);        /* NULL: nothing to undo */
    void (*reset)(VirtIODevice *vdev);            /* own things; queues are reset; NULL: none */
    /* Fill in vdev->config before the guest reads it / take it after it has written; or NULL. */
    void (*get_config)(VirtIODevice *vdev, uint8_t *config);
    void (*set_config)(VirtIODevice *vdev, const uint8_t *config);
    void (*set_status)(VirtIODevice *vdev, uint8_t status);  /* before it changes; or NULL */
    /*
     * The device's own part of the section, between queues and subsections.  save/load are
     * for bytes that no description covers, state for the rest; each may be NULL.
     */
    void (*save)(VirtIODevice *vdev, Stream *s);
    bool (*load)(VirtIODevice *vdev, Stream *s, Error **errp);
    const VMStateDescription *state;              /* of the whole device struct */
    /* All is loaded: check what hangs together.  False refuses the stream; or NULL. */
    bool (*post_load)(VirtIODevice *vdev, Error **errp);
} VirtIODeviceClass;

/* The DeviceClass in class_data; `vmsd` is the device's section, see VMSTATE_VIRTIO_DEVICE. */
#define VIRTIO_DEVICE_CLASS(vmsd_, ...)                                                    \
    .parent = { .bus = "virtio-bus", .vmsd = (vmsd_), .realize = virtio_device_realize,    \
                .unrealize = virtio_device_unrealize, __VA_ARGS__ }
bool virtio_device_realize(DeviceState *dev, Error **errp);
void virtio_device_unrealize(DeviceState *dev);

/* What the transport does for the device. */
typedef struct VirtIOTransportOps {
    void (*interrupt)(void *transport, uint16_t vector); /* isr is set; VIRTIO_NO_VECTOR: none */
    bool (*may_access_memory)(void *transport);
    void (*save_config)(void *transport, Stream *s);
    bool (*load_config)(void *transport, Stream *s, Error **errp);
    bool (*has_vectors)(void *transport);                /* saved behind each queue */
    const VMStateDescription *extra_state;               /* of the transport; or NULL */
} VirtIOTransportOps;

struct VirtIODevice {
    DeviceState dev;
    const VirtIOTransportOps *ops; /* NULL: nothing is plugged (unit tests) */
    void *transport;
    uint8_t status, isr;
    uint16_t queue_sel;
    uint64_t host_features, guest_features;
    uint8_t *config;               /* as the guest sees it, little endian; config_len bytes */
    uint32_t config_len;
    uint32_t generation;           /* counts changes of config */
    uint16_t config_vector;
    bool broken;                   /* the guest broke the rules: deaf until reset */
    bool started;                  /* section virtio/started */
    VirtQueue *vq[VIRTIO_MAX_QUEUES];
    unsigned n_queues;
    VMStateChangeEntry *run_notify;
};

static inline const VirtIODeviceClass *virtio_device_class(const VirtIODevice *vdev)
{
    return (const VirtIODeviceClass *)device_class(&vdev->dev);
}
/* The guest accepted the feature. */
static inline bool virtio_has_feature(const VirtIODevice *vdev, unsigned bit)
{
    return vdev->guest_features & VIRTIO_FEATURE(bit);
}

/* In realize, first: length of the device's configuration (may be 0). */
void virtio_init(VirtIODevice *vdev, uint32_t config_len);
/* In realize: the next queue, of `size` entries unless the driver makes it smaller. */
VirtQueue *virtio_add_queue(VirtIODevice *vdev, uint16_t size, VirtQueueHandler *handler);
unsigned virtqueue_index(const VirtQueue *vq);
/* Has the driver set it up and does the device run? */
bool virtqueue_ready(const VirtQueue *vq);

/* A chain of descriptors, in host memory. */
typedef struct VirtQueueElement {
    unsigned index;                /* head of the chain */
    unsigned out_num, in_num;
    struct iovec *out_sg, *in_sg;  /* the device reads out, writes in */
    size_t out_size, in_size;      /* bytes of each */
} VirtQueueElement;

/*
 * Next chain that the driver made available; NULL when there is none, when the machine is
 * stopped, or when the device is broken (now, by this chain, too).  The caller owns it until it
 * gives it to one of the functions below.
 */
VirtQueueElement *virtqueue_pop(VirtQueue *vq);
/*
 * Give the chain back as used: `len` bytes were written into in_sg, from its start; they are
 * marked dirty here.  Frees it.  Then virtio_notify().
 */
void virtqueue_push(VirtQueue *vq, VirtQueueElement *elem, uint32_t len);
/* The same in two steps, for several chains that must appear at once: idx counts from 0. */
void virtqueue_fill(VirtQueue *vq, VirtQueueElement *elem, uint32_t len, unsigned idx);
void virtqueue_flush(VirtQueue *vq, unsigned count);
/* Put the chain popped last back, as if it had not been popped.  Frees it. */
void virtqueue_unpop(VirtQueue *vq, VirtQueueElement *elem);
/* Forget the chain without using it up (device reset).  Frees it. */
void virtqueue_element_free(VirtQueueElement *elem);
/*
 * The last n chains that were popped and not pushed are to be popped again: what a device held
 * when it was saved, and that is not in its saved state.  False when there are not so many.
 */
bool virtqueue_rewind(VirtQueue *vq, unsigned n);
/* Nothing to pop. */
bool virtqueue_empty(VirtQueue *vq);
/*
 * Does the driver have in/out buffers of so many bytes on offer?  Looks at the chains without
 * popping them.
 */
bool virtqueue_avail_bytes(VirtQueue *vq, size_t in_bytes, size_t out_bytes);
/* Ask the driver to kick, or not to. */
void virtqueue_set_notification(VirtQueue *vq, bool enable);

/* Interrupt for used buffers, if the driver wants one. */
void virtio_notify(VirtIODevice *vdev, VirtQueue *vq);
/* Interrupt for a changed configuration. */
void virtio_notify_config(VirtIODevice *vdev);
/* The guest broke the rules: one line in the log, device deaf until reset. */
void virtio_error(VirtIODevice *vdev, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Scattered buffers: bytes copied (what fits), from or to `offset`. */
size_t iov_size(const struct iovec *iov, unsigned n);
size_t iov_to_buf(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len);
size_t iov_from_buf(const struct iovec *iov, unsigned n, size_t offset, const void *buf,
                    size_t len);

/*
 * The one field of a device's section:
 *
 *     static const VMStateDescription vmstate_virtio_rng = {
 *         .name = "virtio-rng", .version_id = 1, .minimum_version_id = 1,
 *         .fields = (const VMStateField[]){ VMSTATE_VIRTIO_DEVICE, VMSTATE_END_OF_LIST() },
 *     };
 */
extern const VMStateInfo vmstate_info_virtio;
#define VMSTATE_VIRTIO_DEVICE { .name = "virtio", .info = &vmstate_info_virtio }

/*
 * Registers "virtio-X-pci", and its forms "-transitional" (with legacy interface) and
 * "-non-transitional" (without), for a device type: VIRTIO_PCI_TYPE(virtio_rng_pci, "virtio-rng-pci",
 * virtio_rng_type, 0x00ff, 2, description, heading).  class_id is of PCI, vectors the default number
 * for MSI-X, VIRTIO_VECTORS_AUTO: one a queue and one for the configuration.
 */
#define VIRTIO_VECTORS_AUTO 0xffffffffu
void virtio_pci_type_register(const char *name, const TypeInfo *device, uint16_t class_id,
                              unsigned vectors, const char *desc, const char *category);
#define VIRTIO_PCI_TYPE(id_, name_, device_, class_id_, vectors_, desc_, category_)        \
    static void __attribute__((constructor)) virtio_pci_register_##id_(void)               \
    {                                                                                      \
        virtio_pci_type_register(name_, &(device_), class_id_, vectors_, desc_, category_); \
    }

#endif
