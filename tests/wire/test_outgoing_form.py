from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest

from simpleindex.wire import upload_form
from simpleindex.wire.multipart import Field, FileChunk, FileStart, MultipartParser
from simpleindex.wire.outgoing_form import (
    around_file,
    documentation_fields,
    file_fields,
    registration,
)
from simpleindex_storage.model import DistFile, Fields
from simpleindex_storage.names import IndexName, parse_filename

INDEX = IndexName("root/local")
SAID: Fields = {
    "name": "Demo",
    "version": "1.0",
    "metadata_version": "2.4",
    "summary": 'Über "alles"\r\n--boundary--',
    "classifiers": ("A :: B", "C"),
    "provides_extras": ("x",),
    "requires_dist": ("b>=1",),
}


def a_file(filename: str) -> DistFile:
    parsed = parse_filename(filename)
    return DistFile(
        index=INDEX,
        project=parsed.project,
        version=parsed.version,
        filename=filename,
        key=parsed.key,
        size_bytes=3,
        sha256="1" * 64,
        md5="2" * 32,
        blake2b_256="3" * 64,
        uploaded_at=datetime(2026, 1, 1, tzinfo=UTC),
        uploaded_by="root",
    )


@pytest.mark.parametrize(
    ("filename", "filetype", "pyversion"),
    [
        ("demo-1.0-py3-none-any.whl", "bdist_wheel", "py3"),
        ("demo-1.0-1-cp311-abi3-linux_x86_64.whl", "bdist_wheel", "cp311"),
        ("demo-1.0.tar.gz", "sdist", "source"),
        ("demo-1.0.zip", "sdist", "source"),
        ("demo-1.0-py2.7.egg", "bdist_egg", "2.7"),
    ],
)
def test_what_is_sent_is_read_as_what_was_meant(
    filename: str, filetype: str, pyversion: str
) -> None:
    file = a_file(filename)
    fields = file_fields(file, SAID)
    assert dict(fields)["filetype"] == filetype
    assert dict(fields)["pyversion"] == pyversion
    assert ("provides_extra", "x") in fields  # as twine calls it
    head, tail = around_file(fields, filename, "b0undary")
    parser = MultipartParser("multipart/form-data; boundary=b0undary")
    events = parser.feed(head + b"abc" + tail)
    parser.finish()
    received = [(event.name, event.value) for event in events if isinstance(event, Field)]
    assert received == list(fields)
    assert FileStart("content", filename) in events
    assert b"".join(event.data for event in events if isinstance(event, FileChunk)) == b"abc"
    upload = upload_form.parse(received, filename, index=INDEX, sender="root")
    assert upload.fields == SAID
    assert upload.promised == {
        "sha256": file.sha256,
        "md5": file.md5,
        "blake2b_256": file.blake2b_256,
    }


def test_documentation_and_registrations_name_the_release() -> None:
    form = upload_form.parse_documentation(
        documentation_fields("demo", "1.0", {}), "demo-1.0.doc.zip"
    )
    assert (form.project, form.version) == ("demo", "1.0")
    fields = parse_qsl(registration("demo", "1.0", SAID).decode())
    assert upload_form.action_of(fields) is upload_form.Action.SUBMIT
    assert upload_form.parse_submit(fields).fields == SAID
