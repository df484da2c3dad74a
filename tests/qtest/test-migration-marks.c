/*
 * multifd towards destinations of any version: what the source finds out about the marks, and
 * that every SYNC gets one.  The destination is played here: one of before 8.1, newer ones
 * that answer at once or late, Ferry's own; pages that become zero are told in a form that it knows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "migration-file-ram.h"

#define PAGE 4096
#define CHANNELS 2
#define MARKS 0x4d00
#define MARKS_KNOWN 0x4d01
#define ROUND 0x4d10

typedef enum Kind { OLD, FRESH, LATE, OWN, SILENT } Kind;

/* One connection, and all that came on it. */
typedef struct Conn {
    int fd;
    GByteArray *got;
    size_t done;       /* looked at */
    unsigned syncs;    /* channels */
} Conn;

typedef struct Peer {
    Kind kind;
    int listener;
    Conn conn[1 + CHANNELS];
    unsigned n;
    Conn *main;
    GThread *thread;
    gint quit;
    unsigned rounds;
    /* page 5 as it came last */
    bool zero_entry, data;
} Peer;

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void answer(Peer *p, unsigned message, uint32_t value)
{
    uint8_t buf[] = { 0, message, 0, 4, value >> 24, value >> 16, value >> 8, value };

    /* The source may be gone: it was cancelled. */
    if (send(p->main->fd, buf, sizeof(buf), MSG_NOSIGNAL) < 0) {
        g_test_message("no answer: %s", g_strerror(errno));
    }
}

/* Packets of a channel that are complete. */
static void look_at_channel(Peer *p, Conn *c)
{
    if (!c->done && c->got->len >= 64) {
        c->done = 64;
    }
    while (c->done && c->got->len >= c->done + 1344) {
        const uint8_t *h = c->got->data + c->done;
        uint32_t normal = be32(h + 16), zero = be32(h + 32);

        if (c->got->len < c->done + 1344 + be32(h + 20)) {
            return;
        }
        c->syncs += h[11] & 1;
        for (uint32_t i = 0; i < normal + zero; i++) {
            if (be32(h + 320 + 8 * i + 4) == 5 * PAGE) {
                p->data = i < normal;
                p->zero_entry = !p->data;
            }
        }
        c->done += 1344 + be32(h + 20);
    }
}

/* Has every channel had so many SYNCs? */
static bool synced(const Peer *p, unsigned n)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (&p->conn[i] != p->main && p->conn[i].syncs < n) {
            return false;
        }
    }
    return p->n == 1 + CHANNELS;
}

/* False: later. */
static bool answer_ping(Peer *p, uint32_t cookie)
{
    if (cookie == MARKS && p->kind == OWN) {
        cookie = MARKS_KNOWN;
    } else if (cookie >= ROUND) {
        if (p->kind == SILENT || (p->kind == OLD && !synced(p, cookie - ROUND + 1))) {
            return false;
        }
        if (p->kind == LATE && cookie < ROUND + 2) {
            /* As an old one would, and then it is found out. */
            if (!synced(p, cookie - ROUND + 1)) {
                return false;
            }
        }
        p->rounds++;
    }
    answer(p, 2, cookie);
    return true;
}

/* PINGs; and the description, which is the last thing: then all is loaded. */
static void look_at_main(Peer *p)
{
    static const uint8_t ping[] = { 8, 0, 2, 0, 4 };
    Conn *c = p->main;

    for (; c->done + sizeof(ping) + 4 <= c->got->len; c->done++) {
        const uint8_t *at = c->got->data + c->done;

        if (!memcmp(at, ping, sizeof(ping)) && !answer_ping(p, be32(at + sizeof(ping)))) {
            return;
        }
        if (!memcmp(at + 5, "{\"c", 3) && *at == 6) {
            if (c->got->len >= c->done + 5 + be32(at + 1)) {
                answer(p, 1, 0);
                c->done = c->got->len;
            }
            return;
        }
    }
}

static void look(Peer *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        Conn *c = &p->conn[i];

        if (!p->main && c->got->len >= 4 && !memcmp(c->got->data, "QEVM", 4)) {
            p->main = c;
        }
        if (c->got->len >= 4 && c != p->main) {
            look_at_channel(p, c);
        }
    }
    if (p->main) {
        look_at_main(p);
    }
}

static void take_bytes(Conn *c)
{
    uint8_t buf[65536];
    ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n > 0) {
        g_byte_array_append(c->got, buf, n);
    } else if (n == 0) {
        close(c->fd);
        c->fd = -1;
    }
}

static void *peer_thread(void *opaque)
{
    Peer *p = opaque;

    while (!g_atomic_int_get(&p->quit)) {
        struct pollfd pfd[2 + CHANNELS] = { { p->n < 1 + CHANNELS ? p->listener : -1, POLLIN } };

        for (unsigned i = 0; i < p->n; i++) {
            pfd[1 + i] = (struct pollfd){ p->conn[i].fd, POLLIN };
        }
        poll(pfd, 1 + p->n, 20);
        for (unsigned i = 0, n = p->n; i < n; i++) {
            if (pfd[1 + i].revents) {
                take_bytes(&p->conn[i]);
            }
        }
        if (pfd[0].revents) {
            p->conn[p->n++] = (Conn){ accept(p->listener, NULL, NULL), g_byte_array_new() };
        }
        look(p);
    }
    return NULL;
}

static Peer *peer_new(Kind kind, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    Peer *p = g_new0(Peer, 1);

    p->kind = kind;
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(p->listener, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(p->listener, 8), ==, 0);
    p->thread = g_thread_new("peer", peer_thread, p);
    return p;
}

static void peer_join(Peer *p)
{
    g_atomic_int_set(&p->quit, 1);
    g_thread_join(p->thread);
}

