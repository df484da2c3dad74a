/*
 * multifd on the destination: a thread a channel, and the meeting at each SYNC.
 *
 * The functions named channel_ belong to the thread of one channel ("mig/dst/recv_N").  A
 * channel that fails notes why and shuts the whole migration's channels down.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <string.h>

#include "hw/core/machine.h"
#include "io/tls.h"
#include "migration/config.h"
#include "migration/dst-channels.h"
#include "migration/multifd/codec.h"
#include "migration/multifd/multifd.h"
#include "system/machine-lock.h"
#include "util/util.h"

/* The source connects all channels before it writes anything on the main one. */
#define CONNECT_WAIT_US (10 * G_USEC_PER_SEC)
#define LOOK_US (100 * 1000)

/* Keys: [c] constant once the thread runs, [t] the channel's thread, [Q] MultifdRecv.lock. */
typedef struct RecvChannel {
    MultifdRecv *mr;          /* [c] */
    unsigned slot;            /* [c] in channels[]: order of the connections */
    IOChannel *ioc;           /* [c] shutdown: any thread */
    GThread *thread;          /* [c] */
    CodecState *codec;        /* [t] */
    uint8_t *packed;          /* [t] data of a compressed packet */
    MultifdHeader header;     /* [t] */
    uint8_t raw[MULTIFD_HEADER_LEN]; /* [t] the header that is being read ... */
    size_t have;              /* [t] ... and how much of it is there */
    bool late;                /* [t] pages came when none may come */
    uint64_t packets;         /* [t] so far: where, in messages */
    int id;                   /* [Q] the source's number; -1: has not said it */
    bool synced;              /* [Q] waits for the main channel's mark */
    bool uncovered;           /* [Q] pages came since its last SYNC */
    bool ended;               /* [Q] the source closed it */
} RecvChannel;

struct MultifdRecv {
    Migration *m;             /* [c] */
    const MultifdCodec *codec; /* [c] */
    unsigned n;               /* [c] channels */
    RecvChannel *channels;    /* [c] */
    unsigned connected;       /* main thread */
    GMutex lock;
    GCond arrive;             /* for the reader of the main stream */
    GCond leave;              /* for the channels: go on */
    unsigned known;           /* [Q] channels that have said their number */
    bool no_more;             /* [Q] pages are an error from now on */
    bool quit;                /* [Q] */
};

/* ---- a channel's thread ---- */

static bool channel_greeting(RecvChannel *c, Error **errp)
{
    MultifdRecv *mr = c->mr;
    uint8_t buf[MULTIFD_INITIAL_LEN];
    MultifdInitial in;
    int r = io_channel_read_all(c->ioc, buf, sizeof(buf), errp);
    bool taken = false;

    if (r <= 0) {
        if (r == 0) {
            error_setg(errp, "it ended before it began");
        }
        return false;
    }
    if (!multifd_initial_decode(buf, &in, errp)) {
        return false;
    }
    if (memcmp(in.uuid, vm_uuid, sizeof(in.uuid))) {
        g_autofree char *theirs = uuid_to_str(in.uuid), *ours = uuid_to_str(vm_uuid);

        error_setg(errp, "it is of machine %s and this is %s", theirs, ours);
        return false;
    }
    if (in.id >= mr->n) {
        error_setg(errp, "it has number %u and there are %u here: multifd-channels must be the "
                   "same on both sides", in.id, mr->n);
        return false;
    }
    g_mutex_lock(&mr->lock);
    for (unsigned i = 0; i < mr->n; i++) {
        taken |= mr->channels[i].id == in.id;
    }
    if (!taken) {
        c->id = in.id;
        mr->known++;
        g_cond_signal(&mr->arrive);
    }
    g_mutex_unlock(&mr->lock);
    if (taken) {
        error_setg(errp, "a second channel has number %u", in.id);
    }
    return !taken;
}

