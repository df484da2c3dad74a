#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes C from a trace-events file: tracetool.py GROUP INPUT OUT.h OUT.c

A line of the input is   name(type arg, type arg) "format" args-as-in-printf
(the arguments are passed to the format in order).  # starts a comment.  Each event
becomes an inline function trace_NAME() that costs one load and a branch when it is
off, writes a line to the log when `-trace NAME` turned it on, and is a USDT probe
ferry:NAME where <sys/sdt.h> exists.
"""
import re
import sys

EVENT = re.compile(r'^(\w+)\((.*?)\)\s+(".*")\s*$')


def parse(path):
    events = []
    with open(path, encoding='utf-8') as f:
        for n, line in enumerate(f, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            m = EVENT.match(line)
            if not m:
                sys.exit(f'{path}:{n}: not NAME(ARGS) "FORMAT": {line}')
            name, args, fmt = m.groups()
            args = '' if args.strip() in ('', 'void') else args
            names = [re.search(r'(\w+)\s*$', a).group(1) for a in args.split(',')] if args else []
            if len(names) > 10:
                sys.exit(f'{path}:{n}: {name}: more than 10 arguments')
            events.append((name, args, names, fmt, n))
    return events


def header(group, path, events):
    guard = f'FERRY_TRACE_{group.upper()}_H'
    yield f'/* Made by tracetool.py from the trace-events of "{group}"; do not edit. */'
    yield f'#ifndef {guard}\n#define {guard}\n'
    yield '#include <inttypes.h>\n#include <stdbool.h>\n#include <stddef.h>\n#include <sys/types.h>\n'
    yield '#include "trace/control.h"\n'
    yield '#if CONFIG_USDT\n#include <sys/sdt.h>\n#endif\n'
    for name, args, names, fmt, _ in events:
        call = ''.join(', ' + a for a in names)
        probe = f'DTRACE_PROBE{len(names) or ""}(ferry, {name}{call});'
        yield f'extern TraceEvent trace_event_{name};'
        yield f'static inline void trace_{name}({args or "void"})\n{{'
        yield f'#if CONFIG_USDT\n    {probe}\n#endif'
        yield f'    if (__builtin_expect(trace_event_{name}.on, 0)) {{'
        yield f'        trace_write("{name}", {fmt}{call});'
        yield '    }\n}\n'
        yield f'static inline bool trace_{name}_on(void)\n{{'
        yield f'    return trace_event_{name}.on;\n}}\n'
    yield '#endif'


def source(group, events):
    yield f'/* Made by tracetool.py from the trace-events of "{group}"; do not edit. */'
    yield f'#include "trace/{group}.h"\n'
    for name, *_ in events:
        yield f'TraceEvent trace_event_{name} = {{ .name = "{name}" }};'
    if events:
        yield f'\nstatic void __attribute__((constructor)) register_{group}(void)\n{{'
        for name, *_ in events:
            yield f'    trace_event_register(&trace_event_{name});'
        yield '}'


def main():
    group, inp, out_h, out_c = sys.argv[1:]
    events = parse(inp)
    for path, lines in ((out_h, header(group, inp, events)), (out_c, source(group, events))):
        with open(path, 'w', encoding='utf-8') as f:
            f.write('\n'.join(lines) + '\n')


main()
