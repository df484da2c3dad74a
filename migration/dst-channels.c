/*
 * The destination's connections: the main channel and multifd's, in whatever order they come.
 *
 * Belongs to the main thread, machine lock held.  A connection that may be one of several
 * kinds waits, without holding anybody up, until its first four bytes can be looked at (they
 * stay in the channel).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dst-channels.h"

#include <glib-unix.h>
#include <string.h>

#include "config.h"
#include "io/tls.h"
#include "multifd/multifd.h"
#include "ram.h"
#include "stream-internal.h"
#include "util/log.h"
#include "util/util.h"
#include "watch.h"
#include "wire.h"

#define FIRST_BYTES 4
/* Fewer than four of them have come: look again. */
#define AGAIN_MS 5

/* A connection that has not said what it is. */
typedef struct Undecided {
    Migration *m;
    IOChannel *ioc;
    guint source; /* GLib source; 0: it has spoken, and is the preempt channel or a stranger */
    guint timer;  /* the same: its patience; 0: no end to it */
} Undecided;

DstChannelKind dst_channel_kind(const uint8_t *first, bool have_main, unsigned missing,
                                bool preempt)
{
    uint32_t magic = first ? wire_get_be32(first)
                           : have_main ? WIRE_MULTIFD_MAGIC : WIRE_FILE_MAGIC;

    if (have_main && !missing) {
        return preempt ? DST_CHANNEL_PREEMPT : DST_CHANNEL_EXTRA;
    }
    switch (magic) {
    case WIRE_FILE_MAGIC:
        return have_main ? DST_CHANNEL_EXTRA : DST_CHANNEL_MAIN;
    case WIRE_MULTIFD_MAGIC:
        return missing ? DST_CHANNEL_MULTIFD : DST_CHANNEL_EXTRA;
    default:
        return DST_CHANNEL_STRANGER;
    }
}

/* The first connection: options are frozen, and there is a place for what comes. */
static void begin(Migration *m)
{
    if (m->config) {
        return;
    }
    m->config = mig_config_freeze(mig_settings());
    m->ram_dest = ram_dest_new(m->config);
    m->load = loadvm_new();
    /* Into a file (mapped-ram) they need no connections. */
    if (m->config->cap[MIG_CAP_MULTIFD] && !m->config->cap[MIG_CAP_MAPPED_RAM]) {
        MultifdRecv *mr = multifd_recv_new(m);

        g_mutex_lock(&m->error_lock);
        m->multifd_recv = m->ram_dest->multifd = mr;
        g_mutex_unlock(&m->error_lock);
    }
}

static unsigned missing(const Migration *m)
{
    return m->multifd_recv ? multifd_recv_missing(m->multifd_recv) : 0;
}

static bool preempt_missing(const Migration *m)
{
    return m->config->cap[MIG_CAP_POSTCOPY_PREEMPT] && !m->urgent_channel;
}

/* Nobody else may connect from here on: a source that tries all the same is told so at once. */
static void close_if_complete(Migration *m)
{
    if (m->channel && !missing(m) && !preempt_missing(m) && m->listener) {
        mig_listener_free(g_steal_pointer(&m->listener));
    }
}

static void start_main(Migration *m, IOChannel *ioc)
{
    Error *err = NULL;

    io_channel_set_name(ioc, "migration-main");
    if (io_channel_tls_creds(ioc)) {
        m->tls_creds = tls_creds_ref(io_channel_tls_creds(ioc));
    }
    m->in = stream_new_input(ioc);
    migration_set_channel(m, ioc);
    close_if_complete(m); /* before the source gets an answer, which invites the next connection */
    m->thread = mig_watch_start(m, &err) ? thread_try_start("incoming", dst_main, m, &err) : NULL;
    if (!m->thread) {
        dst_finish(m, err);
    }
}

static void decide(Migration *m, IOChannel *ioc, const uint8_t *first)
{
    switch (dst_channel_kind(first, m->channel, missing(m), preempt_missing(m))) {
    case DST_CHANNEL_MAIN:
        start_main(m, ioc);
        break;
    case DST_CHANNEL_MULTIFD:
        multifd_recv_add(m->multifd_recv, ioc);
        break;
    case DST_CHANNEL_PREEMPT:
        io_channel_set_name(ioc, "migration-preempt");
        migration_set_urgent_channel(m, ioc);
        src_wake(m); /* whoever is to load the package may wait for this */
        break;
    case DST_CHANNEL_EXTRA:
        warn_report("one more connection to %s was closed: it has all its channels already",
                    m->uri);
        io_channel_unref(ioc);
        break;
    case DST_CHANNEL_STRANGER:
        warn_report("a connection to %s was closed: it starts with 0x%08x, which is no channel of "
                    "a migration", m->uri, wire_get_be32(first));
        io_channel_unref(ioc);
        break;
    }
    close_if_complete(m);
}

