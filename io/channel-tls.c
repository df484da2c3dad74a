/*
 * A channel that encrypts what passes through another one.
 *
 * Belongs to no thread: one reader and one writer at a time, shutdown from anywhere.  GnuTLS
 * never touches the channel below and so never blocks: it takes bytes from `in` and leaves
 * bytes in `out`.  That is done under `lock`; waiting for the channel below is not.  So a reader
 * and a writer are safe together even when a session changes its keys, which GnuTLS by itself
 * does not promise.
 *
 *   writer:  plain text -> gnutls_record_send -> out -> raw channel   (flush, one at a time)
 *   reader:  raw channel -> in -> gnutls_record_recv -> plain text
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <gnutls/x509.h>
#include <string.h>

#include "io/channel-private.h"
#include "io/tls-private.h"
#include "trace/io.h"
#include "util/util.h"

#define RECORD_MAX 16384
#define IN_SIZE (256 * KiB)
#define OUT_FULL (256 * KiB)  /* written out at this size */
#define LAST_WORD_MS 1000     /* how long a client waits to hear that it was refused */
#define LINGER_MS 500         /* how long a server waits until its refusal was read */
#define LINGER_BYTES (64 * MiB)

/* Field keys: [c] constant, [R] the reader, [W] the writer, [S] lock; in a handshake one thread. */
typedef struct TlsChannel {
    IOChannel base;
    TlsCreds *creds;           /* [c] */
    char *hostname;            /* [c] NULL: none */
    gnutls_session_t session;  /* [S] */
    GMutex lock;
    GCond changed;             /* of the next three */
    bool flushing;             /* [S] somebody writes what was in `out` */
    bool reading;              /* [S] a thread is in readv */
    bool writing;              /* [S] a thread is in writev: it flushes before it returns */
    char *alert;               /* [S] fatal alert of the peer, NULL: none */
    bool established;          /* [S] the handshake is over */
    bool heard;                /* [S] plain text came */
    bool ended;                /* [S] and no more will */
    GByteArray *out, *spare;   /* [S] for the channel below; the flushing thread has `spare` */
    uint8_t *in;               /* [S] of the channel below, in[in_pos..in_len) not consumed */
    size_t in_pos, in_len;
    uint8_t first[IO_PEEK_MAX]; /* [S] plain text that was looked at and not read ... */
    size_t first_len;          /* [S] ... and how much */
    bool in_ended;             /* [S] the channel below is at its end */
    char *verdict;             /* [S] why the peer's certificate was refused */
    int verdict_alert;         /* [S] and what to tell it */
    uint8_t *plain;            /* [W] RECORD_MAX bytes: small pieces become one record */
} TlsChannel;

static TlsChannel *tls_of(IOChannel *ioc)
{
    return (TlsChannel *)ioc;
}

/* ---- what GnuTLS calls, under the lock ---- */

static ssize_t push(gnutls_transport_ptr_t opaque, const void *data, size_t len)
{
    TlsChannel *t = opaque;

    g_byte_array_append(t->out, data, len);
    return len;
}

static ssize_t pull(gnutls_transport_ptr_t opaque, void *data, size_t len)
{
    TlsChannel *t = opaque;

    len = MIN(len, t->in_len - t->in_pos);
    if (!len && !t->in_ended) {
        gnutls_transport_set_errno(t->session, EAGAIN);
        return -1;
    }
    memcpy(data, t->in + t->in_pos, len);
    t->in_pos += len;
    return len;
}

static int pull_timeout(gnutls_transport_ptr_t opaque, unsigned ms)
{
    TlsChannel *t = opaque;

    return t->in_pos < t->in_len || t->in_ended;
}

static void refuse_peer(TlsChannel *t, int alert, const char *why)
{
    t->verdict_alert = alert;
    g_free(t->verdict);
    t->verdict = g_strdup(why);
}

