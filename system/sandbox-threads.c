/*
 * -sandbox: what each thread may ask of the kernel.
 *
 * A table of system calls by group, and a table of roles: one row a kind of thread, with the
 * groups that it needs.  The filters are made once, before there are threads; a thread takes
 * that of its role as the first thing it does and cannot get rid of it.  What it starts in its
 * turn has its filter as well, so a row must cover the rows of those.
 *
 * Tables: constant.  enter_role(): the new thread.  Handler of SIGSYS: the thread that made the
 * call; its process ends there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/sandbox-private.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "util/log.h"
#include "util/util.h"

enum {
    BASE = 1 << 0,     /* every thread: memory, locks, clocks, bytes of open descriptors */
    STREAM = 1 << 1,   /* connections that stand already */
    FILES = 1 << 2,    /* open files at any place, and their state */
    OPEN = 1 << 3,     /* files by name */
    NET = 1 << 4,      /* new connections, and listening */
    THREADS = 1 << 5,  /* new threads, never new processes */
    IOCTL = 1 << 6,    /* /dev/kvm, userfaultfd, pagemap */
    FAULTS = 1 << 7,   /* a new userfaultfd */
    SCHED = 1 << 8,    /* own priority; resourcecontrol=deny: fails with EPERM */
    CHILD = 1 << 9,    /* wait for a command and end it */
    NEW_MEMORY = 1 << 10, /* memory with a descriptor */
};

typedef struct CallRow {
    int nr;
    unsigned groups; /* any of them allows it */
} CallRow;

