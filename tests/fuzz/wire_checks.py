"""What must hold of the parsers of forms, headers, paths, names and JSON.

A check takes any bytes and tells whether they were taken. Nothing may come out of a parser but what
it documents; whatever else is raised, AssertionError among it, is a failure.
"""

import json
import posixpath
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from simpleindex.wire import (
    conditional,
    credentials,
    devpi_json,
    index_settings,
    locations,
    marks_json,
    negotiate,
    upload_form,
    user_json,
)
from simpleindex.wire.multipart import (
    FIELD_BYTES_MAX,
    Event,
    Field,
    FileChunk,
    FileEnd,
    FileStart,
    MultipartParser,
)
from simpleindex_storage import names
from simpleindex_storage.errors import Refused
from simpleindex_storage.metadata import LIST_FIELDS, SINGLE_FIELDS, stated
from simpleindex_storage.model import Index
from simpleindex_storage.names import IndexName, parse_filename
from tests.fuzz import references
from tests.fuzz.outcomes import shortened, taken
from tests.fuzz.references import NoOpinion

BOUNDARIES = (b"b", b"--", b"aab", b"-b-b")
"""Of forms; the first byte of an input picks one. Some begin again within themselves."""

HELD_BYTES_MAX = 48 << 10
"""What a parser of forms may hold while it passes the file on: part headers, a boundary."""

_STEPS_MAX = 3000
"""Longer bodies are not fed byte by byte."""

_Value = TypeVar("_Value")


# Forms


def multipart(data: bytes) -> bool:
    """However a body is cut up, the same comes out of it: what was sent, and nothing is hoarded."""
    # Behind the byte for the boundary, two for where to cut.
    boundary, cuts, body = BOUNDARIES[(data or b"\0")[0] % len(BOUNDARIES)], data[1:3], data[3:]
    whole = _events([body], boundary)
    pieces = _events(_cut(body, cuts), boundary, weighed=True)
    assert pieces == whole, f"whole: {shortened(whole)}, in pieces: {shortened(pieces)}"
    if len(body) <= _STEPS_MAX:
        steps = _events([body[at : at + 1] for at in range(len(body))], boundary)
        assert steps == whole, f"whole: {shortened(whole)}, byte by byte: {shortened(steps)}"
    try:
        expected = _expected_events(references.split_form(body, boundary))
    except NoOpinion:
        pass
    else:
        assert whole == expected, f"sent: {shortened(expected)}, arrived: {shortened(whole)}"
    return whole is not None


def _events(
    chunks: Iterable[bytes], boundary: bytes, *, weighed: bool = False
) -> list[Event] | None:
    return taken(lambda: _fed(chunks, boundary, weighed))


def _fed(chunks: Iterable[bytes], boundary: bytes, weighed: bool) -> list[Event]:
    """The events of a body, with the chunks of the file joined."""
    parser = MultipartParser(f'multipart/form-data; boundary="{boundary.decode()}"')
    events: list[Event] = []
    content: list[bytes] = []
    for chunk in chunks:
        for event in parser.feed(chunk):
            if isinstance(event, FileChunk):
                assert event.data, "an empty chunk of the file"
                content.append(event.data)
                continue
            if isinstance(event, FileEnd) and content:
                events.append(FileChunk(b"".join(content)))
            events.append(event)
        if weighed:
            in_file = bool(events) and isinstance(events[-1], FileStart)
            _check_held(parser, HELD_BYTES_MAX if in_file else HELD_BYTES_MAX + FIELD_BYTES_MAX)
    parser.finish()
    return events


def _check_held(parser: MultipartParser, bytes_max: int) -> None:
    held_bytes = _held(parser)
    assert held_bytes <= bytes_max, f"the parser holds {held_bytes} bytes"


