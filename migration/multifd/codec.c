/*
 * Which compressions there are.
 *
 * Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/multifd/codec.h"

static const MultifdCodec none;

const MultifdCodec *multifd_codec(MigCompression compression)
{
    switch (compression) {
    case MIG_COMPRESSION_NONE:
        return &none;
    case MIG_COMPRESSION_ZLIB:
        return &multifd_codec_zlib;
    case MIG_COMPRESSION_ZSTD:
        return &multifd_codec_zstd;
    default:
        return NULL;
    }
}

int multifd_codec_level(const MigConfig *config)
{
    return config->multifd_compression == MIG_COMPRESSION_ZLIB ? config->multifd_zlib_level
                                                               : config->multifd_zstd_level;
}
