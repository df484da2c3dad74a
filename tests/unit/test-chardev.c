/*
 * Unit tests of character devices: backends, queue, descriptors, mux, option forms.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "chardev/chardev.h"
#include "system/machine-lock.h"
#include "util/util.h"

static char *dir;

/* A front end that remembers what it heard. */
typedef struct User {
    GString *got;
    int room;       /* what can_read says */
    unsigned opened, closed, mux_in, mux_out, breaks;
    GThread *read_by;
} User;

static int user_can_read(void *opaque)
{
    return ((User *)opaque)->room;
}

static void user_read(void *opaque, const uint8_t *buf, size_t len)
{
    User *u = opaque;

    g_string_append_len(u->got, (const char *)buf, (gssize)len);
    u->read_by = g_thread_self();
}

static void user_event(void *opaque, ChardevEvent event)
{
    User *u = opaque;

    u->opened += event == CHARDEV_OPENED;
    u->closed += event == CHARDEV_CLOSED;
    u->mux_in += event == CHARDEV_MUX_IN;
    u->mux_out += event == CHARDEV_MUX_OUT;
    u->breaks += event == CHARDEV_BREAK;
}

static void attach(Chardev *c, User *u)
{
    g_autoptr(Error) err = NULL;
    ChardevHandlers h = { user_can_read, user_read, user_event, u };

    *u = (User){ .got = g_string_new(NULL), .room = 4096 };
    g_assert_true(chardev_attach(c, &h, &err));
    g_assert_no_error(err);
}

static void user_clear(User *u)
{
    g_string_free(u->got, TRUE);
}

static void remove_dev(Chardev *c)
{
    g_autoptr(Error) err = NULL;

    g_assert_true(chardev_remove(chardev_id(c), &err));
    g_assert_no_error(err);
}

/* Run the main context until cond holds, two seconds at most. */
#define RUN_UNTIL(cond)                                                       \
    do {                                                                      \
        int64_t end_ = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;           \
        while (!(cond)) {                                                     \
            g_assert_cmpint(g_get_monotonic_time(), <, end_);                 \
            if (!g_main_context_iteration(NULL, FALSE)) {                     \
                g_usleep(500);                                                \
            }                                                                 \
        }                                                                     \
    } while (0)

