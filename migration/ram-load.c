/*
 * Guest memory off the wire: decodes records and puts pages in place.
 *
 * Belongs to the thread that reads the main stream: incoming, then listen.  It is the
 * only writer of guest memory in precopy (place_page, place_zero and load_run); in
 * postcopy every page goes to RamDest.sink.
 *
 * A page that follows its predecessor, as nearly all do in the first pass, is read from
 * the channel straight into guest memory together with many successors (load_run):
 * each header is compared with what was expected afterwards.  After a wrong guess the
 * bytes are given back to the stream.  Guesses go only to pages that were never
 * received, because a wrong one overwrites them; such a page stays "not received".
 *
 * With multifd the channels' threads write pages at the same time (multifd/recv-place.c):
 * nothing is guessed, populated ahead or remembered of holes here then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "ram.h"

#include <string.h>

#include "config.h"
#include "mapped-ram.h"
#include "multifd/multifd.h"
#include "stream-internal.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"
#include "wire.h"
#include "xbzrle.h"

#define PAGE_BYTES TARGET_PAGE_SIZE
#define WORD_BYTES 8
#define UNIT_BYTES (PAGE_BYTES + WORD_BYTES) /* a page and the word of the next record */
#define GUESS_MIN 8
#define GUESS_MAX 256

/* ---- blocks ---- */

static void init_block(RamDestBlock *b, RAMBlock *rb, const MigConfig *config)
{
    *b = (RamDestBlock){ .rb = rb, .pages = ramblock_pages(rb) };
    b->ignored = ram_block_ignored(rb, config);
    b->received = bitmap_new(b->pages);
    populate_block_init(&b->populate, rb,
                        !b->ignored && b->pages && rb->page_size == (size_t)getpagesize());
}

RamDest *ram_dest_new(const MigConfig *config)
{
    RamDest *rd = g_new0(RamDest, 1);
    unsigned n = 0;

    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        n++;
    }
    rd->blocks = g_new0(RamDestBlock, n);
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        init_block(&rd->blocks[rd->n_blocks++], rb, config);
    }
    rd->touch_zero = config->cap[MIG_CAP_POSTCOPY_RAM];
    rd->guess = GUESS_MIN;
    rd->populator = populator_new();
    g_mutex_init(&rd->populate_lock);
    return rd;
}

void ram_dest_free(RamDest *rd)
{
    if (!rd) {
        return;
    }
    populator_free(rd->populator);
    g_mutex_clear(&rd->populate_lock);
    for (unsigned i = 0; i < rd->n_blocks; i++) {
        g_free(rd->blocks[i].received);
        populate_block_clear(&rd->blocks[i].populate);
    }
    g_free(rd->blocks);
    g_free(rd);
}

RamDestBlock *ram_dest_block(RamDest *rd, const char *idstr)
{
    for (unsigned i = 0; i < rd->n_blocks; i++) {
        if (!strcmp(rd->blocks[i].rb->idstr, idstr)) {
            return &rd->blocks[i];
        }
    }
    return NULL;
}

/* ---- block list ---- */

static bool load_block_entry(RamDest *rd, Stream *s, const MigConfig *config, uint64_t *left,
                             Error **errp)
{
    uint64_t base = MAX((uint64_t)getpagesize(), TARGET_PAGE_SIZE);
    char name[256];
    RamDestBlock *b;
    uint64_t length;

    if (!stream_get_str8(s, name)) {
        return false;
    }
    length = stream_get_be64(s);
    b = ram_dest_block(rd, name);
    if (stream_error(s, NULL)) {
        return false;
    }
    if (!b) {
        g_autofree char *shown = g_strescape(name, NULL);

        error_setg(errp, "the stream has a RAM block '%s', which this machine has not", shown);
        return false;
    }
    if (b->listed) {
        error_setg(errp, "RAM block '%s' is listed twice", name);
        return false;
    }
    b->listed = true;
    if (length != b->rb->used_length || length > *left) {
        error_setg(errp, "RAM block '%s' has 0x%" PRIx64 " bytes in the stream and 0x%" PRIx64
                   " here", name, length, b->rb->used_length);
        return false;
    }
    *left -= length;
    if (config->cap[MIG_CAP_X_IGNORE_SHARED]) {
        uint64_t gpa = stream_get_be64(s);

        if (b->ignored && gpa != ram_block_gpa(b->rb)) {
            error_setg(errp, "shared RAM block '%s' is at 0x%" PRIx64 " in the stream and at 0x%"
                       PRIx64 " here", name, gpa, ram_block_gpa(b->rb));
            return false;
        }
    }
    if (config->cap[MIG_CAP_POSTCOPY_RAM] && b->rb->page_size != base) {
        uint64_t page_size = stream_get_be64(s);

        if (page_size != b->rb->page_size) {
            error_setg(errp, "RAM block '%s' has pages of 0x%" PRIx64 " bytes in the stream and "
                       "0x%zx here", name, page_size, b->rb->page_size);
            return false;
        }
    }
    return !rd->file || mapped_load_block(rd, b, s, config, errp);
}

