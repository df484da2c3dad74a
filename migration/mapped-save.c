/*
 * mapped-ram on the source: pages to their places in the file, bitmaps last.
 *
 * Belongs to the migration thread; mapped_save_pages() and mapped_save_zero() are also called by
 * multifd's channels, each for pages of its own.
 *
 * As with a stream a page's dirty bit is cleared before the page is read, so what the guest
 * writes meanwhile is written again, over it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "mapped-ram.h"

#include <inttypes.h>

#include "config.h"
#include "journey.h"
#include "multifd/multifd.h"
#include "pagemap.h"
#include "stream-internal.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"

/* One write: so that a cancel need not wait long. */
#define WRITE_PAGES 1024

/* ---- both sides ---- */

bool mapped_check_address(const MigrateAddress *a, Error **errp)
{
    const MigConfig *c = mig_settings_get(mig_settings());
    bool is_fd = a->transport == MIG_TRANSPORT_SOCKET && a->socket->type == SOCKET_FD;
    g_autofree char *what = migrate_address_to_str(a);

    if (!c->cap[MIG_CAP_MAPPED_RAM]) {
        return true;
    }
    if (a->transport != MIG_TRANSPORT_FILE && !is_fd) {
        error_setg(errp, "mapped-ram needs a file (file:PATH, file:/dev/fdset/N or fd: of a file); "
                   "%s is a stream", what);
    } else if (is_fd && c->direct_io) {
        error_setg(errp, "direct-io needs a second descriptor of the file, and %s is only one: "
                   "use file:PATH, or a set of two (file:/dev/fdset/N)", what);
    } else if (c->tls_creds[0]) {
        error_setg(errp, "mapped-ram and TLS ('tls-creds') do not go together: pages must be as "
                   "they are in memory");
    } else if (c->cap[MIG_CAP_MULTIFD] && c->multifd_compression != MIG_COMPRESSION_NONE) {
        error_setg(errp, "mapped-ram and multifd-compression '%s' do not go together: a page has a "
                   "place of its own size", mig_param_enum_name(MIG_PARAM_MULTIFD_COMPRESSION,
                                                                c->multifd_compression));
    } else {
        return true;
    }
    return false;
}

bool mapped_open(Migration *m, IOChannel *main, Error **errp)
{
    IOChannel *ioc;

    if (!m->config->cap[MIG_CAP_MAPPED_RAM]) {
        return true;
    }
    if (!mig_file_has_positions(main, m->source, errp)) {
        error_prefix(errp, "%s: ", m->uri);
        return false;
    }
    ioc = m->config->direct_io ? mig_file_open_direct(m->addr, main, m->source, errp)
                               : io_channel_ref(main);
    if (!ioc) {
        return false;
    }
    if (ioc != main) {
        io_channel_set_name(ioc, "migration-pages");
    }
    migration_set_pages_channel(m, ioc);
    if (!m->source) {
        m->ram_dest->file = ioc;
    }
    return true;
}

/* ---- the block list ---- */

void mapped_block_free(struct MappedBlock *mb)
{
    if (mb) {
        g_free(mb->there);
        g_free(mb);
    }
}

bool mapped_save_block(Migration *m, Stream *s, const RAMBlock *rb, Error **errp)
{
    RamSourceBlock *b = ram_source_block(m->ram, rb->idstr);
    bool ignored = ram_block_ignored(rb, m->config);
    uint8_t buf[WIRE_MAPPED_HEADER_LEN];
    WireMapped at = { 0, 0 };
    uint64_t pos;

    G_STATIC_ASSERT(WIRE_MAPPED_PAGE_SIZE == 1 << TARGET_PAGE_BITS);
    if (!stream_tell(s, &pos)) {
        return false;
    }
    if (!ignored) {
        at = wire_mapped_layout(pos, ramblock_pages(rb));
    }
    wire_mapped_encode(buf, &at);
    stream_put_bytes(s, buf, sizeof(buf));
    if (b) {
        b->mapped = g_new0(struct MappedBlock, 1);
        b->mapped->at = at;
        b->mapped->there = bitmap_new(b->pages);
    }
    trace_mapped_block(rb->idstr, at.bitmap_offset, at.pages_offset);
    return ignored || stream_seek(s, at.pages_offset + rb->used_length);
}

/* ---- pages ---- */

