#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of CONTRIBUTING.md that a machine can check, over every tracked file.

SPDX line, file and function length, first comment, private includes, white space,
words that have no place in a finished tree.
"""
import os
import re
import subprocess
import sys

MAX_FILE = 800
MAX_FUNCTION = 60
SOURCE = ('.c', '.h', '.py', '.sh', '.S')
UNFINISHED = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X)\b')


def tracked():
    out = subprocess.run(['git', 'ls-files'], capture_output=True, text=True, check=True).stdout
    return [p for p in out.splitlines() if os.path.isfile(p)]


def functions(lines):
    """(first line, length) of each function body of a C file in this project's layout."""
    start = None
    for n, line in enumerate(lines, 1):
        if line == '{' and start is None:
            start = n
        elif line == '}' and start is not None:
            yield start, n - start - 1
            start = None


def check(path, problems):
    with open(path, encoding='utf-8', errors='replace') as f:
        text = f.read()
    lines = text.split('\n')

    def bad(line, what):
        problems.append(f'{path}:{line}: {what}')

    is_source = path.endswith(SOURCE) or text.startswith('#!')
    if is_source and 'SPDX-License-Identifier: GPL-2.0-or-later' not in text[:4000]:
        bad(1, 'no SPDX line')
    if is_source:
        for n, line in enumerate(lines, 1):
            if line != line.rstrip():
                bad(n, 'white space at the end')
            if '\t' in line and not path.endswith(('.S',)) and path.endswith(('.c', '.h', '.py')):
                bad(n, 'tab')
            if UNFINISHED.search(line):
                bad(n, 'left open in the code')
        if len(lines) > MAX_FILE:
            bad(1, f'{len(lines)} lines, more than {MAX_FILE}')
    if path.endswith(('.c', '.h')):
        if not text.startswith('/*'):
            bad(1, 'no first comment')
        for n, line in enumerate(lines, 1):
            if len(line) > 110:
                bad(n, f'{len(line)} columns')
            m = re.match(r'#include "((?:\w[\w-]*/)+)[\w.-]+\.h"', line)
            if m:
                folder = m.group(1).rstrip('/')
                mine = os.path.dirname(path)
                name = line.split('"')[1]
                public = (os.path.exists(os.path.join('include', name)) or
                          os.path.exists(os.path.join(mine, name)))
                made = folder in ('trace', 'qapi')
                if not public and not made and not mine.startswith(folder.split('/')[0]) \
                        and not mine.startswith('tests'):
                    bad(n, f'includes a private header of {folder}/')
    if path.endswith('.c'):
        for n, length in functions(lines):
            if length > MAX_FUNCTION:
                bad(n, f'function of {length} lines, more than {MAX_FUNCTION}')


def main():
    problems = []
    for path in tracked():
        check(path, problems)
    for p in problems:
        print(p)
    if problems:
        print(f'{len(problems)} problems')
    sys.exit(bool(problems))


main()
