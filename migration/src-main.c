/*
 * The source's migration thread: connect, set up, iterate, switch over, complete.
 *
 *   src_main -> connect -> setup -> iterate -> stop_machine -> complete_precopy
 *                                                          \-> postcopy <-> pause, recover
 *                          \-> snapshot_course (src-snapshot.c)
 *
 * Belongs to that thread.  It takes the machine lock only to set up, to stop the
 * machine, to save device state (into memory) and at the end; never around IO.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-int.h"

#include "carry/carry.h"
#include "config.h"
#include "channel.h"
#include "cpr.h"
#include "globalstate.h"
#include "hw/core/machine.h"
#include "mapped-ram.h"
#include "monitor/monitor.h"
#include "multifd/multifd.h"
#include "postcopy-ram/postcopy.h"
#include "postcopy-ram/preempt.h"
#include "ram.h"
#include "return-path.h"
#include "src-converge.h"
#include "src-rates.h"
#include "src-snapshot.h"
#include "state.h"
#include "stream-internal.h"
#include "system/cpus.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "trace/migration.h"
#include "util/sched.h"
#include "util/util.h"
#include "verify.h"
#include "watch.h"
#include "wire.h"

#define SEND_BUFFER (4 * MiB)
/* So long without an answer, the destination waits for the preempt channel before it reads. */
#define OLD_DESTINATION_US (G_USEC_PER_SEC / 2)
/* The answer to the first PING is due when a whole pass has been sent. */
#define ANSWER_WAIT_US (10 * G_USEC_PER_SEC)
#define ACK_POLL_US (G_USEC_PER_SEC / 10)

void src_wake(Migration *m)
{
    mig_state_kick(m->state);
}

/* Sleep until the rate window is over, an urgent page is asked for, or the state changes. */
static void rate_sleep(Migration *m)
{
    int64_t left_us = stream_rate_left_us(m->out);

    mig_watch_nap(m);
    if (left_us > 0 && !migration_cancelled(m)) {
        stream_flush(m->out);
        if (return_path_lent(m->return_path)) {
            return_path_serve(m->return_path, 0, (left_us + 999) / 1000);
            return;
        }
        mig_state_wait(m->state, mig_state_get(m->state), g_get_monotonic_time() + left_us);
    }
}

static void set_rate(Migration *m)
{
    stream_rate_set(m->out, mig_live(m->in_postcopy ? MIG_PARAM_MAX_POSTCOPY_BANDWIDTH
                                                    : MIG_PARAM_MAX_BANDWIDTH));
}

/* Nothing more may be expected from a destination that ended the return path. */
static bool return_path_alive(Migration *m, Error **errp)
{
    if (m->return_path && return_path_ended(m->return_path, errp)) {
        if (errp && !*errp) {
            error_setg(errp, "the destination ended the migration early");
        }
        return false;
    }
    return true;
}

/* ---- connect, setup ---- */

bool src_connect(Migration *m, Error **errp)
{
    IOChannel *ioc = mig_connector_connect(m->connector, errp);
    bool wants_answers = m->config->cap[MIG_CAP_RETURN_PATH] ||
                         m->config->cap[MIG_CAP_POSTCOPY_RAM] ||
                         m->config->cap[MIG_CAP_X_VERIFY] || m->marks == MULTIFD_MARKS_ASK;

    if (!ioc) {
        return false;
    }
    io_channel_set_name(ioc, "migration-main");
    io_channel_set_send_buffer(ioc, SEND_BUFFER);
    migration_set_channel(m, ioc);
    m->out = stream_new_output(ioc);
    if (!mapped_open(m, ioc, errp)) {
        return false;
    }
    /* By the old rules the destination answers once, by the new ones only if a device asks. */
    stat_set(m->acks_missing, m->config->cap[MIG_CAP_SWITCHOVER_ACK] &&
                              m->config->switchover_ack_legacy);
    if (wants_answers) {
        if (!ioc->two_way) {
            error_setg(errp, "return-path, postcopy-ram and x-verify need a channel that bytes can "
                       "come back on, and %s is one-way: use a socket", m->uri);
            return false;
        }
        m->return_path = return_path_start(m, errp);
        if (!m->return_path) {
            return false;
        }
    }
    /* A recovery is in postcopy, whose pages go on the main channel: nobody accepts others there. */
    if (m->config->cap[MIG_CAP_MULTIFD] && !m->in_postcopy) {
        /* Behind the main one: old destinations tell connections apart by their order. */
        migration_set_multifd_send(m, multifd_send_new(m));
        return multifd_send_connect(m->multifd_send, errp);
    }
    return true;
}

