/*
 * The destination's end of the preempt channel: its thread ("mig/dst/preempt") reads pages that
 * somebody waits for and puts them in place, beside the listen thread, with buffers of its own, and
 * watches userfaultfd meanwhile (fault.c).
 *
 * The thread is the placer of its channel and nothing else: it takes no lock but, for the end,
 * PostcopyDest.lock.  When the channel breaks it shuts the main channel down, and the listen
 * thread does what is to be done.  Starting, draining and stopping are the listen thread's (the
 * incoming thread's at LISTEN).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/config.h"
#include "migration/postcopy-ram/dest-int.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/sched.h"
#include "util/util.h"

/* The source connects before it stops the guest: it is late already. */
#define CHANNEL_WAIT_US (10 * G_USEC_PER_SEC)
/* While the main stream has ended: how often to look whether all pages have come. */
#define DRAIN_LOOK_US 2000

struct PreemptDest {
    PostcopyDest *pd;  /* constant, as the next three */
    IOChannel *ioc;
    Stream *in;
    RamDest view;      /* the same blocks; `last` and `sink` are this channel's */
    PlaceChannel place;
    GThread *thread;   /* until joined */
    bool draining;     /* pd->lock: the main stream has ended, this channel may end as it likes */
    bool ended;        /* pd->lock: the thread reads no more */
};

bool preempt_dest_wait(Migration *m, Error **errp)
{
    int64_t until = g_get_monotonic_time() + CHANNEL_WAIT_US;
    g_autoptr(IOChannel) ioc = NULL;

    if (!m->config->cap[MIG_CAP_POSTCOPY_PREEMPT]) {
        return true;
    }
    while (!(ioc = migration_get_urgent_channel(m))) {
        if (migration_cancelled(m) || g_get_monotonic_time() >= until) {
            error_setg(errp, "the source has not made the preempt channel: is postcopy-preempt on "
                       "there, and can %s be connected to twice?", m->uri);
            return false;
        }
        mig_state_wait(m->state, mig_state_get(m->state), until);
    }
    return true;
}

static void end_of_channel(PreemptDest *p, Error *err)
{
    PostcopyDest *pd = p->pd;
    bool matters;

    g_mutex_lock(&pd->lock);
    matters = err && !p->draining;
    p->ended = true;
    g_cond_broadcast(&pd->cond);
    g_mutex_unlock(&pd->lock);
    trace_postcopy_preempt("destination", err ? err->message : "EOS");
    if (matters) {
        error_prefix(&err, "preempt channel: ");
        migration_set_error(pd->m, err);
        migration_shutdown_channels(pd->m);
    } else {
        g_clear_error(&err);
    }
}

static void *preempt_thread(void *opaque)
{
    PreemptDest *p = opaque;
    Error *err = NULL;

    sched_set_slice(0, SCHED_SLICE_URGENT_NS);
    fault_take_over(&p->place, p->in);
    ram_load(&p->view, p->in, p->pd->m->config, &err);
    fault_give_back(&p->place);
    end_of_channel(p, err);
    return NULL;
}

bool preempt_dest_start(PostcopyDest *pd, Error **errp)
{
    IOChannel *ioc = migration_get_urgent_channel(pd->m);
    PreemptDest *p;

    if (!ioc) {
        return true;
    }
    p = g_new0(PreemptDest, 1);
    p->pd = pd;
    p->ioc = ioc;
    p->in = stream_new_input(ioc);
    stream_set_name(p->in, "preempt channel");
    p->view = *pd->m->ram_dest;
    p->view.last = NULL;
    p->view.sink = &postcopy_sink;
    p->view.sink_opaque = &p->place;
    p->place = (PlaceChannel){ .pd = pd, .placer = placer_new_like(pd->placer), .rd = &p->view,
                               .urgent = true };
    pd->preempt = p;
    p->thread = thread_try_start("mig/dst/preempt", preempt_thread, p, errp);
    return p->thread != NULL;
}

static bool all_received(const PostcopyDest *pd)
{
    for (unsigned i = 0; i < pd->pmi->num_blocks; i++) {
        const PmiBlock *b = &pd->pmi->blocks[i];

        if (bitmap_find_next_zero(b->received, b->pages, 0) < b->pages) {
            return false;
        }
    }
    return true;
}

void preempt_dest_drain(PostcopyDest *pd)
{
    PreemptDest *p = pd->preempt;

    if (!p) {
        return;
    }
    g_mutex_lock(&pd->lock);
    p->draining = true;
    while (!p->ended && !all_received(pd) && !migration_cancelled(pd->m)) {
        g_cond_wait_until(&pd->cond, &pd->lock, g_get_monotonic_time() + DRAIN_LOOK_US);
    }
    g_mutex_unlock(&pd->lock);
}

void preempt_dest_stop(PostcopyDest *pd)
{
    PreemptDest *p = g_steal_pointer(&pd->preempt);

    if (p) {
        g_mutex_lock(&pd->lock);
        p->draining = true;
        g_mutex_unlock(&pd->lock);
        io_channel_shutdown(p->ioc, IO_SHUTDOWN_BOTH, NULL);
        if (p->thread) {
            g_thread_join(p->thread);
        }
        stream_free(p->in);
        io_channel_unref(p->ioc);
        placer_free(p->place.placer);
        g_free(p);
    }
    migration_set_urgent_channel(pd->m, NULL);
}
