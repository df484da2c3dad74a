/*
 * Packets of multifd channels: encoding, and decoding with all checks that need no guest.
 *
 * Pure: no IO, no state, any thread.  Numbers are big-endian on the wire.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MULTIFD_PACKET_H
#define FERRY_MULTIFD_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "migration/wire.h"
#include "util/error.h"

/* The first bytes of a channel, source to destination. */
#define MULTIFD_INITIAL_LEN 64
/* Header of every later packet; the array of offsets always has its full length. */
#define MULTIFD_PAGES 128
#define MULTIFD_HEADER_LEN (320 + 8 * MULTIFD_PAGES)
/* What tells the kinds of packet apart: magic, version, flags. */
#define MULTIFD_COMMON_LEN 12
/* Most bytes of data behind a header that Ferry takes: compressed pages may grow a little. */
#define MULTIFD_DATA_MAX (2U * MULTIFD_PAGES * 4096)

typedef struct MultifdInitial {
    uint8_t uuid[16]; /* of the machine, zeros: none */
    uint8_t id;       /* number of the channel, from 0 */
} MultifdInitial;

void multifd_initial_encode(uint8_t ret_buf[MULTIFD_INITIAL_LEN], const MultifdInitial *in);
/* Checks magic and version; uuid and id are the caller's to compare. */
bool multifd_initial_decode(const uint8_t buf[MULTIFD_INITIAL_LEN], MultifdInitial *ret,
                            Error **errp);

typedef struct MultifdHeader {
    uint32_t flags;       /* WIRE_MULTIFD_ */
    uint32_t normal;      /* pages whose data follows */
    uint32_t zero;        /* pages of zeros: listed behind the normal ones */
    uint32_t data_len;    /* bytes behind the header */
    uint64_t packet_num;
    char block[256];      /* "" when there are no pages */
    uint64_t offset[MULTIFD_PAGES]; /* bytes in the block */
} MultifdHeader;

void multifd_header_encode(uint8_t ret_buf[MULTIFD_HEADER_LEN], const MultifdHeader *h);
/* The first MULTIFD_COMMON_LEN bytes: are they those of a packet of pages? */
bool multifd_common_check(const uint8_t *buf, Error **errp);
/*
 * After multifd_common_check(): counts, name, data length and compression (WIRE_MULTIFD_
 * bits, 0: none).  Offsets are whole pages; that they are inside of the block is the
 * caller's to check.
 */
bool multifd_header_decode(const uint8_t buf[MULTIFD_HEADER_LEN], uint32_t compression,
                           MultifdHeader *ret, Error **errp);

#endif