/* Calls with any arguments.  Those with some arguments are in add_special(). */
static const CallRow calls[] = {
    { SCMP_SYS(read), BASE },            { SCMP_SYS(write), BASE },
    { SCMP_SYS(readv), BASE },           { SCMP_SYS(writev), BASE },
    { SCMP_SYS(close), BASE },           { SCMP_SYS(poll), BASE },
    { SCMP_SYS(ppoll), BASE },           { SCMP_SYS(fcntl), BASE },
    { SCMP_SYS(lseek), BASE },           { SCMP_SYS(eventfd2), BASE },
    { SCMP_SYS(pipe2), BASE },           { SCMP_SYS(dup), BASE },
    { SCMP_SYS(mmap), BASE },            { SCMP_SYS(munmap), BASE },
    { SCMP_SYS(mremap), BASE },          { SCMP_SYS(mprotect), BASE },
    { SCMP_SYS(madvise), BASE },         { SCMP_SYS(brk), BASE },
    { SCMP_SYS(mlock), BASE },           { SCMP_SYS(munlock), BASE },
    { SCMP_SYS(mincore), BASE },         { SCMP_SYS(membarrier), BASE },
    { SCMP_SYS(futex), BASE },           { SCMP_SYS(set_robust_list), BASE },
    { SCMP_SYS(get_robust_list), BASE }, { SCMP_SYS(rseq), BASE },
    { SCMP_SYS(clock_gettime), BASE },   { SCMP_SYS(clock_getres), BASE },
    { SCMP_SYS(clock_nanosleep), BASE }, { SCMP_SYS(nanosleep), BASE },
    { SCMP_SYS(gettimeofday), BASE },    { SCMP_SYS(time), BASE },
    { SCMP_SYS(sched_yield), BASE },     { SCMP_SYS(sched_getaffinity), BASE },
    { SCMP_SYS(getcpu), BASE },          { SCMP_SYS(getrusage), BASE },
    { SCMP_SYS(getpid), BASE },          { SCMP_SYS(gettid), BASE },
    { SCMP_SYS(getppid), BASE },         { SCMP_SYS(sysinfo), BASE },
    { SCMP_SYS(uname), BASE },           { SCMP_SYS(getrandom), BASE },
    { SCMP_SYS(tgkill), BASE },          { SCMP_SYS(rt_sigaction), BASE },
    { SCMP_SYS(rt_sigprocmask), BASE },  { SCMP_SYS(rt_sigpending), BASE },
    { SCMP_SYS(rt_sigtimedwait), BASE }, { SCMP_SYS(rt_sigreturn), BASE },
    { SCMP_SYS(sigaltstack), BASE },     { SCMP_SYS(restart_syscall), BASE },
    { SCMP_SYS(exit), BASE },            { SCMP_SYS(exit_group), BASE },

    { SCMP_SYS(recvfrom), STREAM },      { SCMP_SYS(recvmsg), STREAM },
    { SCMP_SYS(sendto), STREAM },        { SCMP_SYS(sendmsg), STREAM },
    { SCMP_SYS(shutdown), STREAM },      { SCMP_SYS(getsockopt), STREAM },
    { SCMP_SYS(setsockopt), STREAM },    { SCMP_SYS(getsockname), STREAM },
    { SCMP_SYS(getpeername), STREAM },

    { SCMP_SYS(pread64), FILES },        { SCMP_SYS(pwrite64), FILES },
    { SCMP_SYS(preadv), FILES },         { SCMP_SYS(pwritev), FILES },
    { SCMP_SYS(preadv2), FILES },        { SCMP_SYS(pwritev2), FILES },
    { SCMP_SYS(fsync), FILES },          { SCMP_SYS(fdatasync), FILES },
    { SCMP_SYS(ftruncate), FILES },      { SCMP_SYS(fallocate), FILES },
    { SCMP_SYS(sync_file_range), FILES }, { SCMP_SYS(fadvise64), FILES },
    { SCMP_SYS(fstat), BASE },           { SCMP_SYS(newfstatat), BASE }, /* stdio: the log */
    { SCMP_SYS(statx), FILES },          { SCMP_SYS(fstatfs), FILES },
    { SCMP_SYS(flock), FILES },          { SCMP_SYS(copy_file_range), FILES },

    { SCMP_SYS(openat), OPEN },          { SCMP_SYS(open), OPEN },
    { SCMP_SYS(access), OPEN },          { SCMP_SYS(faccessat), OPEN },
    { SCMP_SYS(faccessat2), OPEN },      { SCMP_SYS(stat), OPEN },
    { SCMP_SYS(lstat), OPEN },           { SCMP_SYS(readlink), OPEN },
    { SCMP_SYS(readlinkat), OPEN },      { SCMP_SYS(statfs), OPEN },
    { SCMP_SYS(getdents64), OPEN },      { SCMP_SYS(getcwd), OPEN },
    { SCMP_SYS(unlink), OPEN },          { SCMP_SYS(unlinkat), OPEN },
    { SCMP_SYS(rename), OPEN },          { SCMP_SYS(renameat), OPEN },
    { SCMP_SYS(renameat2), OPEN },

    { SCMP_SYS(socket), NET },           { SCMP_SYS(socketpair), NET },
    { SCMP_SYS(connect), NET },          { SCMP_SYS(bind), NET },
    { SCMP_SYS(listen), NET },           { SCMP_SYS(accept4), NET },
    { SCMP_SYS(accept), NET },           { SCMP_SYS(sendmmsg), NET },
    { SCMP_SYS(recvmmsg), NET },         { SCMP_SYS(fchmod), NET },
    { SCMP_SYS(getuid), NET | OPEN },    { SCMP_SYS(geteuid), NET | OPEN },
    { SCMP_SYS(getgid), NET | OPEN },    { SCMP_SYS(getegid), NET | OPEN },

    { SCMP_SYS(ioctl), IOCTL | NET },
    { SCMP_SYS(userfaultfd), FAULTS },
    { SCMP_SYS(memfd_create), NEW_MEMORY },
    { SCMP_SYS(wait4), CHILD },          { SCMP_SYS(waitid), CHILD },
    { SCMP_SYS(kill), CHILD },           { SCMP_SYS(pidfd_open), CHILD },
    { SCMP_SYS(pidfd_send_signal), CHILD },
};

/* Fail with EPERM under resourcecontrol=deny; who makes them lives without. */
static const int sched_calls[] = {
    SCMP_SYS(setpriority), SCMP_SYS(sched_getattr), SCMP_SYS(sched_setattr),
    SCMP_SYS(sched_setaffinity),
};

typedef struct RoleRow {
    const char *name; /* what the thread's name begins with; NULL: all others */
    unsigned groups;
} RoleRow;

#define EVERYTHING \
    (STREAM | FILES | OPEN | NET | THREADS | IOCTL | FAULTS | SCHED | CHILD | NEW_MEMORY)

