/*
 * Start-up: makes what the command line asks for, phase by phase.  Main thread,
 * machine lock held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>

#include "accel/accel.h"
#include "chardev/chardev.h"
#include "migration/migration.h"
#include "monitor/monitor.h"
#include "system/cmdline-private.h"
#include "system/runstate.h"
#include "util/log.h"
#include "util/util.h"

/* Run fn on every argument of an option; the error says which one it was. */
static bool for_each(GPtrArray *args, const char *option, bool (*fn)(const char *, Error **),
                     Error **errp)
{
    for (guint i = 0; i < args->len; i++) {
        const char *arg = g_ptr_array_index(args, i);
        if (!fn(arg, errp)) {
            g_autofree char *prefix = g_strdup_printf("-%s %s: ", option, arg);
            error_prefix(errp, "%s", prefix);
            return false;
        }
    }
    return true;
}

static bool add_fd(const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, NULL, errp);
    g_autofree char *opaque = NULL;
    uint64_t fd = UINT64_MAX, set = UINT64_MAX;
    int flags, copy;

    if (!opts || !options_take_u64(opts, "fd", INT32_MAX, &fd, errp) ||
        !options_take_u64(opts, "set", INT32_MAX, &set, errp) ||
        !options_take_str(opts, "opaque", &opaque, errp) ||
        !options_finish(opts, "add-fd", errp)) {
        return false;
    }
    if (fd == UINT64_MAX || set == UINT64_MAX) {
        error_setg(errp, "parameters 'fd' and 'set' are needed");
        return false;
    }
    if (fd <= STDERR_FILENO) {
        error_setg(errp, "fd=%d is a standard stream and cannot be used", (int)fd);
        return false;
    }
    flags = fcntl((int)fd, F_GETFD);
    if (flags < 0 || (flags & FD_CLOEXEC)) {
        /* A close-on-exec descriptor is one of ours, not one that was handed over. */
        error_setg(errp, "fd=%d was not handed over by the parent process", (int)fd);
        return false;
    }
    copy = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        error_setg_errno(errp, errno, "cannot duplicate fd=%d", (int)fd);
        return false;
    }
    monitor_fdset_add(copy, (int64_t)set, opaque);
    return true;
}

/* The set has copies: close what was handed over, once all copies are made. */
static void close_original(const char *arg)
{
    g_autoptr(JsonObject) opts = options_parse(arg, NULL, NULL);
    uint64_t fd = 0;

    /* The same descriptor may be in several sets. */
    if (opts && options_take_u64(opts, "fd", INT32_MAX, &fd, NULL) && fd > STDERR_FILENO &&
        fcntl((int)fd, F_GETFD) == 0) {
        close((int)fd);
    }
}

bool startup_add_fds(const Cmdline *c, Error **errp)
{
    if (!for_each(c->add_fds, "add-fd", add_fd, errp)) {
        return false;
    }
    for (guint i = 0; i < c->add_fds->len; i++) {
        close_original(g_ptr_array_index(c->add_fds, i));
    }
    return true;
}

static bool add_chardev(const char *arg, Error **errp)
{
    return chardev_new_from_opts(arg, errp) != NULL;
}

/* What the machine and the user get when nothing is said: see docs/user/command-line.md. */
static bool default_chardevs(const Cmdline *c, Error **errp)
{
    bool serial = !c->nodefaults && c->serials->len == 0;
    bool monitor = !c->nodefaults && !c->monitor_given;

    if (c->daemonize && c->nographic && (serial || monitor)) {
        error_setg(errp, "-nographic puts the serial port and the monitor on the terminal: "
                   "-daemonize needs -nodefaults or -serial and -monitor with it");
        return false;
    }
    if (serial) {
        const char *what = !c->nographic ? "null" : monitor ? "mon:stdio" : "stdio";
        if (!chardev_new_from_short("serial0", what, errp)) {
            return false;
        }
    }
    if (monitor && c->nographic && !serial) {
        return chardev_new_from_short("compat_monitor0", "stdio", errp) != NULL;
    }
    return true;
}

