"""What charts as SVG have in common: axes of powers of ten, colours for light and dark ground."""

import math
from collections.abc import Sequence
from html import escape

# Okabe and Ito's colours, which colour-blind people tell apart; those seen on both grounds.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")

_STYLE = """
    text { font: 12px sans-serif; fill: #24292f; }
    .title { font-weight: bold; font-size: 14px; }
    .grid { stroke: #24292f; stroke-opacity: 0.15; }
    .one { stroke: #24292f; stroke-opacity: 0.7; }
    .curve { fill: none; stroke-width: 2; }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3; }
        .grid, .one { stroke: #e6edf3; }
    }
"""

Powers = tuple[int, int]
"""The lowest and the highest whole power of ten of an axis."""


def document(title: str, width: int, height: int, left: int, inside: Sequence[str]) -> str:
    """A whole document with its title at the top."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        text(left, 20, title, kind="title"),
        *inside,
        "</svg>",
        "",
    ]
    return "\n".join(lines)


def text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    """One line of text; `y` is where it stands."""
    as_kind = f' class="{kind}"' if kind else ""
    at_anchor = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{as_kind} x="{x:.1f}" y="{y:.1f}"{at_anchor}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, *, kind: str = "grid") -> str:
    """A straight one."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def box(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled one."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
    )


def powers_around(values: Sequence[float]) -> Powers:
    """The powers of ten that hold all of these, which are above 0."""
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def each_power(powers: Powers) -> range:
    """All of them."""
    return range(powers[0], powers[1] + 1)


def share_of_axis(value: float, powers: Powers) -> float:
    """How far along an axis a value stands: 0 at its beginning, 1 at its end."""
    return (math.log10(value) - powers[0]) / (powers[1] - powers[0])


def power_label(power: int) -> str:
    """As it stands at an axis."""
    return f"{10.0**power:,g}" if power < 0 else f"{10**power:,}"
