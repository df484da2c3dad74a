/*
 * A guest that writes faster than it can be sent: it is slowed down, and gets its speed
 * back; what decides about the moment of the switch.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-helpers.h"

static GuestConfig small(const char *accel)
{
    return (GuestConfig){ .accel = accel, .mib = 24 };
}

static uint64_t cpu_time_ns(const char *path)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_ascii_strtoull(text, NULL, 10);
}

/*
 * Share of a core that the vCPU's thread used in so many milliseconds, in percent.  A busy
 * host can only make it smaller.
 */
static double vcpu_share(GuestVm *vm, unsigned ms)
{
    g_autoptr(JsonNode) list = qtest_qmp(vm->s, "query-cpus-fast", NULL);
    JsonObject *cpu = json_array_get_object_element(json_node_get_array(list), 0);
    g_autofree char *path =
        g_strdup_printf("/proc/%d/task/%d/schedstat", (int)qtest_pid(vm->s),
                        (int)json_object_get_int_member(cpu, "thread-id"));
    int64_t start = g_get_monotonic_time();
    uint64_t before = cpu_time_ns(path);

    g_usleep(ms * 1000);
    return (cpu_time_ns(path) - before) / 10.0 / (g_get_monotonic_time() - start);
}

/* Member of query-migrate, -1 without it. */
static int64_t info_int(GuestVm *vm, const char *name)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(vm->s, "query-migrate", NULL);

    return json_object_has_member(info, name) ? json_object_get_int_member(info, name) : -1;
}

static void wait_throttle(GuestVm *vm, int64_t percent)
{
    int64_t end = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;

    while (info_int(vm, "cpu-throttle-percentage") < percent) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(20000);
    }
    g_assert_cmpint(info_int(vm, "cpu-throttle-percentage"), ==, percent);
}

static void set_throttle(GuestVm *vm, int initial, int increment, int max)
{
    mig_set_parameter(vm, "max-cpu-throttle", 99);
    mig_set_parameter(vm, "cpu-throttle-initial", initial);
    mig_set_parameter(vm, "cpu-throttle-increment", increment);
    mig_set_parameter(vm, "max-cpu-throttle", max);
    mig_set_parameter(vm, "throttle-trigger-threshold", 5);
}

static void test_auto_converge(gconstpointer accel)
{
    GuestConfig c = small(accel), held = c;
    double slow;

    if (guest_skip_accel(accel)) {
        return;
    }
    held.args = MIG_HOLD_ARGS;
    GuestVm *from = guest_start(&held), *to = guest_start_incoming(&c);
    mig_set_caps(from, "auto-converge", NULL);
    mig_hold(from);
    mig_set_caps(to, NULL);
    mig_set_limits(from, 100 << 20, 1);
    set_throttle(from, 40, 40, 80);
    g_assert_cmpint(info_int(from, "cpu-throttle-percentage"), ==, -1);
    mig_start(from, to, MIG_UNIX, false);
    wait_throttle(from, 40);
    wait_throttle(from, 80);
    /* On a busy host it might come to its end now. */
    mig_set_limits(from, 1 << 20, 1);
    slow = vcpu_share(from, 700);
    g_test_message("throttled: %.0f %% of a core", slow);
    g_assert_cmpfloat(slow, <, 35);
    g_assert_cmpfloat(slow, >, 0);
    g_autofree char *hmp = qtest_hmp(from->s, "info migrate -a");
    g_assert_nonnull(strstr(hmp, "CPU Throttle (%): 80"));
    qtest_qmp_ok(from->s, "migrate_cancel", NULL);
    mig_wait_status(from, "cancelled");
    mig_set_limits(from, 40 << 20, 1);
    g_assert_cmpint(info_int(from, "cpu-throttle-percentage"), ==, -1);
    for (int i = 0; vcpu_share(from, 300) < 40; i++) {
        g_assert_cmpint(i, <, 30); /* the host may be busy; the throttle would not go away */
    }
    guest_kill(to);

    /* The second one comes to its end, and the guest is whole. */
    to = guest_start_incoming(&c);
    mig_set_caps(to, NULL);
    set_throttle(from, 90, 9, 99);
    mig_start(from, to, MIG_UNIX, false);
    wait_throttle(from, 90);
    mig_set_limits(from, 0, 2000);
    mig_let_go(from, to);
    g_assert_cmpint(info_int(from, "cpu-throttle-percentage"), ==, -1);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

/* It would never end: the guest writes many times what can be sent. */
static void test_dirty_limit(void)
{
    GuestConfig c = { .accel = "kvm,dirty-ring-size=1024", .mib = 32 };
    int64_t end = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;

    if (guest_skip_accel("kvm")) {
        return;
    }
    GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);
    mig_set_caps(from, "dirty-limit", NULL);
    mig_set_caps(to, NULL);
    mig_set_parameter(from, "vcpu-dirty-limit", 1);
    mig_set_parameter(from, "x-vcpu-dirty-limit-period", 200);
    mig_set_limits(from, 24 << 20, 50);
    mig_start(from, to, MIG_UNIX, false);
    while (info_int(from, "dirty-limit-ring-full-time") < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(10000);
    }
    g_autofree char *err = qtest_qmp_error(from->s, "set-vcpu-dirty-limit", "{'dirty-rate': 1}");
    g_assert_nonnull(strstr(err, "sets the limits now"));
    mig_wait_status(from, "completed");
    mig_wait_status(to, "completed");
    g_autoptr(JsonNode) limits = qtest_qmp(from->s, "query-vcpu-dirty-limit", NULL);
    g_assert_cmpuint(json_array_get_length(json_node_get_array(limits)), ==, 0);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

/* A vCPU that naps for nearly a second is stopped at once. */
static void test_stop_throttled(void)
{
    GuestConfig c = small(qtest_have_kvm() ? "kvm" : "interp");
    GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);
    int64_t best = G_MAXINT64;

    mig_set_caps(from, "auto-converge", NULL);
    mig_set_caps(to, NULL);
    mig_set_limits(from, 40 << 20, 1);
    set_throttle(from, 99, 1, 99);
    mig_start(from, to, MIG_UNIX, false);
    wait_throttle(from, 99);
    mig_set_limits(from, 1 << 20, 1); /* it is still on its way at the end of the test */
    for (int i = 0; i < 5; i++) {
        int64_t start = g_get_monotonic_time();

        qtest_qmp_ok(from->s, "stop", NULL);
        best = MIN(best, g_get_monotonic_time() - start);
        qtest_qmp_ok(from->s, "cont", NULL);
        g_usleep(50000);
    }
    g_assert_cmpint(best, <, 200000);
    guest_kill(from);
    guest_kill(to);
}

