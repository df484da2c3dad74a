/*
 * Pause and recovery of a postcopy on the source.  Belongs to the migration thread, which keeps
 * everything (guest memory, bitmaps, the sections' ids) and only loses its channel:
 *
 *   postcopy-active -> postcopy-paused        close what is left of the channel, sleep
 *   -> postcopy-recover-setup                 `migrate resume`: connect
 *   -> postcopy-recover                       ask for the received bitmap of every block, wait for
 *                                             all of them: the rest is to be sent;
 *                                             connect the preempt channel, if there is to be one;
 *                                             POSTCOPY_RESUME, wait for RESUME_ACK
 *   -> postcopy-active                        go on
 *
 * From any of them back to postcopy-paused.  The new stream has no header: its first element is
 * a command.  When the address is a file, what the destination may lack is written into it
 * (carry/save.c), and that leads back to postcopy-paused as well.  Nothing there can be told from here
 * whether it has arrived: x-migrate-release does, and ends the migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/carry/carry.h"
#include "migration/postcopy-ram/postcopy.h"
#include "migration/postcopy-ram/preempt.h"
#include "migration/return-path.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "migration/src-rates.h"
#include "migration/wire.h"
#include "trace/migration.h"

/* Nothing of the connection is left afterwards; the return-path thread has ended. */
static void close_channel(Migration *m)
{
    migration_shutdown_channels(m);
    return_path_free(g_steal_pointer(&m->return_path));
    preempt_source_end(m);
    if (m->out) {
        rates_account(m);
        stream_free(g_steal_pointer(&m->out));
    }
    rates_new_stream(m);
    migration_set_channel(m, NULL);
    urgent_forget(m->ram);
}

/*
 * Sleep until somebody gives a new address.  err NULL: the pause goes on after a file was written.
 * False: the process goes down, or the destination has everything.
 */
static bool pause_here(Migration *m, Error *err)
{
    close_channel(m);
    if (mig_state_get(m->state) == MIG_STATE_POSTCOPY_DEVICE) {
        __atomic_store_n(&m->unconfirmed, 1, __ATOMIC_RELEASE);
    }
    trace_postcopy_paused("source", err ? error_get_pretty(err) : "the rest is written");
    if (!err && __atomic_load_n(&m->unconfirmed, __ATOMIC_ACQUIRE)) {
        error_setg(&err, "the rest is written");
    }
    if (!err) {
        /* nothing is to be told */
    } else if (__atomic_load_n(&m->unconfirmed, __ATOMIC_ACQUIRE)) {
        migration_explain_error(m, err, "the destination has not said whether it runs the guest: "
                                "if it is postcopy-paused, recover; if it has failed, "
                                "migrate_cancel gives the guest back here: ");
    } else {
        migration_set_error(m, err);
    }
    if (!state_advance_any(m->state, MIG_STATE_POSTCOPY_PAUSED, NULL)) {
        return false;
    }
    while (!migration_cancelled(m) && !carry_released(m)) {
        if (mig_state_wait(m->state, MIG_STATE_POSTCOPY_PAUSED, G_MAXINT64) !=
            MIG_STATE_POSTCOPY_PAUSED) {
            return !migration_cancelled(m);
        }
    }
    return false;
}

static bool reconnect(Migration *m, Error **errp)
{
    trace_postcopy_recover("source", "connecting");
    migration_moment(m, FAULT_SRC_RECOVER_SETUP);
    if (!src_connect(m, errp)) {
        return false;
    }
    io_channel_set_send_buffer(m->channel, POSTCOPY_SOCKET_BUFFER);
    if (m->preempt_early && !preempt_source_connect(m, errp)) {
        return false;
    }
    if (!state_advance(m->state, MIG_STATE_POSTCOPY_RECOVER_SETUP, MIG_STATE_POSTCOPY_RECOVER)) {
        error_setg(errp, "the recovery was given up");
        return false;
    }
    return true;
}

/* Until the answer is there.  False: it will not come. */
static bool wait_for(Migration *m, bool (*there)(const Migration *m), Error **errp)
{
    while (!there(m)) {
        if (return_path_ended(m->return_path, errp)) {
            if (errp && !*errp) {
                error_setg(errp, "the destination ended the recovery");
            }
            return false;
        }
        if (migration_cancelled(m)) {
            error_setg(errp, "the process goes down");
            return false;
        }
        mig_state_wait(m->state, MIG_STATE_POSTCOPY_RECOVER, G_MAXINT64);
    }
    return true;
}

static bool all_bitmaps_came(const Migration *m)
{
    return return_path_bitmaps(m->return_path) == m->ram->n_blocks;
}

static bool resume_acknowledged(const Migration *m)
{
    return return_path_resumed(m->return_path);
}

/* What is to be sent is what the destination says that it has not. */
static bool exchange_bitmaps(Migration *m, Error **errp)
{
    RamSource *r = m->ram;

    trace_postcopy_recover("source", "received bitmaps");
    for (unsigned i = 0; i < r->n_blocks; i++) {
        uint8_t payload[256];

        savevm_send_command(m->out, WIRE_CMD_RECV_BITMAP, payload,
                            wire_name_encode(payload, r->blocks[i].rb->idstr));
    }
    if (!wait_for(m, all_bitmaps_came, errp)) {
        return false;
    }
    for (unsigned i = 0; i < r->n_blocks; i++) {
        ram_dirty_set_missing(r, &r->blocks[i]);
    }
    ram_save_restart(r);
    return true;
}

static void forget_bitmaps(Migration *m)
{
    for (unsigned i = 0; i < m->ram->n_blocks; i++) {
        g_clear_pointer(&m->ram->blocks[i].received, g_free);
    }
}

static bool resume(Migration *m, Error **errp)
{
    trace_postcopy_recover("source", "resume");
    migration_moment(m, FAULT_SRC_RESUME);
    savevm_send_command(m->out, WIRE_CMD_POSTCOPY_RESUME, NULL, 0);
    if (!wait_for(m, resume_acknowledged, errp)) {
        return false;
    }
    migration_clear_error(m);
    __atomic_store_n(&m->unconfirmed, 0, __ATOMIC_RELEASE);
    return state_advance(m->state, MIG_STATE_POSTCOPY_RECOVER, MIG_STATE_POSTCOPY_ACTIVE);
}

bool postcopy_source_recover(Migration *m, Error *err)
{
    while (pause_here(m, g_steal_pointer(&err))) {
        bool good;

        if (m->carry.address) {
            if (!carry_save(m, &err)) {
                error_prefix(&err, "the rest was not written: ");
            }
            continue;
        }
        /* The thread of the return path before has ended, the next one is not there yet. */
        forget_bitmaps(m);
        good = reconnect(m, &err) && exchange_bitmaps(m, &err) &&
               preempt_source_connect(m, &err) && resume(m, &err);
        if (good) {
            return true;
        }
        error_prefix(&err, "recovery: ");
    }
    return false;
}
