/*
 * What generated QAPI code stands on: reading members of JSON objects with exact
 * checks, and making JSON nodes.  Users of the types want qapi/qapi-types.h.
 *
 * Pure functions.  All qapi_parse_* return false with errp set when the node is not
 * what the schema says; the message names the member with its path ("a.b[2].c").
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_QAPI_VISIT_H
#define FERRY_QAPI_VISIT_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

/* Where a value is in the input: a member (name) or a list element (index) of `up`. */
typedef struct QapiPath {
    const struct QapiPath *up;
    const char *name; /* NULL: element number `index` */
    unsigned index;
} QapiPath;

/* A JSON object that is being read; `seen` holds the names that the schema knows. */
typedef struct QapiIn {
    JsonObject *obj;
    const QapiPath *path;
    GPtrArray *seen;
} QapiIn;
void qapi_in_clear(QapiIn *in);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QapiIn, qapi_in_clear)

bool qapi_in_open(QapiIn *in, JsonNode *node, const QapiPath *path, Error **errp);
JsonNode *qapi_in_member(QapiIn *in, const char *name); /* NULL: absent */
bool qapi_missing(QapiIn *in, const char *name, Error **errp); /* always false */
bool qapi_in_close(QapiIn *in, Error **errp); /* false: an unknown member is left */

bool qapi_wrong_type(const QapiPath *path, const char *expected, Error **errp); /* false */
bool qapi_parse_int(JsonNode *n, const QapiPath *path, int64_t min, int64_t max,
                    const char *c_type, int64_t *ret, Error **errp);
/* Numbers above INT64_MAX arrive as negative ones with the same bits: both are taken. */
bool qapi_parse_uint64(JsonNode *n, const QapiPath *path, uint64_t *ret, Error **errp);
bool qapi_parse_number(JsonNode *n, const QapiPath *path, double *ret, Error **errp);
bool qapi_parse_bool(JsonNode *n, const QapiPath *path, bool *ret, Error **errp);
bool qapi_parse_null(JsonNode *n, const QapiPath *path, bool *ret, Error **errp);
bool qapi_parse_str(JsonNode *n, const QapiPath *path, char **ret, Error **errp);
bool qapi_parse_any(JsonNode *n, const QapiPath *path, JsonNode **ret, Error **errp);
/* Index in names, or -1. */
int qapi_parse_enum(JsonNode *n, const QapiPath *path, const char *const *names, Error **errp);
JsonArray *qapi_parse_array(JsonNode *n, const QapiPath *path, Error **errp);
int qapi_enum_find(const char *const *names, const char *str);

typedef enum QapiJsonKind {
    QAPI_JSON_NULL, QAPI_JSON_BOOL, QAPI_JSON_INT, QAPI_JSON_NUMBER, QAPI_JSON_STRING,
    QAPI_JSON_ARRAY, QAPI_JSON_OBJECT,
} QapiJsonKind;
QapiJsonKind qapi_json_kind(JsonNode *n);

/* Nodes; array and object pass to the node, the others are copied or referenced. */
JsonNode *qapi_node_int(int64_t v);
JsonNode *qapi_node_uint64(uint64_t v);
JsonNode *qapi_node_number(double v);
JsonNode *qapi_node_bool(bool v);
JsonNode *qapi_node_null(bool v);
JsonNode *qapi_node_str(const char *v); /* NULL: "" */
JsonNode *qapi_node_any(JsonNode *v);
JsonNode *qapi_node_array(JsonArray *a);
JsonNode *qapi_node_object(JsonObject *o);

/* Free functions that take NULL. */
void qapi_node_free(JsonNode *n);
void qapi_list_free(GPtrArray *a);
void qapi_array_free(GArray *a);

#endif
