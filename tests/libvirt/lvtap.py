# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs tests that share two hosts, and says how they went as TAP."""
import subprocess
import sys
import time
import traceback

from lvhosts import Pair, Unable

TESTS = []


class Skip(Exception):
    """This test cannot run here; the text says why."""


def test(function):
    """Decorator: function(pair) is a test.  Both hosts are without domains when it begins."""
    TESTS.append(function)
    return function


def say(text):
    for line in text.splitlines():
        print(f'# {line}')
    sys.stdout.flush()


def explain(pair, error):
    say(''.join(traceback.format_exception(error)))
    if isinstance(error, subprocess.CalledProcessError):
        say(str(error.stderr))
    for host in pair.hosts:
        for domain in host.run('virsh', '-q', 'list', '--all', '--name', check=False).stdout.split():
            say(f'{host.letter}: {domain}: {host.state(domain)}\n{host.domain_log(domain)}')
        say(f'{host.letter}: libvirtd: {host.daemon_log()}')


def run_one(pair, number, function):
    name = function.__name__.replace('_', '-')
    started = time.monotonic()
    try:
        function(pair)
        print(f'ok {number} - {name}')
        say(f'{time.monotonic() - started:.1f} s')
        good = True
    except Skip as e:
        print(f'ok {number} - {name} # SKIP {e}')
        good = True
    except Exception as e:  # whatever it is, the next test runs
        print(f'not ok {number} - {name}')
        explain(pair, e)
        good = False
    sys.stdout.flush()
    try:
        pair.clean()
    except Exception as e:
        explain(pair, e)
        good = False
    return good


def main():
    """Arguments: names of tests to run (default: all)."""
    chosen = [t for t in TESTS if not sys.argv[1:] or t.__name__.replace('_', '-') in sys.argv[1:]]
    try:
        with Pair() as pair:
            print(f'1..{len(chosen)}')
            good = [run_one(pair, i, t) for i, t in enumerate(chosen, 1)]
            sys.exit(not all(good))
    except Unable as e:
        print(f'1..{len(chosen)}')
        for i, t in enumerate(chosen, 1):
            print(f'ok {i} - {t.__name__.replace("_", "-")} # SKIP {e}')
