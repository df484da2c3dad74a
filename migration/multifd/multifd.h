/*
 * multifd: pages over several channels at once.
 *
 * Source: the migration thread collects pages into batches; a thread a channel takes batches
 * from one queue, looks for zero pages, compresses and sends.  Destination: a thread a channel
 * puts pages in place.  A SYNC packet on every channel, with a mark on the main channel, keeps a
 * page from being overtaken by an older version of it on another channel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MULTIFD_H
#define FERRY_MULTIFD_H

#include "migration/migration-int.h"
#include "migration/multifd/packet.h"
#include "migration/ram.h"

/* ======== send.c: source.  Migration thread, except where it says "any thread" ======== */

/* For the options of m; nothing is connected yet. */
MultifdSend *multifd_send_new(Migration *m);
/*
 * Connect all channels to where m->connector goes and start their threads.  It is in
 * m->multifd_send already, so that a cancel reaches it.
 */
bool multifd_send_connect(MultifdSend *ms, Error **errp);
/*
 * Zero pages in packets: never (somebody else finds them, or nobody), only of memory that no
 * contents were sent for (destinations before 9.0 leave them as they are), always.
 */
typedef enum MultifdZero { MULTIFD_ZERO_NEVER, MULTIFD_ZERO_FIRST, MULTIFD_ZERO_ALWAYS } MultifdZero;
/* Before the first page; NEVER, to begin with or set here, stays. */
void multifd_send_set_zero(MultifdSend *ms, MultifdZero zero);
/*
 * Queue pages of a block; waits while all channels are busy.  The pages must not be changed
 * (other than by the guest) until the next sync.  Blocks alternate at a price: a batch has one.
 */
bool multifd_send_pages(MultifdSend *ms, RamSourceBlock *b, uint64_t page, uint64_t n,
                        Error **errp);
/*
 * All that was queued goes out, then a SYNC on every channel; what is queued later comes
 * behind it.  The caller then puts the mark on the main channel.
 */
bool multifd_send_sync(MultifdSend *ms, Error **errp);
/* Bytes sent since the last call, headers included. */
uint64_t multifd_send_take_bytes(MultifdSend *ms);
/* All is sent: end the threads, close the channels.  False: a channel has failed. */
bool multifd_send_finish(MultifdSend *ms, Error **errp);
/* Any thread: all blocked IO and waiting fails. */
void multifd_send_shutdown(MultifdSend *ms);
/* Joins the threads; shut down first.  NULL is fine. */
void multifd_send_free(MultifdSend *ms);

/* ======== marks.c: source, migration thread ======== */

/*
 * When m->marks is MULTIFD_MARKS_ASK: ask the destination before `ram`'s START / find out what
 * it does behind that; in the end m->marks is another.  Without multifd nothing.
 */
bool multifd_marks_ask(Migration *m, Error **errp);
bool multifd_marks_probe(Migration *m, Error **errp);

/* ======== recv.c: destination ======== */

/* For the options and memory of m; no channel yet.  Main thread. */
MultifdRecv *multifd_recv_new(Migration *m);
/* Take over a connection and start its thread.  Main thread. */
/* Calls fn with each channel that there is.  Any thread. */
void multifd_recv_each(MultifdRecv *mr, void (*fn)(IOChannel *ioc, void *opaque), void *opaque);
void multifd_send_each(MultifdSend *ms, void (*fn)(IOChannel *ioc, void *opaque), void *opaque);
void multifd_recv_add(MultifdRecv *mr, IOChannel *ioc);
/* Connections that are still to come.  Main thread. */
unsigned multifd_recv_missing(const MultifdRecv *mr);
/*
 * The mark on the main channel: wait until every channel has come to its SYNC, then let them
 * go on.  Thread that reads the main stream.
 */
bool multifd_recv_sync(MultifdRecv *mr, Error **errp);
/* Every page that came must be covered by a SYNC; none may come any more.  The same thread. */
bool multifd_recv_no_more_pages(MultifdRecv *mr, Error **errp);
/* Any thread: all blocked IO and waiting fails. */
void multifd_recv_shutdown(MultifdRecv *mr);
/* Joins the threads; shut down first.  NULL is fine. */
void multifd_recv_free(MultifdRecv *mr);

/* ======== recv-place.c: destination, thread of any channel ======== */

/*
 * The block and the places of the pages of a packet: ret_pages gets where each goes, normal
 * ones first.  NULL with errp set when block or offset are not ours.
 */
RamDestBlock *multifd_place_begin(RamDest *rd, const MultifdHeader *h,
                                  uint8_t *ret_pages[MULTIFD_PAGES], Error **errp);
/* The data of the normal pages is in: zero the zero pages, note all as received. */
void multifd_place_done(RamDest *rd, RamDestBlock *b, const MultifdHeader *h);

#endif
