/*
 * Postcopy through the real program: pages that are read on the destination while they
 * are still at the source, every kind of channel and memory that it works with, what is
 * refused, what is left when the source dies, and recorded conversations.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "migration-pair.h"

/* ---- channels and memory ---- */

static void test_unix(void)
{
    Pair p = pair_new("", "");

    pair_run(&p);
}

static void test_tcp(void)
{
    Pair p = pair_new("", "");
    g_autoptr(JsonObject) info = NULL;

    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'tcp:127.0.0.1:0'}");
    info = qtest_qmp_object(p.to, "query-migrate", NULL);
    JsonArray *addrs = json_object_get_array_member(info, "socket-address");
    JsonObject *addr = json_array_get_object_element(addrs, 0);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'tcp:127.0.0.1:%s'}",
                 json_object_get_string_member(addr, "port"));
    migration_wait_status(p.from, "active");
    pair_to_postcopy(&p);
    pair_read_and_finish(&p);
    pair_free(&p);
}

/* One socket pair, non-blocking at both ends; the return path comes back over it. */
static void test_fd(void)
{
    Pair p = pair_new("", "");
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), ==, 0);
    json_node_unref(qtest_qmp_fd(p.from, fds[0], "getfd", "{'fdname': 'mig'}"));
    json_node_unref(qtest_qmp_fd(p.to, fds[1], "getfd", "{'fdname': 'mig'}"));
    close(fds[0]);
    close(fds[1]);
    g_free(p.uri);
    p.uri = g_strdup("fd:mig");
    pair_run(&p);
}

static void test_memfd(void)
{
    g_autofree char *args = g_strdup_printf(
        "-object memory-backend-memfd,id=ram,size=%dM,share=on -machine memory-backend=ram", PAIR_MIB);
    Pair p = pair_new(args, args);

    pair_run(&p);
}

/* ---- preempt channel ---- */

/* `early`: connected behind the main channel, as before 8.0. */
static void test_preempt(gconstpointer early)
{
    Pair p = pair_new(early ? "-global migration.x-preempt-pre-7-2=true" : "", "");

    migration_set_cap(p.from, "postcopy-preempt");
    migration_set_cap(p.to, "postcopy-preempt");
    pair_run(&p);
}

/* It is there and not needed. */
static void test_preempt_precopy(void)
{
    Pair p = pair_new("", "");

    migration_set_cap(p.from, "postcopy-preempt");
    migration_set_cap(p.to, "postcopy-preempt");
    pair_start(&p);
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 0}");
    migration_wait_status(p.from, "completed");
    migration_wait_status(p.to, "completed");
    pair_check_all(p.to);
    pair_free(&p);
}

static void check_refused(QTestState *s, const char *command, const char *args, const char *part)
{
    g_autofree char *err = qtest_qmp_error(s, command, "%s", args);

    if (!strstr(err, part)) {
        g_error("refused as '%s'", err);
    }
}

static void test_preempt_refused(void)
{
    QTestState *s = qtest_init("-M none -m 16M -incoming defer");

    check_refused(s, "migrate-set-capabilities",
                  "{'capabilities': [{'capability': 'postcopy-preempt', 'state': true}]}",
                  "'postcopy-preempt' needs 'postcopy-ram'");
    migration_set_cap(s, "postcopy-ram");
    migration_set_cap(s, "postcopy-preempt");
    check_refused(s, "migrate-incoming", "{'uri': 'exec:cat'}", "connected to twice");
    check_refused(s, "migrate", "{'uri': 'fd:7'}", "connected to twice");
    qtest_quit(s);
}

/* On at the source only: it cannot connect twice and the guest stays. */
static void test_preempt_one_sided(void)
{
    Pair p = pair_new("", "");

    migration_set_cap(p.from, "postcopy-preempt");
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", p.uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", p.uri);
    migration_wait_status(p.from, "failed");
    qtest_wait_run_state(p.from, "running");
    g_assert_cmpint(qtest_wait_exit(p.to), ==, 1);
    qtest_kill(p.to);
    qtest_quit(p.from);
    g_free(p.uri);
}

