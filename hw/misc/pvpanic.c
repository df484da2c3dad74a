/*
 * pvpanic: the port through which a guest says that it crashed, or that its crash kernel
 * takes over.  Machine lock.
 *
 * It has no state of its own; that a guest crashed is a run state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/core/device.h"
#include "system/address-space.h"
#include "system/runstate.h"

/* What is read from the port, and what is written to it, one event at a time. */
enum { PVPANIC_PANICKED = 1 << 0, PVPANIC_CRASHLOADED = 1 << 1 };

typedef struct PVPanicState {
    DeviceState dev;
    uint16_t ioport;
    uint8_t events;
} PVPanicState;

static uint64_t pvpanic_read(void *opaque, uint64_t addr, unsigned size)
{
    return ((PVPanicState *)opaque)->events;
}

static void pvpanic_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    PVPanicState *s = opaque;
    unsigned event = value & s->events;

    if (event & PVPANIC_PANICKED) {
        system_guest_panicked();
    } else if (event & PVPANIC_CRASHLOADED) {
        system_guest_crashloaded();
    }
}

static const IORegionOps pvpanic_ops = { pvpanic_read, pvpanic_write, 1, 1 };

static bool pvpanic_realize(DeviceState *dev, Error **errp)
{
    PVPanicState *s = (PVPanicState *)dev;

    if (s->events & ~(PVPANIC_PANICKED | PVPANIC_CRASHLOADED)) {
        error_setg(errp, "pvpanic: events=%u is not supported: there are 1 (panicked) and 2 "
                   "(crash loaded)", s->events);
        return false;
    }
    if (!ioport_check_free(s->ioport, 1, errp)) {
        error_prefix(errp, "pvpanic: ");
        return false;
    }
    ioport_map(s->ioport, 1, "pvpanic", &pvpanic_ops, s);
    return true;
}

static void pvpanic_unrealize(DeviceState *dev)
{
    ioport_unmap(((PVPanicState *)dev)->ioport);
}

static const PropertyInfo pvpanic_props[] = {
    { .name = "ioport", .kind = PROP_UINT16, .offset = offsetof(PVPanicState, ioport),
      .def = "0x505" },
    { .name = "events", .kind = PROP_UINT8, .offset = offsetof(PVPanicState, events), .def = "3",
      .description = "1: panicked, 2: crash loaded" },
    { .name = NULL },
};

static const DeviceClass pvpanic_class = {
    .desc = "port to report a crash of the guest",
    .bus = "ISA",
    .category = "Misc devices",
    .user_creatable = true,
    .realize = pvpanic_realize,
    .unrealize = pvpanic_unrealize,
};

static const TypeInfo pvpanic_type = {
    .name = "pvpanic",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(PVPanicState),
    .props = pvpanic_props,
    .class_data = &pvpanic_class,
};
TYPE_REGISTER(pvpanic_type)
