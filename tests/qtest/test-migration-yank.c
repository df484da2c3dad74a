/*
 * yank: connections that are torn apart by command, in every phase of a migration and of
 * character devices; and the small things that managers do around a migration: descriptor
 * sets, announcements, -only-migratable.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "migration-file-ram.h"
#include "migration-pair.h"

#define MIB 16
#define MIGRATION "{'type': 'migration'}"

static void yank(QTestState *s, const char *instance)
{
    qtest_qmp_ok(s, "yank", "{'instances': [%s]}", instance);
}

/* Is an instance of this type (and id, NULL: any) there? */
static bool has(QTestState *s, const char *type, const char *id)
{
    g_autoptr(JsonNode) node = qtest_qmp(s, "query-yank", NULL);
    JsonArray *list = json_node_get_array(node);

    for (guint i = 0; i < json_array_get_length(list); i++) {
        JsonObject *o = json_array_get_object_element(list, i);

        if (!strcmp(json_object_get_string_member(o, "type"), type) &&
            (!id || !strcmp(json_object_get_string_member(o, "id"), id))) {
            return true;
        }
    }
    return false;
}

static void not_found(QTestState *s, const char *instances)
{
    g_autofree char *err = qtest_qmp_error(s, "yank", "{'instances': [%s]}", instances);

    g_assert_cmpstr(err, ==, "DeviceNotFound: Instance not found");
}

static char *start_slowly(FilePair *p)
{
    g_autofree char *path = file_pair_path(p, "socket");
    char *uri = g_strdup_printf("unix:%s", path);

    qtest_qmp_ok(p->from, "migrate-set-parameters", "{'max-bandwidth': 2000000}");
    qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': '%s', 'exit-on-error': false}", uri);
    qtest_qmp_ok(p->from, "migrate", "{'uri': '%s'}", uri);
    json_object_unref(mig_wait(p->from, "active"));
    json_object_unref(mig_wait(p->to, "active")); /* before, it has nothing to tear apart */
    return uri;
}

/* A whole migration to a new destination. */
static void second_try(FilePair *p)
{
    g_autofree char *path = file_pair_path(p, "socket2"), *uri = g_strdup_printf("unix:%s", path);

    qtest_wait_run_state(p->from, "running");
    qtest_quit(p->to);
    file_pair_destination(p, NULL, "none", "defer", "");
    qtest_qmp_ok(p->from, "migrate-set-parameters", "{'max-bandwidth': 0}");
    file_pair_migrate(p, uri, uri);
    g_assert_false(has(p->from, "migration", NULL));
    g_assert_false(has(p->to, "migration", NULL));
}

static void test_precopy(gconstpointer at_source)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *uri = NULL;

    g_assert_false(has(p.from, "migration", NULL));
    not_found(p.from, MIGRATION);
    uri = start_slowly(&p);
    g_assert_true(has(p.from, "migration", NULL));
    g_assert_true(has(p.to, "migration", NULL));
    not_found(p.from, MIGRATION ", {'type': 'chardev', 'id': 'nobody'}");
    json_object_unref(mig_wait(p.from, "active")); /* all or nothing */
    yank(at_source ? p.from : p.to, MIGRATION);
    json_object_unref(mig_wait(p.from, "failed"));
    json_object_unref(mig_wait(p.to, "failed"));
    g_assert_false(has(p.from, "migration", NULL));
    not_found(p.from, MIGRATION);
    second_try(&p);
    file_pair_free(&p);
}

/* A peer that takes the connection and never reads: a write is blocked for good. */
static void test_blocked(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    json_node_unref(qtest_qmp_fd(p.from, fds[0], "getfd", "{'fdname': 'mig'}"));
    close(fds[0]);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'fd:mig'}");
    json_object_unref(mig_wait(p.from, "active"));
    g_usleep(100 * 1000);
    yank(p.from, MIGRATION);
    json_object_unref(mig_wait(p.from, "failed"));
    close(fds[1]);
    second_try(&p);
    file_pair_free(&p);
}

/* Connecting does not come to an end: nobody accepts, and the queue is full.  Or cancel. */
static void test_connecting(gconstpointer cancel)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "deaf");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), full[8], n = 0;

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 0), ==, 0);
    do {
        full[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        g_assert_cmpint(n, <, 7);
    } while (connect(full[n++], (struct sockaddr *)&un, sizeof(un)) == 0);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'unix:%s'}", path);
    json_object_unref(mig_wait(p.from, "setup"));
    g_usleep(50 * 1000);
    if (cancel) {
        qtest_qmp_ok(p.from, "migrate_cancel", NULL);
        json_object_unref(mig_wait(p.from, "cancelled"));
    } else {
        yank(p.from, MIGRATION);
        json_object_unref(mig_wait(p.from, "failed"));
    }
    while (n > 0) {
        close(full[--n]);
    }
    close(fd);
    second_try(&p);
    file_pair_free(&p);
}