/* The rest of the header at c->raw.  1: there; 0: end before its first byte; -1: errp set. */
static int channel_read_header(RecvChannel *c, Error **errp)
{
    bool checked = false;

    for (;;) {
        if (!checked && c->have >= MULTIFD_COMMON_LEN) {
            /* Before the rest: other kinds of packet are shorter, and we would wait for ever. */
            if (!multifd_common_check(c->raw, errp)) {
                return -1;
            }
            checked = true;
        }
        if (c->have == MULTIFD_HEADER_LEN) {
            c->have = 0;
            return multifd_header_decode(c->raw, c->mr->codec->flag, &c->header, errp) ? 1 : -1;
        }
        struct iovec iov = { c->raw + c->have, MULTIFD_HEADER_LEN - c->have };
        ssize_t r = io_channel_readv(c->ioc, &iov, 1, errp);
        if (r <= 0) {
            if (r == 0 && c->have) {
                error_setg(errp, "it ended inside the header of a packet");
                r = -1;
            }
            return r;
        }
        c->have += r;
    }
}

/* Fill iov[0..n) and as much of the next header (c->raw) as comes along. */
static bool channel_read_data(RecvChannel *c, struct iovec *iov, unsigned n, Error **errp)
{
    unsigned at = 0;

    iov[n] = (struct iovec){ c->raw, sizeof(c->raw) };
    while (at < n) {
        ssize_t r = io_channel_readv(c->ioc, iov + at, n + 1 - at, errp);

        if (r <= 0) {
            if (r == 0) {
                error_setg(errp, "it ended inside of a packet");
            }
            return false;
        }
        for (; at < n && (size_t)r >= iov[at].iov_len; at++) {
            r -= iov[at].iov_len;
        }
        if (at < n) {
            iov[at].iov_base = (uint8_t *)iov[at].iov_base + r;
            iov[at].iov_len -= r;
        } else {
            c->have = r;
        }
    }
    return true;
}

static bool channel_read_packed(RecvChannel *c, uint8_t *const *pages, Error **errp)
{
    struct iovec iov[2] = { { c->packed, c->header.data_len } };

    return channel_read_data(c, iov, 1, errp) &&
           c->mr->codec->decode(c->codec, c->packed, c->header.data_len, pages, c->header.normal,
                                errp);
}

static bool channel_read_plain(RecvChannel *c, uint8_t *const *pages, Error **errp)
{
    const MultifdHeader *h = &c->header;
    struct iovec iov[MULTIFD_PAGES + 1];
    unsigned n = 0;

    if (h->data_len != h->normal * TARGET_PAGE_SIZE) {
        error_setg(errp, "a packet has %u bytes of data for %u pages", h->data_len, h->normal);
        return false;
    }
    for (uint32_t i = 0; i < h->normal; i++) {
        if (n && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == pages[i]) {
            iov[n - 1].iov_len += TARGET_PAGE_SIZE;
        } else {
            iov[n++] = (struct iovec){ pages[i], TARGET_PAGE_SIZE };
        }
    }
    return channel_read_data(c, iov, n, errp);
}

static bool channel_pages(RecvChannel *c, Error **errp)
{
    uint8_t *pages[MULTIFD_PAGES];
    RamDest *rd = c->mr->m->ram_dest;
    RamDestBlock *b;

    g_mutex_lock(&c->mr->lock);
    c->late = c->mr->no_more;
    c->uncovered = true;
    g_mutex_unlock(&c->mr->lock);
    if (c->late) {
        error_setg(errp, "pages come when all must be here already");
        return false;
    }
    b = multifd_place_begin(rd, &c->header, pages, errp);
    if (!b || (c->header.normal && !(c->codec ? channel_read_packed(c, pages, errp)
                                              : channel_read_plain(c, pages, errp)))) {
        return false;
    }
    multifd_place_done(rd, b, &c->header);
    return true;
}

/* Wait for the mark of the main channel.  False: the migration is over. */
static bool channel_meet(RecvChannel *c)
{
    MultifdRecv *mr = c->mr;
    bool go;

    g_mutex_lock(&mr->lock);
    c->synced = true;
    c->uncovered = false;
    g_cond_signal(&mr->arrive);
    while (!mr->quit && c->synced) {
        g_cond_wait(&mr->leave, &mr->lock);
    }
    go = !mr->quit;
    g_mutex_unlock(&mr->lock);
    return go;
}

