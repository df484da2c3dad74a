/*
 * isa-debugcon: each byte written to one port goes to a chardev.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "chardev/chardev.h"
#include "hw/core/device.h"
#include "system/address-space.h"

typedef struct DebugconState {
    DeviceState dev;
    uint32_t iobase, readback;
    char *chardev;
    Chardev *chr;
} DebugconState;

static uint64_t debugcon_read(void *opaque, uint64_t addr, unsigned size)
{
    return ((DebugconState *)opaque)->readback;
}

static void debugcon_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    DebugconState *s = opaque;
    uint8_t byte = value;

    if (s->chr) {
        chardev_write(s->chr, &byte, 1);
    }
}

static const IORegionOps debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .min_size = 1,
    .max_size = 1,
};

static bool debugcon_realize(DeviceState *dev, Error **errp)
{
    DebugconState *s = (DebugconState *)dev;
    const ChardevHandlers handlers = { .opaque = s };

    if (!ioport_check_free(s->iobase, 1, errp)) {
        error_prefix(errp, "isa-debugcon: ");
        return false;
    }
    if (s->chardev) {
        s->chr = chardev_by_id(s->chardev);
        if (!s->chr) {
            error_setg(errp, "Property 'isa-debugcon.chardev' can't find value '%s'", s->chardev);
            return false;
        }
        if (!chardev_attach(s->chr, &handlers, errp)) {
            return false;
        }
    }
    ioport_map(s->iobase, 1, "isa-debugcon", &debugcon_ops, s);
    return true;
}

static const PropertyInfo debugcon_props[] = {
    { .name = "iobase", .kind = PROP_UINT32, .offset = offsetof(DebugconState, iobase),
      .def = "0xe9" },
    { .name = "readback", .kind = PROP_UINT32, .offset = offsetof(DebugconState, readback),
      .def = "0xe9" },
    { .name = "chardev", .kind = PROP_STRING, .offset = offsetof(DebugconState, chardev),
      .description = "ID of a chardev to use as a backend" },
    { .name = NULL },
};

static const DeviceClass debugcon_class = {
    .desc = "debug console",
    .bus = "ISA",
    .category = "Misc devices",
    .user_creatable = true,
    .realize = debugcon_realize,
};

static const TypeInfo debugcon_type = {
    .name = "isa-debugcon",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(DebugconState),
    .props = debugcon_props,
    .class_data = &debugcon_class,
};
TYPE_REGISTER(debugcon_type)
