"""Bodies of uploads, cut up in every way, and what is wrong with them."""

import logging
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import pytest
import python_multipart
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simpleindex.wire.multipart import (
    FIELD_BYTES_MAX,
    FIELDS_MAX,
    TEXT_BYTES_MAX,
    Event,
    Field,
    FileChunk,
    FileEnd,
    FileStart,
    MultipartParser,
    Signature,
)
from simpleindex_storage.errors import Refused
from tests.builders import a_multipart_body

CONTENT_TYPE = "multipart/form-data; boundary=b"
FILENAME = "demo-1.0.tar.gz"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """python-multipart logs what it refuses, and we say it ourselves."""
    logger = logging.getLogger("python_multipart")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)


def events_of(body: bytes, content_type: str = CONTENT_TYPE, *, step: int = 0) -> list[Event]:
    """The events of a whole body, fed in pieces of `step` bytes, and file chunks joined."""
    step = step or max(len(body), 1)
    return fed((body[at : at + step] for at in range(0, len(body), step)), content_type)


def fed(chunks: Iterable[bytes], content_type: str = CONTENT_TYPE) -> list[Event]:
    parser = MultipartParser(content_type)
    events: list[Event] = []
    for chunk in chunks:
        for event in parser.feed(chunk):
            match events, event:
                case [*_, FileChunk(so_far)], FileChunk(data):
                    assert data
                    events[-1] = FileChunk(so_far + data)
                case _:
                    events.append(event)
    parser.finish()
    return events


def a_part(value: bytes = b"v", disposition: bytes = b'form-data; name="n"') -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + value + b"\r\n"


def refusal(body: bytes, content_type: str = CONTENT_TYPE) -> str:
    lines = set()
    for step in (0, 1, 7):
        with pytest.raises(Refused) as refused:
            events_of(body, content_type, step=step)
        lines.add(str(refused.value))
    (line,) = {line.partition(" (")[0] for line in lines}
    assert line.startswith("upload form: ")
    assert line.isprintable()
    return line


END = b"--b--\r\n"

UNUSUAL = [
    a_part() + b"--b",
    a_part() + b"--b--x",
    a_part() + b"--b--\r\n\r\n",
    a_part() + b"--b-\r\n" + END,
    a_part() + b"--bb\r\n" + END,
    a_part() + b"--b \r\n" + END,
    a_part() + b"--b\n" + END,
    b"\r\n" + a_part() + END,
    b"\n" + a_part() + END,
    a_part() + END + END,
    a_part(b"v\r\n--b\r\n") + END,
    a_part(b"v\r\n--bx") + END,
    a_part(b"\xff") + END,
    a_part(disposition=b'form-data; name="content"') + END,
    a_part(disposition=b'form-data; name="n"; filename="a.whl"') + END,
    a_part(disposition=b'form-data; name="content"; filename=""') + END,
    a_part(disposition=b'form-data; name="content"; filename="a b.whl"') + END,
    a_part(disposition=b'form-data; name="n"; name="n"') + END,
    a_part(disposition=b"form-data; name=n") + END,
    b"--b\r\nContent-Type: text/plain\r\n\r\nv\r\n" + END,
    b'--b\r\nContent-Disposition: form-data; name="n"\r\nv\r\n' + END,
    b"--b\r\n\r\nv\r\n" + END,
    END,
    b"",
]


def test_a_form_becomes_its_fields_and_its_file() -> None:
    content = bytes(range(256)) + b"\r\n--b\r\n--bx--\r\n--b-\r\n"
    content_type, body = a_multipart_body(
        [(":action", "file_upload"), ("summary", "ünï\r\ncode"), ("empty", "")],
        ("content", FILENAME, content),
    )
    wanted = [
        Field(":action", "file_upload"),
        Field("summary", "ünï\r\ncode"),
        Field("empty", ""),
        FileStart("content", FILENAME),
        FileChunk(content),
        FileEnd(),
    ]
    for step in (0, 1, 2, 3, 5, 64):
        assert events_of(body, content_type, step=step) == wanted


