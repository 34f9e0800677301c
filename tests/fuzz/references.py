"""Second opinions: the same questions answered in the plainest way, slow and without bounds.

Each answers for well-formed input only, and says None or raises NoOpinion for all other: what to
make of that is for the product to decide.
"""

import base64
import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from email import message_from_string
from email.message import Message
from importlib.metadata import Distribution, EntryPoint
from os import PathLike
from typing import TypeAlias

Form: TypeAlias = list[tuple[str, str | None, bytes]]
"""The parts of a form: name, file name, content."""


class NoOpinion(Exception):
    """The input is not well-formed, or the standards leave it open."""


# Forms

_DISPOSITION = re.compile(rb'form-data; name="([^"\\;%\r\n]+)"(?:; filename="([^"\\;%\r\n]+)")?')
_HARMLESS_HEADER = re.compile(rb"(Content-Type|Content-Length|X-[0-9A-Za-z]{1,20}): [ -~]{1,99}")


def split_form(body: bytes, boundary: bytes) -> Form:
    """The parts of a body, cut at its boundaries (RFC 2046, 5.1.1)."""
    preamble, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    form: Form = []
    for part in parts:
        if part.startswith(b"--"):
            if len(preamble) > 4000 or len(part) > 4000 or part is not parts[-1]:
                raise NoOpinion  # there are limits, and epilogues may quote boundaries
            return form
        form.append(_split_part(part))
    raise NoOpinion


def _split_part(part: bytes) -> tuple[str, str | None, bytes]:
    head, blank_line, content = part.partition(b"\r\n\r\n")
    if not (blank_line and head.startswith(b"\r\n")):
        raise NoOpinion
    disposition, *others = head[2:].split(b"\r\n")
    key, _, value = disposition.partition(b": ")
    match = _DISPOSITION.fullmatch(value)
    names = [header.partition(b":")[0].lower() for header in others]
    if (
        key.lower() != b"content-disposition"
        or match is None
        or len(set(names)) != len(names)
        or len(names) > 6
        or not all(_HARMLESS_HEADER.fullmatch(header) for header in others)
    ):
        raise NoOpinion
    name, filename = (group if group is None else _text(group) for group in match.groups())
    assert name is not None
    return name, filename, content


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise NoOpinion from None
    if not text.isprintable():
        raise NoOpinion
    return text


# Accept

HTML, V1_HTML, JSON = "html", "v1+html", "v1+json"

_RANGES = {
    "text/html": (HTML,),
    "text/*": (HTML,),
    "application/vnd.pypi.simple.v1+html": (V1_HTML,),
    "application/vnd.pypi.simple.latest+html": (V1_HTML,),
    "application/vnd.pypi.simple.v1+json": (JSON,),
    "application/vnd.pypi.simple.latest+json": (JSON,),
    "application/*": (V1_HTML, JSON),
    "*/*": (HTML, V1_HTML, JSON),
}
_TOKEN = r"[0-9A-Za-z!#$%&'*+.^_`|~-]+"
_WEIGHTED = re.compile(
    rf"[ \t]*(?P<name>{_TOKEN}(?:/{_TOKEN})?)"
    rf"(?P<parameters>(?:[ \t]*;[ \t]*(?![qQ]=){_TOKEN}={_TOKEN})*)"
    r"(?:[ \t]*;[ \t]*[qQ]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*"
)


def chosen_form(accept: str) -> str | None:
    """The form that weighs most (RFC 9110, 12.5.1; PEP 691). None: there is none to send."""
    weights: dict[str, float] = {}
    for name, weight in weighed(accept):
        if "/" not in name:
            raise NoOpinion
        weights[name] = max(weight, weights.get(name, 0))
    best: tuple[float, bool, int, str] | None = None
    for form, rank, rank_if_named in ((HTML, 3, 1), (V1_HTML, 1, 2), (JSON, 2, 3)):
        takes = [name for name, forms in _RANGES.items() if form in forms]
        weight = next((weights[name] for name in sorted(takes, key=_breadth) if name in weights), 0)
        named = any(name in weights for name in takes if "*" not in name)
        if weight > 0:
            said = (weight, named, rank_if_named if named else rank, form)
            best = max(best or said, said)
    return best[3] if best else None


