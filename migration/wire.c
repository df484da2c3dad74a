/*
 * Encoding and decoding of what the wire frames, with all checks.
 *
 * Pure: belongs to no thread, does no IO.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/wire.h"

#include <inttypes.h>
#include <string.h>

#include "util/util.h"

const char *wire_element_name(unsigned element)
{
    switch (element) {
#define X(id, value, name) \
    case value:            \
        return name;
        WIRE_ELEMENTS(X)
#undef X
    default:
        return "unknown";
    }
}

/* A row of a table of messages. */
typedef struct WireRow {
    const char *name; /* NULL: no such number */
    int len;
} WireRow;

#define X(id, value, name_, len_) [value] = { .name = (name_), .len = (len_) },
static const WireRow command_rows[WIRE_CMD__MAX] = { WIRE_COMMANDS(X) };
static const WireRow rp_rows[WIRE_RP__MAX] = { WIRE_RP_MESSAGES(X) };
#undef X

static const char *row_name(const WireRow *rows, size_t n, unsigned i)
{
    return i < n && rows[i].name ? rows[i].name : "unknown";
}

const char *wire_command_name(unsigned command)
{
    return row_name(command_rows, ARRAY_SIZE(command_rows), command);
}

const char *wire_rp_name(unsigned message)
{
    return row_name(rp_rows, ARRAY_SIZE(rp_rows), message);
}

static bool row_check(const WireRow *rows, size_t n, const char *kind, unsigned i, unsigned len,
                      Error **errp)
{
    if (i >= n || !rows[i].name) {
        error_setg(errp, "unknown %s 0x%x of %u bytes", kind, i, len);
        return false;
    }
    if (rows[i].len == WIRE_LEN_RETIRED) {
        error_setg(errp, "%s %s (0x%x) is no longer supported", kind, rows[i].name, i);
        return false;
    }
    if (rows[i].len != WIRE_LEN_ANY && (unsigned)rows[i].len != len) {
        error_setg(errp, "%s %s has %u bytes of payload instead of %d", kind, rows[i].name, len,
                   rows[i].len);
        return false;
    }
    return true;
}

bool wire_command_check(unsigned command, unsigned len, Error **errp)
{
    return row_check(command_rows, ARRAY_SIZE(command_rows), "command", command, len, errp);
}

bool wire_rp_check(unsigned message, unsigned len, Error **errp)
{
    if (len > WIRE_RP_MAX_PAYLOAD) {
        error_setg(errp, "return-path message %s (0x%x) has %u bytes of payload; %d is the most",
                   wire_rp_name(message), message, len, WIRE_RP_MAX_PAYLOAD);
        return false;
    }
    return row_check(rp_rows, ARRAY_SIZE(rp_rows), "return-path message", message, len, errp);
}

void wire_file_header_encode(uint8_t ret_buf[WIRE_FILE_HEADER_LEN])
{
    wire_put_be32(ret_buf, WIRE_FILE_MAGIC);
    wire_put_be32(ret_buf + 4, WIRE_FILE_VERSION);
}

bool wire_file_header_check(const uint8_t buf[WIRE_FILE_HEADER_LEN], Error **errp)
{
    uint32_t magic = wire_get_be32(buf);
    uint32_t version = wire_get_be32(buf + 4);

    if (magic != WIRE_FILE_MAGIC) {
        error_setg(errp, "not a migration stream: it starts with 0x%08x instead of 0x%08x", magic,
                   WIRE_FILE_MAGIC);
        return false;
    }
    if (version == WIRE_FILE_VERSION_OBSOLETE) {
        error_setg(errp, "stream version %u is obsolete and not supported; %u is", version,
                   WIRE_FILE_VERSION);
        return false;
    }
    if (version != WIRE_FILE_VERSION) {
        error_setg(errp, "unknown stream version %u; %u is supported", version,
                   WIRE_FILE_VERSION);
        return false;
    }
    return true;
}

void wire_command_header_encode(uint8_t ret_buf[WIRE_COMMAND_HEADER_LEN], WireCommand command,
                                uint16_t len)
{
    ret_buf[0] = WIRE_COMMAND;
    wire_put_be16(ret_buf + 1, command);
    wire_put_be16(ret_buf + 3, len);
}

/* Names: u8 length and bytes. */

/* Reads a str8 at buf; returns its encoded length, 0 with errp set when it is wrong. */
static size_t str8_decode(const uint8_t *buf, size_t len, char ret_name[256], Error **errp)
{
    size_t n = len ? buf[0] : 0;

    if (!n) {
        error_setg(errp, "a block name is missing or empty");
        return 0;
    }
    if (n + 1 > len) {
        error_setg(errp, "a block name of %zu bytes does not fit into %zu", n, len - 1);
        return 0;
    }
    if (memchr(buf + 1, 0, n)) {
        error_setg(errp, "a block name has a zero byte in it");
        return 0;
    }
    memcpy(ret_name, buf + 1, n);
    ret_name[n] = 0;
    return n + 1;
}

