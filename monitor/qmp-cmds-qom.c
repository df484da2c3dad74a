/*
 * QMP commands about objects, types, devices.  Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/core/device.h"
#include "qapi/qapi-commands.h"
#include "qom/object.h"

/* Object by path; class DeviceNotFound when there is none. */
static Object *find_object(const char *path, Error **errp)
{
    bool ambiguous = false;
    Object *obj = object_resolve(path, &ambiguous);

    if (!obj && ambiguous) {
        error_setg(errp, "Path '%s' does not uniquely identify an object", path);
    } else if (!obj) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    return obj;
}

static ObjectPropertyInfo *property_info(const char *name, char *type)
{
    ObjectPropertyInfo *info = g_new0(ObjectPropertyInfo, 1);

    info->name = g_strdup(name);
    info->type = type;
    return info;
}

/* The default, as JSON of the property's kind. */
static JsonNode *default_value(const PropertyInfo *p)
{
    const char *def = p->def ? p->def : "0";

    switch (p->kind) {
    case PROP_BOOL:
        return qapi_node_bool(!strcmp(def, "on") || !strcmp(def, "true"));
    case PROP_UINT8:
    case PROP_UINT16:
    case PROP_UINT32:
    case PROP_UINT64:
    case PROP_INT32:
    case PROP_INT64:
        return qapi_node_int(g_ascii_strtoll(def, NULL, 0));
    case PROP_ENUM:
    case PROP_STRING:
        return p->def ? qapi_node_str(p->def) : NULL;
    default:
        return NULL;
    }
}

/* Properties that say what a device is doing rather than how it is to be made. */
static bool is_device_state(const char *name)
{
    static const char *const names[] = { "realized", "hotpluggable", "hotplugged", "parent_bus",
                                         NULL };

    return g_strv_contains(names, name);
}

/*
 * Properties of a type but "type"; a nearer row hides one of an ancestor with the same
 * name.  `settings`: those to make a device with, and all about them.
 */
static void add_type_properties(GPtrArray *list, const TypeInfo *t, bool settings)
{
    g_autoptr(GPtrArray) props = type_properties(t);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < props->len; i++) {
        const PropertyInfo *p = g_ptr_array_index(props, i);
        ObjectPropertyInfo *info;

        if (!g_hash_table_add(seen, (char *)p->name) || !strcmp(p->name, "type") ||
            (settings && is_device_state(p->name))) {
            continue;
        }
        info = property_info(p->name, g_strdup(property_type_name(p)));
        if (settings) {
            info->description = g_strdup(p->description);
            info->default_value = default_value(p);
        }
        g_ptr_array_add(list, info);
    }
}

GPtrArray *qmp_qom_list(const QomListArgs *args, Error **errp)
{
    Object *obj = find_object(args->path, errp);
    GPtrArray *list;

    if (!obj) {
        return NULL;
    }
    list = object_property_info_list_new();
    g_ptr_array_add(list, property_info("type", g_strdup("string")));
    add_type_properties(list, obj->type, false);
    for (guint i = 0; obj->children && i < obj->children->len; i++) {
        Object *child = g_ptr_array_index(obj->children, i);
        g_ptr_array_add(list, property_info(child->name,
                                            g_strdup_printf("child<%s>", child->type->name)));
    }
    return list;
}

JsonNode *qmp_qom_get(const QomGetArgs *args, Error **errp)
{
    Object *obj = find_object(args->path, errp);
    Object *child;

    if (!obj) {
        return NULL;
    }
    if (!strcmp(args->property, "type")) {
        return qapi_node_str(obj->type->name);
    }
    child = object_child(obj, args->property);
    if (child) {
        g_autofree char *path = object_path(child);
        return qapi_node_str(path);
    }
    return object_property_get(obj, args->property, errp);
}

bool qmp_qom_set(const QomSetArgs *args, Error **errp)
{
    Object *obj = find_object(args->path, errp);

    return obj && object_property_set(obj, args->property, args->value, errp);
}

GPtrArray *qmp_qom_list_types(const QomListTypesArgs *args, Error **errp)
{
    g_autoptr(GPtrArray) types = type_list(args->implements, args->has_abstract && args->abstract);
    GPtrArray *list = object_type_info_list_new();

    for (guint i = 0; i < types->len; i++) {
        const TypeInfo *t = g_ptr_array_index(types, i);
        ObjectTypeInfo *info = g_new0(ObjectTypeInfo, 1);

        info->name = g_strdup(t->name);
        info->has_abstract = info->abstract = t->abstract;
        info->parent = g_strdup(t->parent ? t->parent
                                : strcmp(t->name, "object") ? "object" : NULL);
        g_ptr_array_add(list, info);
    }
    return list;
}

GPtrArray *qmp_qom_list_properties(const QomListPropertiesArgs *args, Error **errp)
{
    const TypeInfo *t = type_by_name(args->typename);
    GPtrArray *list;

    if (!t) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Class '%s' not found", args->typename);
        return NULL;
    }
    list = object_property_info_list_new();
    g_ptr_array_add(list, property_info("type", g_strdup("string")));
    add_type_properties(list, t, false);
    return list;
}

GPtrArray *qmp_device_list_properties(const DeviceListPropertiesArgs *args, Error **errp)
{
    const TypeInfo *t = type_by_name(args->typename);
    GPtrArray *list;

    if (!t) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", args->typename);
        return NULL;
    }
    if (!type_is_a(t, TYPE_DEVICE) || t->abstract) {
        error_setg(errp, "Parameter 'typename' expects a non-abstract device type");
        return NULL;
    }
    list = object_property_info_list_new();
    add_type_properties(list, t, true);
    return list;
}

bool qmp_device_add(JsonObject *args, Error **errp)
{
    JsonNode *driver = json_object_get_member(args, "driver");

    if (!driver) {
        error_setg(errp, "Parameter 'driver' is missing");
        return false;
    }
    if (qapi_json_kind(driver) != QAPI_JSON_STRING) {
        error_setg(errp, "Invalid parameter type for 'driver', expected: string");
        return false;
    }
    return device_add(args, errp) != NULL;
}

bool qmp_device_del(const DeviceDelArgs *args, Error **errp)
{
    if (!device_by_id(args->id)) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", args->id);
        return false;
    }
    return device_del(args->id, errp);
}

bool qmp_object_add(const ObjectOptions *args, Error **errp)
{
    g_autoptr(JsonObject) props = json_object_new();

    qapi_put_ObjectOptions(props, args);
    json_object_remove_member(props, "qom-type");
    json_object_remove_member(props, "id");
    return object_create_user(object_type_str(args->qom_type), args->id, props, errp) != NULL;
}

bool qmp_object_del(const ObjectDelArgs *args, Error **errp)
{
    return object_delete_user(args->id, errp);
}