static const RoleRow roles[] = {
    /* Guests get at these: devices' descriptors are open, and nothing else can be opened. */
    { "CPU ", STREAM | FILES | IOCTL | SCHED },
    /* They connect, listen, open files, and start the threads of their side. */
    { "migration", EVERYTHING },
    { "incoming", EVERYTHING },
    { "mig/dst/listen", EVERYTHING },
    /* Bytes of connections and files that somebody else has opened. */
    { "mig/src/return", STREAM | FILES | SCHED },
    { "mig/src/send_", STREAM | FILES | SCHED | IOCTL },
    { "mig/dst/recv_", STREAM | FILES | SCHED | IOCTL | THREADS }, /* starts populate */
    { "mig/dst/preempt", STREAM | FILES | SCHED | IOCTL },
    { "mig/dst/tls", STREAM | FILES | OPEN | NET | SCHED }, /* waits for the second channel, too */
    { "mig/dst/fault", STREAM | SCHED | IOCTL },
    { "virtio-fetch", SCHED }, /* touches memory, and waits */
    { "populate", FILES | SCHED | IOCTL },
    { "mig/watch", STREAM | SCHED | IOCTL },
    { "dump", STREAM | FILES | SCHED },
    /* Out-of-band commands listen again and start what waits for the connection. */
    { "mon_iothread", EVERYTHING & ~FAULTS },
    { "chardev-connect", STREAM | FILES | OPEN | NET | SCHED },
    { "chardev-in", STREAM | FILES },
    { "chardev-out", STREAM | FILES },
    { "dirty-limit", IOCTL | SCHED },
    { "cpu-throttle", SCHED },
    { "dirty-rate", FILES | OPEN | IOCTL | SCHED },
    { "io/exec-end", STREAM | CHILD },
    { NULL, 0 },
};

#define SPAWNER "io/spawn" /* takes the main thread's filter */

static struct sock_fprog programs[ARRAY_SIZE(roles)]; /* constant once prepared; never freed */

/* ---- making them ---- */

static int add_special(scmp_filter_ctx ctx, unsigned groups)
{
    static const int names[] = { PR_SET_NAME, PR_GET_NAME };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(names); i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, names[i]));
    }
    if (rc == 0) { /* limits are asked for, not set */
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                              SCMP_A2(SCMP_CMP_EQ, 0));
    }
    if (rc == 0 && (groups & THREADS)) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    }
    /* What is started takes a filter of its own on top of this one. */
    if (rc == 0 && (groups & THREADS)) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(seccomp), 2,
                              SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER),
                              SCMP_A1(SCMP_CMP_EQ, 0));
    }
    /* clone3 hides its flags; the C library takes clone when there is none. */
    return rc ? rc : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* A role without SCHED asks in vain, too: sanitizers and libraries look at such things. */
static int add_sched(scmp_filter_ctx ctx, unsigned groups, const SandboxConfig *s)
{
    bool allowed = (groups & SCHED) && !s->deny_resource;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(sched_calls); i++) {
        rc = seccomp_rule_add(ctx, allowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM),
                              sched_calls[i], 0);
    }
    return rc;
}

/* The way down to the user of -run-with user=, which cannot be gone back. */
static int add_new_user(scmp_filter_ctx ctx, const SandboxConfig *s)
{
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setgroups), 0);

    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setgid), 1,
                              SCMP_A0(SCMP_CMP_EQ, s->gid));
    }
    return rc ? rc : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setuid), 1,
                                      SCMP_A0(SCMP_CMP_EQ, s->uid));
}

static int build_role(scmp_filter_ctx ctx, unsigned groups, const SandboxConfig *s)
{
    int rc = 0;

    groups |= BASE;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(calls); i++) {
        if (calls[i].groups & groups) {
            rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i].nr, 0);
            rc = rc == -EDOM ? 0 : rc; /* this architecture has not got it */
        }
    }
    rc = rc ? rc : add_special(ctx, groups);
    rc = rc || !s->new_user ? rc : add_new_user(ctx, s);
    return rc ? rc : add_sched(ctx, groups, s);
}

/* The library writes programs to descriptors only. */
static bool export_program(scmp_filter_ctx ctx, struct sock_fprog *ret)
{
    g_auto(AutoFd) fd = memfd_create("ferry-sandbox", MFD_CLOEXEC);
    off_t size;

    if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0) {
        return false;
    }
    size = lseek(fd, 0, SEEK_END);
    if (size <= 0 || size % sizeof(*ret->filter) || size / sizeof(*ret->filter) > BPF_MAXINSNS) {
        return false;
    }
    ret->len = (unsigned short)(size / sizeof(*ret->filter));
    ret->filter = g_malloc(size);
    return pread(fd, ret->filter, size, 0) == size;
}

