/*
 * Trace events: switches and the log backend.
 *
 * `on` is written by -trace, QMP and HMP under the machine lock and read racily by
 * every thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TRACE_CONTROL_H
#define FERRY_TRACE_CONTROL_H

#include <glib.h>
#include <stdbool.h>

#include "util/error.h"

typedef struct TraceEvent {
    const char *name;
    bool on;
    struct TraceEvent *next; /* fixed before main() */
} TraceEvent;

void trace_event_register(TraceEvent *e);
TraceEvent *trace_event_first(void);
/* Turn every event that matches the glob pattern on or off; returns how many matched. */
unsigned trace_set_pattern(const char *pattern, bool on);
/*
 * Argument of -trace: "PATTERN", "enable=PATTERN", "events=FILE" (one pattern a line,
 * '-' in front turns off) and "file=FILE" (where lines go; default: the log), joined
 * with commas.
 */
bool trace_parse_option(const char *arg, Error **errp);
void trace_write(const char *name, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

#endif
