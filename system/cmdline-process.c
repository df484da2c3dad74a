/*
 * Handlers of the options about the process and about messages.  Main thread, parsing
 * only (log, trace and message options act at once: they are about what follows).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "system/cmdline-private.h"
#include "system/runstate.h"
#include "trace/control.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/util.h"

bool opt_help(Cmdline *c, const char *arg, Error **errp)
{
    help_options();
    exit(0);
}

bool opt_version(Cmdline *c, const char *arg, Error **errp)
{
    /* Management tools look for the words and the number of the first line. */
    printf("QEMU emulator version 7.2.22 (Ferry %s)\n"
           "Ferry is free software under the GNU General Public License, version 2 or later.\n",
           FERRY_VERSION);
    exit(0);
}

bool opt_ignore(Cmdline *c, const char *arg, Error **errp)
{
    return true;
}

static void set_string(char **where, const char *value)
{
    g_free(*where);
    *where = g_strdup(value);
}

bool opt_name(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, "guest", errp);
    bool debug_threads = true; /* threads have names in any case */

    return opts && options_take_str(opts, "guest", &vm_name, errp) &&
           options_take_str(opts, "process", &c->process_name, errp) &&
           options_take_bool(opts, "debug-threads", &debug_threads, errp) &&
           options_finish(opts, "name", errp);
}

bool opt_no_shutdown(Cmdline *c, const char *arg, Error **errp)
{
    shutdown_action = SHUTDOWN_ACTION_PAUSE;
    return true;
}

bool opt_no_reboot(Cmdline *c, const char *arg, Error **errp)
{
    reboot_action = REBOOT_ACTION_SHUTDOWN;
    return true;
}

bool opt_action(Cmdline *c, const char *arg, Error **errp)
{
    static const char *const reboot[] = { "reset", "shutdown", NULL };
    static const char *const shutdown[] = { "poweroff", "pause", NULL };
    static const char *const panic[] = { "pause", "shutdown", "exit-failure", "none", NULL };
    g_autoptr(JsonObject) opts = options_parse(arg, NULL, errp);
    int r = reboot_action, s = shutdown_action, p = panic_action;

    if (opts && json_object_has_member(opts, "watchdog")) {
        error_setg(errp, "watchdog= is not supported: there is no watchdog");
        return false;
    }
    if (!opts || !options_take_enum(opts, "reboot", reboot, &r, errp) ||
        !options_take_enum(opts, "shutdown", shutdown, &s, errp) ||
        !options_take_enum(opts, "panic", panic, &p, errp) ||
        !options_finish(opts, "action", errp)) {
        return false;
    }
    reboot_action = r;
    shutdown_action = s;
    panic_action = p;
    return true;
}

bool opt_overcommit(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, NULL, errp);
    bool cpu_pm = false;

    if (!opts || !options_take_bool(opts, "mem-lock", &c->mem_lock, errp) ||
        !options_take_bool(opts, "cpu-pm", &cpu_pm, errp) ||
        !options_finish(opts, "overcommit", errp)) {
        return false;
    }
    if (cpu_pm) {
        error_setg(errp, "cpu-pm=on is not supported: idle vCPUs give the host CPU back");
        return false;
    }
    return true;
}

/* Nothing here is deprecated, so the policies are checked and have nothing to act on. */
bool opt_compat(Cmdline *c, const char *arg, Error **errp)
{
    static const char *const input[] = { "accept", "reject", "crash", NULL };
    static const char *const output[] = { "accept", "hide", NULL };
    g_autoptr(JsonObject) opts = options_parse(arg, NULL, errp);
    int ignored;

    return opts && options_take_enum(opts, "deprecated-input", input, &ignored, errp) &&
           options_take_enum(opts, "deprecated-output", output, &ignored, errp) &&
           options_take_enum(opts, "unstable-input", input, &ignored, errp) &&
           options_take_enum(opts, "unstable-output", output, &ignored, errp) &&
           options_finish(opts, "compat", errp);
}

static bool msg_guest_name; /* -msg guest-name=on came; the name may come later */

