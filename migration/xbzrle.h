/*
 * XBZRLE: a page that is sent again is sent as what has changed in it.
 *
 * The source keeps copies of pages as it sent them last; the destination has them in guest
 * memory.  The encoding is pure; a cache belongs to the source's migration thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_XBZRLE_H
#define FERRY_MIGRATION_XBZRLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "system/ramblock.h"
#include "util/error.h"

/*
 * What turns page `from` into `to`: the length of it in out (TARGET_PAGE_SIZE bytes);
 * 0: they are equal; -1: it would be longer than a page.
 */
int xbzrle_encode(const uint8_t *from, const uint8_t *to, uint8_t *out);
/* Apply len bytes of that to a page.  False with errp set when they are none. */
bool xbzrle_decode(const uint8_t *in, size_t len, uint8_t *page, Error **errp);

typedef struct XbzrleCache XbzrleCache;

/* bytes: a power of two, at least a page. */
XbzrleCache *xbzrle_cache_new(uint64_t bytes);
void xbzrle_cache_free(XbzrleCache *c);
/* Another size; what does not fit any more is forgotten. */
void xbzrle_cache_resize(XbzrleCache *c, uint64_t bytes);
/* The copy of the page at addr, which counts as used in this round; NULL: none. */
uint8_t *xbzrle_cache_get(XbzrleCache *c, RamAddr addr, uint64_t round);
/*
 * Keep a copy of the page.  NULL: its place is taken by one that was used lately.
 */
const uint8_t *xbzrle_cache_put(XbzrleCache *c, RamAddr addr, const uint8_t *page, uint64_t round);

#endif
