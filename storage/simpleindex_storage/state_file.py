"""`state.json`: all that the catalog knew at one serial, so that older journal need not be kept.

One JSON document, and yet read line by line, since it may be larger than memory: the first line
says of which serial it is, each that follows is one fact as the journal tells them, the last one
closes the document.

    {"format": 1, "serial": 7, "uuid": "...", "time": "...", "facts": [
    ["user", {...}],
    ["index", {...}]
    ]}
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from .durable import sync_folder, unavailable_on_failure
from .errors import Refused
from .model import JsonValue
from .records import time_from_text, time_text

STATE_FILE = "state.json"

Fact: TypeAlias = tuple[str, dict[str, JsonValue]]
"""What it is about, and what there is to say."""

_FORMAT = 1
_ENDING = b"]}\n"


@dataclass(frozen=True, slots=True)
class State:
    """What a state file is of."""

    serial: int
    uuid: str
    time: datetime


def write_state(folder: Path, state: State, facts: Iterable[Fact]) -> None:
    """Put a state file in place, whole or not at all, to stay. Raises Unavailable."""
    draft, path = draft_state(folder, state, facts), folder / STATE_FILE
    with unavailable_on_failure(f"{path} cannot be written"):
        try:
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(folder)


def draft_state(folder: Path, state: State, facts: Iterable[Fact]) -> Path:
    """Write a state file beside the present one, whole or not at all. Raises Unavailable."""
    path = folder / STATE_FILE
    draft = path.with_name(f"{STATE_FILE}.new")
    head = {
        "format": _FORMAT,
        "serial": state.serial,
        "uuid": state.uuid,
        "time": time_text(state.time),
    }
    with unavailable_on_failure(f"{path} cannot be written"):
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(f'{json.dumps(head)[:-1]}, "facts": ['.encode())
                separator = b"\n"
                for fact in facts:
                    file.write(separator + json.dumps(fact, separators=(",", ":")).encode())
                    separator = b",\n"
                file.write(b"\n" + _ENDING)
                file.flush()
                os.fsync(handle)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    return draft


def state_of(folder: Path) -> State | None:
    """What the state file is of; None where there is none. Raises Refused, Unavailable."""
    path = folder / STATE_FILE
    with unavailable_on_failure(f"{path} cannot be read"):
        try:
            with path.open("rb") as file:
                return _head(path, file.readline())
        except FileNotFoundError:
            return None


def facts_of(folder: Path) -> Iterator[Fact]:
    """The facts of the state file, read as they are asked for. Raises Refused, Unavailable."""
    path = folder / STATE_FILE
    with unavailable_on_failure(f"{path} cannot be read"), path.open("rb") as file:
        _head(path, file.readline())
        for number in count(2):
            line = file.readline()
            if line == _ENDING:
                return
            try:
                kind, fact = json.loads(line.removesuffix(b"\n").removesuffix(b","))
            except (ValueError, TypeError):
                raise Refused(str(path), f"its line {number} is damaged") from None
            yield kind, fact


def set_aside_if_after(folder: Path, serial: int) -> None:
    """Set a state file aside that is of a later serial: the catalog is from before it.

    Raises Unavailable.
    """
    try:
        state = state_of(folder)
    except Refused:  # it says nothing; whoever needs it will be told
        return
    if state is not None and state.serial > serial:
        path = folder / STATE_FILE
        with unavailable_on_failure(f"{path} cannot be renamed"):
            path.replace(path.with_name(f"state-from-{state.serial}.json"))


def _head(path: Path, line: bytes) -> State:
    try:
        head: dict[str, Any] = json.loads(line.rstrip() + b"]}")
        if head["format"] != _FORMAT:
            raise Refused(str(path), "a newer simpleindex-server wrote it; install that one")
        return State(head["serial"], head["uuid"], time_from_text(head["time"]))
    except (ValueError, TypeError, KeyError):
        raise Refused(str(path), "it is no state of a catalog, or damaged") from None
