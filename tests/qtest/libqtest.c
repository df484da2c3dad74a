/*
 * Harness of the qtests.  One thread; blocking sockets with a timeout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "libqtest-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static GPtrArray *states; /* all that were not freed: killed when the test dies */

/* ---- failures and children ---- */

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

char *qtest_stderr(const QTestState *s)
{
    g_autofree char *path = qtest_path(s, "stderr");
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

bool qtest_is_running(QTestState *s)
{
    int status;

    if (!s->exited && waitpid(s->pid, &status, WNOHANG) == s->pid) {
        s->exited = true;
        s->status = exit_code(status);
    }
    return !s->exited;
}

void fail(QTestState *s, const char *fmt, ...)
{
    g_autofree char *what = NULL;
    g_autofree char *err = qtest_stderr(s);
    g_autofree char *state = NULL;
    va_list ap;

    va_start(ap, fmt);
    what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    /* It may be about to die of what made us fail. */
    for (int i = 0; i < 20 && qtest_is_running(s); i++) {
        g_usleep(5000);
    }
    state = s->exited ? g_strdup_printf("ended with %d", s->status) : g_strdup("runs");
    g_test_message("%s\nemulator: %s\nwhich %s; its stderr:\n%s", what, s->command_line, state,
                   err);
    fprintf(stderr, "%s\nemulator: %s\nwhich %s; its stderr:\n%s\n", what, s->command_line, state,
            err);
    g_abort();
}

/* What the emulators had to say; in a handler of a signal of our own, so anything is allowed. */
static void show_stderr(QTestState *s)
{
    g_autofree char *err = qtest_stderr(s);

    if (*err) {
        fprintf(stderr, "stderr of emulator %d:\n%s", s->pid, err);
    }
}

static void kill_all(int signo)
{
    for (guint i = 0; states && i < states->len; i++) {
        QTestState *s = g_ptr_array_index(states, i);

        if (signo == SIGABRT || signo == SIGTRAP) {
            show_stderr(s);
        }
        if (!s->exited) {
            kill(s->pid, SIGKILL);
        }
    }
    if (signo) {
        signal(signo, SIG_DFL);
        raise(signo);
    }
}

static void kill_all_at_exit(void)
{
    kill_all(0);
}

static void watch_own_death(void)
{
    static bool done;

    if (!done) {
        done = true;
        states = g_ptr_array_new();
        atexit(kill_all_at_exit);
        signal(SIGABRT, kill_all);
        signal(SIGTRAP, kill_all); /* g_error() */
        signal(SIGTERM, kill_all);
        signal(SIGINT, kill_all);
        signal(SIGPIPE, SIG_IGN);
    }
}

static const char *other_binary; /* NULL: Ferry */

void qtest_use_binary(const char *path)
{
    other_binary = path;
}

const char *qtest_binary(void)
{
    const char *path = other_binary ? other_binary : g_getenv("FERRY_BINARY");

    if (!path) {
        g_error("FERRY_BINARY is not set: the path of the emulator to test");
    }
    return path;
}

bool qtest_have_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* ---- sockets ---- */

/* Wait until fd can be read; false when the time is over. */
static bool wait_readable(int fd, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - g_get_monotonic_time();
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n = poll(&p, 1, left > 0 ? (int)(left / 1000) + 1 : 0);
        if (n > 0) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (left <= 0) {
            return false;
        }
    }
}

