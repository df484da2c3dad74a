/*
 * Virtio over PCI (virtio 1.1, 4.1): the transport's registers and its saved state.
 * Machine lock.
 *
 * BAR 0 is the legacy I/O interface, BAR 1 the MSI-X table, BAR 4 the modern registers: four
 * pages for common configuration, interrupt status, device configuration and notifications.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/virtio/virtio-pci.h"

#include <string.h>

#include "trace/hw.h"
#include "util/util.h"

/* Property disable-legacy. */
enum { DISABLE_AUTO, DISABLE_ON, DISABLE_OFF };
static const char *const on_off_auto[] = { "auto", "on", "off", NULL };

/* Status and vectors. */

static void vpci_interrupt(void *opaque, uint16_t vector)
{
    VirtIOPCI *p = opaque;

    if (!msix_enabled(&p->pci)) {
        pci_set_irq(&p->pci, p->vdev->isr != 0);
    } else if (vector != VIRTIO_NO_VECTOR) {
        msix_notify(&p->pci, vector);
    }
}

static bool vpci_may_access_memory(void *opaque)
{
    return pci_bus_master(&((VirtIOPCI *)opaque)->pci);
}

static void full_reset(VirtIOPCI *p)
{
    p->dfselect = p->gfselect = 0;
    p->guest_features[0] = p->guest_features[1] = 0;
    memset(p->queues, 0, sizeof(p->queues));
    virtio_reset(p->vdev);
    for (unsigned i = 0; i < p->vdev->n_queues; i++) {
        p->queues[i].num = p->vdev->vq[i]->num;
    }
}

void virtio_pci_set_status(VirtIOPCI *p, uint8_t status)
{
    uint64_t unknown = (p->guest_features[0] | (uint64_t)p->guest_features[1] << 32) &
                       ~p->vdev->host_features;

    if (!status) {
        full_reset(p);
        return;
    }
    if (unknown || !virtio_has_feature(p->vdev, VIRTIO_F_VERSION_1)) {
        status &= ~VIRTIO_STATUS_FEATURES_OK; /* a legacy driver does not know it */
    }
    virtio_set_status(p->vdev, status);
    if (status & VIRTIO_STATUS_DRIVER_OK) {
        for (unsigned i = 0; i < p->vdev->n_queues; i++) {
            virtio_kick(p->vdev, i); /* buffers may be there already */
        }
    }
}

uint8_t virtio_pci_read_isr(VirtIOPCI *p)
{
    uint8_t isr = p->vdev->isr;

    p->vdev->isr = 0;
    pci_set_irq(&p->pci, 0);
    return isr;
}

uint16_t virtio_pci_check_vector(const VirtIOPCI *p, uint16_t vector)
{
    return vector < msix_vectors(&p->pci) ? vector : VIRTIO_NO_VECTOR;
}

VirtQueue *virtio_pci_selected(const VirtIOPCI *p)
{
    return p->vdev->queue_sel < p->vdev->n_queues ? p->vdev->vq[p->vdev->queue_sel] : NULL;
}

/* Saved state. */

static void vpci_save_config(void *opaque, Stream *s)
{
    VirtIOPCI *p = opaque;

    vmstate_save(s, &vmstate_pci_device, &p->pci, NULL);
    msix_save(&p->pci, s);
    if (p->pci.msix) {
        stream_put_be16(s, p->vdev->config_vector);
    }
}

static bool vpci_load_config(void *opaque, Stream *s, Error **errp)
{
    VirtIOPCI *p = opaque;

    if (!vmstate_load(s, &vmstate_pci_device, &p->pci, vmstate_pci_device.version_id, errp) ||
        !msix_load(&p->pci, s, errp)) {
        return false;
    }
    if (p->pci.msix) {
        p->vdev->config_vector = virtio_pci_check_vector(p, stream_get_be16(s));
    }
    return true;
}

static bool vpci_has_vectors(void *opaque)
{
    return ((VirtIOPCI *)opaque)->pci.msix != NULL;
}

static const VMStateDescription vmstate_queue = {
    .name = "virtio_pci/modern_queue_state",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16(num, VirtIOPCIQueue),
        VMSTATE_UNUSED(1),
        VMSTATE_BOOL(enabled, VirtIOPCIQueue),
        VMSTATE_UINT32_ARRAY(desc, VirtIOPCIQueue, 2),
        VMSTATE_UINT32_ARRAY(avail, VirtIOPCIQueue, 2),
        VMSTATE_UINT32_ARRAY(used, VirtIOPCIQueue, 2),
        VMSTATE_END_OF_LIST(),
    },
};

static bool modern_needed(void *opaque)
{
    return !((VirtIOPCI *)opaque)->disable_modern;
}

