/*
 * isa-ide, a legacy IDE channel, and ide-hd, the disk on it.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/block/ide.h"
#include "hw/i386/x86-irq.h"
#include "util/util.h"

typedef struct ISAIDEState {
    DeviceState dev;
    IDEChannel channel;
    uint32_t iobase, iobase2, irq;
} ISAIDEState;

static IDEChannel *channels[2]; /* in creation order: buses ide.0 and ide.1 */

IDEChannel *ide_channel(unsigned n)
{
    return n < ARRAY_SIZE(channels) ? channels[n] : NULL;
}

static bool isa_ide_realize(DeviceState *dev, Error **errp)
{
    ISAIDEState *s = (ISAIDEState *)dev;
    unsigned n = channels[0] ? 1 : 0;
    g_autofree char *bus = g_strdup_printf("ide.%u", n);

    if (channels[n]) {
        error_setg(errp, "isa-ide: there are two channels already");
        return false;
    }
    channels[n] = &s->channel;
    s->channel.irq = *x86_gsi(s->irq);
    ide_channel_reset(&s->channel);
    bus_new("IDE", bus);
    ioport_map(s->iobase, 8, "ide", &ide_command_ops, &s->channel);
    ioport_map(s->iobase2, 1, "ide-control", &ide_control_ops, &s->channel);
    return true;
}

static void isa_ide_reset(DeviceState *dev)
{
    ide_channel_reset(&((ISAIDEState *)dev)->channel);
}

static const VMStateDescription vmstate_isa_ide = {
    .name = "isa-ide",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT(channel, ISAIDEState, 1, vmstate_ide_channel, IDEChannel),
        VMSTATE_END_OF_LIST(),
    },
};

static const PropertyInfo isa_ide_props[] = {
    { .name = "iobase", .kind = PROP_UINT32, .offset = offsetof(ISAIDEState, iobase),
      .def = "0x1f0" },
    { .name = "iobase2", .kind = PROP_UINT32, .offset = offsetof(ISAIDEState, iobase2),
      .def = "0x3f6" },
    { .name = "irq", .kind = PROP_UINT32, .offset = offsetof(ISAIDEState, irq), .def = "14" },
    { .name = NULL },
};

static const DeviceClass isa_ide_class = {
    .desc = "legacy IDE channel",
    .bus = "ISA",
    .category = "Storage devices",
    .vmsd = &vmstate_isa_ide,
    .realize = isa_ide_realize,
    .reset = isa_ide_reset,
};

static const TypeInfo isa_ide_type = {
    .name = "isa-ide",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(ISAIDEState),
    .props = isa_ide_props,
    .class_data = &isa_ide_class,
};
TYPE_REGISTER(isa_ide_type)

/* ide-hd */

typedef struct IDEHDState {
    DeviceState dev;
    char *drive, *serial, *model, *ver;
    uint32_t unit;
    int32_t bootindex;
    int write_cache;
    bool share_rw;
    uint64_t logical_block_size, physical_block_size;
} IDEHDState;

/* Bus and unit: as given, else the first free place. */
static IDEDrive *choose_place(IDEHDState *s, unsigned *ret_position, Error **errp)
{
    for (unsigned n = 0; n < 2; n++) {
        g_autofree char *name = g_strdup_printf("ide.%u", n);
        bool any_bus = !s->dev.opts || !json_object_has_member(s->dev.opts, "bus");

        if (!channels[n] || (!any_bus && !g_str_equal(s->dev.bus->name, name))) {
            continue;
        }
        for (unsigned unit = 0; unit < 2; unit++) {
            IDEDrive *d = &channels[n]->drives[unit];

            if (!d->blk && (s->unit == UINT32_MAX || s->unit == unit)) {
                s->unit = unit;
                s->dev.bus = bus_by_name(name);
                *ret_position = 2 * n + unit;
                return d;
            }
        }
    }
    if (s->unit != UINT32_MAX && s->unit > 1) {
        error_setg(errp, "Can't create IDE unit %u, bus supports only 2 units", s->unit);
    } else {
        error_setg(errp, "ide-hd: the place asked for on the IDE bus is taken, or every place is");
    }
    return NULL;
}

static bool ide_hd_realize(DeviceState *dev, Error **errp)
{
    static unsigned counter;
    IDEHDState *s = (IDEHDState *)dev;
    BlockBackend *blk = s->drive ? block_backend_by_id(s->drive) : NULL;
    g_autofree char *path = object_path(&dev->obj);
    unsigned position;

    if (!s->drive) {
        error_setg(errp, "ide-hd: No drive specified");
        return false;
    }
    if (!blk) {
        error_setg(errp, "Property 'ide-hd.drive' can't find value '%s'", s->drive);
        return false;
    }
    if (s->logical_block_size != 512 || s->physical_block_size % 512 || !s->physical_block_size) {
        error_setg(errp, "ide-hd: logical_block_size must be 512, physical_block_size a multiple");
        return false;
    }
    IDEDrive *d = choose_place(s, &position, errp);
    blk->share_rw = s->share_rw;
    if (!d || !block_backend_attach_disk(blk, path, errp)) {
        return false;
    }
    counter++;
    d->serial = s->serial ? g_strdup(s->serial) : g_strdup_printf("FY%05u", counter);
    d->model = g_strdup(s->model ? s->model : "FERRY HARDDISK");
    d->version = g_strdup(s->ver ? s->ver : FERRY_VERSION);
    blk->bootindex = s->bootindex;
    blk->position = position;
    ide_drive_init(d, blk);
    return true;
}

#define FIELD(f) .offset = offsetof(IDEHDState, f)
static const char *const on_off_auto[] = { "auto", "on", "off", NULL };

static const PropertyInfo ide_hd_props[] = {
    { .name = "drive", .kind = PROP_STRING, FIELD(drive),
      .description = "Node name or ID of a block device to use as a backend" },
    { .name = "unit", .kind = PROP_UINT32, FIELD(unit), .def = "0xffffffff",
      .description = "0 master, 1 slave" },
    { .name = "bootindex", .kind = PROP_INT32, FIELD(bootindex), .def = "-1" },
    { .name = "serial", .kind = PROP_STRING, FIELD(serial) },
    { .name = "model", .kind = PROP_STRING, FIELD(model) },
    { .name = "ver", .kind = PROP_STRING, FIELD(ver) },
    { .name = "write-cache", .kind = PROP_ENUM, FIELD(write_cache), .type_name = "OnOffAuto",
      .enum_names = on_off_auto, .description = "on/off/auto" },
    { .name = "share-rw", .kind = PROP_BOOL, FIELD(share_rw) },
    { .name = "logical_block_size", .kind = PROP_SIZE, FIELD(logical_block_size), .def = "512" },
    { .name = "physical_block_size", .kind = PROP_SIZE, FIELD(physical_block_size), .def = "512" },
    { .name = NULL },
};

static const DeviceClass ide_hd_class = {
    .desc = "virtual IDE disk",
    .bus = "IDE",
    .category = "Storage devices",
    .user_creatable = true,
    .realize = ide_hd_realize,
};

static const TypeInfo ide_hd_type = {
    .name = "ide-hd",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(IDEHDState),
    .props = ide_hd_props,
    .class_data = &ide_hd_class,
};
TYPE_REGISTER(ide_hd_type)
