/*
 * Unit tests of util/options: text and JSON option strings, takers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "util/options.h"

static void check(const char *text, const char *implied, const char *want)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(JsonObject) o = options_parse(text, implied, &err);
    g_autoptr(JsonNode) want_node = json_from_string(want, NULL);
    g_autoptr(JsonNode) got = json_node_new(JSON_NODE_OBJECT);

    g_assert_no_error(err);
    json_node_set_object(got, o);
    if (!json_node_equal(got, want_node)) {
        g_autofree char *s = json_to_string(got, FALSE);
        g_error("'%s' gives %s, not %s", text, s, want);
    }
}

static void check_bad(const char *text, const char *implied, const char *want)
{
    g_autoptr(Error) err = NULL;

    g_assert_null(options_parse(text, implied, &err));
    g_assert_nonnull(strstr(err->message, want));
}

static void test_text(void)
{
    check("", "b", "{}");
    check("socket", "b", "{\"b\":\"socket\"}");
    check("a,b=c,d=1", NULL, "{\"a\":\"on\",\"b\":\"c\",\"d\":\"1\"}");
    check("kvm,a=x", "accel", "{\"accel\":\"kvm\",\"a\":\"x\"}");
    check("id=x,path=/a,,b,,,wait=off", "b", "{\"id\":\"x\",\"path\":\"/a,b,\",\"wait\":\"off\"}");
    check("/a,,b,c=d", "path", "{\"path\":\"/a,b\",\"c\":\"d\"}");
    check("a=1,a=2", NULL, "{\"a\":\"2\"}");
    check("a=b=c", NULL, "{\"a\":\"b=c\"}");
    check("a=,b=", NULL, "{\"a\":\"\",\"b\":\"\"}");
    check("a=x,,", NULL, "{\"a\":\"x,\"}");
    check("a=x,", NULL, "{\"a\":\"x\"}");
    check_bad("=x", NULL, "NAME=VALUE");
    check_bad("a,=x", NULL, "NAME=VALUE");
    check_bad("a,,b", NULL, "NAME=VALUE");
}

static void test_dotted(void)
{
    check("a.b=1,a.c.d=2", NULL, "{\"a\":{\"b\":\"1\",\"c\":{\"d\":\"2\"}}}");
    check("fd.0=x,fd.1=y", NULL, "{\"fd\":[\"x\",\"y\"]}");
    check("fd.0.p=x,fd.1.p=y", NULL, "{\"fd\":[{\"p\":\"x\"},{\"p\":\"y\"}]}");
    check("fd.0=x,fd.2=y", NULL, "{\"fd\":{\"0\":\"x\",\"2\":\"y\"}}");
    check_bad("a=1,a.b=2", NULL, "group");
    check_bad("a.b=2,a=1", NULL, "group");
    check_bad("a..b=2", NULL, "a..b");
    check_bad(".a=2", NULL, ".a");

    g_autoptr(Error) err = NULL;
    g_autoptr(JsonObject) flat = options_parse_flat("migration.x=on", NULL, &err);
    g_assert_no_error(err);
    g_assert_cmpstr(json_object_get_string_member(flat, "migration.x"), ==, "on");
}

static void test_json(void)
{
    check("{\"a\":1,\"b\":{\"c\":[true]}}", "x", "{\"a\":1,\"b\":{\"c\":[true]}}");
    check_bad("{\"a\":", NULL, "JSON");
    check_bad("{", NULL, "JSON");
}

static void test_takers(void)
{
    static const char *const modes[] = { "off", "on", "auto", NULL };
    g_autoptr(Error) err = NULL;
    g_autoptr(JsonObject) o =
        options_parse("s=hi,b=off,n=12,z=3,m=auto,bad=maybe,big=99,x=1", NULL, &err);
    g_autoptr(JsonObject) j = options_parse("{\"b\":true,\"n\":7,\"z\":4096}", NULL, &err);
    g_autofree char *s = NULL;
    bool b = true;
    uint64_t n = 0;
    int m = 0;

    g_assert_true(options_take_str(o, "s", &s, &err) && strcmp(s, "hi") == 0);
    g_assert_true(options_take_str(o, "s", &s, &err) && strcmp(s, "hi") == 0);
    g_assert_true(options_take_bool(o, "b", &b, &err) && !b);
    g_assert_true(options_take_u64(o, "n", 100, &n, &err) && n == 12);
    g_assert_true(options_take_size(o, "z", 'M', &n, &err) && n == 3 << 20);
    g_assert_true(options_take_enum(o, "m", modes, &m, &err) && m == 2);
    g_assert_true(options_take_bool(j, "b", &b, &err) && b);
    g_assert_true(options_take_u64(j, "n", 100, &n, &err) && n == 7);
    g_assert_true(options_take_size(j, "z", 'M', &n, &err) && n == 4096);
    g_assert_true(options_finish(j, "-x", &err));
    g_assert_no_error(err);
    g_assert_false(options_take_bool(o, "bad", &b, &err));
    g_assert_nonnull(strstr(err->message, "'bad' expects 'on' or 'off', not 'maybe'"));
    g_clear_error(&err);
    g_assert_false(options_take_u64(o, "big", 98, &n, &err));
    g_assert_nonnull(strstr(err->message, "0 to 98"));
    g_clear_error(&err);
    g_assert_false(options_finish(o, "-chardev", &err));
    g_assert_cmpstr(err->message, ==, "-chardev: unknown parameter 'x'");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/text", test_text);
    g_test_add_func("/options/dotted", test_dotted);
    g_test_add_func("/options/json", test_json);
    g_test_add_func("/options/takers", test_takers);
    return g_test_run();
}
