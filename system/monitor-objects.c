/*
 * Object types "monitor-qmp" and "monitor-hmp": monitors made with -object.  Main
 * thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "monitor/monitor.h"
#include "qom/object.h"
#include "util/log.h"

typedef struct MonitorObject {
    Object obj;
    char *chardev;
    bool pretty, readline;
    int close_action;
    Monitor *monitor; /* after complete */
} MonitorObject;

enum { CLOSE_NONE, CLOSE_DELETE };
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

/* The client has gone, and the monitor and its chardev go with it. */
static void on_closed(void *opaque)
{
    MonitorObject *o = opaque;
    g_autofree char *path = object_path(&o->obj);
    g_autofree char *id = g_path_get_basename(path);
    g_autofree char *chardev = g_strdup(o->chardev);
    g_autoptr(Error) err = NULL;

    if (!object_delete_user(id, &err) || !chardev_remove(chardev, &err)) {
        warn_report("close-action=delete: %s", err->message);
    }
}

static bool qmp_complete(Object *obj, Error **errp)
{
    MonitorObject *o = (MonitorObject *)obj;
    Chardev *c = find_chardev(o, errp);

    o->monitor = c ? monitor_new_qmp(c, o->pretty, errp) : NULL;
    if (o->monitor && o->close_action == CLOSE_DELETE) {
        monitor_set_closed_handler(o->monitor, on_closed, o);
    }
    return o->monitor != NULL;
}

static bool hmp_complete(Object *obj, Error **errp)
{
    MonitorObject *o = (MonitorObject *)obj;
    Chardev *c = find_chardev(o, errp);

    o->monitor = c ? monitor_new_hmp(c, o->readline, errp) : NULL;
    return o->monitor != NULL;
}

static bool can_be_deleted(Object *obj, Error **errp)
{
    return monitor_can_be_freed(((MonitorObject *)obj)->monitor, errp);
}

static void finalize(Object *obj)
{
    MonitorObject *o = (MonitorObject *)obj;

    if (o->monitor) {
        monitor_free(o->monitor);
    }
}

static const PropertyInfo qmp_props[] = {
    { .name = "chardev", .kind = PROP_STRING, .offset = offsetof(MonitorObject, chardev),
      .description = "id of the character device" },
    { .name = "pretty", .kind = PROP_BOOL, .offset = offsetof(MonitorObject, pretty),
      .description = "indent the output" },
    { .name = "close-action", .kind = PROP_ENUM, .offset = offsetof(MonitorObject, close_action),
      .type_name = "MonitorCloseAction", .enum_names = close_actions, .def = "none",
      .description = "what to do when the client goes" },
    { NULL },
};

static const TypeInfo qmp_type = {
    .name = "monitor-qmp",
    .user_creatable = true,
    .instance_size = sizeof(MonitorObject),
    .props = qmp_props,
    .complete = qmp_complete,
    .can_be_deleted = can_be_deleted,
    .finalize = finalize,
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
    .can_be_deleted = can_be_deleted,
    .finalize = finalize,
    .description = "HMP monitor on a character device",
};
TYPE_REGISTER(hmp_type)
