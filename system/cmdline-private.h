/*
 * Private to the command line: what the options collect, and the phases of start-up
 * that use it.  Main thread only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_CMDLINE_PRIVATE_H
#define FERRY_SYSTEM_CMDLINE_PRIVATE_H

#include <sys/types.h>

#include "hw/core/machine.h"
#include "system/cmdline.h"
#include "util/options.h"

typedef struct Cmdline Cmdline;

/* Where a monitor comes from. */
typedef struct MonitorOption {
    char *chardev;    /* id of a -chardev, or NULL */
    char *short_form; /* of -qmp, -monitor; or NULL */
    bool control, pretty;
} MonitorOption;

/* Everything the options say; strings are owned.  Filled by the handlers, then const. */
struct Cmdline {
    const char *arg_of;         /* option that is being parsed, for messages */
    /* machine */
    JsonObject *machine;        /* members of all -machine together */
    GPtrArray *accels;          /* -accel arguments, in order */
    JsonObject *smp, *memory, *boot;
    char *cpu_model;
    char *kernel, *initrd, *append, *bios;
    char *mem_path;
    bool mem_prealloc, no_acpi, no_hpet;
    /* devices and objects: arguments in order */
    GPtrArray *objects, *devices, *chardevs, *add_fds, *globals;
    GPtrArray *blocks;          /* of BlockOption*: -drive, -blockdev, -hda .. in order */
    GPtrArray *netdevs;         /* -netdev */
    GPtrArray *nics;            /* -nic other than none */
    GPtrArray *serials;         /* short forms */
    GPtrArray *monitors;        /* of MonitorOption* */
    bool nodefaults, nographic;
    bool monitor_given;         /* also by "-monitor none" */
    char *qtest, *qtest_log;
    /* life */
    GPtrArray *incoming;
    bool stopped;               /* -S */
    bool mem_lock;
    char *rtc_base, *rtc_clock;
    /* process */
    bool daemonize, exit_with_parent, async_teardown;
    char *pidfile, *chroot_dir, *user, *log_path, *process_name;
    int log_items;
    JsonObject *sandbox;        /* NULL: off */
};

typedef enum BlockOptionKind { BLOCK_DRIVE, BLOCK_NODE, BLOCK_HD } BlockOptionKind;
typedef struct BlockOption {
    BlockOptionKind kind;
    int index;                  /* of -hda .. -hdd */
    char *arg;
} BlockOption;

/* One option.  `name` has no dash; all are rows of cmdline_table (options-table.c). */
typedef struct CmdlineOption {
    const char *name;
    const char *arg;            /* NULL: takes none; else what -help shows */
    const char *help;           /* one line; NULL: an old or second name, not in -help */
    bool (*parse)(Cmdline *c, const char *arg, Error **errp); /* NULL: refused, see why */
    const char *why;            /* refused: the reason and what to do instead */
    const char *params;         /* "name:type name:type": for query-command-line-options */
} CmdlineOption;
extern const CmdlineOption cmdline_table[]; /* ends with name NULL */

/* cmdline.c */
/* Parse argv; false with errp set.  Help options print and exit(0) from within. */
bool cmdline_parse(Cmdline *c, int argc, char **argv, Error **errp);
void cmdline_clear(Cmdline *c);

/* cmdline-vm.c: handlers of options about the machine */
/* cmdline-process.c: handlers of options about the process */
#define CMDLINE_HANDLER(name) bool name(Cmdline *c, const char *arg, Error **errp)
CMDLINE_HANDLER(opt_machine);
CMDLINE_HANDLER(opt_accel);
CMDLINE_HANDLER(opt_enable_kvm);
CMDLINE_HANDLER(opt_smp);
CMDLINE_HANDLER(opt_memory);
CMDLINE_HANDLER(opt_mem_path);
CMDLINE_HANDLER(opt_mem_prealloc);
CMDLINE_HANDLER(opt_boot);
CMDLINE_HANDLER(opt_cpu);
CMDLINE_HANDLER(opt_kernel);
CMDLINE_HANDLER(opt_initrd);
CMDLINE_HANDLER(opt_append);
CMDLINE_HANDLER(opt_bios);
CMDLINE_HANDLER(opt_no_acpi);
CMDLINE_HANDLER(opt_no_hpet);
CMDLINE_HANDLER(opt_object);
CMDLINE_HANDLER(opt_device);
CMDLINE_HANDLER(opt_chardev);
CMDLINE_HANDLER(opt_drive);
CMDLINE_HANDLER(opt_blockdev);
CMDLINE_HANDLER(opt_hda);
CMDLINE_HANDLER(opt_hdb);
CMDLINE_HANDLER(opt_hdc);
CMDLINE_HANDLER(opt_hdd);
CMDLINE_HANDLER(opt_serial);
CMDLINE_HANDLER(opt_parallel);
CMDLINE_HANDLER(opt_mon);
CMDLINE_HANDLER(opt_monitor);
CMDLINE_HANDLER(opt_qmp);
CMDLINE_HANDLER(opt_qmp_pretty);
CMDLINE_HANDLER(opt_qtest);
CMDLINE_HANDLER(opt_qtest_log);
CMDLINE_HANDLER(opt_nodefaults);
CMDLINE_HANDLER(opt_nographic);
CMDLINE_HANDLER(opt_echr);
CMDLINE_HANDLER(opt_display);
CMDLINE_HANDLER(opt_vga);
CMDLINE_HANDLER(opt_audio);
CMDLINE_HANDLER(opt_audiodev);
CMDLINE_HANDLER(opt_netdev);
CMDLINE_HANDLER(opt_nic);
CMDLINE_HANDLER(opt_net);
CMDLINE_HANDLER(opt_numa);
CMDLINE_HANDLER(opt_global);
CMDLINE_HANDLER(opt_rtc);
CMDLINE_HANDLER(opt_incoming);
CMDLINE_HANDLER(opt_only_migratable);
CMDLINE_HANDLER(opt_stopped);
CMDLINE_HANDLER(opt_uuid);

