/*
 * Layout of the files that carry the rest of a postcopy: encoding and checking.
 *
 * Pure: belongs to no thread, does no IO.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/carry/format.h"

#include <gnutls/crypto.h>
#include <inttypes.h>
#include <string.h>

#include "migration/wire.h"
#include "system/ramblock.h"
#include "util/util.h"

static const char magic[8] = { 'F', 'e', 'r', 'r', 'y', 'R', 's', 't' };
/* Where fields of the header lie. */
enum {
    AT_VERSION = 8, AT_KIND = 12, AT_ATTEMPT = 16, AT_PAGE_SIZE = 28, AT_UUID = 32,
    AT_BLOCKS = 48, AT_ZERO = 52, AT_CHUNKS = 56, AT_PAGES = 64, AT_TABLES_LEN = 72,
    AT_PAGES_AT = 80, AT_FILE_LEN = 88, AT_TABLES_DIGEST = 96, AT_DIGEST = 128,
};

/* ---- the guest ---- */

CarryGuest *carry_guest_new(const uint8_t attempt[CARRY_ATTEMPT_LEN], const uint8_t uuid[16],
                            const char *machine, unsigned n_blocks)
{
    CarryGuest *g = g_new0(CarryGuest, 1);

    memcpy(g->attempt, attempt, sizeof(g->attempt));
    memcpy(g->uuid, uuid, sizeof(g->uuid));
    g->machine = g_strdup(machine);
    g->blocks = g_new0(CarryBlock, n_blocks);
    g->n_blocks = n_blocks;
    return g;
}

void carry_guest_set_block(CarryGuest *g, unsigned i, const char *name, uint64_t length,
                           uint32_t page_size)
{
    g->blocks[i] = (CarryBlock){ g_strdup(name), length, page_size };
}

void carry_guest_free(CarryGuest *g)
{
    if (!g) {
        return;
    }
    for (unsigned i = 0; i < g->n_blocks; i++) {
        g_free(g->blocks[i].name);
    }
    g_free(g->blocks);
    g_free(g->machine);
    g_free(g);
}

uint64_t carry_chunks(uint64_t length)
{
    return (length + CARRY_CHUNK_BYTES - 1) / CARRY_CHUNK_BYTES;
}

uint64_t carry_guest_chunks(const CarryGuest *g)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < g->n_blocks; i++) {
        n += carry_chunks(g->blocks[i].length);
    }
    return n;
}

uint64_t carry_bitmap_bytes(const CarryBlock *b)
{
    return wire_recv_bitmap_bytes(b->length >> TARGET_PAGE_BITS);
}

/* ---- digests ---- */

void carry_digest(const struct iovec *iov, size_t n, uint8_t ret_digest[CARRY_DIGEST_LEN])
{
    gnutls_hash_hd_t hash;

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0) {
        g_error("GnuTLS has no SHA-256");
    }
    for (size_t i = 0; i < n; i++) {
        gnutls_hash(hash, iov[i].iov_base, iov[i].iov_len);
    }
    gnutls_hash_deinit(hash, ret_digest);
}

static void digest_of(const void *data, size_t len, uint8_t ret_digest[CARRY_DIGEST_LEN])
{
    const struct iovec iov = { (void *)data, len };

    carry_digest(&iov, 1, ret_digest);
}

char *carry_receipt(const uint8_t attempt[CARRY_ATTEMPT_LEN])
{
    static const char what[] = "received whole";
    const struct iovec iov[] = { { (void *)what, sizeof(what) },
                                 { (void *)attempt, CARRY_ATTEMPT_LEN } };
    uint8_t digest[CARRY_DIGEST_LEN];

    carry_digest(iov, 2, digest);
    return g_strdup_printf("%016" PRIx64, wire_get_be64(digest));
}

/* ---- header ---- */

CarryHead carry_head_for(const CarryGuest *g, CarryKind kind)
{
    CarryHead h = { .kind = kind, .n_blocks = g->n_blocks };

    memcpy(h.attempt, g->attempt, sizeof(h.attempt));
    memcpy(h.uuid, g->uuid, sizeof(h.uuid));
    return h;
}

void carry_head_set_tables(CarryHead *h, const GByteArray *tables)
{
    h->tables_len = tables->len;
    h->pages_at = ROUND_UP(CARRY_HEADER_LEN + h->tables_len, TARGET_PAGE_SIZE);
    digest_of(tables->data, tables->len, h->tables_digest);
}

