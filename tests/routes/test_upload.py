"""The way in: what is taken, what is refused, and that a refusal leaves nothing."""

import base64
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import pytest

from simpleindex.routes import doorkeeper, upload
from simpleindex.routes.asking import in_thread
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import IndexName
from tests.asgi import Answer
from tests.builders import (
    BOUNDARY,
    BuiltFile,
    a_multipart_body,
    a_wheel,
    an_sdist,
    an_upload_body,
    core_metadata,
    upload_fields,
)
from tests.routes.sites import DEVPI, V1_JSON, WHEEL, MakeSite, Site, basic

UV = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"
CHANGED = a_wheel(extra_files={"demo/changed.py": b"changed"})
LARGE = a_wheel(extra_files={"demo/data.bin": random.Random(1).randbytes(30_000)})

T = TypeVar("T")
Body: TypeAlias = tuple[str, bytes]
"""Content-Type, and the bytes."""


def post(
    site: Site, body: Body, to: str = "/root/local/", by: str | None = "root", **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.ask("POST", to, site.sent_by(by, body[0]) | named, body[1])


def shown(site: Site, index: str = "/root/local/") -> dict[str, str]:
    """Files of the project demo with their digests."""
    page = site.get(f"{index}demo/", V1_JSON)
    if page.status == 404:
        return {}
    return {file["filename"]: file["hashes"]["sha256"] for file in page.json["files"]}


# What is taken


def test_a_small_upload_leaves_the_event_loop_twice(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops: list[object] = []

    async def counted(job: Callable[[], T]) -> T:
        hops.append(job)
        return await in_thread(job)

    site = make_site()
    for module in (doorkeeper, upload):
        monkeypatch.setattr(module, "in_thread", counted)
    assert post(site, an_upload_body(WHEEL)).status == 200
    assert len(hops) == 2  # who may send it; and all that comes of it
    assert shown(site) == {WHEEL.filename: WHEEL.sha256}


@pytest.mark.parametrize(
    "to",
    [
        "/root/local",
        "/root/local/",
        "/root/local/+simple",
        "/root/local/+simple/",
        "/root/local/simple/",
        "/root/local/legacy",
        "/root/local/legacy/",
        "/root/local/%2Bsimple/",
    ],
)
def test_an_upload_is_on_the_page_before_it_is_answered(to: str, site: Site) -> None:
    answer = site.upload(WHEEL, to)
    assert (answer.status, answer.body) == (200, b"")
    assert shown(site) == {WHEEL.filename: WHEEL.sha256}


@pytest.mark.parametrize(
    "built",
    [
        a_wheel(),
        an_sdist(),
        an_sdist(format=".zip"),
        a_wheel("Some.Odd_Name", "1!2.0rc1.post2.dev3+local.4"),
        a_wheel(metadata=core_metadata(name="Demo", version="1.0.0")),
        LARGE,
    ],
    ids=lambda built: built.filename,
)
def test_wheels_and_sdists_are_taken(built: BuiltFile, site: Site) -> None:
    assert site.upload(built).status == 200
    (name,) = site.get("/root/local/", V1_JSON).json["projects"]
    (file,) = site.get(f"/root/local/{name['name']}/", V1_JSON).json["files"]
    assert file["hashes"]["sha256"] == built.sha256
    url = file["url"].removeprefix("../")
    assert site.get(f"/root/local/{url.replace('%2B', '+')}").body == built.content


@pytest.mark.parametrize("pieces", [1, 7, 100, 4096])
def test_an_upload_may_arrive_in_pieces_of_any_size(pieces: int, site: Site) -> None:
    content_type, body = an_upload_body(WHEEL)
    chunks = [body[at : at + pieces] for at in range(0, len(body), pieces)]
    headers = site.sent_by("root", content_type)
    assert site.ask("POST", "/root/local/", headers, [b"", *chunks, b""]).status == 200
    assert shown(site) == {WHEEL.filename: WHEEL.sha256}


def test_a_form_need_not_say_more_than_the_file_does(site: Site) -> None:
    fields = [(":action", "file_upload"), ("name", "Demo"), ("version", "v1.0")]
    body = a_multipart_body(fields, ("content", WHEEL.filename, WHEEL.content))
    assert post(site, body).status == 200


def test_the_file_may_come_before_the_fields(site: Site) -> None:
    content_type, fields = a_multipart_body(upload_fields(WHEEL))
    _, file = a_multipart_body([], ("content", WHEEL.filename, WHEEL.content))
    boundary = file.partition(b"\r\n")[0]
    body = file.removesuffix(boundary + b"--\r\n") + fields
    assert post(site, (content_type, body)).status == 200
    assert shown(site) == {WHEEL.filename: WHEEL.sha256}


# Who may


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": basic("root", "wrong")},
        {"authorization": basic("nobody", "rootpw")},
        {"authorization": "Basic ???"},
        {"authorization": "Bearer x"},
        {"x-devpi-auth": "cm9vdDp4"},
        {"authorization": basic("alice", "rootpw")},
        {"authorization": basic("root", "")},
    ],
    ids=str,
)
def test_who_proves_nothing_is_asked_for_a_password_whatever_the_url_names(
    headers: Mapping[str, str], site: Site
) -> None:
    site.make_index("root/local", acl_upload=("root",))
    before = site.stored()
    lines = set()
    for to in ("/root/local/", "/root/none/", "/none/none/", "/root/pypi/", "/a$/b/"):
        refusal = site.upload(WHEEL, to, by=None, headers=headers)
        assert refusal.status == 401
        assert (refusal.header("www-authenticate") or "").startswith("Basic realm=")
        assert refusal.header("location") is None
        lines.add(refusal.line)
    assert len(lines) == 1
    assert "password" in lines.pop()
    assert site.stored() == before


