"""What the core metadata of a file must say, beyond being readable."""

import re
from functools import lru_cache

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from .faults import Faults, shown
from .model import CoreMetadata
from .names import DistFilename

_VERSIONS = frozenset({"1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"})
_MINOR_VERSION = re.compile(r"[12]\.[0-9]+")
_VERSIONS_WITHOUT_LICENSE_FILES = frozenset({"1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3"})

# What parses them is recursive, and slower the longer they are.
_TEXT_CHARACTERS_MAX = 5_000
_REQUIREMENTS_MAX = 5_000
_LICENSE_CHARACTERS_MAX = 1_000

# int() takes no more than 4,300 digits, and is called when pip compares versions, not before.
_ABSURD_NUMBER = re.compile(r"[0-9]{1000}")

_REQUIREMENT_FAULTS = {"requires-dist": "is not valid", "requires-dist-url": "names a place"}


def check_metadata(metadata: CoreMetadata, filename: DistFilename, faults: Faults) -> None:
    """Compare with the file name, and look at what installers evaluate. Raises Refused."""
    if not names_same(metadata.name, metadata.version, filename):
        raise faults.fatal(
            "metadata-lies",
            f"its metadata says {shown(metadata.name)} {shown(metadata.version)}, its file name "
            f"says {filename.project!r} {filename.version!r}",
        )
    _check_encoding(metadata, faults)
    _check_version(metadata, faults)
    _check_requires_python(metadata, faults)
    _check_requirements(metadata, faults)
    _check_license(metadata, faults)


def license_files(metadata: CoreMetadata) -> tuple[str, ...]:
    """The files that must be there. Before 2.4 nothing said where, and tools differed."""
    if metadata.fields.get("metadata_version") in _VERSIONS_WITHOUT_LICENSE_FILES:
        return ()
    return _several(metadata, "license_file")


def names_same(name: str, version: str, filename: DistFilename) -> bool:
    """Whether a name and version, in any spelling, are those of the file name."""
    # isascii: case folding turns a few other letters, such as the Kelvin sign, into ASCII ones.
    if not name.isascii() or canonicalize_name(name) != filename.project:
        return False
    try:
        return Version(version) == Version(filename.version)
    except ValueError:  # InvalidVersion, or a number with more digits than int() takes
        return False


def _check_encoding(metadata: CoreMetadata, faults: Faults) -> None:
    try:
        metadata.raw.decode("utf-8")
    except UnicodeDecodeError:
        faults.note("metadata-encoding", "its metadata is not UTF-8")


def _check_version(metadata: CoreMetadata, faults: Faults) -> None:
    version = metadata.fields.get("metadata_version")
    if version in _VERSIONS:
        return
    is_minor = _MINOR_VERSION.fullmatch(str(version))
    faults.note(
        "metadata-version-minor" if is_minor else "metadata-version",
        f"its metadata is of version {shown(str(version))}, which is none",
    )


def _check_requires_python(metadata: CoreMetadata, faults: Faults) -> None:
    text = metadata.requires_python
    if text is not None and not _is_specifier(text):
        faults.note("requires-python", f"its Requires-Python {shown(text)} is not valid")


def _is_specifier(text: str) -> bool:
    if len(text) > _TEXT_CHARACTERS_MAX or _ABSURD_NUMBER.search(text):
        return False
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def _check_requirements(metadata: CoreMetadata, faults: Faults) -> None:
    texts = _several(metadata, "requires_dist")
    if len(texts) > _REQUIREMENTS_MAX:
        faults.note("requires-dist", f"it has more than {_REQUIREMENTS_MAX:,} requirements")
    for text in texts[:_REQUIREMENTS_MAX]:
        fault = _requirement_fault(text)
        if fault is not None:
            faults.note(fault, f"its requirement {shown(text)} {_REQUIREMENT_FAULTS[fault]}")


# Each release of a project needs much the same as the one before.
@lru_cache(maxsize=1024)
def _requirement_fault(text: str) -> str | None:
    """The rule that a requirement breaks."""
    if len(text) > _TEXT_CHARACTERS_MAX or _ABSURD_NUMBER.search(text):
        return "requires-dist"
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):  # brackets may be nested
        return "requires-dist"
    return None if requirement.url is None else "requires-dist-url"


def _check_license(metadata: CoreMetadata, faults: Faults) -> None:
    text = metadata.fields.get("license_expression")
    if not isinstance(text, str):
        return
    if metadata.fields.get("license") is not None:
        faults.note("license-expression", "it has both License and License-Expression")
    if len(text) > _LICENSE_CHARACTERS_MAX or not _is_license(text):
        faults.note("license-expression", f"its License-Expression {shown(text)} is not valid")


def _is_license(text: str) -> bool:
    try:
        canonicalize_license_expression(text)
    except (InvalidLicenseExpression, RecursionError, MemoryError):  # it runs Python's own parser
        return False
    return True


def _several(metadata: CoreMetadata, field: str) -> tuple[str, ...]:
    value = metadata.fields.get(field, ())
    return (value,) if isinstance(value, str) else value
