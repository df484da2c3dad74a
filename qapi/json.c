/*
 * JSON text: strict parser, splitter of a byte stream, printer.  Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi/json.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qapi/visit.h"

typedef struct Cursor {
    const char *p, *end;
    unsigned depth;
} Cursor;

static JsonNode *parse_value(Cursor *c, Error **errp);

static bool parse_error(Error **errp, const char *what)
{
    error_setg(errp, "JSON parse error, %s", what);
    return false;
}

static void skip_space(Cursor *c)
{
    while (c->p < c->end && strchr(" \t\r\n", *c->p) && *c->p) {
        c->p++;
    }
}

/* Take ch if it is next. */
static bool take(Cursor *c, char ch)
{
    skip_space(c);
    if (c->p < c->end && *c->p == ch) {
        c->p++;
        return true;
    }
    return false;
}

static bool parse_hex4(Cursor *c, uint32_t *ret)
{
    uint32_t v = 0;

    if (c->end - c->p < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        int d = g_ascii_xdigit_value(*c->p++);
        if (d < 0) {
            return false;
        }
        v = v * 16 + d;
    }
    *ret = v;
    return true;
}

/* After "\u": one character, from a pair of surrogates if need be. */
static bool parse_unicode(Cursor *c, GString *out, Error **errp)
{
    uint32_t hi, lo;

    if (!parse_hex4(c, &hi)) {
        return parse_error(errp, "\\u needs four hexadecimal digits");
    }
    if (hi >= 0xd800 && hi < 0xdc00) {
        if (c->end - c->p < 6 || c->p[0] != '\\' || c->p[1] != 'u') {
            return parse_error(errp, "lone surrogate in a string");
        }
        c->p += 2;
        if (!parse_hex4(c, &lo) || lo < 0xdc00 || lo > 0xdfff) {
            return parse_error(errp, "lone surrogate in a string");
        }
        hi = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
    } else if (hi >= 0xdc00 && hi <= 0xdfff) {
        return parse_error(errp, "lone surrogate in a string");
    }
    if (hi == 0) {
        return parse_error(errp, "\\u0000 in a string is not supported");
    }
    g_string_append_unichar(out, hi);
    return true;
}

static bool parse_escape(Cursor *c, GString *out, Error **errp)
{
    static const char from[] = "bfnrt\"'\\/", to[] = "\b\f\n\r\t\"'\\/";
    const char *f;

    if (c->p == c->end) {
        return parse_error(errp, "unfinished string");
    }
    if (*c->p == 'u') {
        c->p++;
        return parse_unicode(c, out, errp);
    }
    f = *c->p ? strchr(from, *c->p) : NULL;
    if (!f) {
        return parse_error(errp, "invalid escape sequence in a string");
    }
    g_string_append_c(out, to[f - from]);
    c->p++;
    return true;
}

