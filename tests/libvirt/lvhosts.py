# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts with a libvirt daemon each, on one machine.

A host is a set of namespaces (mounts, network, processes, names) with folders of its own for all
that libvirt writes; a pair of virtual network cards joins the two.  Nothing of the machine's own
libvirt is touched, and all that was started ends with close().
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FERRY = os.environ.get('FERRY_BINARY', os.path.join(TOP, 'build', 'ferry-system-x86_64'))
ADDRESSES = {'a': '10.77.0.1', 'b': '10.77.0.2'}
PROGRAMS = ('unshare', 'nsenter', 'ip', 'mount', 'hostname', 'libvirtd', 'virtlogd', 'virsh')
TIMEOUT = 60  # seconds that one command of virsh may take

DAEMON_CONF = '''
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "{uuid}"
log_outputs = "4:file:{folder}/daemon.log"
'''
LOGD_CONF = 'log_outputs = "2:file:{folder}/logd.log"\n'
# What needs a kernel's or a machine's help that a test cannot count on is off; the filter of
# system calls and the log daemon stay as a stock libvirt has them.
DRIVER_CONF = '''
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
migration_address = "0.0.0.0"
migrate_tls_x509_cert_dir = "{folder}/pki"
migrate_tls_x509_verify = 1
'''


class Unable(Exception):
    """The two hosts cannot be had here; the text says why."""


class VirshError(Exception):
    """A command of virsh failed; the text is what it said."""


def poll_until(what, true, timeout=30, interval=0.05):
    """Until true() is; TimeoutError with `what` (text, or a function that makes it) else."""
    deadline = time.monotonic() + timeout
    while not (result := true()):
        if time.monotonic() > deadline:
            raise TimeoutError(f'not within {timeout} s: {what() if callable(what) else what}')
        time.sleep(interval)
    return result


def check_able():
    if os.geteuid():
        raise Unable('making hosts needs root')
    missing = [p for p in PROGRAMS if not shutil.which(p)]
    if missing:
        raise Unable(f'not installed: {" ".join(missing)}')
    if not os.path.isdir('/etc/libvirt'):
        raise Unable('libvirt is not installed')
    tried = subprocess.run(['unshare', '-m', '-n', '-u', '-i', '-p', '--fork', '--mount-proc', 'true'],
                           capture_output=True, text=True, check=False)
    if tried.returncode:
        raise Unable(f'no namespaces: {tried.stderr.strip()}')


