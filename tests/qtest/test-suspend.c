/*
 * A guest that sleeps (ACPI S3): events, states, waking, and moving it meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-file-ram.h"
#include "migration-helpers.h"

#define STATUS 0x20000
#define MAGIC 0x53525246

static QTestState *start(const char *accel, const char *more)
{
    QTestState *s = qtest_init(
        "-machine q35 -accel %s -m 32M -nodefaults -drive if=none,id=d,file=%s,format=raw,readonly=on "
        "-device ide-hd,drive=d %s", accel, g_getenv("FERRY_SLEEP_IMAGE"), more);

    mig_cap(s, "events", true);
    return s;
}

static const char *usual(void)
{
    return qtest_have_kvm() ? "kvm" : "interp";
}

static void expect_running(QTestState *s)
{
    uint32_t before = qtest_readl(s, STATUS + 4);

    qtest_wait_run_state(s, "running");
    for (int i = 0; i < 500; i++) {
        if (qtest_readl(s, STATUS) == MAGIC && qtest_readl(s, STATUS + 4) != before) {
            return;
        }
        g_usleep(10000);
    }
    g_error("the guest does not run");
}

static void expect_asleep(QTestState *s)
{
    uint32_t before;

    qtest_wait_run_state(s, "suspended");
    before = qtest_readl(s, STATUS + 4);
    g_usleep(50000);
    g_assert_cmpuint(qtest_readl(s, STATUS + 4), ==, before);
}

static void send_to_sleep(QTestState *s)
{
    expect_running(s);
    qtest_writeb(s, STATUS + 12, 1);
    json_object_unref(qtest_event_wait(s, "SUSPEND"));
    expect_asleep(s);
}

static void wake(QTestState *s, uint32_t times)
{
    qtest_qmp_ok(s, "system_wakeup", NULL);
    json_object_unref(qtest_event_wait(s, "WAKEUP"));
    expect_running(s);
    g_assert_cmpuint(qtest_readl(s, STATUS + 8), ==, times);
}

static void test_sleep(gconstpointer accel)
{
    QTestState *s;

    if (guest_skip_accel(accel)) {
        return;
    }
    s = start(accel, "");
    g_autoptr(JsonObject) machine = qtest_qmp_object(s, "query-current-machine", NULL);
    g_assert_true(json_object_get_boolean_member(machine, "wakeup-suspend-support"));
    g_autofree char *awake = qtest_qmp_error(s, "system_wakeup", NULL);
    g_assert_nonnull(strstr(awake, "not in suspended state"));
    send_to_sleep(s);
    wake(s, 1);
    send_to_sleep(s);
    g_autofree char *out = qtest_hmp(s, "system_wakeup");
    g_assert_cmpstr(out, ==, "");
    json_object_unref(qtest_event_wait(s, "WAKEUP"));
    expect_running(s);
    g_assert_cmpuint(qtest_readl(s, STATUS + 8), ==, 2);
    qtest_quit(s);
}

static void test_stop(void)
{
    QTestState *s = start(usual(), "");

    send_to_sleep(s);
    qtest_qmp_ok(s, "stop", NULL);
    qtest_wait_run_state(s, "paused");
    g_autofree char *err = qtest_qmp_error(s, "system_wakeup", NULL);
    g_assert_nonnull(strstr(err, "not in suspended state"));
    qtest_qmp_ok(s, "cont", NULL);
    expect_asleep(s);
    qtest_qmp_ok(s, "cont", NULL); /* does not wake */
    expect_asleep(s);
    wake(s, 1);
    qtest_quit(s);
}

static void test_button_and_reset(void)
{
    QTestState *s = start(usual(), "");

    send_to_sleep(s);
    qtest_qmp_ok(s, "system_powerdown", NULL);
    json_object_unref(qtest_event_wait(s, "WAKEUP"));
    expect_running(s);
    g_assert_cmpuint(qtest_readl(s, STATUS + 8), ==, 1);
    send_to_sleep(s);
    qtest_qmp_ok(s, "system_reset", NULL);
    json_object_unref(qtest_event_wait(s, "RESET"));
    expect_running(s);
    g_assert_cmpuint(qtest_readl(s, STATUS + 8), ==, 0); /* it started anew */
    qtest_quit(s);
}

/* A machine that cannot sleep says so. */
static void test_none(void)
{
    QTestState *s = qtest_init("-machine none");
    g_autoptr(JsonObject) machine = qtest_qmp_object(s, "query-current-machine", NULL);

    g_assert_false(json_object_get_boolean_member(machine, "wakeup-suspend-support"));
    qtest_quit(s);
}

