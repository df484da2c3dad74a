/*
 * Arguments of human monitor commands: text -> members, as a command's row says.
 * Main thread (expressions may read registers).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "monitor/hmp-internal.h"
#include "util/util.h"

/* One NAME:TYPE of HmpCommand.args. */
typedef struct ArgSpec {
    char *name;
    char type; /* '-' for a flag */
    char flag;
    bool optional;
} ArgSpec;

static void spec_free(gpointer p)
{
    ArgSpec *a = p;

    g_free(a->name);
    g_free(a);
}

static GPtrArray *parse_specs(const char *text)
{
    GPtrArray *specs = g_ptr_array_new_with_free_func(spec_free);
    g_auto(GStrv) items = g_strsplit(text, ",", -1);

    for (char **i = items; *i; i++) {
        ArgSpec *a;
        const char *colon = strchr(*i, ':');

        if (!**i) {
            continue;
        }
        g_assert(colon && colon[1]);
        a = g_new0(ArgSpec, 1);
        a->name = g_strndup(*i, colon - *i);
        a->type = colon[1];
        a->flag = a->type == '-' ? colon[2] : 0;
        a->optional = a->type == '-' || a->type == '/' || g_str_has_suffix(colon, "?");
        g_ptr_array_add(specs, a);
    }
    return specs;
}

static const char *skip_space(const char *p)
{
    while (g_ascii_isspace(*p)) {
        p++;
    }
    return p;
}

char *hmp_take_word(const char **pp, Error **errp)
{
    g_autoptr(GString) word = g_string_new(NULL);
    const char *p = skip_space(*pp);

    if (!*p) {
        error_setg(errp, "an argument is missing");
        return NULL;
    }
    if (*p != '"') {
        while (*p && !g_ascii_isspace(*p)) {
            g_string_append_c(word, *p++);
        }
        *pp = p;
        return g_string_free(g_steal_pointer(&word), FALSE);
    }
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\') {
            p++;
            if (!*p || !strchr("nr\\'\"", *p)) {
                error_setg(errp, "unsupported escape code: '\\%c'", *p ? *p : ' ');
                return NULL;
            }
            g_string_append_c(word, *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p);
        } else {
            g_string_append_c(word, *p);
        }
    }
    if (*p != '"') {
        error_setg(errp, "unterminated string");
        return NULL;
    }
    *pp = p + 1;
    return g_string_free(g_steal_pointer(&word), FALSE);
}

/* "/16xb": count, format letter, size in bytes. */
static bool take_format(const char **pp, JsonObject *out, Error **errp)
{
    const char *p = skip_space(*pp);
    int64_t count = 1, size = 0;
    char format = 0;

    if (*p != '/') {
        return true;
    }
    p++;
    if (g_ascii_isdigit(*p)) {
        uint64_t n = 0;
        while (g_ascii_isdigit(*p)) {
            n = n * 10 + (*p++ - '0');
            n = MIN(n, 1u << 30);
        }
        count = n;
    }
    for (; *p && !g_ascii_isspace(*p); p++) {
        const char *sizes = "bhwg", *at;
        if (strchr("xduoc", *p)) {
            format = *p;
        } else if (*p == 'i') {
            error_setg(errp, "format 'i' (disassembly) is not supported");
            return false;
        } else if ((at = strchr(sizes, *p))) {
            size = 1 << (at - sizes);
        } else {
            error_setg(errp, "invalid char in format: '%c'", *p);
            return false;
        }
    }
    json_object_set_int_member(out, "count", count);
    if (format) {
        char text[2] = { format, 0 };
        json_object_set_string_member(out, "format", text);
    }
    if (size) {
        json_object_set_int_member(out, "size", size);
    }
    *pp = p;
    return true;
}

static bool take_flag(const char **pp, const ArgSpec *a)
{
    const char *p = skip_space(*pp);

    if (p[0] == '-' && p[1] == a->flag && (!p[2] || g_ascii_isspace(p[2]))) {
        *pp = p + 2;
        return true;
    }
    return false;
}

