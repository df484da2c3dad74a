/*
 * Bringing two ends of a migration into a state, striking them, and checking what holds.  One thread,
 * besides the relay's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fault-driver.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "migration-pair.h"

#define DEADLINE_US (60 * G_USEC_PER_SEC)
/* So long threads that have nothing to do may take to end. */
#define SETTLE_US (10 * G_USEC_PER_SEC)
#define SLOW 4000000
#define BACKGROUND 65536
#define PEER_TIMEOUT_MS 1000
#define JUNK 64
/* Bytes after which a migration is well under way. */
#define ENOUGH 200000
/* Bytes of the PONG without which a source does not stop its guest. */
#define FIRST_ANSWER 8
/* So long a broken connection takes to be noticed by a thread that reads it, on a busy host. */
#define NOTICE_US 300000

/* ---- looking ---- */

static char *status_of(QTestState *s)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);

    return g_strdup(json_object_get_string_member_with_default(info, "status", "none"));
}

static bool runs(QTestState *s)
{
    g_autoptr(JsonObject) st = s ? qtest_qmp_object(s, "query-status", NULL) : NULL;

    return st && json_object_get_boolean_member(st, "running");
}

/* Never do both sides run the guest. */
static void check_not_both(Ends *e)
{
    if (runs(e->to) && runs(e->from)) {
        g_error("the guest runs on both sides");
    }
}

void ends_wait(QTestState *s, const char *status)
{
    int64_t until = g_get_monotonic_time() + DEADLINE_US;

    for (;;) {
        g_autofree char *now = status_of(s);

        if (!strcmp(now, status)) {
            return;
        }
        if (g_get_monotonic_time() > until) {
            g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);
            g_autofree char *err = qtest_stderr(s);

            g_error("the migration is '%s' (%s) and not '%s'; stderr: %s", now,
                    json_object_get_string_member_with_default(info, "error-desc", "no error"),
                    status, err);
        }
        g_usleep(2000);
    }
}

static int64_t point_member(QTestState *s, const char *point, const char *member)
{
    g_autoptr(JsonNode) node = qtest_qmp(s, "x-query-faults", NULL);
    JsonArray *list = json_node_get_array(node);

    for (guint i = 0; i < json_array_get_length(list); i++) {
        JsonObject *o = json_array_get_object_element(list, i);

        if (!strcmp(json_object_get_string_member(o, "name"), point)) {
            return json_object_get_int_member(o, member);
        }
    }
    g_error("there is no fault point '%s'", point);
}

static void wait_held(QTestState *s, const char *point)
{
    int64_t until = g_get_monotonic_time() + DEADLINE_US;

    while (!point_member(s, point, "held")) {
        g_autofree char *now = status_of(s);

        if (g_get_monotonic_time() > until) {
            g_error("nobody came to '%s'; the migration is '%s'", point, now);
        }
        g_usleep(2000);
    }
}

void ends_wait_hit(QTestState *s, const char *point)
{
    int64_t until = g_get_monotonic_time() + DEADLINE_US;

    while (!point_member(s, point, "hits")) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(2000);
    }
}

/* ---- what a process has ---- */

/* One that is opened at the first migration, and then stays. */
static bool is_pagemap(const char *path)
{
    g_autofree char *target = g_file_read_link(path, NULL);

    return target && g_str_has_suffix(target, "/pagemap");
}

static unsigned count_entries(pid_t pid, const char *what)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, what);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    unsigned n = 0;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *entry = g_build_filename(path, name, NULL);

        n += !is_pagemap(entry);
    }
    return n;
}

static Footprint footprint(QTestState *s)
{
    pid_t pid = qtest_pid(s);
    g_autofree char *maps = g_strdup_printf("/proc/%d/maps", pid), *text = NULL;
    g_autofree char *statm = g_strdup_printf("/proc/%d/statm", pid), *numbers = NULL;
    Footprint f = { .fds = count_entries(pid, "fd"), .threads = count_entries(pid, "task") };
    unsigned long size, rss;

    g_assert_true(g_file_get_contents(maps, &text, NULL, NULL));
    for (const char *p = text; (p = strchr(p, '\n')); p++) {
        f.maps++;
    }
    g_assert_true(g_file_get_contents(statm, &numbers, NULL, NULL));
    g_assert_cmpint(sscanf(numbers, "%lu %lu", &size, &rss), ==, 2);
    f.rss_kib = rss * (sysconf(_SC_PAGESIZE) / 1024);
    return f;
}

