/*
 * Devices that the user asks for: -device, device_add, device_del.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/core/device.h"
#include "hw/core/machine.h"
#include "qapi/qapi-events.h"

/* String member of -device; false (errp) when it is there but not a string. */
static bool take_string(JsonObject *props, const char *name, const char **ret, Error **errp)
{
    JsonNode *node = json_object_get_member(props, name);

    *ret = NULL;
    if (!node) {
        return true;
    }
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING) {
        error_setg(errp, "Invalid parameter type for '%s', expected: string", name);
        return false;
    }
    *ret = json_node_get_string(node);
    return true;
}

/* Devices of other emulators that users ask for, with the reason why they are not here. */
static const struct {
    const char *name, *why;
} absent[] = {
    { "i6300esb", "there is no watchdog" },
    { "ib700", "there is no watchdog" },
    { "pvpanic-pci", "use pvpanic" },
};

static const TypeInfo *find_driver(const char *driver, Error **errp)
{
    const TypeInfo *type = type_by_name(driver);

    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++) {
        if (g_str_equal(absent[i].name, driver)) {
            error_setg(errp, "'%s' is not supported: %s", driver, absent[i].why);
            return NULL;
        }
    }
    if (!type || !type_is_a(type, TYPE_DEVICE)) {
        error_setg(errp, "'%s' is not a valid device model name", driver);
        return NULL;
    }
    const DeviceClass *dc = type_class_data(type);
    if (type->abstract || !dc->user_creatable) {
        error_setg(errp, "Parameter 'driver' expects a pluggable device type, which '%s' is not",
                   driver);
        return NULL;
    }
    return type;
}

static bool find_bus(const TypeInfo *type, const char *name, const Bus **ret_bus, Error **errp)
{
    const DeviceClass *dc = type_class_data(type);

    *ret_bus = NULL;
    if (!dc->bus) {
        if (name) {
            error_setg(errp, "Device '%s' does not plug into a bus: 'bus=%s' is out of place",
                       type->name, name);
        }
        return !name;
    }
    *ret_bus = name ? bus_by_name(name) : bus_by_type(dc->bus);
    if (!*ret_bus && name) {
        error_setg(errp, "Bus '%s' not found", name);
        return false;
    }
    if (!*ret_bus) {
        error_setg(errp, "No '%s' bus found for device '%s'", dc->bus, type->name);
        return false;
    }
    if (!g_str_equal((*ret_bus)->type, dc->bus)) {
        error_setg(errp, "Device '%s' can't go on %s bus", type->name, (*ret_bus)->type);
        return false;
    }
    return true;
}

static bool place_in_tree(DeviceState *dev, const char *id, Error **errp)
{
    static unsigned counter;
    g_autofree char *anon = NULL;

    if (id) {
        dev->id = g_strdup(id);
        return object_add_child(object_container("/machine/peripheral"), id, &dev->obj, errp);
    }
    anon = g_strdup_printf("device[%u]", counter++);
    return object_add_child(object_container("/machine/peripheral-anon"), anon, &dev->obj, errp);
}

DeviceState *device_add(JsonObject *props, Error **errp)
{
    static const char *const skip[] = { "driver", "id", "bus", NULL };
    const char *driver, *id, *bus_name;
    const Bus *bus;

    if (!take_string(props, "driver", &driver, errp) || !take_string(props, "id", &id, errp) ||
        !take_string(props, "bus", &bus_name, errp)) {
        return NULL;
    }
    if (!driver) {
        error_setg(errp, "Parameter 'driver' is missing");
        return NULL;
    }
    if (id && !object_id_wellformed(id)) {
        error_setg(errp, "Parameter 'id' expects an identifier, not '%s'", id);
        return NULL;
    }
    if (id && device_by_id(id)) {
        error_setg(errp, "Duplicate device ID '%s'", id);
        return NULL;
    }
    const TypeInfo *type = find_driver(driver, errp);
    if (!type || !find_bus(type, bus_name, &bus, errp)) {
        return NULL;
    }
    const DeviceClass *dc = type_class_data(type);
    if (current_machine && current_machine->created && !dc->hotpluggable) {
        error_setg(errp, "Device '%s' does not support hotplugging", driver);
        return NULL;
    }
    DeviceState *dev = device_new(driver);
    dev->bus = bus;
    dev->opts = json_object_ref(props);
    bool ok = object_set_members(&dev->obj, props, skip, errp) && place_in_tree(dev, id, errp) &&
              device_realize(dev, errp);
    if (!ok) {
        object_unparent(&dev->obj);
    }
    object_unref(&dev->obj); /* the tree holds it when it was realized */
    return ok ? dev : NULL;
}

bool device_del(const char *id, Error **errp)
{
    DeviceState *dev = device_by_id(id);

    if (!dev) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", id);
        return false;
    }
    if (!device_class(dev)->hotpluggable) {
        error_setg(errp, "Device '%s' does not support hotplugging", dev->obj.type->name);
        return false;
    }
    g_autofree char *name = g_strdup(dev->id);
    g_autofree char *path = object_path(&dev->obj);
    device_unrealize(dev);
    qapi_event_send_device_deleted(name, path);
    return true;
}
