/*
 * Unit tests of system/: RAMBlocks, address space, clock and timers, run states.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "system/address-space.h"
#include "system/clock.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "system/ramblock.h"
#include "system/runstate.h"
#include "util/bitmap.h"
#include "util/util.h"

static const RAMBlockOptions plain = { .fd = -1, .dump = true };

static void test_ramblock_order(void)
{
    g_autoptr(Error) err = NULL;
    RAMBlock *small = ramblock_new("small", 64 * KiB, &plain, &err);
    RAMBlock *big = ramblock_new("big", 1 * MiB, &plain, &err);
    RAMBlock *same = ramblock_new("same", 64 * KiB, &plain, &err);
    uint64_t off;

    g_assert_no_error(err);
    g_assert_true(ramblock_first() == big && big->next == small && small->next == same);
    g_assert_true(ramblock_by_name("same") == same);
    g_assert_true(ramblock_from_host(small->host + 100, &off) == small);
    g_assert_cmpuint(off, ==, 100);
    g_assert_null(ramblock_new("big", 4096, &plain, &err));
    g_assert_nonnull(strstr(err->message, "'big' exists already"));
    g_clear_error(&err);
    g_assert_null(ramblock_new("zero", 0, &plain, &err));
    ramblock_free(small);
    ramblock_free(same);
    ramblock_free(big);
    g_assert_null(ramblock_first());
}

static void check_discard(const RAMBlockOptions *opts)
{
    g_autoptr(Error) err = NULL;
    RAMBlock *rb = ramblock_new("r", 16 * TARGET_PAGE_SIZE, opts, &err);

    g_assert_no_error(err);
    memset(rb->host, 0xaa, rb->used_length);
    g_assert_true(ramblock_discard(rb, 4096, 8192, &err));
    g_assert_true(buffer_is_zero(rb->host + 4096, 8192));
    g_assert_cmpuint(rb->host[0], ==, 0xaa);
    g_assert_cmpuint(rb->host[3 * 4096], ==, 0xaa);
    g_assert_false(ramblock_discard(rb, 4096, 16 * TARGET_PAGE_SIZE, &err));
    g_clear_error(&err);
    g_assert_false(ramblock_discard(rb, 100, 4096, &err));
    ramblock_free(rb);
}

static void test_discard(void)
{
    RAMBlockOptions memfd = plain, shared = plain;

    memfd.memfd = true;
    shared.memfd = true;
    shared.shared = true;
    check_discard(&plain);
    check_discard(&memfd);
    check_discard(&shared);
}

static uint64_t last_value, last_offset;
static unsigned last_size;
static uint64_t test_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x1122334455667788ULL >> (8 * offset);
}
static void test_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    last_value = value;
    last_offset = offset;
    last_size = size;
}

static void test_address_space(void)
{
    static const IORegionOps ops = { test_read, test_write, 0, 4 };
    RAMBlock *rb = ramblock_new("r", 4 * TARGET_PAGE_SIZE, &plain, NULL);
    uint8_t buf[4096 * 5];

    memory_map_ram(0x10000, 0x2000, rb, 0, false);
    memory_map_ram(0x100000, 0x2000, rb, 0x2000, true);
    memory_map_io(0x20000, 0x100, "io", &ops, NULL);
    memset(buf, 0x5a, sizeof(buf));
    g_assert_true(dirty_log_start(NULL));
    g_assert_true(memory_write(0x10ffe, buf, 4));
    g_assert_cmpuint(bitmap_count(rb->dirty, 0, 4), ==, 2);
    g_assert_cmpuint(rb->host[0xffe], ==, 0x5a);
    g_assert_true(memory_write(0x100000, buf, 4)); /* ROM swallows */
    g_assert_cmpuint(rb->host[0x2000], ==, 0);
    g_assert_false(memory_read(0x11ffe, buf, 4));
    g_assert_cmpuint(buf[2], ==, 0xff);
    g_assert_cmphex(memory_load(0x20002, 2), ==, 0x5566);
    g_assert_cmphex(memory_load(0x20000, 8), ==, 0x1122334455667788ULL);
    memory_store(0x20010, 0x8877665544332211ULL, 8);
    g_assert_cmphex(last_value, ==, 0x88776655);
    g_assert_cmphex(last_offset, ==, 0x14);
    dirty_log_stop();
    ioport_map(0x3f8, 8, "port", &ops, NULL);
    g_assert_cmphex(ioport_read(0x3f8, 1), ==, 0x88);
    g_assert_cmphex(ioport_read(0x3f8, 4), ==, 0x55667788);
    g_assert_cmphex(ioport_read(0x3ff, 2), ==, 0xff11);
    g_assert_cmphex(ioport_read(0x80, 2), ==, 0xffff);
    ioport_unmap(0x3f8);
    memory_unmap(0x10000);
    memory_unmap(0x20000);
    memory_unmap(0x100000);
    g_assert_null(memory_find_ram(0x10000));
    ramblock_free(rb);
}

static int fired[3], n_fired;
static void fire(void *opaque)
{
    fired[n_fired++] = GPOINTER_TO_INT(opaque);
}

static void test_timers(void)
{
    Timer a, b, c;

    virtual_clock_set_manual();
    timer_init(&a, fire, GINT_TO_POINTER(1));
    timer_init(&b, fire, GINT_TO_POINTER(2));
    timer_init(&c, fire, GINT_TO_POINTER(3));
    timer_mod(&a, 300);
    timer_mod(&b, 100);
    timer_mod(&c, 200);
    g_assert_cmpint(virtual_clock_deadline(), ==, 100);
    timer_del(&c);
    timer_mod(&a, 150);
    g_assert_cmpint(virtual_clock_warp_to(160), ==, 160);
    g_assert_cmpint(n_fired, ==, 2);
    g_assert_cmpint(fired[0], ==, 2);
    g_assert_cmpint(fired[1], ==, 1);
    g_assert_cmpint(virtual_clock_deadline(), ==, -1);
}

static void test_runstate(void)
{
    RunState s;

    for (int i = 0; i < RUN_STATE__MAX; i++) {
        g_assert_true(run_state_from_name(run_state_name(i), &s));
        g_assert_cmpint(s, ==, i);
        g_assert_true(runstate_transition_legal(i, i));
    }
    g_assert_false(run_state_from_name("flying", &s));
    g_assert_true(runstate_transition_legal(RUN_STATE_RUNNING, RUN_STATE_FINISH_MIGRATE));
    g_assert_false(runstate_transition_legal(RUN_STATE_RUNNING, RUN_STATE_INMIGRATE));
    g_assert_false(runstate_transition_legal(RUN_STATE_POSTMIGRATE, RUN_STATE_INMIGRATE));
    g_assert_cmpint(runstate_get(), ==, RUN_STATE_PRELAUNCH);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    machine_lock();
    g_test_add_func("/system/ramblock/order", test_ramblock_order);
    g_test_add_func("/system/ramblock/discard", test_discard);
    g_test_add_func("/system/address-space", test_address_space);
    g_test_add_func("/system/timers", test_timers);
    g_test_add_func("/system/runstate", test_runstate);
    ret = g_test_run();
    machine_unlock();
    return ret;
}
