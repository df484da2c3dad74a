/*
 * multifd through the real program: a running guest, both rules of syncs (recorded streams of
 * other emulators, channels in any order), refusals, cancel while channels are blocked, and
 * sources that do not keep to the rules.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "migration-file-ram.h"
#include "migration-helpers.h"

#define MIB 32

static void set_up(QTestState *s, const char *compression, unsigned channels)
{
    mig_cap(s, "multifd", true);
    qtest_qmp_ok(s, "migrate-set-parameters",
                 "{'multifd-channels': %u, 'multifd-compression': '%s'}", channels, compression);
}

/* ---- a running guest ---- */

typedef struct Case {
    const char *name, *compression, *detection;
    unsigned channels;
    bool tcp, sections; /* sections: the rule of before 8.1 */
} Case;

static const Case cases[] = {
    { "none", "none", "multifd", 2 },
    { "tcp", "none", "legacy", 4, .tcp = true },
    { "sections", "none", "multifd", 2, .sections = true },
    { "no-detection", "none", "none", 2 },
    { "zlib", "zlib", "multifd", 3 },
    { "zstd", "zstd", "legacy", 2, .tcp = true },
};

static void test_guest(const void *opaque)
{
    const Case *c = opaque;
    GuestConfig config = {
        .accel = "kvm",
        /* Compressing must keep up with the guest on a busy host. */
        .mib = strcmp(c->compression, "none") ? 24 : 0,
        .interval = strcmp(c->compression, "none") ? 1000000 : 0,
        .args = c->sections ? "-global migration.multifd-flush-after-each-section=on" : NULL,
    };
    GuestVm *from, *to;

    if (guest_skip_accel("kvm")) {
        return;
    }
    from = guest_start(&config);
    to = guest_start_incoming(&config);
    set_up(from->s, c->compression, c->channels);
    set_up(to->s, c->compression, c->channels);
    qtest_qmp_ok(from->s, "migrate-set-parameters", "{'zero-page-detection': '%s'}",
                 c->detection);
    mig_precopy(from, to, c->tcp ? MIG_TCP : MIG_UNIX, false);
    g_assert_cmpint(mig_ram_stat(from, "multifd-bytes"), >, 1 << 20);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

/* Pages of precopy come on the channels, those of postcopy on the main or the preempt channel. */
static void test_postcopy(const void *preempt)
{
    GuestConfig config = { .accel = "kvm" };
    GuestVm *from, *to;

    if (guest_skip_accel("kvm")) {
        return;
    }
    from = guest_start(&config);
    to = guest_start_incoming(&config);
    set_up(from->s, "none", 2);
    set_up(to->s, "none", 2);
    if (preempt) {
        mig_set_caps(from, "postcopy-ram", "postcopy-preempt", NULL);
        mig_set_caps(to, "postcopy-ram", "postcopy-preempt", NULL);
    }
    mig_postcopy(from, to, MIG_UNIX, false);
    g_assert_cmpint(mig_ram_stat(from, "multifd-bytes"), >, 1 << 16);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

/* ---- recorded channels, in any order ---- */

static int connect_to(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    return fd;
}

/* The length of what was sent. */
static size_t send_recorded(int fd, const char *version, unsigned channel)
{
    g_autofree char *path = g_strdup_printf("%s/streams/multifd-none-4M.%s.c%u.fwd",
                                            g_getenv("FERRY_TEST_DATA"), version, channel);
    g_autofree char *data = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_assert_cmpint(send(fd, data, len, MSG_NOSIGNAL), ==, len);
    return len;
}

static QTestState *start_recorded(char **ret_path)
{
    QTestState *s = qtest_init("-machine none -m 4M -incoming defer");

    *ret_path = qtest_path(s, "socket");
    set_up(s, "none", 2);
    qtest_qmp_ok(s, "migrate-incoming", "{'uri': 'unix:%s', 'exit-on-error': false}", *ret_path);
    return s;
}

static void test_recorded(const void *version)
{
    static const unsigned orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 } };

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autofree char *path = NULL;
        QTestState *s = start_recorded(&path);
        int fds[3];

        /* One after the other, and the last to come is the first to say something. */
        for (int k = 0; k < 3; k++) {
            fds[k] = connect_to(path);
        }
        for (int k = 2; k >= 0; k--) {
            send_recorded(fds[k], version, orders[i][k]);
        }
        json_object_unref(mig_wait(s, "completed"));
        for (int k = 0; k < 3; k++) {
            close(fds[k]);
        }
        qtest_quit(s);
    }
}

/* ---- sources that break the rules: what the destination says ---- */

static void expect_failure(QTestState *s, const char *text)
{
    g_autoptr(JsonObject) info = mig_wait(s, "failed");
    const char *why = json_object_get_string_member(info, "error-desc");

    g_test_message("%s", why);
    g_assert_nonnull(strstr(why, text));
    qtest_quit(s);
}

