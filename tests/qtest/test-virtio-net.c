/*
 * virtio-net and virtio-balloon through qtest: frames, filters, links, announcements; memory
 * that is given back, statistics; and all of it moved with data in flight.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio-rings.h"

#define SLOT(n) ((n) << 3)
#define PC "-machine pc -m 16M -nodefaults "
#define HEADER 12

enum { RX, TX, CTRL };
enum { F_MRG_RXBUF = 1 << 15, F_CTRL_VQ = 1 << 17, F_CTRL_RX = 1 << 18, F_CTRL_VLAN = 1 << 19,
       F_CTRL_RX_EXTRA = 1 << 20, F_GUEST_ANNOUNCE = 1 << 21, F_CTRL_MAC_ADDR = 1 << 23 };
#define F_ALL (F_MRG_RXBUF | F_CTRL_VQ | F_CTRL_RX | F_CTRL_VLAN | F_CTRL_RX_EXTRA | \
               F_GUEST_ANNOUNCE | F_CTRL_MAC_ADDR)

static const uint8_t card_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

/* A machine with a card whose cable ends at *ret_fd, a datagram socket. */
static QTestState *start_with_card(const char *more, int *ret_fd)
{
    int fd[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), ==, 0);
    g_assert_cmpint(fcntl(fd[0], F_SETFD, FD_CLOEXEC), ==, 0);
    QTestState *s = qtest_init(PC "-netdev socket,id=n,fd=%d -device virtio-net-pci,netdev=n,id=card,"
                               "addr=4 %s", fd[1], more);
    close(fd[1]);
    *ret_fd = fd[0];
    return s;
}

static void make_frame(uint8_t *frame, size_t len, const uint8_t *to, uint8_t fill)
{
    memset(frame, fill, len);
    memcpy(frame, to, 6);
    memcpy(frame + 12, "\x88\xb5", 2);
}

static void arrive(int fd, const uint8_t *frame, size_t len)
{
    g_assert_cmpint(write(fd, frame, len), ==, len);
}

static size_t leave(int fd, uint8_t *buf, size_t size)
{
    ssize_t n = recv(fd, buf, size, 0);

    g_assert_cmpint(n, >, 0);
    return n;
}

static uint8_t command(Ring *ctrl, const void *data, uint32_t len)
{
    ring_command(ctrl, 0, data, len, 1);
    ring_take(ctrl, NULL);
    return qtest_readb(ctrl->d->s, ring_buffer(ctrl, 1));
}

static void test_frames(void)
{
    int fd;
    QTestState *s = start_with_card("", &fd);
    VDev d = vdev_at(s, 0, SLOT(4));
    Ring q[3];
    uint8_t frame[1514], got[4096];
    uint32_t len;

    for (int i = 0; i < 6; i++) {
        g_assert_cmphex(qtest_readb(s, d.bar + VC_DEVICE + i), ==, card_mac[i]);
    }
    rings_start(&d, F_ALL, q, 3);
    /* Out: the header goes, the frame stays. */
    memset(got, 0, HEADER);
    make_frame(frame, sizeof(frame), card_mac, 0x5a);
    memcpy(got + HEADER, frame, sizeof(frame));
    ring_send(&q[TX], 3, got, HEADER + sizeof(frame));
    g_assert_cmpint(ring_take(&q[TX], NULL), ==, 3);
    g_assert_cmpmem(got, leave(fd, got, sizeof(got)), frame, sizeof(frame));
    /* In: into several small buffers; what comes before there are any waits. */
    arrive(fd, frame, sizeof(frame));
    for (unsigned i = 0; i < 4; i++) {
        ring_put(&q[RX], i, 512, /* write= */ true);
    }
    size_t at = 0;
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(ring_take(&q[RX], &len), ==, i);
        g_assert_cmpint(len, ==, i < 2 ? 512 : HEADER + sizeof(frame) - 1024);
        qtest_memread(s, ring_buffer(&q[RX], i), got + at, len);
        at += len;
    }
    g_assert_cmphex(got[10], ==, 3); /* buffers of this frame */
    g_assert_cmpmem(got + HEADER, at - HEADER, frame, sizeof(frame));
    g_assert_false(ring_used(&q[RX]));
    /* Without mergeable buffers one must hold it all; what does not fit is lost. */
    rings_start(&d, 0, q, 3);
    ring_put(&q[RX], 0, 100, /* write= */ true);
    arrive(fd, frame, sizeof(frame));
    arrive(fd, frame, 60);
    g_assert_cmpint(ring_take(&q[RX], &len), ==, 0);
    g_assert_cmpint(len, ==, HEADER + 60);
    close(fd);
    qtest_quit(s);
}

