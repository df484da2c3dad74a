/*
 * Measuring and limiting how fast a guest dirties its memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-helpers.h"

#define RING "kvm,dirty-ring-size=4096"

/* About a thousand visits a second: 4 MiB/s. */
static GuestConfig slow_writer(const char *accel)
{
    bool interp = !strcmp(accel, "interp");

    return (GuestConfig){ .accel = accel, .mib = 24, .interval = interp ? 400000 : 2000000 };
}

static JsonObject *wait_measured(GuestVm *vm)
{
    for (;;) {
        g_autoptr(JsonObject) info = qtest_qmp_object(vm->s, "query-dirty-rate",
                                                      "{'calc-time-unit': 'millisecond'}");
        const char *status = json_object_get_string_member(info, "status");

        if (!strcmp(status, "measured")) {
            return g_steal_pointer(&info);
        }
        g_assert_cmpstr(status, ==, "measuring");
        g_assert_false(json_object_has_member(info, "dirty-rate"));
        g_usleep(10000);
    }
}

static int64_t measure(GuestVm *vm, const char *mode, int ms)
{
    g_autoptr(JsonObject) info = NULL;

    qtest_qmp_ok(vm->s, "calc-dirty-rate",
                 "{'calc-time': %d, 'calc-time-unit': 'millisecond', 'mode': '%s'}", ms, mode);
    info = wait_measured(vm);
    g_assert_cmpint(json_object_get_int_member(info, "calc-time"), ==, ms);
    g_assert_cmpstr(json_object_get_string_member(info, "mode"), ==, mode);
    g_assert_cmpint(json_object_get_int_member(info, "start-time"), >, 1600000000);
    return json_object_get_int_member(info, "dirty-rate");
}

static uint64_t visits(GuestVm *vm)
{
    GuestStatus status;

    guest_status(vm, &status);
    return status.visits;
}

static void check_mode(GuestVm *vm, const char *mode)
{
    uint64_t before = visits(vm);
    int64_t start = g_get_monotonic_time();
    int64_t rate = measure(vm, mode, 1000);
    double most = (visits(vm) - before) * 4096.0 / (1 << 20) /
                  ((g_get_monotonic_time() - start) / 1e6);

    g_test_message("%s: %d MiB/s, visited %.1f", mode, (int)rate, most);
    g_assert_cmpfloat(rate, <=, most * 1.7 + 1);
    g_assert_cmpfloat(rate, >=, most * 0.3 - 1);
    g_assert_cmpint(rate, >, 0);
    qtest_qmp_ok(vm->s, "stop", NULL);
    g_assert_cmpint(measure(vm, mode, 100), ==, 0);
    qtest_qmp_ok(vm->s, "cont", NULL);
}

static void test_modes(gconstpointer accel)
{
    GuestConfig c = slow_writer(accel);

    if (guest_skip_accel(accel)) {
        return;
    }
    GuestVm *vm = guest_start(&c);
    check_mode(vm, "dirty-bitmap");
    check_mode(vm, "page-sampling");
    check_mode(vm, "dirty-bitmap");
    guest_verify(vm);
    guest_quit(vm);
}

/* A measurement and a migration at the same time: neither loses a page. */
static void test_while_migrating(void)
{
    GuestConfig c = slow_writer(qtest_have_kvm() ? "kvm" : "interp");
    GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);
    int64_t rate;

    qtest_qmp_ok(from->s, "calc-dirty-rate",
                 "{'calc-time': 600, 'calc-time-unit': 'millisecond', 'mode': 'dirty-bitmap'}");
    mig_set_caps(from, NULL);
    mig_set_caps(to, NULL);
    mig_set_limits(from, 3 << 20, 1);
    mig_start(from, to, MIG_UNIX, false);
    mig_wait_status(from, "active");
    json_object_unref(wait_measured(from));
    rate = measure(from, "dirty-bitmap", 1000);
    g_test_message("%d MiB/s", (int)rate);
    /* A page that the migration has not protected again counts once: it may well be nothing. */
    g_assert_cmpint(rate, <, 24);
    g_autofree char *refused = qtest_qmp_error(to->s, "calc-dirty-rate", "{'calc-time': 1}");
    g_assert_nonnull(strstr(refused, "migration comes in"));
    qtest_qmp_ok(from->s, "calc-dirty-rate", "{'calc-time': 60, 'mode': 'dirty-bitmap'}");
    mig_set_limits(from, 0, 2000);
    mig_wait_status(from, "completed");
    mig_wait_status(to, "completed");
    guest_verify(to);
    /* It ends although a measurement is under way. */
    guest_quit(from);
    guest_quit(to);
}

