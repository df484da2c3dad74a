/*
 * The threads between a socket and the descriptor engine.
 *
 * "chardev-in" carries the peer's bytes to the engine, "chardev-out" the engine's to the peer;
 * each owns its direction of the channel and of the codec.  What "chardev-in" answers by
 * itself (a WebSocket's pong) goes out under write_lock.  Handshakes belong to the caller.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "chardev/layer.h"

#include <string.h>
#include <sys/socket.h>

#include "system/authz.h"
#include "system/machine-lock.h"
#include "util/log.h"
#include "util/util.h"

enum { PIECE = 16 * 1024 };

/* Field keys: (c) constant once started, (i) in's, (o) out's. */
struct SocketLayer {
    gint ref;           /* atomic */
    IOChannel *ioc;     /* (c) */
    bool tls;           /* (c) */
    char *authz;        /* (c) */
    Codec *codec;       /* (c) NULL: none */
    int engine;         /* (c) our end of the pair; -1: not started */
    void (*on_break)(void *opaque);
    void *opaque;       /* (c) */
    GByteArray *early;  /* (c) plain text that came with the handshake */
    GMutex write_lock;  /* who writes to ioc */
    GThread *in, *out;
    GMutex lock;
    GCond changed;
    bool out_done;      /* lock */
};

/* ---- codec ---- */

Codec *codec_new(const CodecClass *klass)
{
    Codec *c = g_malloc0(klass->size);

    c->klass = klass;
    return c;
}

void codec_free(Codec *c)
{
    if (c && c->klass->clear) {
        c->klass->clear(c);
    }
    g_free(c);
}

/* ---- life ---- */

void layer_config_clear(LayerConfig *l)
{
    g_clear_pointer(&l->creds, tls_creds_unref);
    g_clear_pointer(&l->authz, g_free);
}

SocketLayer *layer_new(const LayerConfig *l, int fd, const char *hostname, Error **errp)
{
    IOChannel *ioc = io_channel_socket_new(fd);
    SocketLayer *s;

    io_channel_set_name(ioc, "chardev");
    if (l->creds) {
        ioc = io_channel_tls_new(ioc, l->creds, hostname, errp);
        if (!ioc) {
            return NULL;
        }
    }
    s = g_new0(SocketLayer, 1);
    s->ref = 1;
    s->ioc = ioc;
    s->tls = l->creds != NULL;
    s->authz = g_strdup(l->authz);
    s->codec = l->codec ? codec_new(l->codec) : NULL;
    s->engine = -1;
    s->early = g_byte_array_new();
    g_mutex_init(&s->write_lock);
    g_mutex_init(&s->lock);
    g_cond_init(&s->changed);
    return s;
}

SocketLayer *layer_ref(SocketLayer *s)
{
    g_atomic_int_inc(&s->ref);
    return s;
}

void layer_unref(SocketLayer *s)
{
    if (!g_atomic_int_dec_and_test(&s->ref)) {
        return;
    }
    io_channel_unref(s->ioc);
    codec_free(s->codec);
    close_fd(&s->engine);
    g_byte_array_unref(s->early);
    g_mutex_clear(&s->write_lock);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->changed);
    g_free(s->authz);
    g_free(s);
}

void layer_shutdown(SocketLayer *s)
{
    io_channel_shutdown(s->ioc, IO_SHUTDOWN_BOTH, NULL);
}

/* ---- bytes to the peer ---- */

/* Write out what is in wire, and empty it. */
static bool send_wire(SocketLayer *s, GByteArray *wire, Error **errp)
{
    struct iovec iov = { wire->data, wire->len };
    bool ok;

    if (!wire->len) {
        return true;
    }
    g_mutex_lock(&s->write_lock);
    ok = io_channel_writev_all(s->ioc, &iov, 1, errp);
    g_mutex_unlock(&s->write_lock);
    g_byte_array_set_size(wire, 0);
    return ok;
}

