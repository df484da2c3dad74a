/*
 * Human monitor: arguments, expressions, completion, help, and line editing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "monitor/hmp-internal.h"
#include "monitor/monitor.h"
#include "monitor/readline.h"
#include "system/machine-lock.h"

static void expect(const char *line, const char *output)
{
    g_autofree char *out = hmp_execute(line);

    g_assert_cmpstr(out, ==, output);
}

static void echo_args(HmpSession *s, JsonObject *args)
{
    g_autoptr(JsonNode) n = json_node_init_object(json_node_alloc(), args);
    g_autofree char *text = json_to_string(n, FALSE);

    hmp_printf(s, "%s\n", text);
}

static void complete_fruit(GPtrArray *list, int nr, const char *prefix)
{
    static const char *const fruit[] = { "apple", "apricot", "banana", NULL };
    static const char *const second[] = { "ripe", "rotten", NULL };

    hmp_complete_names(list, nr == 0 ? fruit : second);
}

static const HmpCommand test_commands[] = {
    { "test-args|ta", "force:-f,name:s,count:i,rest:S?", "[-f] name count [rest]", "test",
      echo_args, complete_fruit },
    { "test-types", "size:o,on:b,addr:l?", "size on|off [addr]", "test", echo_args },
    { "test-dump", "fmt:/,addr:l", "/fmt addr", "test", echo_args },
    { NULL },
};
HMP_COMMANDS(test_commands)

static void test_arguments(void)
{
    expect("test-args x 3", "{\"name\":\"x\",\"count\":3}\n");
    expect("ta -f \"a b\\n\" 1+2*3 and the rest",
           "{\"force\":true,\"name\":\"a b\\n\",\"count\":7,\"rest\":\"and the rest\"}\n");
    expect("test-types 2 on", "{\"size\":2097152,\"on\":true}\n");
    expect("test-types 4k off 0x10", "{\"size\":4096,\"on\":false,\"addr\":16}\n");
    expect("test-dump/4xb 0x7c00", "{\"count\":4,\"format\":\"x\",\"size\":1,\"addr\":31744}\n");
    expect("test-dump /2dg 8", "{\"count\":2,\"format\":\"d\",\"size\":8,\"addr\":8}\n");
    expect("test-dump 8", "{\"addr\":8}\n");
    expect("", "");
    expect("   ", "");
}

static void test_argument_errors(void)
{
    static const struct { const char *line, *message; } rows[] = {
        { "test-args x", "argument 'count' is missing" },
        { "test-args -x y 1", "unsupported option -x" },
        { "test-args", "argument 'name' is missing" },
        { "test-args \"x 3", "unterminated string" },
        { "test-args x 0x100000000", "'count' is more than 32 bits" },
        { "test-args x (1", "')' expected" },
        { "test-args x 1/0", "division by zero" },
        { "test-args x 1y", "invalid char 'y' in expression" },
        { "test-types 2 perhaps", "Expected 'on' or 'off'" },
        { "test-types big on", "'big' is not a size" },
        { "test-types 1 on 2 3", "extraneous characters at the end of line: '3'" },
        { "test-dump /3i 0", "format 'i' (disassembly) is not supported" },
        { "test-dump /q 0", "invalid char in format: 'q'" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *out = hmp_execute(rows[i].line);
        g_test_message("%s -> %s", rows[i].line, out);
        g_assert_nonnull(strstr(out, rows[i].message));
    }
    expect("nosuch", "unknown command: 'nosuch'\n");
    expect("info nosuch", "unknown command: 'info nosuch'\n");
}

static void test_expressions(void)
{
    expect("print 1+2*3", "0x7\n");
    expect("p /x (1<2)", "p: ')' expected\nTry \"help p\" for more information\n");
    expect("p/x 0xff & 0x0f | 0x100", "0x10f\n");
    expect("p/x ~0", "0xffffffffffffffff\n");
    expect("p/u -1", "18446744073709551615\n");
    expect("p/d -(2 - 5) * 010", "24\n");
    expect("p 'A'", "0x41\n");
    expect("p/c 65", "'A'\n");
    expect("p/o 8", "010\n");
    expect("p 7 % 4", "0x3\n");
}

static void test_help(void)
{
    expect("help test-args", "test-args|ta [-f] name count [rest] -- test\n");
    expect("help ta", "test-args|ta [-f] name count [rest] -- test\n");
    expect("help nosuch", "unknown command: 'nosuch'\n");
    g_autofree char *all = hmp_execute("help");
    g_autofree char *info = hmp_execute("info");
    g_autofree char *one = hmp_execute("help info status");
    g_assert_nonnull(strstr(all, "quit|q"));
    g_assert_nonnull(strstr(info, "info ramblock"));
    g_assert_true(g_str_has_prefix(one, "info status"));
}

static void expect_words(const char *line, const char *words)
{
    g_autoptr(GPtrArray) list = hmp_complete_line(line);
    g_autoptr(GString) s = g_string_new(NULL);

    for (guint i = 0; i < list->len; i++) {
        g_string_append_printf(s, "%s%s", i ? " " : "", (char *)g_ptr_array_index(list, i));
    }
    g_assert_cmpstr(s->str, ==, words);
}

static void test_completion(void)
{
    expect_words("test-a", "test-args");
    expect_words("test-", "test-args test-dump test-types");
    expect_words("test-args ", "apple apricot banana");
    expect_words("test-args ap", "apple apricot");
    expect_words("test-args -f ap", "apple apricot");
    expect_words("test-args apple r", "ripe rotten");
    expect_words("test-types ", "");
    expect_words("info ramb", "ramblock");
    expect_words("help test-t", "test-types");
    expect_words("help info ramb", "ramblock");
    expect_words("nosuch x", "");
    expect_words("object_del ", "");
}

/* Every command that steers migration is there, completes, and has help. */
static void test_migration_commands(void)
{
    static const char *const names[] = {
        "migrate", "migrate_cancel", "migrate_continue", "migrate_incoming", "migrate_pause",
        "migrate_recover", "migrate_set_capability", "migrate_set_parameter",
        "migrate_start_postcopy", "calc_dirty_rate", "set_vcpu_dirty_limit",
        "cancel_vcpu_dirty_limit", "announce_self", "savevm", "loadvm", "delvm",
        "info migrate", "info migrate_capabilities", "info migrate_parameters",
        "info dirty_rate", "info vcpu_dirty_limit", "info snapshots", "system_wakeup",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *most = g_strndup(names[i], strlen(names[i]) - 1);
        g_autofree char *line = g_strdup_printf("help %s", names[i]);
        g_autofree char *help = hmp_execute(line);
        g_autoptr(GPtrArray) words = hmp_complete_line(most);
        const char *last = strrchr(names[i], ' ');

        g_assert_true(g_str_has_prefix(help, names[i]));
        g_assert_nonnull(strstr(help, " -- "));
        g_assert_true(g_ptr_array_find_with_equal_func(words, last ? last + 1 : names[i],
                                                       g_str_equal, NULL));
    }
    expect_words("migrate_continue ", "pre-switchover");
    expect_words("migrate_set_capability multi", "multifd");
    expect_words("migrate_set_capability multifd ", "off on");
    expect_words("migrate_set_parameter downt", "downtime-limit");
    expect_words("calc_d", "calc_dirty_rate");
}