static bool take_size(const char **pp, const ArgSpec *a, JsonObject *out, Error **errp)
{
    g_autofree char *word = hmp_take_word(pp, errp);
    uint64_t size;

    if (!word) {
        return false;
    }
    if (!parse_size(word, 'M', &size) || size > INT64_MAX) {
        error_setg(errp, "'%s' is not a size", word);
        return false;
    }
    json_object_set_int_member(out, a->name, size);
    return true;
}

static bool take_int(HmpSession *s, const char **pp, const ArgSpec *a, JsonObject *out,
                     Error **errp)
{
    int64_t v;

    if (!hmp_expression(s, pp, &v, errp)) {
        return false;
    }
    if (**pp && !g_ascii_isspace(**pp) && !g_ascii_isspace((*pp)[-1])) {
        error_setg(errp, "invalid char '%c' in expression", **pp);
        return false;
    }
    if (a->type == 'i' && (v < INT32_MIN || v > UINT32_MAX)) {
        error_setg(errp, "'%s' is more than 32 bits", a->name);
        return false;
    }
    json_object_set_int_member(out, a->name, v);
    return true;
}

static bool take_arg(HmpSession *s, const char **pp, const ArgSpec *a, JsonObject *out,
                     Error **errp)
{
    g_autofree char *word = NULL;
    bool on;

    switch (a->type) {
    case 'S':
        json_object_set_string_member(out, a->name, skip_space(*pp));
        *pp += strlen(*pp);
        return true;
    case 'i':
    case 'l':
        return take_int(s, pp, a, out, errp);
    case 'o':
        return take_size(pp, a, out, errp);
    case 's':
        word = hmp_take_word(pp, errp);
        if (word) {
            json_object_set_string_member(out, a->name, word);
        }
        return word != NULL;
    case 'b':
        word = hmp_take_word(pp, errp);
        if (!word) {
            return false;
        }
        if (!parse_bool(word, &on)) {
            error_setg(errp, "Expected 'on' or 'off'");
            return false;
        }
        json_object_set_boolean_member(out, a->name, on);
        return true;
    default:
        g_assert_not_reached();
    }
}

JsonObject *hmp_parse_args(HmpSession *s, const HmpCommand *cmd, const char *text, Error **errp)
{
    g_autoptr(GPtrArray) specs = parse_specs(cmd->args ? cmd->args : "");
    g_autoptr(JsonObject) out = json_object_new();
    const char *p = text;
    guint i = 0;

    /* Flags come first, in any order. */
    for (bool again = true; again;) {
        again = false;
        for (i = 0; i < specs->len && ((ArgSpec *)g_ptr_array_index(specs, i))->type == '-'; i++) {
            const ArgSpec *a = g_ptr_array_index(specs, i);
            if (take_flag(&p, a)) {
                json_object_set_boolean_member(out, a->name, TRUE);
                again = true;
            }
        }
    }
    p = skip_space(p);
    if (i > 0 && p[0] == '-' && g_ascii_isalpha(p[1])) {
        error_setg(errp, "unsupported option -%c", p[1]);
        return NULL;
    }
    for (; i < specs->len; i++) {
        const ArgSpec *a = g_ptr_array_index(specs, i);

        if (a->type == '/') {
            if (!take_format(&p, out, errp)) {
                return NULL;
            }
            continue;
        }
        if (!*skip_space(p)) {
            if (a->optional) {
                continue;
            }
            error_setg(errp, "argument '%s' is missing", a->name);
            return NULL;
        }
        if (!take_arg(s, &p, a, out, errp)) {
            return NULL;
        }
    }
    p = skip_space(p);
    if (*p) {
        error_setg(errp, "extraneous characters at the end of line: '%s'", p);
        return NULL;
    }
    return g_steal_pointer(&out);
}

const char *hmp_arg_str(JsonObject *args, const char *name)
{
    return json_object_get_string_member_with_default(args, name, NULL);
}

int64_t hmp_arg_int(JsonObject *args, const char *name, int64_t def)
{
    return json_object_get_int_member_with_default(args, name, def);
}

bool hmp_arg_bool(JsonObject *args, const char *name)
{
    return json_object_get_boolean_member_with_default(args, name, FALSE);
}