bool opt_msg(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, NULL, errp);
    bool timestamp = false;

    if (!opts || !options_take_bool(opts, "timestamp", &timestamp, errp) ||
        !options_take_bool(opts, "guest-name", &msg_guest_name, errp) ||
        !options_finish(opts, "msg", errp)) {
        return false;
    }
    log_set_timestamp(timestamp);
    return true;
}

bool opt_daemonize(Cmdline *c, const char *arg, Error **errp)
{
    c->daemonize = true;
    return true;
}

bool opt_pidfile(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->pidfile, arg);
    return true;
}

/* One %d stands for the process id. */
bool opt_log_file(Cmdline *c, const char *arg, Error **errp)
{
    const char *percent = strchr(arg, '%');

    if (percent && (percent[1] != 'd' || strchr(percent + 1, '%'))) {
        error_setg(errp, "'%%' in the name of a log file is followed by 'd' (the process id), "
                   "once");
        return false;
    }
    set_string(&c->log_path, arg);
    return true;
}

bool opt_log_items(Cmdline *c, const char *arg, Error **errp)
{
    g_autofree char *bad = NULL;
    int mask;

    if (cmdline_is_help(arg)) {
        help_log_items();
        exit(0);
    }
    mask = log_parse_items(arg, &bad);
    if (mask < 0) {
        error_setg(errp, "there is no log item '%s' (try -d help)", bad);
        return false;
    }
    c->log_items |= mask;
    return true;
}

bool opt_trace(Cmdline *c, const char *arg, Error **errp)
{
    if (cmdline_is_help(arg) || g_str_equal(arg, "enable=help")) {
        help_trace();
        exit(0);
    }
    return trace_parse_option(arg, errp);
}

bool opt_fault(Cmdline *c, const char *arg, Error **errp)
{
    if (cmdline_is_help(arg)) {
        help_faults();
        exit(0);
    }
    return fault_option(arg, errp);
}

bool opt_sandbox(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, "enable", errp);
    bool enable = false;

    if (!opts || !options_take_bool(opts, "enable", &enable, errp)) {
        return false;
    }
    g_clear_pointer(&c->sandbox, json_object_unref);
    if (!enable) {
        return true;
    }
    c->sandbox = g_steal_pointer(&opts);
    return sandbox_check(c->sandbox, errp);
}

bool opt_run_with(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, NULL, errp);

    if (!opts || !options_take_bool(opts, "exit-with-parent", &c->exit_with_parent, errp) ||
        !options_take_bool(opts, "async-teardown", &c->async_teardown, errp) ||
        !options_take_str(opts, "chroot", &c->chroot_dir, errp) ||
        !options_take_str(opts, "user", &c->user, errp) ||
        !options_finish(opts, "run-with", errp)) {
        return false;
    }
    return true;
}

bool opt_async_teardown(Cmdline *c, const char *arg, Error **errp)
{
    c->async_teardown = true;
    return true;
}

bool opt_runas(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->user, arg);
    return true;
}

bool opt_chroot(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->chroot_dir, arg);
    return true;
}

bool opt_add_fd(Cmdline *c, const char *arg, Error **errp)
{
    g_ptr_array_add(c->add_fds, g_strdup(arg));
    return true;
}

bool cmdline_apply_logging(const Cmdline *c, Error **errp)
{
    if (msg_guest_name && vm_name) {
        log_set_guest_name(vm_name);
    }
    if (c->process_name) {
        prctl(PR_SET_NAME, c->process_name);
    }
    if (c->log_path) {
        g_autofree char *path = NULL;
        const char *percent = strchr(c->log_path, '%');
        path = percent ? g_strdup_printf("%.*s%d%s", (int)(percent - c->log_path), c->log_path,
                                         (int)getpid(), percent + 2)
                       : g_strdup(c->log_path);
        if (!log_set_file(path)) {
            error_setg_errno(errp, errno, "-D %s: cannot write the log file", path);
            return false;
        }
    }
    log_mask = c->log_items;
    return true;
}
