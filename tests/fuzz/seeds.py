#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the inputs that the fuzz targets start from: one folder a target below DIR.

usage: seeds.py DIR

Streams and messages are taken from the captured ones in tests/data/streams where that is
possible, and made small; the rest is written here."""
import os
import struct
import sys
import zlib

STREAMS = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'data', 'streams')
PAGE = 4096
RAM = 1 << 20


def be32(v):
    return struct.pack('>I', v)


def be64(v):
    return struct.pack('>Q', v)


def str8(s):
    return bytes([len(s)]) + s.encode()


def section(kind, sid, body, name=None, instance=0, version=0):
    head = bytes([kind]) + be32(sid)
    if name is not None:
        head += str8(name) + be32(instance) + be32(version)
    return head + body + b'\x7e' + be32(sid)


def command(number, payload=b''):
    return b'\x08' + struct.pack('>HH', number, len(payload)) + payload


HEADER = b'QEVM' + be32(3) + b'\x07' + be32(4) + b'none'
START = section(1, 1, be64(RAM | 4) + str8('ram') + be64(RAM) + be64(0x10), 'ram', 0, 4)
PAGES = section(2, 1, be64(0x1000 | 8) + str8('ram') + b'\xa5' * PAGE + be64(0x2000 | 2 | 0x20) + b'\0' + be64(0x10))
END = section(3, 1, be64(0x3000 | 2) + str8('ram') + b'\0' + be64(0x10))
TIMER = section(4, 0, be64(0) * 2 + be64(1 << 40), 'timer', 0, 2)
GLOBAL = section(4, 3, be32(8) + b'running\0'.ljust(100, b'\0'), 'globalstate', 0, 1)
DESCRIPTION = b'\x06' + be32(2) + b'{}'
PRECOPY = HEADER + START + PAGES + END + TIMER + GLOBAL + b'\0' + DESCRIPTION
CAPS = b'\5' + str8('configuration/capabilities') + be32(1) + be32(1) + str8('mapped-ram')
MAPPED = be32(1) + be64(PAGE) + be64(129) + be64(RAM)
TALK = command(1) + command(2, be32(1))
ADVISE = command(3, be64(PAGE) * 2)
DISCARD = command(6, b'\0' + str8('ram') + b'\0' + be64(0x4000) + be64(0x2000))
BLOB = command(4) + TIMER + GLOBAL + command(2, be32(3)) + command(5)
PACKAGED = command(7, be32(len(BLOB))) + BLOB


def captured(ending):
    for name in sorted(os.listdir(STREAMS)):
        if name.endswith(ending):
            with open(os.path.join(STREAMS, name), 'rb') as f:
                yield f.read()


def wire():
    yield b'\0' + HEADER[:8]
    for word in (0x1000 | 8, 0x2000 | 0x22, 0x10, 0x0004000c00020004):
        yield b'\1' + be64(word)
    yield b'\2' + be64(PAGE) * 2
    yield b'\2'
    yield b'\3' + DISCARD[5:]
    yield b'\4' + str8('ram')
    yield b'\5' + be64(0x5000) + be32(PAGE)
    yield b'\7' + be64(0x5000) + be32(PAGE) + str8('pc.ram')
    yield b'\6' + MAPPED


def stream_load():
    yield PRECOPY
    yield HEADER + TALK + START + PAGES + END + command(11) + TIMER + GLOBAL + b'\0'
    yield HEADER + TALK + ADVISE + START + PAGES + DISCARD + PACKAGED + b'\0'
    yield HEADER + START + command(7, be32(len(TIMER))) + TIMER + END + b'\0'
    yield HEADER + command(7, be32(1 << 30))
    for data in captured('.fwd'):
        yield data[:4096]
    for data in captured('.bin'):
        yield data[:2048]


def mapped_ram():
    """Front and rest of a file whose block's pages end at 2 MiB."""
    front = HEADER + CAPS + START[:17] + be64(RAM | 4) + str8('ram') + be64(RAM)
    rest = be64(0x10) + START[-5:] + section(3, 1, be64(0x10)) + TIMER + GLOBAL + b'\0' + DESCRIPTION
    for bitmap in (bytes(32), b'\xff' * 32, b'\x55\0' * 16):
        whole = front + MAPPED + bitmap
        yield struct.pack('>H', len(whole)) + whole + rest
    for at, pages in ((0, RAM), (129, RAM + 1), (1 << 63, RAM), (129, 1 << 62), (RAM, RAM)):
        whole = front + be32(1) + be64(PAGE) + be64(at) + be64(pages) + bytes(32)
        yield struct.pack('>H', len(whole)) + whole + rest


def vmstate():
    for device in range(40):
        for size in (8, 64, 512, 4096):
            yield bytes([device, 0]) + bytes(size)


