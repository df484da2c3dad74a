/*
 * Messages and debug log.  Belongs to no thread; stdio's lock keeps lines whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "trace/control.h"

const LogItem log_items[] = {
    { LOG_GUEST_ERROR, "guest_errors", "what the guest does that a machine would not expect" },
    { LOG_UNIMP, "unimp", "accesses to hardware that is not modelled" },
    { LOG_INT, "int", "interrupts and exceptions of the software CPU" },
    { LOG_CPU, "cpu", "registers at each exit of the software CPU" },
    { LOG_IN_ASM, "in_asm", "instructions as the software CPU meets them" },
    { LOG_TRACE, "trace:PATTERN", "turn on the trace events that match PATTERN" },
    { 0, NULL, NULL },
};

int log_mask;

/* Start-up only (main thread), read afterwards. */
static FILE *log_file;
static bool timestamps;
static char *guest_name;
static const char *program = "ferry-system-x86_64";

void log_set_timestamp(bool on)
{
    timestamps = on;
}

void log_set_guest_name(const char *name)
{
    g_free(guest_name);
    guest_name = g_strdup(name);
}

void log_set_program(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');

    program = slash ? slash + 1 : argv0;
}

static void G_GNUC_PRINTF(2, 0) report(const char *kind, const char *fmt, va_list ap)
{
    g_autoptr(GString) line = g_string_new(NULL);

    if (timestamps) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *t = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
        g_string_append_printf(line, "%s.%06dZ ", t, g_date_time_get_microsecond(now));
    }
    if (guest_name) {
        g_string_append_printf(line, "%s ", guest_name);
    }
    g_string_append_printf(line, "%s: %s", program, kind);
    g_string_append_vprintf(line, fmt, ap);
    g_string_append_c(line, '\n');
    fwrite(line->str, 1, line->len, stderr);
    fflush(stderr);
}

#define DEFINE_REPORT(name, kind)       \
    void name(const char *fmt, ...)     \
    {                                   \
        va_list ap;                     \
        va_start(ap, fmt);              \
        report(kind, fmt, ap);          \
        va_end(ap);                     \
    }
DEFINE_REPORT(error_report, "")
DEFINE_REPORT(warn_report, "warning: ")
DEFINE_REPORT(info_report, "info: ")

int log_parse_items(const char *str, char **bad)
{
    g_auto(GStrv) words = g_strsplit(str, ",", -1);
    int mask = 0;

    for (char **w = words; *w; w++) {
        const LogItem *i = log_items;
        if (g_str_has_prefix(*w, "trace:")) {
            if (!trace_set_pattern(*w + 6, true)) {
                *bad = g_strdup(*w);
                return -1;
            }
            mask |= LOG_TRACE;
            continue;
        }
        while (i->mask && strcmp(i->name, *w) != 0) {
            i++;
        }
        if (!i->mask) {
            *bad = g_strdup(*w);
            return -1;
        }
        mask |= i->mask;
    }
    return mask;
}

bool log_set_file(const char *path)
{
    FILE *f = NULL;

    if (path) {
        f = fopen(path, "we");
        if (!f) {
            return false;
        }
        setlinebuf(f);
    }
    if (log_file) {
        fclose(log_file);
    }
    log_file = f;
    return true;
}

void log_write(const char *fmt, ...)
{
    FILE *f = log_file ? log_file : stderr;
    va_list ap;

    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
}