/* What a migration leaves behind until the next one is the same after each that fails. */
static void fail_on_purpose(QTestState *s)
{
    qtest_qmp_ok(s, "migrate", "{'uri': 'unix:/nonexistent/socket'}");
    ends_wait(s, "failed");
}

/* Nothing leaked in the source; memory allocators keep some of what they had. */
static void check_footprint(Ends *e)
{
    int64_t until = g_get_monotonic_time() + SETTLE_US;
    /* A sanitizer keeps what was freed for a while; less than the guest's memory, all the same. */
    unsigned slack_kib = g_getenv("ASAN_OPTIONS") ? 20480 : 8192;
    Footprint now;

    fail_on_purpose(e->from);
    do {
        g_usleep(10000);
        now = footprint(e->from);
    } while ((now.fds > e->before.fds || now.threads > e->before.threads) &&
             g_get_monotonic_time() < until);
    g_assert_cmpuint(now.fds, <=, e->before.fds);
    g_assert_cmpuint(now.threads, <=, e->before.threads);
    g_assert_cmpuint(now.maps, <=, e->before.maps + 24);
    g_assert_cmpuint(now.rss_kib, <=, e->before.rss_kib + slack_kib);
}

/* ---- the two ends ---- */

static void set_caps(QTestState *s)
{
    const char *more = g_getenv("FERRY_MATRIX_CAPABILITY");

    if (more) {
        qtest_qmp_ok(s, "migrate-set-capabilities",
                     "{'capabilities': [{'capability': 'postcopy-ram', 'state': true},"
                     " {'capability': '%s', 'state': true}]}", more);
    }
    qtest_qmp_ok(s, "migrate-set-capabilities",
                 "{'capabilities': [{'capability': 'postcopy-ram', 'state': true},"
                 " {'capability': 'return-path', 'state': true}]}");
}

static void set_bandwidth(Ends *e, int precopy, int postcopy)
{
    if (e->from) {
        qtest_qmp_ok(e->from, "migrate-set-parameters",
                     "{'max-bandwidth': %d, 'max-postcopy-bandwidth': %d, 'downtime-limit': %d}",
                     precopy, postcopy, precopy ? 1 : 2000);
    }
}

static void listen_again(Ends *e)
{
    set_caps(e->to);
    qtest_qmp_ok(e->to, "migrate-incoming", "{'uri': 'unix:%s', 'exit-on-error': false}", e->far);
}

static GuestConfig guest_config(const char *accel)
{
    return (GuestConfig){ .accel = accel, .mib = 24 };
}

static void new_destination(Ends *e)
{
    if (e->guest_from) {
        GuestConfig c = guest_config(e->accel);

        e->guest_to = guest_start_incoming(&c);
        e->to = e->guest_to->s;
    } else {
        e->to = qtest_init("-M none -m %dM -incoming defer", PAIR_MIB);
    }
    listen_again(e);
}

Ends *ends_new(const char *accel, bool with_file)
{
    Ends *e = g_new0(Ends, 1);

    e->accel = accel;
    if (accel) {
        GuestConfig c = guest_config(accel);

        e->guest_from = guest_start(&c);
        e->from = e->guest_from->s;
    } else {
        e->from = qtest_init("-M none -m %dM", PAIR_MIB);
        pair_fill(e->from);
    }
    e->with_file = with_file;
    e->near = qtest_path(e->from, "near");
    e->file = qtest_path(e->from, "stream");
    e->far = g_strdup_printf("%s-far", e->near);
    if (with_file) {
        e->to = NULL;
    } else {
        set_caps(e->from);
        new_destination(e);
        e->relay = relay_new(e->near, e->far);
    }
    set_bandwidth(e, SLOW, BACKGROUND);
    fail_on_purpose(e->from);
    e->before = footprint(e->from);
    return e;
}

