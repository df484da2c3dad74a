/*
 * The qtest protocol: every request, good and malformed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "libqtest.h"

static void check(QTestState *s, const char *command, const char *want)
{
    g_autofree char *got = qtest_command_raw(s, "%s", command);

    if (!g_pattern_match_simple(want, got)) {
        g_error("'%s' was answered with '%s', not '%s'", command, got, want);
    }
}

static void test_memory(void)
{
    QTestState *s = qtest_init("-M none -m 16M");
    uint8_t data[200000], back[200000];

    qtest_writeb(s, 0x1000, 0x12);
    qtest_writew(s, 0x1002, 0x3456);
    qtest_writel(s, 0x1004, 0x789abcde);
    qtest_writeq(s, 0x1008, 0x1122334455667788);
    g_assert_cmphex(qtest_readb(s, 0x1000), ==, 0x12);
    g_assert_cmphex(qtest_readw(s, 0x1002), ==, 0x3456);
    g_assert_cmphex(qtest_readl(s, 0x1004), ==, 0x789abcde);
    g_assert_cmphex(qtest_readq(s, 0x1008), ==, 0x1122334455667788);
    check(s, "read 0x1002 6", "OK 0x5634debc9a78");
    check(s, "write 0x2000 4 0x0102", "OK");
    check(s, "read 0x2000 4", "OK 0x01020000");
    check(s, "b64write 0x2000 3 AQID", "OK");
    check(s, "b64read 0x2000 3", "OK AQID");
    check(s, "readq 0x1008", "OK 0x1122334455667788");
    check(s, "readb 0x1000", "OK 0x0000000000000012");
    check(s, "memset 0x3000 0 0x55", "OK");
    qtest_memset(s, 0x3000, 0xaa, 0x1000);
    g_assert_cmphex(qtest_readq(s, 0x3ff8), ==, 0xaaaaaaaaaaaaaaaa);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + i / 256);
    }
    qtest_memwrite(s, 0x10003, data, sizeof(data));
    qtest_memread(s, 0x10003, back, sizeof(back));
    g_assert_cmpmem(data, sizeof(data), back, sizeof(back));
    qtest_quit(s);
}

static void test_malformed(void)
{
    QTestState *s = qtest_init("-M none -m 16M");

    check(s, "nonsense", "FAIL Unknown command 'nonsense'");
    check(s, "readb", "FAIL readb takes*");
    check(s, "readb x", "FAIL*not a number*");
    check(s, "readb -1", "FAIL*not a number*");
    check(s, "readb  0x1000", "FAIL*");
    check(s, "outb 0x10000 1", "FAIL*65535*");
    check(s, "inb 70000", "FAIL*");
    check(s, "read 0 0", "FAIL*");
    check(s, "read 0xffffffffffffffff 2", "FAIL*no such range*");
    check(s, "read 0 0xffffffffffff", "FAIL*");
    check(s, "write 0 4 12", "ERR invalid argument size");
    check(s, "write 0 4 0xzz", "FAIL*digit*");
    check(s, "b64write 0 4 !", "ERR*");
    check(s, "memset 0 4", "FAIL*");
    check(s, "clock_set -5", "FAIL*");
    check(s, "irq_intercept_in /nowhere", "FAIL Unknown device");
    check(s, "set_irq_in /nowhere unnamed-gpio-in 0 1", "FAIL Unknown device");
    check(s, "module_load a b", "FAIL*");
    check(s, "endianness", "OK little");
    check(s, "# comment\nqom-tests", "OK");
    check(s, "\n\nendianness", "OK little");
    qtest_quit(s);
}

static void test_clock(void)
{
    QTestState *s = qtest_init("-M none -m 1M");

    check(s, "clock_step 1000", "OK 1000");
    g_assert_cmpint(qtest_clock_set(s, 5000), ==, 5000);
    g_assert_cmpint(qtest_clock_step(s, 1), ==, 5001);
    check(s, "clock_set 10", "FAIL 5001");
    qtest_quit(s);
}

static void test_interrupts(void)
{
    QTestState *s = qtest_init("-M q35 -m 16 -S -serial null");

    check(s, "irq_intercept_in ioapic", "OK");
    check(s, "irq_intercept_in ioapic", "OK");
    check(s, "irq_intercept_out ioapic", "FAIL IRQ intercept already enabled");
    check(s, "irq_intercept_out ioapic name", "FAIL*named*");
    g_assert_false(qtest_irq(s, 9));
    check(s, "set_irq_in ioapic unnamed-gpio-in 9 1", "*");
    g_assert_true(qtest_irq(s, 9));
    check(s, "set_irq_in ioapic unnamed-gpio-in 1000 1", "FAIL*");
    check(s, "set_irq_in ioapic other 9 1", "FAIL*other*");
    /* A transmitter that is empty and may say so: COM1 raises line 4. */
    g_assert_false(qtest_irq(s, 4));
    qtest_outb(s, 0x3f9, 0x02);
    qtest_outb(s, 0x3fc, 0x08);
    g_assert_true(qtest_irq(s, 4));
    g_assert_cmphex(qtest_inb(s, 0x3fa) & 0x0f, ==, 0x02);
    g_assert_false(qtest_irq(s, 4));
    qtest_quit(s);
}

static void test_two_machines(void)
{
    QTestState *a = qtest_init("-M none -m 1M");
    QTestState *b = qtest_init("-M none -m 1M");

    qtest_writeb(a, 0, 1);
    qtest_writeb(b, 0, 2);
    g_assert_cmphex(qtest_readb(a, 0), ==, 1);
    g_assert_cmphex(qtest_readb(b, 0), ==, 2);
    qtest_quit(a);
    qtest_kill(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qtest/memory", test_memory);
    g_test_add_func("/qtest/malformed", test_malformed);
    g_test_add_func("/qtest/clock", test_clock);
    g_test_add_func("/qtest/interrupts", test_interrupts);
    g_test_add_func("/qtest/two-machines", test_two_machines);
    return g_test_run();
}
