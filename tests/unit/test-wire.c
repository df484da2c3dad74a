/*
 * Unit tests of migration/wire.c: round trips, and every malformed form.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/wire.h"
#include "util/util.h"

/* The call must fail with a message that contains `part`. */
#define assert_refused(call, part)                                                       \
    do {                                                                                 \
        g_autoptr(Error) err = NULL;                                                     \
        g_assert_false(call);                                                            \
        g_assert_nonnull(err);                                                           \
        if (!strstr(err->message, part)) {                                               \
            g_error("'%s' is not in '%s'", part, err->message);                          \
        }                                                                                \
    } while (0)

static void test_header(void)
{
    uint8_t b[WIRE_FILE_HEADER_LEN];
    static const uint8_t good[] = { 'Q', 'E', 'V', 'M', 0, 0, 0, 3 };

    wire_file_header_encode(b);
    g_assert_cmpmem(b, sizeof(b), good, sizeof(good));
    g_assert_true(wire_file_header_check(b, NULL));
    b[7] = 2;
    assert_refused(wire_file_header_check(b, &err), "obsolete");
    b[7] = 4;
    assert_refused(wire_file_header_check(b, &err), "unknown stream version 4");
    b[0] = 'X';
    assert_refused(wire_file_header_check(b, &err), "not a migration stream");
}

static void test_commands(void)
{
    static const struct {
        unsigned command, len;
    } good[] = {
        { 1, 0 }, { 2, 4 }, { 3, 0 }, { 3, 16 }, { 4, 0 }, { 5, 0 }, { 6, 24 }, { 7, 4 },
        { 9, 0 }, { 10, 4 }, { 11, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        g_assert_true(wire_command_check(good[i].command, good[i].len, NULL));
        g_assert_cmpstr(wire_command_name(good[i].command), !=, "unknown");
    }
    assert_refused(wire_command_check(0, 0, &err), "unknown command 0x0");
    assert_refused(wire_command_check(12, 0, &err), "unknown command 0xc");
    assert_refused(wire_command_check(65535, 0, &err), "unknown");
    assert_refused(wire_command_check(8, 0, &err), "no longer supported");
    assert_refused(wire_command_check(2, 5, &err), "PING has 5 bytes");
    assert_refused(wire_command_check(4, 1, &err), "POSTCOPY_LISTEN");
    uint8_t h[WIRE_COMMAND_HEADER_LEN];
    static const uint8_t packaged[] = { 8, 0, 7, 0, 4 };
    wire_command_header_encode(h, WIRE_CMD_PACKAGED, 4);
    g_assert_cmpmem(h, sizeof(h), packaged, sizeof(packaged));
}

static void test_advise(void)
{
    WireAdvise a = { true, 0x201000, 4096 }, b;
    uint8_t buf[16];

    g_assert_cmpuint(wire_advise_encode(buf, &a), ==, 16);
    g_assert_true(wire_advise_decode(buf, 16, &b, NULL));
    g_assert_true(b.with_ram);
    g_assert_cmpuint(b.page_size_summary, ==, 0x201000);
    g_assert_cmpuint(b.target_page_size, ==, 4096);
    g_assert_true(wire_advise_decode(buf, 0, &b, NULL));
    g_assert_false(b.with_ram);
    for (size_t n = 1; n < 40; n++) {
        uint8_t big[40] = { 0 };
        if (n != 16) {
            assert_refused(wire_advise_decode(big, n, &b, &err), "instead of 0 or 16");
        }
    }
}

static void test_discard(void)
{
    WireRange r[WIRE_DISCARD_MAX_RANGES];
    uint8_t buf[WIRE_DISCARD_BUF];
    char name[256];
    size_t len;

    for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
        r[i] = (WireRange){ i << 20, 4096 + i };
    }
    len = wire_discard_encode(buf, "ram", r, 1);
    static const uint8_t expect[] = { 0, 3, 'r', 'a', 'm', 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                      0, 0, 0, 0, 0, 0, 0x10, 0 };
    g_assert_cmpmem(buf, len, expect, sizeof(expect));

    len = wire_discard_encode(buf, "pc.ram", r, ARRAY_SIZE(r));
    g_assert_cmpuint(wire_discard_decode(buf, len, name, NULL), ==, ARRAY_SIZE(r));
    g_assert_cmpstr(name, ==, "pc.ram");
    for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
        WireRange g = wire_discard_range(buf, i);
        g_assert_cmpuint(g.start, ==, r[i].start);
        g_assert_cmpuint(g.length, ==, r[i].length);
    }
    /* Cut anywhere: either whole ranges are left, or it is refused. */
    for (size_t n = 0; n < len; n++) {
        g_autoptr(Error) err = NULL;
        size_t got = wire_discard_decode(buf, n, name, &err);
        g_assert_true((got == 0) == (err != NULL));
        g_assert_true(got == 0 || 9 + got * 16 == n);
    }
    buf[8] = 1;
    assert_refused(wire_discard_decode(buf, len, name, &err), "no zero byte");
    buf[0] = 1;
    assert_refused(wire_discard_decode(buf, len, name, &err), "version 1");
    buf[0] = 0;
    buf[1] = 0;
    assert_refused(wire_discard_decode(buf, len, name, &err), "missing or empty");
    buf[1] = 255;
    assert_refused(wire_discard_decode(buf, 40, name, &err), "does not fit");
    buf[1] = 6;
    buf[4] = 0;
    assert_refused(wire_discard_decode(buf, len, name, &err), "zero byte in it");
}