def _held(value: object, levels: int = 3) -> int:
    """How many bytes hang on an object."""
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    if not levels:
        return 0
    if isinstance(value, dict):
        return sum(_held(each, levels - 1) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return sum(_held(each, levels - 1) for each in value)
    slots = (getattr(value, name, None) for name in getattr(value, "__slots__", ()))
    return sum(
        _held(each, levels - 1) for each in (*getattr(value, "__dict__", {}).values(), *slots)
    )


def _cut(body: bytes, cuts: bytes) -> list[bytes]:
    rng = random.Random(cuts)
    near = [at for at in (body.find(b"\r\n--"), body.rfind(b"\r\n--"), len(body)) if at >= 0]
    ends = [
        rng.choice(
            [rng.randrange(len(body) + 1), min(len(body), rng.choice(near) + rng.randrange(9))]
        )
        for _ in range(rng.randrange(1, 7))
    ]
    return [body[start:end] for start, end in pairwise([0, *sorted(ends), len(body)])]


def _expected_events(form: references.Form) -> list[Event]:
    events: list[Event] = []
    for name, filename, content in form:
        if name == "content" and filename is not None:
            chunks = [FileChunk(content)] if content else []
            events += [FileStart(name, filename), *chunks, FileEnd()]
        elif filename is None and name != "content":
            try:
                events.append(Field(name, content.decode()))
            except UnicodeDecodeError:
                raise NoOpinion from None
        else:
            raise NoOpinion  # a file out of place
    if sum(isinstance(event, FileStart) for event in events) > 1:
        raise NoOpinion
    return events


def form_fields(data: bytes) -> bool:
    """A form, a line a field after one with the file's name, keeps what it says, or is refused."""
    filename, *lines = data.decode("utf-8", "replace").split("\n")
    form = [(name, value) for name, _, value in (line.partition("=") for line in lines)]
    upload = taken(
        lambda: upload_form.parse(form, filename, index=IndexName("root/local"), sender="root")
    )
    if upload is None:
        return False
    sent = {stated("", value) for _, value in form}
    assert upload.filename == filename
    assert upload.name in sent
    assert upload.version in sent
    assert set(upload.fields) <= SINGLE_FIELDS | LIST_FIELDS
    for algorithm, digest in upload.promised.items():
        assert len(bytes.fromhex(digest)) == {"md5": 16}.get(algorithm, 32)
        assert digest == digest.lower()
    return True


# Headers and paths

_FORMS = {
    references.HTML: negotiate.Form.HTML,
    references.V1_HTML: negotiate.Form.V1_HTML,
    references.JSON: negotiate.Form.JSON,
    None: None,
}
_LATEST = {
    "application/vnd.pypi.simple.latest+html": "application/vnd.pypi.simple.v1+html",
    "application/vnd.pypi.simple.latest+json": "application/vnd.pypi.simple.v1+json",
}


def accept(data: bytes) -> bool:
    """Any Accept, and in a second line any `?format=`, gets the form that the standards give it."""
    header, newline, format_query = data.decode("latin-1").partition("\n")
    chosen = negotiate.choose(header)
    assert chosen == negotiate.choose(" " * 400 + header), "remembered and weighed differ"
    try:
        expected = _FORMS[references.chosen_form(header)]
    except NoOpinion:
        pass
    else:
        assert chosen is expected, f"{chosen} instead of {expected}"
    if newline:
        named = _LATEST.get(format_query, format_query)
        by_name = {form.value.partition(";")[0]: form for form in negotiate.Form}
        meant = negotiate.choose(header, format_query)
        if named in by_name:
            assert meant is by_name[named]
        else:
            assert meant in (chosen, negotiate.choose(None, format_query))
    for asks in (negotiate.names_html, negotiate.names_json):
        asks(header)
    return chosen is not None


def accept_encoding(data: bytes) -> bool:
    """gzip is sent to those who want it."""
    header = data.decode("latin-1")
    taken = negotiate.takes_gzip(header)
    try:
        expected = references.welcomes_gzip(header)
    except NoOpinion:
        return taken
    assert taken is expected
    return taken


def byte_range(data: bytes) -> bool:
    """A Range selects the bytes that it names; of all others, the whole file or nothing is sent.

    The first byte is the size of the file, the lines behind it are Range and If-Range.
    """
    size_bytes, (header, newline, if_range) = (
        (data or b"\0")[0],
        data[1:].decode("latin-1").partition("\n"),
    )
    etag = '"an-etag"'
    chosen = conditional.choose_range(
        header, if_range if newline else None, etag=etag, last_modified=None, size_bytes=size_bytes
    )
    if isinstance(chosen, conditional.ByteRange):
        assert 0 <= chosen.first <= chosen.last < size_bytes
        assert not newline or if_range.strip(" \t") == etag, "a part of another file"
    if newline and if_range != etag:
        assert if_range.strip(" \t") == etag or chosen is None
        return False
    try:
        selected = references.selected_bytes(header, size_bytes)
    except NoOpinion:
        return chosen is not None
    if isinstance(chosen, conditional.ByteRange):
        assert [*range(chosen.first, chosen.last + 1)] == selected
    elif size_bytes:
        assert chosen == conditional.Unsatisfiable()
        assert selected == []
    return True


def entity_tags(data: bytes) -> bool:
    """An If-None-Match matches if it lists the tag; the first line is ours."""
    own, _, header = data.decode("latin-1").partition("\n")
    etag = '"' + "".join(letter for letter in own if "#" <= letter <= "~") + '"'
    matches = [conditional.matches_none(header, prefix + etag) for prefix in ("", "W/")]
    assert matches[0] is matches[1], "a weak tag is compared otherwise"
    try:
        expected = etag[1:-1] in references.listed_tags(header)
    except NoOpinion:
        return matches[0]
    assert matches[0] is expected
    return True


def authorization(data: bytes) -> bool:
    """Credentials, one line for each of the two headers, are those that were sent, or none."""
    header, newline, devpi = data.decode("latin-1").partition("\n")
    given = credentials.parse_credentials(header, devpi if newline else None)
    if given is None:
        return False
    value = devpi if newline else header.split(" ", 1)[1]
    assert ":" not in given.user
    sent = _unbase64(value)
    assert f"{given.user}:{given.secret}" in (
        sent.decode("utf-8", "replace"),
        sent.decode("latin-1"),
    )
    return True


def _unbase64(value: str) -> bytes:
    """By counting bits, as the alphabet says (RFC 4648, 4)."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bits = "".join(f"{alphabet.index(letter):06b}" for letter in value.strip().rstrip("="))
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) // 8 * 8, 8))


def paths(data: bytes) -> bool:
    """A path names things by its own parts, none of which leads elsewhere."""
    path = data.decode("utf-8", "replace")
    located = locations.locate(path)
    if located is None:
        return False
    if isinstance(located, locations.FileAt):
        # What the name of a file may be is for another parser to say.
        prefix, filename = located.sha256_prefix, located.filename
        place = taken(lambda: names.parse_place(IndexName("u/i"), prefix, filename))
        assert place is None or posixpath.normpath(place.path) == place.path
    parts = path.split("/")
    if not isinstance(located, locations.Api | locations.Root):
        inner = path.lstrip("/").removesuffix("/").split("/")
        assert not {"", ".", ".."}.intersection(inner), "a path that leads elsewhere"
    for field in fields(located):
        said = getattr(located, field.name)
        if not isinstance(said, str):
            continue
        if field.name == "below":
            assert path.endswith(said)
        elif field.name == "sha256_prefix":
            assert said[:3] in parts
            assert said[3:] in parts
        else:
            assert "/" not in said
            assert any(said in part for part in parts)  # endings stand apart from a file's name
    assert locations.locate("/" + path.lstrip("/")) == located
    return True


# Names


def file_names(data: bytes) -> bool:
    """A file name that is taken stands for itself, stays in its folder, and is one on any disk."""
    text = data.decode("utf-8", "replace")
    filename = taken(lambda: parse_filename(text))
    if filename is None:
        return False
    place = names.parse_place(IndexName("root/local"), "0" * 16, text)
    assert posixpath.normpath(place.path) == place.path
    assert posixpath.dirname(place.path) == "root/local/+f/000/" + "0" * 13
    assert names.parse_project_name(filename.project) == filename.project
    assert names.parse_version(filename.version) == filename.version
    assert filename.text == text
    name, version, *rest = text.split("-")
    if rest:  # of a wheel: the same in another spelling is the same file
        assert parse_filename("-".join([name.swapcase(), version, *rest])).key == filename.key
    return True


def plain_names(data: bytes) -> bool:
    """A name of a user, an index, a project, or a version is one part of a path, or refused."""
    text = data.decode("utf-8", "replace")
    parsers: Sequence[Callable[[str], str]] = (
        names.parse_user_name,
        names.parse_index_name,
        names.parse_project_name,
        names.parse_version,
    )
    any_taken = False
    for parse in parsers:
        name = taken(lambda parse=parse: parse(text))  # type: ignore[misc]  # the default binds it
        if name is None:
            continue
        any_taken = True
        assert name.isascii()
        assert name.isprintable()
        assert parse(name) == name
        depth = 2 if parse is names.parse_index_name else 1
        assert len(Path(name).parts) == depth
        assert ".." not in name.split("/")
    return any_taken


# JSON


def json_bodies(data: bytes) -> bool:
    """What is taken from a body can be written down again, and means the same then."""
    name = IndexName("root/dev")
    content = _parsed(lambda: devpi_json.parse_object(data))
    if content is None:
        return False
    again = json.dumps(dict(content), allow_nan=False).encode()
    assert devpi_json.parse_object(again) == content
    for parse in (
        user_json.parse_login,
        user_json.parse_new_user,
        marks_json.parse_yank,
        marks_json.parse_status,
    ):
        said = _parsed(lambda parse=parse: (parse(data),))  # type: ignore[misc]  # as above
        assert said == _parsed(lambda parse=parse: (parse(again),))  # type: ignore[misc]
    settings = _parsed(lambda: index_settings.parse_new_index(data, name, None))
    if settings is not None:
        config = index_settings.index_config(Index(name, settings), with_secrets=True)
        shown = json.dumps(config).encode()
        assert index_settings.parse_new_index(shown, name, None) == settings
    return True


def _parsed(work: Callable[[], _Value]) -> _Value | None:
    """What comes out, or None. What quotes the body is made printable at the door."""
    try:
        return work()
    except Refused as refused:
        str(refused).encode()
        return None