static gpointer out_thread(gpointer opaque)
{
    SocketLayer *s = opaque;
    g_autoptr(GByteArray) wire = g_byte_array_new();
    g_autofree uint8_t *buf = g_malloc(PIECE);
    bool ok = true;

    while (ok) {
        ssize_t n = recv(s->engine, buf, PIECE, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        if (s->codec) {
            s->codec->klass->encode(s->codec, buf, n, wire);
        } else {
            g_byte_array_append(wire, buf, n);
        }
        ok = send_wire(s, wire, NULL);
    }
    if (ok && s->codec && s->codec->klass->part) {
        s->codec->klass->part(s->codec, wire);
        send_wire(s, wire, NULL);
    }
    g_mutex_lock(&s->lock);
    s->out_done = true;
    g_cond_broadcast(&s->changed);
    g_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- bytes of the peer ---- */

static bool to_engine(SocketLayer *s, GByteArray *plain)
{
    size_t done = 0;

    while (done < plain->len) {
        ssize_t n = send(s->engine, plain->data + done, plain->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        done += n;
    }
    g_byte_array_set_size(plain, 0);
    return true;
}

/*
 * Wait for bytes of the peer and decode them into plain; `answer` is sent.  False at the end,
 * or with errp set.
 */
static bool receive(SocketLayer *s, GByteArray *plain, GByteArray *answer, Error **errp)
{
    uint8_t buf[PIECE];
    struct iovec iov = { buf, sizeof(buf) };
    ssize_t n = io_channel_readv(s->ioc, &iov, 1, errp);
    bool ok = n > 0;

    if (!ok) {
        return false;
    }
    if (!s->codec) {
        g_byte_array_append(plain, buf, n);
        return true;
    }
    ok = s->codec->klass->decode(s->codec, buf, n, plain, answer, errp);
    return send_wire(s, answer, ok ? errp : NULL) && ok;
}

static gpointer in_thread(gpointer opaque)
{
    SocketLayer *s = opaque;
    g_autoptr(GByteArray) plain = g_byte_array_new();
    g_autoptr(GByteArray) answer = g_byte_array_new();
    g_autoptr(Error) err = NULL;
    unsigned breaks = 0;
    bool ok = to_engine(s, s->early);

    while (ok) {
        ok = receive(s, plain, answer, &err);
        ok = to_engine(s, plain) && ok;
        for (; s->codec && breaks < s->codec->breaks; breaks++) {
            s->on_break(s->opaque);
        }
    }
    /* To the engine this is the peer that closes. */
    shutdown(s->engine, SHUT_RDWR);
    return NULL;
}

/* ---- handshake ---- */

/* Until the codec says that the peer may talk. */
static bool codec_handshake(SocketLayer *s, int64_t end_ms, Error **errp)
{
    g_autoptr(GByteArray) answer = g_byte_array_new();

    if (s->codec->klass->greet) {
        s->codec->klass->greet(s->codec, answer);
        if (!send_wire(s, answer, errp)) {
            return false;
        }
    }
    while (!s->codec->ready) {
        int64_t left = end_ms - host_clock_ms();
        g_autoptr(Error) err = NULL;

        if (left <= 0 || !io_channel_wait_readable(s->ioc, (int)left)) {
            error_setg(errp, "the peer was silent for too long");
            return false;
        }
        if (!receive(s, s->early, answer, &err)) {
            if (err) {
                g_propagate_error(errp, g_steal_pointer(&err));
            } else {
                error_setg(errp, "the peer closed the connection");
            }
            return false;
        }
    }
    return true;
}

static bool peer_allowed(SocketLayer *s, Error **errp)
{
    g_autofree char *peer = io_channel_tls_peer(s->ioc);
    bool ok;

    {
        MACHINE_LOCK_GUARD();
        ok = authz_check(s->authz, peer, errp);
    }
    if (!ok) {
        error_prefix(errp, "tls-authz: ");
        io_channel_tls_deny(s->ioc);
    }
    return ok;
}

bool layer_handshake(SocketLayer *s, Error **errp)
{
    int64_t end_ms = host_clock_ms() + LAYER_TIMEOUT_MS;

    if (s->tls && (!io_channel_tls_handshake(s->ioc, LAYER_TIMEOUT_MS, errp) ||
                   (s->authz && !peer_allowed(s, errp)))) {
        return false;
    }
    return !s->codec || codec_handshake(s, end_ms, errp);
}

/* ---- threads ---- */

int layer_start(SocketLayer *s, void (*on_break)(void *opaque), void *opaque, Error **errp)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        error_setg_errno(errp, errno, "cannot make a socket pair");
        return -1;
    }
    s->engine = pair[0];
    s->on_break = on_break;
    s->opaque = opaque;
    s->in = thread_start("chardev-in", in_thread, s);
    s->out = thread_start("chardev-out", out_thread, s);
    return pair[1];
}

void layer_finish(SocketLayer *s, int linger_ms)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)linger_ms * 1000;

    g_mutex_lock(&s->lock);
    while (!s->out_done && g_cond_wait_until(&s->changed, &s->lock, end_us)) {
    }
    bool done = s->out_done;
    g_mutex_unlock(&s->lock);
    io_channel_shutdown(s->ioc, done ? IO_SHUTDOWN_READ : IO_SHUTDOWN_BOTH, NULL);
    g_thread_join(g_steal_pointer(&s->in));
    g_thread_join(g_steal_pointer(&s->out));
    io_channel_close(s->ioc, NULL); /* with the farewell of TLS */
}