static void kill_end(QTestState **s, GuestVm **guest)
{
    if (*guest) {
        guest_kill(*guest);
    } else if (*s) {
        qtest_kill(*s);
    }
    *s = NULL;
    *guest = NULL;
}

void ends_free(Ends *e)
{
    g_unlink(e->file);
    kill_end(&e->to, &e->guest_to);
    kill_end(&e->from, &e->guest_from);
    if (e->relay) {
        relay_free(e->relay);
    }
    g_free(e->near);
    g_free(e->far);
    g_free(e->file);
    g_free(e);
}

void ends_set_timeout(Ends *e, int ms)
{
    qtest_qmp_ok(e->from, "migrate-set-parameters", "{'x-peer-timeout': %d}", ms);
    if (e->to) {
        qtest_qmp_ok(e->to, "migrate-set-parameters", "{'x-peer-timeout': %d}", ms);
    }
}

void ends_arm(QTestState *s, const char *point, const char *action, const char *more)
{
    qtest_qmp_ok(s, "x-fault-set", "{'name': '%s', 'action': '%s'%s}", point, action, more);
}

void ends_start(Ends *e)
{
    g_autofree char *to = e->with_file ? g_strdup_printf("file:%s", e->file)
                                       : g_strdup_printf("unix:%s", e->near);
    g_autofree char *text = g_strdup_printf("{'execute': 'migrate', 'arguments': {'uri': '%s'}}\n",
                                            to);

    qtest_qmp_send_raw(e->from, text);
    json_object_unref(qtest_qmp_receive(e->from));
}

/* ---- into a state ---- */

static void hold_from(Ends *e, const char *point)
{
    e->held_from = point;
    ends_arm(e->from, point, "hold", "");
}

static void start_and_hold(Ends *e, const char *point)
{
    set_bandwidth(e, 0, BACKGROUND);
    hold_from(e, point);
    ends_start(e);
    wait_held(e->from, point);
}

static void start_slowly(Ends *e)
{
    ends_start(e);
    ends_wait(e->from, "active");
    if (e->to) {
        ends_wait(e->to, "active");
        while (relay_total(e->relay, RELAY_FORWARD) < ENOUGH) {
            g_usleep(2000);
        }
    }
}

static void stall_back(Ends *e)
{
    relay_add_rule(e->relay, (RelayRule){ .connection = RELAY_ANY, .dir = RELAY_BACK,
                                          .action = RELAY_STALL });
    e->stalled_back = true;
}

static void start_postcopy(Ends *e)
{
    qtest_qmp_ok(e->from, "migrate-start-postcopy", NULL);
}

static void reach_postcopy(Ends *e)
{
    start_slowly(e);
    start_postcopy(e);
    ends_wait(e->to, "postcopy-active");
    ends_wait(e->from, "postcopy-active");
    qtest_wait_run_state(e->to, "running");
}

static void reach_paused(Ends *e)
{
    reach_postcopy(e);
    relay_cut(e->relay);
    ends_wait(e->from, "postcopy-paused");
    ends_wait(e->to, "postcopy-paused");
}

void ends_recover(Ends *e)
{
    qtest_qmp_ok(e->to, "migrate-recover", "{'uri': 'unix:%s'}", e->far);
    qtest_qmp_ok(e->from, "migrate", "{'uri': 'unix:%s', 'resume': true}", e->near);
}

static void write_rest(Ends *e)
{
    qtest_qmp_ok(e->from, "migrate", "{'uri': 'file:%s', 'resume': true}", e->file);
}

void ends_carry(Ends *e)
{
    write_rest(e);
    ends_wait(e->from, "postcopy-paused");
    while (!g_file_test(e->file, G_FILE_TEST_EXISTS)) {
        g_usleep(2000);
        ends_wait(e->from, "postcopy-paused");
    }
    qtest_qmp_ok(e->to, "migrate-recover", "{'uri': 'file:%s'}", e->file);
}

static void reach_recovery(Ends *e, const char *point)
{
    reach_paused(e);
    hold_from(e, point);
    ends_recover(e);
    wait_held(e->from, point);
}

