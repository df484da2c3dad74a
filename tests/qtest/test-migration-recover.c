/*
 * Postcopy that survives the network: connections that are broken by command, by a relay
 * at any byte, and while the recovery itself is on; what is refused; pauses that end the
 * program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "migration-pair.h"
#include "oob.h"
#include "relay.h"

/* A migration in postcopy over a relay that can be cut. */
typedef struct Cut {
    Pair p;
    Relay *relay;
    char *to;     /* what the relay carries to */
    char *listen; /* where the destination listens, as a URI */
} Cut;

/* Up to precopy; to_args: more arguments of the destination. */
static Cut cut_start(const char *to_args, bool preempt)
{
    Cut c = { .p = pair_new("", to_args) };
    g_autofree char *near = qtest_path(c.p.from, "relay");

    if (preempt) {
        migration_set_cap(c.p.from, "postcopy-preempt");
        migration_set_cap(c.p.to, "postcopy-preempt");
    }
    c.to = qtest_path(c.p.to, "far");
    c.listen = g_strdup_printf("unix:%s", c.to);
    c.relay = relay_new(near, c.to);
    g_free(c.p.uri);
    c.p.uri = g_strdup_printf("unix:%s", near);
    qtest_qmp_ok(c.p.to, "migrate-incoming", "{'uri': '%s'}", c.listen);
    qtest_qmp_ok(c.p.from, "migrate", "{'uri': '%s'}", c.p.uri);
    migration_wait_status(c.p.from, "active");
    return c;
}

static Cut cut_new_with(const char *to_args, bool preempt)
{
    Cut c = cut_start(to_args, preempt);

    pair_to_postcopy(&c.p);
    return c;
}

static Cut cut_new(void)
{
    return cut_new_with("", false);
}

static void cut_free(Cut *c)
{
    relay_free(c->relay);
    pair_free(&c->p);
    g_free(c->to);
    g_free(c->listen);
}

static void wait_paused(Cut *c)
{
    migration_wait_status(c->p.from, "postcopy-paused");
    migration_wait_status(c->p.to, "postcopy-paused");
}

static void reconnect(Cut *c)
{
    qtest_events_clear(c->p.to);
    qtest_qmp_ok(c->p.to, "migrate-recover", "{'uri': '%s'}", c->listen);
    migration_wait_status(c->p.to, "setup"); /* comes in front of the reply */
    qtest_qmp_ok(c->p.from, "migrate", "{'uri': '%s', 'resume': true}", c->p.uri);
    migration_wait_status(c->p.from, "postcopy-recover-setup");
}

static void recover(Cut *c)
{
    relay_set_limits(c->relay, RELAY_NO_LIMIT, RELAY_NO_LIMIT);
    reconnect(c);
    migration_wait_status(c->p.from, "postcopy-recover");
    migration_wait_status(c->p.from, "postcopy-active");
    migration_wait_status(c->p.to, "postcopy-recover");
    migration_wait_status(c->p.to, "postcopy-active");
}

static bool has_error(QTestState *s)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);

    return json_object_has_member(info, "error-desc");
}

/* ---- by command ---- */

