# SPDX-License-Identifier: GPL-2.0-or-later
"""demo --cut: the network of a postcopy breaks in the middle, twice; the guest comes home over a new
connection the first time, and by a file the second time."""
import os
import shutil
import socket
import threading
import time

import ferrymove
import ferryvm
from ferryqmp import QMPError

MIB = 1 << 20


class Network:
    """Carries bytes between one unix socket and another, until it is cut."""

    def __init__(self, folder):
        self.near, self.far = f'{folder}/near', f'{folder}/far'
        self.ends, self.cut_off = [], False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.near)
        self.listener.listen(2)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.cut_off:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.far)
            self.ends += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    @staticmethod
    def _carry(a, b):
        try:
            while data := a.recv(1 << 20):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        self.cut_off = True
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        self.ends = []

    def mend(self):
        self.cut_off = False

    def close(self):
        self.cut()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join()


class Hop:
    """One postcopy from src to dst whose network is cut when half of the rest has come."""

    def __init__(self, say, src, dst, folder, ram_mib):
        self.say, self.src, self.dst, self.folder = say, src, dst, folder
        self.total = ram_mib * MIB
        self.net = Network(folder)
        self.progress = ferrymove.Progress()
        self.t0 = time.monotonic()

    def info(self, vm=None):
        return (vm or self.src).qmp.cmd('query-migrate', timeout=30)

    def show(self):
        ram = (info := self.info()).get('ram', {})
        left, total, status = ram.get('remaining', 0), ram.get('total', 0), info.get('status', 'none')
        carry = info.get('x-carry', {})
        if carry.get('status') == 'active':
            left, total, status = (carry['total-pages'] - carry['pages']) * 4096, carry['total-pages'] * 4096, 'to the file'
        self.progress.show({'t': time.monotonic() - self.t0, 'status': status, 'remaining': left,
                            'mbps': ram.get('mbps', 0), 'dirty': ram.get('dirty-pages-rate', 0),
                            'requests': ram.get('postcopy-requests', 0)}, total)
        return info

    def until(self, done, what, seconds=120):
        deadline = time.monotonic() + seconds
        while not done(info := self.show()):
            if info.get('status') in ('failed', 'cancelled') or time.monotonic() > deadline:
                raise QMPError(f'{what}: the source is {info.get("status")} {info.get("error-desc", "")}')
            time.sleep(0.05)
        self.progress.end()
        return info

    def start(self, precopy_seconds):
        for vm in (self.src, self.dst):
            vm.qmp.capabilities(postcopy_ram=True, events=True)
        # So slow that there is a middle to cut it in.
        self.src.qmp.cmd('migrate-set-parameters', {
            'max-bandwidth': int(self.total / 4 / precopy_seconds), 'downtime-limit': 30,
            'max-postcopy-bandwidth': int(self.total / 4)})
        self.dst.qmp.cmd('migrate-incoming', {'uri': f'unix:{self.net.far}'})
        self.src.qmp.cmd('migrate', {'uri': f'unix:{self.net.near}'})
        deadline = time.monotonic() + precopy_seconds
        self.until(lambda i: i['status'] == 'active' and time.monotonic() > deadline, 'precopy')
        self.src.qmp.cmd('migrate-start-postcopy')
        info = self.until(lambda i: i['status'] == 'postcopy-active', 'the switch')
        half = info['ram']['remaining'] / 2
        self.until(lambda i: i['ram']['remaining'] < half or i['status'] != 'postcopy-active', 'postcopy')

    def cut(self):
        self.say.step('the network is cut')
        self.net.cut()
        for vm in (self.src, self.dst):
            vm.wait_status('postcopy-paused')
        left = ferrymove.human(self.info()['ram']['remaining'])
        for vm, what in ((self.src, f'stopped, with {left} that was not even sent'),
                         (self.dst, 'the guest runs on until it touches what is missing')):
            run = vm.qmp.cmd('query-status')['status']
            self.say.good(f'{vm.name:<12} postcopy-paused, {run}: {what}')
        if self.dst.qmp.cmd('query-status')['status'] != 'running' or \
                self.src.qmp.cmd('query-status')['status'] != 'finish-migrate':
            raise QMPError('the guest must run on one side, and on that one only')

    def finish(self):
        self.net.close()


