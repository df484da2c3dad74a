/*
 * The human monitor: tables of commands, running a line, completing one, help.
 *
 * Tables are filled by constructors; the rest is main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdarg.h>
#include <string.h>

#include "monitor/hmp-internal.h"
#include "monitor/monitor.h"

static GPtrArray *tables[2]; /* [info]: of const HmpCommand *; constructors only */

static void add_rows(int info, const HmpCommand *cmds)
{
    if (!tables[info]) {
        tables[info] = g_ptr_array_new();
    }
    for (; cmds->name; cmds++) {
        g_ptr_array_add(tables[info], (gpointer)cmds);
    }
}

void hmp_command_register(const HmpCommand *cmds)
{
    add_rows(0, cmds);
}

void hmp_info_register(const HmpCommand *cmds)
{
    add_rows(1, cmds);
}

static gint compare_rows(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const HmpCommand *const *)a)->name, (*(const HmpCommand *const *)b)->name);
}

GPtrArray *hmp_table(bool info)
{
    if (!tables[info]) {
        tables[info] = g_ptr_array_new();
    }
    g_ptr_array_sort(tables[info], compare_rows);
    return tables[info];
}

bool hmp_name_matches(const char *names, const char *word)
{
    g_auto(GStrv) list = g_strsplit(names, "|", -1);

    return g_strv_contains((const char *const *)list, word);
}

const HmpCommand *hmp_find(bool info, const char *word)
{
    GPtrArray *t = hmp_table(info);

    for (guint i = 0; i < t->len; i++) {
        const HmpCommand *c = g_ptr_array_index(t, i);
        if (hmp_name_matches(c->name, word)) {
            return c;
        }
    }
    return NULL;
}

void hmp_puts(HmpSession *s, const char *text)
{
    g_string_append(s->out, text);
}

void hmp_printf(HmpSession *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(s->out, fmt, ap);
    va_end(ap);
}

bool hmp_error(HmpSession *s, Error *err)
{
    if (!err) {
        return false;
    }
    hmp_printf(s, "Error: %s\n", error_get_pretty(err));
    g_error_free(err);
    return true;
}

bool hmp_suspend(HmpSession *s)
{
    s->suspended = s->flush != NULL;
    return s->suspended;
}

void hmp_resume(HmpSession *s)
{
    s->suspended = false;
    s->resume(s);
}

void hmp_flush(HmpSession *s)
{
    if (s->flush) {
        s->flush(s);
    }
}

CPUState *hmp_cpu(HmpSession *s)
{
    CPUState *cpu = s->cpu_index >= 0 ? cpu_by_index(s->cpu_index) : NULL;

    return cpu ? cpu : cpu_first();
}

static char *take_name(const char **p)
{
    const char *start;

    while (g_ascii_isspace(**p)) {
        (*p)++;
    }
    start = *p;
    while (**p && !g_ascii_isspace(**p) && **p != '/') {
        (*p)++;
    }
    return g_strndup(start, *p - start);
}

static void print_help(HmpSession *s, bool info, const char *name)
{
    GPtrArray *t = hmp_table(info);

    for (guint i = 0; i < t->len; i++) {
        const HmpCommand *c = g_ptr_array_index(t, i);
        if (!name || hmp_name_matches(c->name, name)) {
            hmp_printf(s, "%s%s%s%s -- %s\n", info ? "info " : "", c->name,
                       c->params && *c->params ? " " : "", c->params ? c->params : "", c->help);
        }
    }
}

static void cmd_help(HmpSession *s, JsonObject *args)
{
    g_auto(GStrv) words = g_strsplit(hmp_arg_str(args, "name") ? hmp_arg_str(args, "name") : "",
                                     " ", 2);
    const char *name = words[0] && *words[0] ? words[0] : NULL;

    if (name && !strcmp(name, "info") && (!words[1] || hmp_find(true, words[1]))) {
        print_help(s, true, words[1]);
    } else if (name && !hmp_find(false, name)) {
        hmp_printf(s, "unknown command: '%s'\n", name);
    } else {
        print_help(s, false, name);
    }
}

/* `name` is how the user called the command. */
static void run_row(HmpSession *s, const HmpCommand *cmd, const char *prefix, const char *name,
                    const char *rest)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(JsonObject) args = hmp_parse_args(s, cmd, rest, &err);

    if (!args) {
        hmp_printf(s, "%s%s: %s\nTry \"help %s%s\" for more information\n", prefix, name,
                   error_get_pretty(err), prefix, name);
        return;
    }
    cmd->run(s, args);
}