static bool setup_ram(Migration *m, Error **errp)
{
    bool postcopy = m->config->cap[MIG_CAP_POSTCOPY_RAM];

    MACHINE_LOCK_GUARD();
    m->ram = ram_source_new(m->config, postcopy);
    ram_xbzrle_begin(m);
    if (m->config->cap[MIG_CAP_BACKGROUND_SNAPSHOT]) {
        return true; /* every page goes out once, whatever the guest writes */
    }
    return ram_dirty_start_log(m->ram, errp);
}

static void send_greeting(Migration *m)
{
    if (!(current_machine && current_machine->suppress_vmdesc)) {
        m->vmdesc = savevm_vmdesc_begin();
    }
    savevm_send_header(m, m->out);
    if (m->vmdesc) {
        savevm_vmdesc_devices(m->vmdesc);
    }
    if (m->return_path) {
        savevm_send_open_return_path(m->out);
        savevm_send_ping(m->out, WIRE_PING_OPENED);
    }
    if (m->config->cap[MIG_CAP_POSTCOPY_RAM]) {
        postcopy_source_advise(m, m->out);
        carry_attempt_send(m);
    }
}

/*
 * Behind the greeting: an answer to its PING proves that the connection that there is has become
 * the main one.  A destination before 8.0 says nothing until it has both connections.
 */
static bool connect_preempt(Migration *m, Error **errp)
{
    int64_t until = g_get_monotonic_time() + OLD_DESTINATION_US;

    if (!m->config->cap[MIG_CAP_POSTCOPY_PREEMPT]) {
        return true;
    }
    stream_flush(m->out);
    m->preempt_early = m->config->preempt_pre_7_2;
    while (!m->preempt_early && !return_path_answered(m->return_path)) {
        if (migration_cancelled(m) || !return_path_alive(m, errp)) {
            return false;
        }
        mig_state_wait(m->state, MIG_STATE_SETUP, until);
        m->preempt_early = g_get_monotonic_time() >= until &&
                           !return_path_answered(m->return_path);
    }
    return preempt_source_connect(m, errp);
}

static bool setup(Migration *m, Error **errp)
{
    migration_moment(m, FAULT_SRC_SETUP);
    if ((m->cpr_connector && !cpr_transfer(m, errp)) || !src_connect(m, errp)) {
        return false;
    }
    send_greeting(m);
    if (!connect_preempt(m, errp) || !setup_ram(m, errp) || !multifd_marks_ask(m, errp) ||
        !verify_source_ask(m, errp) || !savevm_setup(m, errp) || !multifd_marks_probe(m, errp)) {
        return false;
    }
    stat_set(m->stats.total_bytes, ramblock_total_migratable());
    stat_set(m->stats.dirty_sync_count, 1);
    stat_set(m->stats.setup_end_ms, host_clock_ms());
    return state_advance(m->state, MIG_STATE_SETUP, MIG_STATE_ACTIVE);
}

/* ---- iterate ---- */

static bool sync_pass(Migration *m, Error **errp)
{
    if (!ram_dirty_sync(m, errp)) {
        return false;
    }
    uint64_t pass = stat_get(m->stats.dirty_sync_count) + 1;
    stat_set(m->stats.dirty_sync_count, pass);
    rates_dirty_sync(m, false);
    converge_look(m);
    if (mig_settings_cap(MIG_CAP_EVENTS)) {
        JsonObject *data = json_object_new();

        json_object_set_int_member(data, "pass", pass);
        qmp_event_emit("MIGRATION_PASS", data);
    }
    return true;
}

/*
 * Is it time to stop the machine?  1: yes; 0: no; -1: errp set.  The estimate of what
 * is left knows nothing of writes since the last sync, so a low one is checked by a sync.
 */
static int time_to_switch(Migration *m, SwitchDecision *d, Error **errp)
{
    if (!switch_wants_sync(d, ram_dirty_bytes(m->ram), rates_threshold(m))) {
        return 0;
    }
    if (!sync_pass(m, errp)) {
        return -1;
    }
    return switch_decide(d, ram_dirty_bytes(m->ram), rates_threshold(m), runstate_is_running());
}

