#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh migrate in its forms, between two libvirt daemons; the guest checks its memory after each."""
import os
import re
import shutil
import subprocess
import time

from lvguest import Domain
from lvhosts import TOP, VirshError, poll_until
from lvtap import main, test

CERTIFICATES = os.environ.get('FERRY_TEST_CERTIFICATES',
                              os.path.join(TOP, 'build', 'tests', 'libvirt', 'certificates'))
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


def certificates(pair):
    """Keys of an authority that both trust, in the folder that qemu.conf names."""
    subprocess.run([CERTIFICATES, f'{pair.folder}/tls', *(h.name for h in pair.hosts)], check=True)
    for host in pair.hosts:
        shutil.copytree(f'{pair.folder}/tls/{host.name}', host.folder + '/pki', dirs_exist_ok=True)


@test
def precopy(pair):
    migrate(pair, Domain(pair).start())


@test
def precopy_of_the_software_cpu(pair):
    migrate(pair, Domain(pair, accel='qemu', used=2 << 20, interval=0).start(), '--p2p')


@test
def postcopy(pair):
    domain = Domain(pair, vcpus=2).start()
    moving = Moving(pair, domain, '--postcopy')
    moving.postcopy()
    moving.succeeds()
    moved(pair, domain)


@test
def postcopy_after_one_pass(pair):
    migrate(pair, Domain(pair).start(), '--p2p', '--postcopy', '--postcopy-after-precopy',
            '--bandwidth', '64')


@test
def postcopy_after_a_timeout(pair):
    migrate(pair, Domain(pair).start(), '--postcopy', '--bandwidth', '8', '--timeout', '1',
            '--timeout-postcopy')


@test
def suspended_after_a_timeout(pair):
    """With --timeout alone the guest is stopped until it has arrived."""
    migrate(pair, Domain(pair).start(), '--bandwidth', '40', '--timeout', '1')


@test
def several_channels(pair):
    migrate(pair, Domain(pair).start(), '--parallel', '--parallel-connections', '2')


@test
def several_channels_and_postcopy(pair):
    domain = Domain(pair).start()
    moving = Moving(pair, domain, '--parallel', '--parallel-connections', '2', '--postcopy')
    moving.postcopy()
    moving.succeeds()
    moved(pair, domain)


@test
def over_unix_sockets(pair):
    socket = f'{pair.folder}/moving'
    to = (f'qemu+unix:///system?socket={pair.b.folder}/run/libvirt/libvirt-sock',
          '--migrateuri', f'unix://{socket}')
    domain = Domain(pair).start()
    moving = Moving(pair, domain, '--p2p', '--postcopy', to=to)
    moving.postcopy()
    moving.succeeds()
    moved(pair, domain)


@test
def tunnelled(pair):
    migrate(pair, Domain(pair).start(), '--p2p', '--tunnelled', to=TO_B[:1])


@test
def compressed_and_throttled(pair):
    migrate(pair, Domain(pair).start(), '--compressed', '--comp-methods', 'xbzrle',
            '--comp-xbzrle-cache', str(16 << 20), '--auto-converge', '--auto-converge-initial', '30')


@test
def compression_that_there_is_not(pair):
    domain = Domain(pair).start()
    said = pair.a.virsh_error('migrate', '--live', '--unsafe', '--compressed', '--comp-methods', 'mt',
                              domain.name, *TO_B)
    assert "'compress'" in said, said
    domain.runs_on(pair.a)


@test
def encrypted(pair):
    certificates(pair)
    migrate(pair, Domain(pair).start(), '--tls', '--tls-destination', pair.b.name)
    domain = Domain(pair, 'second').start()
    moving = Moving(pair, domain, '--tls', '--tls-destination', pair.b.name, '--p2p', '--postcopy',
                    '--parallel')
    moving.postcopy()
    moving.succeeds()
    moved(pair, domain)


@test
def progress_moves(pair):
    domain = Domain(pair, interval=0).start()
    moving = Moving(pair, domain, '--verbose', '--postcopy', speed='32')
    time.sleep(1)
    info = pair.a.virsh('domjobinfo', domain.name)
    assert 'Memory bandwidth:' in info and 'Dirty rate:' in info, info
    pair.a.virsh('migrate-setspeed', '--postcopy', domain.name, '64')
    moving.postcopy()
    out, good = moving.ended()
    assert good, out
    shown = {int(n) for n in re.findall(r'\[ *(\d+) %\]', out)}
    assert len(shown) > 2 and 100 in shown, out
    moved(pair, domain)


