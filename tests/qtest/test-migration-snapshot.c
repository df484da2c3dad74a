/*
 * background-snapshot: memory of one moment is written out while the guest goes on; a
 * machine that is started from it is as the guest was then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "migration-file-ram.h"
#include "migration-helpers.h"

#define MIB 32
#define BACKEND(kind) \
    "-m 24M -machine memory-backend=m -object memory-backend-" kind ",id=m,size=24M"

static uint64_t visits(GuestVm *vm)
{
    GuestStatus status;

    guest_status(vm, &status);
    return status.visits;
}

/* ---- known memory, written to from outside ---- */

static char *saved_copy(const FilePair *p)
{
    char *copy;
    gsize len;

    g_assert_true(g_file_get_contents(p->from_mem, &copy, &len, NULL));
    g_assert_cmpuint(len, ==, MIB << 20);
    return copy;
}

/*
 * While pages go out slowly, others far ahead are written to: each write waits for its
 * own page only.  What is restored is the memory as it was before all of them.
 */
static void test_overtake(gconstpointer channel)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *before = saved_copy(&p), *now = NULL;
    g_autofree char *path = file_pair_path(&p, "snapshot");
    g_autofree char *to = g_strdup_printf(strcmp(channel, "exec") ? "file:%s" : "exec:cat > %s", path);
    g_autofree char *from = g_strdup_printf("file:%s", path);
    g_autofree char *got = NULL;
    gsize len;

    mig_cap(p.from, "background-snapshot", true);
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 4194304}");
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", to);
    json_object_unref(mig_wait(p.from, "active"));
    qtest_wait_run_state(p.from, "running");
    for (int i = 0; i < 200; i++) {
        int64_t start = g_get_monotonic_time();

        qtest_memset(p.from, ((MIB << 20) - 4096ULL * (i * 31 % 4000 + 1)) & ~4095ULL, 0x5a, 64);
        g_assert_cmpint(g_get_monotonic_time() - start, <, G_USEC_PER_SEC);
    }
    g_autoptr(JsonObject) info = qtest_qmp_object(p.from, "query-migrate", NULL);
    g_assert_cmpstr(json_object_get_string_member(info, "status"), ==, "active");
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 0}");
    for (int i = 0; i < 400; i++) {
        qtest_memset(p.from, 4096ULL * (i * 17 % 8000), 0xa5, 4096);
    }
    json_object_unref(mig_wait(p.from, "completed"));
    qtest_wait_run_state(p.from, "running");
    g_autofree char *events = mig_events(p.from);
    g_assert_cmpstr(events, ==, "setup,active,STOP,RESUME,completed");

    file_pair_destination(&p, NULL, "none", from, "");
    json_object_unref(mig_wait(p.to, "completed"));
    qtest_wait_run_state(p.to, "running");
    g_assert_true(g_file_get_contents(p.to_mem, &got, &len, NULL));
    for (uint64_t at = 0; at < MIB << 20; at += 4096) {
        if (memcmp(got + at, before + at, 4096)) {
            g_error("0x%" G_GINT64_MODIFIER "x is not as it was", at);
        }
    }
    /* The test could fail: the source's memory is another by now. */
    now = saved_copy(&p);
    g_assert_cmpint(memcmp(now, before, MIB << 20), !=, 0);
    file_pair_free(&p);
}

/* ---- the running guest ---- */

static void test_guest(gconstpointer accel)
{
    GuestConfig c = { .accel = accel, .mib = MIB };
    uint64_t before, after, then;

    if (guest_skip_accel(accel)) {
        return;
    }
    GuestVm *from = guest_start(&c);
    g_autofree char *path = g_build_filename(from->dir, "snapshot", NULL);
    mig_set_caps(from, "background-snapshot", NULL);
    mig_set_limits(from, 64 << 20, 300);
    before = visits(from);
    g_string_truncate(from->events, 0);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'file:%s'}", path);
    mig_wait_status(from, "active");
    guest_wait_progress(from);
    mig_wait_status(from, "completed");
    after = visits(from);
    qtest_wait_run_state(from->s, "running");
    g_assert_cmpstr(from->events->str, ==, "setup active STOP RESUME completed");
    guest_wait_progress(from);
    guest_verify(from);

    GuestVm *to = guest_start_incoming(&c);
    mig_set_caps(to, NULL);
    qtest_qmp_ok(to->s, "stop", NULL);
    qtest_qmp_ok(to->s, "migrate-incoming", "{'uri': 'file:%s'}", path);
    mig_wait_status(to, "completed");
    then = visits(to);
    g_assert_cmpuint(then, >=, before);
    g_assert_cmpuint(then, <, after);
    qtest_qmp_ok(to->s, "cont", NULL);
    guest_wait_progress(to);
    guest_verify(to);
    g_unlink(path);

    /* The source can still move, and be saved again. */
    mig_set_limits(from, 0, 300);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'exec:cat > /dev/null'}");
    mig_wait_status(from, "completed");
    guest_quit(to);
    to = guest_start_incoming(&c);
    mig_set_caps(to, NULL);
    qtest_qmp_ok(from->s, "migrate-set-capabilities",
                 "{'capabilities': [{'capability': 'background-snapshot', 'state': false}]}");
    mig_precopy(from, to, MIG_UNIX, false);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

