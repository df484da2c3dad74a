/*
 * Precopy through the real program: every channel and machine, the order of events, pauses,
 * cancels and failures, capabilities that change the stream, memory compared byte for byte.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#include "migration-file-ram.h"

#define MIB 24

/* ---- channels x machines ---- */

static void test_unix(gconstpointer machine)
{
    FilePair p = file_pair_new(NULL, NULL, machine, MIB, "");
    g_autofree char *path = file_pair_path(&p, "socket");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);

    file_pair_migrate(&p, uri, uri);
    file_pair_free(&p);
}

static void test_tcp(gconstpointer machine)
{
    FilePair p = file_pair_new(NULL, NULL, machine, MIB, "");
    g_autoptr(JsonObject) info = NULL;
    g_autofree char *uri = NULL;
    JsonObject *addr;

    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'tcp:127.0.0.1:0'}");
    info = qtest_qmp_object(p.to, "query-migrate", NULL);
    addr = json_array_get_object_element(json_object_get_array_member(info, "socket-address"), 0);
    uri = g_strdup_printf("tcp:127.0.0.1:%s", json_object_get_string_member(addr, "port"));
    file_pair_migrate(&p, NULL, uri);
    file_pair_free(&p);
}

static void give_fds(FilePair *p, int from_fd, int to_fd)
{
    json_node_unref(qtest_qmp_fd(p->from, from_fd, "getfd", "{'fdname': 'mig'}"));
    json_node_unref(qtest_qmp_fd(p->to, to_fd, "getfd", "{'fdname': 'mig'}"));
    close(from_fd);
    close(to_fd);
}

static void test_fd_socket(gconstpointer machine)
{
    FilePair p = file_pair_new(NULL, NULL, machine, MIB, "");
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    give_fds(&p, fds[0], fds[1]);
    mig_cap(p.from, "return-path", true);
    mig_cap(p.to, "return-path", true);
    file_pair_migrate(&p, "fd:mig", "fd:mig");
    file_pair_free(&p);
}

static void test_fd_pipe(gconstpointer machine)
{
    FilePair p = file_pair_new(NULL, NULL, machine, MIB, "");
    int fds[2];

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    give_fds(&p, fds[1], fds[0]);
    file_pair_migrate(&p, "fd:mig", "fd:mig");
    file_pair_free(&p);
}

/* A file with something in front, as libvirt's saved domains have: both begin where it stands. */
static void test_fd_file(gconstpointer machine)
{
    FilePair p = file_pair_source(machine, MIB, "");
    g_autofree char *path = file_pair_path(&p, "saved"), *head = NULL;
    int out = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    int in = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(write(out, "header", 6), ==, 6);
    json_node_unref(qtest_qmp_fd(p.from, out, "getfd", "{'fdname': 'mig'}"));
    close(out);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'fd:mig'}");
    json_object_unref(mig_wait(p.from, "completed"));
    file_pair_destination(&p, NULL, machine, "defer", "");
    g_assert_cmpint(lseek(in, 6, SEEK_SET), ==, 6);
    json_node_unref(qtest_qmp_fd(p.to, in, "getfd", "{'fdname': 'mig'}"));
    close(in);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'fd:mig'}");
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    g_assert_true(g_file_get_contents(path, &head, NULL, NULL));
    g_assert_true(g_str_has_prefix(head, "header"));
    file_pair_free(&p);
}

/* What carries no stream, or not this one. */
static void test_fd_refused(gconstpointer machine)
{
    QTestState *s = qtest_init("-machine %s -m %d -incoming defer", (const char *)machine, MIB);
    int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int wronly = open("/dev/null", O_WRONLY | O_CLOEXEC);
    char *err;

    json_node_unref(qtest_qmp_fd(s, dir, "getfd", "{'fdname': 'dir'}"));
    json_node_unref(qtest_qmp_fd(s, wronly, "getfd", "{'fdname': 'out'}"));
    close(dir);
    close(wronly);
    err = qtest_qmp_error(s, "migrate-incoming", "{'uri': 'fd:dir'}");
    g_assert_cmpstr(err, ==, "GenericError: fd:dir is neither a socket nor a pipe nor a file");
    g_free(err);
    err = qtest_qmp_error(s, "migrate-incoming", "{'uri': 'fd:out'}");
    g_assert_cmpstr(err, ==, "GenericError: fd:out cannot be read");
    g_free(err);
    qtest_quit(s);
}