static void test_blocktime(void)
{
    g_autoptr(JsonObject) info = NULL;
    Pair p = pair_new("", "");
    JsonArray *dist;
    int64_t sum = 0;

    migration_set_cap(p.to, "postcopy-blocktime");
    pair_start(&p);
    pair_to_postcopy(&p);
    pair_read_and_finish(&p);
    info = qtest_qmp_object(p.to, "query-migrate", NULL);
    g_assert_cmpstr(json_object_get_string_member(info, "status"), ==, "completed");
    g_assert_cmpint(json_object_get_int_member(info, "postcopy-blocktime"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(info, "postcopy-latency"), >, 0);
    g_assert_cmpint(json_object_get_int_member(info, "postcopy-non-vcpu-latency"), >, 0);
    g_assert_true(json_object_has_member(info, "postcopy-vcpu-blocktime"));
    g_assert_true(json_object_has_member(info, "postcopy-vcpu-latency"));
    dist = json_object_get_array_member(info, "postcopy-latency-dist");
    for (unsigned i = 0; i < json_array_get_length(dist); i++) {
        sum += json_array_get_int_element(dist, i);
    }
    g_assert_cmpint(sum, >, 10);
    pair_free(&p);
}

/* ---- refused ---- */

/* Memory in a file that userfaultfd cannot hold back: said when the capability is set. */
static void test_plain_file(void)
{
    g_autofree char *dir = g_get_current_dir();
    g_autofree char *file = g_build_filename(dir, "postcopy-test.ram", NULL);
    QTestState *s = qtest_init("-M none -object memory-backend-file,id=ram,size=%dM,mem-path=%s,"
                               "share=on -machine memory-backend=ram -m %dM -incoming defer",
                               PAIR_MIB, file, PAIR_MIB);
    g_autofree char *err =
        qtest_qmp_error(s, "migrate-set-capabilities",
                        "{'capabilities': [{'capability': 'postcopy-ram', 'state': true}]}");

    if (!strstr(err, "'ram' is a file on a file system")) {
        g_error("refused as '%s'", err);
    }
    qtest_quit(s);
    g_unlink(file);
}

static void test_not_started(void)
{
    QTestState *s = qtest_init("-M none -m 16M");
    g_autofree char *off = qtest_qmp_error(s, "migrate-start-postcopy", NULL);

    g_assert_true(g_str_has_prefix(off, "GenericError"));
    qtest_quit(s);
}

static void test_no_cancel(void)
{
    Pair p = pair_new("", "");

    pair_start(&p);
    pair_to_postcopy(&p);
    g_free(qtest_qmp_error(p.from, "migrate_cancel", NULL));
    pair_read_and_finish(&p);
    pair_free(&p);
}

/* Cancelled before the switch: the source goes on, the destination says why it ends. */
static void test_cancel(void)
{
    Pair p = pair_new("", "");
    g_autofree char *said = NULL;

    pair_start(&p);
    qtest_qmp_ok(p.from, "migrate_cancel", NULL);
    migration_wait_status(p.from, "cancelling");
    migration_wait_status(p.from, "cancelled");
    g_assert_cmpint(qtest_wait_exit(p.to), ==, 1);
    said = qtest_stderr(p.to);
    g_assert_nonnull(strstr(said, "incoming migration from"));
    qtest_wait_run_state(p.from, "running");
    pair_check_all(p.from);
    qtest_kill(p.to);
    qtest_quit(p.from);
    g_free(p.uri);
}

/* ---- the source dies ---- */

static void test_source_dies(void)
{
    Pair p = pair_new("", "");
    g_autoptr(JsonObject) info = NULL;

    pair_start(&p);
    pair_to_postcopy(&p);
    pair_check_page(p.to, PAIR_PAGES - 3);
    qtest_kill(p.from);
    migration_wait_status(p.to, "postcopy-paused");
    qtest_wait_run_state(p.to, "running");
    pair_check_page(p.to, PAIR_PAGES - 3);
    info = qtest_qmp_object(p.to, "query-migrate", NULL);
    g_assert_true(json_object_has_member(info, "error-desc"));
    qtest_quit(p.to);
    g_free(p.uri);
}

/* ---- recorded conversations ---- */

static int connect_to(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    return fd;
}

static void write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0) {
            return; /* it may have had enough */
        }
        data += n;
        len -= n;
    }
}