def test_a_plain_body_that_has_come_whole_is_not_taken_apart_byte_by_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> int:
        raise AssertionError("byte by byte")

    content = b"\r\n\r\n--b\r\n" + bytes(range(256))
    content_type, body = a_multipart_body(
        [(":action", "file_upload"), ("description", "a\r\n\r\nb"), ("empty", "")],
        ("content", FILENAME, content),
    )
    monkeypatch.setattr(python_multipart.MultipartParser, "write", fail)
    wanted = [
        Field(":action", "file_upload"),
        Field("description", "a\r\n\r\nb"),
        Field("empty", ""),
        FileStart("content", FILENAME),
        FileChunk(content),
        FileEnd(),
    ]
    assert events_of(body, content_type) == wanted
    parser = MultipartParser(content_type)
    assert parser.feed(body) == wanted
    parser.finish()
    with pytest.raises(Refused, match="goes on behind the final boundary"):
        parser.feed(bytes(5000))


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_what_is_unusual_means_the_same_however_it_comes(unusual: bytes) -> None:
    def told(step: int) -> list[Event] | str:
        try:
            return events_of(unusual, step=step)
        except Refused as refused:
            return str(refused).partition(" (")[0]

    assert told(0) == told(1)


def test_the_file_may_come_first_and_be_empty() -> None:
    disposition = b'form-data; name="content"; filename="a.whl"'
    body = a_part(b"", disposition) + a_part() + END
    assert events_of(body) == [FileStart("content", "a.whl"), FileEnd(), Field("n", "v")]


def test_a_large_file_is_passed_on_without_being_gathered() -> None:
    block, chunks = random.Random(3).randbytes(1 << 16), 400
    head = a_part(b"", b'form-data; name="content"; filename="a.whl"')[:-2]
    parser = MultipartParser(CONTENT_TYPE)
    assert parser.feed(head) == [FileStart("content", "a.whl")]
    tracemalloc.start()
    sizes = [
        sum(len(event.data) for event in parser.feed(block) if isinstance(event, FileChunk))
        for _ in range(chunks)
    ]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(sizes) == chunks * len(block)
    assert peak_bytes < 4 * len(block)
    assert parser.feed(b"\r\n" + END) == [FileEnd()]
    parser.finish()


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=b",
        'Multipart/Form-Data;boundary="b"',
        "multipart/form-data; charset=utf-8; BOUNDARY = b ;",
        'multipart/form-data; charset="a;b\\"c"; boundary=b',
    ],
)
def test_the_boundary_is_found_however_it_is_spelled(content_type: str) -> None:
    assert events_of(a_part() + END, content_type) == [Field("n", "v")]