static void test_exec(gconstpointer machine)
{
    FilePair p = file_pair_source(machine, MIB, "");
    g_autofree char *path = file_pair_path(&p, "stream");
    g_autofree char *incoming = g_strdup_printf("'exec:cat %s'", path);

    qtest_qmp_ok(p.from, "migrate", "{'uri': 'exec:cat > %s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    file_pair_destination(&p, NULL, machine, incoming, "");
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

static void test_file(gconstpointer machine)
{
    FilePair p = file_pair_source(machine, MIB, "");
    g_autofree char *path = file_pair_path(&p, "stream");
    g_autofree char *uri = g_strdup_printf("file:%s,offset=0x1000", path);

    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    json_object_unref(mig_wait(p.from, "completed"));
    file_pair_destination(&p, NULL, machine, uri, "");
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

static void test_channels(gconstpointer machine)
{
    FilePair p = file_pair_new(NULL, NULL, machine, MIB, "");
    g_autofree char *path = file_pair_path(&p, "socket");

    for (int i = 0; i < 2; i++) {
        qtest_qmp_ok(i ? p.from : p.to, i ? "migrate" : "migrate-incoming",
                     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'socket', "
                     "'type': 'unix', 'path': '%s'}}]}", path);
    }
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

/* Can this host connect to itself over vsock? */
static bool have_vsock(unsigned port)
{
    struct sockaddr_vm a = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = port,
    };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

    close(fd);
    return ok;
}

static void test_vsock(gconstpointer machine)
{
    unsigned port = g_random_int_range(20000, 60000);
    g_autofree char *uri = g_strdup_printf("vsock:%d:%u", VMADDR_CID_LOCAL, port);
    FilePair p;

    if (!have_vsock(port)) {
        g_test_skip("vsock has no way to this host itself (module vsock_loopback)");
        return;
    }
    p = file_pair_new(NULL, NULL, machine, MIB, "");
    mig_cap(p.from, "return-path", true);
    mig_cap(p.to, "return-path", true);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'channels': [{'channel-type': 'main', 'addr': "
                 "{'transport': 'socket', 'type': 'vsock', 'cid': '%d', 'port': '%u'}}]}",
                 VMADDR_CID_LOCAL, port);
    file_pair_migrate(&p, NULL, uri);
    file_pair_free(&p);
}

/* ---- order of events, run states ---- */

static void assert_run_state(QTestState *s, const char *state)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-status", NULL);

    g_assert_cmpstr(json_object_get_string_member(info, "status"), ==, state);
}

static void start_unix(FilePair *p)
{
    g_autofree char *path = file_pair_path(p, "socket");

    g_unlink(path);
    if (p->to) {
        qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    }
    qtest_qmp_ok(p->from, "migrate", "{'uri': 'unix:%s'}", path);
}

static void test_events(void)
{
    FilePair p = file_pair_new(NULL, NULL, "q35", MIB, "");
    g_autofree char *from = NULL, *to = NULL;
    g_autoptr(JsonObject) info = NULL;
    JsonObject *ram;

    qtest_events_clear(p.from);
    start_unix(&p);
    info = mig_wait(p.from, "completed");
    json_object_unref(mig_wait(p.to, "completed"));
    from = mig_events(p.from);
    to = mig_events(p.to);
    g_assert_cmpstr(from, ==, "setup,active,PASS,STOP,device,completed");
    g_assert_cmpstr(to, ==, "setup,active,RESUME,completed");
    assert_run_state(p.from, "postmigrate");
    assert_run_state(p.to, "running");
    ram = json_object_get_object_member(info, "ram");
    g_assert_cmpint(json_object_get_int_member(ram, "remaining"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(ram, "transferred"), ==,
                    json_object_get_int_member(ram, "precopy-bytes") +
                        json_object_get_int_member(ram, "downtime-bytes"));
    g_assert_cmpint(json_object_get_int_member(ram, "total"), >=, MIB << 20);
    g_assert_cmpint(json_object_get_int_member(ram, "normal-bytes"), ==,
                    json_object_get_int_member(ram, "normal") * 4096);
    g_assert_true(json_object_has_member(info, "downtime"));
    g_assert_false(json_object_has_member(info, "remaining"));
    file_pair_free(&p);
}

static void test_paused(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *from = NULL;

    qtest_qmp_ok(p.from, "stop", NULL);
    qtest_events_clear(p.from);
    start_unix(&p);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    from = mig_events(p.from);
    g_assert_cmpstr(from, ==, "setup,active,PASS,device,completed");
    assert_run_state(p.to, "paused");
    file_pair_compare(&p);
    file_pair_free(&p);
}

static void test_not_started(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "-S");

    start_unix(&p);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    assert_run_state(p.to, "prelaunch");
    qtest_qmp_ok(p.to, "cont", NULL);
    assert_run_state(p.to, "running");
    file_pair_free(&p);
}

static void test_pre_switchover(void)
{
    FilePair p = file_pair_new(NULL, NULL, "q35", MIB, "");
    g_autofree char *from = NULL, *error = NULL;

    mig_cap(p.from, "pause-before-switchover", true);
    mig_cap(p.from, "return-path", true);
    mig_cap(p.to, "return-path", true);
    qtest_events_clear(p.from);
    start_unix(&p);
    json_object_unref(mig_wait(p.from, "pre-switchover"));
    error = qtest_qmp_error(p.from, "migrate-continue", "{'state': 'active'}");
    g_assert_nonnull(strstr(error, "pre-switchover"));
    qtest_qmp_ok(p.from, "migrate-continue", "{'state': 'pre-switchover'}");
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    from = mig_events(p.from);
    g_assert_cmpstr(from, ==, "setup,active,PASS,STOP,pre-switchover,device,completed");
    file_pair_compare(&p);
    file_pair_free(&p);
}

/* ---- cancel ---- */

static void cancel_and_retry(FilePair *p, const char *when, const char *events)
{
    g_autofree char *seen = NULL;

    qtest_events_clear(p->from);
    start_unix(p);
    json_object_unref(mig_wait(p->from, when));
    qtest_qmp_ok(p->from, "migrate_cancel", NULL);
    json_object_unref(mig_wait(p->from, "cancelled"));
    assert_run_state(p->from, "running");
    seen = mig_events(p->from);
    g_assert_cmpstr(seen, ==, events);
    /* The destination saw the stream end, and ended itself. */
    g_assert_cmpint(qtest_wait_exit(p->to), ==, 1);
    qtest_kill(p->to);
    mig_cap(p->from, "pause-before-switchover", false);
    qtest_qmp_ok(p->from, "migrate-set-parameters", "{'max-bandwidth': 0}");
    file_pair_destination(p, NULL, "q35", "defer", "");
    start_unix(p);
    json_object_unref(mig_wait(p->from, "completed"));
    json_object_unref(mig_wait(p->to, "completed"));
    file_pair_compare(p);
}

static void test_cancel_active(void)
{
    FilePair p = file_pair_new(NULL, NULL, "q35", MIB, "");

    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 1000000}");
    cancel_and_retry(&p, "active", "setup,active,cancelling,cancelled");
    file_pair_free(&p);
}

static void test_cancel_pre_switchover(void)
{
    FilePair p = file_pair_new(NULL, NULL, "q35", MIB, "");

    mig_cap(p.from, "pause-before-switchover", true);
    cancel_and_retry(&p, "pre-switchover",
                     "setup,active,PASS,STOP,pre-switchover,cancelling,RESUME,cancelled");
    file_pair_free(&p);
}

/* A peer that takes the connection and never reads: the thread is blocked in a write. */
static void test_cancel_blocked(void)
{
    FilePair p = file_pair_source("q35", MIB, "");
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    json_node_unref(qtest_qmp_fd(p.from, fds[0], "getfd", "{'fdname': 'mig'}"));
    close(fds[0]);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'fd:mig'}");
    json_object_unref(mig_wait(p.from, "active"));
    g_usleep(100 * 1000);
    qtest_qmp_ok(p.from, "migrate_cancel", NULL);
    json_object_unref(mig_wait(p.from, "cancelled"));
    /* Nothing runs: no error. */
    qtest_qmp_ok(p.from, "migrate_cancel", NULL);
    close(fds[1]);
    file_pair_free(&p);
}

static void *read_all(void *fd)
{
    char buf[65536];

    while (read(GPOINTER_TO_INT(fd), buf, sizeof(buf)) > 0) {
    }
    return NULL;
}

/* All is sent, and the destination never says that it has it: the guest is still ours. */
static void test_cancel_device(void)
{
    static const char pong[8] = { 0, 2, 0, 4, 0, 0, 0, 1 };
    FilePair p = file_pair_new(NULL, NULL, "q35", 2, "");
    g_autofree char *seen = NULL;
    GThread *reader;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    json_node_unref(qtest_qmp_fd(p.from, fds[0], "getfd", "{'fdname': 'mig'}"));
    close(fds[0]);
    g_assert_cmpint(write(fds[1], pong, sizeof(pong)), ==, sizeof(pong));
    reader = g_thread_new("reader", read_all, GINT_TO_POINTER(fds[1]));
    mig_cap(p.from, "return-path", true);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'fd:mig'}");
    json_object_unref(mig_wait(p.from, "device"));
    assert_run_state(p.from, "finish-migrate");
    g_usleep(100 * 1000);
    qtest_qmp_ok(p.from, "migrate_cancel", NULL);
    json_object_unref(mig_wait(p.from, "cancelled"));
    assert_run_state(p.from, "running");
    seen = mig_events(p.from);
    g_assert_cmpstr(seen, ==, "setup,active,PASS,STOP,device,cancelling,RESUME,cancelled");
    g_thread_join(reader);
    close(fds[1]);
    start_unix(&p);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

/* ---- failures that leave the source running ---- */

static void assert_failed(FilePair *p, const char *text)
{
    g_autoptr(JsonObject) info = mig_wait(p->from, "failed");

    g_assert_nonnull(strstr(json_object_get_string_member(info, "error-desc"), text));
    g_assert_false(json_object_has_member(info, "ram"));
    assert_run_state(p->from, "running");
}

static void test_fail_no_listener(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *events = NULL;

    qtest_events_clear(p.from);
    start_unix(&p);
    assert_failed(&p, "socket");
    events = mig_events(p.from);
    g_assert_cmpstr(events, ==, "setup,failing,failed");
    file_pair_free(&p);
}

static void test_fail_destination_dies(void)
{
    FilePair p = file_pair_new(NULL, NULL, "q35", MIB, "");

    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 5000000}");
    mig_cap(p.from, "return-path", true);
    start_unix(&p);
    json_object_unref(mig_wait(p.from, "active"));
    qtest_kill(p.to);
    p.to = NULL;
    assert_failed(&p, "");
    file_pair_free(&p);
}

