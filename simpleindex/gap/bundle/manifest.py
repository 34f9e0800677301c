"""The manifest of a bundle: what is in it, for whom, and what must be there already.

A bundle says what it needs, not what came before it: so bundles may be taken in twice, in any
order, or never.
"""

import json
import re
from base64 import b32encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from simpleindex.gap.fields import Fields, parse_fields, time_text
from simpleindex.gap.targets import Target, dump_target, load_target
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue
from simpleindex_storage.names import DistFilename, parse_filename

FORMAT = 1
"""Readers take all up to their own."""
MEMBER = "manifest.json"
MANIFEST_BYTES_MAX = 64 << 20
FILES_MAX = 100_000
PARTS_MAX = 10_000

_EXTRA_NAME = re.compile(
    r"verify\.py|server\.pyz|README(\.[A-Za-z-]{2,20})?\.txt|report\.[a-z]{2,5}"
)
_EXTRA_BYTES_MAX = 64 << 20
_EXTRAS_MAX = 50
_LINES_MAX = 20_000
_TARGETS_MAX = 1000
_PROBLEMS_MAX = 1_000_000
_CHAIN_MAX = 100
_STAMP_CHARACTERS = 10
_DIGEST_CHARACTERS = 20
_GROUP_CHARACTERS = 5
_PLAIN_LETTERS = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)
"""Crockford's base 32, which has no I, L, O and U to be mistaken, by that of the library."""


class Origin(StrEnum):
    """Where the side with internet has a file from."""

    INDEX = "index"
    BUILT = "built"
    """It was made there, out of a source distribution."""
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class BundledFile:
    """A file that is inside."""

    name: DistFilename
    sha256: str
    size_bytes: int
    targets: tuple[int, ...] = ()
    """Who needs it: places in `Manifest.targets`."""
    origin: Origin = Origin.INDEX
    built_from: str | None = None
    """SHA-256 of the source distribution."""
    uploaded_at: datetime | None = None
    """To the index that it is from."""
    yanked: str | None = None
    """None: not yanked. Any text, also an empty one: yanked, for that reason."""
    requires_python: str | None = None
    licence: str | None = None

    @property
    def member(self) -> str:
        """Where it is in the bundle."""
        return f"files/{self.sha256[:2]}/{self.sha256}-{self.name.text}"


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """A file that is inside for people, not for the index: `verify.py`, `README.txt` and so on."""

    name: str
    """Where it is in the bundle, too."""
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class AssumedFile:
    """A file that is not inside, because the site has it."""

    name: DistFilename
    sha256: str
    targets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FileElsewhere:
    """A file that is in another part of the same bundle."""

    name: DistFilename
    sha256: str
    part: int


@dataclass(frozen=True, slots=True)
class Notice:
    """What is proposed to be done with a file that the site has."""

    name: DistFilename
    sha256: str
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that a target cannot have, or not beside the others."""

    line: str
    target: int
    """Its place in `Manifest.targets`."""
    kind: str
    """One of `resolving.Kind`."""
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Which of several."""

    number: int
    """From 1."""
    count: int
    set_stamp: str
    """The stamp of all files in all parts; the same in each."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A bundle, or one part of it."""

    created: datetime
    tool: str
    """Name and version of the program that made it."""
    targets: tuple[Target, ...]
    roots: tuple[str, ...]
    """Lines of requirements that it was made for."""
    constraints: tuple[str, ...] = ()
    pre_releases: bool = False
    files: tuple[BundledFile, ...] = ()
    assumes: tuple[AssumedFile, ...] = ()
    elsewhere: tuple[FileElsewhere, ...] = ()
    yanks: tuple[Notice, ...] = ()
    """Withdrawn upstream since the site got them."""
    removals: tuple[Notice, ...] = ()
    """Proposals; no import removes anything."""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    base: str | None = None
    """The stamp of the index that it was made for, if that was known."""
    result_stamp: str | None = None
    """The stamp of that index once it is taken in."""
    part: Part | None = None
    """None: it is whole."""
    extras: tuple[ExtraFile, ...] = ()
    """Who writes the bundle says these. They are here so that a signature is of them, too."""


def stamp(sha256s: Iterable[str]) -> str:
    """A short name for a set of files: ten letters and digits that can be read out."""
    content = "\n".join(sorted(set(sha256s)))
    return _letters(content.encode(), _STAMP_CHARACTERS)


def spoken_digest(raw_manifest: bytes) -> str:
    """A digest of a manifest to be compared by voice: four groups of five letters and digits."""
    letters = _letters(raw_manifest, _DIGEST_CHARACTERS)
    groups = range(0, _DIGEST_CHARACTERS, _GROUP_CHARACTERS)
    return "-".join(letters[place : place + _GROUP_CHARACTERS] for place in groups)


