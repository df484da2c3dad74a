/*
 * Human monitor commands that steer the machine, its devices and objects.
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chardev/chardev.h"
#include "hw/core/device.h"
#include "monitor/hmp-internal.h"
#include "monitor/memory-save.h"
#include "qapi/qapi-commands.h"
#include "trace/control.h"
#include "util/log.h"
#include "util/options.h"

static void cmd_stop(HmpSession *s, JsonObject *args)
{
    qmp_stop(NULL);
}

static void cmd_cont(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    qmp_cont(&err);
    hmp_error(s, err);
}

static void cmd_quit(HmpSession *s, JsonObject *args)
{
    qmp_quit(NULL);
}

static void cmd_system_reset(HmpSession *s, JsonObject *args)
{
    qmp_system_reset(NULL);
}

static void cmd_system_powerdown(HmpSession *s, JsonObject *args)
{
    qmp_system_powerdown(NULL);
}

static void cmd_system_wakeup(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    qmp_system_wakeup(&err);
    hmp_error(s, err);
}

static void cmd_nmi(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    qmp_inject_nmi(&err);
    hmp_error(s, err);
}

static void cmd_cpu(HmpSession *s, JsonObject *args)
{
    int64_t index = hmp_arg_int(args, "index", 0);

    if (index < 0 || index > INT_MAX || !cpu_by_index(index)) {
        hmp_puts(s, "invalid CPU index\n");
        return;
    }
    s->cpu_index = index;
}

/* Options of a command like device_add, NULL (error printed) when they are wrong. */
static JsonObject *take_options(HmpSession *s, JsonObject *args, const char *implied)
{
    Error *err = NULL;
    JsonObject *opts = options_parse(hmp_arg_str(args, "opts"), implied, &err);

    hmp_error(s, err);
    return opts;
}

static void cmd_device_add(HmpSession *s, JsonObject *args)
{
    g_autoptr(JsonObject) opts = take_options(s, args, "driver");
    Error *err = NULL;

    if (opts) {
        qmp_device_add(opts, &err);
        hmp_error(s, err);
    }
}

static void cmd_device_del(HmpSession *s, JsonObject *args)
{
    const DeviceDelArgs a = { .id = (char *)hmp_arg_str(args, "id") };
    Error *err = NULL;

    qmp_device_del(&a, &err);
    hmp_error(s, err);
}

static void cmd_object_add(HmpSession *s, JsonObject *args)
{
    g_autoptr(JsonObject) opts = take_options(s, args, "qom-type");
    g_autofree char *type = NULL, *id = NULL;
    Error *err = NULL;

    if (!opts) {
        return;
    }
    if (options_take_str(opts, "qom-type", &type, &err) &&
        options_take_str(opts, "id", &id, &err)) {
        if (!type || !id) {
            error_setg(&err, "Parameter '%s' is missing", type ? "id" : "qom-type");
        } else {
            object_create_user(type, id, opts, &err);
        }
    }
    hmp_error(s, err);
}

static void cmd_object_del(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    object_delete_user(hmp_arg_str(args, "id"), &err);
    hmp_error(s, err);
}

static void cmd_chardev_add(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    chardev_new_from_opts(hmp_arg_str(args, "opts"), &err);
    hmp_error(s, err);
}

static void cmd_chardev_remove(HmpSession *s, JsonObject *args)
{
    const ChardevRemoveArgs a = { .id = (char *)hmp_arg_str(args, "id") };
    Error *err = NULL;

    qmp_chardev_remove(&a, &err);
    hmp_error(s, err);
}

static void cmd_chardev_send_break(HmpSession *s, JsonObject *args)
{
    const ChardevSendBreakArgs a = { .id = (char *)hmp_arg_str(args, "id") };
    Error *err = NULL;

    qmp_chardev_send_break(&a, &err);
    hmp_error(s, err);
}

static void cmd_getfd(HmpSession *s, JsonObject *args)
{
    const GetfdArgs a = { .fdname = (char *)hmp_arg_str(args, "name") };
    Error *err = NULL;

    qmp_getfd(&a, &err);
    hmp_error(s, err);
}

static void cmd_closefd(HmpSession *s, JsonObject *args)
{
    const ClosefdArgs a = { .fdname = (char *)hmp_arg_str(args, "name") };
    Error *err = NULL;

    qmp_closefd(&a, &err);
    hmp_error(s, err);
}

static void cmd_log(HmpSession *s, JsonObject *args)
{
    const char *items = hmp_arg_str(args, "items");
    g_autofree char *bad = NULL;
    int mask;

    if (!strcmp(items, "none")) {
        log_mask = 0;
        return;
    }
    mask = log_parse_items(items, &bad);
    if (mask < 0) {
        hmp_printf(s, "Error: unknown log item '%s'; the items are:\n", bad);
        for (const LogItem *i = log_items; i->mask; i++) {
            hmp_printf(s, "%-15s %s\n", i->name, i->help);
        }
        return;
    }
    log_mask = mask;
}

static void cmd_logfile(HmpSession *s, JsonObject *args)
{
    const char *path = hmp_arg_str(args, "filename");
    Error *err = NULL;

    if (!log_set_file(path)) {
        error_setg_errno(&err, errno, "cannot write '%s'", path);
        hmp_error(s, err);
    }
}

static void cmd_trace_event(HmpSession *s, JsonObject *args)
{
    const TraceEventSetStateArgs a = {
        .name = (char *)hmp_arg_str(args, "name"),
        .enable = hmp_arg_bool(args, "option"),
    };
    Error *err = NULL;

    qmp_trace_event_set_state(&a, &err);
    hmp_error(s, err);
}

