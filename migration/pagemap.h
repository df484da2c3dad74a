/*
 * Which pages of this process's memory have never been touched: those of private anonymous
 * memory are zero, which is cheaper to ask than to look at (a look maps each of them).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_PAGEMAP_H
#define FERRY_MIGRATION_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "system/ramblock.h"

#define PAGEMAP_PAGES 512
/* Asking for fewer pages costs more than looking at them. */
#define PAGEMAP_WORTH 16

/* Answers for consecutive pages of a block.  Belongs to its user. */
typedef struct Pagemap {
    const RAMBlock *rb;      /* NULL: empty */
    uint64_t first, n;       /* target pages */
    uint64_t entry[PAGEMAP_PAGES];
} Pagemap;

/* Open it already now: later this thread, or this user, may not.  Any thread. */
void pagemap_prepare(void);
/*
 * Ask for n pages (cut to PAGEMAP_PAGES and to the block) from `first` on.  False, and pm is
 * empty, where untouched does not mean zero or the host does not say.  Any thread.
 */
bool pagemap_read(Pagemap *pm, const RAMBlock *rb, uint64_t first, uint64_t n);
/* Was the page untouched then?  False also when it was not asked for. */
static inline bool pagemap_untouched(const Pagemap *pm, const RAMBlock *rb, uint64_t page)
{
    /* Linux, admin-guide/mm/pagemap.rst: bit 63 present, 62 swapped. */
    return pm->rb == rb && page >= pm->first && page - pm->first < pm->n &&
           !(pm->entry[page - pm->first] >> 62);
}

#endif
