#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Moves a running guest, which dirties memory faster than precopy can send it, from one
emulator process to another with postcopy, and checks every byte afterwards."""
import argparse
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import ferrycut  # noqa: E402
import ferryguest  # noqa: E402
import ferrymove  # noqa: E402
import ferryreport  # noqa: E402
import ferryvm  # noqa: E402
from ferryqmp import QMPError  # noqa: E402

MIB = 1 << 20


class Say:
    def __init__(self):
        self.tty = sys.stdout.isatty()
        self.started = time.monotonic()

    def step(self, text):
        bold, off = ('\033[1m', '\033[0m') if self.tty else ('', '')
        print(f'{bold}[{time.monotonic() - self.started:6.2f} s] {text}{off}', flush=True)

    def good(self, text):
        mark = '\033[32m✔\033[0m' if self.tty else 'ok:'
        print(f'           {mark} {text}', flush=True)


def parse():
    p = argparse.ArgumentParser(prog='demo', description=__doc__)
    p.add_argument('--accel', choices=['kvm', 'interp'], help='default: kvm where there is KVM')
    p.add_argument('--ram', type=int, metavar='MIB', help='guest memory (default 1024 with kvm, 64 with interp)')
    p.add_argument('--precopy-seconds', type=float, help='how long precopy tries first')
    p.add_argument('--report', default='report.html', metavar='FILE', help='page to write [report.html]')
    p.add_argument('--quick', action='store_true', help='a small guest and a short precopy')
    p.add_argument('--cut', action='store_true',
                   help='the network breaks in the middle, twice: the guest comes home by a new connection, and by a file')
    args = p.parse_args()
    args.accel = args.accel or ('kvm' if ferryvm.have_kvm() else 'interp')
    kvm = args.accel == 'kvm'
    args.ram = args.ram or ((256 if args.quick else 1024) if kvm else (32 if args.quick else 64))
    if args.precopy_seconds is None:
        args.precopy_seconds = 0.5 if args.quick else 2.0
    return args


def run(args, say, folder):
    guest = ferryguest.Guest((args.ram - 24) * MIB, mode='random', zero_percent=10, repeat_percent=10)
    image = os.path.join(folder, 'guest.img')
    guest.image(ferryvm.GUEST_IMAGE, image)
    say.step(f'source: a guest with {args.ram} MiB under {args.accel} fills its memory and keeps changing it')
    common = {'memory': f'{args.ram}M', 'accel': args.accel, 'machine': 'q35', 'image': image}
    with ferryvm.VM(name='source', **common) as src:
        src.wait_serial(b'R', 180)
        before = ferryguest.status(src.qmp)
        time.sleep(0.3)
        now = ferryguest.status(src.qmp)
        rate = (now['visits'] - before['visits']) * 4096 / 0.3
        dirty_rate = measure_dirty_rate(src.qmp)
        say.good(f'running; it touches {ferrymove.human(rate)} a second in random pages, of which '
                 f'{ferrymove.human(dirty_rate)} would have to be sent again')
        if args.cut:
            return ferrycut.run(args, say, guest, src, common, folder, verify)
        say.step('destination: another process, waiting')
        with ferryvm.VM(name='destination', incoming='defer', **common) as dst:
            return move(args, say, guest, src, dst, dirty_rate)


def measure_dirty_rate(qmp):
    """Bytes a second that the guest changes while somebody keeps a log of it, as precopy does."""
    qmp.cmd('calc-dirty-rate', {'calc-time': 500, 'calc-time-unit': 'millisecond', 'mode': 'dirty-bitmap'})
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        info = qmp.cmd('query-dirty-rate')
        if info['status'] == 'measured':
            return max(info['dirty-rate'], 1) * MIB
        time.sleep(0.05)
    raise QMPError('the dirty rate was not measured within 20 s')


def move(args, say, guest, src, dst, dirty_rate):
    say.step(f'precopy for {args.precopy_seconds:g} s, then postcopy')
    # As over a network: what can be sent is less than what the guest changes meanwhile, so
    # precopy alone would never end.  On one host nothing else would keep it back.
    bandwidth = min(int(1.5 * args.ram * MIB / args.precopy_seconds), int(0.7 * dirty_rate))
    mover = ferrymove.Move(src.qmp, dst.qmp, postcopy_after=args.precopy_seconds, timeout=300,
                           bandwidth=bandwidth, downtime=30, progress=ferrymove.Progress())
    rec = mover.run()
    if not any(d.get('status') == 'postcopy-active' for _, _, _, d in rec.events):
        raise QMPError('precopy finished before the switch to postcopy; try a larger --ram')
    rec.title = f'Postcopy of a {args.ram} MiB guest under {args.accel}'
    rec.journey = ferryreport.fetch_journey(src.qmp)
    say.step('verify')
    rec.guest = verify(say, guest, src, dst)
    ferryreport.write(rec, args.report)
    say.step('summary')
    print('\n'.join(ferrymove.summary(rec)))
    print(f'  {"report":<14} {os.path.abspath(args.report)}')
    return 0


def verify(say, guest, src, dst):
    """Raises unless the guest is whole at dst; returns what there is to tell of it."""
    state = src.qmp.cmd('query-status')['status']
    if state != 'postmigrate':
        raise QMPError(f'the source is {state}, not postmigrate')
    say.good('the source has stopped (postmigrate)')
    first = ferryguest.status(dst.qmp)
    time.sleep(0.2)
    second = ferryguest.status(dst.qmp)
    if second['errors'] or second['visits'] <= first['visits']:
        raise QMPError(f'the guest does not run on at the destination: {second}')
    say.good(f'the guest runs on: {second["visits"] - first["visits"]} pages changed in 0.2 s')
    dst.send_serial(b'f')
    dst.wait_serial(b'F', 120)
    frozen = ferryguest.status(dst.qmp)
    say.good('the guest checked every word of its memory: no error')
    try:
        digest = ferryguest.memory_digest(guest, lambda at, n: ferryguest.read_memory(dst.qmp, at, n))
    except ValueError as e:
        raise QMPError(f'memory of the destination: {e}') from e
    if digest != frozen['digest']:
        raise QMPError(f'digests differ: guest {frozen["digest"]:016x}, host {digest:016x}')
    say.good(f'guest and host agree on the digest {digest:016x}')
    dst.send_serial(b'g')
    dst.wait_serial(b'G', 10)
    told = {'digest, by the guest': f'{frozen["digest"]:016x}', 'digest, by the host': f'{digest:016x}',
            'pages visited': frozen['visits'], 'errors': frozen['errors']}
    if frozen['tsc_hz']:
        told['longest pause that the guest felt'] = f'{frozen["max_gap"] / frozen["tsc_hz"] * 1000:.1f} ms'
    return told


def main():
    args = parse()
    say = Say()
    try:
        with tempfile.TemporaryDirectory(prefix='ferry-demo-') as folder:
            sys.exit(run(args, say, folder))
    except (QMPError, OSError) as e:
        sys.exit(f'demo: {e}')
    except KeyboardInterrupt:
        sys.exit('demo: interrupted')


main()
