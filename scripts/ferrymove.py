# SPDX-License-Identifier: GPL-2.0-or-later
"""Moves a guest between two monitors and records what happened on the way.

Used by scripts/ferryctl, scripts/demo and scripts/bench.  A Move polls both sides,
switches to postcopy when told to, and ends with a Record that ferryreport draws.
"""
import os
import sys
import tempfile
import time

from ferryqmp import QMPError

ENDED = ('completed', 'failed', 'cancelled', 'postcopy-paused')
POSTCOPY = ('postcopy-device', 'postcopy-active', 'postcopy-paused', 'postcopy-recover',
            'postcopy-recover-setup')


def human(n):
    """1536 -> '1.5 KiB'"""
    n = float(n)
    for unit in ('B', 'KiB', 'MiB', 'GiB', 'TiB'):
        if n < 1024 or unit == 'TiB':
            return f'{n:.0f} {unit}' if unit == 'B' else f'{n:.1f} {unit}'
        n /= 1024
    return ''


class Record:
    """Everything that a report shows."""

    def __init__(self):
        self.started = time.time()
        self.samples = []   # {'t', 'status', 'remaining', 'transferred', 'mbps', 'dirty', 'requests'}
        self.events = []    # (t, side, name, data)
        self.result = {}    # last query-migrate of the source
        self.target = {}    # last query-migrate of the destination
        self.journey = []   # per RAM block: {'name', 'pages': bytes}
        self.guest = {}     # what the demo verified
        self.title = 'Migration'


class Progress:
    """A bar on a terminal, a line now and then in a pipe."""

    def __init__(self, stream=None, quiet=False):
        self.out = stream or sys.stdout
        self.tty = self.out.isatty()
        self.quiet, self.last_line, self.last_status = quiet, 0, None

    def show(self, s, total):
        if self.quiet:
            return
        done = 1 - s['remaining'] / total if total else 0.0
        done = min(max(done, 0.0), 1.0)
        dirty = f'{human(s["dirty"] * 4096)}/s' if s['dirty'] else '-'
        text = (f'{s["status"]:<16} {done * 100:5.1f}%  {s["mbps"] / 1000:6.2f} Gbit/s  '
                f'dirty {dirty:<13}  left {human(s["remaining"]):<10}  '
                f'faults {s["requests"]}')
        if self.tty:
            width = 24
            full = int(done * width)
            colour = '35' if s['status'] in POSTCOPY else '36'
            bar = '█' * full + '░' * (width - full)
            self.out.write(f'\r\033[K\033[{colour}m{bar}\033[0m {text}')
        else:
            now = time.monotonic()
            if s['status'] == self.last_status and now - self.last_line < 1:
                return
            self.last_line, self.last_status = now, s['status']
            self.out.write(f'{s["t"]:7.2f} s  {text}\n')
        self.out.flush()

    def end(self):
        if self.tty and not self.quiet:
            self.out.write('\r\033[K')
            self.out.flush()


