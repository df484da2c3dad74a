/*
 * Unit tests of hw/: UART, RTC, IDE disk and the small ports of a PC, through their
 * I/O ports, on a clock that the test moves.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>

#include "hw/block/ide.h"
#include "hw/char/serial.h"
#include "hw/core/machine.h"
#include "migration/stream-internal.h"
#include "system/address-space.h"
#include "system/clock.h"
#include "system/machine-lock.h"
#include "util/util.h"

static int irq_level[2];

static void irq_handler(void *opaque, int n, int level)
{
    irq_level[n] = level;
}

static uint8_t in8(uint16_t port)
{
    return ioport_read(port, 1);
}

static void out8(uint16_t port, uint8_t value)
{
    ioport_write(port, value, 1);
}

/* UART */

static SerialState uart;

static void uart_setup(void)
{
    static bool mapped;

    if (!mapped) {
        mapped = true;
        uart.irq = (IRQLine){ irq_handler, NULL, 0 };
        g_assert_true(serial_init(&uart, NULL));
        ioport_map(0x3f8, 8, "uart", &serial_io_ops, &uart);
    }
    serial_reset(&uart);
}

static void test_uart_registers(void)
{
    MACHINE_LOCK_GUARD();
    uart_setup();
    g_assert_cmphex(in8(0x3fd), ==, 0x60);
    g_assert_cmphex(in8(0x3fa), ==, 0x01);
    out8(0x3fb, 0x83);
    out8(0x3f8, 0x01);
    out8(0x3f9, 0x02);
    g_assert_cmphex(in8(0x3f8), ==, 0x01);
    g_assert_cmphex(in8(0x3f9), ==, 0x02);
    g_assert_cmphex(uart.divider, ==, 0x201);
    out8(0x3fb, 0x03);
    out8(0x3ff, 0x5a);
    g_assert_cmphex(in8(0x3ff), ==, 0x5a);
    out8(0x3f9, 0xff);
    g_assert_cmphex(in8(0x3f9), ==, 0x0f);
    g_assert_cmphex(in8(0x3fe) & 0xb0, ==, 0xb0);
}

static void test_uart_interrupts(void)
{
    MACHINE_LOCK_GUARD();
    uart_setup();
    out8(0x3f9, 0x02); /* transmitter empty: at once */
    g_assert_cmpint(irq_level[0], ==, 1);
    g_assert_cmphex(in8(0x3fa), ==, 0x02);
    g_assert_cmpint(irq_level[0], ==, 0); /* reading IIR acknowledges it */
    out8(0x3f8, 'x');
    g_assert_cmpint(irq_level[0], ==, 1);
    g_assert_cmphex(in8(0x3fd), ==, 0x60);
    out8(0x3f9, 0x00);
    g_assert_cmpint(irq_level[0], ==, 0);
}

static void test_uart_loopback(void)
{
    MACHINE_LOCK_GUARD();
    uart_setup();
    out8(0x3fc, 0x1f);
    g_assert_cmphex(in8(0x3fe) & 0xf0, ==, 0xf0);
    out8(0x3fc, 0x10);
    g_assert_cmphex(in8(0x3fe) & 0xf0, ==, 0x00);
    out8(0x3f9, 0x05);
    out8(0x3f8, 'a');
    g_assert_cmpint(irq_level[0], ==, 1);
    g_assert_cmphex(in8(0x3fa), ==, 0x04);
    g_assert_cmphex(in8(0x3fd) & 1, ==, 1);
    out8(0x3f8, 'b'); /* overrun: the first byte was not read */
    g_assert_cmphex(in8(0x3fa), ==, 0x06);
    g_assert_cmphex(in8(0x3fd) & 2, ==, 2);
    g_assert_cmphex(in8(0x3fd) & 2, ==, 0);
    g_assert_cmpint(in8(0x3f8), ==, 'b');
    g_assert_cmpint(irq_level[0], ==, 0);
}