def test_a_password_is_as_good_as_a_token(site: Site) -> None:
    headers = {"authorization": basic("root", "rootpw")}
    assert site.upload(WHEEL, by=None, headers=headers).status == 200


def test_devpis_header_is_as_good_as_basic(site: Site) -> None:
    secret = base64.b64encode(f"root:{site.token('root')}".encode()).decode()
    assert site.upload(WHEEL, by=None, headers={"x-devpi-auth": secret}).status == 200


@pytest.mark.parametrize(
    ("acl_upload", "by", "status"),
    [
        (("alice",), "alice", 200),
        (("root",), "alice", 403),
        (("alice",), "root", 403),
        ((), "root", 403),
        ((":AUTHENTICATED:",), "alice", 200),
        ((":ANONYMOUS:",), None, 200),
        (("alice",), None, 401),
        ((":AUTHENTICATED:",), None, 401),
    ],
)
def test_the_index_says_who_may(
    acl_upload: tuple[str, ...], by: str | None, status: int, site: Site
) -> None:
    site.make_index("alice/dev", acl_upload=acl_upload)
    answer = site.upload(WHEEL, "/alice/dev/", by=by)
    assert answer.status == status
    assert bool(shown(site, "/alice/dev/")) is (status == 200)
    if status == 403:
        assert by is not None
        assert by in answer.line
        assert "alice/dev" in answer.line


def test_nobody_uploads_to_a_mirror(site: Site) -> None:
    before = site.stored()
    refusal = site.upload(WHEEL, "/root/pypi/")
    assert refusal.status == 403
    assert "mirrors another index" in refusal.line
    assert site.stored() == before


@pytest.mark.parametrize(
    ("to", "by"),
    [("/root/no/", "root"), ("/alice/dev/", "root"), ("/root/local/", "alice"), ("/a$/b", "root")],
)
def test_a_known_user_is_told_which_index_is_not_there(to: str, by: str, site: Site) -> None:
    before = site.stored()
    refusal = site.upload(WHEEL, to, by=by)
    assert refusal.status == 404
    assert f"index {to.strip('/')}" in refusal.line
    assert "devpi index -c" in refusal.line
    assert site.stored() == before


@pytest.mark.parametrize("body", [b"", b"x" * 100_000, b"--x\r\n"])
def test_who_is_asking_is_settled_before_the_body_is_looked_at(body: bytes, site: Site) -> None:
    assert post(site, ("text/nothing", body), by=None).status == 401
    assert post(site, ("text/nothing", body), by="alice").status == 404


# root/local


def test_roots_first_upload_makes_root_local(site: Site) -> None:
    assert site.get("/root/local/").status == 404
    assert site.upload(WHEEL).status == 200
    made = site.get("/root/local", DEVPI).json["result"]
    assert (made["volatile"], made["acl_upload"], made["bases"]) == (False, ["root"], [])


