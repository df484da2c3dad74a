/*
 * virtio-serial: up to 31 byte channels between guest and host (virtio 1.1, 5.3).
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/char/virtio-serial.h"

#include <string.h>

#include "util/util.h"

enum { F_MULTIPORT = 1, F_EMERG_WRITE = 2 };
enum { QUEUE_SIZE = 128, CONTROL_SIZE = 32, CONFIG_SIZE = 12, MESSAGE_SIZE = 8 };

static bool multiport(const VirtIOSerial *s)
{
    return virtio_has_feature(&s->vdev, F_MULTIPORT);
}

/* ---- control ---- */

/* A message, with bytes behind it.  Lost when the guest has no buffer for it. */
static void send_message(VirtIOSerial *s, uint32_t id, SerialEvent event, uint16_t value,
                         const char *text)
{
    uint8_t head[MESSAGE_SIZE] = { id, id >> 8, id >> 16, id >> 24, event, event >> 8, value,
                                   value >> 8 };
    VirtQueueElement *e = multiport(s) ? virtqueue_pop(s->control_in) : NULL;
    size_t n;

    if (!e) {
        return;
    }
    n = iov_from_buf(e->in_sg, e->in_num, 0, head, sizeof(head));
    if (text) {
        n += iov_from_buf(e->in_sg, e->in_num, n, text, strlen(text) + 1);
    }
    virtqueue_push(s->control_in, e, n);
    virtio_notify(&s->vdev, s->control_in);
}

void virtio_serial_send(VirtIOSerial *s, uint32_t id, SerialEvent event, uint16_t value)
{
    send_message(s, id, event, value, NULL);
}

static void introduce_ports(VirtIOSerial *s)
{
    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i]) {
            virtio_serial_send(s, i, SERIAL_PORT_ADD, 1);
        }
    }
}

static void introduce_port(VirtIOSerial *s, const VirtSerialPort *p)
{
    if (p->console) {
        virtio_serial_send(s, p->nr, SERIAL_CONSOLE_PORT, 1);
    }
    if (p->name) {
        send_message(s, p->nr, SERIAL_PORT_NAME, 1, p->name);
    }
    if (p->host_connected) {
        virtio_serial_send(s, p->nr, SERIAL_PORT_OPEN, 1);
    }
}

/* What the guest says; messages that mean nothing are not answered. */
static void take_message(VirtIOSerial *s, const uint8_t *m)
{
    uint32_t id = m[0] | m[1] << 8 | m[2] << 16 | (uint32_t)m[3] << 24;
    unsigned event = m[4] | m[5] << 8, value = m[6] | m[7] << 8;
    VirtSerialPort *p = id < s->max_ports ? s->ports[id] : NULL;

    if (event == SERIAL_DEVICE_READY) {
        if (value) {
            introduce_ports(s);
        }
    } else if (p && event == SERIAL_PORT_READY) {
        if (value) {
            introduce_port(s, p);
        }
    } else if (p && event == SERIAL_PORT_OPEN) {
        virtserial_port_set_open(p, value != 0);
    }
}

static void handle_control_out(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtQueueElement *e;

    while ((e = virtqueue_pop(vq))) {
        uint8_t m[MESSAGE_SIZE];

        if (iov_to_buf(e->out_sg, e->out_num, 0, m, sizeof(m)) == sizeof(m)) {
            take_message((VirtIOSerial *)vdev, m);
        }
        virtqueue_push(vq, e, 0);
        virtio_notify(vdev, vq);
    }
}

static void handle_control_in(VirtIODevice *vdev, VirtQueue *vq)
{
}

/* ---- ports ---- */

/* The port whose queue this is: 0 has the first two, those of control follow. */
static VirtSerialPort *port_of(VirtIOSerial *s, const VirtQueue *vq)
{
    unsigned pair = virtqueue_index(vq) / 2;

    return s->ports[pair ? pair - 1 : 0];
}

static void handle_in(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtSerialPort *p = port_of((VirtIOSerial *)vdev, vq);

    if (p) {
        virtserial_port_room(p);
    }
}

static void handle_out(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtSerialPort *p = port_of((VirtIOSerial *)vdev, vq);
    VirtQueueElement *e;

    if (p) {
        virtserial_port_write(p, vq);
        return;
    }
    while ((e = virtqueue_pop(vq))) { /* to nobody */
        virtqueue_push(vq, e, 0);
        virtio_notify(vdev, vq);
    }
}

