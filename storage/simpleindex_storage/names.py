"""Names that people choose and that end up in paths: parsed here once, or refused.

Every other room takes the NewTypes and records below, so that a type checker proves that a
string from outside went through this file.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NewType

from packaging.tags import Tag
from packaging.utils import (
    BuildTag,
    InvalidName,
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from .errors import Refused

UserName = NewType("UserName", str)
"""A user's name, spelled as at creation. No two differ only in case."""

IndexName = NewType("IndexName", str)
"""`user/index`, spelled as at creation."""

ProjectName = NormalizedName
"""A project's name in the normalised form of PEP 503."""

FILENAME_BYTES_MAX = 200
"""Leaves room in the 255 bytes of a path part for what we add to a file's name."""

PLACE_NAME_BYTES_MAX = FILENAME_BYTES_MAX + 30
"""With what we add to the name of a file for the result of a test of it."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_SHA256_PREFIX = re.compile(r"[0-9a-f]{16}")
_EGG = re.compile(r"([^-]+)-([^-]+)(-py[^-]+(?:-.+)?)\.egg")
"""Project, version, and what it is for, as pkg_resources reads them."""
_WHEEL = re.compile(r"([A-Za-z0-9._]+)-([^-]+)(?:-[0-9][^-]*)?-[^-]+-[^-]+-[^-]+\.whl")
_SDIST = re.compile(r"(.+)-([^-]+)\.(?:tar\.gz|zip)")


def parse_user_name(text: str) -> UserName:
    """A user's name. Raises Refused."""
    return UserName(_part("user", text))


def parse_index_name(text: str) -> IndexName:
    """`user/index`. Raises Refused."""
    user, slash, index = text.partition("/")
    if not slash:
        raise Refused(
            f"index name {text[:80]!r}", "an index is named USER/INDEX, for example root/local"
        )
    return index_name(_part("user", user), _part("index", index))


def index_name(user: str, index: str) -> IndexName:
    """`user/index` from its two parts. Raises Refused."""
    return IndexName(f"{_part('user', user)}/{_part('index', index)}")


def owner_of(index: IndexName) -> UserName:
    """The user in whose name an index lies."""
    return UserName(index.partition("/")[0])


def parse_project_name(text: str) -> ProjectName:
    """A project's name in any spelling, normalised (PEP 503). Raises Refused."""
    try:
        if (
            text.isascii()
        ):  # packaging's pattern ignores case, and so takes a few letters like U+017F
            return canonicalize_name(text, validate=True)
    except InvalidName:
        pass
    raise Refused(
        f"project name {text[:80]!r}",
        "a name is made of ASCII letters, digits, '.', '_' and '-', "
        "and begins and ends with a letter or digit",
    )


def parse_version(text: str) -> str:
    """A version in the normalised form of PEP 440. Raises Refused."""
    try:
        return str(Version(text))
    except ValueError:  # InvalidVersion is one, and so is what a number of 5,000 digits raises
        raise Refused(
            f"version {text[:80]!r}", "it is not a version as PEP 440 defines them"
        ) from None


def same_version(text: str, other: str) -> bool:
    """Whether two versions are one (PEP 440: `1.0` and `1.0.0` are). Raises Refused."""
    return Version(parse_version(text)) == Version(parse_version(other))


class DistKind(StrEnum):
    """What kind of file a release has, in the word of upload forms (`filetype`)."""

    WHEEL = "bdist_wheel"
    SDIST = "sdist"
    EGG = "bdist_egg"


@dataclass(frozen=True, slots=True)
class DistFilename:
    """The name of a wheel, source distribution or egg, and what it says."""

    text: str
    """As it was sent, and as clients see it."""
    project: ProjectName
    version: str
    """Normalised (PEP 440)."""
    key: str
    """Equal for two spellings of one name: `PyYAML-1.0-...` and `pyyaml-1.0-...`."""
    kind: DistKind


