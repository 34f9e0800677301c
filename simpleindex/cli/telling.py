"""How verbs tell what is there and what they did: lines for people, JSON for programs."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from simpleindex_storage.model import JsonValue

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_COLUMN_GAP = "  "
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def json_option(function: Decorated) -> Decorated:
    """`--json`, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Tell it as JSON, for programs.")(
        function
    )


def tell(document: JsonValue, lines: Iterable[str], *, as_json: bool) -> None:
    """Print one or the other."""
    if as_json:
        click.echo(_encodable(json.dumps(document, indent=2, ensure_ascii=False)))
        return
    for line in lines:
        say(line)


def say(line: str, *, err: bool = False) -> None:
    """Print a line in which there may be names that somebody else has chosen; `err`: to stderr."""
    click.echo(printable(line), err=err)


def printable(text: str) -> str:
    """A text as one line, in which each character that is not printable is a question mark.

    Names of files, and what clients have sent, could otherwise forge lines or steer a terminal.
    """
    return "".join(each if each.isprintable() else "?" for each in text)


def _encodable(document: str) -> str:
    # A byte of a file's name that is no text is half of a surrogate pair, which JSON can escape.
    return document.encode(errors="backslashreplace").decode()


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns one below the other; the last column is as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        _COLUMN_GAP.join(
            [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        ).rstrip()
        for row in rows
    ]


def upgrade_text(installer: object, pip: str) -> str:
    """Which pip hosts have to get first, as it can be typed where there is no other index."""
    install = f"pip install --index-url URL --trusted-host HOST pip=={pip}"
    return (
        f"{installer} does not know all the wheels; first run `{install}` there, with the URL and "
        "the host of this index"
    )


def size_text(size_bytes: int) -> str:
    """A size for people: `12 KB`."""
    size, unit = float(size_bytes), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if size >= 10 or not unit else f"{size:.1f} {_UNITS[unit]}"


def count_text(number: int, noun: str, plural: str = "") -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