/* Another size of memory there: both sides say why, the source goes on. */
static void test_fail_refused(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *err = NULL, *path = file_pair_path(&p, "socket");

    p.to = qtest_init("-machine none -m %uM -incoming unix:%s", MIB + 1, path);
    mig_cap(p.from, "return-path", true);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'unix:%s'}", path);
    assert_failed(&p, "");
    g_assert_cmpint(qtest_wait_exit(p.to), ==, 1);
    err = qtest_stderr(p.to);
    g_assert_nonnull(strstr(err, "section 'ram'"));
    g_assert_nonnull(strstr(err, "RAM block"));
    qtest_kill(p.to);
    p.to = NULL;
    file_pair_free(&p);
}

/* With exit-on-error=false the process stays and tells. */
static void test_fail_stays(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "stream");
    g_autoptr(JsonObject) info = NULL;

    g_assert_true(g_file_set_contents(path, "QEVM\0\0\0\3\7", 9, NULL));
    file_pair_destination(&p, NULL, "none", "defer", "");
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'file:%s', 'exit-on-error': false}", path);
    info = mig_wait(p.to, "failed");
    g_assert_nonnull(strstr(json_object_get_string_member(info, "error-desc"), "configuration"));
    g_free(qtest_qmp_error(p.to, "migrate-incoming", "{'uri': 'file:%s'}", path));
    file_pair_free(&p);
}

