# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads files that carry the rest of a postcopy, or a received map: docs/wire-format.md."""
import hashlib
import struct
import uuid

MAGIC = b'FerryRst'
HEADER = struct.Struct('>8sII12sI16sII5Q32s32s')
CHUNK = struct.Struct('>IIQQQ32s')
CHUNK_PAGES = 64
KINDS = {1: 'rest of a postcopy', 2: 'received map'}


class CarryError(Exception):
    pass


def is_carry(path):
    with open(path, 'rb') as f:
        return f.read(len(MAGIC)) == MAGIC


def str8(data, at):
    n = data[at]
    return data[at + 1:at + 1 + n].decode('utf-8', 'replace'), at + 1 + n


def parse_tables(tree, tables):
    tree['machine'], at = str8(tables, 0)
    tree['blocks'] = []
    for _ in range(tree['block_count']):
        name, at = str8(tables, at)
        length, page = struct.unpack_from('>QI', tables, at)
        at += 12
        tree['blocks'].append({'name': name, 'bytes': length, 'host_page': page, 'pages': 0, 'zero': 0})
    return at


def damaged(f, chunk):
    _, _, present, zero, offset, digest = chunk
    f.seek(offset)
    size = bin(present & ~zero).count('1') * 4096
    data = f.read(size)
    return len(data) < size or hashlib.sha256(data).digest() != digest


def read_chunks(f, tree, tables, at):
    tree['damaged'] = []
    for i in range(tree['chunks']):
        chunk = CHUNK.unpack_from(tables, at + i * CHUNK.size)
        b = tree['blocks'][chunk[0]]
        b['pages'] += bin(chunk[2]).count('1')
        b['zero'] += bin(chunk[3]).count('1')
        if damaged(f, chunk):
            tree['damaged'].append({'block': b['name'], 'offset': chunk[1] * CHUNK_PAGES * 4096})


def read_maps(tree, tables, at):
    for b in tree['blocks']:
        size = (b['bytes'] // 4096 + 63) // 64 * 8
        b['pages'] = bin(int.from_bytes(tables[at:at + size], 'little')).count('1')
        at += size


def parse(path):
    """Everything but the pages, whose digests are checked; CarryError when it cannot be told apart."""
    with open(path, 'rb') as f:
        head = f.read(HEADER.size)
        if len(head) < HEADER.size:
            raise CarryError('it ends inside its header')
        if hashlib.sha256(head[:128]).digest() != head[128:]:
            raise CarryError('its header is damaged')
        (_, version, kind, attempt, _, owner, blocks, _, chunks, pages, tables_len, _, file_len, digest,
         _) = HEADER.unpack(head)
        if version != 1 or kind not in KINDS:
            raise CarryError(f'version {version}, kind {kind}')
        tables = f.read(tables_len)
        if hashlib.sha256(tables).digest() != digest:
            raise CarryError('its tables are damaged, or it ends inside them')
        tree = {'kind': KINDS[kind], 'version': version, 'attempt': attempt.hex(), 'uuid': str(uuid.UUID(bytes=owner)),
                'bytes': file_len, 'pages': pages, 'chunks': chunks, 'block_count': blocks}
        at = parse_tables(tree, tables)
        if kind == 1:
            read_chunks(f, tree, tables, at)
        else:
            read_maps(tree, tables, at)
    return tree


def show(tree, paint):
    print(paint('b', f'{tree["kind"]}, version {tree["version"]}'))
    print(f'machine {tree["machine"]}, UUID {tree["uuid"]}, attempt {tree["attempt"]}')
    print(f'{tree["pages"]} pages, {tree["bytes"]} bytes')
    for b in tree['blocks']:
        print(f'  {b["name"]:<16} bytes={b["bytes"]} host_page={b["host_page"]} pages={b["pages"]} zero={b["zero"]}')
    for d in tree.get('damaged', []):
        print(paint('y', f'damaged: 256 KiB at {d["offset"]:#x} of {d["block"]}'))
    if 'damaged' in tree:
        print(f'{tree["chunks"] - len(tree["damaged"])} of {tree["chunks"]} chunks are good')
