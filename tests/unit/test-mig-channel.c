/*
 * Unit tests of migration/channel*.c: addresses in all their forms, each kind of connector
 * and listener, cancelling.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "migration/channel.h"
#include "qapi/visit.h"
#include "util/util.h"

static void test_uri(void)
{
    static const char *const same[] = {
        "tcp:host:4444", "unix:/tmp/s", "vsock:2:9", "fd:mig", "file:/tmp/f",
        "file:/tmp/f,offset=0x1000",
    };
    static const struct {
        const char *uri, *part;
    } bad[] = {
        { "", "unknown migration address ''; there are tcp:HOST:PORT" },
        { "http://x", "exec:COMMAND, file:NAME" }, { "exec:", "needs a command" },
        { "file:", "needs a name" }, { "file:x,offset=y", "'y' is not a size" },
        { "rdma:h:1", "RDMA is not supported" }, { "tcp:x", "HOST:PORT" },
        { "unix:", "needs a path" }, { "fd:", "fd:FD" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        g_autoptr(MigrateAddress) a = migrate_address_parse(same[i], NULL);
        g_autoptr(MigrateAddress) b = migrate_address_copy(a);
        g_autofree char *text = migrate_address_to_str(b);
        g_assert_cmpstr(text, ==, same[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autoptr(Error) err = NULL;
        g_assert_null(migrate_address_parse(bad[i].uri, &err));
        if (!strstr(err->message, bad[i].part)) {
            g_error("%s: %s", bad[i].uri, err->message);
        }
    }
    g_autoptr(MigrateAddress) e = migrate_address_parse("exec:cat > x", NULL);
    g_assert_cmpstr(e->args[0], ==, "/bin/sh");
    g_assert_cmpstr(e->args[2], ==, "cat > x");
    g_assert_null(e->args[3]);
}

static MigrateAddress *from_channels(const char *json, Error **errp)
{
    g_autoptr(JsonNode) node = json_from_string(json, NULL);
    g_autoptr(GPtrArray) list = migration_channel_list_new();
    JsonArray *array = json_node_get_array(node);

    for (guint i = 0; i < json_array_get_length(array); i++) {
        MigrationChannel *c = migration_channel_from_json(json_array_get_element(array, i), errp);
        if (!c) {
            return NULL;
        }
        g_ptr_array_add(list, c);
    }
    return migrate_address_from_args(NULL, list, errp);
}

static void test_qapi(void)
{
    static const struct {
        const char *json, *text;
    } good[] = {
        { "[{'channel-type':'main','addr':{'transport':'socket','type':'inet','host':'h',"
          "'port':'1','to':9}}]", "tcp:h:1" },
        { "[{'channel-type':'main','addr':{'transport':'socket','type':'unix','path':'/s'}}]",
          "unix:/s" },
        { "[{'channel-type':'main','addr':{'transport':'socket','type':'vsock','cid':'3',"
          "'port':'4'}}]", "vsock:3:4" },
        { "[{'channel-type':'main','addr':{'transport':'socket','type':'fd','str':'m'}}]",
          "fd:m" },
        { "[{'channel-type':'main','addr':{'transport':'exec','args':['a','b']}}]", "exec:a b" },
        { "[{'channel-type':'main','addr':{'transport':'file','filename':'f','offset':16}}]",
          "file:f,offset=0x10" },
    };
    static const struct {
        const char *json, *part;
    } bad[] = {
        { "[]", "exactly one entry" },
        { "[{'channel-type':'cpr','addr':{'transport':'exec','args':['a']}}]", "cpr is not expected" },
        { "[{'channel-type':'main','addr':{'transport':'exec','args':[]}}]", "at least" },
        { "[{'channel-type':'main','addr':{'transport':'rdma','host':'h','port':'1'}}]", "RDMA" },
        { "[{'channel-type':'main','addr':{'transport':'file','filename':'','offset':0}}]",
          "filename" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        g_autofree char *json = g_strdelimit(g_strdup(good[i].json), "'", '"');
        g_autoptr(Error) err = NULL;
        g_autoptr(MigrateAddress) a = from_channels(json, &err);
        g_assert_no_error(err);
        g_autofree char *text = migrate_address_to_str(a);
        g_assert_cmpstr(text, ==, good[i].text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *json = g_strdelimit(g_strdup(bad[i].json), "'", '"');
        g_autoptr(Error) err = NULL;
        g_assert_null(from_channels(json, &err));
        if (!strstr(err->message, bad[i].part)) {
            g_error("%s: %s", bad[i].json, err->message);
        }
    }
    g_autoptr(Error) err = NULL;
    g_assert_null(migrate_address_from_args(NULL, NULL, &err));
    g_assert_nonnull(strstr(err->message, "exactly one of 'uri' and 'channels'"));
}

static void test_option(void)
{
    static const struct {
        const char *arg, *text;
    } good[] = {
        { "tcp:0:1", "tcp:0:1" },
        { "{\"channel-type\":\"main\",\"addr\":{\"transport\":\"socket\",\"type\":\"unix\","
          "\"path\":\"/s\"}}", "unix:/s" },
        { "channel-type=main,addr.transport=socket,addr.type=inet,addr.host=h,addr.port=5,"
          "addr.to=7,addr.ipv4=on", "tcp:h:5" },
        { "channel-type=main,addr.transport=file,addr.filename=f,addr.offset=32",
          "file:f,offset=0x20" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        g_autoptr(Error) err = NULL;
        g_autoptr(MigrateAddress) a = migrate_address_from_option(good[i].arg, &err);
        g_assert_no_error(err);
        g_autofree char *text = migrate_address_to_str(a);
        g_assert_cmpstr(text, ==, good[i].text);
    }
    g_assert_null(migrate_address_from_option("{\"channel-type\":\"main\"}", NULL));
    g_assert_null(migrate_address_from_option("{", NULL));
    g_assert_null(migrate_address_from_option("channel-type=main,addr.transport=socket", NULL));
}

/* Listening and connecting, with the default main context run by the test. */

