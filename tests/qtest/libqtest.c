/*
 * Harness of the qtests.  One thread; blocking sockets with a timeout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "libqtest.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IRQ_LINES = 256, BLOCK = 64 * 1024 };

/* A socket and what was received but not used yet. */
typedef struct Line {
    int fd;
    GString *in;
} Line;

struct QTestState {
    pid_t pid;
    bool exited;
    int status;
    char *dir, *command_line;
    bool has_qtest;
    Line qmp, qtest;
    GQueue events; /* of JsonObject* */
    unsigned next_id;
    bool irq[IRQ_LINES];
};

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

static void G_GNUC_NORETURN G_GNUC_PRINTF(2, 3) fail(QTestState *s, const char *fmt, ...)
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

static void kill_all(int signo)
{
    for (guint i = 0; states && i < states->len; i++) {
        QTestState *s = g_ptr_array_index(states, i);
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

static int64_t deadline_ms(int64_t ms)
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

/* One line without its end; NULL when none came by the deadline. */
static char *line_get(QTestState *s, Line *line, int64_t deadline)
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

static void put_all(QTestState *s, int fd, const char *text, size_t len)
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

static JsonObject *receive(QTestState *s, int64_t deadline);

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

/* ---- QMP ---- */

/* Next JSON object of any kind, NULL when none came by the deadline. */
static JsonObject *receive(QTestState *s, int64_t deadline)
{
    g_autofree char *line = line_get(s, &s->qmp, deadline);
    g_autoptr(JsonNode) node = NULL;
    g_autoptr(GError) err = NULL;

    if (!line) {
        return NULL;
    }
    node = json_from_string(line, &err);
    if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
        fail(s, "it sent what is no JSON object: %s", line);
    }
    return json_object_ref(json_node_get_object(node));
}

JsonObject *qtest_qmp_receive(QTestState *s)
{
    int64_t deadline = deadline_ms(QTEST_TIMEOUT * 1000);

    for (;;) {
        JsonObject *o = receive(s, deadline);
        if (!o) {
            fail(s, "no QMP reply came");
        }
        if (!json_object_has_member(o, "event")) {
            return o;
        }
        g_queue_push_tail(&s->events, o);
    }
}

void qtest_qmp_send_raw(QTestState *s, const char *text)
{
    put_all(s, s->qmp.fd, text, strlen(text));
}

static void send_with_fd(QTestState *s, const char *text, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (char *)text, .iov_len = strlen(text) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
                          .msg_controllen = sizeof(control.space) };
    struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cm), &fd, sizeof(int));
    g_assert_cmpint(sendmsg(s->qmp.fd, &msg, MSG_NOSIGNAL), ==, (ssize_t)iov.iov_len);
}

/* Send a command and return the whole reply to it. */
static JsonObject *transact(QTestState *s, int fd, const char *command, const char *args,
                            va_list ap)
{
    g_autofree char *text = args ? g_strdup_vprintf(args, ap) : NULL;
    g_autoptr(GString) line = g_string_new(NULL);
    unsigned id = ++s->next_id;
    JsonObject *reply;

    g_string_printf(line, "{\"execute\":\"%s\",\"id\":%u", command, id);
    if (text) {
        g_strdelimit(text, "'", '"');
        g_string_append_printf(line, ",\"arguments\":%s", text);
    }
    g_string_append(line, "}\n");
    if (fd >= 0) {
        send_with_fd(s, line->str, fd);
    } else {
        qtest_qmp_send_raw(s, line->str);
    }
    reply = qtest_qmp_receive(s);
    if (json_object_get_int_member_with_default(reply, "id", -1) != (gint64)id) {
        fail(s, "%s: the reply has another id", command);
    }
    return reply;
}

static JsonNode *take_return(QTestState *s, const char *command, JsonObject *reply)
{
    JsonNode *node = json_object_has_member(reply, "return")
                         ? json_object_dup_member(reply, "return") : NULL;

    if (!node) {
        JsonObject *e = json_object_get_object_member(reply, "error");
        fail(s, "%s: %s", command, json_object_get_string_member(e, "desc"));
    }
    json_object_unref(reply);
    return node;
}

#define TRANSACT(reply, fd)                             \
    do {                                                \
        va_list ap_;                                    \
        va_start(ap_, args);                            \
        reply = transact(s, fd, command, args, ap_);    \
        va_end(ap_);                                    \
    } while (0)

JsonNode *qtest_qmp(QTestState *s, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, -1);
    return take_return(s, command, reply);
}

