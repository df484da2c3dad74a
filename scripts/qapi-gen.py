#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: qapi-gen.py OUTDIR SCHEMA.json...
#        qapi-gen.py --manual [--check]
# Makes C types, JSON conversion, command marshalling, events, introspection and the
# reference manual from the QAPI schema.  See docs/developer/qapi.md.
# --manual writes docs/reference/qmp.md; with --check it only tells whether that is needed.
import os
import re
import sys

sys.dont_write_bytecode = True

from qapi.docs import DocWriter
from qapi.gencommands import CommandWriter
from qapi.gentypes import TypeWriter
from qapi.introspect import Introspector
from qapi.schema import Schema, SchemaError, die

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MANUAL = 'docs/reference/qmp.md'


def generate(outdir, paths):
    schema = Schema(paths)
    commands = CommandWriter(schema)
    types = TypeWriter(schema)
    files = {
        'qapi-types.h': types.header(),
        'qapi-types.c': types.source(),
        'qapi-commands.h': commands.header(),
        'qapi-commands.c': commands.source(),
        'qapi-events.h': commands.events_header(),
        'qapi-events.c': commands.events_source(),
        'qapi-introspect.c': Introspector(schema).source(),
        'qmp.md': DocWriter(schema).text(),
    }
    for name, text in files.items():
        with open(os.path.join(outdir, name), 'w', encoding='utf-8') as f:
            f.write(text)


def manual(check):
    """The modules and their order are those of qapi/meson.build."""
    with open(os.path.join(TOP, 'qapi/meson.build'), encoding='utf-8') as f:
        modules = re.search(r'qapi_modules = \[(.*?)\]', f.read(), re.S).group(1)
    paths = [os.path.join(TOP, 'qapi', m + '.json') for m in re.findall(r"'([\w-]+)'", modules)]
    text = DocWriter(Schema(paths)).text()
    path = os.path.join(TOP, MANUAL)
    old = ''
    if os.path.exists(path):
        with open(path, encoding='utf-8') as f:
            old = f.read()
    if check:
        if old != text:
            sys.exit('%s is older than the schema: run scripts/qapi-gen.py --manual' % MANUAL)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)


def main():
    try:
        if sys.argv[1] == '--manual':
            manual('--check' in sys.argv)
        else:
            generate(sys.argv[1], sys.argv[2:])
    except SchemaError as err:
        die(err)


if __name__ == '__main__':
    main()