def welcomes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is taken, and not less than no coding at all (RFC 9110, 12.5.3)."""
    said = weighed(accept_encoding)
    weights = dict(said)
    if len(weights) != len(said) or {"gzip", "x-gzip"} <= weights.keys():
        raise NoOpinion
    for name in ("gzip", "x-gzip", "*"):
        if name in weights:
            return 0 < weights[name] >= weights.get("identity", 0)
    return False


def weighed(header: str) -> list[tuple[str, float]]:
    """The elements of a list, in lower case, and their weights."""
    matches = [_WEIGHTED.fullmatch(element) for element in header.split(",")]
    told = [match for match in matches if match]
    if len(told) < len(matches):
        raise NoOpinion
    return [(match["name"].lower(), float(match["weight"] or 1)) for match in told]


def _breadth(name: str) -> tuple[int, bool]:
    return name.count("*"), "latest" in name


# Ranges and entity tags

_ONE_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
_TAG_LIST = re.compile(r'(?:W/)?"([!#-~]*)"(?:, ?(?:W/)?"[!#-~]*")*')


def selected_bytes(range_header: str, size_bytes: int) -> list[int]:
    """The places that a single range asks for, tried one by one (RFC 9110, 14.1.2)."""
    match = _ONE_RANGE.fullmatch(range_header)
    if match is None or size_bytes > 1000:
        raise NoOpinion
    first, last = match.groups()
    if not (first or last) or max(len(first), len(last)) > 1000:
        raise NoOpinion
    if not first:
        return [at for at in range(size_bytes) if at >= size_bytes - int(last)]
    if last and int(last) < int(first):
        raise NoOpinion
    return [at for at in range(size_bytes) if at >= int(first) and not (last and at > int(last))]


def listed_tags(if_none_match: str) -> list[str]:
    """The tags of a list, without the mark of weak ones."""
    if not _TAG_LIST.fullmatch(if_none_match):
        raise NoOpinion
    return re.findall(r'"([^"]*)"', if_none_match)


# Metadata


def read_by_email(raw: bytes) -> Message:
    """Core metadata as installers read it; Latin-1 where it is not UTF-8."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return message_from_string(text)


def read_by_importlib(entry_points: str) -> list[EntryPoint]:
    """The entry points of a wheel as pip reads them."""
    return [*_Wheel(entry_points).entry_points]


class _Wheel(Distribution):
    def __init__(self, entry_points: str) -> None:
        self._text = entry_points

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "entry_points.txt" else None

    def locate_file(self, path: str | PathLike[str]) -> "PathLike[str]":  # type: ignore[override]
        raise FileNotFoundError(path)


# RECORD


def record_is_right(raw: bytes, members: Mapping[str, bytes], folder: str) -> bool:
    """Whether a RECORD lists each file once, and each with the right digest and size.

    It may list folders too; of signatures it may say nothing.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(raw.decode(), newline="")) if row]
    except (UnicodeDecodeError, csv.Error):
        return False
    names = [row[0] for row in rows]
    files = {name for name in members if not name.endswith("/")}
    signatures = {f"{folder}/RECORD.jws", f"{folder}/RECORD.p7s"}
    return (
        all(len(row) == 3 for row in rows)
        and len(set(names)) == len(names)
        and files - signatures <= set(names) <= set(members)
        and all(
            _row_is_right(row, members[row[0]], row[0] in signatures | {f"{folder}/RECORD"})
            for row in rows
            if row[0] in files
        )
    )


def _row_is_right(row: Sequence[str], content: bytes, may_have_no_digest: bool) -> bool:
    _, told, size = row
    if size not in ("", str(len(content))):
        return False
    if not told:
        return may_have_no_digest
    algorithm, _, digest = told.partition("=")
    if algorithm not in ("sha256", "sha384", "sha512"):
        return False
    actual = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).decode()
    return digest.rstrip("=") == actual.rstrip("=")
