/*
 * Guest memory onto the wire: chooses the next pages, their form, and emits records.
 *
 * Belongs to the source's migration thread, and ram_save_urgent() to the return-path thread when
 * there is a preempt channel.
 *
 * A page goes ram_save_iterate -> dirty_next (or urgent_next) -> save_page -> stream.
 * Plain pages are not copied: the stream gathers them from guest memory when it is
 * written out.  Should the guest change one in between, the page is dirty again.  With
 * multifd, precopy queues them for the channels in place of that (send_run).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-int.h"

#include <string.h>

#include "config.h"
#include "cpr.h"
#include "journey.h"
#include "mapped-ram.h"
#include "multifd/multifd.h"
#include "pagemap.h"
#include "ram.h"
#include "return-path.h"
#include "src-snapshot.h"
#include "stream-internal.h"
#include "system/address-space.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"
#include "verify.h"
#include "wire.h"

/* A PART ends after this long, so that other live things and commands get their turn. */
#define PART_MS 50
/* Pages taken from the bitmap at a time: few in postcopy, where requests must not wait. */
#define RUN_PAGES 512
#define RUN_PAGES_POSTCOPY 16
#define RUN_PAGES_SNAPSHOT 64

RamSourceBlock *ram_source_block(RamSource *r, const char *idstr)
{
    for (unsigned i = 0; i < r->n_blocks; i++) {
        if (!strcmp(r->blocks[i].rb->idstr, idstr)) {
            return &r->blocks[i];
        }
    }
    return NULL;
}

bool ram_block_ignored(const RAMBlock *rb, const MigConfig *config)
{
    return cpr_keeps_memory(config) ||
           (config->cap[MIG_CAP_X_IGNORE_SHARED] && rb->shared && rb->named_file);
}

typedef struct FindGpa {
    const RAMBlock *rb;
    uint64_t gpa;
    bool found;
} FindGpa;

static void find_gpa(const RamRegion *region, void *opaque)
{
    FindGpa *f = opaque;

    if (region->rb == f->rb && !f->found) {
        f->gpa = region->gpa - region->rb_offset;
        f->found = true;
    }
}

uint64_t ram_block_gpa(const RAMBlock *rb)
{
    FindGpa f = { .rb = rb };

    memory_foreach_ram(find_gpa, &f);
    return f.gpa;
}

/*
 * Everything queued for the multifd channels is in place at the destination before anything
 * that follows in s.  A destination of before 8.1 takes the next EOS as the mark.  In a file
 * (mapped-ram) a mark is only that the channels are done.
 */
static bool multifd_mark(Migration *m, Stream *s, Error **errp)
{
    if (!multifd_send_sync(m->multifd_send, errp)) {
        return false;
    }
    m->ram->marked_wraps = m->ram->scan_wraps;
    if (m->marks == MULTIFD_MARKS_FLUSH && !m->pages_channel) {
        stream_put_be64(s, WIRE_RAM_MULTIFD_FLUSH);
        /* The channels stand still over there until the mark is read. */
        stream_flush(s);
    }
    return true;
}

bool ram_save_setup(Migration *m, Stream *s, Error **errp)
{
    const MigConfig *config = m->config;
    uint64_t base = MAX((uint64_t)getpagesize(), TARGET_PAGE_SIZE);

    stream_put_be64(s, wire_ram_word(ramblock_total_migratable(), WIRE_RAM_MEM_SIZE));
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        stream_put_str8(s, rb->idstr);
        stream_put_be64(s, rb->used_length);
        if (config->cap[MIG_CAP_POSTCOPY_RAM] && rb->page_size != base) {
            stream_put_be64(s, rb->page_size);
        }
        if (config->cap[MIG_CAP_X_IGNORE_SHARED]) {
            stream_put_be64(s, ram_block_gpa(rb));
        }
        if (m->pages_channel && !mapped_save_block(m, s, rb, errp)) {
            return false;
        }
    }
    if (m->multifd_send && m->marks != MULTIFD_MARKS_ASK && !multifd_mark(m, s, errp)) {
        return false;
    }
    stream_put_be64(s, WIRE_RAM_EOS);
    return !stream_error(s, errp);
}

/* Word and, unless it is *last, name of a page's record. */
static void put_word(Stream *s, RamSourceBlock **last, RamSourceBlock *b, uint64_t page,
                     unsigned kind)
{
    unsigned flags = kind | (*last == b ? WIRE_RAM_CONTINUE : 0);

    stream_put_be64(s, wire_ram_word(page << TARGET_PAGE_BITS, flags));
    if (*last != b) {
        stream_put_str8(s, b->rb->idstr);
        *last = b;
    }
}

static void save_zero(Stream *s, RamSourceBlock **last, RamSourceBlock *b, uint64_t page)
{
    put_word(s, last, b, page, WIRE_RAM_ZERO);
    stream_put_u8(s, 0);
}

