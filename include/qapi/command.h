/*
 * The table of QMP commands that is made from the schema, and what made code needs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_QAPI_COMMAND_H
#define FERRY_QAPI_COMMAND_H

#include "qapi/visit.h"

enum {
    QMP_ALLOW_OOB = 1 << 0,       /* also through exec-oob, without the machine lock */
    QMP_ALLOW_PRECONFIG = 1 << 1, /* also before the machine is made */
};

typedef struct QmpCommand {
    const char *name;
    /*
     * Check args (not NULL), run the handler.  *ret is set when the command returns
     * something; it stays NULL for those that return nothing.
     */
    bool (*run)(JsonObject *args, JsonNode **ret, Error **errp);
    unsigned flags;
} QmpCommand;

extern const QmpCommand qmp_commands[]; /* sorted by name */
extern const unsigned qmp_commands_count;
const QmpCommand *qmp_command_find(const char *name); /* NULL: unknown */

/* Reply of query-qmp-schema. */
extern const char qmp_schema_json[];

/* False with errp set when obj has any member. */
bool qapi_no_args(JsonObject *obj, Error **errp);

#endif