static void test_uart_fifo(void)
{
    MACHINE_LOCK_GUARD();
    uart_setup();
    out8(0x3fa, 0x81); /* FIFOs on, interrupt at 8 bytes */
    g_assert_cmphex(in8(0x3fa), ==, 0xc1);
    out8(0x3fc, 0x10);
    out8(0x3f9, 0x01);
    for (int i = 0; i < 7; i++) {
        out8(0x3f8, i);
    }
    g_assert_cmpint(irq_level[0], ==, 0);
    virtual_clock_warp_to(virtual_clock_ns() + 10 * uart.char_time_ns);
    g_assert_cmphex(in8(0x3fa), ==, 0xcc); /* four characters' time without a read */
    g_assert_cmpint(in8(0x3f8), ==, 0);
    g_assert_cmpint(irq_level[0], ==, 0);
    out8(0x3f8, 7);
    out8(0x3f8, 8);
    g_assert_cmphex(in8(0x3fa), ==, 0xc4);
    for (int i = 1; i < 9; i++) {
        g_assert_cmpint(in8(0x3f8), ==, i);
    }
    g_assert_cmphex(in8(0x3fd) & 1, ==, 0);
    for (int i = 0; i < 17; i++) {
        out8(0x3f8, i);
    }
    g_assert_cmphex(in8(0x3fd) & 2, ==, 2);
    out8(0x3fa, 0x03); /* clear the receive FIFO */
    g_assert_cmphex(in8(0x3fd) & 1, ==, 0);
}

/* Saved state */

static GByteArray *save(const VMStateDescription *vmsd, void *opaque)
{
    g_autoptr(Error) err = NULL;
    Stream *out = stream_new_output_memory();
    size_t len;

    g_assert_true(vmstate_save(out, vmsd, opaque, &err));
    g_assert_no_error(err);
    const void *data = stream_memory_data(out, &len);
    GByteArray *copy = g_byte_array_append(g_byte_array_new(), data, len);
    stream_free(out);
    return copy;
}

static bool load(const VMStateDescription *vmsd, void *opaque, const void *data, size_t len)
{
    g_autoptr(Error) err = NULL;
    Stream *in = stream_new_input_memory(data, len);
    bool ok = vmstate_load(in, vmsd, opaque, vmsd->version_id, &err) &&
              stream_error(in, NULL) == 0;

    stream_free(in);
    return ok;
}

static void test_uart_save(void)
{
    /* What a stock emulator sends for a port after reset. */
    static const uint8_t stock[] = { 0, 12, 0, 0, 1, 0, 8, 0x60, 0xb0, 0, 0 };
    MACHINE_LOCK_GUARD();
    uart_setup();
    g_autoptr(GByteArray) idle = save(&vmstate_serial, &uart);
    g_assert_cmpmem(idle->data, idle->len, stock, sizeof(stock));

    out8(0x3fa, 0xc1);
    out8(0x3fc, 0x10);
    out8(0x3f9, 0x03);
    for (int i = 0; i < 5; i++) {
        out8(0x3f8, 'a' + i);
    }
    g_autoptr(GByteArray) busy = save(&vmstate_serial, &uart);
    serial_reset(&uart);
    g_assert_true(load(&vmstate_serial, &uart, busy->data, busy->len));
    g_assert_true(timer_pending(&uart.fifo_timeout_timer));
    g_assert_cmphex(in8(0x3fa), ==, 0xc2);
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(in8(0x3f8), ==, 'a' + i);
    }
    g_assert_cmphex(in8(0x3fd), ==, 0x60);
    g_assert_true(load(&vmstate_serial, &uart, stock, sizeof(stock)));
    g_assert_cmphex(in8(0x3fa), ==, 0x01);

    uint8_t bad[sizeof(stock)];
    memcpy(bad, stock, sizeof(bad));
    bad[7] = 0x20; /* a byte is being sent, but there is none */
    g_assert_false(load(&vmstate_serial, &uart, bad, sizeof(bad)));
    g_assert_false(load(&vmstate_serial, &uart, stock, sizeof(stock) - 1));
}

/* RTC */

static DeviceState *rtc;

static uint8_t cmos(uint8_t index)
{
    out8(0x70, index);
    return in8(0x71);
}

static void set_cmos(uint8_t index, uint8_t value)
{
    out8(0x70, index);
    out8(0x71, value);
}

