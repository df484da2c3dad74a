/*
 * A guest that does disk I/O through a virtqueue without a pause, moved meanwhile: every page
 * that the device wrote, and every ring, must be at the other end what it was.
 * tests/guests/virtio.S is the guest, which checks itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "migration-pair.h"

#define ROUNDS_A_LAP 2 /* marks 'B' until every page was used once */
#define DISK_SIZE (1 << 20)

typedef struct Vm {
    QTestState *s;
    char *serial; /* file */
} Vm;

static char *make_disk(void)
{
    g_autofree char *image = NULL;
    g_autofree char *disk = g_malloc0(DISK_SIZE);
    char *path = NULL;
    size_t size;
    int fd = g_file_open_tmp("ferry-vdisk-XXXXXX", &path, NULL);

    g_assert_true(g_file_get_contents(g_getenv("FERRY_VIRTIO_IMAGE"), &image, &size, NULL));
    g_assert_cmpuint(size, ==, 512);
    memcpy(disk, image, size);
    g_assert_true(g_file_set_contents(path, disk, DISK_SIZE, NULL));
    g_close(fd, NULL);
    return path;
}

static Vm start(const char *accel, const char *disk, const char *more)
{
    static unsigned counter;
    Vm vm = { .serial = g_strdup_printf("%s.serial%u", disk, counter++) };

    vm.s = qtest_init_qmp("-machine pc -accel %s -m 8M -nodefaults -no-user-config "
                          "-serial file:%s -drive if=none,id=d,file=%s,format=raw "
                          "-device virtio-blk-pci,drive=d,addr=2 %s", accel, vm.serial, disk, more);
    return vm;
}

/* Wait until the guest has printed so many marks since it was here, and never complained. */
static void wait_marks(const Vm *vm, unsigned n)
{
    gint64 end = g_get_monotonic_time() + QTEST_TIMEOUT * G_USEC_PER_SEC;

    for (unsigned marks = 0; marks < n; g_usleep(20000)) {
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(vm->serial, &text, NULL, NULL));
        if (strchr(text, 'E')) {
            g_error("the guest found something wrong: '%s'", text);
        }
        marks = 0;
        for (const char *p = text; *p; p++) {
            marks += *p == 'B';
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

static void stop(Vm *vm)
{
    qtest_quit(vm->s);
    g_unlink(vm->serial);
    g_free(vm->serial);
}

static void begin(Vm *from, Vm *to, bool postcopy)
{
    g_autofree char *uri = qtest_path(to->s, "mig");

    if (postcopy) {
        migration_set_cap(from->s, "postcopy-ram");
        migration_set_cap(to->s, "postcopy-ram");
    }
    qtest_qmp_ok(from->s, "migrate-set-parameters", "{'max-bandwidth':1000000}");
    migration_set_cap(from->s, "events");
    migration_set_cap(to->s, "events");
    qtest_qmp_ok(to->s, "migrate-incoming", "{'uri':'unix:%s'}", uri);
    qtest_qmp_ok(from->s, "migrate", "{'uri':'unix:%s'}", uri);
    migration_wait_status(from->s, "active");
}

static void move(const char *accel, bool postcopy)
{
    g_autofree char *disk = make_disk();
    Vm from = start(accel, disk, "");
    Vm to = start(accel, disk, "-incoming defer");

    wait_marks(&from, ROUNDS_A_LAP + 1);
    begin(&from, &to, postcopy);
    if (postcopy) {
        qtest_qmp_ok(from.s, "migrate-start-postcopy", NULL);
        migration_wait_status(from.s, "postcopy-active");
        wait_marks(&to, 1);
    } else {
        wait_marks(&from, 2 * ROUNDS_A_LAP + 2); /* a lap while pages are sent */
    }
    qtest_qmp_ok(from.s, "migrate-set-parameters", "{'max-bandwidth':0}");
    migration_wait_status(from.s, "completed");
    wait_marks(&to, ROUNDS_A_LAP + 1);
    stop(&from);
    stop(&to);
    g_unlink(disk);
}

static void test_precopy(const void *accel)
{
    if (!strcmp(accel, "kvm") && !qtest_have_kvm()) {
        g_test_skip("no /dev/kvm");
        return;
    }
    move(accel, false);
}

static void test_postcopy(const void *accel)
{
    if (!strcmp(accel, "kvm") && !qtest_have_kvm()) {
        g_test_skip("no /dev/kvm");
        return;
    }
    move(accel, true);
}

/* While it is broken the guest's disk waits for pages, and the monitor answers all the same. */
static void test_paused(void)
{
    g_autofree char *disk = make_disk();
    Vm from = start("interp", disk, "");
    Vm to = start("interp", disk, "-incoming defer");
    g_autofree char *uri = qtest_path(to.s, "again");

    wait_marks(&from, ROUNDS_A_LAP + 1);
    begin(&from, &to, true);
    qtest_qmp_ok(from.s, "migrate-start-postcopy", NULL);
    migration_wait_status(from.s, "postcopy-active");
    qtest_qmp_ok(from.s, "migrate-pause", NULL);
    migration_wait_status(from.s, "postcopy-paused");
    for (unsigned i = 0; i < 10; i++) {
        g_usleep(30000);
        qtest_wait_run_state(to.s, "running");
    }
    qtest_qmp_ok(to.s, "migrate-recover", "{'uri':'unix:%s'}", uri);
    qtest_qmp_ok(from.s, "migrate", "{'uri':'unix:%s','resume':true}", uri);
    migration_wait_status(from.s, "postcopy-active");
    qtest_qmp_ok(from.s, "migrate-set-parameters", "{'max-bandwidth':0}");
    migration_wait_status(from.s, "completed");
    wait_marks(&to, ROUNDS_A_LAP + 1);
    stop(&from);
    stop(&to);
    g_unlink(disk);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/migration/virtio/precopy/interp", "interp", test_precopy);
    g_test_add_data_func("/migration/virtio/precopy/kvm", "kvm", test_precopy);
    g_test_add_data_func("/migration/virtio/postcopy/interp", "interp", test_postcopy);
    g_test_add_data_func("/migration/virtio/postcopy/kvm", "kvm", test_postcopy);
    g_test_add_func("/migration/virtio/postcopy/paused", test_paused);
    return g_test_run();
}