void carry_head_encode(uint8_t ret_buf[CARRY_HEADER_LEN], const CarryHead *h)
{
    memcpy(ret_buf, magic, sizeof(magic));
    wire_put_be32(ret_buf + AT_VERSION, CARRY_VERSION);
    wire_put_be32(ret_buf + AT_KIND, h->kind);
    memcpy(ret_buf + AT_ATTEMPT, h->attempt, sizeof(h->attempt));
    wire_put_be32(ret_buf + AT_PAGE_SIZE, TARGET_PAGE_SIZE);
    memcpy(ret_buf + AT_UUID, h->uuid, sizeof(h->uuid));
    wire_put_be32(ret_buf + AT_BLOCKS, h->n_blocks);
    wire_put_be32(ret_buf + AT_ZERO, 0);
    wire_put_be64(ret_buf + AT_CHUNKS, h->n_chunks);
    wire_put_be64(ret_buf + AT_PAGES, h->pages);
    wire_put_be64(ret_buf + AT_TABLES_LEN, h->tables_len);
    wire_put_be64(ret_buf + AT_PAGES_AT, h->pages_at);
    wire_put_be64(ret_buf + AT_FILE_LEN, h->file_len);
    memcpy(ret_buf + AT_TABLES_DIGEST, h->tables_digest, sizeof(h->tables_digest));
    digest_of(ret_buf, AT_DIGEST, ret_buf + AT_DIGEST);
}

static void head_decode(const uint8_t *buf, CarryHead *h)
{
    h->kind = wire_get_be32(buf + AT_KIND);
    memcpy(h->attempt, buf + AT_ATTEMPT, sizeof(h->attempt));
    memcpy(h->uuid, buf + AT_UUID, sizeof(h->uuid));
    h->n_blocks = wire_get_be32(buf + AT_BLOCKS);
    h->n_chunks = wire_get_be64(buf + AT_CHUNKS);
    h->pages = wire_get_be64(buf + AT_PAGES);
    h->tables_len = wire_get_be64(buf + AT_TABLES_LEN);
    h->pages_at = wire_get_be64(buf + AT_PAGES_AT);
    h->file_len = wire_get_be64(buf + AT_FILE_LEN);
    memcpy(h->tables_digest, buf + AT_TABLES_DIGEST, sizeof(h->tables_digest));
}

/* Is it a file of ours at all, as it was written? */
static bool check_integrity(const uint8_t *buf, Error **errp)
{
    uint8_t digest[CARRY_DIGEST_LEN];

    if (memcmp(buf, magic, sizeof(magic))) {
        error_setg(errp, "it does not begin with '%.8s': it holds no part of a postcopy", magic);
        return false;
    }
    if (wire_get_be32(buf + AT_VERSION) != CARRY_VERSION) {
        error_setg(errp, "its format has version %" PRIu32 "; only %d is supported",
                   wire_get_be32(buf + AT_VERSION), CARRY_VERSION);
        return false;
    }
    digest_of(buf, AT_DIGEST, digest);
    if (memcmp(digest, buf + AT_DIGEST, sizeof(digest))) {
        error_setg(errp, "its header is damaged (the digest is another one)");
        return false;
    }
    if (wire_get_be32(buf + AT_PAGE_SIZE) != TARGET_PAGE_SIZE) {
        error_setg(errp, "its pages have %" PRIu32 " bytes, those here %lu",
                   wire_get_be32(buf + AT_PAGE_SIZE), TARGET_PAGE_SIZE);
        return false;
    }
    return true;
}

static bool has_uuid(const uint8_t uuid[16])
{
    return !buffer_is_zero(uuid, 16);
}

static bool check_owner(const CarryHead *h, const CarryGuest *g, Error **errp)
{
    g_autofree char *its = uuid_to_str(h->uuid), *ours = uuid_to_str(g->uuid);

    if (!memcmp(h->attempt, g->attempt, sizeof(h->attempt))) {
        return true;
    }
    if (has_uuid(h->uuid) && has_uuid(g->uuid) && memcmp(h->uuid, g->uuid, sizeof(h->uuid))) {
        error_setg(errp, "it belongs to another guest: its UUID is %s, that of this one %s", its,
                   ours);
    } else {
        error_setg(errp, "it belongs to another attempt to migrate a guest%s%s",
                   has_uuid(h->uuid) ? " with UUID " : "", has_uuid(h->uuid) ? its : "");
    }
    return false;
}

/* Bytes of the tables in front of chunks and bitmaps. */
static uint64_t names_len(const CarryGuest *g)
{
    uint64_t len = 1 + strlen(g->machine);

    for (unsigned i = 0; i < g->n_blocks; i++) {
        len += 1 + strlen(g->blocks[i].name) + 8 + 4;
    }
    return len;
}

