/*
 * Unit tests of util/: parsing, bitmaps, zero test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "util/bitmap.h"
#include "util/error.h"
#include "util/util.h"

static void test_parse_size(void)
{
    uint64_t v;

    g_assert_true(parse_size("64M", 'M', &v));
    g_assert_cmpuint(v, ==, 64 * MiB);
    g_assert_true(parse_size("128", 'M', &v));
    g_assert_cmpuint(v, ==, 128 * MiB);
    g_assert_true(parse_size("1.5G", 'B', &v));
    g_assert_cmpuint(v, ==, 3 * GiB / 2);
    g_assert_true(parse_size("0x1000", 'B', &v));
    g_assert_cmpuint(v, ==, 4096);
    g_assert_false(parse_size("", 'B', &v));
    g_assert_false(parse_size("12Q", 'B', &v));
    g_assert_false(parse_size("-1", 'B', &v));
    g_assert_false(parse_size("12Kx", 'B', &v));
    g_assert_false(parse_size("17179869184G", 'B', &v));
}

static void test_uuid(void)
{
    const char *text = "12345678-9abc-4ef0-8234-56789abcdef0";
    uint8_t u[16];

    g_assert_true(parse_uuid(text, u));
    g_autofree char *back = uuid_to_str(u);
    g_assert_cmpstr(back, ==, text);
    g_assert_false(parse_uuid("12345678-9abc-4ef0-8234-56789abcdefg", u));
}

static void test_bitmap_ranges(void)
{
    enum { N = 300 };
    bool model[N] = { false };
    unsigned long *map = bitmap_new(N);

    for (int i = 0; i < 2000; i++) {
        int start = g_test_rand_int_range(0, N);
        int len = g_test_rand_int_range(0, N - start + 1);
        int op = g_test_rand_int_range(0, 4);
        uint64_t had = 0;

        for (int j = start; j < start + len; j++) {
            had += model[j];
            model[j] = op < 2;
        }
        g_assert_cmpuint(bitmap_count(map, start, len), ==, had);
        if (op == 0) {
            bitmap_set(map, start, len);
        } else if (op == 1) {
            bitmap_set_atomic(map, start, len);
        } else if (op == 2) {
            bitmap_clear(map, start, len);
        } else {
            g_assert_cmpuint(bitmap_test_and_clear_range_atomic(map, start, len), ==, had);
        }
        int next = start, next_zero = start;
        while (next < N && !model[next]) {
            next++;
        }
        while (next_zero < N && model[next_zero]) {
            next_zero++;
        }
        g_assert_cmpuint(bitmap_find_next(map, N, start), ==, next);
        g_assert_cmpuint(bitmap_find_next_zero(map, N, start), ==, next_zero);
    }
    g_free(map);
}

static void test_zero(void)
{
    g_autofree char *buf = g_malloc0(4096);

    g_assert_true(buffer_is_zero(buf, 4096));
    for (int i = 0; i < 4096; i++) {
        buf[i] = 1;
        g_assert_false(buffer_is_zero(buf, 4096));
        buf[i] = 0;
    }
    buf[4] = 1;
    g_assert_false(buffer_is_zero(buf, 5));
    g_assert_true(buffer_is_zero(buf, 4));
}

static void test_error(void)
{
    g_autoptr(Error) err = NULL;

    error_set(&err, ERROR_CLASS_DEVICE_NOT_FOUND, "no device '%s'", "x");
    error_prefix(&err, "outer: ");
    g_assert_cmpstr(error_get_pretty(err), ==, "outer: no device 'x'");
    g_assert_cmpstr(error_class_name(err), ==, "DeviceNotFound");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/util/parse-size", test_parse_size);
    g_test_add_func("/util/uuid", test_uuid);
    g_test_add_func("/util/bitmap", test_bitmap_ranges);
    g_test_add_func("/util/zero", test_zero);
    g_test_add_func("/util/error", test_error);
    return g_test_run();
}