int64_t deadline_ms(int64_t ms)
{
    return g_get_monotonic_time() + ms * 1000;
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpuint(strlen(path), <, sizeof(a.sun_path));
    strcpy(a.sun_path, path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

static void accept_line(QTestState *s, Line *line, int listener, const char *what)
{
    int64_t deadline = deadline_ms(QTEST_TIMEOUT * 1000);

    while (!wait_readable(listener, deadline_ms(20))) {
        if (!qtest_is_running(s) || g_get_monotonic_time() > deadline) {
            fail(s, "it did not connect to the %s socket", what);
        }
    }
    line->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    line->in = g_string_new(NULL);
    close(listener);
}

char *line_get(QTestState *s, Line *line, int64_t deadline)
{
    for (;;) {
        char *eol = memchr(line->in->str, '\n', line->in->len);
        char buf[4096];
        ssize_t n;

        if (eol) {
            size_t len = eol - line->in->str;
            char *text = g_strndup(line->in->str, len);
            g_string_erase(line->in, 0, (gssize)len + 1);
            return g_strchomp(text);
        }
        if (!wait_readable(line->fd, deadline)) {
            return NULL;
        }
        n = read(line->fd, buf, sizeof(buf));
        if (n <= 0) {
            fail(s, "it closed the %s connection", line == &s->qmp ? "QMP" : "qtest");
        }
        g_string_append_len(line->in, buf, n);
    }
}

void put_all(QTestState *s, int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0) {
            fail(s, "it does not listen any more: %s", g_strerror(errno));
        }
        text += n;
        len -= n;
    }
}

/* ---- start and end ---- */

static void child(char **argv, const char *stderr_path, pid_t parent)
{
    int fd = open(stderr_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127);
    }
    signal(SIGPIPE, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (!other_binary) {
        /* What GLib calls critical is a mistake of ours: the end, where it can be seen. */
        setenv("G_DEBUG", "fatal-criticals", 0);
    }
    dup2(null, 0);
    dup2(null, 1); /* the TAP output of the test is there */
    dup2(fd, 2);
    execv(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static GPtrArray *split(const char *text)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) words = NULL;
    g_autoptr(GError) err = NULL;

    g_ptr_array_add(list, g_strdup(qtest_binary()));
    if (*text && !g_shell_parse_argv(text, NULL, &words, &err)) {
        g_error("arguments '%s': %s", text, err->message);
    }
    for (char **w = words; w && *w; w++) {
        g_ptr_array_add(list, g_strdup(*w));
    }
    return list;
}

/* $FERRY_TEST_SANDBOX is an argument for -sandbox: any test can be run under it. */
static void add_sandbox(GPtrArray *argv, const char *args)
{
    const char *sandbox = g_getenv("FERRY_TEST_SANDBOX");

    if (sandbox && !other_binary && !strstr(args, "-sandbox")) {
        g_ptr_array_add(argv, g_strdup("-sandbox"));
        g_ptr_array_add(argv, g_strdup(sandbox));
    }
}

static QTestState *start(const char *args, bool with_qtest)
{
    g_autoptr(GPtrArray) argv = split(args);
    QTestState *s = g_new0(QTestState, 1);
    g_autofree char *qmp_path = NULL;
    g_autofree char *qtest_path_ = NULL;
    g_autofree char *err_path = NULL;
    int qmp_fd, qtest_fd = -1;
    pid_t parent = getpid();

    watch_own_death();
    s->dir = g_dir_make_tmp("ferry-test-XXXXXX", NULL);
    g_assert_nonnull(s->dir);
    g_queue_init(&s->events);
    s->has_qtest = with_qtest;
    s->qmp.fd = s->qtest.fd = -1;
    qmp_path = qtest_path(s, "qmp");
    qtest_path_ = qtest_path(s, "qtest");
    err_path = qtest_path(s, "stderr");
    qmp_fd = listen_at(qmp_path);
    g_ptr_array_add(argv, g_strdup("-display"));
    g_ptr_array_add(argv, g_strdup("none"));
    g_ptr_array_add(argv, g_strdup("-chardev"));
    g_ptr_array_add(argv, g_strdup_printf("socket,id=testqmp,path=%s", qmp_path));
    g_ptr_array_add(argv, g_strdup("-mon"));
    g_ptr_array_add(argv, g_strdup("chardev=testqmp,mode=control"));
    if (with_qtest) {
        qtest_fd = listen_at(qtest_path_);
        g_ptr_array_add(argv, g_strdup("-qtest"));
        g_ptr_array_add(argv, g_strdup_printf("unix:%s", qtest_path_));
        g_ptr_array_add(argv, g_strdup("-qtest-log"));
        g_ptr_array_add(argv, g_strdup(g_getenv("QTEST_LOG") ? "/dev/stderr" : "none"));
        if (!strstr(args, "-accel") && !strstr(args, "accel=")) {
            g_ptr_array_add(argv, g_strdup("-accel"));
            g_ptr_array_add(argv, g_strdup("qtest"));
        }
    }
    add_sandbox(argv, args);
    g_ptr_array_add(argv, NULL);
    s->command_line = g_strjoinv(" ", (char **)argv->pdata);
    s->pid = fork();
    g_assert_cmpint(s->pid, >=, 0);
    if (s->pid == 0) {
        child((char **)argv->pdata, err_path, parent);
    }
    g_ptr_array_add(states, s);
    /* It connects to the monitor first: options in this order. */
    accept_line(s, &s->qmp, qmp_fd, "QMP");
    if (with_qtest) {
        accept_line(s, &s->qtest, qtest_fd, "qtest");
    }
    JsonObject *greeting = receive(s, deadline_ms(QTEST_TIMEOUT * 1000));
    if (!greeting || !json_object_has_member(greeting, "QMP")) {
        fail(s, "no QMP greeting came");
    }
    json_object_unref(greeting);
    qtest_qmp_ok(s, "qmp_capabilities", NULL);
    return s;
}

