/*
 * The userspace interrupt controllers and the interval timer, register by register
 * through qtest: 8259 pair, I/O APIC, local APIC, 8254.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "libqtest.h"

#define APIC 0xfee00000u
#define IOAPIC 0xfec00000u
#define PIT_PERIOD_NS 1000000

static QTestState *start(void)
{
    return qtest_init("-machine q35 -m 16M -nodefaults -serial null");
}

/* ---- 8259 ---- */

static void pic_setup(QTestState *s, uint8_t master_mask, uint8_t slave_mask)
{
    qtest_outb(s, 0x20, 0x11);
    qtest_outb(s, 0x21, 0x20);
    qtest_outb(s, 0x21, 0x04);
    qtest_outb(s, 0x21, 0x01);
    qtest_outb(s, 0xa0, 0x11);
    qtest_outb(s, 0xa1, 0x28);
    qtest_outb(s, 0xa1, 0x02);
    qtest_outb(s, 0xa1, 0x01);
    qtest_outb(s, 0x21, master_mask);
    qtest_outb(s, 0xa1, slave_mask);
}

static uint8_t pic_irr(QTestState *s, uint16_t port)
{
    qtest_outb(s, port, 0x0a);
    return qtest_inb(s, port);
}

static uint8_t pic_isr(QTestState *s, uint16_t port)
{
    qtest_outb(s, port, 0x0b);
    return qtest_inb(s, port);
}

/* Poll command: what an acknowledge cycle would get. */
static uint8_t pic_poll(QTestState *s, uint16_t port)
{
    qtest_outb(s, port, 0x0c);
    return qtest_inb(s, port);
}

/* The UART asks for an interrupt as soon as it may say that it can transmit. */
static void serial_raise(QTestState *s)
{
    qtest_outb(s, 0x3fc, 0x08);
    qtest_outb(s, 0x3f9, 0x02);
}

static void serial_lower(QTestState *s)
{
    qtest_outb(s, 0x3f9, 0x00);
}

static void test_pic(void)
{
    QTestState *s = start();

    pic_setup(s, 0x00, 0x00);
    g_assert_cmphex(qtest_inb(s, 0x21), ==, 0x00);
    g_assert_cmphex(pic_poll(s, 0x20), ==, 0x00);
    serial_raise(s);
    g_assert_cmphex(pic_irr(s, 0x20) & 0x10, ==, 0x10);
    /* Masked: requested, but not offered. */
    qtest_outb(s, 0x21, 0x10);
    g_assert_cmphex(pic_poll(s, 0x20), ==, 0x00);
    qtest_outb(s, 0x21, 0x00);
    g_assert_cmphex(pic_poll(s, 0x20), ==, 0x84);
    g_assert_cmphex(pic_isr(s, 0x20), ==, 0x10);
    g_assert_cmphex(pic_irr(s, 0x20) & 0x10, ==, 0x00);
    /* In service: the same line is not offered again before its EOI. */
    serial_lower(s);
    serial_raise(s);
    g_assert_cmphex(pic_poll(s, 0x20), ==, 0x00);
    qtest_outb(s, 0x20, 0x20);
    g_assert_cmphex(pic_isr(s, 0x20), ==, 0x00);
    g_assert_cmphex(pic_poll(s, 0x20), ==, 0x84);
    qtest_quit(s);
}

static void test_pic_slave(void)
{
    QTestState *s = start();

    pic_setup(s, 0x00, 0x00);
    /* Periodic interrupt of the RTC: line 8, first of the slave. */
    qtest_outb(s, 0x70, 0x0a);
    qtest_outb(s, 0x71, 0x26);
    qtest_outb(s, 0x70, 0x0b);
    qtest_outb(s, 0x71, 0x42);
    qtest_clock_step(s, 2 * 1000000);
    g_assert_cmphex(pic_irr(s, 0xa0) & 1, ==, 1);
    g_assert_cmphex(pic_irr(s, 0x20) & 4, ==, 4);
    g_assert_cmphex(pic_poll(s, 0xa0), ==, 0x80);
    g_assert_cmphex(pic_isr(s, 0xa0), ==, 1);
    qtest_quit(s);
}

/* ---- 8254 ---- */

static void test_pit(void)
{
    QTestState *s = start();
    uint16_t count = PIT_PERIOD_NS / 1000 * 1193 / 1000, first, second;

    pic_setup(s, 0x00, 0x00);
    qtest_outb(s, 0x43, 0x34); /* channel 0, both bytes, mode 2 */
    qtest_outb(s, 0x40, count & 0xff);
    qtest_outb(s, 0x40, count >> 8);
    qtest_outb(s, 0x43, 0x00); /* latch */
    first = qtest_inb(s, 0x40);
    first |= qtest_inb(s, 0x40) << 8;
    qtest_clock_step(s, PIT_PERIOD_NS / 4);
    qtest_outb(s, 0x43, 0xc2); /* read back channel 0: count and status */
    g_assert_cmphex(qtest_inb(s, 0x40) & 0x3f, ==, 0x34);
    second = qtest_inb(s, 0x40);
    second |= qtest_inb(s, 0x40) << 8;
    g_assert_cmpuint(first, ==, count);
    g_assert_cmpuint(first - second, >=, count / 4 - 2);
    g_assert_cmpuint(first - second, <=, count / 4 + 2);
    while (pic_poll(s, 0x20) & 0x80) {
        qtest_outb(s, 0x20, 0x20);
    }
    qtest_clock_step(s, PIT_PERIOD_NS);
    g_assert_cmphex(pic_poll(s, 0x20), ==, 0x80);
    qtest_outb(s, 0x20, 0x20);
    qtest_quit(s);
}