JsonNode *qtest_qmp_fd(QTestState *s, int fd, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, fd);
    return take_return(s, command, reply);
}

JsonObject *qtest_qmp_object(QTestState *s, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, -1);
    g_autoptr(JsonNode) node = take_return(s, command, reply);
    return json_object_ref(json_node_get_object(node));
}

void qtest_qmp_ok(QTestState *s, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, -1);
    json_node_unref(take_return(s, command, reply));
}

char *qtest_qmp_error(QTestState *s, const char *command, const char *args, ...)
{
    JsonObject *reply;

    TRANSACT(reply, -1);
    g_autoptr(JsonObject) owned = reply;
    if (!json_object_has_member(reply, "error")) {
        fail(s, "%s should have failed", command);
    }
    JsonObject *e = json_object_get_object_member(reply, "error");
    return g_strdup_printf("%s: %s", json_object_get_string_member(e, "class"),
                           json_object_get_string_member(e, "desc"));
}

static JsonObject *take_event(QTestState *s, const char *name)
{
    for (GList *l = s->events.head; l; l = l->next) {
        JsonObject *e = l->data;
        if (g_str_equal(json_object_get_string_member(e, "event"), name)) {
            g_queue_delete_link(&s->events, l);
            return e;
        }
    }
    return NULL;
}

JsonObject *qtest_event_poll(QTestState *s, const char *name, unsigned ms)
{
    int64_t deadline = deadline_ms(ms);

    for (;;) {
        JsonObject *e = take_event(s, name), *o;
        if (e) {
            return e;
        }
        o = receive(s, deadline);
        if (!o) {
            return NULL;
        }
        if (!json_object_has_member(o, "event")) {
            fail(s, "a QMP reply came that nobody asked for");
        }
        g_queue_push_tail(&s->events, o);
    }
}

JsonObject *qtest_event_wait(QTestState *s, const char *name)
{
    JsonObject *e = qtest_event_poll(s, name, QTEST_TIMEOUT * 1000);

    if (!e) {
        fail(s, "event %s did not come", name);
    }
    return e;
}

void qtest_events_clear(QTestState *s)
{
    JsonObject *e;

    while ((e = g_queue_pop_head(&s->events))) {
        json_object_unref(e);
    }
}

char *qtest_hmp(QTestState *s, const char *fmt, ...)
{
    g_autofree char *command = NULL;
    g_autoptr(GString) quoted = g_string_new(NULL);
    g_autoptr(JsonNode) node = NULL;
    va_list ap;

    va_start(ap, fmt);
    command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    for (const char *c = command; *c; c++) {
        if (*c == '"' || *c == '\\') {
            g_string_append_c(quoted, '\\');
        }
        g_string_append_c(quoted, *c);
    }
    node = qtest_qmp(s, "human-monitor-command", "{'command-line':'%s'}", quoted->str);
    return g_strdup(json_node_get_string(node));
}

void qtest_wait_run_state(QTestState *s, const char *state)
{
    int64_t deadline = deadline_ms(QTEST_TIMEOUT * 1000);

    for (;;) {
        g_autoptr(JsonObject) o = qtest_qmp_object(s, "query-status", NULL);
        const char *now = json_object_get_string_member(o, "status");
        if (g_str_equal(now, state)) {
            return;
        }
        if (g_get_monotonic_time() > deadline) {
            fail(s, "run state is '%s' and not '%s'", now, state);
        }
        g_usleep(5000);
    }
}

/* ---- qtest ---- */

/* Note an IRQ line; false: it is a reply. */
static bool take_irq(QTestState *s, const char *line)
{
    int n;
    char verb[16];

    if (sscanf(line, "IRQ %15s %d", verb, &n) != 2) {
        return false;
    }
    if (n >= 0 && n < IRQ_LINES) {
        s->irq[n] = g_str_equal(verb, "raise");
    }
    return true;
}

static char *reply_to(QTestState *s, const char *command)
{
    int64_t deadline = deadline_ms(QTEST_TIMEOUT * 1000);

    g_assert_true(s->has_qtest);
    put_all(s, s->qtest.fd, command, strlen(command));
    put_all(s, s->qtest.fd, "\n", 1);
    for (;;) {
        char *line = line_get(s, &s->qtest, deadline);
        if (!line) {
            fail(s, "no answer to '%.100s'", command);
        }
        if (!take_irq(s, line)) {
            return line;
        }
        g_free(line);
    }
}

char *qtest_command_raw(QTestState *s, const char *fmt, ...)
{
    g_autofree char *command = NULL;
    va_list ap;

    va_start(ap, fmt);
    command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return reply_to(s, command);
}

