"""Charts as SVG, made here so that a page needs no script for them. Pure.

Colours are classes of the style sheet; sizes are attributes, since the pages allow no inline style. Each column is a
link to the events that it counts, with a title that a pointer and a screen reader read.
"""

from __future__ import annotations

import math
from typing import Callable, List, NamedTuple, Optional, Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640.0, 120.0
"""The units of a chart's own; it is stretched to the room that it has, the texts around it are not."""


class Column(NamedTuple):
    """One interval of time: where a click leads, what it is called, and its values, bottom first."""

    href: str
    title: str
    values: Sequence[float]


class Line(NamedTuple):
    """One value for each interval, None where there is none, drawn in the class *name*."""

    name: str
    values: Sequence[Optional[float]]


def columns(
    label: str,
    names: Sequence[str],
    data: Sequence[Column],
    labels: Sequence[str],
    show: Callable[[float], str],
    is_counted: bool = False,
) -> Markup:
    """Stacked columns, each part in the class of its name. The scale ends at 2 at least where *is_counted*."""
    top = _ceiling(max((sum(column.values) for column in data), default=0.0))
    top = max(top, 2.0) if is_counted else top
    parts = [_GRID]
    step = WIDTH / max(1, len(data))
    for at, column in enumerate(data):
        x, y = at * step, HEIGHT
        bars = []
        for name, value in zip(names, column.values):
            height = value / top * HEIGHT
            if height > 0:
                y -= height
                bars.append(
                    f'<rect class="{escape(name)}" x="{x + step * 0.1:.2f}" y="{y:.2f}" '
                    f'width="{step * 0.8:.2f}" height="{max(height, 0.75):.2f}"/>'
                )
        parts.append(_link(column, x, step, bars))
    return _plot(label, parts, [show(top), show(top / 2), show(0.0)], labels)


def lines(
    label: str, data: Sequence[Line], places: Sequence[Column], labels: Sequence[str], show: Callable[[float], str]
) -> Markup:
    """One line for each of *data*; *places* are what a click selects."""
    measured = [value for line in data for value in line.values if value is not None]
    top = _ceiling(max(measured, default=0.0))
    parts = [_GRID]
    step = WIDTH / max(1, len(places))
    parts.extend(_link(place, at * step, step) for at, place in enumerate(places))
    for line in data:
        points = [
            None if value is None else ((at + 0.5) * step, _y(value, top)) for at, value in enumerate(line.values)
        ]
        path, is_drawing = [], False
        for at, point in enumerate(points):
            if point is None:
                is_drawing = False
                continue
            path.append(f"{'L' if is_drawing else 'M'}{point[0]:.1f} {point[1]:.1f}")
            is_alone = not is_drawing and (at + 1 == len(points) or points[at + 1] is None)
            if is_alone:
                path.append("h1.5")  # else nothing would be seen of it
            is_drawing = True
        parts.append(Markup('<path class="line {}" d="{}"/>').format(line.name, " ".join(path)))
    return _plot(label, parts, [show(top), show(top / 2), show(0.0)], labels)


_GRID = Markup("").join(
    Markup('<line class="grid" x1="0" x2="{:.0f}" y1="{:.0f}" y2="{:.0f}"/>').format(WIDTH, y, y)
    for y in (0.0, HEIGHT / 2, HEIGHT)
)


def _plot(label: str, parts: List[Markup], values: Sequence[str], times: Sequence[str]) -> Markup:
    """The drawing, with the values beside it from top to bottom, and the first, middle and last time below."""
    picture = Markup(
        '<svg viewBox="0 0 {:.0f} {:.0f}" preserveAspectRatio="none" role="group" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, label, Markup("").join(parts))
    shown = [times[at] for at in (0, len(times) // 2, len(times) - 1)] if times else []
    return Markup('<div class="chart"><div class="ticks">{}</div>{}<div class="times">{}</div></div>').format(
        _spans(values), picture, _spans(shown)
    )


def _spans(texts: Sequence[str]) -> Markup:
    return Markup("").join(Markup("<span>{}</span>").format(text) for text in texts)


def _link(column: Column, x: float, step: float, bars: Sequence[str] = ()) -> Markup:
    href, title = escape(column.href), escape(column.title)
    return Markup(  # noqa: S704 - the two texts are escaped, all else is numbers and bars of this module
        f'<a href="{href}" aria-label="{title}"><title>{title}</title>'
        f'<rect class="hit" x="{x:.2f}" y="0" width="{step:.2f}" height="{HEIGHT:.0f}"/>{"".join(bars)}</a>'
    )


def _y(value: float, top: float) -> float:
    return HEIGHT - value / top * HEIGHT


def _ceiling(value: float) -> float:
    """The next round number, whose half is round as well."""
    if value <= 0 or not math.isfinite(value):
        return 2.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next((unit * step for step in (1.0, 2.0, 4.0, 6.0, 8.0) if unit * step >= value), unit * 10.0)