/* What came back, up to the end; messages of 8 bytes, sorted (PONG 3 and 4 race). */
static int compare_messages(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, 8);
}

static GByteArray *read_messages(int fd)
{
    GByteArray *got = g_byte_array_new();
    uint8_t buf[4096];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        g_byte_array_append(got, buf, n);
    }
    g_assert_cmpuint(got->len % 8, ==, 0);
    qsort(got->data, got->len / 8, 8, compare_messages);
    return got;
}

static char *stream_path(const char *name)
{
    return g_build_filename(g_getenv("FERRY_TEST_DATA"), "streams", name, NULL);
}

static QTestState *replay_start(char **ret_socket, bool preempt)
{
    QTestState *s = qtest_init("-M none -m 64M -incoming defer");

    migration_set_cap(s, "events");
    migration_set_cap(s, "postcopy-ram");
    if (preempt) {
        migration_set_cap(s, "postcopy-preempt");
    }
    *ret_socket = qtest_path(s, "socket");
    qtest_qmp_ok(s, "migrate-incoming", "{'uri': 'unix:%s'}", *ret_socket);
    return s;
}

static void test_replay(gconstpointer name)
{
    g_autofree char *forward_name = g_strdup_printf("%s.c0.fwd", (const char *)name);
    g_autofree char *reverse_name = g_strdup_printf("%s.c0.rev", (const char *)name);
    g_autofree char *forward_path = stream_path(forward_name), *forward = NULL;
    g_autofree char *reverse_path = stream_path(reverse_name), *reverse = NULL;
    g_autofree char *path = NULL;
    g_autofree char *second_name = g_strdup_printf("%s.c1.fwd", (const char *)name);
    g_autofree char *second_path = NULL, *second = NULL;
    bool preempt = g_str_has_prefix(name, "preempt");
    g_autoptr(GByteArray) got = NULL;
    gsize forward_len, reverse_len, second_len;
    int fd, second_fd = -1;
    QTestState *s;

    g_assert_true(g_file_get_contents(forward_path, &forward, &forward_len, NULL));
    g_assert_true(g_file_get_contents(reverse_path, &reverse, &reverse_len, NULL));
    s = replay_start(&path, preempt);
    fd = connect_to(path);
    if (preempt) {
        second_path = stream_path(second_name);
        g_assert_true(g_file_get_contents(second_path, &second, &second_len, NULL));
        second_fd = connect_to(path);
        write_all(second_fd, second, second_len);
        g_usleep(100 * 1000); /* it is looked at before the first has said what it is */
    }
    write_all(fd, forward, forward_len);
    got = read_messages(fd);
    qsort(reverse, reverse_len / 8, 8, compare_messages);
    g_assert_cmpmem(got->data, got->len, reverse, reverse_len);
    close(fd);
    if (preempt) {
        close(second_fd);
    }
    migration_wait_status(s, "completed");
    qtest_wait_run_state(s, "running");
    g_assert_cmphex(qtest_readq(s, 0x3fff000), ==, 0);
    qtest_quit(s);
}

/* Who has an answer knows that no further connection will be taken. */
static void test_closed_before_answer(void)
{
    g_autofree char *forward_path = stream_path("postcopy-none-64M.qemu72.c0.fwd");
    g_autofree char *forward = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(forward_path, &forward, &len, NULL));
    for (unsigned i = 0; i < 5; i++) {
        g_autofree char *path = NULL;
        QTestState *s = replay_start(&path, false);
        int fd = connect_to(path);
        char pong[8];

        write_all(fd, forward, 512); /* PING 1 is behind the header */
        g_assert_cmpint(recv(fd, pong, sizeof(pong), MSG_WAITALL), ==, sizeof(pong));
        g_assert_cmpint(access(path, F_OK), ==, -1);
        close(fd);
        qtest_kill(s);
    }
}

