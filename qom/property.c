/*
 * Properties: one PropertyInfo row of a type is one value in the object's struct,
 * read and written as JSON or as command line text.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "qom/object-private.h"
#include "util/util.h"

/* Range and width of the integer kinds. */
static const struct IntKind {
    const char *name;
    unsigned size;
    bool is_signed;
} int_kinds[] = {
    [PROP_UINT8] = { "uint8", 1, false },
    [PROP_UINT16] = { "uint16", 2, false },
    [PROP_UINT32] = { "uint32", 4, false },
    [PROP_INT32] = { "int32", 4, true },
    [PROP_UINT64] = { "uint64", 8, false },
    [PROP_INT64] = { "int64", 8, true },
    [PROP_SIZE] = { "size", 8, false },
};

static const struct IntKind *int_kind(PropertyKind kind)
{
    return kind < ARRAY_SIZE(int_kinds) && int_kinds[kind].name ? &int_kinds[kind] : NULL;
}

const char *property_type_name(const PropertyInfo *p)
{
    if (p->type_name) {
        return p->type_name;
    }
    const struct IntKind *k = int_kind(p->kind);
    if (k) {
        return k->name;
    }
    return p->kind == PROP_BOOL ? "bool" : p->kind == PROP_STRING ? "str" : "enum";
}

const PropertyInfo *type_find_property(const TypeInfo *t, const char *name)
{
    g_autoptr(GPtrArray) props = type_properties(t);

    for (guint i = 0; i < props->len; i++) {
        const PropertyInfo *p = props->pdata[i];

        if (g_str_equal(p->name, name)) {
            return p;
        }
    }
    return NULL;
}

const PropertyInfo *object_find_property(const Object *obj, const char *name)
{
    return type_find_property(obj->type, name);
}

static const PropertyInfo *find_or_fail(const Object *obj, const char *name, Error **errp)
{
    const PropertyInfo *p = object_find_property(obj, name);

    if (!p) {
        error_setg(errp, "Property '%s.%s' not found", obj->type->name, name);
    }
    return p;
}

static void *field_of(Object *obj, const PropertyInfo *p)
{
    return (char *)obj + p->offset;
}

static int64_t load_int(const void *field, const struct IntKind *k)
{
    switch (k->size) {
    case 1:
        return *(const uint8_t *)field;
    case 2:
        return *(const uint16_t *)field;
    case 4:
        return k->is_signed ? *(const int32_t *)field : (int64_t) * (const uint32_t *)field;
    default:
        return *(const int64_t *)field;
    }
}

/* v is the value, or its two's complement above INT64_MAX (PROP_UINT64, PROP_SIZE). */
static bool store_int(Object *obj, const PropertyInfo *p, uint64_t v, bool negative, Error **errp)
{
    const struct IntKind *k = int_kind(p->kind);
    uint64_t max = k->size == 8 ? UINT64_MAX : (1ULL << (8 * k->size)) - 1;
    bool ok;

    if (k->is_signed) {
        int64_t lowest = k->size == 8 ? INT64_MIN : -(1LL << (8 * k->size - 1));

        ok = negative ? (int64_t)v >= lowest : v <= max / 2;
    } else {
        ok = !negative && v <= max;
    }
    if (!ok) {
        error_setg(errp, "Property '%s.%s' doesn't take value '%" PRId64 "': it must fit %s",
                   obj->type->name, p->name, (int64_t)v, k->name);
        return false;
    }
    void *field = field_of(obj, p);
    switch (k->size) {
    case 1:
        *(uint8_t *)field = v;
        break;
    case 2:
        *(uint16_t *)field = v;
        break;
    case 4:
        *(uint32_t *)field = v;
        break;
    default:
        *(uint64_t *)field = v;
    }
    return true;
}

static bool store_enum(Object *obj, const PropertyInfo *p, const char *text, Error **errp)
{
    for (int i = 0; p->enum_names[i]; i++) {
        if (g_str_equal(p->enum_names[i], text)) {
            *(int *)field_of(obj, p) = i;
            return true;
        }
    }
    g_autofree char *all = g_strjoinv(", ", (char **)p->enum_names);
    error_setg(errp, "Property '%s.%s' doesn't take value '%s'; it is one of: %s",
               obj->type->name, p->name, text, all);
    return false;
}

static void store_string(Object *obj, const PropertyInfo *p, const char *text)
{
    char **field = field_of(obj, p);

    g_free(*field);
    *field = g_strdup(text);
}

static bool parse_int(Object *obj, const PropertyInfo *p, const char *text, Error **errp)
{
    bool negative = *text == '-';
    uint64_t v;
    bool ok = p->kind == PROP_SIZE ? parse_size(text, 'B', &v) : parse_u64(text + negative, &v);

    if (ok && negative && p->kind != PROP_SIZE) {
        ok = v <= (uint64_t)INT64_MAX + 1;
        v = -v;
        negative = v != 0;
    }
    if (!ok) {
        error_setg(errp, "Parameter '%s' expects a %s, not '%s'", p->name,
                   p->kind == PROP_SIZE ? "size" : "number", text);
        return false;
    }
    return store_int(obj, p, v, negative, errp);
}

