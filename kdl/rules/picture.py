"""Explanations as pictures: Graphviz DOT, where what is shown twice is one node, and SVG laid out here, as a tree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final
from xml.sax.saxutils import escape

from kdl.rules.outline import Entry, Kind

_STYLE: Final[Mapping[Kind, tuple[str, str]]] = {
    "fact": ("#eef3fb", "#3b6ea8"),
    "asserted": ("#eaf6ea", "#3f8f46"),
    "seen": ("#f5f5f5", "#8a8a8a"),
    "aggregate": ("#f4edfa", "#7a4fa3"),
    "more": ("#ffffff", "#8a8a8a"),
    "absent": ("#fdf1e3", "#c07a1f"),
    "condition": ("#fffde8", "#a59a2b"),
    "time": ("#fffde8", "#a59a2b"),
    "goal": ("#fbecec", "#b03a3a"),
    "reason": ("#fbecec", "#b03a3a"),
}
"""What fills and what bounds the box of each kind of entry."""

WIDTH: Final = 72
"""Characters of a line; longer ones are broken."""

_ROW, _INDENT, _GAP, _LETTER, _MARGIN = 16, 28, 10, 7.25, 12


def dot(roots: Iterable[Entry]) -> str:
    """The entries as a graph for Graphviz: from what holds to what it rests on."""
    lines = [
        "digraph explanation {",
        '  rankdir="TB"; node [shape="box", style="filled,rounded", fontname="monospace", fontsize="10"];',
    ]
    count = 0
    for root in roots:
        names: dict[int, str] = {}
        first: dict[str, str] = {}
        for one in root.walk():
            name = f"n{count}"
            count += 1
            names[id(one)] = name
            if one.kind != "seen":
                first.setdefault(_fact(one), name)
        for one in root.walk():
            if one.kind == "seen" and _fact(one) in first:
                continue
            fill, edge = _STYLE[one.kind]
            text = json.dumps("\n".join(_lines(one)), ensure_ascii=False).replace("\\n", "\\l")
            lines.append(f'  {names[id(one)]} [label={text[:-1]}\\l", fillcolor="{fill}", color="{edge}"];')
        for one in root.walk():
            for below in one.below:
                target = first.get(_fact(below), names[id(below)]) if below.kind == "seen" else names[id(below)]
                lines.append(f"  {names[id(one)]} -> {target};")
    return "\n".join([*lines, "}"])


def svg(roots: Iterable[Entry]) -> str:
    """The entries as a drawing of its own: one box per entry, indented under what rests on it."""
    shapes: list[str] = []
    bottom: float = _MARGIN
    right: float = 0

    def draw(one: Entry, depth: int) -> float:
        """Draw an entry and what is below it; the height of its middle."""
        nonlocal bottom, right
        text = _lines(one)
        x, y, height = _MARGIN + depth * _INDENT, bottom, len(text) * _ROW + 8
        width = max(map(len, text)) * _LETTER + 12
        right, bottom = max(right, x + width), y + height + _GAP
        fill, edge = _STYLE[one.kind]
        shapes.append(
            f'<rect x="{x}" y="{y:g}" width="{width:g}" height="{height}" rx="4" fill="{fill}" stroke="{edge}"/>'
        )
        shapes.extend(
            f'<text x="{x + 6}" y="{y + _ROW * (row + 1):g}" xml:space="preserve">{escape(line)}</text>'
            for row, line in enumerate(text)
        )
        for below in one.below:
            middle = draw(below, depth + 1)
            shapes.append(
                f'<path d="M{x + 10} {y + height:g} V{middle:g} H{x + _INDENT}" fill="none" stroke="{edge}"/>'
            )
        return y + height / 2

    for root in roots:
        draw(root, 0)
        bottom += _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right + _MARGIN:g}" height="{bottom:g}" '
        'font-family="monospace" font-size="12">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *shapes, "</svg>"])


def _fact(one: Entry) -> str:
    """What tells that two entries speak of one fact."""
    return one.text.partition("  ")[0]


def _lines(one: Entry) -> list[str]:
    """The text of an entry's box, broken into lines."""
    found: list[str] = []
    for number, line in enumerate((f"{one.number} {one.text}".strip(), *one.details)):
        indent = "" if number == 0 else "  "
        found += [indent + line[start : start + WIDTH] for start in range(0, len(line), WIDTH)]
    return found
