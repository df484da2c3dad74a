/*
 * Sent map against dirty map.  Pure.
 *
 * A page that was sent and written since is stale on the destination; a page that
 * was never sent may be there as zeros.  Both must be missing there, so that the
 * first touch asks for them.  The destination can only drop whole host pages, so
 * a host page with one such target page is taken back (and sent again) whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/sentmap.h"

#include <inttypes.h>

#include "system/ramblock.h"
#include "util/bitmap.h"

/* Bits of word w that are inside the bitmap. */
static unsigned long valid_mask(uint64_t w, uint64_t pages)
{
    uint64_t left = pages - w * BITS_PER_LONG;

    return left >= BITS_PER_LONG ? ~0UL : (1UL << left) - 1;
}

static void claim_never_sent(unsigned long *dirty, const unsigned long *sent, uint64_t pages,
                             SentmapResult *r)
{
    for (uint64_t w = 0; w < BITMAP_WORDS(pages); w++) {
        unsigned long never = ~sent[w] & valid_mask(w, pages);

        r->never_sent += __builtin_popcountl(never);
        r->unclaimed += __builtin_popcountl(never & ~dirty[w]);
        r->resent += __builtin_popcountl(dirty[w] & sent[w]);
        dirty[w] |= never;
    }
}

static void widen(unsigned long *dirty, uint64_t pages, unsigned pages_per_host, SentmapResult *r)
{
    if (pages_per_host == 1) {
        return;
    }
    for (uint64_t p = bitmap_find_next(dirty, pages, 0); p < pages;) {
        uint64_t first = p - p % pages_per_host;

        r->widened += pages_per_host - bitmap_count(dirty, first, pages_per_host);
        bitmap_set(dirty, first, pages_per_host);
        p = bitmap_find_next(dirty, pages, first + pages_per_host);
    }
}

SentmapResult sentmap_discards(unsigned long *dirty, const unsigned long *sent, uint64_t pages,
                               unsigned pages_per_host, GArray *ranges)
{
    SentmapResult r = { 0 };
    uint64_t start, end;

    claim_never_sent(dirty, sent, pages, &r);
    widen(dirty, pages, pages_per_host, &r);
    for (start = bitmap_find_next(dirty, pages, 0); start < pages;
         start = bitmap_find_next(dirty, pages, end)) {
        end = bitmap_find_next_zero(dirty, pages, start);
        WireRange range = { start << TARGET_PAGE_BITS, (end - start) << TARGET_PAGE_BITS };
        g_array_append_val(ranges, range);
    }
    return r;
}

char *bitmap_runs_to_text(const unsigned long *map, uint64_t nbits, unsigned max_runs)
{
    GString *text = g_string_new(NULL);
    unsigned runs = 0;
    uint64_t start, end;

    for (start = bitmap_find_next(map, nbits, 0); start < nbits;
         start = bitmap_find_next(map, nbits, end)) {
        end = bitmap_find_next_zero(map, nbits, start);
        if (max_runs && runs++ == max_runs) {
            g_string_append(text, " ...");
            break;
        }
        g_string_append_printf(text, "%s%" PRIu64, text->len ? " " : "", start);
        if (end - start > 1) {
            g_string_append_printf(text, "-%" PRIu64, end - 1);
        }
    }
    if (!text->len) {
        g_string_append_c(text, '-');
    }
    return g_string_free(text, FALSE);
}
