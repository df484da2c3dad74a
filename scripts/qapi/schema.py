# SPDX-License-Identifier: GPL-2.0-or-later
# Reads qapi/*.json: text -> expressions with doc comments -> checked Schema.
import os
import re
import sys

BUILTINS = {
    # name: (C type, JSON type, smallest, largest)
    'str': ('char *', 'string', None, None),
    'int': ('int64_t', 'int', 'INT64_MIN', 'INT64_MAX'),
    'int8': ('int8_t', 'int', 'INT8_MIN', 'INT8_MAX'),
    'int16': ('int16_t', 'int', 'INT16_MIN', 'INT16_MAX'),
    'int32': ('int32_t', 'int', 'INT32_MIN', 'INT32_MAX'),
    'int64': ('int64_t', 'int', 'INT64_MIN', 'INT64_MAX'),
    'uint8': ('uint8_t', 'int', '0', 'UINT8_MAX'),
    'uint16': ('uint16_t', 'int', '0', 'UINT16_MAX'),
    'uint32': ('uint32_t', 'int', '0', 'UINT32_MAX'),
    'uint64': ('uint64_t', 'int', None, None),
    'size': ('uint64_t', 'int', None, None),
    'number': ('double', 'number', None, None),
    'bool': ('bool', 'boolean', None, None),
    'null': ('bool', 'null', None, None),
    'any': ('JsonNode *', 'value', None, None),
}
META = ('include', 'pragma', 'enum', 'struct', 'union', 'alternate', 'command', 'event')
KEYS = {
    'enum': {'enum', 'data', 'prefix', 'features'},
    'struct': {'struct', 'data', 'base', 'features'},
    'union': {'union', 'data', 'base', 'discriminator', 'features'},
    'alternate': {'alternate', 'data', 'features'},
    'command': {'command', 'data', 'returns', 'boxed', 'gen', 'allow-oob', 'allow-preconfig',
                'features'},
    'event': {'event', 'data', 'boxed', 'features'},
}


class SchemaError(Exception):
    pass


TOKEN = re.compile(r"\s*(?:(?P<doc>##\n(?:#.*\n)*?##[ \t]*(?=\n|$))|(?P<comment>#.*)|"
                   r"(?P<str>'[^'\n]*')|(?P<word>true|false)|(?P<punct>[{}\[\],:]))")


class Parser:
    """Text of one file -> list of (expression, doc, line)."""

    def __init__(self, path):
        self.path = path
        with open(path, encoding='utf-8') as f:
            self.text = f.read()
        self.pos = 0
        self.doc = None
        self.token = self.value = None
        self.advance()

    def where(self):
        return '%s:%d' % (self.path, self.text.count('\n', 0, self.pos) + 1)

    def advance(self):
        while True:
            if not self.text[self.pos:].strip():
                self.token = None
                return
            m = TOKEN.match(self.text, self.pos)
            if not m:
                raise SchemaError('%s: stray text' % self.where())
            self.pos = m.end()
            kind = m.lastgroup
            if kind == 'comment':
                continue
            if kind == 'doc':
                self.doc = m.group('doc')
                continue
            self.token, self.value = kind, m.group(kind)
            return

    def expect(self, punct):
        if self.token != 'punct' or self.value != punct:
            raise SchemaError("%s: expected '%s'" % (self.where(), punct))
        self.advance()

    def parse_value(self):
        if self.token == 'str':
            v = self.value[1:-1]
            self.advance()
            return v
        if self.token == 'word':
            v = self.value == 'true'
            self.advance()
            return v
        if self.token == 'punct' and self.value == '{':
            return self.parse_object()
        if self.token == 'punct' and self.value == '[':
            return self.parse_array()
        raise SchemaError('%s: expected a value' % self.where())

    def parse_object(self):
        out = {}
        self.expect('{')
        while self.value != '}':
            key = self.parse_value()
            if not isinstance(key, str) or key in out:
                raise SchemaError("%s: bad or repeated member '%s'" % (self.where(), key))
            self.expect(':')
            out[key] = self.parse_value()
            if self.value != '}':
                self.expect(',')
        self.expect('}')
        return out

    def parse_array(self):
        out = []
        self.expect('[')
        while self.value != ']':
            out.append(self.parse_value())
            if self.value != ']':
                self.expect(',')
        self.expect(']')
        return out

    def expressions(self):
        while self.token is not None:
            doc, self.doc = self.doc, None
            where = self.where()
            yield self.parse_object(), doc, where


