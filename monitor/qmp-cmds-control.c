/*
 * QMP commands about the monitor itself: negotiation, version, lists of commands.
 * Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "monitor/monitor-internal.h"
#include "qapi/json.h"
#include "qapi/qapi-commands.h"
#include "system/runstate.h"

/* The release of the interfaces' origin that managers are told to expect. */
enum { COMPAT_MAJOR = 7, COMPAT_MINOR = 2, COMPAT_MICRO = 22 };

bool qmp_capabilities(const QmpCapabilitiesArgs *args, Error **errp)
{
    QmpSession *s = qmp_session_current();
    bool oob = args->enable && args->enable->len > 0; /* the enum has only oob */

    g_assert(s);
    if (oob && !s->oob_offered) {
        error_setg(errp, "Capability 'oob' is not available on this monitor");
        return false;
    }
    s->oob = oob;
    s->negotiated = true;
    return true;
}

VersionInfo *qmp_query_version(Error **errp)
{
    VersionInfo *v = g_new0(VersionInfo, 1);

    v->qemu = g_new0(VersionTriple, 1);
    v->qemu->major = COMPAT_MAJOR;
    v->qemu->minor = COMPAT_MINOR;
    v->qemu->micro = COMPAT_MICRO;
    v->package = g_strdup("ferry-" FERRY_VERSION);
    return v;
}

GPtrArray *qmp_query_commands(Error **errp)
{
    GPtrArray *list = command_info_list_new();

    for (unsigned i = 0; i < qmp_commands_count; i++) {
        CommandInfo *info = g_new0(CommandInfo, 1);
        info->name = g_strdup(qmp_commands[i].name);
        g_ptr_array_add(list, info);
    }
    return list;
}

bool qmp_quit(Error **errp)
{
    system_shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    return true;
}

JsonNode *qmp_query_qmp_schema(JsonObject *args, Error **errp)
{
    if (!qapi_no_args(args, errp)) {
        return NULL;
    }
    return json_parse_text(qmp_schema_json, strlen(qmp_schema_json), errp);
}