static bool received(Ring *q, int fd, const uint8_t *to, bool vlan)
{
    uint8_t frame[60];
    static const uint8_t mark[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    unsigned n = 0;

    /* A broadcast behind it says that it was looked at. */
    make_frame(frame, sizeof(frame), to, 1);
    if (vlan) {
        memcpy(frame + 12, "\x81\x00\x00\x05", 4); /* VLAN 5 */
    }
    arrive(fd, frame, sizeof(frame));
    make_frame(frame, sizeof(frame), mark, 2);
    arrive(fd, frame, sizeof(frame));
    for (;;) {
        unsigned slot = ring_take(&q[RX], NULL);
        uint8_t fill = qtest_readb(q->d->s, ring_buffer(&q[RX], slot) + HEADER + 20);
        ring_put(&q[RX], slot, 1024, /* write= */ true);
        if (fill == 2) {
            return n;
        }
        n++;
    }
}

static void test_filter(void)
{
    int fd;
    QTestState *s = start_with_card("", &fd);
    VDev d = vdev_at(s, 0, SLOT(4));
    Ring q[3];
    static const uint8_t other[6] = { 0x52, 0x54, 0, 1, 1, 1 }, group[6] = { 1, 0, 0x5e, 0, 0, 1 },
                         moved[6] = { 0x52, 0x54, 0, 2, 2, 2 };
    static const uint8_t table[] = { 1, 0, 1, 0, 0, 0, 0x52, 0x54, 0, 1, 1, 1,
                                     1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1 };
    static const uint8_t too_long[] = { 1, 0, 0xff, 0xff, 0xff, 0x7f, 1 };

    rings_start(&d, F_ALL, q, 3);
    for (unsigned i = 0; i < 8; i++) {
        ring_put(&q[RX], i, 1024, /* write= */ true);
    }
    g_assert_true(received(q, fd, other, false)); /* promiscuous at first */
    g_assert_cmpint(command(&q[CTRL], "\0\0\0", 3), ==, 0);
    json_object_unref(qtest_event_wait(s, "NIC_RX_FILTER_CHANGED"));
    g_assert_false(received(q, fd, other, false));
    g_assert_true(received(q, fd, card_mac, false));
    g_assert_false(received(q, fd, group, false));
    g_assert_cmpint(command(&q[CTRL], table, sizeof(table)), ==, 0);
    g_assert_true(received(q, fd, other, false));
    g_assert_true(received(q, fd, group, false));
    g_assert_false(received(q, fd, card_mac, true));
    g_assert_cmpint(command(&q[CTRL], "\2\0\5\0", 4), ==, 0);
    g_assert_true(received(q, fd, card_mac, true));
    g_assert_cmpint(command(&q[CTRL], "\1\1\x52\x54\0\2\2\2", 8), ==, 0);
    g_assert_true(received(q, fd, moved, false));
    g_assert_false(received(q, fd, card_mac, false));
    /* One event until somebody asks. */
    g_assert_null(qtest_event_poll(s, "NIC_RX_FILTER_CHANGED", 0));
    g_autoptr(JsonNode) list = qtest_qmp(s, "query-rx-filter", "{'name': 'card'}");
    JsonObject *info = json_array_get_object_element(json_node_get_array(list), 0);
    g_assert_cmpstr(json_object_get_string_member(info, "main-mac"), ==, "52:54:00:02:02:02");
    g_assert_cmpstr(json_array_get_string_element(
                        json_object_get_array_member(info, "multicast-table"), 0), ==,
                    "01:00:5e:00:00:01");
    g_assert_cmpint(json_array_get_int_element(json_object_get_array_member(info, "vlan-table"), 0),
                    ==, 5);
    g_assert_cmpint(command(&q[CTRL], "\0\0\1", 3), ==, 0);
    json_object_unref(qtest_event_wait(s, "NIC_RX_FILTER_CHANGED"));
    /* What is not a command. */
    g_assert_cmpint(command(&q[CTRL], "\0\6\1", 3), ==, 1);
    g_assert_cmpint(command(&q[CTRL], "\7\0\0", 3), ==, 1);
    g_assert_cmpint(command(&q[CTRL], "\2\0\0\x10", 4), ==, 1);
    g_assert_cmpint(command(&q[CTRL], too_long, sizeof(too_long)), ==, 1);
    g_assert_cmpint(command(&q[CTRL], "\3\0", 2), ==, 1); /* nothing was announced */
    close(fd);
    qtest_quit(s);
}

static void test_link(void)
{
    int fd;
    QTestState *s = start_with_card("", &fd);
    VDev d = vdev_at(s, 0, SLOT(4));
    Ring q[3];
    uint8_t frame[100];

    rings_start(&d, F_ALL, q, 3);
    g_assert_cmphex(qtest_readw(s, d.bar + VC_DEVICE + 6), ==, 1);
    qtest_qmp_ok(s, "set_link", "{'name': 'card', 'up': false}");
    g_assert_cmphex(qtest_readw(s, d.bar + VC_DEVICE + 6), ==, 0);
    g_assert_cmphex(qtest_readb(s, d.bar + VC_ISR) & 2, ==, 2);
    qtest_qmp_ok(s, "set_link", "{'name': 'n', 'up': true}");
    g_assert_cmphex(qtest_readw(s, d.bar + VC_DEVICE + 6), ==, 1);
    /* An announcement: a frame from us, and a wish to the guest. */
    qtest_qmp_ok(s, "announce-self", "{'initial': 1, 'max': 1, 'rounds': 1, 'step': 1}");
    g_assert_cmpint(leave(fd, frame, sizeof(frame)), ==, 60);
    g_assert_cmpmem(frame + 6, 6, card_mac, 6);
    g_assert_cmphex(frame[12] << 8 | frame[13], ==, 0x8035);
    g_assert_cmphex(qtest_readw(s, d.bar + VC_DEVICE + 6), ==, 3);
    g_assert_cmpint(command(&q[CTRL], "\3\0", 2), ==, 0);
    g_assert_cmphex(qtest_readw(s, d.bar + VC_DEVICE + 6), ==, 1);
    /* The netdev goes: the card has no cable. */
    qtest_qmp_ok(s, "netdev_del", "{'id': 'n'}");
    g_assert_cmphex(qtest_readw(s, d.bar + VC_DEVICE + 6), ==, 0);
    g_autofree char *info = qtest_hmp(s, "info network");
    g_assert_nonnull(strstr(info, "card: index=0,type=nic,model=virtio-net-pci,macaddr=52:54"));
    close(fd);
    qtest_quit(s);
}

/* A driver that breaks the rules has a card that needs a reset, and no more. */
static void test_hostile(void)
{
    int fd;
    QTestState *s = start_with_card("", &fd);
    VDev d = vdev_at(s, 0, SLOT(4));
    Ring q[3];
    uint8_t frame[60];

    for (int i = 0; i < 3; i++) {
        rings_start(&d, i == 1 ? F_MRG_RXBUF : F_CTRL_VQ, q, 3);
        if (i == 0) {
            ring_send(&q[TX], 0, "short", 5);
        } else if (i == 1) {
            for (unsigned slot = 0; slot < 15; slot++) {
                ring_put(&q[RX], slot, 6, /* write= */ true); /* no room for the header */
            }
            make_frame(frame, sizeof(frame), card_mac, 0);
            arrive(fd, frame, sizeof(frame));
        } else {
            ring_put(&q[CTRL], 0, 1, /* write= */ true); /* no command */
        }
        for (int n = 0; !(qtest_readb(s, d.bar + VC_STATUS) & 64); n++) {
            g_assert_cmpint(n, <, 10000);
            g_usleep(1000);
        }
    }
    rings_start(&d, 0, q, 3);
    ring_put(&q[RX], 0, 1024, /* write= */ true);
    make_frame(frame, sizeof(frame), card_mac, 0);
    arrive(fd, frame, sizeof(frame));
    ring_take(&q[RX], NULL);
    close(fd);
    qtest_quit(s);
}

static void migrate(QTestState *src, QTestState *dst)
{
    g_autofree char *path = qtest_path(dst, "mig.sock");

    qtest_qmp_ok(dst, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    qtest_qmp_ok(src, "migrate", "{'uri': 'unix:%s'}", path);
    qtest_wait_run_state(src, "postmigrate");
    qtest_wait_run_state(dst, "running");
}

/* Filter, address, link and buffers arrive; a frame that came while nobody could take it, too. */
static void test_net_migrate(void)
{
    int fd, fd2;
    QTestState *src = start_with_card("-netdev user,id=u", &fd);
    QTestState *dst = start_with_card("-netdev user,id=u -incoming defer", &fd2);
    VDev d = vdev_at(src, 0, SLOT(4)), d2 = d;
    Ring q[3], q2[3];
    static const uint8_t table[] = { 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1 },
                         group[6] = { 1, 0, 0x5e, 0, 0, 1 }, other[6] = { 0x52, 0x54, 0, 1, 1, 1 };
    uint8_t frame[100];

    rings_start(&d, F_ALL, q, 3);
    for (unsigned i = 0; i < 8; i++) {
        ring_put(&q[RX], i, 1024, /* write= */ true);
    }
    g_assert_cmpint(command(&q[CTRL], "\0\0\0", 3), ==, 0);
    g_assert_cmpint(command(&q[CTRL], table, sizeof(table)), ==, 0);
    g_assert_cmpint(command(&q[CTRL], "\2\0\5\0", 4), ==, 0);
    g_assert_true(received(q, fd, group, false));
    qtest_qmp_ok(src, "stop", NULL);
    make_frame(frame, 60, card_mac, 7);
    memset(frame + 60, 0, sizeof(frame) - 60);
    arrive(fd2, frame, 60); /* to the destination, before it has a guest */
    qtest_qmp_ok(dst, "migrate-set-parameters", "{'announce-rounds': 2, 'announce-initial': 1}");
    qtest_qmp_ok(src, "cont", NULL);
    migrate(src, dst);
    d2.s = dst;
    rings_moved(q, &d2, q2, 3);
    unsigned slot = ring_take(&q2[RX], NULL);
    g_assert_cmphex(qtest_readb(dst, ring_buffer(&q2[RX], slot) + HEADER + 20), ==, 7);
    ring_put(&q2[RX], slot, 1024, /* write= */ true);
    g_assert_true(received(q2, fd2, group, false));
    g_assert_false(received(q2, fd2, other, false));
    g_assert_true(received(q2, fd2, card_mac, true));
    for (int i = 0; i < 2; i++) { /* the destination announced the card, as often as it was told */
        g_assert_cmpint(leave(fd2, frame, sizeof(frame)), ==, 60);
        g_assert_cmphex(frame[12] << 8 | frame[13], ==, 0x8035);
    }
    g_assert_cmphex(qtest_readw(dst, d2.bar + VC_DEVICE + 6), ==, 3);
    close(fd);
    close(fd2);
    qtest_quit(src);
    qtest_quit(dst);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-net/frames", test_frames);
    g_test_add_func("/virtio-net/filter", test_filter);
    g_test_add_func("/virtio-net/link", test_link);
    g_test_add_func("/virtio-net/hostile", test_hostile);
    g_test_add_func("/virtio-net/migrate", test_net_migrate);
    return g_test_run();
}
