/*
 * Line editing: cursor keys, history, completion.  No thread of its own; belongs to
 * the main thread with the monitor that has it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "monitor/readline.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 4096, MAX_HISTORY = 64, COLUMNS = 78 };
#define CTRL(c) ((c) & 0x1f)

typedef enum EscState { ESC_NONE, ESC_START, ESC_CSI, ESC_SS3 } EscState;

struct ReadLine {
    const ReadLineOps *ops;
    void *opaque;
    char *prompt;
    bool echo;
    GString *line;
    gsize pos;            /* of the cursor in line, bytes */
    GPtrArray *history;   /* of char *, oldest first */
    guint hist;           /* entry that is shown; history->len: the new line */
    char *unfinished;     /* the new line while older ones are looked at */
    EscState esc;
    int esc_param;
    bool last_cr;
};

ReadLine *readline_new(const ReadLineOps *ops, void *opaque, const char *prompt, bool echo)
{
    ReadLine *rl = g_new0(ReadLine, 1);

    rl->ops = ops;
    rl->opaque = opaque;
    rl->prompt = g_strdup(prompt);
    rl->echo = echo;
    rl->line = g_string_new(NULL);
    rl->history = g_ptr_array_new_with_free_func(g_free);
    return rl;
}

void readline_free(ReadLine *rl)
{
    g_string_free(rl->line, TRUE);
    g_ptr_array_unref(rl->history);
    g_free(rl->unfinished);
    g_free(rl->prompt);
    g_free(rl);
}

static void show(ReadLine *rl, const char *text)
{
    rl->ops->write(rl->opaque, text);
}

/* Redraw the line with the cursor in its place. */
static void redraw(ReadLine *rl)
{
    g_autoptr(GString) out = g_string_new("\r");
    glong behind = g_utf8_strlen(rl->line->str + rl->pos, -1);

    g_string_append(out, rl->prompt);
    g_string_append(out, rl->line->str);
    g_string_append(out, "\x1b[K");
    if (behind > 0) {
        g_string_append_printf(out, "\x1b[%ldD", behind);
    }
    show(rl, out->str);
}

void readline_show(ReadLine *rl)
{
    if (rl->echo && rl->line->len) {
        redraw(rl);
    } else if (rl->echo) {
        show(rl, rl->prompt);
    }
}

void readline_reset(ReadLine *rl)
{
    g_string_truncate(rl->line, 0);
    rl->pos = 0;
    rl->esc = ESC_NONE;
    rl->hist = rl->history->len;
    g_clear_pointer(&rl->unfinished, g_free);
}

static void remember(ReadLine *rl, const char *line)
{
    if (!*line) {
        return;
    }
    for (guint i = 0; i < rl->history->len; i++) {
        if (!strcmp(g_ptr_array_index(rl->history, i), line)) {
            g_ptr_array_remove_index(rl->history, i);
            break;
        }
    }
    if (rl->history->len >= MAX_HISTORY) {
        g_ptr_array_remove_index(rl->history, 0);
    }
    g_ptr_array_add(rl->history, g_strdup(line));
}

static void enter(ReadLine *rl)
{
    g_autofree char *line = g_strdup(rl->line->str);

    if (rl->echo) {
        rl->pos = rl->line->len;
        show(rl, "\n");
        remember(rl, line);
    }
    readline_reset(rl);
    rl->ops->line(rl->opaque, line);
}

static void set_line(ReadLine *rl, const char *text)
{
    g_string_assign(rl->line, text);
    rl->pos = rl->line->len;
}

static void history_move(ReadLine *rl, int step)
{
    if ((step < 0 && rl->hist == 0) || (step > 0 && rl->hist >= rl->history->len)) {
        return;
    }
    if (rl->hist == rl->history->len) {
        g_free(rl->unfinished);
        rl->unfinished = g_strdup(rl->line->str);
    }
    rl->hist += step;
    set_line(rl, rl->hist < rl->history->len ? g_ptr_array_index(rl->history, rl->hist)
                                             : rl->unfinished ? rl->unfinished : "");
}

/* Byte position of the character before/behind the cursor. */
static gsize prev_pos(const ReadLine *rl)
{
    gsize p = rl->pos;

    while (p > 0 && ((unsigned char)rl->line->str[--p] & 0xc0) == 0x80) {
    }
    return p;
}

static gsize next_pos(const ReadLine *rl)
{
    gsize p = rl->pos;

    if (p < rl->line->len) {
        p++;
        while (p < rl->line->len && ((unsigned char)rl->line->str[p] & 0xc0) == 0x80) {
            p++;
        }
    }
    return p;
}

static void erase(ReadLine *rl, gsize from, gsize to)
{
    g_string_erase(rl->line, from, to - from);
    rl->pos = from;
}

static gsize word_start(const ReadLine *rl)
{
    gsize p = rl->pos;

    while (p > 0 && g_ascii_isspace(rl->line->str[p - 1])) {
        p--;
    }
    while (p > 0 && !g_ascii_isspace(rl->line->str[p - 1])) {
        p--;
    }
    return p;
}

static void insert(ReadLine *rl, const char *text)
{
    if (rl->line->len + strlen(text) < MAX_LINE) {
        g_string_insert(rl->line, rl->pos, text);
        rl->pos += strlen(text);
    }
}

