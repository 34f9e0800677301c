"""What the doctor tells."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing, and maybe just as it is meant."""
    UNSAFE = "unsafe"
    """It works, and somebody could do harm."""
    ERROR = "error"
    """It does not work, or will stop working."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    code: str
    """Stays what it is: scripts look for it."""
    what: str
    advice: str = ""
    """What to do; empty where nothing is to be done."""


def ok(code: str, what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, code, what)


def note(code: str, what: str, advice: str) -> Finding:
    """Worth knowing."""
    return Finding(Level.NOTE, code, what, advice)


def unsafe(code: str, what: str, advice: str) -> Finding:
    """Somebody could do harm."""
    return Finding(Level.UNSAFE, code, what, advice)


def error(code: str, what: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(Level.ERROR, code, what, advice)
