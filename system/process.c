/*
 * The process: background, pid file, signals, privileges.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib-unix.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "system/cmdline-private.h"
#include "system/runstate.h"
#include "util/log.h"
#include "util/uffd.h"
#include "util/util.h"

static int started_fd = -1; /* pipe to the waiting parent (-daemonize) */
static int pidfile_fd = -1;
static char *pidfile_path;
static pid_t pidfile_owner;

/* Parent: wait for the word of the child; without one it has failed and said why. */
static void G_GNUC_NORETURN wait_for_child(int fd)
{
    char ok = 0;
    ssize_t n;

    do {
        n = read(fd, &ok, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 && ok ? 0 : 1);
}

#define CALLER_CONNECTS_MS 1000

void process_failed(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        const char *fd = g_str_equal(argv[i], "-chardev") && g_str_has_prefix(argv[i + 1], "socket,")
                             ? strstr(argv[i + 1], ",fd=") : NULL;
        if (fd && strstr(argv[i + 1], ",server=on")) {
            struct pollfd p = { .fd = atoi(fd + strlen(",fd=")), .events = POLLIN };
            poll(&p, 1, CALLER_CONNECTS_MS);
            return;
        }
    }
}

bool process_daemonize(Error **errp)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        error_setg_errno(errp, errno, "-daemonize: cannot make a pipe");
        return false;
    }
    pid = fork();
    if (pid < 0) {
        error_setg_errno(errp, errno, "-daemonize: cannot fork");
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    if (pid > 0) {
        close(fds[1]);
        wait_for_child(fds[0]);
    }
    close(fds[0]);
    started_fd = fds[1];
    setsid();
    /* Not the leader of the session any more: no terminal can become ours. */
    pid = fork();
    if (pid != 0) {
        _exit(pid < 0 ? 1 : 0);
    }
    umask(027);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    return true;
}

void process_started(const Cmdline *c)
{
    if (started_fd < 0) {
        return;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ssize_t ignored G_GNUC_UNUSED;

    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close_fd(&null);
    }
    ignored = write(started_fd, "\1", 1);
    close_fd(&started_fd);
    if (chdir("/") < 0) {
        warn_report("-daemonize: cannot change to /: %s", g_strerror(errno));
    }
}

bool process_pidfile_lock(const char *path, Error **errp)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    pidfile_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (pidfile_fd < 0) {
        error_setg_errno(errp, errno, "-pidfile %s: cannot create the file", path);
        return false;
    }
    if (fcntl(pidfile_fd, F_SETLK, &lock) < 0) {
        error_setg(errp, "-pidfile %s: another process holds it", path);
        close_fd(&pidfile_fd);
        return false;
    }
    pidfile_path = g_canonicalize_filename(path, NULL);
    pidfile_owner = getpid();
    return true;
}

bool process_pidfile_write(Error **errp)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    ssize_t len = (ssize_t)strlen(text);

    if (pidfile_fd >= 0 &&
        (ftruncate(pidfile_fd, 0) < 0 || pwrite(pidfile_fd, text, len, 0) != len)) {
        error_setg_errno(errp, errno, "-pidfile %s: cannot write", pidfile_path);
        return false;
    }
    return true;
}

void process_cleanup(void)
{
    if (pidfile_path && pidfile_owner == getpid()) {
        unlink(pidfile_path);
    }
    g_clear_pointer(&pidfile_path, g_free);
    close_fd(&pidfile_fd);
    close_fd(&started_fd);
}

bool process_exit_with_parent(Error **errp)
{
    pid_t parent = getppid();

    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
        error_setg_errno(errp, errno, "-run-with exit-with-parent=on");
        return false;
    }
    /* It may have gone before we asked. */
    if (getppid() != parent) {
        raise(SIGTERM);
    }
    return true;
}

