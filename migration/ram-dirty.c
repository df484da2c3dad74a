/*
 * Which pages are still to be sent: the dirty bitmaps of a migration.
 *
 * Belongs to the source's migration thread, and in postcopy with a preempt channel dirty_take()
 * is the return-path thread's; no other file uses the bitmap lock.
 * Pages come in from RAMBlock.dirty (ram_dirty_sync) and go out as runs (dirty_next,
 * dirty_take).  A page's bit is cleared before the page is read, and its part of the
 * accelerator's log is re-protected before that (ram_protect_range): a write that comes
 * later sets the bit again, so no change is ever lost.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-int.h"

#include "journey.h"
#include "mapped-ram.h"
#include "ram.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"
#include "xbzrle.h"

/* Lazy re-protection goes in pieces of this many pages: 16 MiB. */
#define CHUNK_PAGES 4096ULL

static void merge_block(RamSource *r, RamSourceBlock *b)
{
    uint64_t words = BITMAP_WORDS(b->pages), fresh = 0, took = 0;

    for (uint64_t w = 0; w < words; w++) {
        unsigned long *from = &b->rb->dirty[w];
        unsigned long bits;

        if (!__atomic_load_n(from, __ATOMIC_RELAXED)) {
            continue;
        }
        bits = __atomic_exchange_n(from, 0, __ATOMIC_SEQ_CST);
        if (w == words - 1 && b->pages % BITS_PER_LONG) {
            bits &= (1UL << (b->pages % BITS_PER_LONG)) - 1;
        }
        took += __builtin_popcountl(bits);
        fresh += __builtin_popcountl(bits & ~b->dirty[w]);
        b->dirty[w] |= bits;
        if (b->protect && bits) {
            bitmap_set_bit(b->protect, w * BITS_PER_LONG / CHUNK_PAGES);
        }
    }
    dirty_log_note_taken(took);
    r->period_dirty += fresh;
    r->dirtied_total += fresh;
    stat_add(r->dirty_count, fresh);
}

static void merge_all(RamSource *r)
{
    g_mutex_lock(&r->bitmap_lock);
    for (unsigned i = 0; i < r->n_blocks; i++) {
        merge_block(r, &r->blocks[i]);
    }
    g_mutex_unlock(&r->bitmap_lock);
}

bool ram_dirty_check(RamSource *r)
{
    uint64_t n = 0;

    g_mutex_lock(&r->bitmap_lock);
    for (unsigned i = 0; i < r->n_blocks; i++) {
        n += bitmap_count(r->blocks[i].dirty, 0, r->blocks[i].pages);
    }
    bool good = n == stat_get(r->dirty_count);
    g_mutex_unlock(&r->bitmap_lock);
    return good;
}

bool ram_dirty_sync(Migration *m, Error **errp)
{
    RamSource *r = m->ram;

    g_assert(!m->in_postcopy);
    {
        MACHINE_LOCK_GUARD();
        if (!dirty_log_sync(errp)) {
            return false;
        }
    }
    merge_all(r);
    if (CONFIG_DEBUG) {
        g_assert(ram_dirty_check(r));
    }
    trace_ram_dirty_sync(stat_get(r->dirty_count), r->period_dirty);
    return true;
}

/* Re-protect the chunks that hold [page, page+n), once after each sync that touched them. */
static void ram_protect_range(RamSourceBlock *b, uint64_t page, uint64_t n)
{
    if (!b->protect) {
        return;
    }
    for (uint64_t c = page / CHUNK_PAGES; c <= (page + n - 1) / CHUNK_PAGES; c++) {
        if (bitmap_test(b->protect, c)) {
            uint64_t first = c * CHUNK_PAGES;
            uint64_t len = MIN(CHUNK_PAGES, b->pages - first);

            bitmap_clear_bit(b->protect, c);
            dirty_log_clear(b->rb, first << TARGET_PAGE_BITS, len << TARGET_PAGE_BITS);
        }
    }
}

