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
    DeviceState *next;        /* list of realized devices, creation order; machine lock */
};

/*
 * Make a device of `type`; put it at /machine/peripheral/ID, peripheral-anon or
 * (id NULL and by the machine) /machine/unattached/device[N].
 */
DeviceState *device_new(const char *type);
/* Set properties, realize, register reset and vmstate.  Consumes nothing on failure. */
bool device_realize(DeviceState *dev, Error **errp);
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

/* HMP info qtree: text, free with g_free(). */
char *device_tree_describe(void);

#endif
