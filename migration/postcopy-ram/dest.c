/*
 * The destination of a postcopy: what each command does.
 *
 * Incoming thread, except where a function says otherwise.  From LISTEN on the main
 * stream belongs to the listen thread, which this thread starts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/dest-int.h"

#include <inttypes.h>
#include <sys/eventfd.h>

#include "migration/config.h"
#include "migration/postcopy-ram/discard.h"
#include "migration/return-path.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "migration/verify.h"
#include "migration/wire.h"
#include "system/cpus.h"
#include "trace/migration.h"
#include "util/util.h"

static const char *const phase_names[] = {
    [POSTCOPY_ADVISED] = "advised",     [POSTCOPY_DISCARDING] = "discarding",
    [POSTCOPY_LISTENING] = "listening", [POSTCOPY_RUNNING] = "running",
    [POSTCOPY_ENDED] = "ended",
};

void postcopy_set_phase(PostcopyDest *pd, PostcopyPhase phase)
{
    trace_postcopy_phase(phase_names[phase]);
    if (phase == POSTCOPY_LISTENING || phase == POSTCOPY_ENDED) {
        /* In between a page that is gone would be asked for, and never come again. */
        ramblock_discard_inhibit(phase == POSTCOPY_LISTENING);
    }
    __atomic_store_n(&pd->phase, phase, __ATOMIC_RELEASE);
}

/* The command is legal now, or says why not. */
static bool check_phase(const Migration *m, PostcopyPhase first, PostcopyPhase last, Error **errp)
{
    const PostcopyDest *pd = m->postcopy_dest;
    PostcopyPhase phase;

    if (!pd) {
        error_setg(errp, "it came without POSTCOPY_ADVISE before");
        return false;
    }
    phase = postcopy_phase(pd);
    if (phase < first || phase > last) {
        error_setg(errp, "it came when postcopy was %s already", phase_names[phase]);
        return false;
    }
    return true;
}

/* ---- ADVISE ---- */

static bool check_advise(const Migration *m, const WireAdvise *a, Error **errp)
{
    if (!m->config->cap[MIG_CAP_POSTCOPY_RAM]) {
        error_setg(errp, "the source has postcopy-ram on; it is off here");
        return false;
    }
    if (a->target_page_size != TARGET_PAGE_SIZE) {
        error_setg(errp, "the source's target pages have %" PRIu64 " bytes, those here %lu",
                   a->target_page_size, TARGET_PAGE_SIZE);
        return false;
    }
    if (a->page_size_summary != postcopy_page_size_summary()) {
        error_setg(errp,
                   "the source's RAM blocks have host pages of 0x%" PRIx64
                   " bytes (sizes ORed), those here 0x%" PRIx64,
                   a->page_size_summary, postcopy_page_size_summary());
        return false;
    }
    return postcopy_supported_by_host(errp);
}

/* The map shares the bitmaps that ram_load() has marked pages in so far: none. */
static Pmi *map_of_blocks(const RamDest *rd)
{
    g_autofree RAMBlock **rbs = g_new(RAMBlock *, rd->n_blocks);
    g_autofree unsigned long **received = g_new(unsigned long *, rd->n_blocks);

    for (unsigned i = 0; i < rd->n_blocks; i++) {
        rbs[i] = rd->blocks[i].rb;
        received[i] = rd->blocks[i].received;
    }
    return pmi_new(rbs, received, rd->n_blocks);
}

static Blocktime *blocktime_for_vcpus(void)
{
    g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(int));

    CPU_FOREACH(cpu) {
        g_array_append_val(tids, cpu->host_tid);
    }
    return blocktime_new((const int *)tids->data, tids->len);
}

/* Whatever the memory holds so far is not what the source has. */
static bool empty_memory(PostcopyDest *pd, Error **errp)
{
    for (unsigned i = 0; i < pd->pmi->num_blocks; i++) {
        PmiBlock *b = &pd->pmi->blocks[i];

        if (!ramblock_discard(b->rb, 0, b->length, errp)) {
            return false;
        }
        pmi_discard(pd->pmi, b, 0, b->length);
    }
    return true;
}

bool postcopy_dest_advise(Migration *m, const uint8_t *payload, size_t len, Error **errp)
{
    PostcopyDest *pd;
    WireAdvise a;

    if (m->postcopy_dest) {
        error_setg(errp, "it came twice");
        return false;
    }
    if (!wire_advise_decode(payload, len, &a, errp)) {
        return false;
    }
    if (!a.with_ram) {
        error_setg(errp, "the source wants to postcopy dirty bitmaps and no RAM; Ferry has no "
                   "dirty bitmaps");
        return false;
    }
    if (!m->rp_send) {
        error_setg(errp, "it came before OPEN_RETURN_PATH");
        return false;
    }
    if (!check_advise(m, &a, errp)) {
        return false;
    }
    pd = g_new0(PostcopyDest, 1);
    pd->m = m;
    pd->uffd = pd->watcher_fd = -1;
    pd->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pd->wake_fd < 0) {
        g_error("cannot make an eventfd: %s", g_strerror(errno));
    }
    g_mutex_init(&pd->lock);
    g_cond_init(&pd->cond);
    pd->pmi = map_of_blocks(m->ram_dest);
    if (m->config->cap[MIG_CAP_POSTCOPY_BLOCKTIME]) {
        pd->blocktime = blocktime_for_vcpus();
    }
    postcopy_set_phase(pd, POSTCOPY_ADVISED);
    __atomic_store_n(&m->postcopy_dest, pd, __ATOMIC_RELEASE);
    return empty_memory(pd, errp);
}

