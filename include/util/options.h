/*
 * Option strings of the command line: "a,b=c,d.e=f" or JSON, as a JsonObject.
 *
 * In the text form every value is a string and is parsed by whoever takes it; the
 * takers below accept both what text gives (strings) and what JSON gives (typed
 * values).  Pure: any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_UTIL_OPTIONS_H
#define FERRY_UTIL_OPTIONS_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

/*
 * Parse "a,b=c,d=1": ",," stands for a comma in a value, a name alone means "on", the
 * last of equal names counts.  A first item without '=' is the value of implied_key
 * (NULL: there is none).  Dotted names nest: "fd.x=1" is {"fd":{"x":"1"}}, and an
 * object whose names are 0, 1, 2 ... becomes an array.  Text that starts with '{' is
 * JSON.  Returns a new reference (json_object_unref), NULL with errp set.
 */
JsonObject *options_parse(const char *text, const char *implied_key, Error **errp);

/* As options_parse(), but a dot is an ordinary character of a name. */
JsonObject *options_parse_flat(const char *text, const char *implied_key, Error **errp);

/*
 * Takers: remove member `key` of `opts` and put its value into *ret.  Absent: true, and
 * *ret stays as it was.  Present but not of the kind: false, errp names the key and what
 * would be right.
 */
bool options_take_str(JsonObject *opts, const char *key, char **ret, Error **errp); /* frees old */
bool options_take_bool(JsonObject *opts, const char *key, bool *ret, Error **errp);
bool options_take_u64(JsonObject *opts, const char *key, uint64_t max, uint64_t *ret,
                      Error **errp);
/* Size with suffix; a bare number in text counts default_suffix units, in JSON bytes. */
bool options_take_size(JsonObject *opts, const char *key, char default_suffix, uint64_t *ret,
                       Error **errp);
/* One of the names of the NULL-terminated list; *ret is its index. */
bool options_take_enum(JsonObject *opts, const char *key, const char *const *names, int *ret,
                       Error **errp);
/* True when nothing is left; otherwise errp says "WHAT: unknown parameter 'x'". */
bool options_finish(JsonObject *opts, const char *what, Error **errp);

/* Value of a string, number or boolean node as text; NULL for other nodes. g_free(). */
char *options_value_text(JsonNode *node);

#endif
