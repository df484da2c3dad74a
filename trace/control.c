/*
 * Trace events: list, patterns, log backend.  Belongs to no thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "trace/control.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/log.h"
#include "util/util.h"

static TraceEvent *events; /* written by constructors only */
static FILE *trace_file;   /* start-up only; NULL: the log */

void trace_event_register(TraceEvent *e)
{
    e->next = events;
    events = e;
}

TraceEvent *trace_event_first(void)
{
    return events;
}

unsigned trace_set_pattern(const char *pattern, bool on)
{
    g_autoptr(GPatternSpec) spec = g_pattern_spec_new(pattern);
    unsigned n = 0;

    for (TraceEvent *e = events; e; e = e->next) {
        if (g_pattern_spec_match_string(spec, e->name)) {
            e->on = on;
            n++;
        }
    }
    return n;
}

static bool set_from_file(const char *path, Error **errp)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, errp)) {
        error_prefix(errp, "-trace events=: ");
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        const char *p = g_strstrip(*l);
        if (*p && *p != '#') {
            trace_set_pattern(*p == '-' ? p + 1 : p, *p != '-');
        }
    }
    return true;
}

static bool parse_one(const char *item, Error **errp)
{
    const char *pattern = item;

    if (g_str_has_prefix(item, "file=")) {
        trace_file = fopen(item + 5, "we");
        if (!trace_file) {
            error_setg_errno(errp, errno, "-trace: cannot write '%s'", item + 5);
            return false;
        }
        setlinebuf(trace_file);
        return true;
    }
    if (g_str_has_prefix(item, "events=")) {
        return set_from_file(item + 7, errp);
    }
    if (g_str_has_prefix(item, "enable=")) {
        pattern = item + 7;
    }
    if (!trace_set_pattern(pattern, true)) {
        error_setg(errp, "-trace: no trace event matches '%s' (try -trace help)", pattern);
        return false;
    }
    return true;
}

bool trace_parse_option(const char *arg, Error **errp)
{
    g_auto(GStrv) items = g_strsplit(arg, ",", -1);

    for (char **i = items; *i; i++) {
        if (**i && !parse_one(*i, errp)) {
            return false;
        }
    }
    return true;
}

void trace_write(const char *name, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    int64_t now = host_clock_ns() / 1000;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (trace_file) {
        fprintf(trace_file, "%ld@%" G_GINT64_FORMAT ".%06d:%s %s\n", (long)syscall(SYS_gettid),
                now / 1000000, (int)(now % 1000000), name, text);
    } else {
        log_write("%ld@%" G_GINT64_FORMAT ".%06d:%s %s\n", (long)syscall(SYS_gettid),
                  now / 1000000, (int)(now % 1000000), name, text);
    }
}