/* Straight into a machine that waits for it: then there are two of it. */
static void test_socket(gconstpointer memory)
{
    GuestConfig c = { .accel = qtest_have_kvm() ? "kvm" : "interp", .mib = 24, .memory = memory };
    GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);

    mig_set_caps(from, "background-snapshot", NULL);
    mig_set_caps(to, "background-snapshot", NULL);
    mig_set_limits(from, 0, 300);
    mig_start(from, to, MIG_UNIX, false);
    mig_wait_status(from, "completed");
    mig_wait_status(to, "completed");
    guest_verify(to);
    guest_verify(from);
    guest_quit(from);
    guest_quit(to);
}

static void test_cancel(void)
{
    GuestConfig c = { .accel = qtest_have_kvm() ? "kvm" : "interp", .mib = 24 };
    GuestVm *from = guest_start(&c), *to = guest_start_incoming(&c);

    mig_set_caps(from, "background-snapshot", NULL);
    mig_set_limits(from, 1 << 20, 300);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'exec:cat > /dev/null'}");
    mig_wait_status(from, "active");
    guest_wait_progress(from);
    qtest_qmp_ok(from->s, "migrate_cancel", NULL);
    mig_wait_status(from, "cancelled");
    guest_verify(from);
    /* A disk that is full: the guest does not notice. */
    mig_set_limits(from, 0, 300);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'file:/dev/full'}");
    mig_collect(from, 1000);
    g_assert_true(g_str_has_suffix(from->events->str, "failing failed"));
    guest_verify(from);
    qtest_qmp_ok(from->s, "migrate-set-capabilities",
                 "{'capabilities': [{'capability': 'background-snapshot', 'state': false}]}");
    mig_precopy(from, to, MIG_UNIX, false);
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
}

static void test_paused(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "snapshot");
    g_autofree char *uri = g_strdup_printf("file:%s", path);

    mig_cap(p.from, "background-snapshot", true);
    qtest_qmp_ok(p.from, "stop", NULL);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    json_object_unref(mig_wait(p.from, "completed"));
    qtest_wait_run_state(p.from, "paused");
    file_pair_destination(&p, NULL, "none", uri, "");
    json_object_unref(mig_wait(p.to, "completed"));
    qtest_wait_run_state(p.to, "paused");
    file_pair_compare(&p);
    file_pair_free(&p);
}

static void test_refused(void)
{
    QTestState *s = qtest_init("-machine none -m 16M");
    g_autofree char *dir = g_dir_make_tmp("ferry-snap-XXXXXX", NULL);
    g_autofree char *both = qtest_qmp_error(
        s, "migrate-set-capabilities",
        "{'capabilities': [{'capability': 'background-snapshot', 'state': true},"
        " {'capability': 'postcopy-ram', 'state': true}]}");

    g_assert_nonnull(strstr(both, "'background-snapshot' and 'postcopy-ram' cannot be on"));
    qtest_quit(s);
    /* Memory that userfaultfd does not know: a file on a disk. */
    s = qtest_init("-machine none,memory-backend=m -m 16M -object "
                   "memory-backend-file,id=m,size=16M,mem-path=%s/mem,share=on", dir);
    g_autofree char *file = qtest_qmp_error(
        s, "migrate-set-capabilities",
        "{'capabilities': [{'capability': 'background-snapshot', 'state': true}]}");
    if (!strstr(file, "capability 'background-snapshot': RAM block 'm'")) {
        g_error("it says: %s", file);
    }
    qtest_quit(s);
    g_autofree char *mem = g_build_filename(dir, "mem", NULL);
    g_unlink(mem);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/snapshot/overtake/file", "file", test_overtake);
    g_test_add_data_func("/snapshot/overtake/exec", "exec", test_overtake);
    g_test_add_data_func("/snapshot/guest/kvm", "kvm", test_guest);
    g_test_add_data_func("/snapshot/guest/interp", "interp", test_guest);
    g_test_add_data_func("/snapshot/socket/private", NULL, test_socket);
    g_test_add_data_func("/snapshot/socket/shared", BACKEND("ram,share=on"), test_socket);
    g_test_add_data_func("/snapshot/socket/memfd", BACKEND("memfd,share=on"), test_socket);
    g_test_add_data_func("/snapshot/socket/memfd-private", BACKEND("memfd,share=off"),
                         test_socket);
    g_test_add_func("/snapshot/cancel", test_cancel);
    g_test_add_func("/snapshot/paused", test_paused);
    g_test_add_func("/snapshot/refused", test_refused);
    return g_test_run();
}
