/*
 * zlib: one deflate stream a channel, flushed at the end of each packet.
 *
 * Belongs to the thread of the channel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <zlib.h>

#include "migration/multifd/codec.h"
#include "system/ramblock.h"
#include "util/util.h"
#include "migration/wire.h"

struct CodecState {
    z_stream z;
    bool decoder;
    uint8_t page[TARGET_PAGE_SIZE]; /* the guest may write while deflate() reads */
};

static CodecState *fail_init(CodecState *c, Error **errp)
{
    error_setg(errp, "zlib cannot start: %s", c->z.msg ? c->z.msg : "no memory");
    g_free(c);
    return NULL;
}

static CodecState *encoder_new(int level, Error **errp)
{
    CodecState *c = g_new0(CodecState, 1);

    return deflateInit(&c->z, level) == Z_OK ? c : fail_init(c, errp);
}

static CodecState *decoder_new(Error **errp)
{
    CodecState *c = g_new0(CodecState, 1);

    c->decoder = true;
    return inflateInit(&c->z) == Z_OK ? c : fail_init(c, errp);
}

static void codec_free(CodecState *c)
{
    if (c) {
        c->decoder ? inflateEnd(&c->z) : deflateEnd(&c->z);
        g_free(c);
    }
}

static size_t encode(CodecState *c, const uint8_t *const *pages, unsigned n, uint8_t *out,
                     size_t room, Error **errp)
{
    c->z.next_out = out;
    c->z.avail_out = room;
    for (unsigned i = 0; i < n; i++) {
        int flush = i == n - 1 ? Z_SYNC_FLUSH : Z_NO_FLUSH;

        memcpy(c->page, pages[i], TARGET_PAGE_SIZE);
        c->z.next_in = c->page;
        c->z.avail_in = TARGET_PAGE_SIZE;
        if (deflate(&c->z, flush) != Z_OK || c->z.avail_in || !c->z.avail_out) {
            error_setg(errp, "zlib cannot compress a page: %s",
                       c->z.msg ? c->z.msg : "the result is too long");
            return 0;
        }
    }
    return room - c->z.avail_out;
}

/* One page, or with `page` NULL what ends a packet and yields nothing. */
static bool inflate_page(CodecState *c, uint8_t *page)
{
    uint8_t none[1];

    c->z.next_out = page ? page : none;
    c->z.avail_out = page ? TARGET_PAGE_SIZE : 1;
    do {
        int r = inflate(&c->z, Z_SYNC_FLUSH);

        if (r != Z_OK && !(r == Z_BUF_ERROR && !page)) {
            return false;
        }
    } while (page && c->z.avail_out && c->z.avail_in);
    return page ? !c->z.avail_out : c->z.avail_out == 1;
}

static bool decode(CodecState *c, const uint8_t *in, size_t len, uint8_t *const *pages, unsigned n,
                   Error **errp)
{
    c->z.next_in = (uint8_t *)in;
    c->z.avail_in = len;
    for (unsigned i = 0; i < n; i++) {
        if (!inflate_page(c, pages[i])) {
            error_setg(errp, "the zlib data of page %u of %u in a packet is damaged%s%s", i + 1, n,
                       c->z.msg ? ": " : "", c->z.msg ? c->z.msg : "");
            return false;
        }
    }
    if (c->z.avail_in && (!inflate_page(c, NULL) || c->z.avail_in)) {
        error_setg(errp, "a packet has more zlib data than its %u pages", n);
        return false;
    }
    return true;
}

const MultifdCodec multifd_codec_zlib = {
    .flag = WIRE_MULTIFD_ZLIB, .encoder_new = encoder_new, .decoder_new = decoder_new,
    .free = codec_free, .encode = encode, .decode = decode,
};