typedef struct Got {
    IOChannel *ioc;
    int count;
    MigListener *free_me; /* freed inside the callback */
} Got;

static void accepted(IOChannel *ioc, void *opaque)
{
    Got *g = opaque;

    g->count++;
    io_channel_unref(g->ioc);
    g->ioc = ioc;
    if (g->free_me) {
        mig_listener_free(g_steal_pointer(&g->free_me));
    }
}

static void run_until(Got *g, int count)
{
    int64_t end = host_clock_ms() + 3000;

    while (g->count < count && host_clock_ms() < end) {
        g_main_context_iteration(NULL, false);
        g_usleep(500);
    }
    g_assert_cmpint(g->count, ==, count);
}

static IOChannel *connect_to(const char *uri)
{
    g_autoptr(MigrateAddress) a = migrate_address_parse(uri, NULL);
    g_autoptr(Error) err = NULL;
    g_autoptr(MigConnector) c = mig_connector_new(a, &err);
    IOChannel *ioc;

    g_assert_no_error(err);
    ioc = mig_connector_connect(c, &err);
    g_assert_no_error(err);
    return ioc;
}

static void send_text(IOChannel *ioc, const char *text)
{
    struct iovec iov = { (void *)text, strlen(text) };

    g_assert_true(io_channel_writev_all(ioc, &iov, 1, NULL));
}

static void expect_text(IOChannel *ioc, const char *text)
{
    char buf[64] = "";

    g_assert_cmpint(io_channel_read_all(ioc, buf, strlen(text), NULL), ==, 1);
    g_assert_cmpstr(buf, ==, text);
}

static MigListener *listen_on(const char *uri, Got *g)
{
    g_autoptr(MigrateAddress) a = migrate_address_parse(uri, NULL);
    g_autoptr(Error) err = NULL;
    MigListener *l = mig_listener_new(a, accepted, g, &err);

    g_assert_no_error(err);
    return l;
}

static void test_tcp(void)
{
    Got g = { 0 };
    MigListener *l = listen_on("tcp:127.0.0.1:0", &g);
    g_autoptr(SocketAddress) a = mig_listener_address(l);
    g_autofree char *uri = NULL;

    g_assert_cmpint(a->type, ==, SOCKET_ADDRESS_TYPE_INET);
    g_assert_cmpstr(a->u.inet.host, ==, "127.0.0.1");
    g_assert_cmpstr(a->u.inet.port, !=, "0");
    uri = g_strdup_printf("tcp:127.0.0.1:%s", a->u.inet.port);
    for (int i = 1; i <= 2; i++) {
        g_autoptr(IOChannel) out = connect_to(uri);
        g_assert_true(out->two_way);
        run_until(&g, i);
        send_text(out, "one way");
        expect_text(g.ioc, "one way");
        send_text(g.ioc, "and back");
        expect_text(out, "and back");
    }
    mig_listener_free(l);
    io_channel_unref(g.ioc);
}

