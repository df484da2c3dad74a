/*
 * PCI and virtio devices through qtest: configuration space, queues, interrupts, a driver that
 * breaks the rules, and a move in the middle of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "virtio-driver.h"

#define SLOT(n) ((n) << 3)
#define ECAM 0xb0000000u
#define APIC 0xfee00000u
#define DISK_SECTORS 64

/* ---- PCI ---- */

static void test_config(void)
{
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults -device virtio-rng-pci,addr=4");

    g_assert_cmphex(pci_read(s, 0, 0, 0), ==, 0x12378086);
    g_assert_cmphex(pci_read(s, 0, SLOT(1), 0), ==, 0x70008086);
    g_assert_cmphex(pci_read(s, 0, SLOT(2), 0), ==, 0xffffffff);
    g_assert_cmphex(pci_read(s, 7, SLOT(4), 0), ==, 0xffffffff);
    g_assert_cmphex(pci_read(s, 0, SLOT(4), 0), ==, 0x10051af4);
    /* A byte at a time, and nothing while the enable bit is off. */
    g_assert_cmphex(qtest_inb(s, 0xcfd), ==, 0x1a);
    qtest_outl(s, 0xcf8, SLOT(4) << 8);
    g_assert_cmphex(qtest_inl(s, 0xcfc), ==, 0xffffffff);
    /* Sizes: what stays zero after all ones. */
    const struct { unsigned reg; uint32_t mask; } bars[] = {
        { 0x10, 0xffffffe1 }, { 0x14, 0xfffff000 }, { 0x18, 0 }, { 0x20, 0xffffc00c },
        { 0x24, 0xffffffff },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bars); i++) {
        uint32_t before = pci_read(s, 0, SLOT(4), bars[i].reg);

        pci_write(s, 0, SLOT(4), bars[i].reg, 0xffffffff);
        g_assert_cmphex(pci_read(s, 0, SLOT(4), bars[i].reg), ==, bars[i].mask);
        pci_write(s, 0, SLOT(4), bars[i].reg, before);
    }
    /* A BAR answers where it was put, and nowhere without decoding. */
    g_assert_cmphex(qtest_readw(s, vdev_at(s, 0, SLOT(4)).bar + VC_NUMQ), ==, 1);
    pci_write(s, 0, SLOT(4), 0x20, 0xf1230000);
    g_assert_cmphex(qtest_readw(s, 0xf1230000 + VC_NUMQ), ==, 1);
    pci_write(s, 0, SLOT(4), 0x24, 0x80); /* above 4 GiB */
    g_assert_cmphex(qtest_readw(s, 0x80f1230000 + VC_NUMQ), ==, 1);
    g_assert_cmphex(qtest_readw(s, 0xf1230000 + VC_NUMQ), ==, 0xffff);
    pci_write(s, 0, SLOT(4), 4, 0);
    g_assert_cmphex(qtest_readw(s, 0x80f1230000 + VC_NUMQ), ==, 0xffff);
    /* On top of another device's ports: that one has them. */
    pci_write(s, 0, SLOT(4), 0x10, 0x60);
    pci_write(s, 0, SLOT(4), 4, 1);
    g_assert_cmphex(qtest_inb(s, 0x64) & 0x10, ==, 0x10);
    /* A reset places everything anew. */
    qtest_qmp_ok(s, "system_reset", NULL);
    json_object_unref(qtest_event_wait(s, "RESET"));
    g_assert_cmphex(qtest_readw(s, vdev_at(s, 0, SLOT(4)).bar + VC_NUMQ), ==, 1);
    qtest_quit(s);
}

