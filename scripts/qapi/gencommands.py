# SPDX-License-Identifier: GPL-2.0-or-later
# Writes qapi-commands.h/.c (handler prototypes, marshalling, command table) and
# qapi-events.h/.c.
from .gentypes import HEADER, TypeWriter
from .schema import c_name


class CommandWriter:
    def __init__(self, schema):
        self.s = schema
        self.t = TypeWriter(schema)

    def handler(self, c):
        """(return C type, argument list) of the handler."""
        args = []
        if not c.gen:
            args.append('JsonObject *args')
        elif c.arg:
            args.append('const %s *args' % c.arg)
        ret = 'bool '
        if c.returns is not None and not c.gen:
            ret = 'JsonNode *'
        elif c.returns is not None:
            if self.s.is_pointer(c.returns):
                ret = self.t.c_type(c.returns)
            else:
                args.append('%s*ret' % self.t.c_type(c.returns))
        return ret, args + ['Error **errp']

    def header(self):
        out = [HEADER, '#ifndef FERRY_QAPI_COMMANDS_H\n#define FERRY_QAPI_COMMANDS_H\n\n'
               '#include "qapi/command.h"\n#include "qapi/qapi-types.h"\n\n'
               '/*\n * Handlers, each implemented in the folder that owns the subject.  They run in the\n'
               ' * main thread under the machine lock; those with allow-oob also in the monitor I/O\n'
               ' * thread without it.\n */\n']
        for c in self.s.commands:
            ret, args = self.handler(c)
            note = ' /* of %s */' % c.returns[0] if isinstance(c.returns, list) else ''
            out.append('%sqmp_%s(%s);%s\n' % (ret, c_name(c.name), ', '.join(args), note))
        out.append('\n#endif\n')
        return ''.join(out).replace('qmp_qmp_', 'qmp_')

    def marshal(self, c):
        name = c_name(c.name)
        _, args = self.handler(c)
        out = ('static bool marshal_%s(JsonObject *obj, JsonNode **ret_node, Error **errp)\n{\n'
               % name)
        call = []
        if not c.gen:
            call.append('obj')
        elif c.arg:
            out += '    %s arg = {0};\n' % c.arg
            call.append('&arg')
        if not c.gen and c.returns is not None:
            return out + ('    *ret_node = qmp_%s(obj, errp);\n    return *ret_node != NULL;\n}\n\n'
                          % name)
        pointer = c.returns is not None and self.s.is_pointer(c.returns)
        if c.returns is not None:
            out += '    %sret%s;\n' % (self.t.c_type(c.returns), ' = NULL' if pointer else ' = 0')
            if not pointer:
                call.append('&ret')
        out += '    bool ok = false;\n\n'
        fn = ('qmp_%s(%s)' % (name, ', '.join(call + ['errp']))).replace('qmp_qmp_', 'qmp_')
        if c.gen and c.arg:
            out += ('    if (!qapi_parse_args_%s(obj, &arg, errp)) {\n        goto out;\n    }\n'
                    % c.arg)
        elif c.gen:
            out += '    if (!qapi_no_args(obj, errp)) {\n        goto out;\n    }\n'
        if pointer:
            out += '    ret = %s;\n    ok = ret != NULL;\n' % fn
        else:
            out += '    ok = %s;\n' % fn
        if c.returns is not None:
            out += '    if (ok) {\n        JsonNode *node;\n'
            out += self.t.to_node(c.returns, 'ret', 'node', 2)
            out += '        *ret_node = node;\n'
            clear = self.t.clear_value(c.returns, 'ret')
            out += '        %s\n' % clear if clear else ''
            out += '    }\n'
        if c.gen:
            out += 'out:\n'
        if c.gen and c.arg:
            out += '    qapi_clear_%s(&arg);\n' % c.arg
        return out + '    return ok;\n}\n\n'

    def source(self):
        out = [HEADER, '#include "qapi/qapi-commands.h"\n\n']
        for arg in sorted({c.arg for c in self.s.commands if c.gen and c.arg}):
            out.append('static bool qapi_parse_args_%s(JsonObject *obj, %s *arg, Error **errp)\n{\n'
                       '    g_auto(QapiIn) in = { obj, NULL, NULL };\n\n'
                       '    return qapi_fields_%s(&in, arg, errp) && qapi_in_close(&in, errp);\n}\n\n'
                       % (arg, arg, arg))
        for c in self.s.commands:
            out.append(self.marshal(c))
        out.append('const QmpCommand qmp_commands[] = {\n')
        for c in sorted(self.s.commands, key=lambda c: c.name):
            flags = [f for f, on in (('QMP_ALLOW_OOB', c.oob),
                                     ('QMP_ALLOW_PRECONFIG', c.preconfig)) if on]
            out.append('    { "%s", marshal_%s, %s },\n'
                       % (c.name, c_name(c.name), ' | '.join(flags) or '0'))
        out.append('};\nconst unsigned qmp_commands_count = G_N_ELEMENTS(qmp_commands);\n')
        return ''.join(out)

    def event_proto(self, e):
        name = 'void qapi_event_send_%s' % c_name(e.name).lower()
        if not e.arg:
            return name + '(void)'
        if not e.flat:
            return name + '(const %s *data)' % e.arg
        args = []
        for m in self.s.all_members(self.s.types[e.arg]):
            if m.optional and not self.s.is_pointer(m.type):
                args.append('bool has_' + m.c)
            c = self.t.c_type(m.type)
            args.append(('const ' if c == 'char *' else '') + c + m.c)
        return name + '(%s)' % ', '.join(args)

    def events_header(self):
        out = [HEADER, '#ifndef FERRY_QAPI_EVENTS_H\n#define FERRY_QAPI_EVENTS_H\n\n'
               '#include "qapi/qapi-types.h"\n\n'
               '/* Emit an event to every negotiated QMP monitor; any thread.  Nothing is consumed. */\n']
        out += [self.event_proto(e) + ';\n' for e in self.s.events]
        return ''.join(out) + '\n#endif\n'

    def events_source(self):
        out = [HEADER, '#include "qapi/qapi-events.h"\n\n#include "monitor/monitor.h"\n\n']
        for e in self.s.events:
            out.append(self.event_proto(e) + '\n{\n')
            if not e.arg:
                out.append('    qmp_event_emit("%s", NULL);\n}\n\n' % e.name)
                continue
            out.append('    JsonObject *obj = json_object_new();\n')
            if e.flat:
                out.append('    const %s arg = {\n' % e.arg)
                for m in self.s.all_members(self.s.types[e.arg]):
                    if m.optional and not self.s.is_pointer(m.type):
                        out.append('        .has_%s = has_%s,\n' % (m.c, m.c))
                    cast = '(char *)' if self.t.c_type(m.type) == 'char *' else ''
                    out.append('        .%s = %s%s,\n' % (m.c, cast, m.c))
                out.append('    };\n    const %s *data = &arg;\n' % e.arg)
            out.append('\n    qapi_put_%s(obj, data);\n    qmp_event_emit("%s", obj);\n}\n\n'
                       % (e.arg, e.name))
        return ''.join(out)
