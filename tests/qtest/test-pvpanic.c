/*
 * A guest that crashes: the port, the events, what -action makes of it, and that a crashed
 * guest arrives as one at the other end of a migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "libqtest.h"

#define PORT 0x505
#define PC "-machine q35 -m 16M -nodefaults -device pvpanic "

static void expect_event(QTestState *s, const char *name, const char *action)
{
    g_autoptr(JsonObject) event = qtest_event_wait(s, name);
    JsonObject *data = json_object_get_object_member(event, "data");

    g_assert_cmpstr(json_object_get_string_member(data, "action"), ==, action);
}

static void test_port(void)
{
    QTestState *s = qtest_init(PC "-no-shutdown");

    g_assert_cmphex(qtest_inb(s, PORT), ==, 3);
    qtest_outb(s, PORT, 0x80); /* means nothing */
    qtest_outb(s, PORT, 2);
    expect_event(s, "GUEST_CRASHLOADED", "run");
    qtest_wait_run_state(s, "running");
    qtest_outb(s, PORT, 1);
    expect_event(s, "GUEST_PANICKED", "pause");
    qtest_wait_run_state(s, "guest-panicked");
    qtest_qmp_ok(s, "system_reset", NULL);
    qtest_wait_run_state(s, "prelaunch");
    qtest_quit(s);

    s = qtest_init("-machine pc -m 16M -nodefaults -device pvpanic,events=2,ioport=0x700");
    g_assert_cmphex(qtest_inb(s, 0x700), ==, 2);
    qtest_outb(s, 0x700, 1); /* not offered, so not heard */
    qtest_outb(s, 0x700, 2);
    expect_event(s, "GUEST_CRASHLOADED", "run");
    g_assert_null(qtest_event_poll(s, "GUEST_PANICKED", 0));
    qtest_wait_run_state(s, "running");
    qtest_quit(s);
}

static void test_actions(void)
{
    QTestState *s = qtest_init(PC "-action panic=none");

    qtest_outb(s, PORT, 1);
    expect_event(s, "GUEST_PANICKED", "run");
    qtest_wait_run_state(s, "running");
    qtest_qmp_ok(s, "set-action", "{'panic': 'pause'}");
    qtest_outb(s, PORT, 1);
    expect_event(s, "GUEST_PANICKED", "pause");
    qtest_wait_run_state(s, "guest-panicked");
    qtest_quit(s);

    static const struct {
        const char *args;
        int status;
    } ends[] = { { PC, 0 }, { PC "-action panic=exit-failure", 1 } };
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        s = qtest_init("%s", ends[i].args);
        qtest_outb(s, PORT, 1);
        expect_event(s, "GUEST_PANICKED", "poweroff");
        g_autoptr(JsonObject) event = qtest_event_wait(s, "SHUTDOWN");
        g_assert_cmpstr(json_object_get_string_member(
                            json_object_get_object_member(event, "data"), "reason"), ==,
                        "guest-panic");
        g_assert_cmpint(qtest_wait_exit(s), ==, ends[i].status);
        qtest_kill(s);
    }
}

/* What crashed at the source is a crashed guest at the destination, not a running one. */
static void test_migrate(void)
{
    QTestState *src = qtest_init(PC "-no-shutdown");
    QTestState *dst = qtest_init(PC "-no-shutdown -incoming defer");
    g_autofree char *path = qtest_path(dst, "mig.sock");

    qtest_outb(src, PORT, 1);
    qtest_wait_run_state(src, "guest-panicked");
    qtest_qmp_ok(dst, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    qtest_qmp_ok(src, "migrate", "{'uri': 'unix:%s'}", path);
    qtest_wait_run_state(src, "postmigrate");
    qtest_wait_run_state(dst, "guest-panicked");
    qtest_qmp_ok(dst, "system_reset", NULL);
    qtest_qmp_ok(dst, "cont", NULL);
    qtest_wait_run_state(dst, "running");
    qtest_quit(src);
    qtest_quit(dst);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pvpanic/port", test_port);
    g_test_add_func("/pvpanic/actions", test_actions);
    g_test_add_func("/pvpanic/migrate", test_migrate);
    return g_test_run();
}
