/*
 * Option strings: parser and takers.  Pure: belongs to no thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util/options.h"

#include <string.h>

#include "util/util.h"

/* Copy a name: up to '=', a comma or the end.  Moves *p there. */
static char *take_name(const char **p)
{
    size_t len = strcspn(*p, "=,");
    char *name = g_strndup(*p, len);

    *p += len;
    return name;
}

/* Copy a value: up to a single comma or the end; ",," becomes ",".  Moves *p there. */
static char *take_value(const char **p)
{
    GString *s = g_string_new(NULL);
    const char *c = *p;

    for (; *c; c++) {
        if (*c == ',' && *++c != ',') {
            c--;
            break;
        }
        g_string_append_c(s, *c);
    }
    *p = c;
    return g_string_free(s, FALSE);
}

/* Object below `parent` for one part of a dotted name, made if absent. */
static JsonObject *descend(JsonObject *parent, const char *part, const char *key, Error **errp)
{
    JsonNode *node = json_object_get_member(parent, part);

    if (!node) {
        JsonObject *child = json_object_new();
        json_object_set_object_member(parent, part, child);
        return child;
    }
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        error_setg(errp, "'%s' is given as a value and as a group of values", key);
        return NULL;
    }
    return json_node_get_object(node);
}

static bool store(JsonObject *root, const char *key, const char *value, bool dotted, Error **errp)
{
    g_auto(GStrv) parts = dotted ? g_strsplit(key, ".", -1) : NULL;
    const char *last = key;
    JsonNode *old;

    for (unsigned i = 0; dotted && parts[i]; i++) {
        last = parts[i];
        if (!*last) {
            error_setg(errp, "'%s' is not the name of an option", key);
            return false;
        }
        if (parts[i + 1]) {
            root = descend(root, last, key, errp);
            if (!root) {
                return false;
            }
        }
    }
    old = json_object_get_member(root, last);
    if (old && JSON_NODE_HOLDS_OBJECT(old)) {
        error_setg(errp, "'%s' is given as a value and as a group of values", key);
        return false;
    }
    json_object_set_string_member(root, last, value);
    return true;
}

/* Turn objects whose members are 0 .. n-1 into arrays, from the leaves up. */
static JsonNode *make_arrays(JsonObject *obj)
{
    g_autoptr(GList) names = json_object_get_members(obj);
    unsigned n = g_list_length(names);
    JsonNode *node;
    bool list = n > 0;

    for (GList *l = names; l; l = l->next) {
        node = json_object_get_member(obj, l->data);
        if (JSON_NODE_HOLDS_OBJECT(node)) {
            json_object_set_member(obj, l->data, make_arrays(json_node_get_object(node)));
        }
    }
    for (unsigned i = 0; i < n && list; i++) {
        g_autofree char *index = g_strdup_printf("%u", i);
        list = json_object_has_member(obj, index);
    }
    if (!list) {
        node = json_node_new(JSON_NODE_OBJECT);
        json_node_set_object(node, obj);
        return node;
    }
    JsonArray *array = json_array_sized_new(n);
    for (unsigned i = 0; i < n; i++) {
        g_autofree char *index = g_strdup_printf("%u", i);
        json_array_add_element(array, json_object_dup_member(obj, index));
    }
    node = json_node_new(JSON_NODE_ARRAY);
    json_node_take_array(node, array);
    return node;
}

static JsonObject *parse_json(const char *text, Error **errp)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) bad = NULL;
    JsonNode *root;

    if (!json_parser_load_from_data(parser, text, -1, &bad)) {
        error_setg(errp, "not valid JSON: %s", bad->message);
        return NULL;
    }
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        error_setg(errp, "not a JSON object: '%s'", text);
        return NULL;
    }
    /* A copy of the top level: takers remove members. */
    JsonObject *from = json_node_get_object(root), *to = json_object_new();
    g_autoptr(GList) names = json_object_get_members(from);
    for (GList *l = names; l; l = l->next) {
        json_object_set_member(to, l->data, json_object_dup_member(from, l->data));
    }
    return to;
}

static bool parse_item(JsonObject *root, const char **p, const char *implied, bool dotted,
                       Error **errp)
{
    const char *start = *p;
    g_autofree char *key = take_name(p);
    g_autofree char *value = NULL;

    if (**p == '=') {
        (*p)++;
        value = take_value(p);
    } else if (implied) {
        *p = start;
        value = take_value(p);
        return store(root, implied, value, false, errp);
    } else {
        value = g_strdup("on");
    }
    if (!*key) {
        error_setg(errp, "expected NAME=VALUE before '%s'", start);
        return false;
    }
    return store(root, key, value, dotted, errp);
}

static JsonObject *parse_text(const char *p, const char *implied, bool dotted, Error **errp)
{
    g_autoptr(JsonObject) root = json_object_new();

    while (*p) {
        if (!parse_item(root, &p, implied, dotted, errp)) {
            return NULL;
        }
        implied = NULL;
        p += *p == ',';
    }
    if (dotted) {
        g_autoptr(GList) names = json_object_get_members(root);
        for (GList *l = names; l; l = l->next) {
            JsonNode *node = json_object_get_member(root, l->data);
            if (JSON_NODE_HOLDS_OBJECT(node)) {
                json_object_set_member(root, l->data, make_arrays(json_node_get_object(node)));
            }
        }
    }
    return g_steal_pointer(&root);
}

