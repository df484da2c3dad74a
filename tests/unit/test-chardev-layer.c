/*
 * Unit tests of what covers the socket of a character device: telnet, WebSocket, TLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "chardev/chardev.h"
#include "chardev/layer.h"
#include "qom/object.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "tls-files.h"
#include "util/util.h"

#define PSK "00112233445566778899aabbccddeeff"
#define WS_REQUEST                                                              \
    "GET /serial HTTP/1.1\r\nHost: there\r\nUpgrade: WebSocket\r\n"              \
    "Connection: keep-alive, upgrade\r\nSec-WebSocket-Version: 13\r\n"           \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                            \
    "Sec-WebSocket-Protocol: binary\r\n\r\n"

static char *dir;

/* ---- codecs ---- */

/* Decode `wire` in pieces of `step` bytes. */
static bool decode(Codec *c, const char *wire, size_t len, size_t step, GByteArray *plain,
                   GByteArray *answer, Error **errp)
{
    for (size_t at = 0; at < len; at += step) {
        if (!c->klass->decode(c, (const uint8_t *)wire + at, MIN(step, len - at), plain, answer,
                              errp)) {
            return false;
        }
    }
    return true;
}

static void assert_bytes(GByteArray *got, const char *want, size_t len)
{
    g_assert_cmpmem(got->data, got->len, want, len);
    g_byte_array_set_size(got, 0);
}

static void test_telnet_codec(void)
{
    static const char wire[] = "a\xff\xfb\x01" "b\xff\xff" "c\xff\xfa\x18\xff\xff\x01\xff\xf0"
                               "d\xff\xf3" "e\xff\xf1" "f";
    g_autoptr(GByteArray) plain = g_byte_array_new();
    g_autoptr(GByteArray) answer = g_byte_array_new();

    for (size_t step = 1; step < sizeof(wire); step++) {
        Codec *c = codec_new(&codec_telnet);
        g_assert_true(decode(c, wire, sizeof(wire) - 1, step, plain, answer, NULL));
        assert_bytes(plain, "ab\xff" "cdef", 7);
        g_assert_cmpuint(answer->len, ==, 0);
        g_assert_cmpuint(c->breaks, ==, 1);
        c->klass->encode(c, (const uint8_t *)"x\xffy", 3, answer);
        assert_bytes(answer, "x\xff\xffy", 4);
        c->klass->greet(c, answer);
        assert_bytes(answer, "\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00", 12);
        g_assert_true(c->ready);
        codec_free(c);
    }
}