/* With switchover-ack the destination has a say, unless the guest stands still anyway. */
static bool switchover_allowed(Migration *m)
{
    return stat_get(m->acks_missing) <= 0 || !runstate_is_running();
}

/* All is ready but for the destination's word: pass after pass until then, not in a busy loop. */
static void wait_for_ack(Migration *m)
{
    stream_flush(m->out);
    mig_watch_nap(m);
    mig_state_wait(m->state, MIG_STATE_ACTIVE, g_get_monotonic_time() + ACK_POLL_US);
}

/* Send until little enough is left.  *ret_postcopy: go on with postcopy. */
static bool iterate(Migration *m, bool *ret_postcopy, Error **errp)
{
    SwitchDecision d = { 0 };

    for (;;) {
        bool may_switch;
        int now;

        if (migration_cancelled(m) || !return_path_alive(m, errp)) {
            return false;
        }
        set_rate(m);
        rates_update(m);
        may_switch = switchover_allowed(m);
        now = time_to_switch(m, &d, errp);
        if (now < 0 || (now && may_switch)) {
            *ret_postcopy = false;
            return now > 0;
        }
        if (now) {
            wait_for_ack(m);
        } else if (may_switch && m->config->cap[MIG_CAP_POSTCOPY_RAM] &&
                   stat_get(m->start_postcopy)) {
            *ret_postcopy = true;
            return true;
        }
        if (!savevm_iterate(m, errp)) {
            return false;
        }
        if (stream_rate_exceeded(m->out)) {
            rate_sleep(m);
        }
    }
}

/* ---- switch ---- */

/* migrate-continue moves the state on from the monitor's thread. */
static bool pause_before_switch(Migration *m)
{
    if (!m->config->cap[MIG_CAP_PAUSE_BEFORE_SWITCHOVER]) {
        return state_advance(m->state, MIG_STATE_ACTIVE, MIG_STATE_DEVICE);
    }
    if (!state_advance(m->state, MIG_STATE_ACTIVE, MIG_STATE_PRE_SWITCHOVER)) {
        return false;
    }
    while (mig_state_wait(m->state, MIG_STATE_PRE_SWITCHOVER, G_MAXINT64) ==
           MIG_STATE_PRE_SWITCHOVER) {
        if (migration_cancelled(m)) {
            return false;
        }
    }
    return mig_state_get(m->state) == MIG_STATE_DEVICE;
}

/*
 * A channel may look as if bytes could come back and yet end in a file: found out before
 * the machine is stopped, and not by waiting for SHUT for ever.
 */
static bool wait_for_answer(Migration *m, Error **errp)
{
    int64_t until = g_get_monotonic_time() + ANSWER_WAIT_US;

    stream_flush(m->out);
    while (m->return_path && !return_path_answered(m->return_path)) {
        if (migration_cancelled(m) || !return_path_alive(m, errp)) {
            return false;
        }
        if (g_get_monotonic_time() >= until) {
            error_setg(errp, "the destination does not answer on the return path: %s may be "
                       "one-way (return-path and postcopy-ram need answers)", m->uri);
            return false;
        }
        mig_state_wait(m->state, mig_state_get(m->state), until);
    }
    return !stream_error(m->out, errp);
}

/* False: cancelled before. */
static bool freeze_machine(Migration *m)
{
    MACHINE_LOCK_GUARD();
    if (migration_cancelled(m)) {
        return false;
    }
    m->old_run_state = runstate_get();
    m->vm_was_running = runstate_is_live();
    globalstate_store(globalstate(), m->old_run_state);
    stat_set(m->stats.stop_ms, host_clock_ms());
    m->machine_stopped = true;
    vm_stop_force_state(RUN_STATE_FINISH_MIGRATE);
    return true;
}

/* Checkpoint and restart: the guest does not run again here, so nothing is saved twice. */
static bool freeze_for_cpr(Migration *m)
{
    return m->config->mode == MIG_MODE_NORMAL || freeze_machine(m);
}

static bool stop_machine(Migration *m, Error **errp)
{
    if (!wait_for_answer(m, errp)) {
        return false;
    }
    rates_account(m);
    if (!m->machine_stopped && !freeze_machine(m)) {
        return false;
    }
    converge_end(m);
    if (!pause_before_switch(m)) {
        return false;
    }
    migration_moment(m, FAULT_SRC_DEVICE);
    if (!ram_dirty_sync(m, errp)) {
        return false;
    }
    rates_dirty_sync(m, /* last= */ true);
    return true;
}

