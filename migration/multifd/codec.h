/*
 * How the pages of a packet become its data and back: one row a compression.
 *
 * A CodecState belongs to one channel and so to its thread; a compressed channel is one
 * stream from its first to its last packet.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MULTIFD_CODEC_H
#define FERRY_MULTIFD_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/config.h"
#include "util/error.h"

typedef struct CodecState CodecState;

typedef struct MultifdCodec {
    uint32_t flag;  /* WIRE_MULTIFD_ bits of its packets */
    /*
     * NULL: data are the pages as they are.  Otherwise level is the one of the
     * configuration for it.
     */
    CodecState *(*encoder_new)(int level, Error **errp);
    CodecState *(*decoder_new)(Error **errp);
    void (*free)(CodecState *c);
    /*
     * n pages (each may be written by the guest meanwhile) into out; the number of bytes, 0
     * with errp set when that failed.
     */
    size_t (*encode)(CodecState *c, const uint8_t *const *pages, unsigned n, uint8_t *out,
                     size_t room, Error **errp);
    /* len bytes into n pages, which they must fill exactly. */
    bool (*decode)(CodecState *c, const uint8_t *in, size_t len, uint8_t *const *pages, unsigned n,
                   Error **errp);
} MultifdCodec;

/* NULL: this build has none for it. */
const MultifdCodec *multifd_codec(MigCompression compression);
/* Level for the encoder of config's compression. */
int multifd_codec_level(const MigConfig *config);

extern const MultifdCodec multifd_codec_zlib, multifd_codec_zstd;

#endif