/*
 * The conversation cut inside the package: the load fails, the source hears SHUT 1, the
 * program exits with a message.  Cut behind it: the guest runs here and is kept.
 */
static void cut_replay(size_t at, bool paused)
{
    g_autofree char *forward_path = stream_path("postcopy-none-64M.qemu72.c0.fwd");
    g_autofree char *forward = NULL, *path = NULL, *said = NULL;
    g_autoptr(GByteArray) got = NULL;
    gsize len;
    QTestState *s;
    int fd;

    g_assert_true(g_file_get_contents(forward_path, &forward, &len, NULL));
    s = replay_start(&path, false);
    fd = connect_to(path);
    if (paused) {
        /* Let it come to the point where the guest runs before the end of the stream is seen. */
        write_all(fd, forward, at - 1);
        migration_wait_status(s, "postcopy-active");
        write_all(fd, forward + at - 1, 1);
    } else {
        write_all(fd, forward, at);
    }
    shutdown(fd, SHUT_WR);
    if (paused) {
        migration_wait_status(s, "postcopy-paused");
        qtest_wait_run_state(s, "running");
        close(fd);
        qtest_quit(s);
        return;
    }
    got = read_messages(fd);
    g_assert_cmpint(qtest_wait_exit(s), ==, 1);
    said = qtest_stderr(s);
    g_assert_nonnull(strstr(said, "offset"));
    g_assert_cmpuint(got->len, >=, 8);
    g_assert_cmpuint(got->data[1], ==, 1); /* SHUT sorts first ... */
    g_assert_cmpuint(got->data[7], ==, 1); /* ... and says that it failed */
    close(fd);
    qtest_kill(s);
}

static size_t find_package(const char *forward, size_t len)
{
    static const char packaged[] = { 0x08, 0x00, 0x07, 0x00, 0x04 };
    const char *p = memmem(forward, len, packaged, sizeof(packaged));

    g_assert_nonnull(p);
    return p - forward;
}

static void test_cut(void)
{
    g_autofree char *forward_path = stream_path("postcopy-none-64M.qemu72.c0.fwd");
    g_autofree char *forward = NULL;
    size_t package;
    gsize len;

    g_assert_true(g_file_get_contents(forward_path, &forward, &len, NULL));
    package = find_package(forward, len);
    cut_replay(package - 20, false);
    cut_replay(package + 2, false);
    cut_replay(package + 100, false);
    cut_replay(package + 2000, true);
    cut_replay(len - 1, true);
}

/* ---- a source that does not keep to the order ---- */

/* In place of the package's last command, RUN, and what comes behind it. */
typedef struct Misorder {
    const char *run;  /* NULL: as it was */
    size_t run_len;
    const char *then;
    size_t then_len;
    const char *error;
    bool exits;       /* the load fails; else the guest runs here, and postcopy pauses */
} Misorder;

#define BYTES(text) text, sizeof(text) - 1

static const Misorder misorders[] = {
    /* PING 5 for RUN: two threads must not read the stream behind it. */
    { BYTES("\x08\0\2\0\4\0\0\0\5"), BYTES("\x08\0\2\0\4\0\0\0\4"),
      "ends without POSTCOPY_RUN", true },
    { NULL, 0, BYTES("\4\0\0\0\7\5timer\0\0\0\0\0\0\0\2"), "SECTION_FULL cannot come in postcopy",
      false },
    { NULL, 0, BYTES("\1\0\0\0\7\3ram\0\0\0\0\0\0\0\4"), "SECTION_START cannot come in postcopy",
      false },
    { NULL, 0, BYTES("\x08\0\7\0\4\0\0\0\0"), "it cannot come in postcopy", false },
    { NULL, 0, BYTES("\x08\0\1\0\0"), "it cannot come in postcopy", false },
};