/* Device state goes into memory first: no IO under the machine lock. */
static bool send_devices(Migration *m, Error **errp)
{
    g_autoptr(Stream) blob = stream_new_output_memory();
    const void *data;
    size_t len;

    {
        MACHINE_LOCK_GUARD();
        cpu_synchronize_all();
        if (!savevm_save_devices(m, blob, errp)) {
            return false;
        }
    }
    data = stream_memory_data(blob, &len);
    if (verify_source_on(m)) {
        /* In a package the destination sees them whole. */
        verify_source_devices(m, data, len);
        savevm_send_packaged(m->out, data, len);
    } else {
        stream_put_bytes(m->out, data, len);
    }
    return !stream_error(m->out, errp);
}

/* Everything is written: wait for the destination's word, close. */
static bool hear_and_close(Migration *m, Error **errp)
{
    if (!stream_flush(m->out)) {
        stream_error(m->out, errp);
        return false;
    }
    rates_account(m);
    if (m->return_path && !return_path_join(m->return_path, errp)) {
        m->given_up &= !return_path_refused(m->return_path);
        return false;
    }
    /* In postcopy the channels have nothing left to do, and may have broken with the main one. */
    if (m->multifd_send && m->in_postcopy) {
        multifd_send_finish(m->multifd_send, NULL);
    } else if (m->multifd_send && !multifd_send_finish(m->multifd_send, errp)) {
        return false;
    }
    stat_set(m->closing, 1);
    return mapped_close(m, errp) && stream_close(m->out, errp);
}

/*
 * The destination runs the guest when it has read EOF.  Before that one byte goes out it says that
 * nothing else is missing: so whatever breaks up to here leaves the guest to the source, and it is
 * the end itself that gives the guest away.
 */
static bool destination_has_all(Migration *m, Error **errp)
{
    if (m->return_path) {
        savevm_send_ping(m->out, WIRE_PING_ALL_LOADED);
        while (return_path_last_pong(m->return_path) != WIRE_PING_ALL_LOADED) {
            if (migration_cancelled(m) || !return_path_alive(m, errp)) {
                return false;
            }
            mig_state_wait(m->state, MIG_STATE_DEVICE, G_MAXINT64);
        }
    }
    migration_moment(m, FAULT_SRC_LOADED);
    return !migration_cancelled(m) && return_path_alive(m, errp) &&
           (stream_flush(m->out) || !stream_error(m->out, errp));
}

/* Without a return path nobody knows more than what the writing says. */
static bool send_end(Migration *m, Error **errp)
{
    savevm_send_eof(m->out);
    if (m->return_path) {
        if (!stream_flush(m->out)) {
            stream_error(m->out, errp);
            return false;
        }
        m->given_up = true;
    }
    savevm_send_vmdesc(m, m->out);
    return true;
}

static bool complete_precopy(Migration *m, Error **errp)
{
    stream_rate_set(m->out, 0);
    if (!savevm_complete_live(m, false, errp) || migration_cancelled(m) ||
        !send_devices(m, errp)) {
        return false;
    }
    verify_source_send(m, m->out);
    if (!destination_has_all(m, errp) || !send_end(m, errp)) {
        return false;
    }
    return hear_and_close(m, errp) &&
           (m->config->mode != MIG_MODE_CPR_EXEC || cpr_exec(m, errp));
}

/* The pages that are left, and the end. */
static bool postcopy_send(Migration *m, Error **errp)
{
    rates_account(m);
    if (!m->preempt) {
        return_path_want(m->return_path);
    }
    while (ram_dirty_bytes(m->ram)) {
        if (migration_cancelled(m) || !return_path_alive(m, errp)) {
            return false;
        }
        set_rate(m);
        rates_update(m);
        if (!savevm_iterate(m, errp)) {
            return false;
        }
        if (stream_rate_exceeded(m->out)) {
            rate_sleep(m);
        }
    }
    migration_moment(m, FAULT_SRC_LAST_PAGE);
    return_path_give_back(m->return_path);
    if (!savevm_complete_live(m, true, errp)) {
        return false;
    }
    verify_source_send(m, m->out);
    savevm_send_eof(m->out);
    stream_flush(m->out);
    preempt_source_finish(m->preempt);
    return hear_and_close(m, errp) && postcopy_source_confirmed(m, errp);
}

