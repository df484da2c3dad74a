/*
 * JSON text from outside: a strict parser with limits, and a splitter that finds
 * whole values in a byte stream that may be cut anywhere.
 *
 * Strings may also be in single quotes.  Integers are exact: those from -2^63 to
 * 2^64-1 become integer nodes (above 2^63-1 with the same bits), others are doubles.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_QAPI_JSON_H
#define FERRY_QAPI_JSON_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

#define JSON_MAX_DEPTH 512
#define JSON_MAX_BYTES (16u << 20) /* of one value */

/* The one value in text; NULL with errp set ("JSON parse error, ..."). Pure, any thread. */
JsonNode *json_parse_text(const char *text, size_t len, Error **errp);

/* One line of text (pretty: several) without a newline at the end; free with g_free(). */
char *json_print(JsonNode *node, bool pretty);

/*
 * Splitter.  `got` is called for each value (node passes to it) and for each piece of
 * garbage (err passes to it); it may not feed.  After garbage, input is skipped up to
 * the end of the line.  A byte 0xff drops an unfinished value.  Not locked.
 */
typedef struct JsonSplitter {
    void (*got)(void *opaque, JsonNode *node, Error *err);
    void *opaque;
    /* State */
    GString *text;              /* the unfinished value */
    unsigned depth;
    char quote;                 /* inside a string: its quote */
    bool escape;                /* last byte of a string was a backslash */
    bool skip;                  /* after garbage */
    char open[JSON_MAX_DEPTH];  /* the bracket of each level */
} JsonSplitter;

void json_splitter_init(JsonSplitter *s, void (*got)(void *opaque, JsonNode *node, Error *err),
                        void *opaque);
void json_splitter_reset(JsonSplitter *s); /* forget the unfinished value */
void json_splitter_clear(JsonSplitter *s); /* and free */
void json_splitter_feed(JsonSplitter *s, const void *buf, size_t len);

#endif
