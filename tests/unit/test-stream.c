/*
 * Unit tests of migration/stream.c: short reads and writes, gathering, direct input, the
 * sticky error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "migration/stream-internal.h"
#include "util/util.h"

#define PAGE 4096

static void make_pair(IOChannel **a, IOChannel **b)
{
    int fd[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
    *a = io_channel_socket_new(fd[0]);
    *b = io_channel_socket_new(fd[1]);
}

/* A relay that passes bytes on in chunks of random size. */
typedef struct Relay {
    IOChannel *in, *out;
    GRand *rand;
} Relay;

static void *relay_run(void *opaque)
{
    Relay *r = opaque;
    char buf[9000];

    for (;;) {
        struct iovec iov = { buf, g_rand_int_range(r->rand, 1, sizeof(buf)) };
        ssize_t n = io_channel_readv(r->in, &iov, 1, NULL);
        if (n <= 0) {
            break;
        }
        for (ssize_t done = 0; done < n;) {
            ssize_t part = g_rand_int_range(r->rand, 1, 5000);
            struct iovec out = { buf + done, MIN(n - done, part) };
            if (!io_channel_writev_all(r->out, &out, 1, NULL)) {
                return NULL;
            }
            done += out.iov_len;
        }
    }
    io_channel_shutdown(r->out, IO_SHUTDOWN_WRITE, NULL);
    return NULL;
}

typedef struct Link {
    IOChannel *end[4]; /* writer, relay in, relay out, reader */
    Relay relay;
    GThread *thread;
} Link;

static void link_start(Link *l, guint32 seed)
{
    make_pair(&l->end[0], &l->end[1]);
    make_pair(&l->end[2], &l->end[3]);
    l->relay = (Relay){ l->end[1], l->end[2], g_rand_new_with_seed(seed) };
    l->thread = g_thread_new("relay", relay_run, &l->relay);
}

static void link_stop(Link *l)
{
    io_channel_shutdown(l->end[0], IO_SHUTDOWN_BOTH, NULL);
    io_channel_shutdown(l->end[3], IO_SHUTDOWN_BOTH, NULL);
    g_thread_join(l->thread);
    g_rand_free(l->relay.rand);
    for (int i = 0; i < 4; i++) {
        io_channel_unref(l->end[i]);
    }
}

/* What is sent: a sequence of items that both sides make from one seed. */
#define ITEMS 3000
enum { I_U8, I_BE16, I_BE32, I_BE64, I_BYTES, I_STR8, I_PAGE, I_BIG, I__MAX };

static uint8_t pages[64 * PAGE];

static void fill_pages(void)
{
    for (size_t i = 0; i < sizeof(pages); i++) {
        pages[i] = i * 7 + (i >> 12);
    }
}

static void put_items(Stream *s, guint32 seed)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(seed);
    g_autofree uint8_t *big = g_malloc(300000);
    char name[256];

    memset(big, 0x5a, 300000);
    for (int i = 0; i < ITEMS; i++) {
        guint32 v = g_rand_int(r);
        switch (g_rand_int_range(r, 0, I__MAX)) {
        case I_U8:
            stream_put_u8(s, v);
            break;
        case I_BE16:
            stream_put_be16(s, v);
            break;
        case I_BE32:
            stream_put_be32(s, v);
            break;
        case I_BE64:
            stream_put_be64(s, (uint64_t)v << 32 | 17);
            break;
        case I_BYTES:
            stream_put_bytes(s, big, v % 2000);
            break;
        case I_STR8:
            memset(name, 'n', sizeof(name));
            name[v % 256] = 0;
            stream_put_str8(s, name);
            break;
        case I_PAGE:
            stream_put_page_ref(s, pages + v % 64 * PAGE, PAGE);
            break;
        case I_BIG:
            stream_put_bytes(s, big, v % 10 ? 10 : 300000);
            break;
        }
    }
    g_assert_true(stream_flush(s));
}