@test
def limits_while_it_runs(pair):
    """A domain that dirties memory faster than it may be sent arrives when it may."""
    domain = Domain(pair).start()
    moving = Moving(pair, domain)
    pair.a.virsh('migrate-setmaxdowntime', domain.name, '1234')
    assert pair.a.virsh('migrate-getmaxdowntime', domain.name) == '1234'
    pair.a.virsh('migrate-setspeed', domain.name, '4096')
    assert pair.a.virsh('migrate-getspeed', domain.name) == '4096'
    moving.succeeds()
    moved(pair, domain)


@test
def persistent_domain_changes_home(pair):
    domain = Domain(pair)
    pair.a.virsh('define', domain.file)
    pair.a.virsh('start', domain.name)
    domain.runs_on(pair.a)
    migrate(pair, domain, '--undefinesource', '--persistent')
    assert domain.name not in pair.a.virsh('list', '--all', '--name').split()
    pair.b.virsh('destroy', domain.name)
    assert domain.name in pair.b.virsh('list', '--all', '--name').split()


@test
def offline(pair):
    domain = Domain(pair)
    pair.a.virsh('define', domain.file)
    pair.a.virsh('migrate', '--offline', '--persistent', domain.name, *TO_B[:1])
    pair.b.virsh('start', domain.name)
    domain.runs_on(pair.b)


@test
def abort_in_precopy(pair):
    domain = Domain(pair).start()
    moving = Moving(pair, domain)
    pair.a.virsh('domjobabort', domain.name)
    moving.fails('canceled by client')
    domain.runs_on(pair.a)
    assert not pair.b.state(domain.name)
    migrate(pair, domain)


@test
def destination_dies_in_precopy(pair):
    domain = Domain(pair).start()
    moving = Moving(pair, domain, '--p2p')
    with open(pair.b.path(f'/run/libvirt/qemu/{domain.name}.pid'), encoding='ascii') as f:
        pair.b.run('kill', '-9', f.read().strip())
    out, good = moving.ended()
    assert not good, out
    domain.runs_on(pair.a)
    migrate(pair, domain)


def break_off(pair, domain, how):
    """A migration that is in postcopy-paused on both hosts."""
    moving = Moving(pair, domain, '--postcopy', '--postcopy-bandwidth', '1')
    moving.postcopy()
    in_postcopy(pair, domain)
    how()
    moving.fails('post-copy phase')
    poll_until('both know', lambda: all(h.state(domain.name).endswith('(post-copy failed)')
                                        for h in pair.hosts))


def resume(pair, domain, *how):
    """A side that has not noticed yet is given the time to."""
    def done():
        try:
            migrate(pair, domain, '--postcopy', '--postcopy-resume', '--postcopy-bandwidth', '0', *how)
        except VirshError as e:
            if 'migration is still running' not in str(e):
                raise
            return False
        return True

    poll_until('the migration can be resumed', done)


@test
def recovery_after_a_cut(pair):
    domain = Domain(pair).start()

    def cut():
        pair.link(False)
        pair.a.virsh('domjobabort', '--postcopy', domain.name)
        pair.link(True)

    break_off(pair, domain, cut)
    resume(pair, domain)


@test
def recovery_after_an_abort(pair):
    domain = Domain(pair).start()
    for _ in range(2):
        break_off(pair, domain, lambda: pair.a.virsh('domjobabort', '--postcopy', domain.name))
        resume(pair, domain, '--p2p')
        pair.b.virsh('destroy', domain.name)
        domain.start()


@test
def daemons_restart_in_a_migration(pair):
    """
    Each is killed and comes back.  Precopy goes back to the source, as libvirt has it; postcopy goes
    on by itself.
    """
    domain = Domain(pair).start()
    moving = Moving(pair, domain, '--p2p')
    pair.a.restart_libvirtd('-KILL')
    moving.ended()
    domain.runs_on(pair.a)
    poll_until('the other side is gone', lambda: not pair.b.state(domain.name))
    moving = Moving(pair, domain, '--p2p', '--postcopy')
    pair.a.virsh('migrate-setspeed', '--postcopy', domain.name, '4')
    moving.postcopy()
    in_postcopy(pair, domain)
    pair.b.restart_libvirtd('-KILL')
    moving.ended()
    domain.runs_on(pair.b)


@test
def save_and_restore(pair):
    domain = Domain(pair).start()
    saved = f'{pair.folder}/saved'
    pair.a.virsh('save', domain.name, saved)
    assert not pair.a.state(domain.name)
    pair.a.virsh('restore', saved)
    domain.runs_on(pair.a)


main()
