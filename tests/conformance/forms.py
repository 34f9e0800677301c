"""Upload forms, part by part: tools differ in order, headers and what they leave out."""

from collections.abc import Sequence
from typing import TypeAlias

from tests import builders
from tests.builders import BuiltFile

BOUNDARY = "a-boundary-of-the-conformance-tests"

Body: TypeAlias = tuple[str, bytes]
"""Content-Type, and the bytes."""


def a_text_part(name: str, value: str) -> bytes:
    """A field."""
    return _part(f'name="{name}"', "", value.encode())


def a_file_part(
    filename: str, content: bytes, *, name: str = "content", content_type: str | None = None
) -> bytes:
    """A file; its type is left out as uv, flit and setup.py do."""
    more = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    return _part(f'name="{name}"; filename="{filename}"', more, content)


def a_form(*parts: bytes, preamble: bytes = b"") -> Body:
    """The parts in this order."""
    body = preamble + b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return f"multipart/form-data; boundary={BOUNDARY}", body


def a_form_of(fields: Sequence[tuple[str, str]], built: BuiltFile, *more_parts: bytes) -> Body:
    """The fields, the file, and what follows it."""
    texts = [a_text_part(name, value) for name, value in fields]
    return a_form(*texts, a_file_part(built.filename, built.content), *more_parts)


def least_fields(name: str, version: str = "1.0") -> list[tuple[str, str]]:
    """What no form may lack."""
    return [(":action", "file_upload"), ("name", name), ("version", version)]


def an_attestation(
    built: BuiltFile, *, subject_name: str | None = None, sha256: str | None = None
) -> dict[str, object]:
    """An attestation of a file; `subject_name` and `sha256` are not those of the file."""
    digest = {"sha256": sha256 or built.sha256}
    subject = {"name": subject_name or built.filename, "digest": digest}
    return builders.an_attestation(builders.a_statement(built, subject=[subject]))


def _part(disposition: str, more: str, content: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n"
