"""Attacks by uploads: names, archives, and forms that are broken or without end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tests.bad_archives import BAD_ARCHIVES, BadArchive
from tests.builders import BuiltFile, a_multipart_body, an_upload_body, upload_fields
from tests.hostile_requests.attack import ESCAPED, MARKUP, SILENT, Attack, Change, refused, shown
from tests.hostile_requests.doors import FORMS, NEW, Request

_BOUNDARY = "x1y2z3"
_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"

FILENAMES: Sequence[str] = [
    f"../{ESCAPED}-1.0-py3-none-any.whl", f"../../../../../../tmp/{ESCAPED}-1.0.tar.gz",
    f"/tmp/{ESCAPED}-1.0.tar.gz", f"..\\..\\{ESCAPED}-1.0.tar.gz", f"C:\\{ESCAPED}-1.0.tar.gz",
    f"\\\\host\\share\\{ESCAPED}-1.0.tar.gz", f"{ESCAPED}-1.0.tar.gz/..", f"./{ESCAPED}-1.0.tar.gz",
    f"%2e%2e%2f{ESCAPED}-1.0.tar.gz", f"..%252f{ESCAPED}-1.0.tar.gz",
    f"..%c0%af{ESCAPED}-1.0.tar.gz", f"\uff0e\uff0e\uff0f{ESCAPED}-1.0.tar.gz",
    f"{ESCAPED}\u2215-1.0.tar.gz", f"{ESCAPED}-1.0.tar.gz%00.whl", "..", ".", "", "/", "\\",
    "con-1.0.tar.gz", "con.whl", "nul", "aux-1.0-py3-none-any.whl",
    "newcomer-1.0-py3-none-any.whl.", "newcomer-1.0-py3-none-any.whl ",
    "newcomer-1.0-py3-none-any.whl::$DATA", ".newcomer-1.0-py3-none-any.whl",
    "-newcomer-1.0-py3-none-any.whl", "newcomer-1.0-py3-none-any.whl\\",
    "newcomer-1.0-../x-none-any.whl", "newcomer-../1.0.tar.gz", "newcomer-1.0;x-py3-none-any.whl",
    f"{MARKUP}-1.0.tar.gz", "newcomer-1.0-py3-none-any.whl.metadata",
    "newcomer-1.0-py3-none-any.whl.lock", "newcomer-1.0.exe", "newcomer-1.0.html", "index.html",
    ".htaccess", "newcomer\u202e-1.0.tar.gz", "newcomer-1.0-py3-none-\u0430ny.whl",
    "x" * 250 + "-1.0.tar.gz", "x" * 4000 + "-1.0.tar.gz", "newcomer-1.0-py3-none-any.WHL",
    "newcomer-" + "9" * 5000 + ".tar.gz", "newcomer\t-1.0.tar.gz", "newcomer-1.0\x07.tar.gz",
    "newcomer-1.0\x1b[2J.tar.gz", "newcomer-1.0\x7f.tar.gz", "~root-1.0.tar.gz", "$HOME-1.0.tar.gz",
    "`id`-1.0.tar.gz", "|id-1.0.tar.gz", "catalog.sqlite", "secret",
    "newcomer-1.0-py3-none-any.whl/../../../../secret",
]  # fmt: skip

_NAMES: Sequence[str] = [
    f"../{ESCAPED}", "..", ".", "", "/etc/passwd", "a/b", "a\\b", "a\0b", "a b", "con", "x" * 5000,
    "newcomer-", "-newcomer", "_", "-._", "new\ncomer", "new\r\nX-Injected: 1", MARKUP,
    "n\u0435wcomer", "\uff4eewcomer", "newcomer\u200b", "newcomer\U0001f40d", "other", "newcomer;x",
    "%6eewcomer", "+f", "+simple", "newcomer\x1b[2J",
]  # fmt: skip

_VERSIONS: Sequence[str] = [
    f"../{ESCAPED}", "..", "", "latest", "1.0/..", "1.0\0", "1.0\r\nX-Injected: 1",
    "9" * 5000 + "x", "1" * 300_000, "one", MARKUP, "1.0-", "1.0+" + "a." * 2000, "\u0661.\u0660",
    "1!" * 99, "1.0\x1b[2J", "2.0", "v", "1.0;x", "1.0 || 1",
]  # fmt: skip

_TYPES: Sequence[str] = [
    "", "text/plain", "application/json; x=y", "application/octet-stream", "text/xml",
    "multipart/mixed; boundary=x1y2z3", "multipart/form-data", "multipart/form-data; boundary",
    "multipart/form-data; boundary=", 'multipart/form-data; boundary=""',
    "multipart/form-data; boundary=x1y2z", "multipart/form-data; boundary=other",
    "multipart/form-data; boundary=" + "x" * 71, "multipart/form-data; boundary=" + "x" * 9000,
    "multipart/form-data; boundary=x1y2z3; boundary=other", "multipart/form-data, x",
    "multipart/form-data; boundary=é", 'multipart/form-data; boundary="x1y2z3',
    "multipart/form-data; boundary='x1y2z3'", "multipart/", "multipart/form-data;" + ";" * 9000,
    "multipart/form-data; boundary=x1 y2", "multipart/form-data; boundary=x1y2z3 ;;=", "/",
    "x" * 9000, "multipart/form-data boundary=x1y2z3",
    "multipart/form-data; Boundary*=utf-8''x1y2z3", "application/x-www-form-urlencoded",
]  # fmt: skip


def names() -> Iterator[Attack]:
    """File names, projects and versions that are paths, markup, or no names."""
    for filename in FILENAMES:
        yield refused(f"file name {shown(filename)}", _named(filename), doors=FORMS)
        renamed = (
            f'form-data; name="content"; filename="x"; filename*=utf-8\'\'{_percent(filename)}'
        )
        change = _with(_part(renamed, NEW.content))
        yield refused(f"file name* {shown(filename)}", change, doors=FORMS)
    for name in _NAMES:
        yield refused(f"project {shown(name)}", _upload(name=name), doors=FORMS)
    for version in _VERSIONS:
        yield refused(f"version {shown(version)}", _upload(version=version), doors=FORMS)


def archives() -> Iterator[Attack]:
    """Bombs, archives that say two things, metadata that lies, a RECORD that is false."""
    for bad in BAD_ARCHIVES:
        yield refused(f"archive: {bad.id}", _archive(bad), doors=FORMS, is_long=True)
    yield refused("archive: none", _upload_of(BuiltFile(NEW.filename, b"no zip")), doors=FORMS)
    yield refused("archive: empty", _upload_of(BuiltFile(NEW.filename, b"")), doors=FORMS)
    yield refused(
        "archive: of another name",
        _upload_of(BuiltFile("other-1.0-py3-none-any.whl", NEW.content)),
        doors=FORMS,
    )
    for field in ("sha256_digest", "md5_digest", "blake2_256_digest"):
        for value in ("0" * 64, "x", "é" * 32, "0" * 5000):
            yield refused(f"{field} {shown(value)}", _upload(**{field: value}), doors=FORMS)


def multipart() -> Iterator[Attack]:
    """Forms that are broken, or no forms."""
    for content_type in _TYPES:
        header = (b"Content-Type", content_type.encode("latin-1"))
        yield refused(f"type {shown(content_type)}", _typed(header), 400, 415, doors=FORMS)
    for name, content in _BROKEN.items():
        yield refused(f"form with {name}", _with(content), doors=FORMS)
    for field in (":action", "protocol_version", "name", "version", "filetype"):
        values: Sequence[str | Sequence[str]] = (["x", "y"], "\0", "x" * 9000, MARKUP, "-1")
        for value in values:
            change = _upload(**{field: value})
            yield refused(f"{field} {shown(str(value))}", change, doors=FORMS)
        if field not in ("filetype", "protocol_version"):
            yield refused(f"no {field}", _upload(**{field: None}), doors=FORMS)
    yield refused(
        "a field in place of the file",
        _with(_fields(_FIELDS) + _field("content", "x") + _END),
        doors=FORMS,
    )
    as_file = _part('form-data; name="name"; filename="name"', b"newcomer")
    yield refused(
        "a file in place of a field", _with(_fields(_FIELDS) + as_file + _FILE + _END), doors=FORMS
    )


def cut_short() -> Iterator[Attack]:
    """Bodies that end too soon, by a client that is gone or by one that says so."""
    for name, cut in _CUTS.items():
        yield refused(f"a form that ends {name}", _cut(cut), doors=FORMS)
        gone = _gone(cut)
        yield refused(f"a client that is gone {name}", gone, 400, SILENT, doors=FORMS)


def bombs() -> Iterator[Attack]:
    """Forms of many parts, headers, or bytes."""
    for name, make in _BOMBS.items():
        yield refused(f"form with {name}", _made(make), 400, 413, doors=FORMS, is_long=True)


def _percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def _field(name: str, value: str) -> bytes:
    return _part(f'form-data; name="{name}"', value.encode())


def _part(disposition: str, content: bytes, *lines: bytes) -> bytes:
    head = [f"--{_BOUNDARY}".encode(), b"Content-Disposition: " + disposition.encode(), *lines]
    return b"\r\n".join([*head, b"", content, b""])


def _fields(fields: Sequence[tuple[str, str]]) -> bytes:
    return b"".join(_field(name, value) for name, value in fields)


_END = f"--{_BOUNDARY}--\r\n".encode()
_FIELDS = upload_fields(NEW)
_FILE = _part(f'form-data; name="content"; filename="{NEW.filename}"', NEW.content)
_GOOD = _fields(_FIELDS) + _FILE + _END

_FORM = _fields(_FIELDS)
_LAST = _FILE + _END

_BROKEN: Mapping[str, bytes] = {
    "no bytes": b"",
    "nothing but its end": _END,
    "no fields": _LAST,
    "no file": _FORM + _END,
    "no final boundary": _GOOD.removesuffix(_END),
    "half its final boundary": _GOOD.removesuffix(b"--\r\n"),
    "a boundary of one hyphen less": _GOOD.replace(b"--x1y2z3", b"-x1y2z3"),
    "line feeds alone": _FORM.replace(b"\r\n", b"\n") + _LAST,
    "two files": _FORM + _FILE + _LAST,
    "a file of another field": _FORM + _FILE.replace(b'"content"', b'"contents"') + _END,
    "a part without a name": _FORM + _part("form-data", b"x") + _LAST,
    "a part without a disposition": _FORM + b"--x1y2z3\r\nX: y\r\n\r\nz\r\n" + _LAST,
    "a part without headers": _FORM + b"--x1y2z3\r\n\r\nz\r\n" + _LAST,
    "a disposition that is none": _FORM + _part("attachment", b"x") + _LAST,
    "a disposition without an end": _FORM + _part('form-data; name="x', b"x") + _END,
    "two names": _FORM + _part('form-data; name="x"; name="name"', b"y") + _LAST,
    "a header without a colon": _FORM + _part('form-data; name="x"', b"y", b"Z") + _END,
    "a NUL in a header": _FORM + _part('form-data; name="x\0"', b"y") + _LAST,
    "a folded header": _FORM + _part('form-data;\r\n name="x"', b"y") + _LAST,
    "a form in a form": _FORM
    + _part('form-data; name="content"', _GOOD, b"Content-Type: multipart/mixed; boundary=x1y2z3"),
    "a mixed part": _FORM
    + _part(
        'form-data; name="content"',
        b"--y\r\n\r\nx\r\n--y--",
        b"Content-Type: multipart/mixed; boundary=y",
    )
    + _END,
    "text that is no UTF-8": _FORM + _part('form-data; name="summary"', b"\xff\xfe") + _LAST,
    "a field twice": _fields([*_FIELDS, ("name", "other")]) + _LAST,
    "a version twice": _fields([*_FIELDS, ("version", "2.0")]) + _LAST,
    "zeros": bytes(20_000),
    "boundaries alone": b"--x1y2z3\r\n" * 2000,
    "a second file for a signature": _FORM
    + _FILE
    + _part('form-data; name="gpg_signature"; filename="../x.asc"', b"x")
    + _END,
}

_CUTS: Mapping[str, int] = {
    "at once": 0, "in a boundary": 4, "in a head": 30, "in a field": 70,
    "in the file": len(_GOOD) // 2, "at the final boundary": len(_GOOD) - len(_END),
    "in its last hyphen": len(_GOOD) - 3,
}  # fmt: skip

_BOMBS: Mapping[str, Callable[[], bytes]] = {
    "10,000 parts": lambda: _field("classifiers", "x") * 10_000 + _LAST,
    "a field of 30 MB": lambda: _field("description", "x" * 30_000_000) + _LAST,
    "a file of another field of 30 MB": lambda: (
        _part('form-data; name="x"; filename="y"', bytes(30_000_000)) + _END
    ),
    "fields of 5 MB in all": lambda: _field("description", "x" * 1_000_000) * 5 + _LAST,
    "5,000 headers in a part": lambda: (
        _part('form-data; name="x"', b"y", *[b"X: y"] * 5000) + _LAST
    ),
    "a header of 2 MB in a part": lambda: (
        _part('form-data; name="x"', b"y", b"X: " + b"y" * 2_000_000) + _END
    ),
    "a header name of 2 MB in a part": lambda: (
        _part('form-data; name="x"', b"y", b"X" * 2_000_000) + _END
    ),
    "a field name of 2 MB": lambda: _field("x" * 2_000_000, "y") + _LAST,
    "a preamble of 5 MB": lambda: b"x" * 5_000_000 + b"\r\n" + _GOOD,
    "a preamble of line ends": lambda: b"\r\n" * 1_000_000 + _GOOD,
    "an epilogue of 5 MB": lambda: _GOOD + b"x" * 5_000_000,
    "half boundaries without end": lambda: _field("x", "\r\n--x1y2z" * 400_000) + _LAST,
    "a signature of 5 MB": lambda: (
        _FORM
        + _FILE
        + _part('form-data; name="gpg_signature"; filename="x.asc"', b"x" * 5_000_000)
        + _END
    ),
    "10,000 files": lambda: _part('form-data; name="content"; filename="x"', b"y") * 10_000 + _END,
}


def _typed(header: tuple[bytes, bytes]) -> Change:
    return lambda request: replace(request.with_headers(header), body=_GOOD)


def _with(content: bytes) -> Change:
    def change(request: Request) -> Request:
        return replace(request.with_headers((b"Content-Type", _TYPE.encode())), body=content)

    return change


def _made(make: Callable[[], bytes]) -> Change:
    def change(request: Request) -> Request:
        return _with(make())(request)

    return change


def _upload(**changed: str | Sequence[str] | None) -> Change:
    """The good form, but for some fields."""
    return _named(NEW.filename, **changed)


def _named(filename: str, /, **changed: str | Sequence[str] | None) -> Change:
    """The good form with a file of that name."""
    file = ("content", filename, NEW.content)
    _, content = a_multipart_body(upload_fields(NEW, **changed), file, boundary=_BOUNDARY)
    return _with(content)


def _upload_of(built: BuiltFile) -> Change:
    def change(request: Request) -> Request:
        content_type, content = an_upload_body(built)
        typed = request.with_headers((b"Content-Type", content_type.encode()))
        return replace(typed, body=content)

    return change


def _archive(bad: BadArchive) -> Change:
    # Made when it is sent: some are large.
    def change(request: Request) -> Request:
        return _upload_of(bad.build())(request)

    return change


def _cut(length: int) -> Change:
    return _with(_GOOD[:length])


def _gone(length: int) -> Change:
    def change(request: Request) -> Request:
        whole = _with(_GOOD)(request).with_headers((b"Content-Length", b"%d" % len(_GOOD)))
        return replace(whole, body=_GOOD[:length], ended=True)

    return change
