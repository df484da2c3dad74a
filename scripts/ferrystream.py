# SPDX-License-Identifier: GPL-2.0-or-later
"""Parser of migration streams, for scripts/analyze-stream and tests.

parse_file() tells from the first bytes what a file is (main channel, recovery
connection, multifd channel, return path, postcopy preempt channel) and returns plain
dicts and lists.  The layout is described in docs/wire-format.md.
"""
import gzip
import json
import mmap
import os
import struct

MAGIC = 0x5145564D
MULTIFD_MAGIC = 0x11223344
TYPES = {0: 'EOF', 1: 'SECTION_START', 2: 'SECTION_PART', 3: 'SECTION_END', 4: 'SECTION_FULL',
         5: 'SUBSECTION', 6: 'VMDESCRIPTION', 7: 'CONFIGURATION', 8: 'COMMAND', 0x7e: 'SECTION_FOOTER'}
COMMANDS = {1: 'OPEN_RETURN_PATH', 2: 'PING', 3: 'POSTCOPY_ADVISE', 4: 'POSTCOPY_LISTEN',
            5: 'POSTCOPY_RUN', 6: 'POSTCOPY_RAM_DISCARD', 7: 'PACKAGED', 8: 'ENABLE_COLO',
            9: 'POSTCOPY_RESUME', 10: 'RECV_BITMAP', 11: 'SWITCHOVER_START'}
RETURN_PATH = {1: 'SHUT', 2: 'PONG', 3: 'REQ_PAGES_ID', 4: 'REQ_PAGES', 5: 'RECV_BITMAP',
               6: 'RESUME_ACK', 7: 'SWITCHOVER_ACK'}
ZERO, MEM_SIZE, PAGE, EOS, CONTINUE, XBZRLE, FLUSH = 2, 4, 8, 0x10, 0x20, 0x40, 0x200
PAGE_SIZE = 4096
MAP_FROM = 16 << 20
BITMAP_END = 0x0123456789abcdef


class StreamError(Exception):
    """The bytes are not a stream; the message names the offset."""


class Reader:
    def __init__(self, data, base=0):
        self.data, self.pos, self.base = data, 0, base

    def offset(self):
        return self.base + self.pos

    def left(self):
        return len(self.data) - self.pos

    def peek(self, n):
        return self.data[self.pos:self.pos + n]

    def bytes(self, n):
        if self.left() < n:
            raise StreamError(f'offset {self.offset():#x}: {n} bytes expected, {self.left()} there')
        b = self.data[self.pos:self.pos + n]
        self.pos += n
        return b

    def u8(self):
        return self.bytes(1)[0]

    def u16(self):
        return struct.unpack('>H', self.bytes(2))[0]

    def u32(self):
        return struct.unpack('>I', self.bytes(4))[0]

    def u64(self):
        return struct.unpack('>Q', self.bytes(8))[0]

    def str8(self):
        return self.bytes(self.u8()).decode('utf-8', 'replace')