/* Is the peer's certificate what we want?  Called by GnuTLS within the handshake. */
static int verify_peer(gnutls_session_t session)
{
    TlsChannel *t = gnutls_session_get_ptr(session);
    unsigned status = 0;
    g_autofree char *text = NULL;

    if (t->creds->kind != TLS_CREDS_X509 || !t->creds->verify_peer) {
        return 0;
    }
    if (gnutls_certificate_verify_peers3(session, t->hostname, &status) < 0) {
        refuse_peer(t, GNUTLS_A_BAD_CERTIFICATE, "the peer sent no certificate that can be read");
    } else if (status & GNUTLS_CERT_UNEXPECTED_OWNER) {
        text = g_strdup_printf("the certificate of the peer is not for the host '%s'", t->hostname);
        refuse_peer(t, GNUTLS_A_BAD_CERTIFICATE, text);
    } else if (status & GNUTLS_CERT_EXPIRED) {
        refuse_peer(t, GNUTLS_A_CERTIFICATE_EXPIRED, "the certificate of the peer has expired");
    } else if (status & GNUTLS_CERT_REVOKED) {
        refuse_peer(t, GNUTLS_A_CERTIFICATE_REVOKED, "the certificate of the peer was revoked");
    } else if (status & GNUTLS_CERT_NOT_ACTIVATED) {
        refuse_peer(t, GNUTLS_A_BAD_CERTIFICATE, "the certificate of the peer is not valid yet");
    } else if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNATURE_FAILURE)) {
        refuse_peer(t, GNUTLS_A_UNKNOWN_CA,
                    "the certificate of the peer is signed by somebody unknown to ca-cert.pem");
    } else if (status) {
        refuse_peer(t, GNUTLS_A_BAD_CERTIFICATE, "the certificate of the peer cannot be trusted");
    } else {
        return 0;
    }
    return GNUTLS_E_CERTIFICATE_ERROR;
}

/* ---- errors ---- */

/* Lock held.  Remember what the peer says for the other direction's thread. */
static void note_alert(TlsChannel *t)
{
    if (!t->alert) {
        gnutls_alert_description_t a = gnutls_alert_get(t->session);

        t->alert = g_strdup(a == GNUTLS_A_ACCESS_DENIED ? "access denied (tls-authz of the peer)"
                                                        : gnutls_alert_get_name(a));
        g_cond_broadcast(&t->changed);
    }
}

static void set_alert_error(TlsChannel *t, Error **errp)
{
    error_setg(errp, "%s: the peer refused this connection of TLS: %s", t->base.name, t->alert);
}

/* What a client sees of servers that refuse without an alert, as stock emulators do. */
#define CLOSED_EARLY "the peer closed before it said anything (does it accept our credentials?)"

static bool closed_early(const TlsChannel *t)
{
    return t->established && !t->creds->server && !t->heard;
}

/* Lock held: ret is an error of GnuTLS. */
static void set_error(TlsChannel *t, int ret, const char *doing, Error **errp)
{
    if (ret == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        note_alert(t);
        set_alert_error(t, errp);
    } else if (t->verdict) {
        error_setg(errp, "%s: TLS %s: %s", t->base.name, doing, t->verdict);
    } else if (ret == GNUTLS_E_CERTIFICATE_REQUIRED || ret == GNUTLS_E_NO_CERTIFICATE_FOUND) {
        error_setg(errp, "%s: TLS %s: the peer sent no certificate", t->base.name, doing);
    } else if (ret == GNUTLS_E_UNSUPPORTED_VERSION_PACKET ||
               ret == GNUTLS_E_UNEXPECTED_PACKET_LENGTH || ret == GNUTLS_E_UNEXPECTED_PACKET ||
               ret == GNUTLS_E_RECORD_OVERFLOW) {
        error_setg(errp, "%s: TLS %s: %s (does the peer use TLS?)", t->base.name, doing,
                   gnutls_strerror(ret));
    } else if (ret == GNUTLS_E_PREMATURE_TERMINATION) {
        error_setg(errp, "%s: TLS %s: the peer closed the connection", t->base.name, doing);
    } else {
        error_setg(errp, "%s: TLS %s: %s", t->base.name, doing, gnutls_strerror(ret));
    }
}