/* Sample frames and the sample key are those of RFC 6455. */
static void test_websocket_codec(void)
{
    static const char wire[] =
        WS_REQUEST "\x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d"      /* "Hel", and more comes */
                   "\x89\x82\x01\x02\x03\x04" "ik"             /* ping "hi" */
                   "\x80\x82\x00\x00\x00\x00" "lo";
    g_autoptr(GByteArray) plain = g_byte_array_new();
    g_autoptr(GByteArray) answer = g_byte_array_new();
    char zeros[70000] = { 0 };

    for (size_t step = 1; step < sizeof(wire); step += 1 + step / 8) {
        Codec *c = codec_new(&codec_websocket);
        g_assert_true(decode(c, wire, sizeof(wire) - 1, step, plain, answer, NULL));
        g_assert_true(c->ready);
        g_assert_nonnull(g_strstr_len((char *)answer->data, answer->len,
                                      "101 Switching Protocols\r\n"));
        g_assert_nonnull(g_strstr_len((char *)answer->data, answer->len,
                                      "Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        g_assert_nonnull(g_strstr_len((char *)answer->data, answer->len, "Protocol: binary\r\n"));
        g_assert_cmpmem(answer->data + answer->len - 8, 8, "\r\n\r\n\x8a\x02hi", 8);
        assert_bytes(plain, "Hello", 5);
        g_byte_array_set_size(answer, 0);
        /* Goodbye, and behind it nothing counts. */
        g_assert_false(decode(c, "\x88\x80zzzz\x82\x81\x00\x00\x00\x00x", 13, 13, plain, answer,
                              NULL));
        g_assert_cmpuint(plain->len, ==, 0);
        c->klass->encode(c, (const uint8_t *)"abc", 3, answer);
        assert_bytes(answer, "\x82\x03" "abc", 5);
        c->klass->encode(c, (const uint8_t *)zeros, 300, answer);
        g_assert_cmpmem(answer->data, 4, "\x82\x7e\x01\x2c", 4);
        g_byte_array_set_size(answer, 0);
        c->klass->encode(c, (const uint8_t *)zeros, sizeof(zeros), answer);
        g_assert_cmpmem(answer->data, 10, "\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70", 10);
        g_byte_array_set_size(answer, 0);
        codec_free(c);
    }
}

static void test_websocket_refusals(void)
{
    g_autofree char *endless = g_strnfill(10000, 'x');
    const struct { const char *wire; size_t len; const char *want; } cases[] = {
#define CASE(wire, want) { wire, sizeof(wire) - 1, want }
        CASE("POST / HTTP/1.1\r\n\r\n", "GET"),
        CASE("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "upgrade"),
        CASE("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n", "Key"),
        CASE("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
             "version 13"),
        CASE(WS_REQUEST "\x82\x01x", "not masked"),
        CASE(WS_REQUEST "\xc2\x81\x00\x00\x00\x00x", "reserved"),
        CASE(WS_REQUEST "\x83\x81\x00\x00\x00\x00x", "opcode"),
        CASE(WS_REQUEST "\x09\x81\x00\x00\x00\x00x", "control"),
        CASE(WS_REQUEST "\x89\xfe\x00\x7e\x00\x00\x00\x00x", "control"),
        { endless, 10000, "longer than" },
    };
    g_autoptr(GByteArray) plain = g_byte_array_new();
    g_autoptr(GByteArray) answer = g_byte_array_new();

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(Error) err = NULL;
        Codec *c = codec_new(&codec_websocket);
        g_assert_false(decode(c, cases[i].wire, cases[i].len, 7, plain, answer, &err));
        g_assert_nonnull(err);
        g_assert_nonnull(strstr(err->message, cases[i].want));
        g_assert_cmpuint(plain->len, ==, 0);
        codec_free(c);
    }
}

/* ---- through character devices ---- */

typedef struct User {
    GString *got;
    unsigned opened, closed, breaks;
} User;

static void user_read(void *opaque, const uint8_t *buf, size_t len)
{
    g_string_append_len(((User *)opaque)->got, (const char *)buf, (gssize)len);
}

static void user_event(void *opaque, ChardevEvent event)
{
    User *u = opaque;

    u->opened += event == CHARDEV_OPENED;
    u->closed += event == CHARDEV_CLOSED;
    u->breaks += event == CHARDEV_BREAK;
}

static Chardev *make(User *u, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static Chardev *make(User *u, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autoptr(Error) err = NULL;
    ChardevHandlers h = { NULL, user_read, user_event, u };
    Chardev *c;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    c = chardev_new_from_opts(text, &err);
    g_assert_no_error(err);
    *u = (User){ .got = g_string_new(NULL) };
    g_assert_true(chardev_attach(c, &h, &err));
    return c;
}

static void drop(Chardev *c, User *u)
{
    g_autoptr(Error) err = NULL;

    chardev_detach(c, u);
    g_assert_true(chardev_remove(chardev_id(c), &err));
    g_string_free(u->got, TRUE);
}

static void bad(const char *opts, const char *want)
{
    g_autoptr(Error) err = NULL;

    g_assert_null(chardev_new_from_opts(opts, &err));
    if (!strstr(err->message, want)) {
        g_error("'%s': '%s' does not say '%s'", opts, err->message, want);
    }
}

#define RUN_UNTIL(cond)                                                       \
    do {                                                                      \
        int64_t end_ = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;          \
        while (!(cond)) {                                                     \
            g_assert_cmpint(g_get_monotonic_time(), <, end_);                 \
            if (!g_main_context_iteration(NULL, FALSE)) {                     \
                machine_unlock();                                             \
                g_usleep(500);                                                \
                machine_lock();                                               \
            }                                                                 \
        }                                                                     \
    } while (0)

static int connect_to(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(a.sun_path, path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    fd_set_blocking(fd, false);
    return fd;
}

/* What fd gives until it has len bytes; the main loop runs meanwhile. */
static void expect(int fd, const char *want, size_t len)
{
    g_autofree char *got = g_malloc(len);
    size_t have = 0;

    RUN_UNTIL(({
        ssize_t n = read(fd, got + have, len - have);
        have += n > 0 ? n : 0;
        have == len;
    }));
    g_assert_cmpmem(got, have, want, len);
}

static void test_telnet(void)
{
    g_autofree char *path = g_build_filename(dir, "telnet", NULL);
    User u;
    Chardev *c = make(&u, "socket,id=t,path=%s,server=on,wait=off,telnet=on", path);

    for (unsigned round = 1; round <= 2; round++) {
        int fd = connect_to(path);

        RUN_UNTIL(u.opened == round);
        expect(fd, "\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00", 12);
        g_assert_cmpint(write(fd, "\xff\xfd\x01hi\xff\xf3", 7), ==, 7);
        RUN_UNTIL(u.got->len == 2 && u.breaks == round);
        g_assert_cmpstr(u.got->str, ==, "hi");
        g_string_truncate(u.got, 0);
        chardev_write(c, "1\xff", 2);
        expect(fd, "1\xff\xff", 3);
        close(fd);
        RUN_UNTIL(u.closed == round);
    }
    drop(c, &u);
}

static void test_websocket(void)
{
    g_autofree char *path = g_build_filename(dir, "ws", NULL);
    User u;
    Chardev *c = make(&u, "socket,id=w,path=%s,server=on,wait=off,websocket=on", path);
    char buf[512];
    size_t have = 0;
    int fd = connect_to(path);

    /* A client that is none: the next one is heard all the same. */
    g_assert_cmpint(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), ==, 18);
    RUN_UNTIL(read(fd, buf, sizeof(buf)) > 0);
    g_assert_true(g_str_has_prefix(buf, "HTTP/1.1 400 "));
    close(fd);
    g_assert_cmpuint(u.opened, ==, 0);

    fd = connect_to(path);
    g_assert_cmpint(write(fd, WS_REQUEST "\x82\x82\x01\x01\x01\x01\x60\x63", sizeof(WS_REQUEST) + 7),
                    ==, sizeof(WS_REQUEST) + 7);
    RUN_UNTIL(u.got->len == 2);
    g_assert_cmpstr(u.got->str, ==, "ab");
    RUN_UNTIL(({
        ssize_t n = read(fd, buf + have, 1);
        have += n > 0 ? n : 0;
        have >= 4 && memcmp(buf + have - 4, "\r\n\r\n", 4) == 0;
    }));
    chardev_write(c, "answer", 6);
    expect(fd, "\x82\x06" "answer", 8);
    drop(c, &u);
    expect(fd, "\x88\x02\x03\xe8", 4);
    close(fd);
}

static void add_object(const char *json)
{
    g_autoptr(JsonNode) node = json_from_string(json, NULL);
    JsonObject *o = json_node_get_object(node);
    g_autoptr(Error) err = NULL;

    object_create_user(json_object_get_string_member(o, "qom-type"),
                       json_object_get_string_member(o, "id"), o, &err);
    g_assert_no_error(err);
}

static void add_creds(const char *id, const char *endpoint, const char *key)
{
    g_autofree char *sub = g_build_filename(dir, id, NULL);
    g_autofree char *json = NULL;

    g_mkdir_with_parents(sub, 0700);
    tls_write_psk(sub, "qemu", key);
    json = g_strdup_printf("{'qom-type': 'tls-creds-psk', 'id': '%s', 'dir': '%s', "
                           "'endpoint': '%s'}", id, sub, endpoint);
    add_object(g_strdelimit(json, "'", '"'));
}

/* Both ends are ours; data in both directions at once, more than any buffer holds. */
static void test_tls(void)
{
    g_autofree char *path = g_build_filename(dir, "tls", NULL);
    g_autofree char *chunk = g_strnfill(3 * MiB, 'x');
    User s, c;
    Chardev *server = make(&s, "socket,id=s,path=%s,server=on,wait=off,tls-creds=srv,"
                           "tls-authz=friends", path);
    Chardev *client;

    for (unsigned round = 1; round <= 2; round++) {
        client = make(&c, "socket,id=c,path=%s,reconnect-ms=10000,tls-creds=cli", path);
        RUN_UNTIL(s.opened == round && c.opened == 1);
        g_assert_cmpuint(chardev_write(server, chunk, 3 * MiB), ==, 3 * MiB);
        g_assert_cmpuint(chardev_write(client, chunk, 3 * MiB), ==, 3 * MiB);
        RUN_UNTIL(s.got->len == 3 * MiB && c.got->len == 3 * MiB);
        g_assert_cmpuint(strspn(s.got->str, "x"), ==, 3 * MiB);
        g_string_truncate(s.got, 0);
        /* The last words arrive, whoever ends first. */
        if (round == 2) {
            chardev_write(server, "bye", 3);
            drop(server, &s);
            RUN_UNTIL(c.closed == 1);
            g_assert_cmpstr(c.got->str + 3 * MiB, ==, "bye");
            drop(client, &c);
        } else {
            chardev_write(client, "bye", 3);
            drop(client, &c);
            RUN_UNTIL(s.closed == 1);
            g_assert_cmpstr(s.got->str, ==, "bye");
            g_string_truncate(s.got, 0);
        }
    }
}

/* Somebody without TLS, and somebody whom authz does not know, do not come in. */
static void test_tls_refused(void)
{
    static const char *const wrong[] = { "telnet=off", "tls-creds=cli" };
    g_autofree char *path = g_build_filename(dir, "tls2", NULL);
    User s, c;
    Chardev *server, *client;

    server = make(&s, "socket,id=s,path=%s,server=on,wait=off,tls-creds=srv,tls-authz=nobody",
                  path);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        client = make(&c, "socket,id=c,path=%s,reconnect-ms=100000,%s", path, wrong[i]);
        RUN_UNTIL(c.opened == 1);
        chardev_write(client, "hello, is there anybody?\r\n\r\n", 28);
        RUN_UNTIL(c.closed == 1);
        drop(client, &c);
    }
    g_assert_cmpuint(s.opened, ==, 0);
    g_assert_cmpuint(s.got->len, ==, 0);
    drop(server, &s);
}

static void test_options(void)
{
    bad("socket,id=x,path=/a,tn3270=on", "'tn3270' is not supported");
    bad("socket,id=x,path=/a,websocket=on", "server=on");
    bad("socket,id=x,path=/a,server=on,websocket=on,telnet=on", "exclude");
    bad("socket,id=x,path=/a,server=on,tls-authz=friends", "tls-creds");
    bad("socket,id=x,path=/a,tls-creds=none", "No TLS credentials");
    bad("socket,id=x,path=/a,tls-creds=srv", "client endpoint");
    bad("socket,id=x,path=/a,server=on,tls-creds=cli", "server endpoint");
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    dir = tls_dir_new();
    main_loop_init();
    machine_lock();
    add_creds("srv", "server", PSK);
    add_creds("cli", "client", PSK);
    add_object("{\"qom-type\": \"authz-simple\", \"id\": \"friends\", \"identity\": \"qemu\"}");
    add_object("{\"qom-type\": \"authz-simple\", \"id\": \"nobody\", \"identity\": \"x\"}");
    g_test_add_func("/chardev-layer/telnet-codec", test_telnet_codec);
    g_test_add_func("/chardev-layer/websocket-codec", test_websocket_codec);
    g_test_add_func("/chardev-layer/websocket-refusals", test_websocket_refusals);
    g_test_add_func("/chardev-layer/options", test_options);
    g_test_add_func("/chardev-layer/telnet", test_telnet);
    g_test_add_func("/chardev-layer/websocket", test_websocket);
    g_test_add_func("/chardev-layer/tls", test_tls);
    g_test_add_func("/chardev-layer/tls-refused", test_tls_refused);
    status = g_test_run();
    chardev_cleanup_all();
    machine_unlock();
    g_autofree char *command = g_strdup_printf("rm -rf %s", dir);
    g_assert_cmpint(system(command), ==, 0);
    g_free(dir);
    return status;
}