def dump_manifest(manifest: Manifest) -> bytes:
    """JSON, always the same for the same manifest. Its bytes are what is signed."""
    part: JsonValue = None
    if manifest.part is not None:
        part = {
            "number": manifest.part.number,
            "count": manifest.part.count,
            "set": manifest.part.set_stamp,
        }
    document: dict[str, JsonValue] = {
        "format": FORMAT,
        "created": time_text(manifest.created),
        "tool": manifest.tool,
        "base": manifest.base,
        "result_stamp": manifest.result_stamp,
        "part": part,
        "targets": [dump_target(target) for target in manifest.targets],
        "roots": list(manifest.roots),
        "constraints": list(manifest.constraints),
        "pre_releases": manifest.pre_releases,
        "files": [_dump_file(file) for file in manifest.files],
        "extras": [
            {"name": it.name, "sha256": it.sha256, "size": it.size_bytes} for it in manifest.extras
        ],
        "assumes": [
            {"filename": it.name.text, "sha256": it.sha256, "for": list(it.targets)}
            for it in manifest.assumes
        ],
        "elsewhere": [
            {"filename": it.name.text, "sha256": it.sha256, "part": it.part}
            for it in manifest.elsewhere
        ],
        "yank": [_dump_notice(notice) for notice in manifest.yanks],
        "remove": [_dump_notice(notice) for notice in manifest.removals],
        "problems": [
            {"line": it.line, "target": it.target, "kind": it.kind, "chain": list(it.chain)}
            for it in manifest.problems
        ],
        "notes": list(manifest.notes),
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def parse_manifest(raw: bytes, subject: str) -> Manifest:
    """The inverse of `dump_manifest`. `subject` begins the sentence of what is Refused."""
    if len(raw) > MANIFEST_BYTES_MAX:
        raise Refused(subject, f"its manifest has over {MANIFEST_BYTES_MAX} bytes")
    fields = parse_fields(raw, f"{subject}: {MEMBER}")
    if fields.number("format", least=1) > FORMAT:
        raise Refused(
            subject,
            f"it is of format {fields.number('format')}, and this program reads up to {FORMAT}; "
            "take a newer simpleindex-server",
        )
    created = fields.time_or_none("created")
    if created is None:
        raise fields.refused("created", "is missing")
    targets = tuple(
        load_target(document) for document in fields.values("targets", most=_TARGETS_MAX)
    )
    return Manifest(
        created=created,
        tool=fields.text("tool"),
        targets=targets,
        roots=fields.texts("roots", most=_LINES_MAX),
        constraints=fields.texts("constraints", most=_LINES_MAX),
        pre_releases=fields.truth("pre_releases"),
        files=tuple(_file(entry, targets) for entry in fields.records("files", most=FILES_MAX)),
        assumes=tuple(
            AssumedFile(_name(entry), entry.sha256("sha256"), _for(entry, targets))
            for entry in fields.records("assumes", most=FILES_MAX)
        ),
        elsewhere=tuple(
            FileElsewhere(_name(entry), entry.sha256("sha256"), entry.number("part", least=1))
            for entry in fields.records("elsewhere", most=FILES_MAX)
        ),
        yanks=tuple(_notice(entry) for entry in fields.records("yank", most=FILES_MAX)),
        removals=tuple(_notice(entry) for entry in fields.records("remove", most=FILES_MAX)),
        problems=tuple(
            _problem(entry, targets) for entry in fields.records("problems", most=_PROBLEMS_MAX)
        ),
        notes=fields.texts("notes", most=_LINES_MAX),
        base=fields.text_or_none("base"),
        result_stamp=fields.text_or_none("result_stamp"),
        part=_part(fields),
        extras=tuple(_extra(entry) for entry in fields.records("extras", most=_EXTRAS_MAX)),
    )


def is_extra(name: str) -> bool:
    """Whether a bundle may hold a file of this name beside those for the index."""
    return _EXTRA_NAME.fullmatch(name) is not None


def _dump_file(file: BundledFile) -> JsonValue:
    return {
        "filename": file.name.text,
        "project": file.name.project,
        "version": file.name.version,
        "sha256": file.sha256,
        "size": file.size_bytes,
        "for": list(file.targets),
        "origin": file.origin,
        "built_from": file.built_from,
        "upload_time": None if file.uploaded_at is None else time_text(file.uploaded_at),
        "yanked": file.yanked,
        "requires_python": file.requires_python,
        "licence": file.licence,
    }


def _dump_notice(notice: Notice) -> JsonValue:
    return {"filename": notice.name.text, "sha256": notice.sha256, "reason": notice.reason}


def _file(fields: Fields, targets: tuple[Target, ...]) -> BundledFile:
    origin = fields.text("origin")
    if origin not in set(Origin):
        raise fields.refused("origin", f"is none of {', '.join(Origin)}")
    return BundledFile(
        name=_name(fields),
        sha256=fields.sha256("sha256"),
        size_bytes=fields.number("size"),
        targets=_for(fields, targets),
        origin=Origin(origin),
        built_from=None
        if fields.document.get("built_from") is None
        else fields.sha256("built_from"),
        uploaded_at=fields.time_or_none("upload_time"),
        yanked=fields.text_or_none("yanked"),
        requires_python=fields.text_or_none("requires_python"),
        licence=fields.text_or_none("licence"),
    )


def _extra(fields: Fields) -> ExtraFile:
    name = fields.text("name")
    if not is_extra(name):
        raise fields.refused("name", "is of no file that a bundle holds")
    return ExtraFile(name, fields.sha256("sha256"), fields.number("size", most=_EXTRA_BYTES_MAX))


def _notice(fields: Fields) -> Notice:
    return Notice(_name(fields), fields.sha256("sha256"), fields.text_or_none("reason") or "")


def _problem(fields: Fields, targets: tuple[Target, ...]) -> Problem:
    return Problem(
        fields.text("line"),
        fields.number("target", most=len(targets) - 1),
        fields.text("kind"),
        fields.texts("chain", most=_CHAIN_MAX),
    )


def _part(fields: Fields) -> Part | None:
    if fields.document.get("part") is None:
        return None
    part = fields.record("part")
    count = part.number("count", least=1, most=PARTS_MAX)
    return Part(part.number("number", least=1, most=count), count, part.text("set"))


def _name(fields: Fields) -> DistFilename:
    return parse_filename(fields.text("filename"))


def _for(fields: Fields, targets: tuple[Target, ...]) -> tuple[int, ...]:
    return fields.places("for", among=len(targets))


def _letters(content: bytes, count: int) -> str:
    return b32encode(sha256(content).digest()).decode().translate(_PLAIN_LETTERS)[:count]
