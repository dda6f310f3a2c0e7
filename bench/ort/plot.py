"""plot.py PAGE.md

Draws the first table of a page that compare.py wrote as PAGE.svg: for each model how many times as fast as ONNX Runtime aimass
is, with one thread and with two."""
import html
import math
import os
import re
import sys

LEFT, WIDTH, TOP, ROW = 275, 500, 74, 17
LOW, TICKS = .7, (1, 1.5, 2, 3, 5, 10)
COLOURS = {'1': '#1a6fb5', '2': '#d9730d'}


def read(page):
    """The machine's line, and {model: {threads: ratio of medians}} in the page's order."""
    rows, where = {}, ''
    for line in open(page, encoding='utf-8'):
        if re.match(r'\d{4}-\d\d-\d\d, ', line):
            where = line.split(';')[0].strip()
        m = re.match(r'\| ([^|]+) \| (\d+) \| ([\d.]+) \| [\d.]+ \|', line)
        if not m:
            if rows and not line.startswith('|'):
                break
            continue
        name, threads, ratio = m[1], m[2], float(m[3])
        while threads in rows.get(name, {}):  # the same model with inputs of another size
            name += ' (2)'
        rows.setdefault(name, {})[threads] = ratio
    return where, rows


def draw(where, rows):
    high = max(max(TICKS), *(v for r in rows.values() for v in r.values())) * 1.1
    x = lambda v: LEFT + WIDTH * math.log(max(v, LOW) / LOW) / math.log(high / LOW)
    bottom = TOP + ROW * len(rows)
    text = lambda px, py, s, more='': f'<text x="{px:.1f}" y="{py:.1f}" {more}>{html.escape(s)}</text>'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 110} {bottom + 34}" font-family="system-ui, sans-serif" font-size="12" fill="#222" role="img">',
           '<title>Speed of aimass relative to ONNX Runtime</title>', '<rect width="100%" height="100%" fill="#fff"/>',
           text(16, 24, 'How many times as fast as ONNX Runtime, in process (right of 1: aimass is faster)', 'font-size="15" font-weight="600"'), text(16, 44, where, 'fill="#555"')]
    for k, (threads, colour) in enumerate(COLOURS.items()):
        px = LEFT + WIDTH - 120 + 90 * k
        out += [f'<circle cx="{px}" cy="40" r="5" fill="{colour}"/>', text(px + 9, 44, f'{threads} thread{"s" * k}')]
    for v in TICKS:
        strong = v == 1
        out += [f'<line x1="{x(v):.1f}" x2="{x(v):.1f}" y1="{TOP - 6}" y2="{bottom}" stroke="{"#222" if strong else "#ddd"}" stroke-width="{1.5 if strong else 1}"/>',
                text(x(v), TOP - 10, f'{v:g}×', 'text-anchor="middle" fill="#555"'), text(x(v), bottom + 16, f'{v:g}×', 'text-anchor="middle" fill="#555"')]
    for i, (name, r) in enumerate(rows.items()):
        y = TOP + ROW * (i + .5)
        px = [x(v) for v in r.values()]
        out += [text(LEFT - 12, y + 4, name, 'text-anchor="end"'), f'<line x1="{min(px):.1f}" x2="{max(px):.1f}" y1="{y}" y2="{y}" stroke="#bbb" stroke-width="2"/>']
        out += [f'<circle cx="{x(v):.1f}" cy="{y}" r="5" fill="{COLOURS[t]}"/>' for t, v in r.items() if t in COLOURS]
        out.append(text(LEFT + WIDTH + 12, y + 4, ' / '.join(f'{v:.2f}' for v in r.values()), 'fill="#555"'))
    return '\n'.join(out + ['</svg>']) + '\n'


def plot(page):
    where, rows = read(page)
    if not rows:
        raise SystemExit(f'{page}: no table of compare.py')
    with open(os.path.splitext(page)[0] + '.svg', 'w', encoding='utf-8') as f:
        f.write(draw(where, rows))


if __name__ == '__main__':
    plot(*sys.argv[1:])
