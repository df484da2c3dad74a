# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws the record of a migration as one self-contained HTML page."""
import base64
import html
import struct
import time
import zlib

import ferrymove
from ferryqmp import QMPError

# How a page travelled, from the source's x-query-migrate-journey: one byte a page.
ZERO, PRECOPY, AGAIN, BACKGROUND, FAULT = 1, 2, 4, 8, 16
WAYS = [  # the last of these that is set gives a page its colour
    (0, 'not sent', '#e5e7eb'),
    (ZERO, 'zero', '#cbd5e1'),
    (PRECOPY, 'precopy', '#60a5fa'),
    (AGAIN, 'precopy, again', '#1d4ed8'),
    (BACKGROUND, 'postcopy, background', '#f59e0b'),
    (FAULT, 'postcopy, on fault', '#dc2626'),
]
STATE_COLOURS = {'setup': '#94a3b8', 'active': '#60a5fa', 'device': '#ef4444', 'pre-switchover': '#fca5a5',
                 'postcopy-device': '#f97316', 'postcopy-active': '#f59e0b', 'postcopy-paused': '#a3a3a3',
                 'completed': '#22c55e', 'failed': '#7f1d1d'}
W, H, LEFT, RIGHT = 860, 150, 70, 16

STYLE = '''
:root{color-scheme:light dark;--text:#0f172a;--back:#fff;--soft:#475569;--label:#64748b;--line:#e2e8f0;--grid:#f1f5f9;--axis:#94a3b8}
@media(prefers-color-scheme:dark){:root{--text:#e2e8f0;--back:#0f172a;--soft:#94a3b8;--label:#94a3b8;--line:#334155;--grid:#1e293b;--axis:#64748b}}
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:940px;padding:0 1em;color:var(--text);background:var(--back)}
h1{font-size:1.5em;margin:0}h2{font-size:1.1em;margin:2em 0 .4em}p{margin:.3em 0 1em;color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.7em;margin:1.2em 0}
.card{border:1px solid var(--line);border-radius:8px;padding:.6em .8em}.card b{display:block;font-size:1.25em}
.card span{color:var(--label);font-size:.85em}svg{display:block;width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:var(--label)}
.key{display:flex;flex-wrap:wrap;gap:1em;font-size:.85em;margin:.5em 0}.key i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:.4em;vertical-align:-1px}
img.map{width:100%;image-rendering:pixelated;border:1px solid var(--line);border-radius:4px}
table{border-collapse:collapse;font-size:.9em;width:100%}td,th{text-align:left;padding:.25em .8em .25em 0;border-bottom:1px solid var(--line)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
'''


def fetch_journey(qmp):
    """Page journeys of the last migration; empty where the emulator keeps none."""
    try:
        blocks = qmp.cmd('x-query-migrate-journey', timeout=30)
    except QMPError:
        return []
    return [{'name': b['name'], 'pages': zlib.decompress(base64.b64decode(b['pages']))
             if b.get('compressed') else base64.b64decode(b['pages'])} for b in blocks]