static bool make_role(size_t i, const SandboxConfig *s, Error **errp)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
    bool ok = ctx && build_role(ctx, roles[i].groups, s) == 0 && export_program(ctx, &programs[i]);

    if (ctx) {
        seccomp_release(ctx);
    }
    if (!ok) {
        error_setg(errp, "-sandbox: cannot make the filter of threads '%s'",
                   roles[i].name ? roles[i].name : "(others)");
    }
    return ok;
}

/* ---- taking one ---- */

enum { ERRNO_MAX = 134 };

static size_t role_of(const char *thread)
{
    size_t i = 0;

    while (roles[i].name && !g_str_has_prefix(thread, roles[i].name)) {
        i++;
    }
    return i;
}

static void enter_role(const char *thread)
{
    if (g_str_equal(thread, SPAWNER)) {
        return;
    }
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &programs[role_of(thread)]) < 0) {
        g_error("-sandbox: thread '%s' cannot take its filter: %s", thread, g_strerror(errno));
    }
}

/* Libraries open files when they do some things for the first time; threads could not. */
static void warm_up(void)
{
    const char *(*volatile text)(gint) = g_strerror; /* so that it is called at all */

    for (int i = 1; i < ERRNO_MAX; i++) {
        text(i); /* may convert between character sets */
    }
    /* The default, but without looking up the number of processors in /sys. */
    mallopt(M_ARENA_MAX, 8 * (int)g_get_num_processors());
}

bool sandbox_threads_prepare(const SandboxConfig *s, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (!make_role(i, s, errp)) {
            return false;
        }
    }
    warm_up();
    /* Threads inherit it; without it a filter is for root. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        error_setg_errno(errp, errno, "-sandbox: cannot give up new privileges");
        return false;
    }
    thread_set_prologue(enter_role);
    return true;
}

/* ---- starting programs ---- */

typedef struct SpawnJob {
    void (*fn)(void *opaque);
    void *opaque;
    GMutex lock;
    GCond cond;
    bool done; /* lock */
} SpawnJob;

static GAsyncQueue *spawn_jobs; /* constant once made; of SpawnJob on the stack of who waits */

static gpointer spawner_main(gpointer opaque)
{
    void (*install)(void) = opaque;

    install();
    for (;;) {
        SpawnJob *j = g_async_queue_pop(spawn_jobs);

        j->fn(j->opaque);
        g_mutex_lock(&j->lock);
        j->done = true;
        g_cond_signal(&j->cond);
        g_mutex_unlock(&j->lock);
    }
    return NULL;
}

static void run_in_spawner(void (*fn)(void *opaque), void *opaque)
{
    SpawnJob j = { .fn = fn, .opaque = opaque };

    g_mutex_init(&j.lock);
    g_cond_init(&j.cond);
    g_async_queue_push(spawn_jobs, &j);
    g_mutex_lock(&j.lock);
    while (!j.done) {
        g_cond_wait(&j.cond, &j.lock);
    }
    g_mutex_unlock(&j.lock);
    g_mutex_clear(&j.lock);
    g_cond_clear(&j.cond);
}

void sandbox_spawner_start(void (*install)(void))
{
    spawn_jobs = g_async_queue_new();
    g_thread_unref(thread_start(SPAWNER, spawner_main, install));
    set_spawner(run_in_spawner);
}

/* ---- a call that was forbidden ---- */

enum { NAMES = 512 };
static char *call_names[NAMES]; /* constant once watching: the handler must not allocate */

static void on_sigsys(int signo, siginfo_t *info, void *context)
{
    unsigned nr = (unsigned)info->si_syscall;
    char thread[16] = "", text[160];
    int len;

    prctl(PR_GET_NAME, thread);
    len = snprintf(text, sizeof(text),
                   "ferry: -sandbox: thread '%s' made the system call %s (%u), which its filter "
                   "forbids: the end\n", thread,
                   nr < NAMES && call_names[nr] ? call_names[nr] : "?", nr);
    ssize_t ignored G_GNUC_UNUSED = write(STDERR_FILENO, text, len);
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
    _exit(128 + SIGSYS);
}

void sandbox_watch(void)
{
    struct sigaction act = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER };

    for (int nr = 0; nr < NAMES; nr++) {
        call_names[nr] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
    }
    sigaction(SIGSYS, &act, NULL);
}
