# SPDX-License-Identifier: Apache-2.0
"""The picture of callgraph.py: a table of dots, rooms in layers against what they call. There are no
lines, so none cross. Every dot carries its arrow as text, by which a picture is held against the code.
"""
import re

# Layers, the outermost first; in each, the rooms.
LAYERS = [
    ("the library's face", ["runtime", "space", "testing"]),
    ("the port", ["port_lib", "port_hal"]),
    ("the virtual machine", ["pvm", "heap", "bytecode", "compiler"]),
    ("the store", ["snapshot"]),
    ("machines", ["hal_posix", "hal_sim"]),
]
# Columns: title of a band, class of its dots, targets; of a target with groups each is a column.
BANDS = [
    ("other rooms", "room", ["phantom.h", "pvm", "heap", "bytecode", "snapshot", "port_lib", "base"]),
    ("the HAL (src/hal)", "hal", ["hal"]),
    ("doors of hal_posix", "doors", ["hal_posix"]),
    ("sim", "sim", ["hal_sim"]),
    ("HAL of the port", "port", ["port_hal"]),
]
STYLE = """
svg { font-family: sans-serif; font-size: 13px }
.paper { fill: #ffffff } text { fill: #1c2430 } .dim { fill: #5a6675 } .band { fill: #f1f4f8 }
.line { stroke: #d5dbe3 } .on { fill: #ffffff; font-size: 11px } .title { font-size: 15px }
.room { fill: #56657a } .hal { fill: #2f6db3 } .doors { fill: #a5641c } .sim { fill: #23806c } .port { fill: #7650a8 }
@media (prefers-color-scheme: dark) {
  .paper { fill: #14181f } text { fill: #e6ebf2 } .dim { fill: #9aa7b8 } .band { fill: #1d232d }
  .line { stroke: #333c49 } .on { fill: #ffffff }
}
"""
LEFT, TOP, STEP, ROW, GAP = 250, 150, 38, 32, 14
TITLE = re.compile(r"<title>(\S+) calls (.+): (\d+) places</title>")


def name_of(target, group):
    return f"{target}, {group}" if group else target


def radius(places):
    return 9.5 if places < 10 else 11.5 if places < 50 else 13.5 if places < 200 else 15.5


def columns_of(calls, order):
    """[(x, band number, target, group)], with a gap between bands. `order`: groups as they are listed."""
    columns, x = [], LEFT
    for number, (_, _, targets) in enumerate(BANDS):
        for target in targets:
            groups = {key[2] for key in calls if key[1] == target}
            for group in sorted(groups, key=lambda g: order.index(g) if g in order else -1):
                columns.append((x + STEP / 2, number, target, group))
                x += STEP
        x += GAP
    return columns, x


def rows_of(calls):
    rows, y = [], TOP
    for layer, rooms in LAYERS:
        there = [room for room in rooms if any(key[0] == room for key in calls)]
        rows += [(y + i * ROW + ROW / 2, layer if i == 0 else None, room) for i, room in enumerate(there)]
        y += len(there) * ROW + GAP
    return rows, y


def heads(columns, bottom):
    out = []
    for number, (title, kind, _) in enumerate(BANDS):
        xs = [x for x, band, _, _ in columns if band == number]
        if xs:
            left, width = min(xs) - STEP / 2, max(xs) - min(xs) + STEP
            out.append(f'<rect class="band" x="{left}" y="{TOP}" width="{width}" height="{bottom - TOP - GAP}"/>\n'
                       f'<rect class="{kind}" x="{left}" y="{TOP - 4}" width="{width}" height="4"/>\n'
                       f'<text class="dim" x="{left}" y="{bottom + 8}">{title}</text>\n')
    for x, _, target, group in columns:
        label = group.removeprefix("port: ") if group else target
        out.append(f'<text transform="translate({x + 4},{TOP - 12}) rotate(-55)">{label}</text>\n')
    return out


def draw(calls, order):
    """Arrows (room, target, group) -> places as the text of an SVG."""
    columns, right = columns_of(calls, order)
    rows, bottom = rows_of(calls)
    width, height = right + 50, bottom + 60
    drawn = {(room, target, group) for _, _, room in rows for _, _, target, group in columns}
    assert set(calls) <= drawn, set(calls) - drawn  # a room or a target without a place
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
           f'viewBox="0 0 {width:g} {height:g}">\n<style>{STYLE}</style>\n'
           f'<rect class="paper" width="{width:g}" height="{height:g}"/>\n'
           f'<text class="title" x="20" y="34">Which room calls what</text>\n'
           f'<text class="dim" x="20" y="54">row: who calls; column: what is called</text>\n']
    out += heads(columns, bottom)
    for y, layer, room in rows:
        if layer:
            out.append(f'<text class="dim" x="20" y="{y + 5:g}">{layer}</text>\n'
                       f'<line class="line" x1="20" x2="{right - GAP}" y1="{y - ROW / 2:g}" y2="{y - ROW / 2:g}"/>\n')
        out.append(f'<text x="{LEFT - 14}" y="{y + 5:g}" text-anchor="end">{room}</text>\n')
        for x, band, target, group in columns:
            places = calls.get((room, target, group))
            if places:
                out.append(f'<g><title>{room} calls {name_of(target, group)}: {places} places</title>'
                           f'<circle class="{BANDS[band][1]}" cx="{x:g}" cy="{y:g}" r="{radius(places)}"/>'
                           f'<text class="on" x="{x:g}" y="{y + 4:g}" text-anchor="middle">{places}</text></g>\n')
    out.append(f'<text class="dim" x="20" y="{bottom + 36:g}">A number: places in the code (relocations) that name a '
               f'function of the column. Dots grow at 10, 50 and 200. No dot: no call.</text>\n')
    return "".join(out) + "</svg>\n"


def stale_arrows(text, calls):
    """What a picture has and the code has not, and the other way round. Counts of places may differ."""
    drawn = {(room, what) for room, what, _ in TITLE.findall(text)}
    there = {(room, name_of(target, group)) for room, target, group in calls}
    return ([f"{room} -> {what} is only in the picture" for room, what in sorted(drawn - there)]
            + [f"{room} -> {what} is not in the picture" for room, what in sorted(there - drawn)])
