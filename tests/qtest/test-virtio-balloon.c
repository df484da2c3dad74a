/*
 * virtio-balloon through qtest: memory that is really given back, what the monitor says,
 * statistics, and a move.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>

#include "virtio-rings.h"

#define SLOT(n) ((n) << 3)
#define MIB (1024 * 1024)
#define PC "-machine pc -m 32M -nodefaults -device virtio-balloon-pci,id=b,addr=4 "

enum { INFLATE, DEFLATE, STATS };
enum { NUM_PAGES = VC_DEVICE, ACTUAL = VC_DEVICE + 4 };

/* Resident memory of the emulator in KiB, all kinds. */
static long resident(QTestState *s)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)qtest_pid(s));
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return strtol(strstr(text, "VmRSS:") + 6, NULL, 10);
}

static void fill(QTestState *s, uint64_t from, unsigned mib)
{
    qtest_memset(s, from, 0xaa, mib * MIB);
}

/* Pages from..from+count into the balloon. */
static void inflate(Ring *r, uint64_t from, unsigned count)
{
    for (unsigned done = 0; done < count; done += 512) {
        uint32_t pfns[512];
        unsigned n = MIN(512, count - done);

        for (unsigned i = 0; i < n; i++) {
            pfns[i] = (from >> 12) + done + i;
        }
        ring_send(r, 0, pfns, n * 4);
        g_assert_cmpint(ring_take(r, NULL), ==, 0);
    }
}

static int64_t actual(QTestState *s)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-balloon", NULL);

    return json_object_get_int_member(info, "actual");
}

static void test_inflate(gconstpointer memory)
{
    QTestState *s = qtest_init(PC "%s", (const char *)memory);
    VDev d = vdev_at(s, 0, SLOT(4));
    Ring q[3];
    static const uint32_t wrong[] = { 0xffffffff, 0xfee00, 0xa0000 };

    rings_start(&d, 2, q, 3);
    fill(s, 8 * MIB, 16);
    qtest_qmp_ok(s, "balloon", "{'value': %d}", 16 * MIB);
    g_assert_cmpint(qtest_readl(s, d.bar + NUM_PAGES), ==, 16 * MIB / 4096);
    g_assert_cmphex(qtest_readb(s, d.bar + VC_ISR) & 2, ==, 2);
    long before = resident(s);
    inflate(&q[INFLATE], 8 * MIB, 16 * MIB / 4096);
    long after = resident(s);
    g_assert_cmpint(before - after, >, 14 * 1024);
    g_assert_cmphex(qtest_readb(s, 8 * MIB + 4096), ==, 0);
    qtest_writel(s, d.bar + ACTUAL, 16 * MIB / 4096);
    g_autoptr(JsonObject) event = qtest_event_wait(s, "BALLOON_CHANGE");
    g_assert_cmpint(json_object_get_int_member(json_object_get_object_member(event, "data"),
                                               "actual"), ==, 16 * MIB);
    g_assert_cmpint(actual(s), ==, 16 * MIB);
    /* Back again: the memory is there when it is touched. */
    ring_send(&q[DEFLATE], 0, "\0\x08\0\0", 4);
    ring_take(&q[DEFLATE], NULL);
    qtest_writeb(s, 8 * MIB, 0x55);
    g_assert_cmphex(qtest_readb(s, 8 * MIB), ==, 0x55);
    /* What is no memory is no harm. */
    ring_send(&q[INFLATE], 0, wrong, sizeof(wrong));
    ring_take(&q[INFLATE], NULL);
    ring_send(&q[INFLATE], 0, "abc", 3);
    ring_take(&q[INFLATE], NULL);
    qtest_writel(s, d.bar + ACTUAL, 0xffffffff);
    g_assert_cmpint(actual(s), ==, 0);
    qtest_qmp_ok(s, "balloon", "{'value': %d}", 64 * MIB);
    g_assert_cmpint(qtest_readl(s, d.bar + NUM_PAGES), ==, 0);
    g_autofree char *error = qtest_qmp_error(s, "balloon", "{'value': 0}");
    g_assert_nonnull(strstr(error, "expects a size"));
    g_autofree char *text = qtest_hmp(s, "info balloon");
    g_assert_cmpstr(text, ==, "balloon: actual=0\r\n");
    qtest_quit(s);
}

