# SPDX-License-Identifier: GPL-2.0-or-later
# Writes qapi-types.h and qapi-types.c: C types, JSON in and out, free functions.
from .schema import BUILTINS, c_name, camel_to_snake

HEADER = '/* Made by scripts/qapi-gen.py from the QAPI schema; do not edit. */\n'


def enum_const(ent, value):
    return (ent.prefix + '_' + value.replace('-', '_').replace('.', '_').replace('+', '_')).upper()


class TypeWriter:
    def __init__(self, schema):
        self.s = schema
        self.order = self.by_dependency()

    def by_dependency(self):
        done, out = set(), []

        def visit(name):
            if name in done:
                return
            done.add(name)
            ent = self.s.types[name]
            if ent.meta == 'union':
                for t in ent.branches.values():
                    visit(t)
            out.append(ent)
        for name in self.s.types:
            visit(name)
        return out

    def c_type(self, t):
        """C type of a member or return value, ready to put a name behind it."""
        m = self.s.meta(t)
        if m == 'list':
            elem = t[0]
            return 'GPtrArray *' if self.s.is_pointer(elem) else 'GArray *'
        if m == 'builtin':
            c = BUILTINS[t][0]
            return c if c.endswith('*') else c + ' '
        if m == 'enum':
            return t + ' '
        return t + ' *'

    # Header

    def header(self):
        out = [HEADER, '#ifndef FERRY_QAPI_TYPES_H\n#define FERRY_QAPI_TYPES_H\n\n',
               '#include "qapi/visit.h"\n']
        out += ['#include "%s"\n' % h for h in sorted(set(self.s.extern_enums.values()))]
        out.append('\n')
        out += [self.enum_decl(e) for e in self.order if e.meta == 'enum']
        for e in self.order:
            if e.meta != 'enum':
                out.append('typedef struct %s %s;\n' % (e.name, e.name))
        out.append('\n')
        for e in self.order:
            if e.meta in ('struct', 'union'):
                out.append(self.object_decl(e))
            elif e.meta == 'alternate':
                out.append(self.alternate_decl(e))
        out.append('#endif\n')
        return ''.join(out)

    def enum_decl(self, e):
        snake = camel_to_snake(e.name)
        out = []
        if e.name not in self.s.extern_enums:
            out.append('typedef enum %s {\n' % e.name)
            out += ['    %s,\n' % enum_const(e, v['name']) for v in e.values]
            out.append('    %s__MAX,\n} %s;\n' % (e.prefix, e.name))
        n = len(e.values)
        out.append('extern const char *const %s_names[%d];\n' % (e.name, n + 1))
        out.append('/* QMP name of a value; value of a QMP name (false: no such name). */\n')
        out.append('const char *%s_str(%s v);\n' % (snake, e.name))
        out.append('bool %s_parse(const char *str, %s *ret);\n\n' % (snake, e.name))
        return ''.join(out)

    def member_decls(self, members):
        out = ''
        for m in members:
            if m.optional and not self.s.is_pointer(m.type):
                out += '    bool has_%s;\n' % m.c
            out += '    %s%s;%s\n' % (self.c_type(m.type), m.c, self.list_note(m.type))
        return out

    def list_note(self, t):
        return ' /* of %s */' % t[0] if isinstance(t, list) else ''

    def protos(self, e):
        n, snake = e.name, camel_to_snake(e.name)
        return ('void qapi_clear_%s(%s *v);\n'
                'bool qapi_fields_%s(QapiIn *in, %s *v, Error **errp);\n'
                'bool qapi_parse_%s(JsonNode *node, const QapiPath *path, %s *v, Error **errp);\n'
                'void qapi_put_%s(JsonObject *obj, const %s *v);\n') % ((n, n) * 4) + \
            self.common_protos(n, snake)

    def common_protos(self, n, snake):
        return ('%s *%s_from_json(JsonNode *node, Error **errp);\n'
                'JsonNode *%s_to_json(const %s *v);\n'
                'void %s_free(%s *v);\n'
                'G_DEFINE_AUTOPTR_CLEANUP_FUNC(%s, %s_free)\n'
                'static inline GPtrArray *%s_list_new(void)\n'
                '{\n    return g_ptr_array_new_with_free_func((GDestroyNotify)%s_free);\n}\n\n'
                ) % (n, snake, snake, n, snake, n, n, snake, snake, snake)

    def object_decl(self, e):
        out = 'struct %s {\n' % e.name
        if e.base:
            out += '    /* Members of %s */\n' % e.base
        out += self.member_decls(self.s.all_members(e))
        if e.meta == 'union' and e.branches:
            out += '    union {\n'
            for case, t in e.branches.items():
                out += '        %s %s;\n' % (t, c_name(case))
            out += '    } u;\n'
        elif not self.s.all_members(e):
            out += '    char empty; /* no members */\n'
        return out + '};\n' + self.protos(e)

    def alternate_decl(self, e):
        kinds = ', '.join('%s_%s' % (camel_to_snake(e.name).upper(), c_name(b).upper())
                          for b in e.branches)
        out = 'struct %s {\n    enum { %s } kind;\n    union {\n' % (e.name, kinds)
        for b, t in e.branches.items():
            out += '        %s%s;\n' % (self.c_type(t), c_name(b))
        out += '    } u;\n};\n'
        n = e.name
        out += ('bool qapi_parse_%s(JsonNode *node, const QapiPath *path, %s *v, Error **errp);\n'
                'void qapi_clear_%s(%s *v);\n') % (n, n, n, n)
        return out + self.common_protos(n, camel_to_snake(n))

    # Source

    def source(self):
        out = [HEADER, '#include "qapi/qapi-types.h"\n\n']
        for e in self.order:
            if e.meta == 'enum':
                out.append(self.enum_source(e))
            elif e.meta == 'alternate':
                out.append(self.alternate_source(e))
            else:
                out.append(self.object_source(e))
        return ''.join(out)

    def enum_source(self, e):
        n = len(e.values)
        out = 'const char *const %s_names[%d] = {\n' % (e.name, n + 1)
        out += ''.join('    [%s] = "%s",\n' % (enum_const(e, v['name']), v['name'])
                       for v in e.values)
        out += '};\n'
        if e.name in self.s.extern_enums:
            out += ''.join('G_STATIC_ASSERT(%s == %d);\n' % (enum_const(e, v['name']), i)
                           for i, v in enumerate(e.values))
        snake = camel_to_snake(e.name)
        out += ('\nconst char *%s_str(%s v)\n{\n'
                '    g_assert((unsigned)v < %d);\n    return %s_names[v];\n}\n\n'
                % (snake, e.name, n, e.name))
        out += ('bool %s_parse(const char *str, %s *ret)\n{\n'
                '    int i = qapi_enum_find(%s_names, str);\n\n    if (i >= 0) {\n'
                '        *ret = i;\n    }\n    return i >= 0;\n}\n\n'
                % (snake, e.name, e.name))
        return out

    def clear_value(self, t, expr):
        m = self.s.meta(t)
        if m == 'list':
            fn = 'g_ptr_array_unref' if self.s.is_pointer(t[0]) else 'g_array_unref'
            return 'g_clear_pointer(&%s, %s);' % (expr, fn)
        if t == 'str':
            return 'g_clear_pointer(&%s, g_free);' % expr
        if t == 'any':
            return 'g_clear_pointer(&%s, json_node_unref);' % expr
        if m in ('struct', 'union', 'alternate'):
            return 'g_clear_pointer(&%s, %s_free);' % (expr, camel_to_snake(t))
        return None

    def parse_value(self, t, node, path, target, ind):
        """Statements that fill target from node or `return false`."""
        m = self.s.meta(t)
        pad = '    ' * ind
        if m == 'list':
            return self.parse_list(t, node, path, target, ind)
        if m == 'builtin':
            _, _, lo, hi = BUILTINS[t]
            if lo is not None:
                c = BUILTINS[t][0]
                return (pad + '{\n' + pad + '    int64_t n_;\n\n' +
                        pad + '    if (!qapi_parse_int(%s, %s, %s, %s, "%s", &n_, errp)) {\n'
                        % (node, path, lo, hi, c) +
                        pad + '        return false;\n' + pad + '    }\n' +
                        pad + '    %s = n_;\n' % target + pad + '}\n')
            fn = {'str': 'str', 'number': 'number', 'bool': 'bool', 'null': 'null', 'any': 'any',
                  'uint64': 'uint64', 'size': 'uint64'}[t]
            call = 'qapi_parse_%s(%s, %s, &%s, errp)' % (fn, node, path, target)
        elif m == 'enum':
            return (pad + '{\n' + pad + '    int n_ = qapi_parse_enum(%s, %s, %s_names, errp);\n\n'
                    % (node, path, t) + pad + '    if (n_ < 0) {\n' +
                    pad + '        return false;\n' + pad + '    }\n' +
                    pad + '    %s = n_;\n' % target + pad + '}\n')
        else:
            return (pad + '%s = g_new0(%s, 1);\n' % (target, t) +
                    pad + 'if (!qapi_parse_%s(%s, %s, %s, errp)) {\n' % (t, node, path, target) +
                    pad + '    return false;\n' + pad + '}\n')
        return pad + 'if (!%s) {\n' % call + pad + '    return false;\n' + pad + '}\n'

    def list_new(self, t):
        elem = t[0]
        if not self.s.is_pointer(elem):
            return 'g_array_new(FALSE, TRUE, sizeof(%s))' % self.c_type(elem).strip()
        m = self.s.meta(elem)
        free = {'str': 'g_free', 'any': '(GDestroyNotify)qapi_node_free'}.get(
            elem if isinstance(elem, str) else '', None)
        if m == 'list':
            free = '(GDestroyNotify)' + ('qapi_list_free' if self.s.is_pointer(elem[0])
                                         else 'qapi_array_free')
        if free is None:
            free = '(GDestroyNotify)%s_free' % camel_to_snake(elem)
        return 'g_ptr_array_new_with_free_func(%s)' % free

    def parse_list(self, t, node, path, target, ind):
        pad, elem = '    ' * ind, t[0]
        d = 'l%d_' % ind
        ctype = self.c_type(elem)
        out = pad + '{\n'
        out += pad + '    JsonArray *%sa = qapi_parse_array(%s, %s, errp);\n\n' % (d, node, path)
        out += pad + '    if (!%sa) {\n' % d + pad + '        return false;\n' + pad + '    }\n'
        out += pad + '    %s = %s;\n' % (target, self.list_new(t))
        out += pad + '    for (guint %si = 0; %si < json_array_get_length(%sa); %si++) {\n' \
            % (d, d, d, d)
        out += pad + '        QapiPath %sp = { %s, NULL, %si };\n' % (d, path, d)
        out += pad + '        JsonNode *%sn = json_array_get_element(%sa, %si);\n' % (d, d, d)
        if not self.s.is_pointer(elem):
            out += pad + '        %s%sv = 0;\n\n' % (ctype, d)
            out += self.parse_value(elem, d + 'n', '&' + d + 'p', d + 'v', ind + 2)
            out += pad + '        g_array_append_val(%s, %sv);\n' % (target, d)
        else:
            out += pad + '        g_ptr_array_add(%s, NULL);\n' % target
            out += pad + '        %s*%sv = (%s*)&g_ptr_array_index(%s, %si);\n\n' \
                % (ctype, d, ctype, target, d)
            out += self.parse_value(elem, d + 'n', '&' + d + 'p', '(*%sv)' % d, ind + 2)
        return out + pad + '    }\n' + pad + '}\n'

    def to_node(self, t, expr, target, ind):
        """Statements that set JsonNode *target from expr."""
        pad, m = '    ' * ind, self.s.meta(t)
        if m == 'list':
            d, elem = 'l%d_' % ind, t[0]
            item = ('(%s)g_ptr_array_index(%s, %si)' % (self.c_type(elem).strip(), expr, d)
                    if self.s.is_pointer(elem)
                    else 'g_array_index(%s, %s, %si)' % (expr, self.c_type(elem).strip(), d))
            out = pad + 'JsonArray *%sa = json_array_new();\n\n' % d
            out += pad + 'for (guint %si = 0; %si < (%s)->len; %si++) {\n' % (d, d, expr, d)
            out += pad + '    JsonNode *%sn;\n' % d
            out += self.to_node(elem, item, d + 'n', ind + 1)
            out += pad + '    json_array_add_element(%sa, %sn);\n' % (d, d) + pad + '}\n'
            return out + pad + '%s = qapi_node_array(%sa);\n' % (target, d)
        if m == 'builtin':
            fn = {'str': 'str', 'number': 'number', 'bool': 'bool', 'null': 'null', 'any': 'any',
                  'uint64': 'uint64', 'size': 'uint64'}.get(t, 'int')
            return pad + '%s = qapi_node_%s(%s);\n' % (target, fn, expr)
        if m == 'enum':
            return pad + '%s = qapi_node_str(%s_str(%s));\n' % (target, camel_to_snake(t), expr)
        return pad + '%s = %s_to_json(%s);\n' % (target, camel_to_snake(t), expr)

    def object_source(self, e):
        n = e.name
        members = self.s.all_members(e)
        cases = self.union_cases(e)
        out = 'void qapi_clear_%s(%s *v)\n{\n' % (n, n)
        for m in members:
            c = self.clear_value(m.type, 'v->' + m.c)
            out += '    %s\n' % c if c else ''
        out += self.union_switch(e, cases, '        qapi_clear_%s(&v->u.%s);\n        break;\n')
        out += '}\n\n' + self.fields_source(e, members, cases)
        out += ('bool qapi_parse_%s(JsonNode *node, const QapiPath *path, %s *v, Error **errp)\n'
                '{\n    g_auto(QapiIn) in = {0};\n\n'
                '    return qapi_in_open(&in, node, path, errp) && '
                'qapi_fields_%s(&in, v, errp) &&\n           qapi_in_close(&in, errp);\n}\n\n'
                % (n, n, n))
        out += 'void qapi_put_%s(JsonObject *obj, const %s *v)\n{\n' % (n, n)
        for m in members:
            cond = ''
            if m.optional or self.s.is_pointer(m.type):
                cond = 'v->' + m.c if self.s.is_pointer(m.type) else 'v->has_' + m.c
            if not m.optional and m.type == 'str':
                cond = ''
            ind = 2 if cond else 1
            pad = '    ' * ind
            out += '    if (%s) {\n' % cond if cond else '    {\n'
            ind, pad = 2, '        '
            out += pad + 'JsonNode *n_;\n'
            out += self.to_node(m.type, 'v->' + m.c, 'n_', ind)
            out += pad + 'json_object_set_member(obj, "%s", n_);\n    }\n' % m.name
        out += self.union_switch(e, cases, '        qapi_put_%s(obj, &v->u.%s);\n        break;\n')
        out += '}\n\n'
        snake = camel_to_snake(n)
        out += ('JsonNode *%s_to_json(const %s *v)\n{\n'
                '    JsonObject *obj = json_object_new();\n\n    qapi_put_%s(obj, v);\n'
                '    return qapi_node_object(obj);\n}\n\n' % (snake, n, n))
        return out + self.common_source(n, snake)

    def common_source(self, n, snake):
        return ('%s *%s_from_json(JsonNode *node, Error **errp)\n{\n'
                '    g_autoptr(%s) v = g_new0(%s, 1);\n\n'
                '    if (!qapi_parse_%s(node, NULL, v, errp)) {\n        return NULL;\n    }\n'
                '    return g_steal_pointer(&v);\n}\n\n'
                'void %s_free(%s *v)\n{\n    if (v) {\n        qapi_clear_%s(v);\n'
                '        g_free(v);\n    }\n}\n\n') % (n, snake, n, n, n, snake, n, n)

    def union_cases(self, e):
        if e.meta != 'union':
            return []
        enum = self.s.types[e.tag_member.type]
        return [(enum_const(enum, case), t, c_name(case)) for case, t in e.branches.items()]

    def union_switch(self, e, cases, body):
        if not cases:
            return ''
        out = '    switch (v->%s) {\n' % e.tag_member.c
        for const, t, c in cases:
            out += '    case %s:\n' % const + body % (t, c)
        return out + '    default:\n        break;\n    }\n'

    def fields_source(self, e, members, cases):
        out = 'bool qapi_fields_%s(QapiIn *in, %s *v, Error **errp)\n{\n' % (e.name, e.name)
        if members:
            out += '    JsonNode *node;\n\n'
        for m in members:
            out += '    node = qapi_in_member(in, "%s");\n' % m.name
            out += '    if (node) {\n'
            out += '        QapiPath path = { in->path, "%s", 0 };\n\n' % m.name
            out += self.parse_value(m.type, 'node', '&path', 'v->' + m.c, 2)
            if m.optional and not self.s.is_pointer(m.type):
                out += '        v->has_%s = true;\n' % m.c
            if not m.optional:
                out += ('    } else {\n        return qapi_missing(in, "%s", errp);\n    }\n'
                        % m.name)
            else:
                out += '    }\n'
        out += self.union_switch(e, cases, '        return qapi_fields_%s(in, &v->u.%s, errp);\n')
        return out + '    return true;\n}\n\n'

    def alternate_source(self, e):
        n, snake = e.name, camel_to_snake(e.name)
        up = snake.upper()
        out = 'void qapi_clear_%s(%s *v)\n{\n    switch (v->kind) {\n' % (n, n)
        for b, t in e.branches.items():
            c = self.clear_value(t, 'v->u.' + c_name(b))
            out += '    case %s_%s:\n' % (up, c_name(b).upper())
            out += '        %s\n' % c if c else ''
            out += '        break;\n'
        out += '    }\n}\n\n'
        out += ('bool qapi_parse_%s(JsonNode *node, const QapiPath *path, %s *v, Error **errp)\n'
                '{\n    switch (qapi_json_kind(node)) {\n' % (n, n))
        expected = []
        for b, t in e.branches.items():
            m = self.s.meta(t)
            kind = {'list': 'ARRAY', 'enum': 'STRING', 'struct': 'OBJECT', 'union': 'OBJECT'}.get(m)
            if m == 'builtin':
                kind = {'string': 'STRING', 'int': 'INT', 'number': 'NUMBER', 'boolean': 'BOOL',
                        'null': 'NULL'}[BUILTINS[t][1]]
            expected.append({'list': 'array', 'enum': 'string'}.get(m, 'object') if m != 'builtin'
                            else BUILTINS[t][1])
            out += '    case QAPI_JSON_%s:\n' % kind
            if kind == 'NUMBER' and not any(x in ('int', 'uint64', 'size') for x in
                                            map(str, e.branches.values())):
                out += '    case QAPI_JSON_INT:\n'
            out += '        v->kind = %s_%s;\n' % (up, c_name(b).upper())
            out += self.parse_value(t, 'node', 'path', 'v->u.' + c_name(b), 2)
            out += '        return true;\n'
        out += ('    default:\n        return qapi_wrong_type(path, "%s", errp);\n    }\n}\n\n'
                % ' or '.join(dict.fromkeys(expected)))
        out += 'JsonNode *%s_to_json(const %s *v)\n{\n    JsonNode *node = NULL;\n\n' % (snake, n)
        out += '    switch (v->kind) {\n'
        for b, t in e.branches.items():
            out += '    case %s_%s: {\n' % (up, c_name(b).upper())
            out += self.to_node(t, 'v->u.' + c_name(b), 'node', 2)
            out += '        break;\n    }\n'
        out += '    }\n    return node;\n}\n\n'
        return out + self.common_source(n, snake)