def parse_doc(text):
    """'##' comment -> {'name', 'text', 'members': {name: text}, 'returns', 'errors'}."""
    doc = {'name': None, 'text': '', 'members': {}, 'returns': '', 'errors': ''}
    cur = None
    if not text:
        return doc
    for line in text.split('\n')[1:-1]:
        line = line[2:] if line.startswith('# ') else line[1:]
        m = re.match(r'@([\w.-]+):\s*(.*)', line)
        r = re.match(r'(Returns|Errors):\s*(.*)', line)
        if m and doc['name'] is None:
            doc['name'], doc['text'], cur = m.group(1), m.group(2), ('text',)
        elif m:
            doc['members'][m.group(1)] = m.group(2)
            cur = ('members', m.group(1))
        elif r:
            cur = (r.group(1).lower(),)
            doc[cur[0]] = r.group(2)
        elif cur and len(cur) == 1:
            doc[cur[0]] = (doc[cur[0]] + ' ' + line.strip()).strip()
        elif cur:
            doc['members'][cur[1]] = (doc['members'][cur[1]] + ' ' + line.strip()).strip()
    return doc


def camel_to_snake(name):
    name = re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', name)
    name = re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', name)
    return re.sub(r'[^a-zA-Z0-9]', '_', name).lower()


# Words of C, and names that the preprocessor defines.
C_WORDS = set("""auto break case char const continue default do double else enum extern float for
goto if inline int long register restrict return short signed sizeof static struct switch
typedef union unsigned void volatile while asm typeof unix linux i386 errno""".split())


def c_name(name):
    out = re.sub(r'[^a-zA-Z0-9_]', '_', name)
    return 'q_' + out if out in C_WORDS or out[0].isdigit() else out


def command_args_name(name):
    return ''.join(p[:1].upper() + p[1:] for p in re.split(r'[-_]', name)) + 'Args'


class Member:
    def __init__(self, name, spec, doc):
        self.optional = name.startswith('*')
        self.name = name.lstrip('*')
        self.features = []
        if isinstance(spec, dict):
            self.features = spec.get('features', [])
            spec = spec['type']
        self.type = spec        # 'T' or ['T']
        self.c = c_name(self.name)
        self.doc = doc


class Entity:
    def __init__(self, meta, name, doc, where, features):
        self.meta, self.name, self.doc, self.where = meta, name, doc, where
        self.features = features


