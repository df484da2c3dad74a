/*
 * The server's end of a WebSocket: a request to upgrade, then binary frames.  Belongs to no
 * thread.
 *
 * Facts: RFC 6455: section 4.2 (handshake), 5.2 (frames), 5.5 (control frames), 7.4 (codes).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chardev/layer.h"

#define KEY_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum {
    HEAD_MAX = 8192,      /* of the request */
    CONTROL_MAX = 125,    /* payload of a control frame */
    FIN = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    MASKED = 0x80,
    OP_CONTINUATION = 0,
    OP_TEXT = 1,
    OP_BINARY = 2,
    OP_CLOSE = 8,
    OP_PING = 9,
    OP_PONG = 10,
    CLOSE_NORMAL = 1000,
};

typedef struct WebSocket {
    Codec base;
    /* All of decode. */
    GByteArray *head;    /* of the request, then of a frame: bytes that do not make one yet */
    bool in_payload;
    uint8_t opcode, mask[4];
    uint64_t left;       /* bytes of the payload that are missing */
    unsigned mask_at;
    uint8_t control[CONTROL_MAX];
    unsigned control_len;
} WebSocket;

static void put_frame(GByteArray *wire, uint8_t opcode, const uint8_t *buf, size_t len)
{
    uint8_t head[10] = { FIN | opcode };
    size_t n = 2;

    if (len <= 125) {
        head[1] = (uint8_t)len;
    } else {
        bool wide = len > UINT16_MAX;
        size_t bytes = wide ? 8 : 2;

        head[1] = wide ? 127 : 126;
        for (size_t i = 0; i < bytes; i++) {
            head[n++] = (uint8_t)((uint64_t)len >> (8 * (bytes - 1 - i)));
        }
    }
    g_byte_array_append(wire, head, n);
    g_byte_array_append(wire, buf, len);
}

/* ---- the request ---- */

/* Value of a header line, NULL: there is none.  Names count without case. */
static char *header(char *const *lines, const char *name)
{
    size_t n = strlen(name);

    for (char *const *l = lines; *l; l++) {
        if (g_ascii_strncasecmp(*l, name, n) == 0 && (*l)[n] == ':') {
            return g_strstrip(g_strdup(*l + n + 1));
        }
    }
    return NULL;
}

/* Is `word` one of the comma-separated words of a header? */
static bool has_word(char *const *lines, const char *name, const char *word)
{
    g_autofree char *value = header(lines, name);
    g_auto(GStrv) words = g_strsplit(value ? value : "", ",", -1);

    for (char **w = words; *w; w++) {
        if (g_ascii_strcasecmp(g_strstrip(*w), word) == 0) {
            return true;
        }
    }
    return false;
}

static char *accept_key(const char *key)
{
    g_autoptr(GChecksum) sha = g_checksum_new(G_CHECKSUM_SHA1);
    uint8_t digest[20];
    gsize len = sizeof(digest);

    g_checksum_update(sha, (const guchar *)key, -1);
    g_checksum_update(sha, (const guchar *)KEY_GUID, -1);
    g_checksum_get_digest(sha, digest, &len);
    return g_base64_encode(digest, len);
}

/* What is wrong with the request; NULL: nothing. */
static const char *refusal(char *const *lines)
{
    g_autofree char *key = header(lines, "Sec-WebSocket-Key");
    g_autofree char *version = header(lines, "Sec-WebSocket-Version");
    g_autofree char *host = header(lines, "Host");

    if (!lines[0] || !g_str_has_prefix(lines[0], "GET ") ||
        !g_str_has_suffix(lines[0], " HTTP/1.1")) {
        return "the request is not 'GET ... HTTP/1.1'";
    }
    if (!host || !has_word(lines, "Upgrade", "websocket") ||
        !has_word(lines, "Connection", "Upgrade")) {
        return "the request does not ask for an upgrade to WebSocket";
    }
    if (!key || strlen(key) != 24) {
        return "the request has no Sec-WebSocket-Key of 24 characters";
    }
    return version && g_str_equal(version, "13") ? NULL
                                                 : "the request is not of WebSocket version 13";
}

static bool answer_request(WebSocket *w, char *text, GByteArray *answer, Error **errp)
{
    g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);
    const char *why = refusal(lines);
    g_autofree char *reply = NULL;

    if (why) {
        reply = g_strdup("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\n"
                         "Connection: close\r\nContent-Length: 0\r\n\r\n");
        error_setg(errp, "WebSocket: %s", why);
    } else {
        g_autofree char *key = header(lines, "Sec-WebSocket-Key");
        g_autofree char *accept = accept_key(key);
        /* Browsers close when a protocol that they offered is not named. */
        bool binary = has_word(lines, "Sec-WebSocket-Protocol", "binary");

        reply = g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                                accept, binary ? "Sec-WebSocket-Protocol: binary\r\n" : "");
    }
    g_byte_array_append(answer, (const uint8_t *)reply, strlen(reply));
    w->base.ready = !why;
    return !why;
}