bool startup_chardevs(const Cmdline *c, Error **errp)
{
    if (c->daemonize) {
        chardev_forbid_stdio("with -daemonize there is no terminal");
    }
    if (!for_each(c->chardevs, "chardev", add_chardev, errp)) {
        return false;
    }
    for (guint i = 0; i < c->serials->len; i++) {
        const char *arg = g_ptr_array_index(c->serials, i);
        g_autofree char *id = g_strdup_printf("serial%u", i);
        if (!g_str_equal(arg, "none") && !chardev_new_from_short(id, arg, errp)) {
            g_autofree char *prefix = g_strdup_printf("-serial %s: ", arg);
            error_prefix(errp, "%s", prefix);
            return false;
        }
    }
    return default_chardevs(c, errp);
}

/* When an object is made: what it uses is there by then. */
typedef enum ObjectPhase { OBJECT_FIRST, OBJECT_EARLY, OBJECT_LATE } ObjectPhase;

static ObjectPhase object_phase(const char *type)
{
    /* Character devices use these. */
    if (g_str_equal(type, "secret") || g_str_has_prefix(type, "tls-creds-") ||
        g_str_has_prefix(type, "authz-")) {
        return OBJECT_FIRST;
    }
    /* These use character devices which have users. */
    if (g_str_equal(type, "monitor-qmp") || g_str_equal(type, "monitor-hmp") ||
        g_str_equal(type, "qtest")) {
        return OBJECT_LATE;
    }
    return OBJECT_EARLY;
}

static bool make_object(const char *arg, ObjectPhase phase, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, "qom-type", errp);
    g_autofree char *type = NULL;
    g_autofree char *id = NULL;

    if (!opts || !options_take_str(opts, "qom-type", &type, errp) ||
        !options_take_str(opts, "id", &id, errp)) {
        return false;
    }
    if (!type) {
        error_setg(errp, "parameter 'qom-type' is missing");
        return false;
    }
    if (object_phase(type) != phase) {
        return true;
    }
    if (!id) {
        error_setg(errp, "parameter 'id' is missing");
        return false;
    }
    return object_create_user(type, id, opts, errp) != NULL;
}

static bool make_first_object(const char *arg, Error **errp)
{
    return make_object(arg, OBJECT_FIRST, errp);
}

static bool make_early_object(const char *arg, Error **errp)
{
    return make_object(arg, OBJECT_EARLY, errp);
}

static bool make_late_object(const char *arg, Error **errp)
{
    return make_object(arg, OBJECT_LATE, errp);
}

bool startup_first_objects(const Cmdline *c, Error **errp)
{
    return for_each(c->objects, "object", make_first_object, errp);
}

bool startup_early_objects(const Cmdline *c, Error **errp)
{
    return for_each(c->objects, "object", make_early_object, errp);
}

bool startup_late_objects(const Cmdline *c, Error **errp)
{
    return for_each(c->objects, "object", make_late_object, errp);
}

/* Accelerators to try, in order: -accel, or "kvm:tcg" of -machine accel=, or the default. */
static GPtrArray *accel_candidates(const Cmdline *c, Error **errp)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    const char *machine = json_object_get_string_member_with_default(c->machine, "accel", NULL);

    if (machine && c->accels->len) {
        error_setg(errp, "-accel and -machine accel= exclude each other");
        return NULL;
    }
    for (guint i = 0; i < c->accels->len; i++) {
        g_ptr_array_add(list, g_strdup(g_ptr_array_index(c->accels, i)));
    }
    if (machine) {
        g_auto(GStrv) names = g_strsplit(machine, ":", -1);
        for (char **n = names; *n; n++) {
            g_ptr_array_add(list, g_strdup(*n));
        }
    }
    if (list->len == 0) {
        g_ptr_array_add(list, g_strdup("kvm"));
        g_ptr_array_add(list, g_strdup("interp"));
    }
    return g_steal_pointer(&list);
}