/* Length of what all words have in common. */
static gsize common_prefix(GPtrArray *words)
{
    const char *first = g_ptr_array_index(words, 0);
    gsize n = strlen(first);

    for (guint i = 1; i < words->len; i++) {
        const char *w = g_ptr_array_index(words, i);
        gsize k = 0;
        while (k < n && w[k] == first[k]) {
            k++;
        }
        n = k;
    }
    return n;
}

static void list_words(ReadLine *rl, GPtrArray *words)
{
    gsize width = 0;
    guint per_row;

    for (guint i = 0; i < words->len; i++) {
        width = MAX(width, strlen(g_ptr_array_index(words, i)) + 2);
    }
    per_row = MAX(1, COLUMNS / width);
    g_autoptr(GString) out = g_string_new("\n");
    for (guint i = 0; i < words->len; i++) {
        bool end = (i + 1) % per_row == 0 || i + 1 == words->len;
        g_string_append_printf(out, "%-*s%s", end ? 0 : (int)width,
                               (char *)g_ptr_array_index(words, i), end ? "\n" : "");
    }
    show(rl, out->str);
}

static void complete(ReadLine *rl)
{
    g_autofree char *head = g_strndup(rl->line->str, rl->pos);
    g_autoptr(GPtrArray) words = NULL;
    gsize typed, common;

    if (!rl->ops->complete) {
        return;
    }
    words = rl->ops->complete(rl->opaque, head);
    if (!words->len) {
        return;
    }
    for (typed = 0; typed < rl->pos && !g_ascii_isspace(head[rl->pos - typed - 1]); typed++) {
    }
    common = common_prefix(words);
    if (common > typed) {
        g_autofree char *more = g_strndup((char *)g_ptr_array_index(words, 0) + typed,
                                          common - typed);
        insert(rl, more);
    }
    if (words->len == 1) {
        insert(rl, " ");
    } else if (common <= typed) {
        list_words(rl, words);
    }
}

static void csi_key(ReadLine *rl, char ch)
{
    switch (ch) {
    case 'A':
        history_move(rl, -1);
        break;
    case 'B':
        history_move(rl, 1);
        break;
    case 'C':
        rl->pos = next_pos(rl);
        break;
    case 'D':
        rl->pos = prev_pos(rl);
        break;
    case 'H':
        rl->pos = 0;
        break;
    case 'F':
        rl->pos = rl->line->len;
        break;
    case '~':
        if (rl->esc_param == 1 || rl->esc_param == 7) {
            rl->pos = 0;
        } else if (rl->esc_param == 4 || rl->esc_param == 8) {
            rl->pos = rl->line->len;
        } else if (rl->esc_param == 3) {
            erase(rl, rl->pos, next_pos(rl));
        }
        break;
    }
}

static void escape_key(ReadLine *rl, char ch)
{
    if (rl->esc == ESC_START) {
        rl->esc = ch == '[' ? ESC_CSI : ch == 'O' ? ESC_SS3 : ESC_NONE;
        rl->esc_param = 0;
        return;
    }
    if (rl->esc == ESC_CSI && (g_ascii_isdigit(ch) || ch == ';')) {
        rl->esc_param = g_ascii_isdigit(ch) ? (rl->esc_param * 10 + ch - '0') % 1000 : 0;
        return;
    }
    rl->esc = ESC_NONE;
    csi_key(rl, ch);
    redraw(rl);
}

static void control_key(ReadLine *rl, char ch)
{
    switch (ch) {
    case CTRL('A'):
        rl->pos = 0;
        break;
    case CTRL('E'):
        rl->pos = rl->line->len;
        break;
    case CTRL('B'):
        rl->pos = prev_pos(rl);
        break;
    case CTRL('F'):
        rl->pos = next_pos(rl);
        break;
    case CTRL('D'):
        erase(rl, rl->pos, next_pos(rl));
        break;
    case CTRL('H'):
    case 0x7f:
        erase(rl, prev_pos(rl), rl->pos);
        break;
    case CTRL('K'):
        g_string_truncate(rl->line, rl->pos);
        break;
    case CTRL('U'):
        erase(rl, 0, rl->pos);
        break;
    case CTRL('W'):
        erase(rl, word_start(rl), rl->pos);
        break;
    case CTRL('P'):
        history_move(rl, -1);
        break;
    case CTRL('N'):
        history_move(rl, 1);
        break;
    case CTRL('L'):
        show(rl, "\x1b[2J\x1b[1;1H");
        break;
    case '\t':
        complete(rl);
        break;
    case 0x1b:
        rl->esc = ESC_START;
        return;
    default:
        return;
    }
    redraw(rl);
}

void readline_feed(ReadLine *rl, char ch)
{
    bool after_cr = rl->last_cr;

    rl->last_cr = ch == '\r';
    if (ch == '\n' && after_cr) {
        return; /* second half of CR LF */
    }
    if (ch == '\r' || ch == '\n') {
        enter(rl);
    } else if (!rl->echo) {
        char text[2] = { ch, 0 };
        rl->pos = rl->line->len;
        insert(rl, text);
    } else if (rl->esc != ESC_NONE) {
        escape_key(rl, ch);
    } else if ((unsigned char)ch < 0x20 || ch == 0x7f) {
        control_key(rl, ch);
    } else {
        char text[2] = { ch, 0 };
        insert(rl, text);
        if (rl->pos == rl->line->len) {
            show(rl, text);
        } else {
            redraw(rl);
        }
    }
}
