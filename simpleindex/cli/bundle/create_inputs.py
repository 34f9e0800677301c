"""What `bundle create` is told: files and words, as one order."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
from packaging.pylock import is_valid_pylock_path

from simpleindex.gap.bundle.creating import Order
from simpleindex.gap.bundle.holdings import Holdings, holdings_of
from simpleindex.gap.bundle.sdists import Policy
from simpleindex.gap.bundle.sent import find_sent, read_sent
from simpleindex.gap.locks import LOCK_BYTES_MAX, read_pylock, read_uv_lock
from simpleindex.gap.request import REQUEST_BYTES_MAX, Held, Request, parse_request
from simpleindex.gap.small_files import read_bytes
from simpleindex.gap.target_file import read_targets
from simpleindex.gap.targets import Target, parse_target
from simpleindex.gap.wish_files import read_wish_file
from simpleindex.gap.wishes import Line, LinesRead, parse_line, read_lines
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import ProjectName, parse_project_name

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
          "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([a-z]*)")
_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Given:
    """What is on the command line, of what is wanted and by whom."""

    words: tuple[str, ...] = ()
    requirements: tuple[Path, ...] = ()
    constraints: tuple[Path, ...] = ()
    pylocks: tuple[Path, ...] = ()
    uv_locks: tuple[Path, ...] = ()
    requests: tuple[Path, ...] = ()
    have: tuple[Path, ...] = ()
    since: str | None = None
    ledger: Path = Path()
    target_names: tuple[str, ...] = ()
    target_files: tuple[Path, ...] = ()
    usual_targets: Path | None = None
    """Those of a server directory, if nobody else names any."""
    update: tuple[str, ...] = ()
    pre_releases: bool = False
    uploaded_before: str | None = None
    full: bool = False
    sdist: str = Policy.REFUSE


@dataclass(slots=True)
class Told:
    """An order, and what is to be said of how it came about."""

    order: Order
    notes: list[str] = field(default_factory=list)


def read_order(given: Given) -> Told:
    """All that is given, read. Raises Refused, Unavailable, NotStored, click.UsageError."""
    notes: list[str] = []
    requests = [_request(path) for path in given.requests]
    lines, constraints = _lines(given, requests, notes)
    if not lines:
        raise click.UsageError(
            "nothing is wanted: name projects, or files with -r, --pylock, --uv-lock or --request"
        )
    targets = _targets(given, requests)
    for path, request in zip(given.requests, requests, strict=True):
        if request.maybe:
            names = ", ".join(wanted.requirement for wanted in request.maybe[:_SHOWN_MAX])
            notes.append(
                f"{path}: clients have asked for more, which does not count until somebody writes "
                f"'wanted' for 'maybe': {names}"
            )
    order = Order(
        targets,
        lines,
        constraints,
        holdings=_holdings(given, requests),
        updated=_updated(given.update),
        pre_releases=given.pre_releases,
        uploaded_before=None
        if given.uploaded_before is None
        else parse_when(given.uploaded_before),
        sdists=Policy(given.sdist),
        all_inside=given.full,
        may_remove=any(request.roots for request in requests),
    )
    return Told(order, notes)


def parse_size(text: str) -> int:
    """`4000M`, `4.7G`, `650MiB`, or a number of bytes. Raises Refused."""
    match = _SIZE.fullmatch(text.strip().lower())
    unit = match and _UNITS.get(match[2].removesuffix("b") if "i" not in match[2] else match[2])
    size_bytes = int(float(match[1]) * unit) if match and unit else 0
    if size_bytes < 1:
        raise Refused(f"size {text[:40]!r}", "a size is written like 4000M, 4.7G or 650MiB")
    return size_bytes


def parse_when(text: str) -> datetime:
    """A day, which begins at midnight in UTC, or a time. Raises Refused."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(
            f"time {text[:40]!r}", "a time is written like 2026-10-23 or 2026-10-23T13:00:00Z"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _request(path: Path) -> Request:
    return parse_request(read_bytes(path, REQUEST_BYTES_MAX), str(path))


def _lines(
    given: Given, requests: Iterable[Request], notes: list[str]
) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """Requirements and constraints, the former in the order in which they are given."""
    asked = [parse_line(word) for word in given.words]
    read = [LinesRead(tuple(asked))]
    read += [_read_any(path) for path in given.requirements]
    read += [read_pylock(read_bytes(path, LOCK_BYTES_MAX), str(path)) for path in given.pylocks]
    read += [read_uv_lock(read_bytes(path, LOCK_BYTES_MAX), str(path)) for path in given.uv_locks]
    for request in requests:
        wanted = [*request.roots, *(each.requirement for each in request.wanted)]
        read.append(
            LinesRead(
                read_lines("\n".join(wanted)).lines,
                constraints=read_lines("\n".join(request.constraints)).lines,
            )
        )
    limiting = [read_wish_file(path) for path in given.constraints]
    constraints = [line for each in limiting for line in each.lines]
    for each in (*read, *limiting):
        constraints += each.constraints
        for option in each.left_out:
            # Without its value, which may be a URL with a password.
            name = re.split(r"[\s=]", option, maxsplit=1)[0] if option.startswith("-") else option
            notes.append(f"{name} is left out: it means nothing here")
    notes += [
        f"the constraint {line.text!r} is left out: {line.refusal}"
        for line in constraints
        if line.requirement is None
    ]
    lines = [line for each in read for line in each.lines]
    kept = [line for line in constraints if line.requirement is not None]
    return tuple(dict.fromkeys(lines)), tuple(dict.fromkeys(kept))


def _read_any(path: Path) -> LinesRead:
    """A requirements file, or a lock file by its name, as pip takes them with -r."""
    if is_valid_pylock_path(path):
        return read_pylock(read_bytes(path, LOCK_BYTES_MAX), str(path))
    if path.name == "uv.lock":
        return read_uv_lock(read_bytes(path, LOCK_BYTES_MAX), str(path))
    return read_wish_file(path)


def _targets(given: Given, requests: Iterable[Request]) -> tuple[Target, ...]:
    found = [parse_target(name) for name in given.target_names]
    for path in given.target_files:
        listed = read_targets(path)
        if not listed:
            raise Refused(str(path), "there is no target in it, or it is not there")
        found += listed
    for request in requests:
        found += request.targets
    if not found and given.usual_targets is not None:
        found += read_targets(given.usual_targets)
    if not found:
        raise click.UsageError(
            "for which hosts? Name targets with --target, like cp39-win_amd64, or --targets FILE"
        )
    by_name = {target.name: target for target in reversed(found)}
    return tuple(by_name[name] for name in dict.fromkeys(target.name for target in found))


def _holdings(given: Given, requests: Sequence[Request]) -> Holdings:
    told = [*requests, *(_request(path) for path in given.have)]
    held = [each for request in told for each in request.have]
    stamps = [request.stamp for request in told if request.stamp is not None]
    if given.since is not None:
        if held:
            raise click.UsageError("--since is for sites that do not say what they have")
        sent = find_sent(read_sent(given.ledger), given.since)
        stamps = [sent.stamp]
        held = [Held(sha256, filename) for sha256, filename in sent.files.items()]
    return holdings_of(held, stamps[-1] if len(stamps) == 1 else None)


def _updated(words: tuple[str, ...]) -> frozenset[ProjectName] | None:
    """Which projects shall be the newest; None: all."""
    if "all" in words:
        return None
    return frozenset(parse_project_name(word) for word in words if word != "none")