JsonObject *options_parse(const char *text, const char *implied_key, Error **errp)
{
    return *text == '{' ? parse_json(text, errp) : parse_text(text, implied_key, true, errp);
}

JsonObject *options_parse_flat(const char *text, const char *implied_key, Error **errp)
{
    return *text == '{' ? parse_json(text, errp) : parse_text(text, implied_key, false, errp);
}

char *options_value_text(JsonNode *node)
{
    if (!node || !JSON_NODE_HOLDS_VALUE(node)) {
        return NULL;
    }
    switch (json_node_get_value_type(node)) {
    case G_TYPE_STRING:
        return g_strdup(json_node_get_string(node));
    case G_TYPE_BOOLEAN:
        return g_strdup(json_node_get_boolean(node) ? "on" : "off");
    case G_TYPE_INT64:
        return g_strdup_printf("%" G_GINT64_FORMAT, json_node_get_int(node));
    case G_TYPE_DOUBLE:
        return g_strdup_printf("%.17g", json_node_get_double(node));
    default:
        return NULL;
    }
}

/* The node of key (NULL: absent), which is removed; the caller owns it. */
static JsonNode *take_node(JsonObject *opts, const char *key)
{
    JsonNode *node = NULL;

    if (json_object_has_member(opts, key)) {
        node = json_object_dup_member(opts, key);
        json_object_remove_member(opts, key);
    }
    return node;
}

static bool node_is(JsonNode *node, GType type)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

bool options_take_str(JsonObject *opts, const char *key, char **ret, Error **errp)
{
    g_autoptr(JsonNode) node = take_node(opts, key);

    if (!node) {
        return true;
    }
    if (!node_is(node, G_TYPE_STRING)) {
        error_setg(errp, "parameter '%s' expects a string", key);
        return false;
    }
    g_free(*ret);
    *ret = json_node_dup_string(node);
    return true;
}

bool options_take_bool(JsonObject *opts, const char *key, bool *ret, Error **errp)
{
    g_autoptr(JsonNode) node = take_node(opts, key);
    bool value;

    if (!node) {
        return true;
    }
    if (node_is(node, G_TYPE_BOOLEAN)) {
        *ret = json_node_get_boolean(node);
        return true;
    }
    if (!node_is(node, G_TYPE_STRING) || !parse_bool(json_node_get_string(node), &value)) {
        g_autofree char *text = options_value_text(node);
        error_setg(errp, "parameter '%s' expects 'on' or 'off'%s%s%s", key, text ? ", not '" : "",
                   text ? text : "", text ? "'" : "");
        return false;
    }
    *ret = value;
    return true;
}

bool options_take_u64(JsonObject *opts, const char *key, uint64_t max, uint64_t *ret,
                      Error **errp)
{
    g_autoptr(JsonNode) node = take_node(opts, key);
    g_autofree char *text = NULL;
    uint64_t value;

    if (!node) {
        return true;
    }
    text = options_value_text(node);
    if (!text || !parse_u64(text, &value) || value > max) {
        error_setg(errp, "parameter '%s' expects a number from 0 to %" G_GUINT64_FORMAT
                   "%s%s%s", key, max, text ? ", not '" : "", text ? text : "", text ? "'" : "");
        return false;
    }
    *ret = value;
    return true;
}

bool options_take_size(JsonObject *opts, const char *key, char default_suffix, uint64_t *ret,
                       Error **errp)
{
    g_autoptr(JsonNode) node = take_node(opts, key);
    g_autofree char *text = NULL;
    uint64_t value;

    if (!node) {
        return true;
    }
    text = options_value_text(node);
    if (!node_is(node, G_TYPE_STRING)) {
        default_suffix = 'B';
    }
    if (!text || !parse_size(text, default_suffix, &value)) {
        error_setg(errp, "parameter '%s' expects a size such as 512M or 2G%s%s%s", key,
                   text ? ", not '" : "", text ? text : "", text ? "'" : "");
        return false;
    }
    *ret = value;
    return true;
}

bool options_take_enum(JsonObject *opts, const char *key, const char *const *names, int *ret,
                       Error **errp)
{
    g_autoptr(JsonNode) node = take_node(opts, key);
    g_autofree char *text = NULL;
    g_autofree char *list = NULL;

    if (!node) {
        return true;
    }
    text = options_value_text(node);
    for (int i = 0; text && names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret = i;
            return true;
        }
    }
    list = g_strjoinv(", ", (char **)names);
    error_setg(errp, "parameter '%s' does not take '%s'; it is one of: %s", key,
               text ? text : "(group)", list);
    return false;
}

bool options_finish(JsonObject *opts, const char *what, Error **errp)
{
    g_autoptr(GList) left = json_object_get_members(opts);

    if (!left) {
        return true;
    }
    error_setg(errp, "%s: unknown parameter '%s'", what, (const char *)left->data);
    return false;
}