static void test_pause(gconstpointer at_source)
{
    Cut c = cut_new();

    pair_check_page(c.p.to, PAIR_PAGES - 3);
    qtest_qmp_ok(at_source ? c.p.from : c.p.to, "migrate-pause", NULL);
    wait_paused(&c);
    g_assert_true(has_error(c.p.from));
    g_assert_true(has_error(c.p.to));
    /* The guest goes on with what it has; the source keeps the rest. */
    qtest_wait_run_state(c.p.to, "running");
    pair_check_page(c.p.to, PAIR_PAGES - 3);
    qtest_wait_run_state(c.p.from, "finish-migrate");
    pair_check_all(c.p.from);
    recover(&c);
    g_assert_false(has_error(c.p.from));
    g_assert_false(has_error(c.p.to));
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

static void test_hmp(void)
{
    Cut c = cut_new();
    g_autofree char *out = NULL, *out2 = NULL, *out3 = NULL;

    out = qtest_hmp(c.p.from, "migrate_pause");
    g_assert_cmpstr(out, ==, "");
    wait_paused(&c);
    out2 = qtest_hmp(c.p.to, "migrate_recover %s", c.listen);
    g_assert_cmpstr(out2, ==, "");
    out3 = qtest_hmp(c.p.from, "migrate -d -r %s", c.p.uri);
    g_assert_cmpstr(out3, ==, "");
    migration_wait_status(c.p.from, "postcopy-active");
    migration_wait_status(c.p.to, "postcopy-active");
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* ---- while the main loop waits for a page ---- */

/*
 * The main loop touches a page that is still at the source, in the pause: only a command that
 * overtakes everything can bring the connection back, and then the page comes.
 */
static void test_main_loop_waits(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-recover-XXXXXX", NULL);
    g_autofree char *monitor = g_build_filename(dir, "qmp", NULL);
    g_autofree char *args = g_strdup_printf("-chardev socket,id=q,path=%s,server=on,wait=off "
                                            "-mon chardev=q,mode=control", monitor);
    Cut c = cut_new_with(args, false);
    Oob oob = oob_open(monitor);
    g_autofree char *file = qtest_path(c.p.to, "page"), *read = NULL, *recover = NULL;
    g_autoptr(JsonObject) reply = NULL;

    relay_cut(c.relay);
    wait_paused(&c);
    read = g_strdup_printf("{'execute': 'pmemsave', 'arguments': {'val': %llu, 'size': 8, "
                           "'filename': '%s'}}\n", (PAIR_PAGES - 9) * PAIR_PAGE, file);
    qtest_qmp_send_raw(c.p.to, read);
    g_usleep(100000);
    recover = g_strdup_printf("{'exec-oob': 'migrate-recover', 'arguments': {'uri': '%s'}}\n",
                              c.listen);
    oob_send(&oob, recover);
    oob_line(&oob, "return");
    qtest_qmp_ok(c.p.from, "migrate", "{'uri': '%s', 'resume': true}", c.p.uri);
    reply = qtest_qmp_receive(c.p.to);
    g_assert_true(json_object_has_member(reply, "return"));
    migration_wait_status(c.p.from, "postcopy-active");
    migration_wait_status(c.p.to, "postcopy-active");
    pair_read_and_finish(&c.p);
    oob_close(&oob);
    cut_free(&c);
    g_unlink(monitor);
    g_rmdir(dir);
}

/* ---- by the network ---- */

/* Cut again and again, each time a little further on, in either direction. */
static void test_cuts(void)
{
    Cut c = cut_new();

    pair_set_background(&c.p, 0);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t step = 1000 + 40000 * i;

        if (i) {
            recover(&c);
        }
        if (i % 2) {
            /* Nobody need be asking: the forward limit ends what the backward one does not. */
            relay_set_limits(c.relay, relay_forward(c.relay) + 3 * step, relay_back(c.relay) + 13 * i);
        } else {
            relay_set_limits(c.relay, relay_forward(c.relay) + step, RELAY_NO_LIMIT);
        }
        wait_paused(&c);
    }
    recover(&c);
    migration_wait_status(c.p.from, "completed");
    migration_wait_status(c.p.to, "completed");
    pair_check_all(c.p.to);
    cut_free(&c);
}

/*
 * The connection breaks while the word that the guest runs on the destination is on its way: the
 * source must not take the guest back, or it runs twice.
 */
static void test_last_word(gconstpointer preempt)
{
    Cut c = cut_start("", preempt != NULL);

    while (relay_back(c.relay) < 8 && !preempt) {
        g_usleep(1000); /* PONG 1; with the preempt channel it has come, and that is the newest */
    }
    relay_hold_back(c.relay);
    qtest_qmp_ok(c.p.from, "migrate-start-postcopy", NULL);
    migration_wait_status(c.p.to, "postcopy-active");
    migration_wait_status(c.p.from, "postcopy-device");
    relay_refuse(c.relay);
    g_usleep(400000); /* it writes, and fails */
    relay_release_back(c.relay);
    wait_paused(&c);
    qtest_wait_run_state(c.p.from, "finish-migrate");
    recover(&c);
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* The recovery dies at every stage of its own: both sides pause again. */
static void test_handshake(void)
{
    static const struct {
        uint64_t forward, back;
    } limits[] = {
        { 0, RELAY_NO_LIMIT },  /* connected, nothing said */
        { 3, RELAY_NO_LIMIT },  /* inside RECV_BITMAP */
        { 9, RELAY_NO_LIMIT },  /* RECV_BITMAP whole: the answer is on its way */
        { RELAY_NO_LIMIT, 0 },
        { RELAY_NO_LIMIT, 10 }, /* inside the header */
        { RELAY_NO_LIMIT, 100 }, /* inside the bits */
        { RELAY_NO_LIMIT, 1048 }, /* all but RESUME_ACK (32 MiB: 8 + 8 + 1024 + 8) */
    };
    Cut c = cut_new();

    relay_cut(c.relay);
    wait_paused(&c);
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        relay_set_limits(c.relay, limits[i].forward, limits[i].back);
        reconnect(&c);
        wait_paused(&c);
        g_assert_true(has_error(c.p.from));
        qtest_wait_run_state(c.p.to, "running");
    }
    recover(&c);
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* Nobody listens: the source pauses again and may try another address. */
static void test_no_listener(void)
{
    Cut c = cut_new();

    relay_cut(c.relay);
    wait_paused(&c);
    qtest_qmp_ok(c.p.from, "migrate", "{'uri': 'unix:/nonexistent/socket', 'resume': true}");
    migration_wait_status(c.p.from, "postcopy-recover-setup");
    migration_wait_status(c.p.from, "postcopy-paused");
    /* So may the destination: the address given last counts. */
    g_autofree char *other = g_strdup_printf("%s-other", c.listen);
    qtest_qmp_ok(c.p.to, "migrate-recover", "{'uri': '%s'}", other);
    recover(&c);
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* ---- with a preempt channel ---- */

static void test_preempt_pause(void)
{
    Cut c = cut_new_with("", true);

    pair_check_page(c.p.to, PAIR_PAGES - 3);
    for (unsigned i = 0; i < 3; i++) {
        qtest_qmp_ok(i % 2 ? c.p.from : c.p.to, "migrate-pause", NULL);
        wait_paused(&c);
        recover(&c);
        pair_check_page(c.p.to, PAIR_PAGES - 11 - 5 * i);
    }
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* Broken again the moment it is mended, on either side, with nothing sent in between. */
static void test_at_once(gconstpointer preempt)
{
    Cut c = cut_new_with("", preempt != NULL);

    for (unsigned i = 0; i < 8; i++) {
        qtest_qmp_ok(i % 2 ? c.p.to : c.p.from, "migrate-pause", NULL);
        wait_paused(&c);
        recover(&c);
    }
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* Each direction of both connections ends after so many bytes. */
static void test_preempt_handshake(void)
{
    static const uint64_t forward[] = { 0, 5, 9, 12, 13 };
    Cut c = cut_new_with("", true);

    relay_cut(c.relay);
    wait_paused(&c);
    for (unsigned i = 0; i < G_N_ELEMENTS(forward); i++) {
        relay_set_limits(c.relay, forward[i], RELAY_NO_LIMIT);
        reconnect(&c);
        wait_paused(&c);
    }
    recover(&c);
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* Only the preempt channel breaks: the other one goes with it. */
static void test_preempt_breaks(void)
{
    Cut c = cut_new_with("", true);

    g_assert_cmpuint(relay_forward(c.relay), ==, 0); /* the newest one: nothing was asked for */
    relay_cut_newest(c.relay);
    wait_paused(&c);
    recover(&c);
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* ---- refused ---- */

static void check_error(QTestState *s, const char *command, const char *args, const char *part)
{
    g_autofree char *err = args ? qtest_qmp_error(s, command, "%s", args)
                                : qtest_qmp_error(s, command, NULL);

    if (!strstr(err, part)) {
        g_error("%s refused as '%s'", command, err);
    }
}

static void test_refused(void)
{
    Cut c = cut_new();

    check_error(c.p.to, "migrate-recover", "{'uri': 'unix:/tmp/x'}", "postcopy-paused");
    check_error(c.p.from, "migrate-recover", "{'uri': 'unix:/tmp/x'}", "postcopy-paused");
    check_error(c.p.from, "migrate", "{'uri': 'unix:/tmp/x', 'resume': true}", "no paused");
    relay_cut(c.relay);
    wait_paused(&c);
    check_error(c.p.from, "migrate-pause", NULL, "postcopy-active");
    check_error(c.p.to, "migrate-pause", NULL, "postcopy-active");
    check_error(c.p.from, "migrate", "{'uri': 'unix:/tmp/x'}", "in progress");
    check_error(c.p.from, "migrate_cancel", NULL, "cannot cancel");
    check_error(c.p.from, "migrate", "{'uri': 'fd:none', 'resume': true}", "none");
    check_error(c.p.to, "migrate-recover", "{'uri': 'exec:cat'}", "one way");
    check_error(c.p.to, "migrate-recover", "{'uri': 'unix:/nonexistent/x'}", "/nonexistent/x");
    check_error(c.p.to, "migrate-recover", "{'uri': 'fd:none'}", "none");
    recover(&c);
    pair_read_and_finish(&c.p);
    check_error(c.p.to, "migrate-recover", "{'uri': 'unix:/tmp/x'}", "postcopy-paused");
    check_error(c.p.from, "migrate-pause", NULL, "postcopy-active");
    cut_free(&c);
}

/* Over file descriptors: one that is connected, handed over to each. */
static void test_fd(void)
{
    Cut c = cut_new();

    relay_cut(c.relay);
    wait_paused(&c);
    pair_give_fds(&c.p, "again");
    qtest_qmp_ok(c.p.to, "migrate-recover", "{'uri': 'fd:again'}");
    qtest_qmp_ok(c.p.from, "migrate", "{'uri': 'fd:again', 'resume': true}");
    migration_wait_status(c.p.from, "postcopy-active");
    migration_wait_status(c.p.to, "postcopy-active");
    pair_read_and_finish(&c.p);
    cut_free(&c);
}

/* ---- the end in a pause ---- */

static void test_quit(void)
{
    Cut c = cut_new();

    relay_cut(c.relay);
    wait_paused(&c);
    qtest_qmp_ok(c.p.to, "migrate-recover", "{'uri': '%s'}", c.listen);
    g_assert_true(g_file_test(c.to, G_FILE_TEST_EXISTS));
    cut_free(&c); /* with status 0, both of them */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/recover/pause/source", "source", test_pause);
    g_test_add_data_func("/recover/pause/destination", NULL, test_pause);
    g_test_add_func("/recover/hmp", test_hmp);
    g_test_add_func("/recover/main-loop-waits", test_main_loop_waits);
    g_test_add_func("/recover/cuts", test_cuts);
    g_test_add_data_func("/recover/last-word", NULL, test_last_word);
    g_test_add_data_func("/recover/preempt/last-word", "preempt", test_last_word);
    g_test_add_func("/recover/handshake", test_handshake);
    g_test_add_func("/recover/no-listener", test_no_listener);
    g_test_add_data_func("/recover/at-once", NULL, test_at_once);
    g_test_add_data_func("/recover/preempt/at-once", "preempt", test_at_once);
    g_test_add_func("/recover/preempt/pause", test_preempt_pause);
    g_test_add_func("/recover/preempt/handshake", test_preempt_handshake);
    g_test_add_func("/recover/preempt/breaks", test_preempt_breaks);
    g_test_add_func("/recover/refused", test_refused);
    g_test_add_func("/recover/fd", test_fd);
    g_test_add_func("/recover/quit", test_quit);
    return g_test_run();
}