/* ---- the channel below ---- */

/* Write out all of `out`; waits while another thread does.  Lock held before and after. */
static bool flush_locked(TlsChannel *t, Error **errp)
{
    bool ok = true;

    while (t->flushing) {
        g_cond_wait(&t->changed, &t->lock);
    }
    while (ok && t->out->len) {
        GByteArray *now = t->out;
        struct iovec iov = { now->data, now->len };

        t->out = t->spare;
        t->flushing = true;
        g_mutex_unlock(&t->lock);
        ok = io_channel_writev_all(t->base.inner, &iov, 1, errp);
        g_mutex_lock(&t->lock);
        g_byte_array_set_size(now, 0);
        t->spare = now;
        t->flushing = false;
        g_cond_broadcast(&t->changed);
    }
    return ok;
}

/* More bytes into `in`, which is empty; the reader.  Lock held before and after. */
static bool fill_locked(TlsChannel *t, Error **errp)
{
    struct iovec iov = { t->in, IN_SIZE };
    ssize_t r;

    g_mutex_unlock(&t->lock);
    r = io_channel_readv(t->base.inner, &iov, 1, errp);
    g_mutex_lock(&t->lock);
    t->in_pos = 0;
    t->in_len = MAX(r, 0);
    t->in_ended = r == 0;
    return r >= 0;
}

/* ---- reading ---- */

/* One record, or what is left of one: 1 or more bytes; 0 end; IO_WOULD_BLOCK; -1 errp. */
static ssize_t recv_record_locked(TlsChannel *t, void *buf, size_t len, Error **errp)
{
    ssize_t r;

    if (t->ended) {
        return 0;
    }
    do {
        /* GNUTLS_E_AGAIN also stands for a message of TLS itself: more may be behind it. */
        r = gnutls_record_recv(t->session, buf, len);
    } while (r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_WARNING_ALERT_RECEIVED ||
             (r == GNUTLS_E_AGAIN && t->in_pos < t->in_len));
    if (r > 0) {
        t->heard = true;
        return r;
    }
    if (r == 0 || r == GNUTLS_E_PREMATURE_TERMINATION) {
        t->ended = true;
        return 0;
    }
    if (r == GNUTLS_E_AGAIN) {
        return IO_WOULD_BLOCK;
    }
    set_error(t, r, "read", errp);
    return -1;
}

/* The same, behind what was looked at before. */
static ssize_t recv_locked(TlsChannel *t, void *buf, size_t len, Error **errp)
{
    if (!t->first_len) {
        return recv_record_locked(t, buf, len, errp);
    }
    len = MIN(len, t->first_len);
    memcpy(buf, t->first, len);
    t->first_len -= len;
    memmove(t->first, t->first + len, t->first_len);
    return len;
}

static ssize_t tls_peek(IOChannel *ioc, void *buf, size_t len, Error **errp)
{
    TlsChannel *t = tls_of(ioc);
    ssize_t r = 1;

    if (io_channel_check_shut(ioc, IO_SHUTDOWN_READ, errp)) {
        return -1;
    }
    g_mutex_lock(&t->lock);
    while (r > 0 && t->first_len < len) {
        r = recv_record_locked(t, t->first + t->first_len, len - t->first_len, errp);
        if (r > 0) {
            t->first_len += r;
        } else if (r == IO_WOULD_BLOCK && io_channel_wait_readable(ioc->inner, 0)) {
            r = fill_locked(t, errp) ? 1 : -1;
        }
    }
    if (t->first_len && r != -1) {
        r = MIN(len, t->first_len);
        memcpy(buf, t->first, r);
    }
    g_mutex_unlock(&t->lock);
    return r;
}

