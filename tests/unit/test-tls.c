/*
 * TLS channels: credentials and what is wrong with them, who is refused and how both ends hear
 * of it, traffic in both directions at once, ends and shutdown.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "io/tls.h"
#include "tls-files.h"
#include "util/util.h"

#define PSK "00112233445566778899aabbccddeeff"
#define TIMEOUT_MS 10000

static TlsCa *ca, *other_ca;
static const TlsIdentity server_id = { .name = "server", .dns = "there.example", .local_ip = true };
static const TlsIdentity client_id = { .name = "client" };

static TlsCreds *creds(TlsCredsOptions o)
{
    g_autoptr(Error) err = NULL;
    TlsCreds *c = tls_creds_new(&o, &err);

    g_assert_no_error(err);
    return c;
}

static TlsCreds *x509(const char *dir, bool server)
{
    return creds((TlsCredsOptions){ .kind = TLS_CREDS_X509, .server = server, .verify_peer = true,
                                    .sanity_check = true, .dir = dir });
}

typedef struct Ends {
    IOChannel *client, *server;
    Error *client_err, *server_err; /* of the handshake */
} Ends;

static gpointer shake_server(gpointer opaque)
{
    Ends *e = opaque;

    io_channel_tls_handshake(e->server, TIMEOUT_MS, &e->server_err);
    return NULL;
}

static Ends ends_new(TlsCreds *client, TlsCreds *server, const char *hostname)
{
    Ends e = { 0 };
    int pair[2];
    GThread *thread;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    e.client = io_channel_tls_new(io_channel_socket_new(pair[0]), client, hostname, NULL);
    e.server = io_channel_tls_new(io_channel_socket_new(pair[1]), server, NULL, NULL);
    g_assert_nonnull(e.client);
    g_assert_nonnull(e.server);
    thread = g_thread_new("server", shake_server, &e);
    io_channel_tls_handshake(e.client, TIMEOUT_MS, &e.client_err);
    g_thread_join(thread);
    tls_creds_unref(client);
    tls_creds_unref(server);
    return e;
}

static void ends_free(Ends *e)
{
    io_channel_unref(e->client);
    io_channel_unref(e->server);
    g_clear_error(&e->client_err);
    g_clear_error(&e->server_err);
}

static void send_text(IOChannel *ioc, const char *text)
{
    struct iovec iov = { (void *)text, strlen(text) };
    g_autoptr(Error) err = NULL;

    io_channel_writev_all(ioc, &iov, 1, &err);
    g_assert_no_error(err);
}

static void expect_text(IOChannel *ioc, const char *text)
{
    char buf[64] = "";
    g_autoptr(Error) err = NULL;

    io_channel_read_all(ioc, buf, strlen(text), &err);
    g_assert_no_error(err);
    g_assert_cmpstr(buf, ==, text);
}

static void works(Ends *e, const char *peer)
{
    g_autofree char *name = NULL;

    g_assert_no_error(e->client_err);
    g_assert_no_error(e->server_err);
    name = io_channel_tls_peer(e->server);
    g_assert_cmpstr(name, ==, peer);
    send_text(e->client, "there");
    expect_text(e->server, "there");
    send_text(e->server, "and back");
    expect_text(e->client, "and back");
    ends_free(e);
}

static void expect_error(Error *err, const char *part)
{
    g_assert_nonnull(err);
    if (!strstr(err->message, part)) {
        g_error("'%s' is not in '%s'", part, err->message);
    }
}

static void test_psk(void)
{
    g_autofree char *a = tls_dir_new(), *b = tls_dir_new();
    TlsCredsOptions o = { .kind = TLS_CREDS_PSK, .dir = a };
    TlsCredsOptions wrong = { .kind = TLS_CREDS_PSK, .dir = b };
    TlsCredsOptions s = { .kind = TLS_CREDS_PSK, .server = true, .dir = a };
    Ends e;

    tls_write_psk(a, "qemu", PSK);
    tls_write_psk(b, "qemu", "ffeeddccbbaa99887766554433221100");
    e = ends_new(creds(o), creds(s), NULL);
    works(&e, "qemu");
    o.username = "other";
    e = ends_new(creds(o), creds(s), NULL);
    works(&e, "other");
    e = ends_new(creds(wrong), creds(s), NULL);
    g_assert_nonnull(e.server_err);
    g_assert_nonnull(e.client_err);
    ends_free(&e);
    tls_dir_free(g_steal_pointer(&a));
    tls_dir_free(g_steal_pointer(&b));
}