def return_path():
    for data in captured('.rev'):
        yield b'\0' + data
        yield b'\1' + data
    yield from recovery()
    request = struct.pack('>HHQI', 3, 16, 0x5000, PAGE) + str8('ram')
    again = struct.pack('>HHQI', 4, 12, 0x2000, PAGE)
    yield b'\1' + request + again + struct.pack('>HHI', 2, 4, 0x42) + struct.pack('>HHI', 1, 4, 0)
    yield b'\1' + struct.pack('>HHI', 6, 4, 1) + struct.pack('>HH', 7, 0)


def recv_bitmap(bits):
    return struct.pack('>HH', 5, 4) + str8('ram') + be64(len(bits)) + bits + be64(0x0123456789abcdef)


def recovery():
    pages = RAM // PAGE
    for bits in (bytes(pages // 8), b'\xff' * (pages // 8), b'\x55' * (pages // 8), b'\xff' * 8):
        yield b'\2' + recv_bitmap(bits) + struct.pack('>HHI', 6, 4, 1)


def packet(flags, offsets, normal, data, name='ram', number=0):
    head = struct.pack('>IIIIIIQII', 0x11223344, 1, flags, 128, normal, len(data), number,
                       len(offsets) - normal, 0)
    head += bytes(24) + name.encode().ljust(256, b'\0')
    return head + b''.join(be64(o) for o in offsets).ljust(8 * 128, b'\0') + data


def multifd():
    greeting = be32(0x11223344) + be32(1) + bytes(56)
    sync = packet(1, [], 0, b'', '')
    for compression in range(3):
        first = bytes([compression]) + greeting
        yield first + sync
        yield first + packet(compression * 2, [0, 0x3000, 0x1000], 0, b'') + sync + sync
        yield first + packet(compression * 2, [0x100000], 1, b'x' * 100) + sync
    yield b'\0' + greeting + packet(0, [0x5000, 0x2000], 1, b'\xa5' * PAGE) + sync
    squeeze = zlib.compressobj(1)
    data = squeeze.compress(b'\x5a' * PAGE * 2) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    again = squeeze.compress(b'ferry!!!' * (PAGE // 8)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    yield (b'\1' + greeting + packet(2, [0x5000, 0x2000], 2, data) +
           packet(2, [0x5000, 0x7000], 1, again) + sync)
    # One page of zeros in a raw zstd block, then an RLE block of another.
    frame = bytes.fromhex('28b52ffd0058') + struct.pack('<I', PAGE << 3)[:3] + b'\x33' * PAGE
    yield b'\2' + greeting + packet(4, [0x4000], 1, frame) + sync
    rle = struct.pack('<I', PAGE << 3 | 2)[:3] + b'\x44'
    yield b'\2' + greeting + packet(4, [0x4000, 0], 2, frame + rle) + sync
    for data in captured('.c1.fwd'):
        yield b'\0' + data[:12000]


def json():
    yield b'\x07{"execute": "qmp_capabilities", "id": 1}\n'
    yield b'\x00{"execute":"migrate","arguments":{"uri":"tcp:h:1","detach":true}}'
    yield b'\xff[1, -2.5e3, 18446744073709551615, null, true, "\\u00e9\\n", {}]\n{"a":[[[]]]}'
    yield b"\x03{'single': 'quotes'} garbage }\n\xff{}"


def options():
    for text in ('a=1,b=on,c=7,d=2G,e=auto', 'x,b,nob,,y', 'a.0=1,a.1=2,a.b.c=3', '{"a": {"b": [1]}}'):
        yield b'\0' + text.encode()
        yield b'\1' + text.encode()
    for text in ('1.5G', '0x1000', '64k', '18446744073709551615'):
        yield b'\2' + text.encode()
    yield b'\x03' + b'12345678-9abc-def0-1234-56789abcdef0'
    for text in ('tcp:[::1]:4444', 'tcp:0:1,to=9,ipv4=on', 'unix:/tmp/s', 'vsock:2:9', 'fd:mig',
                 'file:/tmp/f,offset=0x1000', 'exec:cat', 'rdma:h:1',
                 'channel-type=main,addr.transport=socket,addr.type=inet,addr.host=h,addr.port=1',
                 '{"channel-type":"main","addr":{"transport":"exec","args":["a","b"]}}'):
        yield b'\4' + text.encode()
        yield b'\5' + text.encode()


def main():
    for make in (wire, stream_load, mapped_ram, vmstate, return_path, multifd, json, options):
        folder = os.path.join(sys.argv[1], make.__name__.replace('_', '-'))
        os.makedirs(folder, exist_ok=True)
        for n, data in enumerate(make()):
            with open(os.path.join(folder, f'seed-{n:03}'), 'wb') as f:
                f.write(data)


if __name__ == '__main__':
    main()
