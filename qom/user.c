/*
 * Objects that the user makes (-object, object-add) and defaults that the user
 * changes (-global).  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "qom/object.h"
#include "util/log.h"

bool object_id_wellformed(const char *id)
{
    if (!g_ascii_isalpha(*id)) {
        return false;
    }
    for (const char *c = id; *c; c++) {
        if (!g_ascii_isalnum(*c) && !strchr("-._", *c)) {
            return false;
        }
    }
    return true;
}

bool object_set_members(Object *obj, JsonObject *props, const char *const *skip, Error **errp)
{
    g_autoptr(GList) names = props ? json_object_get_members(props) : NULL;

    for (GList *l = names; l; l = l->next) {
        const char *name = l->data;
        JsonNode *value = json_object_get_member(props, name);
        bool ok;

        if (skip && g_strv_contains(skip, name)) {
            continue;
        }
        if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING) {
            ok = object_property_parse(obj, name, json_node_get_string(value), errp);
        } else {
            ok = object_property_set(obj, name, value, errp);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool object_complete(Object *obj, Error **errp)
{
    for (const TypeInfo *t = obj->type; t; t = type_by_name(t->parent)) {
        if (t->complete) {
            return t->complete(obj, errp);
        }
    }
    return true;
}

Object *object_create_user(const char *type, const char *id, JsonObject *props, Error **errp)
{
    static const char *const skip[] = { "qom-type", "id", NULL };
    const TypeInfo *t = type_by_name(type);

    if (!t || t->abstract || !t->user_creatable) {
        error_setg(errp, "object type '%s' is not one that -object or object-add can make", type);
        return NULL;
    }
    if (!id || !object_id_wellformed(id)) {
        error_setg(errp, "Parameter 'id' of object type '%s' expects an identifier: a letter, then "
                   "letters, digits, '-', '.', '_'", type);
        return NULL;
    }
    if (object_user_by_id(id)) {
        error_setg(errp, "attempt to add duplicate property '%s' to object (type 'container')", id);
        return NULL;
    }
    Object *obj = object_new(type);
    bool ok = object_apply_globals(obj, errp) && object_set_members(obj, props, skip, errp) &&
              object_add_child(object_container("/objects"), id, obj, errp);

    if (ok && !object_complete(obj, errp)) {
        object_unparent(obj);
        ok = false;
    }
    object_unref(obj); /* the tree holds it when all went well */
    if (!ok) {
        return NULL;
    }
    obj->realized = true;
    return obj;
}

bool object_delete_user(const char *id, Error **errp)
{
    Object *obj = object_user_by_id(id);

    if (!obj) {
        error_setg(errp, "object '%s' not found", id);
        return false;
    }
    for (const TypeInfo *t = obj->type; t; t = type_by_name(t->parent)) {
        if (t->can_be_deleted && !t->can_be_deleted(obj, errp)) {
            return false;
        }
    }
    object_unparent(obj);
    return true;
}

typedef struct GlobalProperty {
    char *driver, *name, *value;
    bool used;
} GlobalProperty;

static GPtrArray *globals; /* of GlobalProperty*, command line order */

void global_property_add(const char *driver, const char *prop, const char *value)
{
    GlobalProperty *g = g_new0(GlobalProperty, 1);

    if (!globals) {
        globals = g_ptr_array_new();
    }
    g->driver = g_strdup(driver);
    g->name = g_strdup(prop);
    g->value = g_strdup(value);
    g_ptr_array_add(globals, g);
}

bool object_apply_globals(Object *obj, Error **errp)
{
    for (guint i = 0; globals && i < globals->len; i++) {
        GlobalProperty *g = globals->pdata[i];

        if (!type_is_a(obj->type, g->driver)) {
            continue;
        }
        g->used = true;
        if (!object_property_parse(obj, g->name, g->value, errp)) {
            error_prefix(errp, "-global %s.%s=%s: ", g->driver, g->name, g->value);
            return false;
        }
    }
    return true;
}

void global_properties_warn_unused(void)
{
    for (guint i = 0; globals && i < globals->len; i++) {
        const GlobalProperty *g = globals->pdata[i];

        if (!g->used) {
            warn_report("global %s.%s has invalid class name or was not used", g->driver, g->name);
        }
    }
}