def by_network(hop):
    say = hop.say
    say.step('the network is back: migrate-recover there, migrate resume=true here')
    hop.net.mend()
    started = time.monotonic()
    hop.dst.qmp.cmd('migrate-recover', {'uri': f'unix:{hop.net.far}'})
    hop.src.qmp.cmd('migrate', {'uri': f'unix:{hop.net.near}', 'resume': True})
    hop.until(lambda i: i['status'] == 'postcopy-active', 'recovery')
    hop.src.qmp.cmd('migrate-set-parameters', {'max-postcopy-bandwidth': 0})
    hop.until(lambda i: i['status'] == 'completed', 'the rest of postcopy')
    hop.dst.wait_status('completed')
    say.good(f'both sides are completed, {time.monotonic() - started:.2f} s after the network came back')


def write_rest(hop, path):
    started = time.monotonic()
    hop.src.qmp.cmd('migrate', {'uri': f'file:{path}', 'resume': True})
    info = hop.until(lambda i: i['status'] == 'postcopy-paused', 'writing the file')
    if info['x-carry']['status'] != 'done':
        raise QMPError(f'the file was not written: {info.get("error-desc")}')
    return f'{ferrymove.human(info["x-carry"]["bytes"])}, written in {time.monotonic() - started:.2f} s'


def by_file(hop):
    say, here, there = hop.say, f'{hop.folder}/here', f'{hop.folder}/there'
    os.makedirs(here)
    os.makedirs(there)
    say.step('the network stays dead: migrate resume=true to a file')
    all_sent = write_rest(hop, f'{here}/everything')
    say.good(f'everything since the switch, sent or not, for nobody knows what has arrived: {all_sent}')
    hop.dst.qmp.cmd('x-migrate-save-received', {'uri': f'file:{there}/received'})
    hop.src.qmp.cmd('x-migrate-load-received', {'uri': f'file:{there}/received'})
    rest = write_rest(hop, f'{here}/rest')
    said = ferrymove.human(os.path.getsize(f'{there}/received'))
    say.good(f'when the destination has said what it has ({said}): {rest}')
    say.step('the file is carried over, and fed: migrate-recover')
    shutil.copyfile(f'{here}/rest', f'{there}/rest')
    started = time.monotonic()
    hop.dst.qmp.cmd('migrate-recover', {'uri': f'file:{there}/rest'})
    hop.dst.wait_status('completed')
    info = hop.info(hop.dst)
    say.good(f'destination  completed in {time.monotonic() - started:.2f} s: {info["x-carry"]["pages"]} pages, each piece '
             'with the right digest')
    if hop.info()['status'] != 'postcopy-paused':
        raise QMPError('the source must wait until it is told')
    say.good('source       still postcopy-paused: it is told by the receipt only')
    hop.src.qmp.cmd('x-migrate-release', {'receipt': info['x-receipt']})
    hop.until(lambda i: i['status'] == 'completed', 'the release')
    say.good(f'source       completed, by receipt {info["x-receipt"]}')


def hop(args, say, src, dst, folder, way):
    os.makedirs(folder)
    h = Hop(say, src, dst, folder, args.ram)
    try:
        h.start(args.precopy_seconds)
        h.cut()
        way(h)
    finally:
        h.finish()


def run(args, say, guest, src, common, folder, verify):
    """src's guest goes to a second and then to a third process."""
    with ferryvm.VM(name='destination', incoming='defer', **common) as second:
        say.step('first journey: postcopy to a destination')
        hop(args, say, src, second, f'{folder}/first', by_network)
        say.step('verify')
        verify(say, guest, src, second)
        src.quit()
        second.name = 'source'
        with ferryvm.VM(name='destination', incoming='defer', **common) as third:
            say.step('second journey: from there to another one')
            hop(args, say, second, third, f'{folder}/second', by_file)
            say.step('verify')
            verify(say, guest, second, third)
    return 0
