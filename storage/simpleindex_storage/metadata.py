"""Core metadata out of the bytes of a METADATA or PKG-INFO.

The field names are those of upload forms, so that what a form says and what a file says compare.
"""

import re
from collections.abc import Iterable
from email.parser import HeaderParser

from pkginfo import Distribution

from .errors import Refused
from .model import CoreMetadata, Fields

SINGLE_FIELDS = frozenset(
    {
        "author",
        "author_email",
        "description",
        "description_content_type",
        "download_url",
        "home_page",
        "keywords",
        "license",
        "license_expression",
        "maintainer",
        "maintainer_email",
        "metadata_version",
        "name",
        "requires_python",
        "summary",
        "version",
    }
)
"""The fields that have one value."""

LIST_FIELDS = frozenset(
    {
        "classifiers",
        "dynamic",
        "license_file",
        "obsoletes",
        "obsoletes_dist",
        "platform",
        "project_urls",
        "provides",
        "provides_dist",
        "provides_extras",
        "requires",
        "requires_dist",
        "requires_external",
        "supported_platform",
    }
)
"""The fields that may be repeated."""

METADATA_BYTES_MAX = 10 << 20
"""Of a METADATA or PKG-INFO; the largest real ones hold a manual of some 100 kB."""

_HEADER_LINES_MAX = 100_000
"""Above this, looking the headers up costs seconds. A Description among them takes thousands."""

# With a version set, pkginfo reads every header it knows of, and warns of no unknown version:
# warnings cannot be caught in threads. 2.4 has all the fields above, and pkginfo 1.12 knows it.
_READ_AS_METADATA_VERSION = "2.4"

_ATTRIBUTES = {"platform": "platforms", "supported_platform": "supported_platforms"}
"""Where pkginfo names a field otherwise."""

_PLAIN_FIRST_LINE = re.compile(r"Metadata-Version: ([0-9.]+)\n(?![ \t])")
_BLANK_LINE = re.compile(r"(?:\r\n|\r(?!\n)|\n)(?:\r\n|\r|\n)")


def parse_core_metadata(raw: bytes, *, subject: str = "core metadata") -> CoreMetadata:
    """The record of a METADATA or PKG-INFO. `subject` begins the sentence of what is Refused.

    Bytes that are not UTF-8 are taken for Latin-1, which old tools wrote. Metadata versions that
    we do not know yet are read as far as we know them, up to the next major version.
    """
    headers, body = _split(_decode(raw))
    if max(headers.count("\n"), headers.count("\r")) > _HEADER_LINES_MAX:
        raise Refused(subject, f"its metadata has more than {_HEADER_LINES_MAX} lines of headers")
    # Without the body: a Content-Type among the headers would make the parser look into it.
    distribution = Distribution()
    distribution.metadata_version = _READ_AS_METADATA_VERSION
    distribution.parse(headers.encode())
    if body.strip():
        distribution.description = body
    distribution.metadata_version = _metadata_version(headers)
    fields = _fields(distribution)
    _check_metadata_version(fields.get("metadata_version"), subject)
    return CoreMetadata(
        raw=raw,
        name=_required("Name", fields, subject),
        version=_required("Version", fields, subject),
        requires_python=_text(fields.get("requires_python")),
        fields=fields,
    )


def stated(field: str, text: str) -> str | None:
    """A field's text as it is kept; None for what tools send to say nothing."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL keeps none
    stripped = text.strip()
    if stripped in ("", "UNKNOWN"):
        return None
    return text if field == "description" else stripped  # reStructuredText may begin indented


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _split(text: str) -> tuple[str, str]:
    blank_line = _BLANK_LINE.search(text)
    if blank_line is None:
        return text, ""
    return text[: blank_line.start()] + "\n", text[blank_line.end() :]


def _metadata_version(headers: str) -> str | None:
    """What the first such header says. Nearly always it is the first line, and plain."""
    plain = _PLAIN_FIRST_LINE.match(headers)
    return plain[1] if plain else HeaderParser().parsestr(headers)["Metadata-Version"]


def _fields(distribution: Distribution) -> Fields:
    fields: dict[str, str | tuple[str, ...]] = {}
    for field in sorted(SINGLE_FIELDS):
        text = stated(field, getattr(distribution, field) or "")
        if text is not None:
            fields[field] = text
    for field in sorted(LIST_FIELDS):
        given: Iterable[str] = getattr(distribution, _ATTRIBUTES.get(field, field))
        texts = tuple(text for each in given if (text := stated(field, each)) is not None)
        if texts:
            fields[field] = texts
    return fields


def _check_metadata_version(version: str | tuple[str, ...] | None, subject: str) -> None:
    # Core metadata, Metadata-Version: tools MUST fail at a greater major version than they know.
    major = (_text(version) or "").partition(".")[0]
    if major.isdecimal() and major.lstrip("0") not in ("", "1", "2"):
        raise Refused(
            subject,
            f"its metadata is of version {version!r}, which this server does not know yet; "
            "build it with an older tool, or update the server",
        )


def _required(header: str, fields: Fields, subject: str) -> str:
    text = _text(fields.get(header.lower()))
    if text is None:
        raise Refused(subject, f"its metadata has no {header}; build it again with a current tool")
    return text


def _text(value: str | tuple[str, ...] | None) -> str | None:
    return value if isinstance(value, str) else None