/* The recorded conversation up to its package, changed; the package's length follows. */
static GByteArray *misordered(const Misorder *m)
{
    static const char run[] = { 0x08, 0x00, 0x05, 0x00, 0x00 };
    g_autofree char *path = stream_path("postcopy-none-64M.qemu72.c0.fwd"), *forward = NULL;
    GByteArray *out = g_byte_array_new();
    size_t package, blob;
    uint32_t be;
    gsize len;

    g_assert_true(g_file_get_contents(path, &forward, &len, NULL));
    package = find_package(forward, len);
    memcpy(&be, forward + package + 5, 4);
    blob = GUINT32_FROM_BE(be);
    g_assert_cmpint(memcmp(forward + package + 9 + blob - 5, run, 5), ==, 0);
    g_byte_array_append(out, (uint8_t *)forward, package + 9 + blob);
    if (m->run) {
        g_byte_array_set_size(out, out->len - 5);
        g_byte_array_append(out, (const uint8_t *)m->run, m->run_len);
        be = GUINT32_TO_BE(blob - 5 + m->run_len);
        memcpy(out->data + package + 5, &be, 4);
    }
    return out;
}

static void test_misorder(gconstpointer opaque)
{
    const Misorder *m = opaque;
    g_autoptr(GByteArray) stream = misordered(m);
    g_autofree char *path = NULL, *said = NULL;
    QTestState *s = replay_start(&path, false);
    int fd = connect_to(path);

    write_all(fd, (char *)stream->data, stream->len);
    if (!m->exits) {
        migration_wait_status(s, "postcopy-active");
    }
    write_all(fd, m->then, m->then_len);
    if (m->exits) {
        g_assert_cmpint(qtest_wait_exit(s), ==, 1);
    } else {
        migration_wait_status(s, "postcopy-paused");
        qtest_wait_run_state(s, "running");
    }
    said = qtest_stderr(s);
    g_test_message("%s", said);
    g_assert_nonnull(strstr(said, m->error));
    close(fd);
    if (m->exits) {
        qtest_kill(s);
    } else {
        qtest_quit(s);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/postcopy/unix", test_unix);
    g_test_add_func("/postcopy/tcp", test_tcp);
    g_test_add_func("/postcopy/fd", test_fd);
    g_test_add_func("/postcopy/memfd", test_memfd);
    g_test_add_data_func("/postcopy/preempt/usual", NULL, test_preempt);
    g_test_add_data_func("/postcopy/preempt/early", "early", test_preempt);
    g_test_add_func("/postcopy/preempt/precopy", test_preempt_precopy);
    g_test_add_func("/postcopy/preempt/refused", test_preempt_refused);
    g_test_add_func("/postcopy/preempt/one-sided", test_preempt_one_sided);
    g_test_add_func("/postcopy/blocktime", test_blocktime);
    g_test_add_func("/postcopy/plain-file", test_plain_file);
    g_test_add_func("/postcopy/not-started", test_not_started);
    g_test_add_func("/postcopy/no-cancel", test_no_cancel);
    g_test_add_func("/postcopy/cancel", test_cancel);
    g_test_add_func("/postcopy/source-dies", test_source_dies);
    g_test_add_data_func("/postcopy/replay/qemu72", "postcopy-none-64M.qemu72", test_replay);
    g_test_add_data_func("/postcopy/replay/qemu111", "postcopy-none-64M.qemu111", test_replay);
    g_test_add_data_func("/postcopy/replay/preempt-qemu72", "preempt-none-64M.qemu72", test_replay);
    g_test_add_data_func("/postcopy/replay/preempt-qemu111", "preempt-none-64M.qemu111",
                         test_replay);
    g_test_add_func("/postcopy/closed-before-answer", test_closed_before_answer);
    g_test_add_func("/postcopy/cut", test_cut);
    for (size_t i = 0; i < G_N_ELEMENTS(misorders); i++) {
        g_autofree char *name = g_strdup_printf("/postcopy/misorder/%zu", i);

        g_test_add_data_func(name, &misorders[i], test_misorder);
    }
    return g_test_run();
}