static bool load_block_list(RamDest *rd, Stream *s, const MigConfig *config, uint64_t total,
                            Error **errp)
{
    for (unsigned i = 0; i < rd->n_blocks; i++) {
        rd->blocks[i].listed = false;
    }
    while (total) {
        if (!load_block_entry(rd, s, config, &total, errp)) {
            return false;
        }
    }
    return true;
}

/* ---- placing (precopy) ---- */

/*
 * Is the page a hole of the block's file, that is zero without having memory?  Only where all
 * that is written goes into the file.
 */
static bool page_is_hole(RamDestBlock *b, uint64_t offset)
{
    off_t data;

    if (b->rb->fd < 0 || !b->rb->shared) {
        return false;
    }
    if (offset < b->hole_end) {
        return true;
    }
    data = lseek(b->rb->fd, b->rb->fd_offset + offset, SEEK_DATA);
    if (data < 0) {
        b->hole_end = errno == ENXIO ? b->rb->used_length : 0;
    } else if ((uint64_t)data >= b->rb->fd_offset + offset + PAGE_BYTES) {
        b->hole_end = ROUND_DOWN((uint64_t)data - b->rb->fd_offset, PAGE_BYTES);
    }
    return offset < b->hole_end;
}

/*
 * Is the page known to be zero because nobody has touched it?  Asked ahead in a run of zero
 * pages; what was asked holds until data comes, which is the only writer (guesses included).
 */
static bool zero_untouched(RamDest *rd, RamDestBlock *b, uint64_t offset)
{
    uint64_t page = offset >> TARGET_PAGE_BITS;

    rd->zero_run = page == rd->zero_next ? rd->zero_run + 1 : 0;
    rd->zero_next = page + 1;
    if (rd->touch_zero || rd->multifd || rd->zero_run < PAGEMAP_WORTH) {
        return false;
    }
    if (rd->untouched.rb != b->rb || page - rd->untouched.first >= rd->untouched.n) {
        pagemap_read(&rd->untouched, b->rb, page, PAGEMAP_PAGES);
    }
    return pagemap_untouched(&rd->untouched, b->rb, page);
}

static void mark_received(RamDest *rd, RamDestBlock *b, uint64_t offset)
{
    if (rd->multifd) {
        bitmap_test_and_set_atomic(b->received, offset >> TARGET_PAGE_BITS);
    } else {
        bitmap_set_bit(b->received, offset >> TARGET_PAGE_BITS);
    }
}

/*
 * Memory that is zero already is only looked at: that gives anonymous memory the shared
 * zero page, and costs none.
 */
static void place_zero(RamDest *rd, RamDestBlock *b, uint64_t offset)
{
    uint8_t *host = b->rb->host + offset;

    /* What is known of holes is not true for long while other threads write. */
    if (!zero_untouched(rd, b, offset) &&
        (rd->touch_zero || rd->multifd || !page_is_hole(b, offset)) &&
        !buffer_is_zero(host, PAGE_BYTES)) {
        memset(host, 0, PAGE_BYTES);
        b->hole_end = 0;
    }
    mark_received(rd, b, offset);
    if (!rd->multifd) {
        populate_zero_seen(rd->populator);
    }
}

/* Data will be written at offset. */
static void prepare(RamDest *rd, RamDestBlock *b, uint64_t offset)
{
    b->hole_end = 0;
    rd->untouched.rb = NULL;
    rd->zero_run = 0;
    if (!rd->multifd) {
        populate_for(rd->populator, &b->populate, offset);
    }
}

static bool place_page(RamDest *rd, RamDestBlock *b, uint64_t offset, Stream *s)
{
    prepare(rd, b, offset);
    if (!stream_get_bytes(s, b->rb->host + offset, PAGE_BYTES)) {
        return false;
    }
    mark_received(rd, b, offset);
    return true;
}

/* ---- reading ahead ---- */