QTestState *qtest_init(const char *fmt, ...)
{
    g_autofree char *args = NULL;
    va_list ap;

    va_start(ap, fmt);
    args = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return start(args, true);
}

QTestState *qtest_init_qmp(const char *fmt, ...)
{
    g_autofree char *args = NULL;
    va_list ap;

    va_start(ap, fmt);
    args = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return start(args, false);
}

static void remove_tree(const char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR) && !g_file_test(path, G_FILE_TEST_IS_SYMLINK)) {
            remove_tree(path);
        } else {
            g_unlink(path);
        }
    }
    g_rmdir(dir);
}

static void line_clear(Line *l)
{
    if (l->fd >= 0) {
        close(l->fd);
        g_string_free(l->in, TRUE);
    }
}

static void state_free(QTestState *s)
{
    g_ptr_array_remove(states, s);
    line_clear(&s->qmp);
    line_clear(&s->qtest);
    qtest_events_clear(s);
    remove_tree(s->dir);
    g_free(s->dir);
    g_free(s->command_line);
    g_free(s);
}

int qtest_wait_exit(QTestState *s)
{
    int64_t deadline = deadline_ms(QTEST_TIMEOUT * 1000);

    while (qtest_is_running(s)) {
        if (g_get_monotonic_time() > deadline) {
            fail(s, "it does not end");
        }
        g_usleep(2000);
    }
    return s->status;
}

void qtest_quit(QTestState *s)
{
    if (qtest_is_running(s)) {
        kill(s->pid, SIGTERM);
    }
    if (qtest_wait_exit(s) != 0) {
        fail(s, "exit status %d at the end of the test", s->status);
    }
    state_free(s);
}

void qtest_kill(QTestState *s)
{
    if (qtest_is_running(s)) {
        kill(s->pid, SIGKILL);
        qtest_wait_exit(s);
    }
    state_free(s);
}

pid_t qtest_pid(const QTestState *s)
{
    return s->pid;
}

const char *qtest_dir(const QTestState *s)
{
    return s->dir;
}

char *qtest_path(const QTestState *s, const char *name)
{
    return g_build_filename(s->dir, name, NULL);
}

int qtest_run(char **ret_stdout, char **ret_stderr, const char *fmt, ...)
{
    g_autofree char *args = NULL;
    g_autoptr(GPtrArray) argv = NULL;
    g_autoptr(GError) err = NULL;
    int status;
    va_list ap;

    va_start(ap, fmt);
    args = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    argv = split(args);
    /* A program that wrongly starts up must not stay for ever. */
    g_ptr_array_insert(argv, 0, g_strdup("timeout"));
    g_ptr_array_insert(argv, 1, g_strdup("20"));
    g_ptr_array_add(argv, NULL);
    if (!g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                      ret_stdout, ret_stderr, &status, &err)) {
        g_error("%s: %s", qtest_binary(), err->message);
    }
    return exit_code(status);
}
