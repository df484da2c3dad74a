/*
 * QMP commands of the fault points.
 *
 * Any thread, without the machine lock: a point may be held by whoever has that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi/qapi-commands.h"
#include "util/fault.h"

G_STATIC_ASSERT((int)FAULT_ACTION_FAIL == (int)FAULT_FAIL);
G_STATIC_ASSERT((int)FAULT_ACTION_HOLD == (int)FAULT_HOLD);
G_STATIC_ASSERT((int)FAULT_ACTION_KILL == (int)FAULT_KILL);

static bool find(const char *name, FaultPoint *ret, Error **errp)
{
    if (!fault_from_name(name, ret)) {
        error_setg(errp, "there is no fault point '%s'", name);
        return false;
    }
    return true;
}

bool qmp_x_fault_set(const XFaultSetArgs *args, Error **errp)
{
    FaultRule rule = FAULT_RULE_DEFAULT;
    FaultPoint p;

    if (!find(args->name, &p, errp)) {
        return false;
    }
    rule.action = args->has_action ? (FaultAct)args->action : rule.action;
    rule.after = args->has_after ? args->after : rule.after;
    rule.every = args->has_every ? args->every : rule.every;
    rule.times = args->has_times ? args->times : rule.times;
    return fault_arm(p, &rule, errp);
}

bool qmp_x_fault_clear(const XFaultClearArgs *args, Error **errp)
{
    FaultPoint p;

    if (!find(args->name, &p, errp)) {
        return false;
    }
    fault_disarm(p);
    return true;
}

GPtrArray *qmp_x_query_faults(Error **errp)
{
    GPtrArray *list = fault_info_list_new();

    for (int p = 0; p < FAULT__MAX; p++) {
        FaultInfo *info = g_new0(FaultInfo, 1);
        FaultStatus s;

        fault_status(p, &s);
        info->name = g_strdup(fault_name(p));
        info->description = g_strdup(fault_what(p));
        info->armed = s.armed;
        info->has_action = s.armed;
        info->action = (FaultAction)s.rule.action;
        info->visits = s.visits;
        info->hits = s.hits;
        info->held = s.held;
        g_ptr_array_add(list, info);
    }
    return list;
}