static size_t str8_encode(uint8_t *buf, const char *name)
{
    size_t n = strlen(name);

    g_assert(n > 0 && n <= WIRE_STR8_MAX);
    buf[0] = n;
    memcpy(buf + 1, name, n);
    return n + 1;
}

size_t wire_name_encode(uint8_t ret_buf[256], const char *name)
{
    return str8_encode(ret_buf, name);
}

bool wire_name_decode(const uint8_t *buf, size_t len, char ret_name[256], Error **errp)
{
    size_t n = str8_decode(buf, len, ret_name, errp);

    if (!n) {
        return false;
    }
    if (n != len) {
        error_setg(errp, "%zu bytes follow the block name '%s'", len - n, ret_name);
        return false;
    }
    return true;
}

/* Commands. */

size_t wire_advise_encode(uint8_t ret_buf[16], const WireAdvise *a)
{
    if (!a->with_ram) {
        return 0;
    }
    wire_put_be64(ret_buf, a->page_size_summary);
    wire_put_be64(ret_buf + 8, a->target_page_size);
    return 16;
}

bool wire_advise_decode(const uint8_t *buf, size_t len, WireAdvise *ret_a, Error **errp)
{
    *ret_a = (WireAdvise){ .with_ram = false };
    if (len == 0) {
        return true;
    }
    if (len != 16) {
        error_setg(errp, "POSTCOPY_ADVISE has %zu bytes of payload instead of 0 or 16", len);
        return false;
    }
    ret_a->with_ram = true;
    ret_a->page_size_summary = wire_get_be64(buf);
    ret_a->target_page_size = wire_get_be64(buf + 8);
    return true;
}

size_t wire_discard_encode(uint8_t ret_buf[WIRE_DISCARD_BUF], const char *block,
                           const WireRange *ranges, size_t n)
{
    uint8_t *p = ret_buf;

    g_assert(n > 0 && n <= WIRE_DISCARD_MAX_RANGES);
    *p++ = WIRE_DISCARD_VERSION;
    p += str8_encode(p, block);
    *p++ = 0;
    for (size_t i = 0; i < n; i++, p += 16) {
        wire_put_be64(p, ranges[i].start);
        wire_put_be64(p + 8, ranges[i].length);
    }
    return p - ret_buf;
}

size_t wire_discard_decode(const uint8_t *buf, size_t len, char ret_block[256], Error **errp)
{
    size_t n, ranges;

    if (len < 1 || buf[0] != WIRE_DISCARD_VERSION) {
        error_setg(errp, "POSTCOPY_RAM_DISCARD has version %d instead of %d", len ? buf[0] : -1,
                   WIRE_DISCARD_VERSION);
        return 0;
    }
    n = str8_decode(buf + 1, len - 1, ret_block, errp);
    if (!n) {
        error_prefix(errp, "POSTCOPY_RAM_DISCARD: ");
        return 0;
    }
    n++; /* version */
    if (n >= len || buf[n] != 0) {
        error_setg(errp, "POSTCOPY_RAM_DISCARD of '%s': no zero byte behind the name", ret_block);
        return 0;
    }
    n++;
    ranges = len - n;
    if (!ranges || ranges % 16) {
        error_setg(errp, "POSTCOPY_RAM_DISCARD of '%s': %zu bytes of ranges are not whole ranges",
                   ret_block, ranges);
        return 0;
    }
    return ranges / 16;
}

WireRange wire_discard_range(const uint8_t *buf, size_t index)
{
    const uint8_t *p = buf + 3 + buf[1] + 16 * index;

    return (WireRange){ wire_get_be64(p), wire_get_be64(p + 8) };
}

/* Return path. */

static void rp_header(uint8_t *buf, WireRpMessage message, size_t len)
{
    g_assert(len <= WIRE_RP_MAX_PAYLOAD);
    wire_put_be16(buf, message);
    wire_put_be16(buf + 2, len);
}

size_t wire_rp_u32_encode(uint8_t ret_buf[WIRE_RP_BUF], WireRpMessage message, uint32_t value)
{
    g_assert(rp_rows[message].len == 4);
    rp_header(ret_buf, message, 4);
    wire_put_be32(ret_buf + WIRE_RP_HEADER_LEN, value);
    return WIRE_RP_HEADER_LEN + 4;
}

size_t wire_rp_req_pages_encode(uint8_t ret_buf[WIRE_RP_BUF], const char *block, uint64_t start,
                                uint32_t len)
{
    uint8_t *p = ret_buf + WIRE_RP_HEADER_LEN;
    size_t n = 12;

    wire_put_be64(p, start);
    wire_put_be32(p + 8, len);
    if (block) {
        n += str8_encode(p + 12, block);
    }
    rp_header(ret_buf, block ? WIRE_RP_REQ_PAGES_ID : WIRE_RP_REQ_PAGES, n);
    return WIRE_RP_HEADER_LEN + n;
}

