/*
 * Monitors that come and go while the machine runs, and those behind telnet and TLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "io/tls.h"
#include "libqtest.h"
#include "tls-files.h"
#include "util/util.h"

#define PSK "0123456789abcdef0123456789abcdef"

static int connect_to(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = { .tv_sec = QTEST_TIMEOUT };

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    strcpy(a.sun_path, path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    return fd;
}

/* Read until `want` has come. */
static void expect(IOChannel *ioc, const char *want)
{
    g_autoptr(GString) got = g_string_new(NULL);
    g_autoptr(Error) err = NULL;
    char byte;

    while (!strstr(got->str, want)) {
        if (io_channel_read_all(ioc, &byte, 1, &err) != 1) {
            g_error("'%s' instead of '%s': %s", got->str, want, err ? err->message : "the end");
        }
        g_string_append_c(got, byte ? byte : '@'); /* telnet has zeros */
    }
}

static void say(IOChannel *ioc, const char *text)
{
    struct iovec iov = { (void *)text, strlen(text) };

    g_assert_true(io_channel_writev_all(ioc, &iov, 1, NULL));
}

static void add_monitor(QTestState *s, const char *path, const char *extra)
{
    qtest_qmp_ok(s, "chardev-add", "{'id': 'c', 'backend': {'type': 'socket', 'data': {'addr': "
                 "{'type': 'unix', 'data': {'path': '%s'}}}}}", path);
    qtest_qmp_ok(s, "object-add", "{'qom-type': 'monitor-qmp', 'id': 'm', 'chardev': 'c'%s}",
                 extra);
}

static bool object_exists(QTestState *s, const char *id)
{
    g_autoptr(JsonNode) list = qtest_qmp(s, "qom-list", "{'path': '/objects'}");
    JsonArray *a = json_node_get_array(list);

    for (guint i = 0; i < json_array_get_length(a); i++) {
        JsonObject *o = json_array_get_object_element(a, i);
        if (g_str_equal(json_object_get_string_member(o, "name"), id)) {
            return true;
        }
    }
    return false;
}

/* object-del while a client is in the middle of something; then all over again. */
static void test_delete(void)
{
    QTestState *s = qtest_init("-M none");
    g_autofree char *path = qtest_path(s, "extra");

    for (int i = 0; i < 5; i++) {
        add_monitor(s, path, "");
        g_autoptr(IOChannel) ioc = io_channel_socket_new(connect_to(path));
        expect(ioc, "\"QMP\"");
        say(ioc, "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"query-sta");
        if (i % 2) {
            expect(ioc, "return");
        }
        g_autofree char *busy = qtest_qmp_error(s, "chardev-remove", "{'id': 'c'}");
        g_assert_nonnull(strstr(busy, "in use"));
        qtest_qmp_ok(s, "object-del", "{'id': 'm'}");
        qtest_qmp_ok(s, "chardev-remove", "{'id': 'c'}");
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
    qtest_quit(s);
}

static void test_delete_itself(void)
{
    QTestState *s = qtest_init("-M none -chardev ringbuf,id=r -object monitor-hmp,id=h,chardev=r");
    g_autofree char *e = qtest_qmp_error(s, "object-del", "{'id': 'qmpcompat0'}");
    g_autofree char *hmp = qtest_hmp(s, "object_del qmpcompat0");

    g_assert_nonnull(strstr(e, "cannot delete itself"));
    g_assert_nonnull(strstr(hmp, "cannot delete itself"));
    qtest_qmp_ok(s, "object-del", "{'id': 'h'}");
    qtest_qmp_ok(s, "chardev-remove", "{'id': 'r'}");
    qtest_quit(s);
}

static void test_close_action(void)
{
    QTestState *s = qtest_init("-M none");
    g_autofree char *path = qtest_path(s, "extra");

    for (int i = 0; i < 3; i++) {
        add_monitor(s, path, ", 'close-action': 'delete'");
        g_autoptr(IOChannel) ioc = io_channel_socket_new(connect_to(path));
        say(ioc, "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"query-status\"}\n");
        expect(ioc, "running");
        g_assert_true(object_exists(s, "m"));
        io_channel_close(ioc, NULL);
        for (int n = 0; n < 3000 && object_exists(s, "m"); n++) {
            g_usleep(10000);
        }
        g_assert_false(object_exists(s, "m"));
        g_autofree char *e = qtest_qmp_error(s, "chardev-remove", "{'id': 'c'}");
        g_assert_nonnull(strstr(e, "Chardev 'c' not found"));
    }
    qtest_quit(s);
}

static void test_telnet(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-telnet-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    QTestState *s = qtest_init("-M none -chardev socket,id=t,path=%s,server=on,wait=off,telnet=on "
                               "-mon t", path);
    g_autoptr(IOChannel) ioc = io_channel_socket_new(connect_to(path));

    expect(ioc, "\xff\xfb\x01");
    expect(ioc, "(qemu) ");
    say(ioc, "\xff\xfd\x03info status\r\n");
    expect(ioc, "VM status: running");
    qtest_quit(s);
    rmdir(dir);
}

/* QMP over TLS: a client with the key, and one whom authz does not let in. */
static void test_tls(void)
{
    char *dir = tls_dir_new();
    g_autofree char *path = g_strdup_printf("%s/s", dir);
    TlsCredsOptions o = { .kind = TLS_CREDS_PSK, .dir = dir };
    g_autoptr(Error) err = NULL;

    tls_write_psk(dir, "qemu", PSK);
    for (int allowed = 1; allowed >= 0; allowed--) {
        QTestState *s = qtest_init(
            "-M none -object tls-creds-psk,id=tls,dir=%s,endpoint=server "
            "-object authz-simple,id=who,identity=%s "
            "-chardev socket,id=t,path=%s,server=on,wait=off,tls-creds=tls,tls-authz=who "
            "-object monitor-qmp,id=m,chardev=t", dir, allowed ? "qemu" : "somebody", path);
        g_autoptr(TlsCreds) creds = tls_creds_new(&o, &err);
        g_autoptr(IOChannel) ioc =
            io_channel_tls_new(io_channel_socket_new(connect_to(path)), creds, NULL, &err);
        char byte;

        g_assert_no_error(err);
        g_assert_true(io_channel_tls_handshake(ioc, QTEST_TIMEOUT * 1000, &err));
        if (allowed) {
            expect(ioc, "\"QMP\"");
            say(ioc, "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"quit\"}\n");
            /* The last event is not lost when the process ends. */
            expect(ioc, "host-qmp-quit");
            g_assert_cmpint(qtest_wait_exit(s), ==, 0);
            qtest_kill(s);
        } else {
            g_assert_cmpint(io_channel_read_all(ioc, &byte, 1, &err), ==, -1);
            g_assert_nonnull(strstr(err->message, "access denied"));
            g_clear_error(&err);
            qtest_quit(s);
        }
    }
    tls_dir_free(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor-objects/delete", test_delete);
    g_test_add_func("/monitor-objects/delete-itself", test_delete_itself);
    g_test_add_func("/monitor-objects/close-action", test_close_action);
    g_test_add_func("/monitor-objects/telnet", test_telnet);
    g_test_add_func("/monitor-objects/tls", test_tls);
    return g_test_run();
}
