/*
 * Stream: big-endian integers and bytes over a channel or in memory, buffered.
 *
 * The error is sticky and short IO is never visible: after any failure puts do
 * nothing and gets return zero, and the caller asks stream_error() once per
 * record.  A stream belongs to one thread at a time, except stream_shutdown(),
 * stream_bytes() and stream_error_set(), which any thread may call.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_STREAM_H
#define FERRY_MIGRATION_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

typedef struct Stream Stream;

void stream_put_u8(Stream *s, uint8_t v);
void stream_put_be16(Stream *s, uint16_t v);
void stream_put_be32(Stream *s, uint32_t v);
void stream_put_be64(Stream *s, uint64_t v);
void stream_put_bytes(Stream *s, const void *buf, size_t len);
/* u8 length, then the bytes; len <= 255. */
void stream_put_str8(Stream *s, const char *str);

uint8_t stream_get_u8(Stream *s);
uint16_t stream_get_be16(Stream *s);
uint32_t stream_get_be32(Stream *s);
uint64_t stream_get_be64(Stream *s);
/* Whole or nothing: false (buffer zeroed) on a sticky error or end of stream. */
bool stream_get_bytes(Stream *s, void *buf, size_t len);
/* NUL-terminated; false when the stream failed. */
bool stream_get_str8(Stream *s, char ret_str[256]);
/* Look ahead without consuming; returns how many of len bytes there are (len <= 512). */
size_t stream_peek(Stream *s, void *buf, size_t len, size_t offset);
void stream_skip(Stream *s, size_t len);

/* 0 or a negative errno; *errp gets a copy of the message with the offset in it. */
int stream_error(Stream *s, Error **errp);
/* Bytes put or got so far, with those that a seek has passed: the offset in error messages. */
uint64_t stream_offset(const Stream *s);

#endif