static void test_anon(void)
{
    Ends e = ends_new(creds((TlsCredsOptions){ .kind = TLS_CREDS_ANON }),
                      creds((TlsCredsOptions){ .kind = TLS_CREDS_ANON, .server = true }), NULL);

    works(&e, NULL);
}

static void test_x509(void)
{
    g_autofree char *dir = tls_dir_new();
    Ends e;

    tls_write_x509(dir, ca, &server_id, &client_id);
    e = ends_new(x509(dir, false), x509(dir, true), "there.example");
    works(&e, "O=Ferry,CN=client");
    e = ends_new(x509(dir, false), x509(dir, true), "127.0.0.1");
    works(&e, "O=Ferry,CN=client");
    tls_dir_free(g_steal_pointer(&dir));
}

/* Without verify-peer nobody asks who the client is. */
static void test_no_verify(void)
{
    g_autofree char *dir = tls_dir_new();
    TlsCredsOptions o = { .kind = TLS_CREDS_X509, .server = true, .dir = dir };
    Ends e;

    tls_write_x509(dir, ca, &server_id, NULL);
    e = ends_new(x509(dir, false), creds(o), "there.example");
    works(&e, NULL);
    tls_dir_free(g_steal_pointer(&dir));
}

static void test_wrong_host(void)
{
    g_autofree char *dir = tls_dir_new();
    Ends e;

    tls_write_x509(dir, ca, &server_id, &client_id);
    e = ends_new(x509(dir, false), x509(dir, true), "elsewhere.example");
    expect_error(e.client_err, "not for the host 'elsewhere.example'");
    expect_error(e.server_err, "refused");
    ends_free(&e);
    tls_dir_free(g_steal_pointer(&dir));
}

/*
 * What the server has against the client's certificate: in TLS 1.3 the client hears of it when
 * it reads, or writes, or closes.
 */
typedef enum Hears { IN_READ, IN_WRITE, IN_CLOSE } Hears;

static void refused_by_server(const char *client_dir, const char *server_dir, Hears how,
                              const char *server_says, const char *client_hears)
{
    Ends e = ends_new(x509(client_dir, false), x509(server_dir, true), "there.example");
    g_autoptr(Error) err = NULL;
    static char big[1 << 20];
    char byte;

    g_assert_no_error(e.client_err);
    expect_error(e.server_err, server_says);
    io_channel_unref(g_steal_pointer(&e.server));
    if (how == IN_READ) {
        g_assert_cmpint(io_channel_read_all(e.client, &byte, 1, &err), ==, -1);
    } else if (how == IN_WRITE) {
        struct iovec iov = { big, sizeof(big) };
        while (io_channel_writev_all(e.client, &iov, 1, &err)) {
        }
    } else {
        g_assert_false(io_channel_close(e.client, &err));
    }
    expect_error(err, client_hears);
    ends_free(&e);
}

static void test_missing_certificate(void)
{
    g_autofree char *dir = tls_dir_new(), *bare = tls_dir_new();

    tls_write_x509(dir, ca, &server_id, NULL);
    tls_write_x509(bare, ca, NULL, NULL);
    for (int how = IN_READ; how <= IN_CLOSE; how++) {
        refused_by_server(bare, dir, how, "the peer sent no certificate", "ertificate");
    }
    tls_dir_free(g_steal_pointer(&dir));
    tls_dir_free(g_steal_pointer(&bare));
}

/* A client whose certificate is somebody else's, though it trusts the server. */
static void test_untrusted(void)
{
    g_autofree char *dir = tls_dir_new(), *bad = tls_dir_new(), *path = NULL, *pem = NULL;

    tls_write_x509(dir, ca, &server_id, NULL);
    tls_write_x509(bad, other_ca, NULL, &client_id);
    path = g_build_filename(dir, "ca-cert.pem", NULL);
    g_assert_true(g_file_get_contents(path, &pem, NULL, NULL));
    g_free(path);
    path = g_build_filename(bad, "ca-cert.pem", NULL);
    g_assert_true(g_file_set_contents(path, pem, -1, NULL));

    TlsCredsOptions o = { .kind = TLS_CREDS_X509, .verify_peer = true, .dir = bad };
    Ends e = ends_new(creds(o), x509(dir, true), "there.example");
    g_autoptr(Error) err = NULL;
    char byte;

    expect_error(e.server_err, "signed by somebody unknown");
    g_assert_cmpint(io_channel_read_all(e.client, &byte, 1, &err), ==, -1);
    expect_error(err, "CA");
    ends_free(&e);
    /* Our own certificate is looked at before anybody else does. */
    o.sanity_check = true;
    g_clear_error(&err);
    g_assert_null(tls_creds_new(&o, &err));
    expect_error(err, "ca-cert.pem does not know who signed it");
    tls_dir_free(g_steal_pointer(&dir));
    tls_dir_free(g_steal_pointer(&bad));
}

