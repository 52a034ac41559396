"""The cost of an update as facts grow, beside the fastest peer's recomputation: a picture with logarithmic axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.bench.engine.report import Line

COLOURS: Final = ("#1b6ca8", "#c44e1c", "#2f8f4e", "#8a4fa3", "#b8860b", "#4d4d4d")
WIDTH, HEIGHT, LEFT, TOP, RIGHT = 640, 400, 70, 20, 190

Point = tuple[float, float]


def plot(lines: Iterable[Line]) -> str:
    """SVG: by workload, the median update (solid) and the fastest recomputation (dashed) over the answers there are."""
    series = list(curves(lines))
    points = [point for _, _, points in series for point in points]
    x0, x1 = floor(log10(min(x for x, _ in points))), ceil(log10(max(x for x, _ in points)))
    y0, y1 = floor(log10(min(y for _, y in points))), ceil(log10(max(y for _, y in points)))

    def place(x: float, y: float) -> Point:
        return (
            LEFT + (log10(x) - x0) / max(1, x1 - x0) * (WIDTH - LEFT - RIGHT),
            TOP + (y1 - log10(y)) / max(1, y1 - y0) * (HEIGHT - TOP - 50),
        )

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="11"><rect width="100%" height="100%" fill="white"/>']  # fmt: skip
    for power in range(x0, x1 + 1):
        x, bottom = place(10.0**power, 10.0**y0)
        parts.append(f'<path d="M{x:.1f} {TOP}V{bottom:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{10**power:,}</text>')
    for power in range(y0, y1 + 1):
        left, y = place(10.0**x0, 10.0**power)
        parts.append(f'<path d="M{left:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**power * 1000:g} ms</text>')
    for number, (name, dashed, found) in enumerate(series):
        colour, dash = COLOURS[number // 2 % len(COLOURS)], ' stroke-dasharray="4 3"' if dashed else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in found))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')
        y = TOP + 10 + 15 * number
        parts.append(f'<path d="M{WIDTH - RIGHT + 12} {y}h22" stroke="{colour}" stroke-width="1.8"{dash}/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 40}" y="{y + 4}">{name}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">answers</text></svg>')
    return "\n".join(parts) + "\n"


def curves(lines: Iterable[Line]) -> Iterator[tuple[str, bool, list[Point]]]:
    """For each workload two curves: kdl's update, then the fastest recomputation."""
    by: dict[str, dict[int, list[Line]]] = {}
    for line in lines:
        if not line.trouble and line.facts:
            by.setdefault(line.workload, {}).setdefault(line.answers, []).append(line)
    for workload, sizes in by.items():
        ours, again = list[Point](), list[Point]()
        for answers, found in sorted(sizes.items()):
            for line in found:
                if line.system == "kdl":
                    ours.append((max(1, answers), line.again))
            peers = [line.again for line in found if not line.updates]
            if peers:
                again.append((max(1, answers), min(peers)))
        yield f"{workload}: kdl", False, ours
        yield f"{workload}: fastest again", True, again