def test_a_first_upload_that_is_refused_makes_no_index(site: Site) -> None:
    before = site.stored()
    assert site.upload(WHEEL, sha256_digest="0" * 64).status == 400
    assert site.stored() == before
    assert site.get("/root/local/").status == 404


def test_an_index_that_was_made_by_an_upload_may_still_be_given_settings(site: Site) -> None:
    site.upload(WHEEL)
    by_root = site.sent_by("root")
    changed = site.ask("PUT", "/root/local", by_root, b'{"bases": "root/pypi"}')
    assert changed.status == 200
    assert changed.json["result"]["bases"] == ["root/pypi"]
    assert changed.json["result"]["volatile"] is False
    assert shown(site) == {WHEEL.filename: WHEEL.sha256}
    again = site.ask("PUT", "/root/local", by_root, b"{}")
    assert again.status == 409


def test_an_index_with_uploads_does_not_become_a_mirror(site: Site) -> None:
    site.upload(WHEEL)
    before = site.stored()
    refusal = site.ask("PUT", "/root/local", site.sent_by("root"), b'{"type": "mirror"}')
    assert refusal.status == 400
    assert "mirror" in refusal.line
    assert site.stored() == before


# A name that is taken


def test_the_same_file_may_be_sent_again(site: Site) -> None:
    site.upload(WHEEL)
    before = site.stored()
    assert site.upload(WHEEL).status == 200
    assert site.stored() == before


@pytest.mark.parametrize(
    "renamed",
    [
        WHEEL.filename,
        "Demo-1.0-py3-none-any.whl",
        "demo-v1.0-py3-none-any.whl",
        "DEMO-1.0-py3-none-any.whl",
    ],
)
def test_other_bytes_never_take_a_name_however_it_is_spelled(renamed: str, site: Site) -> None:
    site.upload(WHEEL)
    before = site.stored()
    refusal = site.upload(BuiltFile(renamed, CHANGED.content))
    assert refusal.status == 409
    assert "File already exists" in refusal.line
    assert "new version" in refusal.line
    assert site.stored() == before
    assert site.get(
        f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"
    ).body == (WHEEL.content)


def test_the_same_bytes_in_another_spelling_change_nothing(site: Site) -> None:
    site.upload(WHEEL)
    before = site.stored()
    assert site.upload(BuiltFile("Demo-1.0-py3-none-any.whl", WHEEL.content)).status == 200
    assert site.stored() == before


def test_a_volatile_index_takes_other_bytes_and_shows_them(site: Site) -> None:
    site.make_index("root/local", acl_upload=("root",), volatile=True)
    for built in (WHEEL, CHANGED, WHEEL, BuiltFile("Demo-1.0-py3-none-any.whl", CHANGED.content)):
        assert site.upload(built).status == 200
        assert shown(site) == {built.filename: built.sha256}
    kept = [path for path in site.stored().paths if path.endswith(".whl")]
    assert len(kept) == 1


# What is refused


def changed(change: Callable[[bytes], bytes]) -> Body:
    content_type, body = an_upload_body(WHEEL)
    return content_type, change(body)


def renamed(filename: str, content: bytes = WHEEL.content) -> Body:
    return an_upload_body(BuiltFile(filename, content))


def with_metadata(raw: bytes) -> Body:
    return an_upload_body(a_wheel(metadata=raw))


def twice(body: bytes) -> bytes:
    return body[: body.rindex(b"--" + BOUNDARY.encode())] + body


TEXT = "x" * (2 << 20)
GOOD_TYPE, GOOD_BODY = an_upload_body(WHEEL)
GOOD_FIELDS = upload_fields(WHEEL)

