/*
 * The destination's incoming thread, and how a load ends.
 *
 * dst_main() belongs to the incoming thread; the functions with _bh run in the main
 * thread under the machine lock.
 *
 *   precopy:   dst_main reads all -> dst_finish -> finish_bh starts the machine
 *   postcopy:  dst_main reads up to RUN and ends; RUN -> dst_start_machine; the listen
 *              thread reads the rest -> dst_finish
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-int.h"

#include "channel.h"
#include "config.h"
#include "globalstate.h"
#include "mapped-ram.h"
#include "multifd/multifd.h"
#include "net/net.h"
#include "postcopy-ram/postcopy.h"
#include "ram.h"
#include "return-path.h"
#include "state.h"
#include "stream-internal.h"
#include "system/cpus.h"
#include "system/machine-lock.h"
#include "trace/migration.h"
#include "util/log.h"
#include "verify.h"

/* ---- main thread ---- */

/*
 * As the source was: running there means running here (unless -S), anything else is
 * taken over.  In postcopy the guest always runs on.  A guest that sleeps sleeps on.
 */
static void start_machine(bool postcopy)
{
    const GlobalState *g = globalstate();
    const MigConfig *c = mig_settings_get(mig_settings());
    bool ran = postcopy || !g->received || g->loaded == RUN_STATE_RUNNING ||
               g->loaded == RUN_STATE_SUSPENDED;

    cpu_put_all_init();
    net_announce(&(NetAnnounce){ c->announce_initial, c->announce_max, c->announce_rounds,
                                 c->announce_step });
    vm_set_asleep(g->received && (g->suspended || g->loaded == RUN_STATE_SUSPENDED));
    if (!ran) {
        runstate_set(g->loaded);
    } else if (autostart) {
        vm_start();
    } else {
        runstate_set(RUN_STATE_PAUSED);
    }
}

static void start_bh(void *opaque)
{
    start_machine(true);
}

void dst_start_machine(Migration *m)
{
    main_loop_call(start_bh, m);
}

static void finish_well(Migration *m)
{
    MigState was = mig_state_get(m->state);
    Error *err = NULL;

    if (!mig_state_is_postcopy(was)) {
        start_machine(false);
    }
    if (!state_advance(m->state, was, MIG_STATE_COMPLETED)) {
        warn_report("the incoming migration ended in state '%s'",
                    mig_state_name(mig_state_get(m->state)));
    }
    migration_moment(m, FAULT_DST_SHUT);
    if (m->rp_send && m->channel && !return_path_send_shut(m->rp_send, 0, &err)) {
        error_report_err(err); /* the guest runs here all the same */
    }
}

static void finish_badly(Migration *m)
{
    g_autoptr(Error) err = migration_get_error(m);

    error_report("incoming migration from %s failed: %s", m->uri, error_get_pretty(err));
    state_advance_any(m->state, MIG_STATE_FAILED, NULL);
    if (m->rp_send) {
        return_path_send_shut(m->rp_send, 1, NULL);
    }
    if (m->exit_on_error) {
        system_exit_request(1);
    }
}

static void finish_bh(void *opaque)
{
    Migration *m = opaque;
    g_autoptr(Error) err = migration_get_error(m);

    if (err) {
        finish_badly(m);
    } else {
        finish_well(m);
    }
    migration_shutdown_channels(m);
    if (m->channel) {
        m->channel->close_in_peace = !err; /* a command still has SHUT to pass on */
        io_channel_close(m->channel, NULL);
    }
    migration_set_urgent_channel(m, NULL);
    migration_set_pages_channel(m, NULL);
    if (m->listener) { /* for a preempt channel that never came */
        mig_listener_free(g_steal_pointer(&m->listener));
    }
}

void dst_finish(Migration *m, Error *err)
{
    if (err) {
        migration_set_error(m, err);
    }
    main_loop_call(finish_bh, m);
}

/* ---- incoming thread ---- */

void *dst_main(void *opaque)
{
    Migration *m = opaque;
    LoadResult result = LOAD_ERROR;
    Error *err = NULL;

    if (!state_advance(m->state, MIG_STATE_SETUP, MIG_STATE_ACTIVE)) {
        return NULL; /* the process is going down */
    }
    migration_moment(m, FAULT_DST_HEADER);
    if (mapped_open(m, stream_channel(m->in), &err) && loadvm_header(m, m->in, &err)) {
        stat_set(m->greeted, 1);
        result = loadvm_run(m, m->in, false, &err);
    }
    if (result == LOAD_EOF && m->multifd_recv &&
        !multifd_recv_no_more_pages(m->multifd_recv, &err)) {
        result = LOAD_ERROR;
    }
    if (result == LOAD_EOF && !verify_dest_end(m, &err)) {
        result = LOAD_ERROR;
    }
    if (result == LOAD_EOF) {
        ram_load_trim(m->ram_dest);
        if (!loadvm_skip_vmdesc(m, m->in, &err)) {
            result = LOAD_ERROR;
        }
    }
    trace_migration_load_end(m->uri, result, err ? error_get_pretty(err) : "");
    if (migration_cancelled(m)) {
        g_clear_error(&err);
        postcopy_dest_main_done(m, NULL);
        return NULL;
    }
    migration_moment(m, FAULT_DST_EOF);
    if (!postcopy_dest_main_done(m, err)) {
        dst_finish(m, err);
    }
    return NULL;
}
