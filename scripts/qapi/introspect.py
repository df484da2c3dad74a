# SPDX-License-Identifier: GPL-2.0-or-later
# Writes qapi-introspect.c: the reply of query-qmp-schema (SchemaInfo list) as JSON text.
# Types other than built-ins have no name there, only a number.
import json

from .gentypes import HEADER
from .schema import BUILTINS


class Introspector:
    def __init__(self, schema):
        self.s = schema
        self.ids = {}
        self.queue = []
        self.out = []

    def type_id(self, t):
        if isinstance(t, list):
            key = '[]' + self.type_id(t[0])
            if key not in self.ids:
                self.ids[key] = '[%s]' % self.type_id(t[0])
                self.queue.append((key, t))
            return self.ids[key]
        if t in BUILTINS:
            name = 'int' if BUILTINS[t][1] == 'int' else t
            if name not in self.ids:
                self.ids[name] = name
                self.queue.append((name, name))
            return name
        if t not in self.ids:
            self.ids[t] = str(len([k for k in self.ids.values() if k.isdigit()]))
            self.queue.append((t, t))
        return self.ids[t]

    def emit(self, name, meta, features, **kw):
        info = {'name': name, 'meta-type': meta}
        info.update(kw)
        if features:
            info['features'] = features
        self.out.append(info)

    def member(self, m):
        info = {'name': m.name, 'type': self.type_id(m.type)}
        if m.optional:
            info['default'] = None
        if m.features:
            info['features'] = m.features
        return info

    def describe(self, key, t):
        ident = self.ids[key]
        if isinstance(t, list):
            self.emit(ident, 'array', None, **{'element-type': self.type_id(t[0])})
        elif t == '':
            self.emit(ident, 'object', None, members=[])
        elif t in BUILTINS:
            self.emit(ident, 'builtin', None, **{'json-type': BUILTINS[t][1]})
        else:
            self.describe_defined(ident, self.s.types[t])

    def describe_defined(self, ident, e):
        if e.meta == 'enum':
            members = [dict([('name', v['name'])] +
                            ([('features', v['features'])] if v.get('features') else []))
                       for v in e.values]
            self.emit(ident, 'enum', e.features, members=members,
                      values=[v['name'] for v in e.values])
        elif e.meta == 'alternate':
            self.emit(ident, 'alternate', e.features,
                      members=[{'type': self.type_id(t)} for t in e.branches.values()])
        else:
            kw = {'members': [self.member(m) for m in self.s.all_members(e)]}
            if e.meta == 'union':
                kw['tag'] = e.tag
                values = [v['name'] for v in self.s.types[e.tag_member.type].values]
                kw['variants'] = [{'case': v, 'type': self.type_id(e.branches[v])
                                   if v in e.branches else self.empty()} for v in values]
            self.emit(ident, 'object', e.features, **kw)

    def empty(self):
        if '' not in self.ids:
            self.ids[''] = str(len([k for k in self.ids.values() if k.isdigit()]))
            self.queue.append(('', ''))
        return self.ids['']

    def arg(self, t):
        return self.type_id(t) if t else self.empty()

    def infos(self):
        for c in sorted(self.s.commands, key=lambda c: c.name):
            kw = {'arg-type': self.arg(c.arg),
                  'ret-type': self.empty() if c.returns is None else self.type_id(c.returns)}
            if c.oob:
                kw['allow-oob'] = True
            self.emit(c.name, 'command', c.features, **kw)
        for e in sorted(self.s.events, key=lambda e: e.name):
            self.emit(e.name, 'event', e.features, **{'arg-type': self.arg(e.arg)})
        while self.queue:
            key, t = self.queue.pop(0)
            self.describe(key, t)
        return self.out

    def source(self):
        text = json.dumps(self.infos(), separators=(',', ':'))
        out = [HEADER, '#include "qapi/command.h"\n\nconst char qmp_schema_json[] =\n']
        for i in range(0, len(text), 80):
            part = text[i:i + 80].replace('\\', '\\\\').replace('"', '\\"')
            out.append('    "%s"\n' % part)
        return ''.join(out) + '    ;\n'
