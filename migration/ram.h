/*
 * Guest memory in a migration: source (ram-dirty.c, ram-save.c, ram-urgent.c) and
 * destination (ram-load.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_RAM_H
#define FERRY_MIGRATION_RAM_H

#include "migration-int.h"
#include "system/ramblock.h"

/* ======== source ======== */

/*
 * Field keys as in migration-int.h, and [B]: RamSource.bitmap_lock.  Only ram-dirty.c
 * takes that lock.
 */
typedef struct RamSourceBlock {
    RAMBlock *rb;              /* [c] */
    uint64_t pages;            /* [c] target pages */
    unsigned host_pages;       /* [c] target pages in a host page of the block, >= 1 */
    unsigned long *dirty;      /* [B] 1: to be sent */
    unsigned long *protect;    /* [B] a bit a chunk: dirty_log_clear() it before reading; NULL */
    unsigned long *sent;       /* [m] 1: sent at least once; NULL unless postcopy-ram (sentmap) */
} RamSourceBlock;

/* A run of pages of one block, taken from the bitmap: the taker must send them all. */
typedef struct PageRun {
    RamSourceBlock *b;
    uint64_t page;             /* first */
    uint64_t n;
    bool urgent;               /* asked for by the destination */
} PageRun;

struct RamSource {
    RamSourceBlock *blocks;    /* [c] those that are sent, in list order */
    unsigned n_blocks;         /* [c] */
    GMutex bitmap_lock;
    uint64_t dirty_count;      /* [a] set bits of all dirty bitmaps; changed under [B] */
    uint64_t period_dirty;     /* [m] newly dirty pages seen by syncs in this period */
    bool logging;              /* [L] dirty_log_start() succeeded */
    /* scan position */
    unsigned scan_block;       /* [m] */
    uint64_t scan_page;        /* [m] */
    RamSourceBlock *last_sent; /* [m] block that a CONTINUE record means; NULL: none */
    /* requests of the destination: ram-urgent.c, under its own lock */
    GMutex urgent_lock;
    GQueue urgent;             /* of struct UrgentRequest */
    int urgent_waiting;        /* [a] queue is not empty */
};

/* ---- ram-dirty.c ---- */

/* Everything dirty; start the dirty log.  Machine lock held. */
bool ram_dirty_init(Migration *m, Error **errp);
/* Stop the log (takes the machine lock) and free. */
void ram_dirty_cleanup(Migration *m);
/*
 * Merge what the guest wrote since the last time.  Takes the machine lock if it is not
 * held.  Migration thread; never in postcopy.
 */
bool ram_dirty_sync(Migration *m, Error **errp);
/*
 * The next run of at most max pages (rounded up to whole host pages) from the scan
 * position on; its bits are cleared.  False: nothing is dirty.  Wraps.
 */
bool dirty_next(RamSource *r, uint64_t max, PageRun *ret_run);
/* Take those of [page, page+n) that are dirty, as one run from the first on.  False: all clean. */
bool dirty_take(RamSource *r, RamSourceBlock *b, uint64_t page, uint64_t n, PageRun *ret_run);
/* Mark pages as to be sent (again): discard widening, recovery. */
void ram_dirty_set_range(RamSource *r, RamSourceBlock *b, uint64_t page, uint64_t n);
uint64_t ram_dirty_bytes(const RamSource *r);
/* The count must be what the bitmaps hold (debug builds check it at each sync). */
bool ram_dirty_check(RamSource *r);

/* ---- ram-save.c ---- */

RamSourceBlock *ram_source_block(RamSource *r, const char *idstr); /* NULL: not sent */
/* Forget the last-sent block and scan from the first block: after the discards. */
void ram_save_restart(RamSource *r);
/* One ram PART body up to and with EOS; returns when the rate limit or 50 ms are over. */
bool ram_save_iterate(Migration *m, Stream *s, Error **errp);

/* ---- ram-urgent.c: any thread ---- */

/*
 * The destination waits for [start, start+len) (whole host pages of b, checked by the
 * caller).  Wakes the migration thread.
 */
void urgent_push(Migration *m, RamSourceBlock *b, uint64_t start, uint64_t len);
/* Oldest request that still has dirty pages: its pages as a run.  Migration thread. */
bool urgent_next(RamSource *r, PageRun *ret_run);

/* ======== destination ======== */

typedef struct RamDestBlock {
    RAMBlock *rb;              /* [c] */
    uint64_t pages;            /* [c] target pages */
    bool ignored;              /* [c] x-ignore-shared: must not receive pages */
    bool listed;               /* [i] named in the block list of the stream */
    bool populate;             /* [i] anonymous or memfd memory that may be populated ahead */
    /*
     * 1: the page holds what the source sent.  [i] and not atomic until
     * POSTCOPY_LISTEN, afterwards the rules of postcopy-ram/pmi.h (which shares this
     * array): atomic, set by whoever placed the page.
     */
    unsigned long *received;
    unsigned long *touched;    /* [i] 1: memory may be non-zero (received, or hit by a wrong guess) */
    unsigned long *populated;  /* [i] a bit every 2 MiB */
} RamDestBlock;

struct RamDest {
    RamDestBlock *blocks;      /* [c] every migratable block, list order */
    unsigned n_blocks;         /* [c] */
    RamDestBlock *last_main;   /* [i] block that CONTINUE means on the main channel */
    bool touch_zero;           /* [c] postcopy-ram: a zero page must become present as well */
    bool no_guess;             /* [i] reads ahead into guest memory are off (postcopy has begun) */
    uint64_t mem_available;    /* [i] bytes that may still be populated ahead */
};

RamDest *ram_dest_new(Migration *m);
void ram_dest_free(RamDest *rd);
RamDestBlock *ram_dest_block(RamDest *rd, const char *idstr); /* NULL: unknown */
/* Body of a START/PART/END section of `ram`, up to and with EOS. */
bool ram_load(Migration *m, Stream *s, int version_id, Error **errp);
/*
 * For POSTCOPY_LISTEN, before userfaultfd is registered: drop every host page that is not
 * wholly received.  Populating ahead and wrong guesses leave pages present that no
 * fault would otherwise ask for.  Transparent huge pages must be off already.
 */
bool ram_load_drop_unreceived(Migration *m, Error **errp);

/*
 * In postcopy (from LISTENING on) ram_load() hands pages over to postcopy-ram/place.c,
 * which puts them into guest memory a host page at a time.  Per target page:
 *     buf = place_buffer(...);  read TARGET_PAGE_SIZE bytes into buf;  place_page_done()
 * or place_zero_page() for a zero one.  place_flush() before each read that may block
 * and at EOS.  Declared in postcopy-ram/place.h.
 */

#endif