static void test_unix(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    Got g = { 0 };
    g_autoptr(IOChannel) out = NULL;

    g.free_me = listen_on(uri, &g);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    out = connect_to(uri);
    run_until(&g, 1);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    send_text(out, "x");
    expect_text(g.ioc, "x");
    io_channel_unref(g.ioc);
    g_rmdir(dir);
}

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "file", NULL);
    g_autofree char *uri = g_strdup_printf("file:%s,offset=0x1000", path);
    Got g = { 0 };
    IOChannel *out;
    MigListener *l;
    struct stat st;

    g_assert_true(g_file_set_contents(path, "old content", -1, NULL));
    out = connect_to(uri);
    send_text(out, "new");
    g_assert_true(io_channel_close(out, NULL));
    io_channel_unref(out);
    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 0x1003);
    l = listen_on(uri, &g);
    run_until(&g, 1);
    expect_text(g.ioc, "new");
    g_assert_null(mig_listener_address(l));
    mig_listener_free(l);
    io_channel_unref(g.ioc);
    g_unlink(path);
    g_rmdir(dir);
}

static void test_exec(void)
{
    Got g = { 0 };
    MigListener *l = listen_on("exec:printf abc", &g);
    IOChannel *out;

    run_until(&g, 1);
    expect_text(g.ioc, "abc");
    g_assert_true(io_channel_close(g.ioc, NULL));
    io_channel_unref(g.ioc);
    mig_listener_free(l);
    out = connect_to("exec:cat");
    send_text(out, "echo");
    expect_text(out, "echo");
    g_assert_true(io_channel_close(out, NULL));
    io_channel_unref(out);
}

static void test_fd(void)
{
    g_autoptr(Error) err = NULL;
    int pair[2], pipes[2], file;
    g_autofree char *uri = NULL, *in_uri = NULL, *file_uri = NULL;
    Got g = { 0 };
    IOChannel *out;
    MigListener *l;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    uri = g_strdup_printf("fd:%d", pair[0]);
    in_uri = g_strdup_printf("fd:%d", pair[1]);
    l = listen_on(in_uri, &g);
    g_main_context_iteration(NULL, false);
    g_assert_cmpint(g.count, ==, 0); /* nothing has come yet */
    out = connect_to(uri);
    g_assert_true(out->two_way);
    send_text(out, "abc");
    run_until(&g, 1);
    expect_text(g.ioc, "abc");
    mig_listener_free(l);
    io_channel_unref(out);
    io_channel_unref(g_steal_pointer(&g.ioc));

    /* A pipe: not to be read from its writing end. */
    g_assert_cmpint(pipe(pipes), ==, 0);
    g_free(in_uri);
    in_uri = g_strdup_printf("fd:%d", pipes[1]);
    g_autoptr(MigrateAddress) a = migrate_address_parse(in_uri, NULL);
    g_assert_null(mig_listener_new(a, accepted, &g, &err));
    g_assert_nonnull(strstr(err->message, "cannot be read"));
    g_clear_error(&err);
    close(pipes[0]);

    file = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    file_uri = g_strdup_printf("fd:%d", file);
    g_autoptr(MigrateAddress) f = migrate_address_parse(file_uri, NULL);
    g_assert_null(mig_connector_new(f, &err));
    g_assert_nonnull(strstr(err->message, "neither a socket nor a pipe nor a file"));
    g_clear_error(&err);
    g_autoptr(MigrateAddress) n = migrate_address_parse("fd:nobody", NULL);
    g_assert_null(mig_connector_new(n, &err));
    g_assert_nonnull(strstr(err->message, "nobody"));
}

static void test_cancel(void)
{
    g_autoptr(MigrateAddress) a = migrate_address_parse("unix:/nonexistent/sock", NULL);
    g_autoptr(MigConnector) c = mig_connector_new(a, NULL);
    g_autoptr(Error) err = NULL;

    g_assert_null(mig_connector_connect(c, &err));
    g_assert_nonnull(strstr(err->message, "/nonexistent/sock"));
    g_clear_error(&err);
    mig_connector_cancel(c);
    mig_connector_cancel(c);
    g_assert_null(mig_connector_connect(c, &err));
    g_assert_nonnull(strstr(err->message, "cancelled"));
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mig-channel/uri", test_uri);
    g_test_add_func("/mig-channel/qapi", test_qapi);
    g_test_add_func("/mig-channel/option", test_option);
    g_test_add_func("/mig-channel/tcp", test_tcp);
    g_test_add_func("/mig-channel/unix", test_unix);
    g_test_add_func("/mig-channel/file", test_file);
    g_test_add_func("/mig-channel/exec", test_exec);
    g_test_add_func("/mig-channel/fd", test_fd);
    g_test_add_func("/mig-channel/cancel", test_cancel);
    return g_test_run();
}
