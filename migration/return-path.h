/*
 * The return path: what the destination says to the source while the main stream
 * runs the other way on the same channel.
 *
 *   message        what it means                         who handles it on the source
 *   SHUT(err)      the load ended; 0: well               the thread ends with it
 *   PONG(cookie)   answer to PING                        postcopy_source_pong(), multifd/marks.c, verify.h
 *   REQ_PAGES[_ID] somebody waits for these pages        urgent_push()
 *   SWITCHOVER_ACK nothing stands against the switch     Migration.acks_missing
 *   RECV_BITMAP    recovery: what it has of a block      RamSourceBlock.received
 *   RESUME_ACK     recovery: go on                       the recovering migration thread
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_RETURN_PATH_H
#define FERRY_MIGRATION_RETURN_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "migration-int.h"

/* ======== return-path.c: the source's end, one thread ("mig/src/return") ======== */

/*
 * Start the thread that reads the return direction of m->channel.  It only queues,
 * wakes and moves postcopy-device on to postcopy-active; it never sends.
 */
ReturnPath *return_path_start(Migration *m, Error **errp); /* NULL: no thread can be had */
/*
 * Has the thread ended?  Then *errp (may be NULL) gets why, if that was not SHUT(0).
 * Any thread; does not wait.
 */
bool return_path_ended(ReturnPath *rp, Error **errp);
/* Did the destination say that its load failed (SHUT with another value than 0)?  Any thread. */
bool return_path_refused(const ReturnPath *rp);
/* Has the destination said anything yet?  It answers the first PING at once.  Any thread. */
bool return_path_answered(const ReturnPath *rp);
/* Cookie of the PONG that came last, 0: none.  Any thread. */
uint32_t return_path_last_pong(const ReturnPath *rp);
typedef enum ReturnPathAnswer {
    RETURN_PATH_FAILED = -1, /* the path has ended (errp set), or the migration was cancelled */
    RETURN_PATH_SILENT,      /* nothing of the kind came in time */
    RETURN_PATH_CAME,
} ReturnPathAnswer;
/*
 * Wait for a PONG with one of two cookies, for so many microseconds.  Migration thread, state
 * setup.
 */
ReturnPathAnswer return_path_wait_pong(Migration *m, uint32_t a, uint32_t b, int64_t us,
                                       Error **errp);
/* Recovery: how many blocks' received bitmaps have come over this path.  Any thread. */
unsigned return_path_bitmaps(const ReturnPath *rp);
/* Recovery: RESUME_ACK came.  Any thread. */
bool return_path_resumed(const ReturnPath *rp);
/*
 * The migration thread would read the path itself while the state is postcopy-active: the
 * return-path thread lends it the reading after its next message.  Migration thread.
 */
void return_path_want(ReturnPath *rp);
/* Has it done so?  NULL is fine. */
bool return_path_lent(const ReturnPath *rp);
/* Give the reading back, if it was lent at all, and want it no more.  Migration thread. */
void return_path_give_back(ReturnPath *rp);
/*
 * Migration thread, while the reading is lent: wait until a message has come, or until one of
 * `want` (IO_READY_WRITE or 0) holds, at most timeout_ms (-1: no limit); handle one message if
 * there is one.  Returns what was ready, IOReady bits.  At the end of the path the reading goes
 * back by itself.
 */
unsigned return_path_serve(ReturnPath *rp, unsigned want, int timeout_ms);
/*
 * Wait until the thread has ended.  Gives the reading back.  True: the destination said SHUT(0).  False: errp
 * says what it said or what broke.  Shut the channel down first if it may stay silent.
 */
bool return_path_join(ReturnPath *rp, Error **errp);
/* Joins first.  NULL is fine. */
void return_path_free(ReturnPath *rp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReturnPath, return_path_free)

/* ======== return-path-send.c: the destination's only sender ======== */

/*
 * Takes its own reference to ioc.  Everything below may be called from any thread:
 * one lock orders the messages, and each is written whole before the lock is left.
 */
ReturnPathSend *return_path_send_new(IOChannel *ioc);
void return_path_send_free(ReturnPathSend *rps);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReturnPathSend, return_path_send_free)

bool return_path_send_shut(ReturnPathSend *rps, uint32_t value, Error **errp);
bool return_path_send_pong(ReturnPathSend *rps, uint32_t cookie, Error **errp);
/* Nothing here stands against the switch (switchover-ack). */
bool return_path_send_switchover_ack(ReturnPathSend *rps, Error **errp);
/*
 * Ask for [start, start+len) of a block, a host page.  The name goes along when it is
 * not the block of the request before.  While requests are kept back it does nothing, and
 * that is no error.
 */
bool return_path_send_req_pages(ReturnPathSend *rps, const char *block, uint64_t start,
                                uint32_t len, Error **errp);
/* The next request names its block, whatever was named last. */
void return_path_send_forget_block(ReturnPathSend *rps);

/*
 * A message that cannot be sent shuts the channel down, so that the thread that reads it
 * hears of it.  What went wrong is kept: a copy, NULL if nothing did.
 */
Error *return_path_send_failure(ReturnPathSend *rps);
/*
 * Pause: the channel (shut down already, so that no sender is stuck in it) is let go, and
 * from now on requests for pages are kept back.  Any other message fails.
 */
void return_path_send_detach(ReturnPathSend *rps);
/* Recovery: a new channel (takes its own reference).  Requests are still kept back. */
void return_path_send_attach(ReturnPathSend *rps, IOChannel *ioc);
/* Resumed: requests go out again.  The caller then sends all those that were kept back. */
void return_path_send_release(ReturnPathSend *rps);
/* Recovery: which of the `pages` target pages of a block have been received. */
bool return_path_send_recv_bitmap(ReturnPathSend *rps, const char *block,
                                  const unsigned long *received, uint64_t pages, Error **errp);
bool return_path_send_resume_ack(ReturnPathSend *rps, Error **errp);

#endif
