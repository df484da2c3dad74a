/*
 * multifd on the source: batches of pages, a queue, a thread a channel.
 *
 * The functions of multifd.h are the migration thread's unless they say otherwise; those
 * named channel_ belong to the thread of one channel ("mig/src/send_N").
 *
 * The main thread stops the migration with multifd_send_shutdown(); a channel that fails
 * notes why and shuts everything down, so that nobody stays blocked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/core/machine.h"
#include "migration/channel.h"
#include "migration/config.h"
#include "migration/journey.h"
#include "migration/mapped-ram.h"
#include "migration/multifd/codec.h"
#include "migration/multifd/multifd.h"
#include "migration/pagemap.h"
#include "util/util.h"

#define SEND_BUFFER (1 * MiB)

/* Pages of one block, to be sent as one packet. */
typedef struct Batch {
    RamSourceBlock *b;
    unsigned n;
    uint64_t page[MULTIFD_PAGES];
} Batch;

/* Keys: [c] constant once the thread runs, [t] the channel's thread, [Q] MultifdSend.lock. */
typedef struct SendChannel {
    MultifdSend *ms;          /* [c] */
    unsigned id;              /* [c] */
    IOChannel *ioc;           /* [c] shutdown: any thread, under [Q] */
    GThread *thread;          /* migration thread, then whoever frees */
    CodecState *codec;        /* [t] NULL: pages go as they are */
    uint8_t *packed;          /* [t] MULTIFD_DATA_MAX bytes, NULL without codec */
    MultifdHeader header;     /* [t] */
    unsigned syncs;           /* [Q] SYNC packets that are due, one a mark */
} SendChannel;

typedef struct SendForm SendForm;

struct MultifdSend {
    Migration *m;             /* [c] */
    const SendForm *form;     /* [c] */
    const MultifdCodec *codec; /* [c] */
    MultifdZero zero;         /* what the channels do with zero pages; [c] from the first on */
    unsigned n;               /* [c] channels */
    SendChannel *channels;    /* [c] */
    Batch *batches;           /* [c] all there are */
    Batch *filling;           /* migration thread; NULL: none taken */
    uint64_t bytes;           /* [a] sent */
    uint64_t bytes_taken;     /* migration thread */

    GMutex lock;
    GCond work;               /* for the channels: queue, sync, finish, quit */
    GCond done;               /* for the migration thread: a batch is free, busy fell */
    GQueue queue;             /* [Q] of Batch, to be sent */
    GQueue free;              /* [Q] of Batch */
    unsigned busy;            /* [Q] channels that are sending */
    uint64_t packet_num;      /* [Q] of the next packet */
    bool finish;              /* [Q] end when there is nothing to do */
    bool quit;                /* [Q] end at once */
    bool closed;              /* [Q] the descriptors are gone */
};

/* How batches leave: as packets on a connection of the channel's own, or into a file. */
struct SendForm {
    bool (*connect)(SendChannel *c, Error **errp); /* migration thread; NULL: nothing to do */
    bool (*greet)(SendChannel *c, Error **errp);   /* NULL: nothing to say */
    bool (*send)(SendChannel *c, const Batch *batch, uint64_t num, Error **errp);
    bool (*sync)(SendChannel *c, uint64_t num, Error **errp); /* NULL: there are no marks */
};

/* ---- a channel's thread ---- */

static bool channel_write(SendChannel *c, struct iovec *iov, size_t n, Error **errp)
{
    uint64_t len = 0;

    for (size_t i = 0; i < n; i++) {
        len += iov[i].iov_len;
    }
    if (!io_channel_writev_all(c->ioc, iov, n, errp)) {
        return false;
    }
    stat_add(c->ms->bytes, len);
    return true;
}

static bool channel_greet(SendChannel *c, Error **errp)
{
    MultifdInitial in = { .id = c->id };
    uint8_t buf[MULTIFD_INITIAL_LEN];
    struct iovec iov = { buf, sizeof(buf) };

    memcpy(in.uuid, vm_uuid, sizeof(in.uuid));
    multifd_initial_encode(buf, &in);
    return channel_write(c, &iov, 1, errp);
}