/* ---- DISCARD ---- */

bool postcopy_dest_discard(Migration *m, const uint8_t *payload, size_t len, Error **errp)
{
    PostcopyDest *pd = m->postcopy_dest;

    if (!check_phase(m, POSTCOPY_ADVISED, POSTCOPY_DISCARDING, errp)) {
        return false;
    }
    if (postcopy_phase(pd) == POSTCOPY_ADVISED) {
        postcopy_thp(pd, false);
        postcopy_set_phase(pd, POSTCOPY_DISCARDING);
    }
    return discard_apply(pd->pmi, payload, len, errp);
}

/* ---- LISTEN ---- */

static uint8_t *sink_buffer(void *opaque, RAMBlock *rb, uint64_t offset, Error **errp)
{
    PlaceChannel *c = opaque;

    return place_buffer(c->placer, pmi_find(c->pd->pmi, rb), offset, errp);
}

static bool sink_done(void *opaque, RAMBlock *rb, uint64_t offset, bool zero, Error **errp)
{
    PlaceChannel *c = opaque;

    return zero ? place_zero_page(c->placer, pmi_find(c->pd->pmi, rb), offset, errp)
                : place_page_done(c->placer, errp);
}

/* Records between two looks at who waits and at what has come for them: some 10 us of work. */
#define LOOK_RECORDS 8

static bool sink_before_read(void *opaque, Stream *s, Error **errp)
{
    PlaceChannel *c = opaque;
    const RamDestBlock *last = c->rd->last;

    if (++c->records % LOOK_RECORDS == 0) {
        if (c->watches) {
            fault_look(c);
        }
        if (pmi_outstanding(c->pd->pmi)) {
            stream_top_up(s);
        }
    }

    return place_before_read(c->placer, s, errp) &&
           (!last || place_ahead(c->placer, pmi_find(c->pd->pmi, last->rb), s, errp));
}

static bool sink_flush(void *opaque, Error **errp)
{
    PlaceChannel *c = opaque;

    if (place_host_page_open(c->placer)) {
        error_setg(errp, "the section ends inside a huge host page");
        return false;
    }
    return place_flush(c->placer, errp);
}

const PageSink postcopy_sink = {
    .buffer = sink_buffer,
    .done = sink_done,
    .before_read = sink_before_read,
    .flush = sink_flush,
};

/* Placing thread: somebody's page is there. */
static void page_placed(void *opaque, PmiBlock *b, uint64_t offset, uint64_t len)
{
    PostcopyDest *pd = opaque;

    if (pd->blocktime) {
        blocktime_end(pd->blocktime, (uintptr_t)b->rb->host + offset, len, host_clock_ns());
    }
}

static bool start_serving(PostcopyDest *pd, Error **errp)
{
    Migration *m = pd->m;

    pd->placer = placer_new(pd->pmi, -1, page_placed, pd);
    if (!postcopy_register_all(pd, errp)) {
        return false;
    }
    placer_set_uffd(pd->placer, pd->uffd);
    verify_dest_listen(m);
    if (!fault_thread_start(pd, errp)) {
        return false;
    }
    if (!state_advance(m->state, MIG_STATE_ACTIVE, MIG_STATE_POSTCOPY_DEVICE)) {
        error_setg(errp, "the load has ended already");
        return false;
    }
    pd->main = (PlaceChannel){ .pd = pd, .placer = pd->placer, .rd = m->ram_dest };
    m->ram_dest->sink_opaque = &pd->main;
    m->ram_dest->sink = &postcopy_sink;
    return preempt_dest_start(pd, errp);
}

static bool start_listening(PostcopyDest *pd, Error **errp)
{
    io_channel_set_recv_buffer(pd->m->channel, POSTCOPY_SOCKET_BUFFER);
    io_channel_set_send_buffer(pd->m->channel, POSTCOPY_REQUEST_BUFFER);
    postcopy_set_phase(pd, POSTCOPY_LISTENING);
    return listen_thread_start(pd, errp);
}

bool postcopy_dest_listen(Migration *m, Error **errp)
{
    PostcopyDest *pd = m->postcopy_dest;

    if (!check_phase(m, POSTCOPY_ADVISED, POSTCOPY_DISCARDING, errp)) {
        return false;
    }
    migration_moment(m, FAULT_DST_LISTEN);
    if (!start_serving(pd, errp) || !start_listening(pd, errp)) {
        preempt_dest_stop(pd);
        fault_thread_stop(pd);
        postcopy_unregister_all(pd);
        return false;
    }
    return true;
}

/* ---- PING 0x42, RUN ---- */