static uint64_t bitmaps_len(const CarryGuest *g)
{
    uint64_t len = 0;

    for (unsigned i = 0; i < g->n_blocks; i++) {
        len += carry_bitmap_bytes(&g->blocks[i]);
    }
    return len;
}

/* The machine's name may have any length: that it is ours is found out later. */
#define MACHINE_SLACK 255

static bool check_sizes(const CarryHead *h, const CarryGuest *g, Error **errp)
{
    uint64_t chunks = carry_guest_chunks(g);
    uint64_t rest = h->kind == CARRY_REST ? h->n_chunks * CARRY_CHUNK_LEN : bitmaps_len(g);

    if (h->n_chunks > (h->kind == CARRY_REST ? chunks : 0)) {
        error_setg(errp, "it has %" PRIu64 " chunks of pages; this machine's memory makes at most "
                   "%" PRIu64, h->n_chunks, h->kind == CARRY_REST ? chunks : 0);
        return false;
    }
    if (h->n_blocks != g->n_blocks) {
        error_setg(errp, "it has %" PRIu32 " RAM blocks, this machine %u", h->n_blocks,
                   g->n_blocks);
        return false;
    }
    if (h->tables_len < rest || h->tables_len - rest > names_len(g) + MACHINE_SLACK) {
        error_setg(errp, "its tables have %" PRIu64 " bytes, which is not what %" PRIu32
                   " blocks and %" PRIu64 " chunks make", h->tables_len, h->n_blocks, h->n_chunks);
        return false;
    }
    if (h->pages_at != ROUND_UP(CARRY_HEADER_LEN + h->tables_len, TARGET_PAGE_SIZE) ||
        h->file_len < h->pages_at) {
        error_setg(errp, "its pages begin at %" PRIu64 " of %" PRIu64 " bytes, which is not behind "
                   "its tables", h->pages_at, h->file_len);
        return false;
    }
    return true;
}

static const char *kind_name(uint32_t kind)
{
    return kind == CARRY_REST ? "the rest of a guest's memory"
                              : kind == CARRY_RECEIVED ? "a map of what was received"
                                                       : "something unknown";
}

bool carry_head_check(const uint8_t buf[CARRY_HEADER_LEN], const CarryGuest *g, CarryKind kind,
                      CarryHead *ret, Error **errp)
{
    if (!check_integrity(buf, errp)) {
        return false;
    }
    head_decode(buf, ret);
    if (ret->kind != kind) {
        error_setg(errp, "it holds %s; %s is wanted here", kind_name(ret->kind), kind_name(kind));
        return false;
    }
    return check_owner(ret, g, errp) && check_sizes(ret, g, errp);
}

/* ---- tables ---- */

static void append_str8(GByteArray *a, const char *s)
{
    uint8_t len = strlen(s);

    g_byte_array_append(a, &len, 1);
    g_byte_array_append(a, (const uint8_t *)s, len);
}

GByteArray *carry_tables_new(const CarryGuest *g)
{
    GByteArray *a = g_byte_array_new();

    append_str8(a, g->machine);
    for (unsigned i = 0; i < g->n_blocks; i++) {
        uint8_t sizes[12];

        append_str8(a, g->blocks[i].name);
        wire_put_be64(sizes, g->blocks[i].length);
        wire_put_be32(sizes + 8, g->blocks[i].page_size);
        g_byte_array_append(a, sizes, sizeof(sizes));
    }
    return a;
}

typedef struct Cursor {
    const uint8_t *at, *end;
} Cursor;

static const uint8_t *take(Cursor *c, size_t n)
{
    const uint8_t *at = c->at;

    if ((size_t)(c->end - at) < n) {
        return NULL;
    }
    c->at += n;
    return at;
}

/* The string, if it is this one. */
static bool take_str8(Cursor *c, const char *want, const char *what, Error **errp)
{
    const uint8_t *len = take(c, 1);
    const uint8_t *text = len ? take(c, *len) : NULL;

    if (text && *len == strlen(want) && !memcmp(text, want, *len)) {
        return true;
    }
    g_autofree char *raw = g_strndup(text ? (const char *)text : "", text ? *len : 0);
    g_autofree char *shown = g_strescape(raw, NULL);
    error_setg(errp, "it has %s '%s' where this machine has '%s'", what, shown, want);
    return false;
}