static bool channel_sync(SendChannel *c, uint64_t num, Error **errp)
{
    const MultifdHeader h = { .flags = WIRE_MULTIFD_SYNC, .packet_num = num };
    uint8_t buf[MULTIFD_HEADER_LEN];
    struct iovec iov = { buf, sizeof(buf) };

    multifd_header_encode(buf, &h);
    return channel_write(c, &iov, 1, errp);
}

static bool page_is_zero(const uint8_t *host)
{
    return !*(const uint64_t *)host && buffer_is_zero(host, TARGET_PAGE_SIZE);
}

/* Contents that were sent are replaced by zeros only where that is understood. */
static bool may_be_zero(const MultifdSend *ms, uint8_t journey)
{
    return ms->zero == MULTIFD_ZERO_ALWAYS ||
           (ms->zero == MULTIFD_ZERO_FIRST && !(journey & (JOURNEY_PRECOPY | JOURNEY_AGAIN)));
}

/* Normal pages to the front of h->offset, zero ones behind them; notes how each travelled. */
static void sort_pages(MultifdSend *ms, const Batch *batch, MultifdHeader *h)
{
    uint64_t zero[MULTIFD_PAGES];
    uint64_t first = batch->page[0], last = batch->page[batch->n - 1];
    Pagemap pm = { .rb = NULL };

    if (ms->zero && batch->n >= PAGEMAP_WORTH && last > first) {
        pagemap_read(&pm, batch->b->rb, first, last - first + 1);
    }
    h->normal = h->zero = 0;
    for (unsigned i = 0; i < batch->n; i++) {
        uint64_t offset = batch->page[i] << TARGET_PAGE_BITS;
        bool is_zero = may_be_zero(ms, batch->b->journey[batch->page[i]]) &&
                       (pagemap_untouched(&pm, batch->b->rb, batch->page[i]) ||
                        page_is_zero(batch->b->rb->host + offset));

        journey_mark(&batch->b->journey[batch->page[i]], false, false, is_zero);
        if (is_zero) {
            zero[h->zero++] = offset;
        } else {
            h->offset[h->normal++] = offset;
        }
    }
    memcpy(h->offset + h->normal, zero, h->zero * sizeof(zero[0]));
    stat_add(ms->m->stats.zero_pages, h->zero);
    stat_add(ms->m->stats.normal_pages, h->normal);
}

/* The data of the packet into iov, whose neighbours are joined; their number, 0: errp set. */
static unsigned channel_data(SendChannel *c, const Batch *batch, struct iovec *iov, Error **errp)
{
    MultifdHeader *h = &c->header;
    const uint8_t *pages[MULTIFD_PAGES];
    unsigned n = 0;

    for (uint32_t i = 0; i < h->normal; i++) {
        pages[i] = batch->b->rb->host + h->offset[i];
    }
    if (c->codec) {
        h->data_len = c->ms->codec->encode(c->codec, pages, h->normal, c->packed,
                                           MULTIFD_DATA_MAX, errp);
        iov[0] = (struct iovec){ c->packed, h->data_len };
        return h->data_len ? 1 : 0;
    }
    h->data_len = h->normal * TARGET_PAGE_SIZE;
    for (uint32_t i = 0; i < h->normal; i++) {
        if (n && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == pages[i]) {
            iov[n - 1].iov_len += TARGET_PAGE_SIZE;
        } else {
            iov[n++] = (struct iovec){ (void *)pages[i], TARGET_PAGE_SIZE };
        }
    }
    return n;
}

static bool channel_send(SendChannel *c, const Batch *batch, uint64_t num, Error **errp)
{
    MultifdHeader *h = &c->header;
    uint8_t buf[MULTIFD_HEADER_LEN];
    struct iovec iov[1 + MULTIFD_PAGES];
    unsigned n = 0;

    h->flags = c->ms->codec->flag;
    h->packet_num = num;
    h->data_len = 0;
    g_strlcpy(h->block, batch->b->rb->idstr, sizeof(h->block));
    sort_pages(c->ms, batch, h);
    if (h->normal && !(n = channel_data(c, batch, iov + 1, errp))) {
        return false;
    }
    multifd_header_encode(buf, h);
    iov[0] = (struct iovec){ buf, sizeof(buf) };
    return channel_write(c, iov, 1 + n, errp);
}

