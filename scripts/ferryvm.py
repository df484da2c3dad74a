# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts an emulator with the test guest, for demo, bench and Python tests."""
import mmap
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from ferryqmp import QMP, QMPError

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
FERRY = os.environ.get('FERRY_BINARY', os.path.join(TOP, 'build', 'ferry-system-x86_64'))
GUEST_IMAGE = os.environ.get('FERRY_GUEST_IMAGE', os.path.join(TOP, 'build', 'tests', 'guests', 'guest.img'))
STOCK = 'qemu-system-x86_64'


def have_kvm():
    return os.access('/dev/kvm', os.R_OK | os.W_OK)


def warm_host_memory(size):
    """
    Touch and free that many bytes.  A virtual machine that reports its free memory to its
    host gets it back slowly (ten times slower than a copy); measurements would show that.
    """
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as m:
        m.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, size, mmap.PAGESIZE):
            m[at] = 1


class VM:
    """One emulator process with a QMP monitor and COM1 on unix sockets in its own folder."""

    def __init__(self, emulator=FERRY, memory='256M', accel='kvm', machine='pc', image=None,
                 incoming=None, paused=False, extra=(), name='vm', on_event=None, smp=1, serial=True):
        self.dir = tempfile.mkdtemp(prefix=f'ferry-{name}-')
        self.name = name
        self.serial_text = b''
        args = [emulator, '-machine', machine, '-nodefaults', '-no-user-config', '-display', 'none',
                '-m', memory, '-qmp', f'unix:{self.dir}/qmp,server=on,wait=off']
        if machine.split(',')[0] != 'none':
            args += ['-accel', accel, '-smp', str(smp)]
        if serial:
            # The emulator connects to us, so no byte is lost before we listen.
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(f'{self.dir}/serial')
            self.listener.listen(1)
            args += ['-chardev', f'socket,id=serial0,path={self.dir}/serial', '-serial', 'chardev:serial0']
        if image:
            args += ['-drive', f'if=none,id=disk0,file={image},format=raw,readonly=off,file.locking=off'
                     if 'qemu-system' in os.path.basename(emulator) else
                     f'if=none,id=disk0,file={image},format=raw',
                     '-device', 'ide-hd,drive=disk0,bus=ide.0,unit=0']
        if incoming:
            args += ['-incoming', incoming]
        if paused:
            args += ['-S']
        self.args = args + list(extra)
        self.errors = open(f'{self.dir}/stderr', 'w+', encoding='utf-8', errors='replace')
        self.started = time.monotonic()
        self.proc = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)
        self.qmp = self.serial = None
        try:
            self._connect(serial, on_event)
        except Exception:
            self.kill()
            raise

    def _connect(self, serial, on_event):
        deadline = time.monotonic() + 20
        while True:
            try:
                self.qmp = QMP(f'{self.dir}/qmp', 0.02, on_event)
                self.qmp.timeout = 10
                break
            except QMPError as e:
                if self.proc.poll() is not None or time.monotonic() > deadline:
                    raise QMPError(f'{self.args[0]} did not start: {self.stderr() or e}') from e
        if serial:
            self.listener.settimeout(5)
            self.serial, _ = self.listener.accept()
            self.serial.setblocking(False)

    def stderr(self):
        self.errors.flush()
        with open(f'{self.dir}/stderr', encoding='utf-8', errors='replace') as f:
            return f.read().strip()

    def read_serial(self, timeout=0):
        """New bytes of COM1, also kept in serial_text."""
        got = b''
        while select.select([self.serial], [], [], 0 if got else timeout)[0]:
            data = self.serial.recv(65536)
            if not data:
                break
            got += data
        self.serial_text += got
        return got

    def wait_serial(self, text, timeout=30):
        """Until `text` has been printed; what came up to its end is dropped from serial_text."""
        deadline = time.monotonic() + timeout
        while text not in self.serial_text:
            if time.monotonic() > deadline:
                raise QMPError(f'{self.name}: the guest did not print {text!r} within {timeout} s '
                               f'(it printed {self.serial_text[-60:]!r}) {self.stderr()}')
            if self.proc.poll() is not None:
                raise QMPError(f'{self.name}: the emulator ended: {self.stderr()}')
            self.read_serial(0.05)
        self.serial_text = self.serial_text.split(text, 1)[1]

    def send_serial(self, text):
        self.serial.send(text)

    def wait_status(self, status, timeout=60, interval=0.005):
        """Until the migration is in this state."""
        deadline = time.monotonic() + timeout
        while (now := self.qmp.cmd('query-migrate').get('status')) != status:
            if now in ('failed', 'completed') or time.monotonic() > deadline:
                raise QMPError(f'{self.name}: the migration is {now}, not {status} {self.stderr()}')
            time.sleep(interval)

    def rss_kib(self):
        with open(f'/proc/{self.proc.pid}/smaps_rollup', encoding='ascii') as f:
            for line in f:
                if line.startswith('Rss:'):
                    return int(line.split()[1])
        return 0

    def kill(self):
        if self.qmp:
            self.qmp.close()
        if self.serial:
            self.serial.close()
        if getattr(self, 'listener', None):
            self.listener.close()
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        self.errors.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def quit(self):
        """Ask it to end; returns its exit status."""
        try:
            self.qmp.cmd('quit')
        except QMPError:
            pass
        try:
            status = self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.send_signal(signal.SIGKILL)
            status = self.proc.wait()
        self.kill()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()
