#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""First process of one host: host_init.py NAME FOLDER, in namespaces of its own.

Puts the host's folders over those that libvirt writes to, says that it is ready, and then collects
the processes that nobody else waits for.  When it is killed everything of the host goes with it.
"""
import os
import signal
import subprocess
import sys

PLACES = {'run': '/run', 'etc': '/etc/libvirt', 'lib': '/var/lib/libvirt',
          'cache': '/var/cache/libvirt', 'log': '/var/log/libvirt'}


def call(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def main():
    name, folder = sys.argv[1:]
    call('hostname', name)
    call('mount', '--make-rprivate', '/')
    for part, place in PLACES.items():
        os.makedirs(place, exist_ok=True)
        call('mount', '--bind', f'{folder}/{part}', place)
    call('mount', '--bind', f'{folder}/hosts', '/etc/hosts')
    call('ip', 'link', 'set', 'lo', 'up')
    with open(f'{folder}/ready', 'w', encoding='ascii'):
        pass
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        signal.sigwait([signal.SIGCHLD])
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


main()
