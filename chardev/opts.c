/*
 * Other spellings of a backend: the short forms of -serial and -qmp, and QMP's
 * ChardevBackend, both turned into the members of -chardev.  Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chardev/backend.h"
#include "util/options.h"
#include "util/util.h"

/* Value of opts' member `from` becomes that of `to`. */
static void rename_member(JsonObject *opts, const char *from, const char *to)
{
    if (json_object_has_member(opts, from)) {
        JsonNode *node = json_object_dup_member(opts, from);
        json_object_remove_member(opts, from);
        json_object_set_member(opts, to, node);
    }
}

/* SocketAddressLegacy: {"type": T, "data": {...}}; its members go up into opts. */
static bool flatten_addr(JsonObject *opts, Error **errp)
{
    JsonNode *node = json_object_get_member(opts, "addr");
    g_autoptr(JsonObject) addr = NULL;
    g_autoptr(GList) names = NULL;
    const char *type;

    if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
        error_setg(errp, "parameter 'addr' expects a socket address");
        return false;
    }
    addr = json_object_ref(json_node_get_object(node));
    json_object_remove_member(opts, "addr");
    type = json_object_get_string_member_with_default(addr, "type", "");
    if (!g_str_equal(type, "inet") && !g_str_equal(type, "unix") && !g_str_equal(type, "fd")) {
        error_setg(errp, "socket address type '%s' is not one of: inet, unix, fd", type);
        return false;
    }
    node = json_object_get_member(addr, "data");
    if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
        error_setg(errp, "parameter 'addr' lacks 'data'");
        return false;
    }
    JsonObject *data = json_node_get_object(node);
    names = json_object_get_members(data);
    for (GList *l = names; l; l = l->next) {
        json_object_set_member(opts, l->data, json_object_dup_member(data, l->data));
    }
    rename_member(opts, "str", "fd");
    return true;
}

static JsonObject *copy_data(JsonObject *backend, Error **errp)
{
    JsonNode *node = json_object_get_member(backend, "data");
    JsonObject *opts = json_object_new();

    if (!node) {
        return opts;
    }
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        error_setg(errp, "parameter 'data' expects an object");
        json_object_unref(opts);
        return NULL;
    }
    JsonObject *data = json_node_get_object(node);
    g_autoptr(GList) names = json_object_get_members(data);
    for (GList *l = names; l; l = l->next) {
        json_object_set_member(opts, l->data, json_object_dup_member(data, l->data));
    }
    return opts;
}

JsonObject *chardev_opts_from_backend(JsonObject *backend, const ChardevClass **ret_class,
                                      Error **errp)
{
    g_autoptr(JsonObject) opts = NULL;
    const char *type = json_object_get_string_member_with_default(backend, "type", "");
    const ChardevClass *klass = chardev_class_by_name(type, errp);

    if (!klass) {
        return NULL;
    }
    opts = copy_data(backend, errp);
    if (!opts) {
        return NULL;
    }
    if (klass == &chardev_socket) {
        if (!flatten_addr(opts, errp)) {
            return NULL;
        }
        /* QMP's defaults differ from those of the command line. */
        if (!json_object_has_member(opts, "server")) {
            json_object_set_boolean_member(opts, "server", TRUE);
        }
        if (!json_object_has_member(opts, "wait")) {
            json_object_set_boolean_member(opts, "wait", FALSE);
        }
    } else if (klass == &chardev_file) {
        rename_member(opts, "out", "path");
        rename_member(opts, "in", "input-path");
    } else if (klass == &chardev_pipe) {
        rename_member(opts, "device", "path");
    }
    *ret_class = klass;
    return g_steal_pointer(&opts);
}

/* Split "H:P" at the last colon; [H] in brackets may hold colons. */
static bool set_host_port(JsonObject *opts, const char *str, Error **errp)
{
    const char *colon = strrchr(str, ':');
    g_autofree char *host = NULL;

    if (!colon || !colon[1]) {
        error_setg(errp, "'%s' is not HOST:PORT", str);
        return false;
    }
    host = g_strndup(str, colon - str);
    if (host[0] == '[' && colon[-1] == ']') {
        host[strlen(host) - 1] = '\0';
        memmove(host, host + 1, strlen(host));
    }
    json_object_set_string_member(opts, "host", host);
    json_object_set_string_member(opts, "port", colon + 1);
    return true;
}

