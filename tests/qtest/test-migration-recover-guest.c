/*
 * The running guest in a postcopy whose connection breaks: it goes on with the memory that it
 * has, its vCPUs sleep over pages that are missing, and after each recovery every word of
 * its memory is right.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration-helpers.h"
#include "relay.h"

#define CUTS 3

typedef struct Case {
    const char *accel;
    const char *cap; /* one more, NULL: none */
} Case;

typedef struct Cut {
    GuestVm *from, *to;
    Relay *relay;
    char *near, *far;
} Cut;

static void to_postcopy(Cut *c, const char *second)
{
    mig_set_caps(c->from, "postcopy-ram", second, NULL);
    mig_set_caps(c->to, "postcopy-ram", second, NULL);
    mig_set_limits(c->from, 8 << 20, 1);
    mig_set_parameter(c->from, "max-postcopy-bandwidth", 2 << 20);
    qtest_qmp_ok(c->to->s, "migrate-incoming", "{'uri': 'unix:%s'}", c->far);
    qtest_qmp_ok(c->from->s, "migrate", "{'uri': 'unix:%s'}", c->near);
    mig_wait_status(c->from, "active");
    while (mig_ram_stat(c->from, "transferred") < 256 * 1024) {
        g_usleep(2000);
    }
    qtest_qmp_ok(c->from->s, "migrate-start-postcopy", NULL);
    mig_wait_status(c->from, "postcopy-active");
    mig_wait_status(c->to, "postcopy-active");
}

static void wait_requests(Cut *c, int64_t more)
{
    int64_t want = mig_ram_stat(c->from, "postcopy-requests") + more;
    int64_t deadline = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;

    while (mig_ram_stat(c->from, "postcopy-requests") < want) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(2000);
    }
}

static void break_and_mend(Cut *c)
{
    relay_cut(c->relay);
    mig_wait_status(c->from, "postcopy-paused");
    mig_wait_status(c->to, "postcopy-paused");
    g_usleep(50000); /* it runs into pages that are missing */
    qtest_wait_run_state(c->to->s, "running");
    qtest_wait_run_state(c->from->s, "finish-migrate");
    qtest_qmp_ok(c->to->s, "migrate-recover", "{'uri': 'unix:%s'}", c->far);
    qtest_qmp_ok(c->from->s, "migrate", "{'uri': 'unix:%s', 'resume': true}", c->near);
    mig_wait_status(c->from, "postcopy-active");
    mig_wait_status(c->to, "postcopy-active");
}

static Cut cut_new(const Case *what)
{
    GuestConfig config = { .accel = what->accel, .mib = 24 };
    Cut c = { .from = guest_start(&config), .to = guest_start_incoming(&config) };

    c.near = g_build_filename(c.from->dir, "near", NULL);
    c.far = g_build_filename(c.to->dir, "far", NULL);
    c.relay = relay_new(c.near, c.far);
    to_postcopy(&c, what->cap);
    return c;
}

static void cut_free(Cut *c)
{
    relay_free(c->relay);
    guest_quit(c->from);
    guest_quit(c->to);
    g_free(c->near);
    g_free(c->far);
}

static void test_recover(const void *opaque)
{
    const Case *what = opaque;
    Cut c;

    if (guest_skip_accel(what->accel)) {
        return;
    }
    c = cut_new(what);
    for (unsigned i = 0; i < CUTS; i++) {
        wait_requests(&c, 3);
        break_and_mend(&c);
    }
    wait_requests(&c, 3);
    mig_set_parameter(c.from, "max-postcopy-bandwidth", 0);
    mig_wait_status(c.from, "completed");
    mig_wait_status(c.to, "completed");
    guest_verify(c.to);
    cut_free(&c);
}

/* The network comes back no more: by a file, of which a part gets lost, and the rest by another one. */
static void test_carry(const void *opaque)
{
    const Case *what = opaque;
    g_autofree char *file = NULL, *map = NULL, *receipt = NULL;
    struct stat st;
    Cut c;

    if (guest_skip_accel(what->accel)) {
        return;
    }
    c = cut_new(what);
    file = g_build_filename(c.from->dir, "rest", NULL);
    map = g_build_filename(c.from->dir, "received", NULL);
    wait_requests(&c, 3);
    relay_cut(c.relay);
    mig_wait_status(c.from, "postcopy-paused");
    mig_wait_status(c.to, "postcopy-paused");
    g_usleep(50000); /* it runs into pages that are missing */
    qtest_qmp_ok(c.from->s, "migrate", "{'uri': 'file:%s', 'resume': true}", file);
    mig_wait_status(c.from, "postcopy-paused");
    g_assert_cmpint(g_stat(file, &st), ==, 0);
    g_assert_cmpint(truncate(file, st.st_size / 2), ==, 0);
    qtest_qmp_ok(c.to->s, "migrate-recover", "{'uri': 'file:%s'}", file);
    mig_wait_status(c.to, "postcopy-active");
    mig_wait_status(c.to, "postcopy-paused");
    qtest_wait_run_state(c.to->s, "running");
    qtest_qmp_ok(c.to->s, "x-migrate-save-received", "{'uri': 'file:%s'}", map);
    qtest_qmp_ok(c.from->s, "x-migrate-load-received", "{'uri': 'file:%s'}", map);
    qtest_qmp_ok(c.from->s, "migrate", "{'uri': 'file:%s', 'resume': true}", file);
    mig_wait_status(c.from, "postcopy-paused");
    qtest_qmp_ok(c.to->s, "migrate-recover", "{'uri': 'file:%s'}", file);
    mig_wait_status(c.to, "completed");
    guest_verify(c.to);
    qtest_wait_run_state(c.from->s, "finish-migrate");
    receipt = mig_info_string(c.to, "x-receipt");
    qtest_qmp_ok(c.from->s, "x-migrate-release", "{'receipt': '%s'}", receipt);
    mig_wait_status(c.from, "completed");
    g_unlink(file);
    g_unlink(map);
    cut_free(&c);
}

int main(int argc, char **argv)
{
    static const Case kvm = { "kvm", NULL }, kvm_preempt = { "kvm", "postcopy-preempt" };
    static const Case interp = { "interp", NULL }, interp_preempt = { "interp", "postcopy-preempt" };
    static const Case kvm_multifd = { "kvm", "multifd" }, interp_multifd = { "interp", "multifd" };

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/recover-guest/kvm", &kvm, test_recover);
    g_test_add_data_func("/recover-guest/kvm/preempt", &kvm_preempt, test_recover);
    g_test_add_data_func("/recover-guest/interp", &interp, test_recover);
    g_test_add_data_func("/recover-guest/interp/preempt", &interp_preempt, test_recover);
    g_test_add_data_func("/carry-guest/kvm", &kvm, test_carry);
    g_test_add_data_func("/carry-guest/kvm/preempt", &kvm_preempt, test_carry);
    g_test_add_data_func("/carry-guest/kvm/multifd", &kvm_multifd, test_carry);
    g_test_add_data_func("/carry-guest/interp", &interp, test_carry);
    g_test_add_data_func("/carry-guest/interp/preempt", &interp_preempt, test_carry);
    g_test_add_data_func("/carry-guest/interp/multifd", &interp_multifd, test_carry);
    return g_test_run();
}
