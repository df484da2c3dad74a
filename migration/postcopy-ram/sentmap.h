/*
 * What the source takes back from the destination when it switches to postcopy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_SENTMAP_H
#define FERRY_MIGRATION_POSTCOPY_SENTMAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "migration/wire.h"

typedef struct SentmapResult {
    uint64_t resent;     /* target pages sent before and dirty again */
    uint64_t never_sent; /* target pages not sent yet */
    uint64_t unclaimed;  /* of those, how many were not dirty: 0 unless bookkeeping failed */
    uint64_t widened;    /* clean, sent pages that share a host page with one of the above */
} SentmapResult;

/*
 * Work out what is still to come for one block of `pages` target pages, a multiple
 * of pages_per_host (a power of two).  `dirty` (1: to be sent) gets every page that
 * was never sent and is widened to whole host pages; `sent` is 1 where the page
 * was ever sent.  Appends the runs of `dirty` to ranges (of WireRange, ascending,
 * never adjacent), in bytes.  Pure; the caller owns both bitmaps.
 */
SentmapResult sentmap_discards(unsigned long *dirty, const unsigned long *sent, uint64_t pages,
                               unsigned pages_per_host, GArray *ranges);

/*
 * The runs of set bits as text, "0-3 8 12-15", for -trace and HMP; at most
 * max_runs runs (0: all), then " ...".  "-" when no bit is set.  Free with g_free().
 */
char *bitmap_runs_to_text(const unsigned long *map, uint64_t nbits, unsigned max_runs);

#endif