class Host:
    """One of the two."""

    def __init__(self, letter, folder):
        self.letter, self.folder = letter, folder
        self.name, self.address = f'ferry-{letter}', ADDRESSES[letter]
        for part in ('run/ferry', 'run/lock', 'etc/qemu', 'etc/hooks', 'lib', 'cache', 'log', 'pki'):
            os.makedirs(f'{folder}/{part}')
        uuid = f'0000000{"12"[letter == "b"]}-1111-4111-8111-111111111111'
        values = {'address': self.address, 'uuid': uuid, 'folder': folder}
        self._write('etc/libvirtd.conf', DAEMON_CONF.format(**values))
        self._write('etc/virtlogd.conf', LOGD_CONF.format(**values))
        self._write('etc/qemu.conf', DRIVER_CONF.format(**values))
        self._write('hosts', '127.0.0.1 localhost\n' + ''.join(
            f'{a} ferry-{x}\n' for x, a in ADDRESSES.items()))
        self.outer = subprocess.Popen(
            ['unshare', '-m', '-n', '-u', '-i', '-p', '--fork', '--kill-child=KILL', '--mount-proc',
             sys.executable, f'{HERE}/host_init.py', self.name, folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.init = 0

    def _write(self, name, text):
        with open(f'{self.folder}/{name}', 'w', encoding='ascii') as f:
            f.write(text)

    def wait_ready(self):
        def ready():
            if self.outer.poll() is not None:
                raise Unable(f'no host: {self.outer.stdout.read().decode().strip()}')
            return os.path.exists(f'{self.folder}/ready')

        poll_until('the first process of a host', ready)
        with open(f'/proc/{self.outer.pid}/task/{self.outer.pid}/children', encoding='ascii') as f:
            self.init = int(f.read().split()[0])

    def path(self, inside):
        """A file of the host as the test sees it."""
        return f'/proc/{self.init}/root{inside}'

    def inside(self, *command):
        return ['nsenter', '-t', str(self.init), '-m', '-n', '-u', '-i', '-p', '--', *command]

    def run(self, *command, timeout=TIMEOUT, check=True):
        """Run a program there; its CompletedProcess with text."""
        return subprocess.run(self.inside(*command), timeout=timeout, check=check, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def start_daemons(self):
        self.run('virtlogd', '-d', '-p', '/run/virtlogd.pid')
        self.start_libvirtd()

    def start_libvirtd(self):
        self.run('libvirtd', '-d', '--listen', '-p', '/run/libvirtd.pid')

    def wait_libvirtd(self):
        poll_until(lambda: f'libvirtd on {self.name}: {self.daemon_log()}',
                   lambda: not self.run('virsh', '-q', 'uri', check=False).returncode)

    def restart_libvirtd(self, how='-TERM'):
        with open(self.path('/run/libvirtd.pid'), encoding='ascii') as f:
            pid = f.read().strip()
        self.run('kill', how, pid)
        poll_until('libvirtd ends', lambda: self.run('kill', '-0', pid, check=False).returncode)
        self.start_libvirtd()
        self.wait_libvirtd()

    def daemon_log(self):
        try:
            with open(f'{self.folder}/daemon.log', encoding='utf-8', errors='replace') as f:
                return ''.join(line for line in f if 'NetDev' not in line)[-1500:]
        except FileNotFoundError:
            return ''

    def domain_log(self, domain):
        try:
            with open(f'{self.folder}/log/qemu/{domain}.log', encoding='utf-8', errors='replace') as f:
                return f.read()[-1000:]
        except FileNotFoundError:
            return ''

    def virsh(self, *args, timeout=TIMEOUT):
        """Output of a command of virsh that must succeed."""
        p = self.run('virsh', '-q', *args, timeout=timeout, check=False)
        if p.returncode:
            raise VirshError(f'{self.letter}: virsh {" ".join(args)}: {p.stderr.strip()}')
        return p.stdout.strip()

    def virsh_error(self, *args):
        """What a command of virsh says that must fail."""
        p = self.run('virsh', '-q', *args, check=False)
        if not p.returncode:
            raise AssertionError(f'{self.letter}: virsh {" ".join(args)} should have failed')
        return p.stderr.strip()

    def virsh_start(self, *args):
        """A command of virsh that takes its time; a Popen."""
        return subprocess.Popen(self.inside('virsh', '-q', *args), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def state(self, domain):
        """Like "running (booted)"; "" when there is no such domain."""
        p = self.run('virsh', '-q', 'domstate', '--reason', domain, check=False)
        return p.stdout.strip() if not p.returncode else ''

    def clean(self):
        """No domain, running or defined."""
        self.wait_libvirtd()
        for domain in self.virsh('list', '--all', '--name').split():
            for undo in (['destroy', domain], ['undefine', '--managed-save', domain]):
                self.run('virsh', '-q', *undo, check=False)

    def close(self):
        if self.outer.poll() is None:
            if self.init:
                os.kill(self.init, signal.SIGKILL)
            self.outer.kill()
        self.outer.wait()
        self.outer.stdout.close()


class Pair:
    """Both hosts, joined."""

    def __init__(self):
        check_able()
        self.folder = tempfile.mkdtemp(prefix='ferry-libvirt-')
        self.hosts = []
        # A test that takes too long is ended so; the hosts must not outlive it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended by a signal'))
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        for letter in ADDRESSES:
            self.hosts.append(Host(letter, f'{self.folder}/{letter}'))
        for host in self.hosts:
            host.wait_ready()
        self.a, self.b = self.hosts
        made = subprocess.run(['ip', 'link', 'add', 'eth0', 'netns', str(self.a.init), 'type', 'veth',
                               'peer', 'name', 'eth0', 'netns', str(self.b.init)],
                              capture_output=True, text=True, check=False)
        if made.returncode:
            raise Unable(f'no pair of network cards: {made.stderr.strip()}')
        for host in self.hosts:
            host.run('ip', 'addr', 'add', f'{host.address}/24', 'dev', 'eth0')
            host.run('ip', 'link', 'set', 'eth0', 'up')
            host.start_daemons()
        for host in self.hosts:
            host.wait_libvirtd()

    def link(self, up):
        """Plug the cable between the two in, or out."""
        self.a.run('ip', 'link', 'set', 'eth0', 'up' if up else 'down')

    def clean(self):
        self.link(True)
        for host in self.hosts:
            host.clean()

    def close(self):
        for host in self.hosts:
            host.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