/* A guess in progress: pages from `offset` on, each followed by the word of the next. */
typedef struct Run {
    RamDestBlock *b;
    uint64_t offset;          /* of the page that is being filled */
    uint64_t n;               /* pages of the guess that are left, that one included */
    size_t pos;               /* bytes of its unit that have come */
    uint8_t words[GUESS_MAX][WORD_BYTES];
} Run;

/* Pages from offset+1 page on that may be guessed: in the block and never received. */
static uint64_t guess_pages(const RamDest *rd, const RamDestBlock *b, uint64_t offset)
{
    uint64_t first = (offset >> TARGET_PAGE_BITS) + 1;
    uint64_t end = MIN(first + rd->guess, b->pages);

    return first >= end ? 0 : bitmap_find_next(b->received, end, first) - first;
}

/* The places that the next bytes go to, from run->pos on. */
static unsigned run_iov(Run *run, struct iovec *iov)
{
    unsigned k = 0;
    size_t skip = run->pos;

    for (uint64_t i = 0; i < run->n; i++) {
        uint8_t *page = run->b->rb->host + run->offset + i * PAGE_BYTES;

        if (skip < PAGE_BYTES) {
            iov[k++] = (struct iovec){ page + skip, PAGE_BYTES - skip };
            skip = PAGE_BYTES;
        }
        iov[k++] = (struct iovec){ run->words[i] + (skip - PAGE_BYTES), UNIT_BYTES - skip };
        skip = 0;
    }
    return k;
}

/* Give the `len` bytes behind the present unit's page back to the stream. */
static void run_unget(Run *run, Stream *s, size_t len)
{
    g_autofree uint8_t *bytes = g_malloc(len);
    size_t done = 0;

    for (uint64_t i = 0; done < len; i++) {
        size_t n = MIN(len - done, WORD_BYTES);

        memcpy(bytes + done, run->words[i], n);
        done += n;
        n = MIN(len - done, PAGE_BYTES);
        memcpy(bytes + done, run->b->rb->host + run->offset + (i + 1) * PAGE_BYTES, n);
        done += n;
    }
    stream_unget(s, bytes, len);
}

/*
 * `got` more bytes are in.  Walks over whole units; true while the run goes on, false
 * when it has ended: all is filled, or a word was not the expected one (everything from
 * that word on is back in the stream).
 */
static bool run_advance(RamDest *rd, Run *run, Stream *s, size_t got)
{
    size_t have = run->pos + got;
    uint64_t i = 0;

    for (; have >= UNIT_BYTES; have -= UNIT_BYTES, i++) {
        uint64_t next = run->offset + PAGE_BYTES;
        bool last = run->n == 1;

        bitmap_set_bit(run->b->received, run->offset >> TARGET_PAGE_BITS);
        if (last || wire_get_be64(run->words[i]) !=
                        wire_ram_word(next, WIRE_RAM_PAGE | WIRE_RAM_CONTINUE)) {
            memmove(run->words[0], run->words[i], (GUESS_MAX - i) * WORD_BYTES);
            run_unget(run, s, have - PAGE_BYTES);
            rd->guess = last ? MIN(rd->guess * 2, GUESS_MAX - 1) : MAX(rd->guess / 4, GUESS_MIN);
            return false;
        }
        run->offset = next;
        run->n--;
    }
    memmove(run->words[0], run->words[i], (GUESS_MAX - i) * WORD_BYTES);
    run->pos = have;
    return true;
}

/*
 * The record of the page at offset was read, its data was not: read it and what is
 * expected to follow.  False: the stream has failed.
 */
static bool load_run(RamDest *rd, RamDestBlock *b, uint64_t offset, uint64_t guess, Stream *s)
{
    struct iovec iov[2 * GUESS_MAX];
    Run run = { .b = b, .offset = offset, .n = guess + 1 };
    size_t got;

    G_STATIC_ASSERT(GUESS_MAX * PAGE_BYTES <= POPULATE_REGION);
    prepare(rd, b, offset);
    prepare(rd, b, offset + guess * PAGE_BYTES);
    do {
        got = stream_get_iov(s, iov, run_iov(&run, iov));
    } while (got && run_advance(rd, &run, s, got));
    return got > 0;
}

/* ---- records ---- */