static void test_rtc_time(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;

    g_assert_true(rtc_configure("2031-02-28T23:59:58", "vm", &err));
    rtc = device_create("mc146818rtc", &err);
    g_assert_no_error(err);
    int64_t start = virtual_clock_ns();
    virtual_clock_warp_to(ROUND_UP(start, NS_PER_SEC * 1) + NS_PER_SEC);
    device_class(rtc)->reset(rtc);
    set_cmos(11, 0x82); /* SET, 24 hours, BCD */
    set_cmos(0, 0x58);
    set_cmos(2, 0x59);
    set_cmos(4, 0x23);
    set_cmos(7, 0x28);
    set_cmos(8, 0x02);
    set_cmos(9, 0x32);
    set_cmos(0x32, 0x20);
    set_cmos(11, 0x02);
    g_assert_cmphex(cmos(0), ==, 0x58);
    virtual_clock_warp_to(virtual_clock_ns() + 2 * NS_PER_SEC);
    g_assert_cmphex(cmos(0), ==, 0x00);
    g_assert_cmphex(cmos(4), ==, 0x00);
    g_assert_cmphex(cmos(7), ==, 0x29); /* 2032 is a leap year */
    g_assert_cmphex(cmos(8), ==, 0x02);
    g_assert_cmphex(cmos(9), ==, 0x32);
    g_assert_cmphex(cmos(6), ==, 0x01); /* a Sunday */
    set_cmos(11, 0x04); /* binary, 12 hours */
    g_assert_cmphex(cmos(4), ==, 12);
    g_assert_cmphex(cmos(7), ==, 29);
    g_assert_cmphex(cmos(13), ==, 0x80);
    set_cmos(0x40, 0x77);
    g_assert_cmphex(cmos(0x40), ==, 0x77);
    set_cmos(11, 0x02);
}

static void test_rtc_interrupts(void)
{
    MACHINE_LOCK_GUARD();
    cmos(12);
    set_cmos(11, 0x12); /* update interrupts */
    virtual_clock_warp_to(virtual_clock_ns() + NS_PER_SEC);
    g_assert_cmphex(cmos(12) & 0x90, ==, 0x90);
    g_assert_cmphex(cmos(12), ==, 0);
    set_cmos(1, 0xc0); /* alarm: every second */
    set_cmos(3, 0xc0);
    set_cmos(5, 0xc0);
    set_cmos(11, 0x22);
    virtual_clock_warp_to(virtual_clock_ns() + NS_PER_SEC);
    g_assert_cmphex(cmos(12) & 0xa0, ==, 0xa0);
    set_cmos(5, 0x11); /* an hour that is not now */
    cmos(12);
    virtual_clock_warp_to(virtual_clock_ns() + NS_PER_SEC);
    g_assert_cmphex(cmos(12) & 0x20, ==, 0);
    set_cmos(10, 0x26); /* 1024 Hz */
    set_cmos(11, 0x42);
    virtual_clock_warp_to(virtual_clock_ns() + NS_PER_SEC / 1000);
    g_assert_cmphex(cmos(12) & 0xc0, ==, 0xc0);
    set_cmos(11, 0x02);
    g_assert_cmpint(virtual_clock_deadline(), ==, -1);
}

/* A periodic timer that is pending at rate 0, as no guest can make it, would never stop firing. */
static void test_rtc_hostile(void)
{
    MACHINE_LOCK_GUARD();
    const VMStateDescription *vmsd = device_class(rtc)->vmsd;
    enum { REG_A = 10, PERIODIC_TIMER = 128 + 1 + 28 };
    g_autoptr(GByteArray) body = NULL;
    int64_t now = virtual_clock_ns();

    set_cmos(10, 0x20);
    body = save(vmsd, rtc);
    g_assert_cmphex(body->data[REG_A], ==, 0x20);
    for (int i = 0; i < 8; i++) {
        g_assert_cmphex(body->data[PERIODIC_TIMER + i], ==, 0xff); /* not pending */
        body->data[PERIODIC_TIMER + i] = now >> (56 - 8 * i);
    }
    g_assert_true(load(vmsd, rtc, body->data, body->len));
    g_assert_cmpint(virtual_clock_warp_to(now + 1000), ==, now + 1000);
    set_cmos(10, 0x26);
}

/* IDE */

static char *disk_path;
static IDEChannel *ide;

