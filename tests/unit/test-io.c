/*
 * Unit tests of io/: each kind of channel, waking of blocked IO, addresses, sockets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "io/channel.h"
#include "util/util.h"

static void echo_check(IOChannel *out, IOChannel *in)
{
    struct iovec iov[3] = { { (char *)"hello ", 6 }, { (char *)"", 0 },
                            { (char *)"world", 5 } };
    char buf[16] = "";

    g_assert_true(io_channel_writev_all(out, iov, 3, NULL));
    g_assert_cmpint(io_channel_read_all(in, buf, 11, NULL), ==, 1);
    g_assert_cmpstr(buf, ==, "hello world");
}

static void test_buffer(void)
{
    g_autoptr(IOChannel) ioc = io_channel_buffer_new("abc", 3);
    g_autoptr(IOChannel) empty = io_channel_buffer_new(NULL, 0);
    char buf[4] = "";
    size_t len;

    g_assert_cmpint(io_channel_read_all(ioc, buf, 3, NULL), ==, 1);
    g_assert_cmpstr(buf, ==, "abc");
    g_assert_cmpint(io_channel_read_all(ioc, buf, 3, NULL), ==, 0);
    echo_check(ioc, ioc);
    io_channel_buffer_data(ioc, &len);
    g_assert_cmpuint(len, ==, 0);
    g_assert_cmpint(io_channel_seek(ioc, 0, SEEK_SET, NULL), ==, -1);
    g_assert_cmpint(io_channel_read_all(empty, buf, 3, NULL), ==, 0);
}

static void test_file(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "ferry-test-io-XXXXXX", NULL);
    int fd = g_mkstemp(path);
    g_autoptr(IOChannel) out = NULL;
    g_autoptr(IOChannel) in = NULL;
    g_autoptr(Error) err = NULL;
    char buf[8] = "";

    close(fd);
    out = io_channel_file_new(path, O_RDWR, 0, NULL);
    in = io_channel_file_new(path, O_RDONLY, 0, NULL);
    g_assert_true(out->klass->seekable);
    g_assert_false(out->two_way);
    echo_check(out, in);
    g_assert_cmpint(io_channel_pwrite(out, "XY", 2, 100, NULL), ==, 2);
    g_assert_cmpint(io_channel_pread(in, buf, 2, 100, NULL), ==, 2);
    g_assert_cmpstr(buf, ==, "XY");
    g_assert_cmpint(io_channel_seek(in, 6, SEEK_SET, NULL), ==, 6);
    g_assert_cmpint(io_channel_read_all(in, buf, 5, NULL), ==, 1);
    g_assert_cmpstr(buf, ==, "world");
    g_assert_true(io_channel_close(in, NULL));
    g_assert_null(io_channel_file_new("/nonexistent/file", O_RDONLY, 0, &err));
    g_assert_nonnull(strstr(err->message, "/nonexistent/file"));
    g_unlink(path);
}

static void pipe_pair(IOChannel **r, IOChannel **w)
{
    int fd[2];

    g_assert_cmpint(pipe2(fd, O_CLOEXEC), ==, 0);
    *r = io_channel_fd_new(fd[0], NULL);
    *w = io_channel_fd_new(fd[1], NULL);
    g_assert_nonnull(*r);
    g_assert_nonnull(*w);
}

static void socket_pair(IOChannel **a, IOChannel **b, bool nonblocking)
{
    int fd[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0), 0, fd),
                    ==, 0);
    *a = io_channel_fd_new(fd[0], NULL);
    *b = io_channel_fd_new(fd[1], NULL);
    g_assert_cmpstr((*a)->klass->name, ==, "socket");
    g_assert_true((*a)->two_way);
}

static void test_pipe(void)
{
    IOChannel *r, *w;
    char c;

    pipe_pair(&r, &w);
    g_assert_cmpstr(r->klass->name, ==, "fd");
    g_assert_false(r->two_way);
    g_assert_cmpint(r->fd_out, ==, -1);
    g_assert_cmpint(fcntl(r->fd_in, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    echo_check(w, r);
    g_assert_false(io_channel_wait_readable(r, 1));
    g_assert_true(io_channel_close(w, NULL));
    g_assert_true(io_channel_wait_readable(r, -1));
    g_assert_cmpint(io_channel_read_all(r, &c, 1, NULL), ==, 0);
    io_channel_unref(r);
    io_channel_unref(w);
    g_assert_null(io_channel_fd_new(9999, NULL));
}

/* A thread that is blocked in IO. */
typedef struct Blocked {
    IOChannel *ioc;
    bool write;
    ssize_t result;
    Error *err;
} Blocked;

