#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: qapi-gen.py OUTDIR SCHEMA.json...
# Makes C types, JSON conversion, command marshalling, events, introspection and the
# reference manual from the QAPI schema.  See docs/developer/qapi.md.
import os
import sys

from qapi.docs import DocWriter
from qapi.gencommands import CommandWriter
from qapi.gentypes import TypeWriter
from qapi.introspect import Introspector
from qapi.schema import Schema, SchemaError, die


def main():
    outdir = sys.argv[1]
    try:
        schema = Schema(sys.argv[2:])
    except SchemaError as err:
        die(err)
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


if __name__ == '__main__':
    sys.dont_write_bytecode = True
    main()
