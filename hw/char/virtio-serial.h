/*
 * Private to hw/char: virtio-serial, the device and its ports.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_CHAR_VIRTIO_SERIAL_H
#define FERRY_HW_CHAR_VIRTIO_SERIAL_H

#include "chardev/chardev.h"
#include "hw/virtio/virtio.h"
#include "system/clock.h"

#define VIRTIO_SERIAL_PORTS 31 /* with their queues and two for control: VIRTIO_MAX_QUEUES */

typedef struct VirtIOSerial VirtIOSerial;

/* A port: "virtserialport", or "virtconsole", which the guest makes a console. */
typedef struct VirtSerialPort {
    DeviceState dev;
    uint32_t nr;            /* property, then the number in use */
    char *name, *chardev;
    bool console;
    VirtIOSerial *serial;   /* NULL until realized */
    Chardev *chr;           /* NULL: none */
    bool host_connected, guest_connected;
    GByteArray *backlog;    /* from the guest, not taken by the chardev yet */
    Timer retry;            /* while there is some */
} VirtSerialPort;

struct VirtIOSerial {
    VirtIODevice vdev;
    uint32_t max_ports;     /* property */
    VirtQueue *in[VIRTIO_SERIAL_PORTS], *out[VIRTIO_SERIAL_PORTS]; /* of each port */
    VirtQueue *control_in, *control_out;
    VirtSerialPort *ports[VIRTIO_SERIAL_PORTS];
    Timer loaded;           /* tells the guest what is different since it was moved */
};

/* Events of the control queues (virtio 1.1, 5.3.6.2). */
typedef enum SerialEvent {
    SERIAL_DEVICE_READY, SERIAL_PORT_ADD, SERIAL_PORT_REMOVE, SERIAL_PORT_READY,
    SERIAL_CONSOLE_PORT, SERIAL_RESIZE, SERIAL_PORT_OPEN, SERIAL_PORT_NAME,
} SerialEvent;

/* virtio-serial.c; machine lock */
void virtio_serial_send(VirtIOSerial *s, uint32_t id, SerialEvent event, uint16_t value);
/* A port number for p->nr (UINT32_MAX: the first free one); false when it cannot be had. */
bool virtio_serial_plug(VirtIOSerial *s, VirtSerialPort *p, Error **errp);

/* virtio-serial-port.c; machine lock */
/* The guest opened or closed its end. */
void virtserial_port_set_open(VirtSerialPort *p, bool open);
void virtserial_port_write(VirtSerialPort *p, VirtQueue *vq);  /* the guest has sent */
void virtserial_port_room(VirtSerialPort *p);                  /* it has given buffers */

#endif