static void cmd_info(HmpSession *s, JsonObject *args)
{
    const char *rest = hmp_arg_str(args, "item");
    g_autofree char *name = NULL;
    const HmpCommand *cmd;

    if (!rest || !*rest) {
        print_help(s, true, NULL);
        return;
    }
    name = take_name(&rest);
    cmd = hmp_find(true, name);
    if (!cmd) {
        hmp_printf(s, "unknown command: 'info %s'\n", name);
        return;
    }
    run_row(s, cmd, "info ", name, rest);
}

void hmp_run_line(HmpSession *s, const char *line)
{
    const char *rest = line;
    g_autofree char *name = take_name(&rest);
    const HmpCommand *cmd;

    if (!*name && !*rest) {
        return;
    }
    cmd = hmp_find(false, name);
    if (!cmd) {
        hmp_printf(s, "unknown command: '%s'\n", name);
        return;
    }
    run_row(s, cmd, "", name, rest);
}

char *hmp_execute(const char *line)
{
    HmpSession s = { .out = g_string_new(NULL), .cpu_index = -1 };

    hmp_run_line(&s, line);
    return g_string_free(s.out, FALSE);
}

/* Completion */

void hmp_complete_add(GPtrArray *list, const char *word)
{
    g_ptr_array_add(list, g_strdup(word));
}

void hmp_complete_names(GPtrArray *list, const char *const *names)
{
    for (; *names; names++) {
        hmp_complete_add(list, *names);
    }
}

static void complete_names_of(GPtrArray *list, bool info)
{
    GPtrArray *t = hmp_table(info);

    for (guint i = 0; i < t->len; i++) {
        const HmpCommand *c = g_ptr_array_index(t, i);
        g_auto(GStrv) names = g_strsplit(c->name, "|", -1);
        hmp_complete_names(list, (const char *const *)names);
    }
}

static gint compare_words(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Keep what begins with prefix, sorted. */
static void filter(GPtrArray *list, const char *prefix)
{
    for (guint i = list->len; i-- > 0;) {
        if (!g_str_has_prefix(g_ptr_array_index(list, i), prefix)) {
            g_ptr_array_remove_index(list, i);
        }
    }
    g_ptr_array_sort(list, compare_words);
}

/* Candidates for word number nr of words; flags do not count as arguments. */
static void complete_word(GPtrArray *list, char **words, guint nr)
{
    bool info = nr > 0 && (!strcmp(words[0], "info") ||
                           (nr > 1 && !strcmp(words[0], "help") && !strcmp(words[1], "info")));
    guint first = 1 + (!strcmp(words[0], "info"));
    const HmpCommand *cmd;
    int arg = nr - first;

    if (nr == 0 || (nr == 1 && (!strcmp(words[0], "help") || !strcmp(words[0], "?")))) {
        complete_names_of(list, false);
        return;
    }
    if (info && (nr == 1 || !strcmp(words[0], "help"))) {
        complete_names_of(list, true);
        return;
    }
    cmd = hmp_find(info, words[first - 1]);
    if (!cmd || !cmd->complete) {
        return;
    }
    for (guint i = first; i < nr; i++) {
        arg -= words[i][0] == '-';
    }
    cmd->complete(list, arg, words[nr]);
}

GPtrArray *hmp_complete_line(const char *line)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    const char *p = line;

    for (;;) {
        const char *start;

        while (g_ascii_isspace(*p)) {
            p++;
        }
        start = p;
        while (*p && !g_ascii_isspace(*p)) {
            p++;
        }
        g_ptr_array_add(words, g_strndup(start, p - start));
        if (!*p) {
            break;
        }
    }
    g_ptr_array_add(words, NULL);
    complete_word(list, (char **)words->pdata, words->len - 2);
    filter(list, g_ptr_array_index(words, words->len - 2));
    return list;
}

static const HmpCommand base_commands[] = {
    { "help|?", "name:S?", "[cmd]", "show the help of all commands or of one", cmd_help },
    { "info", "item:S?", "[subcommand]", "show various information about the machine", cmd_info },
    { NULL },
};
HMP_COMMANDS(base_commands)
