/*
 * Unit tests of what slows a guest down: the decisions as pure functions, and naps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/src-converge.h"
#include "system/cpu-throttle.h"
#include "system/dirty-limit.h"
#include "system/ramblock.h"
#include "util/util.h"

static const ConvergeRules usual = { .trigger = 50, .initial = 20, .increment = 10, .max = 99 };

static void test_judge(void)
{
    unsigned high = 0;

    /* Exactly the allowed part is fine. */
    g_assert_false(converge_judge(&usual, &high, 50, 100));
    g_assert_cmpuint(high, ==, 0);
    g_assert_false(converge_judge(&usual, &high, 51, 100));
    g_assert_true(converge_judge(&usual, &high, 51, 100));
    /* Two in a row; a slow one in between begins anew, and so does every answer. */
    g_assert_false(converge_judge(&usual, &high, 51, 100));
    g_assert_false(converge_judge(&usual, &high, 10, 100));
    g_assert_false(converge_judge(&usual, &high, 51, 100));
    g_assert_true(converge_judge(&usual, &high, 1, 0));
}

static void test_next(void)
{
    ConvergeRules r = usual;

    g_assert_cmpint(converge_next(&r, 0, 100, 100), ==, 20);
    g_assert_cmpint(converge_next(&r, 20, 100, 100), ==, 30);
    g_assert_cmpint(converge_next(&r, 95, 100, 100), ==, 99);
    g_assert_cmpint(converge_next(&r, 99, 100, 100), ==, 99);
    r.max = 15;
    g_assert_cmpint(converge_next(&r, 0, 100, 100), ==, 15);
}

static void test_tailslow(void)
{
    ConvergeRules r = usual;

    r.tailslow = true;
    /* 80 % of the time dirty 52, 50 are allowed: 76.9 % would fit, so 3 are enough. */
    g_assert_cmpint(converge_next(&r, 20, 52, 100), ==, 23);
    /* Never more than the increment. */
    g_assert_cmpint(converge_next(&r, 20, 1000, 100), ==, 30);
    g_assert_cmpint(converge_next(&r, 0, 1000, 100), ==, 20);
}

static void test_naps(void)
{
    g_assert_cmpint(cpu_throttle_nap_us(0), ==, 0);
    g_assert_cmpint(cpu_throttle_nap_us(50), ==, 10000);
    g_assert_cmpint(cpu_throttle_nap_us(99), ==, 990000);
    g_assert_cmpint(cpu_throttle_percent(), ==, 0);
    cpu_throttle_set(40);
    g_assert_cmpint(cpu_throttle_percent(), ==, 40);
    cpu_throttle_set(0);
    g_assert_cmpint(cpu_throttle_percent(), ==, 0);
}

static void test_account(void)
{
    DirtyAccount a = { 0 };
    uint64_t mib = MiB / TARGET_PAGE_SIZE;

    /* 8 MiB at 4 MiB/s are worth 2 s; half a second has passed. */
    g_assert_cmpint(dirty_account_nap_us(&a, 4, 8 * mib, 500000), ==, 1500000);
    /* Asked again later it is as much less. */
    g_assert_cmpint(dirty_account_nap_us(&a, 4, 8 * mib, 1900000), ==, 100000);
    /* Even: a new account.  Idle time before it is worth nothing. */
    g_assert_cmpint(dirty_account_nap_us(&a, 4, 8 * mib, 9000000), ==, 0);
    g_assert_cmpint(dirty_account_nap_us(&a, 4, 12 * mib, 9000000), ==, 1000000);
}

static void test_limit_refused(void)
{
    g_autoptr(Error) err = NULL;
    uint64_t limit, rate;

    g_assert_false(dirty_limit_supported(&err));
    g_assert_nonnull(strstr(err->message, "dirty-ring-size"));
    g_assert_false(dirty_limit_get(0, &limit, &rate));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/converge/judge", test_judge);
    g_test_add_func("/converge/next", test_next);
    g_test_add_func("/converge/tailslow", test_tailslow);
    g_test_add_func("/converge/naps", test_naps);
    g_test_add_func("/converge/limit/account", test_account);
    g_test_add_func("/converge/limit/refused", test_limit_refused);
    return g_test_run();
}
