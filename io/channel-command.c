/*
 * Channel to a child process: its standard input and output are pipes.
 *
 * Belongs to no thread.  close() waits for the child; a shutdown makes that wait short.  With
 * close_in_peace it does not wait: the child may still have bytes to pass on, and a thread of
 * its own ("io/exec-end") waits for it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "io/channel-private.h"
#include "trace/io.h"
#include "util/util.h"

#define COMMAND_WAIT_MS 60000 /* for the child to end after its pipes were closed */
#define COMMAND_TERM_MS 1000  /* after SIGTERM */
#define COMMAND_PEACE_MS 2000 /* close_in_peace: to pass on what it has */
#define COMMAND_PEACE_STEP_MS 5

typedef struct IOChannelCommand {
    IOChannel base;
    pid_t pid;  /* 0: waited for */
    char *what; /* command for messages */
} IOChannelCommand;

/* Wait at most ms; quit_fd >= 0 ends the wait early.  True: the child ended. */
static bool wait_child(pid_t pid, int64_t ms, int quit_fd, int *ret_status)
{
    int64_t end = host_clock_ms() + ms;
    int step = 1;

    for (;;) {
        pid_t r = waitpid(pid, ret_status, WNOHANG);
        if (r == pid) {
            return true;
        }
        if (r < 0 && errno != EINTR) {
            *ret_status = 0; /* somebody else waited for it */
            return true;
        }
        int64_t left = end - host_clock_ms();
        if (left <= 0) {
            return false;
        }
        struct pollfd pfd = { .fd = quit_fd, .events = POLLIN };
        if (poll(&pfd, 1, MIN(step, left)) > 0) {
            return false;
        }
        step = MIN(step * 2, 20);
    }
}

/* Wait for ms, then make it end.  Returns the status; *ret_killed: it did not end by itself. */
static int end_child(pid_t pid, int64_t ms, int quit_fd, bool *ret_killed)
{
    int status = 0;

    *ret_killed = false;
    if (!wait_child(pid, ms, quit_fd, &status)) {
        *ret_killed = true;
        kill(pid, SIGTERM);
        if (!wait_child(pid, COMMAND_TERM_MS, -1, &status)) {
            kill(pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
            }
        }
    }
    trace_io_command_end(pid, status, *ret_killed);
    return status;
}

/*
 * Children that may end in peace: nobody waits for them but a thread of their own.  Those that
 * are left when the program ends, end too.
 */
static GMutex peace_lock;
static GArray *peace; /* of pid_t, not waited for yet; peace_lock */

static void kill_peace_at_exit(void)
{
    g_mutex_lock(&peace_lock);
    for (guint i = 0; i < peace->len; i++) {
        kill(g_array_index(peace, pid_t, i), SIGKILL);
    }
    g_mutex_unlock(&peace_lock);
}

/* Has it ended within ms? */
static bool ended_in_peace(pid_t pid, int ms)
{
    bool ended = false;

    for (int t = 0; t < ms && !ended; t += COMMAND_PEACE_STEP_MS) {
        g_usleep(COMMAND_PEACE_STEP_MS * 1000);
        g_mutex_lock(&peace_lock);
        ended = waitpid(pid, NULL, WNOHANG) != 0;
        for (guint i = 0; i < peace->len && ended; i++) {
            if (g_array_index(peace, pid_t, i) == pid) {
                g_array_remove_index_fast(peace, i);
                break;
            }
        }
        g_mutex_unlock(&peace_lock);
    }
    return ended;
}

static gpointer end_in_peace(gpointer opaque)
{
    pid_t pid = GPOINTER_TO_INT(opaque);

    if (!ended_in_peace(pid, COMMAND_PEACE_MS)) {
        kill(pid, SIGTERM); /* it was not waited for: still the same process */
        if (!ended_in_peace(pid, COMMAND_TERM_MS)) {
            kill(pid, SIGKILL);
            ended_in_peace(pid, COMMAND_TERM_MS);
        }
    }
    return NULL;
}

static void leave_in_peace(pid_t pid)
{
    g_mutex_lock(&peace_lock);
    if (!peace) {
        peace = g_array_new(FALSE, FALSE, sizeof(pid_t));
        atexit(kill_peace_at_exit);
    }
    g_array_append_val(peace, pid);
    g_mutex_unlock(&peace_lock);
    g_thread_unref(thread_start("io/exec-end", end_in_peace, GINT_TO_POINTER(pid)));
}

