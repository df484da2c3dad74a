/*
 * Unit tests of multifd's packets, compressions and the recognition of channels: recorded
 * packets of other emulators, and hostile ones.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/dst-channels.h"
#include "migration/multifd/codec.h"
#include "migration/multifd/packet.h"
#include "system/ramblock.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE

/* ---- packets ---- */

static char *recorded(const char *file, gsize *ret_len)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data", "streams", file, NULL);
    char *data;

    g_assert_true(g_file_get_contents(path, &data, ret_len, NULL));
    return data;
}

/* Walk over a channel of another emulator: SYNCs, pages of either kind. */
static void walk(const char *file, unsigned syncs, unsigned normal, unsigned zero)
{
    gsize len;
    g_autofree char *data = recorded(file, &len);
    const uint8_t *p = (uint8_t *)data, *end = p + len;
    MultifdInitial in;
    MultifdHeader h;
    unsigned got[3] = { 0 };

    g_assert_true(multifd_initial_decode(p, &in, NULL));
    g_assert_cmpint(in.id, <, 2);
    for (p += MULTIFD_INITIAL_LEN; p < end; p += MULTIFD_HEADER_LEN + h.data_len) {
        g_assert_cmpint(end - p, >=, MULTIFD_HEADER_LEN);
        g_assert_true(multifd_common_check(p, NULL));
        g_assert_true(multifd_header_decode(p, 0, &h, NULL));
        got[0] += h.flags & WIRE_MULTIFD_SYNC;
        got[1] += h.normal;
        got[2] += h.zero;
    }
    g_assert_cmpint(p - end, ==, 0);
    g_assert_cmpuint(got[0], ==, syncs);
    g_assert_cmpuint(got[1], ==, normal);
    g_assert_cmpuint(got[2], ==, zero);
}

static void test_recorded(void)
{
    walk("multifd-none-4M.qemu72.c1.fwd", 3, 0, 0);
    walk("multifd-none-4M.qemu72.c2.fwd", 3, 0, 0);
    walk("multifd-none-4M.qemu111.c1.fwd", 3, 0, 512);
    walk("multifd-none-4M.qemu111.c2.fwd", 3, 0, 512);
}

static void test_initial(void)
{
    const MultifdInitial in = { .uuid = { 1, 2, 3 }, .id = 200 };
    uint8_t buf[MULTIFD_INITIAL_LEN];
    MultifdInitial back;
    g_autoptr(Error) err = NULL;

    multifd_initial_encode(buf, &in);
    g_assert_true(multifd_initial_decode(buf, &back, NULL));
    g_assert_cmpmem(&in, sizeof(in), &back, sizeof(back));
    buf[7] = 2;
    g_assert_false(multifd_initial_decode(buf, &back, &err));
    g_assert_nonnull(strstr(err->message, "version 2"));
    g_clear_error(&err);
    buf[0] = 0x51;
    g_assert_false(multifd_initial_decode(buf, &back, &err));
    g_assert_nonnull(strstr(err->message, "0x51223344"));
}

static MultifdHeader some_header(void)
{
    MultifdHeader h = { .flags = WIRE_MULTIFD_ZSTD, .normal = 2, .zero = 1, .data_len = 77,
                        .packet_num = 1ULL << 40, .block = "pc.ram" };

    h.offset[0] = 0x1000;
    h.offset[1] = 0x7f000;
    h.offset[2] = 1ULL << 50;
    return h;
}

static void test_header(void)
{
    const MultifdHeader h = some_header();
    uint8_t buf[MULTIFD_HEADER_LEN];
    MultifdHeader back = { 0 };

    multifd_header_encode(buf, &h);
    g_assert_true(multifd_common_check(buf, NULL));
    g_assert_true(multifd_header_decode(buf, WIRE_MULTIFD_ZSTD, &back, NULL));
    g_assert_cmpmem(&h, sizeof(h), &back, sizeof(back));
}

typedef struct Hostile {
    unsigned at;       /* u32 at this offset of the header ... */
    uint32_t value;    /* ... becomes this */
    const char *error;
} Hostile;

static const Hostile hostile[] = {
    { 0, 0x5145564d, "0x5145564d" },
    { 4, 7, "version 7" },
    { 8, 0x40, "device state" },
    { 8, 0x80, "unknown flags 0x80" },
    { 8, 2, "compression bits 0x2" },
    { 12, 129, "room for 129" },
    { 12, 0, "room for 0" },
    { 16, 128, "128 normal" },
    { 16, 0xffffffff, "4294967295 normal" },
    { 32, 127, "127 zero" },
    { 32, 0xfffffffe, "4294967294 zero" },
    { 20, 0, "0 bytes of data" },
    { 20, MULTIFD_DATA_MAX + 1, "bytes of data" },
    { 20, 0xffffffff, "bytes of data" },
    { 324, 0x1001, "0x1001" },
};

