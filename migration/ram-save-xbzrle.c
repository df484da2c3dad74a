/*
 * A page that is sent again, as what has changed in it.
 *
 * Belongs to the source's migration thread.  Every copy in the cache is what the destination
 * has: a page whose copy cannot be kept must leave none behind, or be sent from the copy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-int.h"

#include <string.h>

#include "config.h"
#include "ram.h"
#include "stream-internal.h"
#include "util/util.h"
#include "wire.h"
#include "xbzrle.h"

void ram_xbzrle_begin(Migration *m)
{
    if (m->config->cap[MIG_CAP_XBZRLE]) {
        m->ram->xbzrle = xbzrle_cache_new(mig_live(MIG_PARAM_XBZRLE_CACHE_SIZE));
    }
}

void ram_xbzrle_update(Migration *m)
{
    uint64_t size = mig_live(MIG_PARAM_XBZRLE_CACHE_SIZE);

    if (m->ram->xbzrle) {
        xbzrle_cache_resize(m->ram->xbzrle, size);
        stat_set(m->stats.xbzrle_cache_size, size);
    }
}

bool ram_xbzrle_active(const Migration *m)
{
    return m->ram->xbzrle && m->ram->scan_wraps && !m->in_postcopy;
}

void ram_xbzrle_zero(Migration *m, const RamSourceBlock *b, uint64_t page)
{
    static const uint8_t zero[TARGET_PAGE_SIZE];
    RamAddr addr = b->rb->offset + (page << TARGET_PAGE_BITS);
    uint64_t round = stat_get(m->stats.dirty_sync_count);
    uint8_t *copy = xbzrle_cache_get(m->ram->xbzrle, addr, round);

    if (copy) {
        memcpy(copy, zero, TARGET_PAGE_SIZE);
    }
}

XbzrleForm ram_xbzrle_form(Migration *m, const RamSourceBlock *b, uint64_t page, uint8_t *now,
                           uint8_t *ret_encoded, uint16_t *ret_len)
{
    RamAddr addr = b->rb->offset + (page << TARGET_PAGE_BITS);
    uint64_t round = stat_get(m->stats.dirty_sync_count);
    uint8_t *copy = xbzrle_cache_get(m->ram->xbzrle, addr, round);
    int len;

    /* The guest may write on: what is compared, kept and sent is this. */
    memcpy(now, b->rb->host + (page << TARGET_PAGE_BITS), TARGET_PAGE_SIZE);
    if (!copy) {
        stat_add(m->stats.xbzrle_cache_miss, 1);
        xbzrle_cache_put(m->ram->xbzrle, addr, now, round);
        return XBZRLE_WHOLE;
    }
    len = xbzrle_encode(copy, now, ret_encoded);
    if (len == 0) {
        return XBZRLE_EQUAL;
    }
    memcpy(copy, now, TARGET_PAGE_SIZE);
    if (len < 0) {
        stat_add(m->stats.xbzrle_overflow, 1);
        return XBZRLE_WHOLE;
    }
    *ret_len = len;
    stat_add(m->stats.xbzrle_pages, 1);
    stat_add(m->stats.xbzrle_bytes, len + 3 + 8);
    return XBZRLE_CHANGES;
}
