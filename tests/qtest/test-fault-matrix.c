/*
 * Runs every cell of the fault matrix: a migration is brought into a state, struck, and what must hold
 * is checked.  FERRY_MATRIX_ACCEL=kvm|interp: with the running guest in every cell;
 * FERRY_MATRIX_CAPABILITY=multifd|postcopy-preempt: over more channels.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fault-driver.h"

typedef struct Cell {
    const char *state_name, *fault_name;
    MatrixState state;
    MatrixFault fault;
    MatrixOutcome outcome;
    const char *point, *accel;
} Cell;

static const Cell cells[] = {
#define X(state_, fault_, outcome_, point_, note_)                                               \
    { #state_, #fault_, MATRIX_##state_, MATRIX_##fault_, MATRIX_##outcome_, point_, NULL },
    MATRIX_CELLS(X)
#undef X
};

typedef struct Point {
    const char *name;
    bool at_source, postcopy;
    MatrixOutcome outcome;
} Point;

static const Point points[] = {
#define X(name_, side_, postcopy_, outcome_, note_)                                               \
    { name_, side_[0] == 's', postcopy_, MATRIX_##outcome_ },
    MATRIX_POINTS(X)
#undef X
};

/* A guest in these cells also when not in all; each is another way of moving memory. */
static const struct {
    MatrixState state;
    MatrixFault fault;
} with_guest[] = {
    { MATRIX_ACTIVE, MATRIX_CUT },    { MATRIX_DEVICE_END, MATRIX_CUT },
    { MATRIX_PC_DEVICE, MATRIX_CUT }, { MATRIX_PC_PROMISED, MATRIX_STALL },
    { MATRIX_PC_ACTIVE, MATRIX_CUT }, { MATRIX_PC_RECOVER, MATRIX_CUT },
};

static void run_cell(gconstpointer opaque)
{
    const Cell *c = opaque;
    Ends *e;

    if (c->accel && guest_skip_accel(c->accel)) {
        return;
    }
    e = ends_new(c->accel, c->fault == MATRIX_DISK_FULL && c->state < MATRIX_PC_DEVICE);
    ends_reach(e, c->state);
    ends_strike(e, c->state, c->fault);
    ends_expect(e, c->outcome);
    ends_free(e);
}

/* ---- one point ---- */

/* What is to be armed when; most act by themselves in the course of things. */
static const char *how_often(const Point *p)
{
    if (!strcmp(p->name, "channel-short")) {
        return ", 'times': 300";
    }
    if (!strcmp(p->name, "dst-pong")) {
        return ", 'after': 1, 'times': 0"; /* it answers once, so that the guest is stopped */
    }
    if (!strcmp(p->name, "thread") && p->at_source) {
        return ", 'after': 2"; /* behind those that the command itself makes */
    }
    return "";
}

static void run_point(gconstpointer opaque)
{
    const Point *p = opaque;
    Ends *e = ends_new(NULL, false);
    QTestState *s = p->at_source ? e->from : e->to;
    bool carry = !strcmp(p->name, "carry-read");
    bool resume = carry || !strcmp(p->name, "dst-resume-ack");
    bool running = !strcmp(p->name, "uffd-copy") || !strcmp(p->name, "src-last-page");

    if (!strcmp(p->name, "dst-pong")) {
        ends_set_timeout(e, 1000);
    }
    if (!p->postcopy) {
        ends_arm(s, p->name, "fail", how_often(p));
        ends_start(e);
        qtest_qmp_ok(e->from, "migrate-set-parameters",
                     "{'max-bandwidth': 0, 'downtime-limit': 2000}");
    } else if (resume) {
        ends_reach(e, MATRIX_PC_PAUSED);
        ends_arm(s, p->name, "fail", "");
        if (carry) {
            ends_carry(e);
        } else {
            ends_recover(e);
        }
        ends_wait_hit(s, p->name);
    } else {
        ends_reach(e, running ? MATRIX_PC_ACTIVE : MATRIX_ACTIVE);
        ends_arm(s, p->name, "fail", how_often(p));
        ends_let_go(e);
        if (!running) {
            qtest_qmp_ok(e->from, "migrate-start-postcopy", NULL);
        }
    }
    ends_expect(e, p->outcome);
    ends_free(e);
}