@pytest.mark.parametrize(
    "boundary", ["-" * 14 + "GHSKFJ", "a'()+_,-./:=?b", "x" * 70, "----WebKitFormBoundary7MA4", "0"]
)
def test_boundaries_may_have_any_character_of_the_standard(boundary: str) -> None:
    _, body = a_multipart_body([("n", "v")], boundary=boundary)
    quoted = f'multipart/form-data; boundary="{boundary}"'
    assert events_of(body, quoted) == events_of(body, quoted.replace('"', ""), step=1)


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        ("", "its Content-Type is ''"),
        ("application/x-www-form-urlencoded", "sent as multipart/form-data"),
        ("multipart/mixed; boundary=b", "sent as multipart/form-data"),
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; boundary=", "no boundary"),
        ('multipart/form-data; boundary=""', "no boundary"),
        ("multipart/form-data; boundary=" + "x" * 71, "no boundary"),
        ('multipart/form-data; boundary="b "', "no boundary"),
        ('multipart/form-data; boundary="\u00fc"', "no boundary"),
        ('multipart/form-data; boundary="a{b"', "no boundary"),
        ("multipart/form-data; boundary=b; boundary=c", "names 'boundary' twice"),
        ("multipart/form-data; boundary=b; boundary=b", "names 'boundary' twice"),
        ('multipart/form-data; boundary="b', "malformed"),
        ("multipart/form-data; boundary=b c", "malformed"),
        ("multipart/form-data; boundary", "malformed"),
        ("multipart/form-data; boundary=b\r\n", "control characters"),
        ("multipart/form-data; boundary=b\0", "control characters"),
    ],
)
def test_other_content_types_are_refused(content_type: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        MultipartParser(content_type)
    assert words in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'form-data; name="content"; filename="a.whl"', "a.whl"),
        (b"form-data; name=content; filename=a.whl", "a.whl"),
        (b'Form-Data ;NAME = "content";filename="a;b.whl" ;', "a;b.whl"),
        (b'form-data; filename="a \\"b\\" \\\\c.whl"; name="content"', 'a "b" \\c.whl'),
        (b'form-data; name="content"; filename="C:\\demo\\a.whl"', "C:\\demo\\a.whl"),
        (b'form-data; name="content"; filename="..\\..\\a.whl"', "..\\..\\a.whl"),
        (b'form-data; name="content"; filename="../../etc/a.whl"', "../../etc/a.whl"),
        ('form-data; name="content"; filename="\u00fc.whl"'.encode(), "\u00fc.whl"),
        (b"form-data; name=content; filename*=utf-8''%C3%BC%0A.whl", "\u00fc\n.whl"),
        (b"form-data; name=content; filename*=UTF-8'en'a'b.whl", "a'b.whl"),
        (b"form-data; name=content; filename*=ISO-8859-1''%FC.whl", "\u00fc.whl"),
        (b"form-data; name=content; filename*=utf-8''b.whl; filename=a.whl", "a.whl"),
        (b"form-data; name=content; filename*0=x; filename=a.whl", "a.whl"),
    ],
)
def test_file_names_are_told_as_the_client_meant_them(disposition: bytes, filename: str) -> None:
    for step in (0, 1):
        events = events_of(a_part(b"x", disposition) + END, step=step)
        assert events == [FileStart("content", filename), FileChunk(b"x"), FileEnd()]


@pytest.mark.parametrize(
    ("disposition", "words"),
    [
        (b"attachment; name=n", "not form-data with a name"),
        (b"form-data", "not form-data with a name"),
        (b"form-data; filename=a", "not form-data with a name"),
        (b"form-data; name=a; name=a", "names 'name' twice"),
        (b'form-data; name="content"; filename=a; filename=b', "names 'filename' twice"),
        (b'form-data; name="n', "malformed"),
        (b"form-data; name=a b", "malformed"),
        (b"form-data; =", "malformed"),
        (b'form-data; name="\xff"', "not UTF-8"),
        (b'form-data; name="a\nb"', "control characters"),
        (b'form-data; name="a\0b"', "control characters"),
        (b"form-data; name=content", "has no file name"),
        (b'form-data; name=content; filename=""', "has no file name"),
        (b"form-data; name=content; filename*=utf-8''%FF", "not UTF-8"),
        (b"form-data; name=content; filename*=koi8-r''a", "no charset"),
        (b"form-data; name=content; filename*=a", "no charset"),
        (b"form-data; name=content; filename*=utf-8'a", "no charset"),
        (b"form-data; name=other; filename=a.whl", "has a file in its part 'other'"),
    ],
)
def test_parts_that_are_ambiguous_or_out_of_place_are_refused(
    disposition: bytes, words: str
) -> None:
    assert words in refusal(a_part(b"x", disposition) + END)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "has no Content-Disposition"),
        (b"Content-Type: text/plain\r\n", "has no Content-Disposition"),
        (b"Content-Disposition: form-data; name=a\r\n" * 2, "two headers 'content-disposition'"),
        (
            b"Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n",
            "Content-Transfer-Encoding",
        ),
        (b"".join(b"X%d: 1\r\n" % number for number in range(9)), "malformed"),
        (b"X: " + b"a" * 5000 + b"\r\n", "malformed"),
        (b"X" * 5000 + b": a\r\n", "malformed"),
        (b"X y: a\r\n", "malformed"),
        (b": a\r\n", "malformed"),
        (b"X: a\rb\r\n", "malformed"),
        (b"Content-Disposition: form-data;\r\n name=a\r\n", "malformed"),
    ],
)
def test_bad_part_headers_are_refused(head: bytes, words: str) -> None:
    body = b"--b\r\n" + head + b"\r\nx\r\n" + END
    for step in (0, 1):
        with pytest.raises(Refused, match=r"^upload form: ") as refused:
            events_of(body, step=step)
        assert words in str(refused.value)


