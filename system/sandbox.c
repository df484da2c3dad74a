/*
 * -sandbox: its options, and the filter of system calls of the main thread.
 *
 * Main thread.  The filters of all other threads, which allow less, are made before there are
 * any (sandbox-threads.c).  This one says what is forbidden, not what is allowed: monitor
 * commands open files and sockets, make memory and start programs.  It is installed when
 * start-up is done, and threads that the main thread starts have it too.  A forbidden call ends
 * the process and says which (resource control: fails with EPERM), as whoever makes one is not
 * Ferry any more.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>

#include "system/cmdline-private.h"
#include "system/sandbox-private.h"
#include "system/sandbox.h"
#include "util/util.h"

static bool take_policy(JsonObject *opts, const char *key, const char *const *names, int *ret,
                        Error **errp)
{
    return options_take_enum(opts, key, names, ret, errp);
}

static bool parse(JsonObject *given, SandboxConfig *ret, Error **errp)
{
    static const char *const allow_deny[] = { "allow", "deny", NULL };
    static const char *const elevate[] = { "allow", "deny", "children", NULL };
    g_autoptr(JsonObject) opts = json_object_new();
    g_autoptr(GList) names = json_object_get_members(given);
    int obsolete = POLICY_DENY, elevation = POLICY_ALLOW, spawn = 0, resource = 0;

    for (GList *l = names; l; l = l->next) {
        json_object_set_member(opts, l->data, json_object_dup_member(given, l->data));
    }
    if (!take_policy(opts, "obsolete", allow_deny, &obsolete, errp) ||
        !take_policy(opts, "elevateprivileges", elevate, &elevation, errp) ||
        !take_policy(opts, "spawn", allow_deny, &spawn, errp) ||
        !take_policy(opts, "resourcecontrol", allow_deny, &resource, errp) ||
        !options_finish(opts, "sandbox", errp)) {
        return false;
    }
    *ret = (SandboxConfig){ obsolete == POLICY_ALLOW, elevation, spawn, resource };
    return true;
}

static bool exec_forbidden; /* set before there are other threads, then constant */

bool sandbox_may_exec(const char *what, Error **errp)
{
    if (exec_forbidden) {
        error_setg(errp, "%s: the sandbox of this program forbids to run another "
                   "(-sandbox spawn=deny)", what);
    }
    return !exec_forbidden;
}

#if CONFIG_SECCOMP
#include <seccomp.h>

/* What no machine needs, whatever the options say. */
static const int always[] = {
    SCMP_SYS(reboot),        SCMP_SYS(swapon),        SCMP_SYS(swapoff),
    SCMP_SYS(syslog),        SCMP_SYS(mount),         SCMP_SYS(umount),
    SCMP_SYS(umount2),       SCMP_SYS(kexec_load),    SCMP_SYS(kexec_file_load),
    SCMP_SYS(afs_syscall),   SCMP_SYS(break),         SCMP_SYS(ftime),
    SCMP_SYS(getpmsg),       SCMP_SYS(gtty),          SCMP_SYS(lock),
    SCMP_SYS(mpx),           SCMP_SYS(prof),          SCMP_SYS(profil),
    SCMP_SYS(putpmsg),       SCMP_SYS(security),      SCMP_SYS(stty),
    SCMP_SYS(tuxcall),       SCMP_SYS(ulimit),        SCMP_SYS(vserver),
    SCMP_SYS(init_module),   SCMP_SYS(finit_module),  SCMP_SYS(delete_module),
    SCMP_SYS(pivot_root),    SCMP_SYS(acct),          SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),  SCMP_SYS(clock_settime), SCMP_SYS(adjtimex),
    SCMP_SYS(ptrace),        SCMP_SYS(process_vm_writev),
    SCMP_SYS(bpf),           SCMP_SYS(iopl),          SCMP_SYS(ioperm),
};
static const int obsolete_calls[] = {
    SCMP_SYS(readdir),       SCMP_SYS(_sysctl),       SCMP_SYS(bdflush),
    SCMP_SYS(create_module), SCMP_SYS(get_kernel_syms), SCMP_SYS(query_module),
    SCMP_SYS(sgetmask),      SCMP_SYS(ssetmask),      SCMP_SYS(sysfs),
    SCMP_SYS(uselib),        SCMP_SYS(ustat),
};
static const int elevating_calls[] = {
    SCMP_SYS(setuid),   SCMP_SYS(setgid),   SCMP_SYS(setpgid),   SCMP_SYS(setsid),
    SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid), SCMP_SYS(setresgid),
    SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(setgroups), SCMP_SYS(capset),
};
static const int spawning_calls[] = {
    SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(execve), SCMP_SYS(execveat),
};
static const int resource_calls[] = {
    SCMP_SYS(setpriority),        SCMP_SYS(sched_setparam), SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_setaffinity),  SCMP_SYS(sched_setattr),  SCMP_SYS(ioprio_set),
    SCMP_SYS(setrlimit),          SCMP_SYS(mbind),          SCMP_SYS(set_mempolicy),
    SCMP_SYS(migrate_pages),      SCMP_SYS(move_pages),
};