def png(width, rows):
    """A PNG of RGB rows (bytes of 3 * width each)."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    raw = b''.join(b'\0' + r for r in rows)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, len(rows), 8, 2, 0, 0, 0))
            + chunk(b'IDAT', zlib.compress(raw, 9)) + chunk(b'IEND', b''))


def way_of(flags):
    found = 0
    for i, (bit, _, _) in enumerate(WAYS):
        if bit and flags & bit:
            found = i
    return found


def ram_map(pages, width=512, max_cells=65536):
    """PNG of a RAM block: a cell stands for one or more pages and shows the rarest way in it."""
    per = max(1, -(-len(pages) // max_cells))
    ways = bytes(way_of(f) for f in range(256))
    kinds = pages.translate(ways)
    cells = kinds if per == 1 else bytes(max(kinds[i:i + per]) for i in range(0, len(kinds), per))
    rgb = [bytes.fromhex(colour[1:]) for _, _, colour in WAYS]
    rows = []
    for i in range(0, len(cells), width):
        row = cells[i:i + width]
        rows.append(b''.join(rgb[c] for c in row).ljust(3 * width, b'\xff'))
    return png(width, rows), per


def counts(pages):
    table = [0] * len(WAYS)
    for flags in range(256):
        n = pages.count(flags)
        if n:
            table[way_of(flags)] += n
    return table


def scale(t, end):
    return LEFT + (W - LEFT - RIGHT) * t / end if end else LEFT


def nice_max(v):
    if v <= 0:
        return 1
    power = 10 ** (len(str(int(v))) - 1) if v >= 1 else 0.1
    for m in (1, 2, 5, 10):
        if v <= m * power:
            return m * power
    return 10 * power


def axes(end, top, unit):
    out = [f'<line x1="{LEFT}" y1="{H}" x2="{W - RIGHT}" y2="{H}" style="stroke:var(--axis)"/>']
    for i in range(5):
        y = H - (H - 10) * i / 4
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{W - RIGHT}" y2="{y:.1f}" style="stroke:var(--grid)"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * i / 4:g}{unit if i == 4 else ""}</text>')
    for i in range(6):
        t = end * i / 5
        anchor = 'end' if i == 5 else 'middle'
        out.append(f'<text x="{scale(t, end):.1f}" y="{H + 15}" text-anchor="{anchor}">{t:.2f} s</text>')
    return ''.join(out)


def chart(samples, end, value, unit, colour):
    values = [value(s) for s in samples]
    top = nice_max(max(values, default=0))
    points = ' '.join(f'{scale(s["t"], end):.1f},{H - (H - 10) * v / top:.1f}' for s, v in zip(samples, values))
    first = scale(samples[0]['t'], end) if samples else LEFT
    last = scale(samples[-1]['t'], end) if samples else LEFT
    return (f'<svg viewBox="0 0 {W} {H + 22}">{axes(end, top, " " + unit)}'
            f'<polygon points="{first:.1f},{H} {points} {last:.1f},{H}" fill="{colour}" opacity=".15"/>'
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/></svg>')


def state_bands(rec, end):
    """One band a side from the MIGRATION events, marks for STOP and RESUME."""
    out = []
    for row, side in enumerate(('source', 'destination')):
        y = 8 + row * 30
        out.append(f'<text x="{LEFT - 6}" y="{y + 15}" text-anchor="end">{side}</text>')
        states = [(t, d['status']) for t, s, n, d in rec.events if s == side and n == 'MIGRATION']
        for i, (t, status) in enumerate(states):
            until = states[i + 1][0] if i + 1 < len(states) else end
            x, x2 = scale(max(0, min(t, end)), end), scale(max(0, min(until, end)), end)
            colour = STATE_COLOURS.get(status, '#c4b5fd')
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{max(x2 - x, 1.5):.1f}" height="22" fill="{colour}">'
                       f'<title>{html.escape(status)} from {t:.3f} s</title></rect>')
        for t, s, n, _ in rec.events:
            if s == side and n in ('STOP', 'RESUME'):
                x = scale(max(0, min(t, end)), end)
                out.append(f'<line x1="{x:.1f}" y1="{y - 4}" x2="{x:.1f}" y2="{y + 26}" style="stroke:var(--text)" '
                           f'stroke-dasharray="2 2"><title>{n} at {t:.3f} s</title></line>')
    used = sorted({d['status'] for _, _, n, d in rec.events if n == 'MIGRATION'}, key=lambda s: list(STATE_COLOURS).index(s) if s in STATE_COLOURS else 99)
    key = ''.join(f'<span><i style="background:{STATE_COLOURS.get(s, "#c4b5fd")}"></i>{html.escape(s)}</span>' for s in used)
    return f'<svg viewBox="0 0 {W} 66">{"".join(out)}</svg><div class="key">{key}<span>┆ STOP / RESUME</span></div>'


def histogram(buckets):
    """buckets: list of (label, count)."""
    top = max((n for _, n in buckets), default=0)
    if not top:
        return '<p>No fault was recorded.</p>'
    out, step = [], (W - LEFT - RIGHT) / len(buckets)
    for i, (label, n) in enumerate(buckets):
        h = (H - 10) * n / top
        x = LEFT + i * step
        out.append(f'<rect x="{x + 2:.1f}" y="{H - h:.1f}" width="{step - 4:.1f}" height="{h:.1f}" fill="#dc2626" rx="2">'
                   f'<title>{label}: {n}</title></rect>'
                   f'<text x="{x + step / 2:.1f}" y="{H + 15}" text-anchor="middle">{label}</text>')
        if n:
            out.append(f'<text x="{x + step / 2:.1f}" y="{H - h - 3:.1f}" text-anchor="middle">{n}</text>')
    return f'<svg viewBox="0 -8 {W} {H + 30}">{"".join(out)}</svg>'


def latency_buckets(rec):
    """From the destination's postcopy-latency-dist: counts of 1-2 µs, 2-4 µs, ..."""
    dist = rec.target.get('postcopy-latency-dist') or []
    rows = []
    for i, n in enumerate(dist):
        us = 1 << i
        rows.append((f'{us} µs' if us < 1000 else f'{us / 1000:.0f} ms' if us < 1000000 else f'{us / 1e6:.0f} s', n))
    while rows and not rows[-1][1]:
        rows.pop()
    while len(rows) > 1 and not rows[0][1]:
        rows.pop(0)
    return rows