static void test_q35(void)
{
    QTestState *s = qtest_init("-machine q35 -m 16M -nodefaults "
                               "-device pcie-root-port,id=p1,addr=1.0,multifunction=on,port=8 "
                               "-device pcie-root-port,id=p2,addr=1.1,port=9 "
                               "-device virtio-rng-pci,bus=p2,id=r");
    g_autofree char *info = NULL;

    g_assert_cmphex(pci_read(s, 0, 0, 0), ==, 0x29c08086);
    g_assert_cmphex(pci_read(s, 0, SLOT(31), 0), ==, 0x29188086);
    g_assert_cmphex(pci_read(s, 1, 0, 0), ==, 0xffffffff);
    g_assert_cmphex(pci_read(s, 2, 0, 0), ==, 0x10441af4); /* modern only */
    g_assert_cmphex(qtest_readl(s, ECAM), ==, 0x29c08086);
    g_assert_cmphex(qtest_readl(s, ECAM + (2 << 20)), ==, 0x10441af4);
    g_assert_cmphex(qtest_readl(s, ECAM + (2 << 20) + 0x100), ==, 0);
    g_assert_cmphex(qtest_readb(s, ECAM + (2 << 20) + 2), ==, 0x44);
    VDev d = vdev_at(s, 2, 0);
    g_assert_cmphex(qtest_readw(s, d.bar + VC_NUMQ), ==, 1);
    /* The bridge decides what gets through. */
    uint32_t window = pci_read(s, 0, SLOT(1) | 1, 0x20);
    pci_write(s, 0, SLOT(1) | 1, 0x20, 0x0000fff0);
    g_assert_cmphex(qtest_readw(s, d.bar + VC_NUMQ), ==, 0xffff);
    pci_write(s, 0, SLOT(1) | 1, 0x20, window);
    vdev_start(&d, 0);
    pci_write(s, 0, SLOT(1) | 1, 0x3c, 0x40 << 16); /* reset of the bus behind */
    pci_write(s, 0, SLOT(1) | 1, 0x3c, 0);
    g_assert_cmphex(pci_read(s, 2, 0, 0x20), ==, 0xc);
    info = qtest_hmp(s, "info pci");
    g_assert_nonnull(strstr(info, "Bus  2, device   0, function 0:"));
    g_assert_nonnull(strstr(info, "id \"r\""));
    g_autoptr(JsonNode) pci = qtest_qmp(s, "query-pci", NULL);
    g_assert_cmpint(json_array_get_length(json_node_get_array(pci)), ==, 1);
    qtest_quit(s);
}

/* ---- random numbers ---- */

static void fill_random(VDev *d)
{
    uint8_t got[64], zero[64] = { 0 };
    uint32_t len;

    vq_desc(d, 0, VQ_DATA, sizeof(got), VQ_WRITE, 0);
    vq_offer(d, 0);
    vq_kick(d);
    g_assert_cmpint(vq_take(d, &len), ==, 0);
    g_assert_cmpint(len, ==, sizeof(got));
    qtest_memread(d->s, VQ_DATA, got, sizeof(got));
    g_assert_cmpint(memcmp(got, zero, sizeof(got)), !=, 0);
}

static void test_rng(void)
{
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults -object rng-random,id=o "
                               "-device virtio-rng-pci,rng=o");
    VDev d = vdev_at(s, 0, SLOT(2));
    unsigned line = pci_read(s, 0, SLOT(2), 0x3c) & 0xff;

    qtest_irq_intercept_in(s, "ioapic");
    vdev_start(&d, 0);
    fill_random(&d);
    g_assert_true(qtest_irq(s, line));
    g_assert_cmphex(pci_read(s, 0, SLOT(2), 4) >> 16 & 8, ==, 8);
    g_assert_cmphex(qtest_readb(s, d.bar + VC_ISR), ==, 1);
    g_assert_false(qtest_irq(s, line));
    g_assert_cmphex(qtest_readb(s, d.bar + VC_ISR), ==, 0);
    /* Disabled: no line, but the status says so; enabled again: the line. */
    pci_write(s, 0, SLOT(2), 4, 0x407);
    fill_random(&d);
    g_assert_false(qtest_irq(s, line));
    pci_write(s, 0, SLOT(2), 4, 0x007);
    g_assert_true(qtest_irq(s, line));
    /* Without the right to use memory a device leaves it alone. */
    pci_write(s, 0, SLOT(2), 4, 0x003);
    vq_offer(&d, 0);
    vq_kick(&d);
    g_assert_cmpint(qtest_readw(s, VQ_USED + 2), ==, d.seen);
    qtest_quit(s);
}

static void test_rng_limit(void)
{
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults "
                               "-device virtio-rng-pci,max-bytes=100,period=1000");
    VDev d = vdev_at(s, 0, SLOT(2));
    uint32_t len;

    vdev_start(&d, 0);
    fill_random(&d);
    vq_offer(&d, 0);
    vq_offer(&d, 0);
    vq_kick(&d);
    vq_take(&d, &len);
    g_assert_cmpint(len, ==, 36); /* the rest of this second's */
    qtest_clock_step(s, 1000000000);
    vq_take(&d, &len);
    g_assert_cmpint(len, ==, 64);
    qtest_quit(s);
}

