/*
 * x-verify through the real program: what arrived is compared with what was sent, in every way
 * that pages travel; and a network that changes a byte behind TCP's back is noticed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-pair.h"
#include "relay.h"

/* Behind the greeting and some pages, inside of a page that has contents. */
#define BAD_BYTE 1000000

static Pair verified_pair(const char *cap)
{
    Pair p = pair_new("", "");

    migration_set_cap(p.from, "x-verify");
    if (cap) {
        migration_set_cap(p.from, cap);
        migration_set_cap(p.to, cap);
    }
    return p;
}

static Relay *relay_between(Pair *p)
{
    g_autofree char *near = qtest_path(p->from, "relay");
    const char *to = p->uri + strlen("unix:");
    Relay *r = relay_new(near, to);

    return r;
}

static void start_over(Pair *p, const char *path)
{
    qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': '%s'}", p->uri);
    qtest_qmp_ok(p->from, "migrate", "{'uri': 'unix:%s'}", path);
}

static void check_status(QTestState *s, const char *status)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);
    JsonObject *v = json_object_get_object_member(info, "x-verify");

    g_assert_cmpstr(json_object_get_string_member(v, "status"), ==, status);
    g_assert_cmpint(json_object_get_int_member(v, "pages"), ==, PAIR_PAGES);
}

static void check_event(QTestState *s, const char *status, int64_t bad)
{
    g_autoptr(JsonObject) e = qtest_event_wait(s, "X_MIGRATION_VERIFY");
    JsonObject *data = json_object_get_object_member(e, "data");

    g_assert_cmpstr(json_object_get_string_member(data, "status"), ==, status);
    g_assert_cmpint(json_object_get_int_member(data, "bad-pages"), ==, bad);
    g_assert_false(json_object_get_boolean_member(data, "device-differs"));
    g_assert_cmpint(json_object_has_member(data, "block"), ==, bad > 0);
    if (bad) {
        g_assert_cmpstr(json_object_get_string_member(data, "block"), ==, "ram");
        g_assert_cmpint(json_object_get_int_member(data, "offset") % PAIR_PAGE, ==, 0);
    }
}

static void finish_precopy(Pair *p)
{
    qtest_qmp_ok(p->from, "migrate-set-parameters", "{'max-bandwidth': 0}");
    migration_wait_status(p->from, "completed");
    migration_wait_status(p->to, "completed");
}

/* `cap`: how pages travel; NULL: one by one. */
static void test_precopy(gconstpointer cap)
{
    Pair p = verified_pair(cap);

    pair_start(&p);
    finish_precopy(&p);
    check_event(p.to, "verified", 0);
    check_status(p.from, "verified");
    check_status(p.to, "verified");
    pair_check_all(p.to);
    pair_free(&p);
}

static void test_postcopy(gconstpointer cap)
{
    Pair p = verified_pair(cap);

    pair_start(&p);
    pair_to_postcopy(&p);
    pair_read_and_finish(&p);
    check_event(p.to, "verified", 0);
    check_status(p.from, "verified");
    check_status(p.to, "verified");
    pair_free(&p);
}

/* The guest stays where it is, and can try again. */
static void test_precopy_bad(gconstpointer cap)
{
    Pair p = verified_pair(cap);
    g_autofree char *near = qtest_path(p.from, "relay"), *said = NULL;
    Relay *r = relay_between(&p);

    relay_add_rule(r, (RelayRule){ cap ? 1 : 0, RELAY_FORWARD, RELAY_CORRUPT, BAD_BYTE, 1 });
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 0}");
    start_over(&p, near);
    migration_wait_status(p.from, "failed");
    qtest_wait_run_state(p.from, "running");
    g_assert_cmpint(qtest_wait_exit(p.to), ==, 1);
    said = qtest_stderr(p.to);
    g_test_message("%s", said);
    g_assert_nonnull(strstr(said, "x-verify: 1 of 8192 pages are not what the source sent"));
    g_assert_nonnull(strstr(said, "of RAM block 'ram'"));
    g_assert_cmpuint(relay_acted(r), ==, 1);
    check_status(p.from, "mismatch");
    relay_free(r);
    qtest_kill(p.to);
    qtest_quit(p.from);
    g_free(p.uri);
}