static void ide_setup(void)
{
    g_autoptr(Error) err = NULL;
    g_autofree uint8_t *data = g_malloc0(100 * 512 + 7); /* not whole sectors */
    int fd = g_file_open_tmp("ferry-disk-XXXXXX", &disk_path, NULL);

    for (int i = 0; i < 100 * 512; i++) {
        data[i] = i / 512 + i;
    }
    memset(data + 100 * 512, 0xee, 7);
    g_assert_cmpint(write(fd, data, 100 * 512 + 7), ==, 100 * 512 + 7);
    close(fd);

    DeviceState *dev = device_new("isa-ide");
    g_assert_true(device_realize(dev, &err));
    object_unref(&dev->obj);
    ide = ide_channel(0);
    ide->irq = (IRQLine){ irq_handler, NULL, 1 };

    g_autoptr(JsonObject) drive = json_object_new();
    json_object_set_string_member(drive, "if", "none");
    json_object_set_string_member(drive, "id", "d0");
    json_object_set_string_member(drive, "format", "raw");
    json_object_set_string_member(drive, "file", disk_path);
    g_assert_true(drive_add(drive, &err));
    g_autoptr(JsonObject) hd = json_object_new();
    json_object_set_string_member(hd, "driver", "ide-hd");
    json_object_set_string_member(hd, "drive", "d0");
    json_object_set_string_member(hd, "id", "disk");
    json_object_set_int_member(hd, "bootindex", 1);
    g_assert_nonnull(device_add(hd, &err));
    g_assert_no_error(err);
    json_object_set_string_member(hd, "id", "disk2");
    g_assert_null(device_add(hd, NULL)); /* the drive is in use */
    g_assert_true(block_boot_disk() == block_backend_by_id("d0"));
}

static void ide_command(uint8_t cmd, uint32_t lba, uint8_t n)
{
    out8(0x1f2, n);
    out8(0x1f3, lba);
    out8(0x1f4, lba >> 8);
    out8(0x1f5, lba >> 16);
    out8(0x1f6, 0xe0 | lba >> 24);
    out8(0x1f7, cmd);
}

static void read_block(uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i += 2) {
        uint16_t w = ioport_read(0x1f0, 2);

        buf[i] = w;
        buf[i + 1] = w >> 8;
    }
}

static void test_ide_identify(void)
{
    MACHINE_LOCK_GUARD();
    uint16_t w[256];

    ide_setup();
    ide_command(0xec, 0, 0);
    g_assert_cmpint(irq_level[1], ==, 1);
    g_assert_cmphex(in8(0x3f6), ==, 0x58);
    g_assert_cmpint(irq_level[1], ==, 1); /* the alternate status keeps it */
    g_assert_cmphex(in8(0x1f7), ==, 0x58);
    g_assert_cmpint(irq_level[1], ==, 0);
    read_block((uint8_t *)w, 512);
    g_assert_cmphex(in8(0x1f7), ==, 0x50);
    g_assert_cmpint(w[60], ==, 101);
    g_assert_cmpint(w[100], ==, 101);
    g_assert_cmphex(w[83] & 0x400, ==, 0x400);
    g_assert_cmphex(w[27], ==, 'F' << 8 | 'E');
    out8(0x1f6, 0xf0); /* slave: nothing there */
    g_assert_cmphex(in8(0x1f7), ==, 0);
    out8(0x1f6, 0xe0);
}