static Chardev *make(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static Chardev *make(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autoptr(Error) err = NULL;
    Chardev *c;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    c = chardev_new_from_opts(text, &err);
    g_assert_no_error(err);
    return c;
}

static void bad(const char *opts, const char *want)
{
    g_autoptr(Error) err = NULL;

    g_assert_null(chardev_new_from_opts(opts, &err));
    g_assert_nonnull(err);
    if (!strstr(err->message, want)) {
        g_error("'%s': '%s' does not say '%s'", opts, err->message, want);
    }
}

static void test_bad_options(void)
{
    bad("null", "needs an id");
    bad("id=x", "no backend");
    bad("nonsense,id=x", "unknown");
    bad("udp,id=x", "not supported");
    bad("vc,id=x", "not supported");
    bad("null,id=x,colour=red", "unknown parameter 'colour'");
    bad("file,id=x", "path=FILE");
    bad("file,id=x,path=/nonexistent/y", "/nonexistent/y");
    bad("socket,id=x", "one of path");
    bad("socket,id=x,path=/a,port=1", "one of path");
    bad("socket,id=x,path=/a,server=on,reconnect=1", "clients");
    bad("socket,id=x,path=/a,server=maybe", "'on' or 'off'");
    bad("socket,id=x,fd=nosuchname,server=on", "nosuchname");
    bad("ringbuf,id=x,size=1000", "power of two");
    bad("mux,id=x,chardev=none", "must name");
    bad("{\"id\":\"x\",\"backend\":{\"type\":\"socket\",\"data\":{}}}", "addr");
    g_assert_null(chardev_by_id("x"));
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(a.sun_path, path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    return fd;
}

static void test_socket_server(void)
{
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    Chardev *c = make("socket,id=s,path=%s,server=on,wait=off", path);
    User u;
    char buf[64];
    int fd;

    attach(c, &u);
    g_autofree char *name = chardev_filename(c);
    g_autofree char *want = g_strdup_printf("disconnected:unix:%s,server=on", path);
    g_assert_cmpstr(name, ==, want);
    g_assert_cmpuint(chardev_write(c, "lost", 4), ==, 4);
    for (unsigned round = 1; round <= 3; round++) {
        fd = connect_to(path);
        RUN_UNTIL(u.opened == round);
        g_assert_true(chardev_connected(c));
        g_assert_cmpint(write(fd, "hello", 5), ==, 5);
        RUN_UNTIL(u.got->len == 5);
        g_assert_cmpstr(u.got->str, ==, "hello");
        g_string_truncate(u.got, 0);
        g_assert_cmpuint(chardev_write(c, "answer", 6), ==, 6);
        g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 6);
        close(fd);
        RUN_UNTIL(u.closed == round);
    }
    chardev_detach(c, &u);
    remove_dev(c);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    user_clear(&u);
}

static void test_in_use(void)
{
    g_autoptr(Error) err = NULL;
    Chardev *c = make("null,id=n");
    User u;
    ChardevHandlers h = { NULL, user_read, NULL, NULL };

    bad("null,id=n", "already");
    attach(c, &u);
    g_assert_cmpuint(u.opened, ==, 1);
    g_assert_true(chardev_in_use(c));
    g_assert_false(chardev_attach(c, &h, &err));
    g_clear_error(&err);
    g_assert_false(chardev_remove("n", &err));
    g_clear_error(&err);
    chardev_detach(c, &u);
    remove_dev(c);
    g_assert_false(chardev_remove("n", &err));
    user_clear(&u);
}

/* A reader that is slow gets everything; what is beyond the limit is not taken. */
static void test_queue(void)
{
    int fds[2];
    Chardev *c;
    User u;
    enum { CHUNK = 1000000 };
    g_autofree char *chunk = g_malloc(CHUNK);
    size_t sent = 0, got = 0;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    c = make("socket,id=q,fd=%d", fds[0]);
    attach(c, &u);
    memset(chunk, 'x', CHUNK);
    for (;;) {
        size_t n = chardev_write(c, chunk, CHUNK);
        sent += n;
        if (n < CHUNK) {
            break;
        }
        g_assert_cmpuint(sent, <, 100 * MiB);
    }
    g_assert_cmpuint(sent, >=, 16 * MiB);
    fd_set_blocking(fds[1], false);
    while (got < sent) {
        ssize_t n = read(fds[1], chunk, CHUNK);
        if (n > 0) {
            got += n;
        } else {
            g_main_context_iteration(NULL, FALSE);
        }
    }
    g_assert_cmpuint(chardev_write(c, "end", 3), ==, 3);
    close(fds[1]);
    RUN_UNTIL(u.closed == 1);
    g_assert_cmpuint(chardev_write(c, "gone", 4), ==, 4);
    chardev_detach(c, &u);
    remove_dev(c);
    user_clear(&u);
}

static void test_backpressure(void)
{
    int fds[2];
    Chardev *c;
    User u;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    c = make("socket,id=b,fd=%d", fds[0]);
    attach(c, &u);
    u.room = 0;
    g_assert_cmpint(write(fds[1], "abcdef", 6), ==, 6);
    for (int i = 0; i < 20; i++) {
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_cmpuint(u.got->len, ==, 0);
    u.room = 2;
    chardev_accept_input(c);
    RUN_UNTIL(u.got->len >= 2);
    g_assert_cmpuint(u.got->len % 2, ==, 0);
    RUN_UNTIL(u.got->len == 6);
    g_assert_cmpstr(u.got->str, ==, "abcdef");
    u.room = 0;
    g_assert_cmpint(write(fds[1], "g", 1), ==, 1);
    for (int i = 0; i < 20; i++) {
        g_main_context_iteration(NULL, FALSE);
    }
    /* Full, yet the end of the connection is noticed. */
    close(fds[1]);
    RUN_UNTIL(u.closed == 1);
    chardev_detach(c, &u);
    remove_dev(c);
    user_clear(&u);
}

static void send_fd(int sock, const char *text, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (char *)text, strlen(text) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
                          .msg_controllen = sizeof(control.space) };
    struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cm), &fd, sizeof(int));
    g_assert_cmpint(sendmsg(sock, &msg, 0), ==, (ssize_t)iov.iov_len);
}

