/*
 * virtio-serial through qtest: ports and how the guest learns of them, bytes both ways, who is
 * connected, and a move with bytes in flight.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio-rings.h"

#define SLOT(n) ((n) << 3)
#define AGENT "org.qemu.guest_agent.0"
#define QUEUES 6

enum { IN0, OUT0, CONTROL_IN, CONTROL_OUT, IN1, OUT1 };
enum { DEVICE_READY, PORT_ADD, PORT_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME };

/* A machine with a console (port 0) and an agent's channel (port 1). */
static QTestState *start(const char *more)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-vser-XXXXXX", NULL);
    QTestState *s = qtest_init(
        "-machine pc -m 16M -nodefaults -device virtio-serial-pci,id=vs,addr=4 "
        "-chardev socket,id=agent,path=%s/agent,server=on,wait=off "
        "-chardev file,id=con,path=%s/con "
        "-device virtserialport,bus=vs.0,nr=1,chardev=agent,id=channel0,name=" AGENT " "
        "-device virtconsole,bus=vs.0,chardev=con,id=c0 %s", dir, dir, more);

    g_setenv("VSER_DIR", dir, TRUE);
    return s;
}

static int connect_agent(void)
{
    g_autofree char *path = g_build_filename(g_getenv("VSER_DIR"), "agent", NULL);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = { .tv_sec = QTEST_TIMEOUT };
    struct {
        sa_family_t family;
        char path[108];
    } addr = { .family = AF_UNIX };

    g_strlcpy(addr.path, path, sizeof(addr.path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

/* Ends it; dir had its files. */
static void end(QTestState *s, const char *dir)
{
    g_autofree char *con = g_build_filename(dir, "con", NULL);

    qtest_quit(s); /* removes the socket */
    unlink(con);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

/* What the console has said. */
static void expect_console(const char *want)
{
    g_autofree char *path = g_build_filename(g_getenv("VSER_DIR"), "con", NULL);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, want);
}

static void say(Ring *q, uint32_t id, uint16_t event, uint16_t value)
{
    const struct {
        uint32_t id;
        uint16_t event, value;
    } m = { id, event, value };

    ring_send(&q[CONTROL_OUT], 0, &m, sizeof(m));
    ring_take(&q[CONTROL_OUT], NULL);
}

/* The next message of the device. */
static void hear(Ring *q, uint32_t id, uint16_t event, uint16_t value)
{
    QTestState *s = q->d->s;
    unsigned slot = ring_take(&q[CONTROL_IN], NULL);
    uint64_t at = ring_buffer(&q[CONTROL_IN], slot);

    g_assert_cmpuint(qtest_readw(s, at + 4), ==, event);
    g_assert_cmpuint(qtest_readl(s, at), ==, id);
    g_assert_cmpuint(qtest_readw(s, at + 6), ==, value);
    if (event == PORT_NAME) {
        char name[64];
        qtest_memread(s, at + 8, name, sizeof(name));
        g_assert_cmpstr(name, ==, AGENT);
    }
    ring_put(&q[CONTROL_IN], slot, 256, /* write= */ true);
}

static void handshake(VDev *d, Ring *q)
{
    rings_start(d, 2, q, QUEUES);
    g_assert_cmpuint(qtest_readl(d->s, d->bar + VC_DEVICE + 4), ==, 31);
    for (unsigned i = 0; i < 8; i++) {
        ring_put(&q[CONTROL_IN], i, 256, /* write= */ true);
    }
    say(q, 0xffffffff, DEVICE_READY, 1);
    hear(q, 0, PORT_ADD, 1);
    hear(q, 1, PORT_ADD, 1);
    say(q, 0, PORT_READY, 1);
    hear(q, 0, CONSOLE_PORT, 1);
    hear(q, 0, PORT_OPEN, 1); /* a file is always there */
    say(q, 1, PORT_READY, 1);
    hear(q, 1, PORT_NAME, 1);
}

static void guest_opens(QTestState *s, Ring *q, bool open)
{
    say(q, 1, PORT_OPEN, open);
    g_autoptr(JsonObject) event = qtest_event_wait(s, "VSERPORT_CHANGE");
    JsonObject *data = json_object_get_object_member(event, "data");

    g_assert_cmpstr(json_object_get_string_member(data, "id"), ==, "channel0");
    g_assert_cmpint(json_object_get_boolean_member(data, "open"), ==, open);
}

static bool frontend_open(QTestState *s)
{
    g_autoptr(JsonNode) list = qtest_qmp(s, "query-chardev", NULL);
    JsonArray *array = json_node_get_array(list);

    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonObject *o = json_array_get_object_element(array, i);
        if (!strcmp(json_object_get_string_member(o, "label"), "agent")) {
            return json_object_get_boolean_member(o, "frontend-open");
        }
    }
    g_assert_not_reached();
}

static void expect_text(int fd, const char *want)
{
    char buf[64] = { 0 };
    size_t n = 0;

    while (n < strlen(want)) {
        ssize_t got = read(fd, buf + n, sizeof(buf) - 1 - n);
        g_assert_cmpint(got, >, 0);
        n += got;
    }
    g_assert_cmpstr(buf, ==, want);
}

static void expect_in(Ring *r, unsigned slot, const char *want)
{
    char buf[64] = { 0 };
    uint32_t len;

    g_assert_cmpuint(ring_take(r, &len), ==, slot);
    g_assert_cmpuint(len, ==, strlen(want));
    qtest_memread(r->d->s, ring_buffer(r, slot), buf, len);
    g_assert_cmpstr(buf, ==, want);
}

static void test_agent(void)
{
    QTestState *s = start("");
    VDev d = vdev_at(s, 0, SLOT(4));
    Ring q[QUEUES];

    handshake(&d, q);
    g_assert_false(frontend_open(s));
    int fd = connect_agent();
    hear(q, 1, PORT_OPEN, 1);
    /* What comes before the guest listens waits; then in pieces, as it has room. */
    g_assert_cmpint(write(fd, "hello", 5), ==, 5);
    ring_put(&q[IN1], 0, 4, /* write= */ true);
    g_assert_false(ring_used(&q[IN1]));
    guest_opens(s, q, true);
    g_assert_true(frontend_open(s));
    expect_in(&q[IN1], 0, "hell");
    ring_put(&q[IN1], 1, 100, /* write= */ true);
    expect_in(&q[IN1], 1, "o");
    ring_send(&q[OUT1], 0, "answer", 6);
    ring_take(&q[OUT1], NULL);
    expect_text(fd, "answer");
    /* The console. */
    ring_send(&q[OUT0], 0, "boot\n", 5);
    ring_take(&q[OUT0], NULL);
    expect_console("boot\n");
    /* Whoever was at the other end leaves; what the guest sends then goes nowhere. */
    close(fd);
    hear(q, 1, PORT_OPEN, 0);
    ring_send(&q[OUT1], 0, "lost", 4);
    ring_take(&q[OUT1], NULL);
    guest_opens(s, q, false);
    g_assert_false(frontend_open(s));
    /* A driver that leaves closes its ports. */
    guest_opens(s, q, true);
    qtest_writeb(s, d.bar + VC_STATUS, 0);
    json_object_unref(qtest_event_wait(s, "VSERPORT_CHANGE"));
    end(s, g_getenv("VSER_DIR"));
}

/* Messages that mean nothing do nothing; ports that are not there take bytes. */
static void test_hostile(void)
{
    QTestState *s = start("");
    VDev d = vdev_at(s, 0, SLOT(4));
    Ring q[QUEUES + 2];

    handshake(&d, q);
    say(q, 77, PORT_OPEN, 1);
    say(q, 0xffffffff, PORT_READY, 1);
    say(q, 1, 999, 1);
    say(q, 0, DEVICE_READY, 0);
    ring_send(&q[CONTROL_OUT], 0, "abc", 3);
    ring_take(&q[CONTROL_OUT], NULL);
    g_assert_false(ring_used(&q[CONTROL_IN]));
    qtest_writeb(s, d.bar + VC_DEVICE + 8, 'E'); /* emergency write */
    expect_console("E");
    rings_start(&d, 2, q, QUEUES + 2);
    ring_send(&q[QUEUES + 1], 0, "nobody", 6); /* port 2 */
    ring_take(&q[QUEUES + 1], NULL);
    g_assert_cmphex(qtest_readb(s, d.bar + VC_STATUS), ==, 15);
    end(s, g_getenv("VSER_DIR"));
}

static void test_migrate(void)
{
    QTestState *src = start("");
    g_autofree char *src_dir = g_strdup(g_getenv("VSER_DIR"));
    VDev d = vdev_at(src, 0, SLOT(4)), d2 = d;
    Ring q[QUEUES], q2[QUEUES];

    handshake(&d, q);
    int fd = connect_agent();
    hear(q, 1, PORT_OPEN, 1);
    guest_opens(src, q, true);
    ring_put(&q[IN1], 0, 100, /* write= */ true);
    QTestState *dst = start("-incoming defer");
    g_autofree char *path = qtest_path(dst, "mig.sock");
    qtest_qmp_ok(dst, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    qtest_qmp_ok(src, "migrate", "{'uri': 'unix:%s'}", path);
    qtest_wait_run_state(src, "postmigrate");
    qtest_wait_run_state(dst, "running");
    d2.s = dst;
    rings_moved(q, &d2, q2, QUEUES);
    json_object_unref(qtest_event_wait(dst, "VSERPORT_CHANGE")); /* the guest's end is open */
    g_assert_true(frontend_open(dst));
    qtest_clock_step(dst, 1000000);
    hear(q2, 0, PORT_OPEN, 1);
    hear(q2, 1, PORT_OPEN, 0); /* nobody has connected here yet */
    int fd2 = connect_agent();
    hear(q2, 1, PORT_OPEN, 1);
    g_assert_cmpint(write(fd2, "again", 5), ==, 5);
    expect_in(&q2[IN1], 0, "again"); /* the buffer that was given at the source */
    ring_send(&q2[OUT1], 0, "here", 4);
    ring_take(&q2[OUT1], NULL);
    expect_text(fd2, "here");
    close(fd);
    close(fd2);
    end(dst, g_getenv("VSER_DIR"));
    end(src, src_dir);
}

static void refused(const char *args, const char *want)
{
    g_autofree char *err = NULL;

    g_assert_cmpint(qtest_run(NULL, &err, "-machine pc -accel qtest -nodefaults -chardev null,id=x %s",
                              args), ==, 1);
    if (!strstr(err, want)) {
        g_error("'%s' says '%s', not '%s'", args, err, want);
    }
}

static void test_refused(void)
{
    refused("-device virtserialport", "No 'virtio-serial-bus' bus found");
    refused("-device virtio-serial-pci,max_ports=32", "between 1 and 31");
    refused("-device virtio-serial-pci -device virtserialport,nr=0", "reserved for");
    refused("-device virtio-serial-pci -device virtserialport,nr=31", "Out-of-range port id 31");
    refused("-device virtio-serial-pci -device virtserialport,nr=1 -device virtserialport,nr=1",
            "already exists at id 1");
    refused("-device virtio-serial-pci -device virtserialport,name=a -device virtserialport,name=a",
            "already exists by name a");
    refused("-device virtio-serial-pci -device virtserialport,chardev=nosuch", "nosuch");
    refused("-device virtio-serial-pci -device virtserialport,chardev=x "
            "-device virtserialport,chardev=x", "in use");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-serial/agent", test_agent);
    g_test_add_func("/virtio-serial/hostile", test_hostile);
    g_test_add_func("/virtio-serial/migrate", test_migrate);
    g_test_add_func("/virtio-serial/refused", test_refused);
    return g_test_run();
}