static void test_pit_gate(void)
{
    QTestState *s = start();

    /* Channel 2 in mode 0: the output (port 0x61, bit 5) rises when the count runs out. */
    qtest_outb(s, 0x61, 0x01);
    qtest_outb(s, 0x43, 0xb0);
    qtest_outb(s, 0x42, 11932 & 0xff);
    qtest_outb(s, 0x42, 11932 >> 8);
    g_assert_cmphex(qtest_inb(s, 0x61) & 0x20, ==, 0);
    qtest_clock_step(s, 9 * 1000000);
    g_assert_cmphex(qtest_inb(s, 0x61) & 0x20, ==, 0);
    qtest_clock_step(s, 2 * 1000000);
    g_assert_cmphex(qtest_inb(s, 0x61) & 0x20, ==, 0x20);
    qtest_quit(s);
}

/* ---- APICs ---- */

static void apic_enable(QTestState *s)
{
    qtest_writel(s, APIC + 0xf0, 0x1ff);
}

static bool apic_irr(QTestState *s, int vector)
{
    return qtest_readl(s, APIC + 0x200 + (vector >> 5) * 0x10) >> (vector & 31) & 1;
}

static void ioapic_write(QTestState *s, uint8_t reg, uint32_t value)
{
    qtest_writel(s, IOAPIC, reg);
    qtest_writel(s, IOAPIC + 0x10, value);
}

static uint32_t ioapic_read(QTestState *s, uint8_t reg)
{
    qtest_writel(s, IOAPIC, reg);
    return qtest_readl(s, IOAPIC + 0x10);
}

static void test_ioapic(void)
{
    QTestState *s = start();

    g_assert_cmphex(ioapic_read(s, 1), ==, 0x00170011);
    g_assert_cmphex(ioapic_read(s, 0x10 + 2 * 4), ==, 0x00010000);
    apic_enable(s);
    serial_raise(s);
    g_assert_false(apic_irr(s, 0x44));
    serial_lower(s);
    ioapic_write(s, 0x10 + 2 * 4 + 1, 0);
    ioapic_write(s, 0x10 + 2 * 4, 0x44); /* fixed, edge, to APIC 0 */
    serial_raise(s);
    g_assert_true(apic_irr(s, 0x44));
    qtest_quit(s);
}

static void test_ioapic_level(void)
{
    QTestState *s = start();

    apic_enable(s);
    ioapic_write(s, 0x10 + 2 * 4 + 1, 0);
    ioapic_write(s, 0x10 + 2 * 4, 0x8045); /* level-triggered */
    serial_raise(s);
    g_assert_true(apic_irr(s, 0x45));
    g_assert_cmphex(ioapic_read(s, 0x10 + 2 * 4) & 0x4000, ==, 0x4000); /* remote IRR */
    qtest_quit(s);
}

static void test_apic_timer(void)
{
    QTestState *s = start();
    uint32_t now;

    apic_enable(s);
    qtest_writel(s, APIC + 0x3e0, 0xb);     /* divide by 1: a tick a nanosecond */
    qtest_writel(s, APIC + 0x320, 0x20050); /* periodic, vector 0x50 */
    qtest_writel(s, APIC + 0x380, 1000000);
    qtest_clock_step(s, 400000);
    now = qtest_readl(s, APIC + 0x390);
    g_assert_cmpuint(now, >=, 599000);
    g_assert_cmpuint(now, <=, 601000);
    g_assert_false(apic_irr(s, 0x50));
    qtest_clock_step(s, 700000);
    g_assert_true(apic_irr(s, 0x50));
    qtest_quit(s);
}

static void test_apic_self_ipi(void)
{
    QTestState *s = start();

    /* Software-disabled: nothing is accepted. */
    qtest_writel(s, APIC + 0x300, 0x40061);
    g_assert_false(apic_irr(s, 0x61));
    apic_enable(s);
    qtest_writel(s, APIC + 0x300, 0x40061);
    g_assert_true(apic_irr(s, 0x61));
    /* A vector below 16 is illegal and shows in the error status register. */
    qtest_writel(s, APIC + 0x300, 0x40005);
    g_assert_cmphex(qtest_readl(s, APIC + 0x280), ==, 0x20);
    qtest_writel(s, APIC + 0x280, 0);
    g_assert_cmphex(qtest_readl(s, APIC + 0x280), ==, 0);
    g_assert_cmphex(qtest_readl(s, APIC + 0x30), ==, 0x00050014);
    qtest_quit(s);
}

static void test_reset(void)
{
    QTestState *s = start();

    apic_enable(s);
    qtest_writel(s, APIC + 0x300, 0x40061);
    ioapic_write(s, 0x10, 0x33);
    qtest_qmp_ok(s, "system_reset", NULL);
    json_object_unref(qtest_event_wait(s, "RESET"));
    g_assert_false(apic_irr(s, 0x61));
    g_assert_cmphex(qtest_readl(s, APIC + 0xf0), ==, 0xff);
    g_assert_cmphex(ioapic_read(s, 0x10), ==, 0x00010000);
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/intc/i8259", test_pic);
    g_test_add_func("/intc/i8259/slave", test_pic_slave);
    g_test_add_func("/intc/i8254", test_pit);
    g_test_add_func("/intc/i8254/gate", test_pit_gate);
    g_test_add_func("/intc/ioapic/edge", test_ioapic);
    g_test_add_func("/intc/ioapic/level", test_ioapic_level);
    g_test_add_func("/intc/apic/timer", test_apic_timer);
    g_test_add_func("/intc/apic/self-ipi", test_apic_self_ipi);
    g_test_add_func("/intc/reset", test_reset);
    return g_test_run();
}