def cards(rec):
    out = ''
    for line in ferrymove.summary(rec):
        label, value = line[2:16].strip(), line[17:]
        out += f'<div class="card"><span>{html.escape(label)}</span><b>{html.escape(value)}</b></div>'
    return f'<div class="cards">{out}</div>'


def guest_table(rec):
    if not rec.guest:
        return ''
    rows = ''.join(f'<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>' for k, v in rec.guest.items())
    return f'<h2>The guest</h2><p>What the guest and the host agree on after the move.</p><table>{rows}</table>'


def journey_part(rec):
    if not rec.journey:
        return '<h2>RAM, by how each page travelled</h2><p>The source keeps no record of page journeys.</p>'
    key = ''.join(f'<span><i style="background:{c}"></i>{name}</span>' for _, name, c in WAYS)
    out = f'<h2>RAM, by how each page travelled</h2><div class="key">{key}</div>'
    for b in rec.journey:
        if not b['pages']:
            continue
        image, per = ram_map(b['pages'])
        data = base64.b64encode(image).decode()
        rows = ''.join(f'<td class="n">{n}</td>' for n in counts(b['pages']))
        heads = ''.join(f'<th class="n">{name}</th>' for _, name, _ in WAYS)
        out += (f'<p><b>{html.escape(b["name"])}</b>: {len(b["pages"])} pages, lowest address at the top left, '
                f'{per} page{"s" if per > 1 else ""} a dot</p><img class="map" alt="map of {html.escape(b["name"])}" '
                f'src="data:image/png;base64,{data}"><table><tr>{heads}</tr><tr>{rows}</tr></table>')
    return out


def render(rec):
    end = max([s['t'] for s in rec.samples] + [e[0] for e in rec.events] + [0.001])
    when = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(rec.started))
    return f'''<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(rec.title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(rec.title)}</h1><p>{when}</p>
{cards(rec)}
{guest_table(rec)}
<h2>States</h2>{state_bands(rec, end)}
<h2>Throughput</h2>{chart(rec.samples, end, lambda s: s["mbps"] / 1000, "Gbit/s", "#2563eb")}
<h2>Dirty rate</h2>{chart(rec.samples, end, lambda s: s["dirty"] * 4096 / 2 ** 20, "MiB/s", "#dc2626")}
<h2>Remaining</h2>{chart(rec.samples, end, lambda s: s["remaining"] / 2 ** 20, "MiB", "#059669")}
<h2>Fault latency on the destination</h2><p>Faults by how long a vCPU waited for its page; each bar starts at its label and ends at the next.</p>
{histogram(latency_buckets(rec))}
{journey_part(rec)}
</body></html>
'''


def write(rec, path):
    with open(path, 'w', encoding='utf-8') as f:
        f.write(render(rec))