bool startup_accel(const Cmdline *c, Error **errp)
{
    g_autoptr(GPtrArray) list = accel_candidates(c, errp);
    g_autoptr(GString) reasons = g_string_new(NULL);

    for (guint i = 0; list && i < list->len; i++) {
        const char *arg = g_ptr_array_index(list, i);
        g_autoptr(Error) err = NULL;
        if (accel_try_init(arg, &err)) {
            if (reasons->len) {
                warn_report("%s; -accel %s is used", reasons->str, arg);
            }
            return true;
        }
        g_string_append_printf(reasons, "%s-accel %s: %s", reasons->len ? "; " : "", arg,
                               err->message);
    }
    if (list) {
        error_setg(errp, "%s", reasons->str);
    }
    return false;
}

/* What an option for a monitor stands for: an object on a character device. */
static bool make_monitor(bool qmp, const char *id, Chardev *chr, bool pretty, Error **errp)
{
    g_autoptr(JsonObject) props = json_object_new();

    json_object_set_string_member(props, "chardev", chardev_id(chr));
    if (pretty) {
        json_object_set_boolean_member(props, "pretty", TRUE);
    }
    return object_create_user(qmp ? "monitor-qmp" : "monitor-hmp", id, props, errp) != NULL;
}

/* Numbers of the ids that such objects get. */
typedef struct MonitorCount {
    unsigned compat, qmp, hmp;
} MonitorCount;

static bool add_monitor(const MonitorOption *m, MonitorCount *n, Error **errp)
{
    g_autofree char *id = NULL;
    Chardev *chr;

    if (m->chardev) {
        id = m->control ? g_strdup_printf("qmpcompat%u", n->qmp++)
                        : g_strdup_printf("hmpcompat%u", n->hmp++);
        chr = chardev_by_id(m->chardev);
        if (!chr) {
            error_setg(errp, "-mon: there is no character device '%s'", m->chardev);
            return false;
        }
    } else {
        id = g_strdup_printf("compat_monitor%u", n->compat++);
        chr = chardev_new_from_short(id, m->short_form, errp);
        if (!chr) {
            g_autofree char *prefix = g_strdup_printf("-%s %s: ", m->control ? "qmp" : "monitor",
                                                      m->short_form);
            error_prefix(errp, "%s", prefix);
            return false;
        }
    }
    return make_monitor(m->control, id, chr, m->pretty, errp);
}

/* "mon:": the monitor shares the port; the port has the keys first. */
static bool add_shared_monitors(const Cmdline *c, MonitorCount *n, Error **errp)
{
    for (guint i = 0; i < MAX(c->serials->len, 1); i++) {
        const char *arg = i < c->serials->len ? g_ptr_array_index(c->serials, i) : NULL;
        bool by_default = !arg && c->nographic && !c->nodefaults && !c->monitor_given;
        g_autofree char *chardev = g_strdup_printf("serial%u", i);
        g_autofree char *id = NULL;
        if ((arg && chardev_short_has_monitor(arg)) || by_default) {
            id = g_strdup_printf("hmpcompat%u", n->hmp++);
            if (!make_monitor(false, id, chardev_by_id(chardev), false, errp)) {
                return false;
            }
        }
    }
    return true;
}

bool startup_monitors(const Cmdline *c, Error **errp)
{
    MonitorCount n = { 0 };

    if (!add_shared_monitors(c, &n, errp)) {
        return false;
    }
    if (c->serials->len && !c->monitor_given && c->nographic && !c->nodefaults) {
        g_autofree char *id = g_strdup_printf("compat_monitor%u", n.compat++);
        if (!make_monitor(false, id, chardev_by_id("compat_monitor0"), false, errp)) {
            return false;
        }
    }
    for (guint i = 0; i < c->monitors->len; i++) {
        if (!add_monitor(g_ptr_array_index(c->monitors, i), &n, errp)) {
            return false;
        }
    }
    return true;
}

bool startup_incoming(const Cmdline *c, Error **errp)
{
    return for_each(c->incoming, "incoming", migration_incoming_option, errp);
}