/* Whole records into iov as long as no waiting is needed. */
static ssize_t recv_iov_locked(TlsChannel *t, const struct iovec *iov, size_t n, Error **errp)
{
    size_t done = 0, at = 0;

    while (n > 0) {
        ssize_t r;

        if (at == iov->iov_len) {
            iov++;
            n--;
            at = 0;
            continue;
        }
        r = recv_locked(t, (char *)iov->iov_base + at, iov->iov_len - at, done ? NULL : errp);
        if (r <= 0) {
            /* An end or an error behind good bytes shows again at the next call. */
            return done ? (ssize_t)done : r;
        }
        at += r;
        done += r;
    }
    return done;
}

/* Can a few bytes go out below without waiting? */
static bool room_below(const TlsChannel *t)
{
    return io_channel_poll(t->base.inner, IO_READY_WRITE, -1, 0) != 0;
}

/*
 * Answers of TLS itself that reading has left in `out`.  A writer takes them along; without one
 * they go out now if there is room, else with what comes next.  A reader must never wait to
 * write, least of all a writer's data: two ends that both do so would not read any more.
 */
static bool answer_locked(TlsChannel *t, Error **errp)
{
    if (!t->out->len || t->writing || t->flushing || !room_below(t)) {
        return true;
    }
    return flush_locked(t, errp);
}

static ssize_t tls_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    TlsChannel *t = tls_of(ioc);
    ssize_t r;

    if (io_channel_check_shut(ioc, IO_SHUTDOWN_READ, errp)) {
        return -1;
    }
    g_mutex_lock(&t->lock);
    t->reading = true;
    for (;;) {
        r = recv_iov_locked(t, iov, n, errp);
        if (r != IO_WOULD_BLOCK) {
            break;
        }
        if (!answer_locked(t, errp) || !fill_locked(t, errp)) {
            r = -1;
            break;
        }
    }
    if (r == 0 && closed_early(t)) {
        error_setg(errp, "%s: TLS: " CLOSED_EARLY, ioc->name);
        r = -1;
    }
    t->reading = false;
    g_cond_broadcast(&t->changed);
    g_mutex_unlock(&t->lock);
    return r;
}

/* ---- writing ---- */

/* Next record's bytes: a whole one from where it is, else small pieces gathered. */
static size_t next_record(TlsChannel *t, const struct iovec **iov, size_t *n, size_t *at,
                          const void **ret_data)
{
    size_t len = 0;

    while (*n > 0 && len < RECORD_MAX) {
        size_t left = (*iov)->iov_len - *at;
        size_t part = MIN(left, RECORD_MAX - len);
        const char *from = (const char *)(*iov)->iov_base + *at;

        if (!len && part == RECORD_MAX) {
            *ret_data = from;
            *at += part;
            return part;
        }
        memcpy(t->plain + len, from, part);
        len += part;
        *at += part;
        if (*at == (*iov)->iov_len) {
            (*iov)++;
            (*n)--;
            *at = 0;
        }
    }
    *ret_data = t->plain;
    return len;
}

static bool send_locked(TlsChannel *t, const char *data, size_t len, Error **errp)
{
    while (len > 0) {
        ssize_t r = gnutls_record_send(t->session, data, len);

        if (r < 0 && r != GNUTLS_E_AGAIN && r != GNUTLS_E_INTERRUPTED) {
            set_error(t, r, "write", errp);
            return false;
        }
        if (r > 0) {
            data += r;
            len -= r;
        }
    }
    return t->out->len < OUT_FULL || flush_locked(t, errp);
}

/*
 * The channel below failed under a writer: often because the peer refused us, and said why in
 * an alert.  Whoever reads gets it; when nobody does, it is looked for here.  Lock held.
 */
