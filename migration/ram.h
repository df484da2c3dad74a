/*
 * Guest memory in a migration: source (ram-dirty.c, ram-save.c, ram-urgent.c) and
 * destination (ram-load.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_RAM_H
#define FERRY_MIGRATION_RAM_H

#include "migration-int.h"
#include "pagemap.h"
#include "ram-populate.h"
#include "system/ramblock.h"
#include "util/util.h"

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
    uint8_t *journey;          /* a byte a page, journey.h: [m], or the multifd channel that has
                                  the page; main thread: after `thread` ended */
    uint64_t *digest;          /* [a] x-verify: of each page, as it was sent last; NULL: off */
    struct MappedBlock *mapped; /* [m] mapped-ram.h: where it is in the file; NULL: in none */
    unsigned long *owed;       /* [m] from the switch on: 1: the destination may lack it */
    unsigned long *wanted;     /* the same without what a received map has, NULL: there is none;
                                  main thread, under [L], while [m] is paused; else [m] */
    unsigned long *received;   /* recovery: what the destination says it has; the return-path thread's
                                  until it has counted it, then [m]; NULL: nothing said */
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
    uint64_t dirtied_total;    /* [m] newly dirty pages seen by all syncs */
    bool logging;              /* [L] dirty_log_start() succeeded */
    /* scan position */
    unsigned scan_block;       /* [m] */
    uint64_t scan_page;        /* [m] */
    int hinted;                /* [a] the scan is to go on from the next two; changed under [B] */
    unsigned hint_block;       /* [B] */
    uint64_t hint_page;        /* [B] */
    uint64_t scan_wraps;       /* [m] times that the scan went on from the first block */
    uint64_t marked_wraps;     /* [m] scan_wraps at the last multifd mark */
    unsigned flushes_due;      /* [m] SYNCs that were sent before it was known how to mark them */
    struct XbzrleCache *xbzrle; /* [m] NULL: off */
    RamSourceBlock *last_sent; /* [m] block that a CONTINUE record means; NULL: none */
    /* requests of the destination: ram-urgent.c, under its own lock */
    GMutex urgent_lock;
    GQueue urgent;             /* of struct UrgentRequest */
    int urgent_waiting;        /* [a] queue is not empty */
};

/* ---- ram-dirty.c ---- */

/*
 * Bitmaps of every block that is sent (not: empty and ignored ones), all dirty.
 * with_sentmap: also note what was sent.  Machine lock held.
 */
RamSource *ram_source_new(const MigConfig *config, bool with_sentmap);
/* Start the dirty log.  Machine lock held. */
bool ram_dirty_start_log(RamSource *r, Error **errp);
/* Stop the log (takes the machine lock if it is not held) and free.  NULL is fine. */
void ram_source_free(RamSource *r);
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
/*
 * Take those of [page, page+n) that are dirty, as one run from the first on.  False: all clean.
 * Migration thread; in postcopy (after ram_dirty_guest_gone()) any thread.
 */
bool dirty_take(RamSource *r, RamSourceBlock *b, uint64_t page, uint64_t n, PageRun *ret_run);
/* Postcopy: nothing is written here any more, nothing need be re-protected.  Migration thread. */
void ram_dirty_guest_gone(RamSource *r);
/* Mark pages as to be sent (again): discard widening. */
void ram_dirty_set_range(RamSource *r, RamSourceBlock *b, uint64_t page, uint64_t n);
/*
 * Recovery: to be sent are the pages that b->received has not, in whole host pages, and no
 * others; b->owed becomes the same.  Migration thread.
 */
void ram_dirty_set_missing(RamSource *r, RamSourceBlock *b);
/* Take the journeys of all blocks out, before ram_source_free(): GPtrArray of PageJourney. */
GPtrArray *ram_source_take_journeys(RamSource *r);
uint64_t ram_dirty_bytes(const RamSource *r);
/* The count must be what the bitmaps hold (debug builds check it at each sync). */
bool ram_dirty_check(RamSource *r);

/* ---- ram-save.c ---- */

/*
 * The first word decides for most pages that hold something; it comes from memory that
 * nobody has looked at for long, so those of the next pages are fetched meanwhile.
 */
static inline bool ram_page_is_zero(const uint8_t *host)
{
    __builtin_prefetch(host + 12 * TARGET_PAGE_SIZE);
    return !*(const uint64_t *)host && buffer_is_zero(host, TARGET_PAGE_SIZE);
}

RamSourceBlock *ram_source_block(RamSource *r, const char *idstr); /* NULL: not sent */
uint64_t ram_block_gpa(const RAMBlock *rb); /* 0 when it is not mapped */
/* Not sent, because the destination has the same memory (x-ignore-shared). */
bool ram_block_ignored(const RAMBlock *rb, const MigConfig *config);
/* Body of the START section: the block list, and EOS. */
bool ram_save_setup(Migration *m, Stream *s, Error **errp);
/* Body of a PART section: pages until the rate limit, 50 ms or nothing dirty; and EOS. */
bool ram_save_iterate(Migration *m, Stream *s, Error **errp);
/*
 * Body of a PART without pages.  With multifd: everything that its channels have is in place
 * when its EOS has been read (not yet, when it is not known which marks do that).
 */
bool ram_save_mark(Migration *m, Stream *s, Error **errp);
/* Body of the END section: all that is dirty (precopy: machine stopped), and EOS. */
bool ram_save_complete(Migration *m, Stream *s, Error **errp);
/*
 * The dirty ones of [page, page+n) go out over s, another channel than the main stream, and are
 * flushed.  *last is the block that CONTINUE means there.  Postcopy; s's thread.
 */
void ram_save_urgent(Migration *m, Stream *s, RamSourceBlock **last, RamSourceBlock *b,
                     uint64_t page, uint64_t n);