char **qtest_command(QTestState *s, const char *fmt, ...)
{
    g_autofree char *command = NULL;
    g_autofree char *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = reply_to(s, command);
    if (!g_str_has_prefix(line, "OK")) {
        fail(s, "'%.100s': %s", command, line);
    }
    return g_strsplit(line[2] ? line + 3 : "", " ", -1);
}

static uint64_t value_of(char **words)
{
    g_auto(GStrv) owned = words;

    g_assert_nonnull(words[0]);
    return g_ascii_strtoull(words[0], NULL, 0);
}

#define DEFINE_PORT(suffix, type)                                                      \
    type qtest_in##suffix(QTestState *s, uint16_t port)                                \
    {                                                                                  \
        return (type)value_of(qtest_command(s, "in" #suffix " 0x%x", port));           \
    }                                                                                  \
    void qtest_out##suffix(QTestState *s, uint16_t port, type value)                   \
    {                                                                                  \
        g_strfreev(qtest_command(s, "out" #suffix " 0x%x 0x%x", port, (unsigned)value)); \
    }
DEFINE_PORT(b, uint8_t)
DEFINE_PORT(w, uint16_t)
DEFINE_PORT(l, uint32_t)

#define HEX64 "0x%" G_GINT64_MODIFIER "x"
#define DEFINE_MEMORY(suffix, type)                                                    \
    type qtest_read##suffix(QTestState *s, uint64_t addr)                              \
    {                                                                                  \
        return (type)value_of(qtest_command(s, "read" #suffix " " HEX64, addr));       \
    }                                                                                  \
    void qtest_write##suffix(QTestState *s, uint64_t addr, type value)                 \
    {                                                                                  \
        g_strfreev(qtest_command(s, "write" #suffix " " HEX64 " " HEX64, addr,         \
                                 (uint64_t)value));                                    \
    }
DEFINE_MEMORY(b, uint8_t)
DEFINE_MEMORY(w, uint16_t)
DEFINE_MEMORY(l, uint32_t)
DEFINE_MEMORY(q, uint64_t)

void qtest_memread(QTestState *s, uint64_t addr, void *buf, size_t size)
{
    uint8_t *p = buf;

    while (size > 0) {
        size_t n = MIN(size, BLOCK);
        g_auto(GStrv) w = qtest_command(s, "b64read " HEX64 " %zu", addr, n);
        gsize got;
        g_autofree uint8_t *data = g_base64_decode(w[0], &got);
        g_assert_cmpuint(got, ==, n);
        memcpy(p, data, n);
        p += n;
        addr += n;
        size -= n;
    }
}

void qtest_memwrite(QTestState *s, uint64_t addr, const void *buf, size_t size)
{
    const uint8_t *p = buf;

    while (size > 0) {
        size_t n = MIN(size, BLOCK);
        g_autofree char *data = g_base64_encode(p, n);
        g_strfreev(qtest_command(s, "b64write " HEX64 " %zu %s", addr, n, data));
        p += n;
        addr += n;
        size -= n;
    }
}

void qtest_memset(QTestState *s, uint64_t addr, uint8_t value, size_t size)
{
    while (size > 0) {
        size_t n = MIN(size, 16 * 1024 * 1024);
        g_strfreev(qtest_command(s, "memset " HEX64 " %zu 0x%x", addr, n, value));
        addr += n;
        size -= n;
    }
}

int64_t qtest_clock_step_next(QTestState *s)
{
    return (int64_t)value_of(qtest_command(s, "clock_step"));
}

int64_t qtest_clock_step(QTestState *s, int64_t ns)
{
    return (int64_t)value_of(qtest_command(s, "clock_step %" G_GINT64_FORMAT, ns));
}

int64_t qtest_clock_set(QTestState *s, int64_t ns)
{
    return (int64_t)value_of(qtest_command(s, "clock_set %" G_GINT64_FORMAT, ns));
}

void qtest_irq_intercept_in(QTestState *s, const char *path)
{
    g_strfreev(qtest_command(s, "irq_intercept_in %s", path));
}

void qtest_irq_intercept_out(QTestState *s, const char *path)
{
    g_strfreev(qtest_command(s, "irq_intercept_out %s", path));
}

bool qtest_irq(QTestState *s, int n)
{
    g_assert_cmpint(n, <, IRQ_LINES);
    /* Lines that were sent before now come before this answer. */
    g_strfreev(qtest_command(s, "endianness"));
    return s->irq[n];
}