static void test_descriptors(void)
{
    int fds[2], pipe_fds[2], got;
    Chardev *c;
    User u;
    char byte = 0;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    g_assert_cmpint(pipe(pipe_fds), ==, 0);
    c = make("socket,id=f,fd=%d", fds[0]);
    attach(c, &u);
    g_assert_cmpint(chardev_take_fd(c), ==, -1);
    send_fd(fds[1], "getfd", pipe_fds[1]);
    RUN_UNTIL(u.got->len == 5);
    got = chardev_take_fd(c);
    g_assert_cmpint(got, >=, 0);
    g_assert_cmpint(fcntl(got, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    g_assert_cmpint(chardev_take_fd(c), ==, -1);
    g_assert_cmpint(write(got, "k", 1), ==, 1);
    g_assert_cmpint(read(pipe_fds[0], &byte, 1), ==, 1);
    close(got);
    send_fd(fds[1], "never taken", pipe_fds[1]);
    RUN_UNTIL(u.got->len == 16);
    close(fds[1]);
    RUN_UNTIL(u.closed == 1);
    g_assert_cmpint(chardev_take_fd(c), ==, -1);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    chardev_detach(c, &u);
    remove_dev(c);
    user_clear(&u);
}

static void test_tcp_and_reconnect(void)
{
    Chardev *server = make("socket,id=srv,host=127.0.0.1,port=0,server=on,wait=off");
    g_autofree char *name = chardev_filename(server);
    const char *port = strrchr(name, ':') + 1;
    g_autofree char *number = g_strndup(port, strcspn(port, ","));
    Chardev *client;
    User us, uc;

    g_assert_true(g_str_has_prefix(name, "disconnected:tcp:127.0.0.1:"));
    client = make("socket,id=cl,host=127.0.0.1,port=%s,reconnect-ms=20", number);
    attach(server, &us);
    attach(client, &uc);
    RUN_UNTIL(us.opened == 1 && uc.opened == 1);
    g_assert_cmpuint(chardev_write(client, "ping", 4), ==, 4);
    RUN_UNTIL(us.got->len == 4);
    chardev_detach(server, &us);
    remove_dev(server);
    RUN_UNTIL(uc.closed == 1);
    server = make("socket,id=srv,host=127.0.0.1,port=%s,server=on,wait=off", number);
    user_clear(&us);
    attach(server, &us);
    RUN_UNTIL(us.opened == 1 && uc.opened == 2);
    chardev_detach(server, &us);
    chardev_detach(client, &uc);
    remove_dev(client);
    remove_dev(server);
    user_clear(&us);
    user_clear(&uc);
}

static void test_file(void)
{
    g_autofree char *path = g_build_filename(dir, "out", NULL);
    g_autofree char *log = g_build_filename(dir, "log", NULL);
    g_autofree char *text = NULL;
    Chardev *c = make("file,id=o,path=%s,logfile=%s", path, log);

    g_assert_cmpuint(chardev_write(c, "one\n", 4), ==, 4);
    remove_dev(c);
    c = make("file,id=o,path=%s,append=on", path);
    chardev_write(c, "two\n", 4);
    remove_dev(c);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "one\ntwo\n");
    g_clear_pointer(&text, g_free);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "one\n");
}

