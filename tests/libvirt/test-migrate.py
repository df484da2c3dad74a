#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh migrate in its forms, between two libvirt daemons; the guest checks its memory after each."""
import time

from lvguest import Domain
from lvhosts import VirshError, poll_until
from lvtap import main, test

TO_B = ('qemu+tcp://10.77.0.2/system', '--migrateuri', 'tcp://10.77.0.2')


def moved(pair, domain, verify=True):
    """It runs on B and is gone from A."""
    state = pair.b.state(domain.name)
    assert state.startswith('running'), f'on B it is {state or "unknown"}'
    assert 'running' not in pair.a.state(domain.name), 'it still runs on A'
    if verify:
        domain.runs_on(pair.b)


def migrate(pair, domain, *how, to=TO_B):
    """To the end; checked on B."""
    pair.a.virsh('migrate', '--live', '--unsafe', *how, domain.name, *to)
    moved(pair, domain)


class Moving:
    """A migration in the background, limited so that precopy does not end by itself."""

    def __init__(self, pair, domain, *how, to=TO_B, speed='8'):
        self.pair, self.domain = pair, domain
        self.process = pair.a.virsh_start('migrate', '--live', '--unsafe', '--bandwidth', speed, *how,
                                          domain.name, *to)
        poll_until('memory moves', self.begun)

    def begun(self):
        if self.process.poll() is not None:
            raise AssertionError(f'the migration ended: {self.process.stdout.read()}')
        job = self.pair.a.run('virsh', '-q', 'domjobinfo', self.domain.name, check=False).stdout
        return any(line.startswith('Memory processed:') and ' 0.000' not in line
                   for line in job.splitlines())

    def postcopy(self):
        self.pair.a.virsh('migrate-postcopy', self.domain.name)

    def ended(self):
        """What it printed and whether that was a success."""
        out, _ = self.process.communicate(timeout=60)
        return out.strip(), self.process.returncode == 0

    def succeeds(self):
        out, good = self.ended()
        if not good:
            raise VirshError(out)

    def fails(self, part):
        out, good = self.ended()
        assert not good, 'the migration succeeded'
        assert part in out, out


def in_postcopy(pair, domain):
    poll_until('both in postcopy',
               lambda: 'post-copy' in pair.a.state(domain.name) and 'post-copy' in pair.b.state(domain.name))


@test
def precopy(pair):
    migrate(pair, Domain(pair).start())


@test
def postcopy(pair):
    domain = Domain(pair).start()
    moving = Moving(pair, domain, '--postcopy')
    moving.postcopy()
    moving.succeeds()
    moved(pair, domain)


@test
def recovery_after_a_cut(pair):
    domain = Domain(pair).start()
    moving = Moving(pair, domain, '--postcopy', '--postcopy-bandwidth', '1')
    moving.postcopy()
    in_postcopy(pair, domain)
    pair.link(False)
    time.sleep(0.5)
    pair.a.virsh('domjobabort', '--postcopy', domain.name)
    pair.link(True)
    moving.fails('post-copy phase')
    poll_until('both know', lambda: all(h.state(domain.name).endswith('(post-copy failed)')
                                        for h in pair.hosts))
    migrate(pair, domain, '--postcopy', '--postcopy-resume', '--postcopy-bandwidth', '0')


@test
def save_and_restore(pair):
    domain = Domain(pair).start()
    saved = f'{pair.folder}/saved'
    pair.a.virsh('save', domain.name, saved)
    assert not pair.a.state(domain.name)
    pair.a.virsh('restore', saved)
    domain.runs_on(pair.a)


main()
