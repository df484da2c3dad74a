#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the inputs that the fuzz targets start from: one folder a target below DIR, and a
dictionary NAME.dict for those that read text; and below DIR/regressions those that once broke
something, from the hexadecimal text in regressions/TARGET/NAME.hex.

usage: seeds.py DIR

Streams and messages are taken from the captured ones in tests/data/streams where that is
possible, and made small; the rest is written here."""
import json as jsonlib
import os
import re
import struct
import sys
import zlib

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', '..')
STREAMS = os.path.join(TOP, 'tests', 'data', 'streams')
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, 'scripts'))
from qapi.schema import Schema
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


VERIFY = command(2, be32(0x5600))


def digests(pages, device=0):
    """FERRY_VERIFY: the beginning, so many pages, the end."""
    return (command(255, b'\0\1' + be64(device)) + command(255, b'\1' + str8('ram') + be64(0) + be64(7) * pages) +
            command(255, b'\2'))


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
    yield HEADER + TALK + VERIFY + START + PAGES + END + command(7, be32(len(TIMER))) + TIMER + digests(256) + b'\0'
    yield HEADER + TALK + VERIFY + START + PAGES + END + digests(3)[:-3] + b'\0'
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


def postcopy():
    """Flags, length and bytes of the main stream, then the recovering stream or the preempt channel."""
    def talk(main, rest=b'', flags=0):
        return bytes([flags]) + struct.pack('>H', len(main)) + main + rest

    listen, run = command(4), command(5)
    pages = section(2, 1, PAGES[5:-5])
    all_pages = section(3, 1, b''.join(be64(n * PAGE | 2 | (0x20 if n else 0)) +
                                       (b'' if n else str8('ram')) + b'\0'
                                       for n in range(RAM // PAGE)) + be64(0x10))
    before = HEADER + TALK + ADVISE + START + PAGES + DISCARD + command(2, be32(2))
    switch = before + PACKAGED + command(2, be32(4))
    bitmap, resume = command(10, str8('ram')), command(9)
    yield talk(switch + all_pages + b'\0')
    yield talk(switch + pages, bitmap + resume + all_pages + b'\0')
    yield talk(switch + pages + b'\xff', command(10, str8('nosuch')) + resume)
    yield talk(switch, resume + bitmap + pages)
    yield talk(switch + all_pages + b'\0', be64(0x5000 | 2) + str8('ram') + b'\0' + be64(0x10), 1)
    yield talk(switch.replace(TALK, TALK + VERIFY) + all_pages + digests(256) + b'\0')
    yield talk(switch.replace(TALK, TALK + VERIFY) + pages + digests(9), bitmap + resume + all_pages + digests(256) + b'\0')
    # What a source must not do: end a package without RUN, load devices behind it, start twice.
    for blob in (listen, listen + TIMER, listen + run, run, listen + listen, listen + b'\0',
                 TIMER + listen + command(2, be32(0x42)) + run):
        yield talk(before + command(7, be32(len(blob))) + blob + pages)
    for late in (TIMER, GLOBAL, START, ADVISE, DISCARD, PACKAGED, command(1), command(11)):
        yield talk(switch + late, bitmap + late)
    for data in captured('.c0.fwd'):
        at = data.find(b'\x08\0\x07\0\x04')
        if at > 0:
            yield talk((data[:600] + data[at - 200:at + 2000]).replace(be64(64 << 20), be64(RAM)))


def sections(data):
    """Sections of device state in a stream: name, instance, version, body."""
    for m in re.finditer(rb'\x04(....)(.)', data, re.S):
        at, n = m.end(), m.group(2)[0]
        name = data[at:at + n]
        end = data.find(b'\x7e' + m.group(1), at)
        if n and re.fullmatch(rb'[\w:./@-]+', name) and at + n + 8 <= end < at + 20000:
            instance, version = struct.unpack('>II', data[at + n:at + n + 8])
            if instance < 256 and version < 64:
                yield name, instance, version, data[at + n + 8:end]


def vmstate():
    for device in range(40):
        yield bytes([device, 0x80])
        for size in (8, 64, 512, 4096):
            yield bytes([device, 0]) + bytes(size)
    for data in captured('.bin'):
        for name, instance, _, body in sections(data):
            yield bytes([0x80, len(name)]) + name + bytes([instance, 0]) + body


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


def virtqueue():
    """Steps of fuzz-virtqueue.c; the second device's have bit 7."""
    def memory(at, data):
        return b'\0' + struct.pack('>HB', at, len(data)) + data

    def desc(base, i, addr, size, flags, link):
        return memory(base + 16 * i, struct.pack('<QIHH', addr, size, flags, link))

    def offer(base, *heads):
        ring = struct.pack('<HH', 0, len(heads)) + b''.join(struct.pack('<H', h) for h in heads)
        return memory(base + 0x1000, ring)

    for base, bit in ((0, 0), (0x4000, 0x80)):
        kick = bytes([bit | 3, 0])
        yield desc(base, 0, 0x18000, 64, 2, 0) + offer(base, 0) + kick
        yield desc(base, 0, 0x18000, 64, 3, 0) + offer(base, 0) + kick
        yield desc(base, 2, 0x18000, 32, 4, 0) + memory(0x8000, struct.pack(
            '<QIHHQIHH', 0x19000, 16, 1, 1, 0x1a000, 513, 2, 0)) + offer(base, 2) + kick
        for kind in (0, 1, 4, 8, 11, 13):
            yield (memory(0x8000, struct.pack('<IIQ', kind, 0, 3)) + memory(0x9000, bytes(8) + b'\1') +
                   desc(base, 0, 0x18000, 16, 1, 1) +
                   desc(base, 1, 0x19000, 512 if kind < 4 else 16 + 4 * (kind == 8),
                        1 + 2 * (kind in (0, 8)), 2) +
                   desc(base, 2, 0x1a000, 1, 2, 0) + offer(base, 0) + kick)
        for register, value in ((8, 1), (12, 1), (20, 3), (20, 11), (22, 0), (24, 16), (26, 1),
                                (32, 0x10000), (40, 0x11000), (48, 0x12000), (28, 1), (20, 15)):
            yield bytes([bit | 5, 4]) + struct.pack('>HBI', register, 2, value) + kick