static void test_one_way(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "stream");

    mig_cap(p.from, "return-path", true);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    assert_failed(&p, "one-way");
    /* The next one works: nothing is left of the failure. */
    mig_cap(p.from, "return-path", false);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'exec:exit 3'}");
    json_object_unref(mig_wait(p.from, "failed"));
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    g_free(qtest_qmp_error(p.from, "migrate", "{'uri': 'file:%s'}", path));
    file_pair_free(&p);
}

/* ---- options that change the stream ---- */

static void test_ignore_shared(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autoptr(JsonObject) info = NULL;
    g_autofree char *path = file_pair_path(&p, "socket");

    p.to = qtest_init("-machine none,memory-backend=m -m %uM -incoming defer -object "
                      "memory-backend-file,id=m,size=%uM,mem-path=%s,share=on", MIB, MIB,
                      p.from_mem);
    mig_cap(p.from, "x-ignore-shared", true);
    qtest_qmp_ok(p.to, "migrate-set-capabilities",
                 "{'capabilities': [{'capability': 'x-ignore-shared', 'state': true}]}");
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'unix:%s'}", path);
    info = mig_wait(p.from, "completed");
    json_object_unref(mig_wait(p.to, "completed"));
    g_assert_cmpint(json_object_get_int_member(json_object_get_object_member(info, "ram"),
                                               "transferred"), <, 10000);
    file_pair_free(&p);
}