static void peer_free(Peer *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (p->conn[i].fd >= 0) {
            close(p->conn[i].fd);
        }
        g_byte_array_unref(p->conn[i].got);
    }
    close(p->listener);
    g_free(p);
}

/* MULTIFD_FLUSH words on the main channel. */
static unsigned flushes(const Peer *p)
{
    /* And the first byte of another word: in one of a zero page it is not zero. */
    static const uint8_t word[9] = { 0, 0, 0, 0, 0, 0, 2, 0, 0 };
    unsigned n = 0;

    for (size_t at = 0; at + sizeof(word) <= p->main->got->len; at++) {
        if (!memcmp(p->main->got->data + at, "\5timer", 6)) {
            break; /* devices */
        }
        n += !memcmp(p->main->got->data + at, word, sizeof(word));
    }
    return n;
}

static void set_up(QTestState *s)
{
    mig_cap(s, "multifd", true);
    qtest_qmp_ok(s, "migrate-set-parameters", "{'multifd-channels': %d}", CHANNELS);
}

static QTestState *start_source(const char *more)
{
    QTestState *s = qtest_init("-machine none -m 4M %s", more);

    for (unsigned i = 0; i < 64; i++) {
        qtest_memset(s, (3 * i + 2) * PAGE, 0xa0 + i % 16, 100);
    }
    set_up(s);
    mig_cap(s, "pause-before-switchover", true);
    return s;
}

typedef struct Case {
    const char *name;
    Kind kind;
    const char *more;
    unsigned rounds; /* that it was asked */
    bool old_marks;
} Case;

#define FLUSH "-global migration.multifd-flush-after-each-section="

static const Case cases[] = {
    { "old", OLD, "", 3, true },
    { "newer", FRESH, "", 1, false },
    { "late", LATE, "", 3, false },
    { "own", OWN, "", 0, false },
    { "told-old", OLD, FLUSH "on", 0, true },
    { "told-newer", FRESH, FLUSH "off", 0, false },
};

static void test_marks(gconstpointer opaque)
{
    const Case *c = opaque;
    QTestState *s = start_source(c->more);
    g_autofree char *path = qtest_path(s, "peer");
    Peer *p = peer_new(c->kind, path);

    qtest_qmp_ok(s, "migrate", "{'uri': 'unix:%s'}", path);
    json_object_unref(mig_wait(s, "pre-switchover"));
    /* It went with contents, and has none any more. */
    qtest_memset(s, 5 * PAGE, 0, PAGE);
    qtest_qmp_ok(s, "migrate-continue", "{'state': 'pre-switchover'}");
    json_object_unref(mig_wait(s, "completed"));
    peer_join(p);
    /* On a busy host it may take more. */
    g_assert_cmpuint(p->rounds, >=, c->rounds);
    g_assert_true(!p->rounds == !c->rounds);
    g_assert_cmpuint(p->n, ==, 1 + CHANNELS);
    for (unsigned i = 0; i < p->n; i++) {
        if (&p->conn[i] != p->main) {
            g_assert_cmpuint(p->conn[i].syncs, >=, 2 + (c->rounds == 3));
            g_assert_cmpuint(flushes(p), ==, c->old_marks ? 0 : p->conn[i].syncs);
        }
    }
    /* Destinations before 9.0 know no zero pages in packets, and nobody says which it is. */
    g_assert_true(p->zero_entry == (c->kind == OWN));
    g_assert_true(p->data == (c->kind != OWN));
    peer_free(p);
    qtest_quit(s);
}

/* Nobody answers: the source can be stopped, and moves to somebody who does. */
static void test_silent(void)
{
    QTestState *s = start_source("");
    g_autofree char *path = qtest_path(s, "peer"), *next = qtest_path(s, "next");
    Peer *p = peer_new(SILENT, path);

    qtest_qmp_ok(s, "migrate", "{'uri': 'unix:%s'}", path);
    g_usleep(400000);
    json_object_unref(mig_wait(s, "setup"));
    qtest_qmp_ok(s, "migrate_cancel", NULL);
    json_object_unref(mig_wait(s, "cancelled"));
    peer_join(p);
    peer_free(p);
    p = peer_new(FRESH, next);
    mig_cap(s, "pause-before-switchover", false);
    qtest_qmp_ok(s, "migrate", "{'uri': 'unix:%s'}", next);
    json_object_unref(mig_wait(s, "completed"));
    peer_join(p);
    peer_free(p);
    qtest_quit(s);
}

/* Between two of Ferry: pages become zero behind the first pass, and are. */
static void test_become_zero(gconstpointer detection)
{
    FilePair p = file_pair_new(NULL, NULL, "none", 8, "");
    g_autofree char *path = file_pair_path(&p, "socket");

    set_up(p.from);
    set_up(p.to);
    mig_cap(p.from, "pause-before-switchover", true);
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'zero-page-detection': '%s'}",
                 (const char *)detection);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'unix:%s'}", path);
    json_object_unref(mig_wait(p.from, "pre-switchover"));
    qtest_memset(p.from, 1 << 20, 0, 2 << 20);
    qtest_qmp_ok(p.from, "migrate-continue", "{'state': 'pre-switchover'}");
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("/migration/marks/%s", cases[i].name);
        g_test_add_data_func(name, &cases[i], test_marks);
    }
    g_test_add_func("/migration/marks/silent", test_silent);
    g_test_add_data_func("/migration/marks/become-zero/multifd", "multifd", test_become_zero);
    g_test_add_data_func("/migration/marks/become-zero/legacy", "legacy", test_become_zero);
    g_test_add_data_func("/migration/marks/become-zero/none", "none", test_become_zero);
    return g_test_run();
}