static char *begin_move(QTestState *from, QTestState *to)
{
    g_autofree char *path = qtest_path(to, "socket");
    char *uri = g_strdup_printf("unix:%s", path);

    qtest_qmp_ok(to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(from, "migrate", "{'uri': '%s'}", uri);
    return uri;
}

static void test_precopy(gconstpointer accel)
{
    if (guest_skip_accel(accel)) {
        return;
    }
    QTestState *from = start(accel, ""), *to = start(accel, "-incoming defer");

    send_to_sleep(from);
    g_free(begin_move(from, to));
    json_object_unref(mig_wait(from, "completed"));
    json_object_unref(mig_wait(to, "completed"));
    qtest_wait_run_state(from, "postmigrate");
    expect_asleep(to);
    wake(to, 1);
    send_to_sleep(to);
    wake(to, 2);
    qtest_quit(from);
    qtest_quit(to);
}

static void test_postcopy(void)
{
    QTestState *from = start(usual(), ""), *to = start(usual(), "-incoming defer");

    mig_cap(from, "postcopy-ram", true);
    mig_cap(to, "postcopy-ram", true);
    send_to_sleep(from);
    qtest_memset(from, 0x100000, 0x77, 16 << 20);
    qtest_qmp_ok(from, "migrate-set-parameters",
                 "{'max-bandwidth': 1048576, 'max-postcopy-bandwidth': 1048576,"
                 " 'downtime-limit': 0}");
    g_free(begin_move(from, to));
    json_object_unref(mig_wait(from, "active"));
    qtest_qmp_ok(from, "migrate-start-postcopy", NULL);
    json_object_unref(mig_wait(from, "postcopy-active"));
    qtest_wait_run_state(to, "suspended");
    qtest_qmp_ok(from, "migrate-set-parameters", "{'max-postcopy-bandwidth': 0}");
    json_object_unref(mig_wait(from, "completed"));
    json_object_unref(mig_wait(to, "completed"));
    expect_asleep(to);
    wake(to, 1);
    g_assert_cmpuint(qtest_readb(to, 0x100000 + (16 << 20) - 1), ==, 0x77);
    qtest_quit(from);
    qtest_quit(to);
}

/* Stopped on the source, or to be stopped on the destination: it sleeps when it goes on. */
static void test_stopped(gconstpointer source)
{
    QTestState *from = start(usual(), "");
    QTestState *to = start(usual(), source ? "-incoming defer" : "-incoming defer -S");

    send_to_sleep(from);
    if (source) {
        qtest_qmp_ok(from, "stop", NULL);
    }
    g_free(begin_move(from, to));
    json_object_unref(mig_wait(from, "completed"));
    json_object_unref(mig_wait(to, "completed"));
    qtest_wait_run_state(to, "paused");
    qtest_qmp_ok(to, "cont", NULL);
    expect_asleep(to);
    wake(to, 1);
    qtest_quit(from);
    qtest_quit(to);
}

/* A failed switch leaves it asleep, with its clock going. */
static void test_cancel(void)
{
    QTestState *from = start(usual(), ""), *to = start(usual(), "-incoming defer");

    mig_cap(from, "pause-before-switchover", true);
    mig_cap(to, "pause-before-switchover", true);
    send_to_sleep(from);
    g_free(begin_move(from, to));
    json_object_unref(mig_wait(from, "pre-switchover"));
    qtest_qmp_ok(from, "migrate_cancel", NULL);
    json_object_unref(mig_wait(from, "cancelled"));
    expect_asleep(from);
    wake(from, 1);
    qtest_quit(from);
    qtest_kill(to);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/suspend/sleep/kvm", "kvm", test_sleep);
    g_test_add_data_func("/suspend/sleep/interp", "interp", test_sleep);
    g_test_add_func("/suspend/stop", test_stop);
    g_test_add_func("/suspend/button-and-reset", test_button_and_reset);
    g_test_add_func("/suspend/none", test_none);
    g_test_add_data_func("/suspend/precopy/kvm", "kvm", test_precopy);
    g_test_add_data_func("/suspend/precopy/interp", "interp", test_precopy);
    g_test_add_func("/suspend/postcopy", test_postcopy);
    g_test_add_data_func("/suspend/stopped/source", "source", test_stopped);
    g_test_add_data_func("/suspend/stopped/destination", NULL, test_stopped);
    g_test_add_func("/suspend/cancel", test_cancel);
    return g_test_run();
}