/* The process ends at a point, as its host would: what the other one does is a cell like any other. */
static void test_kill(gconstpointer point)
{
    bool promised = !strcmp(point, "dst-run");
    Ends *e = ends_new(NULL, false);

    ends_reach(e, MATRIX_ACTIVE);
    ends_arm(e->to, point, "kill", "");
    ends_let_go(e);
    qtest_qmp_ok(e->from, "migrate-start-postcopy", NULL);
    g_assert_cmpint(qtest_wait_exit(e->to), ==, 128 + 9);
    qtest_kill(g_steal_pointer(&e->to));
    ends_expect(e, promised ? MATRIX_DST_LOST : MATRIX_UNCONFIRMED_CANCEL);
    ends_free(e);
}

/* ---- the table itself ---- */

/* Every state meets every fault, once. */
static void test_complete(void)
{
    unsigned seen[MATRIX_PC_RECOVER + 1][MATRIX_MONITOR + 1] = { 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(cells); i++) {
        seen[cells[i].state][cells[i].fault]++;
    }
    for (unsigned s = 0; s <= MATRIX_PC_RECOVER; s++) {
        for (unsigned f = 0; f <= MATRIX_MONITOR; f++) {
            g_assert_cmpuint(seen[s][f], ==, 1);
        }
    }
}

static bool in_matrix(const char *point)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cells); i++) {
        if (!strcmp(cells[i].point, point)) {
            return true;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
        if (!strcmp(points[i].name, point)) {
            return true;
        }
    }
    return false;
}

/* A fault point that the matrix does not use must not exist; what -fault help lists is those. */
static void test_points(void)
{
    QTestState *s = qtest_init("-M none -m 1M -fault dst-pong,after=3,times=0");
    g_autoptr(JsonNode) node = qtest_qmp(s, "x-query-faults", NULL);
    JsonArray *list = json_node_get_array(node);
    g_autofree char *help = NULL, *err = NULL;

    g_assert_cmpint(qtest_run(&help, NULL, "-fault help"), ==, 0);
    for (guint i = 0; i < json_array_get_length(list); i++) {
        JsonObject *o = json_array_get_object_element(list, i);
        const char *name = json_object_get_string_member(o, "name");

        if (!in_matrix(name)) {
            g_error("nobody tests the fault point '%s'", name);
        }
        g_assert_nonnull(strstr(help, name));
        g_assert_cmpint(json_object_get_boolean_member(o, "armed"), ==, !strcmp(name, "dst-pong"));
    }
    err = qtest_qmp_error(s, "x-fault-set", "{'name': 'none'}");
    g_assert_nonnull(strstr(err, "'none'"));
    qtest_quit(s);
}

static void add_cell(const char *name, const Cell *c, const char *accel)
{
    Cell *copy = g_memdup2(c, sizeof(*c));

    copy->accel = accel;
    g_test_add_data_func_full(name, copy, run_cell, g_free);
}

static void add_cells(void)
{
    const char *all = g_getenv("FERRY_MATRIX_ACCEL");
    const char *some = qtest_have_kvm() ? "kvm" : "interp";

    for (unsigned i = 0; i < G_N_ELEMENTS(cells); i++) {
        const Cell *c = &cells[i];
        const char *part = c->state < MATRIX_PC_DEVICE ? "precopy" : "postcopy";
        g_autofree char *name = g_strdup_printf("/faults/%s/%s-%s", part, c->state_name,
                                                c->fault_name);

        if (c->outcome == MATRIX_IMPOSSIBLE) {
            continue;
        }
        add_cell(name, c, all);
        for (unsigned k = 0; !all && k < G_N_ELEMENTS(with_guest); k++) {
            if (with_guest[k].state == c->state && with_guest[k].fault == c->fault) {
                g_autofree char *guest = g_strdup_printf("/faults/guest/%s-%s", c->state_name,
                                                         c->fault_name);

                add_cell(guest, c, some);
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/faults/table/complete", test_complete);
    g_test_add_func("/faults/table/points", test_points);
    add_cells();
    for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
        g_autofree char *name = g_strdup_printf("/faults/point/%s-%s-%s", points[i].name,
                                                points[i].at_source ? "source" : "destination",
                                                points[i].postcopy ? "postcopy" : "precopy");

        g_test_add_data_func(name, &points[i], run_point);
    }
    g_test_add_data_func("/faults/kill/dst-promise", "dst-promise", test_kill);
    g_test_add_data_func("/faults/kill/dst-run", "dst-run", test_kill);
    return g_test_run();
}