static void test_msix(void)
{
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults -device virtio-rng-pci");
    VDev d = vdev_at(s, 0, SLOT(2));
    uint32_t table = pci_read(s, 0, SLOT(2), 0x14) & ~0xfu;

    qtest_writel(s, APIC + 0xf0, 0x1ff); /* APIC on */
    vdev_start(&d, 0);
    qtest_writel(s, table + 16, APIC);
    qtest_writel(s, table + 20, 0);
    qtest_writel(s, table + 24, 0x61);
    qtest_writew(s, d.bar + VC_QMSIX, 1);
    g_assert_cmphex(qtest_readw(s, d.bar + VC_QMSIX), ==, 1);
    pci_write(s, 0, SLOT(2), 0x98, 0x80000000); /* MSI-X on; the vector is masked */
    fill_random(&d);
    g_assert_cmphex(qtest_readl(s, APIC + 0x230) & 2, ==, 0);
    g_assert_cmphex(qtest_readl(s, table + 2048), ==, 2);
    qtest_writel(s, table + 28, 0);
    g_assert_cmphex(qtest_readl(s, APIC + 0x230) & 2, ==, 2); /* IRR of vector 0x61 */
    g_assert_cmphex(qtest_readl(s, table + 2048), ==, 0);
    qtest_writew(s, d.bar + VC_QMSIX, 2); /* no such vector */
    g_assert_cmphex(qtest_readw(s, d.bar + VC_QMSIX), ==, 0xffff);
    qtest_quit(s);
}

/* Registers of BAR 4 through configuration space. */
static void test_window(void)
{
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults -device virtio-rng-pci");
    unsigned cap = 0x84;

    g_assert_cmphex(pci_read(s, 0, SLOT(2), cap) >> 16, ==, 0x0514);
    pci_write(s, 0, SLOT(2), cap + 4, 4);
    pci_write(s, 0, SLOT(2), cap + 8, VC_STATUS);
    pci_write(s, 0, SLOT(2), cap + 12, 1);
    pci_write(s, 0, SLOT(2), cap + 16, 3);
    g_assert_cmphex(qtest_readb(s, vdev_at(s, 0, SLOT(2)).bar + VC_STATUS), ==, 3);
    g_assert_cmphex(pci_read(s, 0, SLOT(2), cap + 16) & 0xff, ==, 3);
    pci_write(s, 0, SLOT(2), cap + 8, 0xfffffffc); /* far outside */
    pci_write(s, 0, SLOT(2), cap + 12, 4);
    pci_write(s, 0, SLOT(2), cap + 16, 0);
    g_assert_cmphex(qtest_readb(s, vdev_at(s, 0, SLOT(2)).bar + VC_STATUS), ==, 3);
    qtest_quit(s);
}

/* ---- disk ---- */

static char *make_disk(void)
{
    g_autofree uint8_t *data = g_malloc(DISK_SECTORS * 512);
    char *path = NULL;
    int fd = g_file_open_tmp("ferry-vdisk-XXXXXX", &path, NULL);

    for (unsigned i = 0; i < DISK_SECTORS * 512; i++) {
        data[i] = i / 512;
    }
    g_assert_cmpint(write(fd, data, DISK_SECTORS * 512), ==, DISK_SECTORS * 512);
    close(fd);
    return path;
}

static void remove_disk(char *path)
{
    unlink(path);
    g_free(path);
}

static void check_disk(VDev *d)
{
    uint8_t buf[1024], id[20] = { 0 };

    g_assert_cmpint(qtest_readq(d->s, d->bar + VC_DEVICE), ==, DISK_SECTORS);
    g_assert_cmpint(vblk_request(d, 0, 7, buf, sizeof(buf), false), ==, 0);
    g_assert_cmpint(buf[0], ==, 7);
    g_assert_cmpint(buf[1023], ==, 8);
    memset(buf, 0xa5, sizeof(buf));
    g_assert_cmpint(vblk_request(d, 1, 9, buf, sizeof(buf), true), ==, 0);
    memset(buf, 0, sizeof(buf));
    g_assert_cmpint(vblk_request(d, 0, 10, buf, 512, false), ==, 0);
    g_assert_cmphex(buf[511], ==, 0xa5);
    g_assert_cmpint(vblk_request(d, 4, 0, NULL, 0, true), ==, 0);
    g_assert_cmpint(vblk_request(d, 8, 0, id, sizeof(id), false), ==, 0);
    g_assert_cmpstr((char *)id, ==, "S123");
    /* Beyond the end, no whole sectors, no such request. */
    g_assert_cmpint(vblk_request(d, 0, DISK_SECTORS - 1, buf, 1024, false), ==, 1);
    g_assert_cmpint(vblk_request(d, 1, DISK_SECTORS, buf, 512, true), ==, 1);
    g_assert_cmpint(vblk_request(d, 1, UINT64_MAX, buf, 512, true), ==, 1);
    g_assert_cmpint(vblk_request(d, 0, 0, buf, 513, false), ==, 1);
    g_assert_cmpint(vblk_request(d, 99, 0, buf, 512, false), ==, 2);
}

