/*
 * Reading and making JSON for generated QAPI code.  Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi/visit.h"

#include <stdlib.h>
#include <string.h>

#include "qapi/command.h"

static char *path_str(const QapiPath *p, const char *last)
{
    GString *s = g_string_new(last);

    for (; p; p = p->up) {
        g_autofree char *part = p->name ? g_strdup(p->name) : g_strdup_printf("[%u]", p->index);
        if (s->len && s->str[0] != '[') {
            g_string_prepend_c(s, '.');
        }
        g_string_prepend(s, part);
    }
    return g_string_free(s, FALSE);
}

bool qapi_wrong_type(const QapiPath *path, const char *expected, Error **errp)
{
    g_autofree char *name = path_str(path, NULL);

    error_setg(errp, "Invalid parameter type for '%s', expected: %s", *name ? name : "null",
               expected);
    return false;
}

QapiJsonKind qapi_json_kind(JsonNode *n)
{
    switch (json_node_get_node_type(n)) {
    case JSON_NODE_OBJECT:
        return QAPI_JSON_OBJECT;
    case JSON_NODE_ARRAY:
        return QAPI_JSON_ARRAY;
    case JSON_NODE_NULL:
        return QAPI_JSON_NULL;
    default:
        break;
    }
    switch (json_node_get_value_type(n)) {
    case G_TYPE_INT64:
        return QAPI_JSON_INT;
    case G_TYPE_DOUBLE:
        return QAPI_JSON_NUMBER;
    case G_TYPE_BOOLEAN:
        return QAPI_JSON_BOOL;
    default:
        return QAPI_JSON_STRING;
    }
}

void qapi_in_clear(QapiIn *in)
{
    g_clear_pointer(&in->seen, g_ptr_array_unref);
}

bool qapi_in_open(QapiIn *in, JsonNode *node, const QapiPath *path, Error **errp)
{
    if (qapi_json_kind(node) != QAPI_JSON_OBJECT) {
        return qapi_wrong_type(path, "object", errp);
    }
    in->obj = json_node_get_object(node);
    in->path = path;
    return true;
}

JsonNode *qapi_in_member(QapiIn *in, const char *name)
{
    if (!in->seen) {
        in->seen = g_ptr_array_new();
    }
    g_ptr_array_add(in->seen, (char *)name);
    return json_object_get_member(in->obj, name);
}

bool qapi_missing(QapiIn *in, const char *name, Error **errp)
{
    g_autofree char *full = path_str(in->path, name);

    error_setg(errp, "Parameter '%s' is missing", full);
    return false;
}

static bool is_seen(const QapiIn *in, const char *name)
{
    for (guint i = 0; in->seen && i < in->seen->len; i++) {
        if (!strcmp(g_ptr_array_index(in->seen, i), name)) {
            return true;
        }
    }
    return false;
}

bool qapi_in_close(QapiIn *in, Error **errp)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;

    json_object_iter_init(&iter, in->obj);
    while (json_object_iter_next(&iter, &name, &node)) {
        if (!is_seen(in, name)) {
            g_autofree char *full = path_str(in->path, name);
            error_setg(errp, "Parameter '%s' is unexpected", full);
            return false;
        }
    }
    return true;
}

bool qapi_no_args(JsonObject *obj, Error **errp)
{
    g_auto(QapiIn) in = { obj, NULL, NULL };

    return qapi_in_close(&in, errp);
}

bool qapi_parse_int(JsonNode *n, const QapiPath *path, int64_t min, int64_t max,
                    const char *c_type, int64_t *ret, Error **errp)
{
    int64_t v;

    if (qapi_json_kind(n) != QAPI_JSON_INT) {
        return qapi_wrong_type(path, "integer", errp);
    }
    v = json_node_get_int(n);
    if (v < min || v > max) {
        g_autofree char *name = path_str(path, NULL);
        error_setg(errp, "Parameter '%s' expects %s", name, c_type);
        return false;
    }
    *ret = v;
    return true;
}

bool qapi_parse_uint64(JsonNode *n, const QapiPath *path, uint64_t *ret, Error **errp)
{
    int64_t v;

    if (!qapi_parse_int(n, path, INT64_MIN, INT64_MAX, "uint64_t", &v, errp)) {
        return false;
    }
    *ret = v;
    return true;
}

bool qapi_parse_number(JsonNode *n, const QapiPath *path, double *ret, Error **errp)
{
    QapiJsonKind kind = qapi_json_kind(n);

    if (kind != QAPI_JSON_INT && kind != QAPI_JSON_NUMBER) {
        return qapi_wrong_type(path, "number", errp);
    }
    *ret = kind == QAPI_JSON_INT ? json_node_get_int(n) : json_node_get_double(n);
    return true;
}

bool qapi_parse_bool(JsonNode *n, const QapiPath *path, bool *ret, Error **errp)
{
    if (qapi_json_kind(n) != QAPI_JSON_BOOL) {
        return qapi_wrong_type(path, "boolean", errp);
    }
    *ret = json_node_get_boolean(n);
    return true;
}

bool qapi_parse_null(JsonNode *n, const QapiPath *path, bool *ret, Error **errp)
{
    if (qapi_json_kind(n) != QAPI_JSON_NULL) {
        return qapi_wrong_type(path, "null", errp);
    }
    *ret = true;
    return true;
}

bool qapi_parse_str(JsonNode *n, const QapiPath *path, char **ret, Error **errp)
{
    if (qapi_json_kind(n) != QAPI_JSON_STRING) {
        return qapi_wrong_type(path, "string", errp);
    }
    *ret = g_strdup(json_node_get_string(n));
    return true;
}

bool qapi_parse_any(JsonNode *n, const QapiPath *path, JsonNode **ret, Error **errp)
{
    *ret = json_node_ref(n);
    return true;
}

int qapi_enum_find(const char *const *names, const char *str)
{
    for (int i = 0; names[i]; i++) {
        if (!strcmp(names[i], str)) {
            return i;
        }
    }
    return -1;
}

int qapi_parse_enum(JsonNode *n, const QapiPath *path, const char *const *names, Error **errp)
{
    int i;

    if (qapi_json_kind(n) != QAPI_JSON_STRING) {
        qapi_wrong_type(path, "string", errp);
        return -1;
    }
    i = qapi_enum_find(names, json_node_get_string(n));
    if (i < 0) {
        g_autofree char *name = path_str(path, NULL);
        error_setg(errp, "Parameter '%s' does not accept value '%s'", *name ? name : "null",
                   json_node_get_string(n));
    }
    return i;
}

JsonArray *qapi_parse_array(JsonNode *n, const QapiPath *path, Error **errp)
{
    if (qapi_json_kind(n) != QAPI_JSON_ARRAY) {
        qapi_wrong_type(path, "array", errp);
        return NULL;
    }
    return json_node_get_array(n);
}

JsonNode *qapi_node_int(int64_t v)
{
    return json_node_init_int(json_node_alloc(), v);
}

JsonNode *qapi_node_uint64(uint64_t v)
{
    return qapi_node_int((int64_t)v);
}

JsonNode *qapi_node_number(double v)
{
    return json_node_init_double(json_node_alloc(), v);
}

JsonNode *qapi_node_bool(bool v)
{
    return json_node_init_boolean(json_node_alloc(), v);
}

JsonNode *qapi_node_null(bool v)
{
    return json_node_init_null(json_node_alloc());
}

JsonNode *qapi_node_str(const char *v)
{
    return json_node_init_string(json_node_alloc(), v ? v : "");
}

JsonNode *qapi_node_any(JsonNode *v)
{
    return json_node_ref(v);
}

JsonNode *qapi_node_array(JsonArray *a)
{
    JsonNode *n = json_node_new(JSON_NODE_ARRAY);

    json_node_take_array(n, a);
    return n;
}

JsonNode *qapi_node_object(JsonObject *o)
{
    JsonNode *n = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(n, o);
    return n;
}

void qapi_node_free(JsonNode *n)
{
    if (n) {
        json_node_unref(n);
    }
}

void qapi_list_free(GPtrArray *a)
{
    if (a) {
        g_ptr_array_unref(a);
    }
}

void qapi_array_free(GArray *a)
{
    if (a) {
        g_array_unref(a);
    }
}

static int compare_name(const void *name, const void *cmd)
{
    return strcmp(name, ((const QmpCommand *)cmd)->name);
}

const QmpCommand *qmp_command_find(const char *name)
{
    return bsearch(name, qmp_commands, qmp_commands_count, sizeof(QmpCommand), compare_name);
}
