/*
 * Unit tests of migration/state.c: every pair of states is legal or refused, and what
 * threads see of a change.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/state.h"
#include "util/util.h"

/* The legal moves, written out a second time: a change of the table must be meant. */
static const char *const source_moves[] = {
    "none>setup", "completed>setup", "failed>setup", "cancelled>setup", "setup>active",
    "setup>cancelling", "setup>failing", "active>completed", "active>device",
    "active>pre-switchover",
    "active>cancelling", "active>failing", "pre-switchover>device", "pre-switchover>cancelling",
    "pre-switchover>failing", "device>completed", "device>postcopy-device",
    "device>postcopy-active", "device>cancelling", "device>failing",
    "postcopy-device>postcopy-active", "postcopy-device>failing", "postcopy-device>postcopy-paused",
    "postcopy-paused>cancelling", "postcopy-active>completed",
    "postcopy-active>postcopy-paused", "postcopy-paused>postcopy-recover-setup",
    "postcopy-paused>completed",
    "postcopy-recover-setup>postcopy-recover", "postcopy-recover-setup>postcopy-paused",
    "postcopy-recover>postcopy-active", "postcopy-recover>postcopy-paused",
    "cancelling>cancelled", "failing>failed", NULL,
};
static const char *const destination_moves[] = {
    "none>setup", "setup>active", "setup>failed", "active>completed", "active>postcopy-device",
    "active>postcopy-active", "active>failed", "postcopy-device>postcopy-active",
    "postcopy-device>failed", "postcopy-active>completed", "postcopy-active>postcopy-paused",
    "postcopy-active>failed", "postcopy-paused>postcopy-recover", "postcopy-paused>failed",
    "postcopy-recover>postcopy-active", "postcopy-recover>postcopy-paused",
    "postcopy-recover>failed", NULL,
};

static MigState from_name(const char *name)
{
    MigState s;

    g_assert_true(mig_state_from_name(name, &s));
    return s;
}

/* A path of legal moves to `goal`; false when there is none. */
static bool walk(MigStateMachine *m, MigState goal, unsigned *seen)
{
    MigState here = mig_state_get(m);

    if (here == goal) {
        return true;
    }
    *seen |= 1u << here;
    for (int to = 0; to < MIG_STATE__MAX; to++) {
        if (!(*seen & (1u << to)) && mig_transition_find(m->side, here, to)) {
            MigStateMachine try = { .side = m->side };
            mig_state_init(&try, m->side, NULL, NULL);
            try.state = to;
            bool ok = walk(&try, goal, seen);
            mig_state_clear(&try);
            if (ok) {
                return true;
            }
        }
    }
    return false;
}

static void test_pairs(void)
{
    static const char *const *const moves[] = { source_moves, destination_moves };

    for (int side = 0; side < MIG_SIDE__MAX; side++) {
        for (int from = 0; from < MIG_STATE__MAX; from++) {
            for (int to = 0; to < MIG_STATE__MAX; to++) {
                g_autofree char *move = g_strdup_printf("%s>%s", mig_state_name(from),
                                                        mig_state_name(to));
                const MigTransition *t = mig_transition_find(side, from, to);
                g_test_message("%d %s %s", side, move, t ? t->why : "refused");
                g_assert_true((t != NULL) == g_strv_contains(moves[side], move));
                if (t) {
                    MigStateMachine m;
                    mig_state_init(&m, side, NULL, NULL);
                    m.state = from;
                    g_assert_true(state_advance(&m, from, to));
                    g_assert_cmpint(mig_state_get(&m), ==, to);
                    g_assert_true(t->thread[0] && t->why[0]);
                    mig_state_clear(&m);
                }
            }
        }
    }
}

static void test_reach(void)
{
    for (int side = 0; side < MIG_SIDE__MAX; side++) {
        for (int s = 0; s < MIG_STATE__MAX; s++) {
            MigStateMachine m;
            unsigned seen = 0;
            bool source_only = s == MIG_STATE_CANCELLING || s == MIG_STATE_CANCELLED ||
                               s == MIG_STATE_FAILING || s == MIG_STATE_PRE_SWITCHOVER ||
                               s == MIG_STATE_DEVICE || s == MIG_STATE_POSTCOPY_RECOVER_SETUP;
            bool expect = !(mig_state_attrs(s) & MIG_ATTR_UNUSED) &&
                          !(side == MIG_DST && source_only);
            mig_state_init(&m, side, NULL, NULL);
            g_assert_true(walk(&m, s, &seen) == expect);
            mig_state_clear(&m);
        }
    }
}

