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

/* What every kind of monitor begins with. */
struct Monitor {
    Chardev *chr; /* fixed */
    bool qmp;     /* fixed */
};

/* What was agreed on a QMP connection. */
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

/* qmp-event.c: rate limits */

/* Hand every event that is due to `send` (any thread; event is borrowed). */
void qmp_event_set_sink(void (*send)(JsonNode *event));

/* fds.c: descriptors from clients; machine lock */

/* A descriptor came with a client's bytes; it is the next that getfd or add-fd takes. */
void monitor_fd_received(int fd);
/* No client is connected any more: descriptors that nobody took are closed. */
void monitor_fds_disconnected(void);

/* qmp.c, hmp-monitor.c; main thread */

bool qmp_monitor_can_be_freed(const Monitor *m, Error **errp);
bool hmp_monitor_can_be_freed(const Monitor *m, Error **errp);
void qmp_monitor_free(Monitor *m);
void hmp_monitor_free(Monitor *m);
/* At exit. */
void qmp_monitors_cleanup(void);
void hmp_monitors_cleanup(void);

#endif