/*
 * The answer is the promise that the guest will run here, whatever becomes of the stream: on
 * hearing it the source gives it up.
 */
bool postcopy_dest_promise(Migration *m, Error **errp)
{
    PostcopyDest *pd = m->postcopy_dest;
    bool ok;

    if (!check_phase(m, POSTCOPY_LISTENING, POSTCOPY_LISTENING, errp)) {
        return false;
    }
    migration_moment(m, FAULT_DST_PROMISE);
    g_mutex_lock(&pd->lock);
    ok = !pd->listen_failed;
    pd->promised = ok;
    g_mutex_unlock(&pd->lock);
    if (!ok) {
        error_setg(errp, "the stream has failed already");
    }
    return ok;
}

bool postcopy_dest_run(Migration *m, Error **errp)
{
    PostcopyDest *pd = m->postcopy_dest;
    bool ok;

    if (!check_phase(m, POSTCOPY_LISTENING, POSTCOPY_LISTENING, errp)) {
        return false;
    }
    migration_moment(m, FAULT_DST_RUN);
    g_mutex_lock(&pd->lock);
    ok = !pd->listen_failed &&
         state_advance(m->state, MIG_STATE_POSTCOPY_DEVICE, MIG_STATE_POSTCOPY_ACTIVE);
    if (ok) {
        postcopy_set_phase(pd, POSTCOPY_RUNNING);
    }
    g_mutex_unlock(&pd->lock);
    if (!ok) {
        error_setg(errp, "the stream has failed already");
        return false;
    }
    dst_start_machine(m);
    return true;
}

/* ---- questions, any thread ---- */

static const PostcopyDest *dest_of(const Migration *m)
{
    return __atomic_load_n(&m->postcopy_dest, __ATOMIC_ACQUIRE);
}

bool postcopy_dest_placing(const Migration *m)
{
    const PostcopyDest *pd = dest_of(m);

    return pd && postcopy_phase(pd) >= POSTCOPY_LISTENING;
}

bool postcopy_dest_running(const Migration *m)
{
    const PostcopyDest *pd = dest_of(m);

    return pd && postcopy_phase(pd) >= POSTCOPY_RUNNING;
}

/* ---- the end ---- */

bool postcopy_dest_main_done(Migration *m, Error *err)
{
    PostcopyDest *pd = m->postcopy_dest;

    if (!pd || !pd->listen_thread) {
        return false;
    }
    g_mutex_lock(&pd->lock);
    pd->main_done = true;
    pd->main_error = err;
    g_cond_signal(&pd->cond);
    g_mutex_unlock(&pd->lock);
    if (err) {
        /* No more pages for a guest that will not run; SHUT can still be sent. */
        io_channel_shutdown(m->channel, IO_SHUTDOWN_READ, NULL);
    }
    return true;
}

void postcopy_dest_free(PostcopyDest *pd)
{
    if (!pd) {
        return;
    }
    if (pd->listen_thread) {
        g_thread_join(pd->listen_thread);
    }
    preempt_dest_stop(pd);
    fault_thread_stop(pd);
    postcopy_unregister_all(pd);
    postcopy_thp(pd, true);
    placer_free(pd->placer);
    blocktime_free(pd->blocktime);
    pmi_free(pd->pmi);
    mig_acceptor_free(pd->acceptor);
    carry_file_free(pd->file);
    close_fd(&pd->wake_fd);
    g_clear_error(&pd->main_error);
    g_mutex_clear(&pd->lock);
    g_cond_clear(&pd->cond);
    g_free(pd);
}

static void add_ints(JsonBuilder *b, const char *name, const int64_t *values, unsigned n,
                     int64_t unit)
{
    json_builder_set_member_name(b, name);
    json_builder_begin_array(b);
    for (unsigned i = 0; i < n; i++) {
        json_builder_add_int_value(b, values[i] / unit);
    }
    json_builder_end_array(b);
}

static void add_int(JsonBuilder *b, const char *name, int64_t value)
{
    json_builder_set_member_name(b, name);
    json_builder_add_int_value(b, value);
}

void postcopy_dest_query(Migration *m, JsonBuilder *b)
{
    const PostcopyDest *pd = dest_of(m);
    BlocktimeReport r;

    if (!pd || !pd->blocktime || postcopy_phase(pd) != POSTCOPY_ENDED) {
        return;
    }
    blocktime_report(pd->blocktime, &r);
    add_int(b, "postcopy-blocktime", r.all_blocked_ns / 1000000);
    add_ints(b, "postcopy-vcpu-blocktime", r.vcpu_blocked_ns, r.num_vcpus, 1000000);
    add_int(b, "postcopy-latency", r.latency_ns);
    add_ints(b, "postcopy-latency-dist", (const int64_t *)r.buckets, BLOCKTIME_BUCKETS, 1);
    add_ints(b, "postcopy-vcpu-latency", r.vcpu_latency_ns, r.num_vcpus, 1);
    add_int(b, "postcopy-non-vcpu-latency", r.non_vcpu_latency_ns);
    blocktime_report_clear(&r);
}