static void *blocked_run(void *opaque)
{
    Blocked *b = opaque;
    static char buf[65536];
    struct iovec iov = { buf, sizeof(buf) };

    do {
        b->result = b->write ? io_channel_writev(b->ioc, &iov, 1, &b->err)
                             : io_channel_readv(b->ioc, &iov, 1, &b->err);
    } while (b->result > 0);
    return NULL;
}

static void check_wakes(IOChannel *ioc, bool write, IOShutdown how)
{
    Blocked b = { .ioc = ioc, .write = write };
    GThread *t = g_thread_new("blocked", blocked_run, &b);

    g_usleep(20000);
    g_assert_true(io_channel_shutdown(ioc, how, NULL));
    g_thread_join(t);
    g_assert_cmpint(b.result, ==, -1);
    g_assert_nonnull(b.err);
    g_assert_nonnull(strstr(b.err->message, "shut down"));
    g_error_free(b.err);
    /* And what comes later fails at once. */
    b = (Blocked){ .ioc = ioc, .write = write };
    blocked_run(&b);
    g_assert_cmpint(b.result, ==, -1);
    g_error_free(b.err);
}

static void test_shutdown_wakes(void)
{
    for (int write = 0; write < 2; write++) {
        for (int kind = 0; kind < 3; kind++) {
            for (int both = 0; both < 2; both++) {
                IOChannel *r, *w;
                IOShutdown how = both ? IO_SHUTDOWN_BOTH :
                                 write ? IO_SHUTDOWN_WRITE : IO_SHUTDOWN_READ;
                if (kind == 0) {
                    pipe_pair(&r, &w);
                } else {
                    socket_pair(&r, &w, kind == 2);
                }
                check_wakes(write ? w : r, write, how);
                io_channel_unref(r);
                io_channel_unref(w);
            }
        }
    }
}

/* Shutting down one direction leaves the other alone. */
static void test_shutdown_one_way(void)
{
    IOChannel *a, *b;
    char c;

    socket_pair(&a, &b, true);
    io_channel_shutdown(a, IO_SHUTDOWN_WRITE, NULL);
    g_assert_cmpint(io_channel_read_all(b, &c, 1, NULL), ==, 0);
    echo_check(b, a);
    io_channel_unref(a);
    io_channel_unref(b);
}

/* What can be done without waiting, on sockets and pipes. */
static void test_poll(void)
{
    for (int kind = 0; kind < 2; kind++) {
        IOChannel *r, *w;
        char c;
        struct iovec iov = { &c, 1 };
        int other[2];

        g_assert_cmpint(pipe(other), ==, 0);
        if (kind) {
            pipe_pair(&r, &w);
        } else {
            socket_pair(&r, &w, true);
        }
        g_assert_cmpint(io_channel_try_readv(r, &iov, 1, NULL), ==, IO_WOULD_BLOCK);
        g_assert_cmpuint(io_channel_poll(r, IO_READY_READ, other[0], 0), ==, 0);
        g_assert_cmpuint(io_channel_poll(r, IO_READY_READ, -1, 5), ==, 0);
        g_assert_cmpuint(io_channel_poll(w, IO_READY_WRITE, other[0], -1), ==, IO_READY_WRITE);
        g_assert_cmpint(write(other[1], "x", 1), ==, 1);
        g_assert_cmpuint(io_channel_poll(r, IO_READY_READ, other[0], -1), ==, IO_READY_OTHER);
        c = 'y';
        g_assert_true(io_channel_writev_all(w, &iov, 1, NULL));
        g_assert_cmpuint(io_channel_poll(r, IO_READY_READ, other[0], -1), ==,
                         IO_READY_READ | IO_READY_OTHER);
        g_assert_cmpint(io_channel_try_readv(r, &iov, 1, NULL), ==, 1);
        g_assert_cmpint(c, ==, 'y');
        io_channel_shutdown(r, IO_SHUTDOWN_READ, NULL);
        g_assert_cmpuint(io_channel_poll(r, IO_READY_READ, -1, -1), ==, IO_READY_READ);
        g_assert_cmpint(io_channel_try_readv(r, &iov, 1, NULL), ==, -1);
        io_channel_unref(r);
        io_channel_unref(w);
        close(other[0]);
        close(other[1]);
    }
}