CMDLINE_HANDLER(opt_help);
CMDLINE_HANDLER(opt_version);
CMDLINE_HANDLER(opt_ignore);
CMDLINE_HANDLER(opt_name);
CMDLINE_HANDLER(opt_no_shutdown);
CMDLINE_HANDLER(opt_no_reboot);
CMDLINE_HANDLER(opt_action);
CMDLINE_HANDLER(opt_overcommit);
CMDLINE_HANDLER(opt_compat);
CMDLINE_HANDLER(opt_msg);
CMDLINE_HANDLER(opt_daemonize);
CMDLINE_HANDLER(opt_pidfile);
CMDLINE_HANDLER(opt_log_file);
CMDLINE_HANDLER(opt_log_items);
CMDLINE_HANDLER(opt_trace);
CMDLINE_HANDLER(opt_fault);
CMDLINE_HANDLER(opt_sandbox);
CMDLINE_HANDLER(opt_run_with);
CMDLINE_HANDLER(opt_async_teardown);
CMDLINE_HANDLER(opt_runas);
CMDLINE_HANDLER(opt_chroot);
CMDLINE_HANDLER(opt_add_fd);

/* Log file, log items, guest name in messages, name of the process. */
bool cmdline_apply_logging(const Cmdline *c, Error **errp);
/* Is arg a question ("help", "?")? */
bool cmdline_is_help(const char *arg);

/* cmdline-help.c: print to stdout; true: it was a question and has been answered */
void help_options(void);
void help_machines(void);
void help_cpus(void);
void help_accels(void);
void help_objects(void);
void help_devices(void);
bool help_type_properties(const char *type, const char *ancestor, Error **errp);
void help_machine_properties(const char *machine);
void help_log_items(void);
void help_trace(void);
void help_faults(void);
void help_chardevs(void);

/* startup.c: the phases, in the order main() calls them */
bool startup_add_fds(const Cmdline *c, Error **errp);
bool startup_first_objects(const Cmdline *c, Error **errp); /* keys, and who may come in */
bool startup_chardevs(const Cmdline *c, Error **errp);
bool startup_early_objects(const Cmdline *c, Error **errp);
bool startup_accel(const Cmdline *c, Error **errp);
bool startup_machine(const Cmdline *c, Error **errp);
bool startup_devices(const Cmdline *c, Error **errp);
bool startup_monitors(const Cmdline *c, Error **errp);
bool startup_late_objects(const Cmdline *c, Error **errp);
bool startup_incoming(const Cmdline *c, Error **errp);

/* startup-machine.c */
/* The class that -machine names, or the default one. */
const MachineClass *cmdline_machine_class(const Cmdline *c, Error **errp);
bool cmdline_smp_config(const Cmdline *c, const MachineClass *mc, SMPConfig *ret, Error **errp);
/* RAM size in bytes: -m or the machine's default. */
bool cmdline_ram_size(const Cmdline *c, const MachineClass *mc, uint64_t *ret, Error **errp);

/* process.c */
/* Fork; the parent waits and exits with the child's verdict.  No other thread may exist yet. */
bool process_daemonize(Error **errp);
/*
 * Start-up has failed and said why: where the arguments have a listening socket that came from the
 * caller (-chardev socket,fd=N,server=on), wait up to a second for who connects to it.  libvirt
 * does so right after the start, and repeats stderr only when the connection ends; when it cannot
 * connect, all its user reads is "Connection refused" (observed with 9.0).
 */
void process_failed(int argc, char **argv);
/* Start-up is done: let the parent go (-daemonize) and detach from the terminal. */
void process_started(const Cmdline *c);
bool process_pidfile_lock(const char *path, Error **errp); /* before start-up */
bool process_pidfile_write(Error **errp);                  /* when start-up is done */
void process_cleanup(void);                                /* removes the pidfile */
bool process_exit_with_parent(Error **errp);
/* "NAME" or "UID:GID" of -run-with user=. */
bool process_find_user(const char *text, uid_t *ret_uid, gid_t *ret_gid, Error **errp);
bool process_drop_privileges(const Cmdline *c, Error **errp); /* chroot, user */
/* SIGTERM, SIGINT and SIGHUP end the machine; SIGPIPE is ignored. */
bool process_catch_signals(Error **errp);

/* sandbox.c */
bool sandbox_prepare(const Cmdline *c, Error **errp); /* before there are threads */
bool sandbox_install(Error **errp); /* when start-up is done */
bool sandbox_check(JsonObject *opts, Error **errp);

/* qtest.c */
bool qtest_start(const char *chardev, const char *log, Error **errp);
void qtest_cleanup(void);

#endif