static void test_pty(void)
{
    g_autoptr(Error) err = NULL;
    g_autofree char *pty = NULL;
    g_autoptr(JsonNode) node = json_from_string("{\"type\":\"pty\",\"data\":{}}", NULL);
    Chardev *c = chardev_new_from_json("p", json_node_get_object(node), &pty, &err);
    User u;
    char buf[16];
    int fd;

    g_assert_no_error(err);
    g_autofree char *name = chardev_filename(c);
    g_assert_true(g_str_has_prefix(name, "pty:/dev/pts/"));
    g_assert_cmpstr(name + 4, ==, pty);
    attach(c, &u);
    g_assert_cmpuint(u.opened, ==, 0);
    for (unsigned round = 1; round <= 2; round++) {
        fd = open(pty, O_RDWR | O_NOCTTY);
        RUN_UNTIL(u.opened == round);
        g_assert_cmpint(write(fd, "key", 3), ==, 3);
        RUN_UNTIL(u.got->len == 3 * round);
        chardev_write(c, "out\n", 4);
        g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 4);
        close(fd);
        RUN_UNTIL(u.closed == round);
    }
    chardev_detach(c, &u);
    remove_dev(c);
    user_clear(&u);
}

static void test_mux(void)
{
    int fds[2];
    Chardev *c;
    User a, b;
    char buf[16];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    c = make("socket,id=m,fd=%d,mux=on", fds[0]);
    g_assert_true(chardev_by_id("m") == c);
    attach(c, &a);
    attach(c, &b);
    g_assert_cmpuint(a.opened, ==, 1);
    g_assert_cmpuint(b.opened, ==, 1);
    g_assert_cmpuint(a.mux_in, ==, 1);
    g_assert_cmpint(write(fds[1], "to-a\1cto-b\1\1\1b", 14), ==, 14);
    RUN_UNTIL(b.breaks == 1);
    g_assert_cmpstr(a.got->str, ==, "to-a");
    g_assert_cmpstr(b.got->str, ==, "to-b\1");
    g_assert_cmpuint(a.mux_out, ==, 1);
    /* No room: keys wait for their user, and come when there is room. */
    b.room = 0;
    g_assert_cmpint(write(fds[1], "wait", 4), ==, 4);
    for (int i = 0; i < 20; i++) {
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_cmpuint(b.got->len, ==, 5);
    b.room = 1;
    chardev_accept_input(c);
    RUN_UNTIL(b.got->len == 9);
    chardev_write(c, "both", 4);
    g_assert_cmpint(read(fds[1], buf, sizeof(buf)), ==, 4);
    g_assert_false(chardev_set_context(c, g_main_context_default()));
    chardev_detach(c, &b);
    g_assert_true(chardev_in_use(c));
    chardev_detach(c, &a);
    remove_dev(c);
    g_assert_null(chardev_by_id("m-base"));
    close(fds[1]);
    user_clear(&a);
    user_clear(&b);
}

static gpointer iterate_own(gpointer loop)
{
    g_main_loop_run(loop);
    return NULL;
}

static void test_own_thread(void)
{
    g_autoptr(GMainContext) ctx = g_main_context_new();
    g_autoptr(GMainLoop) loop = g_main_loop_new(ctx, FALSE);
    GThread *t = g_thread_new("reader", iterate_own, loop);
    g_autofree char *path = g_build_filename(dir, "t", NULL);
    Chardev *c = make("socket,id=t,path=%s,server=on,wait=off", path);
    User u;
    char buf[64];
    int fd;

    attach(c, &u);
    g_assert_true(chardev_set_context(c, ctx));
    fd = connect_to(path);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    for (int i = 0; i < 2000 && !__atomic_load_n(&u.read_by, __ATOMIC_SEQ_CST); i++) {
        g_usleep(1000);
    }
    g_assert_true(u.read_by == t);
    g_assert_cmpuint(chardev_write(c, "from main", 9), ==, 9);
    g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 9);
    g_main_loop_quit(loop);
    g_thread_join(t);
    g_assert_true(chardev_set_context(c, NULL));
    chardev_detach(c, &u);
    remove_dev(c);
    close(fd);
    user_clear(&u);
}

