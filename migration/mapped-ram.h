/*
 * mapped-ram: guest memory at fixed places of a file.
 *
 * The block list tells for each block where its pages and its bitmap are; a page goes to its
 * own place, however often it is sent, and the bitmap, written last, says which pages the file
 * has.  The others are zero.  The rest of the stream is as ever, around those places.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_MAPPED_RAM_H
#define FERRY_MIGRATION_MAPPED_RAM_H

#include "channel.h"
#include "migration-int.h"
#include "ram.h"
#include "wire.h"

/* A block of the source in the file. */
struct MappedBlock {
    WireMapped at;             /* [m], constant once pages are sent */
    unsigned long *there;      /* atomic bits; 1: the file has the page */
};

/*
 * Can the present settings work with this address?  True also when the capability is off.
 * Machine lock.
 */
bool mapped_check_address(const MigrateAddress *a, Error **errp);
/*
 * Make m->pages_channel, beside the main one; nothing when the capability is off.  The thread of
 * the main channel.
 */
bool mapped_open(Migration *m, IOChannel *main, Error **errp);

/* ---- source, mapped-save.c ---- */

/* The entry of rb in the block list: its header, and s goes on behind its pages. */
bool mapped_save_block(Migration *m, Stream *s, const RAMBlock *rb, Error **errp);
/* A run out of the dirty bitmap: into the file, or to multifd's channels, which put it there. */
bool mapped_save_run(Migration *m, Stream *s, const PageRun *run, Error **errp);
/* n pages into the file.  Any thread; a page is one thread's at a time. */
bool mapped_save_pages(Migration *m, RamSourceBlock *b, uint64_t page, uint64_t n, Error **errp);
/* They are zero: the file has them no more.  As above. */
void mapped_save_zero(RamSourceBlock *b, uint64_t page, uint64_t n);
/* All pages are there: write the bitmaps. */
bool mapped_save_end(Migration *m, Stream *s, Error **errp);
/* Nobody puts pages anywhere any more.  False: what was written may not be there. */
bool mapped_close(Migration *m, Error **errp);
void mapped_block_free(struct MappedBlock *mb);

/* ---- destination, mapped-load.c: the thread that reads the main stream ---- */

/* Behind an entry of the block list: header, bitmap, pages; s goes on behind them. */
bool mapped_load_block(RamDest *rd, RamDestBlock *b, Stream *s, const MigConfig *config,
                       Error **errp);

#endif