static bool parse_plain(Object *obj, const PropertyInfo *p, const char *text, Error **errp)
{
    switch (p->kind) {
    case PROP_BOOL:
        if (!parse_bool(text, field_of(obj, p))) {
            error_setg(errp, "Parameter '%s' expects 'on' or 'off', not '%s'", p->name, text);
            return false;
        }
        return true;
    case PROP_STRING:
        store_string(obj, p, text);
        return true;
    case PROP_ENUM:
        return store_enum(obj, p, text, errp);
    default:
        return parse_int(obj, p, text, errp);
    }
}

static bool wrong_type(const PropertyInfo *p, const char *expected, Error **errp)
{
    error_setg(errp, "Invalid parameter type for '%s', expected: %s", p->name, expected);
    return false;
}

static bool set_plain(Object *obj, const PropertyInfo *p, JsonNode *value, Error **errp)
{
    GType have = JSON_NODE_HOLDS_VALUE(value) ? json_node_get_value_type(value) : G_TYPE_INVALID;

    switch (p->kind) {
    case PROP_BOOL:
        if (have != G_TYPE_BOOLEAN) {
            return wrong_type(p, "boolean", errp);
        }
        *(bool *)field_of(obj, p) = json_node_get_boolean(value);
        return true;
    case PROP_STRING:
        if (have != G_TYPE_STRING) {
            return wrong_type(p, "string", errp);
        }
        store_string(obj, p, json_node_get_string(value));
        return true;
    case PROP_ENUM:
        if (have != G_TYPE_STRING) {
            return wrong_type(p, "string", errp);
        }
        return store_enum(obj, p, json_node_get_string(value), errp);
    default:
        if (have != G_TYPE_INT64) {
            return wrong_type(p, "integer", errp);
        }
        return store_int(obj, p, json_node_get_int(value), json_node_get_int(value) < 0, errp);
    }
}

static bool may_set(Object *obj, const PropertyInfo *p, Error **errp)
{
    if (p->readonly || (p->kind == PROP_CUSTOM && !p->set)) {
        error_setg(errp, "Property '%s.%s' is not writable", obj->type->name, p->name);
        return false;
    }
    if (obj->realized && !p->settable_live) {
        error_setg(errp, "Property '%s.%s' cannot be changed any more", obj->type->name, p->name);
        return false;
    }
    return true;
}

bool object_property_set(Object *obj, const char *name, JsonNode *value, Error **errp)
{
    const PropertyInfo *p = find_or_fail(obj, name, errp);

    if (!p || !may_set(obj, p, errp)) {
        return false;
    }
    if (p->kind == PROP_CUSTOM) {
        return p->set(obj, p, value, errp);
    }
    return set_plain(obj, p, value, errp) && (!p->check || p->check(obj, p, errp));
}

bool object_property_parse(Object *obj, const char *name, const char *text, Error **errp)
{
    const PropertyInfo *p = find_or_fail(obj, name, errp);

    if (!p || !may_set(obj, p, errp)) {
        return false;
    }
    if (p->kind == PROP_CUSTOM) {
        g_autoptr(JsonNode) value = json_node_init_string(json_node_alloc(), text);

        return p->set(obj, p, value, errp);
    }
    return parse_plain(obj, p, text, errp) && (!p->check || p->check(obj, p, errp));
}

JsonNode *object_property_get(Object *obj, const char *name, Error **errp)
{
    const PropertyInfo *p = object_find_property(obj, name);
    JsonNode *node;

    if (!p) {
        Object *child = object_child(obj, name);

        if (!child) {
            find_or_fail(obj, name, errp);
            return NULL;
        }
        g_autofree char *path = object_path(child);
        return json_node_init_string(json_node_alloc(), path ? path : "");
    }
    if (p->kind == PROP_CUSTOM) {
        if (!p->get) {
            error_setg(errp, "Property '%s.%s' is not readable", obj->type->name, name);
            return NULL;
        }
        return p->get(obj, p, errp);
    }
    node = json_node_alloc();
    const void *field = field_of(obj, p);
    if (p->kind == PROP_BOOL) {
        return json_node_init_boolean(node, *(const bool *)field);
    }
    if (p->kind == PROP_STRING) {
        const char *text = *(char *const *)field;

        return json_node_init_string(node, text ? text : "");
    }
    if (p->kind == PROP_ENUM) {
        return json_node_init_string(node, p->enum_names[*(const int *)field]);
    }
    return json_node_init_int(node, load_int(field, int_kind(p->kind)));
}

void property_set_defaults(Object *obj, const TypeInfo *t)
{
    for (const PropertyInfo *p = t->props; p && p->name; p++) {
        g_autoptr(Error) err = NULL;

        if (p->def && p->kind != PROP_CUSTOM && !parse_plain(obj, p, p->def, &err)) {
            g_error("default of %s.%s: %s", t->name, p->name, error_get_pretty(err));
        }
    }
}

void property_free_values(Object *obj, const TypeInfo *t)
{
    for (const PropertyInfo *p = t->props; p && p->name; p++) {
        if (p->kind == PROP_STRING) {
            g_clear_pointer((char **)field_of(obj, p), g_free);
        }
    }
}