/* Packets until the end of the channel; false with errp set. */
static bool channel_load(RecvChannel *c, Error **errp)
{
    for (;; c->packets++) {
        int r = channel_read_header(c, errp);

        if (r < 0 && c->packets && !c->have && io_channel_tls_creds(c->ioc)) {
            /* Old sources just hang up; a SYNC that is still due will be missed. */
            g_clear_error(errp);
            r = 0;
        }
        if (r == 0 && !c->packets) {
            error_setg(errp, "it ended before its first packet");
            return false;
        }
        if (r <= 0) {
            return r == 0;
        }
        if (c->header.normal + c->header.zero && !channel_pages(c, errp)) {
            return false;
        }
        /* Behind the data: before 9.0 a packet may have both. */
        if (c->header.flags & WIRE_MULTIFD_SYNC && !channel_meet(c)) {
            return true;
        }
    }
}

/* The first failure counts; what a shutdown made fail is none.  err is consumed. */
static void channel_failed(RecvChannel *c, Error *err)
{
    MultifdRecv *mr = c->mr;
    bool quit;

    g_mutex_lock(&mr->lock);
    /* With all pages here a channel may break; in postcopy that must not touch the main one. */
    quit = mr->quit || (mr->no_more && !c->late);
    g_mutex_unlock(&mr->lock);
    if (quit) {
        g_error_free(err);
        return;
    }
    error_prefix(&err, "multifd channel %d, packet %" G_GUINT64_FORMAT ": ",
                 c->id < 0 ? (int)c->slot : c->id, c->packets);
    migration_set_error(mr->m, err);
    migration_shutdown_channels(mr->m);
    main_loop_call(dst_channels_failed_bh, mr->m);
}

static void *channel_main(void *opaque)
{
    RecvChannel *c = opaque;
    MultifdRecv *mr = c->mr;
    Error *err = NULL;

    if (mr->codec->decoder_new) {
        c->codec = mr->codec->decoder_new(&err);
        c->packed = g_malloc(MULTIFD_DATA_MAX);
    }
    if (!err && channel_greeting(c, &err)) {
        channel_load(c, &err);
    }
    if (err) {
        channel_failed(c, err);
    }
    g_mutex_lock(&mr->lock);
    c->ended = true;
    g_cond_signal(&mr->arrive);
    g_mutex_unlock(&mr->lock);
    return NULL;
}

/* ---- main thread ---- */

MultifdRecv *multifd_recv_new(Migration *m)
{
    MultifdRecv *mr = g_new0(MultifdRecv, 1);

    mr->m = m;
    mr->codec = multifd_codec(m->config->multifd_compression);
    mr->n = m->config->multifd_channels;
    mr->channels = g_new0(RecvChannel, mr->n);
    for (unsigned i = 0; i < mr->n; i++) {
        mr->channels[i].id = -1;
    }
    g_mutex_init(&mr->lock);
    g_cond_init(&mr->arrive);
    g_cond_init(&mr->leave);
    return mr;
}

unsigned multifd_recv_missing(const MultifdRecv *mr)
{
    return mr->n - mr->connected;
}

void multifd_recv_add(MultifdRecv *mr, IOChannel *ioc)
{
    RecvChannel *c = &mr->channels[mr->connected];
    g_autofree char *name = g_strdup_printf("multifd-%u", mr->connected);
    g_autofree char *thread = g_strdup_printf("mig/dst/recv_%u", mr->connected);
    Error *err = NULL;

    g_assert(mr->connected < mr->n);
    io_channel_set_name(ioc, name);
    c->mr = mr;
    c->slot = mr->connected;
    g_mutex_lock(&mr->lock);
    c->ioc = ioc;
    mr->connected++;
    if (mr->quit) {
        io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&mr->lock);
    c->thread = thread_try_start(thread, channel_main, c, &err);
    if (!c->thread) {
        c->ended = true;
        channel_failed(c, err);
    }
}

/* ---- the thread that reads the main stream ---- */

/* The source has hung up on the main channel: its multifd channels will not come any more. */
static bool main_hung_up(MultifdRecv *mr)
{
    struct pollfd pfd = { .fd = mr->m->channel->fd_in, .events = POLLRDHUP };

    return pfd.fd >= 0 && poll(&pfd, 1, 0) > 0;
}

