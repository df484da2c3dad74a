#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A shell with two hosts to play with: `a ...` and `b ...` are virsh on either.

Ends with the shell, and leaves nothing behind.  docs/user/libvirt.md has a tour.
"""
import os
import subprocess
import sys

from lvguest import Domain
from lvhosts import ADDRESSES, Pair, Unable

SHELL = '''
a() {{ {a} virsh "$@"; }}
b() {{ {b} virsh "$@"; }}
cable() {{ {net} ip link set eth0 "$1"; }}
export DOMAIN={domain} TO="qemu+tcp://{address}/system --migrateuri tcp://{address}"
PS1='two hosts> '
echo "a and b are virsh on host a and host b; cable up|down; the guest's XML is \\$DOMAIN"
'''


def main():
    try:
        with Pair() as pair:
            rc = f'{pair.folder}/rc'
            words = {h.letter: ' '.join(h.inside()) for h in pair.hosts}
            with open(rc, 'w', encoding='ascii') as f:
                f.write(SHELL.format(**words, net=words['a'], domain=Domain(pair).file,
                                     address=ADDRESSES['b']))
            subprocess.run(['bash', '--noprofile', '--rcfile', rc] + (['-i'] if os.isatty(0) else []),
                           env={**os.environ, 'BASH_ENV': rc}, check=False)
    except Unable as e:
        sys.exit(f'play.py: {e}')


main()
