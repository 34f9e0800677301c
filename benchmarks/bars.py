"""A chart of bars as SVG, on a logarithmic axis on which 1 is what all are compared with."""

from collections.abc import Mapping, Sequence

from benchmarks import svg

_WIDTH = 860
_LEFT, _RIGHT, _TOP, _BOTTOM = 230, 70, 76, 34
_BAR_HEIGHT, _BAR_GAP, _GROUP_GAP = 10, 3, 14
_KEY_Y, _KEY_WIDTH = 44, 92

Bars = Mapping[str, float]
"""From the name of whom a bar stands for to its value, above 0."""


def log_bar_chart(title: str, groups: Mapping[str, Bars], names: Sequence[str]) -> str:
    """A document of SVG: a group of bars for each figure, a colour for each of at most seven names.

    A name that a group has no bar for takes no room in it. A line stands at 1.
    """
    values = [value for bars in groups.values() for value in bars.values()]
    powers = svg.powers_around([*values, 1.0])
    colours = dict(zip(names, svg.COLOURS, strict=False))
    inside = _key(colours)
    y = float(_TOP)
    rows: list[str] = []
    for group, bars in groups.items():
        shown = [name for name in names if name in bars]
        height = len(shown) * (_BAR_HEIGHT + _BAR_GAP) - _BAR_GAP
        rows.append(svg.text(_LEFT - 12, y + height / 2 + 4, group, anchor="end"))
        for name in shown:
            rows += _bar(bars[name], y, colours[name], powers)
            y += _BAR_HEIGHT + _BAR_GAP
        y += _GROUP_GAP
    height = round(y + _BOTTOM)
    return svg.document(title, _WIDTH, height, 20, [*inside, *_grid(powers, y), *rows])


def _key(colours: Mapping[str, str]) -> list[str]:
    lines, x = [], 20.0
    for name, colour in colours.items():
        lines += [svg.box(x, _KEY_Y - 9, 10, 10, colour), svg.text(x + 15, _KEY_Y, name)]
        x += max(_KEY_WIDTH, 34 + 6.6 * len(name))
    return lines


def _bar(value: float, y: float, colour: str, powers: svg.Powers) -> list[str]:
    end = _x(value, powers)
    label = f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
    return [
        svg.box(_LEFT, y, max(end - _LEFT, 1.0), _BAR_HEIGHT, colour),
        svg.text(end + 5, y + _BAR_HEIGHT - 1, label),
    ]


def _grid(powers: svg.Powers, bottom: float) -> list[str]:
    lines = []
    for power in svg.each_power(powers):
        x = _x(10.0**power, powers)
        lines.append(svg.line(x, _TOP - 8, x, bottom, kind="grid" if power else "one"))
        lines.append(svg.text(x, bottom + 18, svg.power_label(power), anchor="middle"))
    return lines


def _x(value: float, powers: svg.Powers) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * svg.share_of_axis(value, powers)