static void test_hostile(void)
{
    const MultifdHeader h = some_header();

    for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
        uint8_t buf[MULTIFD_HEADER_LEN];
        g_autoptr(Error) err = NULL;
        MultifdHeader back;

        multifd_header_encode(buf, &h);
        wire_put_be32(buf + hostile[i].at, hostile[i].value);
        g_assert_false(multifd_common_check(buf, &err) &&
                       multifd_header_decode(buf, WIRE_MULTIFD_ZSTD, &back, &err));
        g_assert_nonnull(strstr(err->message, hostile[i].error));
    }
}

/* A name without an end, and an old SYNC that has the length of the packet before it. */
static void test_odd(void)
{
    const MultifdHeader h = { .flags = WIRE_MULTIFD_SYNC };
    uint8_t buf[MULTIFD_HEADER_LEN];
    MultifdHeader back;

    multifd_header_encode(buf, &h);
    memset(buf + 64, 'x', 256);
    wire_put_be32(buf + 20, 0xfffff);
    g_assert_true(multifd_header_decode(buf, WIRE_MULTIFD_ZLIB, &back, NULL));
    g_assert_cmpuint(strlen(back.block), ==, 255);
    g_assert_cmpuint(back.data_len, ==, 0);
}

/* ---- compressions ---- */

/* Pages that compress well, not at all, and anything between. */
static void fill_page(GRand *rand, uint8_t *page, unsigned kind)
{
    for (unsigned i = 0; i < PAGE; i++) {
        page[i] = kind % 3 == 0 ? 7 : kind % 3 == 1 ? g_rand_int(rand) : g_rand_int_range(rand, 0, 3);
    }
}

static void test_codec(gconstpointer opaque)
{
    const MultifdCodec *codec = opaque;
    CodecState *enc = codec->encoder_new(1, NULL), *dec = codec->decoder_new(NULL);
    g_autofree uint8_t *from = g_malloc(MULTIFD_PAGES * PAGE), *to = g_malloc(MULTIFD_PAGES * PAGE);
    g_autofree uint8_t *packed = g_malloc(MULTIFD_DATA_MAX);
    const uint8_t *src[MULTIFD_PAGES];
    uint8_t *dst[MULTIFD_PAGES];
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);

    for (unsigned i = 0; i < MULTIFD_PAGES; i++) {
        src[i] = from + i * PAGE;
        dst[i] = to + i * PAGE;
    }
    for (unsigned round = 0; round < 40; round++) {
        unsigned n = g_rand_int_range(rand, 1, MULTIFD_PAGES + 1);
        size_t len;

        for (unsigned i = 0; i < n; i++) {
            fill_page(rand, from + i * PAGE, round + (round % 4 ? 0 : i));
        }
        len = codec->encode(enc, src, n, packed, MULTIFD_DATA_MAX, NULL);
        g_assert_cmpuint(len, >, 0);
        g_assert_true(codec->decode(dec, packed, len, dst, n, NULL));
        g_assert_cmpmem(from, n * PAGE, to, n * PAGE);
    }
    codec->free(enc);
    codec->free(dec);
}

/* A frame says how much of it the decoder must keep: as much as level 20 does, not all it likes. */
static void test_zstd_window(void)
{
    static const struct {
        uint8_t log;
        bool good;
    } windows[] = { { 19, true }, { 25, true }, { 26, false }, { 27, false }, { 31, false } };
    g_autofree uint8_t *page = g_malloc(PAGE), *data = g_malloc0(9 + PAGE);

    for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
        CodecState *dec = multifd_codec_zstd.decoder_new(NULL);
        g_autoptr(Error) err = NULL;
        /* magic, descriptor, window; one raw block of a page */
        const uint8_t head[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, (windows[i].log - 10) << 3,
                                 (PAGE << 3) & 0xff, (PAGE << 3) >> 8 & 0xff, PAGE >> 13 };

        memcpy(data, head, sizeof(head));
        g_assert_true(multifd_codec_zstd.decode(dec, data, 9 + PAGE, &page, 1, &err) ==
                      windows[i].good);
        multifd_codec_zstd.free(dec);
    }
}

