/*
 * QMP commands on guest memory, character devices, trace events and the human monitor.
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>

#include "chardev/chardev.h"
#include "hw/core/machine.h"
#include "monitor/hmp-internal.h"
#include "monitor/monitor-internal.h"
#include "monitor/memory-save.h"
#include "qapi/qapi-commands.h"
#include "trace/control.h"

bool qmp_pmemsave(const PmemsaveArgs *args, Error **errp)
{
    return memory_save_physical(args->val, args->size, args->filename, errp);
}

bool qmp_memsave(const MemsaveArgs *args, Error **errp)
{
    int64_t index = args->has_cpu_index ? args->cpu_index : 0;
    CPUState *cpu = index >= 0 && index <= INT_MAX ? cpu_by_index(index) : NULL;

    if (!cpu) {
        error_setg(errp, "Parameter 'cpu-index' expects a CPU number");
        return false;
    }
    return memory_save_virtual(cpu, args->val, args->size, args->filename, errp);
}

char *qmp_human_monitor_command(const HumanMonitorCommandArgs *args, Error **errp)
{
    HmpSession s = { .cpu_index = -1 };
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (args->has_cpu_index) {
        if (args->cpu_index < 0 || args->cpu_index > INT_MAX || !cpu_by_index(args->cpu_index)) {
            error_setg(errp, "Parameter 'cpu-index' expects a CPU number");
            return NULL;
        }
        s.cpu_index = args->cpu_index;
    }
    s.out = g_string_new(NULL);
    hmp_run_line(&s, args->command_line);
    text = g_string_free(s.out, FALSE);
    lines = g_strsplit(text, "\n", -1);
    return g_strjoinv("\r\n", lines);
}

static void add_chardev(Chardev *c, void *opaque)
{
    ChardevInfo *info = g_new0(ChardevInfo, 1);

    info->label = g_strdup(chardev_id(c));
    info->filename = chardev_filename(c);
    info->frontend_open = chardev_is_open(c);
    g_ptr_array_add(opaque, info);
}

GPtrArray *qmp_query_chardev(Error **errp)
{
    GPtrArray *list = chardev_info_list_new();

    chardev_foreach(add_chardev, list);
    return list;
}

GPtrArray *qmp_query_chardev_backends(Error **errp)
{
    GPtrArray *list = chardev_backend_info_list_new();

    for (const char *const *n = chardev_backend_names; *n; n++) {
        ChardevBackendInfo *info = g_new0(ChardevBackendInfo, 1);
        info->name = g_strdup(*n);
        g_ptr_array_add(list, info);
    }
    return list;
}

ChardevReturn *qmp_chardev_add(const ChardevAddArgs *args, Error **errp)
{
    g_autoptr(JsonObject) backend = json_object_new();
    g_autoptr(ChardevReturn) ret = g_new0(ChardevReturn, 1);

    if (chardev_by_id(args->id)) {
        error_setg(errp, "Chardev with id '%s' already exists", args->id);
        return NULL;
    }
    qapi_put_ChardevBackend(backend, args->backend);
    if (!chardev_new_from_json(args->id, backend, &ret->pty, errp)) {
        return NULL;
    }
    return g_steal_pointer(&ret);
}

static Chardev *find_chardev(const char *id, Error **errp)
{
    Chardev *c = chardev_by_id(id);

    if (!c) {
        error_setg(errp, "Chardev '%s' not found", id);
    }
    return c;
}

bool qmp_chardev_remove(const ChardevRemoveArgs *args, Error **errp)
{
    return find_chardev(args->id, errp) && chardev_remove(args->id, errp);
}

bool qmp_chardev_send_break(const ChardevSendBreakArgs *args, Error **errp)
{
    Chardev *c = find_chardev(args->id, errp);

    if (!c) {
        return false;
    }
    chardev_send_break(c);
    return true;
}

static bool is_pattern(const char *name)
{
    return strpbrk(name, "*?") != NULL;
}

static bool unknown_event(const char *name, Error **errp)
{
    error_setg(errp, "unknown event \"%s\"", name);
    return false;
}

GPtrArray *qmp_trace_event_get_state(const TraceEventGetStateArgs *args, Error **errp)
{
    g_autoptr(GPtrArray) list = trace_event_info_list_new();
    g_autoptr(GPatternSpec) spec = g_pattern_spec_new(args->name);

    for (TraceEvent *e = trace_event_first(); e; e = e->next) {
        if (g_pattern_spec_match_string(spec, e->name)) {
            TraceEventInfo *info = g_new0(TraceEventInfo, 1);
            info->name = g_strdup(e->name);
            info->state = e->on ? TRACE_EVENT_STATE_ENABLED : TRACE_EVENT_STATE_DISABLED;
            g_ptr_array_add(list, info);
        }
    }
    if (!list->len && !is_pattern(args->name)) {
        unknown_event(args->name, errp);
        return NULL;
    }
    return g_steal_pointer(&list);
}

bool qmp_trace_event_set_state(const TraceEventSetStateArgs *args, Error **errp)
{
    if (!trace_set_pattern(args->name, args->enable) && !is_pattern(args->name) &&
        !args->ignore_unavailable) {
        return unknown_event(args->name, errp);
    }
    return true;
}