/* Once the guest is over there, whatever breaks is a pause. */
static bool postcopy(Migration *m, Error **errp)
{
    Error *err = NULL;
    bool going = postcopy_switch(m, &err);

    if (m->preempt) {
        sched_set_background(); /* what somebody waits for goes another way now */
    }
    while (!going || !postcopy_send(m, &err)) {
        postcopy_source_hear_out(m);
        if (migration_cancelled(m) || postcopy_source_take_back(m)) {
            error_propagate(errp, err);
            return false;
        }
        going = postcopy_source_recover(m, g_steal_pointer(&err));
        if (!going) {
            return carry_released(m);
        }
    }
    return true;
}

/* ---- end ---- */

static void end_well(Migration *m)
{
    int64_t now = host_clock_ms();
    MigState state = mig_state_get(m->state);
    bool guest_left = !m->snapshot;

    snapshot_end(m);
    preempt_source_end(m);
    MACHINE_LOCK_GUARD();
    stat_set(m->stats.end_ms, now);
    if (stat_get(m->stats.downtime_ms) < 0) {
        stat_set(m->stats.downtime_ms, now - stat_get(m->stats.stop_ms));
    }
    m->journeys = ram_source_take_journeys(m->ram);
    ram_source_free(g_steal_pointer(&m->ram));
    if (guest_left) {
        runstate_set(RUN_STATE_POSTMIGRATE);
    }
    /* Lost to a cancel in the very last moment: the destination has the guest all the same. */
    if (!state_advance(m->state, state, MIG_STATE_COMPLETED)) {
        state_advance_any(m->state, MIG_STATE_CANCELLED, NULL);
    }
}

/* As it was; but if the destination may run it, somebody has to look first.  Machine lock held. */
static void let_guest_go_on(Migration *m)
{
    if (!m->machine_stopped || !runstate_check(RUN_STATE_FINISH_MIGRATE)) {
        return;
    }
    if (m->given_up && !m->in_postcopy) {
        runstate_set(RUN_STATE_POSTMIGRATE);
    } else if (m->vm_was_running) {
        vm_start();
    } else {
        runstate_set(m->old_run_state);
    }
}

/* The guest goes on here as it was, if it is still ours. */
static void end_badly(Migration *m, Error *err)
{
    converge_end(m);
    snapshot_end(m);
    if (m->given_up && !m->in_postcopy) {
        if (!err) {
            error_setg(&err, "the migration was cancelled");
        }
        migration_explain_error(m, err, "the destination has all of the guest and may run it: look "
                                "there; if it does not, 'cont' lets the guest go on here: ");
    } else if (err) {
        migration_set_error(m, err);
    }
    if (!postcopy_source_take_back(m)) {
        migration_shutdown_channels(m); /* the process goes down */
        return;
    }
    migration_shutdown_channels(m);
    if (m->return_path) {
        return_path_join(m->return_path, NULL);
    }
    preempt_source_end(m);
    if (m->multifd_send) {
        multifd_send_finish(m->multifd_send, NULL); /* its threads read what is freed below */
    }
    mapped_close(m, NULL);
    if (m->out) {
        stream_close(m->out, NULL);
    }
    MACHINE_LOCK_GUARD();
    m->journeys = ram_source_take_journeys(m->ram);
    ram_source_free(g_steal_pointer(&m->ram));
    let_guest_go_on(m);
    stat_set(m->stats.end_ms, host_clock_ms());
    state_advance_any(m->state, migration_cancelled(m) ? MIG_STATE_CANCELLED : MIG_STATE_FAILED,
                      NULL);
}

void *src_main(void *opaque)
{
    Migration *m = opaque;
    bool go_postcopy = false;
    Error *err = NULL;
    bool good = setup(m, &err) && (m->config->cap[MIG_CAP_BACKGROUND_SNAPSHOT]
                                       ? snapshot_course(m, &err)
                                       : freeze_for_cpr(m) &&
                                             iterate(m, &go_postcopy, &err) &&
                                             stop_machine(m, &err) &&
                                             (go_postcopy ? postcopy(m, &err)
                                                          : complete_precopy(m, &err)));

    trace_migration_end(m->uri, good, err ? error_get_pretty(err) : "");
    if (good) {
        end_well(m);
    } else {
        end_badly(m, err);
    }
    return NULL;
}
