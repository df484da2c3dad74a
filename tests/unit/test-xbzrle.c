/*
 * Unit tests of XBZRLE: round trips, known encodings, hostile data, the cache.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/xbzrle.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE

static void test_known(void)
{
    uint8_t a[PAGE] = { 0 }, b[PAGE] = { 0 }, out[PAGE];

    g_assert_cmpint(xbzrle_encode(a, b, out), ==, 0);
    b[0] = 5;
    g_assert_cmpint(xbzrle_encode(a, b, out), ==, 3);
    g_assert_cmpmem(out, 3, "\0\1\5", 3);
    b[0] = 0;
    b[300] = 7; /* 300 = 0x2 * 128 + 0x2c */
    g_assert_cmpint(xbzrle_encode(a, b, out), ==, 4);
    g_assert_cmpmem(out, 4, "\xac\2\1\7", 4);
    memset(b, 1, PAGE);
    g_assert_cmpint(xbzrle_encode(a, b, out), ==, -1);
}

static void test_round_trip(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);

    for (int i = 0; i < 3000; i++) {
        uint8_t a[PAGE], b[PAGE], out[PAGE], back[PAGE];
        int n = g_rand_int_range(rand, 0, 40), len;

        for (unsigned k = 0; k < PAGE; k++) {
            a[k] = g_rand_int_range(rand, 0, 4);
        }
        memcpy(b, a, PAGE);
        for (int k = 0; k < n; k++) {
            unsigned at = g_rand_int_range(rand, 0, PAGE);
            unsigned run = g_rand_int_range(rand, 1, i % 200 + 2);

            for (unsigned j = 0; j < run && at + j < PAGE; j++) {
                b[at + j] = g_rand_int_range(rand, 0, 4);
            }
        }
        len = xbzrle_encode(a, b, out);
        g_assert_cmpint(len, <=, (int)PAGE);
        g_assert_true((len == 0) == !memcmp(a, b, PAGE));
        if (len > 0) {
            memcpy(back, a, PAGE);
            g_assert_true(xbzrle_decode(out, len, back, NULL));
            g_assert_cmpmem(back, PAGE, b, PAGE);
        }
    }
}

static void test_hostile(void)
{
    static const struct {
        const char *data;
        size_t len;
    } bad[] = {
        { "\0", 1 },                  /* no second length */
        { "\0\0", 2 },                /* nothing new */
        { "\0\2x", 3 },               /* cut */
        { "\0\1x\0\1y", 6 },          /* nothing the same between */
        { "\xff\x1f\2xy", 5 },        /* 4095 and two bytes */
        { "\x80\x20\1x", 4 },         /* 4096 and one */
        { "\0\1x\xff\xff\1y", 7 },    /* a length of three bytes */
        { "\0\1x\x81", 4 },           /* half a length */
    };
    struct {
        uint8_t page[PAGE], behind[64];
    } mem;
    g_autoptr(GRand) rand = g_rand_new_with_seed(4);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autoptr(Error) err = NULL;

        g_assert_false(xbzrle_decode((const uint8_t *)bad[i].data, bad[i].len, mem.page, &err));
        g_assert_nonnull(strstr(err->message, "damaged at byte"));
    }
    memset(&mem, 0xaa, sizeof(mem));
    for (int i = 0; i < 20000; i++) {
        uint8_t data[40];

        for (size_t k = 0; k < sizeof(data); k++) {
            data[k] = g_rand_int(rand) >> (k % 3 ? 0 : 5);
        }
        xbzrle_decode(data, g_rand_int_range(rand, 0, sizeof(data)), mem.page, NULL);
    }
    for (size_t i = 0; i < sizeof(mem.behind); i++) {
        g_assert_cmphex(mem.behind[i], ==, 0xaa);
    }
}

static void test_cache(void)
{
    XbzrleCache *c = xbzrle_cache_new(4 * PAGE);
    uint8_t page[PAGE] = { 1 };

    g_assert_null(xbzrle_cache_get(c, 0, 1));
    g_assert_nonnull(xbzrle_cache_put(c, 0, page, 1));
    g_assert_cmpint(xbzrle_cache_get(c, 0, 2)[0], ==, 1);
    /* The same place: taken while it was used lately, and again when it was not. */
    g_assert_null(xbzrle_cache_put(c, 4 * PAGE, page, 3));
    g_assert_nonnull(xbzrle_cache_get(c, 0, 3));
    g_assert_nonnull(xbzrle_cache_put(c, 4 * PAGE, page, 5));
    g_assert_null(xbzrle_cache_get(c, 0, 5));
    g_assert_nonnull(xbzrle_cache_put(c, 5 * PAGE, page, 5));
    xbzrle_cache_resize(c, 16 * PAGE);
    g_assert_nonnull(xbzrle_cache_get(c, 4 * PAGE, 6));
    g_assert_nonnull(xbzrle_cache_get(c, 5 * PAGE, 7));
    xbzrle_cache_resize(c, PAGE);
    g_assert_nonnull(xbzrle_cache_get(c, 5 * PAGE, 7));
    g_assert_null(xbzrle_cache_get(c, 4 * PAGE, 7));
    xbzrle_cache_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xbzrle/known", test_known);
    g_test_add_func("/xbzrle/round-trip", test_round_trip);
    g_test_add_func("/xbzrle/hostile", test_hostile);
    g_test_add_func("/xbzrle/cache", test_cache);
    return g_test_run();
}
