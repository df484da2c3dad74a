/*
 * Private to the human monitor's files.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HMP_INTERNAL_H
#define FERRY_HMP_INTERNAL_H

#include "monitor/hmp.h"

struct HmpSession {
    GString *out;  /* output of the command that runs */
    int cpu_index; /* -1: the first CPU */
    char format;   /* of the last memory dump: default of the next; 0: none yet */
    unsigned size;
    bool suspended;
    void (*flush)(HmpSession *s);  /* a terminal's: write `out`; NULL without a terminal */
    void (*resume)(HmpSession *s); /* a terminal's */
};

/* hmp.c: tables, arguments, running a line */
void hmp_run_line(HmpSession *s, const char *line);
/* Candidates for the last word of line (which may be empty). GPtrArray of char *. */
GPtrArray *hmp_complete_line(const char *line);
/* Split a row's name ("stop|s"): does word name it? */
bool hmp_name_matches(const char *names, const char *word);
const HmpCommand *hmp_find(bool info, const char *word);
/* All rows, sorted by name. GPtrArray of const HmpCommand *. */
GPtrArray *hmp_table(bool info);

/* hmp-args.c */

/* Parse text by cmd->args into a new object; NULL with errp set. */
JsonObject *hmp_parse_args(HmpSession *s, const HmpCommand *cmd, const char *text, Error **errp);
/* One word or "quoted string" at *p, which moves behind it; NULL with errp set when there is none. */
char *hmp_take_word(const char **p, Error **errp);

/* hmp-expr.c */

/*
 * Integer expression at *p (+ - * / % & ^ | ~, parentheses, $register, 'c'); *p moves
 * behind it.  s gives the CPU for registers.
 */
bool hmp_expression(HmpSession *s, const char **p, int64_t *ret, Error **errp);

#endif
