/*
 * The human monitor's commands.
 *
 * Each folder has tables of HmpCommand rows and hands them over with HMP_COMMANDS()
 * (commands) or HMP_INFO() (sub-commands of `info`).  Commands run in the main thread
 * under the machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MONITOR_HMP_H
#define FERRY_MONITOR_HMP_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "system/cpus.h"
#include "util/error.h"

/* The session that a command runs in. */
typedef struct HmpSession HmpSession;

/* One line or more of output; lines end in '\n'. */
void hmp_printf(HmpSession *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void hmp_puts(HmpSession *s, const char *text);
/* "Error: ..." when err is set (frees it); returns true then. */
bool hmp_error(HmpSession *s, Error *err);
/* CPU chosen with `cpu N` (default: the first); NULL when the machine has none. */
CPUState *hmp_cpu(HmpSession *s);

/*
 * A command that goes on after it returned (migrate without -d): the session takes no
 * further input until hmp_resume().  False where that is not possible (human-monitor-command).
 * Output in between is shown by hmp_flush().
 */
bool hmp_suspend(HmpSession *s);
void hmp_resume(HmpSession *s);
void hmp_flush(HmpSession *s);

/*
 * One command.  `args` describes its arguments, separated with commas, each NAME:TYPE:
 *   s  word, or "quoted string"       S  the rest of the line
 *   i  32-bit, l  64-bit expression   o  size in bytes, suffix k/M/G/T (default M)
 *   b  on|off                         -X flag: true when -X is given (absent else)
 *   /  memory dump format: members "count", "format", "size"
 * A '?' behind the type makes it optional (the member is then absent).  Flags come
 * first.  Parsed arguments are members of a JsonObject: strings, integers, booleans.
 */
typedef struct HmpCommand {
    const char *name;   /* "migrate"; with a short form: "stop|s" */
    const char *args;   /* as above; "" for none */
    const char *params; /* for help: "[-d] uri" */
    const char *help;   /* one line */
    void (*run)(HmpSession *s, JsonObject *args);
    /*
     * Add to `list` (of char *, owned by it) what argument number nr (0: the first
     * behind the command or info sub-command) may be; words that do not begin with
     * `prefix` are dropped.  NULL: no completion.
     */
    void (*complete)(GPtrArray *list, int nr, const char *prefix);
} HmpCommand;

/* cmds ends with name NULL and lives for ever. */
void hmp_command_register(const HmpCommand *cmds);
void hmp_info_register(const HmpCommand *cmds);

/* At file scope, behind a `static const HmpCommand TABLE[]`. */
#define HMP_COMMANDS(table)                                                 \
    static void __attribute__((constructor)) hmp_register_##table(void)     \
    {                                                                       \
        hmp_command_register(table);                                        \
    }
#define HMP_INFO(table)                                                     \
    static void __attribute__((constructor)) hmp_register_##table(void)     \
    {                                                                       \
        hmp_info_register(table);                                           \
    }

/* Helpers for `complete`: add a copy / every name of a NULL-terminated list. */
void hmp_complete_add(GPtrArray *list, const char *word);
void hmp_complete_names(GPtrArray *list, const char *const *names);

/* Members of args, with a default for those absent. */
const char *hmp_arg_str(JsonObject *args, const char *name); /* NULL: absent */
int64_t hmp_arg_int(JsonObject *args, const char *name, int64_t def);
bool hmp_arg_bool(JsonObject *args, const char *name);

#endif