/* By the old rules the source waits for one word of the destination. */
static void test_switchover_ack(gconstpointer unused)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        const char *args = legacy ? "-global migration.switchover-ack-legacy=on" : "";
        GuestConfig c = small(qtest_have_kvm() ? "kvm" : "interp");

        c.args = args;
        GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);
        mig_set_caps(from, "return-path", "switchover-ack", NULL);
        mig_set_caps(to, "return-path", "switchover-ack", NULL);
        mig_set_limits(from, 0, 2000);
        mig_start(from, to, MIG_UNIX, false);
        mig_wait_status(from, "completed");
        mig_wait_status(to, "completed");
        guest_verify(to);
        guest_quit(from);
        guest_quit(to);
    }
}

/*
 * A destination that does not say it: the guest is not stopped, what it writes is sent in pass
 * after pass, and it goes on after a cancel.
 */
static void test_switchover_ack_missing(void)
{
    GuestConfig c = small(qtest_have_kvm() ? "kvm" : "interp"), old = c;

    int64_t end = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;

    old.args = MIG_HOLD_ARGS;
    GuestVm *from = guest_start(&old), *to = guest_start_incoming(&c);
    mig_set_caps(from, "return-path", "switchover-ack", NULL);
    mig_set_caps(to, "return-path", "switchover-ack", NULL);
    mig_set_limits(from, 0, 2000);
    mig_start(from, to, MIG_UNIX, false);
    mig_wait_status(from, "active");
    while (mig_ram_stat(from, "dirty-sync-count") < 6) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        mig_collect(from, 50);
    }
    g_assert_cmpstr(from->events->str, ==, "setup active PASS");
    qtest_wait_run_state(from->s, "running");
    qtest_qmp_ok(from->s, "migrate_cancel", NULL);
    mig_wait_status(from, "cancelled");
    guest_verify(from);
    guest_quit(from);
    guest_kill(to);
}

/*
 * What can be sent in the downtime is reckoned with the bandwidth that is said to be there.  A
 * minute is enough for the whole guest, by what is sent now; with hardly any bandwidth for the
 * switch it is not stopped; with much, it is.
 */
static void test_switchover_bandwidth(void)
{
    GuestConfig c = small(qtest_have_kvm() ? "kvm" : "interp");
    GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);

    mig_set_caps(from, NULL);
    mig_set_caps(to, NULL);
    mig_set_limits(from, 1 << 20, 60000);
    mig_set_parameter(from, "avail-switchover-bandwidth", 4096);
    mig_start(from, to, MIG_UNIX, false);
    mig_wait_status(from, "active");
    mig_collect(from, 1000);
    g_assert_null(strstr(from->events->str, "STOP"));
    mig_set_parameter(from, "avail-switchover-bandwidth", 1LL << 40);
    mig_set_limits(from, 0, 60000);
    mig_wait_status(from, "completed");
    mig_wait_status(to, "completed");
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/converge/auto/kvm", "kvm", test_auto_converge);
    g_test_add_data_func("/converge/auto/interp", "interp", test_auto_converge);
    g_test_add_func("/converge/auto/stop", test_stop_throttled);
    g_test_add_func("/converge/dirty-limit", test_dirty_limit);
    g_test_add_data_func("/converge/switchover-ack/given", NULL, test_switchover_ack);
    g_test_add_func("/converge/switchover-ack/missing", test_switchover_ack_missing);
    g_test_add_func("/converge/switchover-bandwidth", test_switchover_bandwidth);
    return g_test_run();
}
