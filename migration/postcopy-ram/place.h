/*
 * Placing: how a page that came in postcopy gets into guest memory, whole host pages
 * at a time, and at once for whoever looks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_PLACE_H
#define FERRY_MIGRATION_POSTCOPY_PLACE_H

#include "migration/postcopy-ram/pmi.h"
#include "migration/stream.h"
#include "util/error.h"

typedef struct Placer Placer;

/*
 * For one stream; belongs to the thread that reads it.  uffd is not owned.  `waited`
 * is called after [offset, offset+len) is in place, when somebody waited for a page of
 * it (may be NULL).
 */
typedef void PlacedFn(void *opaque, PmiBlock *b, uint64_t offset, uint64_t len);
Placer *placer_new(Pmi *pmi, int uffd, PlacedFn *waited, void *opaque);
/* Another for the same memory, for the thread that reads another stream. */
Placer *placer_new_like(const Placer *p);
void placer_free(Placer *p);
/* The userfaultfd, when it was not known to placer_new() yet. */
void placer_set_uffd(Placer *p, int uffd);

/* Block `rb` may (not) be zeroed with UFFDIO_ZEROPAGE; default: not. */
void placer_allow_zeropage(Placer *p, PmiBlock *b, bool allow);

/*
 * Target page at `offset` of block b: where to read its TARGET_PAGE_SIZE bytes to,
 * followed by place_page_done(); or a zero page.  NULL/false when the offset is not in
 * the block, or target pages of one host page do not come one after the other.
 */
uint8_t *place_buffer(Placer *p, PmiBlock *b, uint64_t offset, Error **errp);
bool place_page_done(Placer *p, Error **errp);
bool place_zero_page(Placer *p, PmiBlock *b, uint64_t offset, Error **errp);

/*
 * Put [offset, offset+len), whole host pages of b, in place at once, from src; NULL: zeros (small
 * pages only).  Those that were received before are left alone.  The caller checked the range.
 */
bool place_whole(Placer *p, PmiBlock *b, uint64_t offset, const uint8_t *src, uint64_t len,
                 Error **errp);

/* Put everything gathered so far in place: at EOS. */
bool place_flush(Placer *p, Error **errp);
/*
 * Before each record is read from s: flushes when the read might block, or when
 * somebody began to wait for a page that is gathered.
 */
bool place_before_read(Placer *p, Stream *s, Error **errp);
/*
 * Pages that somebody waits for need not wait for those in front of them: look through
 * the records that s has buffered (b is what CONTINUE means in them) and put requested
 * pages in place at once.  The records stay where they are; when their turn comes, their
 * page is found to be there.
 */
bool place_ahead(Placer *p, PmiBlock *b, Stream *s, Error **errp);
/*
 * The stream broke off: what was gathered whole goes in place, what came in part is forgotten.
 * False: a page could not be put in place.
 */
bool place_reset(Placer *p, Error **errp);
/* Is there anything gathered? */
bool place_pending(const Placer *p);
/* Is a host page half assembled?  (An EOS then is an error.) */
bool place_host_page_open(const Placer *p);

typedef struct PlaceCounts {
    uint64_t pages, zero_pages; /* host pages */
    uint64_t ioctls;
    uint64_t urgent;            /* host pages that somebody waited for */
} PlaceCounts;
PlaceCounts place_counts(const Placer *p);

#endif