static void test_none(void)
{
    QTestState *s = qtest_init("-machine pc -m 16M -nodefaults");
    g_autofree char *error = qtest_qmp_error(s, "query-balloon", NULL);

    g_assert_true(g_str_has_prefix(error, "DeviceNotActive: "));
    qtest_quit(s);
}

/* ---- statistics ---- */

static int64_t stat_of(QTestState *s, const char *name, bool *ret_came)
{
    g_autoptr(JsonObject) top = qtest_qmp_object(s, "qom-get", "{'path': '/machine/peripheral/b', "
                                                 "'property': 'guest-stats'}");

    *ret_came = json_object_get_int_member(top, "last-update") != 0;
    return json_object_get_int_member(json_object_get_object_member(top, "stats"), name);
}

static void put_stats(Ring *r, uint64_t free_memory)
{
    struct __attribute__((packed)) {
        uint16_t tag;
        uint64_t value;
    } stats[] = { { 4, free_memory }, { 5, 32 * MIB }, { 999, 1 } };

    ring_send(r, 0, stats, sizeof(stats));
}

static void set_period(QTestState *s, int seconds)
{
    qtest_qmp_ok(s, "qom-set", "{'path': '/machine/peripheral/b', 'property': "
                 "'guest-stats-polling-interval', 'value': %d}", seconds);
}

static void test_stats(void)
{
    QTestState *s = qtest_init(PC);
    QTestState *dst = qtest_init(PC "-incoming defer");
    VDev d = vdev_at(s, 0, SLOT(4)), d2 = d;
    Ring q[3], q2[3];
    bool came;

    stat_of(s, "stat-free-memory", &came);
    g_assert_false(came);
    rings_start(&d, 2, q, 3);
    put_stats(&q[STATS], 12345);
    g_assert_cmpint(stat_of(s, "stat-free-memory", &came), ==, 12345);
    g_assert_true(came);
    g_assert_cmpint(stat_of(s, "stat-total-memory", &came), ==, 32 * MIB);
    g_assert_false(ring_used(&q[STATS])); /* it is kept until others are wanted */
    set_period(s, 10);
    qtest_clock_step(s, 1);
    g_assert_cmpint(ring_take(&q[STATS], NULL), ==, 0); /* the first question at once */
    put_stats(&q[STATS], 23456);
    qtest_clock_step(s, 9 * 1000000000LL);
    g_assert_false(ring_used(&q[STATS]));
    qtest_clock_step(s, 2 * 1000000000LL);
    ring_take(&q[STATS], NULL);
    put_stats(&q[STATS], 34567);
    g_autofree char *error = qtest_qmp_error(s, "qom-set", "{'path': '/machine/peripheral/b', "
                                             "'property': 'guest-stats-polling-interval', 'value': -1}");
    g_assert_nonnull(strstr(error, "from 0 to"));
    /* The buffer that is held now is still held after a move, and so is the balloon's size. */
    qtest_writel(s, d.bar + ACTUAL, 100);
    g_autofree char *path = qtest_path(dst, "mig.sock");
    set_period(dst, 5);
    qtest_qmp_ok(dst, "migrate-incoming", "{'uri': 'unix:%s'}", path);
    qtest_qmp_ok(s, "migrate", "{'uri': 'unix:%s'}", path);
    qtest_wait_run_state(s, "postmigrate");
    qtest_wait_run_state(dst, "running");
    d2.s = dst;
    rings_moved(q, &d2, q2, 3);
    g_assert_cmpint(actual(dst), ==, 32 * MIB - 100 * 4096);
    g_assert_cmpint(stat_of(dst, "stat-free-memory", &came), ==, 34567);
    g_assert_false(ring_used(&q2[STATS]));
    qtest_clock_step(dst, 6 * 1000000000LL);
    g_assert_cmpint(ring_take(&q2[STATS], NULL), ==, 0);
    put_stats(&q2[STATS], 45678);
    g_assert_cmpint(stat_of(dst, "stat-free-memory", &came), ==, 45678);
    qtest_quit(s);
    qtest_quit(dst);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtio-balloon/inflate/anonymous", "", test_inflate);
    g_test_add_data_func("/virtio-balloon/inflate/memfd",
                         "-object memory-backend-memfd,id=pc.ram,size=32M,share=on "
                         "-machine memory-backend=pc.ram", test_inflate);
    g_test_add_func("/virtio-balloon/none", test_none);
    g_test_add_func("/virtio-balloon/stats", test_stats);
    return g_test_run();
}
