/*
 * Unit tests of net/: frames between a card that the test plays and every kind of netdev,
 * what a busy end does, links, announcements, options.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>

#include "migration/migration-int.h"
#include "migration/savevm.h"
#include "migration/stream-internal.h"
#include "net/netdev.h"
#include "net/user.h"
#include "qapi/qapi-commands.h"
#include "system/clock.h"
#include "system/machine-lock.h"
#include "util/util.h"

/* A card: keeps what it receives. */
typedef struct Card {
    NetClient nc;
    NICConf conf;
    GPtrArray *got; /* of GBytes */
    bool busy;
    unsigned ready_calls, link_calls, announce_calls;
} Card;

static bool card_can_receive(NetClient *nc)
{
    return !((Card *)nc)->busy;
}

static bool card_receive(NetClient *nc, const uint8_t *frame, size_t len)
{
    g_ptr_array_add(((Card *)nc)->got, g_bytes_new(frame, len));
    return true;
}

static void card_peer_ready(NetClient *nc)
{
    ((Card *)nc)->ready_calls++;
}

static void card_link_changed(NetClient *nc)
{
    ((Card *)nc)->link_calls++;
}

static void card_announce(NetClient *nc)
{
    ((Card *)nc)->announce_calls++;
}

static const NetClientOps card_ops = {
    .type = "nic",
    .can_receive = card_can_receive,
    .receive = card_receive,
    .peer_ready = card_peer_ready,
    .link_changed = card_link_changed,
    .announce = card_announce,
};

static Card *card_new(const char *netdev, const char *mac)
{
    Card *c = g_new0(Card, 1);
    g_autoptr(Error) err = NULL;

    c->got = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    c->conf.netdev = (char *)netdev;
    c->conf.mac_text = (char *)mac;
    g_assert_true(nic_init(&c->nc, &card_ops, "card", NULL, &c->conf, &err));
    return c;
}

static void card_free(Card *c)
{
    net_client_exit(&c->nc);
    g_ptr_array_unref(c->got);
    g_free(c);
}

static void add(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static void add(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autoptr(JsonObject) opts = NULL;
    g_autoptr(Error) err = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    opts = netdev_parse(text, &err);
    g_assert_no_error(err);
    netdev_add(opts, &err);
    g_assert_no_error(err);
}

static void refused(const char *text, const char *want)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(JsonObject) opts = netdev_parse(text, &err);

    if (opts) {
        g_assert_null(netdev_add(opts, &err));
    }
    if (!strstr(err->message, want)) {
        g_error("'%s' is refused with '%s', not '%s'", text, err->message, want);
    }
}

static void run_until_frames(Card *c, guint n)
{
    int64_t end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

    while (c->got->len < n) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(NULL, TRUE);
    }
}

static void run_pending(void)
{
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

static void assert_frame(Card *c, guint i, const void *data, size_t len)
{
    size_t got_len;
    const void *got = g_bytes_get_data(c->got->pdata[i], &got_len);

    g_assert_cmpmem(got, got_len, data, len);
}

/* Two netdevs that are connected: frames of every size arrive whole, in order, both ways. */
static void exchange(const char *left, const char *right)
{
    Card *a, *b;
    static uint8_t frame[NET_FRAME_MAX];
    static const size_t sizes[] = { 1, 60, 1514, 9000, 65000 };

    add("%s", left);
    add("%s", right);
    a = card_new("left", NULL);
    b = card_new("right", NULL);
    run_pending();
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        memset(frame, 0x10 + i, sizes[i]);
        net_send(&a->nc, frame, sizes[i]);
        net_send(&b->nc, frame, sizes[i]);
        run_until_frames(b, i + 1);
        run_until_frames(a, i + 1);
        assert_frame(b, i, frame, sizes[i]);
        assert_frame(a, i, frame, sizes[i]);
    }
    card_free(a);
    card_free(b);
    net_cleanup();
}

