"""What is known of Pythons: their newest patch releases, and the newest tools for each of them.

Short names of targets mean the newest patch release known here, and the tables say when that was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

KNOWN_AT = date(2026, 11, 23)
"""When the tables below were looked up."""

NEWEST_PATCH: Mapping[tuple[int, int], str] = {
    (2, 7): "2.7.18",
    (3, 5): "3.5.10",
    (3, 6): "3.6.15",
    (3, 7): "3.7.17",
    (3, 8): "3.8.20",
    (3, 9): "3.9.25",
    (3, 10): "3.10.22",
    (3, 11): "3.11.18",
    (3, 12): "3.12.16",
    (3, 13): "3.13.18",
    (3, 14): "3.14.10",
    (3, 15): "3.15.2",
}

BOOTSTRAP_PROJECTS = ("pip", "setuptools", "wheel")
"""What every host needs before it can install the rest: its own may be too old."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The newest releases that run on a Python."""

    pip: str
    setuptools: str
    wheel: str


_OF_TODAY = Tools("26.3", "84.2.1", "0.48.0")
_NEWEST_TOOLS: Mapping[tuple[int, int], Tools] = {
    (2, 7): Tools("20.3.4", "44.1.1", "0.37.1"),
    (3, 5): Tools("20.3.4", "50.3.2", "0.37.1"),
    (3, 6): Tools("21.3.1", "59.6.0", "0.37.1"),
    (3, 7): Tools("24.0", "68.0.0", "0.42.0"),
    (3, 8): Tools("25.0.1", "75.3.4", "0.45.1"),
    (3, 9): Tools("26.0.1", "82.0.1", "0.48.0"),
}

_BUNDLED_PIPS = {"2.7.18": "19.2.3", "3.5.10": "20.1.1", "3.6.15": "18.1"}
"""Those that came with a Python and are too old to know all wheels of today."""


def newest_tools(minor: tuple[int, int]) -> Tools:
    """The newest pip, setuptools and wheel that run on a Python, as of `KNOWN_AT`."""
    return _NEWEST_TOOLS.get(minor, _OF_TODAY)


def bundled_pip(python: str) -> str | None:
    """The pip that came with a Python, if it is one to worry about. None: that is not known."""
    return _BUNDLED_PIPS.get(python)