static void get_items(Stream *s, guint32 seed)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(seed);
    g_autofree uint8_t *buf = g_malloc(300000);
    char name[256];

    for (int i = 0; i < ITEMS; i++) {
        guint32 v = g_rand_int(r);
        size_t n;
        switch (g_rand_int_range(r, 0, I__MAX)) {
        case I_U8:
            g_assert_cmpuint(stream_get_u8(s), ==, (uint8_t)v);
            break;
        case I_BE16:
            g_assert_cmpuint(stream_get_be16(s), ==, (uint16_t)v);
            break;
        case I_BE32:
            g_assert_cmpuint(stream_get_be32(s), ==, v);
            break;
        case I_BE64:
            g_assert_cmpuint(stream_get_be64(s), ==, (uint64_t)v << 32 | 17);
            break;
        case I_BYTES:
            n = v % 2000;
            g_assert_true(stream_get_bytes(s, buf, n));
            g_assert_true(!n || buf[n - 1] == 0x5a);
            break;
        case I_STR8:
            g_assert_true(stream_get_str8(s, name));
            g_assert_cmpuint(strlen(name), ==, v % 256);
            break;
        case I_PAGE:
            g_assert_true(stream_get_bytes(s, buf, PAGE));
            g_assert_cmpmem(buf, PAGE, pages + v % 64 * PAGE, PAGE);
            break;
        case I_BIG:
            n = v % 10 ? 10 : 300000;
            if (v % 20 < 10) {
                g_assert_true(stream_get_bytes(s, buf, n));
                g_assert_true(buf[0] == 0x5a && buf[n - 1] == 0x5a);
            } else {
                stream_skip(s, n);
            }
            break;
        }
    }
    g_assert_cmpint(stream_error(s, NULL), ==, 0);
}

static void *writer(void *opaque)
{
    g_autoptr(Stream) s = stream_new_output(opaque);

    put_items(s, 42);
    io_channel_shutdown(opaque, IO_SHUTDOWN_WRITE, NULL);
    return GSIZE_TO_POINTER(stream_bytes(s));
}

static void test_random_chunks(void)
{
    Link l;
    GThread *w;
    size_t sent;

    for (guint32 seed = 1; seed <= 2; seed++) {
        link_start(&l, seed);
        w = g_thread_new("writer", writer, l.end[0]);
        {
            g_autoptr(Stream) s = stream_new_input(l.end[3]);
            get_items(s, 42);
            g_assert_false(stream_more(s)); /* clean end, no error */
            g_assert_cmpint(stream_error(s, NULL), ==, 0);
            sent = GPOINTER_TO_SIZE(g_thread_join(w));
            g_assert_cmpuint(stream_offset(s), ==, sent);
        }
        link_stop(&l);
    }
}

static void test_memory(void)
{
    g_autoptr(Stream) out = stream_new_output_memory();
    g_autoptr(Stream) in = NULL;
    const void *data;
    size_t len;

    put_items(out, 7);
    data = stream_memory_data(out, &len);
    g_assert_cmpuint(len, ==, stream_bytes(out));
    in = stream_new_input_memory(data, len);
    get_items(in, 7);
    g_assert_false(stream_more(in));
    g_assert_cmpuint(stream_get_u8(in), ==, 0);
    g_assert_cmpint(stream_error(in, NULL), <, 0);
}

static void test_whole_or_nothing(void)
{
    g_autoptr(Stream) s = stream_new_input_memory("abcdefg", 7);
    g_autoptr(Error) err = NULL;
    char buf[8];

    g_assert_cmpuint(stream_get_be32(s), ==, 0x61626364);
    memset(buf, 'x', sizeof(buf));
    g_assert_false(stream_get_bytes(s, buf, 4));
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(buf[i], ==, 0);
    }
    g_assert_cmpint(stream_error(s, &err), ==, -EIO);
    g_assert_nonnull(strstr(err->message, "offset 4"));
    g_assert_nonnull(strstr(err->message, "4 bytes wanted, 3 there"));
    /* Sticky: even what is there is not given any more, and the first message stays. */
    g_assert_cmpuint(stream_get_u8(s), ==, 0);
    stream_error_set(s, -EINVAL, "another");
    g_clear_error(&err);
    g_assert_cmpint(stream_error(s, &err), ==, -EIO);
    g_assert_null(strstr(err->message, "another"));
    g_assert_cmpuint(stream_offset(s), ==, 4);
}

static void test_names(void)
{
    g_autoptr(Stream) zero = stream_new_input_memory("\3a\0b", 4);
    g_autoptr(Stream) cut = stream_new_input_memory("\5abc", 4);
    g_autoptr(Stream) out = stream_new_output_memory();
    g_autofree char *longer = g_strnfill(256, 'x');
    char name[256];

    g_assert_false(stream_get_str8(zero, name));
    g_assert_cmpstr(name, ==, "");
    g_assert_cmpint(stream_error(zero, NULL), ==, -EINVAL);
    g_assert_false(stream_get_str8(cut, name));
    stream_put_str8(out, longer);
    g_assert_cmpint(stream_error(out, NULL), ==, -EINVAL);
}

