/*
 * Checkpoint and restart: a new program takes the guest over on the same host, with its
 * memory where it is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration-file-ram.h"
#include "migration-helpers.h"

#define MIB 32

static const char *usual(void)
{
    return qtest_have_kvm() ? "kvm" : "interp";
}

static void set_mode(QTestState *s, const char *mode)
{
    qtest_qmp_ok(s, "migrate-set-parameters", "{'mode': '%s'}", mode);
}

/* ---- cpr-reboot ---- */

/* Memory stays in its file; what is saved is small; the guest goes on in another program. */
static void test_reboot(gconstpointer accel)
{
    g_autofree char *dir = NULL, *mem = NULL, *path = NULL, *memory = NULL;
    GuestConfig c = { .accel = accel, .mib = MIB };
    GuestStatus before, after;
    struct stat st;

    if (guest_skip_accel(accel)) {
        return;
    }
    dir = g_strdup("/dev/shm/ferry-cpr-XXXXXX");
    g_assert_nonnull(g_mkdtemp(dir));
    mem = g_build_filename(dir, "mem", NULL);
    path = g_build_filename(dir, "state", NULL);
    memory = g_strdup_printf("-m %dM -machine memory-backend=m -object "
                             "memory-backend-file,id=m,size=%dM,mem-path=%s,share=on", MIB, MIB, mem);
    c.memory = memory;
    GuestVm *from = guest_start(&c);
    mig_set_caps(from, "x-ignore-shared", NULL);
    set_mode(from->s, "cpr-reboot");
    guest_status(from, &before);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'file:%s'}", path);
    mig_wait_status(from, "completed");
    qtest_wait_run_state(from->s, "postmigrate");
    g_assert_true(g_str_has_prefix(from->events->str, "setup active STOP "));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, <, 256 * 1024);
    guest_quit(from);

    GuestVm *to = guest_start_incoming(&c);
    mig_set_caps(to, "x-ignore-shared", NULL);
    set_mode(to->s, "cpr-reboot");
    qtest_qmp_ok(to->s, "migrate-incoming", "{'uri': 'file:%s'}", path);
    mig_wait_status(to, "completed");
    guest_wait_progress(to);
    guest_status(to, &after);
    g_assert_cmpuint(after.visits, >, before.visits);
    guest_verify(to);
    guest_quit(to);
    g_unlink(mem);
    g_unlink(path);
    g_rmdir(dir);
}

/* Memory that is not shared goes into the file, once. */
static void test_reboot_copied(void)
{
    GuestConfig c = { .accel = usual(), .mib = 24 };
    GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);

    mig_set_caps(from, NULL);
    mig_set_caps(to, NULL);
    set_mode(from->s, "cpr-reboot");
    set_mode(to->s, "cpr-reboot");
    mig_set_limits(from, 0, 300);
    mig_start(from, to, MIG_FILE, false);
    mig_wait_status(to, "completed");
    g_assert_cmpint(mig_ram_stat(from, "normal") + mig_ram_stat(from, "duplicate"), ==,
                    24 * 256);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

/* When it cannot be written the guest goes on. */
static void test_reboot_failed(void)
{
    GuestConfig c = { .accel = usual(), .mib = 24 };
    GuestVm *from = guest_start(&c);

    mig_set_caps(from, NULL);
    set_mode(from->s, "cpr-reboot");
    mig_set_limits(from, 0, 300);
    g_string_truncate(from->events, 0);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'exec:head -c 1000000 > /dev/null'}");
    mig_collect(from, 1000);
    g_assert_nonnull(strstr(from->events->str, "STOP"));
    g_assert_nonnull(strstr(from->events->str, "RESUME"));
    g_assert_nonnull(strstr(from->events->str, "failed"));
    qtest_wait_run_state(from->s, "running");
    guest_verify(from);
    guest_quit(from);
}

static void test_refused(void)
{
    QTestState *s = qtest_init("-machine none -m 16M");

    mig_cap(s, "background-snapshot", true);
    set_mode(s, "cpr-reboot");
    g_autofree char *err = qtest_qmp_error(s, "migrate", "{'uri': 'file:/dev/null'}");
    g_assert_nonnull(strstr(err, "mode 'cpr-reboot'"));
    mig_cap(s, "background-snapshot", false);
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/cpr/reboot/kvm", "kvm", test_reboot);
    g_test_add_data_func("/cpr/reboot/interp", "interp", test_reboot);
    g_test_add_func("/cpr/reboot/copied", test_reboot_copied);
    g_test_add_func("/cpr/reboot/failed", test_reboot_failed);
    g_test_add_func("/cpr/refused", test_refused);
    return g_test_run();
}
