/*
 * Page map of incoming pages: where every page of every block stands while its
 * block is being moved by postcopy.
 *
 *   MISSING --pmi_request--> REQUESTED --pmi_received--> RECEIVED
 *      |                                                     |
 *      +-----------------pmi_received------------------------+
 *      ^                                                     |
 *      +-----------------pmi_discard-------------------------+
 *
 * Two bitmaps a block, changed with atomic operations only: no lock, so that no
 * thread ever waits here for another one's IO.  RECEIVED is kept a target page
 * (that is what the wire knows), REQUESTED a host page (that is what faults).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_PMI_H
#define FERRY_MIGRATION_POSTCOPY_PMI_H

#include <stdbool.h>
#include <stdint.h>

#include "system/ramblock.h"

typedef enum PmiState { PMI_MISSING, PMI_REQUESTED, PMI_RECEIVED } PmiState;

/* Keys: [c] constant after pmi_new, [a] atomic. */
typedef struct PmiBlock {
    RAMBlock *rb;             /* [c] */
    uint64_t length;          /* [c] bytes; the block's used length when the map was made */
    uint64_t pages;           /* [c] target pages */
    uint64_t host_pages;      /* [c] */
    unsigned pages_per_host;  /* [c] target pages in a host page */
    unsigned long *received;  /* [a] bit = target page */
    unsigned long *requested; /* [a] bit = host page */
    uint64_t *digest;         /* [a] x-verify: of each target page, as it came; NULL: off */
} PmiBlock;

typedef struct Pmi {
    PmiBlock *blocks;     /* [c] */
    unsigned num_blocks;  /* [c] */
    bool shared;          /* [c] the received bitmaps are somebody else's */
    int64_t outstanding;  /* [a] host pages in state REQUESTED */
    unsigned requests;    /* [a] host pages that ever became REQUESTED; wraps */
} Pmi;

/*
 * Map of the n blocks in rbs.  received[i] is the bitmap of block i, shared with the
 * caller, who frees it after the map; received NULL: the map has its own, all MISSING.
 */
Pmi *pmi_new(RAMBlock *const *rbs, unsigned long *const *received, unsigned n);
void pmi_free(Pmi *pmi);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pmi, pmi_free)

/* Any thread.  NULL when the block or address is not in the map. */
PmiBlock *pmi_find(const Pmi *pmi, const RAMBlock *rb);
PmiBlock *pmi_find_host(const Pmi *pmi, const void *host, uint64_t *ret_offset);

/* State of the host page that holds byte `offset`; it may be older than the answer. */
PmiState pmi_state(const PmiBlock *b, uint64_t offset);

/*
 * Somebody waits for the host page at `offset`.  Returns the state before:
 * MISSING (now REQUESTED, and it is the caller who asks the source for it),
 * REQUESTED (somebody asked already) or RECEIVED (it came meanwhile: wake the waiter).
 */
PmiState pmi_request(Pmi *pmi, PmiBlock *b, uint64_t offset);

/*
 * [offset, offset+len) is in memory now: call after the bytes are in place.  Returns
 * how many of its host pages were REQUESTED.
 */
unsigned pmi_received(Pmi *pmi, PmiBlock *b, uint64_t offset, uint64_t len);

/* Is any host page of the range REQUESTED? */
bool pmi_any_requested(const PmiBlock *b, uint64_t offset, uint64_t len);

/* The source takes [offset, offset+len) back: MISSING again. */
void pmi_discard(Pmi *pmi, PmiBlock *b, uint64_t offset, uint64_t len);

/*
 * Next run of bytes at or after `offset` whose host pages are not wholly RECEIVED;
 * false when there is none.  Nobody else changes the map meanwhile.
 */
bool pmi_next_missing(const PmiBlock *b, uint64_t offset, uint64_t *ret_offset, uint64_t *ret_len);

/* Host pages in state REQUESTED. */
int64_t pmi_outstanding(const Pmi *pmi);

#endif
