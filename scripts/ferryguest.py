# SPDX-License-Identifier: GPL-2.0-or-later
"""The test guest from the host's side: parameters, status block, memory check.

The layouts are those of tests/guests/guest.h; docs/developer/guests.md tells the story.
"""
import os
import struct
import tempfile

PARAMS_OFFSET = 512
STATUS_ADDRESS, STATUS_SIZE = 0x20000, 0x100
HISTOGRAM_ADDRESS = 0x21000
HIST_MIN, HIST_POWERS, HIST_SUB = 6, 34, 32
PAGE = 4096
HIGH_START = 4 << 30
MODES = {'idle': 0, 'sequential': 1, 'random': 2, 'read': 3}
STATES = {1: 'filling', 2: 'running', 3: 'frozen', 4: 'error'}
TIME_VISITS, QUIET = 1, 2
PARAMS = struct.Struct('<8sIIQQQQIIQQQ')
CPUS_ADDRESS, MAX_CPUS = 0x20400, 8
CPU = struct.Struct('<8Q')
STATUS = struct.Struct('<8sII14Q')
M64 = (1 << 64) - 1


def mix(a, b):
    x = (a * 0x9e3779b97f4a7c15 + (b ^ 0xd1b54a32d192ed03) * 0xbf58476d1ce4e5b9) & M64
    x ^= x >> 31
    x = x * 0x94d049bb133111eb & M64
    return x ^ x >> 29


class Guest:
    """Parameters of one guest; image() writes a bootable file with them."""

    def __init__(self, low_bytes, low_start=16 << 20, high_bytes=0, mode='random', seed=1,
                 zero_percent=0, repeat_percent=0, interval=0, flags=TIME_VISITS,
                 cpus=1):
        self.low_start, self.low_bytes, self.high_bytes = low_start, low_bytes, high_bytes
        self.mode, self.seed, self.interval, self.flags = mode, seed, interval, flags
        self.cpus = cpus
        self.zero_percent, self.repeat_percent = zero_percent, repeat_percent

    def image(self, template, path):
        with open(template, 'rb') as f:
            data = bytearray(f.read())
        block = PARAMS.pack(b'FRRYPAR1', 1, MODES[self.mode], self.low_start, self.low_bytes,
                            self.high_bytes, self.seed, self.zero_percent, self.repeat_percent,
                            self.interval, self.flags, self.cpus)
        data[PARAMS_OFFSET:PARAMS_OFFSET + len(block)] = block
        data += bytes(-len(data) % (1 << 20))
        with open(path, 'wb') as f:
            f.write(data)

    def is_zero(self, page):
        return mix(page, self.seed ^ 77) % 100 < self.zero_percent

    def pages(self):
        first = self.low_start // PAGE
        yield from range(first, first + self.low_bytes // PAGE)
        first = HIGH_START // PAGE
        yield from range(first, first + self.high_bytes // PAGE)


def read_memory(qmp, address, size):
    """Guest-physical memory through the monitor."""
    fd, path = tempfile.mkstemp(prefix='ferry-mem-')
    os.close(fd)
    try:
        qmp.cmd('pmemsave', {'val': address, 'size': size, 'filename': path}, timeout=120)
        with open(path, 'rb') as f:
            return f.read()
    finally:
        os.unlink(path)


def status(qmp):
    """The status block as a dict; None before the guest has made it."""
    raw = read_memory(qmp, STATUS_ADDRESS, STATUS_SIZE)
    v = STATUS.unpack_from(raw)
    if v[0] != b'FRRYGST1':
        return None
    names = ('visits', 'filled', 'errors', 'digest', 'error_address', 'error_expected', 'error_got',
             'self_checks', 'tsc_hz', 'max_gap', 'last_tsc', 'touches', 'touch_sum', 'touch_max')
    return dict(zip(names, v[3:]), state=STATES.get(v[2], f'unknown {v[2]}'))


def cpus(qmp):
    """What each CPU but the first says of itself, as dicts; CPU 0 stays empty."""
    raw = read_memory(qmp, CPUS_ADDRESS, CPU.size * MAX_CPUS)
    return [dict(zip(('started', 'visits', 'retries', 'errors'), v)) for v in CPU.iter_unpack(raw)]


def histogram(qmp):
    """(ticks at the start of the bucket, ticks at its end, count) of the buckets that hold any."""
    raw = read_memory(qmp, HISTOGRAM_ADDRESS, HIST_POWERS * HIST_SUB * 8)
    out = []
    for i, (n,) in enumerate(struct.iter_unpack('<Q', raw)):
        if n:
            power, sub = divmod(i, HIST_SUB)
            width = 1 << (power + HIST_MIN - 5)
            start = (1 << (power + HIST_MIN)) + sub * width
            out.append((start, start + width, n))
    return out


def percentiles(buckets, fractions, at_least=0):
    """Quantiles in ticks over the buckets from at_least ticks on; None without any."""
    rows = [(s, e, n) for s, e, n in buckets if s >= at_least]
    total = sum(n for _, _, n in rows)
    result = []
    for f in fractions:
        seen, value = 0, None
        for s, e, n in rows:
            seen += n
            if seen >= f * total and n:
                value = (s + e) / 2
                break
        result.append(value)
    return result, total


def memory_digest(guest, read):
    """
    Digest over the guest's memory, computed by the host: read(address, size) gives bytes.
    Every page's header and trailer is checked on the way; the first bad one raises.
    """
    digest, step = 0, 4 << 20

    def one(page, data):
        number, generation, check = struct.unpack_from('<QQQ', data)
        last, = struct.unpack_from('<Q', data, PAGE - 8)
        if guest.is_zero(page):
            if data.count(0) != PAGE:
                raise ValueError(f'page {page:#x} should be zero')
            return 0
        if number != page or check != mix(page, generation) or last != generation:
            raise ValueError(f'page {page:#x} holds {number:#x} generation {generation}/{last} check {check:#x}')
        return check

    for start, size in ((guest.low_start, guest.low_bytes), (HIGH_START, guest.high_bytes)):
        for at in range(start, start + size, step):
            data = read(at, min(step, start + size - at))
            for off in range(0, len(data), PAGE):
                digest += one((at + off) // PAGE, data[off:off + PAGE])
    return digest & M64