bool virtio_serial_plug(VirtIOSerial *s, VirtSerialPort *p, Error **errp)
{
    /* Number 0 is for consoles: drivers of old know no other. */
    uint32_t nr = p->nr != UINT32_MAX ? p->nr : p->console && !s->ports[0] ? 0 : 1;

    while (p->nr == UINT32_MAX && nr < s->max_ports && s->ports[nr]) {
        nr++;
    }
    if (nr >= s->max_ports) {
        error_setg(errp, "virtio-serial-bus: Out-of-range port id %u specified, max. allowed: %u",
                   nr, s->max_ports - 1);
        return false;
    }
    if (s->ports[nr]) {
        error_setg(errp, "virtio-serial-bus: A port already exists at id %u", nr);
        return false;
    }
    if (nr == 0 && !p->console) {
        error_setg(errp, "virtio-serial-bus: Port number 0 on virtio-serial devices reserved for "
                   "virtconsole devices for backward compatibility.");
        return false;
    }
    p->nr = nr;
    p->serial = s;
    s->ports[nr] = p;
    return true;
}

/* ---- the device ---- */

static uint64_t serial_features(VirtIODevice *vdev)
{
    return VIRTIO_FEATURE(F_EMERG_WRITE) |
           (((VirtIOSerial *)vdev)->max_ports > 1 ? VIRTIO_FEATURE(F_MULTIPORT) : 0);
}

/* Columns and rows (not offered), ports, emergency character. */
static void serial_get_config(VirtIODevice *vdev, uint8_t *config)
{
    uint32_t ports = GUINT32_TO_LE(((VirtIOSerial *)vdev)->max_ports);

    memset(config, 0, CONFIG_SIZE);
    memcpy(config + 4, &ports, sizeof(ports));
}

/* A character for the console from a guest that has nothing set up. */
static void serial_set_config(VirtIODevice *vdev, const uint8_t *config)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;

    for (uint32_t i = 0; i < s->max_ports && config[8]; i++) {
        VirtSerialPort *p = s->ports[i];
        if (p && p->console && p->chr) {
            chardev_write(p->chr, config + 8, 1);
            return;
        }
    }
}

/* Drivers that know one port only do not say when they open it. */
static void serial_set_status(VirtIODevice *vdev, uint8_t status)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;

    if (!(status & VIRTIO_STATUS_DRIVER_OK)) {
        for (uint32_t i = 0; i < s->max_ports; i++) {
            if (s->ports[i]) {
                virtserial_port_set_open(s->ports[i], false);
            }
        }
    } else if (s->ports[0] && !multiport(s)) {
        virtserial_port_set_open(s->ports[0], true);
    }
}

/* The guest runs here now: does it know which ports somebody is at? */
static void loaded(void *opaque)
{
    VirtIOSerial *s = opaque;

    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i]) {
            virtio_serial_send(s, i, SERIAL_PORT_OPEN, s->ports[i]->host_connected);
        }
    }
}

static void add_pair(VirtIOSerial *s, unsigned i)
{
    s->in[i] = virtio_add_queue(&s->vdev, QUEUE_SIZE, handle_in);
    s->out[i] = virtio_add_queue(&s->vdev, QUEUE_SIZE, handle_out);
}

static bool serial_realize(VirtIODevice *vdev, Error **errp)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;
    DeviceState *proxy = (DeviceState *)vdev->dev.obj.parent; /* the transport has the id */
    static unsigned counter;
    g_autofree char *name = NULL;

    if (!s->max_ports || s->max_ports > VIRTIO_SERIAL_PORTS) {
        error_setg(errp, "max_ports=%u is not between 1 and %d", s->max_ports, VIRTIO_SERIAL_PORTS);
        return false;
    }
    name = proxy->id ? g_strdup_printf("%s.0", proxy->id)
                     : g_strdup_printf("virtio-serial-bus.%u", counter++);
    Bus *bus = bus_new("virtio-serial-bus", name);
    bus->opaque = s;
    bus->parent = proxy;
    virtio_init(vdev, CONFIG_SIZE);
    add_pair(s, 0);
    s->control_in = virtio_add_queue(vdev, CONTROL_SIZE, handle_control_in);
    s->control_out = virtio_add_queue(vdev, CONTROL_SIZE, handle_control_out);
    for (unsigned i = 1; i < s->max_ports; i++) {
        add_pair(s, i);
    }
    timer_init(&s->loaded, loaded, s);
    return true;
}