/* One record; true when it was a zero page.  *last, what CONTINUE means, becomes the block. */
static bool save_page(Migration *m, Stream *s, RamSourceBlock **last, RamSourceBlock *b,
                      uint64_t page, bool untouched)
{
    const uint8_t *host = b->rb->host + (page << TARGET_PAGE_BITS);

    if (m->detect_zero && (untouched || ram_page_is_zero(host))) {
        save_zero(s, last, b, page);
        return true;
    }
    put_word(s, last, b, page, WIRE_RAM_PAGE);
    stream_put_page_ref(s, host, TARGET_PAGE_SIZE);
    return false;
}

/*
 * With xbzrle, behind the first pass.  The contents are copied: the destination must have just
 * what the cache has.  True when it was a zero page.
 */
static bool save_page_xbzrle(Migration *m, Stream *s, RamSourceBlock *b, uint64_t page,
                             bool untouched)
{
    uint8_t now[TARGET_PAGE_SIZE], encoded[TARGET_PAGE_SIZE];
    RamSourceBlock **last = &m->ram->last_sent;
    XbzrleForm form;
    unsigned flags;
    uint16_t len = 0;

    if (m->detect_zero && (untouched || ram_page_is_zero(b->rb->host + (page << TARGET_PAGE_BITS)))) {
        ram_xbzrle_zero(m, b, page);
        save_zero(s, last, b, page);
        return true;
    }
    form = ram_xbzrle_form(m, b, page, now, encoded, &len);
    if (form == XBZRLE_EQUAL) {
        return false;
    }
    flags = form == XBZRLE_WHOLE ? WIRE_RAM_PAGE : WIRE_RAM_XBZRLE;
    put_word(s, last, b, page, flags);
    if (form == XBZRLE_WHOLE) {
        stream_put_bytes(s, now, TARGET_PAGE_SIZE);
    } else {
        stream_put_u8(s, WIRE_XBZRLE_ENCODING);
        stream_put_be16(s, len);
        stream_put_bytes(s, encoded, len);
    }
    return false;
}

/* In postcopy nothing is left in the queue, where the next urgent page would wait behind it. */
static void save_run(Migration *m, Stream *s, RamSourceBlock **last, const PageRun *run)
{
    RamSourceBlock *b = run->b;
    uint64_t zero = 0;
    Pagemap pm = { .rb = NULL };
    bool xbzrle = ram_xbzrle_active(m);

    if (m->detect_zero && run->n >= PAGEMAP_WORTH) {
        pagemap_read(&pm, b->rb, run->page, run->n);
    }
    trace_ram_save_run(b->rb->idstr, run->page << TARGET_PAGE_BITS, run->n, run->urgent);
    for (uint64_t i = 0; i < run->n; i++) {
        bool untouched = pagemap_untouched(&pm, b->rb, run->page + i);
        bool is_zero = xbzrle ? save_page_xbzrle(m, s, b, run->page + i, untouched)
                              : save_page(m, s, last, b, run->page + i, untouched);
        journey_mark(&b->journey[run->page + i], m->in_postcopy, run->urgent, is_zero);
        zero += is_zero;
    }
    stat_add(m->stats.zero_pages, zero);
    stat_add(m->stats.normal_pages, run->n - zero);
    if (b->sent && !m->in_postcopy) { /* nobody asks after the switch */
        bitmap_set(b->sent, run->page, run->n);
    }
    if (m->in_postcopy) {
        stream_flush(s);
    }
}

/*
 * Precopy with multifd.  Zero pages that the migration thread finds (for those who know no
 * others) are records of the main channel.  A page is in a queue once between two marks: the
 * scan comes to it again only behind its wrap.
 */
static bool save_run_multifd(Migration *m, Stream *s, const PageRun *run, Error **errp)
{
    RamSourceBlock *b = run->b;
    uint64_t end = run->page + run->n, zero = 0;

    if (m->ram->scan_wraps != m->ram->marked_wraps &&
        m->marks == MULTIFD_MARKS_FLUSH && !multifd_mark(m, s, errp)) {
        return false;
    }
    for (uint64_t page = run->page, n; page < end; page += n) {
        for (n = 0; page + n < end; n++) {
            if (m->detect_zero && ram_page_is_zero(b->rb->host + ((page + n) << TARGET_PAGE_BITS))) {
                break;
            }
        }
        if (n && !multifd_send_pages(m->multifd_send, b, page, n, errp)) {
            return false;
        }
        if (page + n < end) {
            save_page(m, s, &m->ram->last_sent, b, page + n, true);
            journey_mark(&b->journey[page + n], false, false, true);
            zero++;
            n++;
        }
    }
    stat_add(m->stats.zero_pages, zero);
    if (b->sent) {
        bitmap_set(b->sent, run->page, run->n);
    }
    uint64_t bytes = multifd_send_take_bytes(m->multifd_send);
    stat_add(m->stats.multifd_bytes, bytes);
    stream_rate_account(s, bytes);
    return true;
}