def test_harmless_part_headers_are_taken() -> None:
    head = (
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
        b"content-disposition: form-data; name=a\r\nContent-Length: 1\r\n\r\nx\r\n"
    )
    assert events_of(head + END, step=1) == [Field("a", "x")]


def test_text_that_is_not_utf_8_is_refused() -> None:
    assert "its field 'n' is not UTF-8" in refusal(a_part(b"\xfcber") + END)


SIGNATURE = a_part(b"\xff\0", b'form-data; name="gpg_signature"; filename="a.whl.asc"')


def test_a_signature_comes_whole_and_beside_the_file() -> None:
    file = a_part(b"x", b"form-data; name=content; filename=a.whl")
    assert events_of(SIGNATURE + file + END, step=1) == [
        Signature(b"\xff\0"),
        FileStart("content", "a.whl"),
        FileChunk(b"x"),
        FileEnd(),
    ]
    assert events_of(a_part(b"x", b"form-data; name=gpg_signature") + END) == [
        Field("gpg_signature", "x")
    ]


def test_a_second_signature_is_refused() -> None:
    assert "more than one signature" in refusal(SIGNATURE + SIGNATURE + END)


def test_a_second_file_is_refused() -> None:
    file = a_part(b"x", b"form-data; name=content; filename=a.whl")
    assert "more than one file" in refusal(file + file + END)


def test_as_many_fields_as_the_limit_are_taken_and_no_more() -> None:
    assert len(events_of(a_part() * FIELDS_MAX + END)) == FIELDS_MAX
    assert f"more than {FIELDS_MAX} fields" in refusal(a_part() * (FIELDS_MAX + 1) + END)


@pytest.mark.parametrize("step", [0, 1 << 16])
def test_text_up_to_the_limits_is_taken_and_no_more(step: int) -> None:
    largest = a_part(b"v" * FIELD_BYTES_MAX)
    assert events_of(largest + END, step=step) == [Field("n", "v" * FIELD_BYTES_MAX)]
    with pytest.raises(Refused, match="its field 'n' is larger than 2 MiB"):
        events_of(a_part(b"v" * (FIELD_BYTES_MAX + 1)) + END, step=step)
    rest = a_part(b"v" * (TEXT_BYTES_MAX - FIELD_BYTES_MAX - 2))
    assert len(events_of(largest + rest + END, step=step)) == 2
    with pytest.raises(Refused, match="text fields are larger than 4 MiB in all"):
        events_of(largest + rest + a_part(b"") + END, step=step)


def test_a_signature_counts_as_text() -> None:
    signature = b"form-data; name=gpg_signature; filename=s"
    with pytest.raises(Refused, match="larger than 2 MiB"):
        events_of(a_part(b"v" * (FIELD_BYTES_MAX + 1), signature) + END)


@pytest.mark.parametrize(
    "preamble", [b"\r\n", b"\r\n\r\n", b"This is a form.\r\n", b"a-b--b\r\n", b"x" * 4094 + b"\r\n"]
)
def test_a_preamble_is_skipped(preamble: bytes) -> None:
    for step in (0, 1, 3):
        assert events_of(preamble + a_part() + END, step=step) == [Field("n", "v")]


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 4097 + b"\r\n" + a_part() + END,
        b"\r\n" * 3000 + a_part() + END,
        b"x" * 10_000,
        b'{"name": "demo"}' * 500,
    ],
)
def test_a_long_preamble_is_refused(body: bytes) -> None:
    assert "does not begin with the boundary" in refusal(body)


@pytest.mark.parametrize("epilogue", [b"", b"\r\n", b"\r\nmore\r\n--b\r\n", b"\r\n--b--" * 100])
def test_an_epilogue_is_ignored(epilogue: bytes) -> None:
    for step in (0, 1, 3):
        assert events_of(a_part() + b"--b--" + epilogue, step=step) == [Field("n", "v")]
        assert events_of(b"--b--" + epilogue, step=step) == []