/* Data that is cut, too long, or changed: an error, or at least nothing outside of the pages. */
static void test_codec_damage(gconstpointer opaque)
{
    const MultifdCodec *codec = opaque;
    g_autofree uint8_t *packed = g_malloc(MULTIFD_DATA_MAX), *bad = g_malloc(MULTIFD_DATA_MAX);
    uint8_t page[2 * PAGE], out[2 * PAGE];
    const uint8_t *src[2] = { page, page + PAGE };
    uint8_t *dst[2] = { out, out + PAGE };
    CodecState *enc = codec->encoder_new(1, NULL);
    g_autoptr(GRand) rand = g_rand_new_with_seed(6);
    size_t len;

    fill_page(rand, page, 2);
    fill_page(rand, page + PAGE, 1);
    len = codec->encode(enc, src, 2, packed, MULTIFD_DATA_MAX, NULL);
    for (size_t i = 0; i < len; i += 13) {
        CodecState *dec = codec->decoder_new(NULL);
        g_autoptr(Error) err = NULL;

        g_assert_false(codec->decode(dec, packed, i / 2, dst, 2, &err));
        g_assert_nonnull(err);
        codec->free(dec);
        dec = codec->decoder_new(NULL);
        memcpy(bad, packed, len);
        bad[i] ^= 0x55;
        codec->decode(dec, bad, len, dst, 2, NULL);
        codec->free(dec);
    }
    CodecState *dec = codec->decoder_new(NULL);
    g_assert_false(codec->decode(dec, packed, len, dst, 1, NULL));
    codec->free(dec);
    codec->free(enc);
    enc = codec->encoder_new(1, NULL);
    g_assert_cmpuint(codec->encode(enc, src, 2, bad, 100, NULL), ==, 0);
    codec->free(enc);
}

/* ---- which connection is what ---- */

static void test_kinds(void)
{
    static const uint8_t main_[4] = { 0x51, 0x45, 0x56, 0x4d }, multifd[4] = { 0x11, 0x22, 0x33, 0x44 };
    static const uint8_t http[4] = "GET ";

    g_assert_cmpint(dst_channel_kind(main_, false, 2, false), ==, DST_CHANNEL_MAIN);
    g_assert_cmpint(dst_channel_kind(main_, true, 2, false), ==, DST_CHANNEL_EXTRA);
    g_assert_cmpint(dst_channel_kind(multifd, false, 2, false), ==, DST_CHANNEL_MULTIFD);
    g_assert_cmpint(dst_channel_kind(multifd, true, 1, false), ==, DST_CHANNEL_MULTIFD);
    g_assert_cmpint(dst_channel_kind(multifd, false, 0, false), ==, DST_CHANNEL_EXTRA);
    g_assert_cmpint(dst_channel_kind(multifd, true, 0, false), ==, DST_CHANNEL_EXTRA);
    g_assert_cmpint(dst_channel_kind(main_, true, 0, false), ==, DST_CHANNEL_EXTRA);
    g_assert_cmpint(dst_channel_kind(http, false, 2, false), ==, DST_CHANNEL_STRANGER);
    g_assert_cmpint(dst_channel_kind(http, true, 2, false), ==, DST_CHANNEL_STRANGER);
    g_assert_cmpint(dst_channel_kind(NULL, true, 0, true), ==, DST_CHANNEL_PREEMPT);
    g_assert_cmpint(dst_channel_kind(multifd, true, 1, true), ==, DST_CHANNEL_MULTIFD);
    /* Nothing can be looked at: their order. */
    g_assert_cmpint(dst_channel_kind(NULL, false, 2, false), ==, DST_CHANNEL_MAIN);
    g_assert_cmpint(dst_channel_kind(NULL, false, 0, false), ==, DST_CHANNEL_MAIN);
    g_assert_cmpint(dst_channel_kind(NULL, true, 2, false), ==, DST_CHANNEL_MULTIFD);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/multifd/packet/recorded", test_recorded);
    g_test_add_func("/multifd/packet/initial", test_initial);
    g_test_add_func("/multifd/packet/header", test_header);
    g_test_add_func("/multifd/packet/hostile", test_hostile);
    g_test_add_func("/multifd/packet/odd", test_odd);
    g_test_add_data_func("/multifd/codec/zlib", &multifd_codec_zlib, test_codec);
    g_test_add_data_func("/multifd/codec/zstd", &multifd_codec_zstd, test_codec);
    g_test_add_data_func("/multifd/codec/zlib-damage", &multifd_codec_zlib, test_codec_damage);
    g_test_add_func("/multifd/codec/zstd-window", test_zstd_window);
    g_test_add_data_func("/multifd/codec/zstd-damage", &multifd_codec_zstd, test_codec_damage);
    g_test_add_func("/multifd/channels", test_kinds);
    return g_test_run();
}