static const VMStateDescription vmstate_modern = {
    .name = "virtio_pci/modern_state",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = modern_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(dfselect, VirtIOPCI),
        VMSTATE_UINT32(gfselect, VirtIOPCI),
        VMSTATE_UINT32_ARRAY(guest_features, VirtIOPCI, 2),
        VMSTATE_STRUCT_ARRAY(queues, VirtIOPCI, VIRTIO_WIRE_QUEUES, 0, vmstate_queue,
                             VirtIOPCIQueue),
        VMSTATE_END_OF_LIST(),
    },
};

static const VMStateDescription vmstate_virtio_pci = {
    .name = "virtio_pci",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){ VMSTATE_END_OF_LIST() },
    .subsections = (const VMStateDescription *const[]){ &vmstate_modern, NULL },
};

static const VirtIOTransportOps transport_ops = {
    .interrupt = vpci_interrupt,
    .may_access_memory = vpci_may_access_memory,
    .save_config = vpci_save_config,
    .load_config = vpci_load_config,
    .has_vectors = vpci_has_vectors,
    .extra_state = &vmstate_virtio_pci,
};

/* Life. */

static void set_ids(VirtIOPCI *p)
{
    uint16_t id = virtio_device_class(p->vdev)->device_id;
    uint8_t *c = p->pci.config;

    if (p->legacy) {
        static const uint16_t transitional[] = {
            [VIRTIO_ID_NET] = 0x1000, [VIRTIO_ID_BLOCK] = 0x1001, [VIRTIO_ID_BALLOON] = 0x1002,
            [VIRTIO_ID_CONSOLE] = 0x1003, [VIRTIO_ID_RNG] = 0x1005,
        };
        g_assert(id < ARRAY_SIZE(transitional) && transitional[id]);
        pci_set16(c + PCI_DEVICE_ID, transitional[id]);
        pci_set16(c + PCI_SUBSYSTEM_ID, id);
    } else {
        pci_set16(c + PCI_DEVICE_ID, 0x1040 + id);
        c[PCI_REVISION_ID] = 1;
    }
    c[PCI_INTERRUPT_PIN] = 1;
}

static bool add_registers(VirtIOPCI *p, Error **errp)
{
    PCIDevice *d = &p->pci;

    if (!pci_bus_parent(d->bus)) {
        d->express = false;
    } else {
        pci_add_express(d, PCI_EXP_TYPE_ENDPOINT, 0);
    }
    if (!p->disable_modern) {
        virtio_pci_modern_init(p);
    }
    if (p->vectors == VIRTIO_VECTORS_AUTO) {
        p->vectors = p->vdev->n_queues + 1;
    }
    if (p->vectors && !msix_init(d, 1, p->vectors, errp)) {
        return false;
    }
    if (p->legacy) {
        virtio_pci_legacy_init(p);
    }
    return true;
}

static bool plug_backend(VirtIOPCI *p, Error **errp)
{
    DeviceState *dev = &p->vdev->dev;
    Bus *bus = bus_new("virtio-bus", "virtio-bus");

    bus->parent = &p->pci.dev;
    bus->dev_path = virtio_pci_dev_path;
    dev->bus = bus;
    p->vdev->ops = &transport_ops;
    p->vdev->transport = p;
    if (!p->disable_modern) {
        p->vdev->host_features |= VIRTIO_FEATURE(VIRTIO_F_VERSION_1);
    }
    return device_realize(dev, errp);
}

/* Its section is named after the PCI device that it is behind. */
char *virtio_pci_dev_path(const DeviceState *dev)
{
    const DeviceState *proxy = dev->bus->parent;

    return proxy->bus->dev_path(proxy);
}

static bool vpci_realize(PCIDevice *d, Error **errp)
{
    VirtIOPCI *p = (VirtIOPCI *)d;
    bool behind_port = pci_bus_parent(d->bus) != NULL;

    /* A port passes no I/O on unless it has to: devices behind one are modern by default. */
    p->legacy = p->disable_legacy == DISABLE_OFF ||
                (p->disable_legacy == DISABLE_AUTO && !behind_port);
    if (!p->legacy && p->disable_modern) {
        error_setg(errp, "%s: device cannot work as neither modern nor legacy mode is enabled",
                   d->dev.obj.type->name);
        return false;
    }
    set_ids(p);
    if (!plug_backend(p, errp)) {
        return false;
    }
    if (!add_registers(p, errp)) {
        device_unrealize(&p->vdev->dev);
        return false;
    }
    return true;
}

static void vpci_unrealize(PCIDevice *d)
{
    VirtIOPCI *p = (VirtIOPCI *)d;

    device_unrealize(&p->vdev->dev);
}

static void vpci_reset(PCIDevice *d)
{
    full_reset((VirtIOPCI *)d);
}

static void vpci_config_written(PCIDevice *d, unsigned addr, unsigned size)
{
    virtio_pci_window_access((VirtIOPCI *)d, addr, size, /* write= */ true);
}

static void vpci_config_reading(PCIDevice *d, unsigned addr, unsigned size)
{
    virtio_pci_window_access((VirtIOPCI *)d, addr, size, /* write= */ false);
}