static void serial_unrealize(VirtIODevice *vdev)
{
    timer_del(&((VirtIOSerial *)vdev)->loaded);
}

/* ---- saved state, in the layout observed on the wire ---- */

static uint32_t port_map(const VirtIOSerial *s)
{
    uint32_t map = 0;

    for (uint32_t i = 0; i < s->max_ports; i++) {
        map |= s->ports[i] ? 1u << i : 0;
    }
    return map;
}

/* What a port sent is with its chardev: nothing is held. */
static void serial_save(VirtIODevice *vdev, Stream *stream)
{
    const VirtIOSerial *s = (const VirtIOSerial *)vdev;

    stream_put_be16(stream, 0); /* columns */
    stream_put_be16(stream, 0); /* rows */
    stream_put_be32(stream, s->max_ports);
    stream_put_be32(stream, port_map(s));
    stream_put_be32(stream, __builtin_popcount(port_map(s)));
    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->ports[i]) {
            stream_put_be32(stream, i);
            stream_put_u8(stream, s->ports[i]->guest_connected);
            stream_put_u8(stream, s->ports[i]->host_connected);
            stream_put_be32(stream, 0); /* chains held */
        }
    }
}

static bool load_port(VirtIOSerial *s, Stream *stream, Error **errp)
{
    uint32_t id = stream_get_be32(stream);
    bool open = stream_get_u8(stream);

    stream_get_u8(stream); /* whether somebody was there at the source */
    uint32_t held = stream_get_be32(stream);
    if (stream_error(stream, errp)) {
        return false;
    }
    if (id >= s->max_ports || !s->ports[id]) {
        error_setg(errp, "there is no port %u", id);
        return false;
    }
    if (held) {
        error_setg(errp, "port %u: the source holds what its reader did not take yet; move the "
                   "guest when it has caught up", id);
        return false;
    }
    virtserial_port_set_open(s->ports[id], open);
    return true;
}

static bool serial_load(VirtIODevice *vdev, Stream *stream, Error **errp)
{
    VirtIOSerial *s = (VirtIOSerial *)vdev;
    uint32_t map, n;

    stream_skip(stream, 2 + 2 + 4);
    map = stream_get_be32(stream);
    n = stream_get_be32(stream);
    if (stream_error(stream, errp)) {
        return false;
    }
    if (map != port_map(s) || n != __builtin_popcount(map)) {
        error_setg(errp, "the stream has ports 0x%x (%u of them), this device 0x%x", map, n,
                   port_map(s));
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!load_port(s, stream, errp)) {
            return false;
        }
    }
    timer_mod(&s->loaded, virtual_clock_ns() + 1);
    return true;
}

static const VMStateDescription vmstate_serial = {
    .name = "virtio-console",
    .version_id = 3,
    .minimum_version_id = 3,
    .fields = (const VMStateField[]){ VMSTATE_VIRTIO_DEVICE, VMSTATE_END_OF_LIST() },
};

static const PropertyInfo serial_props[] = {
    { .name = "max_ports", .kind = PROP_UINT32, .offset = offsetof(VirtIOSerial, max_ports),
      .def = "31" },
    { .name = NULL },
};

static const VirtIODeviceClass serial_class = {
    VIRTIO_DEVICE_CLASS(&vmstate_serial, .desc = "byte channels"),
    .device_id = VIRTIO_ID_CONSOLE,
    .get_features = serial_features,
    .realize = serial_realize,
    .unrealize = serial_unrealize,
    .get_config = serial_get_config,
    .set_config = serial_set_config,
    .set_status = serial_set_status,
    .save = serial_save,
    .load = serial_load,
};

static const TypeInfo serial_type = {
    .name = "virtio-serial-device",
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VirtIOSerial),
    .props = serial_props,
    .class_data = &serial_class,
};
TYPE_REGISTER(serial_type)
VIRTIO_PCI_TYPE(serial, "virtio-serial-pci", serial_type, 0x0780, 2, "byte channels",
                "Input devices")
