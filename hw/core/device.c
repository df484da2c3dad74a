/*
 * Devices: making, realizing, removing and listing them.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/core/device.h"

#include "hw/core/machine.h"
#include "system/runstate.h"

static DeviceState *devices; /* realized, creation order */

static JsonNode *get_realized(Object *obj, const PropertyInfo *p, Error **errp)
{
    return json_node_init_boolean(json_node_alloc(), obj->realized);
}

static JsonNode *get_hotpluggable(Object *obj, const PropertyInfo *p, Error **errp)
{
    return json_node_init_boolean(json_node_alloc(), device_class((DeviceState *)obj)->hotpluggable);
}

static const PropertyInfo device_props[] = {
    { .name = "realized", .kind = PROP_CUSTOM, .type_name = "bool", .readonly = true,
      .get = get_realized },
    { .name = "hotpluggable", .kind = PROP_CUSTOM, .type_name = "bool", .readonly = true,
      .get = get_hotpluggable },
    { .name = "hotplugged", .kind = PROP_BOOL, .offset = offsetof(DeviceState, hotplugged),
      .readonly = true },
    { .name = NULL },
};

static void device_init(Object *obj)
{
    ((DeviceState *)obj)->alias_instance = VMSTATE_INSTANCE_ID_ANY;
}

static void device_finalize(Object *obj)
{
    DeviceState *dev = (DeviceState *)obj;

    g_free(dev->id);
    g_free(dev->gpio_in);
    g_free(dev->gpio_out);
    g_clear_pointer(&dev->opts, json_object_unref);
    g_clear_error(&dev->new_error);
}

static const TypeInfo device_type = {
    .name = TYPE_DEVICE,
    .abstract = true,
    .instance_size = sizeof(DeviceState),
    .props = device_props,
    .init = device_init,
    .finalize = device_finalize,
};
TYPE_REGISTER(device_type)

DeviceState *device_new(const char *type)
{
    DeviceState *dev = DEVICE(object_new(type));

    object_apply_globals(&dev->obj, &dev->new_error);
    return dev;
}

void device_add_unattached(Object *obj)
{
    static unsigned counter; /* CPUs name themselves in the same way: skip those */
    Object *parent = object_container("/machine/unattached");
    bool added;

    do {
        g_autofree char *name = g_strdup_printf("device[%u]", counter++);

        added = object_add_child(parent, name, obj, NULL);
    } while (!added);
}

static void device_reset(void *opaque)
{
    DeviceState *dev = opaque;

    device_class(dev)->reset(dev);
}

static void list_add(DeviceState *dev)
{
    DeviceState **tail = &devices;

    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = dev;
}

static void list_remove(DeviceState *dev)
{
    for (DeviceState **p = &devices; *p; p = &(*p)->next) {
        if (*p == dev) {
            *p = dev->next;
            dev->next = NULL;
            return;
        }
    }
}

static bool register_state(DeviceState *dev, Error **errp)
{
    const Bus *bus = dev->bus;
    g_autofree char *path = bus && bus->dev_path ? bus->dev_path(dev) : NULL;

    return vmstate_register(path, dev->alias_instance, device_class(dev)->vmsd, dev, errp);
}

bool device_realize(DeviceState *dev, Error **errp)
{
    const DeviceClass *dc = device_class(dev);

    if (dev->new_error) {
        error_propagate(errp, g_steal_pointer(&dev->new_error));
        return false;
    }
    if (dc->bus && !dev->bus) {
        dev->bus = bus_by_type(dc->bus);
    }
    if (dc->realize && !dc->realize(dev, errp)) {
        return false;
    }
    if (dc->vmsd && !register_state(dev, errp)) {
        if (dc->unrealize) {
            dc->unrealize(dev);
        }
        return false;
    }
    if (!dev->obj.parent) {
        device_add_unattached(&dev->obj);
    }
    if (dc->reset) {
        reset_handler_add(device_reset, dev);
    }
    dev->hotplugged = current_machine && current_machine->created;
    if (dev->hotplugged && dc->reset) {
        dc->reset(dev);
    }
    dev->obj.realized = true;
    list_add(dev);
    return true;
}

