/*
 * The relay that stands for the network in other tests: what each of its rules does to the bytes of a
 * connection, and only there.  No emulator.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "relay.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two ends of connections over a relay on TCP. */
typedef struct Net {
    Relay *relay;
    int listener;
} Net;

static int tcp_socket(struct sockaddr_in *in, unsigned port)
{
    *in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static Net net_new(void)
{
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    Net n = { .listener = tcp_socket(&in, 0) };
    g_autofree char *to = NULL;

    g_assert_cmpint(bind(n.listener, (struct sockaddr *)&in, sizeof(in)), ==, 0);
    g_assert_cmpint(listen(n.listener, 4), ==, 0);
    g_assert_cmpint(getsockname(n.listener, (struct sockaddr *)&in, &len), ==, 0);
    to = g_strdup_printf("tcp:%u", ntohs(in.sin_port));
    n.relay = relay_new("tcp:0", to);
    return n;
}

static void net_free(Net *n)
{
    relay_free(n->relay);
    close(n->listener);
}

static void net_connect(Net *n, int fd[2])
{
    struct sockaddr_in in;

    fd[0] = tcp_socket(&in, relay_port(n->relay));
    g_assert_cmpint(connect(fd[0], (struct sockaddr *)&in, sizeof(in)), ==, 0);
    fd[1] = accept4(n->listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(fd[1], >=, 0);
}

static void put(int fd, const char *text)
{
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

static void expect(int fd, const char *text)
{
    size_t want = strlen(text), got = 0;
    g_autofree char *buf = g_malloc0(want + 1);

    while (got < want) {
        ssize_t n = recv(fd, buf + got, want - got, 0);

        g_assert_cmpint(n, >, 0);
        got += n;
    }
    g_assert_cmpstr(buf, ==, text);
}

static void expect_nothing(int fd)
{
    char c;

    g_usleep(20000);
    g_assert_cmpint(recv(fd, &c, 1, MSG_DONTWAIT), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
}

static void close_both(int fd[2])
{
    close(fd[0]);
    close(fd[1]);
}

/* Both directions; the other connection and the other direction are spared. */
static void test_bytes(void)
{
    static const struct {
        RelayAction action;
        const char *got;
    } rows[] = {
        { RELAY_CORRUPT, "abc\x3e\x3f" "fgh" },
        { RELAY_DROP, "abcfgh" },
        { RELAY_INSERT, "abc\xaa\xaa" "defgh" },
        { RELAY_TRICKLE, "abcdefgh" },
    };

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(rows); i++) {
        RelayDirection dir = i % 2;
        Net n = net_new();
        int first[2], second[2];

        relay_add_rule(n.relay, (RelayRule){ .connection = 1, .dir = dir, .at = 3, .amount = 2,
                                             .action = rows[i / 2].action });
        net_connect(&n, first);
        put(first[dir], "abcdefgh");
        expect(first[!dir], "abcdefgh");
        net_connect(&n, second);
        put(second[dir], "abcd");
        put(second[dir], "efgh");
        expect(second[!dir], rows[i / 2].got);
        put(second[!dir], "abcdefgh");
        expect(second[dir], "abcdefgh");
        g_assert_cmpuint(relay_acted(n.relay), ==, 1);
        close_both(first);
        close_both(second);
        net_free(&n);
    }
}

static void test_stall(void)
{
    Net n = net_new();
    int fd[2];

    relay_add_rule(n.relay, (RelayRule){ .connection = RELAY_ANY, .at = 2, .action = RELAY_STALL });
    net_connect(&n, fd);
    put(fd[0], "abcd");
    expect(fd[1], "ab");
    expect_nothing(fd[1]);
    put(fd[1], "back");
    expect(fd[0], "back");
    relay_clear_rules(n.relay);
    expect(fd[1], "cd");
    /* At once, where bytes have gone already. */
    relay_add_rule(n.relay, (RelayRule){ .connection = RELAY_ANY, .action = RELAY_STALL });
    put(fd[0], "ef");
    expect_nothing(fd[1]);
    close_both(fd);
    net_free(&n); /* while it is stalled */
}

static void test_end(gconstpointer reset)
{
    Net n = net_new();
    int fd[2];
    char c;

    relay_add_rule(n.relay, (RelayRule){ .connection = 0, .at = 3, .dir = RELAY_BACK,
                                         .action = reset ? RELAY_RESET : RELAY_CUT });
    net_connect(&n, fd);
    put(fd[1], "abc");
    expect(fd[0], "abc");
    put(fd[1], "d");
    for (unsigned i = 0; i < 2; i++) {
        ssize_t r = recv(fd[i], &c, 1, 0);

        g_assert_cmpint(r, ==, reset ? -1 : 0);
        g_assert_true(!reset || errno == ECONNRESET);
    }
    close_both(fd);
    net_free(&n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/bytes", test_bytes);
    g_test_add_func("/relay/stall", test_stall);
    g_test_add_data_func("/relay/cut", NULL, test_end);
    g_test_add_data_func("/relay/reset", "", test_end);
    return g_test_run();
}
