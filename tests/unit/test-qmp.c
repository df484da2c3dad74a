/*
 * QMP over a socket: greeting, negotiation, ids, order, garbage, events, descriptors,
 * out-of-band commands while the main thread is busy.
 *
 * The main thread runs the loop under the machine lock, as in the emulator; the client
 * is a thread that reads and writes the socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "monitor/monitor.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "util/util.h"

static char *paths[3]; /* of three monitors */
static bool done; /* atomic: the client has finished */

typedef struct Client {
    int fd;
    FILE *in;
} Client;

static Client client_open_nr(int nr)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    Client c = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), NULL };

    g_strlcpy(addr.sun_path, paths[nr], sizeof(addr.sun_path));
    g_assert_cmpint(connect(c.fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    c.in = fdopen(dup(c.fd), "r");
    return c;
}

static Client client_open(void)
{
    return client_open_nr(0);
}

static void client_close(Client *c)
{
    fclose(c->in);
    close(c->fd);
}

static void client_send(Client *c, const char *text)
{
    g_assert_cmpint(write(c->fd, text, strlen(text)), ==, strlen(text));
}

/* Next line; without CR LF, and with the time stamp of an event taken out. */
static char *client_line(Client *c)
{
    char buf[1 << 16];
    char *stamp;

    g_assert_nonnull(fgets(buf, sizeof(buf), c->in));
    g_assert_true(g_str_has_suffix(buf, "\r\n"));
    buf[strlen(buf) - 2] = '\0';
    stamp = strstr(buf, "\"timestamp\":{");
    if (stamp) {
        char *end = strstr(stamp, "},");
        g_assert_nonnull(end);
        memmove(stamp, end + 2, strlen(end + 2) + 1);
    }
    return g_strdup(buf);
}

static void expect(Client *c, const char *text)
{
    g_autofree char *line = client_line(c);

    g_assert_cmpstr(line, ==, text);
}

static void expect_part(Client *c, const char *text)
{
    g_autofree char *line = client_line(c);

    if (!strstr(line, text)) {
        g_test_message("'%s' lacks '%s'", line, text);
        g_test_fail();
    }
}

#define OK "{\"return\":{}}"

static Client client_ready_nr(int nr, bool oob)
{
    Client c = client_open_nr(nr);

    expect_part(&c, "\"QMP\"");
    client_send(&c, oob ? "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}\n"
                        : "{'execute':'qmp_capabilities'}\n");
    expect(&c, OK);
    return c;
}

static Client client_ready(bool oob)
{
    return client_ready_nr(0, oob);
}

/* Run `fn` as the client, the main loop meanwhile. */
static void run_client(GThreadFunc fn)
{
    GThread *t = g_thread_new("client", fn, NULL);

    while (!__atomic_load_n(&done, __ATOMIC_SEQ_CST)) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_thread_join(t);
    done = false;
}

static void finish_in_main(void *opaque)
{
    __atomic_store_n(&done, true, __ATOMIC_SEQ_CST);
}

static gpointer finish(void)
{
    main_loop_call(finish_in_main, NULL);
    return NULL;
}

static gpointer negotiation(gpointer opaque)
{
    Client c = client_open();

    expect(&c, "{\"QMP\":{\"version\":{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":22},"
               "\"package\":\"ferry-" FERRY_VERSION "\"},\"capabilities\":[\"oob\"]}}");
    client_send(&c, "{'execute':'query-version'}\n");
    expect(&c, "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":"
               "\"Expecting capabilities negotiation with 'qmp_capabilities'\"}}");
    client_send(&c, "{'execute':'qmp_capabilities','arguments':{'enable':['fly']},'id':[1]}\n");
    expect(&c, "{\"id\":[1],\"error\":{\"class\":\"GenericError\",\"desc\":"
               "\"Parameter 'enable[0]' does not accept value 'fly'\"}}");
    client_send(&c, "{'execute':'qmp_capabilities','id':{'a':null}}\n");
    expect(&c, "{\"return\":{},\"id\":{\"a\":null}}");
    client_send(&c, "{'execute':'qmp_capabilities'}\n");
    expect_part(&c, "Capabilities negotiation is already complete");
    client_close(&c);
    return finish();
}

