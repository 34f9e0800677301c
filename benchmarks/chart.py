"""A chart of curves as SVG, readable on light and on dark ground; both axes are logarithmic."""

import math
from collections.abc import Mapping, Sequence

from benchmarks import svg

_WIDTH, _HEIGHT = 860, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 250, 48, 44
_LINE_HEIGHT = 16

Curve = Mapping[float, float]
"""From x to y, both above 0."""


def log_log_chart(title: str, x_title: str, y_title: str, curves: Mapping[str, Curve]) -> str:
    """A document of SVG, with one line for each of at most seven curves."""
    plane = _Plane.around([point for curve in curves.values() for point in curve.items()])
    inside = [
        svg.text(_LEFT, _TOP - 10, y_title),
        svg.text(_WIDTH - _RIGHT, _HEIGHT - 6, x_title, anchor="end"),
        *plane.grid(),
    ]
    for colour, curve in zip(svg.COLOURS, curves.values(), strict=False):
        places = " ".join(f"{plane.x(x):.1f},{plane.y(y):.1f}" for x, y in sorted(curve.items()))
        inside.append(f'<polyline class="curve" stroke="{colour}" points="{places}"/>')
    ends = [plane.y(curve[max(curve)]) for curve in curves.values()]
    for colour, name, y in zip(svg.COLOURS, curves, _apart(ends), strict=False):
        x = _WIDTH - _RIGHT + 8
        inside += [svg.box(x, y - 5, 10, 10, colour), svg.text(x + 16, y + 4, name)]
    return svg.document(title, _WIDTH, _HEIGHT, _LEFT, inside)


class _Plane:
    """Whole powers of ten, as many as the points need, on the paper."""

    def __init__(self, x_powers: svg.Powers, y_powers: svg.Powers) -> None:
        self._x_powers, self._y_powers = x_powers, y_powers

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]]) -> "_Plane":
        x_powers, y_powers = (svg.powers_around(values) for values in zip(*points, strict=True))
        return cls(x_powers, y_powers)

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * svg.share_of_axis(value, self._x_powers)

    def y(self, value: float) -> float:
        share = svg.share_of_axis(value, self._y_powers)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    def grid(self) -> list[str]:
        lines = []
        for power in svg.each_power(self._x_powers):
            x, bottom = self.x(10.0**power), _HEIGHT - _BOTTOM
            lines.append(svg.line(x, _TOP, x, bottom))
            lines.append(svg.text(x, bottom + 18, svg.power_label(power), anchor="middle"))
        for power in svg.each_power(self._y_powers):
            y = self.y(10.0**power)
            lines.append(svg.line(_LEFT, y, _WIDTH - _RIGHT, y))
            lines.append(svg.text(_LEFT - 8, y + 4, svg.power_label(power), anchor="end"))
        return lines


def _apart(places: Sequence[float]) -> list[float]:
    """The places, from top to bottom moved down as far as two lines of text would overlap."""
    moved = list(places)
    lowest = -math.inf
    for number in sorted(range(len(places)), key=places.__getitem__):
        lowest = moved[number] = max(places[number], lowest + _LINE_HEIGHT)
    return moved