static void test_peek(void)
{
    g_autoptr(Stream) s = stream_new_input_memory("\5\3abcdef", 8);
    uint8_t b[16];

    g_assert_cmpuint(stream_peek(s, b, 1, 0), ==, 1);
    g_assert_cmpuint(b[0], ==, 5);
    g_assert_cmpuint(stream_peek(s, b, 3, 2), ==, 3);
    g_assert_cmpmem(b, 3, "abc", 3);
    g_assert_cmpuint(stream_peek(s, b, 10, 4), ==, 4); /* only what is there, no error */
    g_assert_cmpuint(stream_peek(s, b, 1, 8), ==, 0);
    g_assert_cmpint(stream_error(s, NULL), ==, 0);
    g_assert_cmpuint(stream_offset(s), ==, 0);
    g_assert_cmpuint(stream_get_u8(s), ==, 5);
}

static void test_gather(void)
{
    IOChannel *a, *b;
    g_autofree uint8_t *page = g_malloc(PAGE);
    uint8_t got[PAGE];

    make_pair(&a, &b);
    {
        g_autoptr(Stream) out = stream_new_output(a);
        g_autoptr(Stream) in = stream_new_input(b);
        memset(page, 1, PAGE);
        stream_put_be64(out, 0x1008);
        stream_put_page_ref(out, page, PAGE);
        stream_put_be64(out, 0x2008);
        g_assert_cmpuint(stream_queued(out), ==, PAGE + 16);
        g_assert_cmpuint(stream_bytes(out), ==, PAGE + 16);
        /* The page is read when the queue is written out, not before. */
        memset(page, 2, PAGE);
        g_assert_true(stream_flush(out));
        g_assert_cmpuint(stream_queued(out), ==, 0);
        memset(page, 3, PAGE);
        g_assert_cmpuint(stream_get_be64(in), ==, 0x1008);
        g_assert_true(stream_get_bytes(in, got, PAGE));
        g_assert_cmpuint(got[0], ==, 2);
        g_assert_cmpuint(got[PAGE - 1], ==, 2);
        g_assert_cmpuint(stream_get_be64(in), ==, 0x2008);
    }
    io_channel_unref(a);
    io_channel_unref(b);
}

/* A reader that has better things to do than to sleep in a read. */
static void send_when_waited_for(void *opaque, IOChannel *ioc)
{
    Stream *out = opaque;

    stream_put_u8(out, 7);
    g_assert_true(stream_flush(out));
}

static void test_wait(void)
{
    IOChannel *a, *b;

    make_pair(&a, &b);
    {
        g_autoptr(Stream) out = stream_new_output(a);
        g_autoptr(Stream) in = stream_new_input(b);

        stream_top_up(in);
        g_assert_cmpuint(stream_buffered(in), ==, 0);
        g_assert_cmpint(stream_error(in, NULL), ==, 0);
        stream_put_be32(out, 0x01020304);
        g_assert_true(stream_flush(out));
        stream_top_up(in);
        g_assert_cmpuint(stream_buffered(in), ==, 4);
        g_assert_cmpuint(stream_get_u8(in), ==, 1);
        /* Called only when the channel is empty, as often as it takes. */
        stream_set_wait(in, send_when_waited_for, out);
        g_assert_cmphex(stream_get_be64(in), ==, 0x0203040707070707);
        stream_set_wait(in, NULL, NULL);
        io_channel_shutdown(a, IO_SHUTDOWN_WRITE, NULL);
        stream_top_up(in);
        g_assert_cmpint(stream_error(in, NULL), ==, 0);
        g_assert_false(stream_more(in));
    }
    io_channel_unref(a);
    io_channel_unref(b);
}

static void *page_writer(void *opaque)
{
    g_autoptr(Stream) s = stream_new_output(opaque);

    for (int i = 0; i < 64; i++) {
        stream_put_be64(s, (uint64_t)i * PAGE | 0x28);
        stream_put_page_ref(s, pages + i * PAGE, PAGE);
    }
    stream_put_be64(s, 0x10);
    stream_flush(s);
    return NULL;
}

