/*
 * XBZRLE through the real program: a guest that writes moves in several passes, and its memory
 * is right.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-helpers.h"

static int64_t cache_stat(GuestVm *vm, const char *name)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(vm->s, "query-migrate", NULL);
    JsonObject *cache = json_object_get_object_member(info, "xbzrle-cache");

    g_assert_nonnull(cache);
    return json_object_get_int_member(cache, name);
}

static bool is_active(GuestVm *vm)
{
    g_autofree char *status = mig_info_string(vm, "status");

    return !strcmp(status, "active");
}

static void test_guest(const void *small)
{
    GuestConfig config = { .accel = "kvm", .mib = 32, .interval = 50000, .args = MIG_HOLD_ARGS };
    GuestVm *from, *to;
    int64_t deadline = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;

    if (guest_skip_accel("kvm")) {
        return;
    }
    from = guest_start(&config);
    to = guest_start_incoming(&config);
    mig_set_caps(from, "xbzrle", NULL);
    mig_hold(from);
    mig_set_caps(to, "xbzrle", NULL);
    if (small) {
        mig_set_parameter(from, "xbzrle-cache-size", 1 << 20);
    }
    mig_set_limits(from, 40 << 20, 0);
    mig_start(from, to, MIG_UNIX, false);
    mig_wait_status(from, "active");
    /* On a busy host the guest may stand still for so long that all is sent. */
    while (cache_stat(from, "pages") < 500 && is_active(from)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(20000);
    }
    g_assert_cmpint(cache_stat(from, "pages"), >, 0);
    g_assert_cmpint(cache_stat(from, "cache-miss"), >, 0);
    g_assert_cmpint(cache_stat(from, "bytes"), <, cache_stat(from, "pages") * 4096);
    /* The size may change on the way. */
    mig_set_parameter(from, "xbzrle-cache-size", small ? 64 << 20 : 8 << 20);
    mig_set_limits(from, 0, 2000);
    mig_let_go(from, to);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/migration/xbzrle/guest", NULL, test_guest);
    g_test_add_data_func("/migration/xbzrle/small-cache", "", test_guest);
    return g_test_run();
}
