/*
 * Unit test of a whole PC without a running CPU: memory split, reset, boot sector.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>

#include "accel/accel.h"
#include "hw/block/block.h"
#include "hw/core/machine.h"
#include "hw/i386/x86.h"
#include "system/address-space.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "util/util.h"

static void test_split(void)
{
    g_assert_cmphex(x86_ram_below_4g(128 * MiB, false, 0), ==, 128 * MiB);
    g_assert_cmphex(x86_ram_below_4g(3 * GiB + 256 * MiB, false, 0), ==, 3 * GiB + 256 * MiB);
    g_assert_cmphex(x86_ram_below_4g(3 * GiB + 512 * MiB, false, 0), ==, 3 * GiB);
    g_assert_cmphex(x86_ram_below_4g(2 * GiB + 512 * MiB, true, 0), ==, 2 * GiB + 512 * MiB);
    g_assert_cmphex(x86_ram_below_4g(2 * GiB + 768 * MiB, true, 0), ==, 2 * GiB);
    g_assert_cmphex(x86_ram_below_4g(8 * GiB, true, 1 * GiB), ==, 1 * GiB);
    g_assert_cmphex(x86_ram_below_4g(512 * MiB, true, 1 * GiB), ==, 512 * MiB);
}

static void test_names(void)
{
    const MachineClass *pc = machine_class_by_name("pc"), *q35 = machine_class_by_name("q35");

    g_assert_cmpstr(pc->name, ==, "pc-i440fx-11.1");
    g_assert_cmpstr(q35->name, ==, "pc-q35-11.1");
    g_assert_true(pc->is_default && !q35->is_default);
    g_assert_nonnull(machine_class_by_name("pc-q35-4.2"));
    g_assert_nonnull(machine_class_by_name("pc-i440fx-7.2"));
    g_assert_null(machine_class_by_name("pc-i440fx-7.3"));
    g_assert_true(type_is_a(type_by_name("pc-q35-7.2-machine"), "generic-pc-machine"));
}

static MachineState *m;
static char *image;

static void check_refused(const char *name, const char *value)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(machine_set_property(m, name, value, &err));
    g_assert_nonnull(strstr(err->message, name));
}

static void test_properties(void)
{
    MACHINE_LOCK_GUARD();
    m = machine_new(machine_class_by_name("q35"));
    check_refused("hpet", "on");
    check_refused("smm", "on");
    check_refused("vmport", "on");
    check_refused("nvdimm", "on");
    check_refused("pcspk-audiodev", "snd0");
    check_refused("kernel-irqchip", "split");
    check_refused("max-ram-below-4g", "5G");
    g_assert_true(machine_set_property(m, "hpet", "off", NULL));
    g_assert_true(machine_set_property(m, "smm", "auto", NULL));
    g_assert_true(machine_set_property(m, "vmport", "off", NULL));
    g_assert_true(machine_set_property(m, "acpi", "on", NULL));
    g_assert_true(machine_set_property(m, "max-ram-below-4g", "16M", NULL));
}

static void test_no_disk(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;

    g_assert_true(accel_try_init("qtest", &err));
    g_assert_no_error(err);
    m->ram_size = 24 * MiB;
    m->smp = (SMPConfig){ 2, 2, 1, 1, 2, 1 };
    g_assert_true(machine_create(m, &err));
    g_assert_no_error(err);
    g_assert_true(machine_done(m, false, &err));
    CPUX86State *env = &X86_CPU(cpu_first())->env;
    g_assert_cmpint(env->halted, ==, 1);
    g_assert_nonnull(memory_find_ram(16 * MiB - 1));
    g_assert_null(memory_find_ram(16 * MiB));
    g_assert_nonnull(memory_find_ram(4 * GiB + 8 * MiB - 1));
    g_assert_null(memory_find_ram(4 * GiB + 8 * MiB));
    g_assert_cmpstr(m->ram->idstr, ==, "pc.ram");
    g_assert_true(object_resolve("/machine/unattached/device[0]", NULL) == &cpu_first()->obj);
    ioport_write(0x70, 0x34, 1);
    g_assert_cmphex(ioport_read(0x71, 1), ==, 0); /* nothing above 16 MiB */
    ioport_write(0x70, 0x5b, 1);
    g_assert_cmphex(ioport_read(0x71, 1), ==, 8 * 16);
    ioport_write(0x70, 0x5f, 1);
    g_assert_cmphex(ioport_read(0x71, 1), ==, 1);
}

static void write_image(bool bootable)
{
    uint8_t sector[512] = { 0xeb, 0xfe };

    sector[510] = bootable ? 0x55 : 0;
    sector[511] = 0xaa;
    FILE *f = fopen(image, "r+"); /* in place: the drive has it open */
    g_assert_cmpuint(fwrite(sector, 1, sizeof(sector), f), ==, sizeof(sector));
    fclose(f);
}

static void test_boot_sector(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;
    g_autoptr(JsonObject) drive = json_object_new();
    g_autoptr(JsonObject) hd = json_object_new();
    int fd = g_file_open_tmp("ferry-boot-XXXXXX", &image, NULL);
    uint8_t two[2];

    close(fd);
    write_image(true);
    m->created = false; /* as at start-up */
    json_object_set_string_member(drive, "file", image);
    json_object_set_string_member(drive, "if", "none");
    json_object_set_string_member(drive, "id", "d");
    json_object_set_boolean_member(drive, "readonly", TRUE);
    g_assert_true(drive_add(drive, &err));
    json_object_set_string_member(hd, "driver", "ide-hd");
    json_object_set_string_member(hd, "drive", "d");
    json_object_set_string_member(hd, "bus", "ide.1");
    json_object_set_int_member(hd, "unit", 1);
    g_assert_nonnull(device_add(hd, &err));
    g_assert_no_error(err);

    system_reset(SHUTDOWN_CAUSE_NONE);
    CPUX86State *env = &X86_CPU(cpu_first())->env;
    g_assert_cmpint(env->halted, ==, 0);
    g_assert_cmphex(env->segs[R_CS].base + env->eip, ==, 0x7c00);
    g_assert_cmphex(env->regs[R_EDX], ==, 0x80);
    g_assert_true(memory_read(0x7c00, two, 2));
    g_assert_cmphex(two[0], ==, 0xeb);
    g_assert_cmpint(X86_CPU(cpu_by_index(1))->env.halted, ==, 1);

    write_image(false);
    system_reset(SHUTDOWN_CAUSE_NONE);
    g_assert_cmpint(env->halted, ==, 1);

    /* Read-only holds: a write is aborted. */
    ioport_write(0x176, 0xf0, 1);
    ioport_write(0x172, 1, 1);
    ioport_write(0x177, 0x30, 1);
    g_assert_cmphex(ioport_read(0x177, 1) & 1, ==, 1);
    unlink(image);
    cpu_join_all();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    {
        MACHINE_LOCK_GUARD();
        main_loop_init();
    }
    g_test_add_func("/boot/split", test_split);
    g_test_add_func("/boot/names", test_names);
    g_test_add_func("/boot/properties", test_properties);
    g_test_add_func("/boot/no-disk", test_no_disk);
    g_test_add_func("/boot/sector", test_boot_sector);
    return g_test_run();
}