def carry():
    """First byte: 1: digests are made right by the target; 2: a received map."""
    attempt, page = b'attempt one.', 4096
    names = str8('none') + str8('ram') + be64(RAM) + be32(page)
    for chunks in ([], [(0, 7, 2)], [(0, (1 << 64) - 1, 0), (3, 0x8000000000000001, 1)]):
        table, pages, at = b'', 0, page
        for index, present, zero in chunks:
            table += be32(0) + be32(index) + be64(present) + be64(zero) + be64(at) + bytes(32)
            pages += bin(present).count('1')
            at += bin(present & ~zero).count('1') * page
        tables = names + table
        head = b'FerryRst' + be32(1) + be32(1) + attempt + be32(page) + bytes(16) + be32(1) + be32(0)
        head += be64(len(chunks)) + be64(pages) + be64(len(tables)) + be64(page) + be64(at) + bytes(64)
        for flags in (b'\0', b'\1'):
            yield flags + head + tables
    tables = names + b'\x5a' * (RAM // page // 8)
    yield (b'\3FerryRst' + be32(1) + be32(2) + attempt + be32(page) + bytes(16) + be32(1) + be32(0) + be64(0) +
           be64(128) + be64(len(tables)) + be64(page) + be64(page) + bytes(64) + tables)


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


# ---- text: from the tables of the source and the schema ----

def source(*folders):
    for folder in folders:
        for name in sorted(os.listdir(os.path.join(TOP, folder))):
            if name.endswith('.c'):
                with open(os.path.join(TOP, folder, name), encoding='utf-8') as f:
                    yield f.read()


def schema():
    folder = os.path.join(TOP, 'qapi')
    with open(os.path.join(folder, 'meson.build'), encoding='utf-8') as f:
        modules = re.search(r'qapi_modules = \[(.*?)\]', f.read(), re.S).group(1)
    return Schema([os.path.join(folder, m + '.json') for m in re.findall(r"'([\w-]+)'", modules)])


class Values:
    """A value of a type of the schema: the kind-th choice wherever there is one."""

    def __init__(self, sch, kind):
        self.sch, self.kind = sch, kind

    def value(self, t, depth=0):
        simple = {'str': ('ram', '/machine', 'fd:x', 'd'), 'bool': (False, True), 'null': (None,),
                  'any': ({},), 'number': (1.5,)}
        if isinstance(t, list):
            return [self.value(t[0], depth + 1)] if depth < 4 else []
        meta = self.sch.meta(t)
        if meta == 'builtin':
            choice = simple.get(t, (0, 1, 4096, 1 << 40))
            return choice[self.kind % len(choice)]
        ent = self.sch.types[t]
        if meta == 'enum':
            return ent.values[self.kind % len(ent.values)]['name']
        if meta == 'alternate':
            branches = list(ent.branches.values())
            return self.value(branches[self.kind % len(branches)], depth + 1)
        out = {m.name: self.value(m.type, depth + 1) for m in self.sch.all_members(ent)
               if not m.optional or (self.kind and depth < 4)}
        if meta == 'union':
            names = list(ent.branches)
            out[ent.tag] = names[self.kind % len(names)]
            out.update(self.value(ent.branches[out[ent.tag]], depth + 1))
        return out


def qmp():
    sch = schema()
    for cmd in sch.commands:
        for kind in range(4):
            args = Values(sch, kind).value(cmd.arg) if cmd.arg else {}
            yield jsonlib.dumps({'execute': cmd.name, 'arguments': args, 'id': kind}).encode()
    for line in list(hmp())[::9]:
        yield jsonlib.dumps({'execute': 'human-monitor-command',
                             'arguments': {'command-line': line.decode().strip()}}).encode()


def hmp_words():
    for text in source('monitor', 'migration', 'hw/core', 'chardev', 'system'):
        for names, args in re.findall(r'\n    \{ "([\w|?-]+)", "([\w:?,/-]*)",', text):
            yield names.split('|')[0], args


def hmp():
    value = {'s': 'ram', 'S': 'driver,id=x', 'i': '1', 'l': '0x1000+4*2', 'o': '2M', 'b': 'on', '/': '/4xb'}
    for name, args in hmp_words():
        words = ''
        for a in args.split(','):
            kind = a.split(':')[1] if ':' in a else ''
            words += {'/': '/4xb'}.get(kind) or (' ' + (kind if kind[:1] == '-' else value.get(kind[:1], '')))
        yield f'{name}{words}\n'.encode()
        yield f'info {name}{words}\n'.encode()
        yield f'{name}\n\t'.encode()
    yield b'hel\x1b[D\x1b[A\x1b[3~p\t\t\x01x\x05\x0b\x17\x15info \t\n'


def qtest():
    for text in source('tests/qtest'):
        for line in re.findall(r'"((?:in[bwl]|out[bwl]|read[bwlq]?|write[bwlq]?|clock_|irq_|set_irq|memset|b64)\w*\b ?[^"%\\]*)"', text):
            yield line.encode() + b'\n'
    yield b'inb 0x1f7\noutb 0x1f6 0xe0\noutb 0x1f2 1\noutb 0x1f7 0x20\ninw 0x1f0\n'
    yield b'outb 0x43 0x34\noutb 0x40 0\noutb 0x40 1\nclock_step 1000000\ninb 0x40\n'
    yield b'outb 0x70 0xa\noutb 0x71 0x26\noutb 0x70 0xb\noutb 0x71 0x42\nclock_step 100000000\ninb 0x71\n'
    yield b'outb 0x20 0x11\noutb 0x21 8\noutb 0x21 4\noutb 0x21 1\noutb 0x20 0xa\ninb 0x20\n'
    yield b'writel 0xfec00000 0x10\nwritel 0xfec00010 0x10000\nreadl 0xfec00010\n'
    yield b'writel 0xfee00320 0x20030\nwritel 0xfee003e0 3\nwritel 0xfee00380 100\nclock_step 500000\nreadl 0xfee00390\n'
    yield b'outb 0x3fb 0x83\noutb 0x3f8 1\noutb 0x3fb 3\noutb 0x3fc 0x1b\noutb 0x3f8 0x41\ninb 0x3f8\n'
    yield b'outl 0xcf8 0x80000000\ninl 0xcfc\noutw 0x604 0x2000\ninw 0x604\ninl 0x608\n'
    yield b'write 0x1000 4 0xdeadbeef\nread 0x1000 4\nb64write 0x1000 3 AAAA\nb64read 0 16\nmemset 0 16 7\n'
    yield b'irq_intercept_in ioapic\nset_irq_in ioapic unnamed-gpio-in 3 1\nirq_intercept_out ioapic\nendianness\n'


def option_rows():
    for text in source('system'):
        yield from re.findall(r'\n    \{ "([\w-]+)", (?:"([^"]*)"|NULL),', text)


def cmdline():
    for name, arg in option_rows():
        yield f'-{name}\n{arg.lower()}'.encode()
    for text in source('tests/qtest'):
        for args in re.findall(r'qtest_(?:init|run)\w*\((?:NULL, \S+ )?"([^"]*)"', text):
            yield args.replace('%d', '16').replace('%s', 'x').replace(' ', '\n').encode()
    yield b'-smp\n4,sockets=2,cores=2,maxcpus=4\n-m\n16M,slots=2,maxmem=64M\n-M\nq35,accel=qtest\n-S'
    yield b'-object\n{"qom-type":"secret","id":"s","data":"x"}\n-chardev\nringbuf,id=r,size=1024\n-name\nx,process=y'
    yield b'-object\nmemory-backend-ram,id=m,size=1M\n-object\nauthz-list,id=z,policy=deny,rules.0.match=a\n-uuid\n12345678-9abc-def0-1234-56789abcdef0'
    yield b'-chardev\nsocket,id=c,path=/x,server=on,wait=off\n-sandbox\non,spawn=deny\n-run-with\nuser=x,chroot=/y'


def words(name):
    """The vocabulary of a target that reads text."""
    if name == 'qmp':
        sch = schema()
        yield from (c.name for c in sch.commands)
        for ent in sch.types.values():
            yield from (m.name for m in getattr(ent, 'local', []))
            yield from (v['name'] for v in getattr(ent, 'values', []))
    elif name == 'hmp':
        yield from (n for n, _ in hmp_words())
    elif name == 'qtest':
        for text in source('system'):
            yield from re.findall(r'\n    \{ "(\w+)", \d, \d,', text)
    elif name == 'cmdline':
        for option, arg in option_rows():
            yield '-' + option
            yield from re.findall(r'[a-z][\w-]+=?', arg)


def regressions():
    """Target, name, bytes."""
    top = os.path.join(os.path.dirname(os.path.realpath(__file__)), 'regressions')
    for target in sorted(os.listdir(top)):
        for name in sorted(os.listdir(os.path.join(top, target))):
            with open(os.path.join(top, target, name), encoding='ascii') as f:
                yield target, name, bytes.fromhex(''.join(l for l in f if l[0] != '#'))


def main():
    for target, name, data in regressions():
        folder = os.path.join(sys.argv[1], 'regressions', target)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name.removesuffix('.hex')), 'wb') as f:
            f.write(data)
    for make in (wire, stream_load, postcopy, mapped_ram, vmstate, return_path, multifd, json, qmp, hmp, qtest,
                 cmdline, options, carry, virtqueue):
        name = make.__name__.replace('_', '-')
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder, exist_ok=True)
        for n, data in enumerate(make()):
            with open(os.path.join(folder, f'seed-{n:04}'), 'wb') as f:
                f.write(data)
        with open(os.path.join(sys.argv[1], name + '.dict'), 'w', encoding='ascii') as f:
            for word in sorted(set(words(name))):
                f.write(f'"{word}"\n')


if __name__ == '__main__':
    main()