static char *temp_dir(void)
{
    return g_dir_make_tmp("ferry-net-XXXXXX", NULL);
}

static void test_stream(void)
{
    MACHINE_LOCK_GUARD();
    g_autofree char *dir = temp_dir();
    g_autofree char *left = g_strdup_printf("stream,id=left,server=on,addr.type=unix,addr.path=%s/s", dir);
    g_autofree char *right = g_strdup_printf("{\"type\":\"stream\",\"id\":\"right\",\"addr\":"
                                             "{\"type\":\"unix\",\"path\":\"%s/s\"}}", dir);
    exchange(left, right);
    g_assert_cmpint(g_rmdir(dir), ==, 0); /* the socket is gone */
}

static void test_dgram(void)
{
    MACHINE_LOCK_GUARD();
    g_autofree char *dir = temp_dir();
    g_autofree char *left = g_strdup_printf("dgram,id=left,local.type=unix,local.path=%s/a,"
                                            "remote.type=unix,remote.path=%s/b", dir, dir);
    g_autofree char *right = g_strdup_printf("dgram,id=right,local.type=unix,local.path=%s/b,"
                                             "remote.type=unix,remote.path=%s/a", dir, dir);
    exchange(left, right);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static void test_socket_fd(void)
{
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

    MACHINE_LOCK_GUARD();
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        int fd[2];
        g_assert_cmpint(socketpair(AF_UNIX, types[i], 0, fd), ==, 0);
        g_autofree char *left = g_strdup_printf("socket,id=left,fd=%d", fd[0]);
        g_autofree char *right = g_strdup_printf("socket,id=right,fd=%d", fd[1]);
        exchange(left, right);
    }
}

/* A card that is busy: the sender hears of it, nothing is lost, the order stays. */
static void test_backpressure(void)
{
    MACHINE_LOCK_GUARD();
    int fd[2];
    static uint8_t wire[4 + 1000] = { 0, 0, 3, 232 };
    enum { N = 300 };

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), ==, 0);
    add("socket,id=n,fd=%d", fd[0]);
    Card *c = card_new("n", NULL);
    c->busy = true;
    g_assert_true(fd_set_blocking(fd[1], false));
    unsigned sent = 0;
    for (; sent < N; sent++) {
        memset(wire + 4, sent, 1000);
        if (write(fd[1], wire, sizeof(wire)) != sizeof(wire)) {
            break; /* the socket is full, as it should be when nobody reads */
        }
        run_pending();
    }
    g_assert_cmpuint(c->got->len, ==, 0);
    c->busy = false;
    net_ready(&c->nc);
    run_until_frames(c, sent);
    for (unsigned i = 0; i < sent; i++) {
        g_assert_cmpuint(((const uint8_t *)g_bytes_get_data(c->got->pdata[i], NULL))[0], ==,
                         (uint8_t)i);
    }
    /* The other way: nobody reads the socket; frames wait, are dropped, and all that waited comes. */
    static uint8_t big[60000];
    for (unsigned i = 0; i < 1000 && net_can_send(&c->nc); i++) {
        net_send(&c->nc, big, sizeof(big));
    }
    g_assert_false(net_can_send(&c->nc));
    g_assert_cmpuint(c->ready_calls, ==, 0);
    while (!c->ready_calls) {
        static char sink[65536];
        g_assert_cmpint(read(fd[1], sink, sizeof(sink)), >, 0);
        run_pending();
    }
    g_assert_true(net_can_send(&c->nc));
    card_free(c);
    net_cleanup();
    close(fd[1]);
}