/*
 * mapped-ram: each page to its place in the file.  Runs of neighbours go together; the order of
 * h->offset is that of the batch.
 */
static bool channel_store(SendChannel *c, const Batch *batch, uint64_t num, Error **errp)
{
    MultifdHeader *h = &c->header;

    sort_pages(c->ms, batch, h);
    for (uint32_t i = 0, n; i < h->normal; i += n) {
        for (n = 1; i + n < h->normal &&
                    h->offset[i + n] == h->offset[i] + n * TARGET_PAGE_SIZE; n++) {
        }
        if (!mapped_save_pages(c->ms->m, batch->b, h->offset[i] >> TARGET_PAGE_BITS, n, errp)) {
            return false;
        }
        stat_add(c->ms->bytes, n * TARGET_PAGE_SIZE);
    }
    for (uint32_t i = 0; i < h->zero; i++) {
        mapped_save_zero(batch->b, h->offset[h->normal + i] >> TARGET_PAGE_BITS, 1);
    }
    return true;
}

/* Wait for something to do: a batch, or NULL and *ret_sync; false: end. */
static bool channel_next(SendChannel *c, Batch **ret_batch, bool *ret_sync, uint64_t *ret_num)
{
    MultifdSend *ms = c->ms;
    bool more;

    g_mutex_lock(&ms->lock);
    while (!ms->quit && !c->syncs && !ms->queue.length && !ms->finish) {
        g_cond_wait(&ms->work, &ms->lock);
    }
    *ret_sync = c->syncs > 0;
    *ret_batch = c->syncs ? NULL : g_queue_pop_head(&ms->queue);
    more = !ms->quit && (*ret_sync || *ret_batch);
    if (more) {
        c->syncs -= *ret_sync;
        ms->busy++;
        *ret_num = ms->packet_num++;
    }
    g_mutex_unlock(&ms->lock);
    return more;
}

static void channel_did(SendChannel *c, Batch *batch)
{
    MultifdSend *ms = c->ms;

    g_mutex_lock(&ms->lock);
    ms->busy--;
    if (batch) {
        g_queue_push_tail(&ms->free, batch);
    }
    g_cond_signal(&ms->done);
    g_mutex_unlock(&ms->lock);
}

/* The first failure counts; what a shutdown made fail is none.  err is consumed. */
static void channel_failed(SendChannel *c, Error *err)
{
    MultifdSend *ms = c->ms;
    bool quit;

    g_mutex_lock(&ms->lock);
    quit = ms->quit;
    g_mutex_unlock(&ms->lock);
    if (quit) {
        g_error_free(err);
        return;
    }
    error_prefix(&err, "multifd channel %u: ", c->id);
    migration_set_error(ms->m, err);
    migration_shutdown_channels(ms->m);
}

static void *channel_main(void *opaque)
{
    SendChannel *c = opaque;
    Error *err = NULL;
    const SendForm *form = c->ms->form;
    bool sync, good = !form->greet || form->greet(c, &err);
    uint64_t num;
    Batch *batch;

    while (good && channel_next(c, &batch, &sync, &num)) {
        good = sync ? form->sync(c, num, &err) : form->send(c, batch, num, &err);
        channel_did(c, batch);
    }
    if (err) {
        channel_failed(c, err);
    }
    return NULL;
}

/* ---- the migration thread ---- */