class Move:
    def __init__(self, src, dst, uri=None, postcopy_after=None, bandwidth=0, downtime=300,
                 timeout=600, progress=None, interval=0.02, extra_caps=()):
        self.src, self.dst, self.uri = src, dst, uri
        self.postcopy_after, self.bandwidth, self.downtime = postcopy_after, bandwidth, downtime
        self.timeout, self.progress, self.interval = timeout, progress, interval
        self.extra_caps = extra_caps
        self.rec = Record()
        self.tmp = None

    def prepare(self):
        caps = {c: True for c in self.extra_caps}
        caps['events'] = True
        # Said either way: a former destination still has what it was told then.
        caps['postcopy_ram'] = self.postcopy_after is not None
        self.src.capabilities(**caps)
        target = dict(caps)
        if self.postcopy_after is not None and self.dst.has_capability('postcopy-blocktime'):
            target['postcopy_blocktime'] = True
        self.dst.capabilities(**target)
        self.src.cmd('migrate-set-parameters', {'max-bandwidth': self.bandwidth,
                                                'downtime-limit': self.downtime})
        if self.uri is None:
            self.tmp = tempfile.mkdtemp(prefix='ferry-move-')
            self.uri = f'unix:{self.tmp}/channel'
        if not self.dst.cmd('query-migrate').get('status'):
            self.dst.cmd('migrate-incoming', {'uri': self.uri})

    def sample(self, t0):
        info = self.src.cmd('query-migrate', timeout=30)
        ram = info.get('ram', {})
        s = {'t': time.monotonic() - t0, 'status': info.get('status', 'none'),
             'remaining': ram.get('remaining', 0), 'transferred': ram.get('transferred', 0),
             'mbps': ram.get('mbps', 0), 'dirty': ram.get('dirty-pages-rate', 0),
             'requests': ram.get('postcopy-requests', 0)}
        samples = self.rec.samples
        if samples:
            # Over a quarter of a second: bytes leave in bursts.
            old = next((o for o in reversed(samples) if s['t'] - o['t'] >= 0.25), samples[0])
            dt = s['t'] - old['t']
            if dt > 0:
                s['mbps'] = max(0, s['transferred'] - old['transferred']) * 8 / dt / 1e6
        samples.append(s)
        self.rec.result = info
        return s, ram.get('total', 0)

    def run(self):
        """Move; returns the Record.  Raises QMPError when the guest did not get across."""
        self.prepare()
        t0, wall = time.monotonic(), time.time()
        asked = self.postcopy_after is None
        self.src.cmd('migrate', {'uri': self.uri})
        try:
            while True:
                s, total = self.sample(t0)
                if self.progress:
                    self.progress.show(s, total)
                if s['status'] in ENDED:
                    break
                if not asked and s['status'] == 'active' and s['t'] >= self.postcopy_after:
                    self.src.cmd('migrate-start-postcopy')
                    asked = True
                if s['t'] > self.timeout:
                    self.give_up(s['status'])
                time.sleep(self.interval)
        finally:
            if self.progress:
                self.progress.end()
            self.cleanup()
        self.finish(wall)
        return self.rec

    def give_up(self, status):
        late = f'not finished within {self.timeout} s'
        if status.startswith('postcopy'):
            raise QMPError(f'{late}; in {status} it cannot be cancelled')
        self.src.cmd('migrate_cancel')
        raise QMPError(f'{late}; cancelled')

    def cleanup(self):
        if self.tmp:
            for name in os.listdir(self.tmp):
                os.unlink(os.path.join(self.tmp, name))
            os.rmdir(self.tmp)

    def finish(self, wall):
        rec = self.rec
        if rec.result['status'] != 'completed':
            why = rec.result.get('error-desc', 'no reason given')
            there = self.dst.cmd('query-migrate').get('error-desc')
            raise QMPError(f'migration {rec.result["status"]}: {why}' + (f'; destination: {there}' if there else ''))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            rec.target = self.dst.cmd('query-migrate')
            # A stock QEMU says completed a moment before its times are there.
            rec.result = self.src.cmd('query-migrate')
            if rec.target.get('status') == 'completed' and rec.result.get('total-time'):
                break
            time.sleep(0.01)
        self.src.poll()
        self.dst.poll()
        for side, q in (('source', self.src), ('destination', self.dst)):
            rec.events += [(t - wall, side, name, data) for t, name, data in q.events]
        rec.events.sort(key=lambda e: e[0])


def summary(rec):
    """Lines 'label  value' for people."""
    info, ram = rec.result, rec.result.get('ram', {})
    seconds = info.get('total-time', 0) / 1000
    rows = [('total time', f'{seconds:.2f} s'),
            ('downtime', f'{info.get("downtime", 0)} ms'),
            ('transferred', human(ram.get('transferred', 0))),
            ('throughput', f'{ram.get("transferred", 0) * 8 / 1e9 / seconds:.2f} Gbit/s' if seconds else '-'),
            ('pages', f'{ram.get("normal", 0)} normal, {ram.get("duplicate", 0)} zero'),
            ('dirty syncs', str(ram.get('dirty-sync-count', 0))),
            ('faults served', str(ram.get('postcopy-requests', 0)))]
    latency = rec.target.get('postcopy-latency')
    if latency:
        rows.append(('fault latency', f'{latency / 1000:.0f} µs on average'))
    return [f'  {label:<14} {value}' for label, value in rows]