static gpointer requests(gpointer opaque)
{
    static const struct { const char *request, *reply; } rows[] = {
        { "{'execute':'nosuch'}", "\"CommandNotFound\",\"desc\":\"The command nosuch has not been found" },
        { "{'execute':1}", "QMP input member 'execute' must be a string" },
        { "{'id':5}", "{\"id\":5,\"error\":{\"class\":\"GenericError\",\"desc\":\"QMP input lacks" },
        { "{'execute':'query-version','x':1}", "QMP input member 'x' is unexpected" },
        { "{'exec-oob':'query-version'}", "QMP input member 'exec-oob' is unexpected" },
        { "{'execute':'query-version','arguments':[]}", "'arguments' must be an object" },
        { "{'execute':'query-version','arguments':{'x':1}}", "Parameter 'x' is unexpected" },
        { "[]", "QMP input must be a JSON object" },
        { "{'execute': }", "JSON parse error, expecting value" },
        { "{'execute':'query-version'", NULL },
        { "\377{'execute':'query-version','id':1}", "stray byte 0xff" },
        { NULL, "\"id\":1" },
        { "{'execute':\n 'query-name'\n}", "{\"return\":{}}" },
        { "{'execute':'query-version','id':1}{'execute':'query-version','id':2}", "\"id\":1" },
        { NULL, "\"id\":2" },
        { "{'execute':'human-monitor-command','arguments':{'command-line':'info status'}}",
          "{\"return\":\"VM status: paused (prelaunch)\\r\\n\"}" },
        { "{'execute':'qom-get','arguments':{'path':'/nosuch','property':'x'}}",
          "\"DeviceNotFound\",\"desc\":\"Device '/nosuch' not found\"" },
    };
    Client c = client_ready(false);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].request) {
            client_send(&c, rows[i].request);
            client_send(&c, "\n");
        }
        if (rows[i].reply) {
            expect_part(&c, rows[i].reply);
        }
    }
    client_close(&c);
    return finish();
}

/* Many requests in one write are answered in order, with and without oob. */
static gpointer pipeline(gpointer opaque)
{
    for (int oob = 0; oob < 2; oob++) {
        Client c = client_ready(oob);
        g_autoptr(GString) all = g_string_new(NULL);

        for (int i = 0; i < 500; i++) {
            g_string_append_printf(all, "{'execute':'query-name','id':%d}\n", i);
        }
        client_send(&c, all->str);
        for (int i = 0; i < 500; i++) {
            g_autofree char *want = g_strdup_printf("{\"return\":{},\"id\":%d}", i);
            expect(&c, want);
        }
        client_close(&c);
    }
    return finish();
}

static gpointer events(gpointer opaque)
{
    Client quiet = client_open_nr(2);
    Client a = client_ready_nr(0, false), b = client_ready_nr(1, true);

    expect_part(&quiet, "\"QMP\"");
    qmp_event_emit("STOP", NULL);
    JsonObject *data = json_object_new();
    json_object_set_int_member(data, "x", 1);
    qmp_event_emit("TEST", data);
    for (int i = 0; i < 2; i++) {
        expect(i ? &b : &a, "{\"event\":\"STOP\"}");
        expect(i ? &b : &a, "{\"event\":\"TEST\",\"data\":{\"x\":1}}");
    }
    /* Before negotiation there are no events. */
    client_send(&quiet, "{'execute':'qmp_capabilities'}\n");
    expect(&quiet, OK);
    client_close(&a);
    client_close(&b);
    client_close(&quiet);
    return finish();
}

/* Of events that come too fast, the first and the newest go out. */
static gpointer rate_limit(gpointer opaque)
{
    Client c = client_ready(false);

    for (int i = 0; i < 5; i++) {
        JsonObject *data = json_object_new();
        json_object_set_int_member(data, "offset", i);
        qmp_event_emit("RTC_CHANGE", data);
    }
    expect(&c, "{\"event\":\"RTC_CHANGE\",\"data\":{\"offset\":0}}");
    expect(&c, "{\"event\":\"RTC_CHANGE\",\"data\":{\"offset\":4}}");
    client_close(&c);
    return finish();
}

static void send_with_fd(Client *c, const char *text, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = { (void *)text, strlen(text) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
                          .msg_controllen = sizeof(control.space) };
    struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cm), &fd, sizeof(int));
    g_assert_cmpint(sendmsg(c->fd, &msg, 0), ==, strlen(text));
}