static void test_names(void)
{
    uint8_t buf[256];
    char name[256], longest[256];

    memset(longest, 'x', 255);
    longest[255] = 0;
    g_assert_cmpuint(wire_name_encode(buf, longest), ==, 256);
    g_assert_true(wire_name_decode(buf, 256, name, NULL));
    g_assert_cmpstr(name, ==, longest);
    assert_refused(wire_name_decode(buf, 255, name, &err), "does not fit");
    g_assert_cmpuint(wire_name_encode(buf, "ab"), ==, 3);
    assert_refused(wire_name_decode(buf, 4, name, &err), "1 bytes follow");
    assert_refused(wire_name_decode(buf, 0, name, &err), "missing");
}

static void test_return_path(void)
{
    uint8_t buf[WIRE_RP_BUF];
    WireReqPages req;
    size_t n;

    n = wire_rp_u32_encode(buf, WIRE_RP_PONG, 0x42);
    static const uint8_t pong[] = { 0, 2, 0, 4, 0, 0, 0, 0x42 };
    g_assert_cmpmem(buf, n, pong, sizeof(pong));

    n = wire_rp_req_pages_encode(buf, "ram", 0x123000, 4096);
    g_assert_cmpuint(n, ==, 4 + 12 + 4);
    g_assert_cmpuint(wire_get_be16(buf), ==, WIRE_RP_REQ_PAGES_ID);
    g_assert_true(wire_rp_check(3, wire_get_be16(buf + 2), NULL));
    g_assert_true(wire_rp_req_pages_decode(WIRE_RP_REQ_PAGES_ID, buf + 4, n - 4, &req, NULL));
    g_assert_true(req.has_block);
    g_assert_cmpstr(req.block, ==, "ram");
    g_assert_cmpuint(req.start, ==, 0x123000);
    g_assert_cmpuint(req.len, ==, 4096);
    for (size_t i = 0; i < n - 4; i++) {
        g_assert_false(wire_rp_req_pages_decode(WIRE_RP_REQ_PAGES_ID, buf + 4, i, &req, NULL));
    }

    n = wire_rp_req_pages_encode(buf, NULL, 0x1000, 0x200000);
    g_assert_cmpuint(n, ==, 16);
    g_assert_true(wire_rp_req_pages_decode(WIRE_RP_REQ_PAGES, buf + 4, 12, &req, NULL));
    g_assert_false(req.has_block);
    assert_refused(wire_rp_req_pages_decode(WIRE_RP_REQ_PAGES, buf + 4, 13, &req, &err), "13");
    wire_rp_req_pages_encode(buf, NULL, 0x1000, 0);
    assert_refused(wire_rp_req_pages_decode(WIRE_RP_REQ_PAGES, buf + 4, 12, &req, &err),
                   "asks for 0x0");
    wire_rp_req_pages_encode(buf, NULL, UINT64_MAX - 10, 4096);
    assert_refused(wire_rp_req_pages_decode(WIRE_RP_REQ_PAGES, buf + 4, 12, &req, &err),
                   "asks for 0x1000");

    n = wire_rp_name_encode(buf, WIRE_RP_RECV_BITMAP, "ram");
    g_assert_cmpuint(n, ==, 8);
    assert_refused(wire_rp_check(0, 0, &err), "unknown return-path message");
    assert_refused(wire_rp_check(8, 0, &err), "unknown return-path message");
    assert_refused(wire_rp_check(1, 3, &err), "SHUT has 3 bytes");
    assert_refused(wire_rp_check(3, 513, &err), "513 bytes");
    g_assert_true(wire_rp_check(7, 0, NULL));
    g_assert_cmpuint(wire_recv_bitmap_bytes(1), ==, 8);
    g_assert_cmpuint(wire_recv_bitmap_bytes(64), ==, 8);
    g_assert_cmpuint(wire_recv_bitmap_bytes(65), ==, 16);
    g_assert_cmpuint(wire_recv_bitmap_bytes(16384), ==, 0x800);
}