static void test_postcopy(gconstpointer at_source)
{
    Pair p = pair_new("", "");

    pair_start(&p);
    pair_to_postcopy(&p);
    yank(at_source ? p.from : p.to, MIGRATION);
    migration_wait_status(p.from, "postcopy-paused");
    migration_wait_status(p.to, "postcopy-paused");
    qtest_qmp_ok(p.to, "migrate-recover", "{'uri': '%s'}", p.uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s', 'resume': true}", p.uri);
    migration_wait_status(p.from, "postcopy-active");
    migration_wait_status(p.to, "postcopy-active");
    pair_read_and_finish(&p);
    pair_free(&p);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    return fd;
}

/* query-chardev tells: a file name without "disconnected:". */
static void wait_connected(QTestState *s, const char *id)
{
    for (int i = 0; i < QTEST_TIMEOUT * 500; i++) {
        g_autoptr(JsonNode) node = qtest_qmp(s, "query-chardev", NULL);
        JsonArray *list = json_node_get_array(node);

        for (guint k = 0; k < json_array_get_length(list); k++) {
            JsonObject *o = json_array_get_object_element(list, k);

            if (!strcmp(json_object_get_string_member(o, "label"), id) &&
                !g_str_has_prefix(json_object_get_string_member(o, "filename"), "disconnected")) {
                return;
            }
        }
        g_usleep(2000);
    }
    g_error("the chardev '%s' was not connected", id);
}

static void test_chardev(void)
{
    QTestState *s = qtest_init("-machine none");
    g_autofree char *path = qtest_path(s, "char");
    char byte;
    int fd;

    qtest_qmp_ok(s, "chardev-add", "{'id': 'c', 'backend': {'type': 'socket', 'data': {"
                 "'addr': {'type': 'unix', 'data': {'path': '%s'}}, 'server': true, "
                 "'wait': false}}}", path);
    qtest_qmp_ok(s, "chardev-add", "{'id': 'n', 'backend': {'type': 'null', 'data': {}}}");
    g_assert_true(has(s, "chardev", "c"));
    g_assert_false(has(s, "chardev", "n"));
    yank(s, "{'type': 'chardev', 'id': 'c'}"); /* nobody is there: nothing happens */
    fd = connect_unix(path);
    wait_connected(s, "c");
    yank(s, "{'type': 'chardev', 'id': 'c'}");
    g_assert_cmpint(read(fd, &byte, 1), ==, 0);
    close(fd);
    qtest_qmp_ok(s, "chardev-remove", "{'id': 'c'}");
    g_assert_false(has(s, "chardev", "c"));
    not_found(s, "{'type': 'chardev', 'id': 'c'}");
    not_found(s, "{'type': 'block-node', 'node-name': 'x'}");
    qtest_quit(s);
}

/* ---- around a migration ---- */

/* A file that was opened by somebody else, in a descriptor set, on both sides. */
static void test_fdset(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "stream");
    int out = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), in = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(out, >=, 0);
    g_assert_cmpint(in, >=, 0);
    json_node_unref(qtest_qmp_fd(p.from, out, "add-fd", "{'fdset-id': 7}"));
    json_node_unref(qtest_qmp_fd(p.to, in, "add-fd", "{'fdset-id': 8}"));
    close(out);
    close(in);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:/dev/fdset/7'}");
    json_object_unref(mig_wait(p.from, "completed"));
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'file:/dev/fdset/8'}");
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

static void test_announce(void)
{
    QTestState *s = qtest_init("-machine none");
    g_autofree char *out = NULL, *err = NULL;

    qtest_qmp_ok(s, "migrate-set-parameters", "{'announce-initial': 60, 'announce-max': 600, "
                 "'announce-rounds': 6, 'announce-step': 110}");
    g_autoptr(JsonObject) p = qtest_qmp_object(s, "query-migrate-parameters", NULL);
    g_assert_cmpint(json_object_get_int_member(p, "announce-max"), ==, 600);
    qtest_qmp_ok(s, "announce-self", "{'initial': 50, 'max': 550, 'rounds': 5, 'step': 50, "
                 "'interfaces': ['vn2', 'vn3'], 'id': 'bob'}");
    err = qtest_qmp_error(s, "announce-self",
                          "{'initial': -1, 'max': 550, 'rounds': 5, 'step': 50}");
    g_assert_nonnull(strstr(err, "a number from 0 to 100000"));
    out = qtest_hmp(s, "announce_self");
    g_assert_cmpstr(out, ==, "");
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/yank/precopy/source", "", test_precopy);
    g_test_add_data_func("/yank/precopy/destination", NULL, test_precopy);
    g_test_add_func("/yank/precopy/blocked", test_blocked);
    g_test_add_data_func("/yank/connecting", NULL, test_connecting);
    g_test_add_data_func("/cancel/connecting", "", test_connecting);
    g_test_add_data_func("/yank/postcopy/source", "", test_postcopy);
    g_test_add_data_func("/yank/postcopy/destination", NULL, test_postcopy);
    g_test_add_func("/yank/chardev", test_chardev);
    g_test_add_func("/migration/fdset", test_fdset);
    g_test_add_func("/migration/announce", test_announce);
    return g_test_run();
}