static void look_for_alert_locked(TlsChannel *t, int timeout_ms)
{
    int64_t end_ms = host_clock_ms() + timeout_ms;
    uint8_t *buf = t->plain;

    while (t->reading && !t->alert) {
        if (!g_cond_wait_until(&t->changed, &t->lock,
                               g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND)) {
            return;
        }
    }
    while (!t->alert) {
        ssize_t r = recv_locked(t, buf, RECORD_MAX, NULL);
        int64_t left = end_ms - host_clock_ms();
        bool ready;

        if (r == 0 || r == -1 || left <= 0) {
            return;
        }
        if (r > 0) {
            continue;
        }
        g_mutex_unlock(&t->lock);
        ready = io_channel_wait_readable(t->base.inner, left);
        g_mutex_lock(&t->lock);
        if (!ready || !fill_locked(t, NULL)) {
            return;
        }
    }
}

static ssize_t tls_writev(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    TlsChannel *t = tls_of(ioc);
    g_autoptr(Error) err = NULL;
    size_t at = 0, done = 0;
    bool ok = true;

    g_mutex_lock(&t->lock);
    t->writing = true;
    while (ok && n > 0) {
        const void *data;
        size_t len;

        g_mutex_unlock(&t->lock); /* between records the reader gets its turn */
        len = next_record(t, &iov, &n, &at, &data);
        g_mutex_lock(&t->lock);
        ok = !io_channel_check_shut(ioc, IO_SHUTDOWN_WRITE, &err) &&
             send_locked(t, data, len, &err);
        done += len;
    }
    ok = ok && flush_locked(t, &err);
    t->writing = false;
    if (!ok && !io_channel_check_shut(ioc, IO_SHUTDOWN_WRITE, NULL)) {
        look_for_alert_locked(t, LAST_WORD_MS / 5);
        if (t->alert) {
            g_clear_error(&err);
            set_alert_error(t, &err);
        } else if (closed_early(t)) {
            error_prefix(&err, "TLS: " CLOSED_EARLY ": ");
        }
    }
    g_mutex_unlock(&t->lock);
    if (!ok) {
        g_propagate_error(errp, g_steal_pointer(&err));
        return -1;
    }
    return done;
}

/* ---- handshake ---- */

/* One step: 1 done, 0 again, -1 errp set. */
static int handshake_step(TlsChannel *t, int64_t end_ms, Error **errp)
{
    int ret = gnutls_handshake(t->session);
    int64_t left;
    bool ready;

    if (ret < 0 && ret != GNUTLS_E_WARNING_ALERT_RECEIVED && gnutls_error_is_fatal(ret)) {
        set_error(t, ret, "handshake", errp);
        if (t->verdict) {
            gnutls_alert_send(t->session, GNUTLS_AL_FATAL, t->verdict_alert);
        } else if (ret != GNUTLS_E_FATAL_ALERT_RECEIVED) {
            gnutls_alert_send_appropriate(t->session, ret);
        }
        flush_locked(t, NULL);
        return -1;
    }
    if (!flush_locked(t, errp)) {
        return -1;
    }
    if (ret == 0) {
        return 1;
    }
    if (t->in_pos < t->in_len) {
        return 0;
    }
    left = end_ms - host_clock_ms();
    g_mutex_unlock(&t->lock);
    ready = left > 0 && io_channel_wait_readable(t->base.inner, left);
    g_mutex_lock(&t->lock);
    if (!ready) {
        error_setg(errp, "%s: TLS handshake: the peer was silent for too long", t->base.name);
        return -1;
    }
    return fill_locked(t, errp) ? 0 : -1;
}

/* Let a refusal arrive: closing with unread bytes would throw it away at the peer. */
static void linger(TlsChannel *t)
{
    int64_t end_ms = host_clock_ms() + LINGER_MS;
    uint64_t got = 0;

    io_channel_shutdown(t->base.inner, IO_SHUTDOWN_WRITE, NULL);
    while (got < LINGER_BYTES) {
        struct iovec iov = { t->in, IN_SIZE };
        int64_t left = end_ms - host_clock_ms();
        ssize_t r;

        if (left <= 0 || !io_channel_wait_readable(t->base.inner, left)) {
            return;
        }
        r = io_channel_readv(t->base.inner, &iov, 1, NULL);
        if (r <= 0) {
            return;
        }
        got += r;
    }
}