static void unwatch(Undecided *u)
{
    if (u->source) {
        g_source_remove(u->source);
        u->source = 0;
    }
}

static void undecided_free(Undecided *u)
{
    if (u->timer) {
        g_source_remove(u->timer);
    }
    u->m->undecided = g_slist_remove(u->m->undecided, u);
    io_channel_unref(u->ioc);
    g_free(u);
}

/*
 * A preempt channel begins with whatever page is urgent, maybe before the others were looked at:
 * it is told apart by being the one that is left.
 */
static bool may_be_preempt(const Migration *m, const uint8_t *first)
{
    return preempt_missing(m) && (!m->channel || missing(m)) &&
           dst_channel_kind(first, m->channel, missing(m), true) == DST_CHANNEL_STRANGER;
}

/* When only the preempt channel is missing, who has not said that it is another is that. */
static void settle_silent(Migration *m)
{
    if (m->channel && !missing(m) && preempt_missing(m) && m->undecided) {
        Undecided *u = m->undecided->data;

        unwatch(u);
        decide(m, g_steal_pointer(&u->ioc), NULL);
        undecided_free(u);
    }
}

static gboolean on_first_bytes(gint fd, GIOCondition cond, gpointer opaque);
static gboolean on_again(gpointer opaque);

/* Frees u unless it has to be looked at again. */
static void look(Undecided *u)
{
    Migration *m = u->m;
    g_autoptr(Error) err = NULL;
    uint8_t first[FIRST_BYTES];
    ssize_t n = io_channel_peek(u->ioc, first, sizeof(first), &err);

    if (n == FIRST_BYTES && may_be_preempt(m, first)) {
        u->source = 0;
    } else if (n == FIRST_BYTES) {
        decide(m, g_steal_pointer(&u->ioc), first);
        undecided_free(u);
        settle_silent(m);
    } else if (n > 0) {
        u->source = g_timeout_add(AGAIN_MS, on_again, u);
    } else if (n == IO_WOULD_BLOCK) {
        u->source = g_unix_fd_add(u->ioc->fd_in, G_IO_IN | G_IO_HUP | G_IO_ERR, on_first_bytes, u);
    } else {
        warn_report("a connection to %s ended before it said anything%s%s", m->uri,
                    err ? ": " : "", err ? error_get_pretty(err) : "");
        undecided_free(u);
    }
}

static gboolean on_again(gpointer opaque)
{
    look(opaque);
    return G_SOURCE_REMOVE;
}

static gboolean on_first_bytes(gint fd, GIOCondition cond, gpointer opaque)
{
    look(opaque);
    return G_SOURCE_REMOVE;
}

/* Whoever it is, it is in nobody's way: the next one is waited for as before. */
static gboolean on_silent(gpointer opaque)
{
    Undecided *u = opaque;

    warn_report("a connection to %s said nothing and was closed (x-peer-timeout)", u->m->uri);
    unwatch(u);
    u->timer = 0;
    undecided_free(u);
    return G_SOURCE_REMOVE;
}

void dst_channels_accepted(IOChannel *ioc, void *opaque)
{
    Migration *m = opaque;
    Undecided *u;

    begin(m);
    /* Nothing to look at, or nothing to tell apart: a preempt channel says nothing by itself. */
    if (!ioc->klass->peek || (m->channel && !missing(m))) {
        decide(m, ioc, NULL);
        return;
    }
    u = g_new0(Undecided, 1);
    u->m = m;
    u->ioc = ioc;
    if (mig_live(MIG_PARAM_X_PEER_TIMEOUT)) {
        u->timer = g_timeout_add(mig_live(MIG_PARAM_X_PEER_TIMEOUT), on_silent, u);
    }
    m->undecided = g_slist_prepend(m->undecided, u);
    look(u);
}

void dst_channels_failed_bh(void *opaque)
{
    Migration *m = opaque;

    if (!m->channel && m->listener) {
        mig_listener_free(g_steal_pointer(&m->listener));
        dst_channels_clear(m);
        dst_finish(m, NULL);
    }
}

void dst_channels_clear(Migration *m)
{
    while (m->undecided) {
        Undecided *u = m->undecided->data;

        unwatch(u);
        undecided_free(u);
    }
}
