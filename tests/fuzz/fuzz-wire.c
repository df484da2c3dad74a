/*
 * Fuzz target: every decoder of the wire.  The first byte chooses one, the rest is what it
 * decodes; what it accepts must come out the same when it is encoded again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fuzz.h"
#include "migration/wire.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static void file_header(FuzzInput *in)
{
    uint8_t again[WIRE_FILE_HEADER_LEN];

    if (in->len == WIRE_FILE_HEADER_LEN && wire_file_header_check(in->data, NULL)) {
        wire_file_header_encode(again);
        g_assert(!memcmp(again, in->data, sizeof(again)));
    }
}

static void numbers(FuzzInput *in)
{
    uint64_t word;

    if (in->len < 8) {
        return;
    }
    word = wire_get_be64(in->data);
    g_assert(*wire_element_name(word & 0xff));
    g_assert(*wire_command_name(word & 0xffff));
    g_assert(*wire_rp_name(word & 0xffff));
    g_autofree char *flags = wire_ram_flags_str(word & WIRE_RAM_FLAG_MASK);
    g_assert_nonnull(flags);
    wire_command_check(word & 0xffff, word >> 16 & 0xffff, NULL);
    wire_rp_check(word & 0xffff, word >> 16 & 0xffff, NULL);
    wire_ram_word_check(word, false, NULL);
    if (wire_ram_word_check(word, true, NULL)) {
        g_assert(wire_ram_word_check(word, false, NULL));
    }
}

static void advise(FuzzInput *in)
{
    uint8_t again[16];
    WireAdvise a;

    if (wire_advise_decode(in->data, in->len, &a, NULL)) {
        g_assert(wire_advise_encode(again, &a) == in->len);
        g_assert(!memcmp(again, in->data, in->len));
    }
}

static void discard(FuzzInput *in)
{
    char block[256];
    size_t n = wire_discard_decode(in->data, in->len, block, NULL);

    g_assert(!n || strlen(block) < sizeof(block));
    for (size_t i = 0; i < n; i++) {
        wire_discard_range(in->data, i);
    }
}

static void name(FuzzInput *in)
{
    uint8_t again[256];
    char text[256];

    if (wire_name_decode(in->data, in->len, text, NULL)) {
        g_assert(wire_name_encode(again, text) == in->len);
        g_assert(!memcmp(again, in->data, in->len));
    }
}

static void req_pages(FuzzInput *in, WireRpMessage message)
{
    uint8_t again[WIRE_RP_BUF];
    WireReqPages req;

    if (in->len > WIRE_RP_MAX_PAYLOAD || !wire_rp_check(message, in->len, NULL) ||
        !wire_rp_req_pages_decode(message, in->data, in->len, &req, NULL)) {
        return;
    }
    g_assert(req.len && req.start + req.len > req.start);
    g_assert(wire_rp_req_pages_encode(again, req.has_block ? req.block : NULL, req.start,
                                      req.len) == WIRE_RP_HEADER_LEN + in->len);
    g_assert(!memcmp(again + WIRE_RP_HEADER_LEN, in->data, in->len));
}

static void mapped(FuzzInput *in)
{
    uint8_t again[WIRE_MAPPED_HEADER_LEN];
    WireMapped h;

    if (in->len == sizeof(again) && wire_mapped_decode(in->data, &h, NULL)) {
        wire_mapped_encode(again, &h);
        /* Version 0 is taken, 1 is written. */
        g_assert(!memcmp(again + 4, in->data + 4, sizeof(again) - 4));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };

    switch (fuzz_take_u8(&in) % 8) {
    case 0:
        file_header(&in);
        break;
    case 1:
        numbers(&in);
        break;
    case 2:
        advise(&in);
        break;
    case 3:
        discard(&in);
        break;
    case 4:
        name(&in);
        break;
    case 5:
        req_pages(&in, WIRE_RP_REQ_PAGES);
        break;
    case 6:
        mapped(&in);
        break;
    default:
        req_pages(&in, WIRE_RP_REQ_PAGES_ID);
        break;
    }
    return 0;
}