def parse_filename(text: str) -> DistFilename:
    """The name of a wheel, sdist or egg. Raises Refused for what the standards or a disk forbid.

    Old spellings that packaging's parsers take are taken: Pythons that are out of support need
    them (`PyYAML-5.4.1-cp36-cp36m-manylinux1_x86_64.whl`).
    """
    _check_filename(text)
    subject = _filename_subject(text)
    try:
        if text.endswith(".whl"):
            kind = DistKind.WHEEL
            project, version, build, tags = parse_wheel_filename(text)
            key = _wheel_key(project, version, build, tags)
        elif text.endswith((".tar.gz", ".zip")):
            kind = DistKind.SDIST
            project, version = parse_sdist_filename(text)
            extension = ".zip" if text.endswith(".zip") else ".tar.gz"
            key = f"{project}-{version}{extension}"
        elif match := _EGG.fullmatch(text):
            kind = DistKind.EGG
            project, version = parse_project_name(match[1]), Version(match[2].replace("_", "-"))
            key = f"{project}-{version}{match[3].lower()}.egg"
        else:
            raise Refused(
                subject,
                "only wheels (.whl) and source distributions (.tar.gz, .zip) can be stored, "
                "and eggs (NAME-VERSION-pyX.Y.egg) where an index allows them",
            )
        parse_project_name(project)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion) as error:
        raise Refused(subject, f"it does not follow the naming rules: {error}") from None
    return DistFilename(text, project, str(version), key, kind)


def split_filename(text: str) -> tuple[ProjectName, str]:
    """The project and the version in the name of a wheel, sdist or egg. Raises Refused.

    For pages of thousands of files: they are those that `parse_filename` finds, in an eighth of
    its time, but the tags of a wheel may be anything.
    """
    _check_filename(text)
    match = _WHEEL.fullmatch(text) or _SDIST.fullmatch(text) or _EGG.fullmatch(text)
    if match is None or (text.endswith(".whl") and "__" in match[1]):
        raise Refused(_filename_subject(text), "it is not the name of a wheel, an sdist or an egg")
    version = match[2].replace("_", "-") if text.endswith(".egg") else match[2]
    return _project_once(match[1]), _version_once(version)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Where a file lies below `files/`, and in the URL of the index: decided by its bytes.

    Other bytes under the same name get another place, so a left-over never blocks anybody.
    """

    index: IndexName
    sha256_prefix: str
    """The first 16 hex digits."""
    filename: str

    @property
    def path(self) -> str:
        """Relative, with forward slashes: `root/local/+f/abc/0123456789def/demo-1.0.tar.gz`."""
        prefix = self.sha256_prefix
        return f"{self.index}/+f/{prefix[:3]}/{prefix[3:]}/{self.filename}"


def parse_place(index: IndexName, prefix: str, filename: str) -> FilePlace:
    """A place from the parts of a URL. Raises Refused for anything that names no file of ours."""
    if not _SHA256_PREFIX.fullmatch(prefix):
        raise Refused(f"path part {prefix[:40]!r}", "it is not the beginning of a sha256")
    if len(filename) > PLACE_NAME_BYTES_MAX or not _FILENAME.fullmatch(filename):
        raise Refused(f"file name {filename[:40]!r}", "no stored file can have this name")
    return FilePlace(index, prefix, filename)


def _part(kind: str, text: str) -> str:
    if not _PART.fullmatch(text) or text.endswith(".") or _DEVICE.fullmatch(text):
        raise Refused(
            f"{kind} name {text[:80]!r}",
            "a name begins with a letter or digit, goes on with those and '.', '_', '@', '-', "
            "has 64 characters at the most, no '.' at its end, and is no device name of Windows",
        )
    return text


def _check_filename(text: str) -> None:
    if len(text) > FILENAME_BYTES_MAX:
        raise Refused(_filename_subject(text), f"it is longer than {FILENAME_BYTES_MAX} bytes")
    if not _FILENAME.fullmatch(text) or _DEVICE.fullmatch(text):
        raise Refused(
            _filename_subject(text),
            "a file name is made of ASCII letters, digits, '.', '_', '+', '!' and '-'",
        )


def _filename_subject(text: str) -> str:
    return f"file name {text[:FILENAME_BYTES_MAX]!r}"


# The files of a page share their project and most of their versions, and to normalise one takes
# longer than all else.
_project_once = lru_cache(maxsize=1024)(parse_project_name)
_version_once = lru_cache(maxsize=4096)(parse_version)


def _wheel_key(
    project: NormalizedName, version: Version, build: BuildTag, tags: frozenset[Tag]
) -> str:
    # Compressed tag sets may be spelled in any order; the set is what counts.
    build_text = "".join(str(part) for part in build).lower()  # some disks ignore case
    parts = [project, str(version), build_text, ".".join(sorted(map(str, tags)))]
    return "-".join(part for part in parts if part) + ".whl"
