/*
 * mapped-ram on the destination: a block's pages out of their places in the file.
 *
 * Belongs to the thread that reads the main stream.  With multifd it starts helpers
 * ("mig/dst/recv_N") for each block and is one of them itself; they share a counter of regions.
 *
 * The file may be hostile or cut: the header is checked before anything is read, a read that
 * comes out short is an error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "mapped-ram.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "pagemap.h"
#include "stream-internal.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"

#define REGION_PAGES (POPULATE_REGION / TARGET_PAGE_SIZE)

/* A block that is being loaded. */
typedef struct MappedLoad {
    RamDest *rd;
    RamDestBlock *b;
    WireMapped at;
    unsigned long *there;      /* constant */
    uint64_t regions;
    uint64_t next;             /* [a] region that nobody has taken */
    int failed;                /* [a] */
    GMutex lock;
    Error *err;                /* lock: the first */
} MappedLoad;

/* ---- pages that the file has not ---- */

/* Not more than a region. */
static void zero_pages(const RAMBlock *rb, uint64_t offset, uint64_t end)
{
    Pagemap pm = { .rb = NULL };

    if (end - offset >= PAGEMAP_WORTH * TARGET_PAGE_SIZE) {
        pagemap_read(&pm, rb, offset >> TARGET_PAGE_BITS, (end - offset) >> TARGET_PAGE_BITS);
    }
    for (; offset < end; offset += TARGET_PAGE_SIZE) {
        /* Memory that is zero is only looked at, which costs none. */
        if (!pagemap_untouched(&pm, rb, offset >> TARGET_PAGE_BITS) &&
            !buffer_is_zero(rb->host + offset, TARGET_PAGE_SIZE)) {
            memset(rb->host + offset, 0, TARGET_PAGE_SIZE);
        }
    }
}

/*
 * [offset, end) of the block becomes zero.  In shared memory a look at a hole of its file would
 * fill it, so holes are left alone.
 */
static void make_zero(const RAMBlock *rb, uint64_t offset, uint64_t end)
{
    while (offset < end) {
        uint64_t from = offset, to = end;

        if (rb->fd >= 0 && rb->shared) {
            off_t data = lseek(rb->fd, rb->fd_offset + offset, SEEK_DATA), hole;

            if (data < 0 && errno == ENXIO) {
                return;
            }
            if (data >= 0) {
                from = MAX(ROUND_DOWN((uint64_t)data - rb->fd_offset, TARGET_PAGE_SIZE), offset);
                hole = lseek(rb->fd, data, SEEK_HOLE);
                to = hole < 0 ? end : ROUND_UP((uint64_t)hole - rb->fd_offset, TARGET_PAGE_SIZE);
                to = MIN(to, end);
            }
        }
        if (from >= end) {
            return;
        }
        zero_pages(rb, from, to);
        offset = to;
    }
}

/* ---- regions: any of the threads ---- */

static bool load_region(MappedLoad *ml, uint64_t region, Error **errp)
{
    RamDestBlock *b = ml->b;
    uint64_t page = region * REGION_PAGES, end = MIN(page + REGION_PAGES, b->pages);

    if (bitmap_find_next(ml->there, end, page) < end) {
        g_mutex_lock(&ml->rd->populate_lock);
        populate_for(ml->rd->populator, &b->populate, page << TARGET_PAGE_BITS);
        g_mutex_unlock(&ml->rd->populate_lock);
    }
    while (page < end) {
        uint64_t first = bitmap_find_next(ml->there, end, page);
        uint64_t last = bitmap_find_next_zero(ml->there, end, first);
        uint64_t offset = first << TARGET_PAGE_BITS;

        if (first > page) {
            make_zero(b->rb, page << TARGET_PAGE_BITS, offset);
        }
        if (last > first && !io_channel_pread_all(ml->rd->file, b->rb->host + offset,
                                                  (last - first) << TARGET_PAGE_BITS,
                                                  ml->at.pages_offset + offset, errp)) {
            error_prefix(errp, "pages from 0x%" PRIx64 " on: ", offset);
            return false;
        }
        page = last;
    }
    return true;
}

static void load_regions(MappedLoad *ml)
{
    uint64_t region;

    while (!stat_get(ml->failed) && (region = stat_add(ml->next, 1)) < ml->regions) {
        Error *err = NULL;

        if (!load_region(ml, region, &err)) {
            g_mutex_lock(&ml->lock);
            if (!ml->err) {
                ml->err = g_steal_pointer(&err);
            }
            g_mutex_unlock(&ml->lock);
            g_clear_error(&err);
            stat_set(ml->failed, 1);
        }
    }
}

static void *helper_main(void *opaque)
{
    load_regions(opaque);
    return NULL;
}