/* The capability must be equal on both sides. */
static void test_ignore_shared_differs(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *err = NULL;

    mig_cap(p.from, "x-ignore-shared", true);
    start_unix(&p);
    g_assert_cmpint(qtest_wait_exit(p.to), ==, 1);
    err = qtest_stderr(p.to);
    g_assert_nonnull(strstr(err, "x-ignore-shared"));
    qtest_kill(p.to);
    p.to = NULL;
    file_pair_free(&p);
}

#define UUID_A "-uuid 00112233-4455-6677-8899-aabbccddeeff"
#define UUID_B "-uuid 00112233-4455-6677-8899-aabbccddeefe"

static void test_uuid(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, UUID_A);

    mig_cap(p.from, "validate-uuid", true);
    start_unix(&p);
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_free(&p);
}

static void test_uuid_differs(void)
{
    FilePair p = file_pair_source("none", MIB, UUID_A);
    g_autofree char *err = NULL;

    file_pair_destination(&p, NULL, "none", "defer", UUID_B);
    mig_cap(p.from, "validate-uuid", true);
    start_unix(&p);
    g_assert_cmpint(qtest_wait_exit(p.to), ==, 1);
    err = qtest_stderr(p.to);
    g_assert_nonnull(strstr(err, "aabbccddeeff"));
    qtest_kill(p.to);
    p.to = NULL;
    file_pair_free(&p);
}

