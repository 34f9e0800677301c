"""Lock files, `pylock.toml` and `uv.lock`, as what a site wants: pins, with markers and hashes.

The lines hold for every target; each evaluates the markers for itself. What a lock does not pin
and yet is needed, because the lock was made for other hosts, is found as ever.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from packaging.markers import InvalidMarker, Marker
from packaging.pylock import Package, Pylock, PylockUnsupportedVersionError, PylockValidationError

from simpleindex.gap.wishes import Hashes, Line, LinesRead, parse_line, with_hashes
from simpleindex_storage.errors import Refused

LOCK_BYTES_MAX = 64 << 20
_UV_VERSION = 1

_Table: TypeAlias = Mapping[str, Any]

_MEMBERSHIP = re.compile(
    r"""["']([^"']*)["']\s+(not\s+in|in)\s+(extras|dependency_groups)(?![a-z_])"""
)
_ALWAYS, _NEVER = 'python_version >= "2"', 'python_version < "2"'


def read_pylock(content: bytes, subject: str) -> LinesRead:
    """The packages of a pylock.toml (PEP 751), without extras and with its default groups.

    `subject` begins the sentence of what is Refused.
    """
    try:
        lock = Pylock.from_dict(_table(content, subject))
    except PylockUnsupportedVersionError as error:
        raise Refused(subject, f"this program does not know such files: {error}") from None
    except PylockValidationError as error:
        raise Refused(subject, f"it is no pylock.toml: {error}") from None
    groups = frozenset(lock.default_groups or ())
    return LinesRead(tuple(_of_pylock(package, groups, subject) for package in lock.packages))


def read_uv_lock(content: bytes, subject: str) -> LinesRead:
    """What the projects of a uv.lock need; all packages in it are constraints.

    `subject` begins the sentence of what is Refused.
    """
    document = _table(content, subject)
    if document.get("version") != _UV_VERSION:
        raise Refused(subject, f"it is no uv.lock of version {_UV_VERSION}")
    packages = [_as_table(each, subject) for each in _list(document, "package", subject)]
    members = [each for each in packages if _is_member(_as_table(each.get("source", {}), subject))]
    if not members:
        raise Refused(subject, "there is no project in it whose needs it locks")
    lines: list[Line] = []
    left_out: list[str] = []
    own = {_text(member, "name", subject) for member in members}
    for member in members:
        name = _text(member, "name", subject)
        for need in _list(member, "dependencies", subject):
            if _text(_as_table(need, subject), "name", subject) not in own:
                lines.append(_of_need(_as_table(need, subject), subject))
        for kind, word in (("optional-dependencies", "extra"), ("dev-dependencies", "group")):
            for group in _as_table(member.get(kind, {}), subject):
                left_out.append(f"{word} {group!r} of {name}")
    pins = [each for each in packages if _text(each, "name", subject) not in own]
    lines += [line for each in pins if (line := _from_elsewhere(each, subject)) is not None]
    constraints = [_pin(each, subject) for each in pins if "version" in each]
    return LinesRead(tuple(dict.fromkeys(lines)), tuple(left_out), tuple(constraints))


def _of_pylock(package: Package, groups: frozenset[str], subject: str) -> Line:
    where = f"{subject}: {package.name}"
    if package.is_direct or package.version is None:
        why = "it comes from a path, URL or repository, not from an index"
        return Line(package.name, None, why, where=where)
    files = [*(package.wheels or ()), *([package.sdist] if package.sdist else ())]
    hashes = frozenset(
        (name, digest.lower()) for file in files for name, digest in file.hashes.items()
    )
    text = f"{package.name}=={package.version}"
    if package.marker is not None:
        text += f" ; {_settled(str(package.marker), groups)}"
    return with_hashes(parse_line(text), hashes, where)


def _settled(marker: str, groups: frozenset[str]) -> str:
    """A marker without `extras` and `dependency_groups`, which only lock files know."""

    def settled(match: re.Match[str]) -> str:
        is_in = match[3] == "dependency_groups" and match[1] in groups
        return _ALWAYS if is_in is (match[2] == "in") else _NEVER

    return _MEMBERSHIP.sub(settled, marker)


def _of_need(need: _Table, subject: str) -> Line:
    extras = sorted(str(extra) for extra in _list(need, "extra", subject))
    text = _text(need, "name", subject) + (f"[{','.join(extras)}]" if extras else "")
    if "version" in need:
        text += f"=={_text(need, 'version', subject)}"
    if "marker" in need:
        text += f" ; {_text(need, 'marker', subject)}"
    return with_hashes(parse_line(text), frozenset(), subject)


def _pin(package: _Table, subject: str) -> Line:
    """A package of a uv.lock. Those of which there are several versions say where each counts."""
    text = f"{_text(package, 'name', subject)}=={_text(package, 'version', subject)}"
    markers = [str(marker) for marker in _list(package, "resolution-markers", subject)]
    if markers:
        text += " ; " + _any_of(markers, subject)
    files = [_as_table(file, subject) for file in _list(package, "wheels", subject)]
    if "sdist" in package:
        files.append(_as_table(package["sdist"], subject))
    return with_hashes(parse_line(text), _hashes(files), subject)


def _any_of(markers: Iterable[str], subject: str) -> str:
    text = " or ".join(f"({marker})" for marker in markers)
    try:
        return str(Marker(text))
    except InvalidMarker:
        raise Refused(subject, f"it has a marker that is none: {text[:200]!r}") from None


def _from_elsewhere(package: _Table, subject: str) -> Line | None:
    """A line that is refused, for a package that no index has."""
    source = _as_table(package.get("source", {}), subject)
    if "registry" in source or not source:
        return None
    name = _text(package, "name", subject)
    kind = next(iter(source))
    return Line(
        name, None, f"it comes from a source of kind {kind}, not from an index", where=subject
    )


def _is_member(source: _Table) -> bool:
    return bool({"virtual", "editable"} & set(source))


def _hashes(files: Iterable[_Table]) -> Hashes:
    parted = (str(file.get("hash", "")).partition(":") for file in files)
    return frozenset((name, digest.lower()) for name, _, digest in parted if digest)


def _table(content: bytes, subject: str) -> _Table:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise Refused(subject, f"it is no TOML: {error}") from None


def _as_table(value: object, subject: str) -> _Table:
    if not isinstance(value, dict):
        raise Refused(subject, "it is no uv.lock: a table is missing")
    return value


def _list(table: _Table, name: str, subject: str) -> list[Any]:
    value = table.get(name, [])
    if not isinstance(value, list):
        raise Refused(subject, f"it is no uv.lock: {name!r} is no list")
    return value


def _text(table: _Table, name: str, subject: str) -> str:
    value = table.get(name)
    if not isinstance(value, str):
        raise Refused(subject, f"it is no uv.lock: {name!r} is missing somewhere")
    return value