/* A peer that says nonsense is disconnected; one that leaves makes room for the next. */
static void test_stream_hostile(void)
{
    MACHINE_LOCK_GUARD();
    g_autofree char *dir = temp_dir();
    g_autofree char *where = g_strdup_printf("unix:%s/s", dir);
    g_autoptr(SocketAddr) addr = socket_addr_parse(where, NULL);
    static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 1 }, good[] = { 0, 0, 0, 2, 7, 8 },
                         half[] = { 0, 0, 0 }, empty[] = { 0, 0, 0, 0 };
    char byte;

    add("stream,id=n,server=on,addr.type=unix,addr.path=%s/s", dir);
    Card *c = card_new("n", NULL);
    int fd = socket_connect(addr, NULL);
    g_assert_cmpint(write(fd, huge, sizeof(huge)), ==, sizeof(huge));
    run_pending();
    g_assert_cmpint(read(fd, &byte, 1), <=, 0);
    close(fd);
    fd = socket_connect(addr, NULL);
    g_assert_cmpint(write(fd, half, sizeof(half)), ==, sizeof(half));
    run_pending();
    close(fd);
    run_pending();
    fd = socket_connect(addr, NULL);
    g_assert_cmpint(write(fd, empty, sizeof(empty)), ==, sizeof(empty));
    g_assert_cmpint(write(fd, good, sizeof(good)), ==, sizeof(good));
    run_until_frames(c, 1);
    assert_frame(c, 0, good + 4, 2);
    close(fd);
    run_pending();
    net_send(&c->nc, good, 2); /* to nobody */
    card_free(c);
    net_cleanup();
    g_rmdir(dir);
}

static void test_link(void)
{
    MACHINE_LOCK_GUARD();
    int fd[2];
    uint8_t frame[60] = { 1 };
    g_autoptr(Error) err = NULL;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), ==, 0);
    add("socket,id=n,fd=%d", fd[0]);
    Card *c = card_new("n", NULL);
    SetLinkArgs args = { .name = (char *)"n", .up = false };
    g_assert_true(qmp_set_link(&args, &err));
    g_assert_true(c->nc.link_down);
    g_assert_cmpuint(c->link_calls, ==, 1);
    g_assert_cmpint(write(fd[1], frame, sizeof(frame)), ==, sizeof(frame));
    net_send(&c->nc, frame, sizeof(frame));
    run_pending();
    g_assert_cmpuint(c->got->len, ==, 0);
    g_assert_cmpint(recv(fd[1], frame, sizeof(frame), MSG_DONTWAIT), <, 0);
    args.up = true;
    g_assert_true(qmp_set_link(&args, &err));
    g_assert_false(c->nc.link_down);
    net_send(&c->nc, frame, sizeof(frame));
    g_assert_cmpint(recv(fd[1], frame, sizeof(frame), MSG_DONTWAIT), ==, sizeof(frame));
    g_assert_true(netdev_del("n", &err));
    g_assert_true(c->nc.link_down); /* a card without a cable */
    g_assert_cmpuint(c->link_calls, ==, 3);
    net_send(&c->nc, frame, sizeof(frame));
    g_assert_false(netdev_del("n", &err));
    g_assert_cmpint(err->code, ==, ERROR_CLASS_DEVICE_NOT_FOUND);
    card_free(c);
    close(fd[1]);
}

/* ---- announcements ---- */