static void *slow_writer(void *opaque)
{
    static char text[] = "hello world";

    for (int i = 0; i < 11; i++) {
        struct iovec iov = { &text[i], 1 };
        g_usleep(500);
        g_assert_true(io_channel_writev_all(opaque, &iov, 1, NULL));
    }
    return NULL;
}

/* Non-blocking descriptors still wait. */
static void test_nonblocking(void)
{
    for (int kind = 0; kind < 2; kind++) {
        IOChannel *r, *w;
        char buf[12] = "";
        GThread *t;
        if (kind) {
            socket_pair(&r, &w, true);
        } else {
            pipe_pair(&r, &w);
        }
        t = g_thread_new("slow", slow_writer, w);
        g_assert_cmpint(io_channel_read_all(r, buf, 11, NULL), ==, 1);
        g_assert_cmpstr(buf, ==, "hello world");
        g_thread_join(t);
        io_channel_unref(r);
        io_channel_unref(w);
    }
}

static void *drain(void *opaque)
{
    static char buf[30000];
    size_t total = 0;
    ssize_t n;

    do {
        struct iovec iov = { buf, sizeof(buf) };
        n = io_channel_readv(opaque, &iov, 1, NULL);
        total += MAX(n, 0);
    } while (n > 0);
    return GSIZE_TO_POINTER(total);
}

/* A vector larger than IOV_MAX and than the socket's queue arrives whole. */
static void test_large_vector(void)
{
    g_autofree struct iovec *iov = g_new(struct iovec, 3000);
    static char page[4096];
    IOChannel *a, *b;
    GThread *t;

    socket_pair(&a, &b, true);
    io_channel_set_send_buffer(a, 65536);
    io_channel_set_recv_buffer(b, 65536);
    for (int i = 0; i < 3000; i++) {
        iov[i] = (struct iovec){ page, sizeof(page) - (i & 7) };
    }
    t = g_thread_new("drain", drain, b);
    g_assert_true(io_channel_writev_all(a, iov, 3000, NULL));
    io_channel_shutdown(a, IO_SHUTDOWN_WRITE, NULL);
    g_assert_cmpuint(GPOINTER_TO_SIZE(g_thread_join(t)), ==, 3000 * 4096 - 375 * 28);
    io_channel_unref(a);
    io_channel_unref(b);
}

static IOChannel *run_command(const char *script, int flags)
{
    const char *const argv[] = { "/bin/sh", "-c", script, NULL };
    IOChannel *ioc = io_channel_command_new(argv, flags, NULL);

    g_assert_nonnull(ioc);
    return ioc;
}

