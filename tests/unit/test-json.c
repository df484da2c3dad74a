/*
 * JSON parser and splitter: values, cuts, garbage, limits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "qapi/json.h"
#include "qapi/visit.h"

static char *reprint(const char *text)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(JsonNode) node = json_parse_text(text, strlen(text), &err);

    return node ? json_print(node, false) : g_strdup(error_get_pretty(err));
}

static void test_values(void)
{
    static const struct { const char *in, *out; } rows[] = {
        { "{}", "{}" },
        { "[1e18, -2.0E+20, \"1e+18.0\", \"\\\"e+1.0\", 1e-9]",
          "[1e+18,-2e+20,\"1e+18.0\",\"\\\"e+1.0\",1.0000000000000001e-09]" },
        { " [ 1 , -2 ] ", "[1,-2]" },
        { "{'a':'b'}", "{\"a\":\"b\"}" },
        { "\"\\u00e9\\n\\\"\"", "\"\303\251\\n\\\"\"" },
        { "\"\\ud83d\\ude00\"", "\"\360\237\230\200\"" },
        { "true", "true" }, { "null", "null" },
        { "9223372036854775807", "9223372036854775807" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "[1.5,1e3]", "[1.5,1000.0]" },
        { "{\"a\":{\"b\":[[],{}]}}", "{\"a\":{\"b\":[[],{}]}}" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *out = reprint(rows[i].in);
        g_assert_cmpstr(out, ==, rows[i].out);
    }
}

static void test_exact_integers(void)
{
    g_autoptr(JsonNode) big = json_parse_text("18446744073709551615", 20, NULL);
    g_autoptr(JsonNode) huge = json_parse_text("18446744073709551616", 20, NULL);
    g_autoptr(JsonNode) odd = json_parse_text("9007199254740993", 16, NULL);
    uint64_t v;

    g_assert_true(qapi_parse_uint64(big, NULL, &v, NULL));
    g_assert_cmpuint(v, ==, UINT64_MAX);
    g_assert_cmpint(qapi_json_kind(huge), ==, QAPI_JSON_NUMBER);
    g_assert_true(qapi_parse_uint64(odd, NULL, &v, NULL));
    g_assert_cmpuint(v, ==, 9007199254740993ULL);
}

static void test_bad(void)
{
    static const char *const rows[] = {
        "", "{", "}", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "01", "1.", "+1", ".5", "tru",
        "nan", "\"\\x\"", "\"\\ud800\"", "\"\\u0000\"", "\"a", "\"\n\"", "1 2", "[1 2]",
        "{\"a\":1,\"a\":2}", "\"\377\"", "1e999", "// x\n1", "/* x */ 1", "var x = 1",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Error) err = NULL;
        g_autoptr(JsonNode) node = json_parse_text(rows[i], strlen(rows[i]), &err);

        g_assert_null(node);
        g_assert_nonnull(err);
    }
    /* An integer that not even a double can hold. */
    g_autofree char *nines = g_strnfill(400, '9');
    g_assert_null(json_parse_text(nines, 400, NULL));
}

static void test_depth(void)
{
    g_autoptr(GString) ok = g_string_new(NULL), deep = g_string_new(NULL);

    for (int i = 0; i < JSON_MAX_DEPTH; i++) {
        g_string_append_c(ok, '[');
    }
    for (int i = 0; i < JSON_MAX_DEPTH; i++) {
        g_string_append_c(ok, ']');
    }
    g_string_append(deep, "[");
    g_string_append(deep, ok->str);
    g_string_append(deep, "]");
    g_autoptr(JsonNode) a = json_parse_text(ok->str, ok->len, NULL);
    g_autoptr(JsonNode) b = json_parse_text(deep->str, deep->len, NULL);
    g_assert_nonnull(a);
    g_assert_null(b);
}

/* What a splitter reported: values as text, "!" for garbage. */
static void collect(void *opaque, JsonNode *node, Error *err)
{
    GString *log = opaque;

    g_assert_true(!node != !err);
    if (node) {
        g_autofree char *text = json_print(node, false);
        g_string_append_printf(log, "%s;", text);
        json_node_unref(node);
    } else {
        g_string_append(log, "!;");
        g_error_free(err);
    }
}

/* Feed in pieces of `step` bytes. */
static char *split(const char *text, size_t len, size_t step)
{
    g_autoptr(GString) log = g_string_new(NULL);
    JsonSplitter s;

    json_splitter_init(&s, collect, log);
    for (size_t at = 0; at < len; at += step) {
        json_splitter_feed(&s, text + at, MIN(step, len - at));
    }
    json_splitter_clear(&s);
    return g_string_free(g_steal_pointer(&log), FALSE);
}

static void test_split(void)
{
    static const struct { const char *in, *out; } rows[] = {
        { "{\"a\":1}{\"b\":2}\r\n", "{\"a\":1};{\"b\":2};" },
        { "{\"a\":\"}]{\\\"\"}\n", "{\"a\":\"}]{\\\"\"};" },
        { "1 true \"x\" null\n", "1;true;\"x\";null;" },
        { "{'a':'\"'}\n", "{\"a\":\"\\\"\"};" },
        { "{\"a\":[}\n{}\n", "!;{};" },
        { "}\n{}\n", "!;{};" },
        { "foo\n{}\n", "!;{};" },
        { "{\"a\":\"x\n{}\n", "!;{};" },
        { "{\"a\" 1}{}\n", "!;{};" },
        { "{\"a\":\377{}\n", "!;{};" },
        { "\377{\"b\":2}\n", "!;{\"b\":2};" },
        { "{\"a\":\n\t1\n}\n", "{\"a\":1};" },
        { "[[1],[2]]", "[[1],[2]];" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (size_t step = 1; step < 8; step++) {
            g_autofree char *out = split(rows[i].in, strlen(rows[i].in), step);
            g_assert_cmpstr(out, ==, rows[i].out);
        }
    }
}

static void test_split_limits(void)
{
    g_autofree char *deep = g_strnfill(JSON_MAX_DEPTH + 1, '[');
    g_autoptr(GString) large = g_string_new("\"");
    g_autofree char *out = NULL;

    out = split(deep, strlen(deep), 100);
    g_assert_cmpstr(out, ==, "!;");
    g_free(out);
    for (unsigned i = 0; i <= JSON_MAX_BYTES; i++) {
        g_string_append_c(large, 'x');
    }
    g_string_append(large, "\"\n1\n");
    out = split(large->str, large->len, 65536);
    g_assert_cmpstr(out, ==, "!;1;");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/values", test_values);
    g_test_add_func("/json/exact-integers", test_exact_integers);
    g_test_add_func("/json/bad", test_bad);
    g_test_add_func("/json/depth", test_depth);
    g_test_add_func("/json/split", test_split);
    g_test_add_func("/json/split-limits", test_split_limits);
    return g_test_run();
}