static void test_announce(void)
{
    MACHINE_LOCK_GUARD();
    int fd[2];
    uint8_t frame[100];
    static const uint8_t want[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1, 2, 3, 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3,
        0x52, 0x54, 0, 1, 2, 3, 0, 0, 0, 0, 0x52, 0x54, 0, 1, 2, 3, 0, 0, 0, 0,
    };
    const NetAnnounce params = { .initial_ms = 1, .max_ms = 5, .rounds = 3, .step_ms = 2 };
    const NetAnnounce none = { .rounds = 0 };

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), ==, 0);
    add("socket,id=n,fd=%d", fd[0]);
    Card *c = card_new("n", "52:54:00:01:02:03");
    net_announce(&params);
    g_assert_cmpuint(c->announce_calls, ==, 1); /* the first at once */
    while (c->announce_calls < 3) {
        g_main_context_iteration(NULL, TRUE);
    }
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(recv(fd[1], frame, sizeof(frame), MSG_DONTWAIT), ==, 60);
        g_assert_cmpmem(frame, sizeof(want), want, sizeof(want));
        g_assert_true(buffer_is_zero(frame + sizeof(want), 60 - sizeof(want)));
    }
    g_assert_cmpint(recv(fd[1], frame, sizeof(frame), MSG_DONTWAIT), <, 0);
    /* Only others; and a series that is ended. */
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_ptr_array_add(names, (char *)"other");
    AnnounceParameters args = { .initial = 1, .max = 1, .rounds = 1, .step = 1, .interfaces = names };
    g_assert_true(qmp_announce_self(&args, NULL));
    g_assert_cmpuint(c->announce_calls, ==, 3);
    net_announce(&params);
    net_announce(&none);
    g_usleep(3000);
    run_pending();
    g_assert_cmpuint(c->announce_calls, ==, 4);
    args.rounds = 1001;
    g_autoptr(Error) err = NULL;
    g_assert_false(qmp_announce_self(&args, &err));
    g_assert_nonnull(strstr(err->message, "'rounds' expects a number from 0 to 1000"));
    card_free(c);
    net_cleanup();
    close(fd[1]);
}

static void test_announce_delay(void)
{
    const NetAnnounce usual = { 50, 550, 5, 100 };

    g_assert_cmpuint(net_announce_delay_ms(&usual, 1), ==, 50);
    g_assert_cmpuint(net_announce_delay_ms(&usual, 4), ==, 350);
    g_assert_cmpuint(net_announce_delay_ms(&usual, 100), ==, 550);
}

/* ---- options and names ---- */

static void test_names(void)
{
    MACHINE_LOCK_GUARD();
    uint8_t mac[ETH_ALEN];
    g_autoptr(Error) err = NULL;
    Card *a = card_new(NULL, NULL), *b = card_new(NULL, NULL);
    Card bad = { .conf.mac_text = (char *)"01:02:03:04:05:06" };

    g_assert_cmpstr(a->nc.name, ==, "card.0");
    g_assert_cmpstr(b->nc.info, ==, "model=card,macaddr=52:54:00:12:34:57");
    card_free(a);
    card_free(b);
    g_assert_true(net_parse_mac("52-54-00-aB-00-ff", mac));
    g_assert_cmphex(mac[3], ==, 0xab);
    g_assert_false(net_parse_mac("52:54:00:12:34", mac));
    g_assert_false(net_parse_mac("52:54:00:12:34:56:", mac));
    g_assert_false(net_parse_mac("52:54:00:12:34:5", mac));
    g_assert_false(net_parse_mac("", mac));
    g_assert_false(nic_init(&bad.nc, &card_ops, "card", NULL, &bad.conf, &err));
    g_assert_nonnull(strstr(err->message, "address of a group"));
}