static void expect_refused(GuestVm *vm, const char *command, const char *args, const char *part)
{
    g_autofree char *err = qtest_qmp_error(vm->s, command, "%s", args);

    if (!strstr(err, part)) {
        g_error("%s: '%s' is not in '%s'", command, part, err);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *command, *args, *part;
    } cases[] = {
        { "calc-dirty-rate", "{'calc-time': 0}", "from 1 to 60 s" },
        { "calc-dirty-rate", "{'calc-time': 61}", "from 1 to 60 s" },
        { "calc-dirty-rate", "{'calc-time': 60001, 'calc-time-unit': 'millisecond'}",
          "from 1 to 60000 ms" },
        { "calc-dirty-rate", "{'calc-time': 1, 'sample-pages': 127}", "from 128 to 16384" },
        { "calc-dirty-rate", "{'calc-time': 1, 'sample-pages': -1}", "from 128 to 16384" },
        { "calc-dirty-rate", "{'calc-time': 1, 'sample-pages': 512, 'mode': 'dirty-bitmap'}",
          "page-sampling only" },
        { "calc-dirty-rate", "{'calc-time': 1, 'mode': 'dirty-ring'}", "dirty-ring-size" },
        { "set-vcpu-dirty-limit", "{'dirty-rate': 10}", "dirty-ring-size" },
        { "cancel-vcpu-dirty-limit", "{}", "dirty-ring-size" },
        { "migrate-set-capabilities",
          "{'capabilities': [{'capability': 'dirty-limit', 'state': true}]}", "dirty-ring-size" },
    };
    GuestConfig c = slow_writer(qtest_have_kvm() ? "kvm" : "interp");
    GuestVm *vm = guest_start(&c);
    g_autoptr(JsonObject) info = qtest_qmp_object(vm->s, "query-dirty-rate", NULL);
    g_autoptr(JsonNode) limits = qtest_qmp(vm->s, "query-vcpu-dirty-limit", NULL);

    g_assert_cmpstr(json_object_get_string_member(info, "status"), ==, "unstarted");
    g_assert_cmpuint(json_array_get_length(json_node_get_array(limits)), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        expect_refused(vm, cases[i].command, cases[i].args, cases[i].part);
    }
    qtest_qmp_ok(vm->s, "calc-dirty-rate", "{'calc-time': 1}");
    expect_refused(vm, "calc-dirty-rate", "{'calc-time': 1}", "not over yet");
    json_object_unref(wait_measured(vm));
    guest_quit(vm);
}

static char *hmp_measured(GuestVm *vm)
{
    for (;;) {
        g_autofree char *text = qtest_hmp(vm->s, "info dirty_rate");

        if (strstr(text, "Status: measured")) {
            return g_steal_pointer(&text);
        }
        g_usleep(20000);
    }
}