DeviceState *device_create(const char *type, Error **errp)
{
    DeviceState *dev = device_new(type);
    bool ok = device_realize(dev, errp);

    object_unref(&dev->obj); /* the tree holds it when it was realized */
    return ok ? dev : NULL;
}

void device_unrealize(DeviceState *dev)
{
    const DeviceClass *dc = device_class(dev);

    list_remove(dev);
    if (dc->reset) {
        reset_handler_remove(device_reset, dev);
    }
    if (dc->vmsd) {
        vmstate_unregister(dc->vmsd, dev);
    }
    if (dc->unrealize) {
        dc->unrealize(dev);
    }
    dev->obj.realized = false;
    object_unparent(&dev->obj);
}

DeviceState *device_first(void)
{
    return devices;
}

DeviceState *device_by_id(const char *id)
{
    Object *obj = *id == '/' ? object_resolve(id, NULL)
                             : object_child(object_container("/machine/peripheral"), id);

    return object_is(obj, TYPE_DEVICE) ? (DeviceState *)obj : NULL;
}

void device_init_gpio_in(DeviceState *dev, IRQHandler *handler, int n)
{
    dev->gpio_in = g_new0(IRQLine, n);
    dev->n_gpio_in = n;
    for (int i = 0; i < n; i++) {
        dev->gpio_in[i] = (IRQLine){ handler, dev, i };
    }
}

void device_init_gpio_out(DeviceState *dev, IRQLine **lines, int n)
{
    dev->gpio_out = g_new(IRQLine *, n);
    dev->n_gpio_out = n;
    for (int i = 0; i < n; i++) {
        dev->gpio_out[i] = lines[i];
    }
}

IRQLine *device_get_gpio_in(DeviceState *dev, int n)
{
    g_assert(n >= 0 && n < dev->n_gpio_in);
    return &dev->gpio_in[n];
}

void device_connect_gpio_out(DeviceState *dev, int n, IRQLine *to)
{
    g_assert(n >= 0 && n < dev->n_gpio_out);
    *dev->gpio_out[n] = to ? *to : (IRQLine){ NULL };
}

static void describe_value(GString *out, DeviceState *dev, const PropertyInfo *p)
{
    g_autoptr(JsonNode) value = object_property_get(&dev->obj, p->name, NULL);
    g_autofree char *text = value ? json_to_string(value, FALSE) : NULL;

    if (text) {
        g_string_append_printf(out, "    %s = %s\n", p->name, text);
    }
}

static void describe_device(GString *out, DeviceState *dev)
{
    g_autoptr(GPtrArray) props = type_properties(dev->obj.type);
    const TypeInfo *base = type_by_name(TYPE_DEVICE);

    g_string_append_printf(out, "  dev: %s, id \"%s\"\n", dev->obj.type->name,
                           dev->id ? dev->id : "");
    for (guint i = 0; i < props->len && props->pdata[i] != base->props; i++) {
        describe_value(out, dev, props->pdata[i]);
    }
}

static void describe_bus(GString *out, const Bus *bus)
{
    g_string_append_printf(out, "bus: %s\n  type %s\n", bus ? bus->name : "main-system-bus",
                           bus ? bus->type : "System");
    for (DeviceState *dev = devices; dev; dev = dev->next) {
        if (dev->bus == bus) {
            describe_device(out, dev);
        }
    }
}

char *device_tree_describe(void)
{
    GString *out = g_string_new(NULL);

    describe_bus(out, NULL);
    for (const Bus *bus = bus_first(); bus; bus = bus->next) {
        describe_bus(out, bus);
    }
    return g_string_free(out, FALSE);
}