static void test_short_forms(void)
{
    static const char *const wrong[][2] = {
        { "vc", "not supported" },       { "tn3270:x:1", "not supported" },
        { "file", "needs a path" },      { "stdio:x", "takes nothing" },
        { "unix:", "no path" },          { "tcp:localhost", "HOST:PORT" },
        { "/dev/ttyS0", "not supported" }, { "bogus:1", "unknown" },
        { "chardev:nope", "nope" },      { "unix:/a,servr=on", "servr" },
    };
    g_autofree char *path = g_build_filename(dir, "short", NULL);
    g_autofree char *arg = g_strdup_printf("unix:%s,server,nowait", path);
    g_autoptr(Error) err = NULL;
    Chardev *c = chardev_new_from_short("serial0", arg, &err);

    g_assert_no_error(err);
    g_assert_true(chardev_new_from_short("other", "chardev:serial0", &err) == c);
    remove_dev(c);
    c = chardev_new_from_short("serial0", "mon:null", &err);
    g_assert_no_error(err);
    remove_dev(c);
    g_assert_true(chardev_short_has_monitor("mon:stdio"));
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        g_assert_null(chardev_new_from_short("w", wrong[i][0], &err));
        if (!strstr(err->message, wrong[i][1])) {
            g_error("'%s': '%s' does not say '%s'", wrong[i][0], err->message, wrong[i][1]);
        }
        g_clear_error(&err);
    }
}

static void test_ringbuf(void)
{
    g_autoptr(Error) err = NULL;
    Chardev *c = make("ringbuf,id=r,size=8");
    Chardev *n = make("null,id=n");
    g_autoptr(GBytes) all = NULL;
    g_autoptr(GBytes) rest = NULL;

    chardev_write(c, "0123456789", 10);
    all = chardev_ringbuf_read(c, 3, &err);
    g_assert_cmpmem(g_bytes_get_data(all, NULL), g_bytes_get_size(all), "234", 3);
    rest = chardev_ringbuf_read(c, 100, &err);
    g_assert_cmpmem(g_bytes_get_data(rest, NULL), g_bytes_get_size(rest), "56789", 5);
    g_assert_null(chardev_ringbuf_read(n, 1, &err));
    g_assert_nonnull(err);
    remove_dev(c);
    remove_dev(n);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    dir = g_dir_make_tmp("ferry-chardev-XXXXXX", NULL);
    machine_lock();
    g_test_add_func("/chardev/bad-options", test_bad_options);
    g_test_add_func("/chardev/socket-server", test_socket_server);
    g_test_add_func("/chardev/in-use", test_in_use);
    g_test_add_func("/chardev/queue", test_queue);
    g_test_add_func("/chardev/backpressure", test_backpressure);
    g_test_add_func("/chardev/descriptors", test_descriptors);
    g_test_add_func("/chardev/tcp-reconnect", test_tcp_and_reconnect);
    g_test_add_func("/chardev/file", test_file);
    g_test_add_func("/chardev/pty", test_pty);
    g_test_add_func("/chardev/mux", test_mux);
    g_test_add_func("/chardev/own-thread", test_own_thread);
    g_test_add_func("/chardev/short-forms", test_short_forms);
    g_test_add_func("/chardev/ringbuf", test_ringbuf);
    status = g_test_run();
    chardev_cleanup_all();
    machine_unlock();
    g_autofree char *command = g_strdup_printf("rm -rf %s", dir);
    g_assert_cmpint(system(command), ==, 0);
    g_free(dir);
    return status;
}