static const char *const refused_rows[][2] = {
    { "socket", "'id' is missing" },
    { "id=x", "'type' is missing" },
    { "socket,id=1x,fd=1", "identifier" },
    { "nosuch,id=n", "there is no netdev type 'nosuch'" },
    { "hubport,id=n,hubid=0", "hubport is not supported" },
    { "bridge,id=n", "bridge is not supported" },
    { "vhost-user,id=n,chardev=c", "vhost-user is not supported" },
    { "vhost-vdpa,id=n", "vhost-vdpa is not supported" },
    { "tap,id=n,vhost=on", "tap: vhost is not supported" },
    { "{\"type\":\"tap\",\"id\":\"n\",\"fd\":\"0\",\"vhost\":true}", "tap: vhost is not supported" },
    { "tap,id=n,fds=3:4", "tap: fds is not supported" },
    { "tap,id=n,ifname=x", "script=no" },
    { "tap,id=n,script=/etc/x", "scripts are not supported" },
    { "tap,id=n,fd=0,ifname=x", "exclude each other" },
    { "tap,id=n,fd=nosuch", "nosuch" },
    { "tap,id=n,ifname=a0123456789abcdef,script=no,downscript=no", "longer than 15" },
    { "tap,id=n,vnet_hdr=on,fd=0", "vnet_hdr=on is not supported" },
    { "socket,id=n", "exactly one of" },
    { "socket,id=n,listen=:1,connect=:1", "exactly one of" },
    { "socket,id=n,udp=127.0.0.1:1", "localaddr" },
    { "socket,id=n,listen=nonsense", "HOST:PORT" },
    { "socket,id=n,connect=127.0.0.1:1", "cannot connect" },
    { "stream,id=n", "'addr' is missing" },
    { "stream,id=n,addr=x", "expects a socket address" },
    { "stream,id=n,addr.type=vsock", "inet, unix, fd" },
    { "stream,id=n,addr.type=unix", "needs a path" },
    { "stream,id=n,addr.type=inet,addr.host=x", "host and port" },
    { "stream,id=n,addr.type=unix,addr.path=/nonexistent/s", "/nonexistent/s" },
    { "stream,id=n,reconnect=1,addr.type=unix,addr.path=x", "reconnect is not supported" },
    { "stream,id=n,addr.type=unix,addr.path=x,addr.colour=red", "colour" },
    { "dgram,id=n", "'remote' is missing" },
    { "dgram,id=n,remote.type=inet,remote.host=127.0.0.1,remote.port=1", "local address is missing" },
    { "dgram,id=n,local.type=fd,local.str=999", "999" },
    { "dgram,id=n,local.type=unix,local.path=a,remote.type=inet,remote.host=h,remote.port=1",
      "both inet or both unix" },
#if CONFIG_SLIRP
    { "user,id=n,smb=/tmp", "user: smb is not supported" },
    { "user,id=n,guestfwd=tcp:1.2.3.4:5-x", "user: guestfwd is not supported" },
    { "user,id=n,net=10.0.2.0/33", "net=10.0.2.0/33" },
    { "user,id=n,net=10.0.2.0/255.0.255.0", "net=10.0.2.0" },
    { "user,id=n,net=x", "net=x" },
    { "user,id=n,host=10.0.3.2", "host is not in the network" },
    { "user,id=n,dns=10.0.2.2", "three addresses" },
    { "user,id=n,dhcpstart=abc", "not an IPv4 address" },
    { "user,id=n,ipv4=off,ipv6=off", "cannot both be off" },
    { "user,id=n,ipv6-prefixlen=200", "ipv6-prefixlen" },
    { "user,id=n,hostfwd=tcp:1-2", "hostfwd: 'tcp:1-2' is not" },
    { "user,id=n,hostfwd=sctp::1-:2", "is not [tcp|udp]" },
    { "user,id=n,hostfwd=tcp::1-:0", "is not [tcp|udp]" },
    { "user,id=n,hostname=0123456789012345678901234567890123", "33 bytes" },
    { "user,id=n,colour=red", "colour" },
    { "{\"type\":\"user\",\"id\":\"n\",\"hostfwd\":[1]}", "list of objects" },
#endif
};

static void test_refused(void)
{
    MACHINE_LOCK_GUARD();
    for (size_t i = 0; i < ARRAY_SIZE(refused_rows); i++) {
        refused(refused_rows[i][0], refused_rows[i][1]);
        g_assert_null(net_client_first());
    }
    add("socket,id=n,mcast=230.0.0.1:1234,localaddr=127.0.0.1");
    refused("socket,id=n,mcast=230.0.0.1:1234", "Duplicate ID 'n'");
    Card *c = card_new("n", NULL), other = { .conf.netdev = (char *)"n" };
    g_autoptr(Error) err = NULL;
    g_assert_false(nic_init(&other.nc, &card_ops, "card", NULL, &other.conf, &err));
    g_assert_nonnull(strstr(err->message, "in use"));
    card_free(c);
    net_cleanup();
}