static void reach_end(Ends *e, bool sent)
{
    start_and_hold(e, "src-loaded");
    if (sent) {
        stall_back(e);
        qtest_qmp_ok(e->from, "x-fault-clear", "{'name': 'src-loaded'}");
        e->held_from = NULL;
        ends_wait(e->to, "completed");
        ends_wait(e->from, "device");
    }
}

static void reach_pre_switchover(Ends *e)
{
    qtest_qmp_ok(e->from, "migrate-set-capabilities", "{'capabilities': [{'capability': "
                 "'pause-before-switchover', 'state': true}]}");
    set_bandwidth(e, 0, BACKGROUND);
    ends_start(e);
    ends_wait(e->from, "pre-switchover");
}

static void reach_promised(Ends *e)
{
    start_slowly(e);
    while (relay_total(e->relay, RELAY_BACK) < FIRST_ANSWER) {
        g_usleep(2000);
    }
    g_usleep(20000);
    stall_back(e);
    start_postcopy(e);
    ends_wait(e->to, "postcopy-active");
    qtest_wait_run_state(e->to, "running");
    ends_wait(e->from, "postcopy-device");
}

static void reach_promise(Ends *e)
{
    start_slowly(e);
    e->held_to = "dst-promise";
    ends_arm(e->to, e->held_to, "hold", "");
    start_postcopy(e);
    wait_held(e->to, e->held_to);
    ends_wait(e->from, "postcopy-device");
}

void ends_reach(Ends *e, MatrixState state)
{
    switch (state) {
    case MATRIX_SETUP:
        start_and_hold(e, "src-setup");
        break;
    case MATRIX_ACTIVE:
        start_slowly(e);
        break;
    case MATRIX_PRE_SWITCHOVER:
        reach_pre_switchover(e);
        break;
    case MATRIX_DEVICE:
        start_and_hold(e, "src-device");
        break;
    case MATRIX_DEVICE_END:
        reach_end(e, false);
        break;
    case MATRIX_DEVICE_SENT:
        reach_end(e, true);
        break;
    case MATRIX_PC_DEVICE:
        reach_promise(e);
        break;
    case MATRIX_PC_PROMISED:
        reach_promised(e);
        break;
    case MATRIX_PC_ACTIVE:
        reach_postcopy(e);
        break;
    case MATRIX_PC_PAUSED:
        reach_paused(e);
        break;
    case MATRIX_PC_RECOVER_SETUP:
        reach_recovery(e, "src-recover-setup");
        break;
    case MATRIX_PC_RECOVER:
        reach_recovery(e, "src-resume");
        break;
    }
}

/* ---- the fault ---- */

/* Connections to come: as soon as they are made. */
static bool not_connected(MatrixState state)
{
    return state == MATRIX_SETUP || state == MATRIX_PC_RECOVER_SETUP;
}

static void rule(Ends *e, RelayDirection dir, RelayAction action, uint64_t at)
{
    relay_add_rule(e->relay, (RelayRule){ .connection = RELAY_ANY, .dir = dir, .action = action,
                                          .at = at, .amount = JUNK });
}

static void junk(Ends *e, MatrixState state, RelayDirection dir)
{
    if (not_connected(state)) {
        rule(e, dir, RELAY_INSERT, state == MATRIX_SETUP && dir == RELAY_FORWARD ? 8 : 0);
    } else {
        relay_inject(e->relay, dir, JUNK);
    }
}

/* One that has asked for something and does not wait for the answer. */
static void lose_monitor(QTestState *s)
{
    g_autofree char *path = qtest_path(s, "lost");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    static const char text[] = "{'execute': 'qmp_capabilities'} {'execute': 'query-migrate'} {'exec";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    qtest_qmp_ok(s, "chardev-add", "{'id': 'lost', 'backend': {'type': 'socket', 'data': {'addr': "
                 "{'type': 'unix', 'data': {'path': '%s'}}, 'server': true, 'wait': false}}}", path);
    qtest_qmp_ok(s, "object-add", "{'qom-type': 'monitor-qmp', 'id': 'lost-monitor', "
                 "'chardev': 'lost'}");
    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
    close(fd);
}