static bool channel_connect(SendChannel *c, Error **errp)
{
    MultifdSend *ms = c->ms;
    g_autofree char *name = g_strdup_printf("multifd-%u", c->id);
    bool quit;

    if (ms->codec->encoder_new) {
        c->codec = ms->codec->encoder_new(multifd_codec_level(ms->m->config), errp);
        if (!c->codec) {
            return false;
        }
        c->packed = g_malloc(MULTIFD_DATA_MAX);
    }
    IOChannel *ioc = mig_connector_connect(ms->m->connector, errp);
    if (!ioc) {
        return false;
    }
    io_channel_set_name(ioc, name);
    io_channel_set_send_buffer(ioc, SEND_BUFFER);
    g_mutex_lock(&ms->lock);
    c->ioc = ioc;
    quit = ms->quit;
    g_mutex_unlock(&ms->lock);
    if (quit) {
        error_setg(errp, "the migration was cancelled");
    }
    return !quit;
}

static const SendForm packets = {
    .connect = channel_connect, .greet = channel_greet, .send = channel_send, .sync = channel_sync,
};
static const SendForm into_file = { .send = channel_store };

/* In a file every zero page is known as one; a destination may have to be asked first. */
static MultifdZero zero_pages(const Migration *m)
{
    if (m->detect_zero || m->config->zero_page_detection != MIG_ZERO_DETECTION_MULTIFD) {
        return MULTIFD_ZERO_NEVER;
    }
    return m->pages_channel ? MULTIFD_ZERO_ALWAYS : MULTIFD_ZERO_FIRST;
}

MultifdSend *multifd_send_new(Migration *m)
{
    MultifdSend *ms = g_new0(MultifdSend, 1);
    unsigned n_batches;

    ms->m = m;
    ms->form = m->pages_channel ? &into_file : &packets;
    ms->codec = multifd_codec(m->config->multifd_compression);
    ms->n = m->config->multifd_channels;
    ms->zero = zero_pages(m);
    ms->channels = g_new0(SendChannel, ms->n);
    n_batches = 2 * ms->n + 1;
    ms->batches = g_new0(Batch, n_batches);
    g_mutex_init(&ms->lock);
    g_cond_init(&ms->work);
    g_cond_init(&ms->done);
    for (unsigned i = 0; i < n_batches; i++) {
        g_queue_push_tail(&ms->free, &ms->batches[i]);
    }
    return ms;
}

void multifd_send_set_zero(MultifdSend *ms, MultifdZero zero)
{
    g_mutex_lock(&ms->lock);
    if (ms->zero != MULTIFD_ZERO_NEVER) {
        ms->zero = zero;
    }
    g_mutex_unlock(&ms->lock);
}

/*
 * Each says who it is before the next one is made: until it has, an old destination's main loop
 * waits for that, and with TLS the next handshake with it.
 */
bool multifd_send_connect(MultifdSend *ms, Error **errp)
{
    for (unsigned i = 0; i < ms->n; i++) {
        g_autofree char *name = g_strdup_printf("mig/src/send_%u", i);
        SendChannel *c = &ms->channels[i];

        c->ms = ms;
        c->id = i;
        if (ms->form->connect && !ms->form->connect(c, errp)) {
            error_prefix(errp, "multifd channel %u: ", i);
            return false;
        }
        c->thread = thread_try_start(name, channel_main, c, errp);
        if (!c->thread) {
            return false;
        }
    }
    return true;
}

static bool broken(MultifdSend *ms, Error **errp)
{
    if (ms->quit) {
        error_setg(errp, "the multifd channels were shut down");
    }
    return ms->quit;
}

/* Put what is being filled into the queue.  Lock held. */
static void push_filling(MultifdSend *ms)
{
    if (ms->filling && ms->filling->n) {
        g_queue_push_tail(&ms->queue, ms->filling);
        ms->filling = NULL;
        g_cond_signal(&ms->work);
    }
}

/* A batch for pages of b with room for at least one; NULL with errp set. */
static Batch *batch_for(MultifdSend *ms, RamSourceBlock *b, Error **errp)
{
    Batch *batch = ms->filling;

    if (batch && batch->n < MULTIFD_PAGES && (!batch->n || batch->b == b)) {
        batch->b = b;
        return batch;
    }
    g_mutex_lock(&ms->lock);
    push_filling(ms);
    while (!ms->quit && !ms->free.length) {
        g_cond_wait(&ms->done, &ms->lock);
    }
    batch = broken(ms, errp) ? NULL : g_queue_pop_head(&ms->free);
    g_mutex_unlock(&ms->lock);
    if (batch) {
        batch->b = b;
        batch->n = 0;
        ms->filling = batch;
    }
    return batch;
}

