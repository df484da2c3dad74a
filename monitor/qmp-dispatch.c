/*
 * One QMP request -> one reply: checks its form, finds the command, runs it.
 *
 * Runs in the main thread under the machine lock, or (out-of-band commands) in the
 * monitor I/O thread without it; keeps no state of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "monitor/monitor-internal.h"
#include "qapi/qapi-commands.h"
#include "trace/monitor.h"

static __thread QmpSession *current_session;

QmpSession *qmp_session_current(void)
{
    return current_session;
}

JsonNode *qmp_greeting(const QmpSession *s)
{
    g_autoptr(VersionInfo) version = qmp_query_version(NULL);
    JsonObject *top = json_object_new();
    JsonObject *qmp = json_object_new();
    JsonArray *caps = json_array_new();

    if (s->oob_offered) {
        json_array_add_string_element(caps, QMPCapability_names[QMP_CAPABILITY_OOB]);
    }
    json_object_set_member(qmp, "version", version_info_to_json(version));
    json_object_set_array_member(qmp, "capabilities", caps);
    json_object_set_object_member(top, "QMP", qmp);
    return qapi_node_object(top);
}

JsonNode *qmp_error_reply(const Error *err, JsonNode *id)
{
    JsonObject *top = json_object_new();
    JsonObject *e = json_object_new();

    if (id) {
        json_object_set_member(top, "id", json_node_copy(id));
    }
    json_object_set_string_member(e, "class", error_class_name(err));
    json_object_set_string_member(e, "desc", error_get_pretty(err));
    json_object_set_object_member(top, "error", e);
    return qapi_node_object(top);
}

/* A request, taken apart; the pointers are into the request's node. */
typedef struct QmpRequest {
    const char *command;
    JsonObject *arguments; /* NULL: none */
    bool oob;
} QmpRequest;

static bool check_command_member(const char *name, JsonNode *value, QmpRequest *req, Error **errp)
{
    if (qapi_json_kind(value) != QAPI_JSON_STRING) {
        error_setg(errp, "QMP input member '%s' must be a string", name);
        return false;
    }
    if (req->command) {
        error_setg(errp, "QMP input member '%s' clashes with '%s'", "exec-oob", "execute");
        return false;
    }
    req->command = json_node_get_string(value);
    req->oob = !strcmp(name, "exec-oob");
    return true;
}

static bool check_request(JsonNode *node, bool oob_known, QmpRequest *req, Error **errp)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    if (qapi_json_kind(node) != QAPI_JSON_OBJECT) {
        error_setg(errp, "QMP input must be a JSON object");
        return false;
    }
    json_object_iter_init(&iter, json_node_get_object(node));
    while (json_object_iter_next(&iter, &name, &value)) {
        if (!strcmp(name, "execute") || (oob_known && !strcmp(name, "exec-oob"))) {
            if (!check_command_member(name, value, req, errp)) {
                return false;
            }
        } else if (!strcmp(name, "arguments")) {
            if (qapi_json_kind(value) != QAPI_JSON_OBJECT) {
                error_setg(errp, "QMP input member 'arguments' must be an object");
                return false;
            }
            req->arguments = json_node_get_object(value);
        } else if (strcmp(name, "id")) {
            error_setg(errp, "QMP input member '%s' is unexpected", name);
            return false;
        }
    }
    if (!req->command) {
        error_setg(errp, "QMP input lacks member 'execute'");
        return false;
    }
    return true;
}

bool qmp_request_is_oob(const QmpSession *s, JsonNode *request)
{
    QmpRequest req = {0};
    g_autoptr(Error) err = NULL;

    return s->negotiated && check_request(request, s->oob, &req, &err) && req.oob;
}

static const QmpCommand *find_command(const QmpSession *s, const QmpRequest *req, Error **errp)
{
    const QmpCommand *cmd = qmp_command_find(req->command);
    bool is_negotiation = !strcmp(req->command, "qmp_capabilities");

    if (!s->negotiated && !is_negotiation) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                  "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    if (s->negotiated && is_negotiation) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                  "Capabilities negotiation is already complete, command ignored");
        return NULL;
    }
    if (!cmd) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND, "The command %s has not been found",
                  req->command);
        return NULL;
    }
    if (req->oob && !(cmd->flags & QMP_ALLOW_OOB)) {
        error_setg(errp, "The command %s does not support OOB", req->command);
        return NULL;
    }
    return cmd;
}

static JsonNode *run_request(QmpSession *s, JsonNode *request, Error **errp)
{
    QmpRequest req = {0};
    const QmpCommand *cmd;
    JsonNode *ret = NULL;
    bool ok;

    if (!check_request(request, s->oob, &req, errp)) {
        return NULL;
    }
    cmd = find_command(s, &req, errp);
    if (!cmd) {
        return NULL;
    }
    trace_qmp_command(req.command, req.oob);
    g_autoptr(JsonObject) args = req.arguments ? json_object_ref(req.arguments)
                                               : json_object_new();
    current_session = s;
    ok = cmd->run(args, &ret, errp);
    current_session = NULL;
    if (!ok) {
        return NULL;
    }
    return ret ? ret : qapi_node_object(json_object_new());
}

JsonNode *qmp_dispatch(QmpSession *s, JsonNode *request)
{
    g_autoptr(Error) err = NULL;
    JsonNode *id = NULL, *ret;
    JsonObject *top;

    if (qapi_json_kind(request) == QAPI_JSON_OBJECT) {
        id = json_object_get_member(json_node_get_object(request), "id");
    }
    ret = run_request(s, request, &err);
    if (!ret) {
        return qmp_error_reply(err, id);
    }
    top = json_object_new();
    json_object_set_member(top, "return", ret);
    if (id) {
        json_object_set_member(top, "id", json_node_copy(id));
    }
    return qapi_node_object(top);
}