static void test_command(void)
{
    g_autoptr(Error) err = NULL;
    const char *const missing[] = { "/nonexistent/program", NULL };
    IOChannel *ioc = run_command("exec cat", O_RDWR);
    char buf[8] = "";

    g_assert_true(ioc->two_way);
    echo_check(ioc, ioc);
    g_assert_true(io_channel_close(ioc, NULL));
    io_channel_unref(ioc);

    ioc = run_command("echo out", O_RDONLY);
    g_assert_false(ioc->two_way);
    g_assert_cmpint(io_channel_read_all(ioc, buf, 3, NULL), ==, 1);
    g_assert_cmpstr(buf, ==, "out");
    g_assert_true(io_channel_close(ioc, NULL));
    io_channel_unref(ioc);

    ioc = run_command("cat >/dev/null; exit 3", O_WRONLY);
    g_assert_false(io_channel_close(ioc, &err));
    g_assert_nonnull(strstr(err->message, "exit status 3"));
    io_channel_unref(ioc);
    g_clear_error(&err);

    ioc = run_command("kill -9 $$", O_WRONLY);
    g_assert_false(io_channel_close(ioc, &err));
    g_assert_nonnull(strstr(err->message, "signal 9"));
    io_channel_unref(ioc);
    g_clear_error(&err);

    g_assert_null(io_channel_command_new(missing, O_RDWR, &err));
    g_assert_nonnull(strstr(err->message, "/nonexistent/program"));
}

/* A child that does not end is killed after a shutdown, also while close() waits. */
static void *shutdown_soon(void *opaque)
{
    g_usleep(20000);
    io_channel_shutdown(opaque, IO_SHUTDOWN_BOTH, NULL);
    return NULL;
}

static void test_command_kill(void)
{
    g_autoptr(Error) err = NULL;
    IOChannel *ioc = run_command("exec sleep 100", O_RDWR);
    int64_t start = host_clock_ms();
    GThread *t;

    io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
    g_assert_false(io_channel_close(ioc, &err));
    g_assert_nonnull(strstr(err->message, "killed"));
    io_channel_unref(ioc);
    g_clear_error(&err);

    ioc = run_command("exec sleep 100", O_RDWR);
    t = g_thread_new("shutdown", shutdown_soon, ioc);
    g_assert_false(io_channel_close(ioc, &err));
    g_thread_join(t);
    io_channel_unref(ioc);

    /* Closed in peace, it may still finish what it does. */
    g_autofree char *dir = g_dir_make_tmp("ferry-io-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "late", NULL);
    g_autofree char *late = g_strdup_printf("cat > /dev/null; sleep 0.05; echo > %s", path);
    ioc = run_command(late, O_RDWR);
    ioc->close_in_peace = true;
    io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
    g_assert_true(io_channel_close(ioc, NULL));
    io_channel_unref(ioc);
    while (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_assert_cmpint(host_clock_ms() - start, <, 3000);
        g_usleep(2000);
    }
    g_unlink(path);
    g_rmdir(dir);

    /* Not even closed, and deaf to SIGTERM. */
    ioc = run_command("trap '' TERM; echo x; while :; do sleep 0.05; done", O_RDWR);
    char c[2];
    g_assert_cmpint(io_channel_read_all(ioc, c, 2, NULL), ==, 1);
    io_channel_unref(ioc);
    g_assert_cmpint(host_clock_ms() - start, <, 4000);
}

static void test_addresses(void)
{
    static const char *const same[] = { "tcp:localhost:4444", "tcp::0", "unix:/tmp/x",
                                        "vsock:3:1234", "fd:7", "tcp:[::1]:99",
                                        "unix:name,abstract=on" };
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "tcp:localhost", "not HOST:PORT" }, { "tcp:localhost:", "has no port" },
        { "tcp:[::1]", "IPV6-ADDRESS" }, { "tcp:h:1,to=0", "1 to 65535" },
        { "tcp:h:1,to=x", "1 to 65535" }, { "tcp:h:1,ipv4=maybe", "on or off" },
        { "tcp:h:1,color=red", "unknown option 'color'" }, { "unix:", "needs a path" },
        { "unix:/x,foo", "unknown option" }, { "vsock:1", "not CID:PORT" },
        { "vsock:x:1", "numbers" }, { "udp:h:1", "tcp:HOST:PORT" }, { "", "tcp:HOST:PORT" },
        { "fd:", "tcp:HOST:PORT" }, { "tcp:h:1,", "missing" },
    };
    SocketAddr *a = socket_addr_parse("tcp:h:10,to=20,ipv4,ipv6=off,keep-alive=on", NULL);

    g_assert_cmpuint(a->to, ==, 20);
    g_assert_true(a->has_ipv4 && a->ipv4 && a->has_ipv6 && !a->ipv6 && a->keep_alive);
    socket_addr_free(a);
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        g_autoptr(SocketAddr) one = socket_addr_parse(same[i], NULL);
        g_autoptr(SocketAddr) two = socket_addr_copy(one);
        g_autofree char *text = socket_addr_to_str(two);
        g_assert_cmpstr(text, ==, same[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autoptr(Error) err = NULL;
        g_assert_null(socket_addr_parse(bad[i].text, &err));
        g_assert_nonnull(err);
        if (!strstr(err->message, bad[i].message)) {
            g_error("%s: %s", bad[i].text, err->message);
        }
    }
}