static void test_suppress_vmdesc(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none,suppress-vmdesc=on", MIB, "");

    mig_cap(p.from, "return-path", true);
    start_unix(&p);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_free(&p);
    /* Only there: the receiver does not wait for it for ever. */
    p = file_pair_source("none,suppress-vmdesc=on", MIB, "");
    file_pair_destination(&p, NULL, "none", "defer", "");
    mig_cap(p.from, "return-path", true);
    start_unix(&p);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_free(&p);
}

/* ---- bandwidth, dirtying ---- */

static void test_bandwidth(void)
{
    FilePair p = file_pair_source("none", 4, "");
    g_autoptr(JsonObject) info = NULL;

    /* A limit of about 2 MB in the 100 ms windows that it takes. */
    qtest_qmp_ok(p.from, "migrate-set-parameters",
                 "{'max-bandwidth': 4000000, 'downtime-limit': 0}");
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'exec:cat > /dev/null'}");
    info = mig_wait(p.from, "completed");
    g_assert_cmpint(json_object_get_int_member(info, "total-time"), >=, 400);
    g_assert_cmpint(json_object_get_int_member(info, "total-time"), <, 5000);
    file_pair_free(&p);
}

/* Memory that is written while it is being sent is sent again. */
static void test_dirtying(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");

    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 20000000}");
    start_unix(&p);
    json_object_unref(mig_wait(p.from, "active"));
    for (unsigned i = 0; i < 400; i++) {
        qtest_writeq(p.from, (i * 7919ULL * 4096 + i * 8) % (MIB << 20), i * 0x0101010101010101ULL);
    }
    qtest_memset(p.from, 0x3000, 0, 0x5000);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

/* ---- HMP ---- */

static void test_hmp(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "socket");
    g_autofree char *text = NULL, *all = NULL, *sockets = NULL;

    text = qtest_hmp(p.from, "info migrate");
    g_assert_cmpstr(text, ==, "");
    g_free(text);
    text = qtest_hmp(p.to, "migrate_incoming unix:%s", path);
    g_assert_cmpstr(text, ==, "");
    sockets = qtest_hmp(p.to, "info migrate");
    g_assert_nonnull(strstr(sockets, "Sockets: ["));
    g_free(qtest_hmp(p.from, "migrate -d unix:%s", path));
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    g_free(text);
    text = qtest_hmp(p.from, "info migrate");
    g_assert_nonnull(strstr(text, "Status: \t\tcompleted"));
    g_assert_nonnull(strstr(text, "Time (ms): \t\ttotal="));
    g_assert_nonnull(strstr(text, "  Sizes: \t\tpagesize=4 KiB, total=24 MiB"));
    g_assert_nonnull(strstr(text, "dirty_syncs="));
    all = qtest_hmp(p.from, "info migrate -a");
    g_assert_nonnull(strstr(all, "  send-configuration: on"));
    g_free(text);
    text = qtest_hmp(p.from, "migrate_cancel");
    g_assert_cmpstr(text, ==, "");
    g_free(text);
    text = qtest_hmp(p.from, "migrate_continue nonsense");
    g_assert_nonnull(strstr(text, "nonsense"));
    file_pair_free(&p);
}

static void test_refused(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    static const char *const bad[] = {
        "{}",
        "{'uri': 'unix:/x', 'channels': []}",
        "{'uri': 'nonsense:/x'}",
        "{'uri': 'fd:unknown'}",
        "{'uri': 'unix:/x', 'resume': true}",
        ("{'channels': [{'channel-type': 'main', 'addr': {'transport': 'rdma', 'host': 'h', "
         "'port': '1'}}]}"),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_free(qtest_qmp_error(p.from, "migrate", "%s", bad[i]));
    }
    g_free(qtest_qmp_error(p.from, "migrate-incoming", "{'uri': 'unix:/x'}"));
    g_free(qtest_qmp_error(p.from, "migrate-continue", "{'state': 'pre-switchover'}"));
    g_free(qtest_qmp_error(p.from, "migrate-start-postcopy", NULL));
    qtest_qmp_ok(p.from, "migrate_cancel", NULL);
    file_pair_free(&p);
}

