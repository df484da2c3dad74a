#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns meson's testlog.json into lines "RESULT<tab>NAME<tab>REASON" a subtest.

RESULT is pass, fail, skip or text (a line of output of a failed program, to show).
A program that fails without saying which subtest did counts as one failure.
"""
import json
import re
import sys

LINE = re.compile(r'^(ok|not ok)\s+\d+\s*-?\s*(.*?)(?:\s+#\s*(\w+)\s*(.*))?$')


def summarise(test):
    name = test['name']
    out = test.get('stdout', '')
    failures = 0
    for line in out.splitlines():
        m = LINE.match(line)
        if not m:
            continue
        verdict, sub, directive, reason = m.groups()
        full = f'{name}: {sub}'
        if directive and directive.upper() == 'SKIP':
            yield 'skip', full, reason or 'no reason given'
        elif verdict == 'ok':
            yield 'pass', full, ''
        else:
            failures += 1
            yield 'fail', full, reason or ''
    good = test['result'] in ('OK', 'SKIP', 'EXPECTEDFAIL')
    if not good:
        for line in (out + test.get('stderr', '')).splitlines()[-40:]:
            yield 'text', line.replace('\t', ' '), ''
        if not failures:
            yield 'fail', name, f'{test["result"].lower()}, exit status {test.get("returncode")}'


def main():
    with open(sys.argv[1], encoding='utf-8') as f:
        for line in f:
            for row in summarise(json.loads(line)):
                print('\t'.join(row))


main()