bool io_channel_tls_handshake(IOChannel *ioc, int timeout_ms, Error **errp)
{
    TlsChannel *t = tls_of(ioc);
    int64_t end_ms = host_clock_ms() + timeout_ms;
    int done;

    g_mutex_lock(&t->lock);
    do {
        done = handshake_step(t, end_ms, errp);
    } while (done == 0);
    t->established = done > 0;
    g_mutex_unlock(&t->lock);
    if (done < 0) {
        linger(t);
        return false;
    }
    trace_io_tls_established(ioc, gnutls_protocol_get_name(gnutls_protocol_get_version(t->session)),
                             gnutls_cipher_get_name(gnutls_cipher_get(t->session)));
    return true;
}

static char *certificate_name(gnutls_session_t session)
{
    unsigned n = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
    gnutls_x509_crt_t cert;
    char *name = NULL;
    size_t size = 0;

    if (!n || gnutls_x509_crt_init(&cert) < 0) {
        return NULL;
    }
    if (gnutls_x509_crt_import(cert, &list[0], GNUTLS_X509_FMT_DER) >= 0 &&
        gnutls_x509_crt_get_dn(cert, NULL, &size) == GNUTLS_E_SHORT_MEMORY_BUFFER) {
        name = g_malloc0(size + 1);
        if (gnutls_x509_crt_get_dn(cert, name, &size) < 0) {
            g_clear_pointer(&name, g_free);
        }
    }
    gnutls_x509_crt_deinit(cert);
    return name;
}

char *io_channel_tls_peer(IOChannel *ioc)
{
    TlsChannel *t = tls_of(ioc);
    char *name = NULL;

    g_mutex_lock(&t->lock);
    if (t->creds->kind == TLS_CREDS_X509 && t->creds->verify_peer) {
        name = certificate_name(t->session);
    } else if (t->creds->kind == TLS_CREDS_PSK && t->creds->server) {
        name = g_strdup(gnutls_psk_server_get_username(t->session));
    }
    g_mutex_unlock(&t->lock);
    return name;
}

void io_channel_tls_deny(IOChannel *ioc)
{
    TlsChannel *t = tls_of(ioc);

    g_mutex_lock(&t->lock);
    gnutls_alert_send(t->session, GNUTLS_AL_FATAL, GNUTLS_A_ACCESS_DENIED);
    flush_locked(t, NULL);
    g_mutex_unlock(&t->lock);
    linger(t);
}

bool io_channel_tls_rekey(IOChannel *ioc, Error **errp)
{
    TlsChannel *t = tls_of(ioc);
    int ret = 0;
    bool ok;

    g_mutex_lock(&t->lock);
    if (gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_3) {
        ret = gnutls_session_key_update(t->session, GNUTLS_KU_PEER);
    }
    if (ret < 0) {
        set_error(t, ret, "change of keys", errp);
    }
    ok = flush_locked(t, ret < 0 ? NULL : errp) && ret >= 0;
    g_mutex_unlock(&t->lock);
    return ok;
}

/* ---- life ---- */

static bool tls_pending(IOChannel *ioc)
{
    TlsChannel *t = tls_of(ioc);
    bool pending;

    g_mutex_lock(&t->lock);
    pending = t->first_len || t->in_pos < t->in_len || gnutls_record_check_pending(t->session);
    g_mutex_unlock(&t->lock);
    return pending;
}

static bool tls_shutdown(IOChannel *ioc, IOShutdown how, Error **errp)
{
    return io_channel_shutdown(ioc->inner, how, errp);
}

/*
 * Say that this is the end.  A client that never heard anything may have been refused without
 * knowing (TLS 1.3): it waits for the peer to close, or for its alert.
 */