/* The block of a page record, checked; NULL with errp set (or the stream failed). */
static RamDestBlock *record_block(RamDest *rd, Stream *s, uint64_t word, Error **errp)
{
    uint64_t offset = wire_ram_offset(word);
    RamDestBlock *b = rd->last;
    char name[256];

    if (!(wire_ram_flags(word) & WIRE_RAM_CONTINUE)) {
        if (!stream_get_str8(s, name)) {
            return NULL;
        }
        b = ram_dest_block(rd, name);
        if (!b) {
            g_autofree char *shown = g_strescape(name, NULL);

            error_setg(errp, "page 0x%" PRIx64 " is of RAM block '%s', which this machine has not",
                       offset, shown);
            return NULL;
        }
    } else if (!b) {
        error_setg(errp, "page 0x%" PRIx64 " continues a RAM block, and none was named before",
                   offset);
        return NULL;
    }
    if (b->ignored) {
        error_setg(errp, "page 0x%" PRIx64 " is of RAM block '%s', which x-ignore-shared excludes",
                   offset, b->rb->idstr);
        return NULL;
    }
    if (offset >> TARGET_PAGE_BITS >= b->pages) {
        error_setg(errp, "page 0x%" PRIx64 " is outside of RAM block '%s' (0x%" PRIx64 " bytes)",
                   offset, b->rb->idstr, b->rb->used_length);
        return NULL;
    }
    rd->last = b;
    return b;
}

static bool load_page_postcopy(RamDest *rd, RamDestBlock *b, uint64_t word, Stream *s, Error **errp)
{
    uint64_t offset = wire_ram_offset(word);
    bool zero = wire_ram_flags(word) & WIRE_RAM_ZERO;

    if (!zero) {
        uint8_t *buf = rd->sink->buffer(rd->sink_opaque, b->rb, offset, errp);

        if (!buf || !stream_get_bytes(s, buf, PAGE_BYTES)) {
            return false;
        }
    }
    return rd->sink->done(rd->sink_opaque, b->rb, offset, zero, errp);
}

static bool load_page(RamDest *rd, Stream *s, uint64_t word, Error **errp)
{
    RamDestBlock *b = record_block(rd, s, word, errp);
    uint64_t offset = wire_ram_offset(word), guess;

    if (!b) {
        return false;
    }
    if (wire_ram_flags(word) & WIRE_RAM_ZERO) {
        uint8_t fill = stream_get_u8(s);

        if (fill || stream_error(s, NULL)) {
            error_setg(errp, "page 0x%" PRIx64 " of RAM block '%s' is filled with 0x%02x; only "
                       "zero is possible", offset, b->rb->idstr, fill);
            return false;
        }
    }
    if (rd->sink) {
        return load_page_postcopy(rd, b, word, s, errp);
    }
    if (wire_ram_flags(word) & WIRE_RAM_ZERO) {
        place_zero(rd, b, offset);
        return true;
    }
    /* What is buffered is copied; only what must be read anyway is read ahead. */
    if (!rd->multifd && stream_buffered(s) < PAGE_BYTES &&
        (guess = guess_pages(rd, b, offset)) >= GUESS_MIN - 1) {
        return load_run(rd, b, offset, guess, s);
    }
    return place_page(rd, b, offset, s);
}

/* What has changed in a page that came before. */
static bool load_xbzrle(RamDest *rd, Stream *s, uint64_t word, Error **errp)
{
    RamDestBlock *b = record_block(rd, s, word, errp);
    uint64_t offset = wire_ram_offset(word);
    uint8_t data[PAGE_BYTES];
    uint8_t encoding;
    uint16_t len;

    if (!b) {
        return false;
    }
    encoding = stream_get_u8(s);
    len = stream_get_be16(s);
    if (stream_error(s, NULL)) {
        return false;
    }
    if (encoding != WIRE_XBZRLE_ENCODING || !len || len > PAGE_BYTES) {
        error_setg(errp, "page 0x%" PRIx64 " of RAM block '%s' has encoding %u and %u bytes; "
                   "encoding %u and at most %lu are possible", offset, b->rb->idstr, encoding, len,
                   WIRE_XBZRLE_ENCODING, PAGE_BYTES);
        return false;
    }
    if (!stream_get_bytes(s, data, len)) {
        return false;
    }
    prepare(rd, b, offset);
    if (!xbzrle_decode(data, len, b->rb->host + offset, errp)) {
        error_prefix(errp, "page 0x%" PRIx64 " of RAM block '%s': ", offset, b->rb->idstr);
        return false;
    }
    mark_received(rd, b, offset);
    return true;
}

/* ---- marks of multifd ---- */