/* The cursor is behind the opening quote. */
static char *parse_string(Cursor *c, char quote, Error **errp)
{
    g_autoptr(GString) out = g_string_new(NULL);

    while (c->p < c->end && *c->p != quote) {
        if ((unsigned char)*c->p < 0x20) {
            parse_error(errp, "control character in a string");
            return NULL;
        }
        if (*c->p == '\\') {
            c->p++;
            if (!parse_escape(c, out, errp)) {
                return NULL;
            }
        } else {
            g_string_append_c(out, *c->p++);
        }
    }
    if (c->p == c->end) {
        parse_error(errp, "unfinished string");
        return NULL;
    }
    c->p++;
    if (!g_utf8_validate(out->str, out->len, NULL)) {
        parse_error(errp, "invalid UTF-8 sequence in string");
        return NULL;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static bool take_string(Cursor *c, char **ret, Error **errp)
{
    char quote;

    *ret = NULL;
    if (take(c, '"')) {
        quote = '"';
    } else if (take(c, '\'')) {
        quote = '\'';
    } else {
        return false;
    }
    *ret = parse_string(c, quote, errp);
    return true;
}

static JsonNode *parse_object(Cursor *c, Error **errp)
{
    g_autoptr(JsonObject) obj = json_object_new();

    if (take(c, '}')) {
        return qapi_node_object(g_steal_pointer(&obj));
    }
    do {
        g_autofree char *key = NULL;
        JsonNode *value;

        if (!take_string(c, &key, errp)) {
            parse_error(errp, "key is not a string in object");
            return NULL;
        }
        if (!key) {
            return NULL;
        }
        if (json_object_has_member(obj, key)) {
            parse_error(errp, "duplicate key");
            return NULL;
        }
        if (!take(c, ':')) {
            parse_error(errp, "missing : in object pair");
            return NULL;
        }
        value = parse_value(c, errp);
        if (!value) {
            return NULL;
        }
        json_object_set_member(obj, key, value);
    } while (take(c, ','));
    if (!take(c, '}')) {
        parse_error(errp, "expected separator in dict");
        return NULL;
    }
    return qapi_node_object(g_steal_pointer(&obj));
}

static JsonNode *parse_array(Cursor *c, Error **errp)
{
    g_autoptr(JsonArray) array = json_array_new();

    if (take(c, ']')) {
        return qapi_node_array(g_steal_pointer(&array));
    }
    do {
        JsonNode *value = parse_value(c, errp);
        if (!value) {
            return NULL;
        }
        json_array_add_element(array, value);
    } while (take(c, ','));
    if (!take(c, ']')) {
        parse_error(errp, "expected separator in list");
        return NULL;
    }
    return qapi_node_array(g_steal_pointer(&array));
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? ; *ret_int: without the last two */
static bool is_number(const char *s, bool *ret_int)
{
    s += *s == '-';
    if (!g_ascii_isdigit(*s) || (*s == '0' && g_ascii_isdigit(s[1]))) {
        return false;
    }
    s += strspn(s, "0123456789");
    *ret_int = !*s;
    if (*s == '.') {
        s++;
        if (!g_ascii_isdigit(*s)) {
            return false;
        }
        s += strspn(s, "0123456789");
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        if (!g_ascii_isdigit(*s)) {
            return false;
        }
        s += strspn(s, "0123456789");
    }
    return !*s;
}

/* A number, true, false or null. */
static JsonNode *parse_word(Cursor *c, Error **errp)
{
    const char *start = c->p;
    bool is_int;

    while (c->p < c->end && (g_ascii_isalnum(*c->p) || (*c->p && strchr("+-._", *c->p)))) {
        c->p++;
    }
    g_autofree char *word = g_strndup(start, c->p - start);
    if (!strcmp(word, "true") || !strcmp(word, "false")) {
        return qapi_node_bool(*word == 't');
    }
    if (!strcmp(word, "null")) {
        return qapi_node_null(true);
    }
    if (is_number(word, &is_int)) {
        double d = g_ascii_strtod(word, NULL);

        if (!isfinite(d)) {
            error_setg(errp, "JSON parse error, a number is too large");
            return NULL;
        }
        errno = 0;
        if (is_int && *word == '-') {
            int64_t v = g_ascii_strtoll(word, NULL, 10);
            return errno ? qapi_node_number(d) : qapi_node_int(v);
        }
        if (is_int) {
            uint64_t v = g_ascii_strtoull(word, NULL, 10);
            return errno ? qapi_node_number(d) : qapi_node_uint64(v);
        }
        return qapi_node_number(d);
    }
    if (!*word) {
        parse_error(errp, "expecting value");
    } else {
        error_setg(errp, "JSON parse error, invalid keyword '%s'", word);
    }
    return NULL;
}

static JsonNode *parse_value(Cursor *c, Error **errp)
{
    JsonNode *node = NULL;
    char *str;

    if (c->depth >= JSON_MAX_DEPTH) {
        error_setg(errp, "JSON nesting depth limit of %d exceeded", JSON_MAX_DEPTH);
        return NULL;
    }
    c->depth++;
    if (take(c, '{')) {
        node = parse_object(c, errp);
    } else if (take(c, '[')) {
        node = parse_array(c, errp);
    } else if (take_string(c, &str, errp)) {
        if (str) {
            node = qapi_node_str(str);
            g_free(str);
        }
    } else {
        node = parse_word(c, errp);
    }
    c->depth--;
    return node;
}

JsonNode *json_parse_text(const char *text, size_t len, Error **errp)
{
    Cursor c = { text, text + len, 0 };
    g_autoptr(JsonNode) node = parse_value(&c, errp);

    if (!node) {
        return NULL;
    }
    skip_space(&c);
    if (c.p != c.end) {
        parse_error(errp, "text behind the value");
        return NULL;
    }
    return g_steal_pointer(&node);
}

/* The library writes 1e18 as "1e+18.0", which is no JSON: take the ".0" out again. */
static void mend_exponents(char *text)
{
    char *to = text;
    bool in_string = false;

    for (const char *p = text; *p;) {
        char c = *to++ = *p++;

        if (in_string && c == '\\' && *p) {
            *to++ = *p++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && c == 'e' && (*p == '+' || *p == '-')) {
            size_t n = 1 + strspn(p + 1, "0123456789");

            memmove(to, p, n);
            to += n;
            p += n;
            p += g_str_has_prefix(p, ".0") ? 2 : 0;
        }
    }
    *to = 0;
}

char *json_print(JsonNode *node, bool pretty)
{
    g_autoptr(JsonGenerator) gen = json_generator_new();
    char *text;

    json_generator_set_pretty(gen, pretty);
    json_generator_set_indent(gen, 4);
    json_generator_set_root(gen, node);
    text = json_generator_to_data(gen, NULL);
    mend_exponents(text);
    return text;
}

void json_splitter_init(JsonSplitter *s, void (*got)(void *opaque, JsonNode *node, Error *err),
                        void *opaque)
{
    memset(s, 0, sizeof(*s));
    s->got = got;
    s->opaque = opaque;
    s->text = g_string_new(NULL);
}

void json_splitter_reset(JsonSplitter *s)
{
    g_string_truncate(s->text, 0);
    s->depth = 0;
    s->quote = 0;
    s->escape = s->skip = false;
}

void json_splitter_clear(JsonSplitter *s)
{
    g_string_free(s->text, TRUE);
    s->text = NULL;
}

static void report(JsonSplitter *s, Error *err)
{
    json_splitter_reset(s);
    s->skip = true;
    s->got(s->opaque, NULL, err);
}

static void report_text(JsonSplitter *s, const char *what)
{
    Error *err = NULL;

    parse_error(&err, what);
    report(s, err);
}

/* The value in s->text is whole. */
static void finish(JsonSplitter *s)
{
    Error *err = NULL;
    JsonNode *node = json_parse_text(s->text->str, s->text->len, &err);

    json_splitter_reset(s);
    s->got(s->opaque, node, err);
}

static void feed_string(JsonSplitter *s, char ch)
{
    if ((unsigned char)ch < 0x20) {
        report_text(s, "control character in a string");
        s->skip = ch != '\n';
        return;
    }
    g_string_append_c(s->text, ch);
    if (s->escape) {
        s->escape = false;
    } else if (ch == '\\') {
        s->escape = true;
    } else if (ch == s->quote) {
        s->quote = 0;
        if (!s->depth) {
            finish(s);
        }
    }
}

static void feed_bracket(JsonSplitter *s, char ch)
{
    if (ch == '{' || ch == '[') {
        if (s->depth == JSON_MAX_DEPTH) {
            report_text(s, "nesting is too deep");
            return;
        }
        g_string_append_c(s->text, ch);
        s->open[s->depth++] = ch;
        return;
    }
    if (!s->depth || s->open[s->depth - 1] != (ch == '}' ? '{' : '[')) {
        report_text(s, ch == '}' ? "stray '}'" : "stray ']'");
        return;
    }
    g_string_append_c(s->text, ch);
    if (!--s->depth) {
        finish(s);
    }
}

static void feed_char(JsonSplitter *s, char ch)
{
    bool bracket = ch && strchr("{}[]", ch);

    if ((unsigned char)ch == 0xff) {
        report_text(s, "stray byte 0xff: unfinished input is dropped");
        s->skip = false;
        return;
    }
    if (s->skip) {
        s->skip = ch != '\n';
        return;
    }
    if (s->quote) {
        feed_string(s, ch);
        return;
    }
    if (strchr(" \t\r\n", ch) || (!s->depth && s->text->len && (bracket || ch == '"'))) {
        if (!s->depth && s->text->len) {
            finish(s); /* a word on its own */
        } else if (s->depth) {
            g_string_append_c(s->text, ch ? ch : '?');
        }
        if (strchr(" \t\r\n", ch)) {
            return;
        }
    }
    if (bracket) {
        feed_bracket(s, ch);
        return;
    }
    g_string_append_c(s->text, ch);
    if (ch == '"' || ch == '\'') {
        s->quote = ch;
    }
}

void json_splitter_feed(JsonSplitter *s, const void *buf, size_t len)
{
    const char *p = buf;

    for (size_t i = 0; i < len; i++) {
        feed_char(s, p[i]);
        if (s->text->len > JSON_MAX_BYTES) {
            report_text(s, "value is too large");
        }
    }
}