static bool command_close(IOChannel *ioc, Error **errp)
{
    IOChannelCommand *c = (IOChannelCommand *)ioc;
    bool killed;
    int status;

    if (!io_channel_fd_close(ioc, errp)) {
        return false;
    }
    if (!c->pid) {
        return true;
    }
    if (ioc->close_in_peace) {
        leave_in_peace(c->pid);
        c->pid = 0;
        return true;
    }
    status = end_child(c->pid, g_atomic_int_get(&ioc->shut) ? 0 : COMMAND_WAIT_MS,
                       ioc->quit_fd[IO_SHUTDOWN_WRITE], &killed);
    c->pid = 0;
    if (killed) {
        error_setg(errp, "command '%s' did not end and was killed", c->what);
        return false;
    }
    if (WIFSIGNALED(status)) {
        error_setg(errp, "command '%s' was killed by signal %d (%s)", c->what, WTERMSIG(status),
                   g_strsignal(WTERMSIG(status)));
        return false;
    }
    if (WEXITSTATUS(status)) {
        error_setg(errp, "command '%s' failed with exit status %d", c->what,
                   WEXITSTATUS(status));
        return false;
    }
    return true;
}

static void command_free(IOChannel *ioc)
{
    IOChannelCommand *c = (IOChannelCommand *)ioc;
    bool killed;

    io_channel_fd_free(ioc);
    if (c->pid) {
        end_child(c->pid, 0, -1, &killed);
    }
    g_free(c->what);
}

static const IOChannelClass command_class = {
    .name = "exec",
    .readv = io_channel_fd_readv,
    .writev = io_channel_fd_writev,
    .close = command_close,
    .free = command_free,
};

typedef struct Spawn {
    const char *const *argv;
    posix_spawn_file_actions_t *fa;
    posix_spawnattr_t *attr;
    pid_t pid;
    int err; /* 0 or an errno */
} Spawn;

static void do_spawn(void *opaque)
{
    Spawn *s = opaque;

    s->err = posix_spawnp(&s->pid, s->argv[0], s->fa, s->attr, (char *const *)s->argv, environ);
}

/* stdin_fd, stdout_fd: -1 for /dev/null.  0 or an errno. */
static int spawn(const char *const argv[], int stdin_fd, int stdout_fd, pid_t *ret_pid)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    Spawn s = { .argv = argv, .fa = &fa, .attr = &attr };
    sigset_t none, dfl;

    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&attr);
    if (stdin_fd >= 0) {
        posix_spawn_file_actions_adddup2(&fa, stdin_fd, 0);
    } else {
        posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    }
    if (stdout_fd >= 0) {
        posix_spawn_file_actions_adddup2(&fa, stdout_fd, 1);
    } else {
        posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    }
    sigemptyset(&none);
    sigemptyset(&dfl);
    sigaddset(&dfl, SIGPIPE);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &dfl);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    run_spawning(do_spawn, &s);
    *ret_pid = s.pid;
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&attr);
    return s.err;
}

IOChannel *io_channel_command_new(const char *const argv[], int flags, Error **errp)
{
    int mode = flags & O_ACCMODE;
    int to_child[2] = { -1, -1 }, from_child[2] = { -1, -1 };
    IOChannelCommand *c = NULL;
    pid_t pid;
    int err;

    if (!argv || !argv[0]) {
        error_setg(errp, "a command needs at least the program's name");
        return NULL;
    }
    if ((mode != O_RDONLY && pipe2(to_child, O_CLOEXEC) < 0) ||
        (mode != O_WRONLY && pipe2(from_child, O_CLOEXEC) < 0)) {
        error_setg_errno(errp, errno, "cannot make a pipe for '%s'", argv[0]);
        goto out;
    }
    err = spawn(argv, to_child[0], from_child[1], &pid);
    if (err) {
        error_setg_errno(errp, err, "cannot run '%s'", argv[0]);
        goto out;
    }
    c = g_new0(IOChannelCommand, 1);
    io_channel_init(&c->base, &command_class, "exec");
    c->pid = pid;
    c->what = g_strjoinv(" ", (char **)argv);
    c->base.two_way = mode == O_RDWR;
    c->base.fd_out = to_child[1];
    c->base.fd_in = from_child[0];
    to_child[1] = from_child[0] = -1;
    if (c->base.fd_out >= 0) {
        fd_set_blocking(c->base.fd_out, false);
    }
    if (c->base.fd_in >= 0) {
        fd_set_blocking(c->base.fd_in, false);
    }
    trace_io_command_start(c->pid, c->what);
out:
    for (int i = 0; i < 2; i++) {
        close_fd(&to_child[i]);
        close_fd(&from_child[i]);
    }
    return c ? &c->base : NULL;
}