static void test_blk(void)
{
    char *disk = make_disk();
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults -drive if=none,id=d,file=%s,format=raw "
                               "-device virtio-blk-pci,drive=d,serial=S123,id=v", disk);
    VDev d = vdev_at(s, 0, SLOT(2));
    uint32_t seg[4] = { 20, 0, 2, 1 };
    uint8_t buf[1024];

    vdev_start(&d, 1 << 9 | 1 << 14);
    check_disk(&d);
    g_assert_cmpint(vblk_request(&d, 13, 0, seg, sizeof(seg), true), ==, 0);
    g_assert_cmpint(vblk_request(&d, 0, 20, buf, 1024, false), ==, 0);
    g_assert_cmpint(buf[0] | buf[1023], ==, 0);
    seg[2] = 1000;
    g_assert_cmpint(vblk_request(&d, 13, 0, seg, sizeof(seg), true), ==, 1);
    g_autoptr(JsonNode) block = qtest_qmp(s, "query-block", NULL);
    JsonObject *b = json_array_get_object_element(json_node_get_array(block), 0);
    g_assert_cmpstr(json_object_get_string_member(b, "qdev"), ==,
                    "/machine/peripheral/v/virtio-backend");
    g_autoptr(JsonNode) stats = qtest_qmp(s, "query-blockstats", NULL);
    JsonObject *st = json_object_get_object_member(
        json_array_get_object_element(json_node_get_array(stats), 0), "stats");
    g_assert_cmpint(json_object_get_int_member(st, "wr_bytes"), ==, 1024);
    g_assert_cmpint(json_object_get_int_member(st, "rd_operations"), ==, 4); /* boot sector */
    g_assert_cmpint(json_object_get_int_member(st, "flush_operations"), ==, 1);
    qtest_quit(s);
    remove_disk(disk);
}

/* The I/O ports of old drivers. */
static void test_blk_legacy(void)
{
    char *disk = make_disk();
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults -drive if=virtio,file=%s,format=raw",
                               disk);
    uint16_t io = pci_read(s, 0, SLOT(2), 0x10) & ~3u;
    uint32_t ring = 0x100000;

    g_assert_cmpint(qtest_inl(s, io + 20), ==, DISK_SECTORS);
    qtest_outb(s, io + 18, 3);
    g_assert_cmphex(qtest_inl(s, io) & 1 << 9, ==, 1 << 9);
    qtest_outl(s, io + 4, 1 << 9);
    qtest_outw(s, io + 14, 0);
    unsigned num = qtest_inw(s, io + 12);
    qtest_outl(s, io + 8, ring >> 12);
    qtest_outb(s, io + 18, 7);
    uint32_t avail = ring + 16 * num, used = (avail + 6 + 2 * num + 4095) & ~4095u;
    qtest_writel(s, VQ_DATA, 0);
    qtest_writeq(s, VQ_DATA + 8, 5);
    VDev d = { .s = s };
    vq_desc(&d, 0, VQ_DATA, 16, VQ_NEXT, 1);
    vq_desc(&d, 1, VQ_DATA + 0x1000, 512, VQ_NEXT | VQ_WRITE, 2);
    vq_desc(&d, 2, VQ_DATA + 0x20, 1, VQ_WRITE, 0);
    qtest_writew(s, avail + 4, 0);
    qtest_writew(s, avail + 2, 1);
    qtest_outw(s, io + 16, 0);
    g_assert_cmpint(qtest_readw(s, used + 2), ==, 1);
    g_assert_cmpint(qtest_readl(s, used + 8), ==, 513);
    g_assert_cmpint(qtest_readb(s, VQ_DATA + 0x1000), ==, 5);
    g_assert_cmphex(qtest_inb(s, io + 19), ==, 1);
    qtest_outl(s, io + 8, 0); /* reset */
    g_assert_cmphex(qtest_inb(s, io + 18), ==, 0);
    qtest_quit(s);
    remove_disk(disk);
}