void chardev_legacy_flags(JsonObject *opts)
{
    if (json_object_has_member(opts, "nowait")) {
        json_object_remove_member(opts, "nowait");
        json_object_set_string_member(opts, "wait", "off");
    }
}

/* Short forms of sockets; the name of the kind is that of its member. */
static const char *const socket_kinds[] = { "unix:", "tcp:", "telnet:", "websocket:", NULL };

static bool is_socket_short(const char *str)
{
    for (const char *const *k = socket_kinds; *k; k++) {
        if (g_str_has_prefix(str, *k)) {
            return true;
        }
    }
    return false;
}

static JsonObject *socket_short(const char *str, Error **errp)
{
    bool inet = !g_str_has_prefix(str, "unix:");
    const char *colon = strchr(str, ':');
    g_autofree char *kind = g_strndup(str, colon - str);
    g_autoptr(JsonObject) opts = options_parse(colon + 1, "path", errp);
    g_autofree char *where = NULL;

    if (!opts || !options_take_str(opts, "path", &where, errp)) {
        return NULL;
    }
    chardev_legacy_flags(opts);
    if (!where || !*where) {
        error_setg(errp, "'%s' names no %s", str, inet ? "host and port" : "path");
        return NULL;
    }
    if (inet) {
        if (!set_host_port(opts, where, errp)) {
            return NULL;
        }
        if (!g_str_equal(kind, "tcp")) {
            json_object_set_string_member(opts, kind, "on");
        }
    } else {
        json_object_set_string_member(opts, "path", where);
    }
    return g_steal_pointer(&opts);
}

bool chardev_short_has_monitor(const char *str)
{
    return g_str_has_prefix(str, "mon:");
}

/* Backends whose short form is the name alone or NAME:PATH. */
static JsonObject *plain_short(const char *str, const ChardevClass **ret_class, Error **errp)
{
    const char *colon = strchr(str, ':');
    size_t len = colon ? (size_t)(colon - str) : strlen(str);
    g_autofree char *name = g_strndup(str, len);
    g_autoptr(JsonObject) opts = NULL;

    if (g_str_equal(name, "vc") || *name == '/') {
        error_setg(errp, "'%s' is not supported: there are no %s", str,
                   *name == '/' ? "host serial or parallel ports" : "graphical consoles");
        return NULL;
    }
    if (g_str_equal(name, "tn3270")) {
        error_setg(errp, "'%s' is not supported: it is for terminals of mainframes", str);
        return NULL;
    }
    *ret_class = chardev_class_by_name(name, errp);
    if (!*ret_class) {
        return NULL;
    }
    bool path = *ret_class == &chardev_file || *ret_class == &chardev_pipe;
    if (path != (colon != NULL)) {
        error_setg(errp, path ? "'%s' needs a path: %s:PATH" : "'%s' takes nothing after '%s'",
                   str, name);
        return NULL;
    }
    opts = json_object_new();
    if (path) {
        json_object_set_string_member(opts, "path", colon + 1);
    }
    return g_steal_pointer(&opts);
}

JsonObject *chardev_opts_from_short(const char *str, const ChardevClass **ret_class,
                                    Error **errp)
{
    bool mux = chardev_short_has_monitor(str);
    JsonObject *opts;

    str += mux ? strlen("mon:") : 0;
    if (is_socket_short(str)) {
        *ret_class = &chardev_socket;
        opts = socket_short(str, errp);
    } else {
        opts = plain_short(str, ret_class, errp);
    }
    if (opts && mux) {
        json_object_set_string_member(opts, "mux", "on");
        if (*ret_class == &chardev_stdio) {
            /* Ctrl-C belongs to the guest there; C-a x leaves. */
            json_object_set_string_member(opts, "signal", "off");
        }
    }
    return opts;
}