static bool tls_close(IOChannel *ioc, Error **errp)
{
    TlsChannel *t = tls_of(ioc);
    bool ok = true;

    g_mutex_lock(&t->lock);
    if (t->established && !io_channel_check_shut(ioc, IO_SHUTDOWN_WRITE, NULL)) {
        gnutls_bye(t->session, GNUTLS_SHUT_WR);
        flush_locked(t, NULL);
        if (!t->creds->server && !t->heard && !t->alert) {
            look_for_alert_locked(t, LAST_WORD_MS);
        }
        if (t->alert) {
            set_alert_error(t, errp);
            ok = false;
        }
    }
    t->established = false;
    ioc->fd_in = ioc->fd_out = -1;
    g_mutex_unlock(&t->lock);
    return io_channel_close(ioc->inner, ok ? errp : NULL) && ok;
}

static void tls_free(IOChannel *ioc)
{
    TlsChannel *t = tls_of(ioc);

    gnutls_deinit(t->session);
    tls_creds_unref(t->creds);
    io_channel_unref(ioc->inner);
    g_byte_array_unref(t->out);
    g_byte_array_unref(t->spare);
    g_free(t->in);
    g_free(t->plain);
    g_free(t->hostname);
    g_free(t->alert);
    g_free(t->verdict);
    g_mutex_clear(&t->lock);
    g_cond_clear(&t->changed);
}

static const IOChannelClass tls_class = {
    .name = "tls",
    .two_way = true,
    .readv = tls_readv,
    .writev = tls_writev,
    .peek = tls_peek,
    .pending = tls_pending,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .free = tls_free,
};

TlsCreds *io_channel_tls_creds(const IOChannel *ioc)
{
    return ioc->klass == &tls_class ? ((const TlsChannel *)ioc)->creds : NULL;
}

static bool session_init(TlsChannel *t, Error **errp)
{
    int ret = gnutls_init(&t->session, t->creds->server ? GNUTLS_SERVER : GNUTLS_CLIENT);

    if (ret < 0) {
        error_setg(errp, "TLS session: %s", gnutls_strerror(ret));
        return false;
    }
    if (!tls_creds_apply(t->creds, t->session, errp)) {
        return false;
    }
    gnutls_session_set_ptr(t->session, t);
    gnutls_session_set_verify_function(t->session, verify_peer);
    gnutls_transport_set_ptr(t->session, t);
    gnutls_transport_set_push_function(t->session, push);
    gnutls_transport_set_pull_function(t->session, pull);
    gnutls_transport_set_pull_timeout_function(t->session, pull_timeout);
    gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT); /* ours is outside */
    return true;
}

IOChannel *io_channel_tls_new(IOChannel *raw, TlsCreds *creds, const char *hostname, Error **errp)
{
    TlsChannel *t = g_new0(TlsChannel, 1);
    g_autoptr(IOChannel) ioc = &t->base;

    io_channel_init(ioc, &tls_class, raw->name);
    ioc->inner = raw;
    ioc->fd_in = raw->fd_in;
    ioc->fd_out = raw->fd_out;
    t->creds = tls_creds_ref(creds);
    t->hostname = g_strdup(hostname);
    t->out = g_byte_array_sized_new(OUT_FULL + 2 * RECORD_MAX);
    t->spare = g_byte_array_sized_new(OUT_FULL + 2 * RECORD_MAX);
    t->in = g_malloc(IN_SIZE);
    t->plain = g_malloc(RECORD_MAX);
    g_mutex_init(&t->lock);
    g_cond_init(&t->changed);
    if (!raw->two_way) {
        error_setg(errp, "TLS needs a channel that bytes can come back on, and a %s channel is "
                   "one-way: use a socket", raw->klass->name);
        return NULL;
    }
    if (!session_init(t, errp)) {
        return NULL;
    }
    if (!creds->server && hostname && creds->kind == TLS_CREDS_X509 &&
        !g_hostname_is_ip_address(hostname)) {
        gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, hostname, strlen(hostname));
    }
    return g_steal_pointer(&ioc);
}
