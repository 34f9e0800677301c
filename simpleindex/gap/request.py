"""A request: what a site has, wants and is, in a small text that is carried out to the internet.

One fact a line, so that a person can read and change it. Names that only clients asked for are
`maybe`: they count once somebody who knows the site has made `wanted` out of it, since anybody in
its network can ask for any name.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from simpleindex.gap.targets import Target, dump_target, load_target
from simpleindex_storage.errors import Refused

FIRST_LINE = "simpleindex-request 1"
REQUEST_BYTES_MAX = 64 << 20

_STAMP = re.compile(r"[0-9A-Z]{10}")
_HELD = re.compile(r"([0-9a-f]{16,64})\s+(\S+)")
_COMMENT = re.compile(r"(^|\s)#.*")
_WORDS = ("stamp", "target", "root", "constraint", "wanted", "maybe", "have")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for and not found."""

    requirement: str
    why: str = ""
    """For people."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file that the site has."""

    sha256_prefix: str
    """At least 16 hex digits."""
    filename: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a site says of itself."""

    stamp: str | None = None
    """Of all files that it has (`bundle.manifest.stamp`)."""
    targets: tuple[Target, ...] = ()
    roots: tuple[str, ...] = ()
    """Lines of requirements that it was made for so far."""
    constraints: tuple[str, ...] = ()
    wanted: tuple[Wanted, ...] = ()
    """Somebody decided that the site shall have these."""
    maybe: tuple[Wanted, ...] = ()
    """Clients asked for these; nobody has looked at them yet."""
    have: tuple[Held, ...] = ()


def dump_request(
    request: Request, *, notes: Sequence[str] = (), about: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The text of a request.

    For people alone are `notes`, each a line of text, and what is to be said `about` targets, by
    their names.
    """
    lines = [FIRST_LINE, *(f"# {note}" for note in notes)]
    if request.stamp is not None:
        lines.append(f"stamp   {request.stamp}")
    for target in request.targets:
        told = f"; {about[target.name]}" if target.name in about else ""
        lines.append(f"target  {_target_text(target)}  # {target.words}{told}")
    lines += [f"root    {root}" for root in request.roots]
    lines += [f"constraint {constraint}" for constraint in request.constraints]
    lines += [f"wanted  {_wanted_text(wanted)}" for wanted in request.wanted]
    if request.maybe:
        lines.append(
            "# Asked for by clients. Write 'wanted' for 'maybe' where the site shall have it."
        )
    lines += [f"maybe   {_wanted_text(wanted)}" for wanted in request.maybe]
    lines += [f"have    {held.sha256_prefix} {held.filename}" for held in request.have]
    return "\n".join(lines) + "\n"


def parse_request(content: bytes, subject: str) -> Request:
    """The inverse of `dump_request`. `subject` begins the sentence of what is Refused."""
    if len(content) > REQUEST_BYTES_MAX:
        raise Refused(subject, f"a request has {REQUEST_BYTES_MAX} bytes at the most")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Refused(subject, "it is no text in UTF-8") from None
    first = lines[0].split() if lines else []
    if first != FIRST_LINE.split():
        raise Refused(subject, f"its first line is not {FIRST_LINE!r}")
    reading = _Reading(subject)
    for number, line in enumerate(lines[1:], 2):
        reading.take(line, number)
    return reading.request()


class _Reading:
    """What has been read so far."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._facts: dict[str, list[tuple[str, str]]] = {word: [] for word in _WORDS}

    def take(self, line: str, number: int) -> None:
        """Read a line. Raises Refused."""
        plain = line.strip()
        if plain.startswith("#") or not plain:
            return
        word, rest = [*plain.split(maxsplit=1), ""][:2]
        if word not in self._facts:
            raise Refused(self._where(number), f"a line begins with one of {', '.join(_WORDS)}")
        text = _COMMENT.sub("", rest).strip()
        why = rest.strip()[len(text) :].strip().removeprefix("#").strip()
        if not text:
            raise Refused(self._where(number), f"nothing follows {word!r}")
        if word == "stamp" and not _STAMP.fullmatch(text):
            raise Refused(self._where(number), "a stamp has ten letters and digits")
        if word == "have" and not _HELD.fullmatch(text):
            raise Refused(self._where(number), "16 hex digits and the name of a file are needed")
        self._facts[word].append((text, why))

    def request(self) -> Request:
        """All of it."""
        stamps = [text for text, _ in self._facts["stamp"]]
        held = [
            match.groups() for text, _ in self._facts["have"] if (match := _HELD.fullmatch(text))
        ]
        return Request(
            stamp=stamps[-1] if stamps else None,
            targets=tuple(self._target(text) for text, _ in self._facts["target"]),
            roots=self._texts("root"),
            constraints=self._texts("constraint"),
            wanted=tuple(Wanted(*fact) for fact in self._facts["wanted"]),
            maybe=tuple(Wanted(*fact) for fact in self._facts["maybe"]),
            have=tuple(Held(digits, filename) for digits, filename in held),
        )

    def _texts(self, word: str) -> tuple[str, ...]:
        return tuple(text for text, _ in self._facts[word])

    def _target(self, text: str) -> Target:
        try:
            return load_target(json.loads(text) if text.startswith("{") else text)
        except (ValueError, RecursionError):
            raise Refused(f"{self._subject}: target {text[:80]!r}", "it is not JSON") from None

    def _where(self, number: int) -> str:
        return f"{self._subject}: line {number}"


def _target_text(target: Target) -> str:
    """Its name, where that says it all; else its record."""
    try:
        if load_target(target.name) == target:
            return target.name
    except Refused:
        pass
    return json.dumps(dump_target(target))


def _wanted_text(wanted: Wanted) -> str:
    return f"{wanted.requirement}  # {wanted.why}" if wanted.why else wanted.requirement
