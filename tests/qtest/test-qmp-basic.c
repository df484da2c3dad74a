/*
 * QMP over a socket: negotiation, ids, errors, events, descriptors, several clients in
 * turn.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <unistd.h>

#include "libqtest.h"

static void test_replies(void)
{
    QTestState *s = qtest_init("-M none");
    g_autoptr(JsonObject) reply = NULL;
    g_autofree char *e = qtest_qmp_error(s, "no-such-command", NULL);

    g_assert_true(g_str_has_prefix(e, "CommandNotFound:"));
    g_clear_pointer(&e, g_free);
    e = qtest_qmp_error(s, "qmp_capabilities", NULL);
    g_assert_true(g_str_has_prefix(e, "CommandNotFound:"));
    /* The id comes back as it was, and text may be cut anywhere. */
    qtest_qmp_send_raw(s, "{\"id\":{\"a\":[1,nu");
    qtest_qmp_send_raw(s, "ll]},\"exec");
    qtest_qmp_send_raw(s, "ute\":\"query-status\"}\n");
    reply = qtest_qmp_receive(s);
    g_assert_true(json_object_has_member(reply, "return"));
    g_assert_cmpint(json_array_get_length(json_object_get_array_member(
                        json_object_get_object_member(reply, "id"), "a")), ==, 2);
    json_object_unref(g_steal_pointer(&reply));
    qtest_qmp_send_raw(s, "{\"execute\":\"stop\",\"bogus\":1}\n");
    reply = qtest_qmp_receive(s);
    g_assert_true(json_object_has_member(reply, "error"));
    json_object_unref(g_steal_pointer(&reply));
    qtest_qmp_send_raw(s, "[1, 2}\n");
    reply = qtest_qmp_receive(s);
    g_assert_true(json_object_has_member(reply, "error"));
    qtest_qmp_ok(s, "query-version", NULL);
    qtest_quit(s);
}

static void test_run_states(void)
{
    QTestState *s = qtest_init("-M none -S");
    g_autoptr(JsonObject) event = NULL;

    qtest_wait_run_state(s, "prelaunch");
    qtest_qmp_ok(s, "cont", NULL);
    event = qtest_event_wait(s, "RESUME");
    g_assert_true(json_object_has_member(event, "timestamp"));
    g_assert_false(json_object_has_member(event, "data"));
    qtest_wait_run_state(s, "running");
    qtest_qmp_ok(s, "stop", NULL);
    json_object_unref(qtest_event_wait(s, "STOP"));
    qtest_wait_run_state(s, "paused");
    g_autofree char *text = qtest_hmp(s, "info status");
    g_assert_nonnull(strstr(text, "paused"));
    qtest_qmp_ok(s, "quit", NULL);
    g_assert_cmpint(qtest_wait_exit(s), ==, 0);
    qtest_kill(s);
}

static void test_descriptors(void)
{
    QTestState *s = qtest_init("-M none -m 1M");
    g_autofree char *e = NULL;
    int fds[2];
    char byte;

    g_assert_cmpint(pipe(fds), ==, 0);
    json_node_unref(qtest_qmp_fd(s, fds[1], "getfd", "{'fdname':'x'}"));
    close(fds[1]);
    qtest_qmp_ok(s, "closefd", "{'fdname':'x'}");
    g_assert_cmpint(read(fds[0], &byte, 1), ==, 0); /* nobody has the other end now */
    close(fds[0]);
    e = qtest_qmp_error(s, "closefd", "{'fdname':'x'}");
    g_clear_pointer(&e, g_free);
    e = qtest_qmp_error(s, "getfd", "{'fdname':'x'}");
    qtest_quit(s);
}

static void test_chardev_commands(void)
{
    QTestState *s = qtest_init("-M none");
    g_autofree char *path = qtest_path(s, "added");
    g_autofree char *e = NULL;
    g_autoptr(JsonNode) list = NULL;
    bool found = false;

    qtest_qmp_ok(s, "chardev-add", "{'id':'c','backend':{'type':'socket','data':{'addr':"
                 "{'type':'unix','data':{'path':'%s'}}}}}", path);
    list = qtest_qmp(s, "query-chardev", NULL);
    for (guint i = 0; i < json_array_get_length(json_node_get_array(list)); i++) {
        JsonObject *o = json_array_get_object_element(json_node_get_array(list), i);
        found |= g_str_equal(json_object_get_string_member(o, "label"), "c");
    }
    g_assert_true(found);
    e = qtest_qmp_error(s, "chardev-remove", "{'id':'testqmp'}");
    g_clear_pointer(&e, g_free);
    qtest_qmp_ok(s, "chardev-remove", "{'id':'c'}");
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    e = qtest_qmp_error(s, "chardev-add", "{'id':'d','backend':{'type':'file','data':"
                        "{'out':'/nonexistent/x'}}}");
    g_assert_nonnull(strstr(e, "/nonexistent/x"));
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/replies", test_replies);
    g_test_add_func("/qmp/run-states", test_run_states);
    g_test_add_func("/qmp/descriptors", test_descriptors);
    g_test_add_func("/qmp/chardev", test_chardev_commands);
    return g_test_run();
}