static void cmd_memsave(HmpSession *s, JsonObject *args)
{
    CPUState *cpu = hmp_cpu(s);
    Error *err = NULL;

    if (!cpu) {
        error_setg(&err, "the machine has no CPU; use pmemsave");
    } else {
        memory_save_virtual(cpu, hmp_arg_int(args, "val", 0), hmp_arg_int(args, "size", 0),
                            hmp_arg_str(args, "filename"), &err);
    }
    hmp_error(s, err);
}

static void cmd_pmemsave(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    memory_save_physical(hmp_arg_int(args, "val", 0), hmp_arg_int(args, "size", 0),
                         hmp_arg_str(args, "filename"), &err);
    hmp_error(s, err);
}

/* Completion */

static void complete_device_types(GPtrArray *list, int nr, const char *prefix)
{
    g_autoptr(GPtrArray) types = type_list(TYPE_DEVICE, false);

    for (guint i = 0; nr == 0 && i < types->len; i++) {
        const TypeInfo *t = g_ptr_array_index(types, i);
        const DeviceClass *dc = type_class_data(t);
        if (dc && dc->user_creatable) {
            hmp_complete_add(list, t->name);
        }
    }
}

static void complete_children(GPtrArray *list, const char *path)
{
    Object *o = object_container(path);

    for (guint i = 0; o->children && i < o->children->len; i++) {
        hmp_complete_add(list, ((Object *)g_ptr_array_index(o->children, i))->name);
    }
}

static void complete_devices(GPtrArray *list, int nr, const char *prefix)
{
    if (nr == 0) {
        complete_children(list, "/machine/peripheral");
    }
}

static void complete_object_types(GPtrArray *list, int nr, const char *prefix)
{
    g_autoptr(GPtrArray) types = type_list(NULL, false);

    for (guint i = 0; nr == 0 && i < types->len; i++) {
        const TypeInfo *t = g_ptr_array_index(types, i);
        if (t->user_creatable) {
            hmp_complete_add(list, t->name);
        }
    }
}

static void complete_objects(GPtrArray *list, int nr, const char *prefix)
{
    if (nr == 0) {
        complete_children(list, "/objects");
    }
}

static void complete_backends(GPtrArray *list, int nr, const char *prefix)
{
    if (nr == 0) {
        hmp_complete_names(list, chardev_backend_names);
    }
}

static void add_chardev_id(Chardev *c, void *opaque)
{
    hmp_complete_add(opaque, chardev_id(c));
}

static void complete_chardevs(GPtrArray *list, int nr, const char *prefix)
{
    if (nr == 0) {
        chardev_foreach(add_chardev_id, list);
    }
}

static void complete_log(GPtrArray *list, int nr, const char *prefix)
{
    hmp_complete_add(list, "none");
    for (const LogItem *i = log_items; i->mask; i++) {
        hmp_complete_add(list, i->name);
    }
}

static void complete_trace(GPtrArray *list, int nr, const char *prefix)
{
    static const char *const states[] = { "on", "off", NULL };

    if (nr == 1) {
        hmp_complete_names(list, states);
        return;
    }
    for (TraceEvent *e = trace_event_first(); nr == 0 && e; e = e->next) {
        hmp_complete_add(list, e->name);
    }
}

static const HmpCommand machine_commands[] = {
    { "stop|s", "", "", "stop the guest", cmd_stop },
    { "cont|c", "", "", "let the guest run", cmd_cont },
    { "quit|q", "", "", "end the emulator", cmd_quit },
    { "system_reset", "", "", "reset the machine", cmd_system_reset },
    { "system_powerdown", "", "", "press the power button", cmd_system_powerdown },
    { "system_wakeup", "", "", "wake the guest from sleep", cmd_system_wakeup },
    { "nmi", "", "", "send a non-maskable interrupt to every CPU", cmd_nmi },
    { "cpu", "index:i", "index", "choose the CPU that x, print and info registers are about",
      cmd_cpu },
    { "device_add", "opts:S", "driver[,prop=value][,...]", "plug in a device", cmd_device_add,
      complete_device_types },
    { "device_del", "id:s", "device", "unplug a device", cmd_device_del, complete_devices },
    { "object_add", "opts:S", "type,id=name[,prop=value][,...]", "make an object",
      cmd_object_add, complete_object_types },
    { "object_del", "id:s", "id", "delete an object", cmd_object_del, complete_objects },
    { "chardev-add", "opts:S", "backend,id=name[,...]", "make a character device",
      cmd_chardev_add, complete_backends },
    { "chardev-remove", "id:s", "id", "remove a character device", cmd_chardev_remove,
      complete_chardevs },
    { "chardev-send-break", "id:s", "id", "pretend that a break came in", cmd_chardev_send_break,
      complete_chardevs },
    { "getfd", "name:s", "name", "keep the descriptor that came with this line under a name",
      cmd_getfd },
    { "closefd", "name:s", "name", "close a descriptor that getfd keeps", cmd_closefd },
    { "log", "items:s", "item1[,...]", "what -d logs; none for nothing", cmd_log, complete_log },
    { "logfile", "filename:s", "filename", "write the log to a file", cmd_logfile },
    { "trace-event", "name:s,option:b", "name on|off", "turn trace events on or off",
      cmd_trace_event, complete_trace },
    { "memsave", "val:l,size:i,filename:s", "addr size file",
      "write guest memory, as the CPU sees it, to a file", cmd_memsave },
    { "pmemsave", "val:l,size:i,filename:s", "addr size file",
      "write guest-physical memory to a file", cmd_pmemsave },
    { NULL },
};
HMP_COMMANDS(machine_commands)