/* Types: a proxy takes the properties of the device behind it. */

typedef struct VirtIOPCIClass {
    PCIDeviceClass parent;
    const TypeInfo *device;
    char vectors[12];           /* default of the property, as text */
    int disable_legacy;         /* default of that property */
} VirtIOPCIClass;

static void vpci_init(Object *obj)
{
    VirtIOPCI *p = (VirtIOPCI *)obj;
    const VirtIOPCIClass *vpc = type_class_data(obj->type);

    p->pci.express = true; /* room for it; realize decides */
    p->disable_legacy = vpc->disable_legacy;
    p->vdev = VIRTIO_DEVICE(object_new(vpc->device->name));
    g_assert(object_add_child(obj, "virtio-backend", &p->vdev->dev.obj, NULL));
    object_unref(&p->vdev->dev.obj); /* the tree holds it */
    object_apply_globals(&p->vdev->dev.obj, &p->vdev->dev.new_error);
}

static JsonNode *forward_get(Object *obj, const PropertyInfo *prop, Error **errp)
{
    return object_property_get(&((VirtIOPCI *)obj)->vdev->dev.obj, prop->name, errp);
}

static bool forward_set(Object *obj, const PropertyInfo *prop, JsonNode *value, Error **errp)
{
    Object *to = &((VirtIOPCI *)obj)->vdev->dev.obj;

    if (json_node_get_value_type(value) == G_TYPE_STRING) { /* from a command line */
        return object_property_parse(to, prop->name, json_node_get_string(value), errp);
    }
    return object_property_set(to, prop->name, value, errp);
}

static const PropertyInfo vpci_props[] = {
    { .name = "disable-legacy", .kind = PROP_ENUM, .offset = offsetof(VirtIOPCI, disable_legacy),
      .type_name = "OnOffAuto", .enum_names = on_off_auto, .description = "on/off/auto" },
    { .name = "disable-modern", .kind = PROP_BOOL, .offset = offsetof(VirtIOPCI, disable_modern),
      .description = "on/off" },
    { .name = NULL },
};

static const TypeInfo vpci_type = {
    .name = TYPE_VIRTIO_PCI,
    .parent = TYPE_PCI_DEVICE,
    .abstract = true,
    .instance_size = sizeof(VirtIOPCI),
    .props = vpci_props,
    .init = vpci_init,
};
TYPE_REGISTER(vpci_type)

static unsigned count_props(const TypeInfo *t)
{
    unsigned n = 0;

    while (t->props && t->props[n].name) {
        n++;
    }
    return n;
}

static const PropertyInfo *forwarding_props(const TypeInfo *device, const char *vectors)
{
    unsigned n = count_props(device);
    PropertyInfo *props = g_new0(PropertyInfo, n + 2);

    for (unsigned i = 0; i < n; i++) {
        props[i] = device->props[i];
        props[i].type_name = property_type_name(&device->props[i]);
        props[i].kind = PROP_CUSTOM;
        props[i].get = forward_get;
        props[i].set = device->props[i].readonly ? NULL : forward_set;
        props[i].check = NULL;
    }
    props[n] = (PropertyInfo){
        .name = "vectors", .kind = PROP_UINT32, .offset = offsetof(VirtIOPCI, vectors),
        .def = vectors, .description = "MSI-X vectors, 0: none",
    };
    return props;
}

static void register_variant(char *name, const VirtIOPCIClass *model, unsigned vectors,
                             int disable_legacy)
{
    VirtIOPCIClass *vpc = g_memdup2(model, sizeof(*model));
    TypeInfo *type = g_new0(TypeInfo, 1);

    vpc->disable_legacy = disable_legacy;
    g_snprintf(vpc->vectors, sizeof(vpc->vectors), "%u", vectors);
    type->name = name;
    type->parent = TYPE_VIRTIO_PCI;
    type->props = forwarding_props(vpc->device, vpc->vectors);
    type->class_data = vpc;
    type->description = vpc->parent.parent.desc;
    type_register(type);
}

void virtio_pci_type_register(const char *name, const TypeInfo *device, uint16_t class_id,
                              unsigned vectors, const char *desc, const char *category)
{
    VirtIOPCIClass model = {
        .parent = {
            PCI_DEVICE_CLASS(.desc = desc, .category = category, .user_creatable = true),
            .vendor_id = PCI_VENDOR_ID_VIRTIO,
            .class_id = class_id,
            .realize = vpci_realize,
            .unrealize = vpci_unrealize,
            .reset = vpci_reset,
            .config_written = vpci_config_written,
            .config_reading = vpci_config_reading,
        },
        .device = device,
    };

    register_variant(g_strdup(name), &model, vectors, DISABLE_AUTO);
    register_variant(g_strconcat(name, "-transitional", NULL), &model, vectors, DISABLE_OFF);
    register_variant(g_strconcat(name, "-non-transitional", NULL), &model, vectors, DISABLE_ON);
}