static void test_direct_input(void)
{
    g_autofree uint8_t *ram = g_malloc0(64 * PAGE);
    uint8_t words[64][8];
    struct iovec iov[128];
    size_t total = 64 * (PAGE + 8), got = 0;
    GThread *w;
    Link l;

    link_start(&l, 5);
    w = g_thread_new("writer", page_writer, l.end[0]);
    {
        g_autoptr(Stream) s = stream_new_input(l.end[3]);
        for (int i = 0; i < 64; i++) {
            iov[2 * i] = (struct iovec){ words[i], 8 };
            iov[2 * i + 1] = (struct iovec){ ram + i * PAGE, PAGE };
        }
        /* Something is in the buffer first. */
        memcpy(words[0], "", 1);
        g_assert_cmpuint(stream_peek(s, words[1], 8, 0), ==, 8);
        struct iovec *v = iov;
        size_t n = 128;
        while (got < total) {
            size_t r = stream_get_iov(s, v, n);
            g_assert_cmpuint(r, >, 0);
            got += r;
            while (n && r >= v->iov_len) {
                r -= v->iov_len;
                v++;
                n--;
            }
            if (n) {
                v->iov_base = (uint8_t *)v->iov_base + r;
                v->iov_len -= r;
            }
        }
        g_assert_cmpuint(got, ==, total);
        g_assert_cmpmem(ram, 64 * PAGE, pages, 64 * PAGE);
        /* Give back the last page and word, and get them the ordinary way. */
        stream_unget(s, ram + 63 * PAGE, PAGE);
        stream_unget(s, words[63], 8);
        g_assert_cmpuint(stream_offset(s), ==, total - PAGE - 8);
        g_assert_cmpuint(stream_get_be64(s), ==, 63 * PAGE | 0x28);
        g_assert_true(stream_get_bytes(s, ram, PAGE));
        g_assert_cmpmem(ram, PAGE, pages + 63 * PAGE, PAGE);
        g_assert_cmpuint(stream_get_be64(s), ==, 0x10);
        g_thread_join(w);
        io_channel_shutdown(l.end[0], IO_SHUTDOWN_WRITE, NULL);
        g_assert_cmpuint(stream_get_iov(s, iov, 1), ==, 0);
        g_assert_cmpint(stream_error(s, NULL), <, 0);
    }
    link_stop(&l);
}

static void *blocked_reader(void *opaque)
{
    stream_get_u8(opaque);
    return GINT_TO_POINTER(stream_error(opaque, NULL));
}

static void *blocked_writer(void *opaque)
{
    while (stream_flush(opaque)) {
        stream_put_bytes(opaque, pages, sizeof(pages));
    }
    return GINT_TO_POINTER(stream_error(opaque, NULL));
}

static void test_shutdown(void)
{
    for (int write = 0; write < 2; write++) {
        IOChannel *a, *b;
        make_pair(&a, &b);
        {
            g_autoptr(Stream) s = write ? stream_new_output(a) : stream_new_input(a);
            GThread *t = g_thread_new("blocked", write ? blocked_writer : blocked_reader, s);
            g_usleep(20000);
            stream_shutdown(s);
            g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(t)), <, 0);
        }
        io_channel_unref(a);
        io_channel_unref(b);
    }
}

static void test_output_error(void)
{
    IOChannel *a, *b;

    make_pair(&a, &b);
    io_channel_unref(b);
    {
        g_autoptr(Stream) s = stream_new_output(a);
        g_autoptr(Error) err = NULL;
        stream_put_be64(s, 1);
        g_assert_false(stream_flush(s));
        g_assert_cmpint(stream_error(s, &err), ==, -EIO);
        g_assert_nonnull(strstr(err->message, "offset 8"));
        stream_put_be64(s, 1); /* nothing happens */
        g_assert_cmpuint(stream_bytes(s), ==, 8);
        g_assert_cmpuint(stream_queued(s), ==, 0);
        g_assert_false(stream_close(s, NULL));
    }
    io_channel_unref(a);
}

static void test_rate(void)
{
    g_autoptr(Stream) s = stream_new_output_memory();
    uint8_t buf[1000] = { 0 };
    int64_t left;

    stream_put_bytes(s, buf, sizeof(buf));
    g_assert_false(stream_rate_exceeded(s)); /* no limit */
    stream_rate_set(s, 50000);               /* 5000 a window */
    for (int i = 0; i < 4; i++) {
        stream_put_bytes(s, buf, sizeof(buf));
        g_assert_false(stream_rate_exceeded(s));
    }
    stream_rate_account(s, 1000);
    g_assert_true(stream_rate_exceeded(s));
    left = stream_rate_left_us(s);
    g_assert_cmpint(left, >, 0);
    g_assert_cmpint(left, <=, 100000);
    g_usleep(left + 1000);
    g_assert_false(stream_rate_exceeded(s));
    stream_rate_set(s, 1); /* less than one a window is one */
    stream_put_u8(s, 0);
    g_assert_true(stream_rate_exceeded(s));
    stream_rate_set(s, 0);
    g_assert_false(stream_rate_exceeded(s));
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    fill_pages();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/memory", test_memory);
    g_test_add_func("/stream/random-chunks", test_random_chunks);
    g_test_add_func("/stream/whole-or-nothing", test_whole_or_nothing);
    g_test_add_func("/stream/names", test_names);
    g_test_add_func("/stream/peek", test_peek);
    g_test_add_func("/stream/gather", test_gather);
    g_test_add_func("/stream/wait", test_wait);
    g_test_add_func("/stream/direct-input", test_direct_input);
    g_test_add_func("/stream/shutdown", test_shutdown);
    g_test_add_func("/stream/output-error", test_output_error);
    g_test_add_func("/stream/rate", test_rate);
    return g_test_run();
}
