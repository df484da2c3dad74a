/*
 * -sandbox: a filter of system calls for the whole process.
 *
 * Installed once, by the main thread, when start-up is done; it covers every thread.
 * A forbidden call kills the process (resource control: fails with EPERM), as whoever
 * makes one is not Ferry any more.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <sys/prctl.h>

#include "system/cmdline-private.h"
#include "system/sandbox.h"
#include "util/util.h"

typedef enum Policy { POLICY_ALLOW, POLICY_DENY, POLICY_CHILDREN } Policy;

typedef struct SandboxConfig {
    bool obsolete_allowed;
    Policy elevate;
    bool deny_spawn, deny_resource;
} SandboxConfig;

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

static bool exec_forbidden; /* main thread at start-up, then constant */

bool sandbox_forbids_exec(void)
{
    return exec_forbidden;
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
    int rc = forbid(ctx, SCMP_ACT_KILL_PROCESS, spawning_calls, ARRAY_SIZE(spawning_calls));

    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD_BIT, 0));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    return rc;
}

static int build(scmp_filter_ctx ctx, const SandboxConfig *s)
{
    int rc = forbid(ctx, SCMP_ACT_KILL_PROCESS, always, ARRAY_SIZE(always));

    if (rc == 0 && !s->obsolete_allowed) {
        rc = forbid(ctx, SCMP_ACT_KILL_PROCESS, obsolete_calls, ARRAY_SIZE(obsolete_calls));
    }
    if (rc == 0 && s->elevate == POLICY_DENY) {
        rc = forbid(ctx, SCMP_ACT_KILL_PROCESS, elevating_calls, ARRAY_SIZE(elevating_calls));
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

bool sandbox_install(JsonObject *opts, Error **errp)
{
    SandboxConfig s;
    scmp_filter_ctx ctx;
    int rc;

    if (!parse(opts, &s, errp)) {
        return false;
    }
    if (s.elevate != POLICY_ALLOW && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        error_setg_errno(errp, errno, "-sandbox: cannot give up new privileges");
        return false;
    }
    ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx) {
        error_setg(errp, "-sandbox: cannot make a filter");
        return false;
    }
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0) {
        rc = build(ctx, &s);
    }
    if (rc == 0) {
        rc = seccomp_load(ctx);
    }
    seccomp_release(ctx);
    if (rc < 0) {
        error_setg_errno(errp, -rc, "-sandbox: cannot install the filter");
        return false;
    }
    exec_forbidden = s.deny_spawn;
    return true;
}

bool sandbox_check(JsonObject *opts, Error **errp)
{
    SandboxConfig s;

    return parse(opts, &s, errp);
}

#else

bool sandbox_install(JsonObject *opts, Error **errp)
{
    error_setg(errp, "-sandbox on is not supported: built without libseccomp");
    return false;
}

bool sandbox_check(JsonObject *opts, Error **errp)
{
    SandboxConfig s;

    return parse(opts, &s, errp) && sandbox_install(opts, errp);
}

#endif
