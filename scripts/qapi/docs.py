# SPDX-License-Identifier: GPL-2.0-or-later
# Writes the QMP reference manual (Markdown) from the schema and its doc comments.


def type_text(t):
    return 'list of ' + type_text(t[0]) if isinstance(t, list) else '`%s`' % t


class DocWriter:
    def __init__(self, schema):
        self.s = schema

    def member_rows(self, members):
        out = '\n| member | type | |\n|---|---|---|\n'
        for m in members:
            note = ('optional; ' if m.optional else '') + m.doc
            if m.features:
                note += ' (%s)' % ', '.join(m.features)
            out += '| `%s` | %s | %s |\n' % (m.name, type_text(m.type), note)
        return out

    def entity(self, e):
        out = '### %s `%s`\n\n%s\n' % (e.meta.capitalize(), e.name, e.doc['text'])
        if e.features:
            out += '\nFeatures: %s\n' % ', '.join('`%s`' % f for f in e.features)
        if e.meta == 'enum':
            out += '\n| value | |\n|---|---|\n'
            for v in e.values:
                out += '| `%s` | %s |\n' % (v['name'], e.doc['members'].get(v['name'], ''))
        elif e.meta in ('struct', 'union'):
            if e.base:
                out += '\nHas the members of `%s`.\n' % e.base
            if e.local:
                out += self.member_rows(e.local)
            if e.meta == 'union':
                out += '\n' + ''.join('With `%s` = `%s`: the members of `%s`.  \n'
                                      % (e.tag, k, t) for k, t in e.branches.items())
        elif e.meta == 'alternate':
            out += '\nOne of: %s.\n' % ', '.join(type_text(t) for t in e.branches.values())
        else:
            out += self.call(e)
        return out + '\n'

    def call(self, e):
        out = ''
        if e.arg and getattr(self.s.types[e.arg], 'of', None) == e.name:
            out += self.member_rows(self.s.types[e.arg].local)
        elif e.arg:
            out += '\nData: the members of `%s`.\n' % e.arg
        if e.meta == 'command':
            if e.returns is not None:
                out += '\nReturns: %s%s\n' % (type_text(e.returns),
                                              '. ' + e.doc['returns'] if e.doc['returns'] else '')
            if e.doc['errors']:
                out += '\nErrors: %s\n' % e.doc['errors']
            if e.oob:
                out += '\nMay be run out of band (`exec-oob`).\n'
        return out

    def text(self):
        out = ['# QMP reference\n\nMade from `qapi/*.json` by `scripts/qapi-gen.py`.\n\n']
        for title, entities in self.s.modules:
            if entities:
                out.append('## %s\n\n' % title)
                out += [self.entity(e) for e in entities]
        return ''.join(out)
