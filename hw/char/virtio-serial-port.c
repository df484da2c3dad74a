/*
 * Ports of virtio-serial: a channel that the guest opens, and a chardev.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/char/virtio-serial.h"
#include "qapi/qapi-events.h"
#include "util/util.h"

enum { READ_AT_ONCE = 4096, WRITE_MAX = 4 * MiB };
#define RETRY_NS (NS_PER_SEC / 1000)

static VirtQueue *in_queue(const VirtSerialPort *p)
{
    return p->serial->in[p->nr];
}

/* ---- from the guest ---- */

static void backlog_flush(VirtSerialPort *p)
{
    size_t n = chardev_write(p->chr, p->backlog->data, p->backlog->len);

    g_byte_array_remove_range(p->backlog, 0, n);
    if (p->backlog->len) {
        timer_mod(&p->retry, virtual_clock_ns() + RETRY_NS);
    }
}

static void retry(void *opaque)
{
    VirtSerialPort *p = opaque;

    backlog_flush(p);
    if (!p->backlog->len && virtqueue_ready(p->serial->out[p->nr])) {
        virtserial_port_write(p, p->serial->out[p->nr]);
    }
}

/* All of a chain leaves the guest at once: what the chardev does not take waits here. */
static void write_chain(VirtSerialPort *p, const VirtQueueElement *e)
{
    for (unsigned i = 0; i < e->out_num; i++) {
        const uint8_t *data = e->out_sg[i].iov_base;
        size_t len = e->out_sg[i].iov_len;
        size_t n = p->backlog->len ? 0 : chardev_write(p->chr, data, len);

        g_byte_array_append(p->backlog, data + n, len - n);
    }
    if (p->backlog->len) {
        timer_mod(&p->retry, virtual_clock_ns() + RETRY_NS);
    }
}

void virtserial_port_write(VirtSerialPort *p, VirtQueue *vq)
{
    VirtIODevice *vdev = &p->serial->vdev;
    VirtQueueElement *e;

    while (!p->backlog->len && (e = virtqueue_pop(vq))) {
        if (e->out_size > WRITE_MAX) {
            virtio_error(vdev, "port %u: %zu bytes at once", p->nr, e->out_size);
            virtqueue_element_free(e);
            return;
        }
        if (p->chr && p->host_connected) {
            write_chain(p, e);
        }
        virtqueue_push(vq, e, 0);
        virtio_notify(vdev, vq);
    }
}

void virtserial_port_set_open(VirtSerialPort *p, bool open)
{
    if (p->guest_connected == open) {
        return;
    }
    p->guest_connected = open;
    if (p->chr && !p->console) {
        chardev_set_open(p->chr, open);
    }
    if (p->dev.id) {
        qapi_event_send_vserport_change(p->dev.id, open);
    }
    if (open) {
        virtserial_port_room(p);
    }
}

/* ---- to the guest ---- */

void virtserial_port_room(VirtSerialPort *p)
{
    if (p->chr) {
        chardev_accept_input(p->chr);
    }
}

/* Nothing is read that the guest has no room for, or does not listen to. */
static int port_can_read(void *opaque)
{
    VirtSerialPort *p = opaque;

    if (!p->guest_connected) {
        return 0;
    }
    for (int n = READ_AT_ONCE; n; n /= 4) {
        if (virtqueue_avail_bytes(in_queue(p), n, 0)) {
            return n;
        }
    }
    return 0;
}

static void port_read(void *opaque, const uint8_t *buf, size_t len)
{
    VirtSerialPort *p = opaque;
    VirtQueue *vq = in_queue(p);
    VirtQueueElement *e;

    while (len && (e = virtqueue_pop(vq))) {
        size_t n = iov_from_buf(e->in_sg, e->in_num, 0, buf, len);

        virtqueue_push(vq, e, n);
        buf += n;
        len -= n;
    }
    virtio_notify(&p->serial->vdev, vq);
}

static void port_event(void *opaque, ChardevEvent event)
{
    VirtSerialPort *p = opaque;

    if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        p->host_connected = event == CHARDEV_OPENED;
        virtio_serial_send(p->serial, p->nr, SERIAL_PORT_OPEN, p->host_connected);
    }
}

/* ---- the device ---- */

static bool find_chardev(VirtSerialPort *p, Error **errp)
{
    const ChardevHandlers handlers = { port_can_read, port_read, port_event, p };

    if (!p->chardev) {
        return true;
    }
    p->chr = chardev_by_id(p->chardev);
    if (!p->chr) {
        error_setg(errp, "Property '%s.chardev' can't find value '%s'", p->dev.obj.type->name,
                   p->chardev);
        return false;
    }
    if (!chardev_attach(p->chr, &handlers, errp)) {
        p->chr = NULL;
        return false;
    }
    if (!p->console) {
        chardev_set_open(p->chr, false); /* until the guest opens it */
    }
    return true;
}

static bool port_realize(DeviceState *dev, Error **errp)
{
    VirtSerialPort *p = (VirtSerialPort *)dev;
    VirtIOSerial *s = dev->bus->opaque;

    p->console = object_is(&dev->obj, "virtconsole");
    for (uint32_t i = 0; i < s->max_ports && p->name; i++) {
        if (s->ports[i] && !g_strcmp0(s->ports[i]->name, p->name)) {
            error_setg(errp, "virtio-serial-bus: A port already exists by name %s", p->name);
            return false;
        }
    }
    if (!virtio_serial_plug(s, p, errp)) {
        return false;
    }
    p->backlog = g_byte_array_new();
    timer_init(&p->retry, retry, p);
    if (!find_chardev(p, errp)) {
        s->ports[p->nr] = NULL;
        g_clear_pointer(&p->backlog, g_byte_array_unref);
        return false;
    }
    return true;
}

static void port_unrealize(DeviceState *dev)
{
    VirtSerialPort *p = (VirtSerialPort *)dev;

    timer_del(&p->retry);
    if (p->chr) {
        chardev_detach(p->chr, p);
    }
    p->serial->ports[p->nr] = NULL;
    g_byte_array_unref(p->backlog);
}

static const PropertyInfo port_props[] = {
    { .name = "nr", .kind = PROP_UINT32, .offset = offsetof(VirtSerialPort, nr),
      .def = "0xffffffff", .description = "number of the port (default: the first free one)" },
    { .name = "name", .kind = PROP_STRING, .offset = offsetof(VirtSerialPort, name),
      .description = "name that the guest sees" },
    { .name = "chardev", .kind = PROP_STRING, .offset = offsetof(VirtSerialPort, chardev),
      .description = "ID of a chardev to use as a backend" },
    { .name = NULL },
};

static const DeviceClass port_class = {
    .desc = "channel of virtio-serial",
    .bus = "virtio-serial-bus",
    .category = "Input devices",
    .user_creatable = true,
    .realize = port_realize,
    .unrealize = port_unrealize,
};

static const TypeInfo port_type = {
    .name = "virtserialport",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(VirtSerialPort),
    .props = port_props,
    .class_data = &port_class,
};
TYPE_REGISTER(port_type)

static const TypeInfo console_type = {
    .name = "virtconsole",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(VirtSerialPort),
    .props = port_props,
    .class_data = &port_class,
};
TYPE_REGISTER(console_type)
