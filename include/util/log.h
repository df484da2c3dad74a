/*
 * Messages to the operator (stderr, or the file of -D) and -d debug logging.
 *
 * Any thread may call these; a line is written whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_UTIL_LOG_H
#define FERRY_UTIL_LOG_H

#include <glib.h>
#include <stdbool.h>

/* "PROGRAM: message", one line, no trailing newline in fmt. */
void error_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void warn_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void info_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* -msg timestamp=on / guest-name=on; set during start-up only (main thread). */
void log_set_timestamp(bool on);
void log_set_guest_name(const char *name);
void log_set_program(const char *argv0);

/* Items of -d (also `log` in HMP). */
enum {
    LOG_GUEST_ERROR = 1 << 0, /* the guest did something a machine would not */
    LOG_UNIMP = 1 << 1,       /* access to hardware that is not modelled */
    LOG_INT = 1 << 2,         /* interrupts and exceptions of the software CPU */
    LOG_CPU = 1 << 3,         /* CPU state at each exit of the software CPU */
    LOG_IN_ASM = 1 << 4,      /* instructions of the software CPU */
    LOG_TRACE = 1 << 5,       /* trace events */
};
typedef struct LogItem {
    int mask;
    const char *name;
    const char *help;
} LogItem;
extern const LogItem log_items[]; /* ends with mask 0 */

extern int log_mask; /* written by -d and HMP `log`, read racily by any thread */

/* Parse "a,b,trace:PATTERN" of -d into a mask; -1 with *bad set to the unknown item. */
int log_parse_items(const char *str, char **bad);
/* -D FILE; NULL goes back to stderr.  False with errno set when it cannot be opened. */
bool log_set_file(const char *path);

#define log_mask_enabled(m) G_UNLIKELY((log_mask & (m)) != 0)
void log_write(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
#define log_debug(m, ...)                   \
    do {                                    \
        if (log_mask_enabled(m)) {          \
            log_write(__VA_ARGS__);         \
        }                                   \
    } while (0)

#endif