static gpointer descriptors(gpointer opaque)
{
    Client c = client_ready(false);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    client_send(&c, "{'execute':'getfd','arguments':{'fdname':'a'}}\n");
    expect_part(&c, "No file descriptor supplied via SCM_RIGHTS");
    send_with_fd(&c, "{'execute':'getfd','arguments':{'fdname':'a'}}\n", null);
    expect(&c, OK);
    send_with_fd(&c, "{'execute':'getfd','arguments':{'fdname':'1a'}}\n", null);
    expect_part(&c, "name not starting with a digit");
    client_send(&c, "{'execute':'closefd','arguments':{'fdname':'a'}}\n");
    expect(&c, OK);
    client_send(&c, "{'execute':'closefd','arguments':{'fdname':'a'}}\n");
    expect_part(&c, "File descriptor named 'a' not found");
    send_with_fd(&c, "{'execute':'add-fd','arguments':{'fdset-id':7,'opaque':'x'}}\n", null);
    expect_part(&c, "\"fdset-id\":7");
    client_send(&c, "{'execute':'query-fdsets'}\n");
    expect_part(&c, "\"opaque\":\"x\"");
    client_send(&c, "{'execute':'pmemsave','arguments':{'val':0,'size':0,"
                    "'filename':'/dev/fdset/7'}}\n");
    expect(&c, OK);
    client_send(&c, "{'execute':'pmemsave','arguments':{'val':0,'size':0,"
                    "'filename':'/dev/fdset/8'}}\n");
    expect_part(&c, "there is no file descriptor in set 8");
    client_send(&c, "{'execute':'remove-fd','arguments':{'fdset-id':7}}\n");
    expect(&c, OK);
    client_send(&c, "{'execute':'remove-fd','arguments':{'fdset-id':7}}\n");
    expect_part(&c, "File descriptor named 'fdset-id:7' not found");
    close(null);
    client_close(&c);
    return finish();
}

static GMutex busy;

static void be_busy(void *opaque)
{
    g_mutex_lock(&busy); /* until the client lets go */
    g_mutex_unlock(&busy);
}

/*
 * While the main thread is stuck, exec-oob is answered or refused, and an in-band command
 * waits; a connection can be yanked then.
 */
static gpointer out_of_band(gpointer opaque)
{
    Client c = client_ready(true);

    g_mutex_lock(&busy);
    main_loop_call(be_busy, NULL);
    client_send(&c, "{'execute':'query-name','id':'i'}\n");
    client_send(&c, "{'exec-oob':'query-version','id':'v'}\n");
    expect(&c, "{\"id\":\"v\",\"error\":{\"class\":\"GenericError\",\"desc\":"
               "\"The command query-version does not support OOB\"}}");
    client_send(&c, "{'exec-oob':'nosuch','id':'n'}\n");
    expect_part(&c, "\"CommandNotFound\"");
    client_send(&c, "{'exec-oob':'query-yank','id':'q'}\n");
    expect_part(&c, "{\"type\":\"chardev\",\"id\":\"mon1\"}");
    client_send(&c, "{'exec-oob':'yank','arguments':{'instances':[{'type':'migration'}]}}\n");
    expect_part(&c, "\"DeviceNotFound\"");
    client_send(&c, "{'exec-oob':'yank','arguments':{'instances':"
                "[{'type':'chardev','id':'mon2'}]},'id':'y'}\n");
    expect(&c, "{\"return\":{},\"id\":\"y\"}");
    g_mutex_unlock(&busy);
    expect(&c, "{\"return\":{},\"id\":\"i\"}");
    client_close(&c);
    return finish();
}

/* A client that goes away with requests waiting; the next one starts afresh. */
static gpointer reconnect(gpointer opaque)
{
    for (int i = 0; i < 20; i++) {
        Client c = client_ready(i & 1);
        client_send(&c, "{'execute':'query-version'}{'execute':'query-name'}{'execute':'query-");
        client_close(&c);
    }
    return finish();
}

static void test(gconstpointer fn)
{
    run_client((GThreadFunc)fn);
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-qmp-XXXXXX", NULL);
    int ret;

    g_test_init(&argc, &argv, NULL);
    machine_lock();
    main_loop_init();
    for (int i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("qmp%d", i);
        paths[i] = g_build_filename(dir, name, NULL);
        g_autofree char *opts = g_strdup_printf("socket,id=mon%d,path=%s,server=on,wait=off", i,
                                                paths[i]);
        Error *err = NULL;
        Chardev *c = chardev_new_from_opts(opts, &err);
        g_assert_no_error(err);
        g_assert_nonnull(monitor_new_qmp(c, false, &err));
    }
    g_test_add_data_func("/qmp/negotiation", negotiation, test);
    g_test_add_data_func("/qmp/requests", requests, test);
    g_test_add_data_func("/qmp/pipeline", pipeline, test);
    g_test_add_data_func("/qmp/events", events, test);
    g_test_add_data_func("/qmp/rate-limit", rate_limit, test);
    g_test_add_data_func("/qmp/descriptors", descriptors, test);
    g_test_add_data_func("/qmp/out-of-band", out_of_band, test);
    g_test_add_data_func("/qmp/reconnect", reconnect, test);
    ret = g_test_run();
    monitor_cleanup_all();
    chardev_cleanup_all();
    for (int i = 0; i < 3; i++) {
        unlink(paths[i]);
        g_free(paths[i]);
    }
    rmdir(dir);
    return ret;
}