bool mapped_save_pages(Migration *m, RamSourceBlock *b, uint64_t page, uint64_t n, Error **errp)
{
    uint64_t offset = page << TARGET_PAGE_BITS;
    uint64_t at = b->mapped->at.pages_offset + offset;

    if (!io_channel_pwrite_all(m->pages_channel, b->rb->host + offset, n << TARGET_PAGE_BITS, at,
                               errp)) {
        error_prefix(errp, "RAM block '%s', page 0x%" PRIx64 ": ", b->rb->idstr, offset);
        return false;
    }
    bitmap_set_atomic(b->mapped->there, page, n);
    return true;
}

void mapped_save_zero(RamSourceBlock *b, uint64_t page, uint64_t n)
{
    bitmap_test_and_clear_range_atomic(b->mapped->there, page, n);
}

/* What is known of a run's untouched pages; asked for only when one of its pages is zero. */
typedef struct Untouched {
    bool asked;
    Pagemap pm;
} Untouched;

/* How many pages from `page` on are zero, or are not: *ret_zero. */
static uint64_t same_kind(Migration *m, const PageRun *run, uint64_t page, Untouched *u,
                          bool *ret_zero)
{
    const RAMBlock *rb = run->b->rb;
    uint64_t end = run->page + run->n, at;

    *ret_zero = false;
    if (!m->detect_zero) {
        return MIN(end - page, WRITE_PAGES);
    }
    for (at = page; at < end && at - page < WRITE_PAGES; at++) {
        bool zero = pagemap_untouched(&u->pm, rb, at) ||
                    ram_page_is_zero(rb->host + (at << TARGET_PAGE_BITS));

        if (zero && !u->asked) {
            u->asked = true;
            if (end - at >= PAGEMAP_WORTH) {
                pagemap_read(&u->pm, rb, at, end - at);
            }
        }
        if (at == page) {
            *ret_zero = zero;
        } else if (zero != *ret_zero) {
            break;
        }
    }
    return at - page;
}

/* They went as zero pages / as they are; multifd's channels say that themselves. */
static void note_pages(Migration *m, RamSourceBlock *b, uint64_t page, uint64_t n, bool zero)
{
    for (uint64_t i = 0; i < n; i++) {
        journey_mark(&b->journey[page + i], false, false, zero);
    }
    stat_add(*(zero ? &m->stats.zero_pages : &m->stats.normal_pages), n);
}

/* `bytes` were written here; what the channels wrote is asked for. */
static void account(Migration *m, Stream *s, uint64_t bytes)
{
    uint64_t theirs = m->multifd_send ? multifd_send_take_bytes(m->multifd_send) : 0;

    stat_add(m->stats.multifd_bytes, theirs);
    stat_add(m->stats.mapped_bytes, bytes);
    stream_rate_account(s, theirs + bytes);
}

bool mapped_save_run(Migration *m, Stream *s, const PageRun *run, Error **errp)
{
    RamSourceBlock *b = run->b;
    uint64_t end = run->page + run->n, bytes = 0;
    bool zero, good = true;
    Untouched u;

    u.asked = false;
    u.pm.rb = NULL; /* empty; the rest need not be cleared */
    trace_ram_save_run(b->rb->idstr, run->page << TARGET_PAGE_BITS, run->n, false);
    for (uint64_t page = run->page, n; good && page < end; page += n) {
        n = same_kind(m, run, page, &u, &zero);
        if (zero) {
            mapped_save_zero(b, page, n);
            note_pages(m, b, page, n, true);
        } else if (m->multifd_send) {
            good = multifd_send_pages(m->multifd_send, b, page, n, errp);
        } else {
            good = mapped_save_pages(m, b, page, n, errp);
            note_pages(m, b, page, n, false);
            bytes += n << TARGET_PAGE_BITS;
        }
    }
    account(m, s, bytes);
    return good;
}

/* ---- the end ---- */

bool mapped_save_end(Migration *m, Stream *s, Error **errp)
{
    account(m, s, 0);
    for (unsigned i = 0; i < m->ram->n_blocks; i++) {
        RamSourceBlock *b = &m->ram->blocks[i];
        uint64_t bytes = wire_mapped_bitmap_bytes(b->pages);

        G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);
        if (!io_channel_pwrite_all(stream_channel(s), b->mapped->there, bytes,
                                   b->mapped->at.bitmap_offset, errp)) {
            error_prefix(errp, "bitmap of RAM block '%s': ", b->rb->idstr);
            return false;
        }
        account(m, s, bytes);
    }
    return true;
}

bool mapped_close(Migration *m, Error **errp)
{
    bool good = !m->pages_channel || m->pages_channel == m->channel ||
                io_channel_close(m->pages_channel, errp);

    migration_set_pages_channel(m, NULL);
    return good;
}
