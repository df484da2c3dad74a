/*
 * Line editing on a terminal: bytes in, a line out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_READLINE_H
#define FERRY_READLINE_H

#include <glib.h>
#include <stdbool.h>

typedef struct ReadLine ReadLine;

typedef struct ReadLineOps {
    void (*write)(void *opaque, const char *text);     /* to the terminal */
    void (*line)(void *opaque, const char *line);      /* Enter was pressed */
    GPtrArray *(*complete)(void *opaque, const char *line_to_cursor); /* of char *, sorted */
} ReadLineOps;

/* echo false: no editing and no prompt, only lines. ops live as long as the object. */
ReadLine *readline_new(const ReadLineOps *ops, void *opaque, const char *prompt, bool echo);
void readline_free(ReadLine *rl);
void readline_feed(ReadLine *rl, char ch);
/* Print the prompt and what is typed so far. */
void readline_show(ReadLine *rl);
/* Forget what is typed. */
void readline_reset(ReadLine *rl);

#endif