static void test_denied(void)
{
    g_autofree char *dir = tls_dir_new();
    g_autoptr(Error) err = NULL;
    Ends e;
    char byte;

    tls_write_x509(dir, ca, &server_id, &client_id);
    e = ends_new(x509(dir, false), x509(dir, true), "there.example");
    g_assert_no_error(e.server_err);
    send_text(e.client, "unread bytes");
    io_channel_tls_deny(e.server);
    io_channel_unref(g_steal_pointer(&e.server));
    g_assert_cmpint(io_channel_read_all(e.client, &byte, 1, &err), ==, -1);
    expect_error(err, "access denied");
    ends_free(&e);
    tls_dir_free(g_steal_pointer(&dir));
}

static void refused(TlsCredsOptions o, const char *part)
{
    g_autoptr(Error) err = NULL;

    g_assert_null(tls_creds_new(&o, &err));
    expect_error(err, part);
}

static void test_bad_files(void)
{
    g_autofree char *dir = tls_dir_new(), *late = tls_dir_new();
    const TlsIdentity expired = { .name = "server", .expired = true };
    const TlsIdentity locked = { .name = "client", .password = "sesame" };
    TlsCredsOptions o = { .kind = TLS_CREDS_X509, .verify_peer = true, .sanity_check = true,
                          .dir = dir };
    g_autofree char *path = g_build_filename(dir, "ca-cert.pem", NULL);

    refused((TlsCredsOptions){ .kind = TLS_CREDS_X509 }, "need 'dir'");
    refused((TlsCredsOptions){ .kind = TLS_CREDS_PSK, .dir = dir }, "keys.psk");
    refused((TlsCredsOptions){ .kind = TLS_CREDS_PSK, .dir = "/nonexistent" }, "not a folder");
    refused((TlsCredsOptions){ .kind = TLS_CREDS_ANON, .priority = "NONSENSE" }, "NONSENSE");
    refused(o, "ca-cert.pem");
    g_assert_true(g_file_set_contents(path, "not a certificate", -1, NULL));
    refused(o, "ca-cert.pem");
    tls_write_x509(dir, ca, NULL, NULL);
    o.server = true;
    refused(o, "server-cert.pem");
    o.server = false;
    tls_write_x509(dir, ca, NULL, &locked);
    refused(o, "needs 'passwordid'");
    o.key_password = "wrong";
    refused(o, "is not its password");
    o.key_password = "sesame";
    tls_creds_unref(creds(o));
    tls_write_x509(late, ca, &expired, NULL);
    refused((TlsCredsOptions){ .kind = TLS_CREDS_X509, .server = true, .sanity_check = true,
                               .dir = late }, "has expired");
    tls_write_psk(late, "qemu", PSK);
    refused((TlsCredsOptions){ .kind = TLS_CREDS_PSK, .dir = late, .username = "nobody" },
            "no key of the user 'nobody'");
    tls_dir_free(g_steal_pointer(&dir));
    tls_dir_free(g_steal_pointer(&late));
}

/* ---- traffic ---- */

#define TRAFFIC (24 * MiB)

typedef struct Flow {
    IOChannel *ioc;
    uint32_t seed;
    bool rekey;
} Flow;

static void fill(uint8_t *p, size_t n, uint32_t *state)
{
    for (size_t i = 0; i < n; i++) {
        *state = *state * 1664525 + 1013904223;
        p[i] = *state >> 24;
    }
}

/*
 * Pieces of every size, several at once, now and then with new keys: for both directions, but
 * only one side asks for them (requests that cross are more than GnuTLS 3.7 can do).
 */
static gpointer write_flow(gpointer opaque)
{
    Flow *f = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(f->seed);
    g_autofree uint8_t *buf = g_malloc(8 * 40000);
    uint32_t state = f->seed;
    size_t done = 0;
    int rekeys = 0;

    while (done < TRAFFIC) {
        struct iovec iov[8];
        size_t n = g_rand_int_range(rand, 1, 9), at = 0;
        g_autoptr(Error) err = NULL;

        for (size_t i = 0; i < n; i++) {
            size_t len = g_rand_int_range(rand, 0, g_rand_boolean(rand) ? 100 : 40000);
            len = MIN(len, TRAFFIC - done - at);
            iov[i] = (struct iovec){ buf + at, len };
            at += len;
        }
        fill(buf, at, &state);
        io_channel_writev_all(f->ioc, iov, n, &err);
        g_assert_no_error(err);
        done += at;
        if (f->rekey && rekeys < 6 && done > TRAFFIC / 8 * (rekeys + 1)) {
            rekeys++;
            g_assert_true(io_channel_tls_rekey(f->ioc, &err));
        }
    }
    return NULL;
}