static void test_hmp(void)
{
    GuestConfig c = slow_writer(qtest_have_kvm() ? "kvm" : "interp");
    GuestVm *vm = guest_start(&c);
    g_autofree char *both = qtest_hmp(vm->s, "calc_dirty_rate -r -b 1");
    g_autofree char *start = qtest_hmp(vm->s, "calc_dirty_rate 1 200");
    g_autofree char *text = hmp_measured(vm);
    g_autofree char *start_b = qtest_hmp(vm->s, "calc_dirty_rate -b 1");
    g_autofree char *text_b = hmp_measured(vm);
    g_autofree char *ring = qtest_hmp(vm->s, "calc_dirty_rate -r 1");
    g_autofree char *limit = qtest_hmp(vm->s, "set_vcpu_dirty_limit 10");
    g_autofree char *limits = qtest_hmp(vm->s, "info vcpu_dirty_limit");

    g_assert_nonnull(strstr(both, "only one of"));
    g_assert_nonnull(strstr(start, "1 seconds"));
    g_assert_nonnull(strstr(text, "Sample Pages: 200 (per GB)"));
    g_assert_nonnull(strstr(text, "Period: 1 (sec)"));
    g_assert_nonnull(strstr(text, "Mode: page-sampling"));
    g_assert_nonnull(strstr(text, "(MB/s)"));
    g_assert_nonnull(strstr(start_b, "1 seconds"));
    g_assert_nonnull(strstr(text_b, "Mode: dirty-bitmap"));
    g_assert_nonnull(strstr(ring, "dirty-ring-size"));
    g_assert_nonnull(strstr(limit, "dirty-ring-size"));
    g_assert_nonnull(strstr(limits, "No vCPU has a dirty limit"));
    guest_quit(vm);
}

/*
 * Some hosts' KVM writes past a full ring and then cannot run the guest: then there is
 * nothing to be tested.
 */
static bool ring_works(GuestVm *vm)
{
    g_autoptr(JsonObject) status = NULL;

    if (measure(vm, "dirty-ring", 300) < 0) {
        return false;
    }
    status = qtest_qmp_object(vm->s, "query-status", NULL);
    if (strcmp(json_object_get_string_member(status, "status"), "running")) {
        g_test_skip("this host's KVM cannot run the guest with a dirty ring");
        return false;
    }
    return true;
}

/* A guest whose dirty ring works; NULL: the test is skipped. */
static GuestVm *start_with_ring(const GuestConfig *c)
{
    GuestVm *vm;

    if (guest_skip_accel("kvm")) {
        return NULL;
    }
    vm = guest_start(c);
    if (!ring_works(vm)) {
        guest_kill(vm);
        return NULL;
    }
    return vm;
}

static void wait_rate_below(GuestVm *vm, int64_t most)
{
    int64_t rate = G_MAXINT64;

    for (int i = 0; i < 10 && rate > most; i++) {
        rate = measure(vm, "dirty-ring", 500);
        g_test_message("limited: %d MiB/s", (int)rate);
    }
    g_assert_cmpint(rate, <=, most);
}

static void test_ring(void)
{
    GuestConfig c = { .accel = RING, .mib = 64 };
    GuestVm *vm;

    vm = start_with_ring(&c);
    if (!vm) {
        return;
    }
    /* How fast the guest is depends on what else the host does; what a limit is on that. */
    int64_t before = measure(vm, "dirty-ring", 1000), limit = MAX(before / 3, 2);
    g_test_message("%d MiB/s", (int)before);
    g_assert_cmpint(before, >, 10);
    qtest_qmp_ok(vm->s, "set-vcpu-dirty-limit", "{'dirty-rate': %" G_GINT64_FORMAT "}", limit);
    wait_rate_below(vm, limit * 5 / 4);
    g_autoptr(JsonNode) limits = qtest_qmp(vm->s, "query-vcpu-dirty-limit", NULL);
    g_assert_cmpuint(json_array_get_length(json_node_get_array(limits)), ==, 1);
    JsonObject *one = json_array_get_object_element(json_node_get_array(limits), 0);
    g_assert_cmpint(json_object_get_int_member(one, "limit-rate"), ==, limit);
    expect_refused(vm, "set-vcpu-dirty-limit", "{'dirty-rate': 1, 'cpu-index': 7}", "no vCPU 7");
    /* It owes many seconds of sleep by now; without a limit it must not wait for their end. */
    qtest_qmp_ok(vm->s, "set-vcpu-dirty-limit", "{'dirty-rate': 1}");
    wait_rate_below(vm, 3);
    qtest_qmp_ok(vm->s, "cancel-vcpu-dirty-limit", NULL);
    g_assert_cmpint(measure(vm, "dirty-ring", 500), >, 6);
    guest_verify(vm);
    guest_quit(vm);
}