static void test_hostile(void)
{
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults -device virtio-rng-pci");
    VDev d = vdev_at(s, 0, SLOT(2));

    vdev_start(&d, 0);
    for (unsigned i = 0; i < 3; i++) { /* again and again: one line in the log each */
        vq_desc(&d, 0, VQ_DATA, 4, VQ_WRITE | VQ_NEXT, 0);
        vq_offer(&d, 0);
        vq_kick(&d);
        g_assert_cmphex(qtest_readb(s, d.bar + VC_STATUS), ==, 15 | 64);
        g_assert_cmphex(qtest_readb(s, d.bar + VC_ISR), ==, 2);
        vq_kick(&d);
        g_assert_cmpint(qtest_readw(s, VQ_USED + 2), ==, 0);
        vdev_start(&d, 0);
    }
    fill_random(&d);
    g_autofree char *log = qtest_stderr(s);
    unsigned lines = 0;
    for (const char *p = log; (p = strstr(p, "form a loop")); p++) {
        lines++;
    }
    g_assert_cmpint(lines, ==, 3);
    qtest_quit(s);
}

/* ---- a move ---- */

static void move(QTestState *from, QTestState *to)
{
    g_autofree char *socket = qtest_path(to, "mig");

    qtest_qmp_ok(to, "migrate-incoming", "{'uri':'unix:%s'}", socket);
    qtest_qmp_ok(from, "migrate", "{'uri':'unix:%s'}", socket);
    json_object_unref(qtest_event_wait(to, "RESUME"));
    qtest_wait_run_state(to, "running");
}

static QTestState *disk_machine(const char *machine, const char *disk, const char *more)
{
    return qtest_init("-machine %s -m 16M -nodefaults -drive if=none,id=d,file=%s,format=raw "
                      "%s,drive=d,serial=S123,id=v %s", machine, disk,
                      g_str_equal(machine, "q35")
                          ? "-device pcie-root-port,id=p,addr=1 -device virtio-blk-pci,bus=p"
                          : "-device virtio-blk-pci", more);
}

/* A request waits in the queue of a stopped machine; the destination serves it. */
static void test_migrate(const void *machine)
{
    char *disk = make_disk();
    QTestState *from = disk_machine(machine, disk, "");
    QTestState *to = disk_machine(machine, disk, "-incoming defer");
    unsigned bus = g_str_equal(machine, "q35") ? 1 : 0;
    VDev d = vdev_at(from, bus, bus ? 0 : SLOT(2));
    uint8_t buf[512];

    vdev_start(&d, 1 << 9);
    g_assert_cmpint(vblk_request(&d, 0, 3, buf, 512, false), ==, 0);
    qtest_writeb(from, VQ_DATA + 0x1000, 0);
    qtest_qmp_ok(from, "stop", NULL);
    vq_offer(&d, 0); /* the same again, with nobody to see it */
    vq_kick(&d);
    g_assert_cmpint(qtest_readw(from, VQ_USED + 2), ==, 1);
    qtest_qmp_ok(from, "cont", NULL);
    g_assert_cmpint(qtest_readw(from, VQ_USED + 2), ==, 2);
    vq_take(&d, NULL);
    move(from, to);
    d.s = to;
    g_assert_cmphex(qtest_readb(to, d.bar + VC_STATUS), ==, 15);
    check_disk(&d);
    /* The disk is the destination's now. */
    g_autofree char *err = qtest_qmp_error(from, "cont", NULL);
    g_assert_nonnull(strstr(err, "Failed to get \"write\" lock"));
    qtest_quit(from);
    /* And back to where it began, from a reset of the device. */
    vdev_start(&d, 1 << 9);
    check_disk(&d);
    qtest_quit(to);
    remove_disk(disk);
}

/* A machine that was stopped before it left does not keep its disk either. */
static void test_migrate_stopped(void)
{
    char *disk = make_disk();
    QTestState *from = disk_machine("pc", disk, "");
    QTestState *to = disk_machine("pc", disk, "-incoming defer");
    g_autofree char *socket = qtest_path(to, "mig"), *err = NULL;

    qtest_qmp_ok(from, "stop", NULL);
    qtest_qmp_ok(to, "migrate-incoming", "{'uri':'unix:%s'}", socket);
    qtest_qmp_ok(from, "migrate", "{'uri':'unix:%s'}", socket);
    qtest_wait_run_state(to, "paused");
    qtest_wait_run_state(from, "postmigrate");
    qtest_qmp_ok(to, "cont", NULL);
    err = qtest_qmp_error(from, "cont", NULL);
    g_assert_nonnull(strstr(err, "Failed to get \"write\" lock"));
    qtest_quit(from);
    qtest_quit(to);
    remove_disk(disk);
}

