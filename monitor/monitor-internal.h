/*
 * Private to monitor/: what a QMP or HMP session is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MONITOR_INTERNAL_H
#define FERRY_MONITOR_INTERNAL_H

#include "monitor/monitor.h"
#include "qapi/command.h"
#include "qapi/qapi-types.h"

/* What was agreed on a QMP connection; belongs to whoever reads its requests. */
typedef struct QmpSession {
    bool oob_offered; /* the greeting named oob */
    bool oob;         /* qmp_capabilities switched it on */
    bool negotiated;
} QmpSession;

/* qmp-dispatch.c: pure but for the command that is run */

/* The greeting object. */
JsonNode *qmp_greeting(const QmpSession *s);
/* Is this a well-formed exec-oob request that s may run right away? */
bool qmp_request_is_oob(const QmpSession *s, JsonNode *request);
/*
 * Check and run one request; the reply (never NULL) has its id.  Machine lock held,
 * but for oob requests.
 */
JsonNode *qmp_dispatch(QmpSession *s, JsonNode *request);
JsonNode *qmp_error_reply(const Error *err, JsonNode *id);
/* Session whose command the calling thread runs; NULL outside of commands. */
QmpSession *qmp_session_current(void);

#endif