static void test_ide_read(void)
{
    MACHINE_LOCK_GUARD();
    uint8_t buf[512 * 4];

    ide_command(0x20, 3, 2);
    for (int s = 0; s < 2; s++) {
        g_assert_cmphex(in8(0x1f7), ==, 0x58);
        read_block(buf, 512);
        for (int i = 0; i < 512; i++) {
            g_assert_cmphex(buf[i], ==, (uint8_t)(3 + s + i + 512 * (3 + s)));
        }
    }
    g_assert_cmphex(in8(0x1f7), ==, 0x50);
    ide_command(0x20, 100, 1); /* seven bytes, then zeros */
    read_block(buf, 512);
    g_assert_cmphex(buf[6], ==, 0xee);
    g_assert_cmphex(buf[7], ==, 0);
    ide_command(0x20, 101, 1);
    g_assert_cmphex(in8(0x1f7), ==, 0x51);
    g_assert_cmphex(in8(0x1f1), ==, 0x10);
    ide_command(0x20, 100, 2);
    g_assert_cmphex(in8(0x1f7) & 1, ==, 1);

    ide_command(0xc6, 0, 4);
    ide_command(0xc4, 10, 6); /* blocks of four and two sectors */
    read_block(buf, 2048);
    g_assert_cmphex(buf[512 * 3], ==, 13);
    g_assert_cmphex(in8(0x1f7), ==, 0x58);
    read_block(buf, 1024);
    g_assert_cmphex(buf[512], ==, 15);
    g_assert_cmphex(in8(0x1f7), ==, 0x50);
    ide_command(0xc6, 0, 3);
    g_assert_cmphex(in8(0x1f1), ==, 0x04);

    out8(0x1f2, 0); /* LBA48: the high bytes first */
    out8(0x1f3, 0);
    out8(0x1f4, 0);
    out8(0x1f5, 0);
    ide_command(0x24, 50, 1);
    read_block(buf, 512);
    g_assert_cmphex(buf[0], ==, 50);
    out8(0x3f6, 0x80);
    g_assert_cmphex(in8(0x1f3), ==, 0);
    out8(0x3f6, 0);
    g_assert_cmphex(in8(0x1f3), ==, 50);
}

static void test_ide_write(void)
{
    MACHINE_LOCK_GUARD();
    uint8_t sector[512], back[512];
    int fd = open(disk_path, O_RDONLY);

    in8(0x1f7);
    ide_command(0x30, 7, 1);
    g_assert_cmpint(irq_level[1], ==, 0); /* no interrupt before the data */
    for (int i = 0; i < 512; i += 4) {
        ioport_write(0x1f0, 0x01020304 + i, 4);
    }
    g_assert_cmpint(irq_level[1], ==, 1);
    g_assert_cmphex(in8(0x1f7), ==, 0x50);
    ide_command(0xe7, 0, 0);
    g_assert_cmphex(in8(0x1f7), ==, 0x50);
    g_assert_cmpint(pread(fd, sector, 512, 7 * 512), ==, 512);
    g_assert_cmphex(sector[0], ==, 0x04);
    g_assert_cmphex(sector[3], ==, 0x01);
    ide_command(0x20, 7, 1);
    read_block(back, 512);
    g_assert_cmpmem(back, 512, sector, 512);
    close(fd);
}

static void test_ide_reset(void)
{
    MACHINE_LOCK_GUARD();
    ide_command(0x20, 3, 2);
    out8(0x3f6, 0x06);
    g_assert_cmphex(in8(0x1f7), ==, 0x80);
    out8(0x3f6, 0x02);
    g_assert_cmphex(in8(0x1f7), ==, 0x50);
    g_assert_cmphex(in8(0x1f2), ==, 1);
    g_assert_cmphex(in8(0x1f4), ==, 0);
    ide_command(0xec, 0, 0); /* interrupts are off */
    g_assert_cmpint(irq_level[1], ==, 0);
    out8(0x3f6, 0);
    ide_command(0xa1, 0, 0);
    g_assert_cmphex(in8(0x1f1), ==, 0x04);
    ide_command(0x90, 0, 0);
    g_assert_cmphex(in8(0x1f1), ==, 1);
    unlink(disk_path);
    g_free(disk_path);
}

/* A read is under way: the other side hands out the rest of it. */
static void test_ide_save(void)
{
    MACHINE_LOCK_GUARD();
    uint8_t buf[512];

    ide_command(0x20, 20, 2);
    read_block(buf, 256);
    g_autoptr(GByteArray) busy = save(&vmstate_ide_channel, ide);
    read_block(buf, 256);
    ide_channel_reset(ide);
    g_assert_true(load(&vmstate_ide_channel, ide, busy->data, busy->len));
    read_block(buf, 256);
    g_assert_cmphex(buf[0], ==, (uint8_t)(20 + 512 * 20 + 256));
    g_assert_cmphex(in8(0x1f7), ==, 0x58);
    read_block(buf, 512);
    g_assert_cmphex(buf[0], ==, (uint8_t)(21 + 512 * 21));
    g_assert_cmphex(in8(0x1f7), ==, 0x50);
    for (size_t len = 0; len < busy->len; len += 97) {
        g_assert_false(load(&vmstate_ide_channel, ide, busy->data, len));
    }
    ide_channel_reset(ide);
}

