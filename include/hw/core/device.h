/*
 * Devices: objects that sit in a machine, with reset, saved state and interrupt
 * lines.
 *
 * A device type is a TypeInfo with parent TYPE_DEVICE (or a bus's device type) and
 * a DeviceClass as class_data.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_CORE_DEVICE_H
#define FERRY_HW_CORE_DEVICE_H

#include "hw/core/irq.h"
#include "migration/vmstate.h"
#include "qom/object.h"

#define TYPE_DEVICE "device"
#define DEVICE(obj) ((DeviceState *)object_check((obj), TYPE_DEVICE))

typedef struct DeviceState DeviceState;

/* A place to plug devices into; they live as long as the machine. */
typedef struct Bus {
    const char *type;         /* "ISA", "IDE", "PCI" */
    char *name;               /* "isa.0" */
    void *opaque;             /* its maker's */
    DeviceState *parent;      /* device that the bus is behind; NULL: the machine */
    char *(*dev_path)(const DeviceState *dev); /* names its saved state; NULL: by type alone */
    struct Bus *next;
} Bus;

typedef struct DeviceClass {
    const char *desc;
    const char *bus;              /* bus type it plugs into: "ISA", "IDE", "PCI"; NULL: none */
    bool user_creatable;          /* -device / device_add may make it */
    bool hotpluggable;
    const VMStateDescription *vmsd; /* NULL: nothing to save */
    int instance_id_any;          /* 1: instance_id counted (default use) */
    bool (*realize)(DeviceState *dev, Error **errp);
    void (*unrealize)(DeviceState *dev);
    void (*reset)(DeviceState *dev);
    const char *category;         /* heading in -device help */
} DeviceClass;

struct DeviceState {
    Object obj;
    char *id;                 /* user's id, or NULL */
    int alias_instance;       /* instance id used for vmstate, -1: next free */
    IRQLine *gpio_in;         /* named inputs are not needed: one list */
    int n_gpio_in;
    IRQLine **gpio_out;       /* each points at a line inside the device struct */
    int n_gpio_out;
    JsonObject *opts;         /* -device arguments as given, or NULL */
    const Bus *bus;           /* NULL: none */
    bool hotplugged;
    Error *new_error;         /* from device_new(): a -global that does not fit */
    DeviceState *next;        /* list of realized devices, creation order; machine lock */
};

/*
 * Make a device of `type` with defaults and -global applied; one reference, which
 * device_realize() leaves with the caller.  Then set properties (object_property_*).
 */
DeviceState *device_new(const char *type);
/*
 * Put it at /machine/unattached/device[N] unless it is in the tree, realize it,
 * register reset and vmstate.  Consumes nothing on failure.
 */
bool device_realize(DeviceState *dev, Error **errp);
/* device_new() + device_realize(); the tree owns the device.  NULL on failure. */
DeviceState *device_create(const char *type, Error **errp);
void device_unrealize(DeviceState *dev);
static inline const DeviceClass *device_class(const DeviceState *dev)
{
    return type_class_data(dev->obj.type);
}
DeviceState *device_first(void);
DeviceState *device_by_id(const char *id); /* QOM path or id; NULL if none */

/* -device / device_add: props has "driver", "id" and the properties. Machine lock. */
DeviceState *device_add(JsonObject *props, Error **errp);
bool device_del(const char *id, Error **errp);

void device_init_gpio_in(DeviceState *dev, IRQHandler *handler, int n);
/* `line` is a member of the device; others connect to it by number. */
void device_init_gpio_out(DeviceState *dev, IRQLine **lines, int n);
IRQLine *device_get_gpio_in(DeviceState *dev, int n);
void device_connect_gpio_out(DeviceState *dev, int n, IRQLine *to);

/* Anything of the machine's own that has no id: /machine/unattached/device[N]. */
void device_add_unattached(Object *obj);

/* Buses, in creation order.  Machine lock. */
Bus *bus_new(const char *type, const char *name);
const Bus *bus_first(void);
const Bus *bus_by_name(const char *name);
const Bus *bus_by_type(const char *type); /* first one, or NULL */

/* HMP info qtree: text, free with g_free(). */
char *device_tree_describe(void);

#endif