class Schema:
    def __init__(self, paths):
        self.types = {}         # name -> Entity (enum/struct/union/alternate)
        self.commands = []
        self.events = []
        self.extern_enums = {}  # enum name -> header that has the C type
        self.modules = []       # (title, [entities])
        for path in paths:
            self.load(path)
        self.check()

    def load(self, path):
        entities = []
        self.modules.append((os.path.basename(path)[:-5], entities))
        for expr, doc, where in Parser(path).expressions():
            meta = next((m for m in META if m in expr), None)
            if meta is None:
                raise SchemaError('%s: unknown expression' % where)
            if meta == 'pragma':
                self.extern_enums.update(expr['pragma'].get('extern-enums', {}))
                continue
            unknown = set(expr) - KEYS[meta]
            if unknown:
                raise SchemaError('%s: unknown key %s' % (where, sorted(unknown)))
            ent = Entity(meta, expr[meta], parse_doc(doc), where, expr.get('features', []))
            if ent.doc['name'] != ent.name:
                raise SchemaError("%s: '%s' needs a doc comment '@%s:'" % (where, ent.name, ent.name))
            getattr(self, 'load_' + meta)(ent, expr)
            entities.append(ent)

    def members(self, ent, data):
        return [Member(k, v, ent.doc['members'].get(k.lstrip('*'), '')) for k, v in data.items()]

    def add_type(self, ent):
        if ent.name in self.types or ent.name in BUILTINS:
            raise SchemaError("%s: type '%s' is defined twice" % (ent.where, ent.name))
        self.types[ent.name] = ent

    def load_enum(self, ent, expr):
        ent.values = [v if isinstance(v, dict) else {'name': v} for v in expr['data']]
        ent.prefix = expr.get('prefix', camel_to_snake(ent.name).upper())
        ent.implicit = False
        self.add_type(ent)

    def load_struct(self, ent, expr):
        ent.base = expr.get('base')
        ent.local = self.members(ent, expr['data'])
        self.add_type(ent)

    def load_union(self, ent, expr):
        ent.base = None
        ent.local = []
        if isinstance(expr['base'], dict):
            ent.local = self.members(ent, expr['base'])
        else:
            ent.base = expr['base']
        ent.tag = expr['discriminator']
        ent.branches = {k: v['type'] if isinstance(v, dict) else v
                        for k, v in expr['data'].items()}
        self.add_type(ent)

    def load_alternate(self, ent, expr):
        ent.branches = expr['data']
        self.add_type(ent)

    def load_command(self, ent, expr):
        ent.gen = expr.get('gen', True)
        ent.oob = expr.get('allow-oob', False)
        ent.preconfig = expr.get('allow-preconfig', False)
        ent.returns = expr.get('returns')
        ent.arg = self.arg_type(ent, expr.get('data'), command_args_name(ent.name))
        self.commands.append(ent)

    def load_event(self, ent, expr):
        name = ''.join(p.capitalize() for p in ent.name.split('_')) + 'Data'
        ent.arg = self.arg_type(ent, expr.get('data'), name)
        ent.flat = isinstance(expr.get('data'), dict)
        self.events.append(ent)

    def arg_type(self, ent, data, made_name):
        if data is None or data == {}:
            return None
        if isinstance(data, str):
            return data
        made = Entity('struct', made_name, ent.doc, ent.where, [])
        made.base = None
        made.local = self.members(ent, data)
        made.of = ent.name
        self.add_type(made)
        return made_name

    # Queries used by the writers

    def all_members(self, ent):
        base = self.all_members(self.types[ent.base]) if ent.base else []
        return base + ent.local

    def is_list(self, t):
        return isinstance(t, list)

    def meta(self, t):
        if isinstance(t, list):
            return 'list'
        if t in BUILTINS:
            return 'builtin'
        return self.types[t].meta

    def is_pointer(self, t):
        """Is the C form of a member of this type a pointer (NULL: absent)?"""
        m = self.meta(t)
        return m in ('list', 'struct', 'union', 'alternate') or t in ('str', 'any')

    # Checks

    def check_ref(self, t, where):
        if isinstance(t, list):
            if len(t) != 1:
                raise SchemaError('%s: a list type has one element type' % where)
            t = t[0]
        if t not in BUILTINS and t not in self.types:
            raise SchemaError("%s: unknown type '%s'" % (where, t))

    def check(self):
        for ent in self.types.values():
            if ent.meta in ('struct', 'union'):
                if ent.base and self.meta(ent.base) != 'struct':
                    raise SchemaError("%s: base '%s' is not a struct" % (ent.where, ent.base))
                for m in ent.local:
                    self.check_ref(m.type, ent.where)
                names = [m.name for m in self.all_members(ent)]
                if len(names) != len(set(names)):
                    raise SchemaError("%s: '%s' has a member twice" % (ent.where, ent.name))
            if ent.meta == 'union':
                self.check_union(ent)
            if ent.meta == 'alternate':
                for t in ent.branches.values():
                    self.check_ref(t, ent.where)
        seen = set()
        for ent in self.commands + self.events:
            if ent.name in seen:
                raise SchemaError("%s: '%s' is defined twice" % (ent.where, ent.name))
            seen.add(ent.name)
            if ent.arg and self.meta(ent.arg) not in ('struct', 'union'):
                raise SchemaError("%s: data of '%s' is not an object" % (ent.where, ent.name))
            if ent.meta == 'command' and ent.returns:
                self.check_ref(ent.returns, ent.where)

    def check_union(self, ent):
        tag = next((m for m in self.all_members(ent) if m.name == ent.tag), None)
        if tag is None or tag.optional or self.meta(tag.type) != 'enum':
            raise SchemaError("%s: discriminator '%s' is not a mandatory enum member"
                              % (ent.where, ent.tag))
        values = {v['name'] for v in self.types[tag.type].values}
        for case, t in ent.branches.items():
            if case not in values:
                raise SchemaError("%s: branch '%s' is not a value of '%s'"
                                  % (ent.where, case, tag.type))
            if self.meta(t) not in ('struct', 'union'):
                raise SchemaError("%s: branch '%s' is not an object type" % (ent.where, case))
        ent.tag_member = tag


def die(err):
    print('qapi-gen: %s' % err, file=sys.stderr)
    sys.exit(1)
