"""A small line chart as inline SVG: what accuracy and agreement do over the number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 130, 16, 40


Place = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """One line: points (x, y), a name, and a CSS class that colours it. `dashed` is for a constant to compare with."""

    name: str
    points: tuple[tuple[float, float], ...]
    style: str
    dashed: bool = field(default=False)


def line_chart(series: Sequence[Series], title: str, x_label: str) -> Markup:
    """The chart as an `<svg>`; y values are shares and shown in percent. x is spaced by its logarithm.

    Empty markup when no series has two points.
    """
    drawn = [s for s in series if s.points]
    xs = sorted({x for s in drawn for x, _ in s.points})
    if len(xs) < 2 or xs[0] <= 0:
        return Markup("")
    ticks = _ticks([y for s in drawn for _, y in s.points])
    low, high = ticks[0], ticks[-1]
    span = math.log(xs[-1] / xs[0])

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * math.log(x / xs[0]) / span
        return across, TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / (high - low)

    parts = [*_axes(xs, ticks, place, x_label)]
    for one in drawn:
        parts += _line(one, place)
    parts += _names(drawn, place)
    words = "; ".join(f"{s.name}: " + ", ".join(f"{x:g} → {y:.2%}" for x, y in s.points) for s in drawn)
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="chart-title chart-text">'
    # what is escaped below is everything that comes from outside; the rest are numbers and our own words
    named = f'<title id="chart-title">{escape(title)}</title><desc id="chart-text">{escape(words)}</desc>'
    return Markup(f"{head}{named}{''.join(parts)}</svg>")


STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round shares from below the least value to above the greatest, at most seven, as far as 0 to 1 allows."""
    for step in STEPS:
        first, last = math.floor(min(values) / step + 1e-9), math.ceil(max(values) / step - 1e-9)
        if last - first <= 5:
            break
    first, last = max(first - (first == last), 0), min(last + (first == last), round(1 / step))
    return [n * step for n in range(first, max(last, first + 1) + 1)]


def _axes(xs: Sequence[float], ticks: Sequence[float], place: Place, x_label: str) -> list[str]:
    parts = []
    for y in ticks:
        _, down = place(xs[0], y)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{down + 4:.1f}" text-anchor="end">{y:.1%}</text>')
    for x in xs:
        across, down = place(x, ticks[0])
        parts.append(f'<text x="{across:.1f}" y="{down + 18:.1f}" text-anchor="middle">{x:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    return parts


def _line(one: Series, place: Place) -> list[str]:
    at = [place(x, y) for x, y in one.points]
    dash = " dashed" if one.dashed else ""
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in at)
    parts = [f'<polyline class="line {one.style}{dash}" points="{path}"/>']
    if not one.dashed:
        parts += [f'<circle class="dot {one.style}" cx="{across:.1f}" cy="{down:.1f}" r="3.5"/>' for across, down in at]
    return parts


def _names(drawn: Sequence[Series], place: Place) -> list[str]:
    """Names at the right end of their lines, from the top down, pushed apart where lines end close together."""
    parts = []
    free = 0.0
    for down, one in sorted(((place(*one.points[-1])[1], one) for one in drawn), key=lambda pair: pair[0]):
        at = max(down + 4, free)
        free = at + 15
        parts.append(f'<text class="name {one.style}" x="{WIDTH - RIGHT + 8}" y="{at:.1f}">{escape(one.name)}</text>')
    return parts