static void test_locks(void)
{
    char *disk = make_disk();
    g_autofree char *err = NULL;
    QTestState *s = disk_machine("pc", disk, "");
    const char *drive = "-machine pc -m 16M -nodefaults -display none -S -accel qtest "
                        "-drive if=none,id=d,file=%s,format=raw%s -device virtio-blk-pci,drive=d%s";

    g_assert_cmpint(qtest_run(NULL, &err, drive, disk, "", ""), ==, 1);
    g_assert_nonnull(strstr(err, "Failed to get \"write\" lock"));
    g_clear_pointer(&err, g_free);
    g_assert_cmpint(qtest_run(NULL, &err, drive, disk, ",readonly=on", ""), ==, 1);
    g_assert_nonnull(strstr(err, "Failed to get shared \"write\" lock"));
    QTestState *other = qtest_init("-machine pc -nodefaults -drive if=none,id=d,file=%s,format=raw,"
                                   "locking=off -device virtio-blk-pci,drive=d", disk);
    qtest_quit(other);
    qtest_quit(s);
    /* Two that only read, and two that both say that they share. */
    for (unsigned i = 0; i < 2; i++) {
        const char *more = i ? ",share-rw=on" : "", *ro = i ? "" : ",readonly=on";

        s = qtest_init("-machine pc -nodefaults -drive if=none,id=d,file=%s,format=raw%s "
                       "-device virtio-blk-pci,drive=d%s", disk, ro, more);
        other = qtest_init("-machine pc -nodefaults -drive if=none,id=d,file=%s,format=raw%s "
                           "-device virtio-blk-pci,drive=d%s", disk, ro, more);
        qtest_quit(other);
        qtest_quit(s);
    }
    remove_disk(disk);
}

static void test_refused(void)
{
    const struct { const char *args, *want; } cases[] = {
        { "-device virtio-rng-pci,addr=20", "is not SLOT or SLOT.FUNCTION" },
        { "-device virtio-rng-pci,addr=1", "not available for virtio-rng-pci, in use by PIIX3" },
        { "-device virtio-rng-pci,bus=isa.0", "can't go on ISA bus" },
        { "-device virtio-rng-pci,rng=none", "no random number source has the id 'none'" },
        { "-device virtio-rng-pci,vectors=4000", "vectors=4000 is not 1 to 128" },
        { "-device virtio-blk-pci", "drive property not set" },
        { "-device virtio-blk-pci,drive=x", "can't find value 'x'" },
        { "-device virtio-rng-pci,disable-legacy=on,disable-modern=on", "neither modern nor" },
        { "-device pcie-root-port", "goes on bus 'pcie.0' of machine q35" },
        { "-device virtio-rng-pci,addr=3.1 -device virtio-rng-pci,addr=3.0 "
          "-device virtio-rng-pci,addr=3.2", "3.0 indicates single function" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *err = NULL;

        g_test_message("%s", cases[i].args);
        g_assert_cmpint(qtest_run(NULL, &err, "-machine pc -accel qtest -nodefaults -display none -S %s",
                                  cases[i].args), ==, 1);
        g_assert_nonnull(strstr(err, cases[i].want));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/config", test_config);
    g_test_add_func("/pci/q35", test_q35);
    g_test_add_func("/virtio/rng", test_rng);
    g_test_add_func("/virtio/rng-limit", test_rng_limit);
    g_test_add_func("/virtio/msix", test_msix);
    g_test_add_func("/virtio/window", test_window);
    g_test_add_func("/virtio/blk", test_blk);
    g_test_add_func("/virtio/blk-legacy", test_blk_legacy);
    g_test_add_func("/virtio/hostile", test_hostile);
    g_test_add_data_func("/virtio/migrate/pc", "pc", test_migrate);
    g_test_add_data_func("/virtio/migrate/q35", "q35", test_migrate);
    g_test_add_func("/virtio/migrate/stopped", test_migrate_stopped);
    g_test_add_func("/virtio/locks", test_locks);
    g_test_add_func("/virtio/refused", test_refused);
    return g_test_run();
}