static bool check_block(Cursor *c, const CarryBlock *b, Error **errp)
{
    const uint8_t *sizes;

    if (!take_str8(c, b->name, "RAM block", errp)) {
        return false;
    }
    sizes = take(c, 12);
    if (!sizes || wire_get_be64(sizes) != b->length ||
        wire_get_be32(sizes + 8) != b->page_size) {
        error_setg(errp, "its RAM block '%s' has another length or page size than the 0x%" PRIx64
                   " and 0x%" PRIx32 " bytes here", b->name, b->length, b->page_size);
        return false;
    }
    return true;
}

void carry_chunk_encode(uint8_t ret_buf[CARRY_CHUNK_LEN], const CarryChunk *c)
{
    wire_put_be32(ret_buf, c->block);
    wire_put_be32(ret_buf + 4, c->index);
    wire_put_be64(ret_buf + 8, c->present);
    wire_put_be64(ret_buf + 16, c->zero);
    wire_put_be64(ret_buf + 24, c->offset);
    memcpy(ret_buf + 32, c->digest, sizeof(c->digest));
}

CarryChunk carry_chunk_decode(const uint8_t buf[CARRY_CHUNK_LEN])
{
    CarryChunk c = {
        .block = wire_get_be32(buf), .index = wire_get_be32(buf + 4),
        .present = wire_get_be64(buf + 8), .zero = wire_get_be64(buf + 16),
        .offset = wire_get_be64(buf + 24),
    };

    memcpy(c.digest, buf + 32, sizeof(c.digest));
    return c;
}

/* Pages that chunk c may have. */
static uint64_t possible_pages(const CarryBlock *b, uint32_t index)
{
    uint64_t left = (b->length >> TARGET_PAGE_BITS) - (uint64_t)index * CARRY_CHUNK_PAGES;

    return left >= CARRY_CHUNK_PAGES ? ~0ULL : (1ULL << left) - 1;
}

static bool chunk_possible(const CarryChunk *c, const CarryGuest *g)
{
    return c->block < g->n_blocks && c->index < carry_chunks(g->blocks[c->block].length) &&
           c->present && !(c->present & ~possible_pages(&g->blocks[c->block], c->index)) &&
           !(c->zero & ~c->present);
}

static bool ascending(const CarryChunk *before, const CarryChunk *c)
{
    return before->block < c->block ||
           (before->block == c->block && before->index < c->index);
}

static bool check_chunks(const uint8_t *at, const CarryHead *h, const CarryGuest *g, Error **errp)
{
    uint64_t pages = 0, offset = h->pages_at;
    CarryChunk before = { 0 };

    for (uint64_t i = 0; i < h->n_chunks; i++, at += CARRY_CHUNK_LEN) {
        CarryChunk c = carry_chunk_decode(at);

        if (!chunk_possible(&c, g) || (i && !ascending(&before, &c)) || c.offset != offset) {
            error_setg(errp, "entry %" PRIu64 " of its table of chunks (block %" PRIu32 ", chunk %"
                       PRIu32 ", at %" PRIu64 ") is not possible", i, c.block, c.index, c.offset);
            return false;
        }
        pages += __builtin_popcountll(c.present);
        offset += __builtin_popcountll(c.present & ~c.zero) * TARGET_PAGE_SIZE;
        before = c;
    }
    if (pages != h->pages || offset != h->file_len) {
        error_setg(errp, "its chunks have %" PRIu64 " pages up to %" PRIu64 ", its header says %"
                   PRIu64 " and %" PRIu64, pages, offset, h->pages, h->file_len);
        return false;
    }
    return true;
}

bool carry_tables_check(const uint8_t *tables, const CarryHead *h, const CarryGuest *g,
                        const uint8_t **ret_rest, Error **errp)
{
    Cursor c = { tables, tables + h->tables_len };
    uint64_t want = h->kind == CARRY_REST ? h->n_chunks * CARRY_CHUNK_LEN : bitmaps_len(g);
    uint8_t digest[CARRY_DIGEST_LEN];

    digest_of(tables, h->tables_len, digest);
    if (memcmp(digest, h->tables_digest, sizeof(digest))) {
        error_setg(errp, "its tables are damaged (the digest is another one)");
        return false;
    }
    if (!take_str8(&c, g->machine, "machine type", errp)) {
        return false;
    }
    for (unsigned i = 0; i < g->n_blocks; i++) {
        if (!check_block(&c, &g->blocks[i], errp)) {
            return false;
        }
    }
    if ((uint64_t)(c.end - c.at) != want) {
        error_setg(errp, "its tables have %" PRIu64 " bytes behind the names, not %" PRIu64,
                   (uint64_t)(c.end - c.at), want);
        return false;
    }
    *ret_rest = c.at;
    return h->kind != CARRY_REST || check_chunks(c.at, h, g, errp);
}