static void connect_and_echo(const char *listen_text)
{
    g_autoptr(SocketAddr) a = socket_addr_parse(listen_text, NULL);
    g_autoptr(SocketAddr) local = NULL;
    g_autoptr(Error) err = NULL;
    g_auto(AutoFd) listener = socket_listen(a, 4, &err);
    int c, s;

    g_assert_no_error(err);
    local = socket_local_addr(listener, NULL);
    g_assert_nonnull(local);
    c = socket_connect(local, &err);
    g_assert_no_error(err);
    s = socket_accept(listener, NULL);
    g_assert_cmpint(fcntl(c, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(s, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    g_autoptr(IOChannel) ic = io_channel_socket_new(c);
    g_autoptr(IOChannel) is = io_channel_socket_new(s);
    echo_check(ic, is);
    echo_check(is, ic);
}

static void test_sockets(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    g_autofree char *text = g_strdup_printf("unix:%s", path);
    g_autofree char *abstract = g_strdup_printf("unix:ferry-test-%d,abstract=on", getpid());
    g_autofree char *longer = g_strnfill(200, 'p');
    g_autofree char *toolong = g_strdup_printf("unix:%s", longer);
    g_autoptr(Error) err = NULL;

    connect_and_echo("tcp:127.0.0.1:0");
    connect_and_echo(text);
    connect_and_echo(text); /* a stale socket is replaced */
    connect_and_echo(abstract);

    SocketAddr *a = socket_addr_parse(text, NULL);
    g_assert_cmpint(socket_connect(a, &err), ==, -1);
    g_assert_nonnull(strstr(err->message, path));
    socket_addr_free(a);
    g_clear_error(&err);
    a = socket_addr_parse(toolong, NULL);
    g_assert_cmpint(socket_listen(a, 1, &err), ==, -1);
    g_assert_nonnull(strstr(err->message, "longer than"));
    socket_addr_free(a);
    g_clear_error(&err);
    a = socket_addr_parse("tcp:no-such-host.invalid:1", NULL);
    g_assert_cmpint(socket_connect(a, &err), ==, -1);
    g_assert_nonnull(strstr(err->message, "no-such-host.invalid"));
    socket_addr_free(a);
    g_unlink(path);
    g_rmdir(dir);
}

static void test_peek(void)
{
    int pair[2];
    char buf[8] = "";
    g_autoptr(Error) err = NULL;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_autoptr(IOChannel) ioc = io_channel_socket_new(pair[0]);
    g_assert_cmpint(io_channel_peek(ioc, buf, 4, &err), ==, -EAGAIN);
    g_assert_cmpint(write(pair[1], "abcdef", 6), ==, 6);
    g_assert_cmpint(io_channel_peek(ioc, buf, 4, &err), ==, 4);
    g_assert_cmpmem(buf, 4, "abcd", 4);
    g_assert_cmpint(io_channel_read_all(ioc, buf, 6, &err), ==, 1);
    g_assert_cmpmem(buf, 6, "abcdef", 6);
    close(pair[1]);
    g_assert_cmpint(io_channel_peek(ioc, buf, 4, &err), ==, 0);
    g_assert_no_error(err);
    io_channel_shutdown(ioc, IO_SHUTDOWN_READ, NULL);
    g_assert_cmpint(io_channel_peek(ioc, buf, 4, &err), ==, -1);
    g_assert_nonnull(err);
}

static void test_port_too_large(void)
{
    g_autoptr(SocketAddr) a = socket_addr_parse("tcp:127.0.0.1:99999", NULL);
    g_autoptr(Error) err = NULL;

    g_assert_nonnull(a);
    g_assert_cmpint(socket_listen(a, 1, &err), ==, -1);
    g_assert_nonnull(strstr(err->message, "port 99999"));
}

/* to=: the next free port is taken. */
static void test_port_range(void)
{
    g_autoptr(SocketAddr) any = socket_addr_parse("tcp:127.0.0.1:0", NULL);
    g_auto(AutoFd) one = socket_listen(any, 1, NULL);
    g_autoptr(SocketAddr) taken = socket_local_addr(one, NULL);
    g_autoptr(SocketAddr) range = socket_addr_copy(taken);
    g_autoptr(Error) err = NULL;

    g_assert_cmpint(socket_listen(taken, 1, &err), ==, -1);
    g_assert_nonnull(strstr(err->message, taken->port));
    range->to = MIN(atoi(taken->port) + 200, 65535);
    if (range->to > atoi(taken->port)) {
        g_auto(AutoFd) two = socket_listen(range, 1, NULL);
        g_assert_cmpint(two, >=, 0);
        g_autoptr(SocketAddr) got = socket_local_addr(two, NULL);
        g_assert_cmpstr(got->port, !=, taken->port);
    }
    range->to = 1;
    g_clear_error(&err);
    g_assert_cmpint(socket_listen(range, 1, &err), ==, -1);
    g_assert_nonnull(strstr(err->message, "below"));
}

static void *cancel_soon(void *opaque)
{
    uint64_t one = 1;

    g_usleep(20000);
    g_assert_cmpint(write(GPOINTER_TO_INT(opaque), &one, 8), ==, 8);
    return NULL;
}

/* A full backlog keeps the connection waiting until it is cancelled. */
static void test_connect_cancel(void)
{
    g_autofree char *text = g_strdup_printf("unix:ferry-test-%d,abstract=on", getpid());
    g_autoptr(SocketAddr) a = socket_addr_parse(text, NULL);
    g_auto(AutoFd) listener = socket_listen(a, 0, NULL);
    g_auto(AutoFd) cancel = eventfd(0, EFD_CLOEXEC);
    g_autoptr(Error) err = NULL;
    GThread *t;
    int queued[8], n = 0, last;

    g_assert_cmpint(listener, >=, 0);
    t = g_thread_new("cancel", cancel_soon, GINT_TO_POINTER(cancel));
    do {
        last = socket_connect_cancellable(a, cancel, &err);
        if (last >= 0) {
            queued[n++] = last;
        }
    } while (last >= 0 && n < 8);
    g_assert_cmpint(last, ==, -1);
    g_assert_nonnull(err);
    g_thread_join(t);
    while (n > 0) {
        close(queued[--n]);
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/buffer", test_buffer);
    g_test_add_func("/io/file", test_file);
    g_test_add_func("/io/pipe", test_pipe);
    g_test_add_func("/io/shutdown-wakes", test_shutdown_wakes);
    g_test_add_func("/io/shutdown-one-way", test_shutdown_one_way);
    g_test_add_func("/io/poll", test_poll);
    g_test_add_func("/io/nonblocking", test_nonblocking);
    g_test_add_func("/io/large-vector", test_large_vector);
    g_test_add_func("/io/command", test_command);
    g_test_add_func("/io/command-kill", test_command_kill);
    g_test_add_func("/io/addresses", test_addresses);
    g_test_add_func("/io/sockets", test_sockets);
    g_test_add_func("/io/peek", test_peek);
    g_test_add_func("/io/port-too-large", test_port_too_large);
    g_test_add_func("/io/port-range", test_port_range);
    g_test_add_func("/io/connect-cancel", test_connect_cancel);
    return g_test_run();
}
