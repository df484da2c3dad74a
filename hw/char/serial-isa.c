/*
 * isa-serial: a UART at COM1..COM4.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/char/serial.h"
#include "hw/core/device.h"
#include "hw/i386/x86-irq.h"
#include "util/util.h"

typedef struct ISASerialState {
    DeviceState dev;
    SerialState state;
    uint32_t index, iobase, irq;
    char *chardev;
} ISASerialState;

static const struct {
    uint16_t iobase;
    uint8_t irq;
} com_ports[MAX_ISA_SERIAL_PORTS] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };

static unsigned used_ports; /* bit i: index i is taken */

static bool choose_index(ISASerialState *isa, Error **errp)
{
    if (isa->index == UINT32_MAX) {
        for (isa->index = 0; isa->index < MAX_ISA_SERIAL_PORTS; isa->index++) {
            if (!(used_ports & (1u << isa->index))) {
                break;
            }
        }
    }
    if (isa->index >= MAX_ISA_SERIAL_PORTS) {
        error_setg(errp, "isa-serial: index must be 0 to %d, one for each port",
                   MAX_ISA_SERIAL_PORTS - 1);
        return false;
    }
    if (used_ports & (1u << isa->index)) {
        error_setg(errp, "isa-serial: index %u is used by another serial port", isa->index);
        return false;
    }
    return true;
}

static bool isa_serial_realize(DeviceState *dev, Error **errp)
{
    ISASerialState *isa = (ISASerialState *)dev;

    if (!choose_index(isa, errp)) {
        return false;
    }
    if (isa->iobase == UINT32_MAX) {
        isa->iobase = com_ports[isa->index].iobase;
    }
    if (isa->irq == UINT32_MAX) {
        isa->irq = com_ports[isa->index].irq;
    }
    if (isa->irq > 15) {
        error_setg(errp, "isa-serial: irq %u is not below 16", isa->irq);
        return false;
    }
    if (!ioport_check_free(isa->iobase, 8, errp)) {
        error_prefix(errp, "isa-serial: ");
        return false;
    }
    if (isa->chardev) {
        isa->state.chr = chardev_by_id(isa->chardev);
        if (!isa->state.chr) {
            error_setg(errp, "Property 'isa-serial.chardev' can't find value '%s'", isa->chardev);
            return false;
        }
    }
    isa->state.irq = *x86_gsi(isa->irq);
    if (!serial_init(&isa->state, errp)) {
        return false;
    }
    used_ports |= 1u << isa->index;
    ioport_map(isa->iobase, 8, "serial", &serial_io_ops, &isa->state);
    return true;
}

static void isa_serial_unrealize(DeviceState *dev)
{
    ISASerialState *isa = (ISASerialState *)dev;

    ioport_unmap(isa->iobase);
    serial_exit(&isa->state);
    used_ports &= ~(1u << isa->index);
}

static void isa_serial_reset(DeviceState *dev)
{
    serial_reset(&((ISASerialState *)dev)->state);
}

#define FIELD(f) .offset = offsetof(ISASerialState, f)

static const PropertyInfo isa_serial_props[] = {
    { .name = "index", .kind = PROP_UINT32, FIELD(index), .def = "0xffffffff",
      .description = "0 to 3 for COM1 to COM4" },
    { .name = "iobase", .kind = PROP_UINT32, FIELD(iobase), .def = "0xffffffff" },
    { .name = "irq", .kind = PROP_UINT32, FIELD(irq), .def = "0xffffffff" },
    { .name = "chardev", .kind = PROP_STRING, FIELD(chardev),
      .description = "ID of a chardev to use as a backend" },
    { .name = NULL },
};

static const VMStateDescription vmstate_isa_serial = {
    .name = "serial",
    .version_id = 3,
    .minimum_version_id = 2,
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT(state, ISASerialState, 0, vmstate_serial, SerialState),
        VMSTATE_END_OF_LIST(),
    },
};

static const DeviceClass isa_serial_class = {
    .desc = "16550A UART",
    .bus = "ISA",
    .category = "Input devices",
    .user_creatable = true,
    .vmsd = &vmstate_isa_serial,
    .realize = isa_serial_realize,
    .unrealize = isa_serial_unrealize,
    .reset = isa_serial_reset,
};

static const TypeInfo isa_serial_type = {
    .name = "isa-serial",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(ISASerialState),
    .props = isa_serial_props,
    .class_data = &isa_serial_class,
};
TYPE_REGISTER(isa_serial_type)
