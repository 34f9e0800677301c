"""A chart of curves as SVG, readable on light and on dark ground; both axes are logarithmic."""

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 860, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 250, 48, 44
_LINE_HEIGHT = 16

# Okabe and Ito's colours, which colour-blind people tell apart; those seen on both grounds.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")

_STYLE = """
    text { font: 12px sans-serif; fill: #24292f; }
    .title { font-weight: bold; font-size: 14px; }
    .grid { stroke: #24292f; stroke-opacity: 0.15; }
    .curve { fill: none; stroke-width: 2; }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3; }
        .grid { stroke: #e6edf3; }
    }
"""

Curve = Mapping[float, float]
"""From x to y, both above 0."""


def log_log_chart(title: str, x_title: str, y_title: str, curves: Mapping[str, Curve]) -> str:
    """A document of SVG, with one line for each of at most seven curves."""
    plane = _Plane.around([point for curve in curves.values() for point in curve.items()])
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="20">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="{_TOP - 10}">{escape(y_title)}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">{escape(x_title)}</text>',
        *plane.grid(),
    ]
    for colour, curve in zip(_COLOURS, curves.values(), strict=False):
        places = " ".join(f"{plane.x(x):.1f},{plane.y(y):.1f}" for x, y in sorted(curve.items()))
        lines.append(f'<polyline class="curve" stroke="{colour}" points="{places}"/>')
    ends = [plane.y(curve[max(curve)]) for curve in curves.values()]
    for colour, name, y in zip(_COLOURS, curves, _apart(ends), strict=False):
        x = _WIDTH - _RIGHT + 8
        lines.append(f'<rect x="{x}" y="{y - 5:.1f}" width="10" height="10" fill="{colour}"/>')
        lines.append(f'<text x="{x + 16}" y="{y + 4:.1f}">{escape(name)}</text>')
    return "\n".join([*lines, "</svg>", ""])


class _Plane:
    """Whole powers of ten, as many as the points need, on the paper."""

    def __init__(self, x_powers: tuple[int, int], y_powers: tuple[int, int]) -> None:
        self._x_powers, self._y_powers = x_powers, y_powers

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]]) -> "_Plane":
        x_powers, y_powers = (_powers(values) for values in zip(*points, strict=True))
        return cls(x_powers, y_powers)

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * _share(value, self._x_powers)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * _share(value, self._y_powers)

    def grid(self) -> list[str]:
        lines = []
        for power in _each(self._x_powers):
            x = self.x(10**power)
            lines.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM))
            bottom, label = _HEIGHT - _BOTTOM + 18, f"{10**power:,}"
            lines.append(f'<text x="{x:.1f}" y="{bottom}" text-anchor="middle">{label}</text>')
        for power in _each(self._y_powers):
            y = self.y(10**power)
            lines.append(_line(_LEFT, y, _WIDTH - _RIGHT, y))
            label = f"{10.0**power:,g}"
            lines.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        return lines


def _powers(values: Sequence[float]) -> tuple[int, int]:
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _each(powers: tuple[int, int]) -> range:
    return range(powers[0], powers[1] + 1)


def _share(value: float, powers: tuple[int, int]) -> float:
    return (math.log10(value) - powers[0]) / (powers[1] - powers[0])


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _apart(places: Sequence[float]) -> list[float]:
    """The places, from top to bottom moved down as far as two lines of text would overlap."""
    moved = list(places)
    lowest = -math.inf
    for number in sorted(range(len(places)), key=places.__getitem__):
        lowest = moved[number] = max(places[number], lowest + _LINE_HEIGHT)
    return moved