static gpointer read_flow(gpointer opaque)
{
    Flow *f = opaque;
    g_autofree uint8_t *buf = g_malloc(100000), *want = g_malloc(100000);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint32_t state = f->seed;
    size_t done = 0;

    while (done < TRAFFIC) {
        g_autoptr(Error) err = NULL;
        size_t part = g_rand_int_range(rand, 1, 50000);
        struct iovec iov[2] = { { buf, part }, { buf + part, 50000 } };
        ssize_t r = io_channel_readv(f->ioc, iov, 2, &err);

        g_assert_no_error(err);
        g_assert_cmpint(r, >, 0);
        fill(want, r, &state);
        g_assert_cmpint(memcmp(buf, want, r), ==, 0);
        done += r;
    }
    g_assert_cmpuint(done, ==, TRAFFIC);
    return NULL;
}

static void test_traffic(gconstpointer rekey)
{
    g_autofree char *dir = tls_dir_new();
    GThread *threads[4];
    Ends e;

    tls_write_x509(dir, ca, &server_id, &client_id);
    e = ends_new(x509(dir, false), x509(dir, true), "there.example");
    g_assert_no_error(e.client_err);
    g_assert_no_error(e.server_err);
    /* Both directions are full most of the time: a reader that waited to write would wait forever. */
    io_channel_set_send_buffer(e.client, 4096);
    io_channel_set_send_buffer(e.server, 4096);
    Flow out = { e.client, 1, rekey != NULL }, out_read = { e.server, 1 };
    Flow back = { e.server, 2 }, back_read = { e.client, 2 };
    threads[0] = g_thread_new("out", write_flow, &out);
    threads[1] = g_thread_new("out-read", read_flow, &out_read);
    threads[2] = g_thread_new("back", write_flow, &back);
    threads[3] = g_thread_new("back-read", read_flow, &back_read);
    for (int i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
    ends_free(&e);
    tls_dir_free(g_steal_pointer(&dir));
}

/* ---- ends ---- */

static Ends anon(void)
{
    Ends e = ends_new(creds((TlsCredsOptions){ .kind = TLS_CREDS_ANON }),
                      creds((TlsCredsOptions){ .kind = TLS_CREDS_ANON, .server = true }), NULL);

    g_assert_no_error(e.client_err);
    g_assert_no_error(e.server_err);
    return e;
}

static void test_ends(void)
{
    char byte;
    g_autoptr(Error) err = NULL;

    for (int clean = 0; clean < 2; clean++) {
        Ends e = anon();
        struct iovec iov = { &byte, 1 };

        send_text(e.server, "x");
        if (clean) {
            g_assert_true(io_channel_close(e.server, &err));
        }
        io_channel_unref(g_steal_pointer(&e.server));
        /* Bytes are there although the descriptor has them no longer. */
        g_assert_true(io_channel_wait_readable(e.client, 1000));
        expect_text(e.client, "x");
        g_assert_cmpint(io_channel_readv(e.client, &iov, 1, &err), ==, 0);
        g_assert_cmpint(io_channel_read_all(e.client, &byte, 1, &err), ==, 0);
        g_assert_no_error(err);
        ends_free(&e);
    }
}

static void expect_peek(IOChannel *ioc, ssize_t r, const char *text)
{
    char buf[IO_PEEK_MAX] = "";
    g_autoptr(Error) err = NULL;

    g_assert_cmpint(io_channel_peek(ioc, buf, 4, &err), ==, r);
    g_assert_no_error(err);
    g_assert_cmpmem(buf, MAX(r, 0), text, strlen(text));
}

/* What was looked at is read all the same, and once. */
static void test_peek(void)
{
    Ends e = anon();
    struct iovec iov = { (char[8]){ 0 }, 8 };

    expect_peek(e.server, -EAGAIN, "");
    send_text(e.client, "ab");
    expect_peek(e.server, 2, "ab");
    expect_peek(e.server, 2, "ab");
    send_text(e.client, "cdefg");
    expect_peek(e.server, 4, "abcd");
    g_assert_true(io_channel_wait_readable(e.server, 0));
    expect_text(e.server, "abc");
    expect_peek(e.server, 4, "defg");
    g_assert_cmpint(io_channel_readv(e.server, &iov, 1, NULL), ==, 4);
    g_assert_cmpmem(iov.iov_base, 4, "defg", 4);
    g_assert_true(io_channel_close(e.client, NULL));
    expect_peek(e.server, 0, "");
    ends_free(&e);
}

static gpointer read_one(gpointer opaque)
{
    char byte;
    Error *err = NULL;

    g_assert_cmpint(io_channel_read_all(opaque, &byte, 1, &err), ==, -1);
    return err;
}

static gpointer write_for_ever(gpointer opaque)
{
    static char big[1 << 20];
    struct iovec iov = { big, sizeof(big) };
    Error *err = NULL;

    while (io_channel_writev_all(opaque, &iov, 1, &err)) {
    }
    return err;
}

static void test_shutdown(void)
{
    Ends e = anon();
    GThread *reader = g_thread_new("reader", read_one, e.client);
    GThread *writer = g_thread_new("writer", write_for_ever, e.client);

    g_usleep(50000);
    g_assert_true(io_channel_shutdown(e.client, IO_SHUTDOWN_BOTH, NULL));
    for (int i = 0; i < 2; i++) {
        Error *err = g_thread_join(i ? writer : reader);
        expect_error(err, "shut down");
        g_error_free(err);
    }
    ends_free(&e);
}

/* A peer that says nothing, one that says nonsense, and one that is cancelled. */
static void test_handshake_fails(void)
{
    static const char nonsense[] = "QEVM\0\0\0\3 this is no handshake at all";

    for (int i = 0; i < 3; i++) {
        TlsCreds *c = creds((TlsCredsOptions){ .kind = TLS_CREDS_ANON, .server = true });
        g_autoptr(Error) err = NULL;
        int pair[2];
        g_autoptr(IOChannel) ioc = NULL, peer = NULL;
        int64_t start = host_clock_ms();

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
        ioc = io_channel_tls_new(io_channel_socket_new(pair[0]), c, NULL, NULL);
        peer = io_channel_socket_new(pair[1]);
        if (i == 1) {
            struct iovec iov = { (void *)nonsense, sizeof(nonsense) };
            io_channel_writev_all(peer, &iov, 1, NULL);
            g_assert_true(io_channel_shutdown(peer, IO_SHUTDOWN_WRITE, NULL));
        } else if (i == 2) {
            io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
        }
        g_assert_false(io_channel_tls_handshake(ioc, 200, &err));
        expect_error(err, i == 0 ? "silent" : i == 1 ? "does the peer use TLS?" : "shut down");
        g_assert_cmpint(host_clock_ms() - start, <, 5000);
        tls_creds_unref(c);
    }
}

static void test_one_way(void)
{
    TlsCreds *c = creds((TlsCredsOptions){ .kind = TLS_CREDS_ANON });
    g_autoptr(Error) err = NULL;
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_null(io_channel_tls_new(io_channel_fd_new(fds[1], NULL), c, NULL, &err));
    expect_error(err, "one-way");
    close(fds[0]);
    tls_creds_unref(c);
}

int main(int argc, char **argv)
{
    int ret;

    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    ca = tls_ca_new();
    other_ca = tls_ca_new();
    g_test_add_func("/tls/psk", test_psk);
    g_test_add_func("/tls/anon", test_anon);
    g_test_add_func("/tls/x509", test_x509);
    g_test_add_func("/tls/x509-no-verify", test_no_verify);
    g_test_add_func("/tls/wrong-host", test_wrong_host);
    g_test_add_func("/tls/missing-certificate", test_missing_certificate);
    g_test_add_func("/tls/untrusted", test_untrusted);
    g_test_add_func("/tls/denied", test_denied);
    g_test_add_func("/tls/bad-files", test_bad_files);
    g_test_add_data_func("/tls/traffic", NULL, test_traffic);
    g_test_add_data_func("/tls/traffic-rekey", "", test_traffic);
    g_test_add_func("/tls/ends", test_ends);
    g_test_add_func("/tls/peek", test_peek);
    g_test_add_func("/tls/shutdown", test_shutdown);
    g_test_add_func("/tls/handshake-fails", test_handshake_fails);
    g_test_add_func("/tls/one-way", test_one_way);
    ret = g_test_run();
    tls_ca_free(ca);
    tls_ca_free(other_ca);
    return ret;
}