/*
 * Take the first run of dirty pages in [page, end).  False: there is none (any more).  In precopy
 * only this thread clears bits, so the run that was re-protected cannot get shorter meanwhile.
 */
static bool take_run(RamSource *r, RamSourceBlock *b, uint64_t page, uint64_t end, PageRun *run)
{
    if (b->protect) {
        page = bitmap_find_next(b->dirty, end, page);
        if (page >= end) {
            return false;
        }
        end = bitmap_find_next_zero(b->dirty, end, page);
        ram_protect_range(b, page, end - page);
    }
    g_mutex_lock(&r->bitmap_lock);
    page = bitmap_find_next(b->dirty, end, page);
    if (page < end) {
        end = bitmap_find_next_zero(b->dirty, end, page);
        bitmap_clear(b->dirty, page, end - page);
        stat_add(r->dirty_count, -(end - page));
    }
    g_mutex_unlock(&r->bitmap_lock);
    *run = (PageRun){ .b = b, .page = page, .n = end - page };
    return page < end;
}

void ram_dirty_guest_gone(RamSource *r)
{
    for (unsigned i = 0; i < r->n_blocks; i++) {
        g_clear_pointer(&r->blocks[i].protect, g_free);
    }
}

/* Where somebody last took pages that were asked for: the scan goes on from there. */
static void follow_hint(RamSource *r)
{
    if (stat_get(r->hinted)) {
        g_mutex_lock(&r->bitmap_lock);
        r->scan_block = r->hint_block;
        r->scan_page = r->hint_page;
        stat_set(r->hinted, 0);
        g_mutex_unlock(&r->bitmap_lock);
    }
}

bool dirty_next(RamSource *r, uint64_t max, PageRun *ret_run)
{
    if (!stat_get(r->dirty_count)) {
        return false;
    }
    follow_hint(r);
    /* One visit more than there are blocks: the scan may have begun inside the first. */
    for (unsigned visit = 0; visit <= r->n_blocks; visit++) {
        RamSourceBlock *b = &r->blocks[r->scan_block];
        uint64_t page = r->scan_page;

        while ((page = bitmap_find_next(b->dirty, b->pages, page)) < b->pages) {
            uint64_t end = ROUND_UP(page + max, (uint64_t)b->host_pages);

            if (take_run(r, b, page, MIN(end, b->pages), ret_run)) {
                r->scan_page = ret_run->page + ret_run->n;
                return true;
            }
        }
        r->scan_page = 0;
        r->scan_block = (r->scan_block + 1) % r->n_blocks;
        r->scan_wraps += !r->scan_block;
    }
    return false;
}

bool dirty_take(RamSource *r, RamSourceBlock *b, uint64_t page, uint64_t n, PageRun *ret_run)
{
    uint64_t end = page + n;

    g_assert(end <= b->pages);
    if (!take_run(r, b, page, end, ret_run)) {
        return false;
    }
    /* What the guest needs next is probably near. */
    g_mutex_lock(&r->bitmap_lock);
    r->hint_block = b - r->blocks;
    r->hint_page = ret_run->page + ret_run->n;
    stat_set(r->hinted, 1);
    g_mutex_unlock(&r->bitmap_lock);
    return true;
}

void ram_dirty_set_range(RamSource *r, RamSourceBlock *b, uint64_t page, uint64_t n)
{
    g_assert(page + n <= b->pages);
    g_mutex_lock(&r->bitmap_lock);
    stat_add(r->dirty_count, n - bitmap_count(b->dirty, page, n));
    bitmap_set(b->dirty, page, n);
    g_mutex_unlock(&r->bitmap_lock);
}

