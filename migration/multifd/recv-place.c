/*
 * multifd on the destination: where the pages of a packet go.
 *
 * Runs in the threads of the channels, several at once: bits of RamDestBlock.received are set
 * atomically, populating is done under RamDest.populate_lock.  Two packets between two SYNCs
 * never have the same page; a hostile source that sends one twice gets one of the two.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "migration/multifd/multifd.h"
#include "migration/pagemap.h"
#include "util/bitmap.h"
#include "util/util.h"

static RamDestBlock *packet_block(RamDest *rd, const MultifdHeader *h, Error **errp)
{
    RamDestBlock *b = ram_dest_block(rd, h->block);

    if (!b) {
        g_autofree char *shown = g_strescape(h->block, NULL);

        error_setg(errp, "a packet is of RAM block '%s', which this machine has not", shown);
        return NULL;
    }
    if (b->ignored) {
        error_setg(errp, "a packet is of RAM block '%s', which x-ignore-shared excludes",
                   b->rb->idstr);
        return NULL;
    }
    return b;
}

/* What data comes for is present before it is read. */
static void populate(RamDest *rd, RamDestBlock *b, const MultifdHeader *h)
{
    uint64_t last = UINT64_MAX;

    for (uint32_t i = 0; i < h->normal; i++) {
        uint64_t region = h->offset[i] / POPULATE_REGION;

        if (region != last) {
            g_mutex_lock(&rd->populate_lock);
            populate_for(rd->populator, &b->populate, h->offset[i]);
            g_mutex_unlock(&rd->populate_lock);
            last = region;
        }
    }
}

RamDestBlock *multifd_place_begin(RamDest *rd, const MultifdHeader *h,
                                  uint8_t *ret_pages[MULTIFD_PAGES], Error **errp)
{
    RamDestBlock *b = packet_block(rd, h, errp);

    if (!b) {
        return NULL;
    }
    for (uint32_t i = 0; i < h->normal + h->zero; i++) {
        if (h->offset[i] >> TARGET_PAGE_BITS >= b->pages) {
            error_setg(errp, "page 0x%" PRIx64 " is outside of RAM block '%s' (0x%" PRIx64
                       " bytes)", h->offset[i], b->rb->idstr, b->rb->used_length);
            return NULL;
        }
        ret_pages[i] = b->rb->host + h->offset[i];
    }
    populate(rd, b, h);
    return b;
}

void multifd_place_done(RamDest *rd, RamDestBlock *b, const MultifdHeader *h)
{
    const uint64_t *zero = h->offset + h->normal;
    Pagemap pm = { .rb = NULL };

    /* For postcopy a page must be there, not only zero. */
    if (!rd->touch_zero && h->zero >= PAGEMAP_WORTH && zero[h->zero - 1] > zero[0]) {
        pagemap_read(&pm, b->rb, zero[0] >> TARGET_PAGE_BITS,
                     ((zero[h->zero - 1] - zero[0]) >> TARGET_PAGE_BITS) + 1);
    }
    for (uint32_t i = 0; i < h->normal + h->zero; i++) {
        uint8_t *host = b->rb->host + h->offset[i];

        if (i >= h->normal && !pagemap_untouched(&pm, b->rb, h->offset[i] >> TARGET_PAGE_BITS) &&
            !buffer_is_zero(host, TARGET_PAGE_SIZE)) {
            memset(host, 0, TARGET_PAGE_SIZE);
        }
        bitmap_test_and_set_atomic(b->received, h->offset[i] >> TARGET_PAGE_BITS);
    }
}
