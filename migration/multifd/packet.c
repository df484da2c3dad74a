/*
 * Packets of multifd channels.
 *
 * Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/multifd/packet.h"

#include <inttypes.h>
#include <string.h>

#include "util/util.h"

/* Offsets of the fields in a header. */
enum {
    AT_MAGIC = 0, AT_VERSION = 4, AT_FLAGS = 8, AT_ALLOC = 12, AT_NORMAL = 16, AT_DATA_LEN = 20,
    AT_NUM = 24, AT_ZERO = 32, AT_BLOCK = 64, AT_OFFSETS = 320,
    AT_INITIAL_UUID = 8, AT_INITIAL_ID = 24,
};

void multifd_initial_encode(uint8_t ret_buf[MULTIFD_INITIAL_LEN], const MultifdInitial *in)
{
    memset(ret_buf, 0, MULTIFD_INITIAL_LEN);
    wire_put_be32(ret_buf + AT_MAGIC, WIRE_MULTIFD_MAGIC);
    wire_put_be32(ret_buf + AT_VERSION, WIRE_MULTIFD_VERSION);
    memcpy(ret_buf + AT_INITIAL_UUID, in->uuid, sizeof(in->uuid));
    ret_buf[AT_INITIAL_ID] = in->id;
}

static bool check_magic(const uint8_t *buf, Error **errp)
{
    uint32_t magic = wire_get_be32(buf + AT_MAGIC), version = wire_get_be32(buf + AT_VERSION);

    if (magic != WIRE_MULTIFD_MAGIC) {
        error_setg(errp, "a packet starts with 0x%08x instead of 0x%08x", magic,
                   WIRE_MULTIFD_MAGIC);
        return false;
    }
    if (version != WIRE_MULTIFD_VERSION) {
        error_setg(errp, "packet version %u is not supported; %u is", version,
                   WIRE_MULTIFD_VERSION);
        return false;
    }
    return true;
}

bool multifd_initial_decode(const uint8_t buf[MULTIFD_INITIAL_LEN], MultifdInitial *ret,
                            Error **errp)
{
    if (!check_magic(buf, errp)) {
        return false;
    }
    memcpy(ret->uuid, buf + AT_INITIAL_UUID, sizeof(ret->uuid));
    ret->id = buf[AT_INITIAL_ID];
    return true;
}

void multifd_header_encode(uint8_t ret_buf[MULTIFD_HEADER_LEN], const MultifdHeader *h)
{
    uint32_t pages = h->normal + h->zero;

    g_assert(pages <= MULTIFD_PAGES);
    memset(ret_buf, 0, MULTIFD_HEADER_LEN);
    wire_put_be32(ret_buf + AT_MAGIC, WIRE_MULTIFD_MAGIC);
    wire_put_be32(ret_buf + AT_VERSION, WIRE_MULTIFD_VERSION);
    wire_put_be32(ret_buf + AT_FLAGS, h->flags);
    wire_put_be32(ret_buf + AT_ALLOC, pages ? MULTIFD_PAGES : 0);
    wire_put_be32(ret_buf + AT_NORMAL, h->normal);
    wire_put_be32(ret_buf + AT_DATA_LEN, h->data_len);
    wire_put_be64(ret_buf + AT_NUM, h->packet_num);
    wire_put_be32(ret_buf + AT_ZERO, h->zero);
    memcpy(ret_buf + AT_BLOCK, h->block, strlen(h->block));
    for (uint32_t i = 0; i < pages; i++) {
        wire_put_be64(ret_buf + AT_OFFSETS + 8 * i, h->offset[i]);
    }
}

bool multifd_common_check(const uint8_t *buf, Error **errp)
{
    uint32_t flags = wire_get_be32(buf + AT_FLAGS);
    uint32_t unknown = flags & ~(WIRE_MULTIFD_SYNC | WIRE_MULTIFD_COMPRESSION_MASK);

    if (!check_magic(buf, errp)) {
        return false;
    }
    if (flags & WIRE_MULTIFD_DEVICE_STATE) {
        error_setg(errp, "a packet of device state: no device of this machine takes one");
        return false;
    }
    if (unknown) {
        error_setg(errp, "a packet has unknown flags 0x%x", unknown);
        return false;
    }
    return true;
}

static bool check_counts(const MultifdHeader *h, uint32_t alloc, Error **errp)
{
    if (alloc > MULTIFD_PAGES || h->normal > alloc || h->zero > alloc - h->normal) {
        error_setg(errp, "a packet has %u normal and %u zero pages in room for %u; %u is the most",
                   h->normal, h->zero, alloc, MULTIFD_PAGES);
        return false;
    }
    if (h->normal && (h->data_len > MULTIFD_DATA_MAX || !h->data_len)) {
        error_setg(errp, "a packet has %u bytes of data for %u pages", h->data_len, h->normal);
        return false;
    }
    return true;
}

/* A packet without data, such as a SYNC, need not name the compression. */
static bool check_compression(const MultifdHeader *h, uint32_t compression, Error **errp)
{
    uint32_t bits = h->flags & WIRE_MULTIFD_COMPRESSION_MASK;

    if (h->normal && bits != compression) {
        error_setg(errp, "a packet has compression bits 0x%x and 0x%x is set here: "
                   "multifd-compression must be the same on both sides", bits, compression);
        return false;
    }
    return true;
}

bool multifd_header_decode(const uint8_t buf[MULTIFD_HEADER_LEN], uint32_t compression,
                           MultifdHeader *ret, Error **errp)
{
    uint32_t pages;

    ret->flags = wire_get_be32(buf + AT_FLAGS);
    ret->normal = wire_get_be32(buf + AT_NORMAL);
    ret->zero = wire_get_be32(buf + AT_ZERO);
    ret->data_len = wire_get_be32(buf + AT_DATA_LEN);
    ret->packet_num = wire_get_be64(buf + AT_NUM);
    if (!check_counts(ret, wire_get_be32(buf + AT_ALLOC), errp) ||
        !check_compression(ret, compression, errp)) {
        return false;
    }
    if (!ret->normal) {
        ret->data_len = 0; /* before 9.0 a SYNC has the length of the packet before it */
    }
    memcpy(ret->block, buf + AT_BLOCK, sizeof(ret->block));
    ret->block[sizeof(ret->block) - 1] = 0;
    pages = ret->normal + ret->zero;
    for (uint32_t i = 0; i < pages; i++) {
        ret->offset[i] = wire_get_be64(buf + AT_OFFSETS + 8 * i);
        if (ret->offset[i] & 4095) {
            error_setg(errp, "a packet has a page at 0x%" PRIx64 ", which is no multiple of 4096",
                       ret->offset[i]);
            return false;
        }
    }
    return true;
}
