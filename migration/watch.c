/*
 * Watching that a migration's peer is alive.
 *
 * Belongs to its own thread, one a migration.  It reads counters of the channels and looks at how much
 * the kernel still has to send; it does no IO and takes no lock but `error_lock` and its own.
 *
 * What counts is bytes that the peer has taken or sent.  A source that is silent because it has to be
 * (a limit of bandwidth, a switchover that is not acknowledged yet) says so; bytes that lie in the
 * socket all the while are no excuse.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "watch.h"

#include "config.h"
#include "multifd/multifd.h"
#include "state.h"
#include "trace/migration.h"
#include "util/util.h"

/* How often it looks: a part of the timeout, and never less than this. */
#define LOOKS 8
#define LOOK_MAX_MS 1000

struct MigWatch {
    Migration *m;
    GThread *thread;
    GMutex lock;
    GCond cond;
    bool quit; /* lock */
};

/* Sides and states in which the peer or the host must get on.  The others wait for an operator. */
static bool must_move(const Migration *m, MigState s)
{
    switch (s) {
    case MIG_STATE_SETUP:
        return m->source && !m->cpr_connector;
    case MIG_STATE_ACTIVE:
        /* A source may stop before the switch for as long as it likes; its greeting may not. */
        return m->source || !stat_get(m->greeted);
    case MIG_STATE_DEVICE:
    case MIG_STATE_POSTCOPY_DEVICE:
    case MIG_STATE_POSTCOPY_ACTIVE:
    case MIG_STATE_POSTCOPY_RECOVER_SETUP:
    case MIG_STATE_POSTCOPY_RECOVER:
        return true;
    default:
        return false;
    }
}

typedef struct Progress {
    uint64_t moved;   /* bytes that came, and that have left this host */
    uint64_t waiting; /* bytes that have not */
    bool file;        /* nobody is at the other end */
} Progress;

static void add_channel(const IOChannel *ioc, Progress *p)
{
    if (ioc) {
        uint64_t waiting = io_channel_unsent(ioc);

        p->moved += io_channel_moved(ioc) - waiting;
        p->waiting += waiting;
        p->file |= ioc->klass->seekable;
    }
}

static void each_channel(IOChannel *ioc, void *opaque)
{
    add_channel(ioc, opaque);
}

static Progress progress(Migration *m)
{
    Progress p = { 0 };

    g_mutex_lock(&m->error_lock);
    add_channel(m->channel, &p);
    add_channel(m->urgent_channel, &p);
    if (m->multifd_send) {
        multifd_send_each(m->multifd_send, each_channel, &p);
    }
    if (m->multifd_recv) {
        multifd_recv_each(m->multifd_recv, each_channel, &p);
    }
    g_mutex_unlock(&m->error_lock);
    return p;
}

static void give_up(Migration *m, uint64_t timeout_ms)
{
    Error *err = NULL;

    error_setg(&err, "the peer has taken and sent nothing for %" G_GUINT64_FORMAT " ms "
               "(x-peer-timeout)", timeout_ms);
    trace_migration_peer_silent(m->uri, timeout_ms);
    migration_set_error(m, err);
    migration_shutdown_channels(m);
}

/* What was seen, and when something was seen last. */
typedef struct Seen {
    MigState state;
    uint64_t moved, naps;
    int64_t at_ms;
} Seen;

static void look(Migration *m, Seen *seen, uint64_t timeout_ms)
{
    MigState s = mig_state_get(m->state);
    uint64_t naps = stat_get(m->naps);
    Progress p = progress(m);
    bool alive = s != seen->state || p.moved != seen->moved || (naps != seen->naps && !p.waiting) ||
                 !must_move(m, s) || p.file || stat_get(m->closing);

    *seen = (Seen){ s, p.moved, naps, alive ? host_clock_ms() : seen->at_ms };
    if (timeout_ms && host_clock_ms() - seen->at_ms >= (int64_t)timeout_ms) {
        give_up(m, timeout_ms);
        seen->at_ms = host_clock_ms();
    }
}

static void *watch_thread(void *opaque)
{
    MigWatch *w = opaque;
    Seen seen = { .state = MIG_STATE__MAX };

    g_mutex_lock(&w->lock);
    while (!w->quit && !mig_state_is_ended(mig_state_get(w->m->state))) {
        uint64_t timeout_ms = mig_live(MIG_PARAM_X_PEER_TIMEOUT);
        uint64_t ms = timeout_ms ? CLAMP(timeout_ms / LOOKS, 1, LOOK_MAX_MS) : LOOK_MAX_MS;

        g_mutex_unlock(&w->lock);
        look(w->m, &seen, timeout_ms);
        g_mutex_lock(&w->lock);
        if (!w->quit) {
            g_cond_wait_until(&w->cond, &w->lock, g_get_monotonic_time() + ms * 1000);
        }
    }
    g_mutex_unlock(&w->lock);
    return NULL;
}

bool mig_watch_start(Migration *m, Error **errp)
{
    MigWatch *w = g_new0(MigWatch, 1);

    w->m = m;
    g_mutex_init(&w->lock);
    g_cond_init(&w->cond);
    m->watch = w;
    w->thread = thread_try_start("mig/watch", watch_thread, w, errp);
    return w->thread != NULL;
}

void mig_watch_stop(Migration *m)
{
    MigWatch *w = g_steal_pointer(&m->watch);

    if (!w) {
        return;
    }
    g_mutex_lock(&w->lock);
    w->quit = true;
    g_cond_signal(&w->cond);
    g_mutex_unlock(&w->lock);
    if (w->thread) {
        g_thread_join(w->thread);
    }
    g_mutex_clear(&w->lock);
    g_cond_clear(&w->cond);
    g_free(w);
}

void mig_watch_nap(Migration *m)
{
    stat_add(m->naps, 1);
}