/* Forget the last-sent block and scan from the first block: after the discards. */
void ram_save_restart(RamSource *r);

/* ---- ram-save-xbzrle.c: migration thread ---- */

/* With the capability: an empty cache. */
void ram_xbzrle_begin(Migration *m);
/* The cache gets the size that is set now; once a window. */
void ram_xbzrle_update(Migration *m);
/* Is there a cache, and has the first pass over memory ended? */
bool ram_xbzrle_active(const Migration *m);
/* The page goes as a zero page. */
void ram_xbzrle_zero(Migration *m, const RamSourceBlock *b, uint64_t page);
typedef enum XbzrleForm { XBZRLE_WHOLE, XBZRLE_EQUAL, XBZRLE_CHANGES } XbzrleForm;
/*
 * How a page that is not zero goes; now gets its contents, of which all is to be sent.
 * XBZRLE_EQUAL: it need not be sent.  XBZRLE_CHANGES: ret_encoded (a page) and ret_len.
 */
XbzrleForm ram_xbzrle_form(Migration *m, const RamSourceBlock *b, uint64_t page, uint8_t *now,
                           uint8_t *ret_encoded, uint16_t *ret_len);

/* ---- ram-urgent.c: any thread ---- */

void urgent_init(RamSource *r);
void urgent_clear(RamSource *r);
/*
 * The destination waits for [start, start+len) (whole host pages of b, checked by the
 * caller).  Wakes the migration thread.
 */
void urgent_push(Migration *m, RamSourceBlock *b, uint64_t start, uint64_t len);
/* Do so many requests wait that the destination cannot mean them all? */
bool urgent_full(RamSource *r);
/* Drop all requests: the destination asks again when it has recovered.  Migration thread. */
void urgent_forget(RamSource *r);
/* Oldest request that still has dirty pages: its pages as a run.  Migration thread. */
bool urgent_next(RamSource *r, PageRun *ret_run);

/* ======== destination ======== */

/*
 * Where pages go in postcopy (from LISTENING on): postcopy-ram/place.c implements this
 * and puts it into RamDest.sink.  Per target page: data is read into buffer(), then
 * done(); a zero page is only done().  before_read() comes before each record, flush() at
 * EOS.  Called by the thread that reads the main stream.
 */
typedef struct PageSink {
    /* TARGET_PAGE_SIZE bytes to read the page into; NULL: refused. */
    uint8_t *(*buffer)(void *opaque, RAMBlock *rb, uint64_t offset, Error **errp);
    bool (*done)(void *opaque, RAMBlock *rb, uint64_t offset, bool zero, Error **errp);
    bool (*before_read)(void *opaque, Stream *s, Error **errp);
    bool (*flush)(void *opaque, Error **errp);
} PageSink;

typedef struct RamDestBlock {
    RAMBlock *rb;              /* [c] */
    uint64_t pages;            /* [c] target pages */
    bool ignored;              /* [c] x-ignore-shared: must not receive pages */
    bool listed;               /* [i] named in the block list of the stream */
    PopulateBlock populate;
    uint64_t hole_end;         /* [i] backing file: nothing was written before this offset
                                  since the hole that ends there was found; 0: not known */
    /*
     * 1: the page holds what the source sent.  [i] and not atomic until
     * POSTCOPY_LISTEN (with multifd: atomic, the channels set bits as well); afterwards the
     * rules of postcopy-ram/pmi.h.
     */
    unsigned long *received;
} RamDestBlock;

struct RamDest {
    RamDestBlock *blocks;      /* [c] every migratable block, list order */
    unsigned n_blocks;         /* [c] */
    RamDestBlock *last;        /* [i] block that CONTINUE means on the main channel */
    MultifdRecv *multifd;      /* [c] NULL: none; its channels write pages, too */
    IOChannel *file;           /* [i] mapped-ram: where pages are, borrowed; NULL: in the stream */
    enum { MULTIFD_MARK_UNKNOWN, MULTIFD_MARK_FLUSH, MULTIFD_MARK_EOS } mark; /* [i] */
    bool touch_zero;           /* [c] postcopy-ram: a zero page must become present as well */
    Pagemap untouched;         /* [i] of a run of zero pages; empty when anything else came */
    uint64_t zero_next;        /* [i] the page behind the last one, if that was zero ... */
    unsigned zero_run;         /* [i] ... and so many with it */
    uint64_t guess;            /* [i] pages to read ahead straight into guest memory */
    Populator *populator;      /* [c] */
    GMutex populate_lock;      /* multifd: who populates acts as the reader's thread */
    const PageSink *sink;      /* [i] NULL: precopy, pages are written in place */
    void *sink_opaque;
};

/* For the blocks of this machine and the options of m.  Machine lock held. */
RamDest *ram_dest_new(const MigConfig *config);
void ram_dest_free(RamDest *rd);
RamDestBlock *ram_dest_block(RamDest *rd, const char *idstr); /* NULL: unknown */
/* Body of a START/PART/END section of `ram`, up to and with EOS. */
bool ram_load(RamDest *rd, Stream *s, const MigConfig *config, Error **errp);
/*
 * No memory is populated ahead any more; returns when the helper has ended.  For the thread
 * that reads the main stream, or after it.
 */
void ram_load_stop_populating(RamDest *rd);
/* After a whole load (precopy): give back memory that was populated for nothing. */
void ram_load_trim(RamDest *rd);
/*
 * For POSTCOPY_LISTEN, before userfaultfd is registered: drop every host page that is not
 * wholly received.  Populating ahead and wrong guesses leave pages present that no
 * fault would otherwise ask for.  Transparent huge pages must be off already.
 */
bool ram_load_drop_unreceived(RamDest *rd, Error **errp);

#endif