static void test_ram_word(void)
{
    static const uint64_t good[] = { 0x1002, 0x1008, 0x1022, 0x1028, 0x10, 0x10000004, 0x200,
                                     0x1040, 0x1060 };
    static const uint64_t bad[] = { 0, 0x1, 0x20, 0x80, 0x100, 0x1010, 0x30, 0x1200, 0x400, 0x800,
                                    0x00a, 0x1024, 0x00c, 0x018, 0xfff, 0x1048 };
    static const uint64_t postcopy[] = { 0x1002, 0x1008, 0x1022, 0x1028, 0x10 };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        bool in_postcopy = false;
        g_assert_true(wire_ram_word_check(good[i], false, NULL));
        for (size_t j = 0; j < ARRAY_SIZE(postcopy); j++) {
            in_postcopy |= postcopy[j] == good[i];
        }
        g_assert_true(wire_ram_word_check(good[i], true, NULL) == in_postcopy);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_false(wire_ram_word_check(bad[i], false, NULL));
        g_assert_false(wire_ram_word_check(bad[i], true, NULL));
    }
    assert_refused(wire_ram_word_check(0x1c00, false, &err), "0xc00");
    g_assert_cmpuint(wire_ram_offset(0x12345028), ==, 0x12345000);
    g_assert_cmpuint(wire_ram_flags(0x12345028), ==, 0x28);
    g_assert_true(wire_ram_has_name(0x8));
    g_assert_false(wire_ram_has_name(0x28));
    g_assert_false(wire_ram_has_name(0x10));
    g_autofree char *s = wire_ram_flags_str(0x28);
    g_assert_cmpstr(s, ==, "PAGE|CONTINUE");
    g_assert_cmpstr(wire_element_name(0x7e), ==, "SECTION_FOOTER");
    g_assert_cmpstr(wire_element_name(0x55), ==, "unknown");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/header", test_header);
    g_test_add_func("/wire/commands", test_commands);
    g_test_add_func("/wire/advise", test_advise);
    g_test_add_func("/wire/discard", test_discard);
    g_test_add_func("/wire/names", test_names);
    g_test_add_func("/wire/return-path", test_return_path);
    g_test_add_func("/wire/ram-word", test_ram_word);
    return g_test_run();
}