static int forbid(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = seccomp_rule_add(ctx, action, calls[i], 0);
        /* A call that this architecture has not cannot be made either. */
        if (rc < 0 && rc != -EDOM && rc != -EFAULT) {
            return rc;
        }
    }
    return 0;
}

/* New processes share no memory; threads do.  clone3 hides its flags: libc falls back. */
static int forbid_spawning(scmp_filter_ctx ctx)
{
    enum { CLONE_VM_BIT = 0x100, CLONE_THREAD_BIT = 0x10000 };
    int rc = forbid(ctx, SCMP_ACT_TRAP, spawning_calls, ARRAY_SIZE(spawning_calls));

    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_TRAP, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD_BIT, 0));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    return rc;
}

static int build(scmp_filter_ctx ctx, const SandboxConfig *s)
{
    int rc = forbid(ctx, SCMP_ACT_TRAP, always, ARRAY_SIZE(always));

    if (rc == 0 && !s->obsolete_allowed) {
        rc = forbid(ctx, SCMP_ACT_TRAP, obsolete_calls, ARRAY_SIZE(obsolete_calls));
    }
    if (rc == 0 && s->elevate == POLICY_DENY) {
        rc = forbid(ctx, SCMP_ACT_TRAP, elevating_calls, ARRAY_SIZE(elevating_calls));
    }
    if (rc == 0 && s->deny_spawn) {
        rc = forbid_spawning(ctx);
    }
    if (rc == 0 && s->deny_resource) {
        /* GLib and libc try some of these and live without. */
        rc = forbid(ctx, SCMP_ACT_ERRNO(EPERM), resource_calls, ARRAY_SIZE(resource_calls));
    }
    return rc;
}

static SandboxConfig config; /* set before there are other threads, then constant */

/* The filter of the calling thread, and of those that it starts from now on. */
static int install(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int rc = ctx ? build(ctx, &config) : -ENOMEM;

    if (rc == 0) {
        rc = seccomp_load(ctx);
    }
    if (ctx) {
        seccomp_release(ctx);
    }
    return rc;
}

static void install_in_spawner(void)
{
    int rc = install();

    if (rc < 0) {
        g_error("-sandbox: cannot install the filter: %s", g_strerror(-rc));
    }
}

bool sandbox_prepare(const Cmdline *c, Error **errp)
{
    if (!parse(c->sandbox, &config, errp)) {
        return false;
    }
    if (c->user) {
        if (!process_find_user(c->user, &config.uid, &config.gid, errp)) {
            return false;
        }
        config.new_user = true;
    }
    if (!sandbox_threads_prepare(&config, errp)) {
        return false;
    }
    sandbox_watch();
    exec_forbidden = config.deny_spawn;
    if (!exec_forbidden) {
        sandbox_spawner_start(install_in_spawner);
    }
    return true;
}

bool sandbox_install(Error **errp)
{
    int rc = install();

    if (rc < 0) {
        error_setg_errno(errp, -rc, "-sandbox: cannot install the filter");
    }
    return rc == 0;
}

bool sandbox_check(JsonObject *opts, Error **errp)
{
    SandboxConfig s;

    return parse(opts, &s, errp);
}

#else

bool sandbox_prepare(const Cmdline *c, Error **errp)
{
    error_setg(errp, "-sandbox on is not supported: built without libseccomp");
    return false;
}

bool sandbox_install(Error **errp)
{
    return sandbox_prepare(NULL, errp);
}

bool sandbox_check(JsonObject *opts, Error **errp)
{
    SandboxConfig s;

    return parse(opts, &s, errp) && sandbox_install(errp);
}

#endif