/* The guest runs there already: it is said, on both sides. */
static void test_postcopy_bad(void)
{
    Pair p = verified_pair(NULL);
    g_autofree char *near = qtest_path(p.from, "relay"), *said = NULL;
    Relay *r = relay_between(&p);

    relay_add_rule(r, (RelayRule){ 0, RELAY_FORWARD, RELAY_CORRUPT, 8 * BAD_BYTE, 1 });
    start_over(&p, near);
    migration_wait_status(p.from, "active");
    pair_to_postcopy(&p);
    pair_set_background(&p, 0);
    migration_wait_status(p.from, "completed");
    migration_wait_status(p.to, "completed");
    check_event(p.to, "mismatch", 1);
    check_status(p.from, "mismatch");
    check_status(p.to, "mismatch");
    said = qtest_stderr(p.to);
    g_assert_nonnull(strstr(said, "x-verify: 1 of 8192 pages are not what the source sent"));
    g_assert_nonnull(strstr(said, "runs here already"));
    relay_free(r);
    pair_free(&p);
}

/* Digests stay with the pages while the connection is mended. */
static void test_recover(void)
{
    Pair p = verified_pair(NULL);
    g_autofree char *near = qtest_path(p.from, "relay"), *again = qtest_path(p.to, "again");
    Relay *r = relay_between(&p);

    start_over(&p, near);
    migration_wait_status(p.from, "active");
    pair_to_postcopy(&p);
    relay_cut(r);
    migration_wait_status(p.from, "postcopy-paused");
    migration_wait_status(p.to, "postcopy-paused");
    qtest_qmp_ok(p.to, "migrate-recover", "{'uri': 'unix:%s'}", again);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'unix:%s', 'resume': true}", again);
    migration_wait_status(p.from, "postcopy-active");
    pair_read_and_finish(&p);
    check_event(p.to, "verified", 0);
    check_status(p.from, "verified");
    relay_free(r);
    pair_free(&p);
}

static void check_refused(QTestState *s, const char *command, const char *args, const char *part)
{
    g_autofree char *err = qtest_qmp_error(s, command, "%s", args);

    g_assert_nonnull(strstr(err, part));
}

static void test_refused(void)
{
    QTestState *s = qtest_init("-M none -m 16M");

    migration_set_cap(s, "events");
    migration_set_cap(s, "x-verify");
    check_refused(s, "migrate-set-capabilities",
                  "{'capabilities': [{'capability': 'mapped-ram', 'state': true}]}",
                  "'x-verify' and 'mapped-ram' cannot be on together");
    check_refused(s, "migrate-set-capabilities",
                  "{'capabilities': [{'capability': 'background-snapshot', 'state': true}]}",
                  "'background-snapshot' and 'x-verify' cannot be on together");
    /* Nobody answers from a file. */
    g_autofree char *path = qtest_path(s, "file");
    qtest_qmp_ok(s, "migrate", "{'uri': 'file:%s'}", path);
    migration_wait_status(s, "setup");
    for (;;) {
        g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);

        if (!strcmp(json_object_get_string_member(info, "status"), "failed")) {
            g_assert_nonnull(strstr(json_object_get_string_member(info, "error-desc"), "x-verify"));
            break;
        }
        g_usleep(10000);
    }
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/verify/precopy", NULL, test_precopy);
    g_test_add_data_func("/verify/multifd", "multifd", test_precopy);
    g_test_add_data_func("/verify/xbzrle", "xbzrle", test_precopy);
    g_test_add_data_func("/verify/postcopy", NULL, test_postcopy);
    g_test_add_data_func("/verify/preempt", "postcopy-preempt", test_postcopy);
    g_test_add_data_func("/verify/multifd-postcopy", "multifd", test_postcopy);
    g_test_add_data_func("/verify/bad/precopy", NULL, test_precopy_bad);
    g_test_add_data_func("/verify/bad/multifd", "multifd", test_precopy_bad);
    g_test_add_func("/verify/bad/postcopy", test_postcopy_bad);
    g_test_add_func("/verify/recover", test_recover);
    g_test_add_func("/verify/refused", test_refused);
    return g_test_run();
}