size_t wire_rp_name_encode(uint8_t ret_buf[WIRE_RP_BUF], WireRpMessage message, const char *name)
{
    size_t n = str8_encode(ret_buf + WIRE_RP_HEADER_LEN, name);

    rp_header(ret_buf, message, n);
    return WIRE_RP_HEADER_LEN + n;
}

bool wire_rp_req_pages_decode(WireRpMessage message, const uint8_t *payload, size_t len,
                              WireReqPages *ret_req, Error **errp)
{
    memset(ret_req, 0, sizeof(*ret_req));
    if (len < 12 || (message == WIRE_RP_REQ_PAGES && len != 12)) {
        error_setg(errp, "%s has %zu bytes of payload", wire_rp_name(message), len);
        return false;
    }
    if (message == WIRE_RP_REQ_PAGES_ID) {
        if (!wire_name_decode(payload + 12, len - 12, ret_req->block, errp)) {
            error_prefix(errp, "%s: ", wire_rp_name(message));
            return false;
        }
        ret_req->has_block = true;
    }
    ret_req->start = wire_get_be64(payload);
    ret_req->len = wire_get_be32(payload + 8);
    if (!ret_req->len || ret_req->start > UINT64_MAX - ret_req->len) {
        error_setg(errp, "%s asks for 0x%x bytes at 0x%" PRIx64, wire_rp_name(message),
                   ret_req->len, ret_req->start);
        return false;
    }
    return true;
}

/* mapped-ram. */

WireMapped wire_mapped_layout(uint64_t at, uint64_t pages)
{
    uint64_t bitmap = at + WIRE_MAPPED_HEADER_LEN;

    return (WireMapped){
        .bitmap_offset = bitmap,
        .pages_offset = ROUND_UP(bitmap + wire_mapped_bitmap_bytes(pages), WIRE_MAPPED_ALIGN),
    };
}

void wire_mapped_encode(uint8_t ret_buf[WIRE_MAPPED_HEADER_LEN], const WireMapped *h)
{
    wire_put_be32(ret_buf, WIRE_MAPPED_VERSION);
    wire_put_be64(ret_buf + 4, WIRE_MAPPED_PAGE_SIZE);
    wire_put_be64(ret_buf + 12, h->bitmap_offset);
    wire_put_be64(ret_buf + 20, h->pages_offset);
}

bool wire_mapped_decode(const uint8_t buf[WIRE_MAPPED_HEADER_LEN], WireMapped *ret_h, Error **errp)
{
    uint32_t version = wire_get_be32(buf);
    uint64_t page_size = wire_get_be64(buf + 4);

    if (version > WIRE_MAPPED_VERSION) {
        error_setg(errp, "version %u is not supported; %d is", version, WIRE_MAPPED_VERSION);
        return false;
    }
    if (page_size != WIRE_MAPPED_PAGE_SIZE) {
        error_setg(errp, "pages have %" PRIu64 " bytes in the file and %d here", page_size,
                   WIRE_MAPPED_PAGE_SIZE);
        return false;
    }
    ret_h->bitmap_offset = wire_get_be64(buf + 12);
    ret_h->pages_offset = wire_get_be64(buf + 20);
    return true;
}

/* RAM records. */

char *wire_ram_flags_str(unsigned flags)
{
    GString *str = g_string_new(NULL);

#define X(id, value, name, retired)                                 \
    if (flags & (value)) {                                          \
        g_string_append_printf(str, "%s" name, str->len ? "|" : ""); \
        flags &= ~(unsigned)(value);                                \
    }
    WIRE_RAM_FLAGS(X)
#undef X
    if (flags || !str->len) {
        g_string_append_printf(str, "%s0x%x", str->len ? "|" : "", flags);
    }
    return g_string_free(str, FALSE);
}

bool wire_ram_word_check(uint64_t word, bool postcopy, Error **errp)
{
    unsigned flags = wire_ram_flags(word);
    unsigned kind = flags & ~(unsigned)WIRE_RAM_CONTINUE;
    bool ok = false;

    switch (kind) {
    case WIRE_RAM_ZERO:
    case WIRE_RAM_PAGE:
        ok = true;
        break;
    case WIRE_RAM_XBZRLE:
        ok = !postcopy;
        break;
    case WIRE_RAM_MEM_SIZE:
        ok = !postcopy && flags == kind;
        break;
    case WIRE_RAM_EOS:
    case WIRE_RAM_MULTIFD_FLUSH:
        ok = flags == kind && !wire_ram_offset(word) &&
             (!postcopy || kind == WIRE_RAM_EOS);
        break;
    default:
        break;
    }
    if (!ok) {
        g_autofree char *str = wire_ram_flags_str(flags);
        error_setg(errp, "RAM record 0x%016" PRIx64 " (%s) is not one that %s takes", word, str,
                   postcopy ? "postcopy" : "this build");
    }
    return ok;
}
