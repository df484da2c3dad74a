/*
 * ferry-system-x86_64: entry point.  The order of start-up and of the end; the MAIN
 * thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "chardev/chardev.h"
#include "migration/migration.h"
#include "monitor/monitor.h"
#include "net/net.h"
#include "qom/object.h"
#include "system/async-teardown.h"
#include "system/cmdline-private.h"
#include "system/cpus.h"
#include "system/dump.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "util/log.h"

/* Before there are threads: what concerns the process. */
static bool prepare_process(const Cmdline *c, Error **errp)
{
    if (c->daemonize && c->exit_with_parent) {
        error_setg(errp, "-daemonize and -run-with exit-with-parent=on exclude each other");
        return false;
    }
    return cmdline_apply_logging(c, errp) && (!c->daemonize || process_daemonize(errp)) &&
           (!c->exit_with_parent || process_exit_with_parent(errp)) &&
           (!c->pidfile || process_pidfile_lock(c->pidfile, errp)) &&
           (!c->async_teardown || async_teardown_start(errp)) &&
           migration_take_kept(c->incoming, errp) && /* may wait: SIGTERM still ends it */
           process_catch_signals(errp) && (!c->sandbox || sandbox_prepare(c, errp));
}

/* Machine lock held. */
static bool make_machine(const Cmdline *c, Error **errp)
{
    object_container("/objects"); /* there also while nobody has made one */
    if (!startup_add_fds(c, errp) || !startup_first_objects(c, errp) ||
        !startup_chardevs(c, errp) || !startup_accel(c, errp)) {
        return false;
    }
    migration_init();
    if (!startup_early_objects(c, errp) || !startup_machine(c, errp) ||
        !startup_devices(c, errp) ||
        !machine_done(current_machine, autostart && c->incoming->len == 0, errp)) {
        return false;
    }
    migration_machine_ready();
    return startup_monitors(c, errp) && startup_late_objects(c, errp) &&
           (!c->qtest || qtest_start(c->qtest, c->qtest_log, errp));
}

/* Machine lock held. */
static bool start(const Cmdline *c, Error **errp)
{
    autostart = !c->stopped;
    if (c->incoming->len) {
        runstate_set(RUN_STATE_INMIGRATE);
    }
    if (!make_machine(c, errp) || !process_drop_privileges(c, errp) ||
        (c->sandbox && !sandbox_install(errp)) || !startup_incoming(c, errp) ||
        !process_pidfile_write(errp)) {
        return false;
    }
    process_started(c);
    if (autostart && c->incoming->len == 0) {
        vm_start();
    }
    return true;
}

/* Machine lock held; everything may be half made. */
static void stop(void)
{
    /* Memory that never came reads as zeros once migration lets go: no vCPU may run on it. */
    cpu_ask_stop_all();
    migration_shutdown();
    dump_shutdown();
    vm_stop(RUN_STATE_SHUTDOWN);
    cpu_join_all();
    net_cleanup();
    qtest_cleanup();
    monitor_cleanup_all();
    chardev_cleanup_all();
    process_cleanup();
}

int main(int argc, char **argv)
{
    Cmdline c;
    Error *err = NULL;
    int status = 1;

    log_set_program(argv[0]);
    if (cmdline_parse(&c, argc, argv, &err) && prepare_process(&c, &err)) {
        main_loop_init();
        machine_lock();
        if (start(&c, &err)) {
            status = main_loop_run();
        }
        if (err) {
            error_report_err(g_steal_pointer(&err));
            process_failed(argc, argv);
        }
        stop();
        machine_unlock();
    }
    if (err) {
        error_report_err(err);
        process_failed(argc, argv);
    }
    cmdline_clear(&c);
    return status;
}