@pytest.mark.parametrize("body", [a_part() + b"--b--", b"--b--"], ids=["a field", "nothing"])
def test_a_long_epilogue_is_refused_however_it_comes(body: bytes) -> None:
    for step in (0, 1, 1000):
        events_of(body + b"x" * 4096, step=step)
    assert "behind the final boundary" in refusal(body + b"x" * 4097)


def test_a_long_epilogue_is_refused_if_the_final_boundary_comes_in_pieces() -> None:
    pieces = [a_part(), b"--", b"b", b"-"]
    assert fed([*pieces, b"-" + b"x" * 4096]) == [Field("n", "v")]
    with pytest.raises(Refused, match="behind the final boundary"):
        fed([*pieces, b"-" + b"x" * 4097])


def test_a_body_that_was_cut_off_anywhere_is_refused() -> None:
    body = b"\r\n" + a_part() + a_part(b"x", b"form-data; name=content; filename=a") + b"--b--"
    assert len(events_of(body)) == 4
    for end in range(len(body)):
        assert "it ends before its final boundary" in refusal(body[:end])


@pytest.mark.parametrize(
    "body",
    [
        b"--b x\r\n" + a_part()[5:] + END,
        b"--b\n" + a_part()[5:] + END,
        b"--b-\r\n",
        b"--bx\r\n" + a_part() + END,
        a_part().replace(b"\r\n", b"\n") + END,
    ],
)
def test_malformed_boundaries_are_refused(body: bytes) -> None:
    assert "its multipart body is malformed" in refusal(body)


PIECES = [
    b"--b", b"\r\n", b"--b\r\n", b"--b--", b"\r\n--b", b"\r", b"\n", b"-", b"--", b" ", b"b",
    b"Content-Disposition: form-data; name=a\r\n\r\n",
    b'Content-Disposition: form-data; name="content"; filename="a.whl"\r\n\r\n',
    b"Content-Disposition:", b"\r\n\r\n", b"\r\n--b--\r\n", b"x", b":", b"\0", b"\xff",
]  # fmt: skip

bodies = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=5)), max_size=25).map(
    b"".join
)
contents = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=9)), max_size=12).map(
    b"".join
)


def cut(body: bytes, ends: Iterable[int]) -> list[bytes]:
    at = [0, *sorted(end % (len(body) + 1) for end in ends), len(body)]
    return [body[start:end] for start, end in pairwise(at)]


def outcome(work: Callable[[], list[Event]]) -> list[Event] | None:
    """The events, or None for a refusal."""
    try:
        return work()
    except Refused as refused:
        assert str(refused).isprintable()
        return None


@settings(max_examples=400, deadline=None)
@given(bodies, st.lists(st.integers(0, 10_000), max_size=12))
@example(b"\r\nab-" + a_part() + END, [4])
@example(a_part() + b"--b--" + b"x" * 4096, [40])
def test_any_bytes_are_events_or_refused_and_chunks_make_no_difference(
    body: bytes, ends: list[int]
) -> None:
    whole = outcome(lambda: fed([body]))
    assert outcome(lambda: fed(cut(body, ends))) == whole
    assert outcome(lambda: events_of(body, step=1)) == whole


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.text("ab:_", min_size=1), st.text(max_size=20)), max_size=4),
    contents,
    st.lists(st.integers(0, 10_000), max_size=12),
)
def test_what_was_sent_is_what_arrives_in_any_chunks(
    fields: list[tuple[str, str]], content: bytes, ends: list[int]
) -> None:
    boundary = "never-in-the-content"
    fields = [(name, value.encode(errors="replace").decode()) for name, value in fields]
    content_type, body = a_multipart_body(fields, ("content", FILENAME, content), boundary=boundary)
    wanted: list[Event] = [Field(name, value) for name, value in fields]
    wanted += [FileStart("content", FILENAME), FileChunk(content), FileEnd()]
    if not content:
        wanted.remove(FileChunk(b""))
    assert fed(cut(body, ends), content_type) == wanted


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.sampled_from(["b", '"', ";", "=", "\\"]))
def test_any_content_type_is_taken_or_refused(text: str) -> None:
    for content_type in (text, f"multipart/form-data; boundary={text}"):
        try:
            MultipartParser(content_type)
        except Refused as refused:
            assert str(refused).isprintable()
