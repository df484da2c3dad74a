/*
 * Objects: life, checked casts, and the tree.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "qom/object-private.h"

static JsonNode *object_get_type(Object *obj, const PropertyInfo *p, Error **errp)
{
    return json_node_init_string(json_node_alloc(), obj->type->name);
}

static const PropertyInfo object_props[] = {
    { .name = "type", .kind = PROP_CUSTOM, .type_name = "string", .readonly = true,
      .get = object_get_type },
    { .name = NULL },
};

static const TypeInfo object_type = {
    .name = "object",
    .abstract = true,
    .instance_size = sizeof(Object),
    .props = object_props,
};
TYPE_REGISTER(object_type)

static const TypeInfo container_type = { .name = "container" };
TYPE_REGISTER(container_type)

Object *object_new(const char *type_name)
{
    const TypeInfo *type = type_by_name(type_name);

    if (!type || type->abstract) {
        g_error("no type '%s' that objects can be made of", type_name);
    }
    Object *obj = g_malloc0(type_instance_size(type));
    g_autoptr(GPtrArray) lineage = type_lineage(type);

    obj->type = type;
    obj->ref = 1;
    for (guint i = 0; i < lineage->len; i++) {
        const TypeInfo *t = lineage->pdata[i];

        property_set_defaults(obj, t);
        if (t->init) {
            t->init(obj);
        }
    }
    return obj;
}

Object *object_ref(Object *obj)
{
    if (obj) {
        obj->ref++;
    }
    return obj;
}

static void object_destroy(Object *obj)
{
    while (obj->children && obj->children->len) {
        object_unparent(obj->children->pdata[obj->children->len - 1]);
    }
    g_autoptr(GPtrArray) lineage = type_lineage(obj->type);

    for (guint i = lineage->len; i-- > 0;) {
        const TypeInfo *t = lineage->pdata[i];

        if (t->finalize) {
            t->finalize(obj);
        }
        property_free_values(obj, t);
    }
    g_clear_pointer(&obj->children, g_ptr_array_unref);
    g_free(obj->name);
    g_free(obj);
}

void object_unref(Object *obj)
{
    if (!obj) {
        return;
    }
    g_assert(obj->ref > 0);
    if (--obj->ref == 0) {
        g_assert(!obj->parent);
        object_destroy(obj);
    }
}

bool object_is(const Object *obj, const char *type)
{
    return obj && type_is_a(obj->type, type);
}

void *object_check(void *obj, const char *type)
{
    if (!object_is(obj, type)) {
        g_error("object of type '%s' where '%s' is needed",
                obj ? ((Object *)obj)->type->name : "(none)", type);
    }
    return obj;
}

Object *object_root(void)
{
    static Object *root;

    if (!root) {
        root = object_new("container");
    }
    return root;
}

Object *object_child(const Object *parent, const char *name)
{
    for (guint i = 0; parent->children && i < parent->children->len; i++) {
        Object *child = parent->children->pdata[i];

        if (g_str_equal(child->name, name)) {
            return child;
        }
    }
    return NULL;
}

bool object_add_child(Object *parent, const char *name, Object *child, Error **errp)
{
    g_assert(!child->parent);
    if (object_child(parent, name) || object_find_property(parent, name)) {
        error_setg(errp, "attempt to add duplicate property '%s' to object (type '%s')", name,
                   parent->type->name);
        return false;
    }
    if (!parent->children) {
        parent->children = g_ptr_array_new();
    }
    g_ptr_array_add(parent->children, object_ref(child));
    child->name = g_strdup(name);
    child->parent = parent;
    return true;
}

void object_unparent(Object *obj)
{
    if (!obj->parent) {
        return;
    }
    g_ptr_array_remove(obj->parent->children, obj);
    obj->parent = NULL;
    g_clear_pointer(&obj->name, g_free);
    object_unref(obj);
}

Object *object_container(const char *path)
{
    Object *obj = object_root();
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    for (int i = 0; parts[i]; i++) {
        if (!*parts[i]) {
            continue;
        }
        Object *child = object_child(obj, parts[i]);

        if (!child) {
            child = object_new("container");
            object_add_child(obj, parts[i], child, NULL);
            object_unref(child); /* the tree holds it */
        }
        obj = child;
    }
    return obj;
}

char *object_path(const Object *obj)
{
    g_autofree char *path = NULL;

    if (obj == object_root()) {
        return g_strdup("/");
    }
    for (; obj != object_root(); obj = obj->parent) {
        if (!obj || !obj->parent) {
            return NULL; /* outside the tree */
        }
        char *longer = g_strconcat("/", obj->name, path, NULL);
        g_free(path);
        path = longer;
    }
    return g_steal_pointer(&path);
}

static Object *walk_down(Object *obj, char **parts)
{
    for (; obj && *parts; parts++) {
        if (**parts) {
            obj = object_child(obj, *parts);
        }
    }
    return obj;
}

/* Every place below obj where parts can be walked; *count says how many there are. */
static Object *find_suffix(Object *obj, char **parts, unsigned *count)
{
    Object *found = walk_down(obj, parts);

    if (found) {
        (*count)++;
    }
    for (guint i = 0; obj->children && i < obj->children->len; i++) {
        Object *below = find_suffix(obj->children->pdata[i], parts, count);

        found = found ? found : below;
    }
    return found;
}

Object *object_resolve(const char *path, bool *ret_ambiguous)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    unsigned count = 0;

    if (ret_ambiguous) {
        *ret_ambiguous = false;
    }
    if (!*path) {
        return NULL;
    }
    if (*path == '/') {
        return walk_down(object_root(), parts);
    }
    Object *found = find_suffix(object_root(), parts, &count);
    if (ret_ambiguous) {
        *ret_ambiguous = count > 1;
    }
    return count == 1 ? found : NULL;
}