static void test_parse(void)
{
    g_autoptr(JsonObject) o = netdev_parse("user,id=a,hostfwd=tcp::1-:2,dnssearch=x,,y,restrict=on,"
                                           "hostfwd=udp::3-:4", NULL);
    g_autoptr(JsonNode) got = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonNode) want = json_from_string(
        "{\"type\":\"user\",\"id\":\"a\",\"restrict\":\"on\",\"dnssearch\":[{\"str\":\"x,y\"}],"
        "\"hostfwd\":[{\"str\":\"tcp::1-:2\"},{\"str\":\"udp::3-:4\"}]}", NULL);

    json_node_set_object(got, o);
    g_assert_true(json_node_equal(got, want));
}

#if CONFIG_SLIRP

static void test_user_options(void)
{
    g_auto(UserOptions) o = { 0 };
    g_autoptr(JsonObject) opts = netdev_parse("user,net=192.168.7.0/29,ipv6-prefix=fd00::,"
                                              "hostfwd=tcp:127.0.0.1:80-192.168.7.1:8080,ipv4=on", NULL);
    g_autoptr(Error) err = NULL;

    g_assert_true(user_options_take(&o, opts, &err));
    g_assert_cmphex(ntohl(o.mask.s_addr), ==, 0xfffffff8);
    g_assert_cmphex(ntohl(o.host.s_addr), ==, 0xc0a80702);
    g_assert_cmphex(ntohl(o.dns.s_addr), ==, 0xc0a80703);
    g_assert_cmphex(ntohl(o.dhcp_start.s_addr), ==, 0xc0a80701);
    g_assert_true(o.ipv4);
    g_assert_false(o.ipv6);
    g_assert_cmphex(o.host6.s6_addr[15], ==, 2);
    HostForward *f = &g_array_index(o.forwards, HostForward, 0);
    g_assert_false(f->udp);
    g_assert_cmpuint(f->host_port, ==, 80);
    g_assert_cmpuint(f->guest_port, ==, 8080);
    g_assert_cmphex(ntohl(f->guest.s_addr), ==, 0xc0a80701);
}

/* "Who has 10.0.2.2?", from 10.0.2.15 */
static const uint8_t arp_request[60] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1, 2, 3, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
    0x52, 0x54, 0, 1, 2, 3, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
};