static guint limited(GuestVm *vm, int *ret_cpu)
{
    g_autoptr(JsonNode) limits = qtest_qmp(vm->s, "query-vcpu-dirty-limit", NULL);
    JsonArray *list = json_node_get_array(limits);
    guint n = json_array_get_length(list);

    if (n == 1) {
        *ret_cpu = json_object_get_int_member(json_array_get_object_element(list, 0),
                                              "cpu-index");
    }
    return n;
}

/* A limit of one vCPU is none of the other. */
static void test_one_of_two(void)
{
    GuestConfig c = { .accel = RING, .mib = 64, .cpus = 2 };
    GuestVm *vm;
    int64_t rate = 0;
    int cpu = -1;

    vm = start_with_ring(&c);
    if (!vm) {
        return;
    }
    g_autoptr(JsonObject) info = qtest_qmp_object(vm->s, "query-dirty-rate", NULL);
    JsonArray *each = json_object_get_array_member(info, "vcpu-dirty-rate");
    g_assert_cmpuint(json_array_get_length(each), ==, 2);
    for (guint i = 0; i < 2; i++) {
        JsonObject *one = json_array_get_object_element(each, i);

        g_assert_cmpint(json_object_get_int_member(one, "id"), ==, i);
        /* The second CPU only counts. */
        int64_t of_one = json_object_get_int_member(one, "dirty-rate");
        g_assert_true(i ? of_one <= 2 : of_one > 10);
    }
    qtest_qmp_ok(vm->s, "set-vcpu-dirty-limit", "{'cpu-index': 1, 'dirty-rate': 2}");
    g_assert_cmpuint(limited(vm, &cpu), ==, 1);
    g_assert_cmpint(cpu, ==, 1);
    g_assert_cmpint(measure(vm, "dirty-ring", 500), >, 4);
    qtest_qmp_ok(vm->s, "set-vcpu-dirty-limit", "{'cpu-index': 0, 'dirty-rate': 20}");
    g_assert_cmpuint(limited(vm, &cpu), ==, 2);
    wait_rate_below(vm, 25);
    g_autofree char *shown = qtest_hmp(vm->s, "info vcpu_dirty_limit");
    g_assert_nonnull(strstr(shown, "vcpu[0], limit rate 20 (MB/s)"));
    g_autofree char *hmp = qtest_hmp(vm->s, "cancel_vcpu_dirty_limit 0");
    g_assert_null(strstr(hmp, "Error"));
    g_assert_cmpuint(limited(vm, &cpu), ==, 1);
    g_assert_cmpint(cpu, ==, 1);
    /* More than any limit that it had, on a busy host, too. */
    for (int i = 0; i < 10 && rate <= 30; i++) {
        rate = measure(vm, "dirty-ring", 500);
    }
    g_assert_cmpint(rate, >, 30);
    guest_verify(vm);
    guest_quit(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/dirty-rate/modes/kvm", "kvm", test_modes);
    g_test_add_data_func("/dirty-rate/modes/interp", "interp", test_modes);
    g_test_add_func("/dirty-rate/while-migrating", test_while_migrating);
    g_test_add_func("/dirty-rate/refused", test_refused);
    g_test_add_func("/dirty-rate/hmp", test_hmp);
    g_test_add_func("/dirty-rate/ring", test_ring);
    g_test_add_func("/dirty-rate/ring-one-of-two", test_one_of_two);
    return g_test_run();
}
