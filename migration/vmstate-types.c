/*
 * How each kind of element of device state is encoded.
 *
 * Belongs to the thread that saves or loads, which holds the machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "migration/vmstate.h"
#include "system/clock.h"
#include "util/bitmap.h"
#include "util/util.h"

/* Numbers: get_NAME, put_NAME and the info for a C type and a width on the wire. */
#define NUMBER(id, type, width, json_name)                                               \
    static bool get_##id(Stream *s, void *pv, size_t size, const VMStateField *field,    \
                           Error **errp)                                                   \
    {                                                                                      \
        *(type *)pv = stream_get_##width(s);                                               \
        return true;                                                                       \
    }                                                                                      \
    static void put_##id(Stream *s, const void *pv, size_t size, const VMStateField *f)  \
    {                                                                                      \
        stream_put_##width(s, *(const type *)pv);                                          \
    }                                                                                      \
    const VMStateInfo vmstate_info_##id = {                                              \
        .name = json_name, .get = get_##id, .put = put_##id                            \
    }

NUMBER(bool, bool, u8, "bool");
NUMBER(int8, int8_t, u8, "int8");
NUMBER(int16, int16_t, be16, "int16");
NUMBER(int32, int32_t, be32, "int32");
NUMBER(int64, int64_t, be64, "int64");
NUMBER(uint8, uint8_t, u8, "uint8");
NUMBER(uint16, uint16_t, be16, "uint16");
NUMBER(uint32, uint32_t, be32, "uint32");
NUMBER(uint64, uint64_t, be64, "uint64");

/* Numbers that must be what they are here: sizes of things that both sides built. */
#define NUMBER_EQUAL(id, type, width, json_name)                                         \
    static bool get_##id##_equal(Stream *s, void *pv, size_t size,                       \
                                   const VMStateField *field, Error **errp)                \
    {                                                                                      \
        type here = *(type *)pv, there = stream_get_##width(s);                            \
        if (stream_error(s, errp)) {                                                       \
            return false;                                                                  \
        }                                                                                  \
        if (here != there) {                                                               \
            error_setg(errp, "the stream has %" PRId64 ", this side %" PRId64,             \
                       (int64_t)there, (int64_t)here);                                     \
            return false;                                                                  \
        }                                                                                  \
        return true;                                                                       \
    }                                                                                      \
    const VMStateInfo vmstate_info_##id##_equal = {                                      \
        .name = json_name, .get = get_##id##_equal, .put = put_##id                    \
    }

NUMBER_EQUAL(int32, int32_t, be32, "int32 equal");
NUMBER_EQUAL(uint8, uint8_t, u8, "uint8 equal");
NUMBER_EQUAL(uint16, uint16_t, be16, "uint16 equal");
NUMBER_EQUAL(uint32, uint32_t, be32, "uint32 equal");
NUMBER_EQUAL(uint64, uint64_t, be64, "int64 equal");

static bool get_int32_le(Stream *s, void *pv, size_t size, const VMStateField *field,
                         Error **errp)
{
    int32_t here = *(int32_t *)pv, there = stream_get_be32(s);

    if (stream_error(s, errp)) {
        return false;
    }
    if (there < 0 || there > here) {
        error_setg(errp, "the stream has %d, this side takes 0 to %d", there, here);
        return false;
    }
    *(int32_t *)pv = there;
    return true;
}

const VMStateInfo vmstate_info_int32_le = {
    .name = "int32 le", .get = get_int32_le, .put = put_int32
};

static bool get_timer(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    int64_t expire = stream_get_be64(s);

    if (stream_error(s, errp)) {
        return false;
    }
    if (expire < 0) {
        timer_del(pv);
    } else {
        timer_mod(pv, expire);
    }
    return true;
}

static void put_timer(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    stream_put_be64(s, ((const Timer *)pv)->expire_ns);
}

const VMStateInfo vmstate_info_timer = { .name = "timer", .get = get_timer, .put = put_timer };

static bool get_buffer(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    return stream_get_bytes(s, pv, size) || stream_error(s, errp) == 0;
}

static void put_buffer(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    stream_put_bytes(s, pv, size);
}

const VMStateInfo vmstate_info_buffer = { .name = "buffer", .get = get_buffer, .put = put_buffer };

static bool get_unused(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    stream_skip(s, size);
    return true;
}

static void put_unused(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    static const uint8_t zeros[256];

    for (size_t part; size > 0; size -= part) {
        part = MIN(size, sizeof(zeros));
        stream_put_bytes(s, zeros, part);
    }
}

const VMStateInfo vmstate_info_unused_buffer = {
    .name = "unused_buffer", .get = get_unused, .put = put_unused
};

/* `size` is the number of bits. */
static bool get_bitmap(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    unsigned long *map = pv;

    G_STATIC_ASSERT(sizeof(unsigned long) == 8);
    for (size_t i = 0; i < BITMAP_WORDS(size); i++) {
        map[i] = stream_get_be64(s);
    }
    return true;
}

static void put_bitmap(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    const unsigned long *map = pv;

    for (size_t i = 0; i < BITMAP_WORDS(size); i++) {
        stream_put_be64(s, map[i]);
    }
}

const VMStateInfo vmstate_info_bitmap = { .name = "bitmap", .get = get_bitmap, .put = put_bitmap };
