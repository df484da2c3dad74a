/*
 * The running guest moves: every kind of channel, precopy and postcopy, under KVM and the
 * software CPU and from one to the other, with its memory checked afterwards by itself and
 * by us.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-helpers.h"

typedef struct Case {
    const char *name;
    MigChannel channel;
    bool postcopy, structured;
} Case;

typedef struct AccelCase {
    const char *accel;
    const Case *c;
} AccelCase;

static const Case cases[] = {
    { "precopy/unix", MIG_UNIX, false, false },
    { "precopy/tcp", MIG_TCP, false, true },
    { "precopy/fd", MIG_FD, false, false },
    { "precopy/fd-number", MIG_FD_NUMBER, false, false },
    { "precopy/exec", MIG_EXEC, false, true },
    { "precopy/file", MIG_FILE, false, false },
    { "postcopy/unix", MIG_UNIX, true, true },
    { "postcopy/tcp", MIG_TCP, true, false },
    { "postcopy/fd", MIG_FD, true, true },
    { "postcopy/fd-number", MIG_FD_NUMBER, true, false },
    { "postcopy/exec", MIG_EXEC_TWO_WAY, true, false },
};

static void move(GuestVm *from, GuestVm *to, const Case *c)
{
    if (c->postcopy) {
        mig_postcopy(from, to, c->channel, c->structured);
    } else {
        mig_precopy(from, to, c->channel, c->structured);
    }
    guest_verify(to);
}

static void test_case(const void *opaque)
{
    const AccelCase *a = opaque;
    GuestConfig config = { .accel = a->accel };
    GuestVm *from, *to;

    if (guest_skip_accel(a->accel)) {
        return;
    }
    from = guest_start(&config);
    to = guest_start_incoming(&config);
    move(from, to, a->c);
    guest_quit(from);
    guest_quit(to);
}

/* To the other accelerator and back. */
static void test_cross(const void *opaque)
{
    const Case *c = opaque;
    GuestConfig kvm = { .accel = "kvm", .mib = 24 }, interp = { .accel = "interp", .mib = 24 };
    GuestVm *a, *b, *back;

    if (guest_skip_accel("kvm")) {
        return;
    }
    a = guest_start(&kvm);
    b = guest_start_incoming(&interp);
    move(a, b, c);
    guest_quit(a);
    back = guest_start_incoming(&kvm);
    move(b, back, c);
    guest_quit(b);
    guest_quit(back);
}

/*
 * The source dies in postcopy while a vCPU waits for a page: the destination keeps what it
 * has and says so, and still ends when it is told to.
 */
static void test_dead_source(const void *accel)
{
    GuestConfig config = { .accel = accel };
    GuestVm *from, *to;

    if (guest_skip_accel(accel)) {
        return;
    }
    from = guest_start(&config);
    to = guest_start_incoming(&config);
    mig_set_caps(from, "postcopy-ram", NULL);
    mig_set_caps(to, "postcopy-ram", NULL);
    mig_set_limits(from, 8 << 20, 1);
    mig_set_parameter(from, "max-postcopy-bandwidth", 1 << 20);
    mig_start(from, to, MIG_UNIX, false);
    mig_wait_status(from, "active");
    qtest_qmp_ok(from->s, "migrate-start-postcopy", NULL);
    mig_wait_status(from, "postcopy-active");
    guest_kill(from);
    mig_wait_status(to, "postcopy-paused");
    guest_quit(to);
}

/* All CPUs look at pages before and after, and found nothing wrong. */
static void check_cpus(GuestVm *vm, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        int64_t deadline = g_get_monotonic_time() + GUEST_TIMEOUT * G_USEC_PER_SEC;
        GuestCpu first, now;

        guest_cpu(vm, i, &first);
        do {
            g_assert_cmpint(g_get_monotonic_time(), <, deadline);
            guest_cpu(vm, i, &now);
        } while (now.visits < first.visits + 10);
        g_assert_cmpuint(now.errors, ==, 0);
    }
}

/* Four CPUs, two and two of which want the same pages. */
static void test_cpus(const void *opaque)
{
    const AccelCase *a = opaque;
    GuestConfig config = { .accel = a->accel, .cpus = 4, .mib = 24 };
    GuestVm *from, *to;

    if (guest_skip_accel(a->accel)) {
        return;
    }
    from = guest_start(&config);
    check_cpus(from, config.cpus);
    to = guest_start_incoming(&config);
    move(from, to, a->c);
    check_cpus(to, config.cpus);
    guest_quit(from);
    guest_quit(to);
}

int main(int argc, char **argv)
{
    static const char *const accels[] = { "kvm", "interp" };
    static AccelCase all[G_N_ELEMENTS(accels)][G_N_ELEMENTS(cases)];

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(accels); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(cases); j++) {
            g_autofree char *path = g_strdup_printf("/migration/guest/%s/%s", accels[i],
                                                    cases[j].name);
            all[i][j] = (AccelCase){ accels[i], &cases[j] };
            g_test_add_data_func(path, &all[i][j], test_case);
            if (cases[j].channel == MIG_UNIX) {
                g_autofree char *four = g_strconcat(path, "/4-cpus", NULL);
                g_test_add_data_func(four, &all[i][j], test_cpus);
            }
        }
    }
    g_test_add_data_func("/migration/guest/cross/precopy", &cases[0], test_cross);
    g_test_add_data_func("/migration/guest/cross/postcopy", &cases[6], test_cross);
    g_test_add_data_func("/migration/guest/kvm/dead-source", "kvm", test_dead_source);
    g_test_add_data_func("/migration/guest/interp/dead-source", "interp", test_dead_source);
    return g_test_run();
}