static void test_user(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;

    add("user,id=n,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22");
    Card *c = card_new("n", "52:54:00:01:02:03");
    net_send(&c->nc, arp_request, sizeof(arp_request));
    run_until_frames(c, 1);
    const uint8_t *reply = g_bytes_get_data(c->got->pdata[0], NULL);
    g_assert_cmpmem(reply, ETH_ALEN, c->conf.mac, ETH_ALEN);
    g_assert_cmphex(reply[12] << 8 | reply[13], ==, 0x0806);
    g_assert_cmphex(reply[21], ==, 2); /* an answer */
    g_assert_cmpmem(reply + 28, 4, "\x0a\x00\x02\x02", 4);

    /* A busy card: frames wait in its queue, none comes twice. */
    c->busy = true;
    net_send(&c->nc, arp_request, sizeof(arp_request));
    run_pending();
    g_assert_cmpuint(c->got->len, ==, 1);
    c->busy = false;
    net_ready(&c->nc);
    g_assert_cmpuint(c->got->len, ==, 2);

    /* Whoever connects to the host's port makes the guest see a SYN to port 22. */
    NetClient *nc = net_user_find(NULL, &err);
    g_autofree char *info = net_user_connections(nc);
    g_autoptr(GRegex) re = g_regex_new("HOST_FORWARD\\][^\\n]* 127\\.0\\.0\\.1 +([0-9]+)", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_assert_true(g_regex_match(re, info, 0, &match));
    g_autofree char *port = g_match_info_fetch(match, 1);
    g_autofree char *where = g_strdup_printf("tcp:127.0.0.1:%s", port);
    g_autoptr(SocketAddr) addr = socket_addr_parse(where, NULL);
    int fd = socket_connect(addr, &err);
    g_assert_no_error(err);
    run_until_frames(c, 3);
    const uint8_t *syn = g_bytes_get_data(c->got->pdata[2], NULL);
    g_assert_cmphex(syn[12] << 8 | syn[13], ==, 0x0800);
    g_assert_cmpuint(syn[36] << 8 | syn[37], ==, 22);
    g_assert_cmphex(syn[47] & 0x3f, ==, 2); /* SYN alone */
    close(fd);

    HostForward f = { .host.s_addr = htonl(INADDR_LOOPBACK), .host_port = atoi(port) };
    g_assert_true(net_user_unforward(nc, &f, &err));
    g_assert_false(net_user_unforward(nc, &f, &err));
    card_free(c);
    net_cleanup();
}

static GByteArray *save_slirp(void)
{
    SaveEntry *e = save_registry_find(save_registry(), "slirp", 0);
    Stream *out = stream_new_output_memory();
    g_autoptr(Error) err = NULL;
    size_t len;

    g_assert_true(vmstate_save(out, e->vmsd, e->opaque, &err));
    const void *data = stream_memory_data(out, &len);
    GByteArray *copy = g_byte_array_new();
    g_byte_array_append(copy, data, len);
    stream_free(out);
    return copy;
}

static bool load_slirp(const void *data, size_t len, Error **errp)
{
    SaveEntry *e = save_registry_find(save_registry(), "slirp", 0);
    g_autoptr(Stream) in = stream_new_input_memory(data, len);

    return vmstate_load(in, e->vmsd, e->opaque, e->version_id, errp);
}

/* What a peer sends is what is there after it; a connection of guestfwd is refused. */
static void test_user_save(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;
    add("user,id=n");
    g_autoptr(GByteArray) state = save_slirp();

    g_assert_cmpuint(state->len, ==, 1 + 2 + 16 * 8); /* end of list, IP id, 16 leases */
    g_assert_cmphex(state->data[0], ==, 0);
    state->data[1] = 0x12;
    state->data[2] = 0x34;
    state->data[4] = 1; /* the first address is taken ... */
    memcpy(state->data + 5, "\x52\x54\x00\x01\x02\x03", ETH_ALEN); /* ... by this card */
    g_assert_true(load_slirp(state->data, state->len, &err));
    g_autoptr(GByteArray) again = save_slirp();
    g_assert_cmpmem(again->data, again->len, state->data, state->len);

    g_assert_false(load_slirp(state->data, state->len - 1, &err));
    g_clear_error(&err);
    state->data[0] = 42;
    g_assert_false(load_slirp(state->data, state->len, &err));
    g_assert_nonnull(strstr(err->message, "guestfwd"));
    net_cleanup();
    g_assert_null(save_registry_find(save_registry(), "slirp", 0));
}

#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    {
        MACHINE_LOCK_GUARD();
        virtual_clock_set_manual();
    }
    g_test_add_func("/net/stream", test_stream);
    g_test_add_func("/net/dgram", test_dgram);
    g_test_add_func("/net/socket-fd", test_socket_fd);
    g_test_add_func("/net/backpressure", test_backpressure);
    g_test_add_func("/net/stream/hostile", test_stream_hostile);
    g_test_add_func("/net/link", test_link);
    g_test_add_func("/net/announce", test_announce);
    g_test_add_func("/net/announce/delay", test_announce_delay);
    g_test_add_func("/net/names", test_names);
    g_test_add_func("/net/refused", test_refused);
    g_test_add_func("/net/parse", test_parse);
#if CONFIG_SLIRP
    g_test_add_func("/net/user/options", test_user_options);
    g_test_add_func("/net/user", test_user);
    g_test_add_func("/net/user/save", test_user_save);
#endif
    return g_test_run();
}