static void test_channel_ends(void)
{
    g_autofree char *path = NULL;
    QTestState *s = start_recorded(&path);
    int c0 = connect_to(path), c1 = connect_to(path), c2 = connect_to(path);

    send_recorded(c1, "qemu111", 1);
    g_assert_cmpint(send(c2, "\x11\x22\x33\x44\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 25, 0), ==,
                    25);
    shutdown(c2, SHUT_WR);
    send_recorded(c0, "qemu111", 0);
    expect_failure(s, "multifd channel");
    close(c0);
    close(c1);
    close(c2);
}

static void test_too_few(void)
{
    g_autofree char *path = NULL;
    QTestState *s = start_recorded(&path);
    int c0 = connect_to(path), c1 = connect_to(path);

    send_recorded(c1, "qemu111", 1);
    send_recorded(c0, "qemu111", 0);
    shutdown(c0, SHUT_WR);
    expect_failure(s, "1 of 2 multifd channels have come");
    close(c0);
    close(c1);
}

static void test_same_number(void)
{
    g_autofree char *path = NULL;
    QTestState *s = start_recorded(&path);
    int c0 = connect_to(path), c1 = connect_to(path), c2 = connect_to(path);

    send_recorded(c1, "qemu111", 1);
    send_recorded(c2, "qemu111", 1);
    send_recorded(c0, "qemu111", 0);
    expect_failure(s, "a second channel has number");
    close(c0);
    close(c1);
    close(c2);
}

static void start_unix(FilePair *p)
{
    g_autofree char *path = file_pair_path(p, "socket");

    qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': 'unix:%s', 'exit-on-error': false}", path);
    qtest_qmp_ok(p->from, "migrate", "{'uri': 'unix:%s'}", path);
}

/* Settings that differ end with a reason on both sides, and the guest goes on at the source. */
static void test_differ(const void *opaque)
{
    const char *const *what = opaque; /* compression there, channels there, error */
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autoptr(JsonObject) info = NULL, there = NULL;

    set_up(p.from, "none", 3);
    if (what[0]) {
        set_up(p.to, what[0], atoi(what[1]));
    }
    start_unix(&p);
    info = mig_wait(p.from, "failed");
    there = mig_wait(p.to, "failed");
    g_test_message("%s; source: %s", json_object_get_string_member(there, "error-desc"),
                   json_object_get_string_member(info, "error-desc"));
    g_assert_nonnull(strstr(json_object_get_string_member(there, "error-desc"), what[2]));
    qtest_wait_run_state(p.from, "running");
    file_pair_free(&p);
}

/* ---- refusals, cancel ---- */

static void test_refused(void)
{
    QTestState *s = qtest_init("-machine none -m 4M");
    static const char *const uris[] = { "fd:mig", "exec:cat", "file:/dev/null" };

    set_up(s, "none", 2);
    for (size_t i = 0; i < G_N_ELEMENTS(uris); i++) {
        g_autofree char *why = qtest_qmp_error(s, "migrate", "{'uri': '%s'}", uris[i]);

        g_assert_nonnull(strstr(why, "multifd needs several connections"));
    }
    g_autofree char *why = qtest_qmp_error(s, "migrate-set-parameters",
                                           "{'multifd-compression': 'qpl'}");
    g_assert_nonnull(strstr(why, "'qpl' is not supported"));
    qtest_quit(s);
}

/* A peer that takes all connections and never reads: every thread is blocked in a write. */
static void test_cancel_blocked(const void *cancel)
{
    FilePair p = file_pair_source("none", MIB,
                                  "-global migration.multifd-flush-after-each-section=off");
    g_autofree char *path = file_pair_path(&p, "deaf");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 10), ==, 0);
    set_up(p.from, "none", 3);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'unix:%s'}", path);
    json_object_unref(mig_wait(p.from, "active"));
    g_usleep(200000);
    if (cancel) {
        qtest_qmp_ok(p.from, "migrate_cancel", NULL);
        json_object_unref(mig_wait(p.from, "cancelled"));
    }
    close(fd);
    if (!cancel) {
        json_object_unref(mig_wait(p.from, "failed"));
    }
    /* And again, to somebody who reads. */
    file_pair_destination(&p, NULL, "none", "defer", "");
    set_up(p.to, "none", 3);
    start_unix(&p);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

/* A program that ends while its channels are blocked does not wait for them. */
static void test_quit_blocked(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");

    set_up(p.from, "none", 2);
    set_up(p.to, "none", 2);
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 1000000}");
    start_unix(&p);
    json_object_unref(mig_wait(p.to, "active"));
    qtest_quit(p.to);
    p.to = NULL;
    json_object_unref(mig_wait(p.from, "failed"));
    file_pair_free(&p);
}

int main(int argc, char **argv)
{
    /* The third is one connection too many: closed, and with it goes all. */
    static const char *const fewer[] = { "none", "2", "" };
    static const char *const more[] = { "none", "4", "3 of 4 multifd channels have come" };
    static const char *const other[] = { "zlib", "3", "multifd-compression must be the same" };
    /* Nobody listens any more for the channels, or they are closed. */
    static const char *const off[] = { NULL, NULL, "" };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("/migration/multifd/guest/%s", cases[i].name);
        g_test_add_data_func(name, &cases[i], test_guest);
    }
    g_test_add_data_func("/migration/multifd/postcopy/plain", NULL, test_postcopy);
    g_test_add_data_func("/migration/multifd/postcopy/preempt", "", test_postcopy);
    g_test_add_data_func("/migration/multifd/recorded/sections", "qemu72", test_recorded);
    g_test_add_data_func("/migration/multifd/recorded/rounds", "qemu111", test_recorded);
    g_test_add_func("/migration/multifd/bad/channel-ends", test_channel_ends);
    g_test_add_func("/migration/multifd/bad/too-few", test_too_few);
    g_test_add_func("/migration/multifd/bad/same-number", test_same_number);
    g_test_add_data_func("/migration/multifd/differ/fewer", fewer, test_differ);
    g_test_add_data_func("/migration/multifd/differ/more", more, test_differ);
    g_test_add_data_func("/migration/multifd/differ/compression", other, test_differ);
    g_test_add_data_func("/migration/multifd/differ/off", off, test_differ);
    g_test_add_func("/migration/multifd/refused", test_refused);
    g_test_add_data_func("/migration/multifd/blocked/cancel", "", test_cancel_blocked);
    g_test_add_data_func("/migration/multifd/blocked/fails", NULL, test_cancel_blocked);
    g_test_add_func("/migration/multifd/blocked/quit", test_quit_blocked);
    return g_test_run();
}