/* All pages of the block, by so many threads. */
static bool load_pages(MappedLoad *ml, unsigned threads, Error **errp)
{
    g_autoptr(GPtrArray) helpers = g_ptr_array_new();

    g_mutex_init(&ml->lock);
    ml->regions = (ml->b->pages + REGION_PAGES - 1) / REGION_PAGES;
    for (unsigned i = 1; i < MIN(threads, ml->regions); i++) {
        g_autofree char *name = g_strdup_printf("mig/dst/recv_%u", i);

        GThread *helper = thread_try_start(name, helper_main, ml, NULL);

        if (!helper) {
            break; /* those that there are do all of it */
        }
        g_ptr_array_add(helpers, helper);
    }
    load_regions(ml);
    for (guint i = 0; i < helpers->len; i++) {
        g_thread_join(helpers->pdata[i]);
    }
    g_mutex_clear(&ml->lock);
    if (ml->err) {
        error_propagate(errp, ml->err);
        return false;
    }
    /* All of it, zero pages too. */
    bitmap_set(ml->b->received, 0, ml->b->pages);
    return true;
}

/* ---- header and bitmap ---- */

/* The block's places follow the header, in order, and the file reaches as far. */
static bool check_places(const MappedLoad *ml, uint64_t header_end, Error **errp)
{
    const WireMapped *at = &ml->at;
    uint64_t bitmap_bytes = wire_mapped_bitmap_bytes(ml->b->pages);
    uint64_t length = ml->b->rb->used_length;
    struct stat st;

    if (at->bitmap_offset < header_end || at->bitmap_offset > INT64_MAX - bitmap_bytes) {
        error_setg(errp, "its bitmap cannot be at file offset 0x%" PRIx64, at->bitmap_offset);
        return false;
    }
    if (at->pages_offset < at->bitmap_offset + bitmap_bytes ||
        at->pages_offset % TARGET_PAGE_SIZE || at->pages_offset > INT64_MAX - length) {
        error_setg(errp, "its pages cannot be at file offset 0x%" PRIx64 " (bitmap at 0x%" PRIx64
                   ", 0x%" PRIx64 " bytes)", at->pages_offset, at->bitmap_offset, bitmap_bytes);
        return false;
    }
    if (!fstat(ml->rd->file->fd_in, &st) && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size < at->pages_offset + length) {
        error_setg(errp, "the file ends at offset 0x%" PRIx64 ", the block's pages at 0x%" PRIx64,
                   (uint64_t)st.st_size, at->pages_offset + length);
        return false;
    }
    return true;
}

static bool load_bitmap(MappedLoad *ml, Stream *s, Error **errp)
{
    uint64_t pages = ml->b->pages, bits = ROUND_UP(pages, 64ULL);

    ml->there = bitmap_new(bits);
    if (!io_channel_pread_all(stream_channel(s), ml->there, wire_mapped_bitmap_bytes(pages),
                              ml->at.bitmap_offset, errp)) {
        error_prefix(errp, "its bitmap: ");
        return false;
    }
    if (bitmap_find_next(ml->there, bits, pages) < bits) {
        error_setg(errp, "its bitmap at file offset 0x%" PRIx64 " has more pages than the block's "
                   "%" PRIu64, ml->at.bitmap_offset, pages);
        return false;
    }
    return true;
}

static bool load_block(MappedLoad *ml, Stream *s, uint64_t header, const MigConfig *config,
                       Error **errp)
{
    uint8_t buf[WIRE_MAPPED_HEADER_LEN];

    if (!io_channel_pread_all(stream_channel(s), buf, sizeof(buf), header, errp) ||
        !wire_mapped_decode(buf, &ml->at, errp)) {
        return false;
    }
    trace_mapped_block(ml->b->rb->idstr, ml->at.bitmap_offset, ml->at.pages_offset);
    if (ml->b->ignored) {
        if (ml->at.bitmap_offset || ml->at.pages_offset) {
            error_setg(errp, "it has pages at file offset 0x%" PRIx64 ", and its memory is shared "
                       "here", ml->at.pages_offset);
            return false;
        }
        return stream_seek(s, header + sizeof(buf));
    }
    return check_places(ml, header + sizeof(buf), errp) && load_bitmap(ml, s, errp) &&
           load_pages(ml, config->cap[MIG_CAP_MULTIFD] ? config->multifd_channels : 1, errp) &&
           stream_seek(s, ml->at.pages_offset + ml->b->rb->used_length);
}

bool mapped_load_block(RamDest *rd, RamDestBlock *b, Stream *s, const MigConfig *config,
                       Error **errp)
{
    MappedLoad ml = { .rd = rd, .b = b };
    uint64_t at = 0;
    bool good = stream_tell(s, &at) && load_block(&ml, s, at, config, errp);

    g_free(ml.there);
    if (!good) {
        error_prefix(errp, "RAM block '%s' (its mapped-ram header is at file offset 0x%" PRIx64
                     "): ", b->rb->idstr, at);
    }
    return good;
}