/* "NAME" or "UID:GID". */
static bool find_user(const char *text, uid_t *uid, gid_t *gid, const char **name, Error **errp)
{
    const char *colon = strchr(text, ':');
    g_autofree char *left = colon ? g_strndup(text, colon - text) : NULL;
    uint64_t u, g;
    struct passwd *pw;

    if (colon) {
        if (!parse_u64(left, &u) || !parse_u64(colon + 1, &g) || u >= UINT32_MAX ||
            g >= UINT32_MAX) {
            error_setg(errp, "user '%s' is not of the form NAME or UID:GID", text);
            return false;
        }
        *uid = (uid_t)u;
        *gid = (gid_t)g;
        *name = NULL;
        return true;
    }
    pw = getpwnam(text);
    if (!pw) {
        error_setg(errp, "there is no user '%s'", text);
        return false;
    }
    *uid = pw->pw_uid;
    *gid = pw->pw_gid;
    *name = text;
    return true;
}

bool process_find_user(const char *text, uid_t *ret_uid, gid_t *ret_gid, Error **errp)
{
    const char *name;

    return find_user(text, ret_uid, ret_gid, &name, errp);
}

/* Are we that user already, for good? */
static bool is_user(uid_t uid, gid_t gid)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;

    return getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0 && r == uid && e == uid &&
           s == uid && rg == gid && eg == gid && sg == gid;
}

bool process_drop_privileges(const Cmdline *c, Error **errp)
{
    const char *name = NULL;
    uid_t uid = 0;
    gid_t gid = 0;

    /* Names are looked up before the root directory changes. */
    if (c->user && !find_user(c->user, &uid, &gid, &name, errp)) {
        return false;
    }
    if (c->user || c->chroot_dir) {
        uffd_keep_device(); /* a postcopy may come later */
    }
    if (c->chroot_dir && (chroot(c->chroot_dir) < 0 || chdir("/") < 0)) {
        error_setg_errno(errp, errno, "cannot change the root directory to '%s'", c->chroot_dir);
        return false;
    }
    if (!c->user || (uid != 0 && is_user(uid, gid))) {
        return true; /* cpr-exec: the program before this one has done it */
    }
    if (setgid(gid) < 0 || (name ? initgroups(name, gid) : setgroups(1, &gid)) < 0 ||
        setuid(uid) < 0) {
        error_setg_errno(errp, errno, "cannot run as user '%s'", c->user);
        return false;
    }
    /* Only this thread tries: the others' filters forbid it. */
    if (uid != 0 && syscall(SYS_setuid, 0) == 0) {
        error_setg(errp, "user '%s' could become root again", c->user);
        return false;
    }
    return true;
}

/* Written by the handler, read by the main loop. */
static volatile sig_atomic_t last_signal;
static volatile pid_t last_sender;
static int signal_fd = -1;

static void on_signal(int signo, siginfo_t *info, void *context)
{
    uint64_t one = 1;
    int saved = errno;
    ssize_t ignored G_GNUC_UNUSED;

    last_signal = signo;
    last_sender = info->si_pid;
    ignored = write(signal_fd, &one, sizeof(one));
    errno = saved;
}

static gboolean on_signal_fd(int fd, GIOCondition cond, gpointer opaque)
{
    uint64_t count;
    pid_t sender = last_sender;
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)sender);
    g_autofree char *comm = NULL;

    if (read(fd, &count, sizeof(count)) == sizeof(count)) {
        if (sender > 0 && g_file_get_contents(path, &comm, NULL, NULL)) {
            info_report("terminating on signal %d from pid %d (%s)", (int)last_signal,
                        (int)sender, g_strchomp(comm));
        } else {
            info_report("terminating on signal %d", (int)last_signal);
        }
        system_shutdown_request(SHUTDOWN_CAUSE_HOST_SIGNAL);
    }
    return G_SOURCE_CONTINUE;
}

bool process_catch_signals(Error **errp)
{
    static const int signals[] = { SIGINT, SIGHUP, SIGTERM };
    struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

    signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signal_fd < 0) {
        error_setg_errno(errp, errno, "cannot watch for signals");
        return false;
    }
    g_unix_fd_add(signal_fd, G_IO_IN, on_signal_fd, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        sigaction(signals[i], &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error of who writes it */
    return true;
}