/* Returns how many bytes belong to the request, -1 with errp set. */
static ssize_t take_request(WebSocket *w, const uint8_t *buf, size_t len, GByteArray *answer,
                            Error **errp)
{
    size_t before = w->head->len;
    size_t from = before > 3 ? before - 3 : 0;
    const char *end;

    g_byte_array_append(w->head, buf, len);
    end = g_strstr_len((const char *)w->head->data + from, w->head->len - from, "\r\n\r\n");
    if (!end) {
        if (w->head->len > HEAD_MAX) {
            error_setg(errp, "WebSocket: the request is longer than %d bytes", HEAD_MAX);
            return -1;
        }
        return len;
    }
    size_t n = end - (const char *)w->head->data;
    g_autofree char *text = g_strndup((const char *)w->head->data, n);
    g_byte_array_set_size(w->head, 0);
    return answer_request(w, text, answer, errp) ? (ssize_t)(n + 4 - before) : -1;
}

/* ---- frames ---- */

/* Bytes of a frame's head, as far as head[1] tells. */
static size_t head_size(const GByteArray *head)
{
    unsigned len7;

    if (head->len < 2) {
        return 2;
    }
    len7 = head->data[1] & ~MASKED;
    return 2 + (len7 == 126 ? 2 : len7 == 127 ? 8 : 0) + sizeof(((WebSocket *)0)->mask);
}

/* The first two bytes of a frame are there. */
static bool check_frame(const uint8_t *h, Error **errp)
{
    unsigned opcode = h[0] & OPCODE;

    if ((h[0] & RESERVED) || !(h[1] & MASKED)) {
        error_setg(errp, "WebSocket: a frame is not masked or has reserved bits set");
        return false;
    }
    if (opcode > OP_PONG || (opcode > OP_BINARY && opcode < OP_CLOSE)) {
        error_setg(errp, "WebSocket: a frame has the unknown opcode %u", opcode);
        return false;
    }
    if (opcode >= OP_CLOSE && ((h[1] & ~MASKED) > CONTROL_MAX || !(h[0] & FIN))) {
        error_setg(errp, "WebSocket: a control frame is too long or in pieces");
        return false;
    }
    return true;
}

static void start_frame(WebSocket *w)
{
    const uint8_t *h = w->head->data;
    size_t bytes = w->head->len - 2 - sizeof(w->mask);

    w->opcode = h[0] & OPCODE;
    w->left = h[1] & ~MASKED;
    if (bytes) {
        w->left = 0;
        for (size_t i = 0; i < bytes; i++) {
            w->left = w->left << 8 | h[2 + i];
        }
    }
    memcpy(w->mask, h + 2 + bytes, sizeof(w->mask));
    w->mask_at = 0;
    w->control_len = 0;
    w->in_payload = true;
}

/* Returns how many bytes were taken. */
static size_t take_payload(WebSocket *w, const uint8_t *buf, size_t len, GByteArray *plain)
{
    size_t n = MIN(len, w->left);

    for (size_t i = 0; i < n; i++) {
        uint8_t byte = buf[i] ^ w->mask[w->mask_at++ & 3];

        if (w->opcode >= OP_CLOSE) {
            w->control[w->control_len++] = byte;
        } else {
            g_byte_array_append(plain, &byte, 1);
        }
    }
    w->left -= n;
    return n;
}

/* The payload is complete.  False: the peer says goodbye. */
static bool end_frame(WebSocket *w, GByteArray *answer)
{
    w->in_payload = false;
    g_byte_array_set_size(w->head, 0);
    if (w->opcode == OP_PING) {
        put_frame(answer, OP_PONG, w->control, w->control_len);
    }
    return w->opcode != OP_CLOSE;
}

static bool take_frames(WebSocket *w, const uint8_t *buf, size_t len, GByteArray *plain,
                        GByteArray *answer, Error **errp)
{
    while (len > 0) {
        if (w->in_payload) {
            size_t n = take_payload(w, buf, len, plain);
            buf += n;
            len -= n;
        } else {
            g_byte_array_append(w->head, buf++, 1);
            len--;
            if (w->head->len == 2 && !check_frame(w->head->data, errp)) {
                return false;
            }
            if (w->head->len == head_size(w->head)) {
                start_frame(w);
            }
        }
        if (w->in_payload && w->left == 0 && !end_frame(w, answer)) {
            return false;
        }
    }
    return true;
}

static bool websocket_decode(Codec *c, const uint8_t *buf, size_t len, GByteArray *plain,
                             GByteArray *answer, Error **errp)
{
    WebSocket *w = (WebSocket *)c;

    if (!w->head) {
        w->head = g_byte_array_new();
    }
    if (!c->ready) {
        ssize_t n = take_request(w, buf, len, answer, errp);
        if (n < 0) {
            return false;
        }
        buf += n;
        len -= n;
    }
    return take_frames(w, buf, len, plain, answer, errp);
}

static void websocket_encode(Codec *c, const uint8_t *buf, size_t len, GByteArray *wire)
{
    put_frame(wire, OP_BINARY, buf, len);
}

static void websocket_part(Codec *c, GByteArray *wire)
{
    static const uint8_t code[] = { CLOSE_NORMAL >> 8, CLOSE_NORMAL & 0xff };

    put_frame(wire, OP_CLOSE, code, sizeof(code));
}

static void websocket_clear(Codec *c)
{
    WebSocket *w = (WebSocket *)c;

    if (w->head) {
        g_byte_array_unref(w->head);
    }
}

const CodecClass codec_websocket = {
    .size = sizeof(WebSocket),
    .decode = websocket_decode,
    .encode = websocket_encode,
    .part = websocket_part,
    .clear = websocket_clear,
};