/* Line editing: what was typed, the lines that came out. */

static GString *lines, *screen;

static void rl_write(void *opaque, const char *text)
{
    g_string_append(screen, text);
}

static void rl_line(void *opaque, const char *line)
{
    g_string_append_printf(lines, "%s;", line);
}

static GPtrArray *rl_complete(void *opaque, const char *head)
{
    return hmp_complete_line(head);
}

static const ReadLineOps ops = { rl_write, rl_line, rl_complete };

static void type(const char *keys, const char *expected)
{
    ReadLine *rl = readline_new(&ops, NULL, "> ", true);

    g_string_truncate(lines, 0);
    for (const char *k = keys; *k; k++) {
        readline_feed(rl, *k);
    }
    g_assert_cmpstr(lines->str, ==, expected);
    readline_free(rl);
}

static void test_readline(void)
{
    lines = g_string_new(NULL);
    screen = g_string_new(NULL);
    type("abc\r", "abc;");
    type("abc\r\ndef\n", "abc;def;");
    type("bc\001a\r", "abc;");                 /* ctrl-a */
    type("ac\033[Db\r", "abc;");               /* left */
    type("xabc\033[H\033[3~\r", "abc;");       /* home, delete */
    type("abcd\177\r", "abc;");                /* backspace */
    type("abc def\027\r", "abc ;");            /* ctrl-w */
    type("abc\025def\r", "def;");              /* ctrl-u */
    type("abcdef\001\006\006\006\013\r", "abc;"); /* ctrl-f, ctrl-k */
    type("one\rtwo\r\033[A\033[A\r", "one;two;one;");
    type("one\rtw\033[A\033[Bo\r", "one;two;");
    type("one\rtwo\rone\r\020\020\r", "one;two;one;two;"); /* repeated lines move up */
    type("test-a\tap\t\r", "test-args ap;");   /* unique, then ambiguous */
    type("test-args b\t3\r", "test-args banana 3;");
    type("\303\251\033[D\177x\r", "x\303\251;"); /* a two-byte character */
    type("a\033[99Xb\033Oz\r", "ab;");         /* unknown keys do nothing */
    g_string_free(lines, TRUE);
    g_string_free(screen, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    machine_lock();
    g_test_add_func("/hmp/arguments", test_arguments);
    g_test_add_func("/hmp/argument-errors", test_argument_errors);
    g_test_add_func("/hmp/expressions", test_expressions);
    g_test_add_func("/hmp/help", test_help);
    g_test_add_func("/hmp/completion", test_completion);
    g_test_add_func("/hmp/migration-commands", test_migration_commands);
    g_test_add_func("/hmp/readline", test_readline);
    return g_test_run();
}
