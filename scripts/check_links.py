#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every relative link of every tracked Markdown page leads to a file, and its #anchor to a
heading of that file."""
import os
import re
import subprocess
import sys
from urllib.parse import unquote

FENCE = re.compile(r'^(```|~~~).*?^\1\s*$', re.M | re.S)
LINK = re.compile(r'!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)')
HEADING = re.compile(r'^#{1,6}\s+(.*?)\s*#*\s*$', re.M)
ANCHOR = re.compile(r'<a\s+(?:name|id)="([^"]+)"')


def tracked():
    out = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '*.md'], capture_output=True,
                         text=True, check=True).stdout
    return [p for p in out.splitlines() if os.path.isfile(p)]


def text_of(path):
    with open(path, encoding='utf-8') as f:
        return FENCE.sub('', f.read())


def anchors(path):
    """What a page can be entered at, as the common Markdown renderers name it."""
    text, found, seen = text_of(path), set(), {}
    for heading in HEADING.findall(text):
        heading = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading)
        name = re.sub(r'[^\w\- ]', '', heading.replace('`', '').lower()).replace(' ', '-')
        n = seen.get(name, 0)
        seen[name] = n + 1
        found.add(f'{name}-{n}' if n else name)
    return found | set(ANCHOR.findall(text))


def check(page, problems):
    # Code spans may hold anything.
    for target in LINK.findall(re.sub(r'`[^`\n]*`', '', text_of(page))):
        if re.match(r'[a-z][a-z0-9+.-]*:', target):
            continue
        path, _, anchor = unquote(target).partition('#')
        full = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        if not os.path.exists(full):
            problems.append(f'{page}: {target}: there is no {full}')
        elif anchor and full.endswith('.md') and anchor not in anchors(full):
            problems.append(f'{page}: {target}: {full} has no heading #{anchor}')


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.realpath(__file__)), '..'))
    problems = []
    pages = tracked()
    for page in pages:
        check(page, problems)
    print('\n'.join(problems) or f'{len(pages)} pages, all links lead somewhere')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