/* A stream may not bring a drive into a state that it cannot be in. */
static void test_ide_hostile(void)
{
    MACHINE_LOCK_GUARD();
    const VMStateDescription *drive = NULL;
    IDEDrive d = ide->drives[0];

    for (const VMStateField *f = vmstate_ide_channel.fields; f->name; f++) {
        drive = f->vmsd ? f->vmsd : drive;
    }
    g_assert_true(drive->post_load(&d, 1, NULL));
    d.data_len = sizeof(d.buf) + 512;
    g_assert_false(drive->post_load(&d, 1, NULL));
    d.data_len = 512;
    d.data_pos = 513;
    g_assert_false(drive->post_load(&d, 1, NULL));
    d.data_pos = d.data_len = 0;
    d.sectors_left = 5;
    d.next_lba = 100;
    g_assert_false(drive->post_load(&d, 1, NULL));
    d.sectors_left = 0;
    d.mult_sectors = 17;
    g_assert_false(drive->post_load(&d, 1, NULL));
    d.mult_sectors = 16;
    d.blk = NULL;
    g_assert_false(drive->post_load(&d, 1, NULL));
}

static void test_ports(void)
{
    MACHINE_LOCK_GUARD();
    g_assert_nonnull(device_create("port92", NULL));
    g_assert_nonnull(device_create("acpi-pm", NULL));
    g_assert_nonnull(device_create("i8042", NULL));
    for (DeviceState *dev = device_first(); dev; dev = dev->next) {
        if (device_class(dev)->reset) {
            device_class(dev)->reset(dev);
        }
    }
    g_assert_cmphex(in8(0x92), ==, 2);
    g_assert_true(memory_get_a20());
    out8(0x92, 0);
    g_assert_false(memory_get_a20());
    out8(0x92, 2);
    uint32_t t0 = ioport_read(0x608, 4);
    virtual_clock_warp_to(virtual_clock_ns() + NS_PER_SEC);
    g_assert_cmpint((ioport_read(0x608, 4) - t0) & 0xffffff, ==, 3579545);
    out8(0x64, 0xaa);
    g_assert_cmphex(in8(0x64) & 1, ==, 1);
    g_assert_cmphex(in8(0x60), ==, 0x55);
    g_assert_cmphex(in8(0x64) & 1, ==, 0);
    g_assert_cmphex(ioport_read(0x604, 2), ==, 1);
    ioport_write(0x602, 0x0101, 2);
    g_assert_cmphex(in8(0x603), ==, 1);
    virtual_clock_warp_to(virtual_clock_ns() + 3 * NS_PER_SEC); /* bit 23 has changed */
    g_assert_cmphex(in8(0x600) & 1, ==, 1);
    ioport_write(0x600, 1, 2);
    g_assert_cmphex(in8(0x600) & 1, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    {
        MACHINE_LOCK_GUARD();
        virtual_clock_set_manual();
        bus_new("ISA", "isa.0");
    }
    g_test_add_func("/hw/uart/registers", test_uart_registers);
    g_test_add_func("/hw/uart/interrupts", test_uart_interrupts);
    g_test_add_func("/hw/uart/loopback", test_uart_loopback);
    g_test_add_func("/hw/uart/fifo", test_uart_fifo);
    g_test_add_func("/hw/uart/save", test_uart_save);
    g_test_add_func("/hw/rtc/time", test_rtc_time);
    g_test_add_func("/hw/rtc/interrupts", test_rtc_interrupts);
    g_test_add_func("/hw/rtc/hostile", test_rtc_hostile);
    g_test_add_func("/hw/ide/identify", test_ide_identify);
    g_test_add_func("/hw/ide/read", test_ide_read);
    g_test_add_func("/hw/ide/write", test_ide_write);
    g_test_add_func("/hw/ide/save", test_ide_save);
    g_test_add_func("/hw/ide/hostile", test_ide_hostile);
    g_test_add_func("/hw/ide/reset", test_ide_reset);
    g_test_add_func("/hw/ports", test_ports);
    return g_test_run();
}
