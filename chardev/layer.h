/*
 * Private to chardev/: what stands between a socket and the descriptor engine: TLS,
 * WebSocket, telnet.
 *
 *   peer <-> socket <-> [TLS] <-> [codec] <-> socket pair <-> engine (io.c)
 *
 * The engine never waits, and these do; so two threads carry the bytes, one each way.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_CHARDEV_LAYER_H
#define FERRY_CHARDEV_LAYER_H

#include <glib.h>

#include "io/tls.h"

/* ---- codecs: pure; decode and encode are called by one thread each ---- */

typedef struct Codec Codec;

typedef struct CodecClass {
    size_t size; /* of the struct that starts with Codec */
    /* First bytes to the peer.  NULL: none. */
    void (*greet)(Codec *c, GByteArray *wire);
    /*
     * Bytes of the peer: what they mean is added to `plain`, what must be answered to
     * `answer`.  False at the end of the stream, or with errp set when the peer breaks the
     * rules; what was added before counts.
     */
    bool (*decode)(Codec *c, const uint8_t *buf, size_t len, GByteArray *plain,
                   GByteArray *answer, Error **errp);
    void (*encode)(Codec *c, const uint8_t *buf, size_t len, GByteArray *wire);
    /* Last bytes to the peer.  NULL: none. */
    void (*part)(Codec *c, GByteArray *wire);
    void (*clear)(Codec *c); /* NULL: nothing to free */
} CodecClass;

struct Codec {
    const CodecClass *klass;
    bool ready;       /* the peer may talk and listen; decode sets it */
    unsigned breaks;  /* serial breaks that decode met */
};

extern const CodecClass codec_telnet;    /* RFC 854: either end */
extern const CodecClass codec_websocket; /* RFC 6455: server */
Codec *codec_new(const CodecClass *klass);
void codec_free(Codec *c); /* NULL is fine */

/* ---- the layer ---- */

typedef struct SocketLayer SocketLayer;

/* What a socket is covered with.  Constant once filled. */
typedef struct LayerConfig {
    TlsCreds *creds;         /* a reference; NULL: no TLS */
    char *authz;             /* owned: object that looks at the TLS peer, NULL: none */
    const CodecClass *codec; /* NULL: none */
} LayerConfig;
void layer_config_clear(LayerConfig *l);

static inline bool layer_wanted(const LayerConfig *l)
{
    return l->creds || l->codec;
}

/* Takes fd, a connected socket; hostname as in io_channel_tls_new().  NULL with errp set. */
SocketLayer *layer_new(const LayerConfig *l, int fd, const char *hostname, Error **errp);
SocketLayer *layer_ref(SocketLayer *s);
void layer_unref(SocketLayer *s);
/*
 * Handshakes; may wait, LAYER_TIMEOUT_MS at most.  Asking authz takes the machine lock, unless
 * the caller has it.  False with errp set; layer_shutdown() from another thread ends it.
 */
#define LAYER_TIMEOUT_MS 10000
bool layer_handshake(SocketLayer *s, Error **errp);
/*
 * Start to carry bytes.  Returns the engine's end of the socket pair, -1 with errp set.
 * on_break: a break came; a thread of the layer's own.
 */
int layer_start(SocketLayer *s, void (*on_break)(void *opaque), void *opaque, Error **errp);
/* Any thread, any time: cut the connection. */
void layer_shutdown(SocketLayer *s);
/*
 * The engine has closed its end: write out what it wrote, for linger_ms at most, and end the
 * threads.  Once, and only after layer_start().
 */
void layer_finish(SocketLayer *s, int linger_ms);

#endif
