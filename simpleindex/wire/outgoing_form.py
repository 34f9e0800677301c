"""The legacy upload form as twine sends it: a file and what is known of it, to another index."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias
from urllib.parse import urlencode

from simpleindex_storage.model import DistFile, Fields
from simpleindex_storage.names import DistKind, parse_filename

FormFields: TypeAlias = Sequence[tuple[str, str]]

# Where twine's name of a field differs from the one under which it is stored here.
_TWINES_NAMES = {"provides_extras": "provides_extra"}


def file_fields(file: DistFile, said: Fields) -> FormFields:
    """The form of an upload of a file."""
    kind, pyversion = _kind_and_python(file.filename)
    return [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        *_metadata(file.version, said, name=file.project),
        ("filetype", kind),
        ("pyversion", pyversion),
        ("md5_digest", file.md5),
        ("sha256_digest", file.sha256),
        ("blake2_256_digest", file.blake2b_256),
    ]


def documentation_fields(project: str, version: str, said: Fields) -> FormFields:
    """The form of an upload of documentation."""
    return [(":action", "doc_upload"), *_metadata(version, said, name=project)]


def registration(project: str, version: str, said: Fields) -> bytes:
    """A release without a file, as application/x-www-form-urlencoded."""
    return urlencode([(":action", "submit"), *_metadata(version, said, name=project)]).encode()


def around_file(fields: FormFields, filename: str, boundary: str) -> tuple[bytes, bytes]:
    """What comes ahead of the bytes of a file, and behind them (multipart/form-data, RFC 7578)."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields
    ]
    disposition = f'Content-Disposition: form-data; name="content"; filename="{filename}"'
    content_type = "Content-Type: application/octet-stream"
    head = f"{''.join(parts)}--{boundary}\r\n{disposition}\r\n{content_type}\r\n\r\n"
    return head.encode(), f"\r\n--{boundary}--\r\n".encode()


def _metadata(version: str, said: Fields, *, name: str) -> Iterator[tuple[str, str]]:
    yield "name", str(said.get("name") or name)
    yield "version", str(said.get("version") or version)
    for field, value in said.items():
        if field not in ("name", "version"):
            told = _TWINES_NAMES.get(field, field)
            for each in (value,) if isinstance(value, str) else value:
                yield told, each
    if "metadata_version" not in said:
        yield "metadata_version", "2.1"


def _kind_and_python(filename: str) -> tuple[str, str]:
    """`filetype` and `pyversion`."""
    kind = parse_filename(filename).kind
    match kind:
        case DistKind.WHEEL:
            return kind, filename.split("-")[-3]
        case DistKind.SDIST:
            return kind, "source"
        case DistKind.EGG:
            return kind, filename.removesuffix(".egg").split("-")[2].removeprefix("py")