static void strike(Ends *e, MatrixState state, MatrixFault fault)
{
    switch (fault) {
    case MATRIX_SRC_KILLED:
        kill_end(&e->from, &e->guest_from);
        break;
    case MATRIX_DST_KILLED:
        kill_end(&e->to, &e->guest_to);
        if (e->stalled_back) {
            relay_cut(e->relay); /* which does not hear of it, because it does not read */
        }
        break;
    case MATRIX_CUT:
        if (not_connected(state)) {
            rule(e, RELAY_FORWARD, RELAY_CUT, 0);
        } else {
            relay_cut(e->relay);
        }
        break;
    case MATRIX_STALL:
        ends_set_timeout(e, PEER_TIMEOUT_MS);
        rule(e, RELAY_FORWARD, RELAY_STALL, 0);
        rule(e, RELAY_BACK, RELAY_STALL, 0);
        break;
    case MATRIX_GARBAGE_DST:
        junk(e, state, RELAY_FORWARD);
        break;
    case MATRIX_GARBAGE_SRC:
        junk(e, state, RELAY_BACK);
        break;
    case MATRIX_DISK_FULL:
        if (state == MATRIX_PC_PAUSED) {
            ends_arm(e->from, "carry-write", "fail", "");
            write_rest(e);
            ends_wait_hit(e->from, "carry-write");
        } else {
            ends_arm(e->from, "channel-no-space", "fail", "");
        }
        break;
    case MATRIX_ALLOC:
        ends_arm(e->to, "alloc-wire", "fail", "");
        e->postcopy_next = state == MATRIX_ACTIVE;
        break;
    case MATRIX_MONITOR:
        lose_monitor(e->from);
        lose_monitor(e->to);
        break;
    }
}

static void release(QTestState *s, const char **point)
{
    if (s && *point) {
        qtest_qmp_ok(s, "x-fault-clear", "{'name': '%s'}", *point);
    }
    *point = NULL;
}

/* What was held, and the command that is waited for. */
static void go_on(Ends *e, MatrixState state)
{
    release(e->from, &e->held_from);
    release(e->to, &e->held_to);
    if (e->from && state == MATRIX_PRE_SWITCHOVER) {
        g_autofree char *now = status_of(e->from);

        if (!strcmp(now, "pre-switchover")) {
            qtest_qmp_ok(e->from, "migrate-continue", "{'state': 'pre-switchover'}");
        }
    }
    if (e->from && e->postcopy_next) {
        start_postcopy(e);
    }
}

void ends_strike(Ends *e, MatrixState state, MatrixFault fault)
{
    check_not_both(e);
    strike(e, state, fault);
    g_usleep(NOTICE_US);
    if (state == MATRIX_PC_DEVICE && fault == MATRIX_STALL) {
        /* It passes on both sides before the destination promises anything. */
        ends_wait(e->from, "postcopy-paused");
        g_usleep(PEER_TIMEOUT_MS * 1500);
    }
    go_on(e, state);
}

/* ---- what holds ---- */

void ends_let_go(Ends *e)
{
    const char *none = NULL;

    release(e->from, e->held_from ? &e->held_from : &none);
    release(e->to, e->held_to ? &e->held_to : &none);
    if (e->relay) {
        relay_clear_rules(e->relay);
    }
    set_bandwidth(e, 0, 0);
}

static void verify(Ends *e, QTestState *s)
{
    GuestVm *guest = s == e->from ? e->guest_from : e->guest_to;

    if (guest) {
        guest_verify(guest);
    } else {
        pair_check_all(s);
    }
}

/* The next migration, of the same source, to a new destination. */
static void migrate_again(Ends *e)
{
    if (e->relay) {
        relay_free(g_steal_pointer(&e->relay));
    }
    kill_end(&e->to, &e->guest_to);
    g_unlink(e->near);
    g_unlink(e->far);
    qtest_qmp_ok(e->from, "migrate-set-capabilities", "{'capabilities': [{'capability': "
                 "'pause-before-switchover', 'state': false}]}");
    ends_set_timeout(e, 60000);
    set_caps(e->from);
    set_bandwidth(e, 0, 0);
    new_destination(e);
    qtest_qmp_ok(e->from, "migrate", "{'uri': 'unix:%s'}", e->far);
    ends_wait(e->from, "completed");
    ends_wait(e->to, "completed");
    check_not_both(e);
    g_assert_true(runs(e->to));
    verify(e, e->to);
}