ODD_FORMS: dict[str, tuple[Body, Sequence[str]]] = {
    "no body": ((GOOD_TYPE, b""), ["cut off"]),
    "no content type": (("", GOOD_BODY), ["multipart/form-data"]),
    "json": (("application/json", b"{}"), ["push", "'name'"]),
    "urlencoded": (("application/x-www-form-urlencoded", b":action=file_upload"), ["no file"]),
    "no boundary": (("multipart/form-data", GOOD_BODY), ["boundary"]),
    "other boundary": (("multipart/form-data; boundary=other", GOOD_BODY), ["cut off"]),
    "no closing boundary": (changed(lambda body: body[: body.rindex(b"\r\n--")]), ["cut off"]),
    "half": (changed(lambda body: body[: len(body) // 2]), ["cut off"]),
    "something behind": (changed(lambda body: body + b"x" * 9000), ["final boundary"]),
    "not utf-8": (
        changed(lambda body: body.replace(b"\r\n\r\ndemo\r\n", b"\r\n\r\nd\xe9mo\r\n")), ["UTF-8"],
    ),
    "two files": (changed(twice), ["more than one file"]),
    "no file": (a_multipart_body(GOOD_FIELDS), ["file"]),
    "file in another field": (
        a_multipart_body(GOOD_FIELDS, ("file", WHEEL.filename, WHEEL.content)), ["'content'"],
    ),
    "file without a name": (
        a_multipart_body(GOOD_FIELDS, ("content", "", WHEEL.content)), ["no file name"],
    ),
    "too many fields": (an_upload_body(WHEEL, classifiers=["x"] * 2001), ["2000 fields"]),
    "too large a field": (an_upload_body(WHEEL, description=f"{TEXT}y"), ["2 MiB"]),
    "too much text": (
        an_upload_body(WHEEL, description="x" * 9999, summary=TEXT, keywords=TEXT), ["4 MiB"],
    ),
    "no action": (an_upload_body(WHEEL, **{":action": None}), [":action"]),
    "verify": (an_upload_body(WHEEL, **{":action": "verify"}), [":action"]),
    "submit": (an_upload_body(WHEEL, **{":action": "submit"}), ["upload"]),
    "documentation": (an_upload_body(WHEEL, **{":action": "doc_upload"}), ["documentation"]),
    "two actions": (
        an_upload_body(WHEEL, **{":action": ["file_upload", "submit"]}), [":action"],
    ),
    "protocol 2": (an_upload_body(WHEEL, protocol_version="2"), ["protocol_version"]),
    "egg": (an_upload_body(WHEEL, filetype="bdist_egg"), ["filetype"]),
    "wrong filetype": (an_upload_body(WHEEL, filetype="sdist"), ["filetype"]),
    "no name": (an_upload_body(WHEEL, name=None), ["'name'"]),
    "empty name": (an_upload_body(WHEEL, name=""), ["'name'"]),
    "no version": (an_upload_body(WHEEL, version=None), ["'version'"]),
    "another name": (an_upload_body(WHEEL, name="other"), ["'other'", "that the file has"]),
    "another version": (an_upload_body(WHEEL, version="9"), ["'9'", "that the file has"]),
    "odd name": (an_upload_body(WHEEL, name="../demo"), ["name"]),
    "odd version": (an_upload_body(WHEEL, version="one"), ["version"]),
    "wrong sha256": (an_upload_body(WHEEL, sha256_digest="0" * 64), ["sha256", "again"]),
    "wrong md5": (an_upload_body(WHEEL, md5_digest="0" * 32), ["md5", "again"]),
    "wrong blake2": (an_upload_body(WHEEL, blake2_256_digest="0" * 64), ["blake2", "again"]),
    "odd digest": (an_upload_body(WHEEL, sha256_digest="x"), ["sha256_digest"]),
    "empty file": (renamed(WHEEL.filename, b""), [WHEEL.filename]),
    "no archive": (renamed(WHEEL.filename, b"x" * 999), [WHEEL.filename]),
    "half an archive": (renamed(WHEEL.filename, WHEEL.content[:500]), [WHEEL.filename]),
    "wheel as sdist": (renamed("demo-1.0.zip"), ["demo-1.0.zip"]),
    "another version's name": (renamed("demo-9.9-py3-none-any.whl"), ["demo-9.9"]),
    "lying name": (with_metadata(core_metadata("other", "1.0")), ["'other'"]),
    "lying version": (with_metadata(core_metadata("demo", "9.9")), ["'9.9'"]),
    "no metadata": (with_metadata(b"Metadata-Version: 2.1\n"), ["Name"]),
    "metadata of tomorrow": (
        with_metadata(b"Metadata-Version: 9.0\nName: demo\nVersion: 1.0\n"), ["9.0"],
    ),
}  # fmt: skip

ODD_NAMES = [
    "../../demo-1.0.tar.gz",
    "/etc/demo-1.0.tar.gz",
    "..\\demo-1.0.tar.gz",
    "C:\\demo-1.0.tar.gz",
    ".demo-1.0.tar.gz",
    "-demo-1.0.tar.gz",
    "demo 1.0.tar.gz",
    "démo-1.0.tar.gz",
    "demo-1.0.exe",
    "demo-1.0.egg",
    "demo-1.0.tar.bz2",
    "demo-1.0.WHL",
    "demo.whl",
    "demo-1.0.whl",
    "demo-1.0-py3-none.whl",
    "demo-one-py3-none-any.whl",
    "demo-1.0-x1-py3-none-any.whl",
    "1.0.tar.gz",
    "demo.tar.gz",
    "con.tar.gz",
    "con",
    "d" * 250 + "-1.0.tar.gz",
    "demo-1.0.tar.gz.metadata",
    "demo-1.0-py3-none-any.whl\x00.tar.gz",
    "demo-1.0-py3-none-any.whl%00.tar.gz",
]


@pytest.mark.parametrize(("form", "words"), ODD_FORMS.values(), ids=ODD_FORMS)
def test_an_upload_that_is_refused_leaves_nothing(
    form: Body, words: Sequence[str], site: Site
) -> None:
    before = site.stored()
    refusal = post(site, form)
    assert refusal.status == 400, refusal.body
    assert [word for word in words if word not in refusal.line] == [], refusal.line
    assert site.stored() == before


def test_a_file_name_that_is_none_is_refused_and_leaves_nothing(site: Site) -> None:
    before = site.stored()
    for name in ODD_NAMES:
        body = a_multipart_body(
            [(":action", "file_upload"), ("name", "demo"), ("version", "1.0")],
            ("content", name, an_sdist().content),
        )
        refusal = post(site, body)
        assert refusal.status == 400, name
        assert len(refusal.line) < 700
    assert site.stored() == before


def test_nothing_is_left_between_one_file_and_the_next(site: Site) -> None:
    site.upload(WHEEL)
    before = site.stored()
    for form, _ in ODD_FORMS.values():
        assert post(site, form).status == 400
    assert site.stored() == before
    assert site.upload(a_wheel(version="2.0")).status == 200
    assert len(shown(site)) == 2


# Limits


@pytest.mark.parametrize("pieces", [None, 1000])
def test_a_file_over_the_limit_is_refused(pieces: int | None, make_site: MakeSite) -> None:
    site = make_site(upload_bytes_max=len(LARGE.content) - 1)
    before = site.stored()
    content_type, body = an_upload_body(LARGE)
    headers = site.sent_by("root", content_type)
    chunks = [body[at : at + pieces] for at in range(0, len(body), pieces)] if pieces else body
    refusal = site.ask("POST", "/root/local/", headers, chunks)
    assert refusal.status == 413
    assert "upload_bytes_max" in refusal.line
    assert site.stored() == before


def test_a_file_of_just_the_limit_is_taken(make_site: MakeSite) -> None:
    site = make_site(upload_bytes_max=len(LARGE.content))
    assert site.upload(LARGE).status == 200


def test_a_body_that_says_that_it_is_too_large_is_not_read(make_site: MakeSite) -> None:
    site = make_site(upload_bytes_max=1000)
    headers = site.sent_by("root", "multipart/form-data; boundary=x")
    for declared in ("99999999999", "9" * 400):
        sent = site.client.exchange(
            scope_of(site, headers | {"content-length": declared}), [{"type": "never"}]
        )
        assert sent[0]["status"] == 413


def scope_of(site: Site, headers: Mapping[str, str]) -> dict[str, Any]:
    """The scope of an upload by hand."""
    return {
        "type": "http",
        "method": "POST",
        "path": "/root/local/",
        "raw_path": b"/root/local/",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


# Interruptions


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_client_that_goes_away_leaves_nothing(part: float, site: Site) -> None:
    site.upload(WHEEL)
    before = site.stored()
    content_type, body = an_upload_body(LARGE, name="demo")
    arrived = body[: int(len(body) * part)]
    sent = site.client.cut_off("POST", "/root/local/", site.sent_by("root", content_type), arrived)
    assert sent == []
    assert site.stored() == before


def test_a_client_that_goes_away_after_megabytes_leaves_nothing(site: Site) -> None:
    before = site.stored()
    content_type, body = an_upload_body(BuiltFile(WHEEL.filename, b"x" * (5 << 20)))
    headers = site.sent_by("root", content_type)
    assert site.client.cut_off("POST", "/root/local/", headers, body[:-100]) == []
    assert site.stored() == before


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("no file can be received: the disk is full", full=True), 507),
        (Unavailable("the catalog cannot be written: disk I/O error"), 503),
    ],
    ids=["full disk", "broken disk"],
)
def test_a_store_that_cannot_is_told_apart_from_a_bad_upload(
    error: Unavailable, status: int, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    site.get("/")
    opened = site.app._opened
    assert opened is not None
    before = site.stored()
    monkeypatch.setattr(opened.store, "admit", fail)
    refusal = site.upload(WHEEL)
    assert (refusal.status, refusal.line) == (status, str(error))
    assert refusal.header("retry-after") is not None
    assert site.stored() == before


# How a refusal is told


def test_devpi_client_gets_its_log_form(site: Site) -> None:
    site.upload(WHEEL)
    token = base64.b64encode(f"root:{site.token('root')}".encode()).decode()
    refusal = site.upload(CHANGED, by=None, headers={"x-devpi-auth": token, "accept": "*/*"})
    assert refusal.status == 409
    assert refusal.header("content-type") == "application/json"
    assert refusal.json == {
        "type": "actionlog",
        "result": [refusal.line],
        "message": refusal.line,
    }
    without = site.upload(WHEEL, by=None, headers={"user-agent": "devpi-client/7.3.0"})
    assert (without.status, without.json["type"]) == (401, "actionlog")


def test_uv_gets_a_code(site: Site) -> None:
    site.upload(WHEEL)
    refusal = site.upload(CHANGED, headers={"accept": UV})
    assert refusal.header("content-type") == "application/json"
    assert refusal.json == {"code": refusal.line, "message": refusal.line}


def test_twine_gets_text_and_a_reason(site: Site) -> None:
    site.upload(WHEEL)
    refusal = site.upload(CHANGED, headers={"accept": "*/*"})
    assert refusal.header("content-type") == "text/plain; charset=utf-8"
    assert refusal.header("x-reason") == refusal.line
    assert len(refusal.text.splitlines()) == 1


@pytest.mark.parametrize("name", ["d\r\nset-cookie: x", "d\x1b[2Jx", "dé\u2028x", "x" * 5000])
def test_a_refusal_stays_on_its_line_whatever_it_is_about(name: str, site: Site) -> None:
    body = a_multipart_body(upload_fields(WHEEL, name=name), ("content", WHEEL.filename, b""))
    refusal = post(site, body)
    assert refusal.status == 400
    assert len(refusal.line) <= 1000
    reason = refusal.header("x-reason")
    assert reason is not None
    assert reason.isascii() and len(reason) <= 300


def test_a_mirror_that_is_asked_for_by_name_says_so(site: Site) -> None:
    mirror = Index(IndexName("alice/mirror"), MirrorSettings())
    site.change(lambda change: change.put_index(mirror))
    assert "alice/mirror mirrors" in site.upload(WHEEL, "/alice/mirror/").line


@pytest.mark.parametrize(
    ("target", "right"),
    [
        ("/", "/USER/INDEX/"),
        ("/root", "/USER/INDEX/"),
        ("/root/local/demo/", "/root/local/"),
        ("/root/local/+simple/demo/", "/root/local/"),
        ("/root/local/+api", "/root/local/"),
    ],
)
def test_a_file_that_is_sent_elsewhere_is_told_where_to_go(
    site: Site, target: str, right: str
) -> None:
    answer = site.upload(WHEEL, target)
    assert answer.status == 404
    assert answer.text == f"nothing is taken at this URL; files are uploaded to {right}\n"


@pytest.mark.parametrize(
    ("settings", "origin", "status"),
    [
        ({}, "http://index.example:3141", 200),
        ({"outside_url": "https://out.example/index"}, "https://out.example", 200),
        ({}, "https://out.example", 403),
    ],
)
def test_pages_of_the_server_itself_may_send_files(
    settings: dict[str, Any], origin: str, status: int, make_site: MakeSite
) -> None:
    site = make_site(**settings)
    assert site.upload(WHEEL, headers={"origin": origin}).status == status