/* All that was sent on the channels before this record is in place when it returns. */
static bool multifd_flush(RamDest *rd, Error **errp)
{
    if (!rd->multifd) {
        error_setg(errp, "the source uses multifd: turn it on here, too (MULTIFD_FLUSH)");
        return false;
    }
    if (rd->mark == MULTIFD_MARK_UNKNOWN) {
        rd->mark = MULTIFD_MARK_FLUSH;
    }
    return multifd_recv_sync(rd->multifd, errp);
}

/*
 * EOS.  Sources since 8.1 have put a MULTIFD_FLUSH before the first one; with older ones each
 * EOS of precopy is a mark.
 */
static bool end_of_section(RamDest *rd, Error **errp)
{
    if (rd->sink) {
        return rd->sink->flush(rd->sink_opaque, errp);
    }
    if (rd->multifd && rd->mark == MULTIFD_MARK_UNKNOWN) {
        rd->mark = MULTIFD_MARK_EOS;
    }
    return rd->mark != MULTIFD_MARK_EOS || multifd_recv_sync(rd->multifd, errp);
}

/* With mapped-ram all pages are in the file, at their places. */
static bool word_in_place(const RamDest *rd, uint64_t word, Error **errp)
{
    bool page = !(wire_ram_flags(word) & (WIRE_RAM_MEM_SIZE | WIRE_RAM_EOS));

    if (rd->file && page) {
        g_autofree char *flags = wire_ram_flags_str(wire_ram_flags(word));

        error_setg(errp, "RAM record 0x%016" PRIx64 " (%s) does not go with mapped-ram", word,
                   flags);
    }
    return !rd->file || !page;
}

bool ram_load(RamDest *rd, Stream *s, const MigConfig *config, Error **errp)
{
    for (;;) {
        g_autoptr(Error) err = NULL;
        uint64_t word, at;
        bool good = false;

        if (rd->sink && !rd->sink->before_read(rd->sink_opaque, s, errp)) {
            return false;
        }
        at = stream_offset(s);
        word = stream_get_be64(s);
        if (!stream_error(s, NULL) && wire_ram_word_check(word, rd->sink, &err) &&
            word_in_place(rd, word, &err)) {
            unsigned flags = wire_ram_flags(word);

            if (flags & WIRE_RAM_EOS) {
                return end_of_section(rd, errp);
            }
            if (flags & WIRE_RAM_XBZRLE) {
                good = load_xbzrle(rd, s, word, &err);
            } else if (flags & WIRE_RAM_MULTIFD_FLUSH) {
                good = multifd_flush(rd, &err);
            } else {
                good = flags & WIRE_RAM_MEM_SIZE
                           ? load_block_list(rd, s, config, wire_ram_offset(word), &err)
                           : load_page(rd, s, word, &err);
            }
        }
        if (!good || stream_error(s, NULL)) {
            if (err && !stream_error(s, NULL)) {
                error_propagate(errp, g_steal_pointer(&err));
                error_prefix(errp, "RAM record at offset %" PRIu64 ": ", at);
            } else {
                stream_error(s, errp);
                error_prefix(errp, "in a RAM record that began at offset %" PRIu64 ": ", at);
            }
            return false;
        }
    }
}

void ram_load_trim(RamDest *rd)
{
    for (unsigned i = 0; i < rd->n_blocks; i++) {
        populate_trim(rd->populator, &rd->blocks[i].populate, rd->blocks[i].received);
    }
}

void ram_load_stop_populating(RamDest *rd)
{
    populator_stop(rd->populator);
}

bool ram_load_drop_unreceived(RamDest *rd, Error **errp)
{
    populator_stop(rd->populator);
    for (unsigned i = 0; i < rd->n_blocks; i++) {
        RamDestBlock *b = &rd->blocks[i];
        uint64_t host_pages = MAX(b->rb->page_size / TARGET_PAGE_SIZE, 1);
        uint64_t page = 0;

        while (!b->ignored && page < b->pages) {
            uint64_t first = bitmap_find_next_zero(b->received, b->pages, page);
            uint64_t end;

            if (first >= b->pages) {
                break;
            }
            first = ROUND_DOWN(first, host_pages);
            end = ROUND_UP(bitmap_find_next(b->received, b->pages, first + host_pages), host_pages);
            end = MIN(end, b->pages);
            bitmap_clear(b->received, first, end - first);
            if (!ramblock_discard(b->rb, first << TARGET_PAGE_BITS,
                                  (end - first) << TARGET_PAGE_BITS, errp)) {
                return false;
            }
            page = end;
        }
    }
    return true;
}