void ram_dirty_set_missing(RamSource *r, RamSourceBlock *b)
{
    uint64_t page = 0;

    g_mutex_lock(&r->bitmap_lock);
    stat_add(r->dirty_count, -bitmap_count(b->dirty, 0, b->pages));
    bitmap_clear(b->dirty, 0, b->pages);
    while ((page = bitmap_find_next_zero(b->received, b->pages, page)) < b->pages) {
        uint64_t end = bitmap_find_next(b->received, b->pages, page);

        page = ROUND_DOWN(page, (uint64_t)b->host_pages);
        end = MIN(ROUND_UP(end, (uint64_t)b->host_pages), b->pages);
        bitmap_set(b->dirty, page, end - page);
        page = end;
    }
    g_clear_pointer(&b->wanted, g_free);
    g_free(b->owed);
    b->owed = g_memdup2(b->dirty, BITMAP_BYTES(b->pages)); /* requests may take pages from now on */
    stat_add(r->dirty_count, bitmap_count(b->dirty, 0, b->pages));
    g_mutex_unlock(&r->bitmap_lock);
}

uint64_t ram_dirty_bytes(const RamSource *r)
{
    return stat_get(r->dirty_count) << TARGET_PAGE_BITS;
}

RamSource *ram_source_new(const MigConfig *config, bool with_sentmap)
{
    RamSource *r = g_new0(RamSource, 1);
    g_autoptr(GArray) blocks = g_array_new(false, true, sizeof(RamSourceBlock));

    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        RamSourceBlock b = { .rb = rb, .pages = ramblock_pages(rb) };

        if (!b.pages || ram_block_ignored(rb, config)) {
            continue;
        }
        b.host_pages = MAX(rb->page_size / TARGET_PAGE_SIZE, 1);
        b.dirty = bitmap_new(b.pages);
        bitmap_set(b.dirty, 0, b.pages);
        b.journey = g_malloc0(b.pages);
        r->dirty_count += b.pages;
        if (with_sentmap) {
            b.sent = bitmap_new(b.pages);
        }
        g_array_append_val(blocks, b);
    }
    r->n_blocks = blocks->len;
    r->blocks = (RamSourceBlock *)g_array_free(g_steal_pointer(&blocks), false);
    g_mutex_init(&r->bitmap_lock);
    urgent_init(r);
    return r;
}

bool ram_dirty_start_log(RamSource *r, Error **errp)
{
    if (!dirty_log_start(errp)) {
        return false;
    }
    r->logging = true;
    if (dirty_log_needs_clear()) {
        for (unsigned i = 0; i < r->n_blocks; i++) {
            RamSourceBlock *b = &r->blocks[i];
            uint64_t chunks = (b->pages + CHUNK_PAGES - 1) / CHUNK_PAGES;

            b->protect = bitmap_new(chunks);
            bitmap_set(b->protect, 0, chunks);
        }
    }
    /* A log that begins with every page written: it can be cleared only once it was read. */
    if (!dirty_log_sync(errp)) {
        return false;
    }
    merge_all(r);
    return true;
}

static void page_journey_free(gpointer p)
{
    PageJourney *j = p;

    g_free(j->name);
    g_free(j->ways);
    g_free(j);
}

GPtrArray *ram_source_take_journeys(RamSource *r)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(page_journey_free);

    for (unsigned i = 0; r && i < r->n_blocks; i++) {
        PageJourney *j = g_new(PageJourney, 1);

        j->name = g_strdup(r->blocks[i].rb->idstr);
        j->pages = r->blocks[i].pages;
        j->ways = g_steal_pointer(&r->blocks[i].journey);
        g_ptr_array_add(list, j);
    }
    return list;
}

void ram_source_free(RamSource *r)
{
    if (!r) {
        return;
    }
    if (r->logging) {
        MACHINE_LOCK_GUARD();
        dirty_log_stop();
    }
    for (unsigned i = 0; i < r->n_blocks; i++) {
        g_free(r->blocks[i].dirty);
        g_free(r->blocks[i].protect);
        g_free(r->blocks[i].sent);
        g_free(r->blocks[i].owed);
        g_free(r->blocks[i].wanted);
        g_free(r->blocks[i].received);
        g_free(r->blocks[i].journey);
        g_free(r->blocks[i].digest);
        mapped_block_free(r->blocks[i].mapped);
    }
    xbzrle_cache_free(r->xbzrle);
    urgent_clear(r);
    g_mutex_clear(&r->bitmap_lock);
    g_free(r->blocks);
    g_free(r);
}
