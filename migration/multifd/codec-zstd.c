/*
 * zstd: one streaming context a channel, flushed at the end of each packet.
 *
 * Belongs to the thread of the channel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <zstd.h>

#include "migration/multifd/codec.h"
#include "migration/wire.h"
#include "system/ramblock.h"
#include "util/util.h"

/* The decoder keeps so much of what came before; level 20, the highest, wants no more. */
#define WINDOW_LOG_MAX 25

struct CodecState {
    ZSTD_CCtx *enc;
    ZSTD_DCtx *dec;
    uint8_t page[TARGET_PAGE_SIZE]; /* the guest may write while it is compressed */
};

static void codec_free(CodecState *c)
{
    if (c) {
        ZSTD_freeCCtx(c->enc);
        ZSTD_freeDCtx(c->dec);
        g_free(c);
    }
}

static CodecState *encoder_new(int level, Error **errp)
{
    CodecState *c = g_new0(CodecState, 1);

    c->enc = ZSTD_createCCtx();
    if (!c->enc || ZSTD_isError(ZSTD_CCtx_setParameter(c->enc, ZSTD_c_compressionLevel, level))) {
        error_setg(errp, "zstd cannot start with level %d", level);
        codec_free(c);
        return NULL;
    }
    return c;
}

static CodecState *decoder_new(Error **errp)
{
    CodecState *c = g_new0(CodecState, 1);

    c->dec = ZSTD_createDCtx();
    if (!c->dec ||
        ZSTD_isError(ZSTD_DCtx_setParameter(c->dec, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        codec_free(c);
        error_setg(errp, "zstd cannot start: no memory");
        return NULL;
    }
    return c;
}

static size_t encode(CodecState *c, const uint8_t *const *pages, unsigned n, uint8_t *out,
                     size_t room, Error **errp)
{
    ZSTD_outBuffer to = { out, room, 0 };

    for (unsigned i = 0; i < n; i++) {
        ZSTD_EndDirective op = i == n - 1 ? ZSTD_e_flush : ZSTD_e_continue;
        ZSTD_inBuffer from = { c->page, TARGET_PAGE_SIZE, 0 };
        size_t left;

        memcpy(c->page, pages[i], TARGET_PAGE_SIZE);
        do {
            left = ZSTD_compressStream2(c->enc, &to, &from, op);
            if (ZSTD_isError(left)) {
                error_setg(errp, "zstd cannot compress a page: %s", ZSTD_getErrorName(left));
                return 0;
            }
        } while (to.pos < to.size && (from.pos < from.size || (op == ZSTD_e_flush && left)));
        if (from.pos < from.size || (op == ZSTD_e_flush && left)) {
            error_setg(errp, "zstd cannot compress a page: the result is too long");
            return 0;
        }
    }
    return to.pos;
}

static bool decode(CodecState *c, const uint8_t *in, size_t len, uint8_t *const *pages, unsigned n,
                   Error **errp)
{
    ZSTD_inBuffer from = { in, len, 0 };
    uint8_t spare[1];
    ZSTD_outBuffer rest = { spare, sizeof(spare), 0 };

    for (unsigned i = 0; i < n; i++) {
        ZSTD_outBuffer to = { pages[i], TARGET_PAGE_SIZE, 0 };
        size_t was = SIZE_MAX;

        /* Ends when the page is full, or when a call neither takes nor gives anything. */
        while (to.pos < to.size && was != from.pos + to.pos) {
            was = from.pos + to.pos;
            size_t r = ZSTD_decompressStream(c->dec, &to, &from);
            if (ZSTD_isError(r)) {
                error_setg(errp, "the zstd data of page %u of %u in a packet is damaged: %s", i + 1,
                           n, ZSTD_getErrorName(r));
                return false;
            }
        }
        if (to.pos < to.size) {
            error_setg(errp, "the zstd data of a packet ends in page %u of %u", i + 1, n);
            return false;
        }
    }
    /* What does not fit into the pages may be inside of the decoder by now. */
    if (ZSTD_isError(ZSTD_decompressStream(c->dec, &rest, &from)) || rest.pos || from.pos < len) {
        error_setg(errp, "a packet has more zstd data than its %u pages", n);
        return false;
    }
    return true;
}

const MultifdCodec multifd_codec_zstd = {
    .flag = WIRE_MULTIFD_ZSTD, .encoder_new = encoder_new, .decoder_new = decoder_new,
    .free = codec_free, .encode = encode, .decode = decode,
};