bool multifd_send_pages(MultifdSend *ms, RamSourceBlock *b, uint64_t page, uint64_t n,
                        Error **errp)
{
    while (n) {
        Batch *batch = batch_for(ms, b, errp);

        if (!batch) {
            return false;
        }
        for (; n && batch->n < MULTIFD_PAGES; n--) {
            batch->page[batch->n++] = page++;
        }
    }
    return true;
}

/* Until the queue is empty and no channel sends.  Lock held. */
static bool drain(MultifdSend *ms, Error **errp)
{
    push_filling(ms);
    while (!ms->quit && (ms->queue.length || ms->busy)) {
        g_cond_wait(&ms->done, &ms->lock);
    }
    return !broken(ms, errp);
}

bool multifd_send_sync(MultifdSend *ms, Error **errp)
{
    bool good;

    g_mutex_lock(&ms->lock);
    good = drain(ms, errp);
    for (unsigned i = 0; good && ms->form->sync && i < ms->n; i++) {
        ms->channels[i].syncs++;
    }
    g_cond_broadcast(&ms->work);
    g_mutex_unlock(&ms->lock);
    return good;
}

uint64_t multifd_send_take_bytes(MultifdSend *ms)
{
    uint64_t now = stat_get(ms->bytes), fresh = now - ms->bytes_taken;

    ms->bytes_taken = now;
    return fresh;
}

bool multifd_send_finish(MultifdSend *ms, Error **errp)
{
    bool good;

    g_mutex_lock(&ms->lock);
    good = drain(ms, errp);
    ms->finish = true;
    g_cond_broadcast(&ms->work);
    g_mutex_unlock(&ms->lock);
    for (unsigned i = 0; i < ms->n; i++) {
        if (ms->channels[i].thread) {
            g_thread_join(g_steal_pointer(&ms->channels[i].thread));
        }
    }
    g_mutex_lock(&ms->lock);
    good = good && !broken(ms, errp);
    ms->closed = true;
    for (unsigned i = 0; i < ms->n; i++) {
        if (ms->channels[i].ioc) {
            io_channel_close(ms->channels[i].ioc, NULL);
        }
    }
    g_mutex_unlock(&ms->lock);
    return good;
}

void multifd_send_each(MultifdSend *ms, void (*fn)(IOChannel *ioc, void *opaque), void *opaque)
{
    g_mutex_lock(&ms->lock);
    for (unsigned i = 0; i < ms->n && !ms->closed; i++) {
        if (ms->channels[i].ioc) {
            fn(ms->channels[i].ioc, opaque);
        }
    }
    g_mutex_unlock(&ms->lock);
}

void multifd_send_shutdown(MultifdSend *ms)
{
    g_mutex_lock(&ms->lock);
    ms->quit = true;
    for (unsigned i = 0; i < ms->n && !ms->closed; i++) {
        if (ms->channels[i].ioc) {
            io_channel_shutdown(ms->channels[i].ioc, IO_SHUTDOWN_BOTH, NULL);
        }
    }
    g_cond_broadcast(&ms->work);
    g_cond_broadcast(&ms->done);
    g_mutex_unlock(&ms->lock);
}

void multifd_send_free(MultifdSend *ms)
{
    if (!ms) {
        return;
    }
    multifd_send_finish(ms, NULL);
    for (unsigned i = 0; i < ms->n; i++) {
        SendChannel *c = &ms->channels[i];

        io_channel_unref(c->ioc);
        g_free(c->packed);
        if (c->codec) {
            ms->codec->free(c->codec);
        }
    }
    g_queue_clear(&ms->queue);
    g_queue_clear(&ms->free);
    g_mutex_clear(&ms->lock);
    g_cond_clear(&ms->work);
    g_cond_clear(&ms->done);
    g_free(ms->channels);
    g_free(ms->batches);
    g_free(ms);
}