class Ram:
    """RAM records: the block list and a summary of the pages of each block."""

    def __init__(self, want_pages=False):
        self.blocks, self.last, self.want_pages = {}, None, want_pages
        self.mapped_ram = self.ignore_shared = self.page_sizes = False

    def block(self, name):
        return self.blocks.setdefault(name, {'pages': 0, 'zero': 0, 'xbzrle': 0})

    def block_list(self, r, total):
        listed = []
        while total > 0:
            name, length = r.str8(), r.u64()
            entry = {'name': name, 'used_length': length}
            if self.page_sizes and r.left() >= 8:
                size = struct.unpack('>Q', r.peek(8))[0]
                if size in (2 << 20, 1 << 30):
                    entry['page_size'] = r.u64()
            if self.ignore_shared:
                entry['gpa'] = r.u64()
            if self.mapped_ram:
                entry['mapped_ram'] = self.mapped_header(r, length)
                self.block(name)['pages'] += entry['mapped_ram'].get('pages', 0)
            self.block(name)['used_length'] = length
            listed.append(entry)
            total -= length
        return listed

    def mapped_header(self, r, length):
        h = {'version': r.u32(), 'page_size': r.u64(), 'bitmap_offset': r.u64(),
             'pages_offset': r.u64()}
        if h['bitmap_offset']:
            size = (length // PAGE_SIZE + 63) // 64 * 8
            at, end = h['bitmap_offset'] - r.base, h['pages_offset'] + length - r.base
            if at < r.pos or at + size > len(r.data) or end > len(r.data):
                raise StreamError(f'offset {r.offset():#x}: bitmap at {h["bitmap_offset"]:#x} and pages at '
                                  f'{h["pages_offset"]:#x} are not in the file')
            h['pages'] = sum(bin(b).count('1') for b in r.data[at:at + size])
            if self.want_pages:
                bits = r.data[at:at + size]
                h['present'] = [i * PAGE_SIZE for i in range(length // PAGE_SIZE) if bits[i // 8] >> i % 8 & 1]
            r.pos = end
        return h

    def name_of(self, r, flags):
        if not flags & CONTINUE:
            self.last = r.str8()
        if self.last is None:
            raise StreamError(f'offset {r.offset():#x}: CONTINUE without a block')
        return self.last

    def record(self, r, out, at):
        word = r.u64()
        flags, addr = word & 0xfff, word & ~0xfff
        kind = flags & ~CONTINUE
        if kind == EOS:
            return False
        if kind == MEM_SIZE:
            out.setdefault('blocks', []).extend(self.block_list(r, addr))
            return True
        if kind == FLUSH:
            out['multifd_flushes'] = out.get('multifd_flushes', 0) + 1
            return True
        if kind not in (ZERO, PAGE, XBZRLE):
            raise StreamError(f'offset {at:#x}: unknown RAM record {word:#x}')
        block = self.block(self.name_of(r, flags))
        what = {ZERO: 'zero', PAGE: 'pages', XBZRLE: 'xbzrle'}[kind]
        if kind == ZERO:
            r.u8()
        elif kind == PAGE:
            r.bytes(PAGE_SIZE)
        else:
            r.u8()
            r.bytes(r.u16())
        block[what] += 1
        out[what] = out.get(what, 0) + 1
        if self.want_pages:
            out.setdefault('records', []).append({'offset': at, 'block': self.last, 'page': addr,
                                                  'kind': what})
        return True

    def body(self, r):
        out = {}
        while self.record(r, out, r.offset()):
            pass
        return out


def decode_scalar(kind, raw):
    if kind in ('bool',):
        return bool(raw[0])
    if kind.startswith(('int', 'uint')) or kind == 'timer':
        signed = kind.startswith('int') or kind == 'timer'
        return int.from_bytes(raw, 'big', signed=signed)
    return raw.hex()


def decode_field(r, field):
    if 'struct' in field:
        value = decode_struct(r, field['struct'])
    else:
        value = decode_scalar(field['type'], r.bytes(field['size']))
    return value


def decode_struct(r, desc):
    values = {}
    for f in desc.get('fields', []):
        if 'array_len' in f:
            values[f['name']] = [decode_field(r, f) for _ in range(f['array_len'])]
        elif 'index' in f:
            values.setdefault(f['name'], []).append(decode_field(r, f))
        else:
            values[f['name']] = decode_field(r, f)
    for sub in desc.get('subsections', []):
        at = r.offset()
        if r.u8() != 5:
            raise StreamError(f'offset {at:#x}: subsection {sub["vmsd_name"]} expected')
        name = r.str8()
        if name != sub['vmsd_name']:
            raise StreamError(f'offset {at:#x}: subsection {sub["vmsd_name"]} expected, {name} found')
        values.setdefault('subsections', {})[name] = {'version': r.u32(), **decode_struct(r, sub)}
    return values


def find_description(data):
    """The JSON description at the end of a stream, or None."""
    for start in (b'{"page_size"', b'{"configuration"', b'{"vmsd', b'{'):
        at = data.rfind(start)
        while at >= 5:
            length = struct.unpack('>I', data[at - 4:at])[0]
            if data[at - 5] == 6 and at + length <= len(data):
                try:
                    return json.loads(data[at:at + length].decode())
                except ValueError:
                    pass
            at = data.rfind(start, 0, at)
    return None


class MainStream:
    def __init__(self, data, description=None, want_pages=False, start=0):
        self.r = Reader(data)
        self.r.pos = start
        self.desc = description or find_description(data) or {}
        self.by_id = {(d['name'], d['instance_id']): d for d in self.desc.get('devices', [])}
        self.sections, self.ram = {}, Ram(want_pages)

    def parse(self):
        r = self.r
        out = {'kind': 'main', 'elements': []}
        if r.left() >= 8 and struct.unpack('>I', r.peek(4))[0] == MAGIC:
            r.u32()
            out['version'] = r.u32()
        else:
            out['kind'] = 'recovery'
        while r.left():
            element = self.element(r)
            out['elements'].append(element)
        out['ram'] = self.ram.blocks
        return out

    def element(self, r):
        at = r.offset()
        t = r.u8()
        if t not in TYPES:
            raise StreamError(f'offset {at:#x}: unknown element type {t:#x}')
        e = {'offset': at, 'type': TYPES[t]}
        if t in (1, 4):
            self.section_header(r, e)
        elif t in (2, 3):
            e['section_id'] = r.u32()
            if e['section_id'] not in self.sections:
                raise StreamError(f'offset {at:#x}: section id {e["section_id"]} was never started')
            e['name'] = self.sections[e['section_id']]['name']
        if t in (1, 2, 3, 4):
            self.section_body(r, e)
            self.footer(r, e)
        elif t == 6:
            e['length'] = r.u32()
            r.bytes(e['length'])
        elif t == 7:
            self.configuration(r, e)
        elif t == 8:
            self.command(r, e)
        e['end'] = r.offset()
        return e

    def section_header(self, r, e):
        e['section_id'] = r.u32()
        e['name'], e['instance_id'], e['version'] = r.str8(), r.u32(), r.u32()
        self.sections[e['section_id']] = e

    def section_body(self, r, e):
        if e['name'] == 'ram':
            e['records'] = self.ram.body(r)
            return
        first = self.sections[e['section_id']]
        desc = self.by_id.get((first['name'], first['instance_id']))
        start = r.pos
        if desc and 'fields' in desc:
            e['fields'] = decode_struct(r, desc)
        else:
            e['raw'] = r.bytes(self.find_footer(r, e['section_id'])).hex()
        e['size'] = r.pos - start

    def find_footer(self, r, section_id):
        """Without a description the body ends where its footer and a new element begin."""
        mark = b'\x7e' + struct.pack('>I', section_id)
        at = r.data.find(mark, r.pos)
        while at >= 0:
            rest = r.data[at + 5:at + 6]
            if not rest or rest[0] in TYPES:
                return at - r.pos
            at = r.data.find(mark, at + 1)
        raise StreamError(f'offset {r.offset():#x}: no footer of section {section_id}')

    def footer(self, r, e):
        if r.peek(1) != b'\x7e':
            e['footer'] = False
            return
        r.u8()
        got = r.u32()
        if got != e['section_id']:
            raise StreamError(f'offset {r.offset():#x}: footer of section {got} after section '
                              f'{e["section_id"]} ({e["name"]})')

    def configuration(self, r, e):
        e['machine'] = r.bytes(r.u32()).decode('utf-8', 'replace')
        while r.peek(1) == b'\x05' and r.data[r.pos + 2:r.pos + 16].startswith(b'configuration/'):
            r.u8()
            name, version = r.str8(), r.u32()
            sub = e.setdefault('subsections', {})
            if name.endswith('/capabilities'):
                caps = [r.str8() for _ in range(r.u32())]
                self.ram.mapped_ram |= 'mapped-ram' in caps
                self.ram.ignore_shared |= 'x-ignore-shared' in caps
                sub[name] = caps
            elif name.endswith('/uuid'):
                sub[name] = r.bytes(16).hex()
            elif name.endswith('/target-page-bits'):
                sub[name] = r.u32()
            else:
                raise StreamError(f'offset {r.offset():#x}: unknown subsection {name} v{version}')

    def command(self, r, e):
        number, length = r.u16(), r.u16()
        e['command'] = COMMANDS.get(number, f'unknown {number}')
        body = Reader(r.bytes(length), r.offset() - length)
        if number == 2:
            e['cookie'] = body.u32()
        elif number == 3 and length == 16:
            e['page_sizes'], e['target_page'] = body.u64(), body.u64()
            self.ram.page_sizes = True
        elif number == 6:
            e['version'], e['block'], _ = body.u8(), body.str8(), body.u8()
            e['ranges'] = []
            while body.left():
                e['ranges'].append([body.u64(), body.u64()])
        elif number == 7:
            size = body.u32()
            inner = Reader(r.bytes(size), r.offset() - size)
            e['length'], e['elements'] = size, []
            while inner.left():
                e['elements'].append(self.element(inner))
        elif number == 10:
            e['block'] = body.str8()


def parse_return_path(data):
    r, out = Reader(data), []
    last = None
    while r.left():
        at = r.offset()
        number, length = r.u16(), r.u16()
        if number not in RETURN_PATH or length > 512:
            raise StreamError(f'offset {at:#x}: no return-path message {number} of {length} bytes')
        body = Reader(r.bytes(length), at + 4)
        m = {'offset': at, 'message': RETURN_PATH[number]}
        if number in (1, 2, 6):
            m['value'] = body.u32()
        elif number in (3, 4):
            m['start'], m['length'] = body.u64(), body.u32()
            last = body.str8() if number == 3 else last
            m['block'] = last
        elif number == 5:
            m['block'], size = body.str8(), r.u64()
            m['received_pages'] = sum(bin(b).count('1') for b in r.bytes(size))
            if r.u64() != BITMAP_END:
                raise StreamError(f'offset {r.offset() - 8:#x}: the bitmap has no end mark')
        out.append(m)
    return {'kind': 'return-path', 'messages': out}


def parse_multifd(data):
    r = Reader(data)
    out = {'kind': 'multifd', 'packets': []}
    first = {'magic': r.u32(), 'version': r.u32(), 'uuid': r.bytes(16).hex(), 'channel': r.u8()}
    r.bytes(39)
    out.update(first)
    while r.left():
        at = r.offset()
        if r.u32() != MULTIFD_MAGIC:
            raise StreamError(f'offset {at:#x}: no multifd packet')
        r.u32()
        p = {'offset': at, 'flags': r.u32(), 'pages_alloc': r.u32(), 'normal': r.u32(),
             'data_size': r.u32(), 'number': r.u64(), 'zero': r.u32()}
        r.bytes(28)
        p['block'] = r.bytes(256).split(b'\0')[0].decode('utf-8', 'replace')
        offsets = [r.u64() for _ in range(128)]
        p['offsets'] = offsets[:p['normal'] + p['zero']]
        r.bytes(p['data_size'])
        out['packets'].append(p)
    return out


def parse_preempt(data, want_pages):
    r, ram, out = Reader(data), Ram(want_pages), {}
    while r.left() and ram.record(r, out, r.offset()):
        pass
    return {'kind': 'preempt', 'records': out, 'ram': ram.blocks}


def kind_of(data, start=0):
    head = data[start:start + 8]
    if len(head) >= 4 and struct.unpack('>I', head[:4])[0] == MAGIC:
        return 'main'
    if len(head) >= 4 and struct.unpack('>I', head[:4])[0] == MULTIFD_MAGIC:
        return 'multifd'
    if head[:1] == b'\x08':
        return 'recovery'
    if len(head) >= 4:
        number, length = struct.unpack('>HH', head[:4])
        if number in RETURN_PATH and 0 < length <= 512:
            return 'return-path'
    return 'preempt'


def parse(data, kind=None, description=None, want_pages=False, start=0):
    """What begins at start; only a main stream may be somewhere in a file."""
    kind = kind or kind_of(data, start)
    if len(data) <= start:
        return {'kind': 'empty'}
    if kind in ('main', 'recovery'):
        s = MainStream(data, description, want_pages, start)
        if kind == 'recovery':
            s.sections.update({i: {'name': 'ram', 'instance_id': 0} for i in range(64)})
        return s.parse()
    if kind == 'multifd':
        return parse_multifd(data)
    if kind == 'return-path':
        return parse_return_path(data)
    return parse_preempt(data, want_pages)


def read_file(path):
    with open(path, 'rb') as f:
        if f.read(2) == b'\x1f\x8b':
            f.seek(0)
            return gzip.decompress(f.read())
        if os.fstat(f.fileno()).st_size >= MAP_FROM:
            return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        f.seek(0)
        return f.read()
