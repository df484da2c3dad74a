/*
 * Unit tests of the blocktime statistics.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/blocktime.h"

#include <glib.h>

#define US 1000LL
#define PAGE 4096ULL

static void test_overlap(void)
{
    const int tids[] = { 100, 200 };
    Blocktime *bt = blocktime_new(tids, 2);
    BlocktimeReport r;

    blocktime_begin(bt, 5 * PAGE, 100, 10 * US);  /* vCPU 0: 10..50 */
    blocktime_begin(bt, 6 * PAGE, 200, 20 * US);  /* vCPU 1: 20..40 */
    blocktime_begin(bt, 6 * PAGE, 999, 25 * US);  /* another thread: 25..40 */
    blocktime_end(bt, 6 * PAGE, PAGE, 40 * US);
    blocktime_end(bt, 0, 6 * PAGE, 50 * US);
    blocktime_report(bt, &r);
    g_assert_cmpuint(r.faults, ==, 3);
    g_assert_cmpint(r.all_blocked_ns, ==, 20 * US);
    g_assert_cmpint(r.vcpu_blocked_ns[0], ==, 40 * US);
    g_assert_cmpint(r.vcpu_blocked_ns[1], ==, 20 * US);
    g_assert_cmpint(r.latency_ns, ==, 25 * US);
    g_assert_cmpint(r.non_vcpu_latency_ns, ==, 15 * US);
    g_assert_cmpint(r.vcpu_latency_ns[1], ==, 20 * US);
    g_assert_cmpuint(r.buckets[3], ==, 1); /* 15 us */
    g_assert_cmpuint(r.buckets[4], ==, 1); /* 20 us */
    g_assert_cmpuint(r.buckets[5], ==, 1); /* 40 us */
    blocktime_report_clear(&r);
    blocktime_free(bt);
}

/* An end without a begin counts nothing; waits in progress are not in the report. */
static void test_edges(void)
{
    const int tid = 7;
    Blocktime *bt = blocktime_new(&tid, 1);
    BlocktimeReport r;

    blocktime_end(bt, 0, 100 * PAGE, 5 * US);
    blocktime_begin(bt, 3 * PAGE, 7, 10 * US);
    blocktime_end(bt, 4 * PAGE, PAGE, 20 * US);
    blocktime_report(bt, &r);
    g_assert_cmpuint(r.faults, ==, 0);
    g_assert_cmpint(r.vcpu_blocked_ns[0], ==, 0);
    blocktime_report_clear(&r);
    /* Both ends of the histogram. */
    blocktime_end(bt, 3 * PAGE, PAGE, 10 * US);
    blocktime_begin(bt, 3 * PAGE, 7, 0);
    blocktime_end(bt, 3 * PAGE, PAGE, 3600LL * 1000000 * US);
    blocktime_report(bt, &r);
    g_assert_cmpuint(r.buckets[0], ==, 1);
    g_assert_cmpuint(r.buckets[BLOCKTIME_BUCKETS - 1], ==, 1);
    blocktime_report_clear(&r);
    blocktime_free(bt);
}

static void test_no_vcpus(void)
{
    Blocktime *bt = blocktime_new(NULL, 0);
    BlocktimeReport r;

    blocktime_begin(bt, 0, 1, 0);
    blocktime_end(bt, 0, PAGE, 8 * US);
    blocktime_report(bt, &r);
    g_assert_cmpuint(r.faults, ==, 1);
    g_assert_cmpint(r.all_blocked_ns, ==, 0);
    g_assert_cmpint(r.non_vcpu_latency_ns, ==, 8 * US);
    blocktime_report_clear(&r);
    blocktime_free(bt);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/blocktime/overlap", test_overlap);
    g_test_add_func("/blocktime/edges", test_edges);
    g_test_add_func("/blocktime/no-vcpus", test_no_vcpus);
    return g_test_run();
}
