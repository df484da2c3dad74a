/*
 * Fault points: when they act, how they are named on the command line, and who waits at them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "util/fault.h"
#include "util/util.h"

static void test_names(void)
{
    for (int p = 0; p < FAULT__MAX; p++) {
        FaultPoint found;

        g_assert_true(fault_from_name(fault_name(p), &found));
        g_assert_cmpint(found, ==, p);
        g_assert_cmpuint(strlen(fault_what(p)), >, 10);
    }
}

/* Visits 1 to 12 of which these fail. */
static void check_pattern(FaultRule rule, const char *want)
{
    g_autoptr(GString) got = g_string_new(NULL);
    FaultStatus s;

    g_assert_true(fault_arm(FAULT_DST_PONG, &rule, NULL));
    for (int i = 0; i < 12; i++) {
        g_string_append_c(got, fault_point(FAULT_DST_PONG) ? 'x' : '.');
        g_assert_false(fault_point(FAULT_DST_SHUT));
    }
    g_assert_cmpstr(got->str, ==, want);
    fault_status(FAULT_DST_PONG, &s);
    g_assert_true(s.armed);
    g_assert_cmpuint(s.visits, ==, 12);
    fault_disarm(FAULT_DST_PONG);
    g_assert_false(fault_point(FAULT_DST_PONG));
    g_assert_cmpint(fault_armed, ==, 0);
}

static void test_rules(void)
{
    check_pattern((FaultRule)FAULT_RULE_DEFAULT, "x...........");
    check_pattern((FaultRule){ .after = 3, .every = 1, .times = 2 }, "...xx.......");
    check_pattern((FaultRule){ .after = 1, .every = 4, .times = 0 }, ".x...x...x..");
    check_pattern((FaultRule){ .every = 1, .times = 0 }, "xxxxxxxxxxxx");
}

static void test_option(void)
{
    static const struct {
        const char *arg, *error;
    } bad[] = {
        { "nothing", "there is no fault point 'nothing'" },
        { "thread,every=0", "'every' must be at least 1" },
        { "thread,action=explode", "action" },
        { "thread,often=1", "often" },
        { "thread,after=x", "after" },
    };
    FaultStatus s;

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Error) err = NULL;

        g_assert_false(fault_option(bad[i].arg, &err));
        g_assert_nonnull(strstr(err->message, bad[i].error));
    }
    g_assert_cmpint(fault_armed, ==, 0);
    g_assert_true(fault_option("thread,action=hold,after=7,every=2,times=0", NULL));
    fault_status(FAULT_NEW_THREAD, &s);
    g_assert_cmpint(s.rule.action, ==, FAULT_HOLD);
    g_assert_cmpuint(s.rule.after, ==, 7);
    g_assert_cmpuint(s.rule.every, ==, 2);
    g_assert_cmpuint(s.rule.times, ==, 0);
    fault_disarm(FAULT_NEW_THREAD);
}

static gpointer visit(gpointer opaque)
{
    g_assert_false(fault_point(FAULT_SRC_SETUP)); /* it held, that is all */
    g_atomic_int_set((int *)opaque, 1);
    return NULL;
}

static void test_hold(void)
{
    FaultRule rule = { .action = FAULT_HOLD, .every = 1, .times = 1 };
    int passed = 0;
    FaultStatus s;
    GThread *t;

    g_assert_true(fault_arm(FAULT_SRC_SETUP, &rule, NULL));
    t = g_thread_new("visitor", visit, &passed);
    do {
        g_usleep(1000);
        fault_status(FAULT_SRC_SETUP, &s);
    } while (!s.held);
    g_usleep(20000);
    g_assert_cmpint(g_atomic_int_get(&passed), ==, 0);
    fault_disarm(FAULT_SRC_SETUP);
    g_thread_join(t);
    g_assert_cmpint(passed, ==, 1);
    fault_status(FAULT_SRC_SETUP, &s);
    g_assert_cmpuint(s.held, ==, 0);
}

static void test_kill(void)
{
    FaultRule rule = { .action = FAULT_KILL, .every = 1, .times = 1 };

    if (g_test_subprocess()) {
        g_assert_true(fault_arm(FAULT_DST_RUN, &rule, NULL));
        fault_point(FAULT_DST_RUN);
        return; /* that would be a success */
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

static void test_resources(void)
{
    FaultRule rule = FAULT_RULE_DEFAULT;
    g_autoptr(Error) err = NULL, err2 = NULL;
    g_autofree char *p = NULL;

    g_assert_true(fault_arm(FAULT_ALLOC_WIRE, &rule, NULL));
    g_assert_null(alloc_from_wire(100, &err));
    g_assert_nonnull(strstr(err->message, "100 bytes"));
    p = alloc_from_wire(0, NULL); /* once is over */
    g_assert_nonnull(p);
    p = realloc_from_wire(p, 4096, NULL);
    g_assert_nonnull(p);
    fault_disarm(FAULT_ALLOC_WIRE);
    g_assert_true(fault_arm(FAULT_NEW_THREAD, &rule, NULL));
    g_assert_null(thread_try_start("none", visit, NULL, &err2));
    g_assert_nonnull(strstr(err2->message, "'none'"));
    fault_disarm(FAULT_NEW_THREAD);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fault/names", test_names);
    g_test_add_func("/fault/rules", test_rules);
    g_test_add_func("/fault/option", test_option);
    g_test_add_func("/fault/hold", test_hold);
    g_test_add_func("/fault/kill", test_kill);
    g_test_add_func("/fault/resources", test_resources);
    return g_test_run();
}
