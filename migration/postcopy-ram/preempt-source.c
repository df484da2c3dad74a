/*
 * The source's end of the preempt channel.  Belongs to the return-path thread, which sends a
 * requested page itself the moment it reads the request; the migration thread connects before
 * and says the end.  The lock orders these two: it is held while a page is sent, and nobody
 * waits for it who is waited for (the destination reads the channel whatever it does else).
 *
 * When it is connected: the first connection must have become the main one by then.  A PONG
 * proves that, so it is made once one has come, long before it is needed; a destination before
 * 8.0 reads nothing until it has both connections, and gets the second one when the answer is
 * late.  A recovery connects when all bitmaps have come, with such a destination right behind the
 * main connection.  x-preempt-pre-7-2 takes that for granted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/preempt.h"

#include "migration/channel.h"
#include "migration/config.h"
#include "migration/stream-internal.h"
#include "migration/wire.h"
#include "trace/migration.h"
#include "util/util.h"

struct PreemptSource {
    Migration *m;
    GMutex lock;
    Stream *out;          /* lock */
    RamSourceBlock *last; /* lock: what CONTINUE means on this channel */
    bool finished;        /* lock: EOS was sent, or the channel broke; requests that come now were
                             answered before, or never will be */
};

bool preempt_source_connect(Migration *m, Error **errp)
{
    PreemptSource *p;
    IOChannel *ioc;

    if (m->preempt || !m->config->cap[MIG_CAP_POSTCOPY_PREEMPT]) {
        return true;
    }
    ioc = mig_connector_connect(m->connector, errp);
    if (!ioc) {
        error_prefix(errp, "preempt channel: ");
        return false;
    }
    io_channel_set_name(ioc, "migration-preempt");
    trace_postcopy_preempt("source", "connected");
    p = g_new0(PreemptSource, 1);
    p->m = m;
    p->out = stream_new_output(ioc);
    g_mutex_init(&p->lock);
    migration_set_urgent_channel(m, ioc);
    __atomic_store_n(&m->preempt, p, __ATOMIC_RELEASE);
    return true;
}

/*
 * The migration thread and the destination are to notice.  What the destination said before is
 * still heard: it may be that the guest runs there.
 */
static void break_off(Migration *m, IOChannel *preempt)
{
    io_channel_shutdown(preempt, IO_SHUTDOWN_BOTH, NULL);
    io_channel_shutdown(m->channel, IO_SHUTDOWN_WRITE, NULL);
    src_wake(m);
}

void preempt_source_send(PreemptSource *p, RamSourceBlock *b, uint64_t start, uint64_t len)
{
    Migration *m = p->m;
    uint64_t before;
    Error *err = NULL;

    stat_add(m->stats.postcopy_requests, 1);
    g_mutex_lock(&p->lock);
    if (p->finished) {
        g_mutex_unlock(&p->lock);
        return;
    }
    before = stream_bytes(p->out);
    ram_save_urgent(m, p->out, &p->last, b, start >> TARGET_PAGE_BITS, len >> TARGET_PAGE_BITS);
    stat_add(m->stats.postcopy_bytes, stream_bytes(p->out) - before);
    p->finished = stream_error(p->out, &err);
    g_mutex_unlock(&p->lock);
    if (err) {
        error_prefix(&err, "preempt channel: ");
        migration_set_error(m, err);
        break_off(m, stream_channel(p->out));
    } else if (!ram_dirty_bytes(m->ram)) {
        src_wake(m); /* that was the last one, and it need not sleep out its rate window */
    }
}

void preempt_source_finish(PreemptSource *p)
{
    if (!p) {
        return;
    }
    g_mutex_lock(&p->lock);
    /* A destination that needs no EOS may have closed the channel already: no error. */
    stream_put_be64(p->out, WIRE_RAM_EOS);
    stream_flush(p->out);
    p->finished = true;
    g_mutex_unlock(&p->lock);
    trace_postcopy_preempt("source", "finished");
}

void preempt_source_end(Migration *m)
{
    preempt_source_free(g_steal_pointer(&m->preempt));
    migration_set_urgent_channel(m, NULL);
}

void preempt_source_free(PreemptSource *p)
{
    if (p) {
        stream_free(p->out);
        g_mutex_clear(&p->lock);
        g_free(p);
    }
}
