"""What a site wants: the lines of requirements and constraints files, read as pip reads them.

What no index can give (paths, URLs, editable projects) is refused line by line, with the reason;
options of pip are left out and told. Files that a file names are read by `wish_files`, which opens
them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from packaging.requirements import Requirement
from packaging.version import Version

from simpleindex.gap.releases import Sdists, parse_requirement
from simpleindex_storage.names import ProjectName, parse_project_name

_COMMENT = re.compile(r"(^|\s)#.*")
_HASH = re.compile(r"\s--hash[= ]\s*([a-z0-9_]+):([0-9A-Fa-f]+)")
_OPTION_OF_LINE = re.compile(r"\s--?[a-z][a-z-]*[= ].*")
_EDITABLE = re.compile(r"(-e|--editable)([= ]|$)")
_FILE = re.compile(
    r"(?:-(?P<short>[rc])[= ]?|--(?P<long>requirement|constraint)[= ])\s*(?P<name>.*)"
)
_NO_NAME = re.compile(r"[./\\~]|[A-Za-z][A-Za-z0-9+]*://|[A-Za-z]:\\|.*\.(whl|zip|tar\.gz)$")
_AT_URL = re.compile(r"\s@\s")
_SHOWN_CHARACTERS_MAX = 200
_NOT_FOLLOWED = "files that a file names are not read here; name them beside it"

Hashes = frozenset[tuple[str, str]]
"""Digests, each with its algorithm; none: any file will do."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, and what it asks for."""

    text: str
    """As it was written, without comment and hashes."""
    requirement: Requirement | None
    """None: it is refused."""
    refusal: str | None = None
    """Why it is refused."""
    hashes: Hashes = frozenset()
    where: str = ""
    """The file and the number of the line, for people."""

    @property
    def project(self) -> ProjectName | None:
        """What it is about."""
        return None if self.requirement is None else parse_project_name(self.requirement.name)


@dataclass(frozen=True, slots=True)
class LinesRead:
    """What a file says, and those that it names."""

    lines: tuple[Line, ...]
    left_out: tuple[str, ...] = ()
    """Options of pip, which mean nothing here."""
    constraints: tuple[Line, ...] = ()
    """Of files that it names with -c."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that is wanted, of every target."""

    lines: tuple[Line, ...]
    constraints: tuple[Line, ...] = ()
    held: Mapping[ProjectName, frozenset[Version]] = field(default_factory=dict)
    """Releases that the site has, which are taken before newer ones."""
    held_files: frozenset[str] = frozenset()
    """URLs of files that the site has, which are taken before others of the same release."""
    pre_releases: bool = False
    """Whether they are as good as others, as pip has it with `--pre`."""
    as_installed: bool = False
    """Whether hosts keep the installer that they have: then only what it knows can be taken."""
    sdists: Sdists | None = None
    """None: hosts build nothing, so that source distributions count for nothing."""


Follow = Callable[[str], LinesRead]
"""From the name of a file, as another names it, to its lines."""


def read_lines(text: str, where: str = "", *, follow: Follow | None = None) -> LinesRead:
    """The lines of a requirements or constraints file. `where` names it in what is told.

    Without `follow`, lines that name other files are refused.
    """
    lines: list[Line] = []
    constraints: list[Line] = []
    left_out: list[str] = []
    for number, written in _logical_lines(text):
        hashes = frozenset((name, digest.lower()) for name, digest in _HASH.findall(written))
        plain = _HASH.sub("", written).strip()
        place = f"{where} line {number}".strip() if where else ""
        named = _FILE.match(plain)
        if named is None:
            if plain.startswith("-") and not _EDITABLE.match(plain):
                left_out.append(plain)
            else:
                lines.append(_line(plain, hashes, place))
            continue
        is_constraints = (named[1] or named[2]).startswith("c")
        if follow is None:
            lines.append(Line(plain[:_SHOWN_CHARACTERS_MAX], None, _NOT_FOLLOWED, where=place))
            continue
        found = follow(named[3].strip())
        (constraints if is_constraints else lines).extend(found.lines)
        constraints += found.constraints
        left_out += found.left_out
    return LinesRead(tuple(lines), tuple(left_out), tuple(constraints))


def parse_line(text: str) -> Line:
    """One requirement, as it is given on a command line."""
    return _line(text.strip(), frozenset(), "")


def with_hashes(line: Line, hashes: Hashes, where: str) -> Line:
    """The line, for files with one of these digests alone."""
    return replace(line, hashes=hashes, where=where)


def _line(text: str, hashes: Hashes, where: str) -> Line:
    shown = text[:_SHOWN_CHARACTERS_MAX]
    requirement = None
    refusal = None
    if _EDITABLE.match(text):
        refusal = "an editable project comes from a folder, not from an index"
    elif _FILE.match(text):
        refusal = _NOT_FOLLOWED
    elif _NO_NAME.match(text) and not _AT_URL.search(text):
        refusal = "it comes from a path or URL, not from an index; ask for the name of a project"
    else:
        plain = _OPTION_OF_LINE.sub("", text)
        requirement = parse_requirement(plain)
        if requirement is None:
            refusal = "it is no requirement like 'name', 'name>=1.0' or 'name[extra]==1.0; marker'"
        elif requirement.url is not None:
            refusal = "it comes from a URL, not from an index; ask for a version instead"
            requirement = None
    return Line(shown, requirement, refusal, hashes, where)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, with those joined that end in a backslash; and where each begins."""
    begun, waiting = 0, ""
    for number, physical in enumerate(_physical_lines(text), 1):
        begun = begun or number
        if physical.endswith("\\") and not physical.lstrip().startswith("#"):
            waiting += physical[:-1]
            continue
        line = _COMMENT.sub("", waiting + physical).strip()
        if line:
            yield begun, line
        begun, waiting = 0, ""
    last = _COMMENT.sub("", waiting).strip()
    if last:
        yield begun, last


def _physical_lines(text: str) -> Iterable[str]:
    return text.removeprefix("\ufeff").splitlines()
