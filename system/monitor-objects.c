/*
 * Object types "monitor-qmp" and "monitor-hmp": monitors made with -object.  Main
 * thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "monitor/monitor.h"
#include "qom/object.h"

typedef struct MonitorObject {
    Object obj;
    char *chardev;
    bool pretty, readline;
    int close_action;
} MonitorObject;

static const char *const close_actions[] = { "none", "delete", NULL };

static Chardev *find_chardev(MonitorObject *o, Error **errp)
{
    Chardev *c = o->chardev ? chardev_by_id(o->chardev) : NULL;

    if (!c) {
        error_setg(errp, "%s: property 'chardev' must name a character device",
                   o->obj.type->name);
    }
    return c;
}

static bool qmp_complete(Object *obj, Error **errp)
{
    MonitorObject *o = (MonitorObject *)obj;
    Chardev *c = find_chardev(o, errp);

    return c && monitor_new_qmp(c, o->pretty, errp);
}

static bool hmp_complete(Object *obj, Error **errp)
{
    MonitorObject *o = (MonitorObject *)obj;
    Chardev *c = find_chardev(o, errp);

    return c && monitor_new_hmp(c, o->readline, errp);
}

static bool check_close_action(Object *obj, const PropertyInfo *p, Error **errp)
{
    if (((MonitorObject *)obj)->close_action) {
        error_setg(errp, "close-action=delete is not supported: a monitor stays until the end");
        return false;
    }
    return true;
}

static bool cannot_delete(Object *obj, Error **errp)
{
    error_setg(errp, "a monitor stays until the end");
    return false;
}

static const PropertyInfo qmp_props[] = {
    { .name = "chardev", .kind = PROP_STRING, .offset = offsetof(MonitorObject, chardev),
      .description = "id of the character device" },
    { .name = "pretty", .kind = PROP_BOOL, .offset = offsetof(MonitorObject, pretty),
      .description = "indent the output" },
    { .name = "close-action", .kind = PROP_ENUM, .offset = offsetof(MonitorObject, close_action),
      .enum_names = close_actions, .def = "none", .check = check_close_action,
      .description = "what to do when the client goes" },
    { NULL },
};

static const TypeInfo qmp_type = {
    .name = "monitor-qmp",
    .user_creatable = true,
    .instance_size = sizeof(MonitorObject),
    .props = qmp_props,
    .complete = qmp_complete,
    .can_be_deleted = cannot_delete,
    .description = "QMP monitor on a character device",
};
TYPE_REGISTER(qmp_type)

static const PropertyInfo hmp_props[] = {
    { .name = "chardev", .kind = PROP_STRING, .offset = offsetof(MonitorObject, chardev),
      .description = "id of the character device" },
    { .name = "readline", .kind = PROP_BOOL, .offset = offsetof(MonitorObject, readline),
      .def = "on", .description = "line editing" },
    { NULL },
};

static const TypeInfo hmp_type = {
    .name = "monitor-hmp",
    .user_creatable = true,
    .instance_size = sizeof(MonitorObject),
    .props = hmp_props,
    .complete = hmp_complete,
    .can_be_deleted = cannot_delete,
    .description = "HMP monitor on a character device",
};
TYPE_REGISTER(hmp_type)