/* Memory on both sides of the hole below 4 GiB. */
static void test_above_4g(void)
{
    static const uint64_t at[] = { 0x1000, 0x7ffff000, 0x100000000, 0x13ffff000 };
    QTestState *from = qtest_init("-M q35 -m 3G"), *to = qtest_init("-M q35 -m 3G -incoming defer");
    g_autofree char *path = qtest_path(to, "socket");

    for (size_t i = 0; i < G_N_ELEMENTS(at); i++) {
        qtest_writeq(from, at[i], 0x1234567800000000 + i);
    }
    qtest_qmp_ok(to, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    qtest_qmp_ok(from, "migrate", "{'uri': 'unix:%s'}", path);
    json_object_unref(mig_wait(from, "completed"));
    json_object_unref(mig_wait(to, "completed"));
    for (size_t i = 0; i < G_N_ELEMENTS(at); i++) {
        g_assert_cmphex(qtest_readq(to, at[i]), ==, 0x1234567800000000 + i);
    }
    qtest_quit(from);
    qtest_quit(to);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc fn;
    } channels[] = {
        { "unix", test_unix }, { "tcp", test_tcp }, { "fd-socket", test_fd_socket },
        { "fd-pipe", test_fd_pipe }, { "fd-file", test_fd_file },
        { "fd-refused", test_fd_refused }, { "exec", test_exec }, { "file", test_file },
        { "structured", test_channels }, { "vsock", test_vsock },
    };
    static const char *const machines[] = { "none", "q35" };

    g_test_init(&argc, &argv, NULL);
    for (size_t m = 0; m < G_N_ELEMENTS(machines); m++) {
        for (size_t i = 0; i < G_N_ELEMENTS(channels); i++) {
            g_autofree char *path = g_strdup_printf("/precopy/channel/%s/%s", channels[i].name,
                                                    machines[m]);
            g_test_add_data_func(path, machines[m], channels[i].fn);
        }
    }
    g_test_add_func("/precopy/events", test_events);
    g_test_add_func("/precopy/paused", test_paused);
    g_test_add_func("/precopy/not-started", test_not_started);
    g_test_add_func("/precopy/pre-switchover", test_pre_switchover);
    g_test_add_func("/precopy/cancel/active", test_cancel_active);
    g_test_add_func("/precopy/cancel/pre-switchover", test_cancel_pre_switchover);
    g_test_add_func("/precopy/cancel/blocked", test_cancel_blocked);
    g_test_add_func("/precopy/cancel/device", test_cancel_device);
    g_test_add_func("/precopy/fail/no-listener", test_fail_no_listener);
    g_test_add_func("/precopy/fail/destination-dies", test_fail_destination_dies);
    g_test_add_func("/precopy/fail/refused", test_fail_refused);
    g_test_add_func("/precopy/fail/stays", test_fail_stays);
    g_test_add_func("/precopy/fail/one-way", test_one_way);
    g_test_add_func("/precopy/ignore-shared", test_ignore_shared);
    g_test_add_func("/precopy/ignore-shared/differs", test_ignore_shared_differs);
    g_test_add_func("/precopy/uuid", test_uuid);
    g_test_add_func("/precopy/uuid/differs", test_uuid_differs);
    g_test_add_func("/precopy/suppress-vmdesc", test_suppress_vmdesc);
    g_test_add_func("/precopy/bandwidth", test_bandwidth);
    g_test_add_func("/precopy/dirtying", test_dirtying);
    g_test_add_func("/precopy/hmp", test_hmp);
    g_test_add_func("/precopy/above-4g", test_above_4g);
    g_test_add_func("/precopy/refused", test_refused);
    return g_test_run();
}