static void test_illegal_aborts(void)
{
    if (g_test_subprocess()) {
        MigStateMachine m;
        mig_state_init(&m, MIG_SRC, NULL, NULL);
        (void)!state_advance(&m, MIG_STATE_NONE, MIG_STATE_COMPLETED);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*illegal migration state change on the source: none -> completed*");
}

static void count_notify(MigSide side, MigState from, MigState to, void *opaque)
{
    GString *log = opaque;

    g_string_append_printf(log, "%s ", mig_state_name(to));
}

static void test_race(void)
{
    g_autoptr(GString) log = g_string_new(NULL);
    MigStateMachine m;
    MigState was;

    mig_state_init(&m, MIG_SRC, count_notify, log);
    g_assert_true(state_advance(&m, MIG_STATE_NONE, MIG_STATE_SETUP));
    g_assert_true(state_advance(&m, MIG_STATE_SETUP, MIG_STATE_ACTIVE));
    /* Cancel comes first: the migration thread's move fails and nothing is emitted. */
    g_assert_true(state_advance_any(&m, MIG_STATE_CANCELLING, &was));
    g_assert_cmpint(was, ==, MIG_STATE_ACTIVE);
    g_assert_false(state_advance(&m, MIG_STATE_ACTIVE, MIG_STATE_DEVICE));
    g_assert_false(state_advance_any(&m, MIG_STATE_CANCELLING, &was));
    g_assert_cmpint(was, ==, MIG_STATE_CANCELLING);
    g_assert_true(state_advance(&m, MIG_STATE_CANCELLING, MIG_STATE_CANCELLED));
    g_assert_cmpstr(log->str, ==, "setup active cancelling cancelled ");
    mig_state_clear(&m);
}

static void *waiter(void *opaque)
{
    MigState s = mig_state_wait(opaque, MIG_STATE_SETUP, G_MAXINT64);

    return GINT_TO_POINTER(s);
}

static void test_wait(void)
{
    MigStateMachine m;
    GThread *t;
    int64_t start;

    mig_state_init(&m, MIG_DST, NULL, NULL);
    g_assert_true(state_advance(&m, MIG_STATE_NONE, MIG_STATE_SETUP));
    start = g_get_monotonic_time();
    g_assert_cmpint(mig_state_wait(&m, MIG_STATE_SETUP, start + 20000), ==, MIG_STATE_SETUP);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 19000);
    g_assert_cmpint(mig_state_wait(&m, MIG_STATE_NONE, G_MAXINT64), ==, MIG_STATE_SETUP);

    t = g_thread_new("waiter", waiter, &m);
    g_usleep(5000);
    g_assert_true(state_advance(&m, MIG_STATE_SETUP, MIG_STATE_ACTIVE));
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(t)), ==, MIG_STATE_ACTIVE);

    /* A kick before the wait counts. */
    mig_state_kick(&m);
    g_assert_cmpint(mig_state_wait(&m, MIG_STATE_ACTIVE, G_MAXINT64), ==, MIG_STATE_ACTIVE);
    mig_state_clear(&m);
}

static void test_attributes(void)
{
    g_assert_false(mig_state_is_running(MIG_STATE_NONE));
    g_assert_true(mig_state_is_running(MIG_STATE_FAILING));
    g_assert_true(mig_state_is_postcopy(from_name("postcopy-paused")));
    g_assert_false(mig_state_is_postcopy(from_name("device")));
    for (int s = 0; s < MIG_STATE__MAX; s++) {
        /* What can be cancelled runs, and is not postcopy; what has ended does not run. */
        g_assert_true(!mig_state_can_cancel(s) ||
                      (mig_state_is_running(s) && !mig_state_is_postcopy(s)));
        g_assert_true(!mig_state_is_ended(s) || !mig_state_is_running(s));
        g_assert_true(!mig_state_can_cancel(s) ||
                      mig_transition_find(MIG_SRC, s, MIG_STATE_CANCELLING));
        g_assert_cmpint(from_name(mig_state_name(s)), ==, s);
    }
    MigState dummy;
    g_assert_false(mig_state_from_name("running", &dummy));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mig-state/pairs", test_pairs);
    g_test_add_func("/mig-state/reach", test_reach);
    g_test_add_func("/mig-state/illegal-aborts", test_illegal_aborts);
    g_test_add_func("/mig-state/race", test_race);
    g_test_add_func("/mig-state/wait", test_wait);
    g_test_add_func("/mig-state/attributes", test_attributes);
    return g_test_run();
}