/* A page may be in a channel's queue once only. */
static bool save_run_mapped(Migration *m, Stream *s, const PageRun *run, Error **errp)
{
    if (m->multifd_send && m->ram->scan_wraps != m->ram->marked_wraps &&
        !multifd_mark(m, s, errp)) {
        return false;
    }
    return mapped_save_run(m, s, run, errp);
}

/* The pages go out: what they are now.  Should one change before it does, it goes out again. */
static void note_digests(const PageRun *run)
{
    if (run->b->digest) {
        verify_hash_pages(run->b->rb, run->page, run->n, run->b->digest + run->page);
    }
}

static bool send_run(Migration *m, Stream *s, const PageRun *run, Error **errp)
{
    note_digests(run);
    if (m->pages_channel) {
        return save_run_mapped(m, s, run, errp);
    }
    if (m->multifd_send && !m->in_postcopy) {
        return save_run_multifd(m, s, run, errp);
    }
    save_run(m, s, &m->ram->last_sent, run);
    return true;
}

/* All that this section has queued is with the destination when it has read the section's EOS. */
static bool section_mark(Migration *m, Stream *s, bool last, Error **errp)
{
    if (!m->multifd_send || m->in_postcopy ||
        !(last || m->marks == MULTIFD_MARKS_SECTION)) {
        return true;
    }
    return multifd_mark(m, s, errp);
}

/* The next run: what the destination waits for, else what the scan finds. */
static bool next_run(Migration *m, uint64_t max, PageRun *ret_run)
{
    return urgent_next(m->ram, ret_run) || dirty_next(m->ram, max, ret_run);
}

/*
 * Postcopy, when this thread reads the return path as well: until somebody asks for a page or
 * the channel has room for others, so that a page that is asked for waits for no more than what
 * the channel holds.
 */
static void serve_requests(Migration *m)
{
    while (return_path_lent(m->return_path) && !stat_get(m->ram->urgent_waiting) &&
           return_path_serve(m->return_path, IO_READY_WRITE, -1) != IO_READY_WRITE) {
    }
}

bool ram_save_iterate(Migration *m, Stream *s, Error **errp)
{
    int64_t end_ns = host_clock_ns() + PART_MS * 1000000LL;
    uint64_t max = m->in_postcopy ? RUN_PAGES_POSTCOPY
                                  : m->snapshot ? RUN_PAGES_SNAPSHOT : RUN_PAGES;
    PageRun run;

    while (!stream_error(s, NULL) && !migration_cancelled(m)) {
        bool limited = stream_rate_exceeded(s);

        if (m->snapshot) {
            snapshot_poll(m);
        } else if (m->in_postcopy) {
            serve_requests(m);
        }
        uint64_t allowed = stream_rate_left_bytes(s) / TARGET_PAGE_SIZE + 1;

        if (limited ? !urgent_next(m->ram, &run) : !next_run(m, MIN(max, allowed), &run)) {
            break;
        }
        if (!send_run(m, s, &run, errp) || (m->snapshot && !snapshot_release(m, &run, errp))) {
            return false;
        }
        if (host_clock_ns() >= end_ns) {
            break;
        }
    }
    if (!section_mark(m, s, false, errp)) {
        return false;
    }
    stream_put_be64(s, WIRE_RAM_EOS);
    return !stream_error(s, errp);
}

bool ram_save_mark(Migration *m, Stream *s, Error **errp)
{
    for (; m->ram->flushes_due; m->ram->flushes_due--) {
        stream_put_be64(s, WIRE_RAM_MULTIFD_FLUSH);
    }
    if (m->marks != MULTIFD_MARKS_ASK && !section_mark(m, s, true, errp)) {
        return false;
    }
    stream_put_be64(s, WIRE_RAM_EOS);
    return !stream_error(s, errp);
}

bool ram_save_complete(Migration *m, Stream *s, Error **errp)
{
    PageRun run;

    while (!stream_error(s, NULL) && !migration_cancelled(m) && next_run(m, RUN_PAGES, &run)) {
        if (!send_run(m, s, &run, errp)) {
            return false;
        }
    }
    if (!section_mark(m, s, true, errp) ||
        (m->pages_channel && !migration_cancelled(m) && !mapped_save_end(m, s, errp))) {
        return false;
    }
    stream_put_be64(s, WIRE_RAM_EOS);
    return !stream_error(s, errp);
}

void ram_save_urgent(Migration *m, Stream *s, RamSourceBlock **last, RamSourceBlock *b,
                     uint64_t page, uint64_t n)
{
    PageRun run;

    while (!stream_error(s, NULL) && dirty_take(m->ram, b, page, n, &run)) {
        run.urgent = true;
        note_digests(&run);
        save_run(m, s, last, &run);
    }
}

void ram_save_restart(RamSource *r)
{
    r->last_sent = NULL;
    r->scan_block = 0;
    r->scan_page = 0;
    stat_set(r->hinted, 0);
}