static void check_runs_at_source(Ends *e)
{
    check_not_both(e);
    qtest_wait_run_state(e->from, "running");
    g_assert_false(runs(e->to));
    verify(e, e->from);
    check_footprint(e);
    migrate_again(e);
}

static void check_completes(Ends *e)
{
    ends_let_go(e);
    ends_wait(e->from, "completed");
    ends_wait(e->to, "completed");
    check_not_both(e);
    g_assert_true(runs(e->to));
    verify(e, e->to);
}

static void check_paused(Ends *e)
{
    g_usleep(NOTICE_US); /* an earlier pause is not meant */
    ends_wait(e->from, "postcopy-paused");
    ends_wait(e->to, "postcopy-paused");
    qtest_wait_run_state(e->from, "finish-migrate");
    qtest_wait_run_state(e->to, "running");
    ends_set_timeout(e, 60000);
    relay_clear_rules(e->relay);
    ends_recover(e);
    check_completes(e);
}

/* The source cannot know; the words that it says are those that the page shows. */
static void check_stands(Ends *e)
{
    g_autoptr(JsonObject) info = NULL;

    ends_wait(e->from, "failed");
    qtest_wait_run_state(e->from, "postmigrate");
    info = qtest_qmp_object(e->from, "query-migrate", NULL);
    g_assert_nonnull(strstr(json_object_get_string_member(info, "error-desc"), "may run it"));
}

static void check_unconfirmed(Ends *e)
{
    g_autoptr(JsonObject) info = NULL;

    ends_wait(e->from, "postcopy-paused");
    if (e->to) {
        ends_wait(e->to, "failed");
        g_assert_false(runs(e->to));
    }
    info = qtest_qmp_object(e->from, "query-migrate", NULL);
    g_assert_nonnull(strstr(json_object_get_string_member(info, "error-desc"), "has not said"));
    qtest_qmp_ok(e->from, "migrate_cancel", NULL);
    ends_wait(e->from, "cancelled");
    check_runs_at_source(e);
}

static void check_refused(QTestState *s, const char *command)
{
    g_free(qtest_qmp_error(s, command, NULL));
}

void ends_expect(Ends *e, MatrixOutcome outcome)
{
    switch (outcome) {
    case MATRIX_IMPOSSIBLE:
        g_assert_not_reached();
    case MATRIX_GOES_ON:
        check_completes(e);
        break;
    case MATRIX_RUNS_AT_SOURCE:
        ends_wait(e->from, "failed");
        check_runs_at_source(e);
        break;
    case MATRIX_LOST_WITH_SOURCE: {
        g_autofree char *now = status_of(e->to);

        if (strcmp(now, "setup")) {
            ends_wait(e->to, "failed");
        }
        g_assert_false(runs(e->to));
        break;
    }
    case MATRIX_DST_HAS_IT:
        ends_wait(e->to, "completed");
        g_assert_true(runs(e->to));
        verify(e, e->to);
        break;
    case MATRIX_STANDS:
        check_stands(e);
        ends_wait(e->to, "completed");
        g_assert_true(runs(e->to));
        verify(e, e->to);
        break;
    case MATRIX_STANDS_CONT:
        check_stands(e);
        g_assert_false(runs(e->to));
        kill_end(&e->to, &e->guest_to);
        qtest_qmp_ok(e->from, "cont", NULL);
        check_runs_at_source(e);
        break;
    case MATRIX_UNCONFIRMED_CANCEL:
        check_unconfirmed(e);
        break;
    case MATRIX_PAUSED:
        check_paused(e);
        break;
    case MATRIX_SRC_LOST:
        ends_wait(e->to, "postcopy-paused");
        g_assert_true(runs(e->to));
        break;
    case MATRIX_DST_LOST:
        ends_wait(e->from, "postcopy-paused");
        qtest_wait_run_state(e->from, "finish-migrate");
        check_refused(e->from, "migrate_cancel");
        check_refused(e->from, "cont");
        break;
    }
}
