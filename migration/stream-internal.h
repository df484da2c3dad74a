/*
 * Streams, as the migration threads see them: making, flushing, gathering guest
 * pages, reading straight into guest pages, rate accounting.
 *
 * Thread rules are those of include/migration/stream.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_STREAM_INTERNAL_H
#define FERRY_MIGRATION_STREAM_INTERNAL_H

#include <sys/uio.h>

#include "io/channel.h"
#include "migration/stream.h"

/* Over a channel (takes its own reference). */
Stream *stream_new_output(IOChannel *ioc);
Stream *stream_new_input(IOChannel *ioc);
/* In memory: output grows; input reads data[0..len), which must stay (or is owned: GBytes). */
Stream *stream_new_output_memory(void);
Stream *stream_new_input_memory(const void *data, size_t len);
Stream *stream_new_input_gbytes(GBytes *bytes);
/* Does not flush.  NULL is fine. */
void stream_free(Stream *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stream, stream_free)
/* Prefix of error messages, e.g. "package"; default "stream". */
void stream_set_name(Stream *s, const char *name);
IOChannel *stream_channel(const Stream *s); /* borrowed; NULL in memory */

/* Write out what is queued.  False: the stream has failed. */
bool stream_flush(Stream *s);
/*
 * Flush, and close the channel (waits for an exec: child, whose failure is an error).
 * False with errp set when that or anything before it failed.
 */
bool stream_close(Stream *s, Error **errp);
/* What a memory output holds; valid until the next put. */
const void *stream_memory_data(const Stream *s, size_t *ret_len);

/*
 * Queue len bytes at p without copying: they are read when the queue is written out,
 * at the latest by stream_flush().  The memory must stay mapped until then; that its
 * content changes meanwhile is harmless where the page is sent again anyway.
 * (A memory stream copies.)
 */
void stream_put_page_ref(Stream *s, const void *p, size_t len);
/* Bytes queued and not yet handed to the channel. */
size_t stream_queued(const Stream *s);

/*
 * Input straight into the caller's memory: fills the buffers in order from what is
 * already buffered, else with one readv() of the channel, and returns how many bytes
 * came (at least one), 0 on error or end of stream (sticky).  May be short at any byte.
 */
size_t stream_get_iov(Stream *s, const struct iovec *iov, size_t n);
/* Give back the last len bytes, which the next get returns (any amount). */
void stream_unget(Stream *s, const void *buf, size_t len);
/*
 * Called by the reading thread when the channel has nothing to read, until it has: to wait for
 * that and for something else.  NULL: the read itself waits (the default).
 */
typedef void StreamWaitFn(void *opaque, IOChannel *ioc);
void stream_set_wait(Stream *s, StreamWaitFn *wait, void *opaque);
/* Bytes that can be got without touching the channel. */
size_t stream_buffered(const Stream *s);
/* Buffer what has come by now, as far as there is room; does not block.  Errors are sticky. */
void stream_top_up(Stream *s);
/*
 * The buffered bytes themselves, borrowed until the next get or unget: to look at what
 * is coming without taking it.
 */
const uint8_t *stream_buffered_data(const Stream *s, size_t *ret_len);
/*
 * Is there another byte?  Blocks until there is one (true), or until the clean end of
 * the stream or an error (false; the clean end is not an error here).
 */
bool stream_more(Stream *s);

/*
 * Over a file (a seekable channel): the position in it of the next byte, and going on at
 * another one.  False, and the stream has failed, when that is not possible.
 */
bool stream_tell(Stream *s, uint64_t *ret_pos);
bool stream_seek(Stream *s, uint64_t pos);

/* Any thread: make blocked and later IO on the stream fail. */
void stream_shutdown(Stream *s);
/*
 * Any thread: the first error stays.  err is a negative errno; the message gets
 * "at offset N of NAME" behind it.
 */
void stream_error_set(Stream *s, int err, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* Take over the message of error (freed). */
void stream_error_take(Stream *s, int err, Error *error);

/* Bytes that passed, atomically readable from any thread (queued pages count when put). */
uint64_t stream_bytes(const Stream *s);

/*
 * Rate limit: at most `per_window` bytes in each window of STREAM_WINDOW_MS; 0: none.
 * The writer asks stream_rate_exceeded() after each record and, when it is, sleeps
 * until stream_rate_left_us() is over; a new window starts by itself.
 */
#define STREAM_WINDOW_MS 100
void stream_rate_set(Stream *s, uint64_t bytes_per_second); /* writer's thread */
bool stream_rate_exceeded(Stream *s);
int64_t stream_rate_left_us(Stream *s); /* 0: the window is over or nothing is exceeded */
uint64_t stream_rate_left_bytes(const Stream *s); /* of this window; UINT64_MAX: no limit */
/* Count bytes that went over another channel into the window. */
void stream_rate_account(Stream *s, uint64_t bytes);

#endif