/* Until every channel is there and has said its number.  Lock held. */
static bool wait_known(MultifdRecv *mr, Error **errp)
{
    int64_t until = g_get_monotonic_time() + CONNECT_WAIT_US;

    while (!mr->quit && mr->known < mr->n) {
        g_cond_wait_until(&mr->arrive, &mr->lock, g_get_monotonic_time() + LOOK_US);
        if (mr->known < mr->n && (g_get_monotonic_time() > until || main_hung_up(mr))) {
            error_setg(errp, "%u of %u multifd channels have come: multifd and multifd-channels "
                       "must be the same on both sides", mr->known, mr->n);
            return false;
        }
    }
    return true;
}

/* 1: all channels wait; 0: not yet; -1: one of them will not any more.  Lock held. */
static int all_synced(MultifdRecv *mr, Error **errp)
{
    int all = 1;

    for (unsigned i = 0; i < mr->n; i++) {
        if (mr->channels[i].ended && !mr->channels[i].synced) {
            error_setg(errp, "multifd channel %d ended before the SYNC that the main channel "
                       "tells of", mr->channels[i].id);
            return -1;
        }
        all &= mr->channels[i].synced;
    }
    return all;
}

bool multifd_recv_sync(MultifdRecv *mr, Error **errp)
{
    int now = 0;

    g_mutex_lock(&mr->lock);
    if (wait_known(mr, errp)) {
        while (!mr->quit && !(now = all_synced(mr, errp))) {
            g_cond_wait(&mr->arrive, &mr->lock);
        }
        if (mr->quit && now >= 0) {
            error_setg(errp, "the multifd channels were shut down");
            now = -1;
        }
    } else {
        now = -1;
    }
    for (unsigned i = 0; now > 0 && i < mr->n; i++) {
        mr->channels[i].synced = false;
    }
    g_cond_broadcast(&mr->leave);
    g_mutex_unlock(&mr->lock);
    return now > 0;
}

bool multifd_recv_no_more_pages(MultifdRecv *mr, Error **errp)
{
    bool good = true;

    g_mutex_lock(&mr->lock);
    mr->no_more = true;
    for (unsigned i = 0; good && i < mr->n; i++) {
        if (mr->channels[i].uncovered) {
            error_setg(errp, "multifd channel %d has pages that no SYNC follows: some may not "
                       "have come", mr->channels[i].id);
            good = false;
        }
    }
    g_mutex_unlock(&mr->lock);
    return good;
}

void multifd_recv_each(MultifdRecv *mr, void (*fn)(IOChannel *ioc, void *opaque), void *opaque)
{
    g_mutex_lock(&mr->lock);
    for (unsigned i = 0; i < mr->n; i++) {
        if (mr->channels[i].ioc) {
            fn(mr->channels[i].ioc, opaque);
        }
    }
    g_mutex_unlock(&mr->lock);
}

void multifd_recv_shutdown(MultifdRecv *mr)
{
    g_mutex_lock(&mr->lock);
    mr->quit = true;
    for (unsigned i = 0; i < mr->n; i++) {
        if (mr->channels[i].ioc) {
            io_channel_shutdown(mr->channels[i].ioc, IO_SHUTDOWN_BOTH, NULL);
        }
    }
    g_cond_broadcast(&mr->arrive);
    g_cond_broadcast(&mr->leave);
    g_mutex_unlock(&mr->lock);
}

void multifd_recv_free(MultifdRecv *mr)
{
    if (!mr) {
        return;
    }
    multifd_recv_shutdown(mr);
    for (unsigned i = 0; i < mr->n; i++) {
        RecvChannel *c = &mr->channels[i];

        if (c->thread) {
            g_thread_join(c->thread);
        }
        io_channel_unref(c->ioc);
        g_free(c->packed);
        if (c->codec) {
            mr->codec->free(c->codec);
        }
    }
    g_mutex_clear(&mr->lock);
    g_cond_clear(&mr->arrive);
    g_cond_clear(&mr->leave);
    g_free(mr->channels);
    g_free(mr);
}
